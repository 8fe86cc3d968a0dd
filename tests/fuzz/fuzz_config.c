/* The settings' file. Holds: what is taken is dumped in a form that is taken again, and dumps as the same. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"
#include "waymark/bounds.h"
#include "waymark/config.h"
#include "waymark/log.h"

#include "waymark/banned.h"

static enum wm_status load(const void *text, size_t len, struct wm_config **out, struct wm_err *err)
{
    char path[64];
    char program[] = "waymarkd", option[] = "--config";
    int fd = memfd_create("config", MFD_CLOEXEC);
    MUST(fd >= 0 && (len == 0 || write(fd, text, len) == (ssize_t)len));
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    char *argv[] = {program, option, path, NULL};
    bool check_only;
    *out = NULL;
    enum wm_status status = wm_config_load(3, argv, out, &check_only, err);
    (void)close(fd);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct wm_config *config;
    struct wm_buf first, second;
    struct wm_err err = {0};
    wm_log_set_level(WM_LOG_ERROR);
    wm_buf_init(&first, 1u << 24);
    wm_buf_init(&second, 1u << 24);
    enum wm_status status = load(data, len, &config, &err);
    if (status != WM_OK) {
        MUST(status == WM_E_INVALID || status == WM_E_LIMIT || status == WM_E_NOMEM);
        MUST(err.message[0] != '\0' && config == NULL);
    } else {
        MUST(wm_config_dump(config, &first) == WM_OK);
        wm_config_free(config);
        MUST(load(first.data, first.len, &config, &err) == WM_OK);
        MUST(wm_config_dump(config, &second) == WM_OK);
        wm_config_free(config);
        MUST(wm_view_eq(wm_buf_view(&first), wm_buf_view(&second)));
    }
    wm_buf_done(&first);
    wm_buf_done(&second);
    return 0;
}
