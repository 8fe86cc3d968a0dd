/**
 * Text and bytes with their length: `struct wm_view`, a slice passed by value, and `struct wm_buf`, a growing buffer
 * whose ceiling is fixed at birth.
 *
 * A failed append leaves the content as it was and sticks: later appends do nothing, and wm_buf_status() tells. So a
 * builder appends freely and checks once at the end.
 *
 *     struct wm_buf b;
 *     wm_buf_init(&b, WM_MAX_RECORD_BYTES);
 *     wm_buf_add_str(&b, "{\"id\":");
 *     wm_json_write_string(&b, id);
 *     status = wm_buf_status(&b);
 *     …
 *     wm_buf_done(&b);
 *
 * No code relies on a final NUL except at a library's edge, where wm_buf_cstr() puts one behind the content.
 *
 * @thread any (one object in one thread at a time)   @locks none
 */
#ifndef WAYMARK_BUF_H
#define WAYMARK_BUF_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "waymark/status.h"

struct wm_view {
    const char *ptr; /* may be NULL when len is 0 */
    size_t len;
};

/** A view of a string literal, or of a char array's content without its NUL. */
#define WM_LIT(s) ((struct wm_view){(s), sizeof(s) - 1})
#define WM_EMPTY ((struct wm_view){NULL, 0})
/** For printf: "%.*s", WM_ARG(view). */
#define WM_ARG(v) (int)(v).len, ((v).ptr ? (v).ptr : "")

struct wm_view wm_view_of(const char *cstr); /* NULL gives the empty view */
struct wm_view wm_view_sub(struct wm_view v, size_t from, size_t to); /* clamped to v */
bool wm_view_eq(struct wm_view a, struct wm_view b);
bool wm_view_eq_str(struct wm_view a, const char *b);
bool wm_view_ieq(struct wm_view a, struct wm_view b);  /* ASCII case folded */
bool wm_view_ieq_str(struct wm_view a, const char *b);
int wm_view_cmp(struct wm_view a, struct wm_view b);   /* by bytes, shorter first: the order of S3 keys */
bool wm_view_starts(struct wm_view v, const char *prefix);
bool wm_view_ends(struct wm_view v, const char *suffix);
/** Position of the first/last c, or v.len when there is none. */
size_t wm_view_find(struct wm_view v, char c);
size_t wm_view_rfind(struct wm_view v, char c);
struct wm_view wm_view_trim(struct wm_view v); /* without blanks, tabs, CR and LF at both ends */
/** Cut the part up to sep off *rest and return it; *rest moves behind sep, and is empty with ptr NULL at the end. */
struct wm_view wm_view_split(struct wm_view *rest, char sep);
/** Decimal digits only, no sign, no blank. @return WM_E_INVALID (not a number), WM_E_LIMIT (above max). */
enum wm_status wm_view_to_u64(struct wm_view v, uint64_t max, uint64_t *out) WM_MUST_CHECK;
/** A NUL-terminated copy from malloc(), freed by the caller; NULL when memory is short. */
char *wm_view_dup(struct wm_view v);
/** Copy into a char array with a NUL; false and an empty string when it does not fit. */
bool wm_view_copy(struct wm_view v, char *dst, size_t dst_bytes);
/** Valid UTF-8 (RFC 3629), NUL bytes allowed. */
bool wm_view_is_utf8(struct wm_view v);

struct wm_buf {
    char *data;
    size_t len;
    size_t cap;
    size_t max;            /* ceiling in bytes; one more is kept for wm_buf_cstr() */
    enum wm_status status; /* WM_OK, or the first failure: WM_E_LIMIT, WM_E_NOMEM */
};

void wm_buf_init(struct wm_buf *b, size_t max_bytes);
void wm_buf_done(struct wm_buf *b);  /* releases the memory; b may be initialised again; NULL allowed */
void wm_buf_clear(struct wm_buf *b); /* empty and WM_OK again, memory kept */
void wm_buf_wipe(struct wm_buf *b);  /* as clear, with the bytes overwritten: for secrets */

char *wm_buf_enlarge(struct wm_buf *b, size_t n); /* wm_buf_room() where more memory is needed */

/* Inline, because records are built from thousands of short pieces a millisecond. */

/** Room for n bytes at the end, uninitialised and not yet counted; NULL when it does not fit. Then wm_buf_grow(). */
static inline char *wm_buf_room(struct wm_buf *b, size_t n)
{
    /* cap is at most max + 1, so what fits below it keeps to the ceiling and leaves the byte for wm_buf_cstr() */
    return b->status == WM_OK && n < b->cap - b->len ? b->data + b->len : wm_buf_enlarge(b, n);
}
void wm_buf_grow(struct wm_buf *b, size_t n);

static inline void wm_buf_add(struct wm_buf *b, const void *bytes, size_t len)
{
    char *room = wm_buf_room(b, len);
    if (!room || len == 0)
        return;
    memcpy(room, bytes, len);
    b->len += len;
}
static inline void wm_buf_add_view(struct wm_buf *b, struct wm_view v) { wm_buf_add(b, v.ptr, v.len); }
static inline void wm_buf_add_str(struct wm_buf *b, const char *cstr) { wm_buf_add(b, cstr, strlen(cstr)); }
static inline void wm_buf_add_char(struct wm_buf *b, char c) { wm_buf_add(b, &c, 1); }
void wm_buf_add_u64(struct wm_buf *b, uint64_t n); /* decimal */
void wm_buf_add_i64(struct wm_buf *b, int64_t n);  /* decimal */
void wm_buf_addf(struct wm_buf *b, const char *fmt, ...) WM_PRINTF(2, 3);
void wm_buf_truncate(struct wm_buf *b, size_t len); /* len <= b->len */

enum wm_status wm_buf_status(const struct wm_buf *b) WM_MUST_CHECK;
struct wm_view wm_buf_view(const struct wm_buf *b);
const char *wm_buf_cstr(struct wm_buf *b); /* content with a NUL behind it; "" after a failure */

/* Little-endian numbers: the only place where bytes become numbers and back. */
static inline uint16_t wm_get_le16(const void *p) {
    const uint8_t *b = p;
    return (uint16_t)(b[0] | b[1] << 8);
}
static inline uint32_t wm_get_le32(const void *p) {
    uint32_t n;
    memcpy(&n, p, sizeof n);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    n = __builtin_bswap32(n);
#endif
    return n;
}
static inline uint64_t wm_get_le64(const void *p) {
    uint64_t n;
    memcpy(&n, p, sizeof n);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    n = __builtin_bswap64(n);
#endif
    return n;
}
static inline void wm_put_le16(void *p, uint16_t n) {
    uint8_t *b = p;
    b[0] = (uint8_t)n;
    b[1] = (uint8_t)(n >> 8);
}
static inline void wm_put_le32(void *p, uint32_t n) {
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    n = __builtin_bswap32(n);
#endif
    memcpy(p, &n, sizeof n);
}
static inline void wm_put_le64(void *p, uint64_t n) {
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    n = __builtin_bswap64(n);
#endif
    memcpy(p, &n, sizeof n);
}

#endif
