/*
 * From the journal to planned files: read entries into a batch, and when that is full or old enough plan its file, write
 * the plan into the ledger, and leave the compressed content in a slot for the workers.
 *
 * Slots are filled in the order of the journal and leave in it. So much is in memory: a batch that grows, and the
 * compressed content of a slot each; when all slots are taken, nothing is read, however long the backlog is.
 *
 * After a restart the content of planned files is made again from the journal. When their entries are gone (trail.h),
 * the file may have reached the bucket before that: a worker looks. If not, they are missed, and of those that are left
 * a file is planned in its place.
 */
#include "trail_int.h"

#include "waymark/log.h"

#include "waymark/banned.h"

struct trail_slot *trail_slot(struct wm_trail *t, size_t index)
{
    return &t->own.slots[(t->own.first_slot + index) % TRAIL_MAX_SLOTS];
}

/* It fails only for want of memory for a new name, and ours is registered. */
enum wm_status trail_tell_journal(struct wm_trail *t, uint64_t seq, struct wm_err *err)
{
    enum wm_status status = wm_journal_set_cursor(t->o.journal, t->follower, seq);
    return status == WM_OK ? WM_OK : wm_fail(err, status, "the journal does not take the cursor of trail %s", t->name);
}

void trail_reader_close(struct wm_trail *t)
{
    wm_journal_reader_close(t->own.reader);
    t->own.reader = NULL;
    t->own.has_entry = false;
}

void trail_read_behind_plans(struct wm_trail *t)
{
    trail_reader_close(t);
    t->own.read_seq = wm_ledger_planned_seq(t->own.ledger);
    t->own.logging = wm_ledger_planned_logging(t->own.ledger);
}

/* ---- entries that have left the journal ---- */

/* While the journal keeps nothing for us it may retire entries at any moment: look again whether it still has what it
 * was asked to keep. */
enum wm_status trail_hold(struct wm_trail *t, uint64_t *out_gone_seq, struct wm_err *err)
{
    struct wm_journal_stats stats;
    uint64_t held_seq;
    wm_journal_stats(t->o.journal, &stats);
    do {
        held_seq = wm_ledger_head(t->own.ledger)->cursor_seq;
        if (stats.first_seq > held_seq + 1)
            held_seq = stats.first_seq - 1;
        enum wm_status status = trail_tell_journal(t, held_seq, err);
        if (status != WM_OK)
            return status;
        wm_journal_stats(t->o.journal, &stats);
    } while (stats.first_seq > held_seq + 1);
    *out_gone_seq = stats.first_seq - 1;
    return WM_OK;
}

/*
 * The first entry behind seq that switches the trail tells what it was before. Where there is none, it is what the state
 * says, which holds no entry that was not looked at.
 */
enum wm_status trail_logging_behind(struct wm_trail *t, uint64_t seq, bool *out, struct wm_err *err)
{
    struct wm_trail_logging now = {0};
    uint64_t last_seq = 0;
    struct wm_journal_reader *reader = NULL;
    bool switched = false, logging = true;
    enum wm_status status = WM_OK;
    if (t->o.recorder.logging)
        status = t->o.recorder.logging(t->o.recorder.ctx, t->o.name, &now, &last_seq, err);
    if (status == WM_OK && now.switched && seq < last_seq)
        status = wm_journal_reader_open(t->o.journal, seq, &reader, err);
    while (status == WM_OK && reader && !switched && seq < last_seq) {
        struct wm_entry e;
        status = wm_journal_reader_next(reader, &e, err);
        if (status == WM_OK)
            status = wm_trail_logging_switched(&e, t->o.name, &switched, &logging, err);
        seq++;
    }
    wm_journal_reader_close(reader);
    if (status == WM_OK)
        *out = switched ? !logging : !now.stopped;
    return status;
}

/*
 * Entries up to seq are gone: count them, and owe the record of it.
 * @param instead  as wm_ledger_missed() takes it   @param logging  is the trail behind them?
 */
static enum wm_status plan_miss(struct wm_trail *t, uint64_t seq, const struct wm_ledger_file_plan *instead,
                                bool logging, struct wm_err *err)
{
    uint64_t first_seq = wm_ledger_head(t->own.ledger)->cursor_seq + 1;
    enum wm_status status = trail_booked(t, wm_ledger_missed(t->own.ledger, seq, instead, logging, err));
    if (status != WM_OK)
        return status;
    t->own.untold = true;
    wm_log(WM_EV_TRAIL_MISSED, "trail=%s first_seq=%llu last_seq=%llu", t->name, (unsigned long long)first_seq,
           (unsigned long long)seq);
    trail_repost(t);
    return trail_tell_journal(t, seq, err);
}

void trail_tell_missed(struct wm_trail *t)
{
    struct wm_ledger_range missed;
    struct wm_err err = {0};
    if (!t->own.untold || !trail_may_try(t, &t->own.telling))
        return;
    enum wm_status status = wm_ledger_untold(t->own.ledger, &missed, &err);
    if (status == WM_E_NOT_FOUND) {
        t->own.untold = false;
        return;
    }
    if (status == WM_OK && t->o.recorder.event) {
        struct wm_buf details;
        wm_buf_init(&details, 1024);
        wm_buf_addf(&details, "{\"trailARN\":\"%s\",\"firstSequence\":%llu,\"lastSequence\":%llu,"
                              "\"missedRecords\":%llu%s%s}", t->own.board.arn, (unsigned long long)missed.first_seq,
                    (unsigned long long)missed.last_seq, (unsigned long long)(missed.last_seq - missed.first_seq + 1),
                    missed.stopped_before ? ",\"stoppedBefore\":true" : "",
                    missed.stopped_behind ? ",\"stoppedBehind\":true" : "");
        status = wm_buf_status(&details);
        if (status == WM_OK)
            status = t->o.recorder.event(t->o.recorder.ctx, t->o.name, "RecordsMissed", wm_buf_view(&details), &err);
        else
            (void)wm_fail(&err, status, "no memory to record what was missed");
        wm_buf_done(&details);
    }
    if (status == WM_OK)
        status = trail_booked(t, wm_ledger_told(t->own.ledger, missed.last_seq, wm_journal_durable(t->o.journal), &err));
    if (status == WM_OK)
        t->own.telling = (struct trail_trouble){0};
    else
        trail_failed(t, &t->own.telling, NULL, &err, 0);
}

/* ---- reading ---- */

static enum wm_status reader_failed(struct wm_trail *t, enum wm_status status)
{
    trail_reader_close(t);
    if (status == WM_E_CORRUPT)
        t->own.fatal = true; /* damaged entries do not come back */
    return status;
}

/*
 * The next entry has left the journal. What was read before it is delivered first, since its place is before the gap.
 * @param out_wait  nothing can be read before that
 */
static enum wm_status read_on(struct wm_trail *t, bool *out_wait, struct wm_err *err)
{
    uint64_t gone_seq;
    bool logging;
    *out_wait = t->own.batch.first_seq || t->own.n_slots;
    if (*out_wait)
        return WM_OK;
    enum wm_status status = trail_hold(t, &gone_seq, err);
    if (status != WM_OK || gone_seq <= t->own.read_seq)
        return status; /* it was not gone for good */
    status = trail_logging_behind(t, gone_seq, &logging, err);
    if (status == WM_OK)
        status = plan_miss(t, gone_seq, NULL, logging, err);
    if (status == WM_OK)
        trail_read_behind_plans(t);
    return status;
}

/* @return WM_E_END: nothing more is durable; WM_E_NOT_FOUND: it is gone */
static enum wm_status read_entry(struct wm_trail *t, struct wm_err *err)
{
    enum wm_status status = WM_OK;
    if (t->own.has_entry)
        return WM_OK;
    if (!t->own.reader)
        status = wm_journal_reader_open(t->o.journal, t->own.read_seq, &t->own.reader, err);
    if (status == WM_OK)
        status = wm_journal_reader_next(t->own.reader, &t->own.entry, err);
    if (status == WM_E_END)
        return status;
    if (status != WM_OK)
        return reader_failed(t, status);
    WM_ASSERT(t->own.entry.seq == t->own.read_seq + 1); /* none left out, none twice */
    t->own.has_entry = true;
    return WM_OK;
}

/* A file ends behind the record of StopLogging; and what is passed over is booked from time to time. */
static bool batch_full(const struct wm_trail *t)
{
    const struct wm_batch *b = &t->own.batch;
    return wm_batch_full(b) || (b->records && !t->own.logging) || b->filtered >= t->limits.records;
}

/*
 * The entry that was read, into the batch. A trail that is stopped takes nothing of it, but for that which starts it, and
 * with that begins a file. So a file never spans a stop: whatever its plan covers is in it, and its content needs nothing
 * but plan and journal.
 * @return WM_E_FULL: what is in the batch comes first
 */
static enum wm_status plan_take(struct wm_trail *t, struct wm_wall_ns wall, struct wm_mono_ns mono, struct wm_err *err)
{
    struct wm_entry e = t->own.entry;
    bool switched, logging = t->own.logging;
    enum wm_status status = wm_trail_logging_switched(&e, t->o.name, &switched, &logging, err);
    if (status != WM_OK)
        return status;
    if (!t->own.logging && switched && t->own.batch.first_seq)
        return WM_E_FULL;
    if (!t->own.logging && !switched)
        e.record = WM_EMPTY;
    status = wm_batch_add(&t->own.batch, &e, wall, mono, err);
    if (status != WM_OK)
        return status;
    if (logging != t->own.logging)
        wm_log(logging ? WM_EV_LOGGING_STARTED : WM_EV_LOGGING_STOPPED, "trail=%s seq=%llu", t->name,
               (unsigned long long)e.seq);
    t->own.logging = logging;
    t->own.read_seq = e.seq;
    t->own.has_entry = false;
    return WM_OK;
}

/* Take entries into the batch until it is full or nothing more is durable. *out_full: plan what is there. */
static enum wm_status plan_read(struct wm_trail *t, bool *out_full, struct wm_err *err)
{
    struct wm_wall_ns wall = trail_now(t);
    struct wm_mono_ns mono = trail_mono(t);
    *out_full = batch_full(t);
    while (!*out_full) { /* bounded by the size of a batch */
        enum wm_status status = read_entry(t, err);
        if (status == WM_E_END)
            return WM_OK;
        if (status == WM_E_NOT_FOUND) {
            bool wait;
            status = read_on(t, &wait, err);
            *out_full = wait && t->own.batch.first_seq;
            if (status != WM_OK || wait)
                return status;
            continue;
        }
        if (status == WM_OK)
            status = plan_take(t, wall, mono, err);
        if (status == WM_E_FULL) {
            *out_full = true;
            return WM_OK;
        }
        if (status == WM_E_CORRUPT)
            t->own.fatal = true;
        if (status != WM_OK)
            return status;
        *out_full = batch_full(t);
    }
    return WM_OK;
}

/* ---- planning ---- */

static struct trail_slot *slot_push(struct wm_trail *t)
{
    WM_ASSERT(t->own.n_slots < TRAIL_MAX_SLOTS);
    struct trail_slot *s = trail_slot(t, t->own.n_slots++);
    s->stored = s->gone = s->absent = false;
    s->content_bytes = 0;
    wm_buf_clear(&s->packed);
    return s;
}

void trail_slot_pop(struct wm_trail *t)
{
    WM_ASSERT(t->own.n_slots > 0 && trail_job_idle(t, &trail_slot(t, 0)->job));
    t->own.first_slot = (t->own.first_slot + 1) % TRAIL_MAX_SLOTS;
    t->own.n_slots--;
}

enum wm_status trail_find_files(struct wm_trail *t, struct wm_err *err)
{
    uint64_t after_seq = 0;
    enum wm_status status;
    struct wm_ledger_file_plan p;
    while ((status = wm_ledger_file_plan(t->own.ledger, after_seq, &p, err)) == WM_OK) {
        if (t->own.n_slots == TRAIL_MAX_SLOTS)
            return wm_fail(err, WM_E_CORRUPT, "ledger %s has more planned files than there can be", t->o.ledger_path);
        slot_push(t)->plan = p;
        after_seq = p.last_seq;
    }
    return status == WM_E_NOT_FOUND ? WM_OK : status;
}

static void batch_reset(struct wm_trail *t)
{
    if (t->own.batch.repeats) { /* without our limits */
        wm_batch_done(&t->own.batch);
        wm_batch_init(&t->own.batch, &t->limits);
    } else {
        wm_batch_clear(&t->own.batch);
    }
}

/* The closed batch's content, compressed, into the slot; the batch is empty then. */
static enum wm_status plan_pack(struct wm_trail *t, struct trail_slot *s, struct wm_err *err)
{
    const struct wm_codec *codec = wm_codec_by_name(wm_view_of(s->plan.codec));
    if (!codec)
        return wm_fail(err, WM_E_UNSUPPORTED, "%s is planned with codec %s, which this program does not know",
                       s->plan.key, s->plan.codec);
    wm_buf_clear(&s->packed);
    enum wm_status status = codec->compress(s->plan.level, wm_buf_view(&t->own.batch.body), &s->packed, err);
    s->content_bytes = t->own.batch.body.len;
    if (status != WM_OK)
        wm_buf_clear(&s->packed); /* it is made again from the journal */
    batch_reset(t);
    return status;
}

/* What the plan says of the closed batch, and a new key. @param logging  is the trail behind it? */
static enum wm_status plan_fill(struct wm_trail *t, struct wm_ledger_file_plan *p, bool logging, struct wm_err *err)
{
    const struct wm_batch *b = &t->own.batch;
    char unique[WM_TRAIL_FILE_UNIQUE_CHARS + 1];
    struct wm_buf key;
    p->first_seq = b->first_seq;
    p->last_seq = b->last_seq;
    p->records = b->records;
    p->filtered = b->filtered;
    p->logging = logging;
    p->late_before = b->late_before;
    p->level = t->o.codec_level;
    trail_hash_text(b->sha256, p->hash);
    wm_time_iso(b->newest, p->newest);
    wm_time_iso(b->oldest, p->oldest);
    wm_trail_file_unique(p->number, unique);
    wm_buf_init(&key, WM_MAX_OBJECT_KEY_BYTES);
    wm_trail_file_key(&t->file_naming, wm_wall_from_seconds(p->delivered_s), unique, &key);
    enum wm_status status = wm_buf_status(&key);
    if (status != WM_OK) {
        (void)wm_fail(err, status, "the key of a trail file is too long");
    } else {
        bool fits = wm_view_copy(wm_buf_view(&key), p->key, sizeof p->key) &&
                    wm_view_copy(wm_view_of(t->o.codec->name), p->codec, sizeof p->codec);
        WM_ASSERT(fits);
    }
    wm_buf_done(&key);
    return status;
}

static enum wm_status plan_skip(struct wm_trail *t, struct wm_err *err)
{
    uint64_t last_seq = t->own.batch.last_seq;
    enum wm_status status = trail_booked(t, wm_ledger_skip(t->own.ledger, last_seq, t->own.batch.filtered, err));
    if (status != WM_OK)
        return status;
    wm_batch_clear(&t->own.batch);
    trail_repost(t);
    return trail_tell_journal(t, last_seq, err);
}

static enum wm_status plan_file(struct wm_trail *t, struct wm_err *err)
{
    struct wm_batch *b = &t->own.batch;
    const struct wm_ledger_head *h = wm_ledger_head(t->own.ledger);
    enum wm_status status = wm_batch_close(b, err);
    if (status != WM_OK)
        return status;
    struct wm_ledger_file_plan p = {.number = h->planned_files, .delivered_s = wm_wall_seconds(trail_now(t))};
    if (p.delivered_s < h->planned_s)
        p.delivered_s = h->planned_s;
    if (p.delivered_s <= trail_sealed_until_s(t))
        p.delivered_s = trail_sealed_until_s(t) + 1;
    status = plan_fill(t, &p, t->own.logging, err);
    if (status == WM_OK)
        status = trail_booked(t, wm_ledger_plan_file(t->own.ledger, &p, err));
    if (status != WM_OK)
        return status;
    struct trail_slot *s = slot_push(t);
    s->plan = p;
    return plan_pack(t, s, err);
}

/* ---- planned files, after a restart ---- */

/* @return WM_E_NOT_FOUND: first_seq has left the journal */
static enum wm_status plan_repeat(struct wm_trail *t, const struct wm_ledger_file_plan *p, uint64_t first_seq,
                                  struct wm_err *err)
{
    struct wm_journal_reader *reader = NULL;
    struct wm_entry e;
    wm_batch_repeat(&t->own.batch, p->late_before);
    enum wm_status status = wm_journal_reader_open(t->o.journal, first_seq - 1, &reader, err);
    while (status == WM_OK && t->own.batch.last_seq < p->last_seq) {
        status = wm_journal_reader_next(reader, &e, err);
        if (status == WM_E_END)
            status = wm_fail(err, WM_E_CORRUPT, "entry %llu of a planned file is not in the journal",
                             (unsigned long long)t->own.batch.last_seq + 1);
        if (status == WM_OK)
            status = wm_batch_add(&t->own.batch, &e, trail_now(t), trail_mono(t), err);
    }
    wm_journal_reader_close(reader);
    if (status == WM_OK && t->own.batch.records)
        status = wm_batch_close(&t->own.batch, err);
    if (status == WM_E_CORRUPT)
        t->own.fatal = true;
    if (status != WM_OK)
        batch_reset(t);
    return status;
}

static enum wm_status slot_refill(struct wm_trail *t, struct trail_slot *s, struct wm_err *err)
{
    char hash[WM_SHA256_HEX_BYTES + 1];
    enum wm_status status = plan_repeat(t, &s->plan, s->plan.first_seq, err);
    if (status == WM_E_NOT_FOUND) {
        s->gone = true;
        return WM_OK;
    }
    if (status != WM_OK)
        return status;
    trail_hash_text(t->own.batch.sha256, hash);
    if (strcmp(hash, s->plan.hash) != 0) {
        t->own.fatal = true;
        return wm_fail(err, WM_E_CORRUPT, "entries %llu to %llu of the journal are not what %s was planned from",
                       (unsigned long long)s->plan.first_seq, (unsigned long long)s->plan.last_seq, s->plan.key);
    }
    return plan_pack(t, s, err);
}

/* The oldest file is not in the bucket, and not all of its entries are in the journal. */
static enum wm_status slot_settle(struct wm_trail *t, struct trail_slot *s, struct wm_err *err)
{
    struct wm_ledger_file_plan instead = {.number = s->plan.number, .delivered_s = s->plan.delivered_s};
    uint64_t gone_seq, last_seq = s->plan.last_seq;
    bool left = false, logging = s->plan.logging;
    enum wm_status status = trail_hold(t, &gone_seq, err);
    if (status != WM_OK)
        return status;
    WM_ASSERT(gone_seq >= s->plan.first_seq); /* what has left the journal does not come back */
    if (gone_seq < last_seq) {
        status = plan_repeat(t, &s->plan, gone_seq + 1, err);
        left = status == WM_OK && t->own.batch.records > 0;
    } else if (t->own.n_slots == 1) {
        last_seq = gone_seq; /* one gap, one range */
        status = trail_logging_behind(t, gone_seq, &logging, err);
    }
    if (status == WM_OK && left)
        status = plan_fill(t, &instead, logging, err);
    if (status == WM_OK) /* of a file's records but the first, each stands behind one while the trail was logging */
        status = plan_miss(t, left ? gone_seq : last_seq, left ? &instead : NULL, left || logging, err);
    if (status != WM_OK)
        return status == WM_E_NOT_FOUND ? WM_OK : status; /* more of it is gone by now: once more */
    if (left) {
        s->plan = instead;
        s->gone = s->absent = false;
        return plan_pack(t, s, err);
    }
    batch_reset(t);
    trail_slot_pop(t);
    return WM_OK;
}

/* ---- what is next ---- */

/* @return WM_OK, *out_done: every planned file has its content or is in the bucket */
static enum wm_status advance_planned(struct wm_trail *t, bool *out_done, struct wm_err *err)
{
    *out_done = true;
    if (t->own.n_slots && trail_slot(t, 0)->absent)
        return slot_settle(t, trail_slot(t, 0), err);
    for (size_t i = 0; i < t->own.n_slots; i++) {
        struct trail_slot *s = trail_slot(t, i);
        if (s->stored || s->packed.len)
            continue;
        *out_done = false;
        if (!s->gone)
            return slot_refill(t, s, err);
    }
    return WM_OK;
}

enum wm_status trail_advance(struct wm_trail *t, bool drain, int64_t *out_idle_ms, struct wm_err *err)
{
    bool done, full;
    *out_idle_ms = TRAIL_POLL_MS;
    size_t n_slots = t->own.n_slots;
    enum wm_status status = advance_planned(t, &done, err);
    if (status != WM_OK)
        return status;
    if (t->own.n_slots != n_slots) {
        *out_idle_ms = 0;
        return WM_OK;
    }
    if (!done || t->own.n_slots > t->o.n_stores)
        return WM_OK;
    if (t->own.read_seq < wm_ledger_planned_seq(t->own.ledger))
        trail_read_behind_plans(t);
    status = plan_read(t, &full, err);
    if (status != WM_OK)
        return status;
    int64_t due_ms = wm_batch_due_ms(&t->own.batch, trail_mono(t));
    if (t->own.batch.first_seq == 0 && drain)
        return wm_fail(err, WM_E_END, "everything is planned");
    if (!full && !drain && due_ms > 0) {
        if (due_ms < *out_idle_ms)
            *out_idle_ms = due_ms;
        return WM_OK;
    }
    if (t->own.batch.records == 0 && t->own.n_slots)
        return WM_OK; /* nothing for this trail, and the ledger counts it behind the files */
    *out_idle_ms = 0;
    return t->own.batch.records ? plan_file(t, err) : plan_skip(t, err);
}
