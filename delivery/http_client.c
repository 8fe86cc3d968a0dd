#include "http_client.h"

#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "waymark/bounds.h"
#include "waymark/hash.h"
#include "waymark/sync.h"

#include "waymark/banned.h"

#define HTTP_CLIENT_MAGIC 0x68747470u
#define HTTP_MAX_HEADER_BYTES ((size_t)64 * 1024)
#define HTTP_MAX_LINE_BYTES ((size_t)8 * 1024)
/* libcurl's largest; with the default of 64 KiB a PUT of 5 MiB costs twice the CPU (measured). */
#define HTTP_UPLOAD_BUFFER_BYTES (2l * 1024 * 1024)
#define HTTP_DOWNLOAD_BUFFER_BYTES (512l * 1024)

struct wm_http_client {
    uint32_t magic;
    CURL *curl;
    const struct wm_http_settings *settings;
    const atomic_bool *cancelled;

    /* of the request in flight */
    const struct wm_http_request *request;
    struct wm_http_reply *reply;
    size_t sent;
};

static struct wm_http_client *client_of(void *arg)
{
    struct wm_http_client *c = arg;
    WM_ASSERT(c->magic == HTTP_CLIENT_MAGIC);
    return c;
}

/* ---- what libcurl calls ---- */

static size_t client_on_header(char *data, size_t size, size_t n, void *arg)
{
    struct wm_http_reply *r = client_of(arg)->reply;
    struct wm_buf *headers = &r->headers;
    struct wm_view line = wm_view_trim((struct wm_view){data, size * n});
    if (wm_view_starts(line, "HTTP/")) { /* an interim answer came before, or a proxy's */
        wm_buf_clear(headers);
        return size * n;
    }
    size_t colon = wm_view_find(line, ':');
    if (colon == line.len)
        return size * n;
    for (size_t i = 0; i < colon; i++) {
        char c = line.ptr[i];
        wm_buf_add_char(headers, c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c);
    }
    wm_buf_add_char(headers, ':');
    wm_buf_add_view(headers, wm_view_trim(wm_view_sub(line, colon + 1, line.len)));
    wm_buf_add_char(headers, '\n');
    r->room = wm_buf_status(headers); /* an answer without all its headers would be another one */
    return r->room == WM_OK ? size * n : 0;
}

static size_t client_on_body(char *data, size_t size, size_t n, void *arg)
{
    struct wm_http_client *c = client_of(arg);
    struct wm_http_reply *r = c->reply;
    long status = 0;
    (void)curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status); /* cannot fail for this info */
    struct wm_buf *to = r->sink && status >= 200 && status < 300 ? r->sink : &r->text;
    wm_buf_add(to, data, size * n);
    r->room = wm_buf_status(to);
    return r->room == WM_OK ? size * n : 0;
}

static size_t client_on_read(char *data, size_t size, size_t n, void *arg)
{
    struct wm_http_client *c = client_of(arg);
    struct wm_view body = c->request->body;
    size_t take = size * n, left = body.len - c->sent;
    if (take > left)
        take = left;
    if (take)
        memcpy(data, body.ptr + c->sent, take);
    c->sent += take;
    return take;
}

/* libcurl rewinds when a kept-alive connection turns out to be dead. */
static int client_on_seek(void *arg, curl_off_t offset, int origin)
{
    struct wm_http_client *c = client_of(arg);
    if (origin != SEEK_SET || offset < 0 || (size_t)offset > c->request->body.len)
        return CURL_SEEKFUNC_FAIL;
    c->sent = (size_t)offset;
    return CURL_SEEKFUNC_OK;
}

static int client_on_progress(void *arg, curl_off_t dltotal, curl_off_t dlnow, curl_off_t ultotal, curl_off_t ulnow)
{
    const atomic_bool *cancelled = client_of(arg)->cancelled;
    (void)dltotal;
    (void)dlnow;
    (void)ultotal;
    (void)ulnow;
    return cancelled && atomic_load(cancelled) ? 1 : 0;
}

/* ---- life ---- */

static CURLcode client_global_status;

static void client_global_once(void)
{
    client_global_status = curl_global_init(CURL_GLOBAL_DEFAULT);
}

#define CLIENT_SET(option, value)                            \
    do {                                                     \
        if (rc == CURLE_OK)                                  \
            rc = curl_easy_setopt(c->curl, option, value);   \
    } while (0)

/* What is the same for every request; set once, since a reset also gives the 2 MiB of buffer back. */
static CURLcode client_set_up(struct wm_http_client *c)
{
    const struct wm_http_settings *s = c->settings;
    CURLcode rc = CURLE_OK;
    CLIENT_SET(CURLOPT_PATH_AS_IS, 1l); /* what was signed is what is sent */
    CLIENT_SET(CURLOPT_PROTOCOLS_STR, "http,https");
    CLIENT_SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    CLIENT_SET(CURLOPT_NOSIGNAL, 1l);
    CLIENT_SET(CURLOPT_TCP_KEEPALIVE, 1l);
    CLIENT_SET(CURLOPT_CONNECTTIMEOUT_MS, (long)s->connect_timeout_ms);
    CLIENT_SET(CURLOPT_QUICK_EXIT, 1l); /* a cancelled call must not wait for a resolver that does not answer */
    CLIENT_SET(CURLOPT_USERAGENT, "waymark/" WAYMARK_VERSION);
    CLIENT_SET(CURLOPT_SSL_VERIFYPEER, 1l);
    CLIENT_SET(CURLOPT_SSL_VERIFYHOST, 2l);
    CLIENT_SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (s->ca_file) {
        CLIENT_SET(CURLOPT_CAINFO, s->ca_file);
        CLIENT_SET(CURLOPT_CAPATH, NULL); /* Debian's libcurl would trust the system's as well */
    }
    if (s->proxy)
        CLIENT_SET(CURLOPT_PROXY, s->proxy);
    CLIENT_SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1l);
    CLIENT_SET(CURLOPT_HEADERFUNCTION, client_on_header);
    CLIENT_SET(CURLOPT_HEADERDATA, c);
    CLIENT_SET(CURLOPT_WRITEFUNCTION, client_on_body);
    CLIENT_SET(CURLOPT_WRITEDATA, c);
    CLIENT_SET(CURLOPT_READFUNCTION, client_on_read);
    CLIENT_SET(CURLOPT_READDATA, c);
    CLIENT_SET(CURLOPT_SEEKFUNCTION, client_on_seek);
    CLIENT_SET(CURLOPT_SEEKDATA, c);
    CLIENT_SET(CURLOPT_NOPROGRESS, 0l);
    CLIENT_SET(CURLOPT_XFERINFOFUNCTION, client_on_progress);
    CLIENT_SET(CURLOPT_XFERINFODATA, c);
    CLIENT_SET(CURLOPT_BUFFERSIZE, HTTP_DOWNLOAD_BUFFER_BYTES);
    CLIENT_SET(CURLOPT_UPLOAD_BUFFERSIZE, HTTP_UPLOAD_BUFFER_BYTES);
    return rc;
}

struct wm_http_client *wm_http_client_new(const struct wm_http_settings *s, const atomic_bool *cancelled,
                                          struct wm_err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    WM_PTOK(pthread_once(&once, client_global_once));
    struct wm_http_client *c = calloc(1, sizeof *c);
    if (c) {
        c->magic = HTTP_CLIENT_MAGIC;
        c->settings = s;
        c->cancelled = cancelled;
        c->curl = client_global_status == CURLE_OK ? curl_easy_init() : NULL;
    }
    CURLcode rc = c && c->curl ? client_set_up(c) : CURLE_OUT_OF_MEMORY;
    if (rc == CURLE_OK)
        return c;
    (void)wm_fail(err, WM_E_NOMEM, "libcurl cannot start: %s",
                  curl_easy_strerror(client_global_status == CURLE_OK ? rc : client_global_status));
    wm_http_client_free(c);
    return NULL;
}

void wm_http_client_free(struct wm_http_client *c)
{
    if (!c)
        return;
    if (c->curl)
        curl_easy_cleanup(c->curl);
    c->magic = 0;
    free(c);
}

/* ---- replies ---- */

void wm_http_reply_init(struct wm_http_reply *r, struct wm_buf *sink)
{
    *r = (struct wm_http_reply){.sink = sink, .sink_start = sink ? sink->len : 0};
    wm_buf_init(&r->text, WM_MAX_STORE_REPLY_BYTES);
    wm_buf_init(&r->headers, HTTP_MAX_HEADER_BYTES);
}

void wm_http_reply_done(struct wm_http_reply *r)
{
    wm_buf_wipe(&r->text);
    wm_buf_done(&r->text);
    wm_buf_done(&r->headers);
}

static void reply_clear(struct wm_http_reply *r)
{
    wm_buf_clear(&r->text);
    wm_buf_clear(&r->headers);
    if (r->sink)
        wm_buf_truncate(r->sink, r->sink_start);
    r->status = 0;
    r->room = WM_OK;
}

struct wm_view wm_http_reply_header(const struct wm_http_reply *r, const char *name)
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

bool wm_http_date(struct wm_view text, int64_t *out_s)
{
    char date[64];
    int64_t at = wm_view_copy(text, date, sizeof date) ? (int64_t)curl_getdate(date, NULL) : -1;
    if (at <= 0)
        return false;
    *out_s = at;
    return true;
}

bool wm_http_reply_skew(const struct wm_http_reply *r, const struct wm_clock *clock, int64_t *out_s)
{
    int64_t theirs;
    if (!wm_http_date(wm_http_reply_header(r, "date"), &theirs))
        return false;
    *out_s = theirs - wm_wall_seconds(wm_clock_wall(clock));
    return true;
}

/* ---- sending ---- */

/* Our name for why no answer came; s3_failure.c says what follows from each. */
static const char *failure_name(CURLcode rc, long os_errno)
{
    switch (rc) {
    case CURLE_COULDNT_RESOLVE_HOST:
        return "NameNotResolved";
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_PROXY:
        return "ProxyFailed";
    case CURLE_OPERATION_TIMEDOUT:
        return "Timeout";
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
        return "ConnectionClosed";
    case CURLE_PEER_FAILED_VERIFICATION:
        return "CertificateRefused";
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CIPHER:
    case CURLE_USE_SSL_FAILED:
        return "TlsFailed";
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_HTTP2:
    case CURLE_BAD_CONTENT_ENCODING:
        return "NotHttp";
    default:
        break;
    }
    switch (os_errno) {
    case ECONNREFUSED:
        return "ConnectionRefused";
    case ECONNRESET:
        return "ConnectionReset";
    case EPIPE:
        return "BrokenPipe";
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
        return "NetworkUnreachable";
    case ETIMEDOUT:
        return "Timeout";
    default:
        return rc == CURLE_COULDNT_CONNECT ? "ConnectionRefused" : "ConnectionFailed";
    }
}

static enum wm_status client_failed(const struct wm_http_client *c, CURLcode rc, const char *detail, struct wm_err *err)
{
    const struct wm_http_reply *r = c->reply;
    if (rc == CURLE_OUT_OF_MEMORY)
        return wm_fail(err, WM_E_NOMEM, "no memory");
    if (rc == CURLE_ABORTED_BY_CALLBACK)
        return wm_fail(err, WM_E_END, "cancelled");
    if (r->room == WM_E_LIMIT)
        return wm_fail(err, WM_E_LIMIT, "the answer is larger than allowed");
    if (r->room != WM_OK)
        return wm_fail(err, r->room, "no memory for the answer");
    long os_errno = 0, tunnel_status = 0; /* cannot fail for these */
    (void)curl_easy_getinfo(c->curl, CURLINFO_OS_ERRNO, &os_errno);
    (void)curl_easy_getinfo(c->curl, CURLINFO_HTTP_CONNECTCODE, &tunnel_status);
    bool proxy = c->settings->proxy && c->settings->proxy[0];
    const char *name = tunnel_status >= 300 || (proxy && rc == CURLE_COULDNT_CONNECT) ? "ProxyFailed"
                                                                                        : failure_name(rc, os_errno);
    (void)wm_fail(err, WM_E_UNAVAILABLE, "%s", detail[0] ? detail : curl_easy_strerror(rc));
    if (err) {
        (void)wm_view_copy(wm_view_of(name), err->code, sizeof err->code); /* fits */
        err->sys_errno = (int)os_errno;
        err->retryable = true;
    }
    return WM_E_UNAVAILABLE;
}

static bool list_add(struct curl_slist **list, const char *line)
{
    struct curl_slist *more = curl_slist_append(*list, line);
    if (more)
        *list = more;
    return more != NULL;
}

static enum wm_status client_headers(const struct wm_http_request *q, struct curl_slist **out, struct wm_err *err)
{
    struct wm_buf line;
    wm_buf_init(&line, HTTP_MAX_LINE_BYTES);
    /* "Expect: 100-continue" costs a second per PUT with servers that do not answer it (measured). */
    bool ok = list_add(out, "Expect:");
    for (size_t i = 0; ok && i < q->n_headers; i++) {
        wm_buf_clear(&line);
        wm_buf_add_view(&line, q->headers[i].name);
        wm_buf_add_str(&line, q->headers[i].value.len ? ": " : ";"); /* libcurl's way to send one without a value */
        wm_buf_add_view(&line, q->headers[i].value);
        ok = wm_buf_status(&line) == WM_OK && list_add(out, wm_buf_cstr(&line));
    }
    enum wm_status status = wm_buf_status(&line);
    wm_buf_wipe(&line);
    wm_buf_done(&line);
    if (ok)
        return WM_OK;
    return wm_fail(err, status == WM_OK ? WM_E_NOMEM : status, "no room for the headers of a request");
}

static CURLcode client_set_request(struct wm_http_client *c, struct curl_slist *headers, char *detail)
{
    const struct wm_http_request *q = c->request;
    CURLcode rc = CURLE_OK;
    CLIENT_SET(CURLOPT_URL, q->url);
    CLIENT_SET(CURLOPT_HTTPHEADER, headers);
    CLIENT_SET(CURLOPT_ERRORBUFFER, detail);
    CLIENT_SET(CURLOPT_TIMEOUT_MS, (long)q->timeout_ms);
    if (strcmp(q->method, "PUT") == 0) {
        CLIENT_SET(CURLOPT_UPLOAD, 1l);
        CLIENT_SET(CURLOPT_INFILESIZE_LARGE, (curl_off_t)q->body.len);
    } else if (strcmp(q->method, "POST") == 0) {
        CLIENT_SET(CURLOPT_POST, 1l);
        CLIENT_SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)q->body.len);
        CLIENT_SET(CURLOPT_POSTFIELDS, q->body.ptr);
    } else if (strcmp(q->method, "HEAD") == 0) {
        CLIENT_SET(CURLOPT_NOBODY, 1l);
    } else {
        CLIENT_SET(CURLOPT_HTTPGET, 1l); /* undoes the others */
    }
    return rc;
}

/* Pointers into the caller's frame must not stay in the handle. */
static void client_forget(struct wm_http_client *c)
{
    CURLcode rc = CURLE_OK;
    CLIENT_SET(CURLOPT_HTTPHEADER, NULL);
    CLIENT_SET(CURLOPT_ERRORBUFFER, NULL);
    CLIENT_SET(CURLOPT_POSTFIELDS, NULL);
    CLIENT_SET(CURLOPT_HTTPGET, 1l);
    WM_ASSERT(rc == CURLE_OK); /* nothing of it allocates */
    c->request = NULL;
    c->reply = NULL;
}

enum wm_status wm_http_send(struct wm_http_client *c, const struct wm_http_request *q, struct wm_http_reply *r,
                            struct wm_err *err)
{
    struct curl_slist *headers = NULL;
    char detail[CURL_ERROR_SIZE] = "";
    WM_ASSERT(c->magic == HTTP_CLIENT_MAGIC);
    reply_clear(r);
    c->request = q;
    c->reply = r;
    c->sent = 0;
    enum wm_status status = client_headers(q, &headers, err);
    if (status == WM_OK) {
        CURLcode rc = client_set_request(c, headers, detail);
        if (rc == CURLE_OK)
            rc = curl_easy_perform(c->curl);
        if (rc != CURLE_OK)
            status = client_failed(c, rc, detail, err);
        else
            (void)curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &r->status); /* cannot fail for this info */
    }
    client_forget(c);
    for (const struct curl_slist *l = headers; l; l = l->next)
        wm_wipe(l->data, strlen(l->data)); /* signatures, tokens */
    curl_slist_free_all(headers);
    return status;
}
