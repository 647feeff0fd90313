"""The bad-credit list (黑名单) and the companies behind several SPs.

Penalties put companies on the list; applying and going live consult it. Licence, company and the
person's mobile are certain enough to refuse an application. A person's name alone is not: such an
application waits until an officer has looked (`clear`).
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from spms.core import audit
from spms.core.access import Actor
from spms.core.db import Connection
from spms.core.errors import Conflict, NotFound
from spms.core.ids import new_id
from spms.partners import bad_credit_queries as queries
from spms.partners import queries as partner_queries
from spms.partners.model import BadCredit, CompanyLink, Likeness, Match, Sp
from spms.partners.rules import company_key, name_key

CERTAIN = frozenset({Likeness.LICENCE, Likeness.COMPANY, Likeness.MOBILE})


class Barred(Conflict):
    """The operator does not deal with this company or person for the time being."""

    code = "bad_credit"


class MustBeCleared(Conflict):
    """The responsible person has the name of one on the bad-credit list: an officer must look."""

    code = "bad_credit_name"


class LinkedOtherwise(Conflict):
    """This SP is on record under another company or province."""

    code = "linked_otherwise"


def keys_of(licence_no: str, name: str, person: str) -> tuple[str, str, str]:
    """Return what licence, company and person look like."""
    return name_key(licence_no), company_key(name), name_key(person)


async def list_bad_credit(
    tx: Connection,
    sp_id: UUID,
    *,
    cause: tuple[str, str],
    reason: str,
    until: datetime,
    actor: Actor,
    now: datetime,
) -> bool:
    """Put an SP's licence, company and person on the list; once for a cause (kind, id).

    Returns whether it is new. Raises `NotFound` for an SP that is none.
    """
    sp = await partner_queries.by_id(tx, sp_id)
    if sp is None:
        raise NotFound
    keys = keys_of(sp.licence_no, sp.name, sp.responsible_name)
    added = await queries.add(
        tx, new_id(), sp_id, keys=keys, cause=cause, reason=reason, at=now, until=until,
        actor=actor.label,
    )  # fmt: skip
    if added:
        await audit.note(tx, "bad credit", "sp", sp_id, actor=actor, now=now, reason=reason)
    return added


async def delist(
    tx: Connection, *, cause: tuple[str, str], reason: str, actor: Actor, now: datetime
) -> bool:
    """Take off the list what a cause had put on it, because the cause fell."""
    return await queries.remove(tx, *cause, at=now, actor=actor.label, reason=reason)


async def matches(
    read: Connection,
    *,
    licence_no: str,
    name: str,
    person: str,
    mobile: str | None,
    at: datetime,
    sp_id: UUID | None = None,
) -> list[Match]:
    """List the entries in force that an SP is like."""
    return await queries.matches(read, keys_of(licence_no, name, person), mobile, at, sp_id)


async def require_good(read: Connection, sp: Sp, *, at: datetime) -> None:
    """Raise `Barred`, or `MustBeCleared` where only a person's name is on the list."""
    found = await matches(
        read, licence_no=sp.licence_no, name=sp.name, person=sp.responsible_name,
        mobile=sp.responsible_mobile, at=at, sp_id=sp.id,
    )  # fmt: skip
    if certain(found):
        raise Barred
    if found:
        raise MustBeCleared


def certain(found: Sequence[Match]) -> bool:
    """Whether one of the likenesses is enough to refuse by itself."""
    return any(match.likeness in CERTAIN for match in found)


async def clear(
    tx: Connection, sp_id: UUID, entry_id: UUID, *, reason: str, actor: Actor, now: datetime
) -> None:
    """Record that an SP's responsible person is another than the listed one; raise `NotFound`."""
    if not await queries.clear(tx, entry_id, sp_id, at=now, actor=actor.label, reason=reason):
        raise NotFound
    await audit.note(tx, "bad credit cleared", "sp", sp_id, actor=actor, now=now, reason=reason)


async def page(read: Connection, after: UUID | None, limit: int) -> list[BadCredit]:
    """List all entries there ever were, newest first."""
    return await queries.page(read, after, limit)


async def link(
    tx: Connection, sp_id: UUID, data: CompanyLink, *, actor: Actor, now: datetime
) -> CompanyLink:
    """Record under which company an SP works in which province.

    Raises `NotFound`, or `LinkedOtherwise` where something else is on record.
    """
    if await partner_queries.by_id(tx, sp_id) is None:
        raise NotFound
    found = await queries.link(tx, sp_id, data.company, data.province, at=now, actor=actor.label)
    if found != data:
        raise LinkedOtherwise
    return data


async def linked(read: Connection, sp_id: UUID) -> list[UUID]:
    """List the SPs under which the same company works in other provinces."""
    return await queries.linked(read, sp_id)
