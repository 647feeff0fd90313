"""What the days of a month bring: one call a day, and two that work off what is due."""

from datetime import date, datetime

from spms.core.access import Actor
from spms.core.db import Connection
from spms.settlement import (
    count_queries,
    findings,
    locking,
    months,
    queries,
    reconciliation,
)


async def keep(tx: Connection, *, actor: Actor, now: datetime) -> str:
    """Open the months whose cut-off has passed, take silence for assent, hand sheets to finance.

    Whatever day it runs: what a missed day would have brought is made up for, dated as it was due.
    """
    opened = await months.open_months(tx, now=now)
    confirmed = await queries.confirm_silent(tx, now=now, actor=actor.label)
    handed = await locking.hand_over(tx, now=now)
    return f"opened {opened}, confirmed {confirmed} by silence, handed {handed} to finance"


async def compare(
    tx: Connection, after: date | None, *, actor: Actor, now: datetime
) -> tuple[date | None, str]:
    """Compare the next day of the three-way reconciliation, then serve notice of what is due.

    Returns the day, or none when all are done, and what came of it in a few words.
    """
    await count_queries.be_patient(tx)
    done = await reconciliation.compare_next(tx, after, now=now)
    if done is not None:
        day, moved = done
        return day, f"{moved} differences of {day} moved"
    reported = await findings.report_unexplained(tx, actor=actor, now=now)
    return None, f"{reported} not explained in time"


async def work(tx: Connection, *, actor: Actor, now: datetime) -> int:
    """Do one stage of a month or lock some settlements; 0 when there is nothing to do now."""
    return await months.work(tx, actor=actor, now=now) or await locking.lock_due(
        tx, actor=actor, now=now
    )
