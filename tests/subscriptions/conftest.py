import pytest

from spms.core import db
from spms.core.clock import FixedClock
from tests.subscriptions.world import World


@pytest.fixture
def world(pool: db.Pool, clock: FixedClock) -> World:
    """Return everything a conversation needs."""
    return World(pool, clock)
