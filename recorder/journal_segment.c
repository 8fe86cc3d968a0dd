/*
 * Files of segments: making the next one ahead, retiring old ones, and the thread that does both.
 *
 * A name of the form <ordinal>.journal says that the file has its full size, written and synced, and a valid header.
 * So a segment is finished under another name and then renamed; each step that a later one relies on is synced first:
 *
 *     new:       fill.tmp: zeros to its full size, header, fsync; rename; sync the folder
 *     retired:   rename to "spare" (or unlink, when there is a spare); sync the folder, before the next one is retired,
 *                so that no crash leaves a gap in the numbers
 *     reused:    spare: new header with a new salt, fdatasync; rename; sync the folder
 *
 * What is killed in between leaves fill.tmp or spare behind; opening the journal removes the first and keeps the other
 * if it has the right size. Old bytes in a reused file are harmless: no frame verifies under the new salt.
 *
 * A file that cannot be finished is thrown away and made again later, with the journal open all the while. Only a
 * folder that cannot be synced is final, because names that have been acknowledged would be in doubt.
 */
#include "journal_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "waymark/hash.h"
#include "waymark/log.h"

#include "waymark/banned.h"

#define FILL_CHUNK_BYTES (256u * 1024u)
/* Synced in steps, so that a commit does not queue behind 64 MiB of zeros. */
#define FILL_SYNC_BYTES (4u * 1024u * 1024u)

static void named_path(const struct wm_journal *j, const char *name, char out[SEGMENT_PATH_BYTES])
{
    (void)snprintf(out, SEGMENT_PATH_BYTES, "%s/%s", j->dir, name); /* dir's length is checked at open */
}

void wm_segment_path(const struct wm_journal *j, uint64_t ordinal, char out[SEGMENT_PATH_BYTES])
{
    (void)snprintf(out, SEGMENT_PATH_BYTES, "%s/%010llu.journal", j->dir, (unsigned long long)ordinal);
}

void wm_segment_free(struct wm_journal *j, struct wm_segment *seg)
{
    if (!seg)
        return;
    if (seg->fd >= 0)
        (void)j->io->close(j->io->ctx, seg->fd); /* what counts has been synced */
    free(seg);
}

enum wm_status wm_segment_fill(struct wm_journal *j, int fd, uint64_t bytes, const char *path, struct wm_err *err)
{
    enum wm_status status = WM_OK;
    uint64_t unsynced = 0;
    void *zeros = calloc(1, FILL_CHUNK_BYTES);
    if (!zeros)
        return wm_fail(err, WM_E_NOMEM, "no memory to fill %s", path);
    for (uint64_t at = 0; at < bytes && status == WM_OK;) {
        if (atomic_load(&j->stopping)) {
            status = wm_fail(err, WM_E_END, "stop requested");
            break;
        }
        size_t n = bytes - at < FILL_CHUNK_BYTES ? (size_t)(bytes - at) : FILL_CHUNK_BYTES;
        status = wm_io_write_all(j->io, fd, zeros, n, at, err);
        at += n;
        unsynced += n;
        if (status == WM_OK && (unsynced >= FILL_SYNC_BYTES || at >= bytes)) {
            int rc = j->io->fsync(j->io->ctx, fd);
            if (rc < 0)
                status = wm_fail_errno(err, -rc, "cannot sync %s", path);
            unsynced = 0;
        }
    }
    free(zeros);
    return status;
}

static enum wm_status write_header(struct wm_journal *j, int fd, const struct wm_segment *seg, const char *path,
                                   struct wm_err *err)
{
    uint8_t *h = calloc(1, SEGMENT_HEADER_BYTES);
    if (!h)
        return wm_fail(err, WM_E_NOMEM, "no memory to prepare a segment");
    memcpy(h + SEG_MAGIC, SEGMENT_MAGIC, 8);
    wm_put_le32(h + SEG_VERSION, SEGMENT_VERSION);
    wm_put_le32(h + SEG_HEADER_LEN, SEGMENT_HEADER_BYTES);
    wm_put_le32(h + SEG_SALT, seg->salt);
    memcpy(h + SEG_ID, j->id, JOURNAL_ID_BYTES);
    wm_put_le64(h + SEG_ORDINAL, seg->ordinal);
    wm_put_le64(h + SEG_LEN, seg->bytes);
    wm_put_le64(h + SEG_SYNCED, seg->synced_seq);
    wm_put_le64(h + SEG_CREATED, (uint64_t)wm_clock_wall(j->clock).ns);
    wm_put_le32(h + SEG_CRC, wm_crc32(0, h, SEGMENT_HEADER_BYTES));
    enum wm_status status = wm_io_write_all(j->io, fd, h, SEGMENT_HEADER_BYTES, 0, err);
    free(h);
    if (status != WM_OK)
        return status;
    int rc = j->io->fdatasync(j->io->ctx, fd);
    return rc < 0 ? wm_fail_errno(err, -rc, "cannot sync %s", path) : WM_OK;
}

/* A folder that cannot be synced: tell the caller by WM_E_FAILED that this is final, unless space is the reason. */
static enum wm_status sync_names(struct wm_journal *j, struct wm_err *err)
{
    int rc = j->io->sync_dir(j->io->ctx, j->dir);
    if (rc >= 0)
        return WM_OK;
    enum wm_status status = wm_fail_errno(err, -rc, "cannot sync the folder %s", j->dir);
    if (status == WM_E_FULL)
        return status;
    if (err)
        err->status = WM_E_FAILED;
    return WM_E_FAILED;
}

enum wm_status wm_segment_prepare(struct wm_journal *j, uint64_t ordinal, uint64_t synced_seq, struct wm_segment **out,
                                  struct wm_err *err)
{
    char path[SEGMENT_PATH_BYTES], final_path[SEGMENT_PATH_BYTES];
    bool renamed = false, reuse = j->spare;
    enum wm_status status;
    struct wm_segment *seg = calloc(1, sizeof *seg);
    if (!seg)
        return wm_fail(err, WM_E_NOMEM, "no memory to prepare a segment");
    seg->fd = -1;
    seg->ordinal = ordinal;
    seg->bytes = j->segment_bytes;
    seg->synced_seq = synced_seq;
    while (seg->salt == 0)
        wm_random(&seg->salt, sizeof seg->salt);
    named_path(j, reuse ? "spare" : "fill.tmp", path);
    wm_segment_path(j, ordinal, final_path);

    /* Asked first, so that a full disk is not filled to its last byte and emptied again each second. */
    status = reuse ? WM_OK : wm_space_check(j, j->segment_bytes, err);
    if (status != WM_OK) {
        free(seg);
        return status;
    }
    seg->fd = j->io->open(j->io->ctx, path, O_RDWR | (reuse ? 0 : O_CREAT | O_TRUNC), 0600);
    if (seg->fd < 0) {
        status = wm_fail_errno(err, -seg->fd, "cannot open %s", path);
        goto out;
    }
    if (!reuse) {
        status = wm_segment_fill(j, seg->fd, seg->bytes, path, err);
        if (status != WM_OK)
            goto out;
    }
    status = write_header(j, seg->fd, seg, path, err);
    if (status != WM_OK)
        goto out;
    int rc = j->io->rename(j->io->ctx, path, final_path);
    if (rc < 0) {
        status = wm_fail_errno(err, -rc, "cannot rename %s", path);
        goto out;
    }
    renamed = true;
    status = sync_names(j, err);
out:
    if (reuse)
        j->spare = false; /* used, or thrown away below */
    if (status != WM_OK) {
        wm_segment_free(j, seg);
        /* Best effort: what stays behind is overwritten by the next try, or removed when the journal is opened. */
        (void)j->io->unlink(j->io->ctx, renamed ? final_path : path);
        return status;
    }
    wm_log(WM_EV_SEGMENT_NEW, "path=%s reused=%s", final_path, reuse ? "yes" : "no");
    *out = seg;
    return WM_OK;
}

enum wm_status wm_segment_retire(struct wm_journal *j, const struct wm_segment *seg, struct wm_err *err)
{
    char path[SEGMENT_PATH_BYTES], spare_path[SEGMENT_PATH_BYTES];
    wm_segment_path(j, seg->ordinal, path);
    named_path(j, "spare", spare_path);
    bool keep = !j->spare && seg->bytes == j->segment_bytes;
    int rc = keep ? j->io->rename(j->io->ctx, path, spare_path) : j->io->unlink(j->io->ctx, path);
    /* -ENOENT: an earlier try got this far and then failed to sync the folder */
    if (rc < 0 && rc != -ENOENT)
        return wm_fail_errno(err, -rc, "cannot retire %s", path);
    enum wm_status status = sync_names(j, err);
    if (status != WM_OK)
        return status;
    if (keep && rc >= 0)
        j->spare = true;
    wm_log(WM_EV_SEGMENT_RETIRED, "path=%s kept=%s", path, keep ? "yes" : "no");
    return WM_OK;
}

/* Below max_bytes with one more? A spare is on the disk already. */
static bool may_grow_locked(struct wm_journal *j) WM_REQUIRES(j->mu)
{
    if (j->max_bytes == 0 || j->spare)
        return true;
    uint64_t bytes = 0;
    for (const struct wm_segment *s = j->oldest; s; s = s->newer)
        bytes += s->bytes;
    return bytes <= j->max_bytes && j->max_bytes - bytes >= j->segment_bytes;
}

/* @return true when something was retired: look again */
static bool retire_one_locked(struct wm_journal *j, bool *trouble) WM_REQUIRES(j->mu)
{
    if (!wm_journal_retirable_locked(j))
        return false;
    struct wm_err err = {0};
    struct wm_segment *seg = j->oldest;
    seg->retiring = true; /* no reader enters any more */
    wm_mutex_unlock(&j->mu);
    enum wm_status status = wm_segment_retire(j, seg, &err);
    wm_mutex_lock(&j->mu);
    if (status != WM_OK) {
        if (status == WM_E_FAILED)
            wm_journal_fail_locked(j, &err);
        *trouble = true; /* stays the oldest and is tried again */
        return false;
    }
    j->oldest = seg->newer;
    wm_segment_free(j, seg);
    return true;
}

static void keep_ballast_locked(struct wm_journal *j, bool *trouble) WM_REQUIRES(j->mu)
{
    wm_mutex_unlock(&j->mu);
    bool kept = wm_ballast_keep(j);
    wm_mutex_lock(&j->mu);
    *trouble = *trouble || !kept;
}

static void prepare_next_locked(struct wm_journal *j, bool *trouble) WM_REQUIRES(j->mu)
{
    struct wm_err err = {0};
    struct wm_segment *seg = NULL;
    enum wm_status status;
    if (!may_grow_locked(j)) {
        status = wm_fail(&err, WM_E_FULL, "the journal has reached its limit of %llu bytes; it goes on when followers "
                         "have caught up", (unsigned long long)j->max_bytes);
    } else {
        uint64_t ordinal = j->tail->ordinal + 1, synced = atomic_load(&j->durable);
        wm_mutex_unlock(&j->mu);
        status = wm_segment_prepare(j, ordinal, synced, &seg, &err);
        if (status == WM_E_FULL)
            wm_ballast_give_up(j);
        wm_mutex_lock(&j->mu);
        if (status == WM_E_FAILED)
            wm_journal_fail_locked(j, &err);
        *trouble = status != WM_OK;
    }
    if (status == WM_OK) {
        j->next = seg;
        j->prepare_state = PREPARE_DONE;
        j->refusing = false;
    } else {
        j->prepare_state = PREPARE_REFUSED;
        j->prepare_err = err;
    }
    wm_journal_note_room_locked(j);
    wm_cond_broadcast(&j->prepare_done);
}

void *wm_preparer_run(void *journal)
{
    struct wm_journal *j = journal;
    WM_ASSERT(j->magic == JOURNAL_MAGIC_NUMBER);
    wm_mutex_lock(&j->mu);
    while (!atomic_load(&j->stopping) && !atomic_load(&j->failed)) {
        bool trouble = false;
        while (!atomic_load(&j->stopping) && retire_one_locked(j, &trouble)) {
        }
        if (!j->next && !atomic_load(&j->failed))
            prepare_next_locked(j, &trouble);
        if (j->next && !atomic_load(&j->failed))
            keep_ballast_locked(j, &trouble);
        if (atomic_load(&j->stopping) || atomic_load(&j->failed))
            break;
        if (trouble)
            (void)wm_cond_wait_ms(&j->prepare_wake, &j->mu, JOURNAL_PREPARE_RETRY_MS); /* woken or not: look again */
        else if (!wm_journal_retirable_locked(j) && (j->next || j->prepare_state == PREPARE_REFUSED))
            wm_cond_wait(&j->prepare_wake, &j->mu);
    }
    wm_mutex_unlock(&j->mu);
    return NULL;
}
