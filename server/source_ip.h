/**
 * Where a call comes from: the socket's address, or, only from a configured trusted proxy, what X-Forwarded-For says.
 *
 * X-Forwarded-For is read from the right: the last address was added by the proxy that talks to us, the one before it by
 * whoever talked to that proxy. The first address that is not itself a trusted proxy is the caller; what stands left
 * of it is the caller's own claim and is not believed.
 */
#ifndef WAYMARK_SERVER_SOURCE_IP_H
#define WAYMARK_SERVER_SOURCE_IP_H

#include <sys/socket.h>

#include "waymark/buf.h"
#include "waymark/status.h"

#define WM_IP_TEXT_BYTES 46 /* INET6_ADDRSTRLEN */

struct wm_proxy_block {
    uint8_t address[16]; /* IPv4 as ::ffff:a.b.c.d */
    unsigned prefix_bits; /* of the 128 */
};

/** "192.0.2.0/24", "2001:db8::1". @return WM_E_INVALID */
enum wm_status wm_proxy_block_parse(struct wm_view text, struct wm_proxy_block *out, struct wm_err *err) WM_MUST_CHECK;

/** Is this address, in text form, within the block? False when it is no address. */
bool wm_proxy_block_has(const struct wm_proxy_block *b, struct wm_view address);

#define WM_IP_BYTES 16
/** What one host is given of an address: all of an IPv4 one, the /64 of an IPv6 one, the rest zero. False: it is none. */
bool wm_ip_network(struct wm_view text, uint8_t out[WM_IP_BYTES]);

/** Text of a socket address; IPv4-mapped IPv6 as IPv4. */
void wm_ip_text(const struct sockaddr *address, char out[WM_IP_TEXT_BYTES]);

/**
 * @param peer           the socket's address as text
 * @param forwarded_for  X-Forwarded-For, empty when absent
 * @return the caller's address: peer, or a part of forwarded_for
 */
struct wm_view wm_source_ip(struct wm_view peer, struct wm_view forwarded_for, const struct wm_proxy_block *trusted,
                            size_t n_trusted);

/**
 * Did the caller speak TLS? This server speaks none, so only a trusted proxy can say so.
 * @param forwarded_proto  X-Forwarded-Proto, empty when absent. Where several proxies wrote into it, all of them must say
 *                         https, since what stands left may be the caller's own claim
 */
bool wm_source_secure(struct wm_view peer, struct wm_view forwarded_proto, const struct wm_proxy_block *trusted,
                      size_t n_trusted);

#endif
