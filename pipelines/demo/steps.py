"""Steps with a clock: each says what it found and whether that was right; all of them make the closing table."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

__all__ = ["Step", "Steps", "progress"]


def progress(console: Console) -> Progress:
    """A bar with numbers and time, for whatever takes more than a few seconds."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console)


@dataclass(slots=True)
class Step:
    """One row of the closing table; `wrong` is the sentence that fails the demo."""

    title: str
    seconds: float = 0.0
    result: str = ""
    where: str = ""
    wrong: str = ""

    def require(self, right: bool, sentence: str) -> None:
        """Note `sentence` as what is wrong, unless it is right."""
        if not right and not self.wrong:
            self.wrong = sentence


class Steps:
    """The steps that were run so far."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.done: list[Step] = []

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Run one step: its time is taken, what it says is printed, and an error ends the demo with its reason."""
        step = Step(title)
        self.done.append(step)
        self.console.rule(f"[bold]{len(self.done)}. {title}", align="left")
        start = time.perf_counter()
        try:
            yield step
        except BaseException as error:
            step.wrong = f"{type(error).__name__}: {error}".splitlines()[0][:300]
            raise
        finally:
            step.seconds = time.perf_counter() - start
            mark = f"[red]✗ {step.wrong}" if step.wrong else f"[green]✓[/] {step.result}"
            self.console.print(f"{mark}  [dim]({step.seconds:.1f} s)")

    @property
    def right(self) -> bool:
        """Whether every step's result was."""
        return all(not step.wrong for step in self.done)

    def table(self) -> Table:
        """Step, seconds, result, where to look."""
        drawn = Table(title="The lifecycle", title_justify="left", show_lines=False)
        drawn.add_column("step")
        drawn.add_column("seconds", justify="right")
        drawn.add_column("result", overflow="fold")
        drawn.add_column("where to look", overflow="fold")
        for step in self.done:
            result = f"[red]✗ {step.wrong}[/]" if step.wrong else f"[green]✓[/] {step.result}"
            drawn.add_row(step.title, f"{step.seconds:.1f}", result, step.where)
        total = sum(step.seconds for step in self.done)
        drawn.add_section()
        drawn.add_row("all", f"{total:.0f}", "[green]✓ all right" if self.right else "[red]✗ not all right", "")
        return drawn
