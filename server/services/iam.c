/*
 * AWS Identity and Access Management, 2010-05-08: the table of its operations.
 *
 * AWS answers and records IAM's calls in us-east-1, as those of a global service. There is one region here, so it is this
 * server's: an SDK that is given the endpoint signs for its own region.
 */
#include "server/services/iam_policy_int.h"

#include "waymark/banned.h"

static const char *const access_key_secrets[] = {"AccessKey.SecretAccessKey", NULL};

/* DEMANDS: what the operation is on, iam_demand_DEMANDS(); all: on "*", as the Service Authorization Reference has it. */
#define iam_demand_all NULL
#define READ(NAME, DEMANDS, INPUT, RUN)                                                                                \
    {.name = (NAME),                                                                                                   \
     .read_only = true,                                                                                                \
     .http_status = 200,                                                                                               \
     .input = (INPUT),                                                                                                 \
     .demands = iam_demand_##DEMANDS,                                                                                  \
     .run = (RUN)}
#define WRITE(NAME, DEMANDS, INPUT, RUN)                                                                               \
    {.name = (NAME), .http_status = 200, .input = (INPUT), .demands = iam_demand_##DEMANDS, .run = (RUN)}
/* Inline and attached policies of users, groups and roles. */
#define OF_OWNER(Owner, owner)                                                                                         \
    WRITE("Put" Owner "Policy", owner, iam_put_##owner##_policy_input, iam_put_inline_policy),                         \
        READ("Get" Owner "Policy", owner, iam_##owner##_policy_input, iam_get_inline_policy),                          \
        WRITE("Delete" Owner "Policy", owner, iam_##owner##_policy_input, iam_delete_inline_policy),                   \
        READ("List" Owner "Policies", owner, iam_list_##owner##_policies_input, iam_list_inline_policies),             \
        WRITE("Attach" Owner "Policy", owner, iam_attach_##owner##_policy_input, iam_attach_policy),                   \
        WRITE("Detach" Owner "Policy", owner, iam_attach_##owner##_policy_input, iam_detach_policy),                   \
        READ("ListAttached" Owner "Policies", owner, iam_list_attached_##owner##_policies_input, iam_list_attached_policies)

static const struct wm_operation operations[] = {
    /* users, groups, access keys, the account */
    WRITE("CreateUser", new_user, iam_create_user_input, iam_create_user),
    READ("GetUser", user, iam_get_user_input, iam_get_user),
    READ("ListUsers", all, iam_list_users_input, iam_list_users),
    WRITE("UpdateUser", moved_user, iam_update_user_input, iam_update_user),
    WRITE("DeleteUser", user, iam_user_input, iam_delete_user),
    WRITE("TagUser", user, iam_tag_user_input, iam_tag_owner),
    WRITE("UntagUser", user, iam_untag_user_input, iam_untag_owner),
    READ("ListUserTags", user, iam_list_of_user_input, iam_list_owner_tags),
    WRITE("PutUserPermissionsBoundary", user, iam_put_user_boundary_input, iam_put_boundary),
    WRITE("DeleteUserPermissionsBoundary", user, iam_delete_user_boundary_input, iam_delete_boundary),
    WRITE("CreateGroup", new_group, iam_create_group_input, iam_create_group),
    READ("GetGroup", group, iam_get_group_input, iam_get_group),
    READ("ListGroups", all, iam_list_groups_input, iam_list_groups),
    WRITE("UpdateGroup", moved_group, iam_update_group_input, iam_update_group),
    WRITE("DeleteGroup", group, iam_group_input, iam_delete_group),
    WRITE("AddUserToGroup", group, iam_membership_input, iam_add_user_to_group),
    WRITE("RemoveUserFromGroup", group, iam_membership_input, iam_remove_user_from_group),
    READ("ListGroupsForUser", user, iam_list_of_user_input, iam_list_groups_for_user),
    {
        .name = "CreateAccessKey",
        .http_status = 200,
        .input = iam_create_access_key_input,
        .secret_output = access_key_secrets,
        .demands = iam_demand_user,
        .run = iam_create_access_key,
    },
    READ("ListAccessKeys", user, iam_list_access_keys_input, iam_list_access_keys),
    WRITE("UpdateAccessKey", user, iam_update_access_key_input, iam_update_access_key),
    WRITE("DeleteAccessKey", user, iam_delete_access_key_input, iam_delete_access_key),
    READ("GetAccessKeyLastUsed", key_owner, iam_access_key_input, iam_get_access_key_last_used),
    READ("GetAccountSummary", all, NULL, iam_get_account_summary),
    WRITE("CreateAccountAlias", all, iam_alias_input, iam_create_account_alias),
    WRITE("DeleteAccountAlias", all, iam_alias_input, iam_delete_account_alias),
    READ("ListAccountAliases", all, iam_list_aliases_input, iam_list_account_aliases),

    /* roles */
    WRITE("CreateRole", new_role, iam_create_role_input, iam_create_role),
    READ("GetRole", role, iam_role_input, iam_get_role),
    READ("ListRoles", all, iam_list_roles_input, iam_list_roles),
    WRITE("UpdateRole", role, iam_update_role_input, iam_update_role),
    WRITE("UpdateRoleDescription", role, iam_update_role_description_input, iam_update_role_description),
    WRITE("UpdateAssumeRolePolicy", role, iam_update_trust_input, iam_update_assume_role_policy),
    WRITE("DeleteRole", role, iam_role_input, iam_delete_role),
    WRITE("TagRole", role, iam_tag_role_input, iam_tag_owner),
    WRITE("UntagRole", role, iam_untag_role_input, iam_untag_owner),
    READ("ListRoleTags", role, iam_list_of_role_input, iam_list_owner_tags),
    WRITE("PutRolePermissionsBoundary", role, iam_put_role_boundary_input, iam_put_boundary),
    WRITE("DeleteRolePermissionsBoundary", role, iam_role_input, iam_delete_boundary),

    /* managed policies */
    WRITE("CreatePolicy", new_policy, iam_create_policy_input, iam_create_policy),
    READ("GetPolicy", policy, iam_policy_input, iam_get_policy),
    READ("ListPolicies", all, iam_list_policies_input, iam_list_policies),
    WRITE("DeletePolicy", policy, iam_policy_input, iam_delete_policy),
    WRITE("TagPolicy", policy, iam_tag_policy_input, iam_tag_policy),
    WRITE("UntagPolicy", policy, iam_untag_policy_input, iam_untag_policy),
    READ("ListPolicyTags", policy, iam_list_of_policy_input, iam_list_policy_tags),
    WRITE("CreatePolicyVersion", policy, iam_create_policy_version_input, iam_create_policy_version),
    READ("GetPolicyVersion", policy, iam_policy_version_input, iam_get_policy_version),
    READ("ListPolicyVersions", policy, iam_list_of_policy_input, iam_list_policy_versions),
    WRITE("SetDefaultPolicyVersion", policy, iam_policy_version_input, iam_set_default_policy_version),
    WRITE("DeletePolicyVersion", policy, iam_policy_version_input, iam_delete_policy_version),
    READ("ListEntitiesForPolicy", policy, iam_list_entities_input, iam_list_entities_for_policy),

    /* who has which policies */
    OF_OWNER("User", user),
    OF_OWNER("Group", group),
    OF_OWNER("Role", role),
    READ("GetAccountAuthorizationDetails", all, iam_account_details_input, iam_get_account_details),

    /* who may do what */
    READ("SimulatePrincipalPolicy", policy_source, iam_simulate_principal_input, iam_simulate),
    READ("SimulateCustomPolicy", all, iam_simulate_custom_input, iam_simulate),
    READ("GetContextKeysForPrincipalPolicy", policy_source, iam_context_keys_principal_input, iam_get_context_keys),
    READ("GetContextKeysForCustomPolicy", all, iam_context_keys_custom_input, iam_get_context_keys),
};

/* Callers are given NoSuchEntity. AWS's records of IAM say NoSuchEntityException, which is what is searched for. */
static const char *const exceptions[] = {
    "ConcurrentModification", "DeleteConflict",      "EntityAlreadyExists", "EntityTemporarilyUnmodifiable",
    "InvalidInput",           "LimitExceeded",       "MalformedPolicyDocument", "NoSuchEntity",
    "PolicyEvaluation",       "PolicyNotAttachable", "UnmodifiableEntity",  NULL,
};

const struct wm_service wm_service_iam = {
    .signing_name = "iam",
    .event_source = "iam.amazonaws.com",
    .api_version = "2010-05-08",
    .query_xmlns = "https://iam.amazonaws.com/doc/2010-05-08/",
    .redaction = "HIDDEN_DUE_TO_SECURITY_REASONS",
    .validation_error = "ValidationError",
    .validation_status = 400,
    .exceptions = exceptions,
    .operations = operations,
    .n_operations = sizeof operations / sizeof operations[0],
};
