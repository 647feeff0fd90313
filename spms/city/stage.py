"""What the city has become on one instance: ids, codes, tokens, phones."""

from datetime import datetime

from spms.city.api import Api, Party
from spms.city.desk import Desk
from spms.city.inbox import Phone
from spms.city.model import City, CityError, Company, Offer
from spms.city.names import Names


class Firm:
    """A company as the platform knows it."""

    def __init__(self, company: Company, sp_id: str, party: Party) -> None:
        """Remember its id and how its systems sign in."""
        self.company = company
        self.sp_id = sp_id
        self.code = ""
        """Under which lists of all companies show it; known once it is live."""
        self.party = party
        self.services: dict[int, str] = {}
        """Offer → the service's id."""
        self.files: dict[int, str] = {}
        """Parcel → the charge file's id."""


class Stage:
    """One play under way."""

    def __init__(self, city: City, api: Api, began: datetime) -> None:
        """Name everybody; nobody is registered yet."""
        self.city = city
        self.api = api
        self.desk = Desk(api)
        self.began = began
        self.names = Names(city.seed, began)
        self.offers = city.offers
        self.codes = {n: self.names.service_code(n) for n in self.offers}
        self.firms: dict[int, Firm] = {}
        self.remarks: list[str] = []
        """What the platform did otherwise than it should, in words."""
        self.phones = {person.n: Phone(api, self.names.msisdn(person.n)) for person in city.people}

    def firm_of(self, offer: Offer) -> Firm:
        """Return who sells it."""
        return self.firms[offer.company]

    def service_id(self, offer: Offer) -> str:
        """Return the id under which the platform knows it."""
        return self.firm_of(offer).services[offer.n]

    def firm_by_id(self, sp_id: str) -> Firm | None:
        """Return one of this play's companies."""
        for firm in self.firms.values():
            if firm.sp_id == sp_id:
                return firm
        return None


def require(condition: object, words: str) -> None:
    """Raise `CityError` when the platform did not do what it must."""
    if not condition:
        raise CityError(words)
