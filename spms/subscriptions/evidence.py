"""What proves a relation: both consents with their exact words and times, terms, history."""

from typing import Any
from uuid import UUID

import msgspec
from msgspec.structs import replace

from spms.core.access import Actor, ActorKind
from spms.core.db import Connection
from spms.core.errors import NotFound
from spms.core.instance import instance_secret
from spms.core.phone import mask
from spms.subscribers.actions import pseudonym
from spms.subscriptions import queries
from spms.subscriptions.model import (
    ConsentProof,
    Evidence,
    PromptProof,
    RequestProof,
    Status,
    Subscription,
    SubscriptionShown,
    TermsProof,
)


async def evidence(
    read: Connection, msisdn: str, subscription_id: UUID, *, actor: Actor | None = None
) -> Evidence:
    """Return everything one needs to prove a relation's consent, or that there is none.

    With an `actor` it is what that party may see: an SP gets a pseudonym, and the text of a prompt
    (it holds the code) only once it can no longer be answered; nobody outside the house gets the
    names of people inside it, nor an SP what an agent noted. Raises `NotFound` for a relation this
    number does not have.
    """
    current = await queries.find(read, msisdn, subscription_id)
    row = await queries.proofs(read, msisdn, subscription_id)
    if current is None or row is None:
        raise NotFound("no such subscription")
    facts = dict(row)
    (shown,) = await show(read, [current], actor=actor)
    found = Evidence(
        subscription=shown,
        request=_request(current, facts),
        terms=_terms(current, facts),
        prompt=_prompt(current, facts),
        consent=_consent(facts),
        history=await queries.history(read, msisdn, subscription_id),
    )
    return found if actor is None else _for(actor, found)


async def show(
    read: Connection, relations: list[Subscription], *, actor: Actor | None
) -> list[SubscriptionShown]:
    """Return relations as a party may see them: numbers masked, for an SP under a pseudonym."""
    secret = b""
    if actor is not None and actor.kind is ActorKind.SP:
        secret = await instance_secret(read)
    return [
        msgspec.convert(
            msgspec.structs.asdict(one) | {"number": _name(one, secret)}, SubscriptionShown
        )
        for one in relations
    ]


def _for(actor: Actor, whole: Evidence) -> Evidence:
    """Leave out what this party has no part in."""
    if actor.kind is ActorKind.STAFF:
        return whole
    sp = actor.kind is ActorKind.SP
    prompt = whole.prompt
    if sp and prompt is not None and whole.subscription.status is Status.AWAITING:
        prompt = replace(prompt, text=None)
    return replace(
        whole,
        prompt=prompt,
        request=replace(whole.request, requested_by=_party(whole.request.requested_by)),
        terms=replace(whole.terms, approved_by=_party(whole.terms.approved_by or "")),
        history=[
            replace(line, actor=_party(line.actor), reason=None if sp else line.reason)
            for line in whole.history
        ],
    )


def _party(label: str) -> str:
    """Return what kind of party stands behind a label, without the name."""
    return label.partition(":")[0]


def _name(one: Subscription, secret: bytes) -> str:
    return pseudonym(secret, one.sp_id, one.msisdn, one.epoch) if secret else mask(one.msisdn)


def _request(current: Subscription, facts: dict[str, Any]) -> RequestProof:
    return RequestProof(
        channel=current.channel, requested_at=current.requested_at,
        requested_by=current.requested_by, text=current.request_text,
        received_at=current.request_received_at, message_id=current.request_message_id,
        link=facts["request_link"], link_message_id=facts["request_link_message_id"],
        called=facts["request_called"],
    )  # fmt: skip


def _terms(current: Subscription, facts: dict[str, Any]) -> TermsProof:
    return msgspec.convert(
        facts
        | {
            "tariff_id": current.tariff_id,
            "notice_id": current.notice_id,
            "price_fen": current.price_fen,
        },
        TermsProof,
    )


def _prompt(current: Subscription, facts: dict[str, Any]) -> PromptProof | None:
    if current.confirm_by is None:
        return None
    return PromptProof(
        text=current.prompt_text, confirm_by=current.confirm_by,
        message_id=facts["prompt_id"], sender=facts["sender"], queued_at=facts["queued_at"],
        sent_at=facts["sent_at"], delivered_at=facts["delivered_at"], state=facts["state"],
    )  # fmt: skip


def _consent(facts: dict[str, Any]) -> ConsentProof | None:
    if facts["consent_kind"] is None:
        return None
    return ConsentProof(
        kind=facts["consent_kind"], reply_text=facts["reply_text"],
        prompt_text=facts["agreed_prompt"], price_fen=facts["agreed_fen"],
        given_at=facts["given_at"], message_id=facts["message_id"], called=facts["called"],
        link=facts["link"], link_message_id=facts["link_message_id"],
    )  # fmt: skip
