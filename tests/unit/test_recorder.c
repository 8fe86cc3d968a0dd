/* The recorder as a whole: effect and record together, restart, and parts of the data that do not fit each other. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include <sqlite3.h>

#include "tests/support/fault_io.h"
#include "tests/support/folder.h"
#include "waymark/log.h"
#include "waymark/recorder.h"
#include "waymark/sync.h"

static char dir[FOLDER_BYTES];
static const struct wm_io *io;

static int set_up(void **state)
{
    (void)state;
    folder_make(dir);
    io = &wm_io_posix;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    folder_remove(dir);
    return 0;
}

static enum wm_status try_open(struct wm_recorder **out, uint64_t max_bytes, struct wm_err *err)
{
    struct wm_recorder_options o = {
        .data_dir = dir,
        .io = io,
        .clock = &wm_clock_system,
        .segment_bytes = 64u * 1024u,
        .max_journal_bytes = max_bytes,
        .account_id = WM_LIT("111122223333"),
        .region = WM_LIT("us-west-2"),
    };
    return wm_recorder_open(&o, out, err);
}

static struct wm_recorder *must_open(void)
{
    struct wm_recorder *r = NULL;
    struct wm_err err = {0};
    if (try_open(&r, 0, &err) != WM_OK)
        fail_msg("open: %s", err.message);
    return r;
}

static enum wm_status submit(struct wm_recorder *r, const char *id, const char *document, uint64_t *seq)
{
    struct wm_change c = {WM_LIT("k"), wm_view_of(id), wm_view_of(document)};
    static char record[900];
    memset(record, ' ', sizeof record);
    struct wm_entry e = {.record = {record, sizeof record}, .changes = &c, .n_changes = 1};
    wm_journal_await_room(r->journal);
    wm_state_lock(r->state);
    enum wm_status status = wm_recorder_submit(r, &e, seq, NULL);
    wm_state_unlock(r->state);
    return status;
}

static bool has(struct wm_recorder *r, const char *id, const char *want)
{
    struct wm_view got;
    wm_state_lock(r->state);
    bool same = wm_state_get(r->state, WM_LIT("k"), wm_view_of(id), &got) && wm_view_eq_str(got, want);
    wm_state_unlock(r->state);
    return same;
}

static void effect_is_seen_at_once_and_survives(void **state)
{
    (void)state;
    struct wm_recorder *r = must_open();
    uint64_t seq = 0;
    assert_non_null(r->board);
    assert_int_equal(submit(r, "a", "1", &seq), WM_OK);
    assert_int_equal(seq, 1);
    assert_true(has(r, "a", "1"));
    assert_int_equal(wm_recorder_commit(r, seq, NULL), WM_OK);
    assert_int_equal(submit(r, "b", "2", &seq), WM_OK);
    assert_int_equal(wm_recorder_commit(r, seq, NULL), WM_OK);
    wm_recorder_close(r);
    wm_recorder_close(NULL);
    for (int i = 0; i < 3; i++) {
        r = must_open();
        assert_true(has(r, "a", "1"));
        assert_true(has(r, "b", "2"));
        wm_recorder_close(r);
    }
}

static void state_is_rebuilt_from_the_journal(void **state)
{
    (void)state;
    char path[1024];
    uint64_t seq = 0;
    struct wm_recorder *r = must_open();
    for (int i = 0; i < 20; i++)
        assert_int_equal(submit(r, i % 2 ? "odd" : "even", i % 3 ? "x" : "y", &seq), WM_OK);
    assert_int_equal(wm_recorder_commit(r, seq, NULL), WM_OK);
    wm_recorder_close(r);
    snprintf(path, sizeof path, "%s/state.db", dir); /* nothing is retired yet, so all of it can be replayed */
    assert_int_equal(unlink(path), 0);
    r = must_open();
    assert_true(has(r, "odd", "x"));  /* 19 */
    assert_true(has(r, "even", "y")); /* 18 */
    wm_recorder_close(r);
}

/* What is logged between the two calls. */
static FILE *log_file;
static int log_before;

static void log_catch(void)
{
    log_file = tmpfile();
    assert_non_null(log_file);
    log_before = dup(STDERR_FILENO);
    assert_int_equal(dup2(fileno(log_file), STDERR_FILENO), STDERR_FILENO);
    wm_log_set_level(WM_LOG_NOTICE);
}

static void log_release(void)
{
    wm_log_set_level(WM_LOG_ERROR);
    assert_int_equal(dup2(log_before, STDERR_FILENO), STDERR_FILENO);
    close(log_before);
}

static size_t log_count(const char *event)
{
    char line[4096];
    size_t n = 0;
    rewind(log_file);
    while (fgets(line, sizeof line, log_file))
        n += strstr(line, event) != NULL;
    return n;
}

static void refused_entry_has_no_effect(void **state)
{
    (void)state;
    struct wm_recorder *r = NULL;
    assert_int_equal(try_open(&r, 128u * 1024u, NULL), WM_OK);
    assert_int_equal(wm_journal_set_cursor(r->journal, "slow trail", 0), WM_OK); /* so that it fills up */
    uint64_t seq = 0, last = 0;
    char id[32];
    enum wm_status status = WM_OK;
    for (int i = 0; i < 1000 && status == WM_OK; i++) {
        snprintf(id, sizeof id, "id%d", i);
        status = submit(r, id, "1", &seq);
        if (status == WM_OK)
            last = seq;
    }
    assert_int_equal(status, WM_E_FULL);
    assert_false(has(r, id, "1"));
    assert_int_equal(wm_recorder_commit(r, last, NULL), WM_OK);
    struct wm_entry too_large = {.event_name = {id, 300}};
    wm_state_lock(r->state);
    assert_int_equal(wm_recorder_submit(r, &too_large, &seq, NULL), WM_E_LIMIT);
    wm_state_unlock(r->state);
    wm_recorder_close(r);
}

/* Once for thousands of calls that are refused, and once more when it is over. */
static void refusing_is_logged_once_and_so_is_its_end(void **state)
{
    (void)state;
    struct wm_recorder *r = NULL;
    uint64_t seq = 0;
    log_catch();
    assert_int_equal(try_open(&r, 128u * 1024u, NULL), WM_OK);
    assert_int_equal(wm_journal_set_cursor(r->journal, "slow trail", 0), WM_OK);
    while (submit(r, "id", "1", &seq) == WM_OK)
        assert_int_equal(wm_recorder_commit(r, seq, NULL), WM_OK);
    for (int i = 0; i < 10; i++)
        assert_int_equal(submit(r, "id", "1", &seq), WM_E_FULL);
    struct wm_journal_stats s;
    struct wm_err why = {0};
    wm_journal_stats(r->journal, &s);
    assert_int_equal(s.max_bytes, 128 * 1024);
    assert_int_equal(s.segments, 2);
    assert_int_equal(s.bytes, 128 * 1024);
    assert_int_equal(s.last_seq, s.durable_seq);
    assert_true(wm_journal_refuses(r->journal, &why));
    assert_int_equal(why.status, WM_E_FULL);
    assert_non_null(strstr(why.message, "limit of 131072 bytes"));
    assert_int_equal(wm_journal_set_cursor(r->journal, "slow trail", s.durable_seq), WM_OK);
    while (wm_journal_refuses(r->journal, NULL)) /* ends without an append that would try */
        usleep(10000);
    assert_int_equal(submit(r, "id", "1", &seq), WM_OK);
    assert_int_equal(submit(r, "id", "1", &seq), WM_OK);
    wm_recorder_close(r);
    log_release();
    size_t refuses = log_count(" journal-refuses "), accepts = log_count(" journal-accepts ");
    fclose(log_file);
    assert_int_equal(refuses, 1);
    assert_int_equal(accepts, 1);
}

static void entries_that_were_not_counted_are_logged_once(void **state)
{
    (void)state;
    sqlite3 *raw = NULL;
    char path[1024];
    uint64_t seq = 0;
    struct wm_recorder *r = must_open();
    assert_int_equal(submit(r, "a", "1", &seq), WM_OK);
    assert_int_equal(submit(r, "b", "1", &seq), WM_OK);
    assert_int_equal(wm_recorder_commit(r, seq, NULL), WM_OK);
    wm_recorder_close(r);
    snprintf(path, sizeof path, "%s/state.db", dir);
    assert_int_equal(sqlite3_open(path, &raw), SQLITE_OK);
    assert_int_equal(sqlite3_exec(raw, "UPDATE cursor SET changes = 1", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(raw);

    log_catch();
    r = must_open();
    for (int i = 0; i < 3; i++) {
        assert_int_equal(submit(r, "c", "1", &seq), WM_OK);
        assert_int_equal(wm_recorder_commit(r, seq, NULL), WM_OK);
    }
    struct wm_state_counts c;
    for (wm_state_counts(r->state, &c); c.seq < 5; wm_state_counts(r->state, &c))
        usleep(10000);
    wm_recorder_close(r);
    log_release();
    size_t told = log_count(" counts-differ "), numbers = log_count("seq=2 reads=0 changes=1 refused=0");
    fclose(log_file);
    assert_int_equal(told, 1);
    assert_int_equal(numbers, 1);
    assert_int_equal(c.changes, 4);
    assert_false(wm_state_counts_add_up(&c));
}

static pthread_t tester;

static int no_names(void *ctx, const char *path)
{
    if (!pthread_equal(pthread_self(), tester)) /* a new thread has its name only after a while */
        return -EIO;
    return wm_io_posix.sync_dir(ctx, path);
}

/* The thread that prepares segments has found the folder beyond use: nobody calls, and it is said all the same. */
static void a_failure_that_no_call_meets_is_logged(void **state)
{
    (void)state;
    struct wm_io broken = wm_io_posix;
    struct wm_recorder *r = NULL;
    struct wm_err why = {0};
    broken.sync_dir = no_names;
    tester = pthread_self();
    io = &broken;
    log_catch();
    assert_int_equal(try_open(&r, 0, NULL), WM_OK);
    for (int i = 0; i < 1000 && !wm_journal_failed(r->journal, &why); i++)
        usleep(10000);
    wm_recorder_close(r);
    log_release();
    size_t failed = log_count(" journal-failed ");
    fclose(log_file);
    assert_int_equal(why.status, WM_E_FAILED);
    assert_non_null(strstr(why.message, "cannot sync the folder"));
    assert_int_equal(failed, 1);
}

static void copy_lets_the_journal_retire(void **state)
{
    (void)state;
    struct wm_recorder *r = NULL;
    struct wm_journal_stats s;
    uint64_t seq = 0;
    char id[32];
    assert_int_equal(try_open(&r, 256u * 1024u, NULL), WM_OK);
    for (int i = 0; i < 600; i++) { /* twice what the limit holds */
        snprintf(id, sizeof id, "id%d", i);
        enum wm_status status;
        while ((status = submit(r, id, "1", &seq)) == WM_E_FULL)
            usleep(10000);
        assert_int_equal(status, WM_OK);
        assert_int_equal(wm_recorder_commit(r, seq, NULL), WM_OK);
    }
    wm_journal_stats(r->journal, &s);
    assert_true(s.first_seq > 1);
    wm_recorder_close(r);

    r = must_open();
    assert_true(has(r, "id0", "1")); /* its entry is gone, its document is not */
    assert_true(has(r, "id599", "1"));
    wm_recorder_close(r);

    /* state.db gone: what the retired entries did cannot be known */
    char path[1024];
    struct wm_err err = {0};
    struct wm_recorder *none = NULL;
    snprintf(path, sizeof path, "%s/state.db", dir);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(try_open(&none, 0, &err), WM_E_CORRUPT);
    assert_null(none);
    assert_non_null(strstr(err.message, "state.db"));
}

static void journal_that_lost_entries_is_refused(void **state)
{
    (void)state;
    struct wm_recorder *r = must_open();
    struct wm_err err = {0};
    uint64_t seq = 0;
    char path[1024], old[FOLDER_BYTES + 8];
    assert_int_equal(submit(r, "a", "1", &seq), WM_OK);
    assert_int_equal(wm_recorder_commit(r, seq, NULL), WM_OK);
    wm_recorder_close(r);
    snprintf(path, sizeof path, "%s/journal", dir);
    snprintf(old, sizeof old, "%s.old", dir);
    folder_copy(path, old);
    r = must_open();
    assert_int_equal(submit(r, "b", "1", &seq), WM_OK);
    assert_int_equal(wm_recorder_commit(r, seq, NULL), WM_OK);
    wm_recorder_close(r);
    folder_remove(path);
    folder_copy(old, path);
    r = NULL;
    assert_int_equal(try_open(&r, 0, &err), WM_E_CORRUPT);
    assert_null(r);
    assert_non_null(strstr(err.message, "entry 2"));

    folder_remove(path);
    assert_int_equal(try_open(&r, 0, &err), WM_E_CORRUPT);
    assert_null(r);
    assert_non_null(strstr(err.message, "entry 1 is lost"));

    /* Another one in its place has other entries under the same numbers. */
    char state_path[1024], aside[1024];
    snprintf(state_path, sizeof state_path, "%s/state.db", dir);
    snprintf(aside, sizeof aside, "%s/aside", dir);
    folder_remove(path);
    assert_int_equal(rename(state_path, aside), 0);
    r = must_open();
    for (int i = 0; i < 3; i++)
        assert_int_equal(submit(r, "c", "1", &seq), WM_OK);
    assert_int_equal(wm_recorder_commit(r, seq, NULL), WM_OK);
    wm_recorder_close(r);
    r = NULL;
    assert_int_equal(rename(aside, state_path), 0);
    assert_int_equal(try_open(&r, 0, &err), WM_E_CORRUPT);
    assert_null(r);
    assert_non_null(strstr(err.message, "the state belongs to journal "));
    folder_remove(old);
}

static void failed_commit_is_final(void **state)
{
    (void)state;
    struct fault_io f;
    struct wm_err err = {0};
    uint64_t seq = 0;
    fault_io_init(&f, &wm_io_posix);
    io = &f.io;
    struct wm_recorder *r = must_open();
    assert_int_equal(submit(r, "a", "1", &seq), WM_OK);
    assert_int_equal(wm_recorder_commit(r, seq, NULL), WM_OK);
    usleep(50000); /* the next segment is made meanwhile */
    assert_int_equal(submit(r, "b", "1", &seq), WM_OK);
    fault_io_arm(&f, FAULT_SYNCS, 1, FAULT_EIO, true);
    assert_int_equal(wm_recorder_commit(r, seq, &err), WM_E_FAILED);
    assert_int_equal(err.sys_errno, EIO);
    assert_int_equal(submit(r, "c", "1", &seq), WM_E_FAILED);
    assert_false(has(r, "c", "1"));
    assert_true(wm_journal_failed(r->journal, NULL));
    fault_io_disarm(&f);
    wm_recorder_close(r);
    r = must_open();
    assert_true(has(r, "a", "1"));
    assert_false(has(r, "c", "1"));
    wm_recorder_close(r);
}

/* The text of an entry's record, and its name. @return WM_E_NOT_FOUND: it is retired */
static enum wm_status read_entry(struct wm_recorder *r, uint64_t seq, char name[64], char record[1024])
{
    struct wm_journal_reader *reader = NULL;
    struct wm_entry e;
    enum wm_status status = wm_journal_reader_open(r->journal, seq - 1, &reader, NULL);
    if (status == WM_OK)
        status = wm_journal_reader_next(reader, &e, NULL);
    if (status == WM_OK) {
        snprintf(name, 64, "%.*s", WM_ARG(e.event_name));
        snprintf(record, 1024, "%.*s", WM_ARG(e.record));
    }
    wm_journal_reader_close(reader);
    return status;
}

static void service_event_is_durable_when_it_returns(void **state)
{
    (void)state;
    struct fault_io f;
    struct wm_state_counts counted;
    struct wm_err err = {0};
    char name[64], record[1024];
    fault_io_init(&f, &wm_io_posix);
    io = &f.io;
    struct wm_recorder *r = must_open();
    assert_int_equal(wm_recorder_event(r, "PauseFollower", WM_LIT("{\"follower\":\"trail:a\"}"), &err), WM_OK);
    assert_int_equal(wm_journal_durable(r->journal), 1);
    assert_int_equal(read_entry(r, 1, name, record), WM_OK);
    assert_string_equal(name, "PauseFollower");
    assert_non_null(strstr(record, "\"userIdentity\":{\"accountId\":\"111122223333\",\"invokedBy\":\"waymark.amazonaws.com\"}"));
    assert_non_null(strstr(record, "\"awsRegion\":\"us-west-2\""));
    assert_non_null(strstr(record, "\"eventType\":\"AwsServiceEvent\""));
    assert_non_null(strstr(record, "\"serviceEventDetails\":{\"follower\":\"trail:a\"}"));
    for (wm_state_counts(r->state, &counted); counted.seq < 1; wm_state_counts(r->state, &counted))
        usleep(10000); /* the next segment is made meanwhile, too */
    assert_int_equal(counted.service, 1); /* no call */
    fault_io_arm(&f, FAULT_SYNCS, 1, FAULT_EIO, true);
    assert_int_equal(wm_recorder_event(r, "PauseFollower", WM_LIT("{}"), &err), WM_E_FAILED);
    assert_int_equal(err.sys_errno, EIO);
    assert_int_equal(wm_recorder_event(r, "PauseFollower", WM_LIT("{}"), &err), WM_E_FAILED);
    fault_io_disarm(&f);
    wm_recorder_close(r);
}

static bool has_document(struct wm_recorder *r, const char *kind, const char *id)
{
    struct wm_view text;
    wm_state_lock(r->state);
    bool there = wm_state_get(r->state, wm_view_of(kind), wm_view_of(id), &text);
    wm_state_unlock(r->state);
    return there;
}

/* An event and a change of the state: both, also after a restart, or neither. */
static void service_event_changes_the_state_with_its_entry(void **state)
{
    (void)state;
    struct fault_io f;
    struct wm_err err = {0};
    char name[64], record[1024];
    fault_io_init(&f, &wm_io_posix);
    io = &f.io;
    struct wm_recorder *r = must_open();
    const struct wm_change change = {WM_LIT("waymark.audit"), WM_LIT("lock"), WM_LIT("{\"locked\":true}")};
    const struct wm_change too_long = {WM_LIT("waymark.audit"), WM_LIT(""), WM_LIT("{}")};
    assert_int_not_equal(wm_recorder_event_change(r, "AuditLockChanged", WM_LIT("{}"), &too_long, &err), WM_OK);
    assert_int_equal(wm_journal_durable(r->journal), 0);
    assert_int_equal(wm_recorder_event_change(r, "AuditLockChanged", WM_LIT("{\"locked\":true}"), &change, &err), WM_OK);
    assert_true(has_document(r, "waymark.audit", "lock"));
    wm_recorder_close(r);
    r = must_open();
    assert_true(has_document(r, "waymark.audit", "lock"));
    assert_int_equal(read_entry(r, 1, name, record), WM_OK);
    assert_string_equal(name, "AuditLockChanged");
    wm_recorder_close(r);
}

/* What a trail's readers alone need is not recorded while it would not get there. */
static void service_event_of_a_trail_waits_while_it_is_stopped(void **state)
{
    (void)state;
    struct wm_err err = {0};
    struct wm_trail_logging l;
    uint64_t seq = 0;
    struct wm_recorder *r = must_open();
    const struct wm_view trail = WM_LIT("studio");
    assert_int_equal(wm_recorder_event_of_trail(r, trail, "RecordsMissed", WM_LIT("{}"), &err), WM_OK);
    assert_int_equal(wm_recorder_logging(r, trail, &l, &seq, &err), WM_OK);
    assert_false(l.stopped || l.switched);
    assert_int_equal(seq, 1);
    struct wm_change change = {WM_LIT(WM_TRAIL_LOGGING_KIND), trail,
                               WM_LIT("{\"logging\":false,\"startedMs\":0,\"stoppedMs\":7}")};
    assert_int_equal(wm_recorder_event_change(r, "Stop", WM_LIT("{}"), &change, &err), WM_OK);
    assert_int_equal(wm_recorder_event_of_trail(r, trail, "RecordsMissed", WM_LIT("{}"), &err), WM_E_UNAVAILABLE);
    assert_int_equal(wm_recorder_event_of_trail(r, WM_LIT("other"), "RecordsMissed", WM_LIT("{}"), &err), WM_OK);
    assert_int_equal(wm_recorder_logging(r, trail, &l, &seq, &err), WM_OK);
    assert_true(l.stopped && l.switched);
    assert_int_equal(seq, 3);
    change.document = WM_LIT("{}");
    assert_int_equal(wm_recorder_event_change(r, "Damage", WM_LIT("{}"), &change, &err), WM_OK);
    assert_int_equal(wm_recorder_event_of_trail(r, trail, "RecordsMissed", WM_LIT("{}"), &err), WM_E_CORRUPT);
    assert_int_equal(wm_recorder_logging(r, trail, &l, &seq, &err), WM_E_CORRUPT);
    assert_int_equal(wm_journal_appended(r->journal), 4);
    wm_recorder_close(r);
}

/* Wait for an entry of that name and give its record. What comes before it may have been retired. */
static uint64_t await_event(struct wm_recorder *r, const char *event, uint64_t from, char record[1024])
{
    char name[64];
    for (int i = 0; i < 5000; i++, usleep(1000))
        for (; from <= wm_journal_durable(r->journal); from++)
            if (read_entry(r, from, name, record) == WM_OK && strcmp(name, event) == 0)
                return from;
    fail_msg("no %s was recorded", event);
    return 0;
}

static uint64_t fill_up(struct wm_recorder *r)
{
    uint64_t seq = 0, last = 0;
    wm_journal_await_room(r->journal); /* full, and not only slow to get its next segment */
    while (submit(r, "id", "1", &seq) == WM_OK) {
        last = seq;
        assert_int_equal(wm_recorder_commit(r, last, NULL), WM_OK);
        wm_journal_await_room(r->journal);
    }
    return last;
}

/* Those that could not be recorded have no record of their own: one event says how many, and of when. */
static void calls_without_a_record_are_told_of(void **state)
{
    (void)state;
    struct wm_recorder *r = NULL;
    struct wm_err why = {.message = "the disk is \"full\""}, other = {.message = "another reason"};
    char record[1024];
    assert_int_equal(try_open(&r, 128u * 1024u, NULL), WM_OK);
    assert_int_equal(wm_journal_set_cursor(r->journal, "slow trail", 0), WM_OK);
    uint64_t last = fill_up(r);
    wm_recorder_unrecorded(r, &why, false);
    wm_recorder_unrecorded(r, &other, true);
    wm_recorder_unrecorded(r, &other, false);
    usleep(500000);
    assert_int_equal(wm_journal_durable(r->journal), last); /* not before it is over */
    assert_int_equal(wm_journal_set_cursor(r->journal, "slow trail", last), WM_OK);
    uint64_t told = await_event(r, "CallsUnrecorded", last + 1, record);
    assert_non_null(strstr(record, ",\"refusedCalls\":2,\"answeredReads\":1,\"reason\":\"the disk is \\\"full\\\"\"}"));
    assert_non_null(strstr(record, "\"serviceEventDetails\":{\"firstTime\":\"20"));

    /* When it is closed meanwhile, it is told into the room that is kept for that. */
    last = fill_up(r);
    wm_recorder_unrecorded(r, &other, false);
    wm_recorder_close(r);
    assert_int_equal(try_open(&r, 128u * 1024u, NULL), WM_OK);
    assert_int_equal(wm_journal_durable(r->journal), last + 1);
    assert_true(await_event(r, "CallsUnrecorded", last + 1, record) > told);
    assert_non_null(strstr(record, ",\"refusedCalls\":1,\"answeredReads\":0,\"reason\":\"another reason\"}"));
    wm_recorder_close(r);
}

static void pause_is_recorded_before_anything_is_retired(void **state)
{
    (void)state;
    struct wm_recorder *r = NULL;
    struct wm_journal_stats s;
    struct wm_journal_follower f;
    char record[1024];
    uint64_t seq = 0;
    assert_int_equal(try_open(&r, 192u * 1024u, NULL), WM_OK);
    assert_int_equal(wm_journal_set_cursor(r->journal, "trail:slow", 0), WM_OK);
    wm_journal_allow_pause(r->journal, "trail:slow");
    uint64_t told = 0, looked = 0;
    char name[64];
    while (told == 0) { /* looked at as it comes, since nobody else needs it */
        if (submit(r, "id", "1", &seq) == WM_OK)
            assert_int_equal(wm_recorder_commit(r, seq, NULL), WM_OK);
        else
            usleep(1000);
        while (told == 0 && looked < wm_journal_durable(r->journal)) {
            assert_int_equal(read_entry(r, ++looked, name, record), WM_OK);
            told = strcmp(name, "FollowerPaused") == 0 ? looked : 0;
        }
    }
    assert_non_null(strstr(record, "\"serviceEventDetails\":{\"follower\":\"trail:slow\",\"firstSequence\":1,\"lastSequence\":"));
    assert_non_null(strstr(record, "196608")); /* the reason */
    for (int i = 0; i < 500; i++) { /* without it there is room for all of these */
        while (submit(r, "id", "1", &seq) == WM_E_FULL)
            usleep(10000);
        assert_int_equal(wm_recorder_commit(r, seq, NULL), WM_OK);
    }
    assert_true(wm_journal_find_follower(r->journal, "trail:slow", &f) && f.paused && f.cursor == 0);
    wm_journal_stats(r->journal, &s);
    assert_true(s.first_seq > 1 && told < s.durable_seq);
    do { /* as a trail does it */
        wm_journal_stats(r->journal, &s);
        assert_int_equal(wm_journal_set_cursor(r->journal, "trail:slow", s.first_seq - 1), WM_OK);
        wm_journal_stats(r->journal, &s);
        assert_true(wm_journal_find_follower(r->journal, "trail:slow", &f));
    } while (s.first_seq > f.cursor + 1);
    assert_false(f.paused);
    char want[128];
    /* It needs the event, too, which is thus still there. */
    snprintf(want, sizeof want, "{\"follower\":\"trail:slow\",\"firstSequence\":%llu}", (unsigned long long)s.first_seq);
    (void)await_event(r, "FollowerResumed", s.first_seq, record);
    assert_non_null(strstr(record, want));
    wm_recorder_close(r);
}

static atomic_bool syncs_fail;

static int failing_sync(void *ctx, int fd)
{
    return atomic_load(&syncs_fail) ? -EIO : wm_io_posix.fdatasync(ctx, fd);
}

/* The journal fails while a window is open: its count is in no record, so it is at least in the log. */
static void folded_calls_that_no_event_tells_of_are_logged(void **state)
{
    (void)state;
    struct wm_io failing = wm_io_posix;
    failing.fdatasync = failing_sync;
    const struct wm_recorder_options o = {
        .data_dir = dir, .io = &failing, .clock = &wm_clock_system, .segment_bytes = 64u * 1024u, .fold_window_ms = 3600000};
    const struct wm_refused_call call = {.source = WM_LIT("192.0.2.1"), .error_code = WM_LIT("InvalidSignatureException")};
    struct wm_recorder *r = NULL;
    atomic_store(&syncs_fail, false);
    log_catch();
    assert_int_equal(wm_recorder_open(&o, &r, NULL), WM_OK);
    assert_false(wm_recorder_fold(r, &call)); /* nothing was recorded that it could repeat */
    wm_recorder_fold_begin(r, &call);
    for (int i = 0; i < 3; i++)
        assert_true(wm_recorder_fold(r, &call));
    atomic_store(&syncs_fail, true);
    wm_recorder_fold_end(r);
    struct wm_fold_counts c = wm_recorder_fold_counts(r);
    assert_int_equal(c.told, 0);
    assert_int_equal(c.pending, 3); /* kept, though the window is over */
    assert_false(wm_recorder_fold(r, &call));
    wm_recorder_close(r);
    log_release();
    size_t lost = log_count(" folded-lost "), calls = log_count("calls=3");
    fclose(log_file);
    assert_int_equal(lost, 1);
    assert_int_equal(calls, 1);
}

int main(void)
{
    wm_log_set_level(WM_LOG_ERROR);
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(effect_is_seen_at_once_and_survives),
        TEST(state_is_rebuilt_from_the_journal),
        TEST(refused_entry_has_no_effect),
        TEST(refusing_is_logged_once_and_so_is_its_end),
        TEST(entries_that_were_not_counted_are_logged_once),
        TEST(a_failure_that_no_call_meets_is_logged),
        TEST(copy_lets_the_journal_retire),
        TEST(journal_that_lost_entries_is_refused),
        TEST(failed_commit_is_final),
        TEST(service_event_is_durable_when_it_returns),
        TEST(service_event_changes_the_state_with_its_entry),
        TEST(service_event_of_a_trail_waits_while_it_is_stopped),
        TEST(calls_without_a_record_are_told_of),
        TEST(folded_calls_that_no_event_tells_of_are_logged),
        TEST(pause_is_recorded_before_anything_is_retired),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
