#include "waymark/clock.h"

#include <stdio.h>
#include <time.h>

#include "waymark/banned.h"

static int64_t clock_read(clockid_t id)
{
    struct timespec ts;
    int rc = clock_gettime(id, &ts);
    WM_ASSERT(rc == 0); /* both clocks exist on every Linux */
    return (int64_t)ts.tv_sec * WM_NS_PER_S + ts.tv_nsec;
}

static struct wm_wall_ns system_wall(void *ctx)
{
    (void)ctx;
    return (struct wm_wall_ns){clock_read(CLOCK_REALTIME)};
}

static struct wm_mono_ns system_mono(void *ctx)
{
    (void)ctx;
    return (struct wm_mono_ns){clock_read(CLOCK_MONOTONIC)};
}

const struct wm_clock wm_clock_system = {system_wall, system_mono, NULL};

/* Days since 1970-01-01 to a date and back, in the proleptic Gregorian calendar. Our own, because gmtime_r takes the
 * time zone lock and a record is built for every call: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms",
 * days_from_civil and civil_from_days. */
static void civil_from_days(int64_t days, int *year, int *month, int *day)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t doe = days - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    *day = (int)(doy - (153 * mp + 2) / 5 + 1);
    *month = (int)(mp < 10 ? mp + 3 : mp - 9);
    *year = (int)(yoe + era * 400 + (*month <= 2));
}

int64_t wm_days_from_civil(int64_t year, int64_t month, int64_t day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t yoe = year - era * 400;
    int64_t doy = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + doe - 719468;
}

static void put_digits(char *at, int digits, int n)
{
    for (int i = digits - 1; i >= 0; i--) {
        at[i] = (char)('0' + n % 10);
        n /= 10;
    }
}

struct parts {
    int year, month, day, hour, minute, second;
};

static struct parts time_split(struct wm_wall_ns t)
{
    int64_t s = wm_wall_seconds(t);
    int64_t days = s >= 0 ? s / 86400 : (s - 86399) / 86400;
    int rest = (int)(s - days * 86400);
    struct parts p;
    civil_from_days(days, &p.year, &p.month, &p.day);
    p.hour = rest / 3600;
    p.minute = rest / 60 % 60;
    p.second = rest % 60;
    return p;
}

void wm_time_iso(struct wm_wall_ns t, char out[WM_TIME_ISO_BYTES])
{
    struct parts p = time_split(t);
    memcpy(out, "0000-00-00T00:00:00Z", WM_TIME_ISO_BYTES);
    put_digits(out, 4, p.year);
    put_digits(out + 5, 2, p.month);
    put_digits(out + 8, 2, p.day);
    put_digits(out + 11, 2, p.hour);
    put_digits(out + 14, 2, p.minute);
    put_digits(out + 17, 2, p.second);
}

void wm_time_basic(struct wm_wall_ns t, char out[WM_TIME_BASIC_BYTES])
{
    struct parts p = time_split(t);
    memcpy(out, "00000000T000000Z", WM_TIME_BASIC_BYTES);
    put_digits(out, 4, p.year);
    put_digits(out + 4, 2, p.month);
    put_digits(out + 6, 2, p.day);
    put_digits(out + 9, 2, p.hour);
    put_digits(out + 11, 2, p.minute);
    put_digits(out + 13, 2, p.second);
}

static bool take_digits(const char *at, int digits, int min, int max, int *out)
{
    int n = 0;
    for (int i = 0; i < digits; i++) {
        if (at[i] < '0' || at[i] > '9')
            return false;
        n = n * 10 + (at[i] - '0');
    }
    *out = n;
    return n >= min && n <= max;
}

enum wm_status wm_time_parse(struct wm_view text, struct wm_wall_ns *out)
{
    static const char iso[] = "....-..-..T..:..:..Z", basic[] = "........T......Z";
    const char *form = text.len == sizeof iso - 1 ? iso : text.len == sizeof basic - 1 ? basic : NULL;
    if (!form)
        return WM_E_INVALID;
    char digits[14];
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (form[i] == '.')
            digits[n++] = text.ptr[i];
        else if (text.ptr[i] != form[i])
            return WM_E_INVALID;
    }
    struct parts p;
    if (!take_digits(digits, 4, 1970, 9999, &p.year) || !take_digits(digits + 4, 2, 1, 12, &p.month) ||
        !take_digits(digits + 6, 2, 1, 31, &p.day) || !take_digits(digits + 8, 2, 0, 23, &p.hour) ||
        !take_digits(digits + 10, 2, 0, 59, &p.minute) || !take_digits(digits + 12, 2, 0, 59, &p.second))
        return WM_E_INVALID;
    int64_t days = wm_days_from_civil(p.year, p.month, p.day);
    int year, month, day;
    civil_from_days(days, &year, &month, &day);
    if (month != p.month || day != p.day) /* 30 February */
        return WM_E_INVALID;
    int64_t s = days * 86400 + p.hour * 3600 + p.minute * 60 + p.second;
    if (s > INT64_MAX / WM_NS_PER_S) /* nanoseconds end in 2262 */
        return WM_E_INVALID;
    *out = wm_wall_from_seconds(s);
    return WM_OK;
}
