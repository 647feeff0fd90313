"""Anchors: the heads of all chains, signed, and carried out of the database.

An anchor is made in the database (`make`); each worker signs what is new and appends it to files of
its own (`carry_out`): `anchors.jsonl` holds the signed statements, `leaves-N.jsonl` the heads that
anchor N stands for, without a name. Both are deterministic, so a crash between file and row, or
several workers, only write the same again.
"""

import asyncio
import os
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import msgspec

from spms.core import heads, signing
from spms.core.chain import canonical, sha256, start_hash, subject_digest
from spms.core.db import Connection, many, one
from spms.core.heads import Chains
from spms.core.merkle import HASH_BYTES, Leaf, grow, leaf_hash
from spms.core.pack import ANCHOR_TAG
from spms.core.signing import Signer

SLACK = timedelta(days=1)
"""A transaction that commits later than this after its entries' time misses the next anchor."""
BEGINNING = datetime.fromisoformat("2000-01-01T00:00:00+00:00")
NO_PREDECESSOR = bytes(HASH_BYTES).hex()
STATEMENTS = "anchors.jsonl"
TAIL_BYTES = 65_536
"""Far more than a line, and enough to find the last one."""


class Anchor(msgspec.Struct, frozen=True, kw_only=True):
    """An anchor, as it is stored."""

    seq: int
    at: datetime
    leaves: int
    statement: str


class Signed(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the file."""

    statement: str
    key_id: str
    signature: str


class _Grown(msgspec.Struct, frozen=True, kw_only=True):
    subject: str
    chain: str
    salt: bytes
    seq: int
    hash: bytes


class _End(NamedTuple):
    chain: str
    subject: str
    leaf: Leaf


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """The latest anchor that holds a chain, and the way to it."""

    statement: str
    public_key: bytes
    signature: bytes
    place: int
    seq: int
    path: bytes


LATEST = "SELECT seq, at, leaves, statement FROM anchor ORDER BY seq DESC LIMIT 1"


async def latest(read: Connection) -> Anchor | None:
    """Return the newest anchor."""
    return one(Anchor, await read.fetchrow(LATEST))


GROWN = """
    SELECT s.subject, s.chain, s.salt, h.seq, h.hash
      FROM (SELECT DISTINCT subject, chain FROM chain_entry WHERE recorded_at >= $1) e
      JOIN chain_start s ON s.subject = e.subject AND s.chain = e.chain
     CROSS JOIN LATERAL (SELECT seq, hash FROM chain_entry
                          WHERE subject = e.subject AND chain = e.chain
                          ORDER BY seq DESC LIMIT 1) h
     WHERE h.seq > COALESCE((SELECT max(l.seq) FROM anchor_leaf l
                              WHERE l.subject = e.subject AND l.chain = e.chain), 0)
"""
ADD = "INSERT INTO anchor (seq, at, leaves, statement) VALUES ($1, $2, $3, $4)"
ADD_LEAVES = """
    INSERT INTO anchor_leaf (subject, chain, anchor_seq, place, start_hash, seq, hash, path)
    SELECT subject, chain, $1, place, start_hash, seq, hash, path
      FROM unnest($2::text[], $3::text[], $4::integer[], $5::bytea[], $6::bigint[], $7::bytea[],
                  $8::bytea[]) AS l (subject, chain, place, start_hash, seq, hash, path)
"""


async def make(tx: Connection, *, now: datetime, others: Sequence[Chains] = ()) -> int:
    """Anchor every chain that grew since the anchor before; return how many those are.

    `others` are the kinds of chains that rooms keep in tables of their own.
    """
    before = await latest(tx)
    ends = await _ends(tx, BEGINNING if before is None else before.at - SLACK, others)
    if not ends:
        return 0
    ends.sort(key=lambda end: end.leaf.start_hash)
    # Hashing many thousands of heads takes a while, in which this process does other things.
    root, paths = await asyncio.to_thread(grow, [leaf_hash(end.leaf) for end in ends])
    seq = 1 if before is None else before.seq + 1
    statement = canonical({
        "anchor": seq, "at": now, "leaves": len(ends), "root": root.hex(), "v": 1,
        "previous": NO_PREDECESSOR if before is None else sha256(before.statement).hex(),
    }).decode()  # fmt: skip
    await tx.execute(ADD, seq, now, len(ends), statement)
    await tx.execute(
        ADD_LEAVES, seq, [end.subject for end in ends], [end.chain for end in ends],
        list(range(len(ends))), [end.leaf.start_hash for end in ends],
        [end.leaf.seq for end in ends], [end.leaf.hash for end in ends], paths,
    )  # fmt: skip
    return len(ends)


async def _ends(tx: Connection, since: datetime, others: Sequence[Chains]) -> list[_End]:
    ends = [
        _End(
            each.chain, each.subject,
            Leaf(start_hash=start_hash(each.chain, subject_digest(each.salt, each.subject)),
                 seq=each.seq, hash=each.hash),
        )
        for each in many(_Grown, await tx.fetch(GROWN, since))
    ]  # fmt: skip
    starts = await heads.starts(tx)
    for chains in others:
        ends += [
            _End(
                chains.name, each.subject,
                Leaf(start_hash=starts.of(chains.name, each.subject), seq=each.seq,
                     hash=each.hash),
            )
            for each in await heads.grown(tx, chains, since)
        ]  # fmt: skip
    return ends


AFTER = "SELECT seq, at, leaves, statement FROM anchor WHERE seq > $1 ORDER BY seq LIMIT 20"
LEAVES = "SELECT start_hash, seq, hash FROM anchor_leaf WHERE anchor_seq = $1 ORDER BY place"
SIGN = """
    INSERT INTO anchor_signature (anchor_seq, key_id, signature, signed_at)
    VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING
"""


async def carry_out(tx: Connection, directory: Path, signer: Signer, *, now: datetime) -> int:
    """Sign the anchors that this directory does not have, and write them there; return how many."""
    last = await asyncio.to_thread(last_carried_out, directory)
    anchors = many(Anchor, await tx.fetch(AFTER, last))
    if anchors:
        await signing.publish(tx, signer, now=now)
    for anchor in anchors:
        leaves = many(Leaf, await tx.fetch(LEAVES, anchor.seq))
        signature = signer.sign(ANCHOR_TAG + anchor.statement.encode())
        await tx.execute(SIGN, anchor.seq, signer.key_id, signature, now)
        line = Signed(statement=anchor.statement, key_id=signer.key_id, signature=signature.hex())
        await asyncio.to_thread(_write, directory, anchor.seq, leaves, line)
    return len(anchors)


def leaves_file(directory: Path, seq: int) -> Path:
    """Return where an anchor's leaves are."""
    return directory / f"leaves-{seq:09d}.jsonl"


def _write(directory: Path, seq: int, leaves: Sequence[Leaf], line: Signed) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    draft = directory / f".leaves-{seq}.{os.getpid()}"
    rows = ({"start": leaf.start_hash.hex(), "seq": leaf.seq, "hash": leaf.hash.hex()}
            for leaf in leaves)  # fmt: skip
    with draft.open("wb") as file:
        file.writelines(canonical(row) + b"\n" for row in rows)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(leaves_file(directory, seq))
    with (directory / STATEMENTS).open("ab") as file:
        file.write(canonical(line) + b"\n")
        file.flush()
        os.fsync(file.fileno())


def last_carried_out(directory: Path) -> int:
    """Return the newest anchor in a directory, 0 when it has none; a torn last line is removed."""
    path = directory / STATEMENTS
    if not path.is_file():
        return 0
    with path.open("rb+") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(0, end - TAIL_BYTES))
        tail = file.read()
        whole = tail[: tail.rfind(b"\n") + 1]
        if whole != tail:
            file.truncate(end - len(tail) + len(whole))
    lines = whole.splitlines()
    if not lines:
        return 0
    statement = msgspec.json.decode(lines[-1], type=Signed).statement
    seq: int = msgspec.json.decode(statement)["anchor"]
    return seq


PROOF = """
    SELECT a.statement, k.public_key, s.signature, l.place, l.seq, l.path
      FROM anchor_leaf l
      JOIN anchor a ON a.seq = l.anchor_seq
      JOIN anchor_signature s ON s.anchor_seq = a.seq
      JOIN signing_key k ON k.id = s.key_id
     WHERE l.subject = $1 AND l.chain = $2 ORDER BY l.anchor_seq DESC, s.signed_at LIMIT 1
"""


async def proof(read: Connection, chain: str, subject: str) -> Proof | None:
    """Return the newest signed anchor that holds a chain, if there is one."""
    return one(Proof, await read.fetchrow(PROOF, subject, chain))
