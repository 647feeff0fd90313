"""What the database itself refuses, whoever asks: rewriting, and more than double."""

import asyncio

import asyncpg
import pytest

from spms.compensation import actions, journal, journal_queries
from spms.compensation.journal import AlreadyReversed
from spms.core import db
from tests import make
from tests.compensation.conftest import PRICE

REWRITING = [
    *[
        f"{verb}{table}{rest}"
        for table in (
            "claim",
            "journal_entry",
            "posting",
            "journal_head",
            "balance_snapshot",
        )
        for verb, rest in (("DELETE FROM ", ""), ("TRUNCATE ", " CASCADE"))
    ],
    "UPDATE claim SET state = 'stands', due_fen = charged_fen, turn = 1",
    "UPDATE claim SET reason = 'else'",
    "UPDATE claim SET principal_fen = 1",
    "UPDATE claim SET principal_so_far_fen = 0, compensation_so_far_fen = 0",
    "UPDATE refund_total SET honoured_due_fen = 0",
    "DELETE FROM refund_total",
    "UPDATE posting SET amount_fen = 1",
    "UPDATE posting SET debit = 'goodwill'",
    "UPDATE journal_entry SET at = now()",
    "UPDATE balance_snapshot SET debit_fen = 0",
    "UPDATE claim SET charged_fen = 1000000",
    "ALTER TABLE claim DROP CONSTRAINT claim_multiples",
    "ALTER TABLE claim DISABLE TRIGGER claim_of_charge",
    "ALTER TABLE claim DROP CONSTRAINT claim_refunded_once",
]


@pytest.fixture
async def refunded(world, claim):
    charge_id = await world.wrong()
    await world.wrong()  # nobody claims this one
    return await claim(world.msisdn, charge_id)


async def test_the_application_cannot_rewrite_what_was_decided(tx, refunded):
    for attack in REWRITING:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await tx.execute(attack)


REFUSED = (asyncpg.IntegrityConstraintViolationError, asyncpg.InsufficientPrivilegeError)
COLUMNS = (
    "msisdn, id, charge_id, charged_at, sp_id, source, reason, state, charged_fen, due_fen, turn, "
    "opened_at, opened_by, round, cause, bearer, principal_fen, compensation_fen, "
    "principal_so_far_fen, compensation_so_far_fen, honoured_due_fen"
)


def another(of="claim", **values):
    """Write the statement that inserts the claim there is once more, but for some columns."""
    values = {"id": "gen_random_uuid()"} | values
    shown = ", ".join(values.get(name, name) for name in COLUMNS.split(", "))
    return f"INSERT INTO claim ({COLUMNS}) SELECT {shown} FROM {of}"


OTHER_CHARGE = """(SELECT k.*, c.id AS other FROM claim k JOIN charge_record c USING (msisdn)
    WHERE c.id <> k.charge_id) k"""
NEXT = {"round": "2", "principal_fen": "0", "compensation_fen": "0"}
STANDS = dict.fromkeys(
    ("round", "bearer", "principal_fen", "compensation_fen", "principal_so_far_fen",
     "compensation_so_far_fen", "honoured_due_fen"), "NULL",
) | {"state": "'stands'", "due_fen": "charged_fen"}  # fmt: skip
FORBIDDEN_ROWS = {
    "one fen more than double": another(
        **NEXT | {"principal_fen": "1", "principal_so_far_fen": "principal_so_far_fen + 1"}
    ),
    "more compensation than principal": another(
        OTHER_CHARGE,
        charge_id="other",
        principal_fen="1",
        compensation_fen="2",
        principal_so_far_fen="1",
        compensation_so_far_fen="2",
    ),
    "far over double from the start": another(
        OTHER_CHARGE, charge_id="other", principal_fen="801", principal_so_far_fen="801"
    ),
    "a negative amount": another(
        **NEXT
        | {"compensation_fen": "-1", "compensation_so_far_fen": "compensation_so_far_fen - 1"}
    ),
    "a first round that hides what it pays": another(
        OTHER_CHARGE, charge_id="other", principal_so_far_fen="1", compensation_so_far_fen="1"
    ),
    "a round that forgets the one before": another(
        **NEXT | {"principal_fen": "800", "compensation_fen": "800"}
    ),
    "a round before which one is missing": another(**NEXT | {"round": "3"}),
    "a refund that says nothing of what it pays": another(
        OTHER_CHARGE, charge_id="other", bearer="NULL"
    ),
    "a price that was not charged": another(OTHER_CHARGE, charge_id="other", charged_fen="1000000"),
    "a charge of another SP": another(OTHER_CHARGE, charge_id="other", sp_id="gen_random_uuid()"),
    "a correction of a charge that never was": another(
        charge_id="gen_random_uuid()", source="'batch'"
    ),
    "a line of no entry": """
        INSERT INTO posting SELECT msisdn, gen_random_uuid(), gen_random_uuid(), debit, credit, sp_id,
               amount_fen, reason, charge_id, NULL, at, actor, 1, 1 FROM posting LIMIT 1""",
    "one more line of an entry": """
        INSERT INTO posting SELECT msisdn, gen_random_uuid(), entry_id, debit, credit, sp_id,
               amount_fen, reason, charge_id, NULL, at, actor, 3, 3 FROM posting LIMIT 1""",
    "a second claim that refunds the charge": another(),
    "a claim that refunds no difference": another(due_fen="charged_fen"),
    "a claim that lets a difference stand": another(**STANDS | {"turn": "1", "due_fen": "due_fen"}),
    "a sixth claim that finds the charge right": another(**STANDS | {"turn": "6"}),
    "a claim about a charge that never was": another(charge_id="gen_random_uuid()"),
    "the same lines of an entry again": """
        INSERT INTO posting SELECT msisdn, gen_random_uuid(), entry_id, debit, credit, sp_id,
               amount_fen, reason, charge_id, NULL, at, actor, line_no, of_lines FROM posting""",
    "an entry without lines": """
        INSERT INTO journal_entry (msisdn, id, seq, kind, lines, amount_fen, at, actor, prev_sha256,
                                   sha256)
        SELECT msisdn, gen_random_uuid(), 99, kind, 1, 1, at, actor, sha256, sha256
          FROM journal_entry""",
    "a posting from an account to itself": """
        INSERT INTO posting SELECT msisdn, gen_random_uuid(), entry_id, debit, debit, sp_id,
               amount_fen, reason, charge_id, NULL, at, actor, line_no, of_lines FROM posting LIMIT 1""",
    "a posting of a negative amount": """
        INSERT INTO posting SELECT msisdn, gen_random_uuid(), entry_id, debit, credit, sp_id,
               -amount_fen, reason, charge_id, NULL, at, actor, line_no, of_lines FROM posting LIMIT 1""",
    "the same posting again": "INSERT INTO posting SELECT * FROM posting LIMIT 1",
    "a debit that takes no credit back": """
        INSERT INTO payout (msisdn, id, charge_id, round, charged_at, sp_id, amount_fen, state, due_at,
                            queued_at, takes_back)
        SELECT msisdn, gen_random_uuid(), charge_id, round, charged_at, sp_id, amount_fen, 'queued',
               due_at, queued_at, gen_random_uuid() FROM payout LIMIT 1""",
}

BY = {
    "one fen more than double": "claim_multiples",
    "a round that forgets the one before": "claim_so_far",
    "a price that was not charged": "claim_of_charge",
    "a charge of another SP": "claim_of_charge",
    "a correction of a charge that never was": "claim_of_charge",
    "a first round that hides what it pays": "claim_first_round",
    "a refund that says nothing of what it pays": "claim_says_what_it_pays",
    "a round before which one is missing": "claim_so_far",
    "a debit that takes no credit back": "payout_takes_back",
    "a line of no entry": "journal_entry_whole",
    "one more line of an entry": "journal_entry_whole",
    "an entry without lines": "journal_entry_whole",
    "the same lines of an entry again": "posting_pkey",
    "a second claim that refunds the charge": "claim_refunded_once",
}
"""What has to refuse it: anything else would be an attack that misses."""


async def test_the_database_refuses_what_would_break_a_promise(tx, refunded):
    before = await _rows(tx)
    for name, attack in FORBIDDEN_ROWS.items():
        with pytest.raises(REFUSED) as refused:
            await tx.execute(attack)
        assert name not in BY or refused.value.constraint_name == BY[name], name
        assert await _rows(tx) == before, name


async def _rows(tx):
    tables = ("claim", "refund", "journal_entry", "posting")
    return [[tuple(row) for row in await tx.fetch(f"TABLE {table}")] for table in tables]


async def test_the_journal_of_each_sp_is_what_its_charges_were_refunded(tx, now, world, audit):
    fen = {world.sp_id: 0}
    for price in (800, 500, 1):
        await world.wrong(price_fen=price)
        fen[world.sp_id] += 2 * price
    other = await world.another_sp()
    await other.wrong()
    fen[other.sp_id] = 2 * PRICE
    clean_sp = await make.sp(tx, now)
    fen[clean_sp] = 0
    await audit()
    for sp_id, owed in fen.items():
        assert await actions.receivable(tx, sp_id) == owed
    rows = await tx.fetch(
        """SELECT p.sp_id, p.reason, sum(p.amount_fen)::bigint AS booked,
                  sum(r.amount_fen)::bigint AS refunded
             FROM posting p JOIN refund r
               ON r.msisdn = p.msisdn AND r.charge_id = p.charge_id
              AND p.reason = 'refund_' || r.kind AND p.entry_id = r.claim_id
            GROUP BY p.sp_id, p.reason"""
    )
    assert len(rows) == 4
    assert all(row["booked"] == row["refunded"] == fen[row["sp_id"]] // 2 for row in rows)


async def test_an_entry_is_taken_back_by_a_linked_one_and_only_once(tx, pool, now, world, refunded):
    async def reverse():
        async with db.transaction(pool) as own:
            return await journal.reverse(
                own, world.msisdn, refunded.id, actor=make.OFFICER, now=now
            )

    ended = await asyncio.gather(*[reverse() for _ in range(6)], return_exceptions=True)
    (entry,) = (one for one in ended if not isinstance(one, Exception))
    assert [type(one) for one in ended if isinstance(one, Exception)] == [AlreadyReversed] * 5
    assert entry.reverses == refunded.id
    assert {(line.debit, line.credit) for line in entry.lines} == {
        ("subscriber_payable", "sp_receivable")
    }
    assert await actions.receivable(tx, world.sp_id) == 0
    assert await journal.verify(pool) == (6, [])


async def test_a_refund_that_fails_half_way_leaves_nothing(tx, owner, world, audit):
    await world.wrong()
    await owner.execute("REVOKE INSERT ON posting FROM spms_app")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await audit()
    assert await _rows(tx) == [[], [], [], []]
    assert await tx.fetchval("SELECT count(*) FROM message_out") == 0
    await owner.execute("GRANT INSERT ON posting TO spms_app")
    assert await audit() == 1


async def test_a_caller_that_rolls_back_takes_the_refund_with_it(pool, tx, now, world):
    await world.wrong()
    async with pool.acquire() as connection:
        outer = connection.transaction()
        await outer.start()
        assert await actions.refund_findings(connection, now=now, limit=10) == 1
        await outer.rollback()
    assert await _rows(tx) == [[], [], [], []]


async def test_a_stretch_of_the_book_is_verified_without_reading_the_rest(pool):
    """Every table within the stretch's bounds: else a book twice as long takes four times as long."""
    async with pool.acquire() as read, read.transaction():
        await read.execute(
            "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; "
            "SET LOCAL enable_nestloop = off"
        )
        rows = await read.fetch(f"EXPLAIN {journal_queries.VERIFY}", "8613", "8614")
    plan = [row[0].strip() for row in rows]
    scans = [line for line in plan if " Scan using " in line or "Seq Scan" in line]
    bounded = [line for line in plan if line.startswith("Index Cond: ((msisdn > ")]
    assert (len(scans), len(bounded)) == (6, 6), plan
