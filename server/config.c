/* Settings: who gives values, in order, later ones over earlier; what stands in which file says config_int.h. */
#include <stdio.h>
#include <stdlib.h>

#include "server/config_int.h"

#include "waymark/banned.h"

#define CONFIG_MAX_MEMORY_BYTES (4u * 1024u * 1024u)

static enum wm_status config_print_dump(const struct wm_config *c, struct wm_err *err)
{
    struct wm_buf text;
    wm_buf_init(&text, CONFIG_MAX_FILE_BYTES);
    enum wm_status status = wm_config_dump(c, &text);
    if (status == WM_OK)
        printf("%s", wm_buf_cstr(&text));
    else
        (void)wm_fail(err, status, "the settings are too long to print");
    wm_buf_done(&text);
    return status;
}

/* Default, file, environment, flags: who comes later goes before. Then what they say together is checked. */
static enum wm_status config_read(struct config *c, const char *file, const struct flags *flags, struct wm_err *err)
{
    c->pub.trails = wm_arena_alloc(&c->memory, WM_BOARD_MAX_TRAILS * sizeof *c->pub.trails);
    if (!c->pub.trails)
        return config_no_memory(err);
    enum wm_status status = config_set_defaults(c, err);
    if (status == WM_OK && file) {
        c->file = wm_arena_copy(&c->memory, wm_view_of(file)).ptr;
        status = c->file ? config_read_file(c, err) : config_no_memory(err);
    }
    if (status == WM_OK)
        status = config_read_environment(c, err);
    if (status == WM_OK)
        status = config_apply_flags(c, flags, err);
    return status == WM_OK ? config_check(c, err) : status;
}

enum wm_status wm_config_load(int argc, char **argv, struct wm_config **out, bool *out_check_only, struct wm_err *err)
{
    struct flags flags = {0};
    enum wm_status status = flags_read(argc, argv, &flags, err);
    if (status != WM_OK)
        return status;
    if (flags.help) {
        config_print_help();
        return WM_E_END;
    }
    if (flags.version) {
        printf("waymarkd %s\n", WAYMARK_VERSION);
        return WM_E_END;
    }
    struct config *c = calloc(1, sizeof *c);
    if (!c)
        return config_no_memory(err);
    wm_arena_init(&c->memory, CONFIG_MAX_MEMORY_BYTES);
    status = config_read(c, flags.config ? flags.config : getenv("WAYMARK_CONFIG"), &flags, err);
    if (status == WM_OK && flags.dump) {
        status = config_print_dump(&c->pub, err);
        if (status == WM_OK)
            status = WM_E_END;
    }
    if (status != WM_OK) {
        wm_config_free(&c->pub);
        return status;
    }
    *out = &c->pub;
    *out_check_only = flags.check;
    return WM_OK;
}

void wm_config_free(struct wm_config *pub)
{
    if (!pub)
        return;
    struct config *c = (struct config *)(void *)pub;
    wm_arena_done(&c->memory);
    free(c);
}
