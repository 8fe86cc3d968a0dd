/*
 * Reading and checking a policy: JSON to struct wm_policy. (IAM User Guide, "Grammar of the IAM JSON policy language".)
 *
 * Refused here as IAM refuses it, and what IAM leaves to its Access Analyzer where it could only be a mistake: unknown
 * elements and operators, values of the wrong form, lists without elements, a Sid twice. NotPrincipal is refused in
 * both kinds: "You cannot use the NotPrincipal element in an IAM identity-based policy nor in an IAM role trust policy"
 * ("AWS JSON policy elements: NotPrincipal"). Of Principal's types, Federated and CanonicalUser are refused, since
 * nobody can call as one.
 *
 * Sentences begin with the statement's number, from 1.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "server/policy_int.h"
#include "waymark/bounds.h"

#include "waymark/banned.h"

#define VERSION_WITH_VARIABLES "2012-10-17"
#define VERSION_WITHOUT_VARIABLES "2008-10-17"

struct reader {
    struct wm_policy *policy;
    struct wm_arena *arena;
    struct wm_err *err;
    bool variables;
    size_t statement; /* number of the one that is read, from 1 */
};

/* "Statement 2: " and what is wrong with it. */
static enum wm_status refuse(const struct reader *r, const char *fmt, ...) WM_PRINTF(2, 3);
static enum wm_status refuse(const struct reader *r, const char *fmt, ...)
{
    char text[WM_ERR_MESSAGE_BYTES];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args); /* cut when long */
    va_end(args);
    return wm_fail(r->err, WM_E_INVALID, "Statement %zu: %s", r->statement, text);
}

static enum wm_status no_memory(const struct reader *r)
{
    return wm_fail(r->err, WM_E_NOMEM, "no memory left for the policy");
}

/* ---- lists: one value, or an array of them ---- */

/* The first of the values that an element has; they go on with ->next. @param out_n their number, 0 when empty */
static const struct wm_json *values_of(const struct wm_json *element, size_t *out_n)
{
    bool list = element->type == WM_JSON_ARRAY;
    *out_n = list ? element->count : 1;
    return list ? element->first : element;
}

static enum wm_status check_texts(const struct reader *r, const struct wm_json *element)
{
    size_t n;
    const struct wm_json *v = values_of(element, &n);
    if (n == 0)
        return refuse(r, "%.*s must not be empty", WM_ARG(element->key));
    for (size_t i = 0; i < n; i++, v = v->next)
        if (v->type != WM_JSON_STRING)
            return refuse(r, "%.*s must be a string or a list of strings", WM_ARG(element->key));
    return WM_OK;
}

/* ---- the keys that a policy refers to ---- */

/* Twice the number of keys is looked through for each: a policy's ceiling keeps that small. */
static enum wm_status keep_key(struct reader *r, struct wm_view name)
{
    struct wm_policy *p = r->policy;
    for (size_t i = 0; i < p->n_keys; i++)
        if (wm_view_ieq(p->keys[i], name))
            return WM_OK;
    if ((p->n_keys & (p->n_keys - 1)) == 0) { /* full: 0, 1, 2, 4 … */
        struct wm_view *more = wm_arena_alloc(r->arena, (p->n_keys ? 2 * p->n_keys : 1) * sizeof *more);
        if (!more)
            return no_memory(r);
        if (p->n_keys)
            memcpy(more, p->keys, p->n_keys * sizeof *more);
        p->keys = more;
    }
    p->keys[p->n_keys++] = name;
    return WM_OK;
}

/* What the whole policy has of: keys that variables name, and what is slow to compare. */
static enum wm_status keep_pattern(struct reader *r, struct wm_view element, const struct wm_policy_pattern *pattern)
{
    enum wm_status status = WM_OK;
    for (size_t i = 0; i < pattern->n_pieces && status == WM_OK; i++)
        if (pattern->pieces[i].kind == WM_PIECE_VARIABLE)
            status = keep_key(r, pattern->pieces[i].text);
    r->policy->n_between += pattern->n_between;
    if (status == WM_OK && r->policy->n_between > WM_MAX_POLICY_BETWEEN)
        return refuse(r, "%.*s: a policy may have at most %u \"?\" between two \"*\"", WM_ARG(element),
                      WM_MAX_POLICY_BETWEEN);
    return status;
}

/* ---- Action, Resource ---- */

static enum wm_status check_action(const struct reader *r, struct wm_view element, struct wm_view text)
{
    struct wm_view name = text, vendor = wm_view_split(&name, ':');
    bool trust = r->policy->kind == WM_POLICY_TRUST;
    if (trust && !wm_view_ieq_str(vendor, "sts"))
        return refuse(r, "%.*s \"%.*s\" must be one of STS (\"sts:AssumeRole\") in a trust policy", WM_ARG(element),
                      WM_ARG(text));
    if (wm_view_eq_str(text, "*"))
        return WM_OK;
    bool vendor_good = wm_policy_letters(vendor, "-") || wm_view_eq_str(vendor, "*");
    if (!vendor_good || !name.ptr || !wm_policy_letters(name, "*?-_."))
        return refuse(r, "%.*s \"%.*s\" must be \"*\" or have the form \"SERVICE:NAME\" with * and ? in NAME only",
                      WM_ARG(element), WM_ARG(text));
    return WM_OK;
}

/* Parts are counted where the policy itself has colons: "${aws:username}" holds none. As with IAM, an ARN may end early
 * in a wildcard, "arn:aws:mediapackage:*", which then stands for the other parts. */
static enum wm_status check_resource(const struct reader *r, struct wm_view element, struct wm_view text,
                                     const struct wm_policy_pattern *pattern)
{
    size_t colons = 0;
    for (size_t i = 0; i < pattern->n_pieces; i++) {
        struct wm_view piece = pattern->pieces[i].text;
        for (size_t k = 0; pattern->pieces[i].kind == WM_PIECE_TEXT && k < piece.len; k++)
            colons += piece.ptr[k] == ':';
        if (pattern->pieces[i].kind != WM_PIECE_TEXT && colons == 2 && wm_view_starts(text, "arn:"))
            return refuse(r, "%.*s \"%.*s\" must name its service without wildcards", WM_ARG(element), WM_ARG(text));
    }
    size_t needed = wm_view_ends(text, "*") ? 3 : 5;
    if (!wm_view_eq_str(text, "*") && (!wm_view_starts(text, "arn:") || colons < needed))
        return refuse(r, "%.*s \"%.*s\" must be \"*\" or an ARN of six parts", WM_ARG(element), WM_ARG(text));
    return WM_OK;
}

static enum wm_status read_patterns(struct reader *r, const struct wm_json *element, bool resource,
                                    struct wm_policy_patterns *out)
{
    enum wm_status status = check_texts(r, element);
    if (status != WM_OK)
        return status;
    const struct wm_json *v = values_of(element, &out->n);
    unsigned how = WM_PATTERN_WILDCARDS | (resource && r->variables ? WM_PATTERN_VARIABLES : 0);
    out->negated = wm_view_starts(element->key, "Not");
    out->all = wm_arena_alloc(r->arena, out->n * sizeof *out->all);
    if (!out->all)
        return no_memory(r);
    for (size_t i = 0; i < out->n && status == WM_OK; i++, v = v->next) {
        struct wm_err why = {0};
        status = wm_policy_pattern_compile(r->arena, v->text, how, &out->all[i], &why);
        if (status == WM_E_INVALID)
            status = refuse(r, "%.*s: %s", WM_ARG(element->key), why.message);
        else if (status != WM_OK)
            return no_memory(r);
        else
            status = resource ? check_resource(r, element->key, v->text, &out->all[i])
                              : check_action(r, element->key, v->text);
        if (status == WM_OK)
            status = keep_pattern(r, element->key, &out->all[i]);
    }
    return status;
}

/* ---- Principal ---- */

static enum wm_status read_principal(const struct reader *r, struct wm_view type, struct wm_view id,
                                     struct wm_policy_principal *out)
{
    if (wm_policy_principal_parse(type, id, out))
        return WM_OK;
    if (wm_view_eq_str(type, "Service"))
        return refuse(r, "Principal \"%.*s\" must be the name of a service, such as \"events.amazonaws.com\"",
                      WM_ARG(id));
    return refuse(r, "Principal \"%.*s\" must be \"*\", an account's id, or the ARN of an account's root, a user, a "
                  "role or a session, without wildcards", WM_ARG(id));
}

static enum wm_status count_principals(const struct reader *r, const struct wm_json *element, size_t *out_n)
{
    *out_n = 0;
    if (element->type != WM_JSON_OBJECT || !element->count)
        return refuse(r, "Principal must be \"*\" or an object with AWS or Service");
    for (const struct wm_json *type = element->first; type; type = type->next) {
        if (!wm_view_eq_str(type->key, "AWS") && !wm_view_eq_str(type->key, "Service"))
            return refuse(r, "Principal must name AWS or Service, not \"%.*s\"", WM_ARG(type->key));
        enum wm_status status = check_texts(r, type);
        size_t n;
        if (status != WM_OK)
            return status;
        (void)values_of(type, &n); /* only their number */
        *out_n += n;
    }
    return WM_OK;
}

static enum wm_status read_principals(struct reader *r, const struct wm_json *element, struct wm_policy_statement *s)
{
    static const struct wm_policy_principal anyone = {WM_PRINCIPAL_ANYONE, {"*", 1}};
    bool star = element->type == WM_JSON_STRING && wm_view_eq_str(element->text, "*");
    size_t n = 1;
    enum wm_status status = star ? WM_OK : count_principals(r, element, &n);
    if (status != WM_OK)
        return status;
    s->principals = wm_arena_alloc(r->arena, n * sizeof *s->principals);
    if (!s->principals)
        return no_memory(r);
    if (star)
        s->principals[s->n_principals++] = anyone;
    for (const struct wm_json *type = star ? NULL : element->first; type; type = type->next) {
        const struct wm_json *v = values_of(type, &n);
        for (size_t i = 0; i < n && status == WM_OK; i++, v = v->next)
            status = read_principal(r, type->key, v->text, &s->principals[s->n_principals++]);
    }
    return status;
}

/* ---- Condition ---- */

static enum wm_status read_condition_value(struct reader *r, const struct wm_policy_condition *c, struct wm_view op,
                                           const struct wm_json *v, union wm_policy_value *out)
{
    struct wm_view text = v->text;
    if (v->type == WM_JSON_BOOL)
        text = v->boolean ? WM_LIT("true") : WM_LIT("false");
    else if (v->type != WM_JSON_STRING && v->type != WM_JSON_NUMBER)
        return refuse(r, "Condition %.*s of \"%.*s\" must have strings, numbers or booleans as values", WM_ARG(op),
                      WM_ARG(c->key));
    struct wm_err why = {0};
    enum wm_status status = wm_policy_value_compile(r->arena, c, text, r->variables, out, &why);
    if (status == WM_E_INVALID)
        return refuse(r, "Condition %.*s of \"%.*s\": the value \"%.*s\": %s", WM_ARG(op), WM_ARG(c->key), WM_ARG(text),
                      why.message);
    if (status != WM_OK)
        return no_memory(r);
    return wm_policy_operator_has_patterns(c) ? keep_pattern(r, c->key, &out->pattern) : WM_OK;
}

static enum wm_status read_condition(struct reader *r, struct wm_view op, const struct wm_json *key,
                                     struct wm_policy_condition *c)
{
    size_t colon = wm_view_find(key->key, ':');
    c->key = key->key;
    if (colon == 0 || colon + 1 >= c->key.len)
        return refuse(r, "Condition %.*s: the key \"%.*s\" must have the form \"SERVICE:NAME\"", WM_ARG(op),
                      WM_ARG(c->key));
    const struct wm_json *v = values_of(key, &c->n_values);
    if (!c->n_values)
        return refuse(r, "Condition %.*s of \"%.*s\" must have a value", WM_ARG(op), WM_ARG(c->key));
    c->values = wm_arena_alloc(r->arena, c->n_values * sizeof *c->values);
    if (!c->values)
        return no_memory(r);
    enum wm_status status = keep_key(r, c->key);
    for (size_t i = 0; i < c->n_values && status == WM_OK; i++, v = v->next)
        status = read_condition_value(r, c, op, v, &c->values[i]);
    return status;
}

static enum wm_status count_conditions(const struct reader *r, const struct wm_json *element, size_t *out_n)
{
    struct wm_policy_condition c;
    *out_n = 0;
    if (element->type != WM_JSON_OBJECT)
        return refuse(r, "Condition must be an object");
    for (const struct wm_json *op = element->first; op; op = op->next) {
        if (!wm_policy_operator_find(op->key, &c))
            return refuse(r, "Condition has no operator \"%.*s\"", WM_ARG(op->key));
        if (op->type != WM_JSON_OBJECT || !op->count)
            return refuse(r, "Condition %.*s must be an object with at least one context key", WM_ARG(op->key));
        *out_n += op->count;
    }
    return WM_OK;
}

static enum wm_status read_conditions(struct reader *r, const struct wm_json *element, struct wm_policy_statement *s)
{
    size_t n;
    enum wm_status status = count_conditions(r, element, &n);
    if (status != WM_OK)
        return status;
    s->conditions = wm_arena_alloc(r->arena, n * sizeof *s->conditions);
    if (!s->conditions)
        return no_memory(r);
    for (const struct wm_json *op = element->first; op; op = op->next)
        for (const struct wm_json *key = op->first; key && status == WM_OK; key = key->next) {
            struct wm_policy_condition *c = &s->conditions[s->n_conditions++];
            (void)wm_policy_operator_find(op->key, c); /* it was found before */
            status = read_condition(r, op->key, key, c);
        }
    return status;
}

/* ---- statements ---- */

static enum wm_status read_sid(struct reader *r, const struct wm_json *element, struct wm_policy_statement *s)
{
    if (element->type != WM_JSON_STRING || (element->text.len && !wm_policy_letters(element->text, "")))
        return refuse(r, "Sid must be a string of letters and digits");
    s->sid = element->text;
    for (size_t i = 0; s->sid.len && i + 1 < r->statement; i++)
        if (wm_view_eq(r->policy->statements[i].sid, s->sid))
            return refuse(r, "Sid \"%.*s\" is statement %zu's too; it must be unique", WM_ARG(s->sid), i + 1);
    return WM_OK;
}

static enum wm_status read_effect(struct reader *r, const struct wm_json *element, struct wm_policy_statement *s)
{
    s->deny = element->type == WM_JSON_STRING && wm_view_eq_str(element->text, "Deny");
    if (!s->deny && (element->type != WM_JSON_STRING || !wm_view_eq_str(element->text, "Allow")))
        return refuse(r, "Effect must be \"Allow\" or \"Deny\"");
    return WM_OK;
}

static enum wm_status read_action(struct reader *r, const struct wm_json *element, struct wm_policy_statement *s)
{
    return read_patterns(r, element, false, &s->actions);
}

static enum wm_status read_resource(struct reader *r, const struct wm_json *element, struct wm_policy_statement *s)
{
    if (r->policy->kind == WM_POLICY_TRUST)
        return refuse(r, "%.*s must not be in a trust policy, whose resource is its role", WM_ARG(element->key));
    return read_patterns(r, element, true, &s->resources);
}

static enum wm_status read_who(struct reader *r, const struct wm_json *element, struct wm_policy_statement *s)
{
    if (r->policy->kind == WM_POLICY_IDENTITY)
        return refuse(r, "Principal must not be in a policy of an identity, which is the principal itself");
    return read_principals(r, element, s);
}

static enum wm_status read_who_not(struct reader *r, const struct wm_json *element, struct wm_policy_statement *s)
{
    (void)element; /* its value does not matter */
    (void)s;
    return refuse(r, "NotPrincipal must be in neither identities' policies nor trust policies; a condition on "
                  "aws:PrincipalArn says the same");
}

static const struct element {
    const char *name;
    enum wm_status (*read)(struct reader *r, const struct wm_json *element, struct wm_policy_statement *s);
} elements[] = {
    {"Sid", read_sid},           {"Effect", read_effect},        {"Action", read_action},
    {"NotAction", read_action},  {"Resource", read_resource},    {"NotResource", read_resource},
    {"Principal", read_who},     {"NotPrincipal", read_who_not}, {"Condition", read_conditions},
};

/* Of two elements that exclude each other, exactly one. */
static enum wm_status check_one_of(const struct reader *r, const struct wm_json *statement, const char *name,
                                   const char *other)
{
    bool has = wm_json_get(statement, name) != NULL, has_other = wm_json_get(statement, other) != NULL;
    if (has && has_other)
        return refuse(r, "%s and %s must not both be there", name, other);
    return has || has_other ? WM_OK : refuse(r, "%s or %s must be there", name, other);
}

static enum wm_status check_present(const struct reader *r, const struct wm_json *statement)
{
    enum wm_status status = check_one_of(r, statement, "Action", "NotAction");
    if (!wm_json_get(statement, "Effect"))
        status = refuse(r, "Effect must be there, as \"Allow\" or \"Deny\"");
    if (status != WM_OK)
        return status;
    if (r->policy->kind == WM_POLICY_IDENTITY)
        return check_one_of(r, statement, "Resource", "NotResource");
    return wm_json_get(statement, "Principal") ? WM_OK : refuse(r, "Principal must be there: who may assume the role");
}

static enum wm_status read_statement(struct reader *r, const struct wm_json *statement, struct wm_policy_statement *s)
{
    if (statement->type != WM_JSON_OBJECT)
        return refuse(r, "it must be an object");
    for (const struct wm_json *e = statement->first; e; e = e->next) {
        size_t i = 0, n = sizeof elements / sizeof elements[0];
        while (i < n && !wm_view_eq_str(e->key, elements[i].name))
            i++;
        if (i == n)
            return refuse(r, "\"%.*s\" is no element of a statement", WM_ARG(e->key));
        enum wm_status status = elements[i].read(r, e, s);
        if (status != WM_OK)
            return status;
    }
    return check_present(r, statement);
}

static enum wm_status read_statements(struct reader *r, const struct wm_json *element)
{
    struct wm_policy *p = r->policy;
    const struct wm_json *v = values_of(element, &p->n_statements);
    if (!p->n_statements)
        return wm_fail(r->err, WM_E_INVALID, "Statement must have at least one statement");
    p->statements = wm_arena_alloc(r->arena, p->n_statements * sizeof *p->statements);
    if (!p->statements)
        return no_memory(r);
    enum wm_status status = WM_OK;
    for (size_t i = 0; i < p->n_statements && status == WM_OK; i++, v = v->next) {
        r->statement = i + 1;
        status = read_statement(r, v, &p->statements[i]);
    }
    return status;
}

/* ---- the document ---- */

static enum wm_status read_version(struct reader *r, const struct wm_json *document)
{
    const struct wm_json *version = wm_json_get(document, "Version");
    struct wm_view text = wm_json_get_text(document, "Version");
    r->variables = wm_view_eq_str(text, VERSION_WITH_VARIABLES);
    if (version && !r->variables && !wm_view_eq_str(text, VERSION_WITHOUT_VARIABLES))
        return wm_fail(r->err, WM_E_INVALID, "Version must be \"" VERSION_WITH_VARIABLES "\" or \""
                       VERSION_WITHOUT_VARIABLES "\"");
    return WM_OK;
}

static enum wm_status read_document(struct reader *r, struct wm_view text, const struct wm_json *document)
{
    const struct wm_json *statements = NULL;
    size_t member = 0, n = 0;
    if (document->type != WM_JSON_OBJECT)
        return wm_fail(r->err, WM_E_INVALID, "the policy must be a JSON object");
    for (const struct wm_json *e = document->first; e; e = e->next, n++) {
        if (wm_view_eq_str(e->key, "Statement")) {
            statements = e;
            member = n;
        } else if (wm_view_eq_str(e->key, "Id")) {
            if (e->type != WM_JSON_STRING)
                return wm_fail(r->err, WM_E_INVALID, "Id must be a string");
        } else if (!wm_view_eq_str(e->key, "Version")) {
            return wm_fail(r->err, WM_E_INVALID, "\"%.*s\" is no element of a policy", WM_ARG(e->key));
        }
    }
    enum wm_status status = read_version(r, document);
    if (status == WM_OK && !statements)
        status = wm_fail(r->err, WM_E_INVALID, "Statement must be there");
    if (status == WM_OK)
        status = read_statements(r, statements);
    if (status == WM_OK)
        wm_policy_find_places(text, member, r->policy->statements, r->policy->n_statements);
    return status;
}

enum wm_status wm_policy_compile(struct wm_view text, enum wm_policy_kind kind, struct wm_policy **out,
                                 struct wm_err *err)
{
    if (text.len > WM_MAX_POLICY_BYTES || wm_policy_size(text) > WM_MAX_POLICY_CHARACTERS)
        return wm_fail(err, WM_E_LIMIT, "the policy must not have more than %u characters without blanks, %u with them",
                       WM_MAX_POLICY_CHARACTERS, WM_MAX_POLICY_BYTES);
    struct wm_policy *p = calloc(1, sizeof *p);
    if (!p)
        return wm_fail(err, WM_E_NOMEM, "no memory left for the policy");
    p->kind = kind;
    wm_arena_init(&p->arena, WM_MAX_ARENA_BYTES);
    struct reader r = {.policy = p, .arena = &p->arena, .err = err};
    struct wm_json *document;
    enum wm_status status = wm_json_parse(&p->arena, text, &document, err);
    if (status == WM_OK)
        status = read_document(&r, text, document);
    if (status == WM_OK)
        *out = p;
    else
        wm_policy_free(p);
    return status;
}

void wm_policy_free(struct wm_policy *p)
{
    if (!p)
        return;
    wm_arena_done(&p->arena);
    free(p);
}

size_t wm_policy_bytes(const struct wm_policy *p)
{
    return sizeof *p + p->arena.used;
}

size_t wm_policy_n_statements(const struct wm_policy *p)
{
    return p->n_statements;
}

struct wm_policy_statement_info wm_policy_statement_info(const struct wm_policy *p, size_t i)
{
    WM_ASSERT(i < p->n_statements);
    const struct wm_policy_statement *s = &p->statements[i];
    return (struct wm_policy_statement_info){s->sid, s->deny, s->start, s->end};
}

size_t wm_policy_n_keys(const struct wm_policy *p)
{
    return p->n_keys;
}

struct wm_view wm_policy_key(const struct wm_policy *p, size_t i)
{
    WM_ASSERT(i < p->n_keys);
    return p->keys[i];
}
