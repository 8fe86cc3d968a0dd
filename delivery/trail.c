/*
 * One trail's follower. A turn of its thread does the first of these that there is to do:
 *
 *     a file is planned     put it; in the ledger: delivered
 *     a digest is planned   put it; in the ledger: sealed
 *     a period is over      plan a digest: files listed, signed, in the ledger
 *     records are there     take them into the batch; when that is full or old enough: plan a file, in the ledger
 *     nothing               sleep for TRAIL_POLL_MS; committers never wake us (limits.md 0: a wake-up costs more than
 *                           their commit)
 *
 * So there is one plan at a time, a digest is planned only when no file is under way, and whatever fails is met again
 * by the next turn. Digest i covers the files planned in (start, end], where start is the end of digest i-1:
 *
 *   - A file's time (planned_s) is never below an earlier file's and always above the end of the newest digest, also
 *     when the clock is set back. So the files of a digest are a prefix of the ledger's files, each in exactly one.
 *   - A digest ends a whole number of periods behind its start, and in the past. After a long stop that is one digest
 *     which spans it, not one per missed period: CloudTrail starts a chain anew when logging was stopped (cloudtrail.md
 *     3.6), but a daemon that was down has only delivered late, and one link with no gap says so.
 *   - When the wall clock falls behind the chain, periods are counted by the monotonic clock until it has caught up:
 *     files must not wait for their digest as long as a clock was wrong.
 */
#include "waymark/trail.h"

#include <stdlib.h>

#include "batch.h"
#include "ledger.h"
#include "waymark/arena.h"
#include "waymark/bounds.h"
#include "waymark/digest.h"
#include "waymark/hash.h"
#include "waymark/log.h"
#include "waymark/sync.h"
#include "waymark/trail_name.h"

#include "waymark/banned.h"

#define TRAIL_MAGIC 0x5472616cu
#define TRAIL_POLL_MS 100
#define TRAIL_RETRY_MIN_MS 200
#define TRAIL_RETRY_MAX_MS 60000
#define TRAIL_MIN_BATCH_BYTES (64u * 1024u)
#define TRAIL_MAX_BATCH_RECORDS 1000000u
#define TRAIL_MAX_DIGEST_PERIOD_S 86400
/* By so much the monotonic clock waits longer, so that it decides only when the wall clock does not. */
#define TRAIL_DIGEST_GRACE_S 2
/* Files of one digest: some 20 MB of document. A longer backlog makes several digests in a row. */
#define TRAIL_MAX_DIGEST_FILES 50000u
#define TRAIL_ARENA_BYTES ((size_t)256 * 1024 * 1024)
/* Compressed forms; what does not compress grows by less than this. */
#define TRAIL_MAX_PACKED_BYTES (WM_MAX_DIGEST_BYTES + 1024u * 1024u)
#define TRAIL_MAX_HEADERS 8

/* What fails and is tried again. Files and digests apart: a digest that nobody takes must not hold up the files. */
struct trail_trouble {
    bool waiting;
    unsigned failures; /* in a row */
    char reason[WM_ERR_CODE_BYTES];
    struct wm_mono_ns not_before;
};

struct wm_trail {
    uint32_t magic;

    /* constant after start */
    char *name, *account_id, *region, *prefix;
    char *follower; /* name in the journal's list of cursors */
    struct wm_trail_naming naming;
    struct wm_trail_options o;
    struct wm_batch_limits limits;
    pthread_t thread;

    struct wm_stop stop;
    struct {
        struct wm_mutex mu;
        struct wm_cond cond;
        bool finished;
    } locked;

    /* the thread's own once it runs */
    struct {
        struct wm_ledger *ledger;
        struct wm_journal_reader *reader; /* NULL after a failure: opened again behind read_seq */
        uint64_t read_seq;                /* the last entry taken into the batch, or skipped */
        struct wm_entry entry;            /* read and not taken yet: its views live until the reader's next call */
        bool has_entry;
        struct wm_batch batch;
        bool batch_closed;                /* its end is written */
        bool content_ready;               /* batch holds the content of the planned file */
        struct wm_buf packed;             /* its compressed form; empty until made */
        bool file_planned, digest_planned;
        int64_t digest_end_s;             /* of the planned digest */
        struct wm_mono_ns sealed_at;      /* last digest, or start */
        struct wm_board_trail board;
        struct trail_trouble files, digests;
        bool fatal;                       /* what failed will not get better */
    } own;
};

/* ---- status ---- */

static struct wm_wall_ns trail_now(const struct wm_trail *t)
{
    return wm_clock_wall(t->o.clock);
}

static struct wm_wall_ns wall_or_never(int64_t s)
{
    return (struct wm_wall_ns){s ? s * WM_NS_PER_S : 0};
}

static enum wm_status trail_post(struct wm_trail *t)
{
    const struct wm_ledger_head *h = wm_ledger_head(t->own.ledger);
    struct wm_board_trail *b = &t->own.board;
    b->started = wall_or_never(h->started_s);
    b->latest_delivery = wall_or_never(h->latest_delivery_s);
    b->latest_digest = wall_or_never(h->latest_digest_s);
    b->delivered_records = h->delivered_records;
    b->cursor_seq = h->cursor_seq;
    return wm_board_post_trail(t->o.board, b);
}

/* After the first post the trail has its place on the board, and replacing it cannot fail. */
static void trail_repost(struct wm_trail *t)
{
    enum wm_status status = trail_post(t);
    WM_ASSERT(status == WM_OK);
}

/* What an API client is shown; network failures have no code of the store's. */
static void trail_set_error(char *out, size_t out_bytes, const struct wm_err *err)
{
    const char *code = err->code[0] ? err->code : wm_status_name(err->status);
    (void)wm_view_copy(wm_view_of(code), out, out_bytes); /* both have 64 bytes */
}

/* Jittered exponential backoff ("Exponential Backoff And Jitter", AWS Architecture Blog: equal jitter). */
static int64_t trail_backoff_ms(const struct wm_trail *t, unsigned failures)
{
    int64_t most = t->o.retry_max_ms, ms = t->o.retry_min_ms;
    for (unsigned i = 1; i < failures && ms < most; i++)
        ms *= 2;
    if (ms > most)
        ms = most;
    uint32_t random;
    wm_random(&random, sizeof random);
    ms = ms / 2 + (int64_t)(random % (uint64_t)(ms / 2 + 1));
    int64_t asked_ms = wm_store_retry_after_ms(t->o.store);
    return asked_ms > ms ? asked_ms : ms;
}

/* Tell what failed, and for how long to leave it alone. @param shown  the board's text for it, of 64 bytes */
static int64_t trail_failed(struct wm_trail *t, struct trail_trouble *trouble, char *shown, const struct wm_err *err)
{
    char reason[WM_ERR_CODE_BYTES];
    trail_set_error(reason, sizeof reason, err);
    if (trouble->failures < UINT32_MAX)
        trouble->failures++;
    if (!trouble->waiting || strcmp(reason, trouble->reason) != 0) /* once per cause, however often it is tried */
        wm_log(WM_EV_TRAIL_WAITING, "trail=%s reason=%s text=\"%s\"", t->name, reason, err->message);
    trouble->waiting = true;
    memcpy(trouble->reason, reason, sizeof reason);
    memcpy(shown, reason, sizeof reason);
    trail_repost(t);
    int64_t wait_ms = trail_backoff_ms(t, trouble->failures);
    trouble->not_before.ns = wm_clock_mono(t->o.clock).ns + wait_ms * WM_NS_PER_MS;
    return wait_ms;
}

static void trail_progressed(struct wm_trail *t, struct trail_trouble *trouble, char *shown)
{
    if (!trouble->waiting)
        return;
    wm_log(WM_EV_TRAIL_RESUMED, "trail=%s after=%s", t->name, trouble->reason);
    *trouble = (struct trail_trouble){0};
    shown[0] = '\0';
    trail_repost(t);
}

/* ---- reading ---- */

static enum wm_status trail_reader_failed(struct wm_trail *t, enum wm_status status)
{
    wm_journal_reader_close(t->own.reader);
    t->own.reader = NULL;
    t->own.has_entry = false;
    if (status == WM_E_CORRUPT || status == WM_E_NOT_FOUND)
        t->own.fatal = true; /* entries that are damaged or gone do not come back */
    return status;
}

/* Take entries into the batch until it is full or nothing more is durable. *out_full: an entry did not fit. */
static enum wm_status trail_read(struct wm_trail *t, bool *out_full, struct wm_err *err)
{
    *out_full = wm_batch_full(&t->own.batch);
    while (!*out_full) { /* bounded by the size of a batch */
        enum wm_status status;
        if (!t->own.reader) {
            status = wm_journal_reader_open(t->o.journal, t->own.read_seq, &t->own.reader, err);
            if (status != WM_OK)
                return trail_reader_failed(t, status);
        }
        if (!t->own.has_entry) {
            status = wm_journal_reader_next(t->own.reader, &t->own.entry, err);
            if (status == WM_E_END)
                return WM_OK;
            if (status != WM_OK)
                return trail_reader_failed(t, status);
            WM_ASSERT(t->own.entry.seq == t->own.read_seq + 1); /* none left out, none twice */
            t->own.has_entry = true;
        }
        status = wm_batch_add(&t->own.batch, &t->own.entry, trail_now(t), wm_clock_mono(t->o.clock), err);
        if (status == WM_E_FULL) {
            *out_full = true;
            return WM_OK;
        }
        if (status != WM_OK)
            return status;
        t->own.read_seq = t->own.entry.seq;
        t->own.has_entry = false;
        *out_full = wm_batch_full(&t->own.batch);
    }
    return WM_OK;
}

/* The content of the planned file again, after a restart: the same entries give the same bytes. */
static enum wm_status trail_rebuild(struct wm_trail *t, const struct wm_ledger_file_plan *p, struct wm_err *err)
{
    /* The limits of the configuration may be others today; the plan's range alone decides. */
    static const struct wm_batch_limits any = {.bytes = WM_MAX_BATCH_BYTES, .records = UINT64_MAX, .age_ms = 0};
    struct wm_journal_reader *reader = NULL;
    struct wm_entry e;
    wm_batch_done(&t->own.batch);
    wm_batch_init(&t->own.batch, &any);
    wm_journal_reader_close(t->own.reader); /* it stands before the planned range, and is to go on behind it */
    t->own.reader = NULL;
    t->own.has_entry = false;
    enum wm_status status = wm_journal_reader_open(t->o.journal, p->first_seq - 1, &reader, err);
    while (status == WM_OK && t->own.batch.last_seq < p->last_seq) {
        status = wm_journal_reader_next(reader, &e, err);
        if (status == WM_E_END)
            status = wm_fail(err, WM_E_CORRUPT, "entry %llu of a planned file is not in the journal",
                             (unsigned long long)t->own.batch.last_seq + 1);
        if (status == WM_OK)
            status = wm_batch_add(&t->own.batch, &e, trail_now(t), wm_clock_mono(t->o.clock), err);
    }
    wm_journal_reader_close(reader);
    if (status == WM_OK && t->own.batch.records == 0)
        status = wm_fail(err, WM_E_CORRUPT, "a planned file has no records in the journal");
    if (status == WM_OK)
        status = wm_batch_close(&t->own.batch, err);
    if (status == WM_E_CORRUPT || status == WM_E_NOT_FOUND)
        t->own.fatal = true;
    if (status != WM_OK)
        return status;
    t->own.read_seq = p->last_seq;
    return WM_OK;
}

static void hash_hex(struct wm_view bytes, char out[WM_SHA256_HEX_BYTES + 1])
{
    uint8_t hash[WM_SHA256_BYTES];
    wm_sha256(bytes.ptr, bytes.len, hash);
    wm_hex(hash, sizeof hash, out);
    out[WM_SHA256_HEX_BYTES] = '\0';
}

/* ---- putting ---- */

struct trail_object {
    struct wm_view key;
    const char *hash;              /* of the content before compression */
    const char *codec_name;
    int level;
    const char *signature;         /* NULL for a trail file */
};

/*
 * Another object is under our key. Other bytes may still be the same content: a plan made before an update of the
 * compressing library gives other bytes after it.
 */
static enum wm_status trail_same_content(struct wm_trail *t, const struct trail_object *o, const struct wm_codec *codec,
                                         struct wm_err *err)
{
    struct wm_store_header headers[WM_STORE_MAX_HEADERS];
    size_t n_headers = 0;
    char hash[WM_SHA256_HEX_BYTES + 1] = "";
    struct wm_buf packed, content;
    struct wm_arena a;
    wm_buf_init(&packed, TRAIL_MAX_PACKED_BYTES);
    wm_buf_init(&content, WM_MAX_DIGEST_BYTES);
    wm_arena_init(&a, 64u * 1024u);
    enum wm_status status = wm_store_get(t->o.store, o->key, &packed, &a, headers, &n_headers, err);
    bool same = false;
    if (status == WM_OK && codec->decompress(wm_buf_view(&packed), &content, NULL) == WM_OK) {
        hash_hex(wm_buf_view(&content), hash);
        same = strcmp(hash, o->hash) == 0 &&
               (!o->signature ||
                wm_view_eq_str(wm_store_header(headers, n_headers, "x-amz-meta-signature"), o->signature));
    }
    if ((status == WM_OK && !same) || status == WM_E_LIMIT) {
        status = wm_fail(err, WM_E_EXISTS, "%.*s holds another object; does a second daemon write to this prefix?",
                         WM_ARG(o->key));
        if (err)
            (void)wm_view_copy(WM_LIT("PreconditionFailed"), err->code, sizeof err->code); /* fits */
    }
    wm_arena_done(&a);
    wm_buf_done(&content);
    wm_buf_done(&packed);
    return status;
}

static enum wm_status trail_put(struct wm_trail *t, const struct trail_object *o, struct wm_view content,
                                struct wm_buf *packed, struct wm_err *err)
{
    const struct wm_codec *codec = wm_codec_by_name(wm_view_of(o->codec_name));
    if (!codec)
        return wm_fail(err, WM_E_UNSUPPORTED, "%.*s is planned with codec %s, which this program does not know",
                       WM_ARG(o->key), o->codec_name);
    enum wm_status status;
    if (packed->len == 0 && (status = codec->compress(o->level, content, packed, err)) != WM_OK) {
        wm_buf_clear(packed);
        return status;
    }
    struct wm_store_header headers[TRAIL_MAX_HEADERS];
    size_t n = 0;
    headers[n++] = (struct wm_store_header){WM_LIT("content-type"), WM_LIT("application/json")};
    headers[n++] = (struct wm_store_header){WM_LIT("content-encoding"), wm_view_of(codec->content_encoding)};
    if (o->signature) {
        headers[n++] = (struct wm_store_header){WM_LIT("x-amz-meta-signature"), wm_view_of(o->signature)};
        headers[n++] = (struct wm_store_header){WM_LIT("x-amz-meta-signature-algorithm"), WM_LIT(WM_DIGEST_ALGORITHM)};
    }
    status = wm_store_put(t->o.store, o->key, wm_buf_view(packed), WM_EMPTY, headers, n, err);
    return status == WM_E_EXISTS ? trail_same_content(t, o, codec, err) : status;
}

/* ---- trail files ---- */

/* It fails only for want of memory for a new name, and ours is registered. */
static enum wm_status trail_tell_journal(struct wm_trail *t, uint64_t seq, struct wm_err *err)
{
    enum wm_status status = wm_journal_set_cursor(t->o.journal, t->follower, seq);
    return status == WM_OK ? WM_OK : wm_fail(err, status, "the journal does not take the cursor of trail %s", t->name);
}

static enum wm_status trail_plan_file(struct wm_trail *t, struct wm_err *err)
{
    struct wm_batch *b = &t->own.batch;
    const struct wm_ledger_head *h = wm_ledger_head(t->own.ledger);
    enum wm_status status;
    if (b->records == 0) { /* entries without a record */
        uint64_t last_seq = b->last_seq;
        status = wm_ledger_skip(t->own.ledger, last_seq, err);
        if (status != WM_OK)
            return status;
        wm_batch_clear(b);
        return trail_tell_journal(t, last_seq, err);
    }
    if (!t->own.batch_closed && (status = wm_batch_close(b, err)) != WM_OK)
        return status;
    t->own.batch_closed = true;

    struct wm_ledger_file_plan p = {.first_seq = b->first_seq, .last_seq = b->last_seq, .records = b->records,
                                    .level = t->o.codec_level};
    p.delivered_s = wm_wall_seconds(trail_now(t));
    if (p.delivered_s < h->planned_s)
        p.delivered_s = h->planned_s;
    int64_t digested_until_s = t->own.digest_planned ? t->own.digest_end_s : h->digest_start_s;
    if (p.delivered_s <= digested_until_s)
        p.delivered_s = digested_until_s + 1;
    char unique[WM_TRAIL_FILE_UNIQUE_CHARS + 1];
    struct wm_buf key;
    wm_trail_file_unique(h->delivered_files, unique); /* one plan at a time: its number */
    wm_buf_init(&key, WM_MAX_OBJECT_KEY_BYTES);
    wm_trail_file_key(&t->naming, wm_wall_from_seconds(p.delivered_s), unique, &key);
    status = wm_buf_status(&key);
    if (status != WM_OK) {
        (void)wm_fail(err, status, "the key of a trail file is too long");
    } else {
        bool fits = wm_view_copy(wm_buf_view(&key), p.key, sizeof p.key) &&
                    wm_view_copy(wm_view_of(t->o.codec->name), p.codec, sizeof p.codec);
        WM_ASSERT(fits);
        hash_hex(wm_buf_view(&b->body), p.hash);
        wm_time_iso(b->newest, p.newest);
        wm_time_iso(b->oldest, p.oldest);
        status = wm_ledger_plan_file(t->own.ledger, &p, err);
    }
    wm_buf_done(&key);
    if (status == WM_OK)
        t->own.file_planned = t->own.content_ready = true;
    return status;
}

static void trail_file_done(struct wm_trail *t)
{
    t->own.file_planned = t->own.content_ready = t->own.batch_closed = false;
    wm_buf_clear(&t->own.packed);
    if (t->own.batch.limits.bytes != t->limits.bytes || t->own.batch.limits.records != t->limits.records) {
        wm_batch_done(&t->own.batch); /* it was rebuilt, without our limits */
        wm_batch_init(&t->own.batch, &t->limits);
    } else {
        wm_batch_clear(&t->own.batch);
    }
}

static enum wm_status trail_deliver_file(struct wm_trail *t, struct wm_err *err)
{
    struct wm_ledger_file_plan p;
    enum wm_status status = wm_ledger_file_plan(t->own.ledger, &p, err);
    if (status == WM_OK && !t->own.content_ready)
        status = trail_rebuild(t, &p, err);
    if (status != WM_OK)
        return status;
    struct wm_view content = wm_buf_view(&t->own.batch.body);
    if (!t->own.content_ready) {
        char hash[WM_SHA256_HEX_BYTES + 1];
        hash_hex(content, hash);
        if (strcmp(hash, p.hash) != 0) {
            t->own.fatal = true;
            return wm_fail(err, WM_E_CORRUPT, "entries %llu to %llu of the journal are not what %s was planned from",
                           (unsigned long long)p.first_seq, (unsigned long long)p.last_seq, p.key);
        }
        t->own.content_ready = true;
    }
    t->own.board.latest_delivery_attempt = trail_now(t);
    struct trail_object o = {wm_view_of(p.key), p.hash, p.codec, p.level, NULL};
    status = trail_put(t, &o, content, &t->own.packed, err);
    if (status == WM_OK)
        status = wm_ledger_delivered(t->own.ledger, wm_store_bucket(t->o.store), wm_wall_seconds(trail_now(t)), err);
    if (status != WM_OK)
        return status;
    wm_log(WM_EV_TRAIL_DELIVERED, "trail=%s key=%s records=%llu bytes=%zu stored=%zu", t->name, p.key,
           (unsigned long long)p.records, content.len, t->own.packed.len);
    trail_file_done(t);
    trail_repost(t);
    return trail_tell_journal(t, p.last_seq, err);
}

/* ---- digests ---- */

/* Is a period over? *out_end_s: where its digest ends. */
static bool trail_digest_due(const struct wm_trail *t, int64_t *out_end_s)
{
    const struct wm_ledger_head *head = wm_ledger_head(t->own.ledger);
    int64_t start_s = head->digest_start_s;
    /* A chain begins with a digest of the trail's first second: files that wait for the end of their period are then
     * told from files whose digests were all taken away. */
    int64_t period_s = head->has_previous ? t->o.digest_period_s : 1;
    /* Ends in the past, so that whatever is planned from now on lies behind it. */
    int64_t periods = (wm_wall_seconds(trail_now(t)) - 1 - start_s) / period_s;
    if (periods < 1) {
        int64_t since_s = (wm_clock_mono(t->o.clock).ns - t->own.sealed_at.ns) / WM_NS_PER_S;
        if (since_s < period_s + TRAIL_DIGEST_GRACE_S)
            return false;
        periods = 1;
    }
    if (!head->has_previous)
        periods = 1;
    *out_end_s = start_s + periods * period_s;
    return true;
}

static enum wm_status trail_plan_digest(struct wm_trail *t, int64_t end_s, struct wm_err *err)
{
    const struct wm_ledger_head *h = wm_ledger_head(t->own.ledger);
    struct wm_ledger_digest_plan p = {.end_s = end_s, .level = t->o.codec_level};
    char start[WM_TIME_ISO_BYTES], end[WM_TIME_ISO_BYTES], fingerprint[WM_FINGERPRINT_BYTES];
    struct wm_digest_file *files = NULL;
    size_t n_files = 0;
    struct wm_arena a;
    struct wm_buf key, document, to_sign;
    wm_arena_init(&a, TRAIL_ARENA_BYTES);
    wm_buf_init(&key, WM_MAX_OBJECT_KEY_BYTES);
    wm_buf_init(&document, WM_MAX_DIGEST_BYTES);
    wm_buf_init(&to_sign, 4096);
    enum wm_status status =
        wm_ledger_files(t->own.ledger, &p.end_s, TRAIL_MAX_DIGEST_FILES, &a, &files, &n_files, &p.last_file_id, err);
    if (status == WM_OK)
        status = wm_signer_key_for(t->o.signer, wm_wall_from_seconds(p.end_s), fingerprint, err);
    if (status != WM_OK)
        goto out;
    p.n_files = n_files;
    wm_time_iso(wm_wall_from_seconds(h->digest_start_s), start);
    wm_time_iso(wm_wall_from_seconds(p.end_s), end);
    wm_digest_key(&t->naming, wm_wall_from_seconds(p.end_s), &key);
    struct wm_digest d = {
        .account_id = t->naming.account_id,
        .start = wm_view_of(start),
        .end = wm_view_of(end),
        .bucket = wm_store_bucket(t->o.store),
        .key = wm_buf_view(&key),
        .fingerprint = wm_view_of(fingerprint),
        .has_previous = h->has_previous,
        .previous_bucket = wm_view_of(h->previous_bucket),
        .previous_key = wm_view_of(h->previous_key),
        .previous_hash_hex = wm_view_of(h->previous_hash),
        .previous_signature_hex = wm_view_of(h->previous_signature),
        .files = files,
        .n_files = n_files,
    };
    for (size_t i = 0; i < n_files; i++) { /* ISO 8601 of one form: the order of text is the order of time */
        if (i == 0 || wm_view_cmp(files[i].newest, d.newest) > 0)
            d.newest = files[i].newest;
        if (i == 0 || wm_view_cmp(files[i].oldest, d.oldest) < 0)
            d.oldest = files[i].oldest;
    }
    wm_digest_write(&d, &document);
    wm_digest_string_to_sign(&d, wm_buf_view(&document), &to_sign);
    const struct wm_buf *made[] = {&key, &document, &to_sign};
    for (size_t i = 0; i < 3 && status == WM_OK; i++)
        if ((status = wm_buf_status(made[i])) != WM_OK)
            (void)wm_fail(err, status, "no room for a digest of %zu files", n_files);
    if (status == WM_OK)
        status = wm_signer_sign(t->o.signer, fingerprint, wm_buf_view(&to_sign), p.signature, err);
    if (status == WM_OK) {
        bool fits = wm_view_copy(wm_buf_view(&key), p.key, sizeof p.key) &&
                    wm_view_copy(d.bucket, p.bucket, sizeof p.bucket) &&
                    wm_view_copy(wm_view_of(t->o.codec->name), p.codec, sizeof p.codec);
        WM_ASSERT(fits); /* the bucket's name: trail_prepare_board() */
        hash_hex(wm_buf_view(&document), p.hash);
        p.document = wm_buf_view(&document);
        status = wm_ledger_plan_digest(t->own.ledger, &p, err);
    }
    if (status == WM_OK) {
        t->own.digest_planned = true;
        t->own.digest_end_s = p.end_s;
    }
out:
    wm_buf_done(&to_sign);
    wm_buf_done(&document);
    wm_buf_done(&key);
    wm_arena_done(&a);
    return status;
}

static enum wm_status trail_deliver_digest(struct wm_trail *t, struct wm_err *err)
{
    struct wm_ledger_digest_plan p;
    struct wm_arena a;
    struct wm_buf packed;
    wm_arena_init(&a, TRAIL_ARENA_BYTES);
    wm_buf_init(&packed, TRAIL_MAX_PACKED_BYTES);
    enum wm_status status = wm_ledger_digest_plan(t->own.ledger, &a, &p, err);
    if (status == WM_OK) {
        struct trail_object o = {wm_view_of(p.key), p.hash, p.codec, p.level, p.signature};
        status = trail_put(t, &o, p.document, &packed, err);
    }
    if (status == WM_OK)
        status = wm_ledger_sealed(t->own.ledger, wm_wall_seconds(trail_now(t)), err);
    if (status == WM_OK) {
        t->own.digest_planned = false;
        t->own.sealed_at = wm_clock_mono(t->o.clock);
        wm_log(WM_EV_TRAIL_SEALED, "trail=%s key=%s files=%llu", t->name, p.key, (unsigned long long)p.n_files);
        trail_repost(t);
    }
    wm_buf_done(&packed);
    wm_arena_done(&a);
    return status;
}

/* Plan or put a digest when it is time for one. @return true when that went well and there may be more to do */
static bool trail_tend_digests(struct wm_trail *t, bool drain)
{
    struct wm_err err = {0};
    int64_t end_s = 0;
    enum wm_status status;
    if (wm_clock_mono(t->o.clock).ns < t->own.digests.not_before.ns)
        return false;
    if (t->own.digest_planned)
        status = trail_deliver_digest(t, &err);
    else if (!drain && trail_digest_due(t, &end_s))
        status = trail_plan_digest(t, end_s, &err);
    else
        return false;
    if (status == WM_OK) {
        if (!t->own.digest_planned)
            trail_progressed(t, &t->own.digests, t->own.board.latest_digest_error);
        return true;
    }
    if (status != WM_E_END) /* cancelled: a stop is on its way */
        (void)trail_failed(t, &t->own.digests, t->own.board.latest_digest_error, &err);
    return false;
}

/* ---- the thread ---- */

/**
 * Do what is next. @param drain  at the end: a batch does not wait for its age, no period is closed
 * @param out_idle_ms  how long there is nothing to do
 * @return WM_OK; WM_E_END (drain, and all is delivered, or cancelled); what failed
 */
static enum wm_status trail_turn(struct wm_trail *t, bool drain, int64_t *out_idle_ms, struct wm_err *err)
{
    bool full;
    *out_idle_ms = 0;
    if (t->own.file_planned)
        return trail_deliver_file(t, err);
    if (trail_tend_digests(t, drain))
        return WM_OK;
    if (!t->own.batch_closed) {
        enum wm_status status = trail_read(t, &full, err);
        if (status != WM_OK)
            return status;
        int64_t due_ms = wm_batch_due_ms(&t->own.batch, wm_clock_mono(t->o.clock));
        if (t->own.batch.first_seq == 0 && drain)
            return wm_fail(err, WM_E_END, "all is delivered");
        if (!full && !drain && due_ms > 0) {
            *out_idle_ms = due_ms < TRAIL_POLL_MS ? due_ms : TRAIL_POLL_MS;
            return WM_OK;
        }
    }
    return trail_plan_file(t, err);
}

static void trail_stand_still(struct wm_trail *t, const struct wm_err *err)
{
    wm_log(WM_EV_TRAIL_FAILED, "trail=%s text=\"%s\"", t->name, err->message);
    trail_set_error(t->own.board.latest_delivery_error, sizeof t->own.board.latest_delivery_error, err);
    trail_repost(t);
    while (!wm_stop_wait_ms(&t->stop, 60000))
        ;
}

static void *trail_run(void *arg)
{
    struct wm_trail *t = arg;
    WM_ASSERT(t->magic == TRAIL_MAGIC);
    struct wm_err err = {0};
    int64_t idle_ms;
    while (!wm_stop_requested(&t->stop)) {
        enum wm_status status = trail_turn(t, false, &idle_ms, &err);
        if (status == WM_OK) {
            if (!t->own.file_planned) /* a plan alone has not moved anything */
                trail_progressed(t, &t->own.files, t->own.board.latest_delivery_error);
            if (idle_ms)
                (void)wm_stop_wait_ms(&t->stop, idle_ms); /* the loop asks whether to stop */
        } else if (t->own.fatal) {
            trail_stand_still(t, &err);
        } else if (status != WM_E_END) { /* cancelled: a stop is on its way */
            int64_t wait_ms = trail_failed(t, &t->own.files, t->own.board.latest_delivery_error, &err);
            (void)wm_stop_wait_ms(&t->stop, wait_ms); /* the loop asks whether to stop */
        }
    }
    /* What is durable by now and the store takes; whatever fails now is for the next start. */
    while (!t->own.fatal && trail_turn(t, true, &idle_ms, &err) == WM_OK)
        ;
    if (!t->own.fatal && err.status != WM_E_END)
        wm_log(WM_EV_TRAIL_WAITING, "trail=%s text=\"stopping; %s\"", t->name, err.message);
    wm_mutex_lock(&t->locked.mu);
    t->locked.finished = true;
    wm_cond_broadcast(&t->locked.cond);
    wm_mutex_unlock(&t->locked.mu);
    return NULL;
}

/* ---- life ---- */

static enum wm_status trail_check_options(const struct wm_trail_options *o, struct wm_err *err)
{
    enum wm_status status = wm_trail_name_valid(o->name, err);
    if (status != WM_OK)
        return status;
    if (o->batch_bytes < TRAIL_MIN_BATCH_BYTES || o->batch_bytes > WM_MAX_BATCH_BYTES)
        return wm_fail(err, WM_E_INVALID, "batch_bytes is %llu, expected %u to %u", (unsigned long long)o->batch_bytes,
                       TRAIL_MIN_BATCH_BYTES, WM_MAX_BATCH_BYTES);
    if (o->batch_records < 1 || o->batch_records > TRAIL_MAX_BATCH_RECORDS)
        return wm_fail(err, WM_E_INVALID, "batch_records is %llu, expected 1 to %u",
                       (unsigned long long)o->batch_records, TRAIL_MAX_BATCH_RECORDS);
    if (o->batch_age_ms < 0)
        return wm_fail(err, WM_E_INVALID, "batch_age_ms is negative");
    if (o->digest_period_s < 1 || o->digest_period_s > TRAIL_MAX_DIGEST_PERIOD_S)
        return wm_fail(err, WM_E_INVALID, "digest_period_s is %lld, expected 1 to %d", (long long)o->digest_period_s,
                       TRAIL_MAX_DIGEST_PERIOD_S);
    if (o->codec_level < o->codec->min_level || o->codec_level > o->codec->max_level)
        return wm_fail(err, WM_E_INVALID, "codec_level is %d, %s takes %d to %d", o->codec_level, o->codec->name,
                       o->codec->min_level, o->codec->max_level);
    if (o->retry_min_ms < 0 || o->retry_max_ms < 0)
        return wm_fail(err, WM_E_INVALID, "retry_min_ms or retry_max_ms is negative");
    return WM_OK;
}

/* Everything that the thread does not use any more, or not yet. */
static void trail_free(struct wm_trail *t)
{
    wm_journal_reader_close(t->own.reader);
    wm_ledger_close(t->own.ledger);
    wm_batch_done(&t->own.batch);
    wm_buf_done(&t->own.packed);
    wm_store_free(t->o.store);
    wm_cond_done(&t->locked.cond);
    wm_mutex_done(&t->locked.mu);
    wm_stop_done(&t->stop);
    free(t->name);
    free(t->account_id);
    free(t->region);
    free(t->prefix);
    free(t->follower);
    t->magic = 0;
    free(t);
}

static enum wm_status trail_copy_options(struct wm_trail *t, struct wm_err *err)
{
    struct wm_buf follower;
    wm_buf_init(&follower, 256);
    wm_buf_addf(&follower, "trail:%.*s", WM_ARG(t->o.name));
    t->name = wm_view_dup(t->o.name);
    t->account_id = wm_view_dup(t->o.account_id);
    t->region = wm_view_dup(t->o.region);
    t->prefix = wm_view_dup(t->o.prefix);
    t->follower = wm_view_dup(wm_buf_view(&follower));
    enum wm_status status = wm_buf_status(&follower);
    wm_buf_done(&follower);
    if (status != WM_OK || !t->name || !t->account_id || !t->region || !t->prefix || !t->follower)
        return wm_fail(err, WM_E_NOMEM, "no memory for a trail");
    t->o.name = wm_view_of(t->name);
    t->o.account_id = wm_view_of(t->account_id);
    t->o.region = wm_view_of(t->region);
    t->o.prefix = wm_view_of(t->prefix);
    if (!t->o.retry_min_ms)
        t->o.retry_min_ms = TRAIL_RETRY_MIN_MS;
    if (!t->o.retry_max_ms)
        t->o.retry_max_ms = TRAIL_RETRY_MAX_MS;
    t->limits = (struct wm_batch_limits){t->o.batch_bytes, t->o.batch_records, t->o.batch_age_ms};
    t->naming = (struct wm_trail_naming){
        .prefix = t->o.prefix,
        .account_id = t->o.account_id,
        .region = t->o.region,
        .trail_name = t->o.name,
        .home_region = t->o.region,
        .codec = t->o.codec,
    };
    return WM_OK;
}

static enum wm_status trail_prepare_board(struct wm_trail *t, struct wm_err *err)
{
    struct wm_board_trail *b = &t->own.board;
    struct wm_buf arn;
    wm_buf_init(&arn, sizeof b->arn);
    wm_trail_arn(t->o.region, t->o.account_id, t->o.name, &arn);
    bool fits = wm_buf_status(&arn) == WM_OK && wm_view_copy(wm_buf_view(&arn), b->arn, sizeof b->arn) &&
                wm_view_copy(t->o.name, b->name, sizeof b->name) &&
                wm_view_copy(wm_store_bucket(t->o.store), b->bucket, sizeof b->bucket) &&
                wm_view_copy(t->o.prefix, b->prefix, sizeof b->prefix) &&
                wm_view_copy(wm_view_of(t->o.codec->name), b->codec, sizeof b->codec);
    wm_buf_done(&arn);
    if (!fits)
        return wm_fail(err, WM_E_LIMIT, "trail %s: ARN, bucket or prefix is too long", t->name);
    enum wm_status status = trail_post(t);
    return status == WM_OK ? WM_OK : wm_fail(err, status, "the status board does not take trail %s", t->name);
}

/* What an earlier run left under way. */
static enum wm_status trail_find_plans(struct wm_trail *t, struct wm_err *err)
{
    struct wm_ledger_file_plan file;
    struct wm_ledger_digest_plan digest;
    struct wm_arena a;
    wm_arena_init(&a, TRAIL_ARENA_BYTES);
    enum wm_status status = wm_ledger_file_plan(t->own.ledger, &file, err);
    t->own.file_planned = status == WM_OK;
    if (status == WM_OK || status == WM_E_NOT_FOUND) {
        status = wm_ledger_digest_plan(t->own.ledger, &a, &digest, err);
        t->own.digest_planned = status == WM_OK;
        if (status == WM_OK)
            t->own.digest_end_s = digest.end_s;
        /* A digest says in which bucket it lies; in another one it would count as moved. */
        if (status == WM_OK && !wm_view_eq_str(wm_store_bucket(t->o.store), digest.bucket)) {
            status = wm_ledger_drop_digest_plan(t->own.ledger, err);
            t->own.digest_planned = false;
        }
    }
    wm_arena_done(&a);
    return status == WM_E_NOT_FOUND ? WM_OK : status;
}

static enum wm_status trail_open(struct wm_trail *t, struct wm_err *err)
{
    struct wm_journal_stats stats;
    struct wm_ledger_identity who = {t->o.name, t->o.account_id, t->o.region};
    wm_journal_stats(t->o.journal, &stats);
    /* A new trail takes everything that the journal still has: better early records than missing ones. */
    uint64_t first_cursor_seq = stats.first_seq ? stats.first_seq - 1 : 0;
    enum wm_status status = wm_ledger_open(t->o.ledger_path, &who, first_cursor_seq, wm_wall_seconds(trail_now(t)),
                                           &t->own.ledger, err);
    if (status != WM_OK)
        return status;
    uint64_t cursor_seq = wm_ledger_head(t->own.ledger)->cursor_seq;
    /* Going on here would leave out the records that get these numbers anew. */
    if (cursor_seq > wm_journal_durable(t->o.journal))
        return wm_fail(err, WM_E_CORRUPT,
                       "ledger %s has delivered up to entry %llu, the journal ends at %llu: they do not "
                       "belong together", t->o.ledger_path, (unsigned long long)cursor_seq,
                       (unsigned long long)wm_journal_durable(t->o.journal));
    t->own.read_seq = cursor_seq;
    status = trail_tell_journal(t, cursor_seq, err);
    if (status == WM_OK)
        status = wm_journal_reader_open(t->o.journal, cursor_seq, &t->own.reader, err);
    if (status == WM_OK)
        status = trail_find_plans(t, err);
    if (status == WM_OK)
        status = trail_prepare_board(t, err);
    return status;
}

enum wm_status wm_trail_start(const struct wm_trail_options *o, struct wm_trail **out, struct wm_err *err)
{
    struct wm_trail *t = calloc(1, sizeof *t);
    if (!t) {
        wm_store_free(o->store);
        return wm_fail(err, WM_E_NOMEM, "no memory for a trail");
    }
    t->magic = TRAIL_MAGIC;
    t->o = *o;
    wm_stop_init(&t->stop);
    wm_mutex_init(&t->locked.mu);
    wm_cond_init(&t->locked.cond);
    wm_buf_init(&t->own.packed, TRAIL_MAX_PACKED_BYTES);
    enum wm_status status = trail_check_options(o, err);
    if (status == WM_OK)
        status = trail_copy_options(t, err);
    if (status == WM_OK) {
        wm_batch_init(&t->own.batch, &t->limits);
        t->own.sealed_at = wm_clock_mono(t->o.clock);
        status = trail_open(t, err);
    }
    if (status == WM_OK) {
        wm_log(WM_EV_TRAIL_STARTED, "trail=%s bucket=%s codec=%s cursor=%llu files=%llu digests=%llu", t->name,
               t->own.board.bucket, t->own.board.codec, (unsigned long long)t->own.board.cursor_seq,
               (unsigned long long)wm_ledger_head(t->own.ledger)->delivered_files,
               (unsigned long long)wm_ledger_head(t->own.ledger)->sealed_digests);
        char thread_name[16];
        (void)wm_view_copy(wm_view_sub(wm_view_of(t->follower), 0, sizeof thread_name - 1), thread_name,
                           sizeof thread_name); /* cut to what the system takes */
        status = wm_thread_start(&t->thread, thread_name, trail_run, t, err);
    }
    if (status != WM_OK) {
        trail_free(t);
        return status;
    }
    *out = t;
    return WM_OK;
}

void wm_trail_stop(struct wm_trail *t, int64_t deadline_ms)
{
    if (!t)
        return;
    WM_ASSERT(t->magic == TRAIL_MAGIC);
    wm_stop_request(&t->stop);
    wm_mutex_lock(&t->locked.mu);
    while (!t->locked.finished && wm_cond_wait_ms(&t->locked.cond, &t->locked.mu, deadline_ms))
        ; /* a spurious wake-up only lengthens the wait */
    bool late = !t->locked.finished;
    wm_mutex_unlock(&t->locked.mu);
    if (late)
        wm_store_cancel(t->o.store);
    WM_PTOK(pthread_join(t->thread, NULL));
    trail_free(t);
}
