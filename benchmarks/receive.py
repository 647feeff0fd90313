"""Land one file in a process of its own and say how much memory that took.

Arguments: database, file, form, directory, SP, the time. Prints one line of JSON.
"""

import asyncio
import json
import resource
import sys
import time
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from uuid import UUID

from spms.charging import files
from spms.charging.file_model import FileFormat, Upload
from spms.charging.spooling import Manifest
from spms.core import db
from spms.core.clock import FixedClock
from spms.core.settings import Settings
from tests import make

PIECE = 65_536


STATUS = Path("/proc/self/status")


def peak_mb() -> float:
    """Return the most memory this process ever had, in MB (Linux counts in KiB).

    On Linux `getrusage` goes on from what the process held that started this one.
    """
    if STATUS.exists():
        (line,) = [one for one in STATUS.read_text().splitlines() if one.startswith("VmHWM:")]
        return int(line.split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)


async def main(*arguments: str) -> None:
    """Land the file."""
    url, path, form, directory, sp_id, at = arguments
    pool = await db.open_pool(url, Settings(data_dir=directory, command_timeout_seconds=120))

    async def stream() -> AsyncIterator[bytes]:
        with Path(path).open("rb") as file:  # noqa: ASYNC230 -- nothing else runs here
            while piece := file.read(PIECE):
                yield piece

    before, begun = peak_mb(), time.perf_counter()
    receipt, _ = await files.receive(
        stream(), upload=Upload(form=FileFormat(form)), manifest=Manifest(), pool=pool,
        clock=FixedClock(datetime.fromisoformat(at)), directory=Path(directory),
        limit_bytes=268_435_456, actor=make.sp_actor(UUID(sp_id)),
    )  # fmt: skip
    print(  # noqa: T201 -- what the parent reads
        json.dumps({
            "before_mb": before, "peak_mb": peak_mb(), "seconds": time.perf_counter() - begun,
            "state": receipt.state, "lines": receipt.lines, "landed": receipt.landed,
            "quarantined": receipt.quarantined, "duplicates": receipt.duplicates,
        })
    )  # fmt: skip
    await pool.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
