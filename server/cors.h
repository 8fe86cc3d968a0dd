/**
 * Cross-origin calls: what a browser must be told before a page of another origin may call the API (Fetch Standard,
 * "CORS protocol"). Only origins of the settings are told anything.
 *
 * The question that a browser asks first, the preflight, is answered without a record: it is no call. The browser asks by
 * itself, without a signature, the answer is in the settings and says nothing of the account, and nothing is done. The call
 * that follows is recorded like any other. A preflight of another origin is a call of an unknown operation, as ever.
 *
 * @thread any   @locks none
 */
#ifndef WAYMARK_SERVER_CORS_H
#define WAYMARK_SERVER_CORS_H

#include "server/request.h"

/** Constant after start. */
struct wm_cors {
    const char *const *origins; /* "https://console.example.net", as browsers write them */
    size_t n;
};

struct wm_cors_header {
    const char *name, *value;
};
#define WM_CORS_MAX_HEADERS 5

/** Is it a preflight of an origin that may call? */
bool wm_cors_is_preflight(const struct wm_cors *c, const struct wm_request *r);
/** Headers of the answer to r. @return how many */
size_t wm_cors_headers(const struct wm_cors *c, const struct wm_request *r,
                       struct wm_cors_header out[WM_CORS_MAX_HEADERS]);

#endif
