/**
 * Public keys: what verifies a digest. The file is what `aws cloudtrail list-public-keys --output json` prints: one form
 * for our own list, for an auditor's copy of it and for AWS's keys.
 *
 * @locks none
 */
#ifndef WAYMARK_KEYRING_H
#define WAYMARK_KEYRING_H

#include "waymark/buf.h"
#include "waymark/clock.h"
#include "waymark/io.h"
#include "waymark/status.h"

#define WM_FINGERPRINT_BYTES 33 /* lower-case hex MD5 of the PKCS#1 DER, with a NUL */

struct wm_keyring;
/** Read the file, times as epoch numbers or ISO 8601. @return WM_E_NOT_FOUND, WM_E_INVALID … */
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
