#include "delivery/ledger.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/resource.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "tests/support/scratch.h"

#include "waymark/banned.h"

static const struct wm_ledger_identity who = {{"studio", 6}, {"111122223333", 12}, {"eu-central-1", 12}, {7, 8, 9}};

static int setup(void **state)
{
    struct scratch *s = calloc(1, sizeof *s);
    scratch_make(s);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    scratch_remove(*state);
    free(*state);
    return 0;
}

static struct wm_ledger *open_ledger(const struct scratch *s)
{
    struct wm_ledger *l = NULL;
    struct wm_err err = {0};
    if (wm_ledger_open(scratch_path(s, "ledger"), &who, 40, 1000, &l, &err) != WM_OK)
        fail_msg("%s", err.message);
    return l;
}

static struct wm_ledger *reopen(struct wm_ledger *l, const struct scratch *s)
{
    wm_ledger_close(l);
    return open_ledger(s);
}

static struct wm_ledger_file_plan file_plan(const struct wm_ledger *l, uint64_t records, int64_t delivered_s)
{
    struct wm_ledger_file_plan p = {.records = records, .delivered_s = delivered_s, .level = -3,
                                    .late_before = {INT64_MIN + delivered_s}};
    p.first_seq = wm_ledger_planned_seq(l) + 1;
    p.last_seq = wm_ledger_planned_seq(l) + records;
    p.number = wm_ledger_head(l)->planned_files;
    (void)snprintf(p.key, sizeof p.key, "file/%llu", (unsigned long long)p.first_seq);
    (void)snprintf(p.hash, sizeof p.hash, "%064llu", (unsigned long long)p.last_seq);
    wm_time_iso(wm_wall_from_seconds(delivered_s), p.newest);
    wm_time_iso(wm_wall_from_seconds(delivered_s - 60), p.oldest);
    (void)snprintf(p.codec, sizeof p.codec, "zstd");
    return p;
}

static void deliver(struct wm_ledger *l, uint64_t records, int64_t delivered_s)
{
    struct wm_ledger_file_plan p = file_plan(l, records, delivered_s);
    assert_int_equal(wm_ledger_plan_file(l, &p, NULL), WM_OK);
    assert_int_equal(wm_ledger_delivered(l, WM_LIT("evidence"), delivered_s + 1, NULL), WM_OK);
}

static struct wm_ledger_digest_plan digest_plan(int64_t end_s, uint64_t last_file_id, uint64_t n_files)
{
    struct wm_ledger_digest_plan p = {.end_s = end_s, .last_file_id = last_file_id, .n_files = n_files, .level = 6,
                                      .document = WM_LIT("{\"a\":\"\0b\"}")};
    (void)snprintf(p.bucket, sizeof p.bucket, "evidence");
    (void)snprintf(p.key, sizeof p.key, "digest/%lld", (long long)end_s);
    (void)snprintf(p.hash, sizeof p.hash, "%064d", 7);
    (void)snprintf(p.signature, sizeof p.signature, "%0512d", 8);
    (void)snprintf(p.codec, sizeof p.codec, "gzip");
    return p;
}

static void ledger_begins_where_it_is_told_and_only_once(void **state)
{
    struct wm_ledger *l = open_ledger(*state);
    const struct wm_ledger_head *h = wm_ledger_head(l);
    assert_int_equal(h->cursor_seq, 40);
    assert_int_equal(h->started_s, 1000);
    assert_int_equal(h->digest_start_s, 1000);
    assert_int_equal(h->delivered_records, 0);
    assert_false(h->has_previous);
    assert_int_equal(wm_ledger_skip(l, 45, 5, NULL), WM_OK);
    l = reopen(l, *state);
    assert_int_equal(wm_ledger_head(l)->cursor_seq, 45);
    wm_ledger_close(l);
}

static void ledger_keeps_a_plan_until_it_is_delivered(void **state)
{
    struct wm_ledger *l = open_ledger(*state);
    struct wm_ledger_file_plan p = file_plan(l, 5, 1010), back;
    assert_int_equal(wm_ledger_file_plan(l, 0, &back, NULL), WM_E_NOT_FOUND);
    assert_int_equal(wm_ledger_delivered(l, WM_LIT("evidence"), 1, NULL), WM_E_NOT_FOUND);
    assert_int_equal(wm_ledger_plan_file(l, &p, NULL), WM_OK);
    l = reopen(l, *state);
    assert_int_equal(wm_ledger_head(l)->cursor_seq, 40);
    assert_int_equal(wm_ledger_head(l)->planned_s, 1010);
    assert_int_equal(wm_ledger_file_plan(l, 0, &back, NULL), WM_OK);
    assert_memory_equal(&back, &p, sizeof p);
    assert_int_equal(wm_ledger_delivered(l, WM_LIT("evidence"), 1012, NULL), WM_OK);
    for (int i = 0; i < 2; i++) {
        const struct wm_ledger_head *h = wm_ledger_head(l);
        assert_int_equal(h->cursor_seq, 45);
        assert_int_equal(h->delivered_records, 5);
        assert_int_equal(h->delivered_files, 1);
        assert_int_equal(h->latest_delivery_s, 1012);
        assert_int_equal(wm_ledger_file_plan(l, 0, &back, NULL), WM_E_NOT_FOUND);
        l = reopen(l, *state);
    }
    wm_ledger_close(l);
}

static void ledger_keeps_several_plans_in_their_order(void **state)
{
    struct wm_ledger *l = open_ledger(*state);
    struct wm_ledger_file_plan plans[3], back;
    for (unsigned i = 0; i < 3; i++) {
        plans[i] = file_plan(l, 5 + i, 1010 + (int64_t)i);
        if (i == 1) { /* some of its entries are not for the trail */
            plans[i].records = 4;
            plans[i].filtered = 2;
        }
        assert_int_equal(wm_ledger_plan_file(l, &plans[i], NULL), WM_OK);
    }
    l = reopen(l, *state);
    assert_int_equal(wm_ledger_head(l)->planned_files, 3);
    assert_int_equal(wm_ledger_planned_seq(l), 58);
    uint64_t after = 0;
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(wm_ledger_file_plan(l, after, &back, NULL), WM_OK);
        assert_memory_equal(&back, &plans[i], sizeof back);
        after = back.last_seq;
    }
    assert_int_equal(wm_ledger_file_plan(l, after, &back, NULL), WM_E_NOT_FOUND);
    static const uint64_t cursors[] = {45, 51, 58}, delivered[] = {5, 9, 16}, filtered[] = {0, 2, 2};
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(wm_ledger_delivered(l, WM_LIT("evidence"), 1020, NULL), WM_OK);
        l = reopen(l, *state);
        const struct wm_ledger_head *h = wm_ledger_head(l);
        assert_int_equal(h->cursor_seq, cursors[i]);
        assert_int_equal(h->delivered_records, delivered[i]);
        assert_int_equal(h->filtered_records, filtered[i]);
        assert_int_equal(h->delivered_files, i + 1);
        assert_int_equal(wm_ledger_planned_seq(l), 58);
    }
    wm_ledger_close(l);
}

/* ---- the books ---- */

static void assert_books(const struct wm_ledger *l, uint64_t delivered, uint64_t filtered, uint64_t missed)
{
    const struct wm_ledger_head *h = wm_ledger_head(l);
    assert_int_equal(h->before_records, 40);
    assert_int_equal(h->delivered_records, delivered);
    assert_int_equal(h->filtered_records, filtered);
    assert_int_equal(h->missed_records, missed);
    assert_int_equal(h->cursor_seq, 40 + delivered + filtered + missed);
}

static void ledger_refuses_a_step_whose_counts_do_not_add_up(void **state)
{
    struct wm_ledger *l = open_ledger(*state);
    struct wm_err err = {0};
    assert_int_equal(wm_ledger_skip(l, 45, 4, &err), WM_E_CORRUPT);
    assert_non_null(strstr(err.message, "would not add up"));
    struct wm_ledger_file_plan p = file_plan(l, 5, 1010);
    p.records = 4;
    assert_int_equal(wm_ledger_plan_file(l, &p, &err), WM_E_CORRUPT);
    p.records = 6;
    assert_int_equal(wm_ledger_plan_file(l, &p, &err), WM_E_CORRUPT);
    for (int i = 0; i < 2; i++) { /* nothing happened */
        assert_books(l, 0, 0, 0);
        assert_int_equal(wm_ledger_planned_seq(l), 40);
        assert_int_equal(wm_ledger_head(l)->planned_files, 0);
        l = reopen(l, *state);
    }
    deliver(l, 5, 1010);
    assert_books(l, 5, 0, 0);
    wm_ledger_close(l);
}

static void ledger_is_refused_when_its_books_do_not_balance(void **state)
{
    static const struct {
        const char *sql, *says;
    } cases[] = {
        {"UPDATE head SET delivered_records = delivered_records - 1", "has counted 51 entries and is at entry 52"},
        {"UPDATE head SET cursor_seq = cursor_seq + 1", "has counted 52 entries and is at entry 53"},
        {"UPDATE head SET missed_records = 1, before_records = 38", "has counted 51 entries"},
        {"DELETE FROM files WHERE id = 2", "3 delivered files with 12 records, but 1 with 3 in digests and 1 with 5"},
        {"UPDATE files SET records = records + 1", "in digests and 2 with 11 to come"},
        {"UPDATE file_plan SET first_seq = first_seq + 1 WHERE first_seq > 53", "does not follow"},
        {"UPDATE file_plan SET records = records + 1", "does not follow"},
        {"DELETE FROM file_plan WHERE first_seq = 53", "does not follow"},
    };
    struct scratch *s = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct wm_ledger *l = open_ledger(s);
        if (i == 0) {
            deliver(l, 3, 1010);
            struct wm_ledger_digest_plan d = digest_plan(1015, 1, 1);
            assert_int_equal(wm_ledger_plan_digest(l, &d, NULL), WM_OK);
            assert_int_equal(wm_ledger_sealed(l, 1015, NULL), WM_OK);
            deliver(l, 4, 1020);
            deliver(l, 5, 1030);
            for (int plan = 0; plan < 2; plan++) {
                struct wm_ledger_file_plan p = file_plan(l, 5, 1040);
                assert_int_equal(wm_ledger_plan_file(l, &p, NULL), WM_OK);
            }
        }
        wm_ledger_close(l);
        char command[700], good[300], bad[300];
        (void)snprintf(good, sizeof good, "%s/ledger", s->dir);
        (void)snprintf(bad, sizeof bad, "%s/bad", s->dir);
        (void)snprintf(command, sizeof command, "cp %s %s", good, bad);
        assert_int_equal(system(command), 0);
        sqlite3 *db;
        assert_int_equal(sqlite3_open(bad, &db), SQLITE_OK);
        assert_int_equal(sqlite3_exec(db, "PRAGMA ignore_check_constraints = ON", NULL, NULL, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_exec(db, cases[i].sql, NULL, NULL, NULL), SQLITE_OK);
        sqlite3_close(db);
        struct wm_err err = {0};
        assert_int_equal(wm_ledger_open(bad, &who, 40, 1000, &l, &err), WM_E_CORRUPT);
        if (!strstr(err.message, cases[i].says))
            fail_msg("case %zu: %s", i, err.message);
        assert_int_equal(unlink(bad), 0);
    }
}

static void ledger_counts_what_was_missed(void **state)
{
    struct wm_ledger *l = open_ledger(*state);
    struct wm_ledger_range r;
    assert_int_equal(wm_ledger_untold(l, &r, NULL), WM_E_NOT_FOUND);
    assert_int_equal(wm_ledger_missed(l, 50, NULL, true, NULL), WM_OK); /* no plan */
    assert_books(l, 0, 0, 10);
    struct wm_ledger_file_plan p = file_plan(l, 5, 1010), q, back;
    assert_int_equal(wm_ledger_plan_file(l, &p, NULL), WM_OK);
    q = file_plan(l, 6, 1020);
    assert_int_equal(wm_ledger_plan_file(l, &q, NULL), WM_OK);
    assert_int_equal(wm_ledger_missed(l, 55, NULL, true, NULL), WM_OK); /* the first plan is gone */
    l = reopen(l, *state);
    assert_books(l, 0, 0, 15);
    assert_int_equal(wm_ledger_file_plan(l, 0, &back, NULL), WM_OK);
    assert_memory_equal(&back, &q, sizeof back);
    struct wm_ledger_file_plan rest = q; /* of the second, two entries are left */
    rest.first_seq = 60;
    rest.records = 2;
    (void)snprintf(rest.key, sizeof rest.key, "another");
    assert_int_equal(wm_ledger_missed(l, 59, &rest, true, NULL), WM_OK);
    l = reopen(l, *state);
    assert_books(l, 0, 0, 19);
    assert_int_equal(wm_ledger_file_plan(l, 0, &back, NULL), WM_OK);
    assert_memory_equal(&back, &rest, sizeof back);
    assert_int_equal(wm_ledger_untold(l, &r, NULL), WM_OK);
    assert_int_equal(r.first_seq, 41);
    assert_int_equal(r.last_seq, 59);
    assert_int_equal(wm_ledger_delivered(l, WM_LIT("evidence"), 1030, NULL), WM_OK);
    assert_books(l, 2, 0, 19);
    assert_int_equal(wm_ledger_missed(l, 70, NULL, true, NULL), WM_OK); /* another range */
    assert_int_equal(wm_ledger_untold(l, &r, NULL), WM_OK);
    assert_int_equal(r.last_seq, 59);
    assert_int_equal(wm_ledger_told(l, 59, 75, NULL), WM_OK);
    l = reopen(l, *state);
    assert_int_equal(wm_ledger_untold(l, &r, NULL), WM_OK);
    assert_int_equal(r.first_seq, 62);
    assert_int_equal(r.last_seq, 70);
    assert_int_equal(wm_ledger_told(l, 70, 80, NULL), WM_OK);
    assert_int_equal(wm_ledger_untold(l, &r, NULL), WM_E_NOT_FOUND);
    assert_books(l, 2, 0, 28);
    struct wm_ledger_file_plan next = file_plan(l, 5, 1040); /* 71 to 75: the first is told in there */
    assert_int_equal(wm_ledger_plan_file(l, &next, NULL), WM_OK);
    assert_int_equal(wm_ledger_delivered(l, WM_LIT("evidence"), 1050, NULL), WM_OK);
    assert_int_equal(wm_ledger_missed(l, 81, NULL, true, NULL), WM_OK); /* and what tells the second is missed itself */
    l = reopen(l, *state);
    assert_int_equal(wm_ledger_untold(l, &r, NULL), WM_OK);
    assert_int_equal(r.first_seq, 62);
    assert_int_equal(r.last_seq, 70);
    assert_int_equal(wm_ledger_told(l, 81, 90, NULL), WM_OK);
    assert_int_equal(wm_ledger_untold(l, &r, NULL), WM_E_NOT_FOUND);
    wm_ledger_close(l);
}

static void assert_files(struct wm_ledger *l, int64_t end_s, uint64_t max, int64_t expected_end_s, size_t expected_n,
                         uint64_t expected_last_id)
{
    struct wm_arena a;
    struct wm_digest_file *files = NULL;
    size_t n = 99;
    uint64_t last_id = 99;
    wm_arena_init(&a, 1 << 20);
    assert_int_equal(wm_ledger_files(l, &end_s, max, &a, &files, &n, &last_id, NULL), WM_OK);
    assert_int_equal(end_s, expected_end_s);
    assert_int_equal(n, expected_n);
    assert_int_equal(last_id, expected_last_id);
    for (size_t i = 0; i < n; i++) {
        assert_true(wm_view_eq_str(files[i].bucket, "evidence"));
        assert_true(wm_view_starts(files[i].key, "file/"));
        assert_int_equal(files[i].hash_hex.len, 64);
        assert_int_equal(files[i].newest.len, 20);
    }
    wm_arena_done(&a);
}

static void ledger_seals_each_file_into_one_digest(void **state)
{
    struct wm_ledger *l = open_ledger(*state);
    assert_files(l, 2000, 10, 2000, 0, 0);
    deliver(l, 1, 1010);
    deliver(l, 2, 1020);
    deliver(l, 3, 1020);
    deliver(l, 4, 1030);
    assert_files(l, 1020, 10, 1020, 3, 3);
    assert_files(l, 1019, 10, 1019, 1, 1);

    struct wm_ledger_digest_plan p = digest_plan(1020, 3, 3), back;
    struct wm_arena a;
    wm_arena_init(&a, 1 << 16);
    assert_int_equal(wm_ledger_digest_plan(l, &a, &back, NULL), WM_E_NOT_FOUND);
    assert_int_equal(wm_ledger_sealed(l, 1, NULL), WM_E_NOT_FOUND);
    assert_int_equal(wm_ledger_plan_digest(l, &p, NULL), WM_OK);
    deliver(l, 5, 1031); /* files go on while a digest is under way */
    l = reopen(l, *state);
    assert_int_equal(wm_ledger_digest_plan(l, &a, &back, NULL), WM_OK);
    assert_int_equal(back.end_s, 1020);
    assert_int_equal(back.last_file_id, 3);
    assert_int_equal(back.n_files, 3);
    assert_int_equal(back.level, 6);
    assert_string_equal(back.bucket, p.bucket);
    assert_string_equal(back.key, p.key);
    assert_string_equal(back.hash, p.hash);
    assert_string_equal(back.signature, p.signature);
    assert_string_equal(back.codec, p.codec);
    assert_true(wm_view_eq(back.document, p.document));
    wm_arena_done(&a);

    assert_int_equal(wm_ledger_sealed(l, 1025, NULL), WM_OK);
    for (int i = 0; i < 2; i++) {
        const struct wm_ledger_head *h = wm_ledger_head(l);
        assert_true(h->has_previous);
        assert_string_equal(h->previous_bucket, "evidence");
        assert_string_equal(h->previous_key, p.key);
        assert_string_equal(h->previous_hash, p.hash);
        assert_string_equal(h->previous_signature, p.signature);
        assert_int_equal(h->digest_start_s, 1020);
        assert_int_equal(h->latest_digest_s, 1025);
        assert_int_equal(h->sealed_digests, 1);
        assert_int_equal(h->digested_files, 3);
        assert_int_equal(h->delivered_files, 5);
        assert_files(l, 2000, 10, 2000, 2, 5);
        l = reopen(l, *state);
    }
    p = digest_plan(1040, 5, 2);
    assert_int_equal(wm_ledger_plan_digest(l, &p, NULL), WM_OK);
    assert_int_equal(wm_ledger_drop_digest_plan(l, NULL), WM_OK);
    assert_files(l, 2000, 10, 2000, 2, 5);
    assert_int_equal(wm_ledger_plan_digest(l, &p, NULL), WM_OK);
    assert_int_equal(wm_ledger_sealed(l, 1045, NULL), WM_OK);
    assert_files(l, 2000, 10, 2000, 0, 0);
    deliver(l, 1, 1050);
    assert_files(l, 2000, 10, 2000, 1, 6); /* ids go on */
    wm_ledger_close(l);
}

static void ledger_cuts_a_digest_that_would_be_too_large(void **state)
{
    struct wm_ledger *l = open_ledger(*state);
    deliver(l, 1, 1010);
    deliver(l, 1, 1020);
    deliver(l, 1, 1020);
    deliver(l, 1, 1030);
    assert_files(l, 2000, 4, 2000, 4, 4);
    assert_files(l, 2000, 3, 1029, 3, 3);
    assert_files(l, 2000, 2, 1019, 1, 1); /* not through the middle of a second */
    assert_files(l, 2000, 1, 1019, 1, 1);
    struct wm_ledger_digest_plan p = digest_plan(1019, 1, 1);
    assert_int_equal(wm_ledger_plan_digest(l, &p, NULL), WM_OK);
    assert_int_equal(wm_ledger_sealed(l, 1019, NULL), WM_OK);
    assert_files(l, 2000, 1, 2000, 3, 4); /* an end must lie behind the start: rather too many than none */
    wm_ledger_close(l);
}

static void ledger_needs_memory_for_a_digest(void **state)
{
    struct wm_ledger *l = open_ledger(*state);
    struct wm_arena a;
    struct wm_digest_file *files;
    struct wm_err err;
    size_t n;
    uint64_t last_id;
    int64_t end_s = 2000;
    for (int i = 0; i < 20; i++)
        deliver(l, 1, 1010 + i);
    wm_arena_init(&a, 600);
    assert_int_equal(wm_ledger_files(l, &end_s, 100, &a, &files, &n, &last_id, &err), WM_E_NOMEM);
    struct wm_ledger_digest_plan p = digest_plan(1050, 20, 20), back;
    char big[4096] = {0};
    p.document = (struct wm_view){big, sizeof big};
    assert_int_equal(wm_ledger_plan_digest(l, &p, &err), WM_OK);
    assert_int_equal(wm_ledger_digest_plan(l, &a, &back, &err), WM_E_NOMEM);
    wm_arena_done(&a);
    wm_ledger_close(l);
}

static void ledger_refuses_what_is_not_its_own(void **state)
{
    struct scratch *s = *state;
    struct wm_ledger *l = open_ledger(s), *other = NULL;
    struct wm_err err = {0};
    wm_ledger_close(l);
    static const struct wm_ledger_identity others[] = {
        {{"studi0", 6}, {"111122223333", 12}, {"eu-central-1", 12}, {7, 8, 9}},
        {{"studio", 6}, {"111122223334", 12}, {"eu-central-1", 12}, {7, 8, 9}},
        {{"studio", 6}, {"111122223333", 12}, {"eu-central-2", 12}, {7, 8, 9}},
    };
    static const struct wm_ledger_identity other_journal = {
        {"studio", 6}, {"111122223333", 12}, {"eu-central-1", 12}, {7, 8, 10}};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(wm_ledger_open(scratch_path(s, "ledger"), &others[i], 0, 0, &other, &err), WM_E_INVALID);
        assert_non_null(strstr(err.message, "belongs to trail studio"));
    }
    assert_int_equal(wm_ledger_open(scratch_path(s, "ledger"), &other_journal, 0, 0, &other, &err), WM_E_CORRUPT);
    assert_non_null(strstr(err.message, "has followed journal 07080900000000000000000000000000, this is journal "
                                        "07080a00000000000000000000000000"));
    /* a newer version, another program's file, no SQLite file, a folder */
    sqlite3 *db;
    assert_int_equal(sqlite3_open(scratch_path(s, "ledger"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA user_version = 5", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    assert_int_equal(wm_ledger_open(scratch_path(s, "ledger"), &who, 0, 0, &other, &err), WM_E_UNSUPPORTED);
    assert_int_equal(sqlite3_open(scratch_path(s, "foreign"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "CREATE TABLE t (a)", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    assert_int_equal(wm_ledger_open(scratch_path(s, "foreign"), &who, 0, 0, &other, &err), WM_E_INVALID);
    assert_int_equal(sqlite3_open(scratch_path(s, "foreign2"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA application_id = 5", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    assert_int_equal(wm_ledger_open(scratch_path(s, "foreign2"), &who, 0, 0, &other, &err), WM_E_INVALID);
    char text[4096];
    memset(text, 'x', sizeof text);
    assert_int_equal(wm_io_replace_file(&wm_io_posix, scratch_path(s, "text"), (struct wm_view){text, sizeof text},
                                        0600, NULL), WM_OK);
    assert_int_equal(wm_ledger_open(scratch_path(s, "text"), &who, 0, 0, &other, &err), WM_E_CORRUPT);
    assert_int_not_equal(wm_ledger_open(scratch_path(s, "."), &who, 0, 0, &other, &err), WM_OK);
    assert_int_not_equal(wm_ledger_open(scratch_path(s, "absent/ledger"), &who, 0, 0, &other, &err), WM_OK);
    assert_null(other);
}

static void ledger_keeps_whether_the_trail_is_logging(void **state)
{
    struct wm_ledger *l = open_ledger(*state);
    struct wm_ledger_range r;
    assert_false(wm_ledger_head(l)->logging_known);
    l = reopen(l, *state);
    assert_int_equal(wm_ledger_begin(l, true, NULL), WM_OK);
    l = reopen(l, *state);
    assert_true(wm_ledger_head(l)->logging_known && wm_ledger_head(l)->logging && wm_ledger_planned_logging(l));
    struct wm_ledger_file_plan p = file_plan(l, 5, 1010), q; /* it ends with a stop, and moves it with the cursor */
    assert_int_equal(wm_ledger_plan_file(l, &p, NULL), WM_OK);
    assert_true(wm_ledger_head(l)->logging && !wm_ledger_planned_logging(l));
    l = reopen(l, *state);
    assert_true(wm_ledger_head(l)->logging && !wm_ledger_planned_logging(l));
    assert_int_equal(wm_ledger_delivered(l, WM_LIT("evidence"), 1011, NULL), WM_OK);
    l = reopen(l, *state);
    assert_false(wm_ledger_head(l)->logging || wm_ledger_planned_logging(l));
    assert_int_equal(wm_ledger_skip(l, 50, 5, NULL), WM_OK);
    l = reopen(l, *state);
    assert_false(wm_ledger_head(l)->logging || wm_ledger_planned_logging(l));
    q = file_plan(l, 3, 1020); /* it begins with the start */
    q.logging = true;
    assert_int_equal(wm_ledger_plan_file(l, &q, NULL), WM_OK);
    assert_int_equal(wm_ledger_missed(l, 53, NULL, true, NULL), WM_OK);
    assert_int_equal(wm_ledger_missed(l, 60, NULL, false, NULL), WM_OK);
    l = reopen(l, *state);
    assert_false(wm_ledger_head(l)->logging || wm_ledger_planned_logging(l));
    assert_int_equal(wm_ledger_untold(l, &r, NULL), WM_OK);
    assert_int_equal(r.first_seq, 51);
    assert_int_equal(r.last_seq, 60);
    assert_true(r.stopped_before && r.stopped_behind); /* of both together */
    wm_ledger_close(l);
}

/* A ledger of version 2: its trail was never stopped. On the way it is one of version 3. */
static void ledger_of_an_older_version_goes_on(void **state)
{
    struct scratch *s = *state;
    sqlite3 *db;
    struct wm_ledger_range r;
    struct wm_ledger_file_plan back;
    struct wm_ledger *l = open_ledger(s);
    assert_int_equal(wm_ledger_begin(l, true, NULL), WM_OK);
    assert_int_equal(wm_ledger_missed(l, 45, NULL, true, NULL), WM_OK);
    struct wm_ledger_file_plan p = file_plan(l, 5, 1010);
    p.logging = true;
    assert_int_equal(wm_ledger_plan_file(l, &p, NULL), WM_OK);
    wm_ledger_close(l);
    assert_int_equal(sqlite3_open(scratch_path(s, "ledger"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "ALTER TABLE head DROP COLUMN logging; ALTER TABLE file_plan DROP COLUMN logging;"
                                      "ALTER TABLE untold DROP COLUMN stopped_before;"
                                      "ALTER TABLE untold DROP COLUMN stopped_behind;"
                                      "ALTER TABLE untold DROP COLUMN told_seq; PRAGMA user_version = 2;",
                                  NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    for (int i = 0; i < 2; i++) { /* once */
        l = open_ledger(s);
        assert_true(wm_ledger_head(l)->logging_known && wm_ledger_head(l)->logging && wm_ledger_planned_logging(l));
        assert_int_equal(wm_ledger_file_plan(l, 0, &back, NULL), WM_OK);
        assert_memory_equal(&back, &p, sizeof back);
        assert_int_equal(wm_ledger_untold(l, &r, NULL), WM_OK);
        assert_true(r.first_seq == 41 && r.last_seq == 45 && !r.stopped_before && !r.stopped_behind);
        wm_ledger_close(l);
    }
}

static void ledger_belongs_to_one_process(void **state)
{
    struct scratch *s = *state;
    struct wm_ledger *l = open_ledger(s);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct wm_ledger *other = NULL;
        _exit(wm_ledger_open(scratch_path(s, "ledger"), &who, 0, 0, &other, NULL) == WM_E_EXISTS ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    deliver(l, 1, 1010);
    wm_ledger_close(l);
}

/* The file may not grow: the step fails, nothing changes, and it works when there is space again. */
static void ledger_step_fails_whole_when_the_disk_is_full(void **state)
{
    struct scratch *s = *state;
    struct wm_ledger *l = open_ledger(s);
    struct rlimit before, tight;
    struct wm_err err = {0};
    char big[300000];
    memset(big, 'd', sizeof big);
    deliver(l, 1, 1010);
    struct wm_ledger_digest_plan p = digest_plan(1020, 1, 1);
    p.document = (struct wm_view){big, sizeof big};
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    tight = before;
    tight.rlim_cur = 200000;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    enum wm_status status = wm_ledger_plan_digest(l, &p, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_true(status == WM_E_FULL || status == WM_E_IO);
    assert_true(err.retryable);
    assert_non_null(strstr(err.message, "ledger"));
    struct wm_arena a;
    wm_arena_init(&a, 1 << 20);
    assert_int_equal(wm_ledger_digest_plan(l, &a, &p, NULL), WM_E_NOT_FOUND);
    p = digest_plan(1020, 1, 1);
    p.document = (struct wm_view){big, sizeof big};
    assert_int_equal(wm_ledger_plan_digest(l, &p, &err), WM_OK);
    assert_int_equal(wm_ledger_sealed(l, 1021, &err), WM_OK);
    wm_arena_done(&a);
    l = reopen(l, s);
    assert_int_equal(wm_ledger_head(l)->sealed_digests, 1);
    wm_ledger_close(l);
}

/* Killed without a word after a step: the step is there. */
static void ledger_survives_a_kill(void **state)
{
    struct scratch *s = *state;
    wm_ledger_close(open_ledger(s));
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct wm_ledger *l = open_ledger(s);
        for (int i = 0; i < 20; i++)
            deliver(l, 2, 1010 + i);
        struct wm_ledger_file_plan p = file_plan(l, 3, 1040);
        if (wm_ledger_plan_file(l, &p, NULL) != WM_OK)
            _exit(1);
        (void)kill(getpid(), SIGKILL);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    struct wm_ledger *l = open_ledger(s);
    struct wm_ledger_file_plan p;
    assert_int_equal(wm_ledger_head(l)->cursor_seq, 80);
    assert_int_equal(wm_ledger_head(l)->delivered_files, 20);
    assert_int_equal(wm_ledger_file_plan(l, 0, &p, NULL), WM_OK);
    assert_int_equal(p.first_seq, 81);
    wm_ledger_close(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(ledger_begins_where_it_is_told_and_only_once, setup, teardown),
        cmocka_unit_test_setup_teardown(ledger_keeps_a_plan_until_it_is_delivered, setup, teardown),
        cmocka_unit_test_setup_teardown(ledger_keeps_several_plans_in_their_order, setup, teardown),
        cmocka_unit_test_setup_teardown(ledger_refuses_a_step_whose_counts_do_not_add_up, setup, teardown),
        cmocka_unit_test_setup_teardown(ledger_is_refused_when_its_books_do_not_balance, setup, teardown),
        cmocka_unit_test_setup_teardown(ledger_counts_what_was_missed, setup, teardown),
        cmocka_unit_test_setup_teardown(ledger_seals_each_file_into_one_digest, setup, teardown),
        cmocka_unit_test_setup_teardown(ledger_cuts_a_digest_that_would_be_too_large, setup, teardown),
        cmocka_unit_test_setup_teardown(ledger_needs_memory_for_a_digest, setup, teardown),
        cmocka_unit_test_setup_teardown(ledger_refuses_what_is_not_its_own, setup, teardown),
        cmocka_unit_test_setup_teardown(ledger_keeps_whether_the_trail_is_logging, setup, teardown),
        cmocka_unit_test_setup_teardown(ledger_of_an_older_version_goes_on, setup, teardown),
        cmocka_unit_test_setup_teardown(ledger_belongs_to_one_process, setup, teardown),
        cmocka_unit_test_setup_teardown(ledger_step_fails_whole_when_the_disk_is_full, setup, teardown),
        cmocka_unit_test_setup_teardown(ledger_survives_a_kill, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
