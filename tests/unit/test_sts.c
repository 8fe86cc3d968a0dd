/* Credentials that end by themselves: who gets them, what is in them, what each refusal says, and what is recorded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/caller_rig.h"

#include "waymark/banned.h"

#define ACCOUNT_ROOT "arn:aws:iam::111122223333:root"
#define USER "arn:aws:iam::111122223333:user/noor"
#define ROLE "arn:aws:iam::111122223333:role/R"
#define ASSUME "AssumeRole&RoleArn=" ROLE "&RoleSessionName=run-7"
#define ADMIN "arn:aws:iam::aws:policy/AdministratorAccess"

static const char all_three[] = "[\"sts:AssumeRole\",\"sts:TagSession\",\"sts:SetSourceIdentity\"]";

/* A role that trusts this principal to do these actions, where this condition (a member with a comma before it) holds. */
static void make_role(struct fixture *f, const char *name, const char *principal, const char *actions, const char *condition)
{
    iam_ok(f, "CreateRole&RoleName=%s&MaxSessionDuration=7200&AssumeRolePolicyDocument="
              "{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"%s\"},\"Action\":%s%s}}",
           name, principal, actions, condition);
}

static void set_user_policy(struct fixture *f, const char *effect, const char *action)
{
    iam_ok(f, "PutUserPolicy&UserName=noor&PolicyName=p&PolicyDocument={\"Version\":\"2012-10-17\",\"Statement\":"
              "{\"Effect\":\"%s\",\"Action\":\"%s\",\"Resource\":\"*\"}}", effect, action);
}

static struct caller make_user(struct caller_rig *g)
{
    iam_ok(g->f, "CreateUser&UserName=noor");
    return caller_of_user(g->f, "noor");
}

static void assert_denied(struct caller_rig *g)
{
    assert_iam_refused(g->f, 403, "AccessDenied",
                       "User: " USER " is not authorized to perform: sts:AssumeRole on resource: " ROLE);
}

static void who_is_named_may(void **state)
{
    struct caller_rig *g = *state;
    struct caller who = make_user(g);
    make_role(g->f, "R", USER, "\"sts:AssumeRole\"", "");
    call_as(g, &who);
    sts_ok(g, ASSUME);
    const struct wm_json *d = g->f->reply.document;
    assert_int_equal(g->f->reply.n_changes, 0); /* nothing is stored for a session */
    assert_text(wm_json_get(d, "AssumedRoleUser"), "Arn", "arn:aws:sts::111122223333:assumed-role/R/run-7");
    struct wm_view id = wm_json_get_text(wm_json_get(d, "AssumedRoleUser"), "AssumedRoleId");
    assert_true(wm_view_starts(id, "AROA") && wm_view_ends(id, ":run-7"));
    assert_null(wm_json_get(d, "PackedPolicySize"));
    assert_null(wm_json_get(d, "SourceIdentity"));
    assert_non_null(strstr(wm_buf_cstr(&g->f->out), "<Expiration>2026-03-01T11:07:12Z</Expiration>"));
    /* A denial of his own still counts, and so does the end of the trust. */
    set_user_policy(g->f, "Deny", "sts:*");
    call_as(g, &who);
    assert_int_equal(sts(g, ASSUME), 403);
    assert_denied(g);
    iam_ok(g->f, "DeleteUserPolicy&UserName=noor&PolicyName=p");
    iam_ok(g->f, "UpdateAssumeRolePolicy&RoleName=R&PolicyDocument={\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\","
                 "\"Principal\":{\"AWS\":\"" USER "\"},\"Action\":\"sts:AssumeRole\"},{\"Effect\":\"Deny\",\"Principal\":"
                 "{\"AWS\":\"" USER "\"},\"Action\":\"sts:AssumeRole\"}]}");
    call_as(g, &who);
    assert_int_equal(sts(g, ASSUME), 403);
    assert_denied(g);
}

static void where_the_account_is_named_his_own_policies_must_allow(void **state)
{
    struct caller_rig *g = *state;
    struct caller who = make_user(g);
    make_role(g->f, "R", ACCOUNT_ROOT, "\"sts:AssumeRole\"", "");
    call_as(g, &who);
    assert_int_equal(sts(g, ASSUME), 403);
    assert_denied(g);
    set_user_policy(g->f, "Allow", "sts:AssumeRole");
    call_as(g, &who);
    sts_ok(g, ASSUME);
    iam_ok(g->f, "PutUserPermissionsBoundary&UserName=noor&PermissionsBoundary=arn:aws:iam::aws:policy/ReadOnlyAccess");
    call_as(g, &who);
    assert_int_equal(sts(g, ASSUME), 403);
}

/* One statement lets the account in, another one names him under a condition: only together with that it spares him a
 * permission of his own. */
static void a_name_counts_with_its_conditions_only(void **state)
{
    struct caller_rig *g = *state;
    struct caller who = make_user(g);
    iam_ok(g->f, "CreateRole&RoleName=R&AssumeRolePolicyDocument={\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\","
                 "\"Principal\":{\"AWS\":\"" ACCOUNT_ROOT "\"},\"Action\":\"sts:AssumeRole\"},{\"Effect\":\"Allow\",\"Principal\":"
                 "{\"AWS\":\"" USER "\"},\"Action\":\"sts:AssumeRole\",\"Condition\":{\"StringEquals\":"
                 "{\"sts:ExternalId\":\"e-1\"}}}]}");
    call_as(g, &who);
    assert_int_equal(sts(g, ASSUME), 403);
    assert_denied(g);
    assert_int_equal(sts(g, ASSUME "&ExternalId=e-2"), 403);
    sts_ok(g, ASSUME "&ExternalId=e-1");
}

static void a_role_that_is_not_there_is_refused_in_the_same_words(void **state)
{
    struct caller_rig *g = *state;
    struct caller who = make_user(g);
    set_user_policy(g->f, "Allow", "*");
    call_as(g, &who);
    assert_int_equal(sts(g, ASSUME), 403);
    assert_denied(g);
    iam_ok(g->f, "CreateRole&RoleName=R&Path=/x/&AssumeRolePolicyDocument={\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":"
                 "\"Allow\",\"Principal\":{\"AWS\":\"*\"},\"Action\":\"sts:AssumeRole\"}}");
    assert_int_equal(sts(g, ASSUME), 403); /* there is one of this name, but it has another ARN */
    assert_denied(g);
    assert_int_equal(sts(g, "AssumeRole&RoleArn=arn:aws:iam::444455556666:role/x/R&RoleSessionName=run-7"), 403);
    /* Nor does he learn which policies there are. */
    assert_int_equal(sts(g, ASSUME "&PolicyArns.member.1.arn=arn:aws:iam::111122223333:policy/secret"), 403);
    assert_denied(g);
    sts_ok(g, "AssumeRole&RoleArn=arn:aws:iam::111122223333:role/x/R&RoleSessionName=run-7");
}

static void who_was_trusted_is_not_his_namesake(void **state)
{
    struct caller_rig *g = *state;
    struct caller who = make_user(g);
    make_role(g->f, "R", USER, "\"sts:AssumeRole\"", "");
    iam_ok(g->f, "DeleteAccessKey&UserName=noor&AccessKeyId=%s", who.key_id);
    iam_ok(g->f, "DeleteUser&UserName=noor");
    who = make_user(g);
    call_as(g, &who);
    assert_int_equal(sts(g, ASSUME), 403);
    assert_denied(g);
}

static void conditions_of_the_trust_hold(void **state)
{
    struct caller_rig *g = *state;
    struct caller who = make_user(g);
    static const struct {
        const char *condition, *right, *wrong;
    } rows[] = {
        {"\"StringEquals\":{\"sts:ExternalId\":\"e-1\"}", "&ExternalId=e-1", "&ExternalId=e-2"},
        {"\"StringEquals\":{\"sts:ExternalId\":\"e-1\"}", "&ExternalId=e-1", ""},
        {"\"StringLike\":{\"sts:RoleSessionName\":\"run-*\"}", "", "&RoleSessionName=x7"},
        {"\"StringEquals\":{\"sts:RoleSessionName\":\"${aws:username}\"}", "&RoleSessionName=noor", ""},
        {"\"StringEquals\":{\"sts:SourceIdentity\":\"lena\"}", "&SourceIdentity=lena", "&SourceIdentity=noor"},
        {"\"StringEquals\":{\"sts:SourceIdentity\":\"lena\"}", "&SourceIdentity=lena", ""},
        {"\"StringEquals\":{\"aws:RequestTag/team\":\"news\"}", "&Tags.member.1.Key=team&Tags.member.1.Value=news",
         "&Tags.member.1.Key=team&Tags.member.1.Value=sport"},
        {"\"ForAllValues:StringEquals\":{\"aws:TagKeys\":[\"team\"]},\"Null\":{\"aws:TagKeys\":\"false\"}",
         "&Tags.member.1.Key=team&Tags.member.1.Value=news",
         "&Tags.member.1.Key=team&Tags.member.1.Value=news&Tags.member.2.Key=x&Tags.member.2.Value=y"},
        {"\"ForAnyValue:StringEquals\":{\"sts:TransitiveTagKeys\":\"team\"}",
         "&Tags.member.1.Key=team&Tags.member.1.Value=news&TransitiveTagKeys.member.1=team",
         "&Tags.member.1.Key=team&Tags.member.1.Value=news"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char condition[300];
        const char *const more[] = {rows[i].right, rows[i].wrong};
        (void)snprintf(condition, sizeof condition, ",\"Condition\":{%s}", rows[i].condition);
        make_role(g->f, "R", USER, all_three, condition);
        call_as(g, &who);
        for (int k = 0; k < 2; k++) {
            bool named = strstr(more[k], "RoleSessionName") != NULL;
            int status = sts(g, "AssumeRole&RoleArn=" ROLE "%s%s", named ? "" : "&RoleSessionName=run-7", more[k]);
            if (status != (k ? 403 : 200))
                fail_msg("%s with %s: %d", rows[i].condition, more[k], status);
        }
        iam_ok(g->f, "DeleteRole&RoleName=R");
    }
}

static void tags_and_source_identity_need_a_permission_of_their_own(void **state)
{
    struct caller_rig *g = *state;
    struct caller who = make_user(g);
    make_role(g->f, "R", USER, "\"sts:AssumeRole\"", "");
    call_as(g, &who);
    assert_int_equal(sts(g, ASSUME "&SourceIdentity=lena"), 403);
    assert_int_equal(sts(g, ASSUME "&Tags.member.1.Key=a&Tags.member.1.Value=b"), 403);
    sts_ok(g, ASSUME);
    iam_ok(g->f, "DeleteRole&RoleName=R");
    make_role(g->f, "R", USER, all_three, "");
    sts_ok(g, ASSUME "&SourceIdentity=lena&Tags.member.1.Key=a&Tags.member.1.Value=b");
    assert_text(g->f->reply.document, "SourceIdentity", "lena");
    assert_int_equal(iam_number(g->f->reply.document, "PackedPolicySize"), 1);
}

static void a_chain_hands_on_what_is_transitive(void **state)
{
    struct caller_rig *g = *state;
    struct caller who = make_user(g);
    make_role(g->f, "R", USER, all_three, "");
    make_role(g->f, "Next", ROLE, all_three, ",\"Condition\":{\"StringEquals\":{\"aws:RequestTag/job\":\"7\"}}");
    make_role(g->f, "Plain", ROLE, "\"sts:AssumeRole\"", "");
    call_as(g, &who);
    sts_ok(g, ASSUME "&SourceIdentity=lena&Tags.member.1.Key=job&Tags.member.1.Value=7&Tags.member.2.Key=own&Tags.member.2.Value=x"
                     "&TransitiveTagKeys.member.1=job");
    struct caller first = caller_of_answer(g->f);
    call_as(g, &first);
#define NEXT "AssumeRole&RoleArn=arn:aws:iam::111122223333:role/Next&RoleSessionName=second"
    sts_ok(g, NEXT "&Tags.member.1.Key=more&Tags.member.1.Value=y");
    assert_text(g->f->reply.document, "SourceIdentity", "lena");
    struct caller second = caller_of_answer(g->f);
    const struct wm_principal *p = identified(g, &second);
    assert_int_equal(p->n_tags, 2);
    assert_true(wm_view_eq_str(p->tags[0].key, "job") && wm_view_eq_str(p->tags[0].value, "7") && p->tags[0].transitive);
    assert_true(wm_view_eq_str(p->tags[1].key, "more") && !p->tags[1].transitive);
    assert_true(wm_view_eq_str(p->identity.session->source_identity, "lena"));
    wm_principal_release(p);

    sts_ok(g, NEXT "&SourceIdentity=lena");
    assert_int_equal(sts(g, NEXT "&SourceIdentity=noor"), 403);
    assert_refused(g->f, 403, "AccessDenied", "source identity lena");
    assert_int_equal(sts(g, NEXT "&Tags.member.1.Key=JOB&Tags.member.1.Value=8"), 400);
    assert_refused(g->f, 400, "InvalidParameterValue", "conflicts with a transitive tag key");
    assert_int_equal(sts(g, NEXT "&DurationSeconds=3601"), 400);
    assert_refused(g->f, 400, "ValidationError", "1 hour session limit for roles assumed by role chaining");
    sts_ok(g, NEXT "&DurationSeconds=3600");
    /* What is handed on must be allowed, too. */
    assert_int_equal(sts(g, "AssumeRole&RoleArn=arn:aws:iam::111122223333:role/Plain&RoleSessionName=second"), 403);
}

/* Of a role that is named, session policies still narrow the session. */
static void a_narrow_session_assumes_nothing_more(void **state)
{
    struct caller_rig *g = *state;
    struct caller who = make_user(g);
    make_role(g->f, "R", USER, all_three, "");
    make_role(g->f, "Next", ROLE, all_three, "");
    call_as(g, &who);
    sts_ok(g, ASSUME "&PolicyArns.member.1.arn=arn:aws:iam::aws:policy/ReadOnlyAccess");
    struct caller narrow = caller_of_answer(g->f);
    sts_ok(g, ASSUME "&PolicyArns.member.1.arn=" ADMIN);
    struct caller wide = caller_of_answer(g->f);
    call_as(g, &narrow);
    assert_int_equal(sts(g, NEXT), 403);
    call_as(g, &wide);
    sts_ok(g, NEXT);
}

static void root_assumes_no_role(void **state)
{
    struct caller_rig *g = *state;
    struct caller root = caller_root(g);
    make_role(g->f, "R", ACCOUNT_ROOT, "\"sts:AssumeRole\"", "");
    call_as(g, &root);
    assert_int_equal(sts(g, ASSUME), 403);
    assert_iam_refused(g->f, 403, "AccessDenied", "Roles may not be assumed by root accounts.");
}

static void what_is_wrong_is_said(void **state)
{
    struct caller_rig *g = *state;
    struct caller who = make_user(g);
    make_role(g->f, "R", USER, all_three, "");
    call_as(g, &who);
    static const struct {
        const char *form;
        int status;
        const char *code, *part;
    } rows[] = {
        {"AssumeRole&RoleSessionName=ab", 400, "ValidationError", "'RoleArn' is required"},
        {"AssumeRole&RoleArn=" ROLE, 400, "ValidationError", "'RoleSessionName' is required"},
        {"AssumeRole&RoleArn=" ROLE "&RoleSessionName=a", 400, "ValidationError", "2 to 64"},
        {"AssumeRole&RoleArn=" ROLE "&RoleSessionName=a%20b", 400, "ValidationError", "RoleSessionName"},
        {"AssumeRole&RoleArn=role/R/and-some-more&RoleSessionName=ab", 400, "ValidationError", "role/R/and-some-more is invalid"},
        {ASSUME "&DurationSeconds=899", 400, "ValidationError", "DurationSeconds"},
        {ASSUME "&DurationSeconds=43201", 400, "ValidationError", "DurationSeconds"},
        {ASSUME "&DurationSeconds=7201", 400, "ValidationError", "exceeds the MaxSessionDuration set for this role"},
        {ASSUME "&Policy=none", 400, "MalformedPolicyDocument", ""},
        {ASSUME "&Policy={\"Statement\":{\"Effect\":\"Allow\",\"Action\":\"*\"}}", 400, "MalformedPolicyDocument", "Resource"},
        {ASSUME "&PolicyArns.member.1.arn=arn:aws:iam::111122223333:policy/gone", 400, "ValidationError", "policy/gone"},
        {ASSUME "&Tags.member.1.Key=a&Tags.member.1.Value=1&Tags.member.2.Key=A&Tags.member.2.Value=2", 400,
         "InvalidParameterValue", "Duplicate tag keys"},
        {ASSUME "&Tags.member.1.Key=aws:a&Tags.member.1.Value=1", 400, "InvalidParameterValue", "aws: prefixed"},
        {ASSUME "&TransitiveTagKeys.member.1=a", 400, "InvalidParameterValue", "must be included in the requested tags"},
        {ASSUME "&SerialNumber=arn:aws:iam::111122223333:mfa/x&TokenCode=123456", 403, "AccessDenied",
         "MultiFactorAuthentication failed"},
        {ASSUME "&SourceIdentity=aws:x", 400, "ValidationError", "SourceIdentity"},
        {ASSUME "&ProvidedContexts.member.1.ProviderArn=x", 400, "ValidationError", "ProvidedContexts"},
        {"GetSessionToken&DurationSeconds=129601", 400, "ValidationError", "DurationSeconds"},
        {"GetSessionToken&TokenCode=123456", 403, "AccessDenied", "MultiFactorAuthentication failed"},
        {"GetAccessKeyInfo", 400, "ValidationError", "AccessKeyId"},
        {"GetAccessKeyInfo&AccessKeyId=AIDAEXAMPLEEXAMPLE", 400, "ValidationError", "AIDAEXAMPLEEXAMPLE is not valid"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (sts(g, "%s", rows[i].form) != rows[i].status)
            fail_msg("%s: %d", rows[i].form, g->f->reply.http_status);
        assert_refused(g->f, rows[i].status, rows[i].code, rows[i].part);
    }
}

static void what_does_not_fit_into_a_token_is_refused(void **state)
{
    struct caller_rig *g = *state;
    struct caller who = make_user(g);
    char form[8000];
    make_role(g->f, "R", USER, all_three, "");
    call_as(g, &who);
    for (int tags = 5; tags <= 12; tags += 7) {
        size_t n = 0;
        form[0] = '\0';
        for (int i = 1; i <= tags; i++)
            n += (size_t)snprintf(form + n, sizeof form - n, "&Tags.member.%d.Key=k%d&Tags.member.%d.Value=%0250d", i, i, i, i);
        int status = sts(g, ASSUME "%s", form);
        assert_int_equal(status, tags == 5 ? 200 : 400);
        if (status == 200)
            assert_int_equal(iam_number(g->f->reply.document, "PackedPolicySize"), 48);
        else
            assert_iam_refused(g->f, 400, "PackedPolicyTooLarge",
                               "Packed size of session tags and policies consumes 114% of allotted space.");
    }
    sts_ok(g, ASSUME "&Policy={\"Statement\":{\"Effect\":\"Allow\",\"Action\":\"*\",%1800s\"Resource\":\"*\"}}", "");
    assert_int_equal(iam_number(g->f->reply.document, "PackedPolicySize"), 3); /* blanks are not packed */
}

static void a_session_of_ones_own_opens_little(void **state)
{
    struct caller_rig *g = *state;
    struct caller who = make_user(g), root = caller_root(g);
    make_role(g->f, "R", USER, "\"sts:AssumeRole\"", "");
    call_as(g, &who);
    sts_ok(g, "GetSessionToken&DurationSeconds=900");
    assert_non_null(strstr(wm_buf_cstr(&g->f->out), "<Expiration>2026-03-01T10:22:12Z</Expiration>"));
    struct caller session = caller_of_answer(g->f);
    call_as(g, &session);
    assert_int_equal(sts(g, "GetSessionToken"), 403);
    assert_iam_refused(g->f, 403, "AccessDenied", "Cannot call GetSessionToken with session credentials");
    assert_int_equal(sts(g, "GetAccessKeyInfo&AccessKeyId=AKIAEXAMPLEEXAMPLE"), 403);
    sts_ok(g, "GetCallerIdentity");
    assert_text(g->f->reply.document, "Arn", USER);
    sts_ok(g, ASSUME);
    session = caller_of_answer(g->f);
    call_as(g, &session);
    assert_int_equal(sts(g, "GetSessionToken"), 403);
    sts_ok(g, "GetAccessKeyInfo&AccessKeyId=AKIAEXAMPLEEXAMPLE");
    assert_text(g->f->reply.document, "Account", "111122223333");
    call_as(g, &root);
    sts_ok(g, "GetSessionToken&DurationSeconds=43200"); /* an hour at most, in silence as AWS does it */
    assert_non_null(strstr(wm_buf_cstr(&g->f->out), "<Expiration>2026-03-01T11:07:12Z</Expiration>"));
}

/* The record names the key that was given, and until when it is good, but holds nothing that it could be used with. */
static void records_hold_no_credentials(void **state)
{
    struct caller_rig *g = *state;
    struct caller who = make_user(g);
    make_role(g->f, "R", USER, "\"sts:AssumeRole\"", "");
    call_as(g, &who);
    static const char *const calls[] = {ASSUME, "GetSessionToken"};
    for (size_t i = 0; i < 2; i++) {
        sts_ok(g, "%s", calls[i]);
        struct caller given = caller_of_answer(g->f);
        assert_true(g->f->operation->gives_access);
        const struct wm_json *shown =
            wm_service_redact_output(&g->f->arena, &wm_service_sts, g->f->operation, g->f->reply.document);
        const struct wm_json *c = wm_json_get(shown, "credentials");
        assert_text(c, "accessKeyId", given.key_id);
        assert_text(c, "secretAccessKey", "HIDDEN_DUE_TO_SECURITY_REASONS");
        assert_text(c, "sessionToken", "HIDDEN_DUE_TO_SECURITY_REASONS");
        assert_int_equal(wm_json_get(c, "expiration")->type, WM_JSON_TIME);
        struct wm_buf text;
        wm_buf_init(&text, 65536);
        wm_json_write(&text, shown);
        assert_null(strstr(wm_buf_cstr(&text), given.secret));
        assert_null(strstr(wm_buf_cstr(&text), given.token));
        wm_buf_done(&text);
    }
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, caller_rig_set_up, caller_rig_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(who_is_named_may),
        TEST(where_the_account_is_named_his_own_policies_must_allow),
        TEST(a_name_counts_with_its_conditions_only),
        TEST(a_role_that_is_not_there_is_refused_in_the_same_words),
        TEST(who_was_trusted_is_not_his_namesake),
        TEST(conditions_of_the_trust_hold),
        TEST(tags_and_source_identity_need_a_permission_of_their_own),
        TEST(a_chain_hands_on_what_is_transitive),
        TEST(a_narrow_session_assumes_nothing_more),
        TEST(root_assumes_no_role),
        TEST(what_is_wrong_is_said),
        TEST(what_does_not_fit_into_a_token_is_refused),
        TEST(a_session_of_ones_own_opens_little),
        TEST(records_hold_no_credentials),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
