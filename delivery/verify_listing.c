/* What is there: the keys below the root, what each of them is by its name, and the chains that they make. */
#include "verify_int.h"

#include <stdlib.h>

#include "waymark/codec.h"

#include "waymark/banned.h"

/* ---- names ---- */

/* The file's name, which stands behind YEAR/MONTH/DAY/; empty when rest is anything else. */
static struct wm_view listing_dated_file(struct wm_view rest)
{
    for (int level = 0; level < 3; level++)
        if (wm_view_split(&rest, '/').len == 0)
            return WM_EMPTY;
    return wm_view_find(rest, '/') == rest.len ? rest : WM_EMPTY;
}

/* NAME_YYYYMMDDTHHMMSSZ[_backfill].json.gz */
static bool listing_read_digest_name(struct wm_view file, struct verify_digest *d)
{
    const struct wm_codec *codec = wm_codec_by_key(file);
    struct wm_wall_ns end;
    if (!codec)
        return false;
    file = wm_view_sub(file, 0, file.len - strlen(codec->suffix));
    d->backfill = wm_view_ends(file, "_backfill");
    if (d->backfill)
        file = wm_view_sub(file, 0, file.len - strlen("_backfill"));
    size_t at = wm_view_rfind(file, '_');
    d->stamp = wm_view_sub(file, at + 1, file.len);
    d->name = wm_view_sub(file, 0, at);
    if (d->name.len == 0 || d->stamp.len != WM_TIME_BASIC_BYTES - 1 || wm_time_parse(d->stamp, &end) != WM_OK)
        return false;
    d->key_s = d->start_s = d->end_s = wm_wall_seconds(end);
    return true;
}

/* ACCOUNT_CloudTrail-Digest_REGION_NAME_HOMEREGION; NAME, or nothing when the name is another. */
static struct wm_view listing_trail(const struct verify_digest *d)
{
    struct wm_view account = wm_view_sub(d->account, 0, d->account.len - 1), rest = d->name;
    size_t slash = wm_view_rfind(account, '/');
    account = wm_view_sub(account, slash == account.len ? 0 : slash + 1, account.len);
    const struct wm_view parts[] = {account, WM_LIT("CloudTrail-Digest"), d->region};
    for (size_t i = 0; i < 3; i++) {
        if (!wm_view_eq(wm_view_sub(rest, 0, parts[i].len), parts[i]) || rest.len <= parts[i].len ||
            rest.ptr[parts[i].len] != '_')
            return WM_EMPTY;
        rest = wm_view_sub(rest, parts[i].len + 1, rest.len);
    }
    size_t home = wm_view_rfind(rest, '_');
    return home == rest.len ? WM_EMPTY : wm_view_sub(rest, 0, home);
}

/* …_YYYYMMDDTHHmmZ_UNIQUE.json.gz; the beginning of its 5 minutes. */
bool verify_file_time(const struct verify_object *o, int64_t *out_s)
{
    struct wm_view file = wm_view_sub(o->key, (size_t)(o->region.ptr - o->key.ptr) + o->region.len + 1, o->key.len);
    file = listing_dated_file(file);
    const struct wm_codec *codec = wm_codec_by_key(file);
    char basic[WM_TIME_BASIC_BYTES];
    struct wm_wall_ns t;
    if (!codec)
        return false;
    file = wm_view_sub(file, 0, file.len - strlen(codec->suffix));
    size_t unique = wm_view_rfind(file, '_');
    if (unique + 1 >= file.len)
        return false;
    file = wm_view_sub(file, 0, unique);
    size_t at = wm_view_rfind(file, '_');
    struct wm_view stamp = wm_view_sub(file, at + 1, file.len);
    if (stamp.len != sizeof "20260301T1010Z" - 1)
        return false;
    memcpy(basic, stamp.ptr, 13);
    memcpy(basic + 13, "00", 2);
    basic[15] = stamp.ptr[13];
    basic[16] = '\0';
    if (wm_time_parse(wm_view_of(basic), &t) != WM_OK)
        return false;
    *out_s = wm_wall_seconds(t);
    return true;
}

void verify_classify(const struct verify *v, struct verify_object *o, struct verify_digest *d)
{
    struct wm_view rest = wm_view_sub(o->key, v->root.len, o->key.len);
    if (wm_view_starts(rest, "o-")) /* an organization trail's id */
        (void)wm_view_split(&rest, '/');
    (void)wm_view_split(&rest, '/');
    if (!rest.ptr)
        return;
    o->account = wm_view_sub(o->key, 0, (size_t)(rest.ptr - o->key.ptr));
    o->folder = wm_view_split(&rest, '/');
    if (rest.len == 0 || wm_view_ends(rest, "/")) /* consoles make such empty objects for folders */
        return;
    if (wm_view_eq_str(o->folder, "CloudTrail"))
        o->kind = VERIFY_FILE;
    else if (wm_view_eq_str(o->folder, "CloudTrail-Digest"))
        o->kind = VERIFY_ODD_DIGEST;
    o->region = wm_view_split(&rest, '/');
    if (!rest.ptr) /* nothing behind it: a file's name, and no region */
        o->region = (struct wm_view){o->region.ptr, 0};
    if (o->kind == VERIFY_ODD_DIGEST && listing_read_digest_name(listing_dated_file(rest), d)) {
        o->kind = VERIFY_DIGEST;
        d->key = o->key;
        d->account = o->account;
        d->region = o->region;
        d->trail = listing_trail(d);
    }
}

/* ---- the listing ---- */

void *verify_more(void *array, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return array;
    size_t more = *cap ? *cap * 2 : 256;
    void *grown = reallocarray(array, more, size);
    if (grown)
        *cap = more;
    return grown;
}

static enum wm_status listing_add(void *arg, const struct wm_store_object *listed)
{
    struct verify *v = arg;
    if (v->n_objects && wm_view_cmp(listed->key, v->objects[v->n_objects - 1].key) <= 0)
        return WM_OK; /* an earlier try came as far as here */
    struct verify_object o = {.key = wm_arena_copy(&v->names, listed->key), .size = listed->size,
                              .modified = listed->modified, .digest = VERIFY_NONE, .listed_by = VERIFY_NONE};
    struct verify_digest d = {0};
    if (!o.key.ptr)
        return wm_fail(v->err, WM_E_NOMEM, "no memory for a listing of %zu objects", v->n_objects);
    verify_classify(v, &o, &d);
    if (o.kind == VERIFY_DIGEST) {
        struct verify_digest *digests = verify_more(v->digests, v->n_digests, &v->cap_digests, sizeof *digests);
        if (!digests)
            return wm_fail(v->err, WM_E_NOMEM, "no memory for %zu digests", v->n_digests);
        d.object = v->n_objects;
        v->digests = digests;
        v->digests[v->n_digests++] = d;
    }
    if (o.kind == VERIFY_DIGEST || o.kind == VERIFY_FILE) {
        v->readable++;
        v->bytes += o.size;
    }
    struct verify_object *objects = verify_more(v->objects, v->n_objects, &v->cap_objects, sizeof *objects);
    if (!objects)
        return wm_fail(v->err, WM_E_NOMEM, "no memory for a listing of %zu objects", v->n_objects);
    v->objects = objects;
    v->objects[v->n_objects++] = o;
    return WM_OK;
}

static int listing_compare_key(const void *key, const void *object)
{
    return wm_view_cmp(*(const struct wm_view *)key, ((const struct verify_object *)object)->key);
}

struct verify_object *verify_find(const struct verify *v, struct wm_view key)
{
    if (v->n_objects == 0)
        return NULL;
    return bsearch(&key, v->objects, v->n_objects, sizeof *v->objects, listing_compare_key);
}

/* ---- chains ---- */

static int listing_compare_trails(const struct verify_digest *a, const struct verify_digest *b)
{
    int order = wm_view_cmp(a->account, b->account);
    if (order == 0)
        order = wm_view_cmp(a->region, b->region);
    return order ? order : wm_view_cmp(a->name, b->name);
}

int verify_compare_chains(const struct verify_digest *a, const struct verify_digest *b)
{
    int order = listing_compare_trails(a, b);
    return order ? order : a->backfill - b->backfill;
}

static int listing_compare_digests(const void *left, const void *right)
{
    const struct verify_digest *a = left, *b = right;
    int order = verify_compare_chains(a, b);
    if (order == 0)
        order = wm_view_cmp(a->stamp, b->stamp);
    return order ? order : wm_view_cmp(a->key, b->key);
}

static enum wm_status listing_make_trails(struct verify *v)
{
    for (size_t i = 0; i < v->n_digests; i++) {
        struct verify_digest *d = &v->digests[i];
        v->objects[d->object].digest = i;
        if (i == 0 || listing_compare_trails(&v->digests[i - 1], d) != 0) {
            struct verify_trail *trails = verify_more(v->trails, v->n_trails, &v->cap_trails, sizeof *trails);
            if (!trails)
                return wm_fail(v->err, WM_E_NOMEM, "no memory for %zu trails", v->n_trails);
            v->trails = trails;
            v->trails[v->n_trails++] = (struct verify_trail){
                .account = d->account, .region = d->region, .name = d->name,
                .wanted = v->o->trail.len == 0 || wm_view_eq(v->o->trail, d->trail)};
        }
        d->trail_index = v->n_trails - 1;
    }
    return WM_OK;
}

/* A listing that the store interrupts is begun once more; what is known by then is passed over. */
static enum wm_status listing_take(struct verify *v)
{
    struct wm_stop never;
    struct wm_err err = {0};
    enum wm_status status;
    wm_stop_init(&never); /* only its wait is wanted */
    for (int try = 0;; try++) {
        err = (struct wm_err){0};
        status = wm_store_list(v->o->stores[0], wm_buf_view(&v->root), listing_add, v, &err);
        bool busy = status == WM_E_UNAVAILABLE && err.http_status >= 500; /* whoever waits for a wrong name is told at once */
        if (!busy || try + 1 == VERIFY_TRIES)
            break;
        (void)wm_stop_wait_ms(&never, (int64_t)VERIFY_RETRY_MS << try); /* nobody requests a stop */
    }
    wm_stop_done(&never);
    if (status != WM_OK && v->err && err.message[0]) /* what listing_add() says is there already */
        *v->err = err;
    return status;
}

enum wm_status verify_list(struct verify *v)
{
    enum wm_status status = listing_take(v);
    if (status != WM_OK)
        return status;
    if (v->n_digests)
        qsort(v->digests, v->n_digests, sizeof *v->digests, listing_compare_digests);
    return listing_make_trails(v);
}
