"""Texts that a service may send (短信模板): drafted by its SP, approved by another person.

Authorisation holds a message's text against those in force (`spms.authorisation.content`).
"""

from datetime import datetime
from uuid import UUID

from spms.catalogue import queries, template_queries
from spms.catalogue.model import ServiceStatus
from spms.catalogue.refusals import Decided, NotInUse, SamePerson, Withdrawn
from spms.catalogue.template_model import NewTemplate, Template, TemplateState
from spms.core import audit
from spms.core.access import Actor
from spms.core.db import Connection
from spms.core.errors import NotFound
from spms.core.ids import new_id


async def get(read: Connection, template_id: UUID) -> Template:
    """Return a template; raise `NotFound`."""
    found = await template_queries.get(read, template_id)
    if found is None:
        raise NotFound
    return found


async def draft(
    tx: Connection, service_id: UUID, data: NewTemplate, *, actor: Actor, now: datetime
) -> Template:
    """Hand in a text; nothing may be sent by it before it is approved. Raises `Withdrawn`."""
    service = await queries.lock(tx, service_id)
    if service is None:
        raise NotFound
    if service.status is ServiceStatus.WITHDRAWN:
        raise Withdrawn
    template_id = new_id()
    await template_queries.add(
        tx, template_id, service_id, data.wording, at=now, actor=actor.label
    )  # fmt: skip
    return await get(tx, template_id)


async def decide(
    tx: Connection,
    template_id: UUID,
    *,
    approve: bool,
    reason: str | None,
    actor: Actor,
    now: datetime,
) -> Template:
    """Approve or reject a text; raise `SamePerson` or `Decided`.

    From the first approval on the service sends nothing but approved texts.
    """
    template = await get(tx, template_id)
    if template.drafted_by == actor.label:
        raise SamePerson
    state = TemplateState.APPROVED if approve else TemplateState.REJECTED
    if not await template_queries.decide(
        tx, template_id, state, at=now, actor=actor.label, reason=reason
    ):
        raise Decided
    await audit.note(
        tx, f"template {state}", "service", template.service_id, actor=actor, now=now,
        reason=reason, detail={"version": template.version},
    )  # fmt: skip
    return await get(tx, template_id)


async def retire(
    tx: Connection, template_id: UUID, *, reason: str, actor: Actor, now: datetime
) -> Template:
    """Take an approved text out of use from now on; raise `NotInUse`.

    With the last one the service may send nothing: else an SP could free itself of them.
    """
    template = await get(tx, template_id)
    if not await template_queries.retire(tx, template_id, at=now, actor=actor.label):
        raise NotInUse
    await audit.note(
        tx, "template retired", "service", template.service_id, actor=actor, now=now,
        reason=reason, detail={"version": template.version},
    )  # fmt: skip
    return await get(tx, template_id)
