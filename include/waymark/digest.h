/**
 * Keys of trail files and digests, the digest document, and what of it is signed.
 *
 * Sources: AWS CloudTrail User Guide, "CloudTrail log file name format", "CloudTrail digest file structure", "Custom
 * implementations of CloudTrail log file integrity validation"; cloudtrail.md 1 and 3, with its test vector in 3.7.
 *
 * @thread any   @locks none
 */
#ifndef WAYMARK_DIGEST_H
#define WAYMARK_DIGEST_H

#include "waymark/arena.h"
#include "waymark/buf.h"
#include "waymark/clock.h"
#include "waymark/codec.h"
#include "waymark/hash.h"
#include "waymark/status.h"

#define WM_DIGEST_ALGORITHM "SHA256withRSA"
#define WM_TRAIL_FILE_UNIQUE_CHARS 16

/** What both kinds of keys are made from. */
struct wm_trail_naming {
    struct wm_view prefix;      /* without a final slash; may be empty */
    struct wm_view account_id;  /* 12 digits */
    struct wm_view region;      /* where the events come from */
    struct wm_view trail_name;
    struct wm_view home_region; /* where the trail was made */
    const struct wm_codec *codec;
};

/**
 * UNIQUE of the trail's file of that number: the number in 6 characters whose order is that of numbers, and 10 random
 * ones, so that nobody else's key is the same. Keys of one trail then sort in the order of delivery also within one step
 * of 5 minutes, and a reader that goes on listing behind the last key it saw misses nothing.
 */
void wm_trail_file_unique(uint64_t number, char out[WM_TRAIL_FILE_UNIQUE_CHARS + 1]);

/** [prefix/]AWSLogs/ACCOUNT/CloudTrail/REGION/YYYY/MM/DD/ACCOUNT_CloudTrail_REGION_YYYYMMDDTHHmmZ_UNIQUE.json.gz, the
 *  time rounded down to 5 minutes as AWS does. */
void wm_trail_file_key(const struct wm_trail_naming *n, struct wm_wall_ns delivered, const char *unique,
                       struct wm_buf *out);
/** [prefix/]AWSLogs/ACCOUNT/CloudTrail-Digest/REGION/YYYY/MM/DD/ACCOUNT_CloudTrail-Digest_REGION_NAME_HOME_YYYYMMDDTHHMMSSZ.json.gz */
void wm_digest_key(const struct wm_trail_naming *n, struct wm_wall_ns end, struct wm_buf *out);

struct wm_digest_file {
    struct wm_view bucket, key;
    struct wm_view hash_hex;      /* SHA-256 of the uncompressed bytes, lower-case hex */
    struct wm_view newest, oldest; /* eventTime texts */
};

/** A digest document. Texts are as in the file, since they are signed as they stand. */
struct wm_digest {
    struct wm_view account_id;
    struct wm_view start, end;
    struct wm_view bucket, key;
    struct wm_view fingerprint;
    struct wm_view newest, oldest;     /* empty: null */
    bool has_previous;                 /* false: the five previous* members are null, a starting digest */
    struct wm_view previous_bucket, previous_key, previous_hash_hex, previous_signature_hex;
    struct wm_digest_file *files;
    size_t n_files;
};

/** Append the document: compact, members in AWS's order. */
void wm_digest_write(const struct wm_digest *d, struct wm_buf *out);
/**
 * Read a document (ours or AWS's own); everything in it is copied into the arena, which needs some 4 bytes per byte.
 * @return WM_E_INVALID (not JSON, or a member is missing or of the wrong type: *err names it); WM_E_NOMEM
 */
enum wm_status wm_digest_read(struct wm_arena *a, struct wm_view text, struct wm_digest *out,
                              struct wm_err *err) WM_MUST_CHECK;
/**
 * The string that is signed: end, "bucket/key", hex SHA-256 of the document's bytes, previous signature or "null",
 * joined by LF without a last one.
 */
void wm_digest_string_to_sign(const struct wm_digest *d, struct wm_view document, struct wm_buf *out);

#endif
