"""The database roles: the owner migrates; the application works and cannot rewrite history.

Migrations grant to the group `spms_app`. Roles belong to a whole server and not to a database, so
each database has a role of its own that signs in, `spms_app_<database>`, a member of the group:
two SPMS on one server have nothing to do with one another's password. It is derived from the
owner's, so that any number of processes that know one URL agree without a file between them.
Operators who manage roles themselves set `SPMS_APP_DATABASE_URL`.
"""

import base64
import hashlib
import hmac
import os
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import asyncpg

APP_ROLE = "spms_app"
"""The group that holds the application's rights; nobody signs in as it."""

NAME_BYTES_MAX = 63
SCRAM_ROUNDS = 4096
ROLES_LOCK = 0x524F4C45  # "ROLE"

IS_MINE = "SELECT pg_has_role(datdba, 'USAGE') FROM pg_database WHERE datname = $1"
INHERITS = "SELECT pg_has_role($1, $2, 'USAGE')"


class RoleError(Exception):
    """The application role cannot be used; the message says what to do."""


def login_role(database: str) -> str:
    """Return the name of the role with which the application signs in to a database."""
    name = f"{APP_ROLE}_{database}"
    if len(name.encode()) <= NAME_BYTES_MAX:
        return name
    return f"{APP_ROLE}_{hashlib.sha256(database.encode()).hexdigest()[:32]}"


def _derived_password(owner_password: str) -> str:
    return hmac.new(owner_password.encode(), b"spms application role", hashlib.sha256).hexdigest()


def _database(owner_url: str) -> str:
    parts = urlsplit(owner_url)
    return unquote(parts.path.lstrip("/")) or unquote(parts.username or "")


def app_url(owner_url: str) -> str:
    """Return the application's URL for an owner's URL: same server, same database."""
    parts = urlsplit(owner_url)
    database = _database(owner_url)
    user = quote(login_role(database), safe="")
    if parts.password is not None:
        user += ":" + quote(_derived_password(unquote(parts.password)))
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{user}@{host}", path="/" + quote(database, safe="")))


def scram_verifier(password: str, salt: bytes | None = None) -> str:
    """Return what PostgreSQL stores for a password (RFC 5803), for CREATE and ALTER ROLE.

    Statements about roles land in a server's log where it logs DDL; from the verifier nobody can
    sign in. The password must be ASCII (ours are hex), for which SASLprep changes nothing.
    """
    salt = salt or os.urandom(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, SCRAM_ROUNDS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    text = [base64.b64encode(part).decode() for part in (salt, stored, server)]
    return f"SCRAM-SHA-256${SCRAM_ROUNDS}:{text[0]}${text[1]}:{text[2]}"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


async def ensure_group(owner: asyncpg.Connection) -> None:
    """Create the group `spms_app` if it is missing; the owner needs CREATEROLE for that.

    Raises `RoleError` with the statement an administrator has to run otherwise. A cluster-wide
    advisory lock does not exist, so a concurrent creator is met by looking again.
    """
    if await _exists(owner, APP_ROLE):
        return
    try:
        await owner.execute(f"CREATE ROLE {APP_ROLE} NOLOGIN")
    except (asyncpg.DuplicateObjectError, asyncpg.UniqueViolationError):
        return
    except asyncpg.InsufficientPrivilegeError as error:
        raise RoleError(
            "the owner role may not create roles; have an administrator run "
            f"CREATE ROLE {APP_ROLE}; and give SPMS_APP_DATABASE_URL of a member of it"
        ) from error


async def ensure_login(owner: asyncpg.Connection, owner_url: str) -> str:
    """Make sure that the application can sign in to this database; return its URL.

    The role is created where it is missing, and its password set again where the owner's has
    changed. Raises `RoleError` when that is not permitted, with what an administrator has to do.
    """
    url = app_url(owner_url)
    await owner.execute("SELECT pg_advisory_lock($1)", ROLES_LOCK)
    try:
        name = await make_login(owner, owner_url)
        await _sign_in(owner, name, url)
    finally:
        await owner.execute("SELECT pg_advisory_unlock($1)", ROLES_LOCK)
    return url


async def make_login(owner: asyncpg.Connection, owner_url: str) -> str:
    """Create the database's role where it is missing, a member of the group; return its name.

    Raises `RoleError` like `ensure_login`, which also tries whether the role can sign in.
    """
    database = _database(owner_url)
    name = login_role(database)
    if not await _exists(owner, name):
        await _create_login(owner, name, database, _password_clause(app_url(owner_url)))
    await _join_group(owner, name)
    return name


async def _exists(owner: asyncpg.Connection, name: str) -> bool:
    return bool(await owner.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", name))


def _password_clause(url: str) -> str:
    password = urlsplit(url).password
    return "" if password is None else f" PASSWORD '{scram_verifier(unquote(password))}'"


async def _create_login(owner: asyncpg.Connection, name: str, database: str, clause: str) -> None:
    """Create the role, and keep other databases' members of the group out of this database."""
    place = _quoted(database)
    try:
        async with owner.transaction():
            await owner.execute(f"CREATE ROLE {_quoted(name)} LOGIN INHERIT{clause}")
            if await owner.fetchval(IS_MINE, database):
                await owner.execute(f"REVOKE CONNECT ON DATABASE {place} FROM PUBLIC")
                await owner.execute(f"GRANT CONNECT ON DATABASE {place} TO {_quoted(name)}")
    except asyncpg.InsufficientPrivilegeError as error:
        raise RoleError(
            f"the owner role may not create roles; have an administrator run CREATE ROLE "
            f"{_quoted(name)} LOGIN IN ROLE {APP_ROLE} PASSWORD '…'; and set SPMS_APP_DATABASE_URL"
        ) from error


async def _join_group(owner: asyncpg.Connection, name: str) -> None:
    """Make the role a member. From PostgreSQL 16 on only an admin of the group may do that."""
    if await owner.fetchval(INHERITS, name, APP_ROLE):
        return
    try:
        await owner.execute(f"GRANT {APP_ROLE} TO {_quoted(name)}")
    except asyncpg.InsufficientPrivilegeError as error:
        mine = _quoted(str(await owner.fetchval("SELECT current_user")))
        raise RoleError(
            f"{APP_ROLE} belongs to another owner on this server; have an administrator run "
            f"GRANT {APP_ROLE} TO {mine} WITH ADMIN OPTION"
        ) from error
    if not await owner.fetchval(INHERITS, name, APP_ROLE):
        raise RoleError(f"{name} must have INHERIT: its rights are those of {APP_ROLE}")


async def _sign_in(owner: asyncpg.Connection, name: str, url: str) -> None:
    """Try the URL; set the password once where it is another."""
    try:
        await (await asyncpg.connect(url, timeout=10)).close()
    except (asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError) as wrong:
        clause = _password_clause(url)
        if not clause:
            raise RoleError(
                f"{name} cannot sign in ({wrong}); set SPMS_APP_DATABASE_URL"
            ) from wrong
        try:
            await owner.execute(f"ALTER ROLE {_quoted(name)} LOGIN{clause}")
            await (await asyncpg.connect(url, timeout=10)).close()
        except asyncpg.PostgresError as error:
            raise RoleError(
                f"{name} cannot sign in ({error}); let +{APP_ROLE} in by pg_hba.conf, or set "
                "SPMS_APP_DATABASE_URL"
            ) from error
