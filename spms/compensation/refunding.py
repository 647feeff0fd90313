"""Writing refunds: the one way money goes back, whatever decided it.

Used by every entrance: claims, the audit, verification, mass corrections.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final
from uuid import UUID

from spms.compensation import journal, payout_queries, queries, receivable_queries
from spms.compensation.accounts import Account, Bearer, PostingReason
from spms.compensation.journal_model import Draft, EntryLine
from spms.compensation.model import (
    CompensationRules,
    Disputed,
    Opening,
    RefundKind,
    Source,
    Verdict,
)
from spms.compensation.receivable_queries import Share
from spms.compensation.rules import (
    cause_of,
    is_told,
    outstanding,
    refund_lines,
    refund_text,
)
from spms.core.access import Actor
from spms.core.db import Connection
from spms.core.ids import hashed_id
from spms.core.rulebook import Versions
from spms.messaging import actions as messaging
from spms.messaging.model import MessageKind, Outgoing

UNWINDING: Final[Mapping[Account, PostingReason]] = {
    Account.SP_PAYABLE: PostingReason.UNWIND_SP_SHARE,
    Account.OPERATOR_SHARE: PostingReason.UNWIND_OPERATOR_SHARE,
}


def claim_id(charge: Disputed, number: int) -> UUID:
    """Return the identity of the claim that refunds a charge in a round: its natural key.

    Its entry in the book has it too, so neither can be there twice; only joint refunds have their own.
    """
    return hashed_id("claim", charge.charge_id, number)


def opening_of(
    charge: Disputed,
    verdict: Verdict,
    versions: Versions[CompensationRules],
    reason: str | None = None,
) -> Opening:
    """Prepare the claim that pays what a verdict leaves missing, by the rules of the charge's time.

    Without words, the finding is the reason.
    """
    version, rules = versions.at(charge.charged_at)
    bearers = rules.borne(cause_of(verdict.decided_by))
    return Opening(
        id=claim_id(charge, charge.round + 1),
        disputed=charge,
        round=charge.round + 1,
        due_fen=verdict.due_fen,
        honoured_due_fen=verdict.due_fen,
        reason=reason or str(verdict.decided_by),
        cause=None,
        bearers=bearers,
        rulebook_version=version,
        lines=refund_lines(charge, outstanding(charge, verdict.due_fen, rules), bearers),
    )


async def refund(
    tx: Connection,
    openings: list[Opening],
    *,
    source: Source,
    actor: Actor,
    now: datetime,
    telling: bool = True,
) -> list[Opening]:
    """Write claims, book and queue what they pay; return the first of their rounds.

    The chains' heads are taken first, in the order of the numbers: everybody who refunds does, so
    two who refund the same numbers wait for one another there, and nowhere else.

    Those who were charged are told by SMS unless `telling` is off: then the caller does.
    """
    await journal.hold(tx, [opening.disputed.msisdn for opening in openings], now=now)
    firsts = await queries.refund(tx, openings, source=source, now=now, actor=actor.label)
    opened = [opening for opening in openings if opening.id in firsts]
    paying = [opening for opening in opened if opening.lines]
    unwound = await _unwinding(tx, paying)
    await journal.post(
        tx,
        [
            Draft(
                msisdn=opening.disputed.msisdn,
                id=opening.id,
                kind="refund",
                charge_id=opening.disputed.charge_id,
                lines=[line.booking for line in opening.lines] + unwound.get(opening.id, []),
            )
            for opening in paying
        ],
        actor=actor,
        now=now,
    )
    await payout_queries.enqueue(tx, paying, now=now)
    if telling:
        letters = [
            Outgoing(
                msisdn=opening.disputed.msisdn,
                text=refund_text(opening.disputed, opening.lines),
                kind=MessageKind.REFUND,
                about_kind="claim",
                about_id=opening.id,
            )
            for opening in paying
            if is_told(opening.disputed)
        ]
        await messaging.send_many(tx, letters, now=now)
    return opened


async def _unwinding(tx: Connection, openings: list[Opening]) -> dict[UUID, list[EntryLine]]:
    """Take back what was shared out of the charges, in step with their principal.

    Where the SP bears what comes back, its share and the operator's go against what it owes: it pays
    back what it got, and the operator keeps nothing of a wrong charge.
    """
    borne = {
        opening.disputed.charge_id: opening
        for opening in openings
        if opening.bearers.first is Bearer.SP and opening.paid_fen(RefundKind.PRINCIPAL) > 0
    }
    found: dict[UUID, list[EntryLine]] = {}
    if not borne:
        return found
    msisdns = [opening.disputed.msisdn for opening in borne.values()]
    for share in await receivable_queries.shares(tx, msisdns, list(borne)):
        opening = borne[share.charge_id]
        amount_fen = share_to_unwind(share, opening)
        if amount_fen > 0:
            line = EntryLine(
                id=hashed_id("unwind", share.charge_id, share.account, opening.round),
                debit=share.account, credit=Account.SP_RECEIVABLE, sp_id=opening.disputed.sp_id,
                amount_fen=amount_fen, reason=UNWINDING[share.account],
            )  # fmt: skip
            found.setdefault(opening.id, []).append(line)
    return found


def share_to_unwind(share: Share, opening: Opening) -> int:
    """Return how much of a share this round takes back, in fen, rounded down until all is back.

    In step with the principal returned so far: all of it when all of the charge is returned.
    """
    charge = opening.disputed
    returned_fen = charge.principal_fen + opening.paid_fen(RefundKind.PRINCIPAL)
    return share.fen * returned_fen // charge.charged_fen - share.unwound_fen
