#include "waymark/buf.h"

#include <stdio.h>
#include <stdlib.h>

#include "waymark/hash.h"

#include "waymark/banned.h"

/* ---- views ---- */

struct wm_view wm_view_of(const char *cstr)
{
    return (struct wm_view){cstr, cstr ? strlen(cstr) : 0};
}

struct wm_view wm_view_sub(struct wm_view v, size_t from, size_t to)
{
    if (to > v.len)
        to = v.len;
    if (from > to)
        from = to;
    return (struct wm_view){v.ptr ? v.ptr + from : NULL, to - from};
}

bool wm_view_eq(struct wm_view a, struct wm_view b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool wm_view_eq_str(struct wm_view a, const char *b)
{
    return wm_view_eq(a, wm_view_of(b));
}

static char ascii_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool wm_view_ieq(struct wm_view a, struct wm_view b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (ascii_lower(a.ptr[i]) != ascii_lower(b.ptr[i]))
            return false;
    return true;
}

bool wm_view_ieq_str(struct wm_view a, const char *b)
{
    return wm_view_ieq(a, wm_view_of(b));
}

int wm_view_cmp(struct wm_view a, struct wm_view b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int order = n ? memcmp(a.ptr, b.ptr, n) : 0;
    if (order != 0)
        return order;
    return a.len < b.len ? -1 : a.len > b.len;
}

bool wm_view_starts(struct wm_view v, const char *prefix)
{
    size_t n = strlen(prefix);
    return v.len >= n && (n == 0 || memcmp(v.ptr, prefix, n) == 0);
}

bool wm_view_ends(struct wm_view v, const char *suffix)
{
    size_t n = strlen(suffix);
    return v.len >= n && (n == 0 || memcmp(v.ptr + v.len - n, suffix, n) == 0);
}

size_t wm_view_find(struct wm_view v, char c)
{
    const char *at = v.len ? memchr(v.ptr, c, v.len) : NULL;
    return at ? (size_t)(at - v.ptr) : v.len;
}

size_t wm_view_rfind(struct wm_view v, char c)
{
    const char *at = v.len ? memrchr(v.ptr, c, v.len) : NULL;
    return at ? (size_t)(at - v.ptr) : v.len;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct wm_view wm_view_trim(struct wm_view v)
{
    while (v.len && is_blank(v.ptr[0])) {
        v.ptr++;
        v.len--;
    }
    while (v.len && is_blank(v.ptr[v.len - 1]))
        v.len--;
    return v;
}

struct wm_view wm_view_split(struct wm_view *rest, char sep)
{
    size_t at = wm_view_find(*rest, sep);
    struct wm_view head = wm_view_sub(*rest, 0, at);
    if (at == rest->len)
        *rest = WM_EMPTY;
    else
        *rest = (struct wm_view){rest->ptr + at + 1, rest->len - at - 1};
    return head;
}

enum wm_status wm_view_to_u64(struct wm_view v, uint64_t max, uint64_t *out)
{
    uint64_t n = 0;
    if (v.len == 0)
        return WM_E_INVALID;
    for (size_t i = 0; i < v.len; i++) {
        if (v.ptr[i] < '0' || v.ptr[i] > '9')
            return WM_E_INVALID;
        unsigned digit = (unsigned)(v.ptr[i] - '0');
        if (n > (max - digit) / 10 || max < digit)
            return WM_E_LIMIT;
        n = n * 10 + digit;
    }
    *out = n;
    return WM_OK;
}

char *wm_view_dup(struct wm_view v)
{
    char *copy = malloc(v.len + 1);
    if (!copy)
        return NULL;
    if (v.len)
        memcpy(copy, v.ptr, v.len);
    copy[v.len] = '\0';
    return copy;
}

bool wm_view_copy(struct wm_view v, char *dst, size_t dst_bytes)
{
    dst[0] = '\0';
    if (v.len >= dst_bytes)
        return false;
    if (v.len)
        memcpy(dst, v.ptr, v.len);
    dst[v.len] = '\0';
    return true;
}

bool wm_view_is_utf8(struct wm_view v)
{
    if (v.len == 0)
        return true; /* even an offset of 0 to NULL is undefined */
    const uint8_t *p = (const uint8_t *)v.ptr, *end = p + v.len;
    while (p < end) {
        if (*p < 0x80) {
            p++;
            continue;
        }
        size_t more;
        uint32_t c;
        if (*p >= 0xc2 && *p <= 0xdf) {
            more = 1;
            c = *p & 0x1fu;
        } else if (*p >= 0xe0 && *p <= 0xef) {
            more = 2;
            c = *p & 0x0fu;
        } else if (*p >= 0xf0 && *p <= 0xf4) {
            more = 3;
            c = *p & 0x07u;
        } else {
            return false;
        }
        if ((size_t)(end - p) <= more)
            return false;
        for (size_t i = 1; i <= more; i++) {
            if ((p[i] & 0xc0) != 0x80)
                return false;
            c = c << 6 | (p[i] & 0x3fu);
        }
        /* overlong forms, surrogates, beyond Unicode: RFC 3629 section 3 */
        if ((more == 2 && c < 0x800) || (more == 3 && (c < 0x10000 || c > 0x10ffff)) || (c >= 0xd800 && c <= 0xdfff))
            return false;
        p += more + 1;
    }
    return true;
}

/* ---- buffers ---- */

void wm_buf_init(struct wm_buf *b, size_t max_bytes)
{
    *b = (struct wm_buf){.max = max_bytes};
}

void wm_buf_done(struct wm_buf *b)
{
    if (!b)
        return;
    free(b->data);
    *b = (struct wm_buf){.max = b->max};
}

void wm_buf_clear(struct wm_buf *b)
{
    b->len = 0;
    b->status = WM_OK;
}

void wm_buf_wipe(struct wm_buf *b)
{
    if (b->data)
        wm_wipe(b->data, b->cap);
    wm_buf_clear(b);
}

char *wm_buf_enlarge(struct wm_buf *b, size_t n)
{
    if (b->status != WM_OK)
        return NULL;
    if (n > b->max - b->len) {
        b->status = WM_E_LIMIT;
        return NULL;
    }
    if (n >= b->cap - b->len || !b->data) { /* one byte more for wm_buf_cstr() */
        size_t cap = b->cap < 256 ? 256 : b->cap;
        while (cap < b->len + n + 1)
            cap += cap / 2;
        if (cap > b->max + 1)
            cap = b->max + 1;
        char *data = realloc(b->data, cap);
        if (!data) {
            b->status = WM_E_NOMEM;
            return NULL;
        }
        b->data = data;
        b->cap = cap;
    }
    return b->data + b->len;
}

void wm_buf_grow(struct wm_buf *b, size_t n)
{
    WM_ASSERT(n <= b->cap - b->len);
    b->len += n;
}

void wm_buf_add_u64(struct wm_buf *b, uint64_t n)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + n % 10);
        n /= 10;
    } while (n);
    wm_buf_add(b, digits + at, sizeof digits - at);
}

void wm_buf_add_i64(struct wm_buf *b, int64_t n)
{
    if (n < 0) {
        wm_buf_add_char(b, '-');
        wm_buf_add_u64(b, 0 - (uint64_t)n);
    } else {
        wm_buf_add_u64(b, (uint64_t)n);
    }
}

void wm_buf_addf(struct wm_buf *b, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    size_t spare = b->cap - b->len;
    int n = vsnprintf(spare ? b->data + b->len : NULL, spare, fmt, args); /* nearly always it fits */
    WM_ASSERT(n >= 0);
    char *room = wm_buf_room(b, (size_t)n); /* has place for the NUL too */
    if (room) {
        if ((size_t)n >= spare)
            (void)vsnprintf(room, (size_t)n + 1, fmt, again); /* the length is known */
        b->len += (size_t)n;
    }
    va_end(again);
    va_end(args);
}

void wm_buf_truncate(struct wm_buf *b, size_t len)
{
    WM_ASSERT(len <= b->len);
    b->len = len;
}

enum wm_status wm_buf_status(const struct wm_buf *b)
{
    return b->status;
}

struct wm_view wm_buf_view(const struct wm_buf *b)
{
    return (struct wm_view){b->data, b->len};
}

const char *wm_buf_cstr(struct wm_buf *b)
{
    if (b->status != WM_OK || !b->data)
        return "";
    b->data[b->len] = '\0';
    return b->data;
}
