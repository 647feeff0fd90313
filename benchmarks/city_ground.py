"""The ground of S1: people, relations and decisions of a city's month, and the files it delivers.

Everything follows from a number's place and a charge's place with it, so nothing has to be kept in
memory, and any part can be made again: `month_plan(first, until)` says what the numbers of a range
are charged. Numbers are filled in batches by bulk statements, rows in the order of time in which
they would have come. What checks and indexes rows is set
aside meanwhile and put back over all of them: foreign keys are validated, and what a decision rests
on (`number_standing`) is made by the database's own rule.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.city_plants import plant
from benchmarks.ingest import keys_aside
from spms.charging.model import COLUMNS
from spms.core import db, migrate, roles
from tests import make

EACH = 25
"""Charges of a number in the month."""
START = datetime(2026, 2, 28, 16, tzinfo=UTC)  # March in Shanghai
DAYS = 30
SERVICES_OF_SP = 10
ON_DEMAND_FROM = 7
"""Of an SP's services the last three are on demand."""
USE_FEN = 400
"""Price of the last of them: three in a row are too many."""
BATCH = 10_000
"""Numbers filled in one transaction."""
FILLERS = 2
PARTED = ("message_in", "message_out", "authorisation", "decision_pack", "charge_record")
MONTHS = ("2026-02-01", "2026-03-01", "2026-04-01")
FILLED = ("number", "number_event", "subscription", "consent", "message_in", "authorisation")
STANDING = ("number_event", "subscription", "consent")
UNREAD = {
    "subscription_id", "subscription_by_sp", "subscription_orders", "authorisation_id",
    "authorisation_of_sp",
}  # fmt: skip
"""Indexes that no part of the month's work reads or writes: a lean ground does without them."""
Say = Callable[[str], None]

# A number's services lie apart, so that nearly each of its charges is another SP's. One charge for
# each relation: a monthly service held since long, or an order of an hour before.
TABLES = """
    CREATE TABLE month_service AS
    SELECT s.id, s.sp_id, s.code, s.kind, t.price_fen, t.id AS tariff_id, n.id AS notice_id,
           (row_number() OVER (ORDER BY s.code) - 1)::int AS place
      FROM service s JOIN tariff t ON t.service_id = s.id JOIN notice n ON n.service_id = s.id;
    CREATE INDEX ON month_service (place);
    CREATE TABLE month_more (i int, id uuid, place int, charged_at timestamptz);
    CREATE TABLE month_label (record_id text PRIMARY KEY, kind text NOT NULL);
    CREATE TABLE month_change (id uuid PRIMARY KEY, price_fen bigint, delivery text,
                               withheld boolean NOT NULL);
    CREATE TABLE month_beside (record_id text PRIMARY KEY, sp_id uuid, code text, msisdn text,
                               charged_at timestamptz, price_fen bigint, known boolean NOT NULL);
    CREATE TABLE month_counted (kind text, charges bigint);
    CREATE FUNCTION month_plan(first int, until int)
           RETURNS TABLE (i int, msisdn text, id uuid, record_id text, service_id uuid, sp_id uuid, code text,
                          kind text, price_fen bigint, tariff_id uuid, notice_id uuid,
                          charged_at timestamptz)
           LANGUAGE sql STABLE AS $$
    SELECT p.i, '8613' || lpad(p.i::text, 9, '0'), p.id, substr(replace(p.id::text, '-', ''), 1, 16),
           s.id, s.sp_id, s.code, s.kind, s.price_fen, s.tariff_id, s.notice_id, p.charged_at
      FROM (SELECT i, md5('charge ' || i || ' ' || k)::uuid AS id,
                   (abs(hashint4(i)::bigint) + k * {step}) % {services} AS place,
                   timestamptz '{start:%FT%TZ}' + interval '1 second'
                       * (60 + abs(hashint8(i::bigint * 100 + k)::bigint) % (29 * 86400)) AS charged_at
              FROM generate_series(first, until - 1) i, generate_series(0, {each} - 1) k
             UNION ALL
            SELECT i, id, place, charged_at FROM month_more
             WHERE i >= first AND i < until) p
      JOIN month_service s ON s.place = p.place
    $$;
"""
BATCH_OF = """
    CREATE TEMPORARY TABLE batch ON COMMIT DROP AS
    SELECT *, CASE kind WHEN 'monthly' THEN timestamptz '{start:%FT%TZ}' - interval '1 day'
                        ELSE charged_at - interval '1 hour' END AS agreed_at
      FROM month_plan({first}, {until}) ORDER BY agreed_at, id
"""
PEOPLE = """
    INSERT INTO number (msisdn, epoch, state, state_since, epoch_since)
    SELECT DISTINCT msisdn, 1, 'active', $1::timestamptz, $1::timestamptz FROM batch ORDER BY msisdn
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
           prompt_text, confirm_by, active_from, charge_from)
    SELECT msisdn, id, 1, sp_id, service_id, kind, 'active', tariff_id, notice_id, price_fen,
           'sms', agreed_at, 'subscriber:sms', 'TQ', '4821', '回复Y确认',
           agreed_at + interval '1 hour', agreed_at, agreed_at
      FROM batch
"""
MESSAGES = """
    INSERT INTO message_in (msisdn, received_at, id, called, text, raw, link, link_message_id,
                            handled_at)
    SELECT msisdn, agreed_at, id, '10010', 'Y', 'Y', 'city', record_id, agreed_at FROM batch
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
    SELECT msisdn, charged_at - interval '10 seconds', id, 'charge', sp_id, service_id, code,
           price_fen, true, '{}', id, 1, '{}', 'city'
      FROM batch ORDER BY charged_at
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
# In the order in which an SP writes: by time.
FILES = """
    SELECT floor(extract(epoch FROM charged_at - $3::timestamptz) / 86400)::int AS day, sp_id,
           string_agg(line, E'\\n' ORDER BY charged_at, line) AS lines
      FROM (SELECT p.charged_at, p.sp_id,
                   concat_ws(',', p.record_id, p.code, p.msisdn,
                       to_char(p.charged_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
                       COALESCE(c.price_fen, p.price_fen), COALESCE(c.delivery, 'none')) AS line
              FROM month_plan($1, $2) p LEFT JOIN month_change c ON c.id = p.id
             WHERE c.withheld IS NOT TRUE
             UNION ALL
            SELECT charged_at, sp_id,
                   concat_ws(',', record_id, code, msisdn,
                       to_char(charged_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
                       price_fen, 'none')
              FROM month_beside) l
     GROUP BY day, sp_id ORDER BY day, sp_id
"""


def step_of(services: int) -> int:
    """Return how far apart a number's services lie: none comes twice, and all kinds come."""
    return max(step for step in range(1, services // EACH + 1) if step % 2 and step % 5)


def sps_of(numbers: int) -> int:
    """Return how many SPs a city of a size has: 300 of a million numbers."""
    return max(30, 300 * numbers // 1_000_000)


async def arrange(url: str, numbers: int, directory: Path, *, say: Say, lean: bool = False) -> None:
    """Write the city's month before its charges, what is wrong in it, and the files it delivers.

    `lean` saves a fifth of the disk: it leaves out what none of the month's work looks at.
    """
    owner = await db.connect(url)
    await roles.ensure_group(owner)
    await roles.make_login(owner, url)
    await migrate.migrate(owner)
    await owner.execute("SET statement_timeout = 0")
    for month in MONTHS:
        for table in PARTED:
            day = datetime.fromisoformat(month).date()
            await owner.execute("SELECT make_month_partition($1, $2)", table, day)
    sps = sps_of(numbers)
    for _ in range(sps):
        await _sp(owner)
    services = sps * SERVICES_OF_SP
    await owner.execute(
        TABLES.format(step=step_of(services), services=services, each=EACH, start=START)
    )
    told = await plant(owner, numbers)
    async with keys_aside(owner, *FILLED[1:]), _work_aside(owner, say, lean=lean):
        await _fill(url, numbers, say, lean=lean)
        say("putting indexes and keys back")
    await told.tell(owner)
    say(f"{told.errors:,} errors planted; looking over the tables")
    await owner.execute("VACUUM ANALYZE", timeout=36_000)
    count = await _write_files(owner, numbers, directory)
    say(f"{count:,} files written; the ground is done")
    await owner.close()


async def _sp(owner: Any) -> None:
    sp_id = await make.sp(owner, START)
    for place in range(SERVICES_OF_SP):
        last = place == SERVICES_OF_SP - 1
        await make.service(
            owner, START, sp_id, price_fen=USE_FEN if last else 100 + 10 * place,
            kind="on_demand" if place >= ON_DEMAND_FROM else "monthly",
        )  # fmt: skip


@asynccontextmanager
async def _work_aside(owner: Any, say: Say, *, lean: bool) -> AsyncIterator[None]:
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
            say(f"index {index['name']}")
    for index in await owner.fetch(FILLED_INDEXES, [*PARTED, *FILLED]):
        await owner.execute(f"REINDEX INDEX {index['name']}", timeout=36_000)


async def _fill(url: str, numbers: int, say: Say, *, lean: bool) -> None:
    batches = iter(range(0, numbers, BATCH))
    done = 0

    async def filler() -> None:
        nonlocal done
        owner = await db.connect(url)
        await owner.execute("SET statement_timeout = 0")
        for first in batches:
            until = min(first + BATCH, numbers)
            await _batch(owner, first, until, lean=lean)
            done += until - first
            if done % (10 * BATCH) == 0 or done == numbers:
                say(f"{done:,} of {numbers:,} numbers filled")
        await owner.close()

    await asyncio.gather(*(filler() for _ in range(FILLERS)))


async def _batch(owner: Any, first: int, until: int, *, lean: bool) -> None:
    born = START - timedelta(days=50)
    async with owner.transaction():
        await owner.execute(BATCH_OF.format(first=first, until=until, start=START), timeout=3600)
        await owner.execute("ANALYZE batch")
        for statement, *values in (
            (PEOPLE, born), (BEGINNINGS, born), (RELATIONS,), (MESSAGES,), (CONSENTS,),
            (DECISIONS,),
        ):  # fmt: skip
            await owner.execute(statement, *values, timeout=3600)
        if not lean:
            await owner.execute(KEPT, timeout=3600)
            await owner.execute(DUE, timeout=3600)


async def _write_files(owner: Any, numbers: int, directory: Path) -> int:
    """Write a file for each day and SP: `day/sp.csv`. One of them is in memory at a time."""
    head, count = ",".join(COLUMNS), 0
    async with owner.transaction():
        await owner.execute("SET LOCAL work_mem = '256MB'")
        async for row in owner.cursor(FILES, 0, numbers, START, prefetch=20, timeout=36_000):
            place = directory / f"{row['day']:02}"
            place.mkdir(parents=True, exist_ok=True)
            (place / f"{row['sp_id']}.csv").write_text(f"{head}\n{row['lines']}\n")
            count += 1
    return count


def files_by_day(directory: Path) -> Iterator[tuple[int, list[Path]]]:
    """Return what is delivered day by day."""
    for place in sorted(directory.iterdir()):
        yield int(place.name), sorted(place.iterdir())
