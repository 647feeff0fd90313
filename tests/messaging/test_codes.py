import asyncio
import re
from datetime import timedelta

import pytest

from spms.core import tokens
from spms.subscribers import actions as subscribers
from spms.subscribers.model import NumberEventIn, NumberEventKind, NumberReason
from tests import make

MSISDN = "8613912340000"
NOBODYS = "8613912349999"
MINUTE = timedelta(minutes=1)


async def ask(http, msisdn=MSISDN):
    return await http.post("/sign-in/codes", json={"msisdn": msisdn})


async def enter(http, code, msisdn=MSISDN):
    return await http.post("/sign-in/subscriber", json={"msisdn": msisdn, "code": code})


async def sent(tx):
    """The codes sent so far, read from the SMS as its reader would."""
    rows = await tx.fetch("SELECT text FROM message_out WHERE kind = 'code' ORDER BY id")
    return [re.search("[0-9]{6}", row["text"])[0] for row in rows]


def other_than(code, n=1):
    return f"{(int(code) + n) % 1_000_000:06d}"


@pytest.fixture
async def holder(tx, now):
    return await make.number(tx, now, msisdn=MSISDN)


async def transfer(tx, at):
    event = NumberEventIn(
        msisdn=MSISDN, kind=NumberEventKind.TRANSFERRED, reason=NumberReason.OWNER_CHANGED,
        effective_at=at,
    )  # fmt: skip
    await subscribers.record_event(tx, event, actor=make.GATEWAY, now=at)


async def test_the_holder_signs_in_with_the_code_her_phone_got(http, tx, holder):
    assert (await ask(http)).status_code == 202
    [code] = await sent(tx)
    answer = await enter(http, code)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    bearer = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    mine = await http.get("/my/number", headers=bearer)
    assert mine.json()["number"] == "139****0000"


async def test_a_code_works_once(http, tx, holder):
    await ask(http)
    [code] = await sent(tx)
    answers = await asyncio.gather(*[enter(http, code) for _ in range(5)])
    assert sorted(a.status_code for a in answers) == [200, 401, 401, 401, 401]
    assert answers[0].json().get("code") in {None, "code_wrong"}


@pytest.mark.parametrize(("wrong", "status"), [(4, 200), (5, 401)])
async def test_five_tries_are_counted_although_each_was_refused(http, tx, holder, wrong, status):
    await ask(http)
    [code] = await sent(tx)
    for n in range(wrong):
        assert (await enter(http, other_than(code, n + 1))).status_code == 401
    assert await tx.fetchval("SELECT tries FROM one_time_code") == wrong
    assert (await enter(http, code)).status_code == status


async def test_guessing_with_many_hands_gets_five_tries_as_well(http, tx, holder):
    await ask(http)
    [code] = await sent(tx)
    guesses = [enter(http, other_than(code, n)) for n in range(1, 31)]
    assert {a.status_code for a in await asyncio.gather(*guesses)} == {401}
    assert await tx.fetchval("SELECT tries FROM one_time_code") == 5


@pytest.mark.parametrize(
    ("seconds", "status"), [(599, 200), (600, 401)]
)  # fmt: skip
@pytest.mark.usefixtures("holder")
async def test_a_code_works_for_less_than_ten_minutes(http, tx, clock, seconds, status):
    await ask(http)
    [code] = await sent(tx)
    clock.move(timedelta(seconds=seconds))
    assert (await enter(http, code)).status_code == status


async def test_a_new_code_makes_the_one_before_it_worthless(http, tx, clock, holder):
    await ask(http)
    clock.move(MINUTE)
    await ask(http)
    first, second = await sent(tx)
    assert (await enter(http, first)).status_code == 401
    assert (await enter(http, second)).status_code == 200


async def test_three_codes_an_hour_also_when_asked_for_at_once(http, tx, clock, holder):
    answers = await asyncio.gather(*[ask(http) for _ in range(8)])
    assert sorted(a.status_code for a in answers) == [202] * 3 + [429] * 5
    assert len(await sent(tx)) == 3
    refused = next(a for a in answers if a.status_code == 429)
    clock.move(timedelta(seconds=int(refused.headers["retry-after"])))
    assert (await ask(http)).status_code == 202


async def test_no_answer_tells_whether_a_number_exists(http, tx, now, holder):
    await make.number(tx, now, msisdn="8613912340001", state="terminated")
    seen = []
    for msisdn in (MSISDN, NOBODYS, "8613912340001"):
        asked = [await ask(http, msisdn) for _ in range(4)]
        entered = [await enter(http, "000000", msisdn) for _ in range(7)]
        seen.append([(a.status_code, a.json()) for a in (*asked, *entered)])
    if "000000" not in await sent(tx):
        assert seen[0] == seen[1] == seen[2]
    assert await tx.fetchval("SELECT count(DISTINCT msisdn) FROM message_out") == 1
    assert NOBODYS not in str(await tx.fetch("SELECT * FROM one_time_code_request"))


async def test_a_code_sent_to_the_owner_before_does_not_open_the_number_of_the_next(
    http, tx, clock, holder
):
    await ask(http)
    [code] = await sent(tx)
    clock.move(MINUTE)
    await transfer(tx, clock.now())
    assert (await enter(http, code)).status_code == 401


async def test_the_next_owner_gets_a_credential_of_her_own(http, tx, clock, holder):
    await ask(http)
    before = (await enter(http, (await sent(tx))[0])).json()["access_token"]
    clock.move(MINUTE)
    await transfer(tx, clock.now())
    await ask(http)
    after = (await enter(http, (await sent(tx))[1])).json()["access_token"]
    assert await tokens.actor_of(tx, before, clock.now()) is None
    assert (await tokens.actor_of(tx, after, clock.now())).epoch == 2


async def test_signing_in_again_uses_the_same_credential(http, tx, clock, holder):
    for n in range(2):
        await ask(http)
        await enter(http, (await sent(tx))[n])
        clock.move(MINUTE)
    assert await tx.fetchval("SELECT count(*) FROM credential") == 1
    assert await tx.fetchval("SELECT count(*) FROM access_token") == 2


@pytest.mark.parametrize(
    ("language", "words"), [("zh", ["登录", "10分钟", "退订"]), ("en", ["sign in", "10 minutes"])]
)
async def test_the_sms_says_what_the_code_is_for_in_the_holders_language(
    http, tx, now, language, words
):
    await make.number(tx, now, msisdn=MSISDN, language=language)
    await ask(http)
    text = await tx.fetchval("SELECT text FROM message_out")
    assert all(word in text for word in words)
    assert await tx.fetchval("SELECT sender FROM message_out") == "10010"


async def test_a_code_is_not_stored_as_it_is(http, tx, holder):
    await ask(http)
    [code] = await sent(tx)
    row = await tx.fetchrow("SELECT * FROM one_time_code")
    assert code.encode() not in row["code_hmac"]
    assert len(row["code_hmac"]) == 32


@pytest.mark.parametrize("code", ["12345", "1234567", "１２３４５６", "12345a", "123456\n"])
async def test_what_is_not_six_digits_is_no_try(http, tx, holder, code):
    await ask(http)
    assert (await enter(http, code)).status_code == 400
    assert await tx.fetchval("SELECT tries FROM one_time_code") == 0
