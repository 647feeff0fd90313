"""What a decision costs beside `pgbench -S` on the same server: single, batch, coalesced, reserved.

    SPMS_TEST_DATABASE_URL=postgresql://owner:secret@127.0.0.1/postgres python -m benchmarks.decision

Server, load client and PostgreSQL share the machine. Works on a database of its own, which it
drops. Every figure is taken next to a `pgbench` of its own; prints medians, JSON with `--json`.
"""

import argparse
import asyncio
import json
import os
import random
import re
import shutil
import socket
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import uvicorn

from spms.app import create_app
from spms.authorisation import engine
from spms.core import access, clock, db, migrate, roles
from spms.core.settings import Settings
from tests import make

SERVICES, SPS = 200, 10
CLONES = """
    WITH fresh AS (
        SELECT '86139' || lpad(i::text, 8, '0') AS msisdn, gen_random_uuid() AS id, i
          FROM generate_series(1, $2::int) i
    ), numbers AS (
        INSERT INTO number (msisdn, epoch, state, state_since, epoch_since)
        SELECT f.msisdn, n.epoch, n.state, n.state_since, n.epoch_since
          FROM fresh f, number n WHERE n.msisdn = $1
    ), events AS (
        INSERT INTO number_event (msisdn, id, kind, reason, effective_at, recorded_at, actor,
                                  state_after, epoch_after)
        SELECT f.msisdn, gen_random_uuid(), e.kind, e.reason, e.effective_at, e.recorded_at,
               e.actor, e.state_after, e.epoch_after
          FROM fresh f, number_event e WHERE e.msisdn = $1
    ), messages AS (
        INSERT INTO message_in (msisdn, received_at, id, called, text, raw, link,
                                link_message_id, handled_at)
        SELECT f.msisdn, m.received_at, f.id, m.called, m.text, m.raw, m.link, f.id::text,
               m.handled_at
          FROM fresh f, message_in m WHERE m.msisdn = $1
    ), relations AS (
        INSERT INTO subscription (msisdn, id, epoch, sp_id, service_id, kind, status, tariff_id,
               notice_id, price_fen, channel, requested_at, requested_by, request_text,
               prompt_code, prompt_text, confirm_by, active_from, charge_from)
        SELECT f.msisdn, f.id, 1, v.sp_id, v.id, v.kind, 'active', t.id, n.id, t.price_fen,
               s.channel, s.requested_at, s.requested_by, s.request_text, s.prompt_code,
               s.prompt_text, s.confirm_by, s.active_from, s.charge_from
          FROM fresh f
          JOIN (SELECT *, row_number() OVER (ORDER BY code) AS at FROM service) v
            ON v.at = 1 + f.i % $3::int
          JOIN tariff t ON t.service_id = v.id
          JOIN notice n ON n.service_id = v.id, subscription s WHERE s.msisdn = $1
        RETURNING msisdn, id, service_id, price_fen
    )
    INSERT INTO consent (msisdn, subscription_id, kind, service_id, price_fen,
                         message_received_at, message_id, prompt_text, reply_text, given_at)
    SELECT r.msisdn, r.id, c.kind, r.service_id, r.price_fen, c.message_received_at, r.id,
           c.prompt_text, c.reply_text, c.given_at
      FROM relations r, consent c WHERE c.msisdn = $1
"""
ASKABLE = """
    SELECT s.msisdn, v.code, s.sp_id FROM subscription s JOIN service v ON v.id = s.service_id
"""
CREDIT = str(Path(__file__).with_name("credit.sql"))


def at(url: str, name: str) -> str:
    """Return the URL of another database of the same server."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


async def arrange(url: str, numbers: int) -> tuple[dict[str, str], list[tuple[str, str, str]]]:
    """Fill a database; return a token for each SP, and (number, code, SP) that may be asked."""
    owner = await db.connect(url)
    await migrate.migrate(owner)
    await owner.execute("SET statement_timeout = 0")
    now = datetime.now(UTC)
    for month in {(now - timedelta(days=1)).date().replace(day=1), now.date().replace(day=1)}:
        for table in ("message_in", "message_out", "authorisation", "charge_record"):
            await owner.execute("SELECT make_month_partition($1, $2)", table, month)
    tokens = {}
    service_ids = []
    for _ in range(SPS):
        sp_id = await make.sp(owner, now)
        actor = make.sp_actor(sp_id)
        service_ids += [await make.service(owner, now, sp_id) for _ in range(SERVICES // SPS)]
        credential_id = await access.add_credential(
            owner, kind=actor.kind, subject=actor.subject, name=str(sp_id),
            roles=tuple(actor.roles), secret_hash="", actor=actor, now=now,
        )  # fmt: skip
        token = await access.issue_token(owner, credential_id, lifetime=timedelta(days=1), now=now)
        tokens[str(sp_id)] = token.access_token
    model = await make.number(owner, now)
    await make.subscription(owner, now - timedelta(hours=3), model, service_ids[0])
    await owner.execute(CLONES, model, numbers, SERVICES, timeout=600)
    await owner.execute("VACUUM ANALYZE", timeout=600)
    rows = await owner.fetch(ASKABLE)
    await owner.close()
    return tokens, [(row["msisdn"], row["code"], str(row["sp_id"])) for row in rows]


def program() -> str:
    """Return the path of a `pgbench`."""
    return shutil.which("pgbench") or str(max(Path("/usr/lib/postgresql").glob("*/bin/pgbench")))


def fill(url: str) -> None:
    """Make pgbench's own tables."""
    words = [program(), "-i", "-q", "-s", "5", url]
    subprocess.run(words, check=True, capture_output=True)


def pgbench(url: str, *more: str, seconds: int, clients: int = 16) -> float:
    """Return the transactions a second of one `pgbench` run."""
    told = subprocess.run(
        [program(), "-n", "-M", "prepared", "-c", str(clients), "-T", str(seconds), *more, url],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    found = re.search(r"tps = ([0-9.]+)", told.stdout)
    assert found is not None
    return float(found[1])


async def serve(url: str, fd: int, most: int) -> None:
    """Serve the API on an inherited socket; `most` 1 makes a statement for each request."""
    settings = Settings(pool_size=5)
    pool = await db.open_pool(roles.app_url(url), settings)
    app = create_app(pool, clock.SystemClock(), settings)
    if most:
        engine.ROUND_MAX = most  # type: ignore[misc] - to see what a round is worth
    config = uvicorn.Config(
        app, log_config=None, access_log=False, lifespan="off", server_header=False,
    )  # fmt: skip
    await uvicorn.Server(config).serve(sockets=[socket.socket(fileno=fd)])


class Client(asyncio.Protocol):
    """One keep-alive connection that asks again as soon as it is answered."""

    def __init__(self, requests: list[bytes], took: list[float], wrong: list[bytes]) -> None:
        self.requests, self.took, self.wrong = requests, took, wrong
        self.buffer, self.begun, self.n = b"", 0.0, random.randrange(len(requests))  # noqa: S311

    def connection_made(self, transport: Any) -> None:
        """Begin."""
        self.transport = transport
        self.ask()

    def ask(self) -> None:
        """Send the next request."""
        self.n = (self.n + 1) % len(self.requests)
        self.begun = time.perf_counter()
        self.transport.write(self.requests[self.n])

    def data_received(self, data: bytes) -> None:
        """Take an answer, and ask again once it is whole."""
        self.buffer += data
        head, found, body = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if len(body) < length:
            return
        if not head.startswith(b"HTTP/1.1 200"):
            self.wrong.append(self.buffer[:200])
        self.took.append(time.perf_counter() - self.begun)
        self.buffer = b""
        self.ask()


async def load(port: int, requests: list[bytes], clients: int, seconds: float) -> list[float]:
    """Keep so many clients asking; return how long each answer took, in seconds."""
    took: list[float] = []
    wrong: list[bytes] = []
    loop = asyncio.get_running_loop()
    made = [
        await loop.create_connection(lambda: Client(requests, took, wrong), "127.0.0.1", port)
        for _ in range(clients)
    ]
    await asyncio.sleep(seconds)
    for transport, _ in made:
        transport.abort()
    if wrong:
        raise SystemExit(f"{len(wrong)} answers were no answers: {wrong[0]!r}")
    return took


def request(path: str, token: str, body: object) -> bytes:
    """Write one HTTP request."""
    sent = json.dumps(body).encode()
    return (
        f"POST {path} HTTP/1.1\r\nHost: spms\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(sent)}\r\n\r\n"
    ).encode() + sent


class House:
    """Server processes that share one socket."""

    def __init__(self, url: str, workers: int, most: int) -> None:
        self.sock = socket.create_server(("127.0.0.1", 0), backlog=1024)
        fd = self.sock.fileno()
        os.set_inheritable(fd, True)  # noqa: FBT003
        self.port = self.sock.getsockname()[1]
        words = [sys.executable, "-m", "benchmarks.decision", "--serve", str(fd), "--url", url]
        self.processes = [
            subprocess.Popen([*words, "--most", str(most)], close_fds=False) for _ in range(workers)
        ]
        time.sleep(4)

    def close(self) -> None:
        """End the processes."""
        for process in self.processes:
            process.terminate()
            process.wait()
        self.sock.close()


async def measure(told: argparse.Namespace) -> dict[str, float]:
    """Measure everything, `told.rounds` times; return medians."""
    root = os.environ["SPMS_TEST_DATABASE_URL"]
    admin = await asyncpg.connect(root)
    await roles.ensure_app_role(admin, root)
    mine, bench = (f"spms_bench_{uuid4().hex[:8]}" for _ in range(2))
    for name in (mine, bench):
        await admin.execute(f"CREATE DATABASE {name}")
    found: Found = {}
    try:
        await asyncio.to_thread(fill, at(root, bench))
        tokens, asked = await arrange(at(root, mine), told.numbers)
        await rounds(
            told, url=at(root, mine), bench=at(root, bench), tokens=tokens, asked=asked, found=found
        )
    finally:
        for name in (mine, bench):
            await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await admin.close()
    return {name: statistics.median(values) for name, values in found.items()}


Found = dict[str, list[float]]


def note(found: Found, name: str, value: float) -> None:
    """Keep and print a figure."""
    found.setdefault(name, []).append(value)
    print(f"{name:36} {value:12,.3f}", flush=True)  # noqa: T201 - what it is for


def question(row: tuple[str, str, str], purpose: str) -> dict[str, object]:
    """Return a question about a number and a service it has."""
    price_fen = 0 if purpose == "message" else 800
    return {
        "purpose": purpose, "msisdn": row[0], "service_code": row[1], "price_fen": price_fen,
    }  # fmt: skip


async def rounds(
    told: argparse.Namespace,
    *,
    url: str,
    bench: str,
    tokens: dict[str, str],
    asked: list[tuple[str, str, str]],
    found: Found,
) -> None:
    """Take every figure next to a pgbench of its own."""
    random.shuffle(asked)
    one, charge = (
        [request("/authorisations", tokens[row[2]], question(row, purpose)) for row in asked]
        for purpose in ("message", "charge")
    )
    by_sp: dict[str, list[dict[str, object]]] = {}
    for row in asked:
        by_sp.setdefault(row[2], []).append(question(row, "message"))
    batches = [
        request("/authorisations/batch", tokens[sp], {"items": items[i : i + 1000]})
        for sp, items in by_sp.items() for i in range(0, len(items) - 999, 1000)
    ]  # fmt: skip
    seconds = told.seconds
    for _ in range(told.rounds):
        house = House(url, told.workers, told.most)
        try:
            await load(house.port, one, 16, 1.5)
            select = await asyncio.to_thread(pgbench, bench, "-S", seconds=seconds)
            note(found, "pgbench_select_tps", select)
            for clients in (8, 64):
                took = await load(house.port, one, clients, seconds)
                note(found, f"a1_single_per_s_c{clients}", len(took) / seconds)
                p99 = statistics.quantiles(took, n=100)[98]
                note(found, f"a1c_p99_ms_c{clients}", p99 * 1000)
            note(found, "a1_single_to_select", len(took) / seconds / select)
            took = await load(house.port, batches, 4, seconds)
            note(found, "a2_batch_items_per_s", 1000 * len(took) / seconds)
            note(found, "a2_batch_to_select", 1000 * len(took) / seconds / select)
            update = await asyncio.to_thread(pgbench, bench, "-f", CREDIT, seconds=seconds)
            note(found, "pgbench_update_tps", update)
            took = await load(house.port, charge, 64, seconds)
            note(found, "a4_charge_per_s", len(took) / seconds)
            note(found, "a4_charge_to_update", len(took) / seconds / update)
        finally:
            house.close()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--numbers", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--serve", type=int)
    parser.add_argument("--url")
    parser.add_argument("--most", type=int, default=0)
    told = parser.parse_args()
    if told.serve is not None:
        asyncio.run(serve(told.url, told.serve, told.most))
        return
    found = asyncio.run(measure(told))
    if told.json:
        told.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
