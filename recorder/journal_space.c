/*
 * Space on the disk, beside that of the segments.
 *
 * A segment is retired when the followers have passed it. To say that they have, they must write into databases of their
 * own; on a disk that is full to the last byte none of them could, and the journal would wait for them for ever, as they
 * for it. So there is a file "ballast", full of zeros, whose space is theirs:
 *
 *   - it is removed when the next segment cannot be made because the disk is full, and when the journal is opened on a disk
 *     that is nearly full, since recovery, too, must write (the copy of the last batch, the followers' databases);
 *   - a new segment is made only where it leaves as much again as the ballast has, so what was given up is not taken by the
 *     journal itself, and where others fill the disk there is time to see it;
 *   - it is made again when twice its size is free.
 *
 * What it holds is never read. One that a kill has left unfinished has another size, and is made anew.
 */
#include "journal_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "waymark/log.h"

#include "waymark/banned.h"

static void ballast_path(const struct wm_journal *j, char out[SEGMENT_PATH_BYTES])
{
    (void)snprintf(out, SEGMENT_PATH_BYTES, "%s/ballast", j->dir); /* dir's length is checked at open */
}

/* Are so many bytes free? Where the file system does not say, the write itself will. */
static bool is_free(struct wm_journal *j, uint64_t bytes, uint64_t *out_left)
{
    *out_left = 0;
    return j->io->free_bytes(j->io->ctx, j->dir, out_left) < 0 || *out_left >= bytes;
}

enum wm_status wm_space_check(struct wm_journal *j, uint64_t bytes, struct wm_err *err)
{
    uint64_t left;
    if (is_free(j, bytes + j->ballast_bytes, &left))
        return WM_OK;
    return wm_fail_errno(err, ENOSPC, "a segment of %llu bytes is not made in %s while %llu are free",
                         (unsigned long long)bytes, j->dir, (unsigned long long)left);
}

void wm_ballast_give_up(struct wm_journal *j)
{
    char path[SEGMENT_PATH_BYTES];
    if (!j->ballast)
        return;
    ballast_path(j, path);
    int rc = j->io->unlink(j->io->ctx, path);
    if (rc < 0 && rc != -ENOENT)
        return; /* tried again with the next segment */
    j->ballast = false;
    wm_log(WM_EV_BALLAST_GIVEN_UP, "path=%s bytes=%llu", path, (unsigned long long)j->ballast_bytes);
}

bool wm_ballast_keep(struct wm_journal *j)
{
    char path[SEGMENT_PATH_BYTES];
    uint64_t left;
    if (j->ballast || j->ballast_bytes == 0)
        return true;
    if (!is_free(j, 2 * j->ballast_bytes, &left))
        return false;
    ballast_path(j, path);
    int fd = j->io->open(j->io->ctx, path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (fd < 0)
        return false;
    enum wm_status status = wm_segment_fill(j, fd, j->ballast_bytes, path, NULL);
    (void)j->io->close(j->io->ctx, fd); /* what counts has been synced */
    if (status == WM_OK)
        j->ballast = true;
    else
        (void)j->io->unlink(j->io->ctx, path); /* one that stays is made anew */
    return j->ballast;
}

void wm_ballast_found(struct wm_journal *j)
{
    char path[SEGMENT_PATH_BYTES];
    struct stat st;
    uint64_t left;
    ballast_path(j, path);
    int fd = j->io->open(j->io->ctx, path, O_RDONLY, 0);
    if (fd < 0)
        return; /* made anew, as when it has another size */
    int rc = j->io->fstat(j->io->ctx, fd, &st);
    (void)j->io->close(j->io->ctx, fd); /* only looked at */
    j->ballast = rc >= 0 && (uint64_t)st.st_size == j->ballast_bytes;
    if (j->ballast_bytes == 0 || !is_free(j, j->ballast_bytes, &left)) {
        j->ballast = true; /* of whatever size */
        wm_ballast_give_up(j);
    }
}
