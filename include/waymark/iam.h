/**
 * Identities as the state holds them: read by authentication and authorization, changed by the IAM service only.
 *
 * Members have the names of the IAM API (API Reference, "Data types"), so that a document is nearly an answer. Names are
 * unique without regard to case (IAM User Guide, "IAM and AWS STS quotas", name requirements), so a name as an id is in
 * lower case, and the document has it as it was given. Times are ISO 8601 texts. What a document refers to exists: a
 * call that would leave a reference behind is refused (DeleteConflict).
 *
 * A group has no bound on its users, and one call changes few documents, of bounded size. So what refers to a group says
 * its GroupId, which stays when it is renamed, and its users are documents of their own.
 *
 *   kind             id              document
 *   iam.user         name            UserName UserId Path Arn CreateDate Tags[{Key,Value}] Groups[GroupId]
 *                                    AccessKeys[id] Policies{name: text} Attached[arn] PermissionsBoundary?(arn)
 *   iam.group        GroupId         GroupName GroupId Path Arn CreateDate Policies{} Attached[]
 *   iam.group-name   name            GroupId
 *   iam.member       GroupId/UserId  UserName(as given)
 *   iam.role         name            RoleName RoleId Path Arn CreateDate Description? MaxSessionDuration Tags[]
 *                                    AssumeRolePolicyDocument(text) Trusted{ARN: unique id} Policies{} Attached[]
 *                                    PermissionsBoundary?
 *   iam.policy       ARN             PolicyName PolicyId Path Arn CreateDate UpdateDate Description? Tags[]
 *                                    DefaultVersionId NextVersion Versions[{VersionId, CreateDate, Document(text)}]
 *   iam.policy-use   ARN             AttachmentCount PermissionsBoundaryUsageCount; none: both are 0. Also of AWS's
 *                                    own policies, and apart from the policy, which may be long
 *   iam.account      "alias"         AccountAlias; none: the account has no alias
 *   iam.access-key   access key id   AccessKeyId UserName(as given) UserId Status(Active, Inactive) CreateDate Seed
 *   iam.last-used    access key id,  LastUsedDate ServiceName Region
 *                    or role id
 *
 * A policy's text is stored as it was given, since that is what Get… answers with. A user's Groups and the documents of
 * kind iam.member say the same from both sides, and change in one call. Managed policies of AWS itself are in our code
 * and have no document.
 *
 * The secret of an access key is nowhere: it is derived from the master key, the key's id and its Seed, which is random
 * and of no use without the master key (wm_iam_secret()). So neither journal nor state nor a backup of them holds one, and
 * who has the master key alone has none either.
 *
 * @thread http   @locks none
 */
#ifndef WAYMARK_IAM_H
#define WAYMARK_IAM_H

#include "waymark/arena.h"
#include "waymark/json.h"
#include "waymark/state.h"
#include "waymark/status.h"

#define WM_IAM_USER "iam.user"
#define WM_IAM_GROUP "iam.group"
#define WM_IAM_GROUP_NAME "iam.group-name"
#define WM_IAM_MEMBER "iam.member"
#define WM_IAM_ROLE "iam.role"
#define WM_IAM_POLICY "iam.policy"
#define WM_IAM_POLICY_USE "iam.policy-use"
#define WM_IAM_ACCOUNT "iam.account"
#define WM_IAM_ACCESS_KEY "iam.access-key"
#define WM_IAM_LAST_USED "iam.last-used"

#define WM_IAM_ALIAS_ID "alias"

/** Prefixes of unique ids (IAM User Guide, "IAM identifiers"). An id is the prefix and 17 characters. */
#define WM_IAM_USER_PREFIX "AIDA"
#define WM_IAM_GROUP_PREFIX "AGPA"
#define WM_IAM_ROLE_PREFIX "AROA"
#define WM_IAM_POLICY_PREFIX "ANPA"
#define WM_IAM_KEY_PREFIX "AKIA"         /* long-term access key; 16 characters behind it */
#define WM_IAM_SESSION_KEY_PREFIX "ASIA" /* temporary access key */

#define WM_IAM_ID_BYTES 22      /* of a unique id, with its NUL */
#define WM_IAM_KEY_ID_BYTES 21  /* of an access key id */
#define WM_IAM_SEED_BYTES 33    /* 128 random bits in hex */
#define WM_IAM_SECRET_BYTES 41

/** A new id: prefix and random characters of base32. @param size  WM_IAM_ID_BYTES or WM_IAM_KEY_ID_BYTES */
void wm_iam_new_id(const char *prefix, char *out, size_t size);
/** A new seed for wm_iam_secret(). */
void wm_iam_new_seed(char out[WM_IAM_SEED_BYTES]);
/** The secret access key of this access key: 40 characters of [A-Za-z0-9] that only the master key's owner can tell. */
void wm_iam_secret(const uint8_t master_key[32], struct wm_view access_key_id, struct wm_view seed,
                   char out[WM_IAM_SECRET_BYTES]);

/** The id under which the state has a name. */
struct wm_view wm_iam_id(struct wm_arena *a, struct wm_view name);

/**
 * The document of this kind as a tree: of a user or role by its name, in whatever case; of any other kind by its id.
 * @param out  NULL when there is none
 * @return WM_OK, also when there is none; WM_E_NOMEM; WM_E_CORRUPT (it cannot be read)
 * @locks state held
 */
enum wm_status wm_iam_get(struct wm_state *s, struct wm_arena *a, const char *kind, struct wm_view id,
                          struct wm_json **out) WM_MUST_CHECK;

/**
 * The texts of a few members of a document. It is read apart, so that the arena takes no more than them: where many are
 * looked at for one answer, their whole trees have no place in a call's memory.
 * @param out  one for each member, in the arena; empty where there is no such member, or no such document
 * @return as wm_iam_get()
 * @locks state held
 */
enum wm_status wm_iam_get_texts(struct wm_state *s, struct wm_arena *a, const char *kind, struct wm_view id,
                                const char *const *members, size_t n, struct wm_view *out) WM_MUST_CHECK;

/** The account's alias, which is root's userName in records; empty: it has none. @locks state held */
struct wm_view wm_iam_alias(struct wm_state *s, struct wm_arena *a);

/**
 * Whom a trust policy names: the unique ids of the users and roles of ours that it has the ARNs of, for a role's Trusted.
 * @param policy  was compiled as a trust policy
 * @param out     object {ARN: unique id}
 * @return WM_OK; WM_E_INVALID (it names somebody that there is not; *err has the sentence); WM_E_NOMEM; WM_E_CORRUPT
 * @locks state held
 */
enum wm_status wm_iam_trusted(struct wm_state *s, struct wm_arena *a, struct wm_view account_id, struct wm_view policy,
                              struct wm_json **out, struct wm_err *err) WM_MUST_CHECK;
/**
 * The trust policy of a role as it holds now, which is what GetRole shows and AssumeRole asks: the text as it was given,
 * but the unique id of whoever had an ARN, where that is gone or another's today.
 * @param role  its document
 * @locks state held
 */
enum wm_status wm_iam_trust(struct wm_state *s, struct wm_arena *a, const struct wm_json *role,
                            struct wm_view *out) WM_MUST_CHECK;

/** A managed policy of AWS itself. It has one version, v1. */
struct wm_iam_managed {
    const char *name;
    const char *created; /* ISO 8601 */
    const char *description;
    const char *document;
};
/** What stands behind the partition in the ARN of such a policy; its name follows. */
#define WM_IAM_MANAGED_OWNER "iam::aws:policy/"

/** One after the other, in the order of their names; NULL behind the last. */
const struct wm_iam_managed *wm_iam_managed_at(size_t i);
/** By its ARN; NULL when it is none of them. */
const struct wm_iam_managed *wm_iam_managed_find(struct wm_view arn);
/** Its document; empty when the ARN is of none of them. */
struct wm_view wm_iam_managed_policy(struct wm_view arn);

#endif
