"""What claims that need proof, and mass corrections, refuse."""

from spms.core.errors import Conflict, Unprocessable


class AuditDecides(Conflict):
    """The evidence here shows that this charge is wrong: claim it without a cause."""

    code = "audit_decides"


class OverRemaining(Unprocessable):
    """More than what of the charge has not come back."""

    code = "over_remaining"


class VerifiedBefore(Conflict):
    """This charge is being verified, or was."""

    code = "verified_before"


class Moved(Conflict):
    """It is in another state by now; look again."""

    code = "moved_meanwhile"


class SamePerson(Conflict):
    """Whoever made the claim cannot decide it."""

    code = "same_person"


class NotPaidOut(Conflict):
    """Billing has not confirmed this refund; look again when its payout is settled."""

    code = "not_paid_out"


class EnteredBefore(Conflict):
    """This SP has a booking of this kind with this reference."""

    code = "entered_before"


class NothingToBook(Conflict):
    """Nothing is owed, or the deposit does not go so far beyond what is owed."""

    code = "nothing_to_book"


class NumberMissing(Unprocessable):
    """Say whose number it is; a subscriber's is her own and is not said."""

    code = "number_missing"


class RangeWrong(Unprocessable):
    """The price due is below the wrong one, and the time has begun, ended and is over."""

    code = "range_wrong"


class ReasonUnknown(Unprocessable):
    """The reason catalogue in force has no such code."""

    code = "reason_unknown"


class RulesDiffer(Unprocessable):
    """The rulebook's rules for this cause changed within that time: propose each part by itself."""

    code = "rules_differ"


class CorrectionEmpty(Unprocessable):
    """No charge is at that price in that time, or all are refunded."""

    code = "correction_empty"
