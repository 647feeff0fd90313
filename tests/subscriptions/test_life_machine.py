"""A number's life by chance, on the real database, beside a small model written from the rules.

After every step: each charge that stands has two consents, the confirmed price and a time inside
the relation's range; every other one is refunded double; and what is had is what the rules say.
"""

import asyncio
import json
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.internal.conjecture.providers import HypothesisProvider
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from spms.core import db, roles
from spms.core.settings import Settings
from spms.messaging.model import MessageIn
from tests.conftest import clone, drop
from tests.subscriptions.life_driver import OPERATOR, REASONS, Driver
from tests.subscriptions.life_model import Charge, Life

T = TypeVar("T")
MONTHLY, GAMES = ("weather", "news"), ("game",)
SERVICES = (*MONTHLY, *GAMES)
LAST = datetime(2026, 7, 20, tzinfo=UTC)
CRASHES = st.sampled_from(["no"] * 6 + ["rolled_back"] * 3 + ["repeated"] * 2 + ["cut"])
"""What a cut costs is a new connection with nothing prepared, so it is the rarest."""
JUMPS = st.sampled_from(
    [timedelta(seconds=1), timedelta(minutes=20), timedelta(minutes=59), timedelta(minutes=61),
     timedelta(hours=7), timedelta(hours=25), timedelta(hours=73), timedelta(days=11),
     timedelta(days=31)]
)  # fmt: skip
PRICES = [200, 500, 800, 1500]
SLOW = st.booleans()
Draw = Callable[[st.SearchStrategy[Any]], Any]
SHORT = timedelta(hours=26)
"""Not longer than this does anybody let a message lie."""
NEXT = {
    "active": ("suspended", "suspended", "transferred", "terminated", "number_changed"),
    "suspended": ("resumed", "resumed", "resumed", "terminated"),
    "terminated": ("activated",),
}


class LifeMachine(RuleBasedStateMachine):
    """One number; `unread` lies in the inbox, `untold` is an event that relations do not know."""

    run: Callable[[Awaitable[Any]], Any]
    pool: db.Pool
    owner: db.Connection
    steps: Counter[str]

    @initialize(day=st.integers(0, 40), second=st.integers(0, 86_399))
    def born(self, day: int, second: int) -> None:
        self.now = datetime(2026, 3, 1, tzinfo=UTC) + timedelta(days=day, seconds=second)
        prices = {"weather": 800, "news": 1500, "game": 200}
        self.life = Life(prices, frozenset(GAMES), self.now - timedelta(days=59))
        self.driver = Driver(self.pool, self.owner, self.steps)
        self.run(self.driver.born(self.now, prices, self.life.orders))
        self.unread: list[tuple[MessageIn, Callable[[], str], str]] = []
        self.untold = self.late = self.aged = False
        self.changed = True
        self.known: dict[UUID, Charge] = {}

    def count(self, name: str) -> None:
        self.steps[name] += 1
        self.now += timedelta(seconds=1)  # no two acts at one instant
        self.changed = True

    @rule(data=st.data())
    def step(self, data: st.DataObject) -> None:
        """Do one thing; what is done more often stands more often in the list."""
        quiet = not self.unread and not self.untold
        acts = [self.catch_up] * 3 if not quiet else [self.ask] * 6 + [self.order] * 2
        acts += [] if self.unread else [self.number_event] * 3
        acts += [] if self.untold else [self.authorise] * 2
        acts += [
            self.jump, self.jump, self.charge, self.charge, self.charge, self.charge,
            self.leave, self.reprice, self.say_something_else, self.say_no,
            self.say_yes, self.say_yes, self.say_yes, self.say_yes,
        ]  # fmt: skip
        data.draw(st.sampled_from(acts))(data.draw)

    def ask(self, draw: Draw) -> None:
        service, crash = draw(st.sampled_from(MONTHLY)), draw(CRASHES)
        door = draw(st.sampled_from(["sp", "web", "agent", "sms", "sms"]))
        if door == "sms":
            sold = self.driver.services[service]
            self.message(
                sold["keyword"], lambda: self.asked_by_sms(service), crash, to=sold["access_number"]
            )
            return
        self.count("request")
        got = self.run(self.driver.ask(service, door, crash, self.now))
        assert got == self.life.ask(service, self.now, door)
        self.steps[got] += 1
        self.learn_codes()

    def asked_by_sms(self, service: str) -> str:
        if self.life.deaf(self.now):
            return "deaf"
        done = self.life.ask(service, self.now, "sms")
        return done if done == "prompted" else "not_accepted"

    def say_yes(self, draw: Draw) -> None:
        code = self.code(draw(st.sampled_from(["bare", "first", "last", "wrong"])))
        at = self.now + timedelta(seconds=1)
        words = draw(st.sampled_from(["Y", "ｙ", "是"]))
        text = f"{words} {code}" if code else words
        self.message(text, lambda: self.life.yes(code, at), draw(CRASHES), slow=draw(SLOW))

    def say_no(self, draw: Draw) -> None:
        code = self.code(draw(st.sampled_from(["bare", "first", "wrong"])))
        at = self.now + timedelta(seconds=1)
        text = f"N {code}" if code else "N"
        self.message(text, lambda: self.life.no(code, at), draw(CRASHES))

    def say_something_else(self, draw: Draw) -> None:
        words = ["好的", "ok", "Y N", "在吗", "Y 确认", "同意", "Y 12345", "？"]
        at = self.now + timedelta(seconds=1)

        def expected() -> str:
            return "deaf" if self.life.deaf(at) else "nothing"

        self.message(draw(st.sampled_from(words)), expected, "no")

    def leave(self, draw: Draw) -> None:
        service = draw(st.sampled_from([*SERVICES, None]))
        text = f"TD {self.driver.services[service]['code']}" if service else "00000"
        at = self.now + timedelta(seconds=1)
        self.message(text, lambda: self.life.leave(service, at), draw(CRASHES), slow=draw(SLOW))

    def order(self, draw: Draw) -> None:
        service = draw(st.sampled_from(GAMES))
        sold = self.driver.services[service]
        at = self.now + timedelta(seconds=1)

        def expected() -> str:
            return "deaf" if self.life.deaf(at) else self.life.order(service, at)

        self.message(sold["keyword"], expected, draw(CRASHES), to=sold["access_number"])

    def reprice(self, draw: Draw) -> None:
        service, price = draw(st.sampled_from(SERVICES)), draw(st.sampled_from(PRICES))
        self.count("price")
        version = self.life.reprice(service, price, self.now)
        self.run(self.driver.reprice(service, price, version, self.now))

    def number_event(self, draw: Draw) -> None:
        kind = draw(st.sampled_from(NEXT[self.life.state]))
        self.count(kind)
        self.run(self.driver.happened(kind, self.now))
        self.life.happened(kind, self.now)
        self.untold = self.late = True
        if not draw(SLOW):
            self.settle(draw(CRASHES))

    def charge(self, draw: Draw) -> None:
        service, crash = draw(st.sampled_from(SERVICES)), draw(CRASHES)
        more = draw(st.sampled_from([0, 0, 0, 0, 100, -100]))
        minutes = draw(st.sampled_from([0, 0, 5, 1200]))
        self.count("charge")
        at, price = self.now - timedelta(minutes=minutes), self.price(service) + more
        charge_id = self.run(self.driver.charge(service, at, price, crash, self.now))
        self.known[charge_id] = self.life.land(service, at, price)
        if not self.unread and not self.untold:
            self.run(self.driver.refund(self.now, audit=False))

    def authorise(self, draw: Draw) -> None:
        live = [one.service for one in self.life.relations if one.state == "live"]
        service = draw(st.sampled_from([*SERVICES, *live * 6]))
        more = draw(st.sampled_from([0] * 9 + [100]))
        self.count("authorise")
        price = self.price(service) + more
        got = self.run(self.driver.may_charge(service, price, self.now))
        # A wish to leave counts from its receipt, so nothing is charged until it is read.
        leaving = any(
            (message.text or "").startswith(("TD", "00000")) for message, _, _ in self.unread
        )
        assert got == (self.life.may_charge(service, price, self.now) and not leaving)
        self.steps["allowed"] += got

    def jump(self, draw: Draw) -> None:
        step = draw(JUMPS)
        self.count("clock")
        if self.unread or self.untold:
            step = min(step, SHORT)
        self.now += step if self.now + step <= LAST else timedelta(seconds=1)
        self.aged = True
        self.changed = False
        if step > SHORT or step == timedelta(minutes=61):
            self.settle("no")
            self.changed = True

    def catch_up(self, draw: Draw) -> None:
        self.count("catch_up")
        self.settle(draw(CRASHES))

    @invariant()
    def holds(self) -> None:
        if hasattr(self, "life") and self.changed:
            self.check_charges()
            if not self.unread and not self.untold:
                self.check_relations()

    # What the rules share

    def price(self, service: str) -> int:
        """Return what was agreed to, or else what it costs now."""
        current = self.life.running(service)
        return current.price if current else self.life.prices[service]

    def code(self, which: str) -> str | None:
        codes = [one.code for one in self.life.open(self.now) if one.code]
        if which == "wrong":
            return "0001"  # drawn codes begin at 1000
        if which == "bare" or not codes:
            return None
        return codes[0] if which == "first" else codes[-1]

    def message(
        self, text: str, expected: Callable[[], str], crash: str, *, slow: bool = False,
        to: str = OPERATOR,
    ) -> None:  # fmt: skip
        self.count("sms")
        message = self.run(self.driver.receive(text, to, self.now))
        self.unread.append((message, expected, crash))
        if slow:
            self.late = True
        else:
            self.settle(crash)

    def settle(self, crash: str) -> None:
        """Let the jobs run: messages in order, the number's news, what is over, audit, refunds."""
        for message, expected, own in self.unread:
            got = self.run(self.driver.handle(message, own, self.now))
            due = expected()
            assert KINDS.get(got.partition(":")[0], "nothing") == due, (message.text, got, due)
            self.steps[str(got).partition(":")[0]] += 1
        if self.untold:
            self.run(self.driver.follow(crash, self.now))
        self.unread, self.untold = [], False
        if self.aged:
            self.run(self.driver.expire(self.now))
            self.life.expire(self.now)
            self.life.lapse(self.now)
            self.aged = False
        self.learn_codes()
        if self.late:
            self.life.audit()
            self.run(self.driver.refund(self.now, audit=True))
        self.late = False

    def learn_codes(self) -> None:
        waiting = [one for one in self.life.relations if one.state == "waiting"]
        if any(not one.code for one in waiting):
            ids = {sold["id"]: name for name, sold in self.driver.services.items()}
            rows = self.run(self.driver.relations())
            codes = {ids[r["service_id"]]: r["prompt_code"] for r in rows if r["prompt_code"]}
            for one in waiting:
                one.code = codes[one.service]

    def check_relations(self) -> None:
        ids = {sold["id"]: name for name, sold in self.driver.services.items()}
        rows = self.run(self.driver.relations())
        got = sorted(
            (ids[row["service_id"]], STATES[row["status"]], row["price_fen"],
             *map(str, (row["active_from"], row["ended_at"])),
             str(row["charge_from"]) if row["active_from"] else "")
            for row in rows
        )  # fmt: skip
        expected = sorted(
            (one.service, one.state, one.price, *map(utc, (one.start, one.end)),
             utc(one.free_to) if one.start else "")
            for one in self.life.relations
        )  # fmt: skip
        assert got == expected
        stopped = {row["status"] for row in rows if STATES[row["status"]] == "live"}
        assert stopped <= {"suspended" if self.life.state == "suspended" else "active"}

    def check_charges(self) -> None:
        settled = not self.unread and not self.untold
        if not self.known:
            return
        for row in self.run(self.driver.charges()):
            if row["due_fen"] is None or row["due_fen"] > 0:
                assert row["same_service"]
                assert row["consent_kind"] == ("order" if row["kind"] == "on_demand"
                                               else "confirmation")  # fmt: skip
                assert row["requested_by"]
                assert row["kind"] == "on_demand" or row["called"] == OPERATOR
                assert (row["due_fen"] or row["price_fen"]) <= row["agreed_fen"]
                assert row["active_from"] <= row["charged_at"] >= row["charge_from"]
                self.steps["stands"] += 1
            if (settled and row["due_fen"] is None) or (settled and row["due_fen"] > 0):
                lapsed = row["end_reason"] == "lapsed"
                assert row["ended_at"] is None or lapsed or row["charged_at"] < row["ended_at"]
            if settled:
                due = self.known[row["id"]].due
                assert (row["price_fen"] if row["due_fen"] is None else row["due_fen"]) == due
                assert row["refunded_fen"] == 2 * (row["price_fen"] - due)


KINDS = {
    "prompted": "prompted", "ordered": "ordered", "confirmed": "confirmed", "refused": "refused",
    "left": "left", "not_accepted": "not_accepted", "unknown_number": "deaf",
    "former_owner": "deaf",
}  # fmt: skip
STATES = {
    "awaiting": "waiting", "active": "live", "suspended": "live", "ended": "over",
    "refused": "over", "expired": "over",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _same_draws_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hypothesis mixes in constants out of whatever modules this process has loaded; here it does not.

    So a part meets the same events however the suite is split, and they can be counted.
    """
    monkeypatch.setattr(HypothesisProvider, "_maybe_draw_constant", lambda *_, **__: None)


def utc(at: datetime | None) -> str:
    return str(at.astimezone(UTC) if at else None)


async def set_up(url: str, statement: str) -> None:
    connection = await db.connect(url)
    await connection.execute(statement)
    await connection.close()


@pytest.fixture
def machine(server_url: str, template: str) -> Iterator[type[LifeMachine]]:
    """Return the machine on one database for all its examples: each has a number of its own.

    Sessions are cut all the time, and each new one would plan every statement five times before it
    keeps a plan; there they keep the first.
    """
    with asyncio.Runner() as runner:
        url = runner.run(clone(server_url, template))
        name = urlsplit(url).path[1:]
        runner.run(set_up(url, f"ALTER DATABASE {name} SET plan_cache_mode = force_generic_plan"))
        pool = runner.run(db.open_pool(roles.app_url(url), Settings(pool_size=2)))
        owner = runner.run(db.connect(url))
        made = type("Machine", (LifeMachine,), {
            "run": staticmethod(runner.get_loop().run_until_complete), "pool": pool, "owner": owner, "steps": Counter(),
        })  # fmt: skip
        yield made
        runner.run(pool.close())
        runner.run(owner.close())
        runner.run(drop(server_url, name))


ACTS = ("sms", "request", "price", "charge", "authorise", "clock", "catch_up", *REASONS)
MET = (
    "sms", "request", "prompted", "already_pending", "resting", "prompt_limit",
    "confirmed", "refused", "help", "ignored", "code_needed", "too_late", "already_confirmed",
    "price", "left", "nothing_to_leave", "ordered", *REASONS, "charge", "authorise", "allowed",
    "stands", "clock", "rolled_back", "cut", "repeated",
)  # fmt: skip
"""Request, prompt, yes, no, garbage, late reply, retry, new price, unsubscribe, what numbers go
through, charge, clock jump, crash: each has come in every one of its forms."""
PARTS = 7
QUICK = settings(
    max_examples=280 // PARTS, stateful_step_count=50, derandomize=True, deadline=None, database=None,
    suppress_health_check=list(HealthCheck), phases=[Phase.generate],  # shrinking takes minutes: the soak does it
)  # fmt: skip


@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", range(PARTS))
def test_every_life_keeps_the_promises(
    machine: type[LifeMachine], part: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Twelve thousand steps in all; each part has a database of its own, which stays small.

    Whichever part is the last to end, in whatever process, asks that all of them together have met
    each kind of event often enough.
    """
    run_state_machine_as_test(seed(part)(machine), settings=QUICK)
    assert sum(machine.steps[act] for act in ACTS) >= 12_000 / PARTS, machine.steps
    base = tmp_path_factory.getbasetemp()
    counts = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "lives"
    counts.mkdir(exist_ok=True)
    (counts / f"{part}.new").write_text(json.dumps(machine.steps))
    (counts / f"{part}.new").rename(counts / f"{part}.json")
    done = [Counter(json.loads(each.read_text())) for each in counts.glob("*.json")]
    if len(done) == PARTS:
        met = sum(done, Counter[str]())
        assert sum(met[act] for act in ACTS) >= 12_000, met
        assert min(met[what] for what in MET) >= 40, met


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_many_long_lives(machine: type[LifeMachine]) -> None:
    run_state_machine_as_test(
        machine, settings=settings(QUICK, max_examples=2000, stateful_step_count=120,
                                   derandomize=False, phases=[Phase.generate, Phase.shrink]),
    )  # fmt: skip
