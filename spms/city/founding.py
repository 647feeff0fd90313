"""Before the play: companies go the public way to market, numbers are registered.

Every step may be sent again: what was done already is answered with a conflict and looked up.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime, timedelta

from spms.city.api import CONFLICT, Api, client
from spms.city.inbox import Sms
from spms.city.model import Company, Json, Offer, Sold
from spms.city.stage import Firm, Stage, require
from spms.core.phone import mask

PARALLEL = 8
NUMBERS_PER_REQUEST = 500
PHONES_SHOWN = 6
"""People whom a visitor can pick on the handset page."""
UNPROCESSABLE = 422
PROBES = 3
PROBE_STEP = timedelta(minutes=2)
FOLLOW_SECONDS = 1.3
"""Other processes see a moved clock within a second."""

Tick = Callable[[str], None]
"""Called after each piece of work, with words for the progress bar."""


async def found(stage: Stage, tick: Tick) -> None:
    """Found the city: companies live and selling, numbers in service."""
    gate = asyncio.Semaphore(PARALLEL)

    async def one(company: Company) -> None:
        async with gate:
            stage.firms[company.n] = await _found_company(stage, company)
            tick("companies go to market")

    await gather(one(company) for company in stage.city.companies)
    await _register_numbers(stage, tick)
    await _learn_lag(stage)


async def gather(work: Iterable[Awaitable[None]]) -> None:
    """Do it all at once; on the first failure stop the rest and raise it."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _found_company(stage: Stage, company: Company) -> Firm:
    api = stage.api
    for line in company.hotlines:
        await set_line(api, stage.names.hotline(line.n), "answer")
    firm = await _apply(stage, company)
    officer = api.officer
    path = f"/sps/{firm.sp_id}"
    await api.post(officer, f"{path}/review", fine=(CONFLICT,))
    if company.n == 0:
        await _refused_first(stage, firm)
    await api.post(officer, f"{path}/activation", fine=(CONFLICT,))
    sp = await api.get(officer, path)
    require(sp["status"] == "active", f"a company is {sp['status']} after its activation")
    firm.code = sp["code"]
    number = {"sp_id": firm.sp_id, "number": stage.names.access_number(company.n)}
    await api.post(officer, "/access-numbers", number, fine=(CONFLICT,))
    for offer in company.offers:
        firm.services[offer.n] = await _register(stage, firm, offer)
    await _approve_notices(stage, firm)
    return firm


async def set_line(api: Api, number: str, behaviour: str) -> None:
    """Set how a sandbox hotline behaves."""
    await api.post(api.admin, "/sandbox/lines", {"number": number, "behaviour": behaviour})


async def _apply(stage: Stage, company: Company) -> Firm:
    """Apply; where the answer was lost, the company is found by its licence and gets a new secret."""
    names, api = stage.names, stage.api
    hotlines = [names.hotline(line.n) for line in company.hotlines]
    application = {
        "name": names.company(company.name, company.n),
        "licence_no": names.licence(company.n),
        "responsible_name": names.responsible_name(company.n),
        "responsible_mobile": names.responsible(company.n),
        "hotlines": hotlines[:1] if company.n == 0 else hotlines,
    }
    answer = await api.post(None, "/sps", application, fine=(CONFLICT,))
    if answer.status == CONFLICT:
        sp_id = await _sp_by_licence(api, application["licence_no"])
        credential = (await api.post(api.admin, f"/sps/{sp_id}/client-secrets")).body
    else:
        sp_id = answer.body["sp"]["id"]
        credential = answer.body["client"]
    return Firm(company, sp_id, client(credential["client_id"], credential["client_secret"]))


async def _sp_by_licence(api: Api, licence: object) -> str:
    async for sp in api.items(api.officer, "/sps"):
        if sp["licence_no"] == licence:
            return str(sp["id"])
    require(False, "an application was refused as a repeat, but there is no first one")  # noqa: FBT003
    return ""


async def _refused_first(stage: Stage, firm: Firm) -> None:
    """One company tries with a single hotline, is refused, and adds the second."""
    api, names = stage.api, stage.names
    sp = await api.get(api.officer, f"/sps/{firm.sp_id}")
    if len(sp["hotlines"]) > 1:
        return
    refused = await api.post(
        api.officer, f"/sps/{firm.sp_id}/activation", fine=(UNPROCESSABLE, CONFLICT)
    )
    require(refused.status == UNPROCESSABLE, "a company went live with a single hotline")
    contacts = {
        "hotlines": [names.hotline(line.n) for line in firm.company.hotlines],
        "responsible_name": names.responsible_name(firm.company.n),
        "responsible_mobile": names.responsible(firm.company.n),
    }
    path = f"/sps/{firm.sp_id}/contact-changes"
    await api.post(firm.party, path, contacts, fine=(CONFLICT,))
    async for change in api.items(firm.party, path):
        if change["state"] == "requested":
            await api.post(
                api.officer, f"/contact-changes/{change['id']}/decision",
                {"approve": True, "reason": "两条热线已核实"}, fine=(CONFLICT,),
            )  # fmt: skip


async def _register(stage: Stage, firm: Firm, offer: Offer) -> str:
    """Register a service and return its id."""
    code = stage.codes[offer.n]
    body = {
        "code": code,
        "name": offer.name,
        "kind": offer.sold.value,
        "category": "information" if offer.sold is Sold.MONTHLY else "entertainment",
        "access_number": stage.names.access_number(firm.company.n),
        "keyword": offer.keyword,
        "price_fen": offer.price_fen,
        "hotline": stage.names.hotline(firm.company.hotlines[0].n),
    }
    answer = await stage.api.post(firm.party, "/services", body, fine=(CONFLICT,))
    if answer.status != CONFLICT:
        return str(answer.body["service"]["id"])
    async for service in stage.api.items(firm.party, "/my/services"):
        if service["code"] == code:
            return str(service["id"])
    require(False, "a service code of this city is taken by somebody else")  # noqa: FBT003
    return ""


async def _approve_notices(stage: Stage, firm: Firm) -> None:
    """Let the officer approve what the company wants to tell people."""
    api = stage.api
    ours = set(firm.services.values())
    async for notice in api.items(api.officer, "/notices"):
        if notice["service_id"] in ours:
            await api.post(
                api.officer, f"/notices/{notice['id']}/decision",
                {"approve": True, "reason": "资费告知完整"}, fine=(CONFLICT,),
            )  # fmt: skip


async def _register_numbers(stage: Stage, tick: Tick) -> None:
    """Put every number into service, and a few on the handset page."""
    api = stage.api
    events: list[Json] = [
        {
            "msisdn": stage.names.msisdn(person.n),
            "kind": "activated",
            "reason": "opened",
            "effective_at": stage.began.isoformat(),
            "language": person.language,
        }
        for person in stage.city.people
    ]
    for start in range(0, len(events), NUMBERS_PER_REQUEST):
        batch = events[start : start + NUMBERS_PER_REQUEST]
        await api.post(api.gateway, "/number-events", {"events": batch})
        tick("numbers are put into service")
    for person in stage.city.people[:PHONES_SHOWN]:
        msisdn = stage.names.msisdn(person.n)
        label = f"{stage.names.salt} {mask(msisdn)}"
        await api.post(None, "/sandbox/phones", {"msisdn": msisdn, "label": label})


async def _learn_lag(stage: Stage) -> None:
    """Find out whether another process answers SMS, whose clock follows a little later.

    An answer is shown with the time of the process that gave it. Where that is behind the instant
    to which the clock was just moved, every move is followed by a pause.
    """
    api = stage.api
    for person in stage.city.people[:PROBES]:
        phone = stage.phones[person.n]
        moved = await api.forward_to(api.now + PROBE_STEP)
        question = {
            "link_message_id": stage.names.message_id(f"probe.{person.n}"),
            "msisdn": phone.msisdn,
            "called": phone.operator,
            "text": "0000",
        }
        await api.post(api.gateway, "/messages/incoming", question)
        sms = await phone.wait(Sms.NOTHING)
        if datetime.fromisoformat(sms.at) < moved - PROBE_STEP / 2:
            api.follow_seconds = FOLLOW_SECONDS
            await asyncio.sleep(FOLLOW_SECONDS)
            return
