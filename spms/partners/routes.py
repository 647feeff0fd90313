"""SPs over HTTP: apply, review, contacts, client secrets, restrictions."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Router, get, post
from litestar.datastructures import ResponseHeader
from litestar.params import Parameter

from spms.core.access import Actor, ActorKind, Role, only
from spms.core.db import Connection
from spms.core.errors import NotAllowed, NotFound, TooManyRequests, Unprocessable
from spms.core.http import refusals
from spms.core.ids import new_id
from spms.core.once import IdempotencyKey, KeyReused, once
from spms.core.paging import Cursor, CursorInvalid, Limit, Page, read_cursor, write_cursor
from spms.partners import actions, contact_queries, queries, restriction_queries
from spms.partners.bad_credit import Barred, MustBeCleared
from spms.partners.model import (
    Application,
    Applied,
    ContactChange,
    Contacts,
    Measure,
    Reason,
    Restriction,
    Sp,
    SpStatus,
)
from spms.partners.restrictions import OFFICER
from spms.partners.rules import masked_change, masked_sp

NO_STORE = [ResponseHeader(name="Cache-Control", value="no-store")]

Staff = (Role.COMPLIANCE, Role.AGENT, Role.ADMIN)
Status = Annotated[str | None, Parameter(pattern=f"^(?:{'|'.join(SpStatus)})$")]


class Because(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why."""

    reason: Reason


class Decision(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Yes or no, and why."""

    approve: bool
    reason: Reason | None = None
    """Needed to say no: whoever asked must learn why."""

    def __post_init__(self) -> None:
        """Refuse a no without a reason."""
        if not self.approve and self.reason is None:
            raise ValueError("a refusal needs a reason")


class NewRestriction(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A measure an officer takes on their own motion."""

    measure: Measure
    service_id: UUID | None = None
    reason: Reason
    ends_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    cut_percent: Annotated[int, msgspec.Meta(ge=1, le=100)] | None = None
    """Of a settlement cut, and of nothing else."""


def own_or_staff(actor: Actor, sp_id: UUID) -> None:
    """Let an SP see only itself: anything else looks like nothing at all."""
    if actor.kind is ActorKind.SP and actor.sp_id != sp_id:
        raise NotFound


@post("/sps", status_code=201, response_headers=NO_STORE,
      responses=refusals(actions.LicenceTaken, actions.NameTaken, actions.HotlineRepeated, Barred,
                         Unprocessable, TooManyRequests))  # fmt: skip
async def apply(data: Application, tx: Connection, now: datetime) -> Applied:
    """Apply to become an SP. The answer holds the client secret, this once."""
    made = await actions.apply(tx, data, now=now)
    return msgspec.structs.replace(made, sp=masked_sp(made.sp))


@get("/sps", guards=[only(*Staff)], responses=refusals(CursorInvalid))
async def find(
    read: Connection, actor: Actor, status: Status = None, limit: Limit = 20, after: Cursor = None
) -> Page[Sp]:
    """List SPs by enterprise code."""
    key = await read_cursor(read, actor, "sps", after, tuple[str])
    rows = await queries.page(read, status, key[0] if key else None, limit + 1)
    more = len(rows) > limit
    cursor = await write_cursor(read, actor, "sps", [rows[limit - 1].code]) if more else None
    return Page(items=[masked_sp(sp) for sp in rows[:limit]], next=cursor)


@get("/sps/{sp_id:uuid}", guards=[only(Role.SP, *Staff)], responses=refusals(NotFound))
async def show(sp_id: UUID, read: Connection, actor: Actor) -> Sp:
    """Show one SP; an SP sees itself only."""
    own_or_staff(actor, sp_id)
    return masked_sp(await actions.get(read, sp_id))


@get("/my/sp", guards=[only(Role.SP)])
async def show_mine(read: Connection, actor: Actor) -> Sp:
    """Show the SP whose credentials these are."""
    return masked_sp(await actions.get(read, actor.sp_id))


@post("/sps/{sp_id:uuid}/review", status_code=200, guards=[only(Role.COMPLIANCE)],
      responses=refusals(NotFound, NotAllowed))  # fmt: skip
async def review(sp_id: UUID, tx: Connection, actor: Actor, now: datetime) -> Sp:
    """Take an application into review."""
    return masked_sp(await actions.review(tx, sp_id, actor=actor, now=now))


@post("/sps/{sp_id:uuid}/activation", status_code=200, guards=[only(Role.COMPLIANCE)],
      responses=refusals(NotFound, NotAllowed, actions.NotReady, Barred, MustBeCleared))  # fmt: skip
async def activate(sp_id: UUID, tx: Connection, actor: Actor, now: datetime) -> Sp:
    """Let an SP go live, if it has two hotlines and its responsible person's mobile."""
    return masked_sp(await actions.activate(tx, sp_id, actor=actor, now=now))


@post("/sps/{sp_id:uuid}/rejection", status_code=200, guards=[only(Role.COMPLIANCE)],
      responses=refusals(NotFound, NotAllowed))  # fmt: skip
async def reject(sp_id: UUID, data: Because, tx: Connection, actor: Actor, now: datetime) -> Sp:
    """Turn an application down."""
    return masked_sp(await actions.reject(tx, sp_id, reason=data.reason, actor=actor, now=now))


@post("/sps/{sp_id:uuid}/closure", status_code=200, guards=[only(Role.COMPLIANCE)],
      responses=refusals(NotFound, NotAllowed))  # fmt: skip
async def close(sp_id: UUID, data: Because, tx: Connection, actor: Actor, now: datetime) -> Sp:
    """End the cooperation with an SP."""
    return masked_sp(await actions.close(tx, sp_id, reason=data.reason, actor=actor, now=now))


@post("/sps/{sp_id:uuid}/contact-changes", status_code=201, guards=[only(Role.SP)],
      responses=refusals(NotFound, actions.ChangeOpen, actions.SpGone,
                         actions.HotlineRepeated))  # fmt: skip
async def request_contact_change(
    sp_id: UUID, data: Contacts, tx: Connection, actor: Actor, now: datetime
) -> ContactChange:
    """Ask for new hotlines and a new responsible person."""
    own_or_staff(actor, sp_id)
    return masked_change(
        await actions.request_contact_change(tx, sp_id, data, actor=actor, now=now)
    )


@post("/contact-changes/{change_id:uuid}/decision", status_code=200, guards=[only(Role.COMPLIANCE)],
      responses=refusals(NotFound, actions.SamePerson, actions.Decided, actions.SpGone))  # fmt: skip
async def decide_contact_change(
    change_id: UUID, data: Decision, tx: Connection, actor: Actor, now: datetime
) -> ContactChange:
    """Approve or reject a contact change."""
    return masked_change(
        await actions.decide_contact_change(
            tx, change_id, approve=data.approve, reason=data.reason, actor=actor, now=now
        )
    )


@get("/sps/{sp_id:uuid}/contact-changes", guards=[only(Role.SP, *Staff)],
     responses=refusals(NotFound, CursorInvalid))  # fmt: skip
async def list_contact_changes(
    sp_id: UUID, read: Connection, actor: Actor, limit: Limit = 20, after: Cursor = None
) -> Page[ContactChange]:
    """List an SP's requests to change contacts, newest first."""
    own_or_staff(actor, sp_id)
    await actions.get(read, sp_id)
    name = f"contact changes {sp_id}"
    key = await read_cursor(read, actor, name, after, tuple[UUID])
    rows = await contact_queries.changes_of(read, sp_id, key[0] if key else None, limit + 1)
    more = len(rows) > limit
    cursor = await write_cursor(read, actor, name, [rows[limit - 1].id]) if more else None
    return Page(items=[masked_change(change) for change in rows[:limit]], next=cursor)


@get("/contact-changes", guards=[only(Role.COMPLIANCE)], responses=refusals(CursorInvalid))
async def waiting_contact_changes(
    read: Connection, actor: Actor, limit: Limit = 20, after: Cursor = None
) -> Page[ContactChange]:
    """List the requests that wait for a decision, oldest first."""
    key = await read_cursor(read, actor, "contact changes", after, tuple[UUID])
    rows = await contact_queries.changes_waiting(read, key[0] if key else None, limit + 1)
    more = len(rows) > limit
    cursor = (
        await write_cursor(read, actor, "contact changes", [rows[limit - 1].id]) if more else None
    )
    return Page(items=[masked_change(change) for change in rows[:limit]], next=cursor)


@get("/sps/{sp_id:uuid}/restrictions", guards=[only(Role.SP, *Staff)],
     responses=refusals(NotFound, CursorInvalid))  # fmt: skip
async def list_restrictions(
    sp_id: UUID, read: Connection, actor: Actor, limit: Limit = 20, after: Cursor = None
) -> Page[Restriction]:
    """List what holds or held an SP back, newest first."""
    own_or_staff(actor, sp_id)
    await actions.get(read, sp_id)
    name = f"restrictions {sp_id}"
    key = await read_cursor(read, actor, name, after, tuple[UUID])
    rows = await restriction_queries.restrictions(read, sp_id, key[0] if key else None, limit + 1)
    more = len(rows) > limit
    cursor = await write_cursor(read, actor, name, [rows[limit - 1].id]) if more else None
    return Page(items=rows[:limit], next=cursor)


@post("/sps/{sp_id:uuid}/restrictions", status_code=201, guards=[only(Role.COMPLIANCE)],
      responses=refusals(NotFound, Unprocessable, KeyReused))  # fmt: skip
async def add_restriction(
    *,
    sp_id: UUID,
    data: NewRestriction,
    tx: Connection,
    actor: Actor,
    now: datetime,
    idempotency_key: IdempotencyKey = None,
) -> Restriction:
    """Restrict an SP or one of its services on an officer's own motion."""
    if data.ends_at is not None and data.ends_at <= now:
        raise Unprocessable("the end lies in the past", code="ends_in_the_past")
    if (data.measure is Measure.SETTLEMENT_CUT) != (data.cut_percent is not None):
        raise Unprocessable("a settlement cut, and only that, has a percentage", code="cut_percent")
    if data.cut_percent is not None and data.service_id is not None:
        raise Unprocessable("a settlement is the whole SP's", code="cut_percent")

    async def work() -> Restriction:
        made = await actions.restrict(
            tx, sp_id=sp_id, service_id=data.service_id, measure=data.measure, cause_kind=OFFICER,
            cause_id=str(new_id()), reason=data.reason, ends_at=data.ends_at,
            cut_percent=data.cut_percent, actor=actor, now=now,
        )  # fmt: skip
        return await actions.restriction(tx, made)

    body = (sp_id, data)
    return await once(tx, Restriction, idempotency_key, body, work, actor=actor, now=now)


@post("/restrictions/{restriction_id:uuid}/lift", status_code=200, guards=[only(Role.COMPLIANCE)],
      responses=refusals(NotFound, actions.NotByHand))  # fmt: skip
async def lift(
    restriction_id: UUID, data: Because, tx: Connection, actor: Actor, now: datetime
) -> Restriction:
    """End a restriction that an officer imposed; one of a breach ends only with its breach."""
    return await actions.lift_by_hand(tx, restriction_id, reason=data.reason, actor=actor, now=now)


router = Router(
    "/",
    route_handlers=[
        apply, find, show, show_mine, review, activate, reject, close, request_contact_change,
        decide_contact_change, list_contact_changes, waiting_contact_changes,
        list_restrictions, add_restriction, lift,
    ],
    tags=["partners"],
)  # fmt: skip
