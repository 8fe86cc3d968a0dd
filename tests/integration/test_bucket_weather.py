"""503 after 503 under load, with replies that get lost and connections that break between: afterwards everything is in the
bucket, once. Some seconds here; scripts/soak has it for 10 minutes (WAYMARK_SOAK_MINUTES)."""
import os
import random
import re
import socket
import threading
import time

from harness import PATIENCE, Bucket, scaled, verify_c, verify_script, wait_for
from rawload import Swarm

SECONDS = float(os.environ.get("WAYMARK_SOAK_MINUTES", 0)) * 60 or scaled(8, 5)
SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"


class Weather:
    """A proxy in front of an S3 server that passes on what it likes."""

    def __init__(self, port):
        self.behind = port
        self.refused, self.broken = 0.35, 0.25  # shares of the requests
        self.random = random.Random(7)
        self.counts = {"refused": 0, "lost": 0, "cut": 0, "passed": 0}
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = "http://127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def close(self):
        self.listener.close()

    @staticmethod
    def message(stream, body_of=None):
        """Head and body of the next request or answer; None at the end."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = stream.readline()
            if not line:
                return None
            head += line
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        if body_of == b"HEAD" or head.startswith((b"HTTP/1.1 204", b"HTTP/1.1 304")):
            return head, b""
        if re.search(rb"(?i)\r\ntransfer-encoding: *chunked", head):
            body = b""
            while True:
                line = stream.readline()
                size = int(line.split(b";")[0], 16)
                body += line + stream.read(size + 2)
                if size == 0:
                    return head, body
        return head, stream.read(int(length.group(1))) if length else b""

    def behind_says(self, method, request):
        """A connection for each request: one that is kept may have been closed meanwhile."""
        with socket.create_connection(("127.0.0.1", self.behind)) as server, server.makefile("rb") as answers:
            server.sendall(request[0] + request[1])
            return self.message(answers, method)

    def answer(self, client, request):
        """False: the connection is to be cut."""
        method = request[0].split(b" ")[0]
        fate = self.random.random()
        if fate < self.refused:  # some of it with a word on when to come again
            self.counts["refused"] += 1
            again = b"Retry-After: 1\r\n" if fate < 0.05 else b""
            client.sendall(b"HTTP/1.1 503 Slow Down\r\n%sContent-Type: application/xml\r\nContent-Length: %d\r\n\r\n"
                           % (again, len(SLOW_DOWN)) + (b"" if method == b"HEAD" else SLOW_DOWN))
            return True
        if fate < self.refused + self.broken / 2:  # cut before anything was done
            self.counts["cut"] += 1
            return False
        answer = self.behind_says(method, request)
        if fate < self.refused + self.broken:  # done, and nobody learns of it
            self.counts["lost"] += 1
            return False
        self.counts["passed"] += 1
        client.sendall(answer[0] + answer[1])
        return True

    def serve(self, client):
        with client, client.makefile("rb") as requests:
            try:
                request = self.message(requests)
                while request and self.answer(client, request):
                    request = self.message(requests)
                client.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it has gone


def test_nothing_is_undelivered_afterwards_and_nothing_repeated(start_server, minio):
    weather = Weather(minio.port)
    bucket = minio.make_bucket()
    server = start_server(
        trails=[{"name": "demo", "store": "s3", "endpoint": weather.endpoint, "bucket": bucket, "batch_age": "50ms",
                 "batch_records": 200, "digest_period": "2s", "uploads": 3}],
        login=minio, environment={"AWS_ACCESS_KEY_ID": minio.key_id, "AWS_SECRET_ACCESS_KEY": minio.secret})
    ids = []
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        if time.monotonic() > end - SECONDS / 2:  # the second half of the time nothing gets through
            weather.refused = 1
        swarm = Swarm(server, 8)  # a signature holds for some minutes
        renew = min(end, time.monotonic() + min(60, SECONDS / 2))
        while time.monotonic() < renew:
            ids += swarm.round()
            time.sleep(0.01 if SECONDS < 60 else 0.1)
        swarm.close()
        assert set(swarm.statuses) == {200}, swarm.statuses
    assert min(weather.counts.values()) > 0, weather.counts
    weather.refused = weather.broken = 0
    store = Bucket(minio, bucket)
    store.wait_for_ids(ids, PATIENCE * 3)  # the longest pause between two tries is a minute
    got = store.request_ids()
    assert len(got) == len(set(got)), "a record is there twice"
    assert set(ids) <= set(got)
    store.wait_sealed()
    assert "trail-resumed" in server.log()
    server.stop()
    server.start()
    for verify in verify_c, verify_script:
        status, output = verify(server, store)
        assert status == 0, output
    weather.close()
