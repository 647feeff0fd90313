"""Writing refunds: the one way money goes back, whatever decided it.

Used by every entrance: claims, the audit, verification, mass corrections.
"""

from datetime import datetime

from spms.compensation import journal, payout_queries, queries
from spms.compensation.accounts import Bearer
from spms.compensation.journal_model import Draft
from spms.compensation.model import CompensationRules, Disputed, Opening, Source, Verdict
from spms.compensation.rules import is_told, outstanding, refund_lines, refund_text
from spms.core.access import Actor
from spms.core.db import Connection
from spms.core.ids import new_id
from spms.messaging import bulk
from spms.messaging.model import MessageKind


def opening_of(
    charge: Disputed, verdict: Verdict, rules: CompensationRules, reason: str | None = None
) -> Opening:
    """Prepare the claim that pays what a verdict leaves missing.

    Without words, the finding is the reason.
    """
    return Opening(
        id=new_id(),
        disputed=charge,
        round=charge.round + 1,
        due_fen=verdict.due_fen,
        honoured_due_fen=verdict.due_fen,
        reason=reason or str(verdict.decided_by),
        cause=None,
        bearer=Bearer.SP,
        lines=refund_lines(charge, outstanding(charge, verdict.due_fen, rules)),
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

    Those who were charged are told by SMS unless `telling` is off: then the caller does.
    """
    firsts = await queries.refund(tx, openings, source=source, now=now, actor=actor.label)
    opened = [opening for opening in openings if opening.id in firsts]
    paying = [opening for opening in opened if opening.lines]
    await journal.post(
        tx,
        [
            Draft(
                msisdn=opening.disputed.msisdn,
                id=opening.id,
                kind="refund",
                charge_id=opening.disputed.charge_id,
                lines=[line.booking for line in opening.lines],
            )
            for opening in paying
        ],
        actor=actor,
        now=now,
    )
    await payout_queries.enqueue(tx, paying, now=now)
    if telling:
        await bulk.send_many(
            tx,
            [
                bulk.Letter(
                    msisdn=opening.disputed.msisdn,
                    text=refund_text(opening.disputed, opening.lines),
                    about_id=str(opening.id),
                )
                for opening in paying
                if is_told(opening.disputed)
            ],
            kind=MessageKind.REFUND,
            about_kind="claim",
            now=now,
        )
    return opened
