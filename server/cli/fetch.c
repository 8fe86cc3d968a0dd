#include "server/cli/fetch.h"

#include <curl/curl.h>

#include "waymark/banned.h"

#define FETCH_CONNECT_TIMEOUT_MS 5000l
#define FETCH_TIMEOUT_MS 15000l

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
    struct wm_buf *out = arg;
    wm_buf_add(out, data, size * n);
    return wm_buf_status(out) == WM_OK ? size * n : 0;
}

static enum wm_status make_headers(const struct wm_sigv4_header *headers, size_t n, struct curl_slist **out,
                                   struct wm_err *err)
{
    struct curl_slist *list = NULL, *more;
    struct wm_buf line;
    wm_buf_init(&line, 8192);
    enum wm_status status = WM_OK;
    for (size_t i = 0; i < n && status == WM_OK; i++) {
        wm_buf_clear(&line);
        wm_buf_addf(&line, "%.*s: %.*s", WM_ARG(headers[i].name), WM_ARG(headers[i].value));
        status = wm_buf_status(&line);
        more = status == WM_OK ? curl_slist_append(list, wm_buf_cstr(&line)) : NULL;
        if (more)
            list = more;
        else
            status = wm_fail(err, WM_E_NOMEM, "no memory for the request");
    }
    wm_buf_done(&line);
    if (status == WM_OK)
        *out = list;
    else
        curl_slist_free_all(list);
    return status;
}

enum wm_status cli_fetch(const char *url, const struct wm_sigv4_header *headers, size_t n_headers, struct wm_buf *out,
                         long *out_http_status, struct wm_err *err)
{
    char detail[CURL_ERROR_SIZE] = "";
    struct curl_slist *list = NULL;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) /* one thread: no need to do it once only */
        return wm_fail(err, WM_E_NOMEM, "cannot start the HTTP library");
    CURL *c = curl_easy_init();
    enum wm_status status = c ? make_headers(headers, n_headers, &list, err)
                              : wm_fail(err, WM_E_NOMEM, "no memory for the request");
    if (status == WM_OK) {
        CURLcode rc = CURLE_OK;
#define FETCH_SET(option, value)                          \
    do {                                                  \
        if (rc == CURLE_OK)                               \
            rc = curl_easy_setopt(c, option, value);      \
    } while (0)
        FETCH_SET(CURLOPT_URL, url);
        FETCH_SET(CURLOPT_PROTOCOLS_STR, "http,https");
        FETCH_SET(CURLOPT_CONNECTTIMEOUT_MS, FETCH_CONNECT_TIMEOUT_MS);
        FETCH_SET(CURLOPT_TIMEOUT_MS, FETCH_TIMEOUT_MS);
        FETCH_SET(CURLOPT_USERAGENT, "waymark/" WAYMARK_VERSION);
        FETCH_SET(CURLOPT_HTTPHEADER, list);
        FETCH_SET(CURLOPT_ERRORBUFFER, detail);
        FETCH_SET(CURLOPT_WRITEFUNCTION, on_body);
        FETCH_SET(CURLOPT_WRITEDATA, out);
        if (rc == CURLE_OK)
            rc = curl_easy_perform(c);
        if (rc == CURLE_OK)
            rc = curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, out_http_status);
        if (wm_buf_status(out) != WM_OK)
            status = wm_fail(err, wm_buf_status(out), "the answer is too large");
        else if (rc != CURLE_OK)
            status = wm_fail(err, WM_E_IO, "%s", detail[0] ? detail : curl_easy_strerror(rc));
    }
    curl_slist_free_all(list);
    curl_easy_cleanup(c);
    curl_global_cleanup();
    return status;
}
