"""Progress bars of whatever takes more than a moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

__all__ = ["Bars", "Tick", "progress"]

Tick = Callable[[], None]


class Bars:
    """A progress bar for each part that takes more than a moment."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def part(self, title: str, total: int | None) -> Tick:
        task = self._progress.add_task(title, total=total)
        return lambda: self._progress.update(task, advance=1)


@contextmanager
def progress(console: Console | None) -> Iterator[Bars]:
    """Bars on `console`, or on standard error."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console or Console(stderr=True)) as progress:
        yield Bars(progress)
