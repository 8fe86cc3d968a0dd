/*
 * kill -9 at random moments. A child process records from several threads and reports, through a pipe, each entry that
 * was acknowledged; the parent kills it, opens what is left and checks:
 *
 *   - each acknowledged entry is there, under the number that was told, with the bytes that were written;
 *   - numbers have no gaps; no entry comes twice; none was never appended;
 *   - the state is the fold of the changes of all entries.
 *
 * Rounds follow each other in one folder, so segments fill, retire and are reused, and recovery itself is killed too.
 *
 *     crash_journal [ROUNDS [SEED]]
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/folder.h"
#include "waymark/log.h"
#include "waymark/recorder.h"

#include "waymark/banned.h"

#define THREADS 4u
#define SLOTS 40u /* documents per thread */
#define SEGMENT_BYTES (256u * 1024u)
#define MAX_PER_ROUND 100000u

#define CHECK(cond, ...)                                                          \
    do {                                                                          \
        if (!(cond)) {                                                            \
            fprintf(stderr, "crash_journal: %s:%d: %s: ", __FILE__, __LINE__, #cond); \
            fprintf(stderr, __VA_ARGS__);                                         \
            fprintf(stderr, "\n");                                                \
            exit(1);                                                              \
        }                                                                         \
    } while (0)

static char dir[FOLDER_BYTES];

/* ---- what entry n of a thread in a round looks like ---- */

struct payload {
    char record[2100];
    size_t record_len;
    char id[32];
    char document[64];
    bool has_change, removes;
};

static void make_payload(struct payload *p, unsigned round, unsigned thread, unsigned n)
{
    unsigned mix = (round * 31 + thread) * 2654435761u + n * 40503u;
    int len = snprintf(p->record, sizeof p->record, "{\"round\":%u,\"thread\":%u,\"n\":%u,\"pad\":\"", round, thread, n);
    for (unsigned i = 0; i < mix % 1800; i++)
        p->record[len++] = (char)('a' + (i + n) % 26);
    p->record[len++] = '"';
    p->record[len++] = '}';
    p->record_len = (size_t)len;
    p->has_change = n % 3 != 0;
    p->removes = n % 7 == 0;
    snprintf(p->id, sizeof p->id, "%u-%02u", thread, n % SLOTS);
    snprintf(p->document, sizeof p->document, "{\"round\":%u,\"n\":%u}", round, n);
}

static struct wm_change payload_change(const struct payload *p)
{
    return (struct wm_change){WM_LIT("crash.doc"), wm_view_of(p->id), p->removes ? WM_EMPTY : wm_view_of(p->document)};
}

/* ---- the child ---- */

struct report {
    uint64_t seq;
    uint32_t thread;
    uint32_t n;
};

struct worker {
    struct wm_recorder *recorder;
    unsigned round, thread;
    int pipe;
};

static void *work(void *arg)
{
    struct worker *w = arg;
    struct report done[8];
    struct payload p;
    for (unsigned n = 1; n < MAX_PER_ROUND;) {
        unsigned batch = w->thread == 0 ? 8 : w->thread == 1 ? 3 : 1; /* an http loop appends many, then commits once */
        for (unsigned i = 0; i < batch; i++, n++) {
            make_payload(&p, w->round, w->thread, n);
            struct wm_change c = payload_change(&p);
            struct wm_entry e = {
                .record = {p.record, p.record_len},
                .changes = &c,
                .n_changes = p.has_change,
            };
            wm_journal_await_room(w->recorder->journal);
            wm_state_lock(w->recorder->state);
            enum wm_status status = wm_recorder_submit(w->recorder, &e, &done[i].seq, NULL);
            wm_state_unlock(w->recorder->state);
            CHECK(status == WM_OK, "submit: %s", wm_status_name(status));
            done[i].thread = w->thread;
            done[i].n = n;
        }
        CHECK(wm_recorder_commit(w->recorder, done[batch - 1].seq, NULL) == WM_OK, "commit");
        ssize_t len = (ssize_t)(batch * sizeof *done); /* below PIPE_BUF: written in one piece */
        CHECK(write(w->pipe, done, (size_t)len) == len, "report: errno %d", errno);
    }
    return NULL;
}

static struct wm_recorder *must_open(void)
{
    struct wm_recorder_options o = {
        .data_dir = dir,
        .io = &wm_io_posix,
        .clock = &wm_clock_system,
        .segment_bytes = SEGMENT_BYTES,
    };
    struct wm_recorder *r = NULL;
    struct wm_err err = {0};
    enum wm_status status = wm_recorder_open(&o, &r, &err);
    CHECK(status == WM_OK, "open: %s", err.message);
    return r;
}

static _Noreturn void child(unsigned round, uint64_t checked_seq, int pipe)
{
    static struct worker workers[THREADS];
    pthread_t thread;
    struct wm_recorder *r = must_open();
    CHECK(wm_journal_set_cursor(r->journal, "checker", checked_seq) == WM_OK, "cursor");
    for (unsigned t = 0; t < THREADS; t++) {
        workers[t] = (struct worker){r, round, t, pipe};
        CHECK(wm_thread_start(&thread, "worker", work, &workers[t], NULL) == WM_OK, "thread");
    }
    for (;;)
        pause(); /* the parent ends this */
}

/* ---- the parent ---- */

static uint64_t random_state;

static unsigned random_below(unsigned n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (unsigned)(random_state >> 33) % n;
}

static uint64_t acked_seq[THREADS][MAX_PER_ROUND]; /* by n; 0: not acknowledged */
static unsigned acked[THREADS];                    /* highest n */
static struct payload fold[THREADS][SLOTS];        /* the document that each id must have; none where id is "" */
static uint64_t checked_seq;                       /* every entry up to here has been checked and folded */
static uint64_t total_acked, total_cut_or_more;

static void note_reports(const struct report *reports, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct report *r = &reports[i];
        CHECK(r->thread < THREADS && r->n < MAX_PER_ROUND && r->n == acked[r->thread] + 1, "report out of order");
        CHECK(r->seq > checked_seq, "number %llu was given twice", (unsigned long long)r->seq);
        acked[r->thread] = r->n;
        acked_seq[r->thread][r->n] = r->seq;
        total_acked++;
    }
}

static void drain(int fd, int timeout_ms)
{
    static struct report reports[2048];
    static size_t have; /* bytes */
    struct timespec start, now;
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (;;) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        int left = timeout_ms - (int)((now.tv_sec - start.tv_sec) * 1000 + (now.tv_nsec - start.tv_nsec) / 1000000);
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (timeout_ms >= 0 && (left <= 0 || poll(&p, 1, left) == 0))
            return;
        ssize_t n = read(fd, (char *)reports + have, sizeof reports - have);
        if (n <= 0) {
            have = 0; /* the end; a report is never cut, it is written in one piece */
            return;
        }
        have += (size_t)n;
        size_t whole = have / sizeof *reports;
        note_reports(reports, whole);
        have -= whole * sizeof *reports;
        memmove(reports, reports + whole, have);
    }
}

static void fold_entry(const struct payload *p, unsigned thread, unsigned n)
{
    struct payload *slot = &fold[thread][n % SLOTS];
    if (!p->has_change)
        return;
    *slot = *p;
    if (p->removes)
        slot->id[0] = '\0';
}

struct state_check {
    size_t n;
};

static bool check_document(void *arg, struct wm_view id, struct wm_view document)
{
    struct state_check *c = arg;
    unsigned thread = 0, slot = 0;
    char text[32];
    CHECK(wm_view_copy(id, text, sizeof text) && sscanf(text, "%u-%u", &thread, &slot) == 2 && thread < THREADS &&
              slot < SLOTS, "id %s", text);
    CHECK(wm_view_eq_str(id, fold[thread][slot].id), "document %s should not be there", text);
    CHECK(wm_view_eq_str(document, fold[thread][slot].document), "document %s is %.*s, not %s", text, WM_ARG(document),
          fold[thread][slot].document);
    c->n++;
    return true;
}

static void check_state(struct wm_recorder *r)
{
    struct state_check c = {0};
    size_t want = 0;
    for (unsigned t = 0; t < THREADS; t++)
        for (unsigned s = 0; s < SLOTS; s++)
            want += fold[t][s].id[0] != '\0';
    wm_state_lock(r->state);
    wm_state_each(r->state, WM_LIT("crash.doc"), WM_EMPTY, check_document, &c);
    wm_state_unlock(r->state);
    CHECK(c.n == want, "%zu documents, not %zu", c.n, want);
}

static void check_round(unsigned round)
{
    struct wm_recorder *r = must_open();
    struct wm_journal_reader *reader = NULL;
    struct wm_entry e;
    struct wm_err err = {0};
    enum wm_status status;
    unsigned found[THREADS] = {0};
    CHECK(wm_journal_reader_open(r->journal, checked_seq, &reader, &err) == WM_OK, "%s", err.message);
    while ((status = wm_journal_reader_next(reader, &e, &err)) == WM_OK) {
        unsigned in_round, thread, n;
        struct payload p;
        char head[64];
        CHECK(e.seq == checked_seq + 1, "entry %llu follows %llu", (unsigned long long)e.seq,
              (unsigned long long)checked_seq);
        CHECK(wm_view_copy(wm_view_sub(e.record, 0, 60), head, sizeof head) &&
                  sscanf(head, "{\"round\":%u,\"thread\":%u,\"n\":%u,", &in_round, &thread, &n) == 3, "record %s", head);
        CHECK(in_round == round && thread < THREADS, "entry %llu is of round %u", (unsigned long long)e.seq, in_round);
        CHECK(n == found[thread] + 1, "thread %u: %u follows %u", thread, n, found[thread]);
        make_payload(&p, round, thread, n);
        struct wm_change c = payload_change(&p);
        CHECK(wm_view_eq(e.record, (struct wm_view){p.record, p.record_len}), "entry %llu has other bytes",
              (unsigned long long)e.seq);
        CHECK(e.n_changes == p.has_change && (!p.has_change || (wm_view_eq(e.changes[0].id, c.id) &&
              wm_view_eq(e.changes[0].document, c.document))), "entry %llu has other changes", (unsigned long long)e.seq);
        CHECK(n > acked[thread] || acked_seq[thread][n] == e.seq, "entry %llu was acknowledged as %llu",
              (unsigned long long)e.seq, (unsigned long long)acked_seq[thread][n]);
        fold_entry(&p, thread, n);
        found[thread] = n;
        checked_seq = e.seq;
    }
    CHECK(status == WM_E_END, "%s", err.message);
    for (unsigned t = 0; t < THREADS; t++) {
        CHECK(found[t] >= acked[t], "thread %u: acknowledged up to %u, recovered up to %u", t, acked[t], found[t]);
        CHECK(found[t] <= acked[t] + 16, "thread %u: %u entries were never appended", t, found[t] - acked[t]);
        total_cut_or_more += found[t] - acked[t];
    }
    wm_journal_reader_close(reader);
    check_state(r);
    wm_recorder_close(r);
}

int main(int argc, char **argv)
{
    uint64_t rounds = 30, seed = 0;
    if (argc > 1 && wm_view_to_u64(wm_view_of(argv[1]), 1000000, &rounds) != WM_OK)
        return 2;
    if (argc > 2 && wm_view_to_u64(wm_view_of(argv[2]), UINT64_MAX, &seed) != WM_OK)
        return 2;
    if (seed == 0)
        seed = (uint64_t)wm_clock_wall(&wm_clock_system).ns;
    random_state = seed | 1;
    printf("crash_journal: %llu rounds, seed %llu\n", (unsigned long long)rounds, (unsigned long long)seed);
    fflush(stdout);
    wm_log_set_level(WM_LOG_ERROR);
    folder_make(dir);
    for (unsigned round = 0; round < rounds; round++) {
        int fds[2];
        memset(acked, 0, sizeof acked);
        CHECK(pipe(fds) == 0, "pipe");
        pid_t pid = fork();
        CHECK(pid >= 0, "fork");
        if (pid == 0) {
            close(fds[0]);
            child(round, checked_seq, fds[1]);
        }
        close(fds[1]);
        drain(fds[0], (int)(1 + random_below(round % 4 == 0 ? 12 : 150))); /* often while it still opens */
        CHECK(kill(pid, SIGKILL) == 0, "kill");
        drain(fds[0], -1);
        close(fds[0]);
        int status;
        CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
              "the child ended by itself with %x", (unsigned)status);
        check_round(round);
    }
    printf("crash_journal: %llu entries acknowledged, all recovered once; %llu more were durable but not yet told\n",
           (unsigned long long)total_acked, (unsigned long long)total_cut_or_more);
    folder_remove(dir);
    return 0;
}
