/*
 * What a trail costs from the journal to the store beside what its codec costs alone on the same content, interleaved so
 * that both see the same machine. CPU of the whole process: reading, framing, hashing, compressing, the ledger, and the
 * store's hash of what is sent. What sending costs, bench_put tells; here the store throws the bytes away.
 *
 *     bench_delivery [FOLDER [ROUNDS [MEGABYTES]]]     folder: on the disk to be measured; default the current one
 *
 * Records are real ones where WAYMARK_SHARED/data/real-records.ndjson.zst is there, else made up.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "delivery/batch.h"
#include "delivery/store_int.h"
#include "tests/support/folder.h"
#include "waymark/bounds.h"
#include "waymark/hash.h"
#include "waymark/log.h"
#include "waymark/trail.h"

#include "waymark/banned.h"

#define MAX_ROUNDS 31
#define MAX_BODIES 64
#define MAX_SAMPLES 100000
#define BATCH_BYTES 40000000u

static _Noreturn void give_up(const char *what)
{
    fprintf(stderr, "bench_delivery: %s\n", what);
    exit(1);
}

static double now_s(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int by_value(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static double median(double *v, unsigned n)
{
    qsort(v, n, sizeof *v, by_value);
    return v[n / 2];
}

/* ---- records ---- */

static struct wm_view samples[MAX_SAMPLES];
static size_t n_samples;

static bool real_samples(struct wm_buf *text)
{
    const char *shared = getenv("WAYMARK_SHARED");
    char path[WM_MAX_PATH_BYTES];
    struct wm_buf packed;
    if (!shared || snprintf(path, sizeof path, "%s/data/real-records.ndjson.zst", shared) >= (int)sizeof path)
        return false;
    wm_buf_init(&packed, WM_MAX_OBJECT_BYTES);
    bool read = wm_io_read_file(&wm_io_posix, path, &packed, NULL) == WM_OK &&
                wm_codec_zstd.decompress(wm_buf_view(&packed), text, NULL) == WM_OK;
    wm_buf_done(&packed);
    struct wm_view rest = wm_buf_view(text);
    while (read && rest.len && n_samples < MAX_SAMPLES) {
        struct wm_view line = wm_view_split(&rest, '\n');
        if (line.len > 2 && line.len <= WM_MAX_RECORD_BYTES)
            samples[n_samples++] = line;
    }
    return read;
}

static void made_up_samples(struct wm_buf *text)
{
    static const char *const names[] = {"CreateChannel", "DescribeChannel", "ListChannels", "UpdateChannel", "DeleteChannel"};
    size_t ends[4096], n = sizeof ends / sizeof ends[0];
    for (size_t i = 0; i < n; i++) {
        char event[WM_UUID_BYTES], request[WM_UUID_BYTES];
        wm_uuid(event);
        wm_uuid(request);
        wm_buf_addf(text,
                    "{\"eventVersion\":\"1.11\",\"userIdentity\":{\"type\":\"AssumedRole\",\"principalId\":\"AROA%zu:user-%zu\","
                    "\"arn\":\"arn:aws:sts::123456789012:assumed-role/Operator/user-%zu\",\"accountId\":\"123456789012\","
                    "\"accessKeyId\":\"ASIA%016zu\"},\"eventTime\":\"2026-03-01T10:%02zu:%02zuZ\",\"eventSource\":"
                    "\"mediapackage.amazonaws.com\",\"eventName\":\"%s\",\"awsRegion\":\"us-east-1\",\"sourceIPAddress\":"
                    "\"203.0.113.%zu\",\"userAgent\":\"aws-cli/2.34.60 md/awscrt#0.29.1 ua/2.1 os/linux#6.8.0 md/arch#x86_64 "
                    "lang/python#3.13.7 md/command#mediapackage.%s\",\"requestParameters\":{\"id\":\"camera-%zu\","
                    "\"description\":\"camera %zu of the arena, north side\"},\"responseElements\":null,\"requestID\":\"%s\","
                    "\"eventID\":\"%s\",\"readOnly\":false,\"eventType\":\"AwsApiCall\",\"managementEvent\":true,"
                    "\"recipientAccountId\":\"123456789012\",\"eventCategory\":\"Management\"}",
                    i % 97, i % 97, i % 97, i * 7919 % 1000003, i / 60 % 60, i % 60, names[i % 5], i * 31 % 251, names[i % 5],
                    i * 17 % 4001, i, request, event);
        ends[i] = text->len;
    }
    if (wm_buf_status(text) != WM_OK)
        give_up("no memory");
    for (size_t i = 0; i < n; i++)
        samples[n_samples++] = (struct wm_view){text->data + (i ? ends[i - 1] : 0), ends[i] - (i ? ends[i - 1] : 0)};
}

/* ---- a store that throws away ---- */

static enum wm_status sink_put(struct wm_store *s, struct wm_view key, struct wm_view body, struct wm_view hash,
                               const struct wm_store_header *headers, size_t n, struct wm_err *err)
{
    (void)s, (void)key, (void)body, (void)hash, (void)headers, (void)n, (void)err; /* wm_store_put() has hashed it */
    return WM_OK;
}

static enum wm_status sink_get(struct wm_store *s, struct wm_view key, struct wm_buf *body, struct wm_arena *a,
                               struct wm_store_header *headers, size_t *n, struct wm_err *err)
{
    (void)s, (void)key, (void)body, (void)a, (void)headers, (void)n;
    return wm_fail(err, WM_E_NOT_FOUND, "nothing is kept");
}

static enum wm_status sink_list(struct wm_store *s, struct wm_view prefix,
                                enum wm_status (*each)(void *, const struct wm_store_object *), void *arg, struct wm_err *err)
{
    (void)s, (void)prefix, (void)each, (void)arg, (void)err;
    return WM_OK;
}

static void sink_free(struct wm_store *s)
{
    free(s);
}

static const struct wm_store_ops sink_ops = {.put = sink_put, .get = sink_get, .list = sink_list, .free = sink_free};

static struct wm_store *sink_new(void)
{
    struct wm_store *s = calloc(1, sizeof *s);
    if (!s || wm_store_init(s, &sink_ops, WM_LIT("sink"), NULL) != WM_OK)
        give_up("no memory");
    return s;
}

/* ---- what is measured ---- */

struct bench {
    char dir[FOLDER_BYTES + 64];
    struct wm_journal *journal;
    struct wm_board *board;
    struct wm_signer *signer;
    uint64_t records;
    struct wm_buf bodies[MAX_BODIES];
    size_t n_bodies;
    double content_bytes;
};

static void fill_journal(struct bench *b, double bytes)
{
    uint64_t seq = 0;
    struct wm_err err;
    for (double done = 0; done < bytes; b->records++) {
        struct wm_view record = samples[b->records % n_samples];
        const struct wm_entry e = {.time = wm_clock_wall(&wm_clock_system), .event_source = WM_LIT("bench"),
                                   .event_name = WM_LIT("Bench"), .record = record};
        if (wm_journal_append(b->journal, &e, &seq, &err) != WM_OK)
            give_up(err.message);
        done += (double)record.len;
        if (b->records % 256 == 0 && wm_journal_commit(b->journal, seq, &err) != WM_OK)
            give_up(err.message);
    }
    if (wm_journal_commit(b->journal, seq, &err) != WM_OK)
        give_up(err.message);
}

/* The content of the files that the trail will write, for the codec alone. */
static void fill_bodies(struct bench *b)
{
    const struct wm_batch_limits limits = {BATCH_BYTES, UINT64_MAX, 1000, 0};
    struct wm_journal_reader *r;
    struct wm_entry e;
    struct wm_batch batch;
    bool pending = false;
    wm_batch_init(&batch, &limits);
    if (wm_journal_reader_open(b->journal, 0, &r, NULL) != WM_OK)
        give_up("cannot read the journal");
    for (;;) {
        bool more = pending || wm_journal_reader_next(r, &e, NULL) == WM_OK;
        pending = more && wm_batch_add(&batch, &e, (struct wm_wall_ns){0}, (struct wm_mono_ns){0}, NULL) == WM_E_FULL;
        if (pending || (!more && batch.records)) {
            if (b->n_bodies == MAX_BODIES || wm_batch_close(&batch, NULL) != WM_OK)
                give_up("too much");
            struct wm_buf *body = &b->bodies[b->n_bodies++];
            wm_buf_init(body, batch.body.len);
            wm_buf_add_view(body, wm_buf_view(&batch.body));
            b->content_bytes += (double)batch.body.len;
            wm_batch_clear(&batch);
        }
        if (!more)
            break;
    }
    wm_journal_reader_close(r);
    wm_batch_done(&batch);
}

static double codec_alone(const struct bench *b, const struct wm_codec *codec, int level, double *out_packed)
{
    double used = 0;
    *out_packed = 0;
    for (size_t i = 0; i < b->n_bodies; i++) {
        struct wm_buf out;
        wm_buf_init(&out, 2 * WM_MAX_BATCH_BYTES);
        double before = now_s(CLOCK_PROCESS_CPUTIME_ID);
        if (codec->compress(level, wm_buf_view(&b->bodies[i]), &out, NULL) != WM_OK)
            give_up("cannot compress");
        used += now_s(CLOCK_PROCESS_CPUTIME_ID) - before;
        *out_packed += (double)out.len;
        wm_buf_done(&out);
    }
    return used;
}

static double whole_trail(const struct bench *b, const struct wm_codec *codec, int level, unsigned run, double *out_wall)
{
    char name[32], ledger[FOLDER_BYTES + 128];
    struct wm_trail *trail;
    struct wm_board_trail at = {0};
    struct wm_err err;
    (void)snprintf(name, sizeof name, "bench-%s-%u", codec->name, run);
    (void)snprintf(ledger, sizeof ledger, "%s/%s.db", b->dir, name);
    struct wm_trail_options o = {
        .name = wm_view_of(name), .account_id = WM_LIT("123456789012"), .region = WM_LIT("us-east-1"), .codec = codec,
        .codec_level = level, .batch_bytes = BATCH_BYTES, .batch_records = 1000000, .batch_age_ms = 1,
        .digest_period_s = 3600, .ledger_path = ledger, .journal = b->journal, .board = b->board, .signer = b->signer,
        .clock = &wm_clock_system, .n_stores = 4,
    };
    for (size_t i = 0; i < o.n_stores; i++)
        o.stores[i] = sink_new();
    double cpu = now_s(CLOCK_PROCESS_CPUTIME_ID), wall = now_s(CLOCK_MONOTONIC);
    if (wm_trail_start(&o, &trail, &err) != WM_OK)
        give_up(err.message);
    do {
        const struct timespec nap = {.tv_nsec = 1000000};
        nanosleep(&nap, NULL);
        (void)wm_board_find_trail(b->board, o.name, &at);
    } while (at.delivered_records < b->records);
    cpu = now_s(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    *out_wall = now_s(CLOCK_MONOTONIC) - wall;
    wm_trail_stop(trail, 10000);
    return cpu;
}

static void compare(const struct bench *b, const struct wm_codec *codec, unsigned rounds, unsigned *io_run, double must,
                    double aim)
{
    double alone[MAX_ROUNDS], whole[MAX_ROUNDS], walls[MAX_ROUNDS], packed = 0;
    int level = codec->default_level;
    for (unsigned i = 0; i < rounds; i++) {
        alone[i] = codec_alone(b, codec, level, &packed);
        whole[i] = whole_trail(b, codec, level, (*io_run)++, &walls[i]);
    }
    double a = median(alone, rounds), w = median(whole, rounds), n = (double)b->records;
    printf("%-4s level %d  codec alone %7.0f MB/s   journal to store %7.0f MB/s   %8.0f records per CPU-second, %8.0f a second   "
           "1 : %.1f   of codec %.2f   must %.2f, aim %.2f: %s\n",
           codec->name, level, b->content_bytes / a / 1e6, b->content_bytes / w / 1e6, n / w, n / median(walls, rounds),
           b->content_bytes / packed, a / w, must, aim, a / w >= aim ? "aim met" : a / w >= must ? "met" : "MISSED");
    (void)fflush(stdout);
}

int main(int argc, char **argv)
{
    static struct bench b;
    static struct wm_buf text;
    struct wm_journal_recovery recovery;
    struct wm_err err;
    char path[sizeof b.dir + 32], fingerprint[WM_FINGERPRINT_BYTES];
    unsigned rounds = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 5, run = 0;
    double megabytes = argc > 3 ? strtod(argv[3], NULL) : 160;
    if (rounds < 1 || rounds > MAX_ROUNDS || megabytes < 1 || megabytes > 2000)
        give_up("takes a folder, 1 to 31 rounds, and 1 to 2000 megabytes");
    wm_log_set_level(WM_LOG_ERROR);
    wm_buf_init(&text, WM_MAX_OBJECT_BYTES);
    bool real = real_samples(&text);
    if (!real)
        made_up_samples(&text);
    (void)snprintf(b.dir, sizeof b.dir, "%.200s/bench-delivery-%d", argc > 1 ? argv[1] : ".", (int)getpid());
    if (mkdir(b.dir, 0700) != 0)
        give_up("cannot make its folder");
    (void)snprintf(path, sizeof path, "%s/journal", b.dir);
    const struct wm_journal_options o = {.dir = path, .io = &wm_io_posix, .clock = &wm_clock_system,
                                         .segment_bytes = 64u << 20};
    if (wm_journal_open(&o, &b.journal, &recovery, &err) != WM_OK)
        give_up(err.message);
    if (wm_journal_set_cursor(b.journal, "bench", 0) != WM_OK) /* all of it stays */
        give_up("no cursor");
    fill_journal(&b, megabytes * 1e6);
    fill_bodies(&b);
    b.board = wm_board_new();
    (void)snprintf(path, sizeof path, "%s/keys", b.dir);
    if (!b.board || wm_signer_open(&(struct wm_signer_options){.io = &wm_io_posix, .clock = &wm_clock_system, .dir = path},
                                   &b.signer, &err) != WM_OK ||
        wm_signer_key_for(b.signer, wm_clock_wall(&wm_clock_system), fingerprint, &err) != WM_OK)
        give_up("no key");
    printf("%llu %s records, %.0f MB of trail files, %u rounds, medians\n", (unsigned long long)b.records,
           real ? "real" : "made-up", b.content_bytes / 1e6, rounds);
    compare(&b, &wm_codec_zstd, rounds, &run, .45, .60);
    compare(&b, &wm_codec_gzip, rounds, &run, .75, .88);
    wm_signer_close(b.signer);
    wm_board_free(b.board);
    wm_journal_close(b.journal);
    folder_remove(b.dir);
    return 0;
}
