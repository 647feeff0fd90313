"""The parties of a story. Whatever they do, they do over HTTP, as the outside world would."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from itertools import count
from typing import Any

import httpx
import msgspec

from jobs import TIMETABLE
from jobs.runner import settle
from jobs.timetable import House
from spms.city.model import Access
from spms.core.clock import FixedClock
from spms.inspections.sandbox_call import LineKind

OPERATOR = "10010"
TOKEN_HOLDS = timedelta(minutes=59)
"""A little less than a token lives."""

_serial = count(1)


class Party:
    """Somebody who uses the API; signs in again when the clock has passed the token's end."""

    def __init__(self, world: "World", sign_in: Callable[[], Awaitable[Any]]) -> None:
        self.world = world
        self._sign_in = sign_in
        self._token = ""
        self._until = world.clock.now()

    async def get(self, path: str, *, status: int = 200, **query: str) -> Any:
        """Read; fail with the answer's text unless it has this status."""
        return await self._ask("GET", path, status, params=query)

    async def post(
        self, path: str, body: Any = None, *, status: int = 200, key: str | None = None
    ) -> Any:
        """Do something; fail with the answer's text unless it has this status."""
        headers = {} if key is None else {"Idempotency-Key": key}
        return await self._ask("POST", path, status, json=body, headers=headers)

    async def _ask(
        self, method: str, path: str, status: int, *, headers: dict[str, str] | None = None,
        **rest: Any,
    ) -> Any:  # fmt: skip
        if self.world.clock.now() >= self._until:
            self._token = (await self._sign_in())["access_token"]
            self._until = self.world.clock.now() + TOKEN_HOLDS
        bearer = {"Authorization": f"Bearer {self._token}"}
        answer = await self.world.http.request(
            method, path, headers=bearer | (headers or {}), **rest
        )
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None


class Phone:
    """A person with a phone."""

    def __init__(self, world: "World", msisdn: str) -> None:
        self.world = world
        self.msisdn = msisdn
        self.web = Party(world, self._sign_in)
        """The person in the self-service, signed in with a code that the phone got."""

    async def text(self, called: str, words: str) -> None:
        """Send an SMS, and wait until everything that follows from it has happened."""
        body = {
            "link_message_id": f"mo-{next(_serial)}", "msisdn": self.msisdn, "called": called,
            "text": words,
        }  # fmt: skip
        assert (await self.world.gateway.post("/messages/incoming", body))["new"]
        await self.world.settle()

    async def inbox(self) -> list[str]:
        """Return the texts of all SMS that the phone got, oldest first."""
        answer = await self.world.http.post("/sandbox/inbox", json={"msisdn": self.msisdn})
        return [sms["text"] for sms in answer.json()["messages"] if sms["direction"] == "to_phone"]

    async def newest(self) -> str:
        """Return the text of the SMS that came last."""
        return (await self.inbox())[-1]

    async def _sign_in(self) -> Any:
        asked = await self.world.http.post("/sign-in/codes", json={"msisdn": self.msisdn})
        assert asked.status_code == 202, asked.text
        await self.world.settle()
        told = [text for text in await self.inbox() if "验证码" in text][-1]
        code = next(word for word in digits(told) if len(word) == 6)
        body = {"msisdn": self.msisdn, "code": code}
        return (await self.world.http.post("/sign-in/subscriber", json=body)).json()


class Company(msgspec.Struct, frozen=True, kw_only=True):
    """An SP and its systems."""

    id: str
    hotlines: tuple[str, ...]
    api: Party


class Shop(msgspec.Struct, frozen=True, kw_only=True):
    """A service on sale."""

    company: Company
    id: str
    code: str
    keyword: str
    access_number: str


class World:
    """One instance of the platform, its staff, and the clock that all of them live by."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        house: House,
        clock: FixedClock,
        how: Access,
    ) -> None:
        self.http = http
        self.house = house
        self.clock = clock
        self.admin, self.officer, self.officer2, self.agent = (
            Party(self, self._by_password(login, how.staff[login]))
            for login in ("admin", "officer", "officer2", "agent")
        )
        self.gateway = self.client(how.gateway_id, how.gateway_secret)

    async def settle(self) -> None:
        """Run the jobs until none has anything left to do."""
        await settle(self.house, TIMETABLE)

    async def later(self, **step: float) -> None:
        """Move the clock and let everything happen that is due by then."""
        self.clock.move(timedelta(**step))
        await self.settle()

    def client(self, client_id: str, secret: str) -> Party:
        """Return a party that signs in with OAuth client credentials."""

        async def sign_in() -> Any:
            form = {"grant_type": "client_credentials"}
            return (
                await self.http.post("/oauth/token", data=form, auth=(client_id, secret))
            ).json()

        return Party(self, sign_in)

    def _by_password(self, login: str, password: str) -> Callable[[], Awaitable[Any]]:
        async def sign_in() -> Any:
            body = {"login": login, "password": password}
            return (await self.http.post("/sign-in/staff", json=body)).json()

        return sign_in

    async def line(self, hotline: str, kind: LineKind) -> None:
        """Let a hotline of the sandbox behave in a way from now on; one never set answers."""
        await self.admin.post("/sandbox/lines", {"number": hotline, "behaviour": kind})

    async def phone(self, msisdn: str) -> Phone:
        """Let the registry open a number, and somebody switch on a phone with it."""
        event = {
            "msisdn": msisdn, "kind": "activated", "reason": "opened",
            "effective_at": self.clock.now().isoformat(),
        }  # fmt: skip
        assert (await self.gateway.post("/number-events", {"events": [event]}))["recorded"] == 1
        shown = await self.http.post(
            "/sandbox/phones", json={"msisdn": msisdn, "label": msisdn[-4:]}
        )
        assert shown.status_code == 200, shown.text
        return Phone(self, msisdn)

    async def applicant(self, name: str, *hotlines: str) -> Company:
        """Let a company apply."""
        body = {
            "name": name, "licence_no": f"B2-2006{next(_serial):04d}", "responsible_name": "王芳",
            "responsible_mobile": "8613900000001", "hotlines": hotlines,
        }  # fmt: skip
        answer = await self.http.post("/sps", json=body)
        assert answer.status_code == 201, answer.text
        made = answer.json()
        client = made["client"]
        api = self.client(client["client_id"], client["client_secret"])
        return Company(id=made["sp"]["id"], hotlines=hotlines, api=api)

    async def company(self, name: str, *hotlines: str) -> Company:
        """Let a company apply with all it needs and go live."""
        company = await self.applicant(name, *hotlines)
        await self.officer.post(f"/sps/{company.id}/review")
        await self.officer.post(f"/sps/{company.id}/activation")
        return company

    async def shop(self, company: Company, *, code: str, keyword: str, price_fen: int) -> Shop:
        """Let a company register a monthly service and an officer approve its notice."""
        access_number = f"1069{code}"
        await self.officer.post(
            "/access-numbers", {"sp_id": company.id, "number": access_number}, status=201
        )
        body = {
            "code": code, "name": f"天气早知道{keyword}", "kind": "monthly", "keyword": keyword,
            "access_number": access_number, "price_fen": price_fen, "hotline": company.hotlines[0],
        }  # fmt: skip
        made = await company.api.post("/services", body, status=201)
        waiting = await self.officer.get("/notices")
        assert made["notice"]["id"] in {notice["id"] for notice in waiting["items"]}
        await self.officer.post(f"/notices/{made['notice']['id']}/decision", {"approve": True})
        service_id = made["service"]["id"]
        return Shop(
            company=company, id=service_id, code=code, keyword=keyword, access_number=access_number
        )

    async def subscribe(self, phone: Phone, shop: Shop) -> None:
        """Let a person order by keyword and confirm."""
        await phone.text(shop.access_number, shop.keyword)
        await phone.text(OPERATOR, "Y")
        assert "您已订购" in await phone.newest()


def digits(text: str) -> list[str]:
    """Return the runs of digits in a text."""
    return "".join(c if c.isascii() and c.isdigit() else " " for c in text).split()
