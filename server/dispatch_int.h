/**
 * What the files of the dispatcher share: one call, while it is worked off.
 *
 *     dispatch.c         the path itself: decode, permit, run under the state's lock, finish
 *     dispatch_caller.c  who calls: throttle, signature, and that he is still who he was
 *     dispatch_record.c  what the journal gets of the call
 *     dispatch_fold.c    which calls are only counted
 *
 * @thread http
 */
#ifndef WAYMARK_SERVER_DISPATCH_INT_H
#define WAYMARK_SERVER_DISPATCH_INT_H

#include "server/dispatch.h"

/* What one call needs while it is worked off. */
struct dispatch {
    const struct wm_dispatcher *d;
    struct wm_request *r;
    struct wm_sigv4_claim claim;
    struct wm_protocol_request request;
    struct wm_call call;
    struct wm_request_context context;
    struct wm_reply reply;
    bool ran;               /* its handler has been called */
    bool by_tags;           /* whether it may run was decided by the tags of a resource */
    bool locked;            /* the state is, and stays so until the entry is appended */
    bool overtaken;         /* not appended: the caller is not who he was when his permissions were looked at */
    struct wm_err why;      /* why it could not be recorded */
};

/** Refuse by the name that the caller's protocol has for it. Whatever the call would have changed is dropped. */
void dispatch_refuse(struct dispatch *p, enum wm_refusal why, struct wm_view message);

/* ---- who calls ---- */

/** Read the claim and the route off the request; then prove the claim, within the limits of calls. True: the call may go on. */
bool dispatch_authenticate(struct dispatch *p, struct wm_sigv4_cache *cache);
/**
 * Is who has proven to be calling still who he was, now that the call has its place among all others? Else p names who he
 * is now, and the call is refused when he is nobody. True: he is somebody.
 * @locks state held
 */
bool dispatch_confirm(struct dispatch *p);
/**
 * Add the change that notes the use of the caller's key. It goes with the call's own entry, whatever became of the call;
 * unless what it did was to delete that key, or role, and what is known of it.
 * @locks state held
 */
void dispatch_note_use(struct dispatch *p);
/** Who calls what, as record and log name it: for as long as the request lives, which is longer than p and the headers. */
void dispatch_name(struct dispatch *p);

/* ---- the record ---- */

/**
 * Build the record and append the entry.
 * @param a       memory for it
 * @param params  requestParameters; NULL: none
 * @return as wm_recorder_submit(), p->why has the reason. WM_E_NOMEM also when the record found no memory; anything else
 *         than WM_OK when p->overtaken
 * @locks state held where there are changes: p->locked
 */
enum wm_status dispatch_record(struct dispatch *p, struct wm_arena *a, const struct wm_json *params) WM_MUST_CHECK;

/* ---- folding ---- */

/** Is it one of a flood that is only counted? Then it leaves no entry, and the request says so. Not when something is to be
 *  noted with its entry. */
bool dispatch_fold(struct dispatch *p);
/** It was recorded: what repeats it may be folded. */
void dispatch_fold_begin(const struct dispatch *p);

#endif
