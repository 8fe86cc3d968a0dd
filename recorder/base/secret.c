#include "waymark/secret.h"

#include <fcntl.h>

#include "waymark/log.h"

#include "waymark/banned.h"

#define SECRET_FILE_BYTES (16u * 1024u)

static enum wm_status secret_check(const struct wm_secret *s, const char *path, struct wm_err *err)
{
    struct wm_view text = wm_buf_view(&s->text);
    if (text.len && memchr(text.ptr, '\0', text.len))
        return wm_fail(err, WM_E_INVALID, "%s holds a NUL byte: it is no text", path);
    if (wm_secret_line(s, 0).len == 0)
        return wm_fail(err, WM_E_INVALID, "%s: the first line is empty", path);
    for (size_t i = 0; wm_secret_line(s, i).len > 0; i++)
        if (wm_secret_line(s, i).len > WM_SECRET_LINE_BYTES)
            return wm_fail(err, WM_E_INVALID, "%s: line %zu is longer than %d bytes", path, i + 1, WM_SECRET_LINE_BYTES);
    return WM_OK;
}

/* Can everybody read it? What cannot be asked is not said. */
static bool is_exposed(const struct wm_io *io, const char *path)
{
    struct stat st = {0};
    int fd = io->open(io->ctx, path, O_RDONLY, 0);
    if (fd < 0)
        return false;
    int rc = io->fstat(io->ctx, fd, &st);
    (void)io->close(io->ctx, fd); /* only read: nothing can be lost */
    return rc == 0 && (st.st_mode & 004);
}

enum wm_status wm_secret_load(const struct wm_io *io, const char *path, struct wm_secret *out, struct wm_err *err)
{
    struct wm_secret s = {0};
    wm_buf_init(&s.text, SECRET_FILE_BYTES);
    enum wm_status status = wm_io_read_file(io, path, &s.text, err);
    if (status == WM_OK)
        status = secret_check(&s, path, err);
    if (status != WM_OK) {
        wm_secret_done(&s);
        return status;
    }
    if (is_exposed(io, path))
        wm_log(WM_EV_SECRET_EXPOSED, "file=%s", path);
    *out = s;
    return WM_OK;
}

void wm_secret_done(struct wm_secret *s)
{
    wm_buf_wipe(&s->text);
    wm_buf_done(&s->text);
}

struct wm_view wm_secret_line(const struct wm_secret *s, size_t i)
{
    struct wm_view rest = s ? wm_buf_view(&s->text) : WM_EMPTY, line = WM_EMPTY;
    for (size_t n = 0; n <= i; n++)
        line = wm_view_split(&rest, '\n');
    if (wm_view_ends(line, "\r"))
        line.len--;
    return line;
}
