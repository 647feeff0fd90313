"""`spms invariants` holds a file's counters against the charges and the quarantine it made."""

from datetime import timedelta

import pytest

from spms.charging.invariant_queries import FEW, INVARIANTS
from spms.core.invariants import Invariant, check
from tests import make
from tests.charging.world import csv_of

CSV = {"Content-Type": "text/csv"}
WRONG = {"findings": ["no_consent"], "due_fen": 0}
ONE_LESS = """
    UPDATE charge_record SET file_id = NULL
     WHERE id = (SELECT id FROM charge_record WHERE file_id = $1 LIMIT 1)
"""
(FILES,) = INVARIANTS
VERY_MANY = Invariant(
    name=FILES.name, promise=FILES.promise, statement=FILES.statement.replace(str(FEW), "-1e9")
)
"""The same where it is never few that there are."""


async def offending(read, what=FILES):
    (found,) = await check(read, [what])
    return found.offending


@pytest.fixture
async def sent(http, sign_in, world):
    """Send two files with three charges, one known before and one bad line each; return their ids."""
    sp = await sign_in(make.sp_actor(world.sp_id))

    async def send():
        charges = [world.record() for _ in range(3)]
        content = csv_of(*charges, charges[0]) + b"x,y\n"
        answer = await http.post("/charge-files", content=content, headers=sp | CSV)
        assert [answer.json()[n] for n in ("landed", "quarantined", "duplicates")] == [3, 1, 1]
        return answer.json()["id"]

    return [await send(), await send()]


async def test_what_landed_is_what_the_counters_say(owner, sent, world):
    await make.charge(owner, world.now, world.msisdn, world.game_id, **WRONG)
    assert await offending(owner) == []
    assert await offending(owner, VERY_MANY) == []


@pytest.mark.parametrize("what", [FILES, VERY_MANY])
@pytest.mark.parametrize(
    "planted",
    [
        "UPDATE charge_file SET landed = landed - 1, duplicates = duplicates + 1 WHERE id = $1",
        "UPDATE charge_file SET landed = landed - 1, quarantined = quarantined + 1 WHERE id = $1",
        "UPDATE charge_file SET quarantined = 0, duplicates = 2 WHERE id = $1",
        ONE_LESS,
        "UPDATE charge_record SET file_id = NULL WHERE file_id = $1",
        "DELETE FROM charge_quarantine WHERE file_id = $1",
    ],
)
async def test_a_difference_is_found_and_names_its_file(owner, sent, what, planted):
    await owner.execute("ALTER TABLE charge_file DISABLE TRIGGER charge_file_grows")
    await owner.execute(planted, sent[1])
    assert await offending(owner, what) == [sent[1]]


async def test_a_charge_of_a_file_that_is_not_there_is_found(owner, world):
    file_id = await owner.fetchval("SELECT gen_random_uuid()")
    charged = (owner, world.now, world.msisdn, world.game_id)
    await make.charge(*charged, file_id=file_id, **WRONG)
    assert await offending(owner) == [str(file_id)]


async def test_of_very_many_those_that_came_last_are_looked_at(owner, sent):
    """However many charges there are: a file that came three days before is not counted each time."""
    await owner.execute("ALTER TABLE charge_file DISABLE TRIGGER charge_file_grows")
    await owner.execute(
        "UPDATE charge_file SET received_at = received_at - $2::interval, landed = 0, duplicates = 4"
        " WHERE id = $1",
        sent[0], timedelta(days=3),
    )  # fmt: skip
    assert await offending(owner) == [sent[0]]
    never = VERY_MANY.statement.replace("random() < 0.01", "false")
    assert never != VERY_MANY.statement
    looked = Invariant(name=FILES.name, promise=FILES.promise, statement=never)
    assert await offending(owner, looked) == []
