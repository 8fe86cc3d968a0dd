/* Texts with wildcards and variables, against a matcher that tries everything. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "server/policy_int.h"
#include "waymark/bounds.h"

#include "waymark/banned.h"

#define VARIABLE "${k:a}"
#define VALUE "ab"

static unsigned random_state;

static unsigned draw(unsigned below)
{
    random_state = random_state * 1103515245u + 12345u;
    return (random_state >> 16) % below;
}

static size_t character(const char *s)
{
    size_t n = 1;
    while (((unsigned char)s[n] & 0xc0) == 0x80)
        n++;
    return n;
}

/* By the Guide's words: "*" is any characters or none, "?" one; in the first parts of an ARN neither is a colon. */
static bool fits(const char *pattern, const char *s, unsigned how, unsigned colons)
{
    if (strncmp(pattern, VARIABLE, strlen(VARIABLE)) == 0) {
        char text[200];
        (void)snprintf(text, sizeof text, VALUE "%s", pattern + strlen(VARIABLE)); /* fits */
        return fits(text, s, how, colons);
    }
    bool takes = *s && !(colons && *s == ':');
    if (*pattern == '*')
        return fits(pattern + 1, s, how, colons) || (takes && fits(pattern, s + character(s), how, colons));
    if (*pattern == '?')
        return takes && fits(pattern + 1, s + character(s), how, colons);
    if (*pattern == '\0' || *s == '\0')
        return *pattern == *s;
    bool same = *pattern == *s || (how & WM_PATTERN_IGNORE_CASE && (*pattern ^ *s) == ('a' ^ 'A'));
    return same && fits(pattern + 1, s + 1, how, colons - (colons && *s == ':'));
}

static void fill(char *out, const char *const *from, unsigned n, unsigned most)
{
    *out = '\0';
    for (unsigned i = draw(most); i > 0; i--) {
        const char *next = from[draw(n)];
        memcpy(out + strlen(out), next, strlen(next) + 1);
    }
}

static void any_pattern_matches_what_it_says(void **state)
{
    static const char *const texts[] = {"a", "b", "a", ":", "\xe2\x82\xac", "\xc3\xa4", "A", "ab"};
    static const char *const pieces[] = {"*", "*", "?", "a", "b", "a", ":", "\xe2\x82\xac", "\xc3\xa4", "A", VARIABLE};
    static const unsigned hows[] = {0, WM_PATTERN_IGNORE_CASE, WM_PATTERN_ARN};
    struct wm_view value = WM_LIT(VALUE);
    struct wm_policy_key key = {.name = WM_LIT("k:a"), .values = &value, .n_values = 1};
    struct wm_policy_request q = {.keys = &key, .n_keys = 1};
    unsigned seed = (unsigned)time(NULL), matched = 0;
    struct wm_arena a;
    (void)state;
    print_message("seed %u\n", seed);
    random_state = seed;
    wm_arena_init(&a, 1u << 20);
    for (unsigned i = 0; i < 200000; i++) {
        char pattern[160], subject[80];
        unsigned how = hows[draw(3)];
        struct wm_policy_pattern p;
        fill(pattern, pieces, sizeof pieces / sizeof pieces[0], 12);
        fill(subject, texts, sizeof texts / sizeof texts[0], 14);
        wm_arena_clear(&a);
        assert_int_equal(wm_policy_pattern_compile(&a, wm_view_of(pattern), WM_PATTERN_WILDCARDS | WM_PATTERN_VARIABLES,
                                                   &p, NULL), WM_OK);
        bool want = fits(pattern, subject, how, how & WM_PATTERN_ARN ? 5 : 0);
        if (wm_policy_pattern_matches(&p, how, wm_view_of(subject), &q) != want)
            fail_msg("\"%s\" and \"%s\", how %u: %d is wrong", pattern, subject, how, !want);
        matched += want;
    }
    wm_arena_done(&a);
    assert_true(matched > 5000);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(any_pattern_matches_what_it_says)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
