"""Who is asking: one bearer model for staff, SPs, network elements and subscribers.

A token is 256 random bits; the database keeps its SHA-256 and reads the credential's state with
every request, so a revoked credential stops working at once. Named `access` so that it is never
confused with `authorisation` (鉴权), which decides about charges.
"""

import hashlib
import hmac
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec

from spms.core.db import Connection, changed, one
from spms.core.errors import Forbidden, Unauthenticated
from spms.core.ids import new_id

if TYPE_CHECKING:
    from litestar.connection import ASGIConnection


class ActorKind(StrEnum):
    """What kind of party a credential belongs to."""

    STAFF = "staff"
    SP = "sp"
    NETWORK = "network"
    SUBSCRIBER = "subscriber"
    JOB = "job"


class Role(StrEnum):
    """What a credential may do."""

    ADMIN = "admin"
    """Makes and revokes staff and network credentials, changes the rulebook."""
    COMPLIANCE = "compliance"
    """Reviews SPs, approves notices, plans spot checks, decides breaches and appeals."""
    AGENT = "agent"
    """Customer service: looks up, cancels and claims on a subscriber's behalf."""
    SP = "sp"
    """A service provider's own systems."""
    GATEWAY = "gateway"
    """The operator's SMS gateway and number registry."""
    SUBSCRIBER = "subscriber"
    """The holder of a number, proved by a one-time code."""


STAFF_ROLES = frozenset({Role.ADMIN, Role.COMPLIANCE, Role.AGENT})


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """The party behind a request or a job."""

    kind: ActorKind
    credential_id: UUID | None = None
    subject: str = ""
    name: str
    roles: frozenset[Role] = frozenset()
    epoch: int = 0

    @property
    def label(self) -> str:
        """What history and audit rows show: never an MSISDN."""
        if self.kind is ActorKind.SUBSCRIBER:
            return f"subscriber:{self.credential_id or 'sms'}"
        return f"{self.kind}:{self.name}"

    @property
    def sp_id(self) -> UUID:
        """The SP this actor speaks for; `Forbidden` for anyone else."""
        if self.kind is not ActorKind.SP:
            raise Forbidden
        return UUID(self.subject)

    @property
    def msisdn(self) -> str:
        """The number this actor has proved to hold; `Forbidden` for anyone else."""
        if self.kind is not ActorKind.SUBSCRIBER:
            raise Forbidden
        return self.subject

    def has(self, *roles: Role) -> bool:
        """Whether the actor has any of the roles."""
        return not self.roles.isdisjoint(roles)


def job_actor(name: str) -> Actor:
    """Return the actor under whose name a job writes."""
    return Actor(kind=ActorKind.JOB, name=name)


def subscriber_by_sms(msisdn: str, epoch: int) -> Actor:
    """Return the holder of a number, speaking through the operator's own SMS link."""
    return Actor(
        kind=ActorKind.SUBSCRIBER,
        subject=msisdn,
        name="sms",
        roles=frozenset({Role.SUBSCRIBER}),
        epoch=epoch,
    )


class Only:
    """A guard: the actor needs one of these roles. The OpenAPI document reads `roles`."""

    def __init__(self, *roles: Role) -> None:
        self.roles = roles

    async def __call__(self, connection: "ASGIConnection[Any, Any, Any, Any]", _: object) -> None:
        """Raise `Unauthenticated` without a token and `Forbidden` without the role."""
        actor = connection.scope.get("user")
        if not isinstance(actor, Actor):
            raise Unauthenticated(headers={"WWW-Authenticate": "Bearer"})
        if not actor.has(*self.roles):
            raise Forbidden


def only(*roles: Role) -> Only:
    """Guard a route: the actor needs one of these roles."""
    return Only(*roles)


def hash_secret(secret: str) -> str:
    """Hash a secret of at least 128 random bits; people's passwords go through argon2 instead."""
    return hashlib.sha256(secret.encode()).hexdigest()


def secret_matches(secret: str, stored: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(hash_secret(secret), stored)


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """What lets a party sign in."""

    id: UUID
    kind: ActorKind
    subject: str
    name: str
    roles: list[Role]
    secret_hash: str
    epoch: int = 0
    revoked_at: datetime | None = None


ADD_CREDENTIAL = """
    INSERT INTO credential
        (id, kind, subject, name, roles, secret_hash, epoch, created_at, created_by)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
"""


async def add_credential(
    tx: Connection,
    *,
    kind: ActorKind,
    subject: str,
    name: str,
    roles: tuple[Role, ...],
    secret_hash: str,
    epoch: int = 0,
    actor: Actor,
    now: datetime,
) -> UUID:
    """Store a credential and return its id; the secret itself is never stored."""
    credential_id = new_id()
    await tx.execute(
        ADD_CREDENTIAL, credential_id, kind, subject, name, list(roles), secret_hash, epoch,
        now, actor.label,
    )  # fmt: skip
    return credential_id


ADD_UNIQUE = """
    INSERT INTO credential
        (id, kind, subject, name, roles, secret_hash, epoch, created_at, created_by)
    VALUES ($1, $2, $3, $3, $4, $5, 0, $6, $7)
    ON CONFLICT (kind, subject) WHERE kind IN ('staff', 'network') AND revoked_at IS NULL
    DO NOTHING RETURNING id
"""


async def add_unique(
    tx: Connection,
    *,
    kind: ActorKind,
    subject: str,
    roles: tuple[Role, ...],
    secret_hash: str,
    actor: Actor,
    now: datetime,
) -> UUID | None:
    """Store a staff or network credential; None when the name is taken."""
    made: UUID | None = await tx.fetchval(
        ADD_UNIQUE, new_id(), kind, subject, list(roles), secret_hash, now, actor.label
    )
    return made


REVOKE_CREDENTIAL = """
    UPDATE credential SET revoked_at = $2, revoked_by = $3
     WHERE id = $1 AND revoked_at IS NULL
"""


async def revoke_credential(
    tx: Connection, credential_id: UUID, *, actor: Actor, now: datetime
) -> None:
    """Revoke; every token issued from it stops working with the next request."""
    await tx.execute(REVOKE_CREDENTIAL, credential_id, now, actor.label)


REVOKE_SUBJECT = """
    UPDATE credential SET revoked_at = $3, revoked_by = $4
     WHERE kind = $1 AND subject = $2 AND revoked_at IS NULL
"""


async def revoke_subject(
    tx: Connection, kind: ActorKind, subject: str, *, actor: Actor, now: datetime
) -> None:
    """Revoke every credential of one party (a number with a new owner, an SP that left)."""
    await tx.execute(REVOKE_SUBJECT, kind, subject, now, actor.label)


REVOKE_MADE_BY = """
    UPDATE credential SET revoked_at = $2, revoked_by = $3
     WHERE created_by = $1 AND revoked_at IS NULL
"""


async def revoke_made_by(tx: Connection, maker: Actor, *, actor: Actor, now: datetime) -> int:
    """Revoke every credential that somebody made, and return how many."""
    return changed(await tx.execute(REVOKE_MADE_BY, maker.label, now, actor.label))


CREDENTIAL = """
    SELECT id, kind, subject, name, roles, secret_hash, epoch, revoked_at
      FROM credential WHERE id = $1 AND revoked_at IS NULL
"""


async def credential_by_id(read: Connection, credential_id: UUID) -> Credential | None:
    """Load a live credential by its id (the OAuth client id of an SP)."""
    return one(Credential, await read.fetchrow(CREDENTIAL, credential_id))


CREDENTIAL_OF = """
    SELECT id, kind, subject, name, roles, secret_hash, epoch, revoked_at
      FROM credential WHERE kind = $1 AND subject = $2 AND revoked_at IS NULL
     ORDER BY created_at DESC LIMIT 1
"""


async def credential_of(read: Connection, kind: ActorKind, subject: str) -> Credential | None:
    """Load a party's newest live credential."""
    return one(Credential, await read.fetchrow(CREDENTIAL_OF, kind, subject))
