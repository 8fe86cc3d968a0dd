/* Delivery: each record is in the bucket once, whatever the store did. */
#include "tests/support/trail_rig.h"

#include "waymark/banned.h"

/* ---- delivery ---- */

static void trail_delivers_each_record_once(void **state)
{
    struct rig *r = *state;
    rig_append(r, 25); /* before it starts */
    rig_start(r);
    rig_wait_delivered(r);
    for (int i = 0; i < 40; i++)
        rig_append(r, 1 + (unsigned)i * 7 % 31);
    rig_wait_delivered(r);
    inventory_take(r, &inventory);
    assert_true(inventory.files >= r->appended / 10);
    /* audit/AWSLogs/ACCOUNT/CloudTrail/REGION/YYYY/MM/DD/ACCOUNT_CloudTrail_REGION_YYYYMMDDTHHmmZ_UNIQUE.json.zst */
    const char *key = inventory.file_keys[0];
    assert_int_equal(strncmp(key, "audit/AWSLogs/" ACCOUNT "/CloudTrail/" REGION "/20", 51), 0);
    const char *name = strrchr(key, '/') + 1;
    assert_int_equal(strncmp(name, ACCOUNT "_CloudTrail_" REGION "_20", 39), 0);
    assert_int_equal(strspn(strrchr(name, '_') + 1, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"),
                     16);
    assert_string_equal(strrchr(name, '_') + 17, ".json.zst");
    inventory_done(&inventory);

    struct wm_board_trail b = rig_board(r);
    assert_string_equal(b.arn, "arn:aws:cloudtrail:" REGION ":" ACCOUNT ":trail/studio");
    assert_string_equal(b.bucket, "evidence");
    assert_string_equal(b.prefix, "audit");
    assert_string_equal(b.codec, "zstd");
    assert_true(b.started.ns > 0 && b.latest_delivery.ns >= b.started.ns && b.latest_delivery_attempt.ns > 0);
    assert_string_equal(b.latest_delivery_error, "");
    assert_int_equal(b.latest_digest.ns, 0);

    /* the journal may drop what is delivered */
    struct wm_journal_stats stats;
    wm_journal_stats(r->journal, &stats);
    for (int i = 0; i < 1000 && stats.first_seq < 2; i++) {
        nap();
        wm_journal_stats(r->journal, &stats);
    }
    assert_true(stats.first_seq > 1);
}

static uint64_t first_entry_kept(struct rig *r)
{
    struct wm_journal_stats stats;
    wm_journal_stats(r->journal, &stats);
    return stats.first_seq;
}

/* What is appended at a start, before the trails are there, must not make the journal drop what they have not read. */
static void trail_holds_the_journal_before_it_starts(void **state)
{
    struct rig *r = *state;
    rig_append(r, 1000); /* several segments */
    wm_journal_close(r->journal);
    rig_open_journal(r);
    assert_int_equal(wm_trail_hold(r->journal, r->o.name, NULL), WM_OK);
    assert_int_equal(wm_journal_set_cursor(r->journal, "state", r->last_seq), WM_OK);
    rig_append(r, 1000); /* who makes a segment ahead retires first what may go */
    assert_int_equal(first_entry_kept(r), 1);
    r->o.journal = r->journal;
    rig_start(r);
    rig_wait_delivered(r);
    inventory_take(r, &inventory);
    inventory_done(&inventory);
    assert_int_equal(wm_journal_set_cursor(r->journal, "state", r->last_seq), WM_OK);
    for (int i = 0; i < 1000 && first_entry_kept(r) == 1; i++)
        nap();
    assert_true(first_entry_kept(r) > 1);
}

static void trail_sets_the_headers_that_readers_need(void **state)
{
    struct rig *r = *state;
    r->o.codec = &wm_codec_gzip;
    r->o.codec_level = 6;
    rig_start(r);
    rig_append(r, 1);
    rig_wait_delivered(r);
    inventory_take(r, &inventory);
    char path[600];
    struct wm_buf text;
    wm_buf_init(&text, 4096);
    (void)snprintf(path, sizeof path, "bucket/.metadata/%s", inventory.file_keys[0]);
    assert_int_equal(wm_io_read_file(&wm_io_posix, scratch_path(&r->scratch, path), &text, NULL), WM_OK);
    assert_string_equal(wm_buf_cstr(&text), "{\"content-type\":\"application/json\",\"content-encoding\":\"gzip\"}\n");
    assert_true(wm_view_ends(wm_view_of(inventory.file_keys[0]), ".json.gz"));
    wm_buf_done(&text);
    inventory_done(&inventory);
}

static void trail_stop_delivers_what_is_durable(void **state)
{
    struct rig *r = *state;
    r->o.batch_age_ms = 3600 * 1000;
    rig_start(r);
    rig_append(r, 25);
    WAIT(r, b.cursor_seq == 20); /* full ones at once, the rest waits for company */
    rig_stop(r, 10000);
    assert_int_equal(rig_board(r).cursor_seq, 25);
    assert_all_there(r);
}

static void trail_goes_on_after_a_restart(void **state)
{
    struct rig *r = *state;
    for (int i = 0; i < 5; i++) {
        rig_start(r);
        rig_append(r, 33);
        if (i % 2)
            rig_wait_delivered(r);
        rig_stop(r, 10000);
        wm_journal_close(r->journal);
        rig_open_journal(r);
        rig_append(r, 5);
    }
    rig_start(r);
    rig_wait_delivered(r);
    assert_int_equal(rig_board(r).delivered_records, 5 * 38);
    assert_all_there(r);
}

/* What waited through a restart is as old as its record says. */
static void trail_does_not_delay_old_records_after_a_restart(void **state)
{
    struct rig *r = *state;
    r->o.batch_age_ms = 3600 * 1000;
    rig_append(r, 3);
    pass_time(r, 3601);
    rig_start(r);
    rig_wait_delivered(r);
    assert_all_there(r);
}

/* ---- stores that fail ---- */

static void trail_retries_the_same_file_until_the_store_takes_it(void **state)
{
    struct rig *r = *state;
    r->start_mode = FLAKY_REFUSE;
    rig_start(r);
    rig_append(r, 7);
    WAIT(r, strcmp(b.latest_delivery_error, "SlowDown") == 0);
    rig_append(r, 100);
    while (atomic_load(&r->flaky->puts) < 8)
        nap();
    assert_int_equal(rig_board(r).cursor_seq, 0);
    assert_true(rig_board(r).latest_delivery_attempt.ns > 0);
    char key[1100];
    memcpy(key, r->flaky->first_key, sizeof key);
    atomic_store(&r->flaky->mode, FLAKY_PASS);
    rig_wait_delivered(r);
    WAIT(r, b.latest_delivery_error[0] == '\0');
    inventory_take(r, &inventory);
    size_t with_key = 0;
    for (size_t i = 0; i < inventory.files; i++)
        with_key += strcmp(inventory.file_keys[i], key) == 0;
    assert_int_equal(with_key, 1);
    inventory_done(&inventory);
}

/* Stopped between plan and put, with the journal reopened and limits changed: the same key, the same bytes. */
static void trail_keeps_its_plan_through_a_restart(void **state)
{
    struct rig *r = *state;
    r->start_mode = FLAKY_REFUSE;
    rig_start(r);
    rig_append(r, 8);
    WAIT(r, strcmp(b.latest_delivery_error, "SlowDown") == 0);
    char key[1100];
    memcpy(key, r->flaky->first_key, sizeof key);
    rig_append(r, 30);
    rig_stop(r, 0);
    wm_journal_close(r->journal);
    rig_open_journal(r);
    rig_append(r, 4);

    r->o.batch_records = 3; /* other settings today */
    r->o.codec = &wm_codec_gzip;
    r->o.codec_level = 6;
    rig_start(r); /* fails again, with the plan of then */
    WAIT(r, strcmp(b.latest_delivery_error, "SlowDown") == 0);
    assert_string_equal(r->flaky->first_key, key);
    assert_true(wm_view_ends(wm_view_of(key), ".json.zst"));
    atomic_store(&r->flaky->mode, FLAKY_PASS);
    rig_wait_delivered(r);
    r->o.batch_records = 10; /* for the inventory: the planned files have 8 and 10 */
    inventory_take(r, &inventory);
    size_t zstd = 0;
    for (size_t i = 0; i < inventory.files; i++)
        zstd += wm_view_ends(wm_view_of(inventory.file_keys[i]), ".json.zst");
    assert_int_equal(zstd, 2); /* one was on its way, and one made ready */
    inventory_done(&inventory);
}

static void trail_stores_one_object_after_a_lost_reply(void **state)
{
    static const enum flaky_mode modes[] = {FLAKY_LOSE_REPLY, FLAKY_REPACK};
    struct rig *r = *state;
    r->o.codec = &wm_codec_gzip;
    r->o.codec_level = 6;
    rig_start(r);
    for (size_t i = 0; i < 2; i++) {
        atomic_store(&r->flaky->mode, modes[i]);
        rig_append(r, 5);
        rig_wait_delivered(r);
    }
    /* and when we end before we learn it */
    atomic_store(&r->flaky->mode, FLAKY_LOSE_REPLY);
    rig_append(r, 5);
    while (atomic_load(&r->flaky->mode) != FLAKY_PASS)
        nap();
    rig_stop(r, 0);
    rig_start(r);
    rig_wait_delivered(r);
    inventory_take(r, &inventory);
    assert_int_equal(inventory.files, 3);
    inventory_done(&inventory);
}

static void trail_never_takes_anothers_object_for_its_own(void **state)
{
    struct rig *r = *state;
    r->start_mode = FLAKY_OTHER_THERE;
    rig_start(r);
    rig_append(r, 5);
    WAIT(r, strcmp(b.latest_delivery_error, "PreconditionFailed") == 0);
    assert_int_equal(rig_board(r).cursor_seq, 0);
    char path[1500];
    (void)snprintf(path, sizeof path, "%s/bucket/%s", r->scratch.dir, r->flaky->first_key);
    assert_int_equal(unlink(path), 0);
    rig_wait_delivered(r);
    assert_all_there(r);
}

static void trail_waits_for_a_bucket_that_is_away(void **state)
{
    struct rig *r = *state;
    char bucket[300], away[300];
    (void)snprintf(bucket, sizeof bucket, "%s/bucket", r->scratch.dir);
    (void)snprintf(away, sizeof away, "%s/away", r->scratch.dir);
    rig_start(r);
    rig_append(r, 12);
    rig_wait_delivered(r);
    assert_int_equal(rename(bucket, away), 0);
    rig_append(r, 50);
    WAIT(r, strcmp(b.latest_delivery_error, "NoSuchBucket") == 0);
    assert_int_equal(rename(away, bucket), 0);
    rig_wait_delivered(r);
    assert_all_there(r);
}

static void trail_leaves_a_store_alone_that_asks_for_it(void **state)
{
    struct rig *r = *state;
    r->start_mode = FLAKY_REFUSE;
    rig_start(r);
    atomic_store(&r->flaky->retry_after_ms, 3600 * 1000);
    rig_append(r, 1);
    WAIT(r, strcmp(b.latest_delivery_error, "SlowDown") == 0);
    int puts = atomic_load(&r->flaky->puts);
    for (int i = 0; i < 50; i++) /* more than three times the longest backoff */
        nap();
    assert_int_equal(atomic_load(&r->flaky->puts), puts);
    int64_t before = wm_clock_mono(&wm_clock_system).ns;
    rig_stop(r, 10000); /* and a stop is not delayed by it */
    assert_true(wm_clock_mono(&wm_clock_system).ns - before < 5 * WM_NS_PER_S);
}

static void trail_stop_ends_a_store_that_does_not_answer(void **state)
{
    struct rig *r = *state;
    r->start_mode = FLAKY_BLOCK;
    rig_start(r);
    rig_append(r, 5);
    while (atomic_load(&r->flaky->puts) == 0)
        nap();
    int64_t before = wm_clock_mono(&wm_clock_system).ns;
    rig_stop(r, 50);
    assert_true(wm_clock_mono(&wm_clock_system).ns - before < 5 * WM_NS_PER_S);
    r->start_mode = FLAKY_PASS;
    rig_start(r);
    rig_wait_delivered(r);
    assert_all_there(r);
}

/* ---- what cannot go on ---- */

static void trail_refuses_a_journal_that_is_not_its_ledgers(void **state)
{
    struct rig *r = *state;
    struct wm_err err = {0};
    rig_start(r);
    rig_append(r, 20);
    rig_wait_delivered(r);
    rig_stop(r, 10000);
    wm_journal_close(r->journal);
    char path[300], away[300];
    (void)snprintf(path, sizeof path, "%s/journal", r->scratch.dir);
    (void)snprintf(away, sizeof away, "%s/journal-lost", r->scratch.dir);
    assert_int_equal(rename(path, away), 0);
    rig_open_journal(r);
    assert_int_equal(rig_try_start(r, &err), WM_E_CORRUPT);
    r->trail = NULL;
    assert_non_null(strstr(err.message, "they do not belong together"));
    /* the right one, but older than the ledger */
    wm_journal_close(r->journal);
    assert_int_equal(rename(path, scratch_path(&r->scratch, "journal-new")), 0);
    assert_int_equal(rename(away, path), 0);
    rig_open_journal(r);
    sqlite3 *db;
    assert_int_equal(sqlite3_open(scratch_path(&r->scratch, "ledger"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "UPDATE head SET cursor_seq = 21, missed_records = 1", NULL, NULL, NULL),
                     SQLITE_OK);
    sqlite3_close(db);
    assert_int_equal(rig_try_start(r, &err), WM_E_CORRUPT);
    r->trail = NULL;
    assert_non_null(strstr(err.message, "one of them is older than the other"));
}

static void trail_stands_still_when_the_journal_is_not_what_was_planned(void **state)
{
    struct rig *r = *state;
    r->start_mode = FLAKY_REFUSE;
    rig_start(r);
    rig_append(r, 5);
    WAIT(r, strcmp(b.latest_delivery_error, "SlowDown") == 0);
    rig_stop(r, 0);
    sqlite3 *db;
    assert_int_equal(sqlite3_open(scratch_path(&r->scratch, "ledger"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "UPDATE file_plan SET hash = 'x' || substr(hash, 2)", NULL, NULL,
                                  NULL), SQLITE_OK);
    sqlite3_close(db);
    r->start_mode = FLAKY_PASS;
    rig_start(r);
    WAIT(r, strcmp(b.latest_delivery_error, "corrupt") == 0);
    assert_int_equal(atomic_load(&r->flaky->puts), 0);
    rig_stop(r, 10000);
}

static void trail_options_are_checked(void **state)
{
    struct rig *r = *state;
    struct wm_trail_options good = r->o;
    for (int i = 0; i < 12; i++) {
        struct wm_err err = {0};
        r->o = good;
        switch (i) {
        case 0: r->o.name = WM_LIT("x"); break;
        case 1: r->o.batch_bytes = 65535; break;
        case 2: r->o.batch_bytes = WM_MAX_BATCH_BYTES + 1; break;
        case 3: r->o.batch_records = 0; break;
        case 4: r->o.batch_records = 1000001; break;
        case 5: r->o.batch_age_ms = -1; break;
        case 6: r->o.digest_period_s = 0; break;
        case 7: r->o.digest_period_s = 86401; break;
        case 8: r->o.codec_level = 0; break;
        case 9: r->o.codec_level = 20; break;
        case 10: r->o.retry_min_ms = -1; break;
        case 11: r->o.retry_max_ms = -1; break;
        }
        assert_int_equal(rig_try_start(r, &err), WM_E_INVALID); /* the store is released all the same */
        assert_true(err.message[0] != '\0');
        r->trail = NULL;
    }
    r->o = good;
    char long_prefix[300];
    struct wm_err err = {0};
    memset(long_prefix, 'p', sizeof long_prefix);
    r->o.prefix = (struct wm_view){long_prefix, sizeof long_prefix};
    assert_int_equal(rig_try_start(r, &err), WM_E_LIMIT);
    r->trail = NULL;
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        TEST(trail_delivers_each_record_once),
        TEST(trail_holds_the_journal_before_it_starts),
        TEST(trail_sets_the_headers_that_readers_need),
        TEST(trail_stop_delivers_what_is_durable),
        TEST(trail_goes_on_after_a_restart),
        TEST(trail_does_not_delay_old_records_after_a_restart),
        TEST(trail_retries_the_same_file_until_the_store_takes_it),
        TEST(trail_keeps_its_plan_through_a_restart),
        TEST(trail_stores_one_object_after_a_lost_reply),
        TEST(trail_never_takes_anothers_object_for_its_own),
        TEST(trail_waits_for_a_bucket_that_is_away),
        TEST(trail_leaves_a_store_alone_that_asks_for_it),
        TEST(trail_stop_ends_a_store_that_does_not_answer),
        TEST(trail_refuses_a_journal_that_is_not_its_ledgers),
        TEST(trail_stands_still_when_the_journal_is_not_what_was_planned),
        TEST(trail_options_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
