"""S1: a city's month of charges, with errors planted, ingested, audited and refunded.

Everything the audit can find is planted, each on a number of its own, beside what is right. Every SP
delivers a file a day; the clock moves with the days. Then what was found is compared with what was
planted, rule by rule: `python -m benchmarks.city_month --numbers 10000` prints the table.
"""

import argparse
import asyncio
import random
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import msgspec

from benchmarks import run
from benchmarks.figures import Figure, Ground
from benchmarks.ingest import keys_aside
from spms.charging import deliveries, files
from spms.charging.file_model import FileFormat, Upload
from spms.charging.model import COLUMNS
from spms.charging.spooling import Manifest
from spms.compensation import actions as compensation
from spms.core import db, migrate, roles
from spms.core.access import job_actor
from spms.core.clock import FixedClock
from spms.core.settings import Settings
from tests import make

FIGURES = (
    Figure(id="S1", title="a city's month ingested, audited, refunded: wall time", ours="minutes",
           must=40, aim=15, at_most=True),
    Figure(id="S1f", title="of the planted errors, found", ours="share", must=1.0, aim=1.0),
    Figure(id="S1a", title="false alarms", ours="findings", must=0, aim=0, at_most=True),
)  # fmt: skip
FULL, SHORT, ALONE = 1_000_000, 1_000, 10_000
"""Numbers; `ALONE` when nothing else is measured."""
EACH = 25
"""Charges of a number in the month."""
START = datetime(2026, 2, 28, 16, tzinfo=UTC)  # March in Shanghai
DAYS = 30
MINUTE = timedelta(minutes=1)
SERVICES_OF_SP = 10
ON_DEMAND_FROM = 7
"""Of an SP's services the last three are on demand."""
USE_FEN = 400
"""Price of the last of them: three in a row are too many."""
REVIEWED = {"split_charges", "reserved_not_delivered"}
OBSERVED = {"no_decision", "delivered_not_charged"}
PLANTS_PER_MILLION = 3000

PEOPLE = """
    WITH fresh AS (SELECT '8613' || lpad(i::text, 9, '0') AS msisdn
                     FROM generate_series(0, $1::int - 1) i),
    numbers AS (INSERT INTO number (msisdn, epoch, state, state_since, epoch_since)
                SELECT msisdn, 1, 'active', $2, $2 FROM fresh)
    INSERT INTO number_event (msisdn, id, kind, reason, effective_at, recorded_at, actor,
                              state_after, epoch_after)
    SELECT msisdn, gen_random_uuid(), 'activated', 'opened', $2, $2, 'city', 'active', 1 FROM fresh
"""
# One charge for each relation: a monthly service held since long, or an order of an hour before.
RELATIONS = """
    INSERT INTO month_plan
    SELECT '8613' || lpad(i::text, 9, '0'), gen_random_uuid(), s.id, s.sp_id, s.code, s.kind,
           s.price_fen, s.tariff_id, s.notice_id,
           $2::timestamptz + interval '1 second' * (60 + abs(hashint8(i * 100 + k)) % (29 * 86400))
      FROM generate_series(0, $1::int - 1) i, generate_series(0, $3::int - 1) k
      JOIN month_service s ON true
     WHERE s.place = (i * $3::int + k) % (SELECT count(*) FROM month_service)
"""
AGREED = """
    WITH relations AS (
        INSERT INTO subscription (msisdn, id, epoch, sp_id, service_id, kind, status, tariff_id,
               notice_id, price_fen, channel, requested_at, requested_by, request_text, prompt_code,
               prompt_text, confirm_by, active_from, charge_from)
        SELECT msisdn, id, 1, sp_id, service_id, kind, 'active', tariff_id, notice_id, price_fen,
               'sms', at, 'subscriber:sms', 'TQ', '4821', '回复Y确认', at + interval '1 hour', at, at
          FROM (SELECT *, CASE kind WHEN 'monthly' THEN $1::timestamptz - interval '1 day'
                          ELSE charged_at - interval '1 hour' END AS at FROM month_plan) p
    ), messages AS (
        INSERT INTO message_in (msisdn, received_at, id, called, text, raw, link, link_message_id,
                                handled_at)
        SELECT msisdn, $1::timestamptz - interval '1 day', id, '10010', 'Y', 'Y', 'city', id::text, $1::timestamptz
          FROM month_plan
    ), decisions AS (
        INSERT INTO authorisation (msisdn, decided_at, id, purpose, sp_id, service_id, service_code,
               price_fen, allowed, reasons, subscription_id, rulebook_version, facts, requested_by)
        SELECT msisdn, charged_at - interval '10 seconds', id, 'charge', sp_id, service_id, code,
               price_fen, true, '{}', id, 1, '{}', 'city' FROM month_plan
    )
    INSERT INTO consent (msisdn, subscription_id, kind, service_id, price_fen, message_received_at,
                         message_id, prompt_text, reply_text, given_at)
    SELECT msisdn, id, CASE kind WHEN 'monthly' THEN 'confirmation' ELSE 'order' END, service_id,
           price_fen, $1::timestamptz - interval '1 day', id, '回复Y确认', 'Y', $1::timestamptz - interval '1 day'
      FROM month_plan
"""
TABLES = """
    CREATE TABLE month_service AS
    SELECT s.id, s.sp_id, s.code, s.kind, t.price_fen, t.id AS tariff_id, n.id AS notice_id,
           row_number() OVER (ORDER BY s.code) - 1 AS place
      FROM service s JOIN tariff t ON t.service_id = s.id JOIN notice n ON n.service_id = s.id;
    CREATE TABLE month_plan (
        msisdn text COLLATE "C", id uuid, service_id uuid, sp_id uuid, code text, kind text,
        price_fen bigint, tariff_id uuid, notice_id uuid, charged_at timestamptz)
"""
OF_NUMBERS = """
    SELECT * FROM month_plan WHERE msisdn = ANY($1::text[]) ORDER BY msisdn, charged_at
"""
OF_DAY = """
    SELECT sp_id, id, code, msisdn, charged_at, price_fen, kind FROM month_plan
     WHERE charged_at >= $1 AND charged_at < $2 ORDER BY charged_at
"""
FOUND = """
    SELECT c.record_id, f.kind FROM charge_finding f
      JOIN charge_record c ON c.msisdn = f.msisdn AND c.id = f.charge_id
     UNION ALL
    SELECT c.record_id, s.kind FROM charge_suspicion s
      JOIN charge_record c ON c.msisdn = s.msisdn AND c.id = s.charge_id
"""
SEEN = "SELECT kind, sum(charges)::bigint AS charges FROM charge_observation GROUP BY kind"
REFUNDED = "SELECT COALESCE(sum(amount_fen), 0)::bigint FROM refund"
WRONG_BY = "SELECT sum(price_fen - due_fen)::bigint FROM charge_record"


class Record(msgspec.Struct):
    """One line to be delivered."""

    record_id: str
    code: str
    msisdn: str
    at: datetime
    price_fen: int
    delivery: str = "none"


class Planted:
    """What is wrong in the month: labels of records, and records beside those of the plan."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.labels: dict[str, str] = {}
        self.changed: dict[str, dict[str, Any]] = {}
        self.extra: defaultdict[UUID, list[Record]] = defaultdict(list)
        self.counted: Counter[str] = Counter()
        """What is only observed: by number."""
        self.later: list[tuple[str, tuple[Any, ...]]] = []
        """Facts to be written when relations and decisions are there."""

    def change(self, row: Any, kind: str, **values: Any) -> None:
        """Deliver a record of the plan otherwise."""
        self.labels[str(row["id"])] = kind
        self.changed[str(row["id"])] = values

    def add(self, sp_id: UUID, record: Record, kind: str | None) -> None:
        """Deliver a record beside the plan."""
        if kind is not None:
            self.labels[record.record_id] = kind
        self.extra[sp_id].append(record)


EVENT = """
    INSERT INTO number_event (msisdn, id, kind, reason, effective_at, recorded_at, actor,
                              state_after, epoch_after)
    VALUES ($1, gen_random_uuid(), $2, 'operator', $3, $3, 'city', $4, $5)
"""
LEFT = """
    UPDATE subscription SET status = 'ended', ended_at = $3, end_reason = 'subscriber'
     WHERE msisdn = $1 AND id = $2
"""
LATER = "UPDATE subscription SET charge_from = $3 WHERE msisdn = $1 AND id = $2"
BAR = """
    INSERT INTO number_bar (msisdn, id, epoch, scope, target, starts_at, ends_at, set_by, lifted_by)
    VALUES ($1, gen_random_uuid(), 1, 'sp', $2, $3, $4, 'subscriber:sms', 'subscriber:sms')
"""
CAP = """
    INSERT INTO number_cap (msisdn, id, epoch, scope, limit_fen, starts_at, set_by)
    VALUES ($1, gen_random_uuid(), 1, 'total', $2, $3, 'subscriber:sms')
"""
UNASKED = "DELETE FROM authorisation WHERE msisdn = $1 AND id = $2"
HELD = """
    INSERT INTO reservation (msisdn, id, reserved_at, sp_id, service_id, reference, price_fen,
                             expires_at, state, closed_at, closed_by)
    SELECT msisdn, id, decided_at, sp_id, service_id, id::text, price_fen,
           decided_at + interval '10 minutes', $3, decided_at + interval '5 seconds', 'city'
      FROM authorisation WHERE msisdn = $1 AND id = $2
"""
ORDERS = """
    INSERT INTO month_plan
    SELECT $1, gen_random_uuid(), id, sp_id, code, kind, price_fen, tariff_id, notice_id,
           unnest($3::timestamptz[])
      FROM month_service WHERE sp_id = $2 AND price_fen = $4
    RETURNING id
"""
ELSEWHERE = """
    SELECT code, price_fen FROM month_service s
     WHERE s.sp_id = $2 AND s.kind = $3 AND s.price_fen <> $4
       AND NOT EXISTS (SELECT FROM month_plan p WHERE p.msisdn = $1 AND p.service_id = s.id)
     ORDER BY code LIMIT 1
"""


class Planter:
    """Plants one error on a number; `rows` is what the plan has of it, in order of time."""

    def __init__(self, owner: Any, planted: Planted) -> None:
        """Write facts as the owner."""
        self.owner, self.planted = owner, planted

    async def plant(self, kind: str, rows: list[Any]) -> bool:
        """Plant; false when this number has nothing to plant it on."""
        monthly = next((row for row in rows[5:] if row["kind"] == "monthly"), None)
        last = rows[-1]
        if monthly is None or (last["charged_at"] - rows[-2]["charged_at"]) < timedelta(days=1):
            return False
        row = monthly
        if kind in {"number_terminated", "after_transfer", "over_cap"}:
            row = last
        plan: Callable[..., Any] | None = getattr(self, f"_{kind}", None)
        if plan is None:
            values = {
                "price_mismatch": {"price_fen": row["price_fen"] + 50},
                "undelivered": {"delivery": "failed"},
            }[kind]
            self.planted.change(row, kind, **values)
            return True
        done = await plan(row, rows)
        return done is not False

    def _beside(self, row: Any, kind: str | None, **values: Any) -> None:
        fields = {"record_id": uuid4().hex, "code": row["code"], "msisdn": row["msisdn"],
                  "at": row["charged_at"] + MINUTE, "price_fen": row["price_fen"]}  # fmt: skip
        self.planted.add(row["sp_id"], Record(**(fields | values)), kind)

    async def _duplicate(self, row: Any, _: Any) -> None:
        self._beside(row, "duplicate", at=row["charged_at"] + 30 * MINUTE)

    async def _elsewhere(self, row: Any, kind: str) -> Any:
        return await self.owner.fetchrow(
            ELSEWHERE, row["msisdn"], row["sp_id"], kind, row["price_fen"]
        )

    async def _no_consent(self, row: Any, _: Any) -> bool:
        other = await self._elsewhere(row, "monthly")
        if other is None:
            return False
        self._beside(row, "no_consent", code=other["code"], price_fen=other["price_fen"])
        return True

    async def _mt_without_mo(self, row: Any, _: Any) -> bool:
        other = await self._elsewhere(row, "on_demand")
        if other is None:
            return False
        self._beside(row, "mt_without_mo", code=other["code"], price_fen=other["price_fen"])
        return True

    async def _other_service(self, row: Any, _: Any) -> bool:
        other = await self._elsewhere(row, "monthly")
        if other is None:
            return False
        self._beside(row, "other_service", code=other["code"])
        return True

    async def _after_unsubscribe(self, row: Any, _: Any) -> None:
        self.after(LEFT, row["msisdn"], row["id"], row["charged_at"] - MINUTE)
        self.planted.change(row, "after_unsubscribe")

    async def _in_trial(self, row: Any, _: Any) -> None:
        self.after(LATER, row["msisdn"], row["id"], row["charged_at"] + MINUTE)
        self.planted.change(row, "in_trial")

    async def _barred(self, row: Any, _: Any) -> None:
        at = row["charged_at"]
        self.after(
            BAR,
            row["msisdn"],
            str(row["sp_id"]),
            at - timedelta(seconds=5),
            at + timedelta(seconds=5),
        )
        self.planted.change(row, "barred")

    async def _number_suspended(self, row: Any, _: Any) -> None:
        at, near = row["charged_at"], timedelta(seconds=5)
        self.after(EVENT, row["msisdn"], "suspended", at - near, "suspended", 1)
        self.after(EVENT, row["msisdn"], "resumed", at + near, "active", 1)
        self.planted.change(row, "number_suspended")

    async def _number_terminated(self, row: Any, _: Any) -> None:
        at = row["charged_at"] - MINUTE
        self.after(EVENT, row["msisdn"], "terminated", at, "terminated", 1)
        self.planted.change(row, "number_terminated")

    async def _after_transfer(self, row: Any, _: Any) -> None:
        at = row["charged_at"] - MINUTE
        self.after(EVENT, row["msisdn"], "transferred", at, "active", 2)
        self.planted.change(row, "after_transfer")

    async def _over_cap(self, row: Any, rows: list[Any]) -> None:
        before = sum(each["price_fen"] for each in rows[:-1])
        self.after(CAP, row["msisdn"], before, START - timedelta(days=1))
        self.planted.change(row, "over_cap")

    async def _split_charges(self, row: Any, _: Any) -> None:
        times = [row["charged_at"] + n * 2 * MINUTE for n in (1, 2, 3)]
        made = await self.owner.fetch(ORDERS, row["msisdn"], row["sp_id"], times, USE_FEN)
        self.planted.labels[str(made[-1]["id"])] = "split_charges"

    async def _no_decision(self, row: Any, _: Any) -> None:
        self.planted.counted["no_decision"] += 1
        self.after(UNASKED, row["msisdn"], row["id"])

    async def _reserved_not_delivered(self, row: Any, _: Any) -> None:
        self.planted.labels[str(row["id"])] = "reserved_not_delivered"
        self.after(HELD, row["msisdn"], row["id"], "released")

    async def _delivered_not_charged(self, _: Any, rows: list[Any]) -> None:
        early = next(each for each in rows if each["kind"] == "monthly")
        self.planted.counted["delivered_not_charged"] += 1
        self.planted.changed[str(early["id"])] = {"code": ""}  # never delivered to us
        self.after(HELD, early["msisdn"], early["id"], "captured")

    def after(self, statement: str, *values: Any) -> None:
        """Keep for when the decisions are there."""
        self.planted.later.append((statement, values))


KINDS = (
    "price_mismatch", "undelivered", "duplicate", "no_consent", "mt_without_mo", "other_service",
    "after_unsubscribe", "in_trial", "barred", "number_suspended", "number_terminated",
    "after_transfer", "over_cap", "split_charges", "no_decision", "reserved_not_delivered",
    "delivered_not_charged",
)  # fmt: skip


async def arrange(url: str, numbers: int, sps: int) -> Planted:
    """Write the city's month before its charges: people, relations, decisions, and what is wrong."""
    owner = await db.connect(url)
    await roles.ensure_group(owner)
    await roles.make_login(owner, url)
    await migrate.migrate(owner)
    await owner.execute("SET statement_timeout = 0")
    for month in ("2026-02-01", "2026-03-01", "2026-04-01"):
        for table in (
            "message_in",
            "message_out",
            "authorisation",
            "decision_pack",
            "charge_record",
        ):
            day = datetime.fromisoformat(month).date()
            await owner.execute("SELECT make_month_partition($1, $2)", table, day)
    for _ in range(sps):
        sp_id = await make.sp(owner, START)
        for place in range(SERVICES_OF_SP):
            last = place == SERVICES_OF_SP - 1
            await make.service(
                owner, START, sp_id, price_fen=USE_FEN if last else 100 + 10 * place,
                kind="on_demand" if place >= ON_DEMAND_FROM else "monthly",
            )  # fmt: skip
    await owner.execute(TABLES)
    born = START - timedelta(days=50)
    tables = ("number_event", "subscription", "consent", "authorisation", "message_in")
    async with keys_aside(owner, *tables):
        await owner.execute(PEOPLE, numbers, born, timeout=7200)
        await owner.execute(RELATIONS, numbers, START, EACH, timeout=7200)
        await owner.execute("CREATE INDEX ON month_plan (msisdn)", timeout=7200)
        await owner.execute("ANALYZE month_plan")
        planted = await _plant(owner, numbers)
        await owner.execute(AGREED, START, timeout=7200)
    # A relation that has begun gets another beginning here, which nobody may give it afterwards.
    await owner.execute("ALTER TABLE subscription DISABLE TRIGGER subscription_settled")
    for statement, values in planted.later:
        await owner.execute(statement, *values)
    await owner.execute("ALTER TABLE subscription ENABLE TRIGGER subscription_settled")
    await owner.execute("CREATE INDEX ON month_plan (charged_at)", timeout=7200)
    await owner.execute("VACUUM ANALYZE", timeout=7200)
    await owner.close()
    return planted


async def _plant(owner: Any, numbers: int) -> Planted:
    planted = Planted()
    planter = Planter(owner, planted)
    dice = random.Random(4)  # noqa: S311 -- the same city every time
    places = iter(dice.sample(range(numbers), numbers))
    for n in range(max(2 * len(KINDS), numbers * PLANTS_PER_MILLION // 100_000)):
        while True:
            msisdn = f"8613{next(places):09d}"
            rows = await owner.fetch(OF_NUMBERS, [msisdn])
            if await planter.plant(KINDS[n % len(KINDS)], rows):
                break
    return planted


def csv_of(rows: list[Record]) -> bytes:
    """Write a file."""
    lines = [
        f"{row.record_id},{row.code},{row.msisdn},{row.at:%FT%TZ},{row.price_fen},{row.delivery}"
        for row in rows
    ]
    return "\n".join([",".join(COLUMNS), *lines, ""]).encode()


async def day_of(owner: Any, planted: Planted, day: int) -> dict[UUID, list[Record]]:
    """Return what each SP delivers of a day."""
    since, until = START + timedelta(days=day), START + timedelta(days=day + 1)
    by_sp: defaultdict[UUID, list[Record]] = defaultdict(list)
    for row in await owner.fetch(OF_DAY, since, until):
        key = str(row["id"])
        record = Record(key, row["code"], row["msisdn"], row["charged_at"], row["price_fen"])
        for name, value in planted.changed.get(key, {}).items():
            setattr(record, name, value)
        if record.code:
            by_sp[row["sp_id"]].append(record)
    for sp_id, records in planted.extra.items():
        by_sp[sp_id] += [record for record in records if since <= record.at < until]
    return by_sp


async def play(pool: Any, owner: Any, planted: Planted, directory: Path) -> tuple[float, int]:
    """Deliver the month day by day; return the seconds of the platform's work, and the charges."""
    spent, charges = 0.0, 0
    for day in range(DAYS):
        parcels = await day_of(owner, planted, day)
        clock = FixedClock(START + timedelta(days=day + 1, hours=1))
        contents = {sp_id: csv_of(records) for sp_id, records in parcels.items()}
        begun = time.perf_counter()
        for sp_id, content in contents.items():

            async def stream(content: bytes = content) -> AsyncIterator[bytes]:
                yield content

            receipt, _ = await files.receive(
                stream(), upload=Upload(form=FileFormat.CSV), manifest=Manifest(), pool=pool,
                clock=clock, directory=directory, limit_bytes=10**9, actor=make.sp_actor(sp_id),
            )  # fmt: skip
            if receipt.landed != len(parcels[sp_id]):
                raise SystemExit(f"not all landed: {receipt}")
            charges += receipt.landed
        await settle(pool, clock.now())
        spent += time.perf_counter() - begun
    begun = time.perf_counter()
    await settle(pool, START + timedelta(days=DAYS + 6))
    return spent + time.perf_counter() - begun, charges


async def settle(pool: Any, now: datetime) -> None:
    """Let the jobs run that follow the records: reservations, refunds."""
    async with db.transaction(pool) as tx:
        await deliveries.reaudit_reserved(tx, now=now, actor=job_actor("audit_deliveries"))
        await deliveries.count_uncharged(tx, now=now)
    more = 1
    while more:
        async with db.transaction(pool) as tx:
            more = await compensation.refund_findings(tx, now=now)


async def scores(owner: Any, planted: Planted) -> dict[str, tuple[int, int, int]]:
    """Return for each rule: planted, found, false alarms."""
    table = {kind: [0, 0, 0] for kind in KINDS}
    for kind in planted.labels.values():
        table[kind][0] += 1
    for row in await owner.fetch(FOUND):
        right = planted.labels.get(row["record_id"]) == row["kind"]
        table.setdefault(row["kind"], [0, 0, 0])[1 if right else 2] += 1
    seen = {row["kind"]: row["charges"] for row in await owner.fetch(SEEN)}
    for kind in OBSERVED:
        # A record nobody consented to has no decision either: those are no false alarms.
        due, got = planted.counted[kind], seen.get(kind, 0)
        if kind == "no_decision":
            got -= sum(len(records) for records in planted.extra.values()) - _of_known(planted)
        table[kind] = [due, min(due, got), max(0, got - due)]
    return {kind: (row[0], row[1], row[2]) for kind, row in table.items()}


def _of_known(planted: Planted) -> int:
    """Count records beside the plan for which the plan's own decision holds: duplicates."""
    return sum(kind == "duplicate" for kind in planted.labels.values())


async def measure(ground: Ground, wanted: frozenset[str]) -> None:
    """Play the month once: its arranging takes longer than all other figures."""
    if wanted & {"S1", "S1f", "S1a"}:
        await _measure(ground, SHORT if ground.short else FULL)


async def _measure(ground: Ground, numbers: int) -> None:
    async with ground.database() as url:
        sps = max(20, 300 * numbers // FULL)
        planted = await arrange(url, numbers, sps)
        ground.say(f"S1: {numbers:,} numbers, {sps} SPs, {len(planted.labels)} errors planted")
        pool = await db.open_pool(roles.app_url(url), Settings(data_dir=str(ground.directory)))
        owner = await db.connect(url)
        try:
            seconds, charges = await play(pool, owner, planted, ground.directory)
            table = await scores(owner, planted)
            for kind, (due, found, false) in table.items():
                precision = found / (found + false) if found + false else 1.0
                ground.say(f"S1: {kind:24} planted {due:5} found {found:5} false alarms {false:5}"
                           f" precision {precision:.3f}")  # fmt: skip
            refunded = await owner.fetchval(REFUNDED)
            ground.say(f"S1: {charges:,} charges in {seconds:.1f} s, {charges / seconds:,.0f}/s; "
                       f"wrong by {await owner.fetchval(WRONG_BY)} fen, refunded so far {refunded}")  # fmt: skip
        finally:
            await pool.close()
            await owner.close()
    due = sum(row[0] for row in table.values())
    ground.note("S1", seconds / 60)
    ground.note("S1f", sum(row[1] for row in table.values()) / due)
    ground.note("S1a", float(sum(row[2] for row in table.values())))


def main() -> None:
    """Play a month of any size and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--numbers", type=int, default=ALONE)
    numbers = parser.parse_args().numbers
    asyncio.run(run.on_server(lambda ground: _measure(ground, numbers), say=print))


if __name__ == "__main__":
    main()
