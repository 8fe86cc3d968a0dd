/* Sequence numbers within the files, between them, and what explains a gap. Two digests of two files each. */
#include "tests/support/verify_rig.h"

#include "waymark/banned.h"

static struct chain *two(const char *const scripts[5])
{
    struct chain *c = chain_new(&wm_codec_zstd);
    c->scripts = scripts;
    seal(c, NULL);
    seal(c, NULL);
    return c;
}

static void sequence_accepts_numbers_that_rise_by_one(void **state)
{
    (void)state;
    struct chain *c = two((const char *const[]){"3 4 5", "6", "7 8", "9", ""});
    verify(c);
    assert_findings(c, 0);
    assert_int_equal(c->result.records, 7);
    chain_free(c);
    c = two((const char *const[]){"- -", "1 2", "3", "4", ""}); /* an older version wrote the first file */
    verify(c);
    assert_findings(c, 0);
    chain_free(c);
}

static void sequence_names_gaps_in_and_between_files_and_digests(void **state)
{
    (void)state;
    struct chain *c = two((const char *const[]){"1 2 5", "6 9 10 13", "14", "16", ""});
    verify(c);
    assert_findings(c, 4);
    assert_said(c, 0, c->file[0][0], "lacks sequence numbers 3 to 4");
    assert_said(c, 1, c->file[0][1], "lacks sequence numbers 7 to 8");
    assert_said(c, 2, c->file[0][1], "lacks sequence numbers 11 to 12");
    assert_said(c, 3, c->file[1][1], "lacks sequence numbers 15 to 15");
    assert_string_equal(c->said[0].kind, "gap");
    assert_int_equal(c->result.files_valid, 4);
    chain_free(c);
    c = two((const char *const[]){"1", "2", "5", "6", ""});
    verify(c);
    assert_only(c, c->file[1][0], "lacks sequence numbers 3 to 4");
    chain_free(c);
}

static void sequence_names_what_is_out_of_order_once_a_file(void **state)
{
    (void)state;
    struct chain *c = two((const char *const[]){"1 2 2 3 3", "4", "4 5", "6", ""});
    verify(c);
    assert_findings(c, 2);
    assert_said(c, 0, c->file[0][0], "its records are not in order: sequence number 2 follows 2");
    assert_said(c, 1, c->file[1][0], "its records are not in order: sequence number 4 follows 4");
    assert_string_equal(c->said[0].kind, "order");
    chain_free(c);
}

/* A record of the third file stands in the first one: where it was there is a gap, where it is there is disorder. */
static void sequence_names_both_ends_of_a_moved_record(void **state)
{
    (void)state;
    struct chain *c = two((const char *const[]){"1 8 2", "3 4", "5 6 7 9", "10", ""});
    verify(c);
    assert_findings(c, 3);
    assert_said(c, 0, c->file[0][0], "sequence number 2 follows 8");
    assert_said(c, 1, c->file[0][1], "sequence number 3 follows 8");
    assert_said(c, 2, c->file[1][0], "sequence number 5 follows 8");
    chain_free(c);
}

static void sequence_names_records_without_a_number(void **state)
{
    (void)state;
    struct chain *c = two((const char *const[]){"1 - 3", "4", "- -", "9", ""});
    verify(c);
    assert_findings(c, 2);
    assert_said(c, 0, c->file[0][0], "some of its records have no sequence number");
    assert_said(c, 1, c->file[1][0], "its records have no sequence numbers, though older ones of this chain have");
    assert_string_equal(c->said[1].kind, "unnumbered");
    chain_free(c);
    /* what else may stand there is no number */
    static const char *const odd[] = {"0", "01", "1.5", "-2", "\"2\"", "1e3", "9007199254740992", "99999999999999999999999"};
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        c = two((const char *const[]){"1", odd[i], "2", "3", ""});
        verify(c);
        assert_only(c, c->file[0][1], "its records have no sequence numbers");
        chain_free(c);
    }
}

/* What is lost with a file or a digest has its finding; numbers are followed on from there. */
static void sequence_goes_on_behind_other_findings(void **state)
{
    (void)state;
    struct chain *c = two((const char *const[]){"1 2", "3 4", "5", "6", ""});
    drop(c, c->file[0][1]);
    verify(c);
    assert_only(c, c->file[0][1], "missing: digest ");
    chain_free(c);
    c = two((const char *const[]){"1 2", "3 4", "5", "3", ""});
    drop(c, c->file[1][0]);
    verify(c);
    assert_findings(c, 2);
    assert_said(c, 1, c->file[1][1], "sequence number 3 follows 4"); /* only higher ones */
    chain_free(c);
    c = two((const char *const[]){"5 6", "7", "1 2", "3", ""});
    c->previous_key[0] = '\0'; /* a third digest starts anew, as after a loss of all data */
    c->scripts = (const char *const[]){"1", "2", ""};
    seal(c, NULL);
    verify(c);
    assert_int_equal(c->result.findings, 2);
    assert_said(c, 0, c->file[1][0], "sequence number 1 follows 7");
    assert_said(c, 1, c->file[1][1], "sequence number 3 follows 7");
    assert_int_equal(c->n_said, 3);
    assert_true(c->said[2].note);
    assert_string_equal(c->said[2].kind, "restart");
    chain_free(c);
}

static void sequence_notes_gaps_that_the_trail_explains(void **state)
{
    (void)state;
    struct chain *c = two((const char *const[]){"1 2", "6 7", "8=4..5", "9=3..3", ""});
    verify(c);
    assert_int_equal(c->result.findings, 0);
    assert_int_equal(c->n_said, 1);
    assert_true(c->said[0].note);
    assert_said(c, 0, c->file[0][1], "lacks sequence numbers 3 to 5, which the trail says were left out");
    assert_string_equal(c->said[0].kind, "explained");
    chain_free(c);
    c = two((const char *const[]){"1 2", "6 7", "8=4..5", "9", ""}); /* a part of it is not enough */
    verify(c);
    assert_only(c, c->file[0][1], "lacks sequence numbers 3 to 5");
    chain_free(c);
    c = two((const char *const[]){"1 2", "6 7", "8=3..5", "9", ""});
    set_content(c, c->file[1][0], WM_LIT("{\"Records\":[]}")); /* a file that does not hold explains nothing */
    verify(c);
    assert_findings(c, 2);
    assert_said(c, 0, c->file[1][0], "content does not match");
    assert_said(c, 1, c->file[0][1], "lacks sequence numbers 3 to 5");
    chain_free(c);
}

/* Another trail of the same journal leaves out other records, and its event is in this trail too. */
static void sequence_believes_the_trail_itself_only(void **state)
{
    (void)state;
    struct chain *c = two((const char *const[]){"1", "3", "4=2..2@other", "5", ""});
    verify(c);
    assert_only(c, c->file[0][1], "lacks sequence numbers 2 to 2");
    chain_free(c);
}

/* From the record that stops the trail to the one that starts it; each of the two may itself have been left out. */
static void sequence_notes_gaps_while_the_trail_was_stopped(void **state)
{
    (void)state;
    static const char *const explained[][5] = {
        {"1 2=stop", "6=start 7", "8", "9", ""},
        {"1", "2=stop", "6=start", "7", ""},
        {"1", "2 3=stop", "8=start 9", "10", ""}, /* over a digest's end */
        {"1 2=stop", "9 10=4..8<", "11", "12", ""},            /* the start was missed */
        {"1 2", "9=start 10=3..5>", "11", "12", ""},           /* the stop was */
        {"1 2=stop", "9=start", "10=4..5<>", "11=7..8<>", ""}, /* neither, but some between */
        {"1 2", "9", "10=3..4>", "11=7..8<", ""},              /* both, in two */
    };
    for (size_t i = 0; i < sizeof explained / sizeof explained[0]; i++) {
        struct chain *c = two(explained[i]);
        verify(c);
        if (c->result.findings)
            fail_msg("case %zu: a finding on %s", i, c->said[0].key);
        assert_int_equal(c->n_said, 1);
        assert_string_equal(c->said[0].kind, "explained");
        chain_free(c);
    }
    static const char *const unexplained[][5] = {
        {"1 2", "6=start 7", "8", "9", ""},
        {"1 2=stop", "6 7", "8", "9", ""},
        {"1 2=stop 3", "6=start 7", "8", "9", ""},      /* it was delivered again: this is another time */
        {"1 2=stop", "6 7=start", "8", "9", ""},
        {"1 2=stop@other", "6=start 7", "8", "9", ""},
        {"1 2=stop", "6=start@other 7", "8", "9", ""},
        {"1 2=start", "6=stop 7", "8", "9", ""},
        {"1 2=stop 6=start 7", "8", "9", "10", ""},     /* a file does not span it */
        {"1 2=stop", "9 10=4..8", "11", "12", ""},      /* it was logging before what it missed */
        {"1 2", "9 10=3..5>", "11", "12", ""},          /* nothing started it */
        {"1 2", "9=start 10=3..5<", "11", "12", ""},
        {"1 2=stop", "9=start", "10=4..5<", "11", ""},  /* and behind it, it was logging */
        {"1 2", "9", "10=3..4>", "11=7..8", ""},
        {"1 2=stop", "9", "10=4..8<", "11=4..7", ""},   /* whichever is told first: the shorter one says it was logging */
        {"1 2=stop", "9", "10=4..7", "11=4..8<", ""},
    };
    for (size_t i = 0; i < sizeof unexplained / sizeof unexplained[0]; i++) {
        struct chain *c = two(unexplained[i]);
        verify(c);
        if (c->result.findings != 1 || strcmp(c->said[0].kind, "gap") != 0)
            fail_msg("case %zu: %u findings", i, (unsigned)c->result.findings);
        chain_free(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sequence_accepts_numbers_that_rise_by_one),
        cmocka_unit_test(sequence_names_gaps_in_and_between_files_and_digests),
        cmocka_unit_test(sequence_names_what_is_out_of_order_once_a_file),
        cmocka_unit_test(sequence_names_both_ends_of_a_moved_record),
        cmocka_unit_test(sequence_names_records_without_a_number),
        cmocka_unit_test(sequence_goes_on_behind_other_findings),
        cmocka_unit_test(sequence_notes_gaps_that_the_trail_explains),
        cmocka_unit_test(sequence_believes_the_trail_itself_only),
        cmocka_unit_test(sequence_notes_gaps_while_the_trail_was_stopped),
    };
    return cmocka_run_group_tests_name("verify_sequence", tests, suite_setup, suite_teardown);
}
