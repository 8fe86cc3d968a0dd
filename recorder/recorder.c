#include "waymark/recorder.h"

#include <stdio.h>
#include <stdlib.h>

#include "waymark/hash.h"
#include "waymark/log.h"
#include "waymark/record.h"
#include "waymark/sync.h"

#include "waymark/banned.h"

#define RECORDER_MAGIC 0x57524543u
/* The copy trails the journal by this much. Polling costs 5 wake-ups a second; a signal would cost one per commit. */
#define FOLLOW_POLL_MS 200
/* In one transaction: many, since each is synced and writes each document once. */
#define FOLLOW_MAX_ENTRIES 65536
/* A copy that cannot be written is tried again after this long; meanwhile the journal keeps what it lacks. */
#define FOLLOW_RETRY_MS 2000

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

static void *follower_run(void *arg)
{
    struct recorder *r = arg;
    WM_ASSERT(r->magic == RECORDER_MAGIC);
    enum wm_status last = WM_OK;
    for (;;) {
        struct wm_err err = {0}, why;
        bool stopping = wm_stop_requested(&r->stop); /* asked first: what came before the request is followed */
        enum wm_status status = follow_once(r, false, &err);
        if (status == WM_OK) {
            last = WM_OK;
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
        (void)wm_stop_wait_ms(&r->stop, FOLLOW_RETRY_MS); /* asked again above */
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

static enum wm_status open_state(struct recorder *r, const struct wm_recorder_options *o,
                                 const struct wm_journal_recovery *found, struct wm_err *err)
{
    char path[WM_MAX_PATH_BYTES];
    int n = snprintf(path, sizeof path, "%s/state.db", o->data_dir);
    if (n < 0 || (size_t)n >= sizeof path)
        return wm_fail(err, WM_E_LIMIT, "the data folder's path is longer than %u bytes", WM_MAX_PATH_BYTES);
    enum wm_status status = wm_state_open(path, &r->face.state, &r->cursor, err);
    if (status != WM_OK)
        return status;
    /* The two know of each other, so a part of the data that was lost or put back from an old copy is seen. */
    if (r->cursor >= found->next_seq)
        return wm_fail(err, WM_E_CORRUPT, "%s has seen entry %llu, but the journal ends before %llu: segments are missing",
                       path, (unsigned long long)r->cursor, (unsigned long long)found->next_seq);
    if (r->cursor + 1 < found->first_seq)
        return wm_fail(err, WM_E_CORRUPT, "%s ends at entry %llu, but the journal begins at %llu: it is missing or too old",
                       path, (unsigned long long)r->cursor, (unsigned long long)found->first_seq);
    return WM_OK;
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

    enum wm_status status = WM_OK;
    r->face.board = wm_board_new();
    r->account_id = wm_view_dup(o->account_id);
    r->region = wm_view_dup(o->region);
    if (!r->face.board || !r->account_id || !r->region)
        status = wm_fail(err, WM_E_NOMEM, "no memory for the recorder");
    if (status == WM_OK)
        status = wm_io_make_dirs(o->io, o->data_dir, 0700, err);
    if (status == WM_OK)
        status = open_journal(r, o, &found, err);
    if (status == WM_OK)
        status = open_state(r, o, &found, err);
    if (status == WM_OK && wm_journal_set_cursor(r->face.journal, "state", r->cursor) != WM_OK)
        status = wm_fail(err, WM_E_CORRUPT, "the state's cursor does not fit the journal");
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

void wm_recorder_close(struct wm_recorder *face)
{
    if (!face)
        return;
    struct recorder *r = recorder_of(face);
    if (r->follower_runs) {
        wm_stop_request(&r->stop);
        WM_PTOK(pthread_join(r->follower, NULL));
    }
    wm_journal_reader_close(r->reader);
    wm_journal_close(face->journal);
    wm_state_close(face->state);
    wm_board_free(face->board);
    wm_stop_done(&r->stop);
    free(r->account_id);
    free(r->region);
    r->magic = 0;
    free(r);
}

/* ---- a call ---- */

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

/* ---- what the service itself does ---- */

enum wm_status wm_recorder_event(struct wm_recorder *face, const char *event_name, struct wm_view details,
                                 struct wm_err *err)
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
        };
        status = wm_journal_append(face->journal, &entry, &seq, &why); /* no change: memory has no part in it */
        note_append(r, status, &why);
    }
    wm_buf_done(&text);
    if (status == WM_OK)
        return wm_recorder_commit(face, seq, err);
    if (err)
        *err = why;
    return status;
}
