"""What the database finds plainly right, the rules find right too: on worlds made by chance."""

import random
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spms.charging import files, judging, plain_queries, staging_queries
from spms.charging.facts import Item
from spms.charging.file_model import Encoding, FileFormat, Upload
from spms.charging.model import ChargeRecordIn, Delivery, Finding, Kind
from spms.charging.parsing import read_line
from spms.charging.spooling import Manifest
from spms.charging.staging import row_of, staged
from spms.core.clock import FixedClock
from spms.core.ids import new_id
from tests import make
from tests.charging.world import code_of, csv_of

NOW = datetime(2026, 3, 2, 4, tzinfo=UTC)
"""The first month of the range ends within the hours that charges are made in."""
HOUR = timedelta(hours=1)
NUMBERS, SERVICES = 3, 3
FAULTS = ["left", "lapsed", "operator", "trial", "free", "dear"]
TURNS = [
    {"cap": {"service_month_fen": 500}}, {"cap": {"total_month_fen": 900}},
    {"cap": {"category_month_fen": {"information": 900, "chat": 1}}},
    {"audit": {"no_decision_mode": "refund"}}, {"consent": {"on_demand_hours": 5}},
    {"audit": {"split_charges": 2, "split_fen": 1, "split_minutes": 1440}},
]  # fmt: skip


def hour(dice, first, last):
    return NOW + dice.randint(first, last) * HOUR


def seldom(dice, make_one):
    """Nothing, mostly."""
    return [make_one() for _ in range(dice.choice([0, 0, 0, 0, 0, 1, 2]))]


def relation(dice, place, first, last):
    fault = dice.choice(FAULTS) if dice.random() < 0.3 else None
    return place, hour(dice, first, last), fault, dice.randint(0, 60), dice.choice([1] * 12 + [2])


def life_of(dice):
    """What a number has, by chance: mostly what is right."""
    return {
        "relations": [
            relation(dice, 0, -300, -60),
            *[relation(dice, place, -22, -8) for place in range(1, SERVICES)],
            *seldom(dice, lambda: relation(dice, dice.randrange(SERVICES), -60, 0)),
        ],
        "events": seldom(dice, lambda: (
            hour(dice, -200, 0), dice.choice(["active", "suspended", "terminated"]),
            dice.choice([1, 1, 2]),
        )),
        "limit": dice.choice([None] * 9 + ["bar", "cap"]),
        "stored": seldom(dice, lambda: (
            dice.randrange(SERVICES), hour(dice, dice.choice([-70, -8]), 0),
            dice.choice([0, 200, 200, 2400, 9500]),
        )),
        "asked": seldom(dice, lambda: (dice.randrange(SERVICES), hour(dice, -200, 0))),
    }  # fmt: skip


def charges_of(dice):
    return [
        (
            dice.randrange(NUMBERS), dice.randrange(SERVICES),
            hour(dice, -7, 0) if dice.random() < 0.7 else hour(dice, -70, 0),
            dice.choice([800] * 12 + [799, 801]),
            Delivery.FAILED if dice.random() < 0.05 else Delivery.NONE,
        )
        for _ in range(dice.randint(1, 7))
    ]  # fmt: skip


REASONS = {"left": "subscriber", "lapsed": "lapsed", "operator": "operator"}
RULEBOOK = """
    INSERT INTO rulebook VALUES (2, $1, $2, 'a test', $1, 'staff:a')
"""
EVENT = """
    INSERT INTO number_event (msisdn, id, kind, reason, effective_at, recorded_at, actor,
                              state_after, epoch_after)
    VALUES ($1, $2, 'suspended', 'operator', $3, $3, 'test', $4, $5)
"""
LIMITS = {
    "bar": """INSERT INTO number_bar (msisdn, id, epoch, scope, target, starts_at, set_by)
              VALUES ($1, $2, 1, 'sp', $4, $3, 'subscriber:sms')""",
    "cap": """INSERT INTO number_cap (msisdn, id, epoch, scope, limit_fen, starts_at, set_by)
              VALUES ($1, $2, 1, 'total', 900, $3, 'subscriber:sms')""",
}
DECISION = """
    INSERT INTO authorisation (msisdn, decided_at, id, purpose, sp_id, service_id, service_code,
                               price_fen, allowed, reasons, subscription_id, rulebook_version,
                               facts, requested_by)
    VALUES ($1, $2, $3, 'charge', $4, $5, '000000', 800, true, '{}', $6, 1, '{}', 'test')
"""
STORED = "SELECT id FROM subscription WHERE msisdn = $1 AND service_id = $2 LIMIT 1"


async def arrange_life(tx, life, service_ids, kinds, sp_id):
    """Write what chance gave a number; the keys of the tables say what cannot be."""
    msisdn = await make.number(tx, NOW)
    for at, (state, epoch) in {at: rest for at, *rest in life["events"]}.items():
        await tx.execute(EVENT, msisdn, uuid4(), at, state, epoch)
    live = set()
    for place, start, fault, hours, epoch in life["relations"]:
        end = min(start + hours * HOUR, NOW + HOUR)
        more = {"epoch": epoch, "active_from": start, "charge_from": start}
        if fault in REASONS or (place in live and kinds[place] == "monthly"):
            reason = REASONS.get(fault, "subscriber")
            more |= {"status": "ended", "ended_at": end, "end_reason": reason}
        else:
            more |= {
                "trial": {"charge_from": end}, "free": {"charge_from": end, "free_until": end},
                "dear": {"price_fen": 700},
            }.get(fault, {})  # fmt: skip
            live.add(place)
        await make.subscription(tx, start, msisdn, service_ids[place], **more)
    if life["limit"] is not None:
        target = [str(sp_id)] if life["limit"] == "bar" else []
        await tx.execute(LIMITS[life["limit"]], msisdn, uuid4(), NOW - 30 * HOUR, *target)
    await arrange_past(tx, life, msisdn, service_ids, sp_id)
    return msisdn


async def arrange_past(tx, life, msisdn, service_ids, sp_id):
    """Write the charges and decisions that a number already has."""
    for place, at, due_fen in life["stored"]:
        consent_id = await tx.fetchval(STORED, msisdn, service_ids[place])
        if consent_id is not None:
            await make.charge(
                tx, at, msisdn, service_ids[place], consent_id=consent_id,
                price_fen=max(due_fen, 800), due_fen=due_fen,
                findings=[] if due_fen else ["undelivered"],
            )  # fmt: skip
    for place, at in life["asked"]:
        consent_id = await tx.fetchval(STORED, msisdn, service_ids[place])
        if consent_id is not None:
            await tx.execute(DECISION, msisdn, at, new_id(), sp_id, service_ids[place], consent_id)


async def compared(tx, born, made, rules_turn):
    """Judge some charges both ways; return how many were plain of how many."""
    sp_id = await make.sp(tx, NOW)
    kinds = ["monthly", "on_demand", "on_demand"]
    service_ids = [await make.service(tx, NOW, sp_id, kind=kind) for kind in kinds]
    codes = [await code_of(tx, one) for one in service_ids]
    numbers = [await arrange_life(tx, life, service_ids, kinds, sp_id) for life in born]
    if rules_turn is not None:
        at, rules = rules_turn
        await tx.execute(RULEBOOK, at, rules)
    rows = [
        row_of(n, ChargeRecordIn(
            record_id=f"r-{n}", service_code=codes[service], msisdn=numbers[number],
            charged_at=at, price_fen=price_fen, delivery=delivery,
        ))
        for n, (number, service, at, price_fen, delivery) in enumerate(made, start=1)
    ]  # fmt: skip
    await staging_queries.stage(tx, rows)
    staged_lines = await staging_queries.admit(
        tx, sp_id, new_id(), latest=NOW, oldest=NOW - 80 * HOUR, closed=[]
    )
    await staging_queries.hold(tx)
    assert staged_lines == len(rows) == await staging_queries.claim(tx, sp_id)
    within = await staging_queries.span(tx)
    assert within is not None
    spans = await judging.spans_over(tx, *within)
    await plain_queries.judge(tx, spans)
    await plain_queries.crowd(tx, sp_id, spans)
    await tx.execute(plain_queries.LEAVE)
    found = {row["id"]: row for row in await tx.fetch("SELECT * FROM staged_verdict")}
    assert len(found) == len(rows), "every charge is judged once"
    items = [
        Item(row["id"], row["record_id"], row["msisdn"], row["service_id"], Kind(row["kind"]),
             row["charged_at"], row["price_fen"], Delivery(row["delivery"]), sp_id)
        for row in found.values()
    ]  # fmt: skip
    for item, verdict, version in await judging.judged(tx, items):
        row = found[item.charge_id]
        if row["plain"]:
            assert verdict.faults == []
            assert not verdict.suspicions
            assert verdict.due_fen == item.price_fen
            assert (verdict.consent_id, verdict.tariff_id, verdict.authorisation_id, version) == (
                row["consent_id"], row["tariff_id"], row["authorisation_id"],
                row["rulebook_version"],
            )  # fmt: skip
            unasked = [] if row["authorisation_id"] else [Finding.NO_DECISION]
            assert list(verdict.observed) == unasked
    clean = sum(
        not verdict.faults and not verdict.suspicions
        for _, verdict, _ in await judging.judged(tx, items)
    )
    return sum(row["plain"] for row in found.values()), clean, len(rows)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("worlds", [40, pytest.param(2000, marks=pytest.mark.soak)])
async def test_what_is_plainly_right_is_right_by_the_rules(owner, worlds):
    plain = clean = rows = 0
    for world in range(worlds):
        dice = random.Random(world)
        born = [life_of(dice) for _ in range(NUMBERS)]
        turn = (hour(dice, -70, 0), dice.choice(TURNS)) if dice.random() < 0.3 else None
        transaction = owner.transaction()
        await transaction.start()
        try:
            one = await compared(owner, born, charges_of(dice), turn)
        except AssertionError as error:
            error.add_note(f"world {world}")
            raise
        finally:
            await transaction.rollback()
        plain, clean, rows = plain + one[0], clean + one[1], rows + one[2]
    assert clean > rows / 4, "chance makes enough that is right"
    assert plain > clean / 3, (plain, clean, rows)


GOOD = [
    st.from_regex(r"[A-Za-z0-9._:-]{1,64}", fullmatch=True),
    st.from_regex(r"[0-9]{3,9}", fullmatch=True),
    st.from_regex(r"86?1[2-9][0-9]{8,10}", fullmatch=True),
    st.from_regex(
        r"2[0-9]{3}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\.[0-9]{1,7})?"
        r"(Z|[+-][0-2][0-9]:[0-6][0-9])",
        fullmatch=True,
    ),
    st.from_regex(r"[0-9]{1,8}", fullmatch=True),
    st.sampled_from(["delivered", "failed", "none", "None"]),
]
LIKELY = ["r-1", "600001", "8613800138000", "2026-03-02T12:00:00+08:00", "800", "none"]
FIELDS = st.tuples(*[st.just(one) | form for one, form in zip(LIKELY, GOOD, strict=True)])


@given(FIELDS, st.sampled_from(FileFormat), st.sampled_from(Encoding), st.sampled_from(["", " "]))
@settings(max_examples=200)
def test_a_plain_line_is_read_as_the_parser_reads_it(fields, form, encoding, space):
    record_id, service_code, msisdn, charged_at, price_fen, delivery = fields
    raw = ",".join(fields)
    if form is FileFormat.NDJSON:
        raw = (
            f'{{"record_id":{space}"{record_id}",{space}"service_code":"{service_code}",'
            f'"msisdn":"{msisdn}","charged_at":{space}"{charged_at}","price_fen":{price_fen},'
            f'{space}"delivery":"{delivery}"}}'
        )
    chunk = staged([raw.encode()], 7, form, encoding)
    line = read_line(7, raw.encode(), form, encoding)
    assert chunk.bad == ([] if line.record else [line])
    assert len(chunk.rows) == (1 if line.record else 0)
    if line.record:
        ours, theirs = chunk.rows[0].split(b","), row_of(7, line.record).split(b",")
        assert ours[:4] + ours[5:] == theirs[:4] + theirs[5:]
        assert datetime.fromisoformat(ours[4].decode()) == line.record.charged_at


@pytest.mark.parametrize(
    "at",
    ["2026-03-01T00:00:00.1Z", "2026-02-28T23:59:59.999999+08:00", "2024-02-29T12:00:00Z",
     "2026-02-28T12:00:00-14:59", "2026-02-28T12:00:00+14:59", "2026-03-02T03:59:59.123+00:00"],
)  # fmt: skip
async def test_the_database_reads_an_instant_as_we_do(tx, at):
    raw = f"r-1,600001,8613800138000,{at},800,none".encode()
    chunk = staged([raw], 1, FileFormat.CSV, Encoding.UTF_8)
    async with tx.transaction():
        await staging_queries.stage(tx, chunk.rows)
        (row,) = await tx.fetch("SELECT charged_at, content_sha256 FROM staged_line")
    line = read_line(1, raw, FileFormat.CSV)
    assert line.record is not None
    assert row["charged_at"] == line.record.charged_at
    assert (
        f"\\\\x{row['content_sha256'].hex()}\n".encode() == row_of(1, line.record).split(b",")[-1]
    )


def test_ids_of_a_chunk_follow_one_another():
    first = UUID("0199ffff-ffff-7fff-bfff-ffffffffffff")
    assert staging_queries.id_after(first, 2).int - staging_queries.id_after(first, 1).int == 1
    assert staging_queries.id_after(first, 5000).version == 7


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_quick_succession_is_no_plain_matter_in_a_file_or_across_files(
    pool, tx, world, tmp_path, at_once
):
    records = []
    for n in range(3):
        service_id = await make.service(tx, world.now, world.sp_id, kind="on_demand", price_fen=400)
        await make.subscription(tx, world.now - HOUR, world.msisdn, service_id)
        at = world.now - timedelta(minutes=20 - 2 * n)
        code = await code_of(tx, service_id)
        records.append(world.record(service_code=code, charged_at=at, price_fen=400))
    for content in [csv_of(*records)] if at_once else [csv_of(record) for record in records]:

        async def stream(content=content):
            yield content

        await files.receive(
            stream(), upload=Upload(form=FileFormat.CSV), manifest=Manifest(), pool=pool,
            clock=FixedClock(world.now), directory=tmp_path, limit_bytes=10**8,
            actor=make.sp_actor(world.sp_id),
        )  # fmt: skip
    suspected = await tx.fetch("SELECT kind, charged_at FROM charge_suspicion")
    assert [tuple(row) for row in suspected] == [("split_charges", records[2].charged_at)]
