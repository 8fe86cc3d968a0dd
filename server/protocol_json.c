/*
 * awsJson1_0 and awsJson1_1 (Smithy 2.0, "AWS JSON 1.0/1.1 protocol"): POST /, the operation in X-Amz-Target. They
 * differ in the content type only.
 */
#include "server/protocol_int.h"

#include "waymark/banned.h"

static enum wm_status json_decode(struct wm_arena *a, const struct wm_route *route,
                                  const struct wm_protocol_request *request, struct wm_json **out, struct wm_err *err)
{
    struct protocol_decoder d = {.arena = a, .err = err};
    struct wm_json *params = wm_json_new(a, WM_JSON_OBJECT);
    struct wm_json *body = protocol_parse_body(&d, request->body);
    if (body)
        protocol_take_json(&d, NULL, route->operation->input, true, body, params);
    return protocol_finish(&d, params, out);
}

/* Smithy, "epoch-seconds": a JSON number, with a fraction where there is one. Our documents have no time before 1970. */
static void write_time(struct wm_buf *out, int64_t time_ms)
{
    wm_buf_add_i64(out, time_ms / 1000);
    if (time_ms % 1000)
        wm_buf_addf(out, ".%03d", (int)(time_ms % 1000));
}

static void write_document(struct wm_buf *out, const struct wm_json *v)
{
    if (v->type == WM_JSON_TIME) {
        write_time(out, v->time_ms);
        return;
    }
    if (v->type != WM_JSON_ARRAY && v->type != WM_JSON_OBJECT) {
        wm_json_write(out, v);
        return;
    }
    bool object = v->type == WM_JSON_OBJECT;
    wm_buf_add_char(out, object ? '{' : '[');
    for (const struct wm_json *e = v->first; e; e = e->next) {
        if (e != v->first)
            wm_buf_add_char(out, ',');
        if (object) {
            wm_json_write_string(out, e->key);
            wm_buf_add_char(out, ':');
        }
        write_document(out, e); /* as deep as what a handler built */
    }
    wm_buf_add_char(out, object ? '}' : ']');
}

static void json_encode(const struct wm_route *route, const struct wm_json *document, struct wm_view request_id,
                        struct wm_buf *out)
{
    (void)route;
    (void)request_id; /* in the header only */
    if (document)
        write_document(out, document);
    else
        wm_buf_add_str(out, "{}");
}

void protocol_write_json_error(const char *code, struct wm_view message, struct wm_buf *out)
{
    /* __type must stand in the body: with the header alone clients show "400" as the name (cloudtrail.md 0, 11) */
    wm_buf_add_str(out, "{\"__type\":");
    wm_json_write_string(out, wm_view_of(code));
    wm_buf_add_str(out, ",\"message\":");
    wm_json_write_string(out, message.len ? message : wm_view_of(code));
    wm_buf_add_char(out, '}');
}

static void json_encode_error(const struct wm_route *route, const char *code, int http_status, struct wm_view message,
                              struct wm_view request_id, struct wm_buf *out)
{
    (void)route;
    (void)http_status;
    (void)request_id;
    protocol_write_json_error(code, message, out);
}

/* As for restJson1, but for the service's own failure, and throttling, which is no modelled error (cloudtrail.md 5.5,
 * common errors). */
static const char *json_refusal(enum wm_refusal why, int *out_http_status)
{
    const char *name = wm_protocol_rest.refusal(why, out_http_status);
    return why == WM_REFUSE_INTERNAL ? "InternalFailure" : why == WM_REFUSE_THROTTLED ? "ThrottlingException" : name;
}

const struct wm_protocol wm_protocol_json_1_0 = {
    .name = "awsJson1_0",
    .content_type = "application/x-amz-json-1.0",
    .decode = json_decode,
    .encode = json_encode,
    .encode_error = json_encode_error,
    .error_header = "x-amzn-ErrorType",
    .refusal = json_refusal,
};

const struct wm_protocol wm_protocol_json_1_1 = {
    .name = "awsJson1_1",
    .content_type = "application/x-amz-json-1.1",
    .decode = json_decode,
    .encode = json_encode,
    .encode_error = json_encode_error,
    .error_header = "x-amzn-ErrorType",
    .refusal = json_refusal,
};
