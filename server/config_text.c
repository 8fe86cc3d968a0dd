/* Which texts a setting takes: one rule for each form, named in the rows of config_settings.c. */
#include <arpa/inet.h>
#include <string.h>

#include "server/config_int.h"
#include "waymark/tags.h"
#include "waymark/trail_name.h"

#include "waymark/banned.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_alnum(char c)
{
    return is_digit(c) || is_lower(c) || (c >= 'A' && c <= 'Z');
}

bool config_text_some(struct wm_view v)
{
    return v.len > 0;
}

static bool is_address(struct wm_view v, int family)
{
    char text[INET6_ADDRSTRLEN];
    unsigned char address[sizeof(struct in6_addr)];
    return wm_view_copy(v, text, sizeof text) && inet_pton(family, text, address) == 1;
}

bool config_text_listen(struct wm_view v)
{
    size_t colon = wm_view_rfind(v, ':');
    uint64_t port;
    if (colon == v.len || wm_view_to_u64(wm_view_sub(v, colon + 1, v.len), 65535, &port) != WM_OK)
        return false;
    struct wm_view host = wm_view_sub(v, 0, colon);
    if (wm_view_starts(host, "[") && wm_view_ends(host, "]"))
        return is_address(wm_view_sub(host, 1, host.len - 1), AF_INET6);
    return is_address(host, AF_INET);
}

bool config_text_account(struct wm_view v)
{
    for (size_t i = 0; i < v.len; i++)
        if (!is_digit(v.ptr[i]))
            return false;
    return v.len == 12;
}

/* The strictest of the expressions by which readers of trail files find the region in a key (Datadog's forwarder). */
bool config_text_region(struct wm_view v)
{
    struct wm_view rest = v;
    struct wm_view part = wm_view_split(&rest, '-');
    if (part.len != 2 || !is_lower(part.ptr[0]) || !is_lower(part.ptr[1]))
        return false;
    part = wm_view_split(&rest, '-');
    if (wm_view_eq_str(part, "gov") || wm_view_eq_str(part, "cn"))
        part = wm_view_split(&rest, '-');
    if (part.len < 4 || part.len > 9)
        return false;
    for (size_t i = 0; i < part.len; i++)
        if (!is_lower(part.ptr[i]) && !is_digit(part.ptr[i]))
            return false;
    return rest.len == 1 && is_digit(rest.ptr[0]);
}

bool config_text_store_region(struct wm_view v)
{
    for (size_t i = 0; i < v.len; i++)
        if (!is_alnum(v.ptr[i]) && v.ptr[i] != '-' && v.ptr[i] != '_')
            return false;
    return v.len <= 64;
}

bool config_text_trail_name(struct wm_view v)
{
    return wm_trail_name_valid(v, NULL) == WM_OK;
}

/* Amazon S3 User Guide, "General purpose bucket naming rules". The empty name is the default. */
bool config_text_bucket(struct wm_view v)
{
    if (v.len == 0)
        return true;
    if (v.len < 3 || v.len > 63)
        return false;
    for (size_t i = 0; i < v.len; i++) {
        bool edge = i == 0 || i == v.len - 1;
        char ch = v.ptr[i];
        if (is_lower(ch) || is_digit(ch))
            continue;
        if (edge || (ch != '-' && ch != '.') || (ch == '.' && v.ptr[i - 1] == '.'))
            return false;
    }
    return !is_address(v, AF_INET);
}

/* Amazon S3 User Guide, "Naming Amazon S3 objects", safe characters; 200: CloudTrail API Reference, S3KeyPrefix. */
bool config_text_prefix(struct wm_view v)
{
    if (v.len == 0)
        return true;
    if (v.len > 200 || wm_view_ends(v, "/"))
        return false;
    struct wm_view rest = v;
    while (rest.len > 0) {
        struct wm_view part = wm_view_split(&rest, '/');
        if (part.len == 0 || wm_view_eq_str(part, ".") || wm_view_eq_str(part, ".."))
            return false;
        for (size_t i = 0; i < part.len; i++)
            if (!is_alnum(part.ptr[i]) && (part.ptr[i] == '\0' || !strchr("!-_.*'()", part.ptr[i])))
                return false;
    }
    return true;
}

bool config_text_endpoint(struct wm_view v)
{
    if (v.len == 0)
        return true;
    size_t scheme = wm_view_starts(v, "http://") ? 7 : wm_view_starts(v, "https://") ? 8 : 0;
    struct wm_view host = wm_view_sub(v, scheme, v.len);
    if (scheme == 0 || host.len == 0 || host.len > 255)
        return false;
    size_t bracket = wm_view_rfind(host, ']');
    if (host.ptr[0] == '[') {
        if (bracket == host.len || !is_address(wm_view_sub(host, 1, bracket), AF_INET6))
            return false;
        host = wm_view_sub(host, bracket + 1, host.len);
        if (host.len == 0)
            return true;
        if (host.ptr[0] != ':')
            return false;
    } else {
        size_t colon = wm_view_find(host, ':');
        for (size_t i = 0; i < colon; i++)
            if (!is_alnum(host.ptr[i]) && host.ptr[i] != '-' && host.ptr[i] != '.' && host.ptr[i] != '_')
                return false;
        if (colon == 0)
            return false;
        if (colon == host.len)
            return true;
        host = wm_view_sub(host, colon, host.len);
    }
    uint64_t port;
    return wm_view_to_u64(wm_view_sub(host, 1, host.len), 65535, &port) == WM_OK && port > 0;
}

/* What an ARN or a key's name has: no blank, no control character, ASCII. */
bool config_text_word(struct wm_view v)
{
    for (size_t i = 0; i < v.len; i++)
        if (v.ptr[i] <= ' ' || v.ptr[i] == 0x7f)
            return false;
    return v.len <= 2048;
}

/* AWS STS API Reference, "AssumeRole": RoleArn, ExternalId. MinIO's roles are "arn:minio:iam:::role/…". */
bool config_text_role_arn(struct wm_view v)
{
    return v.len == 0 || (v.len >= 20 && wm_view_starts(v, "arn:") && config_text_word(v));
}

bool config_text_external_id(struct wm_view v)
{
    for (size_t i = 0; i < v.len; i++)
        if (!is_alnum(v.ptr[i]) && (v.ptr[i] == '\0' || !strchr("_+=,.@:/-", v.ptr[i])))
            return false;
    return v.len == 0 || (v.len >= 2 && v.len <= 1224);
}

/* As a URL's origin is serialized (HTML Standard, "Serialization of an origin"): another form would never match. */
bool config_text_origin(struct wm_view v)
{
    for (size_t i = 0; i < v.len; i++)
        if (v.ptr[i] >= 'A' && v.ptr[i] <= 'Z')
            return false;
    const char *default_port = wm_view_starts(v, "https:") ? ":443" : ":80";
    return v.len > 0 && config_text_endpoint(v) && !wm_view_ends(v, default_port);
}

bool config_text_proxy(struct wm_view v)
{
    return wm_view_eq_str(v, "none") || config_text_endpoint(v);
}

bool config_text_tags(struct wm_view v)
{
    return wm_tags_valid(v);
}

bool config_text_address_block(struct wm_view v)
{
    size_t slash = wm_view_find(v, '/');
    struct wm_view address = wm_view_sub(v, 0, slash);
    uint64_t most = is_address(address, AF_INET) ? 32 : is_address(address, AF_INET6) ? 128 : 0;
    uint64_t bits;
    if (most == 0)
        return false;
    return slash == v.len || wm_view_to_u64(wm_view_sub(v, slash + 1, v.len), most, &bits) == WM_OK;
}

/* The rest of it is read by who opens the token. */
bool config_text_token(struct wm_view v)
{
    return v.len == 0 || wm_view_starts(v, "pkcs11:");
}
