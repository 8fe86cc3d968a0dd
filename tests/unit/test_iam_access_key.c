#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/iam_call.h"

#include "waymark/banned.h"

/* A new key of the user; its id. */
static const char *create_key(struct fixture *f, const char *user)
{
    iam_ok(f, "CreateAccessKey&UserName=%s", user);
    return iam_copy(wm_json_get(f->answer, "AccessKey"), "AccessKeyId");
}

static void a_key_is_shown_whole_once_and_kept_nowhere(void **state)
{
    struct fixture *f = *state;
    iam_ok(f, "CreateUser&UserName=Alice");
    const char *user_id = iam_copy(wm_json_get(f->answer, "User"), "UserId");
    iam_ok(f, "CreateAccessKey&UserName=alice");
    const struct wm_json *key = wm_json_get(f->answer, "AccessKey");
    assert_text(key, "UserName", "Alice");
    assert_text(key, "Status", "Active");
    assert_int_equal(key->count, 5);
    assert_non_null(strstr(wm_buf_cstr(&f->out), "<CreateDate>2026-03-01T10:07:12Z</CreateDate>"));
    const char *id = iam_copy(key, "AccessKeyId"), *secret = iam_copy(key, "SecretAccessKey");
    assert_int_equal(strlen(id), 20);
    assert_memory_equal(id, "AKIA", 4);
    assert_int_equal(strlen(secret), 40);

    const char *document = stored_document(f, WM_IAM_ACCESS_KEY, id);
    struct wm_json *stored;
    assert_int_equal(wm_json_parse(&f->arena, wm_view_of(document), &stored, NULL), WM_OK);
    assert_text(stored, "UserId", user_id);
    char derived[WM_IAM_SECRET_BYTES];
    wm_iam_secret(f->env.master_key, wm_view_of(id), wm_json_get_text(stored, "Seed"), derived);
    assert_string_equal(derived, secret); /* what authentication will check against */
    for (size_t i = 0; i < f->reply.n_changes; i++)
        assert_null(strstr(f->reply.changes[i].document.ptr, secret));
    struct wm_buf record;
    wm_buf_init(&record, 65536);
    wm_json_write(&record, wm_service_redact_output(&f->arena, &wm_service_iam, f->operation, f->reply.document));
    assert_null(strstr(wm_buf_cstr(&record), secret));
    assert_non_null(strstr(wm_buf_cstr(&record), "\"secretAccessKey\":\"HIDDEN_DUE_TO_SECURITY_REASONS\""));
    assert_non_null(strstr(wm_buf_cstr(&record), "\"createDate\":\"2026-03-01T10:07:12Z\""));
    wm_buf_done(&record);

    iam_ok(f, "ListAccessKeys&UserName=alice");
    assert_null(strstr(wm_buf_cstr(&f->out), secret));
    assert_null(strstr(wm_buf_cstr(&f->out), "Seed"));
    assert_string_equal(iam_texts(wm_json_get(f->answer, "AccessKeyMetadata"), "AccessKeyId"), id);
}

static void a_user_has_two_keys_at_most(void **state)
{
    struct fixture *f = *state;
    iam_ok(f, "CreateUser&UserName=u");
    iam_ok(f, "ListAccessKeys&UserName=u");
    assert_non_null(strstr(wm_buf_cstr(&f->out), "<AccessKeyMetadata></AccessKeyMetadata>"));
    const char *first = create_key(f, "u"), *second = create_key(f, "u");
    assert_string_not_equal(first, second);
    assert_int_equal(iam(f, "CreateAccessKey&UserName=u"), 409);
    assert_iam_refused(f, 409, "LimitExceeded", "Cannot exceed quota for AccessKeysPerUser: 2");
    iam_ok(f, "ListAccessKeys&UserName=u&MaxItems=1");
    const char *marker = iam_copy(f->answer, "Marker");
    iam_ok(f, "ListAccessKeys&UserName=u&Marker=%s", marker);
    assert_int_equal(wm_json_get(f->answer, "AccessKeyMetadata")->count, 1);
    iam_ok(f, "DeleteAccessKey&UserName=u&AccessKeyId=%s", first);
    iam_ok(f, "ListAccessKeys&UserName=u");
    assert_string_equal(iam_texts(wm_json_get(f->answer, "AccessKeyMetadata"), "AccessKeyId"), second);
    (void)create_key(f, "u");
}

static void keys_are_made_inactive_and_active(void **state)
{
    struct fixture *f = *state;
    iam_ok(f, "CreateUser&UserName=u");
    iam_ok(f, "CreateUser&UserName=v");
    const char *id = create_key(f, "u");
    for (int i = 0; i < 2; i++) {
        const char *status = i ? "Active" : "Inactive";
        iam_ok(f, "UpdateAccessKey&UserName=u&AccessKeyId=%s&Status=%s", id, status);
        assert_null(f->answer);
        iam_ok(f, "ListAccessKeys&UserName=u");
        assert_string_equal(iam_texts(wm_json_get(f->answer, "AccessKeyMetadata"), "Status"), status);
    }
    const struct {
        const char *operation, *more;
        int status;
        const char *code;
    } cases[] = {
        {"UpdateAccessKey&UserName=u", "&Status=Expired", 400, "InvalidInput"},
        {"UpdateAccessKey&UserName=u", "&Status=active", 400, "ValidationError"},
        {"UpdateAccessKey&UserName=u", "", 400, "ValidationError"},
        {"UpdateAccessKey&UserName=v", "&Status=Active", 404, "NoSuchEntity"}, /* another user's */
        {"UpdateAccessKey&UserName=none", "&Status=Active", 404, "NoSuchEntity"},
        {"DeleteAccessKey&UserName=v", "", 404, "NoSuchEntity"},
        {"DeleteAccessKey&UserName=none", "", 404, "NoSuchEntity"},
        {"UpdateAccessKey&UserName=u", "X&Status=Active", 404, "NoSuchEntity"},
        {"DeleteAccessKey&UserName=u", "X", 404, "NoSuchEntity"},
        {"DeleteAccessKey&UserName=u", "*", 400, "ValidationError"},
        {"GetAccessKeyLastUsed", "X", 404, "NoSuchEntity"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(iam(f, "%s&AccessKeyId=%s%s", cases[i].operation, id, cases[i].more), cases[i].status);
        assert_refused(f, cases[i].status, cases[i].code, "");
    }
    assert_int_equal(iam(f, "DeleteAccessKey&UserName=u&AccessKeyId=AKIASHORT"), 400);
    assert_int_equal(iam(f, "CreateAccessKey&UserName=none"), 404);
    assert_int_equal(iam(f, "ListAccessKeys&UserName=none"), 404);
    assert_int_equal(iam(f, "GetAccessKeyLastUsed&AccessKeyId=%sX", id), 404);
    char message[100];
    (void)snprintf(message, sizeof message, "The Access Key with id %sX cannot be found.", id);
    assert_iam_refused(f, 404, "NoSuchEntity", message);
}

static void last_use_is_told(void **state)
{
    struct fixture *f = *state;
    iam_ok(f, "CreateUser&UserName=u");
    const char *id = create_key(f, "u");
    iam_ok(f, "GetAccessKeyLastUsed&AccessKeyId=%s", id);
    assert_text(f->answer, "UserName", "u");
    const struct wm_json *used = wm_json_get(f->answer, "AccessKeyLastUsed");
    assert_null(wm_json_get(used, "LastUsedDate"));
    assert_text(used, "ServiceName", "N/A");
    assert_text(used, "Region", "N/A");
    store_document(f, WM_IAM_LAST_USED, id,
                   "{\"LastUsedDate\":\"2026-02-03T04:05:06Z\",\"ServiceName\":\"sts\",\"Region\":\"us-west-2\"}");
    iam_ok(f, "GetAccessKeyLastUsed&AccessKeyId=%s", id);
    used = wm_json_get(f->answer, "AccessKeyLastUsed");
    assert_text(used, "LastUsedDate", "2026-02-03T04:05:06Z");
    assert_text(used, "ServiceName", "sts");
    assert_text(used, "Region", "us-west-2");
    iam_ok(f, "DeleteAccessKey&UserName=u&AccessKeyId=%s", id);
    assert_int_equal(f->reply.n_changes, 3);
    assert_int_equal(count_documents(f, WM_IAM_LAST_USED), 0);
}

static void without_a_name_the_caller_s_keys_are_meant(void **state)
{
    struct fixture *f = *state;
    iam_ok(f, "CreateUser&UserName=u");
    iam_ok(f, "CreateUser&UserName=v");
    const char *others = create_key(f, "v");
    f->identity = (struct wm_identity){.type = WM_IDENTITY_USER, .user_name = WM_LIT("u")};
    iam_ok(f, "CreateAccessKey");
    const char *id = iam_copy(wm_json_get(f->answer, "AccessKey"), "AccessKeyId");
    assert_text(wm_json_get(f->answer, "AccessKey"), "UserName", "u");
    iam_ok(f, "ListAccessKeys");
    assert_string_equal(iam_texts(wm_json_get(f->answer, "AccessKeyMetadata"), "AccessKeyId"), id);
    iam_ok(f, "UpdateAccessKey&AccessKeyId=%s&Status=Inactive", id);
    assert_int_equal(iam(f, "DeleteAccessKey&AccessKeyId=%s", others), 404);
    iam_ok(f, "DeleteAccessKey&AccessKeyId=%s", id);

    f->identity = (struct wm_identity){.type = WM_IDENTITY_ASSUMED_ROLE};
    char forms[4][200] = {"CreateAccessKey", "ListAccessKeys"};
    (void)snprintf(forms[2], sizeof forms[2], "UpdateAccessKey&Status=Active&AccessKeyId=%s", id);
    (void)snprintf(forms[3], sizeof forms[3], "DeleteAccessKey&AccessKeyId=%s", id);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(iam(f, "%s", forms[i]), 400);
        assert_iam_refused(f, 400, "ValidationError", "Must specify userName when calling with non-User credentials");
    }
}

static void root_s_key_is_shown_and_left_alone(void **state)
{
    struct fixture *f = *state;
    iam_ok(f, "ListAccessKeys");
    const struct wm_json *keys = wm_json_get(f->answer, "AccessKeyMetadata");
    assert_string_equal(iam_texts(keys, "AccessKeyId"), "AKIAROOTROOTROOTROOT");
    assert_string_equal(iam_texts(keys, "Status"), "Active");
    assert_null(wm_json_get(keys->first, "UserName"));
    assert_non_null(strstr(wm_buf_cstr(&f->out), "<CreateDate>2026-01-01T00:00:00Z</CreateDate>"));
    iam_ok(f, "GetAccessKeyLastUsed&AccessKeyId=AKIAROOTROOTROOTROOT");
    assert_null(wm_json_get(f->answer, "UserName"));
    assert_text(wm_json_get(f->answer, "AccessKeyLastUsed"), "Region", "N/A");
    static const char *const forms[] = {"CreateAccessKey", "DeleteAccessKey&AccessKeyId=AKIAROOTROOTROOTROOT",
                                        "UpdateAccessKey&AccessKeyId=AKIAROOTROOTROOTROOT&Status=Inactive"};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(iam(f, "%s", forms[i]), 400);
        assert_refused(f, 400, "UnmodifiableEntity", "The access key of root is in the file 'credentials'");
    }
    static const struct wm_identity_session session = {.mfa = false};
    f->identity.session = &session;
    iam_ok(f, "ListAccessKeys");
    assert_int_equal(wm_json_get(f->answer, "AccessKeyMetadata")->count, 0);
}

static void a_key_that_is_missing_is_an_error_of_ours(void **state)
{
    struct fixture *f = *state;
    iam_ok(f, "CreateUser&UserName=u");
    const char *id = create_key(f, "u");
    char update[200], delete[200];
    (void)snprintf(update, sizeof update, "{\"UserName\":\"u\",\"AccessKeyId\":\"%s\",\"Status\":\"Active\"}", id);
    (void)snprintf(delete, sizeof delete, "{\"UserName\":\"u\",\"AccessKeyId\":\"%s\"}", id);
    const struct small_case calls[] = {
        {"ListAccessKeys", "{\"UserName\":\"u\"}"},
        {"UpdateAccessKey", update},
        {"DeleteAccessKey", delete},
    };
    store_document(f, WM_IAM_ACCESS_KEY, id, "{}");
    assert_corrupt(f, calls, 3);
    store_document(f, WM_IAM_ACCESS_KEY, id, "");
    assert_corrupt(f, calls, 3);
    struct wm_json *params;
    struct wm_reply r;
    struct wm_view rename = WM_LIT("{\"UserName\":\"u\",\"NewUserName\":\"v\"}");
    assert_int_equal(wm_json_parse(&f->arena, rename, &params, NULL), WM_OK);
    assert_int_equal(run_operation(f, "UpdateUser", &f->arena, params, &r), WM_E_CORRUPT);
}

int main(void)
{
#define KEY(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
    static const struct CMUnitTest tests[] = {
        KEY(a_key_is_shown_whole_once_and_kept_nowhere),
        KEY(a_user_has_two_keys_at_most),
        KEY(keys_are_made_inactive_and_active),
        KEY(last_use_is_told),
        KEY(without_a_name_the_caller_s_keys_are_meant),
        KEY(root_s_key_is_shown_and_left_alone),
        KEY(a_key_that_is_missing_is_an_error_of_ours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
