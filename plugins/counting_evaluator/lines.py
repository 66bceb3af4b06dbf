"""Errors of line counts over whole clips, per direction and class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from counting_evaluator.errors import EvaluationError

__all__ = ["LineCount", "compare_lines", "line_errors"]

_DIRECTIONS = ("in", "out")


@dataclass(frozen=True, slots=True)
class LineCount:
    """One cell of the comparison: how often a class crossed a line in a direction, counted and true."""

    clip: str
    line: str
    direction: str
    class_name: str
    counted: int
    true: int

    @property
    def error(self) -> int:
        """|counted - true|"""
        return abs(self.counted - self.true)


def compare_lines(
    clip: str, counted: Mapping[str, Any], true: Mapping[str, Any], classes: Sequence[str] | None = None
) -> list[LineCount]:
    """Hold the lines of a counted clip against its truth.

    Parameters
    ----------
    clip : str
        Its name.
    counted, true : mapping
        ``{LINE: {"in": n, "out": n, "by_class": {CLASS: {"in": n, "out": n}}}}``, as `camera-counting count`
        writes.
    classes : sequence of str, optional
        Only these; None takes all that occur.

    Raises
    ------
    EvaluationError
        Where the two do not have the same lines.

    Examples
    --------
    >>> counted = {"gate": {"in": 2, "out": 0, "by_class": {"car": {"in": 2, "out": 0}}}}
    >>> true = {"gate": {"in": 2, "out": 1, "by_class": {"car": {"in": 1, "out": 1}, "bus": {"in": 1, "out": 0}}}}
    >>> cells = compare_lines("clip", counted, true)
    >>> [(cell.direction, cell.class_name, cell.counted, cell.true) for cell in cells]
    [('in', 'bus', 0, 1), ('out', 'bus', 0, 0), ('in', 'car', 2, 1), ('out', 'car', 0, 1)]
    """
    if set(counted) != set(true):
        raise EvaluationError(
            f"clip {clip}: expected counts for the lines {', '.join(sorted(true))} of its truth, "
            f"got {', '.join(sorted(counted)) or 'none'}"
        )
    cells = []
    for line in sorted(true):
        seen, real = counted[line].get("by_class", {}), true[line].get("by_class", {})
        for name in sorted({*seen, *real}):
            if classes is not None and name not in classes:
                continue
            for direction in _DIRECTIONS:
                cells.append(
                    LineCount(
                        clip,
                        line,
                        direction,
                        name,
                        int(seen.get(name, {}).get(direction, 0)),
                        int(real.get(name, {}).get(direction, 0)),
                    )
                )
    return cells


def line_errors(cells: Sequence[LineCount]) -> dict[str, float]:
    """The figures of all clips together.

    Returns
    -------
    dict
        ``error``: sum of |counted - true| over clips, lines, directions and classes / sum of true; where
        nothing truly crossed, the sum itself (so that a false crossing never goes unseen). ``error/in``,
        ``error/out`` and ``error/<class>`` likewise; ``error_any_class`` does not mind a car taken for a bus;
        ``counted`` and ``true`` are the sums.
    """
    figures = {"error": _relative(cells)}
    for direction in _DIRECTIONS:
        figures[f"error/{direction}"] = _relative([cell for cell in cells if cell.direction == direction])
    for name in sorted({cell.class_name for cell in cells}):
        figures[f"error/{name}"] = _relative([cell for cell in cells if cell.class_name == name])
    merged: dict[tuple[str, str, str], list[int]] = {}
    for cell in cells:
        sums = merged.setdefault((cell.clip, cell.line, cell.direction), [0, 0])
        sums[0] += cell.counted
        sums[1] += cell.true
    wrong, true = sum(abs(a - b) for a, b in merged.values()), sum(b for _, b in merged.values())
    figures["error_any_class"] = wrong / max(true, 1)
    figures["counted"] = float(sum(cell.counted for cell in cells))
    figures["true"] = float(true)
    return figures


def _relative(cells: Sequence[LineCount]) -> float:
    return sum(cell.error for cell in cells) / max(sum(cell.true for cell in cells), 1)
