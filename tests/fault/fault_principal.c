/*
 * Allocation 1, 2, 3 … n of finding out who calls fails, once, and from then on: he is proven with all that he may and may
 * not do, or he is not, and nothing is left behind (ASan's run sees to that). A policy that was left out for want of memory
 * could have been the one that denies.
 */
#include <stdio.h>
#include <stdlib.h>

#include "server/principal.h"
#include "server/session_token.h"
#include "tests/support/fault_malloc.h"
#include "tests/support/scratch.h"

#define ACCOUNT WM_LIT("111122223333")
#define DENY "{\\\"Statement\\\":{\\\"Effect\\\":\\\"Deny\\\",\\\"Action\\\":\\\"a:B\\\",\\\"Resource\\\":\\\"*\\\"}}"

static const uint8_t master_key[32] = "a key for tests, 32 bytes long.";

static void store(struct wm_state *s, const char *kind, const char *id, const char *document)
{
    struct wm_change change = {wm_view_of(kind), wm_view_of(id), wm_view_of(document)};
    wm_state_lock(s);
    assert_int_equal(wm_state_reserve(s, &change, 1, NULL), WM_OK);
    wm_state_apply(s, &change, 1);
    wm_state_unlock(s);
}

static void fill(struct wm_state *s)
{
    store(s, WM_IAM_ACCESS_KEY, "AKIA1", "{\"AccessKeyId\":\"AKIA1\",\"UserName\":\"noor\",\"UserId\":\"AIDA1\",\"Status\":\"Active\","
          "\"Seed\":\"00112233445566778899aabbccddeeff\"}");
    store(s, WM_IAM_USER, "noor", "{\"UserName\":\"noor\",\"UserId\":\"AIDA1\",\"Arn\":\"arn:aws:iam::111122223333:user/noor\","
          "\"Tags\":[{\"Key\":\"a\",\"Value\":\"b\"}],\"Groups\":[\"AGPA1\"],\"Policies\":{\"x\":\"" DENY "\"},\"Attached\":["
          "\"arn:aws:iam::aws:policy/AdministratorAccess\",\"arn:aws:iam::111122223333:policy/p\"],"
          "\"PermissionsBoundary\":\"arn:aws:iam::aws:policy/AdministratorAccess\"}");
    store(s, WM_IAM_GROUP, "AGPA1", "{\"GroupName\":\"g\",\"GroupId\":\"AGPA1\",\"Policies\":{\"y\":\"" DENY "\"},\"Attached\":[]}");
    store(s, WM_IAM_POLICY, "arn:aws:iam::111122223333:policy/p", "{\"DefaultVersionId\":\"v1\",\"Versions\":[{\"VersionId\":"
          "\"v1\",\"Document\":\"" DENY "\"}]}");
    store(s, WM_IAM_ROLE, "r", "{\"RoleName\":\"r\",\"RoleId\":\"AROA1\",\"Arn\":\"arn:aws:iam::111122223333:role/r\",\"Tags\":[],"
          "\"Policies\":{\"x\":\"" DENY "\",\"z\":\"none\"},\"Attached\":[]}");
}

static void each_allocation_of_a_principal(void **state)
{
    (void)state;
    static const struct wm_view arns[] = {{"arn:aws:iam::111122223333:policy/p", 34}};
    static const struct wm_principal_tag tags[] = {{{"A", 1}, {"c", 1}, true}};
    const struct wm_session session = {.kind = WM_SESSION_ROLE,
                                       .access_key_id = WM_LIT("ASIA1"),
                                       .seed = WM_LIT("00112233445566778899aabbccddeeff"),
                                       .unique_id = WM_LIT("AROA1"),
                                       .name = WM_LIT("r"),
                                       .session_name = WM_LIT("s"),
                                       .expires = {900000000000},
                                       .policy = WM_LIT("{\"Statement\":{\"Effect\":\"Deny\",\"Action\":\"*\",\"Resource\":\"*\"}}"),
                                       .policy_arns = arns,
                                       .n_policy_arns = 1,
                                       .tags = tags,
                                       .n_tags = 1};
    struct scratch scratch;
    struct wm_state *s = NULL;
    uint64_t cursor;
    scratch_make(&scratch);
    assert_int_equal(wm_state_open(scratch_path(&scratch, "state.db"), &s, &cursor, NULL), WM_OK);
    fill(s);
    const struct wm_principal_source from = {s, ACCOUNT, "aws", master_key};
    for (int what = 0; what < 4; what++) { /* a user, a session; once, and from then on */
        bool was_hit = true;
        for (unsigned at = 1; was_hit; at++) {
            struct wm_held_principal *p = NULL;
            struct wm_arena arena;
            struct wm_buf token;
            struct wm_session read;
            wm_arena_init(&arena, 1u << 20);
            wm_buf_init(&token, 8192);
            arm(at, what % 2 != 0);
            wm_state_lock(s);
            enum wm_status status = WM_OK;
            if (what >= 2) {
                status = wm_session_token_make(master_key, ACCOUNT, &session, &token);
                if (status == WM_OK)
                    status = wm_session_token_read(master_key, ACCOUNT, wm_buf_view(&token), &arena, &read);
                if (status == WM_OK)
                    status = wm_principal_load_session(&from, &read, wm_buf_view(&token), &p);
            } else {
                status = wm_principal_load_key(&from, WM_LIT("AKIA1"), &p);
            }
            wm_state_unlock(s);
            was_hit = disarm("a principal");
            assert_int_equal(status, was_hit ? WM_E_NOMEM : WM_OK);
            assert_int_equal(p != NULL, status == WM_OK);
            if (p) {
                assert_int_equal(p->face.n_policies, what < 2 ? 4 : 2);
                assert_int_equal(p->face.n_session, what < 2 ? 0 : 2);
                assert_int_equal(p->face.boundary != NULL, what < 2);
                assert_int_equal(p->face.n_tags, 1);
                wm_principal_release(&p->face);
            }
            wm_arena_done(&arena);
            wm_buf_done(&token);
        }
    }
    wm_state_close(s);
    scratch_remove(&scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_allocation_of_a_principal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
