"""How much an SP has sent of what it agreed with the operator, counted across all processes.

Who decides about messages of an SP with a quota holds the SP's row until its answers are on record;
others who would send for that SP wait for it, and nobody else does. A second is one by the clock,
from the full second on; a business day and month are Shanghai's. Counting begins with the first
message that is asked about after a quota was agreed, and never ends.
"""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Final
from uuid import UUID

from spms.authorisation import quota_queries as queries
from spms.authorisation.model import Purpose, SentFact
from spms.authorisation.quota_queries import UseRow
from spms.authorisation.reservation_model import Ask
from spms.authorisation.standing import Standing
from spms.core.clock import business_day, business_month
from spms.core.db import Connection


def metered(asks: Iterable[Ask], standing: Standing, at: datetime) -> set[UUID]:
    """Return the SPs with a quota that might be allowed to send something.

    Nobody is allowed to send for another SP's service, whoever asks.
    """
    found: set[UUID] = set()
    if not standing.quotas:
        return found
    for ask in asks:
        if ask.request.purpose is Purpose.MESSAGE:
            service = standing.service(ask.request.service_code, at)
            if service is None or ask.sp_id not in {None, service.sp_id}:
                continue
            if standing.sp(service.sp_id, at).quota is not None:
                found.add(service.sp_id)
    return found


class Meter:
    """What one SP has sent, as questions are answered one after another."""

    def __init__(self, row: UseRow, at: datetime) -> None:
        """Read the row as of an instant; a clock that is behind counts in the row's own second."""
        self.row, self._day = row, business_day(at).day
        second = at.replace(microsecond=0)
        self._second = second if row.second is None else max(second, row.second)
        self._before = row.in_second if self._second == row.second else 0
        self.added = 0

    def sent(self) -> SentFact:
        """Return what was sent before the next question."""
        return SentFact(
            second=self._before + self.added,
            day=self.row.by_day[self._day - 1] + self.added,
            month=sum(self.row.by_day) + self.added,
        )

    def count(self) -> None:
        """Count one that is allowed."""
        self.added += 1

    def step(self) -> queries.Step:
        """Return what the row becomes."""
        return queries.Step(
            sp_id=self.row.sp_id, turn=self.row.turn, day=self._day, added=self.added,
            second=self._second, in_second=self._before + self.added,
        )  # fmt: skip


Meters = dict[UUID, Meter]
NO_METERS: Final[Meters] = {}


async def hold(tx: Connection, sps: Collection[UUID], at: datetime) -> Meters:
    """Let nobody else send for these SPs until the transaction ends; return what was sent."""
    if not sps:
        return {}
    rows = await queries.hold(tx, sorted(sps), business_month(at))
    return {row.sp_id: Meter(row, at) for row in rows}


async def write(tx: Connection, meters: Meters, at: datetime) -> bool:
    """Write back what was allowed; False when somebody else wrote in between."""
    steps = [meter.step() for meter in meters.values() if meter.added]
    return not steps or await queries.write(tx, steps, business_month(at)) == len(steps)


async def sent_by(read: Connection, sp_id: UUID, at: datetime) -> SentFact:
    """Work out what an SP had sent just before an instant, from the decisions on record."""
    days = await queries.days(read, sp_id, business_month(at))
    earlier = sum(days[: business_day(at).day - 1]) if days is not None else 0
    second, day = await queries.counted(read, sp_id, at)
    return SentFact(second=second, day=day, month=earlier + day)
