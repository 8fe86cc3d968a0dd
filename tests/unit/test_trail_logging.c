/* StopLogging and StartLogging, met on the way through the journal: what is between them is in no file, all else is. */
#include "tests/support/trail_rig.h"

#include "waymark/banned.h"

/* The stopped time: the entries between the two switches. */
static void between(struct rig *r, uint64_t stop, uint64_t start)
{
    r->gone_first = stop + 1;
    r->gone_last = start - 1;
}

/* @return the number of the file that holds the record */
static size_t file_of(uint64_t id)
{
    struct wm_store_header headers[WM_STORE_MAX_HEADERS];
    char text[40];
    size_t n, found = SIZE_MAX, len = (size_t)snprintf(text, sizeof text, "\"waymarkSequence\":%llu}", (unsigned long long)id);
    for (size_t i = 0; i < inventory.files; i++) {
        struct wm_view content = inventory_read(&inventory, inventory.file_keys[i], headers, &n);
        if (memmem(content.ptr, content.len, text, len)) {
            assert_int_equal(found, SIZE_MAX);
            found = i;
        }
    }
    assert_true(found < inventory.files);
    return found;
}

static void assert_passed_over(struct rig *r)
{
    struct wm_board_trail b = rig_board(r);
    uint64_t gone = r->gone_last - r->gone_first + 1;
    assert_int_equal(b.filtered_records, gone);
    assert_int_equal(b.delivered_records, r->appended - gone);
    assert_int_equal(b.missed_records, 0);
    assert_int_equal(b.cursor_seq, r->appended);
    inventory_take(r, &inventory); /* every other record once, in order */
    assert_true(file_of(r->gone_first - 1) < file_of(r->gone_last + 1));
    inventory_done(&inventory);
}

static void logging_stops_and_starts_where_the_calls_stand(void **state)
{
    struct rig *r = *state;
    rig_start(r);
    rig_append(r, 7);
    rig_switch(r, "other", true); /* of another trail */
    rig_append(r, 3);
    rig_switch(r, "studio", true);
    uint64_t stop = r->appended;
    rig_append(r, 40);
    WAIT(r, b.cursor_seq == r->last_seq);
    assert_int_equal(rig_board(r).delivered_records, stop);
    rig_switch(r, "studio", false);
    between(r, stop, r->appended);
    rig_append(r, 30);
    WAIT(r, b.cursor_seq == r->last_seq);
    assert_passed_over(r);
}

/* Nobody waits for a file that nothing more comes to. */
static void logging_delivers_the_stop_at_once(void **state)
{
    struct rig *r = *state;
    r->o.batch_age_ms = 3600 * 1000;
    r->o.batch_records = 1000;
    rig_start(r);
    rig_append(r, 7);
    rig_switch(r, "studio", true);
    WAIT(r, b.delivered_records == 8);
    assert_int_equal(rig_board(r).cursor_seq, 8);
    rig_append(r, 2500); /* counted in pieces, not kept in mind for an hour */
    WAIT(r, b.filtered_records == 2000);
    rig_switch(r, "studio", false);
    rig_append(r, 5);
    WAIT(r, b.cursor_seq == 2508); /* a file begins with the start, and waits */
    rig_stop(r, 10000);
    between(r, 8, 2509);
    assert_passed_over(r);
}

static void logging_stops_twice_with_nothing_between(void **state)
{
    struct rig *r = *state;
    rig_append(r, 3);
    rig_switch(r, "studio", true);
    rig_switch(r, "studio", false); /* a gap of none */
    rig_switch(r, "studio", true);
    rig_append(r, 6);
    rig_switch(r, "studio", false);
    between(r, 6, 13);
    rig_start(r);
    WAIT(r, b.cursor_seq == r->last_seq);
    assert_passed_over(r);
}

/* The process ends between the steps of the ledger, and the next one is told nothing but ledger and journal. */
static void logging_is_the_same_through_an_end_at_each_step(void **state)
{
    static const enum flaky_mode ends[] = {
        FLAKY_PASS,
        FLAKY_REFUSE,        /* planned, not put */
        FLAKY_LOSE_AND_AWAY, /* put, and the ledger was not told */
    };
    for (size_t i = 0; i < 9; i++) {
        if (i) {
            assert_int_equal(rig_teardown(state), 0);
            assert_int_equal(rig_setup(state), 0);
        }
        struct rig *r = *state;
        r->uploads = 1 + i % 2;
        rig_append(r, 13);
        rig_switch(r, "studio", true);
        r->start_mode = ends[i / 3];
        rig_start(r); /* ends behind the file of the stop, or before */
        if (ends[i / 3] == FLAKY_PASS)
            WAIT(r, b.cursor_seq == r->last_seq);
        else
            WAIT(r, b.latest_delivery_error[0] != '\0');
        rig_stop(r, 0);
        rig_append(r, 17);
        r->start_mode = i % 2 ? FLAKY_PASS : ends[i / 3];
        rig_start(r); /* and while it is stopped */
        if (r->start_mode != FLAKY_REFUSE)
            WAIT(r, b.cursor_seq > 0 || b.latest_delivery_error[0] != '\0');
        rig_stop(r, 0);
        rig_switch(r, "studio", false);
        between(r, 14, r->appended);
        rig_append(r, 15);
        r->start_mode = ends[i % 3];
        rig_start(r); /* and behind the file of the start, or before */
        if (ends[i % 3] == FLAKY_PASS)
            WAIT(r, b.cursor_seq == r->last_seq);
        else
            WAIT(r, b.latest_delivery_error[0] != '\0');
        rig_stop(r, 0);
        r->start_mode = FLAKY_PASS;
        rig_start(r);
        WAIT(r, b.cursor_seq == r->last_seq);
        assert_passed_over(r);
    }
}

/* Of a planned file that begins with the start, the first records are gone. */
static void logging_settles_a_plan_behind_a_start(void **state)
{
    struct rig *r = *state;
    static const char other[] = "another follower";
    assert_int_equal(wm_journal_set_cursor(r->journal, other, 0), WM_OK);
    r->o.batch_records = 400;
    r->o.batch_bytes = 1 << 20;
    rig_start(r);
    rig_switch(r, "studio", true);
    rig_append(r, 4);
    WAIT(r, b.cursor_seq == 5);
    atomic_store(&r->flaky->mode, FLAKY_REFUSE);
    rig_switch(r, "studio", false);
    rig_append(r, 339);
    WAIT(r, b.latest_delivery_error[0] != '\0');
    rig_stop(r, 0);
    wm_journal_close(r->journal);
    rig_open_journal(r);
    assert_int_equal(wm_journal_set_cursor(r->journal, other, 0), WM_OK);
    rig_append(r, 1);
    assert_int_equal(wm_journal_set_cursor(r->journal, other, r->last_seq), WM_OK);
    struct wm_journal_stats stats = {0};
    for (int i = 0; i < 3000 && stats.first_seq < 10; i++) {
        nap();
        wm_journal_stats(r->journal, &stats);
    }
    for (int i = 0; i < 60; i++)
        nap();
    wm_journal_stats(r->journal, &stats);
    assert_true(stats.first_seq > 6 && stats.first_seq < 345);
    r->start_mode = FLAKY_PASS;
    rig_start(r);
    WAIT(r, b.cursor_seq == r->last_seq);
    assert_int_equal(rig_board(r).filtered_records, 4);
    assert_int_equal(rig_board(r).missed_records, stats.first_seq - 6);
    r->gone_first = 2;
    r->gone_last = stats.first_seq - 1;
    while (atomic_load(&r->events) == 0)
        nap();
    assert_non_null(strstr(r->event, ",\"stoppedBefore\":true}"));
    assert_all_there(r);
}

/* A ledger that begins where the trail of its name was stopped: by the switch that follows, or by the state. */
static void logging_of_a_new_ledger_is_what_the_state_says(void **state)
{
    struct rig *r = *state;
    assert_int_equal(wm_journal_set_cursor(r->journal, "another follower", 0), WM_OK);
    rig_append(r, 2);
    r->logging = (struct wm_trail_logging){.stopped = true, .switched = true};
    rig_start(r);
    WAIT(r, b.filtered_records == 2);
    rig_stop(r, 0);
    assert_int_equal(rig_teardown(state), 0);
    assert_int_equal(rig_setup(state), 0);
    r = *state;
    rig_append(r, 2);
    rig_switch(r, "studio", true); /* so it was not before, and is now */
    rig_append(r, 3);
    rig_start(r);
    WAIT(r, b.cursor_seq == r->last_seq);
    assert_int_equal(rig_board(r).delivered_records, 3);
    assert_int_equal(rig_board(r).filtered_records, 3);
    rig_stop(r, 0);
    rig_start(r); /* from now on the ledger knows */
    rig_append(r, 1);
    WAIT(r, b.cursor_seq == r->last_seq);
    assert_int_equal(rig_board(r).filtered_records, 4);
}

/* The chain goes on at its pace, and the verifier finds nothing: the two records explain the gap. */
static void logging_leaves_no_hole_in_the_chain(void **state)
{
    struct rig *r = *state;
    rig_start(r);
    struct wm_wall_ns sealed = rig_begin_chain(r);
    rig_append(r, 5);
    rig_switch(r, "studio", true);
    rig_append(r, 5);
    WAIT(r, b.cursor_seq == r->last_seq);
    for (int i = 0; i < 3; i++) {
        pass_time(r, 3602);
        WAIT(r, b.latest_digest.ns > sealed.ns);
        sealed = rig_board(r).latest_digest;
    }
    rig_switch(r, "studio", false);
    between(r, 6, r->appended);
    rig_append(r, 5);
    WAIT(r, b.cursor_seq == r->last_seq);
    pass_time(r, 3602);
    WAIT(r, b.latest_digest.ns > sealed.ns);
    inventory_take(r, &inventory);
    assert_int_equal(inventory.digests, 5);
    assert_int_equal(inventory.listed, inventory.files);
    assert_int_equal(digest_at(2).n_files, 0);
    inventory_done(&inventory);
    (void)rig_verify(r, "audit");
}

/* Hundreds of switches, some with nothing between, into a store that fails, through many ends of the process. */
static void logging_is_switched_hundreds_of_times(void **state)
{
    struct rig *r = *state;
    bool stopped = false;
    uint64_t passed = 0;
    r->o.retry_min_ms = 1;
    r->o.retry_max_ms = 4;
    for (int round = 0; round < 30; round++) {
        uint8_t random[32];
        wm_random(random, sizeof random);
        r->uploads = 1 + random[0] % 4;
        r->o.batch_records = 3 + random[1] % 20;
        r->start_mode = random[2] % 4 ? FLAKY_RANDOM : FLAKY_REFUSE;
        if (random[3] % 2)
            rig_start(r); /* otherwise it meets them all at once, at the next start */
        for (size_t i = 4; i < sizeof random; i++) {
            if (random[i] % 2) {
                rig_switch(r, "studio", !stopped);
                stopped = !stopped;
            } else {
                rig_append(r, random[i] % 8);
                for (uint64_t id = r->appended - random[i] % 8 + 1; stopped && id <= r->appended; id++) {
                    r->passed_over[id] = true;
                    passed++;
                }
            }
        }
        if (r->trail)
            rig_stop(r, random[2] % 3 ? 0 : 20);
    }
    if (stopped)
        rig_switch(r, "studio", false);
    r->o.batch_records = 22; /* as many as a file of any round may have */
    r->start_mode = FLAKY_PASS;
    rig_start(r);
    struct wm_wall_ns sealed = rig_board(r).latest_digest;
    WAIT(r, b.cursor_seq == r->last_seq);
    assert_int_equal(rig_board(r).filtered_records, passed);
    assert_int_equal(rig_board(r).missed_records, 0);
    pass_time(r, 3602);
    WAIT(r, b.latest_digest.ns > sealed.ns);
    pass_time(r, 3602);
    sealed = rig_board(r).latest_digest;
    WAIT(r, b.latest_digest.ns > sealed.ns);
    assert_all_there(r);
    (void)rig_verify(r, "audit");
}

static void logging_document_that_is_none_is_damage(void **state)
{
    struct rig *r = *state;
    struct wm_trail_logging l = {.stopped = true, .ended = {5 * WM_NS_PER_S}}, back;
    char document[WM_TRAIL_LOGGING_BYTES];
    size_t len = wm_trail_logging_write(&l, document);
    assert_int_equal(wm_trail_logging_read((struct wm_view){document, len}, &back, NULL), WM_OK);
    assert_true(back.stopped && back.switched);
    assert_int_equal(back.ended.ns, l.ended.ns);
    static const char *const wrong[] = {"", "{}", "[1]", "{\"logging\":1,\"startedMs\":1,\"stoppedMs\":1}",
                                        "{\"logging\":true,\"startedMs\":-1,\"stoppedMs\":1}",
                                        "{\"logging\":true,\"startedMs\":1}"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(wm_trail_logging_read(wm_view_of(wrong[i]), &back, NULL), WM_E_CORRUPT);
    /* a trail that meets such a one stands still: what follows is to be delivered, or it is not */
    struct wm_change change = {WM_LIT(WM_TRAIL_LOGGING_KIND), WM_LIT("studio"), WM_LIT("{}")};
    struct wm_entry e = {.time = wm_clock_wall(&r->clock), .event_source = WM_LIT("a"), .event_name = WM_LIT("b"),
                         .record = WM_LIT("{\"eventID\":\"1\"}"), .changes = &change, .n_changes = 1};
    assert_int_equal(wm_journal_append(r->journal, &e, &r->last_seq, NULL), WM_OK);
    assert_int_equal(wm_journal_commit(r->journal, r->last_seq, NULL), WM_OK);
    rig_start(r);
    WAIT(r, strcmp(b.latest_delivery_error, "corrupt") == 0);
    assert_int_equal(rig_board(r).cursor_seq, 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        TEST(logging_stops_and_starts_where_the_calls_stand),
        TEST(logging_delivers_the_stop_at_once),
        TEST(logging_stops_twice_with_nothing_between),
        TEST(logging_is_the_same_through_an_end_at_each_step),
        TEST(logging_settles_a_plan_behind_a_start),
        TEST(logging_of_a_new_ledger_is_what_the_state_says),
        TEST(logging_leaves_no_hole_in_the_chain),
        TEST(logging_is_switched_hundreds_of_times),
        TEST(logging_document_that_is_none_is_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
