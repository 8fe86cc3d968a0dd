/* The settings as YAML, in the form that is read back. */
#include "server/config_int.h"

#include "waymark/banned.h"

static void dump_text(struct wm_buf *out, const char *text)
{
    wm_buf_add_char(out, '"');
    for (const char *p = text; *p; p++) {
        if (*p == '"' || *p == '\\')
            wm_buf_add_char(out, '\\');
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            wm_buf_addf(out, "\\x%02x", (unsigned)(unsigned char)*p);
        else
            wm_buf_add_char(out, *p);
    }
    wm_buf_add_char(out, '"');
}

static void dump_value(struct wm_buf *out, const struct setting *s, const void *value)
{
    char number[CONFIG_NUMBER_BYTES];
    switch (s->type) {
    case SETTING_TEXT:
        dump_text(out, *(const char *const *)value);
        return;
    case SETTING_CHOICE:
        wm_buf_add_str(out, *(const char *const *)value);
        return;
    case SETTING_LEVEL: {
        struct wm_view rest = wm_view_of(s->expected), word = WM_EMPTY;
        for (int i = 0; i <= (int)*(const enum wm_log_level *)value; i++)
            word = wm_view_split(&rest, '|');
        wm_buf_add_view(out, word);
        return;
    }
    case SETTING_BOOL:
        wm_buf_add_str(out, *(const bool *)value ? "true" : "false");
        return;
    case SETTING_COUNT:
    case SETTING_SIZE:
    case SETTING_TIME_MS:
    case SETTING_TIME_S:
        wm_buf_add_str(out, setting_number_text(s, *(const int64_t *)value, number));
        return;
    case SETTING_LIST: {
        const struct text_list *list = value;
        wm_buf_add_char(out, '[');
        for (size_t i = 0; i < list->n; i++) {
            wm_buf_add_str(out, i ? ", " : "");
            dump_text(out, list->items[i]);
        }
        wm_buf_add_char(out, ']');
        return;
    }
    }
}

/* @param own  the key in its section */
static void dump_setting(struct wm_buf *out, const struct wm_config *c, const struct setting *s, size_t trail,
                         struct wm_view own)
{
    wm_buf_addf(out, "%.*s: ", WM_ARG(own));
    dump_value(out, s, setting_value(c, s, trail));
    wm_buf_add_char(out, '\n');
}

enum wm_status wm_config_dump(const struct wm_config *c, struct wm_buf *out)
{
    const struct setting_table *table = config_settings(NO_TRAIL);
    struct wm_view section = WM_EMPTY;
    for (const struct setting *s = table->rows; s < table->rows + table->n; s++) {
        struct wm_view own = wm_view_of(s->key);
        size_t dot = wm_view_find(own, '.');
        if (dot < own.len) {
            struct wm_view of = wm_view_sub(own, 0, dot);
            if (!wm_view_eq(of, section))
                wm_buf_addf(out, "%.*s:\n", WM_ARG(of));
            section = of;
            own = wm_view_sub(own, dot + 1, own.len);
            wm_buf_add_str(out, "  ");
        }
        dump_setting(out, c, s, NO_TRAIL, own);
    }
    wm_buf_add_str(out, c->n_trails ? "trails:\n" : "trails: []\n");
    for (size_t trail = 0; trail < c->n_trails; trail++) {
        table = config_settings(trail);
        for (size_t i = 0; i < table->n; i++) {
            wm_buf_add_str(out, i == 0 ? "  - " : "    ");
            dump_setting(out, c, &table->rows[i], trail, wm_view_of(table->rows[i].key));
        }
    }
    return wm_buf_status(out);
}
