"""Where a city's month is kept between preparing and playing it, and what its server works."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from spms.core.embedded import Embedded

DATABASE = "spms_city"
MEMORY_MB = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20
ROOM = {
    "shared_buffers": f"{MEMORY_MB * 6 // 10}MB",
    "effective_cache_size": f"{MEMORY_MB * 8 // 10}MB",
    "max_wal_size": "14GB",
    "checkpoint_timeout": "15min",
}
"""What a server for a month of this size is given; nothing that makes it less durable.

The month is larger than the memory and is read all over: what the system keeps is kept twice, and
copied, and a page is written whole into the log once between two checkpoints.
"""
PARENT, USER, REAPED = 1, 11, 15
"""Places in /proc/PID/stat after the name: parent; user time up to that of children that ended."""


@asynccontextmanager
async def kept_server(place: Path, *, fresh: bool) -> AsyncIterator[tuple[str, str]]:
    """Give the URLs of the server and of the month's database; `fresh` makes an empty one.

    The server is that of `SPMS_TEST_DATABASE_URL`, or an embedded one that lies in the directory.
    """
    given = os.environ.get("SPMS_TEST_DATABASE_URL")
    server = None if given else Embedded(place / "postgres", overrides=ROOM)
    if server is not None:
        await server.start()
    try:
        admin_url = given or (server.owner_url if server is not None else "")
        if fresh:
            shutil.rmtree(place / "city", ignore_errors=True)
            admin = await asyncpg.connect(admin_url)
            await admin.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
            await admin.execute(f"CREATE DATABASE {DATABASE}")
            await admin.close()
        yield admin_url, urlunsplit(urlsplit(admin_url)._replace(path=f"/{DATABASE}"))
    finally:
        if server is not None:
            await server.stop()


def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def processor_seconds(backend_pid: int | None) -> float:
    """Return the processor time of all processes of the server a backend belongs to; 0 unknown.

    With it that of whatever else the server does: its checkpoints, its vacuum, other databases.
    """
    if backend_pid is None:
        return 0.0
    try:
        parent = _stat(backend_pid)[PARENT]
        ticks = sum(map(int, _stat(int(parent))[USER:REAPED]))
        for process in Path("/proc").iterdir():
            if process.name.isdigit():
                with suppress(OSError):
                    told = _stat(int(process.name))
                    if told[PARENT] == parent:
                        ticks += sum(map(int, told[USER : USER + 2]))
    except OSError:  # another machine's server, or another system
        return 0.0
    return float(ticks) / os.sysconf("SC_CLK_TCK")
