/*
 * One HTTP request over libcurl: to a bucket, to STS, to the endpoints that hand out credentials. The only file that
 * includes curl.h is http_client.c.
 *
 * A client is one handle with its kept-alive connections, used by one thread at a time. Redirects are never followed: a
 * signature belongs to one host, and records go to no host that an answer names. Certificates are always verified.
 */
#ifndef WAYMARK_DELIVERY_HTTP_CLIENT_H
#define WAYMARK_DELIVERY_HTTP_CLIENT_H

#include <stdatomic.h>

#include "waymark/buf.h"
#include "waymark/clock.h"
#include "waymark/sigv4.h"
#include "waymark/status.h"

/** What all clients of a store have in common; texts and pointers live longer than every client. */
struct wm_http_settings {
    const char *ca_file; /* PEM: these authorities and no others; NULL: the system's */
    const char *proxy;   /* NULL: the environment's (HTTPS_PROXY, http_proxy, NO_PROXY); "": none */
    int64_t connect_timeout_ms;
};

struct wm_http_client;
/**
 * @param cancelled  the request in flight ends within a second once it is set; NULL: never. Lives longer than the client
 * @return NULL: *err says why
 */
struct wm_http_client *wm_http_client_new(const struct wm_http_settings *s, const atomic_bool *cancelled,
                                          struct wm_err *err);
void wm_http_client_free(struct wm_http_client *c); /* NULL allowed */

struct wm_http_request {
    const char *method; /* GET, HEAD, PUT, POST; the latter two send the body, empty or not */
    const char *url;
    const struct wm_sigv4_header *headers; /* to send, Host left out */
    size_t n_headers;
    struct wm_view body;
    int64_t timeout_ms;
};

struct wm_http_reply {
    long status;
    struct wm_buf *sink;   /* takes the body of a 2xx; NULL: text does */
    size_t sink_start;
    struct wm_buf text;    /* the body otherwise: an error document, a listing */
    struct wm_buf headers; /* "name:value\n", names in lower case, of the last answer */
    enum wm_status room; /* WM_OK, or why a part of the answer found none */
};

void wm_http_reply_init(struct wm_http_reply *r, struct wm_buf *sink);
void wm_http_reply_done(struct wm_http_reply *r); /* overwrites: answers of STS hold secrets */
/** Value of a header, its name in lower case; the empty view when it is not there. */
struct wm_view wm_http_reply_header(const struct wm_http_reply *r, const char *name);

/**
 * Send once.
 * @param r  of wm_http_reply_init(), or of an earlier send, which it then forgets
 * @return WM_OK (an answer came, whatever it says: r); WM_E_UNAVAILABLE (none: err->code names the reason by one of the
 *         names of s3_failure.c, such as "ConnectionRefused"); WM_E_LIMIT (the answer is larger than its buffer);
 *         WM_E_END (cancelled); WM_E_NOMEM
 */
enum wm_status wm_http_send(struct wm_http_client *c, const struct wm_http_request *q, struct wm_http_reply *r,
                            struct wm_err *err) WM_MUST_CHECK;

/** A date of HTTP (RFC 9110 section 5.6.7) as Unix time; false when the text is none. */
bool wm_http_date(struct wm_view text, int64_t *out_s);
/** How far the answer's Date is ahead of the clock; false when it has none. */
bool wm_http_reply_skew(const struct wm_http_reply *r, const struct wm_clock *clock, int64_t *out_s);

#endif
