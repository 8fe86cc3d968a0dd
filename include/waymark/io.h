/**
 * The table of file operations. All that the journal, the state, the keys and the folder store do to the disk goes
 * through one of these, so that a test can fail operation n, or rebuild what a power cut could leave behind.
 *
 * Each operation returns a value >= 0, or the negated errno. `ctx` is handed back to every call.
 *
 * @thread any (the posix table; a test's own table says)   @locks none
 */
#ifndef WAYMARK_IO_H
#define WAYMARK_IO_H

#include <sys/stat.h>
#include <sys/types.h>

#include "waymark/buf.h"
#include "waymark/status.h"

struct wm_io {
    void *ctx;
    int (*open)(void *ctx, const char *path, int flags, mode_t mode); /* O_CLOEXEC is always added */
    int (*close)(void *ctx, int fd);
    ssize_t (*pread)(void *ctx, int fd, void *buf, size_t len, uint64_t offset);
    ssize_t (*pwrite)(void *ctx, int fd, const void *buf, size_t len, uint64_t offset);
    int (*fdatasync)(void *ctx, int fd);
    int (*fsync)(void *ctx, int fd);
    int (*ftruncate)(void *ctx, int fd, uint64_t len);
    int (*fstat)(void *ctx, int fd, struct stat *out);
    int (*rename)(void *ctx, const char *from, const char *to);
    int (*link)(void *ctx, const char *from, const char *to); /* fails with EEXIST: the atomic "create if none" */
    int (*unlink)(void *ctx, const char *path);
    int (*mkdir)(void *ctx, const char *path, mode_t mode);
    int (*sync_dir)(void *ctx, const char *path); /* fsync of a directory: makes names in it durable */
    /** Call each with every name in a directory but "." and "..", in no order; stops at the first non-zero result. */
    int (*list)(void *ctx, const char *path, int (*each)(void *arg, const char *name), void *arg);
    /** Bytes that can still be written on the file system of path: what it says, which a quota may lower. */
    int (*free_bytes)(void *ctx, const char *path, uint64_t *out);
};

/** The real thing. */
extern const struct wm_io wm_io_posix;

/* What is built from the table; each says the path in its error. */

/** The whole of buf, short writes and EINTR continued. @return WM_E_FULL, WM_E_IO … */
enum wm_status wm_io_write_all(const struct wm_io *io, int fd, const void *buf, size_t len, uint64_t offset,
                               struct wm_err *err) WM_MUST_CHECK;
/** len bytes, or fewer at the end of the file; *out_len says. */
enum wm_status wm_io_read_all(const struct wm_io *io, int fd, void *buf, size_t len, uint64_t offset, size_t *out_len,
                              struct wm_err *err) WM_MUST_CHECK;
/** Append the content of a file to out, up to out's ceiling. @return WM_E_NOT_FOUND, WM_E_LIMIT, WM_E_IO … */
enum wm_status wm_io_read_file(const struct wm_io *io, const char *path, struct wm_buf *out,
                               struct wm_err *err) WM_MUST_CHECK;
/**
 * Replace a small file atomically and durably: write "<path>.tmp", fsync it, rename it over path, fsync the folder.
 * After a crash the file has the old content or the new one, never a part.
 */
enum wm_status wm_io_replace_file(const struct wm_io *io, const char *path, struct wm_view content, mode_t mode,
                                  struct wm_err *err) WM_MUST_CHECK;
/** mkdir -p, each new level synced into its parent; an existing folder is fine. */
enum wm_status wm_io_make_dirs(const struct wm_io *io, const char *path, mode_t mode, struct wm_err *err) WM_MUST_CHECK;

#endif
