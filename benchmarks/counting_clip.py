"""A clip of one's own with MOT ground truth, as a case of the comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.counting_cases import Case, Crossing, detections_of
from benchmarks.mot_truth import line_crossings, read_tracks
from camera_counting.model import CountingModel
from camera_counting.mot import MOT_CLASSES
from camera_counting.scene import Scene
from camera_counting.video import open_source

__all__ = ["clip_case"]


def clip_case(
    clip: Path,
    truth: Path | None,
    line: tuple[float, float, float, float] | None,
    labels: Sequence[str] | None,
    model: CountingModel,
    cache: Path,
) -> Case:
    """Detect on a clip, and work out who truly crossed the line.

    Of the truth, those classes are taken that the model knows; its numbers are MOT16's unless `labels` name them.
    Ends the program where something is missing or does not go together.
    """
    if truth is None or line is None:
        raise SystemExit("error: --clip needs --truth gt.txt (MOT format) and --line x1,y1,x2,y2")
    named = dict(enumerate(labels, start=1)) if labels else MOT_CLASSES
    known = {number: name for number, name in named.items() if name in model.names}
    if not known:
        raise SystemExit(
            f"error: the truth's classes are {', '.join(named.values())}, the model knows "
            f"{', '.join(model.names)}: say with --labels what the numbers 1, 2, ... mean"
        )
    with open_source(clip) as source:
        first = next(iter(source), None)
        fps = source.fps
    if first is None or not fps:
        raise SystemExit(f"error: {clip}: expected a clip with frames and a frame rate")
    height, width = first.image.shape[:2]
    try:
        tracks = read_tracks(truth)
    except (OSError, ValueError) as error:
        raise SystemExit(f"error: {error}") from None
    kept = np.isin(tracks.kind, list(known))
    tracks = replace(
        tracks,
        frame=tracks.frame[kept],
        track=tracks.track[kept],
        kind=tracks.kind[kept],
        boxes=tracks.boxes[kept],
    )
    start, end = line[:2], line[2:]
    crossings = [
        Crossing("line", way, known[kind], frame / fps)
        for frame, _, kind, way in line_crossings(tracks, start, end)
    ]
    classes = list(dict.fromkeys(known.values()))
    scene = {
        "camera": clip.stem,
        "units": "pixels",
        "lines": [{"name": "line", "from": start, "to": end, "classes": classes}],
    }
    return Case(
        name=clip.stem,
        cell=clip.stem,
        part="clip",
        scene=Scene.from_dict(scene).for_size(width, height),
        size=(width, height),
        fps=fps,
        names=tuple(model.names),
        detections=detections_of(clip, model, cache / "detections"),
        confidence=model.confidence,
        truth=tuple(crossings),
        tracks=tracks,
    )
