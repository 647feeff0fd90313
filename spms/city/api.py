"""A thin client of the public API: signs in, signs in again, and tries again what was not answered.

The platform and its database may be killed while a city plays. So a request that was refused for
the moment (503), or not answered at all, is sent again for up to a minute; each is harmless when
it comes twice. Only moving the clock is not, and is never sent again blindly.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, NamedTuple, Self

import aiohttp

from spms.city.model import Access, CityError, Json

PATIENCE_SECONDS = 60.0
"""Longest time in which one request is tried again."""
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0
REQUEST_SECONDS = 30.0
CONNECTIONS = 32
PAGE = 100
FORWARD_SECONDS_MAX = 86_400
EARLY = timedelta(minutes=1)
"""A token is renewed so long before it ends."""

NOT_NOW = frozenset({502, 503, 504})
UNAUTHENTICATED = 401
NOT_FOUND = 404
CONFLICT = 409
BUG = 500
BUGS_MAX = 5
"""How often a mistake of the platform's own is asked again; each is counted."""


class Answer(NamedTuple):
    """What came back."""

    status: int
    body: Any


class Lost(Exception):  # noqa: N818 - it may have been done or not
    """There was no answer, or the platform could not answer now."""


class Party:
    """Someone who signs in. Keeps one token until it ends by the platform's clock."""

    def __init__(self, path: str, *, body: Json | None = None, form: Json | None = None) -> None:
        """Remember how this party signs in."""
        self.path = path
        self.body = body
        self.form = form
        self.token: str | None = None
        self.until: datetime | None = None
        self.lock = asyncio.Lock()


def staff(login: str, password: str) -> Party:
    """Return a member of staff."""
    return Party("/sign-in/staff", body={"login": login, "password": password})


def client(client_id: str, client_secret: str) -> Party:
    """Return a company's or a gateway's system (OAuth client credentials)."""
    form = {
        "grant_type": "client_credentials", "client_id": client_id, "client_secret": client_secret,
    }  # fmt: skip
    return Party("/oauth/token", form=form)


class Api:
    """One instance. Use `async with`."""

    def __init__(self, access: Access) -> None:
        """Prepare; nothing is sent before the first call."""
        self.admin = staff("admin", access.staff["admin"])
        self.officer = staff("officer", access.staff["officer"])
        self.officer2 = staff("officer2", access.staff["officer2"])
        self.agent = staff("agent", access.staff["agent"])
        self.gateway = client(access.gateway_id, access.gateway_secret)
        self.requests = 0
        self.retries = 0
        self.bugs: list[str] = []
        """Paths that answered with a mistake of the platform's own."""
        self.follow_seconds = 0.0
        """How long other processes of the instance need to see that the clock was moved."""
        self._url = access.url.rstrip("/")
        self._session: aiohttp.ClientSession | None = None
        self._heard = False
        """Whether it ever answered: who never did is not waited for."""
        self._face: datetime | None = None
        self._read_at = 0.0

    async def __aenter__(self) -> Self:
        """Open the connections."""
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=REQUEST_SECONDS),
            connector=aiohttp.TCPConnector(limit=CONNECTIONS),
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    @property
    def now(self) -> datetime:
        """The instance's time, as far as it is known here."""
        if self._face is None:
            raise CityError("the instance's clock has not been read yet")
        return self._face + timedelta(seconds=time.monotonic() - self._read_at)

    async def get(self, party: Party | None, path: str, **query: str) -> Json:
        """Read."""
        body: Json = (await self.call(party, "GET", path, query=query)).body
        return body

    async def post(
        self,
        party: Party | None,
        path: str,
        body: Json | None = None,
        *,
        fine: tuple[int, ...] = (),
        key: str | None = None,
    ) -> Answer:
        """Send; `fine` are refusals that the caller understands, `key` an idempotency key."""
        headers = {"Idempotency-Key": key} if key else {}
        return await self.call(party, "POST", path, body=body, fine=fine, headers=headers)

    async def items(self, party: Party, path: str) -> AsyncIterator[Json]:
        """Read a list to its end, page by page."""
        query = {"limit": str(PAGE)}
        while True:
            page = await self.get(party, path, **query)
            for item in page["items"]:
                yield item
            if page["next"] is None:
                return
            query["after"] = page["next"]

    async def call(
        self,
        party: Party | None,
        method: str,
        path: str,
        *,
        body: Json | None = None,
        content: bytes | None = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        fine: tuple[int, ...] = (),
    ) -> Answer:
        """Send until it is answered; raise `CityError` for an answer that is not fine."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        pause = FIRST_PAUSE_SECONDS
        renewed, bugs = False, 0
        while True:
            try:
                token = None if party is None else await self._token(party)
                answer = await self._send(
                    method, path, body=body, content=content, query=query,
                    headers=dict(headers or {}) | _bearer(token),
                )  # fmt: skip
            except Lost as lost:
                if not self._heard:
                    raise CityError(f"{self._url} does not answer ({lost})") from lost
                if time.monotonic() > deadline:
                    raise CityError(
                        f"{method} {self._url}{path}: no answer for {PATIENCE_SECONDS:.0f} s ({lost})"
                    ) from lost
                self.retries += 1
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
                continue
            self._heard = True
            if answer.status < 400 or answer.status in fine:  # noqa: PLR2004 - refusals begin there
                return answer
            if answer.status == UNAUTHENTICATED and party is not None and not renewed:
                party.token, renewed = None, True
                continue
            if answer.status == BUG and bugs < BUGS_MAX:
                bugs += 1
                self.bugs.append(f"{method} {path}")
                await asyncio.sleep(pause)
                continue
            raise CityError(refusal(method, path, answer))

    async def read_clock(self) -> datetime:
        """Read the instance's clock; raise `CityError` when it is no sandbox."""
        answer = await self.call(None, "GET", "/sandbox/clock", fine=(NOT_FOUND,))
        if answer.status == NOT_FOUND:
            raise CityError(
                f"the instance at {self._url} is not a sandbox: a city plays only where the clock "
                "can be moved (start it with SPMS_SANDBOX=true)"
            )
        return self._set_clock(answer.body)

    async def forward_to(self, target: datetime) -> datetime:
        """Move the instance's clock forward to an instant, in hops of at most a day.

        What is not answered is not repeated: the clock is read again instead.
        """
        moved = False
        deadline = time.monotonic() + PATIENCE_SECONDS
        now = await self.read_clock()
        while (short := (target - now).total_seconds()) > 0:
            seconds = min(int(short) + 1, FORWARD_SECONDS_MAX)
            try:
                token = await self._token(self.admin)
                answer = await self._send(
                    "POST", "/sandbox/clock/forward", body={"seconds": seconds},
                    headers=_bearer(token),
                )  # fmt: skip
            except Lost as lost:
                if time.monotonic() > deadline:
                    raise CityError(f"the clock could not be moved ({lost})") from lost
                await asyncio.sleep(FIRST_PAUSE_SECONDS)
                now = await self.read_clock()
                continue
            if answer.status == UNAUTHENTICATED:
                self.admin.token = None
                continue
            if answer.status != 200:  # noqa: PLR2004 - OK
                raise CityError(refusal("POST", "/sandbox/clock/forward", answer))
            moved = True
            now = self._set_clock(answer.body)
        if moved and self.follow_seconds:
            await asyncio.sleep(self.follow_seconds)
        return now

    def _set_clock(self, face: Json) -> datetime:
        self._face = datetime.fromisoformat(face["now"])
        self._read_at = time.monotonic()
        return self._face

    async def _token(self, party: Party) -> str:
        async with party.lock:
            if party.token is not None and party.until is not None and self.now < party.until:
                return party.token
            answer = await self._send("POST", party.path, body=party.body, form=party.form)
            if answer.status != 200:  # noqa: PLR2004 - OK
                raise CityError(refusal("POST", party.path, answer))
            party.until = self.now + timedelta(seconds=answer.body["expires_in"]) - EARLY
            token: str = answer.body["access_token"]
            party.token = token
            return token

    async def _send(
        self,
        method: str,
        path: str,
        *,
        body: Json | None = None,
        form: Json | None = None,
        content: bytes | None = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        if self._session is None:
            raise RuntimeError("the client is used outside its `async with`")
        self.requests += 1
        try:
            async with self._session.request(
                method, self._url + path, json=body, data=form or content, params=query,
                headers=headers,
            ) as response:  # fmt: skip
                if response.status in NOT_NOW:
                    raise Lost(f"status {response.status}")
                text = await response.read()
                is_json = "json" in response.headers.get("Content-Type", "")
                return Answer(response.status, await response.json(content_type=None)
                              if is_json and text else None)  # fmt: skip
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Lost(type(error).__name__) from error


def refusal(method: str, path: str, answer: Answer) -> str:
    """Say in one line what was refused and why."""
    problem = answer.body if isinstance(answer.body, dict) else {}
    code = problem.get("code") or problem.get("error") or ""
    detail = problem.get("detail") or problem.get("title") or ""
    return f"{method} {path}: {answer.status} {code} {detail}".rstrip()


def _bearer(token: str | None) -> dict[str, str]:
    return {} if token is None else {"Authorization": f"Bearer {token}"}
