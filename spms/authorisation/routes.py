"""HTTP: an SP's questions, single and in batches; decisions listed and explained."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Response, Router, get, post
from litestar.datastructures import State

from spms.authorisation import actions, several
from spms.authorisation.batches import Lane
from spms.authorisation.explanation_model import Explanation
from spms.authorisation.hypothetical import Hypothesis, HypotheticalQuestion, suppose
from spms.authorisation.model import Decision, DecisionRecord, DecisionRequest
from spms.authorisation.number_lookup import NumberSearch, search
from spms.core import db
from spms.core.access import Actor, Role, only
from spms.core.authenticate import IN_TURN, Until
from spms.core.db import Connection
from spms.core.errors import NotFound, Unprocessable
from spms.core.http import refusals
from spms.core.once import IdempotencyKey, KeyReused, once
from spms.core.paging import Cursor, CursorInvalid, Limit, Page
from spms.subscribers.looks import LooksUsedUp
from spms.subscribers.model import Language


class ExplanationWanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why staff look at a decision: kept in the audit log."""

    reason: Annotated[str, msgspec.Meta(min_length=2, max_length=200, pattern=r"\S")]


@post(
    "/", status_code=200, guards=[only(Role.SP)], opt={IN_TURN: Until.ANSWERED},
    responses=refusals(KeyReused),
)  # fmt: skip
async def authorise(
    data: DecisionRequest,
    tx: Connection,
    actor: Actor,
    now: datetime,
    idempotency_key: IdempotencyKey = None,
) -> Decision:
    """Ask whether one message or charge may go (鉴权).

    Both answers are 200; a denial names every reason. Send an Idempotency-Key: an order licenses
    one charge, so repeating a question whose answer was lost would find the order used.
    """

    async def work() -> Decision:
        return (await actions.decide(tx, [data], sp_id=actor.sp_id, actor=actor, now=now))[0]

    return await once(tx, Decision, idempotency_key, data, work, actor=actor, now=now)


@post(
    "/batch", status_code=200, guards=[only(Role.SP)], opt={IN_TURN: Until.KNOWN},
    responses=refusals(KeyReused),
)  # fmt: skip
async def authorise_batch(
    data: several.Batch, state: State, actor: Actor, idempotency_key: IdempotencyKey = None
) -> Response[several.Decisions]:
    """Ask about up to 1000 messages and charges; each is answered for itself, in order.

    In the place of one that is no question, or of which something failed, stands why: the others
    are decided.
    """
    items = several.read(data)
    # Hashed as what it says, not as it was written.
    body = {"items": [one.value if isinstance(one, several.Misfit) else one for one in items]}

    async def in_turn(connection: Connection, now: datetime) -> msgspec.Raw:
        async def work() -> msgspec.Raw:
            made = await several.answer(connection, items, actor=actor, now=now)
            return msgspec.Raw(msgspec.json.encode(made))

        async with connection.transaction():
            return await once(
                connection, msgspec.Raw, idempotency_key, body, work, actor=actor, now=now
            )

    lane: Lane = state.lane
    told: Any = await lane.run(actor.sp_id, in_turn)
    return Response(told)


@get("/", status_code=200, guards=[only(Role.SP)], responses=refusals(CursorInvalid))
async def find(
    read: Connection, actor: Actor, after: Cursor = None, limit: Limit = 50
) -> Page[DecisionRecord]:
    """List the SP's own decisions, newest first."""
    return await actions.of_sp(read, actor.sp_id, cursor=after, limit=limit, actor=actor)


@get(
    "/{authorisation_id:uuid}/explanation",
    status_code=200,
    guards=[only(Role.SP)],
    responses=refusals(NotFound),
)
async def explanation(
    authorisation_id: UUID, state: State, actor: Actor, lang: Language = Language.EN
) -> Explanation:
    """Explain an SP's own decision: its facts, each check in words, its replay as of its instant."""
    async with db.snapshot(state.pool) as read:
        return await actions.explain(read, authorisation_id, actor=actor, language=lang)


@post(
    "/{authorisation_id:uuid}/explanation",
    status_code=200,
    guards=[only(Role.AGENT, Role.COMPLIANCE)],
    responses=refusals(NotFound, LooksUsedUp),
)
async def explained_to_staff(
    *, authorisation_id: UUID, data: ExplanationWanted, state: State, actor: Actor, now: datetime,
    lang: Language = Language.EN,
) -> Explanation:  # fmt: skip
    """Explain any decision to staff; who looked and why is recorded first.

    An agent's is a look at the number it is about.
    """
    async with db.transaction(state.pool) as tx:
        await actions.note_look(tx, authorisation_id, reason=data.reason, actor=actor, now=now)
    async with db.snapshot(state.pool) as read:
        return await actions.explain(read, authorisation_id, actor=actor, language=lang)


@post(
    "/explanation",
    status_code=200,
    guards=[only(Role.COMPLIANCE)],
    responses=refusals(NotFound, Unprocessable),
)
async def supposed(
    data: HypotheticalQuestion,
    tx: Connection,
    actor: Actor,
    now: datetime,
    lang: Language = Language.EN,
) -> Hypothesis:
    """Explain a decision that nobody asked for, as of any instant; the look is put on record."""
    return await suppose(tx, data, actor=actor, now=now, language=lang)


@post(
    "/search",
    status_code=200,
    guards=[only(Role.COMPLIANCE)],
    responses=refusals(CursorInvalid, NotFound),
)
async def about_number(
    data: NumberSearch, tx: Connection, actor: Actor, now: datetime
) -> Page[DecisionRecord]:
    """Show what was decided about a number in a month; the look and its reason are recorded first.

    First what was asked about charges, newest first, then about messages, SP by SP in the order in
    which they were asked. Go on while there is a `next`, also after a page without any.
    """
    return await search(tx, data, actor=actor, now=now)


router = Router(
    "/authorisations",
    route_handlers=[
        authorise,
        authorise_batch,
        find,
        explanation,
        explained_to_staff,
        supposed,
        about_number,
    ],
    tags=["authorisation"],
)
