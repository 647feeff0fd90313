"""Puts the house together: the only place that knows all routers."""

from typing import Any

from litestar import Litestar, Router
from litestar.datastructures import State
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.spec import License
from litestar.types import ASGIApp

from spms.authorisation import routes as authorisation
from spms.catalogue import routes as catalogue
from spms.charging import routes as charging
from spms.compensation import routes as compensation
from spms.core import reference, sandbox_clock
from spms.core import routes as core
from spms.core.body import StrictRequest
from spms.core.clock import Clock, SystemClock
from spms.core.db import Pool
from spms.core.edge import Edge
from spms.core.http import DEPENDENCIES, EXCEPTION_HANDLERS, Authenticate
from spms.core.settings import Settings
from spms.inspections import routes as inspections
from spms.inspections import sandbox_routes as inspections_sandbox
from spms.messaging import routes as messaging
from spms.messaging import sandbox_routes as messaging_sandbox
from spms.partners import routes as partners
from spms.penalties import routes as penalties
from spms.subscribers import routes as subscribers
from spms.subscriptions import leaving_routes
from spms.subscriptions import routes as subscriptions


def routers(*, sandbox: bool) -> list[Router]:
    """Return every room's router, and in the sandbox what only the sandbox serves."""
    rooms = [
        reference.router, core.router, partners.router, catalogue.router, subscribers.router,
        messaging.router, subscriptions.router, authorisation.router, charging.router,
        compensation.router, inspections.router, penalties.router, leaving_routes.router,
    ]  # fmt: skip
    if sandbox:
        rooms += [sandbox_clock.router, messaging_sandbox.router, inspections_sandbox.router]
    return rooms


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
