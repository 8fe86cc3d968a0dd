/**
 * Names and ARNs of trails, and what ARNs have in common: the rules that settings, API and delivery share.
 *
 * Source: AWS CloudTrail API Reference, CreateTrail, Name; the texts are AWS's where they are known (cloudtrail.md 5.5).
 *
 * @thread any   @locks none
 */
#ifndef WAYMARK_TRAIL_NAME_H
#define WAYMARK_TRAIL_NAME_H

#include "waymark/buf.h"
#include "waymark/status.h"

/**
 * 3 to 128 of A-Z a-z 0-9 . _ -, the first and last a letter or digit, no two marks side by side, no IPv4 address.
 * @return WM_E_INVALID: *err has the rule that is broken, in AWS's words
 */
enum wm_status wm_trail_name_valid(struct wm_view name, struct wm_err *err) WM_MUST_CHECK;

/** "aws", "aws-cn" or "aws-us-gov": the partition that ARNs of a region name (IAM User Guide, "Identify AWS resources with ARNs"). */
const char *wm_arn_partition(struct wm_view region);

/** arn:PARTITION:cloudtrail:REGION:ACCOUNT:trail/NAME */
void wm_trail_arn(struct wm_view region, struct wm_view account_id, struct wm_view name, struct wm_buf *out);
/** Has this the form of a trail's ARN, of any partition, region and account? */
bool wm_trail_arn_valid(struct wm_view arn);

#endif
