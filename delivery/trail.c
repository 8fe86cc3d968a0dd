/*
 * One trail: its thread, its board and its life. A turn of the thread takes in what the workers have done and gives them
 * what is next (trail_upload.c), tends the digests (trail_seal.c), reads the journal and plans files (trail_plan.c), and
 * then sleeps until a worker is done or for TRAIL_POLL_MS; committers never wake it (measured: a wake-up costs more
 * than their commit). Whatever fails is met again by a later turn.
 *
 * On the way of a record everything is in order: plans follow the journal without a gap, files leave in the order of
 * their plans however their uploads overtake each other, and the cursor moves with them. What is under way is a few
 * plans in the ledger, each of which says all about its object, so a crash at any point is met by putting the same
 * objects again.
 */
#include "trail_int.h"

#include <stdlib.h>

#include "waymark/hash.h"
#include "waymark/log.h"
#include "waymark/trail_name.h"

#include "waymark/banned.h"

#define TRAIL_RETRY_MIN_MS 200
#define TRAIL_RETRY_MAX_MS 60000
#define TRAIL_MIN_BATCH_BYTES (64u * 1024u)
#define TRAIL_MAX_BATCH_RECORDS 1000000u
#define TRAIL_MAX_DIGEST_PERIOD_S 86400

/* ---- status ---- */

struct wm_wall_ns trail_now(const struct wm_trail *t)
{
    return wm_clock_wall(t->o.clock);
}

struct wm_mono_ns trail_mono(const struct wm_trail *t)
{
    return wm_clock_mono(t->o.clock);
}

void trail_hash_text(const uint8_t hash[WM_SHA256_BYTES], char out[WM_SHA256_HEX_BYTES + 1])
{
    wm_hex(hash, WM_SHA256_BYTES, out);
    out[WM_SHA256_HEX_BYTES] = '\0';
}

void trail_hash(struct wm_view bytes, char out[WM_SHA256_HEX_BYTES + 1])
{
    uint8_t hash[WM_SHA256_BYTES];
    wm_sha256(bytes.ptr, bytes.len, hash);
    trail_hash_text(hash, out);
}

static struct wm_wall_ns wall_or_never(int64_t s)
{
    return (struct wm_wall_ns){s ? s * WM_NS_PER_S : 0};
}

static struct wm_wall_ns trail_oldest_pending(struct wm_trail *t)
{
    struct wm_wall_ns oldest = {0};
    if (t->own.n_slots && wm_time_parse(wm_view_of(trail_slot(t, 0)->plan.oldest), &oldest) == WM_OK)
        return oldest;
    return t->own.batch.records ? t->own.batch.oldest : oldest;
}

static enum wm_status trail_post(struct wm_trail *t)
{
    const struct wm_ledger_head *h = wm_ledger_head(t->own.ledger);
    struct wm_board_trail *b = &t->own.board;
    b->started = wall_or_never(h->started_s);
    b->latest_delivery = wall_or_never(h->latest_delivery_s);
    b->latest_digest = wall_or_never(h->latest_digest_s);
    if (h->has_previous) {
        bool fits = wm_view_copy(wm_view_of(h->previous_bucket), b->digest_bucket, sizeof b->digest_bucket) &&
                    wm_view_copy(wm_view_of(h->previous_key), b->digest_key, sizeof b->digest_key) &&
                    wm_view_copy(wm_view_of(h->previous_hash), b->digest_hash, sizeof b->digest_hash);
        WM_ASSERT(fits); /* the ledger's are as large */
        b->digest_end = wall_or_never(h->digest_start_s);
    }
    b->before_records = h->before_records;
    b->delivered_records = h->delivered_records;
    b->filtered_records = h->filtered_records;
    b->missed_records = h->missed_records;
    b->cursor_seq = h->cursor_seq;
    b->oldest_pending = trail_oldest_pending(t);
    return wm_board_post_trail(t->o.board, b);
}

void trail_repost(struct wm_trail *t)
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
static int64_t trail_backoff_ms(const struct wm_trail *t, unsigned failures, int64_t retry_after_ms)
{
    int64_t most = t->o.retry_max_ms, ms = t->o.retry_min_ms;
    for (unsigned i = 1; i < failures && ms < most; i++)
        ms *= 2;
    if (ms > most)
        ms = most;
    uint32_t random;
    wm_random(&random, sizeof random);
    ms = ms / 2 + (int64_t)(random % (uint64_t)(ms / 2 + 1));
    return retry_after_ms > ms ? retry_after_ms : ms;
}

void trail_failed(struct wm_trail *t, struct trail_trouble *trouble, char *shown, const struct wm_err *err,
                  int64_t retry_after_ms)
{
    char reason[WM_ERR_CODE_BYTES];
    trail_set_error(reason, sizeof reason, err);
    if (trouble->failures < UINT32_MAX)
        trouble->failures++;
    if (!trouble->waiting || strcmp(reason, trouble->reason) != 0) /* once per cause, however often it is tried */
        wm_log(WM_EV_TRAIL_WAITING, "trail=%s reason=%s text=\"%s\"", t->name, reason, err->message);
    trouble->waiting = true;
    memcpy(trouble->reason, reason, sizeof reason);
    int64_t wait_ms = trail_backoff_ms(t, trouble->failures, retry_after_ms);
    trouble->not_before.ns = trail_mono(t).ns + wait_ms * WM_NS_PER_MS;
    if (shown) {
        memcpy(shown, reason, sizeof reason);
        trail_repost(t);
    }
}

void trail_progressed(struct wm_trail *t, struct trail_trouble *trouble, char *shown)
{
    if (!trouble->waiting)
        return;
    wm_log(WM_EV_TRAIL_RESUMED, "trail=%s after=%s", t->name, trouble->reason);
    *trouble = (struct trail_trouble){0};
    shown[0] = '\0';
    trail_repost(t);
}

bool trail_may_try(const struct wm_trail *t, const struct trail_trouble *trouble)
{
    return trail_mono(t).ns >= trouble->not_before.ns;
}

enum wm_status trail_booked(struct wm_trail *t, enum wm_status status)
{
    if (status == WM_E_CORRUPT)
        t->own.fatal = true;
    return status;
}

/* ---- the thread ---- */

/* @return WM_OK; WM_E_END (drain: everything is planned); what failed */
static enum wm_status trail_turn(struct wm_trail *t, bool drain, int64_t *out_idle_ms, struct wm_err *err)
{
    *out_idle_ms = TRAIL_POLL_MS;
    trail_tell_missed(t);
    if (!trail_may_try(t, &t->own.planning))
        return WM_OK;
    enum wm_status status = trail_tend_files(t, err);
    if (status == WM_OK) {
        trail_tend_digests(t, drain);
        status = trail_advance(t, drain, out_idle_ms, err);
    }
    if (status == WM_OK || status == WM_E_END)
        trail_progressed(t, &t->own.planning, t->own.board.latest_delivery_error);
    else if (!t->own.fatal)
        trail_failed(t, &t->own.planning, t->own.board.latest_delivery_error, err, 0);
    return status;
}

/* Until a worker is done, a stop is requested, something is to be tried again, or idle_ms have passed. */
static void trail_sleep(struct wm_trail *t, bool drain, int64_t idle_ms)
{
    const struct trail_trouble *const troubles[] = {&t->own.files, &t->own.digests, &t->own.planning, &t->own.telling};
    for (size_t i = 0; i < sizeof troubles / sizeof troubles[0]; i++) {
        int64_t left_ms = (troubles[i]->not_before.ns - trail_mono(t).ns + WM_NS_PER_MS - 1) / WM_NS_PER_MS;
        if (left_ms > 0 && left_ms < idle_ms)
            idle_ms = left_ms;
    }
    wm_mutex_lock(&t->locked.mu);
    if (idle_ms > 0 && !t->locked.any_done && (drain || !t->locked.stop))
        (void)wm_cond_wait_ms(&t->locked.wake, &t->locked.mu, idle_ms); /* whatever woke it, the next turn looks */
    t->locked.any_done = false;
    wm_mutex_unlock(&t->locked.mu);
}

static bool trail_stopping(struct wm_trail *t)
{
    wm_mutex_lock(&t->locked.mu);
    bool stop = t->locked.stop;
    wm_mutex_unlock(&t->locked.mu);
    return stop;
}

static bool trail_jobs_idle(struct wm_trail *t)
{
    bool idle = trail_job_idle(t, &t->own.claim) && trail_job_idle(t, &t->own.digest_job);
    for (size_t i = 0; i < t->own.n_slots; i++)
        idle = idle && trail_job_idle(t, &trail_slot(t, i)->job);
    return idle;
}

/* What failed will not get better: say so, and wait for the end. */
static void trail_stand_still(struct wm_trail *t, const struct wm_err *err)
{
    wm_log(WM_EV_TRAIL_FAILED, "trail=%s text=\"%s\"", t->name, err->message);
    trail_set_error(t->own.board.latest_delivery_error, sizeof t->own.board.latest_delivery_error, err);
    trail_repost(t);
    trail_reader_close(t);
    while (!trail_stopping(t))
        trail_sleep(t, false, 60000);
}

/* At a stop: what is durable by now and the store takes. Whatever fails now is for the next start. */
static void trail_drain(struct wm_trail *t)
{
    struct wm_err err = {0};
    enum wm_status status = WM_OK;
    int64_t idle_ms;
    struct trail_trouble *const troubles[] = {&t->own.files, &t->own.digests, &t->own.planning};
    unsigned failures[3];
    for (size_t i = 0; i < 3; i++) {
        troubles[i]->not_before = trail_mono(t); /* what waits is tried once more, at once */
        failures[i] = troubles[i]->failures;
    }
    while (!t->own.fatal) {
        status = trail_turn(t, true, &idle_ms, &err);
        if (troubles[0]->failures > failures[0] || troubles[2]->failures > failures[2])
            t->own.sending_over = true;
        if (trail_jobs_idle(t) && (t->own.sending_over || (status == WM_E_END && t->own.n_slots == 0)))
            break;
        trail_sleep(t, true, idle_ms);
    }
    if (!t->own.fatal && (status != WM_E_END || t->own.n_slots))
        wm_log(WM_EV_TRAIL_WAITING, "trail=%s text=\"stopping; what is left is delivered after the next start\"", t->name);
    while (!trail_jobs_idle(t)) { /* fatal: their results are for nobody */
        (void)trail_collected(t, &t->own.claim);
        (void)trail_collected(t, &t->own.digest_job);
        for (size_t i = 0; i < t->own.n_slots; i++)
            (void)trail_collected(t, &trail_slot(t, i)->job);
        trail_sleep(t, true, TRAIL_POLL_MS);
    }
}

static void *trail_run(void *arg)
{
    struct wm_trail *t = arg;
    WM_ASSERT(t->magic == TRAIL_MAGIC);
    while (!trail_stopping(t)) {
        struct wm_err err = {0};
        int64_t idle_ms;
        (void)trail_turn(t, false, &idle_ms, &err); /* has told what failed */
        if (t->own.fatal)
            trail_stand_still(t, &err);
        else if (idle_ms > 0)
            trail_repost(t);
        trail_sleep(t, false, idle_ms);
    }
    trail_drain(t);
    wm_mutex_lock(&t->locked.mu);
    t->locked.finished = true;
    wm_cond_broadcast(&t->locked.ended);
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
    if (o->late_after_ms < 0)
        return wm_fail(err, WM_E_INVALID, "late_after_ms is negative");
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
    for (size_t i = 0; i < TRAIL_MAX_SLOTS; i++)
        wm_buf_done(&t->own.slots[i].packed);
    wm_buf_done(&t->own.claim_key);
    wm_buf_done(&t->own.claim_body);
    wm_buf_done(&t->own.claim_absent);
    wm_buf_done(&t->own.digest_packed);
    wm_arena_done(&t->own.digest_arena);
    for (size_t i = 0; i < t->o.n_stores; i++)
        wm_store_free(t->o.stores[i]);
    wm_cond_done(&t->locked.ended);
    wm_cond_done(&t->locked.work);
    wm_cond_done(&t->locked.wake);
    wm_mutex_done(&t->locked.mu);
    free(t->name);
    free(t->account_id);
    free(t->region);
    free(t->prefix);
    free(t->follower);
    t->magic = 0;
    free(t);
}

static void trail_follower_name(struct wm_view trail, struct wm_buf *out)
{
    wm_buf_addf(out, "trail:%.*s", WM_ARG(trail));
}

enum wm_status wm_trail_hold(struct wm_journal *journal, struct wm_view name, struct wm_err *err)
{
    struct wm_buf follower;
    struct wm_journal_stats stats;
    wm_journal_stats(journal, &stats);
    wm_buf_init(&follower, 256);
    trail_follower_name(name, &follower);
    enum wm_status status = wm_buf_status(&follower);
    if (status == WM_OK) /* before the oldest entry it would count as paused */
        status = wm_journal_set_cursor(journal, wm_buf_cstr(&follower), stats.first_seq - 1);
    wm_buf_done(&follower);
    return status == WM_OK ? WM_OK : wm_fail(err, status, "the journal does not take the cursor of trail %.*s", WM_ARG(name));
}

static enum wm_status trail_copy_options(struct wm_trail *t, struct wm_err *err)
{
    struct wm_buf follower;
    wm_buf_init(&follower, 256);
    trail_follower_name(t->o.name, &follower);
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
    t->limits = (struct wm_batch_limits){t->o.batch_bytes, t->o.batch_records, t->o.batch_age_ms,
                                         t->o.late_after_ms ? t->o.batch_age_ms + t->o.late_after_ms : 0};
    t->file_naming = (struct wm_trail_naming){
        .prefix = t->o.prefix,
        .account_id = t->o.account_id,
        .region = t->o.region,
        .trail_name = t->o.name,
        .home_region = t->o.region,
        .codec = t->o.codec,
    };
    t->digest_naming = t->file_naming;
    t->digest_naming.codec = &wm_codec_gzip;
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
                wm_view_copy(wm_store_bucket(t->o.stores[0]), b->bucket, sizeof b->bucket) &&
                wm_view_copy(t->o.prefix, b->prefix, sizeof b->prefix) &&
                wm_view_copy(wm_view_of(t->o.codec->name), b->codec, sizeof b->codec);
    wm_buf_done(&arn);
    if (!fits)
        return wm_fail(err, WM_E_LIMIT, "trail %s: ARN, bucket or prefix is too long", t->name);
    enum wm_status status = trail_post(t);
    return status == WM_OK ? WM_OK : wm_fail(err, status, "the status board does not take trail %s", t->name);
}

/* A new ledger: under this name there may have been a trail before, which was stopped. */
static enum wm_status trail_begin(struct wm_trail *t, struct wm_err *err)
{
    bool logging = true;
    enum wm_status status = trail_logging_behind(t, wm_ledger_head(t->own.ledger)->cursor_seq, &logging, err);
    return status == WM_OK ? wm_ledger_begin(t->own.ledger, logging, err) : status;
}

static enum wm_status trail_open(struct wm_trail *t, struct wm_err *err)
{
    struct wm_journal_stats stats;
    struct wm_ledger_identity who = {t->o.name, t->o.account_id, t->o.region, {0}};
    uint64_t gone_seq;
    wm_journal_id(t->o.journal, who.journal_id);
    wm_journal_stats(t->o.journal, &stats);
    /* A new trail takes everything that the journal still has: better early records than missing ones. */
    enum wm_status status = wm_ledger_open(t->o.ledger_path, &who, stats.first_seq - 1, wm_wall_seconds(trail_now(t)),
                                           &t->own.ledger, err);
    if (status != WM_OK)
        return status;
    /* Going on here would leave out the records that get these numbers anew. */
    if (wm_ledger_planned_seq(t->own.ledger) > wm_journal_durable(t->o.journal))
        return wm_fail(err, WM_E_CORRUPT,
                       "ledger %s is at entry %llu, the journal ends at %llu: one of them is older than the other",
                       t->o.ledger_path, (unsigned long long)wm_ledger_planned_seq(t->own.ledger),
                       (unsigned long long)wm_journal_durable(t->o.journal));
    status = trail_hold(t, &gone_seq, err);
    if (status == WM_OK && t->o.may_pause)
        wm_journal_allow_pause(t->o.journal, t->follower);
    t->own.untold = true; /* perhaps: the first turn looks */
    if (status == WM_OK && !wm_ledger_head(t->own.ledger)->logging_known)
        status = trail_begin(t, err);
    trail_read_behind_plans(t);
    if (status == WM_OK)
        status = trail_find_files(t, err);
    if (status == WM_OK)
        status = trail_find_digest(t, err);
    if (status == WM_OK)
        status = trail_prepare_board(t, err);
    if (status == WM_OK)
        status = trail_prepare_claim(t, err);
    return status;
}

static struct wm_trail *trail_new(const struct wm_trail_options *o)
{
    struct wm_trail *t = calloc(1, sizeof *t);
    if (!t) {
        for (size_t i = 0; i < o->n_stores; i++)
            wm_store_free(o->stores[i]);
        return NULL;
    }
    t->magic = TRAIL_MAGIC;
    t->o = *o;
    wm_mutex_init(&t->locked.mu);
    wm_cond_init(&t->locked.wake);
    wm_cond_init(&t->locked.ended);
    wm_cond_init(&t->locked.work);
    for (size_t i = 0; i < TRAIL_MAX_SLOTS; i++)
        wm_buf_init(&t->own.slots[i].packed, TRAIL_MAX_PACKED_BYTES);
    wm_buf_init(&t->own.claim_key, WM_MAX_OBJECT_KEY_BYTES);
    wm_buf_init(&t->own.claim_body, 2048);
    wm_buf_init(&t->own.claim_absent, WM_MAX_OBJECT_KEY_BYTES);
    for (size_t i = 0; i < o->n_stores; i++)
        t->workers[i] = (struct trail_worker){.trail = t, .store = o->stores[i]};
    t->own.sealed_at = trail_mono(t);
    return t;
}

enum wm_status wm_trail_start(const struct wm_trail_options *o, struct wm_trail **out, struct wm_err *err)
{
    WM_ASSERT(o->n_stores >= 1 && o->n_stores <= WM_TRAIL_MAX_UPLOADS);
    struct wm_trail *t = trail_new(o);
    if (!t)
        return wm_fail(err, WM_E_NOMEM, "no memory for a trail");
    enum wm_status status = trail_check_options(o, err);
    if (status == WM_OK)
        status = trail_copy_options(t, err);
    if (status == WM_OK) {
        wm_batch_init(&t->own.batch, &t->limits);
        status = trail_open(t, err);
    }
    if (status == WM_OK) {
        wm_log(WM_EV_TRAIL_STARTED, "trail=%s bucket=%s codec=%s cursor=%llu files=%llu digests=%llu", t->name,
               t->own.board.bucket, t->own.board.codec, (unsigned long long)t->own.board.cursor_seq,
               (unsigned long long)wm_ledger_head(t->own.ledger)->delivered_files,
               (unsigned long long)wm_ledger_head(t->own.ledger)->sealed_digests);
        if (!t->own.logging)
            wm_log(WM_EV_LOGGING_STOPPED, "trail=%s seq=%llu", t->name, (unsigned long long)t->own.read_seq);
        status = trail_workers_start(t, err);
        char thread_name[16];
        (void)wm_view_copy(wm_view_sub(wm_view_of(t->follower), 0, sizeof thread_name - 1), thread_name,
                           sizeof thread_name); /* cut to what the system takes */
        if (status == WM_OK)
            status = wm_thread_start(&t->thread, thread_name, trail_run, t, err);
        if (status != WM_OK)
            trail_workers_stop(t);
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
    wm_mutex_lock(&t->locked.mu);
    t->locked.stop = true;
    wm_cond_signal(&t->locked.wake);
    while (!t->locked.finished && wm_cond_wait_ms(&t->locked.ended, &t->locked.mu, deadline_ms))
        ; /* a spurious wake-up only lengthens the wait */
    bool late = !t->locked.finished;
    wm_mutex_unlock(&t->locked.mu);
    if (late)
        for (size_t i = 0; i < t->o.n_stores; i++)
            wm_store_cancel(t->o.stores[i]);
    WM_PTOK(pthread_join(t->thread, NULL));
    trail_workers_stop(t);
    trail_free(t);
}
