"""A database that is away is told once when it goes and once when it is back, not by every job."""

import asyncpg
import structlog

from spms.core.errors import Unavailable

AWAY: tuple[type[Exception], ...] = (
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    ConnectionError,
    TimeoutError,
    OSError,
    Unavailable,
)
"""What says that the database cannot be reached; a lock or a cancelled statement is a job's own."""

log = structlog.get_logger()


class Outage:
    """What one worker knows of whether the database is there."""

    def __init__(self) -> None:
        """Take it to be there until somebody fails."""
        self.away = False

    def explains(self, error: Exception) -> bool:
        """Say whether an error is that the database is away; the first one is logged."""
        if isinstance(error, ExceptionGroup):
            found, others = error.split(AWAY)
            known = found is not None and others is None
        else:
            known = isinstance(error, AWAY)
        if known and not self.away:
            self.away = True
            log.warning("database_away", kind=type(error).__name__)
        return known

    def over(self) -> None:
        """Note that somebody reached the database."""
        if self.away:
            self.away = False
            log.warning("database_back")
