"""What a message may say: lists that see through disguises, templates, and text that is not kept."""

from typing import Any
from uuid import UUID

import msgspec
import pytest
from httpx import AsyncClient
from hypothesis import given
from hypothesis import strategies as st

from spms.authorisation import actions
from spms.authorisation.content import ContentFact, ContentRules, Lists, fits
from spms.authorisation.model import Purpose
from spms.catalogue import templates
from spms.catalogue.refusals import Decided, NotInUse, SamePerson
from spms.catalogue.rules import wording_allowed
from spms.catalogue.template_model import NewTemplate
from spms.core import db
from spms.core.db import Connection
from spms.subscribers.model import Language
from tests import make
from tests.authorisation import arrange
from tests.authorisation.arrange import DAY, HOUR, SECOND, SignIn, World

RULES = ContentRules(
    forbidden_words={"lottery": "六合彩", "loan": "Quick Loan"},
    forbidden_hosts={"phish": "bad.example.com"},
)


@pytest.mark.parametrize(
    ("text", "met"),
    [
        ("今日天气晴", ()),
        ("六合彩开奖", ("lottery",)),
        ("六 合.彩", ("lottery",)),
        ("六\u200b合\u200d彩", ("lottery",)),
        ("ＱＵＩＣＫ－ｌｏａｎ", ("loan",)),
        ("quic loan", ()),
        ("请访问 https://bad.example.com/a", ("phish",)),
        ("BAD。example．COM", ("phish",)),
        ("see www.bad.example.com now", ("phish",)),
        ("a.b.c.d.e.f.g.h.i.bad.example.com", ("phish",)),
        ("http://fine.example@bad.example.com:80/?q", ("phish",)),
        ("notbad.example.com is another", ()),
        ("bad.example.com.cn is another", ()),
        ("六合彩 quick loan bad.example.com", ("loan", "lottery", "phish")),
    ],
)
def test_the_lists_see_what_people_read(text: str, met: tuple[str, ...]) -> None:
    assert Lists(RULES).met(text) == met


WEATHER = "【天气】{}今日{}，{}度。"


@pytest.mark.parametrize(
    ("wording", "text", "fit"),
    [
        (WEATHER, "【天气】天津今日晴，22度。", True),
        (WEATHER, "【天气】今日，度。", True),
        (WEATHER, "【天气】天津今日晴,22度。", True),  # a full-width comma is a comma
        (WEATHER, "【天气】天津今日晴，22度。再来", False),
        (WEATHER, "x【天气】天津今日晴，22度。", False),
        (WEATHER, "【天气】" + "天" * 30 + "今日晴，22度。", True),
        (WEATHER, "【天气】" + "天" * 31 + "今日晴，22度。", False),
        (WEATHER, "【天气】今日今日今日晴，22度。", True),  # a place may hold the words themselves
        ("{}ab", "ababab", True),
        ("ab{}", "ab" + "x" * 30, True),
        ("ab{}", "ab" + "x" * 31, False),
        ("once", "once", True),
        ("once", "once ", False),
    ],
)
def test_a_text_follows_its_template_or_does_not(wording: str, text: str, fit: bool) -> None:
    assert fits(wording, text) is fit


@given(st.lists(st.text("ab", min_size=1, max_size=3), min_size=1, max_size=5), st.data())
def test_whatever_is_put_into_the_places_fits(parts: list[str], data: st.DataObject) -> None:
    text = parts[0]
    for part in parts[1:]:
        text += data.draw(st.text("ab", max_size=30)) + part
    assert fits("{}".join(parts), text)


def test_no_text_can_make_the_looking_slow() -> None:
    """Each takes a matter of milliseconds; what goes back and tries again would take ages."""
    assert not fits("a{}" * 10 + "b", "a" * 1000)
    assert not Lists(RULES).met("a." * 499 + "-")
    assert not Lists(RULES).met("a-" * 500)


@pytest.mark.parametrize("wording", ["{}", "{}{}", "ab{}{}cd", " {} ", "x{}" * 11])
def test_a_template_that_would_allow_anything_is_none(wording: str) -> None:
    assert not wording_allowed(wording)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"wording": wording}, NewTemplate)


async def _template(world: World, wording: str = WEATHER, *, approve: bool = True) -> Any:
    async with db.transaction(world.pool) as tx:
        made = await templates.draft(
            tx, world.service_id, NewTemplate(wording=wording), actor=make.sp_actor(world.sp_id),
            now=world.now - DAY,
        )  # fmt: skip
        return await templates.decide(
            tx, made.id, approve=approve, reason="x", actor=make.OFFICER, now=world.now - HOUR
        )


async def _push(world: World, content: str | None, **more: Any) -> list[str]:
    return await world.ask(purpose=Purpose.MESSAGE, price_fen=0, content=content, **more)


GOOD = "【天气】天津今日晴，22度。"


async def test_a_service_with_approved_texts_sends_nothing_else(
    world: World, owner: Connection
) -> None:
    assert await _push(world, "随便什么") == []
    await _template(world, "被驳回的", approve=False)
    assert await _push(world, "随便什么") == []
    made = await _template(world)
    assert await _push(world, GOOD) == []
    assert await _push(world, "随便什么") == await _push(world, None) == ["content_not_approved"]
    assert await _push(world, "随便什么", at=world.now - HOUR - SECOND) == []
    assert await world.ask() == []  # a charge says nothing
    async with db.transaction(world.pool) as tx:
        for failing in (SamePerson, Decided):
            who = make.sp_actor(world.sp_id) if failing is SamePerson else make.OFFICER_2
            with pytest.raises(failing):
                await templates.decide(
                    tx, made.id, approve=False, reason="x", actor=who, now=world.now
                )
        await templates.retire(tx, made.id, reason="x", actor=make.OFFICER, now=world.now)
        with pytest.raises(NotInUse):
            await templates.retire(tx, made.id, reason="x", actor=make.OFFICER, now=world.now)
    # Else an SP could free itself of its templates.
    assert await _push(world, GOOD) == ["content_not_approved"]
    assert await _push(world, GOOD, at=world.now - SECOND) == []
    (decision,) = await world.decide(
        world.question(purpose=Purpose.MESSAGE, price_fen=0, content=GOOD),
        at=world.now - SECOND,
    )  # fmt: skip
    told = await actions.explain(world.tx, decision.id, actor=make.OFFICER)
    assert told.facts.content == ContentFact(bound=True, template_id=made.id, template_version=2)
    assert told.agrees
    assert told.replay.facts == told.facts


async def test_a_text_is_looked_at_and_kept_nowhere(
    world: World, owner: Connection, http: AsyncClient, sign_in: SignIn,
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    rules = {"content": msgspec.to_builtins(RULES)}
    await arrange.insert(
        owner, "rulebook", version=2, effective_from=world.now - HOUR, rules=rules, reason="test",
        created_at=world.now, created_by="test",
    )  # fmt: skip
    secret = "王女士您的验证码是四八二一"
    body = {
        "purpose": "message", "msisdn": world.msisdn, "service_code": world.code,
        "content": f"{secret}六-合-彩",
    }  # fmt: skip
    headers = await sign_in(make.sp_actor(world.sp_id))
    answer = await http.post("/authorisations", json=body, headers=headers)
    assert answer.json()["reasons"] == ["content_forbidden"]
    for wrong in (body | {"content": ""}, body | {"content": secret * 100}):
        refused = await http.post("/authorisations", json=wrong, headers=headers)
        assert refused.status_code == 400
        assert secret not in refused.text
    keyed = headers | {"Idempotency-Key": "push-1"}
    assert (await http.post("/authorisations", json=body, headers=keyed)).status_code == 200
    for table in ("authorisation", "decision_pack", "idempotency", "audit_log"):
        rows = await owner.fetch(f"SELECT t::text AS row FROM {table} t")
        assert not [row for row in rows if secret in row["row"]]
        assert not [row for row in rows if secret.encode().hex() in row["row"]]
    assert secret not in "".join(capsys.readouterr()) + caplog.text
    told = await actions.explain(
        world.tx,
        UUID(answer.json()["id"]),
        actor=make.sp_actor(world.sp_id),
        language=Language.ZH,
    )
    assert told.agrees
    assert told.replay.facts == told.facts
    assert "内容触及运营商名单条目：lottery。" in [check.sentence for check in told.checks]
