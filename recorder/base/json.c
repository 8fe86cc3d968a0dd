#include "waymark/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <yajl/yajl_parse.h>

#include "waymark/bounds.h"
#include "waymark/clock.h"

#include "waymark/banned.h"

/* ---- reading: yajl's events into a tree ---- */

#define READER_MAGIC 0x6a736f6eu

struct reader {
    unsigned magic;
    struct wm_arena *arena;
    struct wm_json *root;
    struct wm_json *open[WM_MAX_JSON_DEPTH]; /* containers around the current position */
    size_t depth;
    struct wm_view key;                      /* of the value to come, in an object */
    enum wm_status status;                   /* why a callback cancelled */
    const char *why;
};

static const char no_memory[] = "no memory left for the document";

static struct reader *reader_of(void *ctx)
{
    struct reader *r = ctx;
    WM_ASSERT(r && r->magic == READER_MAGIC);
    return r;
}

static int reader_cancel(struct reader *r, enum wm_status status, const char *why)
{
    r->status = status;
    r->why = why;
    return 0;
}

/* Put a value where it belongs; its type and text are set by the caller. NULL when the arena is exhausted. */
static struct wm_json *reader_place(struct reader *r, enum wm_json_type type)
{
    struct wm_json *v = wm_json_new(r->arena, type);
    if (!v) {
        r->status = WM_E_NOMEM;
        r->why = no_memory;
        return NULL;
    }
    if (r->depth == 0) {
        r->root = v;
    } else {
        struct wm_json *parent = r->open[r->depth - 1];
        if (parent->type == WM_JSON_OBJECT)
            v->key = r->key;
        wm_json_push(parent, v);
    }
    return v;
}

static int reader_null(void *ctx)
{
    return reader_place(reader_of(ctx), WM_JSON_NULL) != NULL;
}

static int reader_boolean(void *ctx, int value)
{
    struct wm_json *v = reader_place(reader_of(ctx), WM_JSON_BOOL);
    if (v)
        v->boolean = value != 0;
    return v != NULL;
}

static int reader_text(struct reader *r, enum wm_json_type type, const char *text, size_t len)
{
    struct wm_json *v = reader_place(r, type);
    if (!v)
        return 0;
    v->text = wm_arena_copy(r->arena, (struct wm_view){text, len});
    return r->arena->exhausted ? reader_cancel(r, WM_E_NOMEM, no_memory) : 1;
}

static int reader_number(void *ctx, const char *text, size_t len)
{
    return reader_text(reader_of(ctx), WM_JSON_NUMBER, text, len);
}

static int reader_string(void *ctx, const unsigned char *text, size_t len)
{
    return reader_text(reader_of(ctx), WM_JSON_STRING, (const char *)text, len);
}

static int reader_open(void *ctx, enum wm_json_type type)
{
    struct reader *r = reader_of(ctx);
    if (r->depth == WM_MAX_JSON_DEPTH)
        return reader_cancel(r, WM_E_LIMIT, "nested too deeply");
    struct wm_json *v = reader_place(r, type);
    if (!v)
        return 0;
    r->open[r->depth++] = v;
    return 1;
}

static int reader_start_map(void *ctx)
{
    return reader_open(ctx, WM_JSON_OBJECT);
}

static int reader_start_array(void *ctx)
{
    return reader_open(ctx, WM_JSON_ARRAY);
}

static int reader_close(void *ctx)
{
    struct reader *r = reader_of(ctx);
    WM_ASSERT(r->depth > 0);
    r->depth--;
    return 1;
}

/* A key twice means that two readers may see two documents; what is recorded must be what was done. A small object is
 * looked through at each key, a large one is sorted once at its end: a body of many keys must not cost their square. */
#define SMALL_OBJECT_MEMBERS 16u
static const char twice[] = "a member occurs twice in one object";

static int order_of_keys(const void *a, const void *b)
{
    const struct wm_json *const *left = a, *const *right = b;
    return wm_view_cmp((*left)->key, (*right)->key);
}

static int reader_end_map(void *ctx)
{
    struct reader *r = reader_of(ctx);
    const struct wm_json *object = r->open[r->depth - 1];
    if (object->count > SMALL_OBJECT_MEMBERS) {
        const struct wm_json **members = wm_arena_alloc(r->arena, object->count * sizeof *members);
        if (!members)
            return reader_cancel(r, WM_E_NOMEM, no_memory);
        size_t n = 0;
        for (const struct wm_json *m = object->first; m; m = m->next)
            members[n++] = m;
        qsort(members, n, sizeof *members, order_of_keys);
        for (size_t i = 1; i < n; i++)
            if (wm_view_eq(members[i - 1]->key, members[i]->key))
                return reader_cancel(r, WM_E_INVALID, twice);
    }
    return reader_close(ctx);
}

static int reader_map_key(void *ctx, const unsigned char *text, size_t len)
{
    struct reader *r = reader_of(ctx);
    struct wm_view key = {(const char *)text, len};
    const struct wm_json *object = r->open[r->depth - 1];
    if (object->count <= SMALL_OBJECT_MEMBERS && wm_json_get_view(object, key))
        return reader_cancel(r, WM_E_INVALID, twice);
    r->key = wm_arena_copy(r->arena, key);
    return r->arena->exhausted ? reader_cancel(r, WM_E_NOMEM, no_memory) : 1;
}

static const yajl_callbacks reader_callbacks = {
    .yajl_null = reader_null,
    .yajl_boolean = reader_boolean,
    .yajl_number = reader_number,
    .yajl_string = reader_string,
    .yajl_start_map = reader_start_map,
    .yajl_map_key = reader_map_key,
    .yajl_end_map = reader_end_map,
    .yajl_start_array = reader_start_array,
    .yajl_end_array = reader_close,
};

/* yajl's own pieces come from malloc(); it does not survive a NULL, so they are counted off by its size limits: the
 * text is bounded by the caller. */
enum wm_status wm_json_parse(struct wm_arena *a, struct wm_view text, struct wm_json **out, struct wm_err *err)
{
    struct reader r = {.magic = READER_MAGIC, .arena = a};
    yajl_handle y = yajl_alloc(&reader_callbacks, NULL, &r);
    if (!y)
        return wm_fail(err, WM_E_NOMEM, "no memory for the JSON reader");
    yajl_status rc = yajl_parse(y, (const unsigned char *)(text.ptr ? text.ptr : ""), text.len);
    size_t at = yajl_get_bytes_consumed(y);
    if (rc == yajl_status_ok) { /* it says so far, and is then told that this is all, by a byte of its own */
        rc = yajl_complete_parse(y);
        at = text.len;
    }
    enum wm_status status = WM_OK;
    if (rc == yajl_status_client_canceled) {
        status = wm_fail(err, r.status, "%s, before byte %zu", r.why, at);
    } else if (rc != yajl_status_ok) {
        unsigned char *why = yajl_get_error(y, 0, NULL, 0);
        struct wm_view line = wm_view_trim(wm_view_of((const char *)why));
        status = wm_fail(err, WM_E_INVALID, "not JSON at byte %zu: %.*s", at, WM_ARG(line));
        yajl_free_error(y, why);
    }
    yajl_free(y);
    if (status == WM_OK)
        *out = r.root;
    return status;
}

/* ---- looking ---- */

struct wm_json *wm_json_get_view(const struct wm_json *obj, struct wm_view key)
{
    if (!obj || obj->type != WM_JSON_OBJECT)
        return NULL;
    for (struct wm_json *m = obj->first; m; m = m->next)
        if (wm_view_eq(m->key, key))
            return m;
    return NULL;
}

struct wm_json *wm_json_get(const struct wm_json *obj, const char *key)
{
    return wm_json_get_view(obj, wm_view_of(key));
}

struct wm_view wm_json_get_text(const struct wm_json *obj, const char *key)
{
    const struct wm_json *m = wm_json_get(obj, key);
    return m && m->type == WM_JSON_STRING ? m->text : WM_EMPTY;
}

enum wm_status wm_json_to_i64(const struct wm_json *n, int64_t min, int64_t max, int64_t *out)
{
    if (!n || n->type != WM_JSON_NUMBER)
        return WM_E_INVALID;
    struct wm_view digits = n->text;
    bool negative = wm_view_starts(digits, "-");
    if (negative)
        digits = wm_view_sub(digits, 1, digits.len);
    uint64_t magnitude;
    enum wm_status status = wm_view_to_u64(digits, INT64_MAX, &magnitude);
    if (status != WM_OK)
        return status;
    int64_t value = negative ? -(int64_t)magnitude : (int64_t)magnitude;
    if (value < min || value > max)
        return WM_E_LIMIT;
    *out = value;
    return WM_OK;
}

/* ---- building ---- */

struct wm_json *wm_json_new(struct wm_arena *a, enum wm_json_type type)
{
    struct wm_json *v = wm_arena_alloc(a, sizeof *v);
    if (v)
        v->type = type;
    return v;
}

struct wm_json *wm_json_push(struct wm_json *parent, struct wm_json *child)
{
    if (!parent || !child)
        return NULL;
    child->next = NULL;
    if (parent->last)
        parent->last->next = child;
    else
        parent->first = child;
    parent->last = child;
    parent->count++;
    return child;
}

struct wm_json *wm_json_set_view(struct wm_json *parent, struct wm_view key, struct wm_json *child)
{
    if (!parent || !child)
        return NULL;
    child->key = key;
    return wm_json_push(parent, child);
}

struct wm_json *wm_json_set(struct wm_json *parent, const char *key, struct wm_json *child)
{
    return wm_json_set_view(parent, wm_view_of(key), child);
}

struct wm_json *wm_json_set_object(struct wm_arena *a, struct wm_json *parent, const char *key)
{
    return wm_json_set(parent, key, wm_json_new(a, WM_JSON_OBJECT));
}

struct wm_json *wm_json_set_array(struct wm_arena *a, struct wm_json *parent, const char *key)
{
    return wm_json_set(parent, key, wm_json_new(a, WM_JSON_ARRAY));
}

struct wm_json *wm_json_set_string(struct wm_arena *a, struct wm_json *parent, const char *key, struct wm_view text)
{
    struct wm_json *v = wm_json_new(a, WM_JSON_STRING);
    if (v)
        v->text = wm_arena_copy(a, text);
    return wm_json_set(parent, key, v);
}

struct wm_json *wm_json_set_i64(struct wm_arena *a, struct wm_json *parent, const char *key, int64_t n)
{
    struct wm_json *v = wm_json_new(a, WM_JSON_NUMBER);
    if (v)
        v->text = wm_arena_printf(a, "%lld", (long long)n);
    return wm_json_set(parent, key, v);
}

struct wm_json *wm_json_set_bool(struct wm_arena *a, struct wm_json *parent, const char *key, bool b)
{
    struct wm_json *v = wm_json_new(a, WM_JSON_BOOL);
    if (v)
        v->boolean = b;
    return wm_json_set(parent, key, v);
}

struct wm_json *wm_json_set_null(struct wm_arena *a, struct wm_json *parent, const char *key)
{
    return wm_json_set(parent, key, wm_json_new(a, WM_JSON_NULL));
}

struct wm_json *wm_json_set_time(struct wm_arena *a, struct wm_json *parent, const char *key, int64_t time_ms)
{
    struct wm_json *v = wm_json_new(a, WM_JSON_TIME);
    if (v)
        v->time_ms = time_ms;
    return wm_json_set(parent, key, v);
}

struct wm_json *wm_json_remove(struct wm_json *obj, const char *key)
{
    struct wm_json *m = wm_json_get(obj, key);
    if (!m)
        return NULL;
    struct wm_json *before = NULL;
    for (struct wm_json *p = obj->first; p != m; p = p->next)
        before = p;
    if (before)
        before->next = m->next;
    else
        obj->first = m->next;
    if (obj->last == m)
        obj->last = before;
    obj->count--;
    m->next = NULL;
    return m;
}

struct wm_json *wm_json_clone(struct wm_arena *a, const struct wm_json *value)
{
    struct wm_json *copy = value ? wm_json_new(a, value->type) : NULL;
    if (!copy)
        return NULL;
    copy->boolean = value->boolean;
    copy->key = value->key;
    copy->text = value->text;
    copy->time_ms = value->time_ms;
    for (const struct wm_json *m = value->first; m; m = m->next)
        wm_json_push(copy, wm_json_clone(a, m)); /* depth is bounded by WM_MAX_JSON_DEPTH */
    return copy;
}

/* ---- writing ---- */

/* What each byte becomes inside quotes: itself (0), a short escape (its letter), \u00XX ('u'), or UTF-8 to check (1). */
static const char escape_of[256] = {
    [0x00 ... 0x07] = 'u', ['\b'] = 'b', ['\t'] = 't',   ['\n'] = 'n', [0x0b] = 'u',          ['\f'] = 'f',
    ['\r'] = 'r',          [0x0e ... 0x1f] = 'u',        ['"'] = '"',  ['\\'] = '\\',        [0x80 ... 0xff] = 1,
};

static size_t utf8_length(const unsigned char *p, size_t left)
{
    size_t n = *p >= 0xf0 ? 4 : *p >= 0xe0 ? 3 : 2;
    return n <= left && wm_view_is_utf8((struct wm_view){(const char *)p, n}) ? n : 0;
}

/* The high bit of each byte that JSON does not take as it is (a control character, quote, backslash or non-ASCII byte),
 * and perhaps of some byte above such a one; 0 exactly when all eight are plain. The usual test for a zero byte and for a
 * byte below 0x20 ("Bit Twiddling Hacks", S. E. Anderson): a borrow can only come from a byte that is itself a hit. */
static uint64_t special_bytes(const char p[8])
{
    const uint64_t ones = 0x0101010101010101u, highs = 0x8080808080808080u;
    uint64_t w;
    memcpy(&w, p, sizeof w);
    uint64_t quote = w ^ (ones * '"'), backslash = w ^ (ones * '\\');
    return ((quote - ones) | (backslash - ones) | (w - ones * 0x20) | w) & highs;
}

static bool is_plain(const char *p, size_t len)
{
    uint64_t special = 0;
    if (len >= 8) {
        for (size_t i = 0; i + 8 < len; i += 8)
            special |= special_bytes(p + i);
        return (special | special_bytes(p + len - 8)) == 0;
    }
    for (size_t i = 0; i < len; i++)
        special |= (uint64_t)escape_of[(uint8_t)p[i]];
    return special == 0;
}

void wm_json_write_string(struct wm_buf *out, struct wm_view text)
{
    char *room = is_plain(text.ptr, text.len) ? wm_buf_room(out, text.len + 2) : NULL;
    if (room) { /* nearly every string: nothing to escape */
        room[0] = '"';
        if (text.len)
            memcpy(room + 1, text.ptr, text.len);
        room[text.len + 1] = '"';
        wm_buf_grow(out, text.len + 2);
        return;
    }
    wm_buf_add_char(out, '"');
    const unsigned char *p = (const unsigned char *)text.ptr, *plain = p, *end = text.len ? p + text.len : p;
    while (p < end) {
        char e = escape_of[*p];
        if (e == 0) {
            p++;
            continue;
        }
        if (e == 1) {
            size_t n = utf8_length(p, (size_t)(end - p));
            if (n) {
                p += n;
                continue;
            }
        }
        wm_buf_add(out, plain, (size_t)(p - plain));
        if (e == 1) {
            wm_buf_add_str(out, "\xef\xbf\xbd"); /* U+FFFD */
        } else if (e == 'u') {
            static const char digits[] = "0123456789abcdef";
            char escaped[6] = {'\\', 'u', '0', '0', digits[*p >> 4], digits[*p & 15]};
            wm_buf_add(out, escaped, sizeof escaped);
        } else {
            char escaped[2] = {'\\', e};
            wm_buf_add(out, escaped, sizeof escaped);
        }
        plain = ++p;
    }
    if (p != plain)
        wm_buf_add(out, plain, (size_t)(p - plain));
    wm_buf_add_char(out, '"');
}

void wm_json_write(struct wm_buf *out, const struct wm_json *value)
{
    switch (value->type) {
    case WM_JSON_NULL:
        wm_buf_add_str(out, "null");
        return;
    case WM_JSON_BOOL:
        wm_buf_add_str(out, value->boolean ? "true" : "false");
        return;
    case WM_JSON_NUMBER:
    case WM_JSON_RAW:
        wm_buf_add_view(out, value->text);
        return;
    case WM_JSON_STRING:
        wm_json_write_string(out, value->text);
        return;
    case WM_JSON_TIME: {
        char text[WM_TIME_ISO_BYTES];
        wm_time_iso((struct wm_wall_ns){value->time_ms * WM_NS_PER_MS}, text);
        wm_json_write_string(out, WM_LIT(text));
        return;
    }
    case WM_JSON_ARRAY:
    case WM_JSON_OBJECT: {
        bool object = value->type == WM_JSON_OBJECT;
        wm_buf_add_char(out, object ? '{' : '[');
        for (const struct wm_json *m = value->first; m; m = m->next) {
            if (m != value->first)
                wm_buf_add_char(out, ',');
            if (object) {
                wm_json_write_string(out, m->key);
                wm_buf_add_char(out, ':');
            }
            wm_json_write(out, m); /* depth is bounded by WM_MAX_JSON_DEPTH, and by our own builders */
        }
        wm_buf_add_char(out, object ? '}' : ']');
        return;
    }
    }
}
