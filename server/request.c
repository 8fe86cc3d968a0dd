#include "server/request.h"

#include "waymark/bounds.h"

#include "waymark/banned.h"

void wm_request_init(struct wm_request *r, size_t max_body_bytes)
{
    memset(r, 0, sizeof *r);
    wm_arena_init(&r->arena, WM_MAX_ARENA_BYTES);
    wm_buf_init(&r->body, max_body_bytes);
    wm_buf_init(&r->out, WM_MAX_ARENA_BYTES);
    wm_buf_init(&r->record, WM_MAX_RECORD_BYTES);
}

void wm_request_clear(struct wm_request *r)
{
    wm_arena_clear(&r->arena);
    wm_buf_clear(&r->body);
    wm_buf_wipe(&r->out); /* may hold ingest passwords */
    wm_buf_clear(&r->record);
    r->method = r->path = r->query = r->source_ip = r->event_name = r->principal = WM_EMPTY;
    memset(&r->route, 0, sizeof r->route);
    r->n_headers = 0;
    r->refused = false;
    r->status = 0;
    r->error_code = NULL;
    r->request_id[0] = '\0';
    r->seq = 0;
}

void wm_request_done(struct wm_request *r)
{
    wm_request_clear(r);
    wm_arena_done(&r->arena);
    wm_buf_done(&r->body);
    wm_buf_done(&r->out);
    wm_buf_done(&r->record);
}

struct wm_view wm_request_header(const struct wm_request *r, const char *name)
{
    for (size_t i = 0; i < r->n_headers; i++)
        if (wm_view_ieq_str(r->headers[i].name, name))
            return r->headers[i].value;
    return WM_EMPTY;
}
