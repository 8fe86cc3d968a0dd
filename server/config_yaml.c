/* The file of settings: strict YAML, one document. The only user of libyaml. */
#include <stdarg.h>
#include <stdio.h>
#include <yaml.h>

#include "server/config_int.h"
#include "waymark/io.h"

#include "waymark/banned.h"

struct reader {
    struct config *c;
    yaml_document_t *doc;
    struct wm_err *err;
};

static size_t node_line(const yaml_node_t *n)
{
    return n->start_mark.line + 1;
}

static struct wm_view node_text(const yaml_node_t *n)
{
    return (struct wm_view){(const char *)n->data.scalar.value, n->data.scalar.length};
}

/* "key:" with nothing behind it, ~ or null */
static bool node_is_null(const yaml_node_t *n)
{
    if (n->type != YAML_SCALAR_NODE || n->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
        return false;
    struct wm_view v = node_text(n);
    return v.len == 0 || wm_view_eq_str(v, "~") || wm_view_eq_str(v, "null");
}

static enum wm_status reader_fail(const struct reader *r, size_t line, const char *fmt, ...) WM_PRINTF(3, 4);
static enum wm_status reader_fail(const struct reader *r, size_t line, const char *fmt, ...)
{
    char what[WM_ERR_MESSAGE_BYTES];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(what, sizeof what, fmt, args); /* a cut message is still a message */
    va_end(args);
    return wm_fail(r->err, WM_E_INVALID, "%s:%zu: %s", r->c->file, line, what);
}

static enum wm_status reader_unknown(const struct reader *r, const yaml_node_t *key, const char *section,
                                     const struct guess *g)
{
    char text[CONFIG_SHOWN_BYTES];
    struct wm_view found = config_shown(node_text(key), text);
    if (g->best[0])
        return reader_fail(r, node_line(key), "unknown key \"%.*s\"%s; did you mean \"%s\"?", WM_ARG(found), section,
                           g->best);
    return reader_fail(r, node_line(key), "unknown key \"%.*s\"%s", WM_ARG(found), section);
}

static enum wm_status reader_set_list(const struct reader *r, const struct config_place *at, const char *name,
                                      const yaml_node_t *value)
{
    struct wm_view items[CONFIG_MAX_LIST + 1];
    size_t n = 0;
    if (value->type == YAML_SEQUENCE_NODE) {
        for (yaml_node_item_t *i = value->data.sequence.items.start; i < value->data.sequence.items.top; i++) {
            const yaml_node_t *item = yaml_document_get_node(r->doc, *i);
            if (item->type != YAML_SCALAR_NODE)
                return reader_fail(r, node_line(item), "%s: expected %s", name, at->setting->expected);
            if (n <= CONFIG_MAX_LIST)
                items[n++] = node_text(item);
        }
    } else if (!node_is_null(value)) {
        return reader_fail(r, node_line(value), "%s: expected a list", name);
    }
    return config_set_list(r->c, at, items, n, r->err);
}

static enum wm_status reader_set(const struct reader *r, const struct setting *s, size_t trail, const yaml_node_t *key,
                                 const yaml_node_t *value)
{
    struct config_place at = {s, trail, {ORIGIN_FILE, node_line(key)}};
    char name[CONFIG_NAME_BYTES];
    setting_path(s, trail, name);
    const struct origin *before = config_origin(r->c, s, trail);
    if (before->kind == ORIGIN_FILE)
        return reader_fail(r, at.origin.line, "%s is given twice, first on line %zu", name, before->line);
    if (s->type == SETTING_LIST)
        return reader_set_list(r, &at, name, value);
    if (value->type != YAML_SCALAR_NODE)
        return reader_fail(r, node_line(value), "%s: expected one value, found a %s", name,
                           value->type == YAML_MAPPING_NODE ? "section" : "list");
    if (node_is_null(value))
        return reader_fail(r, at.origin.line, "%s: expected a value, found nothing", name);
    return config_set(r->c, &at, node_text(value), r->err);
}

static enum wm_status reader_key(const struct reader *r, const yaml_node_pair_t *pair, yaml_node_t **out_key,
                                 yaml_node_t **out_value)
{
    yaml_node_t *key = yaml_document_get_node(r->doc, pair->key);
    if (key->type != YAML_SCALAR_NODE)
        return reader_fail(r, node_line(key), "expected the name of a setting");
    *out_key = key;
    *out_value = yaml_document_get_node(r->doc, pair->value);
    return WM_OK;
}

/*
 * The first row that is meant by a word in a section (in none when that is empty): its setting, or the first of the
 * section of that name. NULL when there is none; *g then has the nearest of the words that there are.
 */
static const struct setting *reader_find(size_t trail, struct wm_view section, struct guess *g)
{
    const struct setting_table *table = config_settings(trail);
    for (size_t i = 0; i < table->n; i++) {
        struct wm_view own = wm_view_of(table->rows[i].key);
        size_t dot = wm_view_find(own, '.');
        if (section.len == 0)
            own = wm_view_sub(own, 0, dot);
        else if (dot < own.len && wm_view_eq(wm_view_sub(own, 0, dot), section))
            own = wm_view_sub(own, dot + 1, own.len);
        else
            continue;
        if (wm_view_eq(own, g->wrong))
            return &table->rows[i];
        guess_offer(g, own);
    }
    return NULL;
}

/* The keys of a section, or of a trail. @param in  where they stand, for messages: " in http" */
static enum wm_status reader_keys(const struct reader *r, const yaml_node_t *node, size_t trail,
                                  struct wm_view section, const char *in)
{
    for (yaml_node_pair_t *p = node->data.mapping.pairs.start; p < node->data.mapping.pairs.top; p++) {
        yaml_node_t *key, *value;
        enum wm_status status = reader_key(r, p, &key, &value);
        if (status != WM_OK)
            return status;
        struct guess g = {.wrong = node_text(key)};
        const struct setting *found = reader_find(trail, section, &g);
        status = found ? reader_set(r, found, trail, key, value) : reader_unknown(r, key, in, &g);
        if (status != WM_OK)
            return status;
    }
    return WM_OK;
}

/* http: or journal: */
static enum wm_status reader_section(const struct reader *r, struct wm_view section, const yaml_node_t *node)
{
    char in[CONFIG_NAME_BYTES];
    (void)snprintf(in, sizeof in, " in %.*s", WM_ARG(section)); /* a section's name is ours and short */
    if (node_is_null(node))
        return WM_OK;
    if (node->type != YAML_MAPPING_NODE)
        return reader_fail(r, node_line(node), "%.*s: expected a section with keys", WM_ARG(section));
    return reader_keys(r, node, NO_TRAIL, section, in);
}

static enum wm_status reader_trail(const struct reader *r, const yaml_node_t *node)
{
    struct origin o = {ORIGIN_FILE, node_line(node)};
    if (node->type != YAML_MAPPING_NODE)
        return reader_fail(r, o.line, "trails: expected the keys of a trail, such as \"- name: main\"");
    enum wm_status status = config_add_trail(r->c, &o, r->err);
    return status == WM_OK ? reader_keys(r, node, r->c->pub.n_trails - 1, WM_EMPTY, " of a trail") : status;
}

static enum wm_status reader_trails(const struct reader *r, const yaml_node_t *key, const yaml_node_t *node)
{
    struct config *c = r->c;
    if (c->trails_origin.kind == ORIGIN_FILE)
        return reader_fail(r, node_line(key), "trails is given twice, first on line %zu", c->trails_origin.line);
    c->trails_origin = (struct origin){ORIGIN_FILE, node_line(key)};
    c->pub.n_trails = 0;
    if (node_is_null(node))
        return WM_OK;
    if (node->type != YAML_SEQUENCE_NODE)
        return reader_fail(r, node_line(node), "trails: expected a list of trails, each beginning with \"- name:\"");
    for (yaml_node_item_t *i = node->data.sequence.items.start; i < node->data.sequence.items.top; i++) {
        enum wm_status status = reader_trail(r, yaml_document_get_node(r->doc, *i));
        if (status != WM_OK)
            return status;
    }
    return WM_OK;
}

/* What the root has had of one name: of settings and trails it is known, of sections here. */
struct sections {
    struct { struct wm_view name; size_t line; } seen[CONFIG_MAX_SETTINGS];
    size_t n;
};

static enum wm_status reader_root_key(const struct reader *r, struct sections *sections, const yaml_node_t *key,
                                      const yaml_node_t *value)
{
    struct wm_view word = node_text(key);
    if (wm_view_eq_str(word, "trails"))
        return reader_trails(r, key, value);
    struct guess g = {.wrong = word};
    guess_offer(&g, WM_LIT("trails"));
    const struct setting *found = reader_find(NO_TRAIL, WM_EMPTY, &g);
    if (!found)
        return reader_unknown(r, key, "", &g);
    if (wm_view_eq_str(word, found->key))
        return reader_set(r, found, NO_TRAIL, key, value);
    for (size_t i = 0; i < sections->n; i++)
        if (wm_view_eq(sections->seen[i].name, word))
            return reader_fail(r, node_line(key), "%.*s is given twice, first on line %zu", WM_ARG(word),
                               sections->seen[i].line);
    sections->seen[sections->n].name = word;
    sections->seen[sections->n++].line = node_line(key);
    return reader_section(r, word, value);
}

static enum wm_status reader_root(const struct reader *r, const yaml_node_t *root)
{
    if (node_is_null(root))
        return WM_OK;
    if (root->type != YAML_MAPPING_NODE)
        return reader_fail(r, node_line(root), "expected settings, each a \"key: value\"");
    struct sections sections = {.n = 0};
    for (yaml_node_pair_t *p = root->data.mapping.pairs.start; p < root->data.mapping.pairs.top; p++) {
        yaml_node_t *key, *value;
        enum wm_status status = reader_key(r, p, &key, &value);
        if (status == WM_OK)
            status = reader_root_key(r, &sections, key, value);
        if (status != WM_OK)
            return status;
    }
    return WM_OK;
}

static enum wm_status parser_fail(const struct reader *r, const yaml_parser_t *p)
{
    if (p->error == YAML_MEMORY_ERROR)
        return config_no_memory(r->err);
    /* Where a construct began is what a person can find; libyaml's problem mark is often the line behind it. */
    if (p->context)
        return reader_fail(r, p->problem_mark.line + 1, "not YAML: %s, %s (line %zu)", p->problem, p->context,
                           p->context_mark.line + 1);
    return reader_fail(r, p->problem_mark.line + 1, "not YAML: %s", p->problem ? p->problem : "unreadable");
}

enum wm_status config_read_file(struct config *c, struct wm_err *err)
{
    struct wm_buf text;
    wm_buf_init(&text, CONFIG_MAX_FILE_BYTES);
    enum wm_status status = wm_io_read_file(&wm_io_posix, c->file, &text, err);
    if (status != WM_OK) {
        wm_buf_done(&text);
        return status;
    }
    struct reader r = {.c = c, .err = err};
    yaml_parser_t parser;
    yaml_document_t doc, more;
    bool have_doc = false, have_more = false;
    if (!yaml_parser_initialize(&parser)) {
        wm_buf_done(&text);
        return config_no_memory(err);
    }
    yaml_parser_set_input_string(&parser, (const unsigned char *)text.data, text.len);
    if (!yaml_parser_load(&parser, &doc)) {
        status = parser_fail(&r, &parser);
        goto out;
    }
    have_doc = true;
    r.doc = &doc;
    const yaml_node_t *root = yaml_document_get_root_node(&doc);
    if (root) {
        status = reader_root(&r, root);
        if (status != WM_OK)
            goto out;
        if (!yaml_parser_load(&parser, &more)) {
            status = parser_fail(&r, &parser);
            goto out;
        }
        have_more = true;
        const yaml_node_t *second = yaml_document_get_root_node(&more);
        if (second)
            status = reader_fail(&r, node_line(second), "expected one document, found a second one behind \"---\"");
    }
out:
    if (have_more)
        yaml_document_delete(&more);
    if (have_doc)
        yaml_document_delete(&doc);
    yaml_parser_delete(&parser);
    wm_buf_done(&text);
    return status;
}
