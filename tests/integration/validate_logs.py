"""`aws cloudtrail validate-logs`, the real command, over a folder laid out as a bucket.

Its start-up takes a second, so for many folders it runs inside this process. What it asks is answered over loopback HTTP:
the folder as S3 (GetBucketLocation, ListObjects, GetObject with its metadata), the public keys and the trail as CloudTrail.
"""
import contextlib
import http.server
import io
import json
import logging
import os
import re
import threading
import urllib.parse
from xml.sax.saxutils import escape

import awscli.clidriver

from chain import folder_keys


class Answers(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # head and body in one packet, or each answer waits for the client's delayed ACK

    def log_message(self, *_):
        pass

    def answer(self, status, body, content_type, headers=()):
        self.send_response(status)
        for name, value in (("Content-Type", content_type), ("Content-Length", str(len(body))), *headers):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):  # CloudTrail
        self.rfile.read(int(self.headers["Content-Length"]))
        operation = self.headers["X-Amz-Target"].rpartition(".")[2]
        self.answer(200, json.dumps(self.server.about[operation]).encode(), "application/x-amz-json-1.1")

    def do_GET(self):  # S3, path style
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
        key = urllib.parse.unquote(url.path).lstrip("/").partition("/")[2]
        if "location" in query:
            self.answer(200, b"<LocationConstraint/>", "application/xml")
        elif not key:
            found = [k for k in folder_keys(self.server.folder)
                     if k.startswith(query.get("prefix", "")) and k > query.get("marker", "")]
            listed = "".join("<Contents><Key>%s</Key><Size>1</Size></Contents>" % escape(urllib.parse.quote(k)) for k in found)
            self.answer(200, ("<ListBucketResult><IsTruncated>false</IsTruncated><EncodingType>url</EncodingType>%s"
                              "</ListBucketResult>" % listed).encode(), "application/xml")
        elif not os.path.isfile(os.path.join(self.server.folder, key)):
            self.answer(404, b"<Error><Code>NoSuchKey</Code><Message>no</Message></Error>", "application/xml")
        else:
            with open(os.path.join(self.server.folder, key), "rb") as f:
                body = f.read()
            metadata = {}
            with contextlib.suppress(FileNotFoundError, ValueError), open(
                    os.path.join(self.server.folder, ".metadata", key), encoding="utf-8") as f:
                metadata = json.load(f)
            self.answer(200, body, "application/json",
                        [(k, v) for k, v in metadata.items() if k.startswith("x-amz-meta-")])


class ValidateLogs:
    """with ValidateLogs() as validate: rc, output = validate(folder, keys, …)"""

    def __enter__(self):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        endpoint = "http://127.0.0.1:%d" % self.server.server_port
        self.environment = {"AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_CONFIG_FILE": os.devnull,
                            "AWS_SECRET_ACCESS_KEY": "secret", "AWS_EC2_METADATA_DISABLED": "true", "AWS_PAGER": ""}
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def __call__(self, folder, keys, bucket, arn, start, end):
        """keys: the path of what list-public-keys prints. Returns the command's exit status and what it said."""
        with open(keys, encoding="utf-8") as f:
            listed = json.load(f)
        self.server.folder = folder
        self.server.about = {"ListPublicKeys": listed, "DescribeTrails": {
            "trailList": [{"TrailARN": arn, "S3BucketName": bucket, "IsOrganizationTrail": False}]}}
        output = io.StringIO()
        saved = dict(os.environ)
        logging.disable(logging.CRITICAL)  # it logs each step, which a test runner would keep
        os.environ.update(self.environment)
        try:
            with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
                rc = awscli.clidriver.create_clidriver().main(
                    ["cloudtrail", "validate-logs", "--region", arn.split(":")[3], "--trail-arn", arn, "--start-time", start,
                     "--end-time", end, "--verbose"])
        finally:
            logging.disable(logging.NOTSET)
            os.environ.clear()
            os.environ.update(saved)
        return rc, output.getvalue()
