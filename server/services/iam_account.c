/*
 * The account as a whole: what there is, and how much there may be.
 */
#include "server/services/iam_int.h"

#include "waymark/banned.h"

static size_t count(struct wm_call *c, const char *kind)
{
    return wm_state_count(c->state, wm_view_of(kind));
}

/* API Reference, GetAccountSummary: those of its keys that mean something here. It is the one map in IAM's answers, which
 * the query protocol writes as elements "entry", each with a key and a value. */
enum wm_status iam_get_account_summary(struct wm_call *c, struct wm_reply *r)
{
    const struct {
        const char *key;
        size_t value;
    } summary[] = {
        {"Users", count(c, WM_IAM_USER)},
        {"UsersQuota", WM_MAX_USERS},
        {"Groups", count(c, WM_IAM_GROUP)},
        {"GroupsQuota", WM_MAX_GROUPS},
        {"Roles", count(c, WM_IAM_ROLE)},
        {"RolesQuota", WM_MAX_ROLES},
        {"Policies", count(c, WM_IAM_POLICY)},
        {"PoliciesQuota", WM_MAX_MANAGED_POLICIES},
        {"PolicySizeQuota", WM_MAX_MANAGED_POLICY},
        {"VersionsPerPolicyQuota", WM_MAX_POLICY_VERSIONS},
        {"AssumeRolePolicySizeQuota", WM_MAX_TRUST_POLICY},
        {"UserPolicySizeQuota", iam_user.most_inline},
        {"GroupPolicySizeQuota", iam_group.most_inline},
        {"RolePolicySizeQuota", iam_role.most_inline},
        {"AttachedPoliciesPerUserQuota", WM_MAX_ATTACHED_POLICIES},
        {"AttachedPoliciesPerGroupQuota", WM_MAX_ATTACHED_POLICIES},
        {"AttachedPoliciesPerRoleQuota", WM_MAX_ATTACHED_POLICIES},
        {"GroupsPerUserQuota", WM_MAX_GROUPS_PER_USER},
        {"AccessKeysPerUserQuota", WM_MAX_ACCESS_KEYS_PER_USER},
        {"AccountAccessKeysPresent", 1},
        {"AccountMFAEnabled", 0},
        {"MFADevices", 0},
    };
    r->document = wm_json_new(c->arena, WM_JSON_OBJECT);
    struct wm_json *map = wm_json_set_object(c->arena, r->document, "SummaryMap");
    for (size_t i = 0; i < sizeof summary / sizeof summary[0]; i++) {
        struct wm_json *entry = wm_json_set_object(c->arena, map, "entry");
        wm_json_set_string(c->arena, entry, "key", wm_view_of(summary[i].key));
        wm_json_set_i64(c->arena, entry, "value", (int64_t)summary[i].value);
    }
    return wm_arena_status(c->arena);
}
