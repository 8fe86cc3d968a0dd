/*
 * Random calls against a model: after each, what the calls answer agrees with plain sets of names, and what documents
 * say of each other agrees in both directions (iam_check_state()).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "tests/unit/iam_call.h"

#include "waymark/banned.h"

#define USERS 5
#define GROUPS 12
#define STEPS 1500

/* Who there is, by number, under which of three names: 0 when there is none. */
struct model {
    int user[USERS];
    int group[GROUPS];
    bool in[USERS][GROUPS];
    char keys[USERS][2][32]; /* "" where there is none */
};

static struct model m;
static unsigned seed;

static unsigned draw(unsigned n)
{
    seed = seed * 1103515245u + 12345u; /* the ISO C example: the same sequence everywhere */
    return (seed >> 16) % n;
}

static const char *name(char kind, size_t i, int spelling)
{
    static char names[4][16];
    static size_t next;
    char *text = names[next++ % 4];
    (void)snprintf(text, sizeof names[0], "%c%zu-%d", kind, i, spelling);
    if (draw(2) && text[0] == kind)
        text[0] = (char)(kind - 'a' + 'A'); /* which is the same name */
    return text;
}

static size_t groups_of(size_t u)
{
    size_t n = 0;
    for (size_t g = 0; g < GROUPS; g++)
        n += m.in[u][g];
    return n;
}

static size_t users_in(size_t g)
{
    size_t n = 0;
    for (size_t u = 0; u < USERS; u++)
        n += m.in[u][g];
    return n;
}

static size_t keys_of(size_t u)
{
    return (m.keys[u][0][0] != '\0') + (m.keys[u][1][0] != '\0');
}

static void expect(int got, int want)
{
    if (got != want)
        fail_msg("answered %d, not %d", got, want);
}

static void step_user(struct fixture *f, size_t u)
{
    int now = m.user[u], other = 1 + (int)draw(3);
    switch (draw(3)) {
    case 0:
        expect(iam(f, "CreateUser&UserName=%s", name('u', u, now ? now : other)), now ? 409 : 200);
        m.user[u] = now ? now : other;
        break;
    case 1:
        expect(iam(f, "UpdateUser&UserName=%s&NewUserName=%s", name('u', u, now), name('u', u, other)),
               now ? 200 : 404);
        m.user[u] = now ? other : 0;
        break;
    default: {
        bool goes = now && keys_of(u) == 0 && groups_of(u) == 0;
        expect(iam(f, "DeleteUser&UserName=%s", name('u', u, now)), goes ? 200 : now ? 409 : 404);
        m.user[u] = goes ? 0 : now;
    }
    }
}

static void step_group(struct fixture *f, size_t g)
{
    int now = m.group[g], other = 1 + (int)draw(3);
    switch (draw(4)) {
    case 0:
    case 1:
        expect(iam(f, "CreateGroup&GroupName=%s", name('g', g, now ? now : other)), now ? 409 : 200);
        m.group[g] = now ? now : other;
        break;
    case 2:
        expect(iam(f, "UpdateGroup&GroupName=%s&NewGroupName=%s", name('g', g, now), name('g', g, other)),
               now ? 200 : 404);
        m.group[g] = now ? other : 0;
        break;
    default: {
        bool goes = now && users_in(g) == 0;
        expect(iam(f, "DeleteGroup&GroupName=%s", name('g', g, now)), goes ? 200 : now ? 409 : 404);
        m.group[g] = goes ? 0 : now;
    }
    }
}

static void step_membership(struct fixture *f, size_t u, size_t g)
{
    bool both = m.user[u] && m.group[g], add = draw(3) > 0;
    int want = !both ? 404 : add && !m.in[u][g] && groups_of(u) == 10 ? 409 : 200;
    expect(iam(f, "%s&GroupName=%s&UserName=%s", add ? "AddUserToGroup" : "RemoveUserFromGroup",
               name('g', g, m.group[g]), name('u', u, m.user[u])),
           want);
    if (want == 200)
        m.in[u][g] = add;
}

static void step_key(struct fixture *f, size_t u, size_t k)
{
    char *key = m.keys[u][k];
    if (*key) {
        iam_ok(f, "DeleteAccessKey&UserName=%s&AccessKeyId=%s", name('u', u, m.user[u]), key);
        *key = '\0';
        return;
    }
    expect(iam(f, "CreateAccessKey&UserName=%s", name('u', u, m.user[u])), m.user[u] ? 200 : 404);
    if (m.user[u])
        (void)snprintf(key, sizeof m.keys[0][0], "%s", iam_copy(wm_json_get(f->answer, "AccessKey"), "AccessKeyId"));
}

static void look(struct fixture *f, size_t u, size_t g)
{
    expect(iam(f, "ListGroupsForUser&UserName=%s", name('u', u, m.user[u])), m.user[u] ? 200 : 404);
    if (m.user[u])
        assert_int_equal(wm_json_get(f->answer, "Groups")->count, groups_of(u));
    expect(iam(f, "GetGroup&GroupName=%s", name('g', g, m.group[g])), m.group[g] ? 200 : 404);
    if (m.group[g])
        assert_int_equal(wm_json_get(f->answer, "Users")->count, users_in(g));
    expect(iam(f, "ListAccessKeys&UserName=%s", name('u', u, m.user[u])), m.user[u] ? 200 : 404);
    if (m.user[u])
        assert_int_equal(wm_json_get(f->answer, "AccessKeyMetadata")->count, keys_of(u));
}

static void references_agree_after_any_calls(void **state)
{
    struct fixture *f = *state;
    const char *given = getenv("WAYMARK_TEST_SEED");
    seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
    print_message("WAYMARK_TEST_SEED=%u\n", seed);
    for (int i = 0; i < STEPS; i++) {
        size_t u = draw(USERS), g = draw(GROUPS);
        switch (draw(8)) {
        case 0:
            step_user(f, u);
            break;
        case 1:
        case 2:
            step_group(f, g);
            break;
        case 3:
        case 4:
        case 5:
            step_membership(f, u, g);
            break;
        case 6:
            step_key(f, u, draw(2));
            break;
        default:
            look(f, u, g);
        }
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(references_agree_after_any_calls, fixture_set_up, fixture_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
