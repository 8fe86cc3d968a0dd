/*
 * IAM policies as a filter, for tests/integration/policy_random.py. Each line of stdin is one question, in JSON:
 *
 *     {"kind": "identity" | "trust", "policy": "…its text…",
 *      "request": {"action": "…", "resource": "…", "principal": {"arn": "…", "roleArn": "…", "account": "…",
 *                  "service": "…"}, "keys": [{"name": "…", "values": ["…"], "multi": false}]}}
 *
 * The answer is one line: what the policy says, the statement that decides (- when none), which statements apply (as 0
 * and 1), and whether the caller is named itself; or "refused" and why.
 */
#include <stdio.h>
#include <stdlib.h>

#include "waymark/bounds.h"
#include "waymark/json.h"
#include "waymark/policy.h"

#include "waymark/banned.h"

static _Noreturn void die(const char *why)
{
    fprintf(stderr, "policy_check: %s\n", why);
    exit(2);
}

static void *take(struct wm_arena *a, size_t bytes)
{
    void *p = wm_arena_alloc(a, bytes);
    if (!p)
        die("no memory");
    return p;
}

static struct wm_policy_key read_key(struct wm_arena *a, const struct wm_json *key)
{
    const struct wm_json *values = wm_json_get(key, "values"), *multi = wm_json_get(key, "multi");
    size_t n = 0;
    if (!values || !multi)
        die("a key has no values");
    struct wm_view *texts = take(a, values->count * sizeof *texts);
    for (const struct wm_json *v = values->first; v; v = v->next)
        texts[n++] = v->text;
    return (struct wm_policy_key){wm_json_get_text(key, "name"), texts, n, multi->boolean};
}

static struct wm_policy_request read_request(struct wm_arena *a, const struct wm_json *request)
{
    const struct wm_json *keys = wm_json_get(request, "keys"), *who = wm_json_get(request, "principal");
    if (!keys)
        die("a question has no keys");
    struct wm_policy_key *all = take(a, keys->count * sizeof *all);
    struct wm_policy_request q = {
        .action = wm_json_get_text(request, "action"),
        .resource = wm_json_get_text(request, "resource"),
        .keys = all,
        .principal = {.arn = wm_json_get_text(who, "arn"),
                      .role_arn = wm_json_get_text(who, "roleArn"),
                      .account_id = wm_json_get_text(who, "account"),
                      .service = wm_json_get_text(who, "service")},
    };
    for (const struct wm_json *k = keys->first; k; k = k->next)
        all[q.n_keys++] = read_key(a, k);
    return q;
}

static void answer(struct wm_arena *a, const struct wm_json *question)
{
    static const char *const effects[] = {"none", "allow", "deny"};
    bool trust = wm_view_eq_str(wm_json_get_text(question, "kind"), "trust");
    struct wm_policy_request q = read_request(a, wm_json_get(question, "request"));
    struct wm_policy *p;
    struct wm_err err = {0};
    enum wm_policy_kind kind = trust ? WM_POLICY_TRUST : WM_POLICY_IDENTITY;
    if (wm_policy_compile(wm_json_get_text(question, "policy"), kind, &p, &err) != WM_OK) {
        printf("refused %s\n", err.message);
        return;
    }
    size_t statement = 0;
    enum wm_policy_effect effect = wm_policy_evaluate(p, &q, &statement);
    printf("%s ", effects[effect]);
    if (effect == WM_POLICY_NONE)
        printf("- ");
    else
        printf("%zu ", statement);
    for (size_t i = 0; i < wm_policy_n_statements(p); i++)
        putchar(wm_policy_statement_applies(p, i, &q) ? '1' : '0');
    printf(" %s\n", trust && wm_policy_names_principal(p, &q) ? "named" : "-");
    wm_policy_free(p);
}

int main(void)
{
    char *line = NULL;
    size_t line_cap = 0;
    ssize_t line_len;
    struct wm_arena a;
    wm_arena_init(&a, WM_MAX_ARENA_BYTES);
    while ((line_len = getline(&line, &line_cap, stdin)) > 0) {
        struct wm_json *question;
        wm_arena_clear(&a);
        if (wm_json_parse(&a, (struct wm_view){line, (size_t)line_len}, &question, NULL) != WM_OK)
            die("a line is no JSON");
        answer(&a, question);
    }
    free(line);
    wm_arena_done(&a);
    return 0;
}
