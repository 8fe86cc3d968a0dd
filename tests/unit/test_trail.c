/*
 * A trail from a real journal into a folder, with a store between that fails as told: each record is in the bucket
 * once, whatever happened, and the chain holds.
 */
#include "waymark/trail.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sqlite3.h>
#include <time.h>
#include <cmocka.h>

#include "delivery/store_int.h"
#include "tests/support/scratch.h"
#include "waymark/bounds.h"
#include "waymark/digest.h"
#include "waymark/hash.h"
#include "waymark/json.h"
#include "waymark/verify.h"

#include "waymark/banned.h"

#define ACCOUNT "111122223333"
#define REGION "eu-central-1"
#define MAX_RECORDS 20000

/* ---- a clock that tests move: real time and an offset each ---- */

struct test_clock {
    atomic_llong wall_offset_ns, mono_offset_ns;
};

static struct wm_wall_ns test_wall(void *ctx)
{
    struct test_clock *c = ctx;
    return (struct wm_wall_ns){wm_clock_wall(&wm_clock_system).ns + atomic_load(&c->wall_offset_ns)};
}

static struct wm_mono_ns test_mono(void *ctx)
{
    struct test_clock *c = ctx;
    return (struct wm_mono_ns){wm_clock_mono(&wm_clock_system).ns + atomic_load(&c->mono_offset_ns)};
}

/* ---- a store that fails ---- */

enum flaky_mode {
    FLAKY_PASS,
    FLAKY_REFUSE,        /* nothing is stored, 503 */
    FLAKY_LOSE_REPLY,    /* stored, but reported as failed */
    FLAKY_BLOCK,         /* no answer until cancelled */
    FLAKY_OTHER_THERE,   /* someone else's object is under the key already */
    FLAKY_REPACK,        /* as LOSE_REPLY, with other bytes of the same content: an older library's */
    FLAKY_REFUSE_DIGESTS,
    FLAKY_AWAY,          /* as REFUSE, and reading fails, too */
    FLAKY_LOSE_AND_AWAY, /* LOSE_REPLY, then AWAY */
};

#define FLAKY_MAGIC 0x666c616bu

/* All handles of a trail do as the first one is told. */
struct flaky {
    struct wm_store base;
    struct wm_store *inner;
    struct flaky *first;
    atomic_int mode;
    atomic_int puts;          /* attempts */
    atomic_llong retry_after_ms;
    char first_key[1100];     /* of the first attempt that did not pass */
};

struct rig {
    struct scratch scratch;
    struct test_clock time;
    struct wm_clock clock;
    struct wm_journal *journal;
    struct wm_board *board;
    struct wm_signer *signer;
    struct flaky *flaky; /* the trail's */
    struct wm_trail *trail;
    struct wm_trail_options o;
    uint64_t appended;
    uint64_t last_seq;
    uint64_t gone_first, gone_last; /* records that left the journal undelivered; eventID is the sequence number */
    enum flaky_mode start_mode;
    const char *bucket;
    size_t uploads;
    atomic_int events_fail;         /* so many calls to record an event are refused */
    atomic_int events;              /* recorded */
    char event[512];                /* the newest; written before `events` is counted */
};

static enum wm_status flaky_failed(struct flaky *f, struct wm_err *err)
{
    f->base.retry_after_ms = atomic_load(&f->first->retry_after_ms);
    (void)wm_fail(err, WM_E_UNAVAILABLE, "503 SlowDown");
    err->retryable = true;
    (void)wm_view_copy(WM_LIT("SlowDown"), err->code, sizeof err->code);
    return WM_E_UNAVAILABLE;
}

/* In the trail's thread, where a failed cmocka assertion could not leave the test: WM_ASSERT aborts. */
static enum wm_status flaky_put(struct wm_store *s, struct wm_view key, struct wm_view body, struct wm_view hash,
                                const struct wm_store_header *headers, size_t n, struct wm_err *err)
{
    struct flaky *handle = (struct flaky *)(void *)s, *f = handle->first;
    if (memmem(key.ptr, key.len, "/Waymark/", 9) && atomic_load(&f->mode) != FLAKY_BLOCK) /* the tests are about what follows */
        return wm_store_put(handle->inner, key, body, hash, headers, n, err);
    atomic_fetch_add(&f->puts, 1);
    int mode = atomic_load(&f->mode);
    if (mode == FLAKY_REFUSE_DIGESTS)
        mode = memmem(key.ptr, key.len, "/CloudTrail-Digest/", 19) ? FLAKY_REFUSE : FLAKY_PASS;
    if (mode != FLAKY_PASS && !f->first_key[0])
        WM_ASSERT(wm_view_copy(key, f->first_key, sizeof f->first_key));
    switch (mode) {
    case FLAKY_REFUSE:
    case FLAKY_AWAY:
        return flaky_failed(handle, err);
    case FLAKY_LOSE_REPLY:
    case FLAKY_LOSE_AND_AWAY:
        atomic_store(&f->mode, mode == FLAKY_LOSE_REPLY ? FLAKY_PASS : FLAKY_AWAY);
        WM_ASSERT(wm_store_put(handle->inner, key, body, hash, headers, n, NULL) == WM_OK);
        return flaky_failed(handle, err);
    case FLAKY_BLOCK:
        while (!atomic_load(&handle->base.cancelled)) {
            struct timespec t = {0, 2000000};
            nanosleep(&t, NULL);
        }
        return wm_fail(err, WM_E_END, "cancelled");
    case FLAKY_OTHER_THERE: /* once: the test takes it away again while the trail retries */
        atomic_store(&f->mode, FLAKY_PASS);
        WM_ASSERT(wm_store_put(handle->inner, key, WM_LIT("not ours"), WM_EMPTY, NULL, 0, NULL) == WM_OK);
        break;
    case FLAKY_REPACK: {
        char *other = wm_view_dup(body);
        WM_ASSERT(other && wm_view_ends(key, ".gz"));
        other[4] = 1; /* the time in a gzip header (RFC 1952 section 2.3) is no content */
        atomic_store(&f->mode, FLAKY_PASS);
        WM_ASSERT(wm_store_put(handle->inner, key, (struct wm_view){other, body.len}, WM_EMPTY, headers, n, NULL) == WM_OK);
        free(other);
        return flaky_failed(handle, err);
    }
    default:
        break;
    }
    return wm_store_put(handle->inner, key, body, hash, headers, n, err);
}

static enum wm_status flaky_get(struct wm_store *s, struct wm_view key, struct wm_buf *body, struct wm_arena *a,
                                struct wm_store_header *headers, size_t *n, struct wm_err *err)
{
    struct flaky *f = (struct flaky *)(void *)s;
    if (atomic_load(&f->first->mode) == FLAKY_AWAY)
        return flaky_failed(f, err);
    return wm_store_get(f->inner, key, body, a, headers, n, err);
}

static enum wm_status flaky_list(struct wm_store *s, struct wm_view prefix,
                                 enum wm_status (*each)(void *, const struct wm_store_object *), void *arg,
                                 struct wm_err *err)
{
    return wm_store_list(((struct flaky *)(void *)s)->inner, prefix, each, arg, err);
}

static void flaky_free(struct wm_store *s)
{
    wm_store_free(((struct flaky *)(void *)s)->inner);
    free(s);
}

static const struct wm_store_ops flaky_ops = {flaky_put, flaky_get, flaky_list, flaky_free};

static struct flaky *flaky_new(struct rig *r, const char *bucket, struct flaky *first)
{
    struct flaky *f = calloc(1, sizeof *f);
    f->first = first ? first : f;
    assert_int_equal(wm_store_file_new(&wm_io_posix, wm_view_of(scratch_path(&r->scratch, "bucket")),
                                       wm_view_of(bucket),
                                       &f->inner, NULL), WM_OK);
    assert_int_equal(wm_store_init(&f->base, &flaky_ops, wm_view_of(bucket), NULL), WM_OK);
    atomic_store(&f->mode, r->start_mode);
    return f;
}

/* ---- the rig ---- */

static void rig_open_journal(struct rig *r)
{
    struct wm_journal_recovery recovery;
    struct wm_err err = {0};
    struct wm_journal_options o = {
        .dir = scratch_path(&r->scratch, "journal"),
        .io = &wm_io_posix,
        .clock = &r->clock,
        .segment_bytes = 64 * 1024, /* many, so that a cursor that is wrong loses something */
    };
    if (wm_journal_open(&o, &r->journal, &recovery, &err) != WM_OK)
        fail_msg("%s", err.message);
}

static enum wm_status rig_event(void *ctx, const char *name, struct wm_view details, struct wm_err *err)
{
    struct rig *r = ctx;
    if (atomic_fetch_sub(&r->events_fail, 1) > 0)
        return wm_fail(err, WM_E_FULL, "the journal is full");
    (void)snprintf(r->event, sizeof r->event, "%s %.*s", name, WM_ARG(details));
    atomic_fetch_add(&r->events, 1);
    return WM_OK;
}

static int setup(void **state)
{
    struct rig *r = calloc(1, sizeof *r);
    scratch_make(&r->scratch);
    r->clock = (struct wm_clock){test_wall, test_mono, &r->time};
    r->board = wm_board_new();
    r->bucket = "evidence";
    r->uploads = 1;
    rig_open_journal(r);
    const struct wm_signer_options keys = {.io = &wm_io_posix, .clock = &r->clock, .board = r->board,
                                           .dir = scratch_path(&r->scratch, "keys")};
    if (wm_signer_open(&keys, &r->signer, NULL) != WM_OK)
        return -1;
    r->o = (struct wm_trail_options){
        .name = WM_LIT("studio"),
        .account_id = WM_LIT(ACCOUNT),
        .region = WM_LIT(REGION),
        .prefix = WM_LIT("audit"),
        .codec = &wm_codec_zstd,
        .codec_level = 1,
        .batch_bytes = 65536,
        .batch_records = 10,
        .batch_age_ms = 30,
        .digest_period_s = 3600,
        .journal = r->journal,
        .board = r->board,
        .signer = r->signer,
        .recorder = {rig_event, r},
        .clock = &r->clock,
        .retry_min_ms = 5,
        .retry_max_ms = 40,
    };
    *state = r;
    return 0;
}

static enum wm_status rig_try_start(struct rig *r, struct wm_err *err)
{
    r->flaky = NULL;
    for (r->o.n_stores = 0; r->o.n_stores < r->uploads; r->o.n_stores++) {
        struct flaky *f = flaky_new(r, r->bucket, r->flaky);
        r->flaky = f->first;
        r->o.stores[r->o.n_stores] = &f->base;
    }
    r->o.journal = r->journal;
    r->o.ledger_path = scratch_path(&r->scratch, "ledger");
    return wm_trail_start(&r->o, &r->trail, err);
}

static void rig_start(struct rig *r)
{
    struct wm_err err = {0};
    if (rig_try_start(r, &err) != WM_OK)
        fail_msg("%s", err.message);
}

static void rig_stop(struct rig *r, int64_t deadline_ms)
{
    wm_trail_stop(r->trail, deadline_ms);
    r->trail = NULL;
    r->flaky = NULL;
}

static int teardown(void **state)
{
    struct rig *r = *state;
    wm_trail_stop(r->trail, 0);
    wm_journal_close(r->journal);
    wm_signer_close(r->signer);
    wm_board_free(r->board);
    scratch_remove(&r->scratch);
    free(r);
    return 0;
}

/* A record per number, some of them long, durable when it returns. */
static void rig_append(struct rig *r, unsigned n)
{
    struct wm_buf record;
    struct wm_err err = {0};
    wm_buf_init(&record, WM_MAX_RECORD_BYTES);
    for (unsigned i = 0; i < n; i++) {
        struct wm_wall_ns now = wm_clock_wall(&r->clock);
        char time[WM_TIME_ISO_BYTES], uuid[WM_UUID_BYTES];
        wm_time_iso(now, time);
        wm_uuid(uuid);
        wm_buf_clear(&record);
        r->appended++;
        wm_buf_addf(&record,
                    "{\"eventVersion\":\"1.11\",\"eventTime\":\"%s\",\"eventID\":\"%llu\",\"requestID\":\"%s\","
                    "\"pad\":\"%0*d\"}", time,
                    (unsigned long long)r->appended, uuid, r->appended % 97 == 0 ? 9000 : 40, 0);
        struct wm_entry e = {.time = now, .event_source = WM_LIT("mediapackage.amazonaws.com"),
                             .event_name = WM_LIT("CreateChannel"), .record = wm_buf_view(&record)};
        wm_journal_await_room(r->journal);
        if (wm_journal_append(r->journal, &e, &r->last_seq, &err) != WM_OK)
            fail_msg("%s", err.message);
    }
    wm_buf_done(&record);
    if (n && wm_journal_commit(r->journal, r->last_seq, &err) != WM_OK)
        fail_msg("%s", err.message);
}

static struct wm_board_trail rig_board(struct rig *r)
{
    struct wm_board_trail t = {0};
    assert_true(wm_board_find_trail(r->board, WM_LIT("studio"), &t));
    return t;
}

static void nap(void)
{
    struct timespec t = {0, 3000000};
    nanosleep(&t, NULL);
}

/* Wait for a condition on the board's entry b. */
#define WAIT(r, condition)                                                                               \
    do {                                                                                                 \
        struct wm_board_trail b = rig_board(r);                                                          \
        int64_t end = wm_clock_mono(&wm_clock_system).ns + 20 * WM_NS_PER_S;                             \
        while (!(condition)) {                                                                           \
            if (wm_clock_mono(&wm_clock_system).ns > end)                                                \
                fail_msg("waited in vain for " #condition "; delivery error \"%s\", digest error \"%s\"", \
                         b.latest_delivery_error, b.latest_digest_error);                                \
            nap();                                                                                       \
            b = rig_board(r);                                                                            \
        }                                                                                                \
    } while (0)

static void rig_wait_delivered(struct rig *r)
{
    WAIT(r, b.cursor_seq == r->last_seq && b.delivered_records == r->appended);
}

static void pass_time(struct rig *r, int64_t s)
{
    atomic_fetch_add(&r->time.wall_offset_ns, s * WM_NS_PER_S);
    atomic_fetch_add(&r->time.mono_offset_ns, s * WM_NS_PER_S);
}

/* ---- reading the bucket back ---- */

struct inventory {
    struct wm_store *store;
    struct wm_keyring *keys;
    struct wm_arena arena;
    uint8_t seen[MAX_RECORDS + 1]; /* how often a record is in a trail file */
    size_t files, digests, listed, records;
    char file_keys[2000][256];
    char digest_keys[200][256];
    struct wm_view digest_docs[200];
    char digest_signatures[200][WM_SIGNATURE_HEX_BYTES];
};

static enum wm_status inventory_key(void *arg, const struct wm_store_object *o)
{
    struct inventory *v = arg;
    if (memmem(o->key.ptr, o->key.len, "/CloudTrail-Digest/", 19))
        assert_true(wm_view_copy(o->key, v->digest_keys[v->digests++], 256));
    else if (!memmem(o->key.ptr, o->key.len, "/Waymark/", 9))
        assert_true(wm_view_copy(o->key, v->file_keys[v->files++], 256));
    return WM_OK;
}

static struct wm_view inventory_read(struct inventory *v, const char *key, struct wm_store_header *headers, size_t *n)
{
    struct wm_buf packed, content;
    struct wm_err err = {0};
    wm_buf_init(&packed, WM_MAX_OBJECT_BYTES);
    wm_buf_init(&content, WM_MAX_OBJECT_BYTES);
    if (wm_store_get(v->store, wm_view_of(key), &packed, &v->arena, headers, n, &err) != WM_OK)
        fail_msg("%s: %s", key, err.message);
    const struct wm_codec *codec = wm_codec_by_key(wm_view_of(key));
    assert_non_null(codec);
    assert_int_equal(codec->decompress(wm_buf_view(&packed), &content, NULL), WM_OK);
    assert_true(wm_view_eq_str(wm_store_header(headers, *n, "content-type"), "application/json"));
    assert_true(wm_view_eq_str(wm_store_header(headers, *n, "content-encoding"), codec->content_encoding));
    struct wm_view copy = wm_arena_copy(&v->arena, wm_buf_view(&content));
    wm_buf_done(&packed);
    wm_buf_done(&content);
    assert_int_equal(wm_arena_status(&v->arena), WM_OK);
    return copy;
}

static void hex_of(struct wm_view text, char out[WM_SHA256_HEX_BYTES + 1])
{
    uint8_t hash[WM_SHA256_BYTES];
    wm_sha256(text.ptr, text.len, hash);
    wm_hex(hash, sizeof hash, out);
    out[WM_SHA256_HEX_BYTES] = '\0';
}

/*
 * Read everything back: each appended record in exactly one trail file; the digests one chain without a gap; each file
 * in at most one digest, with its hash and times. *v is left for more questions.
 */
static void inventory_take(struct rig *r, struct inventory *v)
{
    struct wm_store_header headers[WM_STORE_MAX_HEADERS];
    size_t n;
    memset(v, 0, sizeof *v);
    wm_arena_init(&v->arena, 512u * 1024 * 1024);
    assert_int_equal(wm_store_file_new(&wm_io_posix, wm_view_of(scratch_path(&r->scratch, "bucket")), WM_EMPTY,
                                       &v->store, NULL), WM_OK);
    assert_int_equal(wm_store_list(v->store, WM_EMPTY, inventory_key, v, NULL), WM_OK);
    for (size_t i = 0; i < v->files; i++) {
        struct wm_json *root;
        struct wm_view text = inventory_read(v, v->file_keys[i], headers, &n);
        assert_true(wm_view_starts(text, "{\"Records\":[{"));
        assert_int_equal(wm_view_find(text, '\n'), text.len);
        assert_true(text.len <= r->o.batch_bytes);
        assert_int_equal(wm_json_parse(&v->arena, text, &root, NULL), WM_OK);
        assert_true(wm_json_get(root, "Records")->count <= r->o.batch_records);
        for (struct wm_json *e = wm_json_get(root, "Records")->first; e; e = e->next) {
            uint64_t id;
            assert_int_equal(wm_view_to_u64(wm_json_get_text(e, "eventID"), MAX_RECORDS, &id), WM_OK);
            v->seen[id]++;
            v->records++;
        }
    }
    for (uint64_t id = 1; id <= r->appended; id++)
        if (v->seen[id] != !(id >= r->gone_first && id <= r->gone_last))
            fail_msg("record %llu is %u times in the bucket", (unsigned long long)id, v->seen[id]);
    assert_int_equal(v->records, r->appended - (r->gone_last ? r->gone_last - r->gone_first + 1 : 0));

    if (v->digests) {
        struct wm_err err = {0};
        if (wm_keyring_open(&wm_io_posix, scratch_path(&r->scratch, "keys/public-keys.json"), &v->keys, &err) != WM_OK)
            fail_msg("%s", err.message);
    }
    static uint8_t listed_once[2000];
    memset(listed_once, 0, sizeof listed_once);
    struct wm_digest before = {0};
    char before_hash[WM_SHA256_HEX_BYTES + 1] = "", before_signature[WM_SIGNATURE_HEX_BYTES] = "";
    for (size_t i = 0; i < v->digests; i++) { /* the order of keys is the order of end times */
        struct wm_digest d;
        struct wm_err err = {0};
        struct wm_view text = v->digest_docs[i] = inventory_read(v, v->digest_keys[i], headers, &n);
        if (wm_digest_read(&v->arena, text, &d, &err) != WM_OK)
            fail_msg("%s", err.message);
        assert_true(wm_view_eq_str(d.key, v->digest_keys[i]));
        assert_true(wm_view_eq_str(wm_store_header(headers, n, "x-amz-meta-signature-algorithm"), "SHA256withRSA"));
        struct wm_view signature = wm_store_header(headers, n, "x-amz-meta-signature");
        struct wm_buf to_sign;
        wm_buf_init(&to_sign, 8192);
        wm_digest_string_to_sign(&d, text, &to_sign);
        if (wm_keyring_verify(v->keys, d.fingerprint, wm_buf_view(&to_sign), signature, &err) != WM_OK)
            fail_msg("%s: %s", v->digest_keys[i], err.message);
        wm_buf_done(&to_sign);
        assert_int_equal(d.has_previous, i > 0);
        if (i) {
            assert_true(wm_view_eq(d.previous_key, before.key));
            assert_true(wm_view_eq(d.previous_bucket, before.bucket));
            assert_true(wm_view_eq_str(d.previous_hash_hex, before_hash));
            assert_true(wm_view_eq_str(d.previous_signature_hex, before_signature));
            assert_true(wm_view_eq(d.start, before.end));
        }
        assert_true(wm_view_cmp(d.start, d.end) < 0);
        struct wm_view newest = WM_EMPTY, oldest = WM_EMPTY;
        for (size_t f = 0; f < d.n_files; f++) {
            size_t at = 0;
            while (at < v->files && !wm_view_eq_str(d.files[f].key, v->file_keys[at]))
                at++;
            assert_true(at < v->files);
            assert_int_equal(listed_once[at]++, 0);
            char hex[WM_SHA256_HEX_BYTES + 1];
            struct wm_view content = inventory_read(v, v->file_keys[at], headers, &n);
            hex_of(content, hex);
            assert_true(wm_view_eq_str(d.files[f].hash_hex, hex));
            assert_non_null(memmem(content.ptr, content.len, d.files[f].newest.ptr, 20));
            assert_non_null(memmem(content.ptr, content.len, d.files[f].oldest.ptr, 20));
            if (!newest.len || wm_view_cmp(d.files[f].newest, newest) > 0)
                newest = d.files[f].newest;
            if (!oldest.len || wm_view_cmp(d.files[f].oldest, oldest) < 0)
                oldest = d.files[f].oldest;
            v->listed++;
        }
        assert_true(wm_view_eq(d.newest, newest));
        assert_true(wm_view_eq(d.oldest, oldest));
        before = d;
        hex_of(text, before_hash);
        assert_true(wm_view_copy(signature, before_signature, sizeof before_signature));
    }
}

static enum wm_status count_one(void *arg, const struct wm_store_object *o)
{
    (void)o;
    ++*(size_t *)arg;
    return WM_OK;
}

static size_t digests_in_bucket(struct rig *r)
{
    size_t n = 0;
    struct wm_store *store;
    assert_int_equal(wm_store_file_new(&wm_io_posix, wm_view_of(scratch_path(&r->scratch, "bucket")), WM_EMPTY, &store,
                                       NULL), WM_OK);
    assert_int_equal(wm_store_list(store, WM_LIT("audit/AWSLogs/" ACCOUNT "/CloudTrail-Digest/"), count_one, &n, NULL),
                     WM_OK);
    wm_store_free(store);
    return n;
}

static void inventory_done(struct inventory *v)
{
    wm_store_free(v->store);
    wm_keyring_free(v->keys);
    wm_arena_done(&v->arena);
}

static struct inventory inventory; /* too large for a stack */

static void assert_all_there(struct rig *r)
{
    inventory_take(r, &inventory);
    inventory_done(&inventory);
}

static struct wm_digest digest_at(size_t i)
{
    struct wm_digest d;
    assert_true(i < inventory.digests);
    assert_int_equal(wm_digest_read(&inventory.arena, inventory.digest_docs[i], &d, NULL), WM_OK);
    return d;
}

static int64_t seconds_of(struct wm_view iso)
{
    struct wm_wall_ns t;
    assert_int_equal(wm_time_parse(iso, &t), WM_OK);
    return wm_wall_seconds(t);
}

/* ---- delivery ---- */

static void trail_delivers_each_record_once(void **state)
{
    struct rig *r = *state;
    rig_append(r, 25); /* before it starts */
    rig_start(r);
    rig_wait_delivered(r);
    for (int i = 0; i < 40; i++)
        rig_append(r, 1 + (unsigned)i * 7 % 31);
    rig_wait_delivered(r);
    inventory_take(r, &inventory);
    assert_true(inventory.files >= r->appended / 10);
    /* audit/AWSLogs/ACCOUNT/CloudTrail/REGION/YYYY/MM/DD/ACCOUNT_CloudTrail_REGION_YYYYMMDDTHHmmZ_UNIQUE.json.zst */
    const char *key = inventory.file_keys[0];
    assert_int_equal(strncmp(key, "audit/AWSLogs/" ACCOUNT "/CloudTrail/" REGION "/20", 51), 0);
    const char *name = strrchr(key, '/') + 1;
    assert_int_equal(strncmp(name, ACCOUNT "_CloudTrail_" REGION "_20", 39), 0);
    assert_int_equal(strspn(strrchr(name, '_') + 1, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"),
                     16);
    assert_string_equal(strrchr(name, '_') + 17, ".json.zst");
    inventory_done(&inventory);

    struct wm_board_trail b = rig_board(r);
    assert_string_equal(b.arn, "arn:aws:cloudtrail:" REGION ":" ACCOUNT ":trail/studio");
    assert_string_equal(b.bucket, "evidence");
    assert_string_equal(b.prefix, "audit");
    assert_string_equal(b.codec, "zstd");
    assert_true(b.started.ns > 0 && b.latest_delivery.ns >= b.started.ns && b.latest_delivery_attempt.ns > 0);
    assert_string_equal(b.latest_delivery_error, "");
    assert_int_equal(b.latest_digest.ns, 0);

    /* the journal may drop what is delivered */
    struct wm_journal_stats stats;
    wm_journal_stats(r->journal, &stats);
    for (int i = 0; i < 1000 && stats.first_seq < 2; i++) {
        nap();
        wm_journal_stats(r->journal, &stats);
    }
    assert_true(stats.first_seq > 1);
}

static uint64_t first_entry_kept(struct rig *r)
{
    struct wm_journal_stats stats;
    wm_journal_stats(r->journal, &stats);
    return stats.first_seq;
}

/* What is appended at a start, before the trails are there, must not make the journal drop what they have not read. */
static void trail_holds_the_journal_before_it_starts(void **state)
{
    struct rig *r = *state;
    rig_append(r, 1000); /* several segments */
    wm_journal_close(r->journal);
    rig_open_journal(r);
    assert_int_equal(wm_trail_hold(r->journal, r->o.name, NULL), WM_OK);
    assert_int_equal(wm_journal_set_cursor(r->journal, "state", r->last_seq), WM_OK);
    rig_append(r, 1000); /* who makes a segment ahead retires first what may go */
    assert_int_equal(first_entry_kept(r), 1);
    r->o.journal = r->journal;
    rig_start(r);
    rig_wait_delivered(r);
    inventory_take(r, &inventory);
    inventory_done(&inventory);
    assert_int_equal(wm_journal_set_cursor(r->journal, "state", r->last_seq), WM_OK);
    for (int i = 0; i < 1000 && first_entry_kept(r) == 1; i++)
        nap();
    assert_true(first_entry_kept(r) > 1);
}

static void trail_sets_the_headers_that_readers_need(void **state)
{
    struct rig *r = *state;
    r->o.codec = &wm_codec_gzip;
    r->o.codec_level = 6;
    rig_start(r);
    rig_append(r, 1);
    rig_wait_delivered(r);
    inventory_take(r, &inventory);
    char path[600];
    struct wm_buf text;
    wm_buf_init(&text, 4096);
    (void)snprintf(path, sizeof path, "bucket/.metadata/%s", inventory.file_keys[0]);
    assert_int_equal(wm_io_read_file(&wm_io_posix, scratch_path(&r->scratch, path), &text, NULL), WM_OK);
    assert_string_equal(wm_buf_cstr(&text), "{\"content-type\":\"application/json\",\"content-encoding\":\"gzip\"}\n");
    assert_true(wm_view_ends(wm_view_of(inventory.file_keys[0]), ".json.gz"));
    wm_buf_done(&text);
    inventory_done(&inventory);
}

static void trail_stop_delivers_what_is_durable(void **state)
{
    struct rig *r = *state;
    r->o.batch_age_ms = 3600 * 1000;
    rig_start(r);
    rig_append(r, 25);
    WAIT(r, b.cursor_seq == 20); /* full ones at once, the rest waits for company */
    rig_stop(r, 10000);
    assert_int_equal(rig_board(r).cursor_seq, 25);
    assert_all_there(r);
}

static void trail_goes_on_after_a_restart(void **state)
{
    struct rig *r = *state;
    for (int i = 0; i < 5; i++) {
        rig_start(r);
        rig_append(r, 33);
        if (i % 2)
            rig_wait_delivered(r);
        rig_stop(r, 10000);
        wm_journal_close(r->journal);
        rig_open_journal(r);
        rig_append(r, 5);
    }
    rig_start(r);
    rig_wait_delivered(r);
    assert_int_equal(rig_board(r).delivered_records, 5 * 38);
    assert_all_there(r);
}

/* What waited through a restart is as old as its record says. */
static void trail_does_not_delay_old_records_after_a_restart(void **state)
{
    struct rig *r = *state;
    r->o.batch_age_ms = 3600 * 1000;
    rig_append(r, 3);
    pass_time(r, 3601);
    rig_start(r);
    rig_wait_delivered(r);
    assert_all_there(r);
}

/* ---- stores that fail ---- */

static void trail_retries_the_same_file_until_the_store_takes_it(void **state)
{
    struct rig *r = *state;
    r->start_mode = FLAKY_REFUSE;
    rig_start(r);
    rig_append(r, 7);
    WAIT(r, strcmp(b.latest_delivery_error, "SlowDown") == 0);
    rig_append(r, 100);
    while (atomic_load(&r->flaky->puts) < 8)
        nap();
    assert_int_equal(rig_board(r).cursor_seq, 0);
    assert_true(rig_board(r).latest_delivery_attempt.ns > 0);
    char key[1100];
    memcpy(key, r->flaky->first_key, sizeof key);
    atomic_store(&r->flaky->mode, FLAKY_PASS);
    rig_wait_delivered(r);
    WAIT(r, b.latest_delivery_error[0] == '\0');
    inventory_take(r, &inventory);
    size_t with_key = 0;
    for (size_t i = 0; i < inventory.files; i++)
        with_key += strcmp(inventory.file_keys[i], key) == 0;
    assert_int_equal(with_key, 1);
    inventory_done(&inventory);
}

/* Stopped between plan and put, with the journal reopened and limits changed: the same key, the same bytes. */
static void trail_keeps_its_plan_through_a_restart(void **state)
{
    struct rig *r = *state;
    r->start_mode = FLAKY_REFUSE;
    rig_start(r);
    rig_append(r, 8);
    WAIT(r, strcmp(b.latest_delivery_error, "SlowDown") == 0);
    char key[1100];
    memcpy(key, r->flaky->first_key, sizeof key);
    rig_append(r, 30);
    rig_stop(r, 0);
    wm_journal_close(r->journal);
    rig_open_journal(r);
    rig_append(r, 4);

    r->o.batch_records = 3; /* other settings today */
    r->o.codec = &wm_codec_gzip;
    r->o.codec_level = 6;
    rig_start(r); /* fails again, with the plan of then */
    WAIT(r, strcmp(b.latest_delivery_error, "SlowDown") == 0);
    assert_string_equal(r->flaky->first_key, key);
    assert_true(wm_view_ends(wm_view_of(key), ".json.zst"));
    atomic_store(&r->flaky->mode, FLAKY_PASS);
    rig_wait_delivered(r);
    r->o.batch_records = 10; /* for the inventory: the planned files have 8 and 10 */
    inventory_take(r, &inventory);
    size_t zstd = 0;
    for (size_t i = 0; i < inventory.files; i++)
        zstd += wm_view_ends(wm_view_of(inventory.file_keys[i]), ".json.zst");
    assert_int_equal(zstd, 2); /* one was on its way, and one made ready */
    inventory_done(&inventory);
}

static void trail_stores_one_object_after_a_lost_reply(void **state)
{
    static const enum flaky_mode modes[] = {FLAKY_LOSE_REPLY, FLAKY_REPACK};
    struct rig *r = *state;
    r->o.codec = &wm_codec_gzip;
    r->o.codec_level = 6;
    rig_start(r);
    for (size_t i = 0; i < 2; i++) {
        atomic_store(&r->flaky->mode, modes[i]);
        rig_append(r, 5);
        rig_wait_delivered(r);
    }
    /* and when we end before we learn it */
    atomic_store(&r->flaky->mode, FLAKY_LOSE_REPLY);
    rig_append(r, 5);
    while (atomic_load(&r->flaky->mode) != FLAKY_PASS)
        nap();
    rig_stop(r, 0);
    rig_start(r);
    rig_wait_delivered(r);
    inventory_take(r, &inventory);
    assert_int_equal(inventory.files, 3);
    inventory_done(&inventory);
}

static void trail_never_takes_anothers_object_for_its_own(void **state)
{
    struct rig *r = *state;
    r->start_mode = FLAKY_OTHER_THERE;
    rig_start(r);
    rig_append(r, 5);
    WAIT(r, strcmp(b.latest_delivery_error, "PreconditionFailed") == 0);
    assert_int_equal(rig_board(r).cursor_seq, 0);
    char path[1500];
    (void)snprintf(path, sizeof path, "%s/bucket/%s", r->scratch.dir, r->flaky->first_key);
    assert_int_equal(unlink(path), 0);
    rig_wait_delivered(r);
    assert_all_there(r);
}

static void trail_waits_for_a_bucket_that_is_away(void **state)
{
    struct rig *r = *state;
    char bucket[300], away[300];
    (void)snprintf(bucket, sizeof bucket, "%s/bucket", r->scratch.dir);
    (void)snprintf(away, sizeof away, "%s/away", r->scratch.dir);
    rig_start(r);
    rig_append(r, 12);
    rig_wait_delivered(r);
    assert_int_equal(rename(bucket, away), 0);
    rig_append(r, 50);
    WAIT(r, strcmp(b.latest_delivery_error, "NoSuchBucket") == 0);
    assert_int_equal(rename(away, bucket), 0);
    rig_wait_delivered(r);
    assert_all_there(r);
}

static void trail_leaves_a_store_alone_that_asks_for_it(void **state)
{
    struct rig *r = *state;
    r->start_mode = FLAKY_REFUSE;
    rig_start(r);
    atomic_store(&r->flaky->retry_after_ms, 3600 * 1000);
    rig_append(r, 1);
    WAIT(r, strcmp(b.latest_delivery_error, "SlowDown") == 0);
    int puts = atomic_load(&r->flaky->puts);
    for (int i = 0; i < 50; i++) /* more than three times the longest backoff */
        nap();
    assert_int_equal(atomic_load(&r->flaky->puts), puts);
    int64_t before = wm_clock_mono(&wm_clock_system).ns;
    rig_stop(r, 10000); /* and a stop is not delayed by it */
    assert_true(wm_clock_mono(&wm_clock_system).ns - before < 5 * WM_NS_PER_S);
}

static void trail_stop_ends_a_store_that_does_not_answer(void **state)
{
    struct rig *r = *state;
    r->start_mode = FLAKY_BLOCK;
    rig_start(r);
    rig_append(r, 5);
    while (atomic_load(&r->flaky->puts) == 0)
        nap();
    int64_t before = wm_clock_mono(&wm_clock_system).ns;
    rig_stop(r, 50);
    assert_true(wm_clock_mono(&wm_clock_system).ns - before < 5 * WM_NS_PER_S);
    r->start_mode = FLAKY_PASS;
    rig_start(r);
    rig_wait_delivered(r);
    assert_all_there(r);
}

/* ---- digests ---- */

/* A chain begins with a digest of its first second; the tests look at what follows. */
static struct wm_wall_ns rig_begin_chain(struct rig *r)
{
    pass_time(r, 2);
    WAIT(r, b.latest_digest.ns > 0);
    return rig_board(r).latest_digest;
}

static void trail_seals_a_chain_of_digests(void **state)
{
    struct rig *r = *state;
    rig_start(r);
    int64_t started_s = wm_wall_seconds(rig_board(r).started);
    struct wm_wall_ns sealed = rig_begin_chain(r);
    static const unsigned batches[] = {15, 0, 40, 1, 0};
    for (size_t i = 0; i < 5; i++) {
        rig_append(r, batches[i]);
        rig_wait_delivered(r);
        pass_time(r, 3602);
        WAIT(r, b.latest_digest.ns > sealed.ns);
        sealed = rig_board(r).latest_digest;
    }
    inventory_take(r, &inventory);
    assert_int_equal(inventory.digests, 6);
    assert_int_equal(inventory.listed, inventory.files);
    struct wm_digest first = digest_at(0);
    assert_false(first.has_previous);
    assert_int_equal(first.n_files, 0);
    assert_int_equal(seconds_of(first.start), started_s);
    assert_int_equal(seconds_of(first.end), started_s + 1);
    for (size_t i = 0; i < 5; i++) {
        struct wm_digest d = digest_at(i + 1);
        assert_int_equal(d.n_files, (batches[i] + 9) / 10);
        assert_int_equal(seconds_of(d.start), started_s + 1 + 3600 * (int64_t)i);
        assert_int_equal(seconds_of(d.end), started_s + 1 + 3600 * (int64_t)(i + 1));
        assert_true(wm_view_eq_str(d.bucket, "evidence"));
        assert_true(wm_view_ends(d.key, ".json.gz")); /* whatever the files are */
    }
    inventory_done(&inventory);
}

static void trail_spans_a_long_stop_with_one_digest(void **state)
{
    struct rig *r = *state;
    rig_start(r);
    int64_t started_s = wm_wall_seconds(rig_board(r).started);
    struct wm_wall_ns sealed = rig_begin_chain(r);
    rig_append(r, 5);
    rig_wait_delivered(r);
    rig_stop(r, 10000);
    pass_time(r, 3600 * 24 * 10 + 100);
    rig_append(r, 5);
    rig_start(r);
    WAIT(r, b.latest_digest.ns > sealed.ns);
    rig_wait_delivered(r);
    inventory_take(r, &inventory);
    assert_int_equal(inventory.digests, 2);
    struct wm_digest d = digest_at(1);
    assert_int_equal(d.n_files, 1); /* the file of before; the other one belongs to the next */
    assert_int_equal(seconds_of(d.start), started_s + 1);
    assert_int_equal(seconds_of(d.end), started_s + 1 + 240 * 3600);
    inventory_done(&inventory);
    sealed = rig_board(r).latest_digest;
    pass_time(r, 3600);
    WAIT(r, b.latest_digest.ns > sealed.ns);
    inventory_take(r, &inventory);
    assert_int_equal(inventory.listed, 2);
    inventory_done(&inventory);
}

static void trail_chain_survives_a_clock_that_goes_back(void **state)
{
    struct rig *r = *state;
    rig_start(r);
    struct wm_wall_ns sealed = rig_begin_chain(r);
    for (int i = 0; i < 6; i++) {
        rig_append(r, 4);
        rig_wait_delivered(r);
        if (i == 1 || i == 3)
            atomic_fetch_sub(&r->time.wall_offset_ns, 30 * 3600 * WM_NS_PER_S);
        if (i == 4) { /* a restart does not help it */
            rig_stop(r, 10000);
            rig_start(r);
        }
        pass_time(r, 3605);
        int64_t end = wm_clock_mono(&wm_clock_system).ns + 20 * WM_NS_PER_S;
        while (rig_board(r).latest_digest.ns == sealed.ns && wm_clock_mono(&wm_clock_system).ns < end)
            nap();
        assert_true(rig_board(r).latest_digest.ns != sealed.ns);
        sealed = rig_board(r).latest_digest;
    }
    inventory_take(r, &inventory);
    assert_int_equal(inventory.digests, 7);
    assert_int_equal(inventory.listed, inventory.files);
    inventory_done(&inventory);
}

/* A trail made while the clock was ahead, before its first digest. */
static void trail_chain_begins_although_the_clock_goes_back(void **state)
{
    struct rig *r = *state;
    rig_start(r);
    int64_t started_s = wm_wall_seconds(rig_board(r).started);
    atomic_fetch_sub(&r->time.wall_offset_ns, 30 * 3600 * WM_NS_PER_S);
    struct wm_wall_ns sealed = {0};
    rig_append(r, 4);
    rig_wait_delivered(r);
    for (int i = 0; i < 2; i++) {
        atomic_fetch_add(&r->time.mono_offset_ns, (i ? 3605 : 5) * WM_NS_PER_S);
        pass_time(r, 1); /* so that the two have different times */
        WAIT(r, b.latest_digest.ns > sealed.ns);
        sealed = rig_board(r).latest_digest;
    }
    inventory_take(r, &inventory);
    assert_int_equal(inventory.digests, 2);
    assert_int_equal(seconds_of(digest_at(0).end), started_s + 1);
    assert_int_equal(seconds_of(digest_at(1).end), started_s + 1 + 3600);
    assert_int_equal(inventory.listed, inventory.files);
    inventory_done(&inventory);
}

/* The store takes no digests for a while, the trail restarts meanwhile: files go on, the digest comes as planned. */
static void trail_delivers_files_while_a_digest_waits(void **state)
{
    struct rig *r = *state;
    rig_start(r);
    struct wm_wall_ns sealed = rig_begin_chain(r);
    r->start_mode = FLAKY_REFUSE_DIGESTS;
    atomic_store(&r->flaky->mode, FLAKY_REFUSE_DIGESTS);
    rig_append(r, 5);
    rig_wait_delivered(r);
    pass_time(r, 3602);
    WAIT(r, strcmp(b.latest_digest_error, "SlowDown") == 0);
    char key[1100];
    memcpy(key, r->flaky->first_key, sizeof key);
    rig_append(r, 25);
    rig_wait_delivered(r);
    assert_string_equal(rig_board(r).latest_delivery_error, "");
    pass_time(r, 7200);
    rig_stop(r, 10000);
    rig_append(r, 5);
    rig_start(r);
    rig_wait_delivered(r);
    while (!r->flaky->first_key[0])
        nap();
    assert_string_equal(r->flaky->first_key, key);
    atomic_store(&r->flaky->mode, FLAKY_LOSE_REPLY); /* the next put is a digest's: no records are left */
    WAIT(r, b.latest_digest.ns > sealed.ns);
    WAIT(r, b.latest_digest_error[0] == '\0');
    pass_time(r, 3602);
    WAIT(r, digests_in_bucket(r) == 4); /* the planned one, one for the two periods since, one for the last */
    inventory_take(r, &inventory);
    assert_string_equal(inventory.digest_keys[1], key);
    assert_int_equal(digest_at(1).n_files, 1);
    assert_int_equal(digest_at(2).n_files, 3);
    assert_int_equal(digest_at(3).n_files, 1);
    inventory_done(&inventory);
}

static void trail_plans_its_digest_anew_in_another_bucket(void **state)
{
    struct rig *r = *state;
    rig_start(r);
    struct wm_wall_ns sealed = rig_begin_chain(r);
    atomic_store(&r->flaky->mode, FLAKY_REFUSE_DIGESTS);
    rig_append(r, 5);
    rig_wait_delivered(r);
    pass_time(r, 3602);
    WAIT(r, strcmp(b.latest_digest_error, "SlowDown") == 0);
    rig_stop(r, 10000);
    r->bucket = "evidence-2";
    rig_start(r);
    WAIT(r, b.latest_digest.ns > sealed.ns);
    inventory_take(r, &inventory);
    struct wm_digest d = digest_at(1);
    assert_true(wm_view_eq_str(d.bucket, "evidence-2"));
    assert_true(wm_view_eq_str(d.files[0].bucket, "evidence"));
    inventory_done(&inventory);
}

static void note_finding(void *arg, const struct wm_verify_line *line)
{
    (void)arg;
    fail_msg("%.*s: %s", WM_ARG(line->key), line->text);
}

/* The verifier has the last word. */
static void trail_is_verified_as_good(void **state)
{
    struct rig *r = *state;
    rig_start(r);
    struct wm_wall_ns sealed = rig_begin_chain(r);
    for (int i = 0; i < 3; i++) {
        rig_append(r, 30);
        rig_wait_delivered(r);
        pass_time(r, 3602);
        WAIT(r, b.latest_digest.ns > sealed.ns);
        sealed = rig_board(r).latest_digest;
    }
    rig_append(r, 3);
    rig_stop(r, 10000);
    assert_all_there(r);
    struct wm_store *store;
    struct wm_keyring *keys;
    struct wm_verify_result result;
    struct wm_err err = {0};
    assert_int_equal(wm_store_file_new(&wm_io_posix, wm_view_of(scratch_path(&r->scratch, "bucket")), WM_EMPTY, &store,
                                       NULL), WM_OK);
    assert_int_equal(wm_keyring_open(&wm_io_posix, scratch_path(&r->scratch, "keys/public-keys.json"), &keys, NULL),
                     WM_OK);
    struct wm_verify_options o = {.stores = &store, .n_stores = 1, .prefix = WM_LIT("audit"), .keys = keys,
                                  .say = note_finding};
    if (wm_verify(&o, &result, &err) != WM_OK)
        fail_msg("%s", err.message);
    assert_int_equal(result.chains, 1);
    assert_int_equal(result.digests_valid, 4);
    assert_int_equal(result.files_valid, 9);
    assert_int_equal(result.files_pending, 1);
    assert_int_equal(result.records, 90);
    wm_keyring_free(keys);
    wm_store_free(store);
}

/* ---- entries that leave the journal without the trail ---- */

#define OTHER "another follower"

/* Without the trail: the journal goes on, and drops what the other follower has seen. @return the last entry dropped */
static uint64_t rig_move_on(struct rig *r, unsigned n)
{
    struct wm_journal_stats stats;
    uint64_t before;
    wm_journal_stats(r->journal, &stats);
    before = stats.first_seq;
    rig_append(r, n);
    assert_int_equal(wm_journal_set_cursor(r->journal, OTHER, r->last_seq), WM_OK);
    uint64_t first;
    unsigned same = 0;
    for (int i = 0; i < 3000 && (same < 10 || first == before); i++) {
        first = stats.first_seq;
        nap();
        wm_journal_stats(r->journal, &stats);
        same = stats.first_seq == first ? same + 1 : 0;
    }
    assert_true(stats.first_seq > before);
    return stats.first_seq - 1;
}

static void rig_reopen_journal(struct rig *r)
{
    wm_journal_close(r->journal);
    rig_open_journal(r);
    assert_int_equal(wm_journal_set_cursor(r->journal, OTHER, 0), WM_OK);
}

static void assert_books(struct rig *r, uint64_t missed)
{
    struct wm_board_trail b = rig_board(r);
    assert_int_equal(b.before_records, 0);
    assert_int_equal(b.filtered_records, 0);
    assert_int_equal(b.missed_records, missed);
    assert_int_equal(b.delivered_records, r->appended - missed);
    assert_int_equal(b.cursor_seq, r->appended);
    assert_int_equal(b.oldest_pending.ns, 0);
}

static void assert_told(struct rig *r, uint64_t first, uint64_t last)
{
    char expected[512];
    (void)snprintf(expected, sizeof expected, "RecordsMissed {\"trailARN\":\"arn:aws:cloudtrail:" REGION ":" ACCOUNT
                   ":trail/studio\",\"firstSequence\":%llu,\"lastSequence\":%llu,\"missedRecords\":%llu}",
                   (unsigned long long)first, (unsigned long long)last, (unsigned long long)(last - first + 1));
    while (atomic_load(&r->events) == 0)
        nap();
    assert_int_equal(atomic_load(&r->events), 1);
    assert_string_equal(r->event, expected);
}

/* Taken out of the settings, and put back. The record of it waits for room in the journal, also through a restart. */
static void trail_counts_and_tells_what_it_missed(void **state)
{
    struct rig *r = *state;
    rig_start(r);
    rig_append(r, 25);
    rig_wait_delivered(r);
    rig_stop(r, 10000);
    rig_reopen_journal(r);
    r->gone_first = 26;
    r->gone_last = rig_move_on(r, 1000);
    atomic_store(&r->events_fail, 1000000);
    rig_start(r);
    WAIT(r, b.cursor_seq == r->last_seq);
    while (atomic_load(&r->events_fail) > 999998) /* refused at least twice */
        nap();
    assert_int_equal(atomic_load(&r->events), 0);
    rig_stop(r, 10000);
    atomic_store(&r->events_fail, 0);
    rig_start(r);
    assert_told(r, 26, r->gone_last);
    rig_append(r, 7);
    WAIT(r, b.cursor_seq == r->last_seq);
    assert_books(r, r->gone_last - 25);
    assert_all_there(r);
    rig_stop(r, 10000);
    rig_start(r); /* it is told once */
    rig_append(r, 1);
    WAIT(r, b.cursor_seq == r->last_seq);
    assert_int_equal(atomic_load(&r->events), 1);
}

/* The journal gives up its guarantee while the trail runs: first what was read is delivered, then comes the gap. */
static void trail_goes_on_behind_a_gap_while_it_runs(void **state)
{
    struct rig *r = *state;
    assert_int_equal(wm_journal_set_cursor(r->journal, OTHER, 0), WM_OK);
    r->start_mode = FLAKY_REFUSE;
    rig_start(r);
    rig_append(r, 14); /* ten are planned, nothing more is read meanwhile */
    WAIT(r, strcmp(b.latest_delivery_error, "SlowDown") == 0);
    assert_true(rig_board(r).oldest_pending.ns > 0);
    rig_append(r, 1000);
    assert_int_equal(wm_journal_set_cursor(r->journal, "trail:studio", r->last_seq), WM_OK); /* as if it had said so */
    uint64_t gone = rig_move_on(r, 1);
    atomic_store(&r->flaky->mode, FLAKY_PASS);
    WAIT(r, b.missed_records > 0 && b.cursor_seq == r->last_seq);
    assert_true(rig_board(r).delivered_records >= 10);
    r->gone_last = gone;
    r->gone_first = gone + 1 - rig_board(r).missed_records;
    assert_true(r->gone_first > 10 && r->gone_first < gone);
    assert_told(r, r->gone_first, r->gone_last);
    /* what follows is kept again */
    rig_append(r, 900);
    WAIT(r, b.cursor_seq == r->last_seq);
    assert_books(r, r->gone_last - r->gone_first + 1);
    assert_all_there(r);
}

/* A file was planned, and its entries are gone when the trail is back. */
static void trail_settles_a_plan_whose_entries_are_gone(void **state)
{
    static const struct {
        enum flaky_mode mode; /* of the put before the stop */
        unsigned planned, then;
        bool delivered, rest;
    } cases[] = {
        {FLAKY_REFUSE, 10, 1000, false, false},      /* never reached the bucket */
        {FLAKY_LOSE_AND_AWAY, 10, 1000, true, false},   /* did, and nobody learned of it */
        {FLAKY_OTHER_THERE, 10, 1000, false, false}, /* the key is another's */
        {FLAKY_REFUSE, 340, 1, false, true},         /* some of them are still there */
        {FLAKY_LOSE_AND_AWAY, 340, 1, true, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (i) {
            assert_int_equal(teardown(state), 0);
            assert_int_equal(setup(state), 0);
        }
        struct rig *r = *state;
        r->o.batch_records = cases[i].planned;
        r->start_mode = cases[i].mode;
        rig_start(r);
        rig_append(r, cases[i].planned);
        while (!r->flaky->first_key[0])
            nap();
        WAIT(r, b.latest_delivery_error[0] != '\0');
        char key[1100], path[1500];
        memcpy(key, r->flaky->first_key, sizeof key);
        rig_stop(r, 0);
        assert_int_equal(rig_board(r).cursor_seq, 0);
        rig_reopen_journal(r);
        uint64_t gone = rig_move_on(r, cases[i].then);
        assert_true(cases[i].rest ? gone < cases[i].planned : gone >= cases[i].planned);
        r->start_mode = FLAKY_PASS;
        rig_start(r);
        WAIT(r, b.cursor_seq == r->last_seq);
        if (cases[i].mode == FLAKY_OTHER_THERE) {
            (void)snprintf(path, sizeof path, "%s/bucket/%s", r->scratch.dir, key);
            assert_int_equal(unlink(path), 0);
        }
        r->gone_first = cases[i].delivered ? cases[i].planned + 1 : 1;
        r->gone_last = gone;
        if (r->gone_first > r->gone_last) {
            r->gone_first = r->gone_last = 0;
            assert_books(r, 0);
            assert_int_equal(atomic_load(&r->events), 0);
        } else {
            assert_told(r, r->gone_first, r->gone_last);
            assert_books(r, r->gone_last - r->gone_first + 1);
        }
        inventory_take(r, &inventory);
        bool there = false;
        for (size_t f = 0; f < inventory.files; f++)
            there |= strcmp(inventory.file_keys[f], key) == 0;
        assert_int_equal(there, cases[i].delivered);
        inventory_done(&inventory);
    }
}

/* The bucket is away when it should be asked: nothing is decided until it answers. */
static void trail_asks_the_bucket_before_it_gives_a_plan_up(void **state)
{
    struct rig *r = *state;
    r->start_mode = FLAKY_LOSE_AND_AWAY;
    rig_start(r);
    rig_append(r, 10);
    WAIT(r, b.latest_delivery_error[0] != '\0');
    rig_stop(r, 0);
    rig_reopen_journal(r);
    uint64_t gone = rig_move_on(r, 500);
    r->start_mode = FLAKY_AWAY;
    rig_start(r);
    WAIT(r, strcmp(b.latest_delivery_error, "SlowDown") == 0);
    assert_int_equal(rig_board(r).cursor_seq, 0);
    assert_int_equal(rig_board(r).missed_records, 0);
    atomic_store(&r->flaky->mode, FLAKY_PASS);
    WAIT(r, b.cursor_seq == r->last_seq);
    r->gone_first = 11;
    r->gone_last = gone;
    assert_books(r, gone - 10);
    assert_all_there(r);
}

static void trail_stands_still_when_its_books_do_not_balance(void **state)
{
    struct rig *r = *state;
    struct wm_err err = {0};
    rig_start(r);
    rig_append(r, 5);
    rig_wait_delivered(r);
    rig_stop(r, 10000);
    sqlite3 *db;
    assert_int_equal(sqlite3_open(scratch_path(&r->scratch, "ledger"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA ignore_check_constraints = ON;"
                                      "UPDATE head SET delivered_records = 4", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    assert_int_equal(rig_try_start(r, &err), WM_E_CORRUPT);
    assert_non_null(strstr(err.message, "has counted 4 entries and is at entry 5"));
    r->trail = NULL;
    /* and when a step would break them */
    assert_int_equal(sqlite3_open(scratch_path(&r->scratch, "ledger"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "UPDATE head SET delivered_records = 5; CREATE TRIGGER wrong AFTER DELETE ON"
                                      " file_plan BEGIN UPDATE head SET missed_records = 1, before_records = -1; END",
                                  NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "CREATE TRIGGER wrong2 AFTER UPDATE ON head WHEN new.delivered_files >"
                                      " old.delivered_files BEGIN UPDATE head SET filtered_records = 1; END",
                                  NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    rig_start(r);
    rig_append(r, 5);
    WAIT(r, strcmp(b.latest_delivery_error, "corrupt") == 0);
    assert_int_equal(rig_board(r).cursor_seq, 5);
    rig_stop(r, 10000);
}

/* ---- what cannot go on ---- */

static void trail_refuses_a_journal_that_is_not_its_ledgers(void **state)
{
    struct rig *r = *state;
    struct wm_err err = {0};
    rig_start(r);
    rig_append(r, 20);
    rig_wait_delivered(r);
    rig_stop(r, 10000);
    wm_journal_close(r->journal);
    char path[300], away[300];
    (void)snprintf(path, sizeof path, "%s/journal", r->scratch.dir);
    (void)snprintf(away, sizeof away, "%s/journal-lost", r->scratch.dir);
    assert_int_equal(rename(path, away), 0);
    rig_open_journal(r);
    assert_int_equal(rig_try_start(r, &err), WM_E_CORRUPT);
    r->trail = NULL;
    assert_non_null(strstr(err.message, "they do not belong together"));
    /* the right one, but older than the ledger */
    wm_journal_close(r->journal);
    assert_int_equal(rename(path, scratch_path(&r->scratch, "journal-new")), 0);
    assert_int_equal(rename(away, path), 0);
    rig_open_journal(r);
    sqlite3 *db;
    assert_int_equal(sqlite3_open(scratch_path(&r->scratch, "ledger"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "UPDATE head SET cursor_seq = 21, missed_records = 1", NULL, NULL, NULL),
                     SQLITE_OK);
    sqlite3_close(db);
    assert_int_equal(rig_try_start(r, &err), WM_E_CORRUPT);
    r->trail = NULL;
    assert_non_null(strstr(err.message, "one of them is older than the other"));
}

static void trail_stands_still_when_the_journal_is_not_what_was_planned(void **state)
{
    struct rig *r = *state;
    r->start_mode = FLAKY_REFUSE;
    rig_start(r);
    rig_append(r, 5);
    WAIT(r, strcmp(b.latest_delivery_error, "SlowDown") == 0);
    rig_stop(r, 0);
    sqlite3 *db;
    assert_int_equal(sqlite3_open(scratch_path(&r->scratch, "ledger"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "UPDATE file_plan SET hash = 'x' || substr(hash, 2)", NULL, NULL,
                                  NULL), SQLITE_OK);
    sqlite3_close(db);
    r->start_mode = FLAKY_PASS;
    rig_start(r);
    WAIT(r, strcmp(b.latest_delivery_error, "corrupt") == 0);
    assert_int_equal(atomic_load(&r->flaky->puts), 0);
    rig_stop(r, 10000);
}

static void trail_options_are_checked(void **state)
{
    struct rig *r = *state;
    struct wm_trail_options good = r->o;
    for (int i = 0; i < 12; i++) {
        struct wm_err err = {0};
        r->o = good;
        switch (i) {
        case 0: r->o.name = WM_LIT("x"); break;
        case 1: r->o.batch_bytes = 65535; break;
        case 2: r->o.batch_bytes = WM_MAX_BATCH_BYTES + 1; break;
        case 3: r->o.batch_records = 0; break;
        case 4: r->o.batch_records = 1000001; break;
        case 5: r->o.batch_age_ms = -1; break;
        case 6: r->o.digest_period_s = 0; break;
        case 7: r->o.digest_period_s = 86401; break;
        case 8: r->o.codec_level = 0; break;
        case 9: r->o.codec_level = 20; break;
        case 10: r->o.retry_min_ms = -1; break;
        case 11: r->o.retry_max_ms = -1; break;
        }
        assert_int_equal(rig_try_start(r, &err), WM_E_INVALID); /* the store is released all the same */
        assert_true(err.message[0] != '\0');
        r->trail = NULL;
    }
    r->o = good;
    char long_prefix[300];
    struct wm_err err = {0};
    memset(long_prefix, 'p', sizeof long_prefix);
    r->o.prefix = (struct wm_view){long_prefix, sizeof long_prefix};
    assert_int_equal(rig_try_start(r, &err), WM_E_LIMIT);
    r->trail = NULL;
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(trail_delivers_each_record_once),
        TEST(trail_holds_the_journal_before_it_starts),
        TEST(trail_sets_the_headers_that_readers_need),
        TEST(trail_stop_delivers_what_is_durable),
        TEST(trail_goes_on_after_a_restart),
        TEST(trail_does_not_delay_old_records_after_a_restart),
        TEST(trail_retries_the_same_file_until_the_store_takes_it),
        TEST(trail_keeps_its_plan_through_a_restart),
        TEST(trail_stores_one_object_after_a_lost_reply),
        TEST(trail_never_takes_anothers_object_for_its_own),
        TEST(trail_waits_for_a_bucket_that_is_away),
        TEST(trail_leaves_a_store_alone_that_asks_for_it),
        TEST(trail_stop_ends_a_store_that_does_not_answer),
        TEST(trail_seals_a_chain_of_digests),
        TEST(trail_spans_a_long_stop_with_one_digest),
        TEST(trail_chain_survives_a_clock_that_goes_back),
        TEST(trail_chain_begins_although_the_clock_goes_back),
        TEST(trail_delivers_files_while_a_digest_waits),
        TEST(trail_plans_its_digest_anew_in_another_bucket),
        TEST(trail_is_verified_as_good),
        TEST(trail_counts_and_tells_what_it_missed),
        TEST(trail_goes_on_behind_a_gap_while_it_runs),
        TEST(trail_settles_a_plan_whose_entries_are_gone),
        TEST(trail_asks_the_bucket_before_it_gives_a_plan_up),
        TEST(trail_stands_still_when_its_books_do_not_balance),
        TEST(trail_refuses_a_journal_that_is_not_its_ledgers),
        TEST(trail_stands_still_when_the_journal_is_not_what_was_planned),
        TEST(trail_options_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
