/* Token buckets: that they give exactly what they may, to each alone, whatever others do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "waymark/sync.h"
#include "waymark/throttle.h"

#define S WM_NS_PER_S
#define SOURCE WM_THROTTLE_SOURCE
#define PRINCIPAL WM_THROTTLE_PRINCIPAL

static struct wm_throttle *t;
static int64_t now;

static void limits(int64_t source_rate, int64_t source_burst, int64_t principal_rate, int64_t principal_burst)
{
    wm_throttle_free(t);
    t = NULL;
    now = 1000 * S;
    assert_int_equal(wm_throttle_new((struct wm_throttle_limit){source_rate, source_burst},
                                     (struct wm_throttle_limit){principal_rate, principal_burst}, &t, NULL), WM_OK);
}

static int64_t take(enum wm_throttle_kind kind, const char *who)
{
    return wm_throttle_take(t, kind, wm_view_of(who), (struct wm_mono_ns){now});
}

/* How many calls it gives at this moment. */
static int take_all(enum wm_throttle_kind kind, const char *who)
{
    int n = 0;
    while (take(kind, who) == 0)
        n++;
    return n;
}

static int tear_down(void **state)
{
    (void)state;
    wm_throttle_free(t);
    t = NULL;
    return 0;
}

static void no_limit_is_no_throttle(void **state)
{
    (void)state;
    limits(0, 0, 0, 0);
    assert_null(t);
    limits(0, 0, 1, 1);
    assert_non_null(t);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(take(SOURCE, "192.0.2.1"), 0);
    assert_int_equal(take_all(PRINCIPAL, "arn:aws:iam::123456789012:root"), 1);
}

static void burst_and_refill_are_exact(void **state)
{
    (void)state;
    limits(3, 5, 0, 0); /* a third of a second is no whole number of ns */
    assert_int_equal(take_all(SOURCE, "192.0.2.1"), 5);
    assert_int_equal(take(SOURCE, "192.0.2.1"), 333333334);
    now += 333333333;
    assert_int_equal(take(SOURCE, "192.0.2.1"), 1);
    now += 1;
    assert_int_equal(take(SOURCE, "192.0.2.1"), 0);
    assert_int_equal(take(SOURCE, "192.0.2.1"), 333333333); /* the third of a ns is not lost */
    now += 333333333;
    assert_int_equal(take(SOURCE, "192.0.2.1"), 0);
    now += S;
    assert_int_equal(take_all(SOURCE, "192.0.2.1"), 3);
    now += 3600 * S;
    assert_int_equal(take_all(SOURCE, "192.0.2.1"), 5);
    now -= S; /* as a thread sees it that has looked at the clock before */
    assert_int_equal(take_all(SOURCE, "192.0.2.1"), 0);
    limits(7, 0, 0, 0);
    assert_int_equal(take_all(SOURCE, "192.0.2.1"), 7);
    limits(1, WM_THROTTLE_MAX, 0, 0); /* the largest numbers that there can be */
    for (int i = 0; i < 1000; i++)
        assert_int_equal(take(SOURCE, "192.0.2.1"), 0);
    now = INT64_MAX - 1;
    assert_int_equal(take(SOURCE, "192.0.2.1"), 0);
    limits(WM_THROTTLE_MAX, 1, 0, 0);
    assert_int_equal(take_all(SOURCE, "192.0.2.1"), 1);
    assert_int_equal(take(SOURCE, "192.0.2.1"), 1000);
    now = INT64_MAX - 1;
    assert_int_equal(take(SOURCE, "192.0.2.1"), 0);
}

/* In every interval, not only from the start: at most burst + rate * t; and no less, when asked for all the time. */
static void no_interval_gives_more_than_burst_and_rate(void **state)
{
    (void)state;
    enum { CALLS = 2000 };
    static int64_t given[CALLS];
    unsigned seed = 20261122;
    for (int round = 0; round < 8; round++) {
        int64_t rate = 1 + rand_r(&seed) % 50, burst = 1 + rand_r(&seed) % 20;
        limits(rate, burst, 0, 0);
        int n = 0;
        for (int i = 0; i < CALLS; i++) {
            int64_t wait = take(SOURCE, "192.0.2.1");
            if (wait == 0)
                given[n++] = now;
            else if (rand_r(&seed) % 2)
                now += wait; /* exactly when it was told to come */
            if (rand_r(&seed) % 3 == 0)
                now += rand_r(&seed) % (2 * S / rate);
        }
        assert_true(n > CALLS / 8);
        for (int from = 0; from < n; from++)
            for (int to = from; to < n && to < from + 200; to++)
                if ((int64_t)(to - from + 1 - burst) * S > (given[to] - given[from]) * rate)
                    fail_msg("rate %d burst %d: %d calls in %lld ns", (int)rate, (int)burst, to - from + 1,
                             (long long)(given[to] - given[from]));
    }
}

static void waiting_as_told_is_enough_and_less_is_not(void **state)
{
    (void)state;
    unsigned seed = 1;
    for (int i = 0; i < 200; i++) {
        limits(1 + rand_r(&seed) % 1000000, 1 + rand_r(&seed) % 3, 0, 0);
        (void)take_all(SOURCE, "192.0.2.1");
        now += rand_r(&seed) % 1000;
        (void)take_all(SOURCE, "192.0.2.1");
        int64_t wait = take(SOURCE, "192.0.2.1");
        assert_true(wait > 0);
        now += wait - 1;
        assert_true(take(SOURCE, "192.0.2.1") > 0);
        now += 1;
        assert_int_equal(take(SOURCE, "192.0.2.1"), 0);
    }
}

static void each_has_its_own_bucket(void **state)
{
    (void)state;
    limits(1, 3, 1, 2);
    static const char *const apart[] = {"192.0.2.1", "192.0.2.2", "2001:db8:1:2::1", "2001:db8:1:3::1", "not an address", ""};
    for (size_t i = 0; i < sizeof apart / sizeof apart[0]; i++)
        assert_int_equal(take_all(SOURCE, apart[i]), 3);
    static const char *const same[] = {"2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::", "::ffff:192.0.2.1"};
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++)
        assert_int_equal(take_all(SOURCE, same[i]), 0);
    assert_int_equal(take_all(PRINCIPAL, "arn:aws:iam::123456789012:user/a"), 2);
    assert_int_equal(take_all(PRINCIPAL, "arn:aws:iam::123456789012:user/b"), 2);
    assert_int_equal(take_all(PRINCIPAL, "arn:aws:iam::123456789012:user/path/b"), 2);
    assert_int_equal(take_all(PRINCIPAL, "192.0.2.1"), 2); /* another table */
}

static void a_role_is_one_principal_whatever_its_sessions_are_called(void **state)
{
    (void)state;
    limits(0, 0, 1, 4);
    assert_int_equal(take(PRINCIPAL, "arn:aws:sts::123456789012:assumed-role/Automation/one"), 0);
    assert_int_equal(take_all(PRINCIPAL, "arn:aws:sts::123456789012:assumed-role/Automation/two"), 3);
    assert_int_equal(take_all(PRINCIPAL, "arn:aws:sts::123456789012:assumed-role/Other/one"), 4);
    assert_int_equal(take_all(PRINCIPAL, "arn:aws:iam::123456789012:user/assumed-role/x/y"), 4); /* a user's path */
    assert_int_equal(take_all(PRINCIPAL, "arn:aws:iam::123456789012:user/assumed-role/x/z"), 4);
}

/* More sources than there are places: 50,000, all used up at one moment. */
static void many_sources_cannot_free_themselves_nor_others(void **state)
{
    (void)state;
    enum { ATTACKERS = 50000 };
    char who[40];
    limits(1, 2, 0, 0);
    assert_int_equal(take_all(SOURCE, "192.0.2.1"), 2);
    static uint8_t got[ATTACKERS];
    long given = 0;
    memset(got, 0, sizeof got);
    for (int again = 0; again < 2; again++) {
        for (int i = 0; i < ATTACKERS; i++) {
            snprintf(who, sizeof who, "2001:db8:%x:%x::1", i >> 16, i & 0xffff);
            int n = take_all(SOURCE, who);
            got[i] = (uint8_t)(got[i] + n);
            given += n;
        }
    }
    for (int i = 0; i < ATTACKERS; i++)
        assert_true(got[i] <= 2);
    /* Each place once, and each shared bucket; what its first user left there is lacking in whoever gets a place. */
    assert_true(given <= 2 * (4096 * 8 + 4096));
    assert_true(given > 4096 * 8);
    assert_int_equal(take_all(SOURCE, "192.0.2.1"), 0); /* not forgotten */
    now += S;
    assert_int_equal(take_all(SOURCE, "192.0.2.1"), 1);
    /* Once they are full again, all is forgotten, and a newcomer finds a place. */
    now += 10 * S;
    for (int i = 0; i < 1000; i++) {
        snprintf(who, sizeof who, "198.51.%d.%d", i >> 8, i & 255);
        assert_int_equal(take_all(SOURCE, who), 2);
    }
}

/* A bucket of its own is not a way to get more than the bound: for those too that changed between shared and own. */
static void no_source_gets_more_when_places_are_scarce(void **state)
{
    (void)state;
    enum { SOURCES = 40000, ROUNDS = 4 };
    static int64_t given[SOURCES];
    char who[40];
    unsigned seed = 7;
    limits(2, 3, 0, 0);
    memset(given, 0, sizeof given);
    int64_t began = now;
    for (int round = 0; round < ROUNDS; round++) {
        for (int k = 0; k < SOURCES; k++) {
            int i = (int)((unsigned)rand_r(&seed) % SOURCES);
            snprintf(who, sizeof who, "10.%d.%d.%d", i >> 16, i >> 8 & 255, i & 255);
            given[i] += take(SOURCE, who) == 0;
        }
        now += S / 5;
    }
    for (int i = 0; i < SOURCES; i++)
        assert_true((given[i] - 3) * S <= (now - began) * 2);
}

static void the_sentence_says_limit_principal_and_time(void **state)
{
    (void)state;
    struct wm_arena a;
    wm_arena_init(&a, 65536);
    limits(5, 9, 2, 0);
    assert_string_equal(wm_throttle_sentence(t, SOURCE, WM_LIT("192.0.2.1"), 1, &a).ptr,
                        "Too many calls by source 192.0.2.1: at most 5 a second and 9 at once are taken "
                        "(throttle.source_rate, throttle.source_burst); come again in 1 s");
    assert_string_equal(wm_throttle_sentence(t, PRINCIPAL, WM_LIT("arn:aws:sts::123456789012:assumed-role/R/s"), 3, &a).ptr,
                        "Too many calls by principal arn:aws:sts::123456789012:assumed-role/R: at most 2 a second and 2 at "
                        "once are taken (throttle.principal_rate, throttle.principal_burst); come again in 3 s");
    wm_arena_done(&a);
}

static atomic_int together;

static void *taker(void *arg)
{
    (void)arg;
    for (int i = 0; i < 5000; i++) {
        if (wm_throttle_take(t, SOURCE, WM_LIT("192.0.2.1"), (struct wm_mono_ns){now}) == 0)
            atomic_fetch_add(&together, 1);
        char who[32];
        snprintf(who, sizeof who, "10.0.%d.%d", i >> 8, i & 255);
        (void)wm_throttle_take(t, SOURCE, wm_view_of(who), (struct wm_mono_ns){now + i});
    }
    return NULL;
}

static void threads_share_one_bucket(void **state)
{
    (void)state;
    pthread_t threads[4];
    limits(1, 4321, 0, 0);
    atomic_store(&together, 0);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(wm_thread_start(&threads[i], "taker", taker, NULL, NULL), WM_OK);
    for (size_t i = 0; i < 4; i++)
        WM_PTOK(pthread_join(threads[i], NULL));
    assert_int_equal(atomic_load(&together), 4321);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(no_limit_is_no_throttle, tear_down),
        cmocka_unit_test_teardown(burst_and_refill_are_exact, tear_down),
        cmocka_unit_test_teardown(no_interval_gives_more_than_burst_and_rate, tear_down),
        cmocka_unit_test_teardown(waiting_as_told_is_enough_and_less_is_not, tear_down),
        cmocka_unit_test_teardown(each_has_its_own_bucket, tear_down),
        cmocka_unit_test_teardown(a_role_is_one_principal_whatever_its_sessions_are_called, tear_down),
        cmocka_unit_test_teardown(many_sources_cannot_free_themselves_nor_others, tear_down),
        cmocka_unit_test_teardown(no_source_gets_more_when_places_are_scarce, tear_down),
        cmocka_unit_test_teardown(the_sentence_says_limit_principal_and_time, tear_down),
        cmocka_unit_test_teardown(threads_share_one_bucket, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
