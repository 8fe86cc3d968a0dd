/*
 * The journal: append, commit, cursors. Its parts: journal_frame.c (bytes), journal_segment.c (files ahead and behind),
 * journal_space.c (what is kept of the disk), journal_recover.c and journal_tail.c (opening), journal_reader.c (followers),
 * journal_inspect.c (from outside).
 *
 * # The format
 *
 * 1. Files. A folder holds segments "<ordinal>.journal", the ordinal in decimal with at least 10 digits, from 1, without
 *    gaps; "lock", on which the process that has the journal open holds an flock; at times "spare" (a retired segment
 *    that waits for reuse), "fill.tmp" (one being made), "ballast" (zeros, see journal_space.c), and "tail" and
 *    "tail.tmp" (while the last batch is mended). A segment has its full size from the start, all blocks written, so that
 *    a commit changes no metadata: on the machine we measured, overwriting zeros is 25 % faster per sync than growing a
 *    file. All numbers are little-endian. CRC-32 is that of ISO 3309 (gzip).
 *
 * 2. Segment header, 4,096 bytes (enum segment_field):
 *
 *        0  8  magic "WMJRNL\r\n"                    32 16  id of the journal, random
 *        8  4  version, 1                            48  8  ordinal, as in the name
 *       12  4  CRC-32 of the header, this field 0    56  8  size of the file
 *       16  4  where the first frame starts          64  8  synced_seq: durable when this was written
 *       20  4  incompatible flags                    72  8  made when, ns since 1970
 *       24  4  compatible flags                      80     zeros
 *       28  4  salt, random, not 0
 *
 *    A reader refuses a version above its own and any incompatible flag that it does not know; it skips compatible
 *    flags. Magic, version, checksum and flags keep their places in every version. The salt is new each time a file is
 *    used; frames are bound to it, so what a reused file held before never verifies.
 *
 * 3. Frames follow each other without gaps, each a multiple of 8 bytes long (enum frame_field):
 *
 *        0  4  the segment's salt                    40  2  flags of the entry (enum wm_entry_flag)
 *        4  4  CRC-32, started with the salt,        42  2  number of changes
 *              of everything behind this field       44  4  bytes of the record
 *        8  4  bytes of the whole frame              48  4  bytes of the changes
 *       12  2  where the body starts, from 64        52  2  bytes of the event source
 *       14  1  kind: 1 entry, 2 mark                 54  2  bytes of the event name
 *       15  1  incompatible flags                    56  2  bytes of the principal
 *       16  8  seq                                   58  2  compatible flags
 *       24  8  synced_seq                            60  4  zero
 *       32  8  time, ns since 1970                   64     body
 *
 *    Body: event source, event name, principal, record, changes, zeros up to a multiple of 8. A change: u16 bytes of
 *    kind, u16 bytes of id, u32 bytes of document (0 removes it), then the three. A later version may put more fields
 *    between byte 64 and the body: an old reader steps over them. Kinds from 128 on are skipped when unknown, others
 *    refused.
 *    Entries have seq 1, 2, 3 … without gaps over all segments, up to 2^63 - 1; no frame claims more than its own seq.
 *    A mark, and a frame of any other kind, has the seq of the entry before it; a mark has no body.
 *    synced_seq is a claim: every entry up to it was durable when this frame was written. It is what tells a torn tail
 *    from damage. A frame never crosses segments. A part of a batch that ends a segment is synced before the part in
 *    the next segment is written, so a frame in a later segment claims all of the earlier ones.
 *
 * # When an entry counts
 *
 * An entry is valid when salt, lengths and checksum fit and its seq is the one expected. It is acknowledged only after
 * fdatasync has returned 0 for it and everything before it; the file's name, size and header were durable before.
 *
 * # Recovery
 *
 * Walk the segments in order and the frames in each. At the first place N where no valid frame follows (neither there
 * nor at the start of the next segment), look at all that lies behind, at every multiple of 8 to the end of the last
 * segment, and at the headers. If any valid frame or header claims synced_seq >= N, entry N was durable and is gone:
 * damage, and so it is if a follower has seen entry N. Opening fails, names the place, and changes nothing. Otherwise
 * nothing behind N was ever acknowledged: the tail is torn and is cut:
 *
 *   - Valid frames behind N, left by a batch of which another part is missing, are overwritten with zeros; else they
 *     would count again when a new entry N happened to end where they begin. So is what a batch could have reached: an
 *     earlier try may have failed to sync its zeros.
 *   - The last batch (frames whose seq nothing claims) is written once more in place, and synced. It may have been in
 *     the page cache only: after a failed fdatasync Linux takes the pages for clean, and a sync in the next process
 *     would report success without writing ("PostgreSQL's fsync() surprise", LWN 752063). A copy of it is made durable
 *     first (journal_tail.c), because it may have been acknowledged, and a power cut can leave garbage in a sector that
 *     was being written, be it with the same bytes.
 *   - The folder is synced, since a name may be seen and yet not be durable.
 *   - A mark that claims N - 1 is written and synced, so that these entries, which followers may now read, can no
 *     longer be taken for a torn tail. Closing in order writes a mark as well. A mark that is found at the end is
 *     written once more, too: what it claims is durable, itself it may not be.
 *
 * Crash points: while a batch is written: a torn tail, nothing of it acknowledged. Between two segments: the first is
 * whole, the second is empty or torn. While the next segment is made, or an old one retired: see journal_segment.c.
 * During recovery: each of its steps can be repeated.
 *
 * Assumed of the device, as SQLite does with SQLITE_IOCAP_POWERSAFE_OVERWRITE: a power cut while a sector is
 * overwritten leaves bytes outside of the written range as they were. A batch begins in the block in which the last one
 * ended.
 *
 * # Space
 *
 * The place of an entry is fixed when it is appended. The segment behind the current one is always prepared ahead, by
 * a thread of its own; when it is missing because the disk or max_bytes is full, the append is refused before it has
 * any effect, and succeeds again once the preparer, which keeps trying, has made one. Calls wait for one that is only
 * slow to come before they take any lock. The end of the current segment is kept, until there is a next one, for what the
 * service itself must still write: that a follower is paused, how many calls were refused, the closing mark. The journal
 * never takes the last of the disk, and keeps a ballast there, because followers must write in order to move on. Where
 * the settings allow it, and nothing else helps, it goes on without the followers that hold the oldest segment: that is
 * recorded first, and only then is the segment retired. It is not kept anywhere else: after a restart such a follower is
 * one whose next entry is gone.
 */
#include "journal_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>

#include "waymark/hash.h"

#include "waymark/banned.h"

/* ---- open and close ---- */

static enum wm_status take_lock(struct wm_journal *j, struct wm_err *err)
{
    char path[SEGMENT_PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/lock", j->dir);
    int fd = j->io->open(j->io->ctx, path, O_RDWR | O_CREAT, 0600);
    if (fd < 0)
        return wm_fail_errno(err, -fd, "cannot open %s", path);
    j->lock_fd = fd;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return WM_OK;
    if (errno == EWOULDBLOCK)
        return wm_fail(err, WM_E_EXISTS, "another process has the journal in %s open", j->dir);
    return wm_fail_errno(err, errno, "cannot lock %s", path);
}

static enum wm_status check_options(const struct wm_journal_options *o, struct wm_err *err)
{
    if (o->segment_bytes < SEGMENT_MIN_BYTES || o->segment_bytes > SEGMENT_MAX_BYTES || o->segment_bytes % 4096 != 0)
        return wm_fail(err, WM_E_INVALID, "segment_bytes is %llu; it takes a multiple of 4096 from %u to %u",
                       (unsigned long long)o->segment_bytes, SEGMENT_MIN_BYTES, SEGMENT_MAX_BYTES);
    if (o->max_bytes != 0 && o->max_bytes < 2 * o->segment_bytes)
        return wm_fail(err, WM_E_INVALID, "max_bytes is %llu; it must hold at least two segments of %llu",
                       (unsigned long long)o->max_bytes, (unsigned long long)o->segment_bytes);
    if (o->ballast_bytes > SEGMENT_MAX_BYTES)
        return wm_fail(err, WM_E_INVALID, "ballast_bytes is %llu; it takes up to %u",
                       (unsigned long long)o->ballast_bytes, SEGMENT_MAX_BYTES);
    if (strlen(o->dir) >= WM_MAX_PATH_BYTES)
        return wm_fail(err, WM_E_LIMIT, "the journal's path is longer than %u bytes", WM_MAX_PATH_BYTES);
    return WM_OK;
}

enum wm_status wm_journal_open(const struct wm_journal_options *o, struct wm_journal **out,
                               struct wm_journal_recovery *out_recovery, struct wm_err *err)
{
    enum wm_status status = check_options(o, err);
    if (status != WM_OK)
        return status;
    struct wm_journal *j = calloc(1, sizeof *j);
    if (!j)
        return wm_fail(err, WM_E_NOMEM, "no memory for the journal");
    j->magic = JOURNAL_MAGIC_NUMBER;
    j->io = o->io;
    j->clock = o->clock;
    j->segment_bytes = o->segment_bytes;
    j->max_bytes = o->max_bytes;
    j->ballast_bytes = o->ballast_bytes;
    j->known_seq = o->known_seq;
    j->lock_fd = -1;
    j->pending = &j->batches[0];
    wm_mutex_init(&j->mu);
    wm_cond_init(&j->committed);
    wm_cond_init(&j->prepare_wake);
    wm_cond_init(&j->prepare_done);

    struct wm_journal_recovery recovery = {0};
    j->dir = wm_view_dup(wm_view_of(o->dir));
    if (!j->dir) {
        status = wm_fail(err, WM_E_NOMEM, "no memory for the journal");
        goto out;
    }
    status = wm_io_make_dirs(j->io, j->dir, 0700, err);
    if (status != WM_OK)
        goto out;
    status = take_lock(j, err);
    if (status != WM_OK)
        goto out;
    status = wm_journal_recover(j, &recovery, err);
    if (status == WM_E_FAILED) /* a folder that cannot be synced is final for an open journal; this one is not open yet */
        status = WM_E_IO;
    if (status != WM_OK)
        goto out;
    wm_mutex_lock(&j->mu);
    j->prepare_state = j->next ? PREPARE_DONE : PREPARE_WORKING;
    wm_journal_note_room_locked(j);
    wm_mutex_unlock(&j->mu);
    status = wm_thread_start(&j->preparer, "journal-prep", wm_preparer_run, j, err);
    j->preparer_runs = status == WM_OK;
out:
    if (out_recovery && (status == WM_OK || status == WM_E_CORRUPT))
        *out_recovery = recovery;
    if (status != WM_OK) {
        wm_journal_close(j);
        return status;
    }
    *out = j;
    return WM_OK;
}

/* After an orderly stop nothing may be taken for a torn tail. Best effort: without it all is as after a kill. */
static void write_closing_mark(struct wm_journal *j)
{
    uint64_t durable = atomic_load(&j->durable);
    struct wm_segment *seg = j->write_segment;
    if (atomic_load(&j->failed) || j->commits == 0 || !seg || seg->fd < 0 ||
        seg->bytes - j->write_offset < FRAME_HEADER_BYTES)
        return;
    uint8_t mark[FRAME_HEADER_BYTES];
    wm_frame_encode_mark(mark, durable, wm_clock_wall(j->clock));
    (void)wm_frame_seal(mark, seg->salt, durable); /* its length is known */
    if (wm_io_write_all(j->io, seg->fd, mark, sizeof mark, j->write_offset, NULL) == WM_OK)
        (void)j->io->fdatasync(j->io->ctx, seg->fd);
}

void wm_journal_close(struct wm_journal *j)
{
    if (!j)
        return;
    WM_ASSERT(j->magic == JOURNAL_MAGIC_NUMBER);
    wm_mutex_lock(&j->mu);
    atomic_store(&j->stopping, true);
    wm_cond_signal(&j->prepare_wake);
    wm_mutex_unlock(&j->mu);
    if (j->preparer_runs) {
        WM_PTOK(pthread_join(j->preparer, NULL));
        write_closing_mark(j);
    }
    while (j->oldest) {
        struct wm_segment *seg = j->oldest;
        j->oldest = seg->newer;
        wm_segment_free(j, seg);
    }
    wm_segment_free(j, j->next);
    free(j->batches[0].data);
    free(j->batches[1].data);
    if (j->lock_fd >= 0)
        (void)j->io->close(j->io->ctx, j->lock_fd); /* holds no data */
    free(j->dir);
    wm_cond_done(&j->prepare_done);
    wm_cond_done(&j->prepare_wake);
    wm_cond_done(&j->committed);
    wm_mutex_done(&j->mu);
    j->magic = 0;
    free(j);
}

/* ---- failing ---- */

void wm_journal_fail_locked(struct wm_journal *j, const struct wm_err *err)
{
    wm_mutex_assert_held(&j->mu);
    if (!atomic_load(&j->failed)) {
        j->failure = *err;
        j->failure.status = WM_E_FAILED;
        j->failure.retryable = false;
        atomic_store(&j->failed, true);
    }
    wm_cond_broadcast(&j->committed);
    wm_cond_broadcast(&j->prepare_done);
    wm_cond_signal(&j->prepare_wake);
}

static enum wm_status failure_locked(struct wm_journal *j, struct wm_err *err) WM_REQUIRES(j->mu)
{
    if (err)
        *err = j->failure;
    return WM_E_FAILED;
}

/* ---- append ---- */

/* Room for len more bytes and a part. */
static enum wm_status pending_reserve(struct wm_pending *p, size_t len, struct wm_err *err)
{
    if (p->n_parts == JOURNAL_MAX_PARTS || len > JOURNAL_MAX_PENDING_BYTES - p->len)
        return wm_fail(err, WM_E_FULL, "too much waits for a commit");
    if (len <= p->cap - p->len)
        return WM_OK;
    size_t cap = p->cap ? p->cap : 64u * 1024u;
    while (cap < p->len + len)
        cap *= 2;
    uint8_t *data = realloc(p->data, cap);
    if (!data)
        return wm_fail(err, WM_E_NOMEM, "no memory for an entry of %zu bytes", len);
    p->data = data;
    p->cap = cap;
    return WM_OK;
}

static uint64_t at_most(uint64_t bytes, uint64_t limit)
{
    return bytes < limit ? bytes : limit;
}

/* What an entry may use of the tail. While there is no next segment, a part is kept for the service's own entries, and
 * behind those the place of the closing mark. */
static uint64_t room_locked(struct wm_journal *j, unsigned flags) WM_REQUIRES(j->mu)
{
    uint64_t left = j->tail->bytes - j->tail_offset, kept = 0;
    if (!j->next)
        kept = flags & WM_ENTRY_SERVICE ? FRAME_HEADER_BYTES : at_most(JOURNAL_KEPT_BYTES, j->segment_bytes / 8);
    return left > kept ? left - kept : 0;
}

void wm_journal_note_room_locked(struct wm_journal *j)
{
    wm_mutex_assert_held(&j->mu);
    atomic_store(&j->cramped, !j->next && (j->prepare_state == PREPARE_WORKING || !j->touched) &&
                                  room_locked(j, 0) < at_most(JOURNAL_AWAIT_BYTES, j->segment_bytes / 4));
}

/* A call has come: all followers are registered, and what they have passed may be retired. */
static void touch_locked(struct wm_journal *j) WM_REQUIRES(j->mu)
{
    if (j->touched)
        return;
    j->touched = true;
    if (wm_journal_retirable_locked(j) && j->prepare_state == PREPARE_REFUSED)
        j->prepare_state = PREPARE_WORKING; /* calls now wait for it */
    wm_journal_note_room_locked(j);
    wm_cond_signal(&j->prepare_wake);
}

/* The tail is full: go on in the segment that has been prepared. */
static enum wm_status advance_tail_locked(struct wm_journal *j, struct wm_err *err) WM_REQUIRES(j->mu)
{
    if (!j->next) {
        j->refusing = true;
        j->refusal = j->prepare_err;
        if (j->prepare_state == PREPARE_WORKING)
            (void)wm_fail(&j->refusal, WM_E_FULL, "the next segment is not ready: the disk is slow");
        if (err)
            *err = j->refusal;
        return j->refusal.status;
    }
    j->tail->newer = j->next;
    j->tail = j->next;
    j->tail_offset = SEGMENT_HEADER_BYTES;
    j->next = NULL;
    j->prepare_state = PREPARE_WORKING;
    wm_cond_signal(&j->prepare_wake);
    wm_journal_note_room_locked(j);
    return WM_OK;
}

static enum wm_status append_locked(struct wm_journal *j, const struct wm_entry *e, size_t len, uint64_t *out_seq,
                                    struct wm_err *err) WM_REQUIRES(j->mu)
{
    if (atomic_load(&j->failed))
        return failure_locked(j, err);
    if (j->next_seq > JOURNAL_MAX_SEQ)
        return wm_fail(err, WM_E_LIMIT, "the journal has no sequence numbers left");
    touch_locked(j);
    while (room_locked(j, e->flags) < len) {
        /* twice only if the tail was made with a smaller segment_bytes than is set now */
        if (len > j->segment_bytes - SEGMENT_HEADER_BYTES)
            return wm_fail(err, WM_E_LIMIT, "entry of %zu bytes does not fit into a segment", len);
        enum wm_status status = advance_tail_locked(j, err);
        if (status != WM_OK)
            return status;
    }
    struct wm_pending *p = j->pending;
    enum wm_status status = pending_reserve(p, len, err);
    if (status != WM_OK)
        return status;
    uint64_t seq = j->next_seq;
    if (p->n_parts == 0 || p->parts[p->n_parts - 1].segment != j->tail)
        p->parts[p->n_parts++] = (struct wm_batch_part){
            .segment = j->tail,
            .file_offset = j->tail_offset,
            .from = p->len,
        };
    p->parts[p->n_parts - 1].last_seq = seq;
    wm_frame_encode(p->data + p->len, len, e, seq);
    p->len += len;
    j->tail_offset += len;
    if (j->tail->first_seq == 0)
        j->tail->first_seq = seq;
    j->next_seq = seq + 1;
    j->appended++;
    if (!j->next)
        wm_journal_note_room_locked(j);
    if (p->len >= JOURNAL_BULKY_BYTES)
        atomic_store(&j->bulky, true);
    *out_seq = seq;
    return WM_OK;
}

enum wm_status wm_journal_append(struct wm_journal *j, const struct wm_entry *e, uint64_t *out_seq, struct wm_err *err)
{
    size_t len;
    enum wm_status status = wm_frame_size(e, &len, err);
    if (status != WM_OK)
        return status;
    wm_mutex_lock(&j->mu);
    status = append_locked(j, e, len, out_seq, err);
    wm_mutex_unlock(&j->mu);
    return status;
}

/* ---- commit ---- */

/* Salt, claims and checksums are put in here, outside of the lock, since only now segment and claim are certain. */
static void seal_frames(uint8_t *data, size_t len, uint32_t salt, uint64_t synced_seq)
{
    for (size_t at = 0; at < len;)
        at += wm_frame_seal(data + at, salt, synced_seq);
}

/* Write and sync one batch. @thread the one that has set j->writing */
static enum wm_status write_batch(struct wm_journal *j, const struct wm_pending *p, uint64_t synced_seq,
                                  struct wm_err *err)
{
    for (size_t i = 0; i < p->n_parts; i++) {
        const struct wm_batch_part *part = &p->parts[i];
        struct wm_segment *seg = part->segment;
        size_t to = i + 1 < p->n_parts ? p->parts[i + 1].from : p->len;
        if (seg != j->write_segment) { /* the last one is full: nothing is written to it any more */
            if (j->write_segment->fd >= 0)
                (void)j->io->close(j->io->ctx, j->write_segment->fd); /* synced before */
            j->write_segment->fd = -1;
            j->write_segment = seg;
        }
        seal_frames(p->data + part->from, to - part->from, seg->salt, synced_seq);
        enum wm_status status =
            wm_io_write_all(j->io, seg->fd, p->data + part->from, to - part->from, part->file_offset, err);
        if (status != WM_OK)
            return status;
        int rc = j->io->fdatasync(j->io->ctx, seg->fd);
        if (rc < 0) {
            char path[SEGMENT_PATH_BYTES];
            wm_segment_path(j, seg->ordinal, path);
            return wm_fail_errno(err, -rc, "cannot sync %s", path);
        }
        synced_seq = part->last_seq;
        j->write_offset = part->file_offset + (to - part->from);
    }
    return WM_OK;
}

/* Take what is pending and make it durable; lets go of the lock meanwhile. */
static void lead_locked(struct wm_journal *j) WM_REQUIRES(j->mu)
{
    struct wm_pending *mine = j->pending;
    uint64_t upto = j->next_seq - 1;
    struct wm_err err = {0};
    j->pending = mine == &j->batches[0] ? &j->batches[1] : &j->batches[0];
    j->writing = true;
    atomic_store(&j->bulky, false);
    uint64_t synced = atomic_load(&j->durable);
    wm_mutex_unlock(&j->mu);

    enum wm_status status = write_batch(j, mine, synced, &err);
    mine->len = 0;
    mine->n_parts = 0;
    if (mine->cap > JOURNAL_KEEP_PENDING_BYTES) {
        free(mine->data);
        mine->data = NULL;
        mine->cap = 0;
    }

    wm_mutex_lock(&j->mu);
    j->writing = false;
    if (status != WM_OK) {
        wm_journal_fail_locked(j, &err);
        return;
    }
    j->commits++;
    atomic_store(&j->durable, upto);
    if (j->waiters > 0)
        wm_cond_broadcast(&j->committed);
    if (wm_journal_retirable_locked(j))
        wm_cond_signal(&j->prepare_wake);
}

/* Wait for the commit that is under way. */
static void await_commit_locked(struct wm_journal *j) WM_REQUIRES(j->mu)
{
    j->waiters++;
    wm_cond_wait(&j->committed, &j->mu);
    j->waiters--;
}

enum wm_status wm_journal_commit(struct wm_journal *j, uint64_t seq, struct wm_err *err)
{
    enum wm_status status = WM_OK;
    if (atomic_load(&j->durable) >= seq)
        return WM_OK;
    wm_mutex_lock(&j->mu);
    WM_ASSERT(seq < j->next_seq);
    while (atomic_load(&j->durable) < seq) {
        if (atomic_load(&j->failed)) {
            status = failure_locked(j, err);
            break;
        }
        if (j->writing)
            await_commit_locked(j);
        else
            lead_locked(j);
    }
    wm_mutex_unlock(&j->mu);
    return status;
}

bool wm_journal_await_commit(struct wm_journal *j)
{
    wm_mutex_lock(&j->mu);
    bool writing = j->writing;
    if (writing) /* whatever wakes us: it is only worth waiting, not needed */
        await_commit_locked(j);
    wm_mutex_unlock(&j->mu);
    return writing;
}

void wm_journal_await_room(struct wm_journal *j)
{
    if (!atomic_load_explicit(&j->cramped, memory_order_relaxed) && !atomic_load_explicit(&j->bulky, memory_order_relaxed))
        return;
    wm_mutex_lock(&j->mu);
    touch_locked(j);
    while (atomic_load(&j->bulky) && !atomic_load(&j->failed)) {
        if (j->writing)
            await_commit_locked(j);
        else
            lead_locked(j);
    }
    for (int waits = 0; atomic_load(&j->cramped) && !atomic_load(&j->failed) && waits < JOURNAL_PREPARE_WAITS;) {
        if (j->pending->len > 0 && !j->writing)
            lead_locked(j); /* those calls need not wait for a segment */
        else if (!wm_cond_wait_ms(&j->prepare_done, &j->mu, JOURNAL_PREPARE_WAIT_MS))
            waits++;
    }
    wm_mutex_unlock(&j->mu);
}

bool wm_journal_has_room(struct wm_journal *j)
{
    wm_mutex_lock(&j->mu);
    bool has = j->next && !atomic_load(&j->failed);
    wm_mutex_unlock(&j->mu);
    return has;
}

uint64_t wm_journal_appended(struct wm_journal *j)
{
    wm_mutex_lock(&j->mu);
    uint64_t seq = j->next_seq - 1;
    wm_mutex_unlock(&j->mu);
    return seq;
}

void wm_journal_id(const struct wm_journal *j, uint8_t out_id[WM_JOURNAL_ID_BYTES])
{
    memcpy(out_id, j->id, JOURNAL_ID_BYTES);
}

uint64_t wm_journal_durable(struct wm_journal *j)
{
    return atomic_load(&j->durable);
}

bool wm_journal_failed(struct wm_journal *j, struct wm_err *out_why)
{
    if (!atomic_load(&j->failed))
        return false;
    if (out_why) {
        wm_mutex_lock(&j->mu);
        *out_why = j->failure;
        wm_mutex_unlock(&j->mu);
    }
    return true;
}

/* ---- cursors and segments ---- */

struct wm_segment *wm_journal_find_locked(struct wm_journal *j, uint64_t seq)
{
    wm_mutex_assert_held(&j->mu);
    struct wm_segment *found = NULL;
    for (struct wm_segment *s = j->oldest; s && (s->first_seq == 0 || s->first_seq <= seq); s = s->newer)
        if (s->first_seq != 0)
            found = s;
    return found && !found->retiring ? found : NULL;
}

/* The first entry behind the oldest segment; 0 when that must stay in any case. */
static uint64_t behind_oldest_locked(struct wm_journal *j) WM_REQUIRES(j->mu)
{
    uint64_t after = 0;
    if (!j->touched || j->n_cursors == 0 || j->oldest == j->tail || atomic_load(&j->failed))
        return 0;
    for (const struct wm_segment *n = j->oldest->newer; n && after == 0; n = n->newer)
        after = n->first_seq;
    /* The newest durable entry must stay: without it nobody could tell where the numbers go on. */
    return after <= atomic_load(&j->durable) ? after : 0;
}

static bool holds_back(const struct wm_cursor *c, uint64_t after)
{
    return c->paused_upto == 0 && c->seq + 1 < after;
}

bool wm_journal_retirable_locked(struct wm_journal *j)
{
    wm_mutex_assert_held(&j->mu);
    uint64_t after = behind_oldest_locked(j);
    for (size_t i = 0; i < j->n_cursors; i++)
        if (holds_back(&j->cursors[i], after))
            return false;
    return after != 0;
}

/* What a cursor has held back may go now. */
static void let_retire_locked(struct wm_journal *j) WM_REQUIRES(j->mu)
{
    if (!wm_journal_retirable_locked(j))
        return;
    if (j->prepare_state == PREPARE_REFUSED)
        j->prepare_state = PREPARE_WORKING; /* calls now wait for it */
    wm_journal_note_room_locked(j);
    wm_cond_signal(&j->prepare_wake);
}

/* The oldest entry that is kept; next_seq when there is none. */
static uint64_t first_seq_locked(struct wm_journal *j) WM_REQUIRES(j->mu)
{
    for (const struct wm_segment *s = j->oldest; s; s = s->newer)
        if (!s->retiring && s->first_seq != 0)
            return s->first_seq;
    return j->next_seq;
}

static struct wm_cursor *find_cursor_locked(struct wm_journal *j, const char *follower) WM_REQUIRES(j->mu)
{
    for (size_t i = 0; i < j->n_cursors; i++)
        if (strcmp(j->cursors[i].name, follower) == 0)
            return &j->cursors[i];
    return NULL;
}

static struct wm_cursor *add_cursor_locked(struct wm_journal *j, const char *follower, uint64_t seq) WM_REQUIRES(j->mu)
{
    uint64_t first_seq = first_seq_locked(j);
    if (j->n_cursors == JOURNAL_MAX_FOLLOWERS)
        return NULL;
    struct wm_cursor *c = &j->cursors[j->n_cursors++];
    *c = (struct wm_cursor){.seq = seq};
    (void)snprintf(c->name, sizeof c->name, "%s", follower); /* the caller has looked at its length */
    if (seq + 1 < first_seq) /* what it needs is gone already: nothing would be gained by keeping the rest */
        c->paused_upto = first_seq - 1;
    return c;
}

enum wm_status wm_journal_set_cursor(struct wm_journal *j, const char *follower, uint64_t seq)
{
    if (strlen(follower) >= WM_JOURNAL_FOLLOWER_BYTES)
        return WM_E_LIMIT;
    if (seq > atomic_load(&j->durable))
        return WM_E_CORRUPT; /* it has seen what the journal does not have */
    wm_mutex_lock(&j->mu);
    struct wm_cursor *c = find_cursor_locked(j, follower);
    if (!c)
        c = add_cursor_locked(j, follower, seq);
    if (c) {
        if (seq > c->seq)
            c->seq = seq;
        if (c->paused_upto != 0 && c->seq >= c->paused_upto && c->seq + 1 >= first_seq_locked(j)) {
            c->paused_upto = 0;
            c->resumed = true;
        }
        let_retire_locked(j);
    }
    wm_mutex_unlock(&j->mu);
    return c ? WM_OK : WM_E_LIMIT;
}

void wm_journal_allow_pause(struct wm_journal *j, const char *follower)
{
    wm_mutex_lock(&j->mu);
    struct wm_cursor *c = find_cursor_locked(j, follower);
    WM_ASSERT(c);
    c->pausable = true;
    wm_mutex_unlock(&j->mu);
}

bool wm_journal_find_follower(struct wm_journal *j, const char *name, struct wm_journal_follower *out)
{
    wm_mutex_lock(&j->mu);
    const struct wm_cursor *c = find_cursor_locked(j, name);
    if (c)
        *out = (struct wm_journal_follower){.cursor = c->seq, .paused = c->paused_upto != 0};
    wm_mutex_unlock(&j->mu);
    return c != NULL;
}

/* ---- going on without a follower ---- */

/* The follower to be given up next, so that the oldest segment can be retired; NULL when that would not help, or is not
 * needed, or is not allowed. */
static const struct wm_cursor *burden_locked(struct wm_journal *j, uint64_t after) WM_REQUIRES(j->mu)
{
    const struct wm_cursor *burden = NULL;
    if (j->next || j->prepare_state != PREPARE_REFUSED || j->prepare_err.status != WM_E_FULL)
        return NULL;
    for (size_t i = 0; i < j->n_cursors; i++) {
        const struct wm_cursor *c = &j->cursors[i];
        if (!holds_back(c, after))
            continue;
        if (!c->pausable)
            return NULL;
        burden = c;
    }
    return burden;
}

bool wm_journal_notice(struct wm_journal *j, struct wm_journal_notice *out)
{
    wm_mutex_lock(&j->mu);
    uint64_t after = behind_oldest_locked(j);
    const struct wm_cursor *c = burden_locked(j, after);
    struct wm_journal_notice n = {.pause = c != NULL};
    if (c) {
        n.first_seq = c->seq + 1;
        n.last_seq = after - 1;
        n.why = j->prepare_err;
    }
    for (size_t i = 0; i < j->n_cursors && !c; i++)
        if (j->cursors[i].resumed) {
            c = &j->cursors[i];
            n.first_seq = c->seq + 1;
        }
    if (c) {
        memcpy(n.follower, c->name, sizeof n.follower);
        *out = n;
    }
    wm_mutex_unlock(&j->mu);
    return c != NULL;
}

void wm_journal_noticed(struct wm_journal *j, const struct wm_journal_notice *n)
{
    wm_mutex_lock(&j->mu);
    struct wm_cursor *c = find_cursor_locked(j, n->follower);
    WM_ASSERT(c);
    if (!n->pause)
        c->resumed = false;
    else if (c->seq >= n->last_seq)
        c->resumed = true; /* it has moved on meanwhile, and lost nothing */
    else {
        c->paused_upto = n->last_seq;
        let_retire_locked(j);
    }
    wm_mutex_unlock(&j->mu);
}

void wm_journal_stats(struct wm_journal *j, struct wm_journal_stats *out)
{
    struct wm_journal_stats s = {0};
    wm_mutex_lock(&j->mu);
    s.appended = j->appended;
    s.commits = j->commits;
    s.last_seq = j->next_seq - 1;
    s.durable_seq = atomic_load(&j->durable);
    s.max_bytes = j->max_bytes;
    s.first_seq = first_seq_locked(j);
    for (const struct wm_segment *seg = j->oldest; seg; seg = seg->newer) {
        s.segments++;
        s.bytes += seg->bytes;
    }
    if (j->next) {
        s.segments++;
        s.bytes += j->next->bytes;
    }
    wm_mutex_unlock(&j->mu);
    *out = s;
}

bool wm_journal_refuses(struct wm_journal *j, struct wm_err *out_why)
{
    wm_mutex_lock(&j->mu);
    bool refusing = j->refusing;
    if (refusing && out_why)
        *out_why = j->refusal;
    wm_mutex_unlock(&j->mu);
    return refusing;
}
