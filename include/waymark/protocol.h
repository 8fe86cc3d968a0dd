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
    WM_REFUSE_MALFORMED_BODY,
    WM_REFUSE_BODY_TOO_LARGE,
    WM_REFUSE_TOO_SLOW,
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

/** Where a request leads. Views point into the request or the arena. */
struct wm_route {
    const struct wm_protocol *protocol; /* never NULL: decides how even an unknown operation is answered */
    const struct wm_service *service;   /* NULL: not known */
    const struct wm_operation *operation; /* NULL: not known */
    struct wm_view operation_name;      /* as asked for, also when unknown; "" when the request names none */
    struct wm_view path_values[4];      /* raw segments of the {names} in the operation's path, in order */
};

struct wm_protocol {
    const char *name;         /* "restJson1" */
    const char *content_type; /* of every answer */
    /**
     * Decode body, path and query into the operation's modelled members: out is an object, unmodelled members are
     * left out, types, required members and bounds are checked.
     * @return WM_OK; WM_E_INVALID (malformed body: refuse MALFORMED_BODY); WM_E_LIMIT (a member is missing, of the
     *         wrong type or out of bounds: the service's validation error), *err has the sentence; WM_E_NOMEM
     */
    enum wm_status (*decode)(struct wm_arena *a, const struct wm_route *route, const struct wm_protocol_request *request,
                             struct wm_json **out, struct wm_err *err);
    /** Write a success. document NULL: the operation's empty output. */
    void (*encode)(const struct wm_route *route, const struct wm_json *document, struct wm_view request_id,
                   struct wm_buf *out);
    /** Write an error. */
    void (*encode_error)(const struct wm_route *route, const char *code, int http_status, struct wm_view message,
                         struct wm_view request_id, struct wm_buf *out);
    /** Header beside the body that names the error ("x-amzn-ErrorType"), or NULL. */
    const char *error_header;
    /** Name and HTTP status of each refusal. */
    const char *(*refusal)(enum wm_refusal why, int *out_http_status);
};

/**
 * Find protocol, service and operation: by X-Amz-Target; else by Action and Version in a form body or the query; else
 * by method and path. signing_service (from the credential scope, may be empty) settles which REST service is meant.
 */
void wm_protocol_route(struct wm_arena *a, const struct wm_service *const *services, size_t n_services,
                       const struct wm_protocol_request *request, struct wm_view signing_service, struct wm_route *out);

#endif
