#include "waymark/arena.h"

#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>

#include "waymark/banned.h"

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#endif
#ifdef ARENA_ASAN
#include <sanitizer/asan_interface.h>
#define ARENA_POISON(p, n) ASAN_POISON_MEMORY_REGION(p, n)
#define ARENA_UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION(p, n)
#define ARENA_GUARD_BYTES 16u /* unused and poisoned between two pieces, so that an overrun is seen */
#else
#define ARENA_POISON(p, n) ((void)0)
#define ARENA_UNPOISON(p, n) ((void)0)
#define ARENA_GUARD_BYTES 0u
#endif

#define ARENA_ALIGN alignof(max_align_t)
/* Holds an ordinary request whole: a SigV4 request's views, a body of 1 KB and its tree. */
#define ARENA_CHUNK_BYTES (16u * 1024u)

struct wm_arena_chunk {
    struct wm_arena_chunk *older;
    size_t bytes;
    alignas(max_align_t) char data[];
};

void wm_arena_init(struct wm_arena *a, size_t max_bytes)
{
    *a = (struct wm_arena){.max = max_bytes};
}

static void arena_free_chunk(struct wm_arena_chunk *c)
{
    ARENA_UNPOISON(c->data, c->bytes);
    free(c);
}

void wm_arena_done(struct wm_arena *a)
{
    if (!a)
        return;
    while (a->chunks) {
        struct wm_arena_chunk *c = a->chunks;
        a->chunks = c->older;
        arena_free_chunk(c);
    }
    wm_arena_init(a, a->max);
}

void wm_arena_clear(struct wm_arena *a)
{
    struct wm_arena_chunk *keep = NULL;
    while (a->chunks) {
        struct wm_arena_chunk *c = a->chunks;
        a->chunks = c->older;
        if (!keep && c->bytes == ARENA_CHUNK_BYTES)
            keep = c;
        else
            arena_free_chunk(c);
    }
    wm_arena_init(a, a->max);
    if (keep) {
        keep->older = NULL;
        a->chunks = keep;
        a->next = keep->data;
        a->left = a->used = keep->bytes;
        ARENA_POISON(keep->data, keep->bytes);
    }
}

void *wm_arena_alloc(struct wm_arena *a, size_t n)
{
    if (n > a->max) {
        a->exhausted = true;
        return NULL;
    }
    size_t need = (n + ARENA_GUARD_BYTES + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
    if (need > a->left) {
        size_t bytes = need > ARENA_CHUNK_BYTES ? need : ARENA_CHUNK_BYTES;
        struct wm_arena_chunk *c = bytes > a->max - a->used ? NULL : malloc(sizeof *c + bytes);
        if (!c) {
            a->exhausted = true;
            return NULL;
        }
        c->bytes = bytes;
        ARENA_POISON(c->data, bytes);
        a->used += bytes;
        if (bytes > ARENA_CHUNK_BYTES && a->chunks) {
            /* a large piece gets a chunk of its own; the current one keeps its free part */
            c->older = a->chunks->older;
            a->chunks->older = c;
            ARENA_UNPOISON(c->data, n);
            memset(c->data, 0, n);
            return c->data;
        }
        c->older = a->chunks;
        a->chunks = c;
        a->next = c->data;
        a->left = bytes;
    }
    void *p = a->next;
    a->next += need;
    a->left -= need;
    ARENA_UNPOISON(p, n);
    memset(p, 0, n);
    return p;
}

struct wm_view wm_arena_copy(struct wm_arena *a, struct wm_view v)
{
    char *copy = wm_arena_alloc(a, v.len + 1);
    if (!copy)
        return WM_EMPTY;
    if (v.len)
        memcpy(copy, v.ptr, v.len);
    return (struct wm_view){copy, v.len};
}

struct wm_view wm_arena_printf(struct wm_arena *a, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    char most[256]; /* nearly all that is printed: formatting twice, to learn the length, costs more than copying */
    int n = vsnprintf(most, sizeof most, fmt, args);
    WM_ASSERT(n >= 0);
    char *text = wm_arena_alloc(a, (size_t)n + 1);
    if (text && (size_t)n < sizeof most)
        memcpy(text, most, (size_t)n + 1);
    else if (text)
        (void)vsnprintf(text, (size_t)n + 1, fmt, again); /* the length is known */
    va_end(again);
    va_end(args);
    return text ? (struct wm_view){text, (size_t)n} : WM_EMPTY;
}

enum wm_status wm_arena_status(const struct wm_arena *a)
{
    return a->exhausted ? WM_E_NOMEM : WM_OK;
}
