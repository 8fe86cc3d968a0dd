/* Opening: where does the journal end, is anything lost, mend the tail. The rules stand at the head of journal.c. */
#include "journal_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "waymark/hash.h"

#include "waymark/banned.h"

/* A journal of 1 TiB in segments of 64 KiB; more names than this are not ours. */
#define RECOVER_MAX_SEGMENTS (16u * 1024u * 1024u)

struct recovery {
    struct wm_journal *j;
    struct wm_journal_recovery *rec;
    struct wm_err *err;
    struct wm_window window;
    struct wm_tail tail;
    /* names found in the folder */
    uint64_t *ordinals;
    size_t n_ordinals;
    size_t cap_ordinals;
    bool no_memory;
    bool spare;
    bool fill;
    bool ballast;
    bool tail_name;         /* a copy of the last batch */
    bool tail_unfinished;
    bool have_id;
    /* the walk */
    uint64_t expected;      /* seq that the next entry must have; 0: not known yet */
    uint64_t claimed;       /* highest synced_seq in a valid frame or header */
    struct wm_segment *last; /* segment in which the walk's last valid frame stands; the oldest when there is none */
    uint64_t end;           /* behind that frame */
    uint64_t unproven;      /* where in `last` the last batch begins */
    uint64_t marks;         /* where in `last` the marks behind the last entry begin */
    /* behind the end */
    uint64_t stale_end;     /* in `last`, behind the last valid frame that is cut; 0 if none */
    uint64_t cut_bytes;
};

/* ---- the folder ---- */

static int note_name(void *arg, const char *name)
{
    struct recovery *r = arg;
    uint64_t ordinal;
    if (strcmp(name, "spare") == 0)
        r->spare = true;
    if (strcmp(name, "fill.tmp") == 0)
        r->fill = true;
    if (strcmp(name, "ballast") == 0)
        r->ballast = true;
    if (strcmp(name, "tail") == 0)
        r->tail_name = true;
    if (strcmp(name, "tail.tmp") == 0)
        r->tail_unfinished = true;
    if (!wm_segment_name(name, &ordinal))
        return 0;
    if (r->n_ordinals == r->cap_ordinals) {
        size_t cap = r->cap_ordinals ? r->cap_ordinals * 2 : 64;
        uint64_t *more = cap > RECOVER_MAX_SEGMENTS ? NULL : realloc(r->ordinals, cap * sizeof *more);
        if (!more) {
            r->no_memory = true;
            return 1;
        }
        r->ordinals = more;
        r->cap_ordinals = cap;
    }
    r->ordinals[r->n_ordinals++] = ordinal;
    return 0;
}

static int by_ordinal(const void *a, const void *b)
{
    uint64_t x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return x < y ? -1 : x > y;
}

static enum wm_status damaged(struct recovery *r, uint64_t ordinal, uint64_t seq, const char *what)
{
    char path[SEGMENT_PATH_BYTES];
    wm_segment_path(r->j, ordinal, path);
    r->rec->damaged_seq = seq ? seq : 1;
    (void)snprintf(r->rec->damaged_path, sizeof r->rec->damaged_path, "%.*s",
                   (int)sizeof r->rec->damaged_path - 1, path); /* a cut path is still a hint */
    return wm_fail(r->err, WM_E_CORRUPT, "journal segment %s: %s; entry %llu is lost", path, what,
                   (unsigned long long)r->rec->damaged_seq);
}

static uint64_t expected_or_first(const struct recovery *r)
{
    return r->expected ? r->expected : 1;
}

/* Open a segment for reading in the window and make its object from the header. */
static enum wm_status read_header(struct recovery *r, uint64_t ordinal, struct wm_segment **out)
{
    struct wm_journal *j = r->j;
    char path[SEGMENT_PATH_BYTES];
    uint8_t h[SEGMENT_HEADER_BYTES];
    size_t len;
    struct stat st;
    wm_segment_path(j, ordinal, path);
    int fd = j->io->open(j->io->ctx, path, O_RDONLY, 0);
    if (fd < 0)
        return wm_fail_errno(r->err, -fd, "cannot open %s", path);
    enum wm_status status = wm_io_read_all(j->io, fd, h, sizeof h, 0, &len, r->err);
    int rc = status == WM_OK ? j->io->fstat(j->io->ctx, fd, &st) : 0;
    (void)j->io->close(j->io->ctx, fd); /* only read */
    if (status != WM_OK)
        return status;
    if (rc < 0)
        return wm_fail_errno(r->err, -rc, "cannot stat %s", path);
    struct wm_segment_header header;
    const char *what;
    status = wm_segment_header_decode(h, len, ordinal, (uint64_t)st.st_size, &header, &what);
    if (status == WM_E_UNSUPPORTED)
        return wm_fail(r->err, status, "%s was written by a newer version (format %u)", path, header.version);
    if (status == WM_OK && r->have_id && memcmp(header.id, j->id, JOURNAL_ID_BYTES) != 0) {
        status = WM_E_CORRUPT;
        what = "it belongs to another journal";
    }
    if (status != WM_OK)
        return damaged(r, ordinal, expected_or_first(r), what);
    struct wm_segment *seg = calloc(1, sizeof *seg);
    if (!seg)
        return wm_fail(r->err, WM_E_NOMEM, "no memory to open the journal");
    seg->fd = -1;
    seg->ordinal = ordinal;
    seg->bytes = header.bytes;
    seg->salt = header.salt;
    seg->synced_seq = header.synced_seq;
    memcpy(j->id, header.id, JOURNAL_ID_BYTES);
    r->have_id = true;
    *out = seg;
    return WM_OK;
}

static enum wm_status window_open(struct recovery *r, const struct wm_segment *seg)
{
    char path[SEGMENT_PATH_BYTES];
    wm_segment_path(r->j, seg->ordinal, path);
    int fd = r->j->io->open(r->j->io->ctx, path, O_RDONLY, 0);
    if (fd < 0)
        return wm_fail_errno(r->err, -fd, "cannot open %s", path);
    wm_window_set(&r->window, fd, seg->bytes);
    wm_window_show(&r->window, &r->tail, seg->ordinal, seg->salt);
    return WM_OK;
}

static void window_close(struct recovery *r)
{
    if (r->window.fd >= 0)
        (void)r->j->io->close(r->j->io->ctx, r->window.fd); /* only read */
    r->window.fd = -1;
}

/* ---- the walk ---- */

/* @return WM_OK: at the end of this segment's valid frames */
static enum wm_status walk_segment(struct recovery *r, struct wm_segment *seg)
{
    struct wm_change changes[WM_MAX_CHANGES];
    uint64_t at = SEGMENT_HEADER_BYTES, batch_at = at, batch_claim = 0;
    for (;;) {
        const uint8_t *p;
        size_t len;
        enum wm_status status = wm_window_frame(&r->window, at, seg->salt, &p, &len, r->err);
        if (status == WM_E_NOT_FOUND)
            return WM_OK;
        if (status != WM_OK)
            return status;
        uint64_t seq = wm_get_le64(p + FRAME_SEQ), synced = wm_get_le64(p + FRAME_SYNCED);
        uint8_t kind = p[FRAME_KIND];
        if (wm_frame_known(p) != WM_OK)
            return wm_fail(r->err, WM_E_UNSUPPORTED, "entry %llu was written by a newer version",
                           (unsigned long long)seq);
        if (kind == FRAME_ENTRY) {
            struct wm_entry e;
            if (r->expected != 0 && seq != r->expected)
                return WM_OK; /* valid, but not here: judged with all that lies behind */
            if (wm_frame_decode(p, &e, changes) != WM_OK)
                return damaged(r, seg->ordinal, seq, "an entry contradicts itself");
            if (seg->first_seq == 0)
                seg->first_seq = seq;
            r->expected = seq + 1;
        } else {
            if (r->expected != 0 && seq + 1 != r->expected)
                return WM_OK;
            r->expected = seq + 1;
        }
        if (at == SEGMENT_HEADER_BYTES || synced > batch_claim) {
            batch_at = at;
            batch_claim = synced;
        }
        if (synced > r->claimed)
            r->claimed = synced;
        at += len;
        r->last = seg;
        r->end = at;
        r->unproven = batch_at;
        if (kind == FRAME_ENTRY)
            r->marks = at;
    }
}

/* What do valid frames from offset on claim, and where does the last of them end? */
static enum wm_status scan_behind(struct recovery *r, const struct wm_segment *seg, uint64_t offset,
                                  uint64_t *out_claim, uint64_t *out_valid_end, uint64_t *out_salt_end)
{
    enum wm_status status = window_open(r, seg);
    if (status != WM_OK)
        return status;
    *out_claim = *out_valid_end = *out_salt_end = 0;
    for (;;) {
        const uint8_t *p;
        size_t len;
        status = wm_window_find(&r->window, &offset, seg->salt, &p, &len, out_salt_end, r->err);
        if (status != WM_OK)
            break;
        uint64_t claim = wm_get_le64(p + FRAME_SYNCED);
        if (claim > *out_claim)
            *out_claim = claim;
        if (offset + len > *out_valid_end) /* frames may stand in what others hold */
            *out_valid_end = offset + len;
        offset += 8;
    }
    if (*out_valid_end > *out_salt_end)
        *out_salt_end = *out_valid_end;
    if (status == WM_E_NOT_FOUND)
        status = WM_OK;
    window_close(r);
    return status;
}

/* Read-only: find the end, or damage. */
static enum wm_status find_end(struct recovery *r)
{
    struct wm_journal *j = r->j;
    struct wm_segment *seg, *newest = NULL;
    enum wm_status status;
    for (size_t i = 0; i < r->n_ordinals; i++) {
        if (i > 0 && r->ordinals[i] != r->ordinals[i - 1] + 1)
            return damaged(r, r->ordinals[i - 1] + 1, expected_or_first(r), "it is missing");
        status = read_header(r, r->ordinals[i], &seg);
        if (status != WM_OK)
            return status;
        if (newest)
            newest->newer = seg;
        else
            j->oldest = seg;
        newest = seg;
    }
    r->expected = j->oldest->ordinal == 1 ? 1 : 0;
    r->last = j->oldest;
    r->end = r->unproven = r->marks = SEGMENT_HEADER_BYTES;
    for (seg = j->oldest; seg; seg = seg->newer) {
        status = window_open(r, seg);
        if (status != WM_OK)
            return status;
        status = walk_segment(r, seg);
        window_close(r);
        if (status != WM_OK)
            return status;
        if (r->expected == 0) /* only a segment with a durable entry lets an older one be retired */
            return damaged(r, seg->ordinal, 0, "the oldest segment holds no entry");
    }

    /* The walk has gone through every segment; valid frames that it did not take stand behind r->end. */
    uint64_t first_behind = r->end;
    for (seg = r->last; seg; seg = seg->newer) {
        uint64_t claim, valid_end, salt_end;
        status = scan_behind(r, seg, first_behind, &claim, &valid_end, &salt_end);
        if (status != WM_OK)
            return status;
        if (seg != r->last && seg->synced_seq > claim)
            claim = seg->synced_seq;
        if (claim >= r->expected)
            return damaged(r, r->last->ordinal, r->expected, "it is damaged before its end");
        if (seg == r->last)
            r->stale_end = valid_end;
        else if (salt_end != 0)
            seg->retiring = true; /* not clean: made anew */
        if (salt_end != 0)
            r->cut_bytes += salt_end - first_behind;
        first_behind = SEGMENT_HEADER_BYTES;
    }
    if (j->known_seq >= r->expected)
        return damaged(r, r->last->ordinal, r->expected,
                       "the journal ends in it, and a follower has seen more: segments are missing");
    return WM_OK;
}

/* ---- mending ---- */

static enum wm_status zero_range(struct recovery *r, int fd, uint64_t from, uint64_t to)
{
    static const uint8_t zeros[64 * 1024];
    while (from < to) {
        size_t n = to - from < sizeof zeros ? (size_t)(to - from) : sizeof zeros;
        enum wm_status status = wm_io_write_all(r->j->io, fd, zeros, n, from, r->err);
        if (status != WM_OK)
            return status;
        from += n;
    }
    return WM_OK;
}

/* The same bytes again, so that the pages are dirty and the sync that follows really writes them. */
static enum wm_status rewrite_range(struct recovery *r, int fd, uint64_t from, uint64_t to)
{
    while (from < to) {
        const uint8_t *p;
        size_t have;
        size_t want = to - from < WINDOW_BYTES ? (size_t)(to - from) : WINDOW_BYTES;
        enum wm_status status = wm_window_get(&r->window, from, want, &p, &have, r->err);
        if (status == WM_OK && have < want)
            status = wm_fail(r->err, WM_E_IO, "a journal segment became shorter while it was read");
        if (status == WM_OK)
            status = wm_io_write_all(r->j->io, fd, p, want, from, r->err);
        if (status != WM_OK)
            return status;
        from += want;
    }
    return WM_OK;
}

static enum wm_status sync_segment(struct recovery *r, const struct wm_segment *seg)
{
    char path[SEGMENT_PATH_BYTES];
    int rc = r->j->io->fdatasync(r->j->io->ctx, seg->fd);
    if (rc >= 0)
        return WM_OK;
    wm_segment_path(r->j, seg->ordinal, path);
    return wm_fail_errno(r->err, -rc, "cannot sync %s", path);
}

/* The walk has seen the copy in its place: put it there. The copy stays until all is mended. */
static enum wm_status restore_tail(struct recovery *r)
{
    const struct wm_tail *t = &r->tail;
    struct wm_segment *seg = r->j->oldest;
    char path[SEGMENT_PATH_BYTES];
    while (seg && !wm_tail_fits(t, seg->ordinal, seg->salt, seg->bytes))
        seg = seg->newer;
    if (!seg)
        return WM_OK;
    wm_segment_path(r->j, seg->ordinal, path);
    int fd = r->j->io->open(r->j->io->ctx, path, O_RDWR, 0);
    if (fd < 0)
        return wm_fail_errno(r->err, -fd, "cannot open %s", path);
    enum wm_status status =
        wm_io_write_all(r->j->io, fd, t->data + TAIL_HEADER_BYTES, t->len, t->offset, r->err);
    int rc = status == WM_OK ? r->j->io->fdatasync(r->j->io->ctx, fd) : 0;
    (void)r->j->io->close(r->j->io->ctx, fd); /* what counts has been synced */
    return rc < 0 ? wm_fail_errno(r->err, -rc, "cannot sync %s", path) : status;
}

static enum wm_status mend_tail(struct recovery *r)
{
    struct wm_journal *j = r->j;
    struct wm_segment *tail = r->last;
    char path[SEGMENT_PATH_BYTES];
    wm_segment_path(j, tail->ordinal, path);
    tail->fd = j->io->open(j->io->ctx, path, O_RDWR, 0);
    if (tail->fd < 0) {
        enum wm_status status = wm_fail_errno(r->err, -tail->fd, "cannot open %s", path);
        tail->fd = -1;
        return status;
    }
    bool proven = r->claimed + 1 >= r->expected; /* a mark, or nothing was ever written */
    uint64_t from = proven ? r->marks : r->unproven, zero_to = r->stale_end;
    if (from == r->end && zero_to == 0)
        return WM_OK;
    wm_window_set(&r->window, tail->fd, tail->bytes);
    wm_window_show(&r->window, &r->tail, tail->ordinal, tail->salt);
    enum wm_status status = WM_OK;
    if (!proven) {
        status = wm_tail_save(j, tail, &r->window, from, r->end, r->err);
        r->tail_name = true;
        /* What an earlier try has zeroed may be so in the page cache only; a batch reaches no farther than this. */
        uint64_t room = tail->bytes - r->end;
        uint64_t most = r->end + (room < JOURNAL_MAX_PENDING_BYTES ? room : JOURNAL_MAX_PENDING_BYTES);
        if (zero_to < most)
            zero_to = most;
    }
    if (status == WM_OK)
        status = rewrite_range(r, tail->fd, from, r->end);
    r->window.fd = -1; /* the segment's own */
    if (status == WM_OK)
        status = zero_range(r, tail->fd, r->end, zero_to);
    if (status == WM_OK)
        status = sync_segment(r, tail);
    if (status != WM_OK || proven || tail->bytes - r->end < FRAME_HEADER_BYTES)
        return status;
    uint8_t mark[FRAME_HEADER_BYTES];
    wm_frame_encode_mark(mark, r->expected - 1, wm_clock_wall(j->clock));
    (void)wm_frame_seal(mark, tail->salt, r->expected - 1); /* its length is known */
    status = wm_io_write_all(j->io, tail->fd, mark, sizeof mark, r->end, r->err);
    if (status == WM_OK)
        status = sync_segment(r, tail);
    r->end += sizeof mark;
    return status;
}

/* Segments behind the tail hold nothing: keep the first as the next one if it is clean, remove the others. */
static enum wm_status settle_next(struct recovery *r)
{
    struct wm_journal *j = r->j;
    while (r->last->newer) {
        struct wm_segment *before = r->last;
        while (before->newer->newer)
            before = before->newer;
        struct wm_segment *newest = before->newer;
        before->newer = NULL; /* from the newest back, so that a crash leaves no gap */
        if (before == r->last && !newest->retiring && newest->bytes == j->segment_bytes) {
            char path[SEGMENT_PATH_BYTES];
            wm_segment_path(j, newest->ordinal, path);
            int fd = j->io->open(j->io->ctx, path, O_RDWR, 0);
            if (fd >= 0) {
                newest->fd = fd;
                j->next = newest;
                return WM_OK;
            }
            wm_segment_free(j, newest);
            return wm_fail_errno(r->err, -fd, "cannot open %s", path);
        }
        enum wm_status status = wm_segment_retire(j, newest, r->err);
        wm_segment_free(j, newest);
        if (status != WM_OK)
            return status;
    }
    return WM_OK;
}

static enum wm_status settle_leftovers(struct recovery *r)
{
    struct wm_journal *j = r->j;
    char path[SEGMENT_PATH_BYTES];
    struct stat st;
    /* What was renamed before a kill may not be durable yet, although it is seen: entries will be acknowledged in a next
     * segment, and a spare's header will be written anew. Nor may this folder's own name be, when it is new. */
    int rc = j->io->sync_dir(j->io->ctx, j->dir);
    if (rc >= 0 && r->n_ordinals == 0) {
        (void)snprintf(path, sizeof path, "%s/..", j->dir); /* dir's length is checked at open */
        rc = j->io->sync_dir(j->io->ctx, path);
    }
    if (rc < 0)
        return wm_fail_errno(r->err, -rc, "cannot sync the folder %s", j->dir);
    if (r->ballast)
        wm_ballast_found(j);
    if (r->fill) {
        (void)snprintf(path, sizeof path, "%s/fill.tmp", j->dir);
        rc = j->io->unlink(j->io->ctx, path);
        if (rc < 0)
            return wm_fail_errno(r->err, -rc, "cannot remove %s", path);
    }
    if (r->tail_unfinished) {
        (void)snprintf(path, sizeof path, "%s/tail.tmp", j->dir);
        (void)j->io->unlink(j->io->ctx, path); /* the next one takes its place */
    }
    if (!r->spare)
        return WM_OK;
    (void)snprintf(path, sizeof path, "%s/spare", j->dir);
    int fd = j->io->open(j->io->ctx, path, O_RDONLY, 0);
    if (fd < 0)
        return wm_fail_errno(r->err, -fd, "cannot open %s", path);
    rc = j->io->fstat(j->io->ctx, fd, &st);
    (void)j->io->close(j->io->ctx, fd); /* only looked at */
    if (rc < 0)
        return wm_fail_errno(r->err, -rc, "cannot stat %s", path);
    if ((uint64_t)st.st_size == j->segment_bytes) {
        j->spare = true;
        return WM_OK;
    }
    rc = j->io->unlink(j->io->ctx, path);
    return rc < 0 ? wm_fail_errno(r->err, -rc, "cannot remove %s", path) : WM_OK;
}

enum wm_status wm_journal_recover(struct wm_journal *j, struct wm_journal_recovery *rec, struct wm_err *err)
{
    struct recovery r = {.j = j, .rec = rec, .err = err};
    enum wm_status status;
    wm_window_init(&r.window, j->io);
    int rc = j->io->list(j->io->ctx, j->dir, note_name, &r);
    if (r.no_memory) {
        status = wm_fail(err, WM_E_NOMEM, "no memory to list the journal's segments");
        goto out;
    }
    if (rc < 0) {
        status = wm_fail_errno(err, -rc, "cannot list the folder %s", j->dir);
        goto out;
    }
    if (r.tail_name) {
        status = wm_tail_load(j->io, j->dir, &r.tail, err);
        if (status != WM_OK)
            goto out;
    }
    if (r.n_ordinals > 0) {
        qsort(r.ordinals, r.n_ordinals, sizeof *r.ordinals, by_ordinal);
        status = find_end(&r);
        if (status != WM_OK)
            goto out;
    } else if (j->known_seq > 0) {
        status = damaged(&r, 1, 1, "there is none, and a follower has seen entries: segments are missing");
        goto out;
    }
    /* From here on nothing is in doubt, and the folder may be changed. */
    status = settle_leftovers(&r);
    if (status != WM_OK)
        goto out;
    if (r.n_ordinals == 0) {
        wm_random(j->id, sizeof j->id);
        status = wm_segment_prepare(j, 1, 0, &j->oldest, err);
        if (status != WM_OK)
            goto out;
        r.expected = 1;
        r.last = j->oldest;
        r.end = SEGMENT_HEADER_BYTES;
    } else {
        status = restore_tail(&r);
        if (status == WM_OK)
            status = mend_tail(&r);
        if (status == WM_OK && r.tail_name)
            wm_tail_remove(j);
        if (status == WM_OK)
            status = settle_next(&r);
        if (status != WM_OK)
            goto out;
    }
    j->tail = r.last;
    j->tail_offset = r.end;
    j->next_seq = r.expected;
    j->write_segment = j->tail;
    j->write_offset = r.end;
    atomic_store(&j->durable, r.expected - 1);
    rec->next_seq = r.expected;
    rec->first_seq = r.expected;
    for (struct wm_segment *seg = j->oldest; seg && rec->first_seq == r.expected; seg = seg->newer)
        if (seg->first_seq != 0)
            rec->first_seq = seg->first_seq;
    rec->cut_bytes = r.cut_bytes;
out:
    window_close(&r);
    wm_window_done(&r.window);
    wm_tail_done(&r.tail);
    free(r.ordinals);
    return status;
}
