#include "waymark/board.h"

#include <stdlib.h>

#include "waymark/sync.h"

#include "waymark/banned.h"

struct wm_board {
    struct wm_mutex mu;
    struct wm_board_trail *trails; /* in the order of their first posting */
    size_t n_trails;
    struct wm_board_key *keys;     /* by valid_from, oldest first */
    size_t n_keys;
    size_t cap_keys;
};

struct wm_board *wm_board_new(void)
{
    struct wm_board *b = calloc(1, sizeof *b);
    if (!b)
        return NULL;
    b->trails = calloc(WM_BOARD_MAX_TRAILS, sizeof *b->trails);
    if (!b->trails) {
        free(b);
        return NULL;
    }
    wm_mutex_init(&b->mu);
    return b;
}

void wm_board_free(struct wm_board *b)
{
    if (!b)
        return;
    wm_mutex_done(&b->mu);
    free(b->keys);
    free(b->trails);
    free(b);
}

static struct wm_board_trail *find_trail_locked(struct wm_board *b, struct wm_view name_or_arn) WM_REQUIRES(b->mu)
{
    if (name_or_arn.len == 0) /* a trail's ARN may not be known yet: "" names none */
        return NULL;
    for (size_t i = 0; i < b->n_trails; i++)
        if (wm_view_eq_str(name_or_arn, b->trails[i].name) || wm_view_eq_str(name_or_arn, b->trails[i].arn))
            return &b->trails[i];
    return NULL;
}

enum wm_status wm_board_post_trail(struct wm_board *b, const struct wm_board_trail *t)
{
    enum wm_status status = WM_OK;
    wm_mutex_lock(&b->mu);
    struct wm_board_trail *at = find_trail_locked(b, wm_view_of(t->name));
    if (!at && b->n_trails == WM_BOARD_MAX_TRAILS) {
        status = WM_E_LIMIT;
    } else {
        if (!at)
            at = &b->trails[b->n_trails++];
        *at = *t;
    }
    wm_mutex_unlock(&b->mu);
    return status;
}

size_t wm_board_trails(struct wm_board *b, struct wm_board_trail *out, size_t max)
{
    wm_mutex_lock(&b->mu);
    size_t n = b->n_trails < max ? b->n_trails : max;
    if (n)
        memcpy(out, b->trails, n * sizeof *out);
    wm_mutex_unlock(&b->mu);
    return n;
}

bool wm_board_find_trail(struct wm_board *b, struct wm_view name_or_arn, struct wm_board_trail *out)
{
    wm_mutex_lock(&b->mu);
    const struct wm_board_trail *at = find_trail_locked(b, name_or_arn);
    if (at)
        *out = *at;
    wm_mutex_unlock(&b->mu);
    return at != NULL;
}

static enum wm_status post_key_locked(struct wm_board *b, const struct wm_board_key *k) WM_REQUIRES(b->mu)
{
    for (size_t i = 0; i < b->n_keys; i++)
        if (strcmp(b->keys[i].fingerprint, k->fingerprint) == 0) { /* again, perhaps with another validity */
            memmove(&b->keys[i], &b->keys[i + 1], (b->n_keys - i - 1) * sizeof *k);
            b->n_keys--;
            break;
        }
    if (b->n_keys == WM_BOARD_MAX_KEYS)
        return WM_E_LIMIT;
    if (b->n_keys == b->cap_keys) {
        size_t cap = b->cap_keys ? b->cap_keys * 2 : 4;
        struct wm_board_key *keys = realloc(b->keys, cap * sizeof *keys);
        if (!keys)
            return WM_E_NOMEM;
        b->keys = keys;
        b->cap_keys = cap;
    }
    size_t at = b->n_keys;
    while (at > 0 && b->keys[at - 1].valid_from.ns > k->valid_from.ns)
        at--;
    memmove(&b->keys[at + 1], &b->keys[at], (b->n_keys - at) * sizeof *k);
    b->keys[at] = *k;
    b->n_keys++;
    return WM_OK;
}

enum wm_status wm_board_post_key(struct wm_board *b, const struct wm_board_key *k)
{
    wm_mutex_lock(&b->mu);
    enum wm_status status = post_key_locked(b, k);
    wm_mutex_unlock(&b->mu);
    return status;
}

size_t wm_board_keys(struct wm_board *b, struct wm_wall_ns from, struct wm_wall_ns until, struct wm_board_key *out,
                     size_t max)
{
    size_t n = 0;
    wm_mutex_lock(&b->mu);
    for (size_t i = 0; i < b->n_keys && n < max; i++)
        if (b->keys[i].valid_from.ns <= until.ns && b->keys[i].valid_until.ns >= from.ns)
            out[n++] = b->keys[i];
    wm_mutex_unlock(&b->mu);
    return n;
}
