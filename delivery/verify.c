/*
 * The walk over a bucket or folder.
 *
 * The listing is taken once, before anything is read: it is in the order of keys, and "CloudTrail-Digest/" sorts before
 * "CloudTrail/", so on a living trail every file that a listed digest names is in the listing too.
 *
 * Then each chain is walked from its oldest digest to its newest. A digest is first judged by itself (verify_digest):
 *
 *   GOOD     in its place, signed by a known key
 *   BAD      in its place, but the signature does not hold: its list of files is still followed, so that they are not
 *            reported one by one, but what it says about the digest before it proves nothing
 *   MOVED    a document that belongs elsewhere: it takes no part in the chain
 *   UNKNOWN  unreadable: it takes part in the chain by its key alone
 *
 * and has at most one finding of its own, the first that applies. Then comes its link to the one before (verify_link),
 * then its files (verify_files). What no digest names is judged at the end (verify_rest).
 *
 * Sources: AWS CloudTrail User Guide, "Custom implementations of CloudTrail log file integrity validation";
 * cloudtrail.md 3 and 4.2, with the list of what the AWS CLI does not check.
 */
#include "waymark/verify.h"

#include <stdio.h>
#include <stdlib.h>

#include "waymark/arena.h"
#include "waymark/bounds.h"
#include "waymark/clock.h"
#include "waymark/codec.h"
#include "waymark/digest.h"
#include "waymark/hash.h"
#include "waymark/sync.h"

#include "waymark/banned.h"

/* A listing is held in memory: 250 bytes an object, so this is 16 million objects. */
#define VERIFY_MAX_LISTING_BYTES ((size_t)4 * 1024 * 1024 * 1024)
/* The tree of one digest of WM_MAX_DIGEST_BYTES, some ten times its text. */
#define VERIFY_MAX_DOCUMENT_BYTES ((size_t)1024 * 1024 * 1024)
/* A chain's first digest tells nothing of its pace (ours covers a second, so that there is a chain from the start): the
 * second one is waited for as long as the longest period of a trail. */
#define VERIFY_STARTING_PERIOD_S 86400
/* Digests whose keys are inferred from the period are named up to here: more says nothing more. */
#define VERIFY_MAX_INFERRED 1000
#define VERIFY_MAX_MESSAGE_BYTES (8 * 1024)
/* A request that may succeed later: 5 tries over some 6 seconds. */
#define VERIFY_TRIES 5
#define VERIFY_RETRY_MS 400
/* A key's time is rounded down to 5 minutes (cloudtrail.md 1.1). Our own clock may be off by as much. */
#define VERIFY_SLOT_S 300

#define NONE SIZE_MAX

enum verify_kind {
    VERIFY_FOREIGN,     /* other things below AWSLogs/: Insights, flow logs, what the bucket's owner put there */
    VERIFY_FILE,        /* below CloudTrail/ */
    VERIFY_DIGEST,
    VERIFY_ODD_DIGEST,  /* below CloudTrail-Digest/, without a digest's name */
};

struct verify_object {
    struct wm_view key;
    struct wm_view account; /* the key up to the account, "[P/]AWSLogs/[o-id/]123456789012/" */
    struct wm_view region;
    enum verify_kind kind;
    size_t digest;          /* VERIFY_DIGEST: index into digests */
    size_t listed_by;       /* VERIFY_FILE: the digest that lists it, or NONE */
    bool has_hash;          /* VERIFY_FILE: its content was read */
    uint8_t hash[WM_SHA256_BYTES];
};

enum verify_state { VERIFY_UNREAD, VERIFY_GOOD, VERIFY_BAD, VERIFY_MOVED, VERIFY_UNKNOWN };

struct verify_digest {
    struct wm_view key, account, region;
    struct wm_view name;      /* of the file, up to the time */
    struct wm_view stamp;     /* 20260301T110000Z */
    bool backfill;
    size_t object;
    enum verify_state state;
    bool starting;            /* says that none is before it */
    int64_t start_s, end_s;   /* of the document when there is one, otherwise both are the key's time */
    uint8_t hash[WM_SHA256_BYTES];           /* of the content */
    uint8_t signature_hash[WM_SHA256_BYTES]; /* of the signature's text in lower case */
};

/* What a chain says about the files of its account and region. */
struct verify_chain {
    struct wm_view account, region;
    int64_t end_s, period_s; /* of the newest digest */
};

struct verify {
    const struct wm_verify_options *o;
    struct wm_verify_result *result;
    struct wm_err *err;
    struct wm_view bucket; /* a folder's is what its first good digest says */
    struct wm_arena names; /* keys and texts that live as long as the run */
    struct wm_arena document; /* the digest at hand */
    struct wm_buf root;    /* "[prefix/]AWSLogs/" */
    struct wm_buf body, content, message;
    struct verify_object *objects; /* in the order of keys */
    size_t n_objects, cap_objects;
    struct verify_digest *digests; /* chain by chain, oldest first */
    size_t n_digests, cap_digests;
    struct verify_chain *chains;
    size_t n_chains, cap_chains;
};

/* ---- what is said ---- */

static void verify_say(struct verify *v, void (*say)(void *, struct wm_view, const char *), struct wm_view key,
                       const char *fmt, va_list args) WM_PRINTF(4, 0);

static void verify_say(struct verify *v, void (*say)(void *, struct wm_view, const char *), struct wm_view key,
                       const char *fmt, va_list args)
{
    char text[VERIFY_MAX_MESSAGE_BYTES];
    (void)vsnprintf(text, sizeof text, fmt, args); /* a cut message still names the object */
    if (say)
        say(v->o->arg, key, text);
}

static void verify_finding(struct verify *v, struct wm_view key, const char *fmt, ...) WM_PRINTF(3, 4);

static void verify_finding(struct verify *v, struct wm_view key, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    v->result->findings++;
    verify_say(v, v->o->finding, key, fmt, args);
    va_end(args);
}

static void verify_note(struct verify *v, struct wm_view key, const char *fmt, ...) WM_PRINTF(3, 4);

static void verify_note(struct verify *v, struct wm_view key, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    verify_say(v, v->o->note, key, fmt, args);
    va_end(args);
}

struct verify_time {
    char text[WM_TIME_ISO_BYTES];
};

static struct verify_time verify_iso(int64_t s)
{
    struct verify_time t;
    wm_time_iso(wm_wall_from_seconds(s), t.text);
    return t;
}

/* ---- names ---- */

/* The file's name, which stands behind YEAR/MONTH/DAY/; empty when rest is anything else. */
static struct wm_view verify_dated_file(struct wm_view rest)
{
    for (int level = 0; level < 3; level++)
        if (wm_view_split(&rest, '/').len == 0)
            return WM_EMPTY;
    return wm_view_find(rest, '/') == rest.len ? rest : WM_EMPTY;
}

/* NAME_YYYYMMDDTHHMMSSZ[_backfill].json.gz */
static bool verify_read_digest_name(struct wm_view file, struct verify_digest *d)
{
    const struct wm_codec *codec = wm_codec_by_key(file);
    struct wm_wall_ns end;
    if (!codec)
        return false;
    file = wm_view_sub(file, 0, file.len - strlen(codec->suffix));
    d->backfill = wm_view_ends(file, "_backfill");
    if (d->backfill)
        file = wm_view_sub(file, 0, file.len - strlen("_backfill"));
    size_t at = wm_view_rfind(file, '_');
    d->stamp = wm_view_sub(file, at + 1, file.len);
    d->name = wm_view_sub(file, 0, at);
    if (d->name.len == 0 || d->stamp.len != WM_TIME_BASIC_BYTES - 1 || wm_time_parse(d->stamp, &end) != WM_OK)
        return false;
    d->start_s = d->end_s = wm_wall_seconds(end);
    return true;
}

/* …_YYYYMMDDTHHmmZ_UNIQUE.json.gz; the beginning of its 5 minutes. */
static bool verify_read_file_time(struct wm_view file, int64_t *out_s)
{
    const struct wm_codec *codec = wm_codec_by_key(file);
    char basic[WM_TIME_BASIC_BYTES];
    struct wm_wall_ns t;
    if (!codec)
        return false;
    file = wm_view_sub(file, 0, file.len - strlen(codec->suffix));
    size_t unique = wm_view_rfind(file, '_');
    if (unique + 1 >= file.len)
        return false;
    file = wm_view_sub(file, 0, unique);
    size_t at = wm_view_rfind(file, '_');
    struct wm_view stamp = wm_view_sub(file, at + 1, file.len);
    if (stamp.len != sizeof "20260301T1010Z" - 1)
        return false;
    memcpy(basic, stamp.ptr, 13);
    memcpy(basic + 13, "00", 2);
    basic[15] = stamp.ptr[13];
    basic[16] = '\0';
    if (wm_time_parse(wm_view_of(basic), &t) != WM_OK)
        return false;
    *out_s = wm_wall_seconds(t);
    return true;
}

/* What a key below the root is: fills in the object, and for a digest *d. */
static void verify_classify(const struct verify *v, struct verify_object *o, struct verify_digest *d)
{
    struct wm_view rest = wm_view_sub(o->key, v->root.len, o->key.len);
    if (wm_view_starts(rest, "o-")) /* an organization trail's id */
        (void)wm_view_split(&rest, '/');
    (void)wm_view_split(&rest, '/');
    if (!rest.ptr)
        return;
    o->account = wm_view_sub(o->key, 0, (size_t)(rest.ptr - o->key.ptr));
    struct wm_view folder = wm_view_split(&rest, '/');
    if (rest.len == 0 || wm_view_ends(rest, "/")) /* consoles make such empty objects for folders */
        return;
    if (wm_view_eq_str(folder, "CloudTrail"))
        o->kind = VERIFY_FILE;
    else if (wm_view_eq_str(folder, "CloudTrail-Digest"))
        o->kind = VERIFY_ODD_DIGEST;
    else
        return;
    o->region = wm_view_split(&rest, '/');
    if (o->kind == VERIFY_ODD_DIGEST && verify_read_digest_name(verify_dated_file(rest), d)) {
        o->kind = VERIFY_DIGEST;
        d->key = o->key;
        d->account = o->account;
        d->region = o->region;
    }
}

/* Make room for one more. The array is returned, or NULL. */
static void *verify_more(void *array, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return array;
    size_t more = *cap ? *cap * 2 : 256;
    void *grown = reallocarray(array, more, size);
    if (grown)
        *cap = more;
    return grown;
}

static enum wm_status verify_add_object(void *arg, const struct wm_store_object *listed)
{
    struct verify *v = arg;
    struct verify_object o = {.key = wm_arena_copy(&v->names, listed->key), .digest = NONE, .listed_by = NONE};
    struct verify_digest d = {0};
    if (!o.key.ptr)
        return wm_fail(v->err, WM_E_NOMEM, "no memory for a listing of %zu objects", v->n_objects);
    verify_classify(v, &o, &d);
    if (o.kind == VERIFY_DIGEST) {
        struct verify_digest *digests = verify_more(v->digests, v->n_digests, &v->cap_digests, sizeof *digests);
        if (!digests)
            return wm_fail(v->err, WM_E_NOMEM, "no memory for %zu digests", v->n_digests);
        d.object = v->n_objects;
        v->digests = digests;
        v->digests[v->n_digests++] = d;
    }
    struct verify_object *objects = verify_more(v->objects, v->n_objects, &v->cap_objects, sizeof *objects);
    if (!objects)
        return wm_fail(v->err, WM_E_NOMEM, "no memory for a listing of %zu objects", v->n_objects);
    v->objects = objects;
    v->objects[v->n_objects++] = o;
    return WM_OK;
}

static int verify_compare_keys(const void *key, const void *object)
{
    return wm_view_cmp(*(const struct wm_view *)key, ((const struct verify_object *)object)->key);
}

static struct verify_object *verify_find(const struct verify *v, struct wm_view key)
{
    if (v->n_objects == 0)
        return NULL;
    return bsearch(&key, v->objects, v->n_objects, sizeof *v->objects, verify_compare_keys);
}

static int verify_compare_chains(const struct verify_digest *a, const struct verify_digest *b)
{
    int order = wm_view_cmp(a->account, b->account);
    if (order == 0)
        order = wm_view_cmp(a->region, b->region);
    if (order == 0)
        order = wm_view_cmp(a->name, b->name);
    return order ? order : a->backfill - b->backfill;
}

static int verify_compare_digests(const void *left, const void *right)
{
    const struct verify_digest *a = left, *b = right;
    int order = verify_compare_chains(a, b);
    if (order == 0)
        order = wm_view_cmp(a->stamp, b->stamp);
    return order ? order : wm_view_cmp(a->key, b->key);
}

/* ---- reading ---- */

static enum wm_status verify_get(struct verify *v, struct wm_view key, struct wm_store_header *headers, size_t *n)
{
    struct wm_stop never;
    struct wm_err err = {0};
    enum wm_status status;
    wm_stop_init(&never); /* only its wait is wanted */
    for (int try = 0;; try++) {
        err = (struct wm_err){0};
        wm_buf_clear(&v->body);
        status = wm_store_get(v->o->store, key, &v->body, headers ? &v->document : NULL, headers, n, &err);
        if (status != WM_E_UNAVAILABLE || !err.retryable || try + 1 == VERIFY_TRIES)
            break;
        (void)wm_stop_wait_ms(&never, (int64_t)VERIFY_RETRY_MS << try); /* nobody requests a stop */
    }
    wm_stop_done(&never);
    if (status != WM_OK && v->err)
        *v->err = err;
    return status;
}

/*
 * Get an object and its content; says what is wrong with it when it cannot be had.
 * @param why_missing  the finding when there is no such object
 * @return WM_OK: look at *out_read; otherwise it could not be checked
 */
static enum wm_status verify_read(struct verify *v, struct wm_view key, const char *why_missing,
                                  struct wm_store_header *headers, size_t *n_headers, bool *out_read)
{
    const struct wm_codec *codec = wm_codec_by_key(key);
    *out_read = false;
    if (!codec) {
        verify_finding(v, key, "its name ends neither in .json.gz nor in .json.zst");
        return WM_OK;
    }
    enum wm_status status = verify_get(v, key, headers, n_headers);
    switch (status) {
    case WM_OK:
        break;
    case WM_E_NOT_FOUND:
        verify_finding(v, key, "%s", why_missing);
        return WM_OK;
    case WM_E_CORRUPT:
        verify_finding(v, key, "its metadata is damaged");
        return WM_OK;
    case WM_E_LIMIT:
        verify_finding(v, key, "is larger than a trail file or digest can be");
        return WM_OK;
    default:
        return status;
    }
    wm_buf_clear(&v->content);
    status = codec->decompress(wm_buf_view(&v->body), &v->content, v->err);
    if (status == WM_E_NOMEM)
        return status;
    *out_read = status == WM_OK;
    if (status == WM_E_LIMIT)
        verify_finding(v, key, "is larger than a trail file or digest can be");
    else if (status != WM_OK)
        verify_finding(v, key, "is not exactly one %s", codec == &wm_codec_gzip ? "gzip member" : "zstd frame");
    return WM_OK;
}

/* Elements of the array "Records" of a file whose hash was found good: those at depth 2, and no other check. */
static uint64_t verify_count_records(struct wm_view text)
{
    uint64_t commas = 0;
    int depth = 0;
    bool any = false;
    const char *p = text.ptr, *end = text.ptr + text.len;
    for (; p < end; p++) {
        switch (*p) {
        case '"':
            any |= depth == 2;
            do {
                const char *quote = memchr(p + 1, '"', (size_t)(end - p - 1));
                if (!quote)
                    return 0;
                size_t backslashes = 0;
                while (quote[-1 - (ptrdiff_t)backslashes] == '\\')
                    backslashes++;
                p = quote;
                if (backslashes % 2 == 0)
                    break;
            } while (p < end);
            break;
        case '{':
        case '[':
            any |= depth == 2;
            depth++;
            break;
        case '}':
        case ']':
            depth--;
            break;
        case ',':
            commas += depth == 2;
            break;
        default:
            break;
        }
    }
    return any ? commas + 1 : 0;
}

/* ---- one digest by itself ---- */

static enum verify_state verify_judge(struct verify *v, const struct verify_digest *d, const struct wm_digest *doc,
                                      struct wm_view signature, struct wm_view algorithm, enum wm_status *out_status)
{
    *out_status = WM_OK;
    if (!wm_view_eq(doc->key, d->key) || (v->bucket.len && !wm_view_eq(doc->bucket, v->bucket))) {
        verify_finding(v, d->key, "was moved: it says that it is %.*s/%.*s", WM_ARG(doc->bucket), WM_ARG(doc->key));
        return VERIFY_MOVED;
    }
    if (!signature.len || !algorithm.len) {
        verify_finding(v, d->key, "has no signature in its metadata");
        return VERIFY_BAD;
    }
    if (!wm_view_eq_str(algorithm, WM_DIGEST_ALGORITHM)) {
        verify_finding(v, d->key, "its signature algorithm is not " WM_DIGEST_ALGORITHM);
        return VERIFY_BAD;
    }
    wm_buf_clear(&v->message);
    wm_digest_string_to_sign(doc, wm_buf_view(&v->content), &v->message);
    *out_status = wm_buf_status(&v->message);
    if (*out_status == WM_OK)
        *out_status = wm_keyring_verify(v->o->keys, doc->fingerprint, wm_buf_view(&v->message), signature, v->err);
    switch (*out_status) {
    case WM_OK:
        return VERIFY_GOOD;
    case WM_E_NOT_FOUND:
        verify_finding(v, d->key, "is signed with key %.*s, which is not among the public keys", WM_ARG(doc->fingerprint));
        break;
    case WM_E_INVALID:
    case WM_E_DENIED:
        verify_finding(v, d->key, "its signature does not hold");
        break;
    default:
        return VERIFY_UNKNOWN;
    }
    *out_status = WM_OK;
    return VERIFY_BAD;
}

static enum wm_status verify_digest(struct verify *v, struct verify_digest *d, struct wm_digest *doc)
{
    struct wm_store_header headers[WM_STORE_MAX_HEADERS];
    size_t n_headers = 0;
    bool read;
    struct wm_err invalid = {0};
    struct wm_wall_ns start, end;

    wm_arena_clear(&v->document);
    v->result->digests++;
    d->state = VERIFY_UNKNOWN;
    enum wm_status status = verify_read(v, d->key, "missing: it was listed a moment ago", headers, &n_headers, &read);
    if (status != WM_OK || !read)
        return status;
    wm_sha256(v->content.data, v->content.len, d->hash);

    status = wm_digest_read(&v->document, wm_buf_view(&v->content), doc, &invalid);
    if (status == WM_E_INVALID || (status == WM_OK && (wm_time_parse(doc->start, &start) != WM_OK ||
                                                       wm_time_parse(doc->end, &end) != WM_OK))) {
        verify_finding(v, d->key, "is not a digest document");
        return WM_OK;
    }
    if (status != WM_OK) {
        if (v->err)
            *v->err = invalid;
        return status;
    }
    struct wm_view signature = wm_store_header(headers, n_headers, "x-amz-meta-signature");
    struct wm_view algorithm = wm_store_header(headers, n_headers, "x-amz-meta-signature-algorithm");
    d->state = verify_judge(v, d, doc, signature, algorithm, &status);
    if (status != WM_OK || d->state == VERIFY_MOVED)
        return status;
    d->start_s = wm_wall_seconds(start);
    d->starting = !doc->has_previous;
    d->end_s = wm_wall_seconds(end);
    /* Hex in either case is the same signature; the copy in the next digest is compared by this. */
    wm_buf_clear(&v->message);
    for (size_t i = 0; i < signature.len; i++) {
        char c = signature.ptr[i];
        wm_buf_add_char(&v->message, c >= 'A' && c <= 'F' ? (char)(c + 32) : c);
    }
    wm_sha256(v->message.data, v->message.len, d->signature_hash);
    if (d->state == VERIFY_GOOD) {
        v->result->digests_valid++;
        if (!v->bucket.len) {
            v->bucket = wm_arena_copy(&v->names, doc->bucket);
            if (!v->bucket.ptr)
                return wm_fail(v->err, WM_E_NOMEM, "no memory for the bucket's name");
        }
    }
    return wm_buf_status(&v->message);
}

/* ---- its link to the one before ---- */

/* The key of the digest of d's chain that ends at another time: only date and time in it differ. */
static void verify_key_at(const struct verify *v, struct wm_view key, int64_t end_s, struct wm_buf *out)
{
    char basic[WM_TIME_BASIC_BYTES];
    struct verify_object o = {.key = key};
    struct verify_digest d = {0};
    verify_classify(v, &o, &d);
    wm_time_basic(wm_wall_from_seconds(end_s), basic);
    wm_buf_clear(out);
    if (o.kind != VERIFY_DIGEST) /* a name that tells no time: the digest's own name then stands for it */
        return;
    size_t stamp = (size_t)(d.stamp.ptr - key.ptr);
    wm_buf_addf(out, "%.*sCloudTrail-Digest/%.*s/", WM_ARG(d.account), WM_ARG(d.region));
    wm_buf_addf(out, "%.4s/%.2s/%.2s/", basic, basic + 4, basic + 6);
    wm_buf_add_view(out, d.name);
    wm_buf_addf(out, "_%s", basic);
    wm_buf_add(out, key.ptr + stamp + d.stamp.len, key.len - stamp - d.stamp.len);
}

/*
 * The digest before d is gone. When digests come at a steady pace, the gap tells how many went with it, and when they
 * ended; the AWS CLI counts two neighbours as one (aws-cli issue 7054).
 * @param before  the newest digest that is left on the other side of the gap, or NULL
 */
static void verify_missing(struct verify *v, const struct verify_digest *d, const struct wm_digest *doc,
                           const struct verify_digest *before)
{
    int64_t period_s = d->end_s - d->start_s;
    int64_t gap_s = before ? d->start_s - before->end_s : 0;
    bool steady = before && period_s > 0 && before->end_s - before->start_s == period_s && gap_s % period_s == 0 &&
                  gap_s / period_s <= VERIFY_MAX_INFERRED;
    if (!before || period_s <= 0 || gap_s <= period_s) {
        verify_finding(v, doc->previous_key, "missing: digest %.*s names it as the one before", WM_ARG(d->key));
        return;
    }
    struct verify_time from = verify_iso(before->end_s), to = verify_iso(d->start_s);
    if (!steady) {
        verify_finding(v, doc->previous_key,
                       "missing: digest %.*s names it as the one before; nothing is left of the time from %s to %s, so "
                       "others may be missing too", WM_ARG(d->key), from.text, to.text);
        return;
    }
    for (int64_t end_s = before->end_s + period_s; end_s < d->start_s; end_s += period_s) {
        verify_key_at(v, doc->previous_key, end_s, &v->message);
        struct wm_view key = v->message.len ? wm_buf_view(&v->message) : doc->previous_key;
        verify_finding(v, key, "missing: digests come every %lld s here, and none is left of the time from %s to %s",
                       (long long)period_s, from.text, to.text);
    }
    verify_finding(v, doc->previous_key, "missing: digest %.*s names it as the one before", WM_ARG(d->key));
}

static bool verify_hash_is(const uint8_t hash[WM_SHA256_BYTES], struct wm_view hex)
{
    char mine[WM_SHA256_HEX_BYTES];
    wm_hex(hash, WM_SHA256_BYTES, mine);
    return wm_view_eq((struct wm_view){mine, sizeof mine}, hex);
}

/* Both digests hold by themselves; is the older one the one that the newer one means? */
static void verify_pair(struct verify *v, const struct verify_digest *d, const struct wm_digest *doc,
                        const struct verify_digest *previous)
{
    uint8_t named[WM_SHA256_BYTES];
    wm_sha256(doc->previous_signature_hex.ptr, doc->previous_signature_hex.len, named);
    if (!verify_hash_is(previous->hash, doc->previous_hash_hex))
        verify_finding(v, previous->key, "content does not match the hash in the next digest %.*s", WM_ARG(d->key));
    else if (memcmp(named, previous->signature_hash, sizeof named) != 0)
        verify_finding(v, previous->key, "its signature is not the one in the next digest %.*s", WM_ARG(d->key));
    if (previous->end_s != d->start_s) {
        struct verify_time start = verify_iso(d->start_s), end = verify_iso(previous->end_s);
        verify_finding(v, d->key, "begins at %s, but the digest before it ends at %s", start.text, end.text);
    }
}

/* @param before  the digest that comes before d by its key, among those in their place; NULL: d is the oldest */
static void verify_link(struct verify *v, const struct verify_digest *d, const struct wm_digest *doc,
                        const struct verify_digest *before)
{
    if (!doc->has_previous) {
        /* What AWS writes after StopLogging and StartLogging. Only the key's holder can sign it; whether digests before
           it were taken away, their files tell: no digest lists those. */
        if (before && d->state == VERIFY_GOOD) {
            struct verify_time start = verify_iso(d->start_s), end = verify_iso(before->end_s);
            verify_note(v, d->key, "begins a new chain at %s; the digest before it ends at %s", start.text, end.text);
        }
        return;
    }
    struct wm_view root = wm_buf_view(&v->root);
    if (!wm_view_eq(doc->previous_bucket, doc->bucket) || !wm_view_eq(wm_view_sub(doc->previous_key, 0, root.len), root)) {
        if (d->state == VERIFY_GOOD)
            verify_note(v, d->key, "the digest before it is %.*s/%.*s, outside of what is verified here",
                        WM_ARG(doc->previous_bucket), WM_ARG(doc->previous_key));
        return;
    }
    const struct verify_object *o = verify_find(v, doc->previous_key);
    if (!o) {
        verify_missing(v, d, doc, before);
        return;
    }
    if (d->state != VERIFY_GOOD)
        return;
    const struct verify_digest *previous = o->kind == VERIFY_DIGEST ? &v->digests[o->digest] : NULL;
    if (!previous || previous >= d || verify_compare_chains(previous, d) != 0) {
        verify_finding(v, d->key, "names %.*s as the digest before it, which is not an older one of this chain",
                       WM_ARG(doc->previous_key));
        return;
    }
    if (previous->state != VERIFY_GOOD)
        return; /* has its finding */
    if (before && before != previous && before->state == VERIFY_GOOD)
        verify_finding(v, before->key, "is not in the chain: digest %.*s names %.*s as the one before it", WM_ARG(d->key),
                       WM_ARG(doc->previous_key));
    verify_pair(v, d, doc, previous);
}

/* ---- its files ---- */

static enum wm_status verify_file(struct verify *v, const struct verify_digest *d, size_t index,
                                  const struct wm_digest_file *f)
{
    char missing[VERIFY_MAX_MESSAGE_BYTES];
    bool read;
    v->result->files++;
    struct verify_object *o = verify_find(v, f->key);
    if (v->bucket.len && !wm_view_eq(f->bucket, v->bucket)) {
        /* After a trail was moved to another bucket, its next digest lists what still went into the old one. */
        if (d->state == VERIFY_GOOD)
            verify_note(v, f->key, "is in bucket %.*s, says digest %.*s: not checked here", WM_ARG(f->bucket),
                        WM_ARG(d->key));
        else
            verify_finding(v, f->key, "is in bucket %.*s, says digest %.*s", WM_ARG(f->bucket), WM_ARG(d->key));
        return WM_OK; /* and what this bucket has under that key is listed by nobody */
    }
    if (!o && d->state == VERIFY_GOOD && !wm_view_starts(f->key, wm_buf_cstr(&v->root))) {
        verify_note(v, f->key, "is outside of what is verified here, says digest %.*s: not checked", WM_ARG(d->key));
        return WM_OK;
    }
    size_t listed_by = o ? o->listed_by : NONE;
    if (o && listed_by == NONE)
        o->listed_by = index;
    (void)snprintf(missing, sizeof missing, "missing: digest %.*s lists it", WM_ARG(d->key)); /* keys are short */
    if (!o) {
        verify_finding(v, f->key, "%s", missing);
        return WM_OK;
    }
    if (listed_by != NONE) {
        verify_finding(v, f->key, "is listed twice, by digest %.*s and by digest %.*s", WM_ARG(v->digests[listed_by].key),
                       WM_ARG(d->key));
        return WM_OK;
    }
    enum wm_status status = verify_read(v, f->key, missing, NULL, NULL, &read);
    if (status != WM_OK || !read)
        return status;
    wm_sha256(v->content.data, v->content.len, o->hash);
    o->has_hash = true;
    if (!verify_hash_is(o->hash, f->hash_hex)) {
        verify_finding(v, f->key, "content does not match the hash in digest %.*s", WM_ARG(d->key));
        return WM_OK;
    }
    v->result->files_valid++;
    v->result->records += verify_count_records(wm_buf_view(&v->content));
    return WM_OK;
}

/* ---- chains ---- */

/* Walk the chain that begins at digests[first]; *out_next is the first one of the next chain. */
static enum wm_status verify_walk(struct verify *v, size_t first, size_t *out_next)
{
    const struct verify_digest *before = NULL;
    size_t i = first;
    for (; i < v->n_digests && verify_compare_chains(&v->digests[first], &v->digests[i]) == 0; i++) {
        struct verify_digest *d = &v->digests[i];
        struct wm_digest doc;
        enum wm_status status = verify_digest(v, d, &doc);
        if (status != WM_OK)
            return status;
        if (d->state == VERIFY_GOOD || d->state == VERIFY_BAD) {
            verify_link(v, d, &doc, before);
            for (size_t file = 0; file < doc.n_files; file++) {
                status = verify_file(v, d, i, &doc.files[file]);
                if (status != WM_OK)
                    return status;
            }
        }
        if (d->state != VERIFY_MOVED)
            before = d;
    }
    *out_next = i;
    v->result->chains++;
    /* A backfill chain has no pace, and seals nothing but what it lists. */
    if (!before || before->backfill)
        return WM_OK;
    struct verify_chain *chains = verify_more(v->chains, v->n_chains, &v->cap_chains, sizeof *chains);
    if (!chains)
        return wm_fail(v->err, WM_E_NOMEM, "no memory for %zu chains", v->n_chains);
    v->chains = chains;
    int64_t period_s = before->starting ? VERIFY_STARTING_PERIOD_S : before->end_s - before->start_s;
    v->chains[v->n_chains++] = (struct verify_chain){.account = before->account,
                                                     .region = before->region,
                                                     .end_s = before->end_s,
                                                     .period_s = period_s > 0 ? period_s : 0};
    return WM_OK;
}

/* ---- what no digest names ---- */

/*
 * Up to when every file of this account and region must be in a digest. A key does not say which trail wrote the file,
 * and trails seal at their own pace: the slowest counts, but one that has been silent for more than two of its periods
 * was stopped and holds nothing open.
 * @param out_open_s  up to when files may wait for a digest, whatever the time is: a trail whose clock was ahead for a
 *                    while goes on from there
 * @return false when there is no digest at all
 */
static bool verify_sealed(const struct verify *v, const struct verify_object *o, int64_t *out_s, int64_t *out_open_s)
{
    int64_t newest_s = INT64_MIN, sealed_s = INT64_MAX, open_s = INT64_MIN;
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < v->n_chains; i++) {
            const struct verify_chain *c = &v->chains[i];
            if (!wm_view_eq(c->account, o->account) || !wm_view_eq(c->region, o->region))
                continue;
            if (pass == 0 && c->end_s > newest_s)
                newest_s = c->end_s;
            if (c->end_s + 2 * c->period_s > open_s)
                open_s = c->end_s + 2 * c->period_s;
            if (pass == 1 && c->end_s + 2 * c->period_s >= newest_s && c->end_s < sealed_s)
                sealed_s = c->end_s;
        }
    }
    *out_s = sealed_s;
    *out_open_s = open_s;
    return newest_s != INT64_MIN;
}

static int verify_compare_hashes(const void *left, const void *right)
{
    const struct verify_object *a = *(const struct verify_object *const *)left;
    const struct verify_object *b = *(const struct verify_object *const *)right;
    int order = memcmp(a->hash, b->hash, sizeof a->hash);
    return order ? order : wm_view_cmp(a->key, b->key);
}

/* The files whose content is known, by its hash. */
struct verify_contents {
    const struct verify_object **at;
    size_t n;
};

static enum wm_status verify_contents_make(struct verify *v, struct verify_contents *out)
{
    out->at = reallocarray(NULL, v->n_objects, sizeof *out->at);
    if (!out->at)
        return wm_fail(v->err, WM_E_NOMEM, "no memory for %zu hashes", v->n_objects);
    for (size_t i = 0; i < v->n_objects; i++)
        if (v->objects[i].has_hash)
            out->at[out->n++] = &v->objects[i];
    if (out->n)
        qsort(out->at, out->n, sizeof *out->at, verify_compare_hashes);
    return WM_OK;
}

/* The first of the files with this content; NULL when there is none. */
static const struct verify_object *verify_contents_find(const struct verify_contents *c, const uint8_t hash[WM_SHA256_BYTES])
{
    size_t low = 0, high = c->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (memcmp(c->at[middle]->hash, hash, WM_SHA256_BYTES) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < c->n && memcmp(c->at[low]->hash, hash, WM_SHA256_BYTES) == 0 ? c->at[low] : NULL;
}

/*
 * A file that the next digest may list. Nothing vouches for it yet; but a copy of a file that is listed already, which
 * would repeat its records, can be told.
 */
static enum wm_status verify_pending(struct verify *v, struct verify_contents *contents, struct verify_object *o)
{
    bool read;
    if (!contents->at) {
        enum wm_status status = verify_contents_make(v, contents);
        if (status != WM_OK)
            return status;
    }
    enum wm_status status = verify_read(v, o->key, "missing: it was listed a moment ago", NULL, NULL, &read);
    if (status != WM_OK || !read)
        return status;
    wm_sha256(v->content.data, v->content.len, o->hash);
    const struct verify_object *same = verify_contents_find(contents, o->hash);
    if (same)
        verify_finding(v, o->key, "repeats the content of %.*s", WM_ARG(same->key));
    else
        v->result->files_pending++;
    return WM_OK;
}

static enum wm_status verify_rest(struct verify *v)
{
    struct verify_contents contents = {0};
    enum wm_status status = WM_OK;
    int64_t now_s = wm_wall_seconds(wm_clock_wall(v->o->clock ? v->o->clock : &wm_clock_system));
    for (size_t i = 0; i < v->n_objects && status == WM_OK; i++) {
        struct verify_object *o = &v->objects[i];
        int64_t slot_s, sealed_s, open_s;
        if (o->kind == VERIFY_ODD_DIGEST)
            verify_finding(v, o->key, "is not the name of a digest");
        if (o->kind != VERIFY_FILE || o->listed_by != NONE)
            continue;
        size_t dated = (size_t)(o->region.ptr - o->key.ptr) + o->region.len + 1;
        if (!verify_read_file_time(verify_dated_file(wm_view_sub(o->key, dated, o->key.len)), &slot_s))
            verify_finding(v, o->key, "no digest lists it, and it is not the name of a trail file");
        else if (!verify_sealed(v, o, &sealed_s, &open_s))
            verify_finding(v, o->key, "no digest lists it, and its account and region have none");
        else if (slot_s + VERIFY_SLOT_S <= sealed_s)
            verify_finding(v, o->key, "no digest lists it, though its period is sealed");
        else if (slot_s > now_s + VERIFY_SLOT_S && slot_s > open_s) /* it would wait for its digest for ever */
            verify_finding(v, o->key, "no digest lists it, and its time is still to come");
        else
            status = verify_pending(v, &contents, o);
    }
    free(contents.at);
    return status;
}

enum wm_status wm_verify(const struct wm_verify_options *o, struct wm_verify_result *out, struct wm_err *err)
{
    *out = (struct wm_verify_result){0};
    struct verify v = {.o = o, .result = out, .err = err, .bucket = wm_store_bucket(o->store)};
    bool any = false;
    wm_arena_init(&v.names, VERIFY_MAX_LISTING_BYTES);
    wm_arena_init(&v.document, VERIFY_MAX_DOCUMENT_BYTES);
    wm_buf_init(&v.root, WM_MAX_OBJECT_KEY_BYTES);
    wm_buf_init(&v.body, WM_MAX_OBJECT_BYTES);
    wm_buf_init(&v.content, WM_MAX_OBJECT_BYTES);
    wm_buf_init(&v.message, WM_MAX_DIGEST_BYTES);

    wm_buf_add_view(&v.root, o->prefix);
    wm_buf_add_str(&v.root, o->prefix.len ? "/AWSLogs/" : "AWSLogs/");
    enum wm_status status = wm_buf_status(&v.root);
    if (status != WM_OK) {
        status = wm_fail(err, status, "the prefix is longer than a key can be");
        goto out;
    }
    status = wm_store_list(o->store, wm_buf_view(&v.root), verify_add_object, &v, err);
    if (status != WM_OK)
        goto out;
    for (size_t i = 0; i < v.n_objects && !any; i++)
        any = v.objects[i].kind != VERIFY_FOREIGN;
    if (!any) {
        status = wm_fail(err, WM_E_NOT_FOUND, "there is nothing to verify below %s", wm_buf_cstr(&v.root));
        goto out;
    }
    if (v.n_digests)
        qsort(v.digests, v.n_digests, sizeof *v.digests, verify_compare_digests);
    for (size_t i = 0; i < v.n_digests; i++)
        v.objects[v.digests[i].object].digest = i;
    for (size_t i = 0; i < v.n_digests && status == WM_OK;)
        status = verify_walk(&v, i, &i);
    if (status == WM_OK)
        status = verify_rest(&v);
out:
    free(v.chains);
    free(v.digests);
    free(v.objects);
    wm_buf_done(&v.message);
    wm_buf_done(&v.content);
    wm_buf_done(&v.body);
    wm_buf_done(&v.root);
    wm_arena_done(&v.document);
    wm_arena_done(&v.names);
    return status;
}
