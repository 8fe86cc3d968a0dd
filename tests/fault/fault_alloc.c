/*
 * Allocation 1, 2, 3 … n fails, once, and from then on, until a run passes unhit: through opening, recovery, append,
 * commit, rotation, retirement, reading, following and closing. Each call gives the right answer or says that memory is
 * short; nothing acknowledged is lost, nothing is there that was refused, nothing hangs; ASan's run sees to leaks.
 *
 * malloc(), calloc() and realloc() of all that is linked in are replaced (-Wl,--wrap); the libraries' own are not.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "recorder/journal_int.h"
#include "tests/support/fault_malloc.h"
#include "tests/support/folder.h"
#include "tests/support/sim_disk.h"
#include "waymark/journal_inspect.h"
#include "waymark/log.h"
#include "waymark/recorder.h"

#define SMALL (64u * 1024u)
#define HANG_S 240 /* far more than all of it takes: then it hangs */

static void check_nomem(enum wm_status status, const struct wm_err *err)
{
    assert_int_equal(status, WM_E_NOMEM);
    assert_int_equal(err->status, WM_E_NOMEM);
    assert_true(err->message[0] != '\0');
}

/* ---- the journal ---- */

static void make_record(char out[1200], uint64_t n)
{
    int len = snprintf(out, 1200, "{\"n\":%llu,\"pad\":\"", (unsigned long long)n);
    memset(out + len, 'a' + (int)(n % 26), 1000);
    memcpy(out + len + 1000, "\"}", 3);
}

static enum wm_status open_journal(struct sim_disk *d, struct wm_journal **out, struct wm_journal_recovery *rec,
                                   struct wm_err *err)
{
    struct wm_journal_options o = {
        .dir = "/j",
        .io = sim_disk_io(d),
        .clock = &wm_clock_system,
        .segment_bytes = SMALL,
    };
    *out = NULL;
    return wm_journal_open(&o, out, rec, err);
}

static enum wm_status append(struct wm_journal *j, uint64_t n, struct wm_err *err)
{
    char record[1200];
    uint64_t seq = 0;
    make_record(record, n);
    const struct wm_entry e = {.event_name = WM_LIT("Put"), .record = wm_view_of(record)};
    wm_journal_await_room(j);
    enum wm_status status = wm_journal_append(j, &e, &seq, err);
    assert_int_equal(seq, status == WM_OK ? n : 0);
    return status;
}

static void check_entry(const struct wm_entry *e, uint64_t n)
{
    char record[1200];
    make_record(record, n);
    assert_int_equal(e->seq, n);
    assert_true(wm_view_eq_str(e->record, record));
}

/* Entry n goes in. Memory that was short once is there again: soon at the latest, when the preparer has tried again. */
static bool put(struct wm_journal *j, uint64_t n)
{
    for (unsigned tries = 0; tries < 500; tries++) {
        struct wm_err err = {0};
        enum wm_status status = append(j, n, &err);
        if (status == WM_OK) {
            assert_int_equal(wm_journal_commit(j, n, NULL), WM_OK); /* all it needs was set aside before */
            return true;
        }
        check_nomem(status, &err);
        if (atomic_load(&sticky))
            return false;
        usleep(10000);
    }
    fail_msg("entry %llu is still refused", (unsigned long long)n);
    return false;
}

/* @param last  highest entry acknowledged before; @return after */
static uint64_t journal_life(struct sim_disk *d, uint64_t last)
{
    struct wm_journal *j;
    struct wm_journal_reader *r = NULL;
    struct wm_journal_recovery rec;
    struct wm_err err = {0};
    struct wm_entry e;
    enum wm_status status = open_journal(d, &j, &rec, &err);
    if (status != WM_OK) {
        check_nomem(status, &err);
        return last;
    }
    assert_int_equal(rec.next_seq, last + 1);
    assert_int_equal(wm_journal_set_cursor(j, "f", last - 20), WM_OK);
    while (last < 260 && put(j, last + 1))
        last++;
    uint64_t n = last - 10;
    status = wm_journal_reader_open(j, n, &r, &err);
    while (status == WM_OK && (status = wm_journal_reader_next(r, &e, &err)) == WM_OK)
        check_entry(&e, ++n);
    if (status == WM_E_END)
        assert_int_equal(n, last);
    else
        check_nomem(status, &err);
    if (status != WM_E_END && r && !atomic_load(&sticky)) { /* the same reader goes on */
        while ((status = wm_journal_reader_next(r, &e, &err)) == WM_OK)
            check_entry(&e, ++n);
        assert_int_equal(status, WM_E_END);
        assert_int_equal(n, last);
    }
    wm_journal_reader_close(r);
    wm_journal_close(j);
    return last;
}

static void each_allocation_of_the_journal(void **state)
{
    (void)state;
    struct sim_disk *killed = sim_disk_new(1);
    const struct wm_io *io = sim_disk_io(killed);
    struct wm_journal *j;
    assert_int_equal(open_journal(killed, &j, NULL, NULL), WM_OK);
    for (uint64_t n = 1; n <= 150; n++)
        assert_true(put(j, n));
    sim_disk_die_at(killed, 1); /* so that opening has something to mend */
    assert_int_equal(io->sync_dir(io->ctx, "/"), -EIO);
    wm_journal_close(j);
    sim_disk_restart(killed);
    for (int from_then_on = 0; from_then_on < 2; from_then_on++) {
        bool was_hit = true;
        for (unsigned n = 1; was_hit; n++) {
            struct sim_disk *d = sim_disk_clone(killed, n);
            struct wm_journal_recovery rec;
            struct wm_journal_reader *r = NULL;
            struct wm_entry e;
            arm(n, from_then_on != 0);
            uint64_t last = journal_life(d, 150);
            was_hit = disarm("journal");
            assert_true(last == 260 || (was_hit && (from_then_on || last == 150)));
            assert_int_equal(open_journal(d, &j, &rec, NULL), WM_OK);
            assert_int_equal(rec.next_seq, last + 1); /* neither lost nor invented */
            assert_int_equal(wm_journal_reader_open(j, rec.first_seq - 1, &r, NULL), WM_OK);
            for (uint64_t i = rec.first_seq; i <= last; i++) {
                assert_int_equal(wm_journal_reader_next(r, &e, NULL), WM_OK);
                check_entry(&e, i);
            }
            wm_journal_reader_close(r);
            wm_journal_close(j);
            sim_disk_free(d);
        }
    }
    sim_disk_free(killed);
}

static void each_allocation_of_an_inspection(void **state)
{
    (void)state;
    struct sim_disk *d = sim_disk_new(1);
    struct wm_journal *j;
    assert_int_equal(open_journal(d, &j, NULL, NULL), WM_OK);
    for (uint64_t n = 1; n <= 150; n++)
        assert_true(put(j, n));
    wm_journal_close(j);
    bool was_hit = true;
    for (unsigned n = 1; was_hit; n++) {
        struct wm_journal_summary sum = {0};
        struct wm_err err = {0};
        const struct wm_journal_inspection o = {.dir = "/j", .io = sim_disk_io(d)};
        arm(n, false);
        enum wm_status status = wm_journal_inspect(&o, &sum, &err);
        was_hit = disarm("inspection");
        if (was_hit) {
            check_nomem(status, &err);
            continue;
        }
        assert_int_equal(status, WM_OK);
        assert_int_equal(sum.entries, 150);
        assert_int_equal(sum.damages, 0);
    }
    sim_disk_free(d);
}

/* ---- the recorder: journal, state and its copy ---- */

#define IDS 8u

static char dir[FOLDER_BYTES], image[FOLDER_BYTES + 8];

static int make_folders(void **state)
{
    (void)state;
    folder_make(dir);
    snprintf(image, sizeof image, "%s.image", dir);
    return 0;
}

static int remove_folders(void **state)
{
    (void)state;
    folder_remove(dir);
    folder_remove(image);
    return 0;
}

static void copy_data(const char *from, const char *to)
{
    static const char *const names[] = {"state.db", "state.db-wal"};
    char a[FOLDER_BYTES + 32], b[FOLDER_BYTES + 32];
    folder_remove(to);
    assert_int_equal(mkdir(to, 0700), 0);
    snprintf(a, sizeof a, "%s/journal", from);
    snprintf(b, sizeof b, "%s/journal", to);
    folder_copy(a, b);
    struct folder_copy c = {from, to};
    for (size_t i = 0; i < 2; i++) {
        snprintf(a, sizeof a, "%s/%s", from, names[i]);
        if (access(a, F_OK) == 0)
            folder_copy_one(&c, names[i]);
    }
}

static enum wm_status open_recorder(struct wm_recorder **out, struct wm_err *err)
{
    const struct wm_recorder_options o = {
        .data_dir = dir,
        .io = &wm_io_posix,
        .clock = &wm_clock_system,
        .segment_bytes = SMALL,
    };
    *out = NULL;
    return wm_recorder_open(&o, out, err);
}

/* by: the number that wrote the document of an id; 0: there is none */
static void check_state(struct wm_recorder *r, const uint64_t by[IDS])
{
    size_t want = 0;
    wm_state_lock(r->state);
    for (unsigned i = 0; i < IDS; i++) {
        char id[16], document[64];
        struct wm_view found;
        snprintf(id, sizeof id, "id-%u", i);
        snprintf(document, sizeof document, "{\"by\":%llu}", (unsigned long long)by[i]);
        assert_int_equal(wm_state_get(r->state, WM_LIT("k"), wm_view_of(id), &found), by[i] != 0);
        if (by[i] != 0)
            assert_true(wm_view_eq_str(found, document));
        want += by[i] != 0;
    }
    assert_int_equal(wm_state_count(r->state, WM_LIT("k")), want);
    wm_state_unlock(r->state);
}

/* Entry n changes one document, or removes it. Effect and record, or neither. */
static bool submit(struct wm_recorder *r, uint64_t n, uint64_t by[IDS])
{
    char id[16], document[64];
    unsigned slot = (unsigned)(n * 5 % IDS);
    bool removes = n % 4 == 0;
    uint64_t seq = 0;
    struct wm_err err = {0};
    snprintf(id, sizeof id, "id-%u", slot);
    snprintf(document, sizeof document, "{\"by\":%llu}", (unsigned long long)n);
    const struct wm_change c = {WM_LIT("k"), wm_view_of(id), removes ? WM_EMPTY : wm_view_of(document)};
    const struct wm_entry e = {.record = WM_LIT("{}"), .changes = &c, .n_changes = 1};
    wm_journal_await_room(r->journal);
    wm_state_lock(r->state);
    enum wm_status status = wm_recorder_submit(r, &e, &seq, &err);
    wm_state_unlock(r->state);
    if (status != WM_OK) {
        check_nomem(status, &err);
        check_state(r, by);
        return false;
    }
    assert_int_equal(seq, n);
    by[slot] = removes ? 0 : n;
    assert_int_equal(wm_recorder_commit(r, seq, NULL), WM_OK);
    return true;
}

/* What the service itself does changes nothing in memory: recorded and durable, or not at all. */
static bool event(struct wm_recorder *r, uint64_t n)
{
    struct wm_err err = {0};
    enum wm_status status = wm_recorder_event(r, "PauseFollower", WM_LIT("{\"follower\":\"f\"}"), &err);
    if (status != WM_OK)
        check_nomem(status, &err);
    assert_int_equal(wm_journal_durable(r->journal) >= n, status == WM_OK);
    return status == WM_OK;
}

static void each_allocation_of_the_recorder(void **state)
{
    (void)state;
    struct wm_recorder *r;
    uint64_t before[IDS] = {0}, first = 21;
    assert_int_equal(open_recorder(&r, NULL), WM_OK);
    for (uint64_t n = 1; n < first; n++)
        assert_true(submit(r, n, before));
    copy_data(dir, image); /* killed: some of it is in the copy, some in the journal only */
    wm_recorder_close(r);
    for (int from_then_on = 0; from_then_on < 2; from_then_on++) {
        bool was_hit = true;
        for (unsigned n = 1; was_hit; n++) {
            struct wm_err err = {0};
            uint64_t by[IDS], next = first;
            memcpy(by, before, sizeof by);
            copy_data(image, dir);
            arm(n, from_then_on != 0);
            enum wm_status status = open_recorder(&r, &err);
            if (status == WM_OK) {
                for (unsigned i = 0; i < 12; i++)
                    next += submit(r, next, by);
                next += event(r, next);
                check_state(r, by);
                wm_recorder_close(r);
            } else {
                check_nomem(status, &err);
            }
            was_hit = disarm("recorder");
            assert_true(was_hit || next == first + 13);
            assert_true(from_then_on || next == first || next >= first + 12);
            assert_int_equal(open_recorder(&r, &err), WM_OK);
            assert_int_equal(wm_journal_durable(r->journal), next - 1);
            check_state(r, by);
            wm_recorder_close(r);
        }
    }
}

int main(void)
{
    wm_log_set_level(WM_LOG_ERROR);
    (void)alarm(HANG_S);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_allocation_of_the_journal),
        cmocka_unit_test(each_allocation_of_an_inspection),
        cmocka_unit_test_setup_teardown(each_allocation_of_the_recorder, make_folders, remove_folders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
