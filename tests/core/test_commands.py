"""The commands of the people who run SPMS, tried on one server that is running."""

import asyncio
import gzip
import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest
from typer.testing import CliRunner

from jobs import TIMETABLE
from spms.cli.commands import app
from spms.cli.tools import DURABLE
from spms.core import roles
from spms.core.settings import Settings
from tests.api_world import PASSWORD, LittleWorld, Served, served
from tests.conftest import clone, drop
from tests.good_calls import CSV, decision, record

Command = Callable[..., Any]


@pytest.fixture(scope="module")
def owner_url_of_all(server_url: str, template: str) -> Iterator[str]:
    url = asyncio.run(clone(server_url, template))
    yield url
    asyncio.run(drop(server_url, urlsplit(url).path[1:]))


@pytest.fixture(scope="module")
def house(owner_url_of_all: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    settings = Settings(data_dir=str(tmp_path_factory.mktemp("data")), port=0, sandbox=True)
    with served(roles.app_url(owner_url_of_all), settings) as house:
        yield house


@pytest.fixture(scope="module")
def world(house: Served) -> Iterator[LittleWorld]:
    world = LittleWorld(house)
    yield world
    world.close()


@pytest.fixture
def spms(
    owner_url_of_all: str, world: LittleWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Command:
    """Return a function that types a command in the server's environment."""
    monkeypatch.setenv("SPMS_DATABASE_URL", owner_url_of_all)
    monkeypatch.setenv("SPMS_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("SPMS_SANDBOX", "true")
    monkeypatch.setenv("SPMS_CLIENT_ID", str(world.names["credential_id"]))
    monkeypatch.setenv("SPMS_CLIENT_SECRET", PASSWORD)
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])


def test_doctor_finds_a_running_house_in_order(spms, tmp_path):
    told = spms("doctor", "--json", tmp_path / "found.json")
    found = {f["what"]: f for f in json.loads((tmp_path / "found.json").read_bytes())}
    wrong = {what for what, finding in found.items() if not finding["fine"]}
    assert wrong <= set(DURABLE)  # a server for tests may be a quick one
    assert told.exit_code == bool(wrong), told.output
    assert set(found) >= {"settings", "PostgreSQL", "schema", "application role", "clock"}
    assert found["application role"]["words"].startswith("spms_app_")
    assert found["schema"]["words"] == "up to date"
    assert "`summary.link`" in found["monthly bill by SMS"]["words"]
    assert list(tmp_path.iterdir()) == [tmp_path / "found.json"]


def test_doctor_says_what_is_wrong(spms, tmp_path, monkeypatch):
    monkeypatch.setenv("SPMS_DATABASE_URL", "postgresql://nobody:hidden@127.0.0.1:1/nowhere")
    told = spms("doctor", "--json", tmp_path / "found.json")
    assert told.exit_code == 1
    found = {f["what"]: f for f in json.loads((tmp_path / "found.json").read_bytes())}
    assert "cannot reach the database" in found["database"]["words"]
    assert "hidden" not in told.output


def test_jobs_lists_the_whole_timetable(spms, monkeypatch):
    monkeypatch.setattr("rich.console.Console.width", 200)
    told = spms("jobs")
    assert told.exit_code == 0, told.output
    assert [job.name for job in TIMETABLE if job.name not in told.output] == []


def test_explain_tells_each_check_and_that_the_replay_agrees(spms, world, tmp_path):
    told = spms("explain", decision(world), "--json", tmp_path / "told.json")
    assert told.exit_code == 0, told.output
    assert "agrees" in told.output
    whole = json.loads((tmp_path / "told.json").read_bytes())
    assert whole["agrees"] is True
    assert len(whole["checks"]) > 3
    assert world.names["msisdn"] not in told.output


def test_explain_of_a_decision_that_nobody_asked_for_reads_the_number_from_its_input(
    spms, world, tmp_path
):
    names = world.names
    words = ["explain", "--sp", names["sp_code"], "--service", names["service_code"],
             "--price", "800", "--lang", "zh", "--json", str(tmp_path / "told.json")]  # fmt: skip
    told = CliRunner().invoke(app, words, input=names["msisdn"] + "\n")
    assert told.exit_code == 0, told.output
    assert names["msisdn"] not in told.output
    whole = json.loads((tmp_path / "told.json").read_bytes())
    assert len(whole["checks"]) > 20
    assert all(check["sentence"].endswith("。") for check in whole["checks"])
    for wrong in (["--at", "yesterday"], ["--sp", "0"], ["--at", "1999-01-01T00:00:00Z"]):
        told = CliRunner().invoke(app, [*words, *wrong], input=names["msisdn"] + "\n")
        assert told.exit_code != 0
        assert names["msisdn"] not in told.output
    assert spms("explain").exit_code != 0


def test_explain_of_no_decision_is_one_line(spms):
    told = spms("explain", uuid4())
    assert str(told.exception) == "there is no decision with that id"


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
def test_ingest_delivers_a_file_and_harms_nothing_when_sent_again(
    spms, world, house, tmp_path, suffix
):
    rows = [",".join(str(v) for v in (record(world) | {"delivery": "none"}).values())] * 2
    text = (CSV + "\n".join([*rows, "x,x,x,x,x,x", ""])).encode()
    file = tmp_path / f"charges{suffix}"
    file.write_bytes(gzip.compress(text) if suffix.endswith("gz") else text)
    for _ in range(2):
        told = spms("ingest", file, "--url", house.url)
        assert told.exit_code == 0, (told.output, told.exception)
        (row,) = [line for line in told.output.splitlines() if line.startswith("│")]
        numbers = [part for part in row.split() if part.isdigit()]
        assert numbers == ["3", "1", "1", "1"], told.output  # lines, landed, quarantined, again


def test_ingest_warns_of_a_file_without_lines(spms, house, tmp_path):
    file = tmp_path / "charges.csv"
    file.write_text(CSV, "utf-8")
    told = spms("ingest", file, "--url", house.url)
    assert told.exit_code == 0, (told.output, told.exception)
    assert "warning: the file holds no line of data" in told.output


def test_ingest_says_why_it_may_not(spms, house, tmp_path, monkeypatch):
    file = tmp_path / "charges.csv"
    file.write_text(CSV, "utf-8")
    monkeypatch.setenv("SPMS_CLIENT_SECRET", "not the secret")
    told = spms("ingest", file, "--url", house.url)
    assert "cannot sign in" in str(told.exception)
    assert "not the secret" not in str(told.exception)


def test_a_real_server_answers_head(house):
    """The framing of an answer without content is the server's business as well as ours."""
    with httpx.Client(base_url=house.url, timeout=60) as client:
        for path in ("/health/live", "/openapi.json"):
            get, head = client.get(path), client.head(path)
            assert head.status_code == 200
            assert head.headers["content-length"] == get.headers["content-length"]
            assert head.content == b""
        assert client.get("/health/live").status_code == 200


@pytest.mark.parametrize(
    "sent",
    [
        b"FOO /authorisations HTTP/1.1\r\nHost: x\r\n\r\n", b"8613800138000\r\n\r\n",
        b"GET / HTTP/1.1\r\nbad header\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)  # fmt: skip
def test_what_is_no_http_is_refused_as_a_problem_and_the_next_is_served(house, sent):
    host, port = urlsplit(house.url).netloc.split(":")
    with socket.create_connection((host, int(port)), timeout=10) as line:
        line.sendall(sent)
        answer = b"".join(iter(lambda: line.recv(65_536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"content-type: application/problem+json" in head
    assert b"content-length: %d" % len(body) in head
    assert json.loads(body)["code"] == "http_malformed"
    assert b"13800138000" not in answer
    assert httpx.get(f"{house.url}/health/live").status_code == 200
