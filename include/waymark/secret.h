/**
 * Secrets from a file: a passphrase, a PIN. One a line; the first is in force, further ones are older and still opened
 * with (a passphrase is changed by putting the new one above the old). The file is an operator's own, a mounted secret
 * or a systemd credential; the text never reaches the log.
 *
 * @thread any   @locks none
 */
#ifndef WAYMARK_SECRET_H
#define WAYMARK_SECRET_H

#include "waymark/buf.h"
#include "waymark/io.h"
#include "waymark/status.h"

struct wm_secret {
    struct wm_buf text; /* zeroed: no secret */
};

#define WM_SECRET_LINE_BYTES 1023 /* of a line at most: what OpenSSL takes for a passphrase */

/**
 * Read the file. A file that everybody may read is taken, since that is how some orchestrators mount secrets, and named
 * in the log.
 * @param out  released with wm_secret_done(); set only on WM_OK
 * @return WM_E_NOT_FOUND; WM_E_INVALID (no first line, a NUL, or a line too long); WM_E_LIMIT (larger than 16 KiB) …
 */
enum wm_status wm_secret_load(const struct wm_io *io, const char *path, struct wm_secret *out,
                              struct wm_err *err) WM_MUST_CHECK;
void wm_secret_done(struct wm_secret *s); /* wipes; a zeroed one is fine */
/** Line i, from 0; empty behind the last, or when there is no secret (NULL allowed). */
struct wm_view wm_secret_line(const struct wm_secret *s, size_t i);

#endif
