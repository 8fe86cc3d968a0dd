/*
 * One call of an S3 API: signed, sent, judged by the table of failures, and sent again where that says how to mend it.
 * What real servers answer, and what is therefore normal here: clients.md B.1; Amazon S3 API Reference, "Error
 * responses".
 */
#include <stdio.h>
#include <stdlib.h>

#include "s3_xml.h"
#include "store_s3_int.h"
#include "waymark/hash.h"
#include "waymark/log.h"

#include "waymark/banned.h"

/* A PUT has so much more time for its body, 16 KB a second: over a thin line a trail file of 5 MB takes minutes, and
   whoever starts it anew after one never ends. */
#define S3_UPLOAD_MIN_BYTES_PER_MS 16
#define S3_MAX_RETRY_AFTER_MS (3600ll * 1000)
/* Smaller differences are not what a "too skewed" is about (SigV4 allows 5 to 15 minutes). */
#define S3_MIN_SKEW_S 60

/* The cache of signing keys goes by key id; the same id may have got another secret. */
static enum wm_status call_prepare(struct store_s3 *s3, uint64_t generation, struct wm_err *err)
{
    if (!s3->http && !(s3->http = wm_http_client_new(&s3->core->http, &s3->base.cancelled, err)))
        return WM_E_NOMEM;
    if (s3->cache && s3->generation == generation)
        return WM_OK;
    wm_sigv4_cache_free(s3->cache);
    s3->cache = wm_sigv4_cache_new();
    s3->generation = generation;
    return s3->cache ? WM_OK : wm_fail(err, WM_E_NOMEM, "no memory for signing keys");
}

/* ---- what an answer means ---- */

struct s3_error {
    bool is_error; /* the document is one */
    char code[WM_ERR_CODE_BYTES];
    char message[256];
    char region[WM_S3_MAX_REGION_BYTES];
};

static void error_begin(void *arg, const char *path)
{
    struct s3_error *e = arg;
    if (strcmp(path, "Error") == 0)
        e->is_error = true;
}

static enum wm_status error_leaf(void *arg, const char *path, struct wm_view text)
{
    struct s3_error *e = arg;
    text = wm_view_trim(text);
    if (strcmp(path, "Error/Code") == 0)
        (void)wm_view_copy(text, e->code, sizeof e->code); /* an overlong one counts as none */
    else if (strcmp(path, "Error/Message") == 0)
        (void)wm_view_copy(wm_view_sub(text, 0, sizeof e->message - 1), e->message, sizeof e->message); /* cut to fit */
    else if (strcmp(path, "Error/Region") == 0)
        (void)wm_view_copy(text, e->region, sizeof e->region); /* likewise */
    return WM_OK;
}

/* What is asked for, for messages: "PUT host/bucket/key". */
static void call_name(const struct store_s3 *s3, const struct s3_request *q, const char *host, struct wm_buf *out)
{
    wm_buf_addf(out, "%s %s%s%s%.*s", q->method, host, s3->core->path_bucket, q->key.len ? "/" : "", WM_ARG(q->key));
}

static enum wm_status call_fail(struct store_s3 *s3, const struct s3_request *q, const char *host,
                                const struct wm_s3_failure *f, const char *what, struct wm_err *err)
{
    struct wm_buf name;
    wm_buf_init(&name, WM_S3_MAX_HOST_BYTES + 2048);
    call_name(s3, q, host, &name);
    /* About a bucket, not about an object: store.h keeps the two apart. */
    bool no_bucket = f->status == WM_E_NOT_FOUND && f->class == WM_S3_SETTING && strcmp(q->method, "PUT") != 0;
    enum wm_status status = no_bucket ? WM_E_UNAVAILABLE : f->status;
    (void)wm_fail(err, status, "%s: %s; %s", wm_buf_cstr(&name), what, f->advice);
    if (err)
        err->retryable = wm_s3_failure_transient(f);
    wm_buf_done(&name);
    return status;
}

static int64_t retry_after_ms(const struct store_s3 *s3, const struct wm_http_reply *r, int64_t skew_s)
{
    struct wm_view text = wm_http_reply_header(r, "retry-after"); /* RFC 9110 section 10.2.3: seconds, or a date */
    uint64_t s;
    int64_t at_s, ms = 0;
    if (text.len == 0)
        return 0;
    if (wm_view_to_u64(text, UINT64_MAX, &s) == WM_OK)
        ms = s > S3_MAX_RETRY_AFTER_MS / 1000 ? S3_MAX_RETRY_AFTER_MS : (int64_t)s * 1000;
    else if (wm_http_date(text, &at_s))
        ms = (at_s - wm_wall_seconds(wm_clock_wall(s3->core->clock)) - skew_s) * 1000;
    return ms < 0 ? 0 : ms > S3_MAX_RETRY_AFTER_MS ? S3_MAX_RETRY_AFTER_MS : ms;
}

/* Where and when the request was signed for. */
struct s3_scope {
    char host[WM_S3_MAX_HOST_BYTES];
    char region[WM_S3_MAX_REGION_BYTES];
    int64_t skew_s;
    bool md5;
};

static bool wants_md5(const struct s3_error *e)
{
    return strcmp(e->code, "InvalidRequest") == 0 && strstr(e->message, "Content-MD5");
}

/* Turn an answer into a status; WM_OK for a 2xx without an error document in it. *out: the row of a failure. */
static enum wm_status call_judge(struct store_s3 *s3, const struct s3_request *q, const struct s3_scope *scope,
                                 const struct wm_http_reply *r, struct s3_error *e, const struct wm_s3_failure **out,
                                 struct wm_err *err)
{
    bool good = r->status >= 200 && r->status < 300;
    *e = (struct s3_error){0};
    struct wm_view text = wm_view_trim(wm_buf_view(&r->text));
    if (text.len && text.ptr[0] == '<')
        (void)wm_s3_xml_parse(text, error_leaf, error_begin, e); /* a page of a proxy says nothing more */
    if (good && !e->is_error)
        return WM_OK;

    const struct wm_s3_failure *f = wm_s3_failure_find(wants_md5(e) ? "MissingContentMD5" : e->code, r->status);
    atomic_store(&s3->base.retry_after_ms, retry_after_ms(s3, r, scope->skew_s));
    if (!e->code[0])
        (void)snprintf(e->code, sizeof e->code, "Http%ld", r->status); /* fits */
    if (!e->region[0])
        (void)wm_view_copy(wm_http_reply_header(r, "x-amz-bucket-region"), e->region, sizeof e->region); /* likewise */
    char what[WM_ERR_MESSAGE_BYTES];
    (void)snprintf(what, sizeof what, "%ld %s%s%s%s%s", r->status, e->code, e->message[0] ? ": " : "", e->message,
                   f->action == WM_S3_MOVE && e->region[0] ? "; the bucket is in region " : "",
                   f->action == WM_S3_MOVE ? e->region : ""); /* a cut message is still a message */
    enum wm_status status = call_fail(s3, q, scope->host, f, what, err);
    if (err) {
        err->http_status = (int)r->status;
        (void)wm_view_copy(wm_view_of(e->code), err->code, sizeof err->code); /* same size */
    }
    *out = f;
    return status;
}

/* ---- mending ---- */

/* The store's Date against our clock. True when it tells more than we knew. */
static bool mend_clock(struct store_s3 *s3, const struct s3_scope *scope, const struct wm_http_reply *r)
{
    int64_t skew_s;
    if (!wm_http_reply_skew(r, s3->core->clock, &skew_s))
        return false;
    int64_t change = skew_s - scope->skew_s;
    if (change > -S3_MIN_SKEW_S && change < S3_MIN_SKEW_S)
        return false;
    wm_mutex_lock(&s3->core->locked.mu);
    s3->core->locked.skew_s = skew_s;
    wm_mutex_unlock(&s3->core->locked.mu);
    wm_log(WM_EV_STORE_CLOCK, "bucket=%s host=%s ahead_s=%lld", s3->base.bucket, scope->host, (long long)skew_s);
    return true;
}

static bool region_good(const char *region)
{
    for (const char *p = region; *p; p++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_", *p))
            return false;
    return region[0] != '\0';
}

/* AWS has a host for each region: the region's name in it is exchanged. Any other host serves all its regions. */
static void host_move(char host[WM_S3_MAX_HOST_BYTES], const char *from, const char *to)
{
    char part[WM_S3_MAX_REGION_BYTES + 2], moved[WM_S3_MAX_HOST_BYTES];
    struct wm_view whole = wm_view_of(host);
    if (!wm_view_ends(whole, ".amazonaws.com") && !wm_view_ends(whole, ".amazonaws.com.cn"))
        return;
    (void)snprintf(part, sizeof part, ".%s.", from); /* fits */
    const char *at = strstr(host, part);
    if (!at)
        return;
    int n = snprintf(moved, sizeof moved, "%.*s.%s.%s", (int)(at - host), host, to, at + strlen(part));
    if (n > 0 && (size_t)n < sizeof moved)
        memcpy(host, moved, (size_t)n + 1);
}

/* Sign for the region that the answer names. Where Location points is not asked: we send records to no other host. */
static bool mend_region(struct store_s3 *s3, const struct s3_scope *scope, const struct s3_error *e)
{
    if (!region_good(e->region) || strcmp(e->region, scope->region) == 0)
        return false;
    wm_mutex_lock(&s3->core->locked.mu);
    host_move(s3->core->locked.host, s3->core->locked.region, e->region);
    memcpy(s3->core->locked.region, e->region, sizeof s3->core->locked.region);
    wm_mutex_unlock(&s3->core->locked.mu);
    wm_log(WM_EV_STORE_REGION, "bucket=%s set=%s region=%s", s3->base.bucket, scope->region, e->region);
    return true;
}

/* One bit for each action that was tried in a call. */
static bool call_mend(struct store_s3 *s3, const struct wm_s3_failure *f, const struct s3_scope *scope,
                      const struct s3_error *e, const struct wm_http_reply *r, uint64_t generation, unsigned *tried)
{
    /* Answers to HEAD have no document, so the headers must do; a clock or a region may also be behind a plain 403. */
    if (f->class != WM_S3_ANSWER && r->status >= 300 && r->status < 500 && !(*tried & 1u << WM_S3_MOVE) &&
        mend_region(s3, scope, e)) {
        *tried |= 1u << WM_S3_MOVE;
        return true;
    }
    if (f->class == WM_S3_ACCESS && !(*tried & 1u << WM_S3_SET_CLOCK) && mend_clock(s3, scope, r)) {
        *tried |= 1u << WM_S3_SET_CLOCK;
        return true;
    }
    if (*tried & 1u << f->action)
        return false;
    *tried |= 1u << f->action;
    if (f->action == WM_S3_RENEW || f->action == WM_S3_READ_AGAIN)
        return wm_credential_source_renew(s3->core->credentials, generation, f->action == WM_S3_RENEW,
                                          &s3->base.cancelled);
    if (f->action == WM_S3_ADD_MD5 && !scope->md5) {
        wm_mutex_lock(&s3->core->locked.mu);
        s3->core->locked.md5 = true;
        wm_mutex_unlock(&s3->core->locked.mu);
        return true;
    }
    return false;
}

/* ---- the call ---- */

/* What a PUT has beside the caller's headers. Texts live in the struct. */
struct put_headers {
    char checksum[48], md5[32], until[WM_TIME_ISO_BYTES];
};

static enum wm_status base64_text(const void *data, size_t len, char *out, size_t out_bytes)
{
    struct wm_buf b;
    wm_buf_init(&b, out_bytes);
    wm_base64(&b, data, len);
    enum wm_status status = wm_buf_status(&b);
    if (status == WM_OK && !wm_view_copy(wm_buf_view(&b), out, out_bytes))
        status = WM_E_LIMIT;
    wm_buf_done(&b);
    return status;
}

/* @param now  as the store sees it */
static enum wm_status add_put_headers(const struct store_s3 *s3, const struct s3_request *q, bool md5,
                                      struct wm_wall_ns now, struct wm_aws_request *a, struct put_headers *h,
                                      struct wm_err *err)
{
    uint8_t hash[WM_SHA256_BYTES];
    bool is_hex = wm_hex_decode(q->sha256_hex, hash, sizeof hash);
    WM_ASSERT(is_hex);
    enum wm_status status = base64_text(hash, sizeof hash, h->checksum, sizeof h->checksum);
    if (status == WM_OK && md5) {
        wm_md5(q->body.ptr, q->body.len, hash);
        status = base64_text(hash, WM_MD5_BYTES, h->md5, sizeof h->md5);
    }
    if (status != WM_OK)
        return wm_fail(err, status, "no memory for the headers of a request");
    wm_aws_header(a, WM_LIT("x-amz-checksum-sha256"), wm_view_of(h->checksum));
    if (md5)
        wm_aws_header(a, WM_LIT("content-md5"), wm_view_of(h->md5));
    for (size_t i = 0; i < s3->core->n_put_headers; i++)
        wm_aws_header(a, s3->core->put_headers[i].name, s3->core->put_headers[i].value);
    if (s3->core->object_lock) {
        struct wm_wall_ns until = {now.ns + s3->core->object_lock_days * 24 * 3600 * WM_NS_PER_S};
        wm_time_iso(until, h->until);
        wm_aws_header(a, WM_LIT("x-amz-object-lock-mode"), wm_view_of(s3->core->object_lock));
        wm_aws_header(a, WM_LIT("x-amz-object-lock-retain-until-date"), wm_view_of(h->until));
    }
    return WM_OK;
}

/* Send once. @return WM_OK when an answer came, whatever it says */
static enum wm_status call_send(struct store_s3 *s3, const struct s3_request *q, const struct s3_scope *scope,
                                const struct wm_credentials *credentials, struct wm_http_reply *r, struct wm_err *err)
{
    struct put_headers h;
    struct wm_buf path;
    struct wm_wall_ns now = wm_clock_wall(s3->core->clock);
    now.ns += scope->skew_s * WM_NS_PER_S;
    wm_buf_init(&path, WM_AWS_MAX_URL_BYTES);
    wm_buf_add_str(&path, s3->core->path_bucket);
    if (q->key.len || !s3->core->path_bucket[0])
        wm_buf_add_char(&path, '/');
    wm_uri_encode(&path, q->key, true);
    struct wm_aws_request a = {
        .service = "s3", .method = q->method, .scheme = s3->core->scheme, .host = scope->host,
        .path = wm_buf_view(&path), .query = q->query, .body = q->body, .sha256_hex = q->sha256_hex,
        .timeout_ms = s3->core->request_timeout_ms + (int64_t)(q->body.len / S3_UPLOAD_MIN_BYTES_PER_MS),
    };
    for (size_t i = 0; i < q->n_headers; i++)
        wm_aws_header(&a, q->headers[i].name, q->headers[i].value);
    if (q->conditional)
        wm_aws_header(&a, WM_LIT("if-none-match"), WM_LIT("*"));
    enum wm_status status = wm_buf_status(&path);
    if (status != WM_OK)
        status = wm_fail(err, status, "the URL of %.*s is too long", WM_ARG(q->key));
    else if (strcmp(q->method, "PUT") == 0)
        status = add_put_headers(s3, q, scope->md5 || s3->core->object_lock, now, &a, &h, err);
    if (status == WM_OK) {
        struct wm_err why;
        status = wm_aws_send(s3->http, s3->cache, &a, credentials, scope->region, now, r, &why);
        if (status == WM_E_UNAVAILABLE) {
            (void)call_fail(s3, q, scope->host, wm_s3_failure_find(why.code, 0), why.message, err);
            if (err) {
                memcpy(err->code, why.code, sizeof err->code);
                err->sys_errno = why.sys_errno;
            }
        } else if (status != WM_OK) {
            (void)wm_fail(err, status, "%s %s: %s", q->method, scope->host, why.message);
        }
    }
    wm_buf_done(&path);
    return status;
}

static enum wm_status call_login(struct store_s3 *s3, struct wm_credentials *out, uint64_t *out_generation,
                                 struct wm_err *err)
{
    struct wm_err why;
    enum wm_status status = wm_credential_source_get(s3->core->credentials, &s3->base.cancelled, out, out_generation,
                                                     &why);
    if (status == WM_OK || !err)
        return status;
    const char *advice = wm_s3_failure_find(why.code, why.http_status)->advice;
    (void)wm_fail(err, status, "credentials: %s%s%s", why.message, why.code[0] ? "; " : "", why.code[0] ? advice : "");
    err->http_status = why.http_status;
    err->retryable = why.retryable;
    memcpy(err->code, why.code, sizeof err->code);
    return status;
}

enum wm_status wm_s3_call(struct store_s3 *s3, const struct s3_request *q, struct wm_http_reply *r, struct wm_err *err)
{
    struct wm_credentials credentials;
    uint64_t generation;
    unsigned tried = 0;
    for (;;) { /* each action at most once */
        struct s3_scope scope;
        wm_mutex_lock(&s3->core->locked.mu);
        memcpy(scope.host, s3->core->locked.host, sizeof scope.host);
        memcpy(scope.region, s3->core->locked.region, sizeof scope.region);
        scope.skew_s = s3->core->locked.skew_s;
        scope.md5 = s3->core->locked.md5;
        wm_mutex_unlock(&s3->core->locked.mu);
        enum wm_status status = call_login(s3, &credentials, &generation, err);
        if (status == WM_OK)
            status = call_prepare(s3, generation, err);
        if (status == WM_OK)
            status = call_send(s3, q, &scope, &credentials, r, err);
        wm_credentials_wipe(&credentials);
        if (status != WM_OK)
            return status;
        struct s3_error e;
        const struct wm_s3_failure *f;
        status = call_judge(s3, q, &scope, r, &e, &f, err);
        if (status == WM_OK || !call_mend(s3, f, &scope, &e, r, generation, &tried))
            return status;
        atomic_store(&s3->base.retry_after_ms, 0);
    }
}
