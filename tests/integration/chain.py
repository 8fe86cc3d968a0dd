"""Chains of digests, written by a third writer (this file and openssl), so that no verifier is measured by code that it
shares with what it verifies. A chain is a folder laid out as a bucket; whoever holds its keys can seal it anew."""
import base64
import calendar
import copy
import gzip
import hashlib
import json
import os
import shutil
import subprocess
import time

ACCOUNT, REGION, TRAIL, BUCKET = "111122223333", "us-east-1", "demo_trail.1", "evidence"
FIRST_END = calendar.timegm((2026, 3, 1, 11, 0, 0))
PERIOD = 3600
DAY = 86400


def run(*argv, data=None):
    return subprocess.run(argv, input=data, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout


def stamp(form, seconds):
    return time.strftime(form, time.gmtime(seconds))


def iso(seconds):
    return stamp("%Y-%m-%dT%H:%M:%SZ", seconds)


def pack(key, data):
    if key.endswith(".gz"):
        return gzip.compress(data, mtime=0)
    return run("zstd", "-qc", data=data)


def unpack(key, data):
    return gzip.decompress(data) if key.endswith(".gz") else run("zstd", "-dqc", data=data)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def folder_keys(folder):
    """All keys of a folder store, in their order."""
    found = []
    for place, folders, files in os.walk(folder):
        folders[:] = [f for f in folders if not f.startswith(".")]
        found += [os.path.relpath(os.path.join(place, f), folder) for f in files]
    return sorted(found, key=os.fsencode)


class Key:
    """A pair of keys, valid for 30 days."""

    def __init__(self, folder, name, start=FIRST_END - 10 * DAY):
        self.pem = os.path.join(folder, name + ".pem")
        run("openssl", "genrsa", "-out", self.pem, "2048")
        self.der = run("openssl", "rsa", "-in", self.pem, "-RSAPublicKey_out", "-outform", "DER")
        self.fingerprint = hashlib.md5(self.der).hexdigest()
        self.start, self.end = start, start + 30 * DAY

    def sign(self, text):
        return run("openssl", "dgst", "-sha256", "-sign", self.pem, data=text).hex()

    def listed(self):
        return {"Value": base64.b64encode(self.der).decode(), "ValidityStartTime": float(self.start),
                "ValidityEndTime": float(self.end), "Fingerprint": self.fingerprint}


def public_keys(path, *keys):
    """Write what `aws cloudtrail list-public-keys --output json` would print."""
    with open(path, "w", encoding="ascii") as f:
        json.dump({"PublicKeyList": [key.listed() for key in keys]}, f)
    return path


class Bucket:
    """A folder laid out as Waymark's folder store does."""

    def __init__(self, folder):
        self.folder = folder
        os.makedirs(folder, exist_ok=True)

    def path(self, key):
        return os.path.join(self.folder, key)

    def metadata_path(self, key):
        return os.path.join(self.folder, ".metadata", key)

    def put(self, key, body, **metadata):
        for path, data in ((self.path(key), body), (self.metadata_path(key), json.dumps(
                {"content-type": "application/json", **{"x-amz-meta-" + k.replace("_", "-"): v
                                                        for k, v in metadata.items()}}).encode())):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as f:
                f.write(data)

    def raw(self, key):
        with open(self.path(key), "rb") as f:
            return f.read()

    def set_raw(self, key, body):
        with open(self.path(key), "wb") as f:
            f.write(body)

    def content(self, key):
        return unpack(key, self.raw(key))

    def set_content(self, key, data):
        self.set_raw(key, pack(key, data))

    def metadata(self, key):
        with open(self.metadata_path(key), "rb") as f:
            return json.load(f)

    def set_metadata(self, key, metadata):
        with open(self.metadata_path(key), "w", encoding="utf-8") as f:
            json.dump(metadata, f)

    def remove(self, *keys):
        for key in keys:
            os.unlink(self.path(key))
            os.unlink(self.metadata_path(key))

    def move(self, old, new):
        for path in (self.path, self.metadata_path):
            os.makedirs(os.path.dirname(path(new)), exist_ok=True)
            os.rename(path(old), path(new))

    def copy(self, old, new):
        self.put(new, self.raw(old))
        self.set_metadata(new, self.metadata(old))


class Trail:
    """Writes one chain. Numbered: as Waymark's own, each record ends with its number in the journal."""

    def __init__(self, bucket, key, codec, prefix="", trail=TRAIL, region=REGION, period=PERIOD, org="", backfill=False,
                 numbered=False, account=ACCOUNT):
        self.bucket, self.key, self.suffix, self.account = bucket, key, ".json." + codec, account
        self.root = (prefix + "/" if prefix else "") + "AWSLogs/" + (org + "/" if org else "") + account
        self.trail, self.region, self.period, self.backfill = trail, region, period, backfill
        self.tag = "u" if trail == TRAIL and not (org or backfill) else (org or "b" if trail == TRAIL else trail)
        self.tag = self.tag.replace("-", "")
        self.number = 1 if numbered else None
        self.previous = None
        self.end = FIRST_END - period
        self.digests, self.files = [], []
        self.documents = {}

    def copy_to(self, folder):
        """The same trail in a copy of its bucket."""
        shutil.copytree(self.bucket.folder, folder)
        return self.copy_in(Bucket(folder))

    def copy_in(self, bucket):
        """The same trail, in a bucket that has it."""
        other = Trail.__new__(Trail)
        other.__dict__.update(self.__dict__, bucket=bucket)
        other.digests, other.files, other.documents, other.previous = copy.deepcopy(
            (self.digests, self.files, self.documents, self.previous))
        return other

    def file_key(self, delivered, unique):
        return "%s/CloudTrail/%s/%s/%s_CloudTrail_%s_%s_%s%s" % (
            self.root, self.region, stamp("%Y/%m/%d", delivered), self.account, self.region,
            stamp("%Y%m%dT%H%MZ", delivered - delivered % 300), unique, self.suffix)

    def digest_key(self, end):
        return "%s/CloudTrail-Digest/%s/%s/%s_CloudTrail-Digest_%s_%s_us-east-1_%s%s%s" % (
            self.root, self.region, stamp("%Y/%m/%d", end), self.account, self.region, self.trail,
            stamp("%Y%m%dT%H%M%SZ", end), "_backfill" if self.backfill else "", self.suffix)

    def records(self, unique, n):
        made = []
        for i in range(n):
            record = {"eventID": "%s-%d" % (unique, i), "note": 'a "quoted", [text] {\\'}
            if self.number is not None:
                record["waymarkSequence"] = self.number
                self.number += 1
            made.append(record)
        return made

    def put_records(self, key, records, delivered):
        """A file of these records; its entry in a digest."""
        data = json.dumps({"Records": records}, separators=(",", ":")).encode()
        self.bucket.put(key, pack(key, data))
        return {"s3Bucket": BUCKET, "s3Object": key, "hashValue": sha256(data), "hashAlgorithm": "SHA-256",
                "newestEventTime": iso(delivered), "oldestEventTime": iso(delivered)}

    def put_file(self, delivered, unique, records=2):
        return self.put_records(self.file_key(delivered, unique), self.records(unique, records), delivered)

    def document(self, start, end, files):
        p = self.previous
        return {
            "awsAccountId": self.account, "digestStartTime": iso(start), "digestEndTime": iso(end),
            "digestS3Bucket": BUCKET, "digestS3Object": self.digest_key(end), "digestPublicKeyFingerprint": self.key.fingerprint,
            "digestSignatureAlgorithm": "SHA256withRSA", "newestEventTime": None, "oldestEventTime": None,
            "previousDigestS3Bucket": p and BUCKET, "previousDigestS3Object": p and p["key"],
            "previousDigestHashValue": p and p["hash"], "previousDigestHashAlgorithm": p and "SHA-256",
            "previousDigestSignature": p and p["signature"], "logFiles": files}

    def put_digest(self, document, key=None, signed_by=None):
        data = json.dumps(document).replace("/", "\\/").encode()
        signature = (signed_by or self.key).sign("\n".join([
            document["digestEndTime"], document["digestS3Bucket"] + "/" + document["digestS3Object"], sha256(data),
            document["previousDigestSignature"] or "null"]).encode())
        key = key or document["digestS3Object"]
        self.bucket.put(key, pack(key, data), signature=signature, signature_algorithm="SHA256withRSA")
        self.documents[key] = document
        self.previous = {"key": key, "hash": sha256(data), "signature": signature}
        return key

    def seal(self, n_files=2, change=None, period=None, signed_by=None):
        """One period: its files, its digest. change(document) is applied before it is signed."""
        start, self.end = self.end, self.end + (period or self.period)
        files = [self.put_file(start + 60 + 400 * n, "%s%02dx%02d" % (self.tag, len(self.digests), n))
                 for n in range(n_files)]
        document = self.document(start, self.end, files)
        if change:
            change(document)
        self.digests.append(self.put_digest(document, signed_by=signed_by))
        self.files.append([f["s3Object"] for f in files])

    # -- what the holder of the key can do --

    def reseal(self, first, change=None, signed_by=None):
        """Sign digest `first` anew after change(document), and all behind it, so that the links hold."""
        for n in range(first, len(self.digests)):
            document = json.loads(json.dumps(self.documents[self.digests[n]]))
            if n > first:
                document.update(previousDigestHashValue=self.previous["hash"],
                                previousDigestSignature=self.previous["signature"],
                                previousDigestS3Object=self.previous["key"])
            elif change:
                change(document)
            self.put_digest(document, signed_by=signed_by if n == first else None)

    def set_records(self, n, i, change):
        """Change the list of records of file i of digest n, and what its digest says of the file; not yet signed."""
        key = self.files[n][i]
        entry = self.documents[self.digests[n]]["logFiles"][i]
        document = json.loads(self.bucket.content(key))
        change(document["Records"])
        data = json.dumps(document, separators=(",", ":")).encode()
        self.bucket.set_content(key, data)
        entry["hashValue"] = sha256(data)
