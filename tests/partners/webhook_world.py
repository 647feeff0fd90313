"""An SP with a receiver of its own: a real HTTP server on loopback that answers as it is told."""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import asyncpg
from aiohttp import web

from spms.core import db
from spms.core.clock import FixedClock
from spms.partners import event_feed, webhook_actions
from spms.partners.event_feed_model import News
from spms.partners.webhook_courier import pump_webhooks
from spms.partners.webhook_model import MadeEndpoint, NewEndpoint
from spms.partners.webhook_post import Poster
from tests import make

Respond = Callable[["Got"], Awaitable[web.StreamResponse]]


class Got:
    """One request as it arrived."""

    def __init__(self, body: bytes, headers: dict[str, str]) -> None:
        self.body = body
        self.headers = headers
        self.json: dict[str, Any] = json.loads(body)

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def position(self) -> int:
        position: int = self.json["position"]
        return position

    @property
    def subject(self) -> str:
        return str(self.json["subject"])


async def fine(_: Got) -> web.StreamResponse:
    return web.Response(text="ok")


class Receiver:
    """Remembers what arrived; `respond` decides what is answered."""

    def __init__(self) -> None:
        self.got: list[Got] = []
        self.accepted: dict[str, set[int]] = defaultdict(set)
        self.overtaken: list[Got] = []
        self.at_once = 0
        self.at_once_max = 0
        self.respond: Respond = fine
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        got = Got(await request.read(), headers)
        before = [each.position for each in self.got
                  if each.subject == got.subject and each.position < got.position]  # fmt: skip
        if not self.accepted[got.subject].issuperset(before):
            self.overtaken.append(got)
        self.got.append(got)
        self.at_once += 1
        self.at_once_max = max(self.at_once, self.at_once_max)
        try:
            answer = await self.respond(got)
        finally:
            self.at_once -= 1
        if 200 <= answer.status < 300:
            self.accepted[got.subject].add(got.position)
        return answer

    @property
    def positions(self) -> list[int]:
        return [each.position for each in self.got]


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """Serve a receiver on a free port of this machine."""
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/{path:.*}", receiver.handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        yield receiver
    finally:
        await runner.cleanup()


class WebhookWorld:
    """Steps of the flow, each a transaction of its own."""

    def __init__(self, pool: db.Pool, clock: FixedClock) -> None:
        self.pool = pool
        self.clock = clock

    async def sp(self) -> UUID:
        async with db.transaction(self.pool) as tx:
            return await make.sp(tx, self.clock.now())

    async def endpoint(self, sp_id: UUID, url: str, *types: str) -> MadeEndpoint:
        async with db.transaction(self.pool) as tx:
            return await webhook_actions.register(
                tx, sp_id, NewEndpoint(url=url, types=list(types)), loopback=True,
                actor=make.sp_actor(sp_id), now=self.clock.now(),
            )  # fmt: skip

    def news(self, sp_id: UUID, subject: str = "a", kind: str = "subscription.ended") -> News:
        return News(
            id=uuid4(), sp_id=sp_id, type=kind, subject=subject, occurred_at=self.clock.now(),
            data={"status": "ended"},
        )  # fmt: skip

    async def told(self, sp_id: UUID, *subjects: str) -> None:
        """Tell one event about each subject and number them."""
        async with db.transaction(self.pool) as tx:
            await event_feed.tell(tx, [self.news(sp_id, subject) for subject in subjects])
        await self.numbered()

    async def numbered(self) -> int:
        async with db.transaction(self.pool) as tx:
            if not await event_feed.take_turn(tx):
                return 0
            return await event_feed.number(tx, now=self.clock.now())

    async def sent(self, pool: db.Pool | None = None) -> int:
        return await pump_webhooks(
            pool or self.pool, self.clock, lambda: Poster(loopback=True)
        )  # fmt: skip

    async def deliveries(self, made: MadeEndpoint) -> list[tuple[int, str, int]]:
        rows = await self.pool.fetch(
            "SELECT position, state, tries FROM webhook_delivery WHERE endpoint_id = $1 "
            "ORDER BY position",
            made.endpoint.id,
        )
        return [tuple(row) for row in rows]

    async def endpoint_row(self, made: MadeEndpoint) -> asyncpg.Record:
        row = await self.pool.fetchrow(
            "SELECT * FROM webhook_endpoint WHERE id = $1", made.endpoint.id
        )
        assert row is not None
        return row

    async def results(self, made: MadeEndpoint) -> list[tuple[str, int | None]]:
        rows = await self.pool.fetch(
            "SELECT result, http_status FROM webhook_attempt WHERE endpoint_id = $1 ORDER BY id",
            made.endpoint.id,
        )
        return [tuple(row) for row in rows]


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that another task brings about."""
    while not condition():  # noqa: ASYNC110 - the other task is a server, or a pump
        await asyncio.sleep(0.01)
