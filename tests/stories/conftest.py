"""The whole house under a story: database, HTTP server, jobs, SMS link, and hotlines over SIP."""

import socket
from collections.abc import AsyncIterator

import httpx
import msgspec
import pytest

from jobs.timetable import House
from spms.cli import demonstration
from spms.cli.process import Base
from spms.cli.start import listening_socket
from spms.cli.up import serving
from spms.core import db
from spms.core.clock import FixedClock
from spms.core.settings import Settings
from spms.inspections.prober import sandbox_prober
from spms.messaging.sandbox import SandboxLink
from tests.stories.world import World


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Serve on any free port of the loopback."""
    return msgspec.structs.replace(settings, port=0)


@pytest.fixture
async def world(pool: db.Pool, clock: FixedClock, settings: Settings) -> AsyncIterator[World]:
    """Bring the house up on the test's own loop and clock, with the demonstration's staff."""
    ground = Base(settings=settings, pool=pool, clock=clock, embedded=None, migrated=[])
    await demonstration.prepare(ground)
    sock = listening_socket(settings)
    # asyncio sends small answers at once only where the socket names its protocol; uvloop always.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    url = "http://{}:{}".format(*sock.getsockname())
    async with (
        serving(ground, sock),
        httpx.AsyncClient(base_url=url, timeout=30) as http,
        sandbox_prober(pool) as prober,
    ):
        house = House(
            pool=pool, clock=clock, settings=settings, link=SandboxLink(pool, clock),
            prober=prober,
        )  # fmt: skip
        yield World(http, house, clock, await demonstration.credentials(pool, url))
