"""Mistakes on the command line are one clear line, and change nothing."""

import asyncio
import json
import os
import signal
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from spms.cli.commands import app
from spms.cli.loop import run
from spms.cli.process import StartError
from spms.core.settings import unknown_names


@pytest.mark.parametrize(
    ("command", "typed", "words"),
    [
        (["staff", "BAD NAME", "--role", "admin"], "long enough, surely\n", "a login is"),
        (["staff", "lin", "--role", "admin"], "short\n", "at least 12 characters"),
        (["staff", "lin", "--role", "sp"], "long enough, surely\n", "staff are"),
        (["ingest", "FILE", "--url", "nonsense"], "", "cannot reach nonsense"),
        (["ingest", "FILE", "--url", "http://127.0.0.1:1"], "", "cannot reach"),
    ],
)
def test_a_mistake_is_said_before_anything_is_done(tmp_path, monkeypatch, command, typed, words):
    monkeypatch.setenv("SPMS_DATA_DIR", str(tmp_path / "data"))
    file = tmp_path / "charges.csv"
    file.write_text("record_id\n", "utf-8")
    told = CliRunner().invoke(app, [str(file) if p == "FILE" else p for p in command], input=typed)
    assert isinstance(told.exception, StartError)
    assert words in str(told.exception)
    assert not (tmp_path / "data").exists()


def test_a_start_imports_only_what_it_needs():
    """`spms --help` waits for no web framework, and no process for what prints and draws."""
    told = subprocess.run(
        [
            sys.executable, "-c",
            "import sys, spms.cli.commands\nprint(*sys.modules)\nimport spms.cli.up\nprint(*sys.modules)",
        ],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    of_help, of_up = (set(line.split()) for line in told.stdout.splitlines())
    assert {"typer", "spms.cli.commands"} <= of_help
    assert of_help & {"litestar", "aiohttp", "argon2", "reportlab", "uvicorn", "jobs"} == set()
    assert {"litestar", "spms.app", "jobs"} <= of_up
    assert of_up & {"reportlab", "xlsxwriter", "openpyxl"} == set()


@pytest.mark.parametrize(
    "command",
    [["jobs"], ["explain", "0197f3c2-5b1e-7c40-9d6a-2f1f6f0c7a11"], ["invariants"],
     ["staff", "lin", "--role", "admin"]],
)  # fmt: skip
def test_a_mistyped_data_directory_is_not_founded(tmp_path, monkeypatch, command):
    """What looks at an SPMS makes none; the line names where it looked."""
    monkeypatch.delenv("SPMS_DATABASE_URL", raising=False)
    monkeypatch.setenv("SPMS_DATA_DIR", str(tmp_path / "typo"))
    told = CliRunner().invoke(app, command, input="long enough, surely\n")
    assert isinstance(told.exception, StartError)
    assert str(tmp_path / "typo") in str(told.exception)
    assert not (tmp_path / "typo").exists()


def test_doctor_says_that_there_is_nothing_and_makes_nothing(tmp_path, monkeypatch):
    monkeypatch.delenv("SPMS_DATABASE_URL", raising=False)
    monkeypatch.setenv("SPMS_DATA_DIR", str(tmp_path / "typo"))
    told = CliRunner().invoke(app, ["doctor", "--json", str(tmp_path / "found.json")])
    assert told.exit_code == 1
    found = {f["what"]: f for f in json.loads((tmp_path / "found.json").read_bytes())}
    assert not found["database"]["fine"]
    assert str(tmp_path / "typo") in found["database"]["words"]
    assert not found["data directory"]["fine"]
    assert not (tmp_path / "typo").exists()


def test_a_name_in_the_environment_that_means_nothing_is_said():
    environ = {"SPMS_PORTS": "1", "SPMS_DATA_DIRECTORY": "x", "SPMS_CONFIG": "x",
               "SPMS_PORT": "1", "PATH": "", "SPMS_QQQQQQQQ": "x"}  # fmt: skip
    assert unknown_names(environ) == [
        ("SPMS_DATA_DIRECTORY", "SPMS_DATA_DIR"), ("SPMS_PORTS", "SPMS_PORT"),
        ("SPMS_QQQQQQQQ", None),
    ]  # fmt: skip


INTERRUPTED = """
import importlib.abc, os, signal, sys

WHEN, sys.argv = sys.argv[1], ["spms", "jobs"]

class CtrlC(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == WHEN:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, CtrlC())
from spms.cli import main
main()
"""


@pytest.mark.parametrize("when", ["spms.cli.commands", "asyncpg", "jobs"])
def test_ctrl_c_before_anything_runs_is_one_line(tmp_path, when):
    """While modules are imported nobody else catches it."""
    environ = os.environ | {"SPMS_DATA_DIR": str(tmp_path)}
    told = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, when],
        env=environ, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (told.returncode, told.stderr) == (130, "spms: interrupted\n")


def test_ctrl_c_while_a_command_works_is_one_line(capsys):
    async def work() -> None:
        signal.raise_signal(signal.SIGINT)
        await asyncio.sleep(60)

    with pytest.raises(SystemExit) as ended:
        run(work())
    assert ended.value.code == 130
    assert capsys.readouterr().err == "spms: interrupted\n"
