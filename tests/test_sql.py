"""The schema keeps the house's rules, and every statement in the code fits it."""

import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import asyncpg

from spms.charging import staging_queries
from spms.compensation import journal
from spms.core.roles import APP_ROLE, login_role
from spms.inspections import call_log

ROOT = Path(__file__).parent.parent
VERB = re.compile(
    r"\s*(?:--[^\n]*\n\s*)*"
    r"(?:SELECT|INSERT INTO \w+|UPDATE \w+|DELETE FROM \w+|MERGE INTO|WITH \w+)\s"
)

APPEND_ONLY = {
    "audit_log", "number_correction", "sp_event", "service_event", "tariff", "subscription_event",
    "consent", "authorisation", "decision_pack", "order_use", "charge_quarantine", "charge_key", "charge_record",
    "charge_finding", "claim", "posting", "breach_event", "point_entry", "rulebook",
    "chain_start", "chain_entry", "signing_key", "anchor", "anchor_leaf", "anchor_signature",
    "journal_entry", "balance_snapshot",
    "settlement_figure", "settlement_report", "settlement_report_number", "settlement_statement",
    "settlement_step", "settlement_event", "settlement_lock", "settlement_use",
    "settlement_payment", "reconciliation_count", "sp_quota",
}  # fmt: skip
"""Evidence and money: what is written there stays as it was written."""

MAY_BE_FORGOTTEN = {
    "access_token", "sign_in_failure", "idempotency", "job_slot", "message_receipt",
    "one_time_code_request", "one_time_code", "outbox", "webhook_attempt", "event_feed_read", "message_in_key", "message_in_part", "message_in_stray", "message_in_unproven",
    "message_out_part",
    "mass_correction_charge",
}  # fmt: skip
"""The only tables that lose rows: what nobody needs after its time."""

TABLES = """
    SELECT c.oid::regclass::text AS name,
           EXISTS (SELECT FROM pg_constraint p WHERE p.conrelid = c.oid AND p.contype = 'p')
               AS keyed,
           has_any_column_privilege('spms_app', c.oid, 'UPDATE') AS may_update,
           has_table_privilege('spms_app', c.oid, 'DELETE') AS may_delete,
           has_table_privilege('spms_app', c.oid, 'TRUNCATE') AS may_truncate,
           pg_get_userbyid(c.relowner) AS owner
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT c.relispartition
"""
KEYS = """
    SELECT i.indrelid::regclass::text AS of_table, i.indisprimary AS primary_key,
           i.indexrelid::regclass::text AS name,
           ARRAY(SELECT a.attname::text FROM pg_attribute a
                  WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)) AS columns
      FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
      JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = 'public' AND i.indisunique AND NOT c.relispartition
"""
REFERENCES = """
    SELECT conname AS name, conrelid::regclass::text AS from_table,
           confrelid::regclass::text AS to_table
      FROM pg_constraint c JOIN pg_class r ON r.oid = c.conrelid
     WHERE contype = 'f' AND NOT r.relispartition
"""


def statements() -> Iterator[tuple[str, str]]:
    """Return the name and text of every statement that is a constant of a module."""
    for path in sorted([*(ROOT / "spms").rglob("*.py"), *(ROOT / "jobs").rglob("*.py")]):
        if not re.search(
            r'^[A-Z][A-Z0-9_]* (?:: [^=]+)?= f?"', path.read_text("utf-8"), re.MULTILINE
        ):
            continue
        module = path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
        for name, value in vars(importlib.import_module(module)).items():
            if not (name.isupper() and isinstance(value, str) and VERB.match(value)):
                continue
            if "{heads}" in value or "{entries}" in value:  # asked of each room's chains
                for chains in (journal.CHAINS, call_log.CHAINS):
                    text = value.format(heads=chains.heads, entries=chains.entries)
                    yield f"{module}.{name} of {chains.name}", text
            else:
                yield f"{module}.{name}", value


STATEMENTS = dict(statements())


async def test_every_statement_can_be_prepared(owner: asyncpg.Connection) -> None:
    """A typing error in a statement is found here, not by the first subscriber who needs it."""
    assert len(STATEMENTS) > 100
    await owner.execute(staging_queries.STAGE)  # some statements are about its temporary tables
    wrong = {}
    for name, text in STATEMENTS.items():
        try:
            await owner.prepare(text)
        except asyncpg.PostgresError as error:
            wrong[name] = str(error)
    assert wrong == {}


async def test_every_table_has_a_primary_key(owner: asyncpg.Connection) -> None:
    """A row without a name cannot be cited, moved or replicated."""
    assert [row["name"] for row in await owner.fetch(TABLES) if not row["keyed"]] == []


async def test_every_unique_key_of_a_per_number_table_has_the_number(
    owner: asyncpg.Connection,
) -> None:
    """Such a table can be spread over machines by number, and its promises still hold."""
    keys = await owner.fetch(KEYS)
    per_number = {
        row["of_table"] for row in keys if row["primary_key"] and "msisdn" in row["columns"]
    }
    assert {"subscription", "consent", "charge_record", "claim", "payout"} <= per_number
    wrong = {
        row["name"] for row in keys
        if row["of_table"] in per_number and "msisdn" not in row["columns"]
    }  # fmt: skip
    assert wrong == set()


async def test_no_plain_table_refers_to_a_per_number_table(owner: asyncpg.Connection) -> None:
    """A plain table lives on one machine; what it referred to may live on another."""
    keys = await owner.fetch(KEYS)
    per_number = {
        row["of_table"] for row in keys if row["primary_key"] and "msisdn" in row["columns"]
    }
    wrong = {
        row["name"] for row in await owner.fetch(REFERENCES)
        if row["to_table"] in per_number and row["from_table"] not in per_number
    }  # fmt: skip
    assert wrong == set()


async def test_the_application_cannot_rewrite_history(owner: asyncpg.Connection) -> None:
    """Not even by a bug: evidence and money are added to, and the role has no right to more."""
    tables = {row["name"]: row for row in await owner.fetch(TABLES)}
    assert set(tables) >= APPEND_ONLY | MAY_BE_FORGOTTEN
    assert {name for name in APPEND_ONLY if tables[name]["may_update"]} == set()
    assert {name for name, row in tables.items() if row["may_delete"]} == MAY_BE_FORGOTTEN
    assert {name for name, row in tables.items() if row["may_truncate"]} == set()


async def test_the_application_owns_nothing(owner: asyncpg.Connection) -> None:
    """An owner can give itself every right back."""
    owned = await owner.fetch(
        "SELECT relname FROM pg_class WHERE pg_get_userbyid(relowner) = $1", APP_ROLE
    )
    assert owned == []
    login = login_role(await owner.fetchval("SELECT current_database()"))
    for role in (APP_ROLE, login):
        powers = await owner.fetchrow(
            """SELECT rolsuper, rolcreatedb, rolcreaterole, rolbypassrls, rolreplication,
                      has_schema_privilege(rolname, 'public', 'CREATE') AS creates
                 FROM pg_roles WHERE rolname = $1""",
            role,
        )
        assert powers is not None
        assert not any(powers.values())
