/* Requests and policies of the policy tests, as short texts. */
#ifndef TESTS_SUPPORT_POLICY_RIG_H
#define TESTS_SUPPORT_POLICY_RIG_H

#include <stdlib.h>

#include "waymark/policy.h"

#define RIG_KEYS 16u
#define RIG_VALUES 32u

struct policy_request_rig {
    struct wm_policy_key keys[RIG_KEYS];
    struct wm_view values[RIG_VALUES];
    struct wm_policy_request q;
};

/* "aws:username=ann;aws:TagKeys=[a|b];aws:SourceIp=192.0.2.1": in brackets stand the values of a key with several. */
static inline void rig_keys(struct policy_request_rig *rig, const char *text)
{
    struct wm_view rest = wm_view_of(text);
    size_t n = 0, n_values = 0;
    while (rest.len) {
        struct wm_view value = wm_view_split(&rest, ';'), name = wm_view_split(&value, '=');
        struct wm_policy_key *key = &rig->keys[n++];
        bool multi = wm_view_starts(value, "[");
        WM_ASSERT(n <= RIG_KEYS);
        *key = (struct wm_policy_key){.name = name, .values = &rig->values[n_values], .multi = multi};
        if (multi)
            value = wm_view_sub(value, 1, value.len - 1);
        while (value.ptr && (value.len || !multi)) {
            WM_ASSERT(n_values < RIG_VALUES);
            if (multi)
                rig->values[n_values++] = wm_view_split(&value, '|');
            else
                rig->values[n_values++] = value, value = WM_EMPTY;
            key->n_values++;
        }
    }
    rig->q.keys = rig->keys;
    rig->q.n_keys = n;
}

/* A text with ' for " and ` for '; for free(). */
static inline char *rig_quoted(const char *text)
{
    char *copy = wm_view_dup(wm_view_of(text));
    WM_ASSERT(copy);
    for (char *c = copy; *c; c++)
        *c = *c == '\'' ? '"' : *c == '`' ? '\'' : *c;
    return copy;
}

static inline enum wm_status rig_compile(const char *text, enum wm_policy_kind kind, struct wm_policy **out,
                                         struct wm_err *err)
{
    char *quoted = rig_quoted(text);
    enum wm_status status = wm_policy_compile(wm_view_of(quoted), kind, out, err);
    free(quoted); /* the policy keeps nothing of it: ASan would tell */
    return status;
}

#endif
