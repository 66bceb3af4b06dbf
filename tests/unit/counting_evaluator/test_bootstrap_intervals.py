"""Bootstrap intervals against SciPy's, and how often they hold what is true."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import bootstrap

from camera_counting.detections import Detections
from counting_evaluator.counting import count_table, true_counts
from counting_evaluator.detection import evaluate_detection
from counting_evaluator.lines import LineCount
from counting_evaluator.resampling import drawn, line_intervals, picture_intervals, units
from counting_evaluator.truth import LabelledPicture

NAMES = ("person", "car")
Interval = tuple[float, float]


def _picture_of(objects: int, missed: int, false: int) -> tuple[LabelledPicture, Detections]:
    """Cars beside each other, the first of them missed, and boxes where nothing is; a person on every fifth."""
    x = 30 * np.arange(objects)
    boxes = np.stack([x, np.zeros(objects), x + 20, np.full(objects, 20)], axis=1).astype(np.float32)
    ids = [int(place % 5 > 0) for place in range(objects)]
    clutter = [[30 * place, 100, 30 * place + 20, 120] for place in range(false)]
    seen = np.concatenate([boxes[missed:], np.array(clutter, np.float32).reshape(-1, 4)])
    scores = np.linspace(0.9, 0.6, len(seen))
    picture = LabelledPicture(Path("a.jpg"), boxes, tuple(NAMES[i] for i in ids))
    return picture, Detections.of(seen, scores, [*ids[missed:], *([1] * false)], NAMES)


def _case(rng: np.random.Generator, number: int) -> tuple[list[LabelledPicture], list[Detections]]:
    made = []
    for _ in range(number):
        objects = int(rng.integers(0, 7))
        made.append(_picture_of(objects, int(rng.integers(0, objects // 2 + 1)), int(rng.integers(0, 3))))
    return [picture for picture, _ in made], [seen for _, seen in made]


def _intervals(
    pictures: list[LabelledPicture],
    found: list[Detections],
    groups: np.ndarray | None = None,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, Interval]:
    matches = evaluate_detection(pictures, found, NAMES, 0.5).matches
    return picture_intervals(
        count_table(found, NAMES, 0.5), true_counts(pictures, NAMES), [matches[name] for name in NAMES], 0.5,
        np.arange(len(pictures)) if groups is None else groups, resamples=resamples, seed=seed,
    )  # fmt: skip


def test_intervals_agree_with_scipy() -> None:
    pictures, found = _case(np.random.default_rng(1), 60)
    intervals = _intervals(pictures, found, resamples=9999)
    true = true_counts(pictures, NAMES).sum(axis=1)
    difference = count_table(found, NAMES, 0.5).sum(axis=1) - true
    filled = true > 0

    def rows(values: np.ndarray) -> tuple[float, float]:
        done = bootstrap((values,), np.mean, n_resamples=9999, method="percentile", rng=np.random.default_rng(4))
        return done.confidence_interval.low, done.confidence_interval.high

    assert intervals["count/mae"] == pytest.approx(rows(np.abs(difference)), abs=0.02)
    assert intervals["count/bias"] == pytest.approx(rows(difference), abs=0.02)
    # SciPy draws ratios as pairs: of both sums, with the same pictures
    relative = np.divide(np.abs(difference), true, out=np.zeros(len(true)), where=filled)
    nae = bootstrap(
        (relative, filled.astype(float)), lambda a, b, axis: a.sum(axis=axis) / b.sum(axis=axis),
        paired=True, n_resamples=9999, method="percentile", rng=np.random.default_rng(4),
    ).confidence_interval  # fmt: skip
    assert intervals["count/nae"] == pytest.approx((nae.low, nae.high), abs=0.02)


def test_map50_of_the_draws_is_that_of_pictures_drawn_one_by_one() -> None:
    pictures, found = _case(np.random.default_rng(3), 15)
    low, high = _intervals(pictures, found, resamples=60, seed=5)["detection/map50"]
    figures = []
    for block in drawn(15, 60, 5):
        for draw in block:
            order = np.repeat(np.arange(15), draw)
            result = evaluate_detection([pictures[i] for i in order], [found[i] for i in order], NAMES, 0.5)
            figures.append(result.metrics["map50"])
    assert len(figures) == 60
    assert (low, high) == pytest.approx(tuple(np.percentile(figures, [2.5, 97.5])))
    assert low < evaluate_detection(pictures, found, NAMES, 0.5).metrics["map50"] < high


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(11)
    everything = np.abs(rng.poisson(4, 200_000) - rng.poisson(4, 200_000)).mean()  # of pictures of this kind
    held = 0
    for _ in range(200):
        true = rng.poisson(4, (60, 1))
        counted = rng.poisson(4, (60, 1))
        low, high = picture_intervals(
            counted, true, [_no_matches(60)], 0.5, np.arange(60), resamples=300, seed=int(rng.integers(1000))
        )["count/mae"]
        held += low <= everything <= high
    # Of 200 at 95 %: 190 with a deviation of 3; percentile intervals of 60 pictures are a little narrow.
    assert 178 <= held <= 199


def _no_matches(pictures: int):  # type: ignore[no-untyped-def]
    empty = LabelledPicture(Path("a.jpg"), np.zeros((0, 4), np.float32), ())
    return evaluate_detection([empty] * pictures, [Detections.none(NAMES)] * pictures, ["car"], 0.5).matches["car"]


def test_the_same_seed_draws_the_same_and_another_another() -> None:
    pictures, found = _case(np.random.default_rng(1), 30)
    first, again, other = (_intervals(pictures, found, resamples=150, seed=seed) for seed in (1, 1, 2))
    assert first == again != other


def test_frames_of_one_clip_say_less_than_as_many_pictures() -> None:
    """Ten frames that are all alike, of each of ten clips: as much as ten pictures, so intervals are wider."""
    rng = np.random.default_rng(8)
    clips = [_picture_of(6, int(rng.integers(0, 6)), 0) for _ in range(10)]
    pictures, found = ([clip[part] for clip in clips for _ in range(10)] for part in (0, 1))
    groups = units([f"clip {number // 10}" for number in range(100)])

    def width(interval: Interval) -> float:
        return interval[1] - interval[0]

    alone, together = _intervals(pictures, found)["count/mae"], _intervals(pictures, found, groups)["count/mae"]
    ten = _intervals([clip[0] for clip in clips], [clip[1] for clip in clips])["count/mae"]
    assert together == pytest.approx(ten)
    assert width(together) > 2 * width(alone)


def test_one_picture_or_none_at_all_has_no_interval() -> None:
    pictures, found = _case(np.random.default_rng(1), 1)
    assert _intervals(pictures, found) == {}
    assert _intervals(*_case(np.random.default_rng(1), 9), resamples=0) == {}


def test_empty_pictures_have_intervals_of_what_can_be_told() -> None:
    intervals = _intervals(
        *(list(each) for each in zip(*[_picture_of(0, 0, n % 2) for n in range(8)], strict=True))
    )
    assert intervals["count/bias"][0] > 0
    assert {"count/nae", "detection/map50", "detection/recall"}.isdisjoint(intervals)


def test_clips_are_drawn_as_wholes() -> None:
    # One clip is right, one is wrong by all: whatever is drawn of the two, the error is 0, 1/2 or 1.
    cells = [
        LineCount(clip, "l", way, "car", counted, 4)
        for clip, counted in (("a", 4), ("b", 0))
        for way in ("in", "out")
    ]
    assert line_intervals(cells, resamples=400) == {"line/error": (0.0, 1.0)}
    many = [LineCount(f"c{n}", "l", "in", "car", 4 + n % 2, 4) for n in range(40)]
    low, high = line_intervals(many, resamples=1000)["line/error"]
    assert 0.05 < low < 0.125 < high < 0.2  # half of the clips are off by a quarter; one deviation is 0.02
    assert line_intervals(cells[:2], resamples=400) == {}
