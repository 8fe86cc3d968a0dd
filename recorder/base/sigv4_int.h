/**
 * What the parts of SigV4 share: sigv4_canonical.c (the canonical form), sigv4_key.c (signing keys and their cache) and
 * sigv4.c (claims, verifying, signing).
 */
#ifndef WAYMARK_RECORDER_BASE_SIGV4_INT_H
#define WAYMARK_RECORDER_BASE_SIGV4_INT_H

#include "waymark/sigv4.h"

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

/* ---- characters ---- */

static inline bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static inline char lower(char c)
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

static inline char *put(char *o, const char *bytes, size_t len)
{
    if (len)
        memcpy(o, bytes, len);
    return o + len;
}

static inline char *put_view(char *o, struct wm_view v)
{
    return put(o, v.ptr, v.len);
}

/* ---- the canonical form (sigv4_canonical.c) ---- */

enum wm_sigv4_spelling {
    SPELLING_DOCUMENTED = 0,
    SPELLING_BARE_HOST = 1,
    SPELLING_AS_SENT = 2,
    SPELLING_COUNT = 4, /* the two combine */
};

/* Signed names, in the order in which the caller lists them. */
struct wm_sigv4_names {
    size_t n;
    bool host, content_sha256; /* are among them */
    struct wm_view at[WM_SIGV4_MAX_HEADERS + 2]; /* two more, which signing adds */
};

struct wm_sigv4_pair {
    struct wm_view name;
    struct wm_view value;
};

struct wm_sigv4_work {
    char canonical[SIGV4_MAX_CANONICAL_BYTES];
    char query[SIGV4_MAX_QUERY_BYTES]; /* names and values, encoded, before they are sorted */
    struct wm_sigv4_pair pairs[SIGV4_MAX_QUERY_PAIRS];
    uint16_t tags[SIGV4_MAX_REQUEST_HEADERS]; /* name_tag() of each header of the request */
};

struct wm_sigv4_canonical {
    struct wm_view text;    /* points into the work */
    unsigned differing;     /* the spellings that would give another text than the documented one */
    struct wm_view missing; /* a signed header that the request does not have, if ptr is set */
};

/** At most WM_SIGV4_MAX_HEADERS names. */
bool wm_sigv4_names_split(struct wm_view list, struct wm_sigv4_names *out) WM_MUST_CHECK;
bool wm_sigv4_names_have(const struct wm_sigv4_names *names, struct wm_view name);
/** IAM User Guide, "Create a signed AWS API request", step 1. False when the request is too large. */
bool wm_sigv4_canonical_build(struct wm_sigv4_work *w, const struct wm_sigv4_request *r,
                              const struct wm_sigv4_names *names, struct wm_view signed_headers, bool presigned,
                              struct wm_view payload_hash, unsigned spelling,
                              struct wm_sigv4_canonical *out) WM_MUST_CHECK;

/* ---- signing keys (sigv4_key.c) ---- */

struct wm_sigv4_kept_key;

/* One use of a signing key: whose it is, and the key itself. begin, sign, keep if it was right, end. */
struct wm_sigv4_use {
    struct wm_view scope_date, region, service, secret;
    bool cacheable;
    size_t text_len;
    char text[SIGV4_MAX_KEY_TEXT]; /* key id, date, region and service with '/' between */
    struct wm_sigv4_kept_key *set;
    const struct wm_hmac_key *kept; /* NULL: use derived */
    uint8_t derived[WM_SHA256_BYTES];
};

/** Have the scope's parts and the secret their place in a use? */
bool wm_sigv4_use_fits(struct wm_view scope_date, struct wm_view region, struct wm_view service,
                       struct wm_view secret) WM_MUST_CHECK;
/** Find the key in the cache, else derive it. */
void wm_sigv4_use_begin(struct wm_sigv4_cache *c, struct wm_sigv4_use *u, struct wm_view access_key_id);
/** IAM User Guide, steps 2, 3 and 5: hash, string to sign, signature in hex. */
void wm_sigv4_use_sign(const struct wm_sigv4_use *u, const char date_basic[WM_TIME_BASIC_BYTES],
                       struct wm_view canonical_request, char out[WM_SHA256_HEX_BYTES]);
/** Keep a derived key that has proven right: who does not know the secret cannot push keys out of the cache. */
void wm_sigv4_use_keep(struct wm_sigv4_cache *c, const struct wm_sigv4_use *u);
void wm_sigv4_use_end(struct wm_sigv4_use *u);
/** The memory in which requests are made canonical; the cache's own. */
struct wm_sigv4_work *wm_sigv4_cache_work(struct wm_sigv4_cache *c);

#endif
