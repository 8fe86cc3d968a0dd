#include "server/source_ip.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "waymark/banned.h"

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}; /* RFC 4291 section 2.5.5.2 */

static bool address_parse(struct wm_view text, uint8_t out[16], bool *out_v4)
{
    char zero_ended[WM_IP_TEXT_BYTES];
    if (!wm_view_copy(text, zero_ended, sizeof zero_ended))
        return false;
    *out_v4 = inet_pton(AF_INET, zero_ended, out + 12) == 1;
    if (*out_v4) {
        memcpy(out, mapped_prefix, sizeof mapped_prefix);
        return true;
    }
    return inet_pton(AF_INET6, zero_ended, out) == 1;
}

enum wm_status wm_proxy_block_parse(struct wm_view text, struct wm_proxy_block *out, struct wm_err *err)
{
    struct wm_view rest = text, address = wm_view_split(&rest, '/');
    uint64_t bits = 0;
    bool v4;
    if (!address_parse(address, out->address, &v4))
        return wm_fail(err, WM_E_INVALID, "\"%.*s\" is no IP address or CIDR block", WM_ARG(text));
    unsigned width = v4 ? 32 : 128;
    if (!rest.ptr)
        bits = width;
    else if (wm_view_to_u64(rest, width, &bits) != WM_OK)
        return wm_fail(err, WM_E_INVALID, "the prefix length in \"%.*s\" is no number from 0 to %u", WM_ARG(text), width);
    out->prefix_bits = (unsigned)bits + (128 - width);
    return WM_OK;
}

void wm_ip_text(const struct sockaddr *address, char out[WM_IP_TEXT_BYTES])
{
    out[0] = '\0';
    if (address && address->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, address, sizeof v4);
        (void)inet_ntop(AF_INET, &v4.sin_addr, out, WM_IP_TEXT_BYTES); /* large enough for any address */
    } else if (address && address->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, address, sizeof v6);
        if (memcmp(v6.sin6_addr.s6_addr, mapped_prefix, sizeof mapped_prefix) == 0)
            (void)inet_ntop(AF_INET, v6.sin6_addr.s6_addr + 12, out, WM_IP_TEXT_BYTES);
        else
            (void)inet_ntop(AF_INET6, &v6.sin6_addr, out, WM_IP_TEXT_BYTES);
    }
}

bool wm_ip_network(struct wm_view text, uint8_t out[WM_IP_BYTES])
{
    bool v4;
    if (!address_parse(text, out, &v4))
        return false;
    if (memcmp(out, mapped_prefix, sizeof mapped_prefix) != 0)
        memset(out + WM_IP_BYTES / 2, 0, WM_IP_BYTES / 2);
    return true;
}

bool wm_proxy_block_has(const struct wm_proxy_block *b, struct wm_view text)
{
    uint8_t address[16];
    bool v4;
    unsigned whole = b->prefix_bits / 8, rest = b->prefix_bits % 8;
    uint8_t mask = (uint8_t)(0xff00u >> rest);
    return address_parse(text, address, &v4) && memcmp(address, b->address, whole) == 0 &&
           (rest == 0 || (address[whole] & mask) == (b->address[whole] & mask));
}

static bool is_trusted(struct wm_view text, const struct wm_proxy_block *trusted, size_t n_trusted)
{
    for (size_t i = 0; i < n_trusted; i++)
        if (wm_proxy_block_has(&trusted[i], text))
            return true;
    return false;
}

struct wm_view wm_source_ip(struct wm_view peer, struct wm_view forwarded_for, const struct wm_proxy_block *trusted,
                            size_t n_trusted)
{
    struct wm_view source = peer;
    while (forwarded_for.len && is_trusted(source, trusted, n_trusted)) {
        size_t comma = wm_view_rfind(forwarded_for, ',');
        bool last = comma == forwarded_for.len;
        struct wm_view before = wm_view_trim(wm_view_sub(forwarded_for, last ? 0 : comma + 1, forwarded_for.len));
        uint8_t address[16];
        bool v4;
        if (!address_parse(before, address, &v4))
            break; /* not what a proxy writes; what we know is where it came from */
        source = before;
        forwarded_for = wm_view_sub(forwarded_for, 0, last ? 0 : comma);
    }
    return source;
}

bool wm_source_secure(struct wm_view peer, struct wm_view forwarded_proto, const struct wm_proxy_block *trusted,
                      size_t n_trusted)
{
    struct wm_view rest = forwarded_proto;
    if (!rest.len || !is_trusted(peer, trusted, n_trusted))
        return false;
    while (rest.ptr)
        if (!wm_view_ieq_str(wm_view_trim(wm_view_split(&rest, ',')), "https"))
            return false;
    return true;
}
