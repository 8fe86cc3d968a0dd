/**
 * Calls that are compile errors here, because each has a bounded or thread-safe counterpart (git `banned.h`).
 * Included by every source file after the system's headers.
 */
#ifndef WAYMARK_BANNED_H
#define WAYMARK_BANNED_H

#define WM_BANNED(name, use) wm_banned_##name##_use_##use
#undef strcpy
#define strcpy(x, y) WM_BANNED(strcpy, wm_buf_add)
#undef strcat
#define strcat(x, y) WM_BANNED(strcat, wm_buf_add)
#undef strncpy
#define strncpy(x, y, n) WM_BANNED(strncpy, wm_buf_add)
#undef strncat
#define strncat(x, y, n) WM_BANNED(strncat, wm_buf_add)
#undef sprintf
#define sprintf(...) WM_BANNED(sprintf, snprintf)
#undef vsprintf
#define vsprintf(...) WM_BANNED(vsprintf, vsnprintf)
#undef strtok
#define strtok(x, y) WM_BANNED(strtok, wm_view_split)
#undef atoi
#define atoi(x) WM_BANNED(atoi, wm_view_to_u64)
#undef atol
#define atol(x) WM_BANNED(atol, wm_view_to_u64)
#undef gmtime
#define gmtime(x) WM_BANNED(gmtime, gmtime_r)
#undef localtime
#define localtime(x) WM_BANNED(localtime, wm_time_format)
#undef ctime
#define ctime(x) WM_BANNED(ctime, wm_time_format)
#undef rand
#define rand() WM_BANNED(rand, wm_random)

#endif
