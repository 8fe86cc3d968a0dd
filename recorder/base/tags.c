#include "waymark/tags.h"

#include "waymark/sigv4.h"

#include "waymark/banned.h"

struct tag {
    struct wm_view key, value;
};

/* Cut the next tag off *rest; false when it is none. */
static bool tag_next(struct wm_view *rest, struct tag *out)
{
    struct wm_view text = wm_view_split(rest, ',');
    size_t equals = wm_view_find(text, '=');
    out->key = wm_view_trim(wm_view_sub(text, 0, equals));
    out->value = wm_view_trim(wm_view_sub(text, equals + 1, text.len));
    return equals < text.len;
}

static bool letters_good(struct wm_view v)
{
    for (size_t i = 0; i < v.len; i++) {
        unsigned char c = (unsigned char)v.ptr[i];
        bool letter = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c >= 0x80;
        if (!letter && (c == '\0' || !strchr(" +-=._:/@", c)))
            return false;
    }
    return wm_view_is_utf8(v);
}

bool wm_tags_valid(struct wm_view tags)
{
    struct tag found[WM_MAX_TAGS];
    size_t n = 0;
    while (tags.len || (n && tags.ptr)) { /* behind a final comma an empty tag is left, which is none */
        if (n == WM_MAX_TAGS || !tag_next(&tags, &found[n]))
            return false;
        const struct tag *t = &found[n++];
        if (!t->key.len || t->key.len > WM_MAX_TAG_KEY_BYTES || t->value.len > WM_MAX_TAG_VALUE_BYTES ||
            !letters_good(t->key) || !letters_good(t->value))
            return false;
        for (size_t i = 0; i + 1 < n; i++)
            if (wm_view_eq(found[i].key, t->key))
                return false;
    }
    return true;
}

void wm_tags_encode(struct wm_view tags, struct wm_buf *out)
{
    for (bool first = true; tags.len; first = false) {
        struct tag t;
        (void)tag_next(&tags, &t); /* they are valid */
        if (!first)
            wm_buf_add_char(out, '&');
        wm_uri_encode(out, t.key, false);
        wm_buf_add_char(out, '=');
        wm_uri_encode(out, t.value, false);
    }
}
