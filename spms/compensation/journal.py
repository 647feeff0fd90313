"""The book: double entry in fen, only ever added to, chained by hash per number.

A posting takes one amount from one account and gives it to another, so it balances in itself; an
entry is the postings of one event, and the database sees that it is whole. Whoever
appends to a chain holds its head, so entries of one number follow one another.

Rooms above book through `post`, and take back through `reverse`; nothing is ever changed.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import asyncpg
from msgspec.structs import replace

from spms.compensation import journal_queries as queries
from spms.compensation.accounts import PAIRS, Account
from spms.compensation.journal_chain import link
from spms.compensation.journal_model import Damage, Draft, Drift, Entry, EntryLine, Part
from spms.core import db
from spms.core.access import Actor
from spms.core.chain import Fault, FaultKind
from spms.core.clock import business_day, start_of_day
from spms.core.db import Connection, Pool
from spms.core.errors import Conflict, NotFound
from spms.core.heads import Chains
from spms.core.ids import derived_id

CHAINS: Final = Chains(name="journal", heads=queries.HEADS, entries=queries.ENTRIES)
"""What the anchors take from the book."""
FAULTS: Final[Mapping[str, FaultKind]] = {
    "lines_without_entry": FaultKind.FACT_UNTOLD,
    "entry_missing_before": FaultKind.MISSING,
    "link_broken": FaultKind.REPLACED,
    "lines_altered": FaultKind.FACT_CHANGED,
    "altered": FaultKind.ALTERED,
    "end_missing": FaultKind.TRUNCATED,
}
"""What the check of the book finds, in the words of all chains."""
JOINT: Final = frozenset({"refund", "payout"})
"""Entries that are about one charge, or else joint ones."""
ENTRIES_AT_ONCE = 20_000
"""Of a statement that verifies; more where one chain has more."""
SETTLED_AFTER = timedelta(hours=1)
"""A day is summed up this long after its end: a transaction of its last second is through then."""


class AlreadyReversed(Conflict):
    """This entry has been taken back before."""

    code = "already_reversed"


def sp_chain(sp_id: UUID) -> str:
    """Return the name of the chain for an SP's entries that concern no number."""
    return f"sp:{sp_id}"


async def hold(tx: Connection, chains: Sequence[str], *, now: datetime) -> None:
    """Take the ends of chains until the transaction ends, in the order of their names."""
    await queries.hold_heads(tx, list(chains), now)


async def plan_for_sets(tx: Connection) -> None:
    """Have statements planned for the rows they are given, until the transaction ends."""
    await queries.plan_for_sets(tx)


async def post(tx: Connection, drafts: Sequence[Draft], *, actor: Actor, now: datetime) -> None:
    """Book entries, in the given order within each chain.

    Raises `ValueError` for a pair of accounts that may not be booked, and what the database raises
    (`UniqueViolationError`) for an entry or posting that is there already.
    """
    if not drafts:
        return
    for draft in drafts:
        for line in draft.lines:
            pair = (line.debit, line.credit)
            if (pair if line.reverses is None else pair[::-1]) not in PAIRS:
                raise ValueError(f"{line.debit} to {line.credit} is not a permitted pair")
    await _append(tx, drafts, actor=actor, now=now)


async def _append(tx: Connection, drafts: Sequence[Draft], *, actor: Actor, now: datetime) -> None:
    heads = await queries.hold_heads(tx, [draft.msisdn for draft in drafts], now)
    linked = link(drafts, heads, at=now, actor=actor.label)
    await queries.post(tx, linked, now=now, actor=actor.label)


async def reverse(
    tx: Connection,
    msisdn: str,
    entry_id: UUID,
    *,
    part: Part | None = None,
    actor: Actor,
    now: datetime,
) -> Entry:
    """Take an entry back by a linked one with every line the other way round.

    A joint entry is taken back by its parts, never as a whole: then the linked one names what the part
    would be by itself, and so do its lines. Raises `NotFound`, `AlreadyReversed` when it was taken back
    before, and `ValueError` for a part of what is not joint, or the whole of what is.
    """
    found = await queries.entries(tx, msisdn, entry_id=entry_id)
    if not found:
        raise NotFound
    (entry,) = found
    if (part is not None) != (entry.charge_id is None and entry.kind in JOINT):
        message = "a joint entry is taken back by its parts, and no other"
        raise ValueError(message)
    reverses, charge_id, lines = entry.id, entry.charge_id, entry.lines
    if part is not None:
        reverses, charge_id, lines = part.id, part.charge_id, _part_of(entry, part)
    await queries.hold_heads(tx, [msisdn], now)
    if await queries.is_reversed(tx, msisdn, reverses):
        raise AlreadyReversed
    back = Draft(
        msisdn=msisdn,
        id=derived_id("reversal", reverses),
        kind="reversal",
        charge_id=charge_id,
        reverses=reverses,
        lines=[
            EntryLine(
                id=derived_id("reversal", line.id), debit=line.credit, credit=line.debit,
                sp_id=line.sp_id, amount_fen=line.amount_fen, reason=line.reason, reverses=line.id,
            )
            for line in lines
        ],
    )  # fmt: skip
    try:
        await _append(tx, [back], actor=actor, now=now)
    except asyncpg.UniqueViolationError as error:
        raise AlreadyReversed from error
    return (await queries.entries(tx, msisdn, entry_id=back.id))[0]


def _part_of(entry: Entry, part: Part) -> list[EntryLine]:
    found = []
    for line in entry.lines:
        line_id, fen = part.lines.get(line.reason, (line.id, 0))
        if fen > 0:
            found.append(replace(line, id=line_id, amount_fen=fen))
    return found


async def entries_of_charge(read: Connection, msisdn: str, charge_id: UUID) -> list[Entry]:
    """Load everything booked about one charge, in its order."""
    return await queries.entries(read, msisdn, charge_id=charge_id)


async def balance(read: Connection, sp_id: UUID, account: Account) -> int:
    """Return debits less credits of one SP on an account, in fen: the latest snapshot and since."""
    return await queries.balance(read, sp_id, account)


async def verify(pool: Pool, *, lanes: int = 2) -> tuple[int, list[Damage]]:
    """Hash the whole book again; return how many rows were looked at and every damaged one.

    Stretches of whole chains, each one statement of its own moment, so nothing is held for long
    and an entry that is booked meanwhile is no damage; `lanes` of them at a time.
    """
    edges = await _edges(pool)
    found: list[Damage] = []
    rows = 0

    async def walk() -> None:
        nonlocal rows
        while edges:
            after, until = edges.pop()
            async with db.snapshot(pool, timeout_seconds=60) as read:
                seen, damaged = await queries.verify(read, after, until)
            rows += seen
            found.extend(damaged)

    await asyncio.gather(*[walk() for _ in range(lanes)])
    return rows, sorted(found, key=lambda one: (one.msisdn, one.seq or 0))


def faults(damage: Sequence[Damage]) -> list[Fault]:
    """Say what was found in the words of all chains; a gap is named at the row behind it."""
    return [
        Fault(chain=CHAINS.name, subject=one.msisdn, seq=one.seq or 0, kind=FAULTS[problem])
        for one in damage
        for problem in one.problems
    ]


async def _edges(pool: Pool) -> list[tuple[str, str | None]]:
    edges: list[tuple[str, str | None]] = []
    after = ""
    async with db.snapshot(pool, timeout_seconds=60) as read:
        while (until := await queries.next_edge(read, after, ENTRIES_AT_ONCE)) is not None:
            edges.append((after, until))
            after = until
    return [*edges, (after, None)]


async def take_snapshot(tx: Connection, *, now: datetime) -> int:
    """Sum up the days that are over, per SP and account; return how many balances were kept."""
    return await queries.snapshot(tx, start_of_day(business_day(now - SETTLED_AFTER)))


async def compare_snapshots(read: Connection) -> list[Drift]:
    """Make every snapshot again from the postings; return those that differ."""
    return await queries.drifts(read)
