"""The chart of accounts, the pairs that may be booked, and who bears what: all of it data.

Source of the bearers: reference domain §1.7, F2 (six causes) and F3 (both multiples at the SP's
cost where the SP is at fault).
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec


class Account(StrEnum):
    """Accounts of the journal. A balance is debits less credits, in fen."""

    SUBSCRIBER_BALANCE = "subscriber_balance"
    """What subscribers have with the operator's billing: charges leave it, payouts reach it."""
    SUBSCRIBER_PAYABLE = "subscriber_payable"
    """What subscribers get back and have not been paid."""
    SP_PAYABLE = "sp_payable"
    """What SPs earned and have not been paid."""
    SP_RECEIVABLE = "sp_receivable"
    """What was advanced to subscribers for SPs, until settlement recovers it."""
    OPERATOR_SHARE = "operator_share"
    """The operator's share of what was charged."""
    BAD_DEBT = "bad_debt"
    DEPOSITS = "deposits"
    """What SPs left as security (保证金)."""
    FINES = "fines"
    GOODWILL = "goodwill"
    """What the operator gives at its own cost."""
    BANK = "bank"


class PostingReason(StrEnum):
    """Why money moved; rooms above have reasons of their own."""

    REFUND_PRINCIPAL = "refund_principal"
    REFUND_COMPENSATION = "refund_compensation"
    UNWIND_SP_SHARE = "unwind_sp_share"
    UNWIND_OPERATOR_SHARE = "unwind_operator_share"
    PAYOUT = "payout"
    RECOVERY = "recovery"
    DEPOSIT_PAID = "deposit_paid"
    DEPOSIT_RETURNED = "deposit_returned"
    DEPOSIT_CALL = "deposit_call"
    WRITE_OFF = "write_off"
    FIRST_RECOVERED = "settlement_refunds"
    """First multiples that a settlement took before the share, so that both sides bore them."""
    CLAWBACK_DUE = "clawback_due"
    CLAWBACK_FIRST = "clawback_first"
    """Of it, what a settlement had taken before the share, and gives back there."""
    WRITE_OFF_BACK = "write_off_back"


PAIRS: Final[frozenset[tuple[Account, Account]]] = frozenset({
    # A refund, borne by the SP, by the operator's revenue, or by its goodwill.
    (Account.SP_RECEIVABLE, Account.SUBSCRIBER_PAYABLE),
    (Account.OPERATOR_SHARE, Account.SUBSCRIBER_PAYABLE),
    (Account.GOODWILL, Account.SUBSCRIBER_PAYABLE),
    # Paid out to the bill.
    (Account.SUBSCRIBER_PAYABLE, Account.SUBSCRIBER_BALANCE),
    # A charge's shares.
    (Account.SUBSCRIBER_BALANCE, Account.SP_PAYABLE),
    (Account.SUBSCRIBER_BALANCE, Account.OPERATOR_SHARE),
    # What lowers an advance: settlement or an unwound share, the operator's share, the deposit,
    # giving up.
    (Account.SP_PAYABLE, Account.SP_RECEIVABLE),
    (Account.OPERATOR_SHARE, Account.SP_RECEIVABLE),
    (Account.DEPOSITS, Account.SP_RECEIVABLE),
    (Account.BAD_DEBT, Account.SP_RECEIVABLE),
    # Fines.
    (Account.SP_PAYABLE, Account.FINES),
    (Account.DEPOSITS, Account.FINES),
    (Account.SP_RECEIVABLE, Account.FINES),
    # Settlement: service fee and grade cut, bad-debt reserve, the transfer.
    (Account.SP_PAYABLE, Account.OPERATOR_SHARE),
    (Account.SP_PAYABLE, Account.BAD_DEBT),
    (Account.SP_PAYABLE, Account.BANK),
    # A late correction in the SP's favour.
    (Account.OPERATOR_SHARE, Account.SP_PAYABLE),
    # A refund is taken back for fraud after settlement had recovered it, or it was given up.
    (Account.SP_RECEIVABLE, Account.SP_PAYABLE),
    (Account.SP_RECEIVABLE, Account.BAD_DEBT),
    # Deposits come and go.
    (Account.BANK, Account.DEPOSITS),
    (Account.DEPOSITS, Account.BANK),
})  # fmt: skip
"""(debit, credit) that a posting may name; a reversal names them the other way round."""


class Bearer(StrEnum):
    """Who pays for an error."""

    SP = "sp"
    OPERATOR = "operator"


class Cause(StrEnum):
    """The causes for which a charging error is refunded double (reference domain §1.7, F2)."""

    OPERATOR_FAULT = "operator_fault"
    SP_FAULT = "sp_fault"
    METERING = "metering"
    """Counted or measured wrongly."""
    NOT_AS_PUBLISHED = "not_as_published"
    """Another tariff than was published or agreed."""
    PROMISED_DISCOUNT = "promised_discount"
    """A promised discount was not applied."""
    NOT_OPENED = "not_opened"
    """The service was never opened, or the use never happened."""


class Bearers(msgspec.Struct, frozen=True, kw_only=True):
    """Who bears which multiple of a double refund."""

    first: Bearer
    """What comes back of the charge."""
    second: Bearer
    """The same again."""


def both(bearer: Bearer) -> Bearers:
    """Return that one bears both multiples."""
    return Bearers(first=bearer, second=bearer)


BEARERS: Final[Mapping[Cause, Bearers]] = {
    Cause.OPERATOR_FAULT: both(Bearer.OPERATOR),
    Cause.SP_FAULT: both(Bearer.SP),
    Cause.METERING: both(Bearer.OPERATOR),
    Cause.NOT_AS_PUBLISHED: both(Bearer.SP),
    Cause.PROMISED_DISCOUNT: both(Bearer.SP),
    Cause.NOT_OPENED: both(Bearer.SP),
}
"""Who bears each multiple, unless the rulebook says otherwise."""


class Booking(msgspec.Struct, frozen=True, kw_only=True):
    """From which account to which one kind of refund is booked, and why."""

    debit: Account
    credit: Account
    reason: PostingReason


PRINCIPAL: Final[Mapping[Bearer, Booking]] = {
    bearer: Booking(
        debit=debit, credit=Account.SUBSCRIBER_PAYABLE, reason=PostingReason.REFUND_PRINCIPAL
    )
    for bearer, debit in {
        Bearer.SP: Account.SP_RECEIVABLE,
        Bearer.OPERATOR: Account.OPERATOR_SHARE,
    }.items()
}
COMPENSATION: Final[Mapping[Bearer, Booking]] = {
    bearer: Booking(
        debit=debit, credit=Account.SUBSCRIBER_PAYABLE, reason=PostingReason.REFUND_COMPENSATION
    )
    for bearer, debit in {
        Bearer.SP: Account.SP_RECEIVABLE,
        Bearer.OPERATOR: Account.GOODWILL,
    }.items()
}
