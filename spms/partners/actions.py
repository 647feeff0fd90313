"""The verbs: an SP's way in and out, and its contacts. Restrictions are in `restrictions`."""

from datetime import datetime, timedelta
from uuid import UUID

from spms.core import access, audit
from spms.core.access import Actor, ActorKind
from spms.core.db import Connection
from spms.core.errors import NotFound, TooManyRequests, Unavailable, Unprocessable
from spms.core.ids import new_id
from spms.core.machine import advance
from spms.core.rulebook import section
from spms.partners import bad_credit, client_secrets, contact_queries, queries
from spms.partners.model import (
    Application,
    Applied,
    ContactChange,
    Contacts,
    ContactState,
    PartnerRules,
    Sp,
    SpAction,
    SpHotline,
    SpStatus,
)
from spms.partners.refusals import (
    ChangeOpen,
    Decided,
    HotlineRepeated,
    LicenceTaken,
    NameTaken,
    NotReady,
    SamePerson,
    SpGone,
    SpNotActive,
)
from spms.partners.restrictions import (
    NotByHand,
    lift,
    lift_by_hand,
    restrict,
    restriction,
    restrictions_at,
)
from spms.partners.rules import TRANSITIONS, missing_for_activation, name_key

__all__ = [
    "ChangeOpen", "Decided", "HotlineRepeated", "LicenceTaken", "NameTaken", "NotByHand",
    "NotReady", "SamePerson", "SpGone", "SpNotActive", "activate", "active_hotlines", "apply",
    "close", "decide_contact_change", "get", "get_by_code", "lift", "lift_by_hand", "reject",
    "request_contact_change", "require_active", "restrict", "restriction", "restrictions_at",
    "review",
]  # fmt: skip


async def get(read: Connection, sp_id: UUID) -> Sp:
    """Return an SP; raise `NotFound`."""
    sp = await queries.by_id(read, sp_id)
    if sp is None:
        raise NotFound
    return sp


async def get_by_code(read: Connection, code: str) -> Sp | None:
    """Return an SP by its enterprise code."""
    return await queries.by_code(read, code)


async def require_active(read: Connection, sp_id: UUID) -> Sp:
    """Return an SP that may sell; raise `NotFound` or `SpNotActive`."""
    sp = await get(read, sp_id)
    if sp.status is not SpStatus.ACTIVE:
        raise SpNotActive
    return sp


async def active_hotlines(read: Connection, *, at: datetime) -> list[SpHotline]:
    """List the hotlines of all active SPs that are in force at an instant."""
    return await queries.active_hotlines(read, at)


async def apply(tx: Connection, data: Application, *, now: datetime) -> Applied:
    """Take a company's application and give it credentials to follow it.

    Raises `LicenceTaken` or `NameTaken`, `HotlineRepeated`, `Unprocessable` for a name without
    letters or digits, `TooManyRequests` when too many already wait, and `Barred` for a company or
    person on the bad-credit list.
    """
    _require_distinct(data.hotlines)
    found = await bad_credit.matches(
        tx, licence_no=data.licence_no, name=data.name, person=data.responsible_name,
        mobile=data.responsible_mobile, at=now,
    )  # fmt: skip
    if bad_credit.certain(found):
        raise bad_credit.Barred
    await queries.queue_applications(tx)
    rules = await section(tx, PartnerRules, at=now)
    waiting = await queries.applications_since(tx, now - timedelta(hours=1))
    if waiting >= rules.applications_per_hour:
        raise TooManyRequests("too many applications wait", headers={"Retry-After": "3600"})
    sp_id, key = new_id(), name_key(data.name)
    if not key:
        raise Unprocessable("a name has letters or digits", code="name_empty")
    if not await queries.insert(tx, sp_id, data, key, now):
        taken = await queries.taken(tx, data.licence_no, key)
        if taken is None:
            raise Unavailable("there are no SP codes left")
        raise LicenceTaken if taken == "licence" else NameTaken
    await queries.open_hotlines(tx, sp_id, data.hotlines, now)
    applicant = Actor(kind=ActorKind.SP, subject=str(sp_id), name="applicant")
    await queries.note_applied(tx, sp_id, now, applicant.label)
    sp = await get(tx, sp_id)
    client = await client_secrets.issue(tx, sp, actor=applicant, now=now)
    return Applied(sp=sp, client=client)


async def review(tx: Connection, sp_id: UUID, *, actor: Actor, now: datetime) -> Sp:
    """Take an application into review."""
    return await _move(tx, sp_id, SpAction.REVIEW, actor=actor, now=now, reason=None)


async def activate(tx: Connection, sp_id: UUID, *, actor: Actor, now: datetime) -> Sp:
    """Let an SP go live; raise `NotReady` that names what is missing, `Barred`, `MustBeCleared`.

    Two hotlines and the responsible person's mobile come first (promise 5).
    """
    sp = await _locked(tx, sp_id)
    advance(TRANSITIONS, sp.status, SpAction.ACTIVATE)
    missing = missing_for_activation(sp, await section(tx, PartnerRules, at=now))
    await bad_credit.require_good(tx, sp, at=now)
    if missing:
        raise NotReady("the SP lacks what it must have before going live", errors=missing)
    return await _move(tx, sp_id, SpAction.ACTIVATE, actor=actor, now=now, reason=None)


async def reject(tx: Connection, sp_id: UUID, *, reason: str, actor: Actor, now: datetime) -> Sp:
    """Turn an application down; its credentials stop working."""
    sp = await _move(tx, sp_id, SpAction.REJECT, actor=actor, now=now, reason=reason)
    await access.revoke_subject(tx, ActorKind.SP, str(sp_id), actor=actor, now=now)
    return sp


async def close(tx: Connection, sp_id: UUID, *, reason: str, actor: Actor, now: datetime) -> Sp:
    """End the cooperation; its credentials stop working, its liabilities stay."""
    sp = await _move(tx, sp_id, SpAction.CLOSE, actor=actor, now=now, reason=reason)
    await access.revoke_subject(tx, ActorKind.SP, str(sp_id), actor=actor, now=now)
    return sp


def _require_distinct(hotlines: list[str]) -> None:
    if len(set(hotlines)) < len(hotlines):
        raise HotlineRepeated


def _require_living(sp: Sp) -> None:
    if sp.status in {SpStatus.REJECTED, SpStatus.CLOSED}:
        raise SpGone


async def _locked(tx: Connection, sp_id: UUID) -> Sp:
    sp = await queries.lock(tx, sp_id)
    if sp is None:
        raise NotFound
    return sp


async def _move(
    tx: Connection,
    sp_id: UUID,
    action: SpAction,
    *,
    actor: Actor,
    now: datetime,
    reason: str | None,
) -> Sp:
    sp = await _locked(tx, sp_id)
    after = advance(TRANSITIONS, sp.status, action)
    await queries.move(
        tx, sp_id, action, sp.status, after, at=now, actor=actor.label, reason=reason
    )
    return await get(tx, sp_id)


async def request_contact_change(
    tx: Connection, sp_id: UUID, data: Contacts, *, actor: Actor, now: datetime
) -> ContactChange:
    """Ask for new hotlines and a new responsible person; the old ones hold until it is approved.

    Raises `HotlineRepeated`, `SpGone`, and `ChangeOpen` while an earlier request waits.
    """
    _require_distinct(data.hotlines)
    _require_living(await get(tx, sp_id))
    change = ContactChange(
        id=new_id(),
        sp_id=sp_id,
        hotlines=data.hotlines,
        responsible_name=data.responsible_name,
        responsible_mobile=data.responsible_mobile,
        state=ContactState.REQUESTED,
        requested_at=now,
        requested_by=actor.label,
    )
    if not await contact_queries.add_contact_change(tx, change):
        raise ChangeOpen
    return change


async def decide_contact_change(
    tx: Connection,
    change_id: UUID,
    *,
    approve: bool,
    reason: str | None,
    actor: Actor,
    now: datetime,
) -> ContactChange:
    """Approve or reject a contact change; raise `SamePerson`, `Decided`, or `SpGone`.

    On approval the old hotlines end and the new ones begin at this very instant, so that a spot
    check always knows which number was promised.
    """
    change = await contact_queries.contact_change(tx, change_id)
    if change is None:
        raise NotFound
    if change.requested_by == actor.label:
        raise SamePerson
    sp = await _locked(tx, change.sp_id)
    if approve:
        _require_living(sp)
    state = ContactState.APPROVED if approve else ContactState.REJECTED
    done = await contact_queries.decide_contact_change(
        tx, change_id, state, at=now, actor=actor.label, reason=reason
    )
    if not done:
        raise Decided
    if approve:
        await queries.close_hotlines(tx, change.sp_id, change.hotlines, now)
        await queries.open_hotlines(tx, change.sp_id, change.hotlines, now)
        await queries.set_responsible(
            tx, change.sp_id, change.responsible_name, change.responsible_mobile
        )
    act = f"contact change {state}"
    await audit.note(tx, act, "sp", change.sp_id, actor=actor, now=now, reason=reason)
    decided = await contact_queries.contact_change(tx, change_id)
    assert decided is not None  # noqa: S101 - it was there a statement ago, and rows are not deleted
    return decided
