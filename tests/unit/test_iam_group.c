#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/iam_call.h"

#include "waymark/banned.h"

static void a_group_lives_from_create_to_delete(void **state)
{
    struct fixture *f = *state;
    iam_ok(f, "CreateGroup&GroupName=Ops&Path=/team/");
    const struct wm_json *group = wm_json_get(f->answer, "Group");
    assert_text(group, "GroupName", "Ops");
    assert_text(group, "Path", "/team/");
    assert_text(group, "Arn", "arn:aws:iam::111122223333:group/team/Ops");
    assert_true(wm_view_starts(wm_json_get_text(group, "GroupId"), "AGPA"));
    const char *id = iam_copy(group, "GroupId");
    iam_ok(f, "GetGroup&GroupName=OPS");
    assert_text(wm_json_get(f->answer, "Group"), "GroupId", id);
    assert_text(wm_json_get(f->answer, "Group"), "CreateDate", "2026-03-01T10:07:12Z");
    assert_non_null(strstr(wm_buf_cstr(&f->out), "</Group><Users></Users><IsTruncated>false</IsTruncated>"));

    iam_ok(f, "CreateUser&UserName=u");
    iam_ok(f, "AddUserToGroup&GroupName=ops&UserName=u");
    iam_ok(f, "UpdateGroup&GroupName=ops&NewGroupName=Dev&NewPath=/");
    assert_int_equal(f->reply.n_changes, 3); /* none of its users' */
    assert_int_equal(iam(f, "GetGroup&GroupName=ops"), 404);
    assert_iam_refused(f, 404, "NoSuchEntity", "The group with name ops cannot be found.");
    iam_ok(f, "ListGroupsForUser&UserName=u");
    assert_string_equal(iam_texts(wm_json_get(f->answer, "Groups"), "GroupName"), "Dev");
    assert_string_equal(iam_texts(wm_json_get(f->answer, "Groups"), "GroupId"), id);
    assert_string_equal(iam_texts(wm_json_get(f->answer, "Groups"), "Arn"), "arn:aws:iam::111122223333:group/Dev");
    iam_ok(f, "UpdateGroup&GroupName=dev&NewGroupName=DEV");
    iam_ok(f, "UpdateGroup&GroupName=dev&NewPath=/x/");
    iam_ok(f, "GetGroup&GroupName=dev");
    assert_text(wm_json_get(f->answer, "Group"), "Arn", "arn:aws:iam::111122223333:group/x/DEV");
    assert_string_equal(iam_texts(wm_json_get(f->answer, "Users"), "UserName"), "u");

    assert_int_equal(iam(f, "DeleteGroup&GroupName=dev"), 409);
    assert_iam_refused(f, 409, "DeleteConflict", "Cannot delete entity, must remove users from group first.");
    iam_ok(f, "RemoveUserFromGroup&GroupName=dev&UserName=U");
    iam_ok(f, "DeleteGroup&GroupName=dev");
    assert_int_equal(count_documents(f, WM_IAM_GROUP) + count_documents(f, WM_IAM_GROUP_NAME), 0);
    assert_int_equal(iam(f, "DeleteGroup&GroupName=dev"), 404);
    iam_ok(f, "CreateGroup&GroupName=Ops");
}

static void groups_with_policies_are_not_deleted(void **state)
{
    struct fixture *f = *state;
    iam_ok(f, "CreateGroup&GroupName=g");
    iam_ok(f, "PutGroupPolicy&GroupName=g&PolicyName=a&PolicyDocument=" ALLOW_ALL);
    iam_ok(f, "AttachGroupPolicy&GroupName=g&PolicyArn=arn:aws:iam::aws:policy/ReadOnlyAccess");
    assert_int_equal(iam(f, "DeleteGroup&GroupName=g"), 409);
    assert_iam_refused(f, 409, "DeleteConflict", "Cannot delete entity, must detach all policies first.");
    iam_ok(f, "DetachGroupPolicy&GroupName=g&PolicyArn=arn:aws:iam::aws:policy/ReadOnlyAccess");
    assert_int_equal(iam(f, "DeleteGroup&GroupName=g"), 409);
    assert_iam_refused(f, 409, "DeleteConflict", "Cannot delete entity, must delete policies first.");
    iam_ok(f, "DeleteGroupPolicy&GroupName=g&PolicyName=a");
    iam_ok(f, "DeleteGroup&GroupName=g");
}

static void what_is_wrong_with_groups_is_refused(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *form;
        int status;
        const char *code, *message;
    } cases[] = {
        {"CreateGroup", 400, "ValidationError", "Member 'GroupName' is required"},
        {"CreateGroup&GroupName=a%20b", 400, "ValidationError",
         "Member 'GroupName' may have letters, digits and _+=,.@- only"},
        {"CreateGroup&GroupName=x&Path=y", 400, "ValidationError",
         "Member 'Path' must begin and end with a slash, and have visible ASCII characters only"},
        {"CreateGroup&GroupName=G", 409, "EntityAlreadyExists", "Group with name G already exists."},
        {"UpdateGroup&GroupName=g&NewGroupName=OTHER", 409, "EntityAlreadyExists",
         "Group with name OTHER already exists."},
        {"UpdateGroup&GroupName=none", 404, "NoSuchEntity", "The group with name none cannot be found."},
        {"AddUserToGroup&GroupName=none&UserName=u", 404, "NoSuchEntity", "The group with name none cannot be found."},
        {"AddUserToGroup&GroupName=g&UserName=none", 404, "NoSuchEntity", "The user with name none cannot be found."},
        {"AddUserToGroup&GroupName=g", 400, "ValidationError", "Member 'UserName' is required"},
        {"RemoveUserFromGroup&GroupName=none&UserName=u", 404, "NoSuchEntity",
         "The group with name none cannot be found."},
        {"RemoveUserFromGroup&GroupName=g&UserName=none", 404, "NoSuchEntity",
         "The user with name none cannot be found."},
        {"ListGroupsForUser&UserName=none", 404, "NoSuchEntity", "The user with name none cannot be found."},
        {"GetGroup&GroupName=none", 404, "NoSuchEntity", "The group with name none cannot be found."},
        {"GetGroup&GroupName=g&Marker=x", 400, "ValidationError",
         "Member 'Marker' is not one that an earlier page gave"},
    };
    iam_ok(f, "CreateGroup&GroupName=g");
    iam_ok(f, "CreateGroup&GroupName=other");
    iam_ok(f, "CreateUser&UserName=u");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(iam(f, "%s", cases[i].form), cases[i].status);
        assert_iam_refused(f, cases[i].status, cases[i].code, cases[i].message);
    }
}

static void adding_and_removing_twice_changes_nothing(void **state)
{
    struct fixture *f = *state;
    iam_ok(f, "CreateGroup&GroupName=g");
    iam_ok(f, "CreateUser&UserName=u");
    iam_ok(f, "RemoveUserFromGroup&GroupName=g&UserName=u");
    assert_int_equal(f->reply.n_changes, 0);
    iam_ok(f, "AddUserToGroup&GroupName=g&UserName=u");
    assert_int_equal(f->reply.n_changes, 2);
    iam_ok(f, "AddUserToGroup&GroupName=G&UserName=U");
    assert_int_equal(f->reply.n_changes, 0);
}

static void a_user_is_in_ten_groups_at_most(void **state)
{
    struct fixture *f = *state;
    iam_ok(f, "CreateUser&UserName=u");
    for (int i = 0; i < 11; i++)
        iam_ok(f, "CreateGroup&GroupName=g%d", i);
    for (int i = 0; i < 10; i++)
        iam_ok(f, "AddUserToGroup&GroupName=g%d&UserName=u", i);
    assert_int_equal(iam(f, "AddUserToGroup&GroupName=g10&UserName=u"), 409);
    assert_iam_refused(f, 409, "LimitExceeded", "Cannot exceed quota for GroupsPerUser: 10");
    iam_ok(f, "AddUserToGroup&GroupName=g9&UserName=u"); /* it is there already */
}

static void an_account_has_a_bounded_number_of_groups(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 300; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "AGPA%d", i);
        store_document(f, WM_IAM_GROUP, id, "{}");
    }
    assert_int_equal(call_query(f, IAM_VERSION, "Action=CreateGroup&GroupName=one-more"), 409);
    assert_iam_refused(f, 409, "LimitExceeded", "Cannot exceed quota for GroupsPerAccount: 300");
}

static void groups_and_their_users_are_listed_in_pages(void **state)
{
    struct fixture *f = *state;
    static const char *const groups[] = {"b&Path=/x/", "A&Path=/x/", "c"};
    bool seen[7] = {false};
    for (size_t i = 0; i < 3; i++)
        iam_ok(f, "CreateGroup&GroupName=%s", groups[i]);
    iam_ok(f, "ListGroups");
    assert_string_equal(iam_texts(wm_json_get(f->answer, "Groups"), "GroupName"), "A,b,c");
    iam_ok(f, "ListGroups&PathPrefix=/x/");
    assert_string_equal(iam_texts(wm_json_get(f->answer, "Groups"), "GroupName"), "A,b");
    iam_ok(f, "ListGroups&MaxItems=1&PathPrefix=/");
    assert_string_equal(iam_texts(wm_json_get(f->answer, "Groups"), "GroupName"), "A");
    const char *marker = iam_copy(f->answer, "Marker");
    iam_ok(f, "ListGroups&Marker=%s", marker);
    assert_string_equal(iam_texts(wm_json_get(f->answer, "Groups"), "GroupName"), "b,c");

    for (int i = 0; i < 7; i++) {
        iam_ok(f, "CreateUser&UserName=u%d", i);
        iam_ok(f, "AddUserToGroup&GroupName=b&UserName=u%d", i);
        iam_ok(f, "AddUserToGroup&GroupName=c&UserName=u%d", i);
    }
    const char *token = "";
    for (int page = 0; page < 3; page++) {
        iam_ok(f, "GetGroup&GroupName=b&MaxItems=3%s%s", *token ? "&Marker=" : "", token);
        assert_text(wm_json_get(f->answer, "Group"), "GroupName", "b");
        for (const struct wm_json *u = wm_json_get(f->answer, "Users")->first; u; u = u->next) {
            size_t n = (size_t)(wm_json_get_text(u, "UserName").ptr[1] - '0');
            assert_false(seen[n]);
            seen[n] = true;
        }
        assert_int_equal(wm_json_get(f->answer, "IsTruncated")->boolean, page < 2);
        assert_int_equal(wm_json_get(f->answer, "Users")->count, page < 2 ? 3 : 1);
        token = iam_copy(f->answer, "Marker");
    }
    for (size_t i = 0; i < 7; i++)
        assert_true(seen[i]);
    iam_ok(f, "ListGroupsForUser&UserName=u3&MaxItems=1");
    const char *first = iam_copy(wm_json_get(f->answer, "Groups")->first, "GroupName");
    token = iam_copy(f->answer, "Marker");
    iam_ok(f, "ListGroupsForUser&UserName=u3&MaxItems=1&Marker=%s", token);
    assert_string_not_equal(iam_texts(wm_json_get(f->answer, "Groups"), "GroupName"), first);
    assert_false(wm_json_get(f->answer, "IsTruncated")->boolean);
}

static const struct small_case calls[] = {
    {"GetGroup", "{\"GroupName\":\"g\"}"},
    {"UpdateGroup", "{\"GroupName\":\"g\",\"NewGroupName\":\"h\"}"},
    {"DeleteGroup", "{\"GroupName\":\"g\"}"},
    {"AddUserToGroup", "{\"GroupName\":\"g\",\"UserName\":\"u\"}"},
    {"RemoveUserFromGroup", "{\"GroupName\":\"g\",\"UserName\":\"u\"}"},
    {"ListGroups", "{}"},
};

static void damaged_documents_are_errors_of_ours(void **state)
{
    struct fixture *f = *state;
    iam_ok(f, "CreateGroup&GroupName=g");
    const char *id = iam_copy(wm_json_get(f->answer, "Group"), "GroupId");
    iam_ok(f, "CreateUser&UserName=u");
    iam_ok(f, "AddUserToGroup&GroupName=g&UserName=u");
    static const struct small_case of_user[] = {
        {"GetUser", "{\"UserName\":\"u\"}"},        {"UpdateUser", "{\"UserName\":\"u\",\"NewPath\":\"/\"}"},
        {"DeleteUser", "{\"UserName\":\"u\"}"},     {"ListUsers", "{}"},
        {"ListUserTags", "{\"UserName\":\"u\"}"},   {"CreateAccessKey", "{\"UserName\":\"u\"}"},
        {"ListAccessKeys", "{\"UserName\":\"u\"}"}, {"GetGroup", "{\"GroupName\":\"g\"}"},
    };
    store_document(f, WM_IAM_USER, "u", "{\"UserName\":\"u\"}");
    assert_corrupt(f, of_user, sizeof of_user / sizeof of_user[0]);
    store_document(f, WM_IAM_USER, "u", "");
    assert_corrupt(f, calls, 1); /* a member that there is not */
    store_document(f, WM_IAM_GROUP, id, "{\"GroupName\":\"g\"}");
    assert_corrupt(f, calls, sizeof calls / sizeof calls[0]);
    store_document(f, WM_IAM_GROUP, id, "");
    assert_corrupt(f, calls, sizeof calls / sizeof calls[0]);
    store_document(f, WM_IAM_GROUP_NAME, "g", "[]");
    assert_corrupt(f, calls, sizeof calls / sizeof calls[0]);
    store_document(f, WM_IAM_GROUP_NAME, "g", "x");
    assert_corrupt(f, calls, sizeof calls / sizeof calls[0]);
}

static void memory_that_ends_changes_nothing_by_half(void **state)
{
    struct fixture *f = *state;
    static const struct small_case cases[] = {
        {"CreateGroup", "{\"GroupName\":\"new\"}"},
        {"CreateUser", "{\"UserName\":\"new\",\"Tags\":[{\"Key\":\"a\",\"Value\":\"b\"}]}"},
        {"UpdateUser", "{\"UserName\":\"u\",\"NewUserName\":\"x\"}"},
        {"UpdateGroup", "{\"GroupName\":\"g\",\"NewGroupName\":\"x\"}"},
        {"AddUserToGroup", "{\"GroupName\":\"g\",\"UserName\":\"v\"}"},
        {"RemoveUserFromGroup", "{\"GroupName\":\"g\",\"UserName\":\"u\"}"},
        {"GetGroup", "{\"GroupName\":\"g\"}"},
        {"ListGroupsForUser", "{\"UserName\":\"u\"}"},
        {"CreateAccessKey", "{\"UserName\":\"v\"}"},
        {"ListAccessKeys", "{\"UserName\":\"u\"}"},
        {"TagUser", "{\"UserName\":\"u\",\"Tags\":[{\"Key\":\"a\",\"Value\":\"b\"}]}"},
    };
    iam_ok(f, "CreateGroup&GroupName=g");
    iam_ok(f, "CreateUser&UserName=u");
    iam_ok(f, "CreateUser&UserName=v");
    iam_ok(f, "CreateAccessKey&UserName=u");
    iam_ok(f, "AddUserToGroup&GroupName=g&UserName=u");
    assert_survives_small_arena(f, cases, sizeof cases / sizeof cases[0], 65536);
    iam_check_state(f);
}

int main(void)
{
#define GROUP(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
    static const struct CMUnitTest tests[] = {
        GROUP(a_group_lives_from_create_to_delete),
        GROUP(groups_with_policies_are_not_deleted),
        GROUP(what_is_wrong_with_groups_is_refused),
        GROUP(adding_and_removing_twice_changes_nothing),
        GROUP(a_user_is_in_ten_groups_at_most),
        GROUP(an_account_has_a_bounded_number_of_groups),
        GROUP(groups_and_their_users_are_listed_in_pages),
        GROUP(damaged_documents_are_errors_of_ours),
        GROUP(memory_that_ends_changes_nothing_by_half),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
