"""What this room refuses, and under which code."""

from spms.core.errors import Conflict


class NotOnSale(Conflict):
    """This service is not on sale."""

    code = "not_on_sale"


class NumberTaken(Conflict):
    """This access number is assigned already."""

    code = "access_number_taken"


class CodeTaken(Conflict):
    """Another service has this code, or this keyword on the same access number."""

    code = "service_taken"


class SellingRestricted(Conflict):
    """A restriction forbids this SP to register services."""

    code = "no_new_services"


class PriceRestricted(Conflict):
    """This SP's points do not allow a tariff over the rulebook's ordinary prices."""

    code = "no_high_prices"


class PromotionRestricted(Conflict):
    """A restriction forbids this SP joint promotion with the operator."""

    code = "no_promotion"


class PromotionWaits(Conflict):
    """A promotion of this service waits for its decision."""

    code = "promotion_waits"


class TariffClash(Conflict):
    """Another version begins at that very instant."""

    code = "tariff_clash"


class SamePerson(Conflict):
    """Whoever drafted it may not decide it."""

    code = "same_person"


class Decided(Conflict):
    """This was decided already."""

    code = "already_decided"


class Withdrawn(Conflict):
    """This service was withdrawn for good."""

    code = "service_withdrawn"


class NoticeMissing(Conflict):
    """No approved notice for the tariff in force."""

    code = "notice_missing"


class NotInUse(Conflict):
    """This template is not in use."""

    code = "template_not_in_use"
