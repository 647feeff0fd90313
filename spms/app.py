"""Puts the house together: the only place that knows all routers."""

import importlib
from typing import Any

from litestar import Litestar, Router
from litestar.datastructures import State
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.spec import License
from litestar.types import ASGIApp

from spms.core import reference, sandbox_clock
from spms.core.body import StrictRequest
from spms.core.clock import Clock, SystemClock
from spms.core.db import Pool
from spms.core.edge import Edge
from spms.core.http import DEPENDENCIES, EXCEPTION_HANDLERS, Authenticate
from spms.core.settings import Settings

ROOMS = (
    "core", "partners", "catalogue", "subscribers", "messaging", "subscriptions", "authorisation",
    "charging", "compensation", "inspections", "penalties",
)  # fmt: skip


def routers(*, sandbox: bool) -> list[Router]:
    found = [reference.router]
    if sandbox:
        found.append(sandbox_clock.router)
    for room in ROOMS:
        names = [f"spms.{room}.routes"] + ([f"spms.{room}.sandbox_routes"] if sandbox else [])
        for name in names:
            try:
                found.append(importlib.import_module(name).router)
            except ModuleNotFoundError:
                continue
    return found


def _litestar(state: dict[str, Any], *, sandbox: bool) -> Litestar:
    return Litestar(
        route_handlers=routers(sandbox=sandbox),
        dependencies=DEPENDENCIES,
        exception_handlers=EXCEPTION_HANDLERS,
        middleware=[Authenticate],
        state=State(state),
        openapi_config=OpenAPIConfig(
            title="SPMS",
            version="0.1.0",
            description="Keeps the companies that sell things by SMS honest.",
            license=License(name="Apache-2.0", identifier="Apache-2.0"),
            path="/-/framework",
            render_plugins=[],
        ),
        request_class=StrictRequest,
        request_max_body_size=None,
        logging_config=None,
    )


def create_app(pool: Pool, clock: Clock, settings: Settings) -> ASGIApp:
    """Build the application on an open pool; the sandbox's routes only where settings say so."""
    state = {"pool": pool, "clock": clock, "settings": settings}
    return Edge(_litestar(state, sandbox=settings.sandbox), body_limit=settings.body_limit_bytes)


def openapi_document() -> dict[str, Any]:
    """Return the document of the whole API, the sandbox's part included."""
    return reference.document(_litestar({"clock": SystemClock()}, sandbox=True))
