"""An SP's client credentials over HTTP: which there are, new ones, and an end to a leaked one."""

from datetime import datetime
from uuid import UUID

from litestar import Router, get, post

from spms.core.access import Actor, Role, only
from spms.core.db import Connection
from spms.core.errors import NotFound
from spms.core.http import refusals
from spms.partners import client_secret_queries, client_secrets
from spms.partners.model import Client, ClientSecret
from spms.partners.refusals import SpGone
from spms.partners.routes import NO_STORE, Because, own_or_staff

PATH = "/sps/{sp_id:uuid}/client-secrets"
Own = (Role.SP, Role.ADMIN)


@get(PATH, guards=[only(*Own)], responses=refusals(NotFound))
async def find(sp_id: UUID, read: Connection, actor: Actor) -> list[Client]:
    """List an SP's client ids, live ones first: who made each, and who ended it."""
    own_or_staff(actor, sp_id)
    return await client_secret_queries.all_of(read, sp_id)


@post(PATH, status_code=201, response_headers=NO_STORE, guards=[only(*Own)],
      responses=refusals(NotFound, SpGone))  # fmt: skip
async def rotate(sp_id: UUID, tx: Connection, actor: Actor, now: datetime) -> ClientSecret:
    """Issue new client credentials; the one before stays valid until the next rotation."""
    own_or_staff(actor, sp_id)
    return await client_secrets.rotate(tx, sp_id, actor=actor, now=now)


@post(PATH + "/{client_id:uuid}/revocation", status_code=200, guards=[only(*Own)],
      responses=refusals(NotFound))  # fmt: skip
async def revoke(
    *, sp_id: UUID, client_id: UUID, data: Because, tx: Connection, actor: Actor, now: datetime
) -> Client:
    """End leaked client credentials at once: their tokens are refused from the next request on.

    Make new ones first if these are the last: whoever has none left asks the operator.
    """
    own_or_staff(actor, sp_id)
    return await client_secrets.revoke(
        tx, sp_id, client_id, reason=data.reason, actor=actor, now=now
    )


router = Router("/", route_handlers=[find, rotate, revoke], tags=["partners"])
