/* What no digest names. */
#include "verify_int.h"

#include <stdlib.h>

#include "waymark/banned.h"

/* A key's time is rounded down to 5 minutes (cloudtrail.md 1.1). Our own clock may be off by as much. */
#define REST_SLOT_S 300

static bool rest_same_place(const struct verify_trail *t, const struct verify_object *o)
{
    return wm_view_eq(t->account, o->account) && wm_view_eq(t->region, o->region);
}

/*
 * Up to when every file of this account and region must be in a digest. A key does not say which trail wrote the file,
 * and trails seal at their own pace: the slowest counts, but one that has been silent for more than two of its periods
 * was stopped and holds nothing open.
 * @param out_open_s  up to when files may wait for a digest, whatever the time is: a trail whose clock was ahead for a
 *                    while goes on from there
 * @return false when there is no digest at all
 */
static bool rest_sealed(const struct verify *v, const struct verify_object *o, int64_t *out_s, int64_t *out_open_s)
{
    int64_t newest_s = INT64_MIN, sealed_s = INT64_MAX, open_s = INT64_MIN;
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < v->n_trails; i++) {
            const struct verify_trail *t = &v->trails[i];
            if (!t->sealed || !rest_same_place(t, o))
                continue;
            if (pass == 0 && t->end_s > newest_s)
                newest_s = t->end_s;
            if (t->end_s + 2 * t->period_s > open_s)
                open_s = t->end_s + 2 * t->period_s;
            if (pass == 1 && t->end_s + 2 * t->period_s >= newest_s && t->end_s < sealed_s)
                sealed_s = t->end_s;
        }
    }
    *out_s = sealed_s;
    *out_open_s = open_s;
    return newest_s != INT64_MIN;
}

/* Are there digests of the file's account and region that are not verified, and may list it? */
static bool rest_others(const struct verify *v, const struct verify_object *o)
{
    for (size_t i = 0; i < v->n_trails; i++)
        if (!v->trails[i].wanted && rest_same_place(&v->trails[i], o))
            return true;
    return false;
}

/* Is there but one trail that may have written to the file's account and region? */
static bool rest_alone(const struct verify *v, const struct verify_object *o)
{
    size_t n = 0;
    for (size_t i = 0; i < v->n_trails; i++)
        n += v->trails[i].sealed && rest_same_place(&v->trails[i], o);
    return n == 1;
}

/* ---- copies ---- */

static int rest_compare_hashes(const void *left, const void *right)
{
    const struct verify_object *a = *(const struct verify_object *const *)left;
    const struct verify_object *b = *(const struct verify_object *const *)right;
    int order = memcmp(a->hash, b->hash, sizeof a->hash);
    return order ? order : wm_view_cmp(a->key, b->key);
}

static bool rest_make_contents(struct verify *v)
{
    if (v->contents)
        return true;
    v->contents = reallocarray(NULL, v->n_objects, sizeof *v->contents);
    if (!v->contents) {
        verify_no_memory(v, "the hashes of all files");
        return false;
    }
    for (size_t i = 0; i < v->n_objects; i++)
        if (v->objects[i].has_hash)
            v->contents[v->n_contents++] = &v->objects[i];
    if (v->n_contents)
        qsort(v->contents, v->n_contents, sizeof *v->contents, rest_compare_hashes);
    return true;
}

/* The first of the listed files with this content; NULL when there is none. */
static const struct verify_object *rest_same_content(const struct verify *v, const uint8_t hash[WM_SHA256_BYTES])
{
    size_t low = 0, high = v->n_contents;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (memcmp(v->contents[middle]->hash, hash, WM_SHA256_BYTES) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < v->n_contents && memcmp(v->contents[low]->hash, hash, WM_SHA256_BYTES) == 0 ? v->contents[low] : NULL;
}

/*
 * A file that the next digest may list. Nothing vouches for it yet; but a copy of a file that is listed already, which
 * would repeat its records, can be told, unless a second trail may have written the same records.
 */
void verify_settle_pending(struct verify *v, struct verify_step *s)
{
    if (!verify_await(v, &s->task) || !rest_make_contents(v))
        return;
    const char *kind, *text;
    if (verify_reading_line(s->task.reading, &kind, &text)) {
        verify_say(v, false, kind, s->object->key, "%s", text);
        return;
    }
    const struct verify_object *same = rest_same_content(v, s->task.hash);
    if (same && rest_alone(v, s->object))
        verify_say(v, false, "repeated", s->object->key, "repeats the content of %.*s", WM_ARG(same->key));
    else
        v->result->files_pending++;
}

/* ---- all ---- */

static void rest_file(struct verify *v, struct verify_object *o)
{
    int64_t slot_s, sealed_s, open_s;
    if (!verify_file_time(o, &slot_s)) {
        verify_plan_line(v, VERIFY_FINDING, "odd-file", o->key, "no digest lists it, and it is not the name of a trail file");
        return;
    }
    if (rest_others(v, o) || slot_s < v->from_s || slot_s > v->until_s - REST_SLOT_S)
        return;
    if (!rest_sealed(v, o, &sealed_s, &open_s)) {
        verify_plan_line(v, VERIFY_FINDING, "no-chain", o->key, "no digest lists it, and its account and region have none");
    } else if (slot_s + REST_SLOT_S <= sealed_s) {
        verify_plan_line(v, VERIFY_FINDING, "unlisted", o->key, "no digest lists it, though its period is sealed");
    } else if (slot_s > v->now_s + REST_SLOT_S && slot_s > open_s) { /* it would wait for its digest for ever */
        verify_plan_line(v, VERIFY_FINDING, "future", o->key, "no digest lists it, and its time is still to come");
    } else {
        struct verify_step *s = verify_plan(v, VERIFY_STEP_PENDING);
        if (!s)
            return;
        s->object = o;
        verify_planned(v, s);
    }
}

void verify_rest(struct verify *v)
{
    verify_settle_all(v); /* then all contents of listed files are known */
    for (size_t i = 0; i < v->n_objects && v->failed == WM_OK; i++) {
        struct verify_object *o = &v->objects[i];
        if (o->kind == VERIFY_ODD_DIGEST)
            verify_plan_line(v, VERIFY_FINDING, "odd-digest", o->key, "is not the name of a digest");
        if (o->kind == VERIFY_FILE && o->listed_by == VERIFY_NONE)
            rest_file(v, o);
    }
}
