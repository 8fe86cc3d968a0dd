/**
 * What the wire protocols share: the check of one input against the rows of its operation's table, and the decoding of
 * percent-escapes. For protocol*.c and their tests.
 *
 * @thread http   @locks none
 */
#ifndef WAYMARK_SERVER_PROTOCOL_INT_H
#define WAYMARK_SERVER_PROTOCOL_INT_H

#include "waymark/protocol.h"

/** One decoding. Goes on after a bad member, so that what was good can be recorded; the first fault is kept. */
struct protocol_decoder {
    struct wm_arena *arena;
    struct wm_err *err;    /* NULL allowed */
    enum wm_status status; /* WM_OK, WM_E_LIMIT after a bad member, WM_E_INVALID after a malformed input */
};

/** Where a member stands in its input, for messages: "egressAccessLogs.logGroupName". */
struct protocol_place {
    const struct protocol_place *up; /* NULL at the top */
    struct wm_view name;
};

/** Note that the member at this place is bad (WM_E_LIMIT): "Member 'a.b' <fmt>". */
void protocol_bad_member(struct protocol_decoder *d, const struct protocol_place *at, const char *fmt, ...)
    WM_PRINTF(3, 4);
/** Note that the input as a whole cannot be read (WM_E_INVALID). */
void protocol_malformed(struct protocol_decoder *d, const char *fmt, ...) WM_PRINTF(2, 3);
/** The end of a decoding: out is set on WM_OK and WM_E_LIMIT. */
enum wm_status protocol_finish(struct protocol_decoder *d, struct wm_json *params, struct wm_json **out);

/**
 * The value of a member, checked against its row; what fails is noted in d. NULL when it is of another type, so that it
 * is nothing at all; one that is out of bounds, or has another form, is there for the record. A JSON value is moved, not
 * copied, so its object must be let go of.
 */
struct wm_json *protocol_from_json(struct protocol_decoder *d, const struct protocol_place *at,
                                   const struct wm_member *m, struct wm_json *value);
/** The same from decoded text; m is a string, an integer, a boolean or a time. */
struct wm_json *protocol_from_text(struct protocol_decoder *d, const struct protocol_place *at,
                                   const struct wm_member *m, struct wm_view text);
/** The row of each string in a list. */
struct wm_member protocol_element(const struct wm_member *list);
/** Note when a decoded list or map has too few or too many elements; returns it. NULL is let through. */
struct wm_json *protocol_counted(struct protocol_decoder *d, const struct protocol_place *at, const struct wm_member *m,
                                 struct wm_json *value);
/** Take the WM_IN_BODY members (all, when `everywhere`) of rows out of a JSON object into out. */
void protocol_take_json(struct protocol_decoder *d, const struct protocol_place *at, const struct wm_member *rows,
                        bool everywhere, struct wm_json *object, struct wm_json *out);
/** Read a body as a JSON object; an empty body is an empty object. NULL after a failure, noted in d. */
struct wm_json *protocol_parse_body(struct protocol_decoder *d, struct wm_view body);

/**
 * Undo percent-escapes (RFC 3986 section 2.1), once; in forms a plus is a blank.
 * @return false when a percent sign is not followed by two hex digits; out is then untouched
 */
bool protocol_percent_decode(struct wm_arena *a, struct wm_view text, bool plus_is_blank, struct wm_view *out);

/** {"__type":CODE,"message":MESSAGE}: the error of both JSON protocols. */
void protocol_write_json_error(const char *code, struct wm_view message, struct wm_buf *out);

#endif
