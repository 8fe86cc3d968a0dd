/*
 * What a verification is made of, beside the least that it cannot do without. For scripts/bench verify.
 *
 *     bench_verify make FOLDER MB KB gzip|zstd [RECORDS]   FOLDER/bucket: a trail with so many MB of content, in files of
 *                                                          so many KB, a digest each 100 MB or 200 files; FOLDER/keys.
 *                                                          RECORDS: records to use, one a line; otherwise some are made up
 *     bench_verify alone FOLDER                            seconds of one core to inflate all trail files of
 *                                                          FOLDER/bucket, and to hash what comes out; each by itself
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "waymark/bounds.h"
#include "waymark/codec.h"
#include "waymark/digest.h"
#include "waymark/hash.h"
#include "waymark/json.h"
#include "waymark/record.h"
#include "waymark/signer.h"
#include "waymark/store.h"

#include "waymark/banned.h"

#define DIGEST_BYTES (100u * 1000u * 1000u)
#define FILES_EACH 200
#define PERIOD_S 3600
#define MAX_RECORDS_BYTES ((size_t)256 * 1024 * 1024)
#define BUCKET "evidence"

static _Noreturn void give_up(const char *what)
{
    fprintf(stderr, "bench_verify: %s\n", what);
    exit(1);
}

static void must(enum wm_status status, const struct wm_err *err)
{
    if (status != WM_OK)
        give_up(err->message);
}

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- make ---- */

static struct {
    struct wm_store *store;
    struct wm_signer *signer;
    struct wm_trail_naming naming;
    struct wm_view source; /* records, one a line */
    struct wm_view rest;
    uint64_t sequence, files, file_bytes;
    int64_t now;
    char previous_key[WM_MAX_OBJECT_KEY_BYTES], previous_hash[WM_SHA256_HEX_BYTES + 1];
    char previous_signature[WM_SIGNATURE_HEX_BYTES];
} trail;

static void hash_hex(struct wm_view bytes, char out[WM_SHA256_HEX_BYTES + 1])
{
    uint8_t hash[WM_SHA256_BYTES];
    wm_sha256(bytes.ptr, bytes.len, hash);
    wm_hex(hash, sizeof hash, out);
    out[WM_SHA256_HEX_BYTES] = '\0';
}

/* Records as a load of reads and writes makes them; nearly all that differs is random, as it is in real ones. */
static struct wm_view made_up(void)
{
    static struct wm_buf lines;
    char id[WM_UUID_BYTES], request[WM_UUID_BYTES], key[21];
    struct wm_arena a;
    wm_buf_init(&lines, MAX_RECORDS_BYTES);
    wm_arena_init(&a, 1u << 20);
    for (int i = 0; i < 4000; i++) {
        wm_arena_clear(&a);
        wm_uuid(id);
        wm_uuid(request);
        wm_random_alnum(key, sizeof key - 1);
        struct wm_json *parameters = wm_json_new(&a, WM_JSON_OBJECT);
        wm_json_set_string(&a, parameters, "id", wm_view_of(key));
        wm_json_set_string(&a, parameters, "description", wm_view_of(request));
        const struct wm_record r = {
            .event_time = wm_wall_from_seconds(1772300000 + i),
            .identity = {.type = WM_IDENTITY_ROOT, .principal_id = WM_LIT("123456789012"), .account_id = WM_LIT("123456789012"),
                         .arn = WM_LIT("arn:aws:iam::123456789012:root"), .access_key_id = wm_view_of(key)},
            .event_source = WM_LIT("mediapackage.amazonaws.com"),
            .event_name = i % 3 ? WM_LIT("DescribeChannel") : WM_LIT("CreateChannel"),
            .region = WM_LIT("us-east-1"),
            .source_ip = WM_LIT("192.0.2.10"),
            .user_agent = WM_LIT("aws-cli/1.45.11 md/Botocore#1.43.11 ua/2.1 os/linux#6.1.0 md/arch#x86_64 lang/python#3.11.2"),
            .request_parameters = parameters,
            .response_elements = i % 3 ? NULL : parameters,
            .request_id = wm_view_of(request),
            .event_id = wm_view_of(id),
            .read_only = i % 3 != 0,
            .api_version = WM_LIT("2017-10-12"),
            .account_id = WM_LIT("123456789012"),
        };
        if (wm_record_encode(&r, &lines) != WM_OK)
            give_up("a record cannot be made");
        wm_buf_add_char(&lines, '\n');
    }
    wm_arena_done(&a);
    return wm_buf_view(&lines);
}

/* The source over and over, so that no two records are equal: each with its number and a new id in front. */
static void add_record(struct wm_buf *out)
{
    char id[WM_UUID_BYTES];
    struct wm_view line;
    do {
        if (!trail.rest.len)
            trail.rest = trail.source;
        line = wm_view_split(&trail.rest, '\n');
    } while (line.len < 3);
    wm_uuid(id);
    wm_buf_addf(out, "{\"sharedEventID\":\"%s\",", id);
    wm_buf_add(out, line.ptr + 1, line.len - 2);
    wm_buf_addf(out, ",\"waymarkSequence\":%llu}", (unsigned long long)++trail.sequence);
}

static void put(struct wm_view key, struct wm_view content, const char *signature)
{
    static struct wm_buf packed;
    struct wm_err err = {0};
    const struct wm_store_header headers[] = {
        {WM_LIT("content-type"), WM_LIT("application/json")},
        {WM_LIT("x-amz-meta-signature"), wm_view_of(signature)},
        {WM_LIT("x-amz-meta-signature-algorithm"), WM_LIT(WM_DIGEST_ALGORITHM)},
    };
    wm_buf_init(&packed, WM_MAX_OBJECT_BYTES);
    must(trail.naming.codec->compress(trail.naming.codec->default_level, content, &packed, &err), &err);
    must(wm_store_put(trail.store, key, wm_buf_view(&packed), WM_EMPTY, headers, signature ? 3 : 1, &err), &err);
    wm_buf_done(&packed);
}

static void make_file(char key[WM_MAX_OBJECT_KEY_BYTES], char hash[WM_SHA256_HEX_BYTES + 1])
{
    char unique[WM_TRAIL_FILE_UNIQUE_CHARS + 1];
    struct wm_buf text, name;
    wm_buf_init(&text, WM_MAX_OBJECT_BYTES);
    wm_buf_init(&name, WM_MAX_OBJECT_KEY_BYTES - 1);
    wm_buf_add_str(&text, "{\"Records\":[");
    for (bool first = true; text.len < trail.file_bytes; first = false) {
        wm_buf_add_str(&text, first ? "" : ",");
        add_record(&text);
    }
    wm_buf_add_str(&text, "]}");
    wm_trail_file_unique(trail.files++, unique);
    wm_trail_file_key(&trail.naming, wm_wall_from_seconds(trail.now), unique, &name);
    if (!wm_view_copy(wm_buf_view(&name), key, WM_MAX_OBJECT_KEY_BYTES))
        give_up("a key is too long");
    hash_hex(wm_buf_view(&text), hash);
    put(wm_buf_view(&name), wm_buf_view(&text), NULL);
    wm_buf_done(&name);
    wm_buf_done(&text);
}

static void make_period(size_t n_files)
{
    static char keys[FILES_EACH][WM_MAX_OBJECT_KEY_BYTES], hashes[FILES_EACH][WM_SHA256_HEX_BYTES + 1];
    struct wm_digest_file files[FILES_EACH];
    char start[WM_TIME_ISO_BYTES], end[WM_TIME_ISO_BYTES], fingerprint[WM_FINGERPRINT_BYTES];
    struct wm_err err = {0};
    struct wm_buf key, document, text;
    wm_buf_init(&key, WM_MAX_OBJECT_KEY_BYTES - 1);
    wm_buf_init(&document, WM_MAX_DIGEST_BYTES);
    wm_buf_init(&text, WM_MAX_DIGEST_BYTES);
    wm_time_iso(wm_wall_from_seconds(trail.now), start);
    trail.now += PERIOD_S;
    wm_time_iso(wm_wall_from_seconds(trail.now), end);
    for (size_t i = 0; i < n_files; i++) {
        make_file(keys[i], hashes[i]);
        files[i] = (struct wm_digest_file){.bucket = WM_LIT(BUCKET), .key = wm_view_of(keys[i]),
                                           .hash_hex = wm_view_of(hashes[i]), .newest = wm_view_of(start),
                                           .oldest = wm_view_of(start)};
    }
    must(wm_signer_key_for(trail.signer, wm_wall_from_seconds(trail.now), fingerprint, &err), &err);
    wm_digest_key(&trail.naming, wm_wall_from_seconds(trail.now), &key);
    const struct wm_digest d = {
        .account_id = trail.naming.account_id, .start = wm_view_of(start), .end = wm_view_of(end), .bucket = WM_LIT(BUCKET),
        .key = wm_buf_view(&key), .fingerprint = wm_view_of(fingerprint), .newest = wm_view_of(start),
        .oldest = wm_view_of(start), .has_previous = trail.previous_key[0] != '\0', .previous_bucket = WM_LIT(BUCKET),
        .previous_key = wm_view_of(trail.previous_key), .previous_hash_hex = wm_view_of(trail.previous_hash),
        .previous_signature_hex = wm_view_of(trail.previous_signature), .files = files, .n_files = n_files};
    wm_digest_write(&d, &document);
    wm_digest_string_to_sign(&d, wm_buf_view(&document), &text);
    must(wm_signer_sign(trail.signer, fingerprint, wm_buf_view(&text), trail.previous_signature, &err), &err);
    put(wm_buf_view(&key), wm_buf_view(&document), trail.previous_signature);
    hash_hex(wm_buf_view(&document), trail.previous_hash);
    if (!wm_view_copy(wm_buf_view(&key), trail.previous_key, sizeof trail.previous_key))
        give_up("a key is too long");
    wm_buf_done(&text);
    wm_buf_done(&document);
    wm_buf_done(&key);
}

static void make(const char *folder, uint64_t mb, uint64_t kb, const char *codec, const char *records)
{
    char bucket[WM_MAX_PATH_BYTES], keys[WM_MAX_PATH_BYTES];
    static struct wm_buf source;
    struct wm_err err = {0};
    (void)snprintf(bucket, sizeof bucket, "%s/bucket", folder);
    (void)snprintf(keys, sizeof keys, "%s/keys", folder);
    wm_buf_init(&source, MAX_RECORDS_BYTES);
    if (records)
        must(wm_io_read_file(&wm_io_posix, records, &source, &err), &err);
    trail.source = records ? wm_buf_view(&source) : made_up();
    trail.naming = (struct wm_trail_naming){.account_id = WM_LIT("123456789012"), .region = WM_LIT("us-east-1"),
                                            .trail_name = WM_LIT("bench"), .home_region = WM_LIT("us-east-1"),
                                            .codec = wm_codec_by_name(wm_view_of(codec))};
    if (!trail.naming.codec || !trail.source.len)
        give_up("no such codec, or no records");
    const struct wm_signer_options options = {.io = &wm_io_posix, .clock = &wm_clock_system, .dir = keys};
    must(wm_store_file_new(&wm_io_posix, wm_view_of(bucket), WM_LIT(BUCKET), &trail.store, &err), &err);
    must(wm_signer_open(&options, &trail.signer, &err), &err);
    /* in the past, of hours that one key covers */
    trail.file_bytes = kb * 1000;
    uint64_t files = (mb * 1000000 + trail.file_bytes - 1) / trail.file_bytes, each = DIGEST_BYTES / trail.file_bytes;
    each = each > FILES_EACH ? FILES_EACH : each < 1 ? 1 : each;
    trail.now = (int64_t)time(NULL) / PERIOD_S * PERIOD_S - PERIOD_S * (int64_t)(files / each + 2);
    for (uint64_t left = files; left > 0;) {
        size_t n = (size_t)(left < each ? left : each);
        make_period(n);
        left -= n;
    }
    wm_signer_close(trail.signer);
    wm_store_free(trail.store);
    wm_buf_done(&source);
}

/* ---- alone ---- */

static struct {
    struct wm_store *store;
    struct wm_buf content;
    double inflate_s, hash_s;
    uint64_t bytes, files;
} alone;

static enum wm_status measure(void *arg, const struct wm_store_object *o)
{
    struct wm_err err = {0};
    struct wm_buf body;
    uint8_t hash[WM_SHA256_BYTES];
    const struct wm_codec *codec = wm_codec_by_key(o->key);
    (void)arg;
    if (!codec || !memmem(o->key.ptr, o->key.len, "_CloudTrail_", strlen("_CloudTrail_")))
        return WM_OK;
    wm_buf_init(&body, WM_MAX_OBJECT_BYTES);
    must(wm_store_get(alone.store, o->key, &body, NULL, NULL, NULL, &err), &err);
    wm_buf_clear(&alone.content);
    double before = now_s();
    must(codec->decompress(wm_buf_view(&body), &alone.content, &err), &err);
    double between = now_s();
    wm_sha256(alone.content.data, alone.content.len, hash);
    alone.hash_s += now_s() - between;
    alone.inflate_s += between - before;
    alone.bytes += alone.content.len;
    alone.files++;
    wm_buf_done(&body);
    return WM_OK;
}

static void measure_all(const char *folder)
{
    char bucket[WM_MAX_PATH_BYTES];
    struct wm_err err = {0};
    (void)snprintf(bucket, sizeof bucket, "%s/bucket", folder);
    must(wm_store_file_new(&wm_io_posix, wm_view_of(bucket), WM_EMPTY, &alone.store, &err), &err);
    wm_buf_init(&alone.content, WM_MAX_OBJECT_BYTES);
    must(wm_store_list(alone.store, WM_EMPTY, measure, NULL, &err), &err);
    printf("{\"bytes\":%llu,\"files\":%llu,\"inflate\":%.4f,\"hash\":%.4f}\n", (unsigned long long)alone.bytes,
           (unsigned long long)alone.files, alone.inflate_s, alone.hash_s);
    wm_buf_done(&alone.content);
    wm_store_free(alone.store);
}

int main(int argc, char **argv)
{
    uint64_t mb, kb;
    if (argc >= 6 && strcmp(argv[1], "make") == 0 && wm_view_to_u64(wm_view_of(argv[3]), 1000000, &mb) == WM_OK && mb &&
        wm_view_to_u64(wm_view_of(argv[4]), 50000, &kb) == WM_OK && kb)
        make(argv[2], mb, kb, argv[5], argc > 6 ? argv[6] : NULL);
    else if (argc == 3 && strcmp(argv[1], "alone") == 0)
        measure_all(argv[2]);
    else
        give_up("see the head of bench_verify.c");
    return 0;
}
