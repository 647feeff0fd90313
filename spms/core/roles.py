"""The two database roles: the owner migrates, `spms_app` works and cannot rewrite history.

The application role's password is derived from the owner's, so that any number of processes that
know one URL agree without a file between them. Operators who manage roles themselves create
`spms_app` on their own and set `SPMS_APP_DATABASE_URL`.
"""

import hashlib
import hmac
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import asyncpg

APP_ROLE = "spms_app"


class RoleError(Exception):
    """The application role cannot be used; the message says what to do."""


def _derived_password(owner_password: str) -> str:
    return hmac.new(owner_password.encode(), b"spms application role", hashlib.sha256).hexdigest()


def app_url(owner_url: str) -> str:
    """Return the application role's URL for an owner's URL: same server, same database."""
    parts = urlsplit(owner_url)
    user = APP_ROLE
    if parts.password is not None:
        user += ":" + quote(_derived_password(unquote(parts.password)))
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{user}@{host}"))


async def ensure_app_role(owner: asyncpg.Connection, owner_url: str) -> None:
    """Create `spms_app` if it is missing; the owner needs CREATEROLE for that.

    Raises `RoleError` with the statement an administrator has to run otherwise. A cluster-wide
    advisory lock does not exist, so a concurrent creator is met by trying again.
    """
    password = urlsplit(owner_url).password
    for _ in range(10):
        if await owner.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", APP_ROLE):
            return
        clause = f" PASSWORD '{_derived_password(unquote(password))}'" if password else ""
        try:
            await owner.execute(f"CREATE ROLE {APP_ROLE} LOGIN{clause}")
        except (asyncpg.DuplicateObjectError, asyncpg.UniqueViolationError):
            continue
        except asyncpg.InsufficientPrivilegeError as error:
            raise RoleError(
                "the owner role may not create roles; have an administrator run "
                f"CREATE ROLE {APP_ROLE} LOGIN PASSWORD '…'; and set SPMS_APP_DATABASE_URL"
            ) from error
    raise RoleError(f"{APP_ROLE} could not be created: another process keeps changing it")


async def check_app_role(url: str, owner: asyncpg.Connection, owner_url: str) -> None:
    """Make sure the application can sign in as `spms_app` with the derived password.

    An owner's password that changed, or a second server that already had the role, is mended by
    setting the derived password again; `RoleError` when that is not permitted.
    """
    try:
        await (await asyncpg.connect(url, timeout=10)).close()
    except (asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError) as wrong:
        password = urlsplit(owner_url).password
        if not password:
            raise RoleError(f"{APP_ROLE} cannot sign in; set SPMS_APP_DATABASE_URL") from wrong
        try:
            derived = _derived_password(unquote(password))
            await owner.execute(f"ALTER ROLE {APP_ROLE} LOGIN PASSWORD '{derived}'")
            await (await asyncpg.connect(url, timeout=10)).close()
        except asyncpg.PostgresError as error:
            raise RoleError(
                f"{APP_ROLE} exists with another password; set SPMS_APP_DATABASE_URL"
            ) from error
