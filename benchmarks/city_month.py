"""S1: a city's month of charges, with errors planted, ingested, audited and refunded.

Every SP delivers a file a day, four of them at a time; after each day the jobs run that follow the
records, and at the end the month audit. Then what was found is compared with what was planted, rule
by rule. What is known and what is delivered is what `spms simulate --month` writes.
`python -m benchmarks.city_month --numbers 10000` prints the table; `--place DIR --prepare` makes the
ground and keeps it, `--place DIR` plays it (docs/benchmarks.md).
"""

import argparse
import asyncio
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import uvloop

from benchmarks import run
from benchmarks.city_ground import OBSERVED, arrange
from benchmarks.city_server import kept_server, processor_seconds
from benchmarks.figures import Figure, Ground
from spms.charging import actions as charging
from spms.charging import deliveries, files, month_audit, sealing
from spms.charging.file_model import FileFormat, Upload
from spms.charging.spooling import Manifest
from spms.city.month import BEGAN, DAYS, Month
from spms.city.month_faults import KINDS
from spms.compensation import actions as compensation
from spms.compensation import payout
from spms.core import db, roles
from spms.core.access import job_actor
from spms.core.clock import FixedClock, business_month
from spms.core.settings import Settings
from tests import make

FIGURES = (
    Figure(id="S1", title="a city's month ingested, audited, refunded: wall time", ours="minutes",
           must=40, aim=15, at_most=True, once=True, seconds=5),
    Figure(id="S1f", title="of the planted errors, found", ours="share", must=1.0, aim=1.0, once=True),
    Figure(id="S1a", title="false alarms", ours="findings", must=0, aim=0, at_most=True, once=True),
)  # fmt: skip
FULL, SHORT, ALONE = 1_000_000, 1_000, 10_000
"""Numbers; `ALONE` when nothing else is measured."""
SENDERS = 4
"""SPs that deliver at the same time: twice as many as there are cores, since some wait for the disk."""
PIECE_BYTES = 65_536
DAY = timedelta(days=1)

FOUND = """
    WITH found AS (
        SELECT c.record_id, f.kind FROM charge_finding f
          JOIN charge_record c ON c.msisdn = f.msisdn AND c.charged_at = f.charged_at
                              AND c.id = f.charge_id
         UNION ALL
        SELECT c.record_id, s.kind FROM charge_suspicion s
          JOIN charge_record c ON c.msisdn = s.msisdn AND c.charged_at = s.charged_at
                              AND c.id = s.charge_id)
    SELECT kind, count(l.record_id) AS due, count(l.record_id) FILTER (WHERE f.record_id IS NOT NULL) AS found,
           count(*) FILTER (WHERE l.record_id IS NULL) AS false
      FROM (SELECT * FROM month_label WHERE kind <> ALL($1::text[])) l
      FULL JOIN found f USING (record_id, kind) GROUP BY kind
"""
SEEN = """
    SELECT l.kind, count(*) AS due,
           COALESCE((SELECT sum(charges) FROM charge_observation o WHERE o.kind = l.kind), 0)::bigint
           AS seen
      FROM month_label l WHERE kind = ANY($1::text[]) GROUP BY l.kind
"""
SPS = "SELECT code, id FROM sp"
MONEY = """
    SELECT (SELECT COALESCE(sum(amount_fen), 0)::bigint FROM refund) AS refunded,
           (SELECT COALESCE(sum(paid), 0)::bigint FROM (
               SELECT c.price_fen - min(f.due_fen) AS paid
                 FROM charge_finding f JOIN charge_record c ON c.msisdn = f.msisdn
                      AND c.charged_at = f.charged_at AND c.id = f.charge_id
                GROUP BY c.id, c.price_fen) wrong) AS wrong_by
"""
SIZE = "SELECT pg_database_size(current_database())"


class Phases:
    """Where the time of the platform's work goes: seconds by phase, processor time too."""

    def __init__(self, server_pid: int | None) -> None:
        """Nothing yet."""
        self.wall: defaultdict[str, float] = defaultdict(float)
        self.python: defaultdict[str, float] = defaultdict(float)
        self.postgresql: defaultdict[str, float] = defaultdict(float)
        self._server_pid = server_pid

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count what happens meanwhile under a name."""
        begun, own = time.perf_counter(), time.process_time()
        server = processor_seconds(self._server_pid)
        try:
            yield
        finally:
            self.wall[name] += time.perf_counter() - begun
            self.python[name] += time.process_time() - own
            self.postgresql[name] += processor_seconds(self._server_pid) - server

    def told(self) -> Iterator[str]:
        """Say it, a line for each phase."""
        for name, wall in self.wall.items():
            yield (f"{name:10} {wall:9.1f} s; processor: python {self.python[name]:8.1f} s, "
                   f"postgresql {self.postgresql[name]:8.1f} s")  # fmt: skip


class Play:
    """One playing of a month that was arranged."""

    def __init__(self, pool: Any, directory: Path, phases: Phases) -> None:
        """Take the application's pool; `directory` is the platform's own."""
        self.pool, self.directory, self.phases = pool, directory, phases
        self.charges = 0
        self.sps: dict[str, Any] = {}
        """SPs by their codes, after which their files are named."""
        self.gateway = payout.gateway_of(Settings(data_dir=str(directory)))

    async def play(self, delivered: Path, say: Callable[[str], None]) -> None:
        """Deliver the files day by day; run the jobs after each day, and the audit at the end."""
        self.sps = {row["code"]: row["id"] for row in await self.pool.fetch(SPS)}
        for day, paths in _by_day(delivered):
            before, begun = self.charges, time.perf_counter()
            await self._deliver(paths, BEGAN + (day + 1) * DAY + timedelta(hours=1))
            await self._follow(BEGAN + (day + 1) * DAY + timedelta(hours=2))
            seconds = time.perf_counter() - begun
            say(f"day {day + 1}: {self.charges:,} charges, {sum(self.phases.wall.values()):.0f} s; "
                f"this day {(self.charges - before) / seconds:,.0f} charges/s")  # fmt: skip
        await self._follow(BEGAN + (DAYS + 6) * DAY)
        with self.phases.phase("month"):
            async with db.snapshot(self.pool) as read:
                wrong = await month_audit.contradictions(read, business_month(BEGAN + DAY))
        if wrong:
            raise SystemExit(f"stands against the facts: {wrong}")

    async def _deliver(self, paths: list[Path], now: datetime) -> None:
        waiting = iter(paths)

        async def sender() -> None:
            for path in waiting:
                await self._send(path, now)

        with self.phases.phase("ingest"):
            async with asyncio.TaskGroup() as group:
                for _ in range(SENDERS):
                    group.create_task(sender())

    async def _send(self, path: Path, now: datetime) -> None:
        async def stream() -> AsyncIterator[bytes]:
            with path.open("rb") as file:
                while piece := file.read(PIECE_BYTES):
                    yield piece

        receipt, _ = await files.receive(
            stream(), upload=Upload(form=FileFormat.CSV), manifest=Manifest(), pool=self.pool,
            clock=FixedClock(now), directory=self.directory, limit_bytes=10**9,
            actor=make.sp_actor(self.sps[path.stem]),
        )  # fmt: skip
        if receipt.landed != receipt.lines:
            raise SystemExit(f"not all landed: {receipt}")
        self.charges += receipt.landed

    async def _follow(self, now: datetime) -> None:
        """Let the jobs run that follow the records: audits of what is told late, refunds, payouts."""
        with self.phases.phase("re-audit"):
            async with db.transaction(self.pool) as tx:
                actor = job_actor("audit_deliveries")
                await deliveries.reaudit_reserved(tx, now=now, actor=actor)
                await deliveries.count_uncharged(tx, now=now)
                await charging.reaudit_recent(tx, now=now, actor=job_actor("reaudit_charges"))
        with self.phases.phase("refunds"):
            more = 1
            while more:
                async with db.transaction(self.pool) as tx:
                    more = await compensation.refund_findings(tx, now=now)
        with self.phases.phase("payouts"):
            while await payout.pump(self.pool, self.gateway, FixedClock(now)):
                pass

    async def seal(self) -> None:
        """Write the month anew as bills read it; no part of S1."""
        with self.phases.phase("sealing"):
            while True:
                async with db.transaction(self.pool) as tx:
                    if await sealing.seal_next(tx, now=BEGAN + (DAYS + 10) * DAY) is None:
                        break


def _by_day(delivered: Path) -> Iterator[tuple[int, list[Path]]]:
    for place in sorted(delivered.iterdir()):
        yield int(place.name), sorted(place.iterdir())


async def scores(owner: Any) -> dict[str, tuple[int, int, int]]:
    """Return for each rule: planted, found, false alarms."""
    table = {kind.value: (0, 0, 0) for kind in KINDS}
    for row in await owner.fetch(FOUND, list(OBSERVED), timeout=3600):
        table[row["kind"]] = (row["due"], row["found"], row["false"])
    for row in await owner.fetch(SEEN, list(OBSERVED)):
        due, seen = row["due"], row["seen"]
        table[row["kind"]] = (due, min(due, seen), max(0, seen - due))
    return table


async def measure(ground: Ground, wanted: frozenset[str]) -> None:
    """Play the month once: its arranging takes longer than all other figures."""
    if wanted & {"S1", "S1f", "S1a"}:
        numbers = SHORT if ground.short else FULL
        async with ground.database() as url:
            city = ground.directory / "city"
            await arrange(url, Month(numbers=numbers), city, say=ground.say)
            await play(ground, url, ground.directory, sealed=False)


async def play(ground: Ground, url: str, directory: Path, *, sealed: bool) -> None:
    """Play what was arranged, and note what came of it."""
    owner = await db.connect(url)
    await owner.execute("SET statement_timeout = 0")
    await roles.make_login(owner, url)
    pool = await db.open_pool(roles.app_url(url), Settings(data_dir=str(directory)))
    phases = Phases(owner.get_server_pid())
    month = Play(pool, directory, phases)
    try:
        await month.play(directory / "city" / "charges", ground.say)
        minutes = sum(phases.wall.values()) / 60
        table = await scores(owner)
        (money,) = await owner.fetch(MONEY, timeout=3600)
        size = await owner.fetchval(SIZE)
        if sealed:
            await month.seal()
    finally:
        await pool.close()
        await owner.close()
    for kind, (due, found, false) in table.items():
        precision = found / (found + false) if found + false else 1.0
        ground.say(f"S1: {kind:24} planted {due:5} found {found:5} false alarms {false:5}"
                   f" precision {precision:.3f}")  # fmt: skip
    for line in phases.told():
        ground.say(f"S1: {line}")
    ground.say(f"S1: {month.charges:,} charges in {minutes * 60:.1f} s, "
               f"{month.charges / minutes / 60:,.0f}/s; wrong by {money['wrong_by']} fen, refunded "
               f"{money['refunded']}; the database holds {size / 1e9:.1f} GB")  # fmt: skip
    due = sum(row[0] for row in table.values())
    ground.note("S1", minutes)
    ground.note("S1f", sum(row[1] for row in table.values()) / due)
    ground.note("S1a", float(sum(row[2] for row in table.values())))


def _say(words: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {words}", file=sys.stderr, flush=True)  # noqa: T201


async def _alone(numbers: int, *, sealed: bool) -> None:
    async def work(ground: Ground) -> None:
        async with ground.database() as url:
            await arrange(url, Month(numbers=numbers), ground.directory / "city", say=ground.say)
            await play(ground, url, ground.directory, sealed=sealed)

    await run.on_server(work, say=_say)


async def _kept(place: Path, numbers: int, *, prepare: bool, lean: bool, sealed: bool) -> None:
    """Prepare a month in a directory, or play the one that was prepared there."""
    async with kept_server(place, fresh=prepare) as (admin_url, url):
        if prepare:
            month = Month(numbers=numbers)
            _say(f"{numbers:,} numbers, {month.companies} SPs")
            await arrange(url, month, place / "city", say=_say, lean=lean)
            return
        ground = Ground(admin_url, short=True, pairs=1, say=_say, directory=place)
        await play(ground, url, place, sealed=sealed)


def main() -> None:
    """Play a month of any size and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--numbers", type=int, default=ALONE)
    parser.add_argument("--place", type=Path, help="a directory that keeps server and files")
    parser.add_argument("--prepare", action="store_true", help="make the ground, do not play")
    parser.add_argument("--lean", action="store_true", help="prepare a ground a fifth smaller")
    parser.add_argument("--seal", action="store_true", help="seal the month after playing it")
    told = parser.parse_args()
    if told.prepare and told.place is None:
        parser.error("--prepare needs --place")
    if told.place is None:
        uvloop.run(_alone(told.numbers, sealed=told.seal))
    else:
        told.place.mkdir(parents=True, exist_ok=True)
        told.place.chmod(0o755)  # PostgreSQL may have to run as another user
        uvloop.run(
            _kept(
                told.place, told.numbers, prepare=told.prepare, lean=told.lean, sealed=told.seal
            )
        )  # fmt: skip


if __name__ == "__main__":
    main()
