/*
 * Allocation 1, 2, 3 … n of a call fails, once, and from then on: it is answered, and its one record says the same as the
 * answer and what became of the state. Memory is short of whoever is about to be refused, too.
 */
#include <stdio.h>
#include <stdlib.h>

#include "tests/support/fault_malloc.h"
#include "tests/support/dispatch_rig.h"

struct world {
    struct dispatch_rig rig;
    struct client root, user;
    char user_id[32], user_secret[64];
};

/* What a request keeps is allocated anew for each. */
static void forget(struct client *c)
{
    wm_request_done(&c->request);
    wm_request_init(&c->request, 65536);
}

/* Root asks IAM, while there is memory. */
static void by_root(struct world *w, const char *form)
{
    char text[1024];
    (void)snprintf(text, sizeof text, "Version=2010-05-08&Action=%s", form);
    client_prepare(&w->root, "POST", "/", "iam", text);
    wm_dispatch(&w->rig.dispatcher, w->root.cache, &w->root.request);
    assert_int_equal(w->root.request.status, 200);
}

/* A user who may list users and assume a role, and nothing else. */
static void make_user(struct world *w)
{
    by_root(w, "CreateUser&UserName=noor");
    by_root(w, "CreateAccessKey&UserName=noor");
    answer_text(&w->root, "AccessKeyId", w->user_id, sizeof w->user_id);
    answer_text(&w->root, "SecretAccessKey", w->user_secret, sizeof w->user_secret);
    by_root(w, "PutUserPolicy&UserName=noor&PolicyName=p&PolicyDocument={\"Version\":\"2012-10-17\",\"Statement\":{"
               "\"Effect\":\"Allow\",\"Action\":[\"iam:ListUsers\",\"sts:AssumeRole\"],\"Resource\":\"*\",\"Condition\":{"
               "\"StringLike\":{\"aws:username\":\"n*\"}}}}");
    by_root(w, "CreateRole&RoleName=r&AssumeRolePolicyDocument={\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":"
               "\"Allow\",\"Action\":\"sts:AssumeRole\",\"Principal\":{\"AWS\":\"123456789012\"}}}");
}

static void world_open(struct world *w)
{
    dispatch_rig_open(&w->rig);
    client_begin(&w->root, &w->rig, w->rig.root_id, w->rig.root_secret);
    make_user(w);
    client_begin(&w->user, &w->rig, w->user_id, w->user_secret);
    the_thread = pthread_self();
    one_thread = true; /* the state's follower goes on */
}

static void world_close(struct world *w)
{
    client_end(&w->user);
    client_end(&w->root);
    dispatch_rig_close(&w->rig);
}

/* The record of the last call is one document, and tells what was answered. */
static void compare_record(struct world *w, const struct wm_request *r)
{
    struct wm_journal_reader *reader = NULL;
    struct wm_entry e;
    struct wm_arena arena;
    struct wm_json *record = NULL;
    wm_arena_init(&arena, 1u << 20);
    assert_int_equal(wm_journal_commit(w->rig.recorder->journal, r->seq, NULL), WM_OK);
    assert_int_equal(wm_journal_reader_open(w->rig.recorder->journal, r->seq - 1, &reader, NULL), WM_OK);
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
    wm_state_lock(w->rig.recorder->state);
    bool there = wm_state_get(w->rig.recorder->state, WM_LIT(WM_IAM_USER), wm_view_of(name), &document);
    wm_state_unlock(w->rig.recorder->state);
    return there;
}

/* Whatever fails, nobody is answered anything but what he would be otherwise, or that the server is at its end. */
static void each_allocation(struct world *w, struct client *c, const char *service, const char *form, int want)
{
    static unsigned n;
    for (int lasting = 0; lasting < 2; lasting++) {
        bool was_hit = true;
        for (unsigned at = 1; was_hit; at++) {
            char name[32], text[512];
            (void)snprintf(name, sizeof name, "user-%u", n++);
            by_root(w, "TagUser&UserName=noor&Tags.member.1.Key=a&Tags.member.1.Value=b"); /* who calls is read anew */
            (void)snprintf(text, sizeof text, "%s%s", form, strstr(form, "Name=") ? name : "");
            forget(c);
            client_prepare(c, "POST", "/", service, text);
            arm(at, lasting != 0);
            wm_dispatch(&w->rig.dispatcher, c->cache, &c->request);
            was_hit = disarm(form);
            const struct wm_request *r = &c->request;
            if (r->status != want && (!was_hit || (r->status != 500 && r->status != 503)))
                fail_msg("%s: %d %s at %u", text, r->status, r->error_code, at);
            assert_int_equal(r->error_code == NULL, r->status == 200);
            assert_int_equal(has_user(w, name), r->status == 200 && strstr(form, "CreateUser"));
            assert_int_equal(r->seq == 0, r->status == 503);
            if (r->seq)
                compare_record(w, r);
        }
    }
}

static void each_allocation_of_a_call(void **state)
{
    (void)state;
    struct world w = {0};
    world_open(&w);
    each_allocation(&w, &w.root, "iam", "Version=2010-05-08&Action=CreateUser&UserName=", 200);
    each_allocation(&w, &w.user, "iam", "Version=2010-05-08&Action=CreateUser&UserName=", 403);
    each_allocation(&w, &w.user, "iam", "Version=2010-05-08&Action=ListUsers&PathPrefix=/&MaxItems=5", 200);
    each_allocation(&w, &w.user, "sts", "Version=2011-06-15&Action=GetSessionToken&DurationSeconds=900", 200);
    each_allocation(&w, &w.user, "sts", "Version=2011-06-15&Action=AssumeRole&DurationSeconds=900&RoleArn="
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
