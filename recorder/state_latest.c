#include "recorder/state_latest.h"

#include "waymark/bounds.h"

#include "waymark/banned.h"

/* Four of the largest documents, or some thousand ordinary ones. */
#define LATEST_MAX_BYTES (4u * WM_MAX_DOCUMENT_BYTES)

void wm_latest_init(struct wm_latest *l)
{
    memset(l, 0, sizeof *l);
    wm_arena_init(&l->arena, LATEST_MAX_BYTES);
}

void wm_latest_done(struct wm_latest *l)
{
    wm_arena_done(&l->arena);
}

void wm_latest_clear(struct wm_latest *l)
{
    wm_arena_clear(&l->arena);
    l->first = NULL;
    memset(l->buckets, 0, sizeof l->buckets);
}

/* FNV-1a (Fowler, Noll, Vo; draft-eastlake-fnv-21): short keys, and nobody gains by collisions in 4,096 entries. */
static uint64_t add_to_hash(uint64_t hash, struct wm_view v)
{
    for (size_t i = 0; i < v.len; i++)
        hash = (hash ^ (uint8_t)v.ptr[i]) * 0x100000001b3u;
    return hash;
}

bool wm_latest_add(struct wm_latest *l, const struct wm_change *c, uint64_t seq)
{
    uint64_t hash = add_to_hash(add_to_hash(0xcbf29ce484222325u, c->kind), c->id);
    struct wm_latest_change **bucket = &l->buckets[hash % WM_LATEST_BUCKETS], *have = *bucket;
    while (have && !(wm_view_eq(have->change.id, c->id) && wm_view_eq(have->change.kind, c->kind)))
        have = have->same_bucket;
    if (have && c->document.len <= have->room) {
        if (c->document.len)
            memcpy((char *)(uintptr_t)have->change.document.ptr, c->document.ptr, c->document.len); /* ours, see below */
        have->change.document.len = c->document.len;
        have->seq = seq;
        return true;
    }
    struct wm_view document = wm_arena_copy(&l->arena, c->document);
    if (have) {
        if (wm_arena_status(&l->arena) != WM_OK)
            return false;
        have->change.document = document;
        have->room = document.len;
        have->seq = seq;
        return true;
    }
    struct wm_latest_change *new = wm_arena_alloc(&l->arena, sizeof *new);
    struct wm_change copy = {wm_arena_copy(&l->arena, c->kind), wm_arena_copy(&l->arena, c->id), document};
    if (wm_arena_status(&l->arena) != WM_OK)
        return false;
    *new = (struct wm_latest_change){copy, seq, document.len, l->first, *bucket};
    l->first = *bucket = new;
    return true;
}
