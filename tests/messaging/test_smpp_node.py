"""The link against the SMSC side of npm's smpp, which reads and writes SMPP its own way."""

import asyncio
import json
import os
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from spms.core import db
from spms.messaging import actions, link_check
from spms.messaging.courier import pump_out
from spms.messaging.links import LinkRefused
from spms.messaging.model import MessageKind
from spms.messaging.smpp_link import SmppLink
from tests.messaging.smsc import PATIENCE, link_settings
from tests.messaging.test_smpp_trouble import message

HERE = Path(__file__).parent
MODULES = HERE.parent.parent / ".peers" / "node_modules"
MSISDN = "8613912340000"
LONG = "回复Y确认" * 20


class Node:
    def __init__(self, process) -> None:
        self._process = process

    def do(self, deed, **more) -> None:
        self._process.stdin.write(json.dumps({"deed": deed, **more}).encode() + b"\n")

    async def written(self) -> None:
        """Wait until the SMSC has taken the last command: it says so in an answer to a command."""
        self.do("ping")
        await self.told("pong")

    async def told(self, event):
        """Return the next event of a kind; others in between are passed over."""
        async with asyncio.timeout(PATIENCE):
            while line := await self._process.stdout.readline():
                found = json.loads(line)
                if found["event"] == event:
                    return found
        raise AssertionError(f"the SMSC ended before it told {event}")


@asynccontextmanager
async def node_smsc():
    if not (MODULES / "smpp").is_dir():
        pytest.fail("npm's smpp is not installed: run `make peers`")
    process = await asyncio.create_subprocess_exec(
        "node", str(HERE / "peers" / "smsc.cjs"), stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE, env={"NODE_PATH": str(MODULES), "PATH": os.environ["PATH"]},
    )  # fmt: skip
    try:
        yield Node(process)
    finally:
        process.stdin.close()
        await process.wait()


async def test_npms_smsc_is_understood_and_understands(pool, clock):
    async with node_smsc() as smsc:
        port = (await smsc.told("listening"))["port"]
        found = await link_check.check(link_settings(port, password="wrong"), pool, clock)
        assert any("password is wrong" in each.words for each in found if not each.fine)
        async with SmppLink(link_settings(port), pool, clock).running() as link:
            await smsc.told("bound")
            await asyncio.wait_for(link.up.wait(), PATIENCE)
            found = await link_check.check(link_settings(port), pool, clock)
            assert any("bound already" in each.words for each in found if not each.fine)
            smsc.do("receipts", form="hex")
            async with db.transaction(pool) as tx:
                for text in ("回复Y确认", "YES €", LONG):
                    await actions.send(
                        tx, msisdn=MSISDN, text=text, kind=MessageKind.PROMPT, about_kind="x",
                        about_id="1", now=clock.now(),
                    )  # fmt: skip
            assert await pump_out(pool, link, clock) == 3
            out = [await smsc.told("submitted") for _ in range(4)]
            assert [each["text"] for each in out[:2]] == ["回复Y确认", "YES €"]
            assert "".join(each["text"] for each in out[2:]) == LONG
            assert [each["part"] and each["part"][-2:] for each in out] == [
                None,
                None,
                [2, 1],
                [2, 2],
            ]
            for text, long in (("Y", False), ("退订", False), ("退订" * 100, True)):
                smsc.do("deliver", **{"from": "+" + MSISDN}, to="10010", text=text, long=long)
                assert (await smsc.told("answered"))["status"] == 0
            rows = await pool.fetch("SELECT text FROM message_in ORDER BY received_at, id")
            assert [row["text"] for row in rows] == ["Y", "退订", "退订" * 100]
            states = await pool.fetch("SELECT state FROM message_out")
            assert [row["state"] for row in states] == ["delivered"] * 3, "decimal id, hex receipt"
            smsc.do("answer", statuses=[0x401])
            await asyncio.wait_for(smsc.written(), PATIENCE)
            with pytest.raises(LinkRefused, match="smpp_0x00000401"):
                await link.submit(message("a code of the vendor's own"))
            for end in ("drop", "unbind"):
                smsc.do(end)
                await smsc.told("gone")
                await smsc.told("bound")
