"""What may happen to a settlement, when, and what its lock books. Pure."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID

from spms.compensation.accounts import Account, PostingReason
from spms.compensation.journal import sp_chain
from spms.compensation.journal_model import Draft, EntryLine
from spms.core.clock import business_month, next_month, start_of_day
from spms.core.ids import derived_id
from spms.settlement.life_model import Action, State
from spms.settlement.model import Kind, SettlementRules, Waterfall

TRANSITIONS: Final[Mapping[tuple[State, Action], State]] = {
    (State.DRAFT, Action.SEND): State.SENT,
    (State.DRAFT, Action.REDRAW): State.DRAFT,
    (State.SENT, Action.CONFIRM): State.CONFIRMED,
    (State.SENT, Action.OBJECT): State.DISPUTED,
    (State.DISPUTED, Action.REDRAW): State.DRAFT,
    (State.DISPUTED, Action.REJECT): State.SENT,
    # What it followed has changed since: the SP agrees to the new one, or does not.
    (State.CONFIRMED, Action.REDRAW): State.DRAFT,
    (State.CONFIRMED, Action.LOCK): State.LOCKED,
    (State.LOCKED, Action.PAY): State.PAID,
}

BOOKED: Final[Mapping[Kind, tuple[Account, Account, str]]] = {
    Kind.GROSS: (Account.SUBSCRIBER_BALANCE, Account.SP_PAYABLE, "settlement_gross"),
    Kind.CREDITS: (Account.OPERATOR_SHARE, Account.SP_PAYABLE, "settlement_credit"),
    Kind.REFUNDS: (Account.SP_PAYABLE, Account.SP_RECEIVABLE, str(PostingReason.FIRST_RECOVERED)),
    Kind.BAD_DEBT: (Account.SP_PAYABLE, Account.BAD_DEBT, "settlement_bad_debt"),
    Kind.SERVICE_FEE: (Account.SP_PAYABLE, Account.OPERATOR_SHARE, "settlement_service_fee"),
    Kind.SHARE: (Account.SP_PAYABLE, Account.OPERATOR_SHARE, "settlement_share"),
    # Nobody collects it: neither side earns it.
    Kind.CONTROLLED: (Account.SP_PAYABLE, Account.BAD_DEBT, "settlement_controlled"),
    Kind.MT_FEE: (Account.SP_PAYABLE, Account.OPERATOR_SHARE, "settlement_mt_fee"),
    Kind.GRADE_CUT: (Account.SP_PAYABLE, Account.OPERATOR_SHARE, "settlement_grade_cut"),
    Kind.FINES: (Account.SP_PAYABLE, Account.FINES, "settlement_fine"),
    Kind.DEBITS: (Account.SP_PAYABLE, Account.OPERATOR_SHARE, "settlement_debit"),
    Kind.COMPENSATION: (Account.SP_PAYABLE, Account.SP_RECEIVABLE, str(PostingReason.RECOVERY)),
    Kind.DEPOSIT: (Account.DEPOSITS, Account.SP_RECEIVABLE, str(PostingReason.DEPOSIT_CALL)),
}
"""Debit, credit and reason of each step. `brought` and `returned` move nothing: they were booked before."""
MOVED_BY_ARISING: Final = frozenset({Kind.GROSS, Kind.CREDITS, Kind.DEPOSIT})


def settlement_id(sp_id: UUID, month: date) -> UUID:
    """Return the one identity of an SP's month."""
    return derived_id("settlement", sp_id, month)


def entry(of: UUID, sp_id: UUID, worked: Waterfall) -> Draft | None:
    """Write what a lock books: one entry in the SP's chain, a line a step; None when nothing moves.

    Money comes in before it goes out, so the line of a credit stands before those that take it.
    """
    lines = []
    for step in worked.steps:
        usual_fen = step.arising_fen if step.kind in MOVED_BY_ARISING else step.taken_fen
        # A fine, or one taken back, is booked once and whole, by whoever decided it.
        moved_fen = step.inputs.get("to_book_fen", usual_fen)
        if step.kind not in BOOKED or moved_fen == 0:
            continue
        debit, credit, reason = BOOKED[step.kind]
        lines.append(
            EntryLine(
                id=derived_id("settlement line", of, step.kind), debit=debit, credit=credit,
                sp_id=sp_id, amount_fen=moved_fen, reason=reason,
            )
        )  # fmt: skip
    if not lines:
        return None
    return Draft(
        msisdn=sp_chain(sp_id), id=derived_id("settlement entry", of), kind="settlement",
        lines=lines,
    )  # fmt: skip


def payment(of: UUID, sp_id: UUID, amount_fen: int) -> Draft:
    """Write what a transfer books."""
    line = EntryLine(
        id=derived_id("settlement transfer", of), debit=Account.SP_PAYABLE, credit=Account.BANK,
        sp_id=sp_id, amount_fen=amount_fen, reason="settlement_transfer",
    )  # fmt: skip
    return Draft(
        msisdn=sp_chain(sp_id), id=derived_id("settlement payment", of),
        kind="settlement_payment", lines=[line],
    )  # fmt: skip


def due(month: date, day: int) -> datetime:
    """Return the instant (UTC) at which a day of the month after `month` begins in Shanghai."""
    return start_of_day(next_month(month).replace(day=day))


def object_until(month: date, rules: SettlementRules, *, sent_at: datetime) -> datetime:
    """Return until when the SP may object: the invoice cut-off, never less than its days."""
    return max(
        due(month, rules.invoice_day) + timedelta(days=1),
        sent_at + timedelta(days=rules.object_days),
    )


def mt_is_free(activated_at: datetime | None, month: date, rules: SettlementRules) -> bool:
    """Whether unbalanced messages cost nothing yet: in the first months after going live."""
    if activated_at is None:
        return True
    live = business_month(activated_at)
    since = 12 * (month.year - live.year) + month.month - live.month
    return since < rules.mt_concession_months
