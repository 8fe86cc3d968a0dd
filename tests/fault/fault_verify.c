/*
 * Allocation 1, 2, 3 … n fails, once, and from then on, until a run of the verifier passes unhit, with a checkpoint and a
 * resume file: it says that all is good, or that memory is short, and never that something is wrong. ASan's run sees to
 * leaks.
 */
#define FAULT_REALLOCARRAY
#include "tests/support/fault_malloc.h"

#include "tests/support/verify_rig.h"

#include "waymark/banned.h"

#define HANG_S 240 /* far more than all of it takes: then it hangs */

static void no_finding(void *arg, const struct wm_verify_line *line)
{
    const unsigned *n = arg;
    if (!line->note)
        fail_msg("allocation %u: %.*s: %s", *n, WM_ARG(line->key), line->text);
}

/* @return false: it passed unhit */
static bool run_once(struct wm_store *const *stores, const char *checkpoint, const char *resume, unsigned n,
                     bool from_then_on)
{
    struct wm_verify_result result;
    struct wm_err err = {0};
    const struct wm_verify_options o = {.stores = stores, .n_stores = 2, .keys = suite.keys, .checkpoint = checkpoint,
                                        .resume = resume, .say = no_finding, .arg = &n};
    arm(n, from_then_on);
    enum wm_status status = wm_verify(&o, &result, &err);
    bool was_hit = disarm("verify");
    if (status != WM_OK && status != WM_E_NOMEM)
        fail_msg("allocation %u: status %d: %s", n, status, err.message);
    assert_true(status == WM_OK || was_hit);
    if (status == WM_OK)
        assert_int_equal(result.files_valid, 4);
    return was_hit;
}

static void each_failed_allocation_is_an_error(void **state)
{
    (void)state;
    struct chain *c = chain_new(&wm_codec_gzip);
    char checkpoint[1024], resume[1024], key[KEY_BYTES], hash[WM_SHA256_HEX_BYTES + 1];
    struct wm_view folder = wm_view_of(scratch_path(&c->scratch, "bucket"));
    alarm(HANG_S);
    c->scripts = (const char *const[]){"1", "4", "5=2..3", "6", ""};
    seal(c, NULL);
    seal(c, NULL);
    put_file(c, c->end_s + 60, "pending000000000", key, hash);
    (void)snprintf(checkpoint, sizeof checkpoint, "%s", scratch_path(&c->scratch, "checkpoint"));
    (void)snprintf(resume, sizeof resume, "%s", scratch_path(&c->scratch, "resume"));
    for (int from_then_on = 0; from_then_on < 2; from_then_on++) {
        bool was_hit = true;
        for (unsigned n = 1; was_hit; n++) {
            struct wm_store *stores[2];
            for (size_t i = 0; i < 2; i++) /* a failed run has spent them */
                assert_int_equal(wm_store_file_new(&wm_io_posix, folder, WM_EMPTY, &stores[i], NULL), WM_OK);
            (void)unlink(n % 2 ? resume : checkpoint);
            was_hit = run_once(stores, checkpoint, resume, n, from_then_on);
            for (size_t i = 0; i < 2; i++)
                wm_store_free(stores[i]);
        }
    }
    chain_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_failed_allocation_is_an_error)};
    return cmocka_run_group_tests_name("fault_verify", tests, suite_setup, suite_teardown);
}
