/* Readers: a follower's way through the segments, up to what is durable. Format: journal.c. */
#include "journal_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "waymark/banned.h"

/* It holds nothing back. Where its segment is retired while it stands there, what it has read still counts; and when the
 * file is used again, no frame in it verifies, because the salt is another: then it looks where its next entry is now. */
struct wm_journal_reader {
    struct wm_journal *journal;
    uint64_t next_seq;       /* the entry to give next */
    uint64_t ordinal;        /* of the segment that it stands in; 0: none */
    uint32_t salt;
    uint64_t offset;         /* of the next frame in it */
    uint64_t window_durable; /* what was durable when the window was filled: frames up to here are whole in it */
    struct wm_window window;
    struct wm_change changes[WM_MAX_CHANGES];
};

static void reader_leave(struct wm_journal_reader *r)
{
    if (r->window.fd >= 0)
        (void)r->journal->io->close(r->journal->io->ctx, r->window.fd); /* only read */
    r->window.fd = -1;
    r->ordinal = 0;
}

static enum wm_status reader_too_late(const struct wm_journal_reader *r, struct wm_err *err)
{
    return wm_fail(err, WM_E_NOT_FOUND, "entry %llu has been retired from the journal", (unsigned long long)r->next_seq);
}

/*
 * Move into the segment that holds next_seq, which is durable.
 * @return WM_OK, *out_moved false when the reader is there already; WM_E_NOT_FOUND (retired)
 */
static enum wm_status reader_enter(struct wm_journal_reader *r, bool *out_moved, struct wm_err *err)
{
    struct wm_journal *j = r->journal;
    char path[SEGMENT_PATH_BYTES];
    uint64_t ordinal = 0, bytes = 0;
    uint32_t salt = 0;
    wm_mutex_lock(&j->mu);
    const struct wm_segment *seg = wm_journal_find_locked(j, r->next_seq);
    if (seg) {
        ordinal = seg->ordinal;
        bytes = seg->bytes;
        salt = seg->salt;
    }
    wm_mutex_unlock(&j->mu);
    if (ordinal == 0)
        return reader_too_late(r, err);
    *out_moved = ordinal != r->ordinal;
    if (!*out_moved)
        return WM_OK;
    reader_leave(r);
    wm_segment_path(j, ordinal, path);
    int fd = j->io->open(j->io->ctx, path, O_RDONLY, 0);
    if (fd == -ENOENT) { /* a name is never used again */
        wm_mutex_lock(&j->mu);
        bool ours = wm_journal_find_locked(j, r->next_seq) != NULL;
        wm_mutex_unlock(&j->mu);
        return ours ? wm_fail(err, WM_E_CORRUPT, "%s is gone, and it was not the journal that removed it", path)
                    : reader_too_late(r, err); /* since we have looked */
    }
    if (fd < 0)
        return wm_fail_errno(err, -fd, "cannot open %s", path); /* the next call tries again */
    r->ordinal = ordinal;
    r->salt = salt;
    r->offset = SEGMENT_HEADER_BYTES;
    wm_window_set(&r->window, fd, bytes);
    return WM_OK;
}

enum wm_status wm_journal_reader_open(struct wm_journal *j, uint64_t after_seq, struct wm_journal_reader **out,
                                      struct wm_err *err)
{
    uint64_t durable = atomic_load(&j->durable);
    if (after_seq > durable)
        return wm_fail(err, WM_E_CORRUPT, "a follower has seen entry %llu, but the journal ends at %llu",
                       (unsigned long long)after_seq, (unsigned long long)durable);
    struct wm_journal_reader *r = calloc(1, sizeof *r);
    if (!r)
        return wm_fail(err, WM_E_NOMEM, "no memory for a reader");
    r->journal = j;
    r->next_seq = after_seq + 1;
    wm_window_init(&r->window, j->io);
    enum wm_status status = WM_OK;
    if (r->next_seq <= durable) {
        bool moved;
        status = reader_enter(r, &moved, err);
    }
    if (status != WM_OK) {
        wm_journal_reader_close(r);
        return status;
    }
    *out = r;
    return WM_OK;
}

void wm_journal_reader_close(struct wm_journal_reader *r)
{
    if (!r)
        return;
    reader_leave(r);
    wm_window_done(&r->window);
    free(r);
}

static enum wm_status reader_damage(struct wm_journal_reader *r, struct wm_err *err)
{
    char path[SEGMENT_PATH_BYTES];
    wm_segment_path(r->journal, r->ordinal, path);
    return wm_fail(err, WM_E_CORRUPT, "%s is damaged at byte %llu: entry %llu is not there", path,
                   (unsigned long long)r->offset, (unsigned long long)r->next_seq);
}

/* A whole frame at the reader's place. @return WM_E_NOT_FOUND: there is none */
static enum wm_status reader_frame(struct wm_journal_reader *r, uint64_t durable, const uint8_t **out, size_t *out_len,
                                   struct wm_err *err)
{
    if (r->window_durable < r->next_seq) { /* what it holds may have been read while it was written */
        r->window.len = 0;
        r->window_durable = durable;
    }
    return wm_window_frame(&r->window, r->offset, r->salt, out, out_len, err);
}

enum wm_status wm_journal_reader_next(struct wm_journal_reader *r, struct wm_entry *out, struct wm_err *err)
{
    uint64_t durable = atomic_load(&r->journal->durable);
    if (r->next_seq > durable)
        return wm_fail(err, WM_E_END, "nothing more is durable");
    for (;;) {
        const uint8_t *p;
        size_t len;
        enum wm_status status;
        bool moved;
        if (r->ordinal == 0) {
            status = reader_enter(r, &moved, err);
            if (status != WM_OK)
                return status;
        }
        status = reader_frame(r, durable, &p, &len, err);
        if (status == WM_E_NOT_FOUND) { /* the end of this segment, or damage */
            status = reader_enter(r, &moved, err);
            if (status != WM_OK)
                return status;
            if (!moved)
                return reader_damage(r, err);
            continue;
        }
        if (status != WM_OK)
            return status;
        if (wm_frame_known(p) != WM_OK)
            return wm_fail(err, WM_E_UNSUPPORTED, "entry %llu was written by a newer version",
                           (unsigned long long)r->next_seq);
        if (p[FRAME_KIND] != FRAME_ENTRY || wm_get_le64(p + FRAME_SEQ) < r->next_seq) {
            r->offset += len; /* a mark, or before the place where this reader begins */
            continue;
        }
        struct wm_entry e;
        if (wm_get_le64(p + FRAME_SEQ) != r->next_seq || wm_frame_decode(p, &e, r->changes) != WM_OK)
            return reader_damage(r, err);
        r->offset += len;
        r->next_seq++;
        *out = e;
        return WM_OK;
    }
}
