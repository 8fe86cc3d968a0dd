"""What an IAM policy says, after the IAM User Guide: a second evaluator to hold the daemon's against.

It knows nothing of the daemon's: patterns are regular expressions, numbers Decimals, addresses the ipaddress module's.
It is slow and takes good policies only. Pages: "IAM JSON policy elements: Condition operators", "Single-valued vs.
multivalued context keys", "IAM policy elements: Variables and tags", "AWS JSON policy elements: Principal".
"""
import base64
import datetime
import ipaddress
import re
from decimal import Decimal

VARIABLE = re.compile(r"\$\{(?:([*?$])|\s*([^,}]+?)\s*(?:,\s*'([^']*)'\s*)?)\}")


class Unresolved(Exception):
    """A variable without a value and without a default: nothing is equal to it, or like it."""


def listed(value):
    return value if isinstance(value, list) else [value]


class Request:
    """keys: name to (values, may it have several?)"""

    def __init__(self, action, resource, keys, principal):
        self.action, self.resource, self.principal = action, resource, principal
        self.keys = {name.lower(): found for name, found in keys.items() if found[0]}

    def key(self, name):
        return self.keys.get(name.lower())

    def variable(self, name, default):
        values, multi = self.key(name) or ([], False)
        if len(values) == 1 and not multi:
            return values[0]
        if default is None:
            raise Unresolved
        return default


def tokens(text, request, variables, wildcards):
    """The text as a list of single characters, and of "*" and "?" as numbers 0 and 1."""
    out, at = [], 0
    while at < len(text):
        found = VARIABLE.match(text, at) if variables else None
        if found:
            literal, name, default = found.groups()
            out += list(literal or request.variable(name, default))
            at = found.end()
        else:
            out.append("*?".index(text[at]) if wildcards and text[at] in "*?" else text[at])
            at += 1
    return out


def expression(some):
    return "".join((".*", ".")[t] if isinstance(t, int) else re.escape(t) for t in some)


def fits(text, value, request, variables, wildcards=True, fold=False):
    try:
        some = tokens(text, request, variables, wildcards)
    except Unresolved:
        return False
    return bool(re.fullmatch(expression(some), value, re.S | (re.I | re.A if fold else 0)))


def arn_fits(text, value, request, variables):
    """Each of the six parts for itself; the last one may hold colons."""
    if text == "*":
        return True
    try:
        some = tokens(text, request, variables, True)
    except Unresolved:
        return False
    parts = [[]]
    for t in some:
        if t == ":" and len(parts) < 6:
            parts.append([])
        else:
            parts[-1].append(t)
    values = value.split(":", 5)
    return len(values) == len(parts) and all(re.fullmatch(expression(p), v, re.S) for p, v in zip(parts, values))


def number(text):
    return Decimal(text) if re.fullmatch(r"[+-]?[0-9]+(\.[0-9]+)?", text) else None


ISO = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?(Z|[+-]\d\d:\d\d))?)?)?", re.A)


def date(text):
    """Seconds since 1970, as a Decimal."""
    if re.fullmatch(r"[0-9]+", text) and len(text) != 4:
        return Decimal(text) if int(text) < 2**63 else None
    found = ISO.fullmatch(text)
    if not found:
        return None
    year, month, day, hour, minute, second = (int(g) if g else d for g, d in zip(found.groups(), (0, 1, 1, 0, 0, 0)))
    fraction, zone = found.group(7) or "0", found.group(8) or "Z"
    try:
        days = datetime.date(year, month, day).toordinal() - datetime.date(1970, 1, 1).toordinal()
        datetime.time(hour, minute, second)
        ahead = 0
        if zone != "Z":
            datetime.time(int(zone[1:3]), int(zone[4:6]))
            ahead = (int(zone[1:3]) * 60 + int(zone[4:6])) * (-60 if zone[0] == "-" else 60)
    except ValueError:
        return None
    return Decimal(days * 86400 + hour * 3600 + minute * 60 + second - ahead) + Decimal("0." + fraction)


def boolean(text):
    return {"true": True, "false": False}.get(text.lower())


def binary(text):
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return None


def address(text):
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


COMPARE = {"Equals": lambda a, b: a == b, "LessThan": lambda a, b: a < b, "LessThanEquals": lambda a, b: a <= b,
           "GreaterThan": lambda a, b: a > b, "GreaterThanEquals": lambda a, b: a >= b}


def value_fits(operator, ours, given, request, variables):
    """operator: without Not, IfExists and set."""
    if operator.startswith("String"):
        return fits(ours, given, request, variables, operator == "StringLike", operator.endswith("IgnoreCase"))
    if operator.startswith("Arn"):
        return arn_fits(ours, given, request, variables)
    if operator == "IpAddress":
        found = address(given)
        return found is not None and found in ipaddress.ip_network(ours, strict=False)
    if operator == "BinaryEquals":
        return binary(given) == binary(ours)
    if operator == "Bool":
        return boolean(given) is not None and fits(ours, given, request, variables, wildcards=False, fold=True)
    for family, read in (("Numeric", number), ("Date", date)):
        if operator.startswith(family):
            found = read(given)
            return found is not None and COMPARE[operator[len(family):]](found, read(ours))
    raise KeyError(operator)


def scalar(value):
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)


def condition_holds(operator, name, values, request, variables):
    values = [scalar(v) for v in listed(values)]
    key = request.key(name)
    if operator == "Null":
        return any(boolean(v) == (key is None) for v in values)
    sets, _, operator = operator.rpartition(":")
    if_exists = operator.endswith("IfExists")
    operator = operator.removesuffix("IfExists")
    negated = "Not" in operator
    operator = operator.replace("Not", "")

    def holds(given):
        return any(value_fits(operator, v, given, request, variables) for v in values) != negated

    if sets == "ForAllValues":
        return key is None or all(holds(v) for v in key[0])
    if sets == "ForAnyValue":
        return key is not None and any(holds(v) for v in key[0])
    if key is None:
        return negated or if_exists
    return not key[1] and holds(key[0][0])


def principal_fits(element, request, itself):
    if element == "*":
        return True
    who = request.principal
    if who["service"] and who["service"] in listed(element.get("Service", [])):
        return True
    for ours in listed(element.get("AWS", [])):
        root = re.fullmatch(r"(?:arn:aws:iam::)?(\d{12})(?::root)?", ours)
        if ours == "*" or (not root and ours in (who["arn"], who["roleArn"])):
            return True
        if root and root.group(1) == who["account"] and not itself:
            return True
    return False


def statement_applies(statement, request, variables, itself=False):
    def any_of(element, value, vars_too, fold):
        return any(fits(p, value, request, vars_too, fold=fold) for p in listed(statement[element]))

    for element, value, vars_too, fold in (("Action", request.action, False, True),
                                           ("Resource", request.resource, variables, False)):
        if element in statement and not any_of(element, value, vars_too, fold):
            return False
        if "Not" + element in statement and any_of("Not" + element, value, vars_too, fold):
            return False
    if "Principal" in statement and not principal_fits(statement["Principal"], request, itself):
        return False
    return all(condition_holds(operator, name, values, request, variables)
               for operator, keys in statement.get("Condition", {}).items() for name, values in keys.items())


def evaluate(policy, request):
    """"allow", "deny" or "none"; the statement that decides; all that apply; is the caller named itself?"""
    variables = policy.get("Version") == "2012-10-17"
    statements = listed(policy["Statement"])
    apply = [statement_applies(s, request, variables) for s in statements]
    named = any(s["Effect"] == "Allow" and "Principal" in s and statement_applies(s, request, variables, True)
                for s in statements)
    for effect in ("Deny", "Allow"):
        for i, s in enumerate(statements):
            if apply[i] and s["Effect"] == effect:
                return effect.lower(), i, apply, named
    return "none", None, apply, named
