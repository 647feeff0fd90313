"""Puts the house together: the only place that knows all routers."""

from typing import Any

from litestar import Litestar, Router
from litestar.datastructures import State
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import License

from spms.authorisation import batches, reservation_routes
from spms.authorisation import routes as authorisation
from spms.authorisation.engine import Engine
from spms.authorisation.express import Express, Reserving
from spms.authorisation.stream import stream
from spms.catalogue import promotion_routes as promotions
from spms.catalogue import routes as catalogue
from spms.catalogue import template_routes
from spms.charging import bill_file_routes as bill_files
from spms.charging import bill_routes as bills
from spms.charging import evidence_routes as charging_evidence
from spms.charging import file_routes as charge_files
from spms.charging import routes as charging
from spms.charging import suspicion_routes as charge_suspicions
from spms.compensation import routes as compensation
from spms.core import evidence_routes, reference, sandbox_clock_routes
from spms.core import routes as core
from spms.core.authenticate import Authenticate
from spms.core.body import StrictRequest
from spms.core.clock import Clock, SystemClock
from spms.core.db import Pool
from spms.core.edge import Edge, Shortcut
from spms.core.errors import NotFound
from spms.core.http import DEPENDENCIES, EXCEPTION_HANDLERS
from spms.core.parameters import refuse_unknown
from spms.core.settings import Settings
from spms.core.signing import open_signer
from spms.core.turns import Turns
from spms.inspections import routes as inspections
from spms.inspections import sandbox_routes as inspections_sandbox
from spms.messaging import routes as messaging
from spms.messaging import sandbox_routes as messaging_sandbox
from spms.messaging import stray_routes
from spms.partners import bad_credit_routes, client_secret_routes, quota_routes
from spms.partners import routes as partners
from spms.partners import webhook_routes as webhooks
from spms.penalties import register_routes
from spms.penalties import routes as penalties
from spms.settlement import routes as settlement
from spms.subscribers import look_routes
from spms.subscribers import routes as subscribers
from spms.subscriptions import evidence_routes as subscriptions_evidence
from spms.subscriptions import leaving_routes
from spms.subscriptions import routes as subscriptions


def routers(*, sandbox: bool) -> list[Router]:
    """Return every room's router, and in the sandbox what only the sandbox serves."""
    rooms = [
        reference.router,
        core.router,
        evidence_routes.router,
        partners.router,
        client_secret_routes.router,
        bad_credit_routes.router,
        quota_routes.router,
        webhooks.router,
        catalogue.router,
        template_routes.router,
        promotions.router,
        subscribers.router,
        look_routes.router,
        messaging.router,
        stray_routes.router,
        subscriptions.router,
        leaving_routes.router,
        subscriptions_evidence.router,
        authorisation.router,
        reservation_routes.router,
        charging.router,
        charge_files.router,
        bills.router,
        bill_files.router,
        charge_suspicions.router,
        charging_evidence.router,
        compensation.router,
        inspections.router,
        penalties.router,
        register_routes.router,
        settlement.router,
    ]
    if sandbox:
        rooms += [
            sandbox_clock_routes.router, messaging_sandbox.router, inspections_sandbox.router,
        ]  # fmt: skip
    return rooms


def _closed(*_: object) -> None:
    """Keep the framework's own pages shut: ours are `/reference` and `/openapi.json`."""
    raise NotFound


def _litestar(state: dict[str, Any], *, sandbox: bool) -> Litestar:
    return Litestar(
        route_handlers=[*routers(sandbox=sandbox), stream],
        dependencies=DEPENDENCIES,
        exception_handlers=EXCEPTION_HANDLERS,
        middleware=[Authenticate],
        before_request=refuse_unknown,
        state=State(state),
        openapi_config=OpenAPIConfig(
            title="SPMS",
            version="0.1.0",
            description="Keeps the companies that sell things by SMS honest.",
            license=License(name="Apache-2.0", identifier="Apache-2.0"),
            openapi_router=Router(
                "/-/framework", route_handlers=[], guards=[_closed], include_in_schema=False
            ),
            render_plugins=[JsonRenderPlugin()],
        ),
        request_class=StrictRequest,
        request_max_body_size=None,
        logging_config=None,
    )


def create_app(pool: Pool, clock: Clock, settings: Settings) -> Edge:
    """Build the application on an open pool; the sandbox's routes only where settings say so."""
    signer = open_signer(settings)
    state = {"pool": pool, "clock": clock, "settings": settings, "signer": signer}
    return edge(_litestar(state, sandbox=settings.sandbox), settings)


def edge(litestar: Litestar, settings: Settings) -> Edge:
    """Put the edge around the application, with its shortcuts and what shares out its work."""
    pool, clock = litestar.state.pool, litestar.state.clock
    engine = litestar.state["engine"] = Engine(pool, clock)
    lane = litestar.state["lane"] = batches.Lane(pool, clock)
    litestar.state["turns"] = Turns(max(1, settings.pool_size // 2))
    shortcuts: dict[str, Shortcut] = {
        "/authorisations": Express(engine),
        "/reservations": Reserving(engine),
        "/authorisations/batch": batches.Express(lane),
    }
    return Edge(litestar, body_limit=settings.body_limit_bytes, shortcuts=shortcuts)


def openapi_document() -> dict[str, Any]:
    """Return the document of the whole API, the sandbox's part included."""
    return reference.document(_litestar({"clock": SystemClock()}, sandbox=True))
