"""The world that the tests of this room share."""

from datetime import datetime

import pytest

from spms.core.db import Connection, Pool
from tests import make
from tests.charging.world import World, code_of


@pytest.fixture
async def world(tx: Connection, pool: Pool, now: datetime) -> World:
    """Arrange the small world; the number has no relation yet."""
    sp_id = await make.sp(tx, now)
    monthly_id = await make.service(tx, now, sp_id)
    game_id = await make.service(tx, now, sp_id, kind="on_demand", price_fen=200)
    return World(
        pool=pool,
        now=now,
        sp_id=sp_id,
        monthly_id=monthly_id,
        monthly=await code_of(tx, monthly_id),
        game_id=game_id,
        game=await code_of(tx, game_id),
        msisdn=await make.number(tx, now),
    )
