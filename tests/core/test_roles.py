"""The application's role belongs to its database, and no statement shows its password."""

import base64
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import quote, urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import pytest

from spms.cli.process import StartError, prepare
from spms.core import roles
from spms.core.settings import Settings
from tests.conftest import drop


def as_owner(url: str, owner: str, password: str, database: str) -> str:
    host = urlsplit(url).netloc.rpartition("@")[2]
    return urlunsplit(
        urlsplit(url)._replace(netloc=f"{owner}:{password}@{host}", path="/" + quote(database))
    )


@asynccontextmanager
async def house(server_url: str, name: str, powers: str = "CREATEROLE") -> AsyncIterator[str]:
    """Make an owner with a password and an empty database of its own; yield the owner's URL."""
    admin = await asyncpg.connect(server_url)
    await roles.ensure_group(admin)
    await admin.execute(f"CREATE ROLE {name} LOGIN {powers} PASSWORD 'of-{name}'")
    await admin.execute(f"GRANT {name} TO CURRENT_USER")
    await admin.execute(f"CREATE DATABASE {name}_db OWNER {name}")
    try:
        yield as_owner(server_url, name, f"of-{name}", f"{name}_db")
    finally:
        await drop(server_url, f"{name}_db")
        if admin.get_server_version().major >= 16:
            await admin.execute(f"REVOKE ADMIN OPTION FOR spms_app FROM {name} CASCADE")
        await admin.execute(f"DROP OWNED BY {name}")
        await admin.execute(f"DROP ROLE {name}")
        await admin.close()


async def set_up(owner_url: str) -> str:
    """Do what a start does; return the application's URL."""
    owner = await asyncpg.connect(owner_url)
    try:
        await roles.ensure_group(owner)
        return await roles.ensure_login(owner, owner_url)
    finally:
        await owner.close()


async def enters(url: str) -> str:
    connection = await asyncpg.connect(url)
    try:
        return str(await connection.fetchval("SELECT current_user"))
    finally:
        await connection.close()


def a_name() -> str:
    return f"spms_roles_{uuid4().hex[:8]}"


async def test_two_databases_on_one_server_leave_each_other_alone(server_url):
    """Neither owner's start changes the other's password, nor lets the other's role in."""
    async with house(server_url, a_name()) as first, house(server_url, a_name()) as second:
        admin = await asyncpg.connect(server_url)
        modern = admin.get_server_version().major >= 16
        for owner_url in (first, second):
            owner = urlsplit(owner_url).username
            if modern:  # the group belongs to whoever made it
                with pytest.raises(roles.RoleError, match=f'TO "{owner}" WITH ADMIN OPTION'):
                    await set_up(owner_url)
            await admin.execute(f"GRANT spms_app TO {owner} WITH ADMIN OPTION")
        await admin.close()
        one = await set_up(first)
        two = await set_up(second)
        assert await enters(one) == "spms_app_" + urlsplit(first).path[1:]
        assert await enters(two) == "spms_app_" + urlsplit(second).path[1:]
        stranger = urlunsplit(urlsplit(one)._replace(path=urlsplit(second).path))
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="CONNECT"):
            await enters(stranger)


async def test_a_changed_password_is_set_again_and_never_sent(owner, owner_url):
    """What a server logs of the statements is no password that lets anybody in."""
    sent = []
    owner.add_query_logger(lambda query: sent.append(query.query))
    app_url = roles.app_url(owner_url)
    secret, name = urlsplit(app_url).password, urlsplit(app_url).username
    for statement in (f"ALTER ROLE {name} PASSWORD 'another'", f"DROP ROLE {name}"):
        if statement.startswith("DROP"):
            await owner.execute(
                f"REVOKE ALL ON DATABASE {urlsplit(owner_url).path[1:]} FROM {name}"
            )
        await owner.execute(statement)
        sent.clear()
        assert await roles.ensure_login(owner, owner_url) == app_url
        assert await enters(app_url) == name
        assert "SCRAM-SHA-256$" in "".join(sent)
        assert secret not in "".join(sent)
    sent.clear()
    await roles.ensure_login(owner, owner_url)
    assert not [text for text in sent if "ROLE" in text]


async def test_what_the_application_may_it_inherits(owner, tx):
    """Grants name the group; the one that signs in has no right of its own."""
    user = await tx.fetchval("SELECT current_user")
    assert user == roles.login_role(await tx.fetchval("SELECT current_database()"))
    groups = "SELECT roleid::regrole::text FROM pg_auth_members WHERE member = $1::regrole"
    assert [row[0] for row in await owner.fetch(groups, user)] == ["spms_app"]
    await tx.execute("SET ROLE spms_app")
    assert await tx.fetchval("SELECT count(*) FROM rulebook") == 1
    await tx.execute("RESET ROLE")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await tx.execute("DELETE FROM audit_log")


async def test_a_role_that_cannot_come_in_is_one_clear_line(server_url, owner, owner_url):
    """No right to create roles, or no connection left for the application: no traceback."""
    settings = Settings()
    async with house(server_url, a_name(), "NOCREATEROLE") as powerless:
        with pytest.raises(StartError, match=r"(may not create roles|WITH ADMIN OPTION)"):
            await prepare(powerless, settings)
    name = urlsplit(roles.app_url(owner_url)).username
    await owner.execute(f"ALTER ROLE {name} CONNECTION LIMIT 0")
    with pytest.raises(StartError, match="too many connections"):
        await prepare(owner_url, settings)


@pytest.mark.parametrize(
    ("owner_url", "application"),
    [
        ("postgresql://lin:s@db:5433/spms?sslmode=require", "spms_app_spms"),
        ("postgresql://lin:s@db", "spms_app_lin"),
        ("postgresql://lin:s@db/a-b%20c", "spms_app_a-b%20c"),
        ("postgresql://lin:s@db/" + "d" * 60, None),
    ],
)
def test_the_role_is_named_after_the_database(owner_url, application):
    parts = urlsplit(roles.app_url(owner_url))
    assert parts.username == application or (application is None and len(parts.username) <= 63)
    assert parts.hostname == "db"
    assert parts.query == urlsplit(owner_url).query
    assert parts.path == (urlsplit(owner_url).path or "/lin")
    assert parts.password not in {None, "s"}


def test_the_verifier_is_the_one_of_rfc_7677():
    """The password and salt of the RFC's example exchange: the server's signature fits ours."""
    verifier = roles.scram_verifier("pencil", base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ=="))
    server_key = base64.b64decode(verifier.rpartition(":")[2])
    words = (
        "n=user,r=rOprNGfwEbeRWgbNEkqO,"
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,"
        "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    )
    signature = base64.b64encode(hmac.digest(server_key, words.encode(), "sha256")).decode()
    assert signature == "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
