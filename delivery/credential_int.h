/* Inside of credential_source.h: credential_source.c keeps and renews, credential_fetch.c gets. */
#ifndef WAYMARK_DELIVERY_CREDENTIAL_INT_H
#define WAYMARK_DELIVERY_CREDENTIAL_INT_H

#include <sys/stat.h>

#include "credential_source.h"
#include "waymark/arena.h"
#include "waymark/sync.h"

struct wm_credential_source {
    /* constant after start */
    struct wm_arena memory;
    struct wm_store_credentials o; /* texts end with a NUL */
    const char *region;
    const char *sts_scheme, *sts_host;
    const struct wm_http_settings *http;
    struct wm_http_settings endpoints; /* of container and instance: no proxy */
    const struct wm_clock *clock;

    struct {
        struct wm_mutex mu;
        struct wm_cond cond;
        bool busy; /* a thread is getting new ones */
        bool have, from_file;
        struct wm_credentials now;
        uint64_t generation;
        int64_t expires_s, renew_at_s; /* 0: never */
        struct wm_mono_ns not_before;
        struct stat file;
    } locked;
};

struct wm_fetched {
    struct wm_credentials c;
    int64_t expires_s;
    bool from_file;
    struct stat file;
};

/** The state of the credentials file. @return < 0: it cannot be looked at */
int wm_credential_stat(const struct wm_credential_source *s, struct stat *out);

/** Get credentials from where the source's options say. @param out  wiped by the caller, also on failure */
enum wm_status wm_credential_fetch(const struct wm_credential_source *s, const atomic_bool *cancelled,
                                   struct wm_fetched *out, struct wm_err *err) WM_MUST_CHECK;

/** Overwrite a text of ours: secrets are not to stay in memory that is given back. */
void wm_credential_wipe_text(struct wm_view v);

#endif
