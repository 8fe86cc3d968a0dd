/**
 * RSA by OpenSSL: key pairs, the forms they are written in, signatures. What delivery needs of OpenSSL is in rsa.c.
 *
 * @thread any (a key does not change once it is made)   @locks none
 */
#ifndef DELIVERY_RSA_H
#define DELIVERY_RSA_H

#include "waymark/buf.h"
#include "waymark/keyring.h"
#include "waymark/secret.h"
#include "waymark/status.h"

/** A public key, or a key pair. */
struct wm_rsa;

/** A new key pair of 2,048 bits. */
enum wm_status wm_rsa_make(struct wm_rsa **out, struct wm_err *err) WM_MUST_CHECK;
/**
 * A public key in DER: PKCS#1 RSAPublicKey (RFC 8017 appendix A.1.1), or SubjectPublicKeyInfo, which one of AWS's own
 * samples is (CloudTrail User Guide, "Custom implementations of CloudTrail log file integrity validation").
 * @return NULL: neither
 */
struct wm_rsa *wm_rsa_read_public(struct wm_view der);
/** A public key from its two numbers, big-endian. */
enum wm_status wm_rsa_from_numbers(struct wm_view modulus, struct wm_view exponent, struct wm_rsa **out,
                                   struct wm_err *err) WM_MUST_CHECK;
void wm_rsa_free(struct wm_rsa *key); /* wipes a private part; NULL allowed */

/** PKCS#1 RSAPublicKey in DER: what ListPublicKeys gives. */
enum wm_status wm_rsa_public_der(const struct wm_rsa *key, struct wm_buf *out, struct wm_err *err) WM_MUST_CHECK;
/** CloudTrail's fingerprint of such DER: its MD5 in lower-case hex. */
void wm_rsa_fingerprint(struct wm_view der, char out[WM_FINGERPRINT_BYTES]);

/**
 * Append a key pair as PKCS#8 in PEM (RFC 5958, RFC 7468), encrypted when there is a passphrase: PBES2 with AES-256 in
 * CBC mode and PBKDF2 over HMAC-SHA-256 (RFC 8018 section 6.2), as `openssl pkcs8` reads it.
 * @param passphrase  empty: in the clear
 */
enum wm_status wm_rsa_write_private(const struct wm_rsa *key, struct wm_view passphrase, struct wm_buf *out,
                                    struct wm_err *err) WM_MUST_CHECK;
/**
 * Read a key pair in PEM. When it is encrypted, each passphrase is tried in turn.
 * @param path       for messages
 * @param out_stale  it is not encrypted as it would be written now: in the clear though there is a passphrase, or with
 *                   another than the first
 * @return WM_E_DENIED (encrypted, and no passphrase opens it); WM_E_CORRUPT (no RSA key in PEM)
 */
enum wm_status wm_rsa_read_private(struct wm_view pem, const char *path, const struct wm_secret *passphrases,
                                   struct wm_rsa **out, bool *out_stale, struct wm_err *err) WM_MUST_CHECK;

/** Bytes of a signature by this key. */
size_t wm_rsa_signature_bytes(const struct wm_rsa *key);
/** RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017 section 8.2). @param out  wm_rsa_signature_bytes() of it */
enum wm_status wm_rsa_sign(const struct wm_rsa *key, struct wm_view text, uint8_t *out, struct wm_err *err) WM_MUST_CHECK;
/** @return WM_E_DENIED: the signature does not hold */
enum wm_status wm_rsa_verify(const struct wm_rsa *key, struct wm_view text, const uint8_t *signature,
                             struct wm_err *err) WM_MUST_CHECK;

#endif
