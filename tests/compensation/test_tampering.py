"""Whoever rewrites the book with all rights is found, row by row."""

import random
import re

import pytest

from spms.compensation import accounts, journal
from spms.compensation.invariant_queries import INVARIANTS
from spms.core import anchors, db, invariants
from spms.core.signing import open_signer
from spms.core.verification import anchor_faults
from tests.compensation.conftest import DAY

NUMBERS, EACH = 85, 12

FILL = """
    WITH c AS (
        INSERT INTO charge_record
            (msisdn, charged_at, id, sp_id, service_id, record_id, kind, price_fen, delivery,
             received_at, findings, due_fen, rulebook_version)
        SELECT '8613' || lpad(n::text, 9, '0'), $1, gen_random_uuid(), $2, $3, n || '-' || i,
               'monthly', 800, 'none', $1, '{no_consent}', 0, 1
          FROM generate_series(1, $4::int) n, generate_series(1, $5::int) i
        RETURNING msisdn, id)
    INSERT INTO charge_finding (msisdn, charge_id, charged_at, kind, due_fen, found_at, found_by)
    SELECT msisdn, id, $1, 'no_consent', 0, $1, 'test' FROM c
"""


ENTRY = "msisdn = $1 AND seq = $2"
LINES = f"msisdn = $1 AND entry_id = (SELECT id FROM journal_entry WHERE {ENTRY})"
FLIPS = (
    f"UPDATE posting SET amount_fen = amount_fen + 1 WHERE {LINES} AND line_no = 1",
    f"UPDATE posting SET debit = 'goodwill' WHERE {LINES} AND line_no = 2",
    f"UPDATE posting SET actor = actor || 'x' WHERE {LINES} AND line_no = 1",
    f"UPDATE journal_entry SET at = at + interval '1 us' WHERE {ENTRY}",
    f"UPDATE journal_entry SET actor = actor || ' ' WHERE {ENTRY}",
    f"UPDATE journal_entry SET sha256 = set_byte(sha256, 5, 255 - get_byte(sha256, 5)) WHERE {ENTRY}",
)


@pytest.fixture
async def book(owner, now, world, audit):
    """Fill the book, and let the owner rewrite it without the constraints that would refuse."""
    await owner.execute(FILL, now - DAY, world.sp_id, world.service_id, NUMBERS, EACH)
    assert await audit() + await audit() == NUMBERS * EACH
    await owner.execute("ALTER TABLE posting DROP CONSTRAINT posting_accounts")
    await owner.execute("ALTER TABLE journal_entry DROP CONSTRAINT journal_entry_in_turn")
    return owner


@pytest.fixture
def anchor(pool, now, settings):
    """Return a function that anchors the book and carries the anchor out."""
    signer = open_signer(settings)

    async def anchored():
        async with db.transaction(pool) as own:
            made = await anchors.make(own, now=now, others=[journal.CHAINS])
        async with db.transaction(pool) as own:
            await anchors.carry_out(own, settings.anchor_path, signer, now=now)
        return made

    return anchored


@pytest.fixture
def outside(tx, settings):
    """Return a function that holds the book against the files."""
    keys = [open_signer(settings).public_key]

    async def compared():
        return await anchor_faults(tx, settings.anchor_path, keys, [journal.CHAINS])

    return compared


async def test_every_one_of_310_tamperings_is_named(tx, pool, book, anchor, outside):
    rows, damage = await journal.verify(pool)
    assert (rows, damage) == (3 * NUMBERS * EACH, [])
    assert (await anchor(), await anchor()) == (NUMBERS, 0), "once, until something is added"
    assert await outside() == (1, [], [])
    chance = random.Random(7)
    numbers = [f"8613{n:09d}" for n in range(1, NUMBERS + 1)]
    seqs = list(range(2, EACH))
    hit = chance.sample([(m, s) for m in numbers[:50] for s in seqs], 250)
    expected = set()
    for n, (msisdn, seq) in enumerate(hit[:200]):
        attack = FLIPS[n % len(FLIPS)]
        assert await book.execute(attack, msisdn, seq) == "UPDATE 1"
        expected.add((msisdn, seq))
    for msisdn, seq in hit[200:]:
        attack = (
            "DELETE FROM journal_entry WHERE msisdn = $1 AND seq = $2"
            if seq % 2 else
            f"DELETE FROM posting WHERE {LINES}"
        )  # fmt: skip
        await book.execute(attack, msisdn, seq)
        expected.add((msisdn, seq + seq % 2))
    _, damage = await journal.verify(pool)
    named = {(each.msisdn, each.seq) for each in damage}
    # A gap is named at the row after it; where that row is gone too, at the next one.
    present = {tuple(row) for row in await tx.fetch("SELECT msisdn, seq FROM journal_entry")}
    for msisdn, seq in expected:
        after = next(s for s in range(seq, EACH + 2) if (msisdn, s) in present)
        assert (msisdn, after) in named, (msisdn, seq)
    clean = set(numbers[50:])
    assert not clean & {msisdn for msisdn, _ in named}

    for msisdn in numbers[50:75]:  # reorder: two entries change places, fifty rows in all
        await book.execute(
            "UPDATE journal_entry SET seq = 13 - seq WHERE msisdn = $1 AND seq IN (4, 9)", msisdn
        )
    for msisdn in numbers[75:80]:  # the end is cut off, and the head knows
        await book.execute("DELETE FROM journal_entry WHERE msisdn = $1 AND seq > 10", msisdn)
        await book.execute(
            "DELETE FROM posting p WHERE msisdn = $1 AND NOT EXISTS (SELECT FROM journal_entry e "
            "WHERE e.msisdn = p.msisdn AND e.id = p.entry_id)", msisdn,
        )  # fmt: skip
    for msisdn in numbers[80:]:  # the end is cut off, and the head is wound back with it
        await book.execute("DELETE FROM journal_entry WHERE msisdn = $1 AND seq > 10", msisdn)
        await book.execute(
            "DELETE FROM posting p WHERE msisdn = $1 AND NOT EXISTS (SELECT FROM journal_entry e "
            "WHERE e.msisdn = p.msisdn AND e.id = p.entry_id)", msisdn,
        )  # fmt: skip
        await book.execute(
            "UPDATE journal_head h SET seq = 10, sha256 = e.sha256 FROM journal_entry e "
            "WHERE h.msisdn = $1 AND e.msisdn = $1 AND e.seq = 10", msisdn,
        )  # fmt: skip
    named = {(each.msisdn, each.seq) for each in (await journal.verify(pool))[1]}
    for msisdn in numbers[50:75]:
        assert {(msisdn, 4), (msisdn, 9)} <= named
    assert {(msisdn, 10) for msisdn in numbers[75:80]} <= named
    assert not {(msisdn, 10) for msisdn in numbers[80:]} & named, "nothing inside can show it"
    anchored = {(one.subject, one.seq, one.kind) for one in (await outside())[2]}
    assert {(msisdn, EACH, "truncated") for msisdn in numbers[75:]} <= anchored


async def test_a_forged_file_does_not_pass_and_names_nobody(book, anchor, outside, settings):
    await anchor()
    path = anchors.leaves_file(settings.anchor_path, 1)
    assert "8613" + "0" * 8 not in path.read_text()
    path.write_bytes(path.read_bytes().replace(b'"seq":12', b'"seq":11', 1))
    _, wrong, _ = await outside()
    assert [one.kind for one in wrong] == ["leaves_changed"]
    await book.execute("DELETE FROM posting")
    await book.execute("DELETE FROM journal_entry")
    await book.execute("DELETE FROM journal_head")
    _, _, faults = await outside()
    assert {one.kind for one in faults} == {"foreign"}, "of a book that is gone the anchor knows"


BREAKING = {
    "entries_sum_to_zero":
        "ALTER TABLE posting ALTER debit DROP NOT NULL; "
        "UPDATE posting SET debit = NULL WHERE line_no = 1",
    "deposits_are_never_negative":
        "UPDATE posting SET debit = 'deposits', credit = 'bank' WHERE line_no = 1",
    "sp_bookings_are_booked":
        "INSERT INTO sp_booking SELECT gen_random_uuid(), id, 'write_off', 1, 'x', 'x', 'agreed', now(),"
        " 'a', now(), 'b', gen_random_uuid(), 1 FROM sp",
    "entries_are_whole": "DELETE FROM posting WHERE line_no = 2",
    "chains_end_at_their_head": "UPDATE journal_head SET seq = seq + 1",
    "refunded_within_policy":
        "UPDATE claim SET due_fen = 1 WHERE state = 'refunded'",
    "refunds_add_up":
        "ALTER TABLE claim DROP CONSTRAINT claim_first_round; "
        "UPDATE claim SET principal_fen = principal_fen - 1",
    "refunds_are_booked": "UPDATE posting SET amount_fen = amount_fen + 1 WHERE line_no = 1",
    "joint_refunds_name_their_claims":
        "UPDATE claim SET source = 'batch', joint_id = gen_random_uuid() WHERE state = 'refunded'",
    "reversals_take_back_what_was_booked":
        "UPDATE journal_entry SET reverses = gen_random_uuid() WHERE seq = 1",
    "receivable_is_advances_less_recoveries": "UPDATE posting SET debit = 'goodwill'",
    "codes_stand_for_their_causes":
        "INSERT INTO mass_correction (id, service_id, sp_id, wrong_fen, due_fen, from_at, until_at, cause,"
        " bearer, reason, apology, state, charges, numbers, owed_fen, receivable_before_fen,"
        " proposed_at, proposed_by, code, code_version) SELECT gen_random_uuid(), id, sp_id, 2, 1,"
        " now() - interval '1 day', now(), 'sp_fault', 'sp', 'x', 'x', 'proposed', 1, 1, 1, 0, now(),"
        " 'x', 'metering', 1 FROM service LIMIT 1",
    "no_charge_without_decision":
        "ALTER TABLE charge_record DROP CONSTRAINT charge_record_right_has_consent; "
        "UPDATE charge_record SET findings = '{}'",
    "snapshots_match": "UPDATE posting SET amount_fen = amount_fen + 1",
}  # fmt: skip


async def test_every_invariant_holds_and_names_what_breaks_it(tx, pool, book, now):
    await journal.take_snapshot(tx, now=now + 2 * DAY)
    assert await tx.fetchval("SELECT count(*) FROM balance_snapshot") == 2
    assert [f for f in await invariants.check(tx, INVARIANTS) if not f.holds] == []
    async with db.snapshot(pool) as read:
        await invariants.check(read, INVARIANTS[:1])
        patience = await read.fetchval("SELECT current_setting('statement_timeout')")
    assert patience == "30min", "a whole book takes longer than a request may"
    for name, attack in BREAKING.items():
        change = book.transaction()
        await change.start()
        await book.execute(attack)
        broken = {f.name: f.offending for f in await invariants.check(book, INVARIANTS)}
        await change.rollback()
        assert broken[name], name
        numbers = [
            one for one in broken[name] if re.search(r"(?<![0-9a-f])8613\d{9}(?![0-9a-f])", one)
        ]
        assert numbers == [], name
    assert {each.name for each in INVARIANTS} == set(BREAKING)


async def test_the_permitted_pairs_are_the_same_in_the_code_and_in_the_database(owner):
    text = await owner.fetchval(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'posting_accounts'"
    )
    known = {f"{debit}>{credit}" for debit, credit in accounts.PAIRS}
    assert {word for word in text.split("'") if ">" in word and word[0].isalpha()} == known
