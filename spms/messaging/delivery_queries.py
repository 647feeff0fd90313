"""Statements on deliveries that may come again or come in parts."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from spms.core.db import Connection, changed, many

# The array is sorted, so that two who want several never wait for each other.
LOCK_NUMBERS = """
    SELECT pg_advisory_xact_lock(hashtextextended($1 || chr(31) || number, 8))
      FROM unnest($2::text[]) AS number
"""


async def lock_numbers(tx: Connection, link: str, numbers: Sequence[str]) -> None:
    """Let everything that one link brings about one number come one after the other."""
    await tx.execute(LOCK_NUMBERS, link, sorted(set(numbers)))


REPEATED = """
    SELECT DISTINCT digest FROM message_in_unproven
     WHERE link = $1 AND digest = ANY ($2) AND (until IS NULL OR until > $3)
"""


async def repeated(
    read: Connection, link: str, digests: Sequence[bytes], now: datetime
) -> set[bytes]:
    """Return which contents came before without a sign that our answer arrived."""
    return {row["digest"] for row in await read.fetch(REPEATED, link, digests, now)}


ADD_UNPROVEN = """
    INSERT INTO message_in_unproven (id, link, digest, received_at)
    SELECT u.id, $1, u.digest, $2 FROM unnest($3::uuid[], $4::bytea[]) AS u (id, digest)
"""


async def add_unproven(
    tx: Connection, link: str, ids: Sequence[UUID], digests: Sequence[bytes], now: datetime
) -> None:
    """Keep what may be delivered again."""
    await tx.execute(ADD_UNPROVEN, link, now, ids, digests)


# The earlier copies of a repetition are proven with it: the network will not send them again.
PROVEN = """
    DELETE FROM message_in_unproven u
     USING message_in_unproven p
     WHERE p.id = ANY ($1) AND u.link = p.link AND u.digest = p.digest
"""


async def proven(tx: Connection, ids: Sequence[UUID]) -> None:
    """Drop what will not be delivered again."""
    await tx.execute(PROVEN, ids)


# Counted from the first time that the link is back: only then can it deliver again.
LINK_IS_BACK = """
    UPDATE message_in_unproven SET until = $2::timestamptz + $3::interval
     WHERE link = $1 AND until IS NULL AND received_at <= $2
"""


async def link_is_back(tx: Connection, link: str, *, now: datetime, window: timedelta) -> None:
    """Let what may be delivered again be taken for a repetition for so long from now on."""
    await tx.execute(LINK_IS_BACK, link, now, window)


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One part of a long message."""

    msisdn: str
    id: UUID
    called: str
    reference: int
    total: int
    number: int
    data_coding: int
    raw: bytes
    name: str
    """The link's."""
    pdu: bytes


ADD_PART = """
    INSERT INTO message_in_part
        (msisdn, id, link, called, reference, total, number, data_coding, raw, received_at, name,
         pdu)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
"""


async def add_part(tx: Connection, link: str, part: Part, now: datetime) -> None:
    """Keep a part."""
    await tx.execute(
        ADD_PART, part.msisdn, part.id, link, part.called, part.reference, part.total,
        part.number, part.data_coding, part.raw, now, part.name, part.pdu,
    )  # fmt: skip


IS_PART = """
    SELECT EXISTS (
        SELECT FROM message_in_part
         WHERE msisdn = $1 AND link = $2 AND name = $3 AND message_id IS NOT NULL
           AND received_at > $4 AND called = $5 AND reference = $6 AND total = $7 AND number = $8
           AND data_coding = $9 AND raw = $10)
"""


async def is_part_of_a_message(
    read: Connection, link: str, part: Part, since: datetime
) -> bool:  # fmt: skip
    """Whether this part, under this name, became part of a message since an instant."""
    known: bool = await read.fetchval(
        IS_PART, part.msisdn, link, part.name, since, part.called, part.reference, part.total,
        part.number, part.data_coding, part.raw,
    )  # fmt: skip
    return known


OPEN_PARTS = """
    SELECT DISTINCT ON (number)
           msisdn, id, called, reference, total, number, data_coding, raw,
           coalesce(name, '') AS name, coalesce(pdu, '') AS pdu
      FROM message_in_part
     WHERE msisdn = $1 AND link = $2 AND called = $3 AND reference = $4 AND total = $5
       AND message_id IS NULL AND received_at > $6
     ORDER BY number, received_at, id
"""


async def open_parts(read: Connection, link: str, part: Part, since: datetime) -> list[Part]:
    """Return the parts that wait with this one, in order, each number once (the first that came)."""
    rows = await read.fetch(
        OPEN_PARTS, part.msisdn, link, part.called, part.reference, part.total, since
    )  # fmt: skip
    return many(Part, rows)


CLOSE_PARTS = """
    UPDATE message_in_part SET message_id = $7
     WHERE msisdn = $1 AND link = $2 AND called = $3 AND reference = $4 AND total = $5
       AND message_id IS NULL AND received_at > $6
"""


async def close_parts(
    tx: Connection, link: str, part: Part, since: datetime, message_id: UUID
) -> None:
    """Record which message the parts became."""
    await tx.execute(
        CLOSE_PARTS, part.msisdn, link, part.called, part.reference, part.total, since, message_id
    )  # fmt: skip


FORGET_NAMES = "DELETE FROM message_in_key WHERE received_at < $1"
FORGET_PARTS = "DELETE FROM message_in_part WHERE received_at < $1"


async def forget_names(tx: Connection, before: datetime) -> int:
    """Drop the links' names for messages, and the parts that became messages."""
    names = changed(await tx.execute(FORGET_NAMES, before))
    return names + changed(await tx.execute(FORGET_PARTS, before))


FORGET_UNPROVEN = "DELETE FROM message_in_unproven WHERE until < $1"


async def forget_unproven(tx: Connection, now: datetime) -> int:
    """Drop what can no longer be delivered again."""
    return changed(await tx.execute(FORGET_UNPROVEN, now))
