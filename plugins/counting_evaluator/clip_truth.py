"""What is true of a clip: its crossings with their times, and how many are inside its zones, read and checked."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

from counting_evaluator.config import ClipTruth
from counting_evaluator.errors import EvaluationError

__all__ = ["TrueClip", "read_clip_truth"]

_WAYS = ("in", "out")


@dataclass(frozen=True, slots=True)
class TrueClip:
    """The truth of one clip.

    Parameters
    ----------
    lines : dict
        ``{LINE: {"in": n, "out": n, "by_class": {CLASS: {"in": n, "out": n}}}}``
    times : dict of (line, direction, class) to tuple of float, or None
        Seconds of each crossing in the clip; None where the truth has no times.
    occupancy : dict of zone to tuple of int
        How many are inside in each frame; empty where the truth has none.
    frames, fps : number or None
        Of the clip, as its truth says.
    """

    lines: dict[str, Any]
    times: dict[tuple[str, str, str], tuple[float, ...]] | None = None
    occupancy: dict[str, tuple[int, ...]] | None = None
    frames: int | None = None
    fps: float | None = None


def read_clip_truth(clip: ClipTruth) -> TrueClip:
    """Read a clip's truth: ``lines`` as `camera-counting count` writes them, and what else is there.

    ``events`` (line, direction, class, seconds) give the times; ``zones`` the occupancy per frame, for which
    ``frames`` and ``fps`` are needed.

    Raises
    ------
    EvaluationError
        Where it is no such JSON, or where its parts contradict each other: a line's classes that do not add up to
        its counts, events that are not the counts, a zone whose frames are not the clip's.
    """
    try:
        told = json.loads(clip.truth.read_text(encoding="utf-8"))
        lines = told["lines"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EvaluationError(
            f"clip {clip.name}: expected JSON with the key 'lines' in {clip.truth}: {error!r}"
        ) from error
    where = f"clip {clip.name}: {clip.truth}"
    if not isinstance(lines, dict):
        raise EvaluationError(f"{where}: expected an object of lines, got {lines!r}")
    for line, counts in lines.items():
        _check_line(f"{where}: line {line}", counts)
    frames = _number(told, "frames", where)
    fps = _number(told, "fps", where)
    return TrueClip(
        lines,
        _times(told["events"], lines, where) if "events" in told else None,
        _occupancy(told.get("zones", {}), frames, fps, where),
        None if frames is None else int(frames),
        fps,
    )


def _number(told: dict[str, Any], key: str, where: str) -> float | None:
    value = told.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not (math.isfinite(value) and value > 0):
        raise EvaluationError(f"{where}: expected {key} above 0, got {value!r}")
    return float(value)


def _check_line(where: str, counts: Any) -> None:
    """Counts per class, whole and not below zero, that add up to those of the line where it states any."""
    by_class = counts.get("by_class") if isinstance(counts, dict) else None
    if not isinstance(by_class, dict):
        raise EvaluationError(f"{where}: expected its counts with the key 'by_class', got {counts!r}")
    for name, ways in by_class.items():
        if not isinstance(ways, dict) or any(not _is_count(ways.get(way, 0)) for way in _WAYS):
            raise EvaluationError(f"{where}: expected whole numbers in and out of class {name}, got {ways!r}")
    for way in _WAYS:
        total = sum(ways.get(way, 0) for ways in by_class.values())
        if way in counts and counts[way] != total:
            raise EvaluationError(f"{where}: says {counts[way]} {way}, its classes add up to {total}")


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _times(events: Any, lines: dict[str, Any], where: str) -> dict[tuple[str, str, str], tuple[float, ...]]:
    times: dict[tuple[str, str, str], list[float]] = {}
    try:
        for event in events:
            key = (str(event["line"]), str(event["direction"]), str(event["class"]))
            times.setdefault(key, []).append(float(event["seconds"]))
    except (TypeError, KeyError, ValueError) as error:
        raise EvaluationError(
            f"{where}: expected events with line, direction, class and seconds: {error!r}"
        ) from error
    counted = Counter({key: len(seconds) for key, seconds in times.items()})
    stated = Counter(
        {
            (line, way, name): ways.get(way, 0)
            for line, counts in lines.items()
            for name, ways in counts["by_class"].items()
            for way in _WAYS
            if ways.get(way, 0)
        }
    )
    if counted != stated:
        line, way, name = sorted((counted - stated) + (stated - counted))[0]
        raise EvaluationError(
            f"{where}: its events tell of {counted[line, way, name]} crossings of line {line}, {way}, by class "
            f"{name}, its lines of {stated[line, way, name]}: one of the two is not complete"
        )
    return {key: tuple(sorted(seconds)) for key, seconds in times.items()}


def _occupancy(zones: Any, frames: float | None, fps: float | None, where: str) -> dict[str, tuple[int, ...]]:
    if not isinstance(zones, dict):
        raise EvaluationError(f"{where}: expected an object of zones, got {zones!r}")
    told = {
        name: zone["occupancy"] for name, zone in zones.items() if isinstance(zone, dict) and "occupancy" in zone
    }
    for name, numbers in told.items():
        if not isinstance(numbers, list) or any(not _is_count(number) for number in numbers):
            raise EvaluationError(f"{where}: zone {name}: expected a list of how many are inside, per frame")
        if frames is None or fps is None:
            raise EvaluationError(
                f"{where}: zone {name}: its occupancy is told per frame, so 'frames' and 'fps' are needed, too"
            )
        if len(numbers) != frames:
            raise EvaluationError(
                f"{where}: zone {name}: expected its occupancy in each of {frames:.0f} frames, got {len(numbers)}"
            )
    return {name: tuple(numbers) for name, numbers in told.items()}
