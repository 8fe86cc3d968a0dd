"""Disks that are full or turn read-only under the running daemon, and segments that were taken away: what cannot be
recorded is refused before it has an effect, what was acknowledged is there afterwards, and it goes on by itself.

The disks are real file systems, so the tests need the right to mount and are skipped without it.
"""
import errno
import json
import os
import subprocess

import pytest

from conftest import FAST
from harness import Bucket, wait_for
from test_status import health, look

SEGMENTS = {"segment_bytes": "2MiB", "max_bytes": 0}
BALLAST = 16 * 1024 * 1024


class Disk:
    """A small file system."""

    def __init__(self, kind, folder):
        self.kind = kind
        self.image = os.path.join(folder, "disk.img")
        self.path = None

    def mount(self, path, *more):
        what = ["-t", "tmpfs", "-o", "size=64m", "none"]
        if self.kind == "ext4":
            if not os.path.exists(self.image):
                with open(self.image, "wb") as f:
                    f.truncate(72 * 1024 * 1024)
                subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", self.image], check=True)
            what = ["-t", "ext4", "-o", "loop,errors=remount-ro", self.image]
        run = subprocess.run(["mount", *what, *more, path], capture_output=True, text=True, check=False)
        if run.returncode != 0:
            pytest.skip(f"cannot mount a {self.kind} here: {run.stderr.strip()}")
        self.path = path

    def unmount(self):
        if self.path:
            subprocess.run(["umount", self.path], check=True)
            self.path = None

    @property
    def filler(self):
        return os.path.join(self.path, "filler")

    def fill(self):
        """To the last byte that anybody is given."""
        fd = os.open(self.filler, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    os.write(fd, b"x" * size)
            except OSError as e:
                assert e.errno == errno.ENOSPC
        os.close(fd)

    def free(self):
        os.unlink(self.filler)


@pytest.fixture
def make_disk(tmp_path):
    """Before the servers in a test's arguments, since they end first."""
    if not os.path.exists("/sbin/mkfs.ext4"):
        pytest.skip("there is no mkfs.ext4")
    disks = []

    def make(kind):
        disks.append(Disk(kind, str(tmp_path)))
        return disks[-1]

    yield make
    for disk in disks:
        disk.unmount()


class Caller:
    """Changes one channel again and again, and keeps what it was told."""

    def __init__(self, server):
        self.server = server
        self.acknowledged = []
        self.refused = []
        self.last = None
        self.n = 0

    def change(self, size=40000):
        """One call, a large one, so that segments fill. @return whether it was carried out"""
        self.n += 1
        text = f"{self.n}-" + "x" * size
        method, path = ("PUT", "/channels/c") if self.last else ("POST", "/channels")
        reply = self.server.call(method, path, json.dumps({"id": "c", "description": text}).encode())
        if reply.status == 503:
            assert reply.json()["message"].startswith("The call cannot be recorded at present"), reply.body
            self.refused.append(reply.request_id)
            return False
        assert reply.status == 200, (reply.status, reply.body)
        self.acknowledged.append(reply.request_id)
        self.last = text
        return True

    def until_refused(self):
        """Until the smallest finds no room. @return how many were refused"""
        before = len(self.refused)
        for size in (40000, 4000, 400, 1):
            for _ in range(500):
                if not self.change(size):
                    break
            else:
                raise AssertionError("500 calls on a full disk, and none was refused")
        return len(self.refused) - before

    def read(self):
        return self.server.call("GET", "/channels/c")


def events(store, name):
    return [r for r in store.service_events() if r["eventName"] == name]


def unrecorded(store):
    details = [r["serviceEventDetails"] for r in events(store, "CallsUnrecorded")]
    return sum(d["refusedCalls"] for d in details), sum(d["answeredReads"] for d in details)


@pytest.mark.parametrize("kind,reads", [("tmpfs", "answer"), ("ext4", "refuse")])
def test_a_full_disk_refuses_and_goes_on_by_itself(make_disk, start_s3_server, own_minio, kind, reads):
    server = start_s3_server(bucket_of=own_minio, ready=False, journal={**SEGMENTS, "reads_when_full": reads})
    disk = make_disk(kind)
    disk.mount(server.data)
    own_minio.stop()  # nothing can be delivered, so the journal must keep it all
    server.start()
    ballast = os.path.join(server.data, "journal", "ballast")
    wait_for(lambda: os.path.exists(ballast) and os.path.getsize(ballast) == BALLAST, "the ballast")
    caller = Caller(server)
    assert caller.change()
    disk.fill()
    caller.until_refused()
    assert health(server, "/readyz")[0] == 503 and health(server, "/livez")[0] == 200
    code, status = look(server)
    assert code == 1 and status["journal"]["state"] == "full", status
    assert "free" in status["journal"]["reason"]
    wait_for(lambda: not os.path.exists(ballast), "the ballast to be given up")

    # Killed in that state, it comes back with all that it acknowledged and nothing else, and knows that it is full.
    untold, answered = len(caller.refused), 0
    server.kill()
    server.start()
    caller.until_refused()
    for _ in range(3):
        reply = caller.read()
        assert reply.status == (200 if reads == "answer" else 503)
        if reads == "answer":
            assert reply.json()["description"] == caller.last
            answered += 1
    assert server.call("GET", "/channels/c", secret="wrong").status == 503

    # The disk stays full to what others hold. What was kept for the trail lets it move on, and that makes room.
    own_minio.start()
    server.store = Bucket(own_minio, server.store.name)
    wait_for(caller.change, "the journal to take calls again")
    for _ in range(80):
        wait_for(caller.change, "the journal to take calls again")
    server.store.wait_for_ids(caller.acknowledged)
    wait_for(lambda: health(server, "/readyz")[0] == 200, "health to be good again")

    disk.free()
    wait_for(lambda: os.path.exists(ballast) and os.path.getsize(ballast) == BALLAST, "the ballast to be made again")
    assert caller.change()
    assert caller.read().json()["description"] == caller.last
    server.store.wait_for_ids(caller.acknowledged)
    ids = server.store.request_ids()
    assert len(ids) == len(set(ids)) and not set(ids) & set(caller.refused)
    # Every call since the restart that left no record is told of; those before it went with the kill.
    others = 1 if reads == "answer" else 4
    want = (len(caller.refused) - untold + others, answered)
    wait_for(lambda: unrecorded(server.store) == want, f"{want} unrecorded calls to be told of", 20)
    status = wait_for(lambda: (lambda s: s if s["healthy"] else None)(look(server)[1]), "the status to be good")
    assert status["calls"]["complete"] and status["trails"][0]["complete"]
    assert status["calls"]["unrecorded"] == answered
    server.stop()


def test_a_disk_that_turns_read_only_fails_closed(make_disk, start_server, tmp_path):
    server = start_server(ready=False, journal=SEGMENTS, trails=[
        {"name": "demo", "folder": str(tmp_path / "bucket"), **FAST}])
    disk = make_disk("ext4")
    disk.mount(server.data)
    server.start()
    caller = Caller(server)
    for _ in range(5):
        assert caller.change(size=100)
    # What ext4 does by itself after an error (ext4(5): errors=remount-ro); "abort" is its way to try that.
    subprocess.run(["mount", "-o", "remount,abort", server.data], check=True)
    assert not caller.change(size=100)
    assert health(server, "/livez")[0] == 503
    assert caller.read().status == 503  # it may show what is not durable
    assert server.process.wait(60) == 1
    server._ended()
    assert "journal-failed" in server.log()

    disk.unmount()
    disk.mount(server.data)
    server.start()
    reply = caller.read()
    assert reply.status == 200 and reply.json()["description"] == caller.last
    assert caller.change(size=100)
    server.store.path = str(tmp_path / "bucket")
    server.store.wait_for_ids(caller.acknowledged)
    ids = server.store.request_ids()
    assert len(ids) == len(set(ids)) and not set(ids) & set(caller.refused)
    server.stop()


def away(minio):
    """A trail whose bucket does not answer for now, and what it needs in the environment."""
    trail = {"name": "away", "store": "s3", "endpoint": minio.endpoint, "bucket": minio.make_bucket(), **FAST}
    minio.stop()
    return trail, {"AWS_ACCESS_KEY_ID": minio.key_id, "AWS_SECRET_ACCESS_KEY": minio.secret}


def test_a_pausable_trail_does_not_stop_the_others(start_server, own_minio):
    trail, environment = away(own_minio)
    server = start_server(journal={"segment_bytes": "2MiB", "max_bytes": "6MiB", "pause_followers": ["away"]},
                          environment=environment, trails=[{"name": "demo", **FAST}, trail])
    caller = Caller(server)
    for _ in range(150):  # three times what the journal may hold
        wait_for(caller.change, "the journal to take calls")
    server.store.wait_for_ids(caller.acknowledged)
    paused = events(server.store, "FollowerPaused")
    assert paused and paused[0]["serviceEventDetails"]["follower"] == "trail:away"
    assert paused[0]["serviceEventDetails"]["firstSequence"] == 1
    assert paused[0]["userIdentity"]["invokedBy"] == paused[0]["eventSource"] == "waymark.amazonaws.com"
    _, status = look(server)
    assert status["trails"][1]["paused"] and "trail away is paused: the journal was full" in status["problems"]
    server.restart()  # with a cursor whose next entry is gone
    own_minio.start()
    wait_for(lambda: look(server)[1]["trails"][1]["missed"] > 0, "what it missed")
    missed = wait_for(lambda: events(server.store, "RecordsMissed"), "its event")
    assert missed[0]["serviceEventDetails"]["firstSequence"] == 1
    assert caller.change(size=100)
    server.stop()


@pytest.mark.parametrize("which", ["oldest", "middle", "newest"])
def test_a_segment_that_was_taken_away_is_named(start_server, own_minio, which):
    trail, environment = away(own_minio)
    server = start_server(journal=SEGMENTS, environment=environment, trails=[trail])
    journal = os.path.join(server.data, "journal")
    caller = Caller(server)
    while len([n for n in os.listdir(journal) if n.endswith(".journal")]) < 5:
        assert caller.change()
    server.stop()
    names = sorted(n for n in os.listdir(journal) if n.endswith(".journal"))
    used = [n for n in names if open(os.path.join(journal, n), "rb").read()[4096:4100] != b"\0\0\0\0"]
    assert len(used) >= 3
    gone = {"oldest": used[0], "middle": used[1], "newest": used[-1]}[which]
    for n in names[names.index(gone):] if which == "newest" else [gone]:
        os.unlink(os.path.join(journal, n))
    left = {n: open(os.path.join(journal, n), "rb").read() for n in os.listdir(journal)}
    server.start(expect_ready=which == "oldest")
    if which == "oldest":  # as if it had been retired; but the trail knows that it has not had it
        own_minio.start()
        wait_for(lambda: " trail-missed " in server.log(), "the trail to miss it")
        assert look(server)[1]["trails"][0]["missed"] > 0
        server.stop()
        return
    assert server.process.wait(60) == 1
    server._ended()
    fatal = [line for line in server.log().splitlines() if " fatal " in line][-1]
    assert gone in fatal if which == "middle" else "segments are missing" in fatal or gone in fatal, fatal
    assert {n: open(os.path.join(journal, n), "rb").read() for n in os.listdir(journal)} == left
