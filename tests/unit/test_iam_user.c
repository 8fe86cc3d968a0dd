#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/iam_call.h"

#include "waymark/banned.h"

#define POLICY "arn:aws:iam::111122223333:policy/p"
#define POLICY2 "arn:aws:iam::111122223333:policy/team/p2"

static void create_user_answers_the_user(void **state)
{
    struct fixture *f = *state;
    iam_ok(f, "CreateUser&UserName=Al.ice%%2B=,@-_&Path=/a/b!/&Tags.member.1.Key=Team&Tags.member.1.Value=sport"
              "&Tags.member.2.Key=x&Tags.member.2.Value=");
    const struct wm_json *user = wm_json_get(f->answer, "User");
    assert_text(user, "UserName", "Al.ice+=,@-_");
    assert_text(user, "Path", "/a/b!/");
    assert_text(user, "Arn", "arn:aws:iam::111122223333:user/a/b!/Al.ice+=,@-_");
    struct wm_view id = wm_json_get_text(user, "UserId");
    assert_int_equal(id.len, 21);
    assert_true(wm_view_starts(id, "AIDA"));
    assert_non_null(strstr(wm_buf_cstr(&f->out), "<CreateDate>2026-03-01T10:07:12Z</CreateDate>"));
    assert_non_null(strstr(wm_buf_cstr(&f->out), "<Tags><member><Key>Team</Key><Value>sport</Value></member>"
                                                 "<member><Key>x</Key><Value></Value></member></Tags>"));
    const char *made = iam_copy(user, "UserId");
    iam_ok(f, "GetUser&UserName=AL.ICE%%2B=,@-_"); /* names are one whatever their case */
    user = wm_json_get(f->answer, "User");
    assert_text(user, "UserId", made);
    assert_text(user, "UserName", "Al.ice+=,@-_");
    assert_text(user, "CreateDate", "2026-03-01T10:07:12Z");
    assert_string_equal(iam_texts(wm_json_get(user, "Tags"), "Key"), "Team,x");
    iam_ok(f, "CreateUser&UserName=bob");
    user = wm_json_get(f->answer, "User");
    assert_text(user, "Path", "/");
    assert_text(user, "Arn", "arn:aws:iam::111122223333:user/bob");
    assert_null(wm_json_get(user, "Tags"));
    assert_null(wm_json_get(user, "PermissionsBoundary"));
    assert_int_equal(f->reply.n_changes, 1);
}

static void create_user_refuses_what_is_wrong(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *form;
        int status;
        const char *code, *part;
    } cases[] = {
        {"", 400, "ValidationError", "'UserName' is required"},
        {"UserName=", 400, "ValidationError", "1 to 64 characters"},
        {"UserName=a%20b", 400, "ValidationError", "letters, digits and _+=,.@-"},
        {"UserName=a%26b", 400, "ValidationError", "letters, digits"},
        {"UserName=a/b", 400, "ValidationError", "letters, digits"},
        {"UserName=%C3%A4", 400, "ValidationError", "letters, digits"},
        {"UserName=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 400, "ValidationError", "but it has 65"},
        {"UserName=x&Path=", 400, "ValidationError", "'Path'"},
        {"UserName=x&Path=a/", 400, "ValidationError", "'Path' must begin and end"},
        {"UserName=x&Path=/a", 400, "ValidationError", "'Path' must begin and end"},
        {"UserName=x&Path=//", 400, "ValidationError", "'Path' must begin and end"},
        {"UserName=x&Path=/a%20b/", 400, "ValidationError", "'Path' must begin and end"},
        {"UserName=x&Path=/%7F/", 400, "ValidationError", "'Path' must begin and end"},
        {"UserName=x&Tags.member.1.Key=a", 400, "ValidationError", "'Tags.Value' is required"},
        {"UserName=x&Tags.member.1.Key=&Tags.member.1.Value=v", 400, "ValidationError", "'Tags.Key' must have 1 to 128"},
        {"UserName=x&Tags.member.1.Key=a*&Tags.member.1.Value=v", 400, "ValidationError", "'Tags.Key' must have 1 to 128"},
        {"UserName=x&Tags.member.1.Key=a&Tags.member.1.Value=%3C", 400, "ValidationError", "'Tags.Value'"},
        {"UserName=x&Tags.member.1.Key=a&Tags.member.1.Value=v&Tags.member.2.Key=A&Tags.member.2.Value=w", 400,
         "InvalidInput", "Duplicate tag keys found"},
        {"UserName=x&Tags.member.1.Key=AWS:a&Tags.member.1.Value=v", 400, "InvalidInput", "aws: prefixed"},
        {"UserName=x&PermissionsBoundary=arn:aws:iam::1", 400, "ValidationError", "'PermissionsBoundary' must have 20"},
        {"UserName=x&PermissionsBoundary=arn:aws:iam::111122223333:user/p", 400, "InvalidInput", "is not valid."},
        {"UserName=x&PermissionsBoundary=" POLICY, 404, "NoSuchEntity", "Scope ARN: " POLICY " does not exist"},
        {"UserName=ALICE", 409, "EntityAlreadyExists", "User with name ALICE already exists."},
    };
    iam_ok(f, "CreateUser&UserName=alice");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(iam(f, "CreateUser&%s", cases[i].form), cases[i].status);
        assert_refused(f, cases[i].status, cases[i].code, cases[i].part);
    }
    assert_int_equal(count_documents(f, WM_IAM_USER), 1);
}

static void tags_are_at_most_fifty(void **state)
{
    struct fixture *f = *state;
    char form[8192] = "";
    size_t n = 0;
    for (int i = 1; i <= 51; i++) {
        n += (size_t)snprintf(form + n, sizeof form - n, "&Tags.member.%d.Key=k%d&Tags.member.%d.Value=v", i, i, i);
        if (i == 50)
            iam_ok(f, "CreateUser&UserName=fifty%s", form);
    }
    assert_int_equal(iam(f, "CreateUser&UserName=more%s", form), 400);
    assert_refused(f, 400, "ValidationError", "'Tags' must have 0 to 50 elements, but it has 51");
    iam_ok(f, "TagUser&UserName=fifty&Tags.member.1.Key=K50&Tags.member.1.Value=new");
    assert_int_equal(iam(f, "TagUser&UserName=fifty&Tags.member.1.Key=one&Tags.member.1.Value="), 409);
    assert_refused(f, 409, "LimitExceeded", "The number of tags has reached the maximum limit");
}

static void tags_are_added_replaced_and_removed(void **state)
{
    struct fixture *f = *state;
    iam_ok(f, "CreateUser&UserName=u&Tags.member.1.Key=a&Tags.member.1.Value=1");
    iam_ok(f, "TagUser&UserName=U&Tags.member.1.Key=A&Tags.member.1.Value=2&Tags.member.2.Key=%%C3%%BC%%20b&"
              "Tags.member.2.Value=%%C3%%A4");
    assert_null(f->answer);
    iam_ok(f, "ListUserTags&UserName=u");
    assert_string_equal(iam_texts(wm_json_get(f->answer, "Tags"), "Key"), "A,\xc3\xbc b"); /* the new spelling */
    assert_string_equal(iam_texts(wm_json_get(f->answer, "Tags"), "Value"), "2,\xc3\xa4");
    assert_non_null(strstr(wm_buf_cstr(&f->out), "<IsTruncated>false</IsTruncated>"));
    iam_ok(f, "UntagUser&UserName=u&TagKeys.member.1=a&TagKeys.member.2=none");
    iam_ok(f, "ListUserTags&UserName=u");
    assert_string_equal(iam_texts(wm_json_get(f->answer, "Tags"), "Key"), "\xc3\xbc b");
    iam_ok(f, "UntagUser&UserName=u&TagKeys.member.1=%%C3%%BC%%20b");
    iam_ok(f, "ListUserTags&UserName=u");
    assert_non_null(strstr(wm_buf_cstr(&f->out), "<Tags></Tags>"));
    iam_ok(f, "TagUser&UserName=u&Tags=");
    assert_int_equal(iam(f, "UntagUser&UserName=u&TagKeys.member.1="), 400);
    assert_refused(f, 400, "ValidationError", "'TagKeys'");
    for (size_t i = 0; i < 3; i++) {
        static const char *const calls[] = {"TagUser&UserName=none&Tags.member.1.Key=a&Tags.member.1.Value=b",
                                            "UntagUser&UserName=none&TagKeys.member.1=a", "ListUserTags&UserName=none"};
        assert_int_equal(iam(f, "%s", calls[i]), 404);
        assert_iam_refused(f, 404, "NoSuchEntity", "The user with name none cannot be found.");
    }
}

static void users_are_listed_in_pages_below_a_path(void **state)
{
    struct fixture *f = *state;
    char marker[600];
    iam_ok(f, "ListUsers");
    assert_non_null(strstr(wm_buf_cstr(&f->out), "<ListUsersResult><Users></Users><IsTruncated>false</IsTruncated>"));
    static const char *const users[] = {"b&Path=/x/", "A&Path=/x/y/", "d", "C&Path=/x/y/", "e&Path=/xx/"};
    for (size_t i = 0; i < 5; i++)
        iam_ok(f, "CreateUser&UserName=%s&Tags.member.1.Key=a&Tags.member.1.Value=1", users[i]);
    iam_ok(f, "ListUsers");
    assert_string_equal(iam_texts(wm_json_get(f->answer, "Users"), "UserName"), "A,b,C,d,e");
    assert_null(wm_json_get(wm_json_get(f->answer, "Users")->first, "Tags")); /* API Reference, ListUsers */
    iam_ok(f, "ListUsers&PathPrefix=/x/");
    assert_string_equal(iam_texts(wm_json_get(f->answer, "Users"), "UserName"), "A,b,C");
    iam_ok(f, "ListUsers&PathPrefix=/x/y");
    assert_string_equal(iam_texts(wm_json_get(f->answer, "Users"), "UserName"), "A,C");
    iam_ok(f, "ListUsers&MaxItems=2");
    assert_string_equal(iam_texts(wm_json_get(f->answer, "Users"), "UserName"), "A,b");
    assert_non_null(strstr(wm_buf_cstr(&f->out), "<IsTruncated>true</IsTruncated><Marker>"));
    (void)snprintf(marker, sizeof marker, "%s", iam_copy(f->answer, "Marker"));
    iam_ok(f, "DeleteUser&UserName=b"); /* a position stays right when what it stands at goes */
    iam_ok(f, "ListUsers&MaxItems=3&Marker=%s", marker);
    assert_string_equal(iam_texts(wm_json_get(f->answer, "Users"), "UserName"), "C,d,e");
    assert_null(wm_json_get(f->answer, "Marker"));
    assert_int_equal(iam(f, "ListGroups&Marker=%s", marker), 400);
    assert_refused(f, 400, "ValidationError", "'Marker'");
    marker[3] = marker[3] == '0' ? '1' : '0';
    assert_int_equal(iam(f, "ListUsers&Marker=%s", marker), 400);
    assert_refused(f, 400, "ValidationError", "'Marker'");
    static const char *const bad[] = {"MaxItems=0", "MaxItems=1001", "MaxItems=x", "Marker=", "PathPrefix=x",
                                      "PathPrefix=/%C3%A4"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(iam(f, "ListUsers&%s", bad[i]), 400);
        assert_refused(f, 400, "ValidationError", "Member '");
    }
}

static void get_user_without_a_name_is_the_caller(void **state)
{
    struct fixture *f = *state;
    iam_ok(f, "GetUser");
    const struct wm_json *user = wm_json_get(f->answer, "User");
    assert_text(user, "Arn", "arn:aws:iam::111122223333:root");
    assert_text(user, "UserId", "111122223333");
    assert_text(user, "Path", "/");
    assert_non_null(strstr(wm_buf_cstr(&f->out), "<CreateDate>2026-01-01T00:00:00Z</CreateDate>"));
    iam_ok(f, "CreateUser&UserName=alice");
    f->identity = (struct wm_identity){.type = WM_IDENTITY_USER, .user_name = WM_LIT("alice")};
    iam_ok(f, "GetUser");
    assert_text(wm_json_get(f->answer, "User"), "UserName", "alice");
    f->identity = (struct wm_identity){.type = WM_IDENTITY_ASSUMED_ROLE};
    assert_int_equal(iam(f, "GetUser"), 400);
    assert_iam_refused(f, 400, "ValidationError", "Must specify userName when calling with non-User credentials");
    assert_int_equal(iam(f, "GetUser&UserName=bob"), 404);
    assert_iam_refused(f, 404, "NoSuchEntity", "The user with name bob cannot be found.");
}

static void a_renamed_user_keeps_everything(void **state)
{
    struct fixture *f = *state;
    char id[30];
    iam_store_policy(f, POLICY);
    iam_ok(f, "CreateUser&UserName=alice&Tags.member.1.Key=a&Tags.member.1.Value=1&PermissionsBoundary=" POLICY);
    assert_true(wm_view_copy(wm_json_get_text(wm_json_get(f->answer, "User"), "UserId"), id, sizeof id));
    for (int i = 0; i < 10; i++) {
        iam_ok(f, "CreateGroup&GroupName=g%d", i);
        iam_ok(f, "AddUserToGroup&GroupName=g%d&UserName=alice", i);
    }
    iam_ok(f, "CreateAccessKey&UserName=alice");
    iam_ok(f, "CreateAccessKey&UserName=alice");
    iam_ok(f, "UpdateUser&UserName=alice&NewUserName=Bob&NewPath=/p/");
    assert_null(f->answer);
    assert_int_equal(f->reply.n_changes, 14); /* the most that one call changes: below WM_MAX_CHANGES */
    assert_null(stored_document(f, WM_IAM_USER, "alice"));
    iam_ok(f, "GetUser&UserName=bob");
    const struct wm_json *user = wm_json_get(f->answer, "User");
    assert_text(user, "UserId", id);
    assert_text(user, "Arn", "arn:aws:iam::111122223333:user/p/Bob");
    assert_text(wm_json_get(user, "PermissionsBoundary"), "PermissionsBoundaryArn", POLICY);
    assert_text(wm_json_get(user, "PermissionsBoundary"), "PermissionsBoundaryType", "PermissionsBoundaryPolicy");
    assert_string_equal(iam_texts(wm_json_get(user, "Tags"), "Value"), "1");
    iam_ok(f, "GetGroup&GroupName=g7");
    assert_string_equal(iam_texts(wm_json_get(f->answer, "Users"), "UserName"), "Bob");
    iam_ok(f, "ListAccessKeys&UserName=Bob");
    assert_string_equal(iam_texts(wm_json_get(f->answer, "AccessKeyMetadata"), "UserName"), "Bob,Bob");

    iam_ok(f, "UpdateUser&UserName=bob&NewUserName=BOB"); /* another spelling of its own name */
    iam_ok(f, "ListGroupsForUser&UserName=BOB");
    assert_int_equal(wm_json_get(f->answer, "Groups")->count, 10);
    iam_ok(f, "UpdateUser&UserName=bob&NewPath=/");
    iam_ok(f, "GetUser&UserName=bob");
    assert_text(wm_json_get(f->answer, "User"), "Arn", "arn:aws:iam::111122223333:user/BOB");
    iam_ok(f, "UpdateUser&UserName=bob");
    iam_ok(f, "CreateUser&UserName=alice");
    assert_int_equal(iam(f, "UpdateUser&UserName=bob&NewUserName=ALICE"), 409);
    assert_iam_refused(f, 409, "EntityAlreadyExists", "User with name ALICE already exists.");
    assert_int_equal(iam(f, "UpdateUser&UserName=none&NewUserName=x"), 404);
    assert_int_equal(iam(f, "UpdateUser&UserName=bob&NewUserName=a/b"), 400);
    assert_refused(f, 400, "ValidationError", "'NewUserName'");
}

static void a_user_in_use_is_not_deleted(void **state)
{
    struct fixture *f = *state;
    iam_store_policy(f, POLICY);
    iam_ok(f, "CreateUser&UserName=u&PermissionsBoundary=" POLICY);
    iam_ok(f, "CreateGroup&GroupName=g");
    iam_ok(f, "AddUserToGroup&GroupName=g&UserName=u");
    iam_ok(f, "CreateAccessKey&UserName=u");
    const char *key = iam_copy(wm_json_get(f->answer, "AccessKey"), "AccessKeyId");
    assert_int_equal(iam(f, "DeleteUser&UserName=u"), 409);
    assert_iam_refused(f, 409, "DeleteConflict", "Cannot delete entity, must delete access keys first.");
    iam_ok(f, "DeleteAccessKey&UserName=u&AccessKeyId=%s", key);
    assert_int_equal(iam(f, "DeleteUser&UserName=u"), 409);
    assert_iam_refused(f, 409, "DeleteConflict", "Cannot delete entity, must remove users from group first.");
    iam_ok(f, "RemoveUserFromGroup&GroupName=g&UserName=u");
    iam_ok(f, "PutUserPolicy&UserName=u&PolicyName=a&PolicyDocument=" ALLOW_ALL);
    iam_ok(f, "AttachUserPolicy&UserName=u&PolicyArn=" POLICY);
    assert_int_equal(iam(f, "DeleteUser&UserName=u"), 409);
    assert_iam_refused(f, 409, "DeleteConflict", "Cannot delete entity, must detach all policies first.");
    iam_ok(f, "DetachUserPolicy&UserName=u&PolicyArn=" POLICY);
    assert_int_equal(iam(f, "DeleteUser&UserName=u"), 409);
    assert_iam_refused(f, 409, "DeleteConflict", "Cannot delete entity, must delete policies first.");
    iam_ok(f, "DeleteUserPolicy&UserName=u&PolicyName=a");
    iam_ok(f, "DeleteUser&UserName=U"); /* the boundary's uses are counted down: see iam_check_state() */
    assert_int_equal(f->reply.n_changes, 2);
    assert_int_equal(iam(f, "DeleteUser&UserName=u"), 404);
    assert_iam_refused(f, 404, "NoSuchEntity", "The user with name u cannot be found.");
    assert_int_equal(count_documents(f, WM_IAM_USER), 0);
}

static void boundaries_are_put_replaced_and_removed(void **state)
{
    struct fixture *f = *state;
    iam_store_policy(f, POLICY);
    iam_store_policy(f, POLICY2);
    iam_ok(f, "CreateUser&UserName=u&PermissionsBoundary=" POLICY);
    assert_int_equal(f->reply.n_changes, 2);
    iam_ok(f, "CreateUser&UserName=v");
    iam_ok(f, "PutUserPermissionsBoundary&UserName=v&PermissionsBoundary=" POLICY);
    iam_ok(f, "PutUserPermissionsBoundary&UserName=v&PermissionsBoundary=" POLICY);
    iam_ok(f, "PutUserPermissionsBoundary&UserName=v&PermissionsBoundary=" POLICY2);
    assert_int_equal(f->reply.n_changes, 3);
    iam_ok(f, "GetUser&UserName=v");
    assert_text(wm_json_get(wm_json_get(f->answer, "User"), "PermissionsBoundary"), "PermissionsBoundaryArn", POLICY2);
    assert_int_equal(iam(f, "PutUserPermissionsBoundary&UserName=v&PermissionsBoundary=" POLICY "x"), 404);
    assert_refused(f, 404, "NoSuchEntity", "Scope ARN");
    assert_int_equal(iam(f, "PutUserPermissionsBoundary&UserName=v&PermissionsBoundary=arn:aws:s3:::bucket/policy/x"), 400);
    assert_refused(f, 400, "InvalidInput", "is not valid");
    assert_int_equal(iam(f, "PutUserPermissionsBoundary&UserName=none&PermissionsBoundary=" POLICY), 404);
    iam_ok(f, "DeleteUserPermissionsBoundary&UserName=v");
    iam_ok(f, "GetUser&UserName=v");
    assert_null(wm_json_get(wm_json_get(f->answer, "User"), "PermissionsBoundary"));
    assert_int_equal(iam(f, "DeleteUserPermissionsBoundary&UserName=v"), 404);
    assert_refused(f, 404, "NoSuchEntity", "has no permissions boundary");
    assert_int_equal(iam(f, "DeleteUserPermissionsBoundary&UserName=none"), 404);
}

/* No user that the quotas allow is so large; but a document that could not be stored must not be tried. */
static void a_document_that_grows_too_large_is_refused(void **state)
{
    struct fixture *f = *state;
    struct wm_buf document;
    wm_buf_init(&document, WM_MAX_DOCUMENT_BYTES);
    iam_ok(f, "CreateUser&UserName=u");
    wm_buf_add_str(&document, stored_document(f, WM_IAM_USER, "u"));
    const char *at = strstr(wm_buf_cstr(&document), "\"Policies\":{}");
    assert_non_null(at);
    wm_buf_truncate(&document, (size_t)(at - document.data));
    wm_buf_add_str(&document, "\"Attached\":[],\"Policies\":{\"p\":\"");
    while (document.len < WM_MAX_DOCUMENT_BYTES - 20)
        wm_buf_add_char(&document, 'x');
    wm_buf_add_str(&document, "\"}}");
    store_document(f, WM_IAM_USER, "u", wm_buf_cstr(&document));
    wm_buf_done(&document);
    assert_int_equal(iam(f, "TagUser&UserName=u&Tags.member.1.Key=key&Tags.member.1.Value=value"), 409);
    assert_refused(f, 409, "LimitExceeded", "The user takes more than 262144 bytes");
    iam_ok(f, "ListUserTags&UserName=u");
    assert_int_equal(wm_json_get(f->answer, "Tags")->count, 0);
}

static void an_account_has_a_bounded_number_of_users(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 5000; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "u%d", i);
        store_document(f, WM_IAM_USER, name, "{}");
    }
    assert_int_equal(call_query(f, IAM_VERSION, "Action=CreateUser&UserName=one-more"), 409);
    assert_iam_refused(f, 409, "LimitExceeded", "Cannot exceed quota for UsersPerAccount: 5000");
}

static void an_account_has_one_alias(void **state)
{
    struct fixture *f = *state;
    iam_ok(f, "ListAccountAliases");
    assert_non_null(strstr(wm_buf_cstr(&f->out), "<AccountAliases></AccountAliases><IsTruncated>false</IsTruncated>"));
    iam_ok(f, "CreateAccountAlias&AccountAlias=waymark-1");
    assert_null(f->answer);
    assert_int_equal(iam(f, "CreateAccountAlias&AccountAlias=waymark-1"), 409);
    assert_iam_refused(f, 409, "EntityAlreadyExists", "The account alias waymark-1 already exists.");
    iam_ok(f, "CreateAccountAlias&AccountAlias=other");
    iam_ok(f, "ListAccountAliases");
    assert_string_equal(iam_texts(wm_json_get(f->answer, "AccountAliases"), NULL), "other");
    assert_int_equal(iam(f, "DeleteAccountAlias&AccountAlias=waymark-1"), 404);
    assert_iam_refused(f, 404, "NoSuchEntity", "The account alias waymark-1 cannot be found.");
    static const char *const bad[] = {"ab", "-abc", "abc-", "a--b", "Abc", "a_b", "123456789012", "a.b"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(iam(f, "CreateAccountAlias&AccountAlias=%s", bad[i]), 400);
        assert_refused(f, 400, "ValidationError", "'AccountAlias' must have");
    }
    iam_ok(f, "DeleteAccountAlias&AccountAlias=other");
    assert_int_equal(count_documents(f, WM_IAM_ACCOUNT), 0);
    store_document(f, WM_IAM_ACCOUNT, WM_IAM_ALIAS_ID, "x");
    iam_ok(f, "ListAccountAliases"); /* as if there were none */
}

static void records_name_errors_by_their_shape(void **state)
{
    struct fixture *f = *state;
    static const char *const cases[][2] = {
        {"NoSuchEntity", "NoSuchEntityException"}, {"DeleteConflict", "DeleteConflictException"},
        {"ValidationError", "ValidationError"},    {"AccessDenied", "AccessDenied"},
        {"SignatureDoesNotMatch", "SignatureDoesNotMatch"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_true(
            wm_view_eq_str(wm_service_error_code(&f->arena, &wm_service_iam, cases[i][0]), cases[i][1]));
    const struct wm_service *others[] = {&wm_service_mediapackage, NULL};
    for (size_t i = 0; i < 2; i++)
        assert_true(wm_view_eq_str(wm_service_error_code(&f->arena, others[i], "NoSuchEntity"), "NoSuchEntity"));
    assert_int_equal(wm_service_error_code(&f->arena, &wm_service_iam, NULL).len, 0);
}

static void the_summary_counts(void **state)
{
    struct fixture *f = *state;
    iam_ok(f, "CreateUser&UserName=u");
    iam_ok(f, "CreateGroup&GroupName=g");
    iam_ok(f, "GetAccountSummary");
    const char *xml = wm_buf_cstr(&f->out);
    assert_non_null(strstr(xml, "<SummaryMap><entry><key>Users</key><value>1</value></entry>"));
    assert_non_null(strstr(xml, "<entry><key>Groups</key><value>1</value></entry>"));
    assert_non_null(strstr(xml, "<entry><key>UsersQuota</key><value>5000</value></entry>"));
}

int main(void)
{
#define USER(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
    static const struct CMUnitTest tests[] = {
        USER(create_user_answers_the_user),
        USER(create_user_refuses_what_is_wrong),
        USER(tags_are_at_most_fifty),
        USER(tags_are_added_replaced_and_removed),
        USER(users_are_listed_in_pages_below_a_path),
        USER(get_user_without_a_name_is_the_caller),
        USER(a_renamed_user_keeps_everything),
        USER(a_user_in_use_is_not_deleted),
        USER(boundaries_are_put_replaced_and_removed),
        USER(a_document_that_grows_too_large_is_refused),
        USER(an_account_has_a_bounded_number_of_users),
        USER(an_account_has_one_alias),
        USER(records_name_errors_by_their_shape),
        USER(the_summary_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
