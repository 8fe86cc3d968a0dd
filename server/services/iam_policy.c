/*
 * Managed policies: our own, and AWS's, which are in the code and cannot be changed. Both are read as one kind of
 * document, so that what looks at a policy does not ask whose it is.
 */
#include "server/services/iam_policy_int.h"
#include "waymark/hash.h"
#include "waymark/trail_name.h"

#include "waymark/banned.h"

const char *const iam_policy_usages[] = {IAM_AS_PERMISSIONS, IAM_AS_BOUNDARY, NULL};

static const char *const scopes[] = {"All", "AWS", "Local", NULL};

const struct wm_member iam_create_policy_input[] = {
    IAM_POLICY_NAME,
    IAM_POLICY_PATH("Path"),
    IAM_POLICY_TEXT("PolicyDocument"),
    {.name = "Description", .type = WM_MEMBER_STRING, .max = 1000},
    IAM_TAGS(false),
    {0},
};

const struct wm_member iam_policy_input[] = {IAM_ARN("PolicyArn", true), {0}};
const struct wm_member iam_list_of_policy_input[] = {IAM_ARN("PolicyArn", true), IAM_PAGE, {0}};
const struct wm_member iam_tag_policy_input[] = {IAM_ARN("PolicyArn", true), IAM_TAGS(true), {0}};
const struct wm_member iam_untag_policy_input[] = {IAM_ARN("PolicyArn", true), IAM_TAG_KEYS, {0}};

const struct wm_member iam_list_policies_input[] = {
    {.name = "Scope", .type = WM_MEMBER_STRING, .values = scopes},
    {.name = "OnlyAttached", .type = WM_MEMBER_BOOLEAN},
    IAM_POLICY_PATH("PathPrefix"),
    IAM_POLICY_USAGE,
    IAM_PAGE,
    {0},
};

/* ---- forms ---- */

/* ((/[A-Za-z0-9.,+@=_-]+)*)/ of API Reference: a slash at both ends, none behind another. */
static bool is_path(struct wm_view text)
{
    return wm_view_starts(text, "/") && wm_view_ends(text, "/") && wm_text_only(text, "/.,+@=_-") &&
           !memmem(text.ptr, text.len, "//", 2);
}

const struct wm_text_form iam_policy_path_form = {
    is_path, "must begin and end with a slash, and have letters, digits and .,+@=_- between single slashes"};

/* arn:PARTITION:iam::ACCOUNT:policy/PATH/NAME, ACCOUNT "aws" for AWS's own. */
static bool is_policy_arn(struct wm_view arn)
{
    struct wm_view rest = arn;
    struct wm_view scheme = wm_view_split(&rest, ':'), partition = wm_view_split(&rest, ':');
    struct wm_view service = wm_view_split(&rest, ':'), region = wm_view_split(&rest, ':');
    struct wm_view account = wm_view_split(&rest, ':');
    return wm_view_eq_str(scheme, "arn") && wm_view_starts(partition, "aws") && wm_view_eq_str(service, "iam") &&
           region.len == 0 && account.len > 0 && wm_view_starts(rest, "policy/") && !wm_view_ends(rest, "/");
}

bool iam_is_policy_arn(struct wm_call *c, struct wm_reply *r, struct wm_view arn)
{
    if (is_policy_arn(arn))
        return true;
    (void)wm_reply_error(c, r, "InvalidInput", 400, "ARN %.*s is not valid.", WM_ARG(wm_view_sub(arn, 0, 512)));
    return false;
}

/* ---- AWS's own ---- */

static struct wm_view managed_arn(struct wm_call *c, const struct wm_iam_managed *m)
{
    return wm_arena_printf(c->arena, "arn:%s:" WM_IAM_MANAGED_OWNER "%s", wm_arn_partition(c->env->region), m->name);
}

/* One of our partition. */
static const struct wm_iam_managed *find_managed(struct wm_call *c, struct wm_view arn)
{
    const struct wm_iam_managed *m = wm_iam_managed_find(arn);
    return m && wm_view_eq(arn, managed_arn(c, m)) ? m : NULL;
}

/* AWS gives each an id, for good; ours is made of its ARN, so that it is the same at every start. */
static struct wm_view managed_id(struct wm_arena *a, struct wm_view arn)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"; /* base32, RFC 4648 section 6 */
    uint8_t hash[WM_SHA256_BYTES];
    char id[WM_IAM_ID_BYTES] = WM_IAM_POLICY_PREFIX;
    wm_sha256(arn.ptr, arn.len, hash);
    for (size_t i = strlen(id), k = 0; i + 1 < sizeof id; i++, k++)
        id[i] = alphabet[hash[k] % 32];
    return wm_arena_copy(a, wm_view_of(id));
}

/* As a document of ours would be. */
static struct wm_json *managed_document(struct wm_call *c, const struct wm_iam_managed *m)
{
    struct wm_arena *a = c->arena;
    struct wm_json *p = wm_json_new(a, WM_JSON_OBJECT);
    struct wm_view arn = managed_arn(c, m), created = wm_view_of(m->created);
    wm_json_set_string(a, p, "PolicyName", wm_view_of(m->name));
    wm_json_set_string(a, p, "PolicyId", managed_id(a, arn));
    wm_json_set_string(a, p, "Arn", arn);
    wm_json_set_string(a, p, "Path", WM_LIT("/"));
    wm_json_set_string(a, p, "CreateDate", created);
    wm_json_set_string(a, p, "UpdateDate", created);
    wm_json_set_string(a, p, "Description", wm_view_of(m->description));
    wm_json_set_array(a, p, "Tags");
    wm_json_set_string(a, p, "DefaultVersionId", WM_LIT("v1"));
    struct wm_json *version = wm_json_push(wm_json_set_array(a, p, "Versions"), wm_json_new(a, WM_JSON_OBJECT));
    wm_json_set_string(a, version, "VersionId", WM_LIT("v1"));
    wm_json_set_string(a, version, "CreateDate", created);
    wm_json_set_string(a, version, "Document", wm_view_of(m->document));
    return p;
}

static enum wm_status managed_text(struct wm_call *c, const struct wm_iam_managed *m, struct wm_view *out)
{
    struct wm_json *document = managed_document(c, m);
    struct wm_buf text;
    enum wm_status status = wm_arena_status(c->arena);
    if (status != WM_OK)
        return status;
    wm_buf_init(&text, WM_MAX_DOCUMENT_BYTES);
    wm_json_write(&text, document);
    status = wm_buf_status(&text);
    if (status == WM_OK)
        *out = wm_arena_copy(c->arena, wm_buf_view(&text));
    wm_buf_done(&text);
    return status == WM_OK ? wm_arena_status(c->arena) : status;
}

/* ---- documents ---- */

static const char *const members[] = {"PolicyName", "PolicyId",         "Path",        "Arn",      "CreateDate", "UpdateDate",
                                      "Tags",       "DefaultVersionId", "NextVersion", "Versions", NULL};

enum wm_status iam_get_policy_document(struct wm_call *c, struct wm_view arn, struct wm_json **out)
{
    const struct wm_iam_managed *m = find_managed(c, arn);
    struct wm_json *policy = m ? managed_document(c, m) : NULL;
    enum wm_status status = m ? wm_arena_status(c->arena) : wm_iam_get(c->state, c->arena, WM_IAM_POLICY, arn, &policy);
    for (const char *const *name = members; !m && policy && *name; name++)
        if (!wm_json_get(policy, *name))
            status = WM_E_CORRUPT;
    *out = status == WM_OK ? policy : NULL;
    return status;
}

bool iam_has_policy(struct wm_call *c, struct wm_reply *r, struct wm_view arn, const char *otherwise)
{
    struct wm_view document;
    if (!iam_is_policy_arn(c, r, arn))
        return false;
    if (find_managed(c, arn) || wm_state_get(c->state, WM_LIT(WM_IAM_POLICY), arn, &document))
        return true;
    (void)wm_reply_error(c, r, "NoSuchEntity", 404, "%s %.*s does not exist or is not attachable.", otherwise,
                         WM_ARG(wm_view_sub(arn, 0, 512)));
    return false;
}

enum wm_status iam_find_policy(struct wm_call *c, struct wm_reply *r, struct wm_json **out)
{
    struct wm_view arn = wm_json_get_text(c->params, "PolicyArn");
    *out = NULL;
    if (!iam_is_policy_arn(c, r, arn))
        return WM_OK;
    enum wm_status status = iam_get_policy_document(c, arn, out);
    if (status != WM_OK || *out)
        return status;
    return wm_reply_error(c, r, "NoSuchEntity", 404, "Policy %.*s was not found.", WM_ARG(wm_view_sub(arn, 0, 512)));
}

/* AWS answers AccessDenied to any caller, which the model of none of these operations has. */
enum wm_status iam_find_own_policy(struct wm_call *c, struct wm_reply *r, struct wm_json **out)
{
    *out = NULL;
    if (!find_managed(c, wm_json_get_text(c->params, "PolicyArn")))
        return iam_find_policy(c, r, out);
    return wm_reply_error(c, r, "AccessDenied", 403, "Policy is outside your own account.");
}

enum wm_status iam_keep_policy(struct wm_call *c, struct wm_reply *r, const struct wm_json *policy)
{
    return iam_keep_as(c, r, WM_IAM_POLICY, wm_json_get_text(policy, "Arn"), policy, "policy");
}

struct wm_json *iam_show_managed(struct wm_call *c, const struct wm_json *policy, const struct iam_use *use)
{
    static const char *const first[] = {"PolicyName", "PolicyId", "Arn", "Path", "DefaultVersionId", NULL};
    struct wm_json *shown = iam_pick(c, policy, first);
    iam_show_use(c, shown, use);
    wm_json_set_bool(c->arena, shown, "IsAttachable", true);
    for (const char *const *name = (const char *const[]){"CreateDate", "UpdateDate", NULL}; *name; name++)
        wm_json_set(shown, *name, wm_json_clone(c->arena, wm_json_get(policy, *name)));
    return shown;
}

/* Lists have neither description nor tags: API Reference, "Policy" and "ListPolicies". */
static enum wm_status answer_policy(struct wm_call *c, struct wm_reply *r, const struct wm_json *policy)
{
    struct iam_use use;
    enum wm_status status = iam_get_use(c, wm_json_get_text(policy, "Arn"), &use);
    if (status != WM_OK)
        return status;
    struct wm_json *shown = iam_show_managed(c, policy, &use);
    if (wm_json_get(policy, "Description"))
        wm_json_set_string(c->arena, shown, "Description", wm_json_get_text(policy, "Description"));
    iam_show_tags(c, shown, policy);
    r->document = wm_json_new(c->arena, WM_JSON_OBJECT);
    wm_json_set(r->document, "Policy", shown);
    return wm_arena_status(c->arena);
}

/* ---- operations ---- */

#define NAMES_MAGIC 0x706f6e61u

struct names {
    unsigned magic;
    struct wm_call *call;
    struct wm_view wanted;
    bool taken;
};

static bool look_at_name(void *arg, struct wm_view arn, struct wm_view document)
{
    struct names *n = arg;
    (void)document;
    WM_ASSERT(n && n->magic == NAMES_MAGIC);
    n->taken = wm_view_eq(wm_iam_id(n->call->arena, iam_policy_name(arn)), n->wanted);
    return !n->taken;
}

/* A name is unique whatever its path and case; there are few enough policies to look at all. */
static bool is_taken(struct wm_call *c, struct wm_view name)
{
    struct names n = {.magic = NAMES_MAGIC, .call = c, .wanted = wm_iam_id(c->arena, name)};
    wm_state_each(c->state, WM_LIT(WM_IAM_POLICY), WM_EMPTY, look_at_name, &n);
    return n.taken;
}

static struct wm_json *new_policy(struct wm_call *c, struct wm_view name)
{
    struct wm_view path = wm_json_get_text(c->params, "Path");
    struct wm_json *policy = wm_json_new(c->arena, WM_JSON_OBJECT);
    char id[WM_IAM_ID_BYTES];
    wm_iam_new_id(WM_IAM_POLICY_PREFIX, id, sizeof id);
    if (path.len == 0)
        path = WM_LIT("/");
    wm_json_set_string(c->arena, policy, "PolicyName", name);
    wm_json_set_string(c->arena, policy, "PolicyId", wm_view_of(id));
    wm_json_set_string(c->arena, policy, "Path", path);
    wm_json_set_string(c->arena, policy, "Arn", iam_arn(c, "policy", path, name));
    iam_set_now(c, policy, "CreateDate");
    if (wm_json_get(c->params, "Description"))
        wm_json_set_string(c->arena, policy, "Description", wm_json_get_text(c->params, "Description"));
    wm_json_set_i64(c->arena, policy, "NextVersion", 1);
    wm_json_set_array(c->arena, policy, "Versions");
    return policy;
}

enum wm_status iam_create_policy(struct wm_call *c, struct wm_reply *r)
{
    struct wm_view name = wm_json_get_text(c->params, "PolicyName");
    enum wm_status status;
    if (is_taken(c, name))
        return wm_reply_error(c, r, "EntityAlreadyExists", 409,
                              "A policy called %.*s already exists. Duplicate names are not allowed.", WM_ARG(name));
    if (wm_state_count(c->state, WM_LIT(WM_IAM_POLICY)) >= WM_MAX_MANAGED_POLICIES)
        return iam_over_quota(c, r, "PoliciesPerAccount", WM_MAX_MANAGED_POLICIES);
    struct wm_json *policy = new_policy(c, name);
    if (!iam_add_version(c, r, policy, true, &status))
        return status;
    status = iam_set_tags(c, r, policy);
    if (status == WM_OK && !r->error_code)
        status = iam_keep_policy(c, r, policy);
    return status == WM_OK && !r->error_code ? answer_policy(c, r, policy) : status;
}

enum wm_status iam_get_policy(struct wm_call *c, struct wm_reply *r)
{
    struct wm_json *policy;
    enum wm_status status = iam_find_policy(c, r, &policy);
    return policy ? answer_policy(c, r, policy) : status;
}

enum wm_status iam_delete_policy(struct wm_call *c, struct wm_reply *r)
{
    struct wm_json *policy;
    struct iam_use use;
    enum wm_status status = iam_find_own_policy(c, r, &policy);
    if (!policy)
        return status;
    struct wm_view arn = wm_json_get_text(policy, "Arn");
    status = iam_get_use(c, arn, &use);
    if (status != WM_OK)
        return status;
    if (use.attachments || use.boundaries)
        return wm_reply_error(c, r, "DeleteConflict", 409, "Cannot delete a policy attached to entities.");
    if (wm_json_get(policy, "Versions")->count > 1)
        return wm_reply_error(c, r, "DeleteConflict", 409,
                              "This policy has more than one version. Before you delete a policy, you must delete the "
                              "policy's versions. The default version is deleted with the policy.");
    iam_remove(r, WM_IAM_POLICY, arn);
    return WM_OK;
}

enum wm_status iam_tag_policy(struct wm_call *c, struct wm_reply *r)
{
    struct wm_json *policy;
    enum wm_status status = iam_find_own_policy(c, r, &policy);
    if (!policy)
        return status;
    status = iam_tag(c, r, policy);
    return status == WM_OK && !r->error_code ? iam_keep_policy(c, r, policy) : status;
}

enum wm_status iam_untag_policy(struct wm_call *c, struct wm_reply *r)
{
    struct wm_json *policy;
    enum wm_status status = iam_find_own_policy(c, r, &policy);
    if (!policy)
        return status;
    iam_untag(c, policy);
    return iam_keep_policy(c, r, policy);
}

enum wm_status iam_list_policy_tags(struct wm_call *c, struct wm_reply *r)
{
    struct wm_json *policy;
    enum wm_status status = iam_find_policy(c, r, &policy);
    return policy ? iam_list_elements(c, r, "Tags", wm_json_get(policy, "Tags"), "Key", NULL) : status;
}

/* ---- the list: ours and then AWS's, which is the order of their ARNs ---- */

static bool is_true(const struct wm_json *flag)
{
    return flag && flag->boolean;
}

static enum wm_status show_wanted(struct wm_call *c, const void *arg, struct wm_view document, struct wm_json **out)
{
    struct wm_view usage = wm_json_get_text(c->params, "PolicyUsageFilter");
    struct wm_json *policy = NULL;
    struct iam_use use;
    (void)arg;
    enum wm_status status = wm_json_parse(c->arena, document, &policy, NULL);
    if (status != WM_OK)
        return status == WM_E_NOMEM ? status : WM_E_CORRUPT;
    status = iam_get_use(c, wm_json_get_text(policy, "Arn"), &use);
    if (status != WM_OK || !iam_below_prefix(c, policy))
        return status;
    /* A filter by usage asks for what is used so; without one, attached means that it gives somebody permissions. */
    int64_t uses = wm_view_eq_str(usage, IAM_AS_BOUNDARY) ? use.boundaries : use.attachments;
    if (uses == 0 && (usage.len || is_true(wm_json_get(c->params, "OnlyAttached"))))
        return WM_OK;
    *out = iam_show_managed(c, policy, &use);
    return wm_arena_status(c->arena);
}

enum wm_status iam_list_aws(struct wm_call *c, struct wm_page *page, const struct wm_page_source *from)
{
    enum wm_status status = WM_OK;
    for (size_t i = 0; wm_iam_managed_at(i) && status == WM_OK; i++) {
        struct wm_view arn = managed_arn(c, wm_iam_managed_at(i)), text = WM_EMPTY;
        struct wm_json *shown = NULL;
        if (wm_view_cmp(arn, page->after) <= 0)
            continue;
        status = managed_text(c, wm_iam_managed_at(i), &text);
        if (status == WM_OK)
            status = from->show(c, from->arg, text, &shown);
        if (status == WM_OK && shown && !wm_page_takes(page, shown))
            return wm_arena_status(c->arena);
        page->last = arn;
    }
    return status;
}

enum wm_status iam_list_policies(struct wm_call *c, struct wm_reply *r)
{
    struct wm_view scope = wm_json_get_text(c->params, "Scope");
    const struct iam_part parts[] = {
        {!wm_view_eq_str(scope, "AWS"), "Policies", false, {.kind = WM_LIT(WM_IAM_POLICY), .show = show_wanted}},
        {!wm_view_eq_str(scope, "Local"), "Policies", true, {.show = show_wanted}},
    };
    return iam_list_parts(c, r, parts, sizeof parts / sizeof parts[0]);
}
