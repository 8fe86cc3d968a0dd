/**
 * For tests of IAM: calls, and a look at the whole state after each: what names each other agrees in both directions, and
 * no document holds a secret.
 */
#ifndef WAYMARK_TESTS_IAM_CALL_H
#define WAYMARK_TESTS_IAM_CALL_H

#include "tests/unit/service_call.h"
#include "waymark/iam.h"
#include "waymark/policy.h"

#define IAM_VERSION "2010-05-08"

/** A policy, as a form has it; printf takes it for a format. */
#define ALLOW_ALL                                                                                                      \
    "{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Allow\",\"Action\":\"*\",\"Resource\":\"*\"}}"

/* ---- what is in the state ---- */

struct iam_documents {
    struct wm_arena *arena;
    struct wm_json *list; /* the documents, with their ids as keys */
};

static inline bool iam_collect(void *arg, struct wm_view id, struct wm_view document)
{
    struct iam_documents *d = arg;
    struct wm_json *parsed = NULL;
    assert_int_equal(wm_json_parse(d->arena, document, &parsed, NULL), WM_OK);
    wm_json_set_view(d->list, wm_arena_copy(d->arena, id), parsed);
    return true;
}

/** An object of all documents of a kind, by id. */
static inline struct wm_json *iam_documents(struct fixture *f, struct wm_arena *a, const char *kind)
{
    struct iam_documents d = {a, wm_json_new(a, WM_JSON_OBJECT)};
    wm_state_lock(f->state);
    wm_state_each(f->state, wm_view_of(kind), WM_EMPTY, iam_collect, &d);
    wm_state_unlock(f->state);
    return d.list;
}

/** A name is unique whatever its case, and a document stands under what it says of itself. */
static inline void iam_check_names(struct wm_arena *a, const struct wm_json *documents, const char *name)
{
    for (const struct wm_json *d = documents->first; d; d = d->next)
        assert_true(wm_view_eq(d->key, wm_iam_id(a, wm_json_get_text(d, name))));
}

static inline void iam_check_user(struct wm_arena *a, const struct wm_json *user, const struct wm_json *groups,
                                  const struct wm_json *members, const struct wm_json *keys)
{
    for (const struct wm_json *g = wm_json_get(user, "Groups")->first; g; g = g->next) {
        assert_non_null(wm_json_get_view(groups, g->text));
        const struct wm_json *member = wm_json_get_view(
            members, wm_arena_printf(a, "%.*s/%.*s", WM_ARG(g->text), WM_ARG(wm_json_get_text(user, "UserId"))));
        assert_non_null(member);
        assert_true(wm_view_eq(wm_json_get_text(member, "UserName"), wm_json_get_text(user, "UserName")));
    }
    for (const struct wm_json *k = wm_json_get(user, "AccessKeys")->first; k; k = k->next) {
        const struct wm_json *key = wm_json_get_view(keys, k->text);
        assert_non_null(key);
        assert_true(wm_view_eq(wm_json_get_text(key, "UserName"), wm_json_get_text(user, "UserName")));
        assert_true(wm_view_eq(wm_json_get_text(key, "UserId"), wm_json_get_text(user, "UserId")));
    }
}

static inline size_t iam_count_elements(const struct wm_json *documents, const char *list)
{
    size_t n = 0;
    for (const struct wm_json *d = documents->first; d; d = d->next)
        n += wm_json_get(d, list)->count;
    return n;
}

static inline int64_t iam_number(const struct wm_json *object, const char *name)
{
    int64_t n = -1;
    assert_int_equal(wm_json_to_i64(wm_json_get(object, name), 0, INT32_MAX, &n), WM_OK);
    return n;
}

/** One use more of a policy, which there must be. */
static inline void iam_add_use(struct wm_arena *a, struct wm_json *uses, const struct wm_json *policies,
                               struct wm_view arn, const char *count)
{
    struct wm_json *use = wm_json_get_view(uses, arn);
    assert_true(wm_json_get_view(policies, arn) || wm_iam_managed_find(arn));
    if (!use) {
        use = wm_json_set_view(uses, arn, wm_json_new(a, WM_JSON_OBJECT));
        wm_json_set_i64(a, use, "AttachmentCount", 0);
        wm_json_set_i64(a, use, "PermissionsBoundaryUsageCount", 0);
    }
    int64_t n = iam_number(use, count);
    assert_non_null(wm_json_remove(use, count));
    wm_json_set_i64(a, use, count, n + 1);
}

static inline void iam_add_uses(struct wm_arena *a, struct wm_json *uses, const struct wm_json *policies,
                                const struct wm_json *owners)
{
    for (const struct wm_json *o = owners->first; o; o = o->next) {
        struct wm_view boundary = wm_json_get_text(o, "PermissionsBoundary");
        for (const struct wm_json *arn = wm_json_get(o, "Attached")->first; arn; arn = arn->next)
            iam_add_use(a, uses, policies, arn->text, "AttachmentCount");
        if (boundary.len)
            iam_add_use(a, uses, policies, boundary, "PermissionsBoundaryUsageCount");
    }
}

/** How often policies are said to be used is how often they are. */
static inline void iam_check_uses(struct fixture *f, struct wm_arena *a)
{
    struct wm_json *uses = wm_json_new(a, WM_JSON_OBJECT);
    const struct wm_json *policies = iam_documents(f, a, WM_IAM_POLICY), *said = iam_documents(f, a, WM_IAM_POLICY_USE);
    iam_add_uses(a, uses, policies, iam_documents(f, a, WM_IAM_USER));
    iam_add_uses(a, uses, policies, iam_documents(f, a, WM_IAM_GROUP));
    iam_add_uses(a, uses, policies, iam_documents(f, a, WM_IAM_ROLE));
    assert_int_equal(uses->count, said->count);
    for (const struct wm_json *u = uses->first; u; u = u->next) {
        const struct wm_json *s = wm_json_get_view(said, u->key);
        assert_non_null(s);
        assert_int_equal(iam_number(s, "AttachmentCount"), iam_number(u, "AttachmentCount"));
        assert_int_equal(iam_number(s, "PermissionsBoundaryUsageCount"), iam_number(u, "PermissionsBoundaryUsageCount"));
    }
    for (const struct wm_json *p = policies->first; p; p = p->next)
        assert_true(wm_view_eq(p->key, wm_json_get_text(p, "Arn")));
}

/**
 * Every reference leads to what exists and is answered from there, and there is none too many: what a user names is
 * found one by one, and the other side has as many.
 */
static inline void iam_check_state(struct fixture *f)
{
    struct wm_arena a;
    wm_arena_init(&a, 64u << 20);
    const struct wm_json *users = iam_documents(f, &a, WM_IAM_USER), *groups = iam_documents(f, &a, WM_IAM_GROUP);
    const struct wm_json *names = iam_documents(f, &a, WM_IAM_GROUP_NAME);
    const struct wm_json *members = iam_documents(f, &a, WM_IAM_MEMBER);
    const struct wm_json *keys = iam_documents(f, &a, WM_IAM_ACCESS_KEY);
    const struct wm_json *used = iam_documents(f, &a, WM_IAM_LAST_USED);
    assert_int_equal(wm_arena_status(&a), WM_OK);

    iam_check_names(&a, users, "UserName");
    assert_int_equal(names->count, groups->count);
    for (const struct wm_json *n = names->first; n; n = n->next) {
        const struct wm_json *group = wm_json_get_view(groups, wm_json_get_text(n, "GroupId"));
        assert_non_null(group);
        assert_true(wm_view_eq(group->key, wm_json_get_text(group, "GroupId")));
        assert_true(wm_view_eq(n->key, wm_iam_id(&a, wm_json_get_text(group, "GroupName"))));
    }
    for (const struct wm_json *u = users->first; u; u = u->next)
        iam_check_user(&a, u, groups, members, keys);
    assert_int_equal(iam_count_elements(users, "Groups"), members->count);
    assert_int_equal(iam_count_elements(users, "AccessKeys"), keys->count);
    for (const struct wm_json *k = keys->first; k; k = k->next) {
        char secret[WM_IAM_SECRET_BYTES];
        wm_iam_secret(f->env.master_key, k->key, wm_json_get_text(k, "Seed"), secret);
        struct wm_buf text;
        wm_buf_init(&text, 65536);
        wm_json_write(&text, k);
        assert_null(strstr(wm_buf_cstr(&text), secret));
        wm_buf_done(&text);
    }
    for (const struct wm_json *u = used->first; u; u = u->next)
        if (wm_view_starts(u->key, WM_IAM_KEY_PREFIX))
            assert_non_null(wm_json_get_view(keys, u->key));
    iam_check_names(&a, iam_documents(f, &a, WM_IAM_ROLE), "RoleName");
    iam_check_uses(f, &a);
    wm_arena_done(&a);
}

/* ---- calls ---- */

/** A call by its form, "CreateUser&UserName=x". @return HTTP status; f->answer is the answer's document */
static inline int iam(struct fixture *f, const char *fmt, ...) WM_PRINTF(2, 3);
static inline int iam(struct fixture *f, const char *fmt, ...)
{
    static char form[60000];
    va_list args;
    (void)snprintf(form, sizeof form, "Action=");
    va_start(args, fmt);
    assert_true(vsnprintf(form + 7, sizeof form - 7, fmt, args) < (int)sizeof form - 7);
    va_end(args);
    int status = call_query(f, IAM_VERSION, form);
    iam_check_state(f);
    return status;
}

#define iam_ok(f, ...) assert_int_equal(iam((f), __VA_ARGS__), 200)

/** Refused so, with this whole message. */
static inline void assert_iam_refused(struct fixture *f, int http_status, const char *code, const char *message)
{
    char text[2048];
    assert_refused(f, http_status, code, "");
    assert_true(wm_view_copy(f->reply.error_message, text, sizeof text));
    assert_string_equal(text, message);
}

/** The texts of a member of each element of a list, with commas between; name NULL: the elements' own. */
static inline const char *iam_texts(const struct wm_json *list, const char *name)
{
    static char text[8192];
    size_t n = 0;
    assert_non_null(list);
    text[0] = '\0';
    for (const struct wm_json *e = list->first; e && n < sizeof text; e = e->next) {
        struct wm_view v = name ? wm_json_get_text(e, name) : e->text;
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%.*s", n ? "," : "", WM_ARG(v));
    }
    return text;
}

/** A copy of a text of the answer, good until the next but seven. */
static inline const char *iam_copy(const struct wm_json *object, const char *name)
{
    static char texts[8][600];
    static size_t next;
    char *text = texts[next++ % 8];
    assert_true(wm_view_copy(wm_json_get_text(object, name), text, sizeof texts[0]));
    return text;
}

/** Store a customer managed policy that is no one's yet. */
static inline void iam_store_policy(struct fixture *f, const char *arn)
{
    char document[1024];
    (void)snprintf(document, sizeof document,
                   "{\"PolicyName\":\"P\",\"PolicyId\":\"ANPAAAAAAAAAAAAAAAAAA\",\"Path\":\"/\",\"Arn\":\"%s\","
                   "\"CreateDate\":\"2026-03-01T10:07:12Z\",\"UpdateDate\":\"2026-03-01T10:07:12Z\",\"Tags\":[],"
                   "\"DefaultVersionId\":\"v1\","
                   "\"NextVersion\":2,\"Versions\":[]}",
                   arn);
    store_document(f, WM_IAM_POLICY, arn, document);
}

#endif
