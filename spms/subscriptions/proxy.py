"""Leaving through an agent (代客退订): a look-up with reason and ticket first, then leaving at once.

The look-up is on record before anything is shown, belongs to one agent and one number, and expires.
Whatever must follow the leaving runs against a clock (`duties`).
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from spms.core import audit, rulebook
from spms.core.access import Actor
from spms.core.db import Connection
from spms.core.errors import Conflict, NotFound
from spms.core.ids import new_id
from spms.core.instance import instance_secret
from spms.core.phone import mask
from spms.subscribers import actions as subscribers
from spms.subscribers import looks
from spms.subscribers.actions import audit_name
from spms.subscribers.model import Number
from spms.subscriptions import duties, leaving, leaving_queries, queries
from spms.subscriptions.evidence import show
from spms.subscriptions.leaving_model import LeavingRules, ProxyLeft, ProxyLookup, ProxyView
from spms.subscriptions.model import Subscription


class LookupExpired(Conflict):
    """This look-up is too old to act upon; look the number up again."""

    code = "lookup_expired"


async def look_up(
    tx: Connection,
    msisdn: str,
    *,
    reason: str,
    ticket: str,
    actor: Actor,
    now: datetime,
    counted: bool = False,
) -> ProxyView:
    """Put an agent's look at a number on record, and show what the number has.

    A number that nobody holds has nothing: that somebody looked is on record all the same. What a
    former holder had is not shown, also while its end is still to follow the transfer. It counts to
    the agent's looks, unless the caller has `counted` it. Raises `LooksUsedUp`.
    """
    if not counted:
        await looks.count(tx, msisdn, reason=reason, actor=actor, now=now)
    rules = await rulebook.section(tx, LeavingRules, at=now)
    number = await subscribers.get(tx, msisdn)
    new = ProxyLookup(
        msisdn=msisdn, id=new_id(), looked_by=actor.label, reason=reason, ticket=ticket, at=now,
        expires_at=now + timedelta(minutes=rules.lookup_minutes),
        owner_epoch=None if number is None else number.epoch,
    )  # fmt: skip
    await leaving_queries.add_lookup(tx, new)
    name = audit_name(await instance_secret(tx), msisdn)
    await audit.note(
        tx, "subscription.proxy_lookup", "number", name, actor=actor, now=now, reason=reason,
        detail={"ticket": ticket, "lookup": new.id},
    )  # fmt: skip
    live = [] if number is None else await _of_holder(tx, number)
    return ProxyView(
        lookup_id=new.id, number=mask(msisdn), expires_at=new.expires_at,
        subscriptions=await show(tx, live, actor=actor),
    )  # fmt: skip


async def leave(
    tx: Connection,
    lookup_id: UUID,
    *,
    subscription_ids: Sequence[UUID] | None,
    actor: Actor,
    now: datetime,
) -> ProxyLeft:
    """End relations of the number that was looked up, all it had then or those named; at once.

    Raises `NotFound` (no such look-up of this agent, or a relation of another number or a former
    holder) and `LookupExpired`, also when the number has another holder than the one shown, from
    whenever on. Either everything named ends, or nothing.
    """
    found = await leaving_queries.lookup(tx, lookup_id)
    if found is None or found.looked_by != actor.label:
        raise NotFound("no such look-up")
    if now >= found.expires_at:
        raise LookupExpired
    number = await queries.hold_number(tx, found.msisdn)
    if number is not None and number.epoch != found.owner_epoch:
        raise LookupExpired("the number has another holder since")
    live = [] if number is None else await _of_holder(tx, number)
    if subscription_ids is None:
        wanted = [one for one in live if one.requested_at <= found.at]
        ids = [one.id for one in wanted]
    else:
        ids = list(dict.fromkeys(subscription_ids))
        for subscription_id in ids:
            one = await queries.find(tx, found.msisdn, subscription_id)
            if one is None or number is None or one.epoch != number.epoch:
                raise NotFound("no such subscription of this number")
        wanted = [one for one in live if one.id in ids]
    ended = await leaving.end(
        tx, wanted, at=now, actor=actor, now=now, lookup_id=lookup_id,
        reason=f"{found.ticket}: {found.reason}",
    )  # fmt: skip
    if number is not None and ended:
        await leaving.confirm_left(tx, number, ended, now=now)
    rows = await leaving_queries.of_relations(tx, found.msisdn, ids)
    return ProxyLeft(
        left=await show(tx, ended, actor=actor),
        duties=await duties.show(tx, rows, actor=actor, now=now),
    )


async def _of_holder(read: Connection, number: Number) -> list[Subscription]:
    """Load what the present holder has that is not over."""
    return [one for one in await queries.live(read, number.msisdn) if one.epoch == number.epoch]
