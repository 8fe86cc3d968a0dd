/* The journal: order, durability, recovery, damage, space. */
#include <errno.h>
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
#include "tests/support/fault_io.h"
#include "tests/support/folder.h"
#include "waymark/hash.h"
#include "waymark/log.h"

#define SMALL (64u * 1024u)

static char dir[FOLDER_BYTES], image[FOLDER_BYTES + 8];
static const struct wm_io *io = &wm_io_posix;

static int make_folders(void **state)
{
    (void)state;
    folder_make(dir);
    snprintf(image, sizeof image, "%s.image", dir);
    io = &wm_io_posix;
    return 0;
}

static int remove_folders(void **state)
{
    (void)state;
    folder_remove(dir);
    folder_remove(image);
    return 0;
}

/* ---- entries that can be told from their number ---- */

struct made {
    struct wm_entry e;
    struct wm_change changes[2];
    char record[4096];
    char name[32];
    char id[32];
    char document[64];
};

/* pad: bytes of filling; -1: some, different for each number */
static void make_entry(struct made *m, uint64_t n, int pad)
{
    if (pad < 0)
        pad = (int)(n * 2654435761u % 700);
    int len = snprintf(m->record, sizeof m->record, "{\"n\":%llu,\"pad\":\"", (unsigned long long)n);
    for (int i = 0; i < pad; i++)
        m->record[len++] = (char)('a' + (n + (unsigned)i) % 26);
    len += snprintf(m->record + len, sizeof m->record - (size_t)len, "\"}");
    snprintf(m->name, sizeof m->name, "Create%llu", (unsigned long long)(n % 7));
    snprintf(m->id, sizeof m->id, "id-%llu", (unsigned long long)(n % 5));
    snprintf(m->document, sizeof m->document, "{\"by\":%llu}", (unsigned long long)n);
    m->changes[0] = (struct wm_change){WM_LIT("test.one"), wm_view_of(m->id), wm_view_of(m->document)};
    m->changes[1] = (struct wm_change){WM_LIT("test.two"), wm_view_of(m->id), WM_EMPTY};
    m->e = (struct wm_entry){
        .time = {1700000000000000000 + (int64_t)n},
        .flags = (uint16_t)(n % 4),
        .event_source = WM_LIT("test.amazonaws.com"),
        .event_name = wm_view_of(m->name),
        .principal = WM_LIT("arn:aws:iam::111122223333:root"),
        .record = {m->record, (size_t)len},
        .changes = m->changes,
        .n_changes = n % 3,
    };
}

static void check_entry(const struct wm_entry *got, uint64_t n, int pad)
{
    struct made m;
    make_entry(&m, n, pad);
    assert_int_equal(got->seq, n);
    assert_int_equal(got->time.ns, m.e.time.ns);
    assert_int_equal(got->flags, m.e.flags);
    assert_true(wm_view_eq(got->event_source, m.e.event_source));
    assert_true(wm_view_eq(got->event_name, m.e.event_name));
    assert_true(wm_view_eq(got->principal, m.e.principal));
    assert_true(wm_view_eq(got->record, m.e.record));
    assert_int_equal(got->n_changes, m.e.n_changes);
    for (size_t i = 0; i < got->n_changes; i++) {
        assert_true(wm_view_eq(got->changes[i].kind, m.changes[i].kind));
        assert_true(wm_view_eq(got->changes[i].id, m.changes[i].id));
        assert_true(wm_view_eq(got->changes[i].document, m.changes[i].document));
    }
}

/* ---- shorthand ---- */

static enum wm_status try_open(const char *where, uint64_t segment_bytes, uint64_t max_bytes, struct wm_journal **out,
                               struct wm_journal_recovery *rec, struct wm_err *err)
{
    struct wm_journal_options o = {
        .dir = where,
        .io = io,
        .clock = &wm_clock_system,
        .segment_bytes = segment_bytes,
        .max_bytes = max_bytes,
    };
    return wm_journal_open(&o, out, rec, err);
}

static struct wm_journal *must_open(const char *where, struct wm_journal_recovery *rec)
{
    struct wm_journal *j = NULL;
    struct wm_err err = {0};
    if (try_open(where, SMALL, 0, &j, rec, &err) != WM_OK)
        fail_msg("open: %s", err.message);
    return j;
}

/* Append entry n with its number checked. */
static void put(struct wm_journal *j, uint64_t n, int pad)
{
    struct made m;
    uint64_t seq = 0;
    make_entry(&m, n, pad);
    wm_journal_await_room(j);
    assert_int_equal(wm_journal_append(j, &m.e, &seq, NULL), WM_OK);
    assert_int_equal(seq, n);
}

static void put_range(struct wm_journal *j, uint64_t from, uint64_t to, uint64_t batch)
{
    for (uint64_t n = from; n <= to; n++) {
        put(j, n, -1);
        if (n % batch == 0 || n == to)
            assert_int_equal(wm_journal_commit(j, n, NULL), WM_OK);
    }
}

/* Read from after_seq on to the end and check each. @return the last number */
static uint64_t read_all(struct wm_journal *j, uint64_t after_seq)
{
    struct wm_journal_reader *r = NULL;
    struct wm_entry e;
    uint64_t n = after_seq;
    assert_int_equal(wm_journal_reader_open(j, after_seq, &r, NULL), WM_OK);
    enum wm_status status;
    while ((status = wm_journal_reader_next(r, &e, NULL)) == WM_OK)
        check_entry(&e, ++n, -1);
    assert_int_equal(status, WM_E_END);
    wm_journal_reader_close(r);
    return n;
}

static void read_file(const char *where, uint64_t ordinal, struct wm_buf *b)
{
    char path[1024];
    wm_buf_init(b, 1u << 30);
    snprintf(path, sizeof path, "%s/%010llu.journal", where, (unsigned long long)ordinal);
    assert_int_equal(wm_io_read_file(&wm_io_posix, path, b, NULL), WM_OK);
}

static void write_at(const char *where, uint64_t ordinal, uint64_t at, const void *bytes, size_t len)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%010llu.journal", where, (unsigned long long)ordinal);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, len, (off_t)at), len);
    close(fd);
}

static void flip(const char *where, uint64_t ordinal, uint64_t at)
{
    struct wm_buf b;
    read_file(where, ordinal, &b);
    char c = (char)(b.data[at] ^ 0x20);
    write_at(where, ordinal, at, &c, 1);
    wm_buf_done(&b);
}

/* Where in a segment's bytes the frame of an entry stands; found by walking the lengths. */
static uint64_t frame_offset(const char *where, uint64_t ordinal, uint64_t seq)
{
    struct wm_buf b;
    uint64_t at = SEGMENT_HEADER_BYTES, found = 0;
    read_file(where, ordinal, &b);
    while (!found && at + FRAME_HEADER_BYTES <= b.len && wm_get_le32(b.data + at + FRAME_LEN) != 0) {
        if (wm_get_le64(b.data + at + FRAME_SEQ) == seq && b.data[at + FRAME_KIND] == FRAME_ENTRY)
            found = at;
        at += wm_get_le32(b.data + at + FRAME_LEN);
    }
    wm_buf_done(&b);
    assert_true(found != 0);
    return found;
}

static bool exists(const char *where, const char *name)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", where, name);
    return access(path, F_OK) == 0;
}

/* The preparer works on its own: wait until it has done what the test is about. */
static void wait_until_retired(struct wm_journal *j, uint64_t first_seq)
{
    struct wm_journal_stats s;
    for (int i = 0; i < 1000; i++) {
        wm_journal_stats(j, &s);
        if (s.first_seq >= first_seq)
            return;
        usleep(5000);
    }
    fail_msg("entries below %llu were not retired", (unsigned long long)first_seq);
}

/* Until the next segment is ready: then nothing but the test moves files. */
static void settle(struct wm_journal *j)
{
    for (;;) {
        wm_mutex_lock(&j->mu);
        bool ready = j->next != NULL;
        wm_mutex_unlock(&j->mu);
        if (ready)
            return;
        usleep(1000);
    }
}

/* Append and commit until it is full. @return the last number */
static uint64_t fill_up(struct wm_journal *j, uint64_t n)
{
    struct made m;
    uint64_t seq;
    for (;; n++) {
        make_entry(&m, n + 1, -1);
        wm_journal_await_room(j);
        if (wm_journal_append(j, &m.e, &seq, NULL) != WM_OK)
            return n;
        assert_int_equal(wm_journal_commit(j, seq, NULL), WM_OK);
    }
}

/* ---- the ordinary ---- */

static void entries_come_back_as_they_were(void **state)
{
    (void)state;
    struct wm_journal_recovery rec;
    struct wm_journal *j = must_open(dir, &rec);
    assert_int_equal(rec.first_seq, 1);
    assert_int_equal(rec.next_seq, 1);
    assert_int_equal(wm_journal_durable(j), 0);
    assert_int_equal(read_all(j, 0), 0);
    put_range(j, 1, 40, 7);
    assert_int_equal(wm_journal_durable(j), 40);
    assert_int_equal(read_all(j, 0), 40);
    assert_int_equal(read_all(j, 17), 40);
    assert_int_equal(read_all(j, 40), 40);
    wm_journal_close(j);

    j = must_open(dir, &rec);
    assert_int_equal(rec.first_seq, 1);
    assert_int_equal(rec.next_seq, 41);
    assert_int_equal(rec.cut_bytes, 0);
    assert_int_equal(read_all(j, 0), 40);
    put_range(j, 41, 50, 1);
    assert_int_equal(read_all(j, 0), 50);
    wm_journal_close(j);
}

static void reader_sees_only_what_is_durable(void **state)
{
    (void)state;
    struct wm_journal *j = must_open(dir, NULL);
    struct wm_journal_reader *r = NULL;
    struct wm_entry e;
    put(j, 1, -1);
    assert_int_equal(wm_journal_reader_open(j, 0, &r, NULL), WM_OK);
    assert_int_equal(wm_journal_reader_next(r, &e, NULL), WM_E_END);
    assert_int_equal(wm_journal_commit(j, 1, NULL), WM_OK);
    put(j, 2, -1);
    assert_int_equal(wm_journal_reader_next(r, &e, NULL), WM_OK);
    check_entry(&e, 1, -1);
    assert_int_equal(wm_journal_reader_next(r, &e, NULL), WM_E_END);
    assert_int_equal(wm_journal_commit(j, 2, NULL), WM_OK);
    assert_int_equal(wm_journal_reader_next(r, &e, NULL), WM_OK);
    check_entry(&e, 2, -1);
    wm_journal_reader_close(r);
    assert_int_equal(wm_journal_reader_open(j, 3, &r, NULL), WM_E_CORRUPT); /* nobody can have seen 3 */
    wm_journal_close(j);
}

static void close_drops_what_was_not_committed(void **state)
{
    (void)state;
    struct wm_journal_recovery rec;
    struct wm_journal *j = must_open(dir, NULL);
    put_range(j, 1, 3, 3);
    put(j, 4, -1);
    wm_journal_close(j);
    j = must_open(dir, &rec);
    assert_int_equal(rec.next_seq, 4);
    put_range(j, 4, 5, 1);
    assert_int_equal(read_all(j, 0), 5);
    wm_journal_close(j);
}

static void commit_is_one_write_and_one_sync(void **state)
{
    (void)state;
    struct fault_io f;
    fault_io_init(&f, &wm_io_posix);
    io = &f.io;
    struct wm_journal *j = must_open(dir, NULL);
    struct wm_journal_stats s;
    settle(j);
    unsigned writes = f.pwrites, syncs = f.syncs;
    for (uint64_t n = 1; n <= 64; n++)
        put(j, n, -1);
    assert_int_equal(wm_journal_commit(j, 64, NULL), WM_OK);
    assert_int_equal(f.pwrites - writes, 1);
    assert_int_equal(f.syncs - syncs, 1);
    assert_int_equal(wm_journal_commit(j, 10, NULL), WM_OK); /* covered already */
    assert_int_equal(f.pwrites - writes, 1);
    wm_journal_stats(j, &s);
    assert_int_equal(s.appended, 64);
    assert_int_equal(s.commits, 1);
    assert_int_equal(s.durable_seq, 64);
    wm_journal_close(j);
}

static void too_large_parts_are_refused(void **state)
{
    (void)state;
    struct wm_journal *j = must_open(dir, NULL);
    static char big[WM_MAX_RECORD_BYTES + 1];
    struct wm_change changes[WM_MAX_CHANGES + 1];
    struct made m;
    uint64_t seq = 77;
    make_entry(&m, 1, 0);
    struct wm_entry good = m.e, e;
    for (size_t i = 0; i < WM_MAX_CHANGES + 1; i++)
        changes[i] = m.changes[0];
    memset(big, 'x', sizeof big);

    e = good, e.record = WM_EMPTY;
    assert_int_equal(wm_journal_append(j, &e, &seq, NULL), WM_E_INVALID);
    e = good, e.record = (struct wm_view){big, sizeof big};
    assert_int_equal(wm_journal_append(j, &e, &seq, NULL), WM_E_LIMIT);
    e = good, e.event_source.ptr = big, e.event_source.len = 256;
    assert_int_equal(wm_journal_append(j, &e, &seq, NULL), WM_E_LIMIT);
    e = good, e.event_name.ptr = big, e.event_name.len = 256;
    assert_int_equal(wm_journal_append(j, &e, &seq, NULL), WM_E_LIMIT);
    e = good, e.principal.ptr = big, e.principal.len = 1025;
    assert_int_equal(wm_journal_append(j, &e, &seq, NULL), WM_E_LIMIT);
    e = good, e.changes = changes, e.n_changes = WM_MAX_CHANGES + 1;
    assert_int_equal(wm_journal_append(j, &e, &seq, NULL), WM_E_LIMIT);
    e = good, e.changes = changes, e.n_changes = 1;
    changes[0].id.len = 0;
    assert_int_equal(wm_journal_append(j, &e, &seq, NULL), WM_E_LIMIT);
    changes[0].id = (struct wm_view){big, 1025};
    assert_int_equal(wm_journal_append(j, &e, &seq, NULL), WM_E_LIMIT);
    changes[0] = m.changes[0], changes[0].kind.len = 0;
    assert_int_equal(wm_journal_append(j, &e, &seq, NULL), WM_E_LIMIT);
    e = good, e.record = (struct wm_view){big, SMALL}; /* larger than this journal's segments */
    assert_int_equal(wm_journal_append(j, &e, &seq, NULL), WM_E_LIMIT);
    e = good, e.changes = changes, e.n_changes = 8;
    for (size_t i = 0; i < 8; i++)
        changes[i] = (struct wm_change){m.changes[0].kind, m.changes[0].id, {big, WM_MAX_DOCUMENT_BYTES}};
    assert_int_equal(wm_journal_append(j, &e, &seq, NULL), WM_E_LIMIT);
    assert_int_equal(seq, 77);
    put_range(j, 1, 2, 1); /* none of them has left a trace */
    assert_int_equal(read_all(j, 0), 2);
    wm_journal_close(j);
}

static void largest_entry_fits(void **state)
{
    (void)state;
    static char big[WM_MAX_RECORD_BYTES];
    struct wm_journal *j = NULL;
    struct wm_journal_reader *r = NULL;
    struct wm_entry e = {.record = {big, sizeof big}}, got;
    struct wm_change changes[2] = {{WM_LIT("k"), WM_LIT("1"), {big, WM_MAX_DOCUMENT_BYTES}},
                                   {WM_LIT("k"), WM_LIT("2"), {big, WM_MAX_DOCUMENT_BYTES}}};
    uint64_t seq = 0;
    memset(big, 'y', sizeof big);
    e.changes = changes, e.n_changes = 2;
    assert_int_equal(try_open(dir, 2u << 20, 0, &j, NULL, NULL), WM_OK);
    for (int i = 0; i < 8; i++) {
        settle(j);
        assert_int_equal(wm_journal_append(j, &e, &seq, NULL), WM_OK);
    }
    assert_int_equal(wm_journal_commit(j, seq, NULL), WM_OK);
    assert_int_equal(wm_journal_reader_open(j, 0, &r, NULL), WM_OK);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(wm_journal_reader_next(r, &got, NULL), WM_OK);
        assert_true(wm_view_eq(got.record, e.record));
        assert_true(wm_view_eq(got.changes[1].document, changes[1].document));
    }
    wm_journal_reader_close(r);
    wm_journal_close(j);
}

static void options_are_checked(void **state)
{
    (void)state;
    struct wm_journal *j = NULL;
    assert_int_equal(try_open(dir, 4096, 0, &j, NULL, NULL), WM_E_INVALID);
    assert_int_equal(try_open(dir, SMALL + 1, 0, &j, NULL, NULL), WM_E_INVALID);
    assert_int_equal(try_open(dir, 2ull << 30, 0, &j, NULL, NULL), WM_E_INVALID);
    assert_int_equal(try_open(dir, SMALL, SMALL, &j, NULL, NULL), WM_E_INVALID);
    assert_null(j);
}

static void second_opener_is_refused(void **state)
{
    (void)state;
    struct wm_journal *j = must_open(dir, NULL), *other = NULL;
    struct wm_err err;
    assert_int_equal(try_open(dir, SMALL, 0, &other, NULL, &err), WM_E_EXISTS);
    assert_non_null(strstr(err.message, dir));
    wm_journal_close(j);
    wm_journal_close(must_open(dir, NULL));
}

/* ---- segments ---- */

static void entries_go_on_over_segments(void **state)
{
    (void)state;
    struct wm_journal_recovery rec;
    struct wm_journal *j = must_open(dir, NULL);
    put_range(j, 1, 1000, 33); /* batches cross the borders */
    assert_int_equal(read_all(j, 0), 1000);
    assert_int_equal(read_all(j, 500), 1000);
    wm_journal_close(j);
    assert_true(exists(dir, "0000000005.journal"));
    j = must_open(dir, &rec);
    assert_int_equal(rec.next_seq, 1001);
    for (uint64_t after = 0; after <= 1000; after += 97)
        assert_int_equal(read_all(j, after), 1000);
    put_range(j, 1001, 1100, 10);
    assert_int_equal(read_all(j, 990), 1100);
    wm_journal_close(j);
}

static void passed_segments_are_retired_and_reused(void **state)
{
    (void)state;
    struct wm_journal_recovery rec;
    struct wm_journal_stats s;
    struct wm_journal *j = must_open(dir, NULL);
    assert_int_equal(wm_journal_set_cursor(j, "slow", 0), WM_OK);
    assert_int_equal(wm_journal_set_cursor(j, "fast", 0), WM_OK);
    uint64_t n = 0;
    for (int round = 0; round < 8; round++) {
        put_range(j, n + 1, n + 500, 50);
        n += 500;
        assert_int_equal(wm_journal_set_cursor(j, "fast", n), WM_OK);
        wm_journal_stats(j, &s);
        assert_true(s.first_seq <= n - 499); /* "slow" has not seen these */
        assert_int_equal(wm_journal_set_cursor(j, "slow", n), WM_OK);
        wait_until_retired(j, n - 250);
        wm_journal_stats(j, &s);
        assert_int_equal(read_all(j, s.first_seq), n);
    }
    for (int i = 0; i < 60; i++) { /* followers keep up: the same three files, over and over */
        put_range(j, n + 1, n + 20, 20);
        n += 20;
        assert_int_equal(wm_journal_set_cursor(j, "fast", n), WM_OK);
        assert_int_equal(wm_journal_set_cursor(j, "slow", n), WM_OK);
        settle(j);
    }
    struct wm_journal_reader *r = NULL;
    assert_int_equal(wm_journal_reader_open(j, 0, &r, NULL), WM_E_NOT_FOUND);
    assert_int_equal(wm_journal_set_cursor(j, "slow", 1), WM_OK); /* back: ignored */
    assert_int_equal(wm_journal_set_cursor(j, "slow", n + 1), WM_E_CORRUPT);
    wm_journal_close(j);
    assert_false(exists(dir, "0000000001.journal"));
    j = must_open(dir, &rec);
    assert_int_equal(rec.next_seq, n + 1);
    assert_true(rec.first_seq > 3000);
    assert_int_equal(rec.cut_bytes, 0); /* nothing in a reused file looks like an entry */
    assert_int_equal(read_all(j, rec.first_seq - 1), n);
    wm_journal_close(j);
}

static void nothing_is_retired_too_early(void **state)
{
    (void)state;
    struct wm_journal_stats s;
    struct wm_journal *j = must_open(dir, NULL);
    struct wm_journal_reader *r = NULL;
    struct wm_entry e;
    put_range(j, 1, 600, 50); /* no follower at all */
    wm_journal_close(j);

    j = must_open(dir, NULL);
    assert_int_equal(wm_journal_set_cursor(j, "first", 600), WM_OK);
    usleep(30000);
    assert_int_equal(wm_journal_set_cursor(j, "late", 0), WM_OK); /* before the first append: in time */
    put_range(j, 601, 602, 1);
    usleep(30000);
    wm_journal_stats(j, &s);
    assert_int_equal(s.first_seq, 1);

    assert_int_equal(wm_journal_reader_open(j, 0, &r, NULL), WM_OK);
    assert_int_equal(wm_journal_reader_next(r, &e, NULL), WM_OK); /* stands in the first segment */
    assert_int_equal(wm_journal_set_cursor(j, "first", 602), WM_OK);
    assert_int_equal(wm_journal_set_cursor(j, "late", 602), WM_OK);
    wait_until_retired(j, 500);
    wm_journal_reader_close(r);
    put_range(j, 603, 610, 1);
    assert_int_equal(read_all(j, 600), 610);
    wm_journal_close(j);
}

/* A reader holds nothing back. Its file is taken away, and used again, while it stands there: what it gives is right up to
 * the end, and then it says so. */
static void a_reader_left_behind_is_told_so(void **state)
{
    (void)state;
    struct wm_journal *j = must_open(dir, NULL);
    struct wm_journal_reader *readers[3] = {NULL};
    struct wm_journal_stats s;
    struct wm_entry e;
    struct wm_err err = {0};
    uint64_t next[3] = {1, 1, 1}, n = 600;
    put_range(j, 1, n, 50);
    assert_int_equal(wm_journal_set_cursor(j, "f", 0), WM_OK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(wm_journal_reader_open(j, 0, &readers[i], NULL), WM_OK);
    for (int i = 0; i < 40; i++, next[1]++) /* one has its window full, one has read nothing, one is at the end of its own */
        assert_int_equal(wm_journal_reader_next(readers[1], &e, NULL), WM_OK);
    wm_journal_stats(j, &s);
    for (int i = 0; i < 130; i++, next[2]++)
        assert_int_equal(wm_journal_reader_next(readers[2], &e, NULL), WM_OK);
    for (int round = 0; round < 10; round++, n += 100) { /* the same files, over and over */
        put_range(j, n + 1, n + 100, 20);
        assert_int_equal(wm_journal_set_cursor(j, "f", n + 100), WM_OK);
        settle(j);
    }
    wait_until_retired(j, 1000);
    for (int i = 0; i < 3; i++) {
        enum wm_status status;
        while ((status = wm_journal_reader_next(readers[i], &e, &err)) == WM_OK)
            check_entry(&e, next[i]++, -1);
        assert_int_equal(status, WM_E_NOT_FOUND);
        assert_true(next[i] < 300);
        assert_int_equal(wm_journal_reader_next(readers[i], &e, NULL), WM_E_NOT_FOUND); /* and stays so */
        wm_journal_reader_close(readers[i]);
    }
    wm_journal_close(j);
}

static void paused(struct wm_journal *j, const char *name, bool is)
{
    struct wm_journal_follower f = {.paused = !is};
    assert_true(wm_journal_find_follower(j, name, &f));
    assert_int_equal(f.paused, is);
}

/* Wait for a notice: the preparer finds out that there is no room. */
static struct wm_journal_notice await_notice(struct wm_journal *j)
{
    struct wm_journal_notice n = {0};
    for (int i = 0; i < 2000 && !wm_journal_notice(j, &n); i++)
        usleep(1000);
    return n;
}

static void full_journal_goes_on_without_those_that_may_be_paused(void **state)
{
    (void)state;
    struct wm_journal *j = NULL;
    struct wm_journal_notice n, again;
    struct wm_journal_stats s;
    assert_int_equal(try_open(dir, SMALL, 3 * SMALL, &j, NULL, NULL), WM_OK);
    assert_false(wm_journal_find_follower(j, "slow", &(struct wm_journal_follower){0}));
    assert_int_equal(wm_journal_set_cursor(j, "needed", 0), WM_OK);
    assert_int_equal(wm_journal_set_cursor(j, "slow", 0), WM_OK);
    assert_int_equal(wm_journal_set_cursor(j, "slower", 0), WM_OK);
    wm_journal_allow_pause(j, "slow");
    wm_journal_allow_pause(j, "slower");
    uint64_t last = fill_up(j, 0), behind = 0;
    usleep(20000);
    assert_false(wm_journal_notice(j, &n)); /* one that is needed holds it, too: it would not help */
    assert_int_equal(wm_journal_set_cursor(j, "needed", last), WM_OK);
    assert_int_equal(wm_journal_set_cursor(j, "slow", 5), WM_OK);

    /* Both, one after the other; nothing is given up before it is recorded. */
    n = await_notice(j);
    assert_true(n.pause);
    assert_true(wm_journal_notice(j, &again));
    assert_string_equal(n.follower, again.follower);
    assert_non_null(strstr(n.why.message, "limit"));
    wm_journal_stats(j, &s);
    assert_int_equal(s.first_seq, 1);
    behind = n.last_seq;
    wm_journal_noticed(j, &n);
    paused(j, n.follower, true);
    wm_journal_stats(j, &s);
    assert_int_equal(s.first_seq, 1);
    n = await_notice(j);
    assert_true(n.pause && strcmp(n.follower, again.follower) != 0);
    assert_int_equal(n.first_seq + again.first_seq, 1 + 6); /* each from behind its own cursor */
    assert_int_equal(n.last_seq, behind);
    wm_journal_noticed(j, &n);
    wait_until_retired(j, behind + 1);
    settle(j);
    wm_journal_stats(j, &s);
    assert_true(s.first_seq > behind);
    assert_false(wm_journal_notice(j, &n));

    /* It goes on without them, as long as it takes. */
    for (int i = 0; i < 6; i++) {
        uint64_t to = fill_up(j, last);
        if (to == last)
            usleep(5000);
        last = to;
        assert_int_equal(wm_journal_set_cursor(j, "needed", last), WM_OK);
        settle(j);
    }
    wm_journal_stats(j, &s);
    assert_true(s.first_seq > behind + 100);
    paused(j, "slow", true);
    paused(j, "needed", false);

    /* A cursor that is not far enough ends nothing; one that needs nothing that is gone does. */
    assert_int_equal(wm_journal_set_cursor(j, "slow", s.first_seq - 2), WM_OK);
    paused(j, "slow", true);
    assert_int_equal(wm_journal_set_cursor(j, "slow", s.first_seq - 1), WM_OK);
    paused(j, "slow", false);
    n = await_notice(j);
    assert_false(n.pause);
    assert_string_equal(n.follower, "slow");
    assert_int_equal(n.first_seq, s.first_seq);
    wm_journal_noticed(j, &n);
    assert_false(wm_journal_notice(j, &n));
    last = fill_up(j, last);
    assert_int_equal(wm_journal_set_cursor(j, "needed", last), WM_OK);
    n = await_notice(j); /* held for it again, until it is given up again */
    assert_true(n.pause);
    assert_string_equal(n.follower, "slow");
    assert_int_equal(n.first_seq, s.first_seq);

    /* What it did while that was recorded counts: it has lost nothing. */
    assert_int_equal(wm_journal_set_cursor(j, "slow", n.last_seq), WM_OK);
    wm_journal_noticed(j, &n);
    paused(j, "slow", false);
    n = await_notice(j);
    assert_false(n.pause);
    assert_string_equal(n.follower, "slow");
    wm_journal_close(j);

    /* After a restart it comes with an old cursor: it is let in, and nothing is kept for it. */
    assert_int_equal(try_open(dir, SMALL, 3 * SMALL, &j, NULL, NULL), WM_OK);
    assert_int_equal(wm_journal_set_cursor(j, "needed", last), WM_OK);
    assert_int_equal(wm_journal_set_cursor(j, "slower", 0), WM_OK);
    paused(j, "slower", true);
    assert_true(fill_up(j, last) > last);
    wm_journal_close(j);
}

/* Else a kill before the next commit would leave no entry at all, and nobody knew where the numbers go on. */
static void newest_durable_entry_is_kept(void **state)
{
    (void)state;
    struct wm_journal *j = must_open(dir, NULL);
    struct wm_journal_stats s;
    uint64_t n = 0;
    assert_int_equal(wm_journal_set_cursor(j, "f", 0), WM_OK);
    for (;;) {
        put(j, n + 1, 900);
        if (j->tail->ordinal == 2)
            break; /* not committed: all that is durable stands in segment 1 */
        assert_int_equal(wm_journal_commit(j, ++n, NULL), WM_OK);
    }
    assert_int_equal(wm_journal_set_cursor(j, "f", n), WM_OK);
    settle(j);
    usleep(30000);
    wm_journal_stats(j, &s);
    assert_int_equal(s.first_seq, 1);
    assert_true(exists(dir, "0000000001.journal"));
    assert_int_equal(wm_journal_commit(j, n + 1, NULL), WM_OK);
    wait_until_retired(j, n + 1);
    wm_journal_close(j);
}

static void full_journal_refuses_before_any_effect(void **state)
{
    (void)state;
    struct wm_journal *j = NULL;
    struct wm_err err = {0};
    struct wm_journal_stats s;
    struct made m;
    assert_int_equal(try_open(dir, SMALL, 4 * SMALL, &j, NULL, NULL), WM_OK);
    assert_int_equal(wm_journal_set_cursor(j, "f", 0), WM_OK);
    uint64_t n = 0, seq = 0;
    for (;;) {
        make_entry(&m, n + 1, -1);
        wm_journal_await_room(j);
        enum wm_status status = wm_journal_append(j, &m.e, &seq, &err);
        if (status == WM_E_FULL)
            break;
        assert_int_equal(status, WM_OK);
        assert_true(++n < 5000);
        assert_int_equal(seq, n);
        assert_int_equal(wm_journal_commit(j, n, NULL), WM_OK);
    }
    assert_non_null(strstr(err.message, "262144"));
    wm_journal_stats(j, &s);
    assert_true(s.bytes <= 4 * SMALL);
    assert_true(n > 300); /* four segments of some 100 entries were used */
    assert_int_equal(wm_journal_append(j, &m.e, &seq, &err), WM_E_FULL);
    assert_int_equal(read_all(j, 0), n);
    assert_int_equal(wm_journal_set_cursor(j, "f", n), WM_OK);
    put_range(j, n + 1, n + 200, 10); /* waits for the segment that is now freed */
    assert_int_equal(read_all(j, n), n + 200);
    wm_journal_stats(j, &s);
    assert_true(s.bytes <= 4 * SMALL);
    wm_journal_close(j);
}


/* Calls are refused while what the service itself must write still fits, the closing mark too. */
static void the_end_of_a_segment_is_kept_for_the_service(void **state)
{
    (void)state;
    struct wm_journal *j = NULL;
    struct wm_journal_recovery rec;
    struct made m;
    uint64_t n = 0, seq = 0, calls;
    assert_int_equal(try_open(dir, SMALL, 2 * SMALL, &j, NULL, NULL), WM_OK);
    assert_int_equal(wm_journal_set_cursor(j, "f", 0), WM_OK);
    for (;; n++) {
        make_entry(&m, n + 1, 900);
        wm_journal_await_room(j);
        if (wm_journal_append(j, &m.e, &seq, NULL) != WM_OK)
            break;
        assert_int_equal(wm_journal_commit(j, seq, NULL), WM_OK);
    }
    assert_false(wm_journal_has_room(j));
    for (calls = n;; n++) {
        make_entry(&m, n + 1, 900);
        m.e.flags |= WM_ENTRY_SERVICE;
        if (wm_journal_append(j, &m.e, &seq, NULL) != WM_OK)
            break;
        assert_int_equal(wm_journal_commit(j, seq, NULL), WM_OK);
        m.e.flags = 0;
        assert_int_equal(wm_journal_append(j, &m.e, &seq, NULL), WM_E_FULL);
    }
    assert_true(n - calls >= 6 && n - calls <= 8);
    wm_journal_close(j);
    assert_int_equal(try_open(dir, SMALL, 2 * SMALL, &j, &rec, NULL), WM_OK);
    assert_int_equal(rec.next_seq, n + 1);
    uint64_t end = j->tail_offset;
    struct wm_buf b;
    read_file(dir, 2, &b);
    assert_int_equal(b.data[end - FRAME_HEADER_BYTES + FRAME_KIND], FRAME_MARK); /* closed in order */
    wm_buf_done(&b);
    assert_int_equal(wm_journal_set_cursor(j, "f", n), WM_OK);
    put(j, n + 1, 900); /* what opens next has room again */
    assert_int_equal(wm_journal_commit(j, n + 1, NULL), WM_OK);
    assert_int_equal(j->tail->ordinal, 3);
    wm_journal_close(j);
}

static atomic_bool disk_stands_still, preparer_waits;
static pthread_t tester;

static ssize_t slow_pwrite(void *ctx, int fd, const void *buf, size_t len, uint64_t offset)
{
    /* What the preparer fills a segment with; batches are shorter. */
    while (len >= SMALL && !pthread_equal(pthread_self(), tester) && atomic_load(&disk_stands_still)) {
        atomic_store(&preparer_waits, true);
        usleep(1000);
    }
    return wm_io_posix.pwrite(ctx, fd, buf, len, offset);
}

static void *await_room(void *journal)
{
    wm_journal_await_room(journal);
    return NULL;
}

/* An append stands under a lock that others wait for: it waits for nothing. Who is about to take that lock waits before. */
static void slow_segment_is_waited_for_before_the_append(void **state)
{
    (void)state;
    struct wm_io slow = wm_io_posix;
    struct made m;
    struct wm_err err = {0};
    uint64_t n = 0, seq = 0;
    enum wm_status status;
    pthread_t caller;
    slow.pwrite = slow_pwrite;
    tester = pthread_self();
    io = &slow;
    atomic_store(&preparer_waits, false);
    atomic_store(&disk_stands_still, true);
    struct wm_journal *j = must_open(dir, NULL);
    for (;; n++) {
        make_entry(&m, n + 1, 900);
        status = wm_journal_append(j, &m.e, &seq, &err);
        if (status != WM_OK)
            break;
    }
    assert_int_equal(status, WM_E_FULL);
    assert_non_null(strstr(err.message, "not ready"));
    assert_true(n > 40);
    assert_int_equal(wm_journal_appended(j), n);
    assert_int_equal(wm_journal_durable(j), 0);
    assert_int_equal(pthread_create(&caller, NULL, await_room, j), 0);
    for (int i = 0; i < 5000 && wm_journal_durable(j) < n; i++) /* what was appended does not wait with it */
        usleep(1000);
    assert_int_equal(wm_journal_durable(j), n);
    while (!atomic_load(&preparer_waits))
        usleep(1000);
    atomic_store(&disk_stands_still, false);
    assert_int_equal(pthread_join(caller, NULL), 0);
    assert_true(wm_journal_has_room(j));
    assert_int_equal(wm_journal_append(j, &m.e, &seq, NULL), WM_OK);
    assert_int_equal(seq, n + 1);
    wm_journal_close(j);
}

static void full_disk_refuses_and_goes_on_when_space_returns(void **state)
{
    (void)state;
    struct fault_io f;
    struct wm_err err = {0};
    struct made m;
    uint64_t n = 0, seq = 0;
    enum wm_status status;
    fault_io_init(&f, &wm_io_posix);
    io = &f.io;
    struct wm_journal *j = must_open(dir, NULL);
    settle(j);
    atomic_store(&f.disk_full, true);
    for (;;) {
        make_entry(&m, n + 1, -1);
        wm_journal_await_room(j);
        status = wm_journal_append(j, &m.e, &seq, &err);
        if (status != WM_OK)
            break;
        n++;
        assert_int_equal(wm_journal_commit(j, n, NULL), WM_OK);
    }
    assert_int_equal(status, WM_E_FULL);
    assert_int_equal(err.sys_errno, ENOSPC);
    assert_non_null(strstr(err.message, "0 are free"));
    assert_int_equal(read_all(j, 0), n); /* reading goes on */
    assert_false(wm_journal_failed(j, NULL));
    atomic_store(&f.disk_full, false);
    for (int i = 0; i < 1000 && status == WM_E_FULL; i++) { /* it tries again by itself */
        usleep(10000);
        status = wm_journal_append(j, &m.e, &seq, NULL);
    }
    assert_int_equal(status, WM_OK);
    assert_int_equal(seq, n + 1);
    assert_int_equal(wm_journal_commit(j, seq, NULL), WM_OK);
    assert_int_equal(read_all(j, 0), n + 1);
    wm_journal_close(j);
}

static _Atomic uint64_t free_now;

static int said_free(void *ctx, const char *path, uint64_t *out)
{
    (void)ctx;
    (void)path;
    *out = atomic_load(&free_now);
    return 0;
}

static enum wm_status open_with_ballast(struct wm_journal **out)
{
    static struct wm_io table;
    struct wm_journal_options o = {
        .dir = dir, .io = &table, .clock = &wm_clock_system, .segment_bytes = SMALL, .ballast_bytes = SMALL / 2};
    table = wm_io_posix;
    table.free_bytes = said_free;
    *out = NULL;
    return wm_journal_open(&o, out, NULL, NULL);
}

static bool await_ballast(bool there)
{
    char path[1024];
    struct stat st;
    snprintf(path, sizeof path, "%s/ballast", dir);
    for (int i = 0; i < 5000; i++, usleep(1000))
        if ((stat(path, &st) == 0 ? st.st_size : 0) == (there ? SMALL / 2 : 0))
            return true;
    return false;
}

/* Else no follower could write that it has moved on, and all would wait for each other. */
static void ballast_is_given_up_when_the_disk_is_full(void **state)
{
    (void)state;
    struct wm_journal *j;
    char path[1024];
    atomic_store(&free_now, UINT64_MAX / 2);
    assert_int_equal(open_with_ballast(&j), WM_OK);
    assert_true(await_ballast(true));
    settle(j);
    atomic_store(&free_now, SMALL + SMALL / 2 - 1); /* a segment would leave too little */
    uint64_t n = fill_up(j, 0);
    assert_true(await_ballast(false));
    assert_int_equal(j->tail->ordinal, 2);
    wm_journal_close(j);

    atomic_store(&free_now, SMALL + SMALL / 2); /* enough for a segment, and for the ballast */
    assert_int_equal(open_with_ballast(&j), WM_OK);
    settle(j);
    assert_true(await_ballast(true));
    atomic_store(&free_now, 0);
    n = fill_up(j, n);
    assert_true(n > 200);
    wm_journal_close(j);

    /* Opening, too, must write: on a disk that is nearly full the ballast goes first. One of another size is no ballast. */
    atomic_store(&free_now, SMALL / 2 - 1);
    assert_int_equal(open_with_ballast(&j), WM_OK);
    assert_false(exists(dir, "ballast"));
    wm_journal_close(j);
    atomic_store(&free_now, UINT64_MAX / 2);
    snprintf(path, sizeof path, "%s/ballast", dir);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0 && write(fd, "x", 1) == 1 && close(fd) == 0);
    assert_int_equal(open_with_ballast(&j), WM_OK);
    assert_true(await_ballast(true));
    assert_int_equal(read_all(j, 0), n);
    wm_journal_close(j);
}

/* ---- two that commit ---- */

static atomic_int held; /* 0: syncs go through; 1: the next one of a commit waits; 2: it does */

static int held_fdatasync(void *ctx, int fd)
{
    int armed = 1;
    if (atomic_compare_exchange_strong(&held, &armed, 2))
        while (atomic_load(&held) == 2)
            usleep(1000);
    return wm_io_posix.fdatasync(ctx, fd);
}

static void *commit_first(void *journal)
{
    return wm_journal_commit(journal, 1, NULL) == WM_OK ? NULL : journal;
}

static void *let_go(void *arg)
{
    usleep(20000);
    atomic_store(&held, 0);
    return arg;
}

/* Who waits for another's commit can append meanwhile, and finds the other's entries durable and its own not. */
static void a_commit_of_another_is_waited_for(void **state)
{
    (void)state;
    static struct wm_io table;
    pthread_t first, second;
    void *failed;
    table = wm_io_posix;
    table.fdatasync = held_fdatasync;
    io = &table;
    struct wm_journal *j = must_open(dir, NULL);
    settle(j);
    assert_false(wm_journal_await_commit(j));
    put(j, 1, -1);
    atomic_store(&held, 1);
    assert_int_equal(pthread_create(&first, NULL, commit_first, j), 0);
    while (atomic_load(&held) != 2)
        usleep(1000);
    put(j, 2, -1);
    assert_int_equal(pthread_create(&second, NULL, let_go, NULL), 0);
    assert_true(wm_journal_await_commit(j));
    assert_int_equal(wm_journal_durable(j), 1);
    assert_false(wm_journal_await_commit(j));
    assert_int_equal(wm_journal_commit(j, 2, NULL), WM_OK);
    assert_int_equal(pthread_join(first, &failed), 0);
    assert_null(failed);
    assert_int_equal(pthread_join(second, NULL), 0);
    assert_int_equal(read_all(j, 0), 2);
    wm_journal_close(j);
}

/* ---- failing ---- */

static void failed_sync_is_final_and_a_restart_recovers(void **state)
{
    (void)state;
    for (int what = 0; what < 3; what++) { /* sync, write, write cut short by a full disk */
        struct fault_io f;
        struct wm_err err = {0}, again = {0};
        struct wm_journal_recovery rec;
        struct made m;
        uint64_t seq;
        fault_io_init(&f, &wm_io_posix);
        io = &f.io;
        struct wm_journal *j = must_open(dir, NULL);
        uint64_t base = wm_journal_durable(j);
        put_range(j, base + 1, base + 5, 2);
        settle(j);
        put(j, base + 6, -1);
        put(j, base + 7, -1);
        fault_io_arm(&f, what == 0 ? FAULT_SYNCS : FAULT_WRITES, 1, what == 2 ? FAULT_ENOSPC : FAULT_EIO, false);
        assert_int_equal(wm_journal_commit(j, base + 7, &err), WM_E_FAILED);
        assert_true(err.sys_errno == (what == 2 ? ENOSPC : EIO));
        fault_io_disarm(&f); /* the disk is well again, but nobody knows what it holds */
        assert_true(wm_journal_failed(j, NULL));
        make_entry(&m, 8, -1);
        assert_int_equal(wm_journal_append(j, &m.e, &seq, &again), WM_E_FAILED);
        assert_string_equal(again.message, err.message);
        assert_int_equal(wm_journal_commit(j, base + 7, &again), WM_E_FAILED);
        assert_string_equal(again.message, err.message);
        assert_int_equal(wm_journal_commit(j, base + 5, NULL), WM_OK);
        assert_int_equal(wm_journal_durable(j), base + 5);
        assert_int_equal(read_all(j, 0), base + 5);
        wm_journal_close(j);
        j = must_open(dir, &rec);
        assert_true(rec.next_seq >= base + 6 && rec.next_seq <= base + 8); /* what was on the disk is valid, in order */
        assert_int_equal(read_all(j, 0), rec.next_seq - 1);
        put_range(j, rec.next_seq, rec.next_seq + 3, 1);
        assert_int_equal(read_all(j, 0), rec.next_seq + 3);
        wm_journal_close(j);
    }
}

/* What was in the page cache only when a sync failed is written again before anyone may read it. */
static void recovery_writes_the_last_batch_again(void **state)
{
    (void)state;
    struct fault_io f;
    struct wm_journal *j = must_open(dir, NULL);
    put_range(j, 1, 10, 5);
    settle(j);
    folder_copy(dir, image);
    wm_journal_close(j);

    fault_io_init(&f, &wm_io_posix);
    io = &f.io;
    fault_io_arm(&f, FAULT_SYNCS, 1, FAULT_EIO, false); /* so nothing is accepted without that sync */
    assert_int_equal(try_open(image, SMALL, 0, &j, NULL, NULL), WM_E_IO);
    assert_true(f.hit);
    fault_io_disarm(&f);
    unsigned writes = f.pwrites;
    j = must_open(image, NULL);
    assert_true(f.pwrites - writes >= 2); /* the batch, and the mark */
    wm_journal_close(j);

    writes = f.pwrites; /* proven now, but the mark that says so may itself be in the page cache only */
    wm_journal_close(must_open(image, NULL));
    assert_int_equal(f.pwrites, writes + 1);
    fault_io_arm(&f, FAULT_SYNCS, 1, FAULT_EIO, false);
    assert_int_equal(try_open(image, SMALL, 0, &j, NULL, NULL), WM_E_IO);
}

struct appender {
    struct wm_journal *j;
    pthread_t thread;
    uint64_t seqs[200];
};

static void *append_many(void *arg)
{
    struct appender *a = arg;
    for (size_t i = 0; i < 200; i++) {
        struct wm_entry e = {.record = WM_LIT("{}"), .time = {(int64_t)(uintptr_t)a}};
        wm_journal_await_room(a->j);
        if (wm_journal_append(a->j, &e, &a->seqs[i], NULL) != WM_OK ||
            wm_journal_commit(a->j, a->seqs[i], NULL) != WM_OK || wm_journal_durable(a->j) < a->seqs[i])
            return a;
    }
    return NULL;
}

static void threads_share_commits(void **state)
{
    (void)state;
    enum { N = 8 };
    static struct appender a[N];
    static uint64_t owner[N * 200 + 1];
    struct wm_journal *j = must_open(dir, NULL);
    struct wm_journal_stats s;
    struct wm_journal_reader *r = NULL;
    struct wm_entry e;
    memset(owner, 0, sizeof owner);
    for (size_t i = 0; i < N; i++) {
        a[i].j = j;
        assert_int_equal(wm_thread_start(&a[i].thread, "appender", append_many, &a[i], NULL), WM_OK);
    }
    for (size_t i = 0; i < N; i++) {
        void *failed;
        pthread_join(a[i].thread, &failed);
        assert_null(failed);
        for (size_t k = 0; k < 200; k++) {
            assert_true(k == 0 || a[i].seqs[k] > a[i].seqs[k - 1]);
            assert_true(a[i].seqs[k] >= 1 && a[i].seqs[k] <= N * 200 && owner[a[i].seqs[k]] == 0);
            owner[a[i].seqs[k]] = (uint64_t)(uintptr_t)&a[i];
        }
    }
    assert_int_equal(wm_journal_reader_open(j, 0, &r, NULL), WM_OK);
    for (uint64_t n = 1; n <= N * 200; n++) {
        assert_int_equal(wm_journal_reader_next(r, &e, NULL), WM_OK);
        assert_int_equal(e.seq, n);
        assert_int_equal((uint64_t)e.time.ns, owner[n]);
    }
    wm_journal_reader_close(r);
    wm_journal_stats(j, &s);
    assert_true(s.commits < N * 200); /* at least once, one sync served two */
    wm_journal_close(j);
}

/* ---- recovery ---- */

/* A journal as a kill leaves it: entries 1 to 10 in batches of 5, nothing closed in order. Copied into image. */
static void make_killed(void)
{
    struct wm_journal *j = must_open(dir, NULL);
    settle(j);
    put_range(j, 1, 10, 5);
    folder_copy(dir, image);
    wm_journal_close(j);
}

static void torn_tail_is_cut(void **state)
{
    (void)state;
    make_killed();
    struct wm_journal_recovery rec;
    uint64_t at = frame_offset(image, 1, 9);
    flip(image, 1, at + 80);
    struct wm_journal *j = must_open(image, &rec);
    assert_int_equal(rec.next_seq, 9); /* 6 to 8 stand in the same batch and are whole: they may stay */
    assert_true(rec.cut_bytes > 0);
    assert_int_equal(read_all(j, 0), 8);
    put_range(j, 9, 30, 4);
    assert_int_equal(read_all(j, 0), 30);
    wm_journal_close(j);
    j = must_open(image, &rec);
    assert_int_equal(rec.cut_bytes, 0);
    assert_int_equal(read_all(j, 0), 30);
    wm_journal_close(j);
}

static void cut_entries_do_not_come_back(void **state)
{
    (void)state;
    make_killed();
    struct wm_journal_recovery rec;
    struct made m;
    uint64_t seq;
    flip(image, 1, frame_offset(image, 1, 6) + 80); /* 7 to 10 behind it, of the same batch, are whole */
    struct wm_journal *j = must_open(image, &rec);
    assert_int_equal(rec.next_seq, 6);
    /* With the mark before it as long as the one that was torn, so that the old 7 would begin where it ends. */
    make_entry(&m, 6, (int)(6ull * 2654435761u % 700) - FRAME_HEADER_BYTES);
    m.e.time.ns++;
    assert_int_equal(wm_journal_append(j, &m.e, &seq, NULL), WM_OK);
    assert_int_equal(wm_journal_commit(j, seq, NULL), WM_OK);
    char again[sizeof image + 8];
    snprintf(again, sizeof again, "%s.again", image);
    settle(j);
    folder_copy(image, again); /* killed once more */
    wm_journal_close(j);
    assert_int_equal(try_open(again, SMALL, 0, &j, &rec, NULL), WM_OK);
    assert_int_equal(rec.next_seq, 7);
    wm_journal_close(j);
    folder_remove(again);
}

/* Killed after a batch of which the first part ends segment 1. @return the first entry of segment 2 */
static uint64_t make_crossing(uint64_t *out_last)
{
    struct wm_journal *j = must_open(dir, NULL);
    uint64_t n = 0, first = 0;
    settle(j);
    put(j, ++n, 900);
    assert_int_equal(wm_journal_commit(j, n, NULL), WM_OK);
    do
        put(j, ++n, 900);
    while (j->tail->ordinal == 1);
    first = n;
    for (int i = 0; i < 3; i++)
        put(j, ++n, 900);
    settle(j); /* the header of segment 3 is to claim nothing of this batch */
    assert_int_equal(wm_journal_commit(j, n, NULL), WM_OK);
    folder_copy(dir, image);
    wm_journal_close(j);
    *out_last = n;
    return first;
}

static void batch_over_two_segments_is_cut_or_reported(void **state)
{
    (void)state;
    uint64_t last, first = make_crossing(&last);
    struct wm_journal *j = NULL;
    struct wm_journal_recovery rec;
    struct made m;
    uint64_t seq;
    flip(image, 2, SEGMENT_HEADER_BYTES + 80); /* the second part is torn at its begin, its rest is whole */
    j = must_open(image, &rec);
    assert_int_equal(rec.next_seq, first);
    assert_true(rec.cut_bytes > 0);
    make_entry(&m, first, 900);
    m.e.time.ns++;
    wm_journal_await_room(j);
    assert_int_equal(wm_journal_append(j, &m.e, &seq, NULL), WM_OK); /* goes where the torn one stood */
    assert_int_equal(wm_journal_commit(j, seq, NULL), WM_OK);
    assert_int_equal(j->tail->ordinal, 2);
    char again[sizeof image + 8];
    snprintf(again, sizeof again, "%s.again", image);
    settle(j);
    folder_copy(image, again);
    wm_journal_close(j);
    assert_int_equal(try_open(again, SMALL, 0, &j, &rec, NULL), WM_OK);
    assert_int_equal(rec.next_seq, first + 1);
    wm_journal_close(j);
    folder_remove(again);

    folder_remove(dir); /* the first part was synced before the second was written: it cannot be torn */
    last = 0;
    first = make_crossing(&last);
    flip(image, 1, frame_offset(image, 1, first - 1) + 80);
    assert_int_equal(try_open(image, SMALL, 0, &j, &rec, NULL), WM_E_CORRUPT);
    assert_int_equal(rec.damaged_seq, first - 1);
}

static void recovered_entries_are_never_torn_again(void **state)
{
    (void)state;
    make_killed();
    struct wm_journal_recovery rec;
    struct wm_journal *j = must_open(image, &rec);
    assert_int_equal(rec.next_seq, 11); /* followers may read 10 from now on */
    char again[sizeof image + 8];
    snprintf(again, sizeof again, "%s.again", image);
    settle(j);
    folder_copy(image, again);
    wm_journal_close(j);
    flip(again, 1, frame_offset(again, 1, 10) + 80);
    assert_int_equal(try_open(again, SMALL, 0, &j, &rec, NULL), WM_E_CORRUPT);
    assert_int_equal(rec.damaged_seq, 10);
    folder_remove(again);
}

static uint32_t folder_crc; /* of names and contents, in any order */

static int add_crc(void *arg, const char *name)
{
    char path[1024];
    struct wm_buf b;
    wm_buf_init(&b, 1u << 30);
    snprintf(path, sizeof path, "%s/%s", (const char *)arg, name);
    assert_int_equal(wm_io_read_file(&wm_io_posix, path, &b, NULL), WM_OK);
    folder_crc += wm_crc32(wm_crc32(0, name, strlen(name)), b.data, b.len);
    wm_buf_done(&b);
    return 0;
}

static uint32_t crc_of_folder(const char *where)
{
    char copy[1024];
    snprintf(copy, sizeof copy, "%s", where);
    folder_crc = 0;
    assert_int_equal(wm_io_posix.list(wm_io_posix.ctx, copy, add_crc, copy), 0);
    return folder_crc;
}

/* Opening image must name the damage and change nothing. seq 0: any */
static void check_corrupt(uint64_t seq, const char *segment)
{
    struct wm_journal *j = NULL;
    struct wm_journal_recovery rec = {0};
    struct wm_err err = {0};
    uint32_t before = crc_of_folder(image);
    assert_int_equal(try_open(image, SMALL, 0, &j, &rec, &err), WM_E_CORRUPT);
    assert_null(j);
    assert_int_equal(crc_of_folder(image), before);
    if (seq)
        assert_int_equal(rec.damaged_seq, seq);
    assert_non_null(strstr(rec.damaged_path, segment));
    assert_non_null(strstr(err.message, segment));
}

static void damage_before_the_tail_is_reported(void **state)
{
    (void)state;
    make_killed();
    flip(image, 1, frame_offset(image, 1, 3) + 80);
    check_corrupt(3, "0000000001.journal");
    folder_copy(dir, image); /* closed in order: even the last entry is known to be durable */
    flip(image, 1, frame_offset(image, 1, 10) + 80);
    check_corrupt(10, "0000000001.journal");
    folder_copy(dir, image);
    flip(image, 1, frame_offset(image, 1, 1) + FRAME_SEQ);
    check_corrupt(1, "0000000001.journal");
}

/* 1,000 entries over several segments, closed in order, copied. */
static void make_long(void)
{
    struct wm_journal *j = must_open(dir, NULL);
    put_range(j, 1, 1000, 20);
    wm_journal_close(j);
    folder_copy(dir, image);
}

static void replace(const char *from_dir, const char *from, const char *to)
{
    char a[1024], b[1024];
    struct wm_buf content;
    wm_buf_init(&content, 1u << 30);
    snprintf(a, sizeof a, "%s/%s", from_dir, from);
    snprintf(b, sizeof b, "%s/%s", image, to);
    assert_int_equal(wm_io_read_file(&wm_io_posix, a, &content, NULL), WM_OK);
    assert_int_equal(wm_io_replace_file(&wm_io_posix, b, wm_buf_view(&content), 0600, NULL), WM_OK);
    wm_buf_done(&content);
}

static void missing_swapped_and_foreign_segments_are_reported(void **state)
{
    (void)state;
    char path[1024], other[sizeof image + 8];
    make_long();
    snprintf(path, sizeof path, "%s/0000000003.journal", image);
    assert_int_equal(unlink(path), 0);
    check_corrupt(0, "0000000003.journal");

    folder_copy(dir, image);
    replace(dir, "0000000002.journal", "0000000003.journal");
    check_corrupt(0, "0000000003.journal");

    folder_copy(dir, image);
    assert_int_equal(truncate(path, 8192), 0);
    check_corrupt(0, "0000000003.journal");
    assert_int_equal(truncate(path, 0), 0);
    check_corrupt(0, "0000000003.journal");

    folder_copy(dir, image); /* the first one is gone: nothing says whether it was retired, but ours never were */
    snprintf(path, sizeof path, "%s/0000000001.journal", image);
    assert_int_equal(unlink(path), 0);
    struct wm_journal *j = NULL;
    struct wm_journal_recovery rec;
    assert_int_equal(try_open(image, SMALL, 0, &j, &rec, NULL), WM_OK); /* followers notice: their cursor is before it */
    assert_true(rec.first_seq > 1);
    wm_journal_close(j);

    folder_copy(dir, image);
    snprintf(other, sizeof other, "%s.other", dir);
    j = must_open(other, NULL);
    put_range(j, 1, 1000, 20);
    wm_journal_close(j);
    replace(other, "0000000003.journal", "0000000003.journal");
    check_corrupt(0, "0000000003.journal");
    folder_remove(other);

    folder_copy(dir, image); /* a segment put back from before it was full */
    struct wm_buf b;
    static const char zeros[8192];
    read_file(image, 2, &b);
    write_at(image, 2, b.len - sizeof zeros, zeros, sizeof zeros);
    wm_buf_done(&b);
    check_corrupt(0, "0000000002.journal");
}

static void leftovers_of_a_kill_are_settled(void **state)
{
    (void)state;
    make_long();
    char path[1024];
    struct wm_journal_recovery rec;
    snprintf(path, sizeof path, "%s/fill.tmp", image);
    assert_int_equal(wm_io_replace_file(&wm_io_posix, path, WM_LIT("half"), 0600, NULL), WM_OK);
    replace(dir, "0000000001.journal", "spare"); /* retired, and killed before its reuse */
    struct wm_journal *j = must_open(image, &rec);
    assert_int_equal(rec.next_seq, 1001);
    assert_false(exists(image, "fill.tmp"));
    put_range(j, 1001, 1400, 20); /* goes into the spare, whose old frames must not show */
    assert_int_equal(read_all(j, 0), 1400);
    wm_journal_close(j);
    j = must_open(image, &rec);
    assert_int_equal(rec.next_seq, 1401);
    assert_int_equal(read_all(j, 0), 1400);
    wm_journal_close(j);

    folder_copy(dir, image);
    snprintf(path, sizeof path, "%s/spare", image);
    assert_int_equal(wm_io_replace_file(&wm_io_posix, path, WM_LIT("of another size"), 0600, NULL), WM_OK);
    snprintf(path, sizeof path, "%s/notes.txt", image); /* not ours: left alone */
    assert_int_equal(wm_io_replace_file(&wm_io_posix, path, WM_LIT("x"), 0600, NULL), WM_OK);
    wm_journal_close(must_open(image, NULL));
    assert_true(exists(image, "notes.txt"));
}

static void segment_size_may_change_between_runs(void **state)
{
    (void)state;
    make_long();
    struct wm_journal *j = NULL;
    struct wm_journal_recovery rec;
    uint64_t sizes[] = {4 * SMALL, SMALL, 2 * SMALL};
    uint64_t n = 1000;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(try_open(image, sizes[i], 0, &j, &rec, NULL), WM_OK);
        assert_int_equal(rec.next_seq, n + 1);
        assert_int_equal(wm_journal_set_cursor(j, "f", n), WM_OK);
        put_range(j, n + 1, n + 700, 10);
        n += 700;
        assert_int_equal(read_all(j, n - 700), n);
        wm_journal_close(j);
    }
}

/* ---- versions ---- */

/* Change a header as a newer version would write it. */
static void patch_header(size_t at, uint32_t value)
{
    struct wm_buf b;
    read_file(image, 1, &b);
    wm_put_le32(b.data + at, value);
    wm_put_le32(b.data + SEG_CRC, 0);
    wm_put_le32(b.data + SEG_CRC, wm_crc32(0, b.data, SEGMENT_HEADER_BYTES));
    write_at(image, 1, 0, b.data, SEGMENT_HEADER_BYTES);
    wm_buf_done(&b);
}

static void newer_versions_are_refused_or_skipped_as_their_flags_say(void **state)
{
    (void)state;
    struct wm_journal *j = NULL;
    struct wm_err err;
    make_killed();
    patch_header(SEG_VERSION, 2);
    assert_int_equal(try_open(image, SMALL, 0, &j, NULL, &err), WM_E_UNSUPPORTED);
    folder_copy(dir, image);
    patch_header(SEG_INCOMPAT, 1);
    assert_int_equal(try_open(image, SMALL, 0, &j, NULL, &err), WM_E_UNSUPPORTED);
    folder_copy(dir, image);
    patch_header(SEG_COMPAT, 0x80);
    j = must_open(image, NULL);
    assert_int_equal(read_all(j, 0), 10);
    wm_journal_close(j);
}

/* Put a frame made by hand behind the last one of a killed journal of 10 entries. */
static void add_frame(uint8_t *frame)
{
    struct wm_buf b;
    folder_copy(dir, image);
    read_file(image, 1, &b);
    uint64_t at = frame_offset(image, 1, 10);
    at += wm_get_le32(b.data + at + FRAME_LEN);
    at += FRAME_HEADER_BYTES; /* the mark of the orderly end */
    size_t len = wm_frame_seal(frame, wm_get_le32(b.data + SEG_SALT), 10);
    write_at(image, 1, at, frame, len);
    wm_buf_done(&b);
}

static void frames_of_newer_versions_are_skipped_or_refused(void **state)
{
    (void)state;
    struct wm_journal *j = NULL;
    struct wm_journal_recovery rec;
    struct made m;
    uint8_t frame[2048], longer[2048];
    size_t len;
    make_killed();

    wm_frame_encode_mark(frame, 10, (struct wm_wall_ns){0});
    frame[FRAME_KIND] = 200; /* optional */
    add_frame(frame);
    j = must_open(image, &rec);
    assert_int_equal(rec.next_seq, 11);
    put_range(j, 11, 12, 1);
    assert_int_equal(read_all(j, 0), 12);
    wm_journal_close(j);

    frame[FRAME_KIND] = 3; /* something that this build would have to understand */
    add_frame(frame);
    assert_int_equal(try_open(image, SMALL, 0, &j, NULL, NULL), WM_E_UNSUPPORTED);
    frame[FRAME_KIND] = FRAME_MARK;
    frame[FRAME_INCOMPAT] = 1;
    add_frame(frame);
    assert_int_equal(try_open(image, SMALL, 0, &j, NULL, NULL), WM_E_UNSUPPORTED);

    make_entry(&m, 11, -1); /* an entry with 16 bytes more of header and a flag that may be skipped */
    assert_int_equal(wm_frame_size(&m.e, &len, NULL), WM_OK);
    assert_true(len + 16 <= sizeof longer);
    wm_frame_encode(frame, len, &m.e, 11);
    memcpy(longer, frame, FRAME_HEADER_BYTES);
    memset(longer + FRAME_HEADER_BYTES, 0xee, 16);
    memcpy(longer + FRAME_HEADER_BYTES + 16, frame + FRAME_HEADER_BYTES, len - FRAME_HEADER_BYTES);
    wm_put_le32(longer + FRAME_LEN, (uint32_t)len + 16);
    wm_put_le16(longer + FRAME_HEADER_LEN, FRAME_HEADER_BYTES + 16);
    wm_put_le16(longer + FRAME_COMPAT, 0x4000);
    add_frame(longer);
    j = must_open(image, &rec);
    assert_int_equal(rec.next_seq, 12);
    assert_int_equal(read_all(j, 0), 11);
    wm_journal_close(j);

    wm_put_le16(frame + FRAME_NAME_LEN, 200); /* sealed, and yet its lengths cannot be */
    add_frame(frame);
    assert_int_equal(try_open(image, SMALL, 0, &j, NULL, NULL), WM_E_CORRUPT);
}

/* ---- damage and faults, exhaustively ---- */

static void each_flipped_byte_is_reported_or_harmless(void **state)
{
    (void)state;
    for (int closed = 0; closed < 2; closed++) {
        struct wm_journal *j = must_open(dir, NULL);
        settle(j);
        if (!closed) {
            for (uint64_t n = 1; n <= 6; n++)
                put(j, n, 40);
            assert_int_equal(wm_journal_commit(j, 3, NULL), WM_OK);
            for (uint64_t n = 7; n <= 8; n++)
                put(j, n, 40);
            assert_int_equal(wm_journal_commit(j, 8, NULL), WM_OK);
            folder_copy(dir, image);
        }
        wm_journal_close(j);
        if (closed)
            folder_copy(dir, image);
        struct wm_buf b;
        read_file(image, 1, &b);
        uint64_t end = frame_offset(image, 1, 8);
        end += wm_get_le32(b.data + end + FRAME_LEN) + 2 * FRAME_HEADER_BYTES;
        for (uint64_t at = 0; at < end; at += at < SEG_END || at >= SEGMENT_HEADER_BYTES ? 1 : 251) {
            struct wm_journal_recovery rec = {0};
            struct wm_journal_reader *r = NULL;
            struct wm_entry e;
            struct wm_err err = {0};
            char flipped = (char)(b.data[at] ^ (1 << at % 8));
            write_at(image, 1, 0, b.data, (size_t)end);
            write_at(image, 1, at, &flipped, 1);
            j = NULL;
            enum wm_status status = try_open(image, SMALL, 0, &j, &rec, &err);
            if (status != WM_OK) {
                assert_true(status == WM_E_CORRUPT || status == WM_E_UNSUPPORTED);
                assert_true(err.message[0] != '\0');
                continue;
            }
            /* nothing that was known to be durable may be missing, and nothing may be different */
            assert_true(rec.next_seq == 9 || (!closed && rec.next_seq >= 7 && rec.next_seq < 9));
            assert_int_equal(wm_journal_reader_open(j, 0, &r, NULL), WM_OK);
            for (uint64_t n = 1; n < rec.next_seq; n++) {
                assert_int_equal(wm_journal_reader_next(r, &e, NULL), WM_OK);
                check_entry(&e, n, 40);
            }
            assert_int_equal(wm_journal_reader_next(r, &e, NULL), WM_E_END);
            wm_journal_reader_close(r);
            wm_journal_close(j);
        }
        wm_buf_done(&b);
    }
}

static void damage_met_by_a_reader_is_reported(void **state)
{
    (void)state;
    struct wm_journal *j = must_open(dir, NULL);
    struct wm_journal_reader *r = NULL;
    struct wm_entry e;
    struct wm_err err = {0};
    put_range(j, 1, 10, 5);
    flip(dir, 1, frame_offset(dir, 1, 4) + 80); /* the disk lies while we run */
    assert_int_equal(wm_journal_reader_open(j, 0, &r, NULL), WM_OK);
    for (uint64_t n = 1; n <= 3; n++) {
        assert_int_equal(wm_journal_reader_next(r, &e, NULL), WM_OK);
        check_entry(&e, n, -1);
    }
    assert_int_equal(wm_journal_reader_next(r, &e, &err), WM_E_CORRUPT);
    assert_non_null(strstr(err.message, "entry 4"));
    assert_int_equal(wm_journal_reader_next(r, &e, &err), WM_E_CORRUPT);
    wm_journal_reader_close(r);
    wm_journal_close(j);
}

/*
 * One life of a journal: open, append, commit over a border, read, retire, close. Counts what was acknowledged.
 * Each step may fail; then it stops.
 */
static void one_life(const struct wm_io *table, uint64_t *acknowledged)
{
    struct wm_journal_options o = {
        .dir = dir,
        .io = table,
        .clock = &wm_clock_system,
        .segment_bytes = SMALL,
        .max_bytes = 3 * SMALL,
        .ballast_bytes = SMALL / 4,
    };
    struct wm_journal *j = NULL;
    struct wm_journal_reader *r = NULL;
    struct wm_journal_recovery rec;
    struct wm_journal_notice n_paused;
    struct wm_err err = {0};
    struct wm_entry e;
    struct made m;
    if (wm_journal_open(&o, &j, &rec, &err) != WM_OK) {
        assert_true(err.message[0] != '\0');
        assert_true(err.status != WM_E_CORRUPT); /* an operation that fails is not damage */
        return;
    }
    assert_true(rec.next_seq > *acknowledged);
    *acknowledged = rec.next_seq - 1;
    assert_int_equal(wm_journal_set_cursor(j, "f", *acknowledged > 100 ? *acknowledged - 100 : 0), WM_OK);
    assert_int_equal(wm_journal_set_cursor(j, "given up", 0), WM_OK);
    wm_journal_allow_pause(j, "given up");
    bool good = true;
    for (int i = 0; i < 120 && good; i++) {
        uint64_t seq;
        make_entry(&m, *acknowledged + 1, 900);
        if (i % 10 == 0) /* into the room that is kept, when there is no other */
            m.e.flags |= WM_ENTRY_SERVICE;
        wm_journal_await_room(j);
        enum wm_status status = wm_journal_append(j, &m.e, &seq, &err);
        if (status == WM_E_FULL && wm_journal_notice(j, &n_paused)) {
            assert_string_equal(n_paused.follower, "given up");
            wm_journal_noticed(j, &n_paused);
            wm_journal_await_room(j);
            status = wm_journal_append(j, &m.e, &seq, &err);
        }
        if (status == WM_OK) {
            assert_int_equal(seq, *acknowledged + 1);
            status = wm_journal_commit(j, seq, &err);
        }
        good = status == WM_OK;
        if (good)
            *acknowledged = seq;
        else
            assert_true(err.message[0] != '\0');
    }
    if (wm_journal_reader_open(j, *acknowledged - 5, &r, &err) == WM_OK) {
        uint64_t n = *acknowledged - 5;
        enum wm_status status;
        while ((status = wm_journal_reader_next(r, &e, &err)) == WM_OK) {
            e.flags &= (uint16_t)~WM_ENTRY_SERVICE;
            check_entry(&e, ++n, 900);
        }
        if (status == WM_E_END)
            assert_int_equal(n, wm_journal_durable(j));
        wm_journal_reader_close(r);
    }
    wm_journal_close(j);
}

static void each_failing_operation_gives_the_right_answer(void **state)
{
    (void)state;
    static const enum fault_kind kinds[] = {FAULT_EIO, FAULT_ENOSPC, FAULT_SHORT, FAULT_EINTR};
    for (size_t k = 0; k < 4; k++) {
        for (int sticky = 0; sticky < 2; sticky++) {
            if (sticky && (kinds[k] == FAULT_EINTR || kinds[k] == FAULT_SHORT))
                continue; /* for ever interrupted is no fault of a disk */
            unsigned step = 1;
            for (unsigned n = 1;; n += step) {
                struct fault_io f;
                struct wm_journal_recovery rec;
                uint64_t acknowledged = 0;
                folder_remove(dir);
                assert_int_equal(mkdir(dir, 0700), 0);
                io = &wm_io_posix;
                struct wm_journal *j = must_open(dir, NULL);
                for (uint64_t i = 1; i <= 150; i++)
                    put(j, i, 900);
                assert_int_equal(wm_journal_commit(j, 150, NULL), WM_OK);
                settle(j);
                folder_copy(dir, image); /* killed: so that opening has something to mend */
                wm_journal_close(j);
                folder_copy(image, dir);
                acknowledged = 150;

                fault_io_init(&f, &wm_io_posix);
                fault_io_arm(&f, FAULT_ANY, n, kinds[k], sticky != 0);
                one_life(&f.io, &acknowledged);
                fault_io_disarm(&f);
                j = NULL;
                struct wm_err err = {0};
                if (try_open(dir, SMALL, 0, &j, &rec, &err) != WM_OK)
                    fail_msg("%s at operation %u%s: %s", fault_kind_name(kinds[k]), n, sticky ? " on" : "", err.message);
                assert_true(rec.next_seq > acknowledged); /* nothing acknowledged is lost */
                assert_true(rec.next_seq <= acknowledged + 2);
                struct wm_journal_reader *r = NULL;
                struct wm_entry e;
                assert_int_equal(wm_journal_reader_open(j, rec.first_seq - 1, &r, NULL), WM_OK);
                for (uint64_t i = rec.first_seq; i < rec.next_seq; i++) {
                    assert_int_equal(wm_journal_reader_next(r, &e, NULL), WM_OK);
                    e.flags &= (uint16_t)~WM_ENTRY_SERVICE;
                    check_entry(&e, i, 900);
                }
                wm_journal_reader_close(r);
                wm_journal_close(j);
                if (!f.hit)
                    break;
                if (n > 60) /* from there on it is one commit like another */
                    step = 7;
            }
        }
    }
}

/* Large calls of one turn are more than may wait for a commit: they are no reason to refuse any. */
static void large_entries_of_one_turn_are_not_refused(void **state)
{
    (void)state;
    static char text[WM_MAX_RECORD_BYTES];
    struct wm_journal *j = NULL;
    struct wm_journal_stats s;
    uint64_t seq = 0;
    memset(text, ' ', sizeof text);
    text[0] = '{';
    text[sizeof text - 1] = '}';
    const struct wm_entry e = {.record = {text, sizeof text}};
    assert_int_equal(try_open(dir, 24u << 20, 0, &j, NULL, NULL), WM_OK);
    for (uint64_t n = 1; n <= 70; n++) { /* 17.5 MiB */
        wm_journal_await_room(j);
        assert_int_equal(wm_journal_append(j, &e, &seq, NULL), WM_OK);
        assert_int_equal(seq, n);
    }
    wm_journal_stats(j, &s);
    assert_int_equal(s.commits, 2); /* at each half of what may wait, and nothing more often */
    assert_int_equal(wm_journal_commit(j, seq, NULL), WM_OK);
    wm_journal_close(j);
}

/* ---- the wall clock is set ---- */

static atomic_llong set_wall_ns; /* what it shows; the preparer looks, too */

static struct wm_wall_ns set_wall(void *ctx)
{
    (void)ctx;
    return (struct wm_wall_ns){atomic_load(&set_wall_ns)};
}

static struct wm_mono_ns set_mono(void *ctx)
{
    (void)ctx;
    return wm_clock_mono(&wm_clock_system);
}

/* An hour back, two forward, two back …: within a segment, over segments that are reused, and over restarts. Times are kept
 * as they were shown, and decide nothing: neither the order, nor what is retired, nor what recovery keeps. */
static void numbers_do_not_follow_the_clock(void **state)
{
    (void)state;
    static const struct wm_clock clock = {set_wall, set_mono, NULL};
    static const int64_t steps_h[] = {-1, 2, -2, 0};
    static int64_t shown[401];
    const struct wm_journal_options o = {.dir = dir, .io = io, .clock = &clock, .segment_bytes = SMALL};
    struct wm_journal_stats stats = {0};
    uint64_t n = 0;
    atomic_store(&set_wall_ns, 1700000000000000000);
    for (int start = 0; start < 4; start++) {
        struct wm_journal *j = NULL;
        struct wm_journal_recovery rec;
        struct wm_journal_reader *r = NULL;
        struct wm_entry e;
        uint64_t seen = 0;
        assert_int_equal(wm_journal_open(&o, &j, &rec, NULL), WM_OK);
        assert_int_equal(rec.next_seq, n + 1);
        assert_int_equal(rec.cut_bytes, 0);
        assert_int_equal(wm_journal_set_cursor(j, "follower", n), WM_OK);
        for (int i = 0; i < 100; i++) {
            struct made m;
            uint64_t seq;
            if (i % 25 == 0)
                atomic_fetch_add(&set_wall_ns, steps_h[i / 25] * 3600 * WM_NS_PER_S);
            make_entry(&m, ++n, 1000);
            m.e.time = wm_clock_wall(&clock);
            shown[n] = m.e.time.ns;
            wm_journal_await_room(j);
            assert_int_equal(wm_journal_append(j, &m.e, &seq, NULL), WM_OK);
            assert_int_equal(seq, n);
            assert_int_equal(wm_journal_commit(j, n, NULL), WM_OK);
        }
        wm_journal_stats(j, &stats);
        assert_int_equal(wm_journal_reader_open(j, stats.first_seq - 1, &r, NULL), WM_OK);
        for (seen = stats.first_seq; wm_journal_reader_next(r, &e, NULL) == WM_OK; seen++) {
            assert_int_equal(e.seq, seen);
            assert_int_equal(e.time.ns, shown[seen]);
        }
        assert_int_equal(seen, n + 1);
        wm_journal_reader_close(r);
        wm_journal_close(j);
    }
    assert_true(stats.first_seq > 1); /* some were reused, so headers were written with an earlier time than before */
}

int main(void)
{
    wm_log_set_level(WM_LOG_ERROR);
#define TEST(f) cmocka_unit_test_setup_teardown(f, make_folders, remove_folders)
    const struct CMUnitTest tests[] = {
        TEST(entries_come_back_as_they_were),
        TEST(reader_sees_only_what_is_durable),
        TEST(close_drops_what_was_not_committed),
        TEST(commit_is_one_write_and_one_sync),
        TEST(too_large_parts_are_refused),
        TEST(largest_entry_fits),
        TEST(options_are_checked),
        TEST(second_opener_is_refused),
        TEST(entries_go_on_over_segments),
        TEST(large_entries_of_one_turn_are_not_refused),
        TEST(numbers_do_not_follow_the_clock),
        TEST(passed_segments_are_retired_and_reused),
        TEST(nothing_is_retired_too_early),
        TEST(a_reader_left_behind_is_told_so),
        TEST(full_journal_goes_on_without_those_that_may_be_paused),
        TEST(newest_durable_entry_is_kept),
        TEST(full_journal_refuses_before_any_effect),
        TEST(the_end_of_a_segment_is_kept_for_the_service),
        TEST(slow_segment_is_waited_for_before_the_append),
        TEST(full_disk_refuses_and_goes_on_when_space_returns),
        TEST(ballast_is_given_up_when_the_disk_is_full),
        TEST(a_commit_of_another_is_waited_for),
        TEST(failed_sync_is_final_and_a_restart_recovers),
        TEST(recovery_writes_the_last_batch_again),
        TEST(threads_share_commits),
        TEST(torn_tail_is_cut),
        TEST(cut_entries_do_not_come_back),
        TEST(batch_over_two_segments_is_cut_or_reported),
        TEST(recovered_entries_are_never_torn_again),
        TEST(damage_before_the_tail_is_reported),
        TEST(missing_swapped_and_foreign_segments_are_reported),
        TEST(leftovers_of_a_kill_are_settled),
        TEST(segment_size_may_change_between_runs),
        TEST(newer_versions_are_refused_or_skipped_as_their_flags_say),
        TEST(frames_of_newer_versions_are_skipped_or_refused),
        TEST(each_flipped_byte_is_reported_or_harmless),
        TEST(damage_met_by_a_reader_is_reported),
        TEST(each_failing_operation_gives_the_right_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
