"""HTTP about canary numbers: officers name them, and see who looked at them."""

from datetime import datetime

import msgspec
from litestar import Router, get, post

from spms.core.access import Actor, Role, only
from spms.core.db import Connection
from spms.core.phone import Msisdn
from spms.subscribers import looks
from spms.subscribers.looks import CanaryTouch


class CanaryNumber(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A number nobody has a reason to look at."""

    msisdn: Msisdn


@post("/canary-numbers", status_code=204, guards=[only(Role.COMPLIANCE)])
async def add_canary(data: CanaryNumber, tx: Connection, actor: Actor, now: datetime) -> None:
    """Name a number that nobody has a reason to look at; whoever does is written down."""
    await looks.add_canary(tx, data.msisdn, actor=actor, now=now)


@get("/canary-touches", guards=[only(Role.COMPLIANCE)])
async def canary_touches(read: Connection) -> list[CanaryTouch]:
    """Show who looked at canary numbers, newest first."""
    return list(await looks.touches(read))


router = Router("/", route_handlers=[add_canary, canary_touches], tags=["subscribers"])
