/* One request to an AWS-like service, signed and sent: S3 and STS. */
#ifndef WAYMARK_DELIVERY_AWS_REQUEST_H
#define WAYMARK_DELIVERY_AWS_REQUEST_H

#include "http_client.h"
#include "waymark/credentials.h"

#define WM_AWS_MAX_HEADERS 40
#define WM_AWS_MAX_URL_BYTES ((size_t)8 * 1024)

struct wm_aws_request {
    const char *service;       /* "s3", "sts" */
    const char *method;
    const char *scheme;        /* "http", "https" */
    const char *host;          /* as in the Host header: with its port unless it is the scheme's own */
    struct wm_view path;       /* encoded */
    struct wm_view query;      /* encoded */
    struct wm_view body;
    struct wm_view sha256_hex; /* of body */
    struct wm_sigv4_header headers[WM_AWS_MAX_HEADERS]; /* without those of the signature */
    size_t n_headers;
    int64_t timeout_ms;
};

void wm_aws_header(struct wm_aws_request *q, struct wm_view name, struct wm_view value);

/**
 * Sign for the region at the time and send; q is as it was afterwards, for the next attempt.
 * @return as wm_http_send(), and what wm_sigv4_sign() says
 */
enum wm_status wm_aws_send(struct wm_http_client *http, struct wm_sigv4_cache *cache, const struct wm_aws_request *q,
                           const struct wm_credentials *c, const char *region, struct wm_wall_ns now,
                           struct wm_http_reply *r, struct wm_err *err) WM_MUST_CHECK;

/**
 * "https://s3.example.net:9000/" in parts. @param out_host  without the scheme's own port and a final slash
 * @return false when it is not a scheme (http, https), a host and perhaps a port
 */
bool wm_aws_endpoint(struct wm_view endpoint, const char **out_scheme, struct wm_view *out_host);

/** "2026-03-01T10:07:12Z" or "2026-03-01T10:07:12.000Z", its fraction dropped; false when the text is none. */
bool wm_aws_time(struct wm_view text, struct wm_wall_ns *out);

#endif
