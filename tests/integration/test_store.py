"""The S3 store by itself, against a real server: its unit test that is skipped where there is none."""
import os
import subprocess

from harness import PATIENCE, clean_environment


def test_the_store_works_with_a_real_server(minio):
    env = clean_environment(WAYMARK_TEST_S3="1", WAYMARK_BUCKET=minio.make_bucket(), AWS_ENDPOINT_URL_S3=minio.endpoint,
                            AWS_ACCESS_KEY_ID=minio.key_id, AWS_SECRET_ACCESS_KEY=minio.secret)
    run = subprocess.run([os.environ["WAYMARK_TEST_STORE_S3"]], env=env, capture_output=True, text=True,
                         timeout=PATIENCE, check=False)
    said = run.stdout + run.stderr
    assert run.returncode == 0, said
    assert "SKIPPED" not in said
