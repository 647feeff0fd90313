"""What runs on this machine: a server that lost its owner, or sessions that lost their server."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path


def command_line(pid: int) -> str:
    """Return the command of a living process, blank for none (or for a zombie)."""
    if sys.platform == "linux":
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        except (OSError, UnicodeDecodeError):
            return ""
    return _ps("-p", str(pid), "-o", "command=").strip() + " "


def commands() -> Iterator[tuple[int, str]]:
    """Give number and command of every process we may see."""
    if sys.platform == "linux":
        numbers = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
        yield from ((number, command_line(number)) for number in numbers)
    else:
        for line in _ps("-ax", "-o", "pid=,command=").splitlines():
            number, _, command = line.strip().partition(" ")
            yield int(number), command.strip()


def _ps(*arguments: str) -> str:
    asked = subprocess.run(["/bin/ps", *arguments], capture_output=True, text=True, check=False)
    return asked.stdout


def exists(pid: int) -> bool:
    """Tell whether a process has this number, whoever it belongs to, zombie or not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def signal_if_there(pid: int, order: int) -> None:
    """Send a signal to a process that may just have ended."""
    try:
        os.kill(pid, order)
    except ProcessLookupError:
        return


def is_free(port: int) -> bool:
    """Tell whether a server can listen on this port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
