"""H1: how fast hotlines are planned, called and judged, beside `sipp` alone on the same machine.

Lines are played by one `sipp`; another `sipp` calls them as fast as the same limits allow. By hand,
on an empty database that may be thrown away afterwards:

SPMS_DATABASE_URL=postgresql://owner:secret@127.0.0.1/scratch \
    python -m benchmarks.inspections --items 10000 --simultaneous 200 --json result.json
"""

import argparse
import asyncio
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import msgspec

from benchmarks.figures import Figure, Ground
from spms.cli.process import base, settings_from_environment
from spms.core import db
from spms.core.access import job_actor
from spms.core.clock import FixedClock
from spms.core.settings import Settings
from spms.inspections import actions
from spms.inspections.calling import pump_calls
from spms.inspections.model import Start
from spms.inspections.prober import HOLD_SECONDS, LINGER_SECONDS, SipProber

FIGURES = (
    Figure(
        id="H1",
        title="hotline calls placed, recorded and judged beside sipp alone, under the same limits",
        ours="calls/s",
        beside="calls/s by sipp",
        must=0.7,
        aim=0.9,
        seconds=13,
    ),
)
NOON = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
BEGUN = datetime(2026, 1, 1, tzinfo=UTC)
ADD_SP = """
    INSERT INTO sp (id, code, name, name_key, licence_no, responsible_name, responsible_mobile,
                    status, applied_at, activated_at)
    SELECT id, lpad(n::text, 6, '0'), 'sp' || n, 'sp' || n, 'L' || n, 'x', '8613900000000',
           'active', $2, $2 FROM unnest($1::uuid[]) WITH ORDINALITY AS a (id, n)
"""
ADD_LINES = """
    INSERT INTO sp_hotline (id, sp_id, number, valid_from)
    SELECT gen_random_uuid(), id, '4008' || lpad((2 * n + k)::text, 6, '0'), $2
      FROM unnest($1::uuid[]) WITH ORDINALITY AS a (id, n), generate_series(0, 1) AS k
"""
END = '<recv response="200" crlf="true">\n  </recv>\n'
"""Where SIPp's own scenario of a caller is over."""

OUTCOMES = "SELECT outcome, count(*) AS calls FROM hotline_call GROUP BY outcome"
VERDICTS = "SELECT verdict, count(*) AS items FROM inspection_item GROUP BY verdict"
ONE_CALL_DECIDES = """
    INSERT INTO rulebook (version, effective_from, rules, reason, created_at, created_by)
    VALUES (2, $1, '{"inspection": {"good_percent": 99, "bad_percent": 1}}', 'bench', $1, 'bench')
"""
"""So far apart are the marks that one answer judges an item: every call is judged to its end."""


def free_port() -> int:
    """Return a UDP port nobody uses at the moment."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def sipp(folder: str, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run one `sipp`; leave none behind."""
    program = shutil.which("sipp")
    if program is None:
        raise SystemExit("sipp is missing (Debian: apt-get install sip-tester)")
    process = await asyncio.create_subprocess_exec(
        program, *arguments, "-i", "127.0.0.1", "-nostdin", cwd=folder,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def same_length(folder: str) -> Path:
    """Write SIPp's own scenario of a caller, kept after the BYE for as long as ours is kept.

    Otherwise the same limit of simultaneous calls would let one side begin more of them.
    """
    program = shutil.which("sipp") or "sipp"
    plain = subprocess.run([program, "-sd", "uac"], capture_output=True, check=False, text=True)
    scenario = plain.stdout[plain.stdout.index("<?xml") :]
    head, end, tail = scenario.rpartition(END)
    if not end:
        raise SystemExit("this sipp's own scenario ends otherwise than expected")
    pause = f'  <pause milliseconds="{1000 * LINGER_SECONDS:.0f}"/>\n'
    path = Path(folder) / "caller.xml"
    path.write_text(head + end + pause + tail)
    return path


async def planned(pool: db.Pool, items: int) -> float:
    """Add SPs with two lines each, draw a plan of all of them; return the seconds it took."""
    sps = [uuid4() for _ in range(items // 2)]
    async with db.transaction(pool) as tx:
        await tx.execute(ADD_SP, sps, BEGUN)
        await tx.execute(ADD_LINES, sps, BEGUN)
        await tx.execute(ONE_CALL_DECIDES, BEGUN)
    began = time.perf_counter()
    async with db.transaction(pool) as tx:
        await actions.draw_plan(
            tx, seed=None, start=Start.NOW, actor=job_actor("bench"), now=NOON
        )  # fmt: skip
    return time.perf_counter() - began


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What both sides have to do."""

    items: int
    calls: int
    simultaneous: int
    hold: float
    """Seconds for which each call is kept."""


FULL = Load(items=10_000, calls=2_000, simultaneous=200, hold=HOLD_SECONDS)
SHORT = Load(items=200, calls=25, simultaneous=25, hold=0.0)


async def measure(ground: Ground, wanted: frozenset[str]) -> None:
    """Hand pairs to the frame, each on a database of its own."""
    if "H1" not in wanted:
        return
    load = SHORT if ground.short else FULL
    for _ in ground.turns("H1"):
        async with ground.database() as url:
            found = await compared(load, Settings(database_url=url))
        ground.note("H1", found["calls_per_second"], found["sipp_calls_per_second"])


async def compared(load: Load, settings: Settings) -> dict[str, Any]:
    """Plan, call, and let `sipp` do the same."""
    async with base(settings) as ground:
        plan_seconds = await planned(ground.pool, load.items)
        async with db.transaction(ground.pool) as tx:  # only so many are called now
            await tx.execute(
                "UPDATE hotline_call SET due_at = due_at + interval '1 day' WHERE (item_id) IN "
                "(SELECT item_id FROM hotline_call ORDER BY item_id OFFSET $1)", load.calls,
            )  # fmt: skip
        with TemporaryDirectory() as folder:
            ours, cpu = await _ours(ground.pool, load, folder)
            theirs = await _theirs(load, folder)
        async with db.snapshot(ground.pool) as read:
            outcomes = {str(row["outcome"]): row["calls"] for row in await read.fetch(OUTCOMES)}
            verdicts = {str(row["verdict"]): row["items"] for row in await read.fetch(VERDICTS)}
    return {
        "call_seconds": load.hold + LINGER_SECONDS, "items": load.items, "calls": load.calls,
        "simultaneous": load.simultaneous, "plan_seconds": round(plan_seconds, 2),
        "calls_per_second": round(ours, 1), "sipp_calls_per_second": round(theirs, 1),
        "ratio": round(ours / theirs, 2), "our_cpu_ms_per_call": round(1000 * cpu / load.calls, 2),
        "outcomes": outcomes, "verdicts": verdicts,
    }  # fmt: skip


async def _ours(pool: db.Pool, load: Load, folder: str) -> tuple[float, float]:
    """Return our calls per second, and this process's processor seconds."""
    port = free_port()
    prober = SipProber(Settings(
        sip_host="127.0.0.1", sip_port=port, sip_caller="10010,10011", sip_simultaneous=load.simultaneous,
        sip_calls_per_second=1000,
    ))  # fmt: skip
    prober.hold_seconds = load.hold
    async with sipp(folder, "-sn", "uas", "-p", str(port)):
        await asyncio.sleep(0.2)
        began, cpu = time.perf_counter(), time.process_time()
        await pump_calls(pool, prober, FixedClock(NOON))
        return load.calls / (time.perf_counter() - began), time.process_time() - cpu


async def _theirs(load: Load, folder: str) -> float:
    """Return the calls per second of `sipp` calling `sipp`."""
    port = free_port()
    async with sipp(folder, "-sn", "uas", "-p", str(port)):
        await asyncio.sleep(0.2)
        began = time.perf_counter()
        uac = ("-sf", str(same_length(folder)), "-d", str(round(1000 * load.hold)),
               "-l", str(load.simultaneous), "-r", "1000", "-m", str(load.calls),
               "-p", str(free_port()))  # fmt: skip
        async with sipp(folder, *uac, f"127.0.0.1:{port}") as caller:
            await caller.wait()
        return load.calls / (time.perf_counter() - began)


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--calls", type=int, help="of the items; default: all")
    parser.add_argument("--simultaneous", type=int, default=200)
    parser.add_argument("--hold", type=float, default=HOLD_SECONDS, help="seconds of each call")
    parser.add_argument("--json", type=Path)
    told = parser.parse_args()
    if "SPMS_DATABASE_URL" not in os.environ:
        raise SystemExit("SPMS_DATABASE_URL must name an empty database")
    load = Load(
        items=told.items, calls=told.calls or told.items, simultaneous=told.simultaneous,
        hold=told.hold,
    )  # fmt: skip
    result = asyncio.run(compared(load, settings_from_environment()))
    text = json.dumps(result, indent=1)
    print(text)  # noqa: T201 - the result
    if told.json is not None:
        told.json.write_text(text)


if __name__ == "__main__":
    main()
