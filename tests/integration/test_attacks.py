"""Every attack of attacks.py is named by both our verifiers, with the same lines; docs/tampering.md has what they and
the AWS CLI say of each. `test_attacks.py` run by itself prints that page."""
import collections
import concurrent.futures
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zlib

import pytest

from attacks import ATTACKS, Attacked, good_chain
from chain import ACCOUNT, BUCKET, DAY, FIRST_END, REGION, TRAIL, Key, public_keys
from harness import REDUCED, SOURCE, TOOL, VERIFY_SCRIPT, clean_environment, sanitizer_options
from validate_logs import ValidateLogs

PAGE = os.path.join(SOURCE, "docs", "tampering.md")
ARN = f"arn:aws:cloudtrail:{REGION}:{ACCOUNT}:trail/{TRAIL}"


class Good:
    """One good chain, its keys, and the checkpoint that was taken of it."""

    def __init__(self, folder, codec):
        self.folder = str(folder)
        self.keys = {name: Key(self.folder, name, FIRST_END + start * DAY)
                     for name, start in (("now", -10), ("past", -70), ("next", 40), ("stranger", -10))}
        self.public = public_keys(os.path.join(self.folder, "public-keys.json"),
                                  *(self.keys[name] for name in ("past", "now", "next")))
        self.trail, self.other = good_chain(os.path.join(self.folder, "good"), self.keys, codec)
        self.checkpoint = os.path.join(self.folder, "checkpoint")
        verdict = verify(TOOL, self.trail.bucket.folder, self.public, self.checkpoint)
        assert verdict[0] == 0, verdict

    def attacked(self, attack, folder):
        """What the verifiers are given, and what they must find."""
        os.makedirs(folder)
        bucket, public = os.path.join(folder, "bucket"), os.path.join(folder, "public-keys.json")
        shutil.copy(self.public, public)
        trail = self.trail.copy_to(bucket)
        t = Attacked(folder, trail, self.other.copy_in(trail.bucket), self.keys, public)
        return t, attack(t)


def verify(tool, target, public, checkpoint=None, **environment):
    """Exit status, lines, and what was said on stderr."""
    command = [tool, *(["verify"] if tool == TOOL else []), target, "--public-keys", public, "--json"]
    if checkpoint:
        command += ["--checkpoint", checkpoint]
    run = subprocess.run(command, capture_output=True, text=True, check=False,
                         env=clean_environment(**sanitizer_options(), **environment))
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    for line in lines:
        for own in ("records", "filesResumed"):  # only waymark verify counts them
            line.pop(own, None)
    return run.returncode, lines, run.stderr


def both(t, checkpoint):
    """What both verifiers say; each has its own copy of the checkpoint, and must leave it as it was."""
    tools = [TOOL] if REDUCED else [TOOL, VERIFY_SCRIPT]
    copies = [checkpoint and shutil.copy(checkpoint, os.path.join(t.folder, f"checkpoint{n}")) for n in range(2)]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda tool, copy: verify(tool, t.bucket.folder, t.public, copy), tools, copies))


def findings(lines):
    return sorted((line["kind"], line["key"]) for line in lines if line["type"] == "finding")


# ---- what the AWS CLI says -------------------------------------------------------------------------------------------

def aws_says(validate, t):
    """Its exit status, and what it calls invalid, in short."""
    status, output = validate(t.bucket.folder, t.public, BUCKET, ARN, "2026-03-01T00:00:00Z", "2026-03-03T00:00:00Z")
    lines = re.findall(r"^(Digest|Log) file\t\S+\tINVALID: ([^\n(]*?)(?: in region.*)?$", output, re.M)
    parts = [f"{kind.lower()} {what}" + (f" ({count})" if count > 1 else "")
             for (kind, what), count in sorted(collections.Counter(lines).items())]
    if not parts and "No digests found" in output:
        parts = ["\"No digests found\", status 0"]
    if status not in (0, 1):
        parts = [output.strip().splitlines()[-1]]
    return status, "; ".join(parts) or "nothing"


def row(attack, expected, aws):
    kinds = ", ".join(f"`{kind}`" for kind in dict.fromkeys(kind for kind, _ in expected))
    if attack.rc == 2:
        kinds = "refuse the keys (exit code 2)"
    return f"| {attack.__doc__} | {kinds or 'nothing'}{' (checkpoint)' if attack.pinned else ''} | {aws[1]} |"


def page(rows):
    """rows: {attack: row, whether the AWS CLI saw it}"""
    harmful = [a for a in rows if a.rc]
    seen = sum(rows[a][1] for a in harmful)
    text = f"""# Tampering, and who sees it

{len(harmful)} ways to tamper with a trail (and one change that is none), each done to a good chain by `tests/integration/attacks.py`.
Both our verifiers name all {len(harmful)}, with the same lines. The AWS CLI 1.45.11 (`aws cloudtrail validate-logs`) sees {seen}.

The kinds of findings are explained in [verification.md](verification.md). Those marked "checkpoint" are seen only by who
has the `--checkpoint` of an earlier run: nothing in the bucket tells of them. What the AWS CLI says is in its own words, with
the number of objects where it is more than one.

This page is what `test_attacks.py` prints when it is run by itself; as a test it holds the page against what is said.
"""
    for group in dict.fromkeys(a.group for a in rows):
        text += f"\n## {group}\n\n| What is done | Our verifiers | AWS CLI |\n| --- | --- | --- |\n"
        text += "".join(rows[a][0] + "\n" for a in rows if a.group == group)
    return text


# ---- tests -----------------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return Good(tmp_path_factory.mktemp("attacks"), "gz")


@pytest.fixture(scope="module")
def validate():
    with ValidateLogs() as v:
        yield v


@pytest.fixture(scope="module")
def committed():
    with open(PAGE, encoding="utf-8") as f:
        return f.read()


def test_the_good_chain_is_good(good, validate, tmp_path):
    t, _ = good.attacked(lambda t: [], str(tmp_path / "t"))
    for verdict in both(t, good.checkpoint):
        assert verdict[0] == 0 and [line["type"] for line in verdict[1]] == ["summary"], verdict
    assert aws_says(validate, t) == (0, "nothing")


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda a: a.__name__)
def test_attack_is_named(good, validate, committed, tmp_path, attack):
    t, expected = good.attacked(attack, str(tmp_path / "t"))
    verdicts = both(t, good.checkpoint if attack.pinned else None)
    for status, lines, said in verdicts:
        assert status == attack.rc, (lines, said)
        assert findings(lines) == sorted(expected), (lines, said)
    assert verdicts[0][1] == verdicts[-1][1] or attack.rc == 2, "the verifiers differ"
    if attack.pinned:  # and nothing else tells of it
        unpinned = verify(TOOL, t.bucket.folder, t.public)
        assert unpinned[0] in (0, 2) and not findings(unpinned[1]), unpinned
        for n in range(len(verdicts)):
            with open(good.checkpoint, "rb") as a, open(os.path.join(t.folder, f"checkpoint{n}"), "rb") as b:
                assert a.read() == b.read(), "a checkpoint was moved on by a run that is not good"
    if attack in ATTACKS[::4] and not REDUCED:  # a sample, for time's sake; printing the page asks of all
        assert row(attack, expected, aws_says(validate, t)) + "\n" in committed, "docs/tampering.md says something else"


@pytest.mark.parametrize("attack", [None, *ATTACKS[5::30]], ids=lambda a: a.__name__ if a else "none")
def test_through_a_busy_s3(good, validate, tmp_path, attack):
    """The same over HTTP, in pages of 5 keys, from a store that answers SlowDown now and then."""
    t, expected = good.attacked(attack or (lambda t: []), str(tmp_path / "t"))
    validate.server.folder, validate.server.page, validate.server.busy = t.bucket.folder, 5, 23
    try:
        login = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "token"}
        verdicts = [verify(tool, f"s3://{BUCKET}", t.public, AWS_ENDPOINT_URL=validate.endpoint, **login)
                    for tool in (TOOL, VERIFY_SCRIPT)]
    finally:
        validate.server.page, validate.server.busy = 1000, 0
    assert findings(verdicts[0][1]) == sorted(expected), verdicts
    assert verdicts[0] == verdicts[1]


def test_a_bomb_is_not_unpacked(good, tmp_path):
    """3 GB in 3 MB of gzip, in the place of a file, of a digest and of one that waits: neither fills the memory."""
    t, _ = good.attacked(lambda t: [], str(tmp_path / "t"))
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    body = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    body += (packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)) * 3000
    keys = [t.files[3][0], t.digests[4], t.trail.file_key(t.trail.end + 60, "waiting")]
    for key in keys:
        t.bucket.set_raw(key, body)
    for tool in [TOOL] if REDUCED else [TOOL, VERIFY_SCRIPT]:  # a sanitizer's shadow memory is no measure
        limit = [] if REDUCED else ["prlimit", f"--as={2 << 30}"]
        command = [*limit, tool, *(["verify"] if tool == TOOL else []), "--json", "--public-keys", t.public]
        run = subprocess.run([*command, t.bucket.folder], capture_output=True, text=True, check=False,
                             env=clean_environment(**sanitizer_options()))
        found = findings(json.loads(line) for line in run.stdout.splitlines())
        assert [key for kind, key in found if kind == "too-large"] == sorted(keys), (found, run.stderr)


def test_the_page_has_every_attack(committed):
    assert committed.count("\n| ") == len(ATTACKS) + 2 * len({a.group for a in ATTACKS})
    assert len([a for a in ATTACKS if a.rc]) >= 35


def main():
    rows = {}
    with tempfile.TemporaryDirectory() as folder, ValidateLogs() as validate:
        good = Good(folder, "gz")
        for attack in ATTACKS:
            t, expected = good.attacked(attack, os.path.join(folder, attack.__name__))
            aws = aws_says(validate, t)
            rows[attack] = row(attack, expected, aws), aws[0] != 0
            shutil.rmtree(t.folder)
    sys.stdout.write(page(rows))


if __name__ == "__main__":
    main()
