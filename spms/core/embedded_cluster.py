"""The files of one embedded PostgreSQL: the cluster, its passwords, port, lock and log.

directory/
    lock                    held (flock) by the process whose child the server is
    data/                   the cluster; there only when initdb has finished
    postgres.password       superuser, mode 0600
    spms_owner.password     owner of the database, mode 0600
    port                    where the server listened last
    server.log, .1          what the server said, bounded
"""

import asyncio
import fcntl
import hashlib
import os
import secrets
import shutil
import signal
import tempfile
from pathlib import Path

import msgspec

from spms.core.embedded_binaries import MAJOR_VERSION, Account, Binaries, EmbeddedError
from spms.core.embedded_processes import (
    command_line,
    commands,
    exists,
    is_free,
    signal_if_there,
)

LOCALE = ("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
INITDB_SECONDS = 120
PID_FILE_LINES = ("pid", "data", "start", "port", "socket", "address", "memory", "status")
LOG_BYTES_MAX = 4_194_304
LOG_BYTES_KEPT = 1_048_576
PORTS = range(20_000, 32_768)
"""Below the range from which clients get theirs: none of them can take the server's port."""


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """A server that is alive on this directory."""

    pid: int
    port: int
    ready: bool


class Cluster:
    """What one embedded PostgreSQL keeps in its directory."""

    def __init__(self, directory: Path) -> None:
        """Name the directory; nothing is made yet."""
        self.directory = directory.expanduser().resolve()
        self.data = self.directory / "data"
        self._log = self.directory / "server.log"
        self._lock: int | None = None

    def make_directory(self) -> None:
        """Make the directory, closed to others."""
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            message = f"cannot make {self.directory} ({error.strerror}); choose another directory"
            raise EmbeddedError(message) from error

    def take_lock(self) -> bool:
        """Become the one that may start a server here; False while another one is."""
        if self.locked:
            return True
        try:
            lock = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            message = f"cannot write in {self.directory} ({error.strerror}); check who owns it"
            raise EmbeddedError(message) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return False
        self._lock = lock
        return True

    @property
    def locked(self) -> bool:
        """Whether we hold the lock."""
        return self._lock is not None

    def release_lock(self) -> None:
        """Let another process start a server here."""
        if self._lock is not None:
            os.close(self._lock)
        self._lock = None

    def password(self, role: str) -> str | None:
        """Read a role's password; None when none was ever made."""
        try:
            return (self.directory / f"{role}.password").read_text().strip() or None
        except FileNotFoundError:
            return None

    def make_password(self, role: str) -> str:
        """Make and keep a random password."""
        password = secrets.token_hex(24)
        self._write(f"{role}.password", password)
        return password

    def _write(self, name: str, text: str) -> None:
        """Put a small file in place whole, readable by its owner only."""
        descriptor, temporary = tempfile.mkstemp(prefix=f"{name}.new-", dir=self.directory)
        with os.fdopen(descriptor, "w") as file:
            file.write(f"{text}\n")
            file.flush()
            os.fsync(descriptor)
        Path(temporary).replace(self.directory / name)

    async def initialise(self, binaries: Binaries) -> None:
        """Make the cluster unless it is there, and give it to the account that runs PostgreSQL.

        initdb works next to the final place and is moved there when it has finished and synced,
        so half a cluster is never taken for a whole one.
        """
        if self.data.exists():
            self._check(binaries.account)
            return
        for leftover in self.directory.glob("data.new-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        place = Path(tempfile.mkdtemp(prefix="data.new-", dir=self.directory))
        secret = place / "password"
        secret.touch(mode=0o600)
        secret.write_text(self.password("postgres") or self.make_password("postgres"))
        give(place, binaries.account.uid)
        arguments = ("-A", "scram-sha-256", "-U", "postgres", f"--pwfile={secret}", *LOCALE)
        since, log = self.open_log()
        try:
            code = await binaries.run(
                *("initdb", "-D", str(place / "data"), "--no-instructions", *arguments),
                output=log,
                seconds=INITDB_SECONDS,
            )
            if code != 0:
                message = f"initdb could not make {self.data}; check space and rights there"
                raise EmbeddedError(message, self.tail(since))
            (place / "data").rename(self.data)
            sync_directory(self.directory)
        finally:
            os.close(log)
            shutil.rmtree(place, ignore_errors=True)

    def _check(self, account: Account) -> None:
        """Refuse a cluster that this version, this user or these passwords cannot open."""
        version = (self.data / "PG_VERSION").read_text().strip()
        if version != MAJOR_VERSION:
            message = (
                f"{self.data} was made by PostgreSQL {version}, this is {MAJOR_VERSION}; dump it "
                "with the old version and restore it here, or choose another directory"
            )
            raise EmbeddedError(message)
        if self.password("postgres") is None:
            message = f"{self.directory}/postgres.password is missing; restore it from a backup"
            raise EmbeddedError(message)
        owner = self.data.stat().st_uid
        if owner != account.uid:
            if account is Account.SAME:
                message = f"{self.data} belongs to user {owner}; start SPMS as that user"
                raise EmbeddedError(message)
            give(self.data, account.uid)

    def running(self) -> Running | None:
        """Find the server that is alive on this directory, ours or another process's."""
        said = self._pid_file()
        if "port" not in said or f" -D {self.data} " not in command_line(int(said["pid"])):
            return None
        ready = said.get("status", "").strip() == "ready"
        return Running(pid=int(said["pid"]), port=int(said["port"]), ready=ready)

    def _pid_file(self) -> dict[str, str]:
        """Read PostgreSQL's process file, as far as it has been written."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return {}
        return dict(zip(PID_FILE_LINES, lines, strict=False))

    @property
    def name(self) -> str:
        """Name in the titles of the server's processes: which of them are this cluster's."""
        place = self.data.stat()
        mark = f"{self.data}:{place.st_dev}:{place.st_ino}"
        return f"spms-{hashlib.sha256(mark.encode()).hexdigest()[:12]}"

    async def clear_strays(self, seconds: float) -> None:
        """End what a dead owner or a dead server left behind; call with the lock held.

        A server is asked to stop fast, then at once. A session without a server does not notice
        while it computes a long statement, and would keep the next server from starting.
        A process file that is torn, or whose number now belongs to some other program or to a
        zombie that nobody reaps, would do so for ever: it is removed (PostgreSQL still looks for
        living remains itself, in shared memory).
        """
        steps = max(1, round(seconds / 2 / 0.05))
        for order in (signal.SIGINT, signal.SIGQUIT):
            for step in range(steps):
                stray = self.running()
                if stray is None:
                    break
                if step == 0:
                    signal_if_there(stray.pid, order)
                await asyncio.sleep(0.05)
        if self.running() is not None:
            message = f"a PostgreSQL left behind in {self.data} does not stop; end it by hand"
            raise EmbeddedError(message)
        title = f"postgres: {self.name}: "
        for pid, command in commands():
            if command.startswith(title):
                signal_if_there(pid, signal.SIGKILL)
        number = self._pid_file().get("pid", "")
        if not number.isdigit() or exists(int(number)):
            (self.data / "postmaster.pid").unlink(missing_ok=True)

    async def choose_port(self, wanted: int, *, last: int, patience_seconds: float) -> int:
        """Choose the port: the wanted, the last, the remembered or a new one; remember it.

        Clients know the one used before, so it is given some time to become free.
        """
        remembered = self.directory / "port"
        known = wanted or last or (int(remembered.read_text()) if remembered.exists() else 0)
        for _ in range(round(patience_seconds / 0.1) if known else 0):
            if is_free(known):
                return known
            await asyncio.sleep(0.1)
        if wanted:
            message = f"port {wanted} on 127.0.0.1 is taken by another program; choose another"
            raise EmbeddedError(message)
        for _ in range(200):
            port = secrets.choice(PORTS)
            if is_free(port):
                self._write("port", str(port))
                return port
        message = f"no free port from {PORTS.start} to {PORTS.stop} on 127.0.0.1"
        raise EmbeddedError(message)

    def open_log(self) -> tuple[int, int]:
        """Open the log; give its present length and a descriptor to append to it."""
        self.bound_log()
        log = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        return os.fstat(log).st_size, log

    def bound_log(self) -> None:
        """Keep the log small: past its bound the last part moves to `server.log.1`."""
        if not self._log.exists() or self._log.stat().st_size <= LOG_BYTES_MAX:
            return
        with self._log.open("rb") as log:
            log.seek(-LOG_BYTES_KEPT, os.SEEK_END)
            self._write("server.log.1", log.read().decode(errors="replace"))
        os.truncate(self._log, 0)

    def tail(self, since: int = 0) -> str:
        """Return the last lines the server wrote after position `since`."""
        with self._log.open("rb") as log:
            log.seek(since)
            lines = log.read().decode(errors="replace").splitlines()
        return "\n".join([f"last lines of {self._log}:", *lines[-15:]])


def give(path: Path, uid: int) -> None:
    """Change the owner of a tree, its top last: where the top is right, all of it is."""
    if path.stat().st_uid == uid:
        return
    for entry in [*path.rglob("*"), path]:
        os.chown(entry, uid, -1, follow_symlinks=False)


def sync_directory(path: Path) -> None:
    """Make a rename inside the directory survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
