"""Evidence packs: one file that proves itself, offline, to whoever has the operator's public key.

A pack is JSON whose last value is the signature. What is signed is every byte before it; after it
come four bytes that are always the same. So there is no byte that can be changed, added or left
out, and nobody has to write the JSON again to check it. A PDF carries the pack as an attachment
and ends with a comment line that signs every byte before its own signature in the same way.

Nothing here reads a database or a clock.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from spms.core import chain
from spms.core.merkle import Leaf, climb, leaf_hash
from spms.core.signing import SIGNATURE_BYTES, Signer, key_id, signed_by

FORMAT = "spms-evidence-pack/1"
JSON_TAG, PDF_TAG, ANCHOR_TAG = b"spms-pack-1\n", b"spms-pack-pdf-1\n", b"spms-anchor-1\n"
JSON_BEFORE, JSON_AFTER = b',\n "signature": "', b'"\n}\n'
PDF_AFTER = b"\n"
PDF_LINE = re.compile(
    rb"\n%SPMS-EVIDENCE-1 json=([0-9]{1,9}):([0-9]{1,9}) key=([0-9a-f]{64}) signature=\Z"
)
HEX_SIGNATURE = re.compile(rb"[0-9a-f]{128}")


class Cite(msgspec.Struct, frozen=True, kw_only=True):
    """A value of the statement that the log says as well."""

    statement: str
    """Path of keys into the statement, with dots."""
    seq: int
    log: str
    """Path of keys into the facts of that entry."""


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was checked, in words."""

    what: str
    fine: bool
    words: str


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """What a pack is worth."""

    fine: bool
    checks: list[Check]
    key_id: str | None = None
    content: dict[str, Any] | None = None
    """The pack, once its signature is known to be right."""


def seal(content: Mapping[str, Any], signer: Signer) -> bytes:
    """Write and sign a pack."""
    key = {"algorithm": "Ed25519", "id": signer.key_id, "public_key": signer.public_key.hex()}
    whole = {"format": FORMAT, **content, "key": key}
    message = msgspec.json.format(msgspec.json.encode(whole), indent=1)[:-2] + JSON_BEFORE
    return message + signer.sign(JSON_TAG + message).hex().encode() + JSON_AFTER


def seal_pdf(pdf: bytes, pack: bytes, signer: Signer) -> bytes:
    """Sign a PDF in which the pack stands as it is; `ValueError` when it does not, exactly once."""
    if pdf.count(pack) != 1:
        raise ValueError("the PDF does not carry the pack")
    place = pdf.index(pack)
    line = f"%SPMS-EVIDENCE-1 json={place}:{len(pack)} key={signer.public_key.hex()} signature="
    message = pdf.rstrip(b"\n") + b"\n" + line.encode()
    return message + signer.sign(PDF_TAG + message).hex().encode() + PDF_AFTER


def verify(data: bytes, trusted: Collection[bytes] | None = None) -> Verification:
    """Check a pack, JSON or PDF, as far as it can be checked offline.

    With `trusted` public keys, one of them must have signed; without, the key in the pack is only
    shown, and whoever reads the answer compares its fingerprint.
    """
    if data.startswith(b"%PDF-"):
        return _verify_pdf(data, trusted)
    message, signature = _split(data, JSON_AFTER)
    if signature is None or not message.endswith(JSON_BEFORE):
        return _refuted("form", "not an evidence pack, or cut, or with something after its end")
    try:
        content = msgspec.json.decode(message.removesuffix(JSON_BEFORE) + b"\n}")
        key = bytes.fromhex(content["key"]["public_key"])
        known = content["format"] == FORMAT and content["key"]["id"] == key_id(key)
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError, ValueError):
        return _refuted("form", "not readable as an evidence pack")
    if not known or not signed_by(key, signature, JSON_TAG + message):
        return _refuted("signature", "does not fit: at least one byte was changed")
    checks = [_fine("signature", f"fits every byte of the JSON ({len(data)} bytes)")]
    checks += _trust(key, trusted)
    try:
        checks += _inside(content)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, msgspec.DecodeError):
        checks.append(Check(what="content", fine=False, words="is not what a pack contains"))
    return Verification(
        fine=all(check.fine for check in checks), checks=checks, key_id=key_id(key),
        content=content,
    )  # fmt: skip


def _verify_pdf(data: bytes, trusted: Collection[bytes] | None) -> Verification:
    message, signature = _split(data, PDF_AFTER)
    line = PDF_LINE.search(message, max(0, len(message) - 200))
    if signature is None or line is None:
        return _refuted("form", "the PDF does not end with its signature: cut, or added to")
    place, length, key = int(line[1]), int(line[2]), bytes.fromhex(line[3].decode())
    if not signed_by(key, signature, PDF_TAG + message):
        return _refuted("signature", "does not fit: at least one byte was changed")
    inner = verify(data[place : place + length], trusted)
    outer = _fine("pdf", f"the signature fits every byte of the PDF ({len(data)} bytes)")
    same = inner.key_id == key_id(key)
    checks = [outer, *inner.checks]
    if not same:
        checks.append(Check(what="pdf", fine=False, words="carries a pack of another signer"))
    return msgspec.structs.replace(inner, fine=inner.fine and same, checks=checks)


def _split(data: bytes, after: bytes) -> tuple[bytes, bytes | None]:
    """Return what is signed and the signature, None when the end does not have its only form."""
    cut = len(data) - len(after) - 2 * SIGNATURE_BYTES
    written = data[cut : len(data) - len(after)]
    if cut <= 0 or not data.endswith(after) or not HEX_SIGNATURE.fullmatch(written):
        return b"", None
    return data[:cut], bytes.fromhex(written.decode())


def _trust(key: bytes, trusted: Collection[bytes] | None) -> list[Check]:
    if trusted is None:
        words = f"{key_id(key)}: compare it with the one the operator publishes (GET /keys)"
        return [_fine("key", words)]
    if key in trusted:
        return [_fine("key", f"{key_id(key)}, which you said you trust")]
    return [Check(what="key", fine=False, words=f"{key_id(key)} is not the key that you trust")]


def _inside(content: Mapping[str, Any]) -> list[Check]:
    """Check what the signature covers: chain, number, anchor, and the statement against the log."""
    log, checks = content["log"], []
    if log is None:
        return [_fine("log", "there is none: what is stated was never told in a log")]
    digest = bytes.fromhex(log["subject_digest"])
    if log["subject"] is not None:
        named = chain.subject_digest(bytes.fromhex(log["subject"]["salt"]), log["subject"]["name"])
        checks.append(_check("number", named == digest, "the log is that of the number stated"))
    bodies: dict[int, Any] = {}
    head = chain.Head(seq=0, hash=chain.start_hash(log["chain"], digest))
    heads = {0: head.hash}
    fine = True
    for seq, entry in enumerate(log["entries"], start=1):
        body = entry.get("body")
        if body is not None:
            bodies[seq] = msgspec.json.decode(body)
            fine = fine and bodies[seq]["seq"] == seq
            private = entry.get("private")
            if private is not None:
                fine = fine and bodies[seq]["private"] == chain.sha256(private).hex()
        body_digest = bytes.fromhex(entry["sha256"]) if body is None else chain.sha256(body)
        head = chain.Head(seq=seq, hash=chain.link(head.hash, body_digest))
        heads[seq] = head.hash
    fine = fine and head.hash.hex() == log["head"]
    words = f"{head.seq} entries are one unbroken chain; {len(bodies)} of them are shown"
    checks.append(_check("log", fine, words))
    checks += _anchored(log, digest, heads)
    cited = [msgspec.convert(one, Cite) for one in content["cites"]]
    agree = all(
        _at(content["statement"], one.statement) == _at(bodies[one.seq]["facts"], one.log)
        for one in cited
    )
    words = f"{len(cited)} values of the statement are in the log, letter by letter"
    return [*checks, _check("agreement", agree, words)]


def _anchored(log: Mapping[str, Any], digest: bytes, heads: Mapping[int, bytes]) -> list[Check]:
    anchor = log["anchor"]
    if anchor is None:
        return [_fine("anchor", "none yet: the log rests on this pack's signature alone")]
    said = msgspec.json.decode(anchor["statement"])
    message = ANCHOR_TAG + anchor["statement"].encode()
    signed = signed_by(
        bytes.fromhex(anchor["public_key"]), bytes.fromhex(anchor["signature"]), message
    )
    leaf = Leaf(
        start_hash=chain.start_hash(log["chain"], digest), seq=anchor["seq"],
        hash=heads[anchor["seq"]],
    )  # fmt: skip
    root = climb(leaf_hash(leaf), anchor["place"], said["leaves"], bytes.fromhex(anchor["path"]))
    words = f"anchor {said['anchor']} of {said['at']} holds the log up to entry {leaf.seq}"
    fine = signed and root is not None and root.hex() == said["root"]
    return [_check("anchor", fine, words)]


def _at(value: Any, path: str) -> Any:
    for key in path.split("."):
        value = value[key]
    return value


def _fine(what: str, words: str) -> Check:
    return Check(what=what, fine=True, words=words)


def _check(what: str, fine: bool, words: str) -> Check:
    return Check(what=what, fine=fine, words=words if fine else f"not true that {words}")


def _refuted(what: str, words: str) -> Verification:
    return Verification(fine=False, checks=[Check(what=what, fine=False, words=words)])


def shown(
    entries: Sequence[chain.Entry], *, visible: Collection[int], private: bool
) -> list[dict[str, Any]]:
    """Return a chain as a pack shows it: whole entries where visible, digests elsewhere."""
    told: list[dict[str, Any]] = []
    for entry in entries:
        if entry.seq not in visible:
            told.append({"sha256": chain.sha256(entry.body).hex()})
        elif private:
            told.append({"body": entry.body, "private": entry.private})
        else:
            told.append({"body": entry.body})
    return told
