"""From the line into the pack: a regulator sees the octets that the network had, and can check them."""

import asyncio
from datetime import timedelta
from pathlib import Path

import httpx
import msgspec
from typer.testing import CliRunner

from spms.cli.commands import app as command_line
from spms.core import pack
from spms.core.pack_sheet import of_log
from spms.messaging.courier import pump_out
from spms.messaging.model import MessageIn
from spms.messaging.smpp_link import SmppLink
from tests import make
from tests.messaging.smsc import (
    DELIVER_SM,
    PATIENCE,
    SUBMIT_SM,
    line_to,
    link_settings,
    running_smsc,
)
from tests.subscriptions.test_consent_log import faults_of, log_of
from tests.subscriptions.test_evidence_pack import REASON, SignIn
from tests.subscriptions.world import World


async def test_the_pdus_of_a_consent_are_in_its_pack_and_one_octet_changed_is_found(
    world: World, http: httpx.AsyncClient, sign_in: SignIn, tmp_path: Path
) -> None:
    sold, msisdn = await world.sold(), await world.number()
    asked = await world.asked(msisdn, sold)
    async with running_smsc() as smsc, line_to(smsc) as line:
        link = SmppLink(link_settings(line.port), world.pool, world.clock)
        async with link.running():
            await asyncio.wait_for(link.up.wait(), PATIENCE)
            assert await pump_out(world.pool, link, world.clock) == 1
            prompt = line.seen(SUBMIT_SM)
            for number in range(1, len(prompt) + 1):
                await smsc.deliver(msisdn, b"id:m%d stat:DELIVRD" % number, esm_class=4)
            world.clock.move(timedelta(minutes=1))
            await smsc.deliver(msisdn, f"Y {asked.prompt_code}".encode())
            *receipts, reply = line.seen(DELIVER_SM)
    message = await world.pool.fetchrow(
        "SELECT msisdn, received_at, id, called, text, link, link_message_id FROM message_in"
    )
    await world.handled(msgspec.convert(dict(message or {}), MessageIn))
    assert len(prompt) > 1, "a prompt is longer than one part"

    told = {one["kind"]: one for one in await log_of(world, msisdn)}
    for kind, pdus in (
        ("prompt_sent", prompt), ("prompt_delivered", receipts), ("confirm", [reply])
    ):  # fmt: skip
        assert told[kind]["private"]["pdu"] == b"".join(pdus).hex()
        assert "pdu" not in told[kind]["body"]["facts"], "it holds the number"
    assert "pdu" not in told["request"]["private"], "the SP asked over HTTP"
    assert await faults_of(world, msisdn) == []

    path = f"/subscriptions/{asked.id}/evidence-pack"
    officer = await sign_in(make.OFFICER)
    answer = await http.post(f"{path}.json", headers=officer, json=REASON)
    printed = str(of_log(answer.json()["log"]).rows)
    for octets in (*prompt, *receipts, reply):
        assert octets.hex() in answer.text
        assert f"raw PDU: {octets.hex()}" in printed
    assert b"".join(prompt).hex() not in printed, "each for itself"
    paper = await http.post(f"{path}.pdf", headers=officer, json=REASON)
    assert pack.verify(paper.content).fine
    for actor in (sold.sp, make.subscriber_actor(msisdn)):
        theirs = await http.get(f"{path}.json", headers=await sign_in(actor))
        assert reply.hex() not in theirs.text
    file = tmp_path / "evidence.json"
    octet = reply.hex().encode()
    for content, code in (
        (answer.content, 0),
        (answer.content.replace(octet, octet[:-1] + (b"0" if octet[-1:] != b"0" else b"1")), 1),
    ):
        file.write_bytes(content)
        done = CliRunner().invoke(command_line, ["verify", str(file)])
        assert done.exit_code == code, done.output

    # Who rewrites the row is found by the log.
    await world.pool.execute("UPDATE message_out SET pdu = 'x' WHERE kind = 'prompt'")
    assert await faults_of(world, msisdn) == [(2, "fact_changed")]
