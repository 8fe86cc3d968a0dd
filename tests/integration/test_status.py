"""What the daemon says of itself: health, status and counts, in good days and in bad ones; and how it stops."""
import json
import os
import pty
import random
import resource
import signal
import socket
import subprocess
import time

import load
from harness import (PATIENCE, TOOL, Bucket, clean_environment, free_port, port_of, request_id, sanitizer_options, scaled,
                     wait_for)

MIB = 1024 * 1024


def waymark_status(server, *more):
    """waymark status: (exit status, stdout, stderr)."""
    run = subprocess.run([TOOL, "status", "--data-dir", server.data, *more], capture_output=True, text=True,
                         env=clean_environment(**sanitizer_options()), timeout=PATIENCE, check=False)
    assert "Sanitizer" not in run.stderr, run.stderr
    return run.returncode, run.stdout, run.stderr


def on_a_terminal(server, **environment):
    """What waymark status prints there."""
    ours, theirs = pty.openpty()
    try:
        run = subprocess.run([TOOL, "status", "--data-dir", server.data], stdout=theirs, timeout=PATIENCE, check=False,
                             env=clean_environment(**sanitizer_options(), TERM="xterm", **environment))
        assert run.returncode == 0
        return os.read(ours, 65536).decode()
    finally:
        os.close(ours)
        os.close(theirs)


def look(server):
    """(exit status, the document)."""
    code, out, err = waymark_status(server, "--json")
    assert code in (0, 1), (code, err)
    return code, json.loads(out)


def health(server, path):
    reply = server.send("GET", path)
    return reply.status, reply.body.decode().strip()


def assert_complete(status):
    assert status["calls"]["complete"] and status["counted"]["complete"], status
    for t in status["trails"]:
        assert t["complete"], t
        passed = t["before"] + t["delivered"] + t["filtered"] + t["missed"]
        assert passed + t["pending"] == status["journal"]["durableSeq"], t
    counted = status["counted"]
    assert counted["seq"] == sum(counted[k] for k in ("reads", "changes", "refused", "service", "earlier")), counted


def wait_all_delivered(server, store):
    """The status when nothing is pending: it counts what is in the bucket, and of each kind what is there of it."""
    def met():
        _, status = look(server)
        assert_complete(status)
        counted = status["counted"]
        if status["trails"][0]["pending"] or counted["seq"] != status["journal"]["durableSeq"]:
            return None
        records = [r for _, r in store.all_records()]
        if len(records) != counted["seq"]:
            return None  # another has come meanwhile
        calls = [r for r in records if r["eventType"] == "AwsApiCall"]
        refused = sum("errorCode" in r for r in calls)
        reads = sum(r["readOnly"] and "errorCode" not in r for r in calls)
        assert status["trails"][0]["delivered"] == len(records)
        assert (counted["service"], counted["refused"], counted["reads"]) == (len(records) - len(calls), refused, reads)
        return status

    return wait_for(met, "everything to be delivered")


def wait_status(server, condition, what):
    """The first document for which it is true."""
    def met():
        _, status = look(server)
        return status if condition(status) else None

    return wait_for(met, what)


def dead_trail(port):
    """Into a bucket on a port of loopback where nothing listens."""
    return {"name": "demo", "store": "s3", "endpoint": f"http://127.0.0.1:{port}", "bucket": "nowhere",
            "batch_age": "100ms", "digest_period": "2s"}


def test_a_healthy_daemon(start_server):
    server = start_server()
    client = server.client()
    ids = [request_id(client.create_channel(Id="one")), request_id(client.describe_channel(Id="one"))]
    assert server.call("GET", "/channels", secret="wrong").status == 403
    assert health(server, "/livez") == (200, "ok")
    assert health(server, "/readyz") == (200, "ok")
    status = wait_all_delivered(server, server.store)
    assert status["healthy"] and status["problems"] == []
    assert status["calls"]["received"] == status["calls"]["recorded"] == status["calls"]["acknowledged"] == 3
    counted = status["counted"]
    assert (counted["reads"], counted["changes"], counted["refused"]) == (1, 1, 1)
    assert set(ids) <= set(server.store.request_ids())
    code, text, _ = waymark_status(server)
    assert code == 0 and "health     good" in text and "NOT" not in text, text
    assert "\033" not in text, "no colours but on a terminal"
    assert "\033[32mgood\033[0m" in on_a_terminal(server)
    assert "\033" not in on_a_terminal(server, NO_COLOR="1")


def test_the_tool_says_when_it_cannot_ask(start_server, tmp_path):
    server = start_server()
    other = tmp_path / "other"
    other.write_text("[waymark]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = wrong\n")
    code, out, err = waymark_status(server, "--credentials-file", str(other))
    assert (code, out) == (2, "") and "does not take these credentials" in err, err
    server.client("iam").create_user(UserName="noor")  # whose call it then is, of an operation that there is not
    key = server.client("iam").create_access_key(UserName="noor")["AccessKey"]
    other.write_text(f"[waymark]\naws_access_key_id = {key['AccessKeyId']}\n"
                     f"aws_secret_access_key = {key['SecretAccessKey']}\n")
    code, out, err = waymark_status(server, "--credentials-file", str(other))
    assert (code, out) == (2, "") and "who alone may ask" in err, err
    code, out, err = waymark_status(server, "--endpoint", server.endpoint + "/", "--json")
    assert code == 0 and json.loads(out)["healthy"]
    for wrong in ("127.0.0.1:80", "http://", "http://x/y"):
        code, out, err = waymark_status(server, "--endpoint", wrong)
        assert (code, out) == (2, "") and "is not http://HOST:PORT" in err, err
    endpoint = server.endpoint
    server.stop()
    code, out, err = waymark_status(server)
    assert (code, out) == (2, "") and "is it running?" in err, err
    code, out, err = waymark_status(server, "--endpoint", endpoint)
    assert (code, out) == (2, "") and f"cannot ask {endpoint}" in err, err
    code, out, err = waymark_status(server, "surplus")
    assert (code, out) == (2, "")


def test_the_counts_hold_through_kills_under_load(start_server):
    seed = random.randrange(1 << 32)
    print("seed", seed)
    rng = random.Random(seed)
    server = start_server(trails=[{"name": "demo", "batch_age": "50ms", "digest_period": "1s", "batch_records": 50}])
    clients = [load.Client(i, seed) for i in range(4)]
    with load.pressure(clients, server):
        for i in range(scaled(5, 3)):
            time.sleep(rng.uniform(0.2, scaled(1.0, 3.0)))
            for _ in range(3):
                _, status = look(server)
                assert_complete(status)  # at any moment, and not only when all is quiet
            if i % 2:
                server.stop()
            else:
                server.kill()
            server.start()
            _, status = look(server)
            assert_complete(status)
    told = sum(len(c.ids) for c in clients)
    sent = told + sum(c.cut_off for c in clients)
    status = wait_all_delivered(server, server.store)
    counted = status["counted"]
    assert told <= counted["seq"] - counted["service"] <= sent
    assert status["calls"]["acknowledged"] == status["calls"]["recorded"] <= told


def test_the_bucket_is_away_and_comes_back(start_s3_server, own_minio):
    server = start_s3_server(bucket_of=own_minio)
    client = server.client()
    client.list_channels()
    wait_status(server, lambda s: s["trails"][0]["pending"] == 0, "the first delivery")
    own_minio.stop()
    for _ in range(7):
        client.list_channels()
    status = wait_status(server, lambda s: s["trails"][0]["latestDeliveryError"], "the status to say so")
    trail = status["trails"][0]
    assert not status["healthy"] and trail["pending"] >= 7
    assert_complete(status)
    wait_status(server, lambda s: s["trails"][0]["lagSeconds"] >= 1, "the lag to grow")
    code, text, _ = waymark_status(server)
    assert code == 1 and "NOT GOOD" in text and "trail demo does not deliver" in text, text
    assert health(server, "/readyz") == (200, "ok"), "calls are served all the same"
    own_minio.start()
    status = wait_status(server, lambda s: s["healthy"] and s["trails"][0]["pending"] == 0, "the delivery to go on")
    assert_complete(status)
    assert status["trails"][0]["lagSeconds"] == 0


def test_the_journal_is_full_and_has_room_again(start_server, own_minio):
    bucket = own_minio.make_bucket()
    own_minio.stop()
    trail = {**dead_trail(own_minio.port), "bucket": bucket}
    server = start_server(trails=[trail], journal={"segment_bytes": "2MiB", "max_bytes": "4MiB"}, log_level="notice",
                          environment={"AWS_ACCESS_KEY_ID": own_minio.key_id,
                                       "AWS_SECRET_ACCESS_KEY": own_minio.secret})
    ids = []
    large = "x" * 60000
    while True:
        reply = server.call("GET", "/channels", headers={"User-Agent": "test"}) if len(ids) % 2 else \
            server.call("POST", "/channels", json.dumps({"id": f"c{len(ids)}", "description": large}).encode())
        if reply.status == 503:
            break
        ids.append(reply.request_id)
    assert health(server, "/livez") == (200, "ok"), "a restart would not help"
    assert health(server, "/readyz") == (503, "the journal takes no entries")
    code, status = look(server)
    assert code == 1 and status["journal"]["state"] == "full" and "limit" in status["journal"]["reason"]
    assert status["journal"]["bytes"] == status["journal"]["maxBytes"] == 4 * MIB
    assert status["calls"]["refused"] == 1 and status["calls"]["acknowledged"] == len(ids)
    assert_complete(status)
    assert "FULL" in waymark_status(server)[1]

    own_minio.start()
    wait_for(lambda: health(server, "/readyz")[0] == 200, "room in the journal, without a call that would try")
    ids.append(server.call("GET", "/channels").request_id)
    store = Bucket(own_minio, bucket)
    assert wait_all_delivered(server, store)["healthy"]
    assert set(ids) <= set(store.request_ids())


def test_a_failed_journal_is_seen_before_the_process_ends(start_server):
    """A write that fails: here beyond the size that files may have, set behind the daemon's back."""
    server = start_server(ready=False, journal={"segment_bytes": "2MiB"},
                          trails=[{"name": "demo", "batch_age": "1h", "digest_period": "1h"}])
    server.prefix = ["env", "--ignore-signal=XFSZ"]
    server.start()
    ids = [request_id(server.client().list_channels())]
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (200000, resource.RLIM_INFINITY))
    while True:
        reply = server.call("GET", "/channels")
        if reply.status == 503:
            break
        ids.append(reply.request_id)
    assert len(ids) > 50
    assert health(server, "/livez")[0] == 503
    assert health(server, "/readyz")[0] == 503
    code, status = look(server)
    assert code == 1 and status["journal"]["state"] == "failed", status
    assert "File too large" in status["journal"]["reason"]
    assert status["calls"]["lost"] == 1 and status["calls"]["complete"]
    assert server.call("GET", "/channels").status == 503
    assert server.process.wait(PATIENCE) == 1
    server.prefix = []
    server.start()
    assert health(server, "/readyz") == (200, "ok")
    server.stop()
    assert set(ids) <= set(server.store.request_ids())


def end_at_once(server):
    """Another SIGTERM, which no deadline holds up."""
    began = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    # By the signal, or as shells show that where it does not work (the first process of a container, under TSan).
    assert server.process.wait(PATIENCE) in (-signal.SIGTERM, 128 + signal.SIGTERM)
    assert time.monotonic() - began < scaled(5, 20)
    server._ended()


def test_a_second_signal_stops_now_and_loses_nothing(start_server, minio):
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections and never says a word
        server = start_server(trails=[dead_trail(silent.getsockname()[1])], http={"shutdown_timeout": "10m"},
                              environment={"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "x"})
        client = server.client()
        ids = [request_id(client.create_channel(Id="kept"))] + [request_id(client.list_channels()) for _ in range(20)]
        server.process.send_signal(signal.SIGTERM)
        wait_for(lambda: " stopping " in server.log(), "the stop to begin")
        time.sleep(1)
        assert server.is_running(), "it waits for the bucket"
        end_at_once(server)
    assert "ended at once" in server.log() and "exit=" not in server.log()

    server.settings["trails"] = [{"name": "demo", "store": "s3", "endpoint": minio.endpoint, "bucket": minio.make_bucket(),
                                  "batch_age": "100ms", "digest_period": "2s"}]
    server.environment = {"AWS_ACCESS_KEY_ID": minio.key_id, "AWS_SECRET_ACCESS_KEY": minio.secret}
    server.start()
    assert [c["Id"] for c in server.client().list_channels()["Channels"]] == ["kept"]
    store = Bucket(minio, server.settings["trails"][0]["bucket"])
    store.wait_for_ids(ids)
    got = store.request_ids()
    assert len(got) == len(set(got))


def test_an_interrupt_that_was_ignored_stays_so(start_server):
    """As a shell wants it of what it runs with &: Ctrl-C is for the program in front."""
    server = start_server(ready=False)
    server.prefix = ["env", "--ignore-signal=INT"]
    server.start()
    server.process.send_signal(signal.SIGINT)
    for _ in range(3):
        assert server.call("GET", "/channels").status == 200
    server.stop()
    assert "signal=TERM" in server.log() and "signal=INT" not in server.log()


def test_a_start_can_be_watched_and_ended(start_server):
    """A start that takes long: here it waits for a file that somebody is to write into."""
    server = start_server()
    ids = [request_id(server.client().create_channel(Id="kept"))]
    server.kill()
    path = os.path.join(server.data, "credentials")
    os.rename(path, path + ".kept")
    os.mkfifo(path)
    server.listen = f"127.0.0.1:{free_port()}"
    server.port = port_of(server.listen)
    server.start(expect_ready=False)

    def answers():
        try:
            return health(server, "/livez")
        except OSError:
            assert server.is_running()
            return None

    assert wait_for(answers, "the listener") == (200, "ok")
    assert health(server, "/readyz") == (503, "starting")
    assert server.send("GET", "/channels").status == 503
    code, text, _ = waymark_status(server, "--endpoint", f"http://{server.listen}", "--credentials-file", path + ".kept")
    assert code == 1 and "answers 503" in text, text
    end_at_once(server)
    os.replace(path + ".kept", path)
    server.start()
    assert [c["Id"] for c in server.client().list_channels()["Channels"]] == ["kept"]
    server.store.wait_for_ids(ids)
