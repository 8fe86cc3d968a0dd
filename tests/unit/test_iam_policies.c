/*
 * Managed policies, and the policies of users, groups and roles. After each call the whole state is looked at: among
 * others, how often policies are said to be used is how often they are (iam_check_state()).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "tests/unit/iam_call.h"

#include "waymark/banned.h"

#define ACCOUNT "arn:aws:iam::111122223333:"
#define POLICY ACCOUNT "policy/p"
#define READ_ONLY "arn:aws:iam::aws:policy/ReadOnlyAccess"
#define TRUST_ACCOUNT                                                                                                  \
    "{\"Statement\":{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"111122223333\"},\"Action\":\"sts:AssumeRole\"}}"

/* Users, groups and roles: what is the same for all three. */
static const struct {
    const char *title, *type, *create;
    unsigned most_inline;
} owners[] = {
    {"User", "user", "CreateUser&UserName=o", 2048},
    {"Group", "group", "CreateGroup&GroupName=o", 5120},
    {"Role", "role", "CreateRole&RoleName=o&AssumeRolePolicyDocument=" TRUST_ACCOUNT, 10240},
};
#define OWNERS (sizeof owners / sizeof owners[0])

static void create_policy_answers_the_policy(void **state)
{
    struct fixture *f = *state;
    iam_ok(f, "CreatePolicy&PolicyName=P&Path=/a/b/&Description=d&PolicyDocument= " ALLOW_ALL
              "&Tags.member.1.Key=k&Tags.member.1.Value=v");
    const struct wm_json *p = wm_json_get(f->answer, "Policy");
    assert_text(p, "PolicyName", "P");
    assert_text(p, "Arn", ACCOUNT "policy/a/b/P");
    assert_text(p, "Path", "/a/b/");
    assert_text(p, "DefaultVersionId", "v1");
    assert_int_equal(iam_number(p, "AttachmentCount"), 0);
    assert_int_equal(iam_number(p, "PermissionsBoundaryUsageCount"), 0);
    assert_true(wm_json_get(p, "IsAttachable")->boolean);
    assert_true(wm_view_starts(wm_json_get_text(p, "PolicyId"), "ANPA"));
    assert_string_equal(iam_texts(wm_json_get(p, "Tags"), "Key"), "k");
    assert_non_null(strstr(wm_buf_cstr(&f->out), "<UpdateDate>2026-03-01T10:07:12Z</UpdateDate>"));
    iam_ok(f, "GetPolicy&PolicyArn=" ACCOUNT "policy/a/b/P");
    assert_text(wm_json_get(f->answer, "Policy"), "Description", "d");
    iam_ok(f, "GetPolicyVersion&VersionId=v1&PolicyArn=" ACCOUNT "policy/a/b/P");
    p = wm_json_get(f->answer, "PolicyVersion");
    assert_true(wm_json_get(p, "IsDefaultVersion")->boolean);
    assert_text(p, "Document", /* as it was given, blank and all */
                "%20%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%7B%22Effect%22%3A%22Allow%22%2C%22Action%22%3A"
                "%22%2A%22%2C%22Resource%22%3A%22%2A%22%7D%7D");
}

static void create_policy_refuses_what_is_wrong(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *form;
        int status;
        const char *code, *part;
    } cases[] = {
        {"PolicyDocument=" ALLOW_ALL, 400, "ValidationError", "'PolicyName' is required"},
        {"PolicyName=x", 400, "ValidationError", "'PolicyDocument' is required"},
        {"PolicyName=x&PolicyDocument=", 400, "ValidationError", "1 to 131072"},
        {"PolicyName=a/b&PolicyDocument=" ALLOW_ALL, 400, "ValidationError", "'PolicyName'"},
        {"PolicyName=x&Path=/a&PolicyDocument=" ALLOW_ALL, 400, "ValidationError", "'Path'"},
        {"PolicyName=x&Path=//&PolicyDocument=" ALLOW_ALL, 400, "ValidationError", "'Path'"},
        {"PolicyName=x&Path=/!/&PolicyDocument=" ALLOW_ALL, 400, "ValidationError", "'Path'"},
        {"PolicyName=x&PolicyDocument={}", 400, "MalformedPolicyDocument", "Statement"},
        {"PolicyName=x&PolicyDocument=" TRUST_ACCOUNT, 400, "MalformedPolicyDocument", "Principal"},
        {"PolicyName=x&Tags.member.1.Key=aws:&Tags.member.1.Value=&PolicyDocument=" ALLOW_ALL, 400, "InvalidInput",
         "aws: prefixed"},
        {"PolicyName=THERE&Path=/other/&PolicyDocument=" ALLOW_ALL, 409, "EntityAlreadyExists",
         "A policy called THERE already exists. Duplicate names are not allowed."},
    };
    char action[6200];
    iam_ok(f, "CreatePolicy&PolicyName=there&PolicyDocument=" ALLOW_ALL);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(iam(f, "CreatePolicy&%s", cases[i].form), cases[i].status);
        assert_refused(f, cases[i].status, cases[i].code, cases[i].part);
    }
    memset(action, 'a', sizeof action - 1);
    action[sizeof action - 1] = '\0';
    assert_int_equal(iam(f, "CreatePolicy&PolicyName=x&PolicyDocument={\"Statement\":{\"Sid\":\"%s\",\"Effect\":\"Deny\","
                            "\"Action\":\"*\",\"Resource\":\"*\"}}", action), 409);
    assert_iam_refused(f, 409, "LimitExceeded", "Cannot exceed quota for PolicySize: 6144");
    assert_int_equal(count_documents(f, WM_IAM_POLICY), 1);
}

static void policy_of_none(void **state)
{
    struct fixture *f = *state;
    static const char *const calls[] = {
        "GetPolicy", "DeletePolicy", "TagPolicy&Tags.member.1.Key=a&Tags.member.1.Value=1", "UntagPolicy&TagKeys.member.1=a",
        "ListPolicyTags", ("CreatePolicyVersion&PolicyDocument=" ALLOW_ALL), "GetPolicyVersion&VersionId=v1",
        "ListPolicyVersions", "SetDefaultPolicyVersion&VersionId=v1", "DeletePolicyVersion&VersionId=v1",
        "ListEntitiesForPolicy",
    };
    static const char *const arns[] = {
        "arn:aws:iam::111122223333:user/pppp", "arn:aws:s3::111122223333:policy/p", "arn:aws:iam:eu:111122223333:policy/p",
        "arn:aws:iam::111122223333:policy/", "aws:aws:iam::111122223333:policy/p"};
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        assert_int_equal(iam(f, "%s&PolicyArn=" POLICY, calls[i]), 404);
        assert_iam_refused(f, 404, "NoSuchEntity", "Policy " POLICY " was not found.");
        assert_int_equal(iam(f, "%s&PolicyArn=arn:aws-cn:iam::aws:policy/ReadOnlyAccess", calls[i]), 404);
        assert_int_equal(iam(f, "%s&PolicyArn=%s", calls[i], arns[i % 5]), 400);
        assert_refused(f, 400, "InvalidInput", "is not valid.");
    }
}

static void aws_policies_can_be_read_and_not_changed(void **state)
{
    struct fixture *f = *state;
    static const char *const calls[] = {
        "DeletePolicy", "TagPolicy&Tags.member.1.Key=a&Tags.member.1.Value=1", "UntagPolicy&TagKeys.member.1=a",
        ("CreatePolicyVersion&PolicyDocument=" ALLOW_ALL), "SetDefaultPolicyVersion&VersionId=v1",
        "DeletePolicyVersion&VersionId=v1",
    };
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        assert_int_equal(iam(f, "%s&PolicyArn=" READ_ONLY, calls[i]), 403);
        assert_iam_refused(f, 403, "AccessDenied", "Policy is outside your own account.");
    }
    for (size_t i = 0; wm_iam_managed_at(i); i++) {
        struct wm_policy *policy;
        struct wm_view text = wm_view_of(wm_iam_managed_at(i)->document);
        assert_int_equal(wm_policy_compile(text, WM_POLICY_IDENTITY, &policy, NULL), WM_OK);
        wm_policy_free(policy);
        if (i)
            assert_true(strcmp(wm_iam_managed_at(i - 1)->name, wm_iam_managed_at(i)->name) < 0);
    }
    iam_ok(f, "GetPolicy&PolicyArn=" READ_ONLY);
    const struct wm_json *p = wm_json_get(f->answer, "Policy");
    assert_text(p, "PolicyName", "ReadOnlyAccess");
    assert_text(p, "CreateDate", "2015-02-06T18:39:48Z");
    const char *id = iam_copy(p, "PolicyId");
    assert_int_equal(strlen(id), 21);
    iam_ok(f, "GetPolicy&PolicyArn=" READ_ONLY);
    assert_text(wm_json_get(f->answer, "Policy"), "PolicyId", id);
    iam_ok(f, "GetPolicyVersion&VersionId=v1&PolicyArn=" READ_ONLY);
    iam_ok(f, "ListPolicyVersions&PolicyArn=" READ_ONLY);
    iam_ok(f, "ListPolicyTags&PolicyArn=" READ_ONLY);
    assert_int_equal(iam(f, "GetPolicyVersion&VersionId=v2&PolicyArn=" READ_ONLY), 404);
}

static void versions_are_five_and_one_is_in_force(void **state)
{
    struct fixture *f = *state;
    iam_ok(f, "CreatePolicy&PolicyName=p&PolicyDocument=" ALLOW_ALL);
    f->now.ns += 60ll * 1000000000;
    for (int i = 2; i <= 5; i++) {
        iam_ok(f, "CreatePolicyVersion&PolicyArn=" POLICY "&PolicyDocument=" ALLOW_ALL "&SetAsDefault=%s",
               i == 3 ? "true" : "false");
        const struct wm_json *v = wm_json_get(f->answer, "PolicyVersion");
        char id[8];
        (void)snprintf(id, sizeof id, "v%d", i);
        assert_text(v, "VersionId", id);
        assert_int_equal(wm_json_get(v, "IsDefaultVersion")->boolean, i == 3);
        assert_null(wm_json_get(v, "Document"));
    }
    assert_int_equal(iam(f, "CreatePolicyVersion&PolicyArn=" POLICY "&PolicyDocument=" ALLOW_ALL), 409);
    assert_refused(f, 409, "LimitExceeded", "up to 5 versions");
    iam_ok(f, "GetPolicy&PolicyArn=" POLICY);
    assert_text(wm_json_get(f->answer, "Policy"), "DefaultVersionId", "v3");
    assert_text(wm_json_get(f->answer, "Policy"), "CreateDate", "2026-03-01T10:07:12Z");
    assert_text(wm_json_get(f->answer, "Policy"), "UpdateDate", "2026-03-01T10:08:12Z");
    assert_int_equal(iam(f, "DeletePolicyVersion&PolicyArn=" POLICY "&VersionId=v3"), 409);
    assert_iam_refused(f, 409, "DeleteConflict", "Cannot delete the default version of a policy.");
    assert_int_equal(iam(f, "DeletePolicy&PolicyArn=" POLICY), 409);
    assert_refused(f, 409, "DeleteConflict", "This policy has more than one version.");
    iam_ok(f, "SetDefaultPolicyVersion&PolicyArn=" POLICY "&VersionId=v1");
    iam_ok(f, "DeletePolicyVersion&PolicyArn=" POLICY "&VersionId=v5");
    iam_ok(f, "CreatePolicyVersion&PolicyArn=" POLICY "&PolicyDocument=" ALLOW_ALL); /* numbers are not given again */
    assert_text(wm_json_get(f->answer, "PolicyVersion"), "VersionId", "v6");
    iam_ok(f, "ListPolicyVersions&PolicyArn=" POLICY "&MaxItems=3");
    assert_string_equal(iam_texts(wm_json_get(f->answer, "Versions"), "VersionId"), "v1,v2,v3");
    iam_ok(f, "ListPolicyVersions&PolicyArn=" POLICY "&MaxItems=3&Marker=%s", iam_copy(f->answer, "Marker"));
    assert_string_equal(iam_texts(wm_json_get(f->answer, "Versions"), "VersionId"), "v4,v6");
    assert_int_equal(iam(f, "GetPolicyVersion&PolicyArn=" POLICY "&VersionId=v5"), 404);
    assert_iam_refused(f, 404, "NoSuchEntity", "Policy " POLICY " version v5 does not exist or is not attachable.");
    assert_int_equal(iam(f, "SetDefaultPolicyVersion&PolicyArn=" POLICY "&VersionId=v5"), 404);
    assert_int_equal(iam(f, "DeletePolicyVersion&PolicyArn=" POLICY "&VersionId=v5"), 404);
    assert_int_equal(iam(f, "CreatePolicyVersion&PolicyArn=" POLICY "&PolicyDocument={}"), 409);
    static const char *const wrong[] = {"v0", "1", "v", "v01", "v1.%20", "vx"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(iam(f, "GetPolicyVersion&PolicyArn=" POLICY "&VersionId=%s", wrong[i]), 400);
    assert_int_equal(iam(f, "GetPolicyVersion&PolicyArn=" POLICY "&VersionId=v1.a-b"), 404);
    for (int i = 2; i <= 6; i++)
        if (i != 5)
            iam_ok(f, "DeletePolicyVersion&PolicyArn=" POLICY "&VersionId=v%d", i);
    iam_ok(f, "DeletePolicy&PolicyArn=" POLICY);
    assert_int_equal(count_documents(f, WM_IAM_POLICY), 0);
}

static void policies_are_tagged(void **state)
{
    struct fixture *f = *state;
    iam_ok(f, "CreatePolicy&PolicyName=p&PolicyDocument=" ALLOW_ALL);
    iam_ok(f, "TagPolicy&PolicyArn=" POLICY "&Tags.member.1.Key=b&Tags.member.1.Value=1&Tags.member.2.Key=a&Tags.member.2.Value=");
    assert_int_equal(iam(f, "TagPolicy&PolicyArn=" POLICY "&Tags.member.1.Key=aws:b&Tags.member.1.Value=1"), 400);
    iam_ok(f, "ListPolicyTags&PolicyArn=" POLICY);
    assert_string_equal(iam_texts(wm_json_get(f->answer, "Tags"), "Key"), "a,b");
    iam_ok(f, "UntagPolicy&PolicyArn=" POLICY "&TagKeys.member.1=a");
    iam_ok(f, "GetPolicy&PolicyArn=" POLICY);
    assert_string_equal(iam_texts(wm_json_get(wm_json_get(f->answer, "Policy"), "Tags"), "Key"), "b");
}

/* All of a list, page by page. */
static const char *all_of(struct fixture *f, const char *form, const char *list, const char *name, int per_page)
{
    static char all[8192];
    char marker[2048] = "";
    all[0] = '\0';
    do {
        iam_ok(f, "%s&MaxItems=%d%s", form, per_page, marker);
        const struct wm_json *page = wm_json_get(f->answer, list);
        size_t n = strlen(all);
        assert_true(page->count <= (size_t)per_page);
        (void)snprintf(all + n, sizeof all - n, "%s%s", n && page->count ? "," : "", iam_texts(page, name));
        (void)snprintf(marker, sizeof marker, "&Marker=%.*s", WM_ARG(wm_json_get_text(f->answer, "Marker")));
    } while (wm_json_get(f->answer, "IsTruncated")->boolean);
    return all;
}

static void policies_are_listed_by_scope_use_and_path(void **state)
{
    struct fixture *f = *state;
    static const char aws[] = "AWSCloudTrail_FullAccess,AWSCloudTrail_ReadOnlyAccess,AWSElementalMediaPackageFullAccess,"
                              "AWSElementalMediaPackageReadOnly,AdministratorAccess,IAMFullAccess,IAMReadOnlyAccess,"
                              "ReadOnlyAccess,SecurityAudit";
    iam_ok(f, "CreatePolicy&PolicyName=a&PolicyDocument=" ALLOW_ALL);
    iam_ok(f, "CreatePolicy&PolicyName=b&Path=/x/&PolicyDocument=" ALLOW_ALL);
    iam_ok(f, "CreatePolicy&PolicyName=c&Path=/x/y/&Description=d&PolicyDocument=" ALLOW_ALL);
    iam_ok(f, "CreateUser&UserName=u&PermissionsBoundary=" ACCOUNT "policy/x/b");
    iam_ok(f, "AttachUserPolicy&UserName=u&PolicyArn=" ACCOUNT "policy/a");
    iam_ok(f, "AttachUserPolicy&UserName=u&PolicyArn=" READ_ONLY);
    for (int n = 1; n < 14; n += 3) {
        char want[512];
        (void)snprintf(want, sizeof want, "a,b,c,%s", aws);
        assert_string_equal(all_of(f, "ListPolicies", "Policies", "PolicyName", n), want);
        assert_string_equal(all_of(f, "ListPolicies&Scope=All", "Policies", "PolicyName", n), want);
        assert_string_equal(all_of(f, "ListPolicies&Scope=AWS", "Policies", "PolicyName", n), aws);
        assert_string_equal(all_of(f, "ListPolicies&Scope=Local", "Policies", "PolicyName", n), "a,b,c");
        assert_string_equal(all_of(f, "ListPolicies&OnlyAttached=true", "Policies", "PolicyName", n), "a,ReadOnlyAccess");
        assert_string_equal(all_of(f, "ListPolicies&PathPrefix=/x/", "Policies", "PolicyName", n), "b,c");
        assert_string_equal(all_of(f, "ListPolicies&PolicyUsageFilter=PermissionsBoundary", "Policies", "PolicyName", n),
                            "b");
        assert_string_equal(all_of(f, "ListPolicies&PolicyUsageFilter=PermissionsPolicy&Scope=AWS", "Policies",
                                   "PolicyName", n), "ReadOnlyAccess");
    }
    iam_ok(f, "ListPolicies&Scope=Local");
    assert_null(wm_json_get(wm_json_get(f->answer, "Policies")->last, "Description"));
    assert_int_equal(iam(f, "ListPolicies&Scope=local"), 400);
    assert_int_equal(iam(f, "ListPolicies&PathPrefix=/x"), 400);
    assert_int_equal(iam(f, "ListPolicies&Marker=x"), 400);
    assert_refused(f, 400, "ValidationError", "'Marker'");
}

static void inline_policies_of_all_three(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < OWNERS; i++) {
        const char *o = owners[i].title;
        char message[128], sid[10300];
        iam_ok(f, "%s", owners[i].create);
        iam_ok(f, "Put%sPolicy&%sName=O&PolicyName=b&PolicyDocument= " ALLOW_ALL, o, o);
        iam_ok(f, "Put%sPolicy&%sName=o&PolicyName=a&PolicyDocument=" ALLOW_ALL, o, o);
        iam_ok(f, "Get%sPolicy&%sName=O&PolicyName=b", o, o);
        (void)snprintf(message, sizeof message, "%sName", o);
        assert_text(f->answer, message, "o");
        assert_text(f->answer, "PolicyName", "b");
        assert_true(wm_view_starts(wm_json_get_text(f->answer, "PolicyDocument"), "%20%7B%22Version"));
        iam_ok(f, "Put%sPolicy&%sName=o&PolicyName=b&PolicyDocument=" ALLOW_ALL, o, o); /* in its place */
        iam_ok(f, "Get%sPolicy&%sName=O&PolicyName=b", o, o);
        assert_true(wm_view_starts(wm_json_get_text(f->answer, "PolicyDocument"), "%7B%22Version"));
        iam_ok(f, "List%sPolicies&%sName=o&MaxItems=1", o, o);
        assert_string_equal(iam_texts(wm_json_get(f->answer, "PolicyNames"), NULL), "a");
        iam_ok(f, "List%sPolicies&%sName=o&Marker=%s", o, o, iam_copy(f->answer, "Marker"));
        assert_string_equal(iam_texts(wm_json_get(f->answer, "PolicyNames"), NULL), "b");

        assert_int_equal(iam(f, "Put%sPolicy&%sName=o&PolicyName=x&PolicyDocument=x", o, o), 400);
        assert_refused(f, 400, "MalformedPolicyDocument", "");
        assert_int_equal(iam(f, "Get%sPolicy&%sName=o&PolicyName=B", o, o), 404);
        (void)snprintf(message, sizeof message, "The %s policy with name B cannot be found.", owners[i].type);
        assert_iam_refused(f, 404, "NoSuchEntity", message);
        assert_int_equal(iam(f, "Delete%sPolicy&%sName=o&PolicyName=B", o, o), 404);
        memset(sid, 'a', sizeof sid);
        sid[owners[i].most_inline - 2 * (sizeof ALLOW_ALL - 1) - strlen("{'Statement':{'Sid':'','Effect':'Deny','Action':'*',"
                                                                        "'Resource':'*'}}")] = '\0';
        static const char fits[] = "{\"Statement\":{\"Sid\":\"%s\",\"Effect\":\"Deny\",\"Action\":\"*\",\"Resource\":\"*\"}}";
        char policy[10600];
        (void)snprintf(policy, sizeof policy, fits, sid);
        iam_ok(f, "Put%sPolicy&%sName=o&PolicyName=x&PolicyDocument=%s  ", o, o, policy);
        size_t n = strlen(sid);
        sid[n] = 'a';
        sid[n + 1] = '\0';
        (void)snprintf(policy, sizeof policy, fits, sid);
        assert_int_equal(iam(f, "Put%sPolicy&%sName=o&PolicyName=x&PolicyDocument=%s", o, o, policy), 409);
        (void)snprintf(message, sizeof message, "Maximum policy size of %u bytes exceeded for %s o", owners[i].most_inline,
                       owners[i].type);
        assert_iam_refused(f, 409, "LimitExceeded", message);
        iam_ok(f, "Delete%sPolicy&%sName=o&PolicyName=x", o, o);
        iam_ok(f, "Delete%sPolicy&%sName=o&PolicyName=a", o, o);
        iam_ok(f, "List%sPolicies&%sName=o", o, o);
        assert_string_equal(iam_texts(wm_json_get(f->answer, "PolicyNames"), NULL), "b");
        assert_int_equal(iam(f, "Put%sPolicy&%sName=none&PolicyName=b&PolicyDocument=" ALLOW_ALL, o, o), 404);
    }
}

static void policies_are_attached_to_all_three(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 11; i++)
        iam_ok(f, "CreatePolicy&PolicyName=p%d&Path=/%c/&PolicyDocument=" ALLOW_ALL, i, i % 2 ? 'x' : 'y');
    for (size_t i = 0; i < OWNERS; i++) {
        const char *o = owners[i].title;
        char message[256];
        iam_ok(f, "%s", owners[i].create);
        iam_ok(f, "Attach%sPolicy&%sName=O&PolicyArn=" READ_ONLY, o, o);
        assert_int_equal(f->reply.n_changes, 2);
        iam_ok(f, "Attach%sPolicy&%sName=o&PolicyArn=" READ_ONLY, o, o); /* as good as done */
        assert_int_equal(f->reply.n_changes, 0);
        for (int k = 0; k < 9; k++)
            iam_ok(f, "Attach%sPolicy&%sName=o&PolicyArn=" ACCOUNT "policy/%c/p%d", o, o, k % 2 ? 'x' : 'y', k);
        assert_int_equal(iam(f, "Attach%sPolicy&%sName=o&PolicyArn=" ACCOUNT "policy/x/p9", o, o), 409);
        (void)snprintf(message, sizeof message, "Cannot exceed quota for PoliciesPer%s: 10", o);
        assert_iam_refused(f, 409, "LimitExceeded", message);
        (void)snprintf(message, sizeof message, "ListAttached%sPolicies&%sName=o&PathPrefix=/x/", o, o);
        assert_string_equal(all_of(f, message, "AttachedPolicies", "PolicyName", 2), "p1,p3,p5,p7");
        iam_ok(f, "ListAttached%sPolicies&%sName=o", o, o);
        assert_int_equal(wm_json_get(f->answer, "AttachedPolicies")->count, 10);
        assert_int_equal(iam(f, "Attach%sPolicy&%sName=o&PolicyArn=" POLICY, o, o), 404);
        assert_iam_refused(f, 404, "NoSuchEntity", "Policy " POLICY " does not exist or is not attachable.");
        assert_int_equal(iam(f, "Attach%sPolicy&%sName=o&PolicyArn=" ACCOUNT "user/p", o, o), 400);
        assert_refused(f, 400, "InvalidInput", "is not valid.");
        assert_int_equal(iam(f, "Detach%sPolicy&%sName=o&PolicyArn=" POLICY, o, o), 404);
        assert_iam_refused(f, 404, "NoSuchEntity", "Policy " POLICY " was not found.");
        assert_int_equal(iam(f, "Detach%sPolicy&%sName=o&PolicyArn=" ACCOUNT "user/p", o, o), 400);
        assert_int_equal(iam(f, "Attach%sPolicy&%sName=none&PolicyArn=" READ_ONLY, o, o), 404);
        iam_ok(f, "GetPolicy&PolicyArn=" READ_ONLY);
        assert_int_equal(iam_number(wm_json_get(f->answer, "Policy"), "AttachmentCount"), 1);
        assert_int_equal(iam(f, "DeletePolicy&PolicyArn=" ACCOUNT "policy/y/p0"), 409);
        assert_iam_refused(f, 409, "DeleteConflict", "Cannot delete a policy attached to entities.");
        iam_ok(f, "Detach%sPolicy&%sName=o&PolicyArn=" READ_ONLY, o, o);
        for (int k = 0; k < 9; k++)
            iam_ok(f, "Detach%sPolicy&%sName=o&PolicyArn=" ACCOUNT "policy/%c/p%d", o, o, k % 2 ? 'x' : 'y', k);
    }
    iam_ok(f, "PutUserPermissionsBoundary&UserName=o&PermissionsBoundary=" ACCOUNT "policy/y/p0");
    assert_int_equal(iam(f, "DeletePolicy&PolicyArn=" ACCOUNT "policy/y/p0"), 409);
    iam_ok(f, "DeleteUserPermissionsBoundary&UserName=o");
    iam_ok(f, "DeletePolicy&PolicyArn=" ACCOUNT "policy/y/p0");
}

static void entities_of_a_policy_are_listed(void **state)
{
    struct fixture *f = *state;
    iam_ok(f, "CreatePolicy&PolicyName=p&PolicyDocument=" ALLOW_ALL);
    for (int i = 0; i < 3; i++) {
        iam_ok(f, "CreateUser&UserName=u%d&Path=/%d/%s", i, i, i == 2 ? "&PermissionsBoundary=" POLICY : "");
        iam_ok(f, "CreateGroup&GroupName=g%d", i);
        iam_ok(f, "CreateRole&RoleName=r%d&AssumeRolePolicyDocument=" TRUST_ACCOUNT, i);
        /* the ARN in a text is no attachment */
        iam_ok(f, "PutUserPolicy&UserName=u%d&PolicyName=x&PolicyDocument={\"Statement\":{\"Effect\":\"Allow\",\"Action\":"
                  "\"iam:*\",\"Resource\":\"" POLICY "\"}}", i);
    }
    for (int i = 0; i < 2; i++) {
        iam_ok(f, "AttachUserPolicy&UserName=u%d&PolicyArn=" POLICY, i);
        iam_ok(f, "AttachGroupPolicy&GroupName=g%d&PolicyArn=" POLICY, i + 1);
        iam_ok(f, "AttachRolePolicy&RoleName=r%d&PolicyArn=" POLICY, i);
    }
    iam_ok(f, "ListEntitiesForPolicy&PolicyArn=" POLICY);
    assert_string_equal(iam_texts(wm_json_get(f->answer, "PolicyUsers"), "UserName"), "u0,u1,u2");
    assert_string_equal(iam_texts(wm_json_get(f->answer, "PolicyRoles"), "RoleName"), "r0,r1");
    assert_int_equal(wm_json_get(f->answer, "PolicyGroups")->count, 2);
    assert_true(wm_view_starts(wm_json_get_text(wm_json_get(f->answer, "PolicyUsers")->first, "UserId"), "AIDA"));
    for (int n = 1; n < 8; n++) {
        assert_string_equal(all_of(f, "ListEntitiesForPolicy&PolicyArn=" POLICY, "PolicyUsers", "UserName", n), "u0,u1,u2");
        assert_string_equal(all_of(f, "ListEntitiesForPolicy&PolicyArn=" POLICY, "PolicyRoles", "RoleName", n), "r0,r1");
    }
    static const struct {
        const char *form;
        size_t groups, users, roles;
    } cases[] = {
        {"EntityFilter=User", 0, 3, 0},
        {"EntityFilter=Group", 2, 0, 0},
        {"EntityFilter=Role", 0, 0, 2},
        {"EntityFilter=LocalManagedPolicy", 0, 0, 0},
        {"PathPrefix=/1/", 0, 1, 0},
        {"PolicyUsageFilter=PermissionsBoundary", 0, 1, 0},
        {"PolicyUsageFilter=PermissionsPolicy", 2, 2, 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        iam_ok(f, "ListEntitiesForPolicy&PolicyArn=" POLICY "&%s", cases[i].form);
        assert_int_equal(wm_json_get(f->answer, "PolicyGroups")->count, cases[i].groups);
        assert_int_equal(wm_json_get(f->answer, "PolicyUsers")->count, cases[i].users);
        assert_int_equal(wm_json_get(f->answer, "PolicyRoles")->count, cases[i].roles);
    }
    assert_int_equal(iam(f, "ListEntitiesForPolicy&PolicyArn=" POLICY "&EntityFilter=user"), 400);
}

static void the_account_is_told_whole(void **state)
{
    struct fixture *f = *state;
    iam_ok(f, "CreatePolicy&PolicyName=p&Description=d&PolicyDocument=" ALLOW_ALL);
    iam_ok(f, "CreatePolicyVersion&PolicyArn=" POLICY "&PolicyDocument=" ALLOW_ALL);
    for (size_t i = 0; i < OWNERS; i++) {
        iam_ok(f, "%s", owners[i].create);
        iam_ok(f, "Put%sPolicy&%sName=o&PolicyName=i&PolicyDocument=" ALLOW_ALL, owners[i].title, owners[i].title);
        iam_ok(f, "Attach%sPolicy&%sName=o&PolicyArn=" READ_ONLY, owners[i].title, owners[i].title);
    }
    iam_ok(f, "AddUserToGroup&UserName=o&GroupName=o");
    iam_ok(f, "TagUser&UserName=o&Tags.member.1.Key=a&Tags.member.1.Value=b");
    iam_ok(f, "GetAccountAuthorizationDetails");
    const struct wm_json *user = wm_json_get(f->answer, "UserDetailList")->first;
    assert_string_equal(iam_texts(wm_json_get(user, "GroupList"), NULL), "o");
    assert_string_equal(iam_texts(wm_json_get(user, "UserPolicyList"), "PolicyName"), "i");
    assert_string_equal(iam_texts(wm_json_get(user, "AttachedManagedPolicies"), "PolicyArn"), READ_ONLY);
    assert_string_equal(iam_texts(wm_json_get(user, "Tags"), "Key"), "a");
    const struct wm_json *group = wm_json_get(f->answer, "GroupDetailList")->first;
    assert_string_equal(iam_texts(wm_json_get(group, "GroupPolicyList"), "PolicyName"), "i");
    const struct wm_json *role = wm_json_get(f->answer, "RoleDetailList")->first;
    assert_string_equal(iam_texts(wm_json_get(role, "RolePolicyList"), "PolicyName"), "i");
    assert_int_equal(wm_json_get(role, "InstanceProfileList")->count, 0);
    assert_non_null(wm_json_get(role, "RoleLastUsed"));
    const struct wm_json *policies = wm_json_get(f->answer, "Policies");
    assert_string_equal(iam_texts(policies, "PolicyName"), "p,ReadOnlyAccess");
    assert_string_equal(iam_texts(wm_json_get(policies->first, "PolicyVersionList"), "VersionId"), "v1,v2");
    assert_int_equal(iam_number(policies->last, "AttachmentCount"), 3);
    for (int n = 1; n < 7; n++) {
        assert_string_equal(all_of(f, "GetAccountAuthorizationDetails", "Policies", "PolicyName", n), "p,ReadOnlyAccess");
        assert_string_equal(all_of(f, "GetAccountAuthorizationDetails", "RoleDetailList", "RoleName", n), "o");
    }
    iam_ok(f, "GetAccountAuthorizationDetails&Filter.member.1=AWSManagedPolicy&Filter.member.2=Group");
    assert_int_equal(wm_json_get(f->answer, "UserDetailList")->count, 0);
    assert_int_equal(wm_json_get(f->answer, "GroupDetailList")->count, 1);
    assert_string_equal(iam_texts(wm_json_get(f->answer, "Policies"), "PolicyName"), "ReadOnlyAccess");
    assert_int_equal(iam(f, "GetAccountAuthorizationDetails&Filter.member.1=x"), 400);
}

static void an_account_has_a_bounded_number_of_policies(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 0; i < WM_MAX_MANAGED_POLICIES; i++) {
        char arn[64];
        (void)snprintf(arn, sizeof arn, ACCOUNT "policy/p%u", i);
        store_document(f, WM_IAM_POLICY, arn, "{}");
    }
    assert_int_equal(call_query(f, IAM_VERSION, "Action=CreatePolicy&PolicyName=more&PolicyDocument=" ALLOW_ALL), 409);
    assert_iam_refused(f, 409, "LimitExceeded", "Cannot exceed quota for PoliciesPerAccount: 1500");
}

static void damaged_documents_are_errors_of_ours(void **state)
{
    struct fixture *f = *state;
    static const struct small_case calls[] = {
        {"GetPolicy", "{\"PolicyArn\":\"" POLICY "\"}"},
        {"DeletePolicy", "{\"PolicyArn\":\"" POLICY "\"}"},
        {"AttachUserPolicy", "{\"UserName\":\"u\",\"PolicyArn\":\"" POLICY "\"}"},
        {"ListPolicies", "{}"},
        {"GetAccountAuthorizationDetails", "{}"},
    };
    iam_ok(f, "CreateUser&UserName=u");
    iam_ok(f, "CreatePolicy&PolicyName=p&PolicyDocument=" ALLOW_ALL);
    static const char *const uses[] = {"x", "{}", "{\"AttachmentCount\":-1,\"PermissionsBoundaryUsageCount\":0}"};
    for (size_t i = 0; i < 3; i++) {
        store_document(f, WM_IAM_POLICY_USE, POLICY, uses[i]);
        assert_corrupt(f, calls, sizeof calls / sizeof calls[0]);
    }
    store_document(f, WM_IAM_POLICY_USE, POLICY, "");
    store_document(f, WM_IAM_POLICY, POLICY, "{\"Arn\":\"x\"}");
    assert_corrupt(f, calls, 2);
    store_document(f, WM_IAM_POLICY, POLICY, "x");
    assert_corrupt(f, calls, 2);
    assert_corrupt(f, calls + 3, 2);
}

/* ---- at random ---- */

static unsigned seed;

static unsigned draw(unsigned n)
{
    seed = seed * 1103515245u + 12345u; /* the ISO C example: the same sequence everywhere */
    return (seed >> 16) % n;
}

/* The checks are iam_check_state()'s, and that nothing but success and what refuses by rule is answered. */
static void uses_are_counted_after_any_calls(void **state)
{
    struct fixture *f = *state;
    static const char *const calls[] = {"Attach%sPolicy&%sName=%s&PolicyArn=%s", "Detach%sPolicy&%sName=%s&PolicyArn=%s",
                                        "Put%sPermissionsBoundary&%sName=%s&PermissionsBoundary=%s"};
    static const char *const arns[] = {READ_ONLY, POLICY "0", POLICY "1", POLICY "2"};
    static const char *const names[] = {"o", "O", "other"};
    const char *given = getenv("WAYMARK_TEST_SEED");
    seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
    print_message("WAYMARK_TEST_SEED=%u\n", seed);
    size_t succeeded = 0;
    for (int i = 0; i < 800; i++) {
        const char *o = owners[draw(3)].title, *name = names[draw(3)];
        bool group = strcmp(o, "Group") == 0, role = strcmp(o, "Role") == 0;
        char form[512];
        switch (draw(8)) {
        case 0:
            (void)snprintf(form, sizeof form, "Create%s&%sName=%s%s%s", o, o, name,
                           role ? "&AssumeRolePolicyDocument=" TRUST_ACCOUNT : "",
                           !group && draw(2) ? "&PermissionsBoundary=" POLICY "0" : "");
            break;
        case 1:
            (void)snprintf(form, sizeof form, "Delete%s&%sName=%s", o, o, name);
            break;
        case 2:
            (void)snprintf(form, sizeof form, "CreatePolicy&PolicyName=p%u&PolicyDocument=" ALLOW_ALL, draw(3));
            break;
        case 3:
            (void)snprintf(form, sizeof form, "DeletePolicy&PolicyArn=" POLICY "%u", draw(3));
            break;
        case 4:
            (void)snprintf(form, sizeof form, "Delete%sPermissionsBoundary&%sName=%s", group ? "User" : o,
                           group ? "User" : o, name);
            break;
        default: {
            size_t call = draw(group ? 2 : 3);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* one of three literals */
            (void)snprintf(form, sizeof form, calls[call], o, o, name, arns[draw(4)]);
#pragma GCC diagnostic pop
        }
        }
        int status = iam(f, "%s", form);
        if (status != 200 && status != 404 && status != 409)
            fail_msg("%s was answered %d", form, status);
        succeeded += status == 200;
    }
    assert_true(succeeded > 100);
}

#define POLICY_TEST(test) cmocka_unit_test_setup_teardown(test, fixture_set_up, fixture_tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        POLICY_TEST(create_policy_answers_the_policy),
        POLICY_TEST(create_policy_refuses_what_is_wrong),
        POLICY_TEST(policy_of_none),
        POLICY_TEST(aws_policies_can_be_read_and_not_changed),
        POLICY_TEST(versions_are_five_and_one_is_in_force),
        POLICY_TEST(policies_are_tagged),
        POLICY_TEST(policies_are_listed_by_scope_use_and_path),
        POLICY_TEST(inline_policies_of_all_three),
        POLICY_TEST(policies_are_attached_to_all_three),
        POLICY_TEST(entities_of_a_policy_are_listed),
        POLICY_TEST(the_account_is_told_whole),
        POLICY_TEST(an_account_has_a_bounded_number_of_policies),
        POLICY_TEST(damaged_documents_are_errors_of_ours),
        POLICY_TEST(uses_are_counted_after_any_calls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
