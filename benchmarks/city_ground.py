"""The ground of a city's month: what `spms simulate --month` writes, filled into a database in bulk.

The charge files stay files: they are what is ingested. What the platform is to know before them
(numbers, relations, consents, decisions) is filled by bulk statements, a file of relations in one
transaction, rows in the order of time in which they would have come. What checks and indexes rows is
set aside meanwhile and put back over all of them: foreign keys are validated, and what a decision
rests on (`number_standing`) is made by the database's own rule.
"""

import asyncio
import csv
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from spms.city.month import Month
from spms.city.month_files import write
from spms.core import db, migrate, roles
from tests import make

FILLERS = 2
PARTED = ("message_in", "message_out", "authorisation", "decision_pack", "charge_record")
FILLED = ("number", "number_event", "subscription", "consent", "message_in", "authorisation")
STANDING = ("number_event", "subscription", "consent")
UNREAD = {
    "subscription_id", "subscription_by_sp", "subscription_orders", "authorisation_id",
    "authorisation_of_sp",
}  # fmt: skip
"""Indexes that no part of the month's work reads or writes: a lean ground does without them."""
OBSERVED = ("no_decision", "delivered_not_charged")
"""Kinds that are only counted, not found on a record."""
BEFORE = timedelta(days=50)
"""How long before the month its numbers began."""
Say = Callable[[str], None]

TABLES = """
    CREATE TABLE month_service AS
    SELECT s.id, s.sp_id, s.code, s.kind, t.price_fen, t.id AS tariff_id, n.id AS notice_id
      FROM service s JOIN tariff t ON t.service_id = s.id JOIN notice n ON n.service_id = s.id;
    CREATE INDEX ON month_service (code);
    CREATE TABLE month_label (record_id text, kind text NOT NULL);
"""
BATCH = """
    CREATE TEMPORARY TABLE told (msisdn text, id uuid, code text, agreed_at timestamptz,
                                 charge_from timestamptz, ended_at timestamptz,
                                 asked_at timestamptz) ON COMMIT DROP
"""
BATCH_OF = """
    CREATE TEMPORARY TABLE batch ON COMMIT DROP AS
    SELECT t.*, s.id AS service_id, s.sp_id, s.kind, s.price_fen, s.tariff_id, s.notice_id
      FROM told t JOIN month_service s USING (code) ORDER BY agreed_at, t.id
"""
PEOPLE = """
    INSERT INTO number (msisdn, epoch, state, state_since, epoch_since)
    SELECT DISTINCT msisdn, 1, 'active', $1::timestamptz, $1::timestamptz FROM batch ORDER BY msisdn
    ON CONFLICT DO NOTHING
"""
BEGINNINGS = """
    INSERT INTO number_event (msisdn, id, kind, reason, effective_at, recorded_at, actor,
                              state_after, epoch_after)
    SELECT msisdn, gen_random_uuid(), 'activated', 'opened', $1::timestamptz, $1::timestamptz,
           'city', 'active', 1
      FROM (SELECT DISTINCT msisdn FROM batch ORDER BY msisdn) n
"""
RELATIONS = """
    INSERT INTO subscription (msisdn, id, epoch, sp_id, service_id, kind, status, tariff_id,
           notice_id, price_fen, channel, requested_at, requested_by, request_text, prompt_code,
           prompt_text, confirm_by, active_from, charge_from, ended_at, end_reason)
    SELECT msisdn, id, 1, sp_id, service_id, kind,
           CASE WHEN ended_at IS NULL THEN 'active' ELSE 'ended' END, tariff_id, notice_id,
           price_fen, 'sms', agreed_at, 'subscriber:sms', 'TQ', '4821', '回复Y确认',
           agreed_at + interval '1 hour', agreed_at, charge_from, ended_at,
           CASE WHEN ended_at IS NOT NULL THEN 'subscriber' END
      FROM batch
"""
MESSAGES = """
    INSERT INTO message_in (msisdn, received_at, id, called, text, raw, link, link_message_id,
                            handled_at)
    SELECT msisdn, agreed_at, id, '10010', 'Y', 'Y', 'city',
           substr(replace(id::text, '-', ''), 1, 16), agreed_at
      FROM batch
"""
CONSENTS = """
    INSERT INTO consent (msisdn, subscription_id, kind, service_id, price_fen, message_received_at,
                         message_id, prompt_text, reply_text, given_at)
    SELECT msisdn, id, CASE kind WHEN 'monthly' THEN 'confirmation' ELSE 'order' END, service_id,
           price_fen, agreed_at, id, '回复Y确认', 'Y', agreed_at
      FROM batch
"""
DECISIONS = """
    INSERT INTO authorisation (msisdn, decided_at, id, purpose, sp_id, service_id, service_code,
           price_fen, allowed, reasons, subscription_id, rulebook_version, facts, requested_by)
    SELECT msisdn, asked_at, id, 'charge', sp_id, service_id, code,
           price_fen, true, '{}', id, 1, '{}', 'city'
      FROM batch WHERE asked_at IS NOT NULL ORDER BY asked_at
"""
KEPT = """
    INSERT INTO number_standing (msisdn, body)
    SELECT DISTINCT msisdn, '[[],[],[],[]]' FROM batch ORDER BY msisdn
"""
DUE = """
    UPDATE number_standing k SET body = d.body
      FROM (SELECT DISTINCT msisdn FROM batch) n JOIN number_standing_due d ON d.msisdn = n.msisdn
     WHERE k.msisdn = n.msisdn
"""
# Those that stayed while rows came out of their order: a third larger than they need be.
FILLED_INDEXES = """
    SELECT i.indexrelid::regclass::text AS name
      FROM unnest($1::text[]) AS named, pg_partition_tree(named::regclass) t
      JOIN pg_index i ON i.indrelid = t.relid
     WHERE t.isleaf AND pg_relation_size(t.relid) > 0
       AND (i.indisprimary OR EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid))
     GROUP BY 1 ORDER BY 1
"""
INDEXES = """
    SELECT c.oid::regclass::text AS name,
           replace(pg_get_indexdef(c.oid), ' ON ONLY ', ' ON ') AS definition
      FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
     WHERE i.indrelid = ANY($1::text[]::regclass[]) AND NOT i.indisprimary
       AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid)
       AND NOT EXISTS (SELECT FROM pg_inherits h WHERE h.inhrelid = i.indexrelid)
     ORDER BY c.oid
"""
EVENT = """
    INSERT INTO number_event (msisdn, id, kind, reason, effective_at, recorded_at, actor,
                              state_after, epoch_after)
    VALUES ($1, gen_random_uuid(), $3, 'operator', $2::text::timestamptz,
            $2::text::timestamptz, 'city', $4, $5::text::int)
"""
BAR = """
    INSERT INTO number_bar (msisdn, id, epoch, scope, target, starts_at, ends_at, set_by, lifted_by)
    SELECT $1, gen_random_uuid(), 1, 'sp', id::text, $3::text::timestamptz, $4::text::timestamptz,
           'subscriber:sms', 'subscriber:sms'
      FROM sp WHERE code = $2
"""
CAP = """
    INSERT INTO number_cap (msisdn, id, epoch, scope, limit_fen, starts_at, set_by)
    VALUES ($1, gen_random_uuid(), 1, 'total', $3::text::bigint, $2::text::timestamptz,
            'subscriber:sms')
"""
HELD = """
    INSERT INTO reservation (msisdn, id, reserved_at, sp_id, service_id, reference, price_fen,
                             expires_at, state, closed_at, closed_by)
    SELECT msisdn, id, decided_at, sp_id, service_id, id::text, price_fen,
           decided_at + interval '10 minutes', $3, decided_at + interval '5 seconds', 'city'
      FROM authorisation WHERE msisdn = $1 AND id = $2::text::uuid
"""
KEYS = """
    SELECT conrelid::regclass::text AS of_table, conname AS name,
           pg_get_constraintdef(oid) AS definition
      FROM pg_constraint
     WHERE conrelid::regclass::text = ANY($1::text[]) AND contype = 'f' AND conparentid = 0
"""
LABEL = "INSERT INTO month_label VALUES ($1, $2)"
TOLD = (
    ("events.csv", EVENT), ("bars.csv", BAR), ("caps.csv", CAP), ("holds.csv", HELD),
    ("labels.csv", LABEL),
)  # fmt: skip


async def arrange(url: str, month: Month, directory: Path, *, say: Say, lean: bool = False) -> None:
    """Make a database, let the month be simulated into a directory, and fill in what is known.

    `lean` saves a fifth of the disk: it leaves out what none of the month's work looks at.
    """
    owner = await db.connect(url)
    await roles.ensure_group(owner)
    await roles.make_login(owner, url)
    await migrate.migrate(owner)
    await owner.close()
    await fill(url, month, directory, say=say, lean=lean, parted=PARTED)


async def fill(
    url: str, month: Month, directory: Path, *, say: Say, lean: bool, parted: tuple[str, ...]
) -> None:
    """Simulate a month and fill it into a database that has the schema; `parted` get partitions."""
    owner = await db.connect(url)
    await owner.execute("SET statement_timeout = 0")
    days = range(-2, month.days + 32, 28)
    for first in sorted({(month.began + timedelta(days=n)).date().replace(day=1) for n in days}):
        for table in parted:
            await owner.execute("SELECT make_month_partition($1, $2)", table, first)
    counts = await asyncio.to_thread(write, month, directory)
    say("simulated: " + ", ".join(f"{count:,} {name}" for name, count in counts.items()))
    await _market(owner, month, directory)
    await owner.execute(TABLES)
    async with _keys_aside(owner), _work_aside(owner, lean=lean):
        await _fill(url, month, directory, say, lean=lean)
        say("putting indexes and keys back")
    for name, statement in TOLD:
        await owner.executemany(statement, _rows(directory / name))
    await owner.execute(f"VACUUM ANALYZE {', '.join(FILLED)}, month_label", timeout=36_000)
    await owner.close()
    say("the ground is done")


def _rows(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))[1:]


async def _market(owner: Any, month: Month, directory: Path) -> None:
    """Make the SPs and services that the month names."""
    sps: dict[str, Any] = {}
    for sp_code, code, kind, price_fen in _rows(directory / "services.csv"):
        if sp_code not in sps:
            sps[sp_code] = await make.sp(owner, month.began, code=sp_code)
        await make.service(
            owner, month.began, sps[sp_code], price_fen=int(price_fen), kind=kind, code=code
        )


@asynccontextmanager
async def _keys_aside(owner: Any) -> AsyncIterator[None]:
    """Take the foreign keys away while all is written, and check them once, after it."""
    keys = await owner.fetch(KEYS, list(FILLED[1:]))
    for key in keys:
        await owner.execute(f"ALTER TABLE {key['of_table']} DROP CONSTRAINT {key['name']}")
    yield
    for key in keys:
        await owner.execute(
            f"ALTER TABLE {key['of_table']} ADD CONSTRAINT {key['name']} {key['definition']}",
            timeout=36_000,
        )


@asynccontextmanager
async def _work_aside(owner: Any, *, lean: bool) -> AsyncIterator[None]:
    """Take away what each row would cost while all are written; put it back over all of them."""
    indexes = await owner.fetch(INDEXES, list(FILLED))
    for index in indexes:
        await owner.execute(f"DROP INDEX {index['name']}")
    for table in STANDING:
        await owner.execute(f"ALTER TABLE {table} DISABLE TRIGGER {table}_standing_added")
    yield
    for table in STANDING:
        await owner.execute(f"ALTER TABLE {table} ENABLE TRIGGER {table}_standing_added")
    await owner.execute("SET maintenance_work_mem = '512MB'")
    for index in indexes:
        if not lean or index["name"] not in UNREAD:
            await owner.execute(index["definition"], timeout=36_000)
    for index in await owner.fetch(FILLED_INDEXES, list(FILLED)):
        await owner.execute(f"REINDEX INDEX {index['name']}", timeout=36_000)


async def _fill(url: str, month: Month, directory: Path, say: Say, *, lean: bool) -> None:
    """Fill the files of relations, some side by side; each is deleted when it is in."""
    files = sorted((directory / "relations").iterdir())
    waiting, done = iter(files), 0

    async def filler() -> None:
        nonlocal done
        owner = await db.connect(url)
        await owner.execute("SET statement_timeout = 0")
        for path in waiting:
            await _batch(owner, path, month, lean=lean)
            path.unlink()
            done += 1
            if done % 10 == 0 or done == len(files):
                say(f"{done} of {len(files)} files of relations filled")
        await owner.close()

    await asyncio.gather(*(filler() for _ in range(FILLERS)))


async def _batch(owner: Any, path: Path, month: Month, *, lean: bool) -> None:
    born = month.began - BEFORE
    async with owner.transaction():
        await owner.execute(BATCH)
        await owner.copy_to_table("told", source=path, format="csv", header=True, timeout=3600)
        await owner.execute(BATCH_OF, timeout=3600)
        await owner.execute("ANALYZE batch")
        for statement, *values in (
            (PEOPLE, born), (BEGINNINGS, born), (RELATIONS,), (MESSAGES,), (CONSENTS,),
            (DECISIONS,),
        ):  # fmt: skip
            await owner.execute(statement, *values, timeout=3600)
        if not lean:
            await owner.execute(KEPT, timeout=3600)
            await owner.execute(DUE, timeout=3600)
