/**
 * Memory of one request: many small pieces, released together.
 *
 * Exhaustion is an answer (413 or 503), not a crash: wm_arena_alloc() returns NULL and the arena remembers it, so a
 * builder of a tree may go on with NULL pieces and check wm_arena_status() once at the end.
 *
 * @thread any (one arena in one thread at a time)   @locks none
 */
#ifndef WAYMARK_ARENA_H
#define WAYMARK_ARENA_H

#include "waymark/buf.h"
#include "waymark/status.h"

struct wm_arena_chunk;

struct wm_arena {
    struct wm_arena_chunk *chunks; /* newest first */
    char *next;                    /* free part of the newest chunk */
    size_t left;
    size_t used;                   /* bytes in all chunks */
    size_t max;
    bool exhausted;
};

void wm_arena_init(struct wm_arena *a, size_t max_bytes);
void wm_arena_done(struct wm_arena *a);  /* NULL allowed */
void wm_arena_clear(struct wm_arena *a); /* everything allocated is gone; one small chunk is kept for the next request */

/** n bytes, zeroed, aligned for any type. NULL when the ceiling or the system's memory is reached. */
void *wm_arena_alloc(struct wm_arena *a, size_t n);
/** A copy with a NUL behind it (not counted). The empty view when memory is short. */
struct wm_view wm_arena_copy(struct wm_arena *a, struct wm_view v);
struct wm_view wm_arena_printf(struct wm_arena *a, const char *fmt, ...) WM_PRINTF(2, 3);
/** WM_OK, or WM_E_NOMEM once any allocation has failed. */
enum wm_status wm_arena_status(const struct wm_arena *a) WM_MUST_CHECK;

#endif
