"""The outcomes of many clips as figures, and the better setting of each peer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.counting_cases import Case
from benchmarks.counting_runs import SEGMENTS, Outcome
from benchmarks.counting_systems import Entry
from benchmarks.mot_truth import TrackScore, score_tracks
from counting_evaluator.count_error import count_figures, cumulative_counts, effectiveness, efficiency, s1

__all__ = ["Figures", "better_settings", "figures_of"]


@dataclass(frozen=True, slots=True)
class Figures:
    """One system over several clips.

    Parameters
    ----------
    wrong, true : int
        Sum of |counted - true| over clips, lines and directions; sum of true.
    counting : dict
        Of `count_figures`.
    effectiveness, s1 : float
        AI City Track 1, by movement and class; S1 with the time of tracking and counting alone.
    fps : float
        Frames per second of tracking and counting alone.
    tracking : TrackScore or None
        Where the clips have true boxes.
    """

    wrong: int
    true: int
    counting: dict[str, float]
    effectiveness: float
    s1: float
    fps: float
    tracking: TrackScore | None

    @property
    def error(self) -> float:
        """Total count error."""
        return self.counting["error"]


def figures_of(cases: Sequence[Case], outcomes: Sequence[Outcome], *, tracking: bool = True) -> Figures:
    """Put together what one system made of these clips."""
    counted: list[float] = []
    true: list[float] = []
    hours: list[float] = []
    movements = []
    for case, outcome in zip(cases, outcomes, strict=True):
        for (line, way), number in case.true_counts().items():
            counted.append(sum(c[-1] for (a, b, _), c in outcome.counts.items() if (a, b) == (line, way)))
            true.append(number)
            hours.append(case.seconds / 3600)
        times: dict[tuple[str, str, str], list[float]] = {}
        for crossing in case.truth:
            key = crossing.line, crossing.direction, crossing.class_name
            times.setdefault(key, []).append(crossing.seconds)
        for key in {*times, *outcome.counts}:
            real = cumulative_counts(times.get(key, []), case.seconds, SEGMENTS)
            movements.append((outcome.counts.get(key, [0] * SEGMENTS), real))
    taken, played = sum(o.seconds for o in outcomes), sum(case.seconds for case in cases)
    effective = effectiveness(movements) if sum(true) else 0.0
    pairs = [(c.tracks, o.tracks) for c, o in zip(cases, outcomes, strict=True) if c.tracks is not None]
    return Figures(
        wrong=round(sum(abs(a - b) for a, b in zip(counted, true, strict=True))),
        true=round(sum(true)),
        counting=count_figures(counted, true, hours),
        effectiveness=effective,
        s1=s1(efficiency(taken, played), effective),
        fps=sum(len(case.detections) for case in cases) / max(taken, 1e-9),
        tracking=score_tracks(pairs) if tracking and pairs else None,
    )


def better_settings(
    entries: Sequence[Entry], error: Callable[[Entry], float] | Mapping[str, float]
) -> dict[str, Entry]:
    """The setting of each peer with the smaller error; the earlier one where they tie."""
    told = error if callable(error) else (lambda entry: error[entry.name])
    best: dict[str, Entry] = {}
    for entry in entries:
        if entry.peer not in best or told(entry) < told(best[entry.peer]):
            best[entry.peer] = entry
    return best
