/*
 * Who a trust policy means: how principals are written, and who is one of them. (IAM User Guide, "AWS JSON policy
 * elements: Principal".)
 *
 * An ARN is compared as it stands. A saved trust policy has the unique id of whom it meant in the place of an ARN that is
 * no longer his (waymark/iam.h): he is trusted under another name, and nobody else is under the old one.
 */
#include "server/policy_int.h"

#include "waymark/banned.h"

bool wm_policy_letters(struct wm_view v, const char *others)
{
    for (size_t i = 0; i < v.len; i++) {
        char c = v.ptr[i];
        bool letter = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (!letter && (c == '\0' || !strchr(others, c)))
            return false;
    }
    return v.len > 0;
}

static bool is_account_id(struct wm_view v)
{
    uint64_t n;
    return v.len == 12 && wm_view_to_u64(v, UINT64_MAX, &n) == WM_OK;
}

/* arn:aws:iam::111122223333:root, :user/…, :role/…; arn:aws:sts::111122223333:assumed-role/ROLE/SESSION */
static bool principal_from_arn(struct wm_view arn, struct wm_policy_principal *out)
{
    struct wm_view rest = arn, parts[5];
    for (size_t i = 0; i < 5; i++)
        parts[i] = wm_view_split(&rest, ':');
    bool iam = wm_view_eq_str(parts[2], "iam"), sts = wm_view_eq_str(parts[2], "sts");
    if (!wm_view_eq_str(parts[0], "arn") || !wm_policy_letters(parts[1], "-") || (!iam && !sts) || parts[3].len ||
        !is_account_id(parts[4]) || wm_view_find(rest, '*') < rest.len || wm_view_find(rest, '?') < rest.len)
        return false;
    bool root = iam && wm_view_eq_str(rest, "root");
    size_t slash = wm_view_find(rest, '/');
    struct wm_view type = wm_view_sub(rest, 0, slash), name = wm_view_sub(rest, slash + 1, rest.len);
    struct wm_view session = name;
    (void)wm_view_split(&session, '/'); /* what is in front is the role's name */
    *out = (struct wm_policy_principal){root ? WM_PRINCIPAL_ACCOUNT : WM_PRINCIPAL_ARN, root ? parts[4] : arn};
    if (iam)
        return root || ((wm_view_eq_str(type, "user") || wm_view_eq_str(type, "role")) && name.len);
    return (wm_view_eq_str(type, "assumed-role") && session.len) ||
           (wm_view_eq_str(type, "federated-user") && name.len);
}

/* "AIDA…" of a user, "AROA…" of a role */
static bool is_unique_id(struct wm_view v)
{
    bool good = (wm_view_starts(v, "AIDA") || wm_view_starts(v, "AROA")) && v.len >= 16;
    for (size_t i = 0; i < v.len && good; i++)
        good = (v.ptr[i] >= 'A' && v.ptr[i] <= 'Z') || (v.ptr[i] >= '0' && v.ptr[i] <= '9');
    return good;
}

bool wm_policy_principal_parse(struct wm_view type, struct wm_view id, struct wm_policy_principal *out)
{
    bool service = wm_view_eq_str(type, "Service"), star = wm_view_eq_str(id, "*");
    out->id = id;
    out->kind = service ? WM_PRINCIPAL_SERVICE : star ? WM_PRINCIPAL_ANYONE : WM_PRINCIPAL_ACCOUNT;
    if (service)
        return wm_policy_letters(id, ".-") && wm_view_find(id, '.') < id.len;
    if (star || is_account_id(id))
        return true;
    out->kind = WM_PRINCIPAL_ARN;
    return is_unique_id(id) || principal_from_arn(id, out);
}

bool wm_policy_principal_is(const struct wm_policy_principal *p, const struct wm_policy_request *q)
{
    switch (p->kind) {
    case WM_PRINCIPAL_ANYONE:
        return true;
    case WM_PRINCIPAL_ACCOUNT:
        return wm_view_eq(p->id, q->principal.account_id);
    case WM_PRINCIPAL_ARN:
        return wm_view_eq(p->id, q->principal.arn) || wm_view_eq(p->id, q->principal.role_arn) ||
               wm_view_eq(p->id, q->principal.unique_id);
    case WM_PRINCIPAL_SERVICE:
        return wm_view_eq(p->id, q->principal.service);
    }
    return false;
}
