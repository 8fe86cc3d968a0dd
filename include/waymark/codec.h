/**
 * Compression of whole objects: zstd (RFC 8878) and gzip (RFC 1952), one frame or member per object. zstd.h and
 * libdeflate.h live in codec_zstd.c and codec_gzip.c.
 *
 * The same input, level and library give the same bytes, which delivery relies on when it repeats an upload.
 *
 * @thread any   @locks none
 */
#ifndef WAYMARK_CODEC_H
#define WAYMARK_CODEC_H

#include "waymark/buf.h"
#include "waymark/status.h"

struct wm_codec {
    const char *name;             /* "zstd", "gzip": the setting's value */
    const char *suffix;           /* ".json.zst", ".json.gz": how keys end */
    const char *content_encoding; /* "zstd" (RFC 8878 section 7.2), "gzip" */
    int default_level, min_level, max_level;
    /** Append the compressed form of in to out. @return WM_E_NOMEM, WM_E_LIMIT (out's ceiling) */
    enum wm_status (*compress)(int level, struct wm_view in, struct wm_buf *out, struct wm_err *err);
    /**
     * Append the content of an object to out. The object must be exactly one frame or member: bytes behind it, or a
     * second one, are WM_E_CORRUPT, since a reader that stops early would not see what a hash covers.
     * @return WM_E_CORRUPT; WM_E_LIMIT (larger than out's ceiling); WM_E_NOMEM
     */
    enum wm_status (*decompress)(struct wm_view in, struct wm_buf *out, struct wm_err *err);
};

extern const struct wm_codec wm_codec_zstd;
extern const struct wm_codec wm_codec_gzip;

/** By name, or by the end of an object's key; NULL when there is none. */
const struct wm_codec *wm_codec_by_name(struct wm_view name);
const struct wm_codec *wm_codec_by_key(struct wm_view key);

#endif
