"""What is final stays, also for direct SQL of the application's role."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from spms.core import tokens
from spms.core.access import job_actor
from spms.core.errors import RowIsFinal
from spms.core.http import EXCEPTION_HANDLERS
from spms.core.roles import APP_ROLE
from spms.partners import actions as partners
from spms.partners.model import Measure
from tests import make

FINAL = {
    "access_token", "appeal", "bad_credit", "bill_quota", "breach", "charge_file", "charge_suspicion", "clawback",
    "contact_change", "credential", "fine", "hotline_call", "hotline_finding", "inspection_item",
    "inspection_objection", "inspection_plan", "job_slot", "leave_wish", "leaving_duty",
    "message_in", "message_template", "notice", "one_time_code", "partner_event", "payout", "payout_resolution", "promotion",
    "reservation", "restriction", "settlement", "settlement_adjustment", "settlement_hold",
    "settlement_objection", "settlement_payout", "sp_booking", "sp_hotline", "subscription", "verification",
}  # fmt: skip

GOES_ON = {
    "apology": "one date, set once; the letters are the record",
    "bill_summary_wish": "a person's own switch",
    "event_feed_head": "a position",
    "idempotency": "an answer kept for a day",
    "instance": "the sandbox's clock",
    "journal_head": "the head of a chain",
    "mass_correction": "counters of a running correction; its claims are append-only",
    "mass_correction_lane": "counters",
    "mass_correction_person": "counters",
    "message_in_part": "parts of a message that is put together",
    "message_in_stray": "a counter",
    "message_in_unproven": "a time to wait until",
    "message_out": "receipts of the network come at any time, and in any order",
    "message_out_part": "receipts of the network come at any time",
    "message_receipt": "matched once its message is known",
    "month_spend": "a running sum",
    "number": "a number's present state; its events are the record",
    "number_bar": "a bar may be lifted and its end moved",
    "number_event": "corrected by later events, in a table of corrections",
    "outbox": "told once it is taken",
    "reconciliation_difference": "asked again when a side tells other figures",
    "sandbox_line": "the sandbox's own",
    "sandbox_phone": "the sandbox's own",
    "service": "a status with its events",
    "settlement_month": "a recovery point",
    "settlement_recount": "when a month was last read; the month is read daily whatever it says",
    "sp": "a status with its events",
    "sp_quota_use": "counters",
    "subscription_telling": "a position",
    "webhook_delivery": "can be replayed",
    "webhook_endpoint": "its state",
    "webhook_secret": "an end that can come earlier",
}
"""Why not."""

MAY_WRITE = """
    SELECT DISTINCT table_name FROM information_schema.column_privileges
     WHERE grantee = $1 AND privilege_type = 'UPDATE'
       AND table_name NOT IN (SELECT relname FROM pg_class WHERE relispartition)
"""
HELD = """
    SELECT DISTINCT c.relname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
      JOIN pg_proc p ON p.oid = t.tgfoid
     WHERE p.proname IN ('refuse_final', 'row_is_settled') AND NOT c.relispartition
"""


async def test_every_table_with_columns_to_write_is_held_or_has_a_reason_not_to_be(owner):
    held = {row["relname"] for row in await owner.fetch(HELD)}
    assert held == FINAL
    writable = {row["table_name"] for row in await owner.fetch(MAY_WRITE, APP_ROLE)}
    assert writable - held == set(GOES_ON)


async def refused(tx: Any, statement: str, *args: Any) -> None:
    """The application's role may not; nothing else about the statement is wrong."""
    with pytest.raises(asyncpg.CheckViolationError) as error:
        await tx.execute(statement, *args)
    [handler] = {EXCEPTION_HANDLERS[asyncpg.PostgresError]}
    response = handler(None, error.value)
    assert (response.status_code, response.content.code) == (409, RowIsFinal.code)


@pytest.fixture
async def sp_id(tx, now):
    return await make.sp(tx, now)


async def test_a_handled_message_keeps_what_came_of_it(tx, now, sp_id, owner):
    service_id = await make.service(tx, now, sp_id)
    msisdn = await make.number(tx, now)
    await make.subscription(tx, now, msisdn, service_id)  # its consent is a handled message
    await refused(tx, "UPDATE message_in SET outcome = 'nothing'")
    await refused(tx, "UPDATE message_in SET handled_at = NULL, outcome = NULL")
    assert len(await tx.fetch("SELECT id FROM message_in FOR UPDATE")) == 1
    await owner.execute("UPDATE message_in SET handled_at = NULL")
    await tx.execute("UPDATE message_in SET handled_at = $1, outcome = 'done'", now)


async def test_a_relation_that_ended_does_not_come_back(tx, now, sp_id):
    service_id = await make.service(tx, now, sp_id)
    await make.subscription(tx, now, await make.number(tx, now), service_id)
    await tx.execute(
        "UPDATE subscription SET status = 'ended', ended_at = $1, end_reason = 'sp'", now
    )
    await refused(
        tx, "UPDATE subscription SET status = 'active', ended_at = NULL, end_reason = NULL"
    )
    await refused(tx, "UPDATE subscription SET ended_at = $1", now + timedelta(days=1))


async def test_a_hotline_that_ended_stays_ended(tx, now, sp_id):
    await tx.execute("UPDATE sp_hotline SET valid_to = $1", now)
    await refused(tx, "UPDATE sp_hotline SET valid_to = NULL")
    await refused(tx, "UPDATE sp_hotline SET valid_to = $1", now + timedelta(days=1))


async def test_a_token_that_was_revoked_stays_revoked_and_signing_out_twice_is_nothing(
    tx, now, sign_in
):
    headers = await sign_in(make.OFFICER)
    token = headers["Authorization"].removeprefix("Bearer ")
    await tokens.revoke_token(tx, token, now)
    await tokens.revoke_token(tx, token, now + timedelta(hours=1))
    await refused(tx, "UPDATE access_token SET revoked_at = NULL WHERE revoked_at IS NOT NULL")


async def test_a_restriction_that_was_lifted_stays_lifted_and_one_in_force_can_be(tx, now, sp_id):
    cause = {"cause_kind": "breach", "cause_id": "1", "reason": "test"}
    actor = job_actor("test")
    await partners.restrict(
        tx, sp_id=sp_id, service_id=None, measure=Measure.OFFLINE, actor=actor, now=now, **cause
    )
    assert await partners.lift(tx, actor=actor, now=now, **cause) == 1
    assert await partners.lift(tx, actor=actor, now=now, **cause) == 0
    await refused(tx, "UPDATE restriction SET ends_at = NULL, lifted_by = NULL, lift_reason = NULL")


BREACH = """
    INSERT INTO breach (id, sp_id, kind, grade, points, service_ids, source_kind, source_id,
                        statement, state, found_at, proposed_by, decided_at, decided_by, remedy)
    VALUES ($1, $2, 'spam', 'serious', 30, '{}', 'officer', 'n' || $6::int, 'x', $3, $4, 'staff:a', $4,
            'staff:b', $5)
"""


async def test_decisions_about_breaches_and_appeals_stay(tx, now, sp_id):
    standing, quashed = uuid4(), uuid4()
    await tx.execute(BREACH, standing, sp_id, "effective", now, "due", 1)
    await tx.execute(BREACH, quashed, sp_id, "quashed", now, "void", 2)
    await tx.execute(
        "INSERT INTO appeal (id, breach_id, statement, opened_at, opened_by)"
        " VALUES ($1, $2, 'x', $3, 'sp:x')", uuid4(), quashed, now,
    )  # fmt: skip
    await tx.execute(
        "UPDATE appeal SET decision = 'quashed', decided_at = $1, decided_by = 'x'", now
    )
    await refused(tx, "UPDATE appeal SET decision = 'upheld'")
    await refused(tx, "UPDATE appeal SET reason = 'another'")
    await refused(tx, "UPDATE breach SET state = 'effective' WHERE id = $1", quashed)
    await refused(tx, "UPDATE breach SET remedy = 'due' WHERE id = $1", quashed)
    await refused(tx, "UPDATE breach SET decided_by = 'staff:c' WHERE id = $1", standing)
    await tx.execute("UPDATE breach SET state = 'appealed' WHERE id = $1", standing)
    await tx.execute(
        "INSERT INTO fine (breach_id, sp_id, amount_fen, state, imposed_at)"
        " VALUES ($1, $2, 1, 'due', $3)", standing, sp_id, now,
    )  # fmt: skip
    await tx.execute("UPDATE fine SET amount_fen = 2")
    await tx.execute("UPDATE fine SET state = 'collected', ended_at = $1", now)
    await refused(tx, "UPDATE fine SET state = 'void'")
    await refused(tx, "UPDATE fine SET amount_fen = 3")


async def test_a_notice_that_was_rejected_is_not_approved_after_all(tx, now, sp_id, owner):
    await make.service(tx, now, sp_id)
    await owner.execute("UPDATE notice SET state = 'rejected'")
    await refused(tx, "UPDATE notice SET state = 'approved'")


async def test_a_slot_that_is_done_is_not_run_again(tx, now):
    await tx.execute(
        "INSERT INTO job_slot (job, slot_at, state, finished_at) VALUES ('x', $1, 'done', $1)", now
    )
    await refused(tx, "UPDATE job_slot SET state = 'due', finished_at = NULL")


async def test_what_is_counted_is_not_counted_down(tx, now, sp_id):
    await tx.execute("INSERT INTO bill_quota VALUES ('staff:a', 'hour', $1, 5)", now)
    await tx.execute("UPDATE bill_quota SET used = used + 1")
    for used in (1, 5, 6):
        await refused(tx, "UPDATE bill_quota SET used = $1", used)
    file_id = uuid4()
    await tx.execute(
        """INSERT INTO charge_file (id, sp_id, owner, sha256, format, encoding, state, received,
                                    received_at)
           VALUES ($1, $2, 'x', $3, 'csv', 'utf-8', 'landing', 5, $4)""",
        file_id, sp_id, bytes(32), now,
    )  # fmt: skip
    await tx.execute(
        "UPDATE charge_file SET lines = 4, landed = 2, quarantined = 1, duplicates = 1"
    )
    for less in (
        "lines = 3, landed = 1",
        "landed = 3, quarantined = 0",
        "landed = 3, duplicates = 0",
    ):
        await refused(tx, f"UPDATE charge_file SET {less}")
    await tx.execute("UPDATE charge_file SET lines = 5, landed = 3")
    await tx.execute("UPDATE charge_file SET state = 'done', finished_at = $1", now)
    for other in ("landed = 4, quarantined = 0", "finished_at = finished_at + interval '1 s'",
                  "state = 'landing', finished_at = NULL"):  # fmt: skip
        await refused(tx, f"UPDATE charge_file SET {other}")
