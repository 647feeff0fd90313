"""Comparing the chains in the database with the anchors that were carried out of it."""

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path

import msgspec

from spms.core import heads
from spms.core.anchors import NO_PREDECESSOR, STATEMENTS, Signed, leaves_file
from spms.core.chain import Fault, FaultKind, sha256, start_hash, subject_digest
from spms.core.db import Connection, many
from spms.core.heads import At, Chains
from spms.core.merkle import Leaf, grow, leaf_hash
from spms.core.pack import ANCHOR_TAG
from spms.core.signing import key_id, signed_by

BATCH = 5000


class AnchorFaultKind(StrEnum):
    """What is wrong with an anchor."""

    UNSIGNED = "unsigned"
    """No key that is trusted signed it."""
    UNLINKED = "unlinked"
    """It does not follow the anchor before it in the file."""
    LEAVES_CHANGED = "leaves_changed"
    """The heads in its file are not those that were signed."""
    UNREADABLE = "unreadable"
    ABSENT = "absent"
    """The database has it and the files do not, or the other way round, or they differ."""


class AnchorFault(msgspec.Struct, frozen=True, kw_only=True):
    """One anchor at fault."""

    anchor: int
    kind: AnchorFaultKind


class Carried(msgspec.Struct, frozen=True, kw_only=True):
    """An anchor as the files have it."""

    seq: int
    statement: str
    leaves: list[Leaf]


class _Leaf(msgspec.Struct, frozen=True):
    start: str
    seq: int
    hash: str


ANCHORS = """
    SELECT a.seq, a.statement, EXISTS (
           SELECT FROM anchor_signature s WHERE s.anchor_seq = a.seq AND s.key_id = ANY($1::text[])
           ) AS carried_out
      FROM anchor a ORDER BY a.seq
"""
STARTS = "SELECT subject, chain, salt FROM chain_start"
AT = """
    SELECT w.place, e.hash, COALESCE((SELECT max(m.seq) FROM chain_entry m
                                       WHERE m.subject = w.subject AND m.chain = w.chain), 0) AS last
      FROM unnest($1::integer[], $2::text[], $3::text[], $4::bigint[])
        AS w (place, subject, chain, seq)
      LEFT JOIN chain_entry e ON e.subject = w.subject AND e.chain = w.chain AND e.seq = w.seq
"""


async def anchor_faults(
    read: Connection, directory: Path, keys: Collection[bytes], others: Sequence[Chains] = ()
) -> tuple[int, list[AnchorFault], list[Fault]]:
    """Check the files of a directory, and the chains against them.

    `others` are the kinds of chains that rooms keep in tables of their own. Returns how many anchors there are, which are at fault, and which entries they convict.
    """
    carried, wrong = await asyncio.to_thread(read_files, directory, keys)
    rows = await read.fetch(ANCHORS, [key_id(key) for key in keys])
    stored = {row["seq"]: row["statement"] for row in rows}
    out = {row["seq"] for row in rows if row["carried_out"]}
    files = {each.seq: each.statement for each in carried}
    # What was not carried out yet is no fault; what is on one side only, or differs, is.
    wrong += [
        AnchorFault(anchor=seq, kind=AnchorFaultKind.ABSENT)
        for seq in sorted(out | files.keys())
        if stored.get(seq) != files.get(seq)
    ]
    names = {
        start_hash(row["chain"], subject_digest(row["salt"], row["subject"])): (
            row["chain"], row["subject"],
        )
        for row in await read.fetch(STARTS)
    }  # fmt: skip
    starts = await heads.starts(read)
    for chains in others:
        for subject in await heads.subjects(read, chains):
            names[starts.of(chains.name, subject)] = (chains.name, subject)
    kinds = {chains.name: chains for chains in others}
    found: dict[tuple[str, str, int], Fault] = {}
    for each in carried:
        for at in range(0, len(each.leaves), BATCH):
            for fault in await _convicted(read, each.leaves[at : at + BATCH], names, kinds):
                found.setdefault((fault.chain, fault.subject, fault.seq), fault)
    return len(carried), wrong, list(found.values())


async def _convicted(
    read: Connection,
    leaves: Sequence[Leaf],
    names: Mapping[bytes, tuple[str, str]],
    kinds: Mapping[str, Chains],
) -> list[Fault]:
    faults = [
        Fault(chain="unknown", subject=leaf.start_hash.hex(), seq=0, kind=FaultKind.FOREIGN)
        for leaf in leaves
        if leaf.start_hash not in names
    ]
    known = [leaf for leaf in leaves if leaf.start_hash in names]
    owners = [names[leaf.start_hash] for leaf in known]
    for found in await _at(read, known, owners, kinds):
        leaf, (chain, subject) = known[found.place], owners[found.place]
        if found.hash is None:
            kind, places = FaultKind.TRUNCATED, range(found.last + 1, leaf.seq + 1)
        elif found.hash != leaf.hash:
            kind, places = FaultKind.REWRITTEN, range(leaf.seq, leaf.seq + 1)
        else:
            continue
        faults += [Fault(chain=chain, subject=subject, seq=seq, kind=kind) for seq in places]
    return faults


async def _at(
    read: Connection,
    leaves: Sequence[Leaf],
    owners: Sequence[tuple[str, str]],
    kinds: Mapping[str, Chains],
) -> list[At]:
    """Look up what stands where each leaf says, in the tables of its kind of chain."""
    wanted: dict[str, list[int]] = {}
    for place, (chain, _) in enumerate(owners):
        wanted.setdefault(chain if chain in kinds else "", []).append(place)
    found: list[At] = []
    for chain, places in wanted.items():
        if chain:
            asked = [(place, owners[place][1], leaves[place].seq) for place in places]
            found += await heads.at(read, kinds[chain], asked)
        else:
            rows = await read.fetch(
                AT, places, [owners[place][1] for place in places],
                [owners[place][0] for place in places], [leaves[place].seq for place in places],
            )  # fmt: skip
            found += many(At, rows)
    return found


def read_files(directory: Path, keys: Collection[bytes]) -> tuple[list[Carried], list[AnchorFault]]:
    """Read and check a directory of anchors: signatures, the links between them, and leaves."""
    carried: list[Carried] = []
    wrong: list[AnchorFault] = []
    path = directory / STATEMENTS
    if not path.is_file():
        return carried, wrong
    previous = NO_PREDECESSOR
    for place, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            one, kinds = _line(directory, line, place, previous, keys)
        except (msgspec.DecodeError, OSError, ValueError, KeyError, TypeError):
            wrong.append(AnchorFault(anchor=place, kind=AnchorFaultKind.UNREADABLE))
            continue
        carried.append(one)
        wrong += [AnchorFault(anchor=one.seq, kind=kind) for kind in kinds]
        previous = sha256(one.statement).hex()
    return carried, wrong


def _line(
    directory: Path, line: bytes, place: int, previous: str, keys: Collection[bytes]
) -> tuple[Carried, list[AnchorFaultKind]]:
    signed = msgspec.json.decode(line, type=Signed)
    said = msgspec.json.decode(signed.statement)
    seq: int = said["anchor"]
    rows = leaves_file(directory, seq).read_bytes().splitlines()
    read = [msgspec.json.decode(row, type=_Leaf) for row in rows]
    leaves = [
        Leaf(start_hash=bytes.fromhex(one.start), seq=one.seq, hash=bytes.fromhex(one.hash))
        for one in read
    ]

    def kinds() -> Iterator[AnchorFaultKind]:
        message = ANCHOR_TAG + signed.statement.encode()
        signature = bytes.fromhex(signed.signature)
        if not any(signed_by(key, signature, message) for key in keys):
            yield AnchorFaultKind.UNSIGNED
        if seq != place or said["previous"] != previous:
            yield AnchorFaultKind.UNLINKED
        if not leaves or grow([leaf_hash(leaf) for leaf in leaves])[0].hex() != said["root"]:
            yield AnchorFaultKind.LEAVES_CHANGED

    return Carried(seq=seq, statement=signed.statement, leaves=leaves), list(kinds())
