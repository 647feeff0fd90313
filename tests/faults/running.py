"""A whole instance as a process of its own, started and stopped as a person would."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx

from tests.ports import free_port

START_SECONDS = 180


class Instance:
    """`spms up` on a port and a data directory of its own."""

    def __init__(self, directory: Path, *, command: str = "up", **environment: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.directory = directory
        self.log = directory / f"{self.port}.log"
        kept = {k: v for k, v in os.environ.items() if not k.startswith("SPMS_")}
        self.environment = kept | {
            "SPMS_PORT": str(self.port),
            "SPMS_DATA_DIR": str(directory / "data"),
            "SPMS_SANDBOX": "true",
            "SPMS_CITY_SUBSCRIBERS": "0",
            "COLUMNS": "160",
        } | environment  # fmt: skip
        self.command = [str(Path(sys.executable).parent / "spms"), command]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Instance":
        """Start and return at once."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, env=self.environment, stdout=log, stderr=subprocess.STDOUT,
                start_new_session=True, cwd=self.directory,
            )  # fmt: skip
        return self

    def wait_until_ready(self) -> "Instance":
        """Wait until it answers that it is ready."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            assert self.process is not None
            assert self.process.poll() is None, self.words()
            try:
                if httpx.get(f"{self.url}/health/ready", timeout=10).status_code == 200:
                    return self
            except httpx.HTTPError:
                pass
            time.sleep(0.05)
        raise AssertionError(f"not ready in time: {self.words()}")

    def wait_for_words(self, words: str) -> None:
        """Wait until it has printed something."""
        deadline = time.monotonic() + START_SECONDS
        while words not in self.words():
            assert time.monotonic() < deadline, self.words()
            time.sleep(0.05)

    def words(self) -> str:
        """Return what it has printed so far."""
        return self.log.read_text("utf-8", "replace") if self.log.exists() else ""

    def interrupt(self) -> int:
        """Press Ctrl-C and return the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(START_SECONDS)

    def kill(self) -> None:
        """Kill -9 the process."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(START_SECONDS)

    def postmaster(self) -> int:
        """Return the process id of its PostgreSQL."""
        pid_file = next((self.directory / "data").rglob("postmaster.pid"))
        return int(pid_file.read_text().split("\n", 1)[0])

    def secret(self, name: str) -> str:
        """Read a demo password from what was printed."""
        self.wait_for_words("running; Ctrl-C")
        line = next(line for line in self.words().splitlines() if f"login {name} " in line)
        return line.split("password ")[1].split()[0]

    def sign_in(self, name: str) -> dict[str, str]:
        """Sign in as a demo member of staff."""
        body = {"login": name, "password": self.secret(name)}
        answer = httpx.post(f"{self.url}/sign-in/staff", json=body, timeout=60)
        return {"Authorization": f"Bearer {answer.json()['access_token']}"}
