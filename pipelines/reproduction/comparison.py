"""What a run gave, held against what its repetition gave: pure values, no tracking server."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import pandas as pd

__all__ = ["Comparison", "Facts", "Row", "compare"]

Standing = Literal["equal", "within", "differs", "told"]

_OF_THE_MACHINE = re.compile(
    r"(^|/)(latency|throughput|memory|serving|system|timing)(/|$)|seconds|_ms(/|$)|_mb_used|cold_start"
)


@dataclass(frozen=True, slots=True)
class Facts:
    """What one run gave.

    Parameters
    ----------
    metrics : mapping of str to sequence of float
        Each figure's values in order; one for most, one per epoch of a training.
    params : mapping of str to str
        Those that the step worked out or was told; none that say where something lies.
    files : mapping of str to str
        SHA-256 by path.
    data : mapping of str to str
        What must be the very same: digests of data sets.
    """

    metrics: Mapping[str, Sequence[float]] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    Parameters
    ----------
    kind : str
        data, param, metric or file.
    standing : str
        equal; within the tolerance; differs; told, where nothing follows from it.
    difference : float or None
        Of figures: the largest, as a share of the recorded value where that is above 1.
    """

    kind: str
    name: str
    recorded: str
    reproduced: str
    standing: Standing
    difference: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """All rows, and what follows from them."""

    rows: tuple[Row, ...]
    tolerance: float

    @property
    def outside(self) -> tuple[Row, ...]:
        """What differs by more than it may."""
        return tuple(row for row in self.rows if row.standing == "differs")

    @property
    def compared(self) -> tuple[Row, ...]:
        """What the verdict stands on."""
        return tuple(row for row in self.rows if row.standing != "told")

    @property
    def verdict(self) -> str:
        """identical, within tolerance, or differs."""
        if self.outside or not self.compared:
            return "differs"
        return "identical" if all(row.standing == "equal" for row in self.compared) else "within tolerance"

    @property
    def largest(self) -> float:
        """The largest difference of a figure that was compared."""
        return max((row.difference or 0.0 for row in self.compared), default=0.0)

    @property
    def sentence(self) -> str:
        """The verdict as a person would say it."""
        if not self.compared:
            return "The run left nothing that could be compared."
        known = f"{len(self.compared)} facts compared, tolerance {self.tolerance:g}"
        if self.outside:
            first = ", ".join(f"{row.name} was {row.recorded}, is {row.reproduced}" for row in self.outside[:3])
            more = f" and {len(self.outside) - 3} more" if len(self.outside) > 3 else ""
            return f"Not reproduced: {len(self.outside)} of {known}, lie outside: {first}{more}."
        if self.verdict == "identical":
            return f"Reproduced to the last bit: {known}."
        return f"Reproduced within the tolerance: {known}, largest difference {self.largest:.2g}."

    @property
    def sorted(self) -> list[Row]:
        """The rows, those that differ first."""
        order = {"differs": 0, "within": 1, "equal": 2, "told": 3}
        return sorted(self.rows, key=lambda row: (order[row.standing], row.kind, row.name))

    def table(self) -> pd.DataFrame:
        """One row per fact, those that differ first."""
        columns = ["kind", "name", "recorded", "reproduced", "standing", "difference", "note"]
        return pd.DataFrame([[getattr(row, name) for name in columns] for row in self.sorted], columns=columns)


def compare(recorded: Facts, reproduced: Facts, tolerance: float, *, exact: tuple[str, ...] = ()) -> Comparison:
    """Hold a repetition against the run that it repeats.

    Two figures agree where they differ by no more than `tolerance`, or, above 1, than that share of the recorded
    one. Figures that depend on what else the machine does (latency, memory, seconds) are told and not judged.
    Other files than those of `exact` may hold times, ids and paths, so their bytes are told as well.

    Parameters
    ----------
    tolerance : float
        At 0 the files whose names end as one of `exact` must be the same, too; above it, other bytes there are
        a difference within the tolerance.

    Examples
    --------
    >>> compare(Facts({"count/mae": [0.5]}), Facts({"count/mae": [0.504]}), 0.01).verdict
    'within tolerance'
    >>> compare(Facts({"count/mae": [0.5]}), Facts(), 0.01).verdict
    'differs'
    """
    rows = (
        *_exact_rows("data", recorded.data, reproduced.data),
        *_params(recorded.params, reproduced.params, tolerance),
        *_metrics(recorded.metrics, reproduced.metrics, tolerance),
        *_files(recorded.files, reproduced.files, exact, strict=tolerance == 0),
    )
    return Comparison(rows, tolerance)


def _exact_rows(kind: str, before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Row]:
    for name in sorted({*before, *after}):
        old, new = before.get(name, "absent"), after.get(name, "absent")
        yield Row(kind, name, old, new, "equal" if old == new else "differs")


def _params(before: Mapping[str, str], after: Mapping[str, str], tolerance: float) -> Iterator[Row]:
    for name in sorted({*before, *after}):
        old, new = before.get(name, "absent"), after.get(name, "absent")
        # `mlflow run -P clips=false` writes down what was typed, a step what it read: False.
        same = old == new or (old.lower() == new.lower() and old.lower() in ("true", "false", "none"))
        standing: Standing = "equal" if same else "differs"
        difference = None
        if not same and (numbers := _numbers(old, new)):
            difference = _apart(*numbers)
            standing = "equal" if difference == 0 else "within" if difference <= tolerance else "differs"
        yield Row("param", name, old, new, standing, difference)


def _numbers(old: str, new: str) -> tuple[float, float] | None:
    try:
        return float(old), float(new)
    except ValueError:
        return None


def _metrics(
    before: Mapping[str, Sequence[float]], after: Mapping[str, Sequence[float]], tolerance: float
) -> Iterator[Row]:
    for name in sorted({*before, *after}):
        old, new = list(before.get(name, ())), list(after.get(name, ()))
        was, now = (f"{values[-1]:.9g}" if values else "absent" for values in (old, new))
        if _OF_THE_MACHINE.search(name):
            yield Row("metric", name, was, now, "told", None, "depends on what else the machine does")
        elif len(old) != len(new):
            note = f"{len(old)} values before, {len(new)} now" if old and new else ""
            yield Row("metric", name, was, now, "differs", None, note)
        else:
            difference = max(map(_apart, old, new), default=0.0)
            standing: Standing = "equal" if difference == 0 else "within" if difference <= tolerance else "differs"
            note = f"the largest of {len(old)} values" if len(old) > 1 and difference else ""
            yield Row("metric", name, was, now, standing, difference, note)


def _apart(old: float, new: float) -> float:
    """How far two figures are apart, as a share of the old one where that is above 1."""
    if old == new or (math.isnan(old) and math.isnan(new)):
        return 0.0
    if not (math.isfinite(old) and math.isfinite(new)):
        return math.inf
    return abs(new - old) / max(1.0, abs(old))


def _files(
    before: Mapping[str, str], after: Mapping[str, str], exact: tuple[str, ...], *, strict: bool
) -> Iterator[Row]:
    for name in sorted({*before, *after}):
        old, new = before.get(name, "absent"), after.get(name, "absent")
        same = old == new
        standing: Standing = "told"
        if exact and name.endswith(exact):
            standing = "equal" if same else "differs" if strict else "within"
        note = "the same bytes" if same else "other bytes"
        yield Row("file", name, old[:12], new[:12], standing, None, note)
