"""An SP's deposit and what it owes, booked by two people over HTTP, once, whoever agrees at once."""

import asyncio

import asyncpg
import msgspec
import pytest

from spms.compensation import actions, receivable
from spms.compensation.invariant_queries import INVARIANTS
from spms.core import db, invariants
from tests import make
from tests.compensation.conftest import PRICE

OWED = 2 * PRICE
WHY = {"reason": "seen in the file"}


@pytest.fixture
async def officers(sign_in):
    """Sign two officers in."""
    return await sign_in(make.OFFICER), await sign_in(make.OFFICER_2)


@pytest.fixture
def book(http, officers, world):
    """Propose a booking as one officer and let another decide; return the last answer."""

    async def booked(kind, amount_fen, reference="F-1", status=200, **decision):
        body = {"sp_id": str(world.sp_id), "kind": kind, "amount_fen": amount_fen,
                "reference": reference} | WHY  # fmt: skip
        made = await http.post("/sp-bookings", json=body, headers=officers[0])
        assert made.status_code == 201, made.text
        path = f"/sp-bookings/{made.json()['id']}/decision"
        answer = await http.post(path, json={"accept": True} | WHY | decision, headers=officers[1])
        assert answer.status_code == status, answer.text
        return answer.json()

    return booked


async def test_the_deposit_comes_is_called_on_and_goes_back(
    http, sign_in, world, audit, book, tx, owner
):
    await world.wrong()
    await audit()
    sp = await sign_in(make.sp_actor(world.sp_id))
    other = await sign_in(make.sp_actor((await world.another_sp()).sp_id, "900001"))
    assert (await book("deposit_call", 100, status=409))["code"] == "nothing_to_book"
    assert (await book("deposit_paid", 10_000))["booked_fen"] == 10_000
    owes = f"/sps/{world.sp_id}/receivable"
    answer = (await http.get(owes, headers=sp)).json()
    assert (answer["receivable_fen"], answer["deposit_fen"]) == (OWED, 10_000)
    assert answer["by_age"]["to_30_days_fen"] == OWED
    assert (await http.get(owes, headers=other)).status_code == 404

    refused = await book("deposit_returned", 10_000, status=409)
    assert refused["code"] == "nothing_to_book", "what is owed stays covered"
    assert (await book("deposit_call", 500, "F-2"))["booked_fen"] == 500
    assert (await book("deposit_call", 10**9, "F-3"))["booked_fen"] == OWED - 500, "no more is owed"
    assert (await book("write_off", 1, status=409))["code"] == "nothing_to_book"
    left = 10_000 - OWED
    assert (await book("deposit_returned", left, "F-4"))["booked_fen"] == left
    assert (await book("deposit_paid", 1, "F-5", accept=False))["state"] == "declined"
    answer = (await http.get(owes, headers=sp)).json()
    assert (answer["receivable_fen"], answer["deposit_fen"]) == (0, 0)

    mine = (await http.get("/sp-bookings", params={"limit": "3"}, headers=sp)).json()
    more = (await http.get("/sp-bookings", params={"after": mine["next"]}, headers=sp)).json()
    kinds = [one["kind"] for one in (*mine["items"], *more["items"])]
    assert kinds == ["deposit_returned", "deposit_call", "deposit_call", "deposit_paid"]
    assert (await http.get("/sp-bookings", headers=other)).json()["items"] == []
    assert [one for one in await invariants.check(tx, INVARIANTS) if not one.holds] == []
    with pytest.raises(asyncpg.CheckViolationError, match="final"):
        await tx.execute("UPDATE sp_booking SET booked_fen = 1 WHERE state = 'agreed'")


async def test_one_person_alone_or_one_transfer_twice_books_nothing(http, sign_in, world, tx):
    officer = await sign_in(make.OFFICER)
    body = {"sp_id": str(world.sp_id), "kind": "deposit_paid", "amount_fen": 1,
            "reference": "B"} | WHY  # fmt: skip
    made = (await http.post("/sp-bookings", json=body, headers=officer)).json()
    again = await http.post("/sp-bookings", json=body, headers=officer)
    assert (again.status_code, again.json()["code"]) == (409, "entered_before")
    path = f"/sp-bookings/{made['id']}/decision"
    alone = await http.post(path, json={"accept": True} | WHY, headers=officer)
    assert (alone.status_code, alone.json()["code"]) == (409, "same_person")
    sp = await sign_in(make.sp_actor(world.sp_id))
    assert (await http.post(path, json={"accept": True} | WHY, headers=sp)).status_code == 403
    with pytest.raises(asyncpg.CheckViolationError):
        await tx.execute(
            "UPDATE sp_booking SET state = 'agreed', decided_at = now(), entry_id = id,"
            " decided_by = proposed_by, booked_fen = 1"
        )
    assert await tx.fetchval("SELECT count(*) FROM posting") == 0


async def test_two_who_agree_at_once_book_once(http, sign_in, world, audit, pool, tx, now):
    await world.wrong()
    await audit()
    third = msgspec.structs.replace(make.OFFICER_2, name="third", subject="third")
    async with db.transaction(pool) as own:
        await receivable.pay_deposit(
            own, world.sp_id, 10_000, cause_id=world.service_id, actor=make.OFFICER, now=now
        )
    body = {"sp_id": str(world.sp_id), "kind": "deposit_call", "amount_fen": 900,
            "reference": "B"} | WHY  # fmt: skip
    made = await http.post("/sp-bookings", json=body, headers=await sign_in(make.OFFICER))
    path = f"/sp-bookings/{made.json()['id']}/decision"
    answers = await asyncio.gather(
        *[
            http.post(path, json={"accept": True} | WHY, headers=headers)
            for headers in (await sign_in(make.OFFICER_2), await sign_in(third))
        ]
    )
    assert sorted(one.status_code for one in answers) == [200, 409]
    assert await actions.receivable(tx, world.sp_id) == OWED - 900
    assert await receivable.deposit(tx, world.sp_id) == 10_000 - 900
