"""Money after finality: never while an appeal is open, each fine once, each number one apology."""

import asyncio
import random
from datetime import timedelta
from uuid import uuid4

import httpx
import pytest

from jobs import send_apologies
from spms.compensation import journal
from spms.core import db, outbox
from spms.core.errors import NotAllowed
from spms.inspections.model import TOPIC_SET_ASIDE
from spms.partners.model import Measure
from spms.penalties import actions, apologies, collecting, register_queries
from spms.penalties.model import BreachKind
from spms.penalties.refusals import AppealTooLate
from tests import make
from tests.penalties.conftest import JOB

ADD_BREACHES = """
    WITH new AS (
        INSERT INTO breach (id, sp_id, kind, grade, points, service_ids, source_kind, source_id,
                            statement, state, found_at, proposed_by, decided_at, decided_by,
                            appeal_by, cure_by, remedy)
        SELECT gen_random_uuid(), $1, 'tariff_not_shown', 'serious', 30, '{}', 'officer',
               gen_random_uuid()::text, 'x', 'effective', $2, 'staff:a', $2, 'staff:b', $3, $3, 'due'
          FROM generate_series(1, $4) n RETURNING id, sp_id
    )
    INSERT INTO fine (breach_id, sp_id, amount_fen, state, imposed_at)
    SELECT id, sp_id, 1000, 'due', $2 FROM new RETURNING breach_id
"""


@pytest.mark.parametrize("races", [1000])
async def test_no_fine_is_collected_while_an_appeal_is_open_whatever_races(
    pool, owner, clock, races
):
    """A thousand appeals within 50 ms of the deadline, on clocks that differ, against collectors."""
    now = clock.now()
    deadline = now + timedelta(days=7)
    async with db.transaction(pool) as tx:
        sps = [await make.sp(tx, now) for _ in range(10)]
    ids = []
    for sp_id in sps:
        rows = await owner.fetch(ADD_BREACHES, sp_id, now, deadline, races // len(sps))
        ids += [(sp_id, row["breach_id"]) for row in rows]
    dice = random.Random(3)
    dice.shuffle(ids)
    outcomes = []

    def about():
        return deadline + timedelta(milliseconds=dice.uniform(-50, 50))

    async def appeal(sp_id, breach_id):
        try:
            async with db.transaction(pool, timeout_seconds=60) as tx:
                actor = make.sp_actor(sp_id)
                await actions.appeal(tx, breach_id, "no", actor=actor, now=about())
            outcomes.append("opened")
        except AppealTooLate:
            outcomes.append("late")

    async def collector():
        while len(outcomes) < races:
            async with db.transaction(pool, timeout_seconds=60) as tx:
                # A few at a time, or one collector whose clock is ahead takes all at once.
                await collecting.collect(tx, actor=JOB, now=about(), limit=5)
            await asyncio.sleep(0)

    running = [asyncio.create_task(collector()) for _ in range(2)]
    for start in range(0, races, 50):
        await asyncio.gather(*(appeal(*pair) for pair in ids[start : start + 50]))
    await asyncio.gather(*running)
    both = await owner.fetchval(
        "SELECT count(*) FROM fine f JOIN appeal a USING (breach_id) WHERE f.state = 'collected'"
    )
    assert both == 0
    appeals = await owner.fetchval("SELECT count(*) FROM appeal")
    assert appeals == outcomes.count("opened")
    assert 0 < appeals < races, "the races were close"
    while await _collect(pool, deadline + timedelta(seconds=1)):
        pass
    collected = await owner.fetchval("SELECT count(*) FROM fine WHERE state = 'collected'")
    assert collected == races - appeals
    booked = await owner.fetchval("SELECT sum(amount_fen) FROM posting WHERE reason = 'fine'")
    assert booked == 1000 * collected
    with pytest.raises(Exception, match="breach_final"):
        await owner.execute("UPDATE breach SET final_at = now() WHERE state = 'appealed'")


async def _collect(pool, now):
    async with db.transaction(pool) as tx:
        return await collecting.collect(tx, actor=JOB, now=now)


async def test_a_fine_is_booked_once_after_the_deadline_and_comes_back_when_the_breach_falls(
    case, owner
):
    item = uuid4()
    await case.judged("unreachable", item=item)
    (breach,) = await case.all()
    assert await case.collect() == 0
    await case.later(days=8)
    done = await asyncio.gather(*(case.collect() for _ in range(4)))
    assert sum(done) == 1
    final = await case.get(breach)
    assert final.final_at is not None
    with pytest.raises(AppealTooLate):
        await case.appeal(breach)
    async with db.snapshot(case.pool) as read:
        account = await journal.balance(read, case.sp_id, "fines")
    assert abs(account) == 1_000_000
    assert Measure.SETTLEMENT_CUT in await case.held()
    assert await owner.fetchval("SELECT cut_percent FROM restriction WHERE cut_percent > 0") == 30
    await case.later(days=30)
    assert Measure.SETTLEMENT_CUT not in await case.held(), "of the one month"
    async with db.transaction(case.pool) as tx:
        await outbox.put(tx, TOPIC_SET_ASIDE, {"item_id": str(item)}, now=case.now)
    await case.do(actions.follow_inspections)
    async with db.snapshot(case.pool) as read:
        assert await journal.balance(read, case.sp_id, "fines") == 0
    assert (await case.get(breach)).final_at is None
    with pytest.raises(NotAllowed):
        await case.appeal(breach)


async def test_every_affected_number_gets_one_apology_also_when_the_worker_dies_in_between(
    case, tx, owner, monkeypatch
):
    monkeypatch.setattr(apologies, "CHUNK", 3)
    numbers = [await make.number(tx, case.now) for _ in range(7)]
    for msisdn in numbers:
        await make.subscription(tx, case.now, msisdn, case.service_id)
    await make.subscription(
        tx, case.now, await make.number(tx, case.now),
        await make.service(tx, case.now, case.sp_id),
    )  # fmt: skip
    await case.effective(BreachKind.CONSENT_FORGED)
    await case.later(days=8)
    await case.collect()

    async def chunk(position):
        return await case.do(send_apologies.work, position=position)

    first = await chunk(None)
    again = await chunk(None)
    assert first.position == again.position, "a new worker without the position begins anew"
    position = first.position
    while position is not None:
        position = (await chunk(position)).position
    rows = await owner.fetch("SELECT msisdn FROM message_out WHERE about_kind = 'breach'")
    assert sorted(row["msisdn"] for row in rows) == sorted(numbers)
    assert (await chunk(None)).position is None
    assert await owner.fetchval("SELECT count(*) FROM apology WHERE done_at IS NULL") == 0


async def test_the_register_is_open_to_all_as_list_page_feed_and_csv(
    case, http: httpx.AsyncClient, tx, owner
):
    await owner.execute("UPDATE sp SET name = '=HYPERLINK(1)<b>' WHERE id = $1", case.sp_id)
    breach = await case.effective()
    await case.effective(BreachKind.SPAM)
    assert (await http.get("/register")).json()["items"] == []
    await case.later(days=8)
    await case.collect()
    async with db.transaction(case.pool) as own:
        assert await register_queries.publish(own, now=case.now) == 2
        assert await register_queries.publish(own, now=case.now) == 0
    items = (await http.get("/register")).json()["items"]
    assert {item["audit_no"] for item in items} == {1, 2}
    assert items[-1]["cure_by"] == breach.cure_by.isoformat().replace("+00:00", "Z")
    csv = await http.get("/register.csv")
    assert csv.headers["content-type"].startswith("text/csv")
    assert ",'=HYPERLINK(1)<b>," in csv.text
    assert csv.text.count("\r\n") == 3
    feed = await http.get("/register.atom")
    assert "2026-000002 =HYPERLINK(1)&lt;b&gt;" in feed.text
    page = await http.get("/register.html")
    assert "<b>" not in page.text
    assert page.text.count("<tr>") == 3
