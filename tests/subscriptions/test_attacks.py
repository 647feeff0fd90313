"""What the application's own database role cannot do, however it is tricked."""

from datetime import timedelta
from typing import cast
from uuid import uuid4

import asyncpg
import pytest

from spms.compensation import journal
from spms.compensation.accounts import Account
from spms.compensation.journal_model import Draft, EntryLine
from spms.core import db
from spms.partners import event_feed, event_feed_queries
from spms.subscriptions import actions, duties
from spms.subscriptions.telling import tell_untold
from tests import make
from tests.subscriptions.world import World

REFUSED = (
    asyncpg.InsufficientPrivilegeError, asyncpg.IntegrityConstraintViolationError,
    asyncpg.FeatureNotSupportedError,  # an extension that this server does not even have
)  # fmt: skip

FORBIDDEN = (
    "UPDATE subscription SET price_fen = 1",
    "UPDATE subscription SET tariff_id = gen_random_uuid()",
    "UPDATE subscription SET notice_id = gen_random_uuid()",
    "UPDATE subscription SET prompt_text = 'Y'",
    "UPDATE subscription SET confirm_by = 'infinity'",
    "UPDATE subscription SET requested_at = '-infinity'",
    "UPDATE subscription SET service_id = gen_random_uuid()",
    "UPDATE subscription SET epoch = 2",
    "UPDATE subscription SET msisdn = '8613000000000'",
    "UPDATE subscription SET status = 'active', active_from = NULL",
    (
        "UPDATE subscription SET status = 'active', active_from = requested_at,"
        " charge_from = requested_at, charge_rule = 'at_once' WHERE status = 'awaiting'"
    ),
    "UPDATE subscription SET status = 'ended', ended_at = NULL",
    "UPDATE subscription SET ended_at = now()",
    "UPDATE subscription SET status = 'ended', ended_at = active_from - interval '1 second'",
    "UPDATE subscription SET status = 'paid'",
    "DELETE FROM subscription",
    "TRUNCATE subscription CASCADE",
    "UPDATE consent SET given_at = '-infinity'",
    "UPDATE consent SET reply_text = 'Y'",
    "UPDATE consent SET price_fen = 1",
    "DELETE FROM consent",
    "UPDATE subscription_event SET action = 'confirm'",
    "DELETE FROM subscription_event",
    "UPDATE leave_list SET subscription_ids = '{}'",
    "DELETE FROM leave_list",
    "UPDATE message_in SET text = 'Y'",
    "UPDATE message_in SET received_at = '-infinity'",
    "DELETE FROM message_in",
    "UPDATE leave_wish SET received_at = 'infinity'",
    "UPDATE leave_wish SET msisdn = '8613000000000'",
    "DELETE FROM leave_wish",
    "TRUNCATE leave_wish",
    "UPDATE message_in_stray SET raw = ''",
    "ALTER TABLE consent DROP CONSTRAINT consent_message",
    "DROP TABLE consent",
    "CREATE OR REPLACE VIEW subscription_shown AS SELECT 1",
)


async def test_terms_consents_and_history_cannot_be_rewritten(
    world: World, tx: db.Connection
) -> None:
    sold, msisdn = await world.sold(), await world.number()
    await world.running(msisdn, sold)
    await world.asked(msisdn, await world.sold())
    succeeded = []
    for attack in FORBIDDEN:
        try:
            await tx.execute(attack)
        except REFUSED:
            continue
        succeeded.append(attack)
    assert succeeded == []


SETTLED = (
    # A relation that is over, or runs.
    "UPDATE subscription SET status = 'active', ended_at = NULL, end_reason = NULL WHERE id = {left}",
    "UPDATE subscription SET status = 'suspended', ended_at = NULL WHERE id = {left}",
    "UPDATE subscription SET status = 'expired' WHERE id = {left}",
    "UPDATE subscription SET ended_at = ended_at + interval '1 microsecond' WHERE id = {left}",
    "UPDATE subscription SET ended_at = 'infinity' WHERE id = {left}",
    "UPDATE subscription SET active_from = ended_at WHERE id = {left}",
    "UPDATE subscription SET status = 'awaiting' WHERE id = {running}",
    "UPDATE subscription SET active_from = active_from - interval '1 day' WHERE id = {running}",
    "UPDATE subscription SET charge_from = active_from WHERE id = {running}",
    "UPDATE subscription SET charge_rule = 'free_month' WHERE id = {running}",
    (
        "UPDATE subscription SET status = 'active', ended_at = NULL, end_reason = NULL, active_from ="
        " requested_at, charge_from = requested_at, charge_rule = 'at_once' WHERE id = {refused}"
    ),
    # A wish to leave, a clock that ran out, one that was stopped, an event's place.
    "UPDATE leave_wish SET settled_at = NULL, settled_by = NULL",
    "UPDATE leave_wish SET settled_at = settled_at + interval '1 day'",
    "UPDATE leave_wish SET settled_by = 'staff:other'",
    "UPDATE leaving_duty SET breached_at = NULL WHERE breached_at IS NOT NULL",
    "UPDATE leaving_duty SET met_at = started_at, met_by = 'sp:1' WHERE breached_at IS NOT NULL",
    "UPDATE leaving_duty SET met_at = NULL, met_by = NULL WHERE met_at IS NOT NULL",
    "UPDATE leaving_duty SET met_at = met_at + interval '1 day' WHERE met_at IS NOT NULL",
    "UPDATE leaving_duty SET due_at = 'infinity'",
    "UPDATE leaving_duty SET started_at = due_at",
    "DELETE FROM leaving_duty",
    "UPDATE proxy_lookup SET reason = 'other'",
    "UPDATE proxy_lookup SET expires_at = 'infinity'",
    "DELETE FROM proxy_lookup",
    "UPDATE partner_event SET position = position + 100",
    "UPDATE partner_event SET position = NULL",
    "UPDATE partner_event SET told_at = NULL",
    "UPDATE partner_event SET data = '{{}}'",
    "DELETE FROM partner_event",
    "UPDATE event_feed_read SET at = '-infinity'",
)


async def test_what_is_settled_is_not_unsettled(world: World, tx: db.Connection) -> None:
    sold, msisdn = await world.sold(), await world.number()
    refused = await world.asked(msisdn, await world.sold())
    assert await world.say(msisdn, "N") == "refused"
    begun = world.clock.now()
    left = await world.running(msisdn, sold)
    running = await world.running(
        msisdn, await world.sold(), active_from=begun, charge_from=begun + timedelta(days=3),
        charge_rule="free_hours",
    )  # fmt: skip
    world.clock.move(timedelta(hours=1))
    async with db.transaction(world.pool) as own:
        await actions.leave(own, msisdn=msisdn, subscription_id=left, reason="GD-1: called",
                            actor=make.AGENT, now=world.clock.now())  # fmt: skip
    assert await world.say(msisdn, "TD 99999") == "nothing_to_leave"
    async with db.transaction(world.pool) as own:
        await event_feed.take_turn(own)
        await tell_untold(own)
        await event_feed.number(own, now=world.clock.now())
        await event_feed_queries.read_to(own, sold.sp_id, 1, now=world.clock.now())
    world.clock.move(timedelta(hours=13))
    async with db.transaction(world.pool) as own:
        await duties.watch(own, actor=make.AGENT, now=world.clock.now())
    ids = {"left": left, "running": running, "refused": refused.id}
    literals = {name: f"'{value}'" for name, value in ids.items()}
    assert await tx.fetchval("SELECT count(*) FROM leaving_duty WHERE breached_at IS NULL") == 1
    before = await world.row(left), await world.row(running), await world.row(refused.id)
    succeeded = []
    for attack in (attack.format(**literals) for attack in SETTLED):
        try:
            succeeded.append((attack, await tx.execute(attack)))
        except REFUSED:
            continue
    assert succeeded == []
    assert before == (
        await world.row(left), await world.row(running), await world.row(refused.id)
    )  # fmt: skip


EVIDENCE = (
    # The log itself.
    "UPDATE chain_entry SET body = '{}'",
    "UPDATE chain_entry SET private = '{}' WHERE seq = 1",
    "UPDATE chain_entry SET hash = sha256('x'), prev_hash = sha256('y')",
    "UPDATE chain_entry SET seq = seq + 100",
    "UPDATE chain_entry SET subject = '8613000000000'",
    "UPDATE consent_log SET kind = 'refuse'",
    "DELETE FROM chain_entry",
    "DELETE FROM chain_entry WHERE seq = (SELECT max(seq) FROM chain_entry)",
    "DELETE FROM consent_log",
    "TRUNCATE chain_entry",
    "TRUNCATE chain_start CASCADE",
    "DELETE FROM chain_start",
    "UPDATE chain_start SET salt = sha256('x')",
    "MERGE INTO chain_entry c USING (SELECT 1) o ON true WHEN MATCHED THEN DELETE",
    (
        "INSERT INTO chain_entry SELECT * FROM chain_entry ON CONFLICT (subject, chain, seq) "
        "DO UPDATE SET body = 'x'"
    ),
    "INSERT INTO chain_entry SELECT * FROM chain_entry",
    (
        "INSERT INTO chain_entry SELECT subject, chain, seq + 1, 'forged', about, kind, at, "
        "recorded_at, body || ' ', private, hash, hash FROM chain_entry ORDER BY seq DESC LIMIT 1"
    ),
    (
        "INSERT INTO chain_entry SELECT subject, chain, -1, 'early', about, kind, at, recorded_at, "
        "body, private, prev_hash, hash FROM chain_entry LIMIT 1"
    ),
    (
        "INSERT INTO chain_entry SELECT '8613000000000', chain, seq, source, about, kind, at, "
        "recorded_at, body, private, prev_hash, hash FROM chain_entry"
    ),
    "SELECT * FROM chain_entry FOR UPDATE",
    "DO 'BEGIN LOCK TABLE chain_entry IN ACCESS EXCLUSIVE MODE; END'",
    # What it tells of.
    "UPDATE consent SET prompt_text = NULL",
    "DELETE FROM consent WHERE reply_text = 'Y'",
    "UPDATE message_in SET raw = 'Y'",
    "UPDATE message_in SET link_message_id = 'other'",
    "UPDATE message_in SET pdu = 'Y'",
    "UPDATE message_out_part SET link_message_id = 'other'",
    "UPDATE message_out SET text = 'free of charge'",
    "UPDATE message_out SET queued_at = '-infinity'",
    "DELETE FROM message_out",
    "UPDATE subscription_event SET at = '-infinity', actor = 'subscriber:sms'",
    "UPDATE authorisation SET allowed = true, reasons = '{}'",
    "DELETE FROM authorisation",
    "UPDATE charge_record SET price_fen = 1",
    "UPDATE charge_record SET findings = '{}'",
    "DELETE FROM charge_record",
    "UPDATE charge_finding SET due_fen = 800",
    "DELETE FROM charge_finding",
    "UPDATE claim SET state = 'stands'",
    "UPDATE claim SET principal_fen = 1",
    "DELETE FROM claim",
    "UPDATE posting SET amount_fen = 1",
    "DELETE FROM posting",
    "UPDATE journal_entry SET amount_fen = 1",
    "UPDATE journal_entry SET prev_sha256 = sha256",
    "DELETE FROM journal_entry",
    "DELETE FROM journal_head",
    "UPDATE breach_event SET actor = 'nobody'",
    "DELETE FROM breach_event",
    "UPDATE audit_log SET actor = 'nobody'",
    "DELETE FROM audit_log",
    "UPDATE tariff SET price_fen = 1",
    "UPDATE notice SET hotline = '000'",
    "DELETE FROM rulebook",
    # What carries it out of the database.
    "UPDATE anchor SET statement = '{}'",
    "DELETE FROM anchor",
    "UPDATE anchor_leaf SET hash = sha256('x')",
    "DELETE FROM anchor_leaf",
    "DELETE FROM anchor_signature",
    "UPDATE signing_key SET public_key = sha256('x')",
    "INSERT INTO signing_key VALUES ('trust me', sha256('x'), now())",
    # Round the back.
    "ALTER TABLE chain_entry DISABLE TRIGGER ALL",
    "ALTER TABLE chain_entry DROP CONSTRAINT chain_entry_hash",
    "ALTER TABLE chain_entry OWNER TO spms_app",
    "ALTER TABLE chain_entry RENAME TO entry_chain",
    "DROP TABLE chain_entry CASCADE",
    "DROP VIEW consent_log",
    "DROP INDEX chain_entry_told_once",
    "GRANT {owner} TO spms_app",
    "SET ROLE {owner}",
    "SET SESSION AUTHORIZATION {owner}",
    "SET session_replication_role = 'replica'",
    "ALTER ROLE spms_app SUPERUSER",
    (
        "CREATE FUNCTION public.f() RETURNS void LANGUAGE sql SECURITY DEFINER AS "
        "'DELETE FROM chain_entry'"
    ),
    "CREATE RULE r AS ON INSERT TO chain_entry DO INSTEAD NOTHING",
    (
        "CREATE TRIGGER t BEFORE INSERT ON chain_entry FOR EACH ROW "
        "EXECUTE FUNCTION suppress_redundant_updates_trigger()"
    ),
    "CREATE POLICY p ON chain_entry USING (false)",
    "CREATE TABLE public.chain_entry_2 (x int)",
    "CREATE SCHEMA evil",
    "CREATE EXTENSION IF NOT EXISTS dblink",
    "CREATE EVENT TRIGGER e ON ddl_command_start EXECUTE FUNCTION make_month_partition()",
    "COPY chain_entry FROM PROGRAM 'true'",
    "COPY chain_entry TO '/tmp/evidence.txt'",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "SELECT lo_import('/etc/passwd')",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename <> current_user",
    "ALTER SYSTEM SET fsync = off",
    "UPDATE pg_class SET relowner = 'spms_app'::regrole",
    "DELETE FROM pg_constraint",
    "SELECT make_month_partition('chain_entry', '2026-03-01')",
    "SELECT make_month_partition('message_in; DROP TABLE chain_entry', '2026-03-01')",
    "DROP DATABASE postgres",
    "REASSIGN OWNED BY {owner} TO spms_app",
    "DO 'BEGIN DELETE FROM chain_entry; END'",
    "WITH gone AS (DELETE FROM chain_entry RETURNING 1) SELECT * FROM gone",
    "DROP OWNED BY {owner}",
    "SELECT setval('audit_log_id_seq', 1)",
)
KEPT = (
    "chain_start", "chain_entry", "consent", "message_in", "message_out", "subscription_event",
    "authorisation", "charge_record", "charge_finding", "claim", "refund", "posting",
    "breach_event", "audit_log", "anchor", "anchor_leaf", "anchor_signature", "signing_key",
    "tariff", "notice", "rulebook",
)  # fmt: skip


async def contents(owner: asyncpg.Connection) -> dict[str, str]:
    """Return a digest of every row of what is kept."""
    return {
        table: await owner.fetchval(
            f"SELECT md5(COALESCE(string_agg(t::text, E'\\n' ORDER BY t::text), '')) FROM {table} t"
        )
        for table in KEPT
    }


async def fill(world: World, owner: asyncpg.Connection) -> None:
    """Put at least one row into everything that is kept."""
    sold, msisdn = await world.sold(), await world.number()
    await world.asked(msisdn, sold)
    await world.say(msisdn, "Y")
    now = world.clock.now()
    charge_id = await make.charge(owner, now, msisdn, sold.id, findings=["no_consent"], due_fen=0)
    ids = {"msisdn": msisdn, "charge": charge_id, "sp": sold.sp_id, "now": now, "breach": uuid4(),
           "service": sold.id, "claim": uuid4(), "any": uuid4()}  # fmt: skip
    line = EntryLine(
        id=uuid4(), debit=Account.SP_RECEIVABLE, credit=Account.SUBSCRIBER_PAYABLE,
        sp_id=sold.sp_id, amount_fen=800, reason="refund_principal",
    )  # fmt: skip
    entry = Draft(msisdn=msisdn, id=uuid4(), kind="refund", charge_id=charge_id, lines=[line])
    async with owner.transaction():
        await journal.post(cast("db.Connection", owner), [entry], actor=make.OFFICER, now=now)
    for statement in (
        (
            "INSERT INTO authorisation VALUES ({msisdn}, {now}, {any}, 'charge', {sp}, {service}, "
            "'1', NULL, 800, false, '{{no_consent}}', NULL, 1, '{{}}', 'test')"
        ),
        (
            "INSERT INTO claim VALUES ({msisdn}, {claim}, {charge}, {now}, {sp}, 'audit', 'x', "
            "'refunded', 800, 0, NULL, {now}, 'test', 1, NULL, 'sp', 800, 800, 800, 800, 0)"
        ),
        (
            "INSERT INTO breach VALUES ({breach}, {sp}, 'x', 'general', 10, '{{}}', 'officer', 'x', "
            "'x', 'proposed', {now}, 'staff:officer')"
        ),
        (
            "INSERT INTO breach_event (breach_id, action, to_state, at, actor) "
            "VALUES ({breach}, 'propose', 'proposed', {now}, 'staff:officer')"
        ),
        (
            "INSERT INTO audit_log (at, actor, act, about_kind, about_id) "
            "VALUES ({now}, 'test', 'x', 'x', 'x')"
        ),
        "INSERT INTO anchor VALUES (1, {now}, 1, '{{}}')",
        (
            "INSERT INTO anchor_leaf SELECT subject, chain, 1, 0, hash, seq, hash, '' FROM chain_entry "
            "LIMIT 1"
        ),
        (
            "INSERT INTO signing_key SELECT encode(sha256(k), 'hex'), k, {now} "
            "FROM (SELECT sha256('key') AS k) w"
        ),
        (
            "INSERT INTO anchor_signature SELECT 1, id, sha256('a') || sha256('b'), {now} "
            "FROM signing_key"
        ),
    ):
        literals = {name: f"'{value}'" for name, value in ids.items()}
        await owner.execute(statement.format(**literals))


async def test_evidence_stays_as_it_is_whatever_the_application_tries(
    world: World, tx: db.Connection, owner: asyncpg.Connection
) -> None:
    await fill(world, owner)
    before = await contents(owner)
    assert "d41d8cd98f00b204e9800998ecf8427e" not in before.values(), "a table is empty"
    role = await owner.fetchval("SELECT quote_ident(current_user)")
    answers = {}
    for attack in (attack.replace("{owner}", role) for attack in EVIDENCE):
        try:
            answers[attack] = await tx.execute(attack)
        except (*REFUSED, asyncpg.RaiseError):
            continue
        except asyncpg.PostgresError as error:
            answers[attack] = f"refused, but why: {type(error).__name__}: {error}"
    assert answers == {}
    assert len(set(EVIDENCE)) >= 40
    # What one does not own one cannot give away: PostgreSQL answers this with a mere warning.
    await tx.execute("GRANT UPDATE, DELETE ON chain_entry TO spms_app")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await tx.execute("DELETE FROM chain_entry")
    assert await contents(owner) == before


CONSENT = """
    INSERT INTO consent (msisdn, subscription_id, kind, service_id, price_fen, message_received_at,
        message_id, prompt_text, reply_text, given_at)
    VALUES ($1, $2, $3, $4, 800, $5, $6, $7, 'Y', $8)
"""


async def test_a_consent_cannot_be_made_without_a_message_of_that_number_and_instant(
    world: World, tx: db.Connection
) -> None:
    sold, other, msisdn = await world.sold(), await world.number(), await world.number()
    asked = await world.asked(msisdn, sold)
    now = world.clock.now()
    foreign = await world.received(other, "Y")
    own = await world.received(msisdn, "Y")
    forged = (
        (asked.id, "confirmation", now, uuid4(), "x", now),  # a message that never came
        (asked.id, "confirmation", now, foreign.id, "x", now),  # another person's message
        (asked.id, "confirmation", asked.confirm_by, own.id, "x", asked.confirm_by),  # other time
        (asked.id, "confirmation", now, own.id, "x", asked.confirm_by),  # given when?
        (asked.id, "confirmation", now, own.id, None, now),  # no prompt
        (asked.id, "goodwill", now, own.id, "x", now),  # no such kind
        (uuid4(), "confirmation", now, own.id, "x", now),  # no such relation
    )
    for subscription_id, kind, received_at, message_id, prompt, given_at in forged:
        with pytest.raises(asyncpg.IntegrityConstraintViolationError):
            await tx.execute(
                CONSENT, msisdn, subscription_id, kind, sold.id, received_at, message_id, prompt,
                given_at,
            )  # fmt: skip
    assert await world.consents(msisdn) == []


async def test_one_message_is_the_consent_to_one_relation_only(
    world: World, tx: db.Connection
) -> None:
    first, second, msisdn = await world.sold(), await world.sold(), await world.number()
    await world.asked(msisdn, first)
    yes = await world.received(msisdn, "Y")
    assert await world.handled(yes) == "confirmed"
    asked = await world.asked(msisdn, second)
    with pytest.raises(asyncpg.UniqueViolationError):
        await tx.execute(
            CONSENT, msisdn, asked.id, "confirmation", second.id, yes.received_at, yes.id, "x",
            yes.received_at,
        )  # fmt: skip


async def test_a_prompt_without_code_text_or_window_cannot_wait_for_an_answer(
    world: World, tx: db.Connection
) -> None:
    sold, msisdn = await world.sold(), await world.number()
    asked = await world.asked(msisdn, sold)
    await world.say(msisdn, "N")
    for missing in ("prompt_code", "prompt_text", "confirm_by"):
        columns = [
            "msisdn", "epoch", "sp_id", "service_id", "kind", "tariff_id", "notice_id",
            "price_fen", "channel", "requested_at", "requested_by",
            *({"prompt_code", "prompt_text", "confirm_by"} - {missing}),
        ]  # fmt: skip
        with pytest.raises(asyncpg.CheckViolationError):
            await tx.execute(
                f"INSERT INTO subscription (id, status, {', '.join(columns)}) "
                f"SELECT gen_random_uuid(), 'awaiting', {', '.join(columns)} FROM subscription "
                "WHERE id = $1",
                asked.id,
            )
