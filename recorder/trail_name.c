#include "waymark/trail_name.h"

#include "waymark/banned.h"

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool is_mark(char c)
{
    return c == '.' || c == '_' || c == '-';
}

/* Four numbers up to 255 between dots, such as 192.168.5.4. */
static bool is_ipv4(struct wm_view name)
{
    size_t parts = 0;
    while (name.ptr) {
        uint64_t n;
        if (wm_view_to_u64(wm_view_split(&name, '.'), 255, &n) != WM_OK)
            return false;
        parts++;
    }
    return parts == 4;
}

enum wm_status wm_trail_name_valid(struct wm_view name, struct wm_err *err)
{
    for (size_t i = 0; i < name.len; i++)
        if (!is_alnum(name.ptr[i]) && !is_mark(name.ptr[i]))
            return wm_fail(err, WM_E_INVALID,
                           "Trail name or ARN can only contain uppercase letters, lowercase letters, numbers, periods "
                           "(.), hyphens (-), and underscores (_).");
    if (name.len < 3 || name.len > 128) {
        bool is_short = name.len < 3;
        return wm_fail(err, WM_E_INVALID,
                       "Trail name too %s. %s allowed length: %d characters. Specified name length: %zu characters.",
                       is_short ? "short" : "long", is_short ? "Minimum" : "Maximum", is_short ? 3 : 128, name.len);
    }
    if (!is_alnum(name.ptr[0]))
        return wm_fail(err, WM_E_INVALID, "Trail name must starts with a letter or number.");
    if (!is_alnum(name.ptr[name.len - 1]))
        return wm_fail(err, WM_E_INVALID, "Trail name must ends with a letter or number.");
    for (size_t i = 1; i < name.len; i++)
        if (is_mark(name.ptr[i]) && is_mark(name.ptr[i - 1]))
            return wm_fail(err, WM_E_INVALID,
                           "Trail name must not have two periods, hyphens or underscores next to each other.");
    if (is_ipv4(name))
        return wm_fail(err, WM_E_INVALID, "Trail name must not be an IP address.");
    return WM_OK;
}

const char *wm_arn_partition(struct wm_view region)
{
    if (wm_view_starts(region, "cn-"))
        return "aws-cn";
    return wm_view_starts(region, "us-gov-") ? "aws-us-gov" : "aws";
}

void wm_trail_arn(struct wm_view region, struct wm_view account_id, struct wm_view name, struct wm_buf *out)
{
    wm_buf_addf(out, "arn:%s:cloudtrail:%.*s:%.*s:trail/%.*s", wm_arn_partition(region), WM_ARG(region),
                WM_ARG(account_id), WM_ARG(name));
}

bool wm_trail_arn_valid(struct wm_view arn)
{
    struct wm_view rest = arn;
    struct wm_view scheme = wm_view_split(&rest, ':'), partition = wm_view_split(&rest, ':');
    struct wm_view service = wm_view_split(&rest, ':'), region = wm_view_split(&rest, ':');
    struct wm_view account = wm_view_split(&rest, ':');
    uint64_t number;
    return wm_view_eq_str(scheme, "arn") && wm_view_starts(partition, "aws") && wm_view_eq_str(service, "cloudtrail") &&
           region.len > 0 && account.len == 12 && wm_view_to_u64(account, 999999999999, &number) == WM_OK &&
           wm_view_starts(rest, "trail/") &&
           wm_trail_name_valid(wm_view_sub(rest, strlen("trail/"), rest.len), NULL) == WM_OK;
}
