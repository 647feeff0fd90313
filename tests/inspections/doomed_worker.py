"""A worker that places calls until it is killed: a process of its own, started by a test.

It prints a line whenever no call is due any more.

Arguments: the application's database URL, the port of the lines, the instant it lives in.
"""

import asyncio
import sys
from datetime import datetime
from typing import Any, cast

from spms.core import db
from spms.core.clock import FixedClock
from spms.core.settings import Settings
from spms.inspections.calling import pump_calls
from spms.inspections.prober import SandboxProber
from spms.inspections.sandbox_lines import SandboxLines


class _FarLines:
    """Lines that another process plays."""

    def __init__(self, port: int) -> None:
        self.port = port

    def set(self, number: str, behaviour: Any) -> None:
        """Leave them as that process has set them."""


async def main(url: str, port: int, at: datetime) -> None:
    pool = await db.open_pool(url, Settings())
    prober = SandboxProber(pool, cast("SandboxLines", _FarLines(port)))
    while True:
        await pump_calls(pool, prober, FixedClock(at))
        print("none is due", flush=True)  # noqa: T201 - to the test
        await asyncio.sleep(0.05)


asyncio.run(main(sys.argv[1], int(sys.argv[2]), datetime.fromisoformat(sys.argv[3])))
