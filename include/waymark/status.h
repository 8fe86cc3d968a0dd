/**
 * Result codes and error details.
 *
 * Every function that can fail returns `enum wm_status` by value; WM_OK is 0 and the result must be looked at.
 * What a number cannot say goes into an optional `struct wm_err *err` (NULL is allowed everywhere): the message for
 * a person, the errno or HTTP status behind it, and whether trying again makes sense.
 *
 * @thread any   @locks none
 */
#ifndef WAYMARK_STATUS_H
#define WAYMARK_STATUS_H

#include <stdbool.h>
#include <stdint.h>

#define WM_MUST_CHECK __attribute__((warn_unused_result))
#define WM_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))

enum wm_status {
    WM_OK = 0,
    WM_E_NOMEM,       /* allocation failed, or a request's arena reached its ceiling */
    WM_E_LIMIT,       /* a stated limit was exceeded; the message names it */
    WM_E_INVALID,     /* input is malformed; the message says where and what was expected */
    WM_E_NOT_FOUND,   /* the thing named does not exist */
    WM_E_EXISTS,      /* the thing named exists already */
    WM_E_DENIED,      /* not allowed: permissions, signature, credentials */
    WM_E_IO,          /* the system refused an operation; wm_err.sys_errno says why */
    WM_E_FULL,        /* no space left, on the device or below a configured ceiling */
    WM_E_CORRUPT,     /* stored bytes are not what was written */
    WM_E_FAILED,      /* an earlier failure was final for this object; only a restart helps */
    WM_E_UNAVAILABLE, /* a remote side did not do it this time; the same call may succeed later */
    WM_E_UNSUPPORTED, /* a version, flag or feature that this build does not know */
    WM_E_END,         /* nothing more: end of input, end of what is durable, stop requested */
    WM_STATUS_COUNT
};

#define WM_ERR_MESSAGE_BYTES 512
#define WM_ERR_CODE_BYTES 64

struct wm_err {
    enum wm_status status;
    int sys_errno;                         /* errno, 0 if none */
    int http_status;                       /* HTTP status of a remote's answer, 0 if none */
    bool retryable;                        /* the same operation may succeed later */
    char code[WM_ERR_CODE_BYTES];          /* a remote's error name such as "SlowDown", "" if none */
    char message[WM_ERR_MESSAGE_BYTES];    /* one sentence, no final full stop, never empty after a failure */
};

/** Name of a status for logs, such as "not-found". Never NULL. */
const char *wm_status_name(enum wm_status status);

/** Fill *err (NULL allowed) with status and message, and return status: `return wm_fail(err, WM_E_LIMIT, …)`. */
enum wm_status wm_fail(struct wm_err *err, enum wm_status status, const char *fmt, ...) WM_PRINTF(3, 4);

/**
 * As wm_fail(), for a failed system call: status follows from errno (ENOSPC, EDQUOT → WM_E_FULL, ENOENT →
 * WM_E_NOT_FOUND, EEXIST → WM_E_EXISTS, EACCES, EPERM, EROFS → WM_E_DENIED, ENOMEM → WM_E_NOMEM, others →
 * WM_E_IO), and ": <strerror>" is added to the message.
 */
enum wm_status wm_fail_errno(struct wm_err *err, int sys_errno, const char *fmt, ...) WM_PRINTF(3, 4);

/**
 * WM_ASSERT is for errors in our own code, never for input. It stays on in release builds: it logs the condition
 * and thread, then aborts, because a recorder that no longer understands its own state must not go on recording.
 * The condition has no side effects.
 */
#define WM_ASSERT(cond) ((cond) ? (void)0 : wm_assert_failed(#cond, __FILE__, __LINE__))

_Noreturn void wm_assert_failed(const char *cond, const char *file, int line);

#endif
