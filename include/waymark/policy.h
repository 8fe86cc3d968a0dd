/**
 * IAM policies: read once, then asked for every call whether they allow it.
 *
 * A policy is compiled when it is stored (or read from the state) and from then on immutable: any number of threads may
 * evaluate it. Evaluating allocates nothing, does no I/O, and takes at most time in proportion to the policy's length
 * times that of the texts it is compared with.
 *
 *     struct wm_policy *p;
 *     if (wm_policy_compile(text, WM_POLICY_IDENTITY, &p, &err) == WM_E_INVALID)
 *         … MalformedPolicyDocument, with err.message …
 *     switch (wm_policy_evaluate(p, &request, NULL)) { … }
 *     wm_policy_free(p);
 *
 * It says what one policy says. What several of them mean together is the caller's: a DENY of any of them is final,
 * and a session policy or a permissions boundary must ALLOW as well as the identity's own policies.
 *
 * Source: IAM User Guide, "IAM JSON policy elements reference" with its pages on condition operators, on "Conditions
 * with multiple context keys or values", and "Variables and tags". Where these leave something open, the file that
 * decides it says so at its head.
 *
 * @thread any   @locks none
 */
#ifndef WAYMARK_POLICY_H
#define WAYMARK_POLICY_H

#include "waymark/buf.h"
#include "waymark/status.h"

struct wm_policy;

enum wm_policy_kind {
    WM_POLICY_IDENTITY, /* of a user, group, role or session: Resource is required, there is no Principal */
    WM_POLICY_TRUST,    /* who may assume a role: Principal is required, there is no Resource; actions are STS's */
};

/**
 * Read and check a policy.
 * @param text  JSON; not kept, neither is it referred to
 * @param out   set only on WM_OK; the caller's, for wm_policy_free()
 * @return WM_OK; WM_E_INVALID (*err says which statement, which element, and what it must be: a sentence for
 *         MalformedPolicyDocument); WM_E_LIMIT (longer than WM_MAX_POLICY_BYTES or WM_MAX_POLICY_CHARACTERS, nested
 *         deeper than WM_MAX_JSON_DEPTH); WM_E_NOMEM
 */
enum wm_status wm_policy_compile(struct wm_view text, enum wm_policy_kind kind, struct wm_policy **out,
                                 struct wm_err *err) WM_MUST_CHECK;
void wm_policy_free(struct wm_policy *p); /* NULL allowed */
/** The memory that it takes up. */
size_t wm_policy_bytes(const struct wm_policy *p);

/**
 * Characters of a policy as IAM's quotas count them: without the blanks between JSON's tokens (IAM and AWS STS quotas:
 * "IAM doesn't count white space"). The quotas differ by who owns the policy and are the caller's to check.
 */
size_t wm_policy_size(struct wm_view text);

/** A key of the request's context, "aws:SourceIp" or "aws:ResourceTag/Team". Names are compared without their case. */
struct wm_policy_key {
    struct wm_view name;
    const struct wm_view *values; /* numbers, dates (ISO 8601 or Unix seconds), booleans as text too */
    size_t n_values;              /* 0: as if the key were not there */
    bool multi; /* may have several values, such as aws:TagKeys: no variable is replaced by it, and operators need
                   ForAnyValue or ForAllValues */
};

/** What is to be decided. Nothing in it is kept. */
struct wm_policy_request {
    struct wm_view action;   /* "mediapackage:CreateChannel"; compared without regard to case */
    struct wm_view resource; /* ARN, or "*" where the operation has no resource */
    const struct wm_policy_key *keys;
    size_t n_keys;
    struct {                       /* who asks; only trust policies look at it */
        struct wm_view arn;        /* of the user, the root ("…:root") or the session ("…:assumed-role/ROLE/SESSION") */
        struct wm_view role_arn;   /* of a session: the ARN of its role, path and all; else empty */
        struct wm_view unique_id;  /* AIDA… of the user, AROA… of a session's role; else empty */
        struct wm_view account_id; /* empty when a service asks */
        struct wm_view service;    /* "trail.amazonaws.com" when a service asks, else empty */
    } principal;
};

enum wm_policy_effect {
    WM_POLICY_NONE, /* no statement applies: an implicit deny, unless another policy allows */
    WM_POLICY_ALLOW,
    WM_POLICY_DENY, /* explicit; beats every allow */
};

/**
 * What one policy says to a request.
 * @param out_statement  index of the statement that decided, from 0: the first that denies, else the first that allows.
 *                       Untouched by WM_POLICY_NONE; NULL allowed
 */
enum wm_policy_effect wm_policy_evaluate(const struct wm_policy *p, const struct wm_policy_request *q,
                                         size_t *out_statement);

/**
 * Does an allowing statement of a trust policy that applies name the caller itself (or everyone, or the service), and
 * not only its account? In one account, whoever is named needs no further permission; an account that is named only
 * delegates, and the caller's own policies must allow the action too (IAM User Guide, "Policy evaluation logic").
 */
bool wm_policy_names_principal(const struct wm_policy *p, const struct wm_policy_request *q);

/* ---- for simulation and for explaining a decision ---- */

/** A place in the text, as SimulatePrincipalPolicy counts: line and column from 1, columns in characters. */
struct wm_policy_place {
    unsigned line, column;
};

struct wm_policy_statement_info {
    struct wm_view sid; /* empty when it has none; the policy's memory */
    bool deny;
    struct wm_policy_place start, end; /* StartPosition: behind the opening brace; EndPosition: behind the closing */
};

size_t wm_policy_n_statements(const struct wm_policy *p);
/** @param i  below wm_policy_n_statements() */
struct wm_policy_statement_info wm_policy_statement_info(const struct wm_policy *p, size_t i);
/** Does this statement apply, whatever the others say? MatchedStatements lists all that do. */
bool wm_policy_statement_applies(const struct wm_policy *p, size_t i, const struct wm_policy_request *q);

/** Context keys that conditions and variables refer to, each once, spelled as where it stands first, in that order. */
size_t wm_policy_n_keys(const struct wm_policy *p);
/** @param i  below wm_policy_n_keys() */
struct wm_view wm_policy_key(const struct wm_policy *p, size_t i);
/** A key of the request by its name, as evaluation finds it; NULL when it is absent or has no value. */
const struct wm_policy_key *wm_policy_request_key(const struct wm_policy_request *q, struct wm_view name);

#endif
