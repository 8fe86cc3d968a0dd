/* Who has an access key, what he may do, and from when on he is somebody else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/principal.h"
#include "tests/unit/caller_rig.h"

#include "waymark/banned.h"

#define ROLE "arn:aws:iam::111122223333:role/ci/Deploy"
#define TRUST_ALL                                                                                                      \
    "{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"*\"},\"Action\":[\"sts:AssumeRole\"," \
    "\"sts:TagSession\",\"sts:SetSourceIdentity\"]}}"
#define READ_ONLY "arn:aws:iam::aws:policy/ReadOnlyAccess"
#define ADMIN "arn:aws:iam::aws:policy/AdministratorAccess"

/* What the principal's policies say to an action on anything; the first that speaks decides. */
static enum wm_decision decide(const struct wm_principal *p, const char *action)
{
    const struct wm_policy_request request = {.action = wm_view_of(action), .resource = WM_LIT("*")};
    struct wm_decided decided;
    wm_access_decide(p, &request, &decided);
    return decided.decision;
}

static void assert_view(struct wm_view got, const char *want)
{
    char text[2048];
    assert_true(wm_view_copy(got, text, sizeof text));
    assert_string_equal(text, want);
}

static struct caller make_user(struct fixture *f, const char *name)
{
    iam_ok(f, "CreateUser&UserName=%s&Path=/crew/&Tags.member.1.Key=team&Tags.member.1.Value=sport", name);
    return caller_of_user(f, name);
}

static void make_role(struct fixture *f)
{
    iam_ok(f, "CreateRole&RoleName=Deploy&Path=/ci/&MaxSessionDuration=7200&AssumeRolePolicyDocument=" TRUST_ALL
              "&Tags.member.1.Key=team&Tags.member.1.Value=sport&Tags.member.2.Key=Own&Tags.member.2.Value=yes");
    iam_ok(f, "PutRolePolicy&RoleName=Deploy&PolicyName=all&PolicyDocument=" ALLOW_ALL);
}

static void a_user_is_known_by_his_key(void **state)
{
    struct caller_rig *g = *state;
    struct caller who = make_user(g->f, "Noor");
    const struct wm_principal *p = identified(g, &who);
    assert_int_equal(p->identity.type, WM_IDENTITY_USER);
    assert_view(p->identity.arn, "arn:aws:iam::111122223333:user/crew/Noor");
    assert_view(p->identity.account_id, "111122223333");
    assert_view(p->identity.access_key_id, who.key_id);
    assert_view(p->identity.user_name, "Noor");
    assert_null(p->identity.session);
    assert_true(wm_view_starts(p->identity.principal_id, "AIDA"));
    assert_true(wm_view_eq(p->identity.principal_id, p->unique_id));
    assert_view(p->iam_arn, "arn:aws:iam::111122223333:user/crew/Noor");
    assert_view(p->name, "Noor");
    assert_int_equal(p->n_tags, 1);
    assert_view(p->tags[0].key, "team");
    assert_view(p->tags[0].value, "sport");
    assert_false(p->everything);
    assert_int_equal(p->n_policies, 0);
    assert_int_equal(decide(p, "mediapackage:ListChannels"), WM_DECIDED_NOT_ALLOWED);
    const struct wm_principal *again = identified(g, &who);
    assert_ptr_equal(again, p); /* kept */
    wm_principal_release(again);
    wm_principal_release(p);
}

static void a_wrong_secret_proves_nobody(void **state)
{
    struct caller_rig *g = *state;
    struct caller who = make_user(g->f, "noor");
    who.secret[3] ^= 1;
    assert_unknown(g, &who, WM_SIGV4_MISMATCH);
    who.secret[3] ^= 1;
    (void)snprintf(who.token, sizeof who.token, "a token, though it has none");
    assert_unknown(g, &who, WM_SIGV4_UNKNOWN_KEY);
    struct caller nobody = {.key_id = "AKIAAAAAAAAAAAAAAAAA", .secret = "none"};
    assert_unknown(g, &nobody, WM_SIGV4_UNKNOWN_KEY);
    struct caller root = caller_root(g);
    (void)snprintf(root.token, sizeof root.token, "a token");
    assert_unknown(g, &root, WM_SIGV4_UNKNOWN_KEY);
    root.token[0] = '\0';
    const struct wm_principal *p = identified(g, &root);
    assert_true(p->everything);
    wm_principal_release(p);
}

static void a_key_ends_with_its_user_and_its_status(void **state)
{
    struct caller_rig *g = *state;
    struct caller who = make_user(g->f, "noor");
    const struct wm_principal *p = identified(g, &who);
    wm_principal_release(p);
    iam_ok(g->f, "UpdateAccessKey&UserName=noor&AccessKeyId=%s&Status=Inactive", who.key_id);
    assert_unknown(g, &who, WM_SIGV4_UNKNOWN_KEY);
    iam_ok(g->f, "UpdateAccessKey&UserName=noor&AccessKeyId=%s&Status=Active", who.key_id);
    wm_principal_release(identified(g, &who));
    iam_ok(g->f, "UpdateUser&UserName=noor&NewUserName=Nora");
    p = identified(g, &who);
    assert_view(p->identity.user_name, "Nora");
    wm_principal_release(p);
    iam_ok(g->f, "DeleteAccessKey&UserName=nora&AccessKeyId=%s", who.key_id);
    assert_unknown(g, &who, WM_SIGV4_UNKNOWN_KEY);

    /* A key whose user is another one than the one that it was made for. */
    struct caller second = caller_of_user(g->f, "nora");
    char document[1024];
    assert_true(wm_view_copy(wm_view_of(stored_document(g->f, WM_IAM_ACCESS_KEY, second.key_id)), document, sizeof document));
    iam_ok(g->f, "DeleteAccessKey&UserName=nora&AccessKeyId=%s", second.key_id);
    iam_ok(g->f, "DeleteUser&UserName=nora");
    iam_ok(g->f, "CreateUser&UserName=nora");
    store_document(g->f, WM_IAM_ACCESS_KEY, second.key_id, document);
    assert_unknown(g, &second, WM_SIGV4_UNKNOWN_KEY);
}

static void a_user_has_the_policies_of_all_that_he_is_in(void **state)
{
    struct caller_rig *g = *state;
    struct caller who = make_user(g->f, "noor");
    iam_ok(g->f, "CreateGroup&GroupName=crew");
    iam_ok(g->f, "AddUserToGroup&GroupName=crew&UserName=noor");
    iam_ok(g->f, "PutUserPolicy&UserName=noor&PolicyName=own&PolicyDocument="
                 "{\"Statement\":{\"Effect\":\"Allow\",\"Action\":\"a:Own\",\"Resource\":\"*\"}}");
    iam_ok(g->f, "PutGroupPolicy&GroupName=crew&PolicyName=ours&PolicyDocument="
                 "{\"Statement\":{\"Effect\":\"Allow\",\"Action\":\"a:Group\",\"Resource\":\"*\"}}");
    iam_ok(g->f, "CreatePolicy&PolicyName=p&PolicyDocument="
                 "{\"Statement\":{\"Effect\":\"Allow\",\"Action\":\"a:Managed\",\"Resource\":\"*\"}}");
    iam_ok(g->f, "AttachUserPolicy&UserName=noor&PolicyArn=arn:aws:iam::111122223333:policy/p");
    iam_ok(g->f, "AttachGroupPolicy&GroupName=crew&PolicyArn=" READ_ONLY);
    const struct wm_principal *p = identified(g, &who);
    static const struct {
        const char *id, *type;
    } want[] = {{"own", "user"},
                {"arn:aws:iam::111122223333:policy/p", "IAM Policy"},
                {"ours", "group"},
                {READ_ONLY, "IAM Policy"}};
    assert_int_equal(p->n_policies, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_view(p->policies[i].id, want[i].id);
        assert_string_equal(p->policies[i].type, want[i].type);
    }
    static const char *const may[] = {"a:Own", "a:Group", "a:Managed", "mediapackage:ListChannels"};
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(decide(p, may[i]), WM_DECIDED_ALLOWED);
    assert_int_equal(decide(p, "mediapackage:CreateChannel"), WM_DECIDED_NOT_ALLOWED);
    wm_principal_release(p);

    /* The version in force counts. */
    iam_ok(g->f, "CreatePolicyVersion&PolicyArn=arn:aws:iam::111122223333:policy/p&SetAsDefault=true&PolicyDocument="
                 "{\"Statement\":{\"Effect\":\"Allow\",\"Action\":\"a:Second\",\"Resource\":\"*\"}}");
    p = identified(g, &who);
    assert_int_equal(decide(p, "a:Managed"), WM_DECIDED_NOT_ALLOWED);
    assert_int_equal(decide(p, "a:Second"), WM_DECIDED_ALLOWED);
    wm_principal_release(p);

    iam_ok(g->f, "PutUserPermissionsBoundary&UserName=noor&PermissionsBoundary=" READ_ONLY);
    p = identified(g, &who);
    assert_non_null(p->boundary);
    assert_int_equal(decide(p, "a:Own"), WM_DECIDED_BOUNDARY);
    assert_int_equal(decide(p, "mediapackage:ListChannels"), WM_DECIDED_ALLOWED);
    wm_principal_release(p);
    iam_ok(g->f, "RemoveUserFromGroup&GroupName=crew&UserName=noor");
    p = identified(g, &who);
    assert_int_equal(p->n_policies, 2);
    wm_principal_release(p);
}

/* The operations of IAM let nothing come to this: so the documents are written by hand. */
static void what_cannot_be_read_denies_everything(void **state)
{
    struct caller_rig *g = *state;
    struct caller who = make_user(g->f, "noor");
    char key[1024], document[4096];
    assert_true(wm_view_copy(wm_view_of(stored_document(g->f, WM_IAM_ACCESS_KEY, who.key_id)), key, sizeof key));
    const char *user_id = strstr(key, "\"UserId\":\"") + 10;
    static const char *const rest[] = {
        /* an inline policy that is none */
        "\"Groups\":[],\"Policies\":{\"all\":" "\"{\\\"Statement\\\":{\\\"Effect\\\":\\\"Allow\\\",\\\"Action\\\":\\\"*\\\","
        "\\\"Resource\\\":\\\"*\\\"}}\",\"bad\":\"{\"},\"Attached\":[]",
        /* attached, but there is none */
        "\"Groups\":[],\"Policies\":{},\"Attached\":[\"" ADMIN "\",\"arn:aws:iam::111122223333:policy/gone\"]",
        /* no boundary there */
        "\"Groups\":[],\"Policies\":{},\"Attached\":[\"" ADMIN "\"],"
        "\"PermissionsBoundary\":\"arn:aws:iam::111122223333:policy/gone\"",
        /* not even a text */
        "\"Groups\":[],\"Policies\":{\"bad\":7},\"Attached\":[\"" ADMIN "\"]",
    };
    for (size_t i = 0; i < sizeof rest / sizeof *rest; i++) {
        (void)snprintf(document, sizeof document,
                       "{\"UserName\":\"noor\",\"UserId\":\"%.21s\",\"Path\":\"/\",\"Arn\":\"arn:aws:iam::111122223333:user/noor\","
                       "\"CreateDate\":\"2026-03-01T10:07:12Z\",\"Tags\":[],\"AccessKeys\":[\"%s\"],%s}", user_id, who.key_id,
                       rest[i]);
        store_document(g->f, WM_IAM_USER, "noor", document);
        const struct wm_principal *p = identified(g, &who);
        enum wm_decision got = decide(p, "mediapackage:ListChannels");
        if (got != WM_DECIDED_DENIED && got != WM_DECIDED_DENIED_BOUNDARY)
            fail_msg("case %zu: %d", i, (int)got);
        wm_principal_release(p);
    }
    /* A group that is not there, and documents that are none: nobody can be proven, and that is our failure. */
    (void)snprintf(document, sizeof document,
                   "{\"UserName\":\"noor\",\"UserId\":\"%.21s\",\"Path\":\"/\",\"Arn\":\"arn:aws:iam::111122223333:user/noor\","
                   "\"Tags\":[],\"AccessKeys\":[],\"Groups\":[\"AGPAGONE\"],\"Policies\":{},\"Attached\":[]}", user_id);
    store_document(g->f, WM_IAM_USER, "noor", document);
    assert_unknown(g, &who, WM_SIGV4_NOT_FOUND_OUT);
    store_document(g->f, WM_IAM_USER, "noor", "no JSON");
    assert_unknown(g, &who, WM_SIGV4_NOT_FOUND_OUT);
    store_document(g->f, WM_IAM_ACCESS_KEY, who.key_id, "no JSON");
    assert_unknown(g, &who, WM_SIGV4_NOT_FOUND_OUT);
}

static struct caller assume(struct caller_rig *g, const struct caller *by, const char *more)
{
    call_as(g, by);
    sts_ok(g, "AssumeRole&RoleArn=" ROLE "&RoleSessionName=run-7%s", more);
    return caller_of_answer(g->f);
}

static void a_session_is_the_role_with_what_it_was_given(void **state)
{
    struct caller_rig *g = *state;
    struct caller who = make_user(g->f, "noor");
    make_role(g->f);
    struct caller session = assume(g, &who, "&SourceIdentity=lena&Tags.member.1.Key=TEAM&Tags.member.1.Value=news"
                                            "&Tags.member.2.Key=job&Tags.member.2.Value=7&TransitiveTagKeys.member.1=job");
    const struct wm_principal *p = identified(g, &session);
    const struct wm_identity_session *s = p->identity.session;
    char arn[128];
    assert_int_equal(p->identity.type, WM_IDENTITY_ASSUMED_ROLE);
    assert_view(p->identity.arn, "arn:aws:sts::111122223333:assumed-role/Deploy/run-7");
    (void)snprintf(arn, sizeof arn, "%.*s:run-7", WM_ARG(p->unique_id));
    assert_view(p->identity.principal_id, arn);
    assert_view(p->identity.access_key_id, session.key_id);
    assert_true(wm_view_starts(p->identity.access_key_id, "ASIA"));
    assert_int_equal(p->identity.user_name.len, 0);
    assert_view(p->iam_arn, ROLE);
    assert_view(p->name, "Deploy");
    assert_view(s->issuer_type, "Role");
    assert_true(wm_view_eq(s->issuer_principal_id, p->unique_id));
    assert_view(s->issuer_arn, ROLE);
    assert_view(s->issuer_account_id, "111122223333");
    assert_view(s->issuer_user_name, "Deploy");
    assert_view(s->source_identity, "lena");
    assert_true(s->created.ns == CALL_NOW.ns / WM_NS_PER_S * WM_NS_PER_S);
    assert_true(p->expires.ns == s->created.ns + 3600 * WM_NS_PER_S);
    assert_false(s->mfa);
    assert_int_equal(p->n_tags, 3);
    assert_view(p->tags[0].key, "TEAM"); /* instead of the role's */
    assert_view(p->tags[0].value, "news");
    assert_false(p->tags[0].transitive);
    assert_view(p->tags[1].key, "job");
    assert_true(p->tags[1].transitive);
    assert_view(p->tags[2].key, "Own");
    assert_string_equal(p->policies[0].type, "role");
    assert_int_equal(decide(p, "mediapackage:CreateChannel"), WM_DECIDED_ALLOWED);
    wm_principal_release(p);

    session = assume(g, &who, "&PolicyArns.member.1.arn=" READ_ONLY "&Policy={ \"Statement\" : {\"Effect\":\"Allow\",\"Action\":"
                              "\"a:Own\",\"Resource\":\"*\"} }");
    p = identified(g, &session);
    assert_int_equal(p->n_session, 2);
    assert_int_equal(decide(p, "a:Own"), WM_DECIDED_ALLOWED);
    assert_int_equal(decide(p, "mediapackage:ListChannels"), WM_DECIDED_ALLOWED);
    assert_int_equal(decide(p, "mediapackage:CreateChannel"), WM_DECIDED_SESSION);
    wm_principal_release(p);
}

static void a_session_ends_when_its_time_is_over(void **state)
{
    struct caller_rig *g = *state;
    struct caller who = make_user(g->f, "noor");
    make_role(g->f);
    struct caller session = assume(g, &who, "&DurationSeconds=900");
    g->f->now.ns = CALL_NOW.ns / WM_NS_PER_S * WM_NS_PER_S + 900 * WM_NS_PER_S - 1;
    wm_principal_release(identified(g, &session));
    g->f->now.ns++;
    assert_unknown(g, &session, WM_SIGV4_TOKEN_EXPIRED); /* who is kept */
    assert_string_equal(g->message, "The security token included in the request is expired");
    iam_ok(g->f, "CreateUser&UserName=other"); /* and is now out of date */
    assert_unknown(g, &session, WM_SIGV4_TOKEN_EXPIRED);
}

static void a_token_belongs_to_its_key_and_to_us(void **state)
{
    struct caller_rig *g = *state;
    struct caller who = make_user(g->f, "noor");
    make_role(g->f);
    struct caller first = assume(g, &who, ""), second = assume(g, &who, "");
    struct caller mixed = first;
    memcpy(mixed.token, second.token, sizeof mixed.token);
    assert_unknown(g, &mixed, WM_SIGV4_UNKNOWN_KEY);
    wm_principal_release(identified(g, &first)); /* now it is kept */
    assert_unknown(g, &mixed, WM_SIGV4_UNKNOWN_KEY);
    mixed.token[0] = '\0';
    assert_unknown(g, &mixed, WM_SIGV4_UNKNOWN_KEY);
    mixed = first;
    mixed.token[20] = mixed.token[20] == 'A' ? 'B' : 'A';
    assert_unknown(g, &mixed, WM_SIGV4_UNKNOWN_KEY);
    mixed = first;
    mixed.secret[0] ^= 1;
    assert_unknown(g, &mixed, WM_SIGV4_MISMATCH);
    wm_principal_release(identified(g, &second));
}

static void a_session_ends_with_its_role(void **state)
{
    struct caller_rig *g = *state;
    struct caller who = make_user(g->f, "noor");
    make_role(g->f);
    struct caller session = assume(g, &who, "");
    wm_principal_release(identified(g, &session));
    iam_ok(g->f, "DeleteRolePolicy&RoleName=Deploy&PolicyName=all");
    const struct wm_principal *p = identified(g, &session);
    assert_int_equal(decide(p, "mediapackage:ListChannels"), WM_DECIDED_NOT_ALLOWED);
    wm_principal_release(p);
    iam_ok(g->f, "DeleteRole&RoleName=Deploy");
    assert_unknown(g, &session, WM_SIGV4_UNKNOWN_KEY);
    make_role(g->f); /* another one, though its name is the same */
    assert_unknown(g, &session, WM_SIGV4_UNKNOWN_KEY);
}

static void a_session_of_ones_own_is_none_to_iam(void **state)
{
    struct caller_rig *g = *state;
    struct caller who = make_user(g->f, "noor"), root = caller_root(g);
    iam_ok(g->f, "AttachUserPolicy&UserName=noor&PolicyArn=" ADMIN);
    const struct caller *callers[] = {&who, &root};
    for (size_t i = 0; i < 2; i++) {
        const struct wm_principal *p = NULL;
        call_as(g, callers[i]);
        sts_ok(g, "GetSessionToken");
        struct caller session = caller_of_answer(g->f);
        p = identified(g, &session);
        assert_int_equal(p->identity.type, i ? WM_IDENTITY_ROOT : WM_IDENTITY_USER);
        assert_true(p->everything == (i == 1));
        assert_non_null(p->identity.session);
        assert_int_equal(p->identity.session->issuer_type.len, 0);
        assert_view(p->identity.access_key_id, session.key_id);
        assert_true(p->expires.ns == p->identity.session->created.ns + (i ? 3600 : 43200) * WM_NS_PER_S);
        if (!i)
            assert_int_equal(decide(p, "mediapackage:CreateChannel"), WM_DECIDED_ALLOWED);
        wm_principal_release(p);
        p = NULL;
        assert_int_equal(identify(g, &session, "iam", &p), WM_SIGV4_OK);
        assert_false(wm_auth_opens(p, WM_LIT("iam")));
        assert_true(wm_auth_opens(p, WM_LIT("sts")));
        wm_principal_release(p);
    }
    /* It is his for as long as he is there, whatever becomes of the key. */
    call_as(g, &who);
    sts_ok(g, "GetSessionToken");
    struct caller session = caller_of_answer(g->f);
    iam_ok(g->f, "DeleteAccessKey&UserName=noor&AccessKeyId=%s", who.key_id);
    wm_principal_release(identified(g, &session));
    iam_ok(g->f, "DetachUserPolicy&UserName=noor&PolicyArn=" ADMIN);
    iam_ok(g->f, "DeleteUser&UserName=noor");
    assert_unknown(g, &session, WM_SIGV4_UNKNOWN_KEY);
}

static enum wm_sigv4_result confirm(struct caller_rig *g, const struct wm_principal **p)
{
    wm_state_lock(g->f->state);
    enum wm_sigv4_result result = wm_auth_confirm(g->auth, &g->claim, g->f->now, p, g->message);
    wm_state_unlock(g->f->state);
    return result;
}

static void who_was_identified_is_looked_at_once_more(void **state)
{
    struct caller_rig *g = *state;
    struct caller who = make_user(g->f, "noor");
    const struct wm_principal *p = identified(g, &who), *before = p;
    store_document(g->f, "mediapackage.channel", "c", "{}"); /* no matter of his */
    store_document(g->f, WM_IAM_LAST_USED, who.key_id, "{}");
    assert_true(wm_auth_is_current(g->auth, p));
    assert_int_equal(confirm(g, &p), WM_SIGV4_OK);
    assert_ptr_equal(p, before);
    iam_ok(g->f, "AttachUserPolicy&UserName=noor&PolicyArn=" ADMIN);
    assert_false(wm_auth_is_current(g->auth, p));
    assert_int_equal(decide(p, "a:B"), WM_DECIDED_NOT_ALLOWED);
    assert_int_equal(confirm(g, &p), WM_SIGV4_OK);
    assert_int_equal(decide(p, "a:B"), WM_DECIDED_ALLOWED);
    assert_true(wm_auth_is_current(g->auth, p));
    iam_ok(g->f, "UpdateAccessKey&UserName=noor&AccessKeyId=%s&Status=Inactive", who.key_id);
    assert_int_equal(confirm(g, &p), WM_SIGV4_UNKNOWN_KEY);
    assert_null(p);

    iam_ok(g->f, "UpdateAccessKey&UserName=noor&AccessKeyId=%s&Status=Active", who.key_id);
    p = identified(g, &who);
    char document[1024]; /* the same id with another secret: who proved the old one has proven nothing of this */
    assert_true(wm_view_copy(wm_view_of(stored_document(g->f, WM_IAM_ACCESS_KEY, who.key_id)), document, sizeof document));
    char *seed = strstr(document, "\"Seed\":\"") + 8;
    *seed = *seed == '0' ? '1' : '0';
    store_document(g->f, WM_IAM_ACCESS_KEY, who.key_id, document);
    assert_int_equal(confirm(g, &p), WM_SIGV4_UNKNOWN_KEY);
    assert_null(p);

    struct caller root = caller_root(g);
    p = identified(g, &root);
    iam_ok(g->f, "CreateUser&UserName=other");
    before = p;
    assert_int_equal(confirm(g, &p), WM_SIGV4_OK);
    assert_ptr_equal(p, before);
    wm_principal_release(p);
}

static bool note(struct caller_rig *g, const struct wm_principal *p, const char *service)
{
    struct wm_change change;
    wm_state_lock(g->f->state);
    bool is = wm_auth_note_use(g->auth, p, wm_view_of(service), g->f->now, &g->f->arena, &change);
    if (is) {
        assert_int_equal(wm_state_reserve(g->f->state, &change, 1, NULL), WM_OK);
        wm_state_apply(g->f->state, &change, 1);
    }
    wm_state_unlock(g->f->state);
    return is;
}

static void a_use_is_noted_once_a_minute(void **state)
{
    struct caller_rig *g = *state;
    struct caller who = make_user(g->f, "noor"), root = caller_root(g);
    const struct wm_principal *p = identified(g, &who);
    assert_true(note(g, p, "mediapackage"));
    assert_string_equal(stored_document(g->f, WM_IAM_LAST_USED, who.key_id),
                        "{\"LastUsedDate\":\"2026-03-01T10:07:12Z\",\"ServiceName\":\"mediapackage\",\"Region\":\"us-west-2\"}");
    assert_false(note(g, p, "sts"));
    g->f->now.ns += 59 * WM_NS_PER_S;
    assert_false(note(g, p, "sts"));
    iam_ok(g->f, "CreateUser&UserName=other"); /* loaded anew: what is stored counts */
    wm_principal_release(p);
    p = identified(g, &who);
    assert_false(note(g, p, "sts"));
    g->f->now.ns += WM_NS_PER_S;
    assert_true(note(g, p, "sts"));
    assert_non_null(strstr(stored_document(g->f, WM_IAM_LAST_USED, who.key_id), "10:08:12Z\",\"ServiceName\":\"sts\""));
    g->f->now.ns -= 3600 * WM_NS_PER_S; /* the clock was set back */
    assert_true(note(g, p, "iam"));
    wm_principal_release(p);

    make_role(g->f); /* of a role, whatever the session */
    struct caller first = assume(g, &who, ""), second = assume(g, &who, "");
    p = identified(g, &first);
    const struct wm_principal *q = identified(g, &second);
    char id[32];
    assert_true(wm_view_copy(p->unique_id, id, sizeof id));
    assert_true(note(g, p, "sts"));
    assert_false(note(g, q, "sts"));
    g->f->now.ns += 60 * WM_NS_PER_S;
    assert_true(note(g, q, "sts"));
    assert_false(note(g, p, "sts"));
    assert_non_null(strstr(stored_document(g->f, WM_IAM_LAST_USED, id), "09:09:12Z"));
    wm_principal_release(p);
    wm_principal_release(q);
    p = identified(g, &root); /* is nowhere asked for */
    assert_false(note(g, p, "sts"));
    wm_principal_release(p);
}

/* ---- the cache ---- */

static struct wm_held_principal *load(struct caller_rig *g, const struct caller *who)
{
    const struct wm_principal_source from = {g->f->state, g->f->env.account_id, "aws", g->f->env.master_key};
    struct wm_held_principal *p = NULL;
    wm_state_lock(g->f->state);
    assert_int_equal(wm_principal_load_key(&from, wm_view_of(who->key_id), &p), WM_OK);
    wm_state_unlock(g->f->state);
    return p;
}

static void the_cache_keeps_those_used_last(void **state)
{
    struct caller_rig *g = *state;
    enum { N = 4 };
    struct caller who[N];
    struct wm_held_principal *p[N];
    for (size_t i = 0; i < N; i++) {
        char name[8];
        (void)snprintf(name, sizeof name, "u%zu", i);
        iam_ok(g->f, "CreateUser&UserName=%s", name);
        who[i] = caller_of_user(g->f, name);
        p[i] = load(g, &who[i]);
    }
    struct wm_principal_cache *c = wm_principal_cache_new(3 * p[0]->bytes);
    assert_non_null(c);
    for (size_t i = 0; i < 3; i++)
        wm_principal_cache_put(c, p[i]);
    struct wm_held_principal *got = wm_principal_cache_get(c, wm_view_of(who[0].key_id));
    assert_ptr_equal(got, p[0]);
    wm_principal_release(&got->face);
    wm_principal_cache_put(c, p[3]); /* in the place of the second, which was used before the first */
    assert_null(wm_principal_cache_get(c, wm_view_of(who[1].key_id)));
    for (size_t i = 0; i < N; i++)
        if (i != 1) {
            got = wm_principal_cache_get(c, wm_view_of(who[i].key_id));
            assert_ptr_equal(got, p[i]);
            wm_principal_release(&got->face);
        }
    struct wm_held_principal *fresh = load(g, &who[2]); /* takes the place of the old one of its key */
    wm_principal_cache_put(c, fresh);
    got = wm_principal_cache_get(c, wm_view_of(who[2].key_id));
    assert_ptr_equal(got, fresh);
    wm_principal_release(&got->face);
    assert_view(p[1]->face.name, "u1"); /* who is held is there, kept or not */
    assert_view(p[2]->face.name, "u2");
    wm_principal_cache_free(c);
    assert_view(fresh->face.name, "u2");
    wm_principal_release(&fresh->face);

    c = wm_principal_cache_new(p[0]->bytes - 1); /* too small for any */
    wm_principal_cache_put(c, p[0]);
    assert_null(wm_principal_cache_get(c, wm_view_of(who[0].key_id)));
    wm_principal_cache_free(c);
    for (size_t i = 0; i < N; i++)
        wm_principal_release(&p[i]->face);
}

/* By the system's count: small policies take up far more than their texts. */
static void the_cache_counts_what_policies_take_up(void **state)
{
    struct caller_rig *g = *state;
    iam_ok(g->f, "CreateUser&UserName=u");
    struct caller who = caller_of_user(g->f, "u");
    for (unsigned i = 0; i < 20; i++)
        iam_ok(g->f, "PutUserPolicy&UserName=u&PolicyName=p%u&PolicyDocument={\"Statement\":{\"Effect\":\"Allow\","
                     "\"Action\":\"a:B\",\"Resource\":\"*\"}}", i);
    struct wm_held_principal *p = load(g, &who);
    size_t takes = 0;
    assert_int_equal(p->face.n_policies, 20);
    for (size_t i = 0; i < p->face.n_policies; i++)
        takes += wm_policy_bytes(p->face.policies[i].policy);
    assert_true(takes >= 20 * 16384u); /* a piece of the arena each */
    assert_true(p->bytes > takes);
    wm_principal_release(&p->face);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, caller_rig_set_up, caller_rig_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_user_is_known_by_his_key),
        TEST(a_wrong_secret_proves_nobody),
        TEST(a_key_ends_with_its_user_and_its_status),
        TEST(a_user_has_the_policies_of_all_that_he_is_in),
        TEST(what_cannot_be_read_denies_everything),
        TEST(a_session_is_the_role_with_what_it_was_given),
        TEST(a_session_ends_when_its_time_is_over),
        TEST(a_token_belongs_to_its_key_and_to_us),
        TEST(a_session_ends_with_its_role),
        TEST(a_session_of_ones_own_is_none_to_iam),
        TEST(who_was_identified_is_looked_at_once_more),
        TEST(a_use_is_noted_once_a_minute),
        TEST(the_cache_keeps_those_used_last),
        TEST(the_cache_counts_what_policies_take_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
