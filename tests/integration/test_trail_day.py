"""A day of a trail by a fake clock (tests/unit/test_trail_day.c), looked at by verifiers that share no code with it."""
import json
import os
import re
import subprocess

import pytest

from harness import TOOL, VERIFY_SCRIPT, clean_environment, validate_counts
from validate_logs import ValidateLogs

PROGRAM = os.environ["WAYMARK_TEST_TRAIL_DAY"]
ARN = "arn:aws:cloudtrail:eu-central-1:111122223333:trail/studio"


@pytest.fixture(scope="module")
def days(tmp_path_factory):
    """One in gzip, one that begins in zstd, one that goes on in another bucket; they mostly wait, so all at once."""
    folders = {kind: tmp_path_factory.mktemp(kind) for kind in ("gzip", "zstd", "bucket")}
    runs = [subprocess.Popen([PROGRAM, str(folder), kind], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            for kind, folder in folders.items()]
    assert [run.wait(180) for run in runs] == [0, 0, 0]
    return folders


@pytest.fixture(scope="module")
def validate():
    with ValidateLogs() as v:
        yield v


def ours(program, folder):
    return subprocess.run([program, *(["verify"] if program == TOOL else []), str(folder / "bucket"), "--public-keys",
                           str(folder / "public-keys.json")], env=clean_environment(), capture_output=True, text=True,
                          timeout=120, check=False)


def assert_ours_are_content(folder):
    for program in TOOL, VERIFY_SCRIPT:
        run = ours(program, folder)
        assert run.returncode == 0, run.stdout + run.stderr


def test_all_three_are_content(days, validate):
    day = days["gzip"]
    assert_ours_are_content(day)
    with open(day / "public-keys.json", encoding="utf-8") as f:
        assert len(json.load(f)["PublicKeyList"]) >= 3, "the key was rotated twice"
    status, output = validate(str(day / "bucket"), str(day / "public-keys.json"), "evidence", ARN,
                              "2020-01-01T00:00:00Z", "2100-01-01T00:00:00Z")
    assert status == 0, output
    counts = validate_counts(output)
    assert counts["digest"][0] == counts["digest"][1] >= 27
    assert counts["log"][0] == counts["log"][1] >= 50
    assert "No log files were delivered" not in output, "the chain has no gap"


def test_a_chain_is_unbroken_for_aws_when_the_codec_changes(days, validate):
    day = days["zstd"]
    assert_ours_are_content(day)

    def says(start):
        return validate(str(day / "bucket"), str(day / "public-keys.json"), "evidence", ARN, start,
                        "2100-01-01T00:00:00Z")

    with open(day / "changed-at", encoding="ascii") as f:
        status, output = says(f.read())
    counts = validate_counts(output)
    # The digest of the hour of the change may list a zstd file; from the next one on all is good.
    late = re.search(r"Results found for .* to (\S+Z):", output)
    assert late and counts["digest"][0] == counts["digest"][1] >= 13, output
    status, output = says("2020-01-01T00:00:00Z")  # and before: it follows every link, and cannot read the files
    counts = validate_counts(output)
    assert status == 1 and counts["digest"][0] == counts["digest"][1] >= 27, output
    assert set(re.findall(r"INVALID: (.*)", output)) == {"invalid format"}, output
    assert "Log file" in output and "Digest file\t" in output and "not found" not in output


def test_aws_follows_the_chain_into_another_bucket(days, validate):
    day = days["bucket"]
    status, output = validate(str(day / "bucket"), str(day / "public-keys.json"), "evidence-2", ARN,
                              "2020-01-01T00:00:00Z", "2100-01-01T00:00:00Z")
    assert status == 0, output
    counts = validate_counts(output)
    assert counts["digest"][0] == counts["digest"][1] >= 27
    for name in "evidence/", "evidence-2/":
        assert f"Digest file\ts3://{name}" in output
