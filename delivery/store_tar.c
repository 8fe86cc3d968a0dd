/*
 * A tar of a folder laid out as a bucket, to be read. libarchive, which lives in this file, reads it once: an entry of a
 * plain tar is then read from its place in it; the entries of a compressed one are unpacked into a file without a name.
 *
 * Names may have "./" before them, or folders: the root is what stands before the first ".metadata/", as a folder's root
 * is the folder that has one. Of two entries of one name the later counts, as for tar -x.
 */
#include "store_int.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "waymark/bounds.h"

#include "waymark/banned.h"

#define TAR_BLOCK_BYTES ((size_t)1024 * 1024)
#define TAR_MAX_NAMES_BYTES ((size_t)8 * 1024 * 1024 * 1024)
#define TAR_METADATA_FOLDER ".metadata/"
#define TAR_METADATA_BYTES ((size_t)16 * 1024)

struct tar_entry {
    struct wm_view key;   /* behind the root */
    struct wm_view link;  /* a hard link: the name it has the content of */
    uint64_t size, at;
    struct wm_wall_ns modified;
    size_t order;         /* in the archive */
    bool unpacked;        /* its bytes are in the file without a name */
};

struct store_tar {
    struct wm_store base;
    char *path;
    int fd, unpacked_fd;  /* unpacked_fd: -1 when there is none */
    uint64_t unpacked_bytes;
    struct wm_arena names;
    struct tar_entry *entries; /* in the order of keys */
    size_t n, cap;
};

static struct store_tar *store_tar_of(struct wm_store *s)
{
    WM_ASSERT(s->magic == WM_STORE_MAGIC);
    return (struct store_tar *)(void *)s;
}

/* ---- the index ---- */

static enum wm_status tar_fail(const struct store_tar *t, struct archive *a, struct wm_err *err)
{
    const char *why = archive_error_string(a);
    int code = archive_errno(a);
    if (code == ENOMEM)
        return wm_fail(err, WM_E_NOMEM, "no memory to read %s", t->path);
    return wm_fail(err, code == EIO ? WM_E_IO : WM_E_CORRUPT, "cannot read %s: %s", t->path, why ? why : "not a tar");
}

static enum wm_status tar_make_unpacked(struct store_tar *t, struct wm_err *err)
{
    const char *folder = getenv("TMPDIR");
    if (t->unpacked_fd >= 0)
        return WM_OK;
    t->unpacked_fd = open(folder && *folder ? folder : "/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (t->unpacked_fd < 0)
        return wm_fail_errno(err, errno, "cannot make a file to unpack %s into", t->path);
    return WM_OK;
}

/* Bytes that a sparse entry leaves out read as zeros, since the file is longer than what was written of it. */
static enum wm_status tar_unpack(struct store_tar *t, struct archive *a, struct tar_entry *e, struct wm_err *err)
{
    const void *bytes;
    size_t n;
    la_int64_t offset;
    int rc;
    enum wm_status status = tar_make_unpacked(t, err);
    if (status != WM_OK)
        return status;
    e->unpacked = true;
    e->at = t->unpacked_bytes;
    while ((rc = archive_read_data_block(a, &bytes, &n, &offset)) == ARCHIVE_OK) {
        if (offset < 0 || (uint64_t)offset > e->size || n > e->size - (uint64_t)offset)
            return wm_fail(err, WM_E_CORRUPT, "cannot read %s: an entry is longer than it says", t->path);
        status = wm_io_write_all(&wm_io_posix, t->unpacked_fd, bytes, n, e->at + (uint64_t)offset, err);
        if (status != WM_OK)
            return status;
    }
    if (rc != ARCHIVE_EOF)
        return tar_fail(t, a, err);
    t->unpacked_bytes += e->size;
    if (ftruncate(t->unpacked_fd, (off_t)t->unpacked_bytes) != 0)
        return wm_fail_errno(err, errno, "cannot unpack %s", t->path);
    return WM_OK;
}

static struct wm_view tar_name(const char *name)
{
    struct wm_view v = wm_view_of(name);
    while (wm_view_starts(v, "./") || wm_view_starts(v, "/"))
        v = wm_view_sub(v, v.ptr[0] == '.' ? 2 : 1, v.len);
    return v;
}

static enum wm_status tar_add(struct store_tar *t, struct archive *a, struct archive_entry *entry, bool plain,
                              struct wm_err *err)
{
    const char *name = archive_entry_pathname_utf8(entry), *link = archive_entry_hardlink_utf8(entry);
    if (!name)
        name = archive_entry_pathname(entry); /* bytes that are no text in any encoding known here */
    struct wm_view key = tar_name(name);
    if ((archive_entry_filetype(entry) != AE_IFREG && !link) || key.len == 0)
        return WM_OK;
    if (t->n == t->cap) {
        size_t cap = t->cap ? 2 * t->cap : 1024;
        struct tar_entry *entries = reallocarray(t->entries, cap, sizeof *entries);
        if (!entries)
            return wm_fail(err, WM_E_NOMEM, "no memory for the %zu entries of %s", t->n, t->path);
        t->entries = entries;
        t->cap = cap;
    }
    struct tar_entry e = {.key = wm_arena_copy(&t->names, key), .size = (uint64_t)archive_entry_size(entry),
                          .modified = {archive_entry_mtime(entry) * WM_NS_PER_S + archive_entry_mtime_nsec(entry)},
                          .order = t->n};
    if (link)
        e.link = wm_arena_copy(&t->names, tar_name(link));
    if (!e.key.ptr || (link && !e.link.ptr))
        return wm_fail(err, WM_E_NOMEM, "no memory for the %zu entries of %s", t->n, t->path);
    enum wm_status status = WM_OK;
    if (!link && e.size <= WM_MAX_OBJECT_BYTES && (!plain || archive_entry_sparse_count(entry) > 0))
        status = tar_unpack(t, a, &e, err);
    else
        e.at = (uint64_t)archive_filter_bytes(a, 0); /* the header is consumed, and nothing behind it */
    if (status == WM_OK)
        t->entries[t->n++] = e;
    return status;
}

static enum wm_status tar_index(struct store_tar *t, struct wm_err *err)
{
    struct archive_entry *entry;
    struct archive *a = archive_read_new();
    if (!a)
        return wm_fail(err, WM_E_NOMEM, "no memory to read %s", t->path);
    enum wm_status status = WM_OK;
    int rc = archive_read_support_format_tar(a);
    if (rc == ARCHIVE_OK)
        rc = archive_read_support_filter_gzip(a);
    if (rc == ARCHIVE_OK)
        rc = archive_read_support_filter_zstd(a);
    if (rc == ARCHIVE_OK)
        rc = archive_read_open_fd(a, t->fd, TAR_BLOCK_BYTES);
    while (rc == ARCHIVE_OK && status == WM_OK && (rc = archive_read_next_header(a, &entry)) == ARCHIVE_OK)
        status = tar_add(t, a, entry, archive_filter_code(a, 0) == ARCHIVE_FILTER_NONE, err);
    if (status == WM_OK && rc != ARCHIVE_EOF)
        status = tar_fail(t, a, err);
    (void)archive_read_free(a); /* what it could complain of was said */
    return status;
}

static int tar_compare(const void *left, const void *right)
{
    const struct tar_entry *a = left, *b = right;
    int order = wm_view_cmp(a->key, b->key);
    return order ? order : (a->order > b->order) - (a->order < b->order);
}

static int tar_compare_key(const void *key, const void *entry)
{
    return wm_view_cmp(*(const struct wm_view *)key, ((const struct tar_entry *)entry)->key);
}

static const struct tar_entry *tar_find(const struct store_tar *t, struct wm_view key)
{
    return t->n ? bsearch(&key, t->entries, t->n, sizeof *t->entries, tar_compare_key) : NULL;
}

/* What stands before the first ".metadata/" of a name. */
static bool tar_root_of(struct wm_view name, struct wm_view *out)
{
    for (size_t at = 0; at < name.len;) {
        struct wm_view rest = wm_view_sub(name, at, name.len);
        if (wm_view_starts(rest, TAR_METADATA_FOLDER)) {
            *out = wm_view_sub(name, 0, at);
            return true;
        }
        at += wm_view_find(rest, '/') + 1;
    }
    return false;
}

/* In the order of keys, each once, behind the root; what is outside of it is dropped. */
static void tar_sort(struct store_tar *t)
{
    struct wm_view root = WM_EMPTY, other;
    bool found = false;
    for (size_t i = 0; i < t->n; i++)
        if (tar_root_of(t->entries[i].key, &other) && (!found || other.len < root.len)) {
            root = other;
            found = true;
        }
    qsort(t->entries, t->n, sizeof *t->entries, tar_compare);
    size_t n = 0;
    for (size_t i = 0; i < t->n; i++) {
        struct tar_entry *e = &t->entries[i];
        bool last = i + 1 == t->n || !wm_view_eq(e->key, t->entries[i + 1].key);
        if (last && wm_view_eq(wm_view_sub(e->key, 0, root.len), root) && e->key.len > root.len)
            t->entries[n++] = *e;
    }
    t->n = n;
    for (size_t i = 0; i < n; i++) {
        t->entries[i].key = wm_view_sub(t->entries[i].key, root.len, t->entries[i].key.len);
        t->entries[i].link = wm_view_sub(t->entries[i].link, root.len, t->entries[i].link.len);
    }
    for (size_t i = 0; i < n; i++) {
        struct tar_entry *e = &t->entries[i];
        const struct tar_entry *target = e->link.len ? tar_find(t, e->link) : NULL;
        if (target && target->link.len == 0) {
            e->size = target->size;
            e->at = target->at;
            e->unpacked = target->unpacked;
        }
    }
}

/* ---- the store ---- */

static enum wm_status tar_read(const struct store_tar *t, const struct tar_entry *e, struct wm_buf *out, struct wm_err *err)
{
    size_t got = 0;
    if (e->size > WM_MAX_OBJECT_BYTES || e->size > out->max - out->len)
        return wm_fail(err, WM_E_LIMIT, "%.*s has %llu bytes", WM_ARG(e->key), (unsigned long long)e->size);
    char *room = wm_buf_room(out, (size_t)e->size);
    if (!room)
        return wm_fail(err, wm_buf_status(out), "no memory for the %llu bytes of %.*s", (unsigned long long)e->size,
                       WM_ARG(e->key));
    enum wm_status status =
        wm_io_read_all(&wm_io_posix, e->unpacked ? t->unpacked_fd : t->fd, room, (size_t)e->size, e->at, &got, err);
    if (status == WM_OK && got != e->size)
        status = wm_fail(err, WM_E_IO, "%s became shorter while it was read", t->path);
    if (status == WM_OK)
        wm_buf_grow(out, (size_t)e->size);
    return status;
}

static enum wm_status tar_read_headers(const struct store_tar *t, struct wm_view key, struct wm_arena *a,
                                       struct wm_store_header *out, size_t *out_n, struct wm_err *err)
{
    struct wm_buf name, text;
    wm_buf_init(&name, WM_MAX_OBJECT_KEY_BYTES + sizeof TAR_METADATA_FOLDER);
    wm_buf_init(&text, TAR_METADATA_BYTES);
    wm_buf_add_str(&name, TAR_METADATA_FOLDER);
    wm_buf_add_view(&name, key);
    *out_n = 0;
    enum wm_status status = wm_buf_status(&name);
    const struct tar_entry *e = status == WM_OK ? tar_find(t, wm_buf_view(&name)) : NULL;
    if (e)
        status = tar_read(t, e, &text, err);
    if (status == WM_OK && e)
        status = wm_store_read_metadata(a, wm_buf_view(&text), out, out_n, err);
    else if (status == WM_E_LIMIT)
        status = WM_OK; /* what is too large was never written by a store: there are no headers */
    wm_buf_done(&text);
    wm_buf_done(&name);
    return status;
}

static enum wm_status store_tar_get(struct wm_store *s, struct wm_view key, struct wm_buf *body, struct wm_arena *a,
                                    struct wm_store_header *out_headers, size_t *out_n, struct wm_err *err)
{
    const struct store_tar *t = store_tar_of(s);
    const struct tar_entry *e = key.len && key.ptr[0] != '.' ? tar_find(t, key) : NULL;
    if (!e)
        return wm_fail(err, WM_E_NOT_FOUND, "no object %.*s", (int)(key.len < 400 ? key.len : 400), key.ptr ? key.ptr : "");
    enum wm_status status = tar_read(t, e, body, err);
    if (status == WM_OK && a)
        status = tar_read_headers(t, key, a, out_headers, out_n, err);
    return status;
}

static enum wm_status store_tar_list(struct wm_store *s, struct wm_view prefix,
                                     enum wm_status (*each)(void *arg, const struct wm_store_object *o), void *arg,
                                     struct wm_err *err)
{
    const struct store_tar *t = store_tar_of(s);
    enum wm_status status = WM_OK;
    (void)err; /* nothing here fails by itself */
    for (size_t i = 0; i < t->n && status == WM_OK; i++) {
        const struct tar_entry *e = &t->entries[i];
        if (wm_view_eq(wm_view_sub(e->key, 0, prefix.len), prefix) && e->key.ptr[0] != '.')
            status = each(arg, &(struct wm_store_object){.key = e->key, .size = e->size, .modified = e->modified});
    }
    return status;
}

static enum wm_status store_tar_put(struct wm_store *s, struct wm_view key, struct wm_view body, struct wm_view sha256_hex,
                                    const struct wm_store_header *headers, size_t n_headers, struct wm_err *err)
{
    (void)body, (void)sha256_hex, (void)headers, (void)n_headers;
    return wm_fail(err, WM_E_UNSUPPORTED, "cannot put %.*s into %s: a tar is only read", WM_ARG(key), store_tar_of(s)->path);
}

static void store_tar_free(struct wm_store *s)
{
    struct store_tar *t = (struct store_tar *)(void *)s;
    if (t->unpacked_fd >= 0)
        (void)close(t->unpacked_fd); /* it was only ours */
    if (t->fd >= 0)
        (void)close(t->fd); /* only read */
    free(t->entries);
    free(t->path);
    wm_arena_done(&t->names);
    free(t);
}

enum wm_status wm_store_tar_new(const char *path, struct wm_store **out, struct wm_err *err)
{
    static const struct wm_store_ops ops = {store_tar_put, store_tar_get, store_tar_list, store_tar_free};
    struct store_tar *t = calloc(1, sizeof *t);
    if (!t)
        return wm_fail(err, WM_E_NOMEM, "no memory for a store");
    t->fd = t->unpacked_fd = -1;
    wm_arena_init(&t->names, TAR_MAX_NAMES_BYTES);
    enum wm_status status = wm_store_init(&t->base, &ops, WM_EMPTY, err);
    if (status == WM_OK && (t->path = strdup(path)) == NULL)
        status = wm_fail(err, WM_E_NOMEM, "no memory for a store");
    if (status == WM_OK && (t->fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
        status = wm_fail_errno(err, errno, "cannot open %s", path);
    if (status == WM_OK)
        status = tar_index(t, err);
    if (status != WM_OK) {
        wm_store_done(&t->base);
        store_tar_free(&t->base);
        return status;
    }
    if (t->n)
        tar_sort(t);
    *out = &t->base;
    return WM_OK;
}
