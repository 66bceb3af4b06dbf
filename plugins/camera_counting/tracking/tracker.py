"""The tracker that counts: two-stage association on Kalman-filtered boxes, with real time between frames.

The association by high and then low scores follows Y. Zhang et al.: ByteTrack (ECCV 2022). Differences: every
interval is in seconds, gates are the filters' own uncertainty, a track's class is voted over its life, and
whatever is the same object under two classes is one track.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from camera_counting.detections import Detections
from camera_counting.geometry import borders_touched
from camera_counting.tracking.association import assign, overlaps, shadows, without_duplicates
from camera_counting.tracking.base import Tracker, Tracks
from camera_counting.tracking.completion import complete
from camera_counting.tracking.motion import box_scale, corners_to_centre
from camera_counting.tracking.population import Population
from camera_counting.tracking.rejoining import rejoin

__all__ = ["MotionTracker", "TrackerSettings"]

_Array = npt.NDArray[np.float64]
_Rows = npt.NDArray[np.intp]

# 99.9 % of a chi-square variable with four degrees of freedom lies below.
_GATE = 18.5
# A score counts as evidence by what it is above this part of the confidence; what flickers around it never counts.
_DOUBT = 0.9
# What a detection's score is worth in the choice between several, in nats.
_SCORE_WEIGHT = 1.5
# What it costs, in nats, that a track is not seen in a frame and a detection is nobody's who is known. Were a bad
# match taken before none, each of a file of people of whom one is hidden would be taken for the one in front.
_NO_MATCH = 3.0
# A detection lies within another one if this share of it does.
_COVER = 0.7
# What the middle and the extent of a side that is cut are trusted, relative to those of a whole one.
_TRUST_IN_CUT = np.array([0.5, 0.5, 0.05, 0.05])
# Of a track that was in sight for so long, its fate is known for this many times as long.
_KNOWN = 4.0
# So near to the border of the frame, relative to its longer side, a box touches it.
_SLACK = 0.015
# The interval between two frames before one is known.
_INTERVAL = 0.04
# Frames that lie further apart than this can't be tracked, only counted one by one.
_MOST_PATIENCE = 3.0


class TrackerSettings(BaseModel):
    """What the tracker goes by: one set for every clip; nothing here is meant to be tuned per clip."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    confidence: float = Field(
        default=0.25, ge=0, le=1, description="A detection of at least this score begins a track."
    )
    low: float = Field(
        default=0.1, ge=0, le=1, description="A detection of at least this score continues a track."
    )
    lost_seconds: float = Field(default=2.0, gt=0, description="How long a track out of sight is waited for.")
    away_seconds: float = Field(
        default=8.0, ge=0, description="How long a track that went behind something is remembered."
    )
    evidence: float = Field(
        default=0.5,
        gt=0,
        description="Sum of what scores are above the confidence that makes a track an object.",
    )
    duplicate_overlap: float = Field(
        default=0.75, gt=0, le=1, description="Boxes of a class that overlap by more are one object."
    )
    other_class_overlap: float = Field(
        default=0.6, gt=0, le=1, description="Boxes of two classes that overlap by more are one object."
    )


class MotionTracker(Tracker):
    """Tracks objects by their motion.

    Parameters
    ----------
    settings : TrackerSettings, optional
    size : (width, height), optional
        Of the frames, in pixels: what leaves the picture is then not waited for.

    Examples
    --------
    >>> tracker = MotionTracker()
    >>> for i in range(4):
    ...     seen = Detections.of([[10 + 5 * i, 20, 50 + 5 * i, 90]], [0.9], [0], ["person"])
    ...     tracks = tracker.update(seen, seconds=i / 10)
    >>> tracks.ids.tolist(), tracks.confirmed.tolist()
    ([1], [True])
    """

    def __init__(self, settings: TrackerSettings | None = None, size: tuple[int, int] | None = None) -> None:
        self.settings = settings or TrackerSettings()
        self._size = size
        self._seconds: float | None = None
        self._clock = 0.0  # runs as the frames' own times do, but never back
        self._step = 0.0
        self._interval = 0.0
        self._tracks = Population()

    def update(self, detections: Detections, seconds: float) -> Tracks:
        """The tracks of one frame; see `Tracker.update`."""
        self._tracks.meet(detections.names)
        settings = self.settings
        detections = detections.at_least(min(settings.low, settings.confidence))
        detections = detections.take(
            without_duplicates(detections, settings.duplicate_overlap, settings.other_class_overlap)
        )
        self._advance(seconds)
        ended = self._forget()
        measured = corners_to_centre(detections.boxes)
        high = np.flatnonzero(detections.scores >= settings.confidence)
        low = np.flatnonzero(detections.scores < settings.confidence)

        track_of = np.full(len(detections), -1, np.intp)
        sure, away = self._tracks.sure, self._tracks.away
        self._associate(detections, measured, track_of, high, np.flatnonzero(sure & ~away))
        self._associate(detections, measured, track_of, high[track_of[high] < 0], np.flatnonzero(~sure))
        # a faint detection only continues what was in sight a moment ago
        taken = np.zeros(len(self._tracks), bool)
        taken[track_of[track_of >= 0]] = True
        recent = np.flatnonzero(~taken & ~away & (self._clock - self._tracks.seen <= self._moment()))
        self._associate(detections, measured, track_of, low, recent, least_overlap=0.2)

        self._correct(detections, measured, track_of)
        self._begin(detections, measured, track_of, high)
        ended += self._rejoin(track_of)
        return self._seen_now(detections, track_of, seconds, ended)

    def finish(self) -> Tracks:
        """End all tracks; see `Tracker.finish`."""
        ended = tuple(self._tracks.ids.tolist())
        self._tracks.keep(np.zeros(len(self._tracks), bool))
        none = Detections.none(self._tracks.names)
        return self._seen_now(none, np.zeros(0, np.intp), self._seconds or 0.0, ended)

    def snapshot(self) -> dict[str, Any]:
        """The whole state; see `Tracker.snapshot`."""
        return {
            "seconds": self._seconds,
            "clock": self._clock,
            "step": self._step,
            "interval": self._interval,
            "tracks": self._tracks.snapshot(),
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Go on from a snapshot; see `Tracker.restore`."""
        seconds = snapshot["seconds"]
        tracks = Population()
        tracks.restore(snapshot["tracks"])
        self._seconds = None if seconds is None else float(seconds)
        self._clock, self._step = float(snapshot["clock"]), float(snapshot["step"])
        self._interval = float(snapshot["interval"])
        self._tracks = tracks

    def _advance(self, seconds: float) -> None:
        before, self._seconds = self._seconds, seconds
        if before is None:
            return
        # a clock that stands still or jumps back tells nothing: the usual interval is the best guess
        dt = seconds - before if seconds > before else self._interval or _INTERVAL
        # one long pause must not make the tracker patient
        self._interval = self._interval * min(max(dt / self._interval, 0.5), 1.5) ** 0.2 if self._interval else dt
        unseen = self._tracks.seen < self._clock - 1e-9
        self._clock += dt
        self._step = dt
        self._tracks.motion.predict(min(dt, self.settings.lost_seconds), unseen)

    def _moment(self) -> float:
        """Seconds for which a track may be out of sight and still count as being there."""
        return max(0.5, 2.5 * self._interval)

    def _associate(
        self,
        detections: Detections,
        measured: _Array,
        track_of: _Rows,
        candidates: _Rows,
        tracks: _Rows,
        least_overlap: float = 0.0,
    ) -> None:
        """Write into `track_of` which of the `tracks` each of the `candidates` continues."""
        if not len(candidates) or not len(tracks):
            return
        spread = self._tracks.motion.spread(tracks)
        residual = measured[candidates][None] - self._tracks.motion.mean[tracks][:, None]
        distance = (residual**2 / spread[:, None]).sum(2)
        overlap = overlaps(self._tracks.motion.boxes()[tracks], detections.boxes[candidates])
        scale = box_scale(self._tracks.motion.mean[tracks])[:, None]
        vagueness = 0.5 * np.log(spread / scale**2).sum(1)[:, None]
        votes = self._tracks.votes[tracks]
        share = votes[:, detections.class_ids[candidates]] / np.maximum(votes.sum(1, keepdims=True), 1e-9)
        cost = 0.5 * np.minimum(distance, 2 * _GATE) + vagueness - 2.0 * share - 2.0 * overlap
        cost = cost - _SCORE_WEIGHT * detections.scores[candidates].astype(np.float64)
        # a box that changes its shape leaves the gate, but not its place
        allowed = (distance < _GATE) | (overlap > 0.3)
        ratio = measured[candidates][None, :, 2:] / self._tracks.motion.mean[tracks][:, None, 2:]
        # what comes back after a while should look as it did
        most = np.where(self._clock - self._tracks.seen[tracks] > self._moment(), 1.7, 2.5)[:, None, None]
        allowed &= ((ratio > 1 / most) & (ratio < most)).all(2)
        allowed &= overlap >= least_overlap
        rows, columns = assign(cost, allowed, _NO_MATCH)
        track_of[candidates[columns]] = tracks[rows]

    def _correct(self, detections: Detections, measured: _Array, track_of: _Rows) -> None:
        seen = np.flatnonzero(track_of >= 0)
        rows = track_of[seen]
        scores = detections.scores[seen].astype(np.float64)
        trust = np.clip(scores / max(self.settings.confidence, 1e-3), 0.25, 1.0)[:, None]
        # what the picture's border cuts is not completed: the next box there is cut, too, and is to be found again
        usual = np.where(self._at_border(detections.boxes[seen]), measured[seen], self._tracks.motion.mean[rows])
        whole, hidden = complete(measured[seen], usual)
        # where a side is cut the middle is half a guess; and one that stays so short is as short as that by now
        guess = np.concatenate([whole[:, :2], measured[seen, 2:]], axis=1)
        trust = trust * np.where(np.tile(hidden > 0, 2), _TRUST_IN_CUT, 1.0)
        self._tracks.motion.update(rows, guess, trust)
        self._tracks.hits[rows] += 1
        # what is only ever seen within a stronger one gives no evidence of being an object of its own
        strength = np.where(self._tracks.sure[rows], 1e3, 0.0) + self._tracks.evidence[rows]
        shadowed = shadows(detections.take(seen), strength, _COVER)
        # and a faint sight of that kind, which may be a part of the stronger one, does not keep a track for long
        in_sight = ~shadowed | (scores >= self.settings.confidence)
        self._tracks.seen[rows[in_sight]] = self._clock
        gain = np.where(shadowed, 0.0, scores - _DOUBT * self.settings.confidence)
        self._tracks.evidence[rows] = np.maximum(self._tracks.evidence[rows] + gain, 0)
        np.add.at(self._tracks.votes, (rows, detections.class_ids[seen]), scores**2)
        self._tracks.note_way(rows, self._step)

    def _begin(self, detections: Detections, measured: _Array, track_of: _Rows, high: _Rows) -> None:
        new = high[track_of[high] < 0]
        if not len(new):
            return
        votes = np.zeros((len(new), len(self._tracks.names)))
        votes[np.arange(len(new)), detections.class_ids[new]] = detections.scores[new].astype(np.float64) ** 2
        track_of[new] = self._tracks.add(measured[new], votes, self._clock)

    def _confirmed(self) -> npt.NDArray[np.bool_]:
        # what once was an object stays one
        self._tracks.sure |= (self._tracks.hits >= 2) & (self._tracks.evidence >= self.settings.evidence)
        return self._tracks.sure

    def _forget(self) -> tuple[int, ...]:
        """End the tracks that were waited for long enough."""
        short = min(max(0.3, 2.5 * self._interval), _MOST_PATIENCE)
        # of a track that was hardly seen nobody knows where it went
        age = self._tracks.seen - self._tracks.born
        patience = np.where(
            self._confirmed(), np.clip(2 * age, short, max(self.settings.lost_seconds, short)), short
        )
        patience[self._leaving()] = short
        # up to the frame before: it may be there again in this one, unless nobody looked for too long
        waited = self._clock - self._step - self._tracks.seen
        keep = (waited <= patience) & (self._step <= max(self.settings.lost_seconds, short))
        # who is hidden by something may come out at its other side
        self._tracks.away = ~keep & (self._tracks.away | (self._tracks.sure & (patience > short)))
        # this one counts the time in which nobody looked: of whom nothing was seen for so long, nothing is known
        known = np.minimum(self.settings.away_seconds, _KNOWN * age)
        keep |= self._tracks.away & (np.maximum(waited, self._step) <= known)
        if keep.all():
            return ()
        ended = tuple(self._tracks.ids[~keep].tolist())
        self._tracks.keep(keep)
        return ended

    def _rejoin(self, track_of: _Rows) -> tuple[int, ...]:
        """Let those that have just become objects go on as those that they were before they were hidden."""
        before = self._tracks.sure.copy()
        found = np.flatnonzero(self._confirmed() & ~before)
        lost = np.flatnonzero(self._tracks.away)
        if not len(found) or not len(lost):
            return ()
        lost, found = rejoin(self._tracks, lost, found, self._clock)
        gone, keep = self._tracks.join(lost, found)
        seen = track_of >= 0
        track_of[seen] = (np.cumsum(keep) - 1)[track_of[seen]]
        return gone

    def _at_border(self, boxes: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
        """Which of centre x, centre y, width, height of boxes (N, 4) the border of the frame may cut."""
        if self._size is None:
            return np.zeros((len(boxes), 4), bool)
        touched = borders_touched(boxes.astype(np.float64), self._size, _SLACK)
        return np.tile(touched[:, :2] | touched[:, 2:], 2)

    def _leaving(self) -> npt.NDArray[np.bool_]:
        """Tracks whose box touches the border of the frame, on their way out."""
        if self._size is None:
            return np.zeros(len(self._tracks), bool)
        touched = borders_touched(self._tracks.motion.boxes(), self._size, _SLACK)
        speed = self._tracks.motion.speed[:, :2]
        return np.asarray((touched & np.concatenate([speed < 0, speed > 0], axis=1)).any(1))

    def _seen_now(self, detections: Detections, track_of: _Rows, seconds: float, ended: tuple[int, ...]) -> Tracks:
        seen = np.flatnonzero(track_of >= 0)
        rows = track_of[seen]
        return Tracks(
            seconds=seconds,
            ids=self._tracks.ids[rows],
            boxes=detections.boxes[seen],
            scores=detections.scores[seen],
            class_ids=self._tracks.votes[rows].argmax(1) if len(rows) else np.zeros(0, np.int64),
            confirmed=self._tracks.sure[rows],
            ended=ended,
            names=self._tracks.names,
        )
