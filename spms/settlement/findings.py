"""What settlement's audits find is a breach's notice: served by the room below, decided by people.

A report that holds a month serves its notice in the transaction that places the hold; a difference
between what was delivered and what was charged, once the SP's time to explain it is over. One that
is settled lifts no hold, and a hold that is lifted settles no breach: each has its own decision.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID

from spms.core import rulebook
from spms.core.access import Actor
from spms.core.db import Connection
from spms.core.workdays import CalendarRules
from spms.penalties import actions as penalties
from spms.penalties.model import BreachKind, Finding, Source
from spms.settlement import finding_queries as queries
from spms.settlement.model import SettlementRules

FROM_REPORT: Final[Mapping[str, tuple[BreachKind, str]]] = {
    "silent_users": (BreachKind.CHARGED_UNUSED, "monthly payers never used what they pay for"),
    "self_consumption": (BreachKind.SELF_CONSUMPTION, "comes from few numbers or the SP's own"),
    "arrears": (BreachKind.SELF_CONSUMPTION, "is on numbers barred for arrears"),
}
"""By the kind of report. Numbers that never pay are consumed by nobody (虚假用户)."""

AT_ONCE: Final = 500


async def report_flagged(
    tx: Connection, month: date, sp_ids: Sequence[UUID], *, actor: Actor, now: datetime
) -> int:
    """Serve notice of what the month's reports flag about some SPs; return how many there were."""
    flagged = await queries.flagged(tx, month, sp_ids)
    for one in flagged:
        kind, words = FROM_REPORT[one.kind]
        found = Finding(
            sp_id=one.sp_id, kind=kind, source=Source.SETTLEMENT_AUDIT,
            source_id=f"{one.sp_id}/{month}/{one.kind}", subject=f"month {month}",
            statement=f"{one.share_bp / 100:.2f} % of the month of {month}, {one.numbers} numbers,"
            f" {words}; {one.threshold_bp / 100:.2f} % hold a settlement",
        )  # fmt: skip
        await penalties.report(tx, found, actor=actor, now=now)
    return len(flagged)


async def report_unexplained(tx: Connection, *, actor: Actor, now: datetime) -> int:
    """Serve notice of differences that an SP has not explained in its time; return how many."""
    rules = await rulebook.section(tx, SettlementRules, at=now)
    calendar = await rulebook.section(tx, CalendarRules, at=now)
    before = now - timedelta(days=rules.explain_working_days)
    late = [
        one
        for one in await queries.unexplained(tx, before, AT_ONCE)
        if calendar.days_later(one.found_at, rules.explain_working_days) <= now
    ]
    for one in sorted(late, key=lambda one: (one.sp_id, one.id)):
        found = Finding(
            sp_id=one.sp_id, kind=BreachKind.SETTLEMENT_DATA_FALSE, source=Source.SETTLEMENT_AUDIT,
            source_id=f"difference/{one.id}", subject="reconciliation",
            service_ids=[one.service_id],
            statement=f"of {one.day}, {one.charged} uses were charged and {one.delivered}"
            f" delivered ({one.kind}); not explained in {rules.explain_working_days} working days",
        )  # fmt: skip
        await penalties.report(tx, found, actor=actor, now=now)
    return len(late)
