/**
 * Sealing: small texts that leave us and come back, such as session tokens. Nobody else can read, make or change one.
 *
 *     sealed = version (1 byte, 1) | salt (16) | ciphertext | tag (16)
 *
 * AES-256-GCM (NIST SP 800-38D). Each text has a key of its own, HMAC-SHA-256 of the random salt under the purpose's key,
 * and therefore a constant nonce: with one key for all, random nonces of 96 bits would allow no more than 2^32 texts (same
 * paper, section 8.3). The purpose's key is derived from the master key, so what was sealed for one purpose does not open
 * for another.
 *
 * @thread any   @locks none
 */
#ifndef WAYMARK_SEAL_H
#define WAYMARK_SEAL_H

#include "waymark/buf.h"
#include "waymark/status.h"

#define WM_SEAL_KEY_BYTES 32
#define WM_SEAL_SALT_BYTES 16
#define WM_SEAL_TAG_BYTES 16
/** A sealed text is longer than what is in it by this. */
#define WM_SEAL_OVERHEAD_BYTES (1 + WM_SEAL_SALT_BYTES + WM_SEAL_TAG_BYTES)

/**
 * Append the sealed text.
 * @param purpose     what it is for: a literal
 * @param associated  not in it, but it opens with the same only
 * @return WM_OK; WM_E_LIMIT (out's ceiling); WM_E_NOMEM; WM_E_UNSUPPORTED (this OpenSSL has no AES-256-GCM). out is then as
 *         before, but its status
 */
enum wm_status wm_seal(const uint8_t master_key[WM_SEAL_KEY_BYTES], const char *purpose, struct wm_view associated,
                       struct wm_view text, struct wm_buf *out) WM_MUST_CHECK;

/**
 * Append what is in a sealed text.
 * @return as above, and WM_E_INVALID: it was not sealed by us for this purpose, with this associated text, or has been
 *         changed since
 */
enum wm_status wm_unseal(const uint8_t master_key[WM_SEAL_KEY_BYTES], const char *purpose, struct wm_view associated,
                         struct wm_view sealed, struct wm_buf *out) WM_MUST_CHECK;

#endif
