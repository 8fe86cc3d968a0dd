#include "store_int.h"

#include <stdlib.h>

#include "waymark/bounds.h"
#include "waymark/hash.h"

#include "waymark/banned.h"

/* Headers of one object: names and values of at most 2 KB of user metadata, some content-* headers. */
#define STORE_COMPARE_ARENA_BYTES ((size_t)64 * 1024)

enum wm_status wm_store_init(struct wm_store *s, const struct wm_store_ops *ops, struct wm_view bucket,
                             struct wm_err *err)
{
    s->magic = WM_STORE_MAGIC;
    s->ops = ops;
    atomic_init(&s->retry_after_ms, 0);
    atomic_init(&s->cancelled, false);
    s->bucket = wm_view_dup(bucket);
    return s->bucket ? WM_OK : wm_fail(err, WM_E_NOMEM, "no memory for a store");
}

void wm_store_done(struct wm_store *s)
{
    free(s->bucket);
    s->bucket = NULL;
    s->magic = 0;
}

void wm_store_free(struct wm_store *s)
{
    if (!s)
        return;
    WM_ASSERT(s->magic == WM_STORE_MAGIC);
    void (*release)(struct wm_store *) = s->ops->free;
    wm_store_done(s);
    release(s);
}

struct wm_view wm_store_bucket(const struct wm_store *s)
{
    return wm_view_of(s->bucket);
}

void wm_store_cancel(struct wm_store *s)
{
    atomic_store(&s->cancelled, true);
}

int64_t wm_store_retry_after_ms(const struct wm_store *s)
{
    return atomic_load(&s->retry_after_ms);
}

struct wm_view wm_store_header(const struct wm_store_header *headers, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (wm_view_eq_str(headers[i].name, name))
            return headers[i].value;
    return WM_EMPTY;
}

enum wm_status wm_store_check_key(struct wm_view key, struct wm_err *err)
{
    if (key.len == 0 || key.len > WM_MAX_OBJECT_KEY_BYTES)
        return wm_fail(err, WM_E_INVALID, "a key has 1 to %u bytes, this one %zu", WM_MAX_OBJECT_KEY_BYTES, key.len);
    if (!wm_view_is_utf8(key))
        return wm_fail(err, WM_E_INVALID, "the key is not UTF-8");
    for (size_t i = 0; i < key.len; i++)
        if ((unsigned char)key.ptr[i] < 0x20 || key.ptr[i] == 0x7f)
            return wm_fail(err, WM_E_INVALID, "the key has a control character at byte %zu", i);
    if (key.ptr[0] == '.')
        return wm_fail(err, WM_E_INVALID, "the key %.*s begins with a dot", WM_ARG(key));
    size_t start = 0;
    for (size_t i = 0; i <= key.len; i++) {
        if (i < key.len && key.ptr[i] != '/')
            continue;
        struct wm_view part = wm_view_sub(key, start, i);
        if (part.len == 0 || wm_view_eq_str(part, ".") || wm_view_eq_str(part, ".."))
            return wm_fail(err, WM_E_INVALID, "the key %.*s has an empty or dotted part", WM_ARG(key));
        start = i + 1;
    }
    return WM_OK;
}

static enum wm_status store_begin(struct wm_store *s, struct wm_err *err)
{
    WM_ASSERT(s->magic == WM_STORE_MAGIC);
    atomic_store(&s->retry_after_ms, 0);
    if (atomic_load(&s->cancelled))
        return wm_fail(err, WM_E_END, "the store was cancelled");
    return WM_OK;
}

/* Is what stands under the key what we want to put there? */
static enum wm_status store_compare(struct wm_store *s, struct wm_view key, struct wm_view body,
                                    const struct wm_store_header *headers, size_t n_headers, struct wm_err *err)
{
    struct wm_store_header found[WM_STORE_MAX_HEADERS];
    size_t n_found = 0;
    struct wm_buf there;
    struct wm_arena a;
    wm_buf_init(&there, body.len); /* a longer one is another one */
    wm_arena_init(&a, STORE_COMPARE_ARENA_BYTES);
    enum wm_status status = s->ops->get(s, key, &there, &a, found, &n_found, err);
    if (status == WM_E_LIMIT || (status == WM_OK && !wm_view_eq(wm_buf_view(&there), body))) {
        status = wm_fail(err, WM_E_EXISTS, "another object is at %.*s", WM_ARG(key));
    } else if (status == WM_E_NOT_FOUND) {
        /* There a moment ago: someone deletes, or the listing of the store lags behind. Ask again later. */
        status = wm_fail(err, WM_E_UNAVAILABLE, "%.*s was there and is not any more", WM_ARG(key));
        if (err)
            err->retryable = true;
    } else if (status == WM_OK) {
        for (size_t i = 0; i < n_headers; i++) {
            const struct wm_store_header *h = &headers[i];
            struct wm_view name = h->name;
            if (!wm_view_starts(name, "x-amz-meta-"))
                continue;
            struct wm_view value = WM_EMPTY;
            for (size_t k = 0; k < n_found; k++)
                if (wm_view_eq(found[k].name, name))
                    value = found[k].value;
            if (!wm_view_eq(value, h->value)) {
                status = wm_fail(err, WM_E_EXISTS, "another object is at %.*s: its %.*s differs", WM_ARG(key),
                                 WM_ARG(name));
                break;
            }
        }
    }
    wm_arena_done(&a);
    wm_buf_done(&there);
    return status;
}

enum wm_status wm_store_put(struct wm_store *s, struct wm_view key, struct wm_view body, struct wm_view sha256_hex,
                            const struct wm_store_header *headers, size_t n_headers, struct wm_err *err)
{
    char hex[WM_SHA256_HEX_BYTES];
    enum wm_status status = store_begin(s, err);
    if (status == WM_OK)
        status = wm_store_check_key(key, err);
    if (status == WM_OK && n_headers > WM_STORE_MAX_HEADERS)
        status = wm_fail(err, WM_E_LIMIT, "%zu headers, at most %u", n_headers, WM_STORE_MAX_HEADERS);
    if (status != WM_OK)
        return status;
    if (sha256_hex.len == 0) {
        uint8_t hash[WM_SHA256_BYTES];
        wm_sha256(body.ptr, body.len, hash);
        wm_hex(hash, sizeof hash, hex);
        sha256_hex = (struct wm_view){hex, sizeof hex};
    }
    WM_ASSERT(sha256_hex.len == WM_SHA256_HEX_BYTES);
    status = s->ops->put(s, key, body, sha256_hex, headers, n_headers, err);
    if (status == WM_E_EXISTS)
        status = store_compare(s, key, body, headers, n_headers, err);
    return status;
}

enum wm_status wm_store_get(struct wm_store *s, struct wm_view key, struct wm_buf *body, struct wm_arena *a,
                            struct wm_store_header *out_headers, size_t *out_n, struct wm_err *err)
{
    enum wm_status status = store_begin(s, err);
    if (status != WM_OK)
        return status;
    size_t before = body->len;
    status = s->ops->get(s, key, body, a, out_headers, out_n, err);
    if (status != WM_OK)
        wm_buf_truncate(body, before);
    return status;
}

enum wm_status wm_store_list(struct wm_store *s, struct wm_view prefix,
                             enum wm_status (*each)(void *arg, const struct wm_store_object *o), void *arg,
                             struct wm_err *err)
{
    enum wm_status status = store_begin(s, err);
    return status == WM_OK ? s->ops->list(s, prefix, each, arg, err) : status;
}
