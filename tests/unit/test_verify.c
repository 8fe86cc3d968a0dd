#include "tests/support/verify_rig.h"

#include "waymark/banned.h"

/* ---- good chains ---- */

static void verify_accepts_what_the_modules_wrote(void **state)
{
    (void)state;
    const struct wm_codec *codecs[] = {&wm_codec_gzip, &wm_codec_zstd};
    for (size_t i = 0; i < 2; i++) {
        struct chain *c = six(codecs[i]);
        verify(c);
        assert_findings(c, 0);
        assert_int_equal(c->result.chains, 1);
        assert_int_equal(c->result.digests, 6);
        assert_int_equal(c->result.digests_valid, 6);
        assert_int_equal(c->result.files, 12);
        assert_int_equal(c->result.files_valid, 12);
        assert_int_equal(c->result.files_pending, 0);
        assert_int_equal(c->result.records, 24);
        chain_free(c);
    }
}

static void verify_follows_a_chain_through_a_change_of_codec(void **state)
{
    (void)state;
    struct chain *c = six(&wm_codec_gzip);
    c->naming.codec = &wm_codec_zstd;
    seal(c, NULL);
    verify(c);
    assert_findings(c, 0);
    assert_int_equal(c->result.chains, 1);
    assert_int_equal(c->result.digests_valid, 7);
    chain_free(c);
}

static void verify_looks_below_the_prefix_only(void **state)
{
    (void)state;
    struct chain *c = chain_new(&wm_codec_gzip);
    c->naming.prefix = WM_LIT("logs/prod");
    seal(c, NULL);
    seal(c, NULL);
    assert_int_equal(verify_with(c, &wm_io_posix, suite.keys, WM_LIT("logs/prod"), NULL), WM_OK);
    assert_findings(c, 0);
    assert_int_equal(c->result.files_valid, 4);
    struct wm_err err = {0};
    assert_int_equal(verify_with(c, &wm_io_posix, suite.keys, WM_EMPTY, &err), WM_E_NOT_FOUND);
    assert_non_null(strstr(err.message, "AWSLogs/"));
    chain_free(c);
}

static void verify_counts_files_of_the_open_period(void **state)
{
    (void)state;
    char key[KEY_BYTES], hash[WM_SHA256_HEX_BYTES + 1];
    struct chain *c = six(&wm_codec_gzip);
    put_file(c, c->end_s, "pendingpending01", key, hash);
    verify(c);
    assert_findings(c, 0);
    assert_int_equal(c->result.files_pending, 1);
    /* the digest ends in the middle of a key's five minutes: a file of these may be older or younger than it */
    seal_period(c, HOUR_S + 130, NULL);
    drop(c, key);
    put_file(c, c->end_s - 10, "pendingpending02", key, hash);
    verify(c);
    assert_findings(c, 0);
    assert_int_equal(c->result.files_pending, 1);
    chain_free(c);
}

static void verify_names_copies_among_the_pending_files(void **state)
{
    (void)state;
    char key[KEY_BYTES], late[KEY_BYTES], hash[WM_SHA256_HEX_BYTES + 1];
    struct chain *c = six(&wm_codec_zstd);
    struct wm_buf raw;
    wm_buf_init(&raw, OBJECT_MAX_BYTES);
    put_file(c, c->end_s, "pendingpending01", key, hash);
    put_file(c, c->end_s, "pendingpending02", late, hash);
    get_raw(c, c->file[4][1], &raw);
    set_raw(c, "", key, wm_buf_view(&raw));
    verify(c);
    assert_only(c, key, "repeats the content of ");
    assert_non_null(strstr(c->said[0].what, c->file[4][1]));
    assert_int_equal(c->result.files_pending, 1);
    set_raw(c, "", key, WM_LIT("damaged"));
    verify(c);
    assert_only(c, key, "is not exactly one zstd frame");
    wm_buf_done(&raw);
    chain_free(c);
}

static void verify_ignores_other_folders(void **state)
{
    (void)state;
    struct chain *c = six(&wm_codec_gzip);
    put(c, "AWSLogs/111122223333/CloudTrail-Insight/us-east-1/2026/03/01/x.json.gz", WM_LIT("{}"), NULL);
    put(c, "AWSLogs/111122223333/vpcflowlogs/us-east-1/x.log", WM_LIT("x"), NULL);
    put(c, "other/AWSLogs/111122223333/CloudTrail/x", WM_LIT("x"), NULL);
    verify(c);
    assert_findings(c, 0);
    chain_free(c);
}

/* ---- files ---- */

static void verify_names_a_changed_file(void **state)
{
    (void)state;
    struct chain *c = six(&wm_codec_gzip);
    edit(c, c->file[2][1], "eventID", "eventIX");
    verify(c);
    assert_only(c, c->file[2][1], "content does not match the hash in digest ");
    assert_non_null(strstr(c->said[0].what, c->digest[2]));
    assert_int_equal(c->result.files_valid, 11);
    assert_int_equal(c->result.records, 22);
    chain_free(c);
}

static void verify_names_a_removed_file(void **state)
{
    (void)state;
    struct chain *c = six(&wm_codec_zstd);
    drop(c, c->file[4][0]);
    verify(c);
    assert_only(c, c->file[4][0], "missing: digest ");
    chain_free(c);
}

static void verify_names_both_ends_of_a_renamed_file(void **state)
{
    (void)state;
    struct chain *c = six(&wm_codec_gzip);
    const char *to = renamed(c->file[4][0], "unique04", "other004");
    move(c, c->file[4][0], to);
    verify(c);
    assert_findings(c, 2);
    assert_said(c, 0, c->file[4][0], "missing");
    assert_said(c, 1, to, "no digest lists it, though its period is sealed");
    chain_free(c);
}

/* Whatever stands before or behind the one member or frame. */
static void verify_names_bytes_that_no_reader_may_see(void **state)
{
    (void)state;
    struct wm_buf empty, more;
    const struct wm_codec *codecs[] = {&wm_codec_gzip, &wm_codec_zstd};
    for (size_t i = 0; i < 2; i++) {
        wm_buf_init(&empty, 4096);
        wm_buf_init(&more, 4096);
        assert_int_equal(codecs[i]->compress(1, WM_EMPTY, &empty, NULL), WM_OK);
        assert_int_equal(codecs[i]->compress(1, WM_LIT("{\"Records\":[]}"), &more, NULL), WM_OK);
        const struct {
            struct wm_view before, behind;
        } cases[] = {
            {WM_EMPTY, WM_LIT("junk")},
            {WM_EMPTY, WM_LIT("\0")},
            {WM_EMPTY, WM_LIT("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0")},
            {WM_EMPTY, wm_buf_view(&more)},
            {WM_EMPTY, wm_buf_view(&empty)},
            {wm_buf_view(&empty), WM_EMPTY},
            {WM_LIT("\x50\x2a\x4d\x18\x04\0\0\0hide"), WM_EMPTY}, /* RFC 8878 3.1.2, a skippable frame */
        };
        for (size_t n = 0; n < sizeof cases / sizeof cases[0]; n++) {
            struct chain *c = chain_new(codecs[i]);
            seal(c, NULL);
            wrap(c, c->file[0][1], cases[n].before, cases[n].behind);
            verify(c);
            assert_only(c, c->file[0][1], i ? "is not exactly one zstd frame" : "is not exactly one gzip member");
            chain_free(c);
        }
        wm_buf_done(&more);
        wm_buf_done(&empty);
    }
}

static void verify_names_a_file_of_the_wrong_codec(void **state)
{
    (void)state;
    struct chain *c = six(&wm_codec_gzip);
    struct wm_buf body;
    wm_buf_init(&body, OBJECT_MAX_BYTES);
    assert_int_equal(wm_codec_zstd.compress(1, WM_LIT("{\"Records\":[]}"), &body, NULL), WM_OK);
    set_raw(c, "", c->file[1][0], wm_buf_view(&body));
    set_raw(c, "", c->file[1][1], WM_LIT("{\"Records\":[]}"));
    verify(c);
    assert_findings(c, 2);
    assert_said(c, 0, c->file[1][0], "is not exactly one gzip member");
    assert_said(c, 1, c->file[1][1], "is not exactly one gzip member");
    wm_buf_done(&body);
    chain_free(c);
}

static void verify_names_files_that_no_digest_lists(void **state)
{
    (void)state;
    char sealed[KEY_BYTES], early[KEY_BYTES], elsewhere[KEY_BYTES], hash[WM_SHA256_HEX_BYTES + 1];
    struct chain *c = six(&wm_codec_gzip);
    put_file(c, c->end_s - 400, "inventedinvented", sealed, hash);
    put_file(c, c->end_s - 90 * HOUR_S, "inventedinvented", early, hash);
    c->naming.region = WM_LIT("eu-west-1");
    put_file(c, c->end_s + 400, "inventedinvented", elsewhere, hash);
    const char *odd = "AWSLogs/111122223333/CloudTrail/us-east-1/2026/03/09/notes.json.gz";
    put(c, odd, WM_LIT("{}"), NULL);
    const char *odd_digest = "AWSLogs/111122223333/CloudTrail-Digest/us-east-1/2026/03/09/notes.json.gz";
    put(c, odd_digest, WM_LIT("{}"), NULL);
    verify(c);
    assert_findings(c, 5); /* in the order of keys */
    assert_said(c, 0, odd_digest, "is not the name of a digest");
    assert_said(c, 1, elsewhere, "no digest lists it, and its account and region have none");
    assert_said(c, 2, early, "no digest lists it, though its period is sealed");
    assert_said(c, 3, sealed, "no digest lists it, though its period is sealed");
    assert_said(c, 4, odd, "no digest lists it, and it is not the name of a trail file");
    assert_int_equal(c->result.files_pending, 0);
    chain_free(c);
}

static void change_list_first_file_again(struct chain *c, struct wm_digest *d)
{
    (void)c;
    d->files[1] = d->files[0];
}

static void change_list_other_bucket(struct chain *c, struct wm_digest *d)
{
    (void)c;
    d->files[1].bucket = WM_LIT("elsewhere");
}

static void change_list_other_prefix(struct chain *c, struct wm_digest *d)
{
    (void)c;
    d->files[1].key = WM_LIT("before/AWSLogs/111122223333/CloudTrail/us-east-1/x.json.gz");
}

static void change_list_foreign_object(struct chain *c, struct wm_digest *d)
{
    (void)c;
    d->files[1].key = WM_LIT("AWSLogs/111122223333/x.txt");
}

static void verify_names_odd_entries_of_a_signed_list(void **state)
{
    (void)state;
    struct chain *c = chain_new(&wm_codec_gzip);
    seal(c, change_list_first_file_again);
    drop(c, c->file[0][1]);
    put(c, "AWSLogs/111122223333/x.txt", WM_LIT("x"), NULL);
    seal(c, change_list_foreign_object);
    verify(c);
    assert_findings(c, 3);
    assert_said(c, 0, c->file[0][0], "is listed twice, by digest ");
    assert_said(c, 1, "AWSLogs/111122223333/x.txt", "its name ends neither in");
    assert_said(c, 2, c->file[1][1], "no digest lists it");
    chain_free(c);
}

/* What a trail delivered before its bucket or prefix was changed, and had not sealed yet. */
static void verify_notes_files_that_a_moved_trail_left_behind(void **state)
{
    (void)state;
    struct chain *c = chain_new(&wm_codec_gzip);
    seal(c, change_list_other_bucket);
    seal(c, change_list_other_prefix);
    drop(c, c->file[0][1]);
    drop(c, c->file[1][1]);
    verify(c);
    assert_int_equal(c->result.findings, 0);
    assert_int_equal(c->n_said, 2);
    assert_said(c, 0, c->file[0][1], "is in bucket elsewhere, says digest ");
    assert_said(c, 1, "before/AWSLogs/111122223333/CloudTrail/us-east-1/x.json.gz", "is outside of what is verified here");
    assert_true(c->said[0].note && c->said[1].note);

    /* Their names vouch for nothing that lies here. */
    put(c, c->file[0][1], WM_LIT("{\"Records\":[{}]}"), NULL);
    verify(c);
    assert_int_equal(c->result.findings, 1);
    assert_said(c, 2, c->file[0][1], "no digest lists it, though its period is sealed");

    /* A digest that proves nothing excuses nothing. */
    edit(c, c->digest[1], "\"s3Bucket\":\"evidence\"", "\"s3Bucket\":\"elsewhere\"");
    verify(c);
    assert_int_equal(c->result.findings, 5);
    assert_said(c, 1, c->digest[1], "its signature does not hold");
    assert_said(c, 2, c->file[1][0], "is in bucket elsewhere");
    assert_said(c, 3, "before/AWSLogs/111122223333/CloudTrail/us-east-1/x.json.gz", "missing: digest ");
    assert_said(c, 4, c->file[0][1], "no digest lists it");
    assert_said(c, 5, c->file[1][0], "no digest lists it");
    chain_free(c);
}

static struct wm_wall_ns verify_now;

static struct wm_wall_ns fixed_wall(void *ctx)
{
    (void)ctx;
    return verify_now;
}

/* A name with a time that never comes would otherwise wait for its digest for ever. */
static void verify_names_files_of_a_time_to_come(void **state)
{
    (void)state;
    char soon[KEY_BYTES], far[KEY_BYTES], hash[WM_SHA256_HEX_BYTES + 1];
    struct chain *c = six(&wm_codec_gzip);
    struct wm_clock clock = {.wall = fixed_wall};
    verify_clock = &clock;
    verify_now = at(c->end_s + 60);
    put_file(c, c->end_s + HOUR_S, "aheadaheadahead1", soon, hash); /* of a trail whose clock is ahead */
    put_file(c, c->end_s + 200 * 24 * HOUR_S, "inventedinvented", far, hash);
    verify(c);
    assert_only(c, far, "no digest lists it, and its time is still to come");
    assert_int_equal(c->result.files_pending, 1);
    verify_now = at(c->end_s + 200 * 24 * HOUR_S - 100); /* our own clock may be a little behind */
    verify(c);
    assert_findings(c, 0);
    assert_int_equal(c->result.files_pending, 2);
    verify_clock = NULL;
    chain_free(c);
}

/* ---- digests ---- */

static void verify_names_a_changed_digest_and_follows_its_list(void **state)
{
    (void)state;
    struct chain *c = six(&wm_codec_gzip);
    edit(c, c->digest[3], "\"digestStartTime\":\"2026-03-01T23:", "\"digestStartTime\":\"2026-03-01T22:");
    verify(c);
    assert_only(c, c->digest[3], "its signature does not hold");
    assert_int_equal(c->result.digests_valid, 5);
    chain_free(c);
}

static void verify_names_unreadable_digests(void **state)
{
    (void)state;
    const char *texts[] = {"", "no json", "[]", "{}", "{\"awsAccountId\":1}"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct chain *c = six(&wm_codec_zstd);
        set_content(c, c->digest[3], wm_view_of(texts[i]));
        verify(c);
        assert_findings(c, 3);
        assert_said(c, 0, c->digest[3], "is not a digest document");
        assert_said(c, 1, c->file[3][0], "no digest lists it"); /* each is unproven */
        assert_said(c, 2, c->file[3][1], "no digest lists it");
        set_raw(c, "", c->digest[3], wm_view_of(texts[i]));
        verify(c);
        assert_findings(c, 3);
        assert_said(c, 0, c->digest[3], "is not exactly one zstd frame");
        chain_free(c);
    }
    struct chain *c = six(&wm_codec_zstd);
    edit(c, c->digest[3], "\"digestEndTime\":\"2026", "\"digestEndTime\":\"x026");
    verify(c);
    assert_said(c, 0, c->digest[3], "is not a digest document");
    chain_free(c);
}

static void verify_names_a_digest_removed_in_the_middle(void **state)
{
    (void)state;
    struct chain *c = six(&wm_codec_gzip);
    drop(c, c->digest[2]);
    verify(c);
    assert_findings(c, 3);
    assert_said(c, 0, c->digest[2], "missing: digest ");
    assert_non_null(strstr(c->said[0].what, c->digest[3]));
    assert_said(c, 1, c->file[2][0], "no digest lists it");
    assert_said(c, 2, c->file[2][1], "no digest lists it");
    chain_free(c);
}

static void verify_names_the_oldest_digest_when_it_is_removed(void **state)
{
    (void)state;
    struct chain *c = six(&wm_codec_gzip);
    drop(c, c->digest[0]);
    drop(c, c->file[0][0]);
    drop(c, c->file[0][1]);
    verify(c);
    assert_only(c, c->digest[0], "missing: digest ");
    chain_free(c);
}

static void verify_counts_each_of_removed_neighbours(void **state)
{
    (void)state;
    struct chain *c = six(&wm_codec_gzip); /* digest 3 ends at midnight: the date in the key changes */
    for (size_t i = 2; i <= 4; i++) {
        drop(c, c->digest[i]);
        drop(c, c->file[i][0]);
        drop(c, c->file[i][1]);
    }
    verify(c);
    assert_findings(c, 3);
    assert_said(c, 0, c->digest[2], "missing: digests come every 3600 s here");
    assert_said(c, 1, c->digest[3], "missing: digests come every 3600 s here");
    assert_said(c, 2, c->digest[4], "missing: digest ");
    chain_free(c);
}

static void verify_says_at_least_one_when_periods_are_uneven(void **state)
{
    (void)state;
    struct chain *c = chain_new(&wm_codec_gzip);
    seal(c, NULL);
    seal_period(c, 1000, NULL);
    seal_period(c, 777, NULL);
    seal(c, NULL);
    for (size_t i = 1; i <= 2; i++) {
        drop(c, c->digest[i]);
        drop(c, c->file[i][0]);
        drop(c, c->file[i][1]);
    }
    verify(c);
    assert_only(c, c->digest[2], "missing: digest "); /* 1777 s are no more than the period of 3600 */
    seal_period(c, 60, NULL);
    drop(c, c->digest[3]);
    drop(c, c->file[3][0]);
    drop(c, c->file[3][1]);
    verify(c);
    assert_only(c, c->digest[3], "so others may be missing too");
    chain_free(c);
}

static void verify_names_every_file_when_no_digest_is_left(void **state)
{
    (void)state;
    struct chain *c = chain_new(&wm_codec_gzip);
    seal(c, NULL);
    drop(c, c->digest[0]);
    verify(c);
    assert_findings(c, 2);
    assert_said(c, 0, c->file[0][0], "no digest lists it, and its account and region have none");
    assert_int_equal(c->result.chains, 0);
    chain_free(c);
}

static void verify_names_a_moved_digest_and_the_place_it_left(void **state)
{
    (void)state;
    const char *to[] = {"T223000Z", "T233000Z"}; /* before and behind its successor */
    for (size_t i = 0; i < 2; i++) {
        struct chain *c = six(&wm_codec_gzip);
        const char *moved = renamed(c->digest[1], "T220000Z", to[i]);
        move(c, c->digest[1], moved);
        verify(c);
        assert_findings(c, 4);
        assert_said(c, 0, i ? c->digest[1] : moved, i ? "missing" : "was moved: it says that it is evidence/");
        assert_said(c, 1, i ? moved : c->digest[1], i ? "was moved" : "missing");
        assert_said(c, 2, c->file[1][0], "no digest lists it");
        chain_free(c);
    }
}

static void verify_names_a_replayed_digest(void **state)
{
    (void)state;
    struct chain *c = six(&wm_codec_gzip);
    struct wm_buf raw;
    wm_buf_init(&raw, OBJECT_MAX_BYTES);
    get_raw(c, c->digest[1], &raw);
    set_raw(c, "", c->digest[4], wm_buf_view(&raw));
    verify(c);
    assert_findings(c, 3);
    assert_said(c, 0, c->digest[4], "was moved: it says that it is evidence/");
    wm_buf_done(&raw);
    chain_free(c);
}

static void verify_names_changed_signatures(void **state)
{
    (void)state;
    static const char zeros[] = "{\"x-amz-meta-signature\":\"00\",\"x-amz-meta-signature-algorithm\":\"SHA256withRSA\"}";
    const struct {
        struct wm_view metadata;
        const char *words;
    } cases[] = {
        {WM_LIT("{}"), "has no signature in its metadata"},
        {WM_LIT("not json"), "has no signature in its metadata"},
        {WM_LIT("{\"x-amz-meta-signature\":\"ab\"}"), "has no signature in its metadata"},
        {WM_LIT("{\"x-amz-meta-signature-algorithm\":\"SHA256withRSA\"}"), "has no signature in its metadata"},
        {WM_LIT("{\"x-amz-meta-signature\":\"ab\",\"x-amz-meta-signature-algorithm\":\"none\"}"), "algorithm"},
        {WM_LIT("{\"x-amz-meta-signature\":\"xy\",\"x-amz-meta-signature-algorithm\":\"SHA256withRSA\"}"), "does not hold"},
        {WM_LIT(zeros), "does not hold"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct chain *c = six(&wm_codec_gzip);
        set_raw(c, ".metadata/", c->digest[2], cases[i].metadata);
        verify(c);
        assert_only(c, c->digest[2], cases[i].words);
        chain_free(c);
    }
    struct chain *c = six(&wm_codec_gzip);
    struct wm_buf other;
    wm_buf_init(&other, OBJECT_MAX_BYTES);
    assert_int_equal(wm_io_read_file(&wm_io_posix, object_path(c, ".metadata/", c->digest[1]), &other, NULL), WM_OK);
    set_raw(c, ".metadata/", c->digest[2], wm_buf_view(&other));
    verify(c);
    assert_only(c, c->digest[2], "its signature does not hold");
    assert_int_equal(unlink(object_path(c, ".metadata/", c->digest[2])), 0);
    verify(c);
    assert_only(c, c->digest[2], "has no signature in its metadata");
    wm_buf_done(&other);
    chain_free(c);
}

static void change_fingerprint(struct chain *c, struct wm_digest *d)
{
    (void)c;
    d->fingerprint = WM_LIT("0123456789abcdef0123456789abcdef");
}

static void verify_names_an_unknown_key(void **state)
{
    (void)state;
    struct chain *c = chain_new(&wm_codec_gzip);
    seal(c, NULL);
    seal(c, change_fingerprint);
    seal(c, NULL);
    verify(c);
    assert_only(c, c->digest[1], "is signed with key 0123456789abcdef0123456789abcdef, which is not among the public keys");
    chain_free(c);
}

static void verify_trusts_no_digest_without_keys(void **state)
{
    (void)state;
    struct chain *c = six(&wm_codec_gzip);
    struct wm_keyring *none = NULL;
    const char *list = scratch_path(&c->scratch, "none.json");
    assert_int_equal(wm_io_replace_file(&wm_io_posix, list, WM_LIT("{\"PublicKeyList\":[]}"), 0600, NULL), WM_OK);
    assert_int_equal(wm_keyring_open(&wm_io_posix, list, &none, NULL), WM_OK);
    assert_int_equal(verify_with(c, &wm_io_posix, none, WM_EMPTY, NULL), WM_OK);
    assert_findings(c, 6);
    assert_int_equal(c->result.digests_valid, 0);
    wm_keyring_free(none);
    chain_free(c);
}

/* ---- links ---- */

static void change_link_hash(struct chain *c, struct wm_digest *d)
{
    (void)c;
    d->previous_hash_hex = WM_LIT("0000000000000000000000000000000000000000000000000000000000000000");
}

static void change_link_signature(struct chain *c, struct wm_digest *d)
{
    (void)c;
    d->previous_signature_hex = WM_LIT("abab");
}

static void verify_compares_what_a_link_says(void **state)
{
    (void)state;
    struct chain *c = chain_new(&wm_codec_gzip);
    seal(c, NULL);
    seal(c, change_link_hash);
    seal(c, change_link_signature);
    seal(c, NULL);
    verify(c);
    assert_findings(c, 2);
    assert_said(c, 0, c->digest[0], "content does not match the hash in the next digest ");
    assert_non_null(strstr(c->said[0].what, c->digest[1]));
    assert_said(c, 1, c->digest[1], "its signature is not the one in the next digest ");
    chain_free(c);
}

static void change_link_to_itself(struct chain *c, struct wm_digest *d)
{
    (void)c;
    d->previous_key = d->key;
}

static void change_link_to_file(struct chain *c, struct wm_digest *d)
{
    d->previous_key = wm_view_of(c->file[0][0]);
}

static void change_link_to_bucket(struct chain *c, struct wm_digest *d)
{
    (void)c;
    d->previous_bucket = WM_LIT("old-bucket");
}

static void change_link_to_prefix(struct chain *c, struct wm_digest *d)
{
    (void)c;
    d->previous_key = WM_LIT("old/AWSLogs/1/CloudTrail-Digest/x");
}

static void verify_names_links_that_lead_nowhere(void **state)
{
    (void)state;
    struct chain *c = chain_new(&wm_codec_gzip);
    seal(c, NULL);
    seal(c, change_link_to_itself);
    seal(c, change_link_to_file);
    verify(c);
    assert_findings(c, 2);
    assert_said(c, 0, c->digest[1], "which is not an older one of this chain");
    assert_said(c, 1, c->digest[2], "which is not an older one of this chain");
    chain_free(c);
}

static void verify_notes_a_chain_that_comes_from_elsewhere(void **state)
{
    (void)state;
    struct chain *c = chain_new(&wm_codec_gzip);
    seal(c, NULL);
    seal(c, change_link_to_bucket);
    seal(c, change_link_to_prefix);
    verify(c);
    assert_int_equal(c->result.findings, 0);
    assert_int_equal(c->n_said, 2);
    assert_said(c, 0, c->digest[1], "the digest before it is old-bucket/");
    assert_said(c, 1, c->digest[2], "the digest before it is evidence/old/AWSLogs/1/CloudTrail-Digest/x, outside");
    chain_free(c);
}

static void verify_notes_a_starting_digest_in_the_middle(void **state)
{
    (void)state;
    char key[KEY_BYTES], hash[WM_SHA256_HEX_BYTES + 1];
    struct chain *c = chain_new(&wm_codec_gzip);
    seal(c, NULL);
    int64_t stopped_s = c->end_s;
    c->previous_key[0] = '\0';
    c->end_s += 2 * HOUR_S;
    seal(c, NULL);
    seal(c, NULL);
    verify(c);
    assert_int_equal(c->result.findings, 0);
    assert_int_equal(c->n_said, 1);
    assert_true(c->said[0].note);
    assert_said(c, 0, c->digest[1], "begins a new chain at 2026-03-01T23:00:00Z; the digest before it ends at 2026-03-01T21:00:00Z");
    /* what was delivered in between is no longer proven */
    put_file(c, stopped_s + 600, "betweenbetween01", key, hash);
    verify(c);
    assert_int_equal(c->result.findings, 1);
    assert_said(c, 1, key, "no digest lists it, though its period is sealed");
    chain_free(c);
}

static void verify_names_gaps_and_overlaps_of_periods(void **state)
{
    (void)state;
    struct chain *c = chain_new(&wm_codec_gzip);
    seal(c, NULL);
    c->end_s += 300;
    seal(c, NULL);
    c->end_s -= 600;
    seal(c, NULL);
    verify(c);
    assert_findings(c, 2);
    assert_said(c, 0, c->digest[1], "begins at 2026-03-01T21:05:00Z, but the digest before it ends at 2026-03-01T21:00:00Z");
    assert_said(c, 1, c->digest[2], "begins at 2026-03-01T21:55:00Z, but the digest before it ends at 2026-03-01T22:05:00Z");
    chain_free(c);
}

static void change_link_skips_one(struct chain *c, struct wm_digest *d)
{
    d->previous_key = wm_view_of(c->digest[0]);
}

static void verify_names_a_digest_outside_the_chain(void **state)
{
    (void)state;
    char hash[sizeof((struct chain *)0)->previous_hash], signature[WM_SIGNATURE_HEX_BYTES];
    struct chain *c = chain_new(&wm_codec_gzip);
    seal(c, NULL);
    memcpy(hash, c->previous_hash, sizeof hash);
    memcpy(signature, c->previous_signature, sizeof signature);
    seal_period(c, 60, NULL);
    memcpy(c->previous_hash, hash, sizeof hash);
    memcpy(c->previous_signature, signature, sizeof signature);
    c->end_s -= 60;
    seal(c, change_link_skips_one);
    verify(c);
    assert_only(c, c->digest[1], "is not in the chain: digest ");
    chain_free(c);
}

/* ---- several trails ---- */

static void verify_keeps_files_open_for_the_slower_trail(void **state)
{
    (void)state;
    char key[KEY_BYTES], hash[WM_SHA256_HEX_BYTES + 1];
    struct chain *c = six(&wm_codec_gzip);
    int64_t fast_s = c->end_s;
    c->naming.trail_name = WM_LIT("slow");
    c->previous_key[0] = '\0';
    c->end_s = fast_s - 6 * HOUR_S;
    seal_period(c, 4 * HOUR_S, NULL);
    put_file(c, fast_s - HOUR_S, "ofwhichtrail0001", key, hash);
    verify(c);
    assert_findings(c, 0);
    assert_int_equal(c->result.chains, 2);
    assert_int_equal(c->result.files_pending, 1);

    /* one that stopped long ago holds nothing open */
    struct chain *stopped = six(&wm_codec_gzip);
    stopped->naming.trail_name = WM_LIT("stopped");
    stopped->previous_key[0] = '\0';
    stopped->end_s -= 6 * HOUR_S;
    seal_period(stopped, HOUR_S / 2, NULL);
    put_file(stopped, fast_s - HOUR_S, "ofwhichtrail0001", key, hash);
    verify(stopped); /* its first digest alone does not tell its pace: the second may still come */
    assert_findings(stopped, 0);
    seal_period(stopped, HOUR_S / 2, NULL);
    verify(stopped);
    assert_only(stopped, key, "no digest lists it, though its period is sealed");
    chain_free(stopped);
    chain_free(c);
}

/* ---- what cannot be checked ---- */

static void verify_says_that_there_is_nothing(void **state)
{
    (void)state;
    struct chain *c = chain_new(&wm_codec_gzip);
    struct wm_err err = {0};
    assert_int_equal(verify_with(c, &wm_io_posix, suite.keys, WM_EMPTY, &err), WM_E_NOT_FOUND);
    assert_string_equal(err.message, "there is nothing to verify below AWSLogs/");
    chain_free(c);
}

/* Reading fails for paths with these words. */
static const char *unreadable;
static int unreadable_errno;

static int failing_open(void *ctx, const char *path, int flags, mode_t mode)
{
    if (unreadable && strstr(path, unreadable) && !(flags & O_NOFOLLOW)) /* a listing looks with O_NOFOLLOW */
        return -unreadable_errno;
    return wm_io_posix.open(ctx, path, flags, mode);
}

static void verify_fails_when_an_object_cannot_be_read(void **state)
{
    (void)state;
    struct chain *c = six(&wm_codec_gzip);
    struct wm_io io = wm_io_posix;
    struct wm_err err = {0};
    io.open = failing_open;
    unreadable = "unique03";
    unreadable_errno = EIO;
    assert_int_equal(verify_with(c, &io, suite.keys, WM_EMPTY, &err), WM_E_IO);
    assert_non_null(strstr(err.message, "unique03"));
    assert_int_equal(c->result.digests, 4); /* what was found before is told */
    assert_int_equal(c->result.files_valid, 6);
    unreadable = "_CloudTrail-Digest_";
    unreadable_errno = EACCES;
    assert_int_equal(verify_with(c, &io, suite.keys, WM_EMPTY, NULL), WM_E_DENIED);
    unreadable = NULL;
    chain_free(c);
}

static void verify_refuses_a_prefix_that_no_key_has(void **state)
{
    (void)state;
    struct chain *c = six(&wm_codec_gzip);
    char prefix[WM_MAX_OBJECT_KEY_BYTES];
    memset(prefix, 'p', sizeof prefix);
    assert_int_equal(verify_with(c, &wm_io_posix, suite.keys, (struct wm_view){prefix, sizeof prefix}, NULL), WM_E_LIMIT);
    chain_free(c);
}

/* ---- a chain of another writer: published facts, accepted by the AWS CLI's validate-logs ---- */

static void verify_accepts_the_chain_of_another_writer(void **state)
{
    (void)state;
#define VECTOR_FOLDER "AWSLogs/111122223333/CloudTrail-Digest/us-east-1/2026/03/01/"
#define VECTOR_NAME "111122223333_CloudTrail-Digest_us-east-1_vec-trail_us-east-1_20260301T"
#define VECTOR_DIGEST_1 VECTOR_FOLDER VECTOR_NAME "110000Z.json.gz"
#define VECTOR_DIGEST_2 VECTOR_FOLDER VECTOR_NAME "120000Z.json.gz"
#define VECTOR_FILE \
    "AWSLogs/111122223333/CloudTrail/us-east-1/2026/03/01/" \
    "111122223333_CloudTrail_us-east-1_20260301T1010Z_k3Vq9ZbT0aXw7LmD.json.gz"
#define VECTOR_SIGNATURE_1 \
    "4cc4705f4bbf2e7824ef2a0b60b0dc14f2eade4eabb8c765e9f83b9f9cf2b3b9bfff0fc55a19b4881a62b9a223e70587111d014777a6c391" \
    "d77aeacd74adcebd6fe54fc9f9d87f2608016f4f7c3050ecf535e23ee772d2015ed55846b2a8adf4bd3f2b91177baa1a36d8cdcabc3cb907" \
    "c5c20609d7a196fb1a27456deb4aed669eeb101c5b4f872d89849a525961c2cdfe35c1b8f7ba70d78b9169266004f52c05f4113492e8f379" \
    "e40223bb4191d6da7fbcb291ca424771f92a8b0ade94ead1bdf57eff1219f0916b716353c0878fc59960b2c607d08f4beabdcfbd00e034b6" \
    "fddd239c8b8eece43198638b563e0204923b643d47b10cee0572c957c6b4c23d"
#define VECTOR_SIGNATURE_2 \
    "59e04650fc84e82e4780e59e38ea857da8b4752abb24db0d494d163b01e53625508aad13aadd45a712fe70b7892b93bb124c931c1a36d2d5" \
    "1b76222ada6d8665052f7713b93f56a7d5cfa58ae078599e0e1213e5a9e8afca8019e850304faafb5163180e0cb6a91a8b2eccedfb0ae0af" \
    "3c49364356f4661ca678654f880dc8455e71d870ec3a76f2518ae480b587a225b21a1053c0f8f5437a370a9c10156a3b0df2d18301c9d8c8" \
    "5178153aba2243505d244ae568fa00acee9ad8e51c6f05c55f1183d271a8997002cffc41b2c1503534bca7bfa3dbd36d299be171138a23b2" \
    "5d2dc7399bb4d800772c83f3a6ca38c4b9d569b4e4c7872667a33471c01d8cd8"
    static const char keys[] =
        "{\"PublicKeyList\":[{\"Value\":\"MIIBCgKCAQEArKBSAF+A2emlaFoo6WLMa7szTb+ApVCStEOh1SyZIn/HVcP0UzVv7QXt0jNDhavOeWt5R"
        "6OFKbcqMW7j3JNK1DCbBOWnvGmoTGvbWYOJEGvjrJZHX9FhEXotHIE0bWStXJ9pWyDfG4b5Ctf1kl2ohhJF3aeeUx3FY9i3V88H5tSFjzoYaYSdAl"
        "nq3gKG2xu5JI8kyH0XIXzDnzdD7cLCd70y6qV+KKmHP9SQa+BSpRJAJgYIZd//xO/Qfp6d+cpYcH5hKtD3bWwp3x+6ohqiC7CLLpZDeeC7v3kdZqW"
        "d4KgdzKC/4APRA7HG9Ns4ZYDOXsz58uNYpRC7FeSkRdfelwIDAQAB\",\"ValidityStartTime\":1771545600.0,\"ValidityEndTime\":"
        "1774137600.0,\"Fingerprint\":\"5d95bbea52a94be66b778972dafdae39\"}]}";
    static const char log[] = "{\"Records\":[{\"eventVersion\":\"1.11\",\"eventTime\":\"2026-03-01T10:07:12Z\","
                              "\"eventID\":\"6f1c2a9e-5b0d-4c7e-9a41-0d2f3b4c5d6e\"}]}";
    struct chain *c = chain_new(&wm_codec_gzip);
    struct wm_keyring *ring = NULL;
    struct wm_buf document;
    wm_buf_init(&document, 4096);
    put(c, VECTOR_FILE, wm_view_of(log), NULL);
    struct wm_digest_file file = {
        .bucket = WM_LIT("vec-bucket"),
        .key = WM_LIT(VECTOR_FILE),
        .hash_hex = WM_LIT("e99d3f8cf9c699405f91a43cadab467be0777e12dc6455cbe06adf6b93e9f610"),
        .newest = WM_LIT("2026-03-01T10:07:12Z"),
        .oldest = WM_LIT("2026-03-01T10:07:12Z"),
    };
    struct wm_digest d = {
        .account_id = WM_LIT("111122223333"),
        .start = WM_LIT("2026-03-01T10:00:00Z"),
        .end = WM_LIT("2026-03-01T11:00:00Z"),
        .bucket = WM_LIT("vec-bucket"),
        .key = WM_LIT(VECTOR_DIGEST_1),
        .fingerprint = WM_LIT("5d95bbea52a94be66b778972dafdae39"),
        .newest = file.newest,
        .oldest = file.oldest,
        .files = &file,
        .n_files = 1,
    };
    wm_digest_write(&d, &document);
    put(c, VECTOR_DIGEST_1, wm_buf_view(&document), VECTOR_SIGNATURE_1);
    d = (struct wm_digest){
        .account_id = d.account_id,
        .start = WM_LIT("2026-03-01T11:00:00Z"),
        .end = WM_LIT("2026-03-01T12:00:00Z"),
        .bucket = d.bucket,
        .key = WM_LIT(VECTOR_DIGEST_2),
        .fingerprint = d.fingerprint,
        .has_previous = true,
        .previous_bucket = d.bucket,
        .previous_key = WM_LIT(VECTOR_DIGEST_1),
        .previous_hash_hex = WM_LIT("64b0a1c46a92e3b272ccd9e1b759a6cfaf7a8d77a379d83f0cec0c49c816786d"),
        .previous_signature_hex = WM_LIT(VECTOR_SIGNATURE_1),
    };
    wm_buf_clear(&document);
    wm_digest_write(&d, &document);
    put(c, VECTOR_DIGEST_2, wm_buf_view(&document), VECTOR_SIGNATURE_2);
    const char *list = scratch_path(&c->scratch, "keys.json");
    assert_int_equal(wm_io_replace_file(&wm_io_posix, list, wm_view_of(keys), 0600, NULL), WM_OK);
    assert_int_equal(wm_keyring_open(&wm_io_posix, list, &ring, NULL), WM_OK);

    assert_int_equal(verify_with(c, &wm_io_posix, ring, WM_EMPTY, NULL), WM_OK);
    assert_findings(c, 0);
    assert_int_equal(c->result.digests_valid, 2);
    assert_int_equal(c->result.files_valid, 1);
    assert_int_equal(c->result.records, 1);

    edit(c, VECTOR_FILE, "10:07:12Z", "10:07:13Z");
    assert_int_equal(verify_with(c, &wm_io_posix, ring, WM_EMPTY, NULL), WM_OK);
    assert_only(c, VECTOR_FILE, "content does not match the hash in digest " VECTOR_DIGEST_1);
    wm_keyring_free(ring);
    wm_buf_done(&document);
    chain_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verify_accepts_what_the_modules_wrote),
        cmocka_unit_test(verify_follows_a_chain_through_a_change_of_codec),
        cmocka_unit_test(verify_looks_below_the_prefix_only),
        cmocka_unit_test(verify_counts_files_of_the_open_period),
        cmocka_unit_test(verify_names_copies_among_the_pending_files),
        cmocka_unit_test(verify_ignores_other_folders),
        cmocka_unit_test(verify_names_a_changed_file),
        cmocka_unit_test(verify_names_a_removed_file),
        cmocka_unit_test(verify_names_both_ends_of_a_renamed_file),
        cmocka_unit_test(verify_names_bytes_that_no_reader_may_see),
        cmocka_unit_test(verify_names_a_file_of_the_wrong_codec),
        cmocka_unit_test(verify_names_files_that_no_digest_lists),
        cmocka_unit_test(verify_names_odd_entries_of_a_signed_list),
        cmocka_unit_test(verify_notes_files_that_a_moved_trail_left_behind),
        cmocka_unit_test(verify_names_files_of_a_time_to_come),
        cmocka_unit_test(verify_names_a_changed_digest_and_follows_its_list),
        cmocka_unit_test(verify_names_unreadable_digests),
        cmocka_unit_test(verify_names_a_digest_removed_in_the_middle),
        cmocka_unit_test(verify_names_the_oldest_digest_when_it_is_removed),
        cmocka_unit_test(verify_counts_each_of_removed_neighbours),
        cmocka_unit_test(verify_says_at_least_one_when_periods_are_uneven),
        cmocka_unit_test(verify_names_every_file_when_no_digest_is_left),
        cmocka_unit_test(verify_names_a_moved_digest_and_the_place_it_left),
        cmocka_unit_test(verify_names_a_replayed_digest),
        cmocka_unit_test(verify_names_changed_signatures),
        cmocka_unit_test(verify_names_an_unknown_key),
        cmocka_unit_test(verify_trusts_no_digest_without_keys),
        cmocka_unit_test(verify_compares_what_a_link_says),
        cmocka_unit_test(verify_names_links_that_lead_nowhere),
        cmocka_unit_test(verify_notes_a_chain_that_comes_from_elsewhere),
        cmocka_unit_test(verify_notes_a_starting_digest_in_the_middle),
        cmocka_unit_test(verify_names_gaps_and_overlaps_of_periods),
        cmocka_unit_test(verify_names_a_digest_outside_the_chain),
        cmocka_unit_test(verify_keeps_files_open_for_the_slower_trail),
        cmocka_unit_test(verify_says_that_there_is_nothing),
        cmocka_unit_test(verify_fails_when_an_object_cannot_be_read),
        cmocka_unit_test(verify_refuses_a_prefix_that_no_key_has),
        cmocka_unit_test(verify_accepts_the_chain_of_another_writer),
    };
    return cmocka_run_group_tests_name("verify", tests, suite_setup, suite_teardown);
}
