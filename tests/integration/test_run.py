"""scripts/run, as a user starts it: what it prints, what it leaves, how it stops."""
import configparser
import json
import os
import re
import secrets
import signal
import stat
import subprocess
import time

import pytest

from harness import (AWS, PATIENCE, REGION, SOURCE, Bucket, Folder, Server, clean_environment, free_port, port_of,
                     request_id, validate_logs, wait_for)


class Demo:
    def __init__(self, data, *args):
        self.data = str(data)
        self.output = f"{self.data}.{secrets.token_hex(4)}.out"
        # The tests' AWS CLI is on PATH, as it would be at a user's who has one.
        path = os.path.dirname(AWS) + os.pathsep + os.environ["PATH"]
        path = os.path.dirname(os.environ["WAYMARK_TEST_MINIO"]) + os.pathsep + path
        self.env = clean_environment(PATH=path)
        with open(self.output, "wb") as out:
            self.process = subprocess.Popen(
                [os.path.join(SOURCE, "scripts", "run"), "--data-dir", self.data, *args], env=self.env,
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)

    def text(self):
        with open(self.output, encoding="utf-8") as f:
            return f.read()

    def wait_ready(self, patience=600):
        def ready():
            assert self.process.poll() is None, self.text()
            return re.search(r"^waymark ready (http://\S+)$", self.text(), re.M)

        self.endpoint = wait_for(ready, "the demo to be ready", patience).group(1)
        wait_for(lambda: "Ctrl-C stops." in self.text(), "the tour")
        return self

    def server(self):
        """The harness's view of the demo's daemon, for its clients."""
        server = Server(os.path.dirname(self.data))
        server.data = self.data
        server.endpoint = self.endpoint
        server.port = port_of(self.endpoint)
        server.process = self.process
        return server

    def interrupt(self):
        """Ctrl-C: the signal goes to the whole foreground group."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(PATIENCE)

    def close(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(PATIENCE)


@pytest.fixture
def start_demo(tmp_path):
    demos = []

    def start(*args, data=tmp_path / "var", ready=True):
        demos.append(Demo(data, *args))
        return demos[-1].wait_ready() if ready else demos[-1]

    yield start
    for demo in demos:
        demo.close()


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def processes_of(data):
    """Programs of the demo that still run."""
    found = subprocess.run(["pgrep", "-fa", data], capture_output=True, text=True, check=False).stdout
    return [line for line in found.splitlines() if "waymarkd" in line or "minio server" in line]


def shown_commands(text):
    """The commands that the demo says to try, each as one line."""
    block = text.split("Three commands to try in another terminal:\n")[1].split("\nEach call")[0]
    return [c.replace("\\\n", "").strip() for c in re.split(r"\n  (?! )", "\n" + block.strip("\n"))
            if c.strip() and not c.startswith("#")]


def run_shown(demo, command):
    run = subprocess.run(["bash", "-c", command], env=demo.env, capture_output=True, text=True, timeout=PATIENCE,
                         check=False)
    assert run.returncode == 0, (command, run)
    return run.stdout


def test_the_demo_into_a_folder(start_demo):
    demo = start_demo("--listen", "127.0.0.1:0")
    with open(os.path.join(demo.data, "endpoint"), encoding="ascii") as f:
        assert f.read().strip() == demo.endpoint
    credentials = os.path.join(demo.data, "credentials")
    assert mode(credentials) == 0o600
    parser = configparser.RawConfigParser()
    parser.read(credentials)
    assert parser.sections() == ["waymark"]

    store = Folder(os.path.join(demo.data, "bucket"))
    client = demo.server().client()
    began = time.monotonic()
    made = request_id(client.create_channel(Id="demo"))
    store.wait_for_ids([made], 10)
    assert time.monotonic() - began < 5, "the demo delivers within 5 seconds"
    assert all(k.endswith(".json.zst") for k in store.log_keys())
    # One line per event: the call, and its delivery.
    wait_for(lambda: made in demo.text() and "trail-delivered" in demo.text(), "the lines of the call")
    assert "operation=CreateChannel" in demo.text()

    # What it says to try works as it is written.
    call, show, verify = shown_commands(demo.text())
    assert json.loads(run_shown(demo, call))["Id"] == "first"
    assert '"CreateChannel"' in run_shown(demo, show)
    store.wait_sealed(90)  # a digest each minute
    assert "result: good" in run_shown(demo, verify)

    assert demo.interrupt() == 0, demo.text()
    assert processes_of(demo.data) == []
    before = store.request_ids()

    began = time.monotonic()
    again = start_demo("--listen", "127.0.0.1:0", "--codec", "gzip")
    assert time.monotonic() - began < 5, "a second start is instant"
    assert [c["Id"] for c in again.server().client().list_channels()["Channels"]] == ["demo", "first"]
    wait_for(lambda: any(k.endswith(".json.gz") for k in store.log_keys()), "a gzip file")
    assert set(before) <= set(store.request_ids())
    assert "validate-logs` cannot read" in again.text(), "the change of codec is said"
    assert again.interrupt() == 0, again.text()

    third = start_demo("--listen", "127.0.0.1:0")
    assert re.search(r"trail-started +trail=demo .* codec=gzip ", third.text()), "the codec of last time"
    assert third.interrupt() == 0, third.text()

    # On to MinIO: a trail of its own, with all records until here and a chain that knows nothing of the folder.
    other = start_demo("--minio", "--listen", "127.0.0.1:0")
    assert re.search(r"trail-started +trail=demo-minio .* codec=zstd cursor=0 ", other.text())
    wait_for(lambda: "trail-delivered" in other.text(), "the records until here, in the bucket")
    wait_for(lambda: "trail-sealed" in other.text(), "the chain's first digest")
    said = run_shown(other, shown_commands(other.text())[2])
    assert "result: good" in said and "note:" not in said
    assert other.interrupt() == 0, other.text()


def test_the_demo_into_minio(start_demo):
    demo = start_demo("--minio", "--codec=gzip", "--listen", f"127.0.0.1:{free_port()}")
    env_file = os.path.join(demo.data, "minio.env")
    assert mode(env_file) == 0o600
    with open(env_file, encoding="ascii") as f:
        settings = dict(line.rstrip("\n").split("=", 1) for line in f)
    assert list(settings) == ["AWS_ENDPOINT_URL_S3", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "WAYMARK_BUCKET"]
    text = demo.text()
    console = re.search(r"console\s+(http://127\.0\.0\.1:\d+), user (\S+), password (\S+)", text)
    assert console and (console.group(2), console.group(3)) == (settings["AWS_ACCESS_KEY_ID"],
                                                                settings["AWS_SECRET_ACCESS_KEY"])

    class Login:
        endpoint = settings["AWS_ENDPOINT_URL_S3"]
        key_id = settings["AWS_ACCESS_KEY_ID"]
        secret = settings["AWS_SECRET_ACCESS_KEY"]

        def client(self):
            import boto3
            return boto3.client("s3", endpoint_url=self.endpoint, region_name=REGION, aws_access_key_id=self.key_id,
                                aws_secret_access_key=self.secret)

    store = Bucket(Login(), settings["WAYMARK_BUCKET"])
    server = demo.server()
    made = request_id(server.client().create_channel(Id="demo"))
    store.wait_for_ids([made], 5)
    assert all(k.endswith(".json.gz") for k in store.log_keys())
    call, show, verify = shown_commands(demo.text())
    assert json.loads(run_shown(demo, call))["Id"] == "first"
    assert ".json.gz" in run_shown(demo, show)
    store.wait_sealed(90)  # a digest each minute
    status, output = validate_logs(server, store, trail="demo")
    assert status == 0 and "valid" in output, output
    assert "result: good" in run_shown(demo, verify)

    assert demo.interrupt() == 0, demo.text()
    assert processes_of(demo.data) == []
    again = start_demo("--minio", "--codec=gzip", "--listen", "127.0.0.1:0")
    assert len(again.server().client().list_channels()["Channels"]) == 2
    with open(env_file, encoding="ascii") as f:
        assert settings["AWS_SECRET_ACCESS_KEY"] in f.read(), "the login stays"
    assert again.interrupt() == 0, again.text()

    # The same folder without MinIO: another trail, so that neither store's chain is broken by the other.
    folder = start_demo("--listen", "127.0.0.1:0")
    assert [t["Name"] for t in folder.server().client("cloudtrail").describe_trails()["trailList"]] == ["demo-folder"]
    store = Folder(os.path.join(folder.data, "bucket"))
    store.wait_for_ids([request_id(folder.server().client().list_channels())])
    wait_for(store.digest_keys, "the first digest", 90)
    assert "result: good" in run_shown(folder, shown_commands(folder.text())[2])
    assert folder.interrupt() == 0, folder.text()


def test_a_second_demo_on_the_same_folder_leaves_the_first_alone(start_demo):
    first = start_demo("--listen", "127.0.0.1:0")
    second = start_demo("--listen", f"127.0.0.1:{free_port()}", ready=False)
    assert second.process.wait(PATIENCE) == 1
    assert f"is running on {first.data} already, at {first.endpoint};" in second.text()
    with open(os.path.join(first.data, "endpoint"), encoding="ascii") as f:
        assert f.read().strip() == first.endpoint
    assert first.interrupt() == 0, first.text()


def test_an_address_that_is_taken_is_said(start_demo, tmp_path):
    import socket

    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        demo = start_demo("--listen", f"127.0.0.1:{holder.getsockname()[1]}", ready=False)
        assert demo.process.wait(PATIENCE) == 1
    assert "is taken by another program" in demo.text() and "--listen" in demo.text()


@pytest.mark.parametrize("args", [["--codec", "lz4"], ["--listen", "8480"], ["--data-dir"], ["--miniio"]])
def test_bad_arguments_are_said(args):
    run = subprocess.run([os.path.join(SOURCE, "scripts", "run"), *args], capture_output=True, text=True,
                         env=clean_environment(), timeout=60, check=False)
    assert run.returncode == 1 and args[0] in run.stderr
