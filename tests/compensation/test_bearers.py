"""Who bears which multiple is the rulebook's, as it was in force when the charge was made."""

from datetime import timedelta

import asyncpg
import pytest
from msgspec.structs import replace

from spms.charging.model import Finding
from spms.compensation import actions, mass_correction, queries, verification
from spms.compensation.accounts import Cause
from spms.compensation.invariant_queries import INVARIANTS
from spms.compensation.mass_correction_model import CorrectionRequest
from spms.compensation.model import CompensationRules, Source
from spms.compensation.refusals import RulesDiffer
from spms.compensation.rules import cause_of, judge, outstanding
from spms.compensation.verification_model import VerificationRequest
from spms.core import db, invariants, rulebook
from spms.core.rulebook import Versions
from tests import make
from tests.compensation.conftest import DAY, PRICE

MIXED = {"first": "operator", "second": "sp"}
BORNE = """
    SELECT charge_id, kind, bearer FROM refund
     WHERE charge_id = ANY($1::uuid[]) ORDER BY charge_id, kind DESC
"""
DEBITED = """
    SELECT debit, sum(amount_fen)::bigint FROM posting WHERE credit = 'subscriber_payable'
     GROUP BY debit ORDER BY debit
"""


async def failing(tx):
    return [one.name for one in await invariants.check(tx, INVARIANTS) if not one.holds]


def test_every_finding_has_a_cause():
    causes = {finding: cause_of(finding) for finding in Finding}
    assert causes.pop(Finding.PRICE_MISMATCH) is Cause.NOT_AS_PUBLISHED
    assert set(causes.values()) == {Cause.SP_FAULT}


def test_of_two_versions_of_one_date_the_later_counts_and_the_first_is_as_old_as_time(now):
    hour = timedelta(hours=1)
    known = [
        {"version": n, "effective_from": at, "rules": {"compensation": {"four_eyes_fen": n}}}
        for n, at in ((1, now - 9000 * hour), (4, now), (5, now), (3, now + 2 * hour))
    ]
    versions = Versions(CompensationRules, known)
    at = [versions.at(now + n * hour).version for n in (-5, -1, 0, 1, 2, 3)]
    assert at == [1, 1, 5, 5, 3, 3]
    during = [one.version for one in versions.during(now - hour, now + 3 * hour)]
    assert during == [1, 5, 3]
    assert [one.version for one in versions.during(now, now + 2 * hour)] == [5]
    assert versions.of(4).rules.four_eyes_fen == 4
    with pytest.raises(LookupError):
        versions.of(9)


async def test_of_what_the_audit_finds_each_is_borne_by_the_rules_of_its_time(
    tx, world, now, say, audit
):
    """The section changes at midnight: one charge before it, one after it, found at once."""
    early = await world.wrong()
    late = await make.charge(
        tx, now - timedelta(hours=1), world.msisdn, world.service_id, price_fen=PRICE,
        findings=["no_consent"], due_fen=0,
    )  # fmt: skip
    await say(2, now - timedelta(hours=2), bearers={"sp_fault": MIXED}, compensation_cap_fen=100)
    await say(3, now + DAY, multiplier=1)
    assert await audit() == 2
    borne = {}
    for row in await tx.fetch(BORNE, [early, late]):
        borne.setdefault(row["charge_id"], []).append((row["kind"], row["bearer"]))
    assert borne == {
        early: [("principal", "sp"), ("compensation", "sp")],
        late: [("principal", "operator"), ("compensation", "sp")],
    }
    assert [tuple(row) for row in await tx.fetch(DEBITED)] == [
        ("operator_share", PRICE), ("sp_receivable", 2 * PRICE + 100),
    ]  # fmt: skip
    assert await failing(tx) == []
    # Each can be worked out again from what its claim says.
    versions = await rulebook.versions(tx, CompensationRules)
    for row in await tx.fetch("SELECT * FROM claim"):
        charge = await queries.disputed(tx, row["msisdn"], row["charge_id"])
        rules = versions.of(row["rulebook_version"]).rules
        bearers = rules.borne(cause_of(judge(charge).decided_by))
        assert (row["bearer"], row["second_bearer"]) == (bearers.first, bearers.second)
        assert (row["principal_fen"], row["compensation_fen"]) == (
            outstanding(replace(charge, principal_fen=0, compensation_fen=0), 0, rules)
        )
    listed = await actions.claims_of_sp(tx, world.sp_id, actor=make.OFFICER, cursor=None, limit=9)
    assert {one.charge_id: one.rulebook_version for one in listed.items} == {early: 1, late: 2}


async def test_what_was_promised_when_a_claim_was_opened_is_paid_by_silence(
    tx, pool, clock, world, now, say
):
    await say(2, now - 2 * DAY, bearers={"not_opened": MIXED})
    charge_id = await world.right(await world.agreed())
    asked = VerificationRequest(charge_id=charge_id, cause=Cause.NOT_OPENED, reason="never was")
    holder = make.subscriber_actor(world.msisdn)
    async with db.transaction(pool) as own:
        shown = await verification.preview(own, asked, msisdn=world.msisdn, actor=holder, now=now)
        row = await verification.open_claim(
            own, asked, msisdn=world.msisdn, source=Source.SUBSCRIBER, actor=holder, now=now
        )
    for one in (shown, row):
        assert (one.bearer, one.second_bearer) == ("operator", "sp")
    # Dated back: it would have been in force, but was not known.
    await say(3, now - 2 * DAY, multiplier=1)
    clock.move(DAY)
    async with db.transaction(pool) as own:
        assert await verification.settle_silent(own, now=clock.now()) == 1
    assert [tuple(row)[1:] for row in await tx.fetch(BORNE, [charge_id])] == [
        ("principal", "operator"), ("compensation", "sp"),
    ]  # fmt: skip
    (row,) = await verification.statements.verifications(tx, verification_id=row.id)
    assert (row.paid_fen, row.rulebook_version) == (shown.first_fen + shown.second_fen, 2)
    said = await tx.fetch("SELECT DISTINCT rulebook_version FROM claim")
    assert [one[0] for one in said] == [2]
    assert await failing(tx) == []


async def test_a_mass_correction_pays_by_one_rule_what_two_people_agreed_to(
    tx, pool, world, now, say
):
    for hours in (5, 30):
        await make.charge(
            tx, now - timedelta(hours=hours), world.msisdn, world.service_id, price_fen=PRICE,
            findings=["undelivered"], due_fen=PRICE,
        )  # fmt: skip
    wanted = {
        "service_id": world.service_id, "wrong_fen": PRICE, "due_fen": 500, "until_at": now,
        "from_at": now - 2 * DAY, "cause": Cause.METERING, "reason": "x", "apology": "很抱歉。",
    }  # fmt: skip
    await say(2, now - 3 * DAY, bearers={"metering": MIXED}, compensation_cap_fen=40)
    await say(3, now - DAY, bearers={"metering": MIXED}, compensation_cap_fen=50)
    with pytest.raises(RulesDiffer):
        await mass_correction.propose(tx, CorrectionRequest(**wanted), actor=make.OFFICER, now=now)
    wanted["until_at"] = now - DAY
    row = await mass_correction.propose(
        tx, CorrectionRequest(**wanted), actor=make.OFFICER, now=now
    )
    assert (row.bearer, row.second_bearer, row.rulebook_version) == ("operator", "sp", 2)
    assert row.owed_fen == 300 + 40
    await mass_correction.decide(
        tx, row.id, accept=True, reason="seen", actor=make.OFFICER_2, now=now
    )
    await say(4, now - 3 * DAY, multiplier=1)
    while True:
        async with db.transaction(pool) as own:
            if not await mass_correction.work_chunk(own, now=now):
                break
    done = await mass_correction.get(tx, row.id)
    assert (done.refunded, done.refunded_fen) == (1, row.owed_fen)
    assert [tuple(one) for one in await tx.fetch(DEBITED)] == [
        ("operator_share", 300), ("sp_receivable", 40),
    ]  # fmt: skip
    assert await failing(tx) == []


@pytest.mark.parametrize(
    "wrong",
    [
        [], {"metering": "bank"}, {"weather": "sp"}, {"metering": {"first": "sp"}},
        {"metering": {"first": "sp", "second": "bank"}}, {"metering": MIXED | {"third": "sp"}},
        None, "sp",
    ],
)  # fmt: skip
async def test_a_catalogue_that_cannot_be_read_is_not_let_in(say, now, wrong):
    with pytest.raises(asyncpg.CheckViolationError, match="rulebook_bearers"):
        await say(2, now, bearers=wrong)
