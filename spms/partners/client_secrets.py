"""What an SP's systems sign in with: made, rotated, and revoked at once when one has leaked.

Every request reads its credential's state in the database, on whatever replica, and so does every
question on an open stream. So a revocation holds from its commit on, for tokens in use as well.
"""

import secrets
from datetime import datetime
from uuid import UUID

from spms.core import access, audit
from spms.core.access import Actor, ActorKind, Role
from spms.core.db import Connection
from spms.core.errors import NotFound
from spms.partners import client_secret_queries, queries
from spms.partners.model import Client, ClientSecret, Sp, SpStatus
from spms.partners.refusals import SpGone

LIVE_MAX = 2


async def issue(tx: Connection, sp: Sp, *, actor: Actor, now: datetime) -> ClientSecret:
    """Make client credentials for an SP; the secret is in this answer only."""
    secret = secrets.token_urlsafe(32)
    client_id = await access.add_credential(
        tx, kind=ActorKind.SP, subject=str(sp.id), name=sp.code, roles=(Role.SP,),
        secret_hash=access.hash_secret(secret), actor=actor, now=now,
    )  # fmt: skip
    return ClientSecret(client_id=client_id, client_secret=secret)


async def rotate(tx: Connection, sp_id: UUID, *, actor: Actor, now: datetime) -> ClientSecret:
    """Issue new client credentials; of the older ones only the newest stays valid.

    Two live ones let a client change over without an outage; a leaked one is revoked (`revoke`).
    Raises `NotFound`, `SpGone`.
    """
    sp = await queries.lock(tx, sp_id)
    if sp is None:
        raise NotFound
    if sp.status in {SpStatus.REJECTED, SpStatus.CLOSED}:
        raise SpGone
    client = await issue(tx, sp, actor=actor, now=now)
    live = [one for one in await client_secret_queries.all_of(tx, sp_id) if one.revoked_at is None]
    for old in live[LIVE_MAX:]:
        await access.revoke_credential(tx, old.client_id, actor=actor, now=now)
    await audit.note(tx, "client secret rotated", "sp", sp_id, actor=actor, now=now)
    return client


async def revoke(
    tx: Connection, sp_id: UUID, client_id: UUID, *, reason: str, actor: Actor, now: datetime
) -> Client:
    """End client credentials at once, whoever uses them, also the ones this is asked with.

    Ending them again changes nothing. Raises `NotFound`: this SP has no such credentials.
    """
    if await queries.lock(tx, sp_id) is None:
        raise NotFound
    found = await client_secret_queries.one_of(tx, sp_id, client_id)
    if found is None:
        raise NotFound
    if found.revoked_at is not None:
        return found
    await access.revoke_credential(tx, client_id, actor=actor, now=now)
    await audit.note(
        tx, "client secret revoked", "sp", sp_id, actor=actor, now=now, reason=reason,
        detail={"client_id": client_id},
    )  # fmt: skip
    revoked = await client_secret_queries.one_of(tx, sp_id, client_id)
    assert revoked is not None  # noqa: S101 - it was there, and rows are not deleted
    return revoked
