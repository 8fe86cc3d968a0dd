#include "tests/support/trail_rig.h"

#include "waymark/banned.h"

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

void nap(void)
{
    struct timespec t = {0, 3000000};
    nanosleep(&t, NULL);
}

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
    if (memmem(key.ptr, key.len, "/Waymark/", 9) && atomic_load(&f->mode) != FLAKY_BLOCK &&
        atomic_load(&f->mode) != FLAKY_REAL) /* the tests are about what follows */
        return wm_store_put(handle->inner, key, body, hash, headers, n, err);
    bool digest = memmem(key.ptr, key.len, "/CloudTrail-Digest/", 19) != NULL;
    bool is_oldest = memmem(key.ptr, key.len, "Z_000000", 8) != NULL;
    int mode = atomic_load(&f->mode);
    if (mode == FLAKY_REFUSE_DIGESTS)
        mode = digest ? FLAKY_REFUSE : FLAKY_PASS;
    if (!digest)
        atomic_fetch_add(&f->puts, 1);
    pthread_mutex_lock(&f->mu);
    if (mode != FLAKY_PASS && !atomic_load(&f->has_first)) {
        WM_ASSERT(wm_view_copy(key, f->first_key, sizeof f->first_key));
        atomic_store(&f->has_first, true);
    }
    bool is_first = wm_view_eq_str(key, f->first_key);
    pthread_mutex_unlock(&f->mu);
    if (mode == FLAKY_REFUSE && !digest && !is_oldest)
        atomic_fetch_add(&f->others_refused, 1);
    if (mode == FLAKY_RANDOM) {
        uint8_t random;
        wm_random(&random, 1);
        mode = random < 128 ? FLAKY_PASS : random < 192 ? FLAKY_REFUSE : FLAKY_LOSE_REPLY_ONCE;
    }
    switch (mode) {
    case FLAKY_REFUSE:
    case FLAKY_AWAY:
        return flaky_failed(handle, err);
    case FLAKY_GATHER: {
        int there = atomic_fetch_add(&f->in_flight, 1) + 1;
        if (there > atomic_load(&f->most_in_flight)) /* the last to come is alone with this */
            atomic_store(&f->most_in_flight, there);
        for (int i = 0; i < 1000 && atomic_load(&f->most_in_flight) < f->n_handles; i++)
            nap();
        enum wm_status status = wm_store_put(handle->inner, key, body, hash, headers, n, err);
        atomic_fetch_sub(&f->in_flight, 1);
        return status;
    }
    case FLAKY_BLOCK_FIRST:
    case FLAKY_BLOCK_OLDEST:
        while ((mode == FLAKY_BLOCK_FIRST ? is_first : is_oldest) && atomic_load(&f->mode) == mode) {
            if (atomic_load(&handle->base.cancelled))
                return wm_fail(err, WM_E_END, "cancelled");
            nap();
        }
        break;
    case FLAKY_LOSE_REPLY_ONCE:
        (void)!wm_store_put(handle->inner, key, body, hash, headers, n, NULL);
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
    struct flaky *f = (struct flaky *)(void *)s;
    wm_store_free(f->inner);
    pthread_mutex_destroy(&f->mu);
    free(f);
}

static const struct wm_store_ops flaky_ops = {flaky_put, flaky_get, flaky_list, flaky_free};

static struct flaky *flaky_new(struct rig *r, const char *bucket, struct flaky *first)
{
    struct flaky *f = calloc(1, sizeof *f);
    f->first = first ? first : f;
    f->first->n_handles++;
    pthread_mutex_init(&f->mu, NULL);
    assert_int_equal(wm_store_file_new(&wm_io_posix, wm_view_of(scratch_path(&r->scratch, "bucket")),
                                       wm_view_of(bucket),
                                       &f->inner, NULL), WM_OK);
    assert_int_equal(wm_store_init(&f->base, &flaky_ops, wm_view_of(bucket), NULL), WM_OK);
    atomic_store(&f->mode, r->start_mode);
    return f;
}

/* ---- the rig ---- */

void rig_open_journal(struct rig *r)
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

static enum wm_status rig_event(void *ctx, struct wm_view trail, const char *name, struct wm_view details,
                                struct wm_err *err)
{
    struct rig *r = ctx;
    WM_ASSERT(wm_view_eq_str(trail, "studio"));
    pthread_mutex_lock(&r->logging_mu);
    bool stopped = r->logging.stopped;
    pthread_mutex_unlock(&r->logging_mu);
    if (stopped)
        return wm_fail(err, WM_E_UNAVAILABLE, "the trail is stopped");
    if (atomic_fetch_sub(&r->events_fail, 1) > 0)
        return wm_fail(err, WM_E_FULL, "the journal is full");
    (void)snprintf(r->event, sizeof r->event, "%s %.*s", name, WM_ARG(details));
    atomic_fetch_add(&r->events, 1);
    return WM_OK;
}

static enum wm_status rig_logging(void *ctx, struct wm_view trail, struct wm_trail_logging *out, uint64_t *out_seq,
                                  struct wm_err *err)
{
    struct rig *r = ctx;
    (void)err;
    WM_ASSERT(wm_view_eq_str(trail, "studio"));
    pthread_mutex_lock(&r->logging_mu);
    *out = r->logging;
    *out_seq = r->last_seq;
    pthread_mutex_unlock(&r->logging_mu);
    return WM_OK;
}

int rig_setup(void **state)
{
    struct rig *r = calloc(1, sizeof *r);
    pthread_mutex_init(&r->logging_mu, NULL);
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
        .recorder = {rig_event, rig_logging, r},
        .clock = &r->clock,
        .retry_min_ms = 5,
        .retry_max_ms = 40,
    };
    *state = r;
    return 0;
}

enum wm_status rig_try_start(struct rig *r, struct wm_err *err)
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

void rig_start(struct rig *r)
{
    struct wm_err err = {0};
    if (rig_try_start(r, &err) != WM_OK)
        fail_msg("%s", err.message);
}

void rig_stop(struct rig *r, int64_t deadline_ms)
{
    wm_trail_stop(r->trail, deadline_ms);
    r->trail = NULL;
    r->flaky = NULL;
}

int rig_teardown(void **state)
{
    struct rig *r = *state;
    wm_trail_stop(r->trail, 0);
    wm_journal_close(r->journal);
    wm_signer_close(r->signer);
    wm_board_free(r->board);
    scratch_remove(&r->scratch);
    pthread_mutex_destroy(&r->logging_mu);
    free(r);
    return 0;
}

/* @param members  of the record, behind its first ones; ends with a comma */
static void rig_append_entries(struct rig *r, unsigned n, const struct wm_change *change, const char *members)
{
    struct wm_buf record;
    struct wm_err err = {0};
    uint64_t last_seq = r->last_seq;
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
                    "%s\"pad\":\"%0*d\"}", time,
                    (unsigned long long)r->appended, uuid, members, r->appended % 97 == 0 ? 9000 : 40, 0);
        struct wm_entry e = {.time = now, .event_source = WM_LIT("mediapackage.amazonaws.com"),
                             .event_name = WM_LIT("CreateChannel"), .record = wm_buf_view(&record),
                             .changes = change, .n_changes = change ? 1 : 0};
        wm_journal_await_room(r->journal);
        if (wm_journal_append(r->journal, &e, &last_seq, &err) != WM_OK)
            fail_msg("%s", err.message);
    }
    wm_buf_done(&record);
    if (n && wm_journal_commit(r->journal, last_seq, &err) != WM_OK)
        fail_msg("%s", err.message);
    pthread_mutex_lock(&r->logging_mu);
    r->last_seq = last_seq;
    pthread_mutex_unlock(&r->logging_mu);
}

/* A record per number, some of them long, durable when it returns. */
void rig_append(struct rig *r, unsigned n)
{
    rig_append_entries(r, n, NULL, "");
}

void rig_switch(struct rig *r, const char *trail, bool stop)
{
    char document[WM_TRAIL_LOGGING_BYTES], members[256];
    struct wm_trail_logging l = {.stopped = stop, .switched = true, .started = {1}, .ended = {1}};
    size_t len = wm_trail_logging_write(&l, document);
    struct wm_change change = {WM_LIT(WM_TRAIL_LOGGING_KIND), wm_view_of(trail), {document, len}};
    if (strcmp(trail, "studio") == 0) { /* as the state: it may know of an entry that is not yet durable */
        pthread_mutex_lock(&r->logging_mu);
        r->logging = l;
        pthread_mutex_unlock(&r->logging_mu);
    }
    (void)snprintf(members, sizeof members,
                   "\"eventSource\":\"cloudtrail.amazonaws.com\",\"eventName\":\"%sLogging\",\"eventType\":\"AwsApiCall\","
                   "\"requestParameters\":{\"name\":\"%s\"},", stop ? "Stop" : "Start", trail);
    rig_append_entries(r, 1, &change, members);
}

struct wm_board_trail rig_board(struct rig *r)
{
    struct wm_board_trail t = {0};
    assert_true(wm_board_find_trail(r->board, WM_LIT("studio"), &t));
    return t;
}


void rig_wait_delivered(struct rig *r)
{
    WAIT(r, b.cursor_seq == r->last_seq && b.delivered_records == r->appended);
}

void pass_time(struct rig *r, int64_t s)
{
    atomic_fetch_add(&r->time.wall_offset_ns, s * WM_NS_PER_S);
    atomic_fetch_add(&r->time.mono_offset_ns, s * WM_NS_PER_S);
}

/* ---- reading the bucket back ---- */


static enum wm_status inventory_key(void *arg, const struct wm_store_object *o)
{
    struct inventory *v = arg;
    if (memmem(o->key.ptr, o->key.len, "/CloudTrail-Digest/", 19))
        assert_true(wm_view_copy(o->key, v->digest_keys[v->digests++], 256));
    else if (!memmem(o->key.ptr, o->key.len, "/Waymark/", 9))
        assert_true(wm_view_copy(o->key, v->file_keys[v->files++], 256));
    return WM_OK;
}

struct wm_view inventory_read(struct inventory *v, const char *key, struct wm_store_header *headers, size_t *n)
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

void hex_of(struct wm_view text, char out[WM_SHA256_HEX_BYTES + 1])
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
void inventory_take(struct rig *r, struct inventory *v)
{
    struct wm_store_header headers[WM_STORE_MAX_HEADERS];
    size_t n;
    memset(v, 0, sizeof *v);
    wm_arena_init(&v->arena, 512u * 1024 * 1024);
    assert_int_equal(wm_store_file_new(&wm_io_posix, wm_view_of(scratch_path(&r->scratch, "bucket")), WM_EMPTY,
                                       &v->store, NULL), WM_OK);
    assert_int_equal(wm_store_list(v->store, WM_EMPTY, inventory_key, v, NULL), WM_OK);
    uint64_t before_seq = 0;
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
            uint64_t seq;
            struct wm_json *number = wm_json_get(e, "waymarkSequence");
            assert_true(number && !number->next); /* the last member */
            assert_int_equal(wm_view_to_u64(number->text, MAX_RECORDS, &seq), WM_OK);
            assert_int_equal(seq, id);
            if (seq <= before_seq) /* over all files: the order of keys is the order of the journal */
                fail_msg("%s: record %llu follows %llu", v->file_keys[i], (unsigned long long)seq,
                         (unsigned long long)before_seq);
            before_seq = seq;
        }
    }
    uint64_t there = 0;
    for (uint64_t id = 1; id <= r->appended; id++) {
        bool gone = r->passed_over[id] || (id >= r->gone_first && id <= r->gone_last);
        there += !gone;
        if (v->seen[id] != !gone)
            fail_msg("record %llu is %u times in the bucket", (unsigned long long)id, v->seen[id]);
    }
    assert_int_equal(v->records, there);

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

size_t digests_in_bucket(struct rig *r)
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

void inventory_done(struct inventory *v)
{
    wm_store_free(v->store);
    wm_keyring_free(v->keys);
    wm_arena_done(&v->arena);
}

struct inventory inventory;

void assert_all_there(struct rig *r)
{
    inventory_take(r, &inventory);
    inventory_done(&inventory);
}

struct wm_digest digest_at(size_t i)
{
    struct wm_digest d;
    assert_true(i < inventory.digests);
    assert_int_equal(wm_digest_read(&inventory.arena, inventory.digest_docs[i], &d, NULL), WM_OK);
    return d;
}

int64_t seconds_of(struct wm_view iso)
{
    struct wm_wall_ns t;
    assert_int_equal(wm_time_parse(iso, &t), WM_OK);
    return wm_wall_seconds(t);
}

/* A chain begins with a digest of its first second; the tests look at what follows. */
struct wm_wall_ns rig_begin_chain(struct rig *r)
{
    pass_time(r, 2);
    WAIT(r, b.latest_digest.ns > 0);
    return rig_board(r).latest_digest;
}

static void rig_fail_on_finding(void *arg, const struct wm_verify_line *line)
{
    (void)arg;
    if (!line->note)
        fail_msg("%.*s: %s", WM_ARG(line->key), line->text);
}

struct wm_verify_result rig_verify(struct rig *r, const char *prefix)
{
    struct wm_store *store;
    struct wm_keyring *keys;
    struct wm_verify_result result;
    struct wm_err err = {0};
    assert_int_equal(wm_store_file_new(&wm_io_posix, wm_view_of(scratch_path(&r->scratch, "bucket")), WM_EMPTY, &store,
                                       NULL), WM_OK);
    assert_int_equal(wm_keyring_open(&wm_io_posix, scratch_path(&r->scratch, "keys/public-keys.json"), &keys, NULL),
                     WM_OK);
    struct wm_verify_options o = {.stores = &store, .n_stores = 1, .prefix = wm_view_of(prefix), .keys = keys,
                                  .say = rig_fail_on_finding, .clock = &r->clock};
    if (wm_verify(&o, &result, &err) != WM_OK)
        fail_msg("%s", err.message);
    wm_keyring_free(keys);
    wm_store_free(store);
    return result;
}
