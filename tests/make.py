"""Rows with good defaults, by plain SQL as the owner of each table would write them.

For arranging a test of one room without walking through the rooms below it. Stories never use it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID, uuid4

from spms.core.access import Actor, ActorKind, Role
from spms.core.db import Connection

_serial = count(1)
YEAR = timedelta(days=59)  # back to January: partitions exist from then on

ADMIN = Actor(kind=ActorKind.STAFF, name="admin", subject="admin", roles=frozenset({Role.ADMIN}))
OFFICER = Actor(
    kind=ActorKind.STAFF, name="officer", subject="officer", roles=frozenset({Role.COMPLIANCE})
)
OFFICER_2 = Actor(
    kind=ActorKind.STAFF, name="officer-2", subject="officer-2", roles=frozenset({Role.COMPLIANCE})
)
AGENT = Actor(kind=ActorKind.STAFF, name="agent", subject="agent", roles=frozenset({Role.AGENT}))
GATEWAY = Actor(
    kind=ActorKind.NETWORK, name="smsc", subject="smsc", roles=frozenset({Role.GATEWAY})
)


@contextmanager
def counting_anew() -> Iterator[None]:
    """Let numbers and codes begin at 1: what lies in which part of a table hangs on them.

    For a database of one test, so that it has the same rows whatever ran before it.
    """
    global _serial  # noqa: PLW0603 - one count for all that is made
    before, _serial = _serial, count(1)
    try:
        yield
    finally:
        _serial = before


def sp_actor(sp_id: UUID, code: str = "900000") -> Actor:
    """Return the actor of an SP's own systems."""
    return Actor(
        kind=ActorKind.SP, name=code, subject=str(sp_id), roles=frozenset({Role.SP}),
        credential_id=sp_id,
    )  # fmt: skip


def subscriber_actor(msisdn: str, epoch: int = 1) -> Actor:
    """Return a subscriber who signed in with a one-time code."""
    return Actor(
        kind=ActorKind.SUBSCRIBER, name="subscriber", subject=msisdn, epoch=epoch,
        roles=frozenset({Role.SUBSCRIBER}), credential_id=uuid4(),
    )  # fmt: skip


async def sp(tx: Connection, now: datetime, **values: Any) -> UUID:
    """Insert an active SP with two hotlines."""
    n = next(_serial)
    sp_id = uuid4()
    row = {
        "id": sp_id, "code": f"9{n:05d}", "name": f"天津信息{n}", "name_key": f"天津信息{n}",
        "licence_no": f"B2-{n:08d}", "responsible_name": "负责人",
        "responsible_mobile": f"86139{n:08d}", "status": "active",
        "applied_at": now - YEAR, "activated_at": now - YEAR,
    }  # fmt: skip
    hotlines = values.pop("hotlines", (f"4008{n:06d}", f"0228{n:07d}"))
    await _insert(tx, "sp", row | values)
    for number in hotlines:
        await _insert(
            tx, "sp_hotline",
            {"id": uuid4(), "sp_id": sp_id, "number": number, "valid_from": now - YEAR},
        )  # fmt: skip
    return sp_id


async def service(
    tx: Connection, now: datetime, sp_id: UUID, *, price_fen: int = 800, **values: Any
) -> UUID:
    """Insert an online service with an access number, a tariff in force and an approved notice."""
    n = next(_serial)
    service_id, tariff_id, access = uuid4(), uuid4(), f"1069{n:06d}"
    await _insert(
        tx, "access_number",
        {"number": access, "sp_id": sp_id, "assigned_at": now - YEAR, "assigned_by": "test"},
    )  # fmt: skip
    row = {
        "id": service_id, "sp_id": sp_id, "code": f"{n:06d}", "name": f"天气早知道{n}",
        "kind": "monthly", "category": "information", "access_number": access,
        "keyword": f"TQ{n}", "status": "online", "created_at": now - YEAR,
    } | values  # fmt: skip
    await _insert(tx, "service", row)
    await _insert(
        tx, "tariff",
        {"id": tariff_id, "service_id": service_id, "version": 1, "price_fen": price_fen,
         "effective_from": now - YEAR, "created_at": now - YEAR, "created_by": "test"},
    )  # fmt: skip
    await _insert(
        tx, "notice",
        {"id": uuid4(), "service_id": service_id, "tariff_id": tariff_id, "version": 1,
         "sp_name": "天津信息", "service_name": row["name"], "price_fen": price_fen,
         "period": "month" if row["kind"] == "monthly" else "use", "hotline": "4008000000",
         "leave_command": f"TD {row['code']}", "state": "approved", "drafted_at": now - YEAR,
         "drafted_by": "sp:test", "decided_at": now - YEAR, "decided_by": "staff:officer"},
    )  # fmt: skip
    return service_id


async def number(tx: Connection, now: datetime, **values: Any) -> str:
    """Insert an active number (epoch 1) and return its MSISDN."""
    msisdn: str = values.pop("msisdn", f"86138{next(_serial):08d}")
    await _insert(
        tx, "number",
        {"msisdn": msisdn, "epoch": 1, "state": "active", "state_since": now - YEAR,
         "epoch_since": now - YEAR} | values,
    )  # fmt: skip
    await _insert(
        tx, "number_event",
        {"msisdn": msisdn, "id": uuid4(), "kind": "activated", "reason": "opened",
         "effective_at": now - YEAR, "recorded_at": now - YEAR, "actor": "test",
         "state_after": "active", "epoch_after": 1},
    )  # fmt: skip
    return msisdn


async def subscription(
    tx: Connection, now: datetime, msisdn: str, service_id: UUID, **values: Any
) -> UUID:
    """Insert an active relation confirmed at `now`, with its consent and the message behind it."""
    facts = await tx.fetchrow(
        """SELECT s.sp_id, s.kind, t.id AS tariff_id, t.price_fen, n.id AS notice_id
             FROM service s JOIN tariff t ON t.service_id = s.id
             JOIN notice n ON n.service_id = s.id
            WHERE s.id = $1 ORDER BY t.version DESC LIMIT 1""",
        service_id,
    )
    assert facts is not None
    subscription_id, message_id = uuid4(), uuid4()
    row = {
        "msisdn": msisdn, "id": subscription_id, "epoch": 1, "sp_id": facts["sp_id"],
        "service_id": service_id, "kind": facts["kind"], "status": "active",
        "tariff_id": facts["tariff_id"], "notice_id": facts["notice_id"],
        "price_fen": facts["price_fen"], "channel": "sms", "requested_at": now,
        "requested_by": "subscriber:sms", "request_text": "TQ", "prompt_code": "4821",
        "prompt_text": "回复Y确认", "confirm_by": now + timedelta(minutes=60), "active_from": now,
        "charge_from": values.get("active_from", now),
    } | values  # fmt: skip
    async with tx.transaction():  # a live relation and its consent name each other
        await _insert(tx, "subscription", row)
        await _insert(
            tx, "message_in",
            {"msisdn": msisdn, "received_at": now, "id": message_id, "called": "10010", "text": "Y",
             "raw": b"Y", "link": "sandbox", "link_message_id": str(message_id), "handled_at": now},
        )  # fmt: skip
        await _insert(
            tx, "consent",
            {"msisdn": msisdn, "subscription_id": subscription_id,
             "kind": "confirmation" if facts["kind"] == "monthly" else "order",
             "service_id": service_id, "price_fen": row["price_fen"], "message_received_at": now,
             "message_id": message_id, "prompt_text": "回复Y确认", "reply_text": "Y", "given_at": now},
        )  # fmt: skip
    return subscription_id


async def charge(
    tx: Connection, now: datetime, msisdn: str, service_id: UUID, **values: Any
) -> UUID:
    """Insert a charge record at `now`; `findings` and `due_fen` make it wrong."""
    facts = await tx.fetchrow(
        "SELECT s.sp_id, s.kind, t.price_fen FROM service s JOIN tariff t ON t.service_id = s.id "
        "WHERE s.id = $1",
        service_id,
    )
    assert facts is not None
    charge_id = uuid4()
    price_fen = values.pop("price_fen", facts["price_fen"])
    row = {
        "msisdn": msisdn, "charged_at": now, "id": charge_id, "sp_id": facts["sp_id"],
        "service_id": service_id, "record_id": str(charge_id), "kind": facts["kind"],
        "price_fen": price_fen, "delivery": "none", "received_at": now,
        "findings": [], "due_fen": price_fen, "rulebook_version": 1,
    } | values  # fmt: skip
    await _insert(tx, "charge_record", row)
    for kind in row["findings"]:
        await _insert(
            tx, "charge_finding",
            {"msisdn": msisdn, "charge_id": charge_id, "charged_at": now, "kind": kind,
             "due_fen": row["due_fen"], "found_at": now, "found_by": "test"},
        )  # fmt: skip
    return charge_id


async def bad_credit(tx: Connection, now: datetime, sp_id: UUID) -> UUID:
    """Insert an entry of the bad-credit list that looks like nobody."""
    entry_id, key = uuid4(), str(next(_serial))
    await _insert(
        tx, "bad_credit",
        {"id": entry_id, "sp_id": sp_id, "licence_key": key, "company_key": key,
         "person_key": key, "cause_kind": "breach", "cause_id": key, "reason": "test",
         "listed_at": now, "until_at": now + YEAR, "listed_by": "test"},
    )  # fmt: skip
    return entry_id


async def hotline_finding(
    tx: Connection,
    now: datetime,
    sp_id: UUID,
    hotline: str,
    *,
    drawn_by: str = "job:draw_spot_checks",
) -> dict[str, str]:
    """Insert a finished plan with one item that found the hotline unreachable; return their ids."""
    plan_id, item_id = uuid4(), uuid4()
    await _insert(
        tx, "inspection_plan",
        {"id": plan_id, "drawn_at": now, "drawn_by": drawn_by, "seed": "s",
         "seed_sha256": "0" * 64, "candidates": 1, "rulebook_version": 1, "finished_at": now,
         "document": "{}", "plan_sha256": "0" * 64},
    )  # fmt: skip
    await _insert(
        tx, "inspection_item",
        {"id": item_id, "plan_id": plan_id, "sp_id": sp_id, "hotline": hotline, "state": "judged",
         "verdict": "unreachable", "reason": "retests_failed", "judged_at": now},
    )  # fmt: skip
    await _insert(
        tx, "hotline_finding",
        {"item_id": item_id, "sp_id": sp_id, "hotline": hotline, "verdict": "unreachable",
         "found_at": now, "cure_by": now, "closed_at": now, "closed_because": "overdue"},
    )  # fmt: skip
    return {"plan_id": str(plan_id), "item_id": str(item_id)}


async def _insert(tx: Connection, table: str, row: dict[str, Any]) -> None:
    places = ", ".join(f"${i}" for i in range(1, len(row) + 1))
    await tx.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({places})", *row.values())


async def suspicion(tx: Connection, now: datetime, msisdn: str, charge_id: UUID) -> UUID:
    """Insert an open suspicion about a charge."""
    suspicion_id = uuid4()
    await tx.execute(
        """INSERT INTO charge_suspicion (msisdn, charge_id, kind, id, charged_at, sp_id, due_fen,
                                         detail, found_at, found_by)
           SELECT msisdn, id, 'split_charges', $3, charged_at, sp_id, 0, '{}', $4, 'test'
             FROM charge_record WHERE msisdn = $1 AND id = $2""",
        msisdn, charge_id, suspicion_id, now,
    )  # fmt: skip
    return suspicion_id
