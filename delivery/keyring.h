/* Inside of a keyring, for the signer, which keeps one of its own keys. */
#ifndef DELIVERY_KEYRING_H
#define DELIVERY_KEYRING_H

#include "delivery/rsa.h"
#include "waymark/clock.h"
#include "waymark/keyring.h"

struct wm_public_key {
    char *value; /* base64 of the public DER as listed */
    char fingerprint[WM_FINGERPRINT_BYTES];
    struct wm_wall_ns valid_from, valid_until;
    struct wm_rsa *rsa;
    /* the signer's: the private part is at hand; has signed since the start; its end has been recorded */
    bool held, used, retired;
};

struct wm_keyring {
    struct wm_public_key *at; /* in the order of the file: oldest first */
    size_t n, cap;
};

/** The public key of an RSA key, with its value and fingerprint. @param out  released with wm_public_key_done() */
enum wm_status wm_public_key_of(const struct wm_rsa *rsa, struct wm_public_key *out, struct wm_err *err) WM_MUST_CHECK;
void wm_public_key_done(struct wm_public_key *k);

/** An empty one; NULL when memory is short. */
struct wm_keyring *wm_keyring_new(void);
/** Takes the key over on WM_OK. */
enum wm_status wm_keyring_add(struct wm_keyring *ring, struct wm_public_key *k, struct wm_err *err) WM_MUST_CHECK;
struct wm_public_key *wm_keyring_find(const struct wm_keyring *ring, struct wm_view fingerprint); /* NULL: none */
/** Replace the file, durably. */
enum wm_status wm_keyring_save(const struct wm_keyring *ring, const struct wm_io *io, const char *path,
                               struct wm_err *err) WM_MUST_CHECK;

#endif
