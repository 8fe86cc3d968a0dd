/*
 * The checkpoint: a file of the newest good digest of each chain, which the next run must find again.
 *
 *     {"waymarkCheckpoint":1,"digests":[
 *     {"bucket":"B","key":"…","sha256":"…","end":"2026-03-01T16:00:00Z"},
 *     …
 *     ]}
 *
 * Replaced as a whole, when there are no findings. An entry never goes back in time, and one that a run does not look at
 * stays (docs/verification.md, "The checkpoint").
 */
#include "verify_int.h"

#include <stdlib.h>

#include "waymark/json.h"

#include "waymark/banned.h"

#define CHECKPOINT_VERSION 1
/* A chain takes some 400 bytes. */
#define CHECKPOINT_MAX_BYTES (16u * 1024u * 1024u)
#define CHECKPOINT_ARENA_BYTES ((size_t)16 * CHECKPOINT_MAX_BYTES)
#define CHECKPOINT_MODE 0644

static bool checkpoint_read_pin(const struct wm_json *entry, struct verify_pin *out)
{
    struct wm_wall_ns end;
    uint8_t hash[WM_SHA256_BYTES];
    out->bucket = wm_json_get_text(entry, "bucket");
    out->key = wm_json_get_text(entry, "key");
    out->hash_hex = wm_json_get_text(entry, "sha256");
    out->end = wm_json_get_text(entry, "end");
    return out->bucket.len && out->key.len && wm_hex_decode(out->hash_hex, hash, sizeof hash) &&
           wm_time_parse(out->end, &end) == WM_OK;
}

static enum wm_status checkpoint_parse(struct verify_checkpoint *c, struct wm_view text)
{
    struct wm_json *root = NULL;
    int64_t version;
    enum wm_status status = wm_json_parse(&c->arena, text, &root, NULL);
    if (status != WM_OK)
        return status;
    const struct wm_json *number = wm_json_get(root, "waymarkCheckpoint"), *digests = wm_json_get(root, "digests");
    if (!number || wm_json_to_i64(number, CHECKPOINT_VERSION, CHECKPOINT_VERSION, &version) != WM_OK || !digests ||
        digests->type != WM_JSON_ARRAY)
        return WM_E_INVALID;
    c->pins = wm_arena_alloc(&c->arena, digests->count * sizeof *c->pins);
    if (!c->pins)
        return WM_E_NOMEM;
    for (const struct wm_json *entry = digests->first; entry; entry = entry->next)
        if (!checkpoint_read_pin(entry, &c->pins[c->n_pins++]))
            return WM_E_INVALID;
    return WM_OK;
}

enum wm_status verify_checkpoint_load(struct verify *v)
{
    struct wm_buf text;
    if (!v->o->checkpoint)
        return WM_OK;
    wm_buf_init(&text, CHECKPOINT_MAX_BYTES);
    enum wm_status status = wm_io_read_file(v->io, v->o->checkpoint, &text, v->err);
    if (status == WM_OK) {
        status = checkpoint_parse(&v->checkpoint, wm_buf_view(&text));
        if (status != WM_OK)
            (void)wm_fail(v->err, status, "%s is not a checkpoint", v->o->checkpoint);
    } else if (status == WM_E_NOT_FOUND) {
        status = WM_OK; /* the first run makes it */
    }
    wm_buf_done(&text);
    return status;
}

/* ---- judging ---- */

/* Is the entry of what this run looks at? *d: what its key says. */
static bool checkpoint_concerns(const struct verify *v, const struct verify_pin *p, struct verify_digest *d)
{
    struct verify_object o = {.key = p->key};
    *d = (struct verify_digest){0};
    if ((v->bucket.len && !wm_view_eq(p->bucket, v->bucket)) || !wm_view_starts(p->key, v->top))
        return false;
    verify_classify(v, &o, d);
    return o.kind == VERIFY_DIGEST && (v->o->trail.len == 0 || wm_view_eq(v->o->trail, d->trail));
}

void verify_checkpoint_plan(struct verify *v)
{
    struct verify_digest named;
    uint8_t want[WM_SHA256_BYTES];
    for (size_t i = 0; i < v->checkpoint.n_pins && v->failed == WM_OK; i++) {
        const struct verify_pin *p = &v->checkpoint.pins[i];
        if (!checkpoint_concerns(v, p, &named))
            continue;
        struct verify_object *o = verify_find(v, p->key);
        const struct verify_digest *d = o ? &v->digests[o->digest] : NULL;
        bool hex = wm_hex_decode(p->hash_hex, want, sizeof want);
        WM_ASSERT(hex); /* checkpoint_read_pin() has looked */
        if (!d) {
            verify_plan_line(v, VERIFY_FINDING, "cut", p->key, "missing: the checkpoint names it");
        } else if (d->state == VERIFY_UNREAD) { /* of a time that was not asked for */
            struct verify_step *s = verify_plan(v, VERIFY_STEP_PINNED);
            if (!s)
                return;
            s->object = o;
            memcpy(s->want, want, sizeof s->want);
            verify_planned(v, s);
        } else if ((d->state == VERIFY_GOOD || d->state == VERIFY_BAD) && memcmp(d->hash, want, sizeof want) != 0) {
            verify_plan_line(v, VERIFY_FINDING, "replaced", p->key, "is not the digest that the checkpoint names");
        }
    }
}

void verify_settle_pinned(struct verify *v, struct verify_step *s)
{
    if (!verify_await(v, &s->task))
        return;
    if (s->task.reading != VERIFY_READ || memcmp(s->task.hash, s->want, sizeof s->want) != 0)
        verify_say(v, false, "replaced", s->object->key, "is not the digest that the checkpoint names");
}

/* ---- the next one ---- */

static void checkpoint_write_pin(struct wm_buf *out, const struct verify_pin *p)
{
    wm_buf_add_str(out, out->data[out->len - 1] == '[' ? "\n{\"bucket\":" : ",\n{\"bucket\":");
    wm_json_write_string(out, p->bucket);
    wm_buf_add_str(out, ",\"key\":");
    wm_json_write_string(out, p->key);
    wm_buf_add_str(out, ",\"sha256\":");
    wm_json_write_string(out, p->hash_hex);
    wm_buf_add_str(out, ",\"end\":");
    wm_json_write_string(out, p->end);
    wm_buf_add_char(out, '}');
}

static int checkpoint_compare(const void *left, const void *right)
{
    const struct verify_pin *a = left, *b = right;
    int order = wm_view_cmp(a->key, b->key);
    return order ? order : wm_view_cmp(a->bucket, b->bucket);
}

/* The newest good digest of the chain that begins at digests[first], as an entry; false when there is none. */
static bool checkpoint_newest(struct verify *v, size_t first, struct verify_pin *out)
{
    const struct verify_digest *newest = NULL;
    char hex[WM_SHA256_HEX_BYTES];
    for (size_t i = first; i < v->n_digests && verify_compare_chains(&v->digests[first], &v->digests[i]) == 0; i++)
        if (v->digests[i].state == VERIFY_GOOD)
            newest = &v->digests[i];
    if (!newest)
        return false;
    wm_hex(newest->hash, sizeof newest->hash, hex);
    *out = (struct verify_pin){.bucket = v->bucket, .key = newest->key,
                               .hash_hex = wm_arena_copy(&v->checkpoint.arena, (struct wm_view){hex, sizeof hex}),
                               .end = wm_arena_copy(&v->checkpoint.arena, wm_view_of(verify_iso(newest->end_s).text))};
    return true;
}

/* The entry of the same chain, in the same bucket; NULL when there is none. */
static struct verify_pin *checkpoint_same_chain(struct verify *v, struct verify_pin *pins, size_t n, const struct verify_digest *d)
{
    struct verify_digest other;
    for (size_t i = 0; i < n; i++)
        if (checkpoint_concerns(v, &pins[i], &other) && other.name.len && verify_compare_chains(&other, d) == 0)
            return &pins[i];
    return NULL;
}

/* The old entries and this run's, the newer of each chain. */
static size_t checkpoint_merge(struct verify *v, struct verify_pin *pins)
{
    size_t n = v->checkpoint.n_pins;
    struct verify_pin newest;
    if (n)
        memcpy(pins, v->checkpoint.pins, n * sizeof *pins);
    for (size_t i = 0; i < v->n_digests; i++) {
        const struct verify_digest *d = &v->digests[i];
        if ((i > 0 && verify_compare_chains(&v->digests[i - 1], d) == 0) || !checkpoint_newest(v, i, &newest))
            continue;
        struct verify_pin *old = checkpoint_same_chain(v, pins, n, d);
        if (!old)
            pins[n++] = newest;
        else if (wm_view_cmp(newest.end, old->end) > 0) /* ISO 8601 of one form: the order of text is that of time */
            *old = newest;
    }
    qsort(pins, n, sizeof *pins, checkpoint_compare);
    return n;
}

enum wm_status verify_checkpoint_save(struct verify *v)
{
    struct wm_buf text;
    if (!v->o->checkpoint || v->result->findings)
        return WM_OK;
    wm_buf_init(&text, CHECKPOINT_MAX_BYTES);
    enum wm_status status = WM_OK;
    /* backfill digests are chains of their own */
    struct verify_pin *pins = reallocarray(NULL, v->checkpoint.n_pins + 2 * v->n_trails + 1, sizeof *pins);
    size_t n = pins ? checkpoint_merge(v, pins) : 0;
    wm_buf_addf(&text, "{\"waymarkCheckpoint\":%d,\"digests\":[", CHECKPOINT_VERSION);
    for (size_t i = 0; i < n && text.status == WM_OK; i++)
        checkpoint_write_pin(&text, &pins[i]);
    wm_buf_add_str(&text, "\n]}\n");
    if (!pins || wm_arena_status(&v->checkpoint.arena) != WM_OK)
        status = WM_E_NOMEM;
    if (status == WM_OK)
        status = wm_buf_status(&text);
    if (status != WM_OK)
        (void)wm_fail(v->err, status, "no room for the checkpoint");
    else
        status = wm_io_replace_file(v->io, v->o->checkpoint, wm_buf_view(&text), CHECKPOINT_MODE, v->err);
    free(pins);
    wm_buf_done(&text);
    return status;
}
