/* Principals by access key: a hash table, and a list from the one used last to the one that goes next. */
#include <stdlib.h>

#include "server/principal.h"
#include "waymark/sync.h"

#include "waymark/banned.h"

#define BUCKETS 1024u /* a power of 2 */

struct wm_principal_cache {
    size_t max_bytes;
    struct wm_mutex mu;
    /* ---- under mu ---- */
    size_t bytes;
    struct wm_held_principal *newest, *oldest;
    struct wm_held_principal *buckets[BUCKETS];
};

struct wm_principal_cache *wm_principal_cache_new(size_t max_bytes)
{
    struct wm_principal_cache *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->max_bytes = max_bytes;
    wm_mutex_init(&c->mu);
    return c;
}

/* FNV-1a. Ids are random, and who could choose them to collide is root. */
static struct wm_held_principal **bucket_locked(struct wm_principal_cache *c, struct wm_view id) WM_REQUIRES(c->mu)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < id.len; i++)
        h = (h ^ (uint8_t)id.ptr[i]) * 16777619u;
    return &c->buckets[h % BUCKETS];
}

/* The pointer that leads to it; to NULL when it is not there. */
static struct wm_held_principal **find_locked(struct wm_principal_cache *c, struct wm_view id) WM_REQUIRES(c->mu)
{
    struct wm_held_principal **at = bucket_locked(c, id);
    while (*at && !wm_view_eq((*at)->face.identity.access_key_id, id))
        at = &(*at)->chained;
    return at;
}

static void unlist_locked(struct wm_principal_cache *c, struct wm_held_principal *p) WM_REQUIRES(c->mu)
{
    *(p->newer ? &p->newer->older : &c->newest) = p->older;
    *(p->older ? &p->older->newer : &c->oldest) = p->newer;
}

static void list_locked(struct wm_principal_cache *c, struct wm_held_principal *p) WM_REQUIRES(c->mu)
{
    p->newer = NULL;
    p->older = c->newest;
    *(c->newest ? &c->newest->newer : &c->oldest) = p;
    c->newest = p;
}

static void drop_locked(struct wm_principal_cache *c, struct wm_held_principal **at) WM_REQUIRES(c->mu)
{
    struct wm_held_principal *p = *at;
    *at = p->chained;
    unlist_locked(c, p);
    c->bytes -= p->bytes;
    wm_principal_release(&p->face);
}

void wm_principal_cache_free(struct wm_principal_cache *c)
{
    if (!c)
        return;
    wm_mutex_lock(&c->mu);
    while (c->oldest)
        drop_locked(c, find_locked(c, c->oldest->face.identity.access_key_id));
    wm_mutex_unlock(&c->mu);
    wm_mutex_done(&c->mu);
    free(c);
}

struct wm_held_principal *wm_principal_cache_get(struct wm_principal_cache *c, struct wm_view access_key_id)
{
    wm_mutex_lock(&c->mu);
    struct wm_held_principal *p = *find_locked(c, access_key_id);
    if (p) {
        atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
        if (p != c->newest) {
            unlist_locked(c, p);
            list_locked(c, p);
        }
    }
    wm_mutex_unlock(&c->mu);
    return p;
}

void wm_principal_cache_put(struct wm_principal_cache *c, struct wm_held_principal *p)
{
    wm_mutex_lock(&c->mu);
    struct wm_held_principal **at = find_locked(c, p->face.identity.access_key_id);
    if (*at)
        drop_locked(c, at);
    while (c->oldest && c->bytes + p->bytes > c->max_bytes)
        drop_locked(c, find_locked(c, c->oldest->face.identity.access_key_id));
    if (p->bytes <= c->max_bytes) {
        at = bucket_locked(c, p->face.identity.access_key_id);
        p->chained = *at;
        *at = p;
        list_locked(c, p);
        c->bytes += p->bytes;
        atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
    }
    wm_mutex_unlock(&c->mu);
}
