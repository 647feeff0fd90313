from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any
from uuid import uuid4

import pytest

from spms.catalogue.model import ServiceKind
from spms.core.errors import NotAllowed, Refused
from spms.partners.model import Measure
from spms.subscribers.model import NumberEventKind, NumberState
from spms.subscriptions.model import (
    LIVE,
    Action,
    Channel,
    ConsentRules,
    EndReason,
    Status,
    Subscription,
)
from spms.subscriptions.rules import (
    BARS_NEW,
    OVER,
    TRANSITIONS,
    AlreadyPending,
    AlreadySubscribed,
    NewSubscriptionsBarred,
    OwnerEvent,
    PromptLimit,
    Resting,
    Standing,
    answerable,
    decide,
    end_of_owner,
    require_room_for_prompt,
    require_unbarred,
)
from tests.subscriptions.world import a_restriction

NOON = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
RULES = ConsentRules()


def a_subscription(**values: Any) -> Subscription:
    facts: dict[str, Any] = {
        "msisdn": "8613800138000", "id": uuid4(), "epoch": 1, "sp_id": uuid4(),
        "sp_code": "900001", "sp_name": "天津信息", "service_id": uuid4(),
        "service_code": "000001", "service_name": "天气早知道", "keyword": "TQ",
        "kind": ServiceKind.MONTHLY, "status": Status.AWAITING, "tariff_id": uuid4(),
        "notice_id": uuid4(), "price_fen": 800, "channel": Channel.SP, "requested_at": NOON,
        "requested_by": "sp:900001", "request_text": "web form", "request_received_at": None,
        "request_message_id": None, "prompt_code": "4821", "prompt_text": "…",
        "confirm_by": NOON + HOUR, "active_from": None, "ended_at": None, "end_reason": None,
    }  # fmt: skip
    return Subscription(**(facts | values))


def standing(**values: Any) -> Standing:
    facts: dict[str, Any] = {"prompts_today": 0, "refused_at": None, "live": None, "codes": []}
    return Standing(**(facts | values))


@pytest.mark.parametrize(
    ("status", "action"), sorted(set(product(Status, Action)) - set(TRANSITIONS))
)
def test_every_move_not_in_the_table_is_refused(status: Status, action: Action) -> None:
    with pytest.raises(NotAllowed):
        decide(a_subscription(status=status, active_from=NOON), action, at=NOON)


def test_nothing_leads_out_of_an_end() -> None:
    assert not [
        before
        for (before, _), after in TRANSITIONS.items()
        if before in OVER and after is not before
    ]
    assert set(Status) == LIVE | OVER


def test_only_a_confirmation_makes_a_waiting_relation_active() -> None:
    moves = {
        action
        for (before, action), after in TRANSITIONS.items()
        if before is Status.AWAITING and after is Status.ACTIVE
    }
    assert moves == {Action.CONFIRM}


def test_leaving_is_possible_from_every_live_status() -> None:
    assert {status for status, action in TRANSITIONS if action is Action.LEAVE} == LIVE


@pytest.mark.parametrize(
    ("offset", "counts"),
    [
        (timedelta(microseconds=-1), False),
        (timedelta(0), True),
        (HOUR - timedelta(microseconds=1), True),
        (HOUR, False),
        (HOUR + timedelta(microseconds=1), False),
    ],
)
def test_a_yes_counts_from_the_prompt_until_just_before_the_window_closes(
    offset: timedelta, counts: bool
) -> None:
    assert answerable(a_subscription(), at=NOON + offset) is counts


@pytest.mark.parametrize("status", sorted(set(Status) - {Status.AWAITING}))
def test_a_yes_counts_for_nothing_that_does_not_wait(status: Status) -> None:
    assert not answerable(a_subscription(status=status, active_from=NOON), at=NOON)


def test_an_end_that_lies_before_the_start_leaves_an_empty_range() -> None:
    late = a_subscription(status=Status.ACTIVE, active_from=NOON)
    assert decide(late, Action.LEAVE, at=NOON - HOUR).at == NOON
    assert decide(late, Action.LEAVE, at=NOON + HOUR).at == NOON + HOUR


def test_only_an_end_carries_its_reason() -> None:
    active = a_subscription(status=Status.ACTIVE, active_from=NOON)
    left = decide(active, Action.LEAVE, at=NOON, reason=EndReason.SUBSCRIBER)
    stopped = decide(active, Action.SUSPEND, at=NOON, reason=EndReason.SUBSCRIBER)
    assert (left.end_reason, stopped.end_reason) == (EndReason.SUBSCRIBER, None)


@pytest.mark.parametrize(
    ("facts", "refusal"),
    [
        ({"live": Status.AWAITING}, AlreadyPending),
        ({"live": Status.ACTIVE}, AlreadySubscribed),
        ({"live": Status.SUSPENDED}, AlreadySubscribed),
        ({"refused_at": NOON}, Resting),
        ({"refused_at": NOON - timedelta(days=30) + timedelta(microseconds=1)}, Resting),
        ({"silent_at": NOON}, Resting),
        ({"silent_at": NOON - timedelta(days=7) + timedelta(microseconds=1)}, Resting),
        ({"prompts_today": 3}, PromptLimit),
        ({"prompts_today": 4}, PromptLimit),
    ],
)
def test_a_prompt_that_would_repeat_pester_or_bomb_is_refused(
    facts: dict[str, Any], refusal: type[Refused]
) -> None:
    with pytest.raises(refusal):
        require_room_for_prompt(standing(**facts), RULES, now=NOON, by_sp=True)


@pytest.mark.parametrize(
    "facts",
    [{}, {"prompts_today": 2}, {"refused_at": NOON - timedelta(days=30)},
     {"silent_at": NOON - timedelta(days=7)}],
)  # fmt: skip
def test_a_prompt_is_possible_again_when_its_rest_is_over(facts: dict[str, Any]) -> None:
    require_room_for_prompt(standing(**facts), RULES, now=NOON, by_sp=True)


def test_after_silence_the_person_herself_may_ask_at_once() -> None:
    require_room_for_prompt(standing(silent_at=NOON), RULES, now=NOON)


def test_the_prompt_limit_says_when_the_business_day_is_over() -> None:
    with pytest.raises(PromptLimit) as refused:
        require_room_for_prompt(standing(prompts_today=3), RULES, now=NOON)
    assert refused.value.headers["Retry-After"] == str(12 * 3600 + 1)


@pytest.mark.parametrize("measure", sorted(Measure))
@pytest.mark.parametrize("whole_sp", [True, False])
def test_the_measures_that_bar_new_subscriptions_bar_them(measure: Measure, whole_sp: bool) -> None:
    service_id = uuid4()
    held_back = a_restriction(measure, None if whole_sp else service_id)
    if measure in BARS_NEW:
        with pytest.raises(NewSubscriptionsBarred):
            require_unbarred([held_back], service_id)
    else:
        require_unbarred([held_back], service_id)


def test_a_measure_on_another_service_bars_nothing_here() -> None:
    require_unbarred([a_restriction(Measure.SHIELDED, uuid4())], uuid4())


def event(kind: str, hours: int, epoch: int, state: str = "active") -> OwnerEvent:
    return OwnerEvent(
        kind=NumberEventKind(kind), effective_at=NOON + hours * HOUR,
        state_after=NumberState(state), epoch_after=epoch,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("events", "end"),
    [
        ([event("activated", 0, 1)], None),
        ([event("activated", 0, 1), event("suspended", 1, 1, "suspended")], None),
        (
            [event("activated", 0, 1), event("terminated", 2, 1, "terminated")],
            (EndReason.NUMBER_TERMINATED, NOON + 2 * HOUR),
        ),
        (
            [event("activated", 0, 1), event("number_changed", 3, 1, "terminated")],
            (EndReason.NUMBER_CHANGED, NOON + 3 * HOUR),
        ),
        (
            [event("activated", 0, 1), event("transferred", 4, 2)],
            (EndReason.NUMBER_TRANSFERRED, NOON + 4 * HOUR),
        ),
        (  # the first end counts, in whatever order the news came in
            [event("activated", 6, 2), event("terminated", 5, 1, "terminated"),
             event("activated", 0, 1)],
            (EndReason.NUMBER_TERMINATED, NOON + 5 * HOUR),
        ),
        (  # an owner in between that became known last has the highest epoch
            [event("activated", 0, 1), event("transferred", 2, 3), event("transferred", 4, 2)],
            (EndReason.NUMBER_TRANSFERRED, NOON + 2 * HOUR),
        ),
    ],
)  # fmt: skip
def test_an_owners_relations_end_when_the_number_leaves_the_owner(
    events: list[OwnerEvent], end: tuple[EndReason, datetime] | None
) -> None:
    assert end_of_owner(events, 1) == end


def test_a_later_owners_relations_are_not_ended_by_an_earlier_owners_end() -> None:
    events = [
        event("activated", 0, 1), event("terminated", 1, 1, "terminated"), event("activated", 2, 2),
    ]  # fmt: skip
    assert end_of_owner(events, 2) is None
