"""Chains in the database: appending, in the transaction of the facts, and reading again.

Nothing is locked. Two transactions that append to one chain at once meet at its primary key: the
later one waits for the earlier, finds the place taken, and takes the next.
"""

import secrets
from collections.abc import Sequence
from datetime import datetime
from itertools import groupby

import asyncpg
import msgspec

from spms.core.chain import Entry, Fact, Head, extend, start_hash, subject_digest
from spms.core.db import Connection, many

TRIES = 20
SALT_BYTES = 32
NONCE_BYTES = 16


class _Place(msgspec.Struct, frozen=True, kw_only=True):
    subject: str
    salt: bytes | None
    seq: int | None
    hash: bytes | None


HEADS = """
    SELECT w.subject, s.salt, e.seq, e.hash
      FROM unnest($2::text[]) AS w (subject)
      LEFT JOIN chain_start s ON s.subject = w.subject AND s.chain = $1
      LEFT JOIN LATERAL (SELECT seq, hash FROM chain_entry
                          WHERE subject = w.subject AND chain = $1
                          ORDER BY seq DESC LIMIT 1) e ON true
"""


async def _heads(read: Connection, chain: str, subjects: Sequence[str]) -> list[_Place]:
    return many(_Place, await read.fetch(HEADS, chain, list(subjects)))


TOLD = """
    SELECT e.subject, e.source
      FROM unnest($2::text[], $3::text[]) AS w (subject, source)
      JOIN chain_entry e ON e.subject = w.subject AND e.chain = $1 AND e.source = w.source
"""


async def _told(read: Connection, chain: str, facts: Sequence[Fact]) -> set[tuple[str, str]]:
    subjects, sources = [one.subject for one in facts], [one.source for one in facts]
    return {(row[0], row[1]) for row in await read.fetch(TOLD, chain, subjects, sources)}


ADD = """
    WITH begun AS (
        INSERT INTO chain_start (subject, chain, salt, started_at)
        SELECT subject, $1, salt, $4 FROM unnest($2::text[], $3::bytea[]) AS n (subject, salt)
    )
    INSERT INTO chain_entry (subject, chain, seq, source, about, kind, at, recorded_at, body,
                             private, prev_hash, hash)
    SELECT subject, $1, seq, source, about, kind, at, $4, body, private, prev_hash, hash
      FROM unnest($5::text[], $6::bigint[], $7::text[], $8::uuid[], $9::text[],
                  $10::timestamptz[], $11::text[], $12::text[], $13::bytea[], $14::bytea[])
        AS e (subject, seq, source, about, kind, at, body, private, prev_hash, hash)
"""


async def _add(
    tx: Connection, chain: str, salts: dict[str, bytes], entries: Sequence[Entry], now: datetime
) -> None:
    names = ("subject", "seq", "source", "about", "kind", "at", "body", "private", "prev_hash",
             "hash")  # fmt: skip
    columns = [[getattr(entry, name) for entry in entries] for name in names]
    await tx.execute(ADD, chain, list(salts), list(salts.values()), now, *columns)


async def append(tx: Connection, chain: str, facts: Sequence[Fact], *, now: datetime) -> int:
    """Tell facts in their subjects' chains, in the order given; return how many were new.

    Call it in the transaction of the facts, last: chains of several subjects are taken in the
    order of their names. A fact whose `source` was told before is left out.
    """
    wanted = sorted(facts, key=lambda fact: fact.subject)
    for tried in range(TRIES):
        if tried:
            told = await _told(tx, chain, wanted)
            wanted = [fact for fact in wanted if (fact.subject, fact.source) not in told]
        if not wanted:
            return 0
        by_subject = {
            name: list(group) for name, group in groupby(wanted, key=lambda fact: fact.subject)
        }
        salts: dict[str, bytes] = {}
        entries: list[Entry] = []
        for place in sorted(await _heads(tx, chain, list(by_subject)), key=lambda p: p.subject):
            salt = place.salt
            if salt is None:
                salt = salts[place.subject] = secrets.token_bytes(SALT_BYTES)
            start = start_hash(chain, subject_digest(salt, place.subject))
            head = Head(seq=place.seq or 0, hash=place.hash or start)
            entries += extend(
                head, by_subject[place.subject], recorded_at=now,
                nonce=lambda: secrets.token_hex(NONCE_BYTES),
            )  # fmt: skip
        try:
            async with tx.transaction():
                await _add(tx, chain, salts, entries, now)
        except asyncpg.UniqueViolationError:
            continue
        return len(entries)
    raise RuntimeError(f"a chain of {chain} stayed busy")


SALTS = "SELECT subject, salt FROM chain_start WHERE chain = $1 AND subject = ANY($2::text[])"


async def salts(read: Connection, chain: str, subjects: Sequence[str]) -> dict[str, bytes]:
    """Return the salts of chains; a chain that never began has none."""
    rows = await read.fetch(SALTS, chain, list(subjects))
    return {row["subject"]: row["salt"] for row in rows}


ENTRIES = """
    SELECT subject, seq, source, about, kind, at, recorded_at, body, private, prev_hash, hash
      FROM chain_entry WHERE chain = $1 AND subject = ANY($2::text[]) ORDER BY subject, seq
"""


async def entries(read: Connection, chain: str, subjects: Sequence[str]) -> dict[str, list[Entry]]:
    """Load whole chains, each in its order."""
    found = many(Entry, await read.fetch(ENTRIES, chain, list(subjects)))
    return {
        subject: list(group) for subject, group in groupby(found, key=lambda entry: entry.subject)
    }
