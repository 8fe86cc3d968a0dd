/* waymark verify: arguments and environment into a store and a keyring, findings onto stdout. */
#include <ctype.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "server/cli/cmd.h"
#include "waymark/bounds.h"
#include "waymark/buf.h"
#include "waymark/clock.h"
#include "waymark/io.h"
#include "waymark/signer.h"
#include "waymark/store.h"
#include "waymark/verify.h"

#include "waymark/banned.h"

static const char help[] =
    "usage: waymark verify s3://BUCKET[/PREFIX] | FOLDER [OPTIONS]\n"
    "\n"
    "Checks every chain of digests below [PREFIX/]AWSLogs/, and every trail file that they list: signatures, the links\n"
    "from digest to digest, hashes, what is missing, what is there and in no digest. Prints one line per finding,\n"
    "beginning with the object's key, then a summary. FOLDER is laid out as a bucket; FOLDER/PREFIX is found as well.\n"
    "\n"
    "options:\n"
    "  --public-keys FILE   the public keys, as `aws cloudtrail list-public-keys --output json` prints them. Whoever can\n"
    "                       write this file can forge a trail: keep your own copy, away from the bucket\n"
    "  --data-dir DIR       otherwise the keys are DIR/keys/public-keys.json. Default: $WAYMARK_DATA_DIR; then, for a\n"
    "                       FOLDER, the folder that holds it if that has such keys; then var\n"
    "  --endpoint-url URL   of an S3 service other than AWS. Default: $AWS_ENDPOINT_URL_S3, then $AWS_ENDPOINT_URL\n"
    "  --region R           of the bucket. Default: $AWS_REGION, then $AWS_DEFAULT_REGION, then us-east-1\n"
    "  -h, --help           this text\n"
    "\n"
    "S3 credentials: $AWS_ACCESS_KEY_ID, $AWS_SECRET_ACCESS_KEY and $AWS_SESSION_TOKEN; otherwise profile $AWS_PROFILE\n"
    "(or default) of $AWS_SHARED_CREDENTIALS_FILE (or ~/.aws/credentials). $AWS_CA_BUNDLE: trusted certificates, PEM.\n"
    "\n"
    "exit code: 0 everything is as it was written; 1 something is not; 2 not everything could be checked\n"
    "\n"
    "A file that no digest lists yet because its period is still open is counted, and no finding. That the newest\n"
    "digests were taken away with all that came after cannot be seen in the bucket alone.\n";

struct verify_arguments {
    const char *target;
    const char *endpoint_url;
    const char *region;
    const char *public_keys;
    const char *data_dir;
};

/* A value of the environment; "" counts as unset, as in the AWS CLI. */
static const char *env(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

static const char *first_of(const char *a, const char *b, const char *c)
{
    return a ? a : b ? b : c;
}

/*
 * Keys come from whoever wrote the bucket: nothing in them may look like a line of ours or move the cursor. Terminals
 * obey U+0080 to U+009F as well (ECMA-48 section 5.3), which are C2 80 to C2 9F in UTF-8.
 */
static void print_text(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i], next = i + 1 < len ? (unsigned char)text[i + 1] : 0;
        bool wide = c == 0xc2 && next >= 0x80 && next <= 0x9f;
        (void)putchar(wide || iscntrl(c) ? '?' : c);
        i += wide;
    }
}

static void print_line(struct wm_view key, const char *between, const char *what)
{
    print_text(key.ptr, key.len);
    (void)fputs(between, stdout);
    print_text(what, strlen(what));
    (void)putchar('\n');
}

static void print_finding(void *arg, struct wm_view key, const char *what)
{
    (void)arg;
    print_line(key, ": ", what);
}

static void print_note(void *arg, struct wm_view key, const char *what)
{
    (void)arg;
    (void)fputs("note: ", stdout);
    print_line(key, ": ", what);
}

/* ---- where the objects are ---- */

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/*
 * A folder store keeps the objects' headers in ROOT/.metadata, so the nearest folder upward that has one is the root, and
 * what lies between is the prefix. A copy without any is its own root (and its digests have no signatures).
 */
static enum wm_status split_folder(struct wm_view target, struct wm_buf *root, struct wm_view *out_prefix,
                                   struct wm_err *err)
{
    while (target.len > 1 && target.ptr[target.len - 1] == '/')
        target.len--;
    struct wm_view candidate = target;
    for (;;) {
        struct wm_buf metadata;
        wm_buf_init(&metadata, WM_MAX_PATH_BYTES);
        wm_buf_addf(&metadata, "%.*s/.metadata", WM_ARG(candidate));
        bool found = is_folder(wm_buf_cstr(&metadata));
        wm_buf_done(&metadata);
        size_t slash = wm_view_rfind(candidate, '/');
        if (found)
            break;
        if (slash == candidate.len || slash == 0) {
            candidate = target;
            break;
        }
        candidate = wm_view_sub(candidate, 0, slash);
    }
    wm_buf_add_view(root, candidate);
    *out_prefix = wm_view_sub(target, candidate.len == target.len ? target.len : candidate.len + 1, target.len);
    if (wm_buf_status(root) != WM_OK)
        return wm_fail(err, wm_buf_status(root), "the folder's path is too long");
    if (!is_folder(wm_buf_cstr(root)))
        return wm_fail(err, WM_E_NOT_FOUND, "there is no folder %.*s", WM_ARG(target));
    return WM_OK;
}

static enum wm_status open_s3(const struct verify_arguments *a, struct wm_view *out_prefix, struct wm_store **out,
                              struct wm_err *err)
{
    struct wm_view rest = wm_view_of(a->target + strlen("s3://"));
    struct wm_view bucket = wm_view_split(&rest, '/');
    while (rest.len && rest.ptr[rest.len - 1] == '/')
        rest.len--;
    *out_prefix = rest;
    struct wm_store_environment room;
    const struct wm_store_s3_options o = {
        .bucket = bucket,
        .endpoint = wm_view_of(first_of(a->endpoint_url, env("AWS_ENDPOINT_URL_S3"), env("AWS_ENDPOINT_URL"))),
        .region = wm_view_of(first_of(a->region, env("AWS_REGION"), env("AWS_DEFAULT_REGION"))),
        .credentials = wm_store_environment(&room),
        .ca_file = wm_view_of(env("AWS_CA_BUNDLE")),
        .clock = &wm_clock_system,
    };
    return wm_store_s3_new(&o, out, err);
}

/* ---- the keys ---- */

static enum wm_status open_keys(const struct verify_arguments *a, const char *root, struct wm_keyring **out,
                                struct wm_err *err)
{
    struct wm_buf path;
    wm_buf_init(&path, WM_MAX_PATH_BYTES);
    const char *data_dir = first_of(a->data_dir, env("WAYMARK_DATA_DIR"), NULL);
    if (a->public_keys) {
        wm_buf_add_str(&path, a->public_keys);
    } else if (data_dir) {
        wm_buf_addf(&path, "%s/keys/public-keys.json", data_dir);
    } else {
        struct stat st;
        if (root)
            wm_buf_addf(&path, "%s/../keys/public-keys.json", root);
        if (!root || stat(wm_buf_cstr(&path), &st) != 0) {
            wm_buf_clear(&path);
            wm_buf_add_str(&path, "var/keys/public-keys.json");
        }
    }
    enum wm_status status = wm_buf_status(&path);
    if (status != WM_OK)
        status = wm_fail(err, status, "the path of the public keys is too long");
    else
        status = wm_keyring_open(&wm_io_posix, wm_buf_cstr(&path), out, err);
    wm_buf_done(&path);
    return status;
}

/* ---- the command ---- */

static int verify_run(const struct verify_arguments *a)
{
    struct wm_err err = {0};
    struct wm_store *store = NULL;
    struct wm_keyring *keys = NULL;
    struct wm_verify_result r = {0};
    struct wm_view prefix = WM_EMPTY;
    struct wm_buf root;
    enum wm_status status;
    wm_buf_init(&root, WM_MAX_PATH_BYTES);

    bool is_s3 = strncmp(a->target, "s3://", strlen("s3://")) == 0;
    if (is_s3) {
        status = open_s3(a, &prefix, &store, &err);
    } else {
        status = split_folder(wm_view_of(a->target), &root, &prefix, &err);
        if (status == WM_OK)
            status = wm_store_file_new(&wm_io_posix, wm_buf_view(&root), WM_EMPTY, &store, &err);
    }
    if (status == WM_OK)
        status = open_keys(a, is_s3 ? NULL : wm_buf_cstr(&root), &keys, &err);
    if (status != WM_OK)
        goto out;

    const struct wm_verify_options o = {
        .store = store, .prefix = prefix, .keys = keys, .clock = &wm_clock_system, .finding = print_finding,
        .note = print_note};
    status = wm_verify(&o, &r, &err);
    if (status != WM_OK)
        goto out;
    (void)printf("checked %s: chains %" PRIu64 "; digests %" PRIu64 ", valid %" PRIu64 "; files %" PRIu64
                 ", valid %" PRIu64 "; files not yet in a digest %" PRIu64 "\n",
                 a->target, r.chains, r.digests, r.digests_valid, r.files, r.files_valid, r.files_pending);
    (void)printf("records in valid files: %" PRIu64 "\n", r.records);
    if (r.findings)
        (void)printf("result: NOT GOOD, findings %" PRIu64 "\n", r.findings);
    else
        (void)puts("result: good");
out:
    wm_buf_done(&root);
    wm_keyring_free(keys);
    wm_store_free(store);
    if (fflush(stdout) != 0 && status == WM_OK)
        status = wm_fail(&err, WM_E_IO, "the findings cannot be written to stdout");
    if (status != WM_OK) {
        (void)fprintf(stderr, "waymark verify: could not check %s: %s\n", a->target, err.message);
        return CMD_FAILED;
    }
    return r.findings ? CMD_NOT_GOOD : CMD_OK;
}

int cmd_verify(int argc, char **argv)
{
    enum { OPT_ENDPOINT_URL = 256, OPT_REGION, OPT_PUBLIC_KEYS, OPT_DATA_DIR };
    static const struct option options[] = {
        {"endpoint-url", required_argument, NULL, OPT_ENDPOINT_URL},
        {"region", required_argument, NULL, OPT_REGION},
        {"public-keys", required_argument, NULL, OPT_PUBLIC_KEYS},
        {"data-dir", required_argument, NULL, OPT_DATA_DIR},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    struct verify_arguments a = {0};
    for (int c; (c = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        switch (c) {
        case OPT_ENDPOINT_URL:
            a.endpoint_url = optarg;
            break;
        case OPT_REGION:
            a.region = optarg;
            break;
        case OPT_PUBLIC_KEYS:
            a.public_keys = optarg;
            break;
        case OPT_DATA_DIR:
            a.data_dir = optarg;
            break;
        case 'h':
            (void)fputs(help, stdout);
            return CMD_OK;
        default: /* getopt has said what is wrong */
            (void)fputs("`waymark verify --help` says what it takes\n", stderr);
            return CMD_FAILED;
        }
    }
    if (argc - optind != 1 || !*argv[optind]) {
        (void)fputs("waymark verify: expected one s3://BUCKET[/PREFIX] or FOLDER; see `waymark verify --help`\n", stderr);
        return CMD_FAILED;
    }
    a.target = argv[optind];
    return verify_run(&a);
}
