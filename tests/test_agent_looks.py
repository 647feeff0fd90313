"""Whatever shows an agent something about a number counts to one limit, of whichever room it is."""

import asyncio
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from spms.app import openapi_document
from spms.core import db, roles
from spms.core.clock import SHANGHAI, start_of_day
from spms.core.settings import Settings
from spms.subscribers.looks import LooksRules
from tests.api_world import LittleWorld, Served, served
from tests.conftest import START, clone, drop
from tests.good_calls import CALLS, PARAMETERS, WHY, of_person, unproven

EVIDENCE = "/subscriptions/{subscription_id}/evidence"
CHARGE = "/charge-records/{charge_id}/evidence-pack"
Body = Callable[[LittleWorld], Any] | None
LOOKS: dict[str, Body] = {
    "POST /numbers/lookup": None,
    "POST /numbers/bars": None,
    "POST /subscriptions": lambda w: of_person(w, service_id=w.another_service("online"), **WHY),
    "POST /subscriptions/search": None,
    f"GET {EVIDENCE}": None,
    f"POST {EVIDENCE}-pack.json": None,
    f"POST {EVIDENCE}-pack.pdf": None,
    "POST /proxy-lookups": None,
    "POST /authorisations/{authorisation_id}/explanation": None,
    "POST /bills/search": None,
    "POST /bills/lines/search": None,
    "POST /bills/file": None,
    f"POST {CHARGE}.json": None,
    f"POST {CHARGE}.pdf": None,
    "POST /claims": lambda w: of_person(w, charge_id=str(w.names["charge_id"]), **WHY),
    "POST /claims/preview": lambda w: of_person(w, **unproven(w)),
    "POST /verifications": lambda w: of_person(w, **unproven(w)),
    "POST /refunds/search": None,
}
"""What an agent looks with: the body where the good call is another's."""

NEVER_HELD_UP: dict[str, Body] = {
    "POST /subscriptions/{subscription_id}/leave": None,
    "POST /subscriptions/leave-all": None,
    "POST /leave-wishes/{wish_id}/settlement": None,
}
"""Leaving always works: it counts, and goes on when the looks are used up."""

SHOWS_NO_NUMBER = {
    "POST /proxy-lookups/{lookup_id}/leave",  # goes with a look that was counted
    "GET /leave-wishes", "GET /leaving-duties",  # lists of work: no number is asked about
    "GET /breach-catalogue", "GET /breaches", "GET /breaches/{breach_id}", "GET /claim-reasons",
    "GET /breaches/{breach_id}/history", "GET /promoted-services", "GET /services",
    "GET /services/{service_id}", "GET /services/{service_id}/tariffs",
    "GET /services/{service_id}/templates", "POST /sign-out", "GET /sps", "GET /sps/{sp_id}",
    "GET /sps/{sp_id}/contact-changes", "GET /sps/{sp_id}/points", "GET /sps/{sp_id}/quotas",
    "GET /sps/{sp_id}/restrictions",
}  # fmt: skip


BREAK = """
    CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'no room for a line'; END $$;
    CREATE TRIGGER broken BEFORE INSERT ON audit_log FOR EACH ROW WHEN (NEW.actor = '{agent}')
        EXECUTE FUNCTION broken()
"""


@pytest.fixture(scope="module")
def house_url(server_url: str, template: str) -> Iterator[str]:
    url = asyncio.run(clone(server_url, template))
    yield url
    asyncio.run(drop(server_url, urlsplit(url).path[1:]))


@pytest.fixture(scope="module")
def house(house_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    settings = Settings(
        data_dir=str(tmp_path_factory.mktemp("data")), port=0, sandbox=True, pool_size=5
    )
    with served(roles.app_url(house_url), settings) as house:
        yield house


@pytest.fixture
def world(house: Served) -> Iterator[LittleWorld]:
    world = LittleWorld(house)
    yield world
    world.close()


def ask(world: LittleWorld, label: str, who: str = "agent") -> httpx.Response:
    """Make a call that must succeed, as an agent or as somebody else."""
    method, path = label.split(" ")
    for name in re.findall(r"\{(\w+)\}", path):
        value = world.names.get(name) or PARAMETERS[name](world)
        path = path.replace(f"{{{name}}}", str(value))
    body_of = (LOOKS | NEVER_HELD_UP)[label] or (lambda w: CALLS[label](w).body)
    body = None if method == "GET" else body_of(world)
    return world._http.request(method, path, json=body, headers=world.headers(who))


def fetch(world: LittleWorld, statement: str, *values: Any) -> list[Any]:
    async def work() -> list[Any]:
        async with db.transaction(world.house.pool) as tx:
            return list(await tx.fetch(statement, f"staff:{world.agent}", *values))

    return world.house.run(work())


def counted(world: LittleWorld) -> dict[str, int]:
    rows = fetch(world, "SELECT span, used FROM bill_quota WHERE agent = $1")
    return {row["span"]: row["used"] for row in rows}


def use_up(world: LittleWorld) -> None:
    """Let the agent have looked as often in this hour and on this day as one may in an hour."""
    for span, at in ("hour", START), ("day", start_of_day(START.astimezone(SHANGHAI).date())):
        fetch(
            world,
            """INSERT INTO bill_quota (agent, span, starts_at, used) VALUES ($1, $2, $3, $4)
               ON CONFLICT (agent, span, starts_at) DO UPDATE SET used = $4 RETURNING used""",
            span, at, LooksRules().hour,
        )  # fmt: skip


def test_it_is_known_of_everything_an_agent_may_whether_it_is_a_look() -> None:
    of_agents = {
        f"{method.upper()} {path}"
        for path, methods in openapi_document()["paths"].items()
        for method, operation in methods.items()
        if re.search(r"For: (?:[a-z]+, )*agent[,.]", operation.get("description", ""))
    }
    assert of_agents == LOOKS.keys() | NEVER_HELD_UP.keys() | SHOWS_NO_NUMBER


@pytest.mark.parametrize("label", [*LOOKS, *NEVER_HELD_UP])
def test_whatever_shows_an_agent_something_about_a_number_is_a_look(
    label: str, world: LittleWorld
) -> None:
    world.post("compliance", "/canary-numbers", {"msisdn": world.names["msisdn"]})
    answer = ask(world, label)
    assert answer.status_code < 300, answer.text
    assert counted(world) == {"hour": 1, "day": 1}
    assert len(fetch(world, "SELECT FROM canary_touch WHERE touched_by = $1")) == 1
    noted = fetch(world, "SELECT reason FROM audit_log WHERE actor = $1")
    assert any((row["reason"] or "").strip() for row in noted), "who looked and why is on record"


@pytest.fixture
def no_log(house_url: str, world: LittleWorld) -> Iterator[None]:
    """Let no line of the audit log about this agent be written."""

    async def say(statement: str) -> None:
        owner = await db.connect(house_url)
        await owner.execute(statement)
        await owner.close()

    asyncio.run(say(BREAK.format(agent=f"staff:{world.agent}")))
    yield
    asyncio.run(say("DROP TRIGGER broken ON audit_log; DROP FUNCTION broken()"))


@pytest.mark.parametrize("label", LOOKS)
@pytest.mark.usefixtures("no_log")
def test_what_cannot_be_put_on_record_is_not_shown(label: str, world: LittleWorld) -> None:
    """Promise P19: the line is there before anything is read out, or nothing is."""
    answer = ask(world, label)
    assert answer.status_code >= 500, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json().keys() <= {
        "type",
        "title",
        "status",
        "detail",
        "instance",
        "code",
        "errors",
    }
    assert world.names["msisdn"][5:] not in answer.text
    assert fetch(world, "SELECT FROM audit_log WHERE actor = $1") == []


@pytest.mark.parametrize("label", LOOKS)
def test_when_the_looks_are_used_up_nothing_more_is_shown(label: str, world: LittleWorld) -> None:
    use_up(world)
    answer = ask(world, label)
    assert (answer.status_code, answer.json()["code"]) == (429, "looks_used_up")
    assert int(answer.headers["retry-after"]) > 0


@pytest.mark.parametrize("label", NEVER_HELD_UP)
def test_leaving_works_also_when_the_looks_are_used_up(label: str, world: LittleWorld) -> None:
    use_up(world)
    answer = ask(world, label)
    assert answer.status_code < 300, answer.text
    assert counted(world)["hour"] == LooksRules().hour + 1


def test_what_is_refused_after_the_look_was_one_all_the_same(world: LittleWorld) -> None:
    """A refusal tells something as well: that she has it already, that she is barred."""
    first = ask(world, "POST /subscriptions")
    assert first.status_code == 201
    again = world._http.post(
        "/subscriptions",
        json=of_person(world, service_id=str(world.names["service_id"]), **WHY),
        headers=world.headers("agent"),
    )
    assert (again.status_code, again.json()["code"]) == (409, "already_subscribed")
    assert counted(world) == {"hour": 2, "day": 2}
    nobodys = world._http.post(
        "/numbers/bars",
        json={"msisdn": "8613900000000", "scope": "all", **WHY},
        headers=world.headers("agent"),
    )
    assert nobodys.status_code == 404
    assert counted(world) == {"hour": 3, "day": 3}
    another = "00000000-0000-0000-0000-000000000001"
    body = of_person(world, charge_id=another, **WHY)
    line = world._http.post("/bills/lines/search", json=body, headers=world.headers("agent"))
    assert line.status_code == 404, "it says whose the charge is not"
    assert counted(world) == {"hour": 4, "day": 4}
    wish = world._http.post(
        f"/leave-wishes/{PARAMETERS['wish_id'](world)}/settlement",
        json={"subscription_ids": [another], "ticket": "GD-1", **WHY},
        headers=world.headers("agent"),
    )
    assert wish.status_code == 404, "it says what she had not"
    assert counted(world) == {"hour": 5, "day": 5}
    passed_on = "UPDATE number SET epoch = epoch + 1 WHERE msisdn = $2 AND $1 <> '' RETURNING epoch"
    assert len(fetch(world, passed_on, world.names["msisdn"])) == 1
    left = ask(world, "POST /subscriptions/{subscription_id}/leave")
    assert left.status_code == 404, "it says that the number has another holder"
    assert counted(world) == {"hour": 6, "day": 6}
    noted = fetch(world, "SELECT act FROM audit_log WHERE actor = $1 AND reason IS NOT NULL")
    acts = [row["act"] for row in noted]
    assert acts.count("bill.line_looked_up") == 1
    assert acts.count("number.looked_at") == 5, "the others, refused or not"


def test_neither_a_subscriber_nor_an_sp_nor_an_officer_is_counted(world: LittleWorld) -> None:
    before = fetch(world, "SELECT FROM bill_quota WHERE agent <> $1")
    evidence = f"GET {EVIDENCE}"
    for who, label in (
        ("subscriber", evidence), ("sp", evidence), ("compliance", evidence),
        ("compliance", "POST /numbers/lookup"), ("compliance", "POST /subscriptions/search"),
        ("compliance", f"POST {CHARGE}.json"), ("subscriber", "POST /claims/preview"),
    ):  # fmt: skip
        answer = ask(world, label, who)
        assert answer.status_code < 300, answer.text
    assert len(fetch(world, "SELECT FROM bill_quota WHERE agent <> $1")) == len(before)
    assert counted(world) == {}


def test_the_same_request_again_is_no_further_look(world: LittleWorld) -> None:
    """It is answered as before, also by whoever has no look left."""
    body = of_person(world, charge_id=str(world.names["charge_id"]), **WHY)
    headers = world.headers("agent") | {"Idempotency-Key": "claim-1"}
    first = world._http.post("/claims", json=body, headers=headers)
    assert (first.status_code, counted(world)) == (200, {"hour": 1, "day": 1})
    use_up(world)
    again = world._http.post("/claims", json=body, headers=headers)
    assert (again.status_code, again.json()) == (200, first.json())
    assert counted(world)["hour"] == LooksRules().hour
