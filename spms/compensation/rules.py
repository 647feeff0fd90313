"""What a claim comes to: pure decisions. Nothing here touches the world.

Source of the double refund: twice the difference between what was charged and what was due
(双倍返还, reference domain §1.7 F1), paid first and at the SP's cost (先退费后查证, F3).
"""

import calendar
from datetime import datetime
from typing import NamedTuple

from spms.charging.model import Finding
from spms.compensation.accounts import (
    COMPENSATION,
    PRINCIPAL,
    Account,
    Bearer,
    Bearers,
    Cause,
    PostingReason,
    both,
)
from spms.compensation.clawback_model import Firsts, GivenBack
from spms.compensation.journal_model import Entry, EntryLine
from spms.compensation.model import (
    ClaimState,
    CompensationRules,
    Disputed,
    Line,
    RefundKind,
    Verdict,
)
from spms.compensation.reasons import ClaimReason
from spms.core.clock import SHANGHAI
from spms.core.errors import TooManyRequests, Unprocessable
from spms.core.ids import hashed_id
from spms.core.money import yuan
from spms.subscribers.model import Language, NumberState

STANDS_MAX = 5
"""How often one charge is found right before disputing it again is refused; also a CHECK."""


class ClaimTooOld(Unprocessable):
    """The charge is too old to be disputed."""

    code = "claim_too_old"


class DisputedOften(TooManyRequests):
    """This charge was disputed and found right too often."""

    code = "disputed_often"


def judge(disputed: Disputed) -> Verdict:
    """Decide by the finding that leaves least due; a charge without a difference stands."""
    least = min(disputed.faults, key=lambda fault: (fault.due_fen, fault.kind), default=None)
    due_fen = disputed.charged_fen if least is None else min(least.due_fen, disputed.charged_fen)
    wrong = due_fen < disputed.charged_fen
    return Verdict(
        state=ClaimState.REFUNDED if wrong else ClaimState.STANDS,
        due_fen=due_fen,
        decided_by=None if least is None else least.kind,
    )


def cause_of(finding: Finding | None) -> Cause:
    """Return the cause of an error that the audit of charge records found."""
    return Cause.NOT_AS_PUBLISHED if finding is Finding.PRICE_MISMATCH else Cause.SP_FAULT


def catalogue(rules: CompensationRules) -> list[ClaimReason]:
    """Return the reasons one may claim under, with who bears what of a charge made by these rules."""
    return [
        ClaimReason(
            code=code, zh=reason.zh, en=reason.en, cause=reason.cause,
            bearer=bearers.first, second_bearer=bearers.second,
        )
        for code, reason in sorted(rules.reasons.items())
        for bearers in [rules.borne(reason.cause)]
    ]  # fmt: skip


class Due(NamedTuple):
    """What a refund still has to pay, in fen."""

    principal_fen: int
    compensation_fen: int


def multiples(difference_fen: int, rules: CompensationRules) -> Due:
    """Return both multiples of a difference: once back, and the rest of the multiplier on top."""
    compensation_fen = difference_fen * (rules.multiplier - 1)
    if rules.compensation_cap_fen is not None:
        compensation_fen = min(compensation_fen, rules.compensation_cap_fen)
    return Due(difference_fen, compensation_fen)


def outstanding(disputed: Disputed, due_fen: int, rules: CompensationRules) -> Due:
    """Return what is missing of both multiples after the rounds before; nothing is taken back."""
    owed = multiples(disputed.charged_fen - due_fen, rules)
    return Due(
        max(0, owed.principal_fen - disputed.principal_fen),
        max(0, owed.compensation_fen - disputed.compensation_fen),
    )


def refund_lines(
    disputed: Disputed,
    due: Due,
    bearers: Bearers = both(Bearer.SP),  # noqa: B008 - it is frozen
) -> list[Line]:
    """Return the refunds of a charge's next round with their postings.

    Postings' ids follow from charge, kind and round: the same refund can never be booked twice.
    """
    parts = (
        (RefundKind.PRINCIPAL, due.principal_fen, PRINCIPAL[bearers.first]),
        (RefundKind.COMPENSATION, due.compensation_fen, COMPENSATION[bearers.second]),
    )
    return [
        Line(
            kind=kind,
            booking=EntryLine(
                id=hashed_id("posting", disputed.charge_id, kind, disputed.round + 1),
                debit=booking.debit, credit=booking.credit, sp_id=disputed.sp_id,
                amount_fen=amount_fen, reason=booking.reason,
            ),
        )
        for kind, amount_fen, booking in parts
        if amount_fen > 0
    ]  # fmt: skip


def oldest_disputable(now: datetime, rules: CompensationRules) -> datetime:
    """Return the earliest instant of a charge that may still be disputed.

    The same day and time some calendar months back in Asia/Shanghai, or the last day of that month
    where it is shorter (from 31 July five months back is 28 February).
    """
    local = now.astimezone(SHANGHAI)
    months = local.year * 12 + local.month - 1 - rules.dispute_months
    year, month = divmod(months, 12)
    day = min(local.day, calendar.monthrange(year, month + 1)[1])
    return local.replace(year=year, month=month + 1, day=day).astimezone(now.tzinfo)


def check_age(disputed: Disputed, now: datetime, rules: CompensationRules) -> None:
    """Raise `ClaimTooOld` for a charge from before the time bar; the bar itself is in time."""
    if disputed.charged_at < oldest_disputable(now, rules):
        raise ClaimTooOld(f"a charge can be disputed for {rules.dispute_months} months")


def is_holders(disputed: Disputed) -> bool:
    """Whether the present owner of the number is the one who was charged."""
    return disputed.epoch_since is not None and disputed.charged_at >= disputed.epoch_since


def is_told(disputed: Disputed) -> bool:
    """Whether a refund is announced by SMS: never to the next owner, nor to a dead number."""
    return is_holders(disputed) and disputed.number_state is not NumberState.TERMINATED


def refund_text(disputed: Disputed, lines: list[Line]) -> str:
    """Write the SMS that tells the subscriber what comes back and why."""
    amounts = dict.fromkeys(RefundKind, 0) | {line.kind: line.booking.amount_fen for line in lines}
    charged = yuan(disputed.charged_fen)
    principal = yuan(amounts[RefundKind.PRINCIPAL])
    compensation = yuan(amounts[RefundKind.COMPENSATION])
    total = yuan(sum(amounts.values()))
    day = disputed.charged_at.astimezone(SHANGHAI)
    if disputed.language is Language.EN:
        return (
            f"Your charge of {charged} yuan on {day:%Y-%m-%d} for {disputed.service_name} was "
            f"wrong. Refund {principal} + compensation {compensation} = {total} yuan."
        )
    return (
        f"您{day.month}月{day.day}日“{disputed.service_name}”收费{charged}元有误，"
        f"现退还{principal}元并补偿{compensation}元，共{total}元。"
    )


def whose(before: Firsts, back: Entry, written_off_fen: int) -> GivenBack:
    """Decide by how the SP stood before, and by the entry that took the refund back.

    Settlements take first multiples in the order in which they were advanced; one that waits is
    just not taken. What the SP still owes is never less than the first multiples that wait: of
    them, too, both sides bear their part.
    """
    first_fen, moved_fen = _of_receivable(back)
    waiting_fen = max(0, min(before.waiting_fen, before.owed_fen))
    own_fen = min(first_fen, max(0, waiting_fen - before.younger_fen))
    taken_fen = min(first_fen - own_fen, before.taken_fen)
    over_fen = max(taken_fen, (waiting_fen - own_fen) - (before.owed_fen - moved_fen))
    given_up_fen = min(over_fen, written_off_fen)
    taken_fen = min(taken_fen, over_fen - given_up_fen)
    return GivenBack(
        given_up_fen=given_up_fen, first_fen=taken_fen,
        due_fen=over_fen - given_up_fen - taken_fen,
    )  # fmt: skip


def _of_receivable(back: Entry) -> tuple[int, int]:
    """Return what a reversed refund had made the SP owe: its first multiple, and in all, in fen.

    A share that was unwound had lowered the first multiple.
    """
    owed = [line for line in back.lines if line.credit is Account.SP_RECEIVABLE]
    unwound_fen = sum(line.amount_fen for line in back.lines if line.debit is Account.SP_RECEIVABLE)
    first_fen = sum(
        line.amount_fen for line in owed if line.reason == PostingReason.REFUND_PRINCIPAL
    )
    return max(0, first_fen - unwound_fen), sum(line.amount_fen for line in owed) - unwound_fen


def clawback_text(disputed: Disputed, amount_fen: int) -> str:
    """Write the SMS that tells the subscriber what is taken back, and that it can be disputed."""
    day = disputed.charged_at.astimezone(SHANGHAI)
    if disputed.language is Language.EN:
        return (
            f"The refund of {yuan(amount_fen)} yuan for {disputed.service_name} of "
            f"{day:%Y-%m-%d} was found to rest on fraud and goes back on your bill. "
            "Call our hotline to object."
        )
    return (
        f"您{day.month}月{day.day}日“{disputed.service_name}”的退费{yuan(amount_fen)}元"
        "经核实系欺诈取得，将从账单中收回。如有异议，请致电客服。"
    )
