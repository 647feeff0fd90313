"""The tests of this room run on the loop that a worker runs on: its transports are not asyncio's."""

import asyncio
from collections.abc import Callable, Mapping

import uvloop


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Make every loop a production loop."""
    return {"uvloop": uvloop.new_event_loop}
