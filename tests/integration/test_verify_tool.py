"""`waymark verify` as one runs it: against the daemon's own word, with little memory, from a tar, interrupted."""
import json
import os
import resource
import shutil
import signal
import subprocess
import time
import zlib

import pytest

from chain import Key, Trail, public_keys
from chain import Bucket as ChainFolder
from conftest import FAST
from harness import ACCOUNT, REDUCED, TOOL, VERIFY_SCRIPT, Folder, Server, clean_environment, request_id, sanitizer_options

MB = 1 << 20


def verify(*arguments, rc=0, tool=(TOOL, "verify"), **how):
    run = subprocess.run([*tool, *map(str, arguments)], capture_output=True, text=True, check=False,
                         env=clean_environment(**sanitizer_options()), **how)
    assert run.returncode == rc, run.stdout + run.stderr
    return run


def summary(run):
    return json.loads(run.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A chain of six digests with two files each, and the list of public keys."""
    folder = tmp_path_factory.mktemp("made")
    key = Key(str(folder), "key")
    keys = public_keys(os.path.join(folder, "public-keys.json"), key)
    trail = Trail(ChainFolder(os.path.join(folder, "bucket")), key, "gz")
    for _ in range(6):
        trail.seal()
    return trail, keys


@pytest.fixture
def chain(made, tmp_path):
    trail, keys = made
    return trail.copy_to(os.path.join(tmp_path, "bucket")), ["--public-keys", keys]


def test_the_daemon_says_what_must_be_there(tmp_path):
    """A checkpoint made of the status: the newest digest taken away is named, also by who never looked before."""
    server = Server(tmp_path)
    server.settings = {"account_id": ACCOUNT, "trails": [{"name": "demo", **FAST}]}
    server.start()
    try:
        store = Folder(os.path.join(server.data, "bucket"))
        store.wait_for_ids([request_id(server.client().list_channels())])
        store.wait_sealed()
        status = subprocess.run([TOOL, "status", "--json", "--data-dir", server.data], capture_output=True, text=True,
                                check=True, env=clean_environment(**sanitizer_options())).stdout
        server.stop()
        newest = [trail["newestDigest"] for trail in json.loads(status)["trails"]]
        assert newest[0]["key"] in store.digest_keys()
        checkpoint = tmp_path / "now.json"
        checkpoint.write_text(json.dumps({"waymarkCheckpoint": 1, "digests": newest}))
        for tool in ((TOOL, "verify"), (VERIFY_SCRIPT,)):
            verify(store.path, "--checkpoint", checkpoint, tool=tool)
        for key in store.digest_keys():
            if key >= newest[0]["key"]:
                store.remove(key)
        checkpoint.write_text(json.dumps({"waymarkCheckpoint": 1, "digests": newest}))
        for tool in ((TOOL, "verify"), (VERIFY_SCRIPT,)):
            run = verify(store.path, "--checkpoint", checkpoint, rc=1, tool=tool)
            assert newest[0]["key"] + ": missing: the checkpoint names it" in run.stdout.splitlines()
    finally:
        server.close()


def bomb(megabytes):
    """A gzip member of so many MB of blanks, a thousandth as large."""
    packer = zlib.compressobj(9, wbits=31)
    return b"".join([*(packer.compress(b" " * MB) for _ in range(megabytes)), packer.flush()])


@pytest.mark.skipif(REDUCED, reason="a sanitizer needs all address space")
def test_memory_stays_bounded_whatever_objects_hold(chain):
    trail, arguments = chain
    large = bomb(400)
    assert len(large) < MB
    trail.bucket.set_raw(trail.files[1][0], large)
    trail.bucket.set_raw(trail.files[3][1], large)
    trail.bucket.set_raw(trail.digests[4], large)
    run = verify(trail.bucket.folder, *arguments, "--jobs", 2, rc=1, preexec_fn=lambda: resource.setrlimit(
        resource.RLIMIT_AS, (900 * MB, 900 * MB)))
    for key in (trail.files[1][0], trail.files[3][1], trail.digests[4]):
        assert key + ": is larger than a trail file or digest can be" in run.stdout.splitlines()


def test_json_has_a_line_for_each_finding_and_a_summary(chain):
    trail, arguments = chain
    trail.bucket.remove(trail.files[2][0])
    run = verify(trail.bucket.folder, *arguments, "--json", rc=1)
    found, total = map(json.loads, run.stdout.splitlines())
    assert found == {"type": "finding", "kind": "missing-file", "key": trail.files[2][0],
                     "text": f"missing: digest {trail.digests[2]} lists it"}
    assert total == {"type": "summary", "target": trail.bucket.folder, "result": "not good", "chains": 1, "digests": 6,
                     "digestsValid": 6, "files": 12, "filesValid": 11, "filesPending": 0, "records": 22, "findings": 1}
    run = verify(trail.bucket.folder + "-absent", *arguments, "--json", rc=2)
    assert summary(run)["result"] == "incomplete" and "there is no folder" in summary(run)["error"]


def test_a_tar_is_found_with_its_prefix_and_keys(made, tmp_path):
    trail, keys = made
    shutil.copytree(trail.bucket.folder, tmp_path / "data/bucket")
    (tmp_path / "data/keys").mkdir()
    shutil.copy(keys, tmp_path / "data/keys/public-keys.json")
    subprocess.run(["tar", "-C", tmp_path / "data", "-czf", tmp_path / "data/copy.tar.gz", "bucket"], check=True)
    for tool in ((TOOL, "verify"), (VERIFY_SCRIPT,)):
        run = verify(tmp_path / "data/copy.tar.gz", tool=tool)
        assert "digests 6, valid 6; files 12, valid 12" in run.stdout
    other = Trail(ChainFolder(tmp_path / "other"), trail.key, "gz", prefix="logs/prod")
    other.seal()
    subprocess.run(["tar", "-C", tmp_path / "other", "-cf", tmp_path / "other.tar", "."], check=True)
    assert "digests 1, valid 1" in verify(f"{tmp_path}/other.tar/logs/prod", "--public-keys", keys).stdout


def test_it_goes_on_where_it_was_killed(chain, tmp_path):
    trail, arguments = chain
    resume = tmp_path / "resume"
    command = [TOOL, "verify", trail.bucket.folder, *arguments, "--resume", resume, "--jobs", "1"]
    process = subprocess.Popen(command, env=clean_environment(**sanitizer_options()), stdout=subprocess.DEVNULL)
    while process.poll() is None and (not resume.exists() or resume.read_bytes().count(b"\n") < 3):
        time.sleep(0.0005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    known = resume.read_bytes().count(b"\n") - 1
    run = verify(trail.bucket.folder, *arguments, "--resume", resume, "--json")
    assert summary(run)["filesValid"] == 12
    assert summary(run)["filesResumed"] == 2 * known >= 4


@pytest.mark.parametrize("arguments", [["--jobs", "0"], ["--jobs", "65"], ["--jobs", "x"], ["--start-time", "yesterday"],
                                       ["--end-time", "2026-02-30"], ["--start-time", "2026-03-02", "--end-time", "2026-03-01"],
                                       ["--checkpoint", "/dev/null/x"], ["--resume", "/"], ["--no-such-option"]])
def test_what_cannot_be_is_refused(chain, arguments):
    trail, keys = chain
    run = verify(trail.bucket.folder, *keys, *arguments, rc=2)
    assert run.stderr.count("\n") <= 2 and run.stderr.startswith(("waymark verify: ", TOOL + ": ", "verify: "))
