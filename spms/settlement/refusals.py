"""Refusals of this room."""

from spms.core.errors import Conflict, Unprocessable


class SamePerson(Conflict):
    """Whoever proposed it may not decide it."""

    code = "same_person"


class AlreadyDecided(Conflict):
    """This was decided already."""

    code = "already_decided"


class ObjectionTooLate(Conflict):
    """The time to object is over: silence has confirmed the statement."""

    code = "objection_too_late"


class AlreadyHeld(Conflict):
    """An officer holds this settlement already."""

    code = "already_held"


class AlreadyPaid(Conflict):
    """This settlement was paid already."""

    code = "already_paid"


class NotCounted(Conflict):
    """This month is not being settled yet."""

    code = "month_not_counted"


class NotPayable(Conflict):
    """At least one of these is not to be paid: not locked for an approved payment, or held."""

    code = "not_payable"


class RulesUnreadable(Unprocessable):
    """These are no rules of the section `settlement`."""

    code = "rules_unreadable"


class NumbersNotListed(Conflict):
    """The numbers under this hold are not listed yet, or it was cleared before they were."""

    code = "numbers_not_listed"
