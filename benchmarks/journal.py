"""What the book costs: posting beside raw INSERT, the chain's price, verification, corrections.

    SPMS_TEST_DATABASE_URL=postgresql://owner:secret@127.0.0.1/postgres python -m benchmarks.journal

Works on databases of its own, which it drops. Prints one line a figure, and JSON with `--json`.
"""

import argparse
import asyncio
import json
import os
import statistics
import time
from datetime import UTC, date, datetime, timedelta
from itertools import count as counter
from pathlib import Path
from unittest.mock import patch
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg

from jobs import correct_prices
from spms.compensation import journal, mass_correction
from spms.compensation.accounts import Account, Cause
from spms.compensation.journal_model import Draft, EntryLine, Head, Linked
from spms.compensation.mass_correction_model import CorrectionRequest
from spms.core import db, migrate, roles
from spms.core.access import Actor, ActorKind, Role
from spms.core.ids import new_id
from spms.core.settings import Settings
from tests import make

START = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
OFFICERS = [
    Actor(kind=ActorKind.STAFF, name=name, subject=name, roles=frozenset({Role.COMPLIANCE}))
    for name in ("officer", "officer-2")
]
RUNS = counter(20)
TURNS = 5


def unlinked(drafts: list[Draft], heads: dict[str, Head], **_: object) -> list[Linked]:
    """Place drafts as `journal_chain.link` does, and hash nothing: what the chain costs."""
    return [
        Linked(
            draft=draft, amount_fen=1600, before=heads[draft.msisdn],
            after=Head(seq=heads[draft.msisdn].seq + 1, sha256=draft.id.bytes + draft.id.bytes),
        )
        for draft in drafts
    ]  # fmt: skip


FILL = """
    WITH numbered AS (
        INSERT INTO number (msisdn, epoch, state, state_since, epoch_since)
        SELECT '8613' || lpad(n::text, 9, '0'), 1, 'active', $5, $5 FROM generate_series(1, $4) n
        ON CONFLICT DO NOTHING)
    INSERT INTO charge_record
        (msisdn, charged_at, id, sp_id, service_id, record_id, kind, price_fen, delivery,
         received_at, findings, due_fen, rulebook_version)
    SELECT '8613' || lpad((1 + i % $4)::text, 9, '0'), $1::timestamptz + i * interval '10 ms',
           gen_random_uuid(), $2, $3, i::text, 'monthly', 900, 'none', $1, '{over_cap}', 900, 1
      FROM generate_series(1, $6::int) i
"""
BILL = "SELECT * FROM charge_record WHERE msisdn = $1 AND charged_at >= $2 ORDER BY charged_at"


def drafts(count: int) -> list[Draft]:
    """Return entries of two lines each, as a refund makes them."""
    run, sp_id = next(RUNS), uuid4()
    return [
        Draft(
            msisdn=f"86{run:02d}{i:09d}", id=new_id(), kind="refund", charge_id=new_id(),
            lines=[
                EntryLine(
                    id=uuid4(), debit=Account.SP_RECEIVABLE, credit=Account.SUBSCRIBER_PAYABLE,
                    sp_id=sp_id, amount_fen=800, reason=reason,
                )
                for reason in ("refund_principal", "refund_compensation")
            ],
        )
        for i in range(count)
    ]  # fmt: skip


async def posting_rate(pool: db.Pool, count: int, batch: int) -> float:
    """Post entries in batches, each its own transaction; return rows a second."""
    made = drafts(count)
    begun = time.perf_counter()
    for start in range(0, count, batch):
        async with db.transaction(pool) as tx:
            await journal.post(tx, made[start : start + batch], actor=OFFICERS[0], now=START)
    return 3 * count / (time.perf_counter() - begun)


RAW_ENTRIES = """
    INSERT INTO raw_entry (msisdn, id, seq, kind, charge_id, lines, amount_fen, at, actor,
                           prev_sha256, sha256)
    SELECT msisdn, id, 1, kind, charge_id, 2, 1600, $5, $6, '', sha256
      FROM unnest($1::text[], $2::uuid[], $3::text[], $4::uuid[], $7::bytea[])
        AS e (msisdn, id, kind, charge_id, sha256)
"""
RAW_POSTINGS = """
    INSERT INTO raw_posting (msisdn, id, entry_id, line_no, of_lines, debit, credit, sp_id,
                             amount_fen, reason, charge_id, at, actor)
    SELECT msisdn, id, entry_id, line_no, 2, debit, credit, sp_id, amount_fen, reason, charge_id,
           $11, $12
      FROM unnest($1::text[], $2::uuid[], $3::uuid[], $4::smallint[], $5::text[], $6::text[],
                  $7::uuid[], $8::bigint[], $9::text[], $10::uuid[])
        AS p (msisdn, id, entry_id, line_no, debit, credit, sp_id, amount_fen, reason, charge_id)
"""


async def raw_rate(pool: db.Pool, count: int, batch: int) -> float:
    """Insert the same rows, hashes and all, into tables of the same shape, checks and indexes.

    Returns rows a second.
    """
    made, actor = drafts(count), OFFICERS[0].label
    begun = time.perf_counter()
    for start in range(0, count, batch):
        part = made[start : start + batch]
        lines = [(draft, n, line) for draft in part for n, line in enumerate(draft.lines, 1)]
        async with db.transaction(pool) as tx:
            await tx.execute(
                RAW_ENTRIES, [d.msisdn for d in part], [d.id for d in part],
                [d.kind for d in part], [d.charge_id for d in part], START, actor,
                [d.id.bytes + d.id.bytes for d in part],
            )  # fmt: skip
            await tx.execute(
                RAW_POSTINGS, [d.msisdn for d, _, _ in lines], [one.id for _, _, one in lines],
                [d.id for d, _, _ in lines], [n for _, n, _ in lines],
                [one.debit for _, _, one in lines], [one.credit for _, _, one in lines],
                [one.sp_id for _, _, one in lines], [one.amount_fen for _, _, one in lines],
                [one.reason for _, _, one in lines], [d.charge_id for d, _, _ in lines], START,
                actor,
            )  # fmt: skip
    return 3 * count / (time.perf_counter() - begun)


KEY = "posting_entry"
DEFINED = "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = $1"


async def key_price(owner: asyncpg.Connection, pool: db.Pool, entries: int) -> dict[str, float]:
    """Post without the key from a line to its entry, beside raw; the key is there again after."""
    defined = await owner.fetchval(DEFINED, KEY)
    await owner.execute(f"ALTER TABLE posting DROP CONSTRAINT {KEY}")
    turns = [
        (
            await raw_rate(pool, entries // TURNS, 500),
            await posting_rate(pool, entries // TURNS, 500),
        )
        for _ in range(TURNS)
    ]
    raw, post = (statistics.median(column) for column in zip(*turns, strict=True))
    await owner.execute(f"ALTER TABLE posting ADD CONSTRAINT {KEY} {defined}")
    return {"post_rows_per_s_without_key": post, "post_to_raw_without_key": post / raw}


async def bill_p99(pool: db.Pool, stop: asyncio.Event, numbers: int) -> float:
    """Read bills until told to stop; return the p99 in milliseconds."""
    took, i = [], 0
    while not stop.is_set():
        i += 1
        async with db.acquired(pool) as read:
            begun = time.perf_counter()
            await read.fetch(BILL, f"8613{1 + i * 7919 % numbers:09d}", START - timedelta(days=2))
            took.append((time.perf_counter() - begun) * 1000)
        await asyncio.sleep(0.005)
    return statistics.quantiles(took, n=100)[98]


async def correction(pool: db.Pool, owner: asyncpg.Connection, charges: int) -> dict[str, float]:
    """Correct many charges while bills are read; return charges a second and both p99s."""
    numbers = max(1, charges // 5)
    async with db.transaction(pool) as tx:
        sp_id = await make.sp(tx, START)
        service_id = await make.service(tx, START, sp_id)
    await owner.execute(
        FILL, START - timedelta(days=1), sp_id, service_id, numbers, START - timedelta(days=50),
        charges, timeout=600,
    )  # fmt: skip
    await owner.execute("VACUUM ANALYZE", timeout=600)
    stop = asyncio.Event()
    reader = asyncio.create_task(bill_p99(pool, stop, numbers))
    await asyncio.sleep(3)
    stop.set()
    idle = await reader
    wanted = CorrectionRequest(
        service_id=service_id, wrong_fen=900, due_fen=800, from_at=START - timedelta(days=2),
        until_at=START, cause=Cause.NOT_AS_PUBLISHED, reason="benchmark", apology="抱歉。",
    )  # fmt: skip
    async with db.transaction(pool) as tx:
        row = await mass_correction.propose(tx, wanted, actor=OFFICERS[0], now=START)
        await mass_correction.decide(
            tx, row.id, accept=True, reason="benchmark", actor=OFFICERS[1], now=START
        )
    stop = asyncio.Event()
    reader = asyncio.create_task(bill_p99(pool, stop, numbers))
    begun = time.perf_counter()

    async def work() -> None:
        while True:
            async with db.transaction(pool) as tx:
                if not await mass_correction.work_chunk(tx, now=START):
                    return
                if await tx.fetchval("SELECT bool_and(finished) FROM mass_correction_lane"):
                    return

    await asyncio.gather(*[work() for _ in range(correct_prices.AT_ONCE)])
    took = time.perf_counter() - begun
    stop.set()
    return {"charges_per_s": charges / took, "bill_p99_idle_ms": idle, "bill_p99_ms": await reader}


async def measure(url: str, entries: int, charges: int) -> dict[str, float]:
    """Measure everything on a database of its own."""
    name = f"spms_bench_{uuid4().hex[:8]}"
    admin = await asyncpg.connect(url)
    await roles.ensure_group(admin)
    await admin.execute(f"CREATE DATABASE {name}")
    mine = urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
    owner = await db.connect(mine)
    await owner.execute("SET statement_timeout = 0")
    await migrate.migrate(owner)
    app_url = await roles.ensure_login(owner, mine)
    pool = await db.open_pool(app_url, Settings(pool_size=5, command_timeout_seconds=600))
    try:
        for month in (1, 2, 3):
            for table in (
                "message_in",
                "message_out",
                "authorisation",
                "decision_pack",
                "charge_record",
            ):
                await owner.execute(
                    "SELECT make_month_partition($1, $2)", table, date(2026, month, 1)
                )
        for table in ("entry", "posting"):
            source = "journal_entry" if table == "entry" else "posting"
            await owner.execute(f"CREATE TABLE raw_{table} (LIKE {source} INCLUDING ALL)")
            await owner.execute(f"GRANT SELECT, INSERT ON raw_{table} TO spms_app")
        found = {}
        for batch in (1, 500):
            count = entries if batch > 1 else max(200, entries // 20)
            # Turn by turn: a machine that others use is not the same from one minute to the next.
            turns = [
                (await raw_rate(pool, count // TURNS, batch),
                 await posting_rate(pool, count // TURNS, batch))
                for _ in range(TURNS)
            ]  # fmt: skip
            raw, post = (statistics.median(column) for column in zip(*turns, strict=True))
            found[f"raw_rows_per_s_batch_{batch}"] = raw
            found[f"post_rows_per_s_batch_{batch}"] = post
            found[f"post_to_raw_batch_{batch}"] = post / raw
        await owner.execute("ANALYZE")
        begun = time.perf_counter()
        rows, damage = await journal.verify(pool)
        found["verify_rows_per_s"] = rows / (time.perf_counter() - begun)
        found["verify_rows"], found["verify_damage"] = rows, len(damage)
        with patch.object(journal, "link", unlinked):
            found["post_rows_per_s_unchained"] = unchained = statistics.median(
                [await posting_rate(pool, entries // TURNS, 500) for _ in range(TURNS)]
            )
        found["chain_price"] = 1 - found["post_rows_per_s_batch_500"] / unchained
        found |= await key_price(owner, pool, entries)
        found |= await correction(pool, owner, charges)
    finally:
        await pool.close()
        await owner.close()
        await admin.execute(f"DROP DATABASE {name}")
        await admin.execute(f"DROP ROLE {roles.login_role(name)}")
        await admin.close()
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=20_000)
    parser.add_argument("--charges", type=int, default=20_000)
    parser.add_argument("--json", type=Path)
    told = parser.parse_args()
    found = asyncio.run(measure(os.environ["SPMS_TEST_DATABASE_URL"], told.entries, told.charges))
    for name, value in found.items():
        print(f"{name:32} {value:14,.2f}")  # noqa: T201 - what it is for
    if told.json:
        told.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
