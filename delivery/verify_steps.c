/* The ring of steps, from both its ends: what is planned, and what is settled in the same order. */
#include "verify_int.h"

#include <stdio.h>
#include <stdlib.h>

#include "waymark/banned.h"

struct verify_time verify_iso(int64_t s)
{
    struct verify_time t;
    wm_time_iso(wm_wall_from_seconds(s), t.text);
    return t;
}

void verify_no_memory(struct verify *v, const char *what)
{
    if (v->failed == WM_OK)
        v->failed = wm_fail(v->err, WM_E_NOMEM, "no memory for %s", what);
}

/* ---- saying ---- */

static void steps_say(struct verify *v, const struct wm_verify_line *line)
{
    if (!line->note)
        v->result->findings++;
    if (v->o->say)
        v->o->say(v->o->arg, line);
}

void verify_say(struct verify *v, bool note, const char *kind, struct wm_view key, const char *fmt, ...)
{
    char text[VERIFY_MAX_MESSAGE_BYTES];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args); /* a cut message still names the object */
    va_end(args);
    steps_say(v, &(struct wm_verify_line){.note = note, .kind = kind, .key = key, .text = text});
}

bool verify_reading_line(enum verify_reading reading, const char **out_kind, const char **out_text)
{
    static const struct {
        const char *kind, *text;
    } lines[] = {
        [VERIFY_ODD_SUFFIX] = {"odd-suffix", "its name ends neither in .json.gz nor in .json.zst"},
        [VERIFY_GONE] = {"vanished", "missing: it was listed a moment ago"},
        [VERIFY_TOO_LARGE] = {"too-large", "is larger than a trail file or digest can be"},
        [VERIFY_NOT_GZIP] = {"damaged", "is not exactly one gzip member"},
        [VERIFY_NOT_ZSTD] = {"damaged", "is not exactly one zstd frame"},
    };
    if (reading == VERIFY_READ)
        return false;
    *out_kind = lines[reading].kind;
    *out_text = lines[reading].text;
    return true;
}

/* ---- waiting ---- */

static void steps_progress(struct verify *v)
{
    if (!v->o->progress)
        return;
    struct wm_mono_ns now = wm_clock_mono(&wm_clock_system);
    if (now.ns - v->told.ns < v->o->progress_ms * WM_NS_PER_MS)
        return;
    v->told = now;
    const struct wm_verify_progress p = {
        .objects = v->readable,
        .objects_done = atomic_load_explicit(&v->pool.objects_done, memory_order_relaxed),
        .bytes = v->bytes,
        .bytes_done = atomic_load_explicit(&v->pool.bytes_done, memory_order_relaxed),
        .content_bytes = atomic_load_explicit(&v->pool.content_bytes, memory_order_relaxed),
    };
    v->o->progress(v->o->arg, &p);
}

bool verify_await(struct verify *v, struct verify_task *t)
{
    struct verify_pool *p = &v->pool;
    bool done;
    steps_progress(v);
    do {
        wm_mutex_lock(&p->locked.mu);
        if (!t->done && v->o->progress)
            (void)wm_cond_wait_ms(&p->locked.done, &p->locked.mu, v->o->progress_ms); /* asked below */
        else if (!t->done)
            wm_cond_wait(&p->locked.done, &p->locked.mu);
        done = t->done;
        wm_mutex_unlock(&p->locked.mu);
        if (!done)
            steps_progress(v);
    } while (!done);
    if (t->status != WM_OK && v->failed == WM_OK) {
        v->failed = t->status;
        if (v->err)
            *v->err = t->err;
    }
    return t->status == WM_OK;
}

/* ---- settling ---- */

static void settle_known(struct verify *v, struct verify_step *s)
{
    const struct verify_known *k = s->known;
    struct verify_numbers n = {.records = k->records, .first = k->first, .highest = k->last,
                               .numbered = k->first ? k->records : 0};
    v->result->files += s->n_files;
    v->result->files_valid += s->n_files;
    v->result->files_resumed += s->n_files;
    v->result->records += k->records;
    if (s->n_files)
        verify_sequence_file(v, s->first, &n);
    v->settled.any = false; /* the file says so already */
}

static void settle_digest(struct verify *v, struct verify_step *s)
{
    if (v->settled.any)
        verify_resume_add(v, &v->settled);
    v->result->digests++;
    if (s->good)
        v->result->digests_valid++;
    v->settled = (struct verify_settled){.any = s->good, .clean = true, .digest = s->digest, .n_files = s->n_files};
    memcpy(v->settled.stamp, s->stamp, sizeof s->stamp);
    verify_sequence_jump(v, s->jump);
    if (s->known)
        settle_known(v, s);
}

static void settle_chain(struct verify *v)
{
    if (v->settled.any)
        verify_resume_add(v, &v->settled);
    v->settled.any = false;
    verify_sequence_end(v);
}

static void settle_file_is_odd(struct verify *v)
{
    v->settled.clean = false;
    verify_sequence_jump(v, VERIFY_JUMP_HIGHER);
}

static void settle_file(struct verify *v, struct verify_step *s)
{
    const char *kind, *text;
    const struct wm_view digest = v->digests[s->digest].key;
    v->result->files++;
    if (!verify_await(v, &s->task))
        return;
    if (verify_reading_line(s->task.reading, &kind, &text)) {
        if (s->task.reading == VERIFY_GONE)
            verify_say(v, false, "missing-file", s->object->key, "missing: digest %.*s lists it", WM_ARG(digest));
        else
            verify_say(v, false, kind, s->object->key, "%s", text);
        settle_file_is_odd(v);
        return;
    }
    memcpy(s->object->hash, s->task.hash, sizeof s->task.hash);
    s->object->has_hash = true;
    if (!s->want_valid || memcmp(s->task.hash, s->want, sizeof s->want) != 0) {
        verify_say(v, false, "file-hash", s->object->key, "content does not match the hash in digest %.*s", WM_ARG(digest));
        settle_file_is_odd(v);
        return;
    }
    v->result->files_valid++;
    v->result->records += s->task.numbers.records;
    v->settled.records += s->task.numbers.records;
    verify_sequence_file(v, s->object, &s->task.numbers);
}

static void settle_line(struct verify *v, struct verify_step *s)
{
    if (s->of_file) {
        v->result->files++;
        settle_file_is_odd(v);
    }
    steps_say(v, &s->line);
}

static void steps_settle_first(struct verify *v)
{
    struct verify_step *s = &v->steps[v->step_first % VERIFY_STEPS];
    v->step_first++;
    switch (s->kind) {
    case VERIFY_STEP_SAY:
        settle_line(v, s);
        break;
    case VERIFY_STEP_DIGEST:
        settle_digest(v, s);
        break;
    case VERIFY_STEP_FILE:
        settle_file(v, s);
        break;
    case VERIFY_STEP_CHAIN:
        settle_chain(v);
        break;
    case VERIFY_STEP_PENDING:
        verify_settle_pending(v, s);
        break;
    case VERIFY_STEP_PINNED:
        verify_settle_pinned(v, s);
        break;
    }
    free(s->text);
    s->text = NULL;
}

void verify_settle_all(struct verify *v)
{
    while (v->step_first < v->step_end && v->failed == WM_OK)
        steps_settle_first(v);
}

/* ---- planning ---- */

struct verify_step *verify_plan(struct verify *v, enum verify_step_kind kind)
{
    while (v->step_end - v->step_first == VERIFY_STEPS && v->failed == WM_OK)
        steps_settle_first(v);
    if (v->failed != WM_OK)
        return NULL;
    struct verify_step *s = &v->steps[v->step_end % VERIFY_STEPS];
    *s = (struct verify_step){.kind = kind};
    return s;
}

void verify_planned(struct verify *v, struct verify_step *s)
{
    v->step_end++;
    if (s->kind == VERIFY_STEP_FILE || s->kind == VERIFY_STEP_PENDING || s->kind == VERIFY_STEP_PINNED) {
        s->task.kind = VERIFY_TASK_FILE;
        s->task.object = s->object;
        verify_pool_submit(&v->pool, &s->task);
    }
}

void verify_plan_line(struct verify *v, enum verify_line kind_of_line, const char *kind, struct wm_view key,
                      const char *fmt, ...)
{
    char text[VERIFY_MAX_MESSAGE_BYTES];
    struct verify_step *s = verify_plan(v, VERIFY_STEP_SAY);
    if (!s)
        return;
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args); /* a cut message still names the object */
    va_end(args);
    size_t len = strlen(text);
    s->text = malloc(key.len + len + 1);
    if (!s->text) {
        verify_no_memory(v, "a finding");
        return;
    }
    memcpy(s->text, key.ptr, key.len);
    memcpy(s->text + key.len, text, len + 1);
    s->of_file = kind_of_line == VERIFY_FILE_FINDING || kind_of_line == VERIFY_FILE_NOTE;
    s->line = (struct wm_verify_line){.note = kind_of_line == VERIFY_NOTE || kind_of_line == VERIFY_FILE_NOTE,
                                      .kind = kind, .key = {s->text, key.len}, .text = s->text + key.len};
    v->said_planned++;
    verify_planned(v, s);
}

void verify_drop_steps(struct verify *v)
{
    for (; v->step_first < v->step_end; v->step_first++)
        free(v->steps[v->step_first % VERIFY_STEPS].text);
}
