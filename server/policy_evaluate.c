/*
 * What a policy says: a statement applies when action, resource or principal, and every condition fit. (IAM User Guide,
 * "Policy evaluation logic".)
 */
#include "server/policy_int.h"

#include "waymark/banned.h"

static bool patterns_apply(const struct wm_policy_patterns *patterns, unsigned how, struct wm_view subject,
                           const struct wm_policy_request *q)
{
    for (size_t i = 0; i < patterns->n; i++)
        if (wm_policy_pattern_matches(&patterns->all[i], how, subject, q))
            return !patterns->negated;
    return patterns->negated;
}

/* @param itself  do not count an account that the caller is only part of */
static bool principals_apply(const struct wm_policy_statement *s, const struct wm_policy_request *q, bool itself)
{
    for (size_t i = 0; i < s->n_principals; i++)
        if ((!itself || s->principals[i].kind != WM_PRINCIPAL_ACCOUNT) && wm_policy_principal_is(&s->principals[i], q))
            return true;
    return false;
}

static bool statement_applies(const struct wm_policy *p, const struct wm_policy_statement *s,
                              const struct wm_policy_request *q, bool itself)
{
    if (!patterns_apply(&s->actions, WM_PATTERN_WILDCARDS | WM_PATTERN_IGNORE_CASE, q->action, q))
        return false;
    if (p->kind == WM_POLICY_TRUST ? !principals_apply(s, q, itself)
                                   : !patterns_apply(&s->resources, WM_PATTERN_WILDCARDS, q->resource, q))
        return false;
    for (size_t i = 0; i < s->n_conditions; i++)
        if (!wm_policy_condition_holds(&s->conditions[i], q))
            return false;
    return true;
}

enum wm_policy_effect wm_policy_evaluate(const struct wm_policy *p, const struct wm_policy_request *q,
                                         size_t *out_statement)
{
    enum wm_policy_effect effect = WM_POLICY_NONE;
    for (size_t i = 0; i < p->n_statements; i++) {
        const struct wm_policy_statement *s = &p->statements[i];
        if ((effect == WM_POLICY_ALLOW && !s->deny) || !statement_applies(p, s, q, false))
            continue;
        effect = s->deny ? WM_POLICY_DENY : WM_POLICY_ALLOW;
        if (out_statement)
            *out_statement = i;
        if (s->deny)
            break;
    }
    return effect;
}

bool wm_policy_statement_applies(const struct wm_policy *p, size_t i, const struct wm_policy_request *q)
{
    WM_ASSERT(i < p->n_statements);
    return statement_applies(p, &p->statements[i], q, false);
}

bool wm_policy_names_principal(const struct wm_policy *p, const struct wm_policy_request *q)
{
    for (size_t i = 0; i < p->n_statements; i++)
        if (!p->statements[i].deny && statement_applies(p, &p->statements[i], q, true))
            return true;
    return false;
}
