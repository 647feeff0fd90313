"""A decision that nobody asked for: what would be, or would have been, decided at an instant.

The same facts, rules and words as a decision's own, read as of that instant; nothing is decided by
it, held or used up. Who looked at which number, and why, is on record first.
"""

from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

import msgspec

from spms.authorisation import (
    facts_queries,
    hindsight,
    hindsight_queries,
    queries,
    quota,
    standing_queries,
)
from spms.authorisation.content import ContentFact, look
from spms.authorisation.dossier import Dossier
from spms.authorisation.explanation import checks
from spms.authorisation.explanation_model import Check
from spms.authorisation.model import (
    AskedPrice,
    Content,
    DecisionRequest,
    Facts,
    LinkId,
    Purpose,
    Reason,
    ServiceCode,
)
from spms.authorisation.round import orders_since
from spms.authorisation.rules import judge
from spms.authorisation.standing import Standing
from spms.authorisation.terms import then
from spms.core import audit
from spms.core.access import Actor
from spms.core.db import Connection
from spms.core.errors import NotFound, Unprocessable
from spms.core.instance import instance_secret
from spms.core.phone import AccessNumber, Msisdn, mask
from spms.partners import actions as partners
from spms.subscribers import actions as subscribers
from spms.subscribers.model import Language

YEARS: Final = range(2000, 2100)


class HypotheticalQuestion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Might this SP …, had it asked at this instant?"""

    sp_code: Annotated[str, msgspec.Meta(pattern="^[0-9]{6}$(?!\\n)", examples=["100001"])]
    """Whose question it would be (企业代码)."""
    purpose: Purpose
    msisdn: Msisdn
    service_code: ServiceCode
    price_fen: AskedPrice = 0
    access_number: AccessNumber | None = None
    link_id: LinkId | None = None
    content: Content | None = None
    at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    """As of when; without it, now. Ahead of now: by what is known of it now."""
    reason: Annotated[str, msgspec.Meta(min_length=2, max_length=200, pattern=r"\S")]
    """Why the number is looked at; kept on record."""


class Hypothesis(msgspec.Struct, frozen=True, kw_only=True):
    """What would have been decided, and why."""

    at: datetime
    allowed: bool
    reasons: tuple[Reason, ...]
    subscriber: str
    """The masked number."""
    rulebook_version: int
    facts: Facts
    """Every input, with its version."""
    checks: tuple[Check, ...]


async def suppose(
    tx: Connection,
    asked: HypotheticalQuestion,
    *,
    actor: Actor,
    now: datetime,
    language: Language = Language.EN,
) -> Hypothesis:
    """Explain the decision there would have been.

    What was decided before the instant counts, what was decided at it or later does not. Raises
    `NotFound` when there is no such SP, and `Unprocessable` for an instant of another century.
    """
    at = asked.at or now
    if at.year not in YEARS:
        raise Unprocessable("the instant is not of this century", code="instant_out_of_range")
    name = subscribers.audit_name(await instance_secret(tx), asked.msisdn)
    await audit.note(
        tx, "decision.supposed", "number", name, actor=actor, now=now, reason=asked.reason,
        detail={"service_code": asked.service_code, "at": at.isoformat()},
    )  # fmt: skip
    sp = await partners.get_by_code(tx, asked.sp_code)
    if sp is None:
        raise NotFound
    question = DecisionRequest(
        purpose=asked.purpose, msisdn=asked.msisdn, service_code=asked.service_code,
        price_fen=asked.price_fen, access_number=asked.access_number, link_id=asked.link_id,
    )  # fmt: skip
    facts = await _facts(tx, question, asked.content, sp.id, at)
    reasons = judge(facts, facts.caps)
    return Hypothesis(
        at=at, allowed=not reasons, reasons=reasons, subscriber=mask(asked.msisdn),
        rulebook_version=facts.rulebook_version, facts=facts,
        checks=checks(facts, show_total=True, language=language),
    )  # fmt: skip


async def _facts(
    read: Connection, asked: DecisionRequest, content: str | None, sp_id: UUID, at: datetime
) -> Facts:
    standing = await standing_queries.current(read)
    await queries.plan(read)
    gathered = await facts_queries.gather(
        read, [(asked.msisdn, standing.service_id(asked.service_code))], at=at,
        orders_since=orders_since(standing, at),
    )  # fmt: skip
    later = await hindsight_queries.used_later(read, asked.msisdn, at)
    rows = msgspec.structs.replace(
        gathered,
        numbers=await hindsight.numbers(read, gathered.numbers, at=at),
        relations=[
            msgspec.structs.replace(row, used=False) if row.id in later else row
            for row in gathered.relations
        ],
        months=await facts_queries.spent_before(
            read, asked.msisdn, at=at, before=facts_queries.NOTHING_LATER, until=at
        ),
    )
    terms = then(standing, at).terms(sp_id, asked.service_code)
    facts = Dossier(rows, standing.categories).facts(terms, asked)
    if asked.purpose is Purpose.CHARGE or terms.service_id is None:
        return facts
    return msgspec.structs.replace(
        facts,
        sent=None if facts.quota is None else await quota.sent_by(read, sp_id, at),
        content=_found(content, standing, terms.service_id, at),
    )


def _found(
    text: str | None, standing: Standing, service_id: UUID, at: datetime
) -> ContentFact | None:
    texts = standing.texts(service_id, at)
    return look(text, standing.rules(at).content, texts.templates, bound=texts.bound)
