"""The nouns: plans, items with their calls, verdicts, objections."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final
from uuid import UUID

import msgspec

from spms.core.phone import Hotline
from spms.inspections.outcomes import CallOutcome
from spms.inspections.policy import InspectionRules
from spms.inspections.sandbox_call import LineKind
from spms.inspections.sound import Media

TOPIC_JUDGED: Final = "inspection.judged"
"""Outbox: {item_id, sp_id, hotline, verdict, same_as}, once for every item. `same_as` is the item
whose finding this one only found again before it had to be cured: nothing new; otherwise null.
Of a responsible person `hotline` is the word "responsible", never the mobile."""

TOPIC_SET_ASIDE: Final = "inspection.set_aside"
"""Outbox: {item_id} of a finding that an objection has set aside."""

Seed = Annotated[str, msgspec.Meta(pattern=r"^[!-~]{1,64}$(?!\n)")]


class Verdict(StrEnum):
    """What the calls to a hotline have shown."""

    REACHABLE = "reachable"
    UNREACHABLE = "unreachable"
    NUMBER_CHANGED = "number_changed"
    DEAD = "dead"
    """The responsible person's mobile is nobody's, or another's: found so twice in a row."""
    INCONCLUSIVE = "inconclusive"
    """Says nothing for or against the SP."""


class Why(StrEnum):
    """What a verdict rests on."""

    ANSWERED = "answered"
    RETESTS_FAILED = "retests_failed"
    CHANGE_CONFIRMED = "change_confirmed"
    ATTEMPTS_USED = "attempts_used"
    """So many calls failed by our own fault or unclearly that we gave up."""
    WITHDRAWN = "withdrawn"
    """The hotline went out of force, with approval, after the plan was drawn."""
    NUMBER_DEAD = "number_dead"
    CHANGE_REQUESTED = "change_requested"
    """The number was given up in a request made before the first call; it waits for a decision."""


class ItemKind(StrEnum):
    """Who is called."""

    HOTLINE = "hotline"
    RESPONSIBLE = "responsible"
    """The SP's responsible person, on the mobile that was registered."""


class CallState(StrEnum):
    """Where an attempt stands."""

    DUE = "due"
    PLACING = "placing"
    FINISHED = "finished"
    UNKNOWN = "unknown"
    """Whoever placed it did not live to tell; it counts for nothing."""
    DROPPED = "dropped"
    """Never placed: the hotline was withdrawn before."""


class Start(StrEnum):
    """When a plan's calls are due."""

    SPREAD = "spread"
    """One in each band of the permitted hours, day after day, at seconds drawn by lot."""
    NOW = "now"
    """The first at once, or when the permitted hours begin; the others as soon as may be."""


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A line that can be drawn."""

    sp_id: UUID
    number: str


class Drawn(msgspec.Struct, frozen=True, kw_only=True):
    """A line that was drawn."""

    sp_id: UUID
    number: str
    due_at: datetime
    """When its first call is due; later ones follow from the rules and from what was heard."""
    caller_offset: int
    """Where in the pool of caller numbers its calls begin; each further call takes the next."""


class PlanDocument(msgspec.Struct, frozen=True, kw_only=True):
    """All of a plan. Its hash is published before the first call, itself after the last."""

    version: int = 1
    plan_id: UUID
    drawn_at: datetime
    seed: str
    """Ends in 128 random bits of our own: nobody can guess it, and nobody can choose it."""
    start: Start
    percent: int
    rules: InspectionRules
    candidates: list[Candidate]
    left_out: list[Candidate]
    """Lines in force that could not be drawn: under inspection already, or in their cure period."""
    items: list[Drawn]


class RevealedPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A finished plan."""

    document: str
    """The text that was committed to, a `PlanDocument` in JSON: its SHA-256 is `plan_sha256`."""


class Commitment(msgspec.Struct, frozen=True, kw_only=True):
    """What is published of a plan as soon as it is drawn."""

    id: UUID
    drawn_at: datetime
    plan_sha256: str
    seed_sha256: str
    finished_at: datetime | None
    """From then on the document can be read."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A draw of hotlines to be called."""

    id: UUID
    drawn_at: datetime
    drawn_by: str
    seed_sha256: str
    """Hash (hexadecimal) of the seed, fixed before the first call."""
    plan_sha256: str | None = None
    """Hash (hexadecimal) of the plan's document, fixed before the first call."""
    seed: str | None
    """Shown once the plan is finished."""
    candidates: int
    """Hotlines in force at the draw, by SP and number: among these the items were drawn."""
    rulebook_version: int
    finished_at: datetime | None
    items_total: int
    items_judged: int


class HotlineCall(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt and, once it is over, the evidence of it. Times are UTC."""

    attempt_no: int
    state: CallState
    due_at: datetime
    caller: str | None = None
    """The number that was shown to the line."""
    placed_at: datetime | None = None
    ended_at: datetime | None = None
    outcome: CallOutcome | None = None
    sip_code: int | None = None
    q850_cause: int | None = None
    """What the telephone network gave as cause."""
    ring_ms: int | None = None
    """From the first sign of ringing to the answer or the end of waiting."""
    redirected_to: str | None = None
    """Address that the line gave instead; it was not called."""
    hung_up_by_line: bool | None = None
    audio_packets: int | None = None
    trace: list[str] | None = None
    """What was sent (>) and heard (<), with milliseconds since the first message."""
    answered_at: datetime | None = None
    media: Media | None = None
    other_party: bool = False
    """Who answered played another code than the one registered for this hotline."""


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One hotline (or responsible person) of one plan, with its calls in order."""

    id: UUID
    plan_id: UUID
    sp_id: UUID
    kind: ItemKind = ItemKind.HOTLINE
    hotline: str
    """The number that is called; of a responsible person the mobile without the 86."""
    verdict: Verdict | None
    """None while the calls go on."""
    same_as: UUID | None = None
    """The item whose finding this one only found again, before it had to be cured."""
    reason: Why | None
    judged_at: datetime | None
    calls: list[HotlineCall]


class PlanDetail(msgspec.Struct, frozen=True, kw_only=True):
    """A plan with a page of its items."""

    plan: Plan
    items: list[Item]
    next: str | None = None
    """Cursor of the next page of items; null on the last."""


class NewPlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An officer's order to draw a plan."""

    seed: Seed | None = None
    """Printable ASCII without spaces; a random one is taken when none is given."""
    start: Start = Start.SPREAD


class LineIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a hotline of the sandbox is to behave when it is called."""

    number: Hotline
    behaviour: LineKind
    connect_percent: Annotated[int, msgspec.Meta(ge=0, le=100)] = 70
    """For `flaky` lines: how many calls in a hundred are answered."""
    new_number: Hotline | None = None
    """For `changed` lines: what the network tells as the new number."""


class Placing(msgspec.Struct, frozen=True, kw_only=True):
    """A call that was taken and must now be placed, by whoever took it."""

    item_id: UUID
    attempt_no: int
    number: str
    call_id: str
    caller: str
    """The number to show to the line."""
    ring_seconds: int = 20
    """How long it has to ring at least before it may be given up (rulebook)."""
    opens_at: datetime | None = None
    closes_at: datetime | None = None
    """The call may leave in [opens_at, closes_at) only, whatever the clock did meanwhile."""


Words = Annotated[str, msgspec.Meta(min_length=1, max_length=2_000)]


class Document(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file handed over to the officers, such as the line's own call log: bound by its hash."""

    name: Annotated[
        str,
        msgspec.Meta(min_length=1, max_length=100, pattern=r"^[^\s](?:[^\t\r\n]*[^\s])?$(?!\n)"),
    ]
    sha256: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$(?!\n)")]


class Objection(msgspec.Struct, frozen=True, kw_only=True):
    """An SP's objection to a verdict, and what was decided."""

    item_id: UUID
    sp_id: UUID
    statement: str
    documents: list[Document] = []
    opened_at: datetime
    opened_by: str
    sustained: bool | None
    """None while it waits; true: the finding is set aside."""
    decided_at: datetime | None
    decided_by: str | None
    reason: str | None


class NewObjection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why a verdict is wrong, with the evidence for it in words and documents."""

    statement: Words
    documents: Annotated[list[Document], msgspec.Meta(max_length=20)] = []


class ObjectionDecision(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An officer's decision on an objection."""

    sustain: bool
    reason: Words


class Greeting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The touch tones (DTMF) that a hotline plays when it answers."""

    number: Hotline
    code: Annotated[str, msgspec.Meta(pattern=r"^[0-9A-D*#]{4,12}$(?!\n)")]
