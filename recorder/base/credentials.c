#include "waymark/credentials.h"

#include "waymark/hash.h"

#include "waymark/banned.h"

#define CREDENTIALS_FILE_BYTES (1024u * 1024u)

enum wm_status wm_credentials_parse(struct wm_view text, const char *path, struct wm_view profile,
                                    struct wm_credentials *out, struct wm_err *err)
{
    struct wm_credentials found = {0};
    const struct {
        const char *name;
        char *value;
        size_t bytes;
    } keys[] = {
        {"aws_access_key_id", found.access_key_id, sizeof found.access_key_id},
        {"aws_secret_access_key", found.secret, sizeof found.secret},
        {"aws_session_token", found.session_token, sizeof found.session_token},
        {"region", found.region, sizeof found.region},
    };
    enum wm_status status = WM_OK;
    bool inside = false, seen = false;
    for (unsigned line_number = 1; text.ptr && status == WM_OK; line_number++) {
        struct wm_view line = wm_view_split(&text, '\n');
        bool indented = line.len && (line.ptr[0] == ' ' || line.ptr[0] == '\t');
        line = wm_view_trim(line);
        if (line.len == 0 || line.ptr[0] == '#' || line.ptr[0] == ';')
            continue;
        if (line.ptr[0] == '[') {
            if (line.ptr[line.len - 1] != ']') {
                status = wm_fail(err, WM_E_INVALID, "%s:%u: a section ends in ]", path, line_number);
                break;
            }
            struct wm_view name = wm_view_trim(wm_view_sub(line, 1, line.len - 1));
            if (wm_view_starts(name, "profile ")) /* the config file's form */
                name = wm_view_trim(wm_view_sub(name, strlen("profile "), name.len));
            inside = wm_view_eq(name, profile);
            seen = seen || inside;
            continue;
        }
        if (indented) /* a nested block, such as `s3 =` with settings below it: nothing of ours */
            continue;
        size_t equals = wm_view_find(line, '=');
        if (equals == line.len) {
            status = wm_fail(err, WM_E_INVALID, "%s:%u: expected name = value", path, line_number);
            break;
        }
        struct wm_view name = wm_view_trim(wm_view_sub(line, 0, equals));
        struct wm_view value = wm_view_trim(wm_view_sub(line, equals + 1, line.len));
        for (size_t i = 0; inside && i < sizeof keys / sizeof keys[0]; i++)
            if (wm_view_ieq_str(name, keys[i].name) && !wm_view_copy(value, keys[i].value, keys[i].bytes))
                status = wm_fail(err, WM_E_INVALID, "%s:%u: %s is longer than %zu characters", path, line_number,
                                 keys[i].name, keys[i].bytes - 1);
    }
    if (status == WM_OK && !seen)
        status = wm_fail(err, WM_E_NOT_FOUND, "%s has no profile [%.*s]", path, WM_ARG(profile));
    else if (status == WM_OK && (!found.access_key_id[0] || !found.secret[0]))
        status = wm_fail(err, WM_E_NOT_FOUND, "%s: profile [%.*s] lacks %s", path, WM_ARG(profile),
                         found.access_key_id[0] ? "aws_secret_access_key" : "aws_access_key_id");
    if (status == WM_OK)
        *out = found;
    wm_credentials_wipe(&found);
    return status;
}

enum wm_status wm_credentials_load(const struct wm_io *io, const char *path, struct wm_view profile,
                                   struct wm_credentials *out, struct wm_err *err)
{
    struct wm_buf text;
    wm_buf_init(&text, CREDENTIALS_FILE_BYTES);
    enum wm_status status = wm_io_read_file(io, path, &text, err);
    if (status == WM_OK)
        status = wm_credentials_parse(wm_buf_view(&text), path, profile, out, err);
    wm_buf_wipe(&text);
    wm_buf_done(&text);
    return status;
}

void wm_credentials_wipe(struct wm_credentials *c)
{
    wm_wipe(c, sizeof *c);
}
