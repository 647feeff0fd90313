"""Turns: a place for each asker in turn, bounded, and free again however the one who had it ends."""

from asyncio import (
    CancelledError,
    Event,
    Future,
    Task,
    create_task,
    gather,
    get_running_loop,
    sleep,
)

import pytest

from spms.core import db, turns
from spms.core.access import Actor, ActorKind
from spms.core.errors import Unavailable
from spms.core.turns import Gone, Turns


def sp(name: str) -> Actor:
    return Actor(kind=ActorKind.SP, subject=name, name=name)


class House:
    """Requests that stay until they are let go, in the order in which their turn came."""

    def __init__(self, places: int, *askers: str) -> None:
        self.turns = Turns(places)
        for name in askers:
            self.turns.hear(name.encode(), sp(name))
        self.began: list[str] = []
        self.go = Event()

    async def _asks(self, name: str, gone: "Future[None] | None") -> None:
        async with self.turns.of(name.encode(), gone):
            self.began.append(name)
            await self.go.wait()

    def ask(self, names: str, gone: "Future[None] | None" = None) -> "list[Task[None]]":
        return [create_task(self._asks(name, gone)) for name in names]

    async def all_of(self, *asked: "list[Task[None]]") -> list[BaseException | None]:
        self.go.set()
        return await gather(*[one for some in asked for one in some], return_exceptions=True)

    def at_rest(self) -> bool:
        return self.turns.waiting == 0 and not self.turns._waiting and not self.turns._held


async def settle() -> None:
    for _ in range(5):
        await sleep(0)


async def test_who_asks_a_hundred_times_as_much_waits_longer_and_the_others_do_not() -> None:
    house = House(3, "a", "b", "c")
    crowd = house.ask("a" * 100)
    await settle()
    assert house.began == ["a", "a"], "the last place is somebody else's"
    others = house.ask("bcbc")
    await settle()
    assert house.began == ["a", "a", "b"]
    assert set(await house.all_of(crowd, others)) == {None}
    assert len(house.began) == 104
    assert max(n for n, name in enumerate(house.began) if name != "a") < 10
    assert house.at_rest()


async def test_an_sp_is_one_asker_however_many_tokens_it_has_and_strangers_are_one() -> None:
    house = House(2)
    for token in "abcdef":
        house.turns.hear(token.encode(), sp("loud"))
    house.turns.hear(b"q", sp("quiet"))
    crowd = house.ask("abcdef")
    forged = house.ask("123456")
    await settle()
    assert house.began == ["a", "1"]
    quiet = house.ask("q")
    await settle()
    await house.all_of(crowd, forged, quiet)
    assert house.began.index("q") <= 4
    assert house.at_rest()


async def test_who_comes_when_too_many_wait_is_sent_away_and_the_others_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(turns, "WAITING_EACH_MAX", 3)
    monkeypatch.setattr(turns, "WAITING_MAX", 5)
    house = House(2, "a", "b", "c")
    crowd = house.ask("a" * 6)
    await settle()
    others = house.ask("bbbbc")
    await settle()
    told = await house.all_of(crowd, others)
    refused = [n for n, one in enumerate(told) if isinstance(one, Unavailable)]
    assert refused == [4, 5, 9, 10], "over three of one asker's, over five of all"
    assert all(one.headers == {"Retry-After": "1"} for one in told if isinstance(one, Unavailable))
    assert house.at_rest()


async def test_a_place_is_free_again_when_what_was_done_in_it_fails_or_is_called_off() -> None:
    made = Turns(1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            async with made.of(b"a"):
                raise ZeroDivisionError
    house = House(1, "a", "b")
    first, second = house.ask("ab")
    await settle()
    first.cancel()
    await settle()
    assert house.began == ["a", "b"]
    assert [type(one) for one in await house.all_of([first, second])] == [
        CancelledError,
        type(None),
    ]
    assert house.at_rest()


async def test_who_goes_while_it_waits_takes_no_place_and_keeps_none_in_the_queue() -> None:
    house = House(1, "a", "b")
    gone: Future[None] = get_running_loop().create_future()
    first, waiting, cancelled = house.ask("a"), house.ask("b", gone), house.ask("bb")
    await settle()
    assert house.turns.waiting == 3
    gone.set_result(None)
    cancelled[0].cancel()
    await settle()
    assert house.turns.waiting == 1
    told = await house.all_of(first, waiting, cancelled)
    assert [type(one) for one in told] == [type(None), Gone, CancelledError, type(None)]
    assert house.began == ["a", "b"]
    assert house.at_rest()


async def test_a_turn_that_comes_just_when_it_is_called_off_is_the_next_ones() -> None:
    house = House(1, "a", "b", "c")
    first, second, third = house.ask("abc")
    await settle()
    house.go.set()
    await sleep(0)  # a's block ends with the next step, which gives its place to b
    second.cancel()
    told = await gather(first, second, third, return_exceptions=True)
    assert [type(one) for one in told] == [type(None), CancelledError, type(None)]
    assert house.began == ["a", "c"]
    assert house.at_rest()


async def test_nobody_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(db, "ACQUIRE_SECONDS", 0.01)
    house = House(1, "a", "b")
    first = house.ask("a")
    await settle()
    second = house.ask("b")
    with pytest.raises(Unavailable):
        await second[0]
    assert await house.all_of(first) == [None]
    assert house.at_rest()
