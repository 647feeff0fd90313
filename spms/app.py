"""Puts the house together: the only place that knows all routers."""

import importlib
from typing import Any

from litestar import Litestar, Router
from litestar.datastructures import State
from litestar.openapi.config import OpenAPIConfig
from litestar.types import ASGIApp

from spms.core.clock import Clock
from spms.core.db import Pool
from spms.core.edge import Edge
from spms.core.http import DEPENDENCIES, EXCEPTION_HANDLERS, Authenticate
from spms.core.settings import Settings

ROOMS = (
    "core", "partners", "catalogue", "subscribers", "messaging", "subscriptions", "authorisation",
    "charging", "compensation", "inspections", "penalties",
)  # fmt: skip


def routers() -> list[Router]:
    found = []
    for room in ROOMS:
        try:
            found.append(importlib.import_module(f"spms.{room}.routes").router)
        except ModuleNotFoundError:
            continue
    return found


def create_app(pool: Pool, clock: Clock, settings: Settings, **state: Any) -> ASGIApp:
    """Build the application on an open pool."""
    app = Litestar(
        route_handlers=routers(),
        dependencies=DEPENDENCIES,
        exception_handlers=EXCEPTION_HANDLERS,
        middleware=[Authenticate],
        state=State({"pool": pool, "clock": clock, "settings": settings, **state}),
        openapi_config=OpenAPIConfig(title="SPMS", version="0.1.0"),
        request_max_body_size=None,
        logging_config=None,
    )
    return Edge(app, body_limit=settings.body_limit_bytes)
