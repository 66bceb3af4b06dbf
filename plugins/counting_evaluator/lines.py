"""Errors of line counts over whole clips, per direction and class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from counting_evaluator.clip_count import ClipCount
from counting_evaluator.clip_truth import TrueClip
from counting_evaluator.count_error import count_figures, cumulative_counts, effectiveness, geh, nwrmse
from counting_evaluator.errors import EvaluationError

__all__ = ["LineCount", "compare_clip", "compare_lines", "line_errors"]

_DIRECTIONS = ("in", "out")


@dataclass(frozen=True, slots=True)
class LineCount:
    """One cell of the comparison: how often a class crossed a line in a direction, counted and true.

    Parameters
    ----------
    clip, line, direction, class_name : str
    counted, true : int
    seconds : float or None
        How long the clip lasts, where that is known.
    counted_by, true_by : tuple of int or None
        How many had crossed by the end of each tenth of the clip, where the truth says when.
    """

    clip: str
    line: str
    direction: str
    class_name: str
    counted: int
    true: int
    seconds: float | None = None
    counted_by: tuple[int, ...] | None = None
    true_by: tuple[int, ...] | None = None

    @property
    def error(self) -> int:
        """|counted - true|"""
        return abs(self.counted - self.true)

    @property
    def nwrmse(self) -> float | None:
        """AI City's score of the count over time, 1 is right all along; None without times or a true crossing."""
        if self.counted_by is None or self.true_by is None or not self.true:
            return None
        return nwrmse(self.counted_by, self.true_by)

    @property
    def geh(self) -> float | None:
        """The GEH statistic, counts scaled to an hour; None where the clip's length is not known."""
        return None if self.seconds is None else geh(self.counted, self.true, self.seconds / 3600)


def compare_clip(
    clip: str, counted: ClipCount, true: TrueClip, classes: Sequence[str] | None = None
) -> list[LineCount]:
    """Hold a counted clip against its truth, with the course of the counts where the truth has times.

    Raises
    ------
    EvaluationError
        Where the two do not have the same lines, the same clock, or as many frames.
    """
    if true.frames is not None and counted.frames != true.frames:
        raise EvaluationError(
            f"clip {clip}: its truth covers {true.frames} frames, {counted.frames} were counted: frames are "
            "missing on one of the two sides"
        )
    _check_clock(clip, counted, true)
    cells = compare_lines(clip, counted.lines, true.lines, classes)
    if not counted.seconds > 0:
        return cells
    if true.times is None:
        return [replace(cell, seconds=counted.seconds) for cell in cells]
    complete = []
    for cell in cells:
        key = (cell.line, cell.direction, cell.class_name)
        seen, real = (
            tuple(cumulative_counts(times.get(key, ()), counted.seconds).tolist())
            for times in (counted.times, true.times)
        )
        complete.append(replace(cell, seconds=counted.seconds, counted_by=seen, true_by=real))
    return complete


def _check_clock(clip: str, counted: ClipCount, true: TrueClip) -> None:
    """Times can only be compared where both sides have the same clock."""
    if true.frames is not None and true.fps is not None:
        lasts = true.frames / true.fps
        if abs(counted.seconds - lasts) > max(0.05 * lasts, 1 / true.fps):
            raise EvaluationError(
                f"clip {clip}: lasts {lasts:.2f} s by its truth ({true.frames} frames, {true.fps:g} per second), "
                f"{counted.seconds:.2f} s as it is read: times cannot be compared; a folder of pictures has no "
                "frame rate of its own, so make a video of it, or leave fps, events and zones out of the truth"
            )
    last = max((seconds[-1] for seconds in (true.times or {}).values()), default=0.0)
    if last > counted.seconds > 0:
        raise EvaluationError(
            f"clip {clip}: its truth tells of a crossing at {last:.2f} s, but it ends at {counted.seconds:.2f} s: "
            "they belong to different clips, or the clip was cut"
        )


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

        ``nwrmse``: AI City's scores of all clips, lines, directions and classes, weighted by their true crossings:
        1 is right all along, 0 is off by as many as there were (`count_error.effectiveness`); ``nwrmse/<class>``
        likewise. Only of clips whose truth says when. ``geh``: mean GEH of the movements (clip, line and
        direction), all classes together and scaled to an hour; ``geh_below_5`` the share of them with less.
        A short clip makes large ones: three cars for two in a minute are 180 for 120 an hour, a GEH of 4.9.
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
    return figures | _nwrmse(cells) | _geh(cells)


def _nwrmse(cells: Sequence[LineCount]) -> dict[str, float]:
    timed = [(cell.class_name, cell.counted_by, cell.true_by) for cell in cells if cell.true_by is not None]
    figures = {}
    for name in [None, *sorted({class_name for class_name, *_ in timed})]:
        pairs = [(seen, real) for class_name, seen, real in timed if name in (None, class_name)]
        if any(real[-1] for _, real in pairs if real):
            figures["nwrmse" if name is None else f"nwrmse/{name}"] = effectiveness(pairs)  # type: ignore[arg-type]
    return figures


def _geh(cells: Sequence[LineCount]) -> dict[str, float]:
    movements: dict[tuple[str, str, str], list[float]] = {}
    for cell in cells:
        if cell.seconds is not None:
            sums = movements.setdefault((cell.clip, cell.line, cell.direction), [0, 0, cell.seconds / 3600])
            sums[0] += cell.counted
            sums[1] += cell.true
    if not movements:
        return {}
    figures = count_figures(*zip(*movements.values(), strict=True))
    return {name: figures[name] for name in ("geh", "geh_below_5")}


def _relative(cells: Sequence[LineCount]) -> float:
    return sum(cell.error for cell in cells) / max(sum(cell.true for cell in cells), 1)
