"""People claim under the codes of a catalogue; the law's cause behind one decides who bears what."""

from typing import Any

import asyncpg
import msgspec
import pytest

from spms.compensation import mass_correction, verification, verification_shown
from spms.compensation.accounts import BEARERS, Cause
from spms.compensation.invariant_queries import INVARIANTS
from spms.compensation.mass_correction_model import CorrectionRequest
from spms.compensation.model import CompensationRules, Source
from spms.compensation.reasons import REASONS, cause_named
from spms.compensation.refusals import ReasonUnknown
from spms.compensation.rules import catalogue
from spms.compensation.verification_model import VerificationRequest
from spms.core import db, invariants
from tests import make
from tests.compensation.conftest import DAY, PRICE

ADVERT: dict[str, Any] = {"cause": "sp_fault", "zh": "广告误导", "en": "Misled by an advertisement"}
NETWORK = {"cause": "operator_fault", "zh": "网络故障", "en": "The network failed"}
OWN = {"misled_by_advert": ADVERT, "network_down": NETWORK}
KEPT = """
    SELECT code, code_version, cause, bearer FROM verification ORDER BY cause DESC
"""
PAID = "SELECT cause, bearer FROM claim ORDER BY cause DESC"
# What a reader takes for blank, beyond what a database does.
NO_BREAK, WIDE = "\u00a0", "\u3000"
SOUND = [
    {"misled_by_advert": ADVERT},
    {"ab": ADVERT, "a" * 40: NETWORK},
    {"a_": ADVERT | {"zh": "字" * 200, "en": f"{WIDE}x"}},
    {"a" + "".join(chr(97 + n // 10 ** i % 10) for i in (0, 1)): ADVERT for n in range(100)},
]  # fmt: skip
WRONG: list[Any] = [
    None, [], "metering", {},
    {"a": ADVERT}, {"a" * 41: ADVERT}, {"_a": ADVERT}, {"Ab": ADVERT}, {"a1": ADVERT},
    {"ad-vert": ADVERT}, {"广告": ADVERT}, {"": ADVERT}, {"ab\n": ADVERT},
    {"ab": None}, {"ab": "sp_fault"}, {"ab": []}, {"ab": {}},
    {"ab": ADVERT | {"cause": "weather"}}, {"ab": ADVERT | {"cause": None}},
    {"ab": ADVERT | {"bearer": "sp"}},
    *({"ab": {k: v for k, v in ADVERT.items() if k != left_out}} for left_out in ADVERT),
    *({"ab": ADVERT | {tongue: words}} for tongue in ("zh", "en")
      for words in ("", " ", "\t\n", NO_BREAK, WIDE, "\u0085", "\u2003", "\u001d", "x" * 201, None,
                    7, ["x"])),
    {"a" + "".join(chr(97 + n // 10 ** i % 10) for i in (0, 1, 2)): ADVERT for n in range(101)},
]  # fmt: skip


async def failing(tx):
    return [one.name for one in await invariants.check(tx, INVARIANTS) if not one.holds]


def read(reasons):
    return msgspec.convert({"reasons": reasons}, CompensationRules)


@pytest.fixture
def contest(pool, clock, world):
    """Return a function that claims under a code, a charge nobody claimed unless it names one."""

    async def contested(code, charge_id=None):
        if charge_id is None:
            service_id = await make.service(world.tx, world.now, world.sp_id, price_fen=PRICE)
            relation = await make.subscription(
                world.tx, world.now - 2 * DAY, world.msisdn, service_id
            )
            charge_id = await make.charge(
                world.tx, world.now - DAY, world.msisdn, service_id, consent_id=relation
            )
        asked = VerificationRequest(charge_id=charge_id, cause=code, reason="as I said")
        async with db.transaction(pool) as tx:
            return await verification.open_claim(
                tx, asked, msisdn=world.msisdn, source=Source.SUBSCRIBER,
                actor=make.subscriber_actor(world.msisdn), now=clock.now(),
            )  # fmt: skip

    return contested


async def words(tx, row):
    shown = await verification_shown.entry(tx, row, actor=make.OFFICER)
    return shown.words.zh, shown.words.en


def test_at_first_each_of_the_six_causes_is_its_own_code():
    rules = CompensationRules()
    assert [(one.code, one.cause) for one in catalogue(rules)] == [(c, c) for c in sorted(Cause)]
    for one in catalogue(rules):
        assert (one.bearer, one.second_bearer) == (
            BEARERS[one.cause].first, BEARERS[one.cause].second,
        )  # fmt: skip
        assert cause_named(rules.reasons, one.code) is one.cause
        assert not one.zh.isascii()
        assert one.en.isascii()
    assert msgspec.to_builtins(REASONS) == msgspec.to_builtins(rules.reasons)


def test_a_catalogue_of_ones_own_replaces_all_of_it():
    rules = msgspec.convert(
        {"reasons": OWN, "bearers": {"sp_fault": {"first": "operator", "second": "sp"}}},
        CompensationRules,
    )
    assert [(one.code, one.cause, one.bearer, one.second_bearer) for one in catalogue(rules)] == [
        ("misled_by_advert", "sp_fault", "operator", "sp"),
        ("network_down", "operator_fault", "operator", "operator"),
    ]
    for code in ("metering", "weather", "", "misled_by_advert\n"):
        with pytest.raises(ReasonUnknown, match="misled_by_advert, network_down"):
            cause_named(rules.reasons, code)


@pytest.mark.parametrize("reasons", SOUND)
async def test_a_sound_catalogue_is_let_in_and_can_be_read(say, now, reasons):
    await say(2, now, reasons=reasons)
    assert len(read(reasons).reasons) == len(reasons)


async def test_a_catalogue_that_cannot_be_read_is_not_let_in(say, now):
    let_in = []
    for version, wrong in enumerate(WRONG, 2):
        try:
            await say(version, now, reasons=wrong)
        except asyncpg.CheckViolationError as error:
            assert error.constraint_name == "rulebook_reasons"  # noqa: PT017 - each of many
        else:
            let_in.append(wrong)
    assert let_in == []


@pytest.mark.parametrize("wrong", [w for w in WRONG if w != {"ab\n": ADVERT}])
def test_what_the_database_refuses_the_reader_refuses_too(wrong):
    with pytest.raises(msgspec.ValidationError):
        read(wrong)


async def test_an_own_code_pays_as_its_cause_does_and_is_kept(tx, world, now, contest, say):
    # Who bears it is what was in force at the charge, a day before: the SP.
    await say(2, now - DAY / 2, reasons=OWN, bearers={"sp_fault": "operator"})
    rows = [await contest("misled_by_advert"), await contest("network_down")]
    assert [tuple(row) for row in await tx.fetch(KEPT)] == [
        ("misled_by_advert", 2, "sp_fault", "sp"), ("network_down", 2, "operator_fault", "operator"),
    ]  # fmt: skip
    assert [tuple(row) for row in await tx.fetch(PAID)] == [
        ("sp_fault", "sp"), ("operator_fault", "operator"),
    ]  # fmt: skip
    assert [(row.code, row.code_version, row.rulebook_version) for row in rows] == [
        ("misled_by_advert", 2, 1), ("network_down", 2, 1),
    ]  # fmt: skip
    assert await words(tx, rows[0]) == ("广告误导", "Misled by an advertisement")
    assert await failing(tx) == []


async def test_a_code_that_there_is_not_and_one_that_is_switched_off_are_refused(
    tx, world, now, clock, contest, say
):
    first = await contest("metering")
    clock.move(DAY)
    await say(2, now + DAY / 2, reasons=OWN)
    for code in ("weather", "metering"):
        with pytest.raises(ReasonUnknown, match="misled_by_advert, network_down"):
            await contest(code)
    assert await tx.fetchval("SELECT count(*) FROM verification") == 1
    assert await contest("metering", first.charge_id) == first, (
        "asking again answers with the first"
    )


async def test_what_a_later_version_says_of_a_code_changes_no_older_claim(
    tx, owner, pool, world, now, clock, contest, say
):
    await say(2, now - DAY / 2, reasons=OWN)
    row = await contest("misled_by_advert")
    # Dated back over the claim: it was not known then.
    other = NETWORK | {"zh": "别的", "en": "something else"}
    await say(3, now - DAY / 2, reasons={"misled_by_advert": other})
    clock.move(DAY)
    newer = await contest("misled_by_advert")
    async with db.transaction(pool) as own:
        assert await verification.settle_silent(own, now=clock.now()) == 1
    (row,) = await verification.statements.verifications(tx, verification_id=row.id)
    assert (row.code, row.code_version, row.cause, row.bearer, row.paid_fen) == (
        "misled_by_advert", 2, "sp_fault", "sp", 2 * PRICE,
    )  # fmt: skip
    assert await words(tx, row) == ("广告误导", "Misled by an advertisement")
    assert (newer.code_version, newer.cause, newer.bearer) == (3, "operator_fault", "operator")
    assert await words(tx, newer) == ("别的", "something else")
    page = await verification_shown.list_page(
        tx, sp_id=None, msisdn=None, actor=make.OFFICER, cursor=None, limit=9
    )
    assert [one.words.en for one in page.items] == ["something else", ADVERT["en"]]
    assert await failing(tx) == []
    # Each is held against its own version.
    await owner.execute("UPDATE verification SET code_version = 3 WHERE code_version = 2")
    assert await failing(tx) == ["codes_stand_for_their_causes"]
    await owner.execute("UPDATE verification SET code_version = 9 WHERE id = $1", newer.id)
    assert await failing(tx) == ["codes_stand_for_their_causes"]


async def test_a_claim_from_before_the_catalogue_has_its_cause_for_a_code(tx, owner, contest):
    row = await contest("metering")
    await owner.execute("UPDATE verification SET code = NULL, code_version = NULL")
    (row,) = await verification.statements.verifications(tx, verification_id=row.id)
    assert (row.code, row.code_version, row.cause) == ("metering", None, "metering")
    assert await words(tx, row) == (REASONS["metering"].zh, REASONS["metering"].en)


@pytest.mark.parametrize("table", ["verification", "mass_correction"])
async def test_the_code_is_final_and_comes_with_its_version(tx, owner, contest, table):
    await contest("metering")
    for column in ("code", "code_version"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with tx.transaction():
                await tx.execute(f"UPDATE {table} SET {column} = NULL")
    names = {row[0] for row in await owner.fetch(
        "SELECT conname FROM pg_constraint WHERE conrelid = $1::regclass", table
    )}  # fmt: skip
    assert {f"{table}_code", f"{table}_code_of"} <= names
    for wrong in ("code = NULL", "code_version = NULL", "code = 'A'"):
        if table == "verification":
            with pytest.raises(asyncpg.CheckViolationError):
                await owner.execute(f"UPDATE verification SET {wrong}")


async def test_a_mass_correction_is_proposed_under_a_code_too(tx, world, now, say):
    await make.charge(
        tx, now - DAY, world.msisdn, world.service_id, price_fen=PRICE, findings=["undelivered"],
        due_fen=PRICE,
    )  # fmt: skip
    wanted = {
        "service_id": world.service_id, "wrong_fen": PRICE, "due_fen": 500, "until_at": now,
        "from_at": now - 2 * DAY, "cause": "network_down", "reason": "x", "apology": "很抱歉。",
    }  # fmt: skip

    async def propose():
        return await mass_correction.propose(
            tx, CorrectionRequest(**wanted), actor=make.OFFICER, now=now
        )

    with pytest.raises(ReasonUnknown, match="metering"):
        await propose()
    await say(2, now, reasons=OWN)
    row = await propose()
    assert row == await mass_correction.get(tx, row.id)
    assert (row.code, row.code_version, row.cause, row.bearer, row.rulebook_version) == (
        "network_down", 2, "operator_fault", "operator", 1,
    )  # fmt: skip


async def test_over_http_the_six_go_on_and_the_list_says_what_there_is(
    http, sign_in, world, now, say
):
    who = {
        name: await sign_in(actor)
        for name, actor in {
            "holder": make.subscriber_actor(world.msisdn), "agent": make.AGENT,
            "sp": make.sp_actor(world.sp_id), "officer": make.OFFICER, "gateway": make.GATEWAY,
        }.items()
    }  # fmt: skip

    async def listed(name):
        answer = await http.get("/claim-reasons", headers=who[name])
        return answer.status_code, answer.json()

    async def claimed(code, path="/verifications"):
        body = {"charge_id": str(charge_id), "cause": code, "reason": "我没有用过"}
        return await http.post(path, json=body, headers=who["holder"])

    for name in ("holder", "agent", "sp", "officer"):
        status, reasons = await listed(name)
        assert status == 200
        assert [one["code"] for one in reasons] == sorted(Cause)
    assert (await listed("gateway"))[0] == 403
    consent_id = await world.agreed()
    charge_id = await world.right(consent_id)
    made = (await claimed("not_opened")).json()
    assert (made["cause"], made["code"], made["words"]["en"]) == (
        "not_opened", "not_opened", REASONS["not_opened"].en,
    )  # fmt: skip
    await say(2, now, reasons=OWN)
    _, reasons = await listed("sp")
    assert reasons[0] == ADVERT | {
        "code": "misled_by_advert", "bearer": "sp", "second_bearer": "sp",
    }  # fmt: skip
    assert [one["code"] for one in reasons] == ["misled_by_advert", "network_down"]
    charge_id = await world.right(consent_id)
    for path in ("/claims/preview", "/verifications"):
        refused = await claimed("metering", path)
        assert (refused.status_code, refused.json()["code"]) == (422, "reason_unknown")
        assert "misled_by_advert, network_down" in refused.json()["detail"]
        assert (await claimed("No Code", path)).status_code == 400
    assert (await claimed("network_down", "/claims/preview")).json()["bearer"] == "operator"
    made = (await claimed("network_down")).json()
    assert (made["cause"], made["code"], made["words"]) == (
        "operator_fault", "network_down", {"zh": "网络故障", "en": "The network failed"},
    )  # fmt: skip
    (theirs, _) = (await http.get("/verifications", headers=who["sp"])).json()["items"]
    assert (theirs["code"], theirs["words"]) == (made["code"], made["words"])
