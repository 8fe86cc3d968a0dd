/*
 * A folder laid out as a bucket: FOLDER/KEY is the object, FOLDER/.metadata/KEY its headers.
 *
 * Putting an object, and what a crash after each step leaves:
 *   1. folders made and synced                         empty folders, used by the next attempt
 *   2. body written aside in FOLDER/.incoming/, synced  a stray file there, removed when an hour old
 *   3. metadata replaced, synced                        metadata without object: replaced by the next attempt
 *   4. body linked to its name (fails if it is taken)   the object, whole; perhaps not yet durable
 *   5. folder synced                                    done
 * An object found in step 4 (or before 2) has its folder synced before it counts as stored, since the attempt that
 * linked it may have ended before step 5.
 */
#include "store_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "waymark/bounds.h"
#include "waymark/hash.h"
#include "waymark/json.h"

#include "waymark/banned.h"

#define METADATA_FOLDER ".metadata"
#define INCOMING_FOLDER ".incoming"
/* Names and values of an object's headers: S3's 2 KB of user metadata, the rest, and JSON's escapes. */
#define METADATA_MAX_BYTES ((size_t)16 * 1024)
#define METADATA_ARENA_BYTES ((size_t)256 * 1024)
#define INCOMING_STRAY_S 3600
#define FILE_MODE 0640
#define FOLDER_MODE 0750
#define UNIQUE_CHARS 16

struct store_file {
    struct wm_store base;
    const struct wm_io *io;
    char folder[WM_MAX_PATH_BYTES];
    char ready[WM_MAX_PATH_BYTES]; /* the folder of keys made and synced last */
    bool swept;
};

static struct store_file *store_file_of(struct wm_store *s)
{
    WM_ASSERT(s->magic == WM_STORE_MAGIC);
    return (struct store_file *)(void *)s;
}

/* FOLDER[/area]/name. */
static enum wm_status file_path(const struct store_file *f, const char *area, struct wm_view name,
                                char out[WM_MAX_PATH_BYTES], struct wm_err *err)
{
    int n = snprintf(out, WM_MAX_PATH_BYTES, "%s%s%s/%.*s", f->folder, area ? "/" : "", area ? area : "", WM_ARG(name));
    if (n < 0 || n >= (int)WM_MAX_PATH_BYTES)
        return wm_fail(err, WM_E_LIMIT, "the path of %.*s is longer than %u bytes", WM_ARG(name),
                       WM_MAX_PATH_BYTES - 1);
    return WM_OK;
}

static enum wm_status file_fail(struct wm_err *err, int rc, const char *what, const char *path)
{
    enum wm_status status = wm_fail_errno(err, -rc, "cannot %s %s", what, path);
    if (err) {
        err->retryable = true; /* disks are mended, space is freed, permissions are given */
        const char *code = status == WM_E_DENIED ? "AccessDenied"
                           : status == WM_E_FULL ? "StorageFull"
                                                 : "InternalError";
        (void)wm_view_copy(wm_view_of(code), err->code, sizeof err->code); /* fits */
    }
    return status;
}

static enum wm_status file_no_bucket(const struct store_file *f, enum wm_status status, struct wm_err *err)
{
    (void)wm_fail(err, status, "folder %s does not exist", f->folder);
    if (err) {
        err->retryable = true;
        (void)wm_view_copy(WM_LIT("NoSuchBucket"), err->code, sizeof err->code); /* fits */
    }
    return status;
}

static bool file_folder_there(const struct store_file *f)
{
    int fd = f->io->open(f->io->ctx, f->folder, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0)
        return fd != -ENOENT && fd != -ENOTDIR;
    (void)f->io->close(f->io->ctx, fd); /* only looked at */
    return true;
}

/* ---- get ---- */

static enum wm_status file_no_object(const struct store_file *f, struct wm_view key, struct wm_err *err)
{
    if (!file_folder_there(f))
        return file_no_bucket(f, WM_E_UNAVAILABLE, err);
    (void)wm_fail(err, WM_E_NOT_FOUND, "no object %.*s", (int)(key.len < 400 ? key.len : 400), key.ptr ? key.ptr : "");
    if (err)
        (void)wm_view_copy(WM_LIT("NoSuchKey"), err->code, sizeof err->code); /* fits */
    return WM_E_NOT_FOUND;
}

static enum wm_status file_read(const struct store_file *f, const char *path, int fd, struct wm_buf *body,
                                struct wm_err *err)
{
    struct stat st;
    int rc = f->io->fstat(f->io->ctx, fd, &st);
    if (rc < 0)
        return file_fail(err, rc, "look at", path);
    if ((uint64_t)st.st_size > body->max - body->len)
        return wm_fail(err, WM_E_LIMIT, "%s has %lld bytes, more than %zu", path, (long long)st.st_size,
                       body->max - body->len);
    size_t want = (size_t)st.st_size, got = 0;
    char *room = wm_buf_room(body, want);
    if (!room)
        return wm_fail(err, wm_buf_status(body), "no memory for the %zu bytes of %s", want, path);
    enum wm_status status = wm_io_read_all(f->io, fd, room, want, 0, &got, err);
    if (status == WM_OK && got != want)
        status = wm_fail(err, WM_E_IO, "%s became shorter while it was read", path);
    if (status == WM_OK)
        wm_buf_grow(body, want);
    return status;
}

enum wm_status wm_store_read_metadata(struct wm_arena *a, struct wm_view text, struct wm_store_header *out, size_t *out_n,
                                      struct wm_err *err)
{
    struct wm_json *root = NULL;
    *out_n = 0;
    enum wm_status status = wm_json_parse(a, text, &root, NULL);
    if (status == WM_E_NOMEM)
        return wm_fail(err, status, "no memory for the headers of an object");
    if (status != WM_OK || root->type != WM_JSON_OBJECT)
        return WM_OK; /* not metadata: the object has no headers, and whoever needs one says that it is missing */
    for (const struct wm_json *m = root->first; m && *out_n < WM_STORE_MAX_HEADERS; m = m->next) {
        if (m->type != WM_JSON_STRING)
            continue;
        if (!wm_view_starts(m->key, "content-") && !wm_view_starts(m->key, "x-amz-meta-"))
            continue;
        out[(*out_n)++] = (struct wm_store_header){m->key, m->text};
    }
    return WM_OK;
}

static enum wm_status file_read_headers(const struct store_file *f, struct wm_view key, struct wm_arena *a,
                                        struct wm_store_header *out, size_t *out_n, struct wm_err *err)
{
    char path[WM_MAX_PATH_BYTES];
    struct wm_buf text;
    wm_buf_init(&text, METADATA_MAX_BYTES);
    *out_n = 0;
    enum wm_status status = file_path(f, METADATA_FOLDER, key, path, err);
    if (status == WM_OK)
        status = wm_io_read_file(f->io, path, &text, err);
    if (status == WM_OK)
        status = wm_store_read_metadata(a, wm_buf_view(&text), out, out_n, err);
    else if (status == WM_E_NOT_FOUND || status == WM_E_LIMIT)
        status = WM_OK; /* a plain copy of a bucket has none; what is too large was never written by a store */
    wm_buf_done(&text);
    return status;
}

static enum wm_status store_file_get(struct wm_store *s, struct wm_view key, struct wm_buf *body, struct wm_arena *a,
                                     struct wm_store_header *out_headers, size_t *out_n, struct wm_err *err)
{
    struct store_file *f = store_file_of(s);
    char path[WM_MAX_PATH_BYTES];
    struct stat st;
    if (wm_store_check_key(key, NULL) != WM_OK || file_path(f, NULL, key, path, NULL) != WM_OK)
        return file_no_object(f, key, err); /* a folder cannot hold such a key */
    /* O_NONBLOCK: a named pipe in the folder must not hang the reader. */
    int fd = f->io->open(f->io->ctx, path, O_RDONLY | O_NONBLOCK, 0);
    if (fd == -ENOENT || fd == -ENOTDIR || fd == -ENAMETOOLONG || fd == -ELOOP)
        return file_no_object(f, key, err);
    if (fd < 0)
        return file_fail(err, fd, "open", path);
    enum wm_status status;
    int rc = f->io->fstat(f->io->ctx, fd, &st);
    if (rc < 0)
        status = file_fail(err, rc, "look at", path);
    else if (!S_ISREG(st.st_mode))
        status = file_no_object(f, key, err);
    else
        status = file_read(f, path, fd, body, err);
    (void)f->io->close(f->io->ctx, fd); /* only read */
    if (status == WM_OK && a)
        status = file_read_headers(f, key, a, out_headers, out_n, err);
    return status;
}

/* ---- put ---- */

/* mkdir -p below FOLDER; each level is synced into its parent even when it is there, since whoever made it may have
   been killed before that. */
static enum wm_status file_make_folder(const struct store_file *f, const char *path, struct wm_err *err)
{
    char level[WM_MAX_PATH_BYTES], parent[WM_MAX_PATH_BYTES];
    struct wm_view whole = wm_view_of(path);
    size_t at = strlen(f->folder);
    (void)wm_view_copy(wm_view_of(f->folder), parent, sizeof parent); /* same size */
    while (at < whole.len) {
        size_t end = at + 1;
        while (end < whole.len && path[end] != '/')
            end++;
        (void)wm_view_copy(wm_view_sub(whole, 0, end), level, sizeof level); /* shorter than path */
        int rc = f->io->mkdir(f->io->ctx, level, FOLDER_MODE);
        if (rc == -ENOENT && at == strlen(f->folder))
            return file_no_bucket(f, WM_E_NOT_FOUND, err);
        if (rc < 0 && rc != -EEXIST)
            return file_fail(err, rc, "make folder", level);
        rc = f->io->sync_dir(f->io->ctx, parent);
        if (rc < 0)
            return file_fail(err, rc, "sync folder", parent);
        memcpy(parent, level, end + 1);
        at = end;
    }
    return WM_OK;
}

/* The folder part of FOLDER/…/name, in place of name. */
static void file_cut_name(char path[WM_MAX_PATH_BYTES])
{
    char *slash = strrchr(path, '/');
    WM_ASSERT(slash != NULL);
    *slash = '\0';
}

static enum wm_status file_make_folders(struct store_file *f, const char *object_folder, const char *metadata_path,
                                        struct wm_err *err)
{
    char path[WM_MAX_PATH_BYTES];
    if (strcmp(f->ready, object_folder) == 0)
        return WM_OK; /* trail files of one day share their folder */
    f->ready[0] = '\0';
    enum wm_status status = file_make_folder(f, object_folder, err);
    if (status != WM_OK)
        return status;
    (void)wm_view_copy(wm_view_of(metadata_path), path, sizeof path); /* same size */
    file_cut_name(path);
    status = file_make_folder(f, path, err);
    if (status == WM_OK)
        status = file_path(f, NULL, WM_LIT(INCOMING_FOLDER), path, err);
    if (status == WM_OK)
        status = file_make_folder(f, path, err);
    if (status == WM_OK)
        (void)wm_view_copy(wm_view_of(object_folder), f->ready, sizeof f->ready); /* same size */
    return status;
}

struct file_sweep {
    struct store_file *f;
    int64_t before_s;
};

static int file_sweep_one(void *arg, const char *name)
{
    struct file_sweep *sweep = arg;
    struct store_file *f = sweep->f;
    char path[WM_MAX_PATH_BYTES];
    struct stat st;
    if (file_path(f, INCOMING_FOLDER, wm_view_of(name), path, NULL) != WM_OK)
        return 0;
    int fd = f->io->open(f->io->ctx, path, O_RDONLY | O_NONBLOCK, 0);
    if (fd < 0)
        return 0;
    if (f->io->fstat(f->io->ctx, fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_mtim.tv_sec < sweep->before_s)
        (void)f->io->unlink(f->io->ctx, path); /* it stays for the next sweep, and costs only space */
    (void)f->io->close(f->io->ctx, fd);        /* only looked at */
    return 0;
}

/* What a crash left aside. "Now" is the time of the file just written, by the file system's own clock. */
static void file_sweep(struct store_file *f, int64_t now_s)
{
    char path[WM_MAX_PATH_BYTES];
    struct file_sweep sweep = {f, now_s - INCOMING_STRAY_S};
    f->swept = true;
    if (file_path(f, NULL, WM_LIT(INCOMING_FOLDER), path, NULL) == WM_OK)
        (void)f->io->list(f->io->ctx, path, file_sweep_one, &sweep); /* best effort */
}

static enum wm_status file_write_aside(struct store_file *f, const char *path, struct wm_view body, struct wm_err *err)
{
    struct stat st;
    int fd = f->io->open(f->io->ctx, path, O_WRONLY | O_CREAT | O_EXCL, FILE_MODE);
    if (fd < 0)
        return file_fail(err, fd, "create", path);
    enum wm_status status = wm_io_write_all(f->io, fd, body.ptr, body.len, 0, err);
    int rc = 0;
    if (status != WM_OK) {
        if (err && err->sys_errno)
            status = file_fail(err, -err->sys_errno, "write", path);
    } else if ((rc = f->io->fsync(f->io->ctx, fd)) < 0) {
        status = file_fail(err, rc, "sync", path);
    } else if (!f->swept && f->io->fstat(f->io->ctx, fd, &st) == 0) {
        file_sweep(f, st.st_mtim.tv_sec);
    }
    rc = f->io->close(f->io->ctx, fd);
    if (status == WM_OK && rc < 0)
        status = file_fail(err, rc, "close", path);
    return status;
}

static enum wm_status file_write_metadata(struct store_file *f, const char *path,
                                          const struct wm_store_header *headers, size_t n_headers, struct wm_err *err)
{
    struct wm_buf text;
    wm_buf_init(&text, METADATA_MAX_BYTES);
    wm_buf_add_char(&text, '{');
    for (size_t i = 0; i < n_headers; i++) {
        if (i)
            wm_buf_add_char(&text, ',');
        wm_json_write_string(&text, headers[i].name);
        wm_buf_add_char(&text, ':');
        wm_json_write_string(&text, headers[i].value);
    }
    wm_buf_add_str(&text, "}\n");
    struct wm_err inner = {0};
    enum wm_status status = wm_buf_status(&text);
    if (status != WM_OK)
        status = wm_fail(err, status, "the headers are longer than %zu bytes", METADATA_MAX_BYTES);
    else if ((status = wm_io_replace_file(f->io, path, wm_buf_view(&text), FILE_MODE, &inner)) != WM_OK)
        status = inner.sys_errno ? file_fail(err, -inner.sys_errno, "write", path)
                                 : wm_fail(err, status, "%s", inner.message);
    wm_buf_done(&text);
    return status;
}

/* Make the name of an object that is there durable, and say that it is there. */
static enum wm_status file_exists(struct store_file *f, const char *folder, struct wm_view key, struct wm_err *err)
{
    int rc = f->io->sync_dir(f->io->ctx, folder);
    if (rc < 0)
        return file_fail(err, rc, "sync folder", folder);
    return wm_fail(err, WM_E_EXISTS, "an object %.*s is there", WM_ARG(key));
}

static enum wm_status store_file_put(struct wm_store *s, struct wm_view key, struct wm_view body,
                                     struct wm_view sha256_hex, const struct wm_store_header *headers,
                                     size_t n_headers, struct wm_err *err)
{
    (void)sha256_hex; /* a file system has no use for it */
    struct store_file *f = store_file_of(s);
    char object[WM_MAX_PATH_BYTES], folder[WM_MAX_PATH_BYTES], metadata[WM_MAX_PATH_BYTES], aside[WM_MAX_PATH_BYTES];
    char unique[UNIQUE_CHARS + 1];
    wm_random_alnum(unique, UNIQUE_CHARS);
    enum wm_status status = file_path(f, NULL, key, object, err);
    if (status == WM_OK)
        status = file_path(f, METADATA_FOLDER, key, metadata, err);
    if (status == WM_OK)
        status = file_path(f, INCOMING_FOLDER, wm_view_of(unique), aside, err);
    if (status != WM_OK)
        return status;
    if (!file_folder_there(f)) {
        f->ready[0] = '\0';
        return file_no_bucket(f, WM_E_NOT_FOUND, err);
    }
    (void)wm_view_copy(wm_view_of(object), folder, sizeof folder); /* same size */
    file_cut_name(folder);
    status = file_make_folders(f, folder, metadata, err);
    if (status != WM_OK)
        return status;

    /* Looked for first, so that the metadata of an object that is there is not replaced. */
    int fd = f->io->open(f->io->ctx, object, O_RDONLY | O_NONBLOCK, 0);
    if (fd >= 0) {
        (void)f->io->close(f->io->ctx, fd); /* only looked for */
        return file_exists(f, folder, key, err);
    }
    if (fd != -ENOENT)
        return file_fail(err, fd, "open", object);

    status = file_write_aside(f, aside, body, err);
    if (status == WM_OK)
        status = file_write_metadata(f, metadata, headers, n_headers, err);
    if (status == WM_OK) {
        int rc = f->io->link(f->io->ctx, aside, object);
        if (rc == -EPERM || rc == -EOPNOTSUPP || rc == -EMLINK) /* vfat and some network file systems have no links */
            rc = f->io->rename(f->io->ctx, aside, object);
        if (rc == -EEXIST)
            status = file_exists(f, folder, key, err);
        else if (rc < 0)
            status = file_fail(err, rc, "link into place", object);
        else if ((rc = f->io->sync_dir(f->io->ctx, folder)) < 0)
            status = file_fail(err, rc, "sync folder", folder);
    }
    if (status != WM_OK)
        f->ready[0] = '\0'; /* a folder may have gone: make them anew next time */
    (void)f->io->unlink(f->io->ctx, aside); /* gone already after a rename; a stray one is swept later */
    return status;
}

/* ---- list ---- */

struct file_entry {
    char *name; /* folders end in '/', so that they sort as the keys below them do */
    uint64_t size;
    struct wm_wall_ns modified;
};

struct file_entries {
    struct store_file *f;
    const char *path;   /* of the folder being read */
    bool top;
    struct file_entry *at;
    size_t n, cap;
    enum wm_status status;
    struct wm_err *err;
};

static void file_entries_done(struct file_entries *e)
{
    for (size_t i = 0; i < e->n; i++)
        free(e->at[i].name);
    free(e->at);
}

static int file_entries_add(void *arg, const char *name)
{
    struct file_entries *e = arg;
    const struct wm_io *io = e->f->io;
    char path[WM_MAX_PATH_BYTES];
    struct stat st;
    if (e->top && name[0] == '.')
        return 0;
    int n = snprintf(path, sizeof path, "%s/%s", e->path, name);
    if (n < 0 || n >= (int)sizeof path) {
        e->status = wm_fail(e->err, WM_E_LIMIT, "a path below %s is too long", e->path);
        return 1;
    }
    /* Links are no objects: following them could leave the folder, or never end. */
    int fd = io->open(io->ctx, path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW, 0);
    if (fd == -ELOOP || fd == -ENOENT || fd == -ENXIO)
        return 0;
    int rc = fd < 0 ? fd : io->fstat(io->ctx, fd, &st);
    if (fd >= 0)
        (void)io->close(io->ctx, fd); /* only looked at */
    if (rc < 0) {
        e->status = file_fail(e->err, rc, "look at", path);
        return 1;
    }
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
        return 0;
    if (e->n == e->cap) {
        size_t cap = e->cap ? e->cap * 2 : 64;
        struct file_entry *at = realloc(e->at, cap * sizeof *at);
        if (!at)
            goto no_memory;
        e->at = at;
        e->cap = cap;
    }
    size_t len = strlen(name);
    char *copy = malloc(len + 2);
    if (!copy)
        goto no_memory;
    memcpy(copy, name, len + 1);
    if (S_ISDIR(st.st_mode)) {
        copy[len] = '/';
        copy[len + 1] = '\0';
    }
    e->at[e->n++] = (struct file_entry){
        copy, (uint64_t)st.st_size, {st.st_mtim.tv_sec * WM_NS_PER_S + st.st_mtim.tv_nsec}};
    return 0;
no_memory:
    e->status = wm_fail(e->err, WM_E_NOMEM, "no memory for the names in %s", e->path);
    return 1;
}

static int file_entry_cmp(const void *a, const void *b)
{
    const struct file_entry *x = a, *y = b;
    return strcmp(x->name, y->name); /* strcmp compares as unsigned bytes (C17 7.24.4) */
}

struct file_walk {
    struct store_file *f;
    struct wm_view prefix;
    enum wm_status (*each)(void *arg, const struct wm_store_object *o);
    void *arg;
    struct wm_err *err;
    struct wm_buf key; /* of the folder being walked, with its final slash */
};

/* One of them begins with the other. */
static bool file_on_the_way(struct wm_view key, struct wm_view prefix)
{
    size_t n = key.len < prefix.len ? key.len : prefix.len;
    return n == 0 || memcmp(key.ptr, prefix.ptr, n) == 0;
}

/* Recursion is bounded by the length of keys: each level adds two bytes or more. */
static enum wm_status file_walk(struct file_walk *w)
{
    char path[WM_MAX_PATH_BYTES];
    size_t base = w->key.len;
    enum wm_status status = file_path(w->f, NULL, wm_view_sub(wm_buf_view(&w->key), 0, base ? base - 1 : 0), path,
                                      w->err);
    if (status != WM_OK)
        return status;
    struct file_entries e = {.f = w->f, .path = path, .top = base == 0, .err = w->err};
    int rc = w->f->io->list(w->f->io->ctx, path, file_entries_add, &e);
    status = e.status;
    if (status == WM_OK && rc == -ENOENT && base == 0)
        status = file_no_bucket(w->f, WM_E_UNAVAILABLE, w->err);
    else if (status == WM_OK && rc < 0 && rc != -ENOENT) /* a folder removed meanwhile has no objects */
        status = file_fail(w->err, rc, "list", path);
    if (e.n)
        qsort(e.at, e.n, sizeof e.at[0], file_entry_cmp);
    for (size_t i = 0; status == WM_OK && i < e.n; i++) {
        if (atomic_load(&w->f->base.cancelled)) {
            status = wm_fail(w->err, WM_E_END, "the store was cancelled");
            break;
        }
        struct wm_view name = wm_view_of(e.at[i].name);
        wm_buf_add_view(&w->key, name);
        struct wm_view key = wm_buf_view(&w->key);
        if (wm_buf_status(&w->key) == WM_E_LIMIT) {
            wm_buf_truncate(&w->key, base);
            w->key.status = WM_OK; /* longer than any key: no object of a bucket */
            continue;
        }
        if (wm_buf_status(&w->key) != WM_OK) {
            status = wm_fail(w->err, wm_buf_status(&w->key), "no memory for a key");
        } else if (!file_on_the_way(key, w->prefix)) {
            status = WM_OK;
        } else if (wm_view_ends(name, "/")) {
            status = file_walk(w);
        } else if (key.len >= w->prefix.len) {
            struct wm_store_object o = {key, e.at[i].size, e.at[i].modified};
            status = w->each(w->arg, &o);
        }
        wm_buf_truncate(&w->key, base);
    }
    file_entries_done(&e);
    return status;
}

static enum wm_status store_file_list(struct wm_store *s, struct wm_view prefix,
                                      enum wm_status (*each)(void *arg, const struct wm_store_object *o), void *arg,
                                      struct wm_err *err)
{
    struct file_walk w = {.f = store_file_of(s), .prefix = prefix, .each = each, .arg = arg, .err = err};
    wm_buf_init(&w.key, WM_MAX_OBJECT_KEY_BYTES);
    enum wm_status status = file_walk(&w);
    wm_buf_done(&w.key);
    return status;
}

/* ---- life ---- */

static void store_file_free(struct wm_store *s)
{
    free(s);
}

static const struct wm_store_ops store_file_ops = {
    .put = store_file_put,
    .get = store_file_get,
    .list = store_file_list,
    .free = store_file_free,
};

enum wm_status wm_store_file_new(const struct wm_io *io, struct wm_view folder, struct wm_view bucket,
                                 struct wm_store **out, struct wm_err *err)
{
    while (folder.len > 1 && folder.ptr[folder.len - 1] == '/')
        folder.len--;
    if (folder.len == 0)
        return wm_fail(err, WM_E_INVALID, "the store's folder is not set");
    struct store_file *f = calloc(1, sizeof *f);
    if (!f)
        return wm_fail(err, WM_E_NOMEM, "no memory for a store");
    f->io = io;
    enum wm_status status = WM_OK;
    if (!wm_view_copy(folder, f->folder, sizeof f->folder))
        status = wm_fail(err, WM_E_LIMIT, "the store's folder has a path longer than %u bytes", WM_MAX_PATH_BYTES - 1);
    if (status == WM_OK && bucket.len)
        status = wm_io_make_dirs(io, f->folder, FOLDER_MODE, err);
    if (status == WM_OK)
        status = wm_store_init(&f->base, &store_file_ops, bucket, err);
    if (status != WM_OK) {
        free(f);
        return status;
    }
    *out = &f->base;
    return WM_OK;
}
