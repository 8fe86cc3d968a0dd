#include "waymark/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "waymark/bounds.h"

#include "waymark/banned.h"

/* ---- the table over POSIX ---- */

static int posix_open(void *ctx, const char *path, int flags, mode_t mode)
{
    (void)ctx;
    int fd;
    do
        fd = open(path, flags | O_CLOEXEC, mode);
    while (fd < 0 && errno == EINTR);
    return fd < 0 ? -errno : fd;
}

static int posix_close(void *ctx, int fd)
{
    (void)ctx;
    return close(fd) < 0 && errno != EINTR ? -errno : 0; /* on Linux the descriptor is gone also after EINTR */
}

static ssize_t posix_pread(void *ctx, int fd, void *buf, size_t len, uint64_t offset)
{
    (void)ctx;
    ssize_t n = pread(fd, buf, len, (off_t)offset);
    return n < 0 ? -errno : n;
}

static ssize_t posix_pwrite(void *ctx, int fd, const void *buf, size_t len, uint64_t offset)
{
    (void)ctx;
    ssize_t n = pwrite(fd, buf, len, (off_t)offset);
    return n < 0 ? -errno : n;
}

static int posix_fdatasync(void *ctx, int fd)
{
    (void)ctx;
    return fdatasync(fd) < 0 ? -errno : 0;
}

static int posix_fsync(void *ctx, int fd)
{
    (void)ctx;
    return fsync(fd) < 0 ? -errno : 0;
}

static int posix_ftruncate(void *ctx, int fd, uint64_t len)
{
    (void)ctx;
    return ftruncate(fd, (off_t)len) < 0 ? -errno : 0;
}

static int posix_fstat(void *ctx, int fd, struct stat *out)
{
    (void)ctx;
    return fstat(fd, out) < 0 ? -errno : 0;
}

static int posix_rename(void *ctx, const char *from, const char *to)
{
    (void)ctx;
    return rename(from, to) < 0 ? -errno : 0;
}

static int posix_link(void *ctx, const char *from, const char *to)
{
    (void)ctx;
    return link(from, to) < 0 ? -errno : 0;
}

static int posix_unlink(void *ctx, const char *path)
{
    (void)ctx;
    return unlink(path) < 0 ? -errno : 0;
}

static int posix_mkdir(void *ctx, const char *path, mode_t mode)
{
    (void)ctx;
    return mkdir(path, mode) < 0 ? -errno : 0;
}

static int posix_sync_dir(void *ctx, const char *path)
{
    int fd = posix_open(ctx, path, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0)
        return fd;
    int rc = posix_fsync(ctx, fd);
    int closed = posix_close(ctx, fd);
    return rc < 0 ? rc : closed;
}

static int posix_list(void *ctx, const char *path, int (*each)(void *arg, const char *name), void *arg)
{
    (void)ctx;
    DIR *d = opendir(path);
    if (!d)
        return -errno;
    int rc = 0;
    for (;;) {
        errno = 0;
        struct dirent *e = readdir(d);
        if (!e) {
            rc = -errno;
            break;
        }
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        rc = each(arg, e->d_name);
        if (rc != 0)
            break;
    }
    (void)closedir(d); /* was only read */
    return rc;
}

static int posix_free_bytes(void *ctx, const char *path, uint64_t *out)
{
    (void)ctx;
    struct statvfs v;
    if (statvfs(path, &v) < 0)
        return -errno;
    *out = (uint64_t)v.f_bavail * v.f_frsize; /* without what is kept for root, be it that we are root */
    return 0;
}

const struct wm_io wm_io_posix = {
    .open = posix_open,
    .close = posix_close,
    .pread = posix_pread,
    .pwrite = posix_pwrite,
    .fdatasync = posix_fdatasync,
    .fsync = posix_fsync,
    .ftruncate = posix_ftruncate,
    .fstat = posix_fstat,
    .rename = posix_rename,
    .link = posix_link,
    .unlink = posix_unlink,
    .mkdir = posix_mkdir,
    .sync_dir = posix_sync_dir,
    .list = posix_list,
    .free_bytes = posix_free_bytes,
};

/* ---- built from the table ---- */

enum wm_status wm_io_write_all(const struct wm_io *io, int fd, const void *buf, size_t len, uint64_t offset,
                               struct wm_err *err)
{
    const char *p = buf;
    while (len) {
        ssize_t n = io->pwrite(io->ctx, fd, p, len, offset);
        if (n == -EINTR)
            continue;
        if (n < 0)
            return wm_fail_errno(err, (int)-n, "write of %zu bytes at %llu", len, (unsigned long long)offset);
        if (n == 0) /* POSIX gives no meaning to it; taking it for progress would loop for ever */
            return wm_fail_errno(err, EIO, "write of %zu bytes at %llu wrote nothing", len, (unsigned long long)offset);
        p += n;
        len -= (size_t)n;
        offset += (uint64_t)n;
    }
    return WM_OK;
}

enum wm_status wm_io_read_all(const struct wm_io *io, int fd, void *buf, size_t len, uint64_t offset, size_t *out_len,
                              struct wm_err *err)
{
    char *p = buf;
    size_t got = 0;
    while (got < len) {
        ssize_t n = io->pread(io->ctx, fd, p + got, len - got, offset + got);
        if (n == -EINTR)
            continue;
        if (n < 0)
            return wm_fail_errno(err, (int)-n, "read of %zu bytes at %llu", len - got,
                                 (unsigned long long)(offset + got));
        if (n == 0)
            break;
        got += (size_t)n;
    }
    *out_len = got;
    return WM_OK;
}

enum wm_status wm_io_read_file(const struct wm_io *io, const char *path, struct wm_buf *out, struct wm_err *err)
{
    enum wm_status status = WM_OK;
    size_t start = out->len;
    int fd = io->open(io->ctx, path, O_RDONLY, 0);
    if (fd < 0)
        return wm_fail_errno(err, -fd, "cannot open %s", path);
    for (;;) {
        char *room = wm_buf_room(out, 16384);
        if (!room && out->status == WM_E_LIMIT && out->max > out->len) { /* the last piece below the ceiling */
            out->status = WM_OK;
            room = wm_buf_room(out, out->max - out->len);
        }
        size_t want = room ? (out->max - out->len < 16384 ? out->max - out->len : 16384) : 0, got = 0;
        if (!room) {
            char more;
            status = wm_io_read_all(io, fd, &more, 1, out->len - start, &got, err);
            if (status == WM_OK && got == 0 && out->status == WM_E_LIMIT)
                out->status = WM_OK; /* exactly as large as the ceiling */
            else if (status == WM_OK)
                status = wm_fail(err, out->status, "%s is larger than %zu bytes", path, out->max);
            break;
        }
        status = wm_io_read_all(io, fd, room, want, out->len - start, &got, err);
        if (status != WM_OK)
            break;
        wm_buf_grow(out, got);
        if (got < want)
            break;
    }
    (void)io->close(io->ctx, fd); /* was only read */
    if (status != WM_OK)
        wm_buf_truncate(out, start);
    return status;
}

static bool parent_of(const char *path, char out[WM_MAX_PATH_BYTES])
{
    struct wm_view v = wm_view_of(path);
    while (v.len > 1 && v.ptr[v.len - 1] == '/')
        v.len--;
    size_t slash = wm_view_rfind(v, '/');
    if (slash == v.len)
        return wm_view_copy(WM_LIT("."), out, WM_MAX_PATH_BYTES);
    return wm_view_copy(wm_view_sub(v, 0, slash ? slash : 1), out, WM_MAX_PATH_BYTES);
}

enum wm_status wm_io_replace_file(const struct wm_io *io, const char *path, struct wm_view content, mode_t mode,
                                  struct wm_err *err)
{
    char aside[WM_MAX_PATH_BYTES], parent[WM_MAX_PATH_BYTES];
    int n = snprintf(aside, sizeof aside, "%s.tmp", path);
    if (n < 0 || (size_t)n >= sizeof aside || !parent_of(path, parent))
        return wm_fail(err, WM_E_LIMIT, "path is longer than %u bytes", WM_MAX_PATH_BYTES - 1);
    enum wm_status status;
    int fd = io->open(io->ctx, aside, O_WRONLY | O_CREAT | O_TRUNC, mode);
    if (fd < 0)
        return wm_fail_errno(err, -fd, "cannot create %s", aside);
    status = wm_io_write_all(io, fd, content.ptr, content.len, 0, err);
    int rc = 0;
    if (status == WM_OK && (rc = io->fsync(io->ctx, fd)) < 0)
        status = wm_fail_errno(err, -rc, "cannot sync %s", aside);
    rc = io->close(io->ctx, fd);
    if (status == WM_OK && rc < 0)
        status = wm_fail_errno(err, -rc, "cannot close %s", aside);
    if (status == WM_OK && (rc = io->rename(io->ctx, aside, path)) < 0)
        status = wm_fail_errno(err, -rc, "cannot rename %s to %s", aside, path);
    if (status != WM_OK) {
        (void)io->unlink(io->ctx, aside); /* the first failure is the one to tell */
        return status;
    }
    if ((rc = io->sync_dir(io->ctx, parent)) < 0)
        return wm_fail_errno(err, -rc, "cannot sync %s", parent);
    return WM_OK;
}

enum wm_status wm_io_make_dirs(const struct wm_io *io, const char *path, mode_t mode, struct wm_err *err)
{
    char level[WM_MAX_PATH_BYTES], parent[WM_MAX_PATH_BYTES];
    struct wm_view whole = wm_view_of(path);
    while (whole.len > 1 && whole.ptr[whole.len - 1] == '/')
        whole.len--;
    for (size_t end = 1; end <= whole.len; end++) {
        if (end < whole.len && whole.ptr[end] != '/')
            continue;
        if (!wm_view_copy(wm_view_sub(whole, 0, end), level, sizeof level) || !parent_of(level, parent))
            return wm_fail(err, WM_E_LIMIT, "path is longer than %u bytes", WM_MAX_PATH_BYTES - 1);
        int rc = io->mkdir(io->ctx, level, mode);
        if (rc == -EEXIST || rc == -EISDIR)
            continue;
        if (rc < 0) {
            /* A level that we may not make may exist all the same (EROFS, EACCES on "/"): the last level decides. */
            if (end < whole.len && (rc == -EROFS || rc == -EACCES || rc == -EPERM))
                continue;
            return wm_fail_errno(err, -rc, "cannot make folder %s", level);
        }
        if ((rc = io->sync_dir(io->ctx, parent)) < 0)
            return wm_fail_errno(err, -rc, "cannot sync %s", parent);
    }
    int fd = io->open(io->ctx, path, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0)
        return wm_fail_errno(err, -fd, "cannot use folder %s", path);
    (void)io->close(io->ctx, fd); /* was only looked at */
    return WM_OK;
}
