/*
 * The canonical form of a request.
 *
 * A client's own idea of the canonical form is met in four spellings at most; the first is the documented one and is
 * what nearly every client signs. The others are tried only when it does not match and only where they differ. Each
 * covers all bytes of the request that have a meaning here, so none widens what a signature allows:
 *   - Host without its port: Ruby SDK v1 signs it so (clients.md 1). The port has no meaning here.
 *   - query (for S3 also the path) exactly as sent instead of decoded and encoded again: botocore does not touch a
 *     query that it was given inside the URL (botocore/auth.py, _canonical_query_string_url).
 */
#include "recorder/base/sigv4_int.h"

#include <stdlib.h>

#include "waymark/hash.h"

#include "waymark/banned.h"

#define UNRESERVED 1 /* RFC 3986 section 2.3 */

static const uint8_t char_class[256] = {
    ['A'] = UNRESERVED, ['B'] = UNRESERVED, ['C'] = UNRESERVED, ['D'] = UNRESERVED, ['E'] = UNRESERVED,
    ['F'] = UNRESERVED, ['G'] = UNRESERVED, ['H'] = UNRESERVED, ['I'] = UNRESERVED, ['J'] = UNRESERVED,
    ['K'] = UNRESERVED, ['L'] = UNRESERVED, ['M'] = UNRESERVED, ['N'] = UNRESERVED, ['O'] = UNRESERVED,
    ['P'] = UNRESERVED, ['Q'] = UNRESERVED, ['R'] = UNRESERVED, ['S'] = UNRESERVED, ['T'] = UNRESERVED,
    ['U'] = UNRESERVED, ['V'] = UNRESERVED, ['W'] = UNRESERVED, ['X'] = UNRESERVED, ['Y'] = UNRESERVED,
    ['Z'] = UNRESERVED, ['a'] = UNRESERVED, ['b'] = UNRESERVED, ['c'] = UNRESERVED, ['d'] = UNRESERVED,
    ['e'] = UNRESERVED, ['f'] = UNRESERVED, ['g'] = UNRESERVED, ['h'] = UNRESERVED, ['i'] = UNRESERVED,
    ['j'] = UNRESERVED, ['k'] = UNRESERVED, ['l'] = UNRESERVED, ['m'] = UNRESERVED, ['n'] = UNRESERVED,
    ['o'] = UNRESERVED, ['p'] = UNRESERVED, ['q'] = UNRESERVED, ['r'] = UNRESERVED, ['s'] = UNRESERVED,
    ['t'] = UNRESERVED, ['u'] = UNRESERVED, ['v'] = UNRESERVED, ['w'] = UNRESERVED, ['x'] = UNRESERVED,
    ['y'] = UNRESERVED, ['z'] = UNRESERVED, ['0'] = UNRESERVED, ['1'] = UNRESERVED, ['2'] = UNRESERVED,
    ['3'] = UNRESERVED, ['4'] = UNRESERVED, ['5'] = UNRESERVED, ['6'] = UNRESERVED, ['7'] = UNRESERVED,
    ['8'] = UNRESERVED, ['9'] = UNRESERVED, ['-'] = UNRESERVED, ['_'] = UNRESERVED, ['.'] = UNRESERVED,
    ['~'] = UNRESERVED,
};

static bool is_unreserved(char c)
{
    return char_class[(uint8_t)c] == UNRESERVED;
}

/* Equal for equal names: most comparisons end here. */
static inline uint16_t name_tag(struct wm_view name)
{
    return name.len ? (uint16_t)(name.len << 8 | (uint8_t)lower(name.ptr[0])) : 0;
}

static char *put_percent(char *o, char c)
{
    static const char digits[] = "0123456789ABCDEF";
    *o++ = '%';
    *o++ = digits[(uint8_t)c >> 4];
    *o++ = digits[(uint8_t)c & 15];
    return o;
}

/* Bytes to SigV4's encoding; o has place for three times the length. */
static char *put_encoded(char *o, struct wm_view v, bool keep_slash)
{
    for (size_t i = 0; i < v.len; i++) {
        char c = v.ptr[i];
        if (is_unreserved(c) || (c == '/' && keep_slash))
            *o++ = c;
        else
            o = put_percent(o, c);
    }
    return o;
}

/*
 * Decode and encode again, in one pass; *changed becomes true where the result differs from what was sent. A '%' that
 * no two hex digits follow stands for itself, and '+' too: a blank is %20 here (IAM User Guide, "Create a signed AWS
 * API request", step 1: "Encode the space character as %20, not as +").
 */
static char *put_recoded(char *o, struct wm_view v, bool keep_slash, bool *changed)
{
    for (size_t i = 0; i < v.len; i++) {
        char c = v.ptr[i];
        uint8_t byte;
        if (is_unreserved(c) || (c == '/' && keep_slash)) {
            *o++ = c;
            continue;
        }
        char *from = o;
        size_t sent = 1;
        if (c == '%' && v.len - i > 2 && wm_hex_decode((struct wm_view){v.ptr + i + 1, 2}, &byte, 1)) {
            c = (char)byte;
            sent = 3;
        }
        if (is_unreserved(c) || (c == '/' && keep_slash))
            *o++ = c;
        else
            o = put_percent(o, c);
        if ((size_t)(o - from) != sent || memcmp(from, v.ptr + i, sent) != 0)
            *changed = true;
        i += sent - 1;
    }
    return o;
}

void wm_uri_encode(struct wm_buf *out, struct wm_view text, bool keep_slash)
{
    if (text.len > SIZE_MAX / 3) {
        out->status = out->status ? out->status : WM_E_LIMIT;
        return;
    }
    size_t bytes = 0;
    for (size_t i = 0; i < text.len; i++)
        bytes += is_unreserved(text.ptr[i]) || (text.ptr[i] == '/' && keep_slash) ? 1 : 3;
    char *room = wm_buf_room(out, bytes);
    if (!room)
        return;
    (void)put_encoded(room, text, keep_slash); /* its end is known */
    wm_buf_grow(out, bytes);
}

enum wm_status wm_uri_decode(struct wm_buf *out, struct wm_view text)
{
    size_t bytes = 0;
    for (size_t i = 0; i < text.len; i++, bytes++) {
        uint8_t byte;
        if (text.ptr[i] != '%')
            continue;
        if (text.len - i < 3 || !wm_hex_decode((struct wm_view){text.ptr + i + 1, 2}, &byte, 1))
            return WM_E_INVALID;
        i += 2;
    }
    char *room = wm_buf_room(out, bytes);
    if (!room)
        return out->status;
    for (size_t i = 0; i < text.len; i++, room++) {
        *room = text.ptr[i];
        if (*room == '%') {
            (void)wm_hex_decode((struct wm_view){text.ptr + i + 1, 2}, room, 1); /* checked above */
            i += 2;
        }
    }
    wm_buf_grow(out, bytes);
    return WM_OK;
}

bool wm_sigv4_names_split(struct wm_view list, struct wm_sigv4_names *out)
{
    out->n = 0;
    out->host = out->content_sha256 = false;
    while (list.ptr && list.len) {
        if (out->n == WM_SIGV4_MAX_HEADERS)
            return false;
        struct wm_view name = wm_view_split(&list, ';');
        if (view_is(name, WM_LIT("host")))
            out->host = true;
        else if (view_is(name, WM_LIT("x-amz-content-sha256")))
            out->content_sha256 = true;
        out->at[out->n++] = name;
    }
    return true;
}

bool wm_sigv4_names_have(const struct wm_sigv4_names *names, struct wm_view name)
{
    for (size_t i = 0; i < names->n; i++)
        if (name_is(name, names->at[i]))
            return true;
    return false;
}

/*
 * Path without "." and "..", without repeated slashes, each segment encoded (once more: what came encoded gets %25).
 * RFC 3986 section 5.2.4, in AWS's reading, where a final ".." leaves no slash behind it.
 */
static char *put_normalized_path(char *o, struct wm_view path)
{
    struct wm_view rest = path;
    if (path.ptr[0] == '/')
        *o++ = '/';
    char *base = o;
    while (rest.ptr) {
        struct wm_view segment = wm_view_split(&rest, '/');
        if (segment.len == 0 || view_is(segment, WM_LIT(".")))
            continue;
        if (view_is(segment, WM_LIT(".."))) {
            if (o > base)
                o--;
            while (o > base && o[-1] != '/')
                o--;
            continue;
        }
        o = put_encoded(o, segment, false);
        *o++ = '/';
    }
    if (o > base && path.ptr[path.len - 1] != '/')
        o--;
    return o;
}

/* Needs no normalizing? Usually: an absolute path with neither an empty segment nor one that starts with a dot. */
static bool path_is_plain(struct wm_view path)
{
    if (path.ptr[0] != '/')
        return false;
    for (size_t i = 1; i < path.len; i++)
        if (path.ptr[i - 1] == '/' && (path.ptr[i] == '/' || path.ptr[i] == '.'))
            return false;
    return true;
}

static int pair_cmp(const void *a, const void *b)
{
    const struct wm_sigv4_pair *x = a, *y = b;
    int order = wm_view_cmp(x->name, y->name);
    return order ? order : wm_view_cmp(x->value, y->value);
}

/* The query's pairs, encoded and sorted, "name=value" joined by "&"; NULL when there are too many. */
static char *put_query(struct wm_sigv4_work *w, char *o, const struct wm_sigv4_request *r, bool presigned, bool as_sent,
                       bool *recoded)
{
    struct wm_view rest = r->query;
    char *q = w->query;
    size_t n = 0;
    while (rest.ptr) {
        struct wm_view value = wm_view_split(&rest, '&');
        if (value.len == 0 && !as_sent)
            continue;
        struct wm_view name = wm_view_split(&value, '=');
        if (presigned && view_is(name, WM_LIT("X-Amz-Signature")))
            continue;
        if (n == SIGV4_MAX_QUERY_PAIRS)
            return NULL;
        if (!as_sent) {
            char *from = q;
            q = put_recoded(q, name, false, recoded);
            name = (struct wm_view){from, (size_t)(q - from)};
            from = q;
            q = put_recoded(q, value, false, recoded);
            value = (struct wm_view){from, (size_t)(q - from)};
        }
        w->pairs[n++] = (struct wm_sigv4_pair){name, value};
    }
    if (n > 1)
        qsort(w->pairs, n, sizeof *w->pairs, pair_cmp);
    for (size_t i = 0; i < n; i++) {
        if (i)
            *o++ = '&';
        o = put_view(o, w->pairs[i].name);
        *o++ = '=';
        o = put_view(o, w->pairs[i].value);
    }
    return o;
}

/* Any byte up to the blank? Eight at a time ("Bit Twiddling Hacks", hasless). */
static bool has_blank(struct wm_view v)
{
    const uint64_t ones = 0x0101010101010101u;
    size_t i = 0;
    for (; v.len - i >= 8; i += 8) {
        uint64_t x = wm_get_le64(v.ptr + i);
        if ((x - ones * 0x21) & ~x & (ones * 0x80))
            return true;
    }
    for (; i < v.len; i++)
        if (is_blank(v.ptr[i]))
            return true;
    return false;
}

/* A value without blanks at its ends and with single blanks inside, also where the client folded the line. */
static char *put_trimmed(char *o, struct wm_view v)
{
    if (!has_blank(v))
        return put_view(o, v);
    v = wm_view_trim(v);
    for (size_t i = 0; i < v.len; i++) {
        if (!is_blank(v.ptr[i]))
            *o++ = v.ptr[i];
        else if (!is_blank(v.ptr[i - 1]))
            *o++ = ' ';
    }
    return o;
}

static struct wm_view without_port(struct wm_view host)
{
    size_t colon = wm_view_rfind(host, ':');
    for (size_t i = colon + 1; i < host.len; i++)
        if (host.ptr[i] < '0' || host.ptr[i] > '9')
            return host;
    return wm_view_sub(host, 0, colon);
}

bool wm_sigv4_canonical_build(struct wm_sigv4_work *w, const struct wm_sigv4_request *r,
                              const struct wm_sigv4_names *names, struct wm_view signed_headers, bool presigned,
                              struct wm_view payload_hash, unsigned spelling, struct wm_sigv4_canonical *out)
{
    char *o = w->canonical, *const end = o + sizeof w->canonical;
    bool as_sent = spelling & SPELLING_AS_SENT, recoded = false;
    *out = (struct wm_sigv4_canonical){0};
    if (r->n_headers > SIGV4_MAX_REQUEST_HEADERS)
        return false;
    for (size_t h = 0; h < r->n_headers; h++)
        w->tags[h] = name_tag(r->headers[h].name);

    /* three bytes for one at most; a pair's '=' may be new, and so may the path's '/' */
    if (r->query.len > sizeof w->query / 3 || r->path.len > sizeof w->query / 3 || r->method.len > 1024 ||
        signed_headers.len > 4096)
        return false;
    if (r->method.len + 3 * r->path.len + 4 * r->query.len + 8 > sizeof w->canonical)
        return false;
    o = put_view(o, r->method);
    *o++ = '\n';
    if (r->path.len == 0)
        *o++ = '/';
    else if (r->path_form == WM_SIGV4_PATH_AS_SENT)
        o = as_sent ? put_view(o, r->path) : put_recoded(o, r->path, true, &recoded);
    else if (path_is_plain(r->path))
        o = put_encoded(o, r->path, true);
    else
        o = put_normalized_path(o, r->path);
    *o++ = '\n';
    if (r->query.len) {
        o = put_query(w, o, r, presigned, as_sent, &recoded);
        if (!o)
            return false;
    }
    *o++ = '\n';

    for (size_t i = 0; i < names->n; i++) {
        struct wm_view name = names->at[i];
        bool found = false, is_host = view_is(name, WM_LIT("host"));
        uint16_t tag = name_tag(name);
        if ((size_t)(end - o) < name.len + 1)
            return false;
        o = put_view(o, name);
        *o++ = ':';
        for (size_t h = 0; h < r->n_headers; h++) {
            if (w->tags[h] != tag || !name_is(r->headers[h].name, name))
                continue;
            struct wm_view value = r->headers[h].value;
            if ((size_t)(end - o) < value.len + 2)
                return false;
            if (found)
                *o++ = ',';
            found = true;
            if (is_host) {
                struct wm_view bare = without_port(value);
                if (bare.len != value.len)
                    out->differing |= SPELLING_BARE_HOST;
                if (spelling & SPELLING_BARE_HOST)
                    value = bare;
            }
            o = put_trimmed(o, value);
        }
        if (!found && !out->missing.ptr)
            out->missing = name;
        if (o == end)
            return false;
        *o++ = '\n';
    }
    if ((size_t)(end - o) < signed_headers.len + payload_hash.len + 2)
        return false;
    *o++ = '\n';
    o = put_view(o, signed_headers);
    *o++ = '\n';
    o = put_view(o, payload_hash);
    out->text = (struct wm_view){w->canonical, (size_t)(o - w->canonical)};
    if (recoded)
        out->differing |= SPELLING_AS_SENT;
    return true;
}

enum wm_status wm_sigv4_canonical_request(const struct wm_sigv4_request *r, struct wm_view signed_headers,
                                          bool presigned, struct wm_buf *out)
{
    struct wm_sigv4_names names;
    struct wm_sigv4_canonical canonical;
    if (!wm_sigv4_names_split(signed_headers, &names))
        return WM_E_LIMIT;
    struct wm_sigv4_work *w = malloc(sizeof *w);
    if (!w)
        return WM_E_NOMEM;
    enum wm_status status = WM_E_LIMIT;
    if (wm_sigv4_canonical_build(w, r, &names, signed_headers, presigned, r->payload_hash, SPELLING_DOCUMENTED,
                                 &canonical)) {
        wm_buf_add_view(out, canonical.text);
        status = wm_buf_status(out);
    }
    free(w);
    return status;
}
