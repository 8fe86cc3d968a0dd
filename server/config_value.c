/*
 * Gives settings their values. Each keeps its origin (line of the file, variable, flag), so that also a rule between
 * two settings names the place where the wrong one was given.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "server/config_int.h"

#include "waymark/banned.h"

static void place_name(const struct config *c, const struct config_place *at, struct wm_buf *out)
{
    char name[CONFIG_NAME_BYTES];
    setting_path(at->setting, at->trail, name);
    switch (at->origin.kind) {
    case ORIGIN_FILE:
        wm_buf_addf(out, "%s:%zu: %s", c->file, at->origin.line, name);
        return;
    case ORIGIN_ENVIRONMENT:
        setting_variable(at->setting, at->trail, name);
        wm_buf_addf(out, "environment %s", name);
        return;
    case ORIGIN_FLAG:
        setting_flag(at->setting, name);
        wm_buf_add_str(out, name);
        return;
    case ORIGIN_DEFAULT:
        wm_buf_add_str(out, name);
        return;
    }
}

enum wm_status config_fail(const struct config *c, const struct config_place *at, struct wm_err *err,
                           const char *fmt, ...)
{
    struct wm_buf place;
    wm_buf_init(&place, WM_ERR_MESSAGE_BYTES);
    place_name(c, at, &place);
    char what[WM_ERR_MESSAGE_BYTES];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(what, sizeof what, fmt, args); /* a cut message is still a message */
    va_end(args);
    enum wm_status status = wm_fail(err, WM_E_INVALID, "%s: %s", wm_buf_cstr(&place), what);
    wm_buf_done(&place);
    return status;
}

enum wm_status config_no_memory(struct wm_err *err)
{
    return wm_fail(err, WM_E_NOMEM, "no memory for the settings");
}

struct wm_view config_shown(struct wm_view text, char out[CONFIG_SHOWN_BYTES])
{
    size_t n = 0;
    for (size_t i = 0; i < text.len && n < CONFIG_SHOWN_BYTES - 4; i++)
        out[n++] = (unsigned char)text.ptr[i] < 0x20 ? '?' : text.ptr[i];
    return (struct wm_view){out, n};
}

static enum wm_status fail_expected(const struct config *c, const struct config_place *at, const char *expected,
                                    struct wm_view text, struct wm_err *err)
{
    char found[CONFIG_SHOWN_BYTES];
    return config_fail(c, at, err, "expected %s, found \"%.*s\"", expected, WM_ARG(config_shown(text, found)));
}

struct origin *config_origin(struct config *c, const struct setting *s, size_t trail)
{
    size_t row = (size_t)(s - config_settings(trail)->rows);
    return trail == NO_TRAIL ? &c->server[row] : &c->trails[trail].settings[row];
}

const void *setting_value(const struct wm_config *c, const struct setting *s, size_t trail)
{
    return (trail == NO_TRAIL ? (const char *)c : (const char *)&c->trails[trail]) + s->offset;
}

/* The same, to be set. */
static void *value_slot(struct config *c, const struct config_place *at)
{
    return (at->trail == NO_TRAIL ? (char *)&c->pub : (char *)&c->pub.trails[at->trail]) + at->setting->offset;
}

/* Position of v among the choices "a|b|c"; SIZE_MAX when it is none of them. */
static size_t choice_index(const char *choices, struct wm_view v)
{
    struct wm_view rest = wm_view_of(choices);
    for (size_t i = 0; rest.len > 0; i++)
        if (wm_view_eq(wm_view_split(&rest, '|'), v))
            return i;
    return SIZE_MAX;
}

/* "one of a, b, c" */
static void choice_expected(const char *choices, char out[CONFIG_EXPECTED_BYTES])
{
    size_t n = (size_t)snprintf(out, CONFIG_EXPECTED_BYTES, "one of ");
    for (const char *p = choices; *p && n + 3 < CONFIG_EXPECTED_BYTES; p++) {
        out[n++] = *p == '|' ? ',' : *p;
        if (*p == '|')
            out[n++] = ' ';
    }
    out[n] = '\0';
}

enum wm_status config_set(struct config *c, const struct config_place *at, struct wm_view text, struct wm_err *err)
{
    const struct setting *s = at->setting;
    char expected[CONFIG_EXPECTED_BYTES];
    void *slot = value_slot(c, at);
    struct wm_view copy = wm_arena_copy(&c->memory, text);
    if (wm_arena_status(&c->memory) != WM_OK)
        return config_no_memory(err);
    switch (s->type) {
    case SETTING_TEXT:
        /* A default is ours; that of a trail's name, none, is not one that its rule would take. */
        if ((s->valid && at->origin.kind != ORIGIN_DEFAULT && !s->valid(text)) ||
            (text.len > 0 && memchr(text.ptr, '\0', text.len)))
            return fail_expected(c, at, s->expected ? s->expected : "a text", text, err);
        *(const char **)slot = copy.ptr ? copy.ptr : "";
        break;
    case SETTING_CHOICE:
    case SETTING_LEVEL: {
        size_t index = choice_index(s->expected, text);
        if (index == SIZE_MAX) {
            choice_expected(s->expected, expected);
            return fail_expected(c, at, expected, text, err);
        }
        if (s->type == SETTING_LEVEL)
            *(enum wm_log_level *)slot = (enum wm_log_level)index;
        else
            *(const char **)slot = copy.ptr;
        break;
    }
    case SETTING_BOOL:
        if (!wm_view_eq_str(text, "true") && !wm_view_eq_str(text, "false"))
            return fail_expected(c, at, "true or false", text, err);
        *(bool *)slot = text.len == 4;
        break;
    case SETTING_COUNT:
    case SETTING_SIZE:
    case SETTING_TIME_MS:
    case SETTING_TIME_S: {
        int64_t n;
        if (!setting_number_parse(s, text, &n) || n < s->min || n > s->max) {
            setting_number_expected(s, expected);
            return fail_expected(c, at, expected, text, err);
        }
        *(int64_t *)slot = n;
        break;
    }
    case SETTING_LIST:
        WM_ASSERT(text.len == 0); /* lists come through config_set_list(); this is their default */
        break;
    }
    *config_origin(c, s, at->trail) = at->origin;
    return WM_OK;
}

enum wm_status config_set_list(struct config *c, const struct config_place *at, const struct wm_view *items, size_t n,
                               struct wm_err *err)
{
    const struct setting *s = at->setting;
    if (n > CONFIG_MAX_LIST)
        return config_fail(c, at, err, "expected at most %u values", CONFIG_MAX_LIST);
    const char **list = wm_arena_alloc(&c->memory, (n + 1) * sizeof *list);
    for (size_t i = 0; list && i < n; i++) {
        if (!s->valid(items[i]))
            return fail_expected(c, at, s->expected, items[i], err);
        list[i] = wm_arena_copy(&c->memory, items[i]).ptr;
    }
    if (wm_arena_status(&c->memory) != WM_OK)
        return config_no_memory(err);
    *(struct text_list *)value_slot(c, at) = (struct text_list){list, n};
    *config_origin(c, s, at->trail) = at->origin;
    return WM_OK;
}

static enum wm_status set_defaults_of(struct config *c, size_t trail, struct wm_err *err)
{
    const struct setting_table *table = config_settings(trail);
    for (size_t i = 0; i < table->n; i++) {
        struct config_place at = {&table->rows[i], trail, {.kind = ORIGIN_DEFAULT}};
        enum wm_status status = config_set(c, &at, wm_view_of(table->rows[i].fallback), err);
        if (status != WM_OK)
            return status;
    }
    return WM_OK;
}

enum wm_status config_add_trail(struct config *c, const struct origin *o, struct wm_err *err)
{
    size_t trail = c->pub.n_trails;
    if (trail == WM_BOARD_MAX_TRAILS) {
        if (o->kind == ORIGIN_FILE)
            return wm_fail(err, WM_E_INVALID, "%s:%zu: expected at most %u trails", c->file, o->line,
                           WM_BOARD_MAX_TRAILS);
        return wm_fail(err, WM_E_INVALID, "environment: expected at most %u trails", WM_BOARD_MAX_TRAILS);
    }
    c->pub.n_trails++;
    c->trails[trail].self = *o;
    return set_defaults_of(c, trail, err);
}

enum wm_status config_set_defaults(struct config *c, struct wm_err *err)
{
    const struct origin fallback = {.kind = ORIGIN_DEFAULT};
    enum wm_status status = set_defaults_of(c, NO_TRAIL, err);
    /* Without a word about trails there is one, so that nothing that is recorded goes nowhere. */
    if (status == WM_OK)
        status = config_add_trail(c, &fallback, err);
    if (status == WM_OK)
        c->pub.trails[0].name = "main";
    return status;
}
