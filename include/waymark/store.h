/**
 * Where trail files go: a bucket behind an S3 API, or a folder laid out exactly as a bucket would be.
 *
 * A store belongs to one thread at a time (it keeps a connection open); only wm_store_cancel() may come from another.
 * Every failure says in its wm_err whether trying again makes sense, and the store's own error name (`code`), which
 * GetTrailStatus shows; wm_store_retry_after_ms() says how long the store asked to be left alone.
 *
 * Folder: object KEY is the file FOLDER/KEY; its headers, which a file system has no place for, are JSON in
 * FOLDER/.metadata/KEY: {"content-type":"application/json",…,"x-amz-meta-signature":"…"}. The metadata is durable
 * before the object appears, and the object appears whole (written aside in FOLDER/.incoming/, synced, linked into
 * place, folder synced). Names that begin with a dot at the top of FOLDER are no objects.
 */
#ifndef WAYMARK_STORE_H
#define WAYMARK_STORE_H

#include "waymark/arena.h"
#include "waymark/buf.h"
#include "waymark/clock.h"
#include "waymark/io.h"
#include "waymark/status.h"

#define WM_STORE_MAX_HEADERS 16

struct wm_store_header {
    struct wm_view name; /* lower case, such as "content-type", "x-amz-meta-signature" */
    struct wm_view value;
};

struct wm_store;

struct wm_store_s3_options {
    struct wm_view bucket;
    struct wm_view endpoint;   /* "http://127.0.0.1:9000"; empty: https://s3.REGION.amazonaws.com */
    struct wm_view region;     /* "us-east-1" when empty */
    bool virtual_host;         /* bucket in the host name; otherwise in the path, as MinIO likes it */
    struct wm_view access_key_id;     /* empty: from the file */
    struct wm_view secret_access_key;
    struct wm_view session_token;     /* empty: none */
    struct wm_view credentials_file;  /* AWS shared-credentials file, read again when it changes; used without a key */
    struct wm_view profile;           /* in that file; "default" when empty */
    struct wm_view ca_file;           /* PEM; empty: the system's */
    int64_t connect_timeout_ms;       /* 0: 5,000 */
    int64_t request_timeout_ms;       /* 0: 60,000, of one request; a PUT has a second more for each 16 KB */
    const struct wm_clock *clock;
};

/** @return WM_E_INVALID (*err names the option). No request is made. Views are copied. */
enum wm_status wm_store_s3_new(const struct wm_store_s3_options *o, struct wm_store **out,
                               struct wm_err *err) WM_MUST_CHECK;

/**
 * @param bucket  the name that stands for the folder in digests ("digestS3Bucket"); empty when it is only read. With a
 *                name the folder is made when it is absent; one that goes away later is "NoSuchBucket", since making
 *                it again could write into the place where a volume is not mounted
 */
enum wm_status wm_store_file_new(const struct wm_io *io, struct wm_view folder, struct wm_view bucket,
                                 struct wm_store **out, struct wm_err *err) WM_MUST_CHECK;

/**
 * A tar of such a folder, plain or compressed by gzip or zstd, to be read: it is indexed here; a compressed one is
 * unpacked into a nameless file in $TMPDIR. May be used by several threads.
 * @return WM_E_NOT_FOUND, WM_E_DENIED, WM_E_CORRUPT (not a tar, or it ends early), WM_E_FULL (in $TMPDIR), WM_E_IO …
 */
enum wm_status wm_store_tar_new(const char *path, struct wm_store **out, struct wm_err *err) WM_MUST_CHECK;

void wm_store_free(struct wm_store *s); /* NULL allowed */

/**
 * The call in flight, and every later one, ends soon with WM_E_END (a call that waits for the network: within a
 * second). For shutdown. @thread any
 */
void wm_store_cancel(struct wm_store *s);

/** The bucket's name, as digests write it. Valid as long as the store. */
struct wm_view wm_store_bucket(const struct wm_store *s);

/** How long the last failed call was asked to wait before the next (Retry-After); 0 when it was not. */
int64_t wm_store_retry_after_ms(const struct wm_store *s);

/**
 * Put an object that is not there yet (If-None-Match: *). An object of this key with the same bytes and the same
 * x-amz-meta-* headers is what an earlier call left whose reply was lost, and counts as stored.
 * @param sha256_hex  of body, 64 characters, or empty: the store computes it
 * @return WM_OK (stored and durable); WM_E_EXISTS (another object of this key is there and was left as it is);
 *         WM_E_INVALID (the key, or the request; *err says what); WM_E_UNAVAILABLE, WM_E_DENIED, WM_E_NOT_FOUND
 *         (bucket), WM_E_FULL, WM_E_IO, WM_E_END (cancelled) …: nothing is known to be stored, but after a lost reply
 *         it may be
 */
enum wm_status wm_store_put(struct wm_store *s, struct wm_view key, struct wm_view body, struct wm_view sha256_hex,
                            const struct wm_store_header *headers, size_t n_headers, struct wm_err *err) WM_MUST_CHECK;

/**
 * Get an object whole.
 * @param body     appended to; its ceiling is the limit
 * @param a        holds the headers; NULL when they are not wanted
 * @param out_headers  [WM_STORE_MAX_HEADERS], content-* and x-amz-meta-* headers, names in lower case
 * @return WM_OK; WM_E_NOT_FOUND (no such object); WM_E_LIMIT (body's ceiling); WM_E_UNAVAILABLE (also: no such
 *         bucket, code "NoSuchBucket"), WM_E_DENIED …; body is then as it was
 */
enum wm_status wm_store_get(struct wm_store *s, struct wm_view key, struct wm_buf *body, struct wm_arena *a,
                            struct wm_store_header *out_headers, size_t *out_n, struct wm_err *err) WM_MUST_CHECK;

struct wm_store_object {
    struct wm_view key;
    uint64_t size;
    struct wm_wall_ns modified;
};

/**
 * Call each for every object whose key starts with prefix, in the order of keys (by bytes); stops at the first status
 * that is not WM_OK and returns it. each may call the store's other functions.
 * @return WM_OK; what each returned; WM_E_UNAVAILABLE (also: no such bucket), WM_E_DENIED, WM_E_CORRUPT (the listing
 *         is not one, or not in order) …
 */
enum wm_status wm_store_list(struct wm_store *s, struct wm_view prefix,
                             enum wm_status (*each)(void *arg, const struct wm_store_object *o), void *arg,
                             struct wm_err *err) WM_MUST_CHECK;

/** Value of a header; the empty view when it is not there. */
struct wm_view wm_store_header(const struct wm_store_header *headers, size_t n, const char *name);

#endif
