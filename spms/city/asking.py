"""Companies ask whether they may charge (鉴权), hold and let go; what the platform counts of that.

They ask for every charge of the day, right or wrong, but for those that are labelled as not asked
for. A charge of which no yes is on record, because nobody asked or because the answer was no, is one
the platform has to count; so is what was held and taken, and never reported.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cached_property

from spms.city.api import CONFLICT
from spms.city.founding import gather
from spms.city.lives import DAY, MAY_I
from spms.city.model import Fault, Json, Sold
from spms.city.records import Row
from spms.city.stage import Stage, require
from spms.core.clock import business_month, start_of_day

QUESTIONS_PER_REQUEST = 1000
COUNTED_AFTER = timedelta(hours=72 + 24 + 1)
"""A record may be 72 hours late, a missing one is missed a day after that, by an hourly job."""
ENDS = {
    Fault.RESERVED_NOT_DELIVERED: "release",
    Fault.DELIVERED_NOT_CHARGED: "capture",
}
"""What is held before it is charged, and how that ends."""
OF_A_USED_ORDER = frozenset({Fault.DUPLICATE, Fault.NO_CONSENT})
"""On demand, charges on an order that was charged before."""

ENDS_TODAY = "trial"
"""A company that asks in the morning is told so where the trial ends before the day's charge."""

Seen = Counter[tuple[int, str]]
"""(Company, kind) → how many."""


class Asking:
    """What companies ask on the morning of each day."""

    def __init__(self, stage: Stage, rows: Sequence[Row]) -> None:
        """Sort the charges by day and company."""
        self._stage = stage
        self._rows = rows
        self._yes: defaultdict[tuple[int, int], list[timedelta]] = defaultdict(list)
        """(Person, offer) → when a charge was allowed."""
        self._allowed: set[int] = set()
        """The records that got a yes of their own, by serial."""
        self._days: defaultdict[timedelta, defaultdict[int, list[Row]]] = defaultdict(
            lambda: defaultdict(list)
        )
        for row in rows:
            self._days[asked_at(row, stage.began)][row.company].append(row)

    @property
    def steps(self) -> list[timedelta]:
        """When something is asked, from the play's beginning."""
        return list(self._days)

    async def step(self, at: timedelta) -> None:
        """Let every company ask about the charges of a day."""
        await gather(
            self._ask(company, at, heap) for company, heap in self._days[at].items()
        )  # fmt: skip

    async def _ask(self, company: int, at: timedelta, heap: Sequence[Row]) -> None:
        stage = self._stage
        party = stage.firms[company].party
        for row in heap:
            if row.fault in ENDS:
                await self._hold(row, at, ENDS[row.fault])
        asked = [row for row in heap if row.fault not in {*ENDS, Fault.NO_DECISION}]
        for start in range(0, len(asked), QUESTIONS_PER_REQUEST):
            part = asked[start : start + QUESTIONS_PER_REQUEST]
            items = [question(stage, row) | {"purpose": "charge"} for row in part]
            key = stage.names.key("may I", company, at, start)
            path = "/authorisations/batch"
            answers = (await stage.api.post(party, path, {"items": items}, key=key)).body["items"]
            for row, answer in zip(part, answers, strict=True):
                if answer["allowed"]:
                    self._say_yes(row, at)
                elif row.fault is None and answer["reasons"] != [ENDS_TODAY]:
                    words = f"a right charge was refused: {', '.join(answer['reasons'])}"
                    stage.remarks.append(words)

    async def _hold(self, row: Row, at: timedelta, end: str) -> None:
        stage = self._stage
        party = stage.firms[row.company].party
        body = question(stage, row) | {"reference": stage.names.record_id(row.serial)}
        answer = (await stage.api.post(party, "/reservations", body)).body
        require(answer["decision"]["allowed"], "a right charge was not held")
        path = f"/reservations/{answer['reservation']['id']}/{end}"
        await stage.api.post(party, path)
        self._say_yes(row, at)

    def _say_yes(self, row: Row, at: timedelta) -> None:
        self._yes[row.person, row.offer].append(at)
        self._allowed.add(row.serial)

    def _has_yes(self, row: Row) -> bool:
        """Whether a record may rest on a yes: its own, or another's to the same month or order."""
        began = self._stage.began
        earlier = [
            began + at
            for at in self._yes[row.person, row.offer]
            if at <= asked_at(row, began)
        ]  # fmt: skip
        if row.fault is Fault.AFTER_TRANSFER:
            return False  # whoever held the number before was asked about, if anybody
        if self._stage.city.offers[row.offer].sold is Sold.MONTHLY:
            return business_month(row.at) in map(business_month, earlier)
        if row.fault in OF_A_USED_ORDER:
            return bool(earlier)
        return row.serial in self._allowed

    @cached_property
    def due(self) -> Seen:
        """What the platform has to have counted; asked for when the play is over."""
        stage = self._stage
        end = stage.began + DAY * stage.city.days
        due: Seen = Counter()
        for row in self._rows:
            if not row.reported:
                if stage.began + asked_at(row, stage.began) + COUNTED_AFTER <= end:
                    due[row.company, Fault.DELIVERED_NOT_CHARGED.value] += 1
            elif not self._has_yes(row):
                due[row.company, Fault.NO_DECISION.value] += 1
        return due

    async def counted(self) -> Seen:
        """Return what it has counted of this play's companies."""
        stage = self._stage
        firms = {firm.code: n for n, firm in stage.firms.items()}
        seen: Seen = Counter()
        for month in _months(stage.began, stage.began + DAY * stage.city.days):
            rows: list[Json] = (
                await stage.api.call(
                    stage.api.officer, "GET", "/charge-observations", query={"month": month}
                )
            ).body
            for row in rows:
                if row["sp_code"] in firms:
                    seen[firms[row["sp_code"]], row["kind"]] += row["charges"]
        return seen


def asked_at(row: Row, began: datetime) -> timedelta:
    """Return when the company asks whether it may make a charge: in the charge's own month."""
    morning = (row.at - began) // DAY * DAY + MAY_I
    return max(morning, start_of_day(business_month(row.at)) - began)


def question(stage: Stage, row: Row) -> Json:
    """Write a question about a charge."""
    return {
        "msisdn": stage.names.msisdn(row.person),
        "service_code": stage.codes[row.offer],
        "price_fen": row.price_fen,
    }


def _months(first: datetime, last: datetime) -> list[str]:
    """Name the business months from one instant to another."""
    days = range((last - first).days + 2)
    return sorted({f"{business_month(first + DAY * n):%Y-%m}" for n in days})


async def decide(stage: Stage) -> None:
    """Let the officer uphold what the platform suspects of this play's companies."""
    ours = {firm.code for firm in stage.firms.values()}
    api = stage.api
    waiting = [
        each["id"]
        async for each in api.items(api.officer, "/charge-suspicions")
        if each["sp_code"] in ours
    ]
    for suspicion in waiting:
        body = {"upheld": True, "reason": "与记录不符，属实"}
        path = f"/charge-suspicions/{suspicion}/decision"
        await api.post(api.officer, path, body, fine=(CONFLICT,))
