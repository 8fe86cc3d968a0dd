/**
 * AWS Signature Version 4, one module for who verifies (the API) and who signs (toward S3). Pure: time, secrets and
 * headers are passed in; nothing is read or sent.
 *
 * Source: AWS IAM User Guide, "Create a signed AWS API request" and "Troubleshoot Signature Version 4"; Amazon S3 API
 * Reference, "Authenticating Requests (AWS Signature Version 4)"; what real clients send: the captures behind
 * mediapackage.md 2.3 and clients.md 1.
 *
 * Verifying:
 *
 *     wm_sigv4_parse(&request, &claim, &err);       who claims to call, for which scope; nothing is proven yet
 *     … look the secret of claim.access_key_id up …
 *     wm_sigv4_verify(cache, &request, &claim, secret, now, &err);
 *
 * Signing:
 *
 *     wm_sigv4_sign(cache, &request, &credentials, now, &out);    then add the headers in out to the request
 *
 * Derived signing keys are cached per (access key id, day, region, service): deriving costs four HMACs.
 * A cache belongs to one thread.
 */
#ifndef WAYMARK_SIGV4_H
#define WAYMARK_SIGV4_H

#include "waymark/bounds.h"
#include "waymark/buf.h"
#include "waymark/clock.h"
#include "waymark/hash.h"
#include "waymark/status.h"

/** Most signed headers taken; real clients sign at most 12. */
#define WM_SIGV4_MAX_HEADERS 64
/** How far a request's date may be from our clock (IAM User Guide: 5 minutes; the common front ends accept 15). */
#define WM_SIGV4_SKEW_S (15 * 60)
/** Longest life of a presigned request (S3 API Reference: 7 days). */
#define WM_SIGV4_MAX_EXPIRES_S (7 * 24 * 3600)

struct wm_sigv4_header {
    struct wm_view name; /* any case */
    struct wm_view value;
};

enum wm_sigv4_path {
    WM_SIGV4_PATH_NORMALIZED, /* every service but S3: dot segments removed, then each segment encoded once more */
    WM_SIGV4_PATH_AS_SENT,    /* S3: decoded and encoded once, nothing removed */
};

struct wm_sigv4_request {
    struct wm_view method;
    struct wm_view path;      /* as on the wire, still encoded, without the query; "" counts as "/" */
    struct wm_view query;     /* as on the wire, without "?" */
    const struct wm_sigv4_header *headers;
    size_t n_headers;
    enum wm_sigv4_path path_form;
    /**
     * SHA-256 of the body in lower-case hex, or "UNSIGNED-PAYLOAD". When verifying, the module compares it with
     * x-amz-content-sha256, if the caller signed that.
     */
    struct wm_view payload_hash;
};

/** Why a request is refused; the wire protocol gives each its name and status. */
enum wm_sigv4_result {
    WM_SIGV4_OK,
    WM_SIGV4_MISSING,          /* no Authorization header and no X-Amz-Signature in the query */
    WM_SIGV4_INCOMPLETE,       /* a part is missing or malformed; the message names it */
    WM_SIGV4_EXPIRED,          /* the date is too old, or the presigned life is over */
    WM_SIGV4_NOT_YET,          /* the date is in the future */
    WM_SIGV4_WRONG_SCOPE,      /* date, region, service or terminator in the credential scope do not fit */
    WM_SIGV4_PAYLOAD_MISMATCH, /* x-amz-content-sha256 is not the body's */
    WM_SIGV4_MISMATCH,         /* the signature is not the one that this secret gives */
    /* for callers of the module */
    WM_SIGV4_UNKNOWN_KEY,      /* no such access key, or not active, or its session token is not one of ours */
    WM_SIGV4_TOKEN_EXPIRED,    /* the session is over */
    WM_SIGV4_NOT_FOUND_OUT,    /* whose the key is could not be read */
};

/** Room for a presigned request's credential, signed headers and session token (WM_MAX_SESSION_TOKEN_BYTES), decoded. */
#define WM_SIGV4_CLAIM_BYTES (2048 + WM_MAX_SESSION_TOKEN_BYTES)

/** What the request says of itself; views point into the request, or, of a presigned one, into `decoded`: no copies. */
struct wm_sigv4_claim {
    bool presigned;               /* in the query instead of the Authorization header */
    struct wm_view access_key_id;
    struct wm_view scope_date;    /* "20260301" */
    struct wm_view region;        /* may be empty: Go SDK v2 without a signing region; refuse it politely */
    struct wm_view service;
    struct wm_view signed_headers; /* "host;x-amz-date" */
    struct wm_view signature;     /* 64 hex digits */
    struct wm_view security_token; /* X-Amz-Security-Token, empty when there is none */
    struct wm_wall_ns date;       /* X-Amz-Date, else Date */
    char date_basic[WM_TIME_BASIC_BYTES];
    int64_t expires_s;            /* presigned only */
    char decoded[WM_SIGV4_CLAIM_BYTES]; /* not initialised */
};

/**
 * Take the request's claim apart.
 * @param out      as far as it could be read, also on failure (so that the record can name the claimed key)
 * @param message  [256] one sentence for the caller, set unless WM_SIGV4_OK
 */
enum wm_sigv4_result wm_sigv4_parse(const struct wm_sigv4_request *r, struct wm_sigv4_claim *out, char message[256]);

struct wm_sigv4_cache;
struct wm_sigv4_cache *wm_sigv4_cache_new(void); /* NULL when memory is short */
void wm_sigv4_cache_free(struct wm_sigv4_cache *c); /* wipes the keys; NULL allowed */

/**
 * Does the signature hold? Checks, in this order: date within the skew window or the presigned life, scope (date of
 * day equal to the date's; region and service equal to what is expected, where given, and never empty), host and
 * x-amz-target signed (for S3: every x-amz-* header), payload hash, signature in constant time.
 *
 * The canonical request's last line is payload_hash; for S3 it may be "UNSIGNED-PAYLOAD" where x-amz-content-sha256
 * says so or the request is presigned. Whether an unsigned x-amz-security-token is right is the caller's to check: it
 * must belong to the access key, and a temporary key must have one.
 *
 * Allocates nothing but a new cache entry, and does without that when memory is short.
 * @param region   expected region, empty: any
 * @param service  expected signing name, empty: any
 * @param message  [256] one sentence for the caller, set unless WM_SIGV4_OK
 */
enum wm_sigv4_result wm_sigv4_verify(struct wm_sigv4_cache *c, const struct wm_sigv4_request *r,
                                     const struct wm_sigv4_claim *claim, struct wm_view secret, struct wm_view region,
                                     struct wm_view service, struct wm_wall_ns now, char message[256]);

struct wm_sigv4_credentials {
    struct wm_view access_key_id;
    struct wm_view secret;
    struct wm_view session_token; /* empty: none */
    struct wm_view region;
    struct wm_view service;
};

/** Headers to add to the request, beside those that were signed with it. */
struct wm_sigv4_signature {
    char date[WM_TIME_BASIC_BYTES];   /* X-Amz-Date */
    char authorization[1024];         /* Authorization */
};

/**
 * Sign all headers of the request (an Authorization among them is left out), and x-amz-date and (when there is one)
 * x-amz-security-token; an x-amz-date among the headers is taken as the date. For S3 the caller has put
 * x-amz-content-sha256 among the headers.
 * @return WM_OK; WM_E_LIMIT (too many or too long headers); WM_E_INVALID (an x-amz-date that is none)
 */
enum wm_status wm_sigv4_sign(struct wm_sigv4_cache *c, const struct wm_sigv4_request *r,
                             const struct wm_sigv4_credentials *credentials, struct wm_wall_ns now,
                             struct wm_sigv4_signature *out) WM_MUST_CHECK;

/**
 * The canonical request and the string to sign, for tests and for the message of a mismatch.
 * @return WM_OK; WM_E_LIMIT (request too large, or out's ceiling); WM_E_NOMEM
 */
enum wm_status wm_sigv4_canonical_request(const struct wm_sigv4_request *r, struct wm_view signed_headers,
                                          bool presigned, struct wm_buf *out) WM_MUST_CHECK;
void wm_sigv4_string_to_sign(struct wm_view date_basic, struct wm_view scope_date, struct wm_view region,
                             struct wm_view service, struct wm_view canonical_request, struct wm_buf *out);

/** Encode as SigV4 does: all but A-Z a-z 0-9 - _ . ~ become %XX in upper case; '/' stays when keep_slash. */
void wm_uri_encode(struct wm_buf *out, struct wm_view text, bool keep_slash);
/** Decode %XX ('+' stays '+'). @return WM_E_INVALID when % is not followed by two hex digits */
enum wm_status wm_uri_decode(struct wm_buf *out, struct wm_view text) WM_MUST_CHECK;

#endif
