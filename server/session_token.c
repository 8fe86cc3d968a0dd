/*
 * What is sealed:
 *
 *     format 1 | kind | mfa 0, 1 | created u64 | life u32, seconds | seed 16 |
 *     text access key id, unique id, name, session name, source identity, policy |
 *     number u8 of policy ARNs, each a text | number u8 of tags, each: transitive 0, 1, text key, text value
 *
 * Numbers are little-endian; a text is its length u16 and its bytes. Nothing follows.
 */
#include "server/session_token.h"

#include "waymark/bounds.h"
#include "waymark/hash.h"
#include "waymark/seal.h"

#include "waymark/banned.h"

#define TOKEN_FORMAT 1
#define TOKEN_PURPOSE "session-token"
#define TOKEN_HEAD_BYTES (3 + 8 + 4)
#define TOKEN_SEED_BYTES ((WM_IAM_SEED_BYTES - 1) / 2)
#define TOKEN_BYTES (WM_MAX_SESSION_TOKEN_BYTES / 4 * 3)
/* IAM API Reference: a user's or role's name, a session's, a source identity have at most 64 characters, all ASCII. */
#define TOKEN_FIXED_BYTES                                                                                              \
    (TOKEN_HEAD_BYTES + TOKEN_SEED_BYTES + 2 + (WM_IAM_KEY_ID_BYTES - 1) + 2 + (WM_IAM_ID_BYTES - 1) + 3 * (2 + 64))
_Static_assert(TOKEN_FIXED_BYTES + WM_MAX_SESSION_PACKED_BYTES + WM_SEAL_OVERHEAD_BYTES <= TOKEN_BYTES,
               "a session with all that it may have has its place in a token");

/* ---- writing ---- */

static void put_text(struct wm_buf *out, struct wm_view text)
{
    uint8_t len[2];
    if (text.len > UINT16_MAX) {
        out->status = out->status ? out->status : WM_E_LIMIT;
        return;
    }
    wm_put_le16(len, (uint16_t)text.len);
    wm_buf_add(out, len, sizeof len);
    wm_buf_add_view(out, text);
}

size_t wm_session_packed_bytes(const struct wm_session *s)
{
    size_t n = 2 + s->policy.len + 1 + 1;
    for (size_t i = 0; i < s->n_policy_arns; i++)
        n += 2 + s->policy_arns[i].len;
    for (size_t i = 0; i < s->n_tags; i++)
        n += 1 + 2 + s->tags[i].key.len + 2 + s->tags[i].value.len;
    return n;
}

static enum wm_status pack(const struct wm_session *s, struct wm_buf *out)
{
    uint8_t head[TOKEN_HEAD_BYTES] = {TOKEN_FORMAT, (uint8_t)s->kind, s->mfa}, seed[TOKEN_SEED_BYTES];
    int64_t created = wm_wall_seconds(s->created), life = wm_wall_seconds(s->expires) - created;
    WM_ASSERT(created >= 0 && life > 0 && life <= UINT32_MAX && wm_hex_decode(s->seed, seed, sizeof seed));
    if (wm_session_packed_bytes(s) > WM_MAX_SESSION_PACKED_BYTES || s->n_policy_arns > UINT8_MAX ||
        s->n_tags > UINT8_MAX)
        return WM_E_LIMIT;
    wm_put_le64(head + 3, (uint64_t)created);
    wm_put_le32(head + 11, (uint32_t)life);
    wm_buf_add(out, head, sizeof head);
    wm_buf_add(out, seed, sizeof seed);
    put_text(out, s->access_key_id);
    put_text(out, s->unique_id);
    put_text(out, s->name);
    put_text(out, s->session_name);
    put_text(out, s->source_identity);
    put_text(out, s->policy);
    wm_buf_add_char(out, (char)s->n_policy_arns);
    for (size_t i = 0; i < s->n_policy_arns; i++)
        put_text(out, s->policy_arns[i]);
    wm_buf_add_char(out, (char)s->n_tags);
    for (size_t i = 0; i < s->n_tags; i++) {
        wm_buf_add_char(out, s->tags[i].transitive);
        put_text(out, s->tags[i].key);
        put_text(out, s->tags[i].value);
    }
    return wm_buf_status(out);
}

enum wm_status wm_session_token_make(const uint8_t master_key[32], struct wm_view account_id, const struct wm_session *s,
                                     struct wm_buf *out)
{
    struct wm_buf packed, sealed;
    wm_buf_init(&packed, TOKEN_BYTES - WM_SEAL_OVERHEAD_BYTES);
    wm_buf_init(&sealed, TOKEN_BYTES);
    enum wm_status status = pack(s, &packed);
    if (status == WM_OK)
        status = wm_seal(master_key, TOKEN_PURPOSE, account_id, wm_buf_view(&packed), &sealed);
    if (status == WM_OK) {
        wm_base64(out, sealed.data, sealed.len);
        status = wm_buf_status(out);
    }
    wm_buf_wipe(&packed); /* the seed */
    wm_buf_done(&packed);
    wm_buf_done(&sealed);
    return status;
}

/* ---- reading ---- */

/* What is left to read; bad once more was asked for than there is. */
struct packed {
    struct wm_view rest;
    bool bad;
};

static struct wm_view take(struct packed *p, size_t len)
{
    if (p->bad || p->rest.len < len) {
        p->bad = true;
        return WM_EMPTY;
    }
    struct wm_view got = {p->rest.ptr, len};
    p->rest = wm_view_sub(p->rest, len, p->rest.len);
    return got;
}

static uint8_t take_byte(struct packed *p)
{
    struct wm_view v = take(p, 1);
    return v.len ? (uint8_t)v.ptr[0] : 0;
}

static bool take_bool(struct packed *p)
{
    uint8_t n = take_byte(p);
    p->bad = p->bad || n > 1;
    return n == 1;
}

static struct wm_view take_text(struct packed *p)
{
    struct wm_view len = take(p, 2);
    return len.len ? take(p, wm_get_le16(len.ptr)) : WM_EMPTY;
}

static void unpack_lists(struct packed *p, struct wm_arena *a, struct wm_session *s)
{
    size_t n = take_byte(p);
    struct wm_view *arns = wm_arena_alloc(a, (n + 1) * sizeof *arns);
    for (size_t i = 0; arns && i < n; i++)
        arns[i] = take_text(p);
    s->policy_arns = arns;
    s->n_policy_arns = n;
    n = take_byte(p);
    struct wm_principal_tag *tags = wm_arena_alloc(a, (n + 1) * sizeof *tags);
    for (size_t i = 0; tags && i < n; i++) {
        tags[i].transitive = take_bool(p);
        tags[i].key = take_text(p);
        tags[i].value = take_text(p);
    }
    s->tags = tags;
    s->n_tags = n;
}

static enum wm_status unpack(struct wm_view text, struct wm_arena *a, struct wm_session *out)
{
    struct packed p = {.rest = text};
    uint8_t format = take_byte(&p), kind = take_byte(&p);
    struct wm_session s = {.kind = (enum wm_session_kind)kind, .mfa = take_bool(&p)};
    struct wm_view times = take(&p, 8 + 4), seed = take(&p, TOKEN_SEED_BYTES);
    char *hex = wm_arena_alloc(a, WM_IAM_SEED_BYTES);
    if (!hex)
        return WM_E_NOMEM;
    if (p.bad || format != TOKEN_FORMAT || kind < WM_SESSION_ROOT || kind > WM_SESSION_ROLE)
        return WM_E_INVALID;
    uint64_t created = wm_get_le64(times.ptr), life = wm_get_le32(times.ptr + 8);
    if (life == 0 || created > INT64_MAX / WM_NS_PER_S - UINT32_MAX)
        return WM_E_INVALID;
    s.created = wm_wall_from_seconds((int64_t)created);
    s.expires = wm_wall_from_seconds((int64_t)(created + life));
    wm_hex(seed.ptr, seed.len, hex);
    s.seed = (struct wm_view){hex, WM_IAM_SEED_BYTES - 1};
    s.access_key_id = take_text(&p);
    s.unique_id = take_text(&p);
    s.name = take_text(&p);
    s.session_name = take_text(&p);
    s.source_identity = take_text(&p);
    s.policy = take_text(&p);
    unpack_lists(&p, a, &s);
    if (wm_arena_status(a) != WM_OK)
        return WM_E_NOMEM;
    if (p.bad || p.rest.len != 0)
        return WM_E_INVALID;
    *out = s;
    return WM_OK;
}

enum wm_status wm_session_token_read(const uint8_t master_key[32], struct wm_view account_id, struct wm_view token,
                                     struct wm_arena *a, struct wm_session *out)
{
    struct wm_buf sealed, packed;
    if (token.len > WM_MAX_SESSION_TOKEN_BYTES)
        return WM_E_INVALID;
    wm_buf_init(&sealed, TOKEN_BYTES);
    wm_buf_init(&packed, TOKEN_BYTES);
    enum wm_status status = wm_base64_decode(token, &sealed);
    if (status == WM_OK)
        status = wm_unseal(master_key, TOKEN_PURPOSE, account_id, wm_buf_view(&sealed), &packed);
    if (status == WM_OK) {
        struct wm_view text = wm_arena_copy(a, wm_buf_view(&packed));
        status = wm_arena_status(a);
        if (status == WM_OK)
            status = unpack(text, a, out);
    }
    wm_buf_done(&sealed);
    wm_buf_wipe(&packed);
    wm_buf_done(&packed);
    return status;
}
