/**
 * Wire protocols: how a request names its operation and carries its parameters, and how documents and errors become
 * bytes. restJson1, awsJson1_0/1_1 and awsQuery (Smithy 2.0 specification, "AWS protocols").
 *
 * WM_JSON_TIME in a document becomes: a JSON number of Unix seconds (awsJson), ISO 8601 text (awsQuery; and restJson1
 * in members of MediaPackage, whose model has them as strings).
 *
 * @thread http   @locks none
 */
#ifndef WAYMARK_PROTOCOL_H
#define WAYMARK_PROTOCOL_H

#include "waymark/arena.h"
#include "waymark/buf.h"
#include "waymark/json.h"
#include "waymark/service.h"
#include "waymark/status.h"

/** Why the dispatcher itself refuses a call. Each protocol has its own name and status for it. */
enum wm_refusal {
    WM_REFUSE_UNKNOWN_OPERATION,
    WM_REFUSE_MISSING_AUTHENTICATION,
    WM_REFUSE_INCOMPLETE_SIGNATURE,
    WM_REFUSE_SIGNATURE,
    WM_REFUSE_EXPIRED,
    WM_REFUSE_UNKNOWN_KEY,
    WM_REFUSE_EXPIRED_TOKEN,
    WM_REFUSE_DENIED, /* the caller is known, and may not */
    WM_REFUSE_MALFORMED_BODY,
    WM_REFUSE_BODY_TOO_LARGE,
    WM_REFUSE_TOO_SLOW,
    WM_REFUSE_THROTTLED,   /* too many calls of one principal or source */
    WM_REFUSE_UNAVAILABLE, /* the journal does not take entries */
    WM_REFUSE_INTERNAL,
    WM_REFUSE_COUNT
};

/** A request, as far as protocols look at it. */
struct wm_protocol_request {
    struct wm_view method;
    struct wm_view path;         /* raw: still percent-encoded, without the query */
    struct wm_view query;        /* raw */
    struct wm_view content_type;
    struct wm_view target;       /* X-Amz-Target */
    struct wm_view body;
};

/** Most parameters of a query-protocol request; a list of 200 tags takes 400. More is MALFORMED_BODY. */
#define WM_PROTOCOL_MAX_FORM_PARAMETERS 2048u

/** Most {names} in one operation's path. */
#define WM_PROTOCOL_MAX_LABELS 4u

/** Where a request leads. Views point into the request or the arena. */
struct wm_route {
    const struct wm_protocol *protocol; /* never NULL: decides how even an unknown operation is answered */
    const struct wm_service *service;   /* NULL: not known */
    const struct wm_operation *operation; /* NULL: not known */
    struct wm_view operation_name;      /* as asked for, also when unknown, but at most 128 bytes; "" when the
                                           request names none, as a REST path without an operation does */
    struct wm_view path_values[WM_PROTOCOL_MAX_LABELS]; /* raw segments of the {names} in the operation's path */
};

struct wm_protocol {
    const char *name;         /* "restJson1" */
    const char *content_type; /* of every answer */
    /**
     * Decode body, path and query into the operation's modelled members: out is an object, unmodelled members are
     * left out, types, required members and bounds are checked.
     * @param out  set on WM_OK, and also on WM_E_LIMIT: then it holds the members whose type was right, so that the
     *             record of the refused call shows what was asked for. Untouched otherwise.
     * @return WM_OK; WM_E_INVALID (malformed body: refuse MALFORMED_BODY); WM_E_LIMIT (a member is missing, of the
     *         wrong type or out of bounds: the service's validation error), *err has the sentence about the first
     *         one; WM_E_NOMEM
     */
    enum wm_status (*decode)(struct wm_arena *a, const struct wm_route *route, const struct wm_protocol_request *request,
                             struct wm_json **out, struct wm_err *err);
    /** Write a success. document NULL: the operation's empty output. Nothing is written where the status is 204. */
    void (*encode)(const struct wm_route *route, const struct wm_json *document, struct wm_view request_id,
                   struct wm_buf *out);
    /** Write an error. An empty message becomes the code: some clients fail on an empty one (clients.md 1). */
    void (*encode_error)(const struct wm_route *route, const char *code, int http_status, struct wm_view message,
                         struct wm_view request_id, struct wm_buf *out);
    /** Header beside the body that names the error ("x-amzn-ErrorType"), or NULL. */
    const char *error_header;
    /** Name and HTTP status of each refusal. */
    const char *(*refusal)(enum wm_refusal why, int *out_http_status);
};

extern const struct wm_protocol wm_protocol_rest;
extern const struct wm_protocol wm_protocol_json_1_0;
extern const struct wm_protocol wm_protocol_json_1_1;
extern const struct wm_protocol wm_protocol_query;

/**
 * Find protocol, service and operation: by X-Amz-Target (POST / only); else, at path /, by Action and Version in a form
 * body or the query; else by method and path. signing_service (from the credential scope, may be empty, proves nothing)
 * settles which service is meant where the request alone does not. The service may be known when the operation is not.
 */
void wm_protocol_route(struct wm_arena *a, const struct wm_service *const *services, size_t n_services,
                       const struct wm_protocol_request *request, struct wm_view signing_service, struct wm_route *out);

/** ISO 8601 with seconds and Z or an offset, perhaps a fraction, from 1970 to 2261: how times are written as text. */
bool wm_protocol_read_time(struct wm_view text, int64_t *out_ms);

#endif
