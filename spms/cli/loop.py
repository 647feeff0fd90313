"""The event loop that every command runs on: uvloop, as in production."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import typer

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end and return the result."""
    import uvloop  # noqa: PLC0415 - absent on Windows, where `--help` should still work

    # The runner cancels what is under way at Ctrl-C, but only instead of Python's own handler.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return _run(work, uvloop.new_event_loop)
    except KeyboardInterrupt:
        typer.echo("spms: interrupted", err=True)
        raise SystemExit(130) from None
    finally:
        signal.signal(signal.SIGINT, before)


def _run(work: Coroutine[Any, Any, T], factory: Callable[[], asyncio.AbstractEventLoop]) -> T:
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(work)
