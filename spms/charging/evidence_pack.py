"""The evidence pack (举证包) of a charge.

The record, its decision, tariff and verdict, both consents with exact words, and the log that
proves them.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from spms.charging import bill, bill_queries
from spms.charging.bill_model import LineExplained
from spms.core.access import Actor, ActorKind
from spms.core.clock import business_month
from spms.core.db import Connection
from spms.core.errors import NotFound
from spms.core.instance import instance_secret
from spms.subscribers import actions as subscribers
from spms.subscriptions import actions as subscriptions
from spms.subscriptions.evidence_pack import log_of
from spms.subscriptions.model import Evidence

__all__ = ["content"]


async def content(
    tx: Connection, charge_id: UUID, *, actor: Actor, now: datetime
) -> dict[str, Any]:
    """Return what a pack about a charge contains, as this actor may see it, unsigned.

    A subscriber gets her own charges' only, an SP its own with a pseudonym for the number, staff
    any. Raises `NotFound`.
    """
    found = await bill_queries.owner_of(tx, charge_id)
    if found is None:
        raise NotFound
    since = found.charged_at
    if actor.kind is ActorKind.SP and found.sp_id != actor.sp_id:
        raise NotFound
    if actor.kind is ActorKind.SUBSCRIBER:
        number = await subscribers.held(tx, actor)
        if number.msisdn != found.msisdn:
            raise NotFound
        since = number.epoch_since
    line = await bill.explain(tx, found.msisdn, charge_id, since=since)
    relation: Evidence | None = None
    if line.relation is not None:
        relation = await subscriptions.evidence(
            tx, found.msisdn, line.relation.id, actor=actor
        )  # fmt: skip
    log, cites = await log_of(
        tx, found.msisdn, line.relation.id if line.relation else None, relation, actor=actor,
        now=now, prefix="relation.",
    )  # fmt: skip
    if actor.kind is ActorKind.SP:
        secret = await instance_secret(tx)
        name = subscribers.pseudonym(secret, found.sp_id, found.msisdn, found.epoch)
        line = replace(line, number=name)
    return {
        "about": {"kind": "charge", "id": charge_id},
        "made_at": now,
        "made_for": actor.kind,
        "statement": {"charge": _told(line), "relation": relation},
        "log": log,
        "cites": cites,
    }


def _told(line: LineExplained) -> dict[str, Any]:
    """Return the explained line; the relation stands beside it with all that proves it."""
    return {
        "record": line.line, "month": business_month(line.line.charged_at), "number": line.number,
        "right": line.right, "findings": line.findings, "decisions": line.decisions,
        "tariff": line.tariff,
    }  # fmt: skip
