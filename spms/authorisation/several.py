"""Several questions in one body, each for itself.

What is no question, and what cannot be decided, is refused in its own place: the others are answered.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, NamedTuple

import msgspec

from spms.authorisation import queries
from spms.authorisation.deciding import Outcome, decide_all
from spms.authorisation.failing import refused
from spms.authorisation.model import BATCH_MAX, Decision, DecisionRequest, Purpose
from spms.authorisation.pieces import Group, Piece, decide_by_halves
from spms.authorisation.reservation_model import Answer, Ask
from spms.core.access import Actor
from spms.core.body import fault
from spms.core.db import Connection
from spms.core.errors import Invalid, Unavailable
from spms.core.http import ProblemDetails

Item = Annotated[
    msgspec.Raw,
    msgspec.Meta(
        description="A question. What is none is refused in its place, and nothing else is.",
        extra_json_schema={"anyOf": [{"$ref": "#/components/schemas/DecisionRequest"}, {}]},
    ),
]


class Batch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Several questions at once."""

    items: Annotated[list[Item], msgspec.Meta(min_length=1, max_length=BATCH_MAX)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decisions:
    """The answers, in the order of the questions."""

    # No struct: one of those cannot say that it holds either of two others which share no tag.
    items: list[Decision | ProblemDetails]
    """A decision, or in its place why there is none."""


class Misfit(NamedTuple):
    """What came in the place of a question."""

    value: Any
    refusal: Invalid


_question: Final = msgspec.json.Decoder(DecisionRequest)


def read(batch: Batch) -> list[DecisionRequest | Misfit]:
    """Read one question after another; raise `Invalid` where the body is no JSON."""
    try:
        return [_read(place, raw) for place, raw in enumerate(batch.items)]
    except msgspec.DecodeError as error:
        raise Invalid("the body is not JSON", code="json_malformed") from error


def _read(place: int, raw: msgspec.Raw) -> DecisionRequest | Misfit:
    try:
        return _question.decode(raw)
    except msgspec.ValidationError as error:
        found = fault(error)
        named = msgspec.structs.replace(found, pointer=f"/items/{place}{found.pointer}")
        refusal = Invalid("a value does not fit its field", errors=[named])
    return Misfit(msgspec.json.decode(raw), refusal)


async def answer(
    tx: Connection, items: Sequence[DecisionRequest | Misfit], *, actor: Actor, now: datetime
) -> Decisions:
    """Decide an SP's questions in their order, and put every answer or refusal in its place.

    A question that fails as no other does is found by halves, and spoils nothing for the others.
    Raises `Unavailable` when the database cannot answer now; the transaction must be rolled back
    then, so that nothing of the batch is on record and it can come again.
    """
    asks = [
        Ask(request=one, sp_id=actor.sp_id, actor=actor.label)
        for one in items if isinstance(one, DecisionRequest)
    ]  # fmt: skip
    charged = {ask.request.msisdn for ask in asks if ask.request.purpose is Purpose.CHARGE}

    async def decide(some: Sequence[Ask]) -> list[Outcome]:
        if charged and len(some) < len(asks):
            # Of all parts before any is decided: nobody waits for each other crosswise.
            await queries.hold_months(tx, charged, at=now)
        async with tx.transaction():
            return await decide_all(tx, some, now=now)

    group = Group(asks)
    await decide_by_halves([Piece(group, 0, len(asks))], decide)
    for told in group.told:
        if isinstance(told, Unavailable):
            raise told
    outcomes = iter(group.told)
    return Decisions(
        items=[
            _shown(next(outcomes) if isinstance(one, DecisionRequest) else one.refusal)
            for one in items
        ]
    )


def _shown(told: Answer | Exception) -> Decision | ProblemDetails:
    return told.decision if isinstance(told, Answer) else refused(told)
