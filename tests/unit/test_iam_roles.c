#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/iam_call.h"

#include "waymark/banned.h"

#define TRUST(principal)                                                                                               \
    "{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Allow\",\"Principal\":" principal                         \
    ",\"Action\":\"sts:AssumeRole\"}}"
#define TRUST_ACCOUNT TRUST("{\"AWS\":\"111122223333\"}")
#define ACCOUNT "arn:aws:iam::111122223333:"
#define POLICY ACCOUNT "policy/p"

static void create_role_answers_the_role(void **state)
{
    struct fixture *f = *state;
    iam_ok(f, "CreatePolicy&PolicyName=p&PolicyDocument=" ALLOW_ALL);
    iam_ok(f, "CreateRole&RoleName=Ops&Path=/a/&AssumeRolePolicyDocument=" TRUST_ACCOUNT
              "&Description=for%%20ops&MaxSessionDuration=43200&PermissionsBoundary=" POLICY
              "&Tags.member.1.Key=Team&Tags.member.1.Value=sport");
    const struct wm_json *role = wm_json_get(f->answer, "Role");
    assert_text(role, "RoleName", "Ops");
    assert_text(role, "Path", "/a/");
    assert_text(role, "Arn", ACCOUNT "role/a/Ops");
    assert_text(role, "Description", "for ops");
    assert_int_equal(iam_number(role, "MaxSessionDuration"), 43200);
    assert_true(wm_view_starts(wm_json_get_text(role, "RoleId"), "AROA"));
    assert_text(role, "AssumeRolePolicyDocument",
                "%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%7B%22Effect%22%3A%22Allow%22%2C%22Principal%22"
                "%3A%7B%22AWS%22%3A%22111122223333%22%7D%2C%22Action%22%3A%22sts%3AAssumeRole%22%7D%7D");
    assert_text(wm_json_get(role, "PermissionsBoundary"), "PermissionsBoundaryArn", POLICY);
    assert_non_null(strstr(wm_buf_cstr(&f->out), "<CreateDate>2026-03-01T10:07:12Z</CreateDate>"));
    const char *id = iam_copy(role, "RoleId");
    iam_ok(f, "GetRole&RoleName=oPS");
    role = wm_json_get(f->answer, "Role");
    assert_text(role, "RoleId", id);
    assert_string_equal(iam_texts(wm_json_get(role, "Tags"), "Value"), "sport");
    assert_int_equal(wm_json_get(role, "RoleLastUsed")->count, 0);
    store_document(f, WM_IAM_LAST_USED, id,
                   "{\"LastUsedDate\":\"2026-02-01T00:00:00Z\",\"ServiceName\":\"sts\",\"Region\":\"us-west-2\"}");
    iam_ok(f, "GetRole&RoleName=Ops");
    assert_text(wm_json_get(wm_json_get(f->answer, "Role"), "RoleLastUsed"), "LastUsedDate", "2026-02-01T00:00:00Z");
    assert_null(wm_json_get(wm_json_get(wm_json_get(f->answer, "Role"), "RoleLastUsed"), "ServiceName"));
    f->now.ns += 400ll * 86400 * 1000000000; /* no longer told of */
    iam_ok(f, "GetRole&RoleName=Ops");
    assert_int_equal(wm_json_get(wm_json_get(f->answer, "Role"), "RoleLastUsed")->count, 0);
    iam_ok(f, "DeleteRole&RoleName=Ops");
    assert_int_equal(count_documents(f, WM_IAM_LAST_USED), 0);
    assert_int_equal(count_documents(f, WM_IAM_POLICY_USE), 0);

    iam_ok(f, "CreateRole&RoleName=plain&AssumeRolePolicyDocument=" TRUST_ACCOUNT);
    role = wm_json_get(f->answer, "Role");
    assert_text(role, "Path", "/");
    assert_int_equal(iam_number(role, "MaxSessionDuration"), 3600);
    assert_null(wm_json_get(role, "Description"));
    assert_null(wm_json_get(role, "PermissionsBoundary"));
}

static void create_role_refuses_what_is_wrong(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *form;
        int status;
        const char *code, *part;
    } cases[] = {
        {"AssumeRolePolicyDocument=" TRUST_ACCOUNT, 400, "ValidationError", "'RoleName' is required"},
        {"RoleName=x", 400, "ValidationError", "'AssumeRolePolicyDocument' is required"},
        {"RoleName=a/b&AssumeRolePolicyDocument=" TRUST_ACCOUNT, 400, "ValidationError", "'RoleName'"},
        {"RoleName=x&AssumeRolePolicyDocument=%01", 400, "ValidationError", "U+0020 to U+00FF"},
        {"RoleName=x&AssumeRolePolicyDocument=%C4%80", 400, "ValidationError", "U+0020 to U+00FF"},
        {"RoleName=x&AssumeRolePolicyDocument=x", 400, "MalformedPolicyDocument", ""},
        {"RoleName=x&AssumeRolePolicyDocument=" ALLOW_ALL, 400, "MalformedPolicyDocument", ""},
        {"RoleName=x&AssumeRolePolicyDocument=" TRUST("{\"AWS\":\"" ACCOUNT "user/none\"}"), 400,
         "MalformedPolicyDocument", "Invalid principal in policy: \"AWS\":\"" ACCOUNT "user/none\""},
        {"RoleName=x&AssumeRolePolicyDocument=" TRUST("{\"AWS\":[\"" ACCOUNT "root\",\"" ACCOUNT "role/none\"]}"), 400,
         "MalformedPolicyDocument", "role/none"},
        {"RoleName=x&AssumeRolePolicyDocument=" TRUST("{\"AWS\":\"" ACCOUNT "user/path/u\"}"), 400,
         "MalformedPolicyDocument", "user/path/u"},
        {"RoleName=x&AssumeRolePolicyDocument=" TRUST("{\"AWS\":\"arn:aws:iam::999999999999:root\"}"), 400,
         "MalformedPolicyDocument", "999999999999"},
        {"RoleName=x&AssumeRolePolicyDocument=" TRUST("{\"AWS\":\"AIDAAAAAAAAAAAAAAAAAA\"}"), 400,
         "MalformedPolicyDocument", "AIDA"},
        {"RoleName=x&MaxSessionDuration=3599&AssumeRolePolicyDocument=" TRUST_ACCOUNT, 400, "ValidationError",
         "from 3600 to 43200"},
        {"RoleName=x&MaxSessionDuration=43201&AssumeRolePolicyDocument=" TRUST_ACCOUNT, 400, "ValidationError",
         "from 3600 to 43200"},
        {"RoleName=x&Description=%C2%80&AssumeRolePolicyDocument=" TRUST_ACCOUNT, 400, "ValidationError", "'Description'"},
        {"RoleName=x&Description=%7F&AssumeRolePolicyDocument=" TRUST_ACCOUNT, 400, "ValidationError", "'Description'"},
        {"RoleName=x&Description=%E2%82%AC&AssumeRolePolicyDocument=" TRUST_ACCOUNT, 400, "ValidationError",
         "'Description'"},
        {"RoleName=x&PermissionsBoundary=" POLICY "&AssumeRolePolicyDocument=" TRUST_ACCOUNT, 404, "NoSuchEntity",
         "Scope ARN: " POLICY " does not exist"},
        {"RoleName=x&PermissionsBoundary=arn:aws:iam::111122223333:role/p&AssumeRolePolicyDocument=" TRUST_ACCOUNT, 400,
         "InvalidInput", "is not valid."},
        {"RoleName=x&Tags.member.1.Key=aws:a&Tags.member.1.Value=v&AssumeRolePolicyDocument=" TRUST_ACCOUNT, 400,
         "InvalidInput", "aws: prefixed"},
        {"RoleName=THERE&AssumeRolePolicyDocument=" TRUST_ACCOUNT, 409, "EntityAlreadyExists",
         "Role with name THERE already exists."},
    };
    iam_ok(f, "CreateUser&UserName=u");
    iam_ok(f, "CreateRole&RoleName=there&Description=%%C2%%A1%%C3%%BF%%09&AssumeRolePolicyDocument=" TRUST_ACCOUNT);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(iam(f, "CreateRole&%s", cases[i].form), cases[i].status);
        assert_refused(f, cases[i].status, cases[i].code, cases[i].part);
    }
    assert_int_equal(count_documents(f, WM_IAM_ROLE), 1);
}

static void a_trust_policy_counts_without_blanks(void **state)
{
    struct fixture *f = *state;
    char blanks[6001], action[2048];
    memset(blanks, ' ', sizeof blanks - 1);
    blanks[sizeof blanks - 1] = '\0';
    iam_ok(f, "CreateRole&RoleName=r&AssumeRolePolicyDocument=%s" TRUST_ACCOUNT "%s", blanks, blanks);
    memset(action, 'a', sizeof action - 1);
    action[sizeof action - 1] = '\0';
    assert_int_equal(iam(f, "UpdateAssumeRolePolicy&RoleName=r&PolicyDocument={\"Statement\":{\"Effect\":\"Allow\","
                            "\"Principal\":{\"AWS\":\"*\"},\"Action\":\"sts:AssumeRole\",\"Sid\":\"%s\"}}", action),
                     409);
    assert_iam_refused(f, 409, "LimitExceeded", "Cannot exceed quota for ACLSizePerRole: 2048");
}

static const char *trust_of(struct fixture *f, const char *role)
{
    static char text[4096];
    struct wm_json *document;
    struct wm_view trust;
    wm_state_lock(f->state);
    assert_int_equal(wm_iam_get(f->state, &f->arena, WM_IAM_ROLE, wm_view_of(role), &document), WM_OK);
    assert_int_equal(wm_iam_trust(f->state, &f->arena, document, &trust), WM_OK);
    assert_true(wm_view_copy(trust, text, sizeof text));
    wm_state_unlock(f->state);
    return text;
}

static void who_takes_over_a_name_is_not_trusted(void **state)
{
    struct fixture *f = *state;
    iam_ok(f, "CreateUser&UserName=u&Path=/p/");
    const char *user = iam_copy(wm_json_get(f->answer, "User"), "UserId");
    iam_ok(f, "CreateRole&RoleName=a&AssumeRolePolicyDocument=" TRUST_ACCOUNT);
    const char *role = iam_copy(wm_json_get(f->answer, "Role"), "RoleId");
    static const char given[] = TRUST("{\"AWS\":[\"" ACCOUNT "user/p/u\",\"" ACCOUNT "role/a\","
                                      "\"arn:aws:sts::111122223333:assumed-role/a/s\",\"*\"],\"Service\":\"x.amazonaws.com\"}");
    iam_ok(f, "CreateRole&RoleName=b&AssumeRolePolicyDocument=%s", given);
    assert_string_equal(trust_of(f, "b"), given);
    iam_ok(f, "DeleteUser&UserName=u");
    iam_ok(f, "DeleteRole&RoleName=a");
    for (int i = 0; i < 2; i++) { /* gone, and there again as somebody else */
        char want[1024];
        (void)snprintf(want, sizeof want, TRUST("{\"AWS\":[\"%s\",\"%s\",\"%s\",\"*\"],\"Service\":\"x.amazonaws.com\"}"),
                       user, role, role);
        assert_string_equal(trust_of(f, "b"), want);
        iam_ok(f, "CreateUser&UserName=u&Path=/p/");
        iam_ok(f, "CreateRole&RoleName=a&AssumeRolePolicyDocument=" TRUST_ACCOUNT);
        iam_ok(f, "GetRole&RoleName=b");
        assert_non_null(strstr(iam_copy(wm_json_get(f->answer, "Role"), "AssumeRolePolicyDocument"), user));
        if (i == 0) {
            iam_ok(f, "DeleteUser&UserName=u");
            iam_ok(f, "DeleteRole&RoleName=a");
        }
    }
    struct wm_policy *policy;
    assert_int_equal(wm_policy_compile(wm_view_of(trust_of(f, "b")), WM_POLICY_TRUST, &policy, NULL), WM_OK);
    wm_policy_free(policy);
    iam_ok(f, "UpdateAssumeRolePolicy&RoleName=b&PolicyDocument=%s", given); /* who has the names now */
    assert_string_equal(trust_of(f, "b"), given);
}

static void updates_change_what_they_name(void **state)
{
    struct fixture *f = *state;
    iam_ok(f, "CreateRole&RoleName=r&Description=d&MaxSessionDuration=7200&AssumeRolePolicyDocument=" TRUST_ACCOUNT);
    iam_ok(f, "UpdateRole&RoleName=R&MaxSessionDuration=43200");
    assert_non_null(strstr(wm_buf_cstr(&f->out), "<UpdateRoleResult></UpdateRoleResult>"));
    iam_ok(f, "GetRole&RoleName=r");
    assert_text(wm_json_get(f->answer, "Role"), "Description", "d");
    assert_int_equal(iam_number(wm_json_get(f->answer, "Role"), "MaxSessionDuration"), 43200);
    iam_ok(f, "UpdateRole&RoleName=r&Description="); /* an hour, where nothing is said */
    iam_ok(f, "GetRole&RoleName=r");
    assert_text(wm_json_get(f->answer, "Role"), "Description", "");
    assert_int_equal(iam_number(wm_json_get(f->answer, "Role"), "MaxSessionDuration"), 3600);
    iam_ok(f, "UpdateRoleDescription&RoleName=r&Description=new");
    assert_text(wm_json_get(f->answer, "Role"), "Description", "new");
    iam_ok(f, "UpdateAssumeRolePolicy&RoleName=r&PolicyDocument=" TRUST("\"*\""));
    assert_string_equal(trust_of(f, "r"), TRUST("\"*\""));
    iam_ok(f, "TagRole&RoleName=r&Tags.member.1.Key=a&Tags.member.1.Value=1&Tags.member.2.Key=b&Tags.member.2.Value=2");
    iam_ok(f, "UntagRole&RoleName=r&TagKeys.member.1=A");
    iam_ok(f, "ListRoleTags&RoleName=r");
    assert_string_equal(iam_texts(wm_json_get(f->answer, "Tags"), "Key"), "b");
    iam_ok(f, "PutRolePermissionsBoundary&RoleName=r&PermissionsBoundary=arn:aws:iam::aws:policy/ReadOnlyAccess");
    iam_ok(f, "GetPolicy&PolicyArn=arn:aws:iam::aws:policy/ReadOnlyAccess");
    assert_int_equal(iam_number(wm_json_get(f->answer, "Policy"), "PermissionsBoundaryUsageCount"), 1);
    iam_ok(f, "PutRolePermissionsBoundary&RoleName=r&PermissionsBoundary=arn:aws:iam::aws:policy/IAMFullAccess");
    iam_ok(f, "DeleteRolePermissionsBoundary&RoleName=r");
    assert_int_equal(iam(f, "DeleteRolePermissionsBoundary&RoleName=r"), 404);
    assert_iam_refused(f, 404, "NoSuchEntity", "The role with name r has no permissions boundary.");
    assert_int_equal(iam(f, "PutRolePermissionsBoundary&RoleName=r&PermissionsBoundary=" POLICY), 404);
    assert_int_equal(iam(f, "TagRole&RoleName=r&Tags.member.1.Key=aws:a&Tags.member.1.Value=1"), 400);
    assert_int_equal(iam(f, "UpdateAssumeRolePolicy&RoleName=r&PolicyDocument={}"), 400);
    assert_refused(f, 400, "MalformedPolicyDocument", "");
}

static void a_role_that_is_not_there_is_said_so(void **state)
{
    struct fixture *f = *state;
    static const char *const calls[] = {
        "GetRole", "DeleteRole", "UpdateRole", "UpdateRoleDescription&Description=d",
        "UpdateAssumeRolePolicy&PolicyDocument=" TRUST_ACCOUNT, "TagRole&Tags.member.1.Key=a&Tags.member.1.Value=1",
        "UntagRole&TagKeys.member.1=a", "ListRoleTags",
        "PutRolePermissionsBoundary&PermissionsBoundary=arn:aws:iam::aws:policy/ReadOnlyAccess",
        "DeleteRolePermissionsBoundary", "PutRolePolicy&PolicyName=p&PolicyDocument=" ALLOW_ALL,
        "GetRolePolicy&PolicyName=p", "DeleteRolePolicy&PolicyName=p", "ListRolePolicies",
        "AttachRolePolicy&PolicyArn=arn:aws:iam::aws:policy/ReadOnlyAccess",
        "DetachRolePolicy&PolicyArn=arn:aws:iam::aws:policy/ReadOnlyAccess", "ListAttachedRolePolicies",
    };
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        assert_int_equal(iam(f, "%s&RoleName=none", calls[i]), 404);
        assert_iam_refused(f, 404, "NoSuchEntity", "The role with name none cannot be found.");
    }
}

static void a_role_in_use_is_not_deleted(void **state)
{
    struct fixture *f = *state;
    iam_ok(f, "CreateRole&RoleName=r&AssumeRolePolicyDocument=" TRUST_ACCOUNT);
    iam_ok(f, "PutRolePolicy&RoleName=r&PolicyName=a&PolicyDocument=" ALLOW_ALL);
    iam_ok(f, "AttachRolePolicy&RoleName=r&PolicyArn=arn:aws:iam::aws:policy/ReadOnlyAccess");
    assert_int_equal(iam(f, "DeleteRole&RoleName=r"), 409);
    assert_iam_refused(f, 409, "DeleteConflict", "Cannot delete entity, must detach all policies first.");
    iam_ok(f, "DetachRolePolicy&RoleName=r&PolicyArn=arn:aws:iam::aws:policy/ReadOnlyAccess");
    assert_int_equal(iam(f, "DeleteRole&RoleName=r"), 409);
    assert_iam_refused(f, 409, "DeleteConflict", "Cannot delete entity, must delete policies first.");
    iam_ok(f, "DeleteRolePolicy&RoleName=r&PolicyName=a");
    iam_ok(f, "DeleteRole&RoleName=r");
}

static void roles_are_listed_in_pages(void **state)
{
    struct fixture *f = *state;
    char marker[256] = "";
    size_t n = 0, pages = 0;
    for (int i = 0; i < 7; i++)
        iam_ok(f, "CreateRole&RoleName=r%d&Path=/%c/&Tags.member.1.Key=a&Tags.member.1.Value=b"
                  "&AssumeRolePolicyDocument=" TRUST_ACCOUNT, i, i % 2 ? 'x' : 'y');
    do {
        iam_ok(f, "ListRoles&MaxItems=2%s", marker);
        n += wm_json_get(f->answer, "Roles")->count;
        pages++;
        assert_null(wm_json_get(wm_json_get(f->answer, "Roles")->first, "Tags"));
        (void)snprintf(marker, sizeof marker, "&Marker=%s", iam_copy(f->answer, "Marker"));
    } while (wm_json_get(f->answer, "IsTruncated")->boolean);
    assert_int_equal(n, 7);
    assert_int_equal(pages, 4);
    iam_ok(f, "ListRoles&PathPrefix=/x");
    assert_string_equal(iam_texts(wm_json_get(f->answer, "Roles"), "RoleName"), "r1,r3,r5");
    assert_int_equal(iam(f, "ListRoles&Marker=00"), 400);
    assert_int_equal(iam(f, "ListRoles&MaxItems=1001"), 400);
}

static void an_account_has_a_bounded_number_of_roles(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 0; i < WM_MAX_ROLES; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "r%u", i);
        store_document(f, WM_IAM_ROLE, id, "{\"RoleName\":\"x\",\"Attached\":[]}");
    }
    assert_int_equal(call_query(f, IAM_VERSION, "Action=CreateRole&RoleName=more&AssumeRolePolicyDocument=" TRUST_ACCOUNT),
                     409);
    assert_iam_refused(f, 409, "LimitExceeded", "Cannot exceed quota for RolesPerAccount: 1000");
}

static void damaged_documents_are_errors_of_ours(void **state)
{
    struct fixture *f = *state;
    static const struct small_case calls[] = {
        {"GetRole", "{\"RoleName\":\"r\"}"}, {"ListRoles", "{}"}, {"DeleteRole", "{\"RoleName\":\"r\"}"},
        {"ListRoleTags", "{\"RoleName\":\"r\"}"}, {"ListRolePolicies", "{\"RoleName\":\"r\"}"},
        {"GetAccountAuthorizationDetails", "{}"},
    };
    store_document(f, WM_IAM_ROLE, "r", "{\"RoleName\":\"r\"}");
    assert_corrupt(f, calls, sizeof calls / sizeof calls[0]);
    store_document(f, WM_IAM_ROLE, "r", "x");
    assert_corrupt(f, calls, sizeof calls / sizeof calls[0]);
    store_document(f, WM_IAM_ROLE, "r",
                   "{\"RoleName\":\"r\",\"RoleId\":\"i\",\"Path\":\"/\",\"Arn\":\"a\",\"CreateDate\":\"d\","
                   "\"MaxSessionDuration\":3600,\"Tags\":[],\"Trusted\":{\"a\":\"b\"},\"Policies\":{},\"Attached\":[],"
                   "\"AssumeRolePolicyDocument\":\"x\"}");
    assert_corrupt(f, calls, 2); /* whom it trusts cannot be told */
}

static void memory_that_ends_changes_nothing_by_half(void **state)
{
    struct fixture *f = *state;
    static const struct small_case cases[] = {
        {"CreateRole", "{\"RoleName\":\"new\",\"AssumeRolePolicyDocument\":\"{\\\"Statement\\\":{\\\"Effect\\\":\\\"Allow\\\","
                       "\\\"Principal\\\":{\\\"AWS\\\":\\\"" ACCOUNT "user/u\\\"},\\\"Action\\\":\\\"sts:AssumeRole\\\"}}\","
                       "\"PermissionsBoundary\":\"arn:aws:iam::aws:policy/ReadOnlyAccess\"}"},
        {"GetRole", "{\"RoleName\":\"r\"}"},
        {"ListRoles", "{}"},
        {"PutRolePolicy", "{\"RoleName\":\"r\",\"PolicyName\":\"n\",\"PolicyDocument\":\"" "{\\\"Statement\\\":{\\\"Effect\\\":"
                          "\\\"Allow\\\",\\\"Action\\\":\\\"*\\\",\\\"Resource\\\":\\\"*\\\"}}\"}"},
        {"AttachRolePolicy", "{\"RoleName\":\"r\",\"PolicyArn\":\"arn:aws:iam::aws:policy/SecurityAudit\"}"},
        {"GetAccountAuthorizationDetails", "{}"},
    };
    iam_ok(f, "CreateUser&UserName=u");
    iam_ok(f, "CreateRole&RoleName=r&AssumeRolePolicyDocument=" TRUST("{\"AWS\":\"" ACCOUNT "user/u\"}"));
    iam_ok(f, "DeleteUser&UserName=u");
    iam_ok(f, "CreateUser&UserName=u");
    assert_survives_small_arena(f, cases, sizeof cases / sizeof cases[0], 98304);
}

#define ROLE(test) cmocka_unit_test_setup_teardown(test, fixture_set_up, fixture_tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        ROLE(create_role_answers_the_role),
        ROLE(create_role_refuses_what_is_wrong),
        ROLE(a_trust_policy_counts_without_blanks),
        ROLE(who_takes_over_a_name_is_not_trusted),
        ROLE(updates_change_what_they_name),
        ROLE(a_role_that_is_not_there_is_said_so),
        ROLE(a_role_in_use_is_not_deleted),
        ROLE(roles_are_listed_in_pages),
        ROLE(an_account_has_a_bounded_number_of_roles),
        ROLE(damaged_documents_are_errors_of_ours),
        ROLE(memory_that_ends_changes_nothing_by_half),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
