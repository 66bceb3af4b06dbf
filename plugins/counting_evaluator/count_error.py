"""Count errors as the field reports them: AI City Track 1, GEH, and errors relative to what was true.

They answer different questions. AI City's effectiveness asks whether the count was right all along the clip, and
by class; GEH whether a flow is right for its size, large ones and small ones alike; the total count error what a
user sees at the end of the day. Only the last one sees what was counted where nothing truly was.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from counting_evaluator.counting import count_errors
from counting_evaluator.errors import EvaluationError

__all__ = [
    "count_figures",
    "cumulative_counts",
    "effectiveness",
    "efficiency",
    "geh",
    "nwrmse",
    "s1",
    "total_error",
]


def cumulative_counts(seconds: Iterable[float], duration: float, segments: int = 10) -> npt.NDArray[np.int64]:
    """How many had been counted by the end of each of the clip's equal segments.

    Parameters
    ----------
    seconds : iterable of float
        When each was counted, from the clip's beginning. What is later than its end belongs to the last segment.
    duration : float
        Of the clip, in seconds.
    segments : int
        Into which the clip is cut.

    Returns
    -------
    int64 array (segments,)

    Examples
    --------
    >>> cumulative_counts([1.0, 3.0, 9.9, 10.2], 10.0, segments=5).tolist()
    [1, 2, 2, 2, 4]
    """
    if not duration > 0 or segments < 1:
        raise EvaluationError(
            f"expected a clip that lasts and at least one segment, got {duration} s and {segments} segments"
        )
    times = np.sort(np.fromiter(seconds, np.float64))
    ends = duration * np.arange(1, segments + 1) / segments
    ends[-1] = np.inf
    return np.searchsorted(times, ends, side="right").astype(np.int64)


def nwrmse(counted: npt.ArrayLike, true: npt.ArrayLike) -> float:
    """AI City Track 1's score of one movement and class: 1 is right all along, 0 is off by as many as there were.

    With the cumulative counts x of k segments, wRMSE is the root of the sum of w_i (counted_i - true_i)^2, where
    w_i = i / (1 + 2 + ... + k): late segments weigh more, since a count just before or after a cut between two
    segments is no error. The score is 1 - wRMSE / true_k, and 0 where wRMSE is larger than true_k.

    Source: Naphade et al., "The 4th AI City Challenge", CVPRW 2020, https://arxiv.org/abs/2004.14619, section
    4.1, and "The 5th AI City Challenge", CVPRW 2021; the formulas stand in the track's evaluation text,
    https://www.aicitychallenge.org/2021-data-and-evaluation/, which leaves k open: it is 10 in public copies of
    it.

    Parameters
    ----------
    counted, true : integer arrays (k,)
        As `cumulative_counts` gives them.

    Raises
    ------
    EvaluationError
        Where nothing was true, and nothing can be related to it, or where the arrays are of different lengths.

    Examples
    --------
    Two segments weigh 1/3 and 2/3; errors of 1 and 1 have a wRMSE of 1, a quarter of 4 vehicles:

    >>> nwrmse([1, 5], [2, 4])
    0.75
    """
    seen, real = np.asarray(counted, np.float64), np.asarray(true, np.float64)
    if seen.shape != real.shape or seen.ndim != 1 or not seen.size:
        raise EvaluationError(
            f"expected cumulative counts of the same segments, got shapes {seen.shape} and {real.shape}"
        )
    if not real[-1] > 0:
        raise EvaluationError("expected at least one true crossing to relate errors to, got none")
    weights = np.arange(1, len(seen) + 1) / (len(seen) * (len(seen) + 1) / 2)
    error = float(np.sqrt((weights * (seen - real) ** 2).sum()))
    return max(0.0, 1 - error / float(real[-1]))


def effectiveness(pairs: Sequence[tuple[npt.ArrayLike, npt.ArrayLike]]) -> float:
    """AI City Track 1's S1 effectiveness: the mean `nwrmse` of movements and classes, weighted by their true
    counts.

    What was counted in a movement where nothing was true has no weight, and goes unseen; see `total_error`.

    Source: as `nwrmse`.

    Parameters
    ----------
    pairs : sequence of (counted, true)
        Cumulative counts of each clip, movement and class.

    Raises
    ------
    EvaluationError
        Where nothing was true in any of them.

    Examples
    --------
    Four vehicles with a score of 0.75 and one with 0 make (4 * 0.75 + 1 * 0) / 5:

    >>> effectiveness([([1, 5], [2, 4]), ([0, 0], [1, 1]), ([0, 3], [0, 0])])
    0.6
    """
    weights = [float(np.asarray(true)[-1]) for _, true in pairs]
    if not sum(weights):
        raise EvaluationError("expected at least one true crossing in all movements together, got none")
    scores = [weight * nwrmse(*pair) for weight, pair in zip(weights, pairs, strict=True) if weight]
    return sum(scores) / sum(weights)


def efficiency(seconds: float, video_seconds: float, *, base_factor: float = 1.0, reach: float = 1.1) -> float:
    """AI City Track 1's S1 efficiency: 1 takes no time, 0 takes `reach` times the videos' play-back time or more.

    Source: as `nwrmse`; a reach of 1.1 is that of 2021.

    Parameters
    ----------
    seconds : float
        Execution time for all videos.
    video_seconds : float
        Their play-back time.
    base_factor : float
        How fast the machine is relative to the track's own; 1 where it was not measured, so that scores of one
        machine may be compared with each other and with no leader board.

    Examples
    --------
    >>> efficiency(55, 100)
    0.5
    >>> efficiency(120, 100)
    0.0
    """
    if not video_seconds > 0 or seconds < 0:
        raise EvaluationError(
            f"expected times of at least 0 and videos that last, got {seconds} and {video_seconds} s"
        )
    return max(0.0, 1 - seconds * base_factor / (reach * video_seconds))


def s1(efficiency: float, effectiveness: float) -> float:
    """AI City Track 1's score: 0.3 efficiency + 0.7 effectiveness.

    Source: as `nwrmse`.

    Examples
    --------
    >>> round(s1(0.5, 0.9), 6)
    0.78
    """
    return 0.3 * efficiency + 0.7 * effectiveness


def geh(counted: float, true: float, hours: float = 1.0) -> float:
    """The GEH statistic of a count, after Geoffrey E. Havers: sqrt(2 (M - C)^2 / (M + C)) for flows per hour.

    Below 5 is a good match for a flow of an hour, above 10 a bad one; 85 % of a model's flows should be below 5.

    Source: Design Manual for Roads and Bridges, volume 12, section 2, part 1 (DMRB 12.2.1), chapter 4; today
    Transport Analysis Guidance, unit M3.1.

    Parameters
    ----------
    counted, true : float
        In `hours`.
    hours : float
        How long was counted: the counts are scaled to an hour, for the statistic is none of ratios alone.

    Examples
    --------
    >>> geh(110, 90)
    2.0
    >>> geh(0, 0), round(geh(11, 9, hours=0.1), 6)
    (0.0, 2.0)
    """
    if not hours > 0 or counted < 0 or true < 0:
        raise EvaluationError(
            f"expected counts of at least 0 in some time, got {counted} and {true} in {hours} hours"
        )
    total = (counted + true) / hours
    return float(np.sqrt(2 * ((counted - true) / hours) ** 2 / total)) if total else 0.0


def total_error(counted: npt.ArrayLike, true: npt.ArrayLike) -> float:
    """Sum of |counted - true| / sum of true; the sum itself where nothing was true, so that nothing goes unseen.

    Examples
    --------
    One too many here and one too few there do not make up for each other:

    >>> total_error([3, 1], [2, 2])
    0.5
    """
    seen, real = np.asarray(counted, np.float64), np.asarray(true, np.float64)
    if seen.shape != real.shape:
        raise EvaluationError(f"expected as many counts as true ones, got {seen.size} and {real.size}")
    return float(np.abs(seen - real).sum() / max(real.sum(), 1))


def count_figures(counted: Sequence[float], true: Sequence[float], hours: Sequence[float]) -> dict[str, float]:
    """All figures of many counts: one per line, direction and clip.

    Parameters
    ----------
    counted, true, hours : sequences of the same length
        `hours` is how long each was counted.

    Returns
    -------
    dict
        ``error`` the `total_error`; ``mae`` the mean absolute error; ``nae`` the mean of |counted - true| / true
        where something was true (NWPU-Crowd, arXiv:2001.03360; left out where nothing was); ``geh`` the mean
        `geh`; ``geh_below_5`` the share of counts with less.

    Examples
    --------
    >>> figures = count_figures([110, 0], [90, 0], [1, 1])
    >>> {name: round(value, 3) for name, value in figures.items()}
    {'error': 0.222, 'mae': 10.0, 'geh': 1.0, 'geh_below_5': 1.0, 'nae': 0.222}
    """
    errors = count_errors(counted, true)
    matches = [geh(*row) for row in zip(counted, true, hours, strict=True)]
    figures = {
        "error": total_error(counted, true),
        "mae": errors["mae"],
        "geh": float(np.mean(matches)),
        "geh_below_5": float(np.mean(np.array(matches) < 5)),
    }
    return figures | ({"nae": errors["nae"]} if "nae" in errors else {})
