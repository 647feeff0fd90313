from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spms.core.errors import NotAllowed
from spms.subscribers.model import (
    NumberEvent,
    NumberEventIn,
    NumberEventKind,
    NumberReason,
    NumberState,
)
from spms.subscribers.rules import (
    BEGINS_EPOCH,
    REASONS,
    TRANSITIONS,
    EventNotPossible,
    NumberUnknown,
    Timeline,
    Told,
    check,
    place,
)

NOON = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
MSISDN = "8613800138000"
ACTIVATED = NumberEventKind.ACTIVATED


def told(kind: NumberEventKind, minute: int, position: int = 0, **values) -> Told:
    reason = values.pop("reason", min(REASONS[kind]))
    event = NumberEventIn(
        msisdn=MSISDN, kind=kind, reason=reason, effective_at=NOON + timedelta(minutes=minute),
        **values,
    )  # fmt: skip
    return Told(position=position, event=event)


def place_all(recorded: list[NumberEvent], new: list[Told]) -> Timeline:
    first = min(one.event.effective_at for one in new)
    before = [event for event in recorded if event.effective_at < first]
    later = recorded[len(before) :]
    top = max((event.epoch_after for event in recorded), default=0)
    return place(before[-1] if before else None, later, new, top)


def whole(recorded: list[NumberEvent], timeline: Timeline) -> list[NumberEvent]:
    first = timeline.all[0].effective_at
    return [event for event in recorded if event.effective_at < first] + timeline.all


@st.composite
def lives(draw) -> list[Told]:
    """A legal life of a number, one event a minute."""
    life, state = [told(ACTIVATED, 0)], NumberState.ACTIVE
    for minute in range(1, draw(st.integers(1, 10))):
        kinds = sorted(kind for (before, kind) in TRANSITIONS if before is state)
        kind = draw(st.sampled_from(kinds))
        state = TRANSITIONS[state, kind]
        life.append(told(kind, minute, position=minute))
    return life


@given(lives(), st.data())
def test_a_life_told_in_any_order_ends_with_the_same_states_and_the_same_owners(life, data):
    in_order = place_all([], life).all
    recorded: list[NumberEvent] = []
    rest = list(life)
    for _ in range(3):
        part = [one for one in rest if data.draw(st.booleans())]
        try:
            recorded = whole(recorded, place_all(recorded, part)) if part else recorded
        except (NotAllowed, NumberUnknown):
            continue  # this much alone is no possible life; it comes again with the rest
        rest = [one for one in rest if one not in part]
    if rest:
        recorded = whole(recorded, place_all(recorded, rest))
    assert [event.state_after for event in recorded] == [event.state_after for event in in_order]
    pairs = list(product(range(len(life)), repeat=2))
    assert [recorded[i].epoch_after == recorded[j].epoch_after for i, j in pairs] == [
        in_order[i].epoch_after == in_order[j].epoch_after for i, j in pairs
    ]


@given(lives(), st.data())
def test_an_epoch_that_is_recorded_keeps_its_name_whatever_becomes_known_later(life, data):
    part = life[: data.draw(st.integers(1, len(life)))]
    recorded = place_all([], part).all
    late = told(NumberEventKind.TRANSFERRED, 0)
    late = Told(
        position=0,
        event=NumberEventIn(
            msisdn=MSISDN, kind=late.event.kind, reason=late.event.reason,
            effective_at=NOON + timedelta(seconds=30),
        ),
    )  # fmt: skip
    after = whole(recorded, place_all(recorded, [late]))
    names = {event.id: event.epoch_after for event in recorded if event.kind in BEGINS_EPOCH}
    assert {e.id: e.epoch_after for e in after if e.id in names} == names
    fresh = next(event for event in after if event.effective_at == late.event.effective_at)
    assert fresh.epoch_after not in names.values()


@pytest.mark.parametrize(
    ("state", "kind"),
    sorted(set(product(NumberState, NumberEventKind)) - set(TRANSITIONS)),
)
def test_every_move_not_in_the_table_is_refused(state, kind):
    life = {
        NumberState.ACTIVE: [told(ACTIVATED, 0)],
        NumberState.SUSPENDED: [told(ACTIVATED, 0), told(NumberEventKind.SUSPENDED, 1)],
        NumberState.TERMINATED: [told(ACTIVATED, 0), told(NumberEventKind.TERMINATED, 1)],
    }[state]
    with pytest.raises(NotAllowed) as refusal:
        place_all(place_all([], life).all, [told(kind, 5, position=7)])
    assert refusal.value.errors[0].pointer == "/events/7"


def test_a_late_event_that_makes_a_recorded_one_impossible_is_refused():
    recorded = place_all([], [told(ACTIVATED, 0), told(NumberEventKind.SUSPENDED, 5)]).all
    with pytest.raises(NotAllowed):
        place_all(recorded, [told(NumberEventKind.SUSPENDED, 3)])


def test_a_life_that_does_not_begin_with_activated_is_refused():
    with pytest.raises(NumberUnknown):
        place_all([], [told(NumberEventKind.SUSPENDED, 0)])


def test_every_kind_has_a_reason_and_every_reason_a_kind():
    assert set(REASONS) == set(NumberEventKind)
    assert set().union(*REASONS.values()) == set(NumberReason)


@pytest.mark.parametrize(
    "wrong",
    [
        told(ACTIVATED, 6),
        told(ACTIVATED, -60 * 24 * 365 * 40),
        told(ACTIVATED, 0, reason=NumberReason.ARREARS),
        told(NumberEventKind.SUSPENDED, 0, language="en"),
    ],
)
def test_an_event_that_cannot_be_true_is_refused(wrong):
    with pytest.raises(EventNotPossible):
        check(wrong, NOON)


def test_the_registrys_clock_may_be_five_minutes_ahead():
    check(told(ACTIVATED, 5), NOON)
