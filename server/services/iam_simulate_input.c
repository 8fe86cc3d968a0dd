/*
 * What a simulation is made of: the policies of a user, group or role, such as a call would be decided by, more of them
 * as parameters, and what is known of the request. API Reference, "SimulatePrincipalPolicy".
 */
#include <stdlib.h>

#include "server/services/iam_simulate_int.h"
#include "server/source_ip.h"
#include "waymark/protocol.h"
#include "waymark/trail_name.h"

#include "waymark/banned.h"

/* ---- entities by their ARNs ---- */

static enum wm_status bad_arn(struct wm_call *c, struct wm_reply *r, struct wm_view arn)
{
    return wm_reply_error(c, r, "InvalidInput", 400,
                          "Invalid Entity Arn: %.*s does not clearly define entity type and name.",
                          WM_ARG(wm_view_sub(arn, 0, 512)));
}

/* The user, group or role of ours with this ARN; NULL: the reply is made. */
static const struct iam_entity *find_entity(struct wm_call *c, struct wm_reply *r, struct wm_view arn,
                                            struct wm_json **out, enum wm_status *out_status)
{
    static const struct iam_entity *const kinds[] = {&iam_user, &iam_group, &iam_role};
    struct wm_view rest = arn;
    for (int i = 0; i < 5; i++)
        (void)wm_view_split(&rest, ':'); /* the whole is compared with the entity's own ARN */
    struct wm_view type = wm_view_split(&rest, '/'), name = iam_policy_name(arn);
    *out = NULL;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        const struct iam_entity *of = kinds[i];
        if (!wm_view_eq_str(type, of->type) || rest.len == 0)
            continue;
        *out_status = iam_find(c, r, of, name, out);
        if (*out && !wm_view_eq(wm_json_get_text(*out, "Arn"), arn)) { /* of another account or path */
            *out = NULL;
            *out_status = iam_not_found(c, r, of, name);
        }
        return *out ? of : NULL;
    }
    *out_status = bad_arn(c, r, arn);
    return NULL;
}

static enum wm_status load(struct wm_call *c, struct wm_reply *r, struct wm_view arn, bool user_only,
                           struct wm_held_principal **out)
{
    const struct wm_principal_source from = {
        .state = c->state,
        .account_id = c->env->account_id,
        .partition = wm_arn_partition(c->env->region),
        .master_key = c->env->master_key,
    };
    struct wm_json *document;
    enum wm_status status;
    const struct iam_entity *of = find_entity(c, r, arn, &document, &status);
    if (!of)
        return status;
    if (user_only && of != &iam_user)
        return wm_reply_error(c, r, "InvalidInput", 400, "Member 'CallerArn' must be the ARN of a user");
    return wm_principal_load_entity(&from, of->kind, document, out);
}

/* ---- policies ---- */

static enum wm_status compile(struct wm_call *c, struct wm_reply *r, struct iam_simulation *s, struct wm_view text,
                              struct wm_view id)
{
    struct wm_err err = {0};
    enum wm_status status = wm_policy_compile(text, WM_POLICY_IDENTITY, &s->inputs[s->n_inputs], &err);
    if (status == WM_OK)
        s->n_inputs++;
    else if (status != WM_E_NOMEM)
        return wm_reply_error(c, r, "InvalidInput", 400, "%.*s: %s", WM_ARG(id), err.message);
    return status;
}

static struct wm_view input_id(struct wm_call *c, const char *list, size_t i)
{
    return wm_arena_printf(c->arena, "%s.%zu", list, i + 1);
}

/* Those of the parameters behind those that the principal has. */
static enum wm_status add_policies(struct wm_call *c, struct wm_reply *r, struct iam_simulation *s)
{
    const struct wm_json *list = wm_json_get(c->params, "PolicyInputList");
    size_t had = s->principal.n_policies, more = list ? list->count : 0, n = had;
    struct wm_principal_policy *all = wm_arena_alloc(c->arena, (had + more + 1) * sizeof *all);
    if (!all)
        return WM_E_NOMEM;
    if (had)
        memcpy(all, s->principal.policies, had * sizeof *all);
    for (const struct wm_json *p = more ? list->first : NULL; p; p = p->next) {
        struct wm_view id = input_id(c, "PolicyInputList", n - had);
        enum wm_status status = compile(c, r, s, p->text, id);
        if (status != WM_OK || r->error_code)
            return status;
        all[n++] = (struct wm_principal_policy){s->inputs[s->n_inputs - 1], id, "none"};
    }
    s->principal.policies = all;
    s->principal.n_policies = n;
    return wm_arena_status(c->arena);
}

/* In the place of the one that the principal has. */
static enum wm_status set_boundary(struct wm_call *c, struct wm_reply *r, struct iam_simulation *s)
{
    static const char name[] = "PermissionsBoundaryPolicyInputList";
    const struct wm_json *list = wm_json_get(c->params, name);
    if (!list || list->count == 0)
        return WM_OK;
    if (list->count > 1)
        return wm_reply_error(c, r, "InvalidInput", 400, "Member '%s' must have one policy at most", name);
    s->boundary_id = input_id(c, name, 0);
    enum wm_status status = compile(c, r, s, list->first->text, s->boundary_id);
    if (status == WM_OK && !r->error_code)
        s->principal.boundary = s->inputs[s->n_inputs - 1];
    return status;
}

/* ---- context ---- */

static bool is_number(struct wm_view text)
{
    char copy[64];
    char *end = copy;
    if (!wm_view_copy(text, copy, sizeof copy) || !wm_text_only(text, "+-."))
        return false;
    (void)strtod(copy, &end); /* only whether all of it is a number */
    return text.len && *end == '\0';
}

static bool is_boolean(struct wm_view text)
{
    return wm_view_ieq_str(text, "true") || wm_view_ieq_str(text, "false");
}

static bool is_date(struct wm_view text)
{
    int64_t ms;
    return wm_protocol_read_time(text, &ms) || is_number(text);
}

static bool is_ip(struct wm_view text)
{
    struct wm_proxy_block block;
    return wm_proxy_block_parse(text, &block, NULL) == WM_OK;
}

static bool is_base64(struct wm_view text)
{
    return text.len % 4 == 0 && wm_text_only(text, "+/=");
}

/* API Reference, ContextKeyTypeEnum; each with List too. */
static const struct {
    const char *name;
    bool (*fits)(struct wm_view text); /* NULL: any */
} types[] = {
    {"string", NULL}, {"numeric", is_number}, {"boolean", is_boolean}, {"ip", is_ip}, {"binary", is_base64}, {"date", is_date},
};

static enum wm_status check_values(struct wm_call *c, struct wm_reply *r, const struct wm_policy_key *key,
                                   struct wm_view type)
{
    struct wm_view single = key->multi ? wm_view_sub(type, 0, type.len - strlen("List")) : type;
    if (!key->multi && key->n_values > 1)
        return wm_reply_error(c, r, "InvalidInput", 400, "Context key '%.*s' has several values; its type must be %.*sList",
                              WM_ARG(key->name), WM_ARG(single));
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        for (size_t k = 0; wm_view_eq_str(single, types[i].name) && types[i].fits && k < key->n_values; k++)
            if (!types[i].fits(key->values[k]))
                return wm_reply_error(c, r, "InvalidInput", 400, "Context key '%.*s': '%.*s' is not of type %.*s",
                                      WM_ARG(key->name), WM_ARG(wm_view_sub(key->values[k], 0, 256)), WM_ARG(single));
    return WM_OK;
}

static enum wm_status read_entry(struct wm_call *c, struct wm_reply *r, const struct wm_json *entry,
                                 struct wm_policy_key *out)
{
    const struct wm_json *list = wm_json_get(entry, "ContextKeyValues");
    struct wm_view type = wm_json_get_text(entry, "ContextKeyType");
    size_t n = 0;
    struct wm_view *values = wm_arena_alloc(c->arena, ((list ? list->count : 0) + 1) * sizeof *values);
    if (!values)
        return WM_E_NOMEM;
    for (const struct wm_json *v = list ? list->first : NULL; v; v = v->next)
        values[n++] = v->text;
    *out = (struct wm_policy_key){.name = wm_json_get_text(entry, "ContextKeyName"), .values = values, .n_values = n};
    out->multi = type.len ? wm_view_ends(type, "List") : n > 1;
    if (out->name.len == 0)
        return wm_reply_error(c, r, "InvalidInput", 400, "Member 'ContextEntries': an entry has no ContextKeyName");
    return check_values(c, r, out, type);
}

static enum wm_status set_context(struct wm_call *c, struct wm_reply *r, struct iam_simulation *s)
{
    const struct wm_json *entries = wm_json_get(c->params, "ContextEntries");
    size_t n = 0;
    struct wm_policy_key *keys = wm_arena_alloc(c->arena, ((entries ? entries->count : 0) + 1) * sizeof *keys);
    if (!keys)
        return WM_E_NOMEM;
    for (const struct wm_json *e = entries ? entries->first : NULL; e; e = e->next) {
        enum wm_status status = read_entry(c, r, e, &keys[n++]);
        if (status != WM_OK || r->error_code)
            return status;
    }
    s->context = (struct wm_request_context){.simulated = true, .given = keys, .n_given = n};
    return WM_OK;
}

/* ---- what is not simulated ---- */

/* Resources here have no policies of their own and one owner, and the options are scenarios of EC2. */
static enum wm_status check_rest(struct wm_call *c, struct wm_reply *r)
{
    struct wm_view owner = wm_json_get_text(c->params, "ResourceOwner");
    if (wm_json_get(c->params, "ResourcePolicy"))
        return wm_reply_error(c, r, "InvalidInput", 400,
                              "Member 'ResourcePolicy': there are no resource-based policies in this service");
    if (wm_json_get(c->params, "ResourceHandlingOption"))
        return wm_reply_error(c, r, "InvalidInput", 400,
                              "Member 'ResourceHandlingOption' is about instances of EC2, which are not in this service");
    if (owner.len && !wm_view_eq(owner, c->env->account_id) && !wm_view_eq(owner, iam_arn(c, "root", WM_EMPTY, WM_EMPTY)))
        return wm_reply_error(c, r, "InvalidInput", 400, "Member 'ResourceOwner' must be this account, %.*s",
                              WM_ARG(c->env->account_id));
    return WM_OK;
}

/* ---- all of it ---- */

/* Whose policies; and who calls, if it is somebody else, "as if Bob had David's policies". */
static enum wm_status set_principal(struct wm_call *c, struct wm_reply *r, struct iam_simulation *s)
{
    struct wm_view source = wm_json_get_text(c->params, "PolicySourceArn");
    struct wm_view caller = wm_json_get_text(c->params, "CallerArn");
    enum wm_status status = source.len ? load(c, r, source, false, &s->of) : WM_OK;
    if (status == WM_OK && !r->error_code && caller.len)
        status = load(c, r, caller, true, &s->caller);
    if (status != WM_OK || r->error_code)
        return status;
    const struct wm_principal *of = s->of ? &s->of->face : NULL, *who = s->caller ? &s->caller->face : of;
    if (who)
        s->principal = *who;
    s->principal.identity.account_id = c->env->account_id;
    s->principal.policies = of ? of->policies : NULL;
    s->principal.n_policies = of ? of->n_policies : 0;
    s->principal.boundary = of ? of->boundary : NULL;
    s->boundary_id = of ? of->boundary_id : WM_EMPTY;
    return WM_OK;
}

enum wm_status iam_simulation_init(struct wm_call *c, struct wm_reply *r, struct iam_simulation *s)
{
    const struct wm_json *list = wm_json_get(c->params, "PolicyInputList");
    *s = (struct iam_simulation){0};
    s->inputs = wm_arena_alloc(c->arena, ((list ? list->count : 0) + 1) * sizeof *s->inputs);
    enum wm_status status = s->inputs ? check_rest(c, r) : WM_E_NOMEM;
    if (status == WM_OK && !r->error_code)
        status = set_principal(c, r, s);
    if (status == WM_OK && !r->error_code)
        status = add_policies(c, r, s);
    if (status == WM_OK && !r->error_code)
        status = set_boundary(c, r, s);
    if (status == WM_OK && !r->error_code)
        status = set_context(c, r, s);
    return status;
}

void iam_simulation_done(struct iam_simulation *s)
{
    for (size_t i = 0; i < s->n_inputs; i++)
        wm_policy_free(s->inputs[i]);
    wm_principal_release(s->of ? &s->of->face : NULL);
    wm_principal_release(s->caller ? &s->caller->face : NULL);
}
