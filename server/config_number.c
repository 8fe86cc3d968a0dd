/* Numbers as one writes them in settings: with the largest unit that divides them. */
#include <stdio.h>

#include "server/config_int.h"

#include "waymark/banned.h"

struct unit {
    const char *name;
    int64_t factor;
};

/* Largest first, so that a number is printed with the largest unit that divides it. */
static const struct unit size_units[] = {
    {"TiB", 1024 * GIB},    {"GiB", GIB},        {"MiB", MIB},     {"KiB", KIB}, {"TB", 1000000000000ll},
    {"GB", 1000000000ll},   {"MB", 1000000},     {"KB", 1000},     {"B", 1},     {NULL, 0},
};
static const struct unit ms_units[] = {
    {"d", 24 * HOUR_MS}, {"h", HOUR_MS}, {"m", MINUTE_MS}, {"s", 1000}, {"ms", 1}, {NULL, 0},
};
static const struct unit s_units[] = {
    {"d", 86400}, {"h", 3600}, {"m", 60}, {"s", 1}, {NULL, 0},
};

static const struct unit *setting_units(const struct setting *s)
{
    switch (s->type) {
    case SETTING_SIZE:
        return size_units;
    case SETTING_TIME_MS:
        return ms_units;
    case SETTING_TIME_S:
        return s_units;
    default:
        return NULL;
    }
}

const char *setting_number_text(const struct setting *s, int64_t n, char out[CONFIG_NUMBER_BYTES])
{
    const struct unit *u = setting_units(s);
    while (u && n > 0 && u->name && n % u->factor != 0)
        u++;
    if (!u || n == 0)
        (void)snprintf(out, CONFIG_NUMBER_BYTES, "%lld", (long long)n);
    else
        (void)snprintf(out, CONFIG_NUMBER_BYTES, "%lld%s", (long long)(n / u->factor), u->name);
    return out;
}

bool setting_number_parse(const struct setting *s, struct wm_view text, int64_t *out)
{
    size_t digits = 0;
    while (digits < text.len && text.ptr[digits] >= '0' && text.ptr[digits] <= '9')
        digits++;
    uint64_t n;
    if (wm_view_to_u64(wm_view_sub(text, 0, digits), INT64_MAX, &n) != WM_OK)
        return false;
    struct wm_view name = wm_view_sub(text, digits, text.len);
    const struct unit *u = setting_units(s);
    int64_t factor = 1;
    if (name.len > 0) {
        while (u && u->name && !wm_view_eq_str(name, u->name))
            u++;
        if (!u || !u->name)
            return false;
        factor = u->factor;
    } else if (n > 0 && (s->type == SETTING_TIME_MS || s->type == SETTING_TIME_S)) {
        return false;
    }
    if ((int64_t)n > INT64_MAX / factor)
        return false;
    *out = (int64_t)n * factor;
    return true;
}

void setting_number_expected(const struct setting *s, char out[CONFIG_EXPECTED_BYTES])
{
    char min[CONFIG_NUMBER_BYTES], max[CONFIG_NUMBER_BYTES];
    const char *kind = s->type == SETTING_SIZE      ? "a size with a unit (B, KB, KiB, MB, MiB, GB, GiB)"
                       : s->type == SETTING_TIME_MS ? "a duration with a unit (ms, s, m, h)"
                       : s->type == SETTING_TIME_S  ? "a duration in whole seconds with a unit (s, m, h)"
                                                    : "a number";
    if (s->max == INT64_MAX)
        (void)snprintf(out, CONFIG_EXPECTED_BYTES, "%s from %s on", kind, setting_number_text(s, s->min, min));
    else
        (void)snprintf(out, CONFIG_EXPECTED_BYTES, "%s from %s to %s", kind, setting_number_text(s, s->min, min),
                       setting_number_text(s, s->max, max));
}
