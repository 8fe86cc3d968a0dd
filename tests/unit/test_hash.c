#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/crypto.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "waymark/hash.h"

#include "waymark/banned.h"

static void assert_hex(const void *got, size_t len, const char *want)
{
    char text[256];
    assert_true(2 * len < sizeof text);
    wm_hex(got, len, text);
    text[2 * len] = '\0';
    assert_string_equal(text, want);
}

/* FIPS 180-4 examples (NIST "SHA256.pdf" and the long message of "SHA2_Additional.pdf") */
static const struct {
    const char *text;
    const char *digest;
} sha256_cases[] = {
    {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
     "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
};

static void sha256_known_answers(void **state)
{
    (void)state;
    uint8_t out[WM_SHA256_BYTES];
    for (size_t i = 0; i < sizeof sha256_cases / sizeof *sha256_cases; i++) {
        wm_sha256(sha256_cases[i].text, strlen(sha256_cases[i].text), out);
        assert_hex(out, sizeof out, sha256_cases[i].digest);
    }
    wm_sha256(NULL, 0, out);
    assert_hex(out, sizeof out, sha256_cases[0].digest);
}

static void sha256_stream_equals_one_piece_and_starts_anew(void **state)
{
    (void)state;
    static const char million_a[] = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";
    struct wm_sha256_stream *s = wm_sha256_stream_new();
    assert_non_null(s);
    uint8_t out[WM_SHA256_BYTES];
    char chunk[1000];
    memset(chunk, 'a', sizeof chunk);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 1000; i++) {
            wm_sha256_stream_add(s, chunk, 7);
            wm_sha256_stream_add(s, chunk, 0);
            wm_sha256_stream_add(s, chunk, sizeof chunk - 7);
        }
        wm_sha256_stream_end(s, out);
        assert_hex(out, sizeof out, million_a);
    }
    wm_sha256_stream_end(s, out);
    assert_hex(out, sizeof out, sha256_cases[0].digest);
    wm_sha256_stream_free(s);
    wm_sha256_stream_free(NULL);
}

/* RFC 4231 section 4, test cases 1, 2, 3, 6 (a key longer than a block), 7 */
static const struct {
    uint8_t key_byte;
    size_t key_len;
    const char *key_text;
    uint8_t data_byte;
    size_t data_len;
    const char *data_text;
    const char *mac;
} hmac_cases[] = {
    {0x0b, 20, NULL, 0, 0, "Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
    {0, 0, "Jefe", 0, 0, "what do ya want for nothing?",
     "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
    {0xaa, 20, NULL, 0xdd, 50, NULL, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
    {0xaa, 131, NULL, 0, 0, "Test Using Larger Than Block-Size Key - Hash Key First",
     "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
    {0xaa, 131, NULL, 0, 0,
     "This is a test using a larger than block-size key and a larger than block-size data. The key needs to be hashed "
     "before being used by the HMAC algorithm.",
     "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"},
};

static void hmac_known_answers_with_and_without_a_kept_key(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof hmac_cases / sizeof *hmac_cases; i++) {
        char key[160], data[200];
        size_t key_len = hmac_cases[i].key_len, data_len = hmac_cases[i].data_len;
        if (hmac_cases[i].key_text) {
            key_len = strlen(hmac_cases[i].key_text);
            memcpy(key, hmac_cases[i].key_text, key_len);
        } else {
            memset(key, hmac_cases[i].key_byte, key_len);
        }
        if (hmac_cases[i].data_text) {
            data_len = strlen(hmac_cases[i].data_text);
            memcpy(data, hmac_cases[i].data_text, data_len);
        } else {
            memset(data, hmac_cases[i].data_byte, data_len);
        }
        uint8_t out[WM_SHA256_BYTES];
        wm_hmac_sha256(key, key_len, data, data_len, out);
        assert_hex(out, sizeof out, hmac_cases[i].mac);
        struct wm_hmac_key *k = wm_hmac_key_new(key, key_len);
        assert_non_null(k);
        for (int round = 0; round < 2; round++) {
            memset(out, 0, sizeof out);
            wm_hmac_key_sha256(k, data, data_len, out);
            assert_hex(out, sizeof out, hmac_cases[i].mac);
        }
        wm_hmac_key_free(k);
    }
    wm_hmac_key_free(NULL);
    uint8_t out[WM_SHA256_BYTES];
    wm_hmac_sha256(NULL, 0, NULL, 0, out);
    assert_hex(out, sizeof out, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

static void md5_and_crc32_known_answers(void **state)
{
    (void)state;
    uint8_t out[WM_MD5_BYTES];
    wm_md5("", 0, out); /* RFC 1321 appendix A.5 */
    assert_hex(out, sizeof out, "d41d8cd98f00b204e9800998ecf8427e");
    wm_md5("message digest", 14, out);
    assert_hex(out, sizeof out, "f96b697d7cb7938d525a2f31aaf161d0");
    assert_int_equal(wm_crc32(0, "123456789", 9), 0xcbf43926); /* the check value of CRC-32/ISO-HDLC */
    assert_int_equal(wm_crc32(wm_crc32(0, "1234", 4), "56789", 5), 0xcbf43926);
    assert_int_equal(wm_crc32(0xcbf43926, NULL, 0), 0xcbf43926);
}

static void hex_decode_takes_both_cases_and_nothing_else(void **state)
{
    (void)state;
    uint8_t out[4] = {9, 9, 9, 9};
    assert_true(wm_hex_decode(WM_LIT("00fFA5"), out, 3));
    assert_memory_equal(out, "\x00\xff\xa5\x09", 4);
    assert_false(wm_hex_decode(WM_LIT("00ff"), out, 3));
    assert_false(wm_hex_decode(WM_LIT("00ffa500"), out, 3));
    assert_false(wm_hex_decode(WM_LIT("00fg00"), out, 3));
    assert_false(wm_hex_decode(WM_LIT(" 0ff00"), out, 3));
    assert_memory_equal(out, "\x00\xff\xa5\x09", 4); /* untouched on failure */
    assert_true(wm_hex_decode(WM_EMPTY, out, 0));
}

static const struct {
    const char *bytes;
    const char *text;
} base64_cases[] = { /* RFC 4648 section 10 */
    {"", ""},         {"f", "Zg=="},        {"fo", "Zm8="},           {"foo", "Zm9v"},
    {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}, {"\xff\xfe\xfb\xff", "//77/w=="},
};

static void base64_both_ways(void **state)
{
    (void)state;
    struct wm_buf b;
    wm_buf_init(&b, 100);
    for (size_t i = 0; i < sizeof base64_cases / sizeof *base64_cases; i++) {
        wm_buf_clear(&b);
        wm_base64(&b, base64_cases[i].bytes, strlen(base64_cases[i].bytes));
        assert_true(wm_view_eq_str(wm_buf_view(&b), base64_cases[i].text));
        wm_buf_clear(&b);
        assert_int_equal(wm_base64_decode(wm_view_of(base64_cases[i].text), &b), WM_OK);
        assert_true(wm_view_eq_str(wm_buf_view(&b), base64_cases[i].bytes));
    }
    wm_buf_done(&b);
}

static void base64_decode_refuses_other_spellings_and_keeps_the_ceiling(void **state)
{
    (void)state;
    static const char *const bad[] = {"Zg", "Zg=", "Zg===", "Z===", "====", "Zh==", "Zm9=", "Zm9v\n", "Zm 9", "Zg==Zg==",
                                      "Zm-v", "=Zm9"};
    struct wm_buf b;
    wm_buf_init(&b, 5);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (wm_base64_decode(wm_view_of(bad[i]), &b) != WM_E_INVALID)
            fail_msg("'%s' was taken", bad[i]);
        assert_int_equal(b.len, 0);
    }
    assert_int_equal(wm_base64_decode(WM_LIT("Zm9vYmFy"), &b), WM_E_LIMIT);
    assert_int_equal(b.len, 0);
    wm_buf_clear(&b);
    wm_base64(&b, "foo", 3);
    wm_base64(&b, "f", 1);
    assert_int_equal(wm_buf_status(&b), WM_E_LIMIT);
    assert_true(wm_view_eq_str(wm_buf_view(&b), "Zm9v"));
    wm_buf_done(&b);
}

static void random_fills_all_of_any_length(void **state)
{
    (void)state;
    static const size_t lengths[] = {1, 16, 128, 129, 512, 100000};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        uint8_t *p = calloc(1, lengths[i] + 1), *seen = calloc(1, lengths[i]);
        assert_non_null(p);
        assert_non_null(seen);
        for (int round = 0; round < 20; round++) {
            wm_random(p, lengths[i]);
            for (size_t j = 0; j < lengths[i]; j++)
                seen[j] |= p[j];
        }
        assert_int_equal(p[lengths[i]], 0);
        for (size_t j = 0; j < lengths[i]; j++)
            assert_int_not_equal(seen[j], 0); /* 20 zeros in a row at one place: 2^-160 */
        free(p);
        free(seen);
    }
}

static void random_differs_between_parent_and_child(void **state)
{
    (void)state;
    uint8_t mine[16], theirs[16];
    int fds[2];
    wm_random(mine, 1); /* the batch is now full in both */
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        wm_random(theirs, sizeof theirs);
        _exit(write(fds[1], theirs, sizeof theirs) == sizeof theirs ? 0 : 1);
    }
    wm_random(mine, sizeof mine);
    assert_int_equal(read(fds[0], theirs, sizeof theirs), sizeof theirs);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_memory_not_equal(mine, theirs, sizeof mine);
    close(fds[0]);
    close(fds[1]);
}

static void uuid_has_the_form_of_version_4(void **state)
{
    (void)state;
    char last[WM_UUID_BYTES] = "";
    for (int i = 0; i < 200; i++) {
        char u[WM_UUID_BYTES];
        wm_uuid(u);
        assert_int_equal(strlen(u), 36);
        for (size_t at = 0; at < 36; at++) {
            bool dash = at == 8 || at == 13 || at == 18 || at == 23;
            assert_true(dash ? u[at] == '-' : strchr("0123456789abcdef", u[at]) != NULL);
        }
        assert_int_equal(u[14], '4');
        assert_non_null(strchr("89ab", u[19]));
        assert_string_not_equal(u, last);
        memcpy(last, u, sizeof u);
    }
}

static void alnum_uses_all_62_characters_alike(void **state)
{
    (void)state;
    enum { DRAWS = 62 * 2000, AT_ONCE = 62 };
    unsigned count[256] = {0};
    char text[AT_ONCE + 2];
    for (int i = 0; i < DRAWS / AT_ONCE; i++) {
        text[AT_ONCE + 1] = '!';
        wm_random_alnum(text, AT_ONCE);
        assert_int_equal(strlen(text), AT_ONCE);
        assert_int_equal(text[AT_ONCE + 1], '!');
        for (size_t j = 0; j < AT_ONCE; j++)
            count[(unsigned char)text[j]]++;
    }
    /* 2000 expected, deviation 45: eight of them leave 1 chance of failure in 10^13 */
    for (int c = 0; c < 256; c++) {
        bool alnum = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        assert_in_range(count[c], alnum ? 1640 : 0, alnum ? 2360 : 0);
    }
    wm_random_alnum(text, 0);
    assert_string_equal(text, "");
}

static void constant_time_equality_and_wipe(void **state)
{
    (void)state;
    char secret[] = "0123456789abcdef";
    assert_true(wm_equal_constant_time(secret, "0123456789abcdef", 16));
    assert_false(wm_equal_constant_time(secret, "0123456789abcdeg", 16));
    assert_false(wm_equal_constant_time(secret, "1123456789abcdef", 16));
    assert_true(wm_equal_constant_time(secret, "x", 0));
    wm_wipe(secret, 15);
    assert_memory_equal(secret, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0f", 17);
    wm_wipe(NULL, 0);
}

static void *hash_in_a_thread(void *arg)
{
    uint8_t *out = arg;
    if (wm_hash_thread_init() != WM_OK || wm_hash_thread_init() != WM_OK)
        return arg;
    for (int i = 0; i < 1000; i++)
        wm_sha256("abc", 3, out);
    char u[WM_UUID_BYTES];
    wm_uuid(u);
    return NULL;
}

/* Each thread has contexts of its own and leaves none behind (ASan's leak check sees them). */
static void threads_hash_at_the_same_time(void **state)
{
    (void)state;
    pthread_t threads[8];
    uint8_t out[8][WM_SHA256_BYTES];
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hash_in_a_thread, out[i]), 0);
    for (size_t i = 0; i < 8; i++) {
        void *failed;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
        assert_hex(out[i], WM_SHA256_BYTES, sha256_cases[1].digest);
    }
}

/* OpenSSL allocates through these: the fail_nth-th allocation from now on fails, 0 for none. */
static atomic_int fail_nth;

static bool refused(void)
{
    return atomic_load(&fail_nth) > 0 && atomic_fetch_sub(&fail_nth, 1) == 1 && (atomic_store(&fail_nth, -1), true);
}

static void *counted_malloc(size_t n, const char *file, int line)
{
    (void)file;
    (void)line;
    return refused() ? NULL : malloc(n);
}

static void *counted_realloc(void *p, size_t n, const char *file, int line)
{
    (void)file;
    (void)line;
    return refused() ? NULL : realloc(p, n);
}

static void plain_free(void *p, const char *file, int line)
{
    (void)file;
    (void)line;
    free(p);
}

static void *start_twice(void *arg)
{
    enum wm_status *got = arg;
    got[0] = wm_hash_thread_init();
    got[1] = wm_hash_thread_init();
    return NULL;
}

static void short_memory_is_an_error_where_objects_are_made(void **state)
{
    (void)state;
    assert_int_equal(wm_hash_thread_init(), WM_OK);
    /* the first allocation of OpenSSL fails, then only the second, …, until a run passes unhit */
    for (int nth = 1;; nth++) {
        atomic_store(&fail_nth, nth);
        struct wm_hmac_key *k = wm_hmac_key_new("Jefe", 4);
        bool hit = atomic_exchange(&fail_nth, 0) < 0;
        assert_int_equal(hit, k == NULL);
        wm_hmac_key_free(k);
        if (!hit)
            break;
        assert_true(nth < 100);
    }
    for (int nth = 1;; nth++) {
        atomic_store(&fail_nth, nth);
        struct wm_sha256_stream *s = wm_sha256_stream_new();
        bool hit = atomic_exchange(&fail_nth, 0) < 0;
        assert_int_equal(hit, s == NULL);
        wm_sha256_stream_free(s);
        if (!hit)
            break;
        assert_true(nth < 100);
    }
    for (int nth = 1; nth <= 6; nth++) { /* three contexts, each with its state */
        pthread_t thread;
        enum wm_status got[2] = {WM_OK, WM_E_NOMEM};
        atomic_store(&fail_nth, nth);
        assert_int_equal(pthread_create(&thread, NULL, start_twice, got), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(atomic_load(&fail_nth), -1);
        atomic_store(&fail_nth, 0);
        assert_int_equal(got[0], WM_E_NOMEM);
        assert_int_equal(got[1], WM_OK);
    }
}

int main(void)
{
    if (CRYPTO_set_mem_functions(counted_malloc, counted_realloc, plain_free) != 1)
        return 99; /* OpenSSL has allocated before us */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_known_answers),
        cmocka_unit_test(sha256_stream_equals_one_piece_and_starts_anew),
        cmocka_unit_test(hmac_known_answers_with_and_without_a_kept_key),
        cmocka_unit_test(md5_and_crc32_known_answers),
        cmocka_unit_test(hex_decode_takes_both_cases_and_nothing_else),
        cmocka_unit_test(base64_both_ways),
        cmocka_unit_test(base64_decode_refuses_other_spellings_and_keeps_the_ceiling),
        cmocka_unit_test(random_fills_all_of_any_length),
        cmocka_unit_test(random_differs_between_parent_and_child),
        cmocka_unit_test(uuid_has_the_form_of_version_4),
        cmocka_unit_test(alnum_uses_all_62_characters_alike),
        cmocka_unit_test(constant_time_equality_and_wipe),
        cmocka_unit_test(threads_hash_at_the_same_time),
        cmocka_unit_test(short_memory_is_an_error_where_objects_are_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
