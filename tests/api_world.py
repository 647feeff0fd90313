"""A served application, and small worlds in it in which every operation can succeed."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID, uuid4

import httpx
import msgspec
import uvloop

from spms.cli.process import Base
from spms.cli.start import listening_socket
from spms.cli.up import serving
from spms.core import access, db, tokens
from spms.core.access import Actor, ActorKind, Role
from spms.core.clock import FixedClock
from spms.core.passwords import hash_password
from spms.core.settings import Settings
from tests import make
from tests.conftest import START

T = TypeVar("T")
PASSWORD = "correct horse battery"
LOGIN = "wang"


class Served:
    """The application behind a real port, on a thread and a loop of its own."""

    def __init__(self, url: str, pool: db.Pool, loop: asyncio.AbstractEventLoop) -> None:
        self.url = url
        self.pool = pool
        self._loop = loop

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run on the application's loop and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)


@contextmanager
def served(app_url: str, settings: Settings) -> Iterator[Served]:
    """Serve the application on a database until the block ends; the clock stands still."""
    started: list[Served] = []
    up = threading.Event()
    stop = asyncio.Event()

    async def main() -> None:
        pool = await db.open_pool(app_url, settings)
        ground = Base(
            settings=settings, pool=pool, clock=FixedClock(START), embedded=None, migrated=[]
        )
        sock = listening_socket(settings)
        async with serving(ground, sock):
            url = "http://{}:{}".format(*sock.getsockname())
            started.append(Served(url, pool, asyncio.get_running_loop()))
            up.set()
            await stop.wait()
        await pool.close()

    async def end() -> None:
        stop.set()

    def run() -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main())

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        assert up.wait(60), "the application did not start"
        yield started[0]
    finally:
        if started:
            started[0].run(end())
        thread.join(30)


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A request that must succeed."""

    role: str | None
    body: Any = None
    path: dict[str, str] = {}
    query: dict[str, str] = {}


class LittleWorld:
    """An SP with services, a person who has one of them, and staff; each with a token."""

    def __init__(self, house: Served) -> None:
        self.house = house
        self.tokens: dict[str, str] = {}
        self.names: dict[str, Any] = {}
        """Real values, by the names that parameters and fields have in the document."""
        house.run(self._settle_in())
        self._http = httpx.Client(base_url=house.url, timeout=30)

    def close(self) -> None:
        """Hang up."""
        self._http.close()

    async def _settle_in(self) -> None:
        async with db.transaction(self.house.pool) as tx:
            sp_id = await make.sp(tx, START)
            service_id = await make.service(tx, START, sp_id)
            msisdn = await make.number(tx, START)
            begun = START - timedelta(days=2)
            subscription_id = await make.subscription(tx, begun, msisdn, service_id)
            wrong = {"findings": ["duplicate"], "due_fen": 0, "consent_id": subscription_id}
            at = START - timedelta(hours=1)
            self.names = {
                "sp_id": sp_id, "service_id": service_id, "msisdn": msisdn,
                "sp_code": await tx.fetchval("SELECT code FROM sp WHERE id = $1", sp_id),
                "subscription_id": subscription_id,
                "charge_id": await make.charge(tx, at, msisdn, service_id, **wrong),
                "credential_id": await access.add_credential(
                    tx, kind=ActorKind.SP, subject=str(sp_id), name="spare", roles=(Role.SP,),
                    secret_hash=access.hash_secret(PASSWORD), actor=make.ADMIN, now=START,
                ),
                "month": "2026-03", "price_fen": 800, "seconds": 60, "number": "4008123456",
                "charged_at": START.isoformat(), "effective_at": START.isoformat(),
            }  # fmt: skip
            row = await tx.fetchrow(
                """SELECT s.code AS service_code, s.access_number, h.number AS hotline
                     FROM service s JOIN sp_hotline h ON h.sp_id = s.sp_id
                    WHERE s.id = $1 LIMIT 1""",
                service_id,
            )
            self.names |= dict(row or {}, client_id=self.names["credential_id"])
            # Each world has an agent of its own: how often one may look is counted by agent.
            self.agent = f"agent-{unique()}"
            for actor in (
                make.ADMIN, make.OFFICER, make.OFFICER_2, make.GATEWAY,
                msgspec.structs.replace(make.AGENT, name=self.agent, subject=self.agent),
                msgspec.structs.replace(make.OFFICER, name="officer-3", subject="officer-3"),
                make.sp_actor(sp_id), make.subscriber_actor(msisdn),
            ):  # fmt: skip
                self.tokens[called(actor)] = await self._token(tx, actor)

    async def _token(self, tx: db.Connection, actor: Actor) -> str:
        """Issue a token; members of staff and network elements have one credential each."""
        found = None
        if actor.kind in {ActorKind.STAFF, ActorKind.NETWORK}:
            found = await access.credential_of(tx, actor.kind, actor.subject)
        credential_id = found.id if found else await access.add_credential(
            tx, kind=actor.kind, subject=actor.subject, name=actor.name,
            roles=tuple(actor.roles), secret_hash="", epoch=actor.epoch, actor=actor, now=START,
        )  # fmt: skip
        issued = await tokens.issue_token(tx, credential_id, lifetime=timedelta(days=1), now=START)
        return issued.access_token

    def headers(self, role: str | None) -> dict[str, str]:
        """Return the headers of a role; None is nobody."""
        return {} if role is None else {"Authorization": f"Bearer {self.tokens[role]}"}

    def post(self, role: str | None, path: str, body: Any = None) -> Any:
        """Prepare something over the API."""
        answer = self._http.post(path, json=body, headers=self.headers(role))
        assert answer.is_success, f"{path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def get(self, role: str, path: str) -> Any:
        """Look something up over the API."""
        answer = self._http.get(path, headers=self.headers(role))
        assert answer.is_success, f"{path}: {answer.status_code} {answer.text}"
        return answer.json()

    def another_sp(self, status: str) -> dict[str, str]:
        """Return path parameters that name an SP of this status."""
        return {"sp_id": str(self._insert(make.sp, status=status))}

    def another_service(self, status: str) -> str:
        """Add a service of the SP with this status; return its id."""
        return str(self._insert(make.service, self.names["sp_id"], status=status))

    def running(self) -> None:
        """Let the person have one more service of the SP."""
        service_id = UUID(self.another_service("online"))
        self._insert(make.subscription, self.names["msisdn"], service_id)

    def _insert(self, what: Any, *args: Any, **values: Any) -> Any:
        async def work() -> Any:
            async with db.transaction(self.house.pool) as tx:
                return await what(tx, START, *args, **values)

        return self.house.run(work())

    def staff(self) -> None:
        """Let somebody with a password work here, once."""

        async def work() -> None:
            async with db.transaction(self.house.pool) as tx:
                await access.add_unique(
                    tx, kind=ActorKind.STAFF, subject=LOGIN, roles=(Role.AGENT,), actor=make.ADMIN,
                    secret_hash=await hash_password(PASSWORD), now=START,
                )  # fmt: skip

        self.house.run(work())

    def code(self) -> str:
        """Return a one-time code that the person's phone was sent."""

        async def work() -> str:
            async with db.acquired(self.house.pool) as read:
                text: str = await read.fetchval(
                    "SELECT substring(text FROM '[0-9]{6}') FROM message_out"
                    " WHERE msisdn = $1 AND kind = 'code'",
                    self.names["msisdn"],
                )
                return text

        self.post(None, "/sign-in/codes", {"msisdn": self.names["msisdn"]})
        return self.house.run(work())


def called(actor: Actor) -> str:
    """Return the name by which a token is asked for: the role's, or a further officer's own."""
    return actor.name if actor.name.startswith("officer-") else str(*actor.roles)


def unique() -> str:
    """Return a word nobody has used."""
    return uuid4().hex[:10]
