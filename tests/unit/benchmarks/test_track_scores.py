"""The scores of tracks that the benchmarks tell, against TrackEval itself."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
from trackeval.metrics import CLEAR, HOTA, Identity

from benchmarks.mot_truth import MotTracks, score_tracks

FRAMES = 40


def _case(seed: int) -> tuple[MotTracks, MotTracks]:
    """Objects that wander, and what a tracker makes of them: it trembles, misses, imagines, changes identities."""
    rng = np.random.default_rng(seed)
    true, found = [], []
    for track in range(1, 7):
        x, y = rng.uniform(50, 500, 2)
        dx, dy = rng.uniform(-4, 4, 2)
        begin, end = sorted(rng.choice(FRAMES, 2, replace=False).tolist())
        for frame in range(begin, end + 1):
            box = np.array([x, y, x + 40, y + 90]) + np.tile([dx * frame, dy * frame], 2)
            true.append((frame, track, *box))
            if rng.random() < 0.85:
                number = track if frame < (begin + end) / 2 else track + 50
                found.append((frame, number, *(box + rng.normal(0, 6, 4))))
        if rng.random() < 0.5:
            found += [(frame, 100 + track, 600.0, 10.0, 640.0, 90.0) for frame in range(begin, begin + 1)]
    # A tracker gives an identity to one box of a frame.
    unique = {(row[0], row[1]): row for row in found}
    return _tracks(true), _tracks(list(unique.values()))


def _tracks(rows: list[tuple[float, ...]]) -> MotTracks:
    table = np.array(sorted(rows), np.float64).round(2)
    ones = np.ones(len(table), np.int64)
    return MotTracks(FRAMES, table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), ones, table[:, 2:])


def _overlaps(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    sides = np.minimum(a[:, None, 2:], b[None, :, 2:]) - np.maximum(a[:, None, :2], b[None, :, :2])
    common = sides.clip(min=0).prod(axis=-1)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=-1) for boxes in (a, b)]
    return np.asarray(common / (areas[0][:, None] + areas[1][None] - common))


def _trackeval(true: MotTracks, found: MotTracks) -> tuple[float, float, float, int]:
    numbers = [{track: n for n, track in enumerate(np.unique(tracks.track).tolist())} for tracks in (true, found)]
    ids: list[list[np.ndarray]] = [[], []]
    overlaps = []
    for frame in range(FRAMES):
        boxes = []
        for side, tracks in enumerate((true, found)):
            now = tracks.frame == frame
            ids[side].append(np.array([numbers[side][track] for track in tracks.track[now].tolist()], int))
            boxes.append(tracks.boxes[now])
        overlaps.append(_overlaps(*boxes))
    data = {
        "num_timesteps": FRAMES,
        "num_gt_ids": len(numbers[0]), "num_tracker_ids": len(numbers[1]),
        "num_gt_dets": len(true.frame), "num_tracker_dets": len(found.frame),
        "gt_ids": ids[0], "tracker_ids": ids[1], "similarity_scores": overlaps,
    }  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()):
        clear, identity, hota = (metric().eval_sequence(data) for metric in (CLEAR, Identity, HOTA))
    return clear["MOTA"], identity["IDF1"], float(np.mean(hota["HOTA"])), int(clear["IDSW"])


@pytest.mark.parametrize("seed", range(4))
def test_scores_are_those_of_trackeval(seed: int) -> None:
    true, found = _case(seed)
    score = score_tracks([(true, found)])
    mota, idf1, hota, switches = _trackeval(true, found)
    assert (score.mota, score.idf1, score.hota) == pytest.approx((mota, idf1, hota), abs=1e-6)
    assert score.switches == switches
    assert 0 < hota < 1
    assert switches > 0
