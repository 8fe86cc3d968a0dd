/**
 * The keys of the digests: an RSA-2048 key pair that signs, and the public keys that verify. The only holder of the
 * private keys; OpenSSL's RSA lives in signer.c.
 *
 * Folder: <dir>/<fingerprint>.pem is a private key (PKCS#8 PEM, mode 0600), <dir>/public-keys.json all public keys ever
 * used, in the form that `aws cloudtrail list-public-keys --output json` prints: one format for our own verifier, for
 * an auditor's copy and for AWS's keys. Public keys are kept for ever.
 *
 * A key is valid for 30 days and the next one is made after 20, as the published keys of CloudTrail show (AWS CloudTrail
 * API Reference, ListPublicKeys; cloudtrail.md 3.5).
 */
#ifndef WAYMARK_SIGNER_H
#define WAYMARK_SIGNER_H

#include "waymark/board.h"
#include "waymark/buf.h"
#include "waymark/clock.h"
#include "waymark/io.h"
#include "waymark/status.h"

#define WM_FINGERPRINT_BYTES 33     /* lower-case hex MD5 of the PKCS#1 DER, with a NUL */
#define WM_SIGNATURE_HEX_BYTES 513  /* RSA-2048: 512 hex digits, with a NUL */

struct wm_signer;

/**
 * Open the folder of keys (made 0700 when absent); post every public key on the board.
 * @param board  NULL allowed
 */
enum wm_status wm_signer_open(const struct wm_io *io, const struct wm_clock *clock, const char *dir,
                              struct wm_board *board, struct wm_signer **out, struct wm_err *err) WM_MUST_CHECK;
void wm_signer_close(struct wm_signer *s); /* wipes; NULL allowed */

/**
 * Fingerprint of the key that signs a digest which ends at `when`; the next key is made here when the newest is 20
 * days old. Its public part is durable before this returns.
 * @thread any   @locks takes signer.mu (trails share one signer)
 */
enum wm_status wm_signer_key_for(struct wm_signer *s, struct wm_wall_ns when, char out_fingerprint[WM_FINGERPRINT_BYTES],
                                 struct wm_err *err) WM_MUST_CHECK;
/** RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017 section 8.2) in lower-case hex: the same text gives the same signature. */
enum wm_status wm_signer_sign(struct wm_signer *s, const char *fingerprint, struct wm_view text,
                              char out_hex[WM_SIGNATURE_HEX_BYTES], struct wm_err *err) WM_MUST_CHECK;

/** Public keys only: for verifiers. */
struct wm_keyring;
/** Read what list-public-keys prints, times as epoch numbers or ISO 8601. @return WM_E_NOT_FOUND, WM_E_INVALID … */
enum wm_status wm_keyring_open(const struct wm_io *io, const char *path, struct wm_keyring **out,
                               struct wm_err *err) WM_MUST_CHECK;
void wm_keyring_free(struct wm_keyring *k); /* NULL allowed */
size_t wm_keyring_count(const struct wm_keyring *k);
/** From when until when a key may sign; false when there is none of that fingerprint. @thread any */
bool wm_keyring_validity(const struct wm_keyring *k, struct wm_view fingerprint, struct wm_wall_ns *out_from,
                         struct wm_wall_ns *out_until);
/**
 * @return WM_OK; WM_E_NOT_FOUND (no key of that fingerprint); WM_E_INVALID (signature is no hex of the right length);
 *         WM_E_DENIED (the signature does not hold)
 * @thread any
 */
enum wm_status wm_keyring_verify(const struct wm_keyring *k, struct wm_view fingerprint, struct wm_view text,
                                 struct wm_view signature_hex, struct wm_err *err) WM_MUST_CHECK;

#endif
