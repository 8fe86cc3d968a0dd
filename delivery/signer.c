/*
 * Which key signs: makes, lists, rotates and destroys them. What a key is and where it lies is in rsa.c and key_*.c.
 *
 * public-keys.json lists every key ever used, oldest first. A new key's private part is durable before its public part,
 * and nothing is signed before both are: whatever crashes in between leaves a private key that has signed nothing. Such
 * a key, and one whose list entry was lost, is taken up again at the next start, because a public key must never be
 * missing for a signature that exists.
 */
#include "waymark/signer.h"

#include <stdio.h>
#include <stdlib.h>

#include "delivery/key_store.h"
#include "delivery/keyring.h"
#include "waymark/bounds.h"
#include "waymark/hash.h"
#include "waymark/log.h"
#include "waymark/sync.h"

#include "waymark/banned.h"

#define SIGNER_ROTATE_S (20ll * 86400)
#define SIGNER_VALID_S (30ll * 86400)

struct wm_signer {
    struct wm_signer_options o; /* constant after open, but for what the secrets' owners wipe */
    char dir[WM_MAX_PATH_BYTES], list[WM_MAX_PATH_BYTES];
    struct {
        struct wm_mutex mu;
        struct wm_keyring *ring;
        struct wm_key_store *store;
        bool files_gone; /* of the keys that a token has taken over from */
    } locked;
};

/* ---- what is told ---- */

static enum wm_status signer_record(const struct wm_signer *s, const char *name, const struct wm_public_key *k,
                                    struct wm_err *err)
{
    if (!s->o.record)
        return WM_OK;
    char details[512], from[WM_TIME_ISO_BYTES], until[WM_TIME_ISO_BYTES];
    wm_time_iso(k->valid_from, from);
    wm_time_iso(k->valid_until, until);
    int n = snprintf(details, sizeof details,
                     "{\"fingerprint\":\"%s\",\"signatureAlgorithm\":\"SHA256withRSA\",\"keyStore\":\"%s\","
                     "\"encrypted\":%s,\"validityStartTime\":\"%s\",\"validityEndTime\":\"%s\"}",
                     k->fingerprint, s->locked.store->kind,
                     wm_secret_line(&s->o.passphrases, 0).len || s->o.token_uri ? "true" : "false", from, until);
    WM_ASSERT(n > 0 && (size_t)n < sizeof details);
    return s->o.record(s->o.record_arg, name, (struct wm_view){details, (size_t)n}, err);
}

static enum wm_status signer_post(const struct wm_signer *s, const struct wm_public_key *k, struct wm_err *err)
{
    if (!s->o.board)
        return WM_OK;
    struct wm_board_key post = {.valid_from = k->valid_from, .valid_until = k->valid_until};
    if (!wm_view_copy(wm_view_of(k->value), post.value, sizeof post.value) ||
        !wm_view_copy(wm_view_of(k->fingerprint), post.fingerprint, sizeof post.fingerprint))
        return wm_fail(err, WM_E_LIMIT, "public key %s is too long for the status board", k->fingerprint);
    enum wm_status status = wm_board_post_key(s->o.board, &post);
    if (status != WM_OK)
        return wm_fail(err, status, "the status board does not take public key %s", k->fingerprint);
    return WM_OK;
}

/* ---- keys come ---- */

/* List, record and show a key whose private part is durable. Takes it over. */
static enum wm_status signer_add(struct wm_signer *s, const char *event, struct wm_public_key *k, struct wm_err *err)
{
    struct wm_keyring *ring = s->locked.ring;
    k->held = true;
    k->valid_from = wm_wall_from_seconds(wm_wall_seconds(k->valid_from));
    k->valid_until.ns = k->valid_from.ns + SIGNER_VALID_S * WM_NS_PER_S;
    if (wm_rsa_signature_bytes(k->rsa) != WM_SIGNATURE_BYTES)
        return wm_fail(err, WM_E_INVALID, "the %s's key %s has %zu bits; digests are signed with %d", s->locked.store->kind,
                       k->fingerprint, 8 * wm_rsa_signature_bytes(k->rsa), 8 * WM_SIGNATURE_BYTES);
    enum wm_status status = signer_record(s, event, k, err);
    if (status == WM_OK)
        status = wm_keyring_add(ring, k, err);
    if (status != WM_OK)
        return status;
    status = wm_keyring_save(ring, s->o.io, s->list, err);
    if (status == WM_OK)
        status = signer_post(s, &ring->at[ring->n - 1], err);
    if (status != WM_OK) { /* not durable, or not shown: it must not sign */
        wm_public_key_done(&ring->at[--ring->n]);
        return status;
    }
    wm_log(WM_EV_KEY_MADE, "fingerprint=%s folder=%s store=%s event=%s", ring->at[ring->n - 1].fingerprint, s->dir,
           s->locked.store->kind, event);
    return WM_OK;
}

struct signer_look {
    struct wm_signer *s;
    struct wm_wall_ns when; /* from then on a key is valid of which nobody knows how old it is */
};

static enum wm_status signer_found(void *arg, const struct wm_key_found *found, struct wm_err *err)
{
    struct signer_look *look = arg;
    struct wm_signer *s = look->s;
    struct wm_public_key fresh = {0};
    enum wm_status status = wm_public_key_of(found->public_part, &fresh, err);
    struct wm_public_key *known = status == WM_OK ? wm_keyring_find(s->locked.ring, wm_view_of(fresh.fingerprint)) : NULL;
    if (known) {
        known->held = true;
    } else if (status == WM_OK) {
        fresh.valid_from = found->made.ns ? found->made : look->when;
        char fingerprint[WM_FINGERPRINT_BYTES];
        memcpy(fingerprint, fresh.fingerprint, sizeof fingerprint);
        status = signer_add(s, "AdoptSigningKey", &fresh, err);
        known = status == WM_OK ? wm_keyring_find(s->locked.ring, wm_view_of(fingerprint)) : NULL;
    }
    if (status == WM_OK && found->encrypted_now) {
        wm_log(WM_EV_KEY_ENCRYPTED, "fingerprint=%s folder=%s", known->fingerprint, s->dir);
        status = signer_record(s, "EncryptSigningKey", known, err);
    }
    wm_public_key_done(&fresh);
    return status;
}

static enum wm_status signer_look_locked(struct wm_signer *s, struct wm_wall_ns when, struct wm_err *err)
    WM_REQUIRES(&s->locked.mu);
static enum wm_status signer_look_locked(struct wm_signer *s, struct wm_wall_ns when, struct wm_err *err)
{
    wm_mutex_assert_held(&s->locked.mu);
    struct signer_look look = {s, when};
    return s->locked.store->look(s->locked.store, signer_found, &look, err);
}

static enum wm_status signer_make_locked(struct wm_signer *s, struct wm_wall_ns when, struct wm_err *err)
    WM_REQUIRES(&s->locked.mu);
static enum wm_status signer_make_locked(struct wm_signer *s, struct wm_wall_ns when, struct wm_err *err)
{
    wm_mutex_assert_held(&s->locked.mu);
    struct wm_key_store *store = s->locked.store;
    struct wm_rsa *public_part;
    struct wm_public_key fresh = {0};
    enum wm_status status = store->make(store, &public_part, err);
    if (status != WM_OK)
        return status;
    status = wm_public_key_of(public_part, &fresh, err);
    wm_rsa_free(public_part);
    if (status != WM_OK)
        return status; /* taken up at the next look */
    char fingerprint[WM_FINGERPRINT_BYTES];
    memcpy(fingerprint, fresh.fingerprint, sizeof fingerprint);
    fresh.valid_from = when;
    status = signer_add(s, "CreateSigningKey", &fresh, err);
    wm_public_key_done(&fresh);
    if (status != WM_OK)
        (void)store->destroy(store, fingerprint, NULL); /* it has signed nothing; what stays is taken up later */
    return status;
}

/* ---- keys go ---- */

static void signer_destroy_failed(const char *which, const struct wm_err *why)
{
    wm_log(WM_EV_KEY_NOT_DESTROYED, "key=\"%s\" reason=\"%s\"", which, why->message);
}

/* What ended before `when`. A clock that ran ahead may end a key too early: then another is made, and nothing is lost. */
static void signer_retire_locked(struct wm_signer *s, struct wm_wall_ns when) WM_REQUIRES(&s->locked.mu);
static void signer_retire_locked(struct wm_signer *s, struct wm_wall_ns when)
{
    wm_mutex_assert_held(&s->locked.mu);
    for (size_t i = 0; i < s->locked.ring->n; i++) {
        struct wm_public_key *k = &s->locked.ring->at[i];
        if (!k->held || k->valid_until.ns >= when.ns)
            continue;
        struct wm_err why = {0};
        enum wm_status status = k->retired ? WM_OK : signer_record(s, "DestroySigningKey", k, &why);
        k->retired = k->retired || status == WM_OK; /* told once, however often it is tried */
        if (status == WM_OK)
            status = s->locked.store->destroy(s->locked.store, k->fingerprint, &why);
        if (status != WM_OK) {
            signer_destroy_failed(k->fingerprint, &why);
            continue; /* tried again at the next digest */
        }
        k->held = false;
        wm_log(WM_EV_KEY_DESTROYED, "fingerprint=%s", k->fingerprint);
    }
}

/* Files of keys from before there was a token: nobody is to sign with them any more. */
static enum wm_status signer_retire_file(void *arg, const char *fingerprint, struct wm_err *err)
{
    struct wm_signer *s = arg;
    const struct wm_public_key *k = wm_keyring_find(s->locked.ring, wm_view_of(fingerprint));
    enum wm_status status = k ? signer_record(s, "DestroySigningKey", k, err) : WM_OK;
    if (status == WM_OK)
        wm_log(WM_EV_KEY_DESTROYED, "fingerprint=%s folder=%s", fingerprint, s->dir);
    return status;
}

static void signer_retire_files_locked(struct wm_signer *s) WM_REQUIRES(&s->locked.mu);
static void signer_retire_files_locked(struct wm_signer *s)
{
    wm_mutex_assert_held(&s->locked.mu);
    struct wm_err why = {0};
    s->locked.files_gone = wm_key_files_destroy_all(s->o.io, s->dir, signer_retire_file, s, &why) == WM_OK;
    if (!s->locked.files_gone)
        signer_destroy_failed("in files", &why);
}

/* ---- open and close ---- */

static enum wm_status signer_open_store(struct wm_signer *s, struct wm_err *err)
{
    const struct wm_signer_options *o = &s->o;
    enum wm_status status = wm_io_make_dirs(o->io, s->dir, 0700, err);
    if (status != WM_OK)
        return status;
    status = wm_keyring_open(o->io, s->list, &s->locked.ring, err);
    if (status == WM_E_NOT_FOUND) { /* the first start */
        s->locked.ring = wm_keyring_new();
        status = s->locked.ring ? WM_OK : wm_fail(err, WM_E_NOMEM, "no memory for a keyring");
    }
    if (status != WM_OK)
        return status;
    return o->token_uri ? wm_key_token_open(o->token_uri, o->token_module, &o->token_pin, &s->locked.store, err)
                        : wm_key_files_open(o->io, s->dir, &o->passphrases, &s->locked.store, err);
}

enum wm_status wm_signer_open(const struct wm_signer_options *o, struct wm_signer **out, struct wm_err *err)
{
    struct wm_signer *s = calloc(1, sizeof *s);
    if (!s) {
        struct wm_secret passphrases = o->passphrases, pin = o->token_pin;
        wm_secret_done(&passphrases);
        wm_secret_done(&pin);
        return wm_fail(err, WM_E_NOMEM, "no memory for a signer");
    }
    s->o = *o;
    if (s->o.token_uri && s->o.token_uri[0] == '\0')
        s->o.token_uri = NULL;
    wm_mutex_init(&s->locked.mu);
    enum wm_status status = WM_OK;
    int n = snprintf(s->list, sizeof s->list, "%s/public-keys.json", o->dir);
    if (n < 0 || (size_t)n >= sizeof s->list || !wm_view_copy(wm_view_of(o->dir), s->dir, sizeof s->dir))
        status = wm_fail(err, WM_E_LIMIT, "the path of the keys is too long");
    wm_mutex_lock(&s->locked.mu);
    if (status == WM_OK)
        status = signer_open_store(s, err);
    for (size_t i = 0; status == WM_OK && i < s->locked.ring->n; i++)
        status = signer_post(s, &s->locked.ring->at[i], err);
    if (status == WM_OK)
        status = signer_look_locked(s, wm_clock_wall(o->clock), err);
    wm_mutex_unlock(&s->locked.mu);
    if (status != WM_OK) {
        wm_signer_close(s);
        return status;
    }
    *out = s;
    return WM_OK;
}

void wm_signer_close(struct wm_signer *s)
{
    if (!s)
        return;
    if (s->locked.store)
        s->locked.store->close(s->locked.store); /* OpenSSL wipes private numbers as it frees them */
    wm_keyring_free(s->locked.ring);
    wm_secret_done(&s->o.passphrases);
    wm_secret_done(&s->o.token_pin);
    wm_mutex_done(&s->locked.mu);
    free(s);
}

/* ---- the key of a digest ---- */

/* The newest key that is valid at `when`: keys from a clock that ran ahead for a while are left alone. */
static const struct wm_public_key *signer_best_locked(struct wm_signer *s, struct wm_wall_ns when)
    WM_REQUIRES(&s->locked.mu);
static const struct wm_public_key *signer_best_locked(struct wm_signer *s, struct wm_wall_ns when)
{
    wm_mutex_assert_held(&s->locked.mu);
    const struct wm_public_key *best = NULL;
    for (size_t i = 0; i < s->locked.ring->n; i++) {
        const struct wm_public_key *k = &s->locked.ring->at[i];
        if (k->held && k->valid_from.ns <= when.ns && when.ns < k->valid_until.ns &&
            (!best || k->valid_from.ns > best->valid_from.ns))
            best = k;
    }
    return best;
}

static bool is_fresh(const struct wm_public_key *k, struct wm_wall_ns when)
{
    return k && when.ns < k->valid_from.ns + SIGNER_ROTATE_S * WM_NS_PER_S;
}

/* Key making writes files under the lock: it happens each 20 days, and whoever else asks needs its result. */
static enum wm_status signer_key_for_locked(struct wm_signer *s, struct wm_wall_ns when,
                                            char out_fingerprint[WM_FINGERPRINT_BYTES], struct wm_err *err)
    WM_REQUIRES(&s->locked.mu);
static enum wm_status signer_key_for_locked(struct wm_signer *s, struct wm_wall_ns when,
                                            char out_fingerprint[WM_FINGERPRINT_BYTES], struct wm_err *err)
{
    wm_mutex_assert_held(&s->locked.mu);
    const struct wm_public_key *best = signer_best_locked(s, when);
    if (!is_fresh(best, when)) {
        struct wm_err why = {0};
        enum wm_status status = signer_look_locked(s, when, &why); /* somebody may have put one on the token */
        if (status == WM_OK && !is_fresh(signer_best_locked(s, when), when))
            status = signer_make_locked(s, when, &why);
        best = signer_best_locked(s, when);
        if (!best) {
            if (err)
                *err = why;
            return status;
        }
        if (status != WM_OK)
            wm_log(WM_EV_KEY_NOT_MADE, "fingerprint=%s reason=\"%s\"", best->fingerprint, why.message);
    }
    memcpy(out_fingerprint, best->fingerprint, WM_FINGERPRINT_BYTES);
    signer_retire_locked(s, when);
    if (s->o.token_uri && !s->locked.files_gone)
        signer_retire_files_locked(s);
    return WM_OK;
}

enum wm_status wm_signer_key_for(struct wm_signer *s, struct wm_wall_ns when,
                                 char out_fingerprint[WM_FINGERPRINT_BYTES], struct wm_err *err)
{
    wm_mutex_lock(&s->locked.mu);
    enum wm_status status = signer_key_for_locked(s, when, out_fingerprint, err);
    wm_mutex_unlock(&s->locked.mu);
    return status;
}

/* ---- signing ---- */

static enum wm_status signer_sign_locked(struct wm_signer *s, const char *fingerprint, struct wm_view text,
                                         uint8_t signature[WM_SIGNATURE_BYTES], struct wm_err *err)
    WM_REQUIRES(&s->locked.mu);
static enum wm_status signer_sign_locked(struct wm_signer *s, const char *fingerprint, struct wm_view text,
                                         uint8_t signature[WM_SIGNATURE_BYTES], struct wm_err *err)
{
    wm_mutex_assert_held(&s->locked.mu);
    struct wm_public_key *k = wm_keyring_find(s->locked.ring, wm_view_of(fingerprint));
    if (!k || !k->held)
        return wm_fail(err, WM_E_NOT_FOUND, "no private key with fingerprint %s (%s)", fingerprint, s->locked.store->kind);
    enum wm_status status = k->used ? WM_OK : signer_record(s, "UseSigningKey", k, err);
    if (status != WM_OK)
        return status;
    k->used = true;
    status = s->locked.store->sign(s->locked.store, fingerprint, text, signature, err);
    if (status != WM_OK)
        return status;
    /* A token, or memory, that is broken must show here and not years later: the digest could not be put again. */
    status = wm_rsa_verify(k->rsa, text, signature, err);
    return status == WM_E_DENIED ? wm_fail(err, WM_E_FAILED, "key %s made a signature that does not hold", fingerprint)
                                 : status;
}

enum wm_status wm_signer_sign(struct wm_signer *s, const char *fingerprint, struct wm_view text,
                              char out_hex[WM_SIGNATURE_HEX_BYTES], struct wm_err *err)
{
    uint8_t signature[WM_SIGNATURE_BYTES];
    wm_mutex_lock(&s->locked.mu);
    enum wm_status status = signer_sign_locked(s, fingerprint, text, signature, err);
    wm_mutex_unlock(&s->locked.mu);
    if (status == WM_OK) {
        wm_hex(signature, sizeof signature, out_hex);
        out_hex[WM_SIGNATURE_HEX_BYTES - 1] = '\0';
    }
    return status;
}
