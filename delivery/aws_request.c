#include "aws_request.h"

#include "waymark/hash.h"

#include "waymark/banned.h"

void wm_aws_header(struct wm_aws_request *q, struct wm_view name, struct wm_view value)
{
    WM_ASSERT(q->n_headers < WM_AWS_MAX_HEADERS);
    q->headers[q->n_headers++] = (struct wm_sigv4_header){name, value};
}

enum wm_status wm_aws_send(struct wm_http_client *http, struct wm_sigv4_cache *cache, const struct wm_aws_request *q,
                           const struct wm_credentials *c, const char *region, struct wm_wall_ns now,
                           struct wm_http_reply *r, struct wm_err *err)
{
    struct wm_sigv4_header headers[WM_AWS_MAX_HEADERS + 5];
    size_t n = q->n_headers;
    memcpy(headers, q->headers, n * sizeof headers[0]);
    headers[n++] = (struct wm_sigv4_header){WM_LIT("host"), wm_view_of(q->host)};
    headers[n++] = (struct wm_sigv4_header){WM_LIT("x-amz-content-sha256"), q->sha256_hex};

    const struct wm_sigv4_credentials credentials = {
        .access_key_id = wm_view_of(c->access_key_id),
        .secret = wm_view_of(c->secret),
        .session_token = wm_view_of(c->session_token),
        .region = wm_view_of(region),
        .service = wm_view_of(q->service),
    };
    const struct wm_sigv4_request request = {
        .method = wm_view_of(q->method),
        .path = q->path,
        .query = q->query,
        .headers = headers,
        .n_headers = n,
        .path_form = WM_SIGV4_PATH_AS_SENT,
        .payload_hash = q->sha256_hex,
    };
    struct wm_sigv4_signature signature;
    enum wm_status status = wm_sigv4_sign(cache, &request, &credentials, now, &signature);
    if (status != WM_OK)
        return wm_fail(err, status, "the request to %s cannot be signed", q->host);
    headers[n++] = (struct wm_sigv4_header){WM_LIT("x-amz-date"), wm_view_of(signature.date)};
    if (credentials.session_token.len)
        headers[n++] = (struct wm_sigv4_header){WM_LIT("x-amz-security-token"), credentials.session_token};
    headers[n++] = (struct wm_sigv4_header){WM_LIT("authorization"), wm_view_of(signature.authorization)};

    struct wm_buf url;
    wm_buf_init(&url, WM_AWS_MAX_URL_BYTES);
    wm_buf_addf(&url, "%s://%s", q->scheme, q->host);
    wm_buf_add_view(&url, q->path);
    if (q->query.len) {
        wm_buf_add_char(&url, '?');
        wm_buf_add_view(&url, q->query);
    }
    status = wm_buf_status(&url);
    if (status == WM_OK) {
        const struct wm_http_request send = {
            .method = q->method,
            .url = wm_buf_cstr(&url),
            .headers = headers,
            .n_headers = n,
            .body = q->body,
            .timeout_ms = q->timeout_ms,
        };
        status = wm_http_send(http, &send, r, err);
    } else {
        status = wm_fail(err, status, "the URL is too long");
    }
    wm_buf_done(&url);
    return status;
}

bool wm_aws_endpoint(struct wm_view endpoint, const char **out_scheme, struct wm_view *out_host)
{
    bool tls = wm_view_starts(endpoint, "https://");
    if (!tls && !wm_view_starts(endpoint, "http://"))
        return false;
    struct wm_view host = wm_view_sub(endpoint, tls ? 8 : 7, endpoint.len);
    if (wm_view_ends(host, "/"))
        host.len--;
    /* Clients leave the scheme's own port out of Host, and so does the signature. */
    if (wm_view_ends(host, tls ? ":443" : ":80"))
        host.len -= tls ? 4 : 3;
    for (size_t i = 0; i < host.len; i++)
        if ((unsigned char)host.ptr[i] <= ' ' || strchr("/?#@\\", host.ptr[i]))
            return false;
    *out_scheme = tls ? "https" : "http";
    *out_host = host;
    return host.len > 0;
}

bool wm_aws_time(struct wm_view text, struct wm_wall_ns *out)
{
    char iso[WM_TIME_ISO_BYTES];
    if (text.len < 20 || text.ptr[text.len - 1] != 'Z' || !wm_view_copy(wm_view_sub(text, 0, 19), iso, sizeof iso))
        return false;
    iso[19] = 'Z';
    iso[20] = '\0';
    return wm_time_parse(wm_view_of(iso), out) == WM_OK;
}
