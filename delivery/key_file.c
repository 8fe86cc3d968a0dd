/*
 * Private keys in files: <dir>/<fingerprint>.pem, PKCS#8 in PEM, mode 0600, encrypted when there is a passphrase.
 *
 * A file that is in the clear though there is a passphrase, or under an older passphrase, is encrypted anew when it is
 * read: the new content is durable before the old one's bytes are overwritten. A file system that copies on write keeps
 * old bytes for a while nevertheless; whoever cannot have that gives the passphrase before the first start.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "delivery/key_store.h"
#include "waymark/bounds.h"
#include "waymark/log.h"

#include "waymark/banned.h"

#define KEY_PEM_MAX_BYTES 16384u /* a 4,096-bit key is 3.3 KB */

struct file_key {
    char fingerprint[WM_FINGERPRINT_BYTES];
    struct wm_rsa *rsa;
    struct wm_wall_ns made;
};

struct key_files {
    struct wm_key_store store; /* first: what callers hold */
    const struct wm_io *io;
    const struct wm_secret *passphrases;
    char dir[WM_MAX_PATH_BYTES];
    struct file_key *at;
    size_t n, cap;
};

static struct key_files *files_of(struct wm_key_store *s)
{
    return (struct key_files *)(void *)s;
}

static struct file_key *files_find(const struct key_files *f, const char *fingerprint)
{
    for (size_t i = 0; i < f->n; i++)
        if (strcmp(f->at[i].fingerprint, fingerprint) == 0)
            return &f->at[i];
    return NULL;
}

/* Takes the key over on WM_OK. */
static enum wm_status files_add(struct key_files *f, const struct file_key *k, struct wm_err *err)
{
    if (f->n == f->cap) {
        size_t cap = f->cap ? f->cap * 2 : 4;
        struct file_key *at = realloc(f->at, cap * sizeof *at);
        if (!at)
            return wm_fail(err, WM_E_NOMEM, "no memory for %zu keys", cap);
        f->at = at;
        f->cap = cap;
    }
    f->at[f->n++] = *k;
    return WM_OK;
}

static enum wm_status key_path(const char *dir, const char *fingerprint, char out[WM_MAX_PATH_BYTES],
                               struct wm_err *err)
{
    int n = snprintf(out, WM_MAX_PATH_BYTES, "%s/%s.pem", dir, fingerprint);
    if (n < 0 || n >= (int)WM_MAX_PATH_BYTES)
        return wm_fail(err, WM_E_LIMIT, "the path %s/%s.pem is too long", dir, fingerprint);
    return WM_OK;
}

/* Is it the name of a key file, perhaps with something behind it? Its fingerprint to out. */
static bool key_name(const char *name, const char *suffix, char out[WM_FINGERPRINT_BYTES])
{
    struct wm_view file = wm_view_of(name), end = wm_view_of(suffix);
    return file.len == WM_FINGERPRINT_BYTES - 1 + end.len && wm_view_ends(file, suffix) &&
           wm_view_copy(wm_view_sub(file, 0, WM_FINGERPRINT_BYTES - 1), out, WM_FINGERPRINT_BYTES);
}

/* ---- bytes that must go ---- */

static enum wm_status overwrite(const struct wm_io *io, int fd, const char *path, struct wm_err *err)
{
    static const char zeros[KEY_PEM_MAX_BYTES];
    struct stat st;
    int rc = io->fstat(io->ctx, fd, &st);
    if (rc < 0)
        return wm_fail_errno(err, -rc, "%s", path);
    for (uint64_t at = 0; at < (uint64_t)st.st_size; at += sizeof zeros) {
        uint64_t left = (uint64_t)st.st_size - at;
        enum wm_status status = wm_io_write_all(io, fd, zeros, left < sizeof zeros ? left : sizeof zeros, at, err);
        if (status != WM_OK)
            return status;
    }
    rc = io->fdatasync(io->ctx, fd);
    return rc < 0 ? wm_fail_errno(err, -rc, "cannot overwrite %s", path) : WM_OK;
}

/* WM_OK also when there is no such file. */
static enum wm_status destroy_file(const struct wm_io *io, const char *dir, const char *path, struct wm_err *err)
{
    int fd = io->open(io->ctx, path, O_WRONLY, 0);
    if (fd == -ENOENT)
        return WM_OK;
    if (fd < 0)
        return wm_fail_errno(err, -fd, "cannot destroy %s", path);
    enum wm_status status = overwrite(io, fd, path, err);
    int rc = io->close(io->ctx, fd);
    if (status == WM_OK && rc < 0)
        status = wm_fail_errno(err, -rc, "cannot close %s", path);
    if (status == WM_OK && (rc = io->unlink(io->ctx, path)) < 0 && rc != -ENOENT)
        status = wm_fail_errno(err, -rc, "cannot remove %s", path);
    if (status == WM_OK && (rc = io->sync_dir(io->ctx, dir)) < 0)
        status = wm_fail_errno(err, -rc, "cannot sync %s", dir);
    return status;
}

static enum wm_status destroy_key(const struct wm_io *io, const char *dir, const char *fingerprint, struct wm_err *err)
{
    char path[WM_MAX_PATH_BYTES];
    enum wm_status status = key_path(dir, fingerprint, path, err);
    return status == WM_OK ? destroy_file(io, dir, path, err) : status;
}

/* ---- one file ---- */

/* Write the key; what the file held before is overwritten once the new content is durable. */
static enum wm_status write_key(const struct key_files *f, const struct wm_rsa *rsa, const char *path,
                                struct wm_err *err)
{
    struct wm_buf pem;
    wm_buf_init(&pem, KEY_PEM_MAX_BYTES);
    int old = -1;
    enum wm_status status = wm_rsa_write_private(rsa, wm_secret_line(f->passphrases, 0), &pem, err);
    if (status == WM_OK) {
        old = f->io->open(f->io->ctx, path, O_WRONLY, 0);
        if (old < 0 && old != -ENOENT)
            status = wm_fail_errno(err, -old, "%s", path);
    }
    if (status == WM_OK)
        status = wm_io_replace_file(f->io, path, wm_buf_view(&pem), 0600, err);
    if (old >= 0) {
        if (status == WM_OK)
            status = overwrite(f->io, old, path, err);
        int rc = f->io->close(f->io->ctx, old);
        if (status == WM_OK && rc < 0)
            status = wm_fail_errno(err, -rc, "cannot close what %s was", path);
    }
    wm_buf_wipe(&pem);
    wm_buf_done(&pem);
    return status;
}

static enum wm_status check_mode(const struct wm_io *io, const char *path, struct wm_wall_ns *out_made,
                                 struct wm_err *err)
{
    struct stat st;
    int fd = io->open(io->ctx, path, O_RDONLY, 0);
    int rc = fd < 0 ? fd : io->fstat(io->ctx, fd, &st);
    if (fd >= 0)
        (void)io->close(io->ctx, fd); /* only read: nothing can be lost */
    if (rc < 0)
        return wm_fail_errno(err, -rc, "%s", path);
    if (st.st_mode & 077)
        return wm_fail(err, WM_E_DENIED, "%s may be read by others (mode %03o): chmod 600, and consider it known", path,
                       (unsigned)(st.st_mode & 0777));
    *out_made = wm_wall_from_seconds(st.st_mtim.tv_sec);
    return WM_OK;
}

static enum wm_status read_key(struct key_files *f, const char *fingerprint, bool *out_encrypted_now,
                               struct wm_err *err)
{
    char path[WM_MAX_PATH_BYTES], real[WM_FINGERPRINT_BYTES];
    struct file_key k = {0};
    bool stale = false;
    struct wm_buf pem, der;
    wm_buf_init(&pem, KEY_PEM_MAX_BYTES);
    wm_buf_init(&der, KEY_PEM_MAX_BYTES);
    enum wm_status status = key_path(f->dir, fingerprint, path, err);
    if (status == WM_OK)
        status = check_mode(f->io, path, &k.made, err);
    if (status == WM_OK)
        status = wm_io_read_file(f->io, path, &pem, err);
    if (status == WM_OK)
        status = wm_rsa_read_private(wm_buf_view(&pem), path, f->passphrases, &k.rsa, &stale, err);
    if (status == WM_OK)
        status = wm_rsa_public_der(k.rsa, &der, err);
    if (status != WM_OK)
        goto out;
    wm_rsa_fingerprint(wm_buf_view(&der), real);
    if (strcmp(real, fingerprint) != 0) {
        status = wm_fail(err, WM_E_CORRUPT, "%s holds the key %s", path, real);
        goto out;
    }
    memcpy(k.fingerprint, real, sizeof real);
    if (stale)
        status = write_key(f, k.rsa, path, err);
    if (status == WM_OK)
        status = files_add(f, &k, err);
    if (status != WM_OK)
        goto out;
    k.rsa = NULL;
    *out_encrypted_now = stale;
out:
    wm_rsa_free(k.rsa);
    wm_buf_wipe(&pem);
    wm_buf_done(&pem);
    wm_buf_done(&der);
    return status;
}

/* ---- the store ---- */

struct files_look {
    struct key_files *f;
    enum wm_status (*each)(void *arg, const struct wm_key_found *found, struct wm_err *err);
    void *arg;
    struct wm_err *err;
    enum wm_status status;
};

static int files_look_name(void *arg, const char *name)
{
    struct files_look *l = arg;
    char fingerprint[WM_FINGERPRINT_BYTES], path[WM_MAX_PATH_BYTES];
    if (key_name(name, ".pem.tmp", fingerprint)) { /* a crash left it: it has signed nothing, or has a successor */
        int n = snprintf(path, sizeof path, "%s/%s", l->f->dir, name);
        if (n > 0 && (size_t)n < sizeof path)
            l->status = destroy_file(l->f->io, l->f->dir, path, l->err);
        return l->status != WM_OK;
    }
    if (!key_name(name, ".pem", fingerprint))
        return 0;
    struct wm_key_found found = {0};
    const struct file_key *k = files_find(l->f, fingerprint);
    if (!k) {
        l->status = read_key(l->f, fingerprint, &found.encrypted_now, l->err);
        k = files_find(l->f, fingerprint);
    }
    if (l->status == WM_OK) {
        WM_ASSERT(k != NULL);
        found.public_part = k->rsa;
        found.made = k->made;
        l->status = l->each(l->arg, &found, l->err);
    }
    return l->status != WM_OK;
}

static enum wm_status files_look(struct wm_key_store *s,
                                 enum wm_status (*each)(void *arg, const struct wm_key_found *found, struct wm_err *err),
                                 void *arg, struct wm_err *err)
{
    struct files_look l = {.f = files_of(s), .each = each, .arg = arg, .err = err};
    int rc = l.f->io->list(l.f->io->ctx, l.f->dir, files_look_name, &l);
    if (l.status == WM_OK && rc < 0)
        return wm_fail_errno(err, -rc, "%s", l.f->dir);
    return l.status;
}

static enum wm_status files_make(struct wm_key_store *s, struct wm_rsa **out_public, struct wm_err *err)
{
    struct key_files *f = files_of(s);
    char path[WM_MAX_PATH_BYTES];
    struct file_key k = {0};
    struct wm_rsa *public_part = NULL;
    struct wm_buf der;
    wm_buf_init(&der, KEY_PEM_MAX_BYTES);
    enum wm_status status = wm_rsa_make(&k.rsa, err);
    if (status == WM_OK)
        status = wm_rsa_public_der(k.rsa, &der, err);
    if (status != WM_OK)
        goto out;
    wm_rsa_fingerprint(wm_buf_view(&der), k.fingerprint);
    public_part = wm_rsa_read_public(wm_buf_view(&der));
    if (!public_part)
        status = wm_fail(err, WM_E_NOMEM, "no memory for a public key");
    if (status == WM_OK)
        status = key_path(f->dir, k.fingerprint, path, err);
    if (status == WM_OK)
        status = write_key(f, k.rsa, path, err);
    if (status == WM_OK)
        status = files_add(f, &k, err);
    if (status == WM_OK) {
        *out_public = public_part;
        public_part = NULL;
        k.rsa = NULL;
    }
out:
    wm_buf_done(&der);
    wm_rsa_free(public_part);
    wm_rsa_free(k.rsa);
    return status;
}

static enum wm_status files_sign(struct wm_key_store *s, const char *fingerprint, struct wm_view text,
                                 uint8_t out[WM_SIGNATURE_BYTES], struct wm_err *err)
{
    const struct key_files *f = files_of(s);
    const struct file_key *k = files_find(f, fingerprint);
    if (!k)
        return wm_fail(err, WM_E_NOT_FOUND, "no private key with fingerprint %s in %s", fingerprint, f->dir);
    return wm_rsa_sign(k->rsa, text, out, err);
}

static enum wm_status files_destroy(struct wm_key_store *s, const char *fingerprint, struct wm_err *err)
{
    struct key_files *f = files_of(s);
    enum wm_status status = destroy_key(f->io, f->dir, fingerprint, err);
    struct file_key *k = files_find(f, fingerprint);
    if (status == WM_OK && k) {
        wm_rsa_free(k->rsa);
        *k = f->at[--f->n];
    }
    return status;
}

static void files_close(struct wm_key_store *s)
{
    struct key_files *f = files_of(s);
    for (size_t i = 0; i < f->n; i++)
        wm_rsa_free(f->at[i].rsa);
    free(f->at);
    free(f);
}

enum wm_status wm_key_files_open(const struct wm_io *io, const char *dir, const struct wm_secret *passphrases,
                                 struct wm_key_store **out, struct wm_err *err)
{
    struct key_files *f = calloc(1, sizeof *f);
    if (!f)
        return wm_fail(err, WM_E_NOMEM, "no memory for the keys");
    f->store = (struct wm_key_store){.kind = "file", .look = files_look, .make = files_make, .sign = files_sign,
                                     .destroy = files_destroy, .close = files_close};
    f->io = io;
    f->passphrases = passphrases;
    if (!wm_view_copy(wm_view_of(dir), f->dir, sizeof f->dir)) {
        free(f);
        return wm_fail(err, WM_E_LIMIT, "the path of the keys is too long");
    }
    *out = &f->store;
    return WM_OK;
}

/* ---- what another store has taken over from ---- */

struct files_end {
    const struct wm_io *io;
    const char *dir;
    enum wm_status (*each)(void *arg, const char *fingerprint, struct wm_err *err);
    void *arg;
    struct wm_err *err;
    enum wm_status status;
};

static int files_end_name(void *arg, const char *name)
{
    struct files_end *e = arg;
    char fingerprint[WM_FINGERPRINT_BYTES];
    if (!key_name(name, ".pem", fingerprint))
        return 0;
    e->status = e->each(e->arg, fingerprint, e->err);
    if (e->status == WM_OK)
        e->status = destroy_key(e->io, e->dir, fingerprint, e->err);
    return e->status != WM_OK;
}

enum wm_status wm_key_files_destroy_all(const struct wm_io *io, const char *dir,
                                        enum wm_status (*each)(void *arg, const char *fingerprint, struct wm_err *err),
                                        void *arg, struct wm_err *err)
{
    struct files_end e = {.io = io, .dir = dir, .each = each, .arg = arg, .err = err};
    int rc = io->list(io->ctx, dir, files_end_name, &e);
    if (e.status == WM_OK && rc < 0)
        return wm_fail_errno(err, -rc, "%s", dir);
    return e.status;
}
