/* Looking at a journal from outside, and `waymark journal` on top of it: what is good, what is damage, where. */
#include <errno.h>
#include <getopt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "recorder/journal_int.h"
#include "server/cli/cmd.h"
#include "tests/support/fault_io.h"
#include "tests/support/folder.h"
#include "waymark/hash.h"
#include "waymark/journal_inspect.h"
#include "waymark/log.h"

#define SMALL (64u * 1024u)
#define ENTRIES 200u /* of the long journal: over 4 segments */
#define BATCH 5u

static char dir[FOLDER_BYTES], image[FOLDER_BYTES + 8], other[FOLDER_BYTES + 8];

static int make_folders(void **state)
{
    (void)state;
    folder_make(dir);
    snprintf(image, sizeof image, "%s.image", dir);
    snprintf(other, sizeof other, "%s.other", dir);
    return 0;
}

static int remove_folders(void **state)
{
    (void)state;
    folder_remove(dir);
    folder_remove(image);
    folder_remove(other);
    return 0;
}

/* ---- a journal ---- */

struct made {
    struct wm_entry e;
    struct wm_change changes[2];
    char record[2048];
    char document[64];
};

static void make_entry(struct made *m, uint64_t n)
{
    int len = snprintf(m->record, sizeof m->record, "{\"n\":%llu,\"pad\":\"", (unsigned long long)n);
    for (unsigned i = 0; i < 1000 + n % 100; i++)
        m->record[len++] = (char)('a' + (n + i) % 26);
    len += snprintf(m->record + len, sizeof m->record - (size_t)len, "\"}");
    snprintf(m->document, sizeof m->document, "{\"by\":%llu}", (unsigned long long)n);
    m->changes[0] = (struct wm_change){WM_LIT("test.one"), WM_LIT("a"), wm_view_of(m->document)};
    m->changes[1] = (struct wm_change){WM_LIT("test.two"), WM_LIT("b"), WM_EMPTY};
    m->e = (struct wm_entry){
        .time = {1772359632123456789},
        .flags = (uint16_t)(n % 4),
        .event_source = WM_LIT("test.amazonaws.com"),
        .event_name = WM_LIT("CreateThing"),
        .principal = WM_LIT("arn:aws:iam::111122223333:root"),
        .record = {m->record, (size_t)len},
        .changes = m->changes,
        .n_changes = n % 3,
    };
}

static enum wm_status try_open(const char *where, struct wm_journal **out, struct wm_journal_recovery *rec)
{
    struct wm_journal_options o = {
        .dir = where,
        .io = &wm_io_posix,
        .clock = &wm_clock_system,
        .segment_bytes = SMALL,
    };
    return wm_journal_open(&o, out, rec, NULL);
}

static struct wm_journal *must_open(const char *where)
{
    struct wm_journal *j = NULL;
    assert_int_equal(try_open(where, &j, NULL), WM_OK);
    return j;
}

static void put_range(struct wm_journal *j, uint64_t from, uint64_t to)
{
    for (uint64_t n = from; n <= to; n++) {
        struct made m;
        uint64_t seq;
        make_entry(&m, n);
        wm_journal_await_room(j);
        assert_int_equal(wm_journal_append(j, &m.e, &seq, NULL), WM_OK);
        assert_int_equal(seq, n);
        if (n % BATCH == 0 || n == to)
            assert_int_equal(wm_journal_commit(j, n, NULL), WM_OK);
    }
}

/* Until the next segment is ready: then nothing but the test moves files. */
static void settle(struct wm_journal *j)
{
    for (bool ready = false; !ready; usleep(1000)) {
        wm_mutex_lock(&j->mu);
        ready = j->next != NULL;
        wm_mutex_unlock(&j->mu);
    }
}

/* Entries 1 to n in `image`, as a kill would leave them. */
static void make_killed(uint64_t n)
{
    folder_remove(dir);
    struct wm_journal *j = must_open(dir);
    put_range(j, 1, n);
    settle(j);
    folder_copy(dir, image);
    wm_journal_close(j);
}

static void segment_path(char out[1024], const char *where, uint64_t ordinal)
{
    snprintf(out, 1024, "%s/%010llu.journal", where, (unsigned long long)ordinal);
}

static void read_segment(const char *where, uint64_t ordinal, struct wm_buf *b)
{
    char path[1024];
    segment_path(path, where, ordinal);
    wm_buf_init(b, 1u << 30);
    assert_int_equal(wm_io_read_file(&wm_io_posix, path, b, NULL), WM_OK);
}

static void write_segment(const char *where, uint64_t ordinal, const struct wm_buf *b)
{
    char path[1024];
    segment_path(path, where, ordinal);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, b->data, b->len), b->len);
    close(fd);
}

static void flip(const char *where, uint64_t ordinal, uint64_t at)
{
    struct wm_buf b;
    read_segment(where, ordinal, &b);
    b.data[at] ^= 0x20;
    write_segment(where, ordinal, &b);
    wm_buf_done(&b);
}

/* Where the frame of an entry stands; 0 when it is not in this segment. */
static uint64_t find_frame(const char *where, uint64_t ordinal, uint64_t seq)
{
    struct wm_buf b;
    uint64_t at = SEGMENT_HEADER_BYTES, found = 0;
    read_segment(where, ordinal, &b);
    while (!found && at + FRAME_HEADER_BYTES <= b.len && wm_get_le32(b.data + at + FRAME_LEN) != 0) {
        if (wm_get_le64(b.data + at + FRAME_SEQ) == seq && b.data[at + FRAME_KIND] == FRAME_ENTRY)
            found = at;
        at += wm_get_le32(b.data + at + FRAME_LEN);
    }
    wm_buf_done(&b);
    return found;
}

static uint64_t first_in(const char *where, uint64_t ordinal)
{
    struct wm_buf b;
    read_segment(where, ordinal, &b);
    uint64_t seq = wm_get_le64(b.data + SEGMENT_HEADER_BYTES + FRAME_SEQ);
    wm_buf_done(&b);
    return seq;
}

/* ---- what an inspection told ---- */

struct seen {
    struct wm_journal_summary sum;
    uint64_t entries, last, jumps; /* jumps: numbers that did not follow the one before */
    uint64_t stop_at;              /* 0: never */
    size_t segments;
    struct wm_journal_segment segment[16];
    size_t findings;
    struct {
        bool damage;
        char name[32];
        uint64_t offset, seq;
        char what[160];
    } finding[16];
    struct wm_err err;
};

static void on_segment(void *arg, const struct wm_journal_segment *s)
{
    struct seen *seen = arg;
    if (seen->segments < 16)
        seen->segment[seen->segments] = *s;
    seen->segments++;
}

static bool on_entry(void *arg, const struct wm_entry *e)
{
    struct seen *seen = arg;
    struct made m;
    make_entry(&m, e->seq);
    assert_int_equal(e->time.ns, m.e.time.ns);
    assert_int_equal(e->flags, m.e.flags);
    assert_true(wm_view_eq(e->record, m.e.record));
    assert_int_equal(e->n_changes, m.e.n_changes);
    assert_true(e->seq > seen->last);
    seen->jumps += seen->last != 0 && e->seq != seen->last + 1;
    seen->last = e->seq;
    seen->entries++;
    return e->seq != seen->stop_at;
}

static void on_finding(void *arg, const struct wm_journal_finding *f)
{
    struct seen *seen = arg;
    assert_non_null(f->what);
    if (seen->findings < 16) {
        size_t i = seen->findings;
        seen->finding[i].damage = f->damage;
        seen->finding[i].offset = f->offset;
        seen->finding[i].seq = f->seq;
        snprintf(seen->finding[i].name, sizeof seen->finding[i].name, "%s", f->name);
        snprintf(seen->finding[i].what, sizeof seen->finding[i].what, "%s", f->what);
    }
    seen->findings++;
}

static enum wm_status inspect_with(const struct wm_io *table, const char *where, struct seen *seen)
{
    const struct wm_journal_inspection o = {
        .dir = where,
        .io = table,
        .arg = seen,
        .segment = on_segment,
        .entry = on_entry,
        .finding = on_finding,
    };
    return wm_journal_inspect(&o, &seen->sum, &seen->err);
}

static void inspect(const char *where, struct seen *seen)
{
    *seen = (struct seen){0};
    if (inspect_with(&wm_io_posix, where, seen) != WM_OK)
        fail_msg("%s", seen->err.message);
    assert_int_equal(seen->sum.damages + seen->sum.notes, seen->findings);
    assert_int_equal(seen->sum.entries, seen->entries);
}

static void check_finding(const struct seen *seen, size_t i, bool damage, uint64_t ordinal, uint64_t offset, uint64_t seq,
                          const char *what)
{
    char name[32];
    snprintf(name, sizeof name, "%010llu.journal", (unsigned long long)ordinal);
    assert_true(i < seen->findings);
    assert_int_equal(seen->finding[i].damage, damage);
    assert_string_equal(seen->finding[i].name, name);
    assert_int_equal(seen->finding[i].offset, offset);
    assert_int_equal(seen->finding[i].seq, seq);
    if (!strstr(seen->finding[i].what, what))
        fail_msg("'%s' is not in '%s'", what, seen->finding[i].what);
}

/* Opening the same bytes must come to the same end. */
static enum wm_status opens_as(const char *where)
{
    struct wm_journal *j = NULL;
    struct wm_journal_recovery rec;
    folder_copy(where, other);
    enum wm_status status = try_open(other, &j, &rec);
    wm_journal_close(j);
    return status;
}

/* ---- the ordinary ---- */

static void a_good_journal_is_told_as_it_is(void **state)
{
    (void)state;
    struct seen seen;
    make_killed(ENTRIES);
    inspect(image, &seen);
    assert_int_equal(seen.findings, 0);
    assert_int_equal(seen.entries, ENTRIES);
    assert_int_equal(seen.sum.first_seq, 1);
    assert_int_equal(seen.sum.last_seq, ENTRIES);
    assert_int_equal(seen.jumps, 0);
    assert_int_equal(seen.segments, seen.sum.segments);
    assert_true(seen.segments >= 4);
    assert_int_equal(seen.sum.bytes, seen.segments * SMALL);
    uint64_t next = 1;
    for (size_t i = 0; i + 1 < seen.segments; i++) {
        const struct wm_journal_segment *s = &seen.segment[i];
        assert_true(s->readable);
        assert_int_equal(s->ordinal, i + 1);
        assert_int_equal(s->file_bytes, SMALL);
        assert_memory_equal(s->id, seen.sum.id, sizeof s->id);
        assert_int_equal(s->first_seq, next);
        assert_int_equal(s->first_seq, first_in(image, i + 1));
        assert_int_equal(s->entries, s->last_seq - s->first_seq + 1);
        next = s->last_seq + 1;
    }
    assert_int_equal(next, ENTRIES + 1);
    assert_int_equal(seen.segment[seen.segments - 1].entries, 0); /* the one prepared ahead */
    assert_int_equal(seen.segment[seen.segments - 1].used_bytes, SEGMENT_HEADER_BYTES);

    inspect(dir, &seen); /* closed in order */
    assert_int_equal(seen.findings, 0);
    assert_int_equal(seen.sum.last_seq, ENTRIES);
    seen = (struct seen){.stop_at = 70};
    assert_int_equal(inspect_with(&wm_io_posix, dir, &seen), WM_OK);
    assert_int_equal(seen.entries, 70);
}

static void nothing_is_written_and_no_lock_taken(void **state)
{
    (void)state;
    struct fault_io f;
    struct seen seen = {0};
    struct wm_journal *j = must_open(dir);
    put_range(j, 1, 100);
    settle(j);
    fault_io_init(&f, &wm_io_posix);
    fault_io_arm(&f, FAULT_WRITES, 1, FAULT_EIO, true); /* anything but reading would be seen */
    assert_int_equal(inspect_with(&f.io, dir, &seen), WM_OK);
    assert_false(f.hit);
    assert_int_equal(seen.entries, 100);
    put_range(j, 101, 110); /* the journal that is open does not mind */
    wm_journal_close(j);
}

static void retired_segments_are_not_missed(void **state)
{
    (void)state;
    struct seen seen;
    struct wm_journal *j = must_open(dir);
    struct wm_journal_stats stats;
    put_range(j, 1, ENTRIES);
    assert_int_equal(wm_journal_set_cursor(j, "f", 150), WM_OK);
    do {
        usleep(1000);
        wm_journal_stats(j, &stats);
    } while (stats.first_seq < 100);
    wm_journal_close(j);
    inspect(dir, &seen);
    assert_int_equal(seen.findings, 0);
    assert_int_equal(seen.sum.first_seq, stats.first_seq);
    assert_int_equal(seen.sum.last_seq, ENTRIES);
    assert_true(seen.segment[0].ordinal > 1);
}

/* ---- damage ---- */

static void a_torn_tail_is_a_note(void **state)
{
    (void)state;
    struct seen seen;
    struct wm_buf b;
    make_killed(62); /* the last batch is 61 and 62 */
    uint64_t at = find_frame(image, 2, 62);
    assert_true(at != 0);
    read_segment(image, 2, &b);
    memset(b.data + at + 512, 0, 512);
    write_segment(image, 2, &b);
    wm_buf_done(&b);
    inspect(image, &seen);
    assert_int_equal(seen.entries, 61);
    assert_int_equal(seen.findings, 1);
    check_finding(&seen, 0, false, 2, at, 62, "torn tail");
    assert_int_equal(opens_as(image), WM_OK);

    /* the first of the batch: what stands behind it is whole and does not count either */
    make_killed(62);
    flip(image, 2, find_frame(image, 2, 61) + 100);
    inspect(image, &seen);
    assert_int_equal(seen.entries, 60);
    assert_int_equal(seen.findings, 1);
    check_finding(&seen, 0, false, 2, find_frame(image, 2, 61), 61, "torn tail");
    assert_int_equal(opens_as(image), WM_OK);
}

static void a_flipped_byte_is_found_and_the_rest_read(void **state)
{
    (void)state;
    struct seen seen;
    make_killed(ENTRIES);
    uint64_t at = find_frame(image, 1, 20), header = 2;
    flip(image, 1, at + 200);
    inspect(image, &seen);
    assert_int_equal(seen.findings, 1);
    check_finding(&seen, 0, true, 1, at, 20, "the entry is damaged or missing");
    assert_int_equal(seen.entries, ENTRIES - 1);
    assert_int_equal(seen.jumps, 1);
    assert_int_equal(opens_as(image), WM_E_CORRUPT);

    flip(image, 1, find_frame(image, 1, 24) + 200); /* a second place, and a third in another segment */
    uint64_t third = first_in(image, 3);
    flip(image, 3, SEGMENT_HEADER_BYTES + 77);
    inspect(image, &seen);
    assert_int_equal(seen.findings, 3);
    check_finding(&seen, 1, true, 1, find_frame(dir, 1, 24), 24, "the entry");
    assert_int_equal(seen.finding[2].seq, third);
    assert_true(seen.finding[2].damage);
    assert_int_equal(seen.entries, ENTRIES - 3);

    /* a header: its frames can still be read, since each repeats the salt */
    folder_copy(dir, image);
    flip(image, header, 33);
    inspect(image, &seen);
    assert_int_equal(seen.findings, 1);
    check_finding(&seen, 0, true, header, 0, first_in(image, header), "header is damaged");
    assert_false(seen.segment[1].readable);
    assert_int_equal(seen.entries, ENTRIES);
    assert_int_equal(opens_as(image), WM_E_CORRUPT);
}

static void a_truncated_segment_is_found(void **state)
{
    (void)state;
    struct seen seen;
    char path[1024];
    make_killed(ENTRIES);
    uint64_t first = first_in(image, 2), after = first_in(image, 3), cut = find_frame(image, 2, first + 10) + 300;
    segment_path(path, image, 2);
    assert_int_equal(truncate(path, (off_t)cut), 0);
    inspect(image, &seen);
    assert_int_equal(seen.findings, 2);
    check_finding(&seen, 0, true, 2, 0, first, "size");
    check_finding(&seen, 1, true, 2, find_frame(dir, 2, first + 10), first + 10, "are damaged or missing");
    assert_int_equal(seen.entries, ENTRIES - (after - first - 10));
    assert_int_equal(opens_as(image), WM_E_CORRUPT);

    for (uint64_t bytes = 0; bytes <= SEGMENT_HEADER_BYTES; bytes += 512) { /* into the header, to nothing */
        assert_int_equal(truncate(path, (off_t)(SEGMENT_HEADER_BYTES - bytes)), 0);
        inspect(image, &seen);
        assert_true(seen.sum.damages >= 1);
        assert_int_equal(seen.finding[0].seq, first);
        assert_int_equal(seen.entries, ENTRIES - (after - first));
    }
}

static void a_missing_segment_is_found(void **state)
{
    (void)state;
    struct seen seen;
    char path[1024];
    make_killed(ENTRIES);
    uint64_t first = first_in(image, 2), after = first_in(image, 3);
    segment_path(path, image, 2);
    assert_int_equal(unlink(path), 0);
    inspect(image, &seen);
    assert_int_equal(seen.findings, 2);
    check_finding(&seen, 0, true, 3, 0, first, "segments 2 to 2");
    assert_int_equal(seen.finding[1].seq, first);
    char text[64];
    snprintf(text, sizeof text, "entries up to %llu", (unsigned long long)(after - 1));
    assert_non_null(strstr(seen.finding[1].what, text));
    assert_int_equal(seen.entries, ENTRIES - (after - first));
    assert_int_equal(opens_as(image), WM_E_CORRUPT);

    /* the newest with entries: the one prepared behind it knows better */
    make_killed(ENTRIES);
    inspect(image, &seen);
    segment_path(path, image, seen.segments - 1);
    assert_int_equal(unlink(path), 0);
    inspect(image, &seen);
    assert_true(seen.sum.damages >= 1);
    assert_int_equal(opens_as(image), WM_E_CORRUPT);
}

static void swapped_segments_are_found(void **state)
{
    (void)state;
    struct seen seen;
    struct wm_buf two, three;
    make_killed(ENTRIES);
    uint64_t first = first_in(image, 2), after = first_in(image, 4);
    read_segment(image, 2, &two);
    read_segment(image, 3, &three);
    write_segment(image, 2, &three);
    write_segment(image, 3, &two);
    inspect(image, &seen);
    assert_int_equal(seen.findings, 3);
    check_finding(&seen, 0, true, 2, 0, first, "another segment under this name");
    check_finding(&seen, 1, true, 3, 0, first, "another segment under this name");
    assert_int_equal(seen.finding[2].seq, first);
    assert_int_equal(seen.entries, ENTRIES - (after - first));
    assert_int_equal(opens_as(image), WM_E_CORRUPT);
    wm_buf_done(&two);
    wm_buf_done(&three);
}

static void stale_and_foreign_segments_are_found(void **state)
{
    (void)state;
    struct seen seen;
    struct wm_buf stale, foreign;
    struct wm_journal *j = must_open(dir);
    put_range(j, 1, 60);
    settle(j);
    read_segment(dir, 2, &stale); /* half full: as from an old backup */
    uint64_t first = first_in(dir, 2);
    put_range(j, 61, ENTRIES);
    settle(j);
    folder_copy(dir, image);
    wm_journal_close(j);
    uint64_t after = first_in(image, 3);
    write_segment(image, 2, &stale);
    inspect(image, &seen);
    assert_int_equal(seen.findings, 1);
    assert_true(seen.finding[0].damage);
    assert_int_equal(seen.finding[0].seq, 61);
    assert_string_equal(seen.finding[0].name, "0000000002.journal");
    assert_int_equal(seen.entries, 60 + ENTRIES - after + 1);
    assert_int_equal(opens_as(image), WM_E_CORRUPT);
    wm_buf_done(&stale);

    folder_copy(dir, image);
    folder_remove(dir);
    assert_int_equal(mkdir(dir, 0700), 0);
    j = must_open(dir);
    put_range(j, 1, ENTRIES);
    wm_journal_close(j);
    read_segment(dir, 2, &foreign);
    write_segment(image, 2, &foreign);
    inspect(image, &seen);
    assert_int_equal(seen.findings, 2);
    check_finding(&seen, 0, true, 2, 0, first, "another journal");
    assert_int_equal(seen.finding[1].seq, first);
    assert_int_equal(seen.entries, ENTRIES - (after - first));
    assert_int_equal(opens_as(image), WM_E_CORRUPT);
    wm_buf_done(&foreign);

    /* in the place of the oldest, too, the odd one out is named */
    read_segment(dir, 1, &foreign);
    write_segment(image, 1, &foreign);
    inspect(image, &seen);
    assert_string_equal(seen.finding[0].name, "0000000001.journal");
    assert_non_null(strstr(seen.finding[0].what, "another journal"));
    wm_buf_done(&foreign);
}

/* The two readers of the format must agree on every byte: what opening refuses is damage here, and nothing else is. */
static void it_agrees_with_recovery_on_each_flipped_byte(void **state)
{
    (void)state;
    unsigned damaged = 0, good = 0;
    for (int closed = 0; closed < 2; closed++) {
        make_killed(63);
        if (closed)
            folder_copy(dir, image);
        for (uint64_t ordinal = 1; ordinal <= 3; ordinal++) {
            struct wm_buf b;
            read_segment(image, ordinal, &b);
            uint64_t tail = ordinal == 2 ? find_frame(image, 2, 60) : 0; /* where it is decided, each byte counts */
            for (uint64_t at = 0; at < SMALL; at += at < SEG_END || (tail && at >= tail && at < tail + 5000) ? 13 : 1199) {
                struct seen seen = {0};
                b.data[at] ^= (char)(1 << at % 8);
                write_segment(image, ordinal, &b);
                enum wm_status status = inspect_with(&wm_io_posix, image, &seen), opened = opens_as(image);
                bool is_damaged = status == WM_OK && seen.sum.damages > 0;
                if (status != WM_OK ? opened != status : is_damaged != (opened == WM_E_CORRUPT))
                    fail_msg("byte %llu of segment %llu: %s with %llu findings, opens as %s", (unsigned long long)at,
                             (unsigned long long)ordinal, wm_status_name(status), (unsigned long long)seen.sum.damages,
                             wm_status_name(opened));
                damaged += is_damaged;
                good += !is_damaged;
                b.data[at] ^= (char)(1 << at % 8);
            }
            write_segment(image, ordinal, &b);
            wm_buf_done(&b);
        }
    }
    assert_true(damaged > 100 && good > 100);
}

/* ---- what cannot be looked at ---- */

static void what_cannot_be_read_is_an_error(void **state)
{
    (void)state;
    struct seen seen = {0};
    assert_int_equal(inspect_with(&wm_io_posix, dir, &seen), WM_E_NOT_FOUND); /* an empty folder */
    snprintf(image, sizeof image, "%s.image", dir);
    assert_int_equal(inspect_with(&wm_io_posix, image, &seen), WM_E_NOT_FOUND);
    make_killed(100);
    for (unsigned n = 1;; n++) {
        struct fault_io f;
        fault_io_init(&f, &wm_io_posix);
        fault_io_arm(&f, FAULT_ANY, n, FAULT_EIO, false);
        seen = (struct seen){0};
        enum wm_status status = inspect_with(&f.io, image, &seen);
        if (!f.hit) {
            assert_int_equal(status, WM_OK);
            break;
        }
        assert_int_equal(status, WM_E_IO);
        assert_true(seen.err.message[0] != '\0');
        assert_int_equal(seen.findings, 0); /* a disk that does not answer is no damage */
    }

    struct wm_buf b;
    read_segment(image, 2, &b);
    wm_put_le32(b.data + SEG_VERSION, SEGMENT_VERSION + 1);
    wm_put_le32(b.data + SEG_CRC, 0);
    wm_put_le32(b.data + SEG_CRC, wm_crc32(0, b.data, SEGMENT_HEADER_BYTES));
    write_segment(image, 2, &b);
    wm_buf_done(&b);
    assert_int_equal(inspect_with(&wm_io_posix, image, &seen), WM_E_UNSUPPORTED);
}

/* ---- beside the process that writes ---- */

struct writer {
    struct wm_journal *j;
    atomic_bool stop;
    _Atomic uint64_t last;
};

static void *write_on(void *arg)
{
    struct writer *w = arg;
    for (uint64_t n = 1; !atomic_load(&w->stop); n++) {
        struct made m;
        uint64_t seq;
        make_entry(&m, n);
        wm_journal_await_room(w->j);
        assert_int_equal(wm_journal_append(w->j, &m.e, &seq, NULL), WM_OK);
        if (n % 7 == 0) {
            assert_int_equal(wm_journal_commit(w->j, seq, NULL), WM_OK);
            atomic_store(&w->last, seq);
            if (n % 35 == 0 && n > 300)
                assert_int_equal(wm_journal_set_cursor(w->j, "f", n - 300), WM_OK);
        }
    }
    return NULL;
}

static void a_journal_in_use_is_no_damage(void **state)
{
    (void)state;
    struct writer w = {.j = must_open(dir)};
    pthread_t thread;
    assert_int_equal(wm_journal_set_cursor(w.j, "f", 0), WM_OK);
    assert_int_equal(pthread_create(&thread, NULL, write_on, &w), 0);
    for (unsigned i = 0; i < 300; i++) {
        struct seen seen = {0};
        uint64_t before = atomic_load(&w.last);
        enum wm_status status = inspect_with(&wm_io_posix, dir, &seen);
        if (status != WM_OK)
            fail_msg("%s", seen.err.message);
        if (seen.sum.damages)
            fail_msg("%s: offset %llu: entry %llu: %s", seen.finding[0].name, (unsigned long long)seen.finding[0].offset,
                     (unsigned long long)seen.finding[0].seq, seen.finding[0].what);
        assert_true(seen.jumps == 0 || seen.sum.notes > 0);
        assert_true(seen.last >= before || seen.sum.notes > 0);
    }
    atomic_store(&w.stop, true);
    pthread_join(thread, NULL);
    wm_journal_close(w.j);
}

/* ---- the command ---- */

static struct wm_buf out_text, err_text;

static void read_back(const char *path, struct wm_buf *b)
{
    wm_buf_done(b);
    wm_buf_init(b, 1u << 28);
    assert_int_equal(wm_io_read_file(&wm_io_posix, path, b, NULL), WM_OK);
    unlink(path);
}

/* Run it with what it prints caught. Arguments end with NULL. */
static int run(const char *first, ...)
{
    char *argv[10] = {(char *)(uintptr_t)"journal"};
    char out_path[FOLDER_BYTES + 8], err_path[FOLDER_BYTES + 8];
    int argc = 1;
    va_list args;
    va_start(args, first);
    for (const char *a = first; a; a = va_arg(args, const char *))
        argv[argc++] = (char *)(uintptr_t)a;
    va_end(args);
    snprintf(out_path, sizeof out_path, "%s.out", dir);
    snprintf(err_path, sizeof err_path, "%s.err", dir);
    fflush(stdout);
    fflush(stderr);
    int keep_out = dup(1), keep_err = dup(2);
    int out = open(out_path, O_RDWR | O_CREAT | O_TRUNC, 0600), err = open(err_path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    assert_true(keep_out >= 0 && keep_err >= 0 && dup2(out, 1) == 1 && dup2(err, 2) == 2);
    optind = 0; /* glibc: begin anew */
    int code = cmd_journal(argc, argv);
    fflush(stdout);
    assert_true(dup2(keep_out, 1) == 1 && dup2(keep_err, 2) == 2);
    close(keep_out), close(keep_err), close(out), close(err);
    read_back(out_path, &out_text);
    read_back(err_path, &err_text);
    return code;
}

static bool prints(const struct wm_buf *b, const char *text)
{
    return memmem(b->data, b->len, text, strlen(text)) != NULL;
}

static size_t lines(const struct wm_buf *b)
{
    size_t n = 0;
    for (size_t i = 0; i < b->len; i++)
        n += b->data[i] == '\n';
    return n;
}

static void commands_print_what_is_there(void **state)
{
    (void)state;
    make_killed(ENTRIES);
    assert_int_equal(run("info", image, NULL), CMD_OK);
    assert_true(prints(&out_text, "0000000001.journal") && prints(&out_text, "entries:   200, from 1 to 200"));
    assert_int_equal(run("check", image, NULL), CMD_OK);
    assert_true(prints(&out_text, "entries 200 (1 to 200)\nresult: good\n"));
    assert_int_equal(run("dump", image, NULL), CMD_OK);
    assert_int_equal(lines(&out_text), ENTRIES);
    assert_false(prints(&out_text, "\"changes\""));

    assert_int_equal(run("dump", "--from", "5", "--to", "6", "--changes", image, NULL), CMD_OK);
    assert_int_equal(lines(&out_text), 2);
    struct made m;
    char line[4096];
    make_entry(&m, 5);
    snprintf(line, sizeof line,
             "{\"seq\":5,\"time\":\"2026-03-01T10:07:12.123456789Z\",\"flags\":[\"readOnly\"],"
             "\"eventSource\":\"test.amazonaws.com\",\"eventName\":\"CreateThing\","
             "\"principal\":\"arn:aws:iam::111122223333:root\",\"record\":%s,\"changes\":["
             "{\"kind\":\"test.one\",\"id\":\"a\",\"document\":{\"by\":5}},"
             "{\"kind\":\"test.two\",\"id\":\"b\",\"document\":null}]}\n{\"seq\":6,", m.record);
    assert_true(wm_view_starts(wm_buf_view(&out_text), line));

    /* the data folder around it */
    char inner[FOLDER_BYTES + 32];
    folder_remove(other);
    assert_int_equal(mkdir(other, 0700), 0);
    snprintf(inner, sizeof inner, "%s/journal", other);
    assert_int_equal(rename(image, inner), 0);
    assert_int_equal(run("check", other, NULL), CMD_OK);
    assert_true(prints(&out_text, "entries 200"));
}

static void commands_say_what_is_damaged(void **state)
{
    (void)state;
    char line[200];
    make_killed(ENTRIES);
    uint64_t at = find_frame(image, 1, 20);
    flip(image, 1, at + 200);
    snprintf(line, sizeof line, "0000000001.journal: offset %llu: entry 20: the entry is damaged or missing\n",
             (unsigned long long)at);
    assert_int_equal(run("check", image, NULL), CMD_NOT_GOOD);
    assert_true(wm_view_starts(wm_buf_view(&out_text), line));
    assert_true(prints(&out_text, "result: DAMAGED, findings 1\n"));
    assert_int_equal(run("info", image, NULL), CMD_NOT_GOOD);
    assert_true(prints(&out_text, line));
    assert_int_equal(run("dump", image, NULL), CMD_NOT_GOOD);
    assert_int_equal(lines(&out_text), ENTRIES - 1); /* what can be read is given out */
    assert_true(prints(&err_text, line));
}

static void commands_refuse_what_they_do_not_take(void **state)
{
    (void)state;
    static const char *const wrong[][4] = {
        {NULL}, {"info", NULL}, {"look", "x", NULL}, {"info", "a", "b", NULL}, {"check", "--from", "3", "x"},
        {"dump", "--from", "x", "y"}, {"dump", "--to", "-1", "y"}, {"dump", "--nothing", "y", NULL}, {"info", "", NULL},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(run(wrong[i][0], wrong[i][1], wrong[i][2], wrong[i][3], NULL), CMD_FAILED);
        assert_true(prints(&err_text, "--help"));
        assert_int_equal(out_text.len, 0);
    }
    assert_int_equal(run("check", image, NULL), CMD_FAILED); /* not there */
    assert_true(prints(&err_text, "could not read"));
    assert_int_equal(run("--help", NULL), CMD_OK);
    assert_true(prints(&out_text, "waymark journal dump"));
}

/* Records are JSON because we write them; the tool does not rely on it. */
static void records_that_are_no_json_are_given_as_text(void **state)
{
    (void)state;
    struct wm_journal *j = must_open(dir);
    struct wm_change c = {WM_LIT("k"), WM_LIT("\x01\n"), WM_LIT("[1,")};
    struct wm_entry e = {.record = WM_LIT("{\"a\":\n\xff\x1b[2J"), .flags = 0x8002, .changes = &c, .n_changes = 1};
    uint64_t seq;
    assert_int_equal(wm_journal_append(j, &e, &seq, NULL), WM_OK);
    assert_int_equal(wm_journal_commit(j, seq, NULL), WM_OK);
    wm_journal_close(j);
    assert_int_equal(run("dump", "--changes", dir, NULL), CMD_OK);
    assert_int_equal(lines(&out_text), 1);
    assert_true(prints(&out_text, "\"flags\":[\"refused\",\"bit15\"]"));
    assert_true(prints(&out_text, "\"recordText\":\"{\\\"a\\\":\\n\xef\xbf\xbd\\u001b[2J\""));
    assert_true(prints(&out_text, "\"id\":\"\\u0001\\n\",\"documentText\":\"[1,\""));
}

int main(void)
{
    wm_log_set_level(WM_LOG_ERROR);
#define TEST(f) cmocka_unit_test_setup_teardown(f, make_folders, remove_folders)
    const struct CMUnitTest tests[] = {
        TEST(a_good_journal_is_told_as_it_is),
        TEST(nothing_is_written_and_no_lock_taken),
        TEST(retired_segments_are_not_missed),
        TEST(a_torn_tail_is_a_note),
        TEST(a_flipped_byte_is_found_and_the_rest_read),
        TEST(a_truncated_segment_is_found),
        TEST(a_missing_segment_is_found),
        TEST(swapped_segments_are_found),
        TEST(stale_and_foreign_segments_are_found),
        TEST(it_agrees_with_recovery_on_each_flipped_byte),
        TEST(what_cannot_be_read_is_an_error),
        TEST(a_journal_in_use_is_no_damage),
        TEST(commands_print_what_is_there),
        TEST(commands_say_what_is_damaged),
        TEST(commands_refuse_what_they_do_not_take),
        TEST(records_that_are_no_json_are_given_as_text),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    wm_buf_done(&out_text);
    wm_buf_done(&err_text);
    return failed;
}
