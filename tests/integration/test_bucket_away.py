"""The bucket is away for a while and back: calls go on, nothing is lost, nothing is repeated."""
import os
import time

from harness import Bucket, Folder, free_port, request_id, scaled, validate_logs, verify_c, verify_script, wait_for
from rawload import Swarm


def calls(server, n):
    client = server.client()
    return [request_id(client.list_channels()) for _ in range(n)]


def unrecorded(store):
    """How many calls the trail says were refused without a record."""
    return sum(e["serviceEventDetails"]["refusedCalls"] for e in store.service_events()
               if e["eventName"] == "CallsUnrecorded")


def delivery_error(server):
    status = server.client("cloudtrail").get_trail_status(Name="demo")
    return status.get("LatestDeliveryError"), request_id(status)


def assert_good(server, bucket, ids):
    bucket.wait_for_ids(ids)
    got = bucket.request_ids()
    assert len(got) == len(set(got)), "a record is there twice"
    bucket.wait_sealed()
    for verify in verify_c, verify_script:
        status, output = verify(server, bucket)
        assert status == 0, output


def test_minio_stops_and_starts_again(start_s3_server, own_minio):
    server = start_s3_server("gzip", bucket_of=own_minio)
    ids = calls(server, 20)
    server.store.wait_for_ids(ids)
    for _ in range(2):
        own_minio.stop()
        ids += calls(server, scaled(200, 40))
        wait_for(lambda: "trail-waiting" in server.log(), "the trail to say that it waits")
        own_minio.start()
        ids += calls(server, 10)
        server.store.wait_for_ids(ids)
    assert "trail-resumed" in server.log()
    error, _ = delivery_error(server)
    assert not error, "the status shows the newest delivery"
    assert_good(server, server.store, ids)
    status, output = validate_logs(server, server.store)
    assert status == 0, output


def test_the_daemon_is_killed_while_the_bucket_is_away(start_s3_server, own_minio):
    server = start_s3_server("zstd", bucket_of=own_minio)
    ids = calls(server, 20)
    own_minio.stop()
    for _ in range(3):
        ids += calls(server, 20)
        server.kill()
        server.start()
    server.stop()  # in order, with the bucket still away: the rest waits for the next start
    server.start()
    ids += calls(server, 20)
    own_minio.start()
    assert_good(server, server.store, ids)


def test_the_bucket_does_not_exist_yet(start_server, minio):
    name = "not-yet-" + minio.make_bucket()[-8:]
    server = start_server(
        trails=[{"name": "demo", "store": "s3", "endpoint": minio.endpoint, "bucket": name, "batch_age": "100ms",
                 "digest_period": "2s"}],
        login=minio, environment={"AWS_ACCESS_KEY_ID": minio.key_id, "AWS_SECRET_ACCESS_KEY": minio.secret})
    ids = calls(server, 5)

    def told():
        error, one = delivery_error(server)
        ids.append(one)
        return error == "NoSuchBucket"

    wait_for(told, "the status to say NoSuchBucket")
    minio.client().create_bucket(Bucket=name)
    assert_good(server, Bucket(minio, name), ids)


def test_the_login_is_wrong_and_then_right(start_server, minio):
    """Credentials of a file are read again when the file changes."""
    from harness import credentials_write
    import os

    bucket = minio.make_bucket()
    server = start_server(ready=False, trails=[])
    path = os.path.join(server.folder, "s3-credentials")
    credentials_write(path, minio.key_id, "this-is-not-the-secret")
    server.settings["trails"] = [{"name": "demo", "store": "s3", "endpoint": minio.endpoint, "bucket": bucket,
                                  "credentials_file": path, "profile": "waymark", "batch_age": "100ms",
                                  "digest_period": "2s"}]
    server.start()
    ids = calls(server, 5)

    def told():
        error, one = delivery_error(server)
        ids.append(one)
        return error == "SignatureDoesNotMatch"

    wait_for(told, "the status to say SignatureDoesNotMatch")
    credentials_write(path, minio.key_id, minio.secret)
    assert_good(server, Bucket(minio, bucket), ids)


def test_somebody_else_has_the_name_of_a_file(start_server, minio):
    """An object that is there and is not ours is never overwritten and never called ours."""
    import os

    server = start_server(trails=[{"name": "demo", "batch_age": "100ms", "digest_period": "1h"}])
    ids = calls(server, 3)
    server.store.wait_for_ids(ids)
    key = server.store.log_keys()[0]
    foreign = os.path.join(server.store.path, key)
    with open(foreign, "rb") as f:
        before = f.read()
    ids += calls(server, 3)
    server.store.wait_for_ids(ids)
    with open(foreign, "rb") as f:
        assert f.read() == before, "a trail file never changes"


def test_a_dead_bucket_holds_up_no_other_trail(start_server):
    server = start_server(trails=[
        {"name": "dead", "store": "s3", "endpoint": f"http://127.0.0.1:{free_port()}", "bucket": "nowhere",
         "batch_age": "100ms"},
        {"name": "demo", "batch_age": "100ms", "digest_period": "2s"}],
        environment={"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret"})
    server.store.name = "demo"
    ids = calls(server, 30)
    wait_for(lambda: "trail-waiting     trail=dead" in server.log(), "the other trail to wait")
    ids += calls(server, 30)
    server.store.wait_for_ids(ids)
    server.store.wait_sealed()
    began = time.monotonic()
    server.stop()
    assert time.monotonic() - began < 20


def test_two_daemons_on_one_prefix_are_told_apart(start_server, minio):
    """By mistake: two data folders, one bucket, the same name. The second writes nothing and says whose the place is."""
    name = minio.make_bucket()
    trail = {"name": "demo", "store": "s3", "endpoint": minio.endpoint, "bucket": name, "prefix": "a/b", "batch_age": "100ms",
             "digest_period": "2s"}
    environment = {"AWS_ACCESS_KEY_ID": minio.key_id, "AWS_SECRET_ACCESS_KEY": minio.secret}
    bucket = Bucket(minio, name, "a/b")
    first = start_server(trails=[trail], login=minio, environment=environment)
    ids = calls(first, 20)
    bucket.wait_for_ids(ids)
    second = start_server(trails=[trail], login=minio, environment=environment)
    calls(second, 20)
    wait_for(lambda: "OwnedByAnotherTrail" in second.log(), "the second daemon to say it")
    assert "begun 20" in second.log() and os.uname().nodename in second.log()
    assert delivery_error(second)[0] == "OwnedByAnotherTrail"
    ids += calls(first, 20)
    assert_good(first, bucket, ids)
    assert set(bucket.request_ids()) - set(ids) <= {r["requestID"] for _, r in bucket.records()
                                                    if r["eventSource"] == "cloudtrail.amazonaws.com"}
    assert {k.split("/")[4] for k in bucket.keys()} == {"CloudTrail", "CloudTrail-Digest", "Waymark"}


def test_a_trail_is_taken_out_of_the_settings_and_put_back(start_server):
    """Meanwhile the journal has moved on: it goes on, and says in itself what it has missed."""
    both = [{"name": n, "folder": "", "batch_age": "100ms", "digest_period": "2s"} for n in ("demo", "other")]
    server = start_server(ready=False, journal={"segment_bytes": "2MiB", "max_bytes": "6MiB"}, trails=[])
    for t in both:
        t["folder"] = os.path.join(server.folder, t["name"])
    server.settings["trails"] = both
    server.start()
    demo, other = (Folder(t["folder"]) for t in both)
    ids = calls(server, 10)
    demo.wait_for_ids(ids)
    server.stop()
    server.settings["trails"] = both[1:]
    server.start()
    swarm = Swarm(server, 16)
    missed = swarm.run_until_recorded(9600)  # 6.4 MB: the journal must go round, on the slowest machine too
    swarm.close()
    assert set(swarm.statuses) <= {200, 503}
    other.wait_for_ids(missed)  # what was recorded; a follower that is slow for a while only makes calls wait or be refused
    wait_for(lambda: unrecorded(other) == swarm.statuses.get(503, 0), "each refused call to be told of")
    server.stop()
    server.settings["trails"] = both
    server.start()
    wait_for(lambda: "trail-missed      trail=demo" in server.log(), "the trail to say what it missed")
    ids = calls(server, 10)
    demo.wait_for_ids(ids)

    def told():
        return [r for r in demo.service_events() if r["eventName"] == "RecordsMissed"]

    wait_for(told, "the trail to have it in itself")
    assert len(told()) == 1
    details = told()[0]["serviceEventDetails"]
    assert details["trailARN"].endswith(":trail/demo")
    assert details["missedRecords"] == details["lastSequence"] - details["firstSequence"] + 1 > 1000
    assert not [r for r in demo.service_events() if r["eventName"] == "FollowerResumed"], "it never was a paused one"
    numbers = [r["waymarkSequence"] for _, r in demo.all_records()]
    gap = range(details["firstSequence"], details["lastSequence"] + 1)
    assert not set(gap) & set(numbers)
    assert set(numbers) | set(gap) == set(range(1, max(numbers) + 1)), "no number is unaccounted for"
    demo.wait_sealed()
    for verify in verify_c, verify_script:
        status, output = verify(server, demo)
        assert status == 0, output
        assert "left out" in output
