"""The sandbox's hotlines over HTTP. Only a sandbox mounts this router."""

from datetime import datetime

from litestar import Router, post

from spms.core.access import Actor, Role, only
from spms.core.db import Connection
from spms.inspections import actions
from spms.inspections.model import LineIn


@post("/sandbox/lines", status_code=200, guards=[only(Role.ADMIN)])
async def put_line(data: LineIn, tx: Connection, actor: Actor, now: datetime) -> LineIn:
    """Set how a hotline of the sandbox behaves from its next call on; those never set answer."""
    await actions.put_line(tx, data, actor=actor, now=now)
    return data


router = Router("/", route_handlers=[put_line], tags=["sandbox"])
