"""Paying the two multiples of a claim that needs proof, each as one round of refunds."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from spms.compensation import journal, queries
from spms.compensation.accounts import Bearers
from spms.compensation.model import CompensationRules, Disputed, Opening, Source
from spms.compensation.refunding import claim_id, refund
from spms.compensation.refusals import Moved
from spms.compensation.rules import Due, multiples, refund_lines
from spms.compensation.verification_model import VerificationRow
from spms.core import rulebook
from spms.core.access import Actor
from spms.core.db import Connection
from spms.core.rulebook import InForce, Versions


async def pay_first(tx: Connection, row: VerificationRow, *, actor: Actor, now: datetime) -> None:
    """Return what was claimed, once, as far as it has not come back by now."""
    await _pay(
        tx, [row], {row.id: Due(row.claimed_fen, 0)}, await _versions(tx), actor=actor, now=now
    )


async def pay_second(
    tx: Connection, rows: list[VerificationRow], *, actor: Actor, now: datetime
) -> None:
    """Pay the second multiple of what was claimed, less what findings have paid of it by now.

    By the version of the rulebook that the claim was opened by: what was promised then.
    """
    versions = await _versions(tx)
    owed = {
        row.id: Due(0, multiples(row.claimed_fen, _by(row, versions).rules).compensation_fen)
        for row in rows
    }
    await _pay(tx, rows, owed, versions, actor=actor, now=now)


async def _versions(read: Connection) -> Versions[CompensationRules]:
    return await rulebook.versions(read, CompensationRules)


def _by(row: VerificationRow, versions: Versions[CompensationRules]) -> InForce[CompensationRules]:
    if row.rulebook_version is None:
        return versions.at(row.charged_at)
    return versions.of(row.rulebook_version)


async def _pay(
    tx: Connection,
    rows: list[VerificationRow],
    owed: Mapping[UUID, Due],
    versions: Versions[CompensationRules],
    *,
    actor: Actor,
    now: datetime,
) -> None:
    """Refund the next round of each charge.

    All chains are held first, in one order, and what stands is read then: nobody else refunds these
    charges meanwhile, and two who pay some of the same numbers wait for one another and not in a ring.
    Raises `Moved` should another refund have come between all the same: nothing is paid then.
    """
    await journal.hold(tx, [row.msisdn for row in rows], now=now)
    charges = await queries.disputed_many(
        tx, [row.msisdn for row in rows], [row.charge_id for row in rows]
    )
    by_id = {charge.charge_id: charge for charge in charges}
    by_source: dict[Source, list[Opening]] = {}
    for row in sorted(rows, key=lambda each: (each.msisdn, each.charge_id)):
        opening = _opening(row, by_id[row.charge_id], owed[row.id], _by(row, versions).version)
        if opening is not None:
            by_source.setdefault(row.source, []).append(opening)
    for source, openings in by_source.items():
        first = await refund(tx, openings, source=source, actor=actor, now=now)
        if len(first) < len(openings):
            raise Moved


def _opening(row: VerificationRow, charge: Disputed, owed: Due, version: int) -> Opening | None:
    """Prepare one round; None when findings have paid all of it by now."""
    principal_fen = min(owed.principal_fen, charge.charged_fen - charge.principal_fen)
    compensation_fen = min(
        owed.compensation_fen, charge.principal_fen + principal_fen - charge.compensation_fen
    )
    due = Due(principal_fen, compensation_fen)
    bearers = Bearers(first=row.bearer, second=row.second_bearer)
    if sum(due) == 0:
        return None
    return Opening(
        id=claim_id(charge, charge.round + 1),
        disputed=charge,
        round=charge.round + 1,
        due_fen=charge.charged_fen - charge.principal_fen - principal_fen,
        honoured_due_fen=charge.honoured_due_fen,
        reason=row.reason,
        cause=row.cause,
        bearers=bearers,
        rulebook_version=version,
        lines=refund_lines(charge, due, bearers),
    )
