/*
 * Power cuts, by seed. A journal lives on a disk in memory (tests/support/sim_disk.h) that knows what was synced. Each
 * life ends at some operation: the process is killed, or one sync fails, or the power is cut, and then any of the states
 * that the disk may be in is made. The next life opens what is left. After each opening:
 *
 *   - it opens: no crash is damage;
 *   - each entry that was acknowledged, or that a follower could once read, is there, under its number, with its bytes;
 *   - none is there that was not appended; numbers have no gaps; none is missing that a follower still needs;
 *   - state is the fold: the copy of the state, which stood at any entry that was durable, and the changes of the entries
 *     behind it together give what all entries give;
 *   - recovering the same bytes twice, and recovering again after a cut during or after recovery, gives the same;
 *   - `wm_journal_inspect()` saw no damage before, and the same last entry.
 *
 *     power_cut [SEEDS [FIRST_SEED]]
 *
 * Odd seeds are reproducible: the appending thread waits until the preparer has nothing to do. Even seeds let the two
 * race. What a failed seed left is written into the folder POWER_CUT_KEEP, if that is set.
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "recorder/journal_int.h"
#include "tests/support/sim_disk.h"
#include "waymark/journal_inspect.h"
#include "waymark/log.h"

#include "waymark/banned.h"

#define SMALL (64u * 1024u)
#define MAX_ENTRIES 4096u
#define SLOTS 16u
#define RECORD_BYTES 60000u

struct world {
    uint64_t seed;
    uint64_t random;
    struct sim_disk *disk;
    unsigned life;
    unsigned life_of[MAX_ENTRIES]; /* by seq: in which life it was appended last; content follows from both */
    uint64_t appended;             /* highest number ever given in this life, or recovered */
    uint64_t safe;                 /* acknowledged, or seen after a recovery */
    uint64_t trail;                /* a follower without a copy of its own */
    uint64_t state;                /* the copy of the state: applied up to here, durably */
    unsigned copy[SLOTS];          /* what it holds: the entry that wrote the document, 0: none */
    uint64_t oldest_needed;        /* lowest cursor ever told to the journal */
    bool full;                     /* the disk takes no new file in this life */
    const char *doing;
};

static struct world w;
static uint64_t total_lives, total_acknowledged, total_recovered, total_cut, total_sync_failures, total_paused;

static _Noreturn void fail(const char *file, int line, const char *cond)
{
    const char *keep = getenv("POWER_CUT_KEEP");
    fprintf(stderr, "power_cut: seed %llu, life %u, %s: %s:%d: %s\n", (unsigned long long)w.seed, w.life, w.doing, file,
            line, cond);
    if (keep)
        sim_disk_save(w.disk, "/j", keep);
    exit(1);
}

#define CHECK(cond) ((cond) ? (void)0 : fail(__FILE__, __LINE__, #cond))

static uint32_t draw(uint32_t below)
{
    w.random ^= w.random << 13;
    w.random ^= w.random >> 7;
    w.random ^= w.random << 17;
    return (uint32_t)(w.random >> 32) % below;
}

/* ---- what entry seq of a life looks like ---- */

struct payload {
    struct wm_entry e;
    struct wm_change changes[2];
    unsigned slot[2];
    bool removes[2];
    char id[2][16];
    char document[64];
    char record[RECORD_BYTES + 128];
};

static void make_payload(struct payload *p, uint64_t seq, unsigned life)
{
    uint64_t mix = (seq * 0x9e3779b97f4a7c15u) ^ (life * 0xc2b2ae3d27d4eb4fu) ^ (w.seed * 0x165667b19e3779f9u);
    mix ^= mix >> 29;
    mix *= 0xbf58476d1ce4e5b9u;
    mix ^= mix >> 32;
    unsigned pad = mix % 41 == 0 ? (unsigned)(mix >> 8) % RECORD_BYTES : mix % 7 == 0 ? (unsigned)(mix >> 8) % 9000
                                                                                 : (unsigned)(mix >> 8) % 1500;
    int len = snprintf(p->record, 128, "{\"seq\":%llu,\"life\":%u,\"pad\":\"", (unsigned long long)seq, life);
    memset(p->record + len, 'a' + (int)(mix % 26), pad);
    memcpy(p->record + len + pad, "\"}", 2);
    snprintf(p->document, sizeof p->document, "{\"by\":%llu,\"life\":%u}", (unsigned long long)seq, life);
    size_t n = (size_t)(mix >> 40) % 3;
    for (size_t i = 0; i < n; i++) {
        p->slot[i] = (unsigned)(mix >> (20 + 8 * i)) % SLOTS;
        p->removes[i] = (mix >> (50 + i)) % 4 == 0;
        snprintf(p->id[i], sizeof p->id[i], "slot-%u", p->slot[i]);
        p->changes[i] = (struct wm_change){WM_LIT("cut.doc"), wm_view_of(p->id[i]),
                                           p->removes[i] ? WM_EMPTY : wm_view_of(p->document)};
    }
    p->e = (struct wm_entry){
        .time = {1700000000000000000 + (int64_t)(mix >> 8)}, /* not in order: nothing may rely on it */
        .flags = (uint16_t)(mix % 8), /* half of them may use what is kept for the service */
        .event_source = WM_LIT("cut.amazonaws.com"),
        .event_name = WM_LIT("Cut"),
        .record = {p->record, (size_t)len + pad + 2},
        .changes = p->changes,
        .n_changes = n,
    };
}

static void fold(unsigned slots[SLOTS], const struct payload *p, uint64_t seq)
{
    for (size_t i = 0; i < p->e.n_changes; i++)
        slots[p->slot[i]] = p->removes[i] ? 0 : (unsigned)seq;
}

static void check_entry(const struct wm_entry *got, uint64_t seq)
{
    static struct payload p;
    CHECK(got->seq == seq && seq < MAX_ENTRIES);
    make_payload(&p, seq, w.life_of[seq]);
    CHECK(got->time.ns == p.e.time.ns && got->flags == p.e.flags);
    CHECK(wm_view_eq(got->event_source, p.e.event_source) && wm_view_eq(got->event_name, p.e.event_name));
    CHECK(wm_view_eq(got->record, p.e.record));
    CHECK(got->n_changes == p.e.n_changes);
    for (size_t i = 0; i < got->n_changes; i++) {
        CHECK(wm_view_eq(got->changes[i].kind, p.changes[i].kind) && wm_view_eq(got->changes[i].id, p.changes[i].id));
        CHECK(wm_view_eq(got->changes[i].document, p.changes[i].document));
    }
}

/* ---- opening ---- */

static enum wm_status open_journal(struct sim_disk *disk, uint64_t segment_bytes, struct wm_journal **out,
                                   struct wm_journal_recovery *rec, struct wm_err *err)
{
    const struct wm_journal_options o = {
        .dir = "/j",
        .io = sim_disk_io(disk),
        .clock = &wm_clock_system,
        .segment_bytes = segment_bytes,
        .max_bytes = 4 * SMALL,
        .ballast_bytes = SMALL / 4,
    };
    return wm_journal_open(&o, out, rec, err);
}

static void print_finding(void *arg, const struct wm_journal_finding *f)
{
    (void)arg;
    if (f->damage)
        fprintf(stderr, "power_cut: %s: offset %llu: entry %llu: %s\n", f->name, (unsigned long long)f->offset,
                (unsigned long long)f->seq, f->what);
}

static bool note_damage(struct sim_disk *disk, uint64_t *out_last)
{
    struct wm_journal_summary sum = {0};
    const struct wm_journal_inspection o = {.dir = "/j", .io = sim_disk_io(disk), .finding = print_finding};
    enum wm_status status = wm_journal_inspect(&o, &sum, NULL);
    CHECK(status == WM_OK || status == WM_E_NOT_FOUND); /* nothing was ever made durable */
    *out_last = sum.last_seq;
    return sum.damages != 0;
}

/* Everything that can be read, against what was appended; the state against the fold. */
static void check_content(struct wm_journal *j, const struct wm_journal_recovery *rec)
{
    static struct payload p;
    struct wm_journal_reader *r = NULL;
    struct wm_entry e;
    unsigned whole[SLOTS] = {0}, folded[SLOTS];
    memcpy(folded, w.copy, sizeof folded);
    CHECK(rec->first_seq <= w.oldest_needed + 1);
    CHECK(rec->first_seq <= rec->next_seq);
    CHECK(wm_journal_durable(j) == rec->next_seq - 1);
    CHECK(wm_journal_reader_open(j, rec->first_seq - 1, &r, NULL) == WM_OK);
    for (uint64_t seq = rec->first_seq; seq < rec->next_seq; seq++) {
        CHECK(wm_journal_reader_next(r, &e, NULL) == WM_OK);
        check_entry(&e, seq);
        if (seq <= w.state)
            continue;
        for (size_t i = 0; i < e.n_changes; i++) {
            struct wm_view id = e.changes[i].id;
            uint64_t slot;
            CHECK(wm_view_to_u64(wm_view_sub(id, strlen("slot-"), id.len), SLOTS - 1, &slot) == WM_OK);
            folded[slot] = e.changes[i].document.len ? (unsigned)seq : 0;
        }
    }
    CHECK(wm_journal_reader_next(r, &e, NULL) == WM_E_END);
    wm_journal_reader_close(r);
    for (uint64_t seq = 1; seq < rec->next_seq; seq++) {
        make_payload(&p, seq, w.life_of[seq]);
        fold(whole, &p, seq);
    }
    CHECK(memcmp(whole, folded, sizeof whole) == 0);
}

/* The same bytes, opened elsewhere, must give the same end. */
static uint64_t recover_a_copy(uint64_t segment_bytes)
{
    struct sim_disk *copy = sim_disk_clone(w.disk, w.seed + w.life);
    struct wm_journal *j = NULL;
    struct wm_journal_recovery rec;
    CHECK(open_journal(copy, segment_bytes, &j, &rec, NULL) == WM_OK);
    wm_journal_close(j);
    sim_disk_free(copy);
    return rec.next_seq;
}

/* Wait until the preparer has nothing to do. */
static void settle(struct wm_journal *j)
{
    if (w.seed % 2 == 0)
        return;
    for (bool idle = false; !idle; sched_yield()) {
        wm_mutex_lock(&j->mu);
        idle = atomic_load(&j->failed) || sim_disk_dead(w.disk) || sim_disk_sync_failed(w.disk) ||
               (!wm_journal_retirable_locked(j) &&
                (j->next ? w.full || atomic_load(&j->ballast) : j->prepare_state == PREPARE_REFUSED));
        wm_mutex_unlock(&j->mu);
    }
}

/* ---- a life ---- */

static enum wm_status append_batch(struct wm_journal *j)
{
    static struct payload p;
    uint64_t n = 1 + draw(draw(4) == 0 ? 12 : 3), seq = 0;
    enum wm_status status = WM_OK;
    for (uint64_t i = 0; i < n && status == WM_OK && w.appended + 1 < MAX_ENTRIES; i++) {
        make_payload(&p, w.appended + 1, w.life);
        wm_journal_await_room(j);
        status = wm_journal_append(j, &p.e, &seq, NULL);
        settle(j);
        if (status != WM_OK)
            break;
        CHECK(seq == w.appended + 1);
        w.appended = seq;
        w.life_of[seq] = w.life;
    }
    if (seq == 0)
        return status;
    enum wm_status committed = wm_journal_commit(j, seq, NULL);
    CHECK(committed == WM_OK || committed == WM_E_FAILED);
    if (committed != WM_OK)
        return committed;
    total_acknowledged += seq - w.safe;
    w.safe = seq;
    settle(j);
    return status;
}

/* Nothing is kept for a trail that was given up, until it has what is left. */
static void note_needed(struct wm_journal *j)
{
    struct wm_journal_follower f;
    CHECK(wm_journal_find_follower(j, "trail", &f));
    w.oldest_needed = w.state < w.trail || f.paused ? w.state : w.trail;
}

static void tell_cursors(struct wm_journal *j)
{
    w.oldest_needed = w.state < w.trail ? w.state : w.trail;
    CHECK(wm_journal_set_cursor(j, "state", w.state) == WM_OK);
    CHECK(wm_journal_set_cursor(j, "trail", w.trail) == WM_OK);
    wm_journal_allow_pause(j, "trail");
    note_needed(j);
    settle(j);
}

/* It is full: go on without the trail, if that helps. */
static void make_room(struct wm_journal *j)
{
    struct wm_journal_notice n;
    while (wm_journal_notice(j, &n)) {
        CHECK(strcmp(n.follower, "trail") == 0 && (!n.pause || n.first_seq == w.trail + 1));
        total_paused += n.pause;
        w.oldest_needed = w.state;
        wm_journal_noticed(j, &n);
        note_needed(j);
    }
    settle(j);
}

/* Followers read, keep what they have seen, and say so. */
static enum wm_status follow(struct wm_journal *j)
{
    struct wm_journal_reader *r = NULL;
    static struct payload p;
    struct wm_entry e;
    uint64_t upto = w.state + draw((uint32_t)(wm_journal_durable(j) - w.state) + 1);
    enum wm_status status = wm_journal_reader_open(j, w.state, &r, NULL);
    while (status == WM_OK && w.state < upto && (status = wm_journal_reader_next(r, &e, NULL)) == WM_OK) {
        check_entry(&e, w.state + 1);
        make_payload(&p, e.seq, w.life_of[e.seq]);
        fold(w.copy, &p, e.seq);
        w.state = e.seq;
    }
    wm_journal_reader_close(r);
    if (status != WM_OK) {
        CHECK(status == WM_E_IO && sim_disk_dead(w.disk));
        return status;
    }
    struct wm_journal_stats s;
    wm_journal_stats(j, &s);
    if (w.trail + 1 < s.first_seq && draw(2) == 0)
        w.trail = s.first_seq - 1; /* what was retired without it is lost to it */
    else if (w.trail + 1 >= s.first_seq && draw(2) == 0)
        w.trail += draw((uint32_t)(wm_journal_durable(j) - w.trail) + 1);
    tell_cursors(j);
    return WM_OK;
}

/* @param steps  of appending and following; 0: recover only */
static void live(unsigned steps)
{
    struct wm_journal *j = NULL;
    struct wm_journal_recovery rec;
    struct wm_err err = {0};
    uint64_t segment_bytes = draw(8) == 0 ? 2 * SMALL : SMALL, seen_last, copy_next = 0;
    w.life++;
    total_lives++;
    w.full = draw(6) == 0; /* there is what there is, and nothing new */
    sim_disk_say_free(w.disk, w.full ? draw(SMALL) : UINT64_MAX);
    w.doing = "looking at what is left";
    CHECK(!note_damage(w.disk, &seen_last));
    if (draw(4) == 0)
        copy_next = recover_a_copy(segment_bytes);
    sim_disk_die_at(w.disk, draw(5) == 0 ? 0 : 1 + draw(steps ? 40 + 6 * steps : 30));
    if (draw(6) == 0)
        sim_disk_fail_sync_at(w.disk, 1 + draw(30 + 4 * steps));

    w.doing = "opening";
    enum wm_status status = open_journal(w.disk, segment_bytes, &j, &rec, &err);
    if (status != WM_OK) {
        if (!sim_disk_dead(w.disk) && !sim_disk_sync_failed(w.disk) && !w.full)
            fprintf(stderr, "power_cut: %s\n", err.message);
        CHECK(sim_disk_dead(w.disk) || sim_disk_sync_failed(w.disk) || (w.full && status == WM_E_FULL));
        CHECK(status == WM_E_IO || status == WM_E_FULL);
        return;
    }
    w.doing = "checking what was recovered";
    CHECK(rec.next_seq > w.safe);
    CHECK(rec.next_seq <= w.appended + 1);
    CHECK(rec.next_seq - 1 == seen_last || (seen_last == 0 && rec.next_seq == rec.first_seq));
    CHECK(copy_next == 0 || copy_next == rec.next_seq);
    total_recovered += rec.next_seq - 1 - w.safe;
    total_cut += w.appended - (rec.next_seq - 1);
    w.safe = w.appended = rec.next_seq - 1; /* followers may read it now */
    settle(j);
    sim_disk_die_at(w.disk, 0); /* what can be read is read whole */
    if (!sim_disk_dead(w.disk))
        check_content(j, &rec);
    sim_disk_die_at(w.disk, draw(5) == 0 ? 0 : 1 + draw(10 + 6 * steps));
    w.doing = "going on";
    tell_cursors(j);
    status = WM_OK;
    for (unsigned i = 0; i < steps && status == WM_OK; i++) {
        status = draw(3) == 0 ? follow(j) : append_batch(j);
        if (status == WM_E_FULL) {
            make_room(j);
            status = follow(j);
        }
    }
    if (status == WM_OK && draw(4) == 0)
        (void)append_batch(j);
    total_sync_failures += sim_disk_sync_failed(w.disk);
    w.doing = "closing";
    wm_journal_close(j);
}

static void one_seed(uint64_t seed)
{
    memset(&w, 0, sizeof w);
    w.seed = seed;
    w.random = seed * 0x2545f4914f6cdd1du + 0x9e3779b97f4a7c15u;
    w.disk = sim_disk_new(seed);
    w.doing = "starting";
    unsigned lives = 3 + draw(4);
    for (unsigned i = 0; i < lives; i++) {
        live(draw(4) == 0 ? 0 : 1 + draw(60));
        if (draw(4) == 0)
            sim_disk_restart(w.disk); /* only the process is gone */
        else
            sim_disk_power_cut(w.disk);
    }
    sim_disk_say_free(w.disk, UINT64_MAX); /* at last, undisturbed */
    struct wm_journal *j = NULL;
    struct wm_journal_recovery rec;
    struct wm_err err = {0};
    w.doing = "opening at last";
    if (open_journal(w.disk, SMALL, &j, &rec, &err) != WM_OK)
        fprintf(stderr, "power_cut: %s\n", err.message);
    CHECK(j != NULL);
    CHECK(rec.next_seq > w.safe && rec.next_seq <= w.appended + 1);
    check_content(j, &rec);
    wm_journal_close(j);
    sim_disk_free(w.disk);
}

int main(int argc, char **argv)
{
    uint64_t seeds = 2000, first = 1;
    if ((argc > 1 && wm_view_to_u64(wm_view_of(argv[1]), UINT64_MAX, &seeds) != WM_OK) ||
        (argc > 2 && wm_view_to_u64(wm_view_of(argv[2]), UINT64_MAX, &first) != WM_OK)) {
        fprintf(stderr, "usage: power_cut [SEEDS [FIRST_SEED]]\n");
        return 2;
    }
    wm_log_set_level(WM_LOG_ERROR);
    printf("power_cut: seeds %llu to %llu\n", (unsigned long long)first, (unsigned long long)(first + seeds - 1));
    fflush(stdout);
    for (uint64_t i = 0; i < seeds; i++)
        one_seed(first + i);
    printf("power_cut: %llu lives, %llu entries acknowledged, %llu more recovered, %llu cut, %llu failed syncs, "
           "%llu pauses\n",
           (unsigned long long)total_lives, (unsigned long long)total_acknowledged, (unsigned long long)total_recovered,
           (unsigned long long)total_cut, (unsigned long long)total_sync_failures, (unsigned long long)total_paused);
    return 0;
}
