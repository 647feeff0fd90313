"""The application on a port, until it is killed. Arguments: database, port, the time, directory."""

import asyncio
import sys
from datetime import datetime

import uvicorn

from spms.app import create_app
from spms.charging import spooling
from spms.core import db
from spms.core.clock import FixedClock
from spms.core.settings import Settings

spooling.CHUNK_LINES = 40  # type: ignore[misc]  # a small file is many chunks then


async def main(url: str, port: str, at: str, directory: str) -> None:
    """Serve."""
    settings = Settings(data_dir=directory)
    pool = await db.open_pool(url, settings)
    app = create_app(pool, FixedClock(datetime.fromisoformat(at)), settings)
    await uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=int(port), log_level="error")
    ).serve()


asyncio.run(main(*sys.argv[1:]))
