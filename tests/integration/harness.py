"""The real programs under test, and readers of what they leave behind.

Server  waymarkd on a free port with a data folder of its own: start, stop, kill, restart
Minio   a real MinIO on loopback; Versity another server of S3's API
Store   what is in a bucket or folder: every record with the key of its file
"""
import base64
import configparser
import gzip
import http.client
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.parse

import boto3
import botocore.auth
import botocore.awsrequest
import botocore.config
import botocore.credentials
import botocore.exceptions

DAEMON = os.environ["WAYMARK_TEST_DAEMON"]
TOOL = os.environ["WAYMARK_TEST_TOOL"]
MINIO = os.environ["WAYMARK_TEST_MINIO"]
VERSITYGW = os.environ.get("WAYMARK_TEST_VERSITYGW")
SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
VERIFY_SCRIPT = os.path.join(SOURCE, "scripts", "verify-trail")
AWS = os.path.join(os.path.dirname(os.path.abspath(os.sys.executable)), "aws")

# Set in the trees with sanitizers, where everything takes several times as long.
REDUCED = bool(os.environ.get("WAYMARK_TEST_REDUCED"))
# Waiting for something that must come; long, because it is only waited out when a test fails.
PATIENCE = 180 if REDUCED else 60

ACCOUNT = "123456789012"
REGION = "us-east-1"


def scaled(full, reduced):
    """A load: the first number, or the second in an instrumented tree."""
    return reduced if REDUCED else full


def wait_for(condition, what, patience=PATIENCE):
    """The first true value of condition(); asks every 100 ms."""
    deadline = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"waited {patience} s for {what}"
        time.sleep(0.1)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def port_of(endpoint):
    return int(endpoint.rpartition(":")[2])


def clean_environment(**more):
    """The caller's environment without what steers the clients and the daemon."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "WAYMARK_", "BOTO_", "MINIO_"))}
    for name in list(kept):
        if name.lower() in ("http_proxy", "https_proxy", "all_proxy"):
            del kept[name]
    kept["AWS_EC2_METADATA_DISABLED"] = "true"
    kept["AWS_CONFIG_FILE"] = "/nonexistent"
    kept["AWS_PAGER"] = ""
    kept.update(more)
    return kept


def credentials_write(path, key_id, secret):
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as f:
        f.write(f"[waymark]\naws_access_key_id = {key_id}\naws_secret_access_key = {secret}\nregion = {REGION}\n")


def openssl(*args):
    subprocess.run(["openssl", *args], check=True, capture_output=True)


class Authority:
    """A certificate authority of the test's own, and what it signs. ca.pem is what to trust."""

    def __init__(self, folder):
        self.folder = str(folder)
        os.makedirs(self.folder, exist_ok=True)
        self.ca = self.path("ca.pem")
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                "/CN=test authority", "-keyout", self.path("ca.key"), "-out", self.ca)

    def path(self, name):
        return os.path.join(self.folder, name)

    def certificate(self, names, folder):
        """folder/public.crt and private.key, for "IP:127.0.0.1"."""
        os.makedirs(folder, exist_ok=True)
        crt, key, csr = (os.path.join(folder, n) for n in ("public.crt", "private.key", "request.csr"))
        openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=store",
                "-addext", f"subjectAltName={names}", "-keyout", key, "-out", csr)
        openssl("x509", "-req", "-days", "2", "-in", csr, "-CA", self.ca, "-CAkey", self.path("ca.key"),
                "-CAcreateserial", "-copy_extensions", "copy", "-out", crt)
        os.unlink(csr)
        return crt, key


class S3Server:
    """A real S3 server. It can be stopped and started again on the same port and data.

    authority: it speaks TLS, with a certificate of that Authority.
    """

    def __init__(self, folder, authority=None):
        self.folder = str(folder)
        self.key_id = "AKIA" + secrets.token_hex(8).upper()
        self.secret = secrets.token_urlsafe(30)
        self.port = free_port()
        self.process = None
        self.authority = authority
        os.makedirs(self.folder, exist_ok=True)
        if authority:
            self.crt, self.key = authority.certificate("IP:127.0.0.1", self.beside("certs"))

    def beside(self, name):
        return os.path.join(os.path.dirname(self.folder), name)

    def command(self):
        raise NotImplementedError

    def environment(self):
        raise NotImplementedError

    @property
    def endpoint(self):
        return f"{'https' if self.authority else 'http'}://127.0.0.1:{self.port}"

    def start(self):
        with open(self.beside("s3.log"), "ab") as log:
            self.process = subprocess.Popen(self.command(), env=clean_environment(**self.environment()),
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_for(self.is_live, f"{type(self).__name__} to serve")
        return self

    def is_live(self):
        assert self.process.poll() is None, f"{type(self).__name__} ended"
        try:
            self.client().list_buckets()
            return True
        except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError):
            return False

    def client(self, service="s3"):
        return boto3.client(service, endpoint_url=self.endpoint, region_name=REGION, aws_access_key_id=self.key_id,
                            aws_secret_access_key=self.secret, verify=self.authority.ca if self.authority else None,
                            config=botocore.config.Config(retries={"max_attempts": 0}, connect_timeout=5))

    def make_bucket(self, **how):
        name = "trail-" + secrets.token_hex(6)
        self.client().create_bucket(Bucket=name, **how)
        return name

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait(30)
            self.process = None


class Minio(S3Server):
    def command(self):
        more = ["--certs-dir", self.beside("certs")] if self.authority else []
        return [MINIO, "server", "--quiet", "--address", f"127.0.0.1:{self.port}", "--console-address",
                f"127.0.0.1:{free_port()}", *more, self.folder]

    def environment(self):
        # With a key of its own it encrypts, as AES256 and aws:kms ask.
        return {"MINIO_ROOT_USER": self.key_id, "MINIO_ROOT_PASSWORD": self.secret, "MINIO_UPDATE": "off",
                "MINIO_BROWSER": "off", "MINIO_KMS_SECRET_KEY": "audit:" + base64.b64encode(bytes(32)).decode()}


class Versity(S3Server):
    """The Versity S3 gateway over a folder; metadata beside it, since not every file system has attributes for it."""

    def command(self):
        more = ["--cert", self.crt, "--key", self.key] if self.authority else []
        folders = [self.beside(name) for name in ("iam", "sidecar", "versions")]
        for folder in folders:
            os.makedirs(folder, exist_ok=True)
        return [VERSITYGW, "--port", f"127.0.0.1:{self.port}", "--keep-alive", "--quiet", *more, "--iam-dir", folders[0],
                "posix", "--sidecar", folders[1], "--versioning-dir", folders[2], self.folder]

    def environment(self):
        return {"ROOT_ACCESS_KEY": self.key_id, "ROOT_SECRET_KEY": self.secret}


# ---- what is in a bucket or folder ----

def unpack(key, body):
    if key.endswith(".gz"):
        return gzip.decompress(body)
    assert key.endswith(".zst"), key
    return subprocess.run(["zstd", "-dcq"], input=body, capture_output=True, check=True).stdout


LOG_KEY = re.compile(
    r"(?:(?P<prefix>.+)/)?AWSLogs/(?P<a>\d{12})/CloudTrail/(?P<r>[a-z0-9-]+)/(?P<d>\d{4}/\d\d/\d\d)/"
    r"(?P=a)_CloudTrail_(?P=r)_(?P<t>\d{8}T\d{4}Z)_(?P<u>[A-Za-z0-9]{16})\.json\.(?P<x>gz|zst)")
DIGEST_KEY = re.compile(
    r"(?:(?P<prefix>.+)/)?AWSLogs/(?P<a>\d{12})/CloudTrail-Digest/(?P<r>[a-z0-9-]+)/(?P<d>\d{4}/\d\d/\d\d)/"
    r"(?P=a)_CloudTrail-Digest_(?P=r)_(?P<n>[A-Za-z0-9._-]+)_(?P=r)_(?P<t>\d{8}T\d{6}Z)\.json\.(?P<x>gz|zst)")


class Store:
    """Every object of a trail. Keys already read are not read again, since nothing may ever change."""

    def __init__(self):
        self.cache = {}

    def keys(self):
        raise NotImplementedError

    def read(self, key):
        raise NotImplementedError

    def content(self, key):
        if key not in self.cache:
            self.cache[key] = unpack(key, self.read(key))
        return self.cache[key]

    def log_keys(self):
        return [k for k in self.keys() if "/CloudTrail/" in k]

    def digest_keys(self):
        return [k for k in self.keys() if "/CloudTrail-Digest/" in k]

    def digests(self):
        return {k: json.loads(self.content(k)) for k in self.digest_keys()}

    def sealed_keys(self):
        return {f["s3Object"] for d in self.digests().values() for f in d["logFiles"]}

    def all_records(self):
        """[(key of the file, record)], in the order of keys and then of the file."""
        return [(k, r) for k in self.log_keys() for r in json.loads(self.content(k))["Records"]]

    def records(self):
        """Those of calls."""
        return [(k, r) for k, r in self.all_records() if r["eventType"] != "AwsServiceEvent"]

    def service_events(self):
        """Those of what the service did itself."""
        return [r for _, r in self.all_records() if r["eventType"] == "AwsServiceEvent"]

    def request_ids(self):
        return [r["requestID"] for _, r in self.records()]

    def find(self, request_id):
        found = [r for _, r in self.records() if r["requestID"] == request_id]
        assert len(found) <= 1, f"{request_id} is there {len(found)} times"
        return found[0] if found else None

    def wait_for_ids(self, ids, patience=PATIENCE):
        ids = set(ids)
        wait_for(lambda: ids <= set(self.request_ids()), f"{len(ids)} records to be delivered", patience)

    def wait_for_record(self, request_id):
        return wait_for(lambda: self.find(request_id), f"the record of {request_id}")

    def wait_sealed(self, patience=PATIENCE):
        """Until a digest lists every trail file that is there now."""
        there = set(self.log_keys())
        assert there
        wait_for(lambda: there <= self.sealed_keys(), "digests to list every file", patience)


class Folder(Store):
    def __init__(self, path):
        super().__init__()
        self.path = str(path)
        self.name = "waymark"

    @property
    def url(self):
        return self.path

    def keys(self):
        found = []
        for folder, folders, files in os.walk(self.path):
            folders[:] = [f for f in folders if not f.startswith(".")]
            found += [os.path.relpath(os.path.join(folder, f), self.path) for f in files]
        return sorted(k for k in found if "AWSLogs/" in k)

    def read(self, key):
        with open(os.path.join(self.path, key), "rb") as f:
            return f.read()

    def write(self, key, body):
        """As somebody would who has the rights of the folder's owner: other bytes, same metadata."""
        with open(os.path.join(self.path, key), "wb") as f:
            f.write(body)

    def remove(self, key):
        os.unlink(os.path.join(self.path, key))

    def copy_to(self, folder):
        shutil.copytree(self.path, str(folder))
        return Folder(folder)


class Bucket(Store):
    def __init__(self, minio, name, prefix=""):
        super().__init__()
        self.minio = minio
        self.name = name
        self.prefix = prefix
        self.client = minio.client()

    @property
    def url(self):
        return f"s3://{self.name}" + (f"/{self.prefix}" if self.prefix else "")

    def keys(self):
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name)
        return [o["Key"] for page in pages for o in page.get("Contents", [])]

    def read(self, key):
        return self.client.get_object(Bucket=self.name, Key=key)["Body"].read()

    def head(self, key):
        return self.client.head_object(Bucket=self.name, Key=key)

    def write(self, key, body):
        head = self.head(key)
        self.client.put_object(Bucket=self.name, Key=key, Body=body, Metadata=head["Metadata"],
                               ContentType=head["ContentType"])

    def remove(self, key):
        self.client.delete_object(Bucket=self.name, Key=key)


# ---- the daemon ----

class Reply:
    """An answer over a bare connection."""

    def __init__(self, response):
        self.status = response.status
        self.headers = {k.lower(): v for k, v in response.getheaders()}
        self.body = response.read()

    @property
    def request_id(self):
        return self.headers.get("x-amzn-requestid")

    def json(self):
        return json.loads(self.body)


class Server:
    """waymarkd with a data folder of its own."""

    def __init__(self, folder, settings=None, environment=None):
        self.folder = str(folder)
        self.data = os.path.join(self.folder, "data")
        self.settings = settings or {}
        self.environment = environment or {}
        self.process = None
        self.endpoint = None
        self.listen = "127.0.0.1:0"
        self.prefix = []  # of the command, such as prlimit
        self.log_path = os.path.join(self.folder, "log")
        os.makedirs(self.data, exist_ok=True)

    def start(self, expect_ready=True):
        config = os.path.join(self.folder, "waymark.yaml")
        with open(config, "w", encoding="utf-8") as f:
            json.dump(self.settings, f, indent=1)  # JSON is YAML
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [*self.prefix, DAEMON, "--config", config, "--data-dir", self.data, "--listen", self.listen],
                env=clean_environment(**self.environment, **sanitizer_options()), stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=log)
        if not expect_ready:
            return self
        line = self._first_line()
        found = re.fullmatch(r"waymark ready (http://127\.0\.0\.1:(\d+))\n", line)
        assert found, f"waymarkd said {line!r}; its log ends:\n{self.log()[-4000:]}"
        self.endpoint = found.group(1)
        self.port = int(found.group(2))
        with open(os.path.join(self.data, "endpoint"), encoding="ascii") as f:
            assert f.read().strip() == self.endpoint
        return self

    def _first_line(self):
        """First line of stdout, or what there is when the patience is over."""
        got = []
        reader = threading.Thread(target=lambda: got.append(self.process.stdout.readline()), daemon=True)
        reader.start()
        reader.join(PATIENCE)
        return got[0].decode() if got else "nothing"

    def stop(self, patience=PATIENCE):
        """Stop in order; the daemon must say that it went well."""
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(patience)
        self._ended()
        assert status == 0, f"waymarkd ended with {status}; its log ends:\n{self.log()[-4000:]}"

    def kill(self):
        self.process.kill()
        self.process.wait(PATIENCE)
        self._ended()

    def _ended(self):
        self.process.stdout.close()
        self.process = None
        self.assert_no_finding()

    def restart(self):
        self.stop()
        return self.start()

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def close(self):
        """End of the test, whatever its state: nothing stays behind."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._ended()

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def assert_no_finding(self):
        """No sanitizer, no failed assertion."""
        log = self.log()
        for sign in ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "WARNING: ThreadSanitizer", "runtime error:",
                     " assertion "):
            assert sign not in log, f"{sign}\n{log[log.index(sign):][:6000]}"

    # -- who calls --

    @property
    def credentials(self):
        parser = configparser.RawConfigParser()
        parser.read(os.path.join(self.data, "credentials"))
        return parser["waymark"]["aws_access_key_id"], parser["waymark"]["aws_secret_access_key"]

    def client(self, service="mediapackage", login=None, **config):
        """login: access key, secret and, of a session, token; without, root's."""
        key_id, secret, token = (*(login or self.credentials), None)[:3]
        settings = {"retries": {"total_max_attempts": 1}, "read_timeout": PATIENCE, "connect_timeout": 10}
        settings.update(config)
        return boto3.client(service, endpoint_url=self.endpoint, region_name=REGION, aws_access_key_id=key_id,
                            aws_secret_access_key=secret, aws_session_token=token,
                            config=botocore.config.Config(**settings))

    def aws(self, *args, check=True, env=None):
        """The AWS CLI, as a user calls it: credentials file, profile, --endpoint-url."""
        environment = clean_environment(AWS_SHARED_CREDENTIALS_FILE=os.path.join(self.data, "credentials"),
                                        AWS_PROFILE="waymark", AWS_MAX_ATTEMPTS="1", **(env or {}))
        run = subprocess.run([AWS, "--region", REGION, "--endpoint-url", self.endpoint, *args], env=environment,
                             capture_output=True, text=True, timeout=PATIENCE * 3, check=False)
        if check:
            assert run.returncode == 0, f"aws {' '.join(args)}: {run.returncode}\n{run.stdout}\n{run.stderr}"
        return run

    def signed(self, method, path, body=b"", service="mediapackage", headers=None, when=None, key_id=None, secret=None,
               region=REGION):
        """Headers of a signed request. The path is signed and sent as it is given."""
        own_id, own_secret = self.credentials
        request = botocore.awsrequest.AWSRequest(method=method, url=self.endpoint + path, data=body,
                                                 headers=dict(headers or {}))
        signer = botocore.auth.SigV4Auth(
            botocore.credentials.Credentials(key_id or own_id, secret or own_secret), service, region)
        if when is None:
            signer.add_auth(request)
        else:  # as a client does whose clock is wrong
            stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(when))
            request.context["timestamp"] = stamp
            signer._modify_request_before_signing(request)
            text = signer.string_to_sign(request, signer.canonical_request(request))
            signer._inject_signature_to_request(request, signer.signature(text, request))
        return dict(request.headers.items())

    def send(self, method, path, body=b"", headers=None):
        """One request over a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, body=body or None, headers=headers or {})
            return Reply(connection.getresponse())
        finally:
            connection.close()

    def call(self, method, path, body=b"", **how):
        headers = {"Content-Type": "application/json"} if body else {}
        headers.update(how.pop("headers", {}))
        return self.send(method, path, body, self.signed(method, path, body, headers=headers, **how))

    def connect(self):
        """A bare socket, for what no client library would send."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)


def sanitizer_options():
    return {name: os.environ[name] for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS") if name in os.environ}


def request_id(reply):
    return reply["ResponseMetadata"]["RequestId"]


# ---- the three verifiers ----

def trust(s3_server):
    """What clients are told of a server with a certificate of a test's own authority."""
    authority = getattr(s3_server, "authority", None)  # a demo's MinIO has none
    return {"AWS_CA_BUNDLE": authority.ca} if authority else {}


def run_verifier(program, server, store, *more):
    """waymark verify or scripts/verify-trail: (exit status, output)."""
    environment = clean_environment(**sanitizer_options())
    args = list(more)
    if isinstance(store, Bucket):
        environment.update(AWS_ACCESS_KEY_ID=store.minio.key_id, AWS_SECRET_ACCESS_KEY=store.minio.secret,
                           AWS_DEFAULT_REGION=REGION)
        environment.update(trust(store.minio))
        args += ["--endpoint-url", store.minio.endpoint, "--region", REGION]
    run = subprocess.run([*program, *args, store.url], env=environment, capture_output=True, text=True,
                         timeout=PATIENCE * 3, cwd=os.path.dirname(server.data), check=False)
    assert "Sanitizer" not in run.stderr, run.stderr
    return run.returncode, run.stdout + run.stderr


def public_keys(server):
    """A copy of the keys, as an auditor would have taken it: what the CLI prints. Works while the daemon is up."""
    path = os.path.join(server.folder, "public-keys.json")
    if server.is_running():
        run = server.aws("cloudtrail", "list-public-keys", "--start-time", "2020-01-01T00:00:00Z", "--output", "json")
        with open(path, "w", encoding="utf-8") as f:
            f.write(run.stdout)
    return path


def verify_c(server, store):
    return run_verifier([TOOL, "verify"], server, store, "--public-keys", public_keys(server))


def verify_script(server, store):
    return run_verifier([VERIFY_SCRIPT], server, store, "--public-keys", public_keys(server))


def validate_logs(server, bucket, trail="demo"):
    """The AWS CLI's own verifier. It has one login for both sides, so MinIO's must be Waymark's too."""
    run = server.aws("cloudtrail", "validate-logs", "--trail-arn",
                     f"arn:aws:cloudtrail:{REGION}:{ACCOUNT}:trail/{trail}", "--start-time", "2020-01-01T00:00:00Z",
                     "--verbose", check=False, env={"AWS_ENDPOINT_URL_S3": bucket.minio.endpoint, **trust(bucket.minio)})
    return run.returncode, run.stdout + run.stderr


def validate_counts(output):
    """{"digest": (valid, of), "log": (valid, of)} of validate-logs' summary."""
    return {kind: (int(valid), int(of))
            for valid, of, kind in re.findall(r"(\d+)/(\d+) (digest|log) files valid", output)}


__all__ = [name for name in globals() if not name.startswith("_")] + ["urllib"]
