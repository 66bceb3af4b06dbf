"""A worker in small: one thread, real counting, cameras whose pictures are drawn; what the page is tested with."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from camera_counting.counting.camera import CameraCount
from camera_counting.counting.result import SceneCount
from camera_counting.detections import Detections
from camera_counting.scene import Scene
from camera_counting.tracking import Tracks
from serving.camera.status import CameraStatus, SinkStatus, WorkerStatus

NAMES = ("person", "car")
SCENE = Scene.from_dict(
    {
        "lines": [{"name": "gate", "from": [0.1, 0.5], "to": [0.9, 0.5]}],
        "zones": [{"name": "yard", "polygon": [[0.1, 0.6], [0.9, 0.6], [0.9, 0.95], [0.1, 0.95]]}],
    }
)


@dataclass(frozen=True)
class SmallView:
    image: np.ndarray
    tracks: Tracks
    counts: SceneCount
    scene: Scene | None
    detections_faint: Detections | None
    time: datetime


class SmallWorker:
    """Every camera sees somebody walk down the picture again and again, ten frames a second."""

    def __init__(self, *names: str) -> None:
        self.overrides: dict[str, dict[str, Any]] = {}
        self.worker: dict[str, Any] = {}
        self.views_asked = 0
        self.well = True
        self._counts: dict[str, CameraCount] = {}
        self._views: dict[str, SmallView] = {}
        self._lock = threading.Lock()
        self._started = datetime.now(UTC)
        self._frames = 0
        for name in names:
            self.add_camera({"name": name})

    def add_camera(self, settings: dict[str, Any]) -> None:
        name = settings.get("name")
        if not isinstance(name, str) or not name:
            raise ValueError("name: expected a name, got none")
        if name in self._counts:
            raise ValueError(f"there is a camera named {name} already; rtsp://admin:secret@cam/1")
        with self._lock:
            self._counts[name] = CameraCount(NAMES, SCENE, (640, 360))

    def remove_camera(self, name: str) -> None:
        with self._lock:
            del self._counts[name]
            self._views.pop(name, None)

    def intervals(self, camera: str, interval: str) -> list[dict[str, Any]]:
        if camera not in self._counts:
            raise KeyError(camera)
        return [{"begin": self._started, "interval": interval, "line": "gate", "in": 3, "out": 1}]

    def step(self, number: int = 1) -> None:
        """Count so many more frames."""
        for _ in range(number):
            self._frames += 1
            y = 60 + (self._frames * 6) % 300
            box = [300, y - 50, 330, y]
            image = np.full((360, 640, 3), 120, np.uint8)
            image[200:] = (90, 96, 90)
            image[y - 50 : y, 300:330] = np.random.default_rng(0).integers(0, 256, (50, 30, 3))[: 360 - y + 50]
            seen = Detections.of([box], [0.9], [0], NAMES)
            with self._lock:
                for name, count in self._counts.items():
                    tracks, _ = count.step(seen, self._frames / 10, self._frames)
                    now = datetime.now(UTC)
                    self._views[name] = SmallView(image, tracks, count.result(), SCENE, seen, now)

    def run(self, until: threading.Event) -> None:
        while not until.is_set():
            self.step()
            time.sleep(0.1)

    def view(self, camera: str) -> SmallView | None:
        self.views_asked += 1
        return self._views.get(camera)

    def is_well(self) -> bool:
        return self.well

    def status(self) -> WorkerStatus:
        with self._lock:
            cameras = [self._camera(name) for name in self._counts]
        told = WorkerStatus(
            started=self._started,
            model="models:/camera-counter@serving",
            version="7",
            model_error="",
            durable=True,
            state_error="",
            cameras=tuple(cameras),
            sinks=(SinkStatus("events.jsonl", True, "", 0, 41, 0),),
        )
        return replace(told, **self.worker)

    def _camera(self, name: str) -> CameraStatus:
        view, counts = self._views.get(name), self._counts[name].result()
        told = CameraStatus(
            camera=name,
            state="live",
            error="",
            since=self._started,
            last_frame=view.time if view else None,
            fps=10.0,
            frames=self._frames,
            detected=self._frames,
            decode_ms=2.0,
            inference_ms=14.0,
            delay_ms=48.0,
            version="7",
            today={
                "lines": {key: {"in": n.into, "out": n.out} for key, n in counts.lines.items()},
                "zones": {
                    key: {"occupancy": n.occupancy, "entered": n.entered, "left": n.left}
                    for key, n in counts.zones.items()
                },
            },
        )
        return replace(told, **self.overrides.get(name, {}))
