"""True crossings worked out from true tracks, and tracks held against them.

A published clip comes with the boxes of every object in every frame, and nothing about lines. Whoever stands on
the ground at the middle of his box's lower side crosses a line where this point changes sides of it between the
line's ends. Nothing of the counting engine is used here.

- The path is that of one identity; a gap of hidden frames is bridged in a straight line, as annotators do.
- Annotated boxes tremble, too: a crossing counts once the point is more than 3 % of the box's height beyond the
  line, so that who stands on the line does not go over it again and again. The time is that of the change itself.
- A crossing has the class that most of the track's boxes have.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from camera_counting.mot import parse_mot_line

__all__ = ["MotTracks", "TrackScore", "line_crossings", "read_tracks", "score_tracks"]

Floats = npt.NDArray[np.float64]
_BEYOND = 0.03  # of the box's height


@dataclass(frozen=True, slots=True, eq=False)
class MotTracks:
    """Tracks of a clip; row i of each array is one box.

    Parameters
    ----------
    frames : int
        Length of the clip.
    frame, track, kind : int64 arrays (N,)
        Frame from 0; identity; class number from 1.
    boxes : float64 array (N, 4)
        x1, y1, x2, y2 in pixels.
    """

    frames: int
    frame: npt.NDArray[np.int64]
    track: npt.NDArray[np.int64]
    kind: npt.NDArray[np.int64]
    boxes: Floats

    def every(self, step: int) -> MotTracks:
        """Those of every n-th frame, numbered anew."""
        keep = self.frame % step == 0
        frames = -(-self.frames // step)
        return MotTracks(frames, self.frame[keep] // step, self.track[keep], self.kind[keep], self.boxes[keep])


def read_tracks(path: Path, frames: int | None = None) -> MotTracks:
    """Ground truth in MOT format; lines with the flag 0 are left out.

    Raises
    ------
    ValueError
        With the line's number, where it is not MOT's, or where the file is none of text.
    """
    rows = []
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: expected a text file of tracks in MOT format, got other bytes") from error
    for number, text in enumerate(lines, start=1):
        if not text.strip():
            continue
        try:
            line = parse_mot_line(text)
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {error}") from None
        if line.confidence:
            left, top, width, height = line.box
            kind = line.kind or 1
            rows.append((line.frame - 1, line.track, kind, left, top, left + width, top + height))
    table = np.array(sorted(rows), np.float64).reshape(-1, 7)
    frame, track, kind = (table[:, i].astype(np.int64) for i in range(3))
    length = int(frame.max(initial=-1)) + 1
    return MotTracks(max(length, frames or 0), frame, track, kind, table[:, 3:])


def line_crossings(
    tracks: MotTracks, start: tuple[float, float], end: tuple[float, float]
) -> list[tuple[float, int, int, str]]:
    """All crossings of the segment from `start` to `end`, in pixels.

    Returns
    -------
    list of (frame, track, kind, direction)
        `frame` is fractional; in is from the left-hand to the right-hand side of the vector as seen on the screen.

    Examples
    --------
    Somebody walks down over a line from left to right:

    >>> boxes = np.array([[40, 10 * i, 60, 10 * i + 40] for i in range(6)], float)
    >>> one = np.ones(6, np.int64)
    >>> line_crossings(MotTracks(6, np.arange(6), one, one, boxes), (0, 65), (100, 65))
    [(2.5, 1, 1, 'in')]
    """
    found = []
    for track in np.unique(tracks.track).tolist():
        mine = tracks.track == track
        kind = Counter(tracks.kind[mine].tolist()).most_common(1)[0][0]
        for frame, direction in _path_crossings(tracks.frame[mine], tracks.boxes[mine], start, end):
            found.append((frame, track, kind, direction))
    return sorted(found)


def _path_crossings(
    frame: npt.NDArray[np.int64], boxes: Floats, start: Sequence[float], end: Sequence[float]
) -> list[tuple[float, str]]:
    order = np.argsort(frame, kind="stable")
    frame, boxes = frame[order], boxes[order]
    feet = np.stack([(boxes[:, 0] + boxes[:, 2]) / 2, boxes[:, 3]], axis=1)
    origin, along = np.array(start, np.float64), np.subtract(end, start).astype(np.float64)
    length = float(np.hypot(*along))
    relative = feet - origin
    # distance from the line in pixels, positive on the right-hand side because y grows downwards
    side = (along[0] * relative[:, 1] - along[1] * relative[:, 0]) / length
    share = relative @ along / length**2
    enough = _BEYOND * (boxes[:, 3] - boxes[:, 1])
    found: list[tuple[float, str]] = []
    held = 0  # the side he was last seen on for certain: 1 right, -1 left
    for i in range(len(side)):
        now = int(np.sign(side[i])) if abs(side[i]) > enough[i] else 0
        if now and held and now != held:
            # the last change of sides up to here
            j = max(k for k in range(i) if (side[k] > 0) != (side[i] > 0))
            part = side[j] / (side[j] - side[j + 1])
            if 0 <= share[j] + part * (share[j + 1] - share[j]) <= 1:
                found.append((float(frame[j] + part * (frame[j + 1] - frame[j])), "in" if now > 0 else "out"))
        held = now or held
    return found


@dataclass(frozen=True, slots=True)
class TrackScore:
    """MOTA, IDF1 and HOTA, 0 to 1 (MOTA may be below), and the changes of identity."""

    mota: float
    idf1: float
    hota: float
    switches: int


def score_tracks(pairs: Sequence[tuple[MotTracks, MotTracks]]) -> TrackScore:
    """Hold found tracks against true ones, all clips together, whatever the class.

    CLEAR MOT (Bernardin and Stiefelhagen 2008), IDF1 (Ristani et al. 2016) and HOTA (Luiten et al. 2021), as
    `trackers.eval` works them out after TrackEval. Its reader scores class 1 alone: all are written as that.

    Parameters
    ----------
    pairs : sequence of (true, found)
    """
    from tempfile import TemporaryDirectory

    from trackers.eval import evaluate_mot_sequences

    with TemporaryDirectory() as folder:
        places = [Path(folder) / "true", Path(folder) / "found"]
        for place in places:
            place.mkdir()
        for number, pair in enumerate(pairs):
            for place, tracks in zip(places, pair, strict=True):
                (place / f"{number:05d}.txt").write_text(_mot_text(tracks), encoding="utf-8")
        combined = evaluate_mot_sequences(*places, metrics=["CLEAR", "Identity", "HOTA"]).aggregate
    if combined.CLEAR is None or combined.Identity is None or combined.HOTA is None:
        raise RuntimeError("expected CLEAR, Identity and HOTA from trackers.eval")
    return TrackScore(combined.CLEAR.MOTA, combined.Identity.IDF1, combined.HOTA.HOTA, combined.CLEAR.IDSW)


def _mot_text(tracks: MotTracks) -> str:
    rows = [
        f"{frame + 1},{track},{x1:.2f},{y1:.2f},{x2 - x1:.2f},{y2 - y1:.2f},1,1,1"
        for frame, track, (x1, y1, x2, y2) in zip(tracks.frame, tracks.track, tracks.boxes, strict=True)
    ]
    # the reader refuses an empty file; this row is nobody, found or true
    return "\n".join(rows or ["1,-1,0,0,1,1,0,9,1"]) + "\n"
