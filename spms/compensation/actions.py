"""The verbs. Each runs inside the caller's transaction and never ends it.

A promise here never rests on what was read before: whether a charge is refunded is decided by the
key of the claim when it is written. An answer that was lost (a connection cut at COMMIT) is got
by claiming again, never by guessing.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import msgspec

from spms.charging import actions as charging
from spms.compensation import claim_queries, journal, queries
from spms.compensation.accounts import Account
from spms.compensation.claim_queries import Before
from spms.compensation.model import (
    Claim,
    ClaimEntry,
    ClaimRow,
    ClaimState,
    CompensationRules,
    Disputed,
    Refund,
    Source,
)
from spms.compensation.refunding import opening_of, refund
from spms.compensation.rules import (
    STANDS_MAX,
    DisputedOften,
    check_age,
    is_holders,
    judge,
    oldest_disputable,
)
from spms.core import audit, rulebook
from spms.core.access import Actor, ActorKind, job_actor
from spms.core.db import Connection
from spms.core.errors import NotFound
from spms.core.ids import new_id
from spms.core.instance import instance_secret
from spms.core.paging import Page, read_cursor, write_cursor
from spms.core.phone import mask
from spms.subscribers import actions as subscribers
from spms.subscribers import looks

BATCH_MAX = 1000
T = TypeVar("T")


async def claim(
    tx: Connection,
    *,
    msisdn: str,
    charge_id: UUID,
    source: Source,
    reason: str,
    actor: Actor,
    now: datetime,
) -> Claim:
    """Ask whether a charge was right, and refund it double at once when it was not.

    The charge is audited again first, so that facts which arrived late count. Returns the claim
    that refunded the charge, which may be an earlier one by whatever entrance: claiming again is
    harmless and gets the same answer. A charge without a difference stands, and the claim carries
    the consent that licensed it.

    Raises `NotFound` for a charge that is not the present holder's, `ClaimTooOld` behind the time
    bar (a refund given before it stays visible), `DisputedOften` after five claims that found the
    same charge right.
    """
    charge = await charge_of_holder(tx, msisdn, charge_id, actor)
    rules = await rulebook.section(tx, CompensationRules, at=now)
    if charge.round == 0 or charge.charged_at >= oldest_disputable(now, rules):
        check_age(charge, now, rules)
        await charging.reaudit(tx, msisdn, charge_id, now=now, actor=actor)
        charge = await charge_of_holder(tx, msisdn, charge_id, actor)
        verdict = judge(charge)
        if verdict.state is ClaimState.STANDS and charge.round == 0:
            return await _stand(tx, charge, source=source, reason=reason, actor=actor, now=now)
        if verdict.due_fen < charge.honoured_due_fen:
            versions = await rulebook.versions(tx, CompensationRules)
            opening = opening_of(charge, verdict, versions, reason)
            await refund(tx, [opening], source=source, actor=actor, now=now)
    known = await _refunded(tx, charge, reason=reason, actor=actor, now=now)
    if known is None:
        raise RuntimeError("a claim was refused as a repeat, but there is no first one")
    return known


async def refund_findings(tx: Connection, *, now: datetime, limit: int = BATCH_MAX) -> int:
    """Refund up to `limit` charges that the audit found wrong; return how many were refunded here.

    The entrance of the job. Any number of workers may run it at once: the later one waits for the
    earlier one's keys and finds them taken. Owners and ages do not matter: a wrong charge is
    refunded also when its number has another holder by now, but only the one who was charged is
    told by SMS.
    """
    actor = job_actor("refund_findings")
    versions = await rulebook.versions(tx, CompensationRules)
    charges = await queries.open_findings(tx, min(limit, BATCH_MAX))
    openings = [opening_of(charge, judge(charge), versions) for charge in charges]
    opened = await refund(tx, openings, source=Source.AUDIT, actor=actor, now=now)
    if opened:
        detail = {
            "claims": len(opened),
            "refunded_fen": sum(line.booking.amount_fen for each in opened for line in each.lines),
        }
        await audit.note(
            tx, "findings.refunded", "claim", "audit", actor=actor, now=now, detail=detail
        )
    return len(opened)


async def receivable(read: Connection, sp_id: UUID) -> int:
    """Return what the SP owes for wrong charges and has not been settled, in fen."""
    return await journal.balance(read, sp_id, Account.SP_RECEIVABLE)


async def claims_of_holder(
    read: Connection, *, actor: Actor, cursor: str | None, limit: int
) -> Page[Claim]:
    """List the claims of the signed-in subscriber, newest first; none of an earlier holder's."""
    before = await read_cursor(read, actor, "claims", cursor, Before)
    rows = await claim_queries.claims(
        read, actor.msisdn, epoch=actor.epoch, before=before, limit=limit + 1
    )
    return await _page(
        read, "claims", rows, limit, key=lambda row: [row.opened_at, row.id], actor=actor
    )


async def refunds_of_holder(
    read: Connection, *, actor: Actor, cursor: str | None, limit: int
) -> Page[Refund]:
    """List what the signed-in subscriber got back, newest first."""
    return await _refunds(
        read, actor.msisdn, epoch=actor.epoch, actor=actor, cursor=cursor, limit=limit
    )


async def search_refunds(
    tx: Connection,
    msisdn: str,
    *,
    reason: str,
    actor: Actor,
    now: datetime,
    cursor: str | None,
    limit: int,
) -> Page[Refund]:
    """List what the present holder of a number got back; who looked and why is recorded first.

    A number that nobody ever had gets an empty list, so that asking for it is on record too. It is
    a look as at a bill; a further page is none. Raises `LooksUsedUp`.
    """
    if cursor is None:
        await looks.count(tx, msisdn, reason=reason, actor=actor, now=now)
    name = subscribers.audit_name(await instance_secret(tx), msisdn)
    await audit.note(tx, "refunds.looked_up", "number", name, actor=actor, now=now, reason=reason)
    return await _refunds(tx, msisdn, epoch=None, actor=actor, cursor=cursor, limit=limit)


async def claims_of_sp(
    read: Connection, sp_id: UUID | None, *, actor: Actor, cursor: str | None, limit: int
) -> Page[ClaimEntry]:
    """List claims of one SP, or of all, newest first, as this actor may see them.

    The SP sees a pseudonym for the number and not the claimant's words; an officer sees both the
    words and the number masked.
    """
    before = await read_cursor(read, actor, "sp-claims", cursor, Before)
    rows = await claim_queries.claim_rows(read, sp_id=sp_id, before=before, limit=limit + 1)
    secret = await instance_secret(read)
    entries = [_entry(row, secret, to_sp=actor.kind is ActorKind.SP) for row in rows]
    return await _page(
        read, "sp-claims", entries, limit, key=lambda row: [row.opened_at, row.id], actor=actor
    )


def _entry(row: ClaimRow, secret: bytes, *, to_sp: bool) -> ClaimEntry:
    """Show a claim to its SP, or to an officer."""
    values = msgspec.structs.asdict(row)
    msisdn, epoch = values.pop("msisdn"), values.pop("epoch")
    if to_sp:
        values["number"] = subscribers.pseudonym(secret, row.sp_id, msisdn, epoch)
        values["reason"] = row.reason if row.source is Source.AUDIT else None
    else:
        values["number"] = mask(msisdn)
    return ClaimEntry(**values)


async def _refunds(
    read: Connection,
    msisdn: str,
    *,
    epoch: int | None,
    actor: Actor,
    cursor: str | None,
    limit: int,
) -> Page[Refund]:
    """Load one page of a number's refunds; a cursor continues only the list it came from."""
    name = "refunds" + subscribers.audit_name(await instance_secret(read), msisdn)
    before = await read_cursor(read, actor, name, cursor, Before)
    rows = await claim_queries.refunds(read, msisdn, epoch=epoch, before=before, limit=limit + 1)
    return await _page(
        read, name, rows, limit, key=lambda row: [row.refunded_at, row.claim_id], actor=actor
    )


async def _page(
    read: Connection,
    name: str,
    rows: list[T],
    limit: int,
    *,
    key: Callable[[T], list[Any]],
    actor: Actor,
) -> Page[T]:
    """Cut one row more than the limit down to a page that knows whether it is the last."""
    more = len(rows) > limit
    after = await write_cursor(read, actor, name, key(rows[limit - 1])) if more else None
    return Page(items=rows[:limit], next=after)


async def charge_of_holder(
    read: Connection, msisdn: str, charge_id: UUID, actor: Actor
) -> Disputed:
    """Load a charge; `NotFound` unless it is the present holder's, and the subscriber is them."""
    charge = await queries.disputed(read, msisdn, charge_id)
    if charge is None or not is_holders(charge):
        raise NotFound
    if actor.kind is ActorKind.SUBSCRIBER and actor.epoch != charge.epoch:
        raise NotFound
    return charge


async def _refunded(
    tx: Connection, charge: Disputed, *, reason: str, actor: Actor, now: datetime
) -> Claim | None:
    """Load the claim that refunded the charge, if one did, and record who was shown it and why."""
    found = await claim_queries.claims(tx, charge.msisdn, refunded_charge_id=charge.charge_id)
    if not found:
        return None
    await audit.note(
        tx, "claim.refunded", "claim", found[0].id, actor=actor, now=now, reason=reason
    )
    return found[0]


async def _stand(
    tx: Connection, charge: Disputed, *, source: Source, reason: str, actor: Actor, now: datetime
) -> Claim:
    """Write a claim that found the charge right, in the first free turn."""
    claim_id = new_id()
    for turn in range(1, STANDS_MAX + 1):
        if await queries.stand(
            tx, claim_id, charge, turn=turn, source=source, reason=reason, now=now,
            actor=actor.label,
        ):  # fmt: skip
            await audit.note(
                tx, "claim.stands", "claim", claim_id, actor=actor, now=now, reason=reason
            )
            return (await claim_queries.claims(tx, charge.msisdn, claim_id=claim_id))[0]
    raise DisputedOften(f"a charge can be disputed {STANDS_MAX} times")
