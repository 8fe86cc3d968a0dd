/**
 * IAM policies: read, checked and evaluated. Pure: what a condition may ask about is passed in.
 *
 * @thread any   @locks none
 */
#ifndef WAYMARK_POLICY_H
#define WAYMARK_POLICY_H

#include "waymark/buf.h"
#include "waymark/status.h"

/** A compiled policy: immutable, shared by threads. */
struct wm_policy;

enum wm_policy_kind {
    WM_POLICY_IDENTITY, /* Resource is required, Principal refused; also boundaries and session policies */
    WM_POLICY_TRUST,    /* Principal is required, Resource refused */
};

#endif
