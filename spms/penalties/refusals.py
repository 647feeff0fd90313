"""What this room refuses, and under which code."""

from spms.core.errors import Conflict, Unprocessable


class SamePerson(Conflict):
    """Whoever proposed or decided it may not decide this."""

    code = "same_person"


class AppealTooLate(Conflict):
    """The time to appeal is over."""

    code = "appeal_too_late"


class Decided(Conflict):
    """This was decided already."""

    code = "already_decided"


class NotHeard(Conflict):
    """The SP has not made its statement, and its time for it is not over."""

    code = "not_heard"


class AnsweredAlready(Conflict):
    """The SP has made its statement about this breach."""

    code = "answered_already"


class NotMilder(Unprocessable):
    """An appeal can only be varied to a lower grade."""

    code = "not_milder"


class WrongSource(Unprocessable):
    """The catalogue does not have this kind of breach reported by this source."""

    code = "wrong_source"
