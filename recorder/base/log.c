#include "waymark/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "waymark/clock.h"

#include "waymark/banned.h"

#define LOG_LINE_BYTES 4096 /* one write(2) of at most PIPE_BUF bytes is atomic on a pipe (POSIX, write) */

static const struct {
    enum wm_log_level level;
    const char *name;
} events[WM_EV_COUNT] = {
#define WM_EVENT(id, level, name, action) [WM_EV_##id] = {level, name},
#include "waymark/events.def"
#undef WM_EVENT
};

static const char *const level_names[] = {"error", "warning", "notice", "info", "debug"};

static atomic_int shown = WM_LOG_NOTICE;

void wm_log_set_level(enum wm_log_level level)
{
    atomic_store(&shown, (int)level);
}

bool wm_log_enabled(enum wm_event event)
{
    return (int)events[event].level <= atomic_load_explicit(&shown, memory_order_relaxed);
}

void wm_log(enum wm_event event, const char *fmt, ...)
{
    if (!wm_log_enabled(event))
        return;
    char text[LOG_LINE_BYTES / 2], line[LOG_LINE_BYTES], when[WM_TIME_ISO_BYTES];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args); /* cut when longer */
    va_end(args);
    wm_time_iso(wm_clock_wall(&wm_clock_system), when);
    int n = snprintf(line, sizeof line, "%s %-7s %-17s ", when, level_names[events[event].level], events[event].name);
    size_t len = n > 0 ? (size_t)n : 0;
    for (const unsigned char *p = (const unsigned char *)text; *p && len + 5 < sizeof line; p++) {
        if (*p < 0x20 || *p == 0x7f)
            len += (size_t)snprintf(line + len, sizeof line - len, "\\x%02x", *p);
        else
            line[len++] = (char)*p;
    }
    line[len++] = '\n';
    ssize_t rc;
    do
        rc = write(STDERR_FILENO, line, len);
    while (rc < 0 && errno == EINTR);
    /* a log that cannot be written has nobody left to tell */
}
