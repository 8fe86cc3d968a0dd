"""A folder laid out as a bucket, served over loopback HTTP as S3 (GetBucketLocation, both ListObjects, GetObject with
its metadata), with the public keys and the trail beside it as CloudTrail; and `aws cloudtrail validate-logs` over it.

The command is the real one. Its start-up takes a second, so for many folders it runs inside this process.
"""
import contextlib
import http.server
import io
import json
import logging
import os
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

    def answer(self, status, body, content_type="application/xml", headers=()):
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
        self.server.asked += 1
        if self.server.busy and self.server.asked % self.server.busy == 0:
            self.answer(503, b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>")
            return
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
        key = urllib.parse.unquote(url.path).lstrip("/").partition("/")[2]
        path = os.path.join(self.server.folder, key)
        if "location" in query:
            self.answer(200, b"<LocationConstraint/>")
        elif not key:
            after = query.get("marker") or query.get("continuation-token") or ""
            self.answer(200, self.listing(query.get("prefix", ""), after))
        elif not os.path.isfile(path):
            self.answer(404, b"<Error><Code>NoSuchKey</Code><Message>no</Message></Error>")
        else:
            with open(path, "rb") as f:
                body = f.read()
            metadata = {}
            with contextlib.suppress(FileNotFoundError, ValueError), open(
                    os.path.join(self.server.folder, ".metadata", key), encoding="utf-8") as f:
                metadata = json.load(f)
            self.answer(200, body, "application/json",
                        [(k, v) for k, v in metadata.items() if k.startswith("x-amz-meta-")])

    def listing(self, prefix, after):
        keys = [k for k in folder_keys(self.server.folder) if k.startswith(prefix) and k > after]
        page = keys[:self.server.page]
        listed = "".join("<Contents><Key>%s</Key><LastModified>2026-03-01T00:00:00.000Z</LastModified><Size>1</Size>"
                         "</Contents>" % escape(urllib.parse.quote(k)) for k in page)
        more = "<IsTruncated>false</IsTruncated>"
        if page != keys:
            more = ("<IsTruncated>true</IsTruncated><NextContinuationToken>%s</NextContinuationToken>"
                    "<NextMarker>%s</NextMarker>" % ((escape(page[-1]),) * 2))
        return ('<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><EncodingType>url</EncodingType>%s%s'
                "</ListBucketResult>" % (more, listed)).encode()


class ValidateLogs:
    """with ValidateLogs() as validate: rc, output = validate(folder, keys, …)"""

    def __enter__(self):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self.server.asked, self.server.busy, self.server.page = 0, 0, 1000
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.endpoint = "http://127.0.0.1:%d" % self.server.server_port
        self.environment = {"AWS_ENDPOINT_URL": self.endpoint, "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
                            "AWS_CONFIG_FILE": os.devnull, "AWS_SECRET_ACCESS_KEY": "secret", "AWS_EC2_METADATA_DISABLED": "true", "AWS_PAGER": ""}
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
                    ["cloudtrail", "validate-logs", "--region", arn.split(":")[3], "--trail-arn", arn,
                     "--start-time", start, "--end-time", end, "--verbose"])
        finally:
            logging.disable(logging.NOTSET)
            os.environ.clear()
            os.environ.update(saved)
        return rc, output.getvalue()
