/*
 * Workers: each has a store handle and does one job after the other, puts with their retries' comparing, and looks.
 *
 * An upload that fails holds the others back: while there is trouble, only the oldest file is tried, at the pace of the
 * backoff. So a store that is away meets one request at a time however many files wait, and when it is back the rest
 * follow at once. Files leave in their order, so a file that cannot be put is the oldest soon.
 *
 * Before its first object of a run, a trail puts its name on its place in the bucket: an object with the identity of its
 * ledger. A second daemon that was pointed at the same place by mistake finds another's there, says whose it is, and
 * writes nothing.
 *
 * A ledger out of a backup has our own identity. It would have delivered again what was delivered since, and chained its
 * next digest to one that has a successor. Where the chain's next digest goes, unless one is planned already, nothing can
 * lie that the ledger knows of: what is there was sealed by a later one.
 */
#include "trail_int.h"

#include "waymark/hash.h"
#include "waymark/json.h"
#include "waymark/log.h"

#include "waymark/banned.h"

#define TRAIL_MAX_HEADERS 8
#define TRAIL_CLAIM_BYTES 4096

/* ---- jobs, in a worker ---- */

/* What is under our key, when it is neither absent nor ours. */
static enum wm_status job_another(const struct trail_job *j, struct wm_err *err)
{
    (void)wm_fail(err, WM_E_EXISTS, "%.*s holds another object; does a second daemon write to this prefix?",
                  WM_ARG(j->key));
    (void)wm_view_copy(WM_LIT("PreconditionFailed"), err->code, sizeof err->code); /* fits */
    return WM_E_EXISTS;
}

/*
 * Is the object under our key what we would put? Other bytes may still be the same content: a plan made before an
 * update of the compressing library gives other bytes after it.
 */
static enum wm_status job_compare(struct wm_store *store, const struct trail_job *j, struct wm_err *err)
{
    const struct wm_codec *codec = wm_codec_by_name(wm_view_of(j->codec_name));
    struct wm_store_header headers[WM_STORE_MAX_HEADERS];
    size_t n_headers = 0;
    char hash[WM_SHA256_HEX_BYTES + 1] = "";
    struct wm_buf packed, content;
    struct wm_arena a;
    wm_buf_init(&packed, TRAIL_MAX_PACKED_BYTES);
    wm_buf_init(&content, WM_MAX_DIGEST_BYTES);
    wm_arena_init(&a, 64u * 1024u);
    enum wm_status status = wm_store_get(store, j->key, &packed, &a, headers, &n_headers, err);
    bool same = false;
    if (status == WM_OK && codec && codec->decompress(wm_buf_view(&packed), &content, NULL) == WM_OK) {
        trail_hash(wm_buf_view(&content), hash);
        same = strcmp(hash, j->hash) == 0 &&
               (!j->signature ||
                wm_view_eq_str(wm_store_header(headers, n_headers, "x-amz-meta-signature"), j->signature));
    }
    if ((status == WM_OK && !same) || status == WM_E_LIMIT)
        status = job_another(j, err);
    wm_arena_done(&a);
    wm_buf_done(&content);
    wm_buf_done(&packed);
    return status;
}

/* Somebody else's name is on our place. */
static enum wm_status job_whose(struct wm_store *store, const struct trail_job *j, struct wm_err *err)
{
    struct wm_buf body;
    struct wm_arena a;
    struct wm_json *root = NULL;
    struct wm_view host = WM_EMPTY, begun = WM_EMPTY;
    wm_buf_init(&body, TRAIL_CLAIM_BYTES);
    wm_arena_init(&a, 64u * 1024u);
    enum wm_status status = wm_store_get(store, j->key, &body, NULL, NULL, NULL, err);
    if (status == WM_OK || status == WM_E_LIMIT) {
        if (status == WM_OK && wm_json_parse(&a, wm_buf_view(&body), &root, NULL) == WM_OK) {
            host = wm_json_get_text(root, "host");
            begun = wm_json_get_text(root, "begun");
        }
        status = wm_fail(err, WM_E_EXISTS, "this place in the bucket belongs to another trail of this name, begun %.*s "
                         "on \"%.*s\": give this one another name, prefix or bucket; or, when that one has ended for good, "
                         "remove %.*s, and what it delivered of this journal is delivered again",
                         WM_ARG(begun.len ? begun : WM_LIT("at an unknown time")), (int)(host.len < 64 ? host.len : 64),
                         host.ptr ? host.ptr : "", WM_ARG(j->key));
        (void)wm_view_copy(WM_LIT("OwnedByAnotherTrail"), err->code, sizeof err->code); /* fits */
    }
    wm_arena_done(&a);
    wm_buf_done(&body);
    return status;
}

/* Our place is ours; but has this ledger written all that is there? */
static enum wm_status job_behind(struct wm_store *store, const struct trail_job *j, struct wm_err *err)
{
    struct wm_buf body;
    wm_buf_init(&body, 1); /* a longer one is there, too */
    enum wm_status status = wm_store_get(store, j->absent, &body, NULL, NULL, NULL, err);
    wm_buf_done(&body);
    if (status == WM_OK || status == WM_E_LIMIT) {
        status = wm_fail(err, WM_E_EXISTS, "%.*s is there, and this trail's ledger does not know it: the data folder is an "
                         "older copy, or another copy of it is running; give the trail another prefix or bucket",
                         WM_ARG(j->absent));
        (void)wm_view_copy(WM_LIT("LedgerBehindBucket"), err->code, sizeof err->code); /* fits */
        return status;
    }
    /* A login that may only put is not told what is there. */
    return status == WM_E_NOT_FOUND || status == WM_E_DENIED ? WM_OK : status;
}

static enum wm_status job_put(struct trail_worker *w, const struct trail_job *j, struct wm_err *err)
{
    struct wm_store_header headers[TRAIL_MAX_HEADERS];
    size_t n = 0;
    const struct wm_codec *codec = j->hash ? wm_codec_by_name(wm_view_of(j->codec_name)) : NULL;
    if (j->hash && !codec)
        return wm_fail(err, WM_E_UNSUPPORTED, "%.*s is planned with codec %s, which this program does not know",
                       WM_ARG(j->key), j->codec_name);
    headers[n++] = (struct wm_store_header){WM_LIT("content-type"), WM_LIT("application/json")};
    if (codec)
        headers[n++] = (struct wm_store_header){WM_LIT("content-encoding"), wm_view_of(codec->content_encoding)};
    if (j->signature) {
        headers[n++] = (struct wm_store_header){WM_LIT("x-amz-meta-signature"), wm_view_of(j->signature)};
        headers[n++] = (struct wm_store_header){WM_LIT("x-amz-meta-signature-algorithm"), WM_LIT(WM_DIGEST_ALGORITHM)};
    }
    enum wm_status status = wm_store_put(w->store, j->key, j->body, WM_EMPTY, headers, n, err);
    if (status == WM_OK && j->absent.len)
        return job_behind(w->store, j, err);
    if (status != WM_E_EXISTS)
        return status;
    return j->hash ? job_compare(w->store, j, err) : job_whose(w->store, j, err);
}

/* ---- workers ---- */

static void *worker_run(void *arg)
{
    struct trail_worker *w = arg;
    struct wm_trail *t = w->trail;
    WM_ASSERT(t->magic == TRAIL_MAGIC);
    wm_mutex_lock(&t->locked.mu);
    for (;;) {
        while (!t->locked.first && !t->locked.quit)
            wm_cond_wait(&t->locked.work, &t->locked.mu);
        struct trail_job *j = t->locked.first;
        if (!j)
            break;
        t->locked.first = j->next;
        wm_mutex_unlock(&t->locked.mu);

        struct wm_err err = {0};
        enum wm_status status = j->look ? job_compare(w->store, j, &err) : job_put(w, j, &err);
        int64_t retry_after_ms = status == WM_OK ? 0 : wm_store_retry_after_ms(w->store);

        wm_mutex_lock(&t->locked.mu);
        j->status = status;
        j->err = err;
        j->retry_after_ms = retry_after_ms;
        j->state = TRAIL_JOB_DONE;
        t->locked.any_done = true;
        wm_cond_signal(&t->locked.wake);
    }
    wm_mutex_unlock(&t->locked.mu);
    return NULL;
}

enum wm_status trail_workers_start(struct wm_trail *t, struct wm_err *err)
{
    char name[16];
    for (size_t i = 0; i < t->o.n_stores; i++) {
        struct trail_worker *w = &t->workers[i];
        (void)wm_view_copy(wm_view_sub(wm_view_of(t->name), 0, 10), name, sizeof name); /* cut to what the system takes */
        size_t len = strlen(name);
        memcpy(name + len, ":put", sizeof ":put");
        enum wm_status status = wm_thread_start(&w->thread, name, worker_run, w, err);
        if (status != WM_OK)
            return status;
        w->started = true;
    }
    return WM_OK;
}

void trail_workers_stop(struct wm_trail *t)
{
    wm_mutex_lock(&t->locked.mu);
    t->locked.quit = true;
    wm_cond_broadcast(&t->locked.work);
    wm_mutex_unlock(&t->locked.mu);
    for (size_t i = 0; i < t->o.n_stores; i++)
        if (t->workers[i].started)
            WM_PTOK(pthread_join(t->workers[i].thread, NULL));
}

void trail_submit(struct wm_trail *t, struct trail_job *j)
{
    wm_mutex_lock(&t->locked.mu);
    WM_ASSERT(j->state == TRAIL_JOB_IDLE);
    j->state = TRAIL_JOB_QUEUED;
    j->next = NULL;
    if (t->locked.first)
        t->locked.last->next = j;
    else
        t->locked.first = j;
    t->locked.last = j;
    wm_cond_signal(&t->locked.work);
    wm_mutex_unlock(&t->locked.mu);
}

bool trail_collected(struct wm_trail *t, struct trail_job *j)
{
    wm_mutex_lock(&t->locked.mu);
    bool done = j->state == TRAIL_JOB_DONE;
    if (done)
        j->state = TRAIL_JOB_IDLE;
    wm_mutex_unlock(&t->locked.mu);
    return done;
}

bool trail_job_idle(struct wm_trail *t, struct trail_job *j)
{
    wm_mutex_lock(&t->locked.mu);
    bool idle = j->state == TRAIL_JOB_IDLE;
    wm_mutex_unlock(&t->locked.mu);
    return idle;
}

/* ---- our place in the bucket ---- */

enum wm_status trail_prepare_claim(struct wm_trail *t, struct wm_err *err)
{
    const struct wm_ledger_head *h = wm_ledger_head(t->own.ledger);
    struct wm_buf *key = &t->own.claim_key, *body = &t->own.claim_body;
    char begun[WM_TIME_ISO_BYTES];
    wm_time_iso(wm_wall_from_seconds(h->started_s), begun);
    wm_buf_addf(key, "%s%sAWSLogs/%s/Waymark/%s/%s.json", t->prefix, t->prefix[0] ? "/" : "", t->account_id, t->region,
                t->name);
    wm_buf_addf(body, "{\"trail\":\"%s\",\"owner\":\"%s\",\"begun\":\"%s\",\"host\":", t->own.board.arn, h->owner_id,
                begun);
    wm_json_write_string(body, wm_view_of(h->host));
    wm_buf_add_str(body, "}\n");
    if (!t->own.digest_planned)
        trail_next_digest_key(t, &t->own.claim_absent);
    enum wm_status status = wm_buf_status(key);
    if (status == WM_OK)
        status = wm_buf_status(body);
    if (status == WM_OK)
        status = wm_buf_status(&t->own.claim_absent);
    if (status != WM_OK)
        return wm_fail(err, status, "trail %s: no room for the name of its place in the bucket", t->name);
    t->own.claim.key = wm_buf_view(key);
    t->own.claim.body = wm_buf_view(body);
    t->own.claim.absent = wm_buf_view(&t->own.claim_absent);
    return WM_OK;
}

/* ---- files, in the trail's thread ---- */

static void slot_submit(struct wm_trail *t, struct trail_slot *s)
{
    s->job.look = s->gone;
    s->job.key = wm_view_of(s->plan.key);
    s->job.hash = s->plan.hash;
    s->job.codec_name = s->plan.codec;
    s->job.body = wm_buf_view(&s->packed);
    t->own.board.latest_delivery_attempt = trail_now(t);
    trail_submit(t, &s->job);
}

static void files_failed(struct wm_trail *t, const struct trail_job *j)
{
    if (j->status == WM_E_END)
        t->own.sending_over = true;
    else
        trail_failed(t, &t->own.files, t->own.board.latest_delivery_error, &j->err, j->retry_after_ms);
}

static void files_progressed(struct wm_trail *t)
{
    trail_progressed(t, &t->own.files, t->own.board.latest_delivery_error);
}

static void slot_collect(struct wm_trail *t, struct trail_slot *s)
{
    if (s->job.status == WM_OK) {
        s->stored = true;
        files_progressed(t);
    } else if (s->job.look && (s->job.status == WM_E_NOT_FOUND || s->job.status == WM_E_EXISTS)) {
        s->absent = true;
        files_progressed(t);
    } else {
        files_failed(t, &s->job);
    }
}

/* The oldest files that are in the bucket, in their order. */
static enum wm_status files_book(struct wm_trail *t, struct wm_err *err)
{
    while (t->own.n_slots && trail_slot(t, 0)->stored) {
        struct trail_slot *s = trail_slot(t, 0);
        enum wm_status status = trail_booked(
            t, wm_ledger_delivered(t->own.ledger, wm_store_bucket(t->workers[0].store), wm_wall_seconds(trail_now(t)), err));
        if (status != WM_OK)
            return status;
        uint64_t last_seq = s->plan.last_seq;
        wm_log(WM_EV_TRAIL_DELIVERED, "trail=%s key=%s records=%llu bytes=%zu stored=%zu", t->name, s->plan.key,
               (unsigned long long)s->plan.records, s->content_bytes, s->packed.len);
        trail_slot_pop(t);
        trail_repost(t);
        status = trail_tell_journal(t, last_seq, err);
        if (status != WM_OK)
            return status;
    }
    return WM_OK;
}

enum wm_status trail_tend_files(struct wm_trail *t, struct wm_err *err)
{
    size_t busy = 0;
    if (trail_collected(t, &t->own.claim)) {
        t->own.claimed = t->own.claim.status == WM_OK;
        if (t->own.claimed)
            files_progressed(t);
        else
            files_failed(t, &t->own.claim);
    }
    for (size_t i = 0; i < t->own.n_slots; i++) {
        struct trail_slot *s = trail_slot(t, i);
        if (trail_collected(t, &s->job))
            slot_collect(t, s);
        busy += !trail_job_idle(t, &s->job);
    }
    enum wm_status status = files_book(t, err);
    if (status != WM_OK || t->own.sending_over || !trail_may_try(t, &t->own.files))
        return status;
    if (!t->own.claimed) {
        if (trail_job_idle(t, &t->own.claim) && (t->own.n_slots || t->own.digest_planned))
            trail_submit(t, &t->own.claim);
        return WM_OK;
    }
    for (size_t i = 0; i < t->own.n_slots && busy < t->o.n_stores; i++) {
        struct trail_slot *s = trail_slot(t, i);
        if (t->own.files.waiting && (busy || i > 0))
            break;
        if (s->stored || s->absent || (!s->gone && !s->packed.len) || !trail_job_idle(t, &s->job))
            continue;
        slot_submit(t, s);
        busy++;
    }
    return WM_OK;
}
