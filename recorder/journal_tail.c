/*
 * The file "tail": a copy of the last batch, made by recovery before it writes that batch once more in its place. The
 * batch may have been acknowledged, and a power cut while a sector is written may leave garbage in it, also where the new
 * bytes are the old ones. So at each moment one of the two is whole (as with InnoDB's doublewrite buffer).
 *
 *        0  8  magic "WMTAIL\r\n"                    32  8  where in the segment
 *        8  4  version, 1                            40  8  bytes of the copy
 *       12  4  CRC-32 of the file, this field 0      48 16  id of the journal
 *       16  4  salt of the segment                   64     the copy
 *       20  4  zero
 *       24  8  ordinal of the segment
 *
 * It is written aside, synced, renamed, and the folder synced, before the segment is touched; and removed when the
 * segment is synced. While it is there, whoever reads the segment sees the copy in its place. One that should have been
 * removed does no harm: the entries in it were kept, and never change; a segment in a reused file has another salt.
 */
#include "journal_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "waymark/hash.h"

#include "waymark/banned.h"

static void tail_path(const char *dir, char out[SEGMENT_PATH_BYTES])
{
    (void)snprintf(out, SEGMENT_PATH_BYTES, "%s/tail", dir); /* dir's length is checked at open */
}

/* Take the file apart; a file that is not whole is none. */
static bool tail_decode(uint8_t *p, size_t len, struct wm_tail *out)
{
    if (len < TAIL_HEADER_BYTES || memcmp(p, TAIL_MAGIC, 8) != 0 || wm_get_le32(p + TAIL_VERSION_AT) != TAIL_VERSION)
        return false;
    uint32_t crc = wm_get_le32(p + TAIL_CRC);
    wm_put_le32(p + TAIL_CRC, 0);
    if (crc != wm_crc32(0, p, len) || wm_get_le64(p + TAIL_LEN) != len - TAIL_HEADER_BYTES ||
        wm_get_le64(p + TAIL_OFFSET) > SEGMENT_MAX_BYTES)
        return false;
    *out = (struct wm_tail){
        .ordinal = wm_get_le64(p + TAIL_ORDINAL),
        .offset = wm_get_le64(p + TAIL_OFFSET),
        .salt = wm_get_le32(p + TAIL_SALT),
        .len = len - TAIL_HEADER_BYTES,
        .data = p,
    };
    return true;
}

enum wm_status wm_tail_load(const struct wm_io *io, const char *dir, struct wm_tail *out, struct wm_err *err)
{
    char path[SEGMENT_PATH_BYTES];
    struct stat st;
    uint8_t *data = NULL;
    size_t len = 0;
    *out = (struct wm_tail){0};
    tail_path(dir, path);
    int fd = io->open(io->ctx, path, O_RDONLY, 0);
    if (fd == -ENOENT)
        return WM_OK;
    if (fd < 0)
        return wm_fail_errno(err, -fd, "cannot open %s", path);
    enum wm_status status = WM_OK;
    int rc = io->fstat(io->ctx, fd, &st);
    if (rc < 0)
        status = wm_fail_errno(err, -rc, "cannot stat %s", path);
    if (status == WM_OK && st.st_size >= TAIL_HEADER_BYTES && (uint64_t)st.st_size <= SEGMENT_MAX_BYTES) {
        data = malloc((size_t)st.st_size);
        status = data ? wm_io_read_all(io, fd, data, (size_t)st.st_size, 0, &len, err)
                      : wm_fail(err, WM_E_NOMEM, "no memory to read %s", path);
    }
    (void)io->close(io->ctx, fd); /* only read */
    if (status != WM_OK || !data || !tail_decode(data, len, out))
        free(data);
    return status;
}

enum wm_status wm_tail_save(const struct wm_journal *j, const struct wm_segment *seg, struct wm_window *w, uint64_t from,
                            uint64_t to, struct wm_err *err)
{
    char path[SEGMENT_PATH_BYTES];
    size_t len = TAIL_HEADER_BYTES + (size_t)(to - from), at = TAIL_HEADER_BYTES;
    uint8_t *data = calloc(1, len);
    if (!data)
        return wm_fail(err, WM_E_NOMEM, "no memory to mend the journal");
    enum wm_status status = WM_OK;
    while (at < len && status == WM_OK) {
        const uint8_t *p;
        size_t have, want = len - at < WINDOW_BYTES ? len - at : WINDOW_BYTES;
        status = wm_window_get(w, from + (at - TAIL_HEADER_BYTES), want, &p, &have, err);
        if (status == WM_OK && have < want)
            status = wm_fail(err, WM_E_IO, "a journal segment became shorter while it was read");
        if (status == WM_OK)
            memcpy(data + at, p, want);
        at += want;
    }
    if (status == WM_OK) {
        memcpy(data, TAIL_MAGIC, 8);
        wm_put_le32(data + TAIL_VERSION_AT, TAIL_VERSION);
        wm_put_le32(data + TAIL_SALT, seg->salt);
        wm_put_le64(data + TAIL_ORDINAL, seg->ordinal);
        wm_put_le64(data + TAIL_OFFSET, from);
        wm_put_le64(data + TAIL_LEN, to - from);
        memcpy(data + TAIL_ID, j->id, JOURNAL_ID_BYTES);
        wm_put_le32(data + TAIL_CRC, wm_crc32(0, data, len));
        tail_path(j->dir, path);
        status = wm_io_replace_file(j->io, path, (struct wm_view){(const char *)data, len}, 0600, err);
    }
    free(data);
    return status;
}

void wm_tail_remove(const struct wm_journal *j)
{
    char path[SEGMENT_PATH_BYTES];
    tail_path(j->dir, path);
    (void)j->io->unlink(j->io->ctx, path); /* one that stays does no harm */
}

void wm_tail_done(struct wm_tail *t)
{
    free(t->data);
    *t = (struct wm_tail){0};
}
