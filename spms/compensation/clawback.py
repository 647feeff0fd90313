"""Taking a refund back: with proof of fraud, by two people, as a linked reversal of its entry.

Billing is told to debit it as it is told to credit a refund, and the person by SMS.

Nothing else takes a refund back. The rows of the refund stay: the charge is never refunded again.
"""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from msgspec.structs import replace

from spms.compensation import clawback_queries as queries
from spms.compensation import journal, payout_queries, receivable_queries, verification_queries
from spms.compensation import queries as claims
from spms.compensation.accounts import Account, PostingReason
from spms.compensation.clawback_model import Clawback, ClawbackRequest, ClawbackState, GivenBack
from spms.compensation.clawback_queries import Refunded
from spms.compensation.journal_model import Draft, Entry, EntryLine, Part
from spms.compensation.model import RefundKind
from spms.compensation.refusals import Moved, NotPaidOut, SamePerson
from spms.compensation.rules import clawback_text, is_told, whose
from spms.core import audit
from spms.core.access import Actor
from spms.core.db import Connection
from spms.core.errors import NotFound
from spms.core.ids import derived_id, hashed_id, new_id
from spms.core.paging import Page, read_cursor, write_cursor
from spms.core.phone import mask
from spms.messaging import actions as messaging
from spms.messaging.model import MessageKind, Outgoing


class After(NamedTuple):
    """Sort key of the last one seen."""

    id: UUID


async def propose(
    tx: Connection, data: ClawbackRequest, *, actor: Actor, now: datetime
) -> Clawback:
    """Say that a refund was got by fraud, and what proves it; nothing moves by this.

    Raises `NotFound` unless that claim of that number refunded something, `NotPaidOut` while
    billing has not confirmed it, `Moved` when it is proposed or taken back already.
    """
    about = await queries.refunded(tx, data.msisdn, data.claim_id)
    if about is None:
        raise NotFound
    if not about.settled:
        raise NotPaidOut
    clawback_id = new_id()
    if not await queries.propose(tx, clawback_id, data, about, actor=actor.label, now=now):
        raise Moved
    await audit.note(
        tx, "clawback.proposed", "clawback", clawback_id, actor=actor, now=now, reason=data.reason
    )
    return _shown(await _get(tx, clawback_id))


async def decide(
    tx: Connection, clawback_id: UUID, *, accept: bool, reason: str, actor: Actor, now: datetime
) -> Clawback:
    """Agree, and it is taken back; or decline. Another person than who proposed it.

    Raises `NotFound`, `SamePerson`, `Moved` when it was decided before.
    """
    row = await _get(tx, clawback_id)
    if row.proposed_by == actor.label:
        raise SamePerson
    state = ClawbackState.AGREED if accept else ClawbackState.DECLINED
    reversal_id = await _take_back(tx, row, actor=actor, now=now) if accept else None
    if not await queries.decide(
        tx, clawback_id, state, reversal_id=reversal_id, actor=actor.label, now=now
    ):
        raise Moved
    await audit.note(
        tx, f"clawback.{state}", "clawback", clawback_id, actor=actor, now=now, reason=reason
    )
    return _shown(await _get(tx, clawback_id))


async def list_page(
    read: Connection, *, actor: Actor, cursor: str | None, limit: int, masked: bool
) -> Page[Clawback]:
    """List what was proposed, oldest first; billing gets the numbers in full."""
    after = await read_cursor(read, actor, "clawbacks", cursor, After)
    rows = await queries.page(read, after=after and after.id, limit=limit + 1)
    items = [_shown(row) if masked else row for row in rows[:limit]]
    more = None
    if len(rows) > limit:
        more = await write_cursor(read, actor, "clawbacks", [items[-1].id])
    return Page(items=items, next=more)


async def _take_back(tx: Connection, row: Clawback, *, actor: Actor, now: datetime) -> UUID:
    """Reverse what was booked; what had been recovered of it goes back to who bore it."""
    about = await queries.refunded(tx, row.number, row.claim_id)
    if about is None:
        raise NotFound
    # Before the chains, as everybody who decides about it: no second multiple follows a fraud.
    await verification_queries.end_for_fraud(
        tx, row.number, about.charge_id, words="taken back for fraud", now=now,
        deciders=(actor.label, row.proposed_by),
    )  # fmt: skip
    chain = journal.sp_chain(about.sp_id)
    await journal.hold(tx, [row.number, chain], now=now)
    before = await receivable_queries.firsts(tx, about.sp_id, row.number, row.claim_id)
    try:
        back = await _reverse(tx, row, about, actor=actor, now=now)
    except journal.AlreadyReversed as error:
        raise Moved from error
    given_up_fen = await receivable_queries.written_off(tx, about.sp_id)
    parts = whose(before, back, given_up_fen)
    await _give_back(tx, about.sp_id, parts, derived_id("clawback", row.id), actor=actor, now=now)
    await payout_queries.take_back(
        tx, row.number, row.claim_id, hashed_id("debit", row.id), now=now
    )
    await _tell(tx, row, about, now=now)
    return back.id


async def _reverse(
    tx: Connection, row: Clawback, about: Refunded, *, actor: Actor, now: datetime
) -> Entry:
    """Take back the entry of the claim, or its part of a joint one."""
    if about.joint_id is None:
        return await journal.reverse(tx, row.number, row.claim_id, actor=actor, now=now)
    parts = (
        (PostingReason.REFUND_PRINCIPAL, RefundKind.PRINCIPAL, about.principal_fen),
        (PostingReason.REFUND_COMPENSATION, RefundKind.COMPENSATION, about.compensation_fen),
    )
    part = Part(
        id=row.claim_id,
        charge_id=about.charge_id,
        lines={
            reason: (hashed_id("posting", about.charge_id, kind, about.round), fen)
            for reason, kind, fen in parts
        },
    )
    return await journal.reverse(tx, row.number, about.joint_id, part=part, actor=actor, now=now)


async def _give_back(
    tx: Connection, sp_id: UUID, back: GivenBack, entry_id: UUID, *, actor: Actor, now: datetime
) -> None:
    """Book what had been recovered to who bore it."""
    parts = (
        (Account.BAD_DEBT, PostingReason.WRITE_OFF_BACK, back.given_up_fen),
        (Account.SP_PAYABLE, PostingReason.CLAWBACK_FIRST, back.first_fen),
        (Account.SP_PAYABLE, PostingReason.CLAWBACK_DUE, back.due_fen),
    )
    lines = [
        EntryLine(
            id=derived_id("posting", entry_id, reason), debit=Account.SP_RECEIVABLE, credit=credit,
            sp_id=sp_id, amount_fen=amount_fen, reason=reason,
        )
        for credit, reason, amount_fen in parts if amount_fen > 0
    ]  # fmt: skip
    if lines:
        chain = journal.sp_chain(sp_id)
        draft = Draft(msisdn=chain, id=entry_id, kind="clawback", lines=lines)
        await journal.post(tx, [draft], actor=actor, now=now)


async def _tell(tx: Connection, row: Clawback, about: Refunded, *, now: datetime) -> None:
    """Tell who was charged, unless somebody else has the number now."""
    charge = await claims.disputed(tx, row.number, about.charge_id)
    if charge is None or not is_told(charge):
        return
    letter = Outgoing(
        msisdn=row.number, text=clawback_text(charge, about.fen), kind=MessageKind.INFO,
        about_kind="clawback", about_id=row.id,
    )  # fmt: skip
    await messaging.send_many(tx, [letter], now=now)


def _shown(row: Clawback) -> Clawback:
    return replace(row, number=mask(row.number))


async def _get(read: Connection, clawback_id: UUID) -> Clawback:
    found = await queries.clawback(read, clawback_id)
    if found is None:
        raise NotFound
    return found
