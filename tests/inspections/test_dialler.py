"""The operator's own dialler over HTTP, and `spms trunk check`."""

import json
import sys
from asyncio.subprocess import PIPE, STDOUT
from contextlib import asynccontextmanager

import msgspec
import pytest
from aiohttp import web
from typer.testing import CliRunner

from spms.cli.commands import app as command_line
from spms.core.settings import Settings, SettingsError
from spms.inspections.dialler import HttpProber, http_prober
from spms.inspections.sandbox_lines import SandboxLines
from tests.inspections.test_calling import CALL


@asynccontextmanager
async def dialler(answer):
    heard = []

    async def post(request):
        heard.append((dict(request.headers), await request.json()))
        return answer()

    application = web.Application()
    application.router.add_post("/calls", post)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]
    settings = Settings(
        dialler_url=f"http://127.0.0.1:{port}/calls",
        dialler_token="t0ken",
        sip_caller="01010010,01010011",
    )
    async with http_prober(settings) as prober:
        yield prober, heard
    await runner.cleanup()


@pytest.mark.parametrize(
    ("report", "outcome"),
    [
        ({"sip_code": 200, "ring_ms": 4000}, "answered"),
        ({"sip_code": 486, "q850_cause": 17}, "busy"),
        ({"sip_code": 480, "q850_cause": 34}, "congestion"),
        ({"sip_code": 410}, "number_changed"),
        ({"ending": "ring_limit", "ring_ms": 20_000}, "no_answer"),
        ({"ending": "no_response"}, "own_failure"),
        ({}, "protocol_error"),
        ({"sip_code": 99}, "protocol_error"),
        ({"sip_code": "200"}, "protocol_error"),
        ([], "protocol_error"),
    ],
)
async def test_what_the_dialler_says_is_judged_by_the_same_tables(clock, report, outcome):
    async with dialler(lambda: web.json_response(report)) as (prober, heard):
        result = await prober.place(CALL, clock=clock)
    assert result.outcome == outcome
    ((headers, order),) = heard
    assert headers["Authorization"] == "Bearer t0ken"
    assert order == {
        "call_id": "4f2a", "number": "4008123456", "caller": "01010011", "ring_seconds": 20,
    }  # fmt: skip


@pytest.mark.parametrize(
    "answer",
    [
        lambda: web.Response(status=500),
        lambda: web.Response(status=302, headers={"Location": "/calls"}),
        lambda: web.Response(text="x" * 100_000),
    ],
)
async def test_a_dialler_that_fails_is_asked_once_and_never_counts(clock, answer):
    async with dialler(answer) as (prober, heard):
        result = await prober.place(CALL, clock=clock)
    assert result.outcome == "protocol_error"
    assert len(heard) == 1


@pytest.mark.parametrize("wrong", [{"dialler_url": "ftp://x"}, {"sip_caller": "10010"}])
def test_settings_that_make_no_dialler_are_refused(wrong):
    settings = msgspec.structs.replace(
        Settings(dialler_url="http://x", sip_caller="10010,10011"), **wrong
    )
    with pytest.raises(SettingsError):
        HttpProber(settings, None)


async def test_trunk_check_places_one_call_and_explains_it(tmp_path, monkeypatch):
    import asyncio  # noqa: PLC0415

    async with SandboxLines(t1_seconds=0.05) as lines:
        monkeypatch.setenv("SPMS_SIP_HOST", "127.0.0.1")
        monkeypatch.setenv("SPMS_SIP_CALLER", "01010010,01010011")
        monkeypatch.setenv("SPMS_SIP_PORT", str(lines.port))
        out = tmp_path / "out.json"
        arguments = ["trunk", "check", "4008123456", "--json", str(out)]
        ran = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "spms", *arguments, stdout=PIPE, stderr=STDOUT
        )
        said = (await ran.communicate())[0].decode()
    assert ran.returncode == 0, said
    assert "nobody has this number" in " ".join(said.split())
    assert json.loads(out.read_text())["outcome"] == "unallocated"


def test_trunk_check_of_a_dead_trunk_fails_and_says_where_to_look(monkeypatch):
    monkeypatch.setenv("SPMS_SIP_HOST", "trunk.invalid")
    monkeypatch.setenv("SPMS_SIP_CALLER", "01010010,01010011")
    ran = CliRunner().invoke(command_line, ["trunk", "check", "4008123456"])
    assert ran.exit_code == 1
    assert "firewall" in ran.output
