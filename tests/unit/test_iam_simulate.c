#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/iam_call.h"

#include "waymark/banned.h"

#define ACCOUNT "arn:aws:iam::111122223333:"
#define USER ACCOUNT "user/u"
#define P(effect, action, resource, more)                                                                              \
    "{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"" effect "\",\"Action\":\"" action "\",\"Resource\":\"" resource "\"" more "}}"
#define TRUST_ACCOUNT                                                                                                  \
    "{\"Statement\":{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"111122223333\"},\"Action\":\"sts:AssumeRole\"}}"

static const struct wm_json *first_result(struct fixture *f)
{
    const struct wm_json *results = wm_json_get(f->answer, "EvaluationResults");
    assert_non_null(results);
    assert_non_null(results->first);
    return results->first;
}

/* The decision, and by which policies: "allowed p,q". */
static const char *decision(struct fixture *f)
{
    static char text[1024];
    const struct wm_json *result = first_result(f);
    (void)snprintf(text, sizeof text, "%.*s %s", WM_ARG(wm_json_get_text(result, "EvalDecision")),
                   iam_texts(wm_json_get(result, "MatchedStatements"), "SourcePolicyId"));
    return text;
}

static void custom_policies_decide(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *form, *want;
    } cases[] = {
        {"PolicyInputList.member.1=" P("Allow", "a:B", "*", "") "&ActionNames.member.1=a:B", "allowed PolicyInputList.1"},
        {"PolicyInputList.member.1=" P("Allow", "a:B", "*", "") "&ActionNames.member.1=a:C", "implicitDeny "},
        {"PolicyInputList.member.1=" P("Allow", "a:*", "*", "") "&PolicyInputList.member.2=" P("Allow", "*", "*", "")
         "&ActionNames.member.1=a:C", "allowed PolicyInputList.1,PolicyInputList.2"},
        {"PolicyInputList.member.1=" P("Allow", "*", "*", "") "&PolicyInputList.member.2=" P("Deny", "a:C", "*", "")
         "&ActionNames.member.1=a:C", "explicitDeny PolicyInputList.2"},
        {"PolicyInputList.member.1=" P("Allow", "*", "*", "") "&PermissionsBoundaryPolicyInputList.member.1="
         P("Allow", "a:D", "*", "") "&ActionNames.member.1=a:C", "implicitDeny PolicyInputList.1"},
        {"PolicyInputList.member.1=" P("Allow", "*", "*", "") "&PermissionsBoundaryPolicyInputList.member.1="
         P("Deny", "*", "*", "") "&ActionNames.member.1=a:C", "explicitDeny PermissionsBoundaryPolicyInputList.1"},
        {"PolicyInputList.member.1=" P("Allow", "*", "arn:aws:s3:::x/*", "") "&ActionNames.member.1=a:C"
         "&ResourceArns.member.1=arn:aws:s3:::x/y", "allowed PolicyInputList.1"},
        {"PolicyInputList.member.1=" P("Allow", "*", "arn:aws:s3:::x/*", "") "&ActionNames.member.1=a:C", "implicitDeny "},
        {"PolicyInputList.member.1=" P("Allow", "*", "*", ",\"Condition\":{\"IpAddress\":{\"aws:SourceIp\":\"10.0.0.0/8\"}}")
         "&ActionNames.member.1=a:C&ContextEntries.member.1.ContextKeyName=aws:sourceip&ContextEntries.member.1."
         "ContextKeyType=ip&ContextEntries.member.1.ContextKeyValues.member.1=10.1.2.3", "allowed PolicyInputList.1"},
        {"PolicyInputList.member.1=" P("Allow", "*", "*", ",\"Condition\":{\"ForAllValues:StringEquals\":{\"aws:TagKeys\":[\"a\","
         "\"b\"]}}") "&ActionNames.member.1=a:C&ContextEntries.member.1.ContextKeyName=aws:TagKeys&ContextEntries.member.1."
         "ContextKeyType=stringList&ContextEntries.member.1.ContextKeyValues.member.1=a&ContextEntries.member.1."
         "ContextKeyValues.member.2=c", "implicitDeny "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        iam_ok(f, "SimulateCustomPolicy&%s", cases[i].form);
        if (strcmp(decision(f), cases[i].want) != 0)
            fail_msg("%s: %s, not %s", cases[i].form, decision(f), cases[i].want);
        const struct wm_json *boundary = wm_json_get(first_result(f), "PermissionsBoundaryDecisionDetail");
        assert_int_equal(boundary != NULL, strstr(cases[i].form, "Boundary") != NULL);
        if (boundary)
            assert_false(wm_json_get(boundary, "AllowedByPermissionsBoundary")->boolean);
    }
}

static void results_say_what_and_where(void **state)
{
    struct fixture *f = *state;
    iam_ok(f, "SimulateCustomPolicy&ActionNames.member.1=a:B&ActionNames.member.2=a:C&ResourceArns.member.1=arn:aws:a:::x"
              "&ResourceArns.member.2=arn:aws:a:::y&PolicyInputList.member.1={%%0A \"Statement\": [%%0A"
              "  {\"Effect\":\"Allow\",\"Action\":\"a:B\",\"Resource\":\"arn:aws:a:::x\"}%%0A]}");
    const struct wm_json *results = wm_json_get(f->answer, "EvaluationResults"), *r = results->first;
    assert_string_equal(iam_texts(results, "EvalActionName"), "a:B,a:B,a:C,a:C");
    assert_string_equal(iam_texts(results, "EvalResourceName"), "arn:aws:a:::x,arn:aws:a:::y,arn:aws:a:::x,arn:aws:a:::y");
    assert_string_equal(iam_texts(results, "EvalDecision"), "allowed,implicitDeny,implicitDeny,implicitDeny");
    assert_false(wm_json_get(f->answer, "IsTruncated")->boolean);
    const struct wm_json *s = wm_json_get(r, "MatchedStatements")->first;
    assert_text(s, "SourcePolicyType", "none");
    assert_int_equal(iam_number(wm_json_get(s, "StartPosition"), "Line"), 3);
    assert_int_equal(iam_number(wm_json_get(s, "StartPosition"), "Column"), 4);
    assert_int_equal(iam_number(wm_json_get(s, "EndPosition"), "Line"), 3);
    assert_int_equal(iam_number(wm_json_get(s, "EndPosition"), "Column"), 63);
    const struct wm_json *of = wm_json_get(r, "ResourceSpecificResults")->first;
    assert_text(of, "EvalResourceName", "arn:aws:a:::x");
    assert_text(of, "EvalResourceDecision", "allowed");
    assert_int_equal(wm_json_get(of, "MatchedStatements")->count, 1);
}

static void missing_context_is_told(void **state)
{
    struct fixture *f = *state;
    static const char policy[] =
        P("Allow", "*", "arn:aws:iam::*:user/${aws:username}",
          ",\"Condition\":{\"StringEquals\":{\"aws:ResourceTag/Team\":\"x\",\"AWS:UserName\":\"u\"},"
          "\"Bool\":{\"aws:SecureTransport\":\"true\"}}");
    iam_ok(f, "CreateUser&UserName=u");
    iam_ok(f, "PutUserPolicy&UserName=u&PolicyName=i&PolicyDocument=%s", policy);
    iam_ok(f, "SimulatePrincipalPolicy&PolicySourceArn=" USER "&ActionNames.member.1=iam:GetUser");
    assert_string_equal(iam_texts(wm_json_get(first_result(f), "MissingContextValues"), NULL),
                        "aws:ResourceTag/Team,aws:SecureTransport"); /* who asks is known */
    iam_ok(f, "SimulatePrincipalPolicy&PolicySourceArn=" USER "&ActionNames.member.1=iam:GetUser&ResourceArns.member.1=" USER
              "&ContextEntries.member.1.ContextKeyName=aws:SecureTransport&ContextEntries.member.1.ContextKeyType=boolean"
              "&ContextEntries.member.1.ContextKeyValues.member.1=true");
    const struct wm_json *of = wm_json_get(first_result(f), "ResourceSpecificResults")->first;
    assert_int_equal(wm_json_get(first_result(f), "MissingContextValues")->count, 0);
    assert_string_equal(iam_texts(wm_json_get(of, "MissingContextValues"), NULL), "aws:ResourceTag/Team");
    iam_ok(f, "GetContextKeysForPrincipalPolicy&PolicySourceArn=" USER "&PolicyInputList.member.1="
           P("Deny", "*", "*", ",\"Condition\":{\"Null\":{\"aws:TokenIssueTime\":\"true\"}}"));
    assert_int_equal(wm_json_get(f->answer, "ContextKeyNames")->count, 4);
    iam_ok(f, "GetContextKeysForCustomPolicy&PolicyInputList.member.1=%s", policy);
    assert_int_equal(wm_json_get(f->answer, "ContextKeyNames")->count, 3);
}

/* All sources that a user's permissions have, and who answers for what. */
static void a_users_own_groups_and_managed_policies_count(void **state)
{
    struct fixture *f = *state;
    iam_ok(f, "CreateUser&UserName=u&Path=/ops/&Tags.member.1.Key=Team&Tags.member.1.Value=sport");
    iam_ok(f, "CreateGroup&GroupName=g");
    iam_ok(f, "AddUserToGroup&UserName=u&GroupName=g");
    iam_ok(f, "CreatePolicy&PolicyName=mine&Path=/x/&PolicyDocument=" P("Allow", "b:*", "*", ""));
    iam_ok(f, "PutUserPolicy&UserName=u&PolicyName=own&PolicyDocument="
           P("Allow", "a:*", "*", ",\"Condition\":{\"StringEquals\":{\"aws:PrincipalTag/team\":\"sport\"}}"));
    iam_ok(f, "PutGroupPolicy&GroupName=g&PolicyName=grp&PolicyDocument=" P("Allow", "c:*", "*", ""));
    iam_ok(f, "AttachUserPolicy&UserName=u&PolicyArn=" ACCOUNT "policy/x/mine");
    iam_ok(f, "AttachGroupPolicy&GroupName=g&PolicyArn=arn:aws:iam::aws:policy/IAMReadOnlyAccess");
    static const struct {
        const char *action, *want, *type;
    } cases[] = {
        {"a:X", "allowed own", "user"},     {"b:X", "allowed mine", "user-managed"},
        {"c:X", "allowed grp", "group"},    {"iam:GetUser", "allowed IAMReadOnlyAccess", "aws-managed"},
        {"d:X", "implicitDeny ", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        iam_ok(f, "SimulatePrincipalPolicy&PolicySourceArn=" ACCOUNT "user/ops/u&ActionNames.member.1=%s", cases[i].action);
        assert_string_equal(decision(f), cases[i].want);
        if (cases[i].type)
            assert_text(wm_json_get(first_result(f), "MatchedStatements")->first, "SourcePolicyType", cases[i].type);
    }
    /* the group's alone; more as input; another version in force; the boundary, and another in its place */
    iam_ok(f, "SimulatePrincipalPolicy&PolicySourceArn=" ACCOUNT "group/g&ActionNames.member.1=c:X");
    assert_string_equal(decision(f), "allowed grp");
    iam_ok(f, "SimulatePrincipalPolicy&PolicySourceArn=" ACCOUNT "group/g&ActionNames.member.1=a:X");
    assert_string_equal(decision(f), "implicitDeny ");
    iam_ok(f, "SimulatePrincipalPolicy&PolicySourceArn=" ACCOUNT "group/g&ActionNames.member.1=a:X&PolicyInputList.member.1="
           P("Allow", "a:X", "*", ""));
    assert_string_equal(decision(f), "allowed PolicyInputList.1");
    iam_ok(f, "CreatePolicyVersion&SetAsDefault=true&PolicyArn=" ACCOUNT "policy/x/mine&PolicyDocument="
           P("Deny", "*", "*", ""));
    iam_ok(f, "SimulatePrincipalPolicy&PolicySourceArn=" ACCOUNT "user/ops/u&ActionNames.member.1=a:X");
    assert_string_equal(decision(f), "explicitDeny mine");
    iam_ok(f, "SetDefaultPolicyVersion&VersionId=v1&PolicyArn=" ACCOUNT "policy/x/mine");
    iam_ok(f, "PutUserPermissionsBoundary&UserName=u&PermissionsBoundary=" ACCOUNT "policy/x/mine");
    iam_ok(f, "SimulatePrincipalPolicy&PolicySourceArn=" ACCOUNT "user/ops/u&ActionNames.member.1=a:X");
    assert_string_equal(decision(f), "implicitDeny own");
    iam_ok(f, "SimulatePrincipalPolicy&PolicySourceArn=" ACCOUNT "user/ops/u&ActionNames.member.1=a:X"
              "&PermissionsBoundaryPolicyInputList.member.1=" P("Allow", "a:*", "*", ""));
    assert_string_equal(decision(f), "allowed own");
    assert_true(wm_json_get(wm_json_get(first_result(f), "PermissionsBoundaryDecisionDetail"),
                            "AllowedByPermissionsBoundary")->boolean);
}

/* As the call would be answered: by a lock above all policies, but not what the lock leaves alone. */
static void the_audit_lock_decides(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *action, *want;
        bool locked;
    } cases[] = {
        {"cloudtrail:StopLogging", "explicitDeny ", true},   {"CloudTrail:stoplogging", "explicitDeny ", true},
        {"cloudtrail:DeleteTrail", "explicitDeny ", true},   {"cloudtrail:StartLogging", "allowed i", false},
        {"mediapackage:StopLogging", "allowed i", false},
    };
    iam_ok(f, "CreateUser&UserName=u");
    iam_ok(f, "PutUserPolicy&UserName=u&PolicyName=i&PolicyDocument=" P("Allow", "*", "*", ""));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        f->env.audit_locked = true;
        iam_ok(f, "SimulatePrincipalPolicy&PolicySourceArn=" USER "&ActionNames.member.1=%s", cases[i].action);
        assert_string_equal(decision(f), cases[i].want);
        const struct wm_json *above = wm_json_get(first_result(f), "OrganizationsDecisionDetail");
        assert_int_equal(above != NULL, cases[i].locked);
        if (above)
            assert_false(wm_json_get(above, "AllowedByOrganizations")->boolean);
        f->env.audit_locked = false;
        iam_ok(f, "SimulatePrincipalPolicy&PolicySourceArn=" USER "&ActionNames.member.1=%s", cases[i].action);
        assert_string_equal(decision(f), "allowed i");
        assert_null(wm_json_get(first_result(f), "OrganizationsDecisionDetail"));
    }
    f->env.audit_locked = true; /* policies by themselves are nobody's here */
    iam_ok(f, "SimulateCustomPolicy&PolicyInputList.member.1=" P("Allow", "*", "*", "")
              "&ActionNames.member.1=cloudtrail:StopLogging");
    assert_string_equal(decision(f), "allowed PolicyInputList.1");
    f->env.audit_locked = false;
}

static void a_caller_may_be_somebody_else(void **state)
{
    struct fixture *f = *state;
    iam_ok(f, "CreateUser&UserName=u");
    iam_ok(f, "CreateUser&UserName=bob");
    iam_ok(f, "CreateRole&RoleName=r&AssumeRolePolicyDocument=" TRUST_ACCOUNT);
    iam_ok(f, "PutRolePolicy&RoleName=r&PolicyName=i&PolicyDocument=" P("Allow", "a:*", ACCOUNT "user/${aws:username}", ""));
    iam_ok(f, "SimulatePrincipalPolicy&PolicySourceArn=" ACCOUNT "role/r&ActionNames.member.1=a:B&ResourceArns.member.1="
           ACCOUNT "user/bob&CallerArn=" ACCOUNT "user/bob");
    assert_string_equal(decision(f), "allowed i");
    iam_ok(f, "SimulatePrincipalPolicy&PolicySourceArn=" ACCOUNT "role/r&ActionNames.member.1=a:B&ResourceArns.member.1="
           ACCOUNT "user/bob&CallerArn=" USER);
    assert_string_equal(decision(f), "implicitDeny ");
    iam_ok(f, "SimulatePrincipalPolicy&PolicySourceArn=" ACCOUNT "role/r&ActionNames.member.1=a:B&ResourceArns.member.1="
           ACCOUNT "user/bob"); /* a role's session has no user name */
    assert_string_equal(iam_texts(wm_json_get(wm_json_get(first_result(f), "ResourceSpecificResults")->first,
                                              "MissingContextValues"), NULL), "aws:username");
    iam_ok(f, "SimulateCustomPolicy&ActionNames.member.1=a:B&ResourceArns.member.1=" USER "&CallerArn=" USER
              "&PolicyInputList.member.1=" P("Allow", "a:*", ACCOUNT "user/${aws:username}", ""));
    assert_string_equal(decision(f), "allowed PolicyInputList.1");
}

static void results_come_in_pages(void **state)
{
    struct fixture *f = *state;
    static char form[50000];
    char marker[256] = "";
    size_t n = (size_t)snprintf(form, sizeof form, "PolicyInputList.member.1=" P("Allow", "a:*", "*", ""));
    size_t results = 0, pages = 0;
    for (int i = 0; i < 60; i++)
        n += (size_t)snprintf(form + n, sizeof form - n, "&ActionNames.member.%d=a:B%d&ResourceArns.member.%d=arn:aws:a:::%d",
                              i + 1, i, i + 1, i);
    do {
        iam_ok(f, "SimulateCustomPolicy&MaxItems=1000&%s%s", form, marker);
        const struct wm_json *list = wm_json_get(f->answer, "EvaluationResults");
        char want[32];
        (void)snprintf(want, sizeof want, "a:B%zu", results / 60);
        assert_text(list->first, "EvalActionName", want);
        (void)snprintf(want, sizeof want, "arn:aws:a:::%zu", results % 60);
        assert_text(list->first, "EvalResourceName", want);
        results += list->count;
        pages++;
        (void)snprintf(marker, sizeof marker, "&Marker=%s", iam_copy(f->answer, "Marker"));
    } while (wm_json_get(f->answer, "IsTruncated")->boolean);
    assert_int_equal(results, 3600);
    assert_true(pages >= 4 && pages < 40); /* no page has more than a call's memory holds */
    iam_ok(f, "SimulateCustomPolicy&%s", form);
    assert_int_equal(wm_json_get(f->answer, "EvaluationResults")->count, 100);
}

static void what_is_wrong_is_refused(void **state)
{
    struct fixture *f = *state;
#define ONE "PolicyInputList.member.1=" P("Allow", "*", "*", "") "&ActionNames.member.1=a:B&"
#define ENTRY "ContextEntries.member.1."
    static const struct {
        const char *form;
        int status;
        const char *code, *part;
    } cases[] = {
        {"SimulateCustomPolicy&ActionNames.member.1=a:B", 400, "ValidationError", "'PolicyInputList' is required"},
        {"SimulateCustomPolicy&PolicyInputList.member.1={}", 400, "ValidationError", "'ActionNames' is required"},
        {"SimulateCustomPolicy&PolicyInputList.member.1={}&ActionNames.member.1=a:B", 400, "InvalidInput",
         "PolicyInputList.1: "},
        {"SimulateCustomPolicy&" ONE "ActionNames.member.2=a", 400, "ValidationError", "must be an action"},
        {"SimulateCustomPolicy&" ONE "ActionNames.member.2=a:*", 400, "ValidationError", "must be an action"},
        {"SimulateCustomPolicy&" ONE "ResourceArns.member.1=x", 400, "ValidationError", "must be * or an ARN"},
        {"SimulateCustomPolicy&" ONE "ResourcePolicy={}", 400, "InvalidInput", "no resource-based policies"},
        {"SimulateCustomPolicy&" ONE "ResourceHandlingOption=EC2-VPC-EBS", 400, "InvalidInput", "EC2"},
        {"SimulateCustomPolicy&" ONE "ResourceOwner=999999999999", 400, "InvalidInput", "this account, 111122223333"},
        {"SimulateCustomPolicy&" ONE "CallerArn=" ACCOUNT "user/none", 404, "NoSuchEntity", "user with name none"},
        {"SimulateCustomPolicy&" ONE "CallerArn=" ACCOUNT "group/g", 400, "InvalidInput", "the ARN of a user"},
        {"SimulateCustomPolicy&" ONE "CallerArn=" ACCOUNT "root", 400, "InvalidInput", "Invalid Entity Arn"},
        {"SimulateCustomPolicy&" ONE "PermissionsBoundaryPolicyInputList.member.1={}", 400, "InvalidInput",
         "PermissionsBoundaryPolicyInputList.1: "},
        {"SimulateCustomPolicy&" ONE "PermissionsBoundaryPolicyInputList.member.1={}&PermissionsBoundaryPolicyInputList."
         "member.2={}", 400, "InvalidInput", "one policy at most"},
        {"SimulateCustomPolicy&" ONE ENTRY "ContextKeyName=a:b", 400, "ValidationError", "5 to 256"},
        {"SimulateCustomPolicy&" ONE ENTRY "ContextKeyType=string", 400, "InvalidInput", "no ContextKeyName"},
        {"SimulateCustomPolicy&" ONE ENTRY "ContextKeyName=aws:x&" ENTRY "ContextKeyType=text", 400, "ValidationError",
         "must be one of"},
        {"SimulateCustomPolicy&" ONE ENTRY "ContextKeyName=aws:x&" ENTRY "ContextKeyType=string&" ENTRY
         "ContextKeyValues.member.1=a&" ENTRY "ContextKeyValues.member.2=b", 400, "InvalidInput", "must be stringList"},
        {"SimulateCustomPolicy&" ONE ENTRY "ContextKeyName=aws:x&" ENTRY "ContextKeyType=numeric&" ENTRY
         "ContextKeyValues.member.1=1x", 400, "InvalidInput", "'1x' is not of type numeric"},
        {"SimulateCustomPolicy&" ONE ENTRY "ContextKeyName=aws:x&" ENTRY "ContextKeyType=booleanList&" ENTRY
         "ContextKeyValues.member.1=true&" ENTRY "ContextKeyValues.member.2=1", 400, "InvalidInput", "not of type boolean"},
        {"SimulateCustomPolicy&" ONE ENTRY "ContextKeyName=aws:x&" ENTRY "ContextKeyType=ip&" ENTRY
         "ContextKeyValues.member.1=x", 400, "InvalidInput", "not of type ip"},
        {"SimulateCustomPolicy&" ONE ENTRY "ContextKeyName=aws:x&" ENTRY "ContextKeyType=date&" ENTRY
         "ContextKeyValues.member.1=today", 400, "InvalidInput", "not of type date"},
        {"SimulateCustomPolicy&" ONE ENTRY "ContextKeyName=aws:x&" ENTRY "ContextKeyType=binary&" ENTRY
         "ContextKeyValues.member.1=abc", 400, "InvalidInput", "not of type binary"},
        {"SimulateCustomPolicy&" ONE "Marker=x", 400, "ValidationError", "'Marker'"},
        {"SimulatePrincipalPolicy&ActionNames.member.1=a:B&PolicySourceArn=" USER, 404, "NoSuchEntity",
         "The user with name u cannot be found."},
        {"SimulatePrincipalPolicy&ActionNames.member.1=a:B&PolicySourceArn=arn:aws:iam::999999999999:user/g", 404,
         "NoSuchEntity", "user with name g"},
        {"SimulatePrincipalPolicy&ActionNames.member.1=a:B&PolicySourceArn=" ACCOUNT "root", 400, "InvalidInput",
         "does not clearly define"},
        {"SimulatePrincipalPolicy&ActionNames.member.1=a:B&PolicySourceArn=" ACCOUNT "policy/p", 400, "InvalidInput",
         "does not clearly define"},
        {"GetContextKeysForPrincipalPolicy&PolicySourceArn=" USER, 404, "NoSuchEntity", "user with name u"},
        {"GetContextKeysForCustomPolicy&PolicyInputList.member.1=x", 400, "InvalidInput", "PolicyInputList.1: "},
    };
    iam_ok(f, "CreateGroup&GroupName=g");
    iam_ok(f, "CreateUser&UserName=g");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(iam(f, "%s", cases[i].form), cases[i].status);
        assert_refused(f, cases[i].status, cases[i].code, cases[i].part);
    }
    static const char *const good[] = {"numeric&" ENTRY "ContextKeyValues.member.1=-1.5", "ip&" ENTRY
        "ContextKeyValues.member.1=2001:db8::1", "date&" ENTRY "ContextKeyValues.member.1=2026-01-01T00:00:00Z",
        "dateList&" ENTRY "ContextKeyValues.member.1=1767225600", "binary&" ENTRY "ContextKeyValues.member.1=aGFsbG8=",
        "stringList"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        iam_ok(f, "SimulateCustomPolicy&" ONE ENTRY "ContextKeyName=aws:x&" ENTRY "ContextKeyType=%s", good[i]);
}

static void memory_that_ends_is_said(void **state)
{
    struct fixture *f = *state;
    static const struct small_case cases[] = {
        {"SimulatePrincipalPolicy", "{\"PolicySourceArn\":\"" USER "\",\"ActionNames\":[\"iam:GetUser\"],\"PolicyInputList\":["
                                    "\"{\\\"Statement\\\":{\\\"Effect\\\":\\\"Allow\\\",\\\"Action\\\":\\\"*\\\","
                                    "\\\"Resource\\\":\\\"${aws:userid}\\\"}}\"]}"},
        {"GetContextKeysForPrincipalPolicy", "{\"PolicySourceArn\":\"" USER "\"}"},
    };
    iam_ok(f, "CreateUser&UserName=u");
    iam_ok(f, "AttachUserPolicy&UserName=u&PolicyArn=arn:aws:iam::aws:policy/IAMReadOnlyAccess");
    assert_survives_small_arena(f, cases, sizeof cases / sizeof cases[0], 32768);
}

/* Policies and texts that take long to compare end a page early, and none of it is lost. */
static void long_questions_come_in_pages(void **state)
{
    struct fixture *f = *state;
    static char form[40000];
    size_t n = 0, results = 0, pages = 0;
    char marker[700] = "";
    n += (size_t)snprintf(form + n, sizeof form - n, "PolicyInputList.member.1={\"Statement\":{\"Effect\":\"Allow\",\"Action\":"
                          "\"*\",\"Resource\":[");
    for (unsigned i = 0; i < 300; i++)
        n += (size_t)snprintf(form + n, sizeof form - n, "%s\"arn:aws:s3:::*ab*\"", i ? "," : "");
    n += (size_t)snprintf(form + n, sizeof form - n, "]}}&ResourceArns.member.1=arn:aws:s3:::");
    memset(form + n, 'a', 2000);
    n += 2000;
    for (unsigned i = 1; i <= 300; i++)
        n += (size_t)snprintf(form + n, sizeof form - n, "&ActionNames.member.%u=a:B", i);
    do {
        iam_ok(f, "SimulateCustomPolicy&MaxItems=1000&%s%s", form, marker);
        size_t page = wm_json_get(f->answer, "EvaluationResults")->count;
        assert_true(page > 0 && page < 60);
        results += page;
        marker[0] = '\0';
        if (wm_json_get(f->answer, "IsTruncated")->boolean)
            (void)snprintf(marker, sizeof marker, "&Marker=%s", iam_copy(f->answer, "Marker"));
        assert_true(++pages < 100);
    } while (marker[0]);
    assert_int_equal(results, 300);
}

#define SIMULATE(test) cmocka_unit_test_setup_teardown(test, fixture_set_up, fixture_tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        SIMULATE(custom_policies_decide),
        SIMULATE(results_say_what_and_where),
        SIMULATE(missing_context_is_told),
        SIMULATE(a_users_own_groups_and_managed_policies_count),
        SIMULATE(the_audit_lock_decides),
        SIMULATE(a_caller_may_be_somebody_else),
        SIMULATE(results_come_in_pages),
        SIMULATE(long_questions_come_in_pages),
        SIMULATE(what_is_wrong_is_refused),
        SIMULATE(memory_that_ends_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
