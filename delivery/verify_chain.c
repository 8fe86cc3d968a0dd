/*
 * The walk along each chain, from its oldest digest to its newest. A digest is first judged by itself (chain_judge):
 *
 *   GOOD     in its place, signed by a known key
 *   BAD      in its place, but the signature does not hold: its list of files is still followed, so that they are not
 *            reported one by one, but what it says about the digest before it proves nothing
 *   MOVED    a document that belongs elsewhere: it takes no part in the chain
 *   UNKNOWN  unreadable: it takes part in the chain by its key alone
 *
 * and has at most one finding of its own, the first that applies. Then comes its link to the one before (chain_link), then
 * its files (chain_files).
 *
 * Sources: AWS CloudTrail User Guide, "Custom implementations of CloudTrail log file integrity validation";
 * cloudtrail.md 3 and 4.2, with the list of what the AWS CLI does not check.
 */
#include "verify_int.h"

#include <stdio.h>

#include "waymark/banned.h"

/* A chain's first digest tells nothing of its pace (ours covers a second, so that there is a chain from the start): the
 * second one is waited for as long as the longest period of a trail. */
#define CHAIN_STARTING_PERIOD_S 86400
/* Digests whose keys are inferred from the period are named up to here: more says nothing more. */
#define CHAIN_MAX_INFERRED 1000
/* A digest is signed some time after its end; so long after it the AWS CLI asks for keys (validate-logs since 1.44.44). */
#define CHAIN_KEY_SLACK_S (2 * 3600)

/* ---- one digest by itself ---- */

static bool chain_key_valid(struct verify *v, const struct verify_digest *d, const struct verify_document *document)
{
    struct wm_wall_ns from, until;
    int64_t end_s = wm_wall_seconds(document->end);
    if (!wm_keyring_validity(v->o->keys, document->doc.fingerprint, &from, &until))
        return true; /* the signature says that it is there */
    int64_t from_s = wm_wall_seconds(from), until_s = wm_wall_seconds(until);
    /* A backfill digest is made and signed later than its end. */
    if (end_s <= until_s + CHAIN_KEY_SLACK_S && (d->backfill || end_s >= from_s - CHAIN_KEY_SLACK_S))
        return true;
    verify_plan_line(v, VERIFY_FINDING, "expired-key", d->key, "is signed with key %.*s, which is valid from %s to %s",
                     WM_ARG(document->doc.fingerprint), verify_iso(from_s).text, verify_iso(until_s).text);
    return false;
}

/* The account in its key: "[P/]AWSLogs/[o-id/]ACCOUNT/". */
static bool chain_account_is(const struct verify_digest *d, struct wm_view id)
{
    struct wm_view account = wm_view_sub(d->account, 0, d->account.len - 1);
    size_t slash = wm_view_rfind(account, '/');
    return wm_view_eq(wm_view_sub(account, slash + 1, account.len), id);
}

static enum verify_state chain_judge(struct verify *v, const struct verify_digest *d, const struct verify_document *document)
{
    const struct wm_digest *doc = &document->doc;
    if (!wm_view_eq(doc->key, d->key) || (v->bucket.len && !wm_view_eq(doc->bucket, v->bucket))) {
        verify_plan_line(v, VERIFY_FINDING, "moved", d->key, "was moved: it says that it is %.*s/%.*s", WM_ARG(doc->bucket),
                         WM_ARG(doc->key));
        return VERIFY_MOVED;
    }
    if (!chain_account_is(d, doc->account_id)) {
        verify_plan_line(v, VERIFY_FINDING, "wrong-account", d->key, "says that it is of account %.*s", WM_ARG(doc->account_id));
    } else if (!document->signature.len || !document->algorithm.len) {
        verify_plan_line(v, VERIFY_FINDING, "unsigned", d->key, "has no signature in its metadata");
    } else if (!wm_view_eq_str(document->algorithm, WM_DIGEST_ALGORITHM)) {
        verify_plan_line(v, VERIFY_FINDING, "algorithm", d->key, "its signature algorithm is not " WM_DIGEST_ALGORITHM);
    } else if (document->signed_by_key == WM_E_NOT_FOUND) {
        verify_plan_line(v, VERIFY_FINDING, "unknown-key", d->key,
                         "is signed with key %.*s, which is not among the public keys", WM_ARG(doc->fingerprint));
    } else if (document->signed_by_key != WM_OK) {
        verify_plan_line(v, VERIFY_FINDING, "signature", d->key, "its signature does not hold");
    } else if (chain_key_valid(v, d, document)) {
        return VERIFY_GOOD;
    }
    return VERIFY_BAD;
}

static void chain_digest(struct verify *v, struct verify_digest *d, const struct verify_task *t)
{
    const struct verify_document *document = &t->document;
    d->state = VERIFY_UNKNOWN;
    memcpy(d->hash, t->hash, sizeof d->hash);
    const char *kind = "no-digest", *text = "is not a digest document";
    if (verify_reading_line(t->reading, &kind, &text) || !document->valid) {
        verify_plan_line(v, VERIFY_FINDING, kind, d->key, "%s", text);
        return;
    }
    d->state = chain_judge(v, d, document);
    if (d->state == VERIFY_MOVED)
        return;
    d->start_s = wm_wall_seconds(document->start);
    d->end_s = wm_wall_seconds(document->end);
    d->starting = !document->doc.has_previous;
    memcpy(d->signature_hash, document->signature_hash, sizeof d->signature_hash);
    if (d->state == VERIFY_GOOD && !v->bucket.len) {
        v->bucket = wm_arena_copy(&v->names, document->doc.bucket);
        if (!v->bucket.ptr)
            verify_no_memory(v, "the bucket's name");
    }
}

/* ---- its link to the one before ---- */

/* The key of the digest of d's chain that ends at another time: only date and time in it differ. */
static void chain_key_at(const struct verify *v, struct wm_view key, int64_t end_s, struct wm_buf *out)
{
    char basic[WM_TIME_BASIC_BYTES];
    struct verify_object o = {.key = key};
    struct verify_digest d = {0};
    verify_classify(v, &o, &d);
    wm_time_basic(wm_wall_from_seconds(end_s), basic);
    wm_buf_clear(out);
    if (o.kind != VERIFY_DIGEST) /* a name that tells no time: the digest's own name then stands for it */
        return;
    size_t stamp = (size_t)(d.stamp.ptr - key.ptr);
    wm_buf_addf(out, "%.*sCloudTrail-Digest/%.*s/", WM_ARG(d.account), WM_ARG(d.region));
    wm_buf_addf(out, "%.4s/%.2s/%.2s/", basic, basic + 4, basic + 6);
    wm_buf_add_view(out, d.name);
    wm_buf_addf(out, "_%s", basic);
    wm_buf_add(out, key.ptr + stamp + d.stamp.len, key.len - stamp - d.stamp.len);
}

/*
 * The digest before d is gone. When digests come at a steady pace, the gap tells how many went with it, and when they
 * ended; the AWS CLI counts two neighbours as one (aws-cli issue 7054).
 * @param before  the newest digest that is left on the other side of the gap, or NULL
 */
static void chain_missing(struct verify *v, const struct verify_digest *d, const struct wm_digest *doc,
                          const struct verify_digest *before)
{
    int64_t period_s = d->end_s - d->start_s;
    int64_t gap_s = before ? d->start_s - before->end_s : 0;
    bool steady = before && period_s > 0 && before->end_s - before->start_s == period_s && gap_s % period_s == 0 &&
                  gap_s / period_s <= CHAIN_MAX_INFERRED;
    if (!before || period_s <= 0 || gap_s <= period_s) {
        verify_plan_line(v, VERIFY_FINDING, "missing-digest", doc->previous_key,
                         "missing: digest %.*s names it as the one before", WM_ARG(d->key));
        return;
    }
    struct verify_time from = verify_iso(before->end_s), to = verify_iso(d->start_s);
    if (!steady) {
        verify_plan_line(v, VERIFY_FINDING, "missing-digest", doc->previous_key,
                         "missing: digest %.*s names it as the one before; nothing is left of the time from %s to %s, so "
                         "others may be missing too", WM_ARG(d->key), from.text, to.text);
        return;
    }
    for (int64_t end_s = before->end_s + period_s; end_s < d->start_s; end_s += period_s) {
        chain_key_at(v, doc->previous_key, end_s, &v->message);
        struct wm_view key = v->message.len ? wm_buf_view(&v->message) : doc->previous_key;
        verify_plan_line(v, VERIFY_FINDING, "missing-digest", key,
                         "missing: digests come every %lld s here, and none is left of the time from %s to %s",
                         (long long)period_s, from.text, to.text);
    }
    verify_plan_line(v, VERIFY_FINDING, "missing-digest", doc->previous_key,
                     "missing: digest %.*s names it as the one before", WM_ARG(d->key));
}

static bool chain_hash_is(const uint8_t hash[WM_SHA256_BYTES], struct wm_view hex)
{
    char mine[WM_SHA256_HEX_BYTES];
    wm_hex(hash, WM_SHA256_BYTES, mine);
    return wm_view_eq((struct wm_view){mine, sizeof mine}, hex);
}

/* Both digests hold by themselves; is the older one the one that the newer one means? */
static void chain_pair(struct verify *v, const struct verify_digest *d, const struct wm_digest *doc,
                       const struct verify_digest *previous)
{
    uint8_t named[WM_SHA256_BYTES];
    wm_sha256(doc->previous_signature_hex.ptr, doc->previous_signature_hex.len, named);
    if (!chain_hash_is(previous->hash, doc->previous_hash_hex))
        verify_plan_line(v, VERIFY_FINDING, "link-hash", previous->key,
                         "content does not match the hash in the next digest %.*s", WM_ARG(d->key));
    else if (memcmp(named, previous->signature_hash, sizeof named) != 0)
        verify_plan_line(v, VERIFY_FINDING, "link-signature", previous->key,
                         "its signature is not the one in the next digest %.*s", WM_ARG(d->key));
    if (previous->end_s != d->start_s)
        verify_plan_line(v, VERIFY_FINDING, "link-time", d->key, "begins at %s, but the digest before it ends at %s",
                         verify_iso(d->start_s).text, verify_iso(previous->end_s).text);
}

/* @param before  the digest that comes before d by its key, among those in their place; NULL: d is the oldest */
static void chain_link(struct verify *v, const struct verify_digest *d, const struct wm_digest *doc,
                       const struct verify_digest *before)
{
    if (d->start_s <= v->from_s) /* the one before is of a time that is not asked for */
        return;
    if (!doc->has_previous) {
        /* What AWS writes after StopLogging and StartLogging. Only the key's holder can sign it; whether digests before
           it were taken away, their files tell: no digest lists those. */
        if (before && d->state == VERIFY_GOOD)
            verify_plan_line(v, VERIFY_NOTE, "restart", d->key, "begins a new chain at %s; the digest before it ends at %s",
                             verify_iso(d->start_s).text, verify_iso(before->end_s).text);
        return;
    }
    struct wm_view root = wm_buf_view(&v->root);
    if (!wm_view_eq(doc->previous_bucket, doc->bucket) || !wm_view_eq(wm_view_sub(doc->previous_key, 0, root.len), root)) {
        if (d->state == VERIFY_GOOD)
            verify_plan_line(v, VERIFY_NOTE, "elsewhere", d->key,
                             "the digest before it is %.*s/%.*s, outside of what is verified here",
                             WM_ARG(doc->previous_bucket), WM_ARG(doc->previous_key));
        return;
    }
    const struct verify_object *o = verify_find(v, doc->previous_key);
    if (!o) {
        chain_missing(v, d, doc, before);
        return;
    }
    if (d->state != VERIFY_GOOD)
        return;
    const struct verify_digest *previous = o->kind == VERIFY_DIGEST ? &v->digests[o->digest] : NULL;
    if (!previous || previous >= d || verify_compare_chains(previous, d) != 0) {
        verify_plan_line(v, VERIFY_FINDING, "no-older", d->key,
                         "names %.*s as the digest before it, which is not an older one of this chain",
                         WM_ARG(doc->previous_key));
        return;
    }
    if (previous->state != VERIFY_GOOD)
        return; /* has its finding */
    if (before && before != previous && before->state == VERIFY_GOOD)
        verify_plan_line(v, VERIFY_FINDING, "bypassed", before->key,
                         "is not in the chain: digest %.*s names %.*s as the one before it", WM_ARG(d->key),
                         WM_ARG(doc->previous_key));
    chain_pair(v, d, doc, previous);
}

/* ---- its files ---- */

/* Is the key of another account or region than the digest? A key that tells neither is judged by its name. */
static bool chain_wrong_place(const struct verify *v, const struct verify_digest *d, struct wm_view key)
{
    struct verify_object o = {.key = key};
    struct verify_digest none = {0};
    verify_classify(v, &o, &none);
    return o.region.len && (!wm_view_eq(o.account, d->account) || !wm_view_eq(o.region, d->region));
}

/* Judge an entry of the list by itself. @return the object to be read; NULL: a line says why not */
static struct verify_object *chain_list_entry(struct verify *v, const struct verify_digest *d, size_t index,
                                              const struct wm_digest_file *f)
{
    struct verify_object *o = verify_find(v, f->key);
    if (v->bucket.len && !wm_view_eq(f->bucket, v->bucket)) {
        /* After a trail was moved to another bucket, its next digest lists what still went into the old one. What this
           bucket has under that key is listed by nobody. */
        if (d->state == VERIFY_GOOD)
            verify_plan_line(v, VERIFY_FILE_NOTE, "other-bucket", f->key, "is in bucket %.*s, says digest %.*s: not checked here",
                             WM_ARG(f->bucket), WM_ARG(d->key));
        else
            verify_plan_line(v, VERIFY_FILE_FINDING, "other-bucket", f->key, "is in bucket %.*s, says digest %.*s",
                             WM_ARG(f->bucket), WM_ARG(d->key));
        return NULL;
    }
    if (!o && d->state == VERIFY_GOOD && !wm_view_starts(f->key, v->top)) {
        verify_plan_line(v, VERIFY_FILE_NOTE, "elsewhere", f->key,
                         "is outside of what is verified here, says digest %.*s: not checked", WM_ARG(d->key));
        return NULL;
    }
    if (!o) {
        verify_plan_line(v, VERIFY_FILE_FINDING, "missing-file", f->key, "missing: digest %.*s lists it", WM_ARG(d->key));
        return NULL;
    }
    size_t listed_by = o->listed_by;
    if (listed_by == VERIFY_NONE)
        o->listed_by = index;
    if (listed_by != VERIFY_NONE) {
        verify_plan_line(v, VERIFY_FILE_FINDING, "listed-twice", f->key, "is listed twice, by digest %.*s and by digest %.*s",
                         WM_ARG(v->digests[listed_by].key), WM_ARG(d->key));
        return NULL;
    }
    if (chain_wrong_place(v, d, f->key)) {
        verify_plan_line(v, VERIFY_FILE_FINDING, "wrong-place", f->key,
                         "is of another account or region than digest %.*s, which lists it", WM_ARG(d->key));
        return NULL;
    }
    return o;
}

/* A digest whose files the resume file knows to be good, and which have not been written since. */
static bool chain_files_known(struct verify *v, size_t index, const struct wm_digest *doc, struct verify_step *s)
{
    const struct verify_digest *d = &v->digests[index];
    wm_buf_clear(&v->message);
    for (size_t i = 0; i < doc->n_files; i++) {
        const struct verify_object *o = verify_find(v, doc->files[i].key);
        if (!o || o->listed_by != VERIFY_NONE || (v->bucket.len && !wm_view_eq(doc->files[i].bucket, v->bucket)))
            return false; /* has something to say */
        wm_buf_add_view(&v->message, o->key);
        wm_buf_addf(&v->message, " %llu %lld\n", (unsigned long long)o->size, (long long)o->modified.ns);
    }
    if (wm_buf_status(&v->message) != WM_OK)
        return false; /* then it is read once more */
    wm_sha256(v->message.data, v->message.len, s->stamp);
    s->known = verify_resume_find(v, d, s->stamp);
    return s->known != NULL;
}

static void chain_skip_files(struct verify *v, size_t index, const struct wm_digest *doc, struct verify_step *s)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < doc->n_files; i++) {
        struct verify_object *o = verify_find(v, doc->files[i].key);
        o->listed_by = index;
        o->has_hash = wm_hex_decode(doc->files[i].hash_hex, o->hash, sizeof o->hash);
        bytes += o->size;
        if (i == 0)
            s->first = o;
    }
    atomic_fetch_add_explicit(&v->pool.objects_done, doc->n_files, memory_order_relaxed);
    atomic_fetch_add_explicit(&v->pool.bytes_done, bytes, memory_order_relaxed);
}

static void chain_files(struct verify *v, size_t index, const struct wm_digest *doc)
{
    const struct verify_digest *d = &v->digests[index];
    for (size_t i = 0; i < doc->n_files && v->failed == WM_OK; i++) {
        struct verify_object *o = chain_list_entry(v, d, index, &doc->files[i]);
        struct verify_step *s = o ? verify_plan(v, VERIFY_STEP_FILE) : NULL;
        if (!s)
            continue;
        s->object = o;
        s->digest = index;
        s->task.trail = d->trail;
        /* lower case, as chain_hash_is() and the AWS CLI want it */
        s->want_valid = wm_hex_decode(doc->files[i].hash_hex, s->want, sizeof s->want) &&
                        chain_hash_is(s->want, doc->files[i].hash_hex);
        verify_planned(v, s);
    }
}

/* ---- chains ---- */

/* Digests are read ahead of the walk. */
static struct verify_task *chain_ahead(struct verify *v, size_t index)
{
    size_t ahead = 2 * (size_t)v->pool.n_workers;
    for (; v->ahead_next < v->ahead_end && v->ahead_next < index + ahead; v->ahead_next++) {
        struct verify_task *t = &v->ahead[v->ahead_next % VERIFY_DIGESTS_AHEAD];
        *t = (struct verify_task){.kind = VERIFY_TASK_DIGEST, .object = &v->objects[v->digests[v->ahead_next].object]};
        verify_pool_submit(&v->pool, t);
    }
    return &v->ahead[index % VERIFY_DIGESTS_AHEAD];
}

/* Plan what one digest gives. @param first  it is the first that is read of its chain */
static void chain_step(struct verify *v, size_t index, const struct verify_task *t, const struct verify_digest *before)
{
    struct verify_digest *d = &v->digests[index];
    const struct wm_digest *doc = &t->document.doc;
    uint64_t said = v->said_planned;
    chain_digest(v, d, t);
    bool listed = d->state == VERIFY_GOOD || d->state == VERIFY_BAD;
    if (listed)
        chain_link(v, d, doc, before);
    struct verify_step *s = verify_plan(v, VERIFY_STEP_DIGEST);
    if (!s)
        return;
    s->digest = index;
    s->good = d->state == VERIFY_GOOD;
    s->n_files = listed ? doc->n_files : 0;
    s->jump = !before || d->starting ? VERIFY_JUMP_ANY : said != v->said_planned ? VERIFY_JUMP_HIGHER : VERIFY_JUMP_NOT;
    bool known = s->good && chain_files_known(v, index, doc, s);
    if (known)
        chain_skip_files(v, index, doc, s);
    verify_planned(v, s);
    if (listed && !known)
        chain_files(v, index, doc);
}

/* Does the digest cover some of the time that is asked for? Its key says when it ends, the one before when it begins. */
static bool chain_wanted(const struct verify *v, size_t first, size_t index)
{
    return v->digests[index].key_s > v->from_s && (index == first || v->digests[index - 1].key_s < v->until_s);
}

/* Up to when the chain's newest digest says that files are listed. A backfill chain has no pace, and seals nothing but what
 * it lists. @param newest  NULL: none is in its place */
static void chain_seals(struct verify *v, const struct verify_digest *newest)
{
    if (!newest || newest->backfill)
        return;
    struct verify_trail *t = &v->trails[newest->trail_index];
    int64_t period_s = newest->starting ? CHAIN_STARTING_PERIOD_S : newest->end_s - newest->start_s;
    t->sealed = true;
    t->end_s = newest->end_s;
    t->period_s = period_s > 0 ? period_s : 0;
}

/* Walk digests [first, end), which are those wanted of one chain. */
static void chain_walk(struct verify *v, size_t first, size_t end)
{
    const struct verify_digest *before = NULL;
    for (size_t i = first; i < end && v->failed == WM_OK; i++) {
        struct verify_task *t = chain_ahead(v, i);
        if (verify_await(v, t))
            chain_step(v, i, t, before);
        v->ahead_first = i + 1;
        wm_arena_done(&t->document.arena);
        if (v->digests[i].state != VERIFY_MOVED)
            before = &v->digests[i];
    }
    struct verify_step *s = v->failed == WM_OK ? verify_plan(v, VERIFY_STEP_CHAIN) : NULL;
    if (!s)
        return;
    verify_planned(v, s);
    v->result->chains++;
    chain_seals(v, before);
}

void verify_chains(struct verify *v)
{
    for (size_t i = 0; i < v->n_digests && v->failed == WM_OK;) {
        size_t end = i + 1, first, last;
        while (end < v->n_digests && verify_compare_chains(&v->digests[i], &v->digests[end]) == 0)
            end++;
        for (first = i; first < end && !chain_wanted(v, i, first);)
            first++;
        for (last = first; last < end && chain_wanted(v, i, last);)
            last++;
        i = end;
        if (!v->trails[v->digests[end - 1].trail_index].wanted)
            continue;
        if (first == last) { /* all are older than what is asked for: the newest one's name says up to when */
            chain_seals(v, &v->digests[end - 1]);
            continue;
        }
        v->ahead_next = first;
        v->ahead_end = last;
        v->ahead_first = first;
        chain_walk(v, first, last);
    }
}
