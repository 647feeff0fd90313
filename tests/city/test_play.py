"""A small city, played over real HTTP against a whole instance: everything planted is found."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from rich.console import Console

from spms.city import play, report
from spms.city.api import Answer, Api, Lost, client
from spms.city.desk import Desk
from spms.city.model import Access, CityError, Report
from spms.city.plan import draw
from spms.cli import demonstration
from spms.cli.process import Base, base
from spms.cli.start import listening_socket
from spms.cli.up import serving, working
from spms.core import db, sandbox_clock
from spms.core.clock import MovableClock, SystemClock
from spms.core.partitions import make_partitions
from spms.core.settings import Settings


@contextlib.asynccontextmanager
async def instance(
    settings: Settings, began: datetime | None = None
) -> AsyncIterator[tuple[Base, Access]]:
    """Run a whole instance in this process, its clock at `began` or where it was left."""
    async with base(settings) as ground:
        if began is not None:
            assert isinstance(ground.clock, MovableClock)
            ground.clock.offset = began - SystemClock().now()
            async with db.transaction(ground.pool) as tx:
                await sandbox_clock.set_offset(tx, ground.clock.offset)
                await make_partitions(tx, now=began)
        await demonstration.prepare(ground)
        sock = listening_socket(settings)
        async with serving(ground, sock), working(ground):
            url = f"http://127.0.0.1:{sock.getsockname()[1]}"
            yield ground, await demonstration.credentials(ground.pool, url)


@pytest.fixture
def settings(owner_url: str, tmp_path: Path) -> Settings:
    """Return the settings of an instance on a database of this test's own."""
    return Settings(
        data_dir=str(tmp_path), database_url=owner_url, sandbox=True, port=0, city_subscribers=0
    )


def exactly(result: Report) -> str:
    """Return the report as text, for the message of a failing test."""
    console = Console(width=100)
    with console.capture() as capture:
        console.print(report.table(result))
    return capture.get()


ENDINGS = """
    SELECT count(*) AS told, count(*) FILTER (WHERE NOT EXISTS (
               SELECT FROM event_feed_read f
                WHERE f.sp_id = p.sp_id AND f.position >= p.position)) AS unread
      FROM leaving_duty d
      JOIN subscription_event e ON e.msisdn = d.msisdn AND e.subscription_id = d.subscription_id
      JOIN partner_event p ON p.id = e.id
     WHERE d.kind = 'sp_told' AND e.to_status IN ('ended', 'refused')
"""


@pytest.mark.timeout(900)
async def test_all_that_is_planted_is_found_and_nothing_else_twice_on_one_instance(
    settings: Settings,
) -> None:
    """Play over the end of a month, then another city on what the first left behind."""
    ticks: list[tuple[int, int]] = []
    # Shanghai: Thursday evening, two days before the end of January.
    async with instance(settings, datetime(2026, 1, 29, 11, 0, tzinfo=UTC)) as (ground, access):
        first = await play(
            draw(seed=1, subscribers=30, days=4), access,
            progress=lambda done, total, _: ticks.append((done, total)),
        )  # fmt: skip
        second = await play(draw(seed=1, subscribers=12, days=1), access)
        async with db.acquired(ground.pool) as read:
            endings = await read.fetchrow(ENDINGS)

    assert first.ok, exactly(first)
    assert second.ok, exactly(second)
    assert first.owed_fen == first.refunded_fen == first.receivable_fen > 0
    assert first.consents == first.consents_due
    assert endings is not None
    assert endings["told"] > 0
    assert not endings["unread"], "companies do not read what they are told"
    assert {score.kind for score in first.hotlines if score.planted} == {
        "hotline_unreachable", "hotline_changed",
    }  # fmt: skip
    assert ticks[-1][0] == ticks[-1][1]
    assert max(map(len, exactly(first).splitlines())) <= 100
    assert msgspec.json.decode(msgspec.json.encode(first), type=Report) == first


@pytest.mark.timeout(900)
async def test_a_city_survives_that_the_platform_goes_away_and_comes_back(
    settings: Settings,
) -> None:
    """Stop the whole instance in the middle of a play and start another on the same port."""
    began = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
    reached = asyncio.Event()

    def half_way(done: int, total: int, _: str) -> None:
        if 2 * done > total:
            reached.set()

    async with contextlib.AsyncExitStack() as stack:
        _, access = await stack.enter_async_context(instance(settings, began))
        playing = asyncio.create_task(
            play(draw(seed=2, subscribers=12, days=1), access, progress=half_way)
        )
        await asyncio.wait({playing, asyncio.ensure_future(reached.wait())},
                           return_when=asyncio.FIRST_COMPLETED)  # fmt: skip
        port = int(access.url.rpartition(":")[2])
        await stack.aclose()
        await stack.enter_async_context(instance(msgspec.structs.replace(settings, port=port)))
        result = await playing

    assert result.ok, exactly(result)
    assert result.retries > 0


@pytest.mark.timeout(900)
async def test_every_request_may_come_twice(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lose one request in thirty before it is sent, and one answer in fifteen."""
    send = Api._send
    roll = Random(3)

    async def lossy(self: Api, *what: Any, **how: Any) -> Answer:
        if roll.random() < 1 / 30:
            raise Lost("before")
        answer = await send(self, *what, **how)
        if roll.random() < 1 / 15:
            raise Lost("after")
        return answer

    monkeypatch.setattr(Api, "_send", lossy)
    async with instance(settings, datetime(2026, 3, 2, 1, 0, tzinfo=UTC)) as (_, access):
        result = await play(draw(seed=3, subscribers=12, days=1), access)

    assert result.ok, exactly(result)
    assert result.retries > 10


async def test_a_city_is_refused_by_an_instance_that_is_no_sandbox(settings: Settings) -> None:
    plain = msgspec.structs.replace(settings, sandbox=False)
    async with base(plain) as ground:
        await demonstration.prepare(ground)
        sock = listening_socket(plain)
        async with serving(ground, sock):
            url = f"http://127.0.0.1:{sock.getsockname()[1]}"
            access = await demonstration.credentials(ground.pool, url)
            with pytest.raises(CityError, match="not a sandbox"):
                await play(draw(seed=1, subscribers=1, days=1), access)


async def test_a_wrong_secret_is_said_in_plain_words_without_repeating_it(
    settings: Settings,
) -> None:
    began = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
    async with instance(settings, began) as (_, access), Api(access) as api:
        await api.read_clock()
        stranger = client(access.gateway_id, "not the secret")
        with pytest.raises(CityError, match="invalid_client") as refused:
            await api.post(stranger, "/number-events", {"events": []})

    assert "not the secret" not in str(refused.value)
    assert api.now >= began


async def test_whoever_has_looked_as_often_as_one_may_is_relieved_by_a_colleague(
    settings: Settings,
) -> None:
    began = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
    async with instance(settings, began) as (ground, access), Api(access) as api:
        await api.read_clock()
        async with db.transaction(ground.pool) as tx:
            await tx.execute(
                "INSERT INTO rulebook VALUES (2, $1, $2, 'test', $1, 'test')",
                began - timedelta(days=1), {"looks": {"hour": 2}},
            )  # fmt: skip
        search = {"msisdn": "8613800000001", "reason": "来电"}
        for _ in range(2):  # a play that is taken up again finds the colleagues of before
            desk = Desk(api)
            calls = [desk.post("/subscriptions/search", search) for _ in range(2)]
            assert {answer.status for answer in await asyncio.gather(*calls)} == {200}
        async with db.transaction(ground.pool) as tx:
            used = await tx.fetch("SELECT agent, used FROM bill_quota WHERE span = 'hour'")
        assert {row["used"] for row in used} == {2}
        assert {row["agent"] for row in used} == {"staff:agent", "staff:agent-2"}
