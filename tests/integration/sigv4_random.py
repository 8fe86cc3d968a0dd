#!/usr/bin/env python3
"""Holds our SigV4 against botocore's on random requests.

    sigv4_random.py SIGV4_CHECK [--seed N] [--requests N]

Requests signed by botocore must be accepted; each of them with one change that a signature covers must be refused;
and what we sign must be, byte for byte, what botocore signs. The seed is printed, so that a failure can be repeated.
Exit status 77 (skipped) where botocore is not installed.
"""

import argparse
import base64
import datetime
import random
import string
import subprocess
import sys
import time
from urllib.parse import quote, urlsplit

try:
    import botocore
    import botocore.auth
    import botocore.session
    from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth, SigV4QueryAuth
    from botocore.awsrequest import AWSRequest, AWSResponse
    from botocore.config import Config
    from botocore.credentials import Credentials
except ImportError:
    print("botocore is not installed: skipped")
    sys.exit(77)

NOW = [0]
ODD = "abcXYZ019-._~:@!$&'()*+,;=/?# %\"<>[]{}|^`\\"
WIDE = "äöüßéλжשあ中😀\u200b"
SAFE_IN_PATH = "abcXYZ019-._~:@!$&'()*+,;="
SAFE_IN_QUERY = "abcXYZ019-._~:@!$'()*,;/?+"


class FixedClock:
    """botocore asks this for the time, so that both sides sign at the same moment."""

    @staticmethod
    def now(*_):
        return datetime.datetime.fromtimestamp(NOW[0], datetime.timezone.utc).replace(tzinfo=None)


if hasattr(botocore.auth, "get_current_datetime"):
    botocore.auth.get_current_datetime = FixedClock.now
else:
    class _Datetime(datetime.datetime):
        @classmethod
        def utcnow(cls):
            return FixedClock.now()
    botocore.auth.datetime = type("module", (), {"datetime": _Datetime})


class Signed:
    """One request as it goes over the wire, and what the server knows beside it."""

    def __init__(self, s3, method, path, query, body, headers, credentials, region, service, presigned):
        self.s3, self.method, self.path, self.query, self.body = s3, method, path, query, body
        self.headers, self.region, self.service = headers, region, service
        self.secret, self.key_id, self.now = credentials.secret_key, credentials.access_key, NOW[0]
        self.presigned = presigned

    def copy(self):
        other = object.__new__(Signed)
        other.__dict__.update(self.__dict__)
        other.headers = list(self.headers)
        return other

    def header(self, name):
        for n, v in self.headers:
            if n.lower() == name:
                return v
        return None

    def signed_names(self):
        if self.presigned:
            for pair in self.query.split("&"):
                if pair.startswith("X-Amz-SignedHeaders="):
                    return pair.split("=", 1)[1].replace("%3B", ";").split(";")
        authorization = self.header("authorization")
        return authorization.split("SignedHeaders=")[1].split(",")[0].split(";")

    def fields(self):
        fields = ["verify", "s3" if self.s3 else "other", str(self.now), self.method, self.path, self.query, self.body,
                  self.secret, self.region, self.service]
        for name, value in self.headers:
            fields += [name, value]
        return fields


def line(fields):
    return b"\t".join(base64.b64encode(f if isinstance(f, bytes) else f.encode()) for f in fields)


def text(rnd, alphabet, low=1, high=12):
    return "".join(rnd.choice(alphabet) for _ in range(rnd.randint(low, high)))


def lower_hex(rnd, encoded):
    """Some of the escapes in small letters: another spelling of the same text."""
    out = encoded.split("%")
    return out[0] + "".join("%" + (p[:2].lower() if rnd.random() < 0.5 else p[:2]) + p[2:] for p in out[1:])


def random_segment(rnd):
    kind = rnd.randrange(8)
    if kind < 3:
        return text(rnd, string.ascii_letters + string.digits + "-_", 1, 20)
    if kind == 3:
        return quote(text(rnd, ODD), safe="")
    if kind == 4:
        return quote(text(rnd, WIDE, 1, 4), safe="")
    if kind == 5:
        return text(rnd, SAFE_IN_PATH)
    if kind == 6:
        arn = "arn:aws:mediapackage:us-east-1:111122223333:channels/" + text(rnd, string.ascii_letters)
        return quote(arn, safe="")
    return quote(text(rnd, ODD), safe="-_.~")


def random_path(rnd, dots):
    segments = [random_segment(rnd) for _ in range(rnd.randint(0, 4))]
    if dots:
        for _ in range(rnd.randint(1, 3)):
            segments.insert(rnd.randint(0, len(segments)), rnd.choice([".", "..", ""]))
    return "/" + "/".join(segments) + ("/" if rnd.random() < 0.2 else "")


def random_query(rnd, raw):
    pairs = []
    for _ in range(rnd.randint(0, 6)):
        name = text(rnd, ODD + string.ascii_letters, 1, 8) if rnd.random() < 0.7 else "tagKeys"
        value = rnd.choice(["", text(rnd, ODD), text(rnd, WIDE, 1, 3), "a", "+", "a b"])
        pairs.append((name, value))
        if rnd.random() < 0.2:
            pairs.append((name, rnd.choice([value, "", text(rnd, ODD)])))
    rnd.shuffle(pairs)
    out = []
    for name, value in pairs:
        if raw and rnd.random() < 0.4:
            name = text(rnd, SAFE_IN_QUERY.replace("=", ""))
            value = text(rnd, SAFE_IN_QUERY, 0)
        else:
            name, value = quote(name, safe="-_.~"), quote(value, safe="-_.~")
            if raw:
                name, value = lower_hex(rnd, name), lower_hex(rnd, value)
        out.append(name if value == "" and rnd.random() < 0.5 else name + "=" + value)
    return "&".join(out)


def random_headers(rnd):
    headers = []
    if rnd.random() < 0.6:
        headers.append(("Content-Type", rnd.choice(["application/json", "application/x-amz-json-1.1",
                                                    "application/x-www-form-urlencoded; charset=utf-8"])))
    if rnd.random() < 0.3:
        headers.append(("X-Amz-Target", "CloudTrail_20131101." + text(rnd, string.ascii_letters)))
    if rnd.random() < 0.2:
        headers.append(("x-amzn-query-mode", "true"))
    for _ in range(rnd.randint(0, 3)):
        name = "X-" + text(rnd, string.ascii_letters + string.digits + "-", 1, 14) + "h"
        value = text(rnd, string.ascii_letters + "  \t,;=\"'", 0, 30)
        headers.append((name, value))
        if rnd.random() < 0.3:
            headers.append((rnd.choice([name, name.lower(), name.upper()]), text(rnd, string.ascii_letters + " ")))
    if rnd.random() < 0.1:
        headers.append(("X-Long", text(rnd, string.ascii_letters + " ", 500, 2000)))
    rnd.shuffle(headers)
    return headers


def random_credentials(rnd):
    token = None
    if rnd.random() < 0.3:
        token = base64.b64encode(rnd.randbytes(rnd.choice([20, 300, 600]))).decode()
    secret = text(rnd, string.ascii_letters + string.digits + "+/", 16, 64)
    return Credentials("AKIA" + text(rnd, string.ascii_uppercase + "234567", 16, 16), secret, token)


def random_signed(rnd, pool):
    """A random request, signed by botocore."""
    s3, presigned = rnd.random() < 0.3, rnd.random() < 0.25
    credentials = rnd.choice(pool)
    region = rnd.choice(["us-east-1", "eu-central-1", "cn-north-1"])
    service = "s3" if s3 else rnd.choice(["mediapackage", "cloudtrail", "monitoring", "sts"])
    method = rnd.choice(["GET", "PUT", "POST", "DELETE", "HEAD"])
    body = b"" if method in ("GET", "HEAD", "DELETE") else rnd.randbytes(rnd.choice([0, 1, 57, 300]))
    host = rnd.choice(["127.0.0.1:8080", "localhost", "mediapackage.us-east-1.amazonaws.com", "[::1]:9000"])
    path = random_path(rnd, rnd.random() < 0.2)
    query = random_query(rnd, rnd.random() < 0.3)
    headers = random_headers(rnd)
    signed_host = host
    if rnd.random() < 0.1:
        signed_host = host.rsplit(":", 1)[0] if host[-1].isdigit() and ":" in host else host  # as Ruby SDK v1 does
    if presigned:
        # botocore itself would lose repeated names here; a presigned URL keeps the order it is made with
        headers = [h for h in headers if h[0] != "Content-Type"]
        query = "&".join(p for p in query.split("&") if len(p.partition("=")[0]) and "+" not in p)
        seen = {}
        for pair in query.split("&") if query else []:
            seen.setdefault(pair.partition("=")[0].lower(), pair)
        query = "&".join(seen.values())
    request = AWSRequest(method=method, url="https://" + signed_host + path + ("?" + query if query else ""),
                         data=None if presigned else body)
    request.headers["Host"] = signed_host
    for name, value in headers:
        request.headers[name] = value
    if not presigned and rnd.random() < 0.15:
        request.headers["Date"] = "now"  # botocore then signs the Date header, without X-Amz-Date
    if s3 and not presigned and rnd.random() < 0.3:
        request.context["payload_signing_enabled"] = False
    if presigned:
        signer = (S3SigV4QueryAuth if s3 else SigV4QueryAuth)(credentials, service, region, rnd.choice([1, 60, 604800]))
        body = b"" if not s3 else body
    else:
        signer = (S3SigV4Auth if s3 else SigV4Auth)(credentials, service, region)
    signer.add_auth(request)
    parts = urlsplit(request.url)
    sent = [(n, v) for n, v in request.headers.items() if n.lower() != "host"]
    sent.insert(rnd.randint(0, len(sent)), ("Host", host))
    unsigned = [("User-Agent", "Boto3/1.43.11  md/Botocore"), ("X-Amzn-Trace-Id", "Root=1-5f"), ("Connection", "close"),
                ("Expect", "100-continue")]
    sent += rnd.sample(unsigned, rnd.randint(0, 2)) if not s3 else [unsigned[0]]
    path = request.url[len("https://" + signed_host):].partition("?")[0]
    signed = Signed(s3, method, path, parts.query, body, sent, credentials, region, service, presigned)
    if not presigned and rnd.random() < 0.2:  # Net::Amazon::Signature::V4 puts no blank behind the commas
        edit_header(signed, "authorization", lambda v: v.replace(", ", ","))
    return signed


# ---- one change each ----

def edit_header(signed, name, change):
    for i, (n, v) in enumerate(signed.headers):
        if n.lower() == name:
            signed.headers[i] = (n, change(v))
            return True
    return False


def other_char(rnd, s, alphabet=string.ascii_lowercase):
    """s with one letter or digit, that belongs to no escape, replaced."""
    places = [i for i, c in enumerate(s) if c.isalnum() and c.isascii() and "%" not in s[max(0, i - 2):i]]
    if not places:
        return None
    at = rnd.choice(places)
    return s[:at] + rnd.choice([c for c in alphabet if c != s[at]]) + s[at + 1:]


def change_path(rnd, s):
    path = other_char(rnd, s.path)
    if path is None:
        path = s.path + "x"
    if not s.s3 and botocore.utils.normalize_url_path(path) == botocore.utils.normalize_url_path(s.path):
        return False
    s.path = path
    return True


def change_path_escape(rnd, s):
    if "%3A" not in s.path or s.s3:
        return False
    if any(p in ("..",) for p in s.path.split("/")):
        return False
    s.path = s.path.replace("%3A", ":", 1)  # twice encoded, the two differ
    return True


def change_method(_, s):
    s.method = "PATCH"
    return True


def change_body(rnd, s):
    hashed = s.header("x-amz-content-sha256")
    if hashed == "UNSIGNED-PAYLOAD" or (s.s3 and s.presigned):
        return False
    s.body = s.body + b"x" if rnd.random() < 0.5 or not s.body else s.body[:-1]
    return True


def add_pair(rnd, s):
    pair = rnd.choice(["zz=1", "a", "a=%20", "tagKeys=other"])
    s.query = s.query + "&" + pair if s.query else pair
    return True


def drop_pair(rnd, s):
    pairs = [p for p in s.query.split("&") if p]
    if not pairs:
        return False
    pairs.pop(rnd.randrange(len(pairs)))
    s.query = "&".join(pairs)
    return True


def change_pair(rnd, s):
    pairs = s.query.split("&")
    at = rnd.randrange(len(pairs))
    changed = other_char(rnd, pairs[at])
    if changed is None:
        return False
    pairs[at] = changed
    s.query = "&".join(pairs)
    return True


def change_header(rnd, s):
    names = [n for n in s.signed_names() if n != "host"]
    if not names:
        return False
    name = rnd.choice(names)
    return edit_header(s, name, lambda v: v + "x")


def change_host(_, s):
    return edit_header(s, "host", lambda v: "x" + v)


def drop_header(rnd, s):
    name = rnd.choice(s.signed_names())
    before = len(s.headers)
    s.headers = [(n, v) for n, v in s.headers if n.lower() != name]
    return len(s.headers) < before


def repeat_header(rnd, s):
    name = rnd.choice(s.signed_names())
    s.headers.append((name, rnd.choice(["", "x"])))
    return True


def change_secret(rnd, s):
    s.secret = other_char(rnd, s.secret)
    return True


def change_signature(rnd, s):
    def edit(v):
        at = v.index("Signature=") + len("Signature=") + rnd.randrange(64)
        return v[:at] + rnd.choice([c for c in "0123456789abcdef" if c != v[at]]) + v[at + 1:]
    if s.presigned:
        s.query = edit(s.query)
        return True
    return edit_header(s, "authorization", edit)


def change_scope(rnd, s):
    def edit(v):
        date = FixedClock.now().strftime("%Y%m%d")
        # the key id itself is not signed: another one means another secret
        old = rnd.choice([date, s.region, "aws4_request", "/" + s.service + "/"])
        if s.presigned:
            old = old.replace("/", "%2F")
        return v.replace(old, other_char(rnd, old, string.digits), 1)
    if s.presigned:
        before, sep, after = s.query.partition("X-Amz-Credential=")
        s.query = before + sep + edit(after)
        return True
    return edit_header(s, "authorization", edit)


def wait_too_long(_, s):
    s.now += 8 * 24 * 3600
    return True


def be_early(_, s):
    s.now -= 16 * 60
    return True


def unsigned_target(_, s):
    if s.header("x-amz-target"):
        return False
    s.headers.append(("X-Amz-Target", "CloudTrail_20131101.DeleteTrail"))
    return True


CHANGES = [change_path, change_path_escape, change_method, change_body, add_pair, drop_pair, change_pair,
           change_header, change_host, drop_header, repeat_header, change_secret, change_signature, change_scope,
           wait_too_long, be_early, unsigned_target]


# ---- our signatures ----

def sign_question(rnd, pool):
    """What both sides sign, and botocore's answer."""
    s3 = rnd.random() < 0.5
    credentials = rnd.choice(pool)
    service = "s3" if s3 else "mediapackage"
    method, body = rnd.choice(["GET", "PUT"]), rnd.randbytes(rnd.choice([0, 40]))
    host = "127.0.0.1:9000"
    path = random_path(rnd, not s3 and rnd.random() < 0.2)
    if s3:  # botocore signs an S3 path as it is, so give it one that is encoded as S3 wants it
        path = quote("/" + "/".join(text(rnd, ODD.replace("/", "") + WIDE) for _ in range(3)), safe="/-_.~")
    query = random_query(rnd, False)
    query = "&".join(p for p in query.split("&") if p.partition("=")[0])
    headers = random_headers(rnd)
    request = AWSRequest(method=method, url="https://" + host + path + ("?" + query if query else ""), data=body)
    for name, value in headers:
        request.headers[name] = value
    request.headers["Host"] = host
    (S3SigV4Auth if s3 else SigV4Auth)(credentials, service, "us-east-1").add_auth(request)
    fields = ["sign", "s3" if s3 else "other", str(NOW[0]), method, path, query, body, credentials.secret_key,
              "us-east-1", service, credentials.access_key, credentials.token or ""]
    for name, value in request.headers.items():
        if name.lower() not in ("authorization", "x-amz-date", "x-amz-security-token"):
            fields += [name, value]
    return fields, request.headers["Authorization"] + "\t" + request.headers["X-Amz-Date"]


# ---- real clients ----

def client_requests(rnd):
    """Requests of real boto3-style clients, caught just before they would be sent."""
    caught = []
    credentials = random_credentials(rnd)
    session = botocore.session.Session()

    def catch(request, **_):
        caught.append(request)
        return AWSResponse(request.url, 200, {}, type("Raw", (), {"stream": lambda *a, **k: iter([b"{}"]),
                                                                  "read": lambda *a: b"{}"})())

    def client(name):
        c = session.create_client(name, region_name="us-east-1", endpoint_url="http://127.0.0.1:8080",
                                  aws_access_key_id=credentials.access_key,
                                  aws_secret_access_key=credentials.secret_key,
                                  aws_session_token=credentials.token, config=Config(retries={"max_attempts": 0}))
        c.meta.events.register("before-send", catch)
        return c

    def call(operation, **parameters):
        try:
            operation(**parameters)
        except Exception:  # the answer {} fits no XML protocol; the request is what counts
            pass

    out = []
    mediapackage, cloudtrail, sts, s3 = map(client, ["mediapackage", "cloudtrail", "sts", "s3"])
    for _ in range(25):
        odd, wide = text(rnd, ODD), text(rnd, WIDE, 1, 3)
        arn = "arn:aws:mediapackage:us-east-1:111122223333:channels/" + odd
        call(mediapackage.describe_channel, Id=odd)
        call(mediapackage.create_channel, Id=odd, Description=wide, Tags={odd: wide})
        call(mediapackage.untag_resource, ResourceArn=arn, TagKeys=[odd, wide, "a", "", "a", "+"])
        call(mediapackage.tag_resource, ResourceArn=arn, Tags={"k": wide})
        call(mediapackage.list_channels, MaxResults=rnd.randint(1, 99), NextToken=odd + wide)
        call(cloudtrail.get_trail, Name=odd)
        call(sts.get_caller_identity)
        call(s3.put_object, Bucket="bucket", Key=odd + "/" + wide, Body=odd.encode(), Metadata={"k": "a  b"})
        call(s3.list_objects_v2, Bucket="bucket", Prefix=odd, StartAfter=wide, Delimiter="/")
    for request in caught:
        parts = urlsplit(request.url)
        headers = [(n, v.decode() if isinstance(v, bytes) else str(v)) for n, v in request.headers.items()]
        if not any(n.lower() == "host" for n, _ in headers):
            headers.append(("Host", parts.netloc))
        authorization = [v for n, v in headers if n.lower() == "authorization"][0]
        service = authorization.split("/")[3]
        body = request.body or b""
        if hasattr(body, "read"):
            body.seek(0)
            body = body.read()
        body = body.encode() if isinstance(body, str) else bytes(body)
        if service == "s3" and request.headers.get("x-amz-content-sha256", "").startswith(b"STREAMING"):
            continue
        out.append(Signed(service == "s3", request.method, request.url.partition(parts.netloc)[2].partition("?")[0],
                          parts.query, body, headers, credentials, "us-east-1", service, False))
    if len(out) < 200:
        sys.exit(f"only {len(out)} requests of real clients were caught")
    return out


def ask(program, questions):
    got = subprocess.run([program], input=b"\n".join(line(q) for q in questions) + b"\n", stdout=subprocess.PIPE,
                         check=True)
    answers = got.stdout.decode("utf-8", "replace").split("\n")[:-1]
    if len(answers) != len(questions):
        sys.exit(f"{len(questions)} questions, {len(answers)} answers")
    return answers


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--requests", type=int, default=4000)
    options = parser.parse_args()
    print(f"seed {options.seed}, botocore {botocore.__version__}", flush=True)
    rnd = random.Random(options.seed)
    NOW[0] = int(time.time())
    started = time.monotonic()
    failures = 0

    def complain(what, signed, answer):
        nonlocal failures
        failures += 1
        if failures <= 5:
            print(f"FAILED: {what}\n  answer: {answer}\n  request: {signed.__dict__}")

    pool = [random_credentials(rnd) for _ in range(40)]
    good = [random_signed(rnd, pool) for _ in range(options.requests)] + client_requests(rnd)
    for signed, answer in zip(good, ask(options.program, [s.fields() for s in good])):
        if answer != f"OK\t{signed.key_id}\t":
            complain("a good request was refused", signed, answer)

    bad, counts = [], {}
    for signed in good:
        for _ in range(5):
            change = rnd.choice(CHANGES)
            changed = signed.copy()
            if change(rnd, changed):
                bad.append((change.__name__, changed))
                counts[change.__name__] = counts.get(change.__name__, 0) + 1
                break
    for (name, signed), answer in zip(bad, ask(options.program, [s.fields() for _, s in bad])):
        if answer.startswith("OK\t") or not answer.split("\t")[2]:
            complain(f"{name} was accepted, or refused without a reason", signed, answer)
    missing = [c.__name__ for c in CHANGES if c.__name__ not in counts]
    if missing and options.requests >= 1000:
        print(f"FAILED: never tried: {missing}")
        failures += 1

    questions = [sign_question(rnd, pool) for _ in range(options.requests // 2)]
    for (fields, want), answer in zip(questions, ask(options.program, [f for f, _ in questions])):
        if answer != want:
            failures += 1
            if failures <= 5:
                print(f"FAILED: our signature\n  {answer}\n  is not botocore's\n  {want}\n  of {fields}")

    print(f"{len(good)} requests accepted, {len(bad)} changed ones refused, {len(questions)} signed alike, "
          f"{failures} failures, {time.monotonic() - started:.1f} s")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
