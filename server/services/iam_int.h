/**
 * What the files of IAM share: its kinds of entity, how their documents are made, found, kept, tagged and listed, how a
 * call on them is refused, and the rows and handlers that iam.c puts into one table.
 *
 * Shapes, rules, names and statuses of errors: IAM API Reference (a page for each operation, and "Data types"); quotas and
 * what a name may be: IAM User Guide, "IAM and AWS STS quotas"; documents: waymark/iam.h. The API Reference gives no texts
 * of errors: they are the ones that AWS answers with, where known. What it leaves open is decided where it is done.
 *
 * @thread http   @locks state held
 */
#ifndef WAYMARK_SERVICES_IAM_INT_H
#define WAYMARK_SERVICES_IAM_INT_H

#include "waymark/iam.h"
#include "waymark/page.h"
#include "waymark/service.h"

#define IAM_MAX_PATH 512        /* API Reference: characters of a path */
#define IAM_MAX_ITEMS 1000      /* of one page */
#define IAM_ITEMS 100           /* of one page, where the caller names no number */
/* API Reference: 320. Ours holds the id it stands at, in hex, and a policy's is an ARN. */
#define IAM_MAX_MARKER 4200
#define IAM_MAX_TAG_KEY 128
#define IAM_MAX_TAG_VALUE 256

/* ---- rows that several tables have ---- */

/** Letters, digits and _+=,.@- as in names. */
extern const struct wm_text_form iam_name_form;
/** Letters, digits and underscores: ids of access keys. */
extern const struct wm_text_form iam_id_form;
extern const struct wm_text_form iam_path_form;
extern const struct wm_text_form iam_path_prefix_form;
/** Its length too: rows of lists bound the number of elements. */
extern const struct wm_text_form iam_tag_key_form;
extern const struct wm_member iam_tag_fields[];

#define IAM_NAME_MEMBER(NAME, MAX, REQUIRED)                                                                           \
    {.name = (NAME),                                                                                                   \
     .type = WM_MEMBER_STRING,                                                                                         \
     .required = (REQUIRED),                                                                                           \
     .min = 1,                                                                                                         \
     .max = (MAX),                                                                                                     \
     .form = &iam_name_form}
/** userNameType for a new name, existingUserNameType for one that is there already: API Reference. */
#define IAM_NEW_USER_NAME(NAME, REQUIRED) IAM_NAME_MEMBER(NAME, 64, REQUIRED)
#define IAM_USER_NAME(REQUIRED) IAM_NAME_MEMBER("UserName", 128, REQUIRED)
#define IAM_GROUP_NAME(NAME, REQUIRED) IAM_NAME_MEMBER(NAME, 128, REQUIRED)
#define IAM_PATH(NAME)                                                                                                 \
    {.name = (NAME), .type = WM_MEMBER_STRING, .min = 1, .max = IAM_MAX_PATH, .form = &iam_path_form}
#define IAM_PATH_PREFIX                                                                                                \
    {.name = "PathPrefix", .type = WM_MEMBER_STRING, .min = 1, .max = IAM_MAX_PATH, .form = &iam_path_prefix_form}
#define IAM_ARN(NAME, REQUIRED)                                                                                        \
    {.name = (NAME), .type = WM_MEMBER_STRING, .required = (REQUIRED), .min = 20, .max = 2048}
#define IAM_TAGS(REQUIRED)                                                                                             \
    {.name = "Tags",                                                                                                   \
     .type = WM_MEMBER_STRUCT_LIST,                                                                                    \
     .required = (REQUIRED),                                                                                           \
     .max = WM_MAX_IAM_TAGS,                                                                                           \
     .fields = iam_tag_fields}
#define IAM_TAG_KEYS                                                                                                   \
    {.name = "TagKeys",                                                                                                \
     .type = WM_MEMBER_STRING_LIST,                                                                                    \
     .required = true,                                                                                                 \
     .max = WM_MAX_IAM_TAGS,                                                                                           \
     .form = &iam_tag_key_form}
/** Two rows: what every list takes. */
#define IAM_PAGE                                                                                                       \
    {.name = "Marker", .type = WM_MEMBER_STRING, .min = 1, .max = IAM_MAX_MARKER},                                     \
    {.name = "MaxItems", .type = WM_MEMBER_INTEGER, .min = 1, .max = IAM_MAX_ITEMS}

/* ---- entities ---- */

/** A kind of entity that is found by name: users, groups, roles. */
struct iam_entity {
    const char *kind;             /* of its documents */
    const char *names;            /* kind of the documents that lead from the name to the id; NULL: the name is the id */
    const char *type;             /* "user", in ARNs and messages */
    const char *title;            /* "User" */
    const char *name;             /* "UserName", the member */
    const char *id;               /* "UserId" */
    const char *id_prefix;
    const char *quota;            /* "UsersPerAccount" */
    size_t most;
    const char *attached_quota;   /* "PoliciesPerUser" */
    size_t most_inline;           /* characters of all its inline policies, without blanks */
    const char *const *members;   /* what every document has; ended by NULL */
};
extern const struct iam_entity iam_user;
extern const struct iam_entity iam_group;
extern const struct iam_entity iam_role;
/** Users, groups or roles: what the call is about, by the first member of its operation's input. */
const struct iam_entity *iam_owner(const struct wm_call *c);

/** The id under which the state has the one of this name; empty: there is none. */
enum wm_status iam_id_of(struct wm_call *c, const struct iam_entity *of, struct wm_view name,
                         struct wm_view *out) WM_MUST_CHECK;
/** The one of this name; *out is NULL when there is none. WM_E_CORRUPT: its document is not one that we wrote. */
enum wm_status iam_get(struct wm_call *c, const struct iam_entity *of, struct wm_view name,
                       struct wm_json **out) WM_MUST_CHECK;
/** The same; where there is none, and with any status but WM_OK, the reply is made: `if (!stored) return status;` */
enum wm_status iam_find(struct wm_call *c, struct wm_reply *r, const struct iam_entity *of, struct wm_view name,
                        struct wm_json **out) WM_MUST_CHECK;
/** The one that the entity's own name parameter names. */
enum wm_status iam_find_named(struct wm_call *c, struct wm_reply *r, const struct iam_entity *of,
                              struct wm_json **out) WM_MUST_CHECK;
/** Read a document of this entity that was found another way. */
enum wm_status iam_read(struct wm_call *c, const struct iam_entity *of, struct wm_view document,
                        struct wm_json **out) WM_MUST_CHECK;
/**
 * A new one by the parameters: name, a unique id, Path, Arn, CreateDate. Refused where the name is taken or the quota is
 * reached; then *out is NULL. The rest of the document is the caller's, and keeping it.
 */
enum wm_status iam_new(struct wm_call *c, struct wm_reply *r, const struct iam_entity *of,
                       struct wm_json **out) WM_MUST_CHECK;
/** Give it another name or path, where not empty: Arn follows. Its references, and keeping it, are the caller's. */
void iam_rename(struct wm_call *c, const struct iam_entity *of, struct wm_json *stored, struct wm_view name,
                struct wm_view path);
/** Keep the document. Refuses one that is too large: then r->error_code is set. */
enum wm_status iam_keep(struct wm_call *c, struct wm_reply *r, const struct iam_entity *of,
                        const struct wm_json *stored) WM_MUST_CHECK;
/** Keep any document of IAM's. entity: "user", for the refusal. */
enum wm_status iam_keep_as(struct wm_call *c, struct wm_reply *r, const char *kind, struct wm_view id,
                           const struct wm_json *document, const char *entity) WM_MUST_CHECK;
/** Remove the document of this kind and id. */
void iam_remove(struct wm_reply *r, const char *kind, struct wm_view id);

/** arn:PARTITION:iam::ACCOUNT:TYPE/PATH/NAME; path with its slashes. */
struct wm_view iam_arn(struct wm_call *c, const char *type, struct wm_view path, struct wm_view name);
/** Now, with whole seconds, as documents and answers have times. */
void iam_set_now(struct wm_call *c, struct wm_json *object, const char *name);
/** A new object of these members of another, as far as it has them; names ended by NULL. */
struct wm_json *iam_pick(struct wm_call *c, const struct wm_json *from, const char *const *names);

/** Is this text in a list of strings? */
bool iam_has(const struct wm_json *list, struct wm_view text);
/** Append a text to a list of strings. */
void iam_add(struct wm_arena *a, struct wm_json *list, struct wm_view text);
/** Take elements out of a list: those strings that are this text, or whose member `name` is. Regardless of case. */
void iam_drop(struct wm_json *list, const char *name, struct wm_view text);

/* ---- refusals; all return WM_OK ---- */

enum wm_status iam_not_found(struct wm_call *c, struct wm_reply *r, const struct iam_entity *of, struct wm_view name);
enum wm_status iam_taken(struct wm_call *c, struct wm_reply *r, const struct iam_entity *of, struct wm_view name);
/** LimitExceeded. quota: as IAM names it, "AccessKeysPerUser". */
enum wm_status iam_over_quota(struct wm_call *c, struct wm_reply *r, const char *quota, size_t most);
/** DeleteConflict. what: "delete access keys first". */
enum wm_status iam_in_use(struct wm_call *c, struct wm_reply *r, const char *what);
/**
 * Refuse to delete what still has policies, inline or attached.
 * @return WM_OK: also when refused, then r->error_code is set
 */
enum wm_status iam_check_policies_gone(struct wm_call *c, struct wm_reply *r, const struct wm_json *stored);

/* ---- who is meant when no user is named ---- */

struct iam_whose {
    bool root;
    struct wm_view user_name;     /* unless root */
};
/** Parameter UserName; without it the caller. Refused for the session of a role: then r->error_code is set. */
enum wm_status iam_whose(struct wm_call *c, struct wm_reply *r, struct iam_whose *out) WM_MUST_CHECK;

/* ---- permissions boundary, of users and roles ---- */

/**
 * Set the boundary to this policy, or to none (empty); keep the policies' documents, which count their uses. The entity's
 * own document is the caller's to keep. Refused where there is no such policy: then r->error_code is set.
 */
enum wm_status iam_set_boundary(struct wm_call *c, struct wm_reply *r, struct wm_json *stored,
                                struct wm_view arn) WM_MUST_CHECK;
/** Put "PermissionsBoundary" of a document, if it has one, into what callers see of it. */
void iam_show_boundary(struct wm_call *c, struct wm_json *shown, const struct wm_json *stored);

/* ---- tags ---- */

/** Set Tags to parameter "Tags", of something new. Refused where they break a rule: then r->error_code is set. */
enum wm_status iam_set_tags(struct wm_call *c, struct wm_reply *r, struct wm_json *stored) WM_MUST_CHECK;
/** Put Tags of a document, unless there are none, into what callers see of it. */
void iam_show_tags(struct wm_call *c, struct wm_json *shown, const struct wm_json *stored);
/** Add parameter "Tags" to those of the document; take parameter "TagKeys" off it. Keeping it is the caller's. */
enum wm_status iam_tag(struct wm_call *c, struct wm_reply *r, struct wm_json *stored) WM_MUST_CHECK;
void iam_untag(struct wm_call *c, struct wm_json *stored);

/* ---- pages ---- */

/** Begin a page by parameters Marker and MaxItems, its elements to be in `list` of the document. May set r->error_code. */
enum wm_status iam_page_begin(struct wm_call *c, struct wm_reply *r, struct wm_json *document, const char *list,
                              struct wm_page *out) WM_MUST_CHECK;
/** Answer with the document: IsTruncated, and Marker where there is more. */
enum wm_status iam_page_end(struct wm_call *c, struct wm_reply *r, struct wm_json *document, const struct wm_page *page);

/**
 * Answer with a page: parameters Marker and MaxItems; `list` in the answer is of what the source shows. Its `show` may
 * ask iam_below_prefix().
 * @param document  what the answer has besides; NULL: nothing
 */
enum wm_status iam_list(struct wm_call *c, struct wm_reply *r, struct wm_json *document, const char *list,
                        const struct wm_page_source *from);
/** The same, of the elements of a document: see wm_page_elements(). */
enum wm_status iam_list_elements(struct wm_call *c, struct wm_reply *r, const char *list, const struct wm_json *elements,
                                 const char *name,
                                 enum wm_status (*show)(struct wm_call *c, const struct wm_json *element,
                                                        struct wm_json **out));
/** Is its Path below parameter PathPrefix? */
bool iam_below_prefix(struct wm_call *c, const struct wm_json *stored);

/* ---- what operations demand: the entity that their parameters name, or that they will make ---- */

#define IAM_DEMANDS(name) enum wm_status iam_demand_##name(struct wm_call *c, struct wm_demands *out)
IAM_DEMANDS(user);
IAM_DEMANDS(new_user);
IAM_DEMANDS(moved_user);
IAM_DEMANDS(key_owner);
IAM_DEMANDS(group);
IAM_DEMANDS(new_group);
IAM_DEMANDS(moved_group);
IAM_DEMANDS(role);
IAM_DEMANDS(new_role);
IAM_DEMANDS(policy);
IAM_DEMANDS(new_policy);
IAM_DEMANDS(policy_source);

/* ---- operations ---- */

#define IAM_HANDLER(name) enum wm_status iam_##name(struct wm_call *c, struct wm_reply *r)

/* of users and roles alike */
IAM_HANDLER(tag_owner);
IAM_HANDLER(untag_owner);
IAM_HANDLER(list_owner_tags);
IAM_HANDLER(put_boundary);
IAM_HANDLER(delete_boundary);

/* users, groups, access keys, the account */
extern const struct wm_member iam_create_user_input[];
extern const struct wm_member iam_get_user_input[];
extern const struct wm_member iam_list_users_input[];
extern const struct wm_member iam_update_user_input[];
extern const struct wm_member iam_user_input[];
extern const struct wm_member iam_tag_user_input[];
extern const struct wm_member iam_untag_user_input[];
extern const struct wm_member iam_list_of_user_input[];
extern const struct wm_member iam_put_user_boundary_input[];
extern const struct wm_member iam_delete_user_boundary_input[];
extern const struct wm_member iam_create_group_input[];
extern const struct wm_member iam_get_group_input[];
extern const struct wm_member iam_list_groups_input[];
extern const struct wm_member iam_update_group_input[];
extern const struct wm_member iam_group_input[];
extern const struct wm_member iam_membership_input[];
extern const struct wm_member iam_create_access_key_input[];
extern const struct wm_member iam_list_access_keys_input[];
extern const struct wm_member iam_update_access_key_input[];
extern const struct wm_member iam_delete_access_key_input[];
extern const struct wm_member iam_access_key_input[];
extern const struct wm_member iam_alias_input[];
extern const struct wm_member iam_list_aliases_input[];
IAM_HANDLER(create_user);
IAM_HANDLER(get_user);
IAM_HANDLER(list_users);
IAM_HANDLER(update_user);
IAM_HANDLER(delete_user);
IAM_HANDLER(create_group);
IAM_HANDLER(get_group);
IAM_HANDLER(list_groups);
IAM_HANDLER(update_group);
IAM_HANDLER(delete_group);
IAM_HANDLER(add_user_to_group);
IAM_HANDLER(remove_user_from_group);
IAM_HANDLER(list_groups_for_user);
IAM_HANDLER(create_access_key);
IAM_HANDLER(list_access_keys);
IAM_HANDLER(update_access_key);
IAM_HANDLER(delete_access_key);
IAM_HANDLER(get_access_key_last_used);
IAM_HANDLER(get_account_summary);
IAM_HANDLER(create_account_alias);
IAM_HANDLER(delete_account_alias);
IAM_HANDLER(list_account_aliases);

/** What callers see of a user in lists. */
struct wm_json *iam_show_user(struct wm_call *c, const struct wm_json *stored);
struct wm_json *iam_show_group(struct wm_call *c, const struct wm_json *stored);
/** Keep the references to a user who was renamed: memberships and access keys. `stored` is the renamed document. */
enum wm_status iam_move_memberships(struct wm_call *c, struct wm_reply *r, const struct wm_json *stored) WM_MUST_CHECK;
enum wm_status iam_move_access_keys(struct wm_call *c, struct wm_reply *r, const struct wm_json *stored) WM_MUST_CHECK;

#endif
