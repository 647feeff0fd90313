"""The contract of the measuring stick: what a figure is, and what a module of figures gives.

A module has `FIGURES`, a tuple of `Figure`, and `async def measure(ground, wanted)`, which takes a
sample of every figure whose id is in `wanted` for each of `ground.turns(ids)` and hands it to
`ground.note`. Both sides of a sample are taken one right after the other, so that what else goes on
meets both. A module is entered in `benchmarks/run.py`. It takes smaller data where `ground.short` says
so: all modules together have three minutes then, what they arrange included. Whatever it raises is
said beside the figures; what it noted before counts, and the other modules go on.
"""

import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import msgspec

from spms.core import migrate, roles

SCHEMA = "schema"


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the table of promises about speed."""

    id: str
    title: str
    ours: str
    """What our side counts, with its unit."""
    beside: str | None = None
    """What it is divided by, with its unit; None: our side alone is the figure."""
    must: float
    aim: float
    at_most: bool = False
    """A smaller value is better."""
    once: bool = False
    """One sample is all there is in any mode: it takes as long as many pairs of another."""
    seconds: float = 1.0
    """What it takes in short mode on a quiet machine with two cores, arranging included.

    Nothing is held to it: by it the time of a short run is shared out.
    """


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """What one side came to over all samples."""

    what: str
    median: float
    least: float
    most: float


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """A figure with what was measured; one object in the JSON file."""

    id: str
    title: str
    ratio: float
    """Median over the pairs of ours / beside; without another side, of ours."""
    ratio_least: float
    ratio_most: float
    must: float
    aim: float
    at_most: bool
    reached: bool
    """Whether `ratio` is on the right side of `must`."""
    pairs: int
    pairs_asked: int
    """More than `pairs` where the time of a short run did not do for all, or the module broke off."""
    ours: Side
    beside: Side | None


class Clock:
    """The time that all modules of a short run have together, shared out among their figures.

    A figure's share is what is left by its part of the seconds of all that are still to come: where
    the machine is slow or busy every figure gets fewer pairs, and none gets none.
    """

    def __init__(self, seconds: float, figures: Iterable[Figure]) -> None:
        """Begin."""
        self._until = time.perf_counter() + seconds
        self._to_come = {one.id: one.seconds for one in figures}

    def left(self) -> float:
        """Return the seconds left for everything."""
        return max(0.0, self._until - time.perf_counter())

    def to_come(self, *, without: Iterable[str] = ()) -> float:
        """Return the seconds that the figures not yet begun take on a quiet machine."""
        return sum(each for one, each in self._to_come.items() if one not in set(without))

    def share(self, figure_ids: Iterable[str]) -> float:
        """Return the seconds that figures may take which are measured together, and begin them.

        All that is left for such as were not asked for: whoever takes them needs them.
        """
        left, whole = self.left(), self.to_come()
        here = sum(self._to_come.pop(one, 0.0) for one in figure_ids)
        return left * here / whole if here else left


class Ground:
    """What a module measures on: a PostgreSQL of its own kind, and where its samples go."""

    def __init__(
        self, url: str, *, short: bool, pairs: int, say: Callable[[str], None], directory: Path
    ) -> None:
        """Take the URL of a role that may create databases and roles, on a durable server."""
        self.url, self.short, self.pairs, self.say = url, short, pairs, say
        self.directory = directory
        self.sample_seconds = 0.4 if short else 4.0
        """How long one side of a pair is let run, where a figure is a rate."""
        self._samples: dict[str, list[tuple[float, float | None]]] = {}
        self._templates: dict[str, str] = {}
        self.left_out: dict[str, str] = {}
        """Figures that cannot be measured on this machine as it is: why, and what to do."""
        self.clock: Clock | None = None
        """Of a short run; None: as long as it takes."""

    def turns(self, *figure_ids: str) -> Iterator[int]:
        """Count the pairs of figures that are measured together: as many as asked for.

        Fewer when the next one would last beyond their share of a short run; the first comes always.
        """
        begun, share = time.perf_counter(), None
        if self.clock is not None:
            share = self.clock.share(figure_ids)
        for n in range(self.pairs):
            lasted = time.perf_counter() - begun
            if n and share is not None and lasted + lasted / n > share:
                return
            yield n

    def leave_out(self, figure_id: str, why: str) -> None:
        """Say that a figure cannot be measured here, and what it needs."""
        self.left_out[figure_id] = why
        self.say(f"{figure_id} is left out: {why}")

    def note(self, figure_id: str, ours: float, beside: float | None = None) -> None:
        """Keep one sample: both sides of one pair."""
        self._samples.setdefault(figure_id, []).append((ours, beside))
        value = ours if beside is None else ours / beside
        against = "" if beside is None else f" of {ours:,.1f} to {beside:,.1f}"
        self.say(f"{figure_id:5} {value:10,.3f}{against}")

    @asynccontextmanager
    async def database(self, template: str | None = None) -> AsyncIterator[str]:
        """Make a database with our schema and nothing in it, or like a template of `prepared`.

        Gives its owner's URL, and drops it afterwards.
        """
        name = f"spms_bench_{uuid4().hex[:8]}"
        url = self._url(name)
        admin = await asyncpg.connect(self.url)
        try:
            await _copied(admin, name, template or await self.prepared(SCHEMA, _schema))
            yield url
        finally:
            await _dropped(admin, name)
            await admin.close()

    async def prepared(self, name: str, fill: Callable[[str], Awaitable[None]]) -> str:
        """Return a template for `database`, which `fill` filled when it was first asked for.

        `fill` is given the URL of a database with our schema and must leave no connection to it.
        """
        if name not in self._templates:
            like = "template0" if name == SCHEMA else await self.prepared(SCHEMA, _schema)
            made = f"spms_bench_{uuid4().hex[:8]}"
            admin = await asyncpg.connect(self.url)
            try:
                await _copied(admin, made, like)
                self._templates[name] = made
                await fill(self._url(made))
            except BaseException:
                await _dropped(admin, self._templates.pop(name, made))
                raise
            finally:
                await admin.close()
        return self._templates[name]

    async def aclose(self) -> None:
        """Drop the templates."""
        admin = await asyncpg.connect(self.url)
        for made in self._templates.values():
            await _dropped(admin, made)
        self._templates.clear()
        await admin.close()

    def _url(self, name: str) -> str:
        return urlunsplit(urlsplit(self.url)._replace(path=f"/{name}"))

    def results(self, figures: tuple[Figure, ...]) -> list[Result]:
        """Sum up the figures that were measured."""
        return [
            _result(one, self._samples[one.id], asked=1 if one.once else self.pairs)
            for one in figures
            if one.id in self._samples
        ]


async def _schema(url: str) -> None:
    owner = await asyncpg.connect(url)
    await roles.ensure_group(owner)
    await migrate.migrate(owner)
    await owner.close()


async def _copied(admin: asyncpg.Connection, name: str, template: str) -> None:
    await admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}")


async def _dropped(admin: asyncpg.Connection, name: str) -> None:
    try:
        await admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    except asyncpg.InsufficientPrivilegeError:
        # The server's own vacuum is at work there, which only the server may end.
        await admin.execute(f"DROP DATABASE IF EXISTS {name}")
    await admin.execute(f"DROP ROLE IF EXISTS {roles.login_role(name)}")


def _result(figure: Figure, samples: list[tuple[float, float | None]], *, asked: int) -> Result:
    ours = [one for one, _ in samples]
    beside = [other for _, other in samples if other is not None]
    ratios = [one if other is None else one / other for one, other in samples]
    ratio = statistics.median(ratios)
    return Result(
        id=figure.id,
        title=figure.title,
        ratio=ratio,
        ratio_least=min(ratios),
        ratio_most=max(ratios),
        must=figure.must,
        aim=figure.aim,
        at_most=figure.at_most,
        reached=ratio <= figure.must if figure.at_most else ratio >= figure.must,
        pairs=len(samples),
        pairs_asked=asked,
        ours=_side(figure.ours, ours),
        beside=_side(figure.beside, beside) if figure.beside is not None else None,
    )


def _side(what: str, values: list[float]) -> Side:
    return Side(what=what, median=statistics.median(values), least=min(values), most=max(values))
