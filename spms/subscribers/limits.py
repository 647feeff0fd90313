"""The verbs by which a person decides about her own number: bars, caps, language, summary.

All of it counts from the moment it is committed: authorisation and ordering read it in the
statement that decides. It belongs to one holder and does not pass to the next. Staff may set a bar
on the holder's recorded wish; lifting one, and any cap, is hers alone (rights: CHECKs of the
tables).
"""

from datetime import datetime
from uuid import UUID

from spms.catalogue import actions as catalogue
from spms.core import audit
from spms.core.access import Actor, ActorKind
from spms.core.db import Connection
from spms.core.errors import Conflict, Forbidden, NotFound, Unprocessable
from spms.core.instance import instance_secret
from spms.partners import actions as partners
from spms.subscribers import limit_queries, queries
from spms.subscribers.actions import audit_name
from spms.subscribers.limit_model import BarIn, BarScope, CapIn, CapScope, Limits
from spms.subscribers.model import Language, Number, NumberState


class BarUnclear(Unprocessable):
    """A bar of one SP names the SP, one of a category the category, and one of all neither."""

    code = "bar_unclear"


class CapUnclear(Unprocessable):
    """A cap of one service names the service, any other none."""

    code = "cap_unclear"


class AlreadyBarred(Conflict):
    """This bar is in force already."""

    code = "already_barred"


class Barred(Unprocessable):
    """The number's holder bars this service."""

    code = "barred"


async def limits(read: Connection, number: Number) -> Limits:
    """Return the bars and caps a number's holder has in force."""
    return Limits(
        bars=await limit_queries.bars(read, number), caps=await limit_queries.caps(read, number)
    )


async def bar(
    tx: Connection, msisdn: str, wish: BarIn, *, actor: Actor, now: datetime,
    reason: str | None = None,
) -> Limits:  # fmt: skip
    """Keep services away from a number, at once; its relations stay, and cost nothing meanwhile.

    For staff `reason` is what the holder said; it is audited. Raises `BarUnclear`,
    `AlreadyBarred`, `NotFound` (unknown SP, or a number nobody holds), `Forbidden`.
    """
    number = await _holder(tx, msisdn, actor)
    target = await _target(tx, wish)
    if not await limit_queries.add_bar(
        tx, number, wish.scope, target, now=now, actor=actor.label, reason=reason
    ):
        raise AlreadyBarred
    if actor.kind is ActorKind.STAFF:
        name = audit_name(await instance_secret(tx), msisdn)
        detail = {"scope": wish.scope, "target": target}
        await audit.note(
            tx, "number.barred", "number", name, actor=actor, now=now, reason=reason, detail=detail
        )
    return await limits(tx, number)


async def lift(tx: Connection, msisdn: str, bar_id: UUID, *, actor: Actor, now: datetime) -> Limits:
    """Lift a bar: the holder's own act. Raises `NotFound`, `Forbidden`."""
    number = await _herself(tx, msisdn, actor)
    if not await limit_queries.lift_bar(tx, number, bar_id, now=now, actor=actor.label):
        raise NotFound("no such bar in force")
    return await limits(tx, number)


async def set_cap(
    tx: Connection, msisdn: str, wish: CapIn, *, actor: Actor, now: datetime
) -> Limits:
    """Raise or lower a monthly cap, or go back to the operator's: the holder's own act.

    Raises `CapUnclear`, `NotFound` (no such service), `Forbidden`.
    """
    number = await _herself(tx, msisdn, actor)
    if (wish.scope is CapScope.SERVICE) != (wish.service_code is not None):
        raise CapUnclear
    service_id = None
    if wish.service_code is not None:
        service = await catalogue.service_by_code(tx, wish.service_code)
        if service is None:
            raise NotFound("no such service")
        service_id = service.id
    await limit_queries.add_cap(
        tx, number, wish.scope, service_id, wish.limit_fen, now=now, actor=actor.label
    )
    return await limits(tx, number)


async def set_language(
    tx: Connection, msisdn: str, language: Language, *, actor: Actor
) -> None:  # fmt: skip
    """Choose the language of all notices to a number: the holder's own act. Raises `Forbidden`."""
    await limit_queries.set_language(tx, await _herself(tx, msisdn, actor), language)


async def wants_summary(read: Connection, number: Number) -> bool:
    """Whether a number's holder is told by SMS every month what her bill came to."""
    return await limit_queries.wants_summary(read, number)


async def set_summary(
    tx: Connection, msisdn: str, *, wanted: bool, actor: Actor, now: datetime
) -> None:
    """Switch the month's bill by SMS off or on: the holder's own act. Raises `Forbidden`."""
    number = await _herself(tx, msisdn, actor)
    await limit_queries.set_summary(tx, number, wanted=wanted, now=now)


async def require_not_barred(
    read: Connection, number: Number, service_id: UUID, *, at: datetime
) -> None:
    """Raise `Barred` when the holder keeps a service away at an instant."""
    if await limit_queries.barred_by(read, number, service_id, at) is not None:
        raise Barred


async def _holder(tx: Connection, msisdn: str, actor: Actor) -> Number:
    """Hold a number that somebody has; a subscriber only her own."""
    number = (await queries.lock(tx, [msisdn])).get(msisdn)
    if actor.kind is ActorKind.SUBSCRIBER:
        if actor.msisdn != msisdn or number is None or number.epoch != actor.epoch:
            raise Forbidden("this number is not yours any more")
    elif actor.kind is not ActorKind.STAFF:
        raise Forbidden
    if number is None or number.state is NumberState.TERMINATED:
        if actor.kind is ActorKind.SUBSCRIBER:
            raise Forbidden("this number is not yours any more")
        raise NotFound("nobody holds this number")
    return number


async def _herself(tx: Connection, msisdn: str, actor: Actor) -> Number:
    if actor.kind is not ActorKind.SUBSCRIBER:
        raise Forbidden("only the number's holder may do this")
    return await _holder(tx, msisdn, actor)


async def _target(tx: Connection, wish: BarIn) -> str:
    named = (wish.scope, wish.sp_code is not None, wish.category is not None)
    if named == (BarScope.ALL, False, False):
        return ""
    if wish.sp_code is not None and named == (BarScope.SP, True, False):
        sp = await partners.get_by_code(tx, wish.sp_code)
        if sp is None:
            raise NotFound("no such SP")
        return str(sp.id)
    if wish.category is not None and named == (BarScope.CATEGORY, False, True):
        return wish.category
    raise BarUnclear
