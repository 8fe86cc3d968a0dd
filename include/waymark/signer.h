/**
 * The keys of the digests: an RSA-2048 key pair that signs, and the public keys that verify. The only holder of the
 * private keys, which are in files or on a PKCS#11 token.
 *
 * Folder: <dir>/<fingerprint>.pem is a private key (PKCS#8 PEM, mode 0600, encrypted when there is a passphrase), unless
 * a token has them; <dir>/public-keys.json all public keys ever used (keyring.h). Public keys are kept for ever.
 *
 * A key is valid for 30 days and the next one is made after 20, as the published keys of CloudTrail show (AWS CloudTrail
 * API Reference, ListPublicKeys; cloudtrail.md 3.5). The private part of a key that is no longer valid is destroyed.
 * While no new key can be made, the last one serves as long as it is valid.
 *
 * What happens to keys is recorded in the trail, before it happens: a key is made, taken up, used for the first time
 * since the start, encrypted, destroyed. Not each signature: a digest is its own record, it names the key, and a record
 * of it in the next trail file would be the only one there in a quiet hour, and so call for the next, for ever.
 */
#ifndef WAYMARK_SIGNER_H
#define WAYMARK_SIGNER_H

#include "waymark/board.h"
#include "waymark/buf.h"
#include "waymark/clock.h"
#include "waymark/io.h"
#include "waymark/keyring.h"
#include "waymark/secret.h"
#include "waymark/status.h"

#define WM_SIGNATURE_HEX_BYTES 513 /* RSA-2048: 512 hex digits, with a NUL */

struct wm_signer;

struct wm_signer_options {
    const struct wm_io *io;
    const struct wm_clock *clock;
    const char *dir;              /* made 0700 when absent */
    struct wm_board *board;       /* every public key is posted here; NULL allowed */
    struct wm_secret passphrases; /* for key files; handed over, also on failure. None: keys are in the clear */
    const char *token_uri;        /* RFC 7512; NULL or "": the keys are in files */
    const char *token_module;     /* path of the token's PKCS#11 module */
    struct wm_secret token_pin;   /* handed over, also on failure */
    /**
     * Record what is done with a key; NULL allowed. What cannot be recorded is not done.
     * @param name  eventName, such as "CreateSigningKey"   @param details  a JSON object
     */
    enum wm_status (*record)(void *arg, const char *name, struct wm_view details, struct wm_err *err);
    void *record_arg;
};

/**
 * Open the folder or the token, take up private keys whose public part is not listed, post all on the board. Key files
 * in the clear, or under an older passphrase, are encrypted with the first one.
 * @return WM_E_DENIED (a key file may be read by others, no passphrase opens it, or the token refuses the PIN);
 *         WM_E_CORRUPT, WM_E_INVALID (what is no key of ours); WM_E_UNAVAILABLE (the token) …
 */
enum wm_status wm_signer_open(const struct wm_signer_options *o, struct wm_signer **out, struct wm_err *err) WM_MUST_CHECK;
void wm_signer_close(struct wm_signer *s); /* wipes; NULL allowed */

/**
 * Fingerprint of the key that signs a digest which ends at `when`; the next key is made here when the newest is 20
 * days old, and keys that ended before are destroyed. Its public part is durable before this returns.
 * @thread any   @locks takes signer.mu (trails share one signer), below it those of `record`
 */
enum wm_status wm_signer_key_for(struct wm_signer *s, struct wm_wall_ns when, char out_fingerprint[WM_FINGERPRINT_BYTES],
                                 struct wm_err *err) WM_MUST_CHECK;
/**
 * RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017 section 8.2) in lower-case hex: the same text gives the same signature. It
 * has been verified with the public key.
 * @thread, @locks as above
 */
enum wm_status wm_signer_sign(struct wm_signer *s, const char *fingerprint, struct wm_view text,
                              char out_hex[WM_SIGNATURE_HEX_BYTES], struct wm_err *err) WM_MUST_CHECK;

#endif
