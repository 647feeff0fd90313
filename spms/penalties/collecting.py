"""Money after finality: fines into the book, settlement cuts, apologies ordered.

A breach becomes final when its time to appeal is over without an appeal, or when an appeal upheld
it. Nothing is collected before, and nothing can be appealed after (CHECK `breach_final`).
"""

from datetime import datetime
from uuid import UUID

from spms.compensation import journal
from spms.compensation.accounts import Account
from spms.compensation.journal_model import Draft, EntryLine
from spms.core import rulebook
from spms.core.access import Actor
from spms.core.clock import business_month, next_month, start_of_day
from spms.core.db import Connection
from spms.core.ids import derived_id
from spms.partners import actions as partners
from spms.partners.model import Measure
from spms.penalties import fine_queries
from spms.penalties.catalogue import CATALOGUE, terms
from spms.penalties.effect import CAUSE
from spms.penalties.fine_queries import Collected
from spms.penalties.model import PenaltyRules
from spms.penalties.rules import cause_of

BATCH = 500


async def collect(tx: Connection, *, actor: Actor, now: datetime, limit: int = BATCH) -> int:
    """Make final what is beyond appeal, book the fines that are due, cut, order apologies.

    At most `limit` of each at once. Returns how many fines were booked. Any number may run at once: each fine is taken once.
    """
    await fine_queries.make_final(tx, now=now, actor=actor.label, limit=limit)
    fines = await fine_queries.collect(tx, now=now, limit=limit)
    await journal.post(tx, [_entry(fine) for fine in fines], actor=actor, now=now)
    await _cut(tx, actor=actor, now=now)
    sorry = [str(kind) for kind, offence in CATALOGUE.items() if offence.apology]
    await fine_queries.order_apologies(tx, sorry, now=now)
    return len(fines)


def entry_id(breach_id: UUID) -> UUID:
    """Return the entry of the book by which a breach's fine is collected."""
    return derived_id("fine", breach_id)


def _entry(fine: Collected) -> Draft:
    """Return the booking of a fine: it lowers what settlement will pay the SP."""
    booked = entry_id(fine.breach_id)
    line = EntryLine(
        id=derived_id("posting", booked), debit=Account.SP_PAYABLE, credit=Account.FINES,
        sp_id=fine.sp_id, amount_fen=fine.amount_fen, reason="fine",
    )  # fmt: skip
    return Draft(msisdn=journal.sp_chain(fine.sp_id), id=booked, kind="fine", lines=[line])


async def _cut(tx: Connection, *, actor: Actor, now: datetime) -> None:
    """Cut the running month's settlement by the percentage of the grade, once for each breach."""
    rules = await rulebook.section(tx, PenaltyRules, at=now)
    until = start_of_day(next_month(business_month(now)))
    for breach in await fine_queries.to_cut(tx, now, BATCH):
        percent = terms(breach.kind, rules, grade=breach.grade).cut_percent
        if percent:
            await partners.restrict(
                tx, sp_id=breach.sp_id, service_id=None, measure=Measure.SETTLEMENT_CUT,
                cut_percent=percent, cause_kind=CAUSE, ends_at=until,
                cause_id=cause_of(breach.id, Measure.SETTLEMENT_CUT),
                reason=f"a breach of grade {breach.grade}", actor=actor, now=now,
            )  # fmt: skip
