#include "waymark/sigv4.h"

#include <stdio.h>
#include <stdlib.h>

#include "waymark/banned.h"

/*
 * The canonical request and the string to sign are built in memory that the cache object owns, so that verifying
 * allocates nothing and cannot fail for want of memory. What costs is hashing: one SHA-256 of the canonical request
 * and one HMAC with a kept key; everything around it is kept to single passes over the request.
 *
 * A client's own idea of the canonical form is met in four spellings at most; the first is the documented one and is
 * what nearly every client signs. The others are tried only when it does not match and only where they differ. Each
 * covers all bytes of the request that have a meaning here, so none widens what a signature allows:
 *   - Host without its port: Ruby SDK v1 signs it so (clients.md 1). The port has no meaning here.
 *   - query (for S3 also the path) exactly as sent instead of decoded and encoded again: botocore does not touch a
 *     query that it was given inside the URL (botocore/auth.py, _canonical_query_string_url).
 */

#define SIGV4_ALGORITHM "AWS4-HMAC-SHA256"
#define SIGV4_TERMINATOR "aws4_request"
#define SIGV4_DATE_BYTES 8 /* "20260301" */
/* Headers of 8 KiB (bounds.h) with each byte of path and query as %XX stay below; larger is refused. */
#define SIGV4_MAX_CANONICAL_BYTES (128u * 1024u)
#define SIGV4_MAX_QUERY_BYTES (64u * 1024u)
#define SIGV4_MAX_QUERY_PAIRS 512
#define SIGV4_MAX_REQUEST_HEADERS 256
/* "AKID/20260301/us-east-1/mediapackage"; a longer one is verified, but not cached. */
#define SIGV4_MAX_KEY_TEXT 192
/* AWS's have 40 characters, the longest that a store takes (MinIO) too; longer ones than this are refused. */
#define SIGV4_MAX_SECRET 256
/* Keys used at one time: users times regions and services times two days around midnight. */
#define SIGV4_CACHE_SETS 64
#define SIGV4_CACHE_WAYS 4

enum sigv4_spelling {
    SPELLING_DOCUMENTED = 0,
    SPELLING_BARE_HOST = 1,
    SPELLING_AS_SENT = 2,
    SPELLING_COUNT = 4, /* the two combine */
};

struct sigv4_pair {
    struct wm_view name;
    struct wm_view value;
};

struct sigv4_work {
    char canonical[SIGV4_MAX_CANONICAL_BYTES];
    char query[SIGV4_MAX_QUERY_BYTES]; /* names and values, encoded, before they are sorted */
    struct sigv4_pair pairs[SIGV4_MAX_QUERY_PAIRS];
    uint16_t tags[SIGV4_MAX_REQUEST_HEADERS]; /* name_tag() of each header of the request */
};

struct sigv4_key {
    uint64_t used; /* when, by the cache's count of look-ups; 0 is a free place */
    size_t text_len;
    size_t secret_len;
    char text[SIGV4_MAX_KEY_TEXT];
    char secret[SIGV4_MAX_SECRET]; /* an access key may come back with another secret */
    struct wm_hmac_key *key;
};

struct wm_sigv4_cache {
    uint64_t clock;
    struct sigv4_key keys[SIGV4_CACHE_SETS][SIGV4_CACHE_WAYS];
    struct sigv4_work work;
};

/* ---- characters ---- */

#define UNRESERVED 1 /* RFC 3986 section 2.3 */
#define BLANK 2

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
    ['~'] = UNRESERVED, [' '] = BLANK,      ['\t'] = BLANK,     ['\r'] = BLANK,     ['\n'] = BLANK,
};

static bool is_unreserved(char c)
{
    return char_class[(uint8_t)c] == UNRESERVED;
}

static bool is_blank(char c)
{
    return char_class[(uint8_t)c] == BLANK;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* For text known when compiling: no strlen(), and memcmp() of a known length. */
static inline bool view_is(struct wm_view v, struct wm_view literal)
{
    return v.len == literal.len && memcmp(v.ptr, literal.ptr, literal.len) == 0;
}

/* ASCII capitals to small letters, eight bytes at a time. */
static inline uint64_t lower8(const char *p)
{
    const uint64_t ones = 0x0101010101010101u;
    uint64_t x = wm_get_le64(p), seven = x & (ones * 0x7f);
    uint64_t from_a = seven + ones * (0x80 - 'A'), after_z = seven + ones * (0x7f - 'Z');
    uint64_t capital = (from_a ^ after_z) & ~x & (ones * 0x80);
    return x | capital >> 2;
}

/* name in any case, want in lower case */
static inline bool name_is(struct wm_view name, struct wm_view want)
{
    if (name.len != want.len)
        return false;
    size_t i = 0;
    if (name.len >= 8) {
        for (; name.len - i > 8; i += 8)
            if (lower8(name.ptr + i) != wm_get_le64(want.ptr + i))
                return false;
        return lower8(name.ptr + name.len - 8) == wm_get_le64(want.ptr + name.len - 8);
    }
    for (; i < name.len; i++)
        if (lower(name.ptr[i]) != want.ptr[i])
            return false;
    return true;
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

static char *put(char *o, const char *bytes, size_t len)
{
    if (len)
        memcpy(o, bytes, len);
    return o + len;
}

static char *put_view(char *o, struct wm_view v)
{
    return put(o, v.ptr, v.len);
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

/* ---- canonical request ---- */

/* Signed names, in the order in which the caller lists them. */
struct sigv4_names {
    size_t n;
    bool host, content_sha256; /* are among them */
    struct wm_view at[WM_SIGV4_MAX_HEADERS + 2]; /* two more, which signing adds */
};

static bool names_split(struct wm_view list, struct sigv4_names *out)
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

static bool names_have(const struct sigv4_names *names, struct wm_view name)
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
    const struct sigv4_pair *x = a, *y = b;
    int order = wm_view_cmp(x->name, y->name);
    return order ? order : wm_view_cmp(x->value, y->value);
}

/* The query's pairs, encoded and sorted, "name=value" joined by "&"; NULL when there are too many. */
static char *put_query(struct sigv4_work *w, char *o, const struct wm_sigv4_request *r, bool presigned, bool as_sent,
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
        w->pairs[n++] = (struct sigv4_pair){name, value};
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

struct sigv4_canonical {
    struct wm_view text;    /* points into the work */
    unsigned differing;     /* the spellings that would give another text than the documented one */
    struct wm_view missing; /* a signed header that the request does not have, if ptr is set */
};

/* IAM User Guide, "Create a signed AWS API request", step 1. False when the request is too large. */
static bool canonical_build(struct sigv4_work *w, const struct wm_sigv4_request *r, const struct sigv4_names *names,
                            struct wm_view signed_headers, bool presigned, struct wm_view payload_hash,
                            unsigned spelling, struct sigv4_canonical *out)
{
    char *o = w->canonical, *const end = o + sizeof w->canonical;
    bool as_sent = spelling & SPELLING_AS_SENT, recoded = false;
    *out = (struct sigv4_canonical){0};
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
    struct sigv4_names names;
    struct sigv4_canonical canonical;
    if (!names_split(signed_headers, &names))
        return WM_E_LIMIT;
    struct sigv4_work *w = malloc(sizeof *w);
    if (!w)
        return WM_E_NOMEM;
    enum wm_status status = WM_E_LIMIT;
    if (canonical_build(w, r, &names, signed_headers, presigned, r->payload_hash, SPELLING_DOCUMENTED, &canonical)) {
        wm_buf_add_view(out, canonical.text);
        status = wm_buf_status(out);
    }
    free(w);
    return status;
}

void wm_sigv4_string_to_sign(struct wm_view date_basic, struct wm_view scope_date, struct wm_view region,
                             struct wm_view service, struct wm_view canonical_request, struct wm_buf *out)
{
    uint8_t hash[WM_SHA256_BYTES];
    char hex[WM_SHA256_HEX_BYTES];
    wm_sha256(canonical_request.ptr, canonical_request.len, hash);
    wm_hex(hash, sizeof hash, hex);
    wm_buf_add_str(out, SIGV4_ALGORITHM "\n");
    wm_buf_add_view(out, date_basic);
    wm_buf_add_char(out, '\n');
    wm_buf_add_view(out, scope_date);
    wm_buf_add_char(out, '/');
    wm_buf_add_view(out, region);
    wm_buf_add_char(out, '/');
    wm_buf_add_view(out, service);
    wm_buf_add_str(out, "/" SIGV4_TERMINATOR "\n");
    wm_buf_add(out, hex, sizeof hex);
}

/* ---- signing keys and their cache ---- */

struct wm_sigv4_cache *wm_sigv4_cache_new(void)
{
    if (wm_hash_thread_init() != WM_OK)
        return NULL;
    return calloc(1, sizeof(struct wm_sigv4_cache));
}

static void cache_drop(struct sigv4_key *k)
{
    wm_hmac_key_free(k->key);
    wm_wipe(k, sizeof *k);
}

void wm_sigv4_cache_free(struct wm_sigv4_cache *c)
{
    if (!c)
        return;
    for (size_t set = 0; set < SIGV4_CACHE_SETS; set++)
        for (size_t way = 0; way < SIGV4_CACHE_WAYS; way++)
            if (c->keys[set][way].used)
                cache_drop(&c->keys[set][way]);
    free(c);
}

/* One use of a signing key: whose it is, and the key itself. */
struct sigv4_use {
    struct wm_view scope_date, region, service, secret;
    bool cacheable;
    size_t text_len;
    char text[SIGV4_MAX_KEY_TEXT]; /* key id, date, region and service with '/' between */
    struct sigv4_key *set;
    const struct wm_hmac_key *kept; /* NULL: use derived */
    uint8_t derived[WM_SHA256_BYTES];
};

/* IAM User Guide, "Create a signed AWS API request", step 4. */
static void use_derive(struct sigv4_use *u)
{
    char first[4 + SIGV4_MAX_SECRET] = "AWS4";
    uint8_t *key = u->derived;
    (void)put_view(first + 4, u->secret); /* its end is known */
    wm_hmac_sha256(first, 4 + u->secret.len, u->scope_date.ptr, u->scope_date.len, key);
    wm_wipe(first, sizeof first);
    wm_hmac_sha256(key, WM_SHA256_BYTES, u->region.ptr, u->region.len, key);
    wm_hmac_sha256(key, WM_SHA256_BYTES, u->service.ptr, u->service.len, key);
    wm_hmac_sha256(key, WM_SHA256_BYTES, SIGV4_TERMINATOR, sizeof SIGV4_TERMINATOR - 1, key);
}

static uint64_t text_hash(const char text[SIGV4_MAX_KEY_TEXT], size_t len)
{
    uint64_t h = len;
    for (size_t i = 0; i < len; i += 8) { /* the text is filled up with zeros */
        h = (h ^ wm_get_le64(text + i)) * 0x9e3779b97f4a7c15u;
        h ^= h >> 29;
    }
    return h;
}

/* Find the key in the cache, else derive it. */
static void use_begin(struct wm_sigv4_cache *c, struct sigv4_use *u, struct wm_view access_key_id)
{
    size_t len = access_key_id.len + u->scope_date.len + u->region.len + u->service.len + 3;
    u->kept = NULL;
    u->cacheable = len <= sizeof u->text;
    if (u->cacheable) {
        char *o = put_view(u->text, access_key_id);
        *o++ = '/';
        o = put_view(o, u->scope_date);
        *o++ = '/';
        o = put_view(o, u->region);
        *o++ = '/';
        o = put_view(o, u->service);
        u->text_len = len;
        memset(o, 0, (8 - len % 8) % 8);
        u->set = c->keys[text_hash(u->text, len) % SIGV4_CACHE_SETS];
        for (size_t way = 0; way < SIGV4_CACHE_WAYS; way++) {
            struct sigv4_key *k = &u->set[way];
            if (k->used && k->text_len == len && memcmp(k->text, u->text, len) == 0 &&
                /* memcmp() tells nothing here: the caller of the API chooses neither of the two */
                k->secret_len == u->secret.len && memcmp(k->secret, u->secret.ptr, u->secret.len) == 0) {
                k->used = ++c->clock;
                u->kept = k->key;
                return;
            }
        }
    }
    use_derive(u);
}

/* Keep a derived key that has proven right: who does not know the secret cannot push keys out of the cache. */
static void use_keep(struct wm_sigv4_cache *c, const struct sigv4_use *u)
{
    if (u->kept || !u->cacheable)
        return;
    struct sigv4_key *oldest = &u->set[0];
    for (size_t way = 1; way < SIGV4_CACHE_WAYS; way++)
        if (u->set[way].used < oldest->used)
            oldest = &u->set[way];
    struct wm_hmac_key *key = wm_hmac_key_new(u->derived, sizeof u->derived);
    if (!key)
        return; /* derived again the next time */
    if (oldest->used)
        cache_drop(oldest);
    oldest->used = ++c->clock;
    oldest->text_len = u->text_len;
    memcpy(oldest->text, u->text, u->text_len);
    oldest->secret_len = u->secret.len;
    (void)put_view(oldest->secret, u->secret); /* its end is known */
    oldest->key = key;
}

static void use_end(struct sigv4_use *u)
{
    if (!u->kept)
        wm_wipe(u->derived, sizeof u->derived);
}

/* IAM User Guide, steps 2, 3 and 5: hash, string to sign, signature in hex. */
static void use_sign(const struct sigv4_use *u, const char date_basic[WM_TIME_BASIC_BYTES],
                     struct wm_view canonical_request, char out[WM_SHA256_HEX_BYTES])
{
    uint8_t hash[WM_SHA256_BYTES];
    char text[sizeof SIGV4_ALGORITHM + WM_TIME_BASIC_BYTES + SIGV4_MAX_KEY_TEXT * 2 + sizeof SIGV4_TERMINATOR +
              WM_SHA256_HEX_BYTES + 8];
    char *o = put(text, SIGV4_ALGORITHM "\n", sizeof SIGV4_ALGORITHM);
    o = put(o, date_basic, WM_TIME_BASIC_BYTES - 1);
    *o++ = '\n';
    o = put_view(o, u->scope_date);
    *o++ = '/';
    o = put_view(o, u->region);
    *o++ = '/';
    o = put_view(o, u->service);
    o = put(o, "/" SIGV4_TERMINATOR "\n", sizeof SIGV4_TERMINATOR + 1);
    wm_sha256(canonical_request.ptr, canonical_request.len, hash);
    wm_hex(hash, sizeof hash, o);
    o += WM_SHA256_HEX_BYTES;
    if (u->kept)
        wm_hmac_key_sha256(u->kept, text, (size_t)(o - text), hash);
    else
        wm_hmac_sha256(u->derived, sizeof u->derived, text, (size_t)(o - text), hash);
    wm_hex(hash, sizeof hash, out);
}

/* Have the scope's parts and the secret their place in use_derive() and use_sign()? */
static bool use_fits(struct wm_view scope_date, struct wm_view region, struct wm_view service, struct wm_view secret)
{
    return scope_date.len == SIGV4_DATE_BYTES && region.len <= SIGV4_MAX_KEY_TEXT - SIGV4_DATE_BYTES &&
           service.len <= SIGV4_MAX_KEY_TEXT && secret.len <= SIGV4_MAX_SECRET;
}

/* ---- the claim ---- */

/* Text from the request, made fit for a message: short, printable ASCII. */
struct shown {
    char text[80];
};

static struct shown show(struct wm_view v)
{
    struct shown s;
    size_t n = 0;
    for (size_t i = 0; i < v.len && n < sizeof s.text - 4; i++)
        s.text[n++] = v.ptr[i] >= ' ' && v.ptr[i] <= '~' ? v.ptr[i] : '?';
    if (n < v.len)
        n = (size_t)(put(s.text + n, "...", 3) - s.text);
    s.text[n] = '\0';
    return s;
}

#define SAY(result, ...) ((void)snprintf(message, 256, __VA_ARGS__), (result))

/*
 * "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 section 5.6.7, IMF-fixdate), or with "-0000" or "+0000" at its end, as
 * botocore writes it (RFC 5322 section 3.3).
 */
static enum wm_status parse_http_date(struct wm_view v, struct wm_wall_ns *out)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct wm_view zone = wm_view_sub(v, 25, v.len);
    if (!view_is(zone, WM_LIT(" GMT")) && !view_is(zone, WM_LIT(" -0000")) && !view_is(zone, WM_LIT(" +0000")))
        return WM_E_INVALID;
    if (v.ptr[3] != ',' || v.ptr[4] != ' ' || v.ptr[7] != ' ' || v.ptr[11] != ' ' || v.ptr[16] != ' ')
        return WM_E_INVALID;
    for (unsigned m = 0; m < 12; m++) {
        if (memcmp(v.ptr + 8, months + 3 * (size_t)m, 3) != 0)
            continue;
        char iso[64];
        (void)snprintf(iso, sizeof iso, "%.4s-%02u-%.2sT%.8sZ", v.ptr + 12, m + 1, v.ptr + 5, v.ptr + 17);
        return wm_time_parse(wm_view_of(iso), out);
    }
    return WM_E_INVALID;
}

static bool take_date(struct wm_sigv4_claim *out, struct wm_view amz_date, struct wm_view http_date)
{
    struct wm_view v = wm_view_trim(amz_date.ptr ? amz_date : http_date);
    if (v.len == WM_TIME_BASIC_BYTES - 1 && wm_time_parse(v, &out->date) == WM_OK) {
        memcpy(out->date_basic, v.ptr, v.len);
        out->date_basic[v.len] = '\0';
        return true;
    }
    if (amz_date.ptr || parse_http_date(v, &out->date) != WM_OK)
        return false;
    wm_time_basic(out->date, out->date_basic);
    return true;
}

/* "AKID/20260301/us-east-1/mediapackage/aws4_request", taken from its end: a key id may hold slashes. */
static enum wm_sigv4_result take_credential(struct wm_sigv4_claim *out, struct wm_view credential, char message[256])
{
    struct wm_view parts[4]; /* terminator, service, region, date */
    struct wm_view rest = credential;
    for (size_t i = 0; i < 4; i++) {
        size_t slash = wm_view_rfind(rest, '/');
        if (slash == rest.len) {
            out->access_key_id = wm_view_sub(credential, 0, wm_view_find(credential, '/'));
            return SAY(WM_SIGV4_INCOMPLETE,
                       "Credential must have at least 5 slash-delimited elements, e.g. keyid/date/region/service/term, "
                       "got '%s'", show(credential).text);
        }
        parts[i] = wm_view_sub(rest, slash + 1, rest.len);
        rest = wm_view_sub(rest, 0, slash);
    }
    out->access_key_id = rest;
    out->scope_date = parts[3];
    out->region = parts[2];
    out->service = parts[1];
    if (rest.len == 0)
        return SAY(WM_SIGV4_INCOMPLETE, "Credential has no access key id");
    if (!view_is(parts[0], WM_LIT(SIGV4_TERMINATOR)))
        return SAY(WM_SIGV4_WRONG_SCOPE, "Credential should be scoped with a valid terminator: '" SIGV4_TERMINATOR
                   "', not '%s'", show(parts[0]).text);
    return WM_SIGV4_OK;
}

static enum wm_sigv4_result check_signature_length(const struct wm_sigv4_claim *claim, char message[256])
{
    if (claim->signature.len != WM_SHA256_HEX_BYTES)
        return SAY(WM_SIGV4_INCOMPLETE, "Signature must have 64 hex digits, got %zu", claim->signature.len);
    return WM_SIGV4_OK;
}

/* "AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…", in any order, with or without blanks. */
static enum wm_sigv4_result parse_authorization(struct wm_view v, struct wm_sigv4_claim *out, char message[256])
{
    struct wm_view credential = WM_EMPTY;
    v = wm_view_trim(v);
    size_t scheme = 0;
    while (scheme < v.len && !is_blank(v.ptr[scheme]))
        scheme++;
    if (!view_is((struct wm_view){v.ptr, scheme}, WM_LIT(SIGV4_ALGORITHM)))
        return SAY(WM_SIGV4_INCOMPLETE, "Authorization must use " SIGV4_ALGORITHM ", not '%s'",
                   show(wm_view_sub(v, 0, scheme)).text);
    struct wm_view rest = wm_view_sub(v, scheme, v.len);
    while (rest.ptr) {
        struct wm_view value = wm_view_trim(wm_view_split(&rest, ','));
        if (value.len == 0)
            continue;
        struct wm_view name = wm_view_split(&value, '=');
        if (!value.ptr)
            return SAY(WM_SIGV4_INCOMPLETE, "'%s' not a valid key=value pair (missing equal-sign) in Authorization "
                       "header", show(name).text);
        struct wm_view *slot = view_is(name, WM_LIT("Credential"))      ? &credential
                               : view_is(name, WM_LIT("SignedHeaders")) ? &out->signed_headers
                               : view_is(name, WM_LIT("Signature"))     ? &out->signature
                                                                        : NULL;
        if (!slot)
            continue;
        if (slot->ptr)
            return SAY(WM_SIGV4_INCOMPLETE, "Authorization header has '%s' twice", show(name).text);
        *slot = value;
    }
    enum wm_sigv4_result result = WM_SIGV4_OK;
    if (credential.ptr)
        result = take_credential(out, credential, message);
    else
        result = SAY(WM_SIGV4_INCOMPLETE, "Authorization header requires 'Credential' parameter");
    if (result != WM_SIGV4_OK)
        return result;
    if (!out->signature.ptr)
        return SAY(WM_SIGV4_INCOMPLETE, "Authorization header requires 'Signature' parameter");
    if (!out->signed_headers.ptr)
        return SAY(WM_SIGV4_INCOMPLETE, "Authorization header requires 'SignedHeaders' parameter");
    return WM_SIGV4_OK;
}

/* Decode a query value into the claim's own memory; the view has ptr NULL when it does not fit or is malformed. */
static struct wm_view take_decoded(struct wm_sigv4_claim *out, size_t *used, struct wm_view text)
{
    struct wm_view got = {out->decoded + *used, 0};
    for (size_t i = 0; i < text.len; i++, got.len++) {
        if (*used + got.len == sizeof out->decoded)
            return WM_EMPTY;
        char *to = out->decoded + *used + got.len;
        *to = text.ptr[i];
        if (*to != '%')
            continue;
        if (text.len - i < 3 || !wm_hex_decode((struct wm_view){text.ptr + i + 1, 2}, to, 1))
            return WM_EMPTY;
        i += 2;
    }
    *used += got.len;
    return got;
}

enum { Q_ALGORITHM, Q_CREDENTIAL, Q_DATE, Q_EXPIRES, Q_SIGNED_HEADERS, Q_SIGNATURE, Q_TOKEN, Q_COUNT };
static const char *const query_names[Q_COUNT] = {
    "X-Amz-Algorithm",     "X-Amz-Credential", "X-Amz-Date",           "X-Amz-Expires",
    "X-Amz-SignedHeaders", "X-Amz-Signature",  "X-Amz-Security-Token",
};

static enum wm_sigv4_result parse_query(const struct wm_sigv4_request *r, struct wm_sigv4_claim *out,
                                        char message[256])
{
    struct wm_view got[Q_COUNT] = {{0}};
    struct wm_view rest = r->query;
    size_t used = 0;
    while (rest.ptr) {
        struct wm_view value = wm_view_split(&rest, '&');
        if (!wm_view_starts(value, "X-Amz-"))
            continue;
        struct wm_view name = wm_view_split(&value, '=');
        for (size_t i = 0; i < Q_COUNT; i++) {
            if (!wm_view_eq_str(name, query_names[i]))
                continue;
            if (got[i].ptr) /* which of the two is meant would be anyone's choice */
                return SAY(WM_SIGV4_INCOMPLETE, "The query has %s twice", query_names[i]);
            got[i] = take_decoded(out, &used, value);
            if (!got[i].ptr)
                return SAY(WM_SIGV4_INCOMPLETE, "The query's %s is malformed or too long", query_names[i]);
        }
    }
    out->signature = got[Q_SIGNATURE];
    out->signed_headers = got[Q_SIGNED_HEADERS];
    if (got[Q_TOKEN].ptr)
        out->security_token = got[Q_TOKEN];
    if (got[Q_CREDENTIAL].ptr) {
        enum wm_sigv4_result result = take_credential(out, got[Q_CREDENTIAL], message);
        if (result != WM_SIGV4_OK)
            return result;
    }
    for (size_t i = 0; i < Q_COUNT; i++)
        if (!got[i].ptr && i != Q_TOKEN)
            return SAY(WM_SIGV4_INCOMPLETE, "The query has no %s", query_names[i]);
    if (!wm_view_eq_str(got[Q_ALGORITHM], SIGV4_ALGORITHM))
        return SAY(WM_SIGV4_INCOMPLETE, "X-Amz-Algorithm must be " SIGV4_ALGORITHM ", not '%s'",
                   show(got[Q_ALGORITHM]).text);
    uint64_t expires;
    if (wm_view_to_u64(got[Q_EXPIRES], WM_SIGV4_MAX_EXPIRES_S, &expires) != WM_OK || expires == 0)
        return SAY(WM_SIGV4_INCOMPLETE, "X-Amz-Expires must be a number of seconds from 1 to %d, not '%s'",
                   WM_SIGV4_MAX_EXPIRES_S, show(got[Q_EXPIRES]).text);
    out->expires_s = (int64_t)expires;
    if (!take_date(out, got[Q_DATE], WM_EMPTY))
        return SAY(WM_SIGV4_INCOMPLETE, "X-Amz-Date must be like 20260301T100712Z, got '%s'", show(got[Q_DATE]).text);
    return check_signature_length(out, message);
}

static bool query_is_presigned(struct wm_view query)
{
    struct wm_view rest = query;
    while (rest.ptr) {
        struct wm_view pair = wm_view_split(&rest, '&');
        if (wm_view_starts(pair, "X-Amz-Signature="))
            return true;
    }
    return false;
}

enum wm_sigv4_result wm_sigv4_parse(const struct wm_sigv4_request *r, struct wm_sigv4_claim *out, char message[256])
{
    struct wm_view authorization = WM_EMPTY, amz_date = WM_EMPTY, http_date = WM_EMPTY;
    size_t authorizations = 0;
    out->presigned = false;
    out->access_key_id = out->scope_date = out->region = out->service = WM_EMPTY;
    out->signed_headers = out->signature = out->security_token = WM_EMPTY;
    out->date = (struct wm_wall_ns){0};
    out->date_basic[0] = '\0';
    out->expires_s = 0;

    for (size_t i = 0; i < r->n_headers; i++) {
        const struct wm_sigv4_header *h = &r->headers[i];
        switch (h->name.len) { /* spares most comparisons */
        case 4:
            if (!http_date.ptr && name_is(h->name, WM_LIT("date")))
                http_date = h->value;
            break;
        case 10:
            if (!amz_date.ptr && name_is(h->name, WM_LIT("x-amz-date")))
                amz_date = h->value;
            break;
        case 13:
            if (name_is(h->name, WM_LIT("authorization"))) {
                authorization = h->value;
                authorizations++;
            }
            break;
        case 20:
            if (!out->security_token.ptr && name_is(h->name, WM_LIT("x-amz-security-token")))
                out->security_token = wm_view_trim(h->value);
            break;
        default:
            break;
        }
    }
    out->presigned = r->query.len && query_is_presigned(r->query);
    if (out->presigned) {
        if (authorizations)
            return SAY(WM_SIGV4_INCOMPLETE, "The request has an Authorization header and X-Amz-Signature in its query; "
                       "one of them is allowed");
        return parse_query(r, out, message);
    }
    if (authorizations == 0)
        return SAY(WM_SIGV4_MISSING, "Request is missing Authentication Token");
    if (authorizations > 1)
        return SAY(WM_SIGV4_INCOMPLETE, "The request has more than one Authorization header");
    enum wm_sigv4_result result = parse_authorization(authorization, out, message);
    if (result == WM_SIGV4_OK)
        result = check_signature_length(out, message);
    if (!amz_date.ptr && !http_date.ptr) {
        if (result == WM_SIGV4_OK)
            result = SAY(WM_SIGV4_INCOMPLETE, "Authorization header requires existence of either a 'X-Amz-Date' or a "
                         "'Date' header");
    } else if (!take_date(out, amz_date, http_date) && result == WM_SIGV4_OK) {
        result = SAY(WM_SIGV4_INCOMPLETE, "%s must be in ISO-8601 'basic format', e.g. 20260301T100712Z, got '%s'",
                     amz_date.ptr ? "X-Amz-Date" : "Date", show(amz_date.ptr ? amz_date : http_date).text);
    }
    return result;
}

/* ---- verifying ---- */

static enum wm_sigv4_result check_time(const struct wm_sigv4_claim *claim, struct wm_wall_ns now, char message[256])
{
    int64_t date = wm_wall_seconds(claim->date), at = wm_wall_seconds(now);
    char ours[WM_TIME_BASIC_BYTES];
    if (date > at + WM_SIGV4_SKEW_S) {
        wm_time_basic(now, ours);
        return SAY(WM_SIGV4_NOT_YET, "Signature not yet current: %s is still later than %s (+ %d min.)",
                   claim->date_basic, ours, WM_SIGV4_SKEW_S / 60);
    }
    if (claim->presigned && at > date + claim->expires_s) {
        wm_time_basic(now, ours);
        return SAY(WM_SIGV4_EXPIRED, "Request has expired: signed at %s for %lld seconds, it is now %s",
                   claim->date_basic, (long long)claim->expires_s, ours);
    }
    if (!claim->presigned && date < at - WM_SIGV4_SKEW_S) {
        wm_time_basic(now, ours);
        return SAY(WM_SIGV4_EXPIRED, "Signature expired: %s is now earlier than %s (- %d min.)", claim->date_basic,
                   ours, WM_SIGV4_SKEW_S / 60);
    }
    return WM_SIGV4_OK;
}

static enum wm_sigv4_result check_scope(const struct wm_sigv4_claim *claim, struct wm_view secret,
                                        struct wm_view region, struct wm_view service, char message[256])
{
    if (claim->scope_date.len != SIGV4_DATE_BYTES ||
        memcmp(claim->scope_date.ptr, claim->date_basic, SIGV4_DATE_BYTES) != 0)
        return SAY(WM_SIGV4_WRONG_SCOPE,
                   "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '%s' != "
                   "'%.8s', from '%s'", show(claim->scope_date).text, claim->date_basic, claim->date_basic);
    /* Go SDK v2 with a custom resolver and no SigningRegion sends an empty one (clients.md 1) */
    if (claim->region.len == 0 || (region.len && !wm_view_eq(claim->region, region)))
        return SAY(WM_SIGV4_WRONG_SCOPE, "Credential should be scoped to a valid region, not '%s'%s%s",
                   show(claim->region).text, region.len ? "; this server's is " : "", show(region).text);
    if (claim->service.len == 0 || (service.len && !wm_view_eq(claim->service, service)))
        return SAY(WM_SIGV4_WRONG_SCOPE, "Credential should be scoped to correct service: '%s', not '%s'",
                   show(service).text, show(claim->service).text);
    if (!use_fits(claim->scope_date, claim->region, claim->service, secret))
        return SAY(WM_SIGV4_WRONG_SCOPE, "Credential scope or secret is too long");
    return WM_SIGV4_OK;
}

/*
 * Headers that must be signed because somebody on the way could otherwise change what the request means: Host,
 * X-Amz-Target (it names the operation), and for S3 every x-amz-* header, as S3 demands ("Authenticating Requests:
 * Using the Authorization Header", CanonicalHeaders). Not demanded of other services, since proxies and SDKs add some
 * (x-amzn-trace-id, x-amz-user-agent), nor of these:
 *   - X-Amz-Date and X-Amz-Content-Sha256: the string to sign and the canonical request hold their values anyway;
 *   - X-Amz-Security-Token: some services have it added after signing (the test suite's post-sts-header-after); it is
 *     proven by belonging to the access key, so that another one, or none, is refused there.
 */
static enum wm_sigv4_result check_signed(const struct wm_sigv4_request *r, const struct sigv4_names *names,
                                         char message[256])
{
    if (!names->host)
        return SAY(WM_SIGV4_MISMATCH, "'Host' must be a 'SignedHeader' in the AWS Authorization");
    bool s3 = r->path_form == WM_SIGV4_PATH_AS_SENT;
    for (size_t i = 0; i < r->n_headers; i++) {
        struct wm_view name = r->headers[i].name;
        bool needed = s3 ? name.len > 6 && name_is(wm_view_sub(name, 0, 6), WM_LIT("x-amz-"))
                         : name_is(name, WM_LIT("x-amz-target"));
        if (needed && !names_have(names, name))
            return SAY(WM_SIGV4_MISMATCH, "There were headers present in the request which were not signed: %s",
                       show(name).text);
    }
    return WM_SIGV4_OK;
}

static struct wm_view find_header(const struct wm_sigv4_request *r, struct wm_view lower_name)
{
    for (size_t i = 0; i < r->n_headers; i++)
        if (name_is(r->headers[i].name, lower_name))
            return wm_view_trim(r->headers[i].value);
    return WM_EMPTY;
}

/* The last line of the canonical request: what the caller signed as the hash of the body, if it is true. */
static enum wm_sigv4_result check_payload(const struct wm_sigv4_request *r, const struct wm_sigv4_claim *claim,
                                          const struct sigv4_names *names, struct wm_view *out, char message[256])
{
    static const struct wm_view unsigned_payload = {"UNSIGNED-PAYLOAD", 16};
    bool s3 = r->path_form == WM_SIGV4_PATH_AS_SENT;
    *out = r->payload_hash;
    if (names->content_sha256) {
        struct wm_view sent = find_header(r, WM_LIT("x-amz-content-sha256"));
        if (wm_view_eq(sent, r->payload_hash))
            return WM_SIGV4_OK;
        if (s3 && wm_view_eq(sent, unsigned_payload)) {
            *out = unsigned_payload;
            return WM_SIGV4_OK;
        }
        return SAY(WM_SIGV4_PAYLOAD_MISMATCH,
                   "The provided 'x-amz-content-sha256' header does not match what was computed");
    }
    /* S3 API Reference, "Authenticating Requests: Using Query Parameters": who presigns does not know the body */
    if (s3 && claim->presigned)
        *out = unsigned_payload;
    return WM_SIGV4_OK;
}

static enum wm_sigv4_result verify_spellings(struct wm_sigv4_cache *c, const struct wm_sigv4_request *r,
                                             const struct wm_sigv4_claim *claim, const struct sigv4_names *names,
                                             struct wm_view payload_hash, const struct sigv4_use *use,
                                             char message[256])
{
    struct sigv4_canonical canonical;
    unsigned differing = 0;
    for (unsigned spelling = 0; spelling < SPELLING_COUNT; spelling++) {
        char ours[WM_SHA256_HEX_BYTES];
        if (spelling & ~differing)
            continue;
        if (!canonical_build(&c->work, r, names, claim->signed_headers, claim->presigned, payload_hash, spelling,
                             &canonical))
            return SAY(WM_SIGV4_INCOMPLETE, "The request is too large for its signature to be checked");
        if (canonical.missing.ptr)
            return SAY(WM_SIGV4_MISMATCH, "The signed header '%s' is not in the request",
                       show(canonical.missing).text);
        use_sign(use, claim->date_basic, canonical.text, ours);
        if (wm_equal_constant_time(ours, claim->signature.ptr, sizeof ours))
            return WM_SIGV4_OK;
        if (spelling == SPELLING_DOCUMENTED)
            differing = canonical.differing;
    }
    return SAY(WM_SIGV4_MISMATCH, "The request signature we calculated does not match the signature you provided. "
               "Check your AWS Secret Access Key and signing method. Consult the service documentation for details.");
}

enum wm_sigv4_result wm_sigv4_verify(struct wm_sigv4_cache *c, const struct wm_sigv4_request *r,
                                     const struct wm_sigv4_claim *claim, struct wm_view secret, struct wm_view region,
                                     struct wm_view service, struct wm_wall_ns now, char message[256])
{
    struct sigv4_names names;
    struct wm_view payload_hash;
    enum wm_sigv4_result result = check_time(claim, now, message);
    if (result == WM_SIGV4_OK)
        result = check_scope(claim, secret, region, service, message);
    if (result != WM_SIGV4_OK)
        return result;
    if (!names_split(claim->signed_headers, &names))
        return SAY(WM_SIGV4_INCOMPLETE, "SignedHeaders has more than %d names", WM_SIGV4_MAX_HEADERS);
    result = check_signed(r, &names, message);
    if (result == WM_SIGV4_OK)
        result = check_payload(r, claim, &names, &payload_hash, message);
    if (result != WM_SIGV4_OK)
        return result;
    result = check_signature_length(claim, message);
    if (result != WM_SIGV4_OK)
        return result;

    struct sigv4_use use = {
        .scope_date = claim->scope_date, .region = claim->region, .service = claim->service, .secret = secret};
    use_begin(c, &use, claim->access_key_id);
    result = verify_spellings(c, r, claim, &names, payload_hash, &use, message);
    if (result == WM_SIGV4_OK)
        use_keep(c, &use);
    use_end(&use);
    return result;
}

/* ---- signing ---- */

static int name_cmp(const void *a, const void *b)
{
    const struct wm_view *x = a, *y = b;
    return wm_view_cmp(*x, *y);
}

enum wm_status wm_sigv4_sign(struct wm_sigv4_cache *c, const struct wm_sigv4_request *r,
                             const struct wm_sigv4_credentials *credentials, struct wm_wall_ns now,
                             struct wm_sigv4_signature *out)
{
    struct wm_sigv4_header headers[WM_SIGV4_MAX_HEADERS + 2];
    struct sigv4_names names = {0};
    struct wm_sigv4_signature made;
    char lowered[2048], list[2048];
    size_t n_headers = 0, lowered_len = 0, list_len = 0;
    struct wm_view date = find_header(r, WM_LIT("x-amz-date"));

    if (r->n_headers > WM_SIGV4_MAX_HEADERS)
        return WM_E_LIMIT;
    if (date.ptr) {
        struct wm_wall_ns parsed;
        if (date.len != sizeof made.date - 1 || wm_time_parse(date, &parsed) != WM_OK)
            return WM_E_INVALID;
        (void)wm_view_copy(date, made.date, sizeof made.date); /* its length was checked */
    } else {
        wm_time_basic(now, made.date);
    }
    for (size_t i = 0; i < r->n_headers; i++)
        if (!name_is(r->headers[i].name, WM_LIT("authorization")))
            headers[n_headers++] = r->headers[i];
    if (!date.ptr)
        headers[n_headers++] = (struct wm_sigv4_header){WM_LIT("x-amz-date"), wm_view_of(made.date)};
    if (credentials->session_token.len && !find_header(r, WM_LIT("x-amz-security-token")).ptr)
        headers[n_headers++] = (struct wm_sigv4_header){WM_LIT("x-amz-security-token"), credentials->session_token};

    for (size_t i = 0; i < n_headers; i++) {
        struct wm_view name = headers[i].name;
        if (names_have(&names, name))
            continue;
        if (name.len > sizeof lowered - lowered_len)
            return WM_E_LIMIT;
        struct wm_view low = {lowered + lowered_len, name.len};
        for (size_t j = 0; j < name.len; j++)
            lowered[lowered_len++] = lower(name.ptr[j]);
        names.at[names.n++] = low;
    }
    qsort(names.at, names.n, sizeof *names.at, name_cmp);
    for (size_t i = 0; i < names.n; i++) {
        if (names.at[i].len + 1 > sizeof list - list_len)
            return WM_E_LIMIT;
        if (i)
            list[list_len++] = ';';
        list_len = (size_t)(put_view(list + list_len, names.at[i]) - list);
    }

    struct wm_sigv4_request full = *r;
    full.headers = headers;
    full.n_headers = n_headers;
    struct sigv4_canonical canonical;
    struct wm_view signed_headers = {list, list_len}, scope_date = {made.date, SIGV4_DATE_BYTES};
    if (!use_fits(scope_date, credentials->region, credentials->service, credentials->secret) ||
        !canonical_build(&c->work, &full, &names, signed_headers, false, r->payload_hash, SPELLING_DOCUMENTED,
                         &canonical))
        return WM_E_LIMIT;
    struct sigv4_use use = {.scope_date = scope_date,
                            .region = credentials->region,
                            .service = credentials->service,
                            .secret = credentials->secret};
    char signature[WM_SHA256_HEX_BYTES];
    use_begin(c, &use, credentials->access_key_id);
    use_sign(&use, made.date, canonical.text, signature);
    use_keep(c, &use);
    use_end(&use);
    int len = snprintf(made.authorization, sizeof made.authorization,
                       SIGV4_ALGORITHM " Credential=%.*s/%.*s/%.*s/%.*s/" SIGV4_TERMINATOR
                                       ", SignedHeaders=%.*s, Signature=%.*s",
                       WM_ARG(credentials->access_key_id), WM_ARG(scope_date), WM_ARG(credentials->region),
                       WM_ARG(credentials->service), WM_ARG(signed_headers), (int)sizeof signature, signature);
    if (len < 0 || (size_t)len >= sizeof made.authorization)
        return WM_E_LIMIT;
    *out = made;
    return WM_OK;
}
