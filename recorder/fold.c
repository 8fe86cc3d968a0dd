#include "recorder/fold.h"

#include <stdlib.h>

#include "waymark/hash.h"
#include "waymark/json.h"
#include "waymark/sync.h"

#include "waymark/banned.h"

/* Of each window, in full; what is not listed by name is counted together. */
#define MAX_NAMES 8u
/* An ARN with a path can be longer (IAM quotas: a path of 512); then it is cut, and stands whole in the first record. */
#define NAME_BYTES 256u
/* Kinds of refused calls in a window; what is of yet another one is recorded whole. */
#define MAX_KINDS 32u
#define KIND_BYTES 16u
#define NETWORK_BYTES 16u

/* How often each of some names was met. */
struct tally {
    size_t n;
    struct {
        char name[NAME_BYTES];
        bool proven; /* of a caller: the name is an ARN */
        uint64_t calls;
    } names[MAX_NAMES];
    uint64_t others;
};

struct fold_window {
    uint8_t network[NETWORK_BYTES];
    char source[NAME_BYTES]; /* of the first call */
    struct wm_mono_ns end;
    struct wm_wall_ns first, last; /* of those counted */
    uint64_t folded, recorded;
    uint8_t kinds[MAX_KINDS][KIND_BYTES];
    size_t n_kinds;
    struct tally error_codes, callers, operations;
    struct fold_window *next; /* of those kept */
};

struct fold {
    const struct wm_clock *clock; /* constant, with the next */
    int64_t window_ms;
    struct wm_mutex mu;
    struct {
        struct fold_window *windows[WM_FOLD_SOURCES]; /* open, without order */
        size_t n;
        struct fold_window *kept; /* over, but their events could not be recorded */
        uint64_t taken;           /* calls of those that are being told of */
        uint64_t told;
    } locked;
};

struct fold *fold_new(int64_t window_ms, const struct wm_clock *clock)
{
    struct fold *f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    f->clock = clock;
    f->window_ms = window_ms;
    wm_mutex_init(&f->mu);
    return f;
}

void fold_free(struct fold *f)
{
    if (!f)
        return;
    while (f->locked.n)
        free(f->locked.windows[--f->locked.n]);
    while (f->locked.kept) {
        struct fold_window *w = f->locked.kept;
        f->locked.kept = w->next;
        free(w);
    }
    wm_mutex_done(&f->mu);
    free(f);
}

/* ---- counting ---- */

static void tally_add(struct tally *t, struct wm_view name, bool proven)
{
    name = wm_view_sub(name, 0, NAME_BYTES - 1);
    size_t i = 0;
    while (i < t->n && !(t->names[i].proven == proven && wm_view_eq_str(name, t->names[i].name)))
        i++;
    if (i == MAX_NAMES) {
        t->others++;
        return;
    }
    if (i == t->n) {
        if (!wm_view_copy(name, t->names[i].name, NAME_BYTES)) { /* a NUL in it: no name of anything */
            t->others++;
            return;
        }
        t->names[i].proven = proven;
        t->n++;
    }
    t->names[i].calls++;
}

static void network_of(const struct wm_refused_call *c, uint8_t out[NETWORK_BYTES])
{
    memset(out, 0, NETWORK_BYTES);
    if (c->network.len)
        memcpy(out, c->network.ptr, c->network.len < NETWORK_BYTES ? c->network.len : NETWORK_BYTES);
}

/* What makes a refused call another one (recorder.h). */
static void kind_of(const struct wm_refused_call *c, uint8_t out[KIND_BYTES])
{
    const struct wm_view parts[] = {c->error_code, c->principal, c->event_source, c->event_name};
    uint8_t hashes[4 * WM_SHA256_BYTES], all[WM_SHA256_BYTES];
    size_t n = c->proven ? 4 : 1;
    for (size_t i = 0; i < n; i++)
        wm_sha256(parts[i].ptr, parts[i].len, hashes + i * WM_SHA256_BYTES);
    wm_sha256(hashes, n * WM_SHA256_BYTES, all);
    memcpy(out, all, KIND_BYTES);
}

static struct fold_window *window_find_locked(struct fold *f, const struct wm_refused_call *c) WM_REQUIRES(f->mu)
{
    uint8_t network[NETWORK_BYTES];
    wm_mutex_assert_held(&f->mu);
    network_of(c, network);
    for (size_t i = 0; i < f->locked.n; i++)
        if (memcmp(f->locked.windows[i]->network, network, NETWORK_BYTES) == 0)
            return f->locked.windows[i];
    return NULL;
}

static bool window_has(const struct fold_window *w, const uint8_t kind[KIND_BYTES])
{
    for (size_t i = 0; i < w->n_kinds; i++)
        if (memcmp(w->kinds[i], kind, KIND_BYTES) == 0)
            return true;
    return false;
}

bool fold_count(struct fold *f, const struct wm_refused_call *c)
{
    uint8_t kind[KIND_BYTES];
    struct wm_wall_ns now = wm_clock_wall(f->clock);
    kind_of(c, kind);
    wm_mutex_lock(&f->mu);
    struct fold_window *w = window_find_locked(f, c);
    bool counted = w && window_has(w, kind);
    if (counted) {
        if (w->folded++ == 0)
            w->first = now;
        w->last = now;
        tally_add(&w->error_codes, c->error_code, false);
        tally_add(&w->callers, c->principal, c->proven);
        tally_add(&w->operations, c->event_name, false);
    }
    wm_mutex_unlock(&f->mu);
    return counted;
}

/* NULL: no place, or no memory; then its calls are recorded whole. */
static struct fold_window *window_open_locked(struct fold *f, const struct wm_refused_call *c) WM_REQUIRES(f->mu)
{
    wm_mutex_assert_held(&f->mu);
    struct fold_window *w = f->locked.n < WM_FOLD_SOURCES ? calloc(1, sizeof *w) : NULL;
    if (!w)
        return NULL;
    network_of(c, w->network);
    (void)wm_view_copy(wm_view_sub(c->source, 0, NAME_BYTES - 1), w->source, NAME_BYTES); /* an address, or nothing */
    w->end.ns = wm_clock_mono(f->clock).ns + f->window_ms * WM_NS_PER_MS;
    f->locked.windows[f->locked.n++] = w;
    return w;
}

void fold_begin(struct fold *f, const struct wm_refused_call *c)
{
    uint8_t kind[KIND_BYTES];
    kind_of(c, kind);
    wm_mutex_lock(&f->mu);
    struct fold_window *w = window_find_locked(f, c);
    if (!w)
        w = window_open_locked(f, c);
    if (w) {
        w->recorded++;
        if (w->n_kinds < MAX_KINDS && !window_has(w, kind)) /* another loop may have been as quick */
            memcpy(w->kinds[w->n_kinds++], kind, KIND_BYTES);
    }
    wm_mutex_unlock(&f->mu);
}

struct wm_fold_counts fold_counts(struct fold *f)
{
    wm_mutex_lock(&f->mu);
    struct wm_fold_counts sum = {.told = f->locked.told, .pending = f->locked.taken};
    for (size_t i = 0; i < f->locked.n; i++)
        sum.pending += f->locked.windows[i]->folded;
    for (const struct fold_window *w = f->locked.kept; w; w = w->next)
        sum.pending += w->folded;
    wm_mutex_unlock(&f->mu);
    return sum;
}

/* ---- the end of a window ---- */

struct fold_window *fold_take(struct fold *f, bool any)
{
    struct wm_mono_ns now = wm_clock_mono(f->clock);
    wm_mutex_lock(&f->mu);
    struct fold_window *taken = f->locked.kept;
    if (taken)
        f->locked.kept = taken->next;
    for (size_t i = 0; i < f->locked.n && !taken;) {
        struct fold_window *w = f->locked.windows[i];
        if (!any && now.ns < w->end.ns) {
            i++;
            continue;
        }
        f->locked.windows[i] = f->locked.windows[--f->locked.n];
        if (w->folded)
            taken = w;
        else
            free(w);
    }
    if (taken)
        f->locked.taken += taken->folded;
    wm_mutex_unlock(&f->mu);
    return taken;
}

void fold_give_back(struct fold *f, struct fold_window *w, bool told)
{
    wm_mutex_lock(&f->mu);
    f->locked.taken -= w->folded;
    if (told) {
        f->locked.told += w->folded;
    } else {
        w->next = f->locked.kept;
        f->locked.kept = w;
    }
    wm_mutex_unlock(&f->mu);
    if (told)
        free(w);
}

/* A list of {"KEY": name, "calls": n}; an empty name is left out, and so are those that are counted together. */
static void write_tally(struct wm_buf *out, const char *list, const struct tally *t, const char *key,
                        const char *proven_key)
{
    wm_buf_addf(out, ",\"%s\":[", list);
    for (size_t i = 0; i < t->n; i++) {
        wm_buf_add_str(out, i ? ",{" : "{");
        if (t->names[i].name[0]) {
            wm_buf_addf(out, "\"%s\":", t->names[i].proven ? proven_key : key);
            wm_json_write_string(out, wm_view_of(t->names[i].name));
            wm_buf_add_char(out, ',');
        }
        wm_buf_addf(out, "\"calls\":%llu}", (unsigned long long)t->names[i].calls);
    }
    if (t->others)
        wm_buf_addf(out, "%s{\"others\":true,\"calls\":%llu}", t->n ? "," : "", (unsigned long long)t->others);
    wm_buf_add_char(out, ']');
}

void fold_write(const struct fold_window *w, struct wm_buf *out)
{
    char first[WM_TIME_ISO_BYTES], last[WM_TIME_ISO_BYTES];
    wm_time_iso(w->first, first);
    wm_time_iso(w->last, last);
    wm_buf_add_str(out, "{\"sourceIPAddress\":");
    wm_json_write_string(out, wm_view_of(w->source));
    wm_buf_addf(out, ",\"firstTime\":\"%s\",\"lastTime\":\"%s\",\"foldedCalls\":%llu,\"recordedCalls\":%llu", first, last,
                (unsigned long long)w->folded, (unsigned long long)w->recorded);
    write_tally(out, "errorCodes", &w->error_codes, "errorCode", "errorCode");
    write_tally(out, "callers", &w->callers, "accessKeyId", "arn");
    write_tally(out, "operations", &w->operations, "eventName", "eventName");
    wm_buf_add_char(out, '}');
}
