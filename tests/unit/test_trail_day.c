/*
 * A day of a trail, and three weeks around it: an hour is a turn of the fake clock. Records come and do not come; the
 * daemon stops and starts, for minutes and for weeks; the store refuses, loses replies and is away; the clock is set
 * back; the signing key is rotated; the codec changes.
 *
 * With a folder as its argument the bucket and the public keys stay there, for verifiers that share no code with us
 * (tests/integration/test_trail_day.py); with "zstd" behind it the first half of the day is in that codec,
 * with "bucket" the second half is in another bucket (of the same folder: the keys are the same).
 */
#include "tests/support/trail_rig.h"

#include <stdio.h>

#include "waymark/banned.h"

#define HOUR 3600

static const char *keep_in;
static bool codec_changes, bucket_changes;

static void pass_to_next_digest(struct rig *r)
{
    struct wm_wall_ns sealed = rig_board(r).latest_digest;
    pass_time(r, HOUR);
    for (int i = 0; i < 6000 && rig_board(r).latest_digest.ns == sealed.ns; i++)
        nap();
    assert_true(rig_board(r).latest_digest.ns != sealed.ns);
}

static void keep(struct rig *r, const char *changed_at)
{
    char command[900], path[500];
    (void)snprintf(command, sizeof command, "mkdir -p '%s' && cp -r '%s/bucket' '%s/keys/public-keys.json' '%s/'", keep_in,
                   r->scratch.dir, r->scratch.dir, keep_in);
    assert_int_equal(system(command), 0);
    (void)snprintf(path, sizeof path, "%s/changed-at", keep_in);
    assert_int_equal(wm_io_replace_file(&wm_io_posix, path, wm_view_of(changed_at), 0600, NULL), WM_OK);
}

static void a_day_of_a_trail(void **state)
{
    struct rig *r = *state;
    r->uploads = 3;
    r->o.prefix = WM_EMPTY;
    r->o.codec = codec_changes ? &wm_codec_zstd : &wm_codec_gzip;
    r->o.codec_level = 6;
    atomic_fetch_sub(&r->time.wall_offset_ns, 100 * 24 * HOUR * WM_NS_PER_S); /* so that all of it is in the past */
    r->o.late_after_ms = 900 * 1000;
    rig_start(r);
    rig_begin_chain(r);
    unsigned digests = 1;
    char changed_at[WM_TIME_ISO_BYTES] = "";
    for (int hour = 0; hour < 26; hour++) {
        if ((codec_changes || bucket_changes) && hour == 13) {
            rig_stop(r, 10000);
            r->o.codec = &wm_codec_gzip;
            r->bucket = bucket_changes ? "evidence-2" : r->bucket;
            wm_time_iso(wm_clock_wall(&r->clock), changed_at);
            rig_start(r);
        }
        rig_append(r, (unsigned)(hour * 37 % 60)); /* some hours have none */
        switch (hour % 13) {
        case 2: /* an outage of hours, with calls */
            atomic_store(&r->flaky->mode, hour > 13 ? FLAKY_AWAY : FLAKY_REFUSE);
            for (int i = 0; i < 5; i++) {
                rig_append(r, 20);
                pass_time(r, HOUR);
                nap();
            }
            atomic_store(&r->flaky->mode, FLAKY_PASS);
            rig_wait_delivered(r);
            break;
        case 4:
            atomic_store(&r->flaky->mode, FLAKY_LOSE_REPLY);
            break;
        case 6: /* a restart, and calls that were recorded and not delivered */
            rig_stop(r, 0);
            rig_append(r, 11);
            rig_start(r);
            break;
        case 8: /* off for half a day */
            rig_stop(r, 10000);
            pass_time(r, 12 * HOUR);
            rig_start(r);
            break;
        case 10: /* and for three weeks: the next digest has a new key */
            rig_stop(r, 10000);
            pass_time(r, 21 * 24 * HOUR);
            rig_start(r);
            break;
        case 12: /* the clock is set back by an hour */
            atomic_fetch_sub(&r->time.wall_offset_ns, HOUR * WM_NS_PER_S);
            pass_time(r, 2); /* the monotonic clock decides from here on */
            break;
        default:
            break;
        }
        rig_wait_delivered(r);
        if (r->flaky && atomic_load(&r->flaky->mode) == FLAKY_LOSE_REPLY)
            atomic_store(&r->flaky->mode, FLAKY_PASS);
        pass_to_next_digest(r);
        digests++;
    }
    rig_stop(r, 10000);

    inventory_take(r, &inventory);
    assert_true(inventory.digests >= digests);
    assert_int_equal(inventory.listed, inventory.files);
    struct wm_digest first = digest_at(0), last = digest_at(inventory.digests - 1);
    assert_false(wm_view_eq(first.fingerprint, last.fingerprint));
    inventory_done(&inventory);

    if (keep_in)
        keep(r, changed_at);
    if (bucket_changes) /* a folder is one bucket for our verifier */
        return;
    struct wm_verify_result result = rig_verify(r, "");
    assert_int_equal(result.findings, 0);
    assert_int_equal(result.records, r->appended);
    assert_int_equal(result.files_pending, 0);
}

int main(int argc, char **argv)
{
    keep_in = argc > 1 ? argv[1] : NULL;
    codec_changes = argc > 2 && strcmp(argv[2], "zstd") == 0;
    bucket_changes = argc > 2 && strcmp(argv[2], "bucket") == 0;
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(a_day_of_a_trail, rig_setup, rig_teardown)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
