"""`spms up`, `spms serve`, `spms worker`: one process, one loop, stopped by one signal."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import uvicorn

from jobs import TIMETABLE
from jobs.runner import Worker
from jobs.timetable import House
from spms.app import create_app
from spms.cli import demonstration, logs
from spms.cli.process import Base, Say, StartError, base
from spms.core import sandbox_clock
from spms.core.clock import MovableClock
from spms.core.settings import Settings
from spms.inspections.dialler import http_prober
from spms.inspections.prober import Prober, SipProber, sandbox_prober
from spms.messaging.links import Link, Links
from spms.messaging.sandbox import SandboxLink
from spms.messaging.smpp_link import LinkMisconfigured, SmppLink

GRACE_SECONDS = 10
T = TypeVar("T")


class Server(uvicorn.Server):
    """Uvicorn without its own signal handling: the process has more to stop than HTTP."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to whoever runs the server."""
        yield


def listening_socket(settings: Settings) -> socket.socket:
    """Bind the port first, so that a taken one is said before anything else is started."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        sock.bind((settings.host, settings.port))
        sock.listen(1024)
    except OSError as error:
        sock.close()
        raise StartError(
            f"cannot listen on {settings.host}:{settings.port} ({error.strerror}); "
            "set SPMS_PORT to another port"
        ) from error
    return sock


@asynccontextmanager
async def serving(ground: Base, sock: socket.socket) -> AsyncIterator[Server]:
    """Serve HTTP on the socket until the block ends, then let requests under way finish."""
    app = create_app(ground.pool, ground.clock, ground.settings)
    config = uvicorn.Config(
        app, log_config=None, access_log=False, lifespan="off", server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS, h11_max_incomplete_event_size=65_536,
    )  # fmt: skip
    server = Server(config)
    task = asyncio.create_task(server.serve(sockets=[sock]), name="http")
    try:
        while not server.started and not task.done():  # noqa: ASYNC110 - uvicorn has no event
            await asyncio.sleep(0.01)
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


def _stop_event() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    return stop


async def run(settings: Settings, say: Say, *, http: bool, work: bool, demo: bool) -> None:
    """Bring the parts up, wait for Ctrl-C or SIGTERM, take all of it down again."""
    logs.set_up(settings.log_level)
    stop = _stop_event()
    sock = listening_socket(settings) if http else None
    async with contextlib.AsyncExitStack() as outer, contextlib.AsyncExitStack() as stack:
        ground = await _unless_stopped(stop, outer.enter_async_context(base(settings, say)))
        if ground is None:
            say("stopping")
            return
        tasks = []
        if ground.embedded is not None:
            tasks.append(asyncio.create_task(ground.embedded.watch(), name="postgres"))
        if isinstance(ground.clock, MovableClock):
            tasks.append(asyncio.create_task(sandbox_clock.follow(ground.pool, ground.clock)))
        try:
            if demo:
                await demonstration.prepare(ground)
            if sock is not None:
                await stack.enter_async_context(serving(ground, sock))
            if work:
                await stack.enter_async_context(working(ground))
            if demo and sock is not None:
                await _unless_stopped(stop, demonstration.show(ground, sock, say))
            else:
                say("running; Ctrl-C stops it")
            await stop.wait()
            say("stopping")
        finally:
            await stack.aclose()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _unless_stopped(stop: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """Do the work, but leave it (None) when the signal to stop comes first."""
    doing = asyncio.create_task(work)
    waiting = asyncio.create_task(stop.wait())
    await asyncio.wait({doing, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if not doing.done():
        doing.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        return await doing
    return None
