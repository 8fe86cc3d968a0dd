/*
 * A journal's folder. Byte 0 of the input: bit 0: put in salts and checksums, so that what is made up gets past them;
 * bit 1: two segments; bit 2: the oldest is number 5, the others are retired; bit 3: the end of the input is the file
 * "tail". Bytes 1 and 2: where the second part begins. The rest is what stands behind the segments' headers.
 *
 * Holds: recovery and `waymark journal check` agree; what opens can be read to its end, gone on with, and opened again.
 */
#include "recorder/journal_int.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/sim_disk.h"
#include "waymark/hash.h"
#include "waymark/journal_inspect.h"
#include "waymark/log.h"

#include "waymark/banned.h"

#define SMALL (64u * 1024u)
#define SALT 0x5eed5a17u

enum {
    MODE_SEAL = 1,
    MODE_TWO = 2,
    MODE_OLD = 4,
    MODE_TAIL = 8,
};

static void make_segment(struct sim_disk *d, uint64_t ordinal, const uint8_t *content, size_t len, bool seal)
{
    static uint8_t file[SMALL];
    char path[64];
    memset(file, 0, sizeof file);
    memcpy(file + SEG_MAGIC, SEGMENT_MAGIC, 8);
    wm_put_le32(file + SEG_VERSION, SEGMENT_VERSION);
    wm_put_le32(file + SEG_HEADER_LEN, SEGMENT_HEADER_BYTES);
    wm_put_le32(file + SEG_SALT, SALT + (uint32_t)ordinal);
    wm_put_le64(file + SEG_ORDINAL, ordinal);
    wm_put_le64(file + SEG_LEN, SMALL);
    wm_put_le32(file + SEG_CRC, wm_crc32(0, file, SEGMENT_HEADER_BYTES));
    if (len > SMALL - SEGMENT_HEADER_BYTES)
        len = SMALL - SEGMENT_HEADER_BYTES;
    uint8_t *frames = file + SEGMENT_HEADER_BYTES;
    if (len)
        memcpy(frames, content, len);
    for (size_t at = 0; seal && at + FRAME_HEADER_BYTES <= len;) {
        size_t n = wm_get_le32(frames + at + FRAME_LEN);
        if (n < FRAME_HEADER_BYTES || n > SMALL - SEGMENT_HEADER_BYTES - at || n % 8 != 0) {
            at += 8;
            continue;
        }
        wm_put_le32(frames + at + FRAME_SALT, SALT + (uint32_t)ordinal);
        wm_put_le32(frames + at + FRAME_CRC, wm_crc32(SALT + (uint32_t)ordinal, frames + at + FRAME_LEN, n - FRAME_LEN));
        at += n;
    }
    (void)snprintf(path, sizeof path, "/j/%010llu.journal", (unsigned long long)ordinal);
    sim_disk_put(d, path, file, sizeof file);
}

static void make_tail(struct sim_disk *d, const uint8_t *content, size_t len)
{
    static uint8_t file[SMALL];
    if (len > sizeof file - TAIL_HEADER_BYTES)
        len = sizeof file - TAIL_HEADER_BYTES;
    memset(file, 0, TAIL_HEADER_BYTES);
    memcpy(file, TAIL_MAGIC, 8);
    wm_put_le32(file + TAIL_VERSION_AT, TAIL_VERSION);
    wm_put_le32(file + TAIL_SALT, SALT + 1);
    wm_put_le64(file + TAIL_ORDINAL, 1);
    wm_put_le64(file + TAIL_OFFSET, SEGMENT_HEADER_BYTES + (len > 0 ? content[0] * 8u : 0));
    wm_put_le64(file + TAIL_LEN, len);
    if (len)
        memcpy(file + TAIL_HEADER_BYTES, content, len);
    wm_put_le32(file + TAIL_CRC, wm_crc32(0, file, TAIL_HEADER_BYTES + len));
    sim_disk_put(d, "/j/tail", file, TAIL_HEADER_BYTES + len);
}

static enum wm_status open_journal(struct sim_disk *d, struct wm_journal **out, struct wm_journal_recovery *rec)
{
    const struct wm_journal_options o = {
        .dir = "/j",
        .io = sim_disk_io(d),
        .clock = &wm_clock_system,
        .segment_bytes = SMALL,
    };
    *out = NULL;
    return wm_journal_open(&o, out, rec, NULL);
}

static uint64_t touch_all(const struct wm_entry *e) /* so that ASan sees each byte that is given out */
{
    uint64_t sum = wm_crc32(0, e->record.ptr, e->record.len) + wm_crc32(0, e->event_name.ptr, e->event_name.len) +
                   wm_crc32(0, e->event_source.ptr, e->event_source.len) + wm_crc32(0, e->principal.ptr, e->principal.len);
    for (size_t i = 0; i < e->n_changes; i++)
        sum += wm_crc32(0, e->changes[i].kind.ptr, e->changes[i].kind.len) +
               wm_crc32(0, e->changes[i].id.ptr, e->changes[i].id.len) +
               wm_crc32(0, e->changes[i].document.ptr, e->changes[i].document.len);
    return sum;
}

struct seen {
    uint64_t sum;
    uint64_t entries;
};

static bool on_entry(void *arg, const struct wm_entry *e)
{
    struct seen *seen = arg;
    seen->sum += touch_all(e);
    seen->entries++;
    return true;
}

static void go_on(struct sim_disk *d, struct wm_journal *j, uint64_t next_seq)
{
    const struct wm_entry e = {.record = WM_LIT("{}")};
    struct wm_journal_recovery rec;
    uint64_t seq;
    enum wm_status status = wm_journal_append(j, &e, &seq, NULL);
    if (next_seq > JOURNAL_MAX_SEQ) {
        MUST(status == WM_E_LIMIT);
        wm_journal_close(j);
        return;
    }
    MUST(status == WM_OK);
    MUST(seq == next_seq);
    MUST(wm_journal_commit(j, seq, NULL) == WM_OK);
    wm_journal_close(j);
    MUST(open_journal(d, &j, &rec) == WM_OK);
    MUST(rec.next_seq == next_seq + 1);
    wm_journal_close(j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len < 3)
        return 0;
    wm_log_set_level(WM_LOG_ERROR);
    unsigned mode = data[0];
    size_t split = (size_t)data[1] | (size_t)data[2] << 8;
    data += 3;
    len -= 3;
    if (split > len || !(mode & (MODE_TWO | MODE_TAIL)))
        split = len;
    uint64_t ordinal = mode & MODE_OLD ? 5 : 1;
    struct sim_disk *d = sim_disk_new(1);
    make_segment(d, ordinal, data, split, mode & MODE_SEAL);
    if (mode & MODE_TWO)
        make_segment(d, ordinal + 1, data + split, len - split, mode & MODE_SEAL);
    if (mode & MODE_TAIL)
        make_tail(d, data + split, len - split);

    struct seen seen = {0};
    struct wm_journal_summary sum = {0};
    const struct wm_journal_inspection look = {.dir = "/j", .io = sim_disk_io(d), .arg = &seen, .entry = on_entry};
    enum wm_status looked = wm_journal_inspect(&look, &sum, NULL);
    MUST(looked == WM_OK || looked == WM_E_UNSUPPORTED);

    struct wm_journal *j;
    struct wm_journal_recovery rec;
    enum wm_status opened = open_journal(d, &j, &rec);
    if (opened != WM_OK) {
        MUST(opened == WM_E_CORRUPT || opened == WM_E_UNSUPPORTED);
        /* recovery looks for newer frames behind a torn end as well */
        MUST(opened == WM_E_UNSUPPORTED || looked == WM_E_UNSUPPORTED || sum.damages > 0);
        sim_disk_free(d);
        return 0;
    }
    MUST(looked == WM_OK && sum.damages == 0);
    MUST(sum.entries == rec.next_seq - rec.first_seq);
    struct wm_journal_reader *r;
    struct wm_entry e;
    uint64_t again = 0;
    MUST(wm_journal_reader_open(j, rec.first_seq - 1, &r, NULL) == WM_OK);
    for (uint64_t seq = rec.first_seq; seq < rec.next_seq; seq++) {
        MUST(wm_journal_reader_next(r, &e, NULL) == WM_OK);
        MUST(e.seq == seq);
        again += touch_all(&e);
    }
    MUST(wm_journal_reader_next(r, &e, NULL) == WM_E_END);
    MUST(again == seen.sum);
    wm_journal_reader_close(r);
    go_on(d, j, rec.next_seq);
    sim_disk_free(d);
    return 0;
}
