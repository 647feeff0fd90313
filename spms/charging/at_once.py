"""A charge in one step: decided by the engine, held, captured and landed in one transaction.

For what needs no delivery by message. Where something has to arrive first, it is two steps
(`authorisation.reservations`) and a charge record afterwards.
"""

from datetime import datetime

import msgspec

from spms.authorisation import reservations
from spms.authorisation.model import Decision
from spms.authorisation.reservation_model import (
    Ask,
    Reservation,
    ReservationRequest,
    ReservationState,
)
from spms.authorisation.reservations import ReservationClosed
from spms.charging import actions, queries
from spms.charging.model import ChargeRecordIn, Delivery, Line, LineOutcome, LineResult, Reason
from spms.core.access import Actor
from spms.core.db import Connection
from spms.core.errors import Conflict


class RecordIdTaken(Conflict):
    """This reference is the id of another charge record of yours."""

    code = "record_id_taken"


class NotDue(Conflict):
    """Not all of it would be due: what was charged for this number already leaves no room for it."""

    code = "not_due"


class ChargedAtOnce(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whether the charge was allowed, and what stands of it."""

    decision: Decision
    charge: LineOutcome | None = None
    """The record that landed, its id the request's reference; null: denied, and nothing is charged."""


async def charge(
    tx: Connection, asked: ReservationRequest, *, actor: Actor, now: datetime
) -> ChargedAtOnce:
    """Decide about an SP's charge and land its record (charged at the decision's instant, in fen).

    The same reference of a number again is the same charge, however often and at the same time. A
    denial leaves nothing but the decision. Raises `ReferenceReused` and `ReservationClosed` where
    the reference was used otherwise, `ChargingStopped` where the person left meanwhile, `NotDue`
    where the audit finds something wrong with it, and `RecordIdTaken`; then nothing of it happened.
    """
    # The number before its money, which the engine's rounds wait for: a file may keep the number for
    # long. So nobody can leave, either, between the decision and the record. And before its id, as
    # whoever lands records takes them.
    await queries.hold_numbers(tx, [asked.msisdn])
    ask = Ask(
        request=asked.question(), sp_id=actor.sp_id, actor=actor.label, reference=asked.reference
    )
    answer = await reservations.reserve(tx, ask, now=now)
    held = answer.reservation
    if held is None:
        return ChargedAtOnce(decision=answer.decision)
    await reservations.close(tx, held.id, ReservationState.CAPTURED, actor=actor, now=now)
    landing = await actions.land(
        tx, [_line(asked, held)], sp_id=actor.sp_id, file_id=None, actor=actor, now=now,
        first_seen_at=max(now, held.reserved_at),
    )  # fmt: skip
    (outcome,) = landing.outcomes
    if outcome.result is LineResult.QUARANTINED:
        # Not what came before under this id; or captured long ago in two steps, and too late to land.
        raise RecordIdTaken if outcome.reason is Reason.DUP_CONFLICT else ReservationClosed
    if outcome.findings:
        # The decision counts what was decided; the audit also what landed without one, in files.
        raise NotDue(f"it would be found wrong: {', '.join(outcome.findings)}")
    return ChargedAtOnce(decision=answer.decision, charge=outcome)


def _line(asked: ReservationRequest, held: Reservation) -> Line:
    """Write the record as the SP would have sent it: the same one each time."""
    record = ChargeRecordIn(
        record_id=held.reference, service_code=held.service_code, msisdn=asked.msisdn,
        charged_at=held.reserved_at, price_fen=held.price_fen, delivery=Delivery.NONE,
    )  # fmt: skip
    return Line(line_no=1, raw=msgspec.json.encode(record), record=record)
