"""What `spms up`, `spms serve` and `spms worker` keep running: HTTP; jobs, links and prober."""

import asyncio
import contextlib
import gc
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import uvicorn

from jobs import TIMETABLE
from jobs.runner import Worker
from jobs.timetable import House
from spms.app import create_app
from spms.cli.process import Base, StartError
from spms.core.unread import Unread
from spms.inspections.dialler import http_prober
from spms.inspections.prober import Prober, SipProber, sandbox_prober
from spms.messaging.links import Link, Links
from spms.messaging.sandbox import SandboxLink
from spms.messaging.smpp_link import LinkMisconfigured, SmppLink

GRACE_SECONDS = 10


class Server(uvicorn.Server):
    """Uvicorn without its own signal handling: the process has more to stop than HTTP."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to whoever runs the server."""
        yield


def settle_memory() -> None:
    """Let the collector pass over what was made for the start and stays, and come less often.

    A round makes some ten thousand things and lets them all go; to look for rings among them, and
    among the hundred thousand of the application, took longer than to decide.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@asynccontextmanager
async def serving(ground: Base, sock: socket.socket) -> AsyncIterator[Server]:
    """Serve HTTP on the socket until the block ends, then let requests under way finish."""
    app = create_app(ground.pool, ground.clock, ground.settings)
    config = uvicorn.Config(
        app, log_config=None, access_log=False, lifespan="off", server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE_SECONDS, h11_max_incomplete_event_size=65_536,
        http=Unread, ws_max_size=65_536,  # far above a frame of the stream, far below what would hurt
    )  # fmt: skip
    server = Server(config)
    task = asyncio.create_task(server.serve(sockets=[sock]), name="http")
    try:
        while not server.started and not task.done():  # noqa: ASYNC110 - uvicorn has no event
            await asyncio.sleep(0.01)
        settle_memory()
        yield server
    finally:
        server.should_exit = True
        await task


@asynccontextmanager
async def working(ground: Base) -> AsyncIterator[House]:
    """Run jobs, the SMS link and the prober until the block ends."""
    prober: Prober
    async with contextlib.AsyncExitStack() as stack:
        link = await _link(ground, stack)
        if ground.settings.dialler_url:
            prober = await stack.enter_async_context(http_prober(ground.settings))
        elif ground.settings.sip_host:
            prober = SipProber(ground.settings)
        else:
            prober = await stack.enter_async_context(sandbox_prober(ground.pool))
        house = House(
            pool=ground.pool, clock=ground.clock, settings=ground.settings, link=link,
            prober=prober,
        )  # fmt: skip
        worker = Worker(house, TIMETABLE)
        await worker.start()
        try:
            yield house
        finally:
            await worker.stop()


async def _link(ground: Base, stack: contextlib.AsyncExitStack) -> Link:
    """Start the SMPP links that are configured; without any, the sandbox's handset is the link."""
    if ground.settings.smpp_links:
        try:
            links = [
                SmppLink(each, ground.pool, ground.clock) for each in ground.settings.smpp_links
            ]
        except LinkMisconfigured as error:
            raise StartError(str(error)) from error
        return Links(*[await stack.enter_async_context(link.running()) for link in links])
    if not ground.settings.sandbox:
        raise StartError(
            "no SMS link is configured: set SPMS_SMPP_LINKS (docs/smpp.md), or SPMS_SANDBOX=true"
        )
    return SandboxLink(ground.pool, ground.clock)
