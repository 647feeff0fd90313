"""What may happen to a number, and how events that arrive in any order make one timeline."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from spms.core.errors import FieldError, NotAllowed, Unprocessable
from spms.core.ids import new_id
from spms.core.machine import advance
from spms.subscribers.model import (
    Language,
    Number,
    NumberEvent,
    NumberEventIn,
    NumberEventKind,
    NumberReason,
    NumberState,
)

AHEAD_MAX = timedelta(minutes=5)
"""How far the registry's clock may run ahead of ours."""

EARLIEST = datetime(1995, 1, 1, tzinfo=UTC)
"""Before public mobile service in the present numbering plan; an earlier date is a mistake."""

TRANSITIONS: Mapping[tuple[NumberState, NumberEventKind], NumberState] = {
    (NumberState.ACTIVE, NumberEventKind.SUSPENDED): NumberState.SUSPENDED,
    (NumberState.ACTIVE, NumberEventKind.TERMINATED): NumberState.TERMINATED,
    (NumberState.ACTIVE, NumberEventKind.NUMBER_CHANGED): NumberState.TERMINATED,
    (NumberState.ACTIVE, NumberEventKind.TRANSFERRED): NumberState.ACTIVE,
    (NumberState.SUSPENDED, NumberEventKind.RESUMED): NumberState.ACTIVE,
    (NumberState.SUSPENDED, NumberEventKind.TERMINATED): NumberState.TERMINATED,
    (NumberState.SUSPENDED, NumberEventKind.NUMBER_CHANGED): NumberState.TERMINATED,
    # A transfer changes the owner and nothing else: who takes over a stopped number resumes it.
    (NumberState.SUSPENDED, NumberEventKind.TRANSFERRED): NumberState.SUSPENDED,
    (NumberState.TERMINATED, NumberEventKind.ACTIVATED): NumberState.ACTIVE,
}

BEGINS_EPOCH = frozenset({NumberEventKind.ACTIVATED, NumberEventKind.TRANSFERRED})
ENDS_EPOCH = frozenset(
    {NumberEventKind.TERMINATED, NumberEventKind.NUMBER_CHANGED, NumberEventKind.TRANSFERRED}
)

REASONS: Mapping[NumberEventKind, frozenset[NumberReason]] = {
    NumberEventKind.ACTIVATED: frozenset({NumberReason.OPENED, NumberReason.PORTED_IN}),
    NumberEventKind.SUSPENDED: frozenset(
        {
            NumberReason.SUBSCRIBER_REQUEST,
            NumberReason.ARREARS,
            NumberReason.LOST,
            NumberReason.OPERATOR,
        }
    ),
    NumberEventKind.RESUMED: frozenset(
        {
            NumberReason.SUBSCRIBER_REQUEST,
            NumberReason.PAID,
            NumberReason.FOUND,
            NumberReason.OPERATOR,
        }
    ),
    NumberEventKind.TERMINATED: frozenset(
        {
            NumberReason.SUBSCRIBER_REQUEST,
            NumberReason.ARREARS,
            NumberReason.OPERATOR,
            NumberReason.PORTED_OUT,
        }
    ),
    NumberEventKind.NUMBER_CHANGED: frozenset(
        {NumberReason.SUBSCRIBER_REQUEST, NumberReason.OPERATOR}
    ),
    NumberEventKind.TRANSFERRED: frozenset({NumberReason.OWNER_CHANGED, NumberReason.OPERATOR}),
}


class NumberUnknown(Unprocessable):
    """No event has ever put this number into service."""

    code = "number_unknown"


class EventNotPossible(Unprocessable):
    """This event cannot be true as it is written."""

    code = "event_not_possible"


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A new event, and where in the request it stood."""

    position: int
    event: NumberEventIn


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """What a number's events are from the first new one on, once the new ones found their places."""

    before: NumberEvent | None
    """The last event ahead of them."""
    all: list[NumberEvent]
    new: list[NumberEvent]
    rederived: list[NumberEvent]
    """Recorded events whose state or epoch is another now."""


def fault(position: int, code: str, detail: str) -> FieldError:
    """Point at one event of the request."""
    return FieldError(pointer=f"/events/{position}", code=code, detail=detail)


def check(told: Told, now: datetime) -> None:
    """Raise `EventNotPossible` for an event that cannot be true whatever came before it."""
    event = told.event
    if event.effective_at > now + AHEAD_MAX:
        detail = "effective_at is more than five minutes ahead"
    elif event.effective_at < EARLIEST:
        detail = "effective_at is before the present numbering plan"
    elif event.reason not in REASONS[event.kind]:
        detail = f"the reason does not fit {event.kind.value}"
    elif event.language is not None and event.kind is not NumberEventKind.ACTIVATED:
        detail = "a language is given with activated only"
    else:
        return
    raise EventNotPossible(detail, errors=[fault(told.position, EventNotPossible.code, detail)])


def place(
    before: NumberEvent | None, later: Sequence[NumberEvent], told: Sequence[Told], epoch_top: int
) -> Timeline:
    """Put new events of one number into its timeline and derive states and epochs anew.

    `before` is the last recorded event ahead of the first new one, `later` are the recorded ones
    after it; `epoch_top` is the highest epoch the number ever had. A beginning that is recorded
    keeps its epoch, a new one gets the next unused. Raises `NotAllowed` when a move is not in the
    table, also for a recorded event which a new one ahead of it makes impossible; and
    `NumberUnknown` when the first thing that ever happens is not `activated`.
    """
    state = before.state_after if before else None
    epoch = before.epoch_after if before else 0
    steps: list[Told | NumberEvent] = sorted([*told, *later], key=_instant)
    timeline = Timeline(before=before, all=[], new=[], rederived=[])
    position = 0
    for step in steps:
        if isinstance(step, Told):
            position, kind = step.position, step.event.kind
        else:
            kind = step.kind
        state = _advanced(state, kind, position)
        if kind in BEGINS_EPOCH:
            if isinstance(step, Told):
                epoch = epoch_top = epoch_top + 1
            else:
                epoch = step.epoch_after
        if isinstance(step, Told):
            placed = _recorded(step.event, state, epoch)
            timeline.new.append(placed)
        else:
            placed = msgspec.structs.replace(step, state_after=state, epoch_after=epoch)
            if placed != step:
                timeline.rederived.append(placed)
        timeline.all.append(placed)
    return timeline


def after(number: Number, timeline: Timeline, told: Sequence[Told]) -> Number:
    """Return the number as it is after the last event of its timeline."""
    state = timeline.before.state_after if timeline.before else None
    state_since, epoch_since = number.state_since, number.epoch_since
    for event in timeline.all:
        if event.state_after is not state:
            state, state_since = event.state_after, event.effective_at
        if event.kind in BEGINS_EPOCH:
            epoch_since = event.effective_at
    language = number.language
    for one in told:
        if one.event.kind is NumberEventKind.ACTIVATED and one.event.effective_at == epoch_since:
            language = one.event.language or Language.ZH
    last = timeline.all[-1]
    return msgspec.structs.replace(
        number, state=last.state_after, state_since=state_since,
        epoch=last.epoch_after, epoch_since=epoch_since, language=language,
    )  # fmt: skip


def ended(number: Number, timeline: Timeline) -> NumberEvent | None:
    """Return the new event that ended the ownership the number had, or None.

    `number` is as it was before. An event that ends an earlier ownership, known late, ends nothing
    of the present; neither does one about a number that nobody held.
    """
    if number.state is NumberState.TERMINATED:
        return None
    new = {event.id for event in timeline.new}
    epoch = timeline.before.epoch_after if timeline.before else 0
    for event in timeline.all:
        if event.id in new and event.kind in ENDS_EPOCH and epoch == number.epoch:
            return event
        epoch = event.epoch_after
    return None


def _instant(step: Told | NumberEvent) -> datetime:
    return step.event.effective_at if isinstance(step, Told) else step.effective_at


def _advanced(state: NumberState | None, kind: NumberEventKind, position: int) -> NumberState:
    if state is None:
        if kind is NumberEventKind.ACTIVATED:
            return NumberState.ACTIVE
        detail = "its first event must be activated"
        raise NumberUnknown(detail, errors=[fault(position, NumberUnknown.code, detail)])
    try:
        return advance(TRANSITIONS, state, kind)
    except NotAllowed as refusal:
        detail = f"{kind.value} cannot follow on {state.value}"
        raise NotAllowed(detail, errors=[fault(position, NotAllowed.code, detail)]) from refusal


def _recorded(event: NumberEventIn, state: NumberState, epoch: int) -> NumberEvent:
    return NumberEvent(
        msisdn=event.msisdn, id=new_id(), kind=event.kind, reason=event.reason,
        effective_at=event.effective_at.astimezone(UTC), state_after=state, epoch_after=epoch,
    )  # fmt: skip
