#include "waymark/status.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "waymark/log.h"
#include "waymark/sync.h"

#include "waymark/banned.h"

static const char *const status_names[WM_STATUS_COUNT] = {
    [WM_OK] = "ok",
    [WM_E_NOMEM] = "no-memory",
    [WM_E_LIMIT] = "limit",
    [WM_E_INVALID] = "invalid",
    [WM_E_NOT_FOUND] = "not-found",
    [WM_E_EXISTS] = "exists",
    [WM_E_DENIED] = "denied",
    [WM_E_IO] = "io",
    [WM_E_FULL] = "full",
    [WM_E_CORRUPT] = "corrupt",
    [WM_E_FAILED] = "failed",
    [WM_E_UNAVAILABLE] = "unavailable",
    [WM_E_UNSUPPORTED] = "unsupported",
    [WM_E_END] = "end",
};

const char *wm_status_name(enum wm_status status)
{
    if ((unsigned)status >= WM_STATUS_COUNT)
        return "unknown";
    return status_names[status];
}

static void status_fill(struct wm_err *err, enum wm_status status, const char *fmt, va_list args) WM_PRINTF(3, 0);
static void status_fill(struct wm_err *err, enum wm_status status, const char *fmt, va_list args)
{
    memset(err, 0, sizeof *err);
    err->status = status;
    (void)vsnprintf(err->message, sizeof err->message, fmt, args); /* a cut message is still a message */
}

enum wm_status wm_fail(struct wm_err *err, enum wm_status status, const char *fmt, ...)
{
    if (err) {
        va_list args;
        va_start(args, fmt);
        status_fill(err, status, fmt, args);
        va_end(args);
    }
    return status;
}

static enum wm_status status_from_errno(int sys_errno)
{
    switch (sys_errno) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return WM_E_FULL;
    case ENOENT:
        return WM_E_NOT_FOUND;
    case EEXIST:
        return WM_E_EXISTS;
    case EACCES:
    case EPERM:
    case EROFS:
        return WM_E_DENIED;
    case ENOMEM:
        return WM_E_NOMEM;
    default:
        return WM_E_IO;
    }
}

enum wm_status wm_fail_errno(struct wm_err *err, int sys_errno, const char *fmt, ...)
{
    enum wm_status status = status_from_errno(sys_errno);
    if (err) {
        va_list args;
        va_start(args, fmt);
        status_fill(err, status, fmt, args);
        va_end(args);
        err->sys_errno = sys_errno;
        size_t len = strlen(err->message);
        char text[128];
        (void)snprintf(err->message + len, sizeof err->message - len, ": %s",
                       strerror_r(sys_errno, text, sizeof text));
    }
    return status;
}

_Noreturn void wm_assert_failed(const char *cond, const char *file, int line)
{
    wm_log(WM_EV_ASSERTION, "condition=\"%s\" at=%s:%d thread=%s", cond, file, line, wm_thread_name());
    abort();
}
