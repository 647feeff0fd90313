"""What is wrong in a city's month: each error on a number of its own, beside what is right.

What is delivered otherwise, or beside the plan, stands in tables of its own (`month_change`,
`month_beside`), and in `month_label` what the audit is to find on which record.
"""

import random
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

MINUTE = timedelta(minutes=1)
PLANTS_PER_THOUSAND = 30
DICE = 4
"""The same city every time."""

OF_NUMBER = "SELECT * FROM month_plan($1, $1 + 1) ORDER BY charged_at, id"
LABEL = "INSERT INTO month_label VALUES ($1, $2)"
CHANGE = "INSERT INTO month_change VALUES ($1, $2, $3, $4)"
BESIDE = "INSERT INTO month_beside VALUES ($1, $2, $3, $4, $5, $6, $7)"
COUNTED = "INSERT INTO month_counted VALUES ($1, $2)"
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
ASKED_LAST_MONTH = "UPDATE authorisation SET decided_at = $3 WHERE msisdn = $1 AND id = $2"
ASKED_ABOUT_ANOTHER = "UPDATE authorisation SET subscription_id = $3 WHERE msisdn = $1 AND id = $2"
HELD = """
    INSERT INTO reservation (msisdn, id, reserved_at, sp_id, service_id, reference, price_fen,
                             expires_at, state, closed_at, closed_by)
    SELECT msisdn, id, decided_at, sp_id, service_id, id::text, price_fen,
           decided_at + interval '10 minutes', $3, decided_at + interval '5 seconds', 'city'
      FROM authorisation WHERE msisdn = $1 AND id = $2
"""
ORDER = """
    INSERT INTO month_more
    SELECT $1, $2, place, $3 FROM month_service WHERE sp_id = $4 AND kind = 'on_demand'
     ORDER BY price_fen DESC LIMIT 1
"""
ELSEWHERE = """
    SELECT code, price_fen FROM month_service s
     WHERE s.sp_id = $2 AND s.kind = $3 AND s.price_fen <> $4
       AND NOT EXISTS (SELECT FROM month_plan($1, $1 + 1) p WHERE p.service_id = s.id)
     ORDER BY code LIMIT 1
"""
LAST = {"number_terminated", "after_transfer", "over_cap"}
"""Errors that the number's last charge shows: nothing may follow it."""


class Planter:
    """Plants one error on a number; `rows` is what the plan has of it, in order of time."""

    def __init__(self, owner: Any) -> None:
        """Write as the owner."""
        self.owner = owner
        self.errors = 0
        self.counted: Counter[str] = Counter()
        """What is only observed: by number."""
        self._later: list[tuple[str, tuple[Any, ...]]] = []
        """Facts to be written when relations and decisions are there."""

    async def plant(self, kind: str, rows: list[Any]) -> bool:
        """Plant; false when this number has nothing to plant it on."""
        monthly = next((row for row in rows[5:] if row["kind"] == "monthly"), None)
        last = rows[-1]
        if monthly is None or (last["charged_at"] - rows[-2]["charged_at"]) < timedelta(days=1):
            return False
        row = last if kind in LAST else monthly
        plan: Callable[..., Any] | None = getattr(self, f"_{kind}", None)
        if plan is None:
            price_fen, delivery = {
                "price_mismatch": (row["price_fen"] + 50, None), "undelivered": (None, "failed"),
            }[kind]  # fmt: skip
            await self.owner.execute(CHANGE, row["id"], price_fen, delivery, False)  # noqa: FBT003
            await self._label(row["record_id"], kind)
            return True
        done = await plan(row, rows)
        return done is not False

    async def tell(self, owner: Any) -> None:
        """Write the facts that charges stumble over, and what is only counted."""
        # A relation that has begun gets another beginning, which nobody may give it afterwards.
        async with owner.transaction():
            await owner.execute("ALTER TABLE subscription DISABLE TRIGGER subscription_settled")
            for statement, values in self._later:
                await owner.execute(statement, *values)
            await owner.execute("SET CONSTRAINTS ALL IMMEDIATE")
            await owner.execute("ALTER TABLE subscription ENABLE TRIGGER subscription_settled")
        for kind, charges in self.counted.items():
            await owner.execute(COUNTED, kind, charges)

    async def _label(self, record_id: str, kind: str) -> None:
        self.errors += 1
        await self.owner.execute(LABEL, record_id, kind)

    def _after(self, statement: str, *values: Any) -> None:
        self._later.append((statement, values))

    async def _beside(self, row: Any, kind: str, **values: Any) -> None:
        fields = {"code": row["code"], "at": row["charged_at"] + MINUTE,
                  "price_fen": row["price_fen"]} | values  # fmt: skip
        record_id = uuid4().hex[:16]
        await self.owner.execute(
            BESIDE, record_id, row["sp_id"], fields["code"], row["msisdn"], fields["at"],
            fields["price_fen"], kind == "duplicate",
        )  # fmt: skip
        await self._label(record_id, kind)

    async def _duplicate(self, row: Any, _: Any) -> None:
        await self._beside(row, "duplicate", at=row["charged_at"] + 30 * MINUTE)

    async def _of_another(self, row: Any, kind: str, of_kind: str, *, at_its_price: bool) -> bool:
        other = await self.owner.fetchrow(
            ELSEWHERE, row["i"], row["sp_id"], of_kind, row["price_fen"]
        )
        if other is None:
            return False
        price_fen = other["price_fen"] if at_its_price else row["price_fen"]
        await self._beside(row, kind, code=other["code"], price_fen=price_fen)
        return True

    async def _no_consent(self, row: Any, _: Any) -> bool:
        return await self._of_another(row, "no_consent", "monthly", at_its_price=True)

    async def _mt_without_mo(self, row: Any, _: Any) -> bool:
        return await self._of_another(row, "mt_without_mo", "on_demand", at_its_price=True)

    async def _other_service(self, row: Any, _: Any) -> bool:
        return await self._of_another(row, "other_service", "monthly", at_its_price=False)

    async def _after_unsubscribe(self, row: Any, _: Any) -> None:
        self._after(LEFT, row["msisdn"], row["id"], row["charged_at"] - MINUTE)
        await self._label(row["record_id"], "after_unsubscribe")

    async def _in_trial(self, row: Any, _: Any) -> None:
        self._after(LATER, row["msisdn"], row["id"], row["charged_at"] + MINUTE)
        await self._label(row["record_id"], "in_trial")

    async def _barred(self, row: Any, _: Any) -> None:
        at, near = row["charged_at"], timedelta(seconds=5)
        self._after(BAR, row["msisdn"], str(row["sp_id"]), at - near, at + near)
        await self._label(row["record_id"], "barred")

    async def _number_suspended(self, row: Any, _: Any) -> None:
        at, near = row["charged_at"], timedelta(seconds=5)
        self._after(EVENT, row["msisdn"], "suspended", at - near, "suspended", 1)
        self._after(EVENT, row["msisdn"], "resumed", at + near, "active", 1)
        await self._label(row["record_id"], "number_suspended")

    async def _number_terminated(self, row: Any, _: Any) -> None:
        at = row["charged_at"] - MINUTE
        self._after(EVENT, row["msisdn"], "terminated", at, "terminated", 1)
        await self._label(row["record_id"], "number_terminated")

    async def _after_transfer(self, row: Any, _: Any) -> None:
        at = row["charged_at"] - MINUTE
        self._after(EVENT, row["msisdn"], "transferred", at, "active", 2)
        await self._label(row["record_id"], "after_transfer")

    async def _over_cap(self, row: Any, rows: list[Any]) -> None:
        before = sum(each["price_fen"] for each in rows[:-1])
        self._after(CAP, row["msisdn"], before, rows[0]["charged_at"] - timedelta(days=1))
        await self._label(row["record_id"], "over_cap")

    async def _split_charges(self, row: Any, _: Any) -> None:
        for n in (1, 2, 3):
            order_id = uuid4()
            at = row["charged_at"] + n * 2 * MINUTE
            await self.owner.execute(ORDER, row["i"], order_id, at, row["sp_id"])
        await self._label(order_id.hex[:16], "split_charges")

    async def _no_decision(self, row: Any, rows: list[Any]) -> None:
        """Nobody asked, or only in the month before, or only about another relation, in turn."""
        way = self.counted["no_decision"] % 3
        self.counted["no_decision"] += 1
        if way == 0:
            self._after(UNASKED, row["msisdn"], row["id"])
        elif way == 1:
            earlier = row["charged_at"] - timedelta(days=31)
            self._after(ASKED_LAST_MONTH, row["msisdn"], row["id"], earlier)
        else:
            self._after(ASKED_ABOUT_ANOTHER, row["msisdn"], row["id"], rows[0]["id"])

    async def _reserved_not_delivered(self, row: Any, _: Any) -> None:
        await self._label(row["record_id"], "reserved_not_delivered")
        self._after(HELD, row["msisdn"], row["id"], "released")

    async def _delivered_not_charged(self, _: Any, rows: list[Any]) -> None:
        early = next(each for each in rows if each["kind"] == "monthly")
        self.counted["delivered_not_charged"] += 1
        await self.owner.execute(CHANGE, early["id"], None, None, True)  # noqa: FBT003
        self._after(HELD, early["msisdn"], early["id"], "captured")


KINDS = (
    "price_mismatch", "undelivered", "duplicate", "no_consent", "mt_without_mo", "other_service",
    "after_unsubscribe", "in_trial", "barred", "number_suspended", "number_terminated",
    "after_transfer", "over_cap", "split_charges", "no_decision", "reserved_not_delivered",
    "delivered_not_charged",
)  # fmt: skip


async def plant(owner: Any, numbers: int) -> Planter:
    """Plan errors on numbers chosen by chance, each kind in turn."""
    planter = Planter(owner)
    dice = random.Random(DICE)  # noqa: S311 -- no secret
    places = iter(dice.sample(range(numbers), numbers))
    async with owner.transaction():
        for n in range(max(2 * len(KINDS), numbers * PLANTS_PER_THOUSAND // 1000)):
            while True:
                rows = await owner.fetch(OF_NUMBER, next(places))
                if await planter.plant(KINDS[n % len(KINDS)], rows):
                    break
    return planter
