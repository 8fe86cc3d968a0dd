"""Whatever is changed in the bucket, the verifiers say so, name the object and exit with 1."""
import gzip
import json
import os
import re
import subprocess

import pytest

from conftest import FAST
from harness import (ACCOUNT, TOOL, VERIFY_SCRIPT, Bucket, Folder, Server, credentials_write, public_keys, request_id,
                     run_verifier, validate_counts, validate_logs, verify_c, verify_script, wait_for)


def chain_made(server, store):
    """A chain with several trail files and digests, the last of them empty."""
    client = server.client()
    store.wait_for_ids([request_id(client.list_channels())])
    store.wait_sealed()  # the key is made when the first digest is
    public_keys(server)
    for i in range(4):
        ids = [request_id(client.create_channel(Id=f"cam-{i}-{j}")) for j in range(3)]
        store.wait_for_ids(ids)
        store.wait_sealed()
    newest = store.digest_keys()[-1]
    wait_for(lambda: store.digest_keys()[-2] >= newest, "two more digests")
    digests = store.digests()
    with_files = [k for k, d in digests.items() if d["logFiles"]]
    assert len(with_files) >= 4 and len(store.log_keys()) >= 4


@pytest.fixture(scope="module", params=["zstd", "gzip"])
def folder_chain(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("chain")
    server = Server(folder)
    server.settings = {"account_id": ACCOUNT, "trails": [{"name": "demo", "codec": request.param, **FAST}]}
    server.start()
    try:
        store = Folder(os.path.join(server.data, "bucket"))
        chain_made(server, store)
        server.stop()
        yield server, store
    finally:
        server.close()


@pytest.fixture(scope="module")
def bucket_chain(tmp_path_factory, minio):
    """The same in MinIO, gzip; the daemon goes on, since the AWS CLI asks it for the trail and the keys."""
    folder = tmp_path_factory.mktemp("chain-s3")
    server = Server(folder, environment={"AWS_ACCESS_KEY_ID": minio.key_id, "AWS_SECRET_ACCESS_KEY": minio.secret})
    bucket = minio.make_bucket()
    server.settings = {"account_id": ACCOUNT,
                       "trails": [{"name": "demo", "store": "s3", "endpoint": minio.endpoint, "bucket": bucket,
                                   "codec": "gzip", **FAST}]}
    credentials_write(os.path.join(server.data, "credentials"), minio.key_id, minio.secret)
    server.start()
    try:
        store = Bucket(minio, bucket)
        chain_made(server, store)
        # The CLI's own calls must not add to what it looks at while it does.
        server.settings["trails"][0].update(batch_age="1h", digest_period="24h")
        server.restart()
        yield server, store
    finally:
        server.close()


# ---- what can be done to a store: each returns the keys of which one must be named ----


def middle(keys):
    return keys[len(keys) // 2]


def listed_log(store):
    """A trail file that a digest lists, from the middle of the chain."""
    return middle(sorted(store.sealed_keys() & set(store.log_keys())))


def flip(body, at):
    changed = bytearray(body)
    changed[at] ^= 1
    return bytes(changed)


def pack(key, content):
    if key.endswith(".gz"):
        return gzip.compress(content, mtime=0)
    return subprocess.run(["zstd", "-qc"], input=content, capture_output=True, check=True).stdout


def flip_a_byte_of_a_trail_file(store):
    key = listed_log(store)
    body = store.read(key)
    store.write(key, flip(body, len(body) // 2))
    return [key]


def change_one_letter_of_a_record(store):
    key = listed_log(store)
    content = store.content(key).replace(b'"us-east-1"', b'"us-east-2"', 1)
    assert content != store.content(key)
    store.write(key, pack(key, content))
    return [key]


def take_one_record_out(store):
    key = listed_log(store)
    document = json.loads(store.content(key))
    del document["Records"][0]
    store.write(key, pack(key, json.dumps(document, separators=(",", ":")).encode()))
    return [key]


def delete_a_trail_file(store):
    key = listed_log(store)
    store.remove(key)
    return [key]


def swap_two_trail_files(store):
    a, b = sorted(store.sealed_keys() & set(store.log_keys()))[:2]
    one, two = store.read(a), store.read(b)
    store.write(a, two)
    store.write(b, one)
    return [a, b]


def cut_a_trail_file(store):
    key = listed_log(store)
    body = store.read(key)
    store.write(key, body[:len(body) // 2])
    return [key]


def append_to_a_trail_file(store):
    key = listed_log(store)
    store.write(key, store.read(key) + pack(key, b'{"Records":[]}'))
    return [key]


def invent_a_trail_file(store):
    """Another file between the ones that a sealed period has."""
    like = sorted(store.sealed_keys() & set(store.log_keys()))[0]
    stem, dot, rest = like.rpartition(".json.")
    key = stem[:-16] + "inventedInvented" + dot + rest
    content = store.content(like)
    if isinstance(store, Bucket):
        store.client.put_object(Bucket=store.name, Key=key, Body=pack(key, content), ContentType="application/json")
    else:
        store.write(key, pack(key, content))
    return [key]


def digest_with_files(store):
    digests = store.digests()
    return middle([k for k in sorted(digests) if digests[k]["logFiles"]])


def flip_a_byte_of_a_digest(store):
    key = digest_with_files(store)
    body = store.read(key)
    store.write(key, flip(body, len(body) // 2))
    return [key]


def change_a_hash_in_a_digest(store):
    key = digest_with_files(store)
    digest = json.loads(store.content(key))
    digest["logFiles"][0]["hashValue"] = "0" * 64
    store.write(key, pack(key, json.dumps(digest, separators=(",", ":")).encode()))
    return [key]


def take_a_file_out_of_a_digest(store):
    key = digest_with_files(store)
    digest = json.loads(store.content(key))
    digest["logFiles"] = []
    store.write(key, pack(key, json.dumps(digest, separators=(",", ":")).encode()))
    return [key]


def delete_a_digest_in_the_middle(store):
    key = digest_with_files(store)
    store.remove(key)
    return [key]


def delete_two_digests_in_a_row(store):
    keys = sorted(store.digest_keys())
    at = keys.index(digest_with_files(store))
    for key in keys[at:at + 2]:
        store.remove(key)
    return keys[at:at + 2]


def delete_the_first_digest(store):
    key = sorted(store.digest_keys())[0]
    store.remove(key)
    return [key]


TAMPERINGS = [flip_a_byte_of_a_trail_file, change_one_letter_of_a_record, take_one_record_out, delete_a_trail_file,
              swap_two_trail_files, cut_a_trail_file, append_to_a_trail_file, invent_a_trail_file,
              flip_a_byte_of_a_digest, change_a_hash_in_a_digest, take_a_file_out_of_a_digest,
              delete_a_digest_in_the_middle, delete_two_digests_in_a_row, delete_the_first_digest]
# What the AWS CLI 1.45.11 accepts by design: it reads only the first gzip member, only what digests list, and what it
# finds of the chain. The rest it must see.
AWS_CLI_BLIND = {append_to_a_trail_file, invent_a_trail_file}


def assert_named(output, keys):
    lines = output.splitlines()
    for key in keys:
        assert any(line.startswith(f"{key}: ") for line in lines), f"{key} is not named in\n{output}"


# ---- folder ----


def test_an_untouched_folder_is_good(folder_chain):
    server, store = folder_chain
    for verify in verify_c, verify_script:
        status, output = verify(server, store)
        assert status == 0, output


@pytest.mark.parametrize("tamper", TAMPERINGS, ids=lambda f: f.__name__)
def test_a_folder_tells(folder_chain, tmp_path, tamper):
    server, store = folder_chain
    copy = store.copy_to(tmp_path / "bucket")
    keys = tamper(copy)
    for verify in verify_c, verify_script:
        status, output = verify(server, copy)
        assert status == 1, f"{verify.__name__}: {status}\n{output}"
        assert_named(output, keys)


def test_a_folder_tells_changed_metadata(folder_chain, tmp_path):
    server, store = folder_chain
    key = digest_with_files(store)
    copy = store.copy_to(tmp_path / "bucket")
    path = os.path.join(copy.path, ".metadata", key)
    with open(path, encoding="utf-8") as f:
        metadata = json.load(f)
    signature = metadata["x-amz-meta-signature"]
    metadata["x-amz-meta-signature"] = ("0" if signature[0] != "0" else "1") + signature[1:]
    with open(path, "w", encoding="utf-8") as f:
        json.dump(metadata, f)
    for verify in verify_c, verify_script:
        status, output = verify(server, copy)
        assert status == 1, output
        assert_named(output, [key])


def test_keys_of_somebody_else_prove_nothing(folder_chain, tmp_path):
    """A chain signed anew by who holds the bucket, but not the key: every digest is named."""
    server, store = folder_chain
    other = Server(tmp_path / "other")
    other.settings = {"account_id": ACCOUNT, "trails": [{"name": "demo", **FAST}]}
    other.start()
    try:
        stranger = public_keys(other)
    finally:
        other.close()
    for program in [TOOL, "verify"], [VERIFY_SCRIPT]:
        status, output = run_verifier(program, server, store, "--public-keys", stranger)
        assert status == 1, output
        assert_named(output, store.digest_keys())


def test_files_that_wait_for_a_digest_are_counted(folder_chain, tmp_path):
    """Without the newest digests the bucket alone cannot say that there were any; but what they listed waits."""
    server, store = folder_chain
    copy = store.copy_to(tmp_path / "bucket")
    digests = store.digests()
    keys = sorted(digests)
    last = max(i for i, k in enumerate(keys) if digests[k]["logFiles"])
    for key in keys[last:]:
        copy.remove(key)
    waiting = len(digests[keys[last]]["logFiles"])
    for verify in verify_c, verify_script:
        status, output = verify(server, copy)
        found = re.search(r"files not yet in a digest (\d+)", output)
        assert status == 1 or (status == 0 and int(found.group(1)) == waiting), output


def test_a_cut_end_is_named_against_a_checkpoint(folder_chain, tmp_path):
    """What the bucket alone cannot tell: the newest digests are gone, with all that they list."""
    server, store = folder_chain
    copy = store.copy_to(tmp_path / "bucket")
    keys = public_keys(server)
    checkpoint = str(tmp_path / "checkpoint")
    programs = [TOOL, "verify"], [VERIFY_SCRIPT]
    for program in programs:  # the second reads what the first wrote
        status, output = run_verifier(program, server, copy, "--public-keys", keys, "--checkpoint", checkpoint)
        assert status == 0, output
    digests = store.digests()
    newest = sorted(digests)[-3:]
    for key in newest:
        copy.remove(key)
    for file in {f["s3Object"] for key in newest for f in digests[key]["logFiles"]}:
        copy.remove(file)
    for program in programs:
        assert run_verifier(program, server, copy, "--public-keys", keys)[0] == 0, "nothing tells of it"
        status, output = run_verifier(program, server, copy, "--public-keys", keys, "--checkpoint", checkpoint)
        assert status == 1, output
        assert_named(output, newest[-1:])


def test_what_cannot_be_checked_is_neither_good_nor_tampered(folder_chain, tmp_path, minio):
    server, store = folder_chain
    keys = public_keys(server)
    copy = store.copy_to(tmp_path / "bucket")
    bucket = Bucket(minio, "there-is-no-such-bucket")
    for program in [TOOL, "verify"], [VERIFY_SCRIPT]:
        for target, key_file in ((Folder(tmp_path / "nowhere"), keys), (copy, str(tmp_path / "no-keys")), (bucket, keys)):
            status, output = run_verifier(program, server, target, "--public-keys", key_file)
            assert status == 2, f"{program} {target.url} {key_file}: {status}\n{output}"
            assert output.strip()


def test_the_data_directory_has_the_keys(folder_chain, tmp_path):
    server, store = folder_chain
    copy = store.copy_to(tmp_path / "bucket")
    for program in [TOOL, "verify"], [VERIFY_SCRIPT]:
        assert run_verifier(program, server, store)[0] == 0, "keys beside the folder"
        status, output = run_verifier(program, server, copy, "--data-dir", server.data)
        assert status == 0, output


def test_a_chain_goes_on_over_restarts(folder_chain):
    _, store = folder_chain
    starts = [k for k, d in store.digests().items() if d["previousDigestS3Object"] is None]
    assert starts == sorted(store.digest_keys())[:1]


# ---- bucket ----


@pytest.fixture
def restored(bucket_chain):
    """Every object and its metadata are put back after the test."""
    server, store = bucket_chain
    before = {key: (store.read(key), store.head(key)) for key in store.keys()}
    store.cache.clear()
    yield server, store
    store.cache.clear()
    for key in store.keys():
        if key not in before:
            store.remove(key)
    for key, (body, head) in before.items():
        store.client.put_object(Bucket=store.name, Key=key, Body=body, Metadata=head["Metadata"],
                                ContentType=head["ContentType"])


def test_an_untouched_bucket_is_good_for_all_three(restored):
    server, store = restored
    for verify in verify_c, verify_script, validate_logs:
        status, output = verify(server, store)
        assert status == 0, f"{verify.__name__}: {status}\n{output}"
    counts = validate_counts(output)
    assert counts["digest"] == (len(store.digest_keys()),) * 2
    assert counts["log"] == (len(store.sealed_keys()),) * 2


@pytest.mark.parametrize("tamper", TAMPERINGS[::3], ids=lambda f: f.__name__)
def test_a_bucket_tells(restored, tamper):
    server, store = restored
    keys = tamper(store)
    for verify in verify_c, verify_script:
        status, output = verify(server, store)
        assert status == 1, f"{verify.__name__}: {status}\n{output}"
        assert_named(output, keys)
    status, output = validate_logs(server, store)
    if tamper in AWS_CLI_BLIND:
        return
    assert status == 1, output
    assert re.search(r"INVALID", output), output
    assert any(key in output for key in keys), output
