"""One camera's count that outlives restarts, new models and new picture sizes, and the records that come of it."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from camera_counting import CountingModel
from camera_counting.counting import CameraCount, Event, SceneCount
from camera_counting.counting.intervals import interval_of
from camera_counting.detections import Detections
from camera_counting.errors import SceneError
from camera_counting.scene import Scene
from camera_counting.tracking import Tracks
from camera_counting.video import Frame
from serving.camera.config import CameraSettings, is_live
from serving.camera.following import Loaded
from serving.camera.records import CountRecord, record_id
from serving.camera.state import Checkpoint, StateStore
from serving.errors import StateError

__all__ = ["LastingCount"]

_log = logging.getLogger("serving.camera")

# Records that wait in memory while the state cannot be written: about 100 MB, hours of a busy street.
_MOST_WAITING = 200_000
# Seconds after the last track was seen from which none is waited for any more: more than the tracker's patience.
_QUIET = 12.0


class LastingCount:
    """Follows one camera for as long as the state lasts.

    Events become records under ids that are the same however often they are told: the number of the event in the
    camera's life, within the state's epoch. Records and the checkpoint that holds what made them are committed
    together, so an event whose record was never written is not in the checkpoint either, and happens again.

    Parameters
    ----------
    settings : CameraSettings
    store : StateStore

    Attributes
    ----------
    before : float or None
        Seconds of the frame that was counted before the last one; None where there was none.
    writes : int
        Grows when records begin to be written, and when they are.
    """

    def __init__(self, settings: CameraSettings, store: StateStore) -> None:
        self.settings = settings
        self.error = ""
        self.lost = 0
        self.before: float | None = None
        self.writes = 0
        self._abandoned = threading.Event()
        self._store = store
        self._live = is_live(settings.source) or settings.clip.pace == "real-time"
        self._counting: CameraCount | None = None
        self._loaded: Loaded | None = None
        self._waiting: deque[CountRecord] = deque()
        self._sequence, self._frame, self._seconds = 0, -1, 0.0
        self._counted: float | None = None  # seconds of the last frame that was not left out
        self._time = datetime.now(UTC)
        self._snapshot: dict[str, Any] | None = None
        self._size_before: tuple[int, int] | None = None
        # how often it was begun anew, a clip also because it was over; and whether a clip is over for good
        self.round, self.ended = 0, False
        self._began = settings.clip.start or self._time
        # of a live source: what is added to its own clock, which begins anew with every connection
        self._later, self._frames_before = 0.0, 0
        self._first = True
        self._changed = True
        self._last_track: float | None = None  # seconds; those that were restored may be there in the first frame
        self._resume(store.load(settings.name))

    @property
    def told(self) -> int:
        """How many events there were since the state was begun."""
        return self._sequence

    @property
    def is_lossless(self) -> bool:
        """Whether every frame counts, as those of a clip do; of a camera the newest does."""
        return not self._live

    @property
    def frame(self) -> int:
        """Index of the last frame of the clip that is in the state; -1 where none is."""
        return self._frame

    @property
    def place(self) -> str:
        """What tells the last frame from every other one of the camera's life.

        Only frames of a clip that are counted again after a `kill -9`, being the same, are told by the same.
        """
        return f"{self.round}/{self._frame}"

    @property
    def seconds(self) -> float:
        """Of the last frame: into the clip, or since the camera was begun."""
        return self._seconds

    @property
    def moment(self) -> datetime:
        """When the last frame was: received, or of a clip recorded. UTC."""
        moment = self._time if self._live else self._began + timedelta(seconds=self._seconds)
        return moment.astimezone(UTC)

    @property
    def size(self) -> tuple[int, int] | None:
        """Of the pictures that tracks and scene belong to; None before the first frame."""
        return None if self._counting is None else self._counting.size

    @property
    def scene(self) -> Scene | None:
        """In pixels of `size`; None where there is none."""
        return None if self._counting is None else self._counting.scene

    def step(
        self, detections: Detections, frame: Frame, time: datetime, loaded: Loaded
    ) -> tuple[Tracks, list[CountRecord]]:
        """Take in one frame; gives its tracks, and what happened.

        Parameters
        ----------
        detections : Detections
            In pixels of the frame.
        frame : Frame
        time : datetime
            When it was received; for a live source.
        loaded : Loaded
            The model that detected. Where it is another one than before, tracks and counts are kept.
        """
        height, width = frame.image.shape[:2]
        counting = self._counted_with(loaded, (width, height))
        if self._first and self._live:
            self._go_on(frame, time)
        self._first = False
        seconds, index = frame.seconds + self._later, frame.index + self._frames_before
        seconds = max(seconds, self._seconds + 1e-3) if self._live and self._frame >= 0 else seconds
        tracks, events = counting.step(detections, seconds, index, (width, height))
        if len(tracks.ids) or events or self._last_track is None:
            self._last_track = seconds
        self._changed = True
        self._seconds, self._frame, self._time = seconds, index, time
        self.before, self._counted = self._counted, seconds
        return tracks, self._recorded(events, loaded)

    def pass_over(self, frame: Frame, time: datetime) -> None:
        """Note a frame of a clip in which nothing had to be looked for."""
        if not self._live:
            self._seconds, self._frame, self._time = frame.seconds, frame.index, time

    def finish(self, *, repeat: bool) -> list[CountRecord]:
        """The clip is over: what its end makes certain. With `repeat` it is to be played again."""
        events = self._counting.finish() if self._counting is not None else []
        records = self._recorded(events, self._loaded)
        self._counting, self._snapshot = None, None
        if repeat:
            self.round += 1
            self._began += timedelta(seconds=self._seconds)
            self._first, self._frame, self._seconds = True, -1, 0.0
            self._later, self._frames_before, self._counted, self._last_track = 0.0, 0, None, None
        else:
            self.ended = True
        return records

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to write but how late it is: no frame came, or there is nobody in them."""
        last = self._seconds if self._last_track is None else self._last_track
        quiet = self._live and self._seconds - last > _QUIET
        return not (self._waiting or self.error) and (quiet or not self._changed)

    def abandon(self) -> None:
        """Write nothing any more: another one takes its place, while its thread still hangs somewhere."""
        self._abandoned.set()

    def commit(self) -> list[CountRecord] | None:
        """Write where the count stands, and what happened since the last time.

        Returns
        -------
        list of CountRecord or None
            What was written; None where nothing could be, see `error`.
        """
        if self._abandoned.is_set():
            return []
        counted = self._counting.snapshot() if self._counting is not None else self._snapshot
        checkpoint = Checkpoint(
            snapshot={
                "count": counted,
                "source": self._source(),
                "round": self.round,
                "began": self._began.isoformat(),
                "ended": self.ended,
                "size": list(self.size) if self.size else None,
                "seconds": self._seconds,
                "counted": self._counted,
            },
            sequence=self._sequence,
            position=None if self._live else self._seconds,
            frame=self._frame,
            time=self._time,
        )
        records = list(self._waiting)
        self.writes += bool(records)
        try:
            self._store.commit(self.settings.name, checkpoint, records, self._abandoned.is_set)
        except StateError as error:
            if not self.error:
                _log.error("%s: counting goes on, but: %s", self.settings.name, error)
            while len(self._waiting) > _MOST_WAITING:
                self._waiting.popleft()
                self.lost += 1
            lost = f"; {self.lost} records of {self._name} were given up" if self.lost else ""
            self.error = f"{error}{lost}"
            return None
        if self._abandoned.is_set():  # nobody asks any more, and whether it was written in time nobody knows
            return []
        for _ in records:
            self._waiting.popleft()
        self.writes += bool(records)
        self._changed = False
        if self.error:
            _log.info("%s: the state is written again, %d records with it", self.settings.name, len(records))
        self.error = ""
        return records

    @property
    def is_full(self) -> bool:
        """Whether as many records wait for the state to be written as may wait."""
        return len(self._waiting) >= _MOST_WAITING

    def result(self) -> SceneCount | None:
        """The counts since the count was begun; None before the first frame."""
        return None if self._counting is None else self._counting.result()

    def today(self, now: datetime) -> dict[str, Any]:
        """The counts of the site's day, those that wait to be written included; from any thread."""
        for _ in range(3):
            writes = self.writes
            told = self._store.today(self.settings.name, str(self.settings.zone), now)
            waiting = list(self._waiting)
            if self.writes == writes:  # else some are in both or in none
                break
        lines, zones, flows = (told.setdefault(key, {}) for key in ("lines", "zones", "flows"))
        began, ended = (moment.astimezone(UTC) for moment in interval_of(now, "day", self.settings.zone))
        for record in waiting:
            if not began <= record.time < ended:
                continue
            if record.kind == "crossing":
                lines.setdefault(record.name, {"in": 0, "out": 0})[record.direction] += 1
            elif record.kind in {"entered", "left"}:
                zones.setdefault(record.name, {"entered": 0, "left": 0})[record.kind] += 1
            elif record.kind == "flow":
                flows[record.name] = flows.get(record.name, 0) + 1
        return told

    def _resume(self, checkpoint: Checkpoint | None) -> None:
        if checkpoint is None:
            return
        self._sequence = checkpoint.sequence
        held = checkpoint.snapshot
        # but for a clip that goes on, frames come under numbers that were given away, maybe after the last commit
        self.round = int(held.get("round", 0)) + 1
        if held.get("source") != self._source():
            _log.info("%s: its source is another one than before; its count goes on, no track does", self._name)
            return
        if self._live and not is_live(self.settings.source):
            return  # a clip that is played as a camera begins anew, and nobody in it is where its end was
        self._snapshot, self._size_before = held["count"], held["size"] and tuple(held["size"])
        self._seconds, self._frame, self._time = float(held["seconds"]), checkpoint.frame, checkpoint.time
        self._counted = held["counted"]
        if not self._live:
            self.round, self.ended = int(held["round"]), bool(held["ended"])
            self._began = datetime.fromisoformat(held["began"])

    @property
    def _name(self) -> str:
        return self.settings.name

    def _source(self) -> dict[str, Any]:
        """What tells this source from another: of a camera nothing, for one that moves goes on being it."""
        if is_live(self.settings.source):
            return {"live": True}
        path = Path(self.settings.source)
        try:
            size = path.stat().st_size if path.is_file() else 0
        except OSError:
            size = 0
        return {"live": self._live, "file": path.name, "bytes": size}

    def _counted_with(self, loaded: Loaded, size: tuple[int, int]) -> CameraCount:
        """The count, made anew with everything in it where another model detects."""
        # one that took its turn before the change may come after it
        if self._counting is not None and self._loaded is not None and loaded.number <= self._loaded.number:
            return self._counting
        held = self._snapshot
        if self._counting is not None:
            held, size = self._counting.snapshot(), self._counting.size
            self._size_before = size
        counting: CameraCount | None = None
        if held is not None:
            counting = self._restored(held, loaded.model, self._size_before or size)
            if counting is None:
                _log.warning("%s: no track could be taken over; its counts go on", self._name)
        if counting is None:
            counting = self._begun(loaded.model, size)
        self._counting, self._loaded, self._snapshot = counting, loaded, None
        return counting

    def _begun(self, model: CountingModel, size: tuple[int, int]) -> CameraCount:
        settings = self.settings
        model.check_classes(settings.classes)
        confidence = model.confidence if settings.confidence is None else settings.confidence
        return CameraCount(model.names, settings.scene, size, confidence=confidence, classes=settings.classes)

    def _restored(self, held: dict[str, Any], model: CountingModel, size: tuple[int, int]) -> CameraCount | None:
        try:
            counting = self._begun(model, size)
        except SceneError:  # it was drawn anew, for pictures of another size
            return None
        return counting if counting.restore(held) else None

    def _go_on(self, frame: Frame, time: datetime) -> None:
        """The first frame after a restart follows the last one before it by as long as that took."""
        if self._frame < 0:
            return
        took = max((time - self._time).total_seconds(), 0.04)  # a clock that was put back tells nothing
        self._later = self._seconds + took - frame.seconds
        self._frames_before = self._frame + 1 - frame.index

    def _recorded(self, events: Iterable[Event], loaded: Loaded | None) -> list[CountRecord]:
        records = []
        for event in events:
            if self._live:
                time = self._time + timedelta(seconds=event.seconds - self._seconds)
            else:
                time = self._began + timedelta(seconds=event.seconds)
            records.append(
                CountRecord(
                    id=record_id(self._store.epoch, self._name, self._sequence),
                    camera=self._name,
                    kind=event.kind,
                    name=event.name,
                    direction=event.direction,
                    time=time.astimezone(UTC),
                    class_name=event.class_name,
                    track=event.track,
                    confidence=float(event.confidence),
                    position=(float(event.position[0]), float(event.position[1])),
                    frame=event.frame,
                    model_version=loaded.version if loaded is not None else "",
                    lasted=None if event.lasted is None else float(event.lasted),
                    number=event.number,
                )
            )
            self._sequence += 1
        self._waiting.extend(records)
        return records
