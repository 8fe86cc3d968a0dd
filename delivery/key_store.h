/**
 * Where the private keys are: files of the key folder (key_file.c), or a PKCS#11 token (key_token.c). A store makes keys,
 * signs with them and destroys them; which key is in force when is the signer's business.
 *
 * @thread any, one at a time: the signer's lock is held
 */
#ifndef DELIVERY_KEY_STORE_H
#define DELIVERY_KEY_STORE_H

#include "delivery/rsa.h"
#include "waymark/clock.h"
#include "waymark/io.h"
#include "waymark/secret.h"
#include "waymark/status.h"

#define WM_SIGNATURE_BYTES 256 /* RSA-2048 */

struct wm_key_found {
    const struct wm_rsa *public_part; /* the store's, valid during the call */
    struct wm_wall_ns made;           /* 0 ns: unknown */
    bool encrypted_now;               /* it was in the clear, or under an older passphrase, and is no longer */
};

struct wm_key_store {
    const char *kind; /* "file" or "token" */
    /** Look what there is; keys may have come since the last time. What `each` returns other than WM_OK ends it. */
    enum wm_status (*look)(struct wm_key_store *s,
                           enum wm_status (*each)(void *arg, const struct wm_key_found *found, struct wm_err *err),
                           void *arg, struct wm_err *err);
    /** A new key pair, durable. @param out_public  its public part, the caller's */
    enum wm_status (*make)(struct wm_key_store *s, struct wm_rsa **out_public, struct wm_err *err);
    /** @return WM_E_NOT_FOUND: no such key */
    enum wm_status (*sign)(struct wm_key_store *s, const char *fingerprint, struct wm_view text,
                           uint8_t out[WM_SIGNATURE_BYTES], struct wm_err *err);
    /** So that it can never sign again; WM_OK also when it is gone already. */
    enum wm_status (*destroy)(struct wm_key_store *s, const char *fingerprint, struct wm_err *err);
    void (*close)(struct wm_key_store *s);
};

/** @param dir  exists   @param passphrases  outlives the store; none: in the clear */
enum wm_status wm_key_files_open(const struct wm_io *io, const char *dir, const struct wm_secret *passphrases,
                                 struct wm_key_store **out, struct wm_err *err) WM_MUST_CHECK;
/** Destroy every key file of a folder, unread: a token has taken over. @param each  before each */
enum wm_status wm_key_files_destroy_all(const struct wm_io *io, const char *dir,
                                        enum wm_status (*each)(void *arg, const char *fingerprint, struct wm_err *err),
                                        void *arg, struct wm_err *err) WM_MUST_CHECK;

/**
 * Nothing is asked of the token before the first look.
 * @param uri  RFC 7512; names the token, and by object= the label of the keys in it, "waymark" where it names none
 * @param module  path of the PKCS#11 module   @param pin  outlives the store
 * @return WM_E_INVALID: the URI
 */
enum wm_status wm_key_token_open(const char *uri, const char *module, const struct wm_secret *pin,
                                 struct wm_key_store **out, struct wm_err *err) WM_MUST_CHECK;

#endif
