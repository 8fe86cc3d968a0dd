/* Where the objects of `waymark verify` are, and the keys: arguments and environment into stores and a keyring. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/cli/verify_cli.h"
#include "waymark/bounds.h"
#include "waymark/buf.h"
#include "waymark/clock.h"
#include "waymark/io.h"

#include "waymark/banned.h"

/* Of a bucket whose answers take some time each; on one that is near more do no harm. */
#define TARGET_S3_JOBS 8u

/* A value of the environment; "" counts as unset, as in the AWS CLI. */
static const char *env(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

static const char *first_of(const char *a, const char *b, const char *c)
{
    return a ? a : b ? b : c;
}

/* ---- where the objects are ---- */

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/*
 * A folder store keeps the objects' headers in ROOT/.metadata, so the nearest folder upward that has one is the root, and
 * what lies between is the prefix. A copy without any is its own root (and its digests have no signatures).
 */
static enum wm_status split_folder(struct wm_view target, struct wm_buf *root, struct wm_view *out_prefix,
                                   struct wm_err *err)
{
    while (target.len > 1 && target.ptr[target.len - 1] == '/')
        target.len--;
    struct wm_view candidate = target;
    for (;;) {
        struct wm_buf metadata;
        wm_buf_init(&metadata, WM_MAX_PATH_BYTES);
        wm_buf_addf(&metadata, "%.*s/.metadata", WM_ARG(candidate));
        bool found = is_folder(wm_buf_cstr(&metadata));
        wm_buf_done(&metadata);
        size_t slash = wm_view_rfind(candidate, '/');
        if (found)
            break;
        if (slash == candidate.len || slash == 0) {
            candidate = target;
            break;
        }
        candidate = wm_view_sub(candidate, 0, slash);
    }
    wm_buf_add_view(root, candidate);
    *out_prefix = wm_view_sub(target, candidate.len == target.len ? target.len : candidate.len + 1, target.len);
    if (wm_buf_status(root) != WM_OK)
        return wm_fail(err, wm_buf_status(root), "the folder's path is too long");
    if (!is_folder(wm_buf_cstr(root)))
        return wm_fail(err, WM_E_NOT_FOUND, "there is no folder %.*s", WM_ARG(target));
    return WM_OK;
}

static bool is_file(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* A tar, or TAR/PREFIX: the nearest file upward. */
static bool split_tar(struct wm_view target, struct wm_buf *tar, struct wm_view *out_prefix)
{
    while (target.len > 1 && target.ptr[target.len - 1] == '/')
        target.len--;
    for (struct wm_view candidate = target; candidate.len;) {
        wm_buf_clear(tar);
        wm_buf_add_view(tar, candidate);
        if (wm_buf_status(tar) == WM_OK && is_file(wm_buf_cstr(tar))) {
            *out_prefix = wm_view_sub(target, candidate.len == target.len ? target.len : candidate.len + 1, target.len);
            return true;
        }
        size_t slash = wm_view_rfind(candidate, '/');
        candidate = wm_view_sub(candidate, 0, slash == candidate.len ? 0 : slash);
    }
    wm_buf_clear(tar);
    return false;
}

static enum wm_status open_s3(const struct verify_arguments *a, struct wm_view *out_prefix, struct wm_store **out,
                              struct wm_err *err)
{
    struct wm_view rest = wm_view_of(a->target + strlen("s3://"));
    struct wm_view bucket = wm_view_split(&rest, '/');
    while (rest.len && rest.ptr[rest.len - 1] == '/')
        rest.len--;
    *out_prefix = rest;
    struct wm_store_environment room;
    const struct wm_store_s3_options o = {
        .bucket = bucket,
        .endpoint = wm_view_of(first_of(a->endpoint_url, env("AWS_ENDPOINT_URL_S3"), env("AWS_ENDPOINT_URL"))),
        .region = wm_view_of(first_of(a->region, env("AWS_REGION"), env("AWS_DEFAULT_REGION"))),
        .credentials = wm_store_environment(&room),
        .ca_file = wm_view_of(env("AWS_CA_BUNDLE")),
        .clock = &wm_clock_system,
    };
    return wm_store_s3_new(&o, out, err);
}

/* ---- the keys ---- */

/* @param holder  the folder that holds the folder or tar; NULL: there is none */
static enum wm_status open_keys(const struct verify_arguments *a, const char *holder, struct wm_keyring **out,
                                struct wm_err *err)
{
    struct wm_buf path;
    wm_buf_init(&path, WM_MAX_PATH_BYTES);
    const char *data_dir = first_of(a->data_dir, env("WAYMARK_DATA_DIR"), NULL);
    if (a->public_keys) {
        wm_buf_add_str(&path, a->public_keys);
    } else if (data_dir) {
        wm_buf_addf(&path, "%s/keys/public-keys.json", data_dir);
    } else {
        struct stat st;
        if (holder)
            wm_buf_addf(&path, "%s/keys/public-keys.json", holder);
        if (!holder || stat(wm_buf_cstr(&path), &st) != 0) {
            wm_buf_clear(&path);
            wm_buf_add_str(&path, "var/keys/public-keys.json");
        }
    }
    enum wm_status status = wm_buf_status(&path);
    if (status != WM_OK)
        status = wm_fail(err, status, "the path of the public keys is too long");
    else
        status = wm_keyring_open(&wm_io_posix, wm_buf_cstr(&path), out, err);
    wm_buf_done(&path);
    return status;
}

/* ---- all of it ---- */

static unsigned jobs_of(const struct verify_arguments *a, bool is_s3)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned jobs = cores < 1 ? 1 : cores > (long)WM_VERIFY_MAX_JOBS ? WM_VERIFY_MAX_JOBS : (unsigned)cores;
    if (a->jobs)
        return a->jobs;
    return is_s3 && jobs < TARGET_S3_JOBS ? TARGET_S3_JOBS : jobs;
}

static enum wm_status open_stores(const struct verify_arguments *a, struct wm_buf *root, struct verify_target *t,
                                  struct wm_err *err)
{
    bool is_s3 = strncmp(a->target, "s3://", strlen("s3://")) == 0;
    bool is_tar = !is_s3 && split_tar(wm_view_of(a->target), root, &t->prefix);
    unsigned jobs = jobs_of(a, is_s3);
    enum wm_status status = WM_OK;
    if (!is_s3 && !is_tar)
        status = split_folder(wm_view_of(a->target), root, &t->prefix, err);
    for (unsigned i = 0; i < jobs && status == WM_OK; i++) {
        if (is_s3)
            status = i == 0 ? open_s3(a, &t->prefix, &t->stores[0], err)
                            : wm_store_s3_share(t->stores[0], &t->stores[i], err);
        else if (!is_tar)
            status = wm_store_file_new(&wm_io_posix, wm_buf_view(root), WM_EMPTY, &t->stores[i], err);
        else if (i == 0)
            status = wm_store_tar_new(wm_buf_cstr(root), &t->stores[0], err);
        else
            t->stores[i] = t->stores[0];
        if (status == WM_OK)
            t->n_stores++;
    }
    return status;
}

/* The folder that holds a folder (which may be ".") or a tar. */
static void holder_of(struct wm_buf *path)
{
    if (is_folder(wm_buf_cstr(path))) {
        wm_buf_add_str(path, "/..");
        return;
    }
    size_t slash = wm_view_rfind(wm_buf_view(path), '/');
    if (slash < path->len)
        wm_buf_truncate(path, slash + 1);
    else
        wm_buf_clear(path);
    wm_buf_add_str(path, ".");
}

enum wm_status verify_target_open(const struct verify_arguments *a, struct verify_target *out, struct wm_err *err)
{
    struct wm_buf root; /* of a folder, or the tar */
    *out = (struct verify_target){.prefix = WM_EMPTY};
    wm_buf_init(&root, WM_MAX_PATH_BYTES);
    enum wm_status status = open_stores(a, &root, out, err);
    bool local = root.len > 0;
    if (status == WM_OK && local)
        holder_of(&root);
    if (status == WM_OK)
        status = open_keys(a, local ? wm_buf_cstr(&root) : NULL, &out->keys, err);
    wm_buf_done(&root);
    if (status != WM_OK)
        verify_target_close(out);
    return status;
}

void verify_target_close(struct verify_target *t)
{
    for (unsigned i = 0; i < t->n_stores; i++)
        if (i == 0 || t->stores[i] != t->stores[0]) /* a tar is shared */
            wm_store_free(t->stores[i]);
    wm_keyring_free(t->keys);
    *t = (struct verify_target){.prefix = WM_EMPTY};
}
