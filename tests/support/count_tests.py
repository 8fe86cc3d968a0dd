"""Sum what ctest ran: `count_tests.py [--missing N] REPORT.xml...` prints a line per report and last `N passed, N failed`.

A ctest entry is a program with tests of its own (cmocka, pytest), whose own count is taken from its output. An entry
that ctest calls failed counts at least one failure, whatever its output says, and one whose output says nothing of
tests counts as one. So does each tree that was not built or
not tested.
"""
import re
import sys
import xml.etree.ElementTree as ET

CMOCKA_RUN = re.compile(r"^\[  PASSED  \] (\d+) test\(s\)\.", re.M)
CMOCKA_BAD = re.compile(r"^\[  FAILED  \] (\d+) test\(s\), listed below:", re.M)
CMOCKA_SKIP = re.compile(r"^\[  SKIPPED \] (\d+) test\(s\), listed below:", re.M)
PYTEST = re.compile(r"^=+ (.*\d+ \w+.*) in [\d.]+s.*=+\s*$|^(\d+ (?:passed|failed|skipped|error).*) in [\d.]+s", re.M)


def inner(output):
    """(passed, failed, skipped) as the program itself says, or None."""
    found = None
    for counts, position in ((CMOCKA_RUN, 0), (CMOCKA_BAD, 1), (CMOCKA_SKIP, 2)):
        for n in counts.findall(output):
            found = found or [0, 0, 0]
            found[position] += int(n)
    lines = PYTEST.findall(output)
    if lines:
        words = dict((word, int(n)) for n, word in re.findall(r"(\d+) (\w+)", " ".join(lines[-1])))
        found = found or [0, 0, 0]
        found[0] += words.get("passed", 0)
        found[1] += words.get("failed", 0) + words.get("error", 0) + words.get("errors", 0)
        found[2] += words.get("skipped", 0)
    return found


def count(report):
    passed = failed = skipped = 0
    bad = []
    for case in ET.parse(report).getroot().iter("testcase"):
        output = (case.findtext("system-out") or "") + (case.findtext("system-err") or "")
        good = case.get("status") == "run"
        own = inner(output)
        if case.get("status") in ("disabled", "notrun") and case.find("skipped") is not None:
            skipped += 1
            continue
        if good:
            # A program that ran and whose every test was skipped has passed none.
            passed += own[0] if own else 1
            failed += own[1] if own else 0
        else:
            passed += own[0] if own else 0
            failed += max(1, own[1] if own else 1)
        skipped += own[2] if own else 0
        if not good or (own and own[1]):
            bad.append(case.get("name"))
    return passed, failed, skipped, bad


def main(args):
    passed = failed = 0
    reports = args
    if args[:1] == ["--missing"]:
        failed = int(args[1])
        reports = args[2:]
        if failed:
            print(f"{failed} trees were not built or not tested")
    for report in reports:
        p, f, s, bad = count(report)
        print(f"{report}: {p} passed, {f} failed, {s} skipped" + (": " + ", ".join(bad) if bad else ""))
        passed += p
        failed += f
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
