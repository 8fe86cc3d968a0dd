/* How `waymark verify` tells: lines or JSON on the standard output, the progress on the other. */
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "server/cli/text.h"
#include "server/cli/verify_cli.h"
#include "waymark/buf.h"
#include "waymark/json.h"

#include "waymark/banned.h"

/* Without a terminal a line each so often says that it is alive. */
#define REPORT_LINE_MS 10000
#define REPORT_BAR 24
/* A finding's text has at most 8 KB, its key 1 KB; escaped, up to six times that. */
#define REPORT_MAX_LINE_BYTES ((size_t)128 * 1024)

void verify_report_init(struct verify_report *r, const struct verify_arguments *a)
{
    *r = (struct verify_report){.a = a, .terminal = isatty(STDERR_FILENO) == 1};
    r->began = r->told = wm_clock_mono(&wm_clock_system);
}

/* ---- lines ---- */

static void report_json(struct wm_buf *line)
{
    if (wm_buf_status(line) == WM_OK)
        (void)printf("%.*s\n", WM_ARG(wm_buf_view(line)));
    else
        (void)fputs("{\"type\":\"finding\",\"kind\":\"no-memory\",\"key\":\"\",\"text\":\"no memory for this line\"}\n", stdout);
    wm_buf_done(line);
}

static void report_member(struct wm_buf *b, const char *name, struct wm_view text)
{
    wm_buf_addf(b, "%s\"%s\":", b->len > 1 ? "," : "", name);
    wm_json_write_string(b, text);
}

static void report_number(struct wm_buf *b, const char *name, uint64_t n)
{
    wm_buf_addf(b, ",\"%s\":%" PRIu64, name, n);
}

/* The bar is taken away before anything else is written. */
static void report_wipe(struct verify_report *r)
{
    if (r->shown)
        (void)fputs("\r\033[K", stderr);
    r->shown = false;
}

void verify_report_line(void *report, const struct wm_verify_line *line)
{
    struct verify_report *r = report;
    report_wipe(r);
    if (r->a->json) {
        struct wm_buf b;
        wm_buf_init(&b, REPORT_MAX_LINE_BYTES);
        wm_buf_add_char(&b, '{');
        report_member(&b, "type", line->note ? WM_LIT("note") : WM_LIT("finding"));
        report_member(&b, "kind", wm_view_of(line->kind));
        report_member(&b, "key", line->key);
        report_member(&b, "text", wm_view_of(line->text));
        wm_buf_add_char(&b, '}');
        report_json(&b);
        return;
    }
    if (line->note)
        (void)fputs("note: ", stdout);
    cli_print_text(line->key); /* keys come from whoever wrote the bucket */
    (void)fputs(": ", stdout);
    cli_print_text(wm_view_of(line->text));
    (void)putchar('\n');
}

/* ---- progress ---- */

static void report_eta(char *out, size_t n, double left_s)
{
    unsigned s = left_s > 359999 ? 359999 : (unsigned)left_s;
    if (s >= 3600)
        (void)snprintf(out, n, "%u:%02u:%02u", s / 3600, s / 60 % 60, s % 60);
    else
        (void)snprintf(out, n, "%u:%02u", s / 60, s % 60);
}

void verify_report_progress(void *report, const struct wm_verify_progress *p)
{
    struct verify_report *r = report;
    char eta[32] = "-", bar[REPORT_BAR + 1];
    struct wm_mono_ns now = wm_clock_mono(&wm_clock_system);
    double seconds = (double)(now.ns - r->began.ns) / WM_NS_PER_S;
    double part = p->bytes ? (double)p->bytes_done / (double)p->bytes : 0;
    if (!r->terminal && now.ns - r->told.ns < REPORT_LINE_MS * WM_NS_PER_MS)
        return;
    r->told = now;
    if (part > 1)
        part = 1;
    if (part > 0)
        report_eta(eta, sizeof eta, seconds / part * (1 - part));
    for (int i = 0; i < REPORT_BAR; i++)
        bar[i] = i < (int)(part * REPORT_BAR) ? '#' : '.';
    bar[REPORT_BAR] = '\0';
    if (r->terminal)
        (void)fprintf(stderr, "\r\033[K[%s] ", bar);
    else
        (void)fputs("waymark verify: ", stderr);
    (void)fprintf(stderr, "%3.0f %%, %" PRIu64 " of %" PRIu64 " objects, %.0f MB/s of records, ETA %s%s", part * 100,
                  p->objects_done, p->objects, (double)p->content_bytes / 1e6 / (seconds > 0 ? seconds : 1), eta,
                  r->terminal ? "" : "\n");
    (void)fflush(stderr); /* only told */
    r->shown = r->terminal;
}

/* ---- the end ---- */

static void report_summary_json(struct verify_report *r, const struct wm_verify_result *v, const struct wm_err *err)
{
    struct wm_buf b;
    wm_buf_init(&b, REPORT_MAX_LINE_BYTES);
    wm_buf_add_char(&b, '{');
    report_member(&b, "type", WM_LIT("summary"));
    report_member(&b, "target", wm_view_of(r->a->target));
    report_member(&b, "result", err ? WM_LIT("incomplete") : v->findings ? WM_LIT("not good") : WM_LIT("good"));
    report_number(&b, "chains", v->chains);
    report_number(&b, "digests", v->digests);
    report_number(&b, "digestsValid", v->digests_valid);
    report_number(&b, "files", v->files);
    report_number(&b, "filesValid", v->files_valid);
    report_number(&b, "filesPending", v->files_pending);
    report_number(&b, "records", v->records);
    report_number(&b, "findings", v->findings);
    if (r->a->resume)
        report_number(&b, "filesResumed", v->files_resumed);
    if (err)
        report_member(&b, "error", wm_view_of(err->message));
    wm_buf_add_char(&b, '}');
    report_json(&b);
}

static void report_summary(struct verify_report *r, const struct wm_verify_result *v)
{
    (void)fputs("checked ", stdout);
    cli_print_text(wm_view_of(r->a->target));
    (void)printf(": chains %" PRIu64 "; digests %" PRIu64 ", valid %" PRIu64 "; files %" PRIu64 ", valid %" PRIu64
                  "; files not yet in a digest %" PRIu64 "\n",
                  v->chains, v->digests, v->digests_valid, v->files, v->files_valid, v->files_pending);
    (void)printf("records in valid files: %" PRIu64 "\n", v->records);
    if (v->files_resumed)
        (void)printf("files verified earlier: %" PRIu64 "\n", v->files_resumed);
    if (v->findings)
        (void)printf("result: NOT GOOD, findings %" PRIu64 "\n", v->findings);
    else
        (void)fputs("result: good\n", stdout);
}

void verify_report_end(struct verify_report *r, const struct wm_verify_result *result, const struct wm_err *err)
{
    report_wipe(r);
    if (r->a->json)
        report_summary_json(r, result, err);
    else if (!err)
        report_summary(r, result);
    if (err)
        (void)fprintf(stderr, "waymark verify: could not check %s: %s\n", r->a->target, err->message);
}
