"""The keys that sign: encrypted files, a PKCS#11 token, and what the trail says of both."""
import glob
import os
import subprocess

import pytest

from harness import PATIENCE, clean_environment, verify_c, verify_script, wait_for

SOFTHSM = "/usr/lib/softhsm/libsofthsm2.so"
needs_softhsm = pytest.mark.skipif(not os.path.exists(SOFTHSM), reason="SoftHSM is not installed")


def key_files(server):
    return glob.glob(os.path.join(server.data, "keys", "*.pem"))


def events(server):
    return [r["eventName"] for r in server.store.service_events()]


def secret_file(path, text):
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as f:
        f.write(text)
    return str(path)


def assert_refuses(server, reason):
    """It does not start, and says why."""
    server.start(expect_ready=False)
    assert server.process.wait(PATIENCE) == 1
    server._ended()
    assert reason in server.log().splitlines()[-2], server.log()[-2000:]


def assert_good(server):
    server.store.wait_sealed()
    for verify in verify_c, verify_script:
        status, output = verify(server, server.store)
        assert status == 0, output


def test_key_files_are_encrypted_when_a_passphrase_is_given(start_server, tmp_path):
    server = start_server()
    plain, = key_files(server)
    with open(plain, encoding="ascii") as f:
        assert f.readline() == "-----BEGIN PRIVATE KEY-----\n"
    wait_for(lambda: events(server) == ["CreateSigningKey", "UseSigningKey"], "the key's records")
    made, used = server.store.service_events()
    details = made["serviceEventDetails"]
    assert details["fingerprint"] == used["serviceEventDetails"]["fingerprint"] == os.path.basename(plain)[:32]
    assert (details["keyStore"], details["encrypted"]) == ("file", False)
    listed, = server.client("cloudtrail").list_public_keys()["PublicKeyList"]
    assert listed["Fingerprint"] == details["fingerprint"]
    assert listed["ValidityEndTime"].strftime("%Y-%m-%dT%H:%M:%SZ") == details["validityEndTime"]
    server.stop()

    server.settings["keys"] = {"passphrase_file": secret_file(tmp_path / "pass", "correct horse\n")}
    server.start()
    assert key_files(server) == [plain]
    with open(plain, encoding="ascii") as f:
        assert f.readline() == "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
    wait_for(lambda: events(server)[2:4] == ["EncryptSigningKey", "UseSigningKey"], "the next records")
    server.stop()

    secret_file(tmp_path / "pass", "battery staple\n")
    assert_refuses(server, "does not open it")
    server.settings["keys"] = {}
    assert_refuses(server, "no passphrase is given")

    # the systemd credential, which has the same passphrase, with another one before it
    os.mkdir(tmp_path / "credentials")
    secret_file(tmp_path / "credentials" / "waymark.passphrase", "battery staple\ncorrect horse")
    server.environment["CREDENTIALS_DIRECTORY"] = str(tmp_path / "credentials")
    server.start()
    wait_for(lambda: len(events(server)) == 8, "the last records")
    assert events(server)[4:] == ["RefuseSigningKeys", "RefuseSigningKeys", "EncryptSigningKey", "UseSigningKey"]
    assert_good(server)
    server.stop()
    for word in "correct horse", "battery staple":
        assert word not in server.log()
        found = subprocess.run(["grep", "-rlF", word, server.data], capture_output=True, check=False)
        assert found.returncode == 1, found.stdout


def test_the_master_key_can_be_a_credential(start_server, tmp_path):
    server = start_server()
    made = server.client().create_channel(Id="stadium")["HlsIngest"]
    server.stop()
    master, credential = os.path.join(server.data, "keys", "master.key"), tmp_path / "credentials" / "waymark.master-key"
    os.mkdir(tmp_path / "credentials")
    server.environment["CREDENTIALS_DIRECTORY"] = str(tmp_path / "credentials")
    credential.write_bytes(bytes(32))
    assert_refuses(server, "is another key than")
    credential.write_bytes(b"short")
    assert_refuses(server, "is not 32 bytes long")
    os.rename(master, credential)
    server.start()
    assert server.client().describe_channel(Id="stadium")["HlsIngest"] == made
    assert not os.path.exists(master)
    server.stop()
    del server.environment["CREDENTIALS_DIRECTORY"]  # another key in its place would give every caller another secret
    assert_refuses(server, "is not there, and secrets that callers have are derived from it")
    assert not os.path.exists(master)
    os.rename(credential, master)
    server.start()
    client = server.client()
    assert client.describe_channel(Id="stadium")["HlsIngest"] == made
    client.delete_channel(Id="stadium")
    server.client("iam").create_user(UserName="noor")
    server.client("iam").create_access_key(UserName="noor")
    server.stop()
    os.remove(master)
    assert_refuses(server, "is not there, and secrets that callers have are derived from it")


@needs_softhsm
def test_keys_of_a_token_sign(start_server, tmp_path):
    os.mkdir(tmp_path / "tokens")
    conf = tmp_path / "softhsm.conf"
    conf.write_text(f"directories.tokendir = {tmp_path}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n")
    subprocess.run(["softhsm2-util", "--init-token", "--free", "--label", "audit", "--so-pin", "11223344", "--pin", "471147"],
                   env=clean_environment(SOFTHSM2_CONF=str(conf)), check=True, capture_output=True)
    server = start_server(environment={"SOFTHSM2_CONF": str(conf)}, ready=False)
    server.settings["keys"] = {"token": "pkcs11:token=audit", "token_module": SOFTHSM,
                               "token_pin_file": secret_file(tmp_path / "pin", "471147\n")}
    server.start()
    server.client().create_channel(Id="stadium")
    wait_for(lambda: len(events(server)) == 2 and server.store.records(), "records")
    assert events(server) == ["CreateSigningKey", "UseSigningKey"]
    assert server.store.service_events()[0]["serviceEventDetails"]["keyStore"] == "token"
    assert key_files(server) == []
    server.restart()
    wait_for(lambda: len(events(server)) == 3, "the use after the restart")
    assert_good(server)
    assert len({d["digestPublicKeyFingerprint"] for d in server.store.digests().values()}) == 1
    server.stop()
    secret_file(tmp_path / "pin", "918273\n")
    assert_refuses(server, "the token refuses the PIN")
    for pin in "471147", "918273":
        assert pin not in server.log()
