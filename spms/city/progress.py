"""Progress while a city plays: a bar on a terminal, a line now and then elsewhere."""

from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

Progress = Callable[[int, int, str], None]
"""Called with how much is done, of how much, and in words what is being done."""

LINES = 10
"""How many lines are printed where there is no terminal."""


class Shown:
    """Shows progress. Use `with`."""

    def __init__(self, callback: Progress | None = None) -> None:
        """Tell a callback; without one, whoever reads standard output."""
        self.total = 1
        self.done = 0
        self._callback = callback
        self._console = Console(highlight=False)
        self._bar: Bar | None = None
        self._lines = 0

    def __enter__(self) -> Self:
        """Begin to show."""
        if self._callback is None and self._console.is_terminal:
            self._bar = Bar(
                TextColumn("[dim]city[/dim]"), BarColumn(), MofNCompleteColumn(),
                TimeElapsedColumn(), TextColumn("{task.description}"), console=self._console,
                transient=True,
            )  # fmt: skip
            self._bar.start()
            self._bar.add_task("", total=None)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop showing."""
        if self._bar is not None:
            self._bar.stop()

    def tick(self, words: str, count: int = 1) -> None:
        """Count a piece of work."""
        self.done = min(self.total, self.done + count)
        self.say(words)

    def say(self, words: str) -> None:
        """Say what is being done."""
        if self._callback is not None:
            self._callback(self.done, self.total, words)
        elif self._bar is not None:
            task = self._bar.task_ids[0]
            self._bar.update(task, total=self.total, completed=self.done, description=words)
        elif self.done * LINES // self.total >= self._lines:
            self._lines = self.done * LINES // self.total + 1
            self._console.print(f"city {self.done * 100 // self.total:3d} % {words}")
