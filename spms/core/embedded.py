"""A PostgreSQL of our own: made on first use, kept alive, stopped with the process.

The process that holds the directory's lock owns the server: it starts, watches and stops it. A
second process on the same directory adopts the running server and never stops it; when the owner
goes, it takes over. On Linux the server stops by itself when its owner dies, however it dies.
"""

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from time import monotonic

import asyncpg

from spms.core.embedded_binaries import (
    POLL_SECONDS,
    Account,
    Binaries,
    EmbeddedError,
    ended,
    find_binaries,
    shared_buffers_mb,
)
from spms.core.embedded_cluster import Cluster
from spms.core.roles import scram_verifier

__all__ = ["DATABASE", "OWNER", "Account", "Embedded", "EmbeddedError"]

OWNER = "spms_owner"
DATABASE = "spms"
HOST = "127.0.0.1"
WATCH_SECONDS = 0.25
RETRY_SECONDS = 2
CONNECT_SECONDS = 5
SETTLE_SECONDS = 0.2
"""An owner that was just killed holds its lock a moment longer; its server is not to be adopted."""
READY_SECONDS = 300
"""Recovery after a crash may take minutes; a server that lives is given that long."""
REMAINS_SECONDS = 15
"""After a kill -9 the old server's children and shared memory need a moment to go away."""
STOP_STEPS = ((signal.SIGINT, 30), (signal.SIGQUIT, 10), (signal.SIGKILL, 5))
REMAINS = ("pre-existing shared memory block", "lock file", "could not bind")
"""What a server says (terse, in English) when it may start a moment later."""

SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",  # a deep directory would pass the 107 bytes a path may have
    "password_encryption": "scram-sha-256",
    "shared_buffers": f"{shared_buffers_mb()}MB",
    "min_dynamic_shared_memory": "64MB",  # a container's /dev/shm is too small for parallel joins
    "effective_cache_size": "1GB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "max_wal_size": "4GB",
    "wal_compression": "off",  # pglz costs more than the disk
    "random_page_cost": "1.1",
    "jit": "off",
    "timezone": "UTC",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    # Query texts, parameters and the values in error messages hold personal data: only the
    # server's own words are logged, and those without detail.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_checkpoints": "off",
    "log_parameter_max_length_on_error": "0",
}

NOT_YET = (
    OSError,
    asyncpg.CannotConnectNowError,
    asyncpg.ConnectionDoesNotExistError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
)


class Embedded:
    """The supervisor of one embedded PostgreSQL in one directory."""

    def __init__(
        self,
        directory: Path,
        *,
        port: int = 0,
        account: Account | None = None,
        overrides: Mapping[str, str] | None = None,
    ) -> None:
        """Name the directory; `port` 0 takes a free one and remembers it.

        `account` forces how PostgreSQL runs as root; `overrides` are for throw-away servers.
        """
        self._settings = SETTINGS | dict(overrides or {})
        self._cluster = Cluster(directory)
        self._wanted_port = port
        self._account = account
        self._binaries: Binaries | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0
        self._wanted = False
        self._turn = asyncio.Lock()

    @property
    def owner_url(self) -> str:
        """URL of the database `spms` as its owner; it changes only if another took the port."""
        return self.url(DATABASE)

    def url(self, database: str) -> str:
        """URL of any database of this server as `spms_owner` (who may create databases)."""
        if not self._port:
            message = "the embedded PostgreSQL has not been started"
            raise EmbeddedError(message)
        return self._url(OWNER, database)

    def _url(self, role: str, database: str) -> str:
        password = self._cluster.password(role)
        return f"postgresql://{role}:{password}@{HOST}:{self._port}/{database}?sslmode=disable"

    @property
    def adopted(self) -> bool:
        """Whether the server belongs to another process (then `stop` leaves it running)."""
        return bool(self._port) and not self._cluster.locked

    @property
    def running(self) -> bool:
        """Whether the server's main process is alive."""
        if self._process is not None:
            return self._process.poll() is None
        return self.adopted and self._cluster.running() is not None

    async def start(self) -> None:
        """Return when the server accepts connections and role and database exist; idempotent.

        Call it on the thread that lives as long as the server should (normally the main one).
        Raises EmbeddedError; then nothing of ours is left running.
        """
        self._wanted = True
        try:
            await self._bring_up()
        except BaseException:
            self._wanted, self._port = False, 0
            raise

    async def watch(self, on_change: Callable[[str], object] | None = None) -> None:
        """Start the server again whenever it has gone, until `stop`; run it as a task.

        `on_change` is told in a sentence what happened, for the log.
        """
        tell = on_change or (lambda _sentence: None)
        while self._wanted:
            await asyncio.sleep(WATCH_SECONDS)
            if self._cluster.locked:
                with suppress(OSError):  # a full disk does not end the watch
                    self._cluster.bound_log()
            if self.running or not self._wanted:
                continue
            tell("PostgreSQL has gone; starting it again")
            try:
                await self._bring_up()
            except EmbeddedError as error:
                tell(str(error))
                await asyncio.sleep(RETRY_SECONDS)
            else:
                tell("PostgreSQL accepts connections again")

    async def stop(self) -> None:
        """Shut the server down (fast, then harder) and give the directory free; idempotent."""
        self._wanted = False
        async with self._turn:
            await self._halt()
            self._port = 0

    async def _halt(self) -> None:
        """End our server, if we have one, and let others own the directory."""
        if self._process is not None:
            for order, seconds in STOP_STEPS:
                self._process.send_signal(order)
                if await ended(self._process, seconds):
                    break
        self._process = None
        self._cluster.release_lock()

    async def _bring_up(self) -> None:
        """Start the server as its owner, or adopt the one that another process owns."""
        async with self._turn:
            if self.running:
                return
            try:
                self._cluster.make_directory()
                await self._start_or_adopt()
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                await self._halt()
                place = self._cluster.directory
                message = f"PostgreSQL in {place} failed: {error}; check rights and space there"
                raise EmbeddedError(message) from error
            except BaseException:
                await self._halt()
                raise

    async def _start_or_adopt(self) -> None:
        deadline = monotonic() + READY_SECONDS
        while not self._cluster.take_lock():
            if await self._adopt():
                return
            if not self._wanted or monotonic() > deadline:
                message = (
                    f"another process holds {self._cluster.directory}, but its PostgreSQL "
                    "does not answer; stop that process or choose another directory"
                )
                raise EmbeddedError(message)
            await asyncio.sleep(POLL_SECONDS)
        await self._start_server()

    async def _adopt(self) -> bool:
        """Use the server another process keeps on this directory, once it is ready."""
        server = self._cluster.running()
        if server is None or not server.ready or self._cluster.password(OWNER) is None:
            return False
        self._port = server.port
        try:
            connection = await asyncpg.connect(self.owner_url, timeout=CONNECT_SECONDS)
            await connection.close()
        except (*NOT_YET, asyncpg.InvalidPasswordError, asyncpg.InvalidCatalogNameError):
            return False  # its owner is still at its first start, or is stopping it
        await asyncio.sleep(SETTLE_SECONDS)
        return not self._cluster.take_lock()

    async def _start_server(self) -> None:
        """Start our server; try again while the remains of a killed one go away."""
        if self._binaries is None:
            self._binaries = await find_binaries(self._account)
        await self._cluster.initialise(self._binaries)
        patience = 5.0 if self._port else 1.0
        deadline = monotonic() + REMAINS_SECONDS
        while True:
            await self._cluster.clear_strays(REMAINS_SECONDS)
            self._port = await self._cluster.choose_port(
                self._wanted_port, last=self._port, patience_seconds=patience
            )
            since, log = self._cluster.open_log()
            try:
                self._process = self._launch(self._binaries, log)
            finally:
                os.close(log)
            if await self._accepts(self._process):
                return
            told = self._cluster.tail(since)
            gone = self._process.poll() is not None and any(sign in told for sign in REMAINS)
            if not self._wanted or not gone or monotonic() > deadline:
                message = f"PostgreSQL does not start in {self._cluster.data}; it says why itself"
                raise EmbeddedError(message, told)
            await asyncio.sleep(5 * POLL_SECONDS)

    def _launch(self, binaries: Binaries, log: int) -> subprocess.Popen[bytes]:
        settings = {**self._settings, "port": str(self._port), "cluster_name": self._cluster.name}
        arguments = [part for name in settings for part in ("-c", f"{name}={settings[name]}")]
        return binaries.launch("postgres", "-D", str(self._cluster.data), *arguments, output=log)

    async def _accepts(self, process: subprocess.Popen[bytes]) -> bool:
        """Wait until role and database can be used; False when the server ends or hangs."""
        deadline = monotonic() + READY_SECONDS
        while self._wanted and process.poll() is None and monotonic() < deadline:
            try:
                url = self._url("postgres", "postgres")
                superuser = await asyncpg.connect(url, timeout=CONNECT_SECONDS)
            except NOT_YET:
                await asyncio.sleep(POLL_SECONDS)
            except asyncpg.InvalidPasswordError as error:
                secret = f"{self._cluster.directory}/postgres.password"
                message = f"{secret} is not this cluster's; restore it from a backup"
                raise EmbeddedError(message) from error
            else:
                await self._make_owner(superuser)
                return True
        return False

    async def _make_owner(self, server: asyncpg.Connection) -> None:
        """Make the role and its database where they are missing; close the connection."""
        try:
            exists = await server.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", OWNER)
            password = self._cluster.password(OWNER)
            if not exists or password is None:
                password = password or self._cluster.make_password(OWNER)
                verb, secret = "ALTER" if exists else "CREATE", scram_verifier(password)
                await server.execute(
                    f"{verb} ROLE {OWNER} LOGIN CREATEDB CREATEROLE PASSWORD '{secret}'"
                )
            made = await server.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", DATABASE)
            if not made:
                await server.execute(
                    f"CREATE DATABASE {DATABASE} OWNER {OWNER} TEMPLATE template0 ENCODING 'UTF8'"
                )
        finally:
            await server.close()
