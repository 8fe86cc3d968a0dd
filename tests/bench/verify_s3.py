"""`aws cloudtrail validate-logs` and `waymark verify` on the same MinIO, one after the other, again and again. For
scripts/bench verify, which gives it what the integration tests get by their environment.

    verify_s3.py FOLDER ROUNDS      FOLDER: what bench_verify made; prints a JSON object a line, seconds
"""
import http.server
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "integration"))
from harness import TOOL, Minio, clean_environment  # noqa: E402  (it needs the path)

BUCKET, ARN = "evidence", "arn:aws:cloudtrail:us-east-1:123456789012:trail/bench"


def upload(client, folder):
    client.create_bucket(Bucket=BUCKET)
    for path in sorted(p for p in folder.rglob("*.json.*") if ".metadata" not in p.parts):
        key = str(path.relative_to(folder))
        metadata = json.loads((folder / ".metadata" / key).read_text())
        client.put_object(Bucket=BUCKET, Key=key, Body=path.read_bytes(), Metadata={
            name[len("x-amz-meta-"):]: value for name, value in metadata.items() if name.startswith("x-amz-meta-")})


def cloudtrail(keys):
    """What validate-logs asks CloudTrail."""
    about = {"ListPublicKeys": json.loads(keys.read_text()), "DescribeTrails": {
        "trailList": [{"TrailARN": ARN, "S3BucketName": BUCKET, "IsOrganizationTrail": False}]}}

    class Answers(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            body = json.dumps(about[self.headers["X-Amz-Target"].rpartition(".")[2]]).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"


def measure(command, environment):
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic() - began
    if done.returncode:
        sys.exit(f"{command[0]} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return {"wall": wall, "cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime}


def main():
    folder, rounds = pathlib.Path(sys.argv[1]), int(sys.argv[2])
    with tempfile.TemporaryDirectory(dir=folder) as work:
        minio = Minio(os.path.join(work, "minio")).start()
        try:
            upload(minio.client(), folder / "bucket")
            keys = folder / "keys/public-keys.json"
            environment = clean_environment(
                AWS_ACCESS_KEY_ID=minio.key_id, AWS_SECRET_ACCESS_KEY=minio.secret, AWS_DEFAULT_REGION="us-east-1",
                AWS_ENDPOINT_URL_S3=minio.endpoint, AWS_ENDPOINT_URL_CLOUDTRAIL=cloudtrail(keys), AWS_CONFIG_FILE=os.devnull)
            for _ in range(rounds):
                ours = measure([TOOL, "verify", f"s3://{BUCKET}", "--public-keys", keys, "--no-progress"], environment)
                aws = measure([pathlib.Path(sys.executable).parent / "aws", "cloudtrail", "validate-logs", "--trail-arn", ARN,
                               "--start-time", "2020-01-01T00:00:00Z"], environment)
                print(json.dumps({"ours": ours, "aws": aws}), flush=True)
        finally:
            minio.stop()


main()
