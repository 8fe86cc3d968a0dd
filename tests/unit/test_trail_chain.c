/* Digests: one chain without a gap, each file in one of them. */
#include "tests/support/trail_rig.h"

#include "waymark/banned.h"

static void trail_seals_a_chain_of_digests(void **state)
{
    struct rig *r = *state;
    rig_start(r);
    int64_t started_s = wm_wall_seconds(rig_board(r).started);
    struct wm_wall_ns sealed = rig_begin_chain(r);
    static const unsigned batches[] = {15, 0, 40, 1, 0};
    for (size_t i = 0; i < 5; i++) {
        rig_append(r, batches[i]);
        rig_wait_delivered(r);
        pass_time(r, 3602);
        WAIT(r, b.latest_digest.ns > sealed.ns);
        sealed = rig_board(r).latest_digest;
    }
    inventory_take(r, &inventory);
    assert_int_equal(inventory.digests, 6);
    assert_int_equal(inventory.listed, inventory.files);
    struct wm_digest first = digest_at(0);
    assert_false(first.has_previous);
    assert_int_equal(first.n_files, 0);
    assert_int_equal(seconds_of(first.start), started_s);
    assert_int_equal(seconds_of(first.end), started_s + 1);
    for (size_t i = 0; i < 5; i++) {
        struct wm_digest d = digest_at(i + 1);
        assert_int_equal(d.n_files, (batches[i] + 9) / 10);
        assert_int_equal(seconds_of(d.start), started_s + 1 + 3600 * (int64_t)i);
        assert_int_equal(seconds_of(d.end), started_s + 1 + 3600 * (int64_t)(i + 1));
        assert_true(wm_view_eq_str(d.bucket, "evidence"));
        assert_true(wm_view_ends(d.key, ".json.gz")); /* whatever the files are */
    }
    inventory_done(&inventory);
}

static void trail_spans_a_long_stop_with_one_digest(void **state)
{
    struct rig *r = *state;
    rig_start(r);
    int64_t started_s = wm_wall_seconds(rig_board(r).started);
    struct wm_wall_ns sealed = rig_begin_chain(r);
    rig_append(r, 5);
    rig_wait_delivered(r);
    rig_stop(r, 10000);
    pass_time(r, 3600 * 24 * 10 + 100);
    rig_append(r, 5);
    rig_start(r);
    WAIT(r, b.latest_digest.ns > sealed.ns);
    rig_wait_delivered(r);
    inventory_take(r, &inventory);
    assert_int_equal(inventory.digests, 2);
    struct wm_digest d = digest_at(1);
    assert_int_equal(d.n_files, 1); /* the file of before; the other one belongs to the next */
    assert_int_equal(seconds_of(d.start), started_s + 1);
    assert_int_equal(seconds_of(d.end), started_s + 1 + 240 * 3600);
    inventory_done(&inventory);
    sealed = rig_board(r).latest_digest;
    pass_time(r, 3600);
    WAIT(r, b.latest_digest.ns > sealed.ns);
    inventory_take(r, &inventory);
    assert_int_equal(inventory.listed, 2);
    inventory_done(&inventory);
}

static void trail_chain_survives_a_clock_that_goes_back(void **state)
{
    struct rig *r = *state;
    rig_start(r);
    struct wm_wall_ns sealed = rig_begin_chain(r);
    for (int i = 0; i < 6; i++) {
        rig_append(r, 4);
        rig_wait_delivered(r);
        if (i == 1 || i == 3)
            atomic_fetch_sub(&r->time.wall_offset_ns, 30 * 3600 * WM_NS_PER_S);
        if (i == 4) { /* a restart does not help it */
            rig_stop(r, 10000);
            rig_start(r);
        }
        pass_time(r, 3605);
        int64_t end = wm_clock_mono(&wm_clock_system).ns + 20 * WM_NS_PER_S;
        while (rig_board(r).latest_digest.ns == sealed.ns && wm_clock_mono(&wm_clock_system).ns < end)
            nap();
        assert_true(rig_board(r).latest_digest.ns != sealed.ns);
        sealed = rig_board(r).latest_digest;
    }
    inventory_take(r, &inventory);
    assert_int_equal(inventory.digests, 7);
    assert_int_equal(inventory.listed, inventory.files);
    inventory_done(&inventory);
}

/* A trail made while the clock was ahead, before its first digest. */
static void trail_chain_begins_although_the_clock_goes_back(void **state)
{
    struct rig *r = *state;
    rig_start(r);
    int64_t started_s = wm_wall_seconds(rig_board(r).started);
    atomic_fetch_sub(&r->time.wall_offset_ns, 30 * 3600 * WM_NS_PER_S);
    struct wm_wall_ns sealed = {0};
    rig_append(r, 4);
    rig_wait_delivered(r);
    for (int i = 0; i < 2; i++) {
        atomic_fetch_add(&r->time.mono_offset_ns, (i ? 3605 : 5) * WM_NS_PER_S);
        pass_time(r, 1); /* so that the two have different times */
        WAIT(r, b.latest_digest.ns > sealed.ns);
        sealed = rig_board(r).latest_digest;
    }
    inventory_take(r, &inventory);
    assert_int_equal(inventory.digests, 2);
    assert_int_equal(seconds_of(digest_at(0).end), started_s + 1);
    assert_int_equal(seconds_of(digest_at(1).end), started_s + 1 + 3600);
    assert_int_equal(inventory.listed, inventory.files);
    inventory_done(&inventory);
}

/* The store takes no digests for a while, the trail restarts meanwhile: files go on, the digest comes as planned. */
static void trail_delivers_files_while_a_digest_waits(void **state)
{
    struct rig *r = *state;
    rig_start(r);
    struct wm_wall_ns sealed = rig_begin_chain(r);
    r->start_mode = FLAKY_REFUSE_DIGESTS;
    atomic_store(&r->flaky->mode, FLAKY_REFUSE_DIGESTS);
    rig_append(r, 5);
    rig_wait_delivered(r);
    pass_time(r, 3602);
    WAIT(r, strcmp(b.latest_digest_error, "SlowDown") == 0);
    char key[1100];
    memcpy(key, r->flaky->first_key, sizeof key);
    rig_append(r, 25);
    rig_wait_delivered(r);
    assert_string_equal(rig_board(r).latest_delivery_error, "");
    pass_time(r, 7200);
    rig_stop(r, 10000);
    rig_append(r, 5);
    rig_start(r);
    rig_wait_delivered(r);
    while (!atomic_load(&r->flaky->has_first))
        nap();
    assert_string_equal(r->flaky->first_key, key);
    atomic_store(&r->flaky->mode, FLAKY_LOSE_REPLY); /* the next put is a digest's: no records are left */
    WAIT(r, b.latest_digest.ns > sealed.ns);
    WAIT(r, b.latest_digest_error[0] == '\0');
    pass_time(r, 3602);
    WAIT(r, digests_in_bucket(r) == 4); /* the planned one, one for the two periods since, one for the last */
    inventory_take(r, &inventory);
    assert_string_equal(inventory.digest_keys[1], key);
    assert_int_equal(digest_at(1).n_files, 1);
    assert_int_equal(digest_at(2).n_files, 3);
    assert_int_equal(digest_at(3).n_files, 1);
    inventory_done(&inventory);
}

/* A period is over, and its last file is not in the bucket: the digest waits for it, further files do not. */
static void trail_seals_a_period_when_its_files_are_there(void **state)
{
    struct rig *r = *state;
    r->uploads = 3;
    rig_start(r);
    struct wm_wall_ns sealed = rig_begin_chain(r);
    rig_append(r, 5);
    rig_wait_delivered(r);
    atomic_store(&r->flaky->mode, FLAKY_BLOCK_FIRST);
    rig_append(r, 5);
    while (!atomic_load(&r->flaky->has_first))
        nap();
    pass_time(r, 3602);
    for (int i = 0; i < 60; i++)
        nap();
    assert_int_equal(rig_board(r).latest_digest.ns, sealed.ns);
    rig_append(r, 5); /* of the next period */
    while (atomic_load(&r->flaky->puts) < 3)
        nap();
    pass_time(r, 600); /* the digest's end does not move while it waits */
    atomic_store(&r->flaky->mode, FLAKY_PASS);
    WAIT(r, b.latest_digest.ns > sealed.ns);
    rig_wait_delivered(r);
    sealed = rig_board(r).latest_digest;
    pass_time(r, 3602);
    WAIT(r, b.latest_digest.ns > sealed.ns);
    inventory_take(r, &inventory);
    assert_int_equal(inventory.digests, 3);
    assert_int_equal(digest_at(1).n_files, 2);
    assert_int_equal(digest_at(2).n_files, 1);
    assert_int_equal(seconds_of(digest_at(1).end), seconds_of(digest_at(1).start) + 3600);
    inventory_done(&inventory);
}

static void trail_plans_its_digest_anew_in_another_bucket(void **state)
{
    struct rig *r = *state;
    rig_start(r);
    struct wm_wall_ns sealed = rig_begin_chain(r);
    atomic_store(&r->flaky->mode, FLAKY_REFUSE_DIGESTS);
    rig_append(r, 5);
    rig_wait_delivered(r);
    pass_time(r, 3602);
    WAIT(r, strcmp(b.latest_digest_error, "SlowDown") == 0);
    rig_stop(r, 10000);
    r->bucket = "evidence-2";
    rig_start(r);
    WAIT(r, b.latest_digest.ns > sealed.ns);
    inventory_take(r, &inventory);
    struct wm_digest d = digest_at(1);
    assert_true(wm_view_eq_str(d.bucket, "evidence-2"));
    assert_true(wm_view_eq_str(d.files[0].bucket, "evidence"));
    inventory_done(&inventory);
}

/* The verifier has the last word. */
static void trail_is_verified_as_good(void **state)
{
    struct rig *r = *state;
    rig_start(r);
    struct wm_wall_ns sealed = rig_begin_chain(r);
    for (int i = 0; i < 3; i++) {
        rig_append(r, 30);
        rig_wait_delivered(r);
        pass_time(r, 3602);
        WAIT(r, b.latest_digest.ns > sealed.ns);
        sealed = rig_board(r).latest_digest;
    }
    rig_append(r, 3);
    rig_stop(r, 10000);
    assert_all_there(r);
    struct wm_verify_result result = rig_verify(r, "audit");
    assert_int_equal(result.chains, 1);
    assert_int_equal(result.digests_valid, 4);
    assert_int_equal(result.files_valid, 9);
    assert_int_equal(result.files_pending, 1);
    assert_int_equal(result.records, 90);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        TEST(trail_seals_a_chain_of_digests),
        TEST(trail_spans_a_long_stop_with_one_digest),
        TEST(trail_chain_survives_a_clock_that_goes_back),
        TEST(trail_chain_begins_although_the_clock_goes_back),
        TEST(trail_delivers_files_while_a_digest_waits),
        TEST(trail_seals_a_period_when_its_files_are_there),
        TEST(trail_plans_its_digest_anew_in_another_bucket),
        TEST(trail_is_verified_as_good),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
