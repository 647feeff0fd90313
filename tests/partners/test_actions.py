"""An SP's life, its contacts and restrictions, on the real database: races and refusals."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest

from spms.core import access, db
from spms.core.access import ActorKind
from spms.core.errors import Conflict, NotAllowed, NotFound, Refused, TooManyRequests, Unprocessable
from spms.partners import actions, client_secrets
from spms.partners.model import Application, Contacts, Measure, SpStatus
from tests import make

HOUR = timedelta(hours=1)
NEW_CONTACTS = Contacts(
    hotlines=["4008999999", "02287654321"], responsible_name="新负责人",
    responsible_mobile="8613911112222",
)  # fmt: skip


def an_application(**values):
    return Application(
        **{
            "name": "华北信息", "licence_no": "B2-20060189", "responsible_name": "负责人",
            "responsible_mobile": "8613900000001", "hotlines": ["4008123456", "02287654321"],
        } | values
    )  # fmt: skip


async def in_own_transaction(pool, verb, *args, **values):
    """Run one verb in a transaction of its own and return its answer or its refusal."""
    try:
        async with db.transaction(pool) as tx:
            return await verb(tx, *args, **values)
    except Refused as refusal:
        return refusal


async def an_sp_in_review(pool, now, **values):
    async with db.transaction(pool) as tx:
        applied = await actions.apply(tx, an_application(**values), now=now)
        await actions.review(tx, applied.sp.id, actor=make.OFFICER, now=now)
    return applied.sp.id


async def restricted(tx, sp_id, now, *, cause="1", measure=Measure.SHIELDED, **values):
    return await actions.restrict(
        tx, sp_id=sp_id, measure=measure, cause_kind="breach", cause_id=cause, reason="test",
        actor=make.OFFICER, now=now, **{"service_id": None} | values,
    )  # fmt: skip


async def lifted(tx, now, cause="1"):
    return await actions.lift(
        tx, cause_kind="breach", cause_id=cause, reason="quashed", actor=make.OFFICER, now=now
    )


async def test_two_activations_at_once_leave_one_history_line(pool, tx, now):
    sp_id = await an_sp_in_review(pool, now)
    answers = await asyncio.gather(
        *[
            in_own_transaction(pool, actions.activate, sp_id, actor=make.OFFICER, now=now)
            for _ in range(4)
        ]
    )
    assert sorted(isinstance(answer, NotAllowed) for answer in answers) == [False, True, True, True]
    lines = "SELECT count(*) FROM sp_event WHERE sp_id = $1 AND action = 'activate'"
    assert await tx.fetchval(lines, sp_id) == 1


async def test_of_two_applications_with_one_licence_one_is_taken(pool, tx, now):
    answers = await asyncio.gather(
        *[
            in_own_transaction(pool, actions.apply, an_application(name=f"公司{n}"), now=now)
            for n in range(4)
        ]
    )
    refused = [answer.instance_code for answer in answers if isinstance(answer, Refused)]
    assert refused == ["licence_taken"] * 3
    assert await tx.fetchval("SELECT count(*) FROM sp") == 1


async def test_different_companies_applying_at_once_are_all_taken_with_codes_of_their_own(
    pool, tx, now
):
    answers = await asyncio.gather(
        *[
            in_own_transaction(
                pool, actions.apply,
                an_application(name=f"公司{n}", licence_no=f"B2-2006018{n}"), now=now,
            )
            for n in range(10)
        ]
    )  # fmt: skip
    assert [answer for answer in answers if isinstance(answer, Refused)] == []
    assert await tx.fetchval("SELECT count(DISTINCT code) FROM sp") == 10


async def test_a_look_alike_name_is_refused(tx, now):
    await actions.apply(tx, an_application(name="ABC科技"), now=now)
    with pytest.raises(Conflict) as refusal:
        await actions.apply(
            tx, an_application(name="ＡＢＣ 科技", licence_no="B2-20060190"), now=now
        )
    assert refusal.value.instance_code == "name_taken"


async def test_a_rejected_application_frees_name_and_licence(tx, now):
    first = await actions.apply(tx, an_application(), now=now)
    await actions.reject(tx, first.sp.id, reason="假材料", actor=make.OFFICER, now=now)
    second = await actions.apply(tx, an_application(), now=now)
    assert second.sp.status is SpStatus.APPLIED


async def test_the_open_door_takes_no_more_than_the_rulebook_says(pool, owner, now):
    await owner.execute(
        "INSERT INTO rulebook VALUES (2, '-infinity', $1, 'test', now(), 'test')",
        {"partner": {"applications_per_hour": 2}},
    )
    answers = await asyncio.gather(
        *[
            in_own_transaction(
                pool, actions.apply,
                an_application(name=f"公司{n}", licence_no=f"B2-2006018{n}"), now=now,
            )
            for n in range(6)
        ]
    )  # fmt: skip
    assert sum(isinstance(answer, TooManyRequests) for answer in answers) == 4
    later = await in_own_transaction(
        pool, actions.apply, an_application(), now=now + HOUR + timedelta(seconds=1)
    )
    assert later.sp.status is SpStatus.APPLIED


async def test_an_sp_without_two_hotlines_does_not_go_live(pool, now):
    sp_id = await an_sp_in_review(pool, now, hotlines=["4008123456"], responsible_mobile=None)
    answer = await in_own_transaction(pool, actions.activate, sp_id, actor=make.OFFICER, now=now)
    assert isinstance(answer, Unprocessable)
    assert answer.instance_code == "not_ready"
    assert [error.pointer for error in answer.errors] == ["/hotlines", "/responsible_mobile"]


async def test_of_two_decisions_on_one_contact_change_one_counts(pool, tx, now):
    sp_id = await make.sp(tx, now)
    asked = await actions.request_contact_change(
        tx, sp_id, NEW_CONTACTS, actor=make.sp_actor(sp_id), now=now
    )
    answers = await asyncio.gather(
        *[
            in_own_transaction(
                pool, actions.decide_contact_change, asked.id, approve=approve, reason="核实",
                actor=officer, now=now,
            )
            for approve, officer in [(True, make.OFFICER), (False, make.OFFICER_2)]
        ]
    )  # fmt: skip
    assert sum(isinstance(answer, Conflict) for answer in answers) == 1
    state = await tx.fetchval("SELECT state FROM contact_change")
    in_use = (await actions.get(tx, sp_id)).hotlines
    assert (sorted(in_use) == sorted(NEW_CONTACTS.hotlines)) == (state == "approved")


async def test_who_asked_for_a_contact_change_does_not_decide_it(tx, now):
    sp_id = await make.sp(tx, now)
    asked = await actions.request_contact_change(
        tx, sp_id, NEW_CONTACTS, actor=make.OFFICER, now=now
    )
    with pytest.raises(Conflict) as refusal:
        await actions.decide_contact_change(
            tx, asked.id, approve=True, reason=None, actor=make.OFFICER, now=now
        )
    assert refusal.value.instance_code == "same_person"


async def test_an_approved_change_keeps_the_old_number_on_record_until_that_instant(tx, now):
    sp_id = await make.sp(tx, now, hotlines=("4008000001", "02287654321"))
    asked = await actions.request_contact_change(
        tx, sp_id, NEW_CONTACTS, actor=make.sp_actor(sp_id), now=now
    )
    before = await actions.active_hotlines(tx, at=now)
    await actions.decide_contact_change(
        tx, asked.id, approve=True, reason=None, actor=make.OFFICER, now=now + HOUR
    )
    then = await actions.active_hotlines(tx, at=now)
    after = await actions.active_hotlines(tx, at=now + HOUR)
    assert then == before
    assert {hotline.number for hotline in after} == set(NEW_CONTACTS.hotlines)
    assert (await actions.get(tx, sp_id)).responsible_mobile == NEW_CONTACTS.responsible_mobile


async def test_one_number_named_twice_is_not_two_hotlines(tx, now):
    sp_id = await make.sp(tx, now)
    twice = Contacts(
        hotlines=["4008999999", "4008999999"], responsible_name="负责人",
        responsible_mobile="8613911112222",
    )  # fmt: skip
    with pytest.raises(Unprocessable):
        await actions.request_contact_change(tx, sp_id, twice, actor=make.sp_actor(sp_id), now=now)


async def test_one_cause_restricts_once_also_at_once(pool, tx, now):
    sp_id = await make.sp(tx, now)

    async def one():
        async with db.transaction(pool) as own:
            return await restricted(own, sp_id, now)

    assert len(set(await asyncio.gather(*[one() for _ in range(4)]))) == 1
    assert await tx.fetchval("SELECT count(*) FROM restriction") == 1
    assert await tx.fetchval("SELECT count(*) FROM audit_log WHERE about_kind = 'sp'") == 1


async def test_lifting_one_cause_leaves_the_others(tx, now):
    sp_id = await make.sp(tx, now)
    await restricted(tx, sp_id, now, cause="1")
    await restricted(tx, sp_id, now, cause="2")
    assert await lifted(tx, now + HOUR) == 1
    assert await lifted(tx, now + HOUR) == 0
    holding = await actions.restrictions_at(tx, sp_id, at=now + HOUR)
    assert [restriction.cause_id for restriction in holding] == ["2"]
    assert len(await actions.restrictions_at(tx, sp_id, at=now)) == 2


async def test_a_cause_that_was_lifted_can_restrict_anew(tx, now):
    sp_id = await make.sp(tx, now)
    first = await restricted(tx, sp_id, now)
    await lifted(tx, now + HOUR)
    second = await restricted(tx, sp_id, now + 2 * HOUR)
    assert second != first
    for hours, holding in [(0, [first]), (1, []), (2, [second])]:
        found = await actions.restrictions_at(tx, sp_id, at=now + hours * HOUR)
        assert [restriction.id for restriction in found] == holding


async def test_a_restriction_ends_at_its_end(tx, now):
    sp_id = await make.sp(tx, now)
    await restricted(tx, sp_id, now, ends_at=now + HOUR)
    assert len(await actions.restrictions_at(tx, sp_id, at=now + HOUR - timedelta(seconds=1))) == 1
    assert await actions.restrictions_at(tx, sp_id, at=now + HOUR) == []


async def test_a_restriction_of_another_sps_service_is_not_found(tx, now):
    sp_id, other = await make.sp(tx, now), await make.sp(tx, now)
    service_id = await make.service(tx, now, other)
    for wrong in (service_id, uuid4()):
        with pytest.raises(NotFound):
            await restricted(tx, sp_id, now, service_id=wrong)


async def test_at_most_two_client_secrets_live(pool, tx, now):
    applied = await actions.apply(tx, an_application(), now=now)
    answers = await asyncio.gather(
        *[
            in_own_transaction(
                pool, client_secrets.rotate, applied.sp.id,
                actor=make.sp_actor(applied.sp.id), now=now,
            )
            for _ in range(4)
        ]
    )  # fmt: skip
    ids = {answer.client_id for answer in answers}
    live = await tx.fetch("SELECT id FROM credential WHERE kind = 'sp' AND revoked_at IS NULL")
    assert len(live) == 2
    assert {row["id"] for row in live} <= ids


async def test_closing_an_sp_revokes_its_credentials_and_no_new_ones_are_given(tx, now):
    sp_id = await make.sp(tx, now)
    made = await client_secrets.rotate(tx, sp_id, actor=make.sp_actor(sp_id), now=now)
    await actions.close(tx, sp_id, reason="终止合作", actor=make.OFFICER, now=now)
    assert await access.credential_by_id(tx, made.client_id) is None
    with pytest.raises(Conflict):
        await client_secrets.rotate(tx, sp_id, actor=make.ADMIN, now=now)
    assert await access.credential_of(tx, ActorKind.SP, str(sp_id)) is None


async def test_a_closed_sp_changes_no_contacts(tx, now):
    sp_id = await make.sp(tx, now)
    asked = await actions.request_contact_change(
        tx, sp_id, NEW_CONTACTS, actor=make.sp_actor(sp_id), now=now
    )
    await actions.close(tx, sp_id, reason="终止合作", actor=make.OFFICER, now=now)
    with pytest.raises(Conflict):
        await actions.decide_contact_change(
            tx, asked.id, approve=True, reason=None, actor=make.OFFICER, now=now
        )
