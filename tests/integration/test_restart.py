"""Stops in order, kills at any moment: nothing acknowledged is lost, nothing is repeated or invented."""
import random
import threading
import time

import load
from harness import request_id, scaled, verify_c, verify_script

CLIENTS = 6


def read_back(server, clients):
    """The state as the API shows it, and the request ids of reading it."""
    client = server.client()
    reply = client.list_channels()
    return {c["Id"]: c["Description"] for c in reply["Channels"]}, [request_id(reply)]


def expected(clients):
    return {k: v for c in clients for k, v in c.channels.items() if v is not None}


def seen_by(clients):
    return [i for c in clients for i in c.ids]


def test_a_stop_in_order_keeps_everything(start_server):
    server = start_server()
    clients = [load.Client(i, seed=2) for i in range(CLIENTS)]
    extra = []
    for _ in range(3):
        load.run(clients, server.client, scaled(60, 15))
        state, ids = read_back(server, clients)
        extra += ids
        assert state == expected(clients)
        server.stop()
        # A stop delivers what is durable: nothing waits for the next start when the bucket takes it.
        got = server.store.request_ids()
        assert sorted(got) == sorted(seen_by(clients) + extra)
        server.start()
        state, ids = read_back(server, clients)
        extra += ids
        assert state == expected(clients)
    server.store.wait_for_ids(extra)
    server.store.wait_sealed()
    for verify in verify_c, verify_script:
        status, output = verify(server, server.store)
        assert status == 0, output
    starts = [d for d in server.store.digests().values() if d["previousDigestS3Object"] is None]
    assert len(starts) == 1, "one chain, through every restart"


def test_a_kill_at_any_moment_loses_and_repeats_nothing(start_s3_server):
    """Clients call without pause while the daemon is killed again and again, also in the middle of deliveries."""
    seed = random.randrange(1 << 32)
    print("seed", seed)
    rng = random.Random(seed)
    server = start_s3_server("zstd", trail={"batch_age": "50ms", "digest_period": "1s", "batch_records": 50})
    clients = [load.Client(i, seed) for i in range(CLIENTS)]
    with load.pressure(clients, server):
        for _ in range(scaled(8, 3)):
            time.sleep(rng.uniform(0.2, scaled(1.5, 4.0)))
            server.kill()
            server.start()
        time.sleep(1)
    assert sum(c.cut_off for c in clients) > 0, "no kill met a call"

    boto = server.client()
    for client in clients:
        client.settle(boto)
    state, ids = read_back(server, clients)
    assert state == expected(clients), "the state is what the replies said"
    acknowledged = set(seen_by(clients) + ids)
    server.store.wait_for_ids(acknowledged)
    got = server.store.request_ids()
    assert len(got) == len(set(got)), "a record is there twice"
    # A call that was cut off may be recorded, if its entry was durable before the kill; no other may.
    unseen = set(got) - acknowledged
    assert len(unseen) <= sum(c.cut_off for c in clients)
    server.store.wait_sealed()
    for verify in verify_c, verify_script:
        status, output = verify(server, server.store)
        assert status == 0, output


def test_each_change_has_its_record_after_kills(start_server):
    """The state that survives is what the records in the bucket say, in their order."""
    server = start_server(trails=[{"name": "demo", "batch_age": "1h", "digest_period": "1h"}])
    client = load.Client(0, seed=3)
    for _ in range(scaled(6, 3)):
        boto = server.client()
        stop = threading.Timer(0.15, server.process.kill)
        stop.start()
        while client.call(boto):
            pass
        stop.join()
        server.kill()
        server.start()
    client.settle(server.client())
    state, _ = read_back(server, [client])
    server.stop()
    files = server.store.log_keys()
    assert len(files) == 1, "one file, so that its order is the journal's"
    folded = {}
    for _, record in server.store.records():
        if record.get("errorCode") or record["readOnly"]:
            continue
        parameters = record["requestParameters"]
        if record["eventName"] == "DeleteChannel":
            del folded[parameters["id"]]
        else:
            folded[parameters["id"]] = parameters["description"]
    assert folded == state == expected([client])


def test_the_codec_may_change_between_starts(start_s3_server):
    server = start_s3_server("zstd")
    ids = []
    for codec in "gzip", "zstd", "gzip":
        ids += [request_id(server.client().list_channels()) for _ in range(5)]
        server.kill()  # perhaps with a plan for the other codec under way
        server.settings["trails"][0]["codec"] = codec
        server.start()
    server.store.wait_for_ids(ids)
    assert sorted(server.store.request_ids()) == sorted(ids)
    assert {k.rpartition(".")[2] for k in server.store.log_keys()} <= {"gz", "zst"}
    server.store.wait_sealed()
    for verify in verify_c, verify_script:
        status, output = verify(server, server.store)
        assert status == 0, output


def test_credentials_and_keys_are_made_once(start_server):
    server = start_server()
    before = server.credentials, server.client("cloudtrail").list_public_keys()["PublicKeyList"]
    made = server.client().create_channel(Id="cam")["HlsIngest"]
    server.restart()
    after = server.credentials, server.client("cloudtrail").list_public_keys()["PublicKeyList"]
    assert before == after
    assert server.client().describe_channel(Id="cam")["HlsIngest"] == made
