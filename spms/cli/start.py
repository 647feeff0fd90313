"""`spms up`, `spms serve`, `spms worker`: one process, one loop, stopped by one signal."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Coroutine
from typing import Any, TypeVar

from spms.cli.process import Base, Say, StartError, base
from spms.core import database_clock, db, sandbox_clock
from spms.core.clock import DatabaseClock, MovableClock
from spms.core.settings import Settings

T = TypeVar("T")


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


def _stop_event() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    return stop


async def run(settings: Settings, say: Say, *, http: bool, work: bool, demo: bool) -> None:
    """Bring the parts up, wait for Ctrl-C or SIGTERM, take all of it down again."""
    stop = _stop_event()
    sock = listening_socket(settings) if http else None
    rooms = asyncio.create_task(asyncio.to_thread(_import_rooms))
    async with contextlib.AsyncExitStack() as outer, contextlib.AsyncExitStack() as stack:
        ground = await _unless_stopped(
            stop, outer.enter_async_context(base(settings, say, found=True))
        )
        if ground is None:
            say("stopping")
            return
        await rooms
        from spms.cli import demonstration, logs, up  # noqa: PLC0415

        logs.set_up(settings.log_level)
        tasks = []
        if ground.embedded is not None:
            tasks.append(asyncio.create_task(ground.embedded.watch(), name="postgres"))
        under = ground.clock
        if isinstance(under, MovableClock):
            tasks.append(asyncio.create_task(sandbox_clock.follow(ground.pool, under)))
            under = under.under
        if isinstance(under, DatabaseClock):
            tasks.append(asyncio.create_task(database_clock.follow(ground.pool, under)))
        try:
            await _credentials(ground, say, demo=demo)
            if sock is not None:
                await stack.enter_async_context(up.serving(ground, sock))
            if work:
                await stack.enter_async_context(up.working(ground))
            if demo and settings.sandbox and sock is not None:
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


async def _credentials(ground: Base, say: Say, *, demo: bool) -> None:
    """Make the demonstration's credentials in the sandbox, and end them anywhere else."""
    from spms.cli import demonstration  # noqa: PLC0415

    try:
        if not ground.settings.sandbox:
            await demonstration.retire(ground, say)
        elif demo:
            await demonstration.prepare(ground)
            await demonstration.begin_in_the_past(ground)
    except db.ANY_TROUBLE as error:
        why = f"the database went away during the start ({type(error).__name__})"
        raise StartError(f"{why}; start again") from error


def _import_rooms() -> None:
    """Import what is a second's work while the database, another process, does its own."""
    from spms.cli import demonstration, logs, up  # noqa: F401, PLC0415


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
