"""What SPs owe for advances: by age, recovered at settlement or from the deposit, or given up.

Each of these is an entry in the SP's own chain, whose head is held first: two recoveries at once
cannot take more than is owed. What is not recovered is simply still there: it is carried over.
"""

from datetime import datetime
from uuid import UUID

from spms.compensation import journal, journal_queries
from spms.compensation import receivable_queries as queries
from spms.compensation.accounts import Account, Booking, PostingReason
from spms.compensation.journal_model import Draft, EntryLine
from spms.compensation.model import Ageing
from spms.core.access import Actor
from spms.core.db import Connection
from spms.core.ids import derived_id


async def ageing(read: Connection, sp_id: UUID | None, *, now: datetime) -> list[Ageing]:
    """Tell what one SP, or each, owes and since when; recoveries take the oldest first."""
    return await queries.ageing(read, sp_id, at=now)


async def recover(
    tx: Connection, sp_id: UUID, most_fen: int, *, cause_id: UUID, actor: Actor, now: datetime
) -> int:
    """Take what is owed out of what the SP earned, at most `most_fen`; return how much.

    For settlement: `cause_id` names the statement, and a second call for it takes nothing. What
    remains is carried over by itself.
    """
    return await _take(
        tx, sp_id, most_fen, (Account.SP_PAYABLE, PostingReason.RECOVERY),
        cause_id=cause_id, actor=actor, now=now,
    )  # fmt: skip


async def call_deposit(
    tx: Connection, sp_id: UUID, most_fen: int, *, cause_id: UUID, actor: Actor, now: datetime
) -> int:
    """Take what is owed out of the SP's deposit, at most `most_fen`; return how much, in fen."""
    await journal_queries.hold_heads(tx, [journal.sp_chain(sp_id)], now)
    there_fen = await deposit(tx, sp_id)
    return await _take(
        tx, sp_id, min(most_fen, there_fen), (Account.DEPOSITS, PostingReason.DEPOSIT_CALL),
        cause_id=cause_id, actor=actor, now=now,
    )  # fmt: skip


async def write_off(
    tx: Connection, sp_id: UUID, most_fen: int, *, cause_id: UUID, actor: Actor, now: datetime
) -> int:
    """Give up what is owed as bad debt, at most `most_fen`; return how much, in fen."""
    return await _take(
        tx, sp_id, most_fen, (Account.BAD_DEBT, PostingReason.WRITE_OFF),
        cause_id=cause_id, actor=actor, now=now,
    )  # fmt: skip


async def pay_deposit(
    tx: Connection, sp_id: UUID, amount_fen: int, *, cause_id: UUID, actor: Actor, now: datetime
) -> int:
    """Book a deposit that arrived at the bank, once for its cause; return how much, in fen."""
    booking = Booking(
        debit=Account.BANK, credit=Account.DEPOSITS, reason=PostingReason.DEPOSIT_PAID
    )
    booked = await _book(tx, sp_id, amount_fen, booking, cause_id=cause_id, actor=actor, now=now)
    return amount_fen if booked else 0


async def return_deposit(
    tx: Connection, sp_id: UUID, amount_fen: int, *, cause_id: UUID, actor: Actor, now: datetime
) -> int:
    """Give a deposit back, all of the amount or nothing; return how much, in fen.

    What the SP owes stays covered by what is left of it.
    """
    await journal_queries.hold_heads(tx, [journal.sp_chain(sp_id)], now)
    owed_fen = max(0, await queries.exact_balance(tx, sp_id, Account.SP_RECEIVABLE))
    if await deposit(tx, sp_id) - owed_fen < amount_fen:
        return 0
    booking = Booking(
        debit=Account.DEPOSITS, credit=Account.BANK, reason=PostingReason.DEPOSIT_RETURNED
    )
    booked = await _book(tx, sp_id, amount_fen, booking, cause_id=cause_id, actor=actor, now=now)
    return amount_fen if booked else 0


async def deposit(read: Connection, sp_id: UUID) -> int:
    """Return what an SP has left as security, in fen."""
    return -await queries.exact_balance(read, sp_id, Account.DEPOSITS)


def entry_id(reason: str, sp_id: UUID, cause_id: UUID) -> UUID:
    """Return the identity of the entry that books something on an SP's account for a cause."""
    return derived_id(reason, sp_id, cause_id)


async def _take(
    tx: Connection,
    sp_id: UUID,
    most_fen: int,
    source: tuple[Account, PostingReason],
    *,
    cause_id: UUID,
    actor: Actor,
    now: datetime,
) -> int:
    await journal_queries.hold_heads(tx, [journal.sp_chain(sp_id)], now)
    owed_fen = await queries.exact_balance(tx, sp_id, Account.SP_RECEIVABLE)
    amount_fen = max(0, min(owed_fen, most_fen))
    if amount_fen == 0:
        return 0
    booking = Booking(debit=source[0], credit=Account.SP_RECEIVABLE, reason=source[1])
    booked = await _book(tx, sp_id, amount_fen, booking, cause_id=cause_id, actor=actor, now=now)
    return amount_fen if booked else 0


async def _book(
    tx: Connection,
    sp_id: UUID,
    amount_fen: int,
    booking: Booking,
    *,
    cause_id: UUID,
    actor: Actor,
    now: datetime,
) -> bool:
    chain = journal.sp_chain(sp_id)
    of = entry_id(booking.reason, sp_id, cause_id)
    await journal_queries.hold_heads(tx, [chain], now)
    if await journal_queries.entries(tx, chain, entry_id=of):
        return False
    line = EntryLine(
        id=derived_id("posting", of), debit=booking.debit,
        credit=booking.credit, sp_id=sp_id, amount_fen=amount_fen, reason=booking.reason,
    )  # fmt: skip
    await journal.post(
        tx,
        [Draft(msisdn=chain, id=of, kind=str(booking.reason), lines=[line])],
        actor=actor,
        now=now,
    )
    return True
