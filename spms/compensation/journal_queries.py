"""The book's statements: `journal_entry`, `posting`, `journal_head`, snapshots.

A chain is one number's entries, or one SP's (`sp:` and its id) for what concerns no number.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from spms.compensation.accounts import Account
from spms.compensation.journal_model import Damage, Drift, Entry, Head, Linked
from spms.core.db import Connection, many

BEGIN_HEADS = """
    INSERT INTO journal_head (msisdn, seq, sha256, at)
    SELECT chain, 0, ''::bytea, $2 FROM (SELECT DISTINCT unnest($1::text[]) AS chain) c
     ORDER BY chain
    ON CONFLICT DO NOTHING RETURNING msisdn
"""
HOLD_HEADS = """
    SELECT msisdn, seq, sha256 FROM journal_head WHERE msisdn = ANY($1::text[])
     ORDER BY msisdn FOR UPDATE
"""


async def hold_heads(tx: Connection, chains: list[str], now: datetime) -> dict[str, Head]:
    """Take the ends of chains for this transaction, in the order of their names; return them."""
    rows = await tx.fetch(BEGIN_HEADS, chains, now)
    heads = {row["msisdn"]: Head(seq=0, sha256=b"") for row in rows}
    if there := [chain for chain in chains if chain not in heads]:
        for row in await tx.fetch(HOLD_HEADS, there):
            heads[row["msisdn"]] = Head(seq=row["seq"], sha256=row["sha256"])
    return heads


POST = """
    WITH entered AS (
        INSERT INTO journal_entry (msisdn, id, seq, kind, charge_id, reverses, lines, amount_fen,
                                   at, actor, prev_sha256, sha256)
        SELECT msisdn, id, seq, kind, charge_id, reverses, lines, amount_fen, $1, $2, prev, sha
          FROM unnest($3::text[], $4::uuid[], $5::bigint[], $6::text[], $7::uuid[], $8::uuid[],
                      $9::smallint[], $10::bigint[], $11::bytea[], $12::bytea[])
            AS e (msisdn, id, seq, kind, charge_id, reverses, lines, amount_fen, prev, sha)
    ), booked AS (
        INSERT INTO posting (msisdn, id, entry_id, line_no, of_lines, debit, credit, sp_id,
                             amount_fen, reason, charge_id, reverses, at, actor)
        SELECT msisdn, id, entry_id, line_no, of_lines, debit, credit, sp_id, amount_fen, reason,
               charge_id, reverses, $1, $2
          FROM unnest($13::text[], $14::uuid[], $15::uuid[], $16::smallint[], $17::smallint[],
                      $18::text[], $19::text[], $20::uuid[], $21::bigint[], $22::text[],
                      $23::uuid[], $24::uuid[])
            AS l (msisdn, id, entry_id, line_no, of_lines, debit, credit, sp_id, amount_fen,
                  reason, charge_id, reverses)
    )
    UPDATE journal_head h SET seq = c.seq, sha256 = c.sha, at = $1
      FROM unnest($25::text[], $26::bigint[], $27::bytea[]) AS c (msisdn, seq, sha)
     WHERE h.msisdn = c.msisdn
"""


# A plan kept from single entries joins row by row, which is a hundred times slower for hundreds.
FOR_SETS = """
    SELECT set_config('plan_cache_mode', 'force_custom_plan', true),
           set_config('jit', 'off', true), set_config('work_mem', '32MB', true)
"""


async def plan_for_sets(tx: Connection) -> None:
    """Have statements planned for the rows they are given, until the transaction ends."""
    await tx.execute(FOR_SETS)


async def post(tx: Connection, linked: Sequence[Linked], *, now: datetime, actor: str) -> None:
    """Append entries with their lines to the chains whose heads are held."""
    drafts = [one.draft for one in linked]
    lines = [(draft, n, line) for draft in drafts for n, line in enumerate(draft.lines, 1)]
    ends = {one.draft.msisdn: one.after for one in linked}
    await tx.execute(
        POST,
        now,
        actor,
        [draft.msisdn for draft in drafts],
        [draft.id for draft in drafts],
        [one.after.seq for one in linked],
        [draft.kind for draft in drafts],
        [draft.charge_id for draft in drafts],
        [draft.reverses for draft in drafts],
        [len(draft.lines) for draft in drafts],
        [one.amount_fen for one in linked],
        [one.before.sha256 for one in linked],
        [one.after.sha256 for one in linked],
        [draft.msisdn for draft, _, _ in lines],
        [line.id for _, _, line in lines],
        [draft.id for draft, _, _ in lines],
        [n for _, n, _ in lines],
        [len(draft.lines) for draft, _, _ in lines],
        [line.debit for _, _, line in lines],
        [line.credit for _, _, line in lines],
        [line.sp_id for _, _, line in lines],
        [line.amount_fen for _, _, line in lines],
        [line.reason for _, _, line in lines],
        [draft.charge_id for draft, _, _ in lines],
        [line.reverses for _, _, line in lines],
        list(ends),
        [end.seq for end in ends.values()],
        [end.sha256 for end in ends.values()],
    )


# What a charge was refunded together with others.
_JOINTS = "ARRAY(SELECT joint_id FROM claim WHERE msisdn = $1 AND charge_id = $3)"
ENTRY = f"""
    SELECT e.msisdn, e.id, e.seq, e.kind, e.charge_id, e.reverses, e.amount_fen, e.at, e.actor,
           (SELECT jsonb_agg(jsonb_build_object(
                       'id', p.id, 'debit', p.debit, 'credit', p.credit, 'sp_id', p.sp_id,
                       'amount_fen', p.amount_fen, 'reason', p.reason, 'reverses', p.reverses)
                       ORDER BY p.line_no)
              FROM posting p WHERE p.msisdn = e.msisdn AND p.entry_id = e.id) AS lines
      FROM journal_entry e
     WHERE e.msisdn = $1 AND ($2::uuid IS NULL OR e.id = $2)
       AND ($3::uuid IS NULL OR e.charge_id = $3
            OR e.id = ANY(ARRAY(SELECT id FROM payout WHERE msisdn = $1 AND joint_id = ANY({_JOINTS})))
            OR e.id = ANY({_JOINTS}))
     ORDER BY e.seq
"""


async def entries(
    read: Connection, msisdn: str, *, entry_id: UUID | None = None, charge_id: UUID | None = None
) -> list[Entry]:
    """Load the entries of one chain in their order, narrowed to one entry or to one charge's."""
    return many(Entry, await read.fetch(ENTRY, msisdn, entry_id, charge_id))


REVERSED = "SELECT EXISTS (SELECT FROM journal_entry WHERE msisdn = $1 AND reverses = $2)"


async def is_reversed(read: Connection, msisdn: str, entry_id: UUID) -> bool:
    """Tell whether an entry has been taken back."""
    found: bool = await read.fetchval(REVERSED, msisdn, entry_id)
    return found


NEXT_EDGE = """
    SELECT msisdn FROM journal_entry WHERE msisdn > $1 ORDER BY msisdn OFFSET $2 LIMIT 1
"""


async def next_edge(read: Connection, after: str, entries: int) -> str | None:
    """Return the chain that ends the next stretch of so many entries; null: fewer are left."""
    edge: str | None = await read.fetchval(NEXT_EDGE, after, entries)
    return edge


# Small stretches of two streams in the order of their keys: what was compiled, or spread over
# workers, would cost more than it saves. Each table has the bounds of the stretch for itself: a join
# does not hand them on, and would read every table from its beginning for every stretch.
FOR_STREAMS = """
    SELECT set_config('jit', 'off', true), set_config('work_mem', '64MB', true),
           set_config('max_parallel_workers_per_gather', '0', true),
           set_config('plan_cache_mode', 'force_custom_plan', true)
"""
VERIFY = """
    WITH entry AS (
        SELECT e.*, lag(e.seq, 1, 0::bigint) OVER w AS seq_before,
               lag(e.sha256, 1, ''::bytea) OVER w AS sha_before,
               lead(e.seq) OVER w IS NULL AS last
          FROM journal_entry e
         WHERE e.msisdn > $1 AND ($2::text IS NULL OR e.msisdn <= $2)
        WINDOW w AS (PARTITION BY e.msisdn ORDER BY e.seq)
    ), told AS (
        SELECT p.msisdn, p.entry_id, count(*) AS lines,
               bool_or(p.at IS DISTINCT FROM e.at OR p.actor IS DISTINCT FROM e.actor
                       OR p.of_lines IS DISTINCT FROM e.lines
                       OR p.charge_id IS DISTINCT FROM e.charge_id) AS differs,
               string_agg(journal_line(p.id, p.debit, p.credit, p.sp_id, p.amount_fen, p.reason,
                                       p.reverses), ',' ORDER BY p.line_no) AS text
          FROM posting p
          LEFT JOIN journal_entry e ON e.msisdn = p.msisdn AND e.id = p.entry_id
                                   AND e.msisdn > $1 AND ($2::text IS NULL OR e.msisdn <= $2)
         WHERE p.msisdn > $1 AND ($2::text IS NULL OR p.msisdn <= $2)
         GROUP BY p.msisdn, p.entry_id
    ), looked AS (
        SELECT COALESCE(e.msisdn, t.msisdn) AS msisdn, e.seq,
               COALESCE(e.id, t.entry_id) AS entry_id,
               array_remove(ARRAY[
                   CASE WHEN e.id IS NULL THEN 'lines_without_entry' END,
                   CASE WHEN e.seq <> e.seq_before + 1 THEN 'entry_missing_before' END,
                   CASE WHEN e.prev_sha256 <> e.sha_before THEN 'link_broken' END,
                   CASE WHEN t.differs OR t.lines IS DISTINCT FROM e.lines THEN 'lines_altered' END,
                   CASE WHEN e.sha256 <> journal_link(
                            e.prev_sha256, e.msisdn, e.seq, e.id, e.kind, e.charge_id, e.reverses,
                            e.amount_fen, e.at, COALESCE(t.text, ''), e.actor) THEN 'altered' END,
                   CASE WHEN e.last AND (h.seq IS DISTINCT FROM e.seq
                                         OR h.sha256 IS DISTINCT FROM e.sha256)
                        THEN 'end_missing' END
               ], NULL) AS problems
          FROM entry e
          FULL JOIN told t ON t.msisdn = e.msisdn AND t.entry_id = e.id
          LEFT JOIN journal_head h ON h.msisdn = e.msisdn AND e.last
                                  AND h.msisdn > $1 AND ($2::text IS NULL OR h.msisdn <= $2)
    )
    SELECT msisdn, seq, entry_id, problems FROM looked WHERE cardinality(problems) > 0
    UNION ALL
    SELECT h.msisdn, h.seq, NULL, ARRAY['end_missing']
      FROM journal_head h
     WHERE h.msisdn > $1 AND ($2::text IS NULL OR h.msisdn <= $2) AND h.seq > 0
       AND NOT EXISTS (SELECT FROM journal_entry e
                        WHERE e.msisdn = h.msisdn
                          AND e.msisdn > $1 AND ($2::text IS NULL OR e.msisdn <= $2))
     ORDER BY 1, 2
"""


COUNT = """
    SELECT (SELECT count(*) FROM journal_entry
             WHERE msisdn > $1 AND ($2::text IS NULL OR msisdn <= $2))
         + (SELECT count(*) FROM posting WHERE msisdn > $1 AND ($2::text IS NULL OR msisdn <= $2))
"""


async def verify(read: Connection, after: str, until: str | None) -> tuple[int, list[Damage]]:
    """Hash again every entry of the chains in (after, until] and name each that is not as it was.

    `until` null means to the end. Returns with them how many rows those are.
    """
    await read.execute(FOR_STREAMS)
    damaged = many(Damage, await read.fetch(VERIFY, after, until))
    rows: int = await read.fetchval(COUNT, after, until)
    return rows, damaged


HEADS = "SELECT msisdn AS subject, seq, sha256 AS hash, at FROM journal_head WHERE seq > 0"
ENTRIES = "SELECT msisdn AS subject, seq, sha256 AS hash FROM journal_entry"


BALANCE = """
    WITH known AS (
        SELECT until_at, debit_fen - credit_fen AS fen FROM balance_snapshot
         WHERE sp_id = $1 AND account = $2 ORDER BY until_at DESC LIMIT 1)
    SELECT COALESCE((SELECT fen FROM known), 0) + COALESCE(sum(
               CASE WHEN debit = $2 THEN amount_fen ELSE -amount_fen END), 0)::bigint
      FROM posting
     WHERE sp_id = $1 AND (debit = $2 OR credit = $2)
       AND at >= COALESCE((SELECT until_at FROM known), '-infinity')
"""


async def balance(read: Connection, sp_id: UUID, account: Account) -> int:
    """Return debits less credits of one SP on an account, in fen."""
    fen: int = await read.fetchval(BALANCE, sp_id, account)
    return fen


SNAPSHOT = """
    INSERT INTO balance_snapshot (sp_id, account, until_at, debit_fen, credit_fen)
    SELECT sp_id, account, $1, sum(debit_fen)::bigint, sum(credit_fen)::bigint
      FROM (SELECT sp_id, debit AS account, amount_fen AS debit_fen, 0 AS credit_fen
              FROM posting WHERE at < $1 AND sp_id IS NOT NULL
            UNION ALL
            SELECT sp_id, credit, 0, amount_fen
              FROM posting WHERE at < $1 AND sp_id IS NOT NULL) leg
     GROUP BY sp_id, account
    ON CONFLICT DO NOTHING
"""


async def snapshot(tx: Connection, until: datetime) -> int:
    """Sum up what was booked before an instant; return how many balances were kept."""
    status = await tx.execute(SNAPSHOT, until)
    return int(status.rsplit(" ", 1)[-1])


DRIFTS = """
    SELECT s.sp_id, s.account, s.until_at,
           s.debit_fen - s.credit_fen AS kept_fen,
           COALESCE(sum(CASE WHEN p.debit = s.account THEN p.amount_fen
                             ELSE -p.amount_fen END), 0)::bigint AS derived_fen
      FROM balance_snapshot s
      LEFT JOIN posting p ON p.sp_id = s.sp_id AND p.at < s.until_at
                         AND (p.debit = s.account OR p.credit = s.account)
     GROUP BY s.sp_id, s.account, s.until_at
    HAVING COALESCE(sum(p.amount_fen) FILTER (WHERE p.debit = s.account), 0) <> s.debit_fen
        OR COALESCE(sum(p.amount_fen) FILTER (WHERE p.credit = s.account), 0) <> s.credit_fen
"""


async def drifts(read: Connection) -> list[Drift]:
    """Make all snapshots again from the postings and return those that differ."""
    return many(Drift, await read.fetch(DRIFTS))
