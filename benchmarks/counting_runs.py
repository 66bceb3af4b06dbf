"""One system over one clip: what it counted by when, what it tracked, and how long that took.

What a peer counts on given detections does not change from one day to the next: its outcome is kept in the cache
under the digest of the detections, and is not worked out again until a library or the way it is driven changes.
Ours is always run.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from benchmarks.counting_cases import Case
from benchmarks.counting_systems import DRIVEN, Entry
from benchmarks.mot_truth import MotTracks
from camera_counting.detections import Detections

__all__ = ["SEGMENTS", "Outcome", "outcome_of"]

SEGMENTS = 10  # of AI City's effectiveness

# line, direction and class, to what had been counted by the end of each segment
Counts = dict[tuple[str, str, str], list[int]]


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What one system made of one clip.

    Parameters
    ----------
    counts : dict
        Line, direction and class to what had been counted by the end of each segment; the last is the clip's
        count.
    tracks : MotTracks
        What it tracked, for CLEAR, IDF1 and HOTA.
    seconds : float
        Of one processor, for tracking and counting alone: what else runs on the machine does not count, and what
        was kept may be compared with what is measured now.
    """

    counts: Counts
    tracks: MotTracks
    seconds: float


def outcome_of(entry: Entry, case: Case, cache: Path) -> Outcome:
    """Run a system over a clip, or take what a peer gave before."""
    if entry.peer == "ours":
        return _run(entry, case)[entry.variant]
    kept = cache / "outcomes" / f"{_key(entry, case)}.npz"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        _write(kept, _run(entry, case))
    return _read(kept, entry.variant)


def _run(entry: Entry, case: Case) -> dict[str, Outcome]:
    """All variants of a system, whose tracks are the same."""
    system = entry.make(case)
    number = len(case.detections)
    system.step(0, Detections.none(case.names))  # what is loaded and compiled at first use is none of its time
    system = entry.make(case)
    # the last frame of each segment but the last, whose end is the clip's
    ends = [int(np.floor(number * i / SEGMENTS)) for i in range(1, SEGMENTS)]
    counts: dict[str, Counts] = {variant: {} for variant in system.variants}
    rows, taken, segment = [], 0.0, 0

    def note() -> None:
        for variant, told in counts.items():
            for key, count in system.counts(variant).items():
                told.setdefault(key, [0] * SEGMENTS)[segment] = count

    for frame, seen in enumerate(case.detections):
        start = time.process_time()
        ids, boxes = system.step(frame, seen)
        taken += time.process_time() - start
        system.beside()
        rows += [(frame, int(i), *map(float, box)) for i, box in zip(ids, boxes, strict=True)]
        while segment < SEGMENTS - 1 and frame >= ends[segment]:
            note()
            segment += 1
    start = time.process_time()
    system.finish()
    taken += time.process_time() - start
    segment = SEGMENTS - 1
    note()
    table = np.array(rows, np.float64).reshape(-1, 6)
    frame_of, track = table[:, 0].astype(np.int64), table[:, 1].astype(np.int64)
    tracks = MotTracks(number, frame_of, track, np.ones_like(track), table[:, 2:])
    return {variant: Outcome(told, tracks, taken) for variant, told in counts.items()}


def _key(entry: Entry, case: Case) -> str:
    digest = hashlib.sha256()
    for part in _identity(entry, case):
        digest.update(part)
    return digest.hexdigest()[:32]


def _identity(entry: Entry, case: Case) -> Iterator[bytes]:
    libraries = [f"{name} {version(name)}" for name in ("ultralytics", "trackers", "supervision")]
    lines = [(line.name, line.start, line.end, line.classes) for line in case.scene.lines]
    yield json.dumps(
        [DRIVEN, entry.run, libraries, lines, case.size, case.fps, case.names, case.confidence]
    ).encode()
    for seen in case.detections:
        yield seen.boxes.tobytes() + seen.scores.tobytes() + seen.class_ids.tobytes() + b"|"


def _write(path: Path, outcomes: dict[str, Outcome]) -> None:
    part = path.with_suffix(".part.npz")
    told = {v: [[*key, numbers] for key, numbers in outcome.counts.items()] for v, outcome in outcomes.items()}
    outcome = outcomes[""]
    tracks = outcome.tracks
    np.savez_compressed(
        part,
        counts=np.array(json.dumps(told)),
        seconds=outcome.seconds,
        frames=tracks.frames,
        frame=tracks.frame,
        track=tracks.track,
        boxes=tracks.boxes,
    )
    part.replace(path)


def _read(path: Path, variant: str) -> Outcome:
    with np.load(path) as held:
        rows = json.loads(str(held["counts"]))[variant]
        track = held["track"]
        tracks = MotTracks(int(held["frames"]), held["frame"], track, np.ones_like(track), held["boxes"])
        return Outcome({(a, b, c): list(numbers) for a, b, c, numbers in rows}, tracks, float(held["seconds"]))
