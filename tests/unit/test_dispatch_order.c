/*
 * No call stands in the journal behind the change that took its permission away and was run with it: two threads, one that
 * calls, and one that gives and takes the permission; then the journal is read and each entry compared with those before it.
 * And what else a caller who is not root leaves in the journal.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "server/dispatch.h"
#include "server/session_token.h"
#include "tests/support/scratch.h"
#include "waymark/iam.h"
#include "waymark/sync.h"

#include "waymark/banned.h"

#define ROUNDS 40
#define USERS 150

static const uint8_t master_key[32] = "a key for tests, 32 bytes long.";
static const struct wm_service *const services[] = {&wm_service_mediapackage, &wm_service_iam, &wm_service_sts};

struct world {
    struct scratch scratch;
    char path[340];
    struct wm_recorder *recorder;
    struct wm_auth *auth;
    struct wm_service_env env;
    struct wm_dispatcher dispatcher;
    _Atomic uint64_t recorded, folded;
    char root_id[32], root_secret[64], user_id[32], user_secret[64];
    atomic_bool stop;
    atomic_size_t calls; /* of the user, that have been answered */
};

/* A thread's own. */
struct client {
    struct world *w;
    struct wm_sigv4_cache *cache;
    struct wm_request request;
    const char *key_id, *secret, *token; /* token NULL: none */
    bool describes;                      /* what caller_run() calls */
    char authorization[1100], date[WM_TIME_BASIC_BYTES];
};

static void client_begin(struct client *c, struct world *w, const char *key_id, const char *secret)
{
    memset(c, 0, sizeof *c);
    c->w = w;
    c->key_id = key_id;
    c->secret = secret;
    c->cache = wm_sigv4_cache_new();
    assert_non_null(c->cache);
    wm_request_init(&c->request, 65536);
}

static void client_end(struct client *c)
{
    wm_request_done(&c->request);
    wm_sigv4_cache_free(c->cache);
}

static void add_header(struct wm_request *r, const char *name, const char *value)
{
    r->headers[r->n_headers++] = (struct wm_sigv4_header){wm_view_of(name), wm_view_of(value)};
}

static int call(struct client *c, const char *method, const char *path, const char *service, const char *form)
{
    struct wm_request *r = &c->request;
    char hash[WM_SHA256_HEX_BYTES];
    uint8_t sha[WM_SHA256_BYTES];
    struct wm_sigv4_signature signature;
    wm_request_clear(r);
    r->method = wm_view_of(method);
    r->query = wm_view_of(path);
    r->path = wm_view_split(&r->query, '?');
    r->source_ip = WM_LIT("203.0.113.5");
    wm_buf_add_str(&r->body, form);
    add_header(r, "Host", "127.0.0.1:8480");
    add_header(r, "Content-Type", form[0] && form[0] != '{' ? "application/x-www-form-urlencoded" : "application/json");
    if (c->token)
        add_header(r, "X-Amz-Security-Token", c->token);
    wm_sha256(r->body.data, r->body.len, sha);
    wm_hex(sha, sizeof sha, hash);
    const struct wm_sigv4_request to_sign = wm_request_as_signed(r, hash);
    const struct wm_sigv4_credentials credentials = {.access_key_id = wm_view_of(c->key_id),
                                                     .secret = wm_view_of(c->secret),
                                                     .region = c->w->env.region,
                                                     .service = wm_view_of(service)};
    assert_int_equal(wm_sigv4_sign(c->cache, &to_sign, &credentials, wm_clock_wall(&wm_clock_system), &signature), WM_OK);
    memcpy(c->authorization, signature.authorization, sizeof signature.authorization);
    memcpy(c->date, signature.date, sizeof c->date);
    add_header(r, "X-Amz-Date", c->date);
    add_header(r, "Authorization", c->authorization);
    wm_dispatch(&c->w->dispatcher, c->cache, r);
    assert_true(r->seq > 0);
    return r->status;
}

static int call_iam(struct client *c, const char *form)
{
    char text[2048];
    (void)snprintf(text, sizeof text, "Version=2010-05-08&Action=%s", form);
    return call(c, "POST", "/", "iam", text);
}

/* The text of an element in the last answer. */
static void answer_text(const struct client *c, const char *element, char *out, size_t size)
{
    char open[64];
    struct wm_buf text;
    wm_buf_init(&text, 65536);
    wm_buf_add_view(&text, wm_buf_view(&c->request.out));
    (void)snprintf(open, sizeof open, "<%s>", element);
    const char *from = strstr(wm_buf_cstr(&text), open);
    assert_non_null(from);
    from += strlen(open);
    const char *to = strchr(from, '<');
    assert_non_null(to);
    assert_true(wm_view_copy((struct wm_view){from, (size_t)(to - from)}, out, size));
    wm_buf_done(&text);
}

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    bool made;
    assert_non_null(w);
    scratch_make(&w->scratch);
    (void)snprintf(w->path, sizeof w->path, "%s/credentials", w->scratch.dir); /* fits */
    const struct wm_recorder_options o = {
        .data_dir = w->scratch.dir, .io = &wm_io_posix, .clock = &wm_clock_system, .segment_bytes = 16 << 20};
    assert_int_equal(wm_recorder_open(&o, &w->recorder, NULL), WM_OK);
    const struct wm_auth_options a = {&wm_io_posix, w->path, WM_LIT("123456789012"), WM_LIT("us-east-1"),
                                      w->recorder->state, master_key};
    assert_int_equal(wm_auth_open(&a, &w->auth, &made, NULL), WM_OK);
    w->env = (struct wm_service_env){.account_id = WM_LIT("123456789012"),
                                     .region = WM_LIT("us-east-1"),
                                     .board = w->recorder->board,
                                     .clock = &wm_clock_system,
                                     .master_key = master_key};
    w->dispatcher = (struct wm_dispatcher){.env = &w->env,
                                           .services = services,
                                           .n_services = sizeof services / sizeof *services,
                                           .auth = w->auth,
                                           .recorder = w->recorder,
                                           .record = true,
                                           .recorded = &w->recorded,
                                           .folded = &w->folded};
    FILE *f = fopen(w->path, "r");
    char line[300];
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        (void)sscanf(line, "aws_access_key_id = %31s", w->root_id);
        (void)sscanf(line, "aws_secret_access_key = %63s", w->root_secret);
    }
    (void)fclose(f);
    struct client root;
    client_begin(&root, w, w->root_id, w->root_secret);
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
    wm_auth_close(w->auth);
    wm_recorder_close(w->recorder);
    scratch_remove(&w->scratch);
    free(w);
    return 0;
}

/* Allowed or not: the journal tells. */
static void *caller_run(void *arg)
{
    struct client *c = arg;
    while (!atomic_load(&c->w->stop)) {
        if (c->describes)
            (void)call(c, "GET", "/channels/c", "mediapackage", "");
        else
            (void)call_iam(c, "ListUsers&MaxItems=1000");
        atomic_fetch_add(&c->w->calls, 1);
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
    assert_int_equal(wm_journal_commit(w->recorder->journal, wm_journal_appended(w->recorder->journal), NULL), WM_OK);
    assert_int_equal(wm_journal_reader_open(w->recorder->journal, 0, &reader, NULL), WM_OK);
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
    client_begin(&root, w, w->root_id, w->root_secret);
    client_begin(&user, w, w->user_id, w->user_secret);
    for (int i = 0; i < USERS; i++) { /* a long answer: while it is written, the state is not locked */
        char form[64];
        (void)snprintf(form, sizeof form, "CreateUser&UserName=user-%d", i);
        assert_int_equal(call_iam(&root, form), 200);
    }
    assert_int_equal(wm_thread_start(&thread, "caller", caller_run, &user, NULL), WM_OK);
    for (int i = 0; i < ROUNDS; i++) {
        assert_int_equal(call_iam(&root, "PutUserPolicy&UserName=noor&PolicyName=p&PolicyDocument={\"Version\":\"2012-10-17\","
                                         "\"Statement\":{\"Effect\":\"Allow\",\"Action\":\"*\",\"Resource\":\"*\"}}"), 200);
        await_calls(w);
        assert_int_equal(call_iam(&root, "DeleteUserPolicy&UserName=noor&PolicyName=p"), 200);
        if (i % 100 == 0)
            assert_int_equal(wm_recorder_commit(w->recorder, root.request.seq, NULL), WM_OK);
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
    static char channel[60000];
    char arn[128], put[300], take[400];
    client_begin(&root, w, w->root_id, w->root_secret);
    client_begin(&user, w, w->user_id, w->user_secret);
    user.describes = true;
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
    assert_int_equal(wm_thread_start(&thread, "caller", caller_run, &user, NULL), WM_OK);
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
    client_begin(&user, w, w->user_id, w->user_secret);
    assert_int_equal(call(&user, "GET", "/channels", "mediapackage", ""), 403); /* a denied call, too */
    walk(w, count_notes, &notes);
    assert_int_equal(notes, 1);
    for (int i = 0; i < 3; i++)
        assert_int_equal(call(&user, "POST", "/", "sts", "Version=2011-06-15&Action=GetCallerIdentity"), 200);
    notes = 0;
    walk(w, count_notes, &notes);
    assert_int_equal(notes, 1);
    wm_state_lock(w->recorder->state);
    assert_true(wm_state_get(w->recorder->state, WM_LIT(WM_IAM_LAST_USED), wm_view_of(w->user_id), &document));
    assert_true(memmem(document.ptr, document.len, "\"mediapackage\"", 14) != NULL);
    wm_state_unlock(w->recorder->state);
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
    client_begin(&root, w, w->root_id, w->root_secret);
    client_begin(&user, w, w->user_id, w->user_secret);
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
                                       .unique_id = w->env.account_id,
                                       .created = wm_wall_from_seconds(now - 900),
                                       .expires = wm_wall_from_seconds(now)};
    assert_int_equal(wm_session_token_make(master_key, w->env.account_id, &session, &token), WM_OK);
    wm_iam_secret(master_key, session.access_key_id, session.seed, secret);
    client_begin(&client, w, session.access_key_id.ptr, secret);
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
    client_begin(&user, w, w->user_id, w->user_secret);
    assert_int_equal(call(&user, "POST", "/", "sts", "Version=2011-06-15&Action=GetSessionToken"), 200);
    answer_text(&user, "AccessKeyId", key_id, sizeof key_id);
    answer_text(&user, "SecretAccessKey", secret, sizeof secret);
    answer_text(&user, "SessionToken", token, sizeof token);
    client_begin(&session, w, key_id, secret);
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
    client_begin(&root, w, w->root_id, w->root_secret);
    (void)snprintf(form, sizeof form, "CreateUser&UserName=%s&Path=%s", name, path); /* fits, as what follows */
    assert_int_equal(call_iam(&root, form), 200);
    (void)snprintf(form, sizeof form, "CreateAccessKey&UserName=%s", name);
    assert_int_equal(call_iam(&root, form), 200);
    answer_text(&root, "AccessKeyId", w->user_id, sizeof w->user_id);
    answer_text(&root, "SecretAccessKey", w->user_secret, sizeof w->user_secret);
    client_begin(&user, w, w->user_id, w->user_secret);
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
