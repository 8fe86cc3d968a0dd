/*
 * May they? The answer beforehand, by the same policies, the same context and the same decision as of a call
 * (waymark/authorize.h), so that it is what happens. Only the request itself is not there: what conditions ask about it is
 * given as ContextEntries, or missing.
 *
 * API Reference, "SimulatePrincipalPolicy", "EvaluationResult". Left open there, and decided: there is one result for each
 * action and resource. SourcePolicyType is one of those in the model (AWS answers "IAM Policy"); of a policy that was a
 * parameter it is "none".
 */
#include "server/services/iam_simulate_int.h"

#include "waymark/banned.h"

/* For one page: memory of policies that is gone through, once for each 64 bytes of the texts they are compared with. */
#define MOST_WORK (32u * 1024u * 1024u)

/* ---- inputs ---- */

/* prefix:Operation, 3 to 128 characters. */
static bool is_action(struct wm_view text)
{
    struct wm_view operation = text, prefix = wm_view_split(&operation, ':');
    return text.len <= 128 && prefix.len && operation.len && wm_text_only(prefix, "-") && wm_text_only(operation, "");
}

static bool is_resource(struct wm_view text)
{
    return wm_view_eq_str(text, "*") || (text.len <= 2048 && wm_view_starts(text, "arn:"));
}

static const struct wm_text_form action_form = {is_action, "must be an action, such as mediapackage:ListChannels"};
static const struct wm_text_form resource_form = {is_resource, "must be * or an ARN"};
static const char *const key_types[] = {"string",      "stringList", "numeric", "numericList", "boolean",
                                        "booleanList", "ip",         "ipList",  "binary",      "binaryList",
                                        "date",        "dateList",   NULL};

static const struct wm_member entry_fields[] = {
    {.name = "ContextKeyName", .type = WM_MEMBER_STRING, .min = 5, .max = 256},
    {.name = "ContextKeyValues", .type = WM_MEMBER_STRING_LIST},
    {.name = "ContextKeyType", .type = WM_MEMBER_STRING, .values = key_types},
    {0},
};

#define NAME(NAME, MAX) {.name = (NAME), .type = WM_MEMBER_STRING, .min = 1, .max = (MAX)}
/* What both simulations take. */
#define SIMULATION                                                                                                     \
    {.name = "PermissionsBoundaryPolicyInputList", .type = WM_MEMBER_STRING_LIST, .form = &iam_document_form},         \
        {.name = "ActionNames", .type = WM_MEMBER_STRING_LIST, .required = true, .form = &action_form},                \
        {.name = "ResourceArns", .type = WM_MEMBER_STRING_LIST, .form = &resource_form},                               \
        NAME("ResourcePolicy", WM_MAX_POLICY_BYTES), NAME("ResourceOwner", 2048), NAME("CallerArn", 2048),             \
        {.name = "ContextEntries", .type = WM_MEMBER_STRUCT_LIST, .fields = entry_fields},                             \
        NAME("ResourceHandlingOption", 64), IAM_PAGE

const struct wm_member iam_simulate_principal_input[] = {
    IAM_ARN("PolicySourceArn", true), IAM_POLICY_INPUTS(false), SIMULATION, {0},
};
const struct wm_member iam_simulate_custom_input[] = {IAM_POLICY_INPUTS(true), SIMULATION, {0}};
const struct wm_member iam_context_keys_principal_input[] = {
    IAM_ARN("PolicySourceArn", true), IAM_POLICY_INPUTS(false), {0},
};
const struct wm_member iam_context_keys_custom_input[] = {IAM_POLICY_INPUTS(true), {0}};

/* ---- context keys ---- */

/* Keys are compared without regard to case. */
static bool has_key(const struct wm_json *names, struct wm_view name)
{
    for (const struct wm_json *n = names->first; n; n = n->next)
        if (wm_view_ieq(n->text, name))
            return true;
    return false;
}

/* The keys of a policy that are not in the list yet; where there is a request, those only that it does not have. */
static void add_keys(struct wm_call *c, struct wm_json *names, const struct wm_policy *policy,
                     const struct wm_policy_request *request)
{
    for (size_t i = 0; names && policy && i < wm_policy_n_keys(policy); i++) {
        struct wm_view name = wm_policy_key(policy, i);
        if (!has_key(names, name) && !(request && wm_policy_request_key(request, name)))
            iam_add(c->arena, names, wm_arena_copy(c->arena, name)); /* the policy goes before the answer */
    }
}

static void add_all_keys(struct wm_call *c, struct wm_json *names, const struct iam_simulation *s,
                         const struct wm_policy_request *request)
{
    for (size_t i = 0; i < s->principal.n_policies; i++)
        add_keys(c, names, s->principal.policies[i].policy, request);
    add_keys(c, names, s->principal.boundary, request);
}

enum wm_status iam_get_context_keys(struct wm_call *c, struct wm_reply *r)
{
    struct iam_simulation s;
    enum wm_status status = iam_simulation_init(c, r, &s);
    if (status == WM_OK && !r->error_code) {
        r->document = wm_json_new(c->arena, WM_JSON_OBJECT);
        add_all_keys(c, wm_json_set_array(c->arena, r->document, "ContextKeyNames"), &s, NULL);
        status = wm_arena_status(c->arena);
    }
    iam_simulation_done(&s);
    return status;
}

/* ---- statements ---- */

static void show_place(struct wm_call *c, struct wm_json *statement, const char *name, struct wm_policy_place place)
{
    struct wm_json *shown = wm_json_set_object(c->arena, statement, name);
    wm_json_set_i64(c->arena, shown, "Line", place.line);
    wm_json_set_i64(c->arena, shown, "Column", place.column);
}

/* A managed policy is known by its ARN here, and called by its name. */
static void show_source(struct wm_call *c, struct wm_json *shown, const struct wm_principal_policy *p)
{
    bool managed = wm_view_starts(p->id, "arn:");
    const char *type = p->type;
    if (managed)
        type = wm_iam_managed_find(p->id) ? "aws-managed" : "user-managed";
    wm_json_set_string(c->arena, shown, "SourcePolicyId", managed ? iam_policy_name(p->id) : p->id);
    wm_json_set_string(c->arena, shown, "SourcePolicyType", wm_view_of(type));
}

/* Those statements of a policy that apply and deny, or that apply and allow. */
static void add_statements(struct wm_call *c, struct wm_json *list, const struct wm_principal_policy *p,
                           const struct wm_policy_request *request, bool deny)
{
    for (size_t i = 0; i < wm_policy_n_statements(p->policy); i++) {
        struct wm_policy_statement_info info = wm_policy_statement_info(p->policy, i);
        if (info.deny != deny || !wm_policy_statement_applies(p->policy, i, request))
            continue;
        struct wm_json *shown = wm_json_push(list, wm_json_new(c->arena, WM_JSON_OBJECT));
        show_source(c, shown, p);
        show_place(c, shown, "StartPosition", info.start);
        show_place(c, shown, "EndPosition", info.end);
    }
}

/* Those that decided: where something is denied, what denies it, and else what allows it. */
static struct wm_json *matched(struct wm_call *c, const struct iam_simulation *s, const struct wm_policy_request *request,
                               bool denied)
{
    const struct wm_principal_policy boundary = {s->principal.boundary, s->boundary_id, "none"};
    struct wm_json *list = wm_json_new(c->arena, WM_JSON_ARRAY);
    for (size_t i = 0; i < s->principal.n_policies; i++)
        add_statements(c, list, &s->principal.policies[i], request, denied);
    if (denied && boundary.policy)
        add_statements(c, list, &boundary, request, true);
    return list;
}

/* ---- results ---- */

static const char *name_of(enum wm_decision decision)
{
    if (decision == WM_DECIDED_ALLOWED)
        return "allowed";
    return decision >= WM_DECIDED_DENIED ? "explicitDeny" : "implicitDeny";
}

static void show_boundary(struct wm_call *c, struct wm_json *shown, const struct iam_simulation *s,
                          const struct wm_policy_request *request)
{
    if (!s->principal.boundary)
        return;
    struct wm_json *detail = wm_json_set_object(c->arena, shown, "PermissionsBoundaryDecisionDetail");
    wm_json_set_bool(c->arena, detail, "AllowedByPermissionsBoundary",
                     wm_policy_evaluate(s->principal.boundary, request, NULL) == WM_POLICY_ALLOW);
}

/*
 * While audit.locked, what can take records from a trail is refused to everybody, whatever policies say; CloudTrail's are all
 * that can. AWS has no such lock, but an organization's policies stand above an account's in the same way.
 */
static bool is_locked(const struct wm_call *c, const struct iam_simulation *s, struct wm_view action)
{
    const struct wm_service *service = &wm_service_cloudtrail;
    struct wm_view name = action, prefix = wm_view_split(&name, ':');
    if (!c->env->audit_locked || !s->of || !wm_view_ieq(prefix, wm_view_of(service->signing_name)))
        return false;
    for (size_t i = 0; i < service->n_operations; i++)
        if (service->operations[i].audit && wm_view_ieq(name, wm_view_of(service->operations[i].name)))
            return true;
    return false;
}

/* API Reference, "EvaluationResult": missing keys are told with the resource, where one is named. */
static struct wm_json *show_result(struct wm_call *c, const struct iam_simulation *s,
                                   const struct wm_policy_request *request)
{
    struct wm_decided decided;
    bool locked = is_locked(c, s, request->action);
    wm_access_decide(&s->principal, request, &decided);
    if (locked)
        decided.decision = WM_DECIDED_DENIED_SETTINGS;
    struct wm_view decision = wm_view_of(name_of(decided.decision));
    struct wm_json *result = wm_json_new(c->arena, WM_JSON_OBJECT), *at = result;
    struct wm_json *statements = matched(c, s, request, decided.decision >= WM_DECIDED_DENIED);
    wm_json_set_string(c->arena, result, "EvalActionName", request->action);
    wm_json_set_string(c->arena, result, "EvalResourceName", request->resource);
    wm_json_set_string(c->arena, result, "EvalDecision", decision);
    wm_json_set(result, "MatchedStatements", statements);
    show_boundary(c, result, s, request);
    if (locked)
        wm_json_set_bool(c->arena, wm_json_set_object(c->arena, result, "OrganizationsDecisionDetail"),
                         "AllowedByOrganizations", false);
    if (!wm_view_eq_str(request->resource, "*")) {
        wm_json_set_array(c->arena, result, "MissingContextValues");
        at = wm_json_push(wm_json_set_array(c->arena, result, "ResourceSpecificResults"),
                          wm_json_new(c->arena, WM_JSON_OBJECT));
        wm_json_set_string(c->arena, at, "EvalResourceName", request->resource);
        wm_json_set_string(c->arena, at, "EvalResourceDecision", decision);
        wm_json_set(at, "MatchedStatements", statements ? wm_json_clone(c->arena, statements) : NULL);
        show_boundary(c, at, s, request);
    }
    add_all_keys(c, wm_json_set_array(c->arena, at, "MissingContextValues"), s, request);
    return result;
}

static enum wm_status simulate_one(struct wm_call *c, const struct iam_simulation *s, struct wm_view action,
                                   struct wm_view resource, struct wm_json **out)
{
    static const struct wm_demands none = {0};
    const struct wm_access access = {
        .arena = c->arena, .principal = &s->principal, .context = &s->context, .demands = &none};
    const struct wm_demand demand = {.action = action, .resource = resource};
    struct wm_policy_request request;
    enum wm_status status = wm_access_ask(&access, &demand, &request);
    if (status == WM_OK)
        *out = show_result(c, s, &request);
    return status == WM_OK ? wm_arena_status(c->arena) : status;
}

/* What asking all policies about this resource costs, by their size and that of what they may look at. */
static uint64_t work_of(const struct iam_simulation *s, struct wm_view resource)
{
    uint64_t policies = s->principal.boundary ? wm_policy_bytes(s->principal.boundary) : 0, texts = resource.len;
    for (size_t i = 0; i < s->principal.n_policies; i++)
        policies += wm_policy_bytes(s->principal.policies[i].policy);
    for (size_t i = 0; i < s->context.n_given; i++)
        for (size_t k = 0; k < s->context.given[i].n_values; k++)
            texts += s->context.given[i].values[k].len;
    return policies * (1 + texts / 64);
}

/* A page ends before it takes more than half of the call's memory, or holds up other calls: some 10 ms. */
static bool is_enough(const struct wm_call *c, uint64_t work)
{
    return work > MOST_WORK || c->arena->used > c->arena->max / 2;
}

/* Every action on every resource, in that order; a position is the number of the pair. */
static enum wm_status simulate_page(struct wm_call *c, const struct iam_simulation *s, struct wm_page *page)
{
    static const struct wm_json everything = {.type = WM_JSON_STRING, .text = {"*", 1}};
    const struct wm_json *actions = wm_json_get(c->params, "ActionNames");
    const struct wm_json *resources = wm_json_get(c->params, "ResourceArns");
    uint64_t skip = 0, n = 0, work = 0;
    if (page->after.len && wm_view_to_u64(page->after, UINT64_MAX, &skip) != WM_OK)
        return WM_E_CORRUPT; /* a token is this operation's own */
    for (const struct wm_json *a = actions->first; a; a = a->next) {
        const struct wm_json *r = resources && resources->count ? resources->first : &everything;
        for (; r; r = r->next) {
            struct wm_json *result = NULL;
            if (n++ < skip)
                continue;
            work += work_of(s, r->text);
            bool full = page->list->count && is_enough(c, work);
            enum wm_status status = full ? WM_OK : simulate_one(c, s, a->text, r->text, &result);
            page->more = full;
            if (status != WM_OK || full || !wm_page_takes(page, result))
                return status;
            page->last = wm_arena_printf(c->arena, "%llu", (unsigned long long)n);
        }
    }
    return wm_arena_status(c->arena);
}

enum wm_status iam_simulate(struct wm_call *c, struct wm_reply *r)
{
    struct wm_json *answer = wm_json_new(c->arena, WM_JSON_OBJECT);
    struct iam_simulation s;
    struct wm_page page;
    enum wm_status status = iam_simulation_init(c, r, &s);
    if (status == WM_OK && !r->error_code)
        status = iam_page_begin(c, r, answer, "EvaluationResults", &page);
    if (status == WM_OK && !r->error_code)
        status = simulate_page(c, &s, &page);
    if (status == WM_OK && !r->error_code)
        status = iam_page_end(c, r, answer, &page);
    iam_simulation_done(&s);
    return status;
}
