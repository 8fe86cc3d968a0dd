"""Several clients at once, each keeping what it was told."""
import contextlib
import random
import threading
import time

import botocore.exceptions

from harness import request_id


class Client:
    """One caller with channels of its own: creates, reads, changes and deletes them, some calls wrong on purpose.

    ids       request ids of all replies, successes and errors
    channels  {id: description or None when it does not exist}, as the replies say
    doubtful  {id: descriptions it may have as well}: the call on it was cut off, so it may or may not have taken effect
    """

    def __init__(self, number, seed):
        self.number = number
        self.rng = random.Random(f"{seed}-{number}")
        self.ids = []
        self.channels = {f"c{number}-{i}": None for i in range(3)}
        self.doubtful = {}
        self.cut_off = 0
        self.count = 0

    def _step(self, client):
        """(call, what holds afterwards) of one call chosen at random."""
        channel = self.rng.choice(list(self.channels))
        kind = self.rng.choices(["write", "describe", "list", "missing", "invalid"], [5, 4, 2, 1, 1])[0]
        if kind == "describe":
            return channel, lambda: client.describe_channel(Id=channel), "same"
        if kind == "list":
            return None, lambda: client.list_channels(MaxResults=10), "same"
        if kind == "missing":
            return None, lambda: client.delete_channel(Id=f"nobody-{self.number}"), "same"
        if kind == "invalid":
            return None, lambda: client.create_channel(Id="not valid"), "same"
        self.count += 1
        text = f"{self.number}/{self.count}"
        if self.channels[channel] is None:
            return channel, lambda: client.create_channel(Id=channel, Description=text), text
        if self.rng.random() < 0.4:
            return channel, lambda: client.delete_channel(Id=channel), None
        return channel, lambda: client.update_channel(Id=channel, Description=text), text

    def call(self, client):
        """One call. False when the connection was cut off or refused."""
        channel, call, after = self._step(client)
        try:
            reply = call()
        except botocore.exceptions.ClientError as e:
            reply = e.response
            if not request_id_of(reply):
                raise
            self.ids.append(request_id_of(reply))
            return True
        except (botocore.exceptions.HTTPClientError, botocore.exceptions.ConnectionError, ConnectionError):
            self.cut_off += 1
            if channel and after != "same":
                self.doubtful.setdefault(channel, set()).add(after)
            return False
        self.ids.append(request_id(reply))
        if channel and after != "same":
            self.channels[channel] = after
            self.doubtful.pop(channel, None)
        return True

    def settle(self, client):
        """Read what the doubtful channels are now: one of what they may be. Leaves no doubt."""
        for channel, possible in self.doubtful.items():
            try:
                reply = client.describe_channel(Id=channel)
                now = reply["Description"]
            except botocore.exceptions.ClientError as e:
                assert e.response["Error"]["Code"] == "NotFoundException"
                reply, now = e.response, None
            self.ids.append(request_id(reply))
            assert now == self.channels[channel] or now in possible, (channel, now, self.channels[channel], possible)
            self.channels[channel] = now
        self.doubtful = {}


@contextlib.contextmanager
def pressure(clients, server):
    """Each client calls without pause as long as the block runs, through every restart of the server."""
    over = threading.Event()
    failures = []

    def work(client):
        try:
            boto = made_for = None
            while not over.is_set():
                if made_for != server.endpoint:
                    made_for = server.endpoint
                    boto = server.client(read_timeout=10)
                if not client.call(boto):
                    time.sleep(0.02)
        except Exception as e:  # shown by the test
            failures.append(e)

    threads = [threading.Thread(target=work, args=(c,)) for c in clients]
    for t in threads:
        t.start()
    try:
        yield
    finally:
        over.set()
        for t in threads:
            t.join()
    assert not failures, failures


def request_id_of(reply):
    return reply.get("ResponseMetadata", {}).get("RequestId")


def run(clients, make, calls):
    """Each client makes so many calls in a thread of its own, with the boto3 client that make() gives it."""
    failures = []

    def work(client):
        try:
            boto = make()
            for _ in range(calls):
                client.call(boto)
        except Exception as e:  # shown by the test, which must not hang on a dead thread
            failures.append(e)

    threads = [threading.Thread(target=work, args=(c,)) for c in clients]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failures, failures
