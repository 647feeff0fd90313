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

INVARIANTS: Final = (
    Invariant(
        name="number_standing_true",
        promise="What a decision reads of a number is what the number's own tables say",
        statement=STANDING,
    ),
)
