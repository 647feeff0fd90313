"""What the database keeps about a number for decisions: one JSON text (`number_standing`).

The text is put together in migration 0168, and read here and nowhere else. Instants are whole
microseconds since 1970 in UTC. It tells what is, not since when it is known: `hindsight` has that.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from spms.authorisation.dossier import BarRow, CapRow, NumberRow, NumberRows, RelationRow

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
Wishes = dict[str, list[datetime]]
"""When a number's wishes to leave that are not settled came in."""


class Event(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What followed from an event of the number."""

    effective_at: int
    recorded_at: int
    state: str
    epoch: int
    id: str


class Relation(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A relation that has not ended, with its consent."""

    service_id: str
    id: UUID
    kind: str
    epoch: int
    price_fen: int
    asked_at: int
    """When the message or call that asked for it came in."""
    requested_at: int
    confirm_by: int | None
    active_from: int | None
    charge_from: int | None
    free_until: int | None
    link_id: str | None
    consent_kind: str | None
    consent_price_fen: int | None


class Bar(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A bar that was not lifted."""

    epoch: int
    id: UUID
    scope: str
    target: str
    starts_at: int


class Cap(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A cap that the holder set, latest first."""

    epoch: int
    scope: str
    service_id: UUID | None
    limit_fen: int | None
    starts_at: int
    id: UUID | None = None


class Kept(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """All that is kept about a number."""

    events: tuple[Event, ...]
    """Latest first."""
    relations: tuple[Relation, ...]
    bars: tuple[Bar, ...]
    caps: tuple[Cap, ...]


read: Final = msgspec.json.Decoder(Kept).decode
"""Read the text of a number."""


def instant(at: datetime) -> int:
    """Write an instant as the text has it."""
    return (at - _EPOCH) // _MICROSECOND


def _time(at: int | None) -> datetime | None:
    return None if at is None else _EPOCH + _MICROSECOND * at


def standing(kept: Kept, now: int) -> Event | None:
    """Return the event by which the number is what it is at an instant."""
    for event in kept.events:
        if event.effective_at <= now and event.recorded_at <= now:
            return event
    return None


def live(relation: Relation, now: int, orders_since: int) -> bool | None:
    """Say whether a relation is live, or waits for its second yes; None: it is neither."""
    if relation.requested_at > now:
        return None
    if relation.free_until is not None and relation.free_until <= now:
        return None
    begun = relation.active_from
    if begun is None or begun > now:
        return False if relation.confirm_by is not None and relation.confirm_by > now else None
    return True if relation.kind == "monthly" or begun > orders_since else None


def chosen(
    kept: Kept, service_id: str, now: int, orders_since: int
) -> tuple[Event | None, Relation | None, bool]:
    """Return what the number is by, and its relation with a monthly service, live or waiting."""
    for event in kept.events:
        if event.effective_at <= now and event.recorded_at <= now:
            break
    else:
        return None, None, False
    waiting, epoch = None, event.epoch
    for one in kept.relations:
        if one.service_id == service_id and one.epoch == epoch:
            found = live(one, now, orders_since)
            if found:
                return event, one, True
            if found is False and waiting is None:
                waiting = one
    return event, waiting, False


def rows(
    numbers: Iterable[tuple[str, Kept]], wishes: Wishes, used: frozenset[UUID], *, at: datetime,
    orders_since: datetime,
) -> NumberRows:  # fmt: skip
    """Lay out what is kept as the rows that a dossier is made of, but for what was spent."""
    made = NumberRows(numbers=[], relations=[], months=[], bars=[], caps=[])
    now, since = instant(at), instant(orders_since)
    for msisdn, kept in numbers:
        event = standing(kept, now)
        if event is not None:
            made.numbers.append(
                NumberRow(
                    msisdn=msisdn, state=event.state, epoch=event.epoch, event_id=UUID(event.id)
                )
            )
        for relation in kept.relations:
            is_live = live(relation, now, since)
            if is_live is not None:
                made.relations.append(_relation(msisdn, relation, now, wishes, used, live=is_live))
        made.bars.extend(
            BarRow(
                msisdn=msisdn, epoch=bar.epoch, id=bar.id, scope=bar.scope, target=bar.target
            )
            for bar in kept.bars if bar.starts_at <= now
        )  # fmt: skip
        seen = set()
        for cap in kept.caps:
            key = (cap.epoch, cap.scope, cap.service_id)
            if cap.starts_at <= now and key not in seen:
                seen.add(key)
                made.caps.append(
                    CapRow(
                        msisdn=msisdn, epoch=cap.epoch, scope=cap.scope, service_id=cap.service_id,
                        limit_fen=cap.limit_fen, id=cap.id,
                    )
                )  # fmt: skip
    return made


def _relation(
    msisdn: str, kept: Relation, now: int, wishes: Wishes, used: frozenset[UUID], *, live: bool
) -> RelationRow:
    relation_id = kept.id
    asked_at = _EPOCH + _MICROSECOND * kept.asked_at
    return RelationRow(
        msisdn=msisdn, service_id=UUID(kept.service_id), id=relation_id, epoch=kept.epoch,
        price_fen=kept.price_fen, live=live, active_from=_time(kept.active_from),
        consent_kind=kept.consent_kind, consent_price_fen=kept.consent_price_fen,
        charge_from=_time(kept.charge_from),
        free=kept.charge_from is not None and kept.charge_from > now,
        link_id=kept.link_id, used=relation_id in used,
        leave_received_at=min((at for at in wishes.get(msisdn, ()) if at >= asked_at), default=None),
    )  # fmt: skip
