#include "tests/support/fault_io.h"

#include <errno.h>
#include <fcntl.h>

#include "waymark/banned.h"

/* May this operation pass? */
static bool trip(struct fault_io *f, enum fault_where group)
{
    unsigned at = atomic_load(&f->fail_at);
    if (at == 0 || (f->where == FAULT_SYNCS && group != FAULT_SYNCS) || (f->where == FAULT_WRITES && group == FAULT_ANY))
        return false;
    unsigned n = atomic_fetch_add(&f->count, 1) + 1;
    if (n != at && !(f->sticky && n > at))
        return false;
    atomic_store(&f->hit, true);
    return true;
}

static int code(const struct fault_io *f)
{
    return f->kind == FAULT_ENOSPC ? -ENOSPC : -EIO;
}

static int fault_open(void *ctx, const char *path, int flags, mode_t mode)
{
    struct fault_io *f = ctx;
    if ((flags & O_CREAT) && atomic_load(&f->disk_full))
        return -ENOSPC;
    if (trip(f, flags & O_CREAT ? FAULT_WRITES : FAULT_ANY) && f->kind != FAULT_EINTR)
        return code(f);
    return f->real->open(f->real->ctx, path, flags, mode);
}

static int fault_close(void *ctx, int fd)
{
    struct fault_io *f = ctx;
    return f->real->close(f->real->ctx, fd); /* a close that fails has closed all the same */
}

static ssize_t fault_pread(void *ctx, int fd, void *buf, size_t len, uint64_t offset)
{
    struct fault_io *f = ctx;
    if (trip(f, FAULT_ANY)) {
        if (f->kind == FAULT_EINTR)
            return -EINTR;
        if (f->kind == FAULT_SHORT && len > 1)
            return f->real->pread(f->real->ctx, fd, buf, len / 2, offset);
        return -EIO; /* reading does not run out of space */
    }
    return f->real->pread(f->real->ctx, fd, buf, len, offset);
}

static ssize_t fault_pwrite(void *ctx, int fd, const void *buf, size_t len, uint64_t offset)
{
    struct fault_io *f = ctx;
    atomic_fetch_add(&f->pwrites, 1);
    if (trip(f, FAULT_WRITES)) {
        if (f->kind == FAULT_EINTR)
            return -EINTR;
        if (len > 1 && (f->kind == FAULT_SHORT || f->kind == FAULT_ENOSPC)) {
            /* half of it is on the disk in either case; the rest fails only when the fault stays */
            ssize_t n = f->real->pwrite(f->real->ctx, fd, buf, len / 2, offset);
            return f->kind == FAULT_SHORT && !f->sticky ? n : -ENOSPC;
        }
        return code(f);
    }
    return f->real->pwrite(f->real->ctx, fd, buf, len, offset);
}

#define FAULT_FORWARD(group, call)                       \
    do {                                                 \
        struct fault_io *f = ctx;                        \
        if (trip(f, group) && f->kind != FAULT_EINTR)    \
            return code(f);                              \
        return f->real->call;                            \
    } while (0)

static int fault_fdatasync(void *ctx, int fd)
{
    atomic_fetch_add(&((struct fault_io *)ctx)->syncs, 1);
    FAULT_FORWARD(FAULT_SYNCS, fdatasync(f->real->ctx, fd));
}

static int fault_fsync(void *ctx, int fd)
{
    atomic_fetch_add(&((struct fault_io *)ctx)->syncs, 1);
    FAULT_FORWARD(FAULT_SYNCS, fsync(f->real->ctx, fd));
}

static int fault_ftruncate(void *ctx, int fd, uint64_t len)
{
    FAULT_FORWARD(FAULT_WRITES, ftruncate(f->real->ctx, fd, len));
}

static int fault_fstat(void *ctx, int fd, struct stat *out)
{
    FAULT_FORWARD(FAULT_ANY, fstat(f->real->ctx, fd, out));
}

static int fault_rename(void *ctx, const char *from, const char *to)
{
    FAULT_FORWARD(FAULT_WRITES, rename(f->real->ctx, from, to));
}

static int fault_link(void *ctx, const char *from, const char *to)
{
    FAULT_FORWARD(FAULT_WRITES, link(f->real->ctx, from, to));
}

static int fault_unlink(void *ctx, const char *path)
{
    FAULT_FORWARD(FAULT_WRITES, unlink(f->real->ctx, path));
}

static int fault_mkdir(void *ctx, const char *path, mode_t mode)
{
    FAULT_FORWARD(FAULT_WRITES, mkdir(f->real->ctx, path, mode));
}

static int fault_sync_dir(void *ctx, const char *path)
{
    FAULT_FORWARD(FAULT_SYNCS, sync_dir(f->real->ctx, path));
}

static int fault_list(void *ctx, const char *path, int (*each)(void *arg, const char *name), void *arg)
{
    FAULT_FORWARD(FAULT_ANY, list(f->real->ctx, path, each, arg));
}

static int fault_free_bytes(void *ctx, const char *path, uint64_t *out)
{
    if (atomic_load(&((struct fault_io *)ctx)->disk_full)) {
        *out = 0;
        return 0;
    }
    FAULT_FORWARD(FAULT_ANY, free_bytes(f->real->ctx, path, out));
}

void fault_io_init(struct fault_io *f, const struct wm_io *real)
{
    *f = (struct fault_io){.real = real};
    f->io = (struct wm_io){
        .ctx = f,
        .open = fault_open,
        .close = fault_close,
        .pread = fault_pread,
        .pwrite = fault_pwrite,
        .fdatasync = fault_fdatasync,
        .fsync = fault_fsync,
        .ftruncate = fault_ftruncate,
        .fstat = fault_fstat,
        .rename = fault_rename,
        .link = fault_link,
        .unlink = fault_unlink,
        .mkdir = fault_mkdir,
        .sync_dir = fault_sync_dir,
        .list = fault_list,
        .free_bytes = fault_free_bytes,
    };
}

void fault_io_arm(struct fault_io *f, enum fault_where where, unsigned n, enum fault_kind kind, bool sticky)
{
    atomic_store(&f->fail_at, 0);
    f->where = where;
    f->kind = kind;
    f->sticky = sticky;
    atomic_store(&f->count, 0);
    atomic_store(&f->hit, false);
    atomic_store(&f->fail_at, n);
}

void fault_io_disarm(struct fault_io *f)
{
    atomic_store(&f->fail_at, 0);
}

const char *fault_kind_name(enum fault_kind kind)
{
    static const char *const names[] = {"EIO", "ENOSPC", "short", "EINTR"};
    return names[kind];
}
