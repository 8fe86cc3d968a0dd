/* A chain in a folder of its own, ways to tamper with it, and what the verifier says of it. */
#ifndef TESTS_SUPPORT_VERIFY_RIG_H
#define TESTS_SUPPORT_VERIFY_RIG_H

#include "waymark/verify.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "tests/support/scratch.h"
#include "waymark/arena.h"
#include "waymark/bounds.h"
#include "waymark/codec.h"
#include "waymark/digest.h"
#include "waymark/hash.h"
#include "waymark/store.h"

#define HOUR_S 3600
#define MAX_DIGESTS 32
#define JOBS 3
#define FILES 2 /* of each period, unless told otherwise */
#define KEY_BYTES 512
#define OBJECT_MAX_BYTES (1024 * 1024)

/* ---- one key pair for all tests, since making one takes long ---- */

static struct {
    struct scratch scratch;
    struct wm_signer *signer;
    struct wm_keyring *keys;
    char fingerprint[WM_FINGERPRINT_BYTES];
} suite;

static inline int suite_setup(void **state)
{
    (void)state;
    scratch_make(&suite.scratch);
    const char *dir = scratch_path(&suite.scratch, "keys");
    const struct wm_signer_options keys = {.io = &wm_io_posix, .clock = &wm_clock_system, .dir = dir};
    assert_int_equal(wm_signer_open(&keys, &suite.signer, NULL), WM_OK);
    struct wm_wall_ns when;
    assert_int_equal(wm_time_parse(WM_LIT("2026-03-01T10:00:00Z"), &when), WM_OK);
    assert_int_equal(wm_signer_key_for(suite.signer, when, suite.fingerprint, NULL), WM_OK);
    const char *list = scratch_path(&suite.scratch, "keys/public-keys.json");
    assert_int_equal(wm_keyring_open(&wm_io_posix, list, &suite.keys, NULL), WM_OK);
    return 0;
}

static inline int suite_teardown(void **state)
{
    (void)state;
    wm_keyring_free(suite.keys);
    wm_signer_close(suite.signer);
    scratch_remove(&suite.scratch);
    return 0;
}

/* ---- a chain in a folder of its own ---- */

struct finding {
    char key[KEY_BYTES];
    char what[2048];
    char kind[32];
    bool note;
};

struct chain {
    struct scratch scratch;
    struct wm_store *store;
    struct wm_trail_naming naming;
    int64_t end_s;
    size_t n;
    char digest[MAX_DIGESTS][KEY_BYTES];
    char file[MAX_DIGESTS][FILES][KEY_BYTES];
    /* of the newest digest, for the next one */
    char previous_key[KEY_BYTES], previous_hash[WM_SHA256_HEX_BYTES + 1], previous_signature[WM_SIGNATURE_HEX_BYTES];
    /* what the verifier said */
    struct finding said[64];
    size_t n_said;
    struct wm_verify_result result;
    /* Records of the files to come, a text each ("" or NULL ends it, and they are what they always are): blanks between
       records, "7" is one with that sequence number, "-" one without, "7=3..5" one that says that 3 to 5 were left out, "7=3..5@other" that trail other left them out, "7=3..5<" and "7=3..5>" that it
       was stopped before and behind them, "7=stop" and "7=start" (or @other) one that stops or starts it. */
    const char *const *scripts;
    unsigned jobs; /* 0: JOBS */
};

static inline struct wm_wall_ns at(int64_t s)
{
    return wm_wall_from_seconds(s);
}

static inline struct chain *chain_new(const struct wm_codec *codec)
{
    struct chain *c = calloc(1, sizeof *c);
    struct wm_wall_ns start;
    assert_non_null(c);
    scratch_make(&c->scratch);
    struct wm_view folder = wm_view_of(scratch_path(&c->scratch, "bucket"));
    assert_int_equal(wm_store_file_new(&wm_io_posix, folder, WM_LIT("evidence"), &c->store, NULL), WM_OK);
    c->naming = (struct wm_trail_naming){.account_id = WM_LIT("111122223333"),
                                         .region = WM_LIT("us-east-1"),
                                         .trail_name = WM_LIT("demo"),
                                         .home_region = WM_LIT("us-east-1"),
                                         .codec = codec};
    assert_int_equal(wm_time_parse(WM_LIT("2026-03-01T20:00:00Z"), &start), WM_OK);
    c->end_s = wm_wall_seconds(start);
    return c;
}

static inline void chain_free(struct chain *c)
{
    wm_store_free(c->store);
    scratch_remove(&c->scratch);
    free(c);
}

static inline void put(struct chain *c, const char *key, struct wm_view content, const char *signature)
{
    const struct wm_store_header headers[] = {
        {WM_LIT("content-type"), WM_LIT("application/json")},
        {WM_LIT("x-amz-meta-signature"), wm_view_of(signature)},
        {WM_LIT("x-amz-meta-signature-algorithm"), WM_LIT(WM_DIGEST_ALGORITHM)},
    };
    struct wm_buf body;
    struct wm_err err = {0};
    wm_buf_init(&body, OBJECT_MAX_BYTES);
    const struct wm_codec *codec = wm_codec_by_key(wm_view_of(key));
    if (!codec)
        wm_buf_add_view(&body, content);
    else
        assert_int_equal(codec->compress(codec->default_level, content, &body, NULL), WM_OK);
    if (wm_store_put(c->store, wm_view_of(key), wm_buf_view(&body), WM_EMPTY, headers, signature ? 3 : 1, &err) != WM_OK)
        fail_msg("%s", err.message);
    wm_buf_done(&body);
}

static inline void hash_hex(struct wm_view text, char out[WM_SHA256_HEX_BYTES + 1])
{
    uint8_t hash[WM_SHA256_BYTES];
    wm_sha256(text.ptr, text.len, hash);
    wm_hex(hash, sizeof hash, out);
    out[WM_SHA256_HEX_BYTES] = '\0';
}

static inline void write_records(const struct chain *c, const char *script, struct wm_buf *text)
{
    struct wm_view rest = wm_view_of(script);
    wm_buf_add_str(text, "{\"Records\":[");
    for (const char *comma = ""; rest.len; comma = ",") {
        struct wm_view number = wm_view_split(&rest, ' '), missed = WM_EMPTY, trail = c->naming.trail_name;
        if (wm_view_find(number, '=') < number.len) {
            missed = number;
            number = wm_view_split(&missed, '=');
            if (wm_view_find(missed, '@') < missed.len) {
                trail = missed;
                missed = wm_view_split(&trail, '@');
            }
        }
        bool before = wm_view_find(missed, '<') < missed.len, behind = wm_view_find(missed, '>') < missed.len;
        missed.len -= (size_t)before + (size_t)behind;
        wm_buf_addf(text, "%s{\"eventVersion\":\"1.11\"", comma);
        if (wm_view_starts(missed, "st")) {
            wm_buf_addf(text, ",\"eventSource\":\"cloudtrail.amazonaws.com\",\"eventName\":\"%sLogging\",\"eventType\":"
                        "\"AwsApiCall\",\"requestParameters\":{\"name\":\"%.*s\"}",
                        wm_view_eq_str(missed, "stop") ? "Stop" : "Start", WM_ARG(trail));
        } else if (missed.len) {
            size_t dots = wm_view_find(missed, '.');
            wm_buf_addf(text, ",\"eventType\":\"AwsServiceEvent\",\"eventName\":\"RecordsMissed\",\"serviceEventDetails\":{"
                        "\"trailARN\":\"arn:aws:cloudtrail:us-east-1:111122223333:trail/%.*s\",\"firstSequence\":%.*s,"
                        "\"lastSequence\":%.*s%s%s}", WM_ARG(trail), (int)dots, missed.ptr,
                        (int)(missed.len - dots - 2), missed.ptr + dots + 2, before ? ",\"stoppedBefore\":true" : "",
                        behind ? ",\"stoppedBehind\":true" : "");
        }
        if (!wm_view_eq_str(number, "-"))
            wm_buf_addf(text, ",\"waymarkSequence\":%.*s", WM_ARG(number));
        wm_buf_add_char(text, '}');
    }
    wm_buf_add_str(text, "]}");
}

/* A trail file with two records; its key into key, its hash into hash. */
static inline void put_file(struct chain *c, int64_t delivered_s, const char *unique, char key[KEY_BYTES],
                     char hash[WM_SHA256_HEX_BYTES + 1])
{
    struct wm_buf text, name;
    wm_buf_init(&text, 4096);
    wm_buf_init(&name, KEY_BYTES - 1);
    if (c->scripts && *c->scripts && **c->scripts)
        write_records(c, *c->scripts++, &text);
    else
        wm_buf_addf(&text, "{\"Records\":[{\"eventID\":\"%s\",\"a\":[1,{\"b\":\"},{\\\"\"}]},{\"eventID\":\"2\"}]}", unique);
    wm_trail_file_key(&c->naming, at(delivered_s), unique, &name);
    assert_true(wm_view_copy(wm_buf_view(&name), key, KEY_BYTES));
    hash_hex(wm_buf_view(&text), hash);
    put(c, key, wm_buf_view(&text), NULL);
    wm_buf_done(&name);
    wm_buf_done(&text);
}

/* Hooks that change a document before it is signed. */
typedef void (*change_fn)(struct chain *c, struct wm_digest *d);

static inline void seal_period(struct chain *c, int64_t period_s, change_fn change)
{
    char start[WM_TIME_ISO_BYTES], end[WM_TIME_ISO_BYTES], hashes[FILES][WM_SHA256_HEX_BYTES + 1], unique[17];
    struct wm_digest_file files[FILES + 1];
    struct wm_buf key, document, text;
    wm_buf_init(&key, KEY_BYTES - 1);
    wm_buf_init(&document, OBJECT_MAX_BYTES);
    wm_buf_init(&text, OBJECT_MAX_BYTES);
    wm_time_iso(at(c->end_s), start);
    wm_time_iso(at(c->end_s + period_s), end);
    for (size_t i = 0; i < FILES; i++) {
        (void)snprintf(unique, sizeof unique, "unique%02zux%07zu", c->n, i);
        put_file(c, c->end_s + 60 + (int64_t)i * 300, unique, c->file[c->n][i], hashes[i]);
        files[i] = (struct wm_digest_file){.bucket = WM_LIT("evidence"),
                                           .key = wm_view_of(c->file[c->n][i]),
                                           .hash_hex = wm_view_of(hashes[i]),
                                           .newest = wm_view_of(start),
                                           .oldest = wm_view_of(start)};
    }
    c->end_s += period_s;
    wm_digest_key(&c->naming, at(c->end_s), &key);
    struct wm_digest d = {.account_id = c->naming.account_id,
                          .start = wm_view_of(start),
                          .end = wm_view_of(end),
                          .bucket = WM_LIT("evidence"),
                          .key = wm_buf_view(&key),
                          .fingerprint = wm_view_of(suite.fingerprint),
                          .newest = wm_view_of(start),
                          .oldest = wm_view_of(start),
                          .has_previous = c->previous_key[0] != '\0',
                          .previous_bucket = WM_LIT("evidence"),
                          .previous_key = wm_view_of(c->previous_key),
                          .previous_hash_hex = wm_view_of(c->previous_hash),
                          .previous_signature_hex = wm_view_of(c->previous_signature),
                          .files = files,
                          .n_files = FILES};
    if (change)
        change(c, &d);
    wm_digest_write(&d, &document);
    wm_digest_string_to_sign(&d, wm_buf_view(&document), &text);
    char signature[WM_SIGNATURE_HEX_BYTES];
    assert_int_equal(wm_signer_sign(suite.signer, suite.fingerprint, wm_buf_view(&text), signature, NULL), WM_OK);
    assert_true(wm_view_copy(wm_buf_view(&key), c->digest[c->n], KEY_BYTES));
    put(c, c->digest[c->n], wm_buf_view(&document), signature);
    assert_true(wm_view_copy(wm_buf_view(&key), c->previous_key, KEY_BYTES));
    hash_hex(wm_buf_view(&document), c->previous_hash);
    memcpy(c->previous_signature, signature, sizeof signature);
    c->n++;
    wm_buf_done(&text);
    wm_buf_done(&document);
    wm_buf_done(&key);
}

static inline void seal(struct chain *c, change_fn change)
{
    seal_period(c, HOUR_S, change);
}

/* Six periods, over midnight. */
static inline struct chain *six(const struct wm_codec *codec)
{
    struct chain *c = chain_new(codec);
    for (int i = 0; i < 6; i++)
        seal(c, NULL);
    return c;
}

/* ---- tampering ---- */

static inline const char *object_path(const struct chain *c, const char *area, const char *key)
{
    static char paths[4][1024];
    static unsigned turn;
    char *out = paths[turn++ % 4];
    (void)snprintf(out, sizeof paths[0], "%s/bucket/%s%s", c->scratch.dir, area, key);
    return out;
}

static inline void get_raw(const struct chain *c, const char *key, struct wm_buf *out)
{
    wm_buf_clear(out);
    assert_int_equal(wm_io_read_file(&wm_io_posix, object_path(c, "", key), out, NULL), WM_OK);
}

static inline void set_raw(const struct chain *c, const char *area, const char *key, struct wm_view bytes)
{
    FILE *f = fopen(object_path(c, area, key), "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes.ptr, 1, bytes.len, f), bytes.len);
    assert_int_equal(fclose(f), 0);
}

static inline void set_content(const struct chain *c, const char *key, struct wm_view content)
{
    struct wm_buf body;
    wm_buf_init(&body, OBJECT_MAX_BYTES);
    const struct wm_codec *codec = wm_codec_by_key(wm_view_of(key));
    assert_int_equal(codec->compress(codec->default_level, content, &body, NULL), WM_OK);
    set_raw(c, "", key, wm_buf_view(&body));
    wm_buf_done(&body);
}

/* Replace the first `from` in the content by `to`. */
static inline void edit(const struct chain *c, const char *key, const char *from, const char *to)
{
    struct wm_buf raw, text, changed;
    wm_buf_init(&raw, OBJECT_MAX_BYTES);
    wm_buf_init(&text, OBJECT_MAX_BYTES);
    wm_buf_init(&changed, OBJECT_MAX_BYTES);
    get_raw(c, key, &raw);
    assert_int_equal(wm_codec_by_key(wm_view_of(key))->decompress(wm_buf_view(&raw), &text, NULL), WM_OK);
    const char *found = memmem(text.data, text.len, from, strlen(from));
    assert_non_null(found);
    wm_buf_add(&changed, text.data, (size_t)(found - text.data));
    wm_buf_add_str(&changed, to);
    wm_buf_add(&changed, found + strlen(from), text.len - (size_t)(found - text.data) - strlen(from));
    set_content(c, key, wm_buf_view(&changed));
    wm_buf_done(&changed);
    wm_buf_done(&text);
    wm_buf_done(&raw);
}

/* Put bytes before and behind what an object holds. */
static inline void wrap(const struct chain *c, const char *key, struct wm_view before, struct wm_view behind)
{
    struct wm_buf raw, changed;
    wm_buf_init(&raw, OBJECT_MAX_BYTES);
    wm_buf_init(&changed, OBJECT_MAX_BYTES);
    get_raw(c, key, &raw);
    wm_buf_add_view(&changed, before);
    wm_buf_add_view(&changed, wm_buf_view(&raw));
    wm_buf_add_view(&changed, behind);
    set_raw(c, "", key, wm_buf_view(&changed));
    wm_buf_done(&changed);
    wm_buf_done(&raw);
}

static inline void drop(const struct chain *c, const char *key)
{
    assert_int_equal(unlink(object_path(c, "", key)), 0);
    assert_int_equal(unlink(object_path(c, ".metadata/", key)), 0);
}

static inline void move(const struct chain *c, const char *from, const char *to)
{
    assert_int_equal(rename(object_path(c, "", from), object_path(c, "", to)), 0);
    assert_int_equal(rename(object_path(c, ".metadata/", from), object_path(c, ".metadata/", to)), 0);
}

/* The key with one part of it changed. */
static inline const char *renamed(const char *key, const char *from, const char *to)
{
    static char out[KEY_BYTES];
    const char *found = strstr(key, from);
    assert_non_null(found);
    (void)snprintf(out, sizeof out, "%.*s%s%s", (int)(found - key), key, to, found + strlen(from));
    return out;
}

/* ---- verifying ---- */

static inline void said(void *arg, const struct wm_verify_line *line)
{
    struct chain *c = arg;
    assert_true(line->key.len > 0);
    assert_true(c->n_said < sizeof c->said / sizeof c->said[0]);
    struct finding *f = &c->said[c->n_said++];
    assert_true(wm_view_copy(line->key, f->key, sizeof f->key));
    assert_true(wm_view_copy(wm_view_of(line->text), f->what, sizeof f->what));
    assert_true(wm_view_copy(wm_view_of(line->kind), f->kind, sizeof f->kind));
    f->note = line->note;
}


static const struct wm_clock *verify_clock; /* NULL: the system's */

static inline enum wm_status verify_by(struct chain *c, const struct wm_io *io, const struct wm_verify_options *with,
                                struct wm_err *err)
{
    struct wm_store *stores[WM_VERIFY_MAX_JOBS] = {NULL};
    unsigned jobs = c->jobs ? c->jobs : JOBS;
    struct wm_view folder = wm_view_of(scratch_path(&c->scratch, "bucket"));
    for (unsigned i = 0; i < jobs; i++)
        assert_int_equal(wm_store_file_new(io, folder, WM_EMPTY, &stores[i], NULL), WM_OK);
    struct wm_verify_options o = *with;
    o.stores = stores;
    o.n_stores = jobs;
    o.keys = o.keys ? o.keys : suite.keys;
    o.clock = verify_clock;
    o.say = said;
    o.arg = c;
    c->n_said = 0;
    enum wm_status status = wm_verify(&o, &c->result, err);
    for (unsigned i = 0; i < jobs; i++)
        wm_store_free(stores[i]);
    return status;
}

static inline enum wm_status verify_with(struct chain *c, const struct wm_io *io, const struct wm_keyring *keys,
                                  struct wm_view prefix, struct wm_err *err)
{
    return verify_by(c, io, &(struct wm_verify_options){.keys = keys, .prefix = prefix}, err);
}

static inline void verify(struct chain *c)
{
    struct wm_err err = {0};
    if (verify_with(c, &wm_io_posix, suite.keys, WM_EMPTY, &err) != WM_OK)
        fail_msg("%s", err.message);
}

static inline void said_all(const struct chain *c)
{
    for (size_t i = 0; i < c->n_said; i++)
        print_error("%s%s: %s\n", c->said[i].note ? "note: " : "", c->said[i].key, c->said[i].what);
}

/* The nth thing said is about this key, and has these words in it. */
static inline void assert_said(const struct chain *c, size_t n, const char *key, const char *words)
{
    if (n >= c->n_said || strcmp(c->said[n].key, key) != 0 || !strstr(c->said[n].what, words)) {
        said_all(c);
        fail_msg("expected as number %zu: %s: …%s…", n, key, words);
    }
}

static inline void assert_findings(const struct chain *c, size_t n)
{
    if (c->n_said != n || c->result.findings != n) {
        said_all(c);
        fail_msg("%zu lines, %llu findings, expected %zu", c->n_said, (unsigned long long)c->result.findings, n);
    }
}

/* One finding and no other. */
static inline void assert_only(const struct chain *c, const char *key, const char *words)
{
    assert_findings(c, 1);
    assert_said(c, 0, key, words);
}

#endif
