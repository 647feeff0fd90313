"""What may happen to a relation, and when. Nothing here touches the world."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from uuid import UUID

import msgspec

from spms.core.clock import business_day, start_of_day
from spms.core.errors import Conflict, TooManyRequests, Unprocessable
from spms.core.machine import advance
from spms.partners.model import Measure, Restriction
from spms.subscribers.model import Number, NumberEventKind, NumberState
from spms.subscriptions.causes import Cause
from spms.subscriptions.model import Action, ConsentRules, EndReason, Status, Subscription

TRANSITIONS = {
    (Status.AWAITING, Action.CONFIRM): Status.ACTIVE,
    (Status.AWAITING, Action.REFUSE): Status.REFUSED,
    (Status.AWAITING, Action.LEAVE): Status.REFUSED,
    (Status.AWAITING, Action.EXPIRE): Status.EXPIRED,
    (Status.AWAITING, Action.END): Status.ENDED,
    (Status.ACTIVE, Action.SUSPEND): Status.SUSPENDED,
    (Status.ACTIVE, Action.LEAVE): Status.ENDED,
    (Status.ACTIVE, Action.LAPSE): Status.ENDED,
    (Status.ACTIVE, Action.END): Status.ENDED,
    (Status.SUSPENDED, Action.RESUME): Status.ACTIVE,
    (Status.SUSPENDED, Action.LEAVE): Status.ENDED,
    (Status.SUSPENDED, Action.LAPSE): Status.ENDED,
    (Status.SUSPENDED, Action.END): Status.ENDED,
    (Status.ENDED, Action.LEAVE_EARLIER): Status.ENDED,
}
OVER = frozenset({Status.ENDED, Status.REFUSED, Status.EXPIRED})

SETTLING = timedelta(seconds=10)
"""How long after its window a prompt stays open for a yes that came in time and is being stored."""

CAUSES = {
    Action.CONFIRM: Cause.SUBSCRIBER,
    Action.REFUSE: Cause.NO,
    Action.EXPIRE: Cause.SILENCE,
    Action.LAPSE: Cause.LAPSED,
    Action.LEAVE: Cause.SUBSCRIBER,
    Action.LEAVE_EARLIER: Cause.SUBSCRIBER,
    Action.END: Cause.OPERATOR,
    Action.SUSPEND: Cause.NUMBER_SUSPENDED,
    Action.RESUME: Cause.NUMBER_RESUMED,
}
"""What stands behind a move of which nothing more is said."""

BARS_NEW = frozenset({Measure.NO_NEW_SUBSCRIPTIONS, Measure.SHIELDED, Measure.OFFLINE})
"""Measures under which no relation may begin."""


class NumberNotActive(Unprocessable):
    """Nothing can be ordered for this number now."""

    code = "number_not_active"


class NewSubscriptionsBarred(Unprocessable):
    """A measure is in force: this service takes no new subscriptions."""

    code = "no_new_subscriptions"


class AlreadySubscribed(Conflict):
    """This number already has this service."""

    code = "already_subscribed"


class AlreadyPending(Conflict):
    """This number has already been asked about this service and may still answer."""

    code = "already_pending"


class Resting(Unprocessable):
    """The person refused this service, or did not answer its SP; it is not offered again so soon."""

    code = "resting"


class NothingToTry(Unprocessable):
    """A free trial is of a monthly service, given by its SP."""

    code = "nothing_to_try"


class PromptLimit(TooManyRequests):
    """This number has been asked often enough today."""

    code = "prompt_limit"


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One move of a relation, decided."""

    action: Action
    before: Status
    after: Status
    at: datetime
    cause: Cause
    end_reason: EndReason | None = None


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What a number's past says about one more prompt for one service."""

    prompts_today: int
    refused_at: datetime | None
    """Latest refusal of this service by the present owner."""
    silent_at: datetime | None = None
    """When the window of the latest prompt for it closed that the present owner left unanswered."""
    live: Status | None
    """Of what is not over with this service: the prompt, if one waits, else the relation."""
    codes: list[str]
    """Prompt codes used lately: not to be used again while they may be answered late."""


class OwnerEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A dated event of a number, as far as it touches relations."""

    kind: NumberEventKind
    effective_at: datetime
    state_after: NumberState
    epoch_after: int
    recorded_at: datetime | None = None
    """When it became known here."""


def decide(
    subscription: Subscription, action: Action, *, at: datetime, reason: EndReason | None = None
) -> Change:
    """Pass the one gate of every change of status; raise `NotAllowed` for any other move.

    An end that was recorded late may lie before the start: the relation then never held. Every
    end says why.
    """
    after = advance(TRANSITIONS, subscription.status, action)
    if subscription.active_from is not None:
        at = max(at, subscription.active_from)
    return Change(
        action=action,
        before=subscription.status,
        after=after,
        at=at,
        cause=CAUSES[action] if reason is None else Cause(reason),
        end_reason=reason if after in OVER else None,
    )


def answerable(subscription: Subscription, *, at: datetime) -> bool:
    """Whether a yes received at this instant could confirm it (the window is half-open)."""
    return (
        subscription.status is Status.AWAITING
        and subscription.confirm_by is not None
        and subscription.requested_at <= at < subscription.confirm_by
    )


def require_room_for_prompt(
    standing: Standing, rules: ConsentRules, *, now: datetime, new_terms: bool = False,
    by_sp: bool = False,
) -> None:  # fmt: skip
    """Refuse a prompt that would repeat, pester or bomb (threat T1).

    `new_terms`: it asks for a yes to something else than what the person has already. `by_sp`: it
    is the SP that asks, not the person, nor an agent for her.
    """
    if standing.live is Status.AWAITING:
        raise AlreadyPending("wait for the answer or for the window to close")
    if standing.live is not None and not new_terms:
        raise AlreadySubscribed
    rest = timedelta(days=rules.refusal_rest_days)
    if standing.refused_at is not None and now < standing.refused_at + rest:
        raise Resting(f"no prompt for {rules.refusal_rest_days} days after a refusal")
    rest = timedelta(days=rules.silence_rest_days)
    if by_sp and standing.silent_at is not None and now < standing.silent_at + rest:
        raise Resting(f"no prompt by its SP for {rules.silence_rest_days} days after silence")
    if standing.prompts_today >= rules.prompts_per_day:
        wait = start_of_day(business_day(now) + timedelta(days=1)) - now
        raise PromptLimit(
            f"at most {rules.prompts_per_day} prompts a day to one number, all SPs together",
            headers={"Retry-After": str(int(wait.total_seconds()) + 1)},
        )


def require_unbarred(restrictions: Sequence[Restriction], service_id: UUID) -> None:
    """Refuse while any measure on the SP or on this service bars new relations."""
    for restriction in restrictions:
        concerned = restriction.service_id is None or restriction.service_id == service_id
        if concerned and restriction.measure in BARS_NEW:
            raise NewSubscriptionsBarred


def end_of_owner(events: Sequence[OwnerEvent], epoch: int) -> tuple[EndReason, datetime] | None:
    """Say why and when an owner's time with a number ended; None while it has not.

    Epochs are names, not places in time: an owner between two others may become known last.
    """
    theirs = False
    for event in sorted(events, key=lambda event: event.effective_at):
        over = event.epoch_after != epoch or event.state_after is NumberState.TERMINATED
        if theirs and over:
            return END_REASONS.get(event.kind, EndReason.NUMBER_TERMINATED), event.effective_at
        theirs = theirs or not over
    return None


def of_another_until(events: Sequence[OwnerEvent]) -> datetime | None:
    """Say until when messages to a number were written to somebody who has lost it since.

    That is when the latest end of an owner's time became known here, later than it took effect:
    until then we wrote to the former one. None while the number never left anybody.
    """
    ordered = sorted(events, key=lambda event: event.effective_at)
    for before, event in reversed([*pairwise(ordered)]):
        gone = event.state_after is NumberState.TERMINATED is not before.state_after
        if gone or event.epoch_after != before.epoch_after:
            return max(event.effective_at, event.recorded_at or event.effective_at)
    return None


def follow(
    current: Subscription, number: Number, events: Sequence[OwnerEvent], *, since: datetime
) -> list[Change]:
    """Return, in order, the moves by which a relation comes in step with its number.

    `since` is its latest move: every suspension after it leaves its mark, also when it was over
    before anybody looked. What became known later than that only decides where it stands.
    """
    end = end_of_owner(events, current.epoch)
    if end is None and current.epoch != number.epoch:
        end = (EndReason.NUMBER_TRANSFERRED, number.epoch_since)
    steps = [
        (event.state_after, event.effective_at)
        for event in sorted(events, key=lambda event: event.effective_at)
        if event.epoch_after == current.epoch and event.effective_at > since
        and (end is None or event.effective_at < end[1])
    ]  # fmt: skip
    if end is None:
        steps.append((number.state, number.state_since))
    changes = []
    for state, at in steps:
        action = IN_STEP.get((current.status, state))
        if action is not None:
            changes.append(decide(current, action, at=at))
            current = msgspec.structs.replace(current, status=changes[-1].after)
    if end is not None:
        changes.append(decide(current, Action.END, at=end[1], reason=end[0]))
    return changes


IN_STEP = {
    (Status.ACTIVE, NumberState.SUSPENDED): Action.SUSPEND,
    (Status.SUSPENDED, NumberState.ACTIVE): Action.RESUME,
}
"""What a number's state asks of a relation that does not stand so."""

END_REASONS = {
    NumberEventKind.NUMBER_CHANGED: EndReason.NUMBER_CHANGED,
    NumberEventKind.TRANSFERRED: EndReason.NUMBER_TRANSFERRED,
}
