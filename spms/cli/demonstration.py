"""What a first start in the sandbox shows: demo credentials, a small city, a list of addresses.

The demo passwords are derived from the instance's own secret, so that every process on one
database prints the same ones and none is kept in a file. They exist in the sandbox only.
"""

import hashlib
import hmac
import socket
from datetime import timedelta

import msgspec
from rich.console import Console
from rich.table import Table

from spms.city import play, report
from spms.city.model import Access, CityError, Report
from spms.city.plan import draw
from spms.cli.process import Base, Say
from spms.core import access, db, sandbox_clock
from spms.core.access import Actor, ActorKind, Role
from spms.core.clock import MovableClock
from spms.core.instance import instance_secret
from spms.core.passwords import hash_password

STAFF: dict[str, tuple[Role, ...]] = {
    "admin": (Role.ADMIN,),
    "officer": (Role.COMPLIANCE,),
    "officer2": (Role.COMPLIANCE,),
    "agent": (Role.AGENT,),
}
GATEWAY = "smsc"
ADDRESSES = (
    ("API reference", "/reference"),
    ("OpenAPI document", "/openapi.json"),
    ("Sandbox handset", "/sandbox/handset"),
    ("Health", "/health/ready"),
)

CITY_LOCK = 0x43495459  # "CITY"
HOLD_CITY = "SELECT pg_try_advisory_lock($1)"
ABANDONED = "UPDATE instance SET city = 'interrupted' WHERE city = 'playing' RETURNING true"
NO_CITY = "SELECT true FROM instance WHERE city IS NULL FOR UPDATE"
CLAIM_CITY = "UPDATE instance SET city = 'playing' WHERE city IS NULL RETURNING true"
CITY_ENDED = "UPDATE instance SET city = $1"


def demo_secret(instance: bytes, name: str) -> str:
    """Return the demo password of a member of staff, or the secret of the network element."""
    return hmac.new(instance, b"demo " + name.encode(), hashlib.sha256).hexdigest()[:16]


MAKER = Actor(kind=ActorKind.JOB, name="demonstration")


async def retire(ground: Base, say: Say) -> None:
    """Let no demo password sign in any more: whoever starts this is no sandbox."""
    async with db.transaction(ground.pool) as tx:
        now = ground.clock.now()
        if await access.revoke_made_by(tx, MAKER, actor=MAKER, now=now):
            say("this is no sandbox: the demonstration's credentials on this database are revoked")


async def prepare(ground: Base) -> None:
    """Make the demo staff and the SMS gateway's credential, once per database."""
    async with db.acquired(ground.pool) as read:
        secret = await instance_secret(read)
        missing = [
            name
            for name in STAFF
            if await access.credential_of(read, ActorKind.STAFF, name) is None
        ]
    hashes = {name: await hash_password(demo_secret(secret, name)) for name in missing}
    async with db.transaction(ground.pool) as tx:
        for name in missing:
            await access.add_unique(
                tx, kind=ActorKind.STAFF, subject=name, roles=STAFF[name],
                secret_hash=hashes[name], actor=MAKER, now=ground.clock.now(),
            )  # fmt: skip
        await access.add_unique(
            tx, kind=ActorKind.NETWORK, subject=GATEWAY, roles=(Role.GATEWAY,),
            secret_hash=access.hash_secret(demo_secret(secret, GATEWAY)), actor=MAKER,
            now=ground.clock.now(),
        )  # fmt: skip


async def credentials(pool: db.Pool, url: str) -> Access:
    """Return how to reach an instance as each of the demo parties."""
    async with db.acquired(pool) as read:
        secret = await instance_secret(read)
        gateway = await access.credential_of(read, ActorKind.NETWORK, GATEWAY)
    if gateway is None:
        raise LookupError("this instance has no demonstration credentials")
    return Access(
        url=url,
        staff={name: demo_secret(secret, name) for name in STAFF},
        gateway_id=str(gateway.id),
        gateway_secret=demo_secret(secret, GATEWAY),
    )


async def show(ground: Base, sock: socket.socket, say: Say) -> None:
    """Play the city on a first start, then print where everything is."""
    host, port = sock.getsockname()[:2]
    url = f"http://{'127.0.0.1' if host in {'0.0.0.0', '::'} else host}:{port}"  # noqa: S104
    settings = ground.settings
    how = await credentials(ground.pool, url)
    async with db.acquired(ground.pool) as holder:
        if settings.city_subscribers and await holder.fetchval(HOLD_CITY, CITY_LOCK):
            await _play(ground, how, say)
    print_addresses(how, say)


async def _play(ground: Base, how: Access, say: Say) -> None:
    """Play the city if none was played; whoever dies in it loses the lock that the caller holds."""
    settings = ground.settings
    async with db.transaction(ground.pool) as tx:
        abandoned = await tx.fetchval(ABANDONED)
    if abandoned:
        await _end_city(ground, "interrupted")
        say("an earlier start died while it played the city; the clock shows the present again")
    if not await _claim_city(ground):
        return
    outcome = "interrupted"
    try:
        say(f"first start: playing a city of {settings.city_subscribers} subscribers, "
            f"{settings.city_days} days")  # fmt: skip
        city = draw(
            seed=settings.city_seed, subscribers=settings.city_subscribers,
            days=settings.city_days,
        )  # fmt: skip
        result = await play(city, how)
        print_report(result)
        outcome = "played"
    except CityError as error:
        say(f"the city was given up: {error}")
    finally:
        await _end_city(ground, outcome)


async def begin_in_the_past(ground: Base) -> None:
    """Set the clock back before a first start's jobs begin: else they would have done the present."""
    if ground.settings.city_subscribers:
        await _set_back(ground, NO_CITY)
        return
    async with db.transaction(ground.pool) as tx:
        # A start that died between this and its city left the clock there.
        if await tx.fetchval(NO_CITY) and await sandbox_clock.read_offset(tx) < timedelta():
            await _show_the_present(ground, tx)


async def _claim_city(ground: Base) -> bool:
    """Let exactly one process play, in a clock that starts in the past and ends in the present."""
    return await _set_back(ground, CLAIM_CITY)


async def _set_back(ground: Base, condition: str) -> bool:
    async with db.transaction(ground.pool) as tx:
        if not await tx.fetchval(condition):
            return False
        start = timedelta(days=-ground.settings.city_days)
        await sandbox_clock.set_offset(tx, start)
    if isinstance(ground.clock, MovableClock):
        ground.clock.offset = start
    return True


async def _end_city(ground: Base, outcome: str) -> None:
    async with db.transaction(ground.pool) as tx:
        await tx.execute(CITY_ENDED, outcome)
        if await sandbox_clock.read_offset(tx) < timedelta():
            await _show_the_present(ground, tx)


async def _show_the_present(ground: Base, tx: db.Connection) -> None:
    await sandbox_clock.set_offset(tx, timedelta())
    if isinstance(ground.clock, MovableClock):
        ground.clock.offset = timedelta()


def print_report(result: Report) -> None:
    """Print the table planted / found / false alarms, and the money."""
    Console().print(report.table(result))


def print_addresses(how: Access, say: Say) -> None:
    """Print where everything is, and the demo credentials."""
    table = Table(title="SPMS is running", title_justify="left", show_header=False)
    for name, path in ADDRESSES:
        table.add_row(name, how.url + path)
    for login, password in how.staff.items():
        table.add_row(f"Staff ({', '.join(STAFF[login])})", f"login {login}  password {password}")
    table.add_row("SMS gateway (OAuth client)", f"id {how.gateway_id}  secret {how.gateway_secret}")
    Console().print(table)
    say("running; Ctrl-C stops it")


def encode_report(result: Report) -> bytes:
    """Return the report as JSON for a program."""
    return msgspec.json.format(msgspec.json.encode(result), indent=2)
