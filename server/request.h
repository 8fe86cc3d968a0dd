/**
 * One request on its way: what came, what is decided, what goes back. Filled by http.c, worked on by dispatch.c.
 *
 * Views of headers point into libmicrohttpd's memory of the connection, all else into the arena, the buffers here or what
 * is constant; all of it lives until the reply has been sent.
 */
#ifndef WAYMARK_SERVER_REQUEST_H
#define WAYMARK_SERVER_REQUEST_H

#include "waymark/arena.h"
#include "waymark/buf.h"
#include "waymark/hash.h"
#include "waymark/principal.h"
#include "waymark/protocol.h"
#include "waymark/sigv4.h"

struct wm_request {
    /* what came */
    struct wm_view method;
    struct wm_view path;                 /* raw */
    struct wm_view query;                /* raw */
    struct wm_sigv4_header headers[WM_SIGV4_MAX_HEADERS];
    size_t n_headers;
    struct wm_buf body;
    struct wm_view source_ip;
    bool secure;                         /* the caller spoke TLS, to a trusted proxy */
    bool refused;                        /* before dispatch, by http.c: `refusal` says why */
    enum wm_refusal refusal;

    /* what is decided */
    struct wm_route route;               /* route.protocol is set once dispatched */
    struct wm_view event_name;           /* as recorded */
    const struct wm_principal *caller;   /* held; NULL: nobody was proven */
    struct wm_view principal;            /* ARN, or the access key that was claimed; may be empty */
    char claimed_key[128];               /* of a caller who was not proven; the longest that there is, or cut */
    char asked[128];                     /* an operation that we do not have */

    /* what goes back */
    int status;
    const char *error_code;              /* NULL: success */
    int64_t retry_after_s;               /* 0: nothing is said of it */
    struct wm_buf out;
    char request_id[WM_UUID_BYTES];

    /* how it is recorded */
    uint64_t seq;                        /* of its entry; 0: none */
    bool folded;                         /* it has none, and is counted with others that were refused */
    uint64_t behind;                     /* folded: what it may have seen, durable before it is answered */
    bool unrecorded;                     /* it has none, and was answered all the same, as the settings say */
    struct wm_buf record;
    struct wm_arena arena;
};

void wm_request_init(struct wm_request *r, size_t max_body_bytes);
void wm_request_clear(struct wm_request *r); /* ready for the next request, memory kept */
void wm_request_done(struct wm_request *r);

/** First value of a header, name in any case; the empty view when it is absent. */
struct wm_view wm_request_header(const struct wm_request *r, const char *name);

/** As its signature is checked. @param hash  64 hex digits of the body's SHA-256; pointed at, not read */
struct wm_sigv4_request wm_request_as_signed(const struct wm_request *r, const char hash[WM_SHA256_HEX_BYTES]);

#endif
