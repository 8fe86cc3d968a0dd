/*
 * No call stands in the journal behind the change that took its permission away and was run with it: two threads, one that
 * calls, and one that gives and takes the permission; then the journal is read and each entry compared with those before it.
 * And what else a caller who is not root leaves in the journal.
 */
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "server/session_token.h"
#include "tests/support/dispatch_rig.h"
#include "waymark/sync.h"

#include "waymark/banned.h"

#define ROUNDS 40
#define USERS 150

struct world {
    struct dispatch_rig rig;
    char user_id[32], user_secret[64];
    struct client *caller; /* who calls in a thread of his own */
    bool describes;        /* what he calls */
    atomic_bool stop;
    atomic_size_t calls;   /* of his, that have been answered */
};

static int call(struct client *c, const char *method, const char *path, const char *service, const char *form)
{
    client_prepare(c, method, path, service, form);
    wm_dispatch(&c->rig->dispatcher, c->cache, &c->request);
    assert_true(c->request.seq > 0);
    return c->request.status;
}

static int call_iam(struct client *c, const char *form)
{
    char text[2048];
    (void)snprintf(text, sizeof text, "Version=2010-05-08&Action=%s", form);
    return call(c, "POST", "/", "iam", text);
}

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    dispatch_rig_open(&w->rig);
    struct client root;
    client_begin(&root, &w->rig, w->rig.root_id, w->rig.root_secret);
    assert_int_equal(call_iam(&root, "CreateUser&UserName=noor"), 200);
    assert_int_equal(call_iam(&root, "CreateAccessKey&UserName=noor"), 200);
    answer_text(&root, "AccessKeyId", w->user_id, sizeof w->user_id);
    answer_text(&root, "SecretAccessKey", w->user_secret, sizeof w->user_secret);
    client_end(&root);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    dispatch_rig_close(&w->rig);
    free(w);
    return 0;
}

/* Allowed or not: the journal tells. */
static void *caller_run(void *arg)
{
    struct world *w = arg;
    while (!atomic_load(&w->stop)) {
        if (w->describes)
            (void)call(w->caller, "GET", "/channels/c", "mediapackage", "");
        else
            (void)call_iam(w->caller, "ListUsers&MaxItems=1000");
        atomic_fetch_add(&w->calls, 1);
    }
    return NULL;
}

/* Until the user has made some calls since: so he is in the midst of one. */
static void await_calls(struct world *w)
{
    for (size_t from = atomic_load(&w->calls); atomic_load(&w->calls) < from + 2;)
        sched_yield();
}

/* Read the journal from its beginning; given to each entry in turn. */
static void walk(struct world *w, void (*each)(const struct wm_entry *e, void *arg), void *arg)
{
    struct wm_journal_reader *reader = NULL;
    struct wm_entry e;
    assert_int_equal(wm_journal_commit(w->rig.recorder->journal, wm_journal_appended(w->rig.recorder->journal), NULL), WM_OK);
    assert_int_equal(wm_journal_reader_open(w->rig.recorder->journal, 0, &reader, NULL), WM_OK);
    while (wm_journal_reader_next(reader, &e, NULL) == WM_OK)
        each(&e, arg);
    wm_journal_reader_close(reader);
}

struct seen {
    const char *gives, *takes;
    bool allowed;
    size_t calls, turns, notes, wrong;
};

static void compare_entry(const struct wm_entry *e, void *arg)
{
    struct seen *s = arg;
    if (wm_view_eq_str(e->event_name, "ListUsers") || wm_view_eq_str(e->event_name, "DescribeChannel")) {
        bool refused = (e->flags & WM_ENTRY_REFUSED) != 0;
        s->wrong += refused == s->allowed;
        s->calls++;
        for (size_t i = 0; i < e->n_changes; i++)
            s->notes += wm_view_eq_str(e->changes[i].kind, WM_IAM_LAST_USED);
    } else if (wm_view_eq_str(e->event_name, s->gives)) {
        s->allowed = true;
        s->turns++;
    } else if (wm_view_eq_str(e->event_name, s->takes)) {
        s->allowed = false;
    }
}

static void no_call_stands_behind_what_took_its_permission(void **state)
{
    struct world *w = *state;
    struct client root, user;
    pthread_t thread;
    w->caller = &user;
    client_begin(&root, &w->rig, w->rig.root_id, w->rig.root_secret);
    client_begin(&user, &w->rig, w->user_id, w->user_secret);
    for (int i = 0; i < USERS; i++) { /* a long answer: while it is written, the state is not locked */
        char form[64];
        (void)snprintf(form, sizeof form, "CreateUser&UserName=user-%d", i);
        assert_int_equal(call_iam(&root, form), 200);
    }
    assert_int_equal(wm_thread_start(&thread, "caller", caller_run, w, NULL), WM_OK);
    for (int i = 0; i < ROUNDS; i++) {
        assert_int_equal(call_iam(&root, "PutUserPolicy&UserName=noor&PolicyName=p&PolicyDocument={\"Version\":\"2012-10-17\","
                                         "\"Statement\":{\"Effect\":\"Allow\",\"Action\":\"*\",\"Resource\":\"*\"}}"), 200);
        await_calls(w);
        assert_int_equal(call_iam(&root, "DeleteUserPolicy&UserName=noor&PolicyName=p"), 200);
        if (i % 100 == 0)
            assert_int_equal(wm_recorder_commit(w->rig.recorder, root.request.seq, NULL), WM_OK);
    }
    atomic_store(&w->stop, true);
    WM_PTOK(pthread_join(thread, NULL));
    struct seen s = {.gives = "PutUserPolicy", .takes = "DeleteUserPolicy"};
    walk(w, compare_entry, &s);
    assert_int_equal(s.turns, ROUNDS);
    assert_true(s.calls > ROUNDS);
    assert_int_equal(s.wrong, 0);
    assert_true(s.notes >= 1 && s.notes <= 3); /* one a minute */
    client_end(&root);
    client_end(&user);
}

/* Nor behind the change of the resource's tags that took it. */
static void no_call_stands_behind_the_tag_that_let_it(void **state)
{
    struct world *w = *state;
    struct client root, user;
    pthread_t thread;
    w->caller = &user;
    static char channel[60000];
    char arn[128], put[300], take[400];
    client_begin(&root, &w->rig, w->rig.root_id, w->rig.root_secret);
    client_begin(&user, &w->rig, w->user_id, w->user_secret);
    w->describes = true;
    int n = snprintf(channel, sizeof channel, "{\"id\":\"c\",\"description\":\""); /* a long answer, as above */
    for (; (size_t)n + 5 < sizeof channel; n += 2)
        memcpy(channel + n, "\\n", 2);
    memcpy(channel + n, "\"}", 3);
    assert_int_equal(call(&root, "POST", "/channels", "mediapackage", channel), 200);
    const char *from = memmem(root.request.out.data, root.request.out.len, "\"arn\":\"", 7);
    assert_non_null(from);
    assert_true(wm_view_copy((struct wm_view){from + 7, strcspn(from + 7, "\"")}, arn, sizeof arn));
    (void)snprintf(put, sizeof put, "/tags/%.*s%%2F%s", (int)strcspn(arn, "/"), arn, strchr(arn, '/') + 1); /* fits */
    (void)snprintf(take, sizeof take, "%s?tagKeys=open", put);
    assert_int_equal(call_iam(&root, "PutUserPolicy&UserName=noor&PolicyName=p&PolicyDocument={\"Version\":\"2012-10-17\","
                                     "\"Statement\":{\"Effect\":\"Allow\",\"Action\":\"*\",\"Resource\":\"*\",\"Condition\":{"
                                     "\"StringEquals\":{\"aws:ResourceTag/open\":\"yes\"}}}}"), 200);
    assert_int_equal(wm_thread_start(&thread, "caller", caller_run, w, NULL), WM_OK);
    for (int i = 0; i < ROUNDS; i++) {
        assert_int_equal(call(&root, "POST", put, "mediapackage", "{\"tags\":{\"open\":\"yes\"}}"), 204);
        await_calls(w);
        assert_int_equal(call(&root, "DELETE", take, "mediapackage", ""), 204);
    }
    atomic_store(&w->stop, true);
    WM_PTOK(pthread_join(thread, NULL));
    struct seen s = {.gives = "TagResource", .takes = "UntagResource"};
    walk(w, compare_entry, &s);
    assert_int_equal(s.turns, ROUNDS);
    assert_true(s.calls > ROUNDS);
    assert_int_equal(s.wrong, 0);
    client_end(&root);
    client_end(&user);
}

static void count_notes(const struct wm_entry *e, void *arg)
{
    size_t *n = arg;
    for (size_t i = 0; i < e->n_changes; i++)
        *n += wm_view_eq_str(e->changes[i].kind, WM_IAM_LAST_USED);
}

static void the_use_of_a_key_goes_with_the_call_that_used_it(void **state)
{
    struct world *w = *state;
    struct client user;
    struct wm_view document;
    size_t notes = 0;
    client_begin(&user, &w->rig, w->user_id, w->user_secret);
    assert_int_equal(call(&user, "GET", "/channels", "mediapackage", ""), 403); /* a denied call, too */
    walk(w, count_notes, &notes);
    assert_int_equal(notes, 1);
    for (int i = 0; i < 3; i++)
        assert_int_equal(call(&user, "POST", "/", "sts", "Version=2011-06-15&Action=GetCallerIdentity"), 200);
    notes = 0;
    walk(w, count_notes, &notes);
    assert_int_equal(notes, 1);
    wm_state_lock(w->rig.recorder->state);
    assert_true(wm_state_get(w->rig.recorder->state, WM_LIT(WM_IAM_LAST_USED), wm_view_of(w->user_id), &document));
    assert_true(memmem(document.ptr, document.len, "\"mediapackage\"", 14) != NULL);
    wm_state_unlock(w->rig.recorder->state);
    client_end(&user);
}

/* Who was deleted between two calls, and whose session it is, as the records say it. */
static void find_last(const struct wm_entry *e, void *arg)
{
    struct wm_buf *out = arg;
    wm_buf_clear(out);
    wm_buf_add_view(out, e->record);
}

static void the_record_names_who_was_proven(void **state)
{
    struct world *w = *state;
    struct client root, user;
    struct wm_buf record;
    char want[200];
    wm_buf_init(&record, 65536);
    client_begin(&root, &w->rig, w->rig.root_id, w->rig.root_secret);
    client_begin(&user, &w->rig, w->user_id, w->user_secret);
    assert_int_equal(call(&user, "POST", "/", "sts", "Version=2011-06-15&Action=GetCallerIdentity"), 200);
    walk(w, find_last, &record);
    assert_non_null(strstr(wm_buf_cstr(&record), "\"userIdentity\":{\"type\":\"IAMUser\",\"principalId\":\"AIDA"));
    (void)snprintf(want, sizeof want, "\"arn\":\"arn:aws:iam::123456789012:user/noor\",\"accountId\":\"123456789012\","
                   "\"accessKeyId\":\"%s\",\"userName\":\"noor\"},", w->user_id);
    assert_non_null(strstr(wm_buf_cstr(&record), want));
    (void)snprintf(want, sizeof want, "UpdateAccessKey&UserName=noor&AccessKeyId=%s&Status=Inactive", w->user_id);
    assert_int_equal(call_iam(&root, want), 200);
    assert_int_equal(call(&user, "POST", "/", "sts", "Version=2011-06-15&Action=GetCallerIdentity"), 403);
    walk(w, find_last, &record);
    (void)snprintf(want, sizeof want, "\"userIdentity\":{\"type\":\"Unknown\",\"accessKeyId\":\"%s\"},", w->user_id);
    assert_non_null(strstr(wm_buf_cstr(&record), want));
    assert_non_null(strstr(wm_buf_cstr(&record), "\"errorCode\":\"InvalidClientTokenId\""));

    assert_int_equal(call(&root, "POST", "/", "sts", "Version=2011-06-15&Action=GetSessionToken"), 200);
    char key_id[32];
    answer_text(&root, "AccessKeyId", key_id, sizeof key_id);
    walk(w, find_last, &record); /* a read, whose answer is in the record, but for what it could be used with */
    (void)snprintf(want, sizeof want, "\"responseElements\":{\"credentials\":{\"accessKeyId\":\"%s\",\"secretAccessKey\":"
                   "\"HIDDEN_DUE_TO_SECURITY_REASONS\",\"sessionToken\":\"HIDDEN_DUE_TO_SECURITY_REASONS\",", key_id);
    assert_non_null(strstr(wm_buf_cstr(&record), want));
    assert_non_null(strstr(wm_buf_cstr(&record), "\"readOnly\":true"));
    client_end(&root);
    client_end(&user);
    wm_buf_done(&record);
}

/* Each protocol has its own name for a session that is over, and for a token that never was one. */
static void a_session_that_is_over_is_refused_by_name(void **state)
{
    struct world *w = *state;
    struct client client;
    struct wm_buf token, record;
    char secret[WM_IAM_SECRET_BYTES];
    int64_t now = wm_wall_seconds(wm_clock_wall(&wm_clock_system));
    wm_buf_init(&token, WM_MAX_SESSION_TOKEN_BYTES);
    wm_buf_init(&record, 65536);
    const struct wm_session session = {.kind = WM_SESSION_ROOT,
                                       .access_key_id = WM_LIT("ASIAEXAMPLEEXAMPLEEX"),
                                       .seed = WM_LIT("00112233445566778899aabbccddeeff"),
                                       .unique_id = w->rig.env.account_id,
                                       .created = wm_wall_from_seconds(now - 900),
                                       .expires = wm_wall_from_seconds(now)};
    assert_int_equal(wm_session_token_make(dispatch_rig_master_key, w->rig.env.account_id, &session, &token), WM_OK);
    wm_iam_secret(dispatch_rig_master_key, session.access_key_id, session.seed, secret);
    client_begin(&client, &w->rig, session.access_key_id.ptr, secret);
    client.token = wm_buf_cstr(&token);
    static const struct {
        const char *method, *path, *service, *form, *expired, *invalid;
    } rows[] = {
        {"GET", "/channels", "mediapackage", "", "ExpiredTokenException", "UnrecognizedClientException"},
        {"POST", "/", "sts", "Version=2011-06-15&Action=GetCallerIdentity", "ExpiredToken", "InvalidClientTokenId"},
    };
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(call(&client, rows[i].method, rows[i].path, rows[i].service, rows[i].form), 403);
        assert_string_equal(client.request.error_code, rows[i].expired);
        walk(w, find_last, &record);
        assert_non_null(strstr(wm_buf_cstr(&record), "\"userIdentity\":{\"type\":\"Unknown\",\"accessKeyId\":"
                                                     "\"ASIAEXAMPLEEXAMPLEEX\"},"));
        assert_non_null(strstr(wm_buf_cstr(&record), "\"errorMessage\":\"The security token included in the request is "
                                                     "expired\""));
        assert_null(strstr(wm_buf_cstr(&record), client.token));
    }
    token.data[30] = token.data[30] == 'A' ? 'B' : 'A';
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(call(&client, rows[i].method, rows[i].path, rows[i].service, rows[i].form), 403);
        assert_string_equal(client.request.error_code, rows[i].invalid);
    }
    client_end(&client);
    wm_buf_done(&token);
    wm_buf_done(&record);
}

/* Credentials of GetSessionToken are none to IAM; but whose they are was proven, and the record says it. */
static void what_a_session_does_not_open_is_refused_to_whom_it_belongs(void **state)
{
    struct world *w = *state;
    struct client user, session;
    struct wm_buf record;
    char key_id[32], secret[64], token[WM_MAX_SESSION_TOKEN_BYTES + 1];
    wm_buf_init(&record, 65536);
    client_begin(&user, &w->rig, w->user_id, w->user_secret);
    assert_int_equal(call(&user, "POST", "/", "sts", "Version=2011-06-15&Action=GetSessionToken"), 200);
    answer_text(&user, "AccessKeyId", key_id, sizeof key_id);
    answer_text(&user, "SecretAccessKey", secret, sizeof secret);
    answer_text(&user, "SessionToken", token, sizeof token);
    client_begin(&session, &w->rig, key_id, secret);
    session.token = token;
    assert_int_equal(call_iam(&session, "ListUsers"), 403);
    assert_string_equal(session.request.error_code, "InvalidClientTokenId");
    walk(w, find_last, &record);
    assert_non_null(strstr(wm_buf_cstr(&record), "\"eventName\":\"ListUsers\""));
    assert_non_null(strstr(wm_buf_cstr(&record), "\"errorCode\":\"InvalidClientTokenId\""));
    assert_non_null(strstr(wm_buf_cstr(&record), "\"userIdentity\":{\"type\":\"IAMUser\",\"principalId\":\"AIDA"));
    assert_non_null(strstr(wm_buf_cstr(&record), "\"userName\":\"noor\",\"sessionContext\":{"));
    client_end(&session);
    client_end(&user);
    wm_buf_done(&record);
}

/* IAM and AWS STS quotas: a path has 512 characters at most, a user's name 64. */
static void who_has_the_longest_arn_is_recorded_like_anybody(void **state)
{
    struct world *w = *state;
    struct client root, user;
    struct wm_buf record;
    char path[513], name[65], form[1024], arn[700];
    memset(path, 'p', 512);
    path[0] = path[511] = '/';
    path[512] = '\0';
    memset(name, 'n', 64);
    name[64] = '\0';
    wm_buf_init(&record, 65536);
    client_begin(&root, &w->rig, w->rig.root_id, w->rig.root_secret);
    (void)snprintf(form, sizeof form, "CreateUser&UserName=%s&Path=%s", name, path); /* fits, as what follows */
    assert_int_equal(call_iam(&root, form), 200);
    (void)snprintf(form, sizeof form, "CreateAccessKey&UserName=%s", name);
    assert_int_equal(call_iam(&root, form), 200);
    answer_text(&root, "AccessKeyId", w->user_id, sizeof w->user_id);
    answer_text(&root, "SecretAccessKey", w->user_secret, sizeof w->user_secret);
    client_begin(&user, &w->rig, w->user_id, w->user_secret);
    assert_int_equal(call(&user, "GET", "/channels", "mediapackage", ""), 403);
    walk(w, find_last, &record);
    (void)snprintf(arn, sizeof arn, "\"arn\":\"arn:aws:iam::123456789012:user%s%s\"", path, name);
    assert_non_null(strstr(wm_buf_cstr(&record), arn));
    assert_non_null(strstr(wm_buf_cstr(&record), "\"errorCode\":\"AccessDeniedException\""));
    client_end(&root);
    client_end(&user);
    wm_buf_done(&record);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(no_call_stands_behind_what_took_its_permission),
        TEST(no_call_stands_behind_the_tag_that_let_it),
        TEST(the_use_of_a_key_goes_with_the_call_that_used_it),
        TEST(the_record_names_who_was_proven),
        TEST(a_session_that_is_over_is_refused_by_name),
        TEST(what_a_session_does_not_open_is_refused_to_whom_it_belongs),
        TEST(who_has_the_longest_arn_is_recorded_like_anybody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
