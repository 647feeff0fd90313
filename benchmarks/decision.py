"""Figures A1 to A4: what a decision costs beside `pgbench` on the same server.

Two server processes, the load client and PostgreSQL share the machine. Every rule is on, every
answer is recorded with its facts before it leaves. Numbers and relations are copies of one that
the rooms' own rows describe.
"""

import asyncio
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import Any

import msgspec

from benchmarks import decision_ground
from benchmarks.decision_ground import (
    CREDIT,
    PRICE_FEN,
    House,
    Row,
    arrange,
    charge_again,
    fill,
    houses,
    kept_in_process,
    pgbench,
)
from benchmarks.figures import Figure, Ground
from benchmarks.load import UNIQUE, Job

CLONES = decision_ground.CLONES
PAUSE_SECONDS = 0.02
"""With it each of nine SPs asks at most 50 questions a second: less than a hundredth of what the tenth asks."""
SELECT = "pgbench -S, prepared, 16 clients: transactions/s"
UPDATE = "pgbench, one-row UPDATE by key, 16 clients: transactions/s"
FIGURES = (
    Figure(
        id="A1", title="single decision over HTTP, 2 workers, c = 64", ours="decisions/s",
        beside=SELECT, must=0.30, aim=0.50, seconds=6,
    ),
    Figure(
        id="A1b", title="coalesced beside one statement per request, c = 64",
        ours="decisions/s", beside="decisions/s, one per round", must=4, aim=5, seconds=2,
    ),
    Figure(
        id="A1c", title="its p99 at c = 64 (at c = 8: A1c8)", ours="ms", must=15, aim=8, at_most=True,
    ),
    Figure(id="A1c8", title="its p99 at c = 8", ours="ms", must=8, aim=3, at_most=True, seconds=2),
    Figure(
        id="A2", title="batches of 1,000 over HTTP", ours="decisions/s", beside=SELECT,
        must=2.0, aim=3.0, seconds=3,
    ),
    Figure(
        id="A3", title="stream, frames of 100 questions", ours="decisions/s", beside=SELECT,
        must=1.5, aim=2.5, seconds=3,
    ),
    Figure(
        id="A4", title="decide and reserve, stream, frames of 100", ours="reservations/s",
        beside=UPDATE, must=0.8, aim=1.0, seconds=6,
    ),
    Figure(
        id="A5", title="p99 of nine SPs while a tenth asks without a pause over 64 connections",
        ours="ms", beside="ms, without the tenth", must=2, aim=1.5, at_most=True, seconds=7,
    ),
    Figure(
        id="M1", title="memory per live relation of anything kept in process", ours="bytes",
        must=16, aim=0, at_most=True, seconds=11,
    ),
)  # fmt: skip


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


def _decide(rows: list[Row]) -> bytes:
    return msgspec.msgpack.encode(
        [{"op": "decide", "id": i, "question": question(row)} for i, row in enumerate(rows)]
    )


def _reserve(rows: list[Row]) -> bytes:
    return msgspec.msgpack.encode([
        {"op": "reserve", "id": i, "question": {
            "reference": UNIQUE.decode(), "msisdn": row[0], "service_code": row[1],
            "price_fen": PRICE_FEN,
        }}
        for i, row in enumerate(rows)
    ])  # fmt: skip


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
        streams = [
            (tokens[sp], [rows[i : i + 100] for i in range(0, len(rows) - 99, 100)])
            for sp, rows in by_sp.items()
        ]
        self.decide = [(token, list(map(_decide, frames))) for token, frames in streams]
        self.reserve = [(token, list(map(_reserve, frames))) for token, frames in streams]
        self.loud, *others = by_sp
        self.of_loud = [
            request("/authorisations", tokens[self.loud], question(row))
            for row in by_sp[self.loud][:20_000]
        ]
        self.of_others = [
            request("/authorisations", tokens[sp], question(row))
            for sp in others
            for row in by_sp[sp][:2_000]
        ]
        random.shuffle(self.of_others)

    def send(
        self, house: House, messages: list[bytes], clients: int, *, seconds: float = 0,
        pause: float = 0,
    ) -> dict[str, Any]:  # fmt: skip
        """Run the load client; every answer must be one, and a yes."""
        return self._run(
            Job(
                ports=house.ports, clients=clients, seconds=seconds or self.seconds,
                messages=messages, mark=b'"allowed":true', pause=pause,
            )
        )  # fmt: skip

    def stream(
        self,
        house: House,
        streams: list[tuple[str, list[bytes]]],
        in_flight: int,
        *,
        seconds: float = 0,
    ) -> dict[str, Any]:
        """The same over WebSockets."""
        return self._run(
            Job(
                ports=house.ports, seconds=seconds or self.seconds, streams=streams,
                in_flight=in_flight,
                mark=b"\xa7allowed\xc3",
            )
        )  # fmt: skip

    def _run(self, job: Job) -> dict[str, Any]:
        with tempfile.NamedTemporaryFile(dir=self.ground.directory) as place:
            place.write(msgspec.msgpack.encode(job))
            place.flush()
            words = [sys.executable, "-m", "benchmarks.load", place.name]
            told = subprocess.run(words, check=True, capture_output=True, text=True)
        found: dict[str, Any] = json.loads(told.stdout)
        if found["wrong"] or not found["marks_per_s"]:
            raise SystemExit(f"answers that are none: {found}")
        return found


async def measure(ground: Ground, wanted: frozenset[str]) -> None:
    """Take the samples."""
    async with ground.database() as url, ground.database() as bench:
        ground.say("filling a database")
        await asyncio.to_thread(fill, bench)
        tokens, asked = await arrange(url, 40_000 if ground.short else 500_000)
        await asyncio.to_thread(_measure, ground, wanted, url, bench, Work(ground, tokens, asked))


def _single(
    ground: Ground, wanted: frozenset[str], work: Work, both: tuple[House, House],
    select: Callable[[], float],
) -> None:  # fmt: skip
    if not wanted & {"A1", "A1b", "A1c"}:
        return
    house, alone = both
    found = work.send(house, work.single, 64)
    if "A1" in wanted:
        ground.note("A1", found["marks_per_s"], select())
    if "A1c" in wanted:
        ground.note("A1c", found["p99_ms"])
    if "A1b" in wanted:
        single = work.send(alone, work.single, 64)
        ground.note("A1b", found["marks_per_s"], single["marks_per_s"])


def _many(
    ground: Ground, wanted: frozenset[str], work: Work, house: House, select: Callable[[], float]
) -> None:
    if "A1c8" in wanted:
        ground.note("A1c8", work.send(house, work.single, 8)["p99_ms"])
    if "A2" in wanted:
        ground.note("A2", work.send(house, work.batch, 4)["marks_per_s"], select())
    if "A3" in wanted:
        ground.note("A3", work.stream(house, work.decide[:4], 4)["marks_per_s"], select())


def _reserved(ground: Ground, work: Work, house: House, url: str, bench: str) -> None:
    asyncio.run(charge_again(url))
    # Less than a second says how a stream begins: each number is asked once, so none is warm.
    seconds = max(1.0, work.seconds)
    beside = pgbench(bench, "-f", CREDIT, seconds=seconds)
    found = work.stream(house, work.reserve, 2, seconds=seconds)
    ground.note("A4", found["marks_per_s"], beside)


def _memory(ground: Ground, url: str) -> None:
    numbers = 3_000 if ground.short else 100_000
    held = kept_in_process(url, numbers, ground.pairs)
    for before, after in pairwise(held):
        ground.note("M1", max(0.0, after - before) / numbers)


def _measure(ground: Ground, wanted: frozenset[str], url: str, bench: str, work: Work) -> None:
    def select() -> float:
        return pgbench(bench, "-S", seconds=work.seconds)

    with houses(url) as (house, alone):
        for one in (house, alone):
            work.send(one, work.single, 16, seconds=min(1.5, 2 * work.seconds))
        for _ in ground.turns("A1", "A1b", "A1c", "A1c8", "A2", "A3", "A4", "A5"):
            # In short mode one run of pgbench is beside all of a pair; in the full one each has its own.
            beside = cache(select) if ground.short else select
            _single(ground, wanted, work, (house, alone), beside)
            _many(ground, wanted, work, house, beside)
            if "A4" in wanted:
                _reserved(ground, work, house, url, bench)
            if "A5" in wanted:
                _loud(ground, work, house)
    if "M1" in wanted:
        _memory(ground, url)


def _loud(ground: Ground, work: Work, house: House) -> None:
    """Nine SPs that pause after each answer, alone and beside one that never does.

    Thrice as long as other samples: when the disk keeps one COMMIT waiting all nine wait, and in less
    they alone would be the hundredth part that a p99 is.
    """
    seconds = 3 * work.seconds
    alone = work.send(house, work.of_others, 9, seconds=seconds, pause=PAUSE_SECONDS)
    with ThreadPoolExecutor(1) as beside:
        loud = beside.submit(work.send, house, work.of_loud, 64, seconds=seconds + 1)
        time.sleep(0.5)  # the others come when it is at full speed
        among = work.send(house, work.of_others, 9, seconds=seconds, pause=PAUSE_SECONDS)
        loud.result()
    ground.note("A5", among["p99_ms"], alone["p99_ms"])
