/**
 * Where trail files go: a bucket behind an S3 API, or a folder laid out exactly as a bucket would be.
 *
 * A store belongs to one thread at a time (it keeps a connection open); only wm_store_cancel() may come from another.
 * Threads that use the same bucket in parallel have a handle each.
 * Every failure says in its wm_err whether it passes by itself (retryable), the store's own error name (`code`), which
 * GetTrailStatus shows, and in its message what the operator can do; wm_store_retry_after_ms() says how long the store
 * asked to be left alone.
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

/** Where the login comes from; the first of access_key_id, file, container_uri and instance_endpoint that has one. */
struct wm_store_credentials {
    struct wm_view access_key_id;
    struct wm_view secret_access_key;
    struct wm_view session_token;     /* empty: none */
    struct wm_view file;              /* AWS shared-credentials file, read again when it changes */
    struct wm_view profile;           /* in that file; "default" when empty */
    struct wm_view container_uri;     /* AWS_CONTAINER_CREDENTIALS_FULL_URI: https, or http to loopback or link-local */
    struct wm_view container_token;   /* for its Authorization header; empty: none */
    struct wm_view container_token_file; /* the same in a file, read each time; goes before container_token */
    struct wm_view instance_endpoint; /* of the instance metadata service, "http://169.254.169.254"; empty: not asked */
    /* With a role, the login only assumes it, by STS. */
    struct wm_view role_arn;
    struct wm_view role_external_id;  /* empty: none */
    struct wm_view sts_endpoint;      /* empty: https://sts.REGION.amazonaws.com */
};

/** Room for what wm_store_environment() puts together. */
struct wm_store_environment {
    char file[4096], uri[512];
};

/**
 * The login as the AWS SDKs find it in the environment: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN;
 * AWS_SHARED_CREDENTIALS_FILE (~/.aws/credentials), AWS_PROFILE; AWS_CONTAINER_CREDENTIALS_FULL_URI or _RELATIVE_URI,
 * AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE or _TOKEN; AWS_EC2_METADATA_SERVICE_ENDPOINT, AWS_EC2_METADATA_DISABLED.
 * Variables that are empty count as not set. The views are of the environment and of room.
 */
struct wm_store_credentials wm_store_environment(struct wm_store_environment *room);

struct wm_store_s3_options {
    struct wm_view bucket;
    struct wm_view endpoint;   /* "http://127.0.0.1:9000"; empty: https://s3.REGION.amazonaws.com */
    struct wm_view region;     /* "us-east-1" when empty */
    bool virtual_host;         /* bucket in the host name; otherwise in the path, as MinIO likes it */
    struct wm_store_credentials credentials;
    struct wm_view ca_file;           /* PEM: these authorities and no others; empty: the system's */
    struct wm_view proxy;             /* "http://10.0.0.1:3128"; "none"; empty: the environment's */
    int64_t connect_timeout_ms;       /* 0: 5,000 */
    int64_t request_timeout_ms;       /* 0: 60,000, of one request; a PUT has a second more for each 16 KB */
    /* What each object is put with (S3 API Reference, PutObject). Empty: the bucket's own settings. */
    struct wm_view acl;               /* "bucket-owner-full-control" */
    struct wm_view encryption;        /* "AES256", "aws:kms" */
    struct wm_view kms_key_id;        /* with aws:kms; empty: the account's default key */
    struct wm_view storage_class;
    struct wm_view tags;              /* "team=audit,kept=7 years" */
    struct wm_view object_lock;       /* "GOVERNANCE", "COMPLIANCE" */
    int64_t object_lock_days;         /* with object_lock: kept so long from the upload on */
    const struct wm_clock *clock;
};

/** @return WM_E_INVALID (*err names the option). No request is made. Views are copied. */
enum wm_status wm_store_s3_new(const struct wm_store_s3_options *o, struct wm_store **out,
                               struct wm_err *err) WM_MUST_CHECK;

/**
 * Another handle of the same bucket, for another thread. What one of them learns, all know: login, clock, region,
 * whether a condition holds. @param of  of wm_store_s3_new(); either may be freed first
 */
enum wm_status wm_store_s3_share(struct wm_store *of, struct wm_store **out, struct wm_err *err) WM_MUST_CHECK;

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
 * Put an object that is not there yet. An object of this key with the same bytes and the same x-amz-meta-* headers is
 * what an earlier call left whose reply was lost, and counts as stored.
 *
 * S3: by If-None-Match: *. A store may ignore the condition and overwrite, so it is believed only once it was seen to
 * hold: until then the key is looked up before (HEAD), and the first object that is stored is put a second time, the
 * same bytes under the same key, which must be answered 412. Where it is not, each key is looked up first, for good (and
 * a bucket with versions has one more of that object; measured with radosgw 16, which ignores the condition in such
 * buckets only).
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
