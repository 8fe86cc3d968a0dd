/* Settings from the environment: WAYMARK_<KEY>, and WAYMARK_TRAILS_<n>_<KEY>. */
#include <stdlib.h>
#include <string.h>

#include "server/config_int.h"

#include "waymark/banned.h"

extern char **environ;

/* Ours, but not settings: used by the scripts, the tests and the bench. */
static bool variable_is_foreign(struct wm_view name)
{
    return wm_view_eq_str(name, "WAYMARK_CONFIG") || wm_view_eq_str(name, "WAYMARK_BUCKET") ||
           wm_view_eq_str(name, "WAYMARK_SHARED") || wm_view_starts(name, "WAYMARK_TEST_") ||
           wm_view_starts(name, "WAYMARK_BENCH_");
}

/* Of WAYMARK_TRAILS_<n>_<KEY>: the number, and what is behind it; false for another form. */
static bool variable_trail(struct wm_view name, uint64_t *out_trail, struct wm_view *out_rest)
{
    if (!wm_view_starts(name, "WAYMARK_TRAILS_"))
        return false;
    struct wm_view rest = wm_view_sub(name, strlen("WAYMARK_TRAILS_"), name.len);
    struct wm_view number = wm_view_split(&rest, '_');
    if (!rest.ptr || wm_view_to_u64(number, 1000000, out_trail) != WM_OK)
        return false;
    *out_rest = rest;
    return true;
}

/* WAYMARK_HTTP_…: a word in one of our sections. */
static bool variable_in_section(struct wm_view name)
{
    return wm_view_starts(name, "WAYMARK_HTTP_") || wm_view_starts(name, "WAYMARK_JOURNAL_") ||
           wm_view_starts(name, "WAYMARK_KEYS_") || wm_view_starts(name, "WAYMARK_TRAILS_");
}

static enum wm_status environment_check_name(const struct config *c, struct wm_view name, struct wm_err *err)
{
    uint64_t number;
    struct wm_view rest;
    size_t trail = NO_TRAIL;
    if (variable_trail(name, &number, &rest)) {
        if (number >= c->pub.n_trails)
            return wm_fail(err, WM_E_INVALID, "environment %.*s: there are %zu trails, numbered from 0 without gaps",
                           WM_ARG(name), c->pub.n_trails);
        trail = (size_t)number;
    }
    const struct setting_table *table = config_settings(trail);
    struct guess g = {.wrong = name};
    for (size_t i = 0; i < table->n; i++) {
        char known[CONFIG_NAME_BYTES];
        setting_variable(&table->rows[i], trail, known);
        if (wm_view_eq_str(name, known))
            return WM_OK;
        guess_offer(&g, wm_view_of(known));
    }
    if (g.best[0])
        return wm_fail(err, WM_E_INVALID, "environment %.*s: no such setting; did you mean %s?", WM_ARG(name), g.best);
    if (variable_in_section(name))
        return wm_fail(err, WM_E_INVALID, "environment %.*s: no such setting; waymarkd --help lists them",
                       WM_ARG(name));
    return WM_OK;
}

/*
 * A variable that nobody reads is a setting that silently does not apply, so a name that can only have been meant for
 * us is refused: one in a section of ours, or a slip of the hand away from a setting. Others are left alone, since
 * orchestrators put variables of a service's name into every process (WAYMARK_PORT, WAYMARK_SERVICE_HOST).
 */
static enum wm_status environment_check_names(const struct config *c, struct wm_err *err)
{
    for (char **e = environ; e && *e; e++) {
        struct wm_view name = wm_view_of(*e);
        name = wm_view_sub(name, 0, wm_view_find(name, '='));
        if (!wm_view_starts(name, "WAYMARK_") || variable_is_foreign(name))
            continue;
        enum wm_status status = environment_check_name(c, name, err);
        if (status != WM_OK)
            return status;
    }
    return WM_OK;
}

static enum wm_status environment_set(struct config *c, const struct config_place *at, const char *value,
                                      struct wm_err *err)
{
    if (at->setting->type != SETTING_LIST)
        return config_set(c, at, wm_view_of(value), err);
    struct wm_view items[CONFIG_MAX_LIST + 1], rest = wm_view_of(value);
    size_t n = 0;
    while (rest.len > 0 && n <= CONFIG_MAX_LIST)
        items[n++] = wm_view_trim(wm_view_split(&rest, ','));
    return config_set_list(c, at, items, n, err);
}

/* The settings of the server or a trail. The trail behind the last is a new one, if any of its settings is named. */
static enum wm_status environment_read(struct config *c, size_t trail, struct wm_err *err)
{
    const struct setting_table *table = config_settings(trail);
    for (size_t i = 0; i < table->n; i++) {
        struct config_place at = {&table->rows[i], trail, {.kind = ORIGIN_ENVIRONMENT}};
        char name[CONFIG_NAME_BYTES];
        setting_variable(at.setting, trail, name);
        const char *value = getenv(name);
        if (!value)
            continue;
        enum wm_status status = trail == c->pub.n_trails ? config_add_trail(c, &at.origin, err) : WM_OK;
        if (status == WM_OK)
            status = environment_set(c, &at, value, err);
        if (status != WM_OK)
            return status;
    }
    return WM_OK;
}

enum wm_status config_read_environment(struct config *c, struct wm_err *err)
{
    enum wm_status status = environment_read(c, NO_TRAIL, err);
    for (size_t trail = 0; status == WM_OK && trail <= c->pub.n_trails; trail++)
        status = environment_read(c, trail, err);
    return status == WM_OK ? environment_check_names(c, err) : status;
}
