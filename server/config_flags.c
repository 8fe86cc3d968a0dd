/* The command line: its flags, and --help. */
#include <stdio.h>
#include <string.h>

#include "server/config_int.h"

#include "waymark/banned.h"

/* Flags that are no settings and take no value. */
static bool flags_switch(struct flags *f, struct wm_view arg)
{
    const struct { const char *name; bool *on; } switches[] = {
        {"--help", &f->help}, {"-h", &f->help}, {"--version", &f->version}, {"--check-config", &f->check},
        {"--dump-config", &f->dump},
    };
    for (size_t i = 0; i < sizeof switches / sizeof switches[0]; i++)
        if (wm_view_eq_str(arg, switches[i].name)) {
            *switches[i].on = true;
            return true;
        }
    return false;
}

/* Is it this flag? Its value is the empty view when it is the next argument. */
static bool flag_takes(struct wm_view arg, const char *name, struct wm_view *out_value)
{
    if (!wm_view_starts(arg, name))
        return false;
    struct wm_view rest = wm_view_sub(arg, strlen(name), arg.len);
    if (rest.len > 0 && rest.ptr[0] != '=')
        return false;
    *out_value = rest.len > 0 ? wm_view_sub(rest, 1, rest.len) : WM_EMPTY;
    return true;
}

/* @param out_setting  NULL: it is --config */
static bool flags_find(struct wm_view arg, char name[CONFIG_NAME_BYTES], const struct setting **out_setting,
                       struct wm_view *out_value)
{
    const struct setting_table *table = config_settings(NO_TRAIL);
    *out_setting = NULL;
    (void)snprintf(name, CONFIG_NAME_BYTES, "--config");
    bool known = flag_takes(arg, name, out_value);
    for (size_t i = 0; i < table->n && !known; i++) {
        if (!setting_has_flag(&table->rows[i]))
            continue;
        *out_setting = &table->rows[i];
        setting_flag(&table->rows[i], name);
        known = flag_takes(arg, name, out_value);
    }
    return known;
}

static enum wm_status flags_unknown(struct wm_view arg, struct wm_err *err)
{
    static const char *const others[] = {"--config", "--check-config", "--dump-config", "--help", "--version"};
    char found[CONFIG_SHOWN_BYTES], name[CONFIG_NAME_BYTES];
    if (!wm_view_starts(arg, "-"))
        return wm_fail(err, WM_E_INVALID, "%.*s: expected a flag; waymarkd --help lists them",
                       WM_ARG(config_shown(arg, found)));
    struct guess g = {.wrong = wm_view_sub(arg, 0, wm_view_find(arg, '='))};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        guess_offer(&g, wm_view_of(others[i]));
    const struct setting_table *table = config_settings(NO_TRAIL);
    for (size_t i = 0; i < table->n; i++)
        if (setting_has_flag(&table->rows[i])) {
            setting_flag(&table->rows[i], name);
            guess_offer(&g, wm_view_of(name));
        }
    struct wm_view wrong = config_shown(g.wrong, found);
    if (g.best[0])
        return wm_fail(err, WM_E_INVALID, "%.*s: no such flag; did you mean %s?", WM_ARG(wrong), g.best);
    return wm_fail(err, WM_E_INVALID, "%.*s: no such flag; waymarkd --help lists them", WM_ARG(wrong));
}

enum wm_status flags_read(int argc, char **argv, struct flags *f, struct wm_err *err)
{
    for (int i = 1; i < argc; i++) {
        struct wm_view arg = wm_view_of(argv[i]), value;
        const struct setting *s;
        char name[CONFIG_NAME_BYTES];
        if (flags_switch(f, arg))
            continue;
        if (!flags_find(arg, name, &s, &value))
            return flags_unknown(arg, err);
        if (!value.ptr) {
            if (i + 1 == argc)
                return wm_fail(err, WM_E_INVALID, "%s: expected a value behind it", name);
            value = wm_view_of(argv[++i]);
        }
        /* The rest of an argument ends with the argument's NUL. */
        if (!s) {
            f->config = value.ptr;
        } else {
            if (f->n_set == sizeof f->set / sizeof f->set[0])
                return wm_fail(err, WM_E_INVALID, "%s: too many flags", name);
            f->set[f->n_set].setting = s;
            f->set[f->n_set++].value = value.ptr;
        }
    }
    return WM_OK;
}

enum wm_status config_apply_flags(struct config *c, const struct flags *f, struct wm_err *err)
{
    for (size_t i = 0; i < f->n_set; i++) {
        struct config_place at = {f->set[i].setting, NO_TRAIL, {.kind = ORIGIN_FLAG}};
        enum wm_status status = config_set(c, &at, wm_view_of(f->set[i].value), err);
        if (status != WM_OK)
            return status;
    }
    return WM_OK;
}

static void print_settings(size_t trail)
{
    const struct setting_table *table = config_settings(trail);
    char path[CONFIG_NAME_BYTES], variable[CONFIG_NAME_BYTES];
    for (const struct setting *s = table->rows; s < table->rows + table->n; s++) {
        setting_path(s, trail, path);
        setting_variable(s, trail, variable);
        printf("  %-32s %s\n", path, variable);
        printf("      %s%s", s->only ? s->only : "", s->only ? ": " : "");
        printf("%s%s%s\n", s->help, s->fallback[0] ? "; default " : "", s->fallback);
    }
}

void config_print_help(void)
{
    const struct setting_table *table = config_settings(NO_TRAIL);
    char flag[CONFIG_NAME_BYTES];
    printf("Usage: waymarkd [--config FILE] [FLAG...]\n\n"
           "Answers the management API, records every call, delivers signed trail files.\n\n"
           "  --config FILE        settings (YAML); also WAYMARK_CONFIG\n");
    for (const struct setting *s = table->rows; s < table->rows + table->n; s++)
        if (setting_has_flag(s)) {
            setting_flag(s, flag);
            printf("  %-20s %s (default %s)\n", flag, s->help, s->fallback);
        }
    printf("  --check-config       read the settings, say whether they are good, exit\n"
           "  --dump-config        print the settings that apply, as YAML, exit\n"
           "  --version, --help\n\n"
           "A flag goes before the environment, that before the file, that before the default.\n"
           "Settings of the file, and their variables:\n\n");
    print_settings(NO_TRAIL);
    printf("\nEach trail (without any: one of name main, into DATA_DIR/bucket):\n\n");
    print_settings(0);
}
