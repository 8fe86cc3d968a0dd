"""What others read of a bucket with their own programs: every record, whole, once.

gzip is what all of them read; zstd those who go by the extension.
"""
import json
import os
import subprocess

import duckdb
import pytest

from harness import ACCOUNT, REGION, clean_environment, urllib, wait_for

TRAILSCRAPER = os.path.join(os.path.dirname(os.path.abspath(os.sys.executable)), "trailscraper")


def some_calls(server):
    client = server.client()
    ids = []
    client.meta.events.register("after-call", lambda http_response, **_: ids.append(
        http_response.headers["x-amzn-requestid"]))
    for n in range(5):
        client.create_channel(Id=f"stage-{n}", Description="Zo\u00eb \u2603 \"north\" \\ \U0001f3a4", Tags={"a.b": "", "c": "d"})
    client.describe_channel(Id="stage-1")
    client.list_channels()
    client.update_channel(Id="stage-1", Description="x" * 5000)
    for n in range(2):
        client.delete_channel(Id=f"stage-{n}")
    with pytest.raises(client.exceptions.NotFoundException):
        client.describe_channel(Id="stage-1")
    return ids


def written(server, ids):
    """{eventID: record} of all that was written, once the files are there and sealed."""
    server.store.wait_for_ids(ids)
    wait_for(lambda: len(server.store.service_events()) >= 2, "the key's records")
    server.stop()  # nothing more is written
    records = [r for _, r in server.store.all_records()]
    by_id = {r["eventID"]: r for r in records}
    assert len(by_id) == len(records) > len(ids)
    assert sorted(i for i in (r.get("requestID") for r in records) if i) == sorted(ids)
    return by_id


def by_duckdb(pattern):
    """[(file, record)] as DuckDB finds them below a folder."""
    rows = duckdb.sql(f"""
        select filename, unnest(json_extract(json, '$.Records[*]')) as record
        from read_json_objects('{pattern}', filename = true, format = 'unstructured')""").fetchall()
    return [(name, json.loads(record)) for name, record in rows]


def test_gzip_files_are_read_by_trailscraper_and_duckdb(start_s3_server, minio, tmp_path):
    server = start_s3_server("gzip")
    expected = written(server, some_calls(server))

    def trailscraper(*args):
        environment = clean_environment(AWS_ACCESS_KEY_ID=minio.key_id, AWS_SECRET_ACCESS_KEY=minio.secret,
                                        AWS_DEFAULT_REGION=REGION, AWS_ENDPOINT_URL_S3=minio.endpoint, TZ="UTC")
        run = subprocess.run([TRAILSCRAPER, *args, "--log-dir", str(tmp_path / "logs")], env=environment, text=True,
                             capture_output=True, timeout=120, check=False)
        assert run.returncode == 0, run.stderr
        return run.stdout

    trailscraper("download", "--bucket", server.store.name, "--account-id", ACCOUNT, "--region", REGION)
    got = {os.path.relpath(os.path.join(folder, f), tmp_path / "logs")
           for folder, _, files in os.walk(tmp_path / "logs") for f in files}
    assert got == set(server.store.log_keys())
    records = json.loads(trailscraper("select"))["Records"]
    assert len(records) == len(expected)
    assert {r["eventID"]: r for r in records} == expected

    rows = by_duckdb(f"{tmp_path}/logs/AWSLogs/*/CloudTrail/*/*/*/*/*.json.gz")
    assert len(rows) == len(expected)
    assert {r["eventID"]: r for _, r in rows} == expected


def test_zstd_files_are_read_by_duckdb(start_server):
    server = start_server()
    expected = written(server, some_calls(server))
    folder = urllib.parse.quote(server.store.path)
    assert folder == server.store.path  # so that it stands for itself in a pattern
    rows = by_duckdb(f"{folder}/AWSLogs/*/CloudTrail/*/*/*/*/*.json.zst")
    assert len(rows) == len(expected)
    assert {r["eventID"]: r for _, r in rows} == expected
    assert {os.path.relpath(name, folder) for name, _ in rows} == set(server.store.log_keys())

    # and what is asked of a trail, as SQL
    (top,) = duckdb.sql(f"""
        with r as (select unnest(json_extract(json, '$.Records[*]')) as r
                   from read_json_objects('{folder}/AWSLogs/*/CloudTrail/**/*.json.zst', format = 'unstructured'))
        select r->>'$.userIdentity.arn', count(*), count(r->>'$.errorCode') from r
        where r->>'$.eventSource' = 'mediapackage.amazonaws.com' group by all""").fetchall()
    calls = [r for r in expected.values() if r["eventSource"] == "mediapackage.amazonaws.com"]
    assert top == (f"arn:aws:iam::{ACCOUNT}:root", len(calls), 1)
