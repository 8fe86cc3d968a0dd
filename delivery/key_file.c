/*
 * Private keys in files: <dir>/<fingerprint>.pem, PKCS#8 in PEM, mode 0600, encrypted when there is a passphrase.
 *
 * A file that is in the clear though there is a passphrase, or under an older passphrase, is encrypted anew when it is
 * read: the new content is durable before the old one's bytes are overwritten. A file system that copies on write keeps
 * old bytes for a while nevertheless, and so does any when the power fails between the two, since the old file has no
 * name by then; whoever cannot have that gives the passphrase before the first start.
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

static enum wm_status key_path(const char *dir, const char *fingerprint, const char *suffix,
                               char out[WM_MAX_PATH_BYTES], struct wm_err *err)
{
    int n = snprintf(out, WM_MAX_PATH_BYTES, "%s/%s%s", dir, fingerprint, suffix);
    if (n < 0 || n >= (int)WM_MAX_PATH_BYTES)
        return wm_fail(err, WM_E_LIMIT, "the path %s/%s%s is too long", dir, fingerprint, suffix);
    return WM_OK;
}

/* ---- what lies in the folder ---- */

#define KEY_NAMES_MAX_BYTES (64u * 1024u) /* two keys are there at a time, in good order */
#define KEY_NAME_CHARS (WM_FINGERPRINT_BYTES - 1)

/* Names are gathered before anything is done: who makes or removes files does not do so while a folder is read. */
struct key_names {
    struct wm_buf keys, remains; /* fingerprints of KEY_NAME_CHARS each: of NAME.pem; of NAME.pem.tmp */
};

static int key_names_add(void *arg, const char *name)
{
    struct key_names *names = arg;
    struct wm_view file = wm_view_of(name), fingerprint = wm_view_sub(file, 0, KEY_NAME_CHARS);
    struct wm_view rest = wm_view_sub(file, KEY_NAME_CHARS, file.len);
    if (wm_view_eq_str(rest, ".pem"))
        wm_buf_add_view(&names->keys, fingerprint);
    else if (wm_view_eq_str(rest, ".pem.tmp"))
        wm_buf_add_view(&names->remains, fingerprint);
    return 0;
}

static enum wm_status key_names_read(struct key_names *names, const struct wm_io *io, const char *dir,
                                     struct wm_err *err)
{
    wm_buf_init(&names->keys, KEY_NAMES_MAX_BYTES);
    wm_buf_init(&names->remains, KEY_NAMES_MAX_BYTES);
    int rc = io->list(io->ctx, dir, key_names_add, names);
    if (rc < 0)
        return wm_fail_errno(err, -rc, "%s", dir);
    enum wm_status status = wm_buf_status(&names->keys);
    if (status == WM_OK)
        status = wm_buf_status(&names->remains);
    return status == WM_OK ? WM_OK : wm_fail(err, status, "no room for the names of the keys in %s", dir);
}

static void key_names_done(struct key_names *names)
{
    wm_buf_done(&names->keys);
    wm_buf_done(&names->remains);
}

/* Cut one off; false when there is none left. */
static bool key_names_next(struct wm_view *rest, char out[WM_FINGERPRINT_BYTES])
{
    if (!wm_view_copy(wm_view_sub(*rest, 0, KEY_NAME_CHARS), out, WM_FINGERPRINT_BYTES) || rest->len == 0)
        return false;
    *rest = wm_view_sub(*rest, KEY_NAME_CHARS, rest->len);
    return true;
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

/* NAME.pem.tmp. WM_OK also when there is none. */
static enum wm_status destroy_remains(const struct wm_io *io, const char *dir, const char *fingerprint,
                                      struct wm_err *err)
{
    char path[WM_MAX_PATH_BYTES];
    enum wm_status status = key_path(dir, fingerprint, ".pem.tmp", path, err);
    if (status != WM_OK)
        return status;
    int fd = io->open(io->ctx, path, O_WRONLY, 0);
    if (fd == -ENOENT)
        return WM_OK;
    if (fd < 0)
        return wm_fail_errno(err, -fd, "cannot destroy %s", path);
    status = overwrite(io, fd, path, err);
    int rc = io->close(io->ctx, fd);
    if (status == WM_OK && rc < 0)
        status = wm_fail_errno(err, -rc, "cannot close %s", path);
    if (status == WM_OK && (rc = io->unlink(io->ctx, path)) < 0)
        status = wm_fail_errno(err, -rc, "cannot remove %s", path);
    if (status == WM_OK && (rc = io->sync_dir(io->ctx, dir)) < 0)
        status = wm_fail_errno(err, -rc, "cannot sync %s", dir);
    return status;
}

/* It loses its name first: a key file that is found is a whole one. WM_OK also when there is none. */
static enum wm_status destroy_key(const struct wm_io *io, const char *dir, const char *fingerprint, struct wm_err *err)
{
    char path[WM_MAX_PATH_BYTES], aside[WM_MAX_PATH_BYTES];
    enum wm_status status = key_path(dir, fingerprint, ".pem", path, err);
    if (status == WM_OK)
        status = key_path(dir, fingerprint, ".pem.tmp", aside, err);
    if (status != WM_OK)
        return status;
    int rc = io->rename(io->ctx, path, aside);
    if (rc == 0)
        rc = io->sync_dir(io->ctx, dir);
    if (rc < 0 && rc != -ENOENT)
        return wm_fail_errno(err, -rc, "cannot destroy %s", path);
    return destroy_remains(io, dir, fingerprint, err);
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
    enum wm_status status = key_path(f->dir, fingerprint, ".pem", path, err);
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

static enum wm_status files_look(struct wm_key_store *s,
                                 enum wm_status (*each)(void *arg, const struct wm_key_found *found, struct wm_err *err),
                                 void *arg, struct wm_err *err)
{
    struct key_files *f = files_of(s);
    struct key_names names;
    char fingerprint[WM_FINGERPRINT_BYTES];
    enum wm_status status = key_names_read(&names, f->io, f->dir, err);
    /* What a crash left has signed nothing yet, or was to be destroyed. */
    for (struct wm_view rest = wm_buf_view(&names.remains); status == WM_OK && key_names_next(&rest, fingerprint);)
        status = destroy_remains(f->io, f->dir, fingerprint, err);
    for (struct wm_view rest = wm_buf_view(&names.keys); status == WM_OK && key_names_next(&rest, fingerprint);) {
        struct wm_key_found found = {0};
        if (!files_find(f, fingerprint))
            status = read_key(f, fingerprint, &found.encrypted_now, err);
        if (status != WM_OK)
            break;
        const struct file_key *k = files_find(f, fingerprint);
        WM_ASSERT(k != NULL); /* read_key() has checked that it is the key of this name */
        found.public_part = k->rsa;
        found.made = k->made;
        status = each(arg, &found, err);
    }
    key_names_done(&names);
    return status;
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
        status = key_path(f->dir, k.fingerprint, ".pem", path, err);
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

enum wm_status wm_key_files_destroy_all(const struct wm_io *io, const char *dir,
                                        enum wm_status (*each)(void *arg, const char *fingerprint, struct wm_err *err),
                                        void *arg, struct wm_err *err)
{
    struct key_names names;
    char fingerprint[WM_FINGERPRINT_BYTES];
    enum wm_status status = key_names_read(&names, io, dir, err);
    for (struct wm_view rest = wm_buf_view(&names.keys); status == WM_OK && key_names_next(&rest, fingerprint);) {
        status = each(arg, fingerprint, err);
        if (status == WM_OK)
            status = destroy_key(io, dir, fingerprint, err);
    }
    key_names_done(&names);
    return status;
}
