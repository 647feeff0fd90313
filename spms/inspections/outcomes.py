"""What a test call to a hotline came to, and on whose account it goes.

Pure tables. A final SIP status, the Q.850 cause the telephone network put beside it (RFC 6432)
and the way an attempt without any final status ended are each looked up here and nowhere else.
The rule behind every line: a call speaks against the SP only when the answer can hardly come from
anywhere but the SP's own line. Whatever may be our trunk's or the network's fault is ours, and
what a machine cannot tell apart waits for a person's ear; neither ever counts.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class CallOutcome(StrEnum):
    """What one test call came to."""

    ANSWERED = "answered"
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    NUMBER_CHANGED = "number_changed"
    UNALLOCATED = "unallocated"
    REJECTED = "rejected"
    CONGESTION = "congestion"
    OWN_FAILURE = "own_failure"
    PROTOCOL_ERROR = "protocol_error"
    UNCLEAR = "unclear"


class Bearing(StrEnum):
    """On whose account an outcome goes."""

    CONNECTED = "connected"  # in favour of the SP
    SP = "sp"  # against the SP, after the retests the rulebook asks for
    OURS = "ours"  # our trunk or the network: never counts
    REVIEW = "review"  # never counts by itself; a person has to listen or call


class Ending(StrEnum):
    """How an attempt ended that brought no final status of the line's own."""

    RING_LIMIT = "ring_limit"  # it rang, nobody answered within the limit, we hung up
    ANNOUNCEMENT = "announcement"  # early media (183) and no bell, up to the ring limit
    NEVER_RANG = "never_rang"  # taken by the network (100) but neither ringing nor a final status
    NO_RESPONSE = "no_response"  # nothing at all from the trunk until timer B
    REFUSED = "refused"  # the trunk's host refused the datagram (ICMP)
    NO_SOCKET = "no_socket"  # our own socket or name look-up failed
    GARBLED = "garbled"  # only datagrams that are no SIP came back


BEARING: Mapping[CallOutcome, Bearing] = MappingProxyType(
    {
        CallOutcome.ANSWERED: Bearing.CONNECTED,
        CallOutcome.BUSY: Bearing.SP,
        CallOutcome.NO_ANSWER: Bearing.SP,
        CallOutcome.NUMBER_CHANGED: Bearing.SP,
        CallOutcome.UNALLOCATED: Bearing.SP,
        CallOutcome.REJECTED: Bearing.SP,
        CallOutcome.CONGESTION: Bearing.OURS,
        CallOutcome.OWN_FAILURE: Bearing.OURS,
        CallOutcome.PROTOCOL_ERROR: Bearing.REVIEW,
        CallOutcome.UNCLEAR: Bearing.REVIEW,
    }
)

ENDINGS: Mapping[Ending, CallOutcome] = MappingProxyType(
    {
        Ending.RING_LIMIT: CallOutcome.NO_ANSWER,
        Ending.ANNOUNCEMENT: CallOutcome.UNCLEAR,  # ring-back music or "out of service": same bytes
        Ending.NEVER_RANG: CallOutcome.OWN_FAILURE,
        Ending.NO_RESPONSE: CallOutcome.OWN_FAILURE,
        Ending.REFUSED: CallOutcome.OWN_FAILURE,
        Ending.NO_SOCKET: CallOutcome.OWN_FAILURE,
        Ending.GARBLED: CallOutcome.PROTOCOL_ERROR,
    }
)

# Q.850 causes that say more than the SIP status they travel with (mapping: RFC 3398, 7.2.4.1).
# Causes that are not listed (16, 21, 23, 31, 127 …) say nothing of their own: the status decides.
CAUSES: Mapping[int, tuple[CallOutcome, str]] = MappingProxyType(
    {
        1: (CallOutcome.UNALLOCATED, "unallocated number"),
        2: (CallOutcome.OWN_FAILURE, "no route to transit network"),
        3: (CallOutcome.OWN_FAILURE, "no route to destination"),
        4: (CallOutcome.UNCLEAR, "special information tone: a long-term reason, not stated"),
        17: (CallOutcome.BUSY, "user busy"),
        18: (CallOutcome.NO_ANSWER, "no user responding"),
        19: (CallOutcome.NO_ANSWER, "user alerted, no answer"),
        20: (CallOutcome.NO_ANSWER, "subscriber absent"),
        22: (CallOutcome.NUMBER_CHANGED, "number changed"),
        25: (CallOutcome.CONGESTION, "exchange routing error"),
        27: (CallOutcome.UNCLEAR, "destination out of order: its equipment or our access line"),
        28: (CallOutcome.OWN_FAILURE, "invalid number format"),
        29: (CallOutcome.OWN_FAILURE, "facility rejected"),
        34: (CallOutcome.CONGESTION, "no circuit available"),
        38: (CallOutcome.CONGESTION, "network out of order"),
        41: (CallOutcome.CONGESTION, "temporary failure"),
        42: (CallOutcome.CONGESTION, "switching equipment congestion"),
        44: (CallOutcome.CONGESTION, "requested channel not available"),
        47: (CallOutcome.CONGESTION, "resource unavailable"),
        50: (CallOutcome.OWN_FAILURE, "requested facility not subscribed"),
        55: (CallOutcome.OWN_FAILURE, "incoming calls barred within closed user group"),
        57: (CallOutcome.OWN_FAILURE, "bearer capability not authorised"),
        58: (CallOutcome.OWN_FAILURE, "bearer capability not available"),
        63: (CallOutcome.OWN_FAILURE, "service not available"),
        65: (CallOutcome.OWN_FAILURE, "bearer capability not implemented"),
        79: (CallOutcome.OWN_FAILURE, "service not implemented"),
        87: (CallOutcome.OWN_FAILURE, "not a member of the closed user group"),
        88: (CallOutcome.OWN_FAILURE, "incompatible destination"),
        102: (CallOutcome.CONGESTION, "recovery on timer expiry"),
        111: (CallOutcome.PROTOCOL_ERROR, "protocol error"),
    }
)

# Final SIP statuses with a meaning of their own (RFC 3261 section 21 and the IANA registry).
STATUSES: Mapping[int, tuple[CallOutcome, str]] = MappingProxyType(
    {
        301: (CallOutcome.NUMBER_CHANGED, "moved permanently; the new address is recorded"),
        404: (CallOutcome.UNALLOCATED, "not found"),
        408: (CallOutcome.UNCLEAR, "timeout before any ringing; after ringing it is no answer"),
        410: (CallOutcome.NUMBER_CHANGED, "gone"),
        480: (CallOutcome.NO_ANSWER, "temporarily unavailable"),
        486: (CallOutcome.BUSY, "busy here"),
        487: (CallOutcome.PROTOCOL_ERROR, "terminated, though we had not cancelled"),
        501: (CallOutcome.OWN_FAILURE, "not implemented"),
        505: (CallOutcome.OWN_FAILURE, "SIP version not supported"),
        513: (CallOutcome.OWN_FAILURE, "our message too large"),
        580: (CallOutcome.OWN_FAILURE, "precondition failure"),
        600: (CallOutcome.BUSY, "busy everywhere"),
        603: (CallOutcome.REJECTED, "declined by the person or machine called"),
        604: (CallOutcome.UNALLOCATED, "does not exist anywhere"),
        606: (CallOutcome.OWN_FAILURE, "our session description not acceptable"),
        607: (CallOutcome.REJECTED, "unwanted: the called side marked our number (RFC 8197)"),
        608: (CallOutcome.OWN_FAILURE, "rejected by analytics on the way (RFC 8688)"),
    }
)

# Every other final status, by its class. 403 stands among the 4xx on purpose: it is what a trunk
# says when we may not place the call, and gateways use 603 when the called user refused (RFC 3398).
CLASSES: Mapping[int, tuple[CallOutcome, str]] = MappingProxyType(
    {
        2: (CallOutcome.ANSWERED, "answered"),
        3: (CallOutcome.UNCLEAR, "redirected: recorded, never followed"),
        4: (CallOutcome.OWN_FAILURE, "our request was refused (400, 401, 403, 420, 484, 488 …)"),
        5: (CallOutcome.CONGESTION, "a server or gateway on the way failed (500, 502, 503, 504 …)"),
        6: (CallOutcome.UNCLEAR, "an unknown global failure"),
    }
)

REQUEST_TIMEOUT = 408
SUCCESS = 2  # the class, not the status


def classify(code: int, *, q850: int | None, rang: bool) -> CallOutcome:
    """Say what a final status of 200 to 699 means; `rang` tells whether a bell was heard of before.

    A success is a success whatever cause stands beside it. Otherwise a known Q.850 cause goes
    before the status, because gateways squeeze many causes into few statuses.
    """
    if code // 100 == SUCCESS:
        return CallOutcome.ANSWERED
    if q850 is not None and q850 in CAUSES:
        return CAUSES[q850][0]
    if code == REQUEST_TIMEOUT and rang:
        return CallOutcome.NO_ANSWER
    if code in STATUSES:
        return STATUSES[code][0]
    return CLASSES.get(code // 100, (CallOutcome.PROTOCOL_ERROR, ""))[0]


def classify_ending(ending: Ending, *, q850: int | None) -> CallOutcome:
    """Say what an attempt without a final status of the line's own came to.

    A network that plays an announcement may name the cause in the 183 that opens it (RFC 6432).
    """
    if ending is Ending.ANNOUNCEMENT and q850 is not None and q850 in CAUSES:
        return CAUSES[q850][0]
    return ENDINGS[ending]


def counts_against_sp(outcome: CallOutcome) -> bool:
    """Whether the outcome speaks against the SP (once the retests have been made)."""
    return BEARING[outcome] is Bearing.SP


def is_own_failure(outcome: CallOutcome) -> bool:
    """Whether our trunk or the network failed: the attempt says nothing and is made again."""
    return BEARING[outcome] is Bearing.OURS


def needs_review(outcome: CallOutcome) -> bool:
    """Whether a person has to listen or call before the attempt may count either way."""
    return BEARING[outcome] is Bearing.REVIEW
