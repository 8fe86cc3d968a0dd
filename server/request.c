#include "server/request.h"

#include "waymark/bounds.h"

#include "waymark/banned.h"

#define KEPT_BUFFER_BYTES (16u * 1024u)

void wm_request_init(struct wm_request *r, size_t max_body_bytes)
{
    memset(r, 0, sizeof *r);
    wm_arena_init(&r->arena, WM_MAX_ARENA_BYTES);
    wm_buf_init(&r->body, max_body_bytes);
    wm_buf_init(&r->out, WM_MAX_ARENA_BYTES);
    wm_buf_init(&r->record, WM_MAX_RECORD_BYTES);
}

/* Requests are reused; one that was large must not keep its memory for ever. */
static void buffer_reuse(struct wm_buf *b)
{
    if (b->cap > KEPT_BUFFER_BYTES)
        wm_buf_done(b);
    else
        wm_buf_clear(b);
}

void wm_request_clear(struct wm_request *r)
{
    wm_arena_clear(&r->arena);
    if (r->out.len)
        wm_wipe(r->out.data, r->out.len); /* may hold ingest passwords */
    buffer_reuse(&r->body);
    buffer_reuse(&r->out);
    buffer_reuse(&r->record);
    wm_principal_release(r->caller);
    r->caller = NULL;
    r->method = r->path = r->query = r->source_ip = r->event_name = r->principal = WM_EMPTY;
    memset(&r->route, 0, sizeof r->route);
    r->n_headers = 0;
    r->secure = false;
    r->refused = false;
    r->status = 0;
    r->error_code = NULL;
    r->retry_after_s = 0;
    r->request_id[0] = '\0';
    r->seq = r->behind = 0;
    r->folded = r->unrecorded = false;
}

void wm_request_done(struct wm_request *r)
{
    wm_request_clear(r);
    wm_arena_done(&r->arena);
    wm_buf_done(&r->body);
    wm_buf_done(&r->out);
    wm_buf_done(&r->record);
}

struct wm_sigv4_request wm_request_as_signed(const struct wm_request *r, const char hash[WM_SHA256_HEX_BYTES])
{
    return (struct wm_sigv4_request){
        .method = r->method,
        .path = r->path,
        .query = r->query,
        .headers = r->headers,
        .n_headers = r->n_headers,
        .path_form = WM_SIGV4_PATH_NORMALIZED,
        .payload_hash = {hash, WM_SHA256_HEX_BYTES},
    };
}

struct wm_view wm_request_header(const struct wm_request *r, const char *name)
{
    for (size_t i = 0; i < r->n_headers; i++)
        if (wm_view_ieq_str(r->headers[i].name, name))
            return r->headers[i].value;
    return WM_EMPTY;
}
