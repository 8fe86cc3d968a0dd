/* Getting credentials: keys, a file, a container's endpoint, an instance's, and the role that they assume. */
#include <fcntl.h>
#include <stdio.h>

#include "aws_request.h"
#include "credential_int.h"
#include "s3_xml.h"
#include "waymark/hash.h"
#include "waymark/io.h"
#include "waymark/json.h"

#include "waymark/banned.h"

#define SOURCE_TOKEN_BYTES ((size_t)16 * 1024)
#define SOURCE_ANSWER_BYTES ((size_t)256 * 1024)
#define SOURCE_TIMEOUT_MS 5000
#define INSTANCE_TOKEN_LIFE "300"
/* Clocks less apart than this are not why STS refuses (SigV4 allows 5 to 15 minutes). */
#define SOURCE_MIN_SKEW_S 60
#define ROLE_SESSION_NAME "waymark"

/* ---- a file ---- */

int wm_credential_stat(const struct wm_credential_source *s, struct stat *out)
{
    const struct wm_io *io = &wm_io_posix;
    int fd = io->open(io->ctx, s->o.file.ptr, O_RDONLY, 0);
    int rc = fd < 0 ? fd : io->fstat(io->ctx, fd, out);
    if (fd >= 0)
        (void)io->close(io->ctx, fd); /* only looked at */
    return rc;
}

static enum wm_status fetch_file(const struct wm_credential_source *s, struct wm_fetched *out, struct wm_err *err)
{
    int rc = wm_credential_stat(s, &out->file);
    if (rc < 0)
        return wm_fail_errno(err, -rc, "cannot read credentials file %s", s->o.file.ptr);
    out->from_file = true;
    enum wm_status status = wm_credentials_load(&wm_io_posix, s->o.file.ptr,
                                                s->o.profile.len ? s->o.profile : WM_LIT("default"), &out->c, err);
    memset(out->c.region, 0, sizeof out->c.region); /* the bucket's is a setting */
    return status;
}

/* ---- endpoints ---- */

static enum wm_status endpoint_ask(const struct wm_credential_source *s, const atomic_bool *cancelled,
                                   const char *method, const char *url, struct wm_view header, struct wm_view value,
                                   struct wm_http_reply *r, struct wm_err *err)
{
    struct wm_sigv4_header h = {header, value};
    const struct wm_http_request q = {.method = method, .url = url, .headers = &h, .n_headers = value.len ? 1 : 0,
                                      .timeout_ms = SOURCE_TIMEOUT_MS};
    struct wm_err why;
    struct wm_http_client *client = wm_http_client_new(&s->endpoints, cancelled, err);
    if (!client)
        return WM_E_NOMEM;
    enum wm_status status = wm_http_send(client, &q, r, &why);
    wm_http_client_free(client);
    if (status != WM_OK) {
        (void)wm_fail(err, status, "%s: %s", url, why.message);
    } else if (r->status != 200) {
        status = wm_fail(err, WM_E_UNAVAILABLE, "%s: %ld", url, r->status);
        (void)snprintf(why.code, sizeof why.code, "Http%ld", r->status); /* fits */
    }
    if (status != WM_OK && err)
        memcpy(err->code, why.code, sizeof err->code);
    return status;
}

void wm_credential_wipe_text(struct wm_view v)
{
    if (v.len)
        wm_wipe((void *)(uintptr_t)v.ptr, v.len);
}

/* {"AccessKeyId":…,"SecretAccessKey":…,"Token":…,"Expiration":"2026-03-01T10:07:12Z"} */
static enum wm_status endpoint_read(struct wm_view text, const char *url, struct wm_fetched *out, struct wm_err *err)
{
    struct wm_arena a;
    struct wm_json *root = NULL;
    wm_arena_init(&a, SOURCE_ANSWER_BYTES);
    enum wm_status status = wm_json_parse(&a, text, &root, NULL);
    struct wm_view key = wm_json_get_text(root, "AccessKeyId"), secret = wm_json_get_text(root, "SecretAccessKey"),
                   token = wm_json_get_text(root, "Token"), expires = wm_json_get_text(root, "Expiration");
    struct wm_wall_ns at = {0};
    if (status != WM_E_NOMEM &&
        (!key.len || !secret.len || !wm_view_copy(key, out->c.access_key_id, sizeof out->c.access_key_id) ||
         !wm_view_copy(secret, out->c.secret, sizeof out->c.secret) ||
         !wm_view_copy(token, out->c.session_token, sizeof out->c.session_token) ||
         (expires.len && !wm_aws_time(expires, &at))))
        status = WM_E_UNAVAILABLE;
    if (status == WM_OK)
        out->expires_s = expires.len ? wm_wall_seconds(at) : 0;
    else
        (void)wm_fail(err, status, "%s: the answer holds no credentials", url);
    wm_credential_wipe_text(key);
    wm_credential_wipe_text(secret);
    wm_credential_wipe_text(token);
    wm_arena_done(&a);
    return status;
}

static enum wm_status fetch_container(const struct wm_credential_source *s, const atomic_bool *cancelled,
                                 struct wm_fetched *out, struct wm_err *err)
{
    struct wm_http_reply r;
    struct wm_buf token;
    wm_http_reply_init(&r, NULL);
    wm_buf_init(&token, SOURCE_TOKEN_BYTES);
    enum wm_status status = WM_OK;
    if (s->o.container_token_file.len)
        status = wm_io_read_file(&wm_io_posix, s->o.container_token_file.ptr, &token, err);
    else
        wm_buf_add_view(&token, s->o.container_token);
    if (status == WM_OK && (status = wm_buf_status(&token)) != WM_OK)
        (void)wm_fail(err, status, "the token for %s is too long", s->o.container_uri.ptr);
    if (status == WM_OK)
        status = endpoint_ask(s, cancelled, "GET", s->o.container_uri.ptr, WM_LIT("authorization"),
                              wm_view_trim(wm_buf_view(&token)), &r, err);
    if (status == WM_OK)
        status = endpoint_read(wm_buf_view(&r.text), s->o.container_uri.ptr, out, err);
    wm_buf_wipe(&token);
    wm_buf_done(&token);
    wm_http_reply_done(&r);
    return status;
}

/* Amazon EC2 User Guide, "Use the Instance Metadata Service": a token first, then the role's name, its credentials. */
static enum wm_status fetch_instance(const struct wm_credential_source *s, const atomic_bool *cancelled,
                                 struct wm_fetched *out, struct wm_err *err)
{
    static const char roles[] = "/latest/meta-data/iam/security-credentials/";
    struct wm_http_reply r;
    struct wm_buf url, token;
    wm_http_reply_init(&r, NULL);
    wm_buf_init(&url, WM_AWS_MAX_URL_BYTES);
    wm_buf_init(&token, SOURCE_TOKEN_BYTES);
    wm_buf_addf(&url, "%s/latest/api/token", s->o.instance_endpoint.ptr);
    enum wm_status status = endpoint_ask(s, cancelled, "PUT", wm_buf_cstr(&url),
                                         WM_LIT("x-aws-ec2-metadata-token-ttl-seconds"), WM_LIT(INSTANCE_TOKEN_LIFE),
                                         &r, err);
    wm_buf_add_view(&token, wm_view_trim(wm_buf_view(&r.text)));
    wm_buf_clear(&url);
    wm_buf_addf(&url, "%s%s", s->o.instance_endpoint.ptr, roles);
    if (status == WM_OK)
        status = endpoint_ask(s, cancelled, "GET", wm_buf_cstr(&url), WM_LIT("x-aws-ec2-metadata-token"),
                              wm_buf_view(&token), &r, err);
    if (status == WM_OK) {
        struct wm_view names = wm_view_trim(wm_buf_view(&r.text));
        wm_uri_encode(&url, wm_view_trim(wm_view_split(&names, '\n')), false); /* an instance has one */
        status = endpoint_ask(s, cancelled, "GET", wm_buf_cstr(&url), WM_LIT("x-aws-ec2-metadata-token"),
                              wm_buf_view(&token), &r, err);
    }
    if (status == WM_OK)
        status = endpoint_read(wm_buf_view(&r.text), wm_buf_cstr(&url), out, err);
    wm_buf_wipe(&token);
    wm_buf_done(&token);
    wm_buf_done(&url);
    wm_http_reply_done(&r);
    return status;
}

/* ---- a role ---- */

struct sts_answer {
    struct wm_fetched *out;
    bool fits;
    char code[WM_ERR_CODE_BYTES];
    char message[256];
};

#define STS_CREDENTIALS "AssumeRoleResponse/AssumeRoleResult/Credentials/"

static enum wm_status sts_leaf(void *arg, const char *path, struct wm_view text)
{
    struct sts_answer *a = arg;
    struct wm_credentials *c = &a->out->c;
    struct wm_wall_ns at;
    text = wm_view_trim(text);
    if (strcmp(path, STS_CREDENTIALS "AccessKeyId") == 0) {
        a->fits = wm_view_copy(text, c->access_key_id, sizeof c->access_key_id) && a->fits;
    } else if (strcmp(path, STS_CREDENTIALS "SecretAccessKey") == 0) {
        a->fits = wm_view_copy(text, c->secret, sizeof c->secret) && a->fits;
    } else if (strcmp(path, STS_CREDENTIALS "SessionToken") == 0) {
        a->fits = wm_view_copy(text, c->session_token, sizeof c->session_token) && a->fits;
    } else if (strcmp(path, STS_CREDENTIALS "Expiration") == 0) {
        a->fits = wm_aws_time(text, &at) && a->fits;
        a->out->expires_s = a->fits ? wm_wall_seconds(at) : 0;
    } else if (strcmp(path, "ErrorResponse/Error/Code") == 0) {
        (void)wm_view_copy(text, a->code, sizeof a->code); /* an overlong one counts as none */
    } else if (strcmp(path, "ErrorResponse/Error/Message") == 0) {
        (void)wm_view_copy(wm_view_sub(text, 0, sizeof a->message - 1), a->message, sizeof a->message); /* cut to fit */
    }
    return WM_OK;
}

static enum wm_status sts_judge(const struct wm_credential_source *s, const struct wm_http_reply *r,
                                struct wm_fetched *out, struct wm_err *err)
{
    struct sts_answer a = {.out = out, .fits = true};
    enum wm_status parsed = wm_s3_xml_parse(wm_buf_view(&r->text), sts_leaf, NULL, &a);
    if (r->status == 200 && parsed == WM_OK && a.fits && out->c.access_key_id[0] && out->c.secret[0])
        return WM_OK;
    if (r->status == 200)
        return wm_fail(err, parsed == WM_E_NOMEM ? parsed : WM_E_UNAVAILABLE,
                       "AssumeRole %s at %s: the answer holds no credentials", s->o.role_arn.ptr, s->sts_host);
    if (!a.code[0])
        (void)snprintf(a.code, sizeof a.code, "Http%ld", r->status); /* fits */
    enum wm_status status = r->status >= 400 && r->status < 500 ? WM_E_DENIED : WM_E_UNAVAILABLE;
    (void)wm_fail(err, status, "AssumeRole %s at %s: %ld %s%s%s", s->o.role_arn.ptr, s->sts_host, r->status, a.code,
                  a.message[0] ? ": " : "", a.message);
    if (err) {
        err->http_status = (int)r->status;
        memcpy(err->code, a.code, sizeof err->code);
    }
    return status;
}

/* AWS STS API Reference, "AssumeRole". In: the login that may assume it; out: the role's. */
static enum wm_status fetch_role(const struct wm_credential_source *s, const atomic_bool *cancelled,
                                 struct wm_fetched *f, struct wm_err *err)
{
    struct wm_fetched role = {.from_file = f->from_file, .file = f->file};
    struct wm_http_reply r;
    struct wm_buf body;
    char hex[WM_SHA256_HEX_BYTES];
    uint8_t hash[WM_SHA256_BYTES];
    wm_http_reply_init(&r, NULL);
    wm_buf_init(&body, WM_AWS_MAX_URL_BYTES);
    wm_buf_add_str(&body, "Action=AssumeRole&Version=2011-06-15&RoleSessionName=" ROLE_SESSION_NAME "&RoleArn=");
    wm_uri_encode(&body, s->o.role_arn, false);
    if (s->o.role_external_id.len) {
        wm_buf_add_str(&body, "&ExternalId=");
        wm_uri_encode(&body, s->o.role_external_id, false);
    }
    struct wm_http_client *client = NULL;
    struct wm_sigv4_cache *cache = wm_sigv4_cache_new();
    enum wm_status status = wm_buf_status(&body);
    if (status != WM_OK || !cache) {
        status = wm_fail(err, WM_E_NOMEM, "no memory to assume a role");
        goto out;
    }
    client = wm_http_client_new(s->http, cancelled, err);
    if (!client) {
        status = WM_E_NOMEM;
        goto out;
    }
    wm_sha256(body.data, body.len, hash);
    wm_hex(hash, sizeof hash, hex);
    struct wm_aws_request q = {
        .service = "sts", .method = "POST", .scheme = s->sts_scheme, .host = s->sts_host, .path = WM_LIT("/"),
        .body = wm_buf_view(&body), .sha256_hex = {hex, sizeof hex}, .timeout_ms = SOURCE_TIMEOUT_MS,
    };
    wm_aws_header(&q, WM_LIT("content-type"), WM_LIT("application/x-www-form-urlencoded"));
    int64_t skew_s = 0;
    for (int try = 0; try < 2; try++) {
        struct wm_wall_ns now = wm_clock_wall(s->clock);
        now.ns += skew_s * WM_NS_PER_S;
        struct wm_err why;
        status = wm_aws_send(client, cache, &q, &f->c, s->region, now, &r, &why);
        if (status != WM_OK) {
            (void)wm_fail(err, status, "AssumeRole %s at %s: %s", s->o.role_arn.ptr, s->sts_host, why.message);
            if (err)
                memcpy(err->code, why.code, sizeof err->code);
            goto out;
        }
        status = sts_judge(s, &r, &role, err);
        if (status != WM_E_DENIED || !wm_http_reply_skew(&r, s->clock, &skew_s) ||
            (skew_s < SOURCE_MIN_SKEW_S && skew_s > -SOURCE_MIN_SKEW_S))
            break;
    }
out:
    if (status == WM_OK)
        *f = role;
    wm_wipe(&role, sizeof role);
    wm_http_client_free(client);
    wm_sigv4_cache_free(cache);
    wm_buf_done(&body);
    wm_http_reply_done(&r);
    return status;
}

/* ---- all of them ---- */

/* Somebody may put them there at any time. */
static enum wm_status not_found(const char *message, struct wm_err *err)
{
    (void)wm_fail(err, WM_E_DENIED, "%s", message);
    if (err)
        (void)wm_view_copy(WM_LIT("CredentialsNotFound"), err->code, sizeof err->code); /* fits */
    return WM_E_DENIED;
}

static enum wm_status fetch_login(const struct wm_credential_source *s, const atomic_bool *cancelled,
                                 struct wm_fetched *out, struct wm_err *err)
{
    const struct wm_store_credentials *o = &s->o;
    struct wm_err why = {0};
    enum wm_status status;
    if (o->access_key_id.len) {
        bool fits = wm_view_copy(o->access_key_id, out->c.access_key_id, sizeof out->c.access_key_id) &&
                    wm_view_copy(o->secret_access_key, out->c.secret, sizeof out->c.secret) &&
                    wm_view_copy(o->session_token, out->c.session_token, sizeof out->c.session_token);
        WM_ASSERT(fits); /* wm_credential_source_new() */
        return WM_OK;
    }
    char before[WM_ERR_MESSAGE_BYTES] = "";
    if (o->file.len) {
        status = fetch_file(s, out, &why);
        bool more = status == WM_E_NOT_FOUND && (o->container_uri.len || o->instance_endpoint.len);
        if (!more)
            return status == WM_OK || status == WM_E_NOMEM ? wm_fail(err, status, "%s", why.message)
                                                           : not_found(why.message, err);
        out->from_file = false;
        memcpy(before, why.message, sizeof before);
    }
    status = o->container_uri.len ? fetch_container(s, cancelled, out, &why) : fetch_instance(s, cancelled, out, &why);
    if (status == WM_E_UNAVAILABLE && !o->container_uri.len) { /* few machines have one: that is no outage */
        struct wm_buf both;
        wm_buf_init(&both, WM_ERR_MESSAGE_BYTES * 2);
        wm_buf_addf(&both, "%s%s%s", before, before[0] ? "; " : "", why.message);
        status = not_found(wm_buf_cstr(&both), err);
        wm_buf_done(&both);
    } else if (status == WM_E_UNAVAILABLE || status == WM_E_NOMEM || status == WM_E_END) {
        if (err)
            *err = why;
    } else if (status != WM_OK) { /* no token in its file */
        status = not_found(why.message, err);
    }
    return status;
}

enum wm_status wm_credential_fetch(const struct wm_credential_source *s, const atomic_bool *cancelled,
                                   struct wm_fetched *out, struct wm_err *err)
{
    *out = (struct wm_fetched){0};
    enum wm_status status = fetch_login(s, cancelled, out, err);
    return status == WM_OK && s->o.role_arn.len ? fetch_role(s, cancelled, out, err) : status;
}
