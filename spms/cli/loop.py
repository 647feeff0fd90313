"""The event loop that every command runs on: uvloop, as in production."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end and return the result."""
    import uvloop  # noqa: PLC0415 - absent on Windows, where `--help` should still work

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)
