"""Statements on finality, fines, apologies. Writes breach, breach_event, fine, apology, letters."""

from datetime import datetime
from uuid import UUID

import msgspec

from spms.core.db import Connection, changed, many
from spms.penalties.model import Breach
from spms.penalties.queries import BREACH

IMPOSE = """
    INSERT INTO fine (breach_id, sp_id, amount_fen, state, imposed_at)
    VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING
"""


async def impose(
    tx: Connection, breach_id: UUID, sp_id: UUID, amount_fen: int, *, suspended: bool, at: datetime
) -> None:
    """Impose a fine, once for a breach."""
    state = "suspended" if suspended else "due"
    await tx.execute(IMPOSE, breach_id, sp_id, amount_fen, state, at)


END = """
    UPDATE fine SET state = $2, ended_at = $3 WHERE breach_id = $1 AND state IN ('due', 'suspended')
"""


async def end(tx: Connection, breach_id: UUID, state: str, *, at: datetime) -> bool:
    """End a fine that is not collected; False when there is none."""
    return changed(await tx.execute(END, breach_id, state, at)) == 1


VOID_SUSPENDED = """
    UPDATE fine SET state = 'void', ended_at = $2 WHERE breach_id = $1 AND state = 'suspended'
"""


async def void_suspended(tx: Connection, breach_id: UUID, *, at: datetime) -> None:
    """Remit a fine that was suspended until the cure."""
    await tx.execute(VOID_SUSPENDED, breach_id, at)


FALL_DUE = "UPDATE fine SET state = 'due' WHERE breach_id = $1 AND state = 'suspended'"


async def fall_due(tx: Connection, breach_id: UUID) -> None:
    """Let a suspended fine fall due."""
    await tx.execute(FALL_DUE, breach_id)


SET_AMOUNT = """
    UPDATE fine SET amount_fen = $2, state = $3
     WHERE breach_id = $1 AND state IN ('due', 'suspended')
"""


async def set_amount(
    tx: Connection, breach_id: UUID, amount_fen: int, *, suspended: bool
) -> None:  # fmt: skip
    """Make a fine that of another grade."""
    await tx.execute(SET_AMOUNT, breach_id, amount_fen, "suspended" if suspended else "due")


IS_BOOKED = "SELECT true FROM fine WHERE breach_id = $1 AND state = 'collected'"


async def is_booked(read: Connection, breach_id: UUID) -> bool:
    """Tell whether a fine was collected."""
    return await read.fetchval(IS_BOOKED, breach_id) is not None


# The row is held from the look at its state to the commit: an appeal either came before and keeps
# it from becoming final, or comes after and finds it final.
MAKE_FINAL = """
    WITH over AS (
        SELECT id FROM breach
         WHERE state = 'effective' AND final_at IS NULL AND appeal_by <= $1
         ORDER BY appeal_by, id LIMIT $2 FOR UPDATE SKIP LOCKED
    ), made AS (
        UPDATE breach b SET final_at = $1 FROM over
         WHERE b.id = over.id AND b.state = 'effective' AND b.final_at IS NULL RETURNING b.id
    )
    INSERT INTO breach_event (breach_id, action, from_state, to_state, at, actor)
    SELECT id, 'final', 'effective', 'effective', $1, $3 FROM made RETURNING breach_id
"""


async def make_final(tx: Connection, *, now: datetime, actor: str, limit: int) -> int:
    """Make breaches final whose time to appeal is over without an appeal; return how many."""
    return len(await tx.fetch(MAKE_FINAL, now, limit, actor))


# Only of breaches that are final, which none with an open appeal can be (CHECK breach_final).
COLLECT = """
    WITH due AS (
        SELECT f.breach_id FROM fine f JOIN breach b ON b.id = f.breach_id
         WHERE f.state = 'due' AND b.final_at IS NOT NULL
         ORDER BY f.sp_id, f.breach_id LIMIT $2 FOR UPDATE OF b, f SKIP LOCKED
    )
    UPDATE fine f SET state = 'collected', ended_at = $1
      FROM due JOIN breach b ON b.id = due.breach_id
     WHERE f.breach_id = due.breach_id AND f.state = 'due' AND b.final_at IS NOT NULL
    RETURNING f.breach_id, f.sp_id, f.amount_fen
"""


class Collected(msgspec.Struct, frozen=True, kw_only=True):
    """A fine that is being collected."""

    breach_id: UUID
    sp_id: UUID
    amount_fen: int


async def collect(tx: Connection, *, now: datetime, limit: int) -> list[Collected]:
    """Take the fines that are due of final breaches."""
    rows = many(Collected, await tx.fetch(COLLECT, now, limit))
    return sorted(rows, key=lambda row: (row.sp_id, row.breach_id))


# Final breaches whose settlement cut was never imposed.
TO_CUT = (
    BREACH
    + """
     WHERE final_at IS NOT NULL AND source_kind <> 'linkage'
       AND NOT EXISTS (SELECT FROM restriction r
                        WHERE r.cause_kind = 'breach' AND r.measure = 'settlement_cut'
                          AND r.cause_id = breach.id || '/settlement_cut')
       AND final_at > $1::timestamptz - interval '31 days'
     ORDER BY final_at, id LIMIT $2
"""
)


async def to_cut(read: Connection, now: datetime, limit: int) -> list[Breach]:
    """List final breaches without their settlement cut."""
    return many(Breach, await read.fetch(TO_CUT, now, limit))


ORDER_APOLOGIES = """
    INSERT INTO apology (breach_id, ordered_at)
    SELECT id, $1 FROM breach
     WHERE final_at IS NOT NULL AND kind = ANY($2::text[]) AND cardinality(service_ids) > 0
       AND source_kind <> 'escalation'
       AND NOT EXISTS (SELECT FROM apology a WHERE a.breach_id = breach.id)
    ON CONFLICT DO NOTHING
"""


async def order_apologies(tx: Connection, kinds: list[str], *, now: datetime) -> int:
    """Order an apology for every final breach of a kind that asks for one."""
    return changed(await tx.execute(ORDER_APOLOGIES, now, kinds))


OPEN_APOLOGIES = """
    SELECT a.breach_id, sp.name AS sp_name, b.kind, b.service_ids, b.found_at
      FROM apology a JOIN breach b ON b.id = a.breach_id JOIN sp ON sp.id = b.sp_id
     WHERE a.done_at IS NULL AND ($1::uuid IS NULL OR a.breach_id >= $1)
     ORDER BY a.breach_id LIMIT 1
"""


class OpenApology(msgspec.Struct, frozen=True, kw_only=True):
    """An apology that not everybody has got yet."""

    breach_id: UUID
    sp_name: str
    kind: str
    service_ids: list[UUID]
    found_at: datetime


async def next_apology(read: Connection, since: UUID | None) -> OpenApology | None:
    """Return the first open apology, from a breach on."""
    rows = many(OpenApology, await read.fetch(OPEN_APOLOGIES, since))
    return rows[0] if rows else None


# Affected: who had the service when it was found, or got money back for it.
AFFECTED = """
    WITH affected AS (
        SELECT DISTINCT msisdn FROM (
            SELECT s.msisdn FROM subscription s
             WHERE s.service_id = ANY($2::uuid[]) AND s.active_from <= $3
               AND (s.ended_at IS NULL OR s.ended_at > $3) AND s.msisdn > $4
            UNION ALL
            SELECT c.msisdn FROM claim k
              JOIN charge_record c ON c.msisdn = k.msisdn AND c.id = k.charge_id
               AND c.charged_at = k.charged_at
             WHERE k.state = 'refunded' AND c.service_id = ANY($2::uuid[]) AND k.msisdn > $4
        ) any_of
         ORDER BY msisdn LIMIT $5
    ), written AS (
        INSERT INTO apology_letter (msisdn, breach_id, at)
        SELECT msisdn, $1, $6 FROM affected ON CONFLICT DO NOTHING RETURNING msisdn
    )
    SELECT a.msisdn, w.msisdn IS NOT NULL AS new
      FROM affected a LEFT JOIN written w ON w.msisdn = a.msisdn ORDER BY a.msisdn
"""


async def write_letters(
    tx: Connection, apology: OpenApology, after: str, *, limit: int, now: datetime
) -> list[tuple[str, bool]]:
    """Note the next affected numbers; return each with whether it had no letter yet."""
    rows = await tx.fetch(
        AFFECTED, apology.breach_id, apology.service_ids, apology.found_at, after, limit, now
    )
    return [(row["msisdn"], row["new"]) for row in rows]


APOLOGISED = "UPDATE apology SET done_at = $2 WHERE breach_id = $1 AND done_at IS NULL"


async def apologised(tx: Connection, breach_id: UUID, *, at: datetime) -> None:
    """Close an apology: everybody has it."""
    await tx.execute(APOLOGISED, breach_id, at)
