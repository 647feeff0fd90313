"""J1 to J3: posting beside raw INSERT of the same rows, what the chain costs, verification.

Raw is what the same client can do at all: the same rows, with their hashes and checks and indexes,
in the same batches, into tables of the same form that promise nothing.
"""

import time
from collections.abc import Mapping, Sequence
from itertools import count as counter
from unittest.mock import patch

from benchmarks.book import OFFICERS, START, opened
from benchmarks.figures import Figure, Ground
from spms.compensation import journal
from spms.compensation.accounts import Account
from spms.compensation.journal_model import Draft, EntryLine, Head, Linked
from spms.core import db
from spms.core.ids import new_id

FIGURES = (
    Figure(
        id="J1", title="posting in batches of 500, chain on, beside raw INSERT of the same rows",
        ours="rows/s", beside="rows/s by INSERT", must=0.5, aim=0.6,
    ),
    Figure(
        id="J2", title="the chain's price: posting with hashes beside posting without",
        ours="rows/s hashed", beside="rows/s not hashed", must=0.75, aim=0.9,
    ),
    Figure(
        id="J3", title="verification: the book hashed again", ours="rows/s", must=200_000,
        aim=400_000,
    ),
)  # fmt: skip
ENTRIES, ENTRIES_SHORT = 20_000, 2_500
BATCH = 500
ROWS_EACH = 3
"""An entry and its two lines."""
RUNS = counter(10)
RAW = (
    "CREATE TABLE raw_entry (LIKE journal_entry INCLUDING ALL)",
    "CREATE TABLE raw_posting (LIKE posting INCLUDING ALL)",
    "GRANT SELECT, INSERT ON raw_entry, raw_posting TO spms_app",
)


def unlinked(drafts: Sequence[Draft], heads: Mapping[str, Head], **_: object) -> list[Linked]:
    """Place drafts as `journal_chain.link` does, and hash nothing: what the chain costs."""
    return [
        Linked(
            draft=draft, amount_fen=1600, before=heads[draft.msisdn],
            after=Head(seq=heads[draft.msisdn].seq + 1, sha256=draft.id.bytes + draft.id.bytes),
        )
        for draft in drafts
    ]  # fmt: skip


def drafts(count: int) -> list[Draft]:
    """Return entries of two lines each, as a refund makes them, each of another number."""
    run, sp_id = next(RUNS), new_id()
    return [
        Draft(
            msisdn=f"86{run:03d}{i:08d}", id=new_id(), kind="refund", charge_id=new_id(),
            lines=[
                EntryLine(
                    id=new_id(), debit=Account.SP_RECEIVABLE, credit=Account.SUBSCRIBER_PAYABLE,
                    sp_id=sp_id, amount_fen=800, reason=reason,
                )
                for reason in ("refund_principal", "refund_compensation")
            ],
        )
        for i in range(count)
    ]  # fmt: skip


async def posting_rate(pool: db.Pool, count: int, batch: int = BATCH) -> float:
    """Post entries in batches, each its own transaction; return rows a second."""
    made = drafts(count)
    begun = time.perf_counter()
    for start in range(0, count, batch):
        async with db.transaction(pool) as tx:
            await journal.post(tx, made[start : start + batch], actor=OFFICERS[0], now=START)
    return ROWS_EACH * count / (time.perf_counter() - begun)


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


async def raw_rate(pool: db.Pool, count: int, batch: int = BATCH) -> float:
    """Insert the same rows as `posting_rate`; return rows a second."""
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
    return ROWS_EACH * count / (time.perf_counter() - begun)


async def measure(ground: Ground, wanted: frozenset[str]) -> None:
    """Take turns on one database; what is verified grows with every pair."""
    if not wanted & {one.id for one in FIGURES}:
        return
    count = ENTRIES_SHORT if ground.short else ENTRIES
    async with opened(ground) as (owner, pool, _):
        for statement in RAW:
            await owner.execute(statement)
        for _ in ground.turns("J1"):
            raw, posted = await raw_rate(pool, count), await posting_rate(pool, count)
            if "J1" in wanted:
                ground.note("J1", posted, raw)
        for _ in ground.turns("J3") if "J3" in wanted else ():
            begun = time.perf_counter()
            rows, damage = await journal.verify(pool)
            ground.note("J3", rows / (time.perf_counter() - begun))
            if damage:
                raise SystemExit(f"damaged: {damage[:3]}")
        for _ in ground.turns("J2") if "J2" in wanted else ():
            with patch.object(journal, "link", unlinked):
                without = await posting_rate(pool, count)
            ground.note("J2", await posting_rate(pool, count), without)
