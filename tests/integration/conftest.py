import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from harness import ACCOUNT, Bucket, Folder, Minio, Server, credentials_write  # noqa: E402


@pytest.fixture(scope="session")
def minio(tmp_path_factory):
    """One MinIO for all tests of a file; each test has a bucket of its own."""
    server = Minio(tmp_path_factory.mktemp("minio") / "data").start()
    yield server
    server.stop()


@pytest.fixture
def own_minio(tmp_path):
    """A MinIO that the test may stop and start."""
    server = Minio(tmp_path / "minio" / "data").start()
    yield server
    server.stop()


FAST = {"batch_age": "200ms", "digest_period": "2s"}


def starter(tmp_path):
    """start(trails=…, **settings): a running daemon. server.store reads the first trail.

    Without trails: one named demo into a folder, zstd, delivered fast.
    """
    servers = []

    def start(trails=None, login=None, environment=None, ready=True, **settings):
        folder = tmp_path / f"server-{len(servers)}"
        server = Server(folder, environment=environment)
        servers.append(server)
        if trails is None:
            trails = [{"name": "demo", **FAST}]
        server.settings = {"account_id": ACCOUNT, "log_level": "info", **settings, "trails": trails}
        server.store = Folder(os.path.join(server.data, "bucket"))
        if login:
            credentials_write(os.path.join(server.data, "credentials"), login.key_id, login.secret)
        return server.start() if ready else server

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def start_server(tmp_path):
    """The above; all servers are ended with the test."""
    yield from starter(tmp_path)


@pytest.fixture(scope="module")
def start_module_server(tmp_path_factory):
    """The same for all tests of a file; all servers are ended with the last."""
    yield from starter(tmp_path_factory.mktemp("module"))


@pytest.fixture(scope="module")
def module_server(start_module_server):
    """One server for all tests of a file."""
    return start_module_server()


@pytest.fixture
def start_s3_server(start_server, minio):
    """As start_server, with one trail into a bucket of MinIO, whose login is Waymark's root key as well."""

    def start(codec="zstd", bucket_of=None, trail=None, **settings):
        where = bucket_of or minio
        bucket = where.make_bucket()
        server = start_server(
            trails=[{"name": "demo", "store": "s3", "endpoint": where.endpoint, "bucket": bucket, "codec": codec, **FAST,
                     **(trail or {})}],
            login=where,
            environment={"AWS_ACCESS_KEY_ID": where.key_id, "AWS_SECRET_ACCESS_KEY": where.secret}, **settings)
        server.store = Bucket(where, bucket, (trail or {}).get("prefix", ""))
        return server

    return start
