/*
 * Texts of a policy that stand for many: "*", "?" and "${key}".
 *
 * A pattern is a row of pieces. Variables are looked up once, before comparing, and then are text like any other: a
 * "*" in a value is an asterisk, so that nobody widens what a policy says by the name or tag they choose. A variable
 * without a value and without a default makes the pattern match nothing (the User Guide only says that the statement
 * may become invalid). A key that may have several values is never put in, as the Guide says.
 *
 * Comparing is the usual walk with one star to go back to: whatever a star took, the next star's choice does not depend
 * on it. It goes by whole texts, and what stands behind a star is searched, not tried at each place: policies are asked
 * under the state's lock, and character by character a text of many a's takes 30 ms with one that was written for it.
 * "?" is one character of UTF-8, not one byte.
 */
#include "server/policy_int.h"

#include "waymark/bounds.h"

#include "waymark/banned.h"

static char fold(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

const struct wm_policy_key *wm_policy_request_key(const struct wm_policy_request *q, struct wm_view name)
{
    for (size_t i = 0; i < q->n_keys; i++)
        if (q->keys[i].n_values && wm_view_ieq(q->keys[i].name, name))
            return &q->keys[i];
    return NULL;
}

/* ---- reading ---- */

struct pattern_reader {
    struct wm_policy_piece *pieces;
    size_t n_pieces, n_variables;
    struct wm_err *err;
};

static void reader_add(struct pattern_reader *r, enum wm_policy_piece_kind kind, struct wm_view text)
{
    if (kind == WM_PIECE_ANY && r->n_pieces && r->pieces[r->n_pieces - 1].kind == WM_PIECE_ANY)
        return; /* "**" says no more than "*" */
    r->pieces[r->n_pieces++] = (struct wm_policy_piece){.kind = kind, .text = text};
}

/* What stands between "${" and "}": a key, with a default in quotes or without; or one of the characters that would
 * otherwise mean something. */
static enum wm_status reader_variable(struct pattern_reader *r, struct wm_view inner)
{
    if (inner.len == 1 && strchr("*?$", inner.ptr[0])) {
        reader_add(r, WM_PIECE_TEXT, inner);
        return WM_OK;
    }
    struct wm_view rest = inner, name = wm_view_trim(wm_view_split(&rest, ','));
    bool has_default = rest.ptr != NULL;
    rest = wm_view_trim(rest);
    if (!name.len || wm_view_find(name, '$') < name.len || wm_view_find(name, '{') < name.len)
        return wm_fail(r->err, WM_E_INVALID, "the variable \"${%.*s}\" names no context key", WM_ARG(inner));
    if (has_default && (rest.len < 2 || rest.ptr[0] != '\'' || rest.ptr[rest.len - 1] != '\''))
        return wm_fail(r->err, WM_E_INVALID, "the default in \"${%.*s}\" must stand in single quotes", WM_ARG(inner));
    if (++r->n_variables > WM_MAX_POLICY_VARIABLES)
        return wm_fail(r->err, WM_E_INVALID, "one text may have at most %u variables", WM_MAX_POLICY_VARIABLES);
    reader_add(r, WM_PIECE_VARIABLE, name);
    if (has_default)
        r->pieces[r->n_pieces - 1].fallback = wm_view_sub(rest, 1, rest.len - 1);
    return WM_OK;
}

/* Where a variable that starts at from ends: behind its "}", which may stand in a quoted default too. 0: nowhere. */
static size_t variable_end(struct wm_view text, size_t from)
{
    bool quoted = false;
    for (size_t i = from; i < text.len; i++) {
        if (text.ptr[i] == '\'')
            quoted = !quoted;
        else if (text.ptr[i] == '}' && !quoted)
            return i + 1;
    }
    return 0;
}

static enum wm_status reader_run(struct pattern_reader *r, struct wm_view text, unsigned how)
{
    size_t plain = 0, i = 0;
    while (i <= text.len) {
        char c = i < text.len ? text.ptr[i] : '\0';
        bool wildcard = i < text.len && (how & WM_PATTERN_WILDCARDS) && (c == '*' || c == '?');
        bool variable = (how & WM_PATTERN_VARIABLES) && c == '$' && i + 1 < text.len && text.ptr[i + 1] == '{';
        if (i < text.len && !wildcard && !variable) {
            i++;
            continue;
        }
        if (i > plain)
            reader_add(r, WM_PIECE_TEXT, wm_view_sub(text, plain, i));
        if (i == text.len)
            break;
        if (wildcard) {
            reader_add(r, c == '*' ? WM_PIECE_ANY : WM_PIECE_ONE, WM_EMPTY);
            plain = ++i;
            continue;
        }
        size_t end = variable_end(text, i + 2);
        if (!end)
            return wm_fail(r->err, WM_E_INVALID, "the variable in \"%.*s\" is not closed by \"}\"", WM_ARG(text));
        enum wm_status status = reader_variable(r, wm_view_sub(text, i + 2, end - 1));
        if (status != WM_OK)
            return status;
        plain = i = end;
    }
    return WM_OK;
}

/* No text has more pieces than this: each of them needs a character that means something, and text behind it. */
static size_t most_pieces(struct wm_view text, unsigned how)
{
    size_t n = 1;
    for (size_t i = 0; i < text.len; i++)
        if (((how & WM_PATTERN_WILDCARDS) && (text.ptr[i] == '*' || text.ptr[i] == '?')) ||
            ((how & WM_PATTERN_VARIABLES) && text.ptr[i] == '$'))
            n += 2;
    return n;
}

enum wm_status wm_policy_pattern_compile(struct wm_arena *a, struct wm_view text, unsigned how,
                                         struct wm_policy_pattern *out, struct wm_err *err)
{
    struct pattern_reader r = {.err = err};
    r.pieces = wm_arena_alloc(a, most_pieces(text, how) * sizeof *r.pieces);
    if (!r.pieces)
        return wm_fail(err, WM_E_NOMEM, "no memory left for the policy");
    enum wm_status status = reader_run(&r, text, how);
    if (status == WM_OK)
        *out = (struct wm_policy_pattern){.pieces = r.pieces, .n_pieces = r.n_pieces, .n_variables = r.n_variables};
    for (size_t i = 0, ones = 0, stars = 0; status == WM_OK && i < r.n_pieces; i++) {
        ones += stars && r.pieces[i].kind == WM_PIECE_ONE;
        if (r.pieces[i].kind == WM_PIECE_ANY) {
            stars++;
            out->last_star = i;
            out->n_between = ones;
        }
    }
    return status;
}

/* ---- comparing ---- */

struct walk {
    const struct wm_policy_pattern *pattern;
    const struct wm_view *values; /* of its variables, in order */
    struct wm_view subject;
    unsigned how;
};

struct cursor { /* in the pattern */
    size_t piece, variable;
};

static bool variables_resolve(const struct wm_policy_pattern *p, const struct wm_policy_request *q,
                              struct wm_view values[WM_MAX_POLICY_VARIABLES])
{
    size_t n = 0;
    for (size_t i = 0; i < p->n_pieces && n < p->n_variables; i++) {
        const struct wm_policy_piece *piece = &p->pieces[i];
        if (piece->kind != WM_PIECE_VARIABLE)
            continue;
        const struct wm_policy_key *key = wm_policy_request_key(q, piece->text);
        if (key && !key->multi && key->n_values == 1)
            values[n++] = key->values[0];
        else if (piece->fallback.ptr)
            values[n++] = piece->fallback;
        else
            return false;
    }
    return true;
}

/* The text of a piece that a cursor stands in; a wildcard has none. */
static struct wm_view text_at(const struct walk *w, const struct cursor *c)
{
    const struct wm_policy_piece *piece = &w->pattern->pieces[c->piece];
    return piece->kind == WM_PIECE_VARIABLE ? w->values[c->variable] : piece->text;
}

static void cursor_next_piece(const struct walk *w, struct cursor *c)
{
    if (w->pattern->pieces[c->piece].kind == WM_PIECE_VARIABLE)
        c->variable++;
    c->piece++;
}

static size_t behind_character(struct wm_view v, size_t at)
{
    do
        at++;
    while (at < v.len && ((unsigned char)v.ptr[at] & 0xc0) == 0x80);
    return at;
}

static bool same(const struct walk *w, const char *ours, struct wm_view theirs)
{
    if (!(w->how & WM_PATTERN_IGNORE_CASE))
        return memcmp(ours, theirs.ptr, theirs.len) == 0;
    for (size_t i = 0; i < theirs.len; i++)
        if (ours[i] != theirs.ptr[i] && fold(ours[i]) != fold(theirs.ptr[i]))
            return false;
    return true;
}

/* Where a text that is not empty stands first in the subject, from `from` on and ending by `end`; end + 1: nowhere. */
static size_t find_text(const struct walk *w, struct wm_view text, size_t from, size_t end)
{
    if (from + text.len <= end && same(w, w->subject.ptr + from, text))
        return from; /* most often, and memmem() takes a while to prepare */
    if (!(w->how & WM_PATTERN_IGNORE_CASE)) {
        const char *at = from < end ? memmem(w->subject.ptr + from, end - from, text.ptr, text.len) : NULL;
        return at ? (size_t)(at - w->subject.ptr) : end + 1;
    }
    for (size_t at = from; at + text.len <= end; at++)
        if (same(w, w->subject.ptr + at, text))
            return at;
    return end + 1;
}

#define ARN_COLONS 5u /* arn:partition:service:region:account:resource; further ones are the resource's */

/* What of the subject a star may take that begins at `from`: a wildcard crosses none of the fixed colons. */
static size_t star_end(const struct walk *w, size_t from, size_t fixed_colons)
{
    return fixed_colons ? from + wm_view_find(wm_view_sub(w->subject, from, w->subject.len), ':') : w->subject.len;
}

/* Where the pieces behind the last star must begin, for they end with the subject; beyond it: they are too long. */
static size_t last_start(const struct walk *w, struct cursor c, size_t from)
{
    size_t at = w->subject.len, variable = w->pattern->n_variables;
    for (size_t i = w->pattern->n_pieces; i > c.piece; i--) {
        const struct wm_policy_piece *piece = &w->pattern->pieces[i - 1];
        size_t len = piece->kind == WM_PIECE_VARIABLE ? w->values[--variable].len : piece->text.len;
        if (piece->kind == WM_PIECE_ONE)
            for (len = 1; len < at && ((unsigned char)w->subject.ptr[at - len] & 0xc0) == 0x80;)
                len++;
        if (len > at - from)
            return w->subject.len + 1;
        at -= len;
    }
    return at;
}

/* From where on the pieces behind a star can fit, at `from` or later; beyond the subject: nowhere. */
static size_t star_next(const struct walk *w, const struct cursor *behind, size_t from, size_t fixed_colons)
{
    size_t len = w->subject.len;
    if (from > len)
        return from;
    size_t end = star_end(w, from, fixed_colons);
    if (behind->piece > w->pattern->last_star && !fixed_colons)
        return last_start(w, *behind, from);
    if (behind->piece == w->pattern->n_pieces)
        return end == len ? len : len + 1;
    struct wm_view text = text_at(w, behind);
    if (text.len == 0) /* "?", or a variable's value */
        return from;
    size_t at = find_text(w, text, from, end + text.len < len ? end + text.len : len);
    return at <= end ? at : len + 1;
}

/* Does the piece fit at *s? Then *s is behind what it took. */
static bool piece_fits(const struct walk *w, const struct cursor *c, size_t *s, size_t *fixed_colons, bool *starred)
{
    struct wm_view left = wm_view_sub(w->subject, *s, w->subject.len);
    if (w->pattern->pieces[c->piece].kind == WM_PIECE_ONE) {
        if (left.len == 0 || (*fixed_colons && left.ptr[0] == ':'))
            return false;
        *s = behind_character(w->subject, *s);
        return true;
    }
    struct wm_view text = text_at(w, c);
    if (text.len > left.len || !same(w, left.ptr, text))
        return false;
    *s += text.len;
    for (size_t i = 0; *fixed_colons && i < text.len; i++)
        if (text.ptr[i] == ':') { /* each part stands for itself */
            --*fixed_colons;
            *starred = false;
        }
    return true;
}

static bool walk_matches(const struct walk *w)
{
    struct cursor c = {0}, star = {0}; /* star: behind the last one */
    size_t s = 0, star_s = 0, n = w->pattern->n_pieces;
    size_t fixed_colons = w->how & WM_PATTERN_ARN ? ARN_COLONS : 0; /* that no wildcard crosses, still to come */
    bool starred = false;
    for (;;) {
        bool star_here = c.piece < n && w->pattern->pieces[c.piece].kind == WM_PIECE_ANY;
        if (c.piece == n && s == w->subject.len)
            return true;
        if (!star_here && c.piece < n && piece_fits(w, &c, &s, &fixed_colons, &starred)) {
            cursor_next_piece(w, &c);
            continue;
        }
        if (!star_here && !starred)
            return false;
        if (star_here) {
            cursor_next_piece(w, &c);
            star = c;
            starred = true;
            star_s = star_next(w, &star, s, fixed_colons);
        } else { /* the last star takes more; what earlier ones took does not matter to it */
            size_t end = star_end(w, star_s, fixed_colons);
            star_s = star_s < end ? star_next(w, &star, behind_character(w->subject, star_s), fixed_colons)
                                  : w->subject.len + 1;
        }
        if (star_s > w->subject.len)
            return false;
        s = star_s;
        c = star;
    }
}

bool wm_policy_pattern_matches(const struct wm_policy_pattern *p, unsigned how, struct wm_view subject,
                               const struct wm_policy_request *q)
{
    struct wm_view values[WM_MAX_POLICY_VARIABLES];
    if (p->n_variables && !variables_resolve(p, q, values))
        return false;
    return walk_matches(&(struct walk){p, values, subject, how});
}
