/*
 * Where statements stand in a policy's text, and how long it is without blanks. The JSON reader keeps no places, so the
 * text is walked a second time, once it is known to be JSON.
 *
 * The places are those that AWS answers: the AWS CLI's example of simulate-custom-policy has StartPosition one behind
 * the opening brace and EndPosition one behind the closing one, counted from 1.
 */
#include "server/policy_int.h"

#include "waymark/banned.h"

struct walker {
    struct wm_view text;
    size_t at;
    struct wm_policy_place place; /* of text.ptr[at] */
};

/* Those of JSON, and two more that our reader lets pass. */
static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_continuation(char c) /* of a character of UTF-8 */
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

static char walker_peek(const struct walker *w)
{
    return w->at < w->text.len ? w->text.ptr[w->at] : '\0';
}

static void walker_step(struct walker *w)
{
    if (w->at == w->text.len)
        return;
    char c = w->text.ptr[w->at++];
    if (c == '\n') {
        w->place.line++;
        w->place.column = 1;
    } else if (!is_continuation(walker_peek(w))) {
        w->place.column++;
    }
}

static void skip_string(struct walker *w)
{
    walker_step(w);
    while (w->at < w->text.len && walker_peek(w) != '"') {
        if (walker_peek(w) == '\\')
            walker_step(w);
        walker_step(w);
    }
    walker_step(w);
}

/* To where the next value, key or closing bracket begins. */
static void skip_between(struct walker *w)
{
    while (is_blank(walker_peek(w)) || walker_peek(w) == ',' || walker_peek(w) == ':')
        walker_step(w);
}

static void skip_container(struct walker *w)
{
    size_t depth = 0;
    do {
        char c = walker_peek(w);
        if (c == '"') {
            skip_string(w);
            continue;
        }
        if (c == '{' || c == '[')
            depth++;
        else if (c == '}' || c == ']')
            depth--;
        walker_step(w);
    } while (depth && w->at < w->text.len);
}

static void skip_value(struct walker *w)
{
    char c = walker_peek(w);
    if (c == '"')
        skip_string(w);
    else if (c == '{' || c == '[')
        skip_container(w);
    else
        while (w->at < w->text.len && !strchr(",]}", walker_peek(w)) && !is_blank(walker_peek(w)))
            walker_step(w);
}

void wm_policy_find_places(struct wm_view text, size_t member, struct wm_policy_statement *statements, size_t n)
{
    struct walker w = {.text = text, .place = {1, 1}};
    skip_between(&w);
    walker_step(&w); /* the document's brace */
    for (size_t i = 0; i <= 2 * member; i++) { /* keys and values before, and the key "Statement" */
        skip_between(&w);
        skip_value(&w);
    }
    skip_between(&w);
    if (walker_peek(&w) == '[')
        walker_step(&w);
    for (size_t i = 0; i < n; i++) {
        skip_between(&w);
        struct walker inside = w;
        walker_step(&inside);
        statements[i].start = inside.place;
        skip_value(&w);
        statements[i].end = w.place;
    }
}

size_t wm_policy_size(struct wm_view text)
{
    size_t n = 0;
    bool quoted = false, escaped = false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (!is_continuation(c) && (quoted || !is_blank(c)))
            n++;
        if (c == '"' && !escaped)
            quoted = !quoted;
        escaped = quoted && c == '\\' && !escaped;
    }
    return n;
}
