/**
 * Tags of objects as one text, "team=audit,kept=7 years": KEY=VALUE with commas between, blanks around them dropped.
 *
 * Source: Amazon S3 User Guide, "Categorizing your objects using tags": at most 10, keys of 1 to 128 and values of at
 * most 256 characters (here bytes), of letters, digits, blanks and + - = . _ : / @, no key twice. A value has no comma.
 *
 * @thread any   @locks none
 */
#ifndef WAYMARK_TAGS_H
#define WAYMARK_TAGS_H

#include "waymark/buf.h"

#define WM_MAX_TAGS 10
#define WM_MAX_TAG_KEY_BYTES 128
#define WM_MAX_TAG_VALUE_BYTES 256
#define WM_MAX_TAGS_ENCODED_BYTES (WM_MAX_TAGS * (3 * (WM_MAX_TAG_KEY_BYTES + WM_MAX_TAG_VALUE_BYTES) + 2))

/** Do the tags keep to these rules? No tags at all do. */
bool wm_tags_valid(struct wm_view tags);
/** Append valid tags as x-amz-tagging has them: "team=audit&kept=7%20years". */
void wm_tags_encode(struct wm_view tags, struct wm_buf *out);

#endif
