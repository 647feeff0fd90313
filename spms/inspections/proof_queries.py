"""Statements on the months' service proof and on the responsible persons' items."""

from datetime import date, datetime
from uuid import UUID

import msgspec

from spms.core.db import Connection, many
from spms.core.workdays import CalendarRules
from spms.inspections.model import Candidate, Drawn
from spms.inspections.policy import InspectionRules
from spms.inspections.proof import ServiceProof
from spms.inspections.verdict import TIMER_SLACK_MS

# A telling call is one that was answered or failed on the SP's side; a verdict that rests on the
# calls (neither withdrawn nor given up) and is not bad lets its answered calls count for speed.
FIGURES = """
    WITH telling AS (
        SELECT i.sp_id, i.hotline, i.reason IN ('answered', 'attempts_used') AS fair,
               c.outcome = 'answered' AND NOT c.other_party AS answered,
               COALESCE(c.ring_ms, 0) <= $4::bigint AS in_time,
               CASE WHEN extract(isodow FROM c.placed_at AT TIME ZONE 'Asia/Shanghai') <= 5
                    THEN (c.placed_at AT TIME ZONE 'Asia/Shanghai')::date <> ALL ($10::date[])
                    ELSE (c.placed_at AT TIME ZONE 'Asia/Shanghai')::date = ANY ($11::date[]) END
               AND (c.placed_at AT TIME ZONE 'Asia/Shanghai')::time >= $5::time
               AND (c.placed_at AT TIME ZONE 'Asia/Shanghai')::time < $6::time AS working
          FROM inspection_item i JOIN hotline_call c ON c.item_id = i.id
         WHERE i.kind = 'hotline' AND i.state = 'judged'
           AND i.judged_at >= $2 AND i.judged_at < $3
           AND i.reason NOT IN ('withdrawn', 'change_requested')
           AND c.state = 'finished'
           AND c.outcome IN ('answered', 'busy', 'no_answer', 'number_changed', 'unallocated',
                             'rejected')
           AND NOT EXISTS (SELECT FROM service_proof p WHERE p.sp_id = i.sp_id AND p.month = $1)
    )
    SELECT sp_id, $1::date AS month,
           count(DISTINCT hotline) AS lines,
           count(DISTINCT hotline) FILTER (WHERE answered) AS lines_answered,
           count(*) FILTER (WHERE working) AS working_calls,
           count(*) FILTER (WHERE working AND answered) AS working_answered,
           count(*) FILTER (WHERE NOT working) AS other_calls,
           count(*) FILTER (WHERE NOT working AND answered) AS other_answered,
           count(*) FILTER (WHERE fair AND answered) AS answered,
           count(*) FILTER (WHERE fair AND answered AND in_time) AS in_time,
           $7::integer AS answer_seconds, $8::integer AS answer_percent,
           false AS too_slow, $9::timestamptz AS summed_at
      FROM telling GROUP BY sp_id ORDER BY sp_id
"""


async def figures(
    read: Connection,
    month: date,
    between: tuple[datetime, datetime],
    rules: InspectionRules,
    *,
    calendar: CalendarRules,
    now: datetime,
) -> list[ServiceProof]:
    """Sum up a month of every SP that has none yet; `too_slow` is for the caller to say."""
    rows = await read.fetch(
        FIGURES, month, *between, 1_000 * rules.answer_seconds + TIMER_SLACK_MS,
        rules.work_begins, rules.work_ends, rules.answer_seconds, rules.answer_percent, now,
        calendar.days_off, calendar.days_worked,
    )  # fmt: skip
    return many(ServiceProof, rows)


ADD = """
    INSERT INTO service_proof (sp_id, month, lines, lines_answered, working_calls,
           working_answered, other_calls, other_answered, answered, in_time, answer_seconds,
           answer_percent, too_slow, summed_at)
    SELECT sp_id, month, lines, lines_answered, working_calls, working_answered, other_calls,
           other_answered, answered, in_time, answer_seconds, answer_percent, too_slow, summed_at
      FROM jsonb_populate_recordset(NULL::service_proof, $1)
    ON CONFLICT (sp_id, month) DO NOTHING
    RETURNING sp_id
"""


async def add(tx: Connection, months: list[ServiceProof]) -> set[UUID]:
    """Store SPs' months; return the SPs of which none was stored before."""
    rows = await tx.fetch(ADD, msgspec.to_builtins(months))
    return {row["sp_id"] for row in rows}


PROOFS = """
    SELECT sp_id, month, lines, lines_answered, working_calls, working_answered, other_calls,
           other_answered, answered, in_time, answer_seconds, answer_percent, too_slow, summed_at
      FROM service_proof
     WHERE ($1::uuid IS NULL OR sp_id = $1)
       AND ($2::date IS NULL OR (month, sp_id) < ($2, $3::uuid))
     ORDER BY month DESC, sp_id DESC LIMIT $4
"""


async def proofs(
    read: Connection, sp_id: UUID | None, before: tuple[date, UUID] | None, limit: int
) -> list[ServiceProof]:
    """List months, the latest first; of one SP or of all."""
    return many(ServiceProof, await read.fetch(PROOFS, sp_id, *(before or (None, None)), limit))


NOT_CALLED = """
    SELECT sp.id AS sp_id, substr(sp.responsible_mobile, 3) AS number FROM sp
     WHERE sp.status = 'active' AND sp.responsible_mobile IS NOT NULL
       AND NOT EXISTS (SELECT FROM inspection_item i WHERE i.sp_id = sp.id AND i.quarter = $1)
     ORDER BY sp.id
"""


async def not_called(read: Connection, quarter: date) -> list[Candidate]:
    """List responsible persons of active SPs not drawn in a quarter, by number without the 86."""
    return many(Candidate, await read.fetch(NOT_CALLED, quarter))


ADD_PERSONS = """
    INSERT INTO inspection_item
        (id, plan_id, sp_id, hotline, caller_offset, state, kind, quarter)
    SELECT id, $1, sp_id, number, caller_offset, 'open', 'responsible', $2
      FROM unnest($3::uuid[], $4::uuid[], $5::text[], $6::integer[])
           AS drawn (id, sp_id, number, caller_offset)
"""


async def add_persons(
    tx: Connection, plan_id: UUID, quarter: date, ids: list[UUID], drawn: list[Drawn]
) -> None:
    """Store the responsible persons that a plan drew; no SP's twice in a quarter."""
    await tx.execute(
        ADD_PERSONS, plan_id, quarter, ids, [one.sp_id for one in drawn],
        [one.number for one in drawn], [one.caller_offset for one in drawn],
    )  # fmt: skip
