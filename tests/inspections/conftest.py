"""The other end of a call: SIPp, an independent implementation, and the sandbox's lines."""

import asyncio
import re
import shutil
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from spms.core import db
from spms.inspections import sandbox_lines
from spms.inspections.prober import SandboxProber, sandbox_prober
from spms.inspections.sip_messages import Ask
from tests.ports import free_port

SCENARIOS = Path(__file__).parent / "sipp"


def _sockets_of(pid: int) -> set[str]:
    """Return the inodes of a process's sockets; none when it is over."""
    found = set()
    with suppress(OSError):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                found |= set(re.findall(r"socket:\[(\d+)\]", str(descriptor.readlink())))
    return found


class Sipp:
    """Starts `sipp` for one call and says how it judged it."""

    def __init__(self, folder: Path) -> None:
        found = shutil.which("sipp")
        if found is None:
            pytest.fail("sipp is missing: install SIPp 3.6 (Debian: apt-get install sip-tester)")
        self._program = found
        self._folder = folder
        self._processes: list[Process] = []
        self.port = 0

    async def answer(self, scenario: str, *more: str) -> int:
        """Play the called side of a scenario for one call; return the port it listens on."""
        await self._start("-sf", str(SCENARIOS / f"{scenario}.xml"), *more)
        await self._until_bound()
        return self.port

    async def call(self, scenario: str, port: int, number: str) -> None:
        """Play the calling side of a scenario: one call to the number at the port."""
        where = ("-sf", str(SCENARIOS / f"{scenario}.xml"))
        await self._start(*where, "-s", number, f"127.0.0.1:{port}")
        await self.judged_right()

    async def judged_right(self) -> None:
        """Wait for the end and fail with what SIPp says unless the whole scenario was played."""
        process = self._processes[-1]
        said, _ = await asyncio.wait_for(process.communicate(), 75)
        errors = self._folder / "errors.log"
        why = errors.read_text(errors="replace") if errors.exists() else ""
        assert process.returncode == 0, (
            f"sipp ended with {process.returncode}: {why or said[-800:]!r}"
        )

    async def _start(self, *arguments: str) -> None:
        self.port = free_port()
        fixed = ("-i", "127.0.0.1", "-p", str(self.port), "-m", "1", "-nostdin", "-timeout", "60s")
        errors = ("-timeout_error", "-trace_err", "-error_file", str(self._folder / "errors.log"))
        self._processes.append(
            await asyncio.create_subprocess_exec(
                self._program,
                *arguments,
                *fixed,
                *errors,
                stdin=DEVNULL,
                stdout=PIPE,
                stderr=STDOUT,
                cwd=self._folder,
            )
        )

    async def _until_bound(self) -> None:
        """Wait until SIPp itself listens there: a call before that would be refused by the machine.

        A connection of others that is over, or has that number at its own end, is not meant.
        """
        process = self._processes[-1]
        for _ in range(3_000):
            if process.returncode is not None:
                break
            if self._listening() & _sockets_of(process.pid):
                return
            await asyncio.sleep(0.02)
        pytest.fail("sipp did not open its port; is the scenario good XML?")

    def _listening(self) -> set[str]:
        """Return the inodes of the sockets that listen at the port."""
        found = set()
        for kind, state in (("udp", "07"), ("tcp", "0A")):
            for line in Path(f"/proc/net/{kind}").read_text().splitlines()[1:]:
                columns = line.split()
                if columns[1].endswith(f":{self.port:04X}") and columns[3] == state:
                    found.add(columns[9])
        return found

    async def close(self) -> None:
        """Leave no process behind."""
        for process in self._processes:
            if process.returncode is None:
                process.kill()
                await process.wait()


@pytest.fixture
async def sipp(tmp_path: Path) -> AsyncIterator[Sipp]:
    """Return SIPp, ready to play one end of one call."""
    program = Sipp(tmp_path)
    yield program
    await program.close()


@pytest.fixture
async def prober(pool: db.Pool) -> AsyncIterator[SandboxProber]:
    """Start the sandbox's lines and return who calls them."""
    async with sandbox_prober(pool) as found:
        yield found


@pytest.fixture
def invites(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Return (Call-ID, number) of every call that reached the sandbox's lines, as it grows."""
    arrived: list[tuple[str, str]] = []
    plain = sandbox_lines._Switch._open

    def note(switch: sandbox_lines._Switch, ask: Ask, source: tuple[str, int]) -> None:
        arrived.append((ask.call_id, ask.number))
        plain(switch, ask, source)

    monkeypatch.setattr(sandbox_lines._Switch, "_open", note)
    return arrived
