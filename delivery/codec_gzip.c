/* gzip (RFC 1952): one member, no name, no time. The only file of delivery that includes libdeflate.h. */
#include "waymark/codec.h"

#include <libdeflate.h>

#include "waymark/banned.h"

/* RFC 1951: a match of 258 bytes costs at least 2 bits, so no member grows by more than this. */
#define DEFLATE_MAX_RATIO 1032u
/* Header of 10 bytes, an empty block of 2, CRC-32 and length. */
#define GZIP_MIN_BYTES 18u

static enum wm_status gzip_compress(int level, struct wm_view in, struct wm_buf *out, struct wm_err *err)
{
    enum wm_status status = WM_OK;
    struct libdeflate_compressor *c = libdeflate_alloc_compressor(level);
    if (!c)
        return wm_fail(err, WM_E_NOMEM, "no memory for a gzip compressor of level %d", level);
    size_t bound = libdeflate_gzip_compress_bound(c, in.len);
    size_t room = bound;
    if (room > out->max - out->len)
        room = out->max - out->len;
    char *at = wm_buf_room(out, room);
    if (!at) {
        status = wm_fail(err, wm_buf_status(out), "no room for %zu compressed bytes", room);
        goto out;
    }
    size_t n = libdeflate_gzip_compress(c, in.len ? in.ptr : "", in.len, at, room);
    if (n == 0)
        status = wm_fail(err, WM_E_LIMIT, "the compressed form is larger than %zu bytes", room);
    else
        wm_buf_grow(out, n);
out:
    libdeflate_free_compressor(c);
    return status;
}

static enum wm_status gzip_decompress(struct wm_view in, struct wm_buf *out, struct wm_err *err)
{
    if (in.len < GZIP_MIN_BYTES || (uint8_t)in.ptr[0] != 0x1f || (uint8_t)in.ptr[1] != 0x8b)
        return wm_fail(err, WM_E_CORRUPT, "not a gzip member");
    struct libdeflate_decompressor *d = libdeflate_alloc_decompressor();
    if (!d)
        return wm_fail(err, WM_E_NOMEM, "no memory for a gzip decompressor");

    /* The last four bytes say the size modulo 2^32; they are a hint only, since they may belong to what stands behind
       the member. What the input can expand to, and the ceiling, bound the memory. */
    enum wm_status status;
    size_t ceiling = out->max - out->len;
    size_t most = in.len > ceiling / DEFLATE_MAX_RATIO ? ceiling : in.len * DEFLATE_MAX_RATIO;
    size_t room = wm_get_le32(in.ptr + in.len - 4);
    if (room > most)
        room = most;
    for (;;) {
        char *at = wm_buf_room(out, room);
        if (!at) {
            status = wm_fail(err, wm_buf_status(out), "no room for %zu bytes of content", room);
            break;
        }
        size_t used = 0, n = 0;
        enum libdeflate_result rc = libdeflate_gzip_decompress_ex(d, in.ptr, in.len, at, room, &used, &n);
        if (rc == LIBDEFLATE_SUCCESS && used != in.len) {
            status = wm_fail(err, WM_E_CORRUPT, "%zu bytes stand behind the gzip member", in.len - used);
        } else if (rc == LIBDEFLATE_SUCCESS) {
            wm_buf_grow(out, n);
            status = WM_OK;
        } else if (rc == LIBDEFLATE_INSUFFICIENT_SPACE && room < most) {
            size_t more = room < 4096 ? 4096 : room;
            room = more > most - room ? most : room + more;
            continue;
        } else if (rc == LIBDEFLATE_INSUFFICIENT_SPACE && most == ceiling) {
            status = wm_fail(err, WM_E_LIMIT, "the content is larger than %zu bytes", ceiling);
        } else {
            status = wm_fail(err, WM_E_CORRUPT, "not a sound gzip member");
        }
        break;
    }
    libdeflate_free_decompressor(d);
    return status;
}

const struct wm_codec wm_codec_gzip = {
    .name = "gzip",
    .suffix = ".json.gz",
    .content_encoding = "gzip",
    .default_level = 6, /* measured: smaller than zlib 6 at half its cost */
    .min_level = 1,
    .max_level = 12,
    .compress = gzip_compress,
    .decompress = gzip_decompress,
};
