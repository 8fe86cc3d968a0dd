/**
 * What the files about permissions share: policies inline and managed, where they are attached, roles, and what comes of
 * all of it (details of the account, simulation). Users, groups and what all of IAM has in common are in iam_int.h.
 *
 * Policies are inline or attached to users, groups and roles alike. The handlers of such operations are one for all
 * three: whose it is, the operation's first input member says (iam_owner()).
 *
 * @thread http   @locks state held
 */
#ifndef WAYMARK_SERVICES_IAM_POLICY_INT_H
#define WAYMARK_SERVICES_IAM_POLICY_INT_H

#include "server/services/iam_int.h"
#include "waymark/policy.h"

/* ---- rows ---- */

extern const struct wm_text_form iam_document_form; /* policyDocumentType */
extern const struct wm_text_form iam_policy_path_form;

#define IAM_ROLE_NAME IAM_NAME_MEMBER("RoleName", 64, true)
#define IAM_POLICY_NAME IAM_NAME_MEMBER("PolicyName", 128, true)
#define IAM_POLICY_PATH(NAME)                                                                                          \
    {.name = (NAME), .type = WM_MEMBER_STRING, .min = 1, .max = IAM_MAX_PATH, .form = &iam_policy_path_form}
#define IAM_POLICY_TEXT(NAME)                                                                                          \
    {.name = (NAME),                                                                                                   \
     .type = WM_MEMBER_STRING,                                                                                         \
     .required = true,                                                                                                 \
     .min = 1,                                                                                                         \
     .max = WM_MAX_POLICY_BYTES,                                                                                       \
     .form = &iam_document_form}

/** Values of PolicyUsageFilter, ended by NULL. */
#define IAM_AS_PERMISSIONS "PermissionsPolicy"
#define IAM_AS_BOUNDARY "PermissionsBoundary"
extern const char *const iam_policy_usages[];
#define IAM_POLICY_USAGE {.name = "PolicyUsageFilter", .type = WM_MEMBER_STRING, .values = iam_policy_usages}

/* ---- documents ---- */

/** May this policy be kept? False: the reply is made, or *out_status is no WM_OK. */
bool iam_accept_policy(struct wm_call *c, struct wm_reply *r, struct wm_view text, enum wm_policy_kind kind,
                       enum wm_status *out_status);
/** As it is answered: percent-encoded (RFC 3986 section 2.1). */
struct wm_view iam_show_policy(struct wm_arena *a, struct wm_view text);

/* ---- managed policies ---- */

/** Has it the form of a policy's ARN? False: the reply is made (InvalidInput). */
bool iam_is_policy_arn(struct wm_call *c, struct wm_reply *r, struct wm_view arn);
/** Is there such a policy? False: the reply is made. what: begins the sentence, "Policy". */
bool iam_has_policy(struct wm_call *c, struct wm_reply *r, struct wm_view arn, const char *what);
/** The document of a policy, ours or AWS's; *out is NULL when there is none. */
enum wm_status iam_get_policy_document(struct wm_call *c, struct wm_view arn, struct wm_json **out) WM_MUST_CHECK;
/** The one that parameter PolicyArn names; NULL: the reply is made, or the status is no WM_OK. */
enum wm_status iam_find_policy(struct wm_call *c, struct wm_reply *r, struct wm_json **out) WM_MUST_CHECK;
/** The same, to be changed: refused where it is AWS's. */
enum wm_status iam_find_own_policy(struct wm_call *c, struct wm_reply *r, struct wm_json **out) WM_MUST_CHECK;
enum wm_status iam_keep_policy(struct wm_call *c, struct wm_reply *r, const struct wm_json *policy) WM_MUST_CHECK;
/** Its name, which is the end of its ARN. */
struct wm_view iam_policy_name(struct wm_view arn);

/** Add a version of parameter PolicyDocument. False: the reply is made, or *out_status is no WM_OK. */
bool iam_add_version(struct wm_call *c, struct wm_reply *r, struct wm_json *policy, bool set_default,
                     enum wm_status *out_status);
struct wm_json *iam_show_version(struct wm_call *c, const struct wm_json *policy, const struct wm_json *version,
                                 bool with_document);

/** Where a policy is used. */
struct iam_use {
    int64_t attachments; /* to users, groups and roles */
    int64_t boundaries;  /* of users and roles */
};
enum wm_status iam_get_use(struct wm_call *c, struct wm_view arn, struct iam_use *out) WM_MUST_CHECK;
void iam_show_use(struct wm_call *c, struct wm_json *shown, const struct iam_use *use);
/** What callers see of a policy in lists. */
struct wm_json *iam_show_managed(struct wm_call *c, const struct wm_json *policy, const struct iam_use *use);
/** {PolicyName, PolicyArn} */
struct wm_json *iam_show_attached(struct wm_call *c, struct wm_view arn);

/* ---- roles ---- */

/** What callers see of a role everywhere. */
enum wm_status iam_show_role(struct wm_call *c, const struct wm_json *stored, struct wm_json **out) WM_MUST_CHECK;
/** And what they do not see in lists: boundary, tags, last use. */
enum wm_status iam_show_role_use(struct wm_call *c, struct wm_json *shown, const struct wm_json *stored) WM_MUST_CHECK;

/* ---- lists of several kinds, one after the other ---- */

/** Documents of a kind, or AWS's own policies as if they were documents; never more than nine parts. */
struct iam_part {
    bool wanted;
    const char *list;             /* in the answer; several parts may go into one */
    bool aws;                     /* AWS's own policies; from.kind is not looked at */
    struct wm_page_source from;
};
/** Answer with a page of all the parts together. */
enum wm_status iam_list_parts(struct wm_call *c, struct wm_reply *r, const struct iam_part *parts, size_t n);
/** AWS's own policies behind page->after, as iam_part has them: in iam_policy.c. */
enum wm_status iam_list_aws(struct wm_call *c, struct wm_page *page, const struct wm_page_source *from) WM_MUST_CHECK;

/* ---- operations ---- */

#define IAM_OWNER_INPUTS(owner)                                                                                        \
    extern const struct wm_member iam_put_##owner##_policy_input[];                                                    \
    extern const struct wm_member iam_##owner##_policy_input[];                                                        \
    extern const struct wm_member iam_list_##owner##_policies_input[];                                                 \
    extern const struct wm_member iam_attach_##owner##_policy_input[];                                                 \
    extern const struct wm_member iam_list_attached_##owner##_policies_input[]
IAM_OWNER_INPUTS(user);
IAM_OWNER_INPUTS(group);
IAM_OWNER_INPUTS(role);
IAM_HANDLER(put_inline_policy);
IAM_HANDLER(get_inline_policy);
IAM_HANDLER(delete_inline_policy);
IAM_HANDLER(list_inline_policies);
IAM_HANDLER(attach_policy);
IAM_HANDLER(detach_policy);
IAM_HANDLER(list_attached_policies);

extern const struct wm_member iam_create_policy_input[];
extern const struct wm_member iam_policy_input[];
extern const struct wm_member iam_list_policies_input[];
extern const struct wm_member iam_list_of_policy_input[];
extern const struct wm_member iam_tag_policy_input[];
extern const struct wm_member iam_untag_policy_input[];
extern const struct wm_member iam_create_policy_version_input[];
extern const struct wm_member iam_policy_version_input[];
IAM_HANDLER(create_policy);
IAM_HANDLER(get_policy);
IAM_HANDLER(list_policies);
IAM_HANDLER(delete_policy);
IAM_HANDLER(tag_policy);
IAM_HANDLER(untag_policy);
IAM_HANDLER(list_policy_tags);
IAM_HANDLER(create_policy_version);
IAM_HANDLER(get_policy_version);
IAM_HANDLER(list_policy_versions);
IAM_HANDLER(set_default_policy_version);
IAM_HANDLER(delete_policy_version);

extern const struct wm_member iam_create_role_input[];
extern const struct wm_member iam_role_input[];
extern const struct wm_member iam_list_roles_input[];
extern const struct wm_member iam_update_role_input[];
extern const struct wm_member iam_update_role_description_input[];
extern const struct wm_member iam_update_trust_input[];
extern const struct wm_member iam_tag_role_input[];
extern const struct wm_member iam_untag_role_input[];
extern const struct wm_member iam_list_of_role_input[];
extern const struct wm_member iam_put_role_boundary_input[];
IAM_HANDLER(create_role);
IAM_HANDLER(get_role);
IAM_HANDLER(list_roles);
IAM_HANDLER(update_role);
IAM_HANDLER(update_role_description);
IAM_HANDLER(update_assume_role_policy);
IAM_HANDLER(delete_role);

extern const struct wm_member iam_list_entities_input[];
extern const struct wm_member iam_account_details_input[];
IAM_HANDLER(list_entities_for_policy);
IAM_HANDLER(get_account_details);

extern const struct wm_member iam_simulate_principal_input[];
extern const struct wm_member iam_simulate_custom_input[];
extern const struct wm_member iam_context_keys_principal_input[];
extern const struct wm_member iam_context_keys_custom_input[];
IAM_HANDLER(simulate);
IAM_HANDLER(get_context_keys);

#endif
