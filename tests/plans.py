"""How the database carries a statement out, on tables that are large enough to matter.

The planner is left as it is: were an index missing, it would read a whole table or sort it.
"""

import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import asyncpg

from spms.core.db import Connection
from tests import make

Plan = dict[str, Any]
GROWING = (
    "authorisation", "charge_finding", "charge_record", "charge_suspicion", "consent", "leave_wish",
    "month_spend", "number", "number_event", "number_standing", "order_use", "reservation",
    "subscription", "subscription_event",
)  # fmt: skip
"""Tables that grow with the numbers and what they do."""
BY_INDEX = {"Index Scan", "Index Only Scan", "Bitmap Heap Scan"}
MONTH = re.compile("_(20[0-9]{4})(_[0-7])?$")
"""What follows the name of a table in that of a month, and of a part of it."""
OFTEN = 7
"""After five times a connection may keep a plan."""
_NUMBERS = """
    INSERT INTO number (msisdn, epoch, state, state_since, epoch_since)
    SELECT '86139' || lpad((i * 7919 % 2000)::text, 8, '0'), 1, 'active', $1::timestamptz, $1
      FROM generate_series(1, 2000) i
"""
_EVENTS = """
    INSERT INTO number_event (msisdn, id, kind, reason, effective_at, recorded_at, actor,
                              state_after, epoch_after)
    SELECT msisdn, gen_random_uuid(), 'resumed', 'found', at, at, 'test', 'active', 1
      FROM number CROSS JOIN generate_series(9, 0, -1) ago
      CROSS JOIN LATERAL (SELECT state_since - ago * interval '1 hour' AS at) t
     ORDER BY at
"""
# Of each monthly service a relation, of the others three orders, a fortnight apart.
_RELATIONS = """
    INSERT INTO subscription
        (msisdn, id, epoch, sp_id, service_id, kind, status, tariff_id, notice_id, price_fen, channel,
         requested_at, requested_by, request_text, active_from, charge_from)
    SELECT n.msisdn, md5(n.msisdn || s.id || k)::uuid, 1, s.sp_id, s.id, s.kind, 'active', t.id, w.id,
           t.price_fen, 'sms', at, 'test', 'TQ', at, at
      FROM number n CROSS JOIN service s
      JOIN tariff t ON t.service_id = s.id JOIN notice w ON w.service_id = s.id
      JOIN generate_series(1, 3) k ON s.kind = 'on_demand' OR k = 1
      CROSS JOIN LATERAL (SELECT $1::timestamptz + substr(n.msisdn, 6)::int * interval '1 minute'
                                 + k * interval '15 days' AS at) t2
     ORDER BY at
"""
_MESSAGES = """
    INSERT INTO message_in (msisdn, received_at, id, called, text, raw, link, link_message_id,
                            handled_at)
    SELECT msisdn, active_from, id, '10010', 'Y', 'Y', 'sandbox', id::text, active_from
      FROM subscription
"""
_CONSENTS = """
    INSERT INTO consent (msisdn, subscription_id, kind, service_id, price_fen, message_received_at,
                         message_id, prompt_text, reply_text, given_at)
    SELECT msisdn, id, CASE kind WHEN 'monthly' THEN 'confirmation' ELSE 'order' END, service_id,
           price_fen, active_from, id, 'Y?', 'Y', active_from FROM subscription
"""
_HISTORY = """
    INSERT INTO subscription_event (msisdn, id, subscription_id, action, to_status, at, actor, cause)
    SELECT msisdn, gen_random_uuid(), id, 'confirm', 'active', active_from, 'test', 'test'
      FROM subscription WHERE active_from < $1 ORDER BY active_from
"""
# A charge a month or per order, an hour after the decision about it.
_DECISIONS = """
    INSERT INTO authorisation
        (msisdn, decided_at, id, purpose, sp_id, service_id, service_code, price_fen, allowed, reasons,
         subscription_id, rulebook_version, facts, requested_by)
    SELECT s.msisdn, at, md5('decision' || s.id || k)::uuid, 'charge', s.sp_id, s.service_id, v.code,
           s.price_fen, true, '{}', s.id, 1, '{}', 'test'
      FROM subscription s JOIN service v ON v.id = s.service_id
      JOIN generate_series(0, 2) k ON s.kind = 'monthly' OR k = 0
      CROSS JOIN LATERAL (SELECT s.active_from + k * interval '15 days' AS at) t
     ORDER BY at
"""
_CHARGES = """
    INSERT INTO charge_record
        (msisdn, charged_at, id, sp_id, service_id, record_id, kind, price_fen, delivery, received_at,
         consent_id, tariff_id, authorisation_id, findings, due_fen, rulebook_version)
    SELECT a.msisdn, a.decided_at + interval '1 hour', md5('charge' || a.id)::uuid, a.sp_id,
           a.service_id, a.id, s.kind, a.price_fen, 'none', a.decided_at + interval '2 hours', s.id,
           s.tariff_id, a.id, '{}', a.price_fen, 1
      FROM authorisation a JOIN subscription s ON s.msisdn = a.msisdn AND s.id = a.subscription_id
     ORDER BY a.decided_at
"""
_SPENT = """
    INSERT INTO month_spend (msisdn, month, total_fen, by_service, turn, epoch)
    SELECT n.msisdn, month, 2000, '{}', 1, 1
      FROM number n CROSS JOIN generate_series('2026-01-01'::date, '2026-03-01', '1 month') month
     ORDER BY month
"""
_USED = """
    INSERT INTO order_use (msisdn, subscription_id, authorisation_id, used_at)
    SELECT msisdn, subscription_id, a.id, decided_at FROM authorisation a
      JOIN service v ON v.id = a.service_id WHERE v.kind = 'on_demand' ORDER BY decided_at
"""
# One in a hundred was let go. Of the last days there are few, as in a book of years.
_HELD = """
    INSERT INTO reservation (msisdn, id, reserved_at, sp_id, service_id, reference, price_fen,
                             expires_at, state, closed_at, closed_by)
    SELECT a.msisdn, a.id, a.decided_at, a.sp_id, a.service_id, a.id::text, a.price_fen,
           a.decided_at + interval '1 day',
           CASE substr(a.msisdn, 6)::int % 100 WHEN 7 THEN 'released' ELSE 'captured' END,
           a.decided_at + interval '1 minute', 'test'
      FROM authorisation a JOIN service v ON v.id = a.service_id
     WHERE v.kind = 'on_demand' AND (a.decided_at < $1 OR substr(a.msisdn, 6)::int % 10 = 7)
     ORDER BY a.decided_at
"""
_FINDINGS = """
    INSERT INTO charge_finding (msisdn, charge_id, charged_at, kind, due_fen, found_at, found_by)
    SELECT msisdn, id, charged_at, 'over_cap', due_fen, received_at, 'test' FROM charge_record
     WHERE substr(msisdn, 6)::int % 4 = 0
"""
_SUSPICIONS = """
    INSERT INTO charge_suspicion (msisdn, charge_id, kind, id, charged_at, sp_id, due_fen, detail,
                                  found_at, found_by)
    SELECT msisdn, id, 'split_charges', gen_random_uuid(), charged_at, sp_id, 0, '{}', received_at,
           'test' FROM charge_record
     WHERE substr(msisdn, 6)::int % 4 = 1
"""
_WISHES = """
    INSERT INTO leave_wish (msisdn, received_at, message_id, settled_at, settled_by)
    SELECT msisdn, received_at, id, received_at + interval '1 minute', 'test' FROM message_in
     WHERE received_at < $1
"""


async def fill(tx: Connection, owner: asyncpg.Connection, now: datetime) -> None:
    """Fill the book: 2,000 numbers with 8 relations each, 24,000 decisions and charges, 2 months.

    What is looked for by when it was recorded is old, as nearly all of a book of years is.
    """
    for _ in range(2):
        sp_id = await make.sp(tx, now)
        await make.service(tx, now, sp_id)
        await make.service(tx, now, sp_id, kind="on_demand", price_fen=200)
    first, recent = now - timedelta(days=50), now - timedelta(days=10)
    async with owner.transaction():  # a live relation and its consent name each other
        await owner.execute(_NUMBERS, first)
        await owner.execute(_EVENTS)
        await owner.execute(_RELATIONS, first)
        for statement in (
            _MESSAGES,
            _CONSENTS,
            _DECISIONS,
            _CHARGES,
            _SPENT,
            _USED,
            _FINDINGS,
            _SUSPICIONS,
        ):
            await owner.execute(statement)
        for statement in (_HISTORY, _HELD, _WISHES):
            await owner.execute(statement, recent)
    await owner.execute("VACUUM ANALYZE")


def nodes(plan: Plan) -> Iterator[Plan]:
    """Yield a plan's nodes, from the top."""
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)


async def plan_of(read: Connection, statement: str, *arguments: object, mode: str = "auto") -> Plan:
    """Return the plan by which a connection carries a statement out that it has carried out often.

    By then it either keeps a plan for any arguments or makes one each time, whichever it thinks cheaper;
    `mode` is a `plan_cache_mode` that decides for it. Only of a prepared statement `EXPLAIN` shows that:
    of any other it shows the plan for the arguments it is given.
    """
    await read.execute(f"SET plan_cache_mode = {mode}; PREPARE looked_at AS {statement}")
    try:
        values = ", ".join(map(_literal, arguments))
        for _ in range(OFTEN):
            plan = await read.fetchval(
                f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE looked_at ({values})"
            )
    finally:
        await read.execute("DEALLOCATE looked_at; RESET plan_cache_mode")
    found: Plan = json.loads(plan)[0]["Plan"]
    return found


def scans(plan: Plan) -> list[Plan]:
    """Return where a plan read a page of a table that grows (an empty month has none)."""
    return [
        node for node in nodes(plan)
        if node.get("Relation Name", "").startswith(GROWING) and node["Actual Loops"]
        and touched(node)
    ]  # fmt: skip


def require_narrow(plan: Plan, tables: set[str], *, months: set[str], sorted_most: int) -> None:
    """Require that a plan reads these tables by index, these months only, and sorts no more rows."""
    found = scans(plan)
    ways = {(MONTH.sub("", node["Relation Name"]), node["Node Type"]) for node in found}
    assert {table for table, _ in ways} == tables, ways
    assert {how for _, how in ways} <= BY_INDEX, ways
    read = {cut[1] for node in found if (cut := MONTH.search(node["Relation Name"]))}
    assert read <= months, read
    for node in nodes(plan):
        if "Sort" in node["Node Type"]:
            assert node["Actual Rows"] <= sorted_most, node.get("Sort Key")


def _literal(value: object) -> str:
    """Write a value as SQL, of a type that the statement says."""
    if value is None:
        return "NULL"
    if isinstance(value, list | tuple):
        return "'{" + ",".join(f'"{each}"' for each in value) + "}'"
    if isinstance(value, timedelta):
        return f"'{value.total_seconds()} seconds'"
    return f"'{value}'"


def touched(plan: Plan) -> int:
    """Return how many pages a plan read."""
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])
