"""The published register, and what-ifs, over HTTP."""

from datetime import datetime
from typing import Annotated

import msgspec
from litestar import Response, Router, get, post

from spms.core import rulebook
from spms.core.access import Role, only
from spms.core.clock import business_month, start_of_day
from spms.core.db import Connection
from spms.penalties import register, register_queries
from spms.penalties.model import PenaltyRules
from spms.penalties.register_queries import Entry
from spms.penalties.what_if import WhatIf, compare, months_before

NEWEST = 1000
BREACHES_MAX = 100_000


class Register(msgspec.Struct, frozen=True, kw_only=True):
    """The newest published breaches."""

    items: list[Entry]


class Draft(PenaltyRules, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rules that are not in force: what is left out is as it is by default."""


class Question(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which rules to try, and over how many business months up to now."""

    rules: Draft
    months: Annotated[int, msgspec.Meta(ge=1, le=36)] = 12


@get("/register")
async def show(read: Connection) -> Register:
    """Show the newest published breaches. Open to everybody."""
    return Register(items=await register_queries.page(read, None, NEWEST))


@get("/register.html", media_type="text/html")
async def page(read: Connection) -> Response[str]:
    """Show the newest published breaches as a page."""
    text = register.as_page(await register_queries.page(read, None, NEWEST))
    return Response(text, media_type="text/html; charset=utf-8")


@get("/register.csv", media_type="text/csv")
async def as_csv(read: Connection) -> Response[str]:
    """Give the newest published breaches as CSV."""
    text = register.as_csv(await register_queries.page(read, None, NEWEST))
    return Response(text, media_type="text/csv; charset=utf-8")


@get("/register.atom", media_type="application/atom+xml")
async def as_atom(read: Connection, now: datetime) -> Response[str]:
    """Give the newest published breaches as an Atom feed."""
    text = register.as_atom(await register_queries.page(read, None, 100), now=now)
    return Response(text, media_type="application/atom+xml; charset=utf-8")


@post("/penalty-what-ifs", status_code=200, guards=[only(Role.COMPLIANCE)])
async def what_if(data: Question, tx: Connection, now: datetime) -> WhatIf:
    """Run changed rules over the past months: which SPs would have fared how. Changes nothing."""
    since = months_before(business_month(now), data.months - 1)
    past = await register_queries.past(tx, start_of_day(since), now, BREACHES_MAX)
    rules = await rulebook.section(tx, PenaltyRules, at=now)
    sps = compare(past, await register_queries.linked(tx), rules, data.rules)
    return WhatIf(months=data.months, breaches=len(past), sps=sps)


router = Router("/", route_handlers=[show, page, as_csv, as_atom, what_if], tags=["penalties"])
