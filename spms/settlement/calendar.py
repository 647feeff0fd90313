"""What the days of a month bring: one call a day, and one that works off what is due."""

from datetime import datetime

from spms.core.access import Actor
from spms.core.db import Connection
from spms.settlement import findings, locking, months, queries, reconciliation


async def keep(tx: Connection, *, actor: Actor, now: datetime) -> str:
    """Open the months whose cut-off has passed, take silence for assent, hand sheets to finance.

    Notice is served of differences that no SP explained in its time. Whatever day it runs: what a missed day would have brought is made up for, dated as it was due.
    """
    opened = await months.open_months(tx, now=now)
    confirmed = await queries.confirm_silent(tx, now=now, actor=actor.label)
    handed = await locking.hand_over(tx, now=now)
    moved = await reconciliation.compare_again(tx, now=now)
    reported = await findings.report_unexplained(tx, actor=actor, now=now)
    return (
        f"opened {opened}, confirmed {confirmed} by silence, handed {handed} to finance, "
        f"{moved} differences moved, {reported} not explained in time"
    )


async def work(tx: Connection, *, actor: Actor, now: datetime) -> int:
    """Do one stage of a month or lock some settlements; 0 when there is nothing to do now."""
    return await months.work(tx, actor=actor, now=now) or await locking.lock_due(
        tx, actor=actor, now=now
    )
