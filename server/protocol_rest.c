/*
 * restJson1 (Smithy 2.0, "AWS restJson1 protocol"): the path names the resource, the body is the members as JSON.
 */
#include "server/protocol_int.h"

#include "waymark/banned.h"

static void take_label(struct protocol_decoder *d, const struct wm_member *m, struct wm_view raw, struct wm_json *out)
{
    struct protocol_place at = {NULL, wm_view_of(m->name)};
    struct wm_view text;
    if (protocol_percent_decode(d->arena, raw, false, &text))
        wm_json_set(out, m->name, protocol_from_text(d, &at, m, text));
    else
        protocol_bad_member(d, &at, "has a percent sign without two hex digits behind it");
}

/* The labels stand in the pattern in the order of route->path_values, in the table perhaps in another. */
static void take_labels(struct protocol_decoder *d, const struct wm_route *route, struct wm_json *out)
{
    struct wm_view rest = wm_view_of(route->operation->path);
    size_t n = 0;
    while (rest.ptr) {
        struct wm_view part = wm_view_split(&rest, '/');
        if (!wm_view_starts(part, "{"))
            continue;
        struct wm_view name = wm_view_sub(part, 1, part.len - 1);
        for (const struct wm_member *m = route->operation->input; m && m->name; m++)
            if (m->place == WM_IN_PATH && wm_view_eq_str(name, m->name))
                take_label(d, m, route->path_values[n], out);
        n++;
    }
}

/* A plus sign stands for itself: SigV4 signs it so, and the SDKs send a blank as %20. */
static void take_query_member(struct protocol_decoder *d, const struct wm_member *m, struct wm_view query,
                              struct wm_json *out)
{
    struct protocol_place at = {NULL, wm_view_of(m->name)};
    struct wm_json *list = m->type == WM_MEMBER_STRING_LIST ? wm_json_new(d->arena, WM_JSON_ARRAY) : NULL;
    const struct wm_member element = protocol_element(m);
    struct wm_json *value = NULL;
    bool found = false;
    while (query.len) {
        struct wm_view raw = wm_view_split(&query, '&'), text = WM_EMPTY, key = WM_EMPTY;
        struct wm_view raw_key = wm_view_split(&raw, '=');
        if (!protocol_percent_decode(d->arena, raw_key, false, &key) || !wm_view_eq_str(key, m->name))
            continue;
        if (found && !list) {
            protocol_bad_member(d, &at, "is given twice");
            return;
        }
        found = true;
        if (!protocol_percent_decode(d->arena, raw, false, &text)) {
            protocol_bad_member(d, &at, "has a percent sign without two hex digits behind it");
            return;
        }
        value = protocol_from_text(d, &at, list ? &element : m, text);
        if (list)
            wm_json_push(list, value);
    }
    if (found)
        wm_json_set(out, m->name, list ? protocol_counted(d, &at, m, list) : value);
    else if (m->required)
        protocol_bad_member(d, &at, "is required in the query");
}

static enum wm_status rest_decode(struct wm_arena *a, const struct wm_route *route,
                                  const struct wm_protocol_request *request, struct wm_json **out, struct wm_err *err)
{
    struct protocol_decoder d = {.arena = a, .err = err};
    struct wm_json *params = wm_json_new(a, WM_JSON_OBJECT);
    bool has_body = false;
    take_labels(&d, route, params);
    for (const struct wm_member *m = route->operation->input; m && m->name; m++) {
        if (m->place == WM_IN_QUERY)
            take_query_member(&d, m, request->query, params);
        has_body = has_body || m->place == WM_IN_BODY;
    }
    if (has_body) { /* where no member is in the body, whatever is sent there is not looked at */
        struct wm_json *body = protocol_parse_body(&d, request->body);
        if (body)
            protocol_take_json(&d, NULL, route->operation->input, false, body, params);
    }
    return protocol_finish(&d, params, out);
}

static void rest_encode(const struct wm_route *route, const struct wm_json *document, struct wm_view request_id,
                        struct wm_buf *out)
{
    (void)request_id; /* in the header only */
    if (route->operation->http_status == 204)
        return;
    if (document)
        wm_json_write(out, document); /* times as ISO 8601: MediaPackage's model has them as strings */
    else
        wm_buf_add_str(out, "{}");
}

static void rest_encode_error(const struct wm_route *route, const char *code, int http_status, struct wm_view message,
                              struct wm_view request_id, struct wm_buf *out)
{
    (void)route;
    (void)http_status;
    (void)request_id;
    protocol_write_json_error(code, message, out);
}

/* Statuses: AWS, "Common errors" of the API references; mediapackage.md 2.2. */
static const char *rest_refusal(enum wm_refusal why, int *out_http_status)
{
    static const struct {
        const char *name;
        int status;
    } refusals[WM_REFUSE_COUNT] = {
        [WM_REFUSE_UNKNOWN_OPERATION] = {"UnknownOperationException", 404},
        [WM_REFUSE_MISSING_AUTHENTICATION] = {"MissingAuthenticationTokenException", 403},
        [WM_REFUSE_INCOMPLETE_SIGNATURE] = {"IncompleteSignatureException", 403},
        [WM_REFUSE_SIGNATURE] = {"InvalidSignatureException", 403},
        [WM_REFUSE_EXPIRED] = {"InvalidSignatureException", 403},
        [WM_REFUSE_UNKNOWN_KEY] = {"UnrecognizedClientException", 403},
        [WM_REFUSE_EXPIRED_TOKEN] = {"ExpiredTokenException", 403},
        [WM_REFUSE_DENIED] = {"AccessDeniedException", 403},
        [WM_REFUSE_MALFORMED_BODY] = {"SerializationException", 400},
        [WM_REFUSE_BODY_TOO_LARGE] = {"RequestEntityTooLargeException", 413},
        [WM_REFUSE_TOO_SLOW] = {"RequestTimeoutException", 408},
        [WM_REFUSE_THROTTLED] = {"TooManyRequestsException", 429},
        [WM_REFUSE_UNAVAILABLE] = {"ServiceUnavailableException", 503},
        [WM_REFUSE_INTERNAL] = {"InternalServerErrorException", 500},
    };
    WM_ASSERT((unsigned)why < WM_REFUSE_COUNT);
    *out_http_status = refusals[why].status;
    return refusals[why].name;
}

const struct wm_protocol wm_protocol_rest = {
    .name = "restJson1",
    .content_type = "application/json",
    .decode = rest_decode,
    .encode = rest_encode,
    .encode_error = rest_encode_error,
    .error_header = "x-amzn-ErrorType",
    .refusal = rest_refusal,
};
