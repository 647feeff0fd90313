import asyncio
from datetime import timedelta
from uuid import uuid4

import msgspec
import pytest

from spms.core import access, db, outbox
from spms.core.access import ActorKind
from spms.core.errors import Forbidden, NotAllowed
from spms.subscribers import actions
from spms.subscribers.model import NumberEventIn, NumberState
from spms.subscribers.rules import NumberUnknown
from tests import make

MSISDN = "8613912340000"
HOUR = timedelta(hours=1)
REASON = {
    "activated": "opened", "suspended": "arrears", "resumed": "paid",
    "terminated": "subscriber_request", "number_changed": "operator",
    "transferred": "owner_changed",
}  # fmt: skip


def event(kind: str, at, msisdn: str = MSISDN, reason: str | None = None, **values):
    row = {"msisdn": msisdn, "kind": kind, "reason": reason or REASON[kind], "effective_at": at}
    return msgspec.convert(row | values, NumberEventIn)


async def record(tx, now, *events):
    return await actions.record_events(tx, events, actor=make.GATEWAY, now=now)


async def news(tx, now):
    return [item.payload for item in await outbox.take(tx, actions.TOPIC, now=now)]


async def test_an_older_event_never_overwrites_a_newer_state_but_shows_in_between(tx, now):
    await record(tx, now, event("activated", now - 9 * HOUR))
    await record(tx, now, event("suspended", now - 2 * HOUR, reason="lost"))
    late = [event("suspended", now - 7 * HOUR), event("resumed", now - 5 * HOUR)]
    await record(tx, now, *late)
    number = await actions.get(tx, MSISDN)
    assert (number.state, number.state_since) == (NumberState.SUSPENDED, now - 2 * HOUR)
    states = [await actions.state_at(tx, MSISDN, now - h * HOUR) for h in (10, 8, 6, 4, 1)]
    assert states == [None, ("active", 1), ("suspended", 1), ("active", 1), ("suspended", 1)]
    payloads = await news(tx, now)
    assert [p["kind"] for p in payloads] == ["suspended"], "what was overtaken is no news"


async def test_the_state_changes_at_the_instant_of_the_event_itself(tx, now):
    await record(tx, now, event("activated", now - HOUR), event("suspended", now))
    assert await actions.state_at(tx, MSISDN, now) == ("suspended", 1)
    just_before = now - timedelta(microseconds=1)
    assert await actions.state_at(tx, MSISDN, just_before) == ("active", 1)


async def test_a_transfer_that_becomes_known_late_makes_the_holder_another(tx, now):
    await record(tx, now, event("activated", now - 9 * HOUR), event("suspended", now - 2 * HOUR))
    await record(tx, now, event("transferred", now - 5 * HOUR))
    number = await actions.get(tx, MSISDN)
    assert (number.epoch, number.epoch_since) == (2, now - 5 * HOUR)
    assert (number.state, number.state_since) == (NumberState.SUSPENDED, now - 2 * HOUR)
    assert await actions.state_at(tx, MSISDN, now) == ("suspended", 2)
    assert await actions.state_at(tx, MSISDN, now - 6 * HOUR) == ("active", 1)
    assert await tx.fetchval("SELECT count(*) FROM audit_log WHERE act = 'number.rederived'") == 1
    assert MSISDN not in await tx.fetchval("SELECT string_agg(audit_log::text, '') FROM audit_log")
    last = (await news(tx, now))[-1]
    assert (last["kind"], last["epoch"], last["ended_epoch"]) == ("transferred", 2, 1)


async def test_an_earlier_ownership_that_becomes_known_late_leaves_the_present_one_alone(tx, now):
    await record(tx, now, event("activated", now - 9 * HOUR))
    await record(tx, now, event("transferred", now - 2 * HOUR))
    credential = await _credential(tx, now, epoch=2)
    await record(tx, now, event("transferred", now - 5 * HOUR))
    number = await actions.get(tx, MSISDN)
    assert (number.epoch, number.epoch_since) == (2, now - 2 * HOUR)
    epochs = [(await actions.state_at(tx, MSISDN, now - h * HOUR))[1] for h in (6, 4, 1)]
    assert epochs == [1, 3, 2]
    assert await access.credential_by_id(tx, credential) is not None
    assert len(await news(tx, now)) == 1


async def _credential(tx, now, epoch: int):
    actor = make.subscriber_actor(MSISDN, epoch)
    return await access.add_credential(
        tx, kind=ActorKind.SUBSCRIBER, subject=MSISDN, name="subscriber",
        roles=tuple(actor.roles), secret_hash="", epoch=epoch, actor=actor, now=now,
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["terminated", "number_changed", "transferred"])
async def test_the_old_holders_credentials_stop_with_the_event_that_ends_the_ownership(
    tx, now, kind
):
    await record(tx, now, event("activated", now - 9 * HOUR))
    credential = await _credential(tx, now, epoch=1)
    await record(tx, now, event("suspended", now - 8 * HOUR), event("resumed", now - 7 * HOUR))
    assert await access.credential_by_id(tx, credential) is not None
    await record(tx, now, event(kind, now - HOUR))
    assert await access.credential_by_id(tx, credential) is None
    [*_, last] = await news(tx, now)
    assert (last["kind"], last["ended_epoch"]) == (kind, 1)


async def test_a_number_given_out_again_has_a_new_epoch_and_its_holders_language(tx, now):
    await record(tx, now, event("activated", now - 9 * HOUR, language="en"))
    assert (await actions.get(tx, MSISDN)).language == "en"
    await record(tx, now, event("activated", now - HOUR), event("terminated", now - 3 * HOUR))
    number = await actions.get(tx, MSISDN)
    assert (number.epoch, number.state, number.language) == (2, NumberState.ACTIVE, "zh")
    assert [p["kind"] for p in await news(tx, now)] == ["terminated"], "one end, once"


async def test_the_same_event_again_is_harmless_and_another_at_its_instant_is_refused(tx, now):
    batch = [event("activated", now - 9 * HOUR), event("suspended", now - HOUR)]
    assert (await record(tx, now, *batch, batch[1])).recorded == 2
    again = await record(tx, now, *batch)
    assert (again.recorded, again.repeated) == (0, 2)
    for other in (event("terminated", now - HOUR), event("suspended", now - HOUR, reason="lost")):
        with pytest.raises(actions.EventClash):
            await record(tx, now, other)
    assert await tx.fetchval("SELECT count(*) FROM number_event") == 2


async def test_an_unknown_number_is_refused_and_leaves_nothing(pool, now):
    with pytest.raises(NumberUnknown):
        async with db.transaction(pool) as tx:
            await record(
                tx, now, event("activated", now), event("resumed", now, msisdn="8613912340001")
            )
    async with pool.acquire() as tx:
        assert await tx.fetchval("SELECT count(*) FROM number") == 0


async def test_one_event_alone_answers_with_the_number_after_it(tx, now):
    await make.number(tx, now, msisdn=MSISDN)
    number = await actions.record_event(
        tx, event("suspended", now), actor=make.GATEWAY, now=now
    )  # fmt: skip
    assert (number.state, number.state_since, number.epoch) == (NumberState.SUSPENDED, now, 1)


async def test_twenty_writers_of_the_same_numbers_leave_one_timeline(pool, now):
    msisdns = [f"861391234{n:04d}" for n in range(10)]
    steps = ["suspended", "resumed"] * 10

    async def write(n: int) -> int:
        batch = [event("activated", now - 99 * HOUR, m) for m in msisdns]
        if n % 2:
            batch.reverse()
        batch += [event(k, now - (50 - i) * HOUR, m) for i, k in enumerate(steps) for m in msisdns]
        async with db.transaction(pool) as tx:
            return int((await record(tx, now, *batch)).recorded)

    written = await asyncio.gather(*[write(n) for n in range(20)])
    assert sorted(written) == [0] * 19 + [210]
    async with pool.acquire() as tx:
        wrong = await tx.fetchval(
            "SELECT count(*) FROM number n WHERE (state, epoch) IS DISTINCT FROM "
            "(SELECT (state_after, epoch_after) FROM number_event e WHERE e.msisdn = n.msisdn "
            "ORDER BY effective_at DESC LIMIT 1)"
        )
    assert wrong == 0


async def test_of_two_events_that_exclude_each_other_one_is_refused(pool, now):
    async with pool.acquire() as tx:
        await make.number(tx, now, msisdn=MSISDN)

    async def write(minutes: int) -> bool:
        try:
            async with db.transaction(pool) as tx:
                await record(tx, now, event("terminated", now - timedelta(minutes=minutes)))
        except NotAllowed:
            return False
        return True

    assert sum(await asyncio.gather(*[write(n) for n in range(8)])) == 1


async def test_only_the_present_holder_is_shown_the_number(tx, now):
    await make.number(tx, now, msisdn=MSISDN)
    assert (await actions.held(tx, make.subscriber_actor(MSISDN))).epoch == 1
    await record(tx, now, event("transferred", now))
    with pytest.raises(Forbidden):
        await actions.held(tx, make.subscriber_actor(MSISDN))


def test_each_sp_knows_each_holder_of_a_number_under_another_name():
    one, other = uuid4(), uuid4()
    names = {
        actions.pseudonym(b"s", one, MSISDN, 1),
        actions.pseudonym(b"s", other, MSISDN, 1),
        actions.pseudonym(b"t", one, MSISDN, 1),
        actions.pseudonym(b"s", one, "8613912340001", 1),
        actions.pseudonym(b"s", one, MSISDN, 2),
        actions.pseudonym(b"s", one, MSISDN, None),
    }
    assert len(names) == 6
    assert actions.pseudonym(b"s", one, MSISDN, 1) in names
    assert not any(MSISDN[2:] in name for name in names)
