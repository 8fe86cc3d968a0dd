/* Delivery: each record is in the bucket once, whatever the store did. */
#include <dirent.h>
#include <fcntl.h>

#include "tests/support/trail_rig.h"

#include "waymark/io.h"

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

/* ---- uploads in parallel ---- */

static void trail_uploads_as_many_at_a_time_as_it_is_told(void **state)
{
    struct rig *r = *state;
    r->uploads = 4;
    r->start_mode = FLAKY_GATHER;
    rig_append(r, 60);
    rig_start(r);
    rig_wait_delivered(r);
    assert_int_equal(atomic_load(&r->flaky->most_in_flight), 4);
    assert_all_there(r);
}

static int64_t plans_in_ledger(struct rig *r)
{
    sqlite3 *db;
    sqlite3_stmt *st;
    assert_int_equal(sqlite3_open(scratch_path(&r->scratch, "ledger"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT count(*) FROM file_plan", -1, &st, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    int64_t n = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    sqlite3_close(db);
    return n;
}

/* The first file hangs, the others overtake it; then the end comes. None is counted before the first, none is there twice
   after a restart, with fewer uploads at a time than files that were under way. */
static void trail_files_leave_in_order_although_uploads_overtake(void **state)
{
    struct rig *r = *state;
    r->uploads = 4;
    r->start_mode = FLAKY_BLOCK_OLDEST;
    rig_append(r, 300);
    rig_start(r);
    while (atomic_load(&r->flaky->puts) < 5) /* the fifth was made ready, and takes the place of who is done */
        nap();
    for (int i = 0; i < 30; i++)
        nap();
    assert_int_equal(atomic_load(&r->flaky->puts), 5);
    assert_int_equal(rig_board(r).cursor_seq, 0);
    assert_int_equal(rig_board(r).delivered_records, 0);
    rig_stop(r, 0);
    assert_int_equal(plans_in_ledger(r), 5); /* and no more of the backlog */
    r->uploads = 1;
    r->start_mode = FLAKY_PASS;
    rig_start(r);
    rig_wait_delivered(r);
    inventory_take(r, &inventory);
    assert_int_equal(inventory.files, 30);
    inventory_done(&inventory);
}

/* While the store refuses, it is asked for one file at a time. */
static void trail_asks_a_store_in_trouble_for_the_oldest_file_only(void **state)
{
    struct rig *r = *state;
    r->uploads = 4;
    r->start_mode = FLAKY_REFUSE;
    rig_append(r, 100);
    rig_start(r);
    WAIT(r, strcmp(b.latest_delivery_error, "SlowDown") == 0);
    while (atomic_load(&r->flaky->puts) < 12)
        nap();
    atomic_store(&r->flaky->mode, FLAKY_PASS);
    rig_wait_delivered(r);
    assert_true(atomic_load(&r->flaky->others_refused) <= 3); /* those that were on their way with the first */
    assert_all_there(r);
}

/* Stopped and started at any moment, with a store that takes, refuses and loses replies as it comes. */
static void trail_delivers_once_through_random_trouble(void **state)
{
    struct rig *r = *state;
    r->o.retry_min_ms = 1;
    r->o.retry_max_ms = 4;
    r->start_mode = FLAKY_RANDOM;
    for (int round = 0; round < 40; round++) {
        uint8_t random[4];
        wm_random(random, sizeof random);
        r->uploads = 1 + random[0] % 5;
        r->o.batch_records = 3 + random[1] % 20;
        r->o.codec = random[2] % 2 ? &wm_codec_zstd : &wm_codec_gzip;
        r->o.late_after_ms = random[2] % 3;
        rig_append(r, random[1] % 90);
        rig_start(r);
        rig_append(r, random[3] % 50);
        for (int i = 0; i < random[3] % 8; i++)
            nap();
        rig_stop(r, random[0] % 2 ? 0 : 20);
        struct wm_board_trail b = rig_board(r);
        assert_int_equal(b.delivered_records, b.cursor_seq);
    }
    r->start_mode = FLAKY_PASS;
    rig_start(r);
    rig_wait_delivered(r);
    r->o.batch_records = 100; /* for the inventory */
    assert_all_there(r);
}

/* ---- late records ---- */

/* What is late is decided with the plan: the same bytes after a restart, under other settings and at another time. */
static void trail_says_of_late_records_that_they_are(void **state)
{
    struct rig *r = *state;
    r->o.late_after_ms = 600 * 1000;
    r->start_mode = FLAKY_LOSE_AND_AWAY;
    rig_append(r, 4);
    pass_time(r, 700);
    rig_append(r, 3);
    rig_start(r);
    WAIT(r, b.latest_delivery_error[0] != '\0');
    rig_stop(r, 0);
    r->o.late_after_ms = 0;
    r->start_mode = FLAKY_PASS;
    rig_start(r);
    rig_wait_delivered(r);
    inventory_take(r, &inventory);
    assert_int_equal(inventory.files, 1);
    struct wm_store_header headers[WM_STORE_MAX_HEADERS];
    struct wm_json *root;
    size_t n, i = 0;
    struct wm_view text = inventory_read(&inventory, inventory.file_keys[0], headers, &n);
    assert_int_equal(wm_json_parse(&inventory.arena, text, &root, NULL), WM_OK);
    for (const struct wm_json *e = wm_json_get(root, "Records")->first; e; e = e->next, i++) {
        const struct wm_json *addendum = wm_json_get(e, "addendum");
        assert_int_equal(addendum != NULL, i < 4);
        if (addendum)
            assert_true(wm_view_eq_str(wm_json_get_text(addendum, "reason"), "DELIVERY_DELAY"));
    }
    inventory_done(&inventory);
}

/* ---- two daemons ---- */

/* Two data folders, one prefix of one bucket, the same name. */
static void trail_does_not_mix_with_another_on_its_prefix(void **state)
{
    struct rig *r = *state, *other;
    char bucket[300], key[400];
    void *second = NULL;
    r->start_mode = FLAKY_REAL;
    rig_start(r);
    rig_append(r, 5);
    rig_wait_delivered(r);

    assert_int_equal(rig_setup(&second), 0);
    other = second;
    (void)snprintf(bucket, sizeof bucket, "%s/bucket", r->scratch.dir);
    assert_int_equal(symlink(bucket, scratch_path(&other->scratch, "bucket")), 0);
    other->start_mode = FLAKY_REAL;
    rig_start(other);
    rig_append(other, 25);
    WAIT(other, strcmp(b.latest_delivery_error, "OwnedByAnotherTrail") == 0);
    pass_time(other, 7200); /* no digest either */
    for (int i = 0; i < 50; i++)
        nap();
    assert_int_equal(rig_board(other).delivered_records, 0);
    assert_int_equal(rig_board(other).latest_digest.ns, 0);
    rig_append(r, 5);
    rig_wait_delivered(r); /* the first one is not troubled */
    rig_stop(r, 10000);
    rig_start(r);
    rig_append(r, 5);
    rig_wait_delivered(r);
    assert_all_there(r); /* its own, and nothing else */

    /* The first has ended for good, and its place is given away. */
    rig_stop(r, 10000);
    (void)snprintf(key, sizeof key, "%s/audit/AWSLogs/" ACCOUNT "/Waymark/" REGION "/studio.json", bucket);
    assert_int_equal(unlink(key), 0);
    WAIT(other, b.cursor_seq == other->last_seq);
    assert_string_equal(rig_board(other).latest_delivery_error, "");
    assert_int_equal(rig_teardown(&second), 0);
}

/* ---- what cannot go on ---- */

static void copy_file(const char *from, const char *to)
{
    struct wm_buf content;
    wm_buf_init(&content, 1024 * 1024);
    assert_int_equal(wm_io_read_file(&wm_io_posix, from, &content, NULL), WM_OK);
    assert_int_equal(wm_io_replace_file(&wm_io_posix, to, wm_buf_view(&content), 0600, NULL), WM_OK);
    wm_buf_done(&content);
}

/* A ledger out of a backup: what was delivered since, it would deliver again, and its next digest would pass over those
 * that are there. */
static void trail_refuses_a_ledger_that_is_behind_its_bucket(void **state)
{
    struct rig *r = *state;
    char now[300], before[300];
    r->start_mode = FLAKY_REAL;
    (void)snprintf(now, sizeof now, "%s/ledger", r->scratch.dir);
    (void)snprintf(before, sizeof before, "%s/ledger-before", r->scratch.dir);
    rig_start(r);
    struct wm_wall_ns sealed = rig_begin_chain(r);
    rig_append(r, 5);
    rig_wait_delivered(r);
    rig_stop(r, 10000);
    copy_file(now, before);
    rig_start(r);
    rig_append(r, 15);
    rig_wait_delivered(r);
    pass_time(r, 3605);
    WAIT(r, b.latest_digest.ns > sealed.ns);
    rig_stop(r, 10000);
    copy_file(now, scratch_path(&r->scratch, "ledger-after"));

    assert_int_equal(rename(before, now), 0);
    pass_time(r, 3 * 3600);
    rig_start(r);
    WAIT(r, strcmp(b.latest_delivery_error, "LedgerBehindBucket") == 0);
    for (int i = 0; i < 50; i++)
        nap();
    assert_int_equal(rig_board(r).delivered_records, 5);
    assert_int_equal(rig_board(r).latest_digest.ns, sealed.ns);
    rig_stop(r, 10000);

    assert_int_equal(rename(scratch_path(&r->scratch, "ledger-after"), now), 0);
    rig_start(r);
    rig_append(r, 5);
    rig_wait_delivered(r);
    assert_all_there(r);
}

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

/* Somebody removes a segment under the running daemon: that is damage, and no entry that was let go. */
static void trail_stands_still_when_a_segment_is_taken_away(void **state)
{
    struct rig *r = *state;
    rig_start(r);
    rig_append(r, 5);
    rig_wait_delivered(r);
    rig_stop(r, 10000);
    struct wm_journal_stats stats;
    rig_append(r, 50);
    wm_journal_stats(r->journal, &stats);
    char path[300];
    (void)snprintf(path, sizeof path, "%s/journal", r->scratch.dir);
    DIR *d = opendir(path);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));)
        if (wm_view_ends(wm_view_of(e->d_name), ".journal"))
            assert_int_equal(unlinkat(dirfd(d), e->d_name, 0), 0);
    (void)closedir(d);
    rig_start(r);
    WAIT(r, strcmp(b.latest_delivery_error, "corrupt") == 0);
    assert_int_equal(rig_board(r).missed_records, 0);
    assert_int_equal(rig_board(r).delivered_records, 5);
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
        TEST(trail_uploads_as_many_at_a_time_as_it_is_told),
        TEST(trail_files_leave_in_order_although_uploads_overtake),
        TEST(trail_asks_a_store_in_trouble_for_the_oldest_file_only),
        TEST(trail_delivers_once_through_random_trouble),
        TEST(trail_says_of_late_records_that_they_are),
        TEST(trail_does_not_mix_with_another_on_its_prefix),
        TEST(trail_refuses_a_journal_that_is_not_its_ledgers),
        TEST(trail_refuses_a_ledger_that_is_behind_its_bucket),
        TEST(trail_stands_still_when_the_journal_is_not_what_was_planned),
        TEST(trail_stands_still_when_a_segment_is_taken_away),
        TEST(trail_options_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
