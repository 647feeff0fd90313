"""The evidence pack (举证包) of a relation: what is stated, and the log that proves it.

Made from the number's whole chain, so that it can be checked to its start and to a signed anchor.
Entries of other relations are there as digests only. The number itself is told, with the salt that
ties it to the chain, to the person and to staff; an SP gets a chain whose number it cannot find out.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from spms.core import anchors, chain_log
from spms.core.access import Actor, ActorKind
from spms.core.chain import Entry, start_hash, subject_digest
from spms.core.db import Connection
from spms.core.pack import Cite, shown
from spms.subscriptions import consent_log
from spms.subscriptions.evidence import evidence
from spms.subscriptions.model import Evidence, Status, Subscription

CITED = {
    "request": (
        ("request.text", "request_text"),
        ("request.channel", "channel"),
        ("request.requested_at", "requested_at"),
        ("subscription.price_fen", "price_fen"),
        ("terms.tariff_version", "tariff_version"),
        ("terms.notice_version", "notice_version"),
        ("terms.hotline", "hotline"),
        ("terms.leave_command", "leave_command"),
        ("prompt.text", "prompt_text"),
        ("prompt.confirm_by", "confirm_by"),
    ),
    "confirm": (
        ("consent.reply_text", "reply_text"),
        ("consent.prompt_text", "prompt_text"),
        ("consent.given_at", "given_at"),
        ("consent.price_fen", "consent_fen"),
        ("consent.message_id", "message_id"),
        ("consent.link_message_id", "message_name"),
    ),
}
"""What the statement and which entry must say alike."""
CITED["order"] = (*CITED["request"][:8], *CITED["confirm"])


async def content(
    tx: Connection, current: Subscription, *, actor: Actor, now: datetime
) -> dict[str, Any]:
    """Return what a pack about a relation contains, as this actor may see it, unsigned."""
    stated = await evidence(tx, current.msisdn, current.id, actor=actor)
    sealed = actor.kind is ActorKind.SP and current.status is Status.AWAITING
    log, cites = await log_of(
        tx, current.msisdn, None if sealed else current.id, stated, actor=actor, now=now
    )
    return {
        "about": {"kind": "subscription", "id": current.id},
        "made_at": now,
        "made_for": actor.kind,
        "statement": stated,
        "log": log,
        "cites": cites,
    }


async def log_of(
    tx: Connection, msisdn: str, relation_id: UUID | None, stated: Evidence | None,
    *, actor: Actor, now: datetime, prefix: str = "",
) -> tuple[dict[str, Any] | None, list[Cite]]:  # fmt: skip
    """Return a number's log with one relation's entries open, and where the statement agrees.

    `prefix` says where in the whole statement `stated` stands. None when nothing was ever told.
    """
    await consent_log.record(tx, [msisdn], now=now)
    salt = (await chain_log.salts(tx, consent_log.CHAIN, [msisdn])).get(msisdn)
    if salt is None:
        return None, []
    entries = (await chain_log.entries(tx, consent_log.CHAIN, [msisdn]))[msisdn]
    own = [entry for entry in entries if entry.about == relation_id]
    digest = subject_digest(salt, msisdn)
    anchor = await anchors.proof(tx, consent_log.CHAIN, msisdn)
    head = entries[-1].hash if entries else start_hash(consent_log.CHAIN, digest)
    log = {
        "chain": consent_log.CHAIN,
        "subject_digest": digest.hex(),
        "subject": None if actor.kind is ActorKind.SP else {"name": msisdn, "salt": salt.hex()},
        "entries": shown(
            entries, visible={entry.seq for entry in own},
            private=actor.kind is ActorKind.STAFF,
        ),
        "head": head.hex(),
        "anchor": None if anchor is None else {
            "statement": anchor.statement, "public_key": anchor.public_key.hex(),
            "signature": anchor.signature.hex(), "place": anchor.place, "seq": anchor.seq,
            "path": anchor.path.hex(),
        },
    }  # fmt: skip
    cites = [] if stated is None else _cites(msgspec.to_builtins(stated), own, prefix)
    return log, cites


def _cites(stated: Mapping[str, Any], own: list[Entry], prefix: str) -> list[Cite]:
    """List what the log can vouch for: what both have."""
    return [
        Cite(statement=prefix + here, seq=entry.seq, log=there)
        for entry in own
        for here, there in CITED.get(entry.kind, ())
        if _has(stated, here) and there in msgspec.json.decode(entry.body)["facts"]
    ]


def _has(stated: Mapping[str, Any], path: str) -> bool:
    value: Any = stated
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value is not None
