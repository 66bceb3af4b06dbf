"""The counters that are compared, all fed with the same given detections; none sees a picture.

- **ours**: `camera_counting.counting.CameraCount` with its defaults, as `count_detections` drives it.
- **Ultralytics ObjectCounter**: the library's own class and its own trackers (TrackTrack, its default, and
  BoT-SORT). Only `extract_tracks` is replaced: where the library would run its network, the given detections go
  as `Boxes` into the tracker that the library's `on_predict_start` would have made from its yaml, and what that
  tracker gives is taken over as in the library's `on_predict_postprocess_end`. As documented there is one counter
  per line, with `classes` those of the line. Its optical flow against moving cameras is off, since these cameras
  hang still and no picture is there; nothing is drawn. It watches the middle of the box; so that lines drawn on
  the ground are not held against it, "at the feet" watches the middle of the lower side instead, which the
  library does not offer.
- **supervision LineZone** over ByteTrack and OC-SORT of `trackers`: one tracker, one zone per line, fed with the
  tracks of the line's classes; anchored at the bottom centre, which it offers and which suits lines on the ground,
  rather than at all four corners, its default.

Each peer comes in two settings, and the better of the two over the tuned clips is the one that is held against
ours: its defaults, which see scores from 0.25 on (`conf` of ObjectCounter and of Ultralytics' predict in
supervision's guide), and the same with its thresholds of score at the detector's own confidence, which see
fainter ones, from 0.1 on, where the tracker has a use for them. All run frame by frame, one clip after another,
with new state for each.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from benchmarks.counting_cases import Case
from camera_counting.counting import CameraCount
from camera_counting.detections import Detections

__all__ = ["DRIVEN", "SYSTEMS", "Counts", "Entry", "System"]

DRIVEN = 1
"""Goes up when the way a peer is driven changes, so that what it counted before is forgotten."""

AT_THE_FEET = ", at the feet"

# line, direction, class
Counts = dict[tuple[str, str, str], int]


class System(ABC):
    """One counter at one camera."""

    def __init__(self, case: Case) -> None:
        self.case = case

    @abstractmethod
    def step(self, frame: int, seen: Detections) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Take in one frame; gives ids (N,) and boxes (N, 4) of what it tracks."""

    def finish(self) -> None:
        """End the clip; most have nothing to do."""
        return

    def beside(self) -> None:
        """What is done for each frame that does not belong to the system, and whose time is not its own."""
        return

    @abstractmethod
    def counts(self, variant: str = "") -> Counts:
        """The crossings counted so far."""

    variants: ClassVar[tuple[str, ...]] = ("",)
    """Ways of counting the same tracks, which are followed once."""


class Ours(System):
    """This project's engine."""

    def __init__(self, case: Case) -> None:
        super().__init__(case)
        self._camera = CameraCount(case.names, case.scene, case.size, confidence=case.confidence)

    def step(self, frame: int, seen: Detections) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """See `System.step`."""
        tracks, _ = self._camera.step(seen, frame / self.case.fps, frame)
        kept = tracks.confirmed
        return tracks.ids[kept], tracks.boxes[kept]

    def finish(self) -> None:
        """See `System.finish`."""
        self._camera.finish()

    def counts(self, variant: str = "") -> Counts:
        """See `System.counts`."""
        return {
            (line, way, name): number
            for line, counted in self._camera.result().lines.items()
            for name, ways in counted.by_class.items()
            for way, number in ways.items()
        }


class UltralyticsCounter(System):
    """ObjectCounter over one of the library's trackers; beside it another one that watches the feet."""

    variants = ("", AT_THE_FEET)

    def __init__(self, case: Case, tracker: str, *, own: bool = False) -> None:
        super().__init__(case)
        confidence = case.confidence if own else None
        self._counters = {
            variant: [
                (line, _given_counter(case, line, tracker, feet=bool(variant), confidence=confidence))
                for line in case.scene.lines
            ]
            for variant in self.variants
        }

    def step(self, frame: int, seen: Detections) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """See `System.step`."""
        ids, boxes = [], []
        lines = self._counters[""]
        for number, (_, counter) in enumerate(lines):
            found = counter.count_given(seen)
            ids += [track * len(lines) + number for track in counter.track_ids]
            boxes.append(found)
        return np.array(ids, np.int64), np.concatenate(boxes) if boxes else np.empty((0, 4))

    def beside(self) -> None:
        """See `System.beside`."""
        for (_, counter), (_, other) in zip(*self._counters.values(), strict=True):
            other.count_tracks_of(counter)

    def counts(self, variant: str = "") -> Counts:
        """See `System.counts`."""
        found: Counts = {}
        for line, counter in self._counters[variant]:
            (x1, y1), (x2, y2) = line.start, line.end
            # its IN is rightwards over a steep line and downwards over a flat one, whichever way it was drawn
            turned = y2 > y1 if abs(x1 - x2) < abs(y1 - y2) else x2 < x1
            for name, ways in counter.classwise_count.items():
                for told, way in (("IN", "out" if turned else "in"), ("OUT", "in" if turned else "out")):
                    found[line.name, way, name] = ways[told]
        return found


def _given_counter(case: Case, line: Any, tracker: str, *, feet: bool, confidence: float | None) -> Any:
    """An ObjectCounter that takes detections instead of pictures."""
    import torch
    from ultralytics import solutions
    from ultralytics.engine.results import Boxes
    from ultralytics.trackers.track import TRACKER_MAP
    from ultralytics.utils import LOGGER, YAML, IterableSimpleNamespace
    from ultralytics.utils.checks import check_yaml

    LOGGER.setLevel(logging.ERROR)
    wanted = line.classes or case.names
    classes = [case.names.index(name) for name in wanted]
    settings = YAML.load(check_yaml(f"{tracker}.yaml")) | {"gmc_method": "none", "device": "cpu"}
    least = 0.25
    if confidence is not None:
        settings |= {"track_high_thresh": confidence, "new_track_thresh": confidence, "track_low_thresh": 0.1}
        least = 0.1

    class Given(solutions.ObjectCounter):  # type: ignore[misc]
        """Detections in place of a network."""

        def extract_tracks(self, im0: Any) -> None:
            """Track `self.given`, rows of x1, y1, x2, y2, score, class."""
            result = Boxes(self.given, case.size[::-1])
            tracks = self.follow.update(result.cpu().numpy(), None)
            self.boxes = torch.as_tensor(tracks[:, :4]) if len(tracks) else torch.empty((0, 4))
            self.track_ids = tracks[:, 4].astype(int).tolist() if len(tracks) else []
            self.confs = tracks[:, 5].tolist() if len(tracks) else []
            self.clss = tracks[:, 6].astype(int).tolist() if len(tracks) else []
            self.forget_tracks([track.track_id for track in self.follow.removed_stracks_frame])

        def store_tracking_history(self, track_id: int, box: Any) -> None:
            """The library's, but for the point that is watched."""
            if feet:
                box = torch.stack([box[0], box[3], box[2], box[3]])
            super().store_tracking_history(track_id, box)

        def count_given(self, seen: Detections) -> npt.NDArray[Any]:
            """`process` without drawing."""
            kept = (seen.scores >= least) & np.isin(seen.class_ids, classes)
            rows = [seen.boxes[kept], seen.scores[kept, None], seen.class_ids[kept, None]]
            self.given = torch.as_tensor(np.concatenate(rows, axis=1).astype(np.float32))
            self.extract_tracks(None)
            self.count_tracks()
            return np.asarray(self.boxes)

        def count_tracks_of(self, other: Any) -> None:
            """Count what another one follows."""
            self.boxes, self.track_ids, self.clss = other.boxes, other.track_ids, other.clss
            self.forget_tracks([track.track_id for track in other.follow.removed_stracks_frame])
            self.count_tracks()

        def count_tracks(self) -> None:
            """The library's loop over boxes."""
            for box, track, kind in zip(self.boxes, self.track_ids, self.clss, strict=True):
                self.store_tracking_history(track, box)
                path = self.track_history[track]
                self.count_objects(path[-1], track, path[-2] if len(path) > 1 else None, kind)

    counter = Given(
        model="yolo11n.yaml", region=[line.start, line.end], classes=classes, show=False, verbose=False
    )
    counter.names = dict(enumerate(case.names))
    counter.follow = TRACKER_MAP[settings["tracker_type"]](args=IterableSimpleNamespace(**settings))
    counter.initialize_region()
    return counter


class SupervisionCounter(System):
    """LineZone over a tracker of `trackers`."""

    def __init__(self, case: Case, tracker: str, *, own: bool = False) -> None:
        import supervision
        import trackers

        super().__init__(case)
        thresholds: dict[str, float] = {}
        self._least = 0.25
        if own:
            thresholds = {"high_conf_det_threshold": case.confidence}
            if tracker == "ByteTrackTracker":
                thresholds["track_activation_threshold"] = case.confidence
                self._least = 0.1
        self._tracker = getattr(trackers, tracker)(frame_rate=case.fps, **thresholds)
        self._zones = [
            (
                line,
                [case.names.index(name) for name in line.classes or case.names],
                supervision.LineZone(
                    start=supervision.Point(*line.start),
                    end=supervision.Point(*line.end),
                    triggering_anchors=[supervision.Position.BOTTOM_CENTER],
                ),
            )
            for line in case.scene.lines
        ]
        self._made = supervision.Detections

    def step(self, frame: int, seen: Detections) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """See `System.step`."""
        seen = seen.at_least(self._least)
        given = self._made(xyxy=seen.boxes, confidence=seen.scores, class_id=seen.class_ids.astype(int))
        tracked = self._tracker.update(given)
        for _, classes, zone in self._zones:
            zone.trigger(tracked[np.isin(tracked.class_id, classes)] if len(tracked) else tracked)
        if not len(tracked) or tracked.tracker_id is None:
            return np.empty(0, np.int64), np.empty((0, 4))
        kept = tracked.tracker_id >= 0
        return tracked.tracker_id[kept], tracked.xyxy[kept]

    def counts(self, variant: str = "") -> Counts:
        """See `System.counts`; its in is from the right-hand to the left-hand side."""
        found: Counts = {}
        for line, _, zone in self._zones:
            for way, numbers in (("out", zone.in_count_per_class), ("in", zone.out_count_per_class)):
                for kind, number in numbers.items():
                    found[line.name, way, self.case.names[kind]] = number
        return found


@dataclass(frozen=True, slots=True)
class Entry:
    """A system by name; `peer` joins the settings of one peer, `run` the variants that count the same tracks."""

    run: str
    peer: str
    make: Callable[[Case], System]
    variant: str = ""

    @property
    def name(self) -> str:
        """As in the tables."""
        return self.run.replace(" (", f"{self.variant} (") if self.variant else self.run


def _entries() -> list[Entry]:
    found = [Entry("ours", "ours", Ours)]
    for tracker in ("tracktrack", "botsort"):
        for variant in UltralyticsCounter.variants:
            for own in (False, True):
                found.append(
                    Entry(
                        f"ObjectCounter, {tracker}{_setting(own)}",
                        f"ObjectCounter, {tracker}{variant}",
                        lambda case, t=tracker, o=own: UltralyticsCounter(case, t, own=o),  # type: ignore[misc]
                        variant,
                    )
                )
    for tracker in ("ByteTrackTracker", "OCSORTTracker"):
        peer = f"LineZone, {tracker.removesuffix('Tracker')}"
        for own in (False, True):
            found.append(
                Entry(
                    peer + _setting(own),
                    peer,
                    lambda case, t=tracker, o=own: SupervisionCounter(case, t, own=o),  # type: ignore[misc]
                )
            )
    return found


def _setting(own: bool) -> str:
    return " (detector's confidence)" if own else " (defaults)"


SYSTEMS = _entries()
