#include "server/cors.h"

#include "waymark/banned.h"

/* The origin as the settings have it; NULL: there is none, or it is not among them. */
static const char *allowed_origin(const struct wm_cors *c, const struct wm_request *r)
{
    struct wm_view origin = c->n ? wm_request_header(r, "origin") : WM_EMPTY;
    for (size_t i = 0; origin.len && i < c->n; i++)
        if (wm_view_eq_str(origin, c->origins[i])) /* by bytes (Fetch Standard, "CORS check") */
            return c->origins[i];
    return NULL;
}

/* Fetch Standard, "CORS-preflight request". */
static bool is_preflight(const struct wm_request *r)
{
    return wm_view_eq_str(r->method, "OPTIONS") && wm_request_header(r, "access-control-request-method").len > 0;
}

bool wm_cors_is_preflight(const struct wm_cors *c, const struct wm_request *r)
{
    return allowed_origin(c, r) && is_preflight(r);
}

size_t wm_cors_headers(const struct wm_cors *c, const struct wm_request *r,
                       struct wm_cors_header out[WM_CORS_MAX_HEADERS])
{
    size_t n = 0;
    if (c->n == 0)
        return 0;
    out[n++] = (struct wm_cors_header){"Vary", "Origin"}; /* so that no cache gives the answer to another */
    const char *origin = allowed_origin(c, r);
    if (!origin)
        return n;
    out[n++] = (struct wm_cors_header){"Access-Control-Allow-Origin", origin};
    if (is_preflight(r)) {
        out[n++] = (struct wm_cors_header){"Access-Control-Allow-Methods", "GET, POST, PUT, DELETE"};
        /* What the SDK for JavaScript v3 sends; "*" would leave Authorization out (Fetch Standard, "CORS non-wildcard
         * request-header name"). */
        out[n++] = (struct wm_cors_header){"Access-Control-Allow-Headers",
                                           "authorization, content-type, x-amz-date, x-amz-target, "
                                           "x-amz-security-token, x-amz-content-sha256, x-amz-user-agent, "
                                           "amz-sdk-invocation-id, amz-sdk-request"};
        out[n++] = (struct wm_cors_header){"Access-Control-Max-Age", "3600"};
    } else {
        out[n++] = (struct wm_cors_header){"Access-Control-Expose-Headers",
                                           "x-amzn-RequestId, x-amzn-ErrorType, Retry-After"};
    }
    return n;
}
