"""Payouts reach the bill once, whatever the gateway's answers do on their way."""

import asyncio
from collections import Counter
from datetime import timedelta
from uuid import UUID

import msgspec
import pytest
from aiohttp import web

from spms.compensation import payout, payout_queries
from spms.compensation.accounts import Account
from spms.compensation.gateways import Answer, FileGateway, HttpGateway
from spms.compensation.verification_queries import disputed_fees
from spms.core import db
from tests import make
from tests.compensation.conftest import PRICE

STATES = "SELECT state, count(*)::int AS n FROM payout GROUP BY state"


class LossyGateway:
    """Keeps a book of its own; of three answers one is lost before doing it, one after."""

    def __init__(self) -> None:
        self.book: Counter[UUID] = Counter()
        self.calls: Counter[UUID] = Counter()
        self.deaf = 0

    async def pay(self, credit):
        self.calls[credit.id] += 1
        turn = credit.id.int % 3
        if turn == 0 and self.calls[credit.id] == 1:
            return Answer.NO_ANSWER
        self.book[credit.id] += 1
        return Answer.NO_ANSWER if turn == 1 else Answer.DONE

    async def ask(self, credit):
        self.deaf += 1
        if self.deaf % 5 == 0:
            return Answer.NO_ANSWER
        return Answer.DONE if self.book[credit.id] else Answer.NOT_DONE


async def states(tx):
    return {row["state"]: row["n"] for row in await tx.fetch(STATES)}


async def test_three_hundred_payouts_with_lost_answers_are_each_done_once(
    pool, tx, owner, clock, now, world, audit
):
    for _ in range(300):
        await world.wrong()
    assert await audit() == 300
    gateway = LossyGateway()
    for _ in range(40):
        await asyncio.gather(*[payout.pump(pool, gateway, clock) for _ in range(3)])
        clock.move(payout.LEASE)
    assert await states(tx) == {"settled": 300}
    assert set(gateway.book.values()) == {1}
    assert len(gateway.book) == 300
    asked = await tx.fetchval("SELECT count(DISTINCT payout_id) FROM payout_query")
    lost = sum(1 for one in gateway.book if one.int % 3 in {0, 1})
    assert asked == lost, "whatever was unknown was asked about, and nothing else"
    booked = await tx.fetchval(
        "SELECT sum(amount_fen)::bigint FROM posting WHERE credit = $1", Account.SUBSCRIBER_BALANCE
    )
    assert booked == 300 * 2 * PRICE
    assert await disputed_fees(tx, [world.msisdn], after=None, limit=1) == []


async def test_a_courier_that_dies_leaves_a_question_and_not_a_second_payment(
    pool, tx, clock, world, audit
):
    await world.wrong()
    await audit()
    gateway = LossyGateway()
    async with db.transaction(pool) as own:
        (taken,) = await payout_queries.take(own, now=clock.now(), limit=9, lease=payout.LEASE)
    gateway.book[taken.id] += 1  # done, and then the process is gone
    assert await payout.pump(pool, gateway, clock) == 0, "another one's lease"
    clock.move(payout.LEASE + timedelta(seconds=1))
    gateway.deaf = 4
    assert await payout.pump(pool, gateway, clock) == 0, "no answer: it stays unknown"
    assert await states(tx) == {"unknown": 1}
    clock.move(payout.LEASE)
    assert await payout.pump(pool, gateway, clock) == 1
    assert (await states(tx), gateway.book[taken.id]) == ({"settled": 1}, 1)


async def test_nothing_leaves_unknown_without_a_question_on_record(pool, tx, clock, world, audit):
    await world.wrong()
    await audit()

    class Deaf(LossyGateway):
        async def pay(self, _):
            return Answer.NO_ANSWER

        async def ask(self, _):
            return Answer.REFUSED

    await payout.pump(pool, Deaf(), clock)
    clock.move(payout.ASK_AGAIN)
    await payout.pump(pool, Deaf(), clock)
    assert await states(tx) == {"refused": 1}
    assert await tx.fetchval("SELECT answer FROM payout_query") == "refused"
    assert await payout.pump(pool, Deaf(), clock) == 0
    (fees,) = await disputed_fees(tx, [world.msisdn], after=None, limit=1)
    assert fees.disputed_fen == PRICE, "what never reached the bill is no arrears"


async def test_the_file_gateway_leaves_one_whole_file_a_credit(
    pool, tx, clock, world, audit, tmp_path
):
    await world.wrong()
    await audit()
    gateway = FileGateway(tmp_path / "payouts")
    async with db.transaction(pool) as own:
        (taken,) = await payout_queries.take(own, now=clock.now(), limit=9, lease=payout.LEASE)
    assert await gateway.ask(taken) is Answer.NOT_DONE
    assert [await gateway.pay(taken) for _ in range(2)] == [Answer.DONE, Answer.DONE]
    assert await gateway.ask(taken) is Answer.DONE
    (file,) = (tmp_path / "payouts").glob("*/*")
    assert file.name == f"{taken.id}.json"
    told = msgspec.json.decode(file.read_bytes())
    assert (told["amount_fen"], told["principal_fen"]) == (2 * PRICE, PRICE)
    (about,) = told["charges"]
    assert (about["id"], about["amount_fen"]) == (str(taken.charge_id), 2 * PRICE), (
        "whoever keeps points must know of what"
    )
    assert "takes_back" not in told
    written = next((tmp_path / "payouts").rglob("*.json"))
    assert written.stat().st_mode & 0o077 == 0, "a payout names a person's number"
    assert written.parent.stat().st_mode & 0o077 == 0
    blocked = FileGateway(file)  # a directory that cannot be made
    assert await blocked.pay(taken) is Answer.NO_ANSWER


@pytest.mark.parametrize(
    ("status", "paid", "asked"),
    [
        (200, Answer.DONE, Answer.DONE), (201, Answer.DONE, Answer.DONE),
        (404, Answer.REFUSED, Answer.NOT_DONE), (422, Answer.REFUSED, Answer.REFUSED),
        (409, Answer.REFUSED, Answer.REFUSED), (410, Answer.REFUSED, Answer.REFUSED),
        # A key that ran out says nothing of a credit that was sent before.
        (401, Answer.REFUSED, Answer.NO_ANSWER), (400, Answer.REFUSED, Answer.NO_ANSWER),
        (429, Answer.NO_ANSWER, Answer.NO_ANSWER), (500, Answer.NO_ANSWER, Answer.NO_ANSWER),
        (None, Answer.NO_ANSWER, Answer.NO_ANSWER),
    ],
)  # fmt: skip
async def test_the_http_gateway_knows_only_what_it_was_told(pool, clock, now, status, paid, asked):
    seen = []

    async def credits_of(request):
        seen.append((request.method, request.path, await request.read()))
        if status is None:
            request.transport.close()
        return web.Response(status=status or 200)

    app = web.Application()
    app.router.add_route("*", "/credits/{id}", credits_of)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]
    gateway = HttpGateway(f"http://127.0.0.1:{port}/", timeout_seconds=5)
    credit = payout.Payout(
        msisdn="8613800138000", id=(one := payout.derived_id("x")), charge_id=one, round=1,
        charges=[], charged_at=now, sp_id=one, amount_fen=16, attempts=1, ask=False,
    )  # fmt: skip
    assert await gateway.pay(credit) is paid
    assert await gateway.ask(credit) is asked
    await runner.cleanup()
    assert {method for method, _, _ in seen} == {"PUT", "GET"}
    assert {path for _, path, _ in seen} == {f"/credits/{one}"}
    assert b'"amount_fen":16' in seen[0][2]


class RefusingGateway:
    """Refuses until it is told not to."""

    def __init__(self) -> None:
        self.refuses = True
        self.book: Counter[UUID] = Counter()

    async def pay(self, credit):
        if not self.refuses:
            self.book[credit.id] += 1
        return Answer.REFUSED if self.refuses else Answer.DONE


async def test_a_refused_payout_is_resolved_by_two_people(
    pool, tx, clock, world, audit, http, sign_in
):
    for _ in range(3):
        await world.wrong()
    await audit()
    gateway = RefusingGateway()
    await payout.pump(pool, gateway, clock)
    assert await states(tx) == {"refused": 3}
    first, second = await sign_in(make.OFFICER), await sign_in(make.OFFICER_2)
    page = (await http.get("/refused-payouts?limit=2", headers=first)).json()
    rest = (await http.get(f"/refused-payouts?after={page['next']}", headers=first)).json()
    again, by_hand, left = [one["id"] for one in page["items"] + rest["items"]]
    assert world.msisdn not in str(page)

    async def propose(payout_id, outcome, status=201):
        answer = await http.post(
            f"/refused-payouts/{payout_id}/resolutions", headers=first,
            json={"outcome": outcome, "reason": "billing was asked"},
        )  # fmt: skip
        assert answer.status_code == status, answer.text
        return answer.json().get("id")

    async def decide(resolution_id, headers, status, *, accept=True):
        answer = await http.post(
            f"/payout-resolutions/{resolution_id}/decision", headers=headers,
            json={"accept": accept, "reason": "seen"},
        )  # fmt: skip
        assert answer.status_code == status, answer.text

    proposed = await propose(again, "send_again")
    await propose(again, "paid_by_hand", 409)
    await propose(world.sp_id, "send_again", 404)
    await decide(proposed, first, 409)
    await decide(proposed, second, 200)
    await decide(proposed, second, 409)
    await decide(await propose(by_hand, "paid_by_hand"), second, 200)
    await decide(await propose(left, "paid_by_hand"), second, 200, accept=False)
    await decide(world.sp_id, second, 404)
    assert await states(tx) == {"queued": 1, "settled": 1, "refused": 1}
    gateway.refuses = False
    await payout.pump(pool, gateway, clock)
    assert await states(tx) == {"settled": 2, "refused": 1}
    assert [str(one) for one in gateway.book] == [again]
    booked = "SELECT count(*) FROM posting WHERE reason = 'payout'"
    assert await tx.fetchval(booked) == 2
