"""What a model did sample by sample: two columns of a table that an evaluation's run keeps."""

from __future__ import annotations

import json
from math import isfinite
from typing import Any

from pydantic import BaseModel, ConfigDict

from model_governance.rules import PairedTest

__all__ = ["Samples", "read_samples"]


class Samples(BaseModel):
    """Numbers by sample.

    Attributes
    ----------
    keys : tuple of str
        Which sample, each once, sorted.
    values : tuple of float
        Its number.
    groups : tuple of str or None
        Which samples belong together.
    problem : str
        Why there are none, for a person; empty where there are.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    keys: tuple[str, ...] = ()
    values: tuple[float, ...] = ()
    groups: tuple[str, ...] | None = None
    problem: str = ""


def read_samples(text: str, test: PairedTest) -> Samples:
    """Two columns (three with groups) of a table in MLflow's JSON: ``{"columns": [...], "data": [[...], ...]}``.

    A table that cannot be used gives the reason in place of numbers: the gate that reads it then fails with it.
    """
    try:
        content = json.loads(text)
        columns, rows = list(content["columns"]), list(content["data"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return Samples(problem=f"{test.table} is no table in MLflow's JSON")
    optional = [name for name in (test.minus, test.group) if name is not None]
    wanted = [test.key, test.value, *optional]
    absent = [name for name in wanted if name not in columns]
    if absent:
        return Samples(
            problem=f"{test.table} has no column {', '.join(absent)}; it has {', '.join(map(str, columns))}"
        )
    at = [columns.index(name) for name in wanted]
    found: dict[str, tuple[float, str]] = {}
    for number, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != len(columns):
            return Samples(problem=f"row {number} of {test.table} is no list of {len(columns)} cells")
        cells = [row[index] for index in at]
        key, value = str(cells[0] if cells[0] is not None else ""), _number(cells[1])
        less = _number(cells[2]) if test.minus is not None else 0.0
        if not key:
            return Samples(problem=f"row {number} of {test.table} has no {test.key}")
        if value is None or less is None:
            name, cell = (test.value, cells[1]) if value is None else (test.minus, cells[2])
            return Samples(problem=f"row {number} of {test.table}: {name} is {cell!r}, expected a number")
        mine = (_part(value - less, test.of), _text(cells[-1]) if test.group else "")
        if not isfinite(mine[0]):
            return Samples(problem=f"row {number} of {test.table}: the {test.of} of {test.value} is too large")
        # The same picture twice is one sample, as long as both rows agree.
        if found.setdefault(key, mine) != mine:
            return Samples(problem=f"{test.key} {key[:16]!r} stands in {test.table} twice, with different numbers")
    keys = sorted(found)
    return Samples(
        keys=tuple(keys),
        values=tuple(found[key][0] for key in keys),
        groups=tuple(found[key][1] for key in keys) if test.group else None,
    )


def _number(cell: Any) -> float | None:
    if isinstance(cell, bool) or not isinstance(cell, int | float):
        return None
    try:
        return float(cell) if isfinite(cell) else None
    except OverflowError:  # a whole number of more than 308 digits
        return None


def _part(value: float, of: str) -> float:
    return {"value": value, "absolute": abs(value), "square": value * value}[of]


def _text(cell: Any) -> str:
    return cell if isinstance(cell, str) else json.dumps(cell, sort_keys=True)
