/*
 * Allocation 1, 2, 3 … n of a call fails, once, and from then on: it is answered, and its one record says the same as the
 * answer and what became of the state. Memory is short of whoever is about to be refused, too.
 */
#include <stdio.h>
#include <stdlib.h>

#include "server/dispatch.h"
#include "tests/support/fault_malloc.h"
#include "tests/support/scratch.h"
#include "waymark/iam.h"

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
    struct wm_request request;
    struct wm_sigv4_cache *cache;
    char authorization[1100], date[WM_TIME_BASIC_BYTES];
};

static void add_header(struct wm_request *r, const char *name, const char *value)
{
    r->headers[r->n_headers++] = (struct wm_sigv4_header){wm_view_of(name), wm_view_of(value)};
}

/* A call of a query protocol, ready to be dispatched. */
static void prepare(struct world *w, bool by_root, const char *service, const char *form)
{
    struct wm_request *r = &w->request;
    char hash[WM_SHA256_HEX_BYTES];
    uint8_t sha[WM_SHA256_BYTES];
    struct wm_sigv4_signature signature;
    wm_request_done(r); /* not only cleared: what it keeps is allocated anew */
    wm_request_init(r, 65536);
    r->method = WM_LIT("POST");
    r->path = WM_LIT("/");
    r->source_ip = WM_LIT("203.0.113.5");
    wm_buf_add_str(&r->body, form);
    add_header(r, "Host", "127.0.0.1:8480");
    add_header(r, "Content-Type", "application/x-www-form-urlencoded");
    wm_sha256(r->body.data, r->body.len, sha);
    wm_hex(sha, sizeof sha, hash);
    const struct wm_sigv4_request to_sign = wm_request_as_signed(r, hash);
    const struct wm_sigv4_credentials credentials = {.access_key_id = wm_view_of(by_root ? w->root_id : w->user_id),
                                                     .secret = wm_view_of(by_root ? w->root_secret : w->user_secret),
                                                     .region = w->env.region,
                                                     .service = wm_view_of(service)};
    assert_int_equal(wm_sigv4_sign(w->cache, &to_sign, &credentials, wm_clock_wall(&wm_clock_system), &signature), WM_OK);
    memcpy(w->authorization, signature.authorization, sizeof signature.authorization);
    memcpy(w->date, signature.date, sizeof w->date);
    add_header(r, "X-Amz-Date", w->date);
    add_header(r, "Authorization", w->authorization);
}

/* Root asks IAM, while there is memory. */
static void by_root(struct world *w, const char *form)
{
    char text[1024];
    (void)snprintf(text, sizeof text, "Version=2010-05-08&Action=%s", form);
    prepare(w, true, "iam", text);
    wm_dispatch(&w->dispatcher, w->cache, &w->request);
    assert_int_equal(w->request.status, 200);
}

/* The text of an element in the last answer. */
static void answer_text(const struct world *w, const char *open, char *out, size_t size)
{
    const char *from = memmem(w->request.out.data, w->request.out.len, open, strlen(open));
    assert_non_null(from);
    from += strlen(open);
    const char *to = strchr(from, '<');
    assert_non_null(to);
    assert_true(wm_view_copy((struct wm_view){from, (size_t)(to - from)}, out, size));
}

/* A user who may list users and assume a role, and nothing else. */
static void make_user(struct world *w)
{
    by_root(w, "CreateUser&UserName=noor");
    by_root(w, "CreateAccessKey&UserName=noor");
    answer_text(w, "<AccessKeyId>", w->user_id, sizeof w->user_id);
    answer_text(w, "<SecretAccessKey>", w->user_secret, sizeof w->user_secret);
    by_root(w, "PutUserPolicy&UserName=noor&PolicyName=p&PolicyDocument={\"Version\":\"2012-10-17\",\"Statement\":{"
               "\"Effect\":\"Allow\",\"Action\":[\"iam:ListUsers\",\"sts:AssumeRole\"],\"Resource\":\"*\",\"Condition\":{"
               "\"StringLike\":{\"aws:username\":\"n*\"}}}}");
    by_root(w, "CreateRole&RoleName=r&AssumeRolePolicyDocument={\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":"
               "\"Allow\",\"Action\":\"sts:AssumeRole\",\"Principal\":{\"AWS\":\"123456789012\"}}}");
}

static void world_open(struct world *w)
{
    bool made;
    char line[300];
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
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        (void)sscanf(line, "aws_access_key_id = %31s", w->root_id);
        (void)sscanf(line, "aws_secret_access_key = %63s", w->root_secret);
    }
    (void)fclose(f);
    w->cache = wm_sigv4_cache_new();
    assert_non_null(w->cache);
    wm_request_init(&w->request, 65536);
    the_thread = pthread_self();
    one_thread = true; /* the state's follower goes on */
}

static void world_close(struct world *w)
{
    wm_request_done(&w->request);
    wm_sigv4_cache_free(w->cache);
    wm_auth_close(w->auth);
    wm_recorder_close(w->recorder);
    scratch_remove(&w->scratch);
}

/* The record of the last call is one document, and tells what was answered. */
static void compare_record(struct world *w)
{
    struct wm_journal_reader *reader = NULL;
    struct wm_entry e;
    struct wm_arena arena;
    struct wm_json *record = NULL;
    const struct wm_request *r = &w->request;
    wm_arena_init(&arena, 1u << 20);
    assert_int_equal(wm_journal_commit(w->recorder->journal, r->seq, NULL), WM_OK);
    assert_int_equal(wm_journal_reader_open(w->recorder->journal, r->seq - 1, &reader, NULL), WM_OK);
    assert_int_equal(wm_journal_reader_next(reader, &e, NULL), WM_OK);
    if (wm_json_parse(&arena, e.record, &record, NULL) != WM_OK)
        fail_msg("no record: %.*s", WM_ARG(e.record));
    assert_true(wm_view_eq_str(wm_json_get_text(record, "requestID"), r->request_id));
    struct wm_view code = wm_json_get_text(record, "errorCode");
    assert_true(wm_view_eq_str(code, r->error_code ? r->error_code : ""));
    assert_int_equal((e.flags & WM_ENTRY_REFUSED) != 0, r->error_code != NULL);
    if (!r->error_code)
        assert_non_null(wm_json_get(record, "requestParameters"));
    wm_journal_reader_close(reader);
    wm_arena_done(&arena);
}

static bool has_user(struct world *w, const char *name)
{
    struct wm_view document;
    wm_state_lock(w->recorder->state);
    bool there = wm_state_get(w->recorder->state, WM_LIT(WM_IAM_USER), wm_view_of(name), &document);
    wm_state_unlock(w->recorder->state);
    return there;
}

/* Whatever fails, nobody is answered anything but what he would be otherwise, or that the server is at its end. */
static void each_allocation(struct world *w, bool root, const char *service, const char *form, int want)
{
    static unsigned n;
    for (int lasting = 0; lasting < 2; lasting++) {
        bool was_hit = true;
        for (unsigned at = 1; was_hit; at++) {
            char name[32], text[512];
            (void)snprintf(name, sizeof name, "user-%u", n++);
            by_root(w, "TagUser&UserName=noor&Tags.member.1.Key=a&Tags.member.1.Value=b"); /* who calls is read anew */
            (void)snprintf(text, sizeof text, "%s%s", form, strstr(form, "Name=") ? name : "");
            prepare(w, root, service, text);
            arm(at, lasting != 0);
            wm_dispatch(&w->dispatcher, w->cache, &w->request);
            was_hit = disarm(form);
            const struct wm_request *r = &w->request;
            if (r->status != want && (!was_hit || (r->status != 500 && r->status != 503)))
                fail_msg("%s: %d %s at %u", text, r->status, r->error_code, at);
            assert_int_equal(r->error_code == NULL, r->status == 200);
            assert_int_equal(has_user(w, name), r->status == 200 && strstr(form, "CreateUser"));
            assert_int_equal(r->seq == 0, r->status == 503);
            if (r->seq)
                compare_record(w);
        }
    }
}

static void each_allocation_of_a_call(void **state)
{
    (void)state;
    struct world w = {0};
    world_open(&w);
    make_user(&w);
    each_allocation(&w, true, "iam", "Version=2010-05-08&Action=CreateUser&UserName=", 200);
    each_allocation(&w, false, "iam", "Version=2010-05-08&Action=CreateUser&UserName=", 403);
    each_allocation(&w, false, "iam", "Version=2010-05-08&Action=ListUsers&PathPrefix=/&MaxItems=5", 200);
    each_allocation(&w, false, "sts", "Version=2011-06-15&Action=GetSessionToken&DurationSeconds=900", 200);
    each_allocation(&w, false, "sts", "Version=2011-06-15&Action=AssumeRole&DurationSeconds=900&RoleArn="
                    "arn:aws:iam::123456789012:role/r&RoleSessionName=", 200);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_allocation_of_a_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
