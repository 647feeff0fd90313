"""The nouns of charges that are held until they are captured, and of what goes into the engine."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

import msgspec

from spms.authorisation.model import AskedPrice, Decision, DecisionRequest, Purpose, ServiceCode
from spms.core.phone import AccessNumber, Msisdn


class ReservationState(StrEnum):
    """What became of a charge that was held."""

    RESERVED = "reserved"
    CAPTURED = "captured"
    """The service was rendered: the charge stands."""
    RELEASED = "released"
    """Given back by the SP: it counts towards no cap any more."""
    EXPIRED = "expired"
    """Neither captured nor released in time; given back by itself."""


class Reservation(msgspec.Struct, frozen=True, kw_only=True):
    """A decided charge that is held until it is captured (预占)."""

    id: UUID
    """That of the decision."""
    reference: str
    """The SP's own name for it."""
    state: ReservationState
    service_code: str
    price_fen: int
    reserved_at: datetime
    expires_at: datetime
    closed_at: datetime | None = None


Reference = Annotated[
    str,
    msgspec.Meta(
        pattern="^[0-9A-Za-z._-]{1,64}$(?!\\n)",
        description="Your own name of this charge of this number. The same one again is the same "
        "reservation, never a second one.",
        examples=["order-2026-0001"],
    ),
]


class ReservationRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """May I charge this, and will you hold it for me?"""

    reference: Reference
    msisdn: Msisdn
    service_code: ServiceCode
    price_fen: AskedPrice
    access_number: AccessNumber | None = None
    link_id: Annotated[str, msgspec.Meta(pattern="^[0-9]{20}$(?!\\n)")] | None = None

    def question(self) -> DecisionRequest:
        """Return the question about the charge itself."""
        return DecisionRequest(
            purpose=Purpose.CHARGE, msisdn=self.msisdn, service_code=self.service_code,
            price_fen=self.price_fen, access_number=self.access_number, link_id=self.link_id,
        )  # fmt: skip


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A decision, and what it holds."""

    decision: Decision
    reservation: Reservation | None = None
    """None: nothing was asked to be held, or the answer is no."""


class HoldRules(msgspec.Struct, frozen=True, kw_only=True):
    """How long a charge may be held (rulebook section `hold`)."""

    minutes: Annotated[int, msgspec.Meta(ge=1, le=10_080)] = 15
    """After so many minutes an uncaptured reservation is given back by itself."""


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """A question on its way to the engine: by whom, and whether an allowed charge is to be held."""

    request: DecisionRequest
    sp_id: UUID | None = None
    """None: whoever holds the token."""
    actor: str = ""
    token: bytes | None = None
    """SHA-256 of the bearer token, to be checked in the deciding statement."""
    reference: str | None = None
    """Hold the charge under this name of the SP's own (预占)."""
