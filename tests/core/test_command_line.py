"""Mistakes on the command line are one clear line, and change nothing."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from spms.cli.commands import app
from spms.cli.process import StartError


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
            "import sys, spms.cli\nprint(*sys.modules)\nimport spms.cli.up\nprint(*sys.modules)",
        ],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    of_help, of_up = (set(line.split()) for line in told.stdout.splitlines())
    assert {"typer", "spms.cli.commands"} <= of_help
    assert of_help & {"litestar", "aiohttp", "argon2", "reportlab", "uvicorn", "jobs"} == set()
    assert {"litestar", "spms.app", "jobs"} <= of_up
    assert of_up & {"reportlab", "xlsxwriter", "openpyxl"} == set()
