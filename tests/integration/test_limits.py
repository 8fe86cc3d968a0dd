"""Limits and their answers, slow and rude clients, many connections, a stop with calls in flight."""
import os
import random
import re
import resource
import signal
import socket
import threading
import time

import pytest

from harness import PATIENCE, scaled, wait_for
from rawload import REQUEST_ID, Swarm


def read_all(s, patience=PATIENCE):
    """Everything until the other side closes."""
    s.settimeout(patience)
    got = b""
    while True:
        try:
            piece = s.recv(65536)
        except ConnectionResetError:
            return got
        if not piece:
            return got
        got += piece


def read_reply(s, patience=PATIENCE):
    """One reply with a Content-Length."""
    s.settimeout(patience)
    got = b""
    while b"\r\n\r\n" not in got:
        piece = s.recv(65536)
        if not piece:
            return got
        got += piece
    head, _, body = got.partition(b"\r\n\r\n")
    length = int(re.search(rb"(?i)content-length: *(\d+)", head).group(1))
    while len(body) < length:
        body += s.recv(65536)
    return head + b"\r\n\r\n" + body


def status_of(reply):
    assert reply.startswith(b"HTTP/1."), reply[:200]
    return int(reply[9:12])


def id_of(reply):
    found = REQUEST_ID.search(reply)
    return found.group(1).decode() if found else None


def request_text(server, method="GET", path="/channels", body=b"", more=()):
    headers = server.signed(method, path, body, headers={"Content-Type": "application/json"} if body else None)
    lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{server.port}"]
    lines += [f"{k}: {v}" for k, v in headers.items()] + list(more)
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


# ---- 413, 431, 408 ----


def test_a_body_at_the_limit_is_taken_and_one_above_is_413(start_server):
    server = start_server(http={"max_body_bytes": "4KiB"})
    head, tail = b'{"id":"big","description":"', b'"}'
    fits = head + b"x" * (4096 - len(head) - len(tail)) + tail
    assert server.call("POST", "/channels", fits).status == 200
    reply = server.call("PUT", "/channels/big", fits + b" ")
    assert reply.status == 413
    record = server.store.wait_for_record(reply.request_id)
    assert (record["eventName"], record["errorCode"]) == ("UpdateChannel", "RequestEntityTooLargeException")


def test_a_body_in_chunks_is_held_to_the_same_limit(start_server):
    server = start_server(http={"max_body_bytes": "4KiB"})

    def chunked(body, size):
        headers = server.signed("POST", "/channels", body, headers={"Content-Type": "application/json"})
        lines = ["POST /channels HTTP/1.1", f"Host: 127.0.0.1:{server.port}", "Transfer-Encoding: chunked"]
        lines += [f"{k}: {v}" for k, v in headers.items()]
        with server.connect() as s:
            s.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
            for i in range(0, len(body), size):
                piece = body[i:i + size]
                s.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
            s.sendall(b"0\r\n\r\n")
            return read_reply(s)

    assert status_of(chunked(b'{"id":"pieces"}', 4)) == 200
    large = chunked(b'{"id":"large","description":"' + b"x" * 30000 + b'"}', 1000)
    assert status_of(large) == 413
    assert server.store.wait_for_record(id_of(large))["errorCode"] == "RequestEntityTooLargeException"
    assert server.client().list_channels()["Channels"][0]["Id"] == "pieces"


def test_a_very_large_body_is_refused_without_being_kept(start_server):
    """Announced at 1 GB: refused at once, and the client is not made to send it."""
    server = start_server()
    with server.connect() as s:
        s.sendall(b"POST /channels HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n" + b"x" * 1000)
        began = time.monotonic()
        reply = read_all(s)
        assert status_of(reply) == 413 and time.monotonic() - began < 20
    with open(f"/proc/{server.process.pid}/status", encoding="ascii") as f:
        resident = int(re.search(r"VmRSS:\s+(\d+) kB", f.read()).group(1))
    assert resident < scaled(150, 900) * 1024


def test_headers_too_large_are_431(start_server):
    server = start_server()
    for junk in ("X-Junk: " + "x" * 20000, "\r\n".join(f"X-Junk-{i}: {'y' * 80}" for i in range(300))):
        with server.connect() as s:
            s.sendall(f"GET /channels HTTP/1.1\r\nHost: x\r\n{junk}\r\n\r\n".encode())
            assert status_of(read_all(s)) == 431
    assert server.call("GET", "/channels").status == 200
    # A SigV4 request with a session token of 1.5 KB is an ordinary one.
    assert server.call("GET", "/channels", headers={"X-Session-Like": "t" * 1500}).status == 200


def test_a_request_that_does_not_come_whole_is_408(start_server):
    server = start_server(http={"request_timeout": "1s"})
    body = b'{"id":"slow"}'
    whole = request_text(server, "POST", "/channels", body)
    with server.connect() as in_body, server.connect() as in_headers, server.connect() as in_line:
        in_body.sendall(whole[:-5])
        in_headers.sendall(whole[:60])
        in_line.sendall(b"POS")
        began = time.monotonic()
        replies = [read_all(s) for s in (in_body, in_headers, in_line)]
        assert 0.5 < time.monotonic() - began < scaled(5, 20)
        assert [status_of(r) for r in replies] == [408, 408, 408]
    # With its headers it was a call, and is recorded; the others never were one.
    record = server.store.wait_for_record(id_of(replies[0]))
    assert (record["eventName"], record["errorCode"]) == ("CreateChannel", "RequestTimeoutException")
    assert server.client().list_channels()["Channels"] == []


def test_a_slow_client_holds_nobody_up(start_server):
    server = start_server(http={"request_timeout": "30s"})
    whole = request_text(server, "POST", "/channels", b'{"id":"drip"}')
    over = threading.Event()
    reply = []

    def drip():
        with server.connect() as s:
            for i in range(len(whole)):
                s.sendall(whole[i:i + 1])
                over.wait(0.01)
            reply.append(read_reply(s))

    thread = threading.Thread(target=drip)
    thread.start()
    client = server.client()
    slowest = 0.0
    while thread.is_alive():
        began = time.monotonic()
        client.list_channels()
        slowest = max(slowest, time.monotonic() - began)
    thread.join()
    assert status_of(reply[0]) == 200
    assert slowest < scaled(1, 5)
    server.store.wait_for_record(id_of(reply[0]))


def test_an_idle_connection_is_closed_and_a_used_one_kept(start_server):
    server = start_server(http={"idle_timeout": "1s"})
    text = request_text(server)
    with server.connect() as s:
        for _ in range(4):
            s.sendall(text)
            assert status_of(read_reply(s)) == 200
            time.sleep(0.4)
        began = time.monotonic()
        assert read_all(s) == b""
        assert time.monotonic() - began < scaled(5, 20)


# ---- rude clients ----


def test_nonsense_on_the_wire_harms_nobody_else(start_server):
    seed = random.randrange(1 << 32)
    print("seed", seed)
    rng = random.Random(seed)
    server = start_server(http={"request_timeout": "1s"})
    good = request_text(server, "POST", "/channels", b'{"id":"x"}')
    for i in range(scaled(300, 80)):
        bad = bytearray(good)
        if i % 3 == 0:
            bad = bytearray(rng.randbytes(rng.randint(1, 400)))
        elif i % 3 == 1:
            for _ in range(rng.randint(1, 6)):
                bad[rng.randrange(len(bad))] = rng.randrange(256)
        else:
            del bad[rng.randrange(len(bad)):]
        with server.connect() as s:
            try:
                s.sendall(bytes(bad))
            except OSError:
                continue
            if rng.random() < 0.5:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # leave with a reset
    assert server.is_running()
    reply = server.call("GET", "/channels")
    assert reply.status == 200
    server.store.wait_for_record(reply.request_id)


def test_calls_of_clients_that_left_are_recorded_like_any_other(start_server):
    """A call that was whole took effect, whether or not anybody waits for its reply."""
    server = start_server()
    for i in range(20):
        with server.connect() as s:
            s.sendall(request_text(server, "POST", "/channels", b'{"id":"left-%d"}' % i))
    wait_for(lambda: len(server.client().list_channels()["Channels"]) == 20, "the calls to take effect")
    last = server.call("GET", "/channels")
    server.store.wait_for_record(last.request_id)
    created = [r["requestParameters"]["id"] for _, r in server.store.records() if r["eventName"] == "CreateChannel"]
    assert sorted(created) == sorted(f"left-{i}" for i in range(20))


def test_requests_in_one_packet_are_answered_in_order(start_server):
    server = start_server()
    with server.connect() as s:
        s.sendall(b"".join(request_text(server, "POST", "/channels", b'{"id":"pipe-%d"}' % i) for i in range(5)))
        got = b""
        while len(REQUEST_ID.findall(got)) < 5 or not got.rstrip().endswith(b"}"):
            got += s.recv(65536)
    names = re.findall(rb'"id":"(pipe-\d)"', got)
    assert names == [b"pipe-%d" % i for i in range(5)]
    ids = [i.decode() for i in REQUEST_ID.findall(got)]
    server.store.wait_for_ids(ids)
    assert server.store.request_ids() == ids


# ---- many connections ----


@pytest.mark.parametrize("connections", [1, 64, 127, 128, 129, 256, 512, 1024])
def test_no_number_of_busy_connections_stalls(start_server, connections):
    """All busy at the same moment, round after round: at exactly 128 and 256 the library's own loop sleeps."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 4096), hard), hard))
    server = start_server()
    swarm = Swarm(server, connections)
    rounds = scaled(20, 5)
    ids = swarm.run(rounds)
    swarm.close()
    assert swarm.statuses == {200: rounds * connections}
    assert swarm.slowest < scaled(3, 20), f"a round took {swarm.slowest:.1f} s"
    server.store.wait_for_ids(ids)
    assert sorted(server.store.request_ids()) == sorted(ids)


def test_more_connections_than_allowed_wait_their_turn(start_server):
    server = start_server(http={"max_connections": 8})
    text = request_text(server)
    held = [server.connect() for _ in range(8)]
    for s in held:
        s.sendall(text)
        assert status_of(read_reply(s)) == 200
    with server.connect() as late:
        late.sendall(text)
        late.settimeout(0.5)
        try:
            early = late.recv(1)
        except TimeoutError:
            early = None
        # Either it waits unanswered, or it was closed without an answer; it is never half served.
        assert early in (None, b"")
        for s in held:
            s.close()
        if early is None:
            assert status_of(read_reply(late)) == 200
    assert server.call("GET", "/channels").status == 200


def test_connections_leave_descriptors_for_the_recorder(start_server):
    """More connections than the process may have files: the journal goes on to new segments all the same."""
    server = start_server(http={"max_connections": 4096}, journal={"segment_bytes": "2MiB"}, ready=False)
    server.prefix = ["prlimit", "--nofile=200:200"]
    server.start()
    assert "few-descriptors" in server.log()
    held = []
    try:
        for _ in range(250):
            held.append(server.connect())
        time.sleep(0.5)
        assert len(os.listdir(f"/proc/{server.process.pid}/fd")) < 150
    finally:
        for s in held:
            s.close()
    ids = [server.call("PUT", "/channels/none", b'{"description":"' + b"x" * 90000 + b'"}').request_id
           for _ in range(60)]
    server.store.wait_for_ids(ids)


# ---- a stop with calls in flight ----


def test_a_stop_answers_the_call_that_is_under_way(start_server):
    server = start_server()
    whole = request_text(server, "POST", "/channels", b'{"id":"in-flight"}')
    with server.connect() as s:
        s.sendall(whole[:-4])
        time.sleep(0.3)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        with pytest.raises(OSError):  # nobody new is taken
            server.connect().close()
        s.sendall(whole[-4:])
        reply = read_all(s)
    assert status_of(reply) == 200 and b"connection: close" in reply.lower()
    assert server.process.wait(PATIENCE) == 0
    server.process.stdout.close()
    server.process = None
    server.assert_no_finding()
    assert server.store.find(id_of(reply))["eventName"] == "CreateChannel", "delivered before the stop was over"


def test_a_stop_under_load_breaks_no_promise(start_server):
    """Whatever was answered is recorded; a reply is whole or not there."""
    server = start_server()
    swarm = Swarm(server, 64)
    ids = swarm.run(3)
    for s in swarm.sockets:
        s.send(swarm.request)
    os.kill(server.process.pid, signal.SIGTERM)
    for s in swarm.sockets:
        s.setblocking(True)
        reply = read_all(s)
        if reply:
            assert status_of(reply) == 200 and reply.endswith(b"}"), reply[-200:]
            ids.append(id_of(reply))
    swarm.close()
    assert server.process.wait(PATIENCE) == 0
    server.process.stdout.close()
    server.process = None
    got = server.store.request_ids()
    assert len(got) == len(set(got)) and set(ids) <= set(got)


def test_a_stop_does_not_wait_for_ever(start_server):
    server = start_server(http={"shutdown_timeout": "1s"})
    with server.connect() as s:
        s.sendall(request_text(server, "POST", "/channels", b'{"id":"never"}')[:-4])
        time.sleep(0.2)
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < scaled(8, 30)


def test_an_address_that_is_taken_is_said_plainly(start_server):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        server = start_server(ready=False)
        server.listen = f"127.0.0.1:{holder.getsockname()[1]}"
        server.start(expect_ready=False)
        assert server.process.wait(PATIENCE) != 0
        assert server.process.stdout.read() == b""
        assert server.listen in server.log() and "in use" in server.log()
        server.process.stdout.close()
        server.process = None
