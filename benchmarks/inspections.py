"""How fast hotlines are planned and called: beside `sipp` alone on the same machine.

Example: SPMS_DATABASE_URL=postgresql://owner:secret@127.0.0.1/scratch \
    python benchmarks/inspections.py --items 10000 --simultaneous 200 --json result.json

The database must be an empty one that may be thrown away afterwards. Lines are played by one
`sipp`; then another `sipp` calls them as fast as the same limits allow.
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

from spms.cli.process import base, settings_from_environment
from spms.core import db
from spms.core.access import job_actor
from spms.core.clock import FixedClock
from spms.core.settings import Settings
from spms.inspections import actions
from spms.inspections.calling import pump_calls
from spms.inspections.model import Start
from spms.inspections.prober import HOLD_SECONDS, LINGER_SECONDS, SipProber

SCENARIOS = Path(__file__).parent.parent / "tests" / "inspections" / "sipp"
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


async def measure(items: int, calls: int, simultaneous: int, hold: float) -> dict[str, Any]:
    """Plan, call, and let `sipp` do the same."""
    async with base(settings_from_environment()) as ground:
        plan_seconds = await planned(ground.pool, items)
        async with db.transaction(ground.pool) as tx:  # only so many are called now
            await tx.execute(
                "UPDATE hotline_call SET due_at = due_at + interval '1 day' WHERE (item_id) IN "
                "(SELECT item_id FROM hotline_call ORDER BY item_id OFFSET $1)", calls,
            )  # fmt: skip
        with TemporaryDirectory() as folder:
            port = free_port()
            uas = ("-sn", "uas", "-p", str(port))
            async with sipp(folder, *uas):
                await asyncio.sleep(0.5)
                prober = SipProber(Settings(
                    sip_host="127.0.0.1", sip_port=port, sip_simultaneous=simultaneous,
                    sip_calls_per_second=1000,
                ))  # fmt: skip
                prober.hold_seconds = hold
                began = time.perf_counter()
                await pump_calls(ground.pool, prober, FixedClock(NOON))
                ours = calls / (time.perf_counter() - began)
            async with sipp(folder, *uas):
                await asyncio.sleep(0.5)
                began = time.perf_counter()
                uac = ("-sf", str(same_length(folder)), "-d", str(round(1000 * hold)), "-l", str(simultaneous),
                       "-r", "1000", "-m", str(calls), "-p", str(free_port()))  # fmt: skip
                async with sipp(folder, *uac, f"127.0.0.1:{port}") as caller:
                    await caller.wait()
                theirs = calls / (time.perf_counter() - began)
        async with db.snapshot(ground.pool) as read:
            outcomes = {str(row["outcome"]): row["calls"] for row in await read.fetch(OUTCOMES)}
            verdicts = {str(row["verdict"]): row["items"] for row in await read.fetch(VERDICTS)}
    return {
        "call_seconds": hold + LINGER_SECONDS, "items": items, "calls": calls, "simultaneous": simultaneous,
        "plan_seconds": round(plan_seconds, 2), "calls_per_second": round(ours, 1),
        "sipp_calls_per_second": round(theirs, 1), "ratio": round(ours / theirs, 2),
        "outcomes": outcomes, "verdicts": verdicts,
    }  # fmt: skip


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
    result = asyncio.run(
        measure(told.items, told.calls or told.items, told.simultaneous, told.hold)
    )
    text = json.dumps(result, indent=1)
    print(text)  # noqa: T201 - the result
    if told.json is not None:
        told.json.write_text(text)


if __name__ == "__main__":
    main()
