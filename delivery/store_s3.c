/*
 * A bucket behind an S3 API. The only file that includes curl.h.
 *
 * One easy handle per store: requests go over one kept-alive connection, each signed by our own signer (sigv4.h;
 * libcurl's own had canonicalisation faults in Debian 12's version, clients.md D). Redirects are never followed, since
 * a signature belongs to one host. What real servers answer, and what is therefore normal here: clients.md B.1;
 * Amazon S3 API Reference, "Error responses".
 */
#include "store_int.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "s3_xml.h"
#include "waymark/bounds.h"
#include "waymark/credentials.h"
#include "waymark/hash.h"
#include "waymark/sigv4.h"
#include "waymark/sync.h"

#include "waymark/banned.h"

#define S3_CONNECT_TIMEOUT_MS 5000
#define S3_REQUEST_TIMEOUT_MS 60000
/* A PUT has so much more time for its body, 16 KB a second: over a thin line a trail file of 5 MB takes minutes, and
   whoever starts it anew after one never ends. */
#define S3_UPLOAD_MIN_BYTES_PER_MS 16
/* libcurl's largest; with the default of 64 KiB a PUT of 5 MiB costs twice the CPU (limits.md 8). */
#define S3_UPLOAD_BUFFER_BYTES (2l * 1024 * 1024)
#define S3_DOWNLOAD_BUFFER_BYTES (512l * 1024)
#define S3_MAX_URL_BYTES ((size_t)8 * 1024)
#define S3_MAX_HEADER_BYTES ((size_t)64 * 1024)
#define S3_MAX_RETRY_AFTER_MS (3600ll * 1000)
#define S3_PAGE_KEYS 1000
/* Pages without a key come where many objects were just deleted, but a listing that goes on so has no end. */
#define S3_MAX_EMPTY_PAGES 32
/* Smaller differences are not what a "too skewed" is about (SigV4 allows 5 to 15 minutes). */
#define S3_MIN_SKEW_S 60

#define EMPTY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

struct store_s3 {
    struct wm_store base;
    CURL *curl;
    struct wm_sigv4_cache *cache;
    const struct wm_clock *clock;
    char *scheme;  /* "http", "https" */
    char *host;    /* as in the Host header: with its port unless it is the scheme's own */
    char *region;
    char *profile;
    char *credentials_file; /* NULL: the credentials were given */
    char *ca_file;          /* NULL: the system's */
    char *path_bucket;      /* "/bucket", or "" when the bucket is in the host name */
    long connect_timeout_ms, request_timeout_ms;
    struct wm_credentials credentials;
    struct stat credentials_stat;
    int64_t skew_s;     /* the store's clock is ahead of ours by so much */
    bool no_condition;  /* the store has said that it does not know If-None-Match */
};

static struct store_s3 *store_s3_of(struct wm_store *s)
{
    WM_ASSERT(s->magic == WM_STORE_MAGIC);
    return (struct store_s3 *)(void *)s;
}

/* ---- credentials ---- */

/* Somebody may put them there at any time. */
static enum wm_status credentials_missing(const struct wm_err *why, struct wm_err *err)
{
    (void)wm_fail(err, WM_E_DENIED, "%s", why->message);
    if (err) {
        err->retryable = true;
        (void)wm_view_copy(WM_LIT("CredentialsNotFound"), err->code, sizeof err->code); /* fits */
    }
    return WM_E_DENIED;
}

static bool same_file_state(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/**
 * Read the file again if it changed, or anyway when forced; *out_changed tells whether other credentials came of it.
 * A file that cannot be read for a moment leaves the ones that we have.
 */
static enum wm_status credentials_refresh(struct store_s3 *s3, bool force, bool *out_changed, struct wm_err *err)
{
    *out_changed = false;
    if (!s3->credentials_file)
        return WM_OK;
    const struct wm_io *io = &wm_io_posix;
    bool have = s3->credentials.access_key_id[0] != '\0';
    struct stat st;
    int fd = io->open(io->ctx, s3->credentials_file, O_RDONLY, 0);
    int rc = fd < 0 ? fd : io->fstat(io->ctx, fd, &st);
    if (fd >= 0)
        (void)io->close(io->ctx, fd); /* only looked at */
    struct wm_err why;
    if (rc < 0) {
        (void)wm_fail_errno(&why, -rc, "cannot read credentials file %s", s3->credentials_file);
        return have ? WM_OK : credentials_missing(&why, err);
    }
    if (have && !force && same_file_state(&st, &s3->credentials_stat))
        return WM_OK;

    struct wm_credentials fresh;
    enum wm_status status = wm_credentials_load(io, s3->credentials_file, wm_view_of(s3->profile), &fresh, &why);
    if (status != WM_OK)
        return have ? WM_OK : credentials_missing(&why, err);
    s3->credentials_stat = st;
    memset(fresh.region, 0, sizeof fresh.region); /* the bucket's is a setting */
    if (memcmp(&fresh, &s3->credentials, sizeof fresh) != 0) {
        /* The cache of signing keys goes by key id; the same id may have got another secret. */
        struct wm_sigv4_cache *cache = wm_sigv4_cache_new();
        if (cache) {
            wm_sigv4_cache_free(s3->cache);
            s3->cache = cache;
            s3->credentials = fresh;
            *out_changed = true;
        } else {
            status = wm_fail(err, WM_E_NOMEM, "no memory for signing keys");
        }
    }
    wm_credentials_wipe(&fresh);
    return status;
}

/* ---- one request ---- */

struct s3_request {
    const char *method;   /* GET, HEAD, PUT */
    struct wm_view key;   /* empty: the bucket itself */
    struct wm_view query; /* encoded */
    struct wm_view body;
    struct wm_view sha256_hex;
    struct wm_sigv4_header headers[WM_STORE_MAX_HEADERS + 8];
    size_t n_headers;
};

#define S3_REPLY_MAGIC 0x53335270u

struct s3_reply {
    uint32_t magic;
    struct store_s3 *s3;
    struct wm_buf *sink;   /* takes the body of a 2xx; NULL: text does */
    size_t sink_start;
    struct wm_buf text;    /* an error document, a listing */
    struct wm_buf headers; /* "name:value\n", names in lower case, of the last answer */
    struct wm_view body;   /* being sent */
    size_t sent;
    long http_status;
    bool overflow;
};

static void s3_reply_init(struct s3_reply *r, struct store_s3 *s3, struct wm_buf *sink)
{
    *r = (struct s3_reply){.magic = S3_REPLY_MAGIC, .s3 = s3, .sink = sink, .sink_start = sink ? sink->len : 0};
    wm_buf_init(&r->text, WM_MAX_STORE_REPLY_BYTES);
    wm_buf_init(&r->headers, S3_MAX_HEADER_BYTES);
}

static void s3_reply_clear(struct s3_reply *r)
{
    wm_buf_clear(&r->text);
    wm_buf_clear(&r->headers);
    if (r->sink)
        wm_buf_truncate(r->sink, r->sink_start);
    r->sent = 0;
    r->http_status = 0;
    r->overflow = false;
}

static void s3_reply_done(struct s3_reply *r)
{
    wm_buf_done(&r->text);
    wm_buf_done(&r->headers);
    r->magic = 0;
}

static struct s3_reply *s3_reply_of(void *arg)
{
    struct s3_reply *r = arg;
    WM_ASSERT(r->magic == S3_REPLY_MAGIC);
    return r;
}

static struct wm_view s3_reply_header(const struct s3_reply *r, const char *name)
{
    struct wm_view rest = wm_buf_view(&r->headers);
    while (rest.len) {
        struct wm_view line = wm_view_split(&rest, '\n');
        size_t colon = wm_view_find(line, ':');
        if (wm_view_eq_str(wm_view_sub(line, 0, colon), name))
            return wm_view_sub(line, colon + 1, line.len);
    }
    return WM_EMPTY;
}

static size_t s3_on_header(char *data, size_t size, size_t n, void *arg)
{
    struct s3_reply *r = s3_reply_of(arg);
    struct wm_view line = wm_view_trim((struct wm_view){data, size * n});
    if (wm_view_starts(line, "HTTP/")) { /* an interim answer came before */
        wm_buf_clear(&r->headers);
        return size * n;
    }
    size_t colon = wm_view_find(line, ':');
    if (colon == line.len)
        return size * n;
    for (size_t i = 0; i < colon; i++) {
        char c = line.ptr[i];
        wm_buf_add_char(&r->headers, c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c);
    }
    wm_buf_add_char(&r->headers, ':');
    wm_buf_add_view(&r->headers, wm_view_trim(wm_view_sub(line, colon + 1, line.len)));
    wm_buf_add_char(&r->headers, '\n');
    return size * n;
}

static size_t s3_on_body(char *data, size_t size, size_t n, void *arg)
{
    struct s3_reply *r = s3_reply_of(arg);
    long http_status = 0;
    (void)curl_easy_getinfo(r->s3->curl, CURLINFO_RESPONSE_CODE, &http_status); /* cannot fail for this info */
    struct wm_buf *to = r->sink && http_status >= 200 && http_status < 300 ? r->sink : &r->text;
    wm_buf_add(to, data, size * n);
    if (wm_buf_status(to) == WM_OK)
        return size * n;
    r->overflow = true;
    return 0;
}

static size_t s3_on_read(char *data, size_t size, size_t n, void *arg)
{
    struct s3_reply *r = s3_reply_of(arg);
    size_t take = size * n, left = r->body.len - r->sent;
    if (take > left)
        take = left;
    if (take)
        memcpy(data, r->body.ptr + r->sent, take);
    r->sent += take;
    return take;
}

/* libcurl rewinds when a kept-alive connection turns out to be dead. */
static int s3_on_seek(void *arg, curl_off_t offset, int origin)
{
    struct s3_reply *r = s3_reply_of(arg);
    if (origin != SEEK_SET || offset < 0 || (size_t)offset > r->body.len)
        return CURL_SEEKFUNC_FAIL;
    r->sent = (size_t)offset;
    return CURL_SEEKFUNC_OK;
}

static int s3_on_progress(void *arg, curl_off_t dltotal, curl_off_t dlnow, curl_off_t ultotal, curl_off_t ulnow)
{
    struct s3_reply *r = s3_reply_of(arg);
    (void)dltotal;
    (void)dlnow;
    (void)ultotal;
    (void)ulnow;
    return atomic_load(&r->s3->base.cancelled) ? 1 : 0;
}

static void s3_request_header(struct s3_request *q, struct wm_view name, struct wm_view value)
{
    WM_ASSERT(q->n_headers < sizeof q->headers / sizeof q->headers[0]);
    q->headers[q->n_headers++] = (struct wm_sigv4_header){name, value};
}

static bool s3_list_add(struct curl_slist **list, struct wm_buf *line, struct wm_view name, struct wm_view value)
{
    wm_buf_clear(line);
    wm_buf_add_view(line, name);
    wm_buf_add_str(line, value.len ? ": " : ";"); /* libcurl's way to send a header without a value */
    wm_buf_add_view(line, value);
    if (wm_buf_status(line) != WM_OK)
        return false;
    struct curl_slist *more = curl_slist_append(*list, wm_buf_cstr(line));
    if (!more)
        return false;
    *list = more;
    return true;
}

/* Sign, and make the list of headers to send. */
static enum wm_status s3_sign(struct store_s3 *s3, const struct s3_request *q, struct wm_view path,
                              struct curl_slist **out, struct wm_err *err)
{
    struct wm_sigv4_credentials credentials = {
        .access_key_id = wm_view_of(s3->credentials.access_key_id),
        .secret = wm_view_of(s3->credentials.secret),
        .session_token = wm_view_of(s3->credentials.session_token),
        .region = wm_view_of(s3->region),
        .service = WM_LIT("s3"),
    };
    struct wm_sigv4_request request = {
        .method = wm_view_of(q->method),
        .path = path,
        .query = q->query,
        .headers = q->headers,
        .n_headers = q->n_headers,
        .path_form = WM_SIGV4_PATH_AS_SENT,
        .payload_hash = q->sha256_hex,
    };
    struct wm_sigv4_signature signature;
    struct wm_wall_ns now = wm_clock_wall(s3->clock);
    now.ns += s3->skew_s * WM_NS_PER_S;
    enum wm_status status = wm_sigv4_sign(s3->cache, &request, &credentials, now, &signature);
    if (status != WM_OK)
        return wm_fail(err, status, "the request to %s cannot be signed", s3->host);

    struct wm_buf line;
    wm_buf_init(&line, S3_MAX_URL_BYTES);
    bool ok = true;
    for (size_t i = 0; i < q->n_headers; i++)
        ok = ok && s3_list_add(out, &line, q->headers[i].name, q->headers[i].value);
    ok = ok && s3_list_add(out, &line, WM_LIT("x-amz-date"), wm_view_of(signature.date));
    if (credentials.session_token.len)
        ok = ok && s3_list_add(out, &line, WM_LIT("x-amz-security-token"), credentials.session_token);
    ok = ok && s3_list_add(out, &line, WM_LIT("Authorization"), wm_view_of(signature.authorization));
    /* "Expect: 100-continue" costs a second per PUT with servers that do not answer it (limits.md 8). */
    struct curl_slist *more = ok ? curl_slist_append(*out, "Expect:") : NULL;
    if (more)
        *out = more;
    wm_buf_wipe(&line);
    wm_buf_done(&line);
    return more ? WM_OK : wm_fail(err, WM_E_NOMEM, "no memory for the headers of a request");
}

static enum wm_status s3_curl_failed(struct store_s3 *s3, const struct s3_reply *r, const struct s3_request *q,
                                     CURLcode rc, const char *detail, struct wm_err *err)
{
    if (rc == CURLE_OUT_OF_MEMORY)
        return wm_fail(err, WM_E_NOMEM, "%s %s: no memory", q->method, s3->host);
    if (rc == CURLE_ABORTED_BY_CALLBACK)
        return wm_fail(err, WM_E_END, "%s %s: cancelled", q->method, s3->host);
    if (r->overflow) {
        enum wm_status status = r->sink && r->sink->status != WM_OK ? r->sink->status : wm_buf_status(&r->text);
        return wm_fail(err, status, "%s %s: the answer for %.*s is larger than allowed", q->method, s3->host,
                       WM_ARG(q->key));
    }
    enum wm_status status = WM_E_UNAVAILABLE;
    (void)wm_fail(err, status, "%s %s: %s", q->method, s3->host, detail[0] ? detail : curl_easy_strerror(rc));
    if (err)
        err->retryable = true;
    return status;
}

/* Send once. @return WM_OK when an answer came, whatever it says */
static enum wm_status s3_send(struct store_s3 *s3, const struct s3_request *q, struct s3_reply *r, struct wm_err *err)
{
    struct curl_slist *headers = NULL;
    char detail[CURL_ERROR_SIZE] = "";
    struct wm_buf url;
    wm_buf_init(&url, S3_MAX_URL_BYTES);
    wm_buf_addf(&url, "%s://%s", s3->scheme, s3->host);
    size_t path_at = url.len;
    wm_buf_add_str(&url, s3->path_bucket);
    if (q->key.len || !s3->path_bucket[0])
        wm_buf_add_char(&url, '/');
    wm_uri_encode(&url, q->key, true);
    size_t path_end = url.len;
    if (q->query.len) {
        wm_buf_add_char(&url, '?');
        wm_buf_add_view(&url, q->query);
    }
    enum wm_status status = wm_buf_status(&url);
    if (status != WM_OK) {
        status = wm_fail(err, status, "the URL of %.*s is too long", WM_ARG(q->key));
        goto out;
    }
    status = s3_sign(s3, q, wm_view_sub(wm_buf_view(&url), path_at, path_end), &headers, err);
    if (status != WM_OK)
        goto out;

    s3_reply_clear(r);
    r->body = q->body;
    CURL *c = s3->curl;
    curl_easy_reset(c); /* keeps the connection */
    CURLcode rc = CURLE_OK;
#define S3_SET(option, value)                             \
    do {                                                  \
        if (rc == CURLE_OK)                               \
            rc = curl_easy_setopt(c, option, value);      \
    } while (0)
    S3_SET(CURLOPT_URL, wm_buf_cstr(&url));
    S3_SET(CURLOPT_PATH_AS_IS, 1l); /* what was signed is what is sent */
    S3_SET(CURLOPT_PROTOCOLS_STR, "http,https");
    S3_SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    S3_SET(CURLOPT_NOSIGNAL, 1l);
    S3_SET(CURLOPT_TCP_KEEPALIVE, 1l);
    S3_SET(CURLOPT_CONNECTTIMEOUT_MS, s3->connect_timeout_ms);
    S3_SET(CURLOPT_TIMEOUT_MS, s3->request_timeout_ms + (long)(q->body.len / S3_UPLOAD_MIN_BYTES_PER_MS));
    S3_SET(CURLOPT_QUICK_EXIT, 1l); /* a cancelled call must not wait for a resolver that does not answer */
    S3_SET(CURLOPT_USERAGENT, "waymark/" WAYMARK_VERSION);
    S3_SET(CURLOPT_HTTPHEADER, headers);
    S3_SET(CURLOPT_ERRORBUFFER, detail);
    S3_SET(CURLOPT_HEADERFUNCTION, s3_on_header);
    S3_SET(CURLOPT_HEADERDATA, r);
    S3_SET(CURLOPT_WRITEFUNCTION, s3_on_body);
    S3_SET(CURLOPT_WRITEDATA, r);
    S3_SET(CURLOPT_NOPROGRESS, 0l);
    S3_SET(CURLOPT_XFERINFOFUNCTION, s3_on_progress);
    S3_SET(CURLOPT_XFERINFODATA, r);
    S3_SET(CURLOPT_BUFFERSIZE, S3_DOWNLOAD_BUFFER_BYTES);
    if (s3->ca_file)
        S3_SET(CURLOPT_CAINFO, s3->ca_file);
    if (strcmp(q->method, "PUT") == 0) {
        S3_SET(CURLOPT_UPLOAD, 1l);
        S3_SET(CURLOPT_UPLOAD_BUFFERSIZE, S3_UPLOAD_BUFFER_BYTES);
        S3_SET(CURLOPT_INFILESIZE_LARGE, (curl_off_t)q->body.len);
        S3_SET(CURLOPT_READFUNCTION, s3_on_read);
        S3_SET(CURLOPT_READDATA, r);
        S3_SET(CURLOPT_SEEKFUNCTION, s3_on_seek);
        S3_SET(CURLOPT_SEEKDATA, r);
    } else if (strcmp(q->method, "HEAD") == 0) {
        S3_SET(CURLOPT_NOBODY, 1l);
    }
#undef S3_SET
    if (rc == CURLE_OK)
        rc = curl_easy_perform(c);
    if (rc != CURLE_OK) {
        status = s3_curl_failed(s3, r, q, rc, detail, err);
        goto out;
    }
    (void)curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &r->http_status); /* cannot fail for this info */
out:
    /* Pointers into our frame must not stay in the handle. */
    if (s3->curl)
        curl_easy_reset(s3->curl);
    curl_slist_free_all(headers);
    wm_buf_done(&url);
    return status;
}

/* ---- what an answer means ---- */

struct s3_error {
    bool is_error; /* the document is one */
    char code[WM_ERR_CODE_BYTES];
    char message[256];
    char region[64];
};

static void s3_error_begin(void *arg, const char *path)
{
    struct s3_error *e = arg;
    if (strcmp(path, "Error") == 0)
        e->is_error = true;
}

static enum wm_status s3_error_leaf(void *arg, const char *path, struct wm_view text)
{
    struct s3_error *e = arg;
    text = wm_view_trim(text);
    if (strcmp(path, "Error/Code") == 0)
        (void)wm_view_copy(text, e->code, sizeof e->code); /* an overlong one counts as none */
    else if (strcmp(path, "Error/Message") == 0)
        (void)wm_view_copy(wm_view_sub(text, 0, sizeof e->message - 1), e->message, sizeof e->message); /* cut to fit */
    else if (strcmp(path, "Error/Region") == 0)
        (void)wm_view_copy(text, e->region, sizeof e->region); /* only for the message */
    return WM_OK;
}

static const struct {
    const char *code;
    enum wm_status status;
    bool retryable;
} s3_codes[] = {
    {"SlowDown", WM_E_UNAVAILABLE, true},
    {"SlowDownRead", WM_E_UNAVAILABLE, true},  /* MinIO's words for it */
    {"SlowDownWrite", WM_E_UNAVAILABLE, true},
    {"InternalError", WM_E_UNAVAILABLE, true},
    {"ServiceUnavailable", WM_E_UNAVAILABLE, true},
    {"RequestTimeout", WM_E_UNAVAILABLE, true},
    {"RequestTimeTooSkewed", WM_E_UNAVAILABLE, true},
    {"OperationAborted", WM_E_UNAVAILABLE, true},
    {"ConditionalRequestConflict", WM_E_UNAVAILABLE, true},
    {"IncompleteBody", WM_E_UNAVAILABLE, true},
    {"BadDigest", WM_E_UNAVAILABLE, true}, /* damaged on the way: our own hash is of what we hold */
    {"XAmzContentSHA256Mismatch", WM_E_UNAVAILABLE, true},
    {"AccessDenied", WM_E_DENIED, false},
    {"AllAccessDisabled", WM_E_DENIED, false},
    {"InvalidAccessKeyId", WM_E_DENIED, false},
    {"SignatureDoesNotMatch", WM_E_DENIED, false},
    {"ExpiredToken", WM_E_DENIED, false},
    {"InvalidToken", WM_E_DENIED, false},
    {"NoSuchKey", WM_E_NOT_FOUND, false},
    {"PreconditionFailed", WM_E_EXISTS, false},
    {"NotImplemented", WM_E_UNSUPPORTED, false},
    {"EntityTooLarge", WM_E_LIMIT, false},
    {"QuotaExceeded", WM_E_FULL, true},
    {"XMinioStorageFull", WM_E_FULL, true},
    {"XMinioAdminBucketQuotaExceeded", WM_E_FULL, true},
};

static enum wm_status s3_classify(const struct s3_request *q, long http_status, const char *code, bool *out_retryable)
{
    bool reading = strcmp(q->method, "PUT") != 0;
    *out_retryable = false;
    if (strcmp(code, "NoSuchBucket") == 0) {
        *out_retryable = true;
        return reading ? WM_E_UNAVAILABLE : WM_E_NOT_FOUND; /* store.h: get's NOT_FOUND is about the object */
    }
    for (size_t i = 0; i < sizeof s3_codes / sizeof s3_codes[0]; i++)
        if (strcmp(code, s3_codes[i].code) == 0) {
            *out_retryable = s3_codes[i].retryable;
            return s3_codes[i].status;
        }
    switch (http_status) {
    case 401:
    case 403:
        return WM_E_DENIED;
    case 404:
        return WM_E_NOT_FOUND;
    case 412:
        return WM_E_EXISTS;
    case 413:
        return WM_E_LIMIT;
    case 501:
        return WM_E_UNSUPPORTED;
    case 507:
        *out_retryable = true;
        return WM_E_FULL;
    case 408:
    case 409:
    case 425:
    case 429:
        *out_retryable = true;
        return WM_E_UNAVAILABLE;
    default:
        break;
    }
    if (http_status >= 300 && http_status < 500)
        return WM_E_INVALID;
    *out_retryable = true; /* 5xx, and an error inside a 200 */
    return WM_E_UNAVAILABLE;
}

static int64_t s3_retry_after_ms(const struct store_s3 *s3, const struct s3_reply *r)
{
    struct wm_view text = s3_reply_header(r, "retry-after"); /* RFC 9110 section 10.2.3: seconds, or a date */
    uint64_t s;
    char date[64];
    int64_t ms = 0;
    if (text.len == 0)
        return 0;
    if (wm_view_to_u64(text, UINT64_MAX, &s) == WM_OK)
        ms = s > S3_MAX_RETRY_AFTER_MS / 1000 ? S3_MAX_RETRY_AFTER_MS : (int64_t)s * 1000;
    else if (wm_view_copy(text, date, sizeof date)) {
        int64_t at = curl_getdate(date, NULL);
        if (at > 0)
            ms = (at - wm_wall_seconds(wm_clock_wall(s3->clock)) - s3->skew_s) * 1000;
    }
    return ms < 0 ? 0 : ms > S3_MAX_RETRY_AFTER_MS ? S3_MAX_RETRY_AFTER_MS : ms;
}

/* Turn an answer into a status; WM_OK for a 2xx without an error document in it. */
static enum wm_status s3_judge(struct store_s3 *s3, const struct s3_request *q, const struct s3_reply *r,
                               struct s3_error *e, struct wm_err *err)
{
    bool good = r->http_status >= 200 && r->http_status < 300;
    *e = (struct s3_error){0};
    struct wm_view text = wm_view_trim(wm_buf_view(&r->text));
    if (text.len && text.ptr[0] == '<')
        (void)wm_s3_xml_parse(text, s3_error_leaf, s3_error_begin, e); /* a page of a proxy says nothing more */
    if (good && !e->is_error)
        return WM_OK;

    bool retryable;
    enum wm_status status = s3_classify(q, r->http_status, e->code, &retryable);
    s3->base.retry_after_ms = s3_retry_after_ms(s3, r);
    if (!e->code[0])
        (void)snprintf(e->code, sizeof e->code, "Http%ld", r->http_status); /* fits */
    struct wm_view region = s3_reply_header(r, "x-amz-bucket-region");
    if (region.len == 0)
        region = wm_view_of(e->region);
    bool elsewhere =
        (r->http_status >= 300 && r->http_status < 400) || strcmp(e->code, "AuthorizationHeaderMalformed") == 0;
    (void)wm_fail(err, status, "%s %s%s%s%.*s: %ld %s%s%s%s%.*s", q->method, s3->host, s3->path_bucket,
                  q->key.len ? "/" : "", WM_ARG(q->key), r->http_status, e->code, e->message[0] ? ": " : "", e->message,
                  elsewhere && region.len ? "; the bucket is in region " : "", WM_ARG(elsewhere ? region : WM_EMPTY));
    if (err) {
        err->http_status = (int)r->http_status;
        err->retryable = retryable;
        (void)wm_view_copy(wm_view_of(e->code), err->code, sizeof err->code); /* same size */
    }
    return status;
}

/* The store's Date header against our clock. True when it tells more than we knew. */
static bool s3_correct_skew(struct store_s3 *s3, const struct s3_reply *r)
{
    char date[64];
    if (!wm_view_copy(s3_reply_header(r, "date"), date, sizeof date))
        return false;
    int64_t theirs = curl_getdate(date, NULL);
    if (theirs <= 0)
        return false;
    int64_t skew_s = theirs - wm_wall_seconds(wm_clock_wall(s3->clock));
    int64_t change = skew_s - s3->skew_s;
    if (change > -S3_MIN_SKEW_S && change < S3_MIN_SKEW_S)
        return false;
    s3->skew_s = skew_s;
    return true;
}

/*
 * Send, and once more when the answer tells what was wrong and we know better now: new credentials in the file, or the
 * store's time. Everything else is the caller's to repeat.
 */
static enum wm_status s3_call(struct store_s3 *s3, struct s3_request *q, struct s3_reply *r, struct wm_err *err)
{
    bool changed, read_again = false, time_corrected = false;
    enum wm_status status = credentials_refresh(s3, false, &changed, err);
    if (status != WM_OK)
        return status;
    s3_request_header(q, WM_LIT("host"), wm_view_of(s3->host));
    s3_request_header(q, WM_LIT("x-amz-content-sha256"), q->sha256_hex);
    for (;;) {
        struct s3_error e;
        status = s3_send(s3, q, r, err);
        if (status != WM_OK)
            return status;
        status = s3_judge(s3, q, r, &e, err);
        if (status == WM_OK)
            return WM_OK;
        bool skewed = strcmp(e.code, "RequestTimeTooSkewed") == 0;
        if (skewed && !time_corrected && s3_correct_skew(s3, r)) {
            time_corrected = true;
        } else if (status == WM_E_DENIED && !read_again && credentials_refresh(s3, true, &changed, NULL) == WM_OK &&
                   changed) {
            read_again = true;
        } else {
            return status;
        }
        s3->base.retry_after_ms = 0;
    }
}

/* ---- the store's functions ---- */

static enum wm_status store_s3_head(struct store_s3 *s3, struct wm_view key, struct wm_err *err)
{
    struct s3_request q = {.method = "HEAD", .key = key, .sha256_hex = WM_LIT(EMPTY_SHA256)};
    struct s3_reply r;
    s3_reply_init(&r, s3, NULL);
    enum wm_status status = s3_call(s3, &q, &r, err);
    s3_reply_done(&r);
    return status;
}

static enum wm_status s3_put(struct store_s3 *s3, bool conditional, struct wm_view key, struct wm_view body,
                             struct wm_view sha256_hex, const struct wm_store_header *headers, size_t n_headers,
                             struct wm_err *err)
{
    struct s3_request q = {.method = "PUT", .key = key, .body = body, .sha256_hex = sha256_hex};
    struct s3_reply r;
    for (size_t i = 0; i < n_headers; i++)
        s3_request_header(&q, headers[i].name, headers[i].value);
    if (conditional)
        s3_request_header(&q, WM_LIT("if-none-match"), WM_LIT("*"));
    s3_reply_init(&r, s3, NULL);
    enum wm_status status = s3_call(s3, &q, &r, err);
    s3_reply_done(&r);
    return status;
}

static enum wm_status store_s3_put(struct wm_store *s, struct wm_view key, struct wm_view body,
                                   struct wm_view sha256_hex, const struct wm_store_header *headers, size_t n_headers,
                                   struct wm_err *err)
{
    struct store_s3 *s3 = store_s3_of(s);
    enum wm_status status;
    if (!s3->no_condition) {
        status = s3_put(s3, true, key, body, sha256_hex, headers, n_headers, err);
        if (status != WM_E_UNSUPPORTED)
            return status;
    }
    /* Stores that know no condition (Swift's s3api answers 501): look, then put. Keys are random or our own chain's, so
       what may happen in between is a second daemon on our prefix by mistake. */
    status = store_s3_head(s3, key, err);
    if (status == WM_OK)
        return wm_fail(err, WM_E_EXISTS, "an object %.*s is there", WM_ARG(key));
    if (status != WM_E_NOT_FOUND)
        return status;
    status = s3_put(s3, false, key, body, sha256_hex, headers, n_headers, err);
    if (status == WM_OK)
        s3->no_condition = true; /* it was the condition, nothing else */
    return status;
}

static enum wm_status s3_copy_headers(const struct s3_reply *r, struct wm_arena *a, struct wm_store_header *out,
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
    struct store_s3 *s3 = store_s3_of(s);
    if (key.len == 0 || key.len > WM_MAX_OBJECT_KEY_BYTES)
        return wm_fail(err, WM_E_NOT_FOUND, "no bucket has a key of %zu bytes", key.len);
    struct s3_request q = {.method = "GET", .key = key, .sha256_hex = WM_LIT(EMPTY_SHA256)};
    struct s3_reply r;
    s3_reply_init(&r, s3, body);
    enum wm_status status = s3_call(s3, &q, &r, err);
    if (status == WM_OK && a)
        status = s3_copy_headers(&r, a, out_headers, out_n, err);
    s3_reply_done(&r);
    return status;
}

struct s3_listed {
    size_t key_at, key_len;
    uint64_t size;
    struct wm_wall_ns modified;
};

struct s3_page {
    struct wm_buf keys;
    struct s3_listed *at;
    size_t n, cap;
    struct wm_buf token;
    bool is_listing, encoded, truncated;
};

static void s3_page_done(struct s3_page *p)
{
    wm_buf_done(&p->keys);
    wm_buf_done(&p->token);
    free(p->at);
}

#define S3_LIST "ListBucketResult"

static void s3_page_begin(void *arg, const char *path)
{
    struct s3_page *p = arg;
    if (strcmp(path, S3_LIST) == 0)
        p->is_listing = true;
    if (strcmp(path, S3_LIST "/Contents") == 0) {
        if (p->n < p->cap)
            p->at[p->n++] = (struct s3_listed){0}; /* filled by the leaves below */
        else
            p->n = SIZE_MAX; /* more than we asked for */
    }
}

/* "2026-03-01T10:07:12.000Z" */
static bool s3_list_time(struct wm_view text, struct wm_wall_ns *out)
{
    char iso[WM_TIME_ISO_BYTES];
    if (text.len < 20 || text.ptr[text.len - 1] != 'Z' || !wm_view_copy(wm_view_sub(text, 0, 19), iso, sizeof iso))
        return false;
    iso[19] = 'Z';
    iso[20] = '\0';
    return wm_time_parse(wm_view_of(iso), out) == WM_OK;
}

static enum wm_status s3_page_leaf(void *arg, const char *path, struct wm_view text)
{
    struct s3_page *p = arg;
    if (p->n == SIZE_MAX)
        return WM_E_CORRUPT;
    struct s3_listed *last = p->n ? &p->at[p->n - 1] : NULL;
    if (strcmp(path, S3_LIST "/IsTruncated") == 0) {
        p->truncated = wm_view_eq_str(wm_view_trim(text), "true");
    } else if (strcmp(path, S3_LIST "/EncodingType") == 0) {
        p->encoded = wm_view_eq_str(wm_view_trim(text), "url");
    } else if (strcmp(path, S3_LIST "/NextContinuationToken") == 0) {
        wm_buf_clear(&p->token);
        wm_buf_add_view(&p->token, text);
        return wm_buf_status(&p->token);
    } else if (last && strcmp(path, S3_LIST "/Contents/Key") == 0) {
        last->key_at = p->keys.len;
        last->key_len = text.len;
        wm_buf_add_view(&p->keys, text);
        return wm_buf_status(&p->keys);
    } else if (last && strcmp(path, S3_LIST "/Contents/Size") == 0) {
        return wm_view_to_u64(wm_view_trim(text), UINT64_MAX, &last->size) == WM_OK ? WM_OK : WM_E_CORRUPT;
    } else if (last && strcmp(path, S3_LIST "/Contents/LastModified") == 0) {
        return s3_list_time(wm_view_trim(text), &last->modified) ? WM_OK : WM_E_CORRUPT;
    }
    return WM_OK;
}

/* With encoding-type=url blanks come as '+' (AWS, MinIO) or %20, and a real '+' always as %2B. */
static enum wm_status s3_decode_key(const struct s3_page *p, const struct s3_listed *o, struct wm_buf *out)
{
    struct wm_view raw = wm_view_sub(wm_buf_view(&p->keys), o->key_at, o->key_at + o->key_len);
    wm_buf_clear(out);
    if (!p->encoded) {
        wm_buf_add_view(out, raw);
        return wm_buf_status(out);
    }
    while (raw.len) {
        size_t plus = wm_view_find(raw, '+');
        enum wm_status status = wm_uri_decode(out, wm_view_sub(raw, 0, plus));
        if (status != WM_OK)
            return status;
        if (plus < raw.len)
            wm_buf_add_char(out, ' ');
        raw = wm_view_sub(raw, plus + 1, raw.len);
    }
    return wm_buf_status(out);
}

static enum wm_status s3_list_page(struct store_s3 *s3, struct wm_view prefix, struct s3_page *p, struct wm_err *err)
{
    struct s3_request q = {.method = "GET", .sha256_hex = WM_LIT(EMPTY_SHA256)};
    struct s3_reply r;
    struct wm_buf query;
    wm_buf_init(&query, S3_MAX_URL_BYTES);
    s3_reply_init(&r, s3, NULL);
    if (p->token.len) {
        wm_buf_add_str(&query, "continuation-token=");
        wm_uri_encode(&query, wm_buf_view(&p->token), false);
        wm_buf_add_char(&query, '&');
    }
    wm_buf_addf(&query, "encoding-type=url&list-type=2&max-keys=%d&prefix=", S3_PAGE_KEYS);
    wm_uri_encode(&query, prefix, false);
    enum wm_status status = wm_buf_status(&query);
    if (status != WM_OK) {
        status = wm_fail(err, status, "the prefix is too long to list");
        goto out;
    }
    q.query = wm_buf_view(&query);
    status = s3_call(s3, &q, &r, err);
    if (status == WM_E_NOT_FOUND)
        status = wm_fail(err, WM_E_UNAVAILABLE, "GET %s%s: no such bucket", s3->host, s3->path_bucket);
    if (status != WM_OK)
        goto out;
    wm_buf_clear(&p->keys);
    wm_buf_clear(&p->token);
    p->n = 0;
    p->is_listing = p->encoded = p->truncated = false;
    status = wm_s3_xml_parse(wm_buf_view(&r.text), s3_page_leaf, s3_page_begin, p);
    if (status == WM_OK && !p->is_listing)
        status = WM_E_CORRUPT;
    if (status != WM_OK)
        status = wm_fail(err, status, "GET %s%s: the answer is no listing", s3->host, s3->path_bucket);
    else if (p->truncated && p->token.len == 0)
        status = wm_fail(err, WM_E_CORRUPT, "GET %s%s: a listing goes on but does not say where", s3->host,
                         s3->path_bucket);
out:
    s3_reply_done(&r);
    wm_buf_done(&query);
    return status;
}

static enum wm_status store_s3_list(struct wm_store *s, struct wm_view prefix,
                                    enum wm_status (*each)(void *arg, const struct wm_store_object *o), void *arg,
                                    struct wm_err *err)
{
    struct store_s3 *s3 = store_s3_of(s);
    enum wm_status status = WM_OK;
    struct s3_page page = {.cap = S3_PAGE_KEYS};
    unsigned empty_pages = 0;
    struct wm_buf key, before;
    wm_buf_init(&page.keys, WM_MAX_STORE_REPLY_BYTES);
    wm_buf_init(&page.token, 4096);
    wm_buf_init(&key, WM_MAX_OBJECT_KEY_BYTES);
    wm_buf_init(&before, WM_MAX_OBJECT_KEY_BYTES);
    page.at = calloc(page.cap, sizeof *page.at);
    if (!page.at)
        status = wm_fail(err, WM_E_NOMEM, "no memory for a listing");
    do {
        if (status == WM_OK)
            status = s3_list_page(s3, prefix, &page, err);
        empty_pages = page.n ? 0 : empty_pages + 1;
        if (status == WM_OK && page.truncated && empty_pages > S3_MAX_EMPTY_PAGES)
            status = wm_fail(err, WM_E_CORRUPT, "GET %s%s: a listing goes on and on without a key", s3->host,
                             s3->path_bucket);
        for (size_t i = 0; status == WM_OK && i < page.n; i++) {
            status = s3_decode_key(&page, &page.at[i], &key);
            if (status != WM_OK) {
                status = wm_fail(err, status == WM_E_NOMEM ? status : WM_E_CORRUPT, "a listing has a key that is none");
                break;
            }
            struct wm_store_object o = {wm_buf_view(&key), page.at[i].size, page.at[i].modified};
            /* Callers rely on the order; a server without it must not look like one with missing objects. */
            if (before.len && wm_view_cmp(wm_buf_view(&before), o.key) >= 0) {
                status = wm_fail(err, WM_E_CORRUPT, "the listing of %s%s is not in the order of keys at %.*s", s3->host,
                                 s3->path_bucket, WM_ARG(o.key));
                break;
            }
            wm_buf_clear(&before);
            wm_buf_add_view(&before, o.key);
            status = wm_buf_status(&before);
            if (status == WM_OK)
                status = each(arg, &o);
        }
    } while (status == WM_OK && page.truncated);
    s3_page_done(&page);
    wm_buf_done(&key);
    wm_buf_done(&before);
    return status;
}

/* ---- life ---- */

static void store_s3_free(struct wm_store *s)
{
    struct store_s3 *s3 = (struct store_s3 *)(void *)s; /* its magic is gone already */
    if (s3->curl)
        curl_easy_cleanup(s3->curl);
    wm_sigv4_cache_free(s3->cache);
    free(s3->scheme);
    free(s3->host);
    free(s3->region);
    free(s3->profile);
    free(s3->credentials_file);
    free(s3->ca_file);
    free(s3->path_bucket);
    wm_wipe(s3, sizeof *s3);
    free(s3);
}

static const struct wm_store_ops store_s3_ops = {
    .put = store_s3_put,
    .get = store_s3_get,
    .list = store_s3_list,
    .free = store_s3_free,
};

static CURLcode s3_curl_status;

static void s3_curl_once(void)
{
    s3_curl_status = curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* Take "http://127.0.0.1:9000/" apart. */
static enum wm_status s3_set_endpoint(struct store_s3 *s3, const struct wm_store_s3_options *o, struct wm_err *err)
{
    struct wm_view region = o->region.len ? o->region : WM_LIT("us-east-1");
    struct wm_view host;
    struct wm_buf name;
    wm_buf_init(&name, 1024);
    enum wm_status status;
    bool tls = true;
    if (o->endpoint.len == 0) {
        wm_buf_addf(&name, "s3.%.*s.amazonaws.com", WM_ARG(region));
        host = wm_buf_view(&name);
    } else {
        tls = wm_view_starts(o->endpoint, "https://");
        if (!tls && !wm_view_starts(o->endpoint, "http://")) {
            status = wm_fail(err, WM_E_INVALID, "endpoint %.*s does not begin with http:// or https://",
                             WM_ARG(o->endpoint));
            goto out;
        }
        host = wm_view_sub(o->endpoint, tls ? 8 : 7, o->endpoint.len);
        if (wm_view_ends(host, "/"))
            host.len--;
        /* Clients leave the scheme's own port out of Host, and so does the signature. */
        if (wm_view_ends(host, tls ? ":443" : ":80"))
            host.len -= tls ? 4 : 3;
        bool plain = host.len > 0;
        for (size_t i = 0; i < host.len; i++)
            if ((unsigned char)host.ptr[i] <= ' ' || strchr("/?#@\\", host.ptr[i]))
                plain = false;
        if (!plain) {
            status = wm_fail(err, WM_E_INVALID, "endpoint %.*s is not a scheme, a host and a port",
                             WM_ARG(o->endpoint));
            goto out;
        }
    }
    struct wm_buf whole, path;
    wm_buf_init(&whole, 1024);
    wm_buf_init(&path, 1024);
    if (o->virtual_host) {
        wm_buf_add_view(&whole, o->bucket);
        wm_buf_add_char(&whole, '.');
    } else {
        wm_buf_add_char(&path, '/');
        wm_uri_encode(&path, o->bucket, false);
    }
    wm_buf_add_view(&whole, host);
    status = wm_buf_status(&whole) != WM_OK ? wm_buf_status(&whole) : wm_buf_status(&path);
    if (status != WM_OK) {
        status = wm_fail(err, status, "endpoint or bucket is too long");
    } else {
        s3->scheme = wm_view_dup(tls ? WM_LIT("https") : WM_LIT("http"));
        s3->host = wm_view_dup(wm_buf_view(&whole));
        s3->region = wm_view_dup(region);
        s3->path_bucket = wm_view_dup(wm_buf_view(&path));
        if (!s3->scheme || !s3->host || !s3->region || !s3->path_bucket)
            status = wm_fail(err, WM_E_NOMEM, "no memory for a store");
    }
    wm_buf_done(&whole);
    wm_buf_done(&path);
out:
    wm_buf_done(&name);
    return status;
}

static enum wm_status s3_set_credentials(struct store_s3 *s3, const struct wm_store_s3_options *o, struct wm_err *err)
{
    if (o->access_key_id.len || o->secret_access_key.len) {
        if (!o->access_key_id.len || !o->secret_access_key.len)
            return wm_fail(err, WM_E_INVALID, "access_key_id and secret_access_key go together");
        struct wm_credentials *c = &s3->credentials;
        if (!wm_view_copy(o->access_key_id, c->access_key_id, sizeof c->access_key_id) ||
            !wm_view_copy(o->secret_access_key, c->secret, sizeof c->secret) ||
            !wm_view_copy(o->session_token, c->session_token, sizeof c->session_token))
            return wm_fail(err, WM_E_INVALID, "a credential is too long: at most %zu, %zu and %zu bytes are taken",
                           sizeof c->access_key_id - 1, sizeof c->secret - 1, sizeof c->session_token - 1);
        return WM_OK;
    }
    if (!o->credentials_file.len)
        return wm_fail(err, WM_E_INVALID, "no credentials: neither access_key_id nor credentials_file is set");
    s3->credentials_file = wm_view_dup(o->credentials_file);
    s3->profile = wm_view_dup(o->profile.len ? o->profile : WM_LIT("default"));
    if (!s3->credentials_file || !s3->profile)
        return wm_fail(err, WM_E_NOMEM, "no memory for a store");
    return WM_OK;
}

enum wm_status wm_store_s3_new(const struct wm_store_s3_options *o, struct wm_store **out, struct wm_err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    WM_PTOK(pthread_once(&once, s3_curl_once));
    if (s3_curl_status != CURLE_OK)
        return wm_fail(err, WM_E_FAILED, "libcurl cannot start: %s", curl_easy_strerror(s3_curl_status));
    if (o->bucket.len == 0 || o->bucket.len > 255 || wm_view_find(o->bucket, '/') != o->bucket.len)
        return wm_fail(err, WM_E_INVALID, "bucket is empty, too long or has a slash");
    if (o->connect_timeout_ms < 0 || o->request_timeout_ms < 0)
        return wm_fail(err, WM_E_INVALID, "a timeout is negative");

    struct store_s3 *s3 = calloc(1, sizeof *s3);
    if (!s3)
        return wm_fail(err, WM_E_NOMEM, "no memory for a store");
    s3->clock = o->clock ? o->clock : &wm_clock_system;
    s3->connect_timeout_ms = o->connect_timeout_ms ? (long)o->connect_timeout_ms : S3_CONNECT_TIMEOUT_MS;
    s3->request_timeout_ms = o->request_timeout_ms ? (long)o->request_timeout_ms : S3_REQUEST_TIMEOUT_MS;
    enum wm_status status = wm_store_init(&s3->base, &store_s3_ops, o->bucket, err);
    if (status != WM_OK) {
        store_s3_free(&s3->base);
        return status;
    }
    status = s3_set_endpoint(s3, o, err);
    if (status == WM_OK)
        status = s3_set_credentials(s3, o, err);
    if (status == WM_OK && o->ca_file.len && !(s3->ca_file = wm_view_dup(o->ca_file)))
        status = wm_fail(err, WM_E_NOMEM, "no memory for a store");
    if (status == WM_OK) {
        s3->curl = curl_easy_init();
        s3->cache = wm_sigv4_cache_new();
        if (!s3->curl || !s3->cache)
            status = wm_fail(err, WM_E_NOMEM, "no memory for a store");
    }
    if (status != WM_OK) {
        wm_store_free(&s3->base);
        return status;
    }
    *out = &s3->base;
    return WM_OK;
}
