"""`spms simulate` on the command line."""

from pathlib import Path

import msgspec
import typer
from typer.testing import CliRunner

from spms.cli.simulate import simulate

app = typer.Typer()
app.command()(simulate)


def test_without_play_the_city_is_written_as_files(tmp_path: Path) -> None:
    out = tmp_path / "city"
    result = CliRunner().invoke(app, ["--subscribers", "20", "--days", "2", "--out", str(out)])

    assert result.exit_code == 0, result.output
    events = [msgspec.json.decode(x) for x in (out / "events.ndjson").read_bytes().splitlines()]
    assert events[0]["at"].startswith("2026-03-02T08:10:00")
    assert {"order", "yes"} <= {event["kind"] for event in events}
    assert len(list((out / "charges").glob("*.csv"))) == 4


def test_a_file_without_the_credentials_is_refused_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "access.json"
    file.write_text('{"staff": {}}')
    result = CliRunner().invoke(
        app, ["--play", "http://127.0.0.1:9", "--access", str(file)]
    )  # fmt: skip

    assert result.exit_code == 1
    assert "does not hold the credentials" in result.output
    assert "Traceback" not in result.output
