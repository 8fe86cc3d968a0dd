#!/usr/bin/env python3
"""Random policies and requests: the daemon's evaluation (tests/support/policy_check.c) against iam_policy.py's.

    policy_random.py PROGRAM [--seed N] [--requests N]

Requests are made of the policies they are put to, so that many fit. Where the two differ, the smallest policy and
request are shown that they still differ on.
"""
import argparse
import base64
import collections
import copy
import json
import random
import subprocess
import sys
import time

import iam_policy

NAMES = ["ann", "bob", "a", "b", "ab", "Ann", "*", "x:y", "\u00e4", "a*b", "", "arn:aws:s3:::", "arn:aws:s3", "true",
         "FALSE"]
KEYS = ["aws:username", "aws:PrincipalTag/team", "aws:RequestTag/Team", "aws:ResourceTag/team", "k:a"]
SETS = ["aws:TagKeys", "k:set"]
WORDS = ["a", "b", "ab", "ba", "aab", "\u00e4", ":", "/", "-", "A"]
ACTIONS = ["s3:GetObject", "s3:PutObject", "s3:PutObjectTagging", "mediapackage:DescribeChannel", "iam:GetUser"]
ACCOUNTS = ["111122223333", "444455556666"]
FAMILIES = {
    "String": ["StringEquals", "StringNotEquals", "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase", "StringLike",
               "StringNotLike"],
    "Numeric": ["NumericEquals", "NumericNotEquals", "NumericLessThan", "NumericLessThanEquals", "NumericGreaterThan",
                "NumericGreaterThanEquals"],
    "Date": ["DateEquals", "DateNotEquals", "DateLessThan", "DateLessThanEquals", "DateGreaterThan",
             "DateGreaterThanEquals"],
    "Bool": ["Bool"],
    "Binary": ["BinaryEquals"],
    "Ip": ["IpAddress", "NotIpAddress"],
    "Arn": ["ArnEquals", "ArnNotEquals", "ArnLike", "ArnNotLike"],
    "Null": ["Null"],
}


def family_of(operator):
    bare = operator.rpartition(":")[2].removesuffix("IfExists")
    return next(f for f, all_of in FAMILIES.items() if bare in all_of)


def one_or_more(rnd, make, most=3):
    if rnd.random() < 0.6:
        return make()
    return [make() for _ in range(rnd.randint(1, most))]


def variable(rnd):
    name = rnd.choice(KEYS + SETS[:1])
    if rnd.random() < 0.2:
        name = name.upper()
    default = rnd.choice(["", "", ",'a'", ", 'none'", ", ''", ", 'a}b'"])
    return "${" + name + default + "}"


def pattern(rnd, wildcards=True, variables=True):
    out = []
    for _ in range(rnd.randint(1, 5)):
        kind = rnd.random()
        if kind < 0.2 and wildcards:
            out.append(rnd.choice("**?"))
        elif kind < 0.35 and variables:
            out.append(rnd.choice([variable(rnd)] * 3 + ["${*}", "${?}", "${$}", "$"]))
        else:
            out.append(rnd.choice(WORDS))
    return "".join(out)


def arn(rnd, resource):
    return ":".join(["arn", rnd.choice(["aws", "aws", "aws", "*"]), rnd.choice(["s3", "s3", "mediapackage"]),
                     rnd.choice(["", "*", "us-east-1", "*a", "a*b", "?"]),
                     rnd.choice(["", "*", "1111*", "*a", "?"] + ACCOUNTS[:1]), resource])


def policy_value(rnd, operator):
    family = family_of(operator)
    if family == "String":
        return pattern(rnd) if rnd.random() < 0.8 else rnd.choice(["a", "true", 1, True])
    if family == "Numeric":
        return rnd.choice([0, 1, -1, -2.5, "-10", "10", "010", "+1", "1.50", 1.5, "-0.0", "123456789012345678901", 2])
    if family == "Date":
        return rnd.choice(["2026-03-01T10:00:00Z", "2026-03-01T11:00:00+01:00", "2026-03-01", "2026-03", "2026",
                           "2026-03-01T10:00Z", "2026-03-01T10:00:00.250Z", 1772359200, "0", "1969-12-31T23:59:59Z"])
    if family == "Bool" and rnd.random() < 0.2:
        return "${k:a}"
    if family in ("Bool", "Null"):
        return rnd.choice([True, False, "true", "False", "TRUE"])
    if family == "Binary":
        return base64.b64encode(rnd.choice([b"a", b"ab", b"abc", b""])).decode()
    if family == "Ip":
        return rnd.choice(["10.0.0.0/8", "10.1.2.3", "10.1.0.0/15", "0.0.0.0/0", "::/0", "2001:db8::/33", "2001:DB8::1",
                           "10.1.2.3/31"])
    return rnd.choice(["*", "${k:a}", arn(rnd, "a*"), arn(rnd, pattern(rnd)), arn(rnd, "?:*"), "${k:a}*"])


def condition(rnd):
    operator = rnd.choice(FAMILIES[rnd.choice(list(FAMILIES) + ["String", "Arn"])])
    name = rnd.choice(KEYS + SETS)
    if operator != "Null":
        sets = rnd.random() < (0.8 if name in SETS else 0.1)
        operator = (rnd.choice(["ForAnyValue:", "ForAllValues:"]) if sets else "") + operator
        operator += rnd.choice(["", "", "IfExists"])
    if rnd.random() < 0.2:
        name = name.swapcase()
    return operator, name, one_or_more(rnd, lambda: policy_value(rnd, operator))


def action_pattern(rnd, services):
    action = rnd.choice([a for a in ACTIONS if a.partition(":")[0] in services] or [services[0] + ":AssumeRole"])
    service, _, name = action.partition(":")
    cut = rnd.randint(0, len(name))
    name = rnd.choice([name, name[:cut] + "*", "*" + name[cut:], name.replace("e", "?"), "*", name.lower()])
    return service + ":" + (name or "*")


def principal(rnd):
    def aws():
        account = rnd.choice(ACCOUNTS)
        return rnd.choice(["*", account, f"arn:aws:iam::{account}:root", f"arn:aws:iam::{account}:user/ann",
                           f"arn:aws:iam::{account}:role/x/R", f"arn:aws:sts::{account}:assumed-role/R/S"])
    kind = rnd.random()
    if kind < 0.15:
        return "*"
    out = {"AWS": one_or_more(rnd, aws)} if kind < 0.9 else {}
    if kind > 0.7:
        out["Service"] = one_or_more(rnd, lambda: rnd.choice(["trail.amazonaws.com", "x.amazonaws.com"]))
    return out


def statement(rnd, kind):
    out = {"Effect": rnd.choice(["Allow", "Allow", "Deny"])}
    conditions = rnd.choice([0, 1, 1, 2])
    if rnd.random() < 0.3:  # a condition decides alone
        conditions = 1
        out.update({"Action": "sts:*", "Principal": "*"} if kind == "trust" else {"Action": "*", "Resource": "*"})
    elif kind == "trust":
        out["Action"] = one_or_more(rnd, lambda: action_pattern(rnd, ["sts"]))
        out["Principal"] = principal(rnd)
    else:
        services = ["s3", "mediapackage", "iam"]
        out[rnd.choice(["Action"] * 3 + ["NotAction"])] = one_or_more(
            rnd, lambda: rnd.choice(["*", action_pattern(rnd, services), action_pattern(rnd, services)]))
        out[rnd.choice(["Resource"] * 3 + ["NotResource"])] = one_or_more(
            rnd, lambda: rnd.choice(["*", arn(rnd, pattern(rnd)), arn(rnd, pattern(rnd)), "arn:aws:s3:*"]))
    for _ in range(conditions):
        operator, name, values = condition(rnd)
        out.setdefault("Condition", {}).setdefault(operator, {})[name] = values
    return out


def policy(rnd, kind):
    statements = [statement(rnd, kind) for _ in range(rnd.randint(1, 3))]
    bare = '"${k:a}' in json.dumps(statements)  # an ARN or a boolean only where variables are
    out = {"Version": "2012-10-17" if bare or rnd.random() < 0.8 else "2008-10-17"}
    out["Statement"] = statements if len(statements) > 1 or rnd.random() < 0.5 else statements[0]
    return out


def instance(rnd, text, keys):
    """A text that the pattern might fit: variables and wildcards replaced by something, sometimes one letter off."""
    def value(found):
        literal, name, default = found.groups()
        if literal:
            return literal
        values = next((v for k, (v, _) in keys.items() if k.lower() == name.lower()), [])
        return values[0] if values else default or "a"
    if rnd.random() < 0.95:
        text = iam_policy.VARIABLE.sub(value, text)
    out = "".join(rnd.choice(["", "a", "b/a", "a:b", "\u00e4"]) if c == "*" else rnd.choice(["a", "b", "\u00e4", ":"])
                  if c == "?" else c for c in text)
    if rnd.random() < 0.15 and out:
        at = rnd.randrange(len(out))
        out = out[:at] + rnd.choice(["", "a", "B", ":", out[at].swapcase()]) + out[at + 1:]
    return out


def near(rnd, operator, value, keys):
    """A value of the request for a condition's."""
    family, text = family_of(operator), iam_policy.scalar(value)
    if family in ("String", "Arn"):
        return instance(rnd, text, keys).swapcase() if rnd.random() < 0.1 else instance(rnd, text, keys)
    if family == "Ip":
        return rnd.choice(["10.1.2.3", "10.1.2.2", "10.2.0.1", "11.0.0.1", "2001:db8::1", "2001:db8:8000::1", "nobody"])
    if family in ("Bool", "Null"):
        return rnd.choice(["true", "false", "True", "yes"])
    return rnd.choice([text] * 3 + [iam_policy.scalar(policy_value(rnd, operator)) for _ in range(3)]
                      + ([] if family == "Binary" else ["", "x", "1.", "2026-02-30"]))


def request(rnd, kind, asked):
    keys = {}
    for name in rnd.sample(KEYS, rnd.randint(0, len(KEYS))):
        keys[name] = ([rnd.choice(NAMES)], False)
    for name in SETS:
        keys[name] = ([rnd.choice(NAMES) for _ in range(rnd.randint(0, 2))], True)
    statements = iam_policy.listed(asked["Statement"])
    for s in statements:
        for operator, wanted in s.get("Condition", {}).items():
            for name, values in wanted.items():
                name = next(n for n in KEYS + SETS if n.lower() == name.lower())
                if rnd.random() < 0.2:
                    continue
                make = lambda v=iam_policy.listed(values), o=operator: near(rnd, o, rnd.choice(v), keys)
                keys[name] = ([make() for _ in range(rnd.randint(0, 3))], True) if name in SETS else ([make()], False)
    s = rnd.choice(statements)
    account = rnd.choice(ACCOUNTS)
    who = rnd.choice([(f"arn:aws:iam::{account}:user/ann", "", account, ""),
                      (f"arn:aws:sts::{account}:assumed-role/R/S", f"arn:aws:iam::{account}:role/x/R", account, ""),
                      (f"arn:aws:iam::{account}:root", "", account, ""), ("", "", "", "trail.amazonaws.com")])
    action = rnd.choice(iam_policy.listed(s.get("Action") or s["NotAction"]))
    action = action.replace("*", "s3:Get" if action == "*" else "Get").replace("?", "e")
    action = rnd.choice([rnd.choice(ACTIONS), action])
    resource = "*"
    if kind == "identity" and rnd.random() < 0.9:
        resource = instance(rnd, rnd.choice(iam_policy.listed(s.get("Resource") or s["NotResource"])), keys)
    return {"action": action, "resource": resource,
            "principal": dict(zip(("arn", "roleArn", "account", "service"), who)),
            "keys": [{"name": n.swapcase() if rnd.random() < 0.1 else n, "values": v, "multi": m}
                     for n, (v, m) in keys.items()]}


# ---- both answers ----

def ask(program, questions):
    lines = [json.dumps({"kind": k, "policy": json.dumps(p, ensure_ascii=False), "request": r}, ensure_ascii=False)
             for k, p, r in questions]
    got = subprocess.run([program], input="\n".join(lines) + "\n", stdout=subprocess.PIPE, encoding="utf-8", check=True)
    answers = got.stdout.split("\n")[:-1]
    if len(answers) != len(questions):
        sys.exit(f"{len(questions)} questions, {len(answers)} answers")
    return answers


def expected(kind, asked, r):
    q = iam_policy.Request(r["action"], r["resource"], {k["name"]: (k["values"], k["multi"]) for k in r["keys"]},
                           r["principal"])
    effect, decides, apply, named = iam_policy.evaluate(asked, q)
    return " ".join([effect, "-" if decides is None else str(decides), "".join("01"[a] for a in apply),
                     "named" if named and kind == "trust" else "-"])


def smaller(value):
    """Every value that is this one with one part left out."""
    if isinstance(value, dict):
        for name, part in value.items():
            if name not in ("Effect", "Version", "Statement"):
                yield {n: p for n, p in value.items() if n != name}
            for less in smaller(part):
                yield {**value, name: less}
    elif isinstance(value, list):
        for i, part in enumerate(value):
            if len(value) > 1:
                yield value[:i] + value[i + 1:]
            for less in smaller(part):
                yield value[:i] + [less] + value[i + 1:]


def shrink(program, kind, asked, r):
    while True:
        tries = [(kind, p, r) for p in smaller(asked)]
        tries += [(kind, asked, {**r, "keys": r["keys"][:i] + r["keys"][i + 1:]}) for i in range(len(r["keys"]))]
        for question, answer in zip(tries, ask(program, tries) if tries else []):
            try:
                differs = not answer.startswith("refused") and answer != expected(*question)
            except (KeyError, ValueError, TypeError, AttributeError):
                differs = False
            if differs:
                _, asked, r = copy.deepcopy(question)
                break
        else:
            return asked, r


# ---- what was tried ----

def count(kind, asked, r, seen):
    q = iam_policy.Request(r["action"], r["resource"], {k["name"]: (k["values"], k["multi"]) for k in r["keys"]},
                           r["principal"])
    variables = asked["Version"] == "2012-10-17"
    for s in iam_policy.listed(asked["Statement"]):
        seen[kind, s["Effect"], iam_policy.statement_applies(s, q, variables)] += 1
        for operator, wanted in s.get("Condition", {}).items():
            for name, values in wanted.items():
                held = iam_policy.condition_holds(operator, name, values, q, variables)
                seen[operator.rpartition(":")[2].removesuffix("IfExists"), held] += 1
                seen[operator.rpartition(":")[0], operator.endswith("IfExists"), q.key(name) is not None, held] += 1


def never_tried(seen):
    wanted = [(o, held) for f in FAMILIES.values() for o in f for held in (True, False)]
    wanted += [(k, e, a) for k in ("identity", "trust") for e in ("Allow", "Deny") for a in (True, False)]
    wanted += [(sets, if_exists, True, held) for sets in ("", "ForAnyValue", "ForAllValues")
               for if_exists in (True, False) for held in (True, False)]
    return [w for w in wanted if not seen[w]]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--requests", type=int, default=6000)
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    rnd = random.Random(options.seed)
    started = time.monotonic()
    questions, seen, failures = [], collections.Counter(), 0
    while len(questions) < options.requests:
        kind = rnd.choice(["identity", "identity", "identity", "trust"])
        asked = policy(rnd, kind)
        questions += [(kind, asked, request(rnd, kind, asked)) for _ in range(3)]
    answers = ask(options.program, questions)
    effects = collections.Counter(a.split(" ")[0] for a in answers)
    for question, answer in zip(questions, answers):
        want = expected(*question)
        count(*question, seen)
        if answer == want:
            continue
        failures += 1
        if failures <= 3:
            kind, asked, r = question
            if not answer.startswith("refused"):
                asked, r = shrink(options.program, kind, asked, r)
                answer, want = ask(options.program, [(kind, asked, r)])[0], expected(kind, asked, r)
            print(f"FAILED: {answer!r} is not {want!r}\n  {kind} policy: {json.dumps(asked)}\n"
                  f"  request: {json.dumps(r)}")
    missing = never_tried(seen)
    if missing and options.requests >= 3000:
        print(f"FAILED: never tried: {missing}")
        failures += 1
    print(f"{len(questions)} requests, {dict(effects)}, {failures} failures, {time.monotonic() - started:.1f} s")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
