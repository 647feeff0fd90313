"""The promises of this room as questions to the database; see `core.invariants`."""

from typing import Final

from spms.core.invariants import Invariant

FEW: Final = 1_000_000
"""So many charges are counted whole each time."""

# No index leads from a file to its charges: every charge that lands would pay for it. So charges are
# counted in one go, file by file. Where there are very many, those of files that came within two
# days of the newest, and all of them once in a hundred times, by chance. The hour is for the clocks of
# several processes, of which one may open a file and another land it.
FILES = f"""
    WITH looked AS (
        SELECT CASE WHEN sum(c.reltuples) < {FEW} OR random() < 0.01 THEN '-infinity'
                    ELSE (SELECT max(received_at) FROM charge_file) - interval '2 days'
                END AS since
          FROM pg_partition_tree('charge_record') t JOIN pg_class c ON c.oid = t.relid
         WHERE t.isleaf
    ), stored AS (
        SELECT file_id, count(*) AS charges
          FROM charge_record
         WHERE file_id IS NOT NULL
           AND received_at >= (SELECT since FROM looked) - interval '1 hour'
         GROUP BY file_id
    )
    SELECT f.id::text AS id
      FROM charge_file f LEFT JOIN stored s ON s.file_id = f.id
     WHERE f.received_at >= (SELECT since FROM looked)
       AND (f.landed <> COALESCE(s.charges, 0)
            OR f.quarantined <> (SELECT count(*) FROM charge_quarantine q WHERE q.file_id = f.id))
    UNION ALL
    SELECT s.file_id::text FROM stored s
     WHERE NOT EXISTS (SELECT FROM charge_file f WHERE f.id = s.file_id)
"""

INVARIANTS: Final = (
    Invariant(
        name="charge_files_true",
        promise="As many of a file's lines landed and were quarantined as its counters say",
        statement=FILES,
    ),
)
