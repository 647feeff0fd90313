"""Who was written to in a pack: all who were not denied, found in one pass over its places."""

from uuid import UUID

import pytest

from spms.core.ids import new_id
from spms.settlement import held_queries, report_queries
from tests import make
from tests.settlement.conftest import DAY, JANUARY, MONTH

DENIED = [[], [1], [4], [2, 3], [3, 2], [2, 2], [4, 3, 2], [1, 2, 3, 4], [5, 9], [0, -1]]
"""Places, from 1, of the denied of a pack of four; some of them no honest pack has."""


async def insert(tx, sp_id, numbers, denied):
    row = {
        "sp_id": sp_id, "id": UUID(int=new_id().int >> 16 << 16), "decided_at": JANUARY + DAY,
        "decisions": len(numbers), "numbers": ",".join(numbers), "denied": denied, "body": b"",
        "requested_by": "x",
    }  # fmt: skip
    await make._insert(tx, "decision_pack", row)


@pytest.mark.parametrize("denied", DENIED)
async def test_whoever_was_not_denied_was_written_to(world, tx, denied):
    numbers = [f"861390000000{n}" for n in range(1, 5)]
    await insert(tx, world.sp_id, numbers, denied)
    used = report_queries.USED.format(of="", of_access="", of_pack="")
    rows = await tx.fetch(f"SELECT sp_id, msisdn FROM {used}", JANUARY, JANUARY + 30 * DAY)
    expected = {number for place, number in enumerate(numbers, 1) if place not in denied}
    assert {row["msisdn"] for row in rows} == expected
    assert {row["sp_id"] for row in rows} <= {world.sp_id}


@pytest.mark.parametrize("kind", ["force_generic_plan", "force_custom_plan"])
@pytest.mark.parametrize("room", ["report", "held"])
async def test_what_was_denied_is_hashed_and_not_searched_for_each_place(
    world, tx, owner, room, kind
):
    size = 2000
    numbers = [f"86139{n:08}" for n in range(size)]
    for _ in range(20):
        await insert(tx, world.sp_id, numbers, list(range(1, size, 2)))
    await owner.execute("VACUUM ANALYZE decision_pack")
    when = (JANUARY, JANUARY + 30 * DAY, JANUARY + 40 * DAY, 1_000_000)
    asked = {
        "report": (report_queries.PAYERS, *when),
        "held": (held_queries.PAYERS, *when, world.sp_id, MONTH, "silent_users"),
    }
    await tx.execute(f"SET plan_cache_mode = {kind}")
    statement, *arguments = asked[room]
    plan = "\n".join(row[0] for row in await tx.fetch(f"EXPLAIN {statement}", *arguments))
    await tx.execute("RESET plan_cache_mode")
    assert "hashed SubPlan" in plan
    assert "<> ALL" not in plan
