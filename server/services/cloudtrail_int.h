/** Inside of the CloudTrail API. For cloudtrail*.c only. */
#ifndef WAYMARK_SERVICES_CLOUDTRAIL_INT_H
#define WAYMARK_SERVICES_CLOUDTRAIL_INT_H

#include "waymark/service.h"

/** True when it can name a trail; otherwise the reply is the refusal. */
bool cloudtrail_check_name(struct wm_call *c, struct wm_reply *r, struct wm_view name);
/** True when there is the trail that this member of the input names; otherwise the reply is the refusal. */
bool cloudtrail_find(struct wm_call *c, struct wm_reply *r, const char *member, struct wm_board_trail *out);

/* ---- cloudtrail_control.c ---- */

extern const struct wm_member cloudtrail_create_trail_input[], cloudtrail_update_trail_input[],
    cloudtrail_get_event_selectors_input[], cloudtrail_put_event_selectors_input[];

enum wm_status cloudtrail_start_logging(struct wm_call *c, struct wm_reply *r) WM_MUST_CHECK;
enum wm_status cloudtrail_stop_logging(struct wm_call *c, struct wm_reply *r) WM_MUST_CHECK;
enum wm_status cloudtrail_create_trail(struct wm_call *c, struct wm_reply *r) WM_MUST_CHECK;
/** UpdateTrail and DeleteTrail: not by a call. */
enum wm_status cloudtrail_change_trail(struct wm_call *c, struct wm_reply *r) WM_MUST_CHECK;
enum wm_status cloudtrail_get_event_selectors(struct wm_call *c, struct wm_reply *r) WM_MUST_CHECK;
enum wm_status cloudtrail_put_event_selectors(struct wm_call *c, struct wm_reply *r) WM_MUST_CHECK;

#endif
