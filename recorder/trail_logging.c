#include "waymark/trail_logging.h"

#include <stdio.h>

#include "waymark/arena.h"
#include "waymark/json.h"

#include "waymark/banned.h"

#define LOGGING_ARENA_BYTES (64u * 1024u)

size_t wm_trail_logging_write(const struct wm_trail_logging *l, char out[WM_TRAIL_LOGGING_BYTES])
{
    int n = snprintf(out, WM_TRAIL_LOGGING_BYTES, "{\"logging\":%s,\"startedMs\":%lld,\"stoppedMs\":%lld}",
                     l->stopped ? "false" : "true", (long long)(l->started.ns / WM_NS_PER_MS),
                     (long long)(l->ended.ns / WM_NS_PER_MS));
    WM_ASSERT(n > 0 && (size_t)n < WM_TRAIL_LOGGING_BYTES);
    return (size_t)n;
}

static bool logging_time(const struct wm_json *document, const char *name, struct wm_wall_ns *out)
{
    const struct wm_json *ms = wm_json_get(document, name);
    int64_t n;
    if (!ms || wm_json_to_i64(ms, 0, INT64_MAX / WM_NS_PER_MS, &n) != WM_OK)
        return false;
    out->ns = n * WM_NS_PER_MS;
    return true;
}

enum wm_status wm_trail_logging_read(struct wm_view document, struct wm_trail_logging *out, struct wm_err *err)
{
    struct wm_arena a;
    struct wm_json *root = NULL;
    struct wm_trail_logging l = {.switched = true};
    wm_arena_init(&a, LOGGING_ARENA_BYTES);
    enum wm_status status = wm_json_parse(&a, document, &root, NULL);
    const struct wm_json *logging = wm_json_get(root, "logging");
    if (status == WM_E_NOMEM)
        status = wm_fail(err, WM_E_NOMEM, "no memory to see whether a trail is logging");
    else if (status != WM_OK || !logging || logging->type != WM_JSON_BOOL ||
             !logging_time(root, "startedMs", &l.started) || !logging_time(root, "stoppedMs", &l.ended))
        status = wm_fail(err, WM_E_CORRUPT, "the document that says whether a trail is logging is none");
    if (status == WM_OK) {
        l.stopped = !logging->boolean;
        *out = l;
    }
    wm_arena_done(&a);
    return status;
}

enum wm_status wm_trail_logging_get(struct wm_state *s, struct wm_view trail, struct wm_trail_logging *out,
                                    struct wm_err *err)
{
    struct wm_view document;
    if (wm_state_get(s, WM_LIT(WM_TRAIL_LOGGING_KIND), trail, &document))
        return wm_trail_logging_read(document, out, err);
    *out = (struct wm_trail_logging){0};
    return WM_OK;
}

enum wm_status wm_trail_logging_switched(const struct wm_entry *e, struct wm_view trail, bool *out_switched,
                                         bool *out_logging, struct wm_err *err)
{
    *out_switched = false;
    for (size_t i = 0; i < e->n_changes; i++) {
        const struct wm_change *c = &e->changes[i];
        struct wm_trail_logging l;
        if (!wm_view_eq_str(c->kind, WM_TRAIL_LOGGING_KIND) || !wm_view_eq(c->id, trail))
            continue;
        enum wm_status status = wm_trail_logging_read(c->document, &l, err);
        if (status != WM_OK)
            return status;
        *out_switched = true;
        *out_logging = !l.stopped;
    }
    return WM_OK;
}
