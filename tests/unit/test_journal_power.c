/* What tests/crash/power_cut.c has found, step by step: recovery, failed syncs and power cuts on top of each other. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "recorder/journal_int.h"
#include "tests/support/sim_disk.h"
#include "waymark/journal_inspect.h"
#include "waymark/log.h"

#define SMALL (64u * 1024u)
#define CUTS 40u /* states made from each cut */
#define SEGMENT "/j/0000000001.journal"

static enum wm_status try_open(struct sim_disk *d, struct wm_journal **out, struct wm_journal_recovery *rec)
{
    struct wm_journal_options o = {
        .dir = "/j",
        .io = sim_disk_io(d),
        .clock = &wm_clock_system,
        .segment_bytes = SMALL,
    };
    *out = NULL;
    return wm_journal_open(&o, out, rec, NULL);
}

static struct wm_journal *must_open(struct sim_disk *d, uint64_t next_seq)
{
    struct wm_journal *j;
    struct wm_journal_recovery rec;
    assert_int_equal(try_open(d, &j, &rec), WM_OK);
    assert_int_equal(rec.next_seq, next_seq);
    return j;
}

/* All of one size, but shorter by a mark's bytes in the second life: behind the mark that recovery writes, an entry of
 * that life ends where the next one of the first life began. */
static void make_record(char out[600], uint64_t n, unsigned life)
{
    size_t total = 592 - (life > 1 ? FRAME_HEADER_BYTES : 0);
    int len = snprintf(out, 600, "{\"n\":%06llu,\"life\":%06u,\"pad\":\"", (unsigned long long)n, life);
    memset(out + len, 'x', total - 2 - (size_t)len);
    memcpy(out + total - 2, "\"}", 3);
}

static void put(struct wm_journal *j, uint64_t from, uint64_t to, unsigned life)
{
    char record[600];
    uint64_t seq = 0;
    for (uint64_t n = from; n <= to; n++) {
        make_record(record, n, life);
        const struct wm_entry e = {.event_name = WM_LIT("Put"), .record = wm_view_of(record)};
        wm_journal_await_room(j);
        assert_int_equal(wm_journal_append(j, &e, &seq, NULL), WM_OK);
        assert_int_equal(seq, n);
    }
    assert_int_equal(wm_journal_commit(j, seq, NULL), WM_OK);
}

/* The entries `from` to `to` are there, as put in this life. */
static void check(struct wm_journal *j, uint64_t from, uint64_t to, unsigned life)
{
    struct wm_journal_reader *r = NULL;
    struct wm_entry e;
    char record[600];
    assert_int_equal(wm_journal_reader_open(j, from - 1, &r, NULL), WM_OK);
    for (uint64_t n = from; n <= to; n++) {
        assert_int_equal(wm_journal_reader_next(r, &e, NULL), WM_OK);
        make_record(record, n, life);
        assert_int_equal(e.seq, n);
        assert_true(wm_view_eq_str(e.record, record));
    }
    wm_journal_reader_close(r);
}

static void settle(struct wm_journal *j)
{
    for (bool ready = false; !ready;) {
        wm_mutex_lock(&j->mu);
        ready = j->next != NULL;
        wm_mutex_unlock(&j->mu);
    }
}

/* Nothing that follows has any effect. */
static void kill_now(struct sim_disk *d)
{
    const struct wm_io *io = sim_disk_io(d);
    sim_disk_die_at(d, 1);
    assert_int_equal(io->sync_dir(io->ctx, "/"), -EIO);
}

/* Two batches of five, acknowledged, then killed. */
static struct sim_disk *make_killed(void)
{
    struct sim_disk *d = sim_disk_new(1);
    struct wm_journal *j = must_open(d, 1);
    settle(j); /* so that no header claims what is written now */
    put(j, 1, 5, 1);
    put(j, 6, 10, 1);
    kill_now(d);
    wm_journal_close(j);
    sim_disk_restart(d);
    return d;
}

static uint64_t frame_of(struct sim_disk *d, uint64_t seq)
{
    const struct wm_io *io = sim_disk_io(d);
    int fd = io->open(io->ctx, SEGMENT, O_RDONLY, 0);
    uint64_t at = SEGMENT_HEADER_BYTES;
    for (uint8_t h[FRAME_HEADER_BYTES];; at += wm_get_le32(h + FRAME_LEN)) {
        assert_int_equal(io->pread(io->ctx, fd, h, sizeof h, at), sizeof h);
        assert_true(wm_get_le32(h + FRAME_LEN) != 0);
        if (h[FRAME_KIND] == FRAME_ENTRY && wm_get_le64(h + FRAME_SEQ) == seq)
            break;
    }
    io->close(io->ctx, fd);
    return at;
}

static void overwrite(struct sim_disk *d, uint64_t at, size_t len)
{
    static uint8_t junk[8192];
    const struct wm_io *io = sim_disk_io(d);
    int fd = io->open(io->ctx, SEGMENT, O_RDWR, 0);
    memset(junk, 0xa5, sizeof junk);
    assert_int_equal(io->pwrite(io->ctx, fd, junk, len, at), len);
    assert_int_equal(io->fsync(io->ctx, fd), 0);
    io->close(io->ctx, fd);
}

/* Recovery writes the last batch once more. It was acknowledged: a cut in the middle of that must not destroy it. */
static void a_cut_while_the_last_batch_is_mended_loses_nothing(void **state)
{
    (void)state;
    struct sim_disk *killed = make_killed();
    bool opened = false;
    for (unsigned n = 1; !opened; n++) {
        struct sim_disk *d = sim_disk_clone(killed, n);
        struct wm_journal *j;
        sim_disk_die_at(d, n);
        opened = try_open(d, &j, NULL) == WM_OK;
        wm_journal_close(j);
        for (unsigned i = 0; i < CUTS; i++) {
            struct sim_disk *cut = sim_disk_clone(d, n * CUTS + i);
            sim_disk_power_cut(cut);
            struct wm_journal_summary sum;
            const struct wm_journal_inspection look = {.dir = "/j", .io = sim_disk_io(cut)};
            assert_int_equal(wm_journal_inspect(&look, &sum, NULL), WM_OK);
            assert_int_equal(sum.damages, 0);
            assert_int_equal(sum.last_seq, 10); /* seen also from outside, where nothing has mended it */
            j = must_open(cut, 11);
            check(j, 1, 10, 1);
            put(j, 11, 12, 2);
            wm_journal_close(j);
            j = must_open(cut, 13);
            check(j, 11, 12, 2);
            wm_journal_close(j);
            sim_disk_free(cut);
        }
        sim_disk_free(d);
    }
    sim_disk_free(killed);
}

/* Only the copy of this segment, in this use of its file, may be seen in its place. */
static void a_copy_left_behind_does_no_harm(void **state)
{
    (void)state;
    struct sim_disk *d = make_killed(), *left;
    const struct wm_io *io = sim_disk_io(d);
    struct wm_journal *j;
    struct wm_buf copy;
    wm_buf_init(&copy, 1u << 20);
    for (unsigned n = 1;; n++) { /* die with the copy there and nothing else done */
        left = sim_disk_clone(d, n);
        sim_disk_die_at(left, n);
        bool opened = try_open(left, &j, NULL) == WM_OK;
        wm_journal_close(j);
        sim_disk_restart(left);
        assert_false(opened);
        if (wm_io_read_file(sim_disk_io(left), "/j/tail", &copy, NULL) == WM_OK)
            break;
        sim_disk_free(left);
    }
    sim_disk_free(left);

    /* it comes back later, when the journal has gone on */
    j = must_open(d, 11);
    put(j, 11, 20, 2);
    wm_journal_close(j);
    sim_disk_put(d, "/j/tail", copy.data, copy.len);
    j = must_open(d, 21);
    check(j, 1, 10, 1);
    check(j, 11, 20, 2);
    wm_journal_close(j);
    assert_int_equal(io->open(io->ctx, "/j/tail", O_RDONLY, 0), -ENOENT);

    /* it is not whole, or of a newer version: as if it were not there */
    for (size_t i = 0; i < 3; i++) {
        struct wm_buf bad;
        wm_buf_init(&bad, 1u << 20);
        wm_buf_add(&bad, copy.data, i == 0 ? copy.len - 1 : i == 1 ? 10 : copy.len);
        if (i == 2)
            bad.data[TAIL_HEADER_BYTES + 100] ^= 1;
        sim_disk_put(d, "/j/tail", bad.data, bad.len);
        j = must_open(d, 21);
        check(j, 1, 10, 1);
        wm_journal_close(j);
        wm_buf_done(&bad);
    }

    /* of another journal: its salt is another */
    struct sim_disk *other = make_killed();
    sim_disk_put(other, "/j/tail", copy.data, copy.len);
    j = must_open(other, 11);
    check(j, 1, 10, 1);
    wm_journal_close(j);
    sim_disk_free(other);
    wm_buf_done(&copy);
    sim_disk_free(d);
}

/* The sync of the closing mark fails; it is read back, but is not on the disk. */
static void a_mark_that_was_not_synced_is_not_relied_on(void **state)
{
    (void)state;
    for (unsigned i = 0; i < CUTS; i++) {
        struct sim_disk *first = sim_disk_new(i), *d;
        struct wm_journal *j = must_open(first, 1);
        put(j, 1, 5, 1);
        settle(j);
        sim_disk_fail_sync_at(first, 1);
        wm_journal_close(j);
        assert_true(sim_disk_sync_failed(first));
        sim_disk_restart(first);
        j = must_open(first, 6);
        put(j, 6, 8, 2);
        put(j, 9, 9, 2);
        settle(j);
        kill_now(first);
        wm_journal_close(j);
        d = sim_disk_clone(first, i);
        sim_disk_power_cut(d);
        j = must_open(d, 10);
        check(j, 1, 5, 1);
        check(j, 6, 9, 2);
        wm_journal_close(j);
        sim_disk_free(d);
        sim_disk_free(first);
    }
}

/* Entry 6 is torn, 7 to 10 behind it are whole and are cut. That any sync of this fails must not bring them back. */
static void what_was_cut_stays_cut_whatever_sync_fails(void **state)
{
    (void)state;
    struct sim_disk *killed = make_killed();
    overwrite(killed, frame_of(killed, 6) + 100, 50);
    unsigned failures = 0;
    for (unsigned n = 1; n < 60; n++) { /* beyond the last sync of opening */
        for (unsigned variant = 0; variant < 8; variant++) { /* of what the failed sync wrote all the same */
            struct sim_disk *d = sim_disk_clone(killed, n * 8 + variant);
            struct wm_journal *j;
            sim_disk_fail_sync_at(d, n);
            enum wm_status status = try_open(d, &j, NULL);
            wm_journal_close(j);
            assert_true(status == WM_OK || sim_disk_sync_failed(d));
            failures += status != WM_OK;
            sim_disk_restart(d);
            j = must_open(d, 6);
            put(j, 6, 6, 2); /* ends where the old entry 7 begins */
            settle(j);
            kill_now(d);
            wm_journal_close(j);
            for (unsigned i = 0; i < 8; i++) {
                struct sim_disk *cut = sim_disk_clone(d, (n * 8 + variant) * 8 + i);
                sim_disk_power_cut(cut);
                j = must_open(cut, 7);
                check(j, 1, 5, 1);
                check(j, 6, 6, 2);
                wm_journal_close(j);
                sim_disk_free(cut);
            }
            sim_disk_free(d);
        }
    }
    assert_true(failures >= 16);
    sim_disk_free(killed);
}

int main(void)
{
    wm_log_set_level(WM_LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cut_while_the_last_batch_is_mended_loses_nothing),
        cmocka_unit_test(a_copy_left_behind_does_no_harm),
        cmocka_unit_test(a_mark_that_was_not_synced_is_not_relied_on),
        cmocka_unit_test(what_was_cut_stays_cut_whatever_sync_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
