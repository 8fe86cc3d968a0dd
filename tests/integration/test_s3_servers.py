"""Two real S3 servers that know nothing of each other: what Waymark asks of a store, both do, and both verify."""
import base64
import datetime
import hashlib
import os
import subprocess

import pytest

from harness import (PATIENCE, REDUCED, VERSITYGW, Authority, Bucket, Minio, Versity, clean_environment, credentials_write,
                     request_id, validate_logs, verify_c, verify_script, wait_for)

KINDS = [Minio, pytest.param(Versity, marks=pytest.mark.skipif(not VERSITYGW, reason="no versitygw"))]


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__.lower(), scope="module")
def store_server(request, tmp_path_factory):
    server = request.param(tmp_path_factory.mktemp("s3") / "data").start()
    yield server
    server.stop()


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__.lower())
def tls_server(request, tmp_path):
    server = request.param(tmp_path / "s3" / "data", authority=Authority(tmp_path / "authority")).start()
    yield server
    server.stop()


def calls(server, n):
    client = server.client()
    return [request_id(client.list_channels()) for _ in range(n)]


def assert_verified_by_all(server, store):
    status, output = verify_c(server, store)
    assert status == 0, output
    if REDUCED:
        return
    status, output = verify_script(server, store)
    assert status == 0, output
    status, output = validate_logs(server, store)
    assert status == 0, output
    assert "INVALID" not in output


def test_the_store_by_itself(store_server):
    """Its unit test that is skipped where there is no server: the condition, listings, odd names, 5 MiB."""
    env = clean_environment(WAYMARK_TEST_S3="1", WAYMARK_BUCKET=store_server.make_bucket(),
                            AWS_ENDPOINT_URL_S3=store_server.endpoint, AWS_ACCESS_KEY_ID=store_server.key_id,
                            AWS_SECRET_ACCESS_KEY=store_server.secret)
    run = subprocess.run([os.environ["WAYMARK_TEST_STORE_S3"]], env=env, capture_output=True, text=True,
                         timeout=PATIENCE, check=False)
    said = run.stdout + run.stderr
    assert run.returncode == 0, said
    assert "SKIPPED" not in said


def test_records_are_there_once_over_restarts(start_s3_server, store_server):
    server = start_s3_server("gzip", bucket_of=store_server)
    ids = calls(server, 20)
    server.restart()
    ids += calls(server, 20)
    server.kill()
    server.start()
    ids += calls(server, 20)
    server.store.wait_for_ids(ids)
    server.store.wait_sealed()
    got = server.store.request_ids()
    assert len(got) == len(set(got)), "a record is there twice"
    assert "store-unconditional" not in server.log()
    assert_verified_by_all(server, server.store)


def test_the_server_stops_and_starts_again(start_s3_server, request, tmp_path):
    """What test_bucket_away.py has with MinIO."""
    if not VERSITYGW:
        pytest.skip("no versitygw")
    own = Versity(tmp_path / "s3" / "data").start()
    request.addfinalizer(own.stop)
    server = start_s3_server("zstd", bucket_of=own)
    ids = calls(server, 10)
    server.store.wait_for_ids(ids)
    own.stop()
    ids += calls(server, 20)
    wait_for(lambda: "trail-waiting" in server.log() and "ConnectionRefused" in server.log(), "the trail to wait")
    own.start()
    server.store.wait_for_ids(ids)
    got = server.store.request_ids()
    assert len(got) == len(set(got))
    server.store.wait_sealed()
    assert verify_c(server, server.store)[0] == 0


def test_objects_are_put_as_the_settings_say(start_server, store_server):
    """Tags, lock and encryption, as the server itself gives them back."""
    minio = isinstance(store_server, Minio)
    bucket = store_server.make_bucket(ObjectLockEnabledForBucket=True)
    trail = {"name": "demo", "store": "s3", "endpoint": store_server.endpoint, "bucket": bucket, "codec": "gzip",
             "batch_age": "100ms", "digest_period": "2s", "object_lock": "GOVERNANCE", "object_lock_days": 3,
             "tags": "team=audit, kept=7 years"}
    if minio:  # the gateway has neither
        trail |= {"encryption": "aws:kms", "kms_key_id": "audit", "storage_class": "STANDARD"}
    server = start_server(trails=[trail], environment={"AWS_ACCESS_KEY_ID": store_server.key_id,
                                                       "AWS_SECRET_ACCESS_KEY": store_server.secret}, login=store_server)
    store = Bucket(store_server, bucket)
    ids = calls(server, 5)
    store.wait_for_ids(ids)
    store.wait_sealed()
    client = store_server.client()
    for key in store.log_keys()[:2] + store.digest_keys()[:2]:
        tags = {t["Key"]: t["Value"] for t in client.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]}
        assert tags == {"team": "audit", "kept": "7 years"}, key
        head = client.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
        assert head["ObjectLockMode"] == "GOVERNANCE"
        left = head["ObjectLockRetainUntilDate"] - datetime.datetime.now(datetime.timezone.utc)
        assert datetime.timedelta(days=2, hours=23) < left <= datetime.timedelta(days=3)
        body = client.get_object(Bucket=bucket, Key=key)["Body"].read()
        assert head["ChecksumSHA256"] == base64.b64encode(hashlib.sha256(body).digest()).decode()
        if minio:
            assert head["ServerSideEncryption"] == "aws:kms" and head["SSEKMSKeyId"].endswith("audit")
        # The probe of the condition left one version, not two.
        versions = client.list_object_versions(Bucket=bucket, Prefix=key)["Versions"]
        assert len(versions) == 1, key
        with pytest.raises(client.exceptions.ClientError) as refused:
            client.delete_object(Bucket=bucket, Key=key, VersionId=versions[0]["VersionId"])
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] in (400, 403)
    assert_verified_by_all(server, store)


def test_a_setting_that_the_bucket_does_not_take_is_told_and_waited_out(start_server, store_server):
    """Object lock on a bucket without: the trail waits, says so, and goes on when the settings are mended."""
    bucket = store_server.make_bucket()
    trail = {"name": "demo", "store": "s3", "endpoint": store_server.endpoint, "bucket": bucket, "batch_age": "100ms",
             "digest_period": "2s", "object_lock": "COMPLIANCE", "object_lock_days": 1}
    server = start_server(trails=[trail], environment={"AWS_ACCESS_KEY_ID": store_server.key_id,
                                                       "AWS_SECRET_ACCESS_KEY": store_server.secret})
    ids = calls(server, 3)
    wait_for(lambda: "trail-waiting" in server.log() and "object_lock" in server.log(), "the log to say so")
    status = server.client("cloudtrail").get_trail_status(Name="demo")
    ids.append(request_id(status))
    assert status["LatestDeliveryError"]
    del trail["object_lock"], trail["object_lock_days"]
    server.restart()
    store = Bucket(store_server, bucket)
    store.wait_for_ids(ids)
    got = store.request_ids()
    assert len(got) == len(set(got))


def test_tls_with_an_authority_of_its_own(start_server, tls_server, tmp_path):
    bucket = tls_server.make_bucket()
    other = Authority(tmp_path / "other")
    trail = {"name": "demo", "store": "s3", "endpoint": tls_server.endpoint, "bucket": bucket, "codec": "gzip",
             "batch_age": "100ms", "digest_period": "2s", "ca_file": other.ca}
    server = start_server(trails=[trail], login=tls_server,
                          environment={"AWS_ACCESS_KEY_ID": tls_server.key_id, "AWS_SECRET_ACCESS_KEY": tls_server.secret})
    ids = calls(server, 3)

    def told():
        status = server.client("cloudtrail").get_trail_status(Name="demo")
        ids.append(request_id(status))
        return status.get("LatestDeliveryError") == "CertificateRefused"

    wait_for(told, "the status to say CertificateRefused")
    store = Bucket(tls_server, bucket)
    assert store.keys() == []
    trail["ca_file"] = tls_server.authority.ca
    server.restart()
    store.wait_for_ids(ids)
    store.wait_sealed()
    assert_verified_by_all(server, store)


def test_a_role_is_assumed(start_server, minio, tmp_path):
    """MinIO's STS gives credentials with an end; what they sign is taken, and they are renewed before it."""
    login = os.path.join(tmp_path, "login")
    credentials_write(login, minio.key_id, minio.secret)
    bucket = minio.make_bucket()
    server = start_server(trails=[{
        "name": "demo", "store": "s3", "endpoint": minio.endpoint, "bucket": bucket, "batch_age": "100ms",
        "digest_period": "2s", "credentials_file": login, "profile": "waymark",
        "role_arn": "arn:minio:iam:::role/trail", "sts_endpoint": minio.endpoint}])
    ids = calls(server, 3)
    store = Bucket(minio, bucket)
    store.wait_for_ids(ids)
    assert minio.secret not in server.log()
