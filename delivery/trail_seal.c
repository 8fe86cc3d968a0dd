/*
 * Digests. One is planned when a period is over and every file of it is in the bucket; it is signed, written into the
 * ledger whole, and put as it is there. Digest i covers the files planned in (start, end], where start is the end of
 * digest i-1:
 *
 *   - A file's time is never below an earlier file's and always above the end of the newest digest, also when the clock
 *     is set back. So the files of a digest are a prefix of the ledger's files, each in exactly one, and never later
 *     than in the digest of its own period: there is nothing that a backfill digest would be for (cloudtrail.md 3.6).
 *   - While a period that is over waits for its last files, further ones are planned behind its end.
 *   - A digest ends a whole number of periods behind its start, and in the past. After a long stop that is one digest
 *     which spans it, not one per missed period: CloudTrail starts a chain anew when logging was stopped (cloudtrail.md
 *     3.6), but a daemon that was down has only delivered late, and one link with no gap says so.
 *   - When the wall clock falls behind the chain, periods are counted by the monotonic clock until it has caught up:
 *     files must not wait for their digest as long as a clock was wrong.
 *   - Digests are gzip whatever the files are. AWS's own tool follows a chain by the form of its keys and reads nothing
 *     else, so the links stay good for it when a trail changes its codec, and it can check them of a zstd trail.
 */
#include "trail_int.h"

#include "waymark/log.h"

#include "waymark/banned.h"

/* By so much the monotonic clock waits longer, so that it decides only when the wall clock does not. */
#define SEAL_GRACE_S 2
/* Files of one digest: some 20 MB of document. A longer backlog makes several digests in a row. */
#define SEAL_MAX_FILES 50000u
#define SEAL_ARENA_BYTES ((size_t)256 * 1024 * 1024)

int64_t trail_sealed_until_s(const struct wm_trail *t)
{
    int64_t until_s = wm_ledger_head(t->own.ledger)->digest_start_s;
    if (t->own.digest_planned)
        until_s = t->own.digest.end_s;
    return t->own.sealing_s > until_s ? t->own.sealing_s : until_s;
}

static void digest_forget(struct wm_trail *t)
{
    t->own.digest_planned = false;
    wm_buf_done(&t->own.digest_packed);
    wm_buf_init(&t->own.digest_packed, TRAIL_MAX_PACKED_BYTES);
    wm_arena_done(&t->own.digest_arena);
    wm_arena_init(&t->own.digest_arena, SEAL_ARENA_BYTES);
}

enum wm_status trail_find_digest(struct wm_trail *t, struct wm_err *err)
{
    wm_arena_init(&t->own.digest_arena, SEAL_ARENA_BYTES);
    wm_buf_init(&t->own.digest_packed, TRAIL_MAX_PACKED_BYTES);
    enum wm_status status = wm_ledger_digest_plan(t->own.ledger, &t->own.digest_arena, &t->own.digest, err);
    if (status == WM_E_NOT_FOUND)
        return WM_OK;
    if (status != WM_OK)
        return status;
    /* A digest says in which bucket it lies; in another one it would count as moved. */
    if (!wm_view_eq_str(wm_store_bucket(t->workers[0].store), t->own.digest.bucket)) {
        digest_forget(t);
        return wm_ledger_drop_digest_plan(t->own.ledger, err);
    }
    t->own.digest_planned = true;
    return WM_OK;
}

/* A chain begins with a digest of the trail's first second: files that wait for the end of their period are then told
 * from files whose digests were all taken away. */
static int64_t digest_period_s(const struct wm_trail *t)
{
    return wm_ledger_head(t->own.ledger)->has_previous ? t->o.digest_period_s : 1;
}

void trail_next_digest_key(const struct wm_trail *t, struct wm_buf *out)
{
    wm_digest_key(&t->digest_naming,
                  wm_wall_from_seconds(wm_ledger_head(t->own.ledger)->digest_start_s + digest_period_s(t)), out);
}

/* Is a period over? *out_end_s: where its digest ends. */
static bool digest_due(const struct wm_trail *t, int64_t *out_end_s)
{
    const struct wm_ledger_head *head = wm_ledger_head(t->own.ledger);
    int64_t start_s = head->digest_start_s;
    int64_t period_s = digest_period_s(t);
    /* Ends in the past, so that whatever is planned from now on lies behind it. */
    int64_t periods = (wm_wall_seconds(trail_now(t)) - 1 - start_s) / period_s;
    if (periods < 1) {
        int64_t since_s = (trail_mono(t).ns - t->own.sealed_at.ns) / WM_NS_PER_S;
        if (since_s < period_s + SEAL_GRACE_S)
            return false;
        periods = 1;
    }
    if (!head->has_previous)
        periods = 1;
    *out_end_s = start_s + periods * period_s;
    return true;
}

/* What the document says of the whole of its files. */
static void digest_span(struct wm_digest *d)
{
    for (size_t i = 0; i < d->n_files; i++) { /* ISO 8601 of one form: the order of text is the order of time */
        if (i == 0 || wm_view_cmp(d->files[i].newest, d->newest) > 0)
            d->newest = d->files[i].newest;
        if (i == 0 || wm_view_cmp(d->files[i].oldest, d->oldest) < 0)
            d->oldest = d->files[i].oldest;
    }
}

/* The document and its signature into *p; document holds the text. */
static enum wm_status digest_make(struct wm_trail *t, struct wm_ledger_digest_plan *p, struct wm_digest *d,
                                  struct wm_buf *document, struct wm_err *err)
{
    const struct wm_ledger_head *h = wm_ledger_head(t->own.ledger);
    char start[WM_TIME_ISO_BYTES], end[WM_TIME_ISO_BYTES], fingerprint[WM_FINGERPRINT_BYTES];
    struct wm_buf key, to_sign;
    wm_buf_init(&key, WM_MAX_OBJECT_KEY_BYTES);
    wm_buf_init(&to_sign, 4096);
    enum wm_status status = wm_signer_key_for(t->o.signer, wm_wall_from_seconds(p->end_s), fingerprint, err);
    if (status != WM_OK)
        goto out;
    wm_time_iso(wm_wall_from_seconds(h->digest_start_s), start);
    wm_time_iso(wm_wall_from_seconds(p->end_s), end);
    wm_digest_key(&t->digest_naming, wm_wall_from_seconds(p->end_s), &key);
    d->account_id = t->digest_naming.account_id;
    d->start = wm_view_of(start);
    d->end = wm_view_of(end);
    d->bucket = wm_store_bucket(t->workers[0].store);
    d->key = wm_buf_view(&key);
    d->fingerprint = wm_view_of(fingerprint);
    d->has_previous = h->has_previous;
    d->previous_bucket = wm_view_of(h->previous_bucket);
    d->previous_key = wm_view_of(h->previous_key);
    d->previous_hash_hex = wm_view_of(h->previous_hash);
    d->previous_signature_hex = wm_view_of(h->previous_signature);
    digest_span(d);
    wm_digest_write(d, document);
    wm_digest_string_to_sign(d, wm_buf_view(document), &to_sign);
    const struct wm_buf *made[] = {&key, document, &to_sign};
    for (size_t i = 0; i < 3 && status == WM_OK; i++)
        if ((status = wm_buf_status(made[i])) != WM_OK)
            (void)wm_fail(err, status, "no room for a digest of %zu files", d->n_files);
    if (status == WM_OK)
        status = wm_signer_sign(t->o.signer, fingerprint, wm_buf_view(&to_sign), p->signature, err);
    if (status == WM_OK) {
        bool fits = wm_view_copy(wm_buf_view(&key), p->key, sizeof p->key) &&
                    wm_view_copy(d->bucket, p->bucket, sizeof p->bucket) &&
                    wm_view_copy(wm_view_of(t->digest_naming.codec->name), p->codec, sizeof p->codec);
        WM_ASSERT(fits); /* the bucket's name: trail_prepare_board(), in trail.c */
        trail_hash(wm_buf_view(document), p->hash);
        p->document = wm_buf_view(document);
    }
out:
    wm_buf_done(&to_sign);
    wm_buf_done(&key);
    return status;
}

static enum wm_status digest_plan(struct wm_trail *t, int64_t end_s, struct wm_err *err)
{
    struct wm_ledger_digest_plan p = {.end_s = end_s, .level = t->digest_naming.codec->default_level};
    struct wm_digest d = {0};
    struct wm_arena a;
    struct wm_buf document;
    wm_arena_init(&a, SEAL_ARENA_BYTES);
    wm_buf_init(&document, WM_MAX_DIGEST_BYTES);
    enum wm_status status =
        wm_ledger_files(t->own.ledger, &p.end_s, SEAL_MAX_FILES, &a, &d.files, &d.n_files, &p.last_file_id, err);
    p.n_files = d.n_files;
    if (status == WM_OK)
        status = digest_make(t, &p, &d, &document, err);
    if (status == WM_OK) {
        p.document = wm_arena_copy(&t->own.digest_arena, p.document);
        status = wm_arena_status(&t->own.digest_arena);
        if (status != WM_OK)
            (void)wm_fail(err, status, "no memory for a digest of %zu files", d.n_files);
    }
    if (status == WM_OK)
        status = trail_booked(t, wm_ledger_plan_digest(t->own.ledger, &p, err));
    wm_buf_done(&document);
    wm_arena_done(&a);
    if (status != WM_OK) {
        digest_forget(t);
        return status;
    }
    t->own.digest = p;
    t->own.digest_planned = true;
    t->own.sealing_s = 0;
    return WM_OK;
}

static enum wm_status digest_submit(struct wm_trail *t, struct wm_err *err)
{
    struct wm_ledger_digest_plan *p = &t->own.digest;
    const struct wm_codec *codec = wm_codec_by_name(wm_view_of(p->codec));
    if (!codec)
        return wm_fail(err, WM_E_UNSUPPORTED, "%s is planned with codec %s, which this program does not know", p->key,
                       p->codec);
    if (t->own.digest_packed.len == 0) {
        enum wm_status status = codec->compress(p->level, p->document, &t->own.digest_packed, err);
        if (status != WM_OK) {
            wm_buf_clear(&t->own.digest_packed);
            return status;
        }
    }
    t->own.digest_job.key = wm_view_of(p->key);
    t->own.digest_job.hash = p->hash;
    t->own.digest_job.codec_name = p->codec;
    t->own.digest_job.signature = p->signature;
    t->own.digest_job.body = wm_buf_view(&t->own.digest_packed);
    trail_submit(t, &t->own.digest_job);
    return WM_OK;
}

static enum wm_status digest_sealed(struct wm_trail *t, struct wm_err *err)
{
    enum wm_status status = trail_booked(t, wm_ledger_sealed(t->own.ledger, wm_wall_seconds(trail_now(t)), err));
    if (status != WM_OK)
        return status;
    t->own.sealed_at = trail_mono(t);
    wm_log(WM_EV_TRAIL_SEALED, "trail=%s key=%s files=%llu", t->name, t->own.digest.key,
           (unsigned long long)t->own.digest.n_files);
    digest_forget(t);
    trail_progressed(t, &t->own.digests, t->own.board.latest_digest_error);
    trail_repost(t);
    return WM_OK;
}

/* Does a file wait for its place that the digest up to end_s must list? */
static bool digest_waits_for_files(struct wm_trail *t, int64_t end_s)
{
    return t->own.n_slots && trail_slot(t, 0)->plan.delivered_s <= end_s;
}

void trail_tend_digests(struct wm_trail *t, bool drain)
{
    struct wm_err err = {0};
    enum wm_status status = WM_OK;
    int64_t retry_after_ms = 0, end_s;
    if (!trail_job_idle(t, &t->own.digest_job)) {
        if (!trail_collected(t, &t->own.digest_job))
            return;
        status = t->own.digest_job.status;
        err = t->own.digest_job.err;
        retry_after_ms = t->own.digest_job.retry_after_ms;
        if (status == WM_OK)
            status = digest_sealed(t, &err);
    } else if (!trail_may_try(t, &t->own.digests)) {
        return;
    }
    if (status == WM_OK && !t->own.digest_planned && !drain) {
        if (!t->own.sealing_s && digest_due(t, &end_s))
            t->own.sealing_s = end_s;
        if (t->own.sealing_s && !digest_waits_for_files(t, t->own.sealing_s))
            status = digest_plan(t, t->own.sealing_s, &err);
    }
    if (status == WM_OK && t->own.digest_planned && t->own.claimed && !t->own.sending_over)
        status = digest_submit(t, &err);
    if (status == WM_E_END)
        t->own.sending_over = true;
    else if (status != WM_OK)
        trail_failed(t, &t->own.digests, t->own.board.latest_digest_error, &err, retry_after_ms);
}
