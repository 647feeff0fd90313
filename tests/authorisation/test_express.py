"""The short way through the edge answers as the usual way does, word for word and header for header.

Each request is sent twice: to the edge with its shortcut, and to one without.
"""

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from httpx import AsyncClient, Response

from spms.authorisation.express import Express
from spms.core.db import Connection
from spms.core.errors import Unavailable
from tests import make
from tests.authorisation import arrange
from tests.authorisation.arrange import SignIn, World

JSON = (b"Content-Type", b"application/json")
TYPED = {"Content-Type": "application/json"}
PATH = "/authorisations"
Headers = list[tuple[bytes, bytes]]


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Tell for each request that came to the short way whether it was answered there."""
    answered: list[bool] = []
    call = Express.__call__

    async def counted(self: Express, headers: Any, body: bytes) -> bytes | None:
        answered.append(False)
        answer = await call(self, headers, body)
        answered[-1] = answer is not None
        return answer

    monkeypatch.setattr(Express, "__call__", counted)
    return answered


def shown(response: Response) -> tuple[int, dict[str, str], Any]:
    """Return all of an answer but the decision's own id."""
    body = response.content
    if response.status_code == 200 and body:
        body = msgspec.json.encode(response.json() | {"id": ""})
    return response.status_code, dict(sorted(response.headers.items())), body


def question(world: World, **values: Any) -> bytes:
    asked = {"purpose": "message", "msisdn": world.msisdn, "service_code": world.code}
    return msgspec.json.encode(asked | values)


async def test_every_odd_request_is_answered_in_the_usual_words(
    world: World, http: AsyncClient, usual: AsyncClient, sign_in: SignIn, taken: list[bool]
) -> None:
    token = (await sign_in(make.sp_actor(world.sp_id)))["Authorization"].encode()
    good = question(world)
    me = (b"Authorization", token)
    bodies = [
        good[:-1], good + b"{}", b"", b"null", b"[]", b"\xef\xbb\xbf" + good, b"[" * 5000,
        question(world, more=1), question(world, price_fen="800"), question(world, price_fen=-1),
        question(world, price_fen=2**63), question(world, purpose="gift"),
        question(world, msisdn=world.msisdn + "\n"), question(world, msisdn="\x00"),
        question(world, service_code="\u202e"), b'{"purpose":"message","purpose":"charge"}',
        good.replace(b"message", b"\xff"), good[:-1] + b',"price_fen":1e3}',
        good[:-1] + b',"price_fen":NaN}', question(world, link_id=1), b" " * 2_000_000,
    ]  # fmt: skip
    headers: list[Headers] = [
        [JSON], [JSON, me, me], [JSON, (b"Authorization", b"Basic abc")],
        [JSON, (b"Authorization", b"Bearer")], [JSON, (b"Authorization", b"Bearer ")],
        [JSON, (b"Authorization", token.replace(b" ", b"  "))],
        [JSON, (b"Authorization", token + b"x" * 600)], [JSON, (b"Authorization", token + b"\xe9")],
        [JSON, (b"Authorization", token + b" ")], [JSON, (b"Authorization", b"Bearer unknown")],
        [me], [JSON, JSON, me], [(b"Content-Type", b"text/plain"), me],
        [(b"Content-Type", b"application/json; charset=gbk"), me],
        [JSON, me, (b"Content-Encoding", b"gzip")],
        [JSON, me, (b"Idempotency-Key", b"a"), (b"Idempotency-Key", b"b")],
        [JSON, me, (b"Idempotency-Key", b"\xff")], [JSON, me, (b"Idempotency-Key", b"")],
        [JSON, me, (b"Idempotency-Key", b"x" * 300)],
    ]  # fmt: skip
    paths = ["?limit=5", "?more=1", "?msisdn=8613800138000", "?a=1&a=1", "?limit=x", "?%00", "/"]
    requests: list[tuple[str, str, bytes, Headers]] = [
        *(("POST", PATH, body, [JSON, me]) for body in bodies),
        *(("POST", PATH, good, some) for some in headers),
        *(("POST", PATH + path, good, [JSON, me]) for path in paths),
        *((verb, PATH, good, [JSON, me]) for verb in ("PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")),
    ]
    for verb, path, body, some in requests:
        asked: dict[str, Any] = {"content": body, "headers": some}
        short, long = [await one.request(verb, path, **asked) for one in (http, usual)]
        assert shown(short) == shown(long), (verb, path, body[:80], some[-1])
        assert short.status_code < 500
    assert len(taken) > len(bodies), "it was tried"
    assert not any(taken), "and left to the usual way"


async def test_who_may_not_ask_is_refused_in_the_usual_words(
    world: World, owner: Connection, http: AsyncClient, usual: AsyncClient, sign_in: SignIn,
    taken: list[bool],
) -> None:  # fmt: skip
    asked = question(world)
    roles = [await sign_in(actor) for actor in (make.sp_actor(world.sp_id), make.OFFICER)]

    async def both(token: dict[str, str]) -> int:
        sent: dict[str, Any] = {"content": asked, "headers": token | TYPED}
        short, long = [await one.post(PATH, **sent) for one in (http, usual)]
        assert shown(short) == shown(long)
        return short.status_code

    assert [await both(token) for token in roles] == [200, 403]
    assert taken == [True, False]
    later = world.now - timedelta(seconds=1)
    for spoil in (
        "UPDATE access_token SET expires_at = $1",
        "UPDATE access_token SET revoked_at = $1",
        "UPDATE credential SET revoked_at = $1, revoked_by = 'test'",
    ):
        token = await sign_in(make.sp_actor(world.sp_id))
        assert await both(token) == 200
        await owner.execute(spoil, later)
        assert await both(token) == 401
    assert await arrange.on_record(owner) == 8


async def test_when_no_answer_can_be_had_both_ways_say_so_alike(
    world: World, http: AsyncClient, usual: AsyncClient, sign_in: SignIn,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    token = await sign_in(make.sp_actor(world.sp_id))

    async def away(*_: Any, **__: Any) -> Any:
        raise Unavailable("the database cannot answer now", headers={"Retry-After": "1"})

    monkeypatch.setattr("spms.authorisation.engine.decide_all", away)
    monkeypatch.setattr("spms.authorisation.deciding.decide_all", away)
    sent: dict[str, Any] = {"content": question(world), "headers": token | TYPED}
    short, long = [await one.post(PATH, **sent) for one in (http, usual)]
    assert shown(short) == shown(long)
    assert short.status_code == 503
    assert short.headers["retry-after"] == "1"
