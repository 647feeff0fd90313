"""HTTP: settlements, their statements and what is under them, objections, holds, what-if."""

from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Response, Router, get, post
from litestar.datastructures import State
from litestar.params import Parameter

from spms.core import signing
from spms.core.access import Actor, ActorKind, Role, only
from spms.core.db import Connection
from spms.core.errors import NotAllowed, NotFound
from spms.core.evidence_routes import NO_STORE, answered_json, answered_pdf
from spms.core.http import refusals
from spms.core.paging import Cursor, CursorInvalid, Limit, Page, read_cursor, write_cursor
from spms.settlement import (
    actions,
    draw_queries,
    payout_routes,
    queries,
    reconciliation_routes,
    statement,
)
from spms.settlement.held import HeldNumber, HoldLook, look
from spms.settlement.life_model import (
    Because,
    Hold,
    NewObjection,
    Objection,
    ObjectionDecision,
    Preview,
    Settlement,
    Statement,
    Stored,
    WhatIf,
)
from spms.settlement.model import Kind
from spms.settlement.preview import preview
from spms.settlement.records import Record, under
from spms.settlement.refusals import (
    AlreadyDecided,
    AlreadyHeld,
    AlreadyPaid,
    NotCounted,
    NumbersNotListed,
    ObjectionTooLate,
    RulesUnreadable,
    SamePerson,
)
from spms.settlement.statement_xlsx import xlsx
from spms.settlement.waterfall import UnsoundRules

MONTH = r"^20[0-9]{2}-(?:0[1-9]|1[0-2])$(?!\n)"
AskedMonth = Annotated[
    str | None, Parameter(pattern=MONTH, description="Business month (Asia/Shanghai)")
]
BOTH = only(Role.SP, Role.COMPLIANCE)
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """A settlement with its statement and what became of it."""

    settlement: Settlement
    statement: Statement
    holds: list[Hold]
    objections: list[Objection]


async def _stored(read: Connection, found: Settlement) -> Stored:
    stored = await draw_queries.statement(read, found.id, found.revision)
    if stored is None:
        raise NotFound
    return stored


@get("/settlements", guards=[BOTH], responses=refusals(CursorInvalid))
async def find(
    *,
    read: Connection, actor: Actor, now: datetime, month: AskedMonth = None, after: Cursor = None,
    limit: Limit = 50,
) -> Page[Settlement]:  # fmt: skip
    """List settlements, newest month first; an SP its own that were sent."""
    sp_id = actor.sp_id if actor.kind is ActorKind.SP else None
    of = None if month is None else date.fromisoformat(f"{month}-01")
    key = await read_cursor(read, actor, "settlements", after, tuple[date, UUID])
    rows = await queries.page(read, sp_id, of, key, limit + 1, at=now)
    cursor = None
    if len(rows) > limit:
        last = rows[limit - 1]
        cursor = await write_cursor(read, actor, "settlements", [last.month, last.id])
    return Page(items=rows[:limit], next=cursor)


@get("/settlements/{settlement_id:uuid}", guards=[BOTH], responses=refusals(NotFound))
async def show(settlement_id: UUID, read: Connection, actor: Actor, now: datetime) -> Opened:
    """Show a settlement, step by step, with its holds and objections."""
    found = await actions.get(read, settlement_id, actor=actor, now=now)
    return Opened(
        settlement=found,
        statement=statement.stated(await _stored(read, found)),
        holds=await queries.holds(read, settlement_id),
        objections=await queries.objections(read, settlement_id),
    )


@get("/settlements/{settlement_id:uuid}/statement.json", guards=[BOTH],
     responses=refusals(NotFound))  # fmt: skip
async def as_json(
    settlement_id: UUID, tx: Connection, state: State, actor: Actor, now: datetime
) -> Response[dict[str, Any]]:
    """Give the statement, sealed; its text is in it letter by letter. `spms verify` checks it."""
    found = await actions.get(tx, settlement_id, actor=actor, now=now)
    await signing.publish(tx, state.signer, now=now)
    sealed = statement.pack(
        found, await _stored(tx, found), state.signer, now=now, to=actor.kind
    )  # fmt: skip
    return answered_json(sealed)


@get("/settlements/{settlement_id:uuid}/statement.pdf", guards=[BOTH],
     responses=refusals(NotFound), media_type="application/pdf")  # fmt: skip
async def as_pdf(
    settlement_id: UUID, tx: Connection, state: State, actor: Actor, now: datetime
) -> Response[bytes]:
    """Give the statement on paper in both languages, signed, the sealed JSON attached."""
    found = await actions.get(tx, settlement_id, actor=actor, now=now)
    await signing.publish(tx, state.signer, now=now)
    return answered_pdf(
        statement.pdf(found, await _stored(tx, found), state.signer, now=now, to=actor.kind)
    )


@get("/settlements/{settlement_id:uuid}/statement.xlsx", guards=[BOTH],
     responses=refusals(NotFound), media_type=XLSX)  # fmt: skip
async def as_xlsx(
    settlement_id: UUID, read: Connection, actor: Actor, now: datetime
) -> Response[bytes]:
    """Give the statement as a spreadsheet."""
    found = await actions.get(read, settlement_id, actor=actor, now=now)
    return Response(xlsx(found, await _stored(read, found)), media_type=XLSX, headers=NO_STORE)


@get("/settlements/{settlement_id:uuid}/records", guards=[BOTH],
     responses=refusals(NotFound, CursorInvalid))  # fmt: skip
async def records(
    *,
    settlement_id: UUID, step: Kind, read: Connection, actor: Actor, now: datetime,
    after: Cursor = None, limit: Limit = 50,
) -> Page[Record]:  # fmt: skip
    """Open a step to the records under it, oldest first; they come to its figure.

    gross, controlled, refunds: what arose; compensation, deposit: what was owed, what was there;
    mt_fee: the messages to people, then those from people. Go on while there is a `next`, also
    after a page with few or none.
    """
    found = await actions.get(read, settlement_id, actor=actor, now=now)
    return await under(read, found, step, actor=actor, cursor=after, limit=limit)


@post("/settlements/{settlement_id:uuid}/confirmation", status_code=200, guards=[only(Role.SP)],
      responses=refusals(NotFound, NotAllowed))  # fmt: skip
async def confirm(settlement_id: UUID, tx: Connection, actor: Actor, now: datetime) -> Settlement:
    """Agree to the statement; silence until `object_until` does the same."""
    return await actions.confirm(tx, settlement_id, actor=actor, now=now)


@post("/settlements/{settlement_id:uuid}/objection", status_code=201, guards=[only(Role.SP)],
      responses=refusals(NotFound, NotAllowed, ObjectionTooLate, AlreadyDecided))  # fmt: skip
async def object_to(
    settlement_id: UUID, data: NewObjection, tx: Connection, actor: Actor, now: datetime
) -> Objection:
    """Object, line by line, with one's own figures; one revision once."""
    return await actions.object_to(tx, settlement_id, data, actor=actor, now=now)


@post("/settlements/{settlement_id:uuid}/objection/decision", status_code=200,
      guards=[only(Role.COMPLIANCE)], responses=refusals(NotFound, NotAllowed, AlreadyDecided)
      )  # fmt: skip
async def decide_objection(
    settlement_id: UUID, data: ObjectionDecision, tx: Connection, actor: Actor, now: datetime
) -> Settlement:
    """Draw the statement again with what was corrected meanwhile, or let it stand."""
    return await actions.decide_objection(tx, settlement_id, data, actor=actor, now=now)


@post("/settlements/{settlement_id:uuid}/holds", status_code=201, guards=[only(Role.COMPLIANCE)],
      responses=refusals(NotFound, AlreadyHeld, AlreadyPaid))  # fmt: skip
async def hold(
    settlement_id: UUID, data: Because, tx: Connection, actor: Actor, now: datetime
) -> Hold:
    """Keep a settlement from being paid."""
    return await actions.place_hold(tx, settlement_id, data.reason, actor=actor, now=now)


@post("/settlement-holds/{hold_id:uuid}/clearance", status_code=200,
      guards=[only(Role.COMPLIANCE)], responses=refusals(NotFound, SamePerson, AlreadyDecided)
      )  # fmt: skip
async def clear(
    hold_id: UUID, data: Because, tx: Connection, actor: Actor, now: datetime
) -> Hold:  # fmt: skip
    """End a hold, a report's too, having looked; another officer than who placed it."""
    return await actions.clear_hold(tx, hold_id, data.reason, actor=actor, now=now)


@post("/settlement-holds/{hold_id:uuid}/numbers", status_code=200,
      guards=[only(Role.COMPLIANCE)], responses=refusals(NotFound, NumbersNotListed, CursorInvalid)
      )  # fmt: skip
async def under_hold(
    hold_id: UUID, data: HoldLook, tx: Connection, actor: Actor, now: datetime
) -> Page[HeldNumber]:  # fmt: skip
    """Open a report's hold to the numbers it is about, masked, who paid most first.

    Each look is on record with its reason. They are listed soon after the hold is placed; an
    officer's own hold is about none.
    """
    return await look(tx, hold_id, data, actor=actor, now=now)


@post("/settlements/what-if", status_code=200, guards=[only(Role.COMPLIANCE)],
      responses=refusals(NotFound, NotCounted, RulesUnreadable, UnsoundRules))  # fmt: skip
async def what_if(data: WhatIf, read: Connection, now: datetime) -> Preview:
    """Show a month as it stands and as it would be; nothing is booked or kept."""
    return await preview(read, data, now=now)


router = Router(
    "/",
    route_handlers=[
        find, show, as_json, as_pdf, as_xlsx, records, confirm, object_to, decide_objection, hold,
        clear, under_hold, what_if, *payout_routes.HANDLERS,
        *reconciliation_routes.HANDLERS,
    ],
    tags=["settlement"],
)  # fmt: skip
