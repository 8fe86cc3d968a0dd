/*
 * The account as a whole: what there is, how much there may be, and its alias.
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

/* ---- the alias ---- */

/* API Reference, CreateAccountAlias: lower-case letters, digits and hyphens, no hyphen at an end or beside another. IAM
 * User Guide, "Creating an account alias": not what could be an account id. */
static bool is_alias(struct wm_view text)
{
    bool hyphen = true, digits = text.len == 12;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool digit = c >= '0' && c <= '9';
        if (!digit && !(c >= 'a' && c <= 'z') && (c != '-' || hyphen))
            return false;
        hyphen = c == '-';
        digits = digits && digit;
    }
    return !hyphen && !digits;
}

static const struct wm_text_form alias_form = {
    is_alias, "must have lower-case letters and digits, with single hyphens between, and not be an account id"};

/* User Guide, same page: an account has one alias, and a new one takes the old one's place. */
enum wm_status iam_create_account_alias(struct wm_call *c, struct wm_reply *r)
{
    struct wm_view alias = wm_json_get_text(c->params, "AccountAlias");
    if (wm_view_eq(alias, wm_iam_alias(c->state, c->arena)))
        return wm_reply_error(c, r, "EntityAlreadyExists", 409, "The account alias %.*s already exists.", WM_ARG(alias));
    struct wm_json *document = wm_json_new(c->arena, WM_JSON_OBJECT);
    wm_json_set_string(c->arena, document, "AccountAlias", alias);
    return iam_keep_as(c, r, WM_IAM_ACCOUNT, WM_LIT(WM_IAM_ALIAS_ID), document, "account");
}

enum wm_status iam_delete_account_alias(struct wm_call *c, struct wm_reply *r)
{
    struct wm_view alias = wm_json_get_text(c->params, "AccountAlias");
    if (!wm_view_eq(alias, wm_iam_alias(c->state, c->arena)))
        return wm_reply_error(c, r, "NoSuchEntity", 404, "The account alias %.*s cannot be found.", WM_ARG(alias));
    iam_remove(r, WM_IAM_ACCOUNT, WM_LIT(WM_IAM_ALIAS_ID));
    return wm_arena_status(c->arena);
}

enum wm_status iam_list_account_aliases(struct wm_call *c, struct wm_reply *r)
{
    struct wm_view alias = wm_iam_alias(c->state, c->arena);
    struct wm_json *aliases = wm_json_new(c->arena, WM_JSON_ARRAY);
    if (alias.len)
        iam_add(c->arena, aliases, alias);
    return iam_list_elements(c, r, "AccountAliases", aliases, NULL, NULL);
}

const struct wm_member iam_alias_input[] = {
    {.name = "AccountAlias", .type = WM_MEMBER_STRING, .required = true, .min = 3, .max = 63, .form = &alias_form},
    {0},
};
const struct wm_member iam_list_aliases_input[] = {IAM_PAGE, {0}};
