/* Entries that leave the journal without the trail, and the books that tell. */
#include "tests/support/trail_rig.h"

#include "waymark/banned.h"


#define OTHER "another follower"

/* Without the trail: the journal goes on, and drops what the other follower has seen. @return the last entry dropped */
static uint64_t rig_move_on(struct rig *r, unsigned n)
{
    struct wm_journal_stats stats;
    uint64_t before;
    wm_journal_stats(r->journal, &stats);
    before = stats.first_seq;
    rig_append(r, n);
    assert_int_equal(wm_journal_set_cursor(r->journal, OTHER, r->last_seq), WM_OK);
    uint64_t first;
    unsigned same = 0;
    for (int i = 0; i < 3000 && (same < 10 || first == before); i++) {
        first = stats.first_seq;
        nap();
        wm_journal_stats(r->journal, &stats);
        same = stats.first_seq == first ? same + 1 : 0;
    }
    assert_true(stats.first_seq > before);
    return stats.first_seq - 1;
}

static void rig_reopen_journal(struct rig *r)
{
    wm_journal_close(r->journal);
    rig_open_journal(r);
    assert_int_equal(wm_journal_set_cursor(r->journal, OTHER, 0), WM_OK);
}

static void assert_books(struct rig *r, uint64_t missed)
{
    struct wm_board_trail b = rig_board(r);
    assert_int_equal(b.before_records, 0);
    assert_int_equal(b.filtered_records, 0);
    assert_int_equal(b.missed_records, missed);
    assert_int_equal(b.delivered_records, r->appended - missed);
    assert_int_equal(b.cursor_seq, r->appended);
    assert_int_equal(b.oldest_pending.ns, 0);
}

static void assert_told_with(struct rig *r, uint64_t first, uint64_t last, const char *more)
{
    char expected[512];
    (void)snprintf(expected, sizeof expected, "RecordsMissed {\"trailARN\":\"arn:aws:cloudtrail:" REGION ":" ACCOUNT
                   ":trail/studio\",\"firstSequence\":%llu,\"lastSequence\":%llu,\"missedRecords\":%llu%s}",
                   (unsigned long long)first, (unsigned long long)last, (unsigned long long)(last - first + 1), more);
    while (atomic_load(&r->events) == 0)
        nap();
    assert_int_equal(atomic_load(&r->events), 1);
    assert_string_equal(r->event, expected);
}

static void assert_told(struct rig *r, uint64_t first, uint64_t last)
{
    assert_told_with(r, first, last, "");
}

/* Taken out of the settings, and put back. The record of it waits for room in the journal, also through a restart. */
static void trail_counts_and_tells_what_it_missed(void **state)
{
    struct rig *r = *state;
    rig_start(r);
    rig_append(r, 25);
    rig_wait_delivered(r);
    rig_stop(r, 10000);
    rig_reopen_journal(r);
    r->gone_first = 26;
    r->gone_last = rig_move_on(r, 1000);
    atomic_store(&r->events_fail, 1000000);
    rig_start(r);
    WAIT(r, b.cursor_seq == r->last_seq);
    while (atomic_load(&r->events_fail) > 999998) /* refused at least twice */
        nap();
    assert_int_equal(atomic_load(&r->events), 0);
    rig_stop(r, 10000);
    atomic_store(&r->events_fail, 0);
    rig_start(r);
    assert_told(r, 26, r->gone_last);
    rig_append(r, 7);
    WAIT(r, b.cursor_seq == r->last_seq);
    assert_books(r, r->gone_last - 25);
    assert_all_there(r);
    rig_stop(r, 10000);
    rig_start(r); /* it is told once */
    rig_append(r, 1);
    WAIT(r, b.cursor_seq == r->last_seq);
    assert_int_equal(atomic_load(&r->events), 1);
}

/* The record of what was missed is in the journal, and leaves it undelivered too: then it is owed again. */
static void trail_tells_again_what_was_told_in_vain(void **state)
{
    struct rig *r = *state;
    char owed[128];
    rig_start(r);
    rig_append(r, 25);
    rig_wait_delivered(r);
    rig_stop(r, 10000);
    rig_reopen_journal(r);
    r->gone_first = 26;
    uint64_t gone = rig_move_on(r, 1000);
    r->start_mode = FLAKY_REFUSE;
    rig_start(r);
    assert_told(r, 26, gone);
    rig_stop(r, 0);
    rig_reopen_journal(r);
    r->gone_last = rig_move_on(r, 1000);
    assert_true(r->gone_last > gone + 500);
    r->start_mode = FLAKY_PASS;
    rig_start(r);
    WAIT(r, b.cursor_seq == r->last_seq);
    (void)snprintf(owed, sizeof owed, "\"firstSequence\":26,\"lastSequence\":%llu,", (unsigned long long)r->gone_last);
    for (int i = 0; i < 1000 && !strstr(r->event, owed); i++)
        nap();
    if (!strstr(r->event, owed))
        fail_msg("%s", r->event);
    assert_books(r, r->gone_last - 25);
    assert_all_there(r);
    int events = atomic_load(&r->events);
    rig_stop(r, 10000);
    rig_start(r); /* and now it is there */
    rig_append(r, 1);
    WAIT(r, b.cursor_seq == r->last_seq);
    assert_int_equal(atomic_load(&r->events), events);
}

/* The journal gives up its guarantee while the trail runs: first what was read is delivered, then comes the gap. */
static void trail_goes_on_behind_a_gap_while_it_runs(void **state)
{
    struct rig *r = *state;
    assert_int_equal(wm_journal_set_cursor(r->journal, OTHER, 0), WM_OK);
    r->start_mode = FLAKY_REFUSE;
    rig_start(r);
    rig_append(r, 14); /* ten are planned, nothing more is read meanwhile */
    WAIT(r, strcmp(b.latest_delivery_error, "SlowDown") == 0);
    assert_true(rig_board(r).oldest_pending.ns > 0);
    rig_append(r, 1000);
    assert_int_equal(wm_journal_set_cursor(r->journal, "trail:studio", r->last_seq), WM_OK); /* as if it had said so */
    uint64_t gone = rig_move_on(r, 1);
    atomic_store(&r->flaky->mode, FLAKY_PASS);
    WAIT(r, b.missed_records > 0 && b.cursor_seq == r->last_seq);
    assert_true(rig_board(r).delivered_records >= 10);
    r->gone_last = gone;
    r->gone_first = gone + 1 - rig_board(r).missed_records;
    assert_true(r->gone_first > 10 && r->gone_first < gone);
    assert_told(r, r->gone_first, r->gone_last);
    /* what follows is kept again */
    rig_append(r, 900);
    WAIT(r, b.cursor_seq == r->last_seq);
    assert_books(r, r->gone_last - r->gone_first + 1);
    assert_all_there(r);
}

/* A file was planned, and its entries are gone when the trail is back. */
static void trail_settles_a_plan_whose_entries_are_gone(void **state)
{
    static const struct {
        enum flaky_mode mode; /* of the put before the stop */
        unsigned planned, then;
        bool delivered, rest;
    } cases[] = {
        {FLAKY_REFUSE, 10, 1000, false, false},      /* never reached the bucket */
        {FLAKY_LOSE_AND_AWAY, 10, 1000, true, false},   /* did, and nobody learned of it */
        {FLAKY_OTHER_THERE, 10, 1000, false, false}, /* the key is another's */
        {FLAKY_REFUSE, 340, 1, false, true},         /* some of them are still there */
        {FLAKY_LOSE_AND_AWAY, 340, 1, true, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (i) {
            assert_int_equal(rig_teardown(state), 0);
            assert_int_equal(rig_setup(state), 0);
        }
        struct rig *r = *state;
        r->o.batch_records = cases[i].planned;
        r->start_mode = cases[i].mode;
        rig_start(r);
        rig_append(r, cases[i].planned);
        while (!atomic_load(&r->flaky->has_first))
            nap();
        WAIT(r, b.latest_delivery_error[0] != '\0');
        char key[1100], path[1500];
        memcpy(key, r->flaky->first_key, sizeof key);
        rig_stop(r, 0);
        assert_int_equal(rig_board(r).cursor_seq, 0);
        rig_reopen_journal(r);
        uint64_t gone = rig_move_on(r, cases[i].then);
        assert_true(cases[i].rest ? gone < cases[i].planned : gone >= cases[i].planned);
        r->start_mode = FLAKY_PASS;
        rig_start(r);
        WAIT(r, b.cursor_seq == r->last_seq);
        if (cases[i].mode == FLAKY_OTHER_THERE) {
            (void)snprintf(path, sizeof path, "%s/bucket/%s", r->scratch.dir, key);
            assert_int_equal(unlink(path), 0);
        }
        r->gone_first = cases[i].delivered ? cases[i].planned + 1 : 1;
        r->gone_last = gone;
        if (r->gone_first > r->gone_last) {
            r->gone_first = r->gone_last = 0;
            assert_books(r, 0);
            assert_int_equal(atomic_load(&r->events), 0);
        } else {
            assert_told(r, r->gone_first, r->gone_last);
            assert_books(r, r->gone_last - r->gone_first + 1);
        }
        inventory_take(r, &inventory);
        bool there = false;
        for (size_t f = 0; f < inventory.files; f++)
            there |= strcmp(inventory.file_keys[f], key) == 0;
        assert_int_equal(there, cases[i].delivered);
        inventory_done(&inventory);
    }
}

/* The bucket is away when it should be asked: nothing is decided until it answers. */
static void trail_asks_the_bucket_before_it_gives_a_plan_up(void **state)
{
    struct rig *r = *state;
    r->start_mode = FLAKY_LOSE_AND_AWAY;
    rig_start(r);
    rig_append(r, 10);
    WAIT(r, b.latest_delivery_error[0] != '\0');
    rig_stop(r, 0);
    rig_reopen_journal(r);
    uint64_t gone = rig_move_on(r, 500);
    r->start_mode = FLAKY_AWAY;
    rig_start(r);
    WAIT(r, strcmp(b.latest_delivery_error, "SlowDown") == 0);
    assert_int_equal(rig_board(r).cursor_seq, 0);
    assert_int_equal(rig_board(r).missed_records, 0);
    atomic_store(&r->flaky->mode, FLAKY_PASS);
    WAIT(r, b.cursor_seq == r->last_seq);
    r->gone_first = 11;
    r->gone_last = gone;
    assert_books(r, gone - 10);
    assert_all_there(r);
}

/* A call stopped the trail, and has left the journal with others: the state says what the trail is behind the gap. It is
 * told when the trail is started, since no sooner the record would get there. */
static void trail_knows_behind_a_gap_that_it_was_stopped(void **state)
{
    struct rig *r = *state;
    rig_start(r);
    rig_append(r, 25);
    rig_wait_delivered(r);
    rig_stop(r, 10000);
    rig_reopen_journal(r);
    rig_append(r, 3);
    rig_switch(r, "studio", true);
    uint64_t gone = rig_move_on(r, 1000);
    assert_true(gone > 29 && gone < r->last_seq);
    rig_start(r);
    WAIT(r, b.cursor_seq == r->last_seq);
    assert_int_equal(rig_board(r).missed_records, gone - 25);
    assert_int_equal(rig_board(r).filtered_records, r->last_seq - gone);
    assert_int_equal(atomic_load(&r->events), 0);
    r->gone_first = 26;
    r->gone_last = r->last_seq;
    rig_switch(r, "studio", false);
    rig_append(r, 4);
    WAIT(r, b.cursor_seq == r->last_seq);
    assert_told_with(r, 26, gone, ",\"stoppedBehind\":true");
    assert_all_there(r);
}

/* Both are behind the gap: the next switch in the journal says what was before it, whatever the state is by then. */
static void trail_knows_behind_a_gap_what_the_next_switch_ends(void **state)
{
    struct rig *r = *state;
    rig_start(r);
    rig_append(r, 5);
    rig_switch(r, "studio", true);
    rig_append(r, 5);
    WAIT(r, b.cursor_seq == r->last_seq);
    assert_int_equal(rig_board(r).filtered_records, 5);
    rig_stop(r, 10000);
    rig_reopen_journal(r);
    uint64_t gone = rig_move_on(r, 1000);
    r->gone_first = 7;
    r->gone_last = r->last_seq;
    rig_switch(r, "studio", false);
    rig_append(r, 5);
    rig_start(r);
    WAIT(r, b.cursor_seq == r->last_seq);
    assert_int_equal(rig_board(r).missed_records, gone - 11);
    assert_told_with(r, 12, gone, ",\"stoppedBefore\":true,\"stoppedBehind\":true");
    assert_all_there(r);
}

static void trail_stands_still_when_its_books_do_not_balance(void **state)
{
    struct rig *r = *state;
    struct wm_err err = {0};
    rig_start(r);
    rig_append(r, 5);
    rig_wait_delivered(r);
    rig_stop(r, 10000);
    sqlite3 *db;
    assert_int_equal(sqlite3_open(scratch_path(&r->scratch, "ledger"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA ignore_check_constraints = ON;"
                                      "UPDATE head SET delivered_records = 4", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    assert_int_equal(rig_try_start(r, &err), WM_E_CORRUPT);
    assert_non_null(strstr(err.message, "has counted 4 entries and is at entry 5"));
    r->trail = NULL;
    /* and when a step would break them */
    assert_int_equal(sqlite3_open(scratch_path(&r->scratch, "ledger"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "UPDATE head SET delivered_records = 5; CREATE TRIGGER wrong AFTER DELETE ON"
                                      " file_plan BEGIN UPDATE head SET missed_records = 1, before_records = -1; END",
                                  NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "CREATE TRIGGER wrong2 AFTER UPDATE ON head WHEN new.delivered_files >"
                                      " old.delivered_files BEGIN UPDATE head SET filtered_records = 1; END",
                                  NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    rig_start(r);
    rig_append(r, 5);
    WAIT(r, strcmp(b.latest_delivery_error, "corrupt") == 0);
    assert_int_equal(rig_board(r).cursor_seq, 5);
    rig_stop(r, 10000);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        TEST(trail_counts_and_tells_what_it_missed),
        TEST(trail_tells_again_what_was_told_in_vain),
        TEST(trail_goes_on_behind_a_gap_while_it_runs),
        TEST(trail_settles_a_plan_whose_entries_are_gone),
        TEST(trail_asks_the_bucket_before_it_gives_a_plan_up),
        TEST(trail_knows_behind_a_gap_that_it_was_stopped),
        TEST(trail_knows_behind_a_gap_what_the_next_switch_ends),
        TEST(trail_stands_still_when_its_books_do_not_balance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
