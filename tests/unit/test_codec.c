/* Both codecs in one table: what they promise to delivery (same bytes again, exactly one frame) and to readers. */
#include "waymark/codec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include <zstd.h>

#include "waymark/banned.h"

static const struct wm_codec *const both[] = {&wm_codec_zstd, &wm_codec_gzip};

static void make_text(struct wm_buf *out, size_t bytes)
{
    wm_buf_init(out, bytes + 64);
    for (unsigned i = 0; out->len < bytes; i++)
        wm_buf_addf(out, "{\"n\":%u,\"x\":\"%u\"},", i, i * 2654435761u);
    wm_buf_truncate(out, bytes);
}

static void codec_round_trips_and_repeats_its_bytes(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 17, 4096, 300000};
    for (size_t c = 0; c < 2; c++)
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            struct wm_buf in, first, second, back;
            make_text(&in, sizes[i]);
            wm_buf_init(&first, 1 << 20);
            wm_buf_init(&second, 1 << 20);
            wm_buf_init(&back, sizes[i] + 3);
            wm_buf_add_str(&back, "pre"); /* both append */
            int level = both[c]->default_level;
            assert_int_equal(both[c]->compress(level, wm_buf_view(&in), &first, NULL), WM_OK);
            assert_int_equal(both[c]->compress(level, wm_buf_view(&in), &second, NULL), WM_OK);
            assert_true(wm_view_eq(wm_buf_view(&first), wm_buf_view(&second)));
            assert_int_equal(both[c]->decompress(wm_buf_view(&first), &back, NULL), WM_OK);
            assert_int_equal(back.len, sizes[i] + 3);
            assert_true(wm_view_eq(wm_view_sub(wm_buf_view(&back), 3, back.len), wm_buf_view(&in)));
            if (sizes[i] == 300000)
                assert_true(first.len < in.len / 2);
            wm_buf_done(&in);
            wm_buf_done(&first);
            wm_buf_done(&second);
            wm_buf_done(&back);
        }
}

static void codec_refuses_what_is_not_exactly_one_frame(void **state)
{
    (void)state;
    for (size_t c = 0; c < 2; c++) {
        struct wm_buf in, packed, twice, back;
        struct wm_err err;
        make_text(&in, 20000);
        wm_buf_init(&packed, 1 << 20);
        wm_buf_init(&twice, 1 << 20);
        wm_buf_init(&back, 1 << 20);
        assert_int_equal(both[c]->compress(3, wm_buf_view(&in), &packed, NULL), WM_OK);
        struct wm_view good = wm_buf_view(&packed);

        wm_buf_add_view(&twice, good);
        wm_buf_add_view(&twice, good);
        assert_int_equal(both[c]->decompress(wm_buf_view(&twice), &back, &err), WM_E_CORRUPT);
        assert_non_null(strstr(err.message, "stand behind"));
        for (size_t more = 1; more < 9; more++) { /* the last bytes are no length then */
            wm_buf_clear(&twice);
            wm_buf_add_view(&twice, good);
            for (size_t i = 0; i < more; i++)
                wm_buf_add_char(&twice, (char)(more * 31));
            assert_int_equal(both[c]->decompress(wm_buf_view(&twice), &back, &err), WM_E_CORRUPT);
        }
        for (size_t len = 0; len < good.len; len += len < 40 ? 1 : 97)
            assert_int_equal(both[c]->decompress(wm_view_sub(good, 0, len), &back, &err), WM_E_CORRUPT);
        assert_int_equal(back.len, 0);
        assert_int_equal(back.status, WM_OK);
        wm_buf_done(&in);
        wm_buf_done(&packed);
        wm_buf_done(&twice);
        wm_buf_done(&back);
    }
}

static void codec_finds_each_flipped_byte(void **state)
{
    (void)state;
    for (size_t c = 0; c < 2; c++) {
        struct wm_buf in, packed, back;
        make_text(&in, 600);
        wm_buf_init(&packed, 4096);
        wm_buf_init(&back, 1 << 16);
        assert_int_equal(both[c]->compress(both[c]->default_level, wm_buf_view(&in), &packed, NULL), WM_OK);
        size_t unseen = 0;
        for (size_t i = 0; i < packed.len; i++) {
            packed.data[i] ^= 0x20;
            wm_buf_clear(&back);
            enum wm_status status = both[c]->decompress(wm_buf_view(&packed), &back, NULL);
            /* gzip's header has bytes without meaning for the content (time, system); the content must then be right */
            if (status == WM_OK) {
                assert_true(wm_view_eq(wm_buf_view(&back), wm_buf_view(&in)));
                unseen++;
            }
            packed.data[i] ^= 0x20;
        }
        assert_true(unseen <= 6);
        wm_buf_done(&in);
        wm_buf_done(&packed);
        wm_buf_done(&back);
    }
}

static void codec_obeys_the_ceiling(void **state)
{
    (void)state;
    for (size_t c = 0; c < 2; c++) {
        struct wm_buf in, packed, small, exact;
        struct wm_err err;
        wm_buf_init(&in, 10 << 20);
        char *room = wm_buf_room(&in, 10 << 20);
        memset(room, 'x', 10 << 20); /* a bomb in small */
        wm_buf_grow(&in, 10 << 20);
        wm_buf_init(&packed, 1 << 20);
        wm_buf_init(&small, (10 << 20) - 1);
        wm_buf_init(&exact, 10 << 20);
        assert_int_equal(both[c]->compress(both[c]->default_level, wm_buf_view(&in), &packed, &err), WM_OK);
        assert_int_equal(both[c]->decompress(wm_buf_view(&packed), &small, &err), WM_E_LIMIT);
        assert_int_equal(small.len, 0);
        assert_int_equal(both[c]->decompress(wm_buf_view(&packed), &exact, &err), WM_OK);
        assert_int_equal(exact.len, 10 << 20);
        struct wm_buf tight;
        wm_buf_init(&tight, 20);
        assert_int_equal(both[c]->compress(both[c]->default_level, wm_buf_view(&in), &tight, &err), WM_E_LIMIT);
        assert_int_equal(tight.len, 0);
        wm_buf_done(&in);
        wm_buf_done(&packed);
        wm_buf_done(&small);
        wm_buf_done(&exact);
        wm_buf_done(&tight);
    }
}

/* Frames that other writers' streams make: no content size in the header; and frames that hide bytes. */
static void codec_zstd_reads_streams_and_refuses_skippable_frames(void **state)
{
    (void)state;
    struct wm_buf in, packed, back;
    make_text(&in, 900000);
    wm_buf_init(&packed, 1 << 20);
    ZSTD_CCtx *ctx = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(ctx, ZSTD_c_contentSizeFlag, 0);
    size_t n = ZSTD_compress2(ctx, wm_buf_room(&packed, 1 << 19), 1 << 19, in.data, in.len);
    assert_false(ZSTD_isError(n));
    wm_buf_grow(&packed, n);
    ZSTD_freeCCtx(ctx);

    wm_buf_init(&back, in.len);
    assert_int_equal(wm_codec_zstd.decompress(wm_buf_view(&packed), &back, NULL), WM_OK);
    assert_true(wm_view_eq(wm_buf_view(&back), wm_buf_view(&in)));
    wm_buf_done(&back);
    wm_buf_init(&back, in.len - 1);
    assert_int_equal(wm_codec_zstd.decompress(wm_buf_view(&packed), &back, NULL), WM_E_LIMIT);
    wm_buf_done(&back);

    wm_buf_init(&back, 100);
    static const char skippable[] = {0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 'h', 'i', 'd', 'e'};
    assert_int_equal(wm_codec_zstd.decompress((struct wm_view){skippable, sizeof skippable}, &back, NULL),
                     WM_E_CORRUPT);
    wm_buf_done(&back);
    wm_buf_done(&in);
    wm_buf_done(&packed);
}

/* The length at a gzip member's end is a hint that an attacker writes. */
static void codec_gzip_does_not_believe_the_length(void **state)
{
    (void)state;
    struct wm_buf in, packed, back;
    make_text(&in, 5000);
    wm_buf_init(&packed, 1 << 16);
    wm_buf_init(&back, 1u << 30);
    assert_int_equal(wm_codec_gzip.compress(6, wm_buf_view(&in), &packed, NULL), WM_OK);
    wm_put_le32(packed.data + packed.len - 4, 0xffffffffu);
    assert_int_equal(wm_codec_gzip.decompress(wm_buf_view(&packed), &back, NULL), WM_E_CORRUPT);
    assert_true(back.cap <= packed.len * 1032u * 2);
    wm_put_le32(packed.data + packed.len - 4, 1);
    assert_int_equal(wm_codec_gzip.decompress(wm_buf_view(&packed), &back, NULL), WM_E_CORRUPT);
    wm_buf_done(&in);
    wm_buf_done(&packed);
    wm_buf_done(&back);
}

static void codec_is_found_by_name_and_key(void **state)
{
    (void)state;
    assert_ptr_equal(wm_codec_by_name(WM_LIT("zstd")), &wm_codec_zstd);
    assert_ptr_equal(wm_codec_by_name(WM_LIT("gzip")), &wm_codec_gzip);
    assert_null(wm_codec_by_name(WM_LIT("gz")));
    assert_null(wm_codec_by_name(WM_EMPTY));
    assert_ptr_equal(wm_codec_by_key(WM_LIT("a/b.json.zst")), &wm_codec_zstd);
    assert_ptr_equal(wm_codec_by_key(WM_LIT("a/b.json.gz")), &wm_codec_gzip);
    assert_null(wm_codec_by_key(WM_LIT("a/b.json")));
    assert_null(wm_codec_by_key(WM_LIT("json.gz.txt")));
    struct wm_buf out;
    wm_buf_init(&out, 1000);
    struct wm_err err;
    assert_int_equal(wm_codec_gzip.compress(99, WM_LIT("x"), &out, &err), WM_E_NOMEM); /* libdeflate tells no more */
    wm_buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codec_round_trips_and_repeats_its_bytes),
        cmocka_unit_test(codec_refuses_what_is_not_exactly_one_frame),
        cmocka_unit_test(codec_finds_each_flipped_byte),
        cmocka_unit_test(codec_obeys_the_ceiling),
        cmocka_unit_test(codec_zstd_reads_streams_and_refuses_skippable_frames),
        cmocka_unit_test(codec_gzip_does_not_believe_the_length),
        cmocka_unit_test(codec_is_found_by_name_and_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
