"""Plays a city against an instance, step by step, at the pace at which the platform digests it."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta

from spms.city import asking, charges, files, hotlines
from spms.city.api import Api
from spms.city.deeds import Doer
from spms.city.founding import NUMBERS_PER_REQUEST, found, gather
from spms.city.lives import DAY, live
from spms.city.model import Access, City, Report
from spms.city.news import News
from spms.city.progress import Progress, Shown
from spms.city.records import Form, Parcel
from spms.city.score import Played, score
from spms.city.stage import Stage
from spms.city.timeline import Event, Life

PARALLEL = 16
RECORDS_PER_BATCH = 1000


async def play(city: City, access: Access, *, progress: Progress | None = None) -> Report:
    """Play a city and return what the platform made of it.

    The instance's present becomes the beginning of the play's first day; in the end its clock
    stands `city.days` later. Raises `CityError` when the instance is no sandbox, refuses what it
    must not refuse, or does not answer for a minute.
    """
    started = time.monotonic()
    async with Api(access) as api:
        stage = Stage(city, api, await api.read_clock())
        lives = [live(person) for person in city.people]
        rows = charges.rows(city, stage.began, lives)
        parcels = files.pack(city, stage.began, rows)
        with Shown(progress) as shown:
            may_i = asking.Asking(stage, rows)
            playing = Playing(stage, lives, parcels, may_i, shown)
            await playing.run()
            await asking.decide(stage)
            played = Played(
                rows=rows, parcels=parcels, events=sum(len(life.events) for life in lives),
                spoiled=playing.spoiled, lives=lives, asking=may_i, started=started,
            )  # fmt: skip
            return await score(stage, played, shown)


class Playing:
    """The steps of one play."""

    def __init__(
        self,
        stage: Stage,
        lives: Sequence[Life],
        parcels: Sequence[Parcel],
        may_i: asking.Asking,
        shown: Shown,
    ) -> None:
        """Sort everything into steps."""
        self.stage = stage
        self._asking = may_i
        self.spoiled: dict[int, dict[int, str]] = {}
        """Parcel → line number → reason."""
        self._shown = shown
        self._doers: dict[int, Doer] = {}
        self._gate = asyncio.Semaphore(PARALLEL)
        self._events: defaultdict[timedelta, list[Event]] = defaultdict(list)
        for life in lives:
            for event in life.events:
                self._events[event.at].append(event)
        self._parcels: defaultdict[timedelta, list[Parcel]] = defaultdict(list)
        for parcel in parcels:
            self._parcels[parcel.at].append(parcel)
        self._checks = hotlines.Checks(stage)
        self._news = News(stage)
        people = len(stage.city.people)
        shown.total = (
            len(stage.city.companies)
            + -(-people // NUMBERS_PER_REQUEST)
            + sum(len(life.events) for life in lives)
            + len(parcels)
            + len(self._checks.steps)
            + len(may_i.steps)
        )

    async def run(self) -> None:
        """Found the city, then take one step after another."""
        stage = self.stage
        await found(stage, self._shown.tick)
        steps = {*self._events, *self._parcels, *self._checks.steps, *self._asking.steps}
        for at in sorted(steps):
            await stage.api.forward_to(stage.began + at)
            await self._step(at)
            await self._news.step(at)
        await self._news.read()
        await stage.api.forward_to(stage.began + DAY * stage.city.days)
        await self._checks.finish()
        await self._news.read()

    async def _step(self, at: timedelta) -> None:
        words = f"day {at // DAY + 1} of {self.stage.city.days}"
        people: defaultdict[int, list[Event]] = defaultdict(list)
        for event in self._events.get(at, ()):
            people[event.person].append(event)
        await gather(
            [
                *(self._person(n, events, words) for n, events in people.items()),
                *(self._deliver(parcel, words) for parcel in self._parcels.get(at, ())),
            ]
        )
        if at in self._asking.steps:
            await self._asking.step(at)
            self._shown.tick(f"{words}: companies ask whether they may charge")
        if at in self._checks.steps:
            await self._checks.step(at)
            self._shown.tick(f"{words}: hotlines are called")

    async def _person(self, n: int, events: list[Event], words: str) -> None:
        async with self._gate:
            doer = self._doers.setdefault(n, Doer(self.stage, n))
            await doer.do(events)
            self._shown.tick(words, len(events))

    async def _deliver(self, parcel: Parcel, words: str) -> None:
        """Deliver a parcel, some of them twice."""
        async with self._gate:
            if parcel.form is Form.BATCH:
                await self._deliver_batch(parcel)
            else:
                await self._deliver_file(parcel)
            self._shown.tick(words)

    async def _deliver_batch(self, parcel: Parcel) -> None:
        stage = self.stage
        records = [files.record(row, stage.names, stage.codes) for row in parcel.rows]
        party = stage.firms[parcel.company].party
        for start in range(0, len(records), RECORDS_PER_BATCH):
            body = {"records": records[start : start + RECORDS_PER_BATCH]}
            await stage.api.post(party, "/charge-records", body)

    async def _deliver_file(self, parcel: Parcel) -> None:
        stage = self.stage
        firm = stage.firms[parcel.company]
        file = files.write(parcel, stage.names, stage.codes, seed=stage.city.seed)
        headers = {"Content-Type": file.media_type}
        if parcel.form.is_gzip:
            headers["X-Charge-Format"] = file.inside
        for _ in range(2 if parcel.again else 1):
            answer = await stage.api.call(
                firm.party, "POST", "/charge-files", content=file.content, headers=headers
            )
            receipt = answer.body
            if firm.files.setdefault(parcel.n, receipt["id"]) != receipt["id"]:
                stage.remarks.append("one file, delivered twice, got two receipts")
        self.spoiled[parcel.n] = {line: reason.value for line, reason in file.spoiled.items()}
