/* waymark verify: its arguments. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "server/cli/cmd.h"
#include "server/cli/verify_cli.h"
#include "waymark/buf.h"
#include "waymark/clock.h"

#include "waymark/banned.h"

static const char help[] =
    "usage: waymark verify s3://BUCKET[/PREFIX] | FOLDER | TAR [OPTIONS]\n"
    "\n"
    "Checks every chain of digests below [PREFIX/]AWSLogs/, and every trail file that they list: signatures, the links\n"
    "from digest to digest, hashes, sequence numbers, what is missing, what is there and in no digest. Prints one line\n"
    "per finding, beginning with the object's key, then a summary. FOLDER is laid out as a bucket, TAR holds such a\n"
    "folder (plain, gzip or zstd); FOLDER/PREFIX and TAR/PREFIX are found as well.\n"
    "\n"
    "what is checked:\n"
    "  --trail NAME         only this trail\n"
    "  --start-time T       only the time from T on (2026-03-01T11:00:00Z or 2026-03-01, UTC)\n"
    "  --end-time T         only the time before T\n"
    "  --checkpoint FILE    the newest digest of each chain, as FILE names them, must be there; when all is good, FILE\n"
    "                       names the newest ones for the next time. Without it, that the newest digests were taken\n"
    "                       away with all that came after cannot be seen. Keep it away from the bucket\n"
    "\n"
    "how:\n"
    "  --public-keys FILE   the public keys, as `aws cloudtrail list-public-keys --output json` prints them. Whoever can\n"
    "                       write this file can forge a trail: keep your own copy, away from the bucket\n"
    "  --data-dir DIR       otherwise the keys are DIR/keys/public-keys.json. Default: $WAYMARK_DATA_DIR; then, for a\n"
    "                       FOLDER or TAR, the folder that holds it if that has such keys; then var\n"
    "  --endpoint-url URL   of an S3 service other than AWS. Default: $AWS_ENDPOINT_URL_S3, then $AWS_ENDPOINT_URL\n"
    "  --region R           of the bucket. Default: $AWS_REGION, then $AWS_DEFAULT_REGION, then us-east-1\n"
    "  --jobs N             threads that read, 1 to 64. Default: one a core; of a bucket at least 8\n"
    "  --resume FILE        go on where an earlier run with this FILE ended: what was good, and has not been written\n"
    "                       since, is not read again\n"
    "  --json               print JSON, one object a line\n"
    "  --no-progress        do not tell on the standard error how far it is\n"
    "  -h, --help           this text\n"
    "\n"
    "S3 credentials: $AWS_ACCESS_KEY_ID, $AWS_SECRET_ACCESS_KEY and $AWS_SESSION_TOKEN; otherwise profile $AWS_PROFILE\n"
    "(or default) of $AWS_SHARED_CREDENTIALS_FILE (or ~/.aws/credentials). $AWS_CA_BUNDLE: trusted certificates, PEM.\n"
    "\n"
    "exit code: 0 everything is as it was written; 1 something is not; 2 not everything could be checked\n"
    "\n"
    "A file that no digest lists yet because its period is still open is counted, and no finding. docs/verification.md\n"
    "has each finding and what it means.\n";

static int verify_run(const struct verify_arguments *a)
{
    struct wm_err err = {0};
    struct wm_verify_result r = {0};
    struct verify_target target;
    struct verify_report report;
    verify_report_init(&report, a);
    enum wm_status status = verify_target_open(a, &target, &err);
    if (status == WM_OK) {
        const struct wm_verify_options o = {
            .stores = target.stores,
            .n_stores = target.n_stores,
            .prefix = target.prefix,
            .keys = target.keys,
            .trail = wm_view_of(a->trail),
            .from = a->has_from ? &a->from : NULL,
            .until = a->has_until ? &a->until : NULL,
            .checkpoint = a->checkpoint,
            .resume = a->resume,
            .say = verify_report_line,
            .progress = a->no_progress ? NULL : verify_report_progress,
            .progress_ms = VERIFY_REPORT_PROGRESS_MS,
            .arg = &report,
        };
        status = wm_verify(&o, &r, &err);
        verify_target_close(&target);
    }
    verify_report_end(&report, &r, status == WM_OK ? NULL : &err);
    if (fflush(stdout) != 0 && status == WM_OK) {
        (void)fputs("waymark verify: the findings cannot be written to stdout\n", stderr);
        return CMD_FAILED;
    }
    if (status != WM_OK)
        return CMD_FAILED;
    return r.findings ? CMD_NOT_GOOD : CMD_OK;
}

/* ---- arguments ---- */

static int complain(const char *what, const char *value)
{
    (void)fprintf(stderr, "waymark verify: %s%s; see `waymark verify --help`\n", what, value);
    return CMD_FAILED;
}

/* 2026-03-01T11:00:00Z, or 2026-03-01 */
static bool read_time(const char *text, struct wm_wall_ns *out)
{
    char whole[sizeof "2026-03-01T00:00:00Z"];
    struct wm_view t = wm_view_of(text);
    if (t.len == sizeof "2026-03-01" - 1) {
        (void)snprintf(whole, sizeof whole, "%sT00:00:00Z", text);
        t = wm_view_of(whole);
    }
    return t.len == sizeof whole - 1 && t.ptr[t.len - 1] == 'Z' && wm_time_parse(t, out) == WM_OK;
}

static bool read_jobs(const char *text, unsigned *out)
{
    uint64_t n;
    if (wm_view_to_u64(wm_view_of(text), WM_VERIFY_MAX_JOBS, &n) != WM_OK || n == 0)
        return false;
    *out = (unsigned)n;
    return true;
}

enum { OPT_ENDPOINT_URL = 256, OPT_REGION, OPT_PUBLIC_KEYS, OPT_DATA_DIR, OPT_TRAIL, OPT_START, OPT_END, OPT_CHECKPOINT,
       OPT_RESUME, OPT_JOBS, OPT_JSON, OPT_NO_PROGRESS };

/* @return CMD_OK, or what the process ends with */
static int read_option(struct verify_arguments *a, int option, const char *value)
{
    switch (option) {
    case OPT_ENDPOINT_URL:
        a->endpoint_url = value;
        break;
    case OPT_REGION:
        a->region = value;
        break;
    case OPT_PUBLIC_KEYS:
        a->public_keys = value;
        break;
    case OPT_DATA_DIR:
        a->data_dir = value;
        break;
    case OPT_TRAIL:
        a->trail = value;
        break;
    case OPT_START:
        a->has_from = read_time(value, &a->from);
        return a->has_from ? CMD_OK : complain("--start-time is no time: ", value);
    case OPT_END:
        a->has_until = read_time(value, &a->until);
        return a->has_until ? CMD_OK : complain("--end-time is no time: ", value);
    case OPT_CHECKPOINT:
        a->checkpoint = value;
        break;
    case OPT_RESUME:
        a->resume = value;
        break;
    case OPT_JOBS:
        return read_jobs(value, &a->jobs) ? CMD_OK : complain("--jobs takes 1 to 64, not ", value);
    case OPT_JSON:
        a->json = true;
        break;
    case OPT_NO_PROGRESS:
        a->no_progress = true;
        break;
    default: /* getopt has said what is wrong */
        (void)fputs("`waymark verify --help` says what it takes\n", stderr);
        return CMD_FAILED;
    }
    return CMD_OK;
}

int cmd_verify(int argc, char **argv)
{
    static const struct option options[] = {
        {"endpoint-url", required_argument, NULL, OPT_ENDPOINT_URL},
        {"region", required_argument, NULL, OPT_REGION},
        {"public-keys", required_argument, NULL, OPT_PUBLIC_KEYS},
        {"data-dir", required_argument, NULL, OPT_DATA_DIR},
        {"trail", required_argument, NULL, OPT_TRAIL},
        {"start-time", required_argument, NULL, OPT_START},
        {"end-time", required_argument, NULL, OPT_END},
        {"checkpoint", required_argument, NULL, OPT_CHECKPOINT},
        {"resume", required_argument, NULL, OPT_RESUME},
        {"jobs", required_argument, NULL, OPT_JOBS},
        {"json", no_argument, NULL, OPT_JSON},
        {"no-progress", no_argument, NULL, OPT_NO_PROGRESS},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    struct verify_arguments a = {0};
    for (int c; (c = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        if (c == 'h') {
            (void)fputs(help, stdout);
            return CMD_OK;
        }
        int end = read_option(&a, c, optarg);
        if (end != CMD_OK)
            return end;
    }
    if (argc - optind != 1 || !*argv[optind])
        return complain("expected one s3://BUCKET[/PREFIX], FOLDER or TAR", "");
    if (a.has_from && a.has_until && a.from.ns >= a.until.ns)
        return complain("--start-time is not before --end-time", "");
    a.target = argv[optind];
    return verify_run(&a);
}
