/*
 * What the verifier reads of a bucket that somebody else may have written. Byte 0 of the input says as what it is taken:
 * 0: a gzip member, 1: a zstd frame, 2: the text of a trail file, 3: a digest document; modulo 4.
 *
 * Holds: what is unpacked keeps to its ceiling; scanning in pieces says the same as scanning at once.
 */
#include "delivery/verify_records.h"
#include "tests/fuzz/fuzz.h"
#include "waymark/codec.h"
#include "waymark/digest.h"

#include "waymark/banned.h"

#define CONTENT_MAX_BYTES (1u << 20)
#define PIECE 128u

static void scan(struct wm_view text)
{
    struct verify_scan whole, pieces;
    verify_scan_init(&whole, text, WM_LIT("demo"));
    verify_scan_to(&whole, text.len);
    verify_scan_init(&pieces, text, WM_LIT("demo"));
    for (size_t at = 0; at < text.len; at += PIECE)
        verify_scan_to(&pieces, text.len - at < PIECE ? text.len : at + PIECE);
    MUST(whole.n.records == pieces.n.records && whole.n.numbered == pieces.n.numbered &&
         whole.n.highest == pieces.n.highest && whole.n.n_gaps == pieces.n.n_gaps &&
         whole.n.n_missed == pieces.n.n_missed && whole.n.order_number == pieces.n.order_number);
    MUST(whole.n.numbered <= whole.n.records && whole.n.n_gaps <= VERIFY_MAX_RANGES);
}

static void read_digest(struct wm_view text)
{
    struct wm_arena a;
    struct wm_digest d;
    struct wm_buf to_sign;
    wm_arena_init(&a, 64u << 20);
    wm_buf_init(&to_sign, 1u << 20);
    if (wm_digest_read(&a, text, &d, NULL) == WM_OK) {
        wm_digest_string_to_sign(&d, text, &to_sign);
        for (size_t i = 0; i < d.n_files; i++)
            MUST(d.files[i].key.len > 0);
    }
    wm_buf_done(&to_sign);
    wm_arena_done(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wm_buf content;
    if (size == 0)
        return 0;
    struct wm_view rest = {(const char *)data + 1, size - 1};
    wm_buf_init(&content, CONTENT_MAX_BYTES);
    switch (data[0] % 4) {
    case 0:
    case 1:
        if ((data[0] % 4 ? &wm_codec_zstd : &wm_codec_gzip)->decompress(rest, &content, NULL) == WM_OK) {
            MUST(content.len <= CONTENT_MAX_BYTES);
            scan(wm_buf_view(&content));
        }
        break;
    case 2:
        scan(rest);
        break;
    default:
        read_digest(rest);
        break;
    }
    wm_buf_done(&content);
    return 0;
}
