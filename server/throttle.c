/*
 * Token buckets. A bucket is not kept as what it holds but as what it lacks, so that all zeros is a full one: a table
 * fresh from calloc() is empty, and a place whose bucket lacks nothing is free.
 *
 * What is lacking is counted in 1e-9 calls. Then `rate` calls a second are exactly `rate` such parts a ns, for any whole
 * rate, and nothing is ever rounded but the time that a caller is told to wait, upwards.
 *
 * A table is many small sets; a key belongs to one of them, by a hash that nobody outside can know, so that nobody can
 * aim at a set.
 */
#include "waymark/throttle.h"

#include <assert.h>
#include <stdlib.h>

#include "server/source_ip.h"
#include "waymark/hash.h"
#include "waymark/sync.h"

#include "waymark/banned.h"

#define SETS 4096u
#define PLACES 8u
#define LOCKS 64u
#define KEY_BYTES 16u
#define SECRET_BYTES 32u
#define ONE_CALL WM_NS_PER_S
static_assert((int64_t)WM_THROTTLE_MAX * ONE_CALL < INT64_MAX / 2, "what a bucket lacks can be counted");

struct bucket {
    int64_t lacks; /* in 1e-9 calls, 0 to burst */
    int64_t at_ns; /* at this moment */
};

struct place {
    uint8_t key[KEY_BYTES]; /* means something only while the bucket lacks something */
    struct bucket bucket;
};

struct set {
    struct bucket shared; /* of all who find no place */
    struct place places[PLACES];
};

struct table {
    struct wm_throttle_limit limit;
    struct set *sets; /* NULL: no limit */
    struct wm_mutex locks[LOCKS];
};

struct wm_throttle {
    uint8_t secret[SECRET_BYTES];
    struct table tables[2]; /* by kind */
};

static void bucket_fill(struct bucket *b, int64_t rate, int64_t now_ns)
{
    int64_t passed = now_ns - b->at_ns;
    if (passed <= 0) /* another thread has looked at the clock later */
        return;
    /* No overflow: where the time would fill more than is lacking, it is not multiplied. */
    b->lacks = passed > b->lacks / rate ? 0 : b->lacks - passed * rate;
    b->at_ns = now_ns;
}

/* As wm_throttle_take(). */
static int64_t bucket_take(struct bucket *b, const struct wm_throttle_limit *limit)
{
    int64_t over = b->lacks - (limit->burst - 1) * ONE_CALL;
    if (over > 0)
        return (over + limit->rate - 1) / limit->rate;
    b->lacks += ONE_CALL;
    return 0;
}

/* The bucket of a key: its own; else a free place; else the shared one. */
static struct bucket *set_find(struct set *set, const uint8_t key[KEY_BYTES], int64_t rate, int64_t now_ns)
{
    struct place *vacant = NULL;
    for (size_t i = 0; i < PLACES; i++) {
        struct place *p = &set->places[i];
        bucket_fill(&p->bucket, rate, now_ns);
        if (p->bucket.lacks == 0)
            vacant = p; /* its own too, if it is full: then any other full one is as good */
        else if (memcmp(p->key, key, KEY_BYTES) == 0)
            return &p->bucket;
    }
    bucket_fill(&set->shared, rate, now_ns);
    if (!vacant)
        return &set->shared;
    memcpy(vacant->key, key, KEY_BYTES);
    vacant->bucket = set->shared;
    return &vacant->bucket;
}

/* A role's session ends in /NAME (IAM User Guide, "IAM identifiers": arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION). */
static struct wm_view without_session(struct wm_view arn)
{
    struct wm_view rest = arn, resource = WM_EMPTY;
    for (int part = 0; part < 6; part++)
        resource = part == 5 ? rest : wm_view_split(&rest, ':');
    return wm_view_starts(resource, "assumed-role/") ? wm_view_sub(arn, 0, wm_view_rfind(arn, '/')) : arn;
}

int64_t wm_throttle_take(struct wm_throttle *t, enum wm_throttle_kind kind, struct wm_view who, struct wm_mono_ns now)
{
    struct table *table = &t->tables[kind];
    uint8_t network[WM_IP_BYTES], hash[WM_SHA256_BYTES];
    if (!table->sets)
        return 0;
    if (kind == WM_THROTTLE_PRINCIPAL)
        who = without_session(who);
    else if (wm_ip_network(who, network))
        who = (struct wm_view){(const char *)network, sizeof network};
    wm_hmac_sha256(t->secret, sizeof t->secret, who.ptr, who.len, hash);
    size_t n = wm_get_le32(hash + KEY_BYTES) % SETS;
    struct wm_mutex *lock = &table->locks[n % LOCKS];
    wm_mutex_lock(lock);
    struct bucket *b = set_find(&table->sets[n], hash, table->limit.rate, now.ns);
    int64_t wait_ns = bucket_take(b, &table->limit);
    wm_mutex_unlock(lock);
    return wait_ns;
}

struct wm_view wm_throttle_sentence(const struct wm_throttle *t, enum wm_throttle_kind kind, struct wm_view who,
                                    int64_t wait_s, struct wm_arena *a)
{
    const struct wm_throttle_limit *limit = &t->tables[kind].limit;
    const char *name = kind == WM_THROTTLE_SOURCE ? "source" : "principal";
    return wm_arena_printf(a, "Too many calls by %s %.*s: at most %lld a second and %lld at once are taken "
                           "(throttle.%s_rate, throttle.%s_burst); come again in %lld s",
                           name, WM_ARG(kind == WM_THROTTLE_PRINCIPAL ? without_session(who) : who),
                           (long long)limit->rate, (long long)limit->burst, name, name, (long long)wait_s);
}

static enum wm_status table_init(struct table *table, struct wm_throttle_limit limit)
{
    for (size_t i = 0; i < LOCKS; i++)
        wm_mutex_init(&table->locks[i]);
    table->limit = limit;
    if (limit.rate == 0)
        return WM_OK;
    if (limit.burst == 0)
        table->limit.burst = limit.rate;
    table->sets = calloc(SETS, sizeof *table->sets);
    return table->sets ? WM_OK : WM_E_NOMEM;
}

enum wm_status wm_throttle_new(struct wm_throttle_limit source, struct wm_throttle_limit principal,
                               struct wm_throttle **out, struct wm_err *err)
{
    struct wm_throttle *t = NULL;
    if (source.rate || principal.rate) {
        t = calloc(1, sizeof *t);
        if (!t)
            return wm_fail(err, WM_E_NOMEM, "no memory for the limits of calls");
        wm_random(t->secret, sizeof t->secret);
        enum wm_status by_source = table_init(&t->tables[WM_THROTTLE_SOURCE], source);
        enum wm_status by_principal = table_init(&t->tables[WM_THROTTLE_PRINCIPAL], principal);
        if (by_source != WM_OK || by_principal != WM_OK) {
            wm_throttle_free(t);
            return wm_fail(err, WM_E_NOMEM, "no memory for the limits of calls");
        }
    }
    *out = t;
    return WM_OK;
}

void wm_throttle_free(struct wm_throttle *t)
{
    if (!t)
        return;
    for (size_t kind = 0; kind < 2; kind++) {
        for (size_t i = 0; i < LOCKS; i++)
            wm_mutex_done(&t->tables[kind].locks[i]);
        free(t->tables[kind].sets);
    }
    wm_wipe(t->secret, sizeof t->secret);
    free(t);
}
