/* Answers that need many documents: how much is read for one ends a page, and never the call. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/iam_call.h"

#include "waymark/banned.h"

#define ACCOUNT "arn:aws:iam::111122223333:"
#define NAMES "\"Path\":\"/\",\"CreateDate\":\"2026-03-01T10:07:12Z\",\"Attached\":[],"

static char document[40000];

static const char *blanks(unsigned n)
{
    static char text[20001];
    assert_true(n < sizeof text);
    memset(text, ' ', n);
    text[n] = '\0';
    return text;
}

/* A group with a policy of 18,000 bytes. */
static void store_group(struct fixture *f, unsigned i)
{
    char id[32], entry[64], name[16];
    (void)snprintf(id, sizeof id, "AGPA%017u", i);
    (void)snprintf(name, sizeof name, "g%u", i);
    (void)snprintf(entry, sizeof entry, "{\"GroupId\":\"%s\"}", id);
    (void)snprintf(document, sizeof document,
                   "{\"GroupName\":\"%s\",\"GroupId\":\"%s\",\"Arn\":\"" ACCOUNT "group/%s\"," NAMES
                   "\"Policies\":{\"p\":\"%s\"}}", name, id, name, blanks(18000));
    store_document(f, WM_IAM_GROUP, id, document);
    store_document(f, WM_IAM_GROUP_NAME, name, entry);
}

/* A user in the first so many groups, with so many bytes of policy. */
static void store_user(struct fixture *f, unsigned i, unsigned groups, unsigned bytes)
{
    char id[32], name[16], list[400] = "", member[64], entry[64];
    (void)snprintf(id, sizeof id, "AIDA%017u", i);
    (void)snprintf(name, sizeof name, "u%04u", i);
    (void)snprintf(entry, sizeof entry, "{\"UserName\":\"%s\"}", name);
    for (unsigned g = 0; g < groups; g++) {
        size_t n = strlen(list);
        (void)snprintf(list + n, sizeof list - n, "%s\"AGPA%017u\"", g ? "," : "", g);
        (void)snprintf(member, sizeof member, "AGPA%017u/%s", g, id);
        store_document(f, WM_IAM_MEMBER, member, entry);
    }
    (void)snprintf(document, sizeof document,
                   "{\"UserName\":\"%s\",\"UserId\":\"%s\",\"Arn\":\"" ACCOUNT "user/%s\"," NAMES
                   "\"Tags\":[],\"Groups\":[%s],\"AccessKeys\":[],\"Policies\":{\"p\":\"%s\"}}",
                   name, id, name, list, blanks(bytes));
    store_document(f, WM_IAM_USER, name, document);
}

/* Every page of a list, and how many elements there are in all. */
static size_t count_all(struct fixture *f, const char *call, const char *list)
{
    size_t n = 0;
    char marker[600] = "", form[800];
    for (;;) {
        (void)snprintf(form, sizeof form, "Action=%s&MaxItems=1000%s%s", call, *marker ? "&Marker=" : "", marker);
        assert_int_equal(call_query(f, IAM_VERSION, form), 200);
        n += wm_json_get(f->answer, list)->count;
        if (!wm_json_get(f->answer, "IsTruncated")->boolean)
            return n;
        assert_true(wm_view_copy(wm_json_get_text(f->answer, "Marker"), marker, sizeof marker));
    }
}

static void users_in_large_groups_are_told(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 0; i < WM_MAX_GROUPS_PER_USER; i++)
        store_group(f, i);
    for (unsigned i = 0; i < 200; i++)
        store_user(f, i, WM_MAX_GROUPS_PER_USER, 10);
    iam_check_state(f);
    assert_int_equal(count_all(f, "GetAccountAuthorizationDetails&Filter.member.1=User", "UserDetailList"), 200);
}

static void roles_that_trust_large_users_are_listed(void **state)
{
    struct fixture *f = *state;
    char trusted[4000] = "", policy[4000] = "";
    for (unsigned i = 0; i < 20; i++) {
        size_t n = strlen(trusted), m = strlen(policy);
        store_user(f, i, 0, 18000);
        (void)snprintf(trusted + n, sizeof trusted - n, "%s\"" ACCOUNT "user/u%04u\":\"AIDA%017u\"", i ? "," : "", i, i);
        (void)snprintf(policy + m, sizeof policy - m, "%s\\\"" ACCOUNT "user/u%04u\\\"", i ? "," : "", i);
    }
    for (unsigned i = 0; i < 40; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "r%04u", i);
        (void)snprintf(document, sizeof document,
                       "{\"RoleName\":\"%s\",\"RoleId\":\"AROA%017u\",\"Arn\":\"" ACCOUNT "role/%s\"," NAMES
                       "\"Tags\":[],\"Policies\":{},\"MaxSessionDuration\":3600,\"Trusted\":{%s},"
                       "\"AssumeRolePolicyDocument\":\"{\\\"Statement\\\":{\\\"Effect\\\":\\\"Allow\\\",\\\"Action\\\":"
                       "\\\"sts:AssumeRole\\\",\\\"Principal\\\":{\\\"AWS\\\":[%s]}}}\"}", name, i, name, trusted, policy);
        store_document(f, WM_IAM_ROLE, name, document);
    }
    iam_check_state(f);
    assert_int_equal(count_all(f, "ListRoles", "Roles"), 40);
    assert_int_equal(count_all(f, "GetAccountAuthorizationDetails&Filter.member.1=Role", "RoleDetailList"), 40);
}

#define LONG_TEST(test) cmocka_unit_test_setup_teardown(test, fixture_set_up, fixture_tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        LONG_TEST(users_in_large_groups_are_told),
        LONG_TEST(roles_that_trust_large_users_are_listed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
