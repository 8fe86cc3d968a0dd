/**
 * A compiled policy, for the files of this module: policy.c reads and checks, policy_pattern.c compares texts with
 * wildcards and variables, policy_condition.c has the condition operators, policy_principal.c those who call,
 * policy_evaluate.c decides, policy_place.c finds statements in the text.
 *
 * Everything lies in the policy's arena, with the JSON tree that its texts are part of.
 */
#ifndef WAYMARK_SERVER_POLICY_INT_H
#define WAYMARK_SERVER_POLICY_INT_H

#include "server/source_ip.h"
#include "waymark/arena.h"
#include "waymark/json.h"
#include "waymark/policy.h"

/* ---- texts with wildcards and variables ---- */

enum wm_policy_piece_kind {
    WM_PIECE_TEXT,     /* as it is */
    WM_PIECE_ANY,      /* "*": any characters, or none */
    WM_PIECE_ONE,      /* "?": one character */
    WM_PIECE_VARIABLE, /* "${key}": the key's value, as it is */
};

struct wm_policy_piece {
    enum wm_policy_piece_kind kind;
    struct wm_view text;     /* WM_PIECE_TEXT: the text; WM_PIECE_VARIABLE: the key's name */
    struct wm_view fallback; /* WM_PIECE_VARIABLE: "${key, 'fallback'}"; ptr is NULL when there is none */
};

struct wm_policy_pattern {
    const struct wm_policy_piece *pieces;
    size_t n_pieces;
    size_t n_variables; /* at most WM_MAX_POLICY_VARIABLES */
    size_t last_star;   /* which piece that is; 0 where there is none */
    size_t n_between;   /* "?" between the first one and it */
};

enum { /* how a pattern is read, and how it is compared */
    WM_PATTERN_WILDCARDS = 1 << 0,   /* * and ? mean what they mean */
    WM_PATTERN_VARIABLES = 1 << 1,   /* so does ${…} */
    WM_PATTERN_IGNORE_CASE = 1 << 2, /* of ASCII letters */
    WM_PATTERN_ARN = 1 << 3,         /* in the first five parts of an ARN, wildcards stop at colons */
};

/** @return WM_OK; WM_E_INVALID (*err says what is wrong with a variable); WM_E_NOMEM */
enum wm_status wm_policy_pattern_compile(struct wm_arena *a, struct wm_view text, unsigned how,
                                         struct wm_policy_pattern *out, struct wm_err *err) WM_MUST_CHECK;
/** False, too, when a variable has no value and no default. */
bool wm_policy_pattern_matches(const struct wm_policy_pattern *p, unsigned how, struct wm_view subject,
                               const struct wm_policy_request *q);

/* ---- conditions ---- */

/* A moment of a Date condition; years 1 to 9999. */
struct wm_policy_date {
    int64_t seconds;
    uint32_t ns;
};

union wm_policy_value {
    struct wm_policy_pattern pattern; /* String…, Arn…, Bool */
    struct wm_view text;              /* Numeric…, BinaryEquals */
    struct wm_policy_date date;
    bool boolean; /* Null */
    struct {
        struct wm_proxy_block block;
        bool v4;
    } ip;
};

enum wm_policy_quantifier { WM_FOR_ONE, WM_FOR_ANY, WM_FOR_ALL };

struct wm_policy_operator;

struct wm_policy_condition {
    const struct wm_policy_operator *op;
    enum wm_policy_quantifier quantifier;
    bool if_exists;
    struct wm_view key;
    union wm_policy_value *values;
    size_t n_values;
};

/** Operator, quantifier and if_exists by the operator's full name. False when there is none of that name. */
bool wm_policy_operator_find(struct wm_view name, struct wm_policy_condition *out);
/** Read one value. @return WM_OK; WM_E_INVALID (*err says what it must be); WM_E_NOMEM */
enum wm_status wm_policy_value_compile(struct wm_arena *a, const struct wm_policy_condition *c, struct wm_view text,
                                       bool variables, union wm_policy_value *out, struct wm_err *err) WM_MUST_CHECK;
bool wm_policy_operator_has_patterns(const struct wm_policy_condition *c);
bool wm_policy_condition_holds(const struct wm_policy_condition *c, const struct wm_policy_request *q);

/* ---- statements ---- */

struct wm_policy_patterns {
    struct wm_policy_pattern *all;
    size_t n;
    bool negated; /* NotAction, NotResource */
};

enum wm_policy_principal_kind {
    WM_PRINCIPAL_ANYONE,
    WM_PRINCIPAL_ACCOUNT, /* id: the account's */
    WM_PRINCIPAL_ARN,     /* id: a user's, a role's or a session's ARN */
    WM_PRINCIPAL_SERVICE, /* id: its name */
};

struct wm_policy_principal {
    enum wm_policy_principal_kind kind;
    struct wm_view id;
};

/** A principal of type "AWS" or "Service". False when it is none. */
bool wm_policy_principal_parse(struct wm_view type, struct wm_view id, struct wm_policy_principal *out);
/** Is the caller this principal, or part of it? */
bool wm_policy_principal_is(const struct wm_policy_principal *p, const struct wm_policy_request *q);
/** Not empty, and of ASCII letters, digits and these others only. */
bool wm_policy_letters(struct wm_view v, const char *others);

struct wm_policy_statement {
    struct wm_view sid;
    bool deny;
    struct wm_policy_patterns actions, resources; /* resources: of identity policies only */
    struct wm_policy_principal *principals;       /* of trust policies only */
    size_t n_principals;
    struct wm_policy_condition *conditions;
    size_t n_conditions;
    struct wm_policy_place start, end;
};

struct wm_policy {
    struct wm_arena arena;
    enum wm_policy_kind kind;
    struct wm_policy_statement *statements;
    size_t n_statements;
    struct wm_view *keys;
    size_t n_keys;
    size_t n_between; /* of all its patterns */
};

/** Fill in where the statements stand. @param member  position of "Statement" among the members of the document */
void wm_policy_find_places(struct wm_view text, size_t member, struct wm_policy_statement *statements, size_t n);

#endif
