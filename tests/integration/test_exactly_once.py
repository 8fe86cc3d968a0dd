"""Each request id that a client saw is in the bucket exactly once, no other is, and all three verifiers agree."""
import pytest

import load
from harness import (DIGEST_KEY, LOG_KEY, REGION, public_keys, scaled, validate_counts, validate_logs, verify_c,
                     verify_script)

CLIENTS = 8
CALLS = scaled(500, 40)  # of each


def assert_exactly_once(store, seen):
    got = store.request_ids()
    assert len(got) == len(set(got)), "a record is there twice"
    assert set(got) == set(seen), (len(set(seen) - set(got)), "lost", len(set(got) - set(seen)), "invented")
    events = [r["eventID"] for _, r in store.all_records()]
    assert len(events) == len(set(events))


def assert_layout(store):
    for key in store.log_keys():
        assert LOG_KEY.fullmatch(key), key
        assert store.content(key).startswith(b'{"Records":[') and b"\n" not in store.content(key)
    for key in store.digest_keys():
        assert DIGEST_KEY.fullmatch(key), key


def work(server):
    """The load, then the calls' request ids."""
    clients = [load.Client(i, seed=1) for i in range(CLIENTS)]
    load.run(clients, server.client, CALLS)
    assert sum(c.cut_off for c in clients) == 0
    seen = [i for c in clients for i in c.ids]
    assert len(seen) == len(set(seen)) == CLIENTS * CALLS
    server.store.wait_for_ids(seen)
    assert_exactly_once(server.store, seen)
    return seen


def assert_verifiers_agree(server, store):
    """Once every file is in a digest and the daemon writes nothing more: what is there is good."""
    public_keys(server)
    for verify in verify_c, verify_script:
        status, output = verify(server, store)
        assert status == 0, output


def test_folder_zstd(start_server):
    server = start_server(trails=[{"name": "demo", "batch_age": "200ms", "digest_period": "2s", "batch_records": 300}])
    seen = work(server)
    server.store.wait_sealed()
    server.stop()
    assert_exactly_once(server.store, seen)
    assert_layout(server.store)
    assert len(server.store.log_keys()) >= len(seen) / 300
    server.start()
    assert_verifiers_agree(server, server.store)


def test_bucket_zstd(start_s3_server):
    server = start_s3_server("zstd", trail={"prefix": "audit/eu", "batch_bytes": "64KiB"})
    seen = work(server)
    server.store.wait_sealed()
    server.stop()
    assert_exactly_once(server.store, seen)
    assert_layout(server.store)
    assert all(len(server.store.content(k)) <= 65536 for k in server.store.log_keys())
    assert all(k.startswith("audit/eu/AWSLogs/") for k in server.store.keys())
    server.start()
    assert_verifiers_agree(server, server.store)


def test_bucket_gzip_and_the_aws_cli_agrees(start_s3_server):
    server = start_s3_server("gzip", trail={"batch_records": 200})
    store = server.store
    seen = work(server)
    store.wait_sealed()
    assert_layout(store)
    for key in store.keys():
        head = store.head(key)
        assert head["ContentType"] == "application/json", key
        if "/CloudTrail-Digest/" in key:
            assert len(head["Metadata"]["signature"]) == 512
            assert head["Metadata"]["signature-algorithm"] == "SHA256withRSA"
    files, digests = len(store.log_keys()), len(store.digest_keys())
    status, output = validate_logs(server, store)
    assert status == 0, output
    counts = validate_counts(output)
    # Further digests may have come since, and the command's own calls are a file more.
    assert counts["log"][0] == counts["log"][1] >= files, output
    assert counts["digest"][0] == counts["digest"][1] >= digests, output
    assert "INVALID" not in output
    assert_verifiers_agree(server, store)
    # The verifiers' own calls are records too; of the clients' calls none was repeated meanwhile.
    got = store.request_ids()
    assert len(got) == len(set(got)) and set(seen) <= set(got)


def test_several_trails_and_threads_carry_the_same_records(start_server, minio):
    bucket = minio.make_bucket()
    from harness import Bucket

    server = start_server(
        trails=[{"name": "folder", "batch_age": "100ms", "digest_period": "2s"},
                {"name": "bucket", "store": "s3", "endpoint": minio.endpoint, "bucket": bucket, "codec": "gzip",
                 "batch_age": "500ms", "digest_period": "3s", "encryption": "none"}],
        login=minio, environment={"AWS_ACCESS_KEY_ID": minio.key_id, "AWS_SECRET_ACCESS_KEY": minio.secret},
        http={"threads": 2})
    seen = work(server)
    second = Bucket(minio, bucket)
    second.wait_for_ids(seen)
    assert_exactly_once(second, seen)
    server.store.wait_sealed()
    second.wait_sealed()
    for store in server.store, second:
        assert_verifiers_agree(server, store)
    names = [t["Name"] for t in server.client("cloudtrail").describe_trails()["trailList"]]
    assert sorted(names) == ["bucket", "folder"]


@pytest.mark.parametrize("connections", [1, 32])
def test_fast_clients_on_kept_connections(start_server, connections):
    """Without a slow client library in between: the same signed request, many times, on many connections."""
    from rawload import Swarm

    server = start_server(trails=[{"name": "demo", "batch_age": "100ms", "digest_period": "60s"}])
    calls = scaled(6000, 600)
    swarm = Swarm(server, connections)
    ids = swarm.run(calls // connections)
    swarm.close()
    assert len(ids) == len(set(ids)) == calls // connections * connections
    server.store.wait_for_ids(ids)
    assert_exactly_once(server.store, ids)
    assert {r["awsRegion"] for _, r in server.store.records()} == {REGION}
