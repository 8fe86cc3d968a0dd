/* What policies say: actions, resources, principals, and which statement decides. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "tests/support/policy_rig.h"

#include "waymark/banned.h"

static struct wm_policy *must_compile(const char *text, enum wm_policy_kind kind)
{
    struct wm_policy *p = NULL;
    struct wm_err err = {0};
    if (rig_compile(text, kind, &p, &err) != WM_OK)
        fail_msg("%s: %s", text, err.message);
    return p;
}

static void action_and_resource(void **state)
{
    (void)state;
    static const struct {
        const char *statement, *action, *resource;
        bool applies;
    } rows[] = {
        {"'Action':'*','Resource':'*'", "s3:GetObject", "*", true},
        {"'Action':'*:*','Resource':'*'", "s3:GetObject", "*", true},
        {"'Action':'s3:GetObject','Resource':'*'", "S3:getobject", "arn:aws:s3:::b/k", true},
        {"'Action':'s3:GetObject','Resource':'*'", "s3:GetObjects", "*", false},
        {"'Action':'s3:Get*','Resource':'*'", "s3:GetObject", "*", true},
        {"'Action':'s3:G?tObject','Resource':'*'", "s3:GetObject", "*", true},
        {"'Action':'s3:*','Resource':'*'", "s3express:GetObject", "*", false},
        {"'Action':'s3:*Tagging*','Resource':'*'", "s3:PutObjectTagging", "*", true},
        {"'Action':['s3:Put*','s3:Get*'],'Resource':'*'", "s3:GetObject", "*", true},
        {"'NotAction':['iam:*','s3:Get*'],'Resource':'*'", "s3:GetObject", "*", false},
        {"'NotAction':['iam:*','s3:Get*'],'Resource':'*'", "s3:PutObject", "*", true},
        {"'Action':'*','Resource':'arn:aws:s3:::b/k'", "s3:Get", "arn:aws:s3:::b/k", true},
        {"'Action':'*','Resource':'arn:aws:s3:::b/k'", "s3:Get", "arn:aws:s3:::b/K", false},
        {"'Action':'*','Resource':'arn:aws:s3:::b/*'", "s3:Get", "arn:aws:s3:::b/x/y:z", true},
        {"'Action':'*','Resource':'arn:aws:s3:::b/*'", "s3:Get", "arn:aws:s3:::b", false},
        {"'Action':'*','Resource':'arn:aws:s3:*:b:c'", "s3:Get", "arn:aws:s3:eu:1:b:c", true}, /* across colons */
        {"'Action':'*','Resource':'arn:aws:s3:*'", "s3:Get", "arn:aws:s3:::b", true},
        {"'Action':'*','Resource':'arn:aws:s3:::b*'", "s3:List", "*", false}, /* an operation without a resource */
        {"'Action':'*','Resource':['arn:aws:s3:::a','arn:aws:s3:::b']", "s3:Get", "arn:aws:s3:::b", true},
        {"'Action':'*','NotResource':['arn:aws:s3:::a','arn:aws:s3:::b']", "s3:Get", "arn:aws:s3:::b", false},
        {"'Action':'*','NotResource':['arn:aws:s3:::a','arn:aws:s3:::b']", "s3:Get", "arn:aws:s3:::c", true},
        {"'Action':'*','NotResource':'arn:aws:s3:::a'", "s3:List", "*", true},
        {"'Action':'*','Resource':'arn:aws:s3:::${aws:username}/*'", "s3:Get", "arn:aws:s3:::ann/x", true},
        {"'Action':'*','Resource':'arn:aws:s3:::${aws:username}/*'", "s3:Get", "arn:aws:s3:::bob/x", false},
        {"'Action':'*','Resource':'arn:aws:s3:::${aws:userid}'", "s3:Get", "arn:aws:s3:::", false}, /* no value */
        {"'Action':'*','NotResource':'arn:aws:s3:::${aws:userid}'", "s3:Get", "arn:aws:s3:::x", true},
        {"'Action':'*','Resource':'arn:aws:s3:::*${*}*'", "s3:Get", "arn:aws:s3:::a*b", true},
        {"'Action':'*','Resource':'arn:aws:s3:::*${*}*'", "s3:Get", "arn:aws:s3:::ab", false},
        {"'Action':'*','Resource':'arn:aws:s3:::*a*b*c'", "s3:Get", "arn:aws:s3:::aabbabcbc", true},
        {"'Action':'*','Resource':'arn:aws:s3:::*a*b*c'", "s3:Get", "arn:aws:s3:::aabbabcbcb", false},
        {"'Action':'*','Resource':'arn:aws:s3:::a?'", "s3:Get", "arn:aws:s3:::a\xe2\x82\xac", true}, /* one character */
        {"'Action':'*','Resource':'arn:aws:s3:::a?" "?'", "s3:Get", "arn:aws:s3:::a\xe2\x82\xac", false},
        {"'Action':'*','Resource':'arn:aws:s3:::*?" "?'", "s3:Get", "arn:aws:s3:::\xe2\x82\xac", false},
        {"'Action':'*','Resource':'arn:aws:s3:::${k:a}*${k:a}'", "s3:Get", "arn:aws:s3:::xy-xy", true},
        {"'Action':'*','Resource':'arn:aws:s3:::${k:a}*${k:a}'", "s3:Get", "arn:aws:s3:::xyy", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct policy_request_rig rig = {.q = {.action = wm_view_of(rows[i].action)}};
        char text[512];
        rig.q.resource = wm_view_of(rows[i].resource);
        rig_keys(&rig, "aws:username=ann;k:a=xy");
        (void)snprintf(text, sizeof text, "{'Version':'2012-10-17','Statement':{'Effect':'Deny',%s}}",
                       rows[i].statement);
        struct wm_policy *p = must_compile(text, WM_POLICY_IDENTITY);
        enum wm_policy_effect effect = wm_policy_evaluate(p, &rig.q, NULL);
        wm_policy_free(p);
        if (effect != (rows[i].applies ? WM_POLICY_DENY : WM_POLICY_NONE))
            fail_msg("%s of %s: %d", rows[i].statement, rows[i].resource, (int)effect);
    }
}

static void deny_wins(void **state)
{
    (void)state;
    static const struct {
        const char *action;
        enum wm_policy_effect effect;
        size_t statement;
        bool applies[4];
    } rows[] = {
        {"iam:GetUser", WM_POLICY_NONE, 99, {false, false, false, false}},
        {"s3:GetObject", WM_POLICY_ALLOW, 0, {true, true, false, false}},
        {"s3:PutObject", WM_POLICY_ALLOW, 1, {false, true, false, false}},
        {"s3:DeleteObject", WM_POLICY_DENY, 2, {false, true, true, true}},
    };
    struct wm_policy *p = must_compile("{'Statement':[{'Effect':'Allow','Action':'s3:Get*','Resource':'*'},"
                                       "{'Effect':'Allow','Action':'s3:*','Resource':'*'},"
                                       "{'Effect':'Deny','Action':'s3:Delete*','Resource':'*'},"
                                       "{'Effect':'Deny','Action':'s3:DeleteObject','Resource':'*'}]}",
                                       WM_POLICY_IDENTITY);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct wm_policy_request q = {.action = wm_view_of(rows[i].action), .resource = WM_LIT("*")};
        size_t statement = 99;
        assert_int_equal(wm_policy_evaluate(p, &q, &statement), rows[i].effect);
        assert_int_equal(statement, rows[i].statement);
        for (size_t s = 0; s < wm_policy_n_statements(p); s++)
            assert_int_equal(wm_policy_statement_applies(p, s, &q), rows[i].applies[s]);
    }
    wm_policy_free(p);
}

#define ACCOUNT "111122223333"
#define ANN "arn:aws:iam::111122223333:user/ann"
#define ROLE "arn:aws:iam::111122223333:role/ops/R"
#define SESSION "arn:aws:sts::111122223333:assumed-role/R/S"

static void principals(void **state)
{
    (void)state;
    enum who { USER, OTHER, ASSUMED, SERVICE, ROOT };
    static const struct {
        struct wm_view arn, role_arn, account_id, service, unique_id;
    } callers[] = {
        [USER] = {WM_LIT(ANN), WM_EMPTY, WM_LIT(ACCOUNT), WM_EMPTY, WM_LIT("AIDAQWERTYUIOPASDFGH")},
        [OTHER] = {.arn = WM_LIT("arn:aws:iam::444455556666:user/ann"), .account_id = WM_LIT("444455556666")},
        [ASSUMED] = {WM_LIT(SESSION), WM_LIT(ROLE), WM_LIT(ACCOUNT), WM_EMPTY, WM_LIT("AROAQWERTYUIOPASDFGH")},
        [SERVICE] = {.service = WM_LIT("trail.amazonaws.com")},
        [ROOT] = {.arn = WM_LIT("arn:aws:iam::111122223333:root"), .account_id = WM_LIT(ACCOUNT)},
    };
    static const struct {
        const char *principal;
        enum who who;
        bool applies, named;
    } rows[] = {
        {"'*'", OTHER, true, true},
        {"'*'", SERVICE, true, true},
        {"{'AWS':'*'}", USER, true, true},
        {"{'AWS':'" ACCOUNT "'}", USER, true, false},
        {"{'AWS':'" ACCOUNT "'}", ASSUMED, true, false},
        {"{'AWS':'" ACCOUNT "'}", OTHER, false, false},
        {"{'AWS':'" ACCOUNT "'}", SERVICE, false, false},
        {"{'AWS':'arn:aws:iam::" ACCOUNT ":root'}", USER, true, false},
        {"{'AWS':'arn:aws:iam::" ACCOUNT ":root'}", ROOT, true, false},
        {"{'AWS':'" ANN "'}", USER, true, true},
        {"{'AWS':'" ANN "'}", OTHER, false, false},
        {"{'AWS':'" ANN "'}", ROOT, false, false},
        {"{'AWS':'" ROLE "'}", ASSUMED, true, true},
        {"{'AWS':'" SESSION "'}", ASSUMED, true, true},
        {"{'AWS':'" SESSION "x'}", ASSUMED, false, false},
        {"{'AWS':['" ACCOUNT "','" ANN "']}", USER, true, true},
        {"{'AWS':'AIDAQWERTYUIOPASDFGH'}", USER, true, true}, /* who had another name when it was written */
        {"{'AWS':'AIDAQWERTYUIOPASDFGI'}", USER, false, false}, /* who is gone */
        {"{'AWS':'AIDAQWERTYUIOPASDFGH'}", ROOT, false, false},
        {"{'Service':'trail.amazonaws.com'}", SERVICE, true, true},
        {"{'Service':'trail.amazonaws.com'}", USER, false, false},
        {"{'Service':['x.amazonaws.com','trail.amazonaws.com'],'AWS':'" ANN "'}", SERVICE, true, true},
        {"{'Service':'x.amazonaws.com','AWS':'" ANN "'}", USER, true, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct wm_policy_request q = {.action = WM_LIT("sts:AssumeRole"), .resource = WM_LIT(ROLE)};
        q.principal.arn = callers[rows[i].who].arn;
        q.principal.role_arn = callers[rows[i].who].role_arn;
        q.principal.account_id = callers[rows[i].who].account_id;
        q.principal.service = callers[rows[i].who].service;
        q.principal.unique_id = callers[rows[i].who].unique_id;
        char text[512];
        (void)snprintf(text, sizeof text, "{'Statement':{'Effect':'Allow','Action':'sts:Assume*','Principal':%s}}",
                       rows[i].principal);
        struct wm_policy *p = must_compile(text, WM_POLICY_TRUST);
        enum wm_policy_effect effect = wm_policy_evaluate(p, &q, NULL);
        bool named = wm_policy_names_principal(p, &q);
        wm_policy_free(p);
        if (effect != (rows[i].applies ? WM_POLICY_ALLOW : WM_POLICY_NONE) || named != rows[i].named)
            fail_msg("%s, caller %d: %d, named %d", rows[i].principal, (int)rows[i].who, (int)effect, named);
    }
}

/* Who is named in a statement that denies, or in one whose condition does not hold, is not named. */
static void naming_needs_an_allow_that_applies(void **state)
{
    (void)state;
    struct wm_policy *p = must_compile("{'Statement':[{'Effect':'Allow','Action':'sts:*','Principal':{'AWS':'" ACCOUNT
                                       "'}},{'Effect':'Deny','Action':'sts:TagSession','Principal':{'AWS':'" ANN "'}},"
                                       "{'Effect':'Allow','Action':'sts:*','Principal':{'AWS':'" ANN "'},'Condition':"
                                       "{'StringEquals':{'sts:ExternalId':'x'}}}]}", WM_POLICY_TRUST);
    struct policy_request_rig rig = {.q = {.action = WM_LIT("sts:AssumeRole")}};
    rig.q.principal.arn = WM_LIT(ANN);
    rig.q.principal.account_id = WM_LIT(ACCOUNT);
    assert_int_equal(wm_policy_evaluate(p, &rig.q, NULL), WM_POLICY_ALLOW);
    assert_false(wm_policy_names_principal(p, &rig.q));
    rig_keys(&rig, "sts:ExternalId=x");
    assert_true(wm_policy_names_principal(p, &rig.q));
    rig.q.action = WM_LIT("sts:TagSession");
    assert_int_equal(wm_policy_evaluate(p, &rig.q, NULL), WM_POLICY_DENY);
    wm_policy_free(p);
}

static void request_keys_are_found(void **state)
{
    (void)state;
    struct policy_request_rig rig = {0};
    rig_keys(&rig, "aws:username=ann;aws:TagKeys=[]");
    assert_ptr_equal(wm_policy_request_key(&rig.q, WM_LIT("AWS:UserName")), &rig.keys[0]);
    assert_null(wm_policy_request_key(&rig.q, WM_LIT("aws:TagKeys")));
    assert_null(wm_policy_request_key(&rig.q, WM_LIT("aws:user")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(action_and_resource),
        cmocka_unit_test(deny_wins),
        cmocka_unit_test(principals),
        cmocka_unit_test(naming_needs_an_allow_that_applies),
        cmocka_unit_test(request_keys_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
