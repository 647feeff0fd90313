"""Putting a wrong price right for everybody at once: previewed, approved by another, in chunks.

Its charges are listed first, and then worked off in the order of the numbers; what came in meanwhile
is listed and worked off after that, once. A chunk is one
transaction: its refunds, its lane's cursor and counts. A process that dies loses the chunk it was in
and nothing else; the next one goes on behind the cursor. No lock outlives a chunk. Lanes are
stretches of different numbers, so workers side by side wait for nothing of one another.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from spms.catalogue import actions as catalogue
from spms.compensation import journal
from spms.compensation import mass_correction_chunk_queries as chunks
from spms.compensation import mass_correction_queries as statements
from spms.compensation.accounts import Account, Cause
from spms.compensation.claim_queries import Before
from spms.compensation.mass_correction_model import (
    Correction,
    CorrectionRequest,
    CorrectionState,
)
from spms.compensation.model import CompensationRules
from spms.compensation.reasons import cause_named
from spms.compensation.refusals import CorrectionEmpty, Moved, RangeWrong, RulesDiffer, SamePerson
from spms.core import audit, rulebook
from spms.core.access import Actor, job_actor
from spms.core.db import Connection
from spms.core.errors import NotFound
from spms.core.ids import new_id
from spms.core.money import yuan
from spms.core.paging import Page, read_cursor, write_cursor
from spms.core.rulebook import InForce
from spms.messaging import actions as messaging
from spms.messaging.model import MessageKind, Outgoing

LANES = 4
"""Into how many parts, by number, the work is cut: so many workers can be at it at once."""
CHUNK = 5_000
"""Charges refunded in one transaction."""
LISTED_AT_ONCE = 8
"""Chunks' worth of charges that one transaction lists."""
TOLD_AT_ONCE = 1000


async def propose(
    tx: Connection, data: CorrectionRequest, *, actor: Actor, now: datetime
) -> Correction:
    """Write down what is to be put right, with what it comes to; nothing is paid by this.

    Raises `NotFound` for a service that does not exist, `RangeWrong`, `ReasonUnknown`, `RulesDiffer` where
    the time of its charges knows two rules for them, and `CorrectionEmpty` when no charge is at the wrong price.
    """
    if not data.due_fen < data.wrong_fen or not data.from_at < data.until_at <= now:
        raise RangeWrong
    service = await catalogue.get(tx, data.service_id)
    versions = await rulebook.versions(tx, CompensationRules)
    code_version, today = versions.at(now)
    cause = cause_named(today.reasons, data.cause)
    version, rules = _one_rule(versions.during(data.from_at, data.until_at), cause)
    bearers = rules.borne(cause)
    extent = await statements.extent(
        tx, sp_id=service.sp_id, service_id=service.id, wrong_fen=data.wrong_fen,
        due_fen=data.due_fen, from_at=data.from_at, until_at=data.until_at,
        on_top=rules.multiplier - 1, cap_fen=rules.compensation_cap_fen,
    )  # fmt: skip
    if extent.charges == 0:
        raise CorrectionEmpty
    row = Correction(
        id=new_id(), service_id=service.id, sp_id=service.sp_id, wrong_fen=data.wrong_fen,
        due_fen=data.due_fen, from_at=data.from_at, until_at=data.until_at, code=data.cause,
        code_version=code_version, cause=cause, bearer=bearers.first, second_bearer=bearers.second,
        rulebook_version=version, reason=data.reason, apology=data.apology,
        state=CorrectionState.PROPOSED, charges=extent.charges, numbers=extent.numbers,
        owed_fen=extent.owed_fen,
        receivable_before_fen=await journal.balance(tx, service.sp_id, Account.SP_RECEIVABLE),
        proposed_at=now, proposed_by=actor.label, decided_at=None, decided_by=None,
        charges_done=0, refunded=0, refunded_fen=0, told=0, looked_again_at=None, finished_at=None,
    )  # fmt: skip
    await statements.propose(tx, row)
    await audit.note(
        tx, "correction.proposed", "mass_correction", row.id, actor=actor, now=now,
        reason=data.reason,
    )  # fmt: skip
    return row


def _one_rule(
    in_force: Sequence[InForce[CompensationRules]], cause: Cause
) -> InForce[CompensationRules]:
    """Return what all of them say of a cause, as the first has it; raise `RulesDiffer`."""
    said = {
        (rules.multiplier, rules.compensation_cap_fen, rules.borne(cause)) for _, rules in in_force
    }
    if len(said) > 1:
        raise RulesDiffer
    return in_force[0]


async def decide(
    tx: Connection,
    correction_id: UUID,
    *,
    accept: bool,
    reason: str,
    actor: Actor,
    now: datetime,
) -> Correction:
    """Let it run, or not; another person than who proposed it.

    Raises `NotFound`, `SamePerson`, `Moved` when it was decided before.
    """
    row = await get(tx, correction_id)
    if row.proposed_by == actor.label:
        raise SamePerson
    state = CorrectionState.LISTING if accept else CorrectionState.DECLINED
    if not await statements.decide(tx, correction_id, state, now=now, actor=actor.label):
        raise Moved
    await audit.note(
        tx, f"correction.{state}", "mass_correction", row.id, actor=actor, now=now, reason=reason
    )
    return await get(tx, correction_id)


async def get(read: Connection, correction_id: UUID) -> Correction:
    """Return a correction with its progress; raise `NotFound`."""
    found = await statements.corrections(read, correction_id=correction_id)
    if not found:
        raise NotFound
    return found[0]


async def list_page(
    read: Connection, *, actor: Actor, cursor: str | None, limit: int
) -> Page[Correction]:
    """List corrections, newest first."""
    before = await read_cursor(read, actor, "corrections", cursor, Before)
    rows = await statements.corrections(read, before=before, limit=limit + 1)
    after = None
    if len(rows) > limit:
        last = rows[limit - 1]
        after = await write_cursor(read, actor, "corrections", [last.proposed_at, last.id])
    return Page(items=rows[:limit], next=after)


async def work_chunk(tx: Connection, *, now: datetime, limit: int = CHUNK) -> int:
    """List, refund or tell the next few of one approved correction; 0: nothing is left to do."""
    return await refund_chunk(tx, now=now, limit=limit) or await tell_chunk(
        tx, now=now, limit=limit
    )


async def refund_chunk(tx: Connection, *, now: datetime, limit: int = CHUNK) -> int:
    """List or refund the next few of one approved correction; 0: nothing is left to refund.

    A chunk has at least `limit` charges and everything of its last number.
    """
    listing = await statements.take_listing(tx)
    if listing is not None:
        return await _list(tx, listing, limit * LISTED_AT_ONCE, now=now)
    row = await statements.take_lane(tx)
    if row is None:
        return await _end(tx, now=now)
    await journal.plan_for_sets(tx)
    until = await chunks.end(tx, row, limit)
    # What two people agreed to, whatever the rulebook says since.
    versions = await rulebook.versions(tx, CompensationRules)
    version = row.rulebook_version
    in_force = versions.at(row.from_at) if version is None else versions.of(version)
    await chunks.hold_heads(tx, row, until, now=now)
    actor = job_actor("correct_prices").label
    seen = await chunks.refund(tx, row, until, in_force, actor=actor, now=now)
    if until == row.until_number:
        await statements.finish_lane(tx, row)
    return seen


async def _list(tx: Connection, row: Correction, limit: int, *, now: datetime) -> int:
    listed = await statements.list_more(tx, row, limit)
    if listed < limit:
        await statements.open_lanes(tx, row.id, LANES)
        await statements.advance(tx, row.id, CorrectionState.REFUNDING, now=now)
    return max(1, listed)


async def _end(tx: Connection, *, now: datetime) -> int:
    """Look again for what came in meanwhile, or else let the people be told."""
    row = await statements.take_refunded(tx)
    if row is None:
        return 0
    if not await statements.look_again(tx, row.id, now=now):
        await statements.advance(tx, row.id, CorrectionState.TELLING, now=now)
    return 1


async def tell_chunk(tx: Connection, *, now: datetime, limit: int = CHUNK) -> int:
    """Tell the next few people of one correction that has refunded everything; 0: none is left."""
    row = await statements.take_telling(tx)
    if row is None:
        return 0
    people = await statements.tell(tx, row, limit, now=now)
    apologies = [
        Outgoing(
            msisdn=person.msisdn,
            text=f"{row.apology}共退还并补偿{yuan(person.amount_fen)}元({person.charges}笔)。",
            kind=MessageKind.REFUND,
            about_kind="mass_correction",
            about_id=row.id,
        )
        for person in people
        if person.told and person.amount_fen > 0
    ]
    await messaging.send_many(tx, apologies, now=now)
    if len(people) < limit:
        await statements.advance(tx, row.id, CorrectionState.DONE, now=now)
    return max(1, len(people))
