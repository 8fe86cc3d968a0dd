#include "server/cli/text.h"

#include <ctype.h>
#include <stdio.h>

#include "waymark/banned.h"

void cli_print_text(struct wm_view text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i], next = i + 1 < text.len ? (unsigned char)text.ptr[i + 1] : 0;
        bool wide = c == 0xc2 && next >= 0x80 && next <= 0x9f;
        (void)putchar(wide || iscntrl(c) ? '?' : c); /* stdout is checked at the end */
        i += wide;
    }
}
