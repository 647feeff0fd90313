"""Claims that need proof as each may see them, and the reasons one may claim under."""

from datetime import datetime
from uuid import UUID

import msgspec

from spms.compensation import verification_queries as statements
from spms.compensation.claim_queries import Before
from spms.compensation.model import CompensationRules
from spms.compensation.reasons import REASONS, ClaimReason, Wording
from spms.compensation.rules import catalogue
from spms.compensation.verification_model import VerificationEntry, VerificationRow
from spms.core import rulebook
from spms.core.access import Actor, ActorKind
from spms.core.db import Connection
from spms.core.instance import instance_secret
from spms.core.paging import Page, read_cursor, write_cursor
from spms.core.phone import mask
from spms.core.rulebook import Versions
from spms.subscribers import actions as subscribers


async def reasons(read: Connection, *, now: datetime) -> list[ClaimReason]:
    """List what one may claim under now, in the order of the codes."""
    return catalogue(await rulebook.section(read, CompensationRules, at=now))


async def list_page(
    read: Connection,
    *,
    sp_id: UUID | None,
    msisdn: str | None,
    actor: Actor,
    cursor: str | None,
    limit: int,
) -> Page[VerificationEntry]:
    """List claims that need proof, newest first, as this actor may see them."""
    before = await read_cursor(read, actor, "verifications", cursor, Before)
    rows = await statements.verifications(
        read, sp_id=sp_id, msisdn=msisdn, before=before, limit=limit + 1
    )
    secret = await instance_secret(read)
    versions = await rulebook.versions(read, CompensationRules)
    shown = [_shown(row, secret, versions, actor=actor) for row in rows[:limit]]
    after = None
    if len(rows) > limit:
        last = rows[limit - 1]
        after = await write_cursor(read, actor, "verifications", [last.opened_at, last.id])
    return Page(items=shown, next=after)


async def entry(read: Connection, row: VerificationRow, *, actor: Actor) -> VerificationEntry:
    """Show one as this actor may see it."""
    versions = await rulebook.versions(read, CompensationRules)
    return _shown(row, await instance_secret(read), versions, actor=actor)


def _shown(
    row: VerificationRow, secret: bytes, versions: Versions[CompensationRules], *, actor: Actor
) -> VerificationEntry:
    values = msgspec.structs.asdict(row)
    del values["opened_by"], values["msisdn"], values["epoch"]
    values["words"] = words_of(row, versions)
    values["number"] = mask(row.msisdn)
    if actor.kind is ActorKind.SP:
        values["number"] = subscribers.pseudonym(secret, row.sp_id, row.msisdn, row.epoch)
        values["reason"] = None
    return VerificationEntry(**values)


def words_of(row: VerificationRow, versions: Versions[CompensationRules]) -> Wording:
    """Return what its code said in the catalogue it was opened by, whatever the code says now."""
    known = REASONS if row.code_version is None else versions.of(row.code_version).rules.reasons
    reason = known[row.code]
    return Wording(zh=reason.zh, en=reason.en)
