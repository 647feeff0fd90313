"""What one line of a bill rests on: findings, decisions, tariff, relation, consents. Writes nothing."""

from datetime import datetime
from uuid import UUID

import msgspec

from spms.charging.bill_model import (
    ConsentShown,
    DecisionShown,
    FindingShown,
    NoticeShown,
    RelationShown,
    RequestShown,
    TariffShown,
)
from spms.core.db import Connection, many, one

# Neither a subscriber nor an SP is told which of the operator's people it was; the row has it. A
# subscriber whose claim found it goes by her credential there, which would be the same for every SP.
FINDINGS = """
    SELECT kind, due_fen, found_at,
           CASE WHEN found_by LIKE 'staff:%' OR found_by LIKE 'subscriber:%'
                THEN split_part(found_by, ':', 1) ELSE found_by END AS found_by
      FROM charge_finding
     WHERE msisdn = $1 AND charge_id = $2 ORDER BY found_at, kind
"""


async def findings(read: Connection, msisdn: str, charge_id: UUID) -> list[FindingShown]:
    """Return what was found wrong with a charge, in the order in which it was found."""
    return many(FindingShown, await read.fetch(FINDINGS, msisdn, charge_id))


# The cited decision is always among them, it is asked for by id. But none about another holder of the
# number, as it is known now: neither is it hers to see, nor may it tie the one pseudonym to the other.
# A decision that was made before the change was told is about the former one's relation.
DECISIONS = """
    SELECT a.id, a.decided_at, a.allowed, a.reasons, a.price_fen,
           a.id = c.authorisation_id AS cited
      FROM charge_record c
     CROSS JOIN LATERAL (
           SELECT holder_epoch(c.msisdn, c.charged_at, 'infinity') AS epoch) holder
      JOIN LATERAL (
           (SELECT id, decided_at, allowed, reasons, price_fen, subscription_id FROM authorisation
             WHERE msisdn = $1 AND decided_at < $3::timestamptz + interval '1 second' AND decided_at > $3 - interval '31 days'
               AND service_id = c.service_id AND purpose = 'charge'
               AND holder_epoch($1, decided_at, 'infinity') IS NOT DISTINCT FROM holder.epoch
             ORDER BY decided_at DESC LIMIT 9)
           UNION
           (SELECT id, decided_at, allowed, reasons, price_fen, subscription_id FROM authorisation
             WHERE msisdn = $1 AND decided_at < $3::timestamptz + interval '1 second' AND decided_at > $3 - interval '31 days'
               AND holder_epoch($1, decided_at, 'infinity') IS NOT DISTINCT FROM holder.epoch
               AND id = c.authorisation_id)) a ON true
     WHERE c.msisdn = $1 AND c.charged_at = $3 AND c.id = $2
       AND NOT EXISTS (SELECT FROM subscription s
                        WHERE s.msisdn = $1 AND s.id = a.subscription_id
                          AND s.epoch IS DISTINCT FROM holder.epoch)
     ORDER BY a.decided_at DESC
"""


async def decisions(
    read: Connection, msisdn: str, charge_id: UUID, charged_at: datetime
) -> list[DecisionShown]:
    """Return the decisions before a charge about its number and service, latest first."""
    rows = await read.fetch(DECISIONS, msisdn, charge_id, charged_at)
    return [msgspec.convert({**row, "cited": bool(row["cited"])}, DecisionShown) for row in rows]


TARIFF = """
    SELECT t.id, t.version, t.price_fen, t.effective_from
      FROM charge_record c JOIN tariff t ON t.id = c.tariff_id
     WHERE c.msisdn = $1 AND c.charged_at = $3 AND c.id = $2
"""


async def tariff(
    read: Connection, msisdn: str, charge_id: UUID, charged_at: datetime
) -> TariffShown | None:
    """Return the tariff version recorded with a charge."""
    return one(TariffShown, await read.fetchrow(TARIFF, msisdn, charge_id, charged_at))


# What licenses the charge, or else what its finding names as over.
# Never a former holder's: neither the one an audit named, nor one that a charge cites because the
# change of owner became known after it.
RELATION = """
    SELECT s.id, s.active_from, s.ended_at, s.end_reason, s.channel, s.requested_at,
           s.request_text, n.version, n.sp_name, n.service_name, n.price_fen AS notice_fen,
           n.period, n.hotline, n.leave_command, k.kind, k.prompt_text, k.reply_text,
           k.price_fen AS agreed_fen, m.called, m.received_at
      FROM charge_record c
      JOIN subscription s ON s.msisdn = c.msisdn AND s.id = COALESCE(c.consent_id, (
           SELECT (f.detail ->> 'subscription_id')::uuid FROM charge_finding f
            WHERE f.msisdn = c.msisdn AND f.charge_id = c.id
              AND f.detail ->> 'subscription_id' IS NOT NULL LIMIT 1))
           AND s.epoch = holder_epoch(c.msisdn, c.charged_at, 'infinity')
      JOIN notice n ON n.id = s.notice_id
      LEFT JOIN consent k ON k.msisdn = s.msisdn AND k.subscription_id = s.id
      LEFT JOIN message_in m ON m.msisdn = k.msisdn AND m.received_at = k.message_received_at
           AND m.id = k.message_id
     WHERE c.msisdn = $1 AND c.charged_at = $3 AND c.id = $2
"""


async def relation(
    read: Connection, msisdn: str, charge_id: UUID, charged_at: datetime
) -> RelationShown | None:
    """Return the relation behind a charge with both consents, word for word."""
    row = await read.fetchrow(RELATION, msisdn, charge_id, charged_at)
    if row is None:
        return None
    consent = None
    if row["kind"] is not None:
        consent = ConsentShown(
            kind=row["kind"], prompt_text=row["prompt_text"], reply_text=row["reply_text"],
            called=row["called"], received_at=row["received_at"], price_fen=row["agreed_fen"],
        )  # fmt: skip
    return RelationShown(
        id=row["id"],
        active_from=row["active_from"],
        ended_at=row["ended_at"],
        end_reason=row["end_reason"],
        request=RequestShown(
            channel=row["channel"], requested_at=row["requested_at"], text=row["request_text"]
        ),
        notice=NoticeShown(
            version=row["version"], sp_name=row["sp_name"], service_name=row["service_name"],
            price_fen=row["notice_fen"], period=row["period"], hotline=row["hotline"],
            leave_command=row["leave_command"],
        ),
        consent=consent,
    )  # fmt: skip
