/* The status board: what was posted comes back, by name, by ARN, by validity. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "waymark/board.h"

static struct wm_board_trail trail(const char *name, uint64_t delivered)
{
    struct wm_board_trail t = {.delivered_records = delivered};
    snprintf(t.name, sizeof t.name, "%s", name);
    snprintf(t.arn, sizeof t.arn, "arn:aws:cloudtrail:eu-west-1:111122223333:trail/%s", name);
    return t;
}

static void trails_are_found_by_name_and_arn(void **state)
{
    (void)state;
    struct wm_board *b = wm_board_new();
    struct wm_board_trail t = trail("one", 1), got, all[3];
    assert_non_null(b);
    assert_int_equal(wm_board_trails(b, all, 3), 0);
    assert_int_equal(wm_board_post_trail(b, &t), WM_OK);
    t = trail("two", 2);
    assert_int_equal(wm_board_post_trail(b, &t), WM_OK);
    t = trail("one", 10); /* replaces, in its place */
    assert_int_equal(wm_board_post_trail(b, &t), WM_OK);
    assert_int_equal(wm_board_trails(b, all, 3), 2);
    assert_string_equal(all[0].name, "one");
    assert_int_equal(all[0].delivered_records, 10);
    assert_string_equal(all[1].name, "two");
    assert_int_equal(wm_board_trails(b, all, 1), 1);
    assert_true(wm_board_find_trail(b, WM_LIT("two"), &got));
    assert_int_equal(got.delivered_records, 2);
    assert_true(wm_board_find_trail(b, wm_view_of(all[0].arn), &got));
    assert_int_equal(got.delivered_records, 10);
    assert_false(wm_board_find_trail(b, WM_LIT("tw"), &got));
    assert_false(wm_board_find_trail(b, WM_EMPTY, &got));
    wm_board_free(b);
    wm_board_free(NULL);
}

static void too_many_trails_are_refused(void **state)
{
    (void)state;
    struct wm_board *b = wm_board_new();
    char name[16];
    for (int i = 0; i <= WM_BOARD_MAX_TRAILS; i++) {
        snprintf(name, sizeof name, "t%d", i);
        struct wm_board_trail t = trail(name, 0);
        assert_int_equal(wm_board_post_trail(b, &t), i < WM_BOARD_MAX_TRAILS ? WM_OK : WM_E_LIMIT);
    }
    struct wm_board_trail t = trail("t3", 5);
    assert_int_equal(wm_board_post_trail(b, &t), WM_OK); /* a known one always */
    wm_board_free(b);
}

static struct wm_board_key key(unsigned n, int64_t from, int64_t until)
{
    struct wm_board_key k = {.valid_from = {from}, .valid_until = {until}};
    snprintf(k.fingerprint, sizeof k.fingerprint, "%032x", n);
    return k;
}

static void keys_are_chosen_by_validity_oldest_first(void **state)
{
    (void)state;
    struct wm_board *b = wm_board_new();
    struct wm_board_key k, out[4];
    k = key(2, 200, 299);
    assert_int_equal(wm_board_post_key(b, &k), WM_OK);
    k = key(3, 300, 399);
    assert_int_equal(wm_board_post_key(b, &k), WM_OK);
    k = key(1, 100, 199);
    assert_int_equal(wm_board_post_key(b, &k), WM_OK);
    assert_int_equal(wm_board_keys(b, (struct wm_wall_ns){0}, (struct wm_wall_ns){1000}, out, 4), 3);
    assert_int_equal(out[0].valid_from.ns, 100);
    assert_int_equal(out[1].valid_from.ns, 200);
    assert_int_equal(out[2].valid_from.ns, 300);
    assert_int_equal(wm_board_keys(b, (struct wm_wall_ns){0}, (struct wm_wall_ns){1000}, out, 2), 2);
    assert_int_equal(wm_board_keys(b, (struct wm_wall_ns){199}, (struct wm_wall_ns){200}, out, 4), 2); /* both borders */
    assert_int_equal(wm_board_keys(b, (struct wm_wall_ns){400}, (struct wm_wall_ns){500}, out, 4), 0);
    assert_int_equal(wm_board_keys(b, (struct wm_wall_ns){0}, (struct wm_wall_ns){99}, out, 4), 0);
    k = key(1, 250, 350); /* the same key with another validity moves */
    assert_int_equal(wm_board_post_key(b, &k), WM_OK);
    assert_int_equal(wm_board_keys(b, (struct wm_wall_ns){0}, (struct wm_wall_ns){1000}, out, 4), 3);
    assert_int_equal(out[1].valid_from.ns, 250);
    wm_board_free(b);
}

static void too_many_keys_are_refused(void **state)
{
    (void)state;
    struct wm_board *b = wm_board_new();
    for (unsigned i = 0; i <= WM_BOARD_MAX_KEYS; i++) {
        struct wm_board_key k = key(i, i, i + 1);
        assert_int_equal(wm_board_post_key(b, &k), i < WM_BOARD_MAX_KEYS ? WM_OK : WM_E_LIMIT);
    }
    wm_board_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trails_are_found_by_name_and_arn),
        cmocka_unit_test(too_many_trails_are_refused),
        cmocka_unit_test(keys_are_chosen_by_validity_oldest_first),
        cmocka_unit_test(too_many_keys_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
