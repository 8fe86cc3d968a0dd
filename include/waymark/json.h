/**
 * JSON (RFC 8259): a reader into a tree in an arena, builders for such trees, and a writer into a `wm_buf`.
 *
 * The reader is yajl with limits on depth, size and duplicate keys; numbers keep their spelling (`0.0` stays `0.0`),
 * object members keep their order. The writer is our own appender: compact, one line, only what RFC 8259 section 7
 * demands is escaped (and DEL is not), so equal trees give equal bytes.
 *
 * Builders take NULL for the parent and return NULL when the arena is exhausted, so a document is built in one go and
 * wm_arena_status() is checked once.
 *
 * @thread any (one tree in one thread at a time)   @locks none
 */
#ifndef WAYMARK_JSON_H
#define WAYMARK_JSON_H

#include "waymark/arena.h"
#include "waymark/buf.h"
#include "waymark/status.h"

enum wm_json_type {
    WM_JSON_NULL,
    WM_JSON_BOOL,
    WM_JSON_NUMBER, /* text: the spelling */
    WM_JSON_STRING, /* text: unescaped UTF-8 */
    WM_JSON_ARRAY,
    WM_JSON_OBJECT,
    WM_JSON_TIME,   /* time_ms: never read, only built; each wire protocol has its own form (see protocol.h) */
    WM_JSON_RAW,    /* text: finished JSON, written as it is; never read, only built */
};

struct wm_json {
    enum wm_json_type type;
    bool boolean;          /* WM_JSON_BOOL */
    struct wm_view key;    /* name, when this is a member of an object */
    struct wm_view text;   /* WM_JSON_NUMBER, _STRING, _RAW */
    int64_t time_ms;       /* WM_JSON_TIME: Unix time in milliseconds */
    struct wm_json *first; /* WM_JSON_ARRAY, _OBJECT: elements in order */
    struct wm_json *last;
    size_t count;
    struct wm_json *next;  /* the next element of the parent */
};

/**
 * Read one JSON text; nothing but blanks may follow it.
 * @param text     everything is copied out of it into the arena
 * @param out      root, set only on WM_OK
 * @return WM_OK; WM_E_INVALID (not JSON, invalid UTF-8, a key twice in one object; *err has the byte offset);
 *         WM_E_LIMIT (deeper than WM_MAX_JSON_DEPTH); WM_E_NOMEM (arena exhausted)
 */
enum wm_status wm_json_parse(struct wm_arena *a, struct wm_view text, struct wm_json **out,
                             struct wm_err *err) WM_MUST_CHECK;

/** Member of an object by name; NULL when absent, or when obj is NULL or no object. */
struct wm_json *wm_json_get(const struct wm_json *obj, const char *key);
struct wm_json *wm_json_get_view(const struct wm_json *obj, struct wm_view key);
/** Text of a string member; the empty view when it is absent or no string. */
struct wm_view wm_json_get_text(const struct wm_json *obj, const char *key);
/** A number as an integer within [min, max]. @return WM_E_INVALID (no integer), WM_E_LIMIT (out of range). */
enum wm_status wm_json_to_i64(const struct wm_json *n, int64_t min, int64_t max, int64_t *out) WM_MUST_CHECK;

/* Builders. Keys are not copied (they are literals or arena text); string values are copied into the arena. */
struct wm_json *wm_json_new(struct wm_arena *a, enum wm_json_type type);
/** Append child to an array, or under key to an object; returns child. */
struct wm_json *wm_json_push(struct wm_json *parent, struct wm_json *child);
struct wm_json *wm_json_set(struct wm_json *parent, const char *key, struct wm_json *child);
struct wm_json *wm_json_set_view(struct wm_json *parent, struct wm_view key, struct wm_json *child);
struct wm_json *wm_json_set_object(struct wm_arena *a, struct wm_json *parent, const char *key);
struct wm_json *wm_json_set_array(struct wm_arena *a, struct wm_json *parent, const char *key);
struct wm_json *wm_json_set_string(struct wm_arena *a, struct wm_json *parent, const char *key, struct wm_view text);
struct wm_json *wm_json_set_i64(struct wm_arena *a, struct wm_json *parent, const char *key, int64_t n);
struct wm_json *wm_json_set_bool(struct wm_arena *a, struct wm_json *parent, const char *key, bool b);
struct wm_json *wm_json_set_null(struct wm_arena *a, struct wm_json *parent, const char *key);
struct wm_json *wm_json_set_time(struct wm_arena *a, struct wm_json *parent, const char *key, int64_t time_ms);
/** Take the member out of the object; NULL when it has none of that name. */
struct wm_json *wm_json_remove(struct wm_json *obj, const char *key);
/** A copy down to the leaves, its texts shared with the original. */
struct wm_json *wm_json_clone(struct wm_arena *a, const struct wm_json *value);

/** Write a value. WM_JSON_TIME is written as ISO 8601 text with whole seconds, the form of CloudTrail records. */
void wm_json_write(struct wm_buf *out, const struct wm_json *value);
/** Write a string in quotes, escaped. Invalid UTF-8 becomes U+FFFD, since a record must stay readable. */
void wm_json_write_string(struct wm_buf *out, struct wm_view text);

#endif
