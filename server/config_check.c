/* Rules between settings, when all are read; and the values that follow from others. */
#include <string.h>

#include "server/config_int.h"

#include "waymark/banned.h"

/* Rules of one setting beside others. */
struct rule {
    const char *key;
    enum wm_status (*check)(struct config *c, const struct config_place *at, struct wm_err *err);
};

/* Where a value was given; of a trail's that was not, where its trail was. */
static struct config_place check_place(struct config *c, const struct setting *s, size_t trail)
{
    struct config_place at = {s, trail, *config_origin(c, s, trail)};
    if (trail != NO_TRAIL && at.origin.kind == ORIGIN_DEFAULT)
        at.origin = c->trails[trail].self;
    return at;
}

static enum wm_status check_rule(struct config *c, const struct rule *rules, const struct config_place *at,
                                 struct wm_err *err)
{
    for (; rules->key; rules++)
        if (strcmp(at->setting->key, rules->key) == 0)
            return rules->check(c, at, err);
    return WM_OK;
}

/* ---- of the server ---- */

/* One segment is written while another waits to be retired. */
static enum wm_status check_journal_size(struct config *c, const struct config_place *at, struct wm_err *err)
{
    int64_t max_bytes = c->pub.journal.max_bytes, segment_bytes = c->pub.journal.segment_bytes;
    if (max_bytes == 0 || max_bytes / 2 >= segment_bytes)
        return WM_OK;
    char max[CONFIG_NUMBER_BYTES], segment[CONFIG_NUMBER_BYTES];
    /* Name the one that was given; the other may be a default. */
    struct config_place named = *at;
    if (named.origin.kind == ORIGIN_DEFAULT)
        named = check_place(c, config_setting(NO_TRAIL, "journal.segment_bytes"), NO_TRAIL);
    return config_fail(c, &named, err, "expected max_bytes to be at least twice segment_bytes, found %s and %s",
                       setting_number_text(at->setting, max_bytes, max),
                       setting_number_text(at->setting, segment_bytes, segment));
}

static enum wm_status check_token(struct config *c, const struct config_place *at, struct wm_err *err)
{
    if (c->pub.keys.token[0] != '\0' && c->pub.keys.token_module[0] == '\0')
        return config_fail(c, at, err, "expected token_module beside it, the path of its library");
    /* What stands in the settings is shown by --dump-config, and by messages. */
    if (strstr(c->pub.keys.token, "pin-"))
        return config_fail(c, at, err, "expected no PIN in the URI; token_pin_file names its file");
    return WM_OK;
}

static enum wm_status check_with_token(struct config *c, const struct config_place *at, struct wm_err *err)
{
    const char *value = *(const char *const *)setting_value(&c->pub, at->setting, at->trail);
    if (value[0] != '\0' && c->pub.keys.token[0] == '\0')
        return config_fail(c, at, err, "means something only with keys.token");
    return WM_OK;
}

static enum wm_status check_burst(struct config *c, const struct config_place *at, struct wm_err *err)
{
    bool of_source = strcmp(at->setting->key, "throttle.source_burst") == 0;
    int64_t rate = of_source ? c->pub.throttle.source_rate : c->pub.throttle.principal_rate;
    if (*(const int64_t *)setting_value(&c->pub, at->setting, at->trail) != 0 && rate == 0)
        return config_fail(c, at, err, "means something only with throttle.%s", of_source ? "source_rate" : "principal_rate");
    return WM_OK;
}

/* Without recording there is nothing that the lock keeps. To turn it off, the lock must be opened, and that is recorded. */
static enum wm_status check_lock(struct config *c, const struct config_place *at, struct wm_err *err)
{
    if (c->pub.audit.locked && !c->pub.journal.enabled)
        return config_fail(c, at, err, "expected journal.enabled beside it, since the lock keeps what is recorded");
    return WM_OK;
}

static enum wm_status check_server(struct config *c, struct wm_err *err)
{
    static const struct rule rules[] = {
        {"journal.max_bytes", check_journal_size}, {"keys.token", check_token}, {"keys.token_module", check_with_token},
        {"keys.token_pin_file", check_with_token}, {"throttle.source_burst", check_burst},
        {"throttle.principal_burst", check_burst}, {"audit.locked", check_lock}, {NULL, NULL},
    };
    const struct setting_table *table = config_settings(NO_TRAIL);
    for (size_t i = 0; i < table->n; i++) {
        struct config_place at = check_place(c, &table->rows[i], NO_TRAIL);
        enum wm_status status = check_rule(c, rules, &at, err);
        if (status != WM_OK)
            return status;
    }
    return WM_OK;
}

/* ---- of a trail ---- */

/* Value of a text or a choice; NULL for the other types. */
static const char *text_value(const struct config *c, const struct setting *s, size_t trail)
{
    return s->type == SETTING_TEXT || s->type == SETTING_CHOICE
               ? *(const char *const *)setting_value(&c->pub, s, trail) : NULL;
}

/* Does it have its default, given or not? Of the types that a trail's settings have. */
static bool is_default(const struct config *c, const struct setting *s, size_t trail)
{
    const char *value = text_value(c, s, trail);
    int64_t fallback;
    if (value)
        return strcmp(value, s->fallback) == 0;
    return setting_number_parse(s, wm_view_of(s->fallback), &fallback) &&
           *(const int64_t *)setting_value(&c->pub, s, trail) == fallback;
}

/* Is the other setting, which this one needs, as it must be? */
static bool has_company(const struct config *c, const struct setting *s, size_t trail)
{
    const struct setting *other = config_setting(trail, s->with);
    if (!s->with_value)
        return !is_default(c, other, trail);
    const char *value = text_value(c, other, trail);
    return value && strcmp(value, s->with_value) == 0;
}

static enum wm_status check_name(struct config *c, const struct config_place *at, struct wm_err *err)
{
    const char *name = c->pub.trails[at->trail].name;
    if (name[0] == '\0')
        return config_fail(c, at, err, "expected a name, found none");
    for (size_t other = 0; other < at->trail; other++)
        if (strcmp(c->pub.trails[other].name, name) == 0)
            return config_fail(c, at, err, "trails[%zu] has the name %s already", other, name);
    return WM_OK;
}

static enum wm_status check_bucket(struct config *c, const struct config_place *at, struct wm_err *err)
{
    const struct wm_config_trail *t = &c->pub.trails[at->trail];
    if (strcmp(t->store, "s3") == 0 && t->bucket[0] == '\0')
        return config_fail(c, at, err, "expected the bucket's name, which \"store: s3\" needs");
    return WM_OK;
}

static enum wm_status check_object_lock(struct config *c, const struct config_place *at, struct wm_err *err)
{
    const struct wm_config_trail *t = &c->pub.trails[at->trail];
    if (!is_default(c, at->setting, at->trail) && t->object_lock_days == 0)
        return config_fail(c, at, err, "expected object_lock_days with it, 1 to 36500");
    return WM_OK;
}

static enum wm_status check_codec_level(struct config *c, const struct config_place *at, struct wm_err *err)
{
    const struct wm_config_trail *t = &c->pub.trails[at->trail];
    if (strcmp(t->codec, "gzip") == 0 && t->codec_level > 12)
        return config_fail(c, at, err, "expected 0 to 12 with \"codec: gzip\", found %lld", (long long)t->codec_level);
    return WM_OK;
}

/* What the row itself says of others: only, with. */
static enum wm_status check_row(struct config *c, const struct config_place *at, struct wm_err *err)
{
    const struct setting *s = at->setting;
    if (is_default(c, s, at->trail))
        return WM_OK;
    if (s->only && strcmp(s->only, c->pub.trails[at->trail].store) != 0)
        return config_fail(c, at, err, "means something only with \"store: %s\"", s->only);
    if (!s->with || has_company(c, s, at->trail))
        return WM_OK;
    return s->with_value ? config_fail(c, at, err, "means something only with \"%s: %s\"", s->with, s->with_value)
                         : config_fail(c, at, err, "means something only with %s", s->with);
}

static enum wm_status check_trail(struct config *c, size_t trail, struct wm_err *err)
{
    static const struct rule rules[] = {
        {"name", check_name}, {"bucket", check_bucket}, {"object_lock", check_object_lock},
        {"codec_level", check_codec_level}, {NULL, NULL},
    };
    const struct setting_table *table = config_settings(trail);
    for (size_t i = 0; i < table->n; i++) {
        struct config_place at = check_place(c, &table->rows[i], trail);
        enum wm_status status = check_row(c, &at, err);
        if (status == WM_OK)
            status = check_rule(c, rules, &at, err);
        if (status != WM_OK)
            return status;
    }
    return WM_OK;
}

/* Each is a trail. The state is a follower of the journal as well, but without it nothing could be answered. */
static enum wm_status check_paused(struct config *c, struct wm_err *err)
{
    struct config_place at = check_place(c, config_setting(NO_TRAIL, "journal.pause_followers"), NO_TRAIL);
    for (size_t i = 0; i < c->pub.journal.n_pause_followers; i++) {
        const char *name = c->pub.journal.pause_followers[i];
        bool known = false;
        for (size_t k = 0; k < c->pub.n_trails; k++)
            known = known || strcmp(c->pub.trails[k].name, name) == 0;
        if (!known && strcmp(name, "state") == 0)
            return config_fail(c, &at, err, "the state cannot be paused, only trails can");
        if (!known)
            return config_fail(c, &at, err, "there is no trail of the name %s", name);
    }
    return WM_OK;
}

/* ---- */

/* What follows from others. */
static enum wm_status fill_trail(struct config *c, struct wm_config_trail *t, struct wm_err *err)
{
    bool is_file = strcmp(t->store, "file") == 0;
    if (is_file && t->folder[0] == '\0')
        t->folder = wm_arena_printf(&c->memory, "%s/bucket", c->pub.data_dir).ptr;
    if (is_file && t->bucket[0] == '\0')
        t->bucket = "waymark";
    if (!is_file && t->region[0] == '\0')
        t->region = c->pub.region;
    return wm_arena_status(&c->memory) == WM_OK ? WM_OK : config_no_memory(err);
}

enum wm_status config_check(struct config *c, struct wm_err *err)
{
    enum wm_status status = check_server(c, err);
    for (size_t i = 0; status == WM_OK && i < c->pub.n_trails; i++) {
        status = check_trail(c, i, err);
        if (status == WM_OK)
            status = fill_trail(c, &c->pub.trails[i], err);
    }
    return status == WM_OK ? check_paused(c, err) : status;
}
