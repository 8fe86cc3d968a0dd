"""What can be done to a trail in a bucket: over files, digests, their metadata, keys, and by who holds the signing key.

Each attack takes (t: Attacked) and returns what both our verifiers must find: (kind, key) pairs, no more and no less.
Its docstring is its line in docs/tampering.md. Those marked `pinned` are seen only against a checkpoint of an earlier run.
"""
import json
import zlib

from chain import DAY, FIRST_END, PERIOD, Bucket, Trail, pack, public_keys, run, sha256

ATTACKS = []


class Attacked:
    """A copy of the good chain, and what a verifier is given with it.

    trail    seven digests of two files each, numbered; the last file of all is not yet in a digest
    other    a second trail of the account, sealed at the same pace
    keys     of which `trail` was signed with "now"; "past" was valid until a month before; "stranger" is nobody's
    """

    def __init__(self, folder, trail, other, keys, public):
        self.trail, self.bucket, self.keys, self.public, self.folder = trail, trail.bucket, keys, public, folder
        self.other = other
        self.digests, self.files = trail.digests, trail.files


def attack(group, pinned=False, rc=1):
    def add(function):
        function.group, function.pinned, function.rc = group, pinned, rc
        ATTACKS.append(function)
        return function
    return add


def found(kind, *keys):
    return [(kind, key) for key in keys]


FILES, DIGESTS, METADATA, KEYS, CHAIN, INSIDER, TAIL = (
    "Trail files", "Digests", "Metadata of digests", "Keys", "The chain", "By the holder of the signing key",
    "The end of the trail")


def good_chain(folder, keys, codec):
    """What the attacks are done to: (trail, other)."""
    trail = Trail(Bucket(folder), keys["now"], codec, numbered=True)
    for _ in range(7):
        trail.seal()
    trail.put_file(trail.end + 60, "waiting")
    other = Trail(trail.bucket, keys["now"], codec, trail="other", region="eu-west-1")
    other.seal()
    other.seal()
    return trail, other


# ---- trail files -----------------------------------------------------------------------------------------------------

@attack(FILES)
def a_letter_changed(t):
    """one letter of a record is changed"""
    key = t.files[3][0]
    t.bucket.set_content(key, t.bucket.content(key).replace(b"u03x00-0", b"u03x00-9"))
    return found("file-hash", key)


@attack(FILES)
def a_record_taken_out(t):
    """one record is taken out of a file"""
    key = t.files[3][0]
    document = json.loads(t.bucket.content(key))
    del document["Records"][0]
    t.bucket.set_content(key, json.dumps(document, separators=(",", ":")).encode())
    return found("file-hash", key)


@attack(FILES)
def a_record_added(t):
    """a record is invented in a file"""
    key = t.files[3][0]
    document = json.loads(t.bucket.content(key))
    document["Records"].append({"eventID": "invented", "waymarkSequence": 15})
    t.bucket.set_content(key, json.dumps(document, separators=(",", ":")).encode())
    return found("file-hash", key)


@attack(FILES)
def records_moved(t):
    """a record is moved from one file into another"""
    one, two = t.files[3]
    documents = [json.loads(t.bucket.content(key)) for key in (one, two)]
    documents[1]["Records"].insert(0, documents[0]["Records"].pop())
    for key, document in zip((one, two), documents):
        t.bucket.set_content(key, json.dumps(document, separators=(",", ":")).encode())
    return found("file-hash", one, two)


@attack(FILES)
def files_swapped(t):
    """two files take each other's place"""
    one, two = t.files[3]
    bodies = t.bucket.raw(one), t.bucket.raw(two)
    t.bucket.set_raw(one, bodies[1])
    t.bucket.set_raw(two, bodies[0])
    return found("file-hash", one, two)


@attack(FILES)
def a_byte_flipped(t):
    """one bit of the compressed file is flipped"""
    key = t.files[3][0]
    body = bytearray(t.bucket.raw(key))
    body[len(body) // 2] ^= 1
    t.bucket.set_raw(key, bytes(body))
    return found("damaged", key)


@attack(FILES)
def a_file_cut(t):
    """the second half of the compressed file is cut off"""
    key = t.files[3][0]
    body = t.bucket.raw(key)
    t.bucket.set_raw(key, body[:len(body) // 2])
    return found("damaged", key)


@attack(FILES)
def a_file_without_its_end(t):
    """the last byte of the compressed file is cut off"""
    key = t.files[3][0]
    t.bucket.set_raw(key, t.bucket.raw(key)[:-1])
    return found("damaged", key)


@attack(FILES)
def a_file_emptied(t):
    """the object is empty"""
    t.bucket.set_raw(t.files[3][0], b"")
    return found("damaged", t.files[3][0])


@attack(FILES)
def bytes_behind(t):
    """bytes stand behind the gzip member"""
    key = t.files[3][0]
    t.bucket.set_raw(key, t.bucket.raw(key) + b"hidden")
    return found("damaged", key)


@attack(FILES)
def second_member(t):
    """a second gzip member holds more records"""
    key = t.files[3][0]
    t.bucket.set_raw(key, t.bucket.raw(key) + pack(key, b'{"Records":[{"eventID":"invented"}]}'))
    return found("damaged", key)


@attack(FILES)
def not_compressed(t):
    """the object holds the right content, not compressed"""
    key = t.files[3][0]
    t.bucket.set_raw(key, t.bucket.content(key))
    return found("damaged", key)


@attack(FILES)
def other_codec(t):
    """the object holds the right content in the other codec"""
    key = t.files[3][0]
    t.bucket.set_raw(key, pack(".zst" if key.endswith(".gz") else ".gz", t.bucket.content(key)))
    return found("damaged", key)


@attack(FILES, rc=0)
def recompressed(t):
    """a file is compressed anew, with the same content (no tampering: hashes are over what is unpacked)"""
    key = t.files[3][0]
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    t.bucket.set_raw(key, packer.compress(t.bucket.content(key)) + packer.flush())
    return []


def bomb(n_mib):
    """A sound gzip member of zeros."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(packer.compress(bytes(1 << 20)) for _ in range(n_mib)) + packer.flush()


@attack(FILES)
def a_bomb(t):
    """the object is 150 KB that unpack to 150 MB"""
    key = t.files[3][0]
    t.bucket.set_raw(key, bomb(150) if key.endswith(".gz") else run("zstd", "-qc", data=bytes(150 << 20)))
    return found("too-large", key)


@attack(FILES)
def a_file_deleted(t):
    """a file is deleted"""
    t.bucket.remove(t.files[3][0])
    return found("missing-file", t.files[3][0])


@attack(FILES)
def files_of_an_hour_deleted(t):
    """all files of an hour are deleted, and its digest is left"""
    t.bucket.remove(*t.files[3])
    return found("missing-file", *t.files[3])


@attack(FILES)
def a_file_renamed(t):
    """a file gets another name"""
    key = t.files[3][0]
    new = key.replace("u03x00", "u03x99")
    t.bucket.move(key, new)
    return found("missing-file", key) + found("unlisted", new)


@attack(FILES)
def a_file_in_another_region(t):
    """a file is moved to another region's folder"""
    key = t.files[3][0]
    new = key.replace("us-east-1", "ap-south-1")
    t.bucket.move(key, new)
    return found("missing-file", key) + found("no-chain", new)


@attack(FILES)
def a_file_in_another_account(t):
    """a file is moved to another account's folder"""
    key = t.files[3][0]
    new = key.replace("111122223333", "999900001111")
    t.bucket.move(key, new)
    return found("missing-file", key) + found("no-chain", new)


@attack(FILES)
def a_file_invented(t):
    """a file that no digest lists is put into an hour that is sealed"""
    return found("unlisted", t.trail.put_file(FIRST_END + 1800, "invented")["s3Object"])


@attack(FILES)
def a_file_before_the_chain(t):
    """a file that no digest lists is put before the trail's first hour"""
    return found("unlisted", t.trail.put_file(FIRST_END - DAY, "invented")["s3Object"])


@attack(FILES)
def a_file_of_the_future(t):
    """a file is given a time to come, so that it waits for its digest for ever"""
    return found("future", t.trail.put_file(FIRST_END + 100 * 365 * DAY, "invented")["s3Object"])


@attack(FILES)
def a_file_repeated(t):
    """a copy of a file is put into the hour that is still open"""
    key = t.trail.file_key(t.trail.end + 600, "copied")
    t.bucket.copy(t.files[3][0], key)
    return found("repeated", key)


@attack(FILES)
def a_file_of_another_kind(t):
    """something that is no trail file is put among them"""
    key = t.files[3][0].rpartition("/")[0] + "/readme.txt"
    t.bucket.put(key, b"nothing to see here")
    return found("odd-file", key)


# ---- digests ---------------------------------------------------------------------------------------------------------

def rewrite(t, key, change):
    """As whoever has no key: the document, and the metadata as it was."""
    document = json.loads(t.bucket.content(key))
    change(document)
    t.bucket.set_content(key, json.dumps(document).encode())


@attack(DIGESTS)
def a_digest_byte_flipped(t):
    """one bit of a compressed digest is flipped"""
    key = t.digests[3]
    body = bytearray(t.bucket.raw(key))
    body[len(body) // 2] ^= 1
    t.bucket.set_raw(key, bytes(body))
    return found("damaged", key) + found("unlisted", *t.files[3])


@attack(DIGESTS)
def a_digest_reformatted(t):
    """a digest is written anew with other blanks"""
    key = t.digests[3]
    t.bucket.set_content(key, t.bucket.content(key).replace(b", ", b",", 1))
    return found("signature", key)


@attack(DIGESTS)
def a_hash_in_a_digest(t):
    """a file is changed, and its hash in the digest with it"""
    key, file = t.digests[3], t.files[3][0]
    data = t.bucket.content(file).replace(b"u03x00-0", b"u03x00-9")
    t.bucket.set_content(file, data)
    rewrite(t, key, lambda d: d["logFiles"][0].update(hashValue=sha256(data)))
    return found("signature", key)


@attack(DIGESTS)
def a_file_struck_from_a_digest(t):
    """a file is deleted, and its entry in the digest with it"""
    key = t.digests[3]
    rewrite(t, key, lambda d: d["logFiles"].pop(0))
    t.bucket.remove(t.files[3][0])
    return found("signature", key)


@attack(DIGESTS)
def a_digest_of_nothing(t):
    """a digest's list is emptied, its files deleted"""
    rewrite(t, t.digests[3], lambda d: d.update(logFiles=[]))
    t.bucket.remove(*t.files[3])
    return found("signature", t.digests[3])


@attack(DIGESTS)
def a_digest_that_is_none(t):
    """a digest's object holds other JSON"""
    t.bucket.set_content(t.digests[3], b'{"Records":[]}')
    return found("no-digest", t.digests[3]) + found("unlisted", *t.files[3])


@attack(DIGESTS)
def bytes_behind_a_digest(t):
    """bytes stand behind a digest's gzip member"""
    key = t.digests[3]
    t.bucket.set_raw(key, t.bucket.raw(key) + b"hidden")
    return found("damaged", key) + found("unlisted", *t.files[3])


@attack(DIGESTS)
def second_member_of_a_digest(t):
    """a digest has a second gzip member"""
    key = t.digests[3]
    t.bucket.set_raw(key, t.bucket.raw(key) + pack(key, b"{}"))
    return found("damaged", key) + found("unlisted", *t.files[3])


@attack(DIGESTS)
def a_digest_bomb(t):
    """a digest's object is 80 KB that unpack to 80 MB"""
    key = t.digests[3]
    t.bucket.set_raw(key, bomb(80) if key.endswith(".gz") else run("zstd", "-qc", data=bytes(80 << 20)))
    return found("too-large", t.digests[3]) + found("unlisted", *t.files[3])


@attack(DIGESTS)
def a_digest_renamed(t):
    """a digest is renamed to another time"""
    key = t.digests[3]
    new = key.replace("T140000Z", "T143000Z")
    t.bucket.move(key, new)
    return found("moved", new) + found("missing-digest", key) + found("unlisted", *t.files[3])


@attack(DIGESTS)
def a_digest_under_another_trail(t):
    """a digest is renamed to another trail's name"""
    key = t.digests[3]
    new = key.replace("demo_trail.1", "quiet")
    t.bucket.move(key, new)
    return found("moved", new) + found("missing-digest", key) + found("unlisted", *t.files[3])


@attack(DIGESTS)
def a_digest_of_another_region(t):
    """a digest is moved to another region"""
    key = t.digests[3]
    new = key.replace("us-east-1", "ap-south-1")
    t.bucket.move(key, new)
    return found("moved", new) + found("missing-digest", key) + found("unlisted", *t.files[3])


@attack(DIGESTS)
def a_digest_of_another_account(t):
    """a digest is moved to another account"""
    key = t.digests[3]
    new = key.replace("111122223333", "999900001111")
    t.bucket.move(key, new)
    return found("moved", new) + found("missing-digest", key) + found("unlisted", *t.files[3])


@attack(DIGESTS)
def an_older_digest_replayed(t):
    """an older digest, with its signature, takes the place of a newer one"""
    t.bucket.copy(t.digests[1], t.digests[4])
    return found("moved", t.digests[4]) + found("unlisted", *t.files[4])


@attack(DIGESTS)
def a_digest_copied(t):
    """a copy of a digest is put at a time between two others"""
    new = t.digests[3].replace("T140000Z", "T143000Z")
    t.bucket.copy(t.digests[3], new)
    return found("moved", new)


@attack(DIGESTS)
def a_digest_with_an_odd_name(t):
    """a digest is renamed so that nobody takes it for one"""
    new = t.digests[3].replace(".json", ".bak.json").replace("Z.bak", "Z-bak")
    t.bucket.move(t.digests[3], new)
    return found("missing-digest", t.digests[3]) + found("unlisted", *t.files[3]) + found("odd-digest", new)


# ---- the metadata of digests -----------------------------------------------------------------------------------------

def set_header(t, key, name, change):
    metadata = t.bucket.metadata(key)
    value = change(metadata.pop("x-amz-meta-" + name))
    if value is not None:
        metadata["x-amz-meta-" + name] = value
    t.bucket.set_metadata(key, metadata)


@attack(METADATA)
def a_signature_changed(t):
    """one digit of a signature is changed"""
    set_header(t, t.digests[3], "signature", lambda s: ("0" if s[0] != "0" else "1") + s[1:])
    return found("signature", t.digests[3])


@attack(METADATA)
def a_signature_of_another(t):
    """a digest gets the signature of another one"""
    t.bucket.set_metadata(t.digests[3], t.bucket.metadata(t.digests[2]))
    return found("signature", t.digests[3])


@attack(METADATA)
def a_signature_cut(t):
    """a signature is cut"""
    set_header(t, t.digests[3], "signature", lambda s: s[:-2])
    return found("signature", t.digests[3])


@attack(METADATA)
def a_signature_removed(t):
    """a signature is removed"""
    set_header(t, t.digests[3], "signature", lambda s: None)
    return found("unsigned", t.digests[3])


@attack(METADATA)
def an_algorithm_removed(t):
    """the signature's algorithm is removed"""
    set_header(t, t.digests[3], "signature-algorithm", lambda s: None)
    return found("unsigned", t.digests[3])


@attack(METADATA)
def an_algorithm_changed(t):
    """the signature's algorithm is called "none\""""
    set_header(t, t.digests[3], "signature-algorithm", lambda s: "none")
    return found("algorithm", t.digests[3])


# ---- keys ------------------------------------------------------------------------------------------------------------

@attack(KEYS)
def an_unknown_key(t):
    """a digest is sealed anew with a key that is not listed"""
    document = t.trail.documents[t.digests[6]]
    t.trail.put_digest(dict(document, logFiles=[], digestPublicKeyFingerprint=t.keys["stranger"].fingerprint),
                       signed_by=t.keys["stranger"])
    t.bucket.remove(*t.files[6])
    return found("unknown-key", t.digests[6])


@attack(KEYS)
def another_key_in_the_name_of_ours(t):
    """a digest is sealed anew with another key, in the name of ours"""
    document = t.trail.documents[t.digests[6]]
    t.trail.put_digest(dict(document, logFiles=[]), signed_by=t.keys["stranger"])
    t.bucket.remove(*t.files[6])
    return found("signature", t.digests[6])


@attack(KEYS)
def a_key_of_the_past(t):
    """digests are sealed anew with a key that was valid until a month before"""
    t.trail.set_records(6, 1, lambda records: records[0].update(eventID="forged"))
    key = t.keys["past"]
    t.trail.reseal(6, lambda d: d.update(digestPublicKeyFingerprint=key.fingerprint), signed_by=key)
    return found("expired-key", t.digests[6])


@attack(KEYS)
def a_key_of_the_future(t):
    """digests are sealed anew with a key that becomes valid a month later"""
    key = t.keys["next"]
    t.trail.reseal(6, lambda d: d.update(digestPublicKeyFingerprint=key.fingerprint), signed_by=key)
    return found("expired-key", t.digests[6])


@attack(KEYS)
def the_list_of_keys_exchanged(t):
    """the whole trail is sealed anew by a stranger, and checked with the keys as they were"""
    for trail in t.trail, t.other:
        for n in range(len(trail.digests)):
            trail.key = t.keys["stranger"]
            document = trail.documents[trail.digests[n]]
            document["digestPublicKeyFingerprint"] = t.keys["stranger"].fingerprint
        trail.reseal(0)
    return found("unknown-key", *t.digests, *t.other.digests)


@attack(KEYS, rc=2)
def a_key_behind_a_fingerprint(t):
    """in the list of public keys, a stranger's key stands behind our fingerprint"""
    t.keys["stranger"].fingerprint, kept = t.keys["now"].fingerprint, t.keys["stranger"].fingerprint
    public_keys(t.public, t.keys["stranger"])
    t.keys["stranger"].fingerprint = kept
    return []


# ---- the chain -------------------------------------------------------------------------------------------------------

@attack(CHAIN)
def a_digest_deleted(t):
    """a digest is deleted"""
    t.bucket.remove(t.digests[3])
    return found("missing-digest", t.digests[3]) + found("unlisted", *t.files[3])


@attack(CHAIN)
def two_neighbours_deleted(t):
    """two neighbouring digests are deleted"""
    t.bucket.remove(*t.digests[3:5])
    return found("missing-digest", *t.digests[3:5]) + found("unlisted", *t.files[3], *t.files[4])


@attack(CHAIN)
def an_hour_deleted(t):
    """a whole hour is deleted, digest and files"""
    t.bucket.remove(t.digests[3], *t.files[3])
    return found("missing-digest", t.digests[3])


@attack(CHAIN)
def three_hours_deleted(t):
    """three hours in a row are deleted, digests and files"""
    for n in (2, 3, 4):
        t.bucket.remove(t.digests[n], *t.files[n])
    return found("missing-digest", *t.digests[2:5])


@attack(CHAIN)
def the_first_digest_deleted(t):
    """the oldest digest is deleted"""
    t.bucket.remove(t.digests[0])
    return found("missing-digest", t.digests[0]) + found("unlisted", *t.files[0])


@attack(CHAIN)
def the_beginning_deleted(t):
    """the first two hours are deleted, digests and files"""
    for n in (0, 1):
        t.bucket.remove(t.digests[n], *t.files[n])
    return found("missing-digest", t.digests[1])


@attack(CHAIN)
def all_digests_deleted(t):
    """all digests of a region are deleted, and the files left"""
    t.bucket.remove(*t.digests)
    waiting = t.trail.file_key(t.trail.end + 60, "waiting")
    return found("no-chain", *(key for files in t.files for key in files), waiting)


# ---- the end of the trail --------------------------------------------------------------------------------------------

@attack(TAIL, pinned=True)
def the_newest_digest_deleted(t):
    """the newest digest is deleted; its files seem to wait for it"""
    t.bucket.remove(t.digests[6])
    return found("cut", t.digests[6])


@attack(TAIL, pinned=True)
def the_newest_hours_deleted(t):
    """the newest two hours are deleted, digests and files"""
    for n in (5, 6):
        t.bucket.remove(t.digests[n], *t.files[n])
    t.bucket.remove(t.trail.file_key(t.trail.end + 60, "waiting"))
    return found("cut", t.digests[6])


@attack(TAIL, pinned=True)
def a_trail_deleted(t):
    """all of a trail is deleted, digests and files"""
    for n, digest in enumerate(t.digests):
        t.bucket.remove(digest, *t.files[n])
    t.bucket.remove(t.trail.file_key(t.trail.end + 60, "waiting"))
    return found("cut", t.digests[6])


@attack(TAIL, pinned=True)
def everything_deleted(t):
    """everything is deleted"""
    for trail in t.trail, t.other:
        for n, digest in enumerate(trail.digests):
            t.bucket.remove(digest, *trail.files[n])
    t.bucket.remove(t.trail.file_key(t.trail.end + 60, "waiting"))
    return found("cut", *sorted((t.digests[6], t.other.digests[1])))


# ---- by the holder of the key ----------------------------------------------------------------------------------------

@attack(INSIDER)
def one_digest_sealed_anew(t):
    """a file is struck from a digest in the middle, which is signed anew"""
    newest = t.trail.previous
    document = t.trail.documents[t.digests[3]]
    t.trail.put_digest(dict(document, logFiles=document["logFiles"][1:]))
    t.trail.previous = newest
    t.bucket.remove(t.files[3][0])
    return found("link-hash", t.digests[3]) + found("gap", t.files[3][1])


@attack(INSIDER)
def a_link_to_another_content(t):
    """previousDigestHashValue is changed, and all from there signed anew"""
    t.trail.reseal(4, lambda d: d.update(previousDigestHashValue="0" * 64))
    return found("link-hash", t.digests[3])


@attack(INSIDER)
def a_link_to_another_signature(t):
    """previousDigestSignature is changed, and all from there signed anew"""
    t.trail.reseal(4, lambda d: d.update(previousDigestSignature="ab" * 256))
    return found("link-signature", t.digests[3])


@attack(INSIDER)
def a_digest_left_out(t):
    """a digest is linked past its neighbour, and all from there signed anew"""
    older = t.trail.documents[t.digests[3]]
    t.trail.reseal(4, lambda d: d.update({name: older[name] for name in older if name.startswith("previousDigest")}))
    return found("bypassed", t.digests[3]) + found("link-time", t.digests[4])


@attack(INSIDER)
def an_hour_that_begins_late(t):
    """a digest leaves out the first minutes of its hour, and all from there are signed anew"""
    t.trail.reseal(4, lambda d: d.update(digestStartTime=d["digestStartTime"].replace(":00:00Z", ":07:00Z")))
    return found("link-time", t.digests[4])


@attack(INSIDER)
def a_record_never_written(t):
    """one record is taken out, and all from there signed anew"""
    t.trail.set_records(3, 0, lambda records: records.pop(0))
    t.trail.reseal(3)
    return found("gap", t.files[3][0])


@attack(INSIDER)
def a_file_never_written(t):
    """one file is taken out, and all from there signed anew"""
    t.trail.reseal(3, lambda d: d["logFiles"].pop(1))
    t.bucket.remove(t.files[3][1])
    return found("gap", t.files[4][0])


@attack(INSIDER)
def a_record_twice(t):
    """a record is repeated within its file, and all from there signed anew"""
    t.trail.set_records(3, 0, lambda records: records.append(records[0]))
    t.trail.reseal(3)
    return found("order", t.files[3][0])


@attack(INSIDER)
def a_file_twice(t):
    """a digest lists a file that an older one lists, and all from there are signed anew"""
    entry = t.trail.documents[t.digests[1]]["logFiles"][0]
    t.trail.reseal(4, lambda d: d["logFiles"].append(entry))
    return found("listed-twice", t.files[1][0])


@attack(INSIDER)
def a_file_twice_under_another_name(t):
    """a copy of an older file is listed under a new name, and all from there signed anew"""
    entry = dict(t.trail.documents[t.digests[1]]["logFiles"][0])
    key = entry["s3Object"].replace("u01x00", "u04x07")
    t.bucket.copy(entry["s3Object"], key)
    t.trail.reseal(4, lambda d: d["logFiles"].append(dict(entry, s3Object=key)))
    return found("order", key)


@attack(INSIDER)
def records_moved_and_sealed(t):
    """a record is moved from one file to the one before it, and all from there signed anew"""
    moved = []
    t.trail.set_records(3, 1, lambda records: moved.append(records.pop(0)))
    t.trail.set_records(3, 0, lambda records: records.insert(0, moved[0]))
    t.trail.reseal(3)
    return found("order", t.files[3][0])


@attack(INSIDER)
def records_out_of_order(t):
    """two records change places within their file, and all from there are signed anew"""
    t.trail.set_records(3, 0, lambda records: records.reverse())
    t.trail.reseal(3)
    return found("order", t.files[3][0])


@attack(INSIDER)
def a_record_without_its_number(t):
    """a record is exchanged for one without a number, and all from there signed anew"""
    t.trail.set_records(3, 0, lambda records: records[0].pop("waymarkSequence"))
    t.trail.reseal(3)
    return found("unnumbered", t.files[3][0])


@attack(INSIDER)
def a_file_without_numbers(t):
    """all records of a file are exchanged for ones without numbers, and all from there signed anew"""
    t.trail.set_records(3, 0, lambda records: [record.pop("waymarkSequence") for record in records])
    t.trail.reseal(3)
    return found("unnumbered", t.files[3][0])


@attack(INSIDER)
def a_file_of_another_region_listed(t):
    """a digest lists another region's file, and all from there are signed anew"""
    entry = t.other.put_file(t.other.end + 60, "stray")
    t.trail.reseal(4, lambda d: d["logFiles"].append(entry))
    return found("wrong-place", entry["s3Object"])


@attack(INSIDER)
def a_digest_says_another_account(t):
    """awsAccountId of a digest is changed, and all from there signed anew"""
    t.trail.reseal(4, lambda d: d.update(awsAccountId="999900001111"))
    return found("wrong-account", t.digests[4])


@attack(INSIDER, pinned=True)
def the_last_hour_sealed_anew(t):
    """the newest digest is signed anew without its newest file"""
    t.trail.reseal(6, lambda d: d["logFiles"].pop())
    t.bucket.remove(t.files[6][1], t.trail.file_key(t.trail.end + 60, "waiting"))
    return found("replaced", t.digests[6])


@attack(INSIDER, pinned=True)
def the_chain_restarted(t):
    """all before an hour is deleted, its digest made a first one, and all from there signed anew"""
    for n in range(3):
        t.bucket.remove(t.digests[n], *t.files[n])
    t.trail.reseal(3, lambda d: d.update({name: None for name in d if name.startswith("previousDigest")}))
    return found("replaced", t.digests[6])


@attack(INSIDER, pinned=True)
def the_chain_cut_and_continued(t):
    """the newest hour is deleted, and the chain goes on from the one before as if nothing had been there"""
    t.bucket.remove(t.digests[6], *t.files[6], t.trail.file_key(t.trail.end + 60, "waiting"))
    t.trail.digests.pop()
    t.trail.end -= PERIOD
    document = t.trail.documents[t.digests[5]]
    t.trail.put_digest(document)
    t.trail.number -= 6
    t.trail.seal(period=PERIOD + 1)
    return found("cut", t.digests[6].replace("T170001Z", "T170000Z"))
