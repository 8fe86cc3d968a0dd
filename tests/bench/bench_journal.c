/*
 * What the journal and the record cost, each beside the barest thing that does the same work, interleaved so that both
 * see the same machine:
 *
 *   append + commit in batches of 1, 16, 64, 256   against   pwrite + fdatasync of as many bytes on a zero-filled file
 *   append alone                                   against   memcpy of the record
 *   building a record                              against   an appender that knows nothing of JSON
 *   replay at start                                against   the bytes of the entries
 *
 *     bench_journal [FOLDER [ROUNDS]]        folder: on the disk to be measured; default the current one
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/bench.h"
#include "tests/support/folder.h"
#include "waymark/journal.h"
#include "waymark/log.h"
#include "waymark/record.h"
#include "waymark/recorder.h"

#include "waymark/banned.h"

#define SEGMENT_BYTES (64u << 20)
#define MAX_ROUNDS 101

static _Noreturn void give_up(const char *what)
{
    fprintf(stderr, "bench_journal: %s\n", what);
    exit(1);
}

/* ---- the record that is measured: a CreateChannel of some 1.3 KB ---- */

static struct wm_arena arena;

static struct wm_json *parse(const char *text)
{
    struct wm_json *v = NULL;
    if (wm_json_parse(&arena, wm_view_of(text), &v, NULL) != WM_OK)
        give_up("cannot parse the sample");
    return v;
}

static struct wm_record sample(void)
{
    return (struct wm_record){
        .identity = {.type = WM_IDENTITY_ROOT, .principal_id = WM_LIT("111122223333"),
                     .arn = WM_LIT("arn:aws:iam::111122223333:root"), .account_id = WM_LIT("111122223333"),
                     .access_key_id = WM_LIT("AKIAZ3XK7Q2EXAMPLE77")},
        .event_time = {1772359632000000000},
        .event_source = WM_LIT("mediapackage.amazonaws.com"),
        .event_name = WM_LIT("CreateChannel"),
        .region = WM_LIT("us-west-2"),
        .source_ip = WM_LIT("203.0.113.24"),
        .user_agent = WM_LIT("aws-cli/2.34.60 md/awscrt#0.29.1 ua/2.1 os/linux#6.8.0 md/arch#x86_64 "
                             "lang/python#3.13.7 cfg/retry-mode#standard md/command#mediapackage.create-channel"),
        .request_parameters = parse("{\"id\":\"arena-cam-4\",\"description\":\"Arena camera 4, primary\",\"tags\":"
                                    "{\"cost-centre\":\"sport-17\"}}"),
        .response_elements =
            parse("{\"arn\":\"arn:aws:mediapackage:us-west-2:111122223333:channels/5d0c9d4f8e2b4a6f9b7a1c3e5f708192\","
                  "\"createdAt\":\"2026-03-01T10:07:12Z\",\"description\":\"Arena camera 4, primary\",\"hlsIngest\":"
                  "{\"ingestEndpoints\":[{\"id\":\"a1f0c2d4e6b84a0f9c1d3e5f7a9b0c1d\",\"url\":"
                  "\"https://c0ffee01.mediapackage.us-west-2.amazonaws.com/in/v2/5d0c9d4f/channel\",\"username\":"
                  "\"HIDDEN_DUE_TO_SECURITY_REASONS\",\"password\":\"HIDDEN_DUE_TO_SECURITY_REASONS\"}]},\"id\":"
                  "\"arena-cam-4\",\"tags\":{\"cost-centre\":\"sport-17\"}}"),
        .request_id = WM_LIT("9b0f2a61-3c57-4d0e-8f7a-2d6e41c0b8aa"),
        .event_id = WM_LIT("6f1c2a9e-5b0d-4c7e-9a41-0d2f3b4c5d6e"),
        .api_version = WM_LIT("2017-10-12"),
        .account_id = WM_LIT("111122223333"),
    };
}

/* ---- building ---- */

/* The same bytes by the plainest means: texts looked at byte by byte, constants copied, no limits, no checks. */
static char *plain_text(char *p, const char *name, struct wm_view v)
{
    p = mempcpy(p, name, strlen(name));
    *p++ = '"';
    for (size_t i = 0; i < v.len; i++) {
        unsigned char c = (unsigned char)v.ptr[i];
        if (c < 0x20 || c == '"' || c == '\\')
            *p++ = '\\';
        *p++ = (char)c;
    }
    *p++ = '"';
    return p;
}

static char *plain_value(char *p, const struct wm_json *v)
{
    if (v->type == WM_JSON_STRING)
        return plain_text(p, "", v->text);
    *p++ = v->type == WM_JSON_OBJECT ? '{' : '[';
    for (const struct wm_json *c = v->first; c; c = c->next) {
        if (c != v->first)
            *p++ = ',';
        if (v->type == WM_JSON_OBJECT) {
            p = plain_text(p, "", c->key);
            *p++ = ':';
        }
        p = plain_value(p, c);
    }
    *p++ = v->type == WM_JSON_OBJECT ? '}' : ']';
    return p;
}

static char *plain_record(char *p, const struct wm_record *r)
{
    char time[WM_TIME_ISO_BYTES];
    wm_time_iso(r->event_time, time);
    p = plain_text(p, "{\"eventVersion\":\"1.11\",\"userIdentity\":{\"type\":", WM_LIT("Root"));
    p = plain_text(p, ",\"principalId\":", r->identity.principal_id);
    p = plain_text(p, ",\"arn\":", r->identity.arn);
    p = plain_text(p, ",\"accountId\":", r->identity.account_id);
    p = plain_text(p, ",\"accessKeyId\":", r->identity.access_key_id);
    p = plain_text(p, "},\"eventTime\":", wm_view_of(time));
    p = plain_text(p, ",\"eventSource\":", r->event_source);
    p = plain_text(p, ",\"eventName\":", r->event_name);
    p = plain_text(p, ",\"awsRegion\":", r->region);
    p = plain_text(p, ",\"sourceIPAddress\":", r->source_ip);
    p = plain_text(p, ",\"userAgent\":", r->user_agent);
    p = mempcpy(p, ",\"requestParameters\":", 21);
    p = plain_value(p, r->request_parameters);
    p = mempcpy(p, ",\"responseElements\":", 20);
    p = plain_value(p, r->response_elements);
    p = plain_text(p, ",\"requestID\":", r->request_id);
    p = plain_text(p, ",\"eventID\":", r->event_id);
    p = plain_text(p, ",\"readOnly\":false,\"eventType\":", WM_LIT("AwsApiCall"));
    p = plain_text(p, ",\"apiVersion\":", r->api_version);
    p = plain_text(p, ",\"managementEvent\":true,\"recipientAccountId\":", r->account_id);
    p = plain_text(p, ",\"eventCategory\":", WM_LIT("Management"));
    *p++ = '}';
    return p;
}

static size_t bench_record(unsigned rounds, char record[4096])
{
    enum { N = 20000 };
    struct wm_record r = sample();
    struct wm_buf b;
    char other[4096];
    double ours[MAX_ROUNDS], plain[MAX_ROUNDS];
    size_t len = 0;
    wm_buf_init(&b, WM_MAX_RECORD_BYTES);
    for (unsigned k = 0; k < rounds; k++) {
        double t = now_s(CLOCK_THREAD_CPUTIME_ID);
        for (unsigned i = 0; i < N; i++) {
            wm_buf_clear(&b);
            if (wm_record_encode(&r, &b) != WM_OK)
                give_up("cannot encode");
        }
        ours[k] = (now_s(CLOCK_THREAD_CPUTIME_ID) - t) / N * 1e9;
        t = now_s(CLOCK_THREAD_CPUTIME_ID);
        for (unsigned i = 0; i < N; i++) {
            len = (size_t)(plain_record(other, &r) - other);
            __asm__ volatile("" : : "r"(other) : "memory");
        }
        plain[k] = (now_s(CLOCK_THREAD_CPUTIME_ID) - t) / N * 1e9;
    }
    if (len != b.len || memcmp(other, b.data, len) != 0)
        give_up("the two encoders differ");
    double o = median(ours, rounds), p = median(plain, rounds);
    printf("record of %zu bytes: build %.0f ns, plain appender %.0f ns: %.2fx (must 2, aim 1.2): %s\n", len, o, p, o / p,
           o / p <= 1.2 ? "aim met" : o / p <= 2 ? "met" : "MISSED");
    memcpy(record, b.data, len);
    wm_buf_done(&b);
    return len;
}

/* ---- appending ---- */

static struct wm_journal *open_journal(const char *dir)
{
    struct wm_journal_options o = {
        .dir = dir,
        .io = &wm_io_posix,
        .clock = &wm_clock_system,
        .segment_bytes = SEGMENT_BYTES,
    };
    struct wm_journal *j = NULL;
    struct wm_err err = {0};
    if (wm_journal_open(&o, &j, NULL, &err) != WM_OK)
        give_up(err.message);
    return j;
}

/* CPU of all threads: what is put off to another one counts too. */
static double cpu_s(void)
{
    return now_s(CLOCK_PROCESS_CPUTIME_ID);
}

struct run {
    double rate, cpu_us;
};

static uint64_t last_seq;

static struct run run_journal(struct wm_journal *j, const struct wm_entry *e, unsigned batch, unsigned batches)
{
    double t = now_s(CLOCK_MONOTONIC), c = cpu_s();
    for (unsigned k = 0; k < batches; k++) {
        for (unsigned i = 0; i < batch; i++) {
            wm_journal_await_room(j);
            if (wm_journal_append(j, e, &last_seq, NULL) != WM_OK)
                give_up("append failed");
        }
        if (wm_journal_commit(j, last_seq, NULL) != WM_OK)
            give_up("commit failed");
    }
    double n = (double)batch * batches;
    return (struct run){n / (now_s(CLOCK_MONOTONIC) - t), (cpu_s() - c) / n * 1e6};
}

static struct run run_bare(int fd, uint64_t *offset, const char *bytes, size_t frame, unsigned batch, unsigned batches)
{
    double t = now_s(CLOCK_MONOTONIC), c = cpu_s();
    for (unsigned k = 0; k < batches; k++) {
        if (*offset + frame * batch > SEGMENT_BYTES)
            *offset = 0;
        if (pwrite(fd, bytes, frame * batch, (off_t)*offset) < 0 || fdatasync(fd) != 0)
            give_up("bare write failed");
        *offset += frame * batch;
    }
    double n = (double)batch * batches;
    return (struct run){n / (now_s(CLOCK_MONOTONIC) - t), (cpu_s() - c) / n * 1e6};
}

static void bench_commit(const char *dir, const struct wm_entry *e, size_t frame, unsigned rounds)
{
    static const unsigned batches[] = {1, 16, 64, 256};
    char path[1100];
    char *zeros = calloc(1, 1u << 20), *bytes = malloc(frame * 256);
    snprintf(path, sizeof path, "%s/bare", dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (!zeros || !bytes || fd < 0)
        give_up("cannot set up the bare file");
    memset(bytes, 'x', frame * 256);
    for (unsigned i = 0; i < SEGMENT_BYTES >> 20; i++)
        if (pwrite(fd, zeros, 1u << 20, (off_t)i << 20) < 0)
            give_up("cannot fill the bare file");
    if (fsync(fd) != 0)
        give_up("cannot sync the bare file");
    snprintf(path, sizeof path, "%s/journal", dir);
    struct wm_journal *j = open_journal(path);
    if (wm_journal_set_cursor(j, "bench", 0) != WM_OK)
        give_up("cursor");
    uint64_t offset = 0;
    usleep(500000); /* the first segment ahead is ready */

    printf("batch   journal records/s  bare records/s  ratio   journal CPU us/record  bare\n");
    for (size_t b = 0; b < sizeof batches / sizeof *batches; b++) {
        double rate[MAX_ROUNDS], cpu[MAX_ROUNDS], bare_rate[MAX_ROUNDS], bare_cpu[MAX_ROUNDS], ratio[MAX_ROUNDS];
        unsigned n = batches[b] >= 64 ? 100 : 200;
        for (unsigned k = 0; k < rounds; k++) {
            struct run ours = run_journal(j, e, batches[b], n);
            struct run bare = run_bare(fd, &offset, bytes, frame, batches[b], n);
            rate[k] = ours.rate, cpu[k] = ours.cpu_us, bare_rate[k] = bare.rate, bare_cpu[k] = bare.cpu_us;
            ratio[k] = ours.rate / bare.rate;
            if (wm_journal_set_cursor(j, "bench", last_seq) != WM_OK)
                give_up("cursor");
        }
        printf("%5u   %17.0f  %14.0f  %5.2f   %21.2f  %4.2f\n", batches[b], median(rate, rounds),
               median(bare_rate, rounds), median(ratio, rounds), median(cpu, rounds), median(bare_cpu, rounds));
    }

    double append[MAX_ROUNDS], copy[MAX_ROUNDS];
    for (unsigned k = 0; k < rounds; k++) {
        double t = now_s(CLOCK_THREAD_CPUTIME_ID);
        for (unsigned i = 0; i < 2000; i++) {
            wm_journal_await_room(j);
            if (wm_journal_append(j, e, &last_seq, NULL) != WM_OK)
                give_up("append failed");
        }
        append[k] = (now_s(CLOCK_THREAD_CPUTIME_ID) - t) / 2000 * 1e9;
        if (wm_journal_commit(j, last_seq, NULL) != WM_OK || wm_journal_set_cursor(j, "bench", last_seq) != WM_OK)
            give_up("commit failed");
        t = now_s(CLOCK_THREAD_CPUTIME_ID);
        for (unsigned i = 0; i < 2000; i++) {
            memcpy(bytes + i % 256 * frame, e->record.ptr, e->record.len);
            __asm__ volatile("" : : "r"(bytes) : "memory");
        }
        copy[k] = (now_s(CLOCK_THREAD_CPUTIME_ID) - t) / 2000 * 1e9;
    }
    printf("append alone: %.0f ns CPU; memcpy of its record: %.0f ns\n", median(append, rounds), median(copy, rounds));
    wm_journal_close(j);
    close(fd);
    free(bytes);
    free(zeros);
}

/* ---- replay at start ---- */

#define REPLAY_ENTRIES 250000u

/* Written by a process that is gone in the middle of its work, so that the last batch has to be mended. Every second
 * entry changes one of 799 documents. */
static void write_replayed(const char *path, const struct wm_entry *e)
{
    pid_t pid = fork();
    if (pid < 0)
        give_up("cannot fork");
    if (pid == 0) {
        struct wm_journal *j = open_journal(path);
        char id[16];
        for (unsigned i = 0; i < REPLAY_ENTRIES; i++) {
            struct wm_change change = {
                WM_LIT("mediapackage.channel"), {id, (size_t)snprintf(id, sizeof id, "camera-%u", i % 799)},
                WM_LIT("{\"description\":\"Arena camera, primary\",\"tags\":{\"cost-centre\":\"sport-17\"}}")};
            struct wm_entry with = *e;
            with.changes = &change;
            with.n_changes = i % 2;
            wm_journal_await_room(j);
            if (wm_journal_append(j, &with, &last_seq, NULL) != WM_OK ||
                (i % 256 == 255 && wm_journal_commit(j, last_seq, NULL) != WM_OK))
                give_up("append failed");
        }
        if (wm_journal_commit(j, last_seq, NULL) != WM_OK)
            give_up("commit failed");
        _exit(0);
    }
    int how;
    if (waitpid(pid, &how, 0) != pid || how != 0)
        give_up("the journal to replay was not written");
}

static void say_replayed(const char *what, double seconds, double gigabytes)
{
    double rate = gigabytes / seconds;
    printf("  %-58s %.3f s, %5.2f GB/s (must 0.5, aim 1): %s\n", what, seconds, rate,
           rate >= 1 ? "aim met" : rate >= 0.5 ? "met" : "MISSED");
}

static void bench_replay(const char *dir, const struct wm_entry *e, size_t frame)
{
    char data[1100], path[1200];
    const double gigabytes = (double)frame * REPLAY_ENTRIES / 1e9;
    snprintf(data, sizeof data, "%s/replay", dir);
    snprintf(path, sizeof path, "%s/journal", data);
    write_replayed(path, e);
    printf("replay at start of %.0f MB, %u entries\n", gigabytes * 1e3, REPLAY_ENTRIES);

    double t = now_s(CLOCK_MONOTONIC);
    struct wm_journal *j = open_journal(path);
    say_replayed("check after a kill, last batch written once more", now_s(CLOCK_MONOTONIC) - t, gigabytes);
    wm_journal_close(j);
    t = now_s(CLOCK_MONOTONIC);
    j = open_journal(path);
    say_replayed("check after an orderly stop", now_s(CLOCK_MONOTONIC) - t, gigabytes);

    struct wm_journal_reader *r = NULL;
    struct wm_entry got;
    t = now_s(CLOCK_MONOTONIC);
    if (wm_journal_reader_open(j, 0, &r, NULL) != WM_OK)
        give_up("cannot read");
    while (wm_journal_reader_next(r, &got, NULL) == WM_OK) {
    }
    say_replayed("read by a follower", now_s(CLOCK_MONOTONIC) - t, gigabytes);
    wm_journal_reader_close(r);
    wm_journal_close(j);

    const struct wm_recorder_options o = {
        .data_dir = data, .io = &wm_io_posix, .clock = &wm_clock_system, .segment_bytes = SEGMENT_BYTES};
    struct wm_recorder *recorder;
    struct wm_err err = {0};
    t = now_s(CLOCK_MONOTONIC);
    if (wm_recorder_open(&o, &recorder, &err) != WM_OK)
        give_up(err.message);
    say_replayed("recorder started: check, state in memory and its copy", now_s(CLOCK_MONOTONIC) - t, gigabytes);
    wm_recorder_close(recorder);
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    printf("  peak memory %ld MiB\n", use.ru_maxrss / 1024);
}

int main(int argc, char **argv)
{
    uint64_t rounds = 7;
    char dir[1024], record[4096];
    if (argc > 2 && (wm_view_to_u64(wm_view_of(argv[2]), MAX_ROUNDS, &rounds) != WM_OK || rounds == 0))
        give_up("rounds: 1 to 101");
    snprintf(dir, sizeof dir, "%s/bench-journal-XXXXXX", argc > 1 ? argv[1] : ".");
    if (!mkdtemp(dir))
        give_up("cannot make a folder");
    wm_log_set_level(WM_LOG_ERROR);
    wm_arena_init(&arena, WM_MAX_ARENA_BYTES);
    size_t len = bench_record((unsigned)rounds, record);
    struct wm_entry e = {
        .time = {1772359632000000000},
        .event_source = WM_LIT("mediapackage.amazonaws.com"),
        .event_name = WM_LIT("CreateChannel"),
        .principal = WM_LIT("arn:aws:iam::111122223333:root"),
        .record = {record, len},
    };
    size_t frame = (64 + e.event_source.len + e.event_name.len + e.principal.len + len + 7) & ~(size_t)7;
    bench_commit(dir, &e, frame, (unsigned)rounds);
    bench_replay(dir, &e, frame);
    wm_arena_done(&arena);
    folder_remove(dir);
    return 0;
}
