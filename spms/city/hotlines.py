"""The spot check of the last day: some hotlines go dead, an officer draws a plan, calls are made.

Until then every line answers, so that no measure against a company disturbs the play. What is
dead then is a breach, after retests; what the network did is none.
"""

import asyncio
import time
from collections.abc import Iterator
from datetime import datetime, timedelta

from spms.city.api import CONFLICT
from spms.city.founding import set_line
from spms.city.lives import BUY, DAY
from spms.city.model import Hotline, Json, LineStory
from spms.city.stage import Firm, Stage
from spms.core.clock import SHANGHAI

OPENS = timedelta(hours=8, minutes=40)
CLOSES = timedelta(hours=19, minutes=45)
"""Calls are permitted from 08:30 to 20:00 in Shanghai."""
BETWEEN = timedelta(minutes=35)
"""A retest follows half an hour after a call at the earliest."""
ROUNDS = 6
"""What shows a dead line bad (five failed calls), and one more for a call that said nothing."""
AFTER_LAST_ORDER = timedelta(minutes=30)
WAIT_SECONDS = 60.0
"""A call that was cut off by a crash is given up by the platform after half a minute."""
BREACH_SECONDS = 30.0
POLL_SECONDS = 0.3

BEHAVIOURS = {
    LineStory.ANSWER: "answer",
    LineStory.BUSY_ONCE: "busy",
    LineStory.NO_ANSWER: "no_answer",
    LineStory.CHANGED: "changed",
    LineStory.CONGESTION: "congestion",
}
BREACHES = {
    LineStory.NO_ANSWER: "hotline_unreachable",
    LineStory.CHANGED: "hotline_changed",
}
"""What the platform calls the breach."""


class Checks:
    """The rounds of calls of the last day, and the appeals after them."""

    def __init__(self, stage: Stage) -> None:
        """Choose when the rounds are."""
        self._stage = stage
        self._plan = ""
        self._over = False
        first = _first_round(stage.began, stage.city.days)
        self.steps = [first + BETWEEN * n for n in range(ROUNDS)]
        """From the play's beginning."""

    async def step(self, at: timedelta) -> None:
        """Make one round of calls and wait until they are over."""
        if at == self.steps[0]:
            await self._begin()
        if self._over:
            return
        await self._until_called()
        if at == self.steps[0]:
            for _, line in self._lines():
                if line.story is LineStory.BUSY_ONCE:
                    await self._set(line, "answer")
        self._over = await self._judged()

    async def finish(self) -> None:
        """Let the companies that are labelled so appeal, and the second officer quash."""
        await self._until_breaches()
        for firm, line in self._lines():
            if line.appealed:
                await self._appeal(firm, BREACHES[line.story])

    async def _begin(self) -> None:
        for _, line in self._lines():
            if line.story is not LineStory.ANSWER:
                await self._set(line, BEHAVIOURS[line.story])
        api = self._stage.api
        key = self._stage.names.key("plan")
        answer = await api.post(api.officer, "/inspection-plans", {"start": "now"}, key=key)
        self._plan = answer.body["id"]

    async def _set(self, line: Hotline, behaviour: str) -> None:
        await set_line(self._stage.api, self._stage.names.hotline(line.n), behaviour)

    def _lines(self) -> Iterator[tuple[Firm, Hotline]]:
        for firm in self._stage.firms.values():
            for line in firm.company.hotlines:
                yield firm, line

    async def _judged(self) -> bool:
        """Whether every dead line has its verdict; a good one may need some more days for it."""
        dead = {self._stage.names.hotline(line.n) for _, line in self._lines() if line.is_breach}
        return all(
            item["verdict"] is not None or item["hotline"] not in dead
            for item in await self._items()
        )

    async def _until_called(self) -> None:
        """Wait until no call to this city's lines is due or under way."""
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            open_calls = await self._open_calls()
            if not open_calls:
                return
            if time.monotonic() > deadline:
                words = f"{open_calls} hotline calls were not made within {WAIT_SECONDS:.0f} s"
                self._stage.remarks.append(words)
                return
            await asyncio.sleep(POLL_SECONDS)

    async def _open_calls(self) -> int:
        now = self._stage.api.now
        return sum(
            call["state"] == "placing"
            or (call["state"] == "due" and datetime.fromisoformat(call["due_at"]) <= now)
            for item in await self._items()
            for call in item["calls"]
        )

    async def _items(self) -> list[Json]:
        """Return the plan's items that are this city's."""
        api = self._stage.api
        ours = {firm.sp_id for firm in self._stage.firms.values()}
        found: list[Json] = []
        query = {"limit": "100"}
        while True:
            page = await api.get(api.officer, f"/inspection-plans/{self._plan}", **query)
            found += [item for item in page["items"] if item["sp_id"] in ours]
            if page["next"] is None:
                return found
            query["after"] = page["next"]

    async def _until_breaches(self) -> None:
        """Wait until each dead line has become a breach; the score says which has not."""
        due = {(firm.sp_id, BREACHES[line.story]) for firm, line in self._lines() if line.is_breach}
        deadline = time.monotonic() + BREACH_SECONDS
        while time.monotonic() < deadline:
            if due <= {(b["sp_id"], b["kind"]) for b in await self._breaches()}:
                return
            await asyncio.sleep(POLL_SECONDS)

    async def _breaches(self) -> list[Json]:
        api = self._stage.api
        return [
            breach
            async for breach in api.items(api.officer, "/breaches")
            if self._stage.firm_by_id(breach["sp_id"]) is not None
        ]

    async def _appeal(self, firm: Firm, kind: str) -> None:
        """Appeal against a breach; where it is asked for again, look the appeal up."""
        api = self._stage.api
        for breach in await self._breaches():
            if (breach["sp_id"], breach["kind"]) != (firm.sp_id, kind):
                continue
            statement = {"statement": "号码变更前已书面报备,附回执"}
            path = f"/breaches/{breach['id']}/appeal"
            answer = await api.post(firm.party, path, statement, fine=(CONFLICT,))
            appeal = answer.body["id"] if answer.status != CONFLICT else ""
            async for waiting in api.items(api.officer2, "/appeals"):
                if waiting["breach_id"] == breach["id"]:
                    appeal = waiting["id"]
            if appeal:
                decision = {"uphold": False, "reason": "报备属实,予以撤销"}
                path = f"/appeals/{appeal}/decision"
                await api.post(api.officer2, path, decision, fine=(CONFLICT,))


def _first_round(began: datetime, days: int) -> timedelta:
    """Return when calls may be made after the play's last order, with time left for all rounds."""
    earliest = DAY * (days - 1) + BUY + AFTER_LAST_ORDER
    at = (began + earliest).astimezone(SHANGHAI)
    midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
    if at < midnight + OPENS:
        return midnight + OPENS - began
    if at + BETWEEN * ROUNDS <= midnight + CLOSES:
        return earliest
    return midnight + DAY + OPENS - began
