#include "server/principal.h"

#include <stdlib.h>

#include "waymark/bounds.h"
#include "waymark/hash.h"
#include "waymark/log.h"

#include "waymark/banned.h"

#define PRINCIPAL_MAGIC 0x57505249u /* "WPRI" */
/* Documents of one entity, read to be taken apart: a user or group, or a managed policy with all its versions. */
#define SCRATCH_BYTES (8u * 1024u * 1024u)

/* One that is being loaded. A status that is not WM_OK stays, and all that follows does nothing. */
struct loader {
    const struct wm_principal_source *from;
    struct wm_held_principal *p;
    struct wm_arena scratch;   /* of the entity's own document */
    struct wm_arena other;     /* of one group or managed policy */
    struct wm_principal_policy *policies;
    size_t n_policies, room;
    size_t policy_bytes;
    enum wm_status status;
};

static void principal_free(struct wm_held_principal *p)
{
    for (size_t i = 0; i < p->face.n_policies; i++)
        wm_policy_free((struct wm_policy *)(uintptr_t)p->face.policies[i].policy); /* const for readers; ours */
    for (size_t i = 0; i < p->face.n_session; i++)
        wm_policy_free((struct wm_policy *)(uintptr_t)p->face.session[i]);
    wm_policy_free((struct wm_policy *)(uintptr_t)p->face.boundary);
    wm_arena_done(&p->memory);
    wm_wipe(p->secret, sizeof p->secret);
    p->magic = 0;
    free(p);
}

struct wm_held_principal *wm_principal_held(const struct wm_principal *p)
{
    struct wm_held_principal *held = (struct wm_held_principal *)(uintptr_t)p;
    WM_ASSERT(held->magic == PRINCIPAL_MAGIC);
    return held;
}

void wm_principal_release(const struct wm_principal *p)
{
    if (!p)
        return;
    struct wm_held_principal *held = wm_principal_held(p);
    if (!held->lasting && atomic_fetch_sub_explicit(&held->refs, 1, memory_order_acq_rel) == 1)
        principal_free(held);
}

static void fail(struct loader *l, enum wm_status status)
{
    if (l->status == WM_OK)
        l->status = status;
}

static struct wm_view keep(struct loader *l, struct wm_view text)
{
    return wm_arena_copy(&l->p->memory, text);
}

static struct wm_view keep_member(struct loader *l, const struct wm_json *document, const char *name)
{
    return keep(l, wm_json_get_text(document, name));
}

/* ---- policies ---- */

/* What cannot be read, or is not there, may have been a denial: so it is one, of everything. */
static struct wm_policy *compile(struct loader *l, struct wm_view text, struct wm_view id)
{
    static const char closed[] = "{\"Statement\":{\"Effect\":\"Deny\",\"Action\":\"*\",\"Resource\":\"*\"}}";
    struct wm_policy *policy = NULL;
    struct wm_err err = {.message = "there is no such policy"};
    if (l->status != WM_OK)
        return NULL;
    enum wm_status status = text.len ? wm_policy_compile(text, WM_POLICY_IDENTITY, &policy, &err) : WM_E_INVALID;
    if (status == WM_E_INVALID || status == WM_E_LIMIT) {
        wm_log(WM_EV_POLICY_UNREADABLE, "policy=%.*s of=%.*s text=\"%s\"", WM_ARG(id), WM_ARG(l->p->face.iam_arn),
               err.message);
        status = wm_policy_compile(WM_LIT(closed), WM_POLICY_IDENTITY, &policy, NULL);
    }
    if (status != WM_OK)
        fail(l, WM_E_NOMEM);
    else
        l->policy_bytes += wm_policy_bytes(policy);
    return policy;
}

static void add_policy(struct loader *l, struct wm_view text, struct wm_view id, const char *type)
{
    if (l->n_policies == l->room) {
        size_t room = l->room ? 2 * l->room : 8;
        struct wm_principal_policy *more = wm_arena_alloc(&l->p->memory, room * sizeof *more);
        if (!more) {
            fail(l, WM_E_NOMEM);
            return;
        }
        if (l->n_policies)
            memcpy(more, l->policies, l->n_policies * sizeof *more);
        l->policies = more;
        l->room = room;
    }
    struct wm_policy *policy = compile(l, text, id);
    if (policy)
        l->policies[l->n_policies++] = (struct wm_principal_policy){policy, keep(l, id), type};
}

/* The text in force of a managed policy, good until the next; empty when there is none. */
static struct wm_view managed_text(struct loader *l, struct wm_view arn)
{
    struct wm_json *document = NULL;
    struct wm_view text = wm_iam_managed_policy(arn);
    if (text.len)
        return text;
    wm_arena_clear(&l->other);
    enum wm_status status = wm_iam_get(l->from->state, &l->other, WM_IAM_POLICY, arn, &document);
    if (status == WM_E_NOMEM)
        fail(l, status);
    if (status != WM_OK || !document)
        return WM_EMPTY;
    struct wm_view in_force = wm_json_get_text(document, "DefaultVersionId");
    const struct wm_json *versions = wm_json_get(document, "Versions");
    for (const struct wm_json *v = versions ? versions->first : NULL; v; v = v->next)
        if (wm_view_eq(wm_json_get_text(v, "VersionId"), in_force))
            return wm_json_get_text(v, "Document");
    return WM_EMPTY;
}

/* The policies of a user, group or role. type: what its inline ones are called. */
static void add_policies(struct loader *l, const struct wm_json *entity, const char *type)
{
    const struct wm_json *inlined = wm_json_get(entity, "Policies"), *attached = wm_json_get(entity, "Attached");
    for (const struct wm_json *p = inlined ? inlined->first : NULL; p && l->status == WM_OK; p = p->next)
        add_policy(l, p->text, p->key, type);
    for (const struct wm_json *p = attached ? attached->first : NULL; p && l->status == WM_OK; p = p->next)
        add_policy(l, managed_text(l, p->text), p->text, "IAM Policy");
}

static void add_groups(struct loader *l, const struct wm_json *user)
{
    const struct wm_json *names = wm_json_get(user, "Groups");
    struct wm_arena memory;
    wm_arena_init(&memory, SCRATCH_BYTES);
    for (const struct wm_json *name = names ? names->first : NULL; name && l->status == WM_OK; name = name->next) {
        struct wm_json *group = NULL;
        wm_arena_clear(&memory);
        enum wm_status status = wm_iam_get(l->from->state, &memory, WM_IAM_GROUP, name->text, &group);
        if (status != WM_OK || !group)
            fail(l, status != WM_OK ? status : WM_E_CORRUPT); /* user and group name each other */
        else
            add_policies(l, group, "group");
    }
    wm_arena_done(&memory);
}

static void set_boundary(struct loader *l, const struct wm_json *entity)
{
    struct wm_view arn = wm_json_get_text(entity, "PermissionsBoundary");
    if (arn.len && l->status == WM_OK) {
        l->p->face.boundary = compile(l, managed_text(l, arn), arn);
        l->p->face.boundary_id = keep(l, arn);
    }
}

static void set_session_policies(struct loader *l, const struct wm_session *s)
{
    size_t n = s->n_policy_arns + (s->policy.len > 0);
    if (n == 0 || l->status != WM_OK)
        return;
    const struct wm_policy **all = wm_arena_alloc(&l->p->memory, n * sizeof *all);
    if (!all) {
        fail(l, WM_E_NOMEM);
        return;
    }
    l->p->face.session = all;
    for (size_t i = 0; i < s->n_policy_arns && l->status == WM_OK; i++)
        all[l->p->face.n_session++] = compile(l, managed_text(l, s->policy_arns[i]), s->policy_arns[i]);
    if (s->policy.len && l->status == WM_OK)
        all[l->p->face.n_session++] = compile(l, s->policy, WM_LIT("session policy"));
}

/* ---- tags ---- */

static bool session_has_key(const struct wm_session *s, struct wm_view key)
{
    for (size_t i = 0; s && i < s->n_tags; i++)
        if (wm_view_ieq(s->tags[i].key, key)) /* IAM User Guide, "Tag naming conventions": not case sensitive */
            return true;
    return false;
}

static void set_tags(struct loader *l, const struct wm_json *entity, const struct wm_session *s)
{
    const struct wm_json *own = wm_json_get(entity, "Tags");
    size_t most = (own ? own->count : 0) + (s ? s->n_tags : 0);
    struct wm_principal_tag *tags = wm_arena_alloc(&l->p->memory, (most + 1) * sizeof *tags);
    size_t n = 0;
    if (!tags)
        return; /* the arena remembers */
    for (size_t i = 0; s && i < s->n_tags; i++)
        tags[n++] = (struct wm_principal_tag){keep(l, s->tags[i].key), keep(l, s->tags[i].value), s->tags[i].transitive};
    for (const struct wm_json *t = own ? own->first : NULL; t; t = t->next) {
        struct wm_view key = wm_json_get_text(t, "Key");
        if (!session_has_key(s, key))
            tags[n++] = (struct wm_principal_tag){keep(l, key), keep_member(l, t, "Value"), false};
    }
    l->p->face.tags = tags;
    l->p->face.n_tags = n;
}

/* ---- identities ---- */

static void set_session(struct loader *l, const struct wm_session *s, struct wm_view token)
{
    struct wm_principal *p = &l->p->face;
    l->p->session.created = s->created;
    l->p->session.mfa = s->mfa;
    l->p->session.source_identity = keep(l, s->source_identity);
    p->identity.session = &l->p->session;
    p->expires = s->expires;
    l->p->token = keep(l, token);
}

/* The secret of a key, and the key's id. */
static void set_key(struct loader *l, struct wm_view access_key_id, struct wm_view seed)
{
    wm_iam_secret(l->from->master_key, access_key_id, seed, l->p->secret);
    l->p->face.secret = WM_LIT(l->p->secret);
    l->p->face.identity.access_key_id = keep(l, access_key_id);
}

static enum wm_status get_entity(struct loader *l, const char *kind, struct wm_view name, const char *id_member,
                                 struct wm_view unique_id, struct wm_json **out)
{
    enum wm_status status = wm_iam_get(l->from->state, &l->scratch, kind, name, out);
    if (status == WM_OK && (!*out || !wm_view_eq(wm_json_get_text(*out, id_member), unique_id)))
        status = WM_E_NOT_FOUND; /* gone, or a new one of this name */
    return status;
}

static void load_user(struct loader *l, struct wm_view name, struct wm_view unique_id)
{
    struct wm_json *user = NULL;
    struct wm_principal *p = &l->p->face;
    fail(l, get_entity(l, WM_IAM_USER, name, "UserId", unique_id, &user));
    if (l->status != WM_OK)
        return;
    p->name = keep_member(l, user, "UserName");
    p->unique_id = keep(l, unique_id);
    p->iam_arn = keep_member(l, user, "Arn");
    p->identity.type = WM_IDENTITY_USER;
    p->identity.principal_id = p->unique_id;
    p->identity.arn = p->iam_arn;
    p->identity.user_name = p->name;
    add_policies(l, user, "user");
    add_groups(l, user);
    set_boundary(l, user);
    set_tags(l, user, NULL);
}

static void load_role(struct loader *l, const struct wm_session *s)
{
    struct wm_json *role = NULL;
    struct wm_principal *p = &l->p->face;
    struct wm_identity_session *session = &l->p->session;
    fail(l, get_entity(l, WM_IAM_ROLE, s->name, "RoleId", s->unique_id, &role));
    if (l->status != WM_OK)
        return;
    p->name = keep_member(l, role, "RoleName");
    p->unique_id = keep(l, s->unique_id);
    p->iam_arn = keep_member(l, role, "Arn");
    p->identity.type = WM_IDENTITY_ASSUMED_ROLE;
    p->identity.principal_id = wm_arena_printf(&l->p->memory, "%.*s:%.*s", WM_ARG(s->unique_id), WM_ARG(s->session_name));
    p->identity.arn = wm_arena_printf(&l->p->memory, "arn:%s:sts::%.*s:assumed-role/%.*s/%.*s", l->from->partition,
                                      WM_ARG(l->from->account_id), WM_ARG(p->name), WM_ARG(s->session_name));
    session->issuer_type = WM_LIT("Role");
    session->issuer_principal_id = p->unique_id;
    session->issuer_arn = p->iam_arn;
    session->issuer_account_id = p->identity.account_id;
    session->issuer_user_name = p->name;
    l->p->used_id = p->unique_id;
    add_policies(l, role, "role");
    set_boundary(l, role);
    set_session_policies(l, s);
    set_tags(l, role, s);
}

static void load_root(struct loader *l)
{
    struct wm_principal *p = &l->p->face;
    p->iam_arn = wm_arena_printf(&l->p->memory, "arn:%s:iam::%.*s:root", l->from->partition, WM_ARG(l->from->account_id));
    p->unique_id = p->identity.account_id;
    p->identity.type = WM_IDENTITY_ROOT;
    p->identity.principal_id = p->unique_id;
    p->identity.arn = p->iam_arn;
    p->everything = true;
}

static enum wm_status begin(struct loader *l, const struct wm_principal_source *from)
{
    *l = (struct loader){.from = from, .p = calloc(1, sizeof *l->p)};
    if (!l->p)
        return WM_E_NOMEM;
    l->p->magic = PRINCIPAL_MAGIC;
    atomic_init(&l->p->refs, 1);
    wm_arena_init(&l->p->memory, WM_MAX_PRINCIPAL_BYTES);
    wm_arena_init(&l->scratch, SCRATCH_BYTES);
    wm_arena_init(&l->other, SCRATCH_BYTES);
    l->p->face.identity.account_id = keep(l, from->account_id);
    return WM_OK;
}

static enum wm_status end(struct loader *l, struct wm_held_principal **out)
{
    struct wm_held_principal *p = l->p;
    p->face.policies = l->policies;
    p->face.n_policies = l->n_policies;
    p->bytes = sizeof *p + p->memory.used + l->policy_bytes;
    fail(l, wm_arena_status(&p->memory));
    wm_arena_done(&l->scratch);
    wm_arena_done(&l->other);
    if (l->status == WM_OK)
        *out = p;
    else
        principal_free(p);
    return l->status;
}

enum wm_status wm_principal_load_key(const struct wm_principal_source *from, struct wm_view access_key_id,
                                     struct wm_held_principal **out)
{
    struct loader l;
    struct wm_json *key = NULL;
    enum wm_status status = begin(&l, from);
    if (status != WM_OK)
        return status;
    fail(&l, wm_iam_get(from->state, &l.scratch, WM_IAM_ACCESS_KEY, access_key_id, &key));
    if (l.status == WM_OK && (!key || !wm_view_eq_str(wm_json_get_text(key, "Status"), "Active")))
        fail(&l, WM_E_NOT_FOUND);
    if (l.status == WM_OK) {
        set_key(&l, access_key_id, wm_json_get_text(key, "Seed"));
        l.p->used_id = l.p->face.identity.access_key_id;
        load_user(&l, wm_json_get_text(key, "UserName"), wm_json_get_text(key, "UserId"));
    }
    return end(&l, out);
}

enum wm_status wm_principal_load_session(const struct wm_principal_source *from, const struct wm_session *s,
                                         struct wm_view token, struct wm_held_principal **out)
{
    struct loader l;
    enum wm_status status = begin(&l, from);
    if (status != WM_OK)
        return status;
    set_key(&l, s->access_key_id, s->seed);
    set_session(&l, s, token);
    if (s->kind == WM_SESSION_ROLE)
        load_role(&l, s);
    else if (s->kind == WM_SESSION_USER)
        load_user(&l, s->name, s->unique_id);
    else
        load_root(&l);
    return end(&l, out);
}

/* A group is nobody who can call; a role's session has no name here, and so no id. */
static void load_entity(struct loader *l, const char *kind, const struct wm_json *document)
{
    if (strcmp(kind, WM_IAM_USER) == 0) {
        load_user(l, wm_json_get_text(document, "UserName"), wm_json_get_text(document, "UserId"));
    } else if (strcmp(kind, WM_IAM_ROLE) == 0) {
        const struct wm_session session = {.name = wm_json_get_text(document, "RoleName"),
                                           .unique_id = wm_json_get_text(document, "RoleId")};
        load_role(l, &session);
        l->p->face.identity.principal_id = WM_EMPTY;
    } else {
        l->p->face.name = keep_member(l, document, "GroupName");
        add_policies(l, document, "group");
    }
}

enum wm_status wm_principal_load_entity(const struct wm_principal_source *from, const char *kind,
                                        const struct wm_json *document, struct wm_held_principal **out)
{
    struct loader l;
    enum wm_status status = begin(&l, from);
    if (status != WM_OK)
        return status;
    load_entity(&l, kind, document);
    return end(&l, out);
}
