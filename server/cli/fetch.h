/* One GET, the only use of libcurl on the command line. */
#ifndef WAYMARK_CLI_FETCH_H
#define WAYMARK_CLI_FETCH_H

#include "waymark/buf.h"
#include "waymark/sigv4.h"
#include "waymark/status.h"

/**
 * @param url      http:// or https://, whole
 * @param headers  as they are to be sent, Host among them
 * @param out      the body, up to out's ceiling
 * @return WM_OK for any HTTP status; WM_E_IO (no answer: *err says why), WM_E_LIMIT, WM_E_NOMEM
 */
enum wm_status cli_fetch(const char *url, const struct wm_sigv4_header *headers, size_t n_headers, struct wm_buf *out,
                         long *out_http_status, struct wm_err *err) WM_MUST_CHECK;

#endif
