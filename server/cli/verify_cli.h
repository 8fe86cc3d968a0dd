/* The parts of `waymark verify`: where the objects and keys are (verify_target.c), and how it tells (verify_report.c). */
#ifndef WAYMARK_CLI_VERIFY_CLI_H
#define WAYMARK_CLI_VERIFY_CLI_H

#include "waymark/signer.h"
#include "waymark/store.h"
#include "waymark/verify.h"

struct verify_arguments {
    const char *target;
    const char *endpoint_url;
    const char *region;
    const char *public_keys;
    const char *data_dir;
    const char *trail;
    const char *checkpoint;
    const char *resume;
    struct wm_wall_ns from, until;
    bool has_from, has_until;
    bool json, no_progress;
    unsigned jobs; /* 0: as the machine and the target suggest */
};

/* ---- where ---- */

struct verify_target {
    struct wm_store *stores[WM_VERIFY_MAX_JOBS];
    unsigned n_stores;
    struct wm_view prefix; /* of the target's text */
    struct wm_keyring *keys;
};

enum wm_status verify_target_open(const struct verify_arguments *a, struct verify_target *out, struct wm_err *err) WM_MUST_CHECK;
void verify_target_close(struct verify_target *t);

/* ---- how it tells ---- */

struct verify_report {
    const struct verify_arguments *a;
    bool terminal;          /* stderr is one: the progress is one line that is written over */
    bool shown;             /* such a line stands there */
    struct wm_mono_ns began, told;
};

void verify_report_init(struct verify_report *r, const struct verify_arguments *a);
void verify_report_line(void *report, const struct wm_verify_line *line);
void verify_report_progress(void *report, const struct wm_verify_progress *p);
/* @param err  why not everything could be checked; NULL when it could */
void verify_report_end(struct verify_report *r, const struct wm_verify_result *result, const struct wm_err *err);
/* How often verify_report_progress() wants to be called. */
#define VERIFY_REPORT_PROGRESS_MS 250

#endif
