/*
 * A policy, and a request that is made of it. The first byte says which kind of policy; the text follows.
 * Holds: what is refused is refused with a sentence; a policy that is read has its statements in order in its text, and
 * evaluating it agrees with what they say one by one.
 */
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "waymark/bounds.h"
#include "waymark/policy.h"

#include "waymark/banned.h"

#define MAX_KEYS 64u

/* What the policy's words say of the request, so that patterns meet texts like their own. */
static struct wm_view word(struct wm_view text, size_t n)
{
    struct wm_view rest = text, found = WM_EMPTY;
    for (size_t i = 0; i <= 2 * n + 1 && rest.ptr; i++)
        found = wm_view_split(&rest, '"');
    return found;
}

static void check_decision(const struct wm_policy *p, const struct wm_policy_request *q)
{
    size_t decides = SIZE_MAX;
    enum wm_policy_effect effect = wm_policy_evaluate(p, q, &decides), expected = WM_POLICY_NONE;
    size_t first_deny = SIZE_MAX, first_allow = SIZE_MAX;
    for (size_t i = wm_policy_n_statements(p); i-- > 0;) {
        if (!wm_policy_statement_applies(p, i, q))
            continue;
        if (wm_policy_statement_info(p, i).deny)
            first_deny = i;
        else
            first_allow = i;
    }
    if (first_deny != SIZE_MAX)
        expected = WM_POLICY_DENY;
    else if (first_allow != SIZE_MAX)
        expected = WM_POLICY_ALLOW;
    MUST(effect == expected);
    MUST(decides == (effect == WM_POLICY_DENY ? first_deny : first_allow));
    MUST(!wm_policy_names_principal(p, q) || first_allow != SIZE_MAX);
}

static void check_policy(const struct wm_policy *p, struct wm_view text)
{
    struct wm_policy_key keys[MAX_KEYS];
    struct wm_view values[MAX_KEYS + 1];
    struct wm_policy_place last = {1, 1};
    size_t n = wm_policy_n_keys(p) < MAX_KEYS ? wm_policy_n_keys(p) : MAX_KEYS;
    for (size_t i = 0; i < wm_policy_n_statements(p); i++) {
        struct wm_policy_statement_info s = wm_policy_statement_info(p, i);
        MUST(s.start.line > last.line || (s.start.line == last.line && s.start.column > last.column));
        MUST(s.end.line > s.start.line || (s.end.line == s.start.line && s.end.column > s.start.column));
        last = s.end;
    }
    for (size_t i = 0; i <= MAX_KEYS; i++)
        values[i] = word(text, i);
    for (size_t i = 0; i < n; i++) {
        keys[i] = (struct wm_policy_key){wm_policy_key(p, i), &values[i], i % 3 == 2 ? 2 : 1, i % 3 == 2};
        MUST(keys[i].name.len > 0);
    }
    for (size_t i = 0; i < MAX_KEYS; i++) {
        struct wm_policy_request q = {.action = values[i], .resource = values[i + 1], .keys = keys};
        q.n_keys = i % 2 ? n : 0;
        q.principal.arn = q.principal.account_id = q.principal.service = values[i];
        q.principal.role_arn = values[i + 1];
        check_decision(p, &q);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len == 0)
        return 0;
    enum wm_policy_kind kind = data[0] == 't' ? WM_POLICY_TRUST : WM_POLICY_IDENTITY;
    struct wm_view text = {(const char *)data + 1, len - 1};
    struct wm_policy *p = NULL;
    struct wm_err err = {0};
    enum wm_status status = wm_policy_compile(text, kind, &p, &err);
    MUST(wm_policy_size(text) <= text.len);
    if (status != WM_OK) {
        MUST(status == WM_E_INVALID || status == WM_E_LIMIT);
        MUST(!p && err.message[0] != '\0');
        return 0;
    }
    check_policy(p, text);
    wm_policy_free(p);
    return 0;
}
