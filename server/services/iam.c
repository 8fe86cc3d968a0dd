/*
 * AWS Identity and Access Management, 2010-05-08: the table of its operations.
 *
 * AWS answers and records IAM's calls in us-east-1, as those of a global service. There is one region here, so it is this
 * server's: an SDK that is given the endpoint signs for its own region.
 */
#include "server/services/iam_policy_int.h"

#include "waymark/banned.h"

static const char *const access_key_secrets[] = {"AccessKey.SecretAccessKey", NULL};

#define READ(NAME, INPUT, RUN) {.name = (NAME), .read_only = true, .http_status = 200, .input = (INPUT), .run = (RUN)}
#define WRITE(NAME, INPUT, RUN) {.name = (NAME), .http_status = 200, .input = (INPUT), .run = (RUN)}
/* Inline and attached policies of users, groups and roles. */
#define OF_OWNER(Owner, owner)                                                                                         \
    WRITE("Put" Owner "Policy", iam_put_##owner##_policy_input, iam_put_inline_policy),                                \
        READ("Get" Owner "Policy", iam_##owner##_policy_input, iam_get_inline_policy),                                 \
        WRITE("Delete" Owner "Policy", iam_##owner##_policy_input, iam_delete_inline_policy),                          \
        READ("List" Owner "Policies", iam_list_##owner##_policies_input, iam_list_inline_policies),                    \
        WRITE("Attach" Owner "Policy", iam_attach_##owner##_policy_input, iam_attach_policy),                          \
        WRITE("Detach" Owner "Policy", iam_attach_##owner##_policy_input, iam_detach_policy),                          \
        READ("ListAttached" Owner "Policies", iam_list_attached_##owner##_policies_input, iam_list_attached_policies)

static const struct wm_operation operations[] = {
    /* users, groups, access keys, the account */
    WRITE("CreateUser", iam_create_user_input, iam_create_user),
    READ("GetUser", iam_get_user_input, iam_get_user),
    READ("ListUsers", iam_list_users_input, iam_list_users),
    WRITE("UpdateUser", iam_update_user_input, iam_update_user),
    WRITE("DeleteUser", iam_user_input, iam_delete_user),
    WRITE("TagUser", iam_tag_user_input, iam_tag_owner),
    WRITE("UntagUser", iam_untag_user_input, iam_untag_owner),
    READ("ListUserTags", iam_list_of_user_input, iam_list_owner_tags),
    WRITE("PutUserPermissionsBoundary", iam_put_user_boundary_input, iam_put_boundary),
    WRITE("DeleteUserPermissionsBoundary", iam_delete_user_boundary_input, iam_delete_boundary),
    WRITE("CreateGroup", iam_create_group_input, iam_create_group),
    READ("GetGroup", iam_get_group_input, iam_get_group),
    READ("ListGroups", iam_list_groups_input, iam_list_groups),
    WRITE("UpdateGroup", iam_update_group_input, iam_update_group),
    WRITE("DeleteGroup", iam_group_input, iam_delete_group),
    WRITE("AddUserToGroup", iam_membership_input, iam_add_user_to_group),
    WRITE("RemoveUserFromGroup", iam_membership_input, iam_remove_user_from_group),
    READ("ListGroupsForUser", iam_list_of_user_input, iam_list_groups_for_user),
    {
        .name = "CreateAccessKey",
        .http_status = 200,
        .input = iam_create_access_key_input,
        .secret_output = access_key_secrets,
        .run = iam_create_access_key,
    },
    READ("ListAccessKeys", iam_list_access_keys_input, iam_list_access_keys),
    WRITE("UpdateAccessKey", iam_update_access_key_input, iam_update_access_key),
    WRITE("DeleteAccessKey", iam_delete_access_key_input, iam_delete_access_key),
    READ("GetAccessKeyLastUsed", iam_access_key_input, iam_get_access_key_last_used),
    READ("GetAccountSummary", NULL, iam_get_account_summary),

    /* roles */
    WRITE("CreateRole", iam_create_role_input, iam_create_role),
    READ("GetRole", iam_role_input, iam_get_role),
    READ("ListRoles", iam_list_roles_input, iam_list_roles),
    WRITE("UpdateRole", iam_update_role_input, iam_update_role),
    WRITE("UpdateRoleDescription", iam_update_role_description_input, iam_update_role_description),
    WRITE("UpdateAssumeRolePolicy", iam_update_trust_input, iam_update_assume_role_policy),
    WRITE("DeleteRole", iam_role_input, iam_delete_role),
    WRITE("TagRole", iam_tag_role_input, iam_tag_owner),
    WRITE("UntagRole", iam_untag_role_input, iam_untag_owner),
    READ("ListRoleTags", iam_list_of_role_input, iam_list_owner_tags),
    WRITE("PutRolePermissionsBoundary", iam_put_role_boundary_input, iam_put_boundary),
    WRITE("DeleteRolePermissionsBoundary", iam_role_input, iam_delete_boundary),

    /* managed policies */
    WRITE("CreatePolicy", iam_create_policy_input, iam_create_policy),
    READ("GetPolicy", iam_policy_input, iam_get_policy),
    READ("ListPolicies", iam_list_policies_input, iam_list_policies),
    WRITE("DeletePolicy", iam_policy_input, iam_delete_policy),
    WRITE("TagPolicy", iam_tag_policy_input, iam_tag_policy),
    WRITE("UntagPolicy", iam_untag_policy_input, iam_untag_policy),
    READ("ListPolicyTags", iam_list_of_policy_input, iam_list_policy_tags),
    WRITE("CreatePolicyVersion", iam_create_policy_version_input, iam_create_policy_version),
    READ("GetPolicyVersion", iam_policy_version_input, iam_get_policy_version),
    READ("ListPolicyVersions", iam_list_of_policy_input, iam_list_policy_versions),
    WRITE("SetDefaultPolicyVersion", iam_policy_version_input, iam_set_default_policy_version),
    WRITE("DeletePolicyVersion", iam_policy_version_input, iam_delete_policy_version),
    READ("ListEntitiesForPolicy", iam_list_entities_input, iam_list_entities_for_policy),

    /* who has which policies */
    OF_OWNER("User", user),
    OF_OWNER("Group", group),
    OF_OWNER("Role", role),
    READ("GetAccountAuthorizationDetails", iam_account_details_input, iam_get_account_details),
};

/* Callers are given NoSuchEntity, and AWS's own records of IAM say NoSuchEntityException: so do those who look for it. */
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
