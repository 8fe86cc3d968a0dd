#include "waymark/recorder.h"

#include <stdio.h>
#include <stdlib.h>

#include "recorder/fold.h"
#include "waymark/bounds.h"
#include "waymark/hash.h"
#include "waymark/log.h"
#include "waymark/record.h"
#include "waymark/sync.h"

#include "waymark/banned.h"

#define RECORDER_MAGIC 0x57524543u
/* The copy trails the journal by this much. Polling costs 5 wake-ups a second; a signal would cost one per commit, and a
 * transaction for each commit a second sync on the disk that calls wait for. */
#define FOLLOW_POLL_MS 200
/* In one transaction: many, since each is synced and writes each document once. */
#define FOLLOW_MAX_ENTRIES 65536
/* A copy that cannot be written is tried again after this long; meanwhile the journal keeps what it lacks. */
#define FOLLOW_RETRY_MS 2000

/* Calls that left no record. */
struct gap {
    uint64_t refused;
    uint64_t answered;
    struct wm_wall_ns first, last;
    char reason[WM_ERR_MESSAGE_BYTES]; /* of the first */
};

struct recorder {
    struct wm_recorder face; /* first: what callers hold */
    unsigned magic;
    const struct wm_clock *clock;
    char *account_id; /* not NULL once open */
    char *region;
    pthread_t follower;
    bool follower_runs;
    struct wm_stop stop;
    atomic_bool failure_logged;
    atomic_bool refusing; /* the journal took no entry the last time, and the log says so */
    bool counts_differ;   /* and the log says so */
    struct wm_mutex gap_mu;
    struct gap gap; /* under gap_mu: not recorded yet */
    struct fold *fold; /* NULL: off */
    /* the follower's, handed over by open and back to close */
    struct wm_journal_reader *reader;
    uint64_t cursor;
};

static struct recorder *recorder_of(struct wm_recorder *r)
{
    struct recorder *full = (struct recorder *)r;
    WM_ASSERT(full->magic == RECORDER_MAGIC);
    return full;
}

/* ---- a journal that failed ---- */

static void note_failure(struct recorder *r, const struct wm_err *why)
{
    if (!atomic_exchange(&r->failure_logged, true)) /* thousands of calls may learn of it */
        wm_log(WM_EV_JOURNAL_FAILED, "reason=\"%s\"", why->message);
}

/* Calls are refused because the journal takes no entries, or no longer: told once, since each call may learn of it. What
 * is wrong with one entry alone says nothing of the next. */
static void note_append(struct recorder *r, enum wm_status status, const struct wm_err *why)
{
    if (status == WM_E_FAILED)
        note_failure(r, why);
    else if (status == WM_E_FULL || status == WM_E_IO || status == WM_E_DENIED) {
        if (!atomic_exchange(&r->refusing, true))
            wm_log(WM_EV_JOURNAL_REFUSES, "reason=\"%s\"", why->message);
    } else if (status == WM_OK && atomic_load_explicit(&r->refusing, memory_order_relaxed) &&
               atomic_exchange(&r->refusing, false)) {
        wm_log(WM_EV_JOURNAL_ACCEPTS, "reason=\"there is room again\"");
    }
}

/* ---- what the service itself does ---- */

/* Under the state's lock, where a change, or what a trail is at this point of the journal, matters. */
static enum wm_status append_event(struct wm_recorder *face, const struct wm_entry *e, struct wm_view trail,
                                   uint64_t *out_seq, struct wm_err *err)
{
    struct wm_trail_logging logging = {0};
    bool locks = e->n_changes || trail.len;
    enum wm_status status = WM_OK;
    if (locks)
        wm_state_lock(face->state);
    if (trail.len)
        status = wm_trail_logging_get(face->state, trail, &logging, err);
    if (status == WM_OK && logging.stopped)
        status = wm_fail(err, WM_E_UNAVAILABLE, "the trail is stopped; %.*s is recorded when it is started again",
                         WM_ARG(e->event_name));
    if (status == WM_OK && e->n_changes)
        status = wm_state_reserve(face->state, e->changes, e->n_changes, err);
    if (status == WM_OK) {
        status = wm_journal_append(face->journal, e, out_seq, err);
        if (status != WM_OK) /* that it fits into the room kept for it says nothing of calls */
            note_append(recorder_of(face), status, err);
    }
    if (status == WM_OK && e->n_changes)
        wm_state_apply(face->state, e->changes, e->n_changes);
    if (locks)
        wm_state_unlock(face->state);
    return status;
}

/* @param change  NULL: none   @param trail  empty: recorded whatever the trails are */
static enum wm_status record_event(struct wm_recorder *face, const char *event_name, struct wm_view details,
                                   const struct wm_change *change, struct wm_view trail, struct wm_err *err)
{
    struct recorder *r = recorder_of(face);
    char event_id[WM_UUID_BYTES];
    struct wm_view source = WM_LIT(WM_RECORDER_SOURCE);
    WM_ASSERT(details.len >= 2 && details.ptr[0] == '{');
    wm_uuid(event_id);
    const struct wm_record record = {
        .identity = {.type = WM_IDENTITY_SERVICE, .account_id = wm_view_of(r->account_id), .invoked_by = source},
        .event_time = wm_clock_wall(r->clock),
        .event_source = source,
        .event_name = wm_view_of(event_name),
        .region = wm_view_of(r->region),
        .source_ip = source,
        .user_agent = source,
        .event_id = WM_LIT(event_id),
        .account_id = wm_view_of(r->account_id),
        .service_event_details = details,
    };
    struct wm_buf text;
    struct wm_err why = {0};
    uint64_t seq = 0;
    wm_buf_init(&text, WM_MAX_RECORD_BYTES);
    enum wm_status status = wm_record_encode(&record, &text);
    if (status != WM_OK) {
        status = wm_fail(&why, status, "no memory to record %s", event_name);
    } else {
        const struct wm_entry entry = {
            .time = record.event_time,
            .flags = WM_ENTRY_SERVICE,
            .event_source = source,
            .event_name = record.event_name,
            .principal = source,
            .record = wm_buf_view(&text),
            .changes = change,
            .n_changes = change ? 1 : 0,
        };
        status = append_event(face, &entry, trail, &seq, &why);
    }
    wm_buf_done(&text);
    if (status == WM_OK)
        return wm_recorder_commit(face, seq, err);
    if (err)
        *err = why;
    return status;
}

enum wm_status wm_recorder_event(struct wm_recorder *r, const char *event_name, struct wm_view details,
                                 struct wm_err *err)
{
    return record_event(r, event_name, details, NULL, WM_EMPTY, err);
}

enum wm_status wm_recorder_event_change(struct wm_recorder *r, const char *event_name, struct wm_view details,
                                        const struct wm_change *change, struct wm_err *err)
{
    return record_event(r, event_name, details, change, WM_EMPTY, err);
}

enum wm_status wm_recorder_event_of_trail(struct wm_recorder *r, struct wm_view trail, const char *event_name,
                                          struct wm_view details, struct wm_err *err)
{
    return record_event(r, event_name, details, NULL, trail, err);
}

enum wm_status wm_recorder_logging(struct wm_recorder *r, struct wm_view trail, struct wm_trail_logging *out,
                                   uint64_t *out_seq, struct wm_err *err)
{
    wm_state_lock(r->state);
    enum wm_status status = wm_trail_logging_get(r->state, trail, out, err);
    uint64_t seq = wm_journal_appended(r->journal);
    wm_state_unlock(r->state);
    if (status == WM_OK)
        status = wm_recorder_commit(r, seq, err);
    if (status == WM_OK)
        *out_seq = seq;
    return status;
}

static enum wm_status record_notice(struct recorder *r, const struct wm_journal_notice *n, struct wm_err *err)
{
    struct wm_buf details;
    wm_buf_init(&details, 4096);
    wm_buf_add_str(&details, "{\"follower\":");
    wm_json_write_string(&details, wm_view_of(n->follower));
    wm_buf_addf(&details, ",\"firstSequence\":%llu", (unsigned long long)n->first_seq);
    if (n->pause) {
        wm_buf_addf(&details, ",\"lastSequence\":%llu,\"reason\":", (unsigned long long)n->last_seq);
        wm_json_write_string(&details, wm_view_of(n->why.message));
    }
    wm_buf_add_str(&details, "}");
    enum wm_status status = wm_buf_status(&details);
    if (status == WM_OK)
        status = wm_recorder_event(&r->face, n->pause ? "FollowerPaused" : "FollowerResumed", wm_buf_view(&details), err);
    wm_buf_done(&details);
    return status;
}

static void tend_followers(struct recorder *r)
{
    struct wm_journal_notice n;
    while (wm_journal_notice(r->face.journal, &n)) {
        struct wm_err err = {0};
        if (record_notice(r, &n, &err) != WM_OK)
            return; /* asked again soon; the log knows why nothing can be recorded */
        if (n.pause)
            wm_log(WM_EV_FOLLOWER_PAUSED, "follower=%s first_seq=%llu last_seq=%llu reason=\"%s\"", n.follower,
                   (unsigned long long)n.first_seq, (unsigned long long)n.last_seq, n.why.message);
        else
            wm_log(WM_EV_FOLLOWER_RESUMED, "follower=%s first_seq=%llu", n.follower, (unsigned long long)n.first_seq);
        wm_journal_noticed(r->face.journal, &n);
    }
}

void wm_recorder_unrecorded(struct wm_recorder *face, const struct wm_err *why, bool answered)
{
    struct recorder *r = recorder_of(face);
    struct wm_wall_ns now = wm_clock_wall(r->clock);
    wm_mutex_lock(&r->gap_mu);
    if (r->gap.refused + r->gap.answered == 0) {
        r->gap.first = now;
        memcpy(r->gap.reason, why->message, sizeof r->gap.reason);
    }
    r->gap.last = now;
    if (answered)
        r->gap.answered++;
    else
        r->gap.refused++;
    wm_mutex_unlock(&r->gap_mu);
}

static enum wm_status record_gap(struct recorder *r, const struct gap *gap)
{
    char first[WM_TIME_ISO_BYTES], last[WM_TIME_ISO_BYTES];
    struct wm_buf details;
    wm_time_iso(gap->first, first);
    wm_time_iso(gap->last, last);
    wm_buf_init(&details, 4096);
    wm_buf_addf(&details, "{\"firstTime\":\"%s\",\"lastTime\":\"%s\",\"refusedCalls\":%llu,\"answeredReads\":%llu,"
                          "\"reason\":", first, last, (unsigned long long)gap->refused,
                (unsigned long long)gap->answered);
    wm_json_write_string(&details, wm_view_of(gap->reason));
    wm_buf_add_str(&details, "}");
    enum wm_status status = wm_buf_status(&details);
    if (status == WM_OK)
        status = wm_recorder_event(&r->face, "CallsUnrecorded", wm_buf_view(&details), NULL); /* the log knows of it */
    wm_buf_done(&details);
    return status;
}

/* Calls were not recorded: say how many, once it is over. */
static void tend_gap(struct recorder *r)
{
    wm_mutex_lock(&r->gap_mu);
    const struct gap gap = r->gap;
    r->gap.refused = r->gap.answered = 0; /* what comes meanwhile is the next one's */
    wm_mutex_unlock(&r->gap_mu);
    if (gap.refused + gap.answered == 0 || record_gap(r, &gap) == WM_OK)
        return;
    wm_mutex_lock(&r->gap_mu);
    if (r->gap.refused + r->gap.answered == 0)
        r->gap.last = gap.last;
    r->gap.refused += gap.refused;
    r->gap.answered += gap.answered;
    r->gap.first = gap.first;
    memcpy(r->gap.reason, gap.reason, sizeof gap.reason);
    wm_mutex_unlock(&r->gap_mu);
}

/* ---- refused calls that are folded ---- */

bool wm_recorder_fold(struct wm_recorder *face, const struct wm_refused_call *c)
{
    struct recorder *r = recorder_of(face);
    return r->fold && fold_count(r->fold, c);
}

void wm_recorder_fold_begin(struct wm_recorder *face, const struct wm_refused_call *c)
{
    struct recorder *r = recorder_of(face);
    if (r->fold)
        fold_begin(r->fold, c);
}

struct wm_fold_counts wm_recorder_fold_counts(struct wm_recorder *face)
{
    struct recorder *r = recorder_of(face);
    return r->fold ? fold_counts(r->fold) : (struct wm_fold_counts){0};
}

/* One event for each window that is over, or for all. What could not be recorded is kept for the next time. */
static enum wm_status tend_folds(struct recorder *r, bool all)
{
    struct fold_window *w;
    enum wm_status status = WM_OK;
    while (status == WM_OK && r->fold && (w = fold_take(r->fold, all)) != NULL) {
        struct wm_buf details;
        wm_buf_init(&details, WM_MAX_PARAMETERS_BYTES);
        fold_write(w, &details);
        status = wm_buf_status(&details);
        if (status == WM_OK)
            status = wm_recorder_event(&r->face, "RefusedCallsFolded", wm_buf_view(&details), NULL); /* the log knows of it */
        fold_give_back(r->fold, w, status == WM_OK);
        wm_buf_done(&details);
    }
    return status;
}

void wm_recorder_fold_end(struct wm_recorder *face)
{
    (void)tend_folds(recorder_of(face), true); /* what is left is tried again when the recorder is closed */
}

static void tend(struct recorder *r)
{
    tend_followers(r);
    if (wm_journal_has_room(r->face.journal)) {
        tend_gap(r);
        (void)tend_folds(r, false); /* asked again soon */
    }
}

/* ---- the follower ---- */

/* Every entry is counted once, or the log says otherwise. */
static void check_counts(struct recorder *r)
{
    struct wm_state_counts c;
    wm_state_counts(r->face.state, &c);
    if (wm_state_counts_add_up(&c) || r->counts_differ)
        return;
    r->counts_differ = true;
    wm_log(WM_EV_COUNTS_DIFFER, "seq=%llu reads=%llu changes=%llu refused=%llu service=%llu earlier=%llu",
           (unsigned long long)c.seq, (unsigned long long)c.reads, (unsigned long long)c.changes,
           (unsigned long long)c.refused, (unsigned long long)c.service, (unsigned long long)c.earlier);
}

/* @return WM_E_END when there was nothing to do */
static enum wm_status follow_once(struct recorder *r, bool memory_too, struct wm_err *err)
{
    enum wm_status status;
    if (!r->reader) {
        status = wm_journal_reader_open(r->face.journal, r->cursor, &r->reader, err);
        if (status != WM_OK)
            return status;
    }
    status = wm_state_follow(r->face.state, r->reader, FOLLOW_MAX_ENTRIES, memory_too, &r->cursor, err);
    if (status == WM_OK) {
        enum wm_status moved = wm_journal_set_cursor(r->face.journal, "state", r->cursor);
        WM_ASSERT(moved == WM_OK); /* registered, and read from this very journal */
        check_counts(r);
    } else if (status != WM_E_END) {
        wm_journal_reader_close(r->reader); /* reads on from the copy's cursor */
        r->reader = NULL;
    }
    return status;
}

/* Is it to go on without a rest? When it is far behind, or perhaps the one that keeps a segment from being retired. */
static bool is_urgent(struct recorder *r)
{
    return wm_journal_durable(r->face.journal) - r->cursor >= FOLLOW_MAX_ENTRIES || !wm_journal_has_room(r->face.journal);
}

static void *follower_run(void *arg)
{
    struct recorder *r = arg;
    WM_ASSERT(r->magic == RECORDER_MAGIC);
    enum wm_status last = WM_OK;
    for (;;) {
        struct wm_err err = {0}, why;
        bool stopping = wm_stop_requested(&r->stop); /* asked first: what came before the request is followed */
        tend(r);
        enum wm_status status = follow_once(r, false, &err);
        if (status == WM_OK) {
            last = WM_OK;
            if (!is_urgent(r))
                (void)wm_stop_wait_ms(&r->stop, FOLLOW_POLL_MS); /* asked again above */
            continue;
        }
        if (status == WM_E_END) {
            if (wm_journal_failed(r->face.journal, &why)) /* perhaps with no call that would learn of it */
                note_failure(r, &why);
            if (stopping)
                return NULL;
            (void)wm_stop_wait_ms(&r->stop, FOLLOW_POLL_MS); /* asked again above */
            continue;
        }
        if (status != last)
            wm_log(WM_EV_STATE_FAILED, "cursor=%llu reason=\"%s\"", (unsigned long long)r->cursor, err.message);
        last = status;
        if (stopping)
            return NULL;
        for (int64_t ms = 0; ms < FOLLOW_RETRY_MS && !wm_stop_wait_ms(&r->stop, FOLLOW_POLL_MS); ms += FOLLOW_POLL_MS)
            tend(r);
    }
}

/* ---- open and close ---- */

static enum wm_status open_journal(struct recorder *r, const struct wm_recorder_options *o,
                                   struct wm_journal_recovery *found, struct wm_err *err)
{
    char dir[WM_MAX_PATH_BYTES];
    int n = snprintf(dir, sizeof dir, "%s/journal", o->data_dir);
    if (n < 0 || (size_t)n >= sizeof dir)
        return wm_fail(err, WM_E_LIMIT, "the data folder's path is longer than %u bytes", WM_MAX_PATH_BYTES);
    struct wm_journal_options options = {
        .dir = dir,
        .io = o->io,
        .clock = o->clock,
        .segment_bytes = o->segment_bytes,
        .max_bytes = o->max_journal_bytes,
        .ballast_bytes = o->ballast_bytes,
        .known_seq = r->cursor,
    };
    enum wm_status status = wm_journal_open(&options, &r->face.journal, found, err);
    if (status == WM_E_CORRUPT)
        wm_log(WM_EV_JOURNAL_DAMAGED, "segment=%s seq=%llu", found->damaged_path,
               (unsigned long long)found->damaged_seq);
    if (status != WM_OK)
        return status;
    if (found->cut_bytes)
        wm_log(WM_EV_JOURNAL_TAIL_CUT, "bytes=%llu next_seq=%llu", (unsigned long long)found->cut_bytes,
               (unsigned long long)found->next_seq);
    return WM_OK;
}

static enum wm_status open_state(struct recorder *r, const struct wm_recorder_options *o, struct wm_err *err)
{
    char path[WM_MAX_PATH_BYTES];
    int n = snprintf(path, sizeof path, "%s/state.db", o->data_dir);
    if (n < 0 || (size_t)n >= sizeof path)
        return wm_fail(err, WM_E_LIMIT, "the data folder's path is longer than %u bytes", WM_MAX_PATH_BYTES);
    return wm_state_open(path, &r->face.state, &r->cursor, err);
}

/* The two know of each other, so a part of the data that was lost or put back from an old copy is seen. That the
 * journal ends too early it has found itself, before it changed anything. */
static enum wm_status compare_state(struct recorder *r, const struct wm_journal_recovery *found, struct wm_err *err)
{
    uint8_t id[WM_JOURNAL_ID_BYTES];
    wm_journal_id(r->face.journal, id);
    enum wm_status status = wm_state_bind(r->face.state, id, err);
    if (status == WM_OK && r->cursor + 1 < found->first_seq)
        status = wm_fail(err, WM_E_CORRUPT, "state.db ends at entry %llu, but the journal begins at %llu: it is missing "
                         "or too old", (unsigned long long)r->cursor, (unsigned long long)found->first_seq);
    if (status == WM_OK && wm_journal_set_cursor(r->face.journal, "state", r->cursor) != WM_OK)
        status = wm_fail(err, WM_E_CORRUPT, "the state's cursor does not fit the journal");
    return status;
}

enum wm_status wm_recorder_open(const struct wm_recorder_options *o, struct wm_recorder **out, struct wm_err *err)
{
    struct wm_journal_recovery found = {0};
    struct recorder *r = calloc(1, sizeof *r);
    if (!r)
        return wm_fail(err, WM_E_NOMEM, "no memory for the recorder");
    r->magic = RECORDER_MAGIC;
    r->clock = o->clock;
    wm_stop_init(&r->stop);
    wm_mutex_init(&r->gap_mu);

    enum wm_status status = WM_OK;
    if (o->fold_window_ms)
        r->fold = fold_new(o->fold_window_ms, o->clock);
    r->face.board = wm_board_new();
    r->account_id = wm_view_dup(o->account_id);
    r->region = wm_view_dup(o->region);
    if (!r->face.board || !r->account_id || !r->region || (o->fold_window_ms && !r->fold))
        status = wm_fail(err, WM_E_NOMEM, "no memory for the recorder");
    if (status == WM_OK)
        status = wm_io_make_dirs(o->io, o->data_dir, 0700, err);
    if (status == WM_OK)
        status = open_state(r, o, err);
    if (status == WM_OK)
        status = open_journal(r, o, &found, err);
    if (status == WM_OK)
        status = compare_state(r, &found, err);
    uint64_t loaded = r->cursor;
    if (status == WM_OK)
        check_counts(r);
    while (status == WM_OK)
        status = follow_once(r, true, err);
    if (status == WM_E_END)
        status = WM_OK;
    if (status == WM_OK) {
        wm_log(WM_EV_JOURNAL_RECOVERED, "first_seq=%llu next_seq=%llu state_cursor=%llu",
               (unsigned long long)found.first_seq, (unsigned long long)found.next_seq, (unsigned long long)loaded);
        status = wm_thread_start(&r->follower, "state", follower_run, r, err);
        r->follower_runs = status == WM_OK;
    }
    if (status != WM_OK) {
        wm_recorder_close(&r->face);
        return status;
    }
    *out = &r->face;
    return WM_OK;
}

/* As the gap; what finds no room is at least in the log. */
static void close_folds(struct recorder *r)
{
    if (tend_folds(r, true) != WM_OK)
        wm_log(WM_EV_FOLDED_LOST, "calls=%llu", (unsigned long long)fold_counts(r->fold).pending);
}

void wm_recorder_close(struct wm_recorder *face)
{
    if (!face)
        return;
    struct recorder *r = recorder_of(face);
    if (r->follower_runs) {
        wm_stop_request(&r->stop);
        WM_PTOK(pthread_join(r->follower, NULL));
        tend_gap(r); /* into the room that is kept for it, be the journal full */
        close_folds(r);
    }
    wm_journal_reader_close(r->reader);
    wm_journal_close(face->journal);
    wm_state_close(face->state);
    wm_board_free(face->board);
    wm_stop_done(&r->stop);
    wm_mutex_done(&r->gap_mu);
    fold_free(r->fold);
    free(r->account_id);
    free(r->region);
    r->magic = 0;
    free(r);
}

/* ---- a call ---- */

enum wm_status wm_recorder_submit(struct wm_recorder *r, const struct wm_entry *e, uint64_t *out_seq,
                                  struct wm_err *err)
{
    /* Memory first: once the entry is in the journal its effect must follow. */
    enum wm_status status = e->n_changes ? wm_state_reserve(r->state, e->changes, e->n_changes, err) : WM_OK;
    if (status != WM_OK)
        return status;
    struct wm_err why = {0};
    status = wm_journal_append(r->journal, e, out_seq, &why);
    if (status == WM_OK && e->n_changes)
        wm_state_apply(r->state, e->changes, e->n_changes);
    else if (status != WM_OK && err)
        *err = why;
    note_append(recorder_of(r), status, &why);
    return status;
}

enum wm_status wm_recorder_commit(struct wm_recorder *r, uint64_t seq, struct wm_err *err)
{
    struct wm_err why = {0};
    enum wm_status status = wm_journal_commit(r->journal, seq, &why);
    if (status == WM_OK)
        return WM_OK;
    note_failure(recorder_of(r), &why);
    if (err)
        *err = why;
    return status;
}

