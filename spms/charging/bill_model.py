"""What a person sees of her charges: the itemised bill, and one line of it explained."""

from datetime import datetime
from uuid import UUID

import msgspec

from spms.charging.model import Delivery, Finding, Kind

COLLECTED = "代收费"
"""Said on every line: the operator collects this for another company (MII 2004, domain B2)."""


class Correction(msgspec.Struct, frozen=True, kw_only=True):
    """What was given back for a charge: the charge itself, or the same amount again.

    Below nothing: taken back for fraud.
    """

    kind: str
    """principal or compensation"""
    amount_fen: int
    at: datetime


class BillFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which lines of a bill; null: any."""

    sp_code: str | None = None
    service_code: str | None = None
    kind: Kind | None = None
    refunded: bool = False
    """Only what was given back, wholly or in part."""


def evidence_of(charge_id: UUID) -> str:
    """Return the path of a charge's evidence pack; its holder, its SP and staff may read it."""
    return f"/charge-records/{charge_id}/evidence-pack.json"


class BillLine(msgspec.Struct, frozen=True, kw_only=True):
    """One charge on the bill."""

    id: UUID
    charged_at: datetime
    received_at: datetime
    """When the record of the charge reached the operator."""
    label: str = COLLECTED
    sp_code: str
    sp_name: str
    service_code: str
    service_name: str
    kind: Kind
    access_number: str
    """The number the service sends from and is ordered at."""
    price_fen: int
    """What was taken."""
    due_fen: int
    """What of it was due; the rest is an error and is paid back double."""
    findings: list[Finding]
    delivery: Delivery
    consent_id: UUID | None
    """The order relation whose consent licenses the charge."""
    authorisation_id: UUID | None
    """The decision the charge rests on (鉴权)."""
    corrections: list[Correction]
    evidence: str
    """Path to what proves it or proves it wrong: both consents, the decision, the tariff."""


class BillTotals(msgspec.Struct, frozen=True, kw_only=True):
    """A whole month in figures."""

    lines: int
    charged_fen: int
    due_fen: int
    refunded_fen: int
    """Given back: the charges themselves."""
    compensation_fen: int
    """Given back on top of that."""


class HolderTotals(BillTotals, frozen=True, kw_only=True):
    """What it comes to for the person who holds the number."""

    points: int
    """Points (积分) earned by what was charged and did not come back; whole ones of each charge,
    rounded down. Compensation earns none. 0 where the operator gives none."""


class Bill(msgspec.Struct, frozen=True, kw_only=True):
    """One number's charges for one business month, newest first."""

    month: str
    number: str
    """Masked."""
    totals: HolderTotals
    """Of all lines of the month that the filter lets through, not of this page."""
    items: list[BillLine]
    next: str | None = None


class FindingShown(msgspec.Struct, frozen=True, kw_only=True):
    """What was found wrong with a charge, when, and by whom."""

    kind: Finding
    due_fen: int
    found_at: datetime
    found_by: str
    """A job or an SP; a person is `staff` or `subscriber`: which of them is not told."""


class DecisionShown(msgspec.Struct, frozen=True, kw_only=True):
    """An answer the SP was given before the charge (鉴权)."""

    id: UUID
    decided_at: datetime
    allowed: bool
    reasons: list[str]
    price_fen: int
    cited: bool
    """This decision is the one the charge rests on."""


class TariffShown(msgspec.Struct, frozen=True, kw_only=True):
    """The tariff version behind a charge: the one agreed to, else the one in force then."""

    id: UUID
    version: int
    price_fen: int
    effective_from: datetime


class RequestShown(msgspec.Struct, frozen=True, kw_only=True):
    """The first consent: the request, in its own words."""

    channel: str
    requested_at: datetime
    text: str | None


class NoticeShown(msgspec.Struct, frozen=True, kw_only=True):
    """The notice that was agreed to."""

    version: int
    sp_name: str
    service_name: str
    price_fen: int
    period: str
    hotline: str
    leave_command: str


class ConsentShown(msgspec.Struct, frozen=True, kw_only=True):
    """The second consent (or the live order): what was asked and what she answered."""

    kind: str
    prompt_text: str | None
    reply_text: str
    called: str
    """The number the answer was sent to."""
    received_at: datetime
    price_fen: int


class RelationShown(msgspec.Struct, frozen=True, kw_only=True):
    """The order relation a charge is judged by."""

    id: UUID
    active_from: datetime | None
    ended_at: datetime | None
    end_reason: str | None
    request: RequestShown
    notice: NoticeShown
    consent: ConsentShown | None


class LineExplained(msgspec.Struct, frozen=True, kw_only=True):
    """Why one line is on the bill, with everything that speaks for and against it."""

    line: BillLine
    number: str
    """Masked."""
    right: bool
    """Nothing was found wrong."""
    findings: list[FindingShown]
    decisions: list[DecisionShown]
    """For this number and service in the 31 days before the charge, latest first, at most ten."""
    tariff: TariffShown | None
    relation: RelationShown | None
    """The one that licenses the charge, or that had ended before it; null when there was none."""
