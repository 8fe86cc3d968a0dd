#include "waymark/digest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "tests/support/scratch.h"
#include "waymark/bounds.h"

#include "waymark/banned.h"

#define KEY_1 "AWSLogs/111122223333/CloudTrail-Digest/eu-central-1/2026/03/01/" \
              "111122223333_CloudTrail-Digest_eu-central-1_studio_eu-central-1_20260301T110000Z.json.zst"

static struct wm_view hash_hex(struct wm_view text, char out[WM_SHA256_HEX_BYTES])
{
    uint8_t hash[WM_SHA256_BYTES];
    wm_sha256(text.ptr, text.len, hash);
    wm_hex(hash, sizeof hash, out);
    return (struct wm_view){out, WM_SHA256_HEX_BYTES};
}

static void assert_view(struct wm_view got, struct wm_view expected)
{
    if (!wm_view_eq(got, expected))
        fail_msg("got      %.*s\nexpected %.*s", WM_ARG(got), WM_ARG(expected));
}

static void keys_follow_cloudtrail(void **state)
{
    (void)state;
    struct wm_trail_naming n = {
        .account_id = WM_LIT("111122223333"),
        .region = WM_LIT("eu-central-1"),
        .trail_name = WM_LIT("studio"),
        .home_region = WM_LIT("us-west-2"),
        .codec = &wm_codec_gzip,
    };
    static const struct {
        const char *when, *prefix, *file, *digest;
    } cases[] = {
        {"2026-03-01T10:09:59Z", "", "AWSLogs/111122223333/CloudTrail/eu-central-1/2026/03/01/"
         "111122223333_CloudTrail_eu-central-1_20260301T1005Z_k3Vq9ZbT0aXw7LmD.json.gz",
         "AWSLogs/111122223333/CloudTrail-Digest/eu-central-1/2026/03/01/"
         "111122223333_CloudTrail-Digest_eu-central-1_studio_us-west-2_20260301T100959Z.json.gz"},
        {"2026-12-31T23:55:00Z", "audit/a", "audit/a/AWSLogs/111122223333/CloudTrail/eu-central-1/2026/12/31/"
         "111122223333_CloudTrail_eu-central-1_20261231T2355Z_k3Vq9ZbT0aXw7LmD.json.gz",
         "audit/a/AWSLogs/111122223333/CloudTrail-Digest/eu-central-1/2026/12/31/"
         "111122223333_CloudTrail-Digest_eu-central-1_studio_us-west-2_20261231T235500Z.json.gz"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct wm_wall_ns when;
        struct wm_buf out;
        assert_int_equal(wm_time_parse(wm_view_of(cases[i].when), &when), WM_OK);
        when.ns += 999999999;
        n.prefix = wm_view_of(cases[i].prefix);
        wm_buf_init(&out, 1024);
        wm_trail_file_key(&n, when, "k3Vq9ZbT0aXw7LmD", &out);
        assert_string_equal(wm_buf_cstr(&out), cases[i].file);
        wm_buf_clear(&out);
        wm_digest_key(&n, when, &out);
        assert_string_equal(wm_buf_cstr(&out), cases[i].digest);
        wm_buf_done(&out);
    }
}

static struct wm_digest sample(struct wm_digest_file *file)
{
    *file = (struct wm_digest_file){
        .bucket = WM_LIT("evidence"),
        .key = WM_LIT("AWSLogs/x.json.zst"),
        .hash_hex = WM_LIT("aa"),
        .newest = WM_LIT("2026-03-01T10:07:12Z"),
        .oldest = WM_LIT("2026-03-01T10:01:00Z"),
    };
    return (struct wm_digest){
        .account_id = WM_LIT("111122223333"),
        .start = WM_LIT("2026-03-01T10:00:00Z"),
        .end = WM_LIT("2026-03-01T11:00:00Z"),
        .bucket = WM_LIT("evidence"),
        .key = WM_LIT(KEY_1),
        .fingerprint = WM_LIT("00112233445566778899aabbccddeeff"),
        .newest = WM_LIT("2026-03-01T10:07:12Z"),
        .oldest = WM_LIT("2026-03-01T10:01:00Z"),
        .files = file,
        .n_files = 1,
    };
}

static void digest_is_written_in_amazons_order(void **state)
{
    (void)state;
    struct wm_digest_file file;
    struct wm_digest d = sample(&file);
    struct wm_buf out, text;
    wm_buf_init(&out, WM_MAX_DIGEST_BYTES);
    wm_buf_init(&text, 4096);
    wm_digest_write(&d, &out);
    assert_string_equal(wm_buf_cstr(&out),
        "{\"awsAccountId\":\"111122223333\",\"digestStartTime\":\"2026-03-01T10:00:00Z\","
        "\"digestEndTime\":\"2026-03-01T11:00:00Z\",\"digestS3Bucket\":\"evidence\",\"digestS3Object\":\"" KEY_1 "\","
        "\"digestPublicKeyFingerprint\":\"00112233445566778899aabbccddeeff\","
        "\"digestSignatureAlgorithm\":\"SHA256withRSA\",\"newestEventTime\":\"2026-03-01T10:07:12Z\","
        "\"oldestEventTime\":\"2026-03-01T10:01:00Z\",\"previousDigestS3Bucket\":null,\"previousDigestS3Object\":null,"
        "\"previousDigestHashValue\":null,\"previousDigestHashAlgorithm\":null,\"previousDigestSignature\":null,"
        "\"logFiles\":[{\"s3Bucket\":\"evidence\",\"s3Object\":\"AWSLogs/x.json.zst\",\"hashValue\":\"aa\","
        "\"hashAlgorithm\":\"SHA-256\",\"newestEventTime\":\"2026-03-01T10:07:12Z\","
        "\"oldestEventTime\":\"2026-03-01T10:01:00Z\"}]}");
    char hex[WM_SHA256_HEX_BYTES];
    struct wm_buf expected;
    wm_buf_init(&expected, 4096);
    hash_hex(wm_buf_view(&out), hex);
    wm_buf_addf(&expected, "2026-03-01T11:00:00Z\nevidence/" KEY_1 "\n%.64s\nnull", hex);
    wm_digest_string_to_sign(&d, wm_buf_view(&out), &text);
    assert_view(wm_buf_view(&text), wm_buf_view(&expected));

    /* the next one, empty */
    wm_buf_clear(&out);
    d.n_files = 0;
    d.newest = d.oldest = WM_EMPTY;
    d.has_previous = true;
    d.previous_bucket = WM_LIT("evidence");
    d.previous_key = WM_LIT("k");
    d.previous_hash_hex = WM_LIT("bb");
    d.previous_signature_hex = WM_LIT("cc");
    wm_digest_write(&d, &out);
    assert_non_null(strstr(wm_buf_cstr(&out),
        "\"newestEventTime\":null,\"oldestEventTime\":null,\"previousDigestS3Bucket\":\"evidence\","
        "\"previousDigestS3Object\":\"k\",\"previousDigestHashValue\":\"bb\","
        "\"previousDigestHashAlgorithm\":\"SHA-256\","
        "\"previousDigestSignature\":\"cc\",\"logFiles\":[]}"));
    wm_buf_clear(&text);
    wm_digest_string_to_sign(&d, wm_buf_view(&out), &text);
    assert_true(wm_view_ends(wm_buf_view(&text), "\ncc"));
    wm_buf_done(&out);
    wm_buf_done(&text);
    wm_buf_done(&expected);
}

static void digest_is_read_as_it_was_written(void **state)
{
    (void)state;
    struct wm_digest_file file;
    struct wm_digest d = sample(&file), back;
    struct wm_buf out, again;
    struct wm_arena a;
    struct wm_err err;
    for (int chained = 0; chained < 2; chained++) {
        wm_buf_init(&out, WM_MAX_DIGEST_BYTES);
        wm_buf_init(&again, WM_MAX_DIGEST_BYTES);
        wm_arena_init(&a, 1 << 20);
        d.has_previous = chained;
        d.previous_bucket = d.previous_key = d.previous_hash_hex = d.previous_signature_hex = WM_LIT("p\"q");
        wm_digest_write(&d, &out);
        assert_int_equal(wm_digest_read(&a, wm_buf_view(&out), &back, &err), WM_OK);
        assert_int_equal(back.has_previous, chained);
        assert_int_equal(back.n_files, 1);
        wm_digest_write(&back, &again);
        assert_view(wm_buf_view(&again), wm_buf_view(&out));
        wm_buf_done(&out);
        wm_buf_done(&again);
        wm_arena_done(&a);
    }
}

static void digest_read_names_what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to, *message;
    } cases[] = {
        {"{", "[", NULL},
        {"\"awsAccountId\":\"111122223333\",", "", "awsAccountId"},
        {"\"digestEndTime\":\"2026-03-01T11:00:00Z\"", "\"digestEndTime\":null", "digestEndTime"},
        {"\"digestS3Object\":", "\"digests3object\":", "digestS3Object"},
        {"SHA256withRSA", "SHA1withRSA", "digestSignatureAlgorithm"},
        {"\"logFiles\":[", "\"logFiles\":null,\"x\":[", "logFiles"},
        {"\"logFiles\":[", "\"x\":[", "logFiles"},
        {"\"logFiles\":[", "\"logFiles\":[1,", "logFiles[0]"},
        {"\"hashValue\":\"aa\"", "\"hashValue\":1", "logFiles[0]: hashValue"},
        {"\"s3Object\":\"", "\"s3Object\":\"\",\"x\":\"", "logFiles[0]: s3Object"},
        {"\"SHA-256\"", "\"SHA-1\"", "hashAlgorithm"},
        {"\"previousDigestS3Bucket\":null", "\"previousDigestS3Bucket\":\"b\"", "previousDigest"},
        {"\"previousDigestSignature\":null,", "", "previousDigestSignature"},
    };
    struct wm_digest_file file;
    struct wm_digest d = sample(&file), back;
    struct wm_buf out, bad;
    wm_buf_init(&out, WM_MAX_DIGEST_BYTES);
    wm_digest_write(&d, &out);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct wm_err err = {0};
        struct wm_arena a;
        const char *text = wm_buf_cstr(&out), *at = strstr(text, cases[i].from);
        assert_non_null(at);
        wm_arena_init(&a, 1 << 20);
        wm_buf_init(&bad, WM_MAX_DIGEST_BYTES);
        wm_buf_add(&bad, text, (size_t)(at - text));
        wm_buf_add_str(&bad, cases[i].to);
        wm_buf_add_str(&bad, at + strlen(cases[i].from));
        assert_int_equal(wm_digest_read(&a, wm_buf_view(&bad), &back, &err), WM_E_INVALID);
        if (cases[i].message && !strstr(err.message, cases[i].message))
            fail_msg("case %zu: \"%s\" does not name %s", i, err.message, cases[i].message);
        assert_true(err.message[0] != '\0');
        wm_buf_done(&bad);
        wm_arena_done(&a);
    }
    struct wm_arena tiny;
    struct wm_err err;
    wm_arena_init(&tiny, 512);
    assert_int_equal(wm_digest_read(&tiny, wm_buf_view(&out), &back, &err), WM_E_NOMEM);
    wm_arena_done(&tiny);
    wm_buf_done(&out);
}

/* cloudtrail.md 3.7: a vector that two versions of the AWS CLI have validated. */
static void digest_reproduces_the_reference_vector(void **state)
{
    (void)state;
    struct wm_buf text;
    wm_buf_init(&text, 1 << 20);
    if (!shared_read("reference/cloudtrail.md", &text)) {
        wm_buf_done(&text);
        skip();
    }
    struct wm_view md = wm_buf_view(&text);
    struct wm_view log = line_after(md, "log body"), body_1 = line_after(md, "digest 1 body");
    struct wm_view fingerprint = rest_of_line(md, "fingerprint = md5(DER) = ");
    struct wm_view signature_1 = line_after(md, "x-amz-meta-signature 1 =");
    struct wm_trail_naming n = {
        .account_id = WM_LIT("111122223333"),
        .region = WM_LIT("us-east-1"),
        .trail_name = WM_LIT("vec-trail"),
        .home_region = WM_LIT("us-east-1"),
        .codec = &wm_codec_gzip,
    };
    struct wm_wall_ns delivered, end_1, end_2;
    assert_int_equal(wm_time_parse(WM_LIT("2026-03-01T10:12:00Z"), &delivered), WM_OK);
    assert_int_equal(wm_time_parse(WM_LIT("2026-03-01T11:00:00Z"), &end_1), WM_OK);
    assert_int_equal(wm_time_parse(WM_LIT("2026-03-01T12:00:00Z"), &end_2), WM_OK);
    struct wm_buf file_key, key_1, key_2, out, to_sign;
    wm_buf_init(&file_key, 1024);
    wm_buf_init(&key_1, 1024);
    wm_buf_init(&key_2, 1024);
    wm_buf_init(&out, 4096);
    wm_buf_init(&to_sign, 4096);
    wm_trail_file_key(&n, delivered, "k3Vq9ZbT0aXw7LmD", &file_key);
    wm_digest_key(&n, end_1, &key_1);
    wm_digest_key(&n, end_2, &key_2);
    char log_hash[WM_SHA256_HEX_BYTES], hash_1[WM_SHA256_HEX_BYTES], hash[WM_SHA256_HEX_BYTES];
    struct wm_digest_file file = {
        .bucket = WM_LIT("vec-bucket"),
        .key = wm_buf_view(&file_key),
        .hash_hex = hash_hex(log, log_hash),
        .newest = WM_LIT("2026-03-01T10:07:12Z"),
        .oldest = WM_LIT("2026-03-01T10:07:12Z"),
    };
    struct wm_digest d = {
        .account_id = n.account_id,
        .start = WM_LIT("2026-03-01T10:00:00Z"),
        .end = WM_LIT("2026-03-01T11:00:00Z"),
        .bucket = WM_LIT("vec-bucket"),
        .key = wm_buf_view(&key_1),
        .fingerprint = fingerprint,
        .newest = file.newest,
        .oldest = file.oldest,
        .files = &file,
        .n_files = 1,
    };
    wm_digest_write(&d, &out);
    assert_view(wm_buf_view(&out), body_1);
    wm_digest_string_to_sign(&d, wm_buf_view(&out), &to_sign);
    assert_view(hash_hex(wm_buf_view(&to_sign), hash), rest_of_line(md, "sha256(string-to-sign 1) = "));

    hash_hex(body_1, hash_1);
    struct wm_digest next = {
        .account_id = n.account_id,
        .start = d.end,
        .end = WM_LIT("2026-03-01T12:00:00Z"),
        .bucket = WM_LIT("vec-bucket"),
        .key = wm_buf_view(&key_2),
        .fingerprint = fingerprint,
        .has_previous = true,
        .previous_bucket = WM_LIT("vec-bucket"),
        .previous_key = d.key,
        .previous_hash_hex = {hash_1, sizeof hash_1},
        .previous_signature_hex = signature_1,
    };
    wm_buf_clear(&out);
    wm_buf_clear(&to_sign);
    wm_digest_write(&next, &out);
    assert_int_equal(out.len, 1358);
    assert_view(hash_hex(wm_buf_view(&out), hash), rest_of_line(md, "sha256(body 2) = "));
    wm_digest_string_to_sign(&next, wm_buf_view(&out), &to_sign);
    assert_view(hash_hex(wm_buf_view(&to_sign), hash), rest_of_line(md, "sha256(string-to-sign 2) = "));
    wm_buf_done(&file_key);
    wm_buf_done(&key_1);
    wm_buf_done(&key_2);
    wm_buf_done(&out);
    wm_buf_done(&to_sign);
    wm_buf_done(&text);
}

static void unique_parts_sort_by_number(void **state)
{
    (void)state;
    char before[WM_TRAIL_FILE_UNIQUE_CHARS + 1], again[WM_TRAIL_FILE_UNIQUE_CHARS + 1];
    wm_trail_file_unique(0, before);
    static const uint64_t numbers[] = {1, 9, 10, 35, 36, 61, 62, 63, 3843, 3844, 916132832, 56800235583};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        char unique[WM_TRAIL_FILE_UNIQUE_CHARS + 1];
        wm_trail_file_unique(numbers[i], unique);
        assert_int_equal(strlen(unique), 16);
        assert_int_equal(strspn(unique, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"), 16);
        assert_true(strcmp(before, unique) < 0);
        memcpy(before, unique, sizeof before);
    }
    wm_trail_file_unique(56800235583, again);
    assert_string_not_equal(again, before); /* another daemon's file of the same number */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unique_parts_sort_by_number),
        cmocka_unit_test(keys_follow_cloudtrail),
        cmocka_unit_test(digest_is_written_in_amazons_order),
        cmocka_unit_test(digest_is_read_as_it_was_written),
        cmocka_unit_test(digest_read_names_what_is_wrong),
        cmocka_unit_test(digest_reproduces_the_reference_vector),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
