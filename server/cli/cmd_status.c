/* waymark status: asks a daemon how it is (server/monitor.h has what the numbers mean) and says so in words. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "delivery/aws_request.h"
#include "server/cli/cmd.h"
#include "server/cli/text.h"
#include "waymark/arena.h"
#include "waymark/bounds.h"
#include "waymark/buf.h"
#include "waymark/clock.h"
#include "waymark/credentials.h"
#include "waymark/hash.h"
#include "waymark/io.h"
#include "waymark/json.h"
#include "waymark/sigv4.h"

#include "waymark/banned.h"

#define STATUS_PATH "/_waymark/status"
#define CONNECT_TIMEOUT_MS 5000
#define TIMEOUT_MS 15000
#define HOST_BYTES 300u

static const char help[] =
    "usage: waymark status [OPTIONS]\n"
    "\n"
    "Asks a running waymarkd how it is: its journal, the calls since its start, what each trail has delivered, and whether\n"
    "the counts prove that nothing is missing. Asking is not recorded.\n"
    "\n"
    "options:\n"
    "  --data-dir DIR       of the daemon: DIR/endpoint has its address, DIR/credentials the account's root credentials.\n"
    "                       Default: $WAYMARK_DATA_DIR, then var\n"
    "  --endpoint URL       its address, such as http://127.0.0.1:8480\n"
    "  --credentials-file F an AWS shared-credentials file with the profile waymark\n"
    "  --json               the daemon's answer as it is\n"
    "  -h, --help           this text\n"
    "\n"
    "exit code: 0 it is well; 1 it is not, and the text says what is wrong; 2 it could not be asked\n"
    "\n"
    "GET /livez and GET /readyz need no credentials: 200, or 503 and the reason.\n";

struct status_arguments {
    const char *endpoint;
    const char *credentials_file;
    const char *data_dir;
    bool json;
};

/* ---- asking ---- */

/* DIR/name. */
static enum wm_status in_data_dir(const struct status_arguments *a, const char *name, struct wm_buf *out,
                                  struct wm_err *err)
{
    const char *dir = a->data_dir ? a->data_dir : getenv("WAYMARK_DATA_DIR");
    wm_buf_addf(out, "%s/%s", dir && *dir ? dir : "var", name);
    enum wm_status status = wm_buf_status(out);
    return status == WM_OK ? WM_OK : wm_fail(err, status, "the data folder's path is too long");
}

/* Into *url, without a slash at the end. */
static enum wm_status find_endpoint(const struct status_arguments *a, struct wm_buf *url, struct wm_err *err)
{
    struct wm_buf path, text;
    wm_buf_init(&path, WM_MAX_PATH_BYTES);
    wm_buf_init(&text, 1024);
    enum wm_status status = WM_OK;
    struct wm_view found = wm_view_of(a->endpoint);
    if (!a->endpoint) {
        status = in_data_dir(a, "endpoint", &path, err);
        if (status == WM_OK)
            status = wm_io_read_file(&wm_io_posix, wm_buf_cstr(&path), &text, err);
        if (status == WM_E_NOT_FOUND)
            status = wm_fail(err, WM_E_NOT_FOUND, "there is no %s, which a daemon writes when it serves; is it running?",
                             wm_buf_cstr(&path));
        found = wm_view_trim(wm_buf_view(&text));
    }
    while (found.len && found.ptr[found.len - 1] == '/')
        found.len--;
    struct wm_view host = wm_view_sub(found, wm_view_starts(found, "https://") ? 8 : 7, found.len);
    if (status == WM_OK && ((!wm_view_starts(found, "http://") && !wm_view_starts(found, "https://")) ||
                            host.len == 0 || wm_view_find(host, '/') != host.len))
        status = wm_fail(err, WM_E_INVALID, "\"%.*s\" is not http://HOST:PORT or https://HOST:PORT", WM_ARG(found));
    if (status == WM_OK) {
        wm_buf_add_view(url, found);
        status = wm_buf_status(url);
        if (status != WM_OK)
            (void)wm_fail(err, status, "the endpoint is too long");
    }
    wm_buf_done(&text);
    wm_buf_done(&path);
    return status;
}

static enum wm_status find_credentials(const struct status_arguments *a, struct wm_credentials *out, struct wm_err *err)
{
    struct wm_buf path;
    wm_buf_init(&path, WM_MAX_PATH_BYTES);
    enum wm_status status = WM_OK;
    if (!a->credentials_file)
        status = in_data_dir(a, "credentials", &path, err);
    if (status == WM_OK)
        status = wm_credentials_load(&wm_io_posix, a->credentials_file ? a->credentials_file : wm_buf_cstr(&path),
                                     WM_LIT("waymark"), out, err);
    wm_buf_done(&path);
    return status;
}

/* @param endpoint  "http://HOST:PORT" */
static enum wm_status ask(struct wm_view endpoint, const struct wm_credentials *c, struct wm_buf *out,
                          long *out_http_status, struct wm_err *err)
{
    static const struct wm_http_settings settings = {.connect_timeout_ms = CONNECT_TIMEOUT_MS};
    char hash[WM_SHA256_HEX_BYTES], host[HOST_BYTES];
    uint8_t sha[WM_SHA256_BYTES];
    struct wm_view where;
    struct wm_aws_request q = {
        .service = "waymark",
        .method = "GET",
        .host = host,
        .path = WM_LIT(STATUS_PATH),
        .sha256_hex = {hash, sizeof hash},
        .timeout_ms = TIMEOUT_MS,
    };
    if (!wm_aws_endpoint(endpoint, &q.scheme, &where) || !wm_view_copy(where, host, sizeof host))
        return wm_fail(err, WM_E_INVALID, "the endpoint is not of the form http://HOST:PORT");
    wm_sha256("", 0, sha);
    wm_hex(sha, sizeof sha, hash);
    struct wm_http_reply reply;
    wm_http_reply_init(&reply, out);
    struct wm_sigv4_cache *cache = wm_sigv4_cache_new();
    struct wm_http_client *http = wm_http_client_new(&settings, NULL, err);
    enum wm_status status = WM_E_NOMEM;
    if (!cache)
        (void)wm_fail(err, WM_E_NOMEM, "no memory to sign the request");
    else if (http)
        status = wm_aws_send(http, cache, &q, c, c->region[0] ? c->region : "us-east-1",
                             wm_clock_wall(&wm_clock_system), &reply, err);
    if (status == WM_OK)
        *out_http_status = reply.status;
    wm_http_client_free(http);
    wm_sigv4_cache_free(cache);
    wm_http_reply_done(&reply);
    return status;
}

/* ---- in words ---- */

enum colour { PLAIN, GREEN, RED };

static bool coloured; /* stdout is a terminal that takes it */

static void print_word(enum colour colour, const char *word)
{
    static const char *const begin[] = {"", "\033[32m", "\033[31m"};
    (void)printf("%s%s%s", coloured ? begin[colour] : "", word, coloured && colour != PLAIN ? "\033[0m" : "");
}

static struct wm_view text_of(const struct wm_json *object, const char *name, const char *otherwise)
{
    struct wm_view text = wm_json_get_text(object, name);
    return text.len ? text : wm_view_of(otherwise);
}

static void print_field(const struct wm_json *object, const char *name, const char *otherwise)
{
    cli_print_text(text_of(object, name, otherwise));
}

static int64_t number_of(const struct wm_json *object, const char *name)
{
    int64_t n = 0;
    const struct wm_json *at = wm_json_get(object, name);
    return at && wm_json_to_i64(at, INT64_MIN, INT64_MAX, &n) == WM_OK ? n : 0;
}

static bool is_true(const struct wm_json *object, const char *name)
{
    const struct wm_json *b = wm_json_get(object, name);
    return b && b->type == WM_JSON_BOOL && b->boolean;
}

/* "name N", one after the other. */
static void print_numbers(const struct wm_json *object, const char *const *names, const char *between)
{
    for (size_t i = 0; names[i]; i++)
        (void)printf("%s%s %" PRId64, i ? between : "", names[i], number_of(object, names[i]));
}

static void print_complete(const struct wm_json *object)
{
    bool complete = is_true(object, "complete");
    (void)fputs("; ", stdout);
    print_word(complete ? GREEN : RED, complete ? "complete" : "NOT COMPLETE");
    (void)putchar('\n');
}

static void print_duration(int64_t s)
{
    if (s >= 86400)
        (void)printf("%" PRId64 " d %" PRId64 " h", s / 86400, s % 86400 / 3600);
    else if (s >= 3600)
        (void)printf("%" PRId64 " h %" PRId64 " min", s / 3600, s % 3600 / 60);
    else if (s >= 60)
        (void)printf("%" PRId64 " min %" PRId64 " s", s / 60, s % 60);
    else
        (void)printf("%" PRId64 " s", s);
}

static void print_head(const struct wm_json *root, struct wm_view endpoint)
{
    const struct wm_json *problems = wm_json_get(root, "problems");
    (void)fputs("waymarkd   ", stdout);
    print_field(root, "version", "?");
    (void)printf(" at %.*s, ", WM_ARG(endpoint));
    print_field(root, "phase", "?");
    (void)fputs(", up for ", stdout);
    print_duration(number_of(root, "uptimeSeconds"));
    (void)fputs("\nhealth     ", stdout);
    print_word(is_true(root, "healthy") ? GREEN : RED, is_true(root, "healthy") ? "good" : "NOT GOOD");
    (void)putchar('\n');
    for (const struct wm_json *p = problems ? problems->first : NULL; p; p = p->next) {
        (void)fputs("           - ", stdout);
        cli_print_text(p->text);
        (void)putchar('\n');
    }
}

static void print_journal(const struct wm_json *j)
{
    struct wm_view state = text_of(j, "state", "?");
    int64_t max = number_of(j, "maxBytes"), mib = 1024 * 1024;
    bool good = wm_view_eq_str(state, "ok");
    (void)fputs("journal    ", stdout);
    print_word(good ? GREEN : RED, good ? "ok" : wm_view_eq_str(state, "full") ? "FULL" : "FAILED");
    (void)printf(", entries %" PRId64 " to %" PRId64 " in %" PRId64 " segments, %" PRId64 " MiB", number_of(j, "firstSeq"),
                 number_of(j, "durableSeq"), number_of(j, "segments"), number_of(j, "bytes") / mib);
    if (max)
        (void)printf(" of %" PRId64, max / mib);
    (void)putchar('\n');
}

static void print_counts(const struct wm_json *root)
{
    static const char *const calls[] = {"received", "recorded", "acknowledged", "refused", "folded", "lost", NULL};
    static const char *const folds[] = {"told", "pending", NULL};
    static const char *const others[] = {"abandoned", "rejected", NULL};
    static const char *const kinds[] = {"reads", "changes", "refused", "service", "earlier", NULL};
    const struct wm_json *c = wm_json_get(root, "calls"), *all = wm_json_get(root, "counted");
    (void)fputs("calls      since the start: ", stdout);
    print_numbers(c, calls, ", ");
    print_complete(c);
    (void)fputs("           of those folded: ", stdout);
    print_numbers(wm_json_get(root, "folded"), folds, ", ");
    print_complete(wm_json_get(root, "folded"));
    (void)fputs("           never a call: ", stdout);
    print_numbers(c, others, ", ");
    (void)printf("\ncounted    %" PRId64 " entries = ", number_of(all, "seq"));
    print_numbers(all, kinds, " + ");
    print_complete(all);
}

static void print_lag(const struct wm_json *o)
{
    int64_t records = number_of(o, "lagRecords");
    const struct wm_json *seconds = wm_json_get(o, "lagSeconds");
    (void)printf("%" PRId64 " behind", records);
    if (records && seconds && seconds->type == WM_JSON_NUMBER) {
        (void)fputs(", the oldest of them ", stdout);
        print_duration(number_of(o, "lagSeconds"));
        (void)fputs(" old", stdout);
    }
    if (is_true(o, "paused")) {
        (void)fputs(", ", stdout);
        print_word(RED, "PAUSED");
    }
}

static void print_followers(const struct wm_json *list)
{
    for (const struct wm_json *f = list ? list->first : NULL; f; f = f->next) {
        (void)fputs("follower   ", stdout);
        print_field(f, "name", "?");
        (void)printf(" at entry %" PRId64 ", ", number_of(f, "cursor"));
        print_lag(f);
        (void)putchar('\n');
    }
}

static void print_trails(const struct wm_json *list)
{
    static const char *const counts[] = {"before", "delivered", "filtered", "missed", "pending", NULL};
    static const struct {
        const char *what, *time, *error;
    } times[] = {
        {"delivery", "latestDelivery", "latestDeliveryError"},
        {"attempt", "latestDeliveryAttempt", NULL},
        {"digest", "latestDigest", "latestDigestError"},
    };
    for (const struct wm_json *t = list ? list->first : NULL; t; t = t->next) {
        (void)fputs("trail      ", stdout);
        print_field(t, "name", "?");
        (void)fputs(" into ", stdout);
        print_field(t, "bucket", "?");
        (void)fputs(", ", stdout);
        print_lag(t);
        if (!is_true(t, "logging")) {
            (void)fputs(", ", stdout);
            print_word(RED, "STOPPED");
            (void)fputs(" at ", stdout);
            print_field(t, "stopped", "an unknown time");
        }
        (void)fputs("\n           ", stdout);
        print_numbers(t, counts, " + ");
        print_complete(t);
        for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
            (void)printf("%s%s ", i ? ", " : "           last ", times[i].what);
            print_field(t, times[i].time, "never");
            struct wm_view error = times[i].error ? wm_json_get_text(t, times[i].error) : WM_EMPTY;
            if (error.len) {
                (void)putchar(' ');
                print_word(RED, "failing: ");
                cli_print_text(error);
            }
        }
        (void)putchar('\n');
    }
}

static void print_status(const struct wm_json *root, struct wm_view endpoint)
{
    const char *term = getenv("TERM"), *no_colour = getenv("NO_COLOR"); /* https://no-color.org */
    coloured = isatty(STDOUT_FILENO) && term && strcmp(term, "dumb") != 0 && !(no_colour && *no_colour);
    print_head(root, endpoint);
    print_journal(wm_json_get(root, "journal"));
    print_counts(root);
    print_followers(wm_json_get(root, "followers"));
    print_trails(wm_json_get(root, "trails"));
}

/* ---- the command ---- */

/* What an answer other than 200 means. */
static int refused(struct wm_view endpoint, long http_status)
{
    if (http_status == 503) {
        (void)printf("health     NOT GOOD\n           - %.*s answers 503: it is starting or cannot record; its log says why\n",
                     WM_ARG(endpoint));
        return CMD_NOT_GOOD;
    }
    if (http_status == 403)
        (void)fprintf(stderr, "waymark status: %.*s does not take these credentials; they must be its account's root "
                              "(it has recorded this)\n", WM_ARG(endpoint));
    else
        (void)fprintf(stderr, "waymark status: %.*s answers %ld; is it a waymarkd?\n", WM_ARG(endpoint), http_status);
    return CMD_FAILED;
}

static int status_run(const struct status_arguments *a)
{
    struct wm_err err = {0};
    struct wm_credentials credentials;
    struct wm_json *root = NULL;
    struct wm_buf endpoint, body;
    struct wm_arena arena;
    long http_status = 0;
    wm_buf_init(&endpoint, 1024);
    wm_buf_init(&body, WM_MAX_ARENA_BYTES);
    wm_arena_init(&arena, 8u * WM_MAX_ARENA_BYTES);
    int rc = CMD_FAILED;
    enum wm_status status = find_endpoint(a, &endpoint, &err);
    if (status == WM_OK)
        status = find_credentials(a, &credentials, &err);
    if (status == WM_OK) {
        struct wm_err why = {0};
        status = ask(wm_buf_view(&endpoint), &credentials, &body, &http_status, &why);
        wm_credentials_wipe(&credentials);
        if (status != WM_OK)
            (void)wm_fail(&err, status, "cannot ask %s: %s", wm_buf_cstr(&endpoint), why.message);
    }
    if (status == WM_OK && http_status == 200) {
        status = wm_json_parse(&arena, wm_buf_view(&body), &root, &err);
        if (status != WM_OK || !wm_json_get(root, "healthy"))
            status = wm_fail(&err, WM_E_INVALID, "%s does not answer as a waymarkd does", wm_buf_cstr(&endpoint));
    }
    if (status == WM_OK && !root) {
        rc = refused(wm_buf_view(&endpoint), http_status);
    } else if (status == WM_OK) {
        rc = is_true(root, "healthy") ? CMD_OK : CMD_NOT_GOOD;
        if (a->json)
            (void)printf("%s\n", wm_buf_cstr(&body));
        else
            print_status(root, wm_buf_view(&endpoint));
    }
    if (status == WM_OK && fflush(stdout) != 0)
        status = wm_fail(&err, WM_E_IO, "stdout cannot be written");
    if (status != WM_OK)
        (void)fprintf(stderr, "waymark status: %s\n", err.message);
    wm_arena_done(&arena);
    wm_buf_done(&body);
    wm_buf_done(&endpoint);
    return status == WM_OK ? rc : CMD_FAILED;
}

int cmd_status(int argc, char **argv)
{
    enum { OPT_ENDPOINT = 256, OPT_CREDENTIALS_FILE, OPT_DATA_DIR, OPT_JSON };
    static const struct option options[] = {
        {"endpoint", required_argument, NULL, OPT_ENDPOINT},
        {"credentials-file", required_argument, NULL, OPT_CREDENTIALS_FILE},
        {"data-dir", required_argument, NULL, OPT_DATA_DIR},
        {"json", no_argument, NULL, OPT_JSON},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    struct status_arguments a = {0};
    for (int c; (c = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        switch (c) {
        case OPT_ENDPOINT:
            a.endpoint = optarg;
            break;
        case OPT_CREDENTIALS_FILE:
            a.credentials_file = optarg;
            break;
        case OPT_DATA_DIR:
            a.data_dir = optarg;
            break;
        case OPT_JSON:
            a.json = true;
            break;
        case 'h':
            (void)fputs(help, stdout);
            return CMD_OK;
        default: /* getopt has said what is wrong */
            (void)fputs("`waymark status --help` says what it takes\n", stderr);
            return CMD_FAILED;
        }
    }
    if (argc != optind) {
        (void)fprintf(stderr, "waymark status: unexpected \"%s\"; see `waymark status --help`\n", argv[optind]);
        return CMD_FAILED;
    }
    return status_run(&a);
}
