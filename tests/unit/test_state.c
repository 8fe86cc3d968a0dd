/* The state: documents in order, changes that cannot fail half-way, the copy that follows the journal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include <sqlite3.h>

#include "tests/support/folder.h"
#include "waymark/state.h"

static char dir[FOLDER_BYTES], db[FOLDER_BYTES + 16], log_dir[FOLDER_BYTES + 16];

static int set_up(void **state)
{
    (void)state;
    folder_make(dir);
    snprintf(db, sizeof db, "%s/state.db", dir);
    snprintf(log_dir, sizeof log_dir, "%s/journal", dir);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    folder_remove(dir);
    return 0;
}

static struct wm_state *must_open(uint64_t want_cursor)
{
    struct wm_state *s = NULL;
    uint64_t cursor = 0;
    struct wm_err err = {0};
    if (wm_state_open(db, &s, &cursor, &err) != WM_OK)
        fail_msg("open: %s", err.message);
    assert_int_equal(cursor, want_cursor);
    return s;
}

static struct wm_change change(const char *kind, const char *id, const char *document)
{
    return (struct wm_change){wm_view_of(kind), wm_view_of(id), wm_view_of(document)};
}

static void apply(struct wm_state *s, const char *kind, const char *id, const char *document)
{
    struct wm_change c = change(kind, id, document);
    wm_state_lock(s);
    assert_int_equal(wm_state_reserve(s, &c, 1, NULL), WM_OK);
    wm_state_apply(s, &c, 1);
    wm_state_unlock(s);
}

static void check(struct wm_state *s, const char *kind, const char *id, const char *want)
{
    struct wm_view got;
    wm_state_lock(s);
    bool found = wm_state_get(s, wm_view_of(kind), wm_view_of(id), &got);
    wm_state_unlock(s);
    assert_true(found == (want != NULL));
    if (want)
        assert_true(wm_view_eq_str(got, want));
}

/* ---- memory ---- */

static void documents_are_put_replaced_and_removed(void **state)
{
    (void)state;
    struct wm_state *s = must_open(0);
    check(s, "a", "1", NULL);
    apply(s, "a", "1", "{\"v\":1}");
    apply(s, "b", "1", "{\"v\":2}");
    check(s, "a", "1", "{\"v\":1}");
    check(s, "b", "1", "{\"v\":2}");
    apply(s, "a", "1", "{\"v\":3}");
    check(s, "a", "1", "{\"v\":3}");
    wm_state_lock(s);
    assert_int_equal(wm_state_count(s, WM_LIT("a")), 1);
    assert_int_equal(wm_state_count(s, WM_LIT("nothing")), 0);
    wm_state_unlock(s);
    apply(s, "a", "1", NULL);
    apply(s, "a", "1", NULL);
    apply(s, "nothing", "1", NULL);
    check(s, "a", "1", NULL);
    check(s, "b", "1", "{\"v\":2}");
    wm_state_close(s);
    wm_state_close(NULL);
}

static void a_watch_grows_with_each_change_of_its_kind(void **state)
{
    (void)state;
    struct wm_state *s = must_open(0);
    const _Atomic uint64_t *a, *again, *b;
    assert_int_equal(wm_state_watch(s, WM_LIT("a"), &a, NULL), WM_OK); /* before there is any */
    uint64_t first = atomic_load(a);
    apply(s, "a", "1", "{}");
    assert_true(atomic_load(a) > first);
    first = atomic_load(a);
    assert_int_equal(wm_state_watch(s, WM_LIT("b"), &b, NULL), WM_OK);
    apply(s, "b", "1", "{}");
    check(s, "a", "1", "{}");
    assert_true(atomic_load(a) == first);
    apply(s, "a", "1", NULL);
    assert_true(atomic_load(a) > first);
    assert_int_equal(wm_state_watch(s, WM_LIT("a"), &again, NULL), WM_OK);
    assert_ptr_equal(a, again);
    struct wm_err err;
    char name[16];
    enum wm_status status = WM_OK;
    for (unsigned i = 0; i < WM_MAX_STATE_KINDS && status == WM_OK; i++) {
        snprintf(name, sizeof name, "kind %u", i);
        status = wm_state_watch(s, wm_view_of(name), &b, &err);
    }
    assert_int_equal(status, WM_E_LIMIT);
    assert_int_equal(wm_state_watch(s, WM_LIT("a"), &again, NULL), WM_OK);
    wm_state_close(s);
}

struct seen {
    char last[32];
    size_t n, stop_at;
};

static bool see(void *arg, struct wm_view id, struct wm_view document)
{
    struct seen *v = arg;
    assert_true(v->n == 0 || wm_view_cmp(wm_view_of(v->last), id) < 0); /* in order, each once */
    assert_true(wm_view_copy(id, v->last, sizeof v->last));
    assert_true(wm_view_eq(id, document)); /* in this test a document is its id */
    return ++v->n != v->stop_at;
}

static void walks_are_ordered_and_go_on_behind_an_id(void **state)
{
    (void)state;
    enum { N = 5000 };
    struct wm_state *s = must_open(0);
    static bool there[N];
    char id[16];
    uint64_t x = 88172645463325252ull; /* xorshift: the same numbers each time */
    memset(there, 0, sizeof there);
    size_t count = 0;
    for (int i = 0; i < 4 * N; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        size_t k = x % N;
        snprintf(id, sizeof id, "%zu", k);
        bool remove = x >> 40 & 1;
        apply(s, "k", id, remove ? NULL : id);
        count += (size_t)(!remove && !there[k]) - (size_t)(remove && there[k]);
        there[k] = !remove;
    }
    wm_state_lock(s);
    assert_int_equal(wm_state_count(s, WM_LIT("k")), count);
    struct seen all = {.n = 0};
    wm_state_each(s, WM_LIT("k"), WM_EMPTY, see, &all);
    assert_int_equal(all.n, count);
    for (size_t k = 0; k < N; k += 37) { /* from an id that is there, and from one that is not */
        snprintf(id, sizeof id, "%zu", k);
        struct wm_view doc;
        assert_true(wm_state_get(s, WM_LIT("k"), wm_view_of(id), &doc) == there[k]);
        struct seen page = {.stop_at = 3};
        wm_state_each(s, WM_LIT("k"), wm_view_of(id), see, &page);
        assert_true(page.n <= 3);
        if (page.n)
            assert_true(wm_view_cmp(wm_view_of(page.last), wm_view_of(id)) > 0);
    }
    struct seen none = {.n = 0};
    wm_state_each(s, WM_LIT("other"), WM_EMPTY, see, &none);
    assert_int_equal(none.n, 0);
    wm_state_unlock(s);
    wm_state_close(s);
}

static void changes_of_one_call_apply_together(void **state)
{
    (void)state;
    struct wm_state *s = must_open(0);
    struct wm_change c[3] = {change("a", "x", "1"), change("a", "x", "2"), change("b", "y", "3")};
    wm_state_lock(s);
    assert_int_equal(wm_state_reserve(s, c, 3, NULL), WM_OK);
    struct wm_view doc;
    assert_false(wm_state_get(s, WM_LIT("a"), WM_LIT("x"), &doc)); /* reserved is not applied */
    assert_int_equal(wm_state_reserve(s, c, 3, NULL), WM_OK);      /* the first was for an entry that was refused */
    wm_state_apply(s, c, 3);
    wm_state_unlock(s);
    check(s, "a", "x", "2");
    check(s, "b", "y", "3");
    wm_state_close(s);
}

static void limits_are_kept_before_any_effect(void **state)
{
    (void)state;
    struct wm_state *s = must_open(0);
    struct wm_change many[WM_MAX_CHANGES + 1];
    char kind[16];
    for (size_t i = 0; i < WM_MAX_CHANGES + 1; i++)
        many[i] = change("a", "x", "1");
    wm_state_lock(s);
    assert_int_equal(wm_state_reserve(s, many, WM_MAX_CHANGES + 1, NULL), WM_E_LIMIT);
    wm_state_unlock(s);
    for (unsigned i = 0; i < WM_MAX_STATE_KINDS; i++) {
        snprintf(kind, sizeof kind, "kind%u", i);
        apply(s, kind, "x", "1");
    }
    struct wm_change c = change("one more", "x", "1");
    wm_state_lock(s);
    assert_int_equal(wm_state_reserve(s, &c, 1, NULL), WM_E_LIMIT);
    wm_state_unlock(s);
    check(s, "one more", "x", NULL);
    wm_state_close(s);
}

/* ---- the copy ---- */

static struct wm_journal *open_journal(void)
{
    struct wm_journal *j = NULL;
    struct wm_journal_options o = {
        .dir = log_dir,
        .io = &wm_io_posix,
        .clock = &wm_clock_system,
        .segment_bytes = 2u << 20, /* room for several large documents behind each other */
    };
    assert_int_equal(wm_journal_open(&o, &j, NULL, NULL), WM_OK);
    return j;
}

static void journal_change(struct wm_journal *j, const char *id, const char *document)
{
    struct wm_change c = change("k", id, document);
    struct wm_entry e = {.record = WM_LIT("{}"), .changes = &c, .n_changes = id ? 1 : 0};
    uint64_t seq;
    wm_journal_await_room(j);
    assert_int_equal(wm_journal_append(j, &e, &seq, NULL), WM_OK);
    assert_int_equal(wm_journal_commit(j, seq, NULL), WM_OK);
}

static void copy_follows_the_journal_with_its_cursor(void **state)
{
    (void)state;
    struct wm_journal *j = open_journal();
    struct wm_state *s = must_open(0);
    struct wm_journal_reader *r = NULL;
    uint64_t cursor = 99;
    assert_int_equal(wm_journal_reader_open(j, 0, &r, NULL), WM_OK);
    assert_int_equal(wm_state_follow(s, r, 100, false, &cursor, NULL), WM_E_END);
    journal_change(j, "one", "{\"v\":1}");
    journal_change(j, "two", "{\"v\":2}");
    journal_change(j, "one", "{\"v\":3}");
    journal_change(j, "two", NULL);
    assert_int_equal(wm_state_follow(s, r, 3, false, &cursor, NULL), WM_OK);
    assert_int_equal(cursor, 3);
    check(s, "k", "one", NULL); /* memory is the services' affair */
    assert_int_equal(wm_state_follow(s, r, 100, false, &cursor, NULL), WM_OK);
    assert_int_equal(cursor, 4);

    journal_change(j, NULL, NULL); /* reads: nothing but the cursor to store */
    journal_change(j, NULL, NULL);
    assert_int_equal(wm_state_follow(s, r, 100, false, &cursor, NULL), WM_OK);
    assert_int_equal(cursor, 6);
    assert_int_equal(wm_state_follow(s, r, 100, false, &cursor, NULL), WM_E_END);
    wm_state_close(s);

    s = must_open(6);
    check(s, "k", "one", "{\"v\":3}");
    check(s, "k", "two", NULL);
    wm_state_close(s);
    wm_journal_reader_close(r);
    wm_journal_close(j);
}

/* Of a run of entries the last change of each document counts, also where the run needs more memory than is kept. */
static void a_run_of_changes_leaves_the_last_of_each(void **state)
{
    (void)state;
    static char large[5][250 * 1024 + 1];
    struct wm_journal *j = open_journal();
    struct wm_state *s = must_open(0);
    struct wm_journal_reader *r = NULL;
    uint64_t cursor;
    journal_change(j, "same", "{\"v\":1}");
    journal_change(j, "shrinks", "{\"longer\":2}");
    journal_change(j, "gone", "{\"v\":3}");
    journal_change(j, "back", "{\"v\":4}");
    journal_change(j, "gone", NULL);
    journal_change(j, "back", NULL);
    for (size_t i = 0; i < 5; i++) {
        memset(large[i], 'a' + (int)i, sizeof large[i] - 1);
        large[i][0] = large[i][sizeof large[i] - 2] = '"';
        journal_change(j, i < 3 ? "large" : i == 3 ? "large 3" : "large 4", large[i]);
    }
    journal_change(j, "back", "{\"v\":6}");
    journal_change(j, "shrinks", "{}");
    journal_change(j, "same", "{\"v\":\"a longer text\"}");
    assert_int_equal(wm_journal_reader_open(j, 0, &r, NULL), WM_OK);
    assert_int_equal(wm_state_follow(s, r, 100, false, &cursor, NULL), WM_OK);
    assert_int_equal(cursor, 14);
    wm_state_close(s);

    s = must_open(14);
    check(s, "k", "same", "{\"v\":\"a longer text\"}");
    check(s, "k", "shrinks", "{}");
    check(s, "k", "gone", NULL);
    check(s, "k", "back", "{\"v\":6}");
    check(s, "k", "large", large[2]);
    check(s, "k", "large 3", large[3]);
    check(s, "k", "large 4", large[4]);
    wm_state_close(s);
    wm_journal_reader_close(r);
    wm_journal_close(j);
}

static void replay_applies_to_memory_too(void **state)
{
    (void)state;
    struct wm_journal *j = open_journal();
    struct wm_state *s = must_open(0);
    struct wm_journal_reader *r = NULL;
    uint64_t cursor = 0;
    journal_change(j, "one", "{\"v\":1}");
    journal_change(j, "two", "{\"v\":2}");
    journal_change(j, "one", NULL);
    assert_int_equal(wm_journal_reader_open(j, 0, &r, NULL), WM_OK);
    assert_int_equal(wm_state_follow(s, r, 100, true, &cursor, NULL), WM_OK);
    assert_int_equal(cursor, 3);
    check(s, "k", "one", NULL);
    check(s, "k", "two", "{\"v\":2}");
    wm_journal_reader_close(r);
    wm_journal_close(j);
    wm_state_close(s);
}

static void sql(const char *statement)
{
    sqlite3 *raw = NULL;
    assert_int_equal(sqlite3_open(db, &raw), SQLITE_OK);
    assert_int_equal(sqlite3_exec(raw, statement, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(raw);
}

static void failed_transaction_stores_nothing_and_is_done_again(void **state)
{
    (void)state;
    struct wm_journal *j = open_journal();
    wm_state_close(must_open(0));
    /* a document that the copy refuses: the second of the transaction */
    sql("CREATE TRIGGER refuse BEFORE INSERT ON document WHEN NEW.id = 'bad' BEGIN SELECT RAISE(ABORT, 'full'); END");
    struct wm_state *s = must_open(0);
    struct wm_journal_reader *r = NULL;
    struct wm_err err = {0};
    uint64_t cursor = 7;
    journal_change(j, "good", "1");
    journal_change(j, "bad", "2");
    assert_int_equal(wm_journal_reader_open(j, 0, &r, NULL), WM_OK);
    assert_int_equal(wm_state_follow(s, r, 100, false, &cursor, &err), WM_E_IO);
    assert_non_null(strstr(err.message, "full"));
    assert_int_equal(cursor, 7);
    wm_journal_reader_close(r);
    wm_state_close(s);
    s = must_open(0);
    check(s, "k", "good", NULL); /* rolled back with the cursor */
    wm_state_close(s);

    sql("DROP TRIGGER refuse");
    s = must_open(0);
    assert_int_equal(wm_journal_reader_open(j, 0, &r, NULL), WM_OK);
    assert_int_equal(wm_state_follow(s, r, 100, false, &cursor, NULL), WM_OK);
    assert_int_equal(cursor, 2);
    wm_journal_reader_close(r);
    wm_state_close(s);
    s = must_open(2);
    check(s, "k", "good", "1");
    check(s, "k", "bad", "2");
    wm_state_close(s);
    wm_journal_close(j);
}

/* ---- counts ---- */

static void journal_entry(struct wm_journal *j, uint16_t flags)
{
    struct wm_change c = change("k", "one", "1");
    bool changes = !(flags & (WM_ENTRY_READ_ONLY | WM_ENTRY_REFUSED));
    struct wm_entry e = {.flags = flags, .record = WM_LIT("{}"), .changes = &c, .n_changes = changes ? 1 : 0};
    uint64_t seq;
    assert_int_equal(wm_journal_append(j, &e, &seq, NULL), WM_OK);
    assert_int_equal(wm_journal_commit(j, seq, NULL), WM_OK);
}

static void counts_are(struct wm_state *s, const struct wm_state_counts *want)
{
    struct wm_state_counts got;
    wm_state_counts(s, &got);
    assert_memory_equal(&got, want, sizeof got);
    assert_true(wm_state_counts_add_up(&got));
}

static void each_entry_is_counted_once_through_restarts_and_failures(void **state)
{
    (void)state;
    struct wm_journal *j = open_journal();
    struct wm_state *s = must_open(0);
    struct wm_journal_reader *r = NULL;
    uint64_t cursor = 0;
    journal_entry(j, WM_ENTRY_READ_ONLY);
    journal_entry(j, 0);
    journal_entry(j, WM_ENTRY_READ_ONLY | WM_ENTRY_REFUSED);
    journal_entry(j, WM_ENTRY_REFUSED);
    assert_int_equal(wm_journal_reader_open(j, 0, &r, NULL), WM_OK);
    assert_int_equal(wm_state_follow(s, r, 100, false, &cursor, NULL), WM_OK);
    counts_are(s, &(struct wm_state_counts){.seq = 4, .reads = 1, .changes = 1, .refused = 2});

    journal_entry(j, WM_ENTRY_READ_ONLY);
    assert_int_equal(wm_state_follow(s, r, 100, false, &cursor, NULL), WM_OK);
    assert_int_equal(cursor, 5);
    counts_are(s, &(struct wm_state_counts){.seq = 5, .reads = 2, .changes = 1, .refused = 2});
    wm_state_close(s);

    /* A transaction that fails counts nothing. */
    sql("CREATE TRIGGER refuse BEFORE UPDATE ON document BEGIN SELECT RAISE(ABORT, 'full'); END");
    s = must_open(5);
    journal_entry(j, WM_ENTRY_READ_ONLY | WM_ENTRY_SERVICE);
    journal_entry(j, 0);
    wm_journal_reader_close(r);
    assert_int_equal(wm_journal_reader_open(j, 5, &r, NULL), WM_OK);
    assert_int_equal(wm_state_follow(s, r, 100, false, &cursor, NULL), WM_E_IO);
    counts_are(s, &(struct wm_state_counts){.seq = 5, .reads = 2, .changes = 1, .refused = 2});
    wm_state_close(s);

    sql("DROP TRIGGER refuse");
    s = must_open(5);
    wm_journal_reader_close(r);
    assert_int_equal(wm_journal_reader_open(j, 5, &r, NULL), WM_OK);
    assert_int_equal(wm_state_follow(s, r, 100, false, &cursor, NULL), WM_OK);
    counts_are(s, &(struct wm_state_counts){.seq = 7, .reads = 2, .changes = 2, .refused = 2, .service = 1});
    wm_state_close(s);
    s = must_open(7);
    counts_are(s, &(struct wm_state_counts){.seq = 7, .reads = 2, .changes = 2, .refused = 2, .service = 1});
    wm_state_close(s);
    wm_journal_reader_close(r);
    wm_journal_close(j);
}

static void a_copy_of_the_first_version_counts_from_where_it_stands(void **state)
{
    (void)state;
    assert_int_equal(wm_io_replace_file(&wm_io_posix, db, WM_EMPTY, 0600, NULL), WM_OK);
    sql("CREATE TABLE document(kind TEXT NOT NULL, id TEXT NOT NULL, document TEXT NOT NULL,"
        " seq INTEGER NOT NULL, PRIMARY KEY(kind, id)) STRICT, WITHOUT ROWID;"
        "CREATE TABLE cursor(name TEXT PRIMARY KEY, seq INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
        "INSERT INTO cursor VALUES('state', 3); INSERT INTO document VALUES('k', 'one', '1', 3);"
        "PRAGMA application_id=1464685396; PRAGMA user_version=1;");
    struct wm_journal *j = open_journal();
    for (int i = 0; i < 4; i++)
        journal_entry(j, WM_ENTRY_READ_ONLY);
    struct wm_state *s = must_open(3);
    check(s, "k", "one", "1");
    counts_are(s, &(struct wm_state_counts){.seq = 3, .earlier = 3});
    struct wm_journal_reader *r = NULL;
    uint64_t cursor = 0;
    assert_int_equal(wm_journal_reader_open(j, 3, &r, NULL), WM_OK);
    assert_int_equal(wm_state_follow(s, r, 100, false, &cursor, NULL), WM_OK);
    counts_are(s, &(struct wm_state_counts){.seq = 4, .earlier = 3, .reads = 1});
    wm_journal_reader_close(r);
    wm_state_close(s);
    wm_journal_close(j);
}

static enum wm_status open_status(void)
{
    struct wm_state *s = NULL;
    uint64_t cursor;
    struct wm_err err = {0};
    enum wm_status status = wm_state_open(db, &s, &cursor, &err);
    if (status != WM_OK)
        assert_true(err.message[0] != '\0');
    wm_state_close(s);
    return status;
}

static void strange_files_are_refused(void **state)
{
    (void)state;
    struct wm_state *s = must_open(0);
    assert_int_equal(open_status(), WM_E_EXISTS); /* two at once */
    wm_state_close(s);
    struct stat st;
    assert_int_equal(stat(db, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);

    sql("INSERT INTO document VALUES('k', 'i', '', 1)");
    assert_int_equal(open_status(), WM_E_CORRUPT);
    sql("DELETE FROM document; UPDATE cursor SET reads = -1");
    assert_int_equal(open_status(), WM_E_CORRUPT);
    sql("DELETE FROM cursor");
    assert_int_equal(open_status(), WM_E_CORRUPT);
    sql("PRAGMA user_version = 4");
    assert_int_equal(open_status(), WM_E_UNSUPPORTED);
    sql("PRAGMA application_id = 1");
    assert_int_equal(open_status(), WM_E_INVALID);
    assert_int_equal(unlink(db), 0);
    assert_int_equal(wm_io_replace_file(&wm_io_posix, db, WM_LIT("no database, but long enough to be read as one"),
                                        0600, NULL), WM_OK);
    assert_int_equal(open_status(), WM_E_CORRUPT);
    assert_int_equal(unlink(db), 0);
    assert_int_equal(mkdir(db, 0700), 0);
    assert_int_equal(open_status(), WM_E_IO);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(documents_are_put_replaced_and_removed),
        TEST(a_watch_grows_with_each_change_of_its_kind),
        TEST(walks_are_ordered_and_go_on_behind_an_id),
        TEST(changes_of_one_call_apply_together),
        TEST(limits_are_kept_before_any_effect),
        TEST(copy_follows_the_journal_with_its_cursor),
        TEST(a_run_of_changes_leaves_the_last_of_each),
        TEST(replay_applies_to_memory_too),
        TEST(failed_transaction_stores_nothing_and_is_done_again),
        TEST(each_entry_is_counted_once_through_restarts_and_failures),
        TEST(a_copy_of_the_first_version_counts_from_where_it_stands),
        TEST(strange_files_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
