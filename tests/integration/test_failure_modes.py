"""Failures seen in the wild (docs/failure-modes.md): those that no other test provokes from outside, and the list."""
import os
import re

import pytest

from harness import SOURCE, request_id, verify_c, verify_script


def test_no_upload_is_left_in_parts(start_s3_server):
    """Also when the daemon is killed in the middle of uploads: an object is there in one piece, or not at all."""
    server = start_s3_server("gzip", trail={"batch_age": "50ms", "batch_records": 2})
    ids = []
    for _ in range(3):
        client = server.client()
        ids += [request_id(client.list_channels()) for _ in range(20)]
        server.kill()
        server.start()
    server.store.wait_for_ids(ids)
    client = server.store.client
    assert "Uploads" not in client.list_multipart_uploads(Bucket=server.store.name)
    for key in server.store.keys():
        assert re.fullmatch('"[0-9a-f]{32}"', server.store.head(key)["ETag"]), "the ETag of parts is no MD5"


def test_an_oversized_record_is_delivered_with_a_marker(start_server):
    server = start_server(http={"max_body_bytes": "256KiB"})
    client = server.client()
    before = request_id(client.list_channels())
    large = request_id(client.create_channel(Id="large", Description="\u20ac" * 40000))  # 120 KB in UTF-8
    after = request_id(client.list_channels())
    server.store.wait_for_ids([before, large, after])
    record = server.store.find(large)
    for member in "requestParameters", "responseElements":
        assert record[member]["omitted"] is True and member in record[member]["reason"]
    assert client.describe_channel(Id="large")["Description"] == "\u20ac" * 40000
    server.store.wait_sealed()
    for verify in verify_c, verify_script:
        status, output = verify(server, server.store)
        assert status == 0, output


def names_of_tests():
    for folder, _, files in os.walk(os.path.join(SOURCE, "tests")):
        for name in files:
            yield name.partition(".")[0]
            if name.endswith((".c", ".py")):
                with open(os.path.join(folder, name), encoding="utf-8") as f:
                    yield from re.findall(r"^(?:static void|def) (\w+)\(", f.read(), re.M)


@pytest.mark.parametrize("page", ["failure-modes.md"])
def test_the_list_names_tests_that_are_there(page):
    with open(os.path.join(SOURCE, "docs", page), encoding="utf-8") as f:
        rows = [line for line in f if line.startswith("| ")][2:]
    assert len(rows) == 15
    there = set(names_of_tests())
    for row in rows:
        names = re.findall("`([a-z0-9_]+)`", row.split("|")[3])
        assert names, row
        assert set(names) <= there, set(names) - there
