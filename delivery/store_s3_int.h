/* Inside of the S3 store: what its parts share. store_s3.c puts and gets, s3_call.c asks, s3_list.c lists. */
#ifndef WAYMARK_DELIVERY_STORE_S3_INT_H
#define WAYMARK_DELIVERY_STORE_S3_INT_H

#include "aws_request.h"
#include "credential_source.h"
#include "s3_failure.h"
#include "store_int.h"
#include "waymark/sync.h"

#define WM_S3_MAX_REGION_BYTES 65
#define WM_S3_MAX_HOST_BYTES 512

/** SHA-256 of nothing. */
#define WM_S3_EMPTY_SHA256 WM_LIT("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")

/** Does the store hold to If-None-Match? */
enum wm_s3_condition {
    WM_S3_CONDITION_UNKNOWN,
    WM_S3_CONDITION_HELD,    /* a 412 was seen */
    WM_S3_CONDITION_IGNORED, /* it answers 501, or overwrites */
};

/* What all handles of one bucket share. */
struct s3_core {
    /* constant after start */
    struct wm_arena memory;
    const struct wm_clock *clock;
    struct wm_http_settings http;
    struct wm_credential_source *credentials;
    const char *scheme;      /* "http", "https" */
    const char *path_bucket; /* "/bucket", or "" when the bucket is in the host name */
    int64_t request_timeout_ms;
    struct wm_sigv4_header put_headers[8]; /* what each object is put with */
    size_t n_put_headers;
    const char *object_lock; /* NULL: none */
    int64_t object_lock_days;

    struct {
        struct wm_mutex mu;
        char region[WM_S3_MAX_REGION_BYTES];
        char host[WM_S3_MAX_HOST_BYTES]; /* as in the Host header */
        int64_t skew_s;                  /* the store's clock is ahead of ours by so much */
        enum wm_s3_condition condition;
        bool md5;                        /* the store wants Content-MD5 */
        size_t handles;                  /* the last one takes the core with it */
    } locked;
};

/* A handle: one connection, used by one thread at a time. */
struct store_s3 {
    struct wm_store base;
    struct s3_core *core;
    struct wm_http_client *http; /* NULL before the first call */
    struct wm_sigv4_cache *cache;
    uint64_t generation;         /* of the credentials that the cache has keys of */
};

struct store_s3 *wm_store_s3_of(struct wm_store *s);

struct s3_request {
    const char *method;   /* GET, HEAD, PUT */
    struct wm_view key;   /* empty: the bucket itself */
    struct wm_view query; /* encoded */
    struct wm_view body;
    struct wm_view sha256_hex;
    const struct wm_store_header *headers;
    size_t n_headers;
    bool conditional;     /* If-None-Match: * */
};

/**
 * Ask, and ask again when the answer tells what was wrong and it can be mended (s3_failure.h, the actions). Everything
 * else is the caller's to repeat.
 * @param r  of wm_http_reply_init()
 */
enum wm_status wm_s3_call(struct store_s3 *s3, const struct s3_request *q, struct wm_http_reply *r,
                          struct wm_err *err) WM_MUST_CHECK;

enum wm_status wm_s3_list(struct wm_store *s, struct wm_view prefix,
                          enum wm_status (*each)(void *arg, const struct wm_store_object *o), void *arg,
                          struct wm_err *err) WM_MUST_CHECK;

#endif
