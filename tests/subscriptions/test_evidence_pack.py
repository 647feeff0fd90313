"""Evidence packs over HTTP, checked offline with the command line."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from typer.testing import CliRunner

from spms.cli.commands import app as command_line
from spms.core import anchors, db, pack
from spms.core.access import Actor
from spms.core.settings import Settings
from spms.core.signing import open_signer
from tests import make
from tests.subscriptions.test_consent_log import sent
from tests.subscriptions.world import World

SignIn = Callable[[Actor], Awaitable[dict[str, str]]]
REASON = {"reason": "工信部来函核查"}


class Case(msgspec.Struct):
    """A relation with a whole life, somebody else's on the same number, and an anchor."""

    world: World
    msisdn: str
    relation: Any
    sp: Actor


@pytest.fixture
async def case(world: World, settings: Settings) -> Case:
    sold, other, msisdn = await world.sold(), await world.sold(), await world.number()
    await world.asked(msisdn, other)
    asked = await world.asked(msisdn, sold)
    await sent(world)
    world.clock.move(timedelta(minutes=1))
    await world.say(msisdn, f"Y {asked.prompt_code}")
    now = world.clock.now()
    async with db.transaction(world.pool) as tx:
        assert await anchors.make(tx, now=now) == 1
    async with db.transaction(world.pool) as tx:
        await anchors.carry_out(tx, settings.anchor_path, open_signer(settings), now=now)
    return Case(world=world, msisdn=msisdn, relation=asked, sp=sold.sp)


def path_of(case: Case, form: str) -> str:
    return f"/subscriptions/{case.relation.id}/evidence-pack.{form}"


def checks(found: pack.Verification) -> dict[str, bool]:
    return {check.what: check.fine for check in found.checks}


async def test_each_party_gets_a_pack_that_proves_itself_and_shows_only_its_part(
    case: Case, http: httpx.AsyncClient, sign_in: SignIn, tmp_path: Path
) -> None:
    owner = await sign_in(make.subscriber_actor(case.msisdn))
    sp, officer = await sign_in(case.sp), await sign_in(make.OFFICER)
    hers = await http.get(path_of(case, "json"), headers=owner)
    sps = await http.get(path_of(case, "json"), headers=sp)
    regulators = await http.post(path_of(case, "json"), headers=officer, json=REASON)
    for answer in (hers, sps, regulators):
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/json"
        found = pack.verify(answer.content)
        assert found.fine, found.checks
        assert {"signature", "log", "anchor", "agreement"} <= set(checks(found))
    for answer, number, private in (
        (hers, True, False), (sps, False, False), (regulators, True, True)
    ):  # fmt: skip
        content = answer.json()
        assert (case.msisdn in answer.text) is number
        assert ("private" in content["log"]["entries"][1]) is private
        assert content["log"]["anchor"] is not None
        entries = content["log"]["entries"]
        mine = [entry for entry in entries if "body" in entry]
        assert all(str(case.relation.id) in entry["body"] for entry in mine)
        assert [msgspec.json.decode(entry["body"])["kind"] for entry in mine] == [
            "request", "prompt_sent", "prompt_delivered", "confirm",
        ]  # fmt: skip
        assert len(entries) == 7
        assert len(content["cites"]) >= 14
    assert "staff:" not in hers.text + sps.text
    # Who looked and why is on record.
    row = await case.world.pool.fetchrow(
        "SELECT actor, reason FROM audit_log WHERE act = 'subscription.evidence_packed'"
    )
    assert row is not None
    assert (row["actor"], row["reason"]) == ("staff:officer", REASON["reason"])


async def test_nobody_gets_a_pack_of_what_is_not_theirs(
    case: Case, http: httpx.AsyncClient, sign_in: SignIn
) -> None:
    other_sp = (await case.world.sold()).sp
    for actor in (other_sp, make.subscriber_actor(await case.world.number()),
                  make.subscriber_actor(case.msisdn, epoch=2)):  # fmt: skip
        headers = await sign_in(actor)
        for form in ("json", "pdf"):
            assert (await http.get(path_of(case, form), headers=headers)).status_code == 404
            refused = await http.post(path_of(case, form), headers=headers, json=REASON)
            assert refused.status_code == 403
    agent = await sign_in(make.AGENT)
    assert (await http.get(path_of(case, "json"), headers=agent)).status_code == 403
    assert (await http.post(path_of(case, "json"), headers=agent, json={})).status_code == 400


async def test_the_command_line_verifies_both_forms_with_the_published_key(
    case: Case, http: httpx.AsyncClient, sign_in: SignIn, tmp_path: Path
) -> None:
    officer = await sign_in(make.OFFICER)
    keys = tmp_path / "keys.json"
    keys.write_bytes((await http.get("/keys")).content)
    stranger = tmp_path / "stranger.json"
    stranger.write_text("00" * 32)
    for form in ("json", "pdf"):
        answer = await http.post(path_of(case, form), headers=officer, json=REASON)
        assert answer.status_code == 200, answer.text
        file = tmp_path / f"evidence.{form}"
        file.write_bytes(answer.content)
        told = tmp_path / "told.json"
        done = CliRunner().invoke(
            command_line, ["verify", str(file), "--key", str(keys), "--json", str(told)]
        )
        assert done.exit_code == 0, done.output
        assert "genuine" in done.output
        assert str(case.relation.id) in done.output
        assert msgspec.json.decode(told.read_bytes())["fine"] is True
        done = CliRunner().invoke(command_line, ["verify", str(file), "--key", str(stranger)])
        assert done.exit_code == 1
        done = CliRunner().invoke(command_line, ["verify", str(file)])
        assert done.exit_code == 0
        assert "genuine" not in done.output, "anybody can sign a pack of his own"
        assert "unaltered" in done.output
        file.write_bytes(answer.content.replace(b"request", b"Request", 1))
        done = CliRunner().invoke(command_line, ["verify", str(file)])
        assert done.exit_code == 1
        assert "NOT genuine" in done.output


async def test_an_sp_learns_nothing_of_a_prompt_that_can_still_be_answered(
    world: World, http: httpx.AsyncClient, sign_in: SignIn
) -> None:
    sold, msisdn = await world.sold(), await world.number()
    asked = await world.asked(msisdn, sold)
    headers = await sign_in(sold.sp)
    answer = await http.get(f"/subscriptions/{asked.id}/evidence-pack.json", headers=headers)
    assert pack.verify(answer.content).fine
    assert answer.json()["statement"]["prompt"]["text"] is None
    assert str(asked.prompt_text) not in answer.text
    assert all("body" not in entry for entry in answer.json()["log"]["entries"])
