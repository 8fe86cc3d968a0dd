/*
 * Allocation 1, 2, 3 … n of the signer fails, once, and from then on, until a run passes unhit: while the keys are opened
 * and used, and while one is made. Each call does what it says or tells that memory is short; afterwards the keys open
 * again, and what was signed verifies.
 */
#include "tests/support/fault_malloc.h"

#include "tests/support/scratch.h"
#include "waymark/log.h"
#include "waymark/signer.h"

#include "waymark/banned.h"

#define DAY_S 86400ll

static struct scratch folder;

static struct wm_wall_ns at_day(int64_t day)
{
    return wm_wall_from_seconds(1772359200 + day * DAY_S);
}

static enum wm_status open_signer(struct wm_board *board, struct wm_signer **out, struct wm_err *err)
{
    const struct wm_signer_options o = {
        .io = &wm_io_posix,
        .clock = &wm_clock_system,
        .dir = scratch_path(&folder, "keys"),
        .board = board,
    };
    *out = NULL;
    return wm_signer_open(&o, out, err);
}

static enum wm_status use(struct wm_signer *s, int64_t day, char fingerprint[WM_FINGERPRINT_BYTES],
                          char signature[WM_SIGNATURE_HEX_BYTES], struct wm_err *err)
{
    enum wm_status status = wm_signer_key_for(s, at_day(day), fingerprint, err);
    return status == WM_OK ? wm_signer_sign(s, fingerprint, WM_LIT("a text"), signature, err) : status;
}

static void check_nomem(enum wm_status status, const struct wm_err *err)
{
    if (status != WM_E_NOMEM)
        fail_msg("%s: %s", wm_status_name(status), err->message);
    assert_int_equal(err->status, WM_E_NOMEM);
    assert_true(err->message[0] != '\0');
}

static void check_signature(const char *fingerprint, const char *signature)
{
    struct wm_keyring *ring;
    assert_int_equal(wm_keyring_open(&wm_io_posix, scratch_path(&folder, "keys/public-keys.json"), &ring, NULL), WM_OK);
    assert_int_equal(wm_keyring_verify(ring, wm_view_of(fingerprint), WM_LIT("a text"), wm_view_of(signature), NULL), WM_OK);
    wm_keyring_free(ring);
}

static void each_allocation_of_opening_and_signing(void **state)
{
    (void)state;
    struct wm_signer *s;
    char first[WM_FINGERPRINT_BYTES], fingerprint[WM_FINGERPRINT_BYTES], signature[WM_SIGNATURE_HEX_BYTES];
    assert_int_equal(open_signer(NULL, &s, NULL), WM_OK);
    assert_int_equal(use(s, 0, first, signature, NULL), WM_OK);
    wm_signer_close(s);
    for (int from_then_on = 0; from_then_on < 2; from_then_on++) {
        bool was_hit = true;
        for (unsigned n = 1; was_hit; n++) {
            struct wm_err err = {0};
            struct wm_board *board = wm_board_new();
            assert_non_null(board);
            arm(n, from_then_on != 0);
            enum wm_status status = open_signer(board, &s, &err);
            if (status == WM_OK)
                status = use(s, 1, fingerprint, signature, &err);
            was_hit = disarm("opening and signing");
            if (status == WM_OK) {
                assert_string_equal(fingerprint, first);
                check_signature(fingerprint, signature);
            } else {
                assert_true(was_hit);
                check_nomem(status, &err);
            }
            wm_signer_close(s);
            wm_board_free(board);
        }
    }
    assert_int_equal(open_signer(NULL, &s, NULL), WM_OK);
    assert_int_equal(use(s, 1, fingerprint, signature, NULL), WM_OK);
    assert_string_equal(fingerprint, first);
    wm_signer_close(s);
}

/* The next key is due: it is made, or the one before signs for another day. No key is listed that is not there. */
static void each_allocation_of_making(void **state)
{
    (void)state;
    struct wm_signer *s;
    char fingerprint[WM_FINGERPRINT_BYTES], signature[WM_SIGNATURE_HEX_BYTES], again[WM_FINGERPRINT_BYTES];
    int64_t day = 0;
    bool was_hit = true;
    for (unsigned n = 1; was_hit; n++) {
        struct wm_err err = {0};
        assert_int_equal(open_signer(NULL, &s, NULL), WM_OK);
        assert_int_equal(use(s, day, fingerprint, signature, NULL), WM_OK);
        day += 21;
        arm(n, false);
        enum wm_status status = use(s, day, fingerprint, signature, &err);
        was_hit = disarm("making a key");
        if (status == WM_OK)
            check_signature(fingerprint, signature);
        else
            check_nomem(status, &err);
        assert_int_equal(use(s, day, fingerprint, signature, NULL), WM_OK);
        check_signature(fingerprint, signature);
        wm_signer_close(s);
        assert_int_equal(open_signer(NULL, &s, NULL), WM_OK);
        assert_int_equal(use(s, day, again, signature, NULL), WM_OK);
        assert_string_equal(again, fingerprint);
        wm_signer_close(s);
    }
}

int main(void)
{
    wm_log_set_level(WM_LOG_ERROR);
    scratch_make(&folder);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_allocation_of_opening_and_signing),
        cmocka_unit_test(each_allocation_of_making),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    scratch_remove(&folder);
    return failed;
}
