"""Signing in, signing out, the health of a process, and staff and network credentials."""

import base64
import binascii
import secrets
from datetime import datetime, timedelta
from typing import Annotated
from urllib.parse import unquote_plus
from uuid import UUID

import msgspec
from litestar import Request, Response, Router, delete, get, post
from litestar.datastructures import State
from litestar.enums import RequestEncodingType
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import Body

from spms.core import access, audit, db, failures, migrate, tokens
from spms.core.access import Actor, ActorKind, Role, only
from spms.core.errors import Conflict, NotFound, Refused, TooManyRequests, Unauthenticated
from spms.core.http import refusals
from spms.core.passwords import PASSWORD_LENGTH_MIN, hash_password, password_matches
from spms.core.tokens import Token

Login = Annotated[str, msgspec.Meta(pattern=r"\A[a-z][a-z0-9._-]{1,31}\Z")]
Password = Annotated[str, msgspec.Meta(min_length=PASSWORD_LENGTH_MIN, max_length=200)]
NO_STORE = {"Cache-Control": "no-store"}


class SignInRefused(Unauthenticated):
    """The name and the secret do not belong together."""

    code = "sign_in_refused"


class LoginTaken(Conflict):
    """Someone signs in with that name already."""

    code = "login_taken"


class ClientCredentials(msgspec.Struct, frozen=True, kw_only=True):
    """The form of RFC 6749 §4.4; the client may use HTTP Basic instead of the last two fields."""

    grant_type: Annotated[str, msgspec.Meta(max_length=64)]
    client_id: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    client_secret: Annotated[str, msgspec.Meta(max_length=200)] | None = None


class TokenProblem(msgspec.Struct, frozen=True, kw_only=True):
    """An error as RFC 6749 §5.2 words it: what OAuth clients expect at this one path."""

    error: str
    error_description: str


class StaffSignIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A person's name and password."""

    login: Login
    password: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class NewStaff(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Someone of the operator's who is to work here."""

    login: Login
    password: Password
    roles: Annotated[list[Role], msgspec.Meta(min_length=1, max_length=4)]


class NewNetworkElement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A gateway or registry of the operator's that speaks to SPMS."""

    name: Login


class IssuedSecret(msgspec.Struct, frozen=True, kw_only=True):
    """A client's id and secret; the secret is shown this once."""

    client_id: UUID
    client_secret: str


class CredentialMade(msgspec.Struct, frozen=True, kw_only=True):
    """The id under which a credential can be revoked."""

    id: UUID


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """Whether this process can do its work."""

    status: str
    pending_migrations: int = 0


def _basic(request: Request) -> tuple[str, str] | None:  # type: ignore[type-arg]
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, _, secret = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return unquote_plus(user), unquote_plus(secret)


@post(
    "/oauth/token",
    status_code=200,
    tags=["sign-in"],
    responses={
        **refusals(TooManyRequests),
        400: ResponseSpec(TokenProblem, description="Not a grant that we give (RFC 6749 §5.2)"),
        401: ResponseSpec(TokenProblem, description="Unknown client or wrong secret"),
    },
)
async def token(
    data: Annotated[ClientCredentials, Body(media_type=RequestEncodingType.URL_ENCODED)],
    request: Request,  # type: ignore[type-arg]
    state: State,
    now: datetime,
) -> Response[Token | TokenProblem]:
    """Give an SP or a network element its access token (OAuth 2.0 client credentials)."""
    if data.grant_type != "client_credentials":
        return _token_problem(400, "unsupported_grant_type", "only client_credentials")
    client = _basic(request) or (data.client_id or "", data.client_secret or "")
    async with db.transaction(state.pool) as tx:
        credential = await _client(tx, *client)
        if credential is None:
            # A right secret (256 random bits) is never locked out: a client id is no secret.
            await failures.count_try(tx, ActorKind.SP, client[0], now)
            return _token_problem(401, "invalid_client", "unknown client or wrong secret")
        lifetime = timedelta(minutes=state.settings.token_minutes)
        issued = await tokens.issue_token(tx, credential.id, lifetime=lifetime, now=now)
    return Response(issued, status_code=200, headers=NO_STORE)


async def _client(read: db.Connection, client_id: str, secret: str) -> access.Credential | None:
    """Return the live SP or network element with this id and secret."""
    try:
        credential = await access.credential_by_id(read, UUID(client_id))
    except ValueError:
        return None
    if credential is None or credential.kind not in {ActorKind.SP, ActorKind.NETWORK}:
        return None
    if not access.secret_matches(secret, credential.secret_hash):
        return None
    return credential


def _token_problem(status: int, error: str, words: str) -> Response[Token | TokenProblem]:
    headers = NO_STORE | ({"WWW-Authenticate": "Basic"} if status == 401 else {})  # noqa: PLR2004
    body = TokenProblem(error=error, error_description=words)
    return Response(body, status_code=status, headers=headers)


@post(
    "/sign-in/staff",
    status_code=200,
    tags=["sign-in"],
    responses=refusals(SignInRefused, TooManyRequests),
)
async def sign_in_staff(data: StaffSignIn, state: State, now: datetime) -> Token:
    """Give a member of staff an access token for their password."""
    async with db.transaction(state.pool) as tx:
        tried = await failures.count_try(tx, ActorKind.STAFF, data.login, now)
        credential = await access.credential_of(tx, ActorKind.STAFF, data.login)
    # Outside any transaction: the check takes tens of milliseconds on purpose.
    right = await password_matches(data.password, credential.secret_hash if credential else None)
    if not right or credential is None:
        raise SignInRefused
    async with db.transaction(state.pool) as tx:
        await failures.forgive(tx, tried)
        lifetime = timedelta(minutes=state.settings.token_minutes)
        return await tokens.issue_token(tx, credential.id, lifetime=lifetime, now=now)


@post("/sign-out", status_code=204, tags=["sign-in"], guards=[only(*Role)])
async def sign_out(
    request: Request,  # type: ignore[type-arg]
    tx: db.Connection,
    now: datetime,
) -> None:
    """Make the token of this very request worthless."""
    await tokens.revoke_token(tx, request.headers["authorization"].partition(" ")[2], now)


@post("/staff", status_code=201, guards=[only(Role.ADMIN)], responses=refusals(LoginTaken))
async def add_staff(data: NewStaff, state: State, actor: Actor, now: datetime) -> CredentialMade:
    """Let a member of staff sign in."""
    secret_hash = await hash_password(data.password)
    roles = tuple(role for role in data.roles if role in access.STAFF_ROLES)
    if len(roles) != len(data.roles):
        raise Refused("staff are admin, compliance or agent", code="role_not_for_staff")
    async with db.transaction(state.pool) as tx:
        made = await access.add_unique(
            tx, kind=ActorKind.STAFF, subject=data.login, roles=roles, secret_hash=secret_hash,
            actor=actor, now=now,
        )  # fmt: skip
        if made is None:
            raise LoginTaken
        await audit.note(tx, "staff added", "credential", made, actor=actor, now=now)
    return CredentialMade(id=made)


@post("/network-elements", status_code=201, guards=[only(Role.ADMIN)],
      responses=refusals(LoginTaken))  # fmt: skip
async def add_network_element(
    data: NewNetworkElement, tx: db.Connection, actor: Actor, now: datetime
) -> IssuedSecret:
    """Let a gateway or registry of the operator's sign in; the secret is shown this once."""
    secret = secrets.token_urlsafe(32)
    made = await access.add_unique(
        tx, kind=ActorKind.NETWORK, subject=data.name, roles=(Role.GATEWAY,),
        secret_hash=access.hash_secret(secret), actor=actor, now=now,
    )  # fmt: skip
    if made is None:
        raise LoginTaken
    await audit.note(tx, "network element added", "credential", made, actor=actor, now=now)
    return IssuedSecret(client_id=made, client_secret=secret)


@delete("/credentials/{credential_id:uuid}", status_code=204, guards=[only(Role.ADMIN)],
        responses=refusals(NotFound))  # fmt: skip
async def revoke(credential_id: UUID, tx: db.Connection, actor: Actor, now: datetime) -> None:
    """Revoke any credential: what it signed in with stops working with the next request."""
    if await access.credential_by_id(tx, credential_id) is None:
        raise NotFound
    await access.revoke_credential(tx, credential_id, actor=actor, now=now)
    await audit.note(tx, "credential revoked", "credential", credential_id, actor=actor, now=now)


@get("/health/live", tags=["health"], cache_control=None)
async def live() -> Health:
    """Whether the process answers at all."""
    return Health(status="live")


@get(
    "/health/ready",
    tags=["health"],
    responses={503: ResponseSpec(Health, description="Not ready; `status` says why")},
)
async def ready(state: State) -> Response[Health]:
    """Whether the process can do its work: the database answers and its schema is up to date."""
    try:
        async with db.acquired(state.pool) as read:
            missing = len(await migrate.pending(read))
    except Exception:  # noqa: BLE001 - whatever it is, we are not ready
        return Response(Health(status="database unreachable"), status_code=503)
    status = "ready" if missing == 0 else "schema not up to date"
    return Response(
        Health(status=status, pending_migrations=missing), status_code=503 if missing else 200
    )


router = Router(
    "/",
    route_handlers=[
        token, sign_in_staff, sign_out, add_staff, add_network_element, revoke, live, ready,
    ],
    tags=["access"],
)  # fmt: skip
