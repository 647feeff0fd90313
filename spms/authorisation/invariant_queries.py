"""The promises of this room as questions to the database; see `core.invariants`."""

from typing import Final

from spms.core.invariants import Invariant

# Each costs some 60 µs. Where there are very many, a hundredth of them is looked at, by chance.
STANDING = """
    SELECT COALESCE((SELECT max(e.id::text) FROM number_event e WHERE e.msisdn = d.msisdn),
                    'a number without events') AS id
      FROM number_standing_due d JOIN number_standing k ON k.msisdn = d.msisdn
     WHERE ((SELECT reltuples < 100000 FROM pg_class WHERE oid = 'number_standing'::regclass)
            OR random() < 0.01)
       AND k.body <> d.body
    UNION ALL
    SELECT e.id::text FROM number_event e
     WHERE NOT EXISTS (SELECT FROM number_standing k WHERE k.msisdn = e.msisdn)
"""

# What was counted on the last three days on which anything was allowed, beside the decisions on record.
# On a day on which the SP's first quota began, what went before it was not counted.
QUOTA = """
    WITH newest AS (
        SELECT DISTINCT ON (sp_id) sp_id, month, by_day,
               (second AT TIME ZONE 'Asia/Shanghai')::date AS last
          FROM sp_quota_use WHERE second IS NOT NULL ORDER BY sp_id, month DESC
    ), counted AS (
        SELECT n.sp_id, d::date AS day, n.by_day[extract(day FROM d)::integer] AS messages,
               d AT TIME ZONE 'Asia/Shanghai' AS starts_at,
               (d + interval '1 day') AT TIME ZONE 'Asia/Shanghai' AS ends_at
          FROM newest n
         CROSS JOIN generate_series(GREATEST(n.month, n.last - 2)::timestamp, n.last::timestamp,
                                    interval '1 day') d
    )
    SELECT c.sp_id || ' ' || c.day AS id
      FROM counted c
     CROSS JOIN LATERAL (
           SELECT COALESCE(sum(p.decisions - cardinality(p.denied)), 0)::bigint AS messages
             FROM decision_pack p
            WHERE p.sp_id = c.sp_id AND p.decided_at >= c.starts_at AND p.decided_at < c.ends_at) r
     WHERE c.messages > r.messages
        OR (c.messages < r.messages
            AND EXISTS (SELECT FROM sp_quota q
                         WHERE q.sp_id = c.sp_id AND q.effective_from <= c.starts_at))
"""

# The same for what a holder's month has come to. Of very many a hundredth is looked at, by chance.
MONTHS = """
    SELECT 'a holder in ' || k.month || ', decision ' || COALESCE(s.last, 'none') AS id
      FROM month_spend k
     CROSS JOIN LATERAL (
           SELECT COALESCE(sum(a.price_fen), 0)::bigint AS fen, max(a.id::text) AS last
             FROM authorisation a
             LEFT JOIN reservation r ON r.msisdn = a.msisdn AND r.id = a.id
            WHERE a.msisdn = k.msisdn AND a.allowed AND a.purpose = 'charge'
              AND a.decided_at >= k.month::timestamp AT TIME ZONE 'Asia/Shanghai'
              AND a.decided_at < (k.month + interval '1 month') AT TIME ZONE 'Asia/Shanghai'
              AND (a.facts -> 'number' ->> 'epoch')::integer = k.epoch
              AND (r.state IS NULL OR r.state IN ('reserved', 'captured'))) s
     WHERE ((SELECT reltuples < 100000 FROM pg_class WHERE oid = 'month_spend'::regclass)
            OR random() < 0.01)
       AND (k.total_fen <> s.fen
            OR k.total_fen <> (SELECT COALESCE(sum(value::bigint), 0)
                                 FROM jsonb_each_text(k.by_service)))
"""

RESERVED = """
    SELECT r.id::text AS id FROM reservation r
     WHERE NOT EXISTS (SELECT FROM authorisation a
                        WHERE a.msisdn = r.msisdn AND a.decided_at = r.reserved_at AND a.id = r.id)
"""

INVARIANTS: Final = (
    Invariant(
        name="number_standing_true",
        promise="What a decision reads of a number is what the number's own tables say",
        statement=STANDING,
    ),
    Invariant(
        name="quota_use_true",
        promise="What an SP was counted to have sent is what it was allowed to, decision by decision",
        statement=QUOTA,
    ),
    Invariant(
        name="month_spend_true",
        promise="What a holder's month has come to is the sum of the charges allowed and not given back",
        statement=MONTHS,
    ),
    Invariant(
        name="no_reservation_without_decision",
        promise="A reservation is a decision on record, of its number and its instant",
        statement=RESERVED,
    ),
)
