/*
 * Allocation 1, 2, 3 … n of reading a policy fails, once, and from then on: the policy is read, or memory is short and
 * nothing is left behind (ASan's run sees to that).
 */
#include <stdio.h>

#include "tests/support/fault_malloc.h"
#include "tests/support/policy_rig.h"

static void each_allocation_of_a_policy(void **state)
{
    (void)state;
    static char text[8192]; /* more than an arena's first chunk when it is read */
    size_t n = (size_t)snprintf(text, sizeof text, "{'Version':'2012-10-17','Statement':[{'Effect':'Deny','Action':"
                                "['s3:*'],'Resource':'*','Condition':{'BinaryEquals':{'k:b':'QmluYXJ5'},"
                                "'StringEquals':{'k:a':['${aws:username}'");
    while (n < sizeof text - 64)
        n += (size_t)snprintf(text + n, sizeof text - n, ",'%zu'", n);
    (void)snprintf(text + n, sizeof text - n, "]}}}]}");
    for (int from_then_on = 0; from_then_on < 2; from_then_on++) {
        bool was_hit = true;
        for (unsigned at = 1; was_hit; at++) {
            struct wm_policy *p = NULL;
            struct wm_err err = {0};
            char *quoted = rig_quoted(text);
            arm(at, from_then_on != 0);
            enum wm_status status = wm_policy_compile(wm_view_of(quoted), WM_POLICY_IDENTITY, &p, &err);
            was_hit = disarm("policy");
            free(quoted);
            assert_int_equal(status, was_hit ? WM_E_NOMEM : WM_OK);
            assert_int_equal(p != NULL, status == WM_OK);
            assert_int_equal(err.message[0] != '\0', status != WM_OK);
            wm_policy_free(p);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_allocation_of_a_policy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
