"""Bootstrap confidence intervals: how far the figures would move on other pictures of the same kind.

Pictures are drawn with replacement, as many as there are, again and again; frames of one clip are drawn together,
since they show the same people. Between the 2.5th and the 97.5th percentile of the figures so drawn lies the 95 %
interval (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13). Nothing is detected or matched
anew, and the seed is fixed, so that the same evaluation gives the same intervals.

They tell of the luck in the choice of pictures from these cameras, not of cameras or seasons that are not among
them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from counting_evaluator.lines import LineCount
from counting_evaluator.matches import Matches

__all__ = ["drawn", "line_intervals", "picture_intervals", "units"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_AT_A_TIME = 100  # draws, so that memory stays flat
_LEVEL = (2.5, 97.5)


def units(clips: Sequence[str | None]) -> Ints:
    """What is drawn as a whole, by number: each clip, and each picture that is of none.

    Examples
    --------
    >>> units(["a", None, "a", None]).tolist()
    [0, 1, 0, 2]
    """
    numbers: dict[object, int] = {}
    return np.array(
        [numbers.setdefault(place if clip is None else clip, len(numbers)) for place, clip in enumerate(clips)],
        np.int64,
    )


def drawn(number: int, resamples: int, seed: int) -> Iterator[Ints]:
    """How often each of `number` units is drawn, in blocks of shape (draws, number), `resamples` draws in all."""
    rng = np.random.default_rng(seed)
    for begin in range(0, resamples, _AT_A_TIME):
        yield rng.multinomial(number, np.full(number, 1 / number), size=min(_AT_A_TIME, resamples - begin))


def picture_intervals(
    counted: Ints,
    true: Ints,
    matches: Sequence[Matches],
    confidence: float,
    groups: Ints,
    *,
    resamples: int,
    seed: int = 0,
) -> dict[str, tuple[float, float]]:
    """The 95 % intervals of the main figures of pictures.

    Parameters
    ----------
    counted, true : int64 arrays of shape (pictures, classes)
    matches : sequence of Matches
        One per class.
    confidence : float
        The score that takes a detection for one.
    groups : int64 array of shape (pictures,)
        As `units` gives them.
    resamples : int
        How often is drawn.

    Returns
    -------
    dict of metric to (low, high)
        ``count/mae``, ``count/rmse``, ``count/bias``, ``count/nae``, ``count/mae_by_class``, ``detection/map50``,
        ``detection/precision``, ``detection/recall`` and ``detection/f1``; empty where fewer than two units could
        be drawn, and without those that divide by nothing.
    """
    number = int(groups.max(initial=-1)) + 1
    if number < 2 or not resamples:
        return {}
    total = true.sum(axis=1)
    difference = counted.sum(axis=1) - total
    filled = total > 0
    tallies = np.sum([each.tallies(confidence) for each in matches], axis=0)
    columns = {
        "n": np.ones(len(total)),
        "filled": filled,
        "absolute": np.abs(difference),
        "squared": difference**2,
        "signed": difference,
        "relative": np.divide(np.abs(difference), total, out=np.zeros(len(total)), where=filled),
        "by_class": np.abs(counted - true).sum(axis=1),
        "hits": tallies[:, 0],
        "false": tallies[:, 1],
        "missed": tallies[:, 2],
    }
    sums = np.zeros((number, len(columns)))
    np.add.at(sums, groups, np.stack([np.asarray(column, np.float64) for column in columns.values()], axis=1))

    def figures(draws: Ints) -> dict[str, Floats]:
        of = dict(zip(columns, (draws @ sums).T, strict=True))
        weights = draws[:, groups]
        areas = np.array([each.average_precision(weights) for each in matches if each.true.any()])
        with np.errstate(invalid="ignore", divide="ignore"):
            return {
                "count/mae": of["absolute"] / of["n"],
                "count/rmse": np.sqrt(of["squared"] / of["n"]),
                "count/bias": of["signed"] / of["n"],
                "count/nae": of["relative"] / of["filled"],
                "count/mae_by_class": of["by_class"] / of["n"],
                "detection/precision": of["hits"] / (of["hits"] + of["false"]),
                "detection/recall": of["hits"] / (of["hits"] + of["missed"]),
                "detection/f1": 2 * of["hits"] / (2 * of["hits"] + of["false"] + of["missed"]),
                "detection/map50": _mean_of_present(areas, len(draws)),
            }

    return _percentiles(number, resamples, seed, figures)


def line_intervals(cells: Sequence[LineCount], *, resamples: int, seed: int = 0) -> dict[str, tuple[float, float]]:
    """The 95 % interval of ``line/error``, clips drawn as wholes; empty for a single clip."""
    clips = {name: number for number, name in enumerate(dict.fromkeys(cell.clip for cell in cells))}
    if len(clips) < 2 or not resamples:
        return {}
    sums = np.zeros((len(clips), 2))
    for cell in cells:
        sums[clips[cell.clip]] += cell.error, cell.true

    def figures(draws: Ints) -> dict[str, Floats]:
        wrong, true = (draws @ sums).T
        return {"line/error": wrong / np.maximum(true, 1)}

    return _percentiles(len(clips), resamples, seed, figures)


def _mean_of_present(areas: Floats, draws: int) -> Floats:
    """The mean over classes, of those that have a true box in this draw."""
    if not len(areas):
        return np.full(draws, np.nan)
    present = np.isfinite(areas)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(present, areas, 0).sum(axis=0) / present.sum(axis=0))


def _percentiles(
    number: int, resamples: int, seed: int, figures: Callable[[Ints], Mapping[str, Floats]]
) -> dict[str, tuple[float, float]]:
    blocks = [figures(draws) for draws in drawn(number, resamples, seed)]
    intervals = {}
    for name in blocks[0]:
        values = np.concatenate([block[name] for block in blocks])
        values = values[np.isfinite(values)]
        if values.size:
            low, high = np.percentile(values, _LEVEL).tolist()
            intervals[name] = (low, high)
    return intervals
