"""Hash chains, pure: how an entry is written, linked and checked. No database, no clock.

An entry's *body* is canonical JSON and is kept as the very bytes that were hashed, so that nobody
ever has to write it again to check it. What an outsider may not see stands in a *private* part,
which the body names by its SHA-256. Both carry a nonce: a digest that is shown without its text
says nothing about the text.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec

TAG = b"spms-chain-1"
START_TAG = b"spms-chain-start-1"

Nonce = Callable[[], str]


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened and is to be told in a chain."""

    subject: str
    """Whose chain: an MSISDN, or the name of what the chain is about."""
    source: str
    """The row that this is told from (`event:<id>`); it is told once."""
    about: UUID
    """The relation, charge … that it belongs to."""
    kind: str
    at: datetime
    public: Mapping[str, Any]
    private: Mapping[str, Any]


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a chain, as it is stored."""

    subject: str
    seq: int
    source: str
    about: UUID
    kind: str
    at: datetime
    recorded_at: datetime
    body: str
    private: str
    prev_hash: bytes
    hash: bytes


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """Where a chain ends; of an empty one, `seq` is 0 and `hash` is the hash of its start."""

    seq: int
    hash: bytes


class FaultKind(StrEnum):
    """What is wrong with an entry."""

    ALTERED = "altered"
    """Its text, or the hash beside it, is not what was written."""
    REPLACED = "replaced"
    """It fits itself, but the entry after it was linked to another one."""
    MISSING = "missing"
    MOVED = "moved"
    """It was written for another place of the chain."""
    MISLABELLED = "mislabelled"
    """A column beside the text says something else than the text."""
    PRIVATE_ALTERED = "private_altered"
    """The private part is not the one that the text names."""
    FOREIGN = "foreign"
    """The first entry is linked to another chain's start, or the start is gone."""
    TRUNCATED = "truncated"
    """An anchor knows entries that are not there any more."""
    REWRITTEN = "rewritten"
    """An anchor knows another hash for this place."""
    FACT_CHANGED = "fact_changed"
    """The row that it was told from says something else now."""
    FACT_GONE = "fact_gone"
    FACT_UNTOLD = "fact_untold"
    """A row that should have been told is not in the chain."""


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One entry at fault."""

    chain: str
    subject: str
    seq: int
    """Place in the chain; 0 names the chain's start."""
    kind: FaultKind


def canonical(value: Any) -> bytes:
    """Write a value as JSON in the one way that we hash: sorted keys, no spaces, UTF-8."""
    return msgspec.json.encode(value, order="deterministic")


def subject_digest(salt: bytes, subject: str) -> bytes:
    """Return what stands for a subject where its name may not be shown."""
    return hashlib.sha256(salt + subject.encode()).digest()


def start_hash(chain: str, digest: bytes) -> bytes:
    """Return the hash that a chain's first entry is linked to."""
    return hashlib.sha256(START_TAG + chain.encode() + b"\x00" + digest).digest()


def link(prev_hash: bytes, body_digest: bytes) -> bytes:
    """Return the hash of an entry."""
    return hashlib.sha256(TAG + prev_hash + body_digest).digest()


def sha256(text: str) -> bytes:
    """Return the digest of a text's UTF-8 bytes."""
    return hashlib.sha256(text.encode()).digest()


def extend(
    head: Head, facts: Sequence[Fact], *, recorded_at: datetime, nonce: Nonce
) -> list[Entry]:
    """Write facts of one subject as the next entries of its chain."""
    entries = []
    for seq, fact in enumerate(facts, start=head.seq + 1):
        private = canonical({**_present(fact.private), "nonce": nonce()})
        body = canonical({
            "about": fact.about, "at": fact.at, "facts": _present(fact.public),
            "kind": fact.kind, "nonce": nonce(), "private": hashlib.sha256(private).hexdigest(),
            "recorded_at": recorded_at, "seq": seq, "source": fact.source,
        })  # fmt: skip
        here = link(head.hash, hashlib.sha256(body).digest())
        entries.append(
            Entry(
                subject=fact.subject, seq=seq, source=fact.source, about=fact.about,
                kind=fact.kind, at=fact.at, recorded_at=recorded_at, body=body.decode(),
                private=private.decode(), prev_hash=head.hash, hash=here,
            )
        )  # fmt: skip
        head = Head(seq=seq, hash=here)
    return entries


def walk(chain: str, subject: str, start: bytes | None, entries: Sequence[Entry]) -> list[Fault]:
    """Check one chain's entries (ordered by `seq`) and name every one that is at fault.

    `start` is the hash of the chain's start, None when that is gone.
    """
    return [
        Fault(chain=chain, subject=subject, seq=seq, kind=kind)
        for seq, kind in _faults(start, entries)
    ]


def _faults(start: bytes | None, entries: Sequence[Entry]) -> Iterator[tuple[int, FaultKind]]:
    if start is None:
        yield 0, FaultKind.FOREIGN
    before = Head(seq=0, hash=start) if start is not None else None
    for entry in entries:
        expected = 1 if before is None else before.seq + 1
        for gone in range(expected, entry.seq):
            yield gone, FaultKind.MISSING
        whole = entry.hash == link(entry.prev_hash, sha256(entry.body))
        if not whole:
            yield entry.seq, FaultKind.ALTERED
        elif entry.seq == expected and before is not None and entry.prev_hash != before.hash:
            yield before.seq, FaultKind.REPLACED if before.seq else FaultKind.FOREIGN
        yield from ((entry.seq, kind) for kind in _labels(entry))
        before = Head(seq=entry.seq, hash=entry.hash)


def _labels(entry: Entry) -> Iterator[FaultKind]:
    """Compare what stands beside an entry's text with the text."""
    try:
        said = msgspec.json.decode(entry.body)
    except msgspec.DecodeError:
        said = None
    if not isinstance(said, dict):
        return  # altered, and said so already
    beside = msgspec.to_builtins({
        "about": entry.about, "at": entry.at, "kind": entry.kind,
        "recorded_at": entry.recorded_at, "source": entry.source,
    })  # fmt: skip
    if said.get("seq") != entry.seq:
        yield FaultKind.MOVED
    if any(said.get(name) != value for name, value in beside.items()):
        yield FaultKind.MISLABELLED
    if said.get("private") != sha256(entry.private).hex():
        yield FaultKind.PRIVATE_ALTERED


def same_fact(entry: Entry, fact: Fact) -> bool:
    """Whether a fact, read again, is still what the entry told."""
    try:
        body, private = msgspec.json.decode(entry.body), msgspec.json.decode(entry.private)
    except msgspec.DecodeError:
        return False
    if not isinstance(body, dict) or not isinstance(private, dict):
        return False
    private.pop("nonce", None)
    told = (body.get("facts"), private, body.get("kind"), body.get("at"), body.get("about"))
    public, hidden = _present(fact.public), _present(fact.private)
    real: tuple[Any, ...] = msgspec.to_builtins((public, hidden, fact.kind, fact.at, fact.about))
    return told == real


def _present(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
