"""Commands for the people who run SPMS: who may sign in, and looking for trouble.

Each imports the rooms that it needs when it runs, so that `spms --help` is quick.
"""

import secrets
import sys
from pathlib import Path
from typing import Annotated

import asyncpg
import msgspec
import typer
from rich.console import Console
from rich.table import Table

from spms.cli.loop import run
from spms.cli.process import StartError, base, settings_from_environment
from spms.core import access, audit, db, migrate, rulebook
from spms.core.access import ActorKind, Role, job_actor
from spms.core.clock import SystemClock
from spms.core.settings import Settings

SKEW_SECONDS_MAX = 2.0
# Durability an acknowledged charge record rests on.
DURABLE = ("fsync", "synchronous_commit", "full_page_writes")

console = Console()


def staff(
    login: Annotated[str, typer.Argument(help="Name to sign in with")],
    role: Annotated[list[Role], typer.Option(help="admin, compliance or agent; repeatable")],
) -> None:
    """Let a member of staff sign in; the password is read from standard input.

    Example: spms staff lin --role compliance < password.txt
    """
    from spms.core.passwords import PASSWORD_LENGTH_MIN, hash_password  # noqa: PLC0415
    from spms.core.routes import Login  # noqa: PLC0415

    if not access.STAFF_ROLES.issuperset(role):
        raise StartError("staff are admin, compliance or agent")
    try:
        msgspec.convert(login, Login)
    except msgspec.ValidationError as error:
        raise StartError(
            "a login is a-z, 0-9, . _ -, starts with a letter, 2 to 32 long"
        ) from error
    if sys.stdin.isatty():
        password = typer.prompt("password", hide_input=True, confirmation_prompt=True)
    else:
        password = sys.stdin.readline().rstrip("\n")
    if len(password) < PASSWORD_LENGTH_MIN:
        raise StartError(f"a password has at least {PASSWORD_LENGTH_MIN} characters")

    async def work() -> None:
        secret_hash = await hash_password(password)
        maker = job_actor("command line")
        async with base(settings_from_environment()) as ground, db.transaction(ground.pool) as tx:
            now = ground.clock.now()
            made = await access.add_unique(
                tx, kind=ActorKind.STAFF, subject=login, roles=tuple(role),
                secret_hash=secret_hash, actor=maker, now=now,
            )  # fmt: skip
            if made is None:
                raise StartError(f"{login} signs in already")
            await audit.note(tx, "staff added", "credential", made, actor=maker, now=now)
        console.print(f"{login} may sign in as {', '.join(role)}")

    run(work())


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at."""

    what: str
    fine: bool
    words: str


def doctor(
    json: Annotated[Path | None, typer.Option(help="Also write the findings here")] = None,
) -> None:
    """Look at the set-up and say in words what is wrong; exits with 1 if anything is.

    Example: spms doctor
    """
    findings = run(_examine())
    table = Table("looked at", "", "finding")
    for finding in findings:
        table.add_row(finding.what, "ok" if finding.fine else "[red]wrong[/red]", finding.words)
    console.print(table)
    if json is not None:
        json.write_bytes(msgspec.json.encode(findings))
    if not all(finding.fine for finding in findings):
        raise typer.Exit(1)


async def _examine() -> list[Finding]:
    from spms.partners import webhook_queries as webhooks  # noqa: PLC0415

    settings = settings_from_environment()
    found = [Finding(what="settings", fine=True, words="readable"), *_links(settings)]
    try:
        async with base(settings) as ground, db.acquired(ground.pool) as read:
            version = await read.fetchval("SHOW server_version")
            found.append(Finding(what="PostgreSQL", fine=True, words=f"version {version}"))
            found += [await _durable(read, name) for name in DURABLE]
            missing = await migrate.pending(read)
            words = f"{len(missing)} migrations missing" if missing else "up to date"
            found.append(Finding(what="schema", fine=not missing, words=words))
            role = await read.fetchval("SELECT current_user")
            powerful = await read.fetchval(
                "SELECT rolsuper OR rolbypassrls OR rolcreaterole FROM pg_roles "
                "WHERE rolname = current_user"
            )
            words = f"{role}, which may {'do too much' if powerful else 'not rewrite history'}"
            found.append(Finding(what="application role", fine=not powerful, words=words))
            silent = await webhooks.disabled_count(read)
            words = f"{silent} endpoints of SPs are disabled"
            found.append(Finding(what="webhooks", fine=True, words=words))
            found.append(await _summaries(read))
            skew = await _skew(read)
            words = f"{skew:.3f} s from the database's"
            found.append(Finding(what="clock", fine=skew <= SKEW_SECONDS_MAX, words=words))
    except (StartError, OSError, asyncpg.PostgresError) as error:
        found.append(Finding(what="database", fine=False, words=str(error)))
    found.append(_data_directory(settings))
    return found


async def _summaries(read: db.Connection) -> Finding:
    """Say whether people are told their month's bill by SMS: not before there is a place to sign in."""
    from spms.charging.summaries import SummaryRules  # noqa: PLC0415 - keeps `spms --help` quick

    rules = await rulebook.section(read, SummaryRules, at=SystemClock().now())
    words = f"link to {rules.link}"
    if rules.link is None:
        words = "none is sent: the rulebook's `summary.link` (where one signs in) is not set"
    return Finding(what="monthly bill by SMS", fine=True, words=words)


def _data_directory(settings: Settings) -> Finding:
    """Try to write there; where nothing was started yet, nothing is made."""
    what, secret = "data directory", secrets.token_hex(4)
    if not settings.data_path.is_dir():
        words = f"there is none at {settings.data_path}; the first start makes it"
        return Finding(what=what, fine=settings.database_url is not None, words=words)
    try:
        probe = settings.data_path / f"doctor-{secret}"
        probe.write_text(secret)
        probe.unlink()
    except OSError as error:
        return Finding(what=what, fine=False, words=error.strerror or "?")
    return Finding(what=what, fine=True, words="can be written")


def _links(settings: Settings) -> list[Finding]:
    """Look at the links' settings only; `spms link check` goes there."""
    from spms.messaging.smpp_link import LinkMisconfigured, examine  # noqa: PLC0415

    found = []
    for each in settings.smpp_links:
        try:
            examine(each)
            words, fine = f"{each!r}; ask `spms link check`", True
        except LinkMisconfigured as error:
            words, fine = str(error), False
        found.append(Finding(what="SMS link", fine=fine, words=words))
    if not found:
        words = "the sandbox's handset only" if settings.sandbox else "none (docs/smpp.md)"
        found.append(Finding(what="SMS link", fine=settings.sandbox, words=words))
    return found


async def _durable(read: db.Connection, name: str) -> Finding:
    value = await read.fetchval("SELECT current_setting($1)", name)
    words = value if value == "on" else f"{value}: an acknowledged record may be lost in a crash"
    return Finding(what=name, fine=value == "on", words=words)


async def _skew(read: db.Connection) -> float:
    theirs = await read.fetchval("SELECT clock_timestamp()")
    return float(abs((SystemClock().now() - theirs).total_seconds()))
