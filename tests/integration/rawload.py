"""Many connections at once without threads: the same signed request on each, in step."""
import re
import selectors
import socket
import time

from harness import PATIENCE

REQUEST_ID = re.compile(rb"(?i)\r\nx-amzn-requestid: *([0-9a-f-]{36})\r\n")
LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)\r\n")


class Swarm:
    """Connections that are all busy at the same moment, which is what stalled servers before."""

    def __init__(self, server, connections, method="GET", path="/channels", body=b"", **how):
        headers = server.signed(method, path, body, **how)
        lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{server.port}"]
        lines += [f"{k}: {v}" for k, v in headers.items()]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        self.request = ("\r\n".join(lines) + "\r\n\r\n").encode() + body
        self.sockets = []
        for _ in range(connections):
            s = socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            s.setblocking(False)
            self.sockets.append(s)
        self.slowest = 0.0
        self.statuses = {}

    def round(self):
        """One request on every connection, all sent before any reply is read; request ids of the calls with a record.

        A call that is answered 503 has none: the journal was full, so it was refused before it had an effect. They are
        in statuses.
        """
        began = time.monotonic()
        for s in self.sockets:
            assert s.send(self.request) == len(self.request)
        waiting = {s: b"" for s in self.sockets}
        ids = []
        with selectors.DefaultSelector() as ready:
            for s in self.sockets:
                ready.register(s, selectors.EVENT_READ)
            while waiting:
                events = ready.select(PATIENCE)
                assert events, f"{len(waiting)} of {len(self.sockets)} connections wait for a reply"
                for key, _ in events:
                    s = key.fileobj
                    piece = s.recv(65536)
                    assert piece, "the server closed a connection"
                    waiting[s] += piece
                    head, gap, body = waiting[s].partition(b"\r\n\r\n")
                    if not gap or len(body) < int(LENGTH.search(head + b"\r\n").group(1)):
                        continue
                    status = int(head[9:12])
                    self.statuses[status] = self.statuses.get(status, 0) + 1
                    if status != 503:
                        ids.append(REQUEST_ID.search(head + b"\r\n").group(1).decode())
                    del waiting[s]
                    ready.unregister(s)
        self.slowest = max(self.slowest, time.monotonic() - began)
        return ids

    def run(self, rounds):
        return [i for _ in range(rounds) for i in self.round()]

    def run_until_recorded(self, calls):
        """Rounds until at least so many calls have a record, however often a full journal refuses some."""
        ids = []
        deadline = time.monotonic() + PATIENCE
        while len(ids) < calls:
            assert time.monotonic() < deadline, f"{len(ids)} of {calls} calls recorded, the rest refused: {self.statuses}"
            some = self.round()
            ids += some
            if not some:
                time.sleep(0.01)  # only the slowest follower makes room
        return ids

    def close(self):
        for s in self.sockets:
            s.close()
