"""HTTP: texts that a service may send."""

from datetime import datetime
from uuid import UUID

from litestar import Router, get, post

from spms.catalogue import template_queries, templates
from spms.catalogue.refusals import Decided, NotInUse, SamePerson, Withdrawn
from spms.catalogue.routes import Because, Decision, own_service
from spms.catalogue.template_model import NewTemplate, Template
from spms.core.access import Actor, Role, only
from spms.core.db import Connection
from spms.core.errors import NotFound
from spms.core.http import refusals
from spms.core.paging import Cursor, CursorInvalid, Limit, Page, read_cursor, write_cursor


@post("/services/{service_id:uuid}/templates", status_code=201, guards=[only(Role.SP)],
      responses=refusals(NotFound, Withdrawn))  # fmt: skip
async def draft(
    service_id: UUID, data: NewTemplate, tx: Connection, actor: Actor, now: datetime
) -> Template:
    """Hand in a text that the service wants to send (短信模板)."""
    await own_service(tx, service_id, actor)
    return await templates.draft(tx, service_id, data, actor=actor, now=now)


@get("/services/{service_id:uuid}/templates",
     guards=[only(Role.SP, Role.AGENT, Role.COMPLIANCE, Role.ADMIN)],
     responses=refusals(NotFound, CursorInvalid))  # fmt: skip
async def of_service(
    service_id: UUID, read: Connection, actor: Actor, limit: Limit = 20, after: Cursor = None
) -> Page[Template]:
    """List a service's texts, newest first."""
    await own_service(read, service_id, actor)
    name = f"templates {service_id}"
    key = await read_cursor(read, actor, name, after, tuple[int])
    rows = await template_queries.of_service(read, service_id, key[0] if key else None, limit + 1)
    more = len(rows) > limit
    cursor = await write_cursor(read, actor, name, [rows[limit - 1].version]) if more else None
    return Page(items=rows[:limit], next=cursor)


@get("/templates", guards=[only(Role.COMPLIANCE)], responses=refusals(CursorInvalid))
async def waiting(
    read: Connection, actor: Actor, limit: Limit = 20, after: Cursor = None
) -> Page[Template]:
    """List texts that wait for a decision, oldest first."""
    key = await read_cursor(read, actor, "templates", after, tuple[UUID])
    rows = await template_queries.waiting(read, key[0] if key else None, limit + 1)
    more = len(rows) > limit
    cursor = await write_cursor(read, actor, "templates", [rows[limit - 1].id]) if more else None
    return Page(items=rows[:limit], next=cursor)


@post("/templates/{template_id:uuid}/decision", status_code=200, guards=[only(Role.COMPLIANCE)],
      responses=refusals(NotFound, SamePerson, Decided))  # fmt: skip
async def decide(
    template_id: UUID, data: Decision, tx: Connection, actor: Actor, now: datetime
) -> Template:
    """Approve or reject a text; from the first approval on the service sends nothing else."""
    return await templates.decide(
        tx, template_id, approve=data.approve, reason=data.reason, actor=actor, now=now
    )


@post("/templates/{template_id:uuid}/retirement", status_code=200,
      guards=[only(Role.SP, Role.COMPLIANCE)], responses=refusals(NotFound, NotInUse))  # fmt: skip
async def retire(
    template_id: UUID, data: Because, tx: Connection, actor: Actor, now: datetime
) -> Template:
    """Take an approved text out of use."""
    found = await templates.get(tx, template_id)
    await own_service(tx, found.service_id, actor)
    return await templates.retire(tx, template_id, reason=data.reason, actor=actor, now=now)


router = Router(
    "/", route_handlers=[draft, of_service, waiting, decide, retire], tags=["catalogue"]
)
