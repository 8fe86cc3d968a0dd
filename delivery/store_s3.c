/* A bucket behind an S3 API: its options, put and get. */
#include "store_s3_int.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "waymark/bounds.h"
#include "waymark/log.h"
#include "waymark/tags.h"

#include "waymark/banned.h"

#define S3_OPTION_BYTES ((size_t)64 * 1024)
#define S3_CONNECT_TIMEOUT_MS 5000
#define S3_REQUEST_TIMEOUT_MS 60000
#define S3_MAX_LOCK_DAYS 36500

struct store_s3 *wm_store_s3_of(struct wm_store *s)
{
    WM_ASSERT(s->magic == WM_STORE_MAGIC);
    return (struct store_s3 *)(void *)s;
}

/* ---- put ---- */

static enum wm_status s3_head(struct store_s3 *s3, struct wm_view key, struct wm_err *err)
{
    const struct s3_request q = {.method = "HEAD", .key = key, .sha256_hex = WM_S3_EMPTY_SHA256};
    struct wm_http_reply r;
    wm_http_reply_init(&r, NULL);
    enum wm_status status = wm_s3_call(s3, &q, &r, err);
    wm_http_reply_done(&r);
    return status;
}

static enum wm_status s3_put(struct store_s3 *s3, struct s3_request *q, bool conditional, struct wm_err *err)
{
    struct wm_http_reply r;
    q->conditional = conditional;
    wm_http_reply_init(&r, NULL);
    enum wm_status status = wm_s3_call(s3, q, &r, err);
    wm_http_reply_done(&r);
    return status;
}

static enum wm_s3_condition s3_condition(struct store_s3 *s3)
{
    wm_mutex_lock(&s3->core->locked.mu);
    enum wm_s3_condition condition = s3->core->locked.condition;
    wm_mutex_unlock(&s3->core->locked.mu);
    return condition;
}

static void s3_learn_condition(struct store_s3 *s3, enum wm_s3_condition condition)
{
    wm_mutex_lock(&s3->core->locked.mu);
    bool news = s3->core->locked.condition != condition;
    s3->core->locked.condition = condition;
    wm_mutex_unlock(&s3->core->locked.mu);
    if (news && condition == WM_S3_CONDITION_IGNORED)
        wm_log(WM_EV_STORE_UNCONDITIONAL, "bucket=%s", s3->base.bucket);
}

/*
 * Two daemons must not overwrite each other, nor anybody a file that is there. What a store says of If-None-Match is
 * not to be believed: Swift's answers 501 even for a new key, others take the header and overwrite (clients.md B.1). So
 * nothing is known until a 412 was seen, and the first object that is stored is put once more: the bytes that are there
 * anyway, so a store that overwrites changes nothing. The probe needs no object of its own, which somebody would have to
 * explain, and no right to delete.
 */
static enum wm_status s3_probe(struct store_s3 *s3, struct s3_request *q)
{
    enum wm_status status = s3_put(s3, q, true, NULL);
    if (status == WM_E_EXISTS)
        s3_learn_condition(s3, WM_S3_CONDITION_HELD);
    else if (status == WM_OK)
        s3_learn_condition(s3, WM_S3_CONDITION_IGNORED);
    atomic_store(&s3->base.retry_after_ms, 0);
    return WM_OK; /* the object is there; what the probe could not tell, the next one will */
}

static enum wm_status store_s3_put(struct wm_store *s, struct wm_view key, struct wm_view body,
                                   struct wm_view sha256_hex, const struct wm_store_header *headers, size_t n_headers,
                                   struct wm_err *err)
{
    struct store_s3 *s3 = wm_store_s3_of(s);
    struct s3_request q = {.method = "PUT", .key = key, .body = body, .sha256_hex = sha256_hex, .headers = headers,
                           .n_headers = n_headers};
    enum wm_s3_condition condition = s3_condition(s3);
    enum wm_status status;
    bool absent = false; /* as far as was looked */
    if (condition != WM_S3_CONDITION_HELD) {
        status = s3_head(s3, key, err);
        if (status == WM_OK)
            return wm_fail(err, WM_E_EXISTS, "an object %.*s is there", WM_ARG(key));
        /* A login that may only put is not told what is there; and an answer to PUT says more of what is wrong. */
        absent = status == WM_E_NOT_FOUND;
        if (!absent && (condition == WM_S3_CONDITION_IGNORED || (status != WM_E_DENIED && status != WM_E_INVALID)))
            return status;
    }
    if (condition != WM_S3_CONDITION_IGNORED) {
        status = s3_put(s3, &q, true, err);
        if (status == WM_E_EXISTS)
            s3_learn_condition(s3, WM_S3_CONDITION_HELD);
        if (status == WM_OK && condition == WM_S3_CONDITION_UNKNOWN)
            return s3_probe(s3, &q);
        if (status != WM_E_UNSUPPORTED || !absent)
            return status;
    }
    /* What may come between looking and putting is a second daemon on our prefix: keys are our own. */
    status = s3_put(s3, &q, false, err);
    if (status == WM_OK)
        s3_learn_condition(s3, WM_S3_CONDITION_IGNORED); /* it was the condition that it did not take, nothing else */
    return status;
}

/* ---- get ---- */

static enum wm_status s3_copy_headers(const struct wm_http_reply *r, struct wm_arena *a, struct wm_store_header *out,
                                      size_t *out_n, struct wm_err *err)
{
    struct wm_view rest = wm_buf_view(&r->headers);
    *out_n = 0;
    while (rest.len && *out_n < WM_STORE_MAX_HEADERS) {
        struct wm_view line = wm_view_split(&rest, '\n');
        if (!wm_view_starts(line, "content-") && !wm_view_starts(line, "x-amz-meta-"))
            continue;
        size_t colon = wm_view_find(line, ':');
        struct wm_store_header h = {wm_arena_copy(a, wm_view_sub(line, 0, colon)),
                                    wm_arena_copy(a, wm_view_sub(line, colon + 1, line.len))};
        out[(*out_n)++] = h;
    }
    enum wm_status status = wm_arena_status(a);
    return status == WM_OK ? WM_OK : wm_fail(err, status, "no memory for the headers of an object");
}

static enum wm_status store_s3_get(struct wm_store *s, struct wm_view key, struct wm_buf *body, struct wm_arena *a,
                                   struct wm_store_header *out_headers, size_t *out_n, struct wm_err *err)
{
    struct store_s3 *s3 = wm_store_s3_of(s);
    if (key.len == 0 || key.len > WM_MAX_OBJECT_KEY_BYTES)
        return wm_fail(err, WM_E_NOT_FOUND, "no bucket has a key of %zu bytes", key.len);
    const struct s3_request q = {.method = "GET", .key = key, .sha256_hex = WM_S3_EMPTY_SHA256};
    struct wm_http_reply r;
    wm_http_reply_init(&r, body);
    enum wm_status status = wm_s3_call(s3, &q, &r, err);
    if (status == WM_OK && a)
        status = s3_copy_headers(&r, a, out_headers, out_n, err);
    wm_http_reply_done(&r);
    return status;
}

/* ---- life ---- */

static void core_leave(struct s3_core *core)
{
    wm_mutex_lock(&core->locked.mu);
    bool last = --core->locked.handles == 0;
    wm_mutex_unlock(&core->locked.mu);
    if (!last)
        return;
    wm_credential_source_free(core->credentials);
    wm_mutex_done(&core->locked.mu);
    wm_arena_done(&core->memory);
    free(core);
}

static void store_s3_free(struct wm_store *s)
{
    struct store_s3 *s3 = (struct store_s3 *)(void *)s; /* its magic is gone already */
    wm_http_client_free(s3->http);
    wm_sigv4_cache_free(s3->cache);
    core_leave(s3->core);
    free(s3);
}

static const struct wm_store_ops store_s3_ops = {
    .put = store_s3_put,
    .get = store_s3_get,
    .list = wm_s3_list,
    .free = store_s3_free,
};

static enum wm_status s3_set_place(struct store_s3 *s3, const struct wm_store_s3_options *o, struct wm_err *err)
{
    struct wm_view region = o->region.len ? o->region : WM_LIT("us-east-1"), host = WM_EMPTY;
    if (!wm_view_copy(region, s3->core->locked.region, sizeof s3->core->locked.region))
        return wm_fail(err, WM_E_INVALID, "region is longer than %zu characters", sizeof s3->core->locked.region - 1);
    s3->core->scheme = "https";
    if (!o->endpoint.len)
        host = wm_arena_printf(&s3->core->memory, "s3.%.*s.amazonaws.com", WM_ARG(region));
    else if (!wm_aws_endpoint(o->endpoint, &s3->core->scheme, &host))
        return wm_fail(err, WM_E_INVALID, "endpoint %.*s is not http:// or https://, a host and a port",
                       WM_ARG(o->endpoint));
    struct wm_buf path;
    wm_buf_init(&path, 1024);
    if (!o->virtual_host) {
        wm_buf_add_char(&path, '/');
        wm_uri_encode(&path, o->bucket, false);
    }
    s3->core->path_bucket = wm_arena_copy(&s3->core->memory, wm_buf_view(&path)).ptr;
    enum wm_status status = wm_buf_status(&path);
    wm_buf_done(&path);
    struct wm_view whole = o->virtual_host
                               ? wm_arena_printf(&s3->core->memory, "%.*s.%.*s", WM_ARG(o->bucket), WM_ARG(host))
                               : host;
    if (status != WM_OK || wm_arena_status(&s3->core->memory) != WM_OK)
        return wm_fail(err, WM_E_NOMEM, "no memory for a store");
    if (!s3->core->path_bucket)
        s3->core->path_bucket = "";
    if (!wm_view_copy(whole, s3->core->locked.host, sizeof s3->core->locked.host))
        return wm_fail(err, WM_E_INVALID, "endpoint and bucket are longer than %zu characters",
                       sizeof s3->core->locked.host - 1);
    return WM_OK;
}

static void s3_put_header(struct store_s3 *s3, struct wm_view name, struct wm_view value)
{
    WM_ASSERT(s3->core->n_put_headers < sizeof s3->core->put_headers / sizeof s3->core->put_headers[0]);
    if (value.len)
        s3->core->put_headers[s3->core->n_put_headers++] =
            (struct wm_sigv4_header){name, wm_arena_copy(&s3->core->memory, value)};
}

static enum wm_status s3_set_headers(struct store_s3 *s3, const struct wm_store_s3_options *o, struct wm_err *err)
{
    const struct {
        const char *name;
        struct wm_view value;
    } texts[] = {{"acl", o->acl}, {"encryption", o->encryption}, {"kms_key_id", o->kms_key_id},
                 {"storage_class", o->storage_class}, {"object_lock", o->object_lock}};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        for (size_t k = 0; k < texts[i].value.len; k++)
            if ((unsigned char)texts[i].value.ptr[k] <= ' ' || texts[i].value.ptr[k] == 0x7f)
                return wm_fail(err, WM_E_INVALID, "%s has a blank or a control character", texts[i].name);
    if (o->kms_key_id.len && !wm_view_eq_str(o->encryption, "aws:kms"))
        return wm_fail(err, WM_E_INVALID, "kms_key_id goes with encryption aws:kms only");
    if (!wm_tags_valid(o->tags))
        return wm_fail(err, WM_E_INVALID, "tags %.*s are not KEY=VALUE,…", WM_ARG(o->tags));
    if (o->object_lock.len ? o->object_lock_days < 1 || o->object_lock_days > S3_MAX_LOCK_DAYS : o->object_lock_days)
        return wm_fail(err, WM_E_INVALID, "object_lock goes with 1 to %d object_lock_days", S3_MAX_LOCK_DAYS);

    struct wm_buf tags;
    wm_buf_init(&tags, WM_MAX_TAGS_ENCODED_BYTES);
    wm_tags_encode(o->tags, &tags);
    s3_put_header(s3, WM_LIT("x-amz-acl"), o->acl);
    s3_put_header(s3, WM_LIT("x-amz-server-side-encryption"), o->encryption);
    s3_put_header(s3, WM_LIT("x-amz-server-side-encryption-aws-kms-key-id"), o->kms_key_id);
    s3_put_header(s3, WM_LIT("x-amz-storage-class"), o->storage_class);
    s3_put_header(s3, WM_LIT("x-amz-tagging"), wm_buf_view(&tags));
    if (o->object_lock.len)
        s3->core->object_lock = wm_arena_copy(&s3->core->memory, o->object_lock).ptr;
    s3->core->object_lock_days = o->object_lock_days;
    enum wm_status status = wm_buf_status(&tags);
    wm_buf_done(&tags);
    if (status == WM_OK)
        status = wm_arena_status(&s3->core->memory);
    return status == WM_OK ? WM_OK : wm_fail(err, status, "no memory for a store");
}

static enum wm_status s3_set_http(struct store_s3 *s3, const struct wm_store_s3_options *o, struct wm_err *err)
{
    const char *scheme;
    struct wm_view host;
    s3->core->http.connect_timeout_ms = o->connect_timeout_ms ? o->connect_timeout_ms : S3_CONNECT_TIMEOUT_MS;
    s3->core->request_timeout_ms = o->request_timeout_ms ? o->request_timeout_ms : S3_REQUEST_TIMEOUT_MS;
    if (o->ca_file.len)
        s3->core->http.ca_file = wm_arena_copy(&s3->core->memory, o->ca_file).ptr;
    if (wm_view_eq_str(o->proxy, "none"))
        s3->core->http.proxy = "";
    else if (o->proxy.len && !wm_aws_endpoint(o->proxy, &scheme, &host))
        return wm_fail(err, WM_E_INVALID, "proxy %.*s is not http:// or https://, a host and a port", WM_ARG(o->proxy));
    else if (o->proxy.len)
        s3->core->http.proxy = wm_arena_copy(&s3->core->memory, o->proxy).ptr;
    return wm_arena_status(&s3->core->memory) == WM_OK ? WM_OK : wm_fail(err, WM_E_NOMEM, "no memory for a store");
}

static enum wm_status s3_handle(struct s3_core *core, struct wm_view bucket, struct store_s3 **out, struct wm_err *err)
{
    struct store_s3 *s3 = calloc(1, sizeof *s3);
    enum wm_status status = s3 ? wm_store_init(&s3->base, &store_s3_ops, bucket, err)
                               : wm_fail(err, WM_E_NOMEM, "no memory for a store");
    if (status != WM_OK) {
        free(s3);
        return status;
    }
    s3->core = core;
    wm_mutex_lock(&core->locked.mu);
    core->locked.handles++;
    wm_mutex_unlock(&core->locked.mu);
    *out = s3;
    return WM_OK;
}

enum wm_status wm_store_s3_new(const struct wm_store_s3_options *o, struct wm_store **out, struct wm_err *err)
{
    if (o->bucket.len == 0 || o->bucket.len > 255 || wm_view_find(o->bucket, '/') != o->bucket.len)
        return wm_fail(err, WM_E_INVALID, "bucket is empty, too long or has a slash");
    if (o->connect_timeout_ms < 0 || o->request_timeout_ms < 0 || o->connect_timeout_ms > INT_MAX ||
        o->request_timeout_ms > INT_MAX)
        return wm_fail(err, WM_E_INVALID, "a timeout is negative or too long");

    struct s3_core *core = calloc(1, sizeof *core);
    if (!core)
        return wm_fail(err, WM_E_NOMEM, "no memory for a store");
    wm_arena_init(&core->memory, S3_OPTION_BYTES);
    wm_mutex_init(&core->locked.mu);
    core->clock = o->clock ? o->clock : &wm_clock_system;
    core->locked.handles = 1; /* ours, until a handle has it */
    struct store_s3 *s3 = NULL;
    enum wm_status status = s3_handle(core, o->bucket, &s3, err);
    core_leave(core);
    if (status != WM_OK)
        return status;
    status = s3_set_place(s3, o, err);
    if (status == WM_OK)
        status = s3_set_headers(s3, o, err);
    if (status == WM_OK)
        status = s3_set_http(s3, o, err);
    if (status == WM_OK)
        status = wm_credential_source_new(&o->credentials, wm_view_of(core->locked.region), &core->http, core->clock,
                                          &core->credentials, err);
    if (status != WM_OK) {
        wm_store_free(&s3->base);
        return status;
    }
    *out = &s3->base;
    return WM_OK;
}

enum wm_status wm_store_s3_share(struct wm_store *of, struct wm_store **out, struct wm_err *err)
{
    struct store_s3 *s3 = NULL;
    enum wm_status status = s3_handle(wm_store_s3_of(of)->core, wm_store_bucket(of), &s3, err);
    if (status == WM_OK)
        *out = &s3->base;
    return status;
}
