/**
 * The status board: what the delivery side tells the server side. `server` and `delivery` do not know each other; a
 * trail posts its settings, progress and keys here, and the CloudTrail API reads them.
 *
 * @thread any   @locks takes board.mu in every call
 */
#ifndef WAYMARK_BOARD_H
#define WAYMARK_BOARD_H

#include "waymark/clock.h"
#include "waymark/status.h"

#define WM_BOARD_MAX_TRAILS 64
#define WM_BOARD_MAX_KEYS 1024 /* a key each 20 days: 54 years */

/** One trail as the API shows it. Times of 0 ns mean never; texts of "" mean none. */
struct wm_board_trail {
    char name[129];             /* 3 to 128 characters of [A-Za-z0-9._-] */
    char arn[256];
    char bucket[256];
    char prefix[201];
    char codec[8];              /* "zstd" or "gzip" */
    struct wm_wall_ns started;  /* StartLoggingTime */
    struct wm_wall_ns latest_delivery;
    struct wm_wall_ns latest_delivery_attempt;
    char latest_delivery_error[64];    /* the store's error code, such as "NoSuchBucket" */
    struct wm_wall_ns latest_digest;
    char latest_digest_error[64];
    /* The newest digest of the chain; what a verifier's checkpoint names. Empty before the first. */
    char digest_bucket[256];
    char digest_key[1025];
    char digest_hash[65];       /* SHA-256 of the document, hex */
    struct wm_wall_ns digest_end;
    /* Every entry up to cursor_seq is in one of four counts, each kept for itself: before + delivered + filtered +
       missed = cursor_seq. What is journaled beyond is pending. */
    uint64_t before_records;    /* journaled and gone before the trail began */
    uint64_t delivered_records; /* in the bucket */
    uint64_t filtered_records;  /* not for this trail */
    uint64_t missed_records;    /* left the journal before the trail could deliver them */
    uint64_t cursor_seq;
    struct wm_wall_ns oldest_pending; /* eventTime of the oldest record that is not delivered, as far as it was read */
};

/** One public key, as ListPublicKeys gives it. */
struct wm_board_key {
    char value[1024];           /* base64 of PKCS#1 RSAPublicKey DER */
    char fingerprint[33];       /* lower-case hex MD5 of the DER */
    struct wm_wall_ns valid_from;
    struct wm_wall_ns valid_until;
};

struct wm_board;
struct wm_board *wm_board_new(void); /* NULL when memory is short */
void wm_board_free(struct wm_board *b);

/** Post or replace the trail of that name. @return WM_E_LIMIT when there are WM_BOARD_MAX_TRAILS others */
enum wm_status wm_board_post_trail(struct wm_board *b, const struct wm_board_trail *t) WM_MUST_CHECK;
/** Copies in the order of posting. @return number of trails written to out */
size_t wm_board_trails(struct wm_board *b, struct wm_board_trail *out, size_t max);
/** By name or ARN; false when there is none. */
bool wm_board_find_trail(struct wm_board *b, struct wm_view name_or_arn, struct wm_board_trail *out);

enum wm_status wm_board_post_key(struct wm_board *b, const struct wm_board_key *k) WM_MUST_CHECK;
/** Keys whose validity meets [from, until], oldest first. */
size_t wm_board_keys(struct wm_board *b, struct wm_wall_ns from, struct wm_wall_ns until, struct wm_board_key *out,
                     size_t max);

#endif
