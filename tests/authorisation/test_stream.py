"""The gateways' stream, driven as a server drives it: frames in, frames out, drops in between."""

import asyncio
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from httpx import AsyncClient

from spms.authorisation import stream
from spms.authorisation.frames import TOGETHER_MAX
from spms.core.db import Connection
from spms.core.edge import Edge
from tests import make
from tests.authorisation.arrange import SignIn, World, on_record


class Line:
    """One connection, seen from the gateway."""

    def __init__(self, app: Edge, headers: dict[str, str], *, room: int = 0) -> None:
        """`room` for so many replies that nobody has read; 0: any number."""
        self.sent: asyncio.Queue[Any] = asyncio.Queue()
        self.got: asyncio.Queue[Any] = asyncio.Queue(room)
        scope = {
            "type": "websocket", "path": "/authorisations/stream", "query_string": b"",
            "raw_path": b"/authorisations/stream", "root_path": "", "scheme": "ws",
            "headers": [(k.lower().encode(), v.encode()) for k, v in headers.items()],
            "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2), "subprotocols": [],
            "extensions": {}, "asgi": {"version": "3.0"}, "http_version": "1.1",
        }  # fmt: skip
        self.sent.put_nowait({"type": "websocket.connect"})
        call: Any = app(scope, self.sent.get, self.got.put)  # type: ignore[arg-type]
        self.task = asyncio.ensure_future(call)

    async def opened(self) -> str:
        return str((await asyncio.wait_for(self.got.get(), 60))["type"])

    def ask(self, **frame: Any) -> None:
        text = msgspec.json.encode(frame).decode()
        self.sent.put_nowait({"type": "websocket.receive", "text": text, "bytes": None})

    def ask_packed(self, **frame: Any) -> None:
        packed = msgspec.msgpack.encode(frame)
        self.sent.put_nowait({"type": "websocket.receive", "bytes": packed, "text": None})

    async def reply(self) -> dict[str, Any]:
        message = await asyncio.wait_for(self.got.get(), 60)
        if message.get("bytes") is not None:
            return dict(msgspec.msgpack.decode(message["bytes"]))
        return dict(msgspec.json.decode(message["text"]))

    async def drop(self) -> None:
        self.sent.put_nowait({"type": "websocket.disconnect", "code": 1006})
        await asyncio.wait_for(self.task, 60)


@pytest.fixture
def app(http: AsyncClient, sandbox_app: Edge) -> Edge:
    """Return the application on this test's pool (`http` puts it there)."""
    assert http is not None
    return sandbox_app


def held(world: World, reference: str) -> dict[str, Any]:
    return {
        "reference": reference, "msisdn": world.msisdn, "service_code": world.code,
        "price_fen": 800,
    }  # fmt: skip


async def test_many_in_flight_and_a_drop_without_a_second_reservation(
    uses: World, app: Edge, owner: Connection, sign_in: SignIn
) -> None:
    headers = await sign_in(make.sp_actor(uses.sp_id))
    line = Line(app, headers)
    assert await line.opened() == "websocket.accept"
    message = {"purpose": "message", "msisdn": uses.msisdn, "service_code": uses.code}
    for n in range(50):
        line.ask(op="decide", id=n, question=message)
    replies = [await line.reply() for _ in range(50)]
    assert sorted(reply["id"] for reply in replies) == list(range(50))
    assert all(reply["answer"]["allowed"] for reply in replies)

    line.ask_packed(op="reserve", id=50, question=held(uses, "order-1"))
    first = (await line.reply())["answer"]["reservation"]
    line.ask(op="reserve", id=51, question=held(uses, "order-2"))
    await line.drop()  # before the answer
    line = Line(app, headers)
    await line.opened()
    for n, reference in enumerate(("order-1", "order-2")):
        line.ask(op="reserve", id=n, question=held(uses, reference))
    again = sorted([await line.reply() for _ in range(2)], key=lambda reply: reply["id"])
    assert again[0]["answer"]["reservation"]["id"] == first["id"]
    assert await owner.fetchval("SELECT count(*) FROM reservation") == 2
    assert await owner.fetchval("SELECT total_fen FROM month_spend") == 1600

    line.ask(op="capture", id=7, reservation_id=first["id"])
    assert (await line.reply())["answer"]["state"] == "captured"
    line.ask(op="release", id=8, reservation_id=first["id"])
    assert (await line.reply())["refusal"]["code"] == "reservation_closed"
    line.ask(op="release", id=9, reservation_id=str(uuid4()))
    assert (await line.reply())["refusal"]["status"] == 404
    line.ask(op="decide", id=10, question=message | {"msisdn": "13800138000"})
    wrong = await line.reply()
    assert wrong["refusal"]["code"] == "invalid"
    assert "13800138000" not in str(wrong)
    await owner.execute("UPDATE credential SET revoked_at = $1, revoked_by = 'test'", uses.now)
    line.ask(op="decide", id=11, question=message)
    assert (await line.reply())["refusal"]["status"] == 401
    await line.drop()


async def test_a_stream_reads_no_more_than_it_has_room_for(
    uses: World, app: Edge, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "IN_FLIGHT_MAX", 3)
    line = Line(app, await sign_in(make.sp_actor(uses.sp_id)))
    await line.opened()
    for n in range(20):
        line.ask(op="reserve", id=n, question=held(uses, f"r{n}"))
    for _ in range(20):
        await asyncio.sleep(0)
    assert line.sent.qsize() >= 16
    replies = [await line.reply() for _ in range(20)]
    assert {reply["id"] for reply in replies} == set(range(20))
    assert sum(reply["answer"]["decision"]["allowed"] for reply in replies) == 3
    await line.drop()


async def test_who_does_not_read_replies_is_not_read_either(
    uses: World, app: Edge, owner: Connection, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "IN_FLIGHT_MAX", 3)
    line = Line(app, await sign_in(make.sp_actor(uses.sp_id)), room=1)
    await line.opened()
    message = {"purpose": "message", "msisdn": uses.msisdn, "service_code": uses.code}
    for n in range(20):
        line.ask(op="decide", id=n, question=message)
    async with asyncio.timeout(60):
        while await on_record(owner) < 3:  # noqa: ASYNC110 - rows, not an event
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.2)  # in which all of them would be decided
    assert line.sent.qsize() >= 15
    assert await on_record(owner) <= 5
    assert {(await line.reply())["id"] for _ in range(20)} == set(range(20))
    await line.drop()


@pytest.mark.parametrize("who", ["nobody", "officer"])
async def test_only_an_sp_opens_a_stream(app: Edge, sign_in: SignIn, who: str) -> None:
    headers = await sign_in(make.OFFICER) if who == "officer" else {}
    line = Line(app, headers)
    assert await line.opened() == "websocket.close"


async def test_a_frame_may_hold_many_questions_and_one_of_them_spoils_none(
    uses: World, app: Edge, owner: Connection, sign_in: SignIn
) -> None:
    line = Line(app, await sign_in(make.sp_actor(uses.sp_id)))
    await line.opened()
    together = [
        {"op": "reserve", "id": 1, "question": held(uses, "order-1")},
        {"op": "release", "id": 2, "reservation_id": str(uuid4())},
        {"op": "reserve", "id": 3, "question": held(uses, "order-1")},
        {"op": "reserve", "id": 4, "question": held(uses, "order-2")},
        {"op": "reserve", "id": 5, "question": held(uses, "order-3") | {"price_fen": "8"}},
    ]
    for packed in (True, False):
        text = msgspec.json.encode(together).decode()
        line.sent.put_nowait({
            "type": "websocket.receive", "text": None if packed else text,
            "bytes": msgspec.msgpack.encode(together) if packed else None,
        })  # fmt: skip
        message = await asyncio.wait_for(line.got.get(), 60)
        replies = (
            msgspec.msgpack.decode(message["bytes"])
            if packed
            else msgspec.json.decode(message["text"])
        )
        assert [reply["id"] for reply in replies] == [1, 2, 3, 4, 5]
        ids = [replies[n]["answer"]["reservation"]["id"] for n in (0, 2, 3)]
        assert ids[0] == ids[1] != ids[2]
        assert replies[1]["refusal"]["status"] == 404
        assert replies[4]["refusal"]["status"] == 400
        assert replies[4]["refusal"]["errors"][0]["pointer"] == "/4/question/price_fen"
    assert await owner.fetchval("SELECT count(*) FROM reservation") == 2
    too_many = msgspec.msgpack.encode([{"op": "capture", "id": 1}] * (TOGETHER_MAX + 1))
    line.sent.put_nowait({"type": "websocket.receive", "bytes": too_many, "text": None})
    assert (await line.reply())["refusal"]["status"] == 400
    await line.drop()


async def test_a_frame_with_a_key_twice_is_refused_in_both_forms_and_the_stream_goes_on(
    uses: World, app: Edge, owner: Connection, sign_in: SignIn
) -> None:
    line = Line(app, await sign_in(make.sp_actor(uses.sp_id)))
    await line.opened()
    frame = {"op": "reserve", "id": 1, "question": held(uses, "order-1")}
    packed, text = msgspec.msgpack.encode(frame), msgspec.json.encode(frame).decode()
    for sent in (
        {"bytes": b"\x84\xa2id\x09" + packed[1:], "text": None},
        {"bytes": None, "text": '{"id":9,' + text[1:]},
    ):
        line.sent.put_nowait({"type": "websocket.receive"} | sent)
        told = await line.reply()
        assert (told["id"], told["refusal"]["code"]) == (None, "duplicate_key")
    line.ask_packed(**frame)
    assert (await line.reply())["answer"]["decision"]["allowed"]
    assert await owner.fetchval("SELECT count(*) FROM reservation") == 1
    await line.drop()
