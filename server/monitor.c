#include "server/monitor.h"

#include <stdio.h>

#include "waymark/bounds.h"

#include "waymark/banned.h"

#define STATUS_PATH "/_waymark/status"
#define STATUS_SIGNING_NAME "waymark"

static const char *const phases[] = {
    [WM_PHASE_STARTING] = "starting",
    [WM_PHASE_SERVING] = "serving",
    [WM_PHASE_STOPPING] = "stopping",
};

static const struct wm_protocol plain = {.name = "plain", .content_type = "text/plain; charset=utf-8"};
static const struct wm_protocol document = {.name = "document", .content_type = "application/json"};

bool wm_monitor_concerns(const struct wm_request *r)
{
    return wm_view_eq_str(r->path, "/livez") || wm_view_eq_str(r->path, "/readyz") ||
           wm_view_eq_str(r->path, STATUS_PATH);
}

/* ---- health ---- */

/* In words for anybody: no path, no cause. Those are in the log and in the status. */
static const char *not_alive(const struct wm_monitor *m)
{
    if (m->failed || (m->dispatcher && wm_journal_failed(m->dispatcher->recorder->journal, NULL)))
        return "recording has failed; the process is about to end";
    return NULL;
}

static const char *not_ready(const struct wm_monitor *m)
{
    const char *dead = not_alive(m);
    if (dead)
        return dead;
    if (m->phase != WM_PHASE_SERVING)
        return phases[m->phase];
    return wm_journal_refuses(m->dispatcher->recorder->journal, NULL) ? "the journal takes no entries" : NULL;
}

struct stopped {
    struct wm_board *board;
    bool any;
};

/* A document that is none counts as well: somebody is to look. */
static bool stopped_one(void *arg, struct wm_view id, struct wm_view text)
{
    struct stopped *s = arg;
    struct wm_trail_logging l = {.stopped = true};
    struct wm_board_trail t;
    (void)!wm_trail_logging_read(text, &l, NULL);
    s->any = l.stopped && wm_board_find_trail(s->board, id, &t); /* a trail that was taken out of the settings is none */
    return !s->any;
}

/* Calls are served, so a probe is content; who reads it is told that they do not reach every trail. */
static const char *ready_remark(const struct wm_monitor *m)
{
    struct wm_recorder *recorder = m->dispatcher->recorder;
    struct stopped s = {recorder->board, false};
    wm_state_lock(recorder->state);
    wm_state_each(recorder->state, WM_LIT(WM_TRAIL_LOGGING_KIND), WM_EMPTY, stopped_one, &s);
    wm_state_unlock(recorder->state);
    return s.any ? "ok, but a trail is stopped" : "ok";
}

static void answer_health(struct wm_request *r, const char *trouble, const char *remark)
{
    r->route.protocol = &plain;
    r->status = trouble ? 503 : 200;
    wm_buf_addf(&r->out, "%s\n", trouble ? trouble : remark);
}

/* ---- the status ---- */

struct status {
    const struct wm_monitor *m;
    struct wm_arena *arena;
    struct wm_json *root;
    struct wm_json *problems; /* sentences; the first thing to look at */
    struct wm_wall_ns now;
    struct wm_state_counts counted;
    struct wm_journal_stats journal;
    uint64_t recorded;
    uint64_t folded, folded_later; /* before and after the recorder was asked of its windows */
    struct wm_fold_counts fold;
    /* the age of the oldest entry behind a cursor: several followers often stand at the same */
    uint64_t aged_cursor;
    int64_t age_s;
    bool aged;
};

static void add_problem(struct status *s, struct wm_view sentence)
{
    struct wm_json *text = wm_json_new(s->arena, WM_JSON_STRING);
    if (!text)
        return; /* the arena is exhausted, and the whole is given up */
    text->text = sentence;
    wm_json_push(s->problems, text);
}

static void set_u64(struct status *s, struct wm_json *object, const char *key, uint64_t n)
{
    wm_json_set_i64(s->arena, object, key, (int64_t)n); /* sequence numbers end at 2^63 - 1 */
}

static void set_text(struct status *s, struct wm_json *object, const char *key, const char *text)
{
    if (text[0])
        wm_json_set_string(s->arena, object, key, wm_view_of(text));
    else
        wm_json_set_null(s->arena, object, key);
}

static void set_time(struct status *s, struct wm_json *object, const char *key, struct wm_wall_ns t)
{
    if (t.ns)
        wm_json_set_time(s->arena, object, key, t.ns / WM_NS_PER_MS);
    else
        wm_json_set_null(s->arena, object, key);
}

/* In this order, so that each equation's right side cannot be ahead of its left one. */
static void read_counts(struct status *s)
{
    struct wm_recorder *recorder = s->m->dispatcher->recorder;
    wm_state_counts(recorder->state, &s->counted);
    s->recorded = atomic_load(s->m->dispatcher->recorded);
    wm_journal_stats(recorder->journal, &s->journal);
    s->folded = atomic_load(s->m->dispatcher->folded);
    s->fold = wm_recorder_fold_counts(recorder);
    s->folded_later = atomic_load(s->m->dispatcher->folded);
}

static void add_journal(struct status *s)
{
    struct wm_recorder *recorder = s->m->dispatcher->recorder;
    struct wm_json *j = wm_json_set_object(s->arena, s->root, "journal");
    struct wm_err why = {0};
    const char *state = "ok";
    if (wm_journal_failed(recorder->journal, &why)) {
        state = "failed";
        add_problem(s, wm_arena_printf(s->arena, "the journal has failed, only a restart helps: %s", why.message));
    } else if (wm_journal_refuses(recorder->journal, &why)) {
        state = "full";
        add_problem(s, wm_arena_printf(s->arena, "the journal takes no entries, calls are refused: %s", why.message));
    }
    if (s->m->failed && !why.message[0])
        add_problem(s, WM_LIT("a server loop could not start, only a restart helps"));
    set_text(s, j, "state", state);
    set_text(s, j, "reason", why.message);
    wm_json_set_bool(s->arena, j, "recording", s->m->dispatcher->record);
    if (!s->m->dispatcher->record)
        add_problem(s, WM_LIT("calls are not recorded (journal.enabled)"));
    set_u64(s, j, "firstSeq", s->journal.first_seq);
    set_u64(s, j, "durableSeq", s->journal.durable_seq);
    set_u64(s, j, "segments", s->journal.segments);
    set_u64(s, j, "bytes", s->journal.bytes);
    set_u64(s, j, "maxBytes", s->journal.max_bytes);
}

/* monitor.h: "calls" */
static bool calls_complete(const struct status *s)
{
    const struct wm_state_counts *c = &s->counted;
    uint64_t met = c->reads + c->changes + c->refused;
    if (met < s->m->calls_before || s->journal.last_seq < c->seq)
        return false;
    met -= s->m->calls_before;
    return met <= s->recorded + s->m->others && s->recorded <= met + (s->journal.last_seq - c->seq) &&
           s->m->calls.acknowledged + s->m->calls.lost <= s->recorded;
}

/* monitor.h: "folded" */
static bool folds_complete(const struct status *s)
{
    uint64_t counted = s->fold.told + s->fold.pending;
    return s->folded <= counted && counted <= s->folded_later + s->m->others;
}

struct named_count {
    const char *name;
    uint64_t n;
};

/* An object of counts, ended by one without a name, and whether its equation holds. */
static void add_counts(struct status *s, const char *name, const struct named_count *counts, bool complete,
                       const char *problem)
{
    struct wm_json *o = wm_json_set_object(s->arena, s->root, name);
    for (; counts->name; counts++)
        set_u64(s, o, counts->name, counts->n);
    wm_json_set_bool(s->arena, o, "complete", complete);
    if (!complete)
        add_problem(s, wm_view_of(problem));
}

static void add_calls_and_counted(struct status *s)
{
    const struct wm_call_counts *n = &s->m->calls;
    const struct wm_state_counts *c = &s->counted;
    const struct named_count calls[] = {
        {"received", n->received},     {"recorded", s->recorded},   {"acknowledged", n->acknowledged},
        {"refused", n->refused},       {"lost", n->lost},           {"unrecorded", n->unrecorded},
        {"folded", s->folded},         {"abandoned", n->abandoned}, {"rejected", n->rejected},
        {NULL, 0},
    };
    const struct named_count folded[] = {{"told", s->fold.told}, {"pending", s->fold.pending}, {NULL, 0}};
    const struct named_count counted[] = {
        {"seq", c->seq},         {"reads", c->reads},     {"changes", c->changes}, {"refused", c->refused},
        {"service", c->service}, {"earlier", c->earlier}, {NULL, 0},
    };
    add_counts(s, "calls", calls, calls_complete(s),
               "the calls recorded since the start are not those that the journal holds");
    add_counts(s, "folded", folded, folds_complete(s),
               "the refused calls that were folded are not as many as their windows have counted");
    add_counts(s, "counted", counted, wm_state_counts_add_up(c),
               "the entries counted are not as many as the journal's numbers say");
}

/* How old is the oldest entry behind the cursor? The journal knows; a walk through one segment at most. */
static int64_t lag_s(struct status *s, uint64_t cursor)
{
    if (cursor >= s->journal.durable_seq)
        return 0;
    if (s->aged && s->aged_cursor == cursor)
        return s->age_s;
    struct wm_journal_reader *reader = NULL;
    struct wm_entry e;
    int64_t age = -1; /* not known: the entry cannot be read, which its follower tells */
    if (wm_journal_reader_open(s->m->dispatcher->recorder->journal, cursor, &reader, NULL) == WM_OK &&
        wm_journal_reader_next(reader, &e, NULL) == WM_OK)
        age = s->now.ns > e.time.ns ? (s->now.ns - e.time.ns) / WM_NS_PER_S : 0;
    wm_journal_reader_close(reader);
    s->aged = true;
    s->aged_cursor = cursor;
    s->age_s = age;
    return age;
}

static void set_lag(struct status *s, struct wm_json *o, uint64_t cursor)
{
    uint64_t durable = s->journal.durable_seq;
    int64_t seconds = lag_s(s, cursor);
    set_u64(s, o, "lagRecords", durable > cursor ? durable - cursor : 0);
    if (seconds >= 0)
        wm_json_set_i64(s->arena, o, "lagSeconds", seconds);
    else
        wm_json_set_null(s->arena, o, "lagSeconds");
}

static void add_follower(struct status *s, struct wm_json *list, struct wm_view name, uint64_t cursor, bool paused)
{
    struct wm_json *o = wm_json_push(list, wm_json_new(s->arena, WM_JSON_OBJECT));
    wm_json_set_string(s->arena, o, "name", name);
    set_u64(s, o, "cursor", cursor);
    set_lag(s, o, cursor);
    wm_json_set_bool(s->arena, o, "paused", paused);
}

/* The journal goes on without it, be it that it has not met that yet. */
static bool is_paused(struct wm_journal *journal, const char *follower)
{
    struct wm_journal_follower f;
    return wm_journal_find_follower(journal, follower, &f) && f.paused;
}

/* As an entry of a verifier's checkpoint (docs/verification.md, "The checkpoint"). */
static void add_newest_digest(struct status *s, struct wm_json *trail, const struct wm_board_trail *t)
{
    if (!t->digest_key[0]) {
        wm_json_set_null(s->arena, trail, "newestDigest");
        return;
    }
    struct wm_json *o = wm_json_set_object(s->arena, trail, "newestDigest");
    set_text(s, o, "bucket", t->digest_bucket);
    set_text(s, o, "key", t->digest_key);
    set_text(s, o, "sha256", t->digest_hash);
    set_time(s, o, "end", t->digest_end);
}

/* Shown as what its API says, at once; the trail itself may still be on its way there. */
static void add_logging(struct status *s, struct wm_json *o, const struct wm_board_trail *t)
{
    struct wm_state *state = s->m->dispatcher->recorder->state;
    struct wm_trail_logging l = {0};
    wm_state_lock(state);
    enum wm_status status = wm_trail_logging_get(state, wm_view_of(t->name), &l, NULL);
    wm_state_unlock(state);
    wm_json_set_bool(s->arena, o, "logging", !l.stopped && status == WM_OK);
    set_time(s, o, "stopped", l.stopped ? l.ended : (struct wm_wall_ns){0});
    if (status != WM_OK)
        add_problem(s, wm_arena_printf(s->arena, "trail %s: whether it is logging cannot be told", t->name));
    else if (l.stopped)
        add_problem(s, wm_arena_printf(s->arena, "trail %s is stopped: nothing is delivered until StartLogging", t->name));
}

static void add_trail(struct status *s, struct wm_json *list, const struct wm_board_trail *t, bool paused)
{
    struct wm_json *o = wm_json_push(list, wm_json_new(s->arena, WM_JSON_OBJECT));
    bool complete =
        t->before_records + t->delivered_records + t->filtered_records + t->missed_records == t->cursor_seq;
    uint64_t durable = s->journal.durable_seq;
    set_text(s, o, "name", t->name);
    set_text(s, o, "bucket", t->bucket);
    set_text(s, o, "prefix", t->prefix);
    set_text(s, o, "codec", t->codec);
    add_logging(s, o, t);
    set_time(s, o, "latestDelivery", t->latest_delivery);
    set_time(s, o, "latestDeliveryAttempt", t->latest_delivery_attempt);
    set_text(s, o, "latestDeliveryError", t->latest_delivery_error);
    set_time(s, o, "latestDigest", t->latest_digest);
    set_text(s, o, "latestDigestError", t->latest_digest_error);
    add_newest_digest(s, o, t);
    set_u64(s, o, "before", t->before_records);
    set_u64(s, o, "delivered", t->delivered_records);
    set_u64(s, o, "filtered", t->filtered_records);
    set_u64(s, o, "missed", t->missed_records);
    set_u64(s, o, "pending", durable > t->cursor_seq ? durable - t->cursor_seq : 0);
    set_lag(s, o, t->cursor_seq);
    wm_json_set_bool(s->arena, o, "paused", paused);
    wm_json_set_bool(s->arena, o, "complete", complete);
    if (t->latest_delivery_error[0])
        add_problem(s, wm_arena_printf(s->arena, "trail %s does not deliver: %s", t->name, t->latest_delivery_error));
    if (t->latest_digest_error[0])
        add_problem(s, wm_arena_printf(s->arena, "trail %s does not seal: %s", t->name, t->latest_digest_error));
    if (paused)
        add_problem(s, wm_arena_printf(s->arena, "trail %s is paused: the journal was full", t->name));
    if (!complete)
        add_problem(s, wm_arena_printf(s->arena, "trail %s has passed %llu entries, but before, delivered, filtered "
                                       "and missed are not as many", t->name, (unsigned long long)t->cursor_seq));
}

static void add_followers_and_trails(struct status *s)
{
    struct wm_json *followers = wm_json_set_array(s->arena, s->root, "followers");
    struct wm_json *trails = wm_json_set_array(s->arena, s->root, "trails");
    struct wm_board_trail *all = wm_arena_alloc(s->arena, WM_BOARD_MAX_TRAILS * sizeof *all);
    size_t n = all ? wm_board_trails(s->m->dispatcher->recorder->board, all, WM_BOARD_MAX_TRAILS) : 0;
    read_counts(s); /* behind the board: no trail is further than the journal */
    add_follower(s, followers, WM_LIT("state"), s->counted.seq, false);
    for (size_t i = 0; i < n; i++) {
        struct wm_view name = wm_arena_printf(s->arena, "trail:%s", all[i].name);
        bool paused = name.len && is_paused(s->m->dispatcher->recorder->journal, name.ptr);
        add_follower(s, followers, name, all[i].cursor_seq, paused);
        add_trail(s, trails, &all[i], paused);
    }
}

static void write_status(struct status *s, struct wm_buf *out)
{
    const struct wm_clock *clock = s->m->dispatcher->env->clock;
    s->root = wm_json_new(s->arena, WM_JSON_OBJECT);
    s->problems = wm_json_new(s->arena, WM_JSON_ARRAY);
    s->now = wm_clock_wall(clock);
    wm_json_set_string(s->arena, s->root, "version", WM_LIT(WAYMARK_VERSION));
    struct wm_json *healthy = wm_json_set_bool(s->arena, s->root, "healthy", true);
    wm_json_set(s->root, "problems", s->problems);
    set_text(s, s->root, "phase", phases[s->m->phase]);
    set_time(s, s->root, "time", s->now);
    set_time(s, s->root, "started", s->m->started);
    wm_json_set_i64(s->arena, s->root, "uptimeSeconds",
                    (wm_clock_mono(clock).ns - s->m->started_mono.ns) / WM_NS_PER_S);
    add_followers_and_trails(s); /* reads the counts that the others show */
    add_journal(s);
    add_calls_and_counted(s);
    if (s->m->phase == WM_PHASE_STOPPING)
        add_problem(s, WM_LIT("the daemon is stopping"));
    if (wm_arena_status(s->arena) != WM_OK)
        return;
    healthy->boolean = s->problems->count == 0;
    wm_json_write(out, s->root);
}

/* Is it signed by the root of the account, for us? */
static bool is_root(const struct wm_monitor *m, struct wm_sigv4_cache *cache, const struct wm_request *r)
{
    char message[256], hash[WM_SHA256_HEX_BYTES];
    uint8_t sha[WM_SHA256_BYTES];
    struct wm_sigv4_claim claim;
    const struct wm_principal *who = NULL;
    wm_sha256(r->body.data, r->body.len, sha);
    wm_hex(sha, sizeof sha, hash);
    const struct wm_sigv4_request request = wm_request_as_signed(r, hash);
    if (wm_sigv4_parse(&request, &claim, message) != WM_SIGV4_OK ||
        wm_auth_identify(m->dispatcher->auth, cache, &request, &claim, WM_LIT(STATUS_SIGNING_NAME),
                         wm_clock_wall(m->dispatcher->env->clock), &who, message) != WM_SIGV4_OK)
        return false;
    bool root = who->identity.type == WM_IDENTITY_ROOT;
    wm_principal_release(who);
    return root;
}

static void answer_status(const struct wm_monitor *m, struct wm_request *r)
{
    struct status s = {.m = m, .arena = &r->arena};
    r->route.protocol = &document;
    r->status = 200;
    write_status(&s, &r->out);
    if (wm_arena_status(&r->arena) == WM_OK && wm_buf_status(&r->out) == WM_OK)
        return;
    wm_buf_clear(&r->out); /* too little memory for a status is a status, too */
    answer_health(r, "there is no memory for the status", "");
}

bool wm_monitor_answer(const struct wm_monitor *m, struct wm_sigv4_cache *cache, struct wm_request *r)
{
    if (!wm_view_eq_str(r->method, "GET") && !wm_view_eq_str(r->method, "HEAD"))
        return false;
    if (wm_view_eq_str(r->path, STATUS_PATH)) {
        if (!m->dispatcher || !is_root(m, cache, r))
            return false;
        answer_status(m, r);
    } else {
        bool live = wm_view_eq_str(r->path, "/livez");
        const char *trouble = live ? not_alive(m) : not_ready(m);
        answer_health(r, trouble, live || trouble ? "ok" : ready_remark(m));
    }
    wm_uuid(r->request_id);
    return true;
}
