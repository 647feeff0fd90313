"""A world in which the answer is yes, for each kind of service."""

from datetime import datetime

import pytest

from spms.core.db import Connection, Pool
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
