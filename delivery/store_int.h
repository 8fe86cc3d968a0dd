/* Inside of store.h, for the stores and for tests that put their own store between a trail and a real one. */
#ifndef WAYMARK_DELIVERY_STORE_INT_H
#define WAYMARK_DELIVERY_STORE_INT_H

#include <stdatomic.h>

#include "waymark/store.h"

struct wm_store_ops {
    /** Create if none. WM_E_EXISTS: the caller compares. sha256_hex has 64 characters. */
    enum wm_status (*put)(struct wm_store *s, struct wm_view key, struct wm_view body, struct wm_view sha256_hex,
                          const struct wm_store_header *headers, size_t n_headers, struct wm_err *err);
    enum wm_status (*get)(struct wm_store *s, struct wm_view key, struct wm_buf *body, struct wm_arena *a,
                          struct wm_store_header *out_headers, size_t *out_n, struct wm_err *err);
    enum wm_status (*list)(struct wm_store *s, struct wm_view prefix,
                           enum wm_status (*each)(void *arg, const struct wm_store_object *o), void *arg,
                           struct wm_err *err);
    void (*free)(struct wm_store *s); /* the whole object; wm_store_done() is called before */
};

#define WM_STORE_MAGIC 0x53746f72u

/** The first member of every store. */
struct wm_store {
    uint32_t magic;
    const struct wm_store_ops *ops;
    char *bucket;
    atomic_llong retry_after_ms; /* set by ops while they fail */
    atomic_bool cancelled;
};

enum wm_status wm_store_init(struct wm_store *s, const struct wm_store_ops *ops, struct wm_view bucket,
                             struct wm_err *err) WM_MUST_CHECK;
void wm_store_done(struct wm_store *s);

/**
 * Is the key one that both kinds of store can hold: 1 to WM_MAX_OBJECT_KEY_BYTES of UTF-8 without control characters,
 * no empty, "." or ".." part, no leading dot (a folder keeps its own things there)?
 */
enum wm_status wm_store_check_key(struct wm_view key, struct wm_err *err) WM_MUST_CHECK;

/** The headers in an object's metadata file; none when it is no such file. @return WM_E_NOMEM */
enum wm_status wm_store_read_metadata(struct wm_arena *a, struct wm_view text, struct wm_store_header *out, size_t *out_n,
                                      struct wm_err *err) WM_MUST_CHECK;

#endif
