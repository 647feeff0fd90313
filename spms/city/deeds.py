"""How each deed is done over the API, and what SMS it must bring.

Messages go in through the SMS gateway under names of their own, so that sending one again is
harmless; a few answers are typed on the sandbox's handset, which only ever repeats a yes.
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from spms.city.api import CONFLICT, Api, Party
from spms.city.inbox import Found, Phone, Sms
from spms.city.model import CityError, Offer
from spms.city.stage import Stage, require
from spms.city.timeline import Deed, Event

TYPED_ON_HANDSET = 5
"""Every fifth person answers on the handset page."""
LIVE = frozenset({"awaiting", "active", "suspended"})
SIGN_IN_TRIES = 2
OTHER_CODE_SECONDS = 1.0
IDLE_TEXTS = ("在吗", "0000", "hello ?")
TD_FORMS = ("TD {code}", "td{code}", "ＴＤ　{code}", "退订{code}", "TD+{code}")
REASONS = {
    Deed.SUSPENDED: ("arrears", "lost", "subscriber_request"),
    Deed.RESUMED: ("paid", "found", "subscriber_request"),
    Deed.TERMINATED: ("subscriber_request", "ported_out"),
    Deed.TRANSFERRED: ("owner_changed",),
}


class Expected(NamedTuple):
    """An SMS that a deed must bring."""

    sms: Sms
    offer: Offer | None


class Doer:
    """Does what one person does, and what others do about that person, in order."""

    def __init__(self, stage: Stage, person: int) -> None:
        """Nothing is remembered yet."""
        self.stage = stage
        self.person = person
        self.phone: Phone = stage.phones[person]
        self.codes: dict[int, str] = {}
        """Offer → the code of its prompt."""
        self.choice = ""
        """Which number of the list to answer with."""
        self._serial = 0

    async def do(self, events: Sequence[Event]) -> None:
        """Do the deeds of one step, then wait for what they must bring."""
        expected: list[Expected] = []
        for event in events:
            offer = None if event.offer is None else self.stage.offers[event.offer]
            expected += await DEEDS[event.deed](self, event, offer)
        for each in expected:
            await self._receive(each)

    async def _receive(self, expected: Expected) -> None:
        offer = expected.offer
        about = "" if offer is None else offer.name
        sms = await self.phone.wait(expected.sms, about)
        if expected.sms is Sms.PROMPT and offer is not None:
            self.codes[offer.n] = sms.code
        if expected.sms is Sms.LIST and offer is not None:
            line = re.search(rf"(?m)^(\d+)\. .*\({self.stage.codes[offer.n]}\)", sms.text)
            require(line, "a list does not show a service that is held")
            self.choice = "" if line is None else line[1]

    @property
    def api(self) -> Api:
        """The instance."""
        return self.stage.api

    async def text(self, called: str, words: str) -> None:
        """Send an SMS through the operator's gateway."""
        self._serial += 1
        message = {
            "link_message_id": self.stage.names.message_id(f"{self.person}.{self._serial}"),
            "msisdn": self.phone.msisdn,
            "called": called,
            "text": words,
        }
        await self.api.post(self.api.gateway, "/messages/incoming", message)

    async def answer(self, words: str) -> None:
        """Answer the operator's SMS, some people on the handset."""
        if self.person % TYPED_ON_HANDSET:
            await self.text(self.phone.operator, words)
        else:
            body = {"msisdn": self.phone.msisdn, "to": self.phone.operator, "text": words}
            await self.api.post(None, "/sandbox/messages", body)

    async def signed_in(self) -> Party:
        """Sign in to the self-service by a one-time code.

        A code works once, and only the newest does. Where an answer was lost on the way, another
        code may be coming; where none is, a new one is asked for.
        """
        refused: CityError | None = None
        for _ in range(SIGN_IN_TRIES):
            await self.api.post(None, "/sign-in/codes", {"msisdn": self.phone.msisdn})
            sms: Found | None = await self.phone.wait(Sms.CODE)
            while sms is not None:
                body = {"msisdn": self.phone.msisdn, "code": sms.code}
                party = Party("/sign-in/subscriber", body=body)
                try:
                    await self.api.get(party, "/my/number")
                except CityError as error:
                    refused = error
                    sms = await self.phone.expect(Sms.CODE, seconds=OTHER_CODE_SECONDS)
                else:
                    return party
        raise CityError(f"nobody could sign in by a one-time code ({refused})")

    def key(self, event: Event) -> str:
        """Return the idempotency key of a deed."""
        return self.stage.names.key(self.person, event.deed, event.offer, event.at)


def _of(offer: Offer | None) -> Offer:
    if offer is None:
        raise ValueError("this deed is about a service")
    return offer


async def _order(doer: Doer, event: Event, offer: Offer | None) -> list[Expected]:
    sold = _of(offer)
    word = sold.keyword.lower() if doer.person % 2 else sold.keyword
    await doer.text(doer.stage.names.access_number(sold.company), word)
    return [Expected(Sms.WELCOME if event.deed is Deed.BUY else Sms.PROMPT, sold)]


async def _ask(doer: Doer, event: Event, offer: Offer | None) -> list[Expected]:
    sold = _of(offer)
    body = {"service_id": doer.stage.service_id(sold)}
    party = doer.stage.firm_of(sold).party
    if event.deed is Deed.ASK_WEB:
        party = await doer.signed_in()
    else:
        body |= {"msisdn": doer.phone.msisdn, "reference": f"来电订购 {doer.person}"}
    if event.deed is Deed.ASK_AGENT:
        body["reason"] = "客户来电要求开通"
        await doer.stage.desk.post("/subscriptions", body, key=doer.key(event))
    else:
        await doer.api.post(party, "/subscriptions", body, key=doer.key(event))
    return [Expected(Sms.PROMPT, sold)]


async def _yes(doer: Doer, event: Event, offer: Offer | None) -> list[Expected]:
    sold = _of(offer)
    await doer.answer(event.words.format(code=doer.codes[sold.n]))
    return [] if event.deed is Deed.LATE_YES else [Expected(Sms.WELCOME, sold)]


async def _say(doer: Doer, event: Event, offer: Offer | None) -> list[Expected]:
    await doer.text(doer.phone.operator, event.words.format(code=doer.codes[_of(offer).n]))
    return []


async def _td(doer: Doer, event: Event, offer: Offer | None) -> list[Expected]:
    sold = _of(offer)
    form = TD_FORMS[doer.person % len(TD_FORMS)] if event.deed is Deed.TD_CODE else "TD"
    await doer.text(doer.phone.operator, form.format(code=doer.stage.codes[sold.n]))
    return [Expected(Sms.LEFT, sold)]


async def _list(doer: Doer, _: Event, offer: Offer | None) -> list[Expected]:
    await doer.text(doer.phone.operator, "0000")
    return [Expected(Sms.LIST, _of(offer))]


async def _choose(doer: Doer, _: Event, offer: Offer | None) -> list[Expected]:
    await doer.text(doer.phone.operator, doer.choice)
    return [Expected(Sms.LEFT, _of(offer))]


async def _all_sms(doer: Doer, _: Event, __: Offer | None) -> list[Expected]:
    await doer.text(doer.phone.operator, "00000")
    return [Expected(Sms.LEFT, None)]


async def _all_agent(doer: Doer, _: Event, __: Offer | None) -> list[Expected]:
    body = {"msisdn": doer.phone.msisdn, "reason": "客户来电要求全部退订", "ticket": _ticket(doer)}
    await doer.stage.desk.post("/subscriptions/leave-all", body)
    return []


async def _leave_agent(doer: Doer, _: Event, offer: Offer | None) -> list[Expected]:
    reason = "客户来电要求退订"
    search = {"msisdn": doer.phone.msisdn, "reason": reason}
    page = (await doer.stage.desk.post("/subscriptions/search", search)).body
    relation = _held(doer, page["items"], _of(offer))
    path = f"/subscriptions/{relation}/leave"
    await doer.stage.desk.post(path, {"reason": reason, "ticket": _ticket(doer)})
    return []


def _ticket(doer: Doer) -> str:
    """The reference of a person's call to the operator."""
    return f"GD-{doer.person}"


async def _leave_web(doer: Doer, _: Event, offer: Offer | None) -> list[Expected]:
    party = await doer.signed_in()
    page = await doer.api.get(party, "/my/subscriptions")
    relation = _held(doer, page["items"], _of(offer))
    await doer.api.post(party, f"/subscriptions/{relation}/leave", {})
    return []


def _held(doer: Doer, items: Sequence[dict[str, str]], offer: Offer) -> str:
    code = doer.stage.codes[offer.n]
    for item in items:
        if item["service_code"] == code and item["status"] in LIVE:
            return item["id"]
    raise CityError("a service that is held is not on the list of what is held")


async def _idle(doer: Doer, _: Event, __: Offer | None) -> list[Expected]:
    await doer.text(doer.phone.operator, IDLE_TEXTS[doer.person % len(IDLE_TEXTS)])
    return []


async def _number(doer: Doer, event: Event, _: Offer | None) -> list[Expected]:
    reasons = REASONS[event.deed]
    told = {
        "msisdn": doer.phone.msisdn,
        "kind": event.deed.value,
        "reason": reasons[doer.person % len(reasons)],
        "effective_at": (doer.stage.began + event.at).isoformat(),
    }
    await doer.api.post(doer.api.gateway, "/number-events", {"events": [told]})
    return []


async def _bar(doer: Doer, _: Event, offer: Offer | None) -> list[Expected]:
    told = {
        "msisdn": doer.phone.msisdn,
        "scope": "sp",
        "sp_code": doer.stage.firm_of(_of(offer)).code,
        "reason": "客户来电要求屏蔽该服务商",
    }
    await doer.stage.desk.post("/numbers/bars", told, fine=(CONFLICT,))
    return []


Do = Callable[[Doer, Event, Offer | None], Awaitable[list[Expected]]]

DEEDS: dict[Deed, Do] = {
    Deed.ORDER: _order,
    Deed.BUY: _order,
    Deed.ASK_SP: _ask,
    Deed.ASK_AGENT: _ask,
    Deed.ASK_WEB: _ask,
    Deed.YES: _yes,
    Deed.LATE_YES: _yes,
    Deed.NO: _say,
    Deed.UNCLEAR: _say,
    Deed.TD: _td,
    Deed.TD_CODE: _td,
    Deed.LIST: _list,
    Deed.CHOOSE: _choose,
    Deed.ALL_SMS: _all_sms,
    Deed.ALL_AGENT: _all_agent,
    Deed.LEAVE_AGENT: _leave_agent,
    Deed.LEAVE_WEB: _leave_web,
    Deed.IDLE: _idle,
    Deed.SUSPENDED: _number,
    Deed.RESUMED: _number,
    Deed.TERMINATED: _number,
    Deed.TRANSFERRED: _number,
    Deed.BAR: _bar,
}
"""What is done for each deed; each returns the SMS it must bring."""
