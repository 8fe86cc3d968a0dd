/* Which calls are only counted, where the settings fold floods of refused ones (wm_recorder_fold()). */
#include "server/dispatch_int.h"

#include "server/source_ip.h"

#include "waymark/banned.h"

/* The call as folding looks at it: it was refused before it ran, and not for what the server could not do (5xx), which says
 * something of the server. */
static bool refused(const struct dispatch *p, uint8_t network[WM_IP_BYTES], struct wm_refused_call *out)
{
    const struct wm_request *r = p->r;
    bool proven = p->call.identity.type != WM_IDENTITY_UNKNOWN;
    if (p->ran || !p->d->record || p->reply.http_status >= 500)
        return false;
    if (proven && r->route.operation && r->route.operation->audit)
        return false; /* whoever is known and reaches for the audit itself is recorded each time */
    bool known = wm_ip_network(r->source_ip, network);
    *out = (struct wm_refused_call){
        .source = r->source_ip,
        .network = known ? (struct wm_view){(const char *)network, WM_IP_BYTES} : WM_EMPTY,
        .principal = r->principal,
        .proven = proven,
        .event_source = r->route.service ? wm_view_of(r->route.service->event_source) : WM_EMPTY,
        .event_name = r->event_name,
        .error_code = wm_view_of(p->reply.error_code),
    };
    return true;
}

bool dispatch_fold(struct dispatch *p)
{
    struct wm_refused_call call;
    uint8_t network[WM_IP_BYTES];
    p->r->folded = p->reply.n_changes == 0 && refused(p, network, &call) && wm_recorder_fold(p->d->recorder, &call);
    if (p->r->folded) {
        p->r->behind = wm_journal_appended(p->d->recorder->journal);
        atomic_fetch_add_explicit(p->d->folded, 1, memory_order_relaxed);
    }
    return p->r->folded;
}

void dispatch_fold_begin(const struct dispatch *p)
{
    struct wm_refused_call call;
    uint8_t network[WM_IP_BYTES];
    if (refused(p, network, &call))
        wm_recorder_fold_begin(p->d->recorder, &call);
}
