/**
 * AWS shared-credentials files: the profile's keys (AWS SDKs and Tools Reference Guide, "Shared config and credentials
 * files" and "Static credentials").
 *
 * @thread any   @locks none
 */
#ifndef WAYMARK_CREDENTIALS_H
#define WAYMARK_CREDENTIALS_H

#include "waymark/buf.h"
#include "waymark/io.h"
#include "waymark/status.h"

struct wm_credentials {
    char access_key_id[129];   /* 16 to 128 characters (IAM API Reference, AccessKey) */
    char secret[129];
    char session_token[4097];  /* "": none. IAM gives no bound; 4 KiB is what AWS advises to plan for */
    char region[65];           /* "": none */
};

/**
 * Read one profile.
 * @param path  for messages
 * @return WM_OK; WM_E_NOT_FOUND (no such profile, or it lacks a key); WM_E_INVALID (a line is no [section], no
 *         name = value and no comment, or a value is too long: *err says "PATH:LINE: …")
 */
enum wm_status wm_credentials_parse(struct wm_view text, const char *path, struct wm_view profile,
                                    struct wm_credentials *out, struct wm_err *err) WM_MUST_CHECK;
/** As above, from a file of at most 1 MiB. */
enum wm_status wm_credentials_load(const struct wm_io *io, const char *path, struct wm_view profile,
                                   struct wm_credentials *out, struct wm_err *err) WM_MUST_CHECK;
void wm_credentials_wipe(struct wm_credentials *c);

#endif
