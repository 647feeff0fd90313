"""What this room refuses, and under which code."""

from spms.core.errors import Conflict, Unprocessable


class LicenceTaken(Conflict):
    """This licence belongs to another SP."""

    code = "licence_taken"


class NameTaken(Conflict):
    """Another SP has a name that looks the same."""

    code = "name_taken"


class NotReady(Unprocessable):
    """Something is missing before this SP may go live."""

    code = "not_ready"


class SpNotActive(Conflict):
    """This SP is not active."""

    code = "sp_not_active"


class ChangeOpen(Conflict):
    """A contact change of this SP waits for its decision already."""

    code = "contact_change_open"


class SamePerson(Conflict):
    """Whoever asked for it may not decide it."""

    code = "same_person"


class SpGone(Conflict):
    """This SP was rejected or closed."""

    code = "sp_gone"


class HotlineRepeated(Unprocessable):
    """The same hotline is named twice."""

    code = "hotline_repeated"


class Decided(Conflict):
    """This was decided already."""

    code = "already_decided"
