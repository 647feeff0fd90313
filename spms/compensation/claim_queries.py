"""Claims and refunds as they are shown: to the subscriber, the SP, the officer. Writes nothing."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from spms.compensation.model import Claim, ClaimRow, Refund
from spms.core.db import Connection, many


class Before(NamedTuple):
    """Sort key of the last row seen, newest first."""

    at: datetime
    id: UUID


CLAIMS = """
    SELECT k.id, k.charge_id, k.charged_at, s.name AS service_name, sp.name AS sp_name, k.source,
           k.reason, k.state, k.charged_fen, k.due_fen, k.opened_at,
           COALESCE((SELECT sum(r.amount_fen) FROM refund r
                      WHERE r.msisdn = k.msisdn AND r.charge_id = k.charge_id
                        AND r.claim_id = k.id), 0)::bigint AS refunded_fen,
           k.charged_fen - COALESCE((SELECT max(t.principal_fen) FROM refund_total t
                                      WHERE t.msisdn = k.msisdn AND t.charge_id = k.charge_id), 0)
               AS remaining_fen,
           ARRAY(SELECT f.kind FROM charge_finding f
                  WHERE f.msisdn = k.msisdn AND f.charge_id = k.charge_id
                  ORDER BY f.kind) AS findings,
           CASE WHEN k.state = 'stands' AND b.id IS NOT NULL THEN
               jsonb_build_object(
                   'subscription_id', v.subscription_id, 'requested_at', b.requested_at,
                   'request_text', b.request_text,
                   'prompt_text', v.prompt_text, 'reply_text', v.reply_text,
                   'confirmed_at', v.given_at, 'agreed_fen', v.price_fen)
           END AS proof
      FROM claim k
      JOIN number n ON n.msisdn = k.msisdn AND k.charged_at >= n.epoch_since
      JOIN charge_record c
        ON c.msisdn = k.msisdn AND c.charged_at = k.charged_at AND c.id = k.charge_id
      JOIN service s ON s.id = c.service_id
      JOIN sp ON sp.id = k.sp_id
      LEFT JOIN consent v ON v.msisdn = c.msisdn AND v.subscription_id = c.consent_id
      LEFT JOIN subscription b ON b.msisdn = v.msisdn AND b.id = v.subscription_id
           AND b.epoch = n.epoch
     WHERE k.msisdn = $1
       AND ($2::uuid IS NULL OR k.id = $2)
       AND ($3::uuid IS NULL OR (k.charge_id = $3 AND k.state = 'refunded'))
       AND ($4::integer IS NULL OR n.epoch = $4)
       AND ($5::timestamptz IS NULL OR (k.opened_at, k.id) < ($5, $6::uuid))
     ORDER BY k.opened_at DESC, CASE WHEN $3 IS NOT NULL THEN k.round END DESC, k.id DESC
     LIMIT $7
"""


async def claims(
    read: Connection,
    msisdn: str,
    *,
    claim_id: UUID | None = None,
    refunded_charge_id: UUID | None = None,
    epoch: int | None = None,
    before: Before | None = None,
    limit: int = 1,
) -> list[Claim]:
    """Load claims about charges of the number's present holder, newest first.

    Narrowed to one claim, to the claim that refunded one charge, or to nothing at all when the
    number has moved on from `epoch`.
    """
    at, last = before or (None, None)
    rows = await read.fetch(CLAIMS, msisdn, claim_id, refunded_charge_id, epoch, at, last, limit)
    return many(Claim, rows)


REFUNDS = """
    SELECT k.id AS claim_id, k.charge_id, k.charged_at, s.name AS service_name,
           sp.name AS sp_name, k.source, k.charged_fen, k.due_fen,
           COALESCE(p.amount_fen, 0) AS principal_fen,
           COALESCE(d.amount_fen, 0) AS compensation_fen,
           k.opened_at AS refunded_at,
           ARRAY(SELECT f.kind FROM charge_finding f
                  WHERE f.msisdn = k.msisdn AND f.charge_id = k.charge_id
                  ORDER BY f.kind) AS findings
      FROM claim k
      JOIN number n ON n.msisdn = k.msisdn AND k.charged_at >= n.epoch_since
      LEFT JOIN refund p ON p.msisdn = k.msisdn AND p.charge_id = k.charge_id
                        AND p.kind = 'principal' AND p.round = k.round
      LEFT JOIN refund d ON d.msisdn = k.msisdn AND d.charge_id = k.charge_id
                        AND d.kind = 'compensation' AND d.round = k.round
      JOIN charge_record c
        ON c.msisdn = k.msisdn AND c.charged_at = k.charged_at AND c.id = k.charge_id
      JOIN service s ON s.id = c.service_id
      JOIN sp ON sp.id = k.sp_id
     WHERE k.msisdn = $1 AND k.state = 'refunded'
       AND ($2::integer IS NULL OR n.epoch = $2)
       AND ($3::timestamptz IS NULL OR (k.opened_at, k.id) < ($3, $4::uuid))
     ORDER BY k.opened_at DESC, k.id DESC
     LIMIT $5
"""


async def refunds(
    read: Connection, msisdn: str, *, epoch: int | None, before: Before | None, limit: int
) -> list[Refund]:
    """Load the refunds of charges of the number's present holder, newest first."""
    at, last = before or (None, None)
    return many(Refund, await read.fetch(REFUNDS, msisdn, epoch, at, last, limit))


CLAIM_ROWS = """
    SELECT k.id, k.msisdn, c.epoch, k.charge_id, c.record_id, k.charged_at, k.sp_id, c.service_id,
           k.source, k.reason, k.state, k.charged_fen, k.due_fen, k.opened_at,
           COALESCE((SELECT sum(r.amount_fen) FROM refund r
                      WHERE r.msisdn = k.msisdn AND r.charge_id = k.charge_id
                        AND r.claim_id = k.id), 0)::bigint AS refunded_fen,
           k.rulebook_version,
           ARRAY(SELECT f.kind FROM charge_finding f
                  WHERE f.msisdn = k.msisdn AND f.charge_id = k.charge_id
                  ORDER BY f.kind) AS findings
      FROM (SELECT * FROM claim
             WHERE ($1::uuid IS NULL OR sp_id = $1)
               AND ($2::timestamptz IS NULL OR (opened_at, id) < ($2, $3::uuid))
             ORDER BY opened_at DESC, id DESC
             LIMIT $4) k
     CROSS JOIN LATERAL (
           SELECT record_id, service_id, holder_epoch(msisdn, charged_at, received_at) AS epoch
             FROM charge_record
            WHERE msisdn = k.msisdn AND charged_at = k.charged_at AND id = k.charge_id
           OFFSET 0) c
     ORDER BY k.opened_at DESC, k.id DESC
"""


async def claim_rows(
    read: Connection, *, sp_id: UUID | None, before: Before | None, limit: int
) -> list[ClaimRow]:
    """Load claims of one SP, or of all, newest first."""
    at, last = before or (None, None)
    return many(ClaimRow, await read.fetch(CLAIM_ROWS, sp_id, at, last, limit))
