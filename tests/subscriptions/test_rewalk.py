"""Whoever owns the database can rewrite it; walking it again names every row that was touched."""

import shutil
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import asyncpg
import msgspec
import pytest
from typer.testing import CliRunner

from jobs import anchor_heads
from spms.cli.commands import app as command_line
from spms.core import anchors, db
from spms.core.access import job_actor
from spms.core.chain import Fault, FaultKind
from spms.core.settings import Settings
from spms.core.signing import Signer, open_signer
from spms.core.verification import AnchorFault, AnchorFaultKind, anchor_faults
from spms.subscriptions import consent_log
from tests.subscriptions.test_consent_log import sent
from tests.subscriptions.world import World

REFIT = """
    WITH RECURSIVE new AS (
        SELECT seq, body, prev_hash, hash FROM chain_entry WHERE subject = '{a}' AND seq = {seq} - 1
        UNION ALL
        SELECT c.seq, replace(c.body, '"party":', '"Party":'), n.hash,
               sha256('spms-chain-1'::bytea || n.hash || sha256(convert_to(
                   replace(c.body, '"party":', '"Party":'), 'UTF8')))
          FROM new n JOIN chain_entry c ON c.subject = '{a}' AND c.seq = n.seq + 1
         WHERE c.seq <= {last})
    UPDATE chain_entry e SET body = n.body, prev_hash = n.prev_hash, hash = n.hash
      FROM new n WHERE e.subject = '{a}' AND e.seq = n.seq AND n.seq >= {seq}
"""
"""Rewrite entries so that each fits itself and those before it, as one would who knows how."""

RENUMBERED = "UPDATE chain_entry SET seq = {to} WHERE subject = '{a}' AND seq = {seq}"

TAMPERINGS = [
    # (statement, the entry of number a that must be named)
    *((f"UPDATE chain_entry SET body = replace(body, 'e', 'E') WHERE subject = '{{a}}' AND seq = {n}", n)
      for n in range(1, 6)),
    *((f"UPDATE chain_entry SET hash = sha256('x') WHERE subject = '{{a}}' AND seq = {n}", n)
      for n in range(1, 6)),
    *((f"UPDATE chain_entry SET private = '{{{{}}}}' WHERE subject = '{{a}}' AND seq = {n}", n)
      for n in range(1, 6)),
    *((f"DELETE FROM chain_entry WHERE subject = '{{a}}' AND seq = {n}", n) for n in range(1, 6)),
    *((f"DELETE FROM chain_entry WHERE subject = '{{a}}' AND seq > {n}", n + 1)
      for n in range(5)),
    *((REFIT.replace("{seq}", str(n)).replace("{last}", str(n)), n) for n in range(2, 6)),
    *((REFIT.replace("{seq}", str(n)).replace("{last}", "99"), 5) for n in range(2, 6)),
    ("UPDATE chain_entry SET prev_hash = sha256('x') WHERE subject = '{a}' AND seq = 3", 3),
    ("UPDATE chain_entry SET kind = 'order' WHERE subject = '{a}' AND seq = 4", 4),
    ("UPDATE chain_entry SET at = at - interval '1 day' WHERE subject = '{a}' AND seq = 4", 4),
    ("UPDATE chain_entry SET recorded_at = at - interval '1 day' WHERE subject = '{a}' AND seq = 2", 2),
    ("UPDATE chain_entry SET about = gen_random_uuid() WHERE subject = '{a}' AND seq = 4", 4),
    ("UPDATE chain_entry SET source = 'event:x' WHERE subject = '{a}' AND seq = 4", 4),
    ("UPDATE chain_entry SET seq = seq + 10 WHERE subject = '{a}' AND seq = 5", 15),
    ("UPDATE chain_entry SET seq = -seq WHERE subject = '{a}' AND seq = 5", -5),
    (("UPDATE chain_entry SET seq = CASE seq WHEN 2 THEN 13 ELSE 12 END WHERE subject = '{a}' "
     "AND seq IN (2, 3)"), 2),
    ("UPDATE chain_entry SET subject = '{b}', seq = 6 WHERE subject = '{a}' AND seq = 5", 5),
    ("UPDATE chain_start SET salt = sha256('x') WHERE subject = '{a}'", 0),
    ("DELETE FROM chain_start WHERE subject = '{a}'", 0),
    (("INSERT INTO chain_entry SELECT subject, chain, 6, 'event:x', about, kind, at, recorded_at, "
     "body, private, hash, sha256('spms-chain-1'::bytea || hash || sha256(convert_to(body, 'UTF8')))"
     " FROM chain_entry WHERE subject = '{a}' AND seq = 5"), 6),
    # The rows that the log tells of.
    ("UPDATE consent SET reply_text = 'no' WHERE msisdn = '{a}'", 4),
    ("UPDATE consent SET prompt_text = 'free' WHERE msisdn = '{a}'", 4),
    ("DELETE FROM consent WHERE msisdn = '{a}'", 4),
    ("UPDATE message_in SET text = 'no' WHERE msisdn = '{a}' AND text = 'Y'", 4),
    ("UPDATE message_in SET raw = 'no' WHERE msisdn = '{a}' AND text = 'Y'", 4),
    ("UPDATE message_out SET text = 'free' WHERE msisdn = '{a}' AND kind = 'prompt'", 2),
    (("UPDATE message_out SET delivered_at = delivered_at + interval '1 s' WHERE msisdn = '{a}' "
     "AND kind = 'prompt'"), 3),
    ("UPDATE subscription SET price_fen = 1 WHERE msisdn = '{a}'", 1),
    ("UPDATE subscription SET prompt_text = 'free' WHERE msisdn = '{a}'", 1),
    ("UPDATE subscription SET request_text = 'please' WHERE msisdn = '{a}'", 1),
    ("UPDATE subscription_event SET actor = 'sp:1' WHERE msisdn = '{a}' AND action = 'leave'", 5),
    (("UPDATE subscription_event SET at = at + interval '1 month' WHERE msisdn = '{a}' "
     "AND action = 'leave'"), 5),
    ("DELETE FROM subscription_event WHERE msisdn = '{a}' AND action = 'leave'", 5),
    (("INSERT INTO subscription_event SELECT msisdn, gen_random_uuid(), subscription_id, 'resume', "
     "'suspended', 'active', at, actor, NULL, 'x' FROM subscription_event WHERE msisdn = '{a}' LIMIT 1"), 0),
    ("UPDATE notice SET hotline = '1'", 1),
    ("UPDATE tariff SET version = version + 1", 1),
]  # fmt: skip


class Scene(msgspec.Struct):
    """Two numbers with five entries each, anchored and carried out."""

    world: World
    a: str
    b: str
    relation: UUID
    directory: Path
    signer: Signer


async def anchored(scene: Scene) -> None:
    now = scene.world.clock.now()
    async with db.transaction(scene.world.pool) as tx:
        await anchor_heads.work(tx, actor=job_actor("anchor_heads"), now=now)
    async with db.transaction(scene.world.pool) as tx:
        await anchors.carry_out(tx, scene.directory, scene.signer, now=now)


@pytest.fixture
async def scene(world: World, settings: Settings) -> Scene:
    sold, a, b = await world.sold(), await world.number(), await world.number()
    scene = Scene(
        world=world, a=a, b=b, relation=UUID(int=0), directory=settings.anchor_path,
        signer=open_signer(settings),
    )  # fmt: skip
    for msisdn in (a, b):
        scene.relation = (await world.asked(msisdn, sold)).id
    world.clock.move(timedelta(seconds=5))
    await sent(world)
    await anchored(scene)
    world.clock.move(timedelta(minutes=5))
    for msisdn in (a, b):
        await world.say(msisdn, "Y")
    world.clock.move(timedelta(hours=5))
    for msisdn in (a, b):
        await world.say(msisdn, "TD")
    await anchored(scene)
    return scene


async def without_constraints(owner: asyncpg.Connection) -> None:
    """Take away whatever the database itself would refuse with: an owner may do that."""
    rows = await owner.fetch(
        "SELECT conrelid::regclass::text, conname FROM pg_constraint WHERE conparentid = 0 "
        "AND (contype = 'f' OR conname IN ('chain_entry_hash', 'chain_entry_seq'))"
    )
    for table, name in rows:
        await owner.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")


async def walked(scene: Scene, read: asyncpg.Connection) -> tuple[list[Fault], list[AnchorFault]]:
    faults = await consent_log.faults(read, [scene.a, scene.b])
    count, wrong, of_chains = await anchor_faults(read, scene.directory, [scene.signer.public_key])
    assert count == 2
    return faults + of_chains, wrong


async def test_every_way_to_tamper_is_named_with_its_row(
    scene: Scene, owner: asyncpg.Connection
) -> None:
    assert await walked(scene, owner) == ([], [])
    await without_constraints(owner)
    missed = []
    for statement, seq in TAMPERINGS:
        transaction = owner.transaction()
        await transaction.start()
        done = await owner.execute(statement.format(a=scene.a, b=scene.b))
        assert not done.endswith(" 0"), statement
        named, _ = await walked(scene, owner)
        await transaction.rollback()
        if (scene.a, seq) not in {(fault.subject, fault.seq) for fault in named}:
            missed.append((statement, seq, named))
        # Nobody else's chain is accused, but for texts that both numbers were told.
        if "{b}" not in statement and not statement.startswith(("UPDATE notice", "UPDATE tariff")):
            assert scene.b not in {fault.subject for fault in named}, statement
    assert missed == []
    assert len(TAMPERINGS) >= 40
    assert await walked(scene, owner) == ([], [])


async def test_a_chain_that_is_gone_with_everything_about_it_is_known_to_the_anchor(
    scene: Scene, owner: asyncpg.Connection
) -> None:
    await without_constraints(owner)
    for table in ("anchor_leaf", "chain_entry", "chain_start"):
        await owner.execute(f"DELETE FROM {table} WHERE subject = $1", scene.a)
    faults, _ = await walked(scene, owner)
    assert FaultKind.FOREIGN in {fault.kind for fault in faults if fault.chain == "unknown"}


async def test_tampered_anchors_are_named(scene: Scene, owner: asyncpg.Connection) -> None:
    lines = (scene.directory / anchors.STATEMENTS).read_bytes().splitlines(keepends=True)
    assert len(lines) == 2
    keys = [scene.signer.public_key]

    async def wrong(directory: Path) -> set[tuple[int, str]]:
        return {(one.anchor, one.kind) for one in (await anchor_faults(owner, directory, keys))[1]}

    assert await wrong(scene.directory) == set()
    for change, expected in (
        ([lines[0].replace(b"leaves", b"Leaves"), lines[1]], (1, AnchorFaultKind.UNSIGNED)),
        ([lines[0]], (2, AnchorFaultKind.ABSENT)),
        ([lines[1]], (2, AnchorFaultKind.UNLINKED)),
        ([lines[1], lines[0]], (1, AnchorFaultKind.UNLINKED)),
        ([], (1, AnchorFaultKind.ABSENT)),
        ([lines[0].replace(b'"signature":"', b'"signature":"00'), lines[1]],
         (1, AnchorFaultKind.UNSIGNED)),
        ([lines[0], b"torn"], (2, AnchorFaultKind.UNREADABLE)),
    ):  # fmt: skip
        copy = scene.directory.with_name("copy")
        shutil.copytree(scene.directory, copy)
        (copy / anchors.STATEMENTS).write_bytes(b"".join(change))
        assert expected in await wrong(copy), change
        shutil.rmtree(copy)
    leaves = anchors.leaves_file(scene.directory, 2)
    before = leaves.read_bytes()
    leaves.write_bytes(before.replace(b'"seq":5', b'"seq":4'))
    assert (2, AnchorFaultKind.LEAVES_CHANGED) in await wrong(scene.directory)
    leaves.write_bytes(before)
    await owner.execute("UPDATE anchor SET statement = '{}' WHERE seq = 1")
    assert await wrong(scene.directory) == {(1, AnchorFaultKind.ABSENT)}
    stranger = await anchor_faults(owner, scene.directory, [b"x" * 32])
    assert {one.kind for one in stranger[1]} >= {AnchorFaultKind.UNSIGNED}


async def test_a_torn_line_and_a_lost_directory_are_made_good(scene: Scene) -> None:
    path = scene.directory / anchors.STATEMENTS
    whole = path.read_bytes()
    path.write_bytes(whole[:-30])
    assert anchors.last_carried_out(scene.directory) == 1
    await anchored(scene)
    assert path.read_bytes() == whole
    shutil.rmtree(scene.directory)
    await anchored(scene)
    assert path.read_bytes() == whole


def test_the_command_line_walks_the_database(
    owner_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPMS_DATABASE_URL", owner_url)
    monkeypatch.setenv("SPMS_DATA_DIR", str(tmp_path))
    told = tmp_path / "told.json"
    done = CliRunner().invoke(command_line, ["verify", "--database", "--json", str(told)])
    assert done.exit_code == 0, done.output
    assert "all as written" in done.output
    assert msgspec.json.decode(told.read_bytes())["faults"] == []
