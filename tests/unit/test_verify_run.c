/* A part only, the checkpoint, what an earlier run left, threads, tars, and what objects may hold. */
#include "tests/support/verify_rig.h"

#include <stdatomic.h>
#include <sys/wait.h>

#include "waymark/log.h"

#include "waymark/banned.h"

static struct wm_wall_ns moment(const char *text)
{
    struct wm_wall_ns t;
    assert_int_equal(wm_time_parse(wm_view_of(text), &t), WM_OK);
    return t;
}

static void verify_ok(struct chain *c, const struct wm_verify_options *o)
{
    struct wm_err err = {0};
    if (verify_by(c, &wm_io_posix, o, &err) != WM_OK)
        fail_msg("%s", err.message);
}

static void read_text(const char *path, struct wm_buf *out)
{
    wm_buf_clear(out);
    assert_int_equal(wm_io_read_file(&wm_io_posix, path, out, NULL), WM_OK);
}

static void write_text(const char *path, const char *text)
{
    assert_int_equal(wm_io_replace_file(&wm_io_posix, path, wm_view_of(text), 0600, NULL), WM_OK);
}

/* ---- digests by themselves, beyond test_verify.c ---- */

static void change_account(struct chain *c, struct wm_digest *d)
{
    (void)c;
    d->account_id = WM_LIT("999999999999");
}

static void run_names_a_digest_of_another_account(void **state)
{
    (void)state;
    struct chain *c = chain_new(&wm_codec_gzip);
    seal(c, NULL);
    seal(c, change_account);
    verify(c);
    assert_only(c, c->digest[1], "says that it is of account 999999999999");
    assert_string_equal(c->said[0].kind, "wrong-account");
    assert_int_equal(c->result.files_valid, 4); /* its list is followed */
    chain_free(c);
}

static char foreign_key[2][KEY_BYTES], foreign_hash[2][WM_SHA256_HEX_BYTES + 1];

static void change_lists_foreign_files(struct chain *c, struct wm_digest *d)
{
    struct wm_view region = c->naming.region, account = c->naming.account_id;
    c->naming.region = WM_LIT("eu-west-1");
    put_file(c, c->end_s - 60, "ofanotherregion1", foreign_key[0], foreign_hash[0]);
    c->naming.region = region;
    c->naming.account_id = WM_LIT("999999999999");
    put_file(c, c->end_s - 60, "ofanotheraccount", foreign_key[1], foreign_hash[1]);
    c->naming.account_id = account;
    for (size_t i = 0; i < 2; i++) {
        d->files[i].key = wm_view_of(foreign_key[i]);
        d->files[i].hash_hex = wm_view_of(foreign_hash[i]);
    }
}

static void run_names_files_of_another_account_or_region(void **state)
{
    (void)state;
    struct chain *c = chain_new(&wm_codec_gzip);
    seal(c, NULL);
    seal(c, change_lists_foreign_files);
    drop(c, c->file[1][0]);
    drop(c, c->file[1][1]);
    verify(c);
    assert_findings(c, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_said(c, i, foreign_key[i], "is of another account or region than digest ");
        assert_string_equal(c->said[i].kind, "wrong-place");
    }
    chain_free(c);
}

/* The suite's key is made now, and valid for 30 days. */
static void run_names_a_key_outside_its_validity(void **state)
{
    (void)state;
    static const struct {
        int64_t from_s, until_s; /* from the digest's end */
        bool good;
    } cases[] = {{-3600, 3600, true},  {7200, 9000, true},   {7201, 9000, false},
                 {-9000, -7200, true}, {-9000, -7201, false}};
    struct chain *c = chain_new(&wm_codec_gzip);
    struct wm_buf list, changed;
    wm_buf_init(&list, 1u << 16);
    wm_buf_init(&changed, 1u << 16);
    seal(c, NULL);
    read_text(scratch_path(&suite.scratch, "keys/public-keys.json"), &list);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct wm_keyring *keys = NULL;
        const char *path = scratch_path(&c->scratch, "keys.json");
        const char *from = strstr(wm_buf_cstr(&list), "\"ValidityStartTime\":");
        const char *print = strstr(wm_buf_cstr(&list), "\"Fingerprint\"");
        assert_true(from && print);
        wm_buf_clear(&changed);
        wm_buf_add(&changed, list.data, (size_t)(from - list.data));
        wm_buf_addf(&changed, "\"ValidityStartTime\":%lld,\"ValidityEndTime\":%lld,%s", (long long)(c->end_s + cases[i].from_s),
                    (long long)(c->end_s + cases[i].until_s), print);
        write_text(path, wm_buf_cstr(&changed));
        assert_int_equal(wm_keyring_open(&wm_io_posix, path, &keys, NULL), WM_OK);
        verify_ok(c, &(struct wm_verify_options){.keys = keys});
        if (cases[i].good) {
            assert_findings(c, 0);
        } else {
            assert_only(c, c->digest[0], ", which is valid from 2026-03-01T");
            assert_string_equal(c->said[0].kind, "expired-key");
        }
        wm_keyring_free(keys);
    }
    wm_buf_done(&changed);
    wm_buf_done(&list);
    chain_free(c);
}

/* Two trails may write the same records: a copy tells nothing then. */
static void run_accepts_equal_files_of_two_trails(void **state)
{
    (void)state;
    char key[KEY_BYTES], hash[WM_SHA256_HEX_BYTES + 1], same[KEY_BYTES];
    struct chain *c = chain_new(&wm_codec_gzip);
    const char *const scripts[] = {"1 2", "3", ""};
    c->scripts = scripts;
    seal(c, NULL);
    (void)snprintf(same, sizeof same, "%s", c->file[0][0]);
    c->scripts = scripts;
    put_file(c, c->end_s + 60, "copy000000000000", key, hash);
    verify(c);
    assert_only(c, key, "repeats the content of");
    assert_non_null(strstr(c->said[0].what, same));
    c->naming.trail_name = WM_LIT("second");
    c->previous_key[0] = '\0';
    c->end_s -= HOUR_S;
    c->scripts = (const char *const[]){"4", "5", ""};
    seal(c, NULL);
    verify(c);
    assert_findings(c, 0);
    assert_int_equal(c->result.files_pending, 1);
    chain_free(c);
}

/* ---- a part ---- */

static void run_looks_at_one_trail_only(void **state)
{
    (void)state;
    struct chain *c = six(&wm_codec_gzip);
    char broken[KEY_BYTES], key[KEY_BYTES], hash[WM_SHA256_HEX_BYTES + 1];
    (void)snprintf(broken, sizeof broken, "%s", c->file[2][0]);
    set_content(c, broken, WM_LIT("{\"Records\":[]}"));
    c->naming.trail_name = WM_LIT("second_one");
    c->previous_key[0] = '\0';
    c->end_s -= HOUR_S;
    seal(c, NULL);
    put_file(c, c->end_s - 2 * HOUR_S, "listedbynobody01", key, hash);
    verify_ok(c, &(struct wm_verify_options){.trail = WM_LIT("second_one")});
    assert_findings(c, 0); /* the other trail may list that file */
    assert_int_equal(c->result.chains, 1);
    assert_int_equal(c->result.digests, 1);
    assert_int_equal(c->result.files, 2);
    verify_ok(c, &(struct wm_verify_options){.trail = WM_LIT("demo")});
    assert_only(c, broken, "content does not match");
    verify_ok(c, &(struct wm_verify_options){.trail = WM_LIT("second")});
    assert_int_equal(c->result.digests, 0);
    chain_free(c);
}

/* Six digests, of 20:00 to 02:00. */
static void run_looks_at_a_part_of_the_time(void **state)
{
    (void)state;
    static const struct {
        const char *from, *until;
        unsigned first, n;
    } cases[] = {
        {"2026-03-01T22:00:00Z", NULL, 2, 4},
        {"2026-03-01T22:30:00Z", NULL, 2, 4},
        {NULL, "2026-03-01T22:00:00Z", 0, 2},
        {NULL, "2026-03-01T22:00:01Z", 0, 3},
        {"2026-03-01T21:59:59Z", "2026-03-01T23:00:00Z", 1, 2},
        {"2026-03-01T22:10:00Z", "2026-03-01T22:20:00Z", 2, 1},
        {"2026-03-02T02:00:00Z", NULL, 6, 0},
        {NULL, "2026-03-01T20:00:00Z", 0, 1}, /* by its name, a first digest may begin at any time */
    };
    struct chain *c = six(&wm_codec_gzip);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct wm_wall_ns from = cases[i].from ? moment(cases[i].from) : (struct wm_wall_ns){0};
        struct wm_wall_ns until = cases[i].until ? moment(cases[i].until) : (struct wm_wall_ns){0};
        verify_ok(c, &(struct wm_verify_options){.from = cases[i].from ? &from : NULL, .until = cases[i].until ? &until : NULL});
        assert_findings(c, 0);
        assert_int_equal(c->result.digests_valid, cases[i].n);
        assert_int_equal(c->result.files_valid, cases[i].n * FILES);
    }
    /* what is wrong outside of it is not seen, within it is */
    drop(c, c->digest[1]);
    struct wm_wall_ns from = moment("2026-03-01T22:00:00Z");
    verify_ok(c, &(struct wm_verify_options){.from = &from});
    assert_findings(c, 0);
    from = moment("2026-03-01T21:00:00Z");
    verify_ok(c, &(struct wm_verify_options){.from = &from});
    assert_findings(c, 3);
    assert_said(c, 0, c->digest[1], "missing: digest ");
    assert_said(c, 1, c->file[1][0], "no digest lists it, though its period is sealed");
    chain_free(c);
}

/* ---- the checkpoint ---- */

static void run_keeps_what_must_be_found_again(void **state)
{
    (void)state;
    struct chain *c = chain_new(&wm_codec_gzip);
    struct wm_buf text, before;
    wm_buf_init(&text, 1u << 16);
    wm_buf_init(&before, 1u << 16);
    char path[1024];
    (void)snprintf(path, sizeof path, "%s", scratch_path(&c->scratch, "checkpoint"));
    const struct wm_verify_options o = {.checkpoint = path};
    for (int i = 0; i < 4; i++)
        seal(c, NULL);
    verify_ok(c, &o);
    assert_findings(c, 0);
    read_text(path, &text);
    assert_non_null(strstr(wm_buf_cstr(&text), c->digest[3]));
    assert_non_null(strstr(wm_buf_cstr(&text), c->previous_hash));
    assert_non_null(strstr(wm_buf_cstr(&text), "\"bucket\":\"evidence\""));
    assert_null(strstr(wm_buf_cstr(&text), c->digest[2]));

    seal(c, NULL); /* it moves on */
    verify_ok(c, &o);
    read_text(path, &before);
    assert_non_null(strstr(wm_buf_cstr(&before), c->digest[4]));
    assert_null(strstr(wm_buf_cstr(&before), c->digest[3]));

    for (int i = 4; i >= 3; i--) { /* a cut tail, with its files */
        drop(c, c->digest[i]);
        drop(c, c->file[i][0]);
        drop(c, c->file[i][1]);
    }
    verify(c);
    assert_findings(c, 0); /* nothing tells of it without */
    verify_ok(c, &o);
    assert_only(c, c->digest[4], "missing: the checkpoint names it");
    assert_string_equal(c->said[0].kind, "cut");
    read_text(path, &text); /* and it stays so */
    assert_true(wm_view_eq(wm_buf_view(&text), wm_buf_view(&before)));

    for (int i = 0; i < 3; i++) { /* all of it */
        drop(c, c->digest[i]);
        drop(c, c->file[i][0]);
        drop(c, c->file[i][1]);
    }
    verify_ok(c, &o);
    assert_only(c, c->digest[4], "missing: the checkpoint names it");
    wm_buf_done(&before);
    wm_buf_done(&text);
    chain_free(c);
}

static void run_names_a_digest_that_was_replaced(void **state)
{
    (void)state;
    struct chain *c = chain_new(&wm_codec_gzip);
    char path[1024];
    (void)snprintf(path, sizeof path, "%s", scratch_path(&c->scratch, "checkpoint"));
    const struct wm_verify_options o = {.checkpoint = path};
    seal(c, NULL);
    verify_ok(c, &o);
    drop(c, c->digest[0]);
    drop(c, c->file[0][0]);
    drop(c, c->file[0][1]);
    c->previous_key[0] = '\0';
    c->end_s -= HOUR_S;
    c->scripts = (const char *const[]){"1", "2", ""};
    seal(c, NULL);
    verify(c);
    assert_findings(c, 0);
    verify_ok(c, &o);
    assert_only(c, c->digest[1], "is not the digest that the checkpoint names");
    assert_string_equal(c->said[0].kind, "replaced");
    struct wm_wall_ns later = at(c->end_s + 60); /* also when this run does not read it otherwise */
    verify_ok(c, &(struct wm_verify_options){.checkpoint = path, .from = &later});
    assert_only(c, c->digest[1], "is not the digest that the checkpoint names");
    chain_free(c);
}

static void run_keeps_entries_that_are_not_its_own(void **state)
{
    (void)state;
#define OTHER_ENTRY \
    "{\"bucket\":\"another\",\"key\":\"AWSLogs/1/x.json.gz\",\"sha256\":" \
    "\"0000000000000000000000000000000000000000000000000000000000000000\",\"end\":\"2026-01-01T00:00:00Z\"}"
    struct chain *c = six(&wm_codec_gzip);
    struct wm_buf text;
    wm_buf_init(&text, 1u << 16);
    char path[1024];
    (void)snprintf(path, sizeof path, "%s", scratch_path(&c->scratch, "checkpoint"));
    write_text(path, "{\"waymarkCheckpoint\":1,\"digests\":[" OTHER_ENTRY "]}");
    struct wm_wall_ns until = moment("2026-03-01T22:00:00Z");
    verify_ok(c, &(struct wm_verify_options){.checkpoint = path});
    assert_findings(c, 0);
    verify_ok(c, &(struct wm_verify_options){.checkpoint = path, .until = &until}); /* never back in time */
    assert_findings(c, 0);
    read_text(path, &text);
    assert_non_null(strstr(wm_buf_cstr(&text), "\n" OTHER_ENTRY));
    assert_non_null(strstr(wm_buf_cstr(&text), c->digest[5]));
    wm_buf_done(&text);
    chain_free(c);
}

static void run_refuses_what_is_no_checkpoint(void **state)
{
    (void)state;
    static const char *const odd[] = {
        "", "{", "{}", "[]", "{\"waymarkCheckpoint\":2,\"digests\":[]}", "{\"waymarkCheckpoint\":1}",
        "{\"waymarkCheckpoint\":1,\"digests\":[{}]}",
        "{\"waymarkCheckpoint\":1,\"digests\":[{\"bucket\":\"b\",\"key\":\"k\",\"sha256\":\"0\",\"end\":\"2026-01-01T00:00:00Z\"}]}"};
    struct chain *c = six(&wm_codec_gzip);
    char path[1024];
    (void)snprintf(path, sizeof path, "%s", scratch_path(&c->scratch, "checkpoint"));
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        struct wm_err err = {0};
        write_text(path, odd[i]);
        assert_int_equal(verify_by(c, &wm_io_posix, &(struct wm_verify_options){.checkpoint = path}, &err), WM_E_INVALID);
        assert_non_null(strstr(err.message, "is not a checkpoint"));
    }
    chain_free(c);
}

/* ---- what an earlier run left ---- */

static atomic_uint opened_files, opened_digests;

static int counting_open(void *ctx, const char *path, int flags, mode_t mode)
{
    if (strstr(path, "/bucket/AWSLogs") && !(flags & O_NOFOLLOW)) /* a listing looks with O_NOFOLLOW */
        atomic_fetch_add(strstr(path, "_CloudTrail-Digest_") ? &opened_digests : &opened_files, 1);
    return wm_io_posix.open(ctx, path, flags, mode);
}

static void verify_counted(struct chain *c, const char *resume)
{
    struct wm_io io = wm_io_posix;
    struct wm_err err = {0};
    io.open = counting_open;
    opened_files = opened_digests = 0;
    if (verify_by(c, &io, &(struct wm_verify_options){.resume = resume}, &err) != WM_OK)
        fail_msg("%s", err.message);
}

/* What a stop says must be known again when the gap behind it is met. */
static void run_remembers_that_a_trail_was_stopped(void **state)
{
    (void)state;
    struct chain *c = chain_new(&wm_codec_zstd);
    char path[1024];
    (void)snprintf(path, sizeof path, "%s", scratch_path(&c->scratch, "resume"));
    c->scripts = (const char *const[]){"1", "2", "3", "4=stop", "9=start", "10", "11", "12", ""};
    for (int i = 0; i < 4; i++)
        seal(c, NULL);
    for (int run = 0; run < 3; run++) {
        verify_counted(c, path);
        assert_int_equal(c->result.findings, 0);
        assert_int_equal(c->n_said, 1);
        assert_string_equal(c->said[0].kind, "explained");
        assert_int_equal(opened_files, run ? 4 : 8); /* what lies beside the gap is read again */
    }
    chain_free(c);
}

/* A run for a part of the time begins behind the stop, and so meets its start without a gap before it. */
static void run_remembers_no_start_without_its_stop(void **state)
{
    (void)state;
    struct chain *c = chain_new(&wm_codec_zstd);
    struct wm_err err = {0};
    char path[1024];
    (void)snprintf(path, sizeof path, "%s", scratch_path(&c->scratch, "resume"));
    c->scripts = (const char *const[]){"1", "2=stop", "9=start", "10", "11", "12", ""};
    seal(c, NULL);
    struct wm_wall_ns from = at(c->end_s);
    seal(c, NULL);
    seal(c, NULL);
    const struct wm_verify_options later = {.resume = path, .from = &from};
    assert_int_equal(verify_by(c, &wm_io_posix, &later, &err), WM_OK);
    assert_findings(c, 0);
    assert_int_equal(c->result.digests, 2);
    for (int run = 0; run < 2; run++) {
        verify_counted(c, path);
        assert_int_equal(c->result.findings, 0);
        assert_int_equal(c->n_said, 1);
        assert_string_equal(c->said[0].kind, "explained");
    }
    chain_free(c);
}

static void run_reads_no_file_twice_that_was_good(void **state)
{
    (void)state;
    struct chain *c = chain_new(&wm_codec_zstd);
    char path[1024];
    (void)snprintf(path, sizeof path, "%s", scratch_path(&c->scratch, "resume"));
    c->scripts = (const char *const[]){"1 2", "3", "4", "5", "6", "7", ""};
    for (int i = 0; i < 3; i++)
        seal(c, NULL);
    verify_counted(c, path);
    assert_findings(c, 0);
    assert_int_equal(opened_files, 6);
    assert_int_equal(c->result.files_resumed, 0);
    verify_counted(c, path);
    assert_findings(c, 0);
    assert_int_equal(opened_files, 0);
    assert_int_equal(opened_digests, 3); /* digests are judged each time */
    assert_int_equal(c->result.files_resumed, 6);
    assert_int_equal(c->result.files_valid, 6);
    assert_int_equal(c->result.records, 7);

    c->scripts = (const char *const[]){"8", "11", ""}; /* the numbers are followed from there */
    seal(c, NULL);
    verify_counted(c, path);
    assert_only(c, c->file[3][1], "lacks sequence numbers 9 to 10");
    assert_int_equal(opened_files, 2);
    verify_counted(c, path); /* what is not good is read again */
    assert_only(c, c->file[3][1], "lacks sequence numbers 9 to 10");
    assert_int_equal(opened_files, 2);

    set_content(c, c->file[1][0], WM_LIT("{\"Records\":[]}")); /* written since: other size, other time */
    verify_counted(c, path);
    assert_findings(c, 2);
    assert_said(c, 0, c->file[1][0], "content does not match");
    assert_int_equal(opened_files, 4);
    drop(c, c->file[0][1]);
    verify_counted(c, path);
    assert_findings(c, 3);
    assert_said(c, 0, c->file[0][1], "missing: digest ");
    chain_free(c);
}

static void run_passes_over_a_torn_line(void **state)
{
    (void)state;
    struct chain *c = six(&wm_codec_zstd);
    struct wm_buf text;
    wm_buf_init(&text, 1u << 16);
    char path[1024];
    (void)snprintf(path, sizeof path, "%s", scratch_path(&c->scratch, "resume"));
    verify_counted(c, path);
    read_text(path, &text);
    assert_int_equal(truncate(path, (off_t)text.len - 20), 0);
    verify_counted(c, path);
    assert_findings(c, 0);
    assert_int_equal(opened_files, 2);
    verify_counted(c, path); /* what was written behind it counts */
    assert_int_equal(opened_files, 0);
    struct wm_err err = {0};
    write_text(path, "something else\n");
    assert_int_equal(verify_by(c, &wm_io_posix, &(struct wm_verify_options){.resume = path}, &err), WM_E_INVALID);
    assert_non_null(strstr(err.message, "is not a file of what was verified"));
    wm_buf_done(&text);
    chain_free(c);
}

/* A digest that fails leaves the good ones before it. */
static void run_goes_on_after_an_interruption(void **state)
{
    (void)state;
    struct chain *c = six(&wm_codec_gzip);
    char path[1024], away[1024];
    (void)snprintf(path, sizeof path, "%s", scratch_path(&c->scratch, "resume"));
    (void)snprintf(away, sizeof away, "%s", object_path(c, "", c->file[4][0]));
    assert_int_equal(unlink(away), 0);
    assert_int_equal(mkdir(away, 0700), 0); /* not an object, so it is missing: no interruption */
    assert_int_equal(rmdir(away), 0);
    verify_counted(c, path);
    assert_only(c, c->file[4][0], "missing: ");
    verify_counted(c, path);
    assert_int_equal(c->result.files_resumed, 10);
    assert_only(c, c->file[4][0], "missing: ");
    chain_free(c);
}

/* ---- threads ---- */

static void run_says_the_same_with_any_number_of_threads(void **state)
{
    (void)state;
    struct chain *c = six(&wm_codec_gzip);
    set_content(c, c->file[0][1], WM_LIT("{}"));
    drop(c, c->file[1][0]);
    drop(c, c->digest[2]);
    edit(c, c->digest[3], "\"SHA-256\"", "\"SHA-512\"");
    wrap(c, c->file[4][0], WM_EMPTY, WM_LIT("x"));
    struct finding first[64];
    size_t n = 0;
    for (unsigned jobs = 1; jobs <= 32; jobs *= 2) {
        c->jobs = jobs;
        verify(c);
        if (jobs == 1) {
            n = c->n_said;
            memcpy(first, c->said, sizeof first);
            assert_true(n >= 6);
            continue;
        }
        assert_int_equal(c->n_said, n);
        for (size_t i = 0; i < n; i++) {
            assert_string_equal(c->said[i].key, first[i].key);
            assert_string_equal(c->said[i].what, first[i].what);
        }
    }
    chain_free(c);
}

static unsigned told;

static void on_progress(void *arg, const struct wm_verify_progress *p)
{
    (void)arg;
    told++;
    assert_int_equal(p->objects, 18);
    assert_true(p->objects_done <= p->objects);
    assert_true(p->bytes_done <= p->bytes);
}

static void run_tells_how_far_it_is(void **state)
{
    (void)state;
    struct chain *c = six(&wm_codec_gzip);
    told = 0;
    verify_ok(c, &(struct wm_verify_options){.progress = on_progress, .progress_ms = 0});
    assert_true(told > 0);
    chain_free(c);
}

/* ---- tars ---- */

static void run_command(const char *command)
{
    int status = system(command);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static enum wm_status verify_tar(struct chain *c, const char *path, struct wm_view prefix, struct wm_err *err)
{
    struct wm_store *store = NULL;
    enum wm_status status = wm_store_tar_new(path, &store, err);
    if (status != WM_OK)
        return status;
    const struct wm_verify_options o = {.stores = &store, .n_stores = 1, .keys = suite.keys, .prefix = prefix, .say = said,
                                        .arg = c};
    c->n_said = 0;
    status = wm_verify(&o, &c->result, err);
    wm_store_free(store);
    return status;
}

static void run_reads_tars(void **state)
{
    (void)state;
    static const char *const commands[] = {
        "tar -C %s/bucket -cf %s.tar .",                 "tar -C %s -cf %s.tar bucket",
        "tar -C %s/bucket --format=pax -cf %s.tar .",    "tar -C %s/bucket --format=gnu -cf %s.tar AWSLogs .metadata",
        "tar -C %s/bucket --format=ustar -cf %s.tar .",  "tar -C %s -czf %s.tar bucket",
        "tar -C %s/bucket -I 'zstd -q' -cf %s.tar .",    "tar -C %s/bucket -b 1 -cf %s.tar ."};
    struct chain *c = six(&wm_codec_gzip);
    char command[4096], path[1024];
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        struct wm_err err = {0};
        (void)snprintf(path, sizeof path, "%s/t%zu", c->scratch.dir, i);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        (void)snprintf(command, sizeof command, commands[i], c->scratch.dir, path);
#pragma GCC diagnostic pop
        (void)snprintf(path, sizeof path, "%s/t%zu.tar", c->scratch.dir, i);
        run_command(command);
        if (verify_tar(c, path, WM_EMPTY, &err) != WM_OK)
            fail_msg("%s: %s", command, err.message);
        assert_findings(c, 0);
        assert_int_equal(c->result.digests_valid, 6);
        assert_int_equal(c->result.files_valid, 12);
    }
    /* of two entries of one name the later counts */
    set_content(c, c->file[2][1], WM_LIT("{}"));
    (void)snprintf(command, sizeof command, "tar -C %s/bucket -rf %s/t0.tar ./%s", c->scratch.dir, c->scratch.dir,
                   c->file[2][1]);
    run_command(command);
    (void)snprintf(path, sizeof path, "%s/t0.tar", c->scratch.dir);
    assert_int_equal(verify_tar(c, path, WM_EMPTY, NULL), WM_OK);
    assert_only(c, c->file[2][1], "content does not match");
    chain_free(c);
}

static void run_refuses_what_is_no_tar(void **state)
{
    (void)state;
    struct chain *c = six(&wm_codec_gzip);
    struct wm_err err = {0};
    char command[2048], path[1024];
    (void)snprintf(path, sizeof path, "%s/t.tar", c->scratch.dir);
    assert_int_equal(verify_tar(c, path, WM_EMPTY, &err), WM_E_NOT_FOUND);
    write_text(path, "this is no tar, whatever its name says, and it is longer than nothing");
    assert_int_equal(verify_tar(c, path, WM_EMPTY, &err), WM_E_CORRUPT);
    for (int gzip = 0; gzip < 2; gzip++) {
        (void)snprintf(command, sizeof command, "tar -C %s/bucket -c%sf %s .", c->scratch.dir, gzip ? "z" : "", path);
        run_command(command);
        (void)snprintf(command, sizeof command, "truncate -s -%d %s", gzip ? 2000 : 12000, path);
        run_command(command);
        assert_int_equal(verify_tar(c, path, WM_EMPTY, &err), WM_E_CORRUPT); /* what is missing was perhaps there */
    }
    struct wm_store *store = NULL;
    (void)snprintf(command, sizeof command, "tar -C %s/bucket -cf %s .", c->scratch.dir, path);
    run_command(command);
    assert_int_equal(wm_store_tar_new(path, &store, NULL), WM_OK);
    assert_int_equal(wm_store_put(store, WM_LIT("a"), WM_LIT("b"), WM_EMPTY, NULL, 0, &err), WM_E_UNSUPPORTED);
    wm_store_free(store);
    chain_free(c);
}

/* ---- what objects may hold ---- */

/* A zstd frame (RFC 8878) of blocks that repeat a byte 128 KiB times: 3 GB in 94 KB, its size not told. */
static void make_bomb(struct wm_buf *out)
{
    static const uint8_t head[] = {0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x38};
    wm_buf_add(out, head, sizeof head);
    for (uint32_t left = 24000; left > 0; left--) {
        uint32_t block = (128u * 1024u) << 3 | 1u << 1 | (left == 1);
        const uint8_t bytes[] = {(uint8_t)block, (uint8_t)(block >> 8), (uint8_t)(block >> 16), ' '};
        wm_buf_add(out, bytes, sizeof bytes);
    }
}

static void run_unpacks_no_bomb(void **state)
{
    (void)state;
    struct chain *c = six(&wm_codec_zstd);
    struct wm_buf bomb;
    wm_buf_init(&bomb, 1u << 20);
    make_bomb(&bomb);
    set_raw(c, "", c->file[1][0], wm_buf_view(&bomb));
    set_raw(c, "", c->digest[4], wm_buf_view(&bomb));
    verify(c);
    assert_findings(c, 4);
    assert_said(c, 0, c->file[1][0], "is larger than a trail file or digest can be");
    assert_said(c, 1, c->digest[4], "is larger than a trail file or digest can be");
    assert_string_equal(c->said[0].kind, "too-large");
    assert_string_equal(c->said[2].kind, "unlisted"); /* what that digest listed */
    wm_buf_done(&bomb);
    chain_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(run_names_a_digest_of_another_account),
        cmocka_unit_test(run_names_files_of_another_account_or_region),
        cmocka_unit_test(run_names_a_key_outside_its_validity),
        cmocka_unit_test(run_accepts_equal_files_of_two_trails),
        cmocka_unit_test(run_looks_at_one_trail_only),
        cmocka_unit_test(run_looks_at_a_part_of_the_time),
        cmocka_unit_test(run_keeps_what_must_be_found_again),
        cmocka_unit_test(run_names_a_digest_that_was_replaced),
        cmocka_unit_test(run_keeps_entries_that_are_not_its_own),
        cmocka_unit_test(run_refuses_what_is_no_checkpoint),
        cmocka_unit_test(run_remembers_that_a_trail_was_stopped),
        cmocka_unit_test(run_remembers_no_start_without_its_stop),
        cmocka_unit_test(run_reads_no_file_twice_that_was_good),
        cmocka_unit_test(run_passes_over_a_torn_line),
        cmocka_unit_test(run_goes_on_after_an_interruption),
        cmocka_unit_test(run_says_the_same_with_any_number_of_threads),
        cmocka_unit_test(run_tells_how_far_it_is),
        cmocka_unit_test(run_reads_tars),
        cmocka_unit_test(run_refuses_what_is_no_tar),
        cmocka_unit_test(run_unpacks_no_bomb),
    };
    return cmocka_run_group_tests_name("verify_run", tests, suite_setup, suite_teardown);
}
