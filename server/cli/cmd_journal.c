/* waymark journal: a journal's segments, entries and damage, onto stdout. Reads only. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "server/cli/cmd.h"
#include "waymark/arena.h"
#include "waymark/bounds.h"
#include "waymark/buf.h"
#include "waymark/io.h"
#include "waymark/journal_inspect.h"
#include "waymark/json.h"

#include "waymark/banned.h"

static const char help[] =
    "usage: waymark journal info DIR\n"
    "       waymark journal dump [--from SEQ] [--to SEQ] [--changes] DIR\n"
    "       waymark journal check DIR\n"
    "\n"
    "Looks at a journal without changing it: no lock is taken, nothing is mended. DIR is the journal's folder or the data\n"
    "folder around it. A journal in use can be looked at; what is seen ends where it ended at that moment.\n"
    "\n"
    "  info    the segments, what each holds, and what is wrong\n"
    "  dump    the entries as JSON, one a line; what is wrong goes to stderr. The record is given as it was written\n"
    "  check   read everything; one line for each thing that is wrong: segment, offset, sequence number\n"
    "\n"
    "options of dump:\n"
    "  --from SEQ   begin with this entry\n"
    "  --to SEQ     end with this one\n"
    "  --changes    with the documents of the state that the entry wrote or removed\n"
    "\n"
    "exit code: 0 the journal is good; 1 it is damaged; 2 it could not be read\n"
    "\n"
    "A torn tail is what a crash leaves: no entry in it was acknowledged, and opening the journal cuts it. It is noted, and\n"
    "is no damage. That the oldest segments are missing, or the newest all together, cannot be seen here: entries that all\n"
    "have read are retired. waymarkd compares the journal with its state when it starts.\n";

enum view {
    VIEW_INFO,
    VIEW_DUMP,
    VIEW_CHECK,
};

struct journal_arguments {
    enum view view;
    uint64_t from;
    uint64_t to;
    bool changes;
    const char *dir;
};

struct output {
    const struct journal_arguments *a;
    bool table_begun;
    struct wm_buf findings; /* of info, which prints them behind the table */
    struct wm_buf line;
    struct wm_arena arena;
    enum wm_status status;
};

/* ---- findings ---- */

static void add_finding(struct wm_buf *out, const struct wm_journal_finding *f)
{
    wm_buf_addf(out, "%s%s: offset %" PRIu64, f->damage ? "" : "note: ", f->name, f->offset);
    if (f->seq)
        wm_buf_addf(out, ": entry %" PRIu64, f->seq);
    wm_buf_addf(out, ": %s\n", f->what);
}

static void on_finding(void *arg, const struct wm_journal_finding *f)
{
    struct output *out = arg;
    if (out->a->view == VIEW_INFO) {
        add_finding(&out->findings, f);
        return;
    }
    wm_buf_clear(&out->line);
    add_finding(&out->line, f);
    (void)fputs(wm_buf_cstr(&out->line), out->a->view == VIEW_DUMP ? stderr : stdout); /* checked at the end */
}

/* ---- info ---- */

static void print_id(const uint8_t id[WM_JOURNAL_ID_BYTES])
{
    for (size_t i = 0; i < WM_JOURNAL_ID_BYTES; i++)
        (void)printf("%02x", id[i]);
}

static void on_segment(void *arg, const struct wm_journal_segment *s)
{
    struct output *out = arg;
    char made[WM_TIME_ISO_BYTES];
    if (!out->table_begun)
        (void)puts("SEGMENT             BYTES      USED      ENTRIES  FIRST-LAST               MADE                  SALT      "
                   "FLAGS");
    out->table_begun = true;
    if (!s->readable) {
        (void)printf("%s  %9" PRIu64 "  not readable\n", s->name, s->file_bytes);
        return;
    }
    char range[48] = "-";
    if (s->entries)
        (void)snprintf(range, sizeof range, "%" PRIu64 "-%" PRIu64, s->first_seq, s->last_seq);
    wm_time_iso(s->created, made);
    (void)printf("%s  %9" PRIu64 "  %8" PRIu64 "  %7" PRIu64 "  %-23s  %s  %08" PRIx32 "  ", s->name, s->file_bytes,
                 s->used_bytes, s->entries, range, made, s->salt);
    if (s->incompat_flags || s->compat_flags)
        (void)printf("incompatible %" PRIx32 " compatible %" PRIx32 "\n", s->incompat_flags, s->compat_flags);
    else
        (void)puts("-");
}

static void print_info(struct output *out, const char *dir, const struct wm_journal_summary *s)
{
    (void)printf("\njournal:   %s\nid:        ", dir);
    print_id(s->id);
    (void)printf("\nsegments:  %" PRIu64 ", %" PRIu64 " bytes%s%s\n", s->segments, s->bytes,
                 s->spare ? ", and a spare one" : "", s->unfinished ? ", and an unfinished one" : "");
    if (s->entries)
        (void)printf("entries:   %" PRIu64 ", from %" PRIu64 " to %" PRIu64 "\n", s->entries, s->first_seq, s->last_seq);
    else
        (void)puts("entries:   none");
    if (out->findings.len)
        (void)fputs(wm_buf_cstr(&out->findings), stdout);
}

/* ---- dump ---- */

/* JSON as it stands where it is JSON in one line; else the same bytes as a string under another name. */
static void add_json(struct output *out, const char *name, struct wm_view text)
{
    struct wm_json *tree;
    wm_arena_clear(&out->arena);
    if (wm_view_find(text, '\n') == text.len && wm_json_parse(&out->arena, text, &tree, NULL) == WM_OK) {
        wm_buf_addf(&out->line, ",\"%s\":", name);
        wm_buf_add_view(&out->line, text);
    } else {
        wm_buf_addf(&out->line, ",\"%sText\":", name);
        wm_json_write_string(&out->line, text);
    }
}

static void add_string(struct wm_buf *b, const char *name, struct wm_view text)
{
    wm_buf_addf(b, ",\"%s\":", name);
    wm_json_write_string(b, text);
}

static void add_flags(struct wm_buf *b, unsigned flags)
{
    static const char *const names[] = {"readOnly", "refused", "service"};
    const char *comma = "";
    wm_buf_add_str(b, ",\"flags\":[");
    for (unsigned i = 0; i < 16; i++) {
        if (!(flags & 1u << i))
            continue;
        if (i < sizeof names / sizeof *names)
            wm_buf_addf(b, "%s\"%s\"", comma, names[i]);
        else
            wm_buf_addf(b, "%s\"bit%u\"", comma, i);
        comma = ",";
    }
    wm_buf_add_str(b, "]");
}

static bool on_entry(void *arg, const struct wm_entry *e)
{
    struct output *out = arg;
    struct wm_buf *b = &out->line;
    char when[WM_TIME_ISO_BYTES];
    if (e->seq > out->a->to)
        return false;
    if (e->seq < out->a->from)
        return true;
    wm_time_iso(e->time, when);
    int64_t ns = e->time.ns - wm_wall_seconds(e->time) * WM_NS_PER_S;
    wm_buf_clear(b);
    wm_buf_addf(b, "{\"seq\":%" PRIu64 ",\"time\":\"%.19s.%09" PRId64 "Z\"", e->seq, when, ns);
    add_flags(b, e->flags);
    add_string(b, "eventSource", e->event_source);
    add_string(b, "eventName", e->event_name);
    add_string(b, "principal", e->principal);
    add_json(out, "record", e->record);
    if (out->a->changes) {
        wm_buf_add_str(b, ",\"changes\":[");
        for (size_t i = 0; i < e->n_changes; i++) {
            const struct wm_change *c = &e->changes[i];
            wm_buf_add_str(b, i ? ",{\"kind\":" : "{\"kind\":");
            wm_json_write_string(b, c->kind);
            add_string(b, "id", c->id);
            if (c->document.len)
                add_json(out, "document", c->document);
            else
                wm_buf_add_str(b, ",\"document\":null");
            wm_buf_add_str(b, "}");
        }
        wm_buf_add_str(b, "]");
    }
    wm_buf_add_str(b, "}\n");
    out->status = wm_buf_status(b);
    if (out->status == WM_OK && fwrite(b->data, 1, b->len, stdout) != b->len)
        out->status = WM_E_IO;
    return out->status == WM_OK;
}

/* ---- the command ---- */

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* A data folder holds the journal in "journal". */
static enum wm_status find_journal(const char *given, struct wm_buf *dir, struct wm_err *err)
{
    wm_buf_addf(dir, "%s/journal", given);
    if (wm_buf_status(dir) == WM_OK && !is_folder(wm_buf_cstr(dir))) {
        wm_buf_clear(dir);
        wm_buf_add_str(dir, given);
    }
    enum wm_status status = wm_buf_status(dir);
    return status == WM_OK ? WM_OK : wm_fail(err, status, "the path is too long");
}

static int journal_run(const struct journal_arguments *a)
{
    struct wm_err err = {0};
    struct wm_journal_summary sum;
    struct output out = {.a = a};
    struct wm_buf dir;
    wm_buf_init(&dir, WM_MAX_PATH_BYTES);
    wm_buf_init(&out.findings, 64u * 1024u * 1024u);
    wm_buf_init(&out.line, 8u * WM_MAX_ENTRY_BYTES); /* each byte escaped as \u00XX, and some */
    wm_arena_init(&out.arena, 64u * WM_MAX_ENTRY_BYTES);

    enum wm_status status = find_journal(a->dir, &dir, &err);
    if (status == WM_OK) {
        const struct wm_journal_inspection o = {
            .dir = wm_buf_cstr(&dir),
            .io = &wm_io_posix,
            .arg = &out,
            .segment = a->view == VIEW_INFO ? on_segment : NULL,
            .entry = a->view == VIEW_DUMP ? on_entry : NULL,
            .finding = on_finding,
        };
        status = wm_journal_inspect(&o, &sum, &err);
    }
    if (status == WM_OK && a->view == VIEW_INFO)
        print_info(&out, wm_buf_cstr(&dir), &sum);
    if (status == WM_OK && a->view == VIEW_CHECK) {
        (void)printf("checked %s: segments %" PRIu64 ", entries %" PRIu64, wm_buf_cstr(&dir), sum.segments, sum.entries);
        if (sum.entries)
            (void)printf(" (%" PRIu64 " to %" PRIu64 ")", sum.first_seq, sum.last_seq);
        (void)printf("\nresult: %s", sum.damages ? "DAMAGED" : "good");
        if (sum.damages)
            (void)printf(", findings %" PRIu64, sum.damages);
        (void)putchar('\n');
    }
    if (status == WM_OK && out.status == WM_E_NOMEM)
        status = wm_fail(&err, out.status, "no memory for an entry");
    if ((fflush(stdout) != 0 || ferror(stdout) || out.status == WM_E_IO) && status == WM_OK)
        status = wm_fail(&err, WM_E_IO, "stdout cannot be written");
    if (status == WM_OK && wm_buf_status(&out.findings) != WM_OK)
        status = wm_fail(&err, wm_buf_status(&out.findings), "too many findings");
    wm_buf_done(&out.findings);
    wm_buf_done(&out.line);
    wm_arena_done(&out.arena);
    if (status != WM_OK)
        (void)fprintf(stderr, "waymark journal: could not read %s: %s\n", dir.len ? wm_buf_cstr(&dir) : a->dir, err.message);
    wm_buf_done(&dir);
    return status != WM_OK ? CMD_FAILED : sum.damages ? CMD_NOT_GOOD : CMD_OK;
}

static int usage_error(const char *what)
{
    (void)fprintf(stderr, "waymark journal: %s; see `waymark journal --help`\n", what);
    return CMD_FAILED;
}

int cmd_journal(int argc, char **argv)
{
    enum { OPT_FROM = 256, OPT_TO, OPT_CHANGES };
    static const struct option options[] = {
        {"from", required_argument, NULL, OPT_FROM},
        {"to", required_argument, NULL, OPT_TO},
        {"changes", no_argument, NULL, OPT_CHANGES},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    struct journal_arguments a = {.to = UINT64_MAX};
    bool dump_only = false;
    for (int c; (c = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        switch (c) {
        case OPT_FROM:
            if (wm_view_to_u64(wm_view_of(optarg), UINT64_MAX, &a.from) != WM_OK)
                return usage_error("--from takes a sequence number");
            dump_only = true;
            break;
        case OPT_TO:
            if (wm_view_to_u64(wm_view_of(optarg), UINT64_MAX, &a.to) != WM_OK)
                return usage_error("--to takes a sequence number");
            dump_only = true;
            break;
        case OPT_CHANGES:
            a.changes = dump_only = true;
            break;
        case 'h':
            (void)fputs(help, stdout);
            return CMD_OK;
        default: /* getopt has said what is wrong */
            (void)fputs("`waymark journal --help` says what it takes\n", stderr);
            return CMD_FAILED;
        }
    }
    if (argc - optind != 2 || !*argv[optind + 1])
        return usage_error("expected info, dump or check, and one DIR");
    struct wm_view name = wm_view_of(argv[optind]);
    if (wm_view_eq_str(name, "info"))
        a.view = VIEW_INFO;
    else if (wm_view_eq_str(name, "dump"))
        a.view = VIEW_DUMP;
    else if (wm_view_eq_str(name, "check"))
        a.view = VIEW_CHECK;
    else
        return usage_error("expected info, dump or check");
    if (dump_only && a.view != VIEW_DUMP)
        return usage_error("--from, --to and --changes belong to dump");
    a.dir = argv[optind + 1];
    return journal_run(&a);
}
