/* zstd (RFC 8878): one frame with its content size and checksum. The only file that includes zstd.h. */
#include "waymark/codec.h"

#include <zstd.h>
#include <zstd_errors.h>

#include "waymark/banned.h"

/* Section 3.1.1; skippable frames (3.1.2) have other magics and would hide bytes from the hash. */
#define ZSTD_FRAME_MAGIC 0xFD2FB528u
/* Step of growth for frames that do not say how large their content is (other writers' streams). */
#define ZSTD_UNKNOWN_STEP ((size_t)256 * 1024)

static enum wm_status zstd_compress(int level, struct wm_view in, struct wm_buf *out, struct wm_err *err)
{
    enum wm_status status = WM_OK;
    size_t bound = ZSTD_compressBound(in.len);
    ZSTD_CCtx *ctx = ZSTD_createCCtx();
    if (!ctx)
        return wm_fail(err, WM_E_NOMEM, "no memory for a zstd context");
    size_t rc = ZSTD_CCtx_setParameter(ctx, ZSTD_c_compressionLevel, level);
    if (!ZSTD_isError(rc))
        rc = ZSTD_CCtx_setParameter(ctx, ZSTD_c_checksumFlag, 1);
    if (ZSTD_isError(rc)) {
        status = wm_fail(err, WM_E_INVALID, "zstd level %d: %s", level, ZSTD_getErrorName(rc));
        goto out;
    }
    /* The bound is a little more than the input, so a ceiling that fits the result may be below it. */
    size_t room = bound;
    if (room > out->max - out->len)
        room = out->max - out->len;
    char *at = wm_buf_room(out, room);
    if (!at) {
        status = wm_fail(err, wm_buf_status(out), "no room for %zu compressed bytes", room);
        goto out;
    }
    rc = ZSTD_compress2(ctx, at, room, in.len ? in.ptr : "", in.len);
    if (ZSTD_isError(rc)) {
        if (room < bound)
            status = wm_fail(err, WM_E_LIMIT, "the compressed form is larger than %zu bytes", room);
        else
            status = wm_fail(err, WM_E_NOMEM, "zstd: %s", ZSTD_getErrorName(rc));
        goto out;
    }
    wm_buf_grow(out, rc);
out:
    ZSTD_freeCCtx(ctx);
    return status;
}

static enum wm_status zstd_corrupt(struct wm_err *err, size_t rc)
{
    if (ZSTD_getErrorCode(rc) == ZSTD_error_memory_allocation)
        return wm_fail(err, WM_E_NOMEM, "no memory to read a zstd frame");
    return wm_fail(err, WM_E_CORRUPT, "not a sound zstd frame: %s", ZSTD_getErrorName(rc));
}

/* A frame whose header does not give the content's size. */
static enum wm_status zstd_decompress_stream(ZSTD_DCtx *ctx, struct wm_view in, struct wm_buf *out, struct wm_err *err)
{
    ZSTD_inBuffer source = {in.ptr, in.len, 0};
    for (;;) {
        size_t room = ZSTD_UNKNOWN_STEP;
        if (room > out->max - out->len)
            room = out->max - out->len;
        /* At the ceiling one more call with no room tells a frame that ends here from one that goes on. */
        char *at = wm_buf_room(out, room);
        if (!at)
            return wm_fail(err, wm_buf_status(out), "no room for the content");
        ZSTD_outBuffer target = {at, room, 0};
        size_t before = source.pos;
        size_t rc = ZSTD_decompressStream(ctx, &target, &source);
        if (ZSTD_isError(rc))
            return zstd_corrupt(err, rc);
        wm_buf_grow(out, target.pos);
        if (rc == 0)
            return WM_OK;
        if (target.pos == 0 && source.pos == before) {
            if (room == 0)
                return wm_fail(err, WM_E_LIMIT, "the content is larger than %zu bytes", out->max);
            return wm_fail(err, WM_E_CORRUPT, "not a sound zstd frame: it ends early");
        }
    }
}

static enum wm_status zstd_decompress(struct wm_view in, struct wm_buf *out, struct wm_err *err)
{
    if (in.len < 4 || wm_get_le32(in.ptr) != ZSTD_FRAME_MAGIC)
        return wm_fail(err, WM_E_CORRUPT, "not a zstd frame");
    size_t frame = ZSTD_findFrameCompressedSize(in.ptr, in.len);
    if (ZSTD_isError(frame))
        return zstd_corrupt(err, frame);
    if (frame != in.len)
        return wm_fail(err, WM_E_CORRUPT, "%zu bytes stand behind the zstd frame", in.len - frame);

    size_t start = out->len;
    enum wm_status status;
    ZSTD_DCtx *ctx = ZSTD_createDCtx();
    if (!ctx)
        return wm_fail(err, WM_E_NOMEM, "no memory for a zstd context");
    unsigned long long size = ZSTD_getFrameContentSize(in.ptr, in.len);
    if (size == ZSTD_CONTENTSIZE_ERROR) {
        status = wm_fail(err, WM_E_CORRUPT, "not a sound zstd frame: bad header");
    } else if (size == ZSTD_CONTENTSIZE_UNKNOWN) {
        status = zstd_decompress_stream(ctx, in, out, err);
    } else if (size > out->max - out->len) {
        status = wm_fail(err, WM_E_LIMIT, "the content is %llu bytes, more than %zu", size, out->max - out->len);
    } else {
        char *at = wm_buf_room(out, (size_t)size);
        size_t rc = at ? ZSTD_decompressDCtx(ctx, at, (size_t)size, in.ptr, in.len) : 0;
        if (!at) {
            status = wm_fail(err, wm_buf_status(out), "no room for %llu bytes of content", size);
        } else if (ZSTD_isError(rc)) {
            status = zstd_corrupt(err, rc);
        } else {
            wm_buf_grow(out, rc);
            status = WM_OK;
        }
    }
    if (status != WM_OK && out->len > start)
        wm_buf_truncate(out, start);
    ZSTD_freeDCtx(ctx);
    return status;
}

const struct wm_codec wm_codec_zstd = {
    .name = "zstd",
    .suffix = ".json.zst",
    .content_encoding = "zstd",
    .default_level = 1, /* measured: level 3 is no smaller on records and 1.6 times dearer */
    .min_level = 1,
    .max_level = 19, /* above, the window alone takes more memory than a trail file */
    .compress = zstd_compress,
    .decompress = zstd_decompress,
};
