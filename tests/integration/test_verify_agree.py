#!/usr/bin/env python3
"""waymark verify and scripts/verify-trail find the same in the same folders.

The chains are those of a third writer (chain.py). Each case tampers with a copy, names the keys that must be found, and
compares what both say line by line.

    test_verify_agree.py WAYMARK VERIFY_TRAIL [CASE…]
"""
import calendar
import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile

from chain import BUCKET, FIRST_END, PERIOD, TRAIL, Bucket, Key, Trail, iso, pack, public_keys, run, sha256

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
VECTOR = os.path.join(os.environ.get("WAYMARK_SHARED") or os.path.join(SOURCE, "..", "shared"),
                      "reference", "cloudtrail.md")
PREFIX = "some/odd (1) prefix!*'+&=@:[x]$y\u00fc"


# ---- the cases: each takes (trail) after six digests of two files, and returns the keys that must be found -----------

CASES = []


def case(rc=1, digests=6, args=()):
    def add(function):
        CASES.append((function.__name__, function, rc, digests, list(args)))
        return function
    return add


@case(rc=0)
def intact(t):
    return []


@case(rc=0)
def pending_files_are_no_finding(t):
    t.seal(period=PERIOD + 130)
    t.put_file(t.end + 10, "late1")
    t.put_file(t.end - 10, "edge1")  # a key tells the time in steps of 5 minutes, and this one's step is not over
    return []


@case()
def pending_file_that_repeats_a_listed_one(t):
    k = t.file_key(t.end + 10, "copied")
    t.bucket.put(k, pack(k, t.bucket.content(t.files[2][0])))
    t.put_file(t.end + 10, "late1")
    return [k]


@case()
def pending_file_with_extra_bytes(t):
    k = t.put_file(t.end + 10, "late1")["s3Object"]
    t.bucket.set_raw(k, t.bucket.raw(k) + b"junk")
    return [k]


@case()
def file_content_changed(t):
    k = t.files[2][1]
    t.bucket.set_content(k, t.bucket.content(k).replace(b"x01-0", b"x01-9"))
    return [k]


@case()
def file_byte_flipped(t):
    k = t.files[2][0]
    raw = bytearray(t.bucket.raw(k))
    raw[len(raw) // 2] ^= 1
    t.bucket.set_raw(k, bytes(raw))
    return [k]


@case()
def file_truncated(t):
    k = t.files[2][0]
    t.bucket.set_raw(k, t.bucket.raw(k)[:-3])
    return [k]


@case()
def file_empty(t):
    k = t.files[2][0]
    t.bucket.set_raw(k, b"")
    return [k]


@case()
def file_removed(t):
    k = t.files[3][0]
    t.bucket.remove(k)
    return [k]


@case()
def file_renamed(t):
    k = t.files[3][0]
    new = k.replace("u03x00", "u03x77")
    t.bucket.move(k, new)
    return [k, new]


@case()
def file_with_extra_bytes(t):
    k = t.files[1][0]
    t.bucket.set_raw(k, t.bucket.raw(k) + b"abc")
    return [k]


@case()
def file_with_a_zero_behind(t):
    k = t.files[1][0]
    t.bucket.set_raw(k, t.bucket.raw(k) + b"\0")
    return [k]


@case()
def file_with_many_zeros_behind(t):
    k = t.files[1][0]
    t.bucket.set_raw(k, t.bucket.raw(k) + bytes(600))
    return [k]


@case()
def file_with_second_member(t):
    k = t.files[1][0]
    t.bucket.set_raw(k, t.bucket.raw(k) + pack(k, b'{"Records":[]}'))
    return [k]


@case()
def file_with_empty_second_member(t):
    k = t.files[1][0]
    t.bucket.set_raw(k, t.bucket.raw(k) + pack(k, b""))
    return [k]


@case()
def file_with_empty_first_member(t):
    k = t.files[1][0]
    t.bucket.set_raw(k, pack(k, b"") + t.bucket.raw(k))
    return [k]


@case()
def file_of_many_beginnings(t):
    """Each of them costs the script a look at what stands before it, if it is no member anyway."""
    k = t.files[1][0]
    t.bucket.set_raw(k, bytes.fromhex("1f8b08") * 300000)
    return [k]


@case()
def file_with_skippable_frame(t):
    k = t.files[1][1]
    t.bucket.set_raw(k, bytes.fromhex("502a4d1804000000") + b"hide" + t.bucket.raw(k))
    return [k]


@case()
def file_of_the_other_codec(t):
    k = t.files[1][1]
    other = ".json.zst" if k.endswith(".gz") else ".json.gz"
    t.bucket.set_raw(k, pack(other, t.bucket.content(k)))
    return [k]


@case()
def file_not_compressed(t):
    k = t.files[1][1]
    t.bucket.set_raw(k, t.bucket.content(k))
    return [k]


@case()
def file_that_no_digest_lists(t):
    return [t.put_file(FIRST_END + 1800, "invented")["s3Object"]]


@case()
def file_older_than_the_chain(t):
    return [t.put_file(FIRST_END - 5 * PERIOD, "invented")["s3Object"]]


@case()
def file_of_a_time_to_come(t):
    """It would wait for its digest for ever."""
    return [t.put_file(calendar.timegm((2199, 1, 1, 0, 0, 0)), "invented")["s3Object"]]


@case(rc=0)
def file_of_a_trail_whose_clock_was_ahead(t):
    t.end = calendar.timegm((2199, 1, 1, 0, 0, 0))
    t.previous, t.key = None, AHEAD
    t.seal()
    t.put_file(t.end + 3600, "ahead")
    return []


@case()
def file_with_an_odd_name(t):
    key = t.file_key(t.end + 7200, "x").replace("_x", "-x")
    t.bucket.put(key, pack(key, b"{}"))
    return [key]


@case()
def file_of_a_region_without_digests(t):
    other = Trail(t.bucket, t.key, t.suffix[6:], region="eu-west-1")
    return [other.put_file(t.end + 7200, "elsewhere")["s3Object"]]


@case(rc=0)
def foreign_objects_are_ignored(t):
    for name in ("CloudTrail-Insight/us-east-1/2026/03/01/x.json.gz", "vpcflowlogs/y.log.gz", "Config/ConfigWritabilityCheckFile"):
        t.bucket.put("%s/%s" % (t.root, name), b"x")
    t.bucket.put("elsewhere/AWSLogs/1/CloudTrail/z", b"x")
    return []


@case()
def digest_with_an_odd_name(t):
    key = t.digests[3].replace("_2026", "-2026")
    t.bucket.put(key, t.bucket.raw(t.digests[3]))
    return [key]


@case()
def digest_with_a_time_that_is_none(t):
    key = t.digests[3].replace("20260301T140000Z", "20260230T140000Z")
    odd = t.digests[3].replace("20260301T140000Z", "20269999T999999Z").replace(TRAIL, "other")
    for k in (key, odd):
        t.bucket.put(k, t.bucket.raw(t.digests[3]))
    return [key, odd]


@case()
def file_with_a_time_that_is_none(t):
    key = t.file_key(t.end + 10, "invented").replace("T1600Z", "T1660Z")
    t.bucket.put(key, b"x")
    return [key]


@case()
def digest_content_changed(t):
    k = t.digests[3]
    t.bucket.set_content(k, t.bucket.content(k).replace(b"null", b"null ", 1))
    return [k]


@case()
def digest_member_missing(t):
    k = t.digests[3]
    t.bucket.set_content(k, t.bucket.content(k).replace(b"oldestEventTime", b"oldestEventTimE", 1))
    return [k] + t.files[3]


@case()
def digest_hash_entry_changed(t):
    k = t.digests[3]
    document = json.loads(t.bucket.content(k))
    f = document["logFiles"][0]
    t.bucket.set_content(f["s3Object"], b'{"Records":[]}')
    f["hashValue"] = hashlib.sha256(b'{"Records":[]}').hexdigest()
    t.bucket.set_content(k, json.dumps(document).encode())
    return [k]


@case()
def digest_entry_removed(t):
    k = t.digests[3]
    document = json.loads(t.bucket.content(k))
    f = document["logFiles"].pop()
    t.bucket.set_content(k, json.dumps(document).encode())
    return [k, f["s3Object"]]


@case()
def digest_byte_flipped(t):
    k = t.digests[3]
    raw = bytearray(t.bucket.raw(k))
    raw[len(raw) // 2] ^= 4
    t.bucket.set_raw(k, bytes(raw))
    return [k] + t.files[3]


@case()
def digest_with_extra_bytes(t):
    k = t.digests[3]
    t.bucket.set_raw(k, t.bucket.raw(k) + b"junk")
    return [k] + t.files[3]


@case()
def digest_with_second_member(t):
    k = t.digests[3]
    t.bucket.set_raw(k, t.bucket.raw(k) + pack(k, b"{}"))
    return [k] + t.files[3]


@case()
def digest_not_json(t):
    k = t.digests[3]
    t.bucket.set_content(k, b"not json")
    return [k] + t.files[3]


@case()
def digest_two_documents(t):
    k = t.digests[3]
    t.bucket.set_content(k, t.bucket.content(k) + b"{}")
    return [k] + t.files[3]


@case()
def digest_without_list(t):
    k = t.digests[3]
    document = json.loads(t.bucket.content(k))
    del document["logFiles"]
    t.bucket.set_content(k, json.dumps(document).encode())
    return [k] + t.files[3]


@case()
def digest_with_a_file_without_a_name(t):
    k = t.digests[3]
    document = json.loads(t.bucket.content(k))
    document["logFiles"].insert(0, dict(document["logFiles"][0], s3Object=""))
    t.bucket.set_content(k, json.dumps(document).encode())
    return [k] + t.files[3]


@case()
def digest_half_a_link(t):
    k = t.digests[3]
    document = json.loads(t.bucket.content(k))
    document["previousDigestSignature"] = None
    t.bucket.set_content(k, json.dumps(document).encode())
    return [k] + t.files[3]


@case()
def digest_odd_time(t):
    k = t.digests[3]
    document = json.loads(t.bucket.content(k))
    document["digestEndTime"] = "yesterday"
    t.bucket.set_content(k, json.dumps(document).encode())
    return [k] + t.files[3]


@case()
def digest_removed(t):
    t.bucket.remove(t.digests[3])
    return [t.digests[3]] + t.files[3]


@case()
def oldest_digest_removed(t):
    t.bucket.remove(t.digests[0])
    return [t.digests[0]] + t.files[0]


@case()
def two_neighbours_removed(t):
    for n in (2, 3):
        t.bucket.remove(t.digests[n])
    return t.digests[2:4] + t.files[2] + t.files[3]


@case()
def two_neighbours_and_their_files_removed(t):
    for n in (2, 3):
        for k in [t.digests[n]] + t.files[n]:
            t.bucket.remove(k)
    return t.digests[2:4]


@case(digests=30)
def three_neighbours_around_midnight_removed(t):
    gone = [n for n in range(30) if "T000000Z" in t.digests[n]][0]
    for n in range(gone - 1, gone + 2):
        for k in [t.digests[n]] + t.files[n]:
            t.bucket.remove(k)
    return t.digests[gone - 1:gone + 2]


@case(digests=2)
def two_of_uneven_periods_removed(t):
    t.seal(period=1000)
    t.seal(period=777)
    t.seal(period=PERIOD)
    for n in (2, 3):
        for k in [t.digests[n]] + t.files[n]:
            t.bucket.remove(k)
    return [t.digests[3]]


@case(rc=0)
def newest_digest_removed_is_not_seen(t):
    """What a bucket alone cannot tell; the files of that period are counted as pending."""
    t.bucket.remove(t.digests[5])
    for k in t.files[5][:1]:
        t.bucket.remove(k)
    return []


@case()
def all_digests_removed(t):
    for k in t.digests:
        t.bucket.remove(k)
    return sum(t.files, [])


@case()
def signature_changed(t):
    k = t.digests[2]
    m = t.bucket.metadata(k)
    m["x-amz-meta-signature"] = ("0" if m["x-amz-meta-signature"][0] != "0" else "1") + m["x-amz-meta-signature"][1:]
    t.bucket.set_metadata(k, m)
    return [k]


@case()
def signature_of_another_digest(t):
    t.bucket.set_metadata(t.digests[2], t.bucket.metadata(t.digests[1]))
    return [t.digests[2]]


@case()
def signature_not_hex(t):
    m = t.bucket.metadata(t.digests[2])
    m["x-amz-meta-signature"] = "zz" + m["x-amz-meta-signature"][2:]
    t.bucket.set_metadata(t.digests[2], m)
    return [t.digests[2]]


@case()
def signature_cut(t):
    m = t.bucket.metadata(t.digests[2])
    m["x-amz-meta-signature"] = m["x-amz-meta-signature"][:-2]
    t.bucket.set_metadata(t.digests[2], m)
    return [t.digests[2]]


@case(rc=0)
def signature_in_upper_case_holds(t):
    m = t.bucket.metadata(t.digests[2])
    m["x-amz-meta-signature"] = m["x-amz-meta-signature"].upper()
    t.bucket.set_metadata(t.digests[2], m)
    return []


@case()
def signature_removed(t):
    m = t.bucket.metadata(t.digests[5])
    del m["x-amz-meta-signature"]
    t.bucket.set_metadata(t.digests[5], m)
    return [t.digests[5]]


@case()
def algorithm_removed(t):
    m = t.bucket.metadata(t.digests[5])
    del m["x-amz-meta-signature-algorithm"]
    t.bucket.set_metadata(t.digests[5], m)
    return [t.digests[5]]


@case()
def algorithm_changed(t):
    m = t.bucket.metadata(t.digests[5])
    m["x-amz-meta-signature-algorithm"] = "none"
    t.bucket.set_metadata(t.digests[5], m)
    return [t.digests[5]]


@case()
def signature_with_the_algorithm_on_its_next_line(t):
    m = t.bucket.metadata(t.digests[5])
    m["x-amz-meta-signature"] += "\n" + m.pop("x-amz-meta-signature-algorithm")
    t.bucket.set_metadata(t.digests[5], m)
    return [t.digests[5]]


@case()
def signature_with_a_blank(t):
    m = t.bucket.metadata(t.digests[5])
    m["x-amz-meta-signature"] = " " + m["x-amz-meta-signature"]
    t.bucket.set_metadata(t.digests[5], m)
    return [t.digests[5]]


@case()
def signature_that_is_no_text(t):
    m = t.bucket.metadata(t.digests[5])
    m["x-amz-meta-signature"] = [m["x-amz-meta-signature"]]
    t.bucket.set_metadata(t.digests[5], m)
    return [t.digests[5]]


@case()
def metadata_file_removed(t):
    os.unlink(t.bucket.metadata_path(t.digests[1]))
    return [t.digests[1]]


@case()
def metadata_file_damaged(t):
    with open(t.bucket.metadata_path(t.digests[1]), "w") as f:
        f.write("{oops")
    return [t.digests[1]]


@case()
def digest_renamed(t):
    new = t.digests[3].replace("T140000Z", "T143000Z")
    t.bucket.move(t.digests[3], new)
    return [new, t.digests[3]] + t.files[3]


@case()
def digest_renamed_past_the_next(t):
    new = t.digests[3].replace("T140000Z", "T153000Z")
    t.bucket.move(t.digests[3], new)
    return [new, t.digests[3]] + t.files[3]


@case()
def digest_copied(t):
    new = t.digests[3].replace("T140000Z", "T143000Z")
    m = t.bucket.metadata(t.digests[3])
    t.bucket.put(new, t.bucket.raw(t.digests[3]))
    t.bucket.set_metadata(new, m)
    return [new]


@case()
def digest_replaced_by_an_older_one(t):
    m = t.bucket.metadata(t.digests[1])
    t.bucket.set_raw(t.digests[4], t.bucket.raw(t.digests[1]))
    t.bucket.set_metadata(t.digests[4], m)
    return [t.digests[4]] + t.files[4]


@case()
def digest_of_another_trail_name(t):
    new = t.digests[5].replace(TRAIL, "other")
    t.bucket.move(t.digests[5], new)
    return [new]


@case(digests=3)
def link_hash_wrong(t):
    t.seal(change=lambda d: d.update(previousDigestHashValue="0" * 64))
    t.seal()
    return [t.digests[2]]


@case(digests=3)
def link_signature_wrong(t):
    t.seal(change=lambda d: d.update(previousDigestSignature="ab" * 256))
    t.seal()
    return [t.digests[2]]


@case(digests=3)
def digest_signed_anew_by_the_holder_of_the_key(t):
    k = t.digests[1]
    keep = t.previous
    document = dict(t.documents[k], logFiles=[])
    t.put_digest(document)
    t.previous = keep
    t.seal()
    return [k] + t.files[1]


@case(digests=3)
def periods_with_a_gap(t):
    t.end += 120
    t.seal()
    return [t.digests[3]]


@case(digests=3)
def periods_that_overlap(t):
    t.end -= 120
    t.seal()
    return [t.digests[3]]


@case(digests=3)
def digest_outside_the_chain(t):
    keep = t.previous
    t.seal()
    t.previous = keep
    t.seal(change=lambda d: d.update(digestStartTime=iso(t.end - 2 * PERIOD)))
    return [t.digests[3]]


@case(digests=3)
def link_to_a_later_digest(t):
    t.previous["key"] = t.digest_key(t.end + PERIOD)
    t.seal()
    return [t.digests[3]]


@case(digests=3)
def link_to_a_trail_file(t):
    t.previous["key"] = t.files[0][0]
    t.seal()
    return [t.digests[3]]


@case(digests=3)
def file_listed_twice(t):
    first = t.documents[t.digests[0]]["logFiles"][0]
    t.seal(change=lambda d: d["logFiles"].append(first))
    return [first["s3Object"]]


@case(digests=3)
def file_listed_twice_in_one_digest(t):
    t.seal(change=lambda d: d["logFiles"].append(d["logFiles"][0]))
    return [t.files[3][0]]


@case(rc=0, digests=3)
def file_in_another_bucket_is_noted(t):
    """As after a change of the trail's bucket."""
    t.seal(change=lambda d: d["logFiles"][1].update(s3Bucket="elsewhere"))
    t.bucket.remove(t.files[3][1])
    return []


@case(digests=3)
def file_where_a_digest_names_another_bucket(t):
    t.seal(change=lambda d: d["logFiles"][1].update(s3Bucket="elsewhere"))
    return [t.files[3][1]]


@case(digests=3)
def file_in_another_bucket_by_a_digest_that_proves_nothing(t):
    t.seal(change=lambda d: d["logFiles"][1].update(s3Bucket="elsewhere"), signed_by=OTHER)
    t.bucket.remove(t.files[3][1])
    return [t.digests[3], t.files[3][1]]


@case(rc=0, digests=3)
def file_under_another_prefix_is_noted(t):
    t.seal(change=lambda d: d["logFiles"][1].update(s3Object="before/" + d["logFiles"][1]["s3Object"]))
    t.bucket.remove(t.files[3][1][len("before/"):])
    return []


@case(digests=3)
def file_of_another_kind_listed(t):
    odd = "%s/odd.txt" % t.root
    t.bucket.put(odd, b"x")
    unlisted = t.file_key(t.end + 460, "u03x01")
    t.seal(change=lambda d: d["logFiles"][1].update(s3Object=odd))
    return [odd, unlisted]


@case(digests=3)
def digest_in_another_bucket(t):
    t.seal(change=lambda d: d.update(digestS3Bucket="elsewhere"))
    t.seal()
    return [t.digests[3]] + t.files[3]


@case(rc=0, digests=3)
def chain_from_another_bucket_is_noted(t):
    t.seal(change=lambda d: d.update(previousDigestS3Bucket="old-bucket"))
    return []


@case(rc=0, digests=3)
def chain_from_another_prefix_is_noted(t):
    t.seal(change=lambda d: d.update(previousDigestS3Object="before/" + d["previousDigestS3Object"]))
    return []


@case(rc=0, digests=3)
def starting_digest_in_the_middle_is_noted(t):
    t.previous = None
    t.end += 5000
    t.seal()
    t.seal()
    return []


@case()
def file_between_two_chains(t):
    stopped = t.end
    t.previous = None
    t.end += 5000
    t.seal()
    return [t.put_file(stopped + 1000, "between")["s3Object"]]


@case(digests=3)
def digest_signed_with_an_unknown_key(t):
    t.seal(change=lambda d: d.update(digestPublicKeyFingerprint=OTHER.fingerprint), signed_by=OTHER)
    return [t.digests[3]]


@case(digests=3)
def digest_signed_with_another_key_in_the_name_of_ours(t):
    t.seal(signed_by=OTHER)
    return [t.digests[3]]


@case(rc=0, digests=3)
def empty_digests(t):
    t.seal(n_files=0)
    t.seal(n_files=0)
    return []


@case(rc=0)
def a_slower_trail_keeps_its_files_open(t):
    slow = Trail(t.bucket, t.key, t.suffix[6:], trail="slow", period=2 * PERIOD)
    slow.end = FIRST_END - PERIOD
    slow.seal()
    slow.seal()
    t.put_file(slow.end + 600, "slow1")
    return []


@case()
def a_stopped_trail_holds_nothing_open(t):
    stopped = Trail(t.bucket, t.key, t.suffix[6:], trail="stopped")
    stopped.end = FIRST_END - PERIOD
    stopped.seal(n_files=0)
    stopped.seal(n_files=0)  # a first digest alone tells nothing of a trail's pace
    return [t.put_file(FIRST_END + 1800, "invented")["s3Object"]]


@case(rc=0)
def organization_and_backfill_chains(t):
    org = Trail(t.bucket, t.key, t.suffix[6:], org="o-abc123")
    org.seal()
    org.seal()
    backfill = Trail(t.bucket, t.key, t.suffix[6:], backfill=True)
    backfill.end = t.end + 86400
    backfill.seal()
    t.put_file(t.end + 600, "pending")
    return []


@case()
def keys_that_try_to_run_commands(t):
    """Whoever can write to the bucket chooses the names that an auditor's shell sees."""
    run_me = "touch${IFS}ran"
    evil = Trail(t.bucket, t.key, t.suffix[6:], trail="$(%s)`%s`x[$(%s)]" % ((run_me,) * 3))
    evil.tag = "e"
    for period in (100, 100, 100, 100):
        evil.seal(period=period)
    for n in (1, 2):
        for k in [evil.digests[n]] + evil.files[n]:
            t.bucket.remove(k)
    odd = t.file_key(t.end + 10, "$(touch${IFS}ran)").replace("us-east-1_", "a[$(touch${IFS}ran)]_")
    t.bucket.put(odd, b"x")
    return evil.digests[1:3] + [odd]


@case()
def keys_with_control_characters(t):
    keys = ["%s/CloudTrail/us-east-1/2026/03/01/a%sb" % (t.root, odd) for odd in ("\x1b[2J", "\u009b2J", "\u0085")]
    keys.append("%s/CloudTrail/x\n%s" % (t.root, t.files[3][0]))  # two lines of a listing, one of them a lie
    for key in keys:
        t.bucket.put(key, b"x")
    t.bucket.remove(t.files[3][0])
    return [re.sub("[\x00-\x1f\x80-\x9f]", "?", key) for key in keys] + [t.files[3][0]]


@case()
def everything_at_once(t):
    t.bucket.remove(t.digests[1])
    t.bucket.remove(t.files[2][0])
    t.bucket.set_content(t.files[3][1], b"{}")
    t.bucket.set_content(t.digests[4], b"{}")
    m = t.bucket.metadata(t.digests[5])
    m["x-amz-meta-signature"] = "00" * 256
    t.bucket.set_metadata(t.digests[5], m)
    return [t.digests[1], t.files[2][0], t.files[3][1], t.digests[4], t.digests[5]] + t.files[1] + t.files[4]


# ---- keys in time, and things out of place ---------------------------------------------------------------------------

def seal_at_the_edge(t, end, key):
    """One digest that ends then, signed with this key; a chain of its own in another region."""
    other = Trail(t.bucket, key, t.suffix[6:], region="eu-west-1")
    other.end = end - PERIOD
    other.seal()
    return other.digests[0]


@case(rc=0)
def key_within_two_hours_of_its_validity(t):
    seal_at_the_edge(t, AHEAD.start - 7200, AHEAD)
    t.previous, t.key = None, AHEAD
    t.end = AHEAD.end + 7200 - PERIOD
    t.seal()
    return []


@case()
def key_before_its_time(t):
    return [seal_at_the_edge(t, AHEAD.start - 7201, AHEAD)]


@case()
def key_behind_its_time(t):
    return [seal_at_the_edge(t, AHEAD.end + 7201, AHEAD)]


@case()
def key_and_backfill(t):
    """A backfill digest is signed later than its time, with a key that was none then."""
    one = Trail(t.bucket, AHEAD, t.suffix[6:], backfill=True)
    one.seal()
    two = Trail(t.bucket, t.key, t.suffix[6:], backfill=True, region="eu-west-1")
    two.end = t.key.end + 7200
    two.seal()
    return two.digests


@case(digests=3)
def account_of_another(t):
    t.seal(change=lambda d: d.update(awsAccountId="999900001111"))
    return [t.digests[3]]


@case(digests=3)
def files_of_other_places_listed(t):
    region = Trail(t.bucket, t.key, t.suffix[6:], region="eu-west-1").put_file(t.end + 60, "stray")
    account = Trail(t.bucket, t.key, t.suffix[6:], account="999900001111").put_file(t.end + 60, "stray")
    t.seal(change=lambda d: d["logFiles"].extend([region, account]))
    return [region["s3Object"], account["s3Object"]]


@case()
def metadata_that_is_no_object(t):
    t.bucket.set_metadata(t.digests[1], ["x-amz-meta-signature"])
    return [t.digests[1]]


@case()
def file_of_many_zeros(t):
    k = t.files[1][0]
    t.bucket.set_content(k, bytes(130 << 20))
    return [k]


@case()
def digest_of_many_zeros(t):
    t.bucket.set_content(t.digests[1], bytes(65 << 20))
    return [t.digests[1]] + t.files[1]


# ---- sequence numbers ------------------------------------------------------------------------------------------------

@case(rc=0, digests=1)
def numbers_that_rise_by_one(t):
    t.number = 41  # behind files that have none
    for _ in range(3):
        t.seal()
    return []


@case(digests=0)
def numbers_that_are_lacking(t):
    t.number = 1
    t.seal()
    t.number += 1
    t.seal()
    t.set_records(1, 1, lambda records: records.append(dict(records[0], waymarkSequence=2 ** 50)))
    t.reseal(1)
    t.number = 2 ** 50 + 3
    t.seal()
    return [t.files[1][0], t.files[1][1], t.files[2][0]]


@case(digests=0)
def numbers_behind_a_lost_file(t):
    """What is lost is named once; what is lost behind that, too."""
    t.number = 1
    t.seal(n_files=3)
    t.bucket.remove(t.files[0][1])
    t.number += 7
    t.seal()
    return [t.files[0][1], t.files[1][0]]


@case(digests=0)
def numbers_behind_a_lost_digest(t):
    t.number = 1
    for _ in range(4):
        t.seal()
    t.bucket.remove(t.digests[1], *t.files[1])
    t.reseal(3, lambda d: d["logFiles"].reverse())
    return [t.digests[1], t.files[3][0], t.files[3][1]]


@case(rc=0, digests=0)
def numbers_after_a_restart(t):
    t.number = 100
    t.seal()
    t.number, t.previous = 1, None
    t.seal()
    return []


@case(digests=0)
def numbers_of_some_records(t):
    t.number = 1
    for _ in range(3):
        t.seal(n_files=3)
    for n, (i, value) in enumerate(((0, None), (1, "5"), (2, 0))):
        t.set_records(n, i, lambda records: records[0].update(waymarkSequence=value))
    t.reseal(0)
    return [t.files[0][0], t.files[1][1], t.files[2][2]]


@case(digests=0)
def numbers_in_the_middle_of_a_record(t):
    t.number = 1
    t.seal()
    t.set_records(0, 1, lambda records: [record.update(last=1) for record in records])
    t.reseal(0)
    return [t.files[0][1]]


def seal_around_a_gap(t, width=20):
    """Two digests; the first number of what is missing between them."""
    t.number = 1
    t.seal()
    first, t.number = t.number, t.number + width
    t.seal()
    return first


@case(rc=0, digests=0)
def numbers_that_were_left_out(t):
    seal_around_a_gap(t)
    missed = [{"eventType": "AwsServiceEvent", "eventName": "RecordsMissed",
               "serviceEventDetails": {"trailARN": "arn:aws:cloudtrail:us-east-1:1:trail/" + TRAIL, "firstSequence": a,
                                       "lastSequence": b}} for a, b in ((12, 24), (5, 15))]
    t.set_records(1, 1, lambda records: [record.update(new, waymarkSequence=record.pop("waymarkSequence"))
                                         for record, new in zip(records, missed)])
    t.reseal(1)
    return []


@case(digests=0)
def numbers_that_another_trail_left_out(t):
    seal_around_a_gap(t)
    t.set_records(1, 1, lambda records: records[0].update(
        eventType="AwsServiceEvent", eventName="RecordsMissed", waymarkSequence=records[0].pop("waymarkSequence"),
        serviceEventDetails={"trailARN": "arn:aws:cloudtrail:us-east-1:1:trail/x", "firstSequence": 5, "lastSequence": 24}))
    t.reseal(1)
    return [t.files[1][0], t.files[1][1]]


@case(digests=0)
def numbers_that_nothing_says_were_left_out(t):
    """What ought to say so is of other types than any daemon writes."""
    seal_around_a_gap(t)
    odd = [{"serviceEventDetails": details} for details in (None, "x", [], {"trailARN": 1}, {"trailARN": ":trail/" + TRAIL})]
    odd += [{}] + [{"serviceEventDetails": {"trailARN": ":trail/" + TRAIL, "firstSequence": a, "lastSequence": b}}
                   for a, b in ((24, 5), ("5", "24"), (True, 24), (5.0, 24), (0, 24), (5, 2 ** 53))]
    t.set_records(1, 1, lambda records: records.extend([
        {"eventType": "AwsServiceEvent", "eventName": "RecordsMissed", **details,
         "waymarkSequence": records[-1]["waymarkSequence"] + 1 + n} for n, details in enumerate(odd)]))
    t.reseal(1)
    return [t.files[1][0]]


@case(digests=0)
def numbers_that_were_not_all_left_out(t):
    seal_around_a_gap(t)
    missed = {"eventType": "AwsServiceEvent", "eventName": "RecordsMissed",
              "serviceEventDetails": {"trailARN": "arn:aws:cloudtrail:us-east-1:1:trail/" + TRAIL, "firstSequence": 5,
                                      "lastSequence": 23}}
    t.set_records(1, 1, lambda records: records[0].update(missed, waymarkSequence=records[0].pop("waymarkSequence")))
    t.reseal(1)
    return [t.files[1][0]]


@case(rc=0, digests=0)
def numbers_that_were_left_out_in_many_pieces(t):
    """One for each file that was planned (17 at most), and told of more than once."""
    first = seal_around_a_gap(t, 40)

    def tell(records):
        at = records.pop()["waymarkSequence"]
        records += [{"eventType": "AwsServiceEvent", "eventName": "RecordsMissed", "serviceEventDetails": {
            "trailARN": "arn:aws:cloudtrail:us-east-1:1:trail/" + TRAIL, "firstSequence": first + 2 * n,
            "lastSequence": first + 2 * n + 1}, "waymarkSequence": at + n} for n in range(20)]
    t.set_records(1, 1, tell)
    t.reseal(1)
    return []


@case(digests=0)
def numbers_of_more_gaps_than_are_told(t):
    seal_around_a_gap(t)
    t.set_records(1, 0, lambda records: records.extend([{"waymarkSequence": 40 + 2 * n} for n in range(20)]))
    t.set_records(1, 1, lambda records: [records.clear(), records.append({"waymarkSequence": 79})])
    t.reseal(1)
    return [t.files[1][0]] * 16


def switched(name, trail=TRAIL, **more):
    """What makes a record that of the call; its number stays the last member."""
    def change(record):
        record.update(eventSource="cloudtrail.amazonaws.com", eventName=name, eventType="AwsApiCall",
                      requestParameters={"name": trail}, **more, waymarkSequence=record.pop("waymarkSequence", None))
    return change


def stopped_between_digests(t, stop, start, missed=None):
    """A gap between two digests, with these two records beside it."""
    seal_around_a_gap(t)
    t.set_records(0, -1, lambda records: stop(records[-1]))
    t.set_records(1, 0, lambda records: start(records[0]))
    if missed:
        details = {"trailARN": "arn:aws:cloudtrail:us-east-1:1:trail/" + TRAIL, **missed}
        t.set_records(1, 1, lambda records: records[0].update(
            eventType="AwsServiceEvent", eventName="RecordsMissed", serviceEventDetails=details,
            waymarkSequence=records[0].pop("waymarkSequence")))
    t.reseal(0)


def nothing(record):
    pass


@case(rc=0, digests=0)
def numbers_of_a_stopped_trail(t):
    stopped_between_digests(t, switched("StopLogging", "arn:aws:cloudtrail:us-east-1:1:trail/" + TRAIL),
                            switched("StartLogging"))
    return []


@case(digests=0)
def numbers_behind_a_stop_without_a_start(t):
    stopped_between_digests(t, switched("StopLogging"), nothing)
    return [t.files[1][0]]


@case(digests=0)
def numbers_before_a_start_without_a_stop(t):
    stopped_between_digests(t, nothing, switched("StartLogging"))
    return [t.files[1][0]]


@case(digests=0)
def numbers_behind_a_stop_that_was_refused(t):
    stopped_between_digests(t, switched("StopLogging", errorCode="AccessDeniedException"), switched("StartLogging"))
    return [t.files[1][0]]


@case(digests=0)
def numbers_while_another_trail_was_stopped(t):
    stopped_between_digests(t, switched("StopLogging", "x"), switched("StartLogging", "x"))
    return [t.files[1][0]]


@case(rc=0, digests=0)
def numbers_of_a_stopped_trail_whose_start_was_missed(t):
    stopped_between_digests(t, switched("StopLogging"), nothing,
                            {"firstSequence": 10, "lastSequence": 24, "stoppedBefore": True})
    return []


@case(digests=0)
def numbers_lost_between_a_stop_and_what_was_missed(t):
    stopped_between_digests(t, switched("StopLogging"), nothing, {"firstSequence": 10, "lastSequence": 24})
    return [t.files[1][0]]


@case(digests=0)
def a_file_that_was_taken_away_while_stopped(t):
    """The gap is explained, and what is missing from the bucket is missing all the same."""
    stopped_between_digests(t, switched("StopLogging"), switched("StartLogging"))
    t.bucket.remove(t.files[0][0])
    return [t.files[0][0]]


# ---- a part only -----------------------------------------------------------------------------------------------------

def with_a_second_trail(t):
    second = Trail(t.bucket, t.key, t.suffix[6:], trail="second")
    for _ in range(3):
        second.seal()
    t.bucket.remove(t.files[3][0])
    t.bucket.remove(second.files[1][0])
    return second


@case(args=["--trail", TRAIL])
def one_trail(t):
    with_a_second_trail(t)
    t.put_file(FIRST_END, "invented")
    odd = t.file_key(t.end, "x").replace("_x", "-x")
    t.bucket.put(odd, b"")
    return [t.files[3][0], odd]


@case(args=["--trail", "second"])
def another_trail(t):
    return [with_a_second_trail(t).files[1][0]]


@case(rc=0, args=["--trail", "third"])
def no_such_trail(t):
    with_a_second_trail(t)
    return []


@case(args=["--start-time", "2026-03-01T12:30:00Z", "--end-time", "2026-03-01T14:00:00Z"])
def some_hours(t):
    for n in (1, 3, 4):
        t.bucket.remove(t.files[n][0])
    t.put_file(FIRST_END + 3 * PERIOD - 600, "invented")
    t.put_file(FIRST_END + 3 * PERIOD + 60, "outside")
    k = t.put_file(FIRST_END + PERIOD + 1800, "inside")["s3Object"]
    return [t.files[3][0], t.file_key(FIRST_END + 3 * PERIOD - 600, "invented"), k]


@case(args=["--start-time", "2026-03-01T13:00:00Z"])
def from_the_edge_of_an_hour(t):
    t.bucket.remove(t.digests[2], *t.files[2])  # ends there, and is not asked for
    t.bucket.remove(t.digests[4])
    return [t.digests[4]] + t.files[4]


@case(rc=0, args=["--end-time", "2026-03-01T12:00:00Z"])
def up_to_the_edge_of_an_hour(t):
    t.bucket.remove(t.files[2][0])
    return []


@case(rc=0, args=["--start-time", "2026-03-02"])
def a_day_without_digests(t):
    t.bucket.remove(t.files[2][0])
    t.put_file(t.end + 86400, "pending")
    return []


@case(args=["--json"])
def findings_as_json(t):
    t.bucket.remove(t.files[3][0])
    t.previous = None
    t.seal()
    odd = "%s/CloudTrail/us-east-1/2026/03/01/a\x1b\"\u009b2J\u20ac" % t.root
    t.bucket.put(odd, b"x")
    return None


# Only these depend on the codec.
OF_THE_CODEC = ("intact", "many_zeros", "content", "flipped", "truncated", "empty", "extra", "zero", "member", "skippable", "codec",
                "compressed", "json", "midnight", "everything")


# ---- running ---------------------------------------------------------------------------------------------------------

def verify(argv, env=None):
    p = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=HERE,
                       env=dict(os.environ, **(env or {})))
    lines = [re.sub(r'"records":\d+,|"filesResumed":\d+,', "", line)  # only waymark verify counts them
             for line in p.stdout.decode().splitlines() if not line.startswith("records in valid files: ")]
    return p.returncode, lines, p.stderr.decode()


def found(lines):
    return sorted(line.split(": ", 1)[0] for line in lines if not line.startswith(("note: ", "checked ", "result: ")))


def check(name, tools, arguments, rc, keys=None, env=None):
    """Both tools, the same end and the same lines; keys: what must be named."""
    ours, script = (verify([tool, *extra, *arguments], env) for tool, extra in tools)
    problems = []
    if ours[0] != rc or script[0] != rc:
        problems.append("exit codes %d and %d, expected %d" % (ours[0], script[0], rc))
    if ours[1] != script[1]:
        problems.append("they differ")
    if keys is not None and found(ours[1]) != sorted(keys):
        problems.append("found %s, expected %s" % (found(ours[1]), sorted(keys)))
    if not problems:
        return True
    print("not ok: %s: %s" % (name, "; ".join(problems)))
    for title, result in (("waymark verify", ours), ("verify-trail", script)):
        print("  %s: %d" % (title, result[0]))
        for line in result[1] + result[2].splitlines():
            print("    " + line)
    return False


def check_arguments(folder, tools, good, keys_file):
    """What cannot be checked, and where the keys are looked for."""
    bucket, empty = os.path.join(folder, "good"), os.path.join(folder, "empty")
    shutil.copytree(good, bucket)
    os.makedirs(empty)
    os.makedirs(os.path.join(folder, "keys"))
    shutil.copy(keys_file, os.path.join(folder, "keys", "public-keys.json"))
    bad = os.path.join(folder, "bad.json")
    with open(keys_file) as f:
        listed = json.load(f)
    listed["PublicKeyList"][0]["Fingerprint"] = "0" * 32
    with open(bad, "w") as f:
        json.dump(listed, f)
    with open(os.path.join(folder, "none.json"), "w") as f:
        f.write('{"PublicKeyList": []}')
    nowhere = os.path.join(folder, "nowhere")
    s3 = ["s3://bucket/p", "--public-keys", keys_file, "--endpoint-url", "http://127.0.0.1:1"]
    aws = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    cases = [
        ("keys beside the folder", [bucket], 0, None),
        ("trailing slash", [bucket + "/"], 0, None),
        ("data directory", [bucket, "--data-dir", folder], 0, None),
        ("data directory by =", ["--data-dir=" + folder, bucket], 0, None),
        ("data directory by environment", [bucket], 0, {"WAYMARK_DATA_DIR": folder}),
        ("data directory without keys", [bucket, "--data-dir", nowhere], 2, None),
        ("data directory of the environment without keys", [bucket], 2, {"WAYMARK_DATA_DIR": nowhere}),
        ("no such key file", [bucket, "--public-keys", nowhere], 2, None),
        ("keys with a false fingerprint", [bucket, "--public-keys", bad], 2, None),
        ("keys that are no JSON", [bucket, "--public-keys", os.path.abspath(__file__)], 2, None),
        ("no keys at all", [bucket, "--public-keys", os.path.join(folder, "none.json")], 1, None),
        ("nothing there", [empty, "--public-keys", keys_file], 2, None),
        ("no such folder", [nowhere, "--public-keys", keys_file], 2, None),
        ("no target", [], 2, None),
        ("two targets", [bucket, bucket], 2, None),
        ("unknown option", [bucket, "--frobnicate"], 2, None),
        ("option without a value", [bucket, "--region"], 2, None),
        ("a time that is none", [bucket, "--start-time", "2026-02-30"], 2, None),
        ("an end before the start", [bucket, "--start-time", "2026-03-02", "--end-time", "2026-03-01"], 2, None),
        ("no time at all", [bucket, "--start-time", "2026-03-02", "--end-time", "2026-03-02"], 2, None),
        ("help", ["--help"], 0, None),
        ("nobody answers", s3, 2, aws),
        ("no credentials", s3, 2, {"AWS_SHARED_CREDENTIALS_FILE": nowhere}),
    ]
    ok = True
    for name, arguments, rc, env in cases:
        if name == "help":
            ok &= all(verify([t, *e, *arguments], env)[0] == 0 for t, e in tools)
        else:
            ok &= check(name, tools, arguments, rc, None, env)
    return ok, len(cases)


def check_vector(folder, tools):
    """A chain that another writer made: published facts, accepted by AWS's own validate-logs."""
    if not os.path.exists(VECTOR):
        print("skipped: vector (there is no %s)" % VECTOR)
        return True
    with open(VECTOR, encoding="utf-8") as f:
        lines = f.read().partition("### 3.7")[2].partition("\n---")[0].splitlines()
    after = {line: lines[n + 1] for n, line in enumerate(lines[:-1])}
    key = next(after[line] for line in lines if line.startswith("public key"))
    log = next(after[line] for line in lines if line.startswith("log body")).encode()
    first = next(after[line] for line in lines if line.startswith("digest 1 body")).encode()
    signatures = [after["x-amz-meta-signature %d =" % n] for n in (1, 2)]
    one = json.loads(first)
    log_key, key1 = one["logFiles"][0]["s3Object"], one["digestS3Object"]
    key2 = key1.replace("T110000Z", "T120000Z")
    second = json.dumps(dict(
        one, digestStartTime=one["digestEndTime"], digestEndTime=one["digestEndTime"].replace("T11", "T12"),
        digestS3Object=key2, newestEventTime=None, oldestEventTime=None, previousDigestS3Bucket=one["digestS3Bucket"],
        previousDigestS3Object=key1, previousDigestHashValue=sha256(first), previousDigestHashAlgorithm="SHA-256",
        previousDigestSignature=signatures[0], logFiles=[]), separators=(",", ":")).encode()
    bucket = Bucket(os.path.join(folder, "bucket"))
    bucket.put(log_key, pack(log_key, log))
    for digest_key, body, signature in (key1, first, signatures[0]), (key2, second, signatures[1]):
        bucket.put(digest_key, pack(digest_key, body), signature=signature, signature_algorithm="SHA256withRSA")
    keys_file = os.path.join(folder, "keys.json")
    with open(keys_file, "w", encoding="ascii") as f:  # times as CLI v2 prints them
        json.dump({"PublicKeyList": [{"Value": key, "ValidityStartTime": "2026-02-20T00:00:00+01:00",
                                      "ValidityEndTime": "2026-03-22T00:00:00.500000+00:00",
                                      "Fingerprint": one["digestPublicKeyFingerprint"]}]}, f)
    ok = check("vector", tools, [bucket.folder, "--public-keys", keys_file], 0, [])
    bucket.set_content(log_key, log.replace(b"6f1c", b"6f1d"))
    ok &= check("vector, file changed", tools, [bucket.folder, "--public-keys", keys_file], 1, [log_key])
    bucket.set_content(log_key, log)
    bucket.remove(key1)
    return ok & check("vector, digest removed", tools, [bucket.folder, "--public-keys", keys_file], 1, [key1, log_key])


GROWING = """
import os, runpy, shutil, sys
real, seen = os.scandir, []
def scandir(path):
    if str(path).endswith(("/CloudTrail", "/CloudTrail-Digest")):
        seen.append(path)
        if len(seen) == 2:
            shutil.copytree(%r, %r, dirs_exist_ok=True)
    return real(path)
os.scandir = scandir
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def check_tars(folder, tools, trail, keys_file):
    """A tar of a bucket, however it was made, is as the bucket."""
    trail = trail.copy_to(os.path.join(folder, "bucket"))
    made = [("plain.tar", ["-C", trail.bucket.folder, "."]), ("named.tar", ["-C", folder, "bucket"]),
            ("packed.tar.gz", ["-z", "-C", trail.bucket.folder, "."]),
            ("packed.tar.zst", ["--zstd", "-C", folder, "bucket"])]
    ok, n = True, 0
    for harm, rc in ((lambda: None, 0), (lambda: trail.bucket.remove(trail.files[2][0]), 1)):
        harm()
        keys = [] if rc == 0 else [trail.files[2][0]]
        for name, arguments in made:
            path = os.path.join(folder, name)
            run("tar", "-cf", path, *arguments)
            ok &= check("%s, exit %d" % (name, rc), tools, [path, "--public-keys", keys_file], rc, keys)
            n += 1
    # what was put into it later takes the place of what was there
    trail.bucket.set_content(trail.files[1][0], b"{}")
    run("tar", "-rf", os.path.join(folder, "plain.tar"), "-C", trail.bucket.folder, "./" + trail.files[1][0])
    ok &= check("appended.tar", tools, [os.path.join(folder, "plain.tar"), "--public-keys", keys_file], 1,
                [trail.files[1][0], trail.files[2][0]])
    ok &= check("no tar", tools, [keys_file, "--public-keys", keys_file], 2)
    ok &= check("no such prefix", tools, [os.path.join(folder, "plain.tar/some"), "--public-keys", keys_file], 2)
    prefixed = Trail(Bucket(os.path.join(folder, "prefixed")), trail.key, "gz", prefix="logs/prod")
    prefixed.seal()
    run("tar", "-cf", os.path.join(folder, "prefixed.tar"), "-C", folder, "prefixed")
    ok &= check("prefix", tools, [os.path.join(folder, "prefixed.tar/logs/prod/"), "--public-keys", keys_file], 0, [])
    return ok, n + 4


def check_checkpoints(folder, tools, trail, keys_file):
    """Both write the same, read each other's, and name what is gone."""
    trail = trail.copy_to(os.path.join(folder, "bucket"))
    second = Trail(trail.bucket, trail.key, trail.suffix[6:], trail="second")
    second.seal()
    files = [os.path.join(folder, "checkpoint%d" % n) for n in range(2)]
    target = [trail.bucket.folder, "--public-keys", keys_file]
    problems, total = [], 0

    def read(path):
        with open(path, encoding="utf-8") as f:
            return f.read()

    def step(name, rc, keys, *more, text=None):
        """text: what the checkpoint is before; None: as it is. Only a good run moves it on, and both do so alike."""
        nonlocal total
        total += 1
        for path in files if text is not None else ():
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)
        before = read(files[0]) if os.path.exists(files[0]) else None
        results = [verify([tool, *extra, *target, *more, "--checkpoint", path])
                   for (tool, extra), path in zip(tools, files)]
        if results[0][:2] != results[1][:2] or results[0][0] != rc or (rc < 2 and found(results[0][1]) != sorted(keys)):
            problems.append("%s: %s" % (name, results))
        if os.path.exists(files[0]) and (read(files[0]) != read(files[1]) or (rc and read(files[0]) != before)):
            problems.append("%s: the checkpoints:\n%s%s" % (name, read(files[0]), read(files[1])))
        files.reverse()  # the next step reads the other's

    step("first", 0, [])
    pinned = read(files[0])
    assert pinned.count("\n{") == 2 and trail.digests[-1] in pinned, pinned
    trail.seal()
    step("moved on", 0, [])
    assert trail.digests[-1] in read(files[0])
    step("not back in time", 0, [], "--end-time", "2026-03-01T13:00:00Z")
    assert trail.digests[-1] in read(files[0])
    moved_on = read(files[0])
    step("one trail", 0, [], "--trail", "second")
    others = moved_on.replace(second.digests[0], "elsewhere/AWSLogs/1/x")
    step("another prefix", 0, [], text=others)
    step("another bucket", 0, [], text=moved_on.replace('"bucket":"evidence"', '"bucket":"other"'))
    step("from an older day", 0, [], text=pinned)
    for name, text in (("empty", ""), ("no JSON", "{"), ("no list", '{"waymarkCheckpoint":1}'), ("version", moved_on.replace(
            '"waymarkCheckpoint":1', '"waymarkCheckpoint":2')), ("time", moved_on.replace("T17:00:00Z", "T25:00:00Z")),
            ("hash", moved_on.replace('"sha256":"', '"sha256":"x')), ("member", moved_on.replace('"end"', '"END"'))):
        step(name, 2, [], text=text)
    step("by hand", 0, [], text=json.dumps(json.loads(pinned), indent=2))
    trail.bucket.remove(trail.digests[6], *trail.files[6])
    step("cut", 1, [trail.digests[6]], text=moved_on)
    step("cut, of another trail", 0, [], "--trail", "second", text=moved_on)
    step("cut, outside of the time", 1, [trail.digests[6]], "--end-time", "2026-03-01T13:00:00Z", text=moved_on)
    trail.previous = {"key": trail.digests[5], "hash": trail.documents[trail.digests[6]]["previousDigestHashValue"],
                      "signature": trail.documents[trail.digests[6]]["previousDigestSignature"]}
    trail.put_digest(dict(trail.documents[trail.digests[6]], logFiles=[]))
    step("replaced", 1, [trail.digests[6]], text=moved_on)
    step("replaced, outside of the time", 1, [trail.digests[6]], "--end-time", "2026-03-01T13:00:00Z", text=moved_on)
    trail.bucket.set_raw(trail.digests[6], b"x")
    step("damaged", 1, [trail.digests[6]], text=moved_on)
    step("damaged, outside of the time", 1, [trail.digests[6]], "--end-time", "2026-03-01T13:00:00Z", text=moved_on)
    shutil.rmtree(trail.bucket.folder)
    os.makedirs(trail.bucket.folder)
    step("everything is gone", 1, [trail.digests[6], second.digests[0]], text=moved_on)
    step("nothing was there", 2, [], text='{"waymarkCheckpoint":1,"digests":[]}')
    for problem in problems:
        print("not ok: checkpoint, %s" % problem)
    return not problems, total


def check_random_numbers(folder, tools, key, keys_file):
    """Sequence numbers at random, many chains in one bucket: both follow them alike."""
    seed = random.randrange(1 << 32)
    dice = random.Random(seed)
    bucket = Bucket(os.path.join(folder, "bucket"))
    for n in range(24):
        name = "trail%02d" % n
        trail = Trail(bucket, key, "gz", trail=name, numbered=True)
        trail.number = dice.choice((1, 1000))
        for _ in range(3):
            trail.number += dice.choice((0, 5))
            trail.seal(n_files=dice.randrange(4))

        def switch(record, what):
            named = dice.choice((name,) * 6 + ("arn:aws:cloudtrail:us-east-1:1:trail/" + name, "x" + name, 7))
            switched(what, named, **dice.choice(({},) * 6 + ({"errorCode": "x"},)))(record)

        def miss(record):
            first = trail.number - dice.randrange(1, 30)
            details = {"trailARN": "arn:aws:cloudtrail:us-east-1:1:trail/" + name, "firstSequence": first,
                       "lastSequence": first + dice.randrange(9)}
            for side in ("stoppedBefore", "stoppedBehind"):
                details.update({side: dice.choice((True, 1))} if dice.randrange(2) else {})
            record.update(eventType="AwsServiceEvent", eventName="RecordsMissed", serviceEventDetails=details,
                          waymarkSequence=record.pop("waymarkSequence", None))

        for d in (1, 2):
            if trail.files[d - 1] and trail.files[d] and dice.randrange(2):  # perhaps a stop that explains the gap
                trail.set_records(d - 1, -1, lambda records: switch(records[-1], "StopLogging"))
                trail.set_records(d, 0, lambda records: switch(records[0], "StartLogging"))
        for d, files in enumerate(trail.files):
            for i in range(len(files)):
                for _ in range(dice.choice((0, 0, 0, 1, 2))):
                    trail.set_records(d, i, lambda records: dice.choice((
                        lambda: switch(records[0], "StartLogging"), lambda: switch(records[-1], "StopLogging"),
                        lambda: miss(records[0]), lambda: records.reverse(),
                        lambda: records.pop(), lambda: records.append(dict(records[0])),
                        lambda: records[0].update(waymarkSequence=dice.randrange(1, 30)),
                        lambda: records[-1].update(waymarkSequence=dice.choice((None, 0, 1.5, 1e3, "1", True, -1, 2 ** 53))),
                        lambda: records[0].update(later=1),
                        lambda: [record.pop("waymarkSequence", 0) for record in records],
                        lambda: records.append({"eventID": "x", "waymarkSequence": records[0].get("waymarkSequence") or 7})))()
                        if records else None)
        trail.reseal(0, lambda d: d.update(previousDigestS3Object=d["previousDigestS3Object"]))
        if dice.randrange(3) == 0:
            change = dice.choice((lambda: bucket.remove(trail.digests[1]), lambda: bucket.remove(*trail.files[1]),
                                  lambda: bucket.set_raw(trail.digests[1], b"x"),
                                  lambda: bucket.set_metadata(trail.digests[1], {})))
            change()
    return check("random numbers, seed %d" % seed, tools, [bucket.folder, "--public-keys", keys_file], 1)


def check_while_it_grows(folder, tools, key, keys_file):
    """A period is sealed while the script reads the names, between those of digests and those of files."""
    trail = Trail(Bucket(os.path.join(folder, "bucket")), key, "gz")
    trail.seal()
    trail = trail.copy_to(os.path.join(folder, "grown"))
    trail.seal()
    rc, lines, errors = verify([sys.executable, "-c", GROWING % (trail.bucket.folder, os.path.join(folder, "bucket")),
                                tools[1][0], os.path.join(folder, "bucket"), "--public-keys", keys_file])
    if rc == 0 and any("digests 1, valid 1; files 2, valid 2; files not yet in a digest 2" in line for line in lines):
        return True
    print("not ok: while it grows: %d\n%s%s" % (rc, "\n".join(lines), errors))
    return False


def main():
    global OTHER, AHEAD, HERE
    tools = ((os.path.abspath(sys.argv[1]), ["verify"]), (os.path.abspath(sys.argv[2]), []))
    only = sys.argv[3:]
    # Nothing of the caller's environment may decide where keys or buckets are.
    for name in [n for n in os.environ if n.startswith(("AWS_", "WAYMARK_"))]:
        del os.environ[name]
    good, total = 0, 0
    with tempfile.TemporaryDirectory() as tmp:
        key, OTHER, HERE = Key(tmp, "key"), Key(tmp, "other"), os.path.join(tmp, "here")
        AHEAD = Key(tmp, "ahead", calendar.timegm((2199, 1, 1, 0, 0, 0)))
        os.mkdir(HERE)
        keys_file = public_keys(os.path.join(tmp, "public-keys.json"), key, AHEAD)
        for codec in ("gz", "zst"):
            bases = {}
            for name, function, rc, digests, more in CASES:
                if (only and name not in only) or (codec == "zst" and not any(word in name for word in OF_THE_CODEC)):
                    continue
                if digests not in bases:
                    bases[digests] = Trail(Bucket(os.path.join(tmp, "base-%s-%d" % (codec, digests))), key, codec,
                                           prefix=PREFIX if digests == 30 else "")
                    for _ in range(digests):
                        bases[digests].seal()
                base = bases[digests]
                trail = base.copy_to(os.path.join(tmp, "case"))
                keys = function(trail)
                target = trail.bucket.folder + ("/" + PREFIX + "/" if digests == 30 else "")
                good += check("%s, %s" % (codec, name), tools, [target, "--public-keys", keys_file, *more], rc, keys)
                total += 1
                shutil.rmtree(trail.bucket.folder)
                assert not os.listdir(HERE), "a key ran a command"
            if codec == "gz" and not only:
                ok, n = check_arguments(os.path.join(tmp, "arguments"), tools, bases[6].bucket.folder, keys_file)
                good, total = good + (n if ok else 0), total + n
                good, total = good + check_vector(os.path.join(tmp, "vector"), tools), total + 1
                good, total = good + check_while_it_grows(os.path.join(tmp, "grows"), tools, key, keys_file), total + 1
                for many in check_tars, check_checkpoints:
                    ok, n = many(os.path.join(tmp, many.__name__), tools, bases[6], keys_file)
                    good, total = good + (n if ok else 0), total + n
                good, total = good + check_random_numbers(os.path.join(tmp, "random"), tools, key, keys_file), total + 1
    print("%d of %d cases agree" % (good, total))
    return 0 if good == total else 1


if __name__ == "__main__":
    sys.exit(main())
