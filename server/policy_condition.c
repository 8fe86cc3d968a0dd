/*
 * Condition operators (IAM User Guide, "IAM JSON policy elements: Condition operators"): one row each, what a value of
 * theirs may be, and when they hold.
 *
 * Left open by the Guide, decided here:
 * - A value of the request that does not have the operator's form (a number "abc") equals nothing: NumericEquals and
 *   its like do not hold, NumericNotEquals does, as for a key that is missing.
 * - A key that may have several values, and an operator without ForAnyValue or ForAllValues: it does not hold, negated
 *   or not ("Multivalued context keys require a condition set operator"), except where the key is missing.
 * - ForAnyValue:…IfExists and a missing key: false, as without IfExists, since there is no value that fits.
 * - A date of four digits is a year, any other number is Unix seconds.
 * - Numbers are decimal, of any length, without an exponent, and compared exactly.
 * - BinaryEquals compares base64 with base64: there is no key whose value is not text.
 * - ArnEquals is ArnLike, as the Guide says; "*" alone is any text.
 */
#include "server/policy_int.h"

#include "waymark/bounds.h"
#include "waymark/clock.h"
#include "waymark/hash.h"

#include "waymark/banned.h"

enum family { STRING, NUMERIC, DATE, BOOLEAN, BINARY, IP, ARN, NULLITY };
enum relation { EQUAL, LESS, LESS_EQUAL, GREATER, GREATER_EQUAL };

struct wm_policy_operator {
    const char *name;
    enum family family;
    enum relation relation;
    unsigned how; /* STRING, ARN, BOOLEAN: WM_PATTERN_… */
    bool negated;
};

static const struct wm_policy_operator operators[] = {
    {"StringEquals", STRING, EQUAL, 0, false},
    {"StringNotEquals", STRING, EQUAL, 0, true},
    {"StringEqualsIgnoreCase", STRING, EQUAL, WM_PATTERN_IGNORE_CASE, false},
    {"StringNotEqualsIgnoreCase", STRING, EQUAL, WM_PATTERN_IGNORE_CASE, true},
    {"StringLike", STRING, EQUAL, WM_PATTERN_WILDCARDS, false},
    {"StringNotLike", STRING, EQUAL, WM_PATTERN_WILDCARDS, true},
    {"NumericEquals", NUMERIC, EQUAL, 0, false},
    {"NumericNotEquals", NUMERIC, EQUAL, 0, true},
    {"NumericLessThan", NUMERIC, LESS, 0, false},
    {"NumericLessThanEquals", NUMERIC, LESS_EQUAL, 0, false},
    {"NumericGreaterThan", NUMERIC, GREATER, 0, false},
    {"NumericGreaterThanEquals", NUMERIC, GREATER_EQUAL, 0, false},
    {"DateEquals", DATE, EQUAL, 0, false},
    {"DateNotEquals", DATE, EQUAL, 0, true},
    {"DateLessThan", DATE, LESS, 0, false},
    {"DateLessThanEquals", DATE, LESS_EQUAL, 0, false},
    {"DateGreaterThan", DATE, GREATER, 0, false},
    {"DateGreaterThanEquals", DATE, GREATER_EQUAL, 0, false},
    {"Bool", BOOLEAN, EQUAL, WM_PATTERN_IGNORE_CASE, false},
    {"BinaryEquals", BINARY, EQUAL, 0, false},
    {"IpAddress", IP, EQUAL, 0, false},
    {"NotIpAddress", IP, EQUAL, 0, true},
    {"ArnEquals", ARN, EQUAL, WM_PATTERN_WILDCARDS | WM_PATTERN_ARN, false},
    {"ArnNotEquals", ARN, EQUAL, WM_PATTERN_WILDCARDS | WM_PATTERN_ARN, true},
    {"ArnLike", ARN, EQUAL, WM_PATTERN_WILDCARDS | WM_PATTERN_ARN, false},
    {"ArnNotLike", ARN, EQUAL, WM_PATTERN_WILDCARDS | WM_PATTERN_ARN, true},
    {"Null", NULLITY, EQUAL, 0, false},
};

bool wm_policy_operator_find(struct wm_view name, struct wm_policy_condition *out)
{
    static const char suffix[] = "IfExists";
    struct wm_view base = name, set = wm_view_split(&base, ':');
    enum wm_policy_quantifier quantifier = WM_FOR_ONE;
    if (!base.ptr)
        base = set;
    else if (wm_view_ieq_str(set, "ForAnyValue"))
        quantifier = WM_FOR_ANY;
    else if (wm_view_ieq_str(set, "ForAllValues"))
        quantifier = WM_FOR_ALL;
    else
        return false;
    size_t cut = base.len > sizeof suffix - 1 ? base.len - (sizeof suffix - 1) : base.len;
    bool if_exists = wm_view_ieq_str(wm_view_sub(base, cut, base.len), suffix);
    if (if_exists)
        base = wm_view_sub(base, 0, cut);
    for (size_t i = 0; i < sizeof operators / sizeof operators[0]; i++) {
        const struct wm_policy_operator *op = &operators[i];
        if (!wm_view_ieq_str(base, op->name))
            continue;
        if (op->family == NULLITY && (if_exists || quantifier != WM_FOR_ONE))
            return false; /* "any condition operator name except the Null condition" */
        out->op = op;
        out->quantifier = quantifier;
        out->if_exists = if_exists;
        return true;
    }
    return false;
}

/* ---- the forms of values ---- */

static size_t count_digits(struct wm_view v)
{
    size_t n = 0;
    while (n < v.len && v.ptr[n] >= '0' && v.ptr[n] <= '9')
        n++;
    return n;
}

struct number { /* digits without leading zeros before the point and without trailing ones behind it */
    bool negative;
    struct wm_view whole, fraction;
};

static bool number_parse(struct wm_view v, struct number *out)
{
    out->negative = wm_view_starts(v, "-");
    if (out->negative || wm_view_starts(v, "+"))
        v = wm_view_sub(v, 1, v.len);
    size_t n = count_digits(v);
    out->whole = wm_view_sub(v, 0, n);
    out->fraction = WM_EMPTY;
    v = wm_view_sub(v, n, v.len);
    if (v.len) {
        out->fraction = wm_view_sub(v, 1, v.len);
        if (v.ptr[0] != '.' || !out->fraction.len || count_digits(out->fraction) != out->fraction.len)
            return false;
    }
    if (!n)
        return false;
    while (out->whole.len && out->whole.ptr[0] == '0')
        out->whole = wm_view_sub(out->whole, 1, out->whole.len);
    while (out->fraction.len && out->fraction.ptr[out->fraction.len - 1] == '0')
        out->fraction.len--;
    if (!out->whole.len && !out->fraction.len)
        out->negative = false;
    return true;
}

static int number_cmp(const struct number *a, const struct number *b)
{
    if (a->negative != b->negative)
        return a->negative ? -1 : 1;
    int order;
    if (a->whole.len != b->whole.len)
        order = a->whole.len < b->whole.len ? -1 : 1;
    else if ((order = wm_view_cmp(a->whole, b->whole)) == 0)
        order = wm_view_cmp(a->fraction, b->fraction);
    return a->negative ? -order : order;
}

/* Exactly n digits off the front, within [min, max]. */
static bool take_number(struct wm_view *v, size_t n, uint64_t min, uint64_t max, int64_t *out)
{
    uint64_t number;
    if (v->len < n || wm_view_to_u64(wm_view_sub(*v, 0, n), max, &number) != WM_OK || number < min)
        return false;
    *v = wm_view_sub(*v, n, v->len);
    *out = (int64_t)number;
    return true;
}

static bool take_char(struct wm_view *v, char c)
{
    if (!v->len || v->ptr[0] != c)
        return false;
    *v = wm_view_sub(*v, 1, v->len);
    return true;
}

/* "Z", "+01:00": seconds that the time is ahead of UTC */
static bool take_zone(struct wm_view *v, int64_t *out_ahead)
{
    int64_t hours, minutes;
    *out_ahead = 0;
    if (take_char(v, 'Z'))
        return true;
    bool west = v->len && v->ptr[0] == '-';
    if ((!take_char(v, '+') && !take_char(v, '-')) || !take_number(v, 2, 0, 23, &hours) || !take_char(v, ':') ||
        !take_number(v, 2, 0, 59, &minutes))
        return false;
    *out_ahead = (west ? -1 : 1) * (hours * 3600 + minutes * 60);
    return true;
}

/* ".123": more than nine digits are cut */
static bool take_fraction(struct wm_view *v, uint32_t *out_ns)
{
    *out_ns = 0;
    if (!take_char(v, '.'))
        return true;
    size_t n = count_digits(*v);
    for (size_t i = 0; i < 9; i++)
        *out_ns = *out_ns * 10 + (i < n ? (uint32_t)(v->ptr[i] - '0') : 0);
    *v = wm_view_sub(*v, n, v->len);
    return n > 0;
}

static bool day_exists(int64_t year, int64_t month, int64_t day)
{
    int64_t next_year = month == 12 ? year + 1 : year, next_month = month == 12 ? 1 : month + 1;
    return day <= wm_days_from_civil(next_year, next_month, 1) - wm_days_from_civil(year, month, 1);
}

/* W3C note "Date and Time Formats", which the Guide refers to: year, month, day, minute, second or fraction of it. */
static bool iso_parse(struct wm_view v, struct wm_policy_date *out)
{
    int64_t year, month = 1, day = 1, hour = 0, minute = 0, second = 0, ahead = 0;
    uint32_t ns = 0;
    if (!take_number(&v, 4, 1, 9999, &year) || (take_char(&v, '-') && !take_number(&v, 2, 1, 12, &month)) ||
        (take_char(&v, '-') && !take_number(&v, 2, 1, 31, &day)) || !day_exists(year, month, day))
        return false;
    if (take_char(&v, 'T')) {
        if (!take_number(&v, 2, 0, 23, &hour) || !take_char(&v, ':') || !take_number(&v, 2, 0, 59, &minute))
            return false;
        if (take_char(&v, ':') && (!take_number(&v, 2, 0, 59, &second) || !take_fraction(&v, &ns)))
            return false;
        if (!take_zone(&v, &ahead))
            return false;
    }
    out->seconds = wm_days_from_civil(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - ahead;
    out->ns = ns;
    return v.len == 0;
}

static bool date_parse(struct wm_view v, struct wm_policy_date *out)
{
    uint64_t seconds;
    if (v.len != 4 && v.len && count_digits(v) == v.len) {
        if (wm_view_to_u64(v, INT64_MAX, &seconds) != WM_OK)
            return false;
        *out = (struct wm_policy_date){.seconds = (int64_t)seconds};
        return true;
    }
    return iso_parse(v, out);
}

static int date_cmp(const struct wm_policy_date *a, const struct wm_policy_date *b)
{
    if (a->seconds != b->seconds)
        return a->seconds < b->seconds ? -1 : 1;
    return a->ns == b->ns ? 0 : a->ns < b->ns ? -1 : 1;
}

static bool boolean_parse(struct wm_view v, bool *out)
{
    *out = wm_view_ieq_str(v, "true");
    return *out || wm_view_ieq_str(v, "false");
}

static bool is_v4(struct wm_view address)
{
    return wm_view_find(address, ':') == address.len;
}

/* There is one spelling per value, so that equal bytes are equal texts. */
static enum wm_status base64_check(struct wm_view v, struct wm_err *err)
{
    struct wm_buf decoded;
    wm_buf_init(&decoded, WM_MAX_POLICY_BYTES);
    enum wm_status status = wm_base64_decode(v, &decoded);
    wm_buf_done(&decoded);
    return status == WM_E_INVALID ? wm_fail(err, status, "must be base64") : status;
}

/* ---- reading the policy's values ---- */

bool wm_policy_operator_has_patterns(const struct wm_policy_condition *c)
{
    return c->op->family == STRING || c->op->family == ARN || c->op->family == BOOLEAN;
}

/* Variables may hold any part of an ARN, so the six parts are asked for only where there is none. */
static enum wm_status arn_compile(struct wm_arena *a, const struct wm_policy_operator *op, struct wm_view text,
                                  unsigned variables, struct wm_policy_pattern *out, struct wm_err *err)
{
    enum wm_status status = wm_policy_pattern_compile(a, text, op->how | variables, out, err);
    if (status != WM_OK || out->n_variables || wm_view_eq_str(text, "*"))
        return status;
    size_t colons = 0;
    for (size_t i = 0; i < text.len; i++)
        colons += text.ptr[i] == ':';
    if (colons < 5)
        return wm_fail(err, WM_E_INVALID, "must be an ARN of six parts, or \"*\"");
    return WM_OK;
}

enum wm_status wm_policy_value_compile(struct wm_arena *a, const struct wm_policy_condition *c, struct wm_view text,
                                       bool variables, union wm_policy_value *out, struct wm_err *err)
{
    struct number number;
    bool boolean;
    enum wm_status status;
    unsigned with_variables = variables ? WM_PATTERN_VARIABLES : 0;
    switch (c->op->family) {
    case STRING:
        return wm_policy_pattern_compile(a, text, c->op->how | with_variables, &out->pattern, err);
    case ARN:
        return arn_compile(a, c->op, text, with_variables, &out->pattern, err);
    case NUMERIC:
        out->text = text;
        return number_parse(text, &number) ? WM_OK : wm_fail(err, WM_E_INVALID, "must be a decimal number");
    case DATE:
        return date_parse(text, &out->date)
                   ? WM_OK
                   : wm_fail(err, WM_E_INVALID, "must be a date in ISO 8601's form or in Unix seconds");
    case BOOLEAN: /* the only one beside texts and ARNs that takes variables */
        status = wm_policy_pattern_compile(a, text, c->op->how | with_variables, &out->pattern, err);
        if (status == WM_OK && !out->pattern.n_variables && !boolean_parse(text, &boolean))
            status = wm_fail(err, WM_E_INVALID, "must be true or false");
        return status;
    case NULLITY:
        return boolean_parse(text, &out->boolean) ? WM_OK : wm_fail(err, WM_E_INVALID, "must be true or false");
    case BINARY:
        out->text = text;
        return base64_check(text, err);
    case IP:
        out->ip.v4 = is_v4(text);
        return wm_proxy_block_parse(text, &out->ip.block, NULL) == WM_OK
                   ? WM_OK
                   : wm_fail(err, WM_E_INVALID, "must be an IP address or a CIDR block");
    }
    return WM_E_INVALID; /* not reached: the switch has every family */
}

/* ---- asking ---- */

static bool relation_holds(enum relation relation, int order)
{
    switch (relation) {
    case EQUAL:
        return order == 0;
    case LESS:
        return order < 0;
    case LESS_EQUAL:
        return order <= 0;
    case GREATER:
        return order > 0;
    case GREATER_EQUAL:
        return order >= 0;
    }
    return false;
}

static bool pattern_fits(const struct wm_policy_operator *op, const struct wm_policy_pattern *p, struct wm_view given,
                         const struct wm_policy_request *q)
{
    bool anything = p->n_pieces == 1 && p->pieces[0].kind == WM_PIECE_ANY;
    return anything || wm_policy_pattern_matches(p, op->how, given, q);
}

static bool number_fits(enum relation relation, struct wm_view given, struct wm_view ours)
{
    struct number a, b;
    return number_parse(given, &a) && number_parse(ours, &b) && relation_holds(relation, number_cmp(&a, &b));
}

static bool date_fits(enum relation relation, struct wm_view given, const struct wm_policy_date *ours)
{
    struct wm_policy_date date;
    return date_parse(given, &date) && relation_holds(relation, date_cmp(&date, ours));
}

/* Does a value of the request fit this one of the policy, negation left aside? */
static bool value_fits(const struct wm_policy_condition *c, const union wm_policy_value *v, struct wm_view given,
                       const struct wm_policy_request *q)
{
    const struct wm_policy_operator *op = c->op;
    bool boolean;
    switch (op->family) {
    case STRING:
    case ARN:
        return pattern_fits(op, &v->pattern, given, q);
    case NUMERIC:
        return number_fits(op->relation, given, v->text);
    case DATE:
        return date_fits(op->relation, given, &v->date);
    case BOOLEAN:
        return boolean_parse(given, &boolean) && wm_policy_pattern_matches(&v->pattern, op->how, given, q);
    case BINARY:
        return wm_view_eq(given, v->text);
    case IP: /* an IPv4 address is in no block of IPv6, though it could be written as one */
        return is_v4(given) == v->ip.v4 && wm_proxy_block_has(&v->ip.block, given);
    case NULLITY:
        break; /* has no values to compare */
    }
    return false;
}

static bool any_fits(const struct wm_policy_condition *c, struct wm_view given, const struct wm_policy_request *q)
{
    for (size_t i = 0; i < c->n_values; i++)
        if (value_fits(c, &c->values[i], given, q))
            return true;
    return false;
}

static bool null_holds(const struct wm_policy_condition *c, bool absent)
{
    for (size_t i = 0; i < c->n_values; i++)
        if (c->values[i].boolean == absent)
            return true;
    return false;
}

static bool set_holds(const struct wm_policy_condition *c, const struct wm_policy_key *key,
                      const struct wm_policy_request *q)
{
    bool all = c->quantifier == WM_FOR_ALL;
    for (size_t i = 0; key && i < key->n_values; i++)
        if ((any_fits(c, key->values[i], q) != c->op->negated) != all)
            return !all; /* one that fits is enough for any, one that does not for not all */
    return all;
}

bool wm_policy_condition_holds(const struct wm_policy_condition *c, const struct wm_policy_request *q)
{
    const struct wm_policy_key *key = wm_policy_request_key(q, c->key);
    if (c->op->family == NULLITY)
        return null_holds(c, !key);
    if (c->quantifier != WM_FOR_ONE)
        return set_holds(c, key, q);
    if (!key)
        return c->if_exists || c->op->negated;
    return key->n_values == 1 && !key->multi && any_fits(c, key->values[0], q) != c->op->negated;
}
