"""A world in which the answer is yes, for each kind of service; the application as it is served."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, cast

import pytest
import uvicorn
from httpx import ASGITransport, AsyncClient
from litestar import Litestar

from spms.app import edge
from spms.core.db import Connection, Pool
from spms.core.edge import Edge
from spms.core.settings import Settings
from spms.core.wire import Wire
from tests.authorisation.arrange import World


@pytest.fixture
async def world(pool: Pool, owner: Connection, now: datetime) -> World:
    """Return an SP's monthly service at 8 yuan and a number that confirmed it yesterday."""
    return await World(pool, owner, now).build()


@pytest.fixture
async def orders(pool: Pool, owner: Connection, now: datetime) -> World:
    """Return an SP's on-demand service at 8 yuan and a number that ordered it an hour ago."""
    return await World(pool, owner, now).build(kind="on_demand")


@pytest.fixture
async def uses(pool: Pool, owner: Connection, now: datetime) -> World:
    """Return the same with five orders: what may be charged again and again, up to the cap of 30."""
    return await World(pool, owner, now).build(kind="on_demand", orders=5)


@pytest.fixture
async def port(http: AsyncClient, sandbox_app: Edge, settings: Settings) -> AsyncIterator[int]:
    """Serve the application as `spms up` does."""
    assert http is not None
    app = edge(cast("Litestar", sandbox_app.app), settings)
    config = uvicorn.Config(
        cast("Any", app), log_config=None, lifespan="off", server_header=False,
        proxy_headers=False, http=Wire, port=0, timeout_graceful_shutdown=1,
    )  # fmt: skip
    server = uvicorn.Server(config)
    task = asyncio.create_task(server._serve())  # without its signal handling
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event
        await asyncio.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await task


@pytest.fixture
async def usual(
    http: AsyncClient, sandbox_app: Edge, settings: Settings
) -> AsyncIterator[AsyncClient]:
    """Return a client of the same application without any short way."""
    assert http is not None
    app = Edge(sandbox_app.app, body_limit=settings.body_limit_bytes)
    transport = ASGITransport(app=cast("Any", app), raise_app_exceptions=False)
    async with AsyncClient(transport=transport, base_url="http://spms.test") as client:
        yield client
