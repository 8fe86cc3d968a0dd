/* What others wrote, onto a terminal. */
#ifndef WAYMARK_CLI_TEXT_H
#define WAYMARK_CLI_TEXT_H

#include "waymark/buf.h"

/**
 * Print onto stdout with a ? for each control character: nothing in the text may look like a line of ours or move the
 * cursor. Terminals obey U+0080 to U+009F as well (ECMA-48 section 5.3), which are C2 80 to C2 9F in UTF-8.
 */
void cli_print_text(struct wm_view text);

#endif
