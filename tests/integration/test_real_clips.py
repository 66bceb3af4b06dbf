"""Real clips with counts checked by eye, and one set of defaults for all of them.

Each clip is detected once, with an input that fits its frames, as a count does it; what is tried upon it (frames
left out or lost) only tracks and counts. The detector sees every frame by itself, so that leaving frames out of
the detections is leaving them out of the clip.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest

from camera_counting.counting import Economy, VideoCount, count_detections, count_video
from camera_counting.counting.camera import FAINT
from camera_counting.detections import Detections
from camera_counting.detectors import Detector, open_detector
from camera_counting.scene import Scene
from camera_counting.video import Frame, VideoSource, open_source

pytestmark = [pytest.mark.real, pytest.mark.slow]

VEHICLES = ["bicycle", "car", "motorcycle", "bus", "truck"]
ROAD = {
    "size": [640, 352],
    "lines": [{"name": "L", "from": [150, 215], "to": [640, 215], "classes": VEHICLES}],
}
TABLE = {
    "size": [768, 432],
    "lines": [{"name": "L", "from": [560, 0], "to": [560, 432], "classes": ["person"]}],
}
# frame -> frame is kept
KEPT: dict[str, Callable[[int], bool]] = {
    "every frame": lambda i: True,
    "every second frame": lambda i: i % 2 == 0,
    "the other half": lambda i: i % 2 == 1,
    "every fourth frame": lambda i: i % 4 == 0,
}
for seed in range(5):
    lost = np.random.default_rng(seed).random(2000) < 0.1
    KEPT[f"10 % lost at random, {seed}"] = lambda i, lost=lost: not lost[i]


@dataclass(frozen=True)
class Seen:
    """The detections of a clip, frame by frame."""

    frames: list[tuple[float, Detections]]
    names: tuple[str, ...]
    size: tuple[int, int]

    def count(self, scene: dict[str, object], kept: Callable[[int], bool]) -> VideoCount:
        frames = [frame for i, frame in enumerate(self.frames) if kept(i)]
        return count_detections(frames, self.names, Scene.from_dict(scene), self.size)


@pytest.fixture(scope="session")
def see(real: Path, remembering: Remembering) -> Callable[[str, float], Seen]:
    """Detections of a clip at a scale, made once a session."""
    cache: dict[tuple[str, float], Seen] = {}

    def look(clip: str, scale: float) -> Seen:
        if (clip, scale) not in cache:
            cache[clip, scale] = detected(remembering, real / clip, scale)
        return cache[clip, scale]

    return look


def detected(detector: Detector, clip: Path, scale: float = 1, most: int | None = None) -> Seen:
    """Detections of a clip at a scale, of its first `most` frames."""
    times: list[float] = []
    with open_source(clip) as source:
        size = (round(source.width * scale), round(source.height * scale))

        def pictures() -> Iterator[np.ndarray]:
            for frame in islice(source, most):
                times.append(frame.seconds)
                image = frame.image
                if scale != 1:
                    image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
                yield image

        found = list(detector.for_frames(*size).detect_each(pictures(), FAINT * 0.25))
    return Seen(list(zip(times, found, strict=True)), detector.names, size)


class Remembering(Detector):
    """Detects a picture once, however many tests ask; each region of the frames has a memory of its own."""

    def __init__(self, detector: Detector) -> None:
        self._detector, self.names, self.confidence = detector, detector.names, detector.confidence
        self._known: dict[tuple[bytes, float | None], Detections] = {}
        self._fitted: dict[str, Remembering] = {}

    def detect(self, pictures: Sequence[np.ndarray], confidence: float | None = None) -> list[Detections]:
        return [self._one(picture, confidence) for picture in pictures]

    def begin(self, picture: np.ndarray, confidence: float | None = None) -> Future[Detections]:
        key = hashlib.sha256(picture.data).digest(), confidence
        if key in self._known:
            done: Future[Detections] = Future()
            done.set_result(self._known[key])
            return done
        begun = self._detector.begin(picture, confidence)
        begun.add_done_callback(lambda one: one.cancelled() or self._known.__setitem__(key, one.result()))
        return begun

    def for_frames(self, width: int, height: int, region=None) -> Detector:
        place = f"{width}x{height} {region}"
        if place not in self._fitted:
            self._fitted[place] = Remembering(self._detector.for_frames(width, height, region))
        return self._fitted[place]

    def _one(self, picture: np.ndarray, confidence: float | None) -> Detections:
        return self.begin(picture, confidence).result()


@pytest.fixture(scope="session")
def remembering(real: Path) -> Remembering:
    return Remembering(open_detector(real / "yolo11n_int8_openvino_model"))


@pytest.mark.parametrize("scale", [1, 0.5])
def test_eight_vehicles_come_and_none_goes(see, scale):
    seen = see("road-traffic.mp4", scale)
    counted = {name: seen.count(ROAD, kept).counts.lines["L"] for name, kept in KEPT.items()}
    assert {name: (line.into, line.out) for name, line in counted.items()} == dict.fromkeys(KEPT, (8, 0))
    # each at its time: the frames were noted by eye
    frames = [event.frame for event in seen.count(ROAD, KEPT["every frame"]).events]
    assert frames == pytest.approx([15, 72, 123, 173, 233, 415, 471, 707], abs=4)


def test_another_detector_that_sees_vehicles_twice_counts_the_same(real):
    # it goes on seeing a faint car within the fourth one, over the line
    seen = detected(open_detector(real / "yolox_nano.onnx", classes="coco"), real / "road-traffic.mp4", most=220)
    counted = {name: seen.count(ROAD, kept).counts.lines["L"] for name, kept in KEPT.items()}
    assert {name: (line.into, line.out) for name, line in counted.items()} == dict.fromkeys(KEPT, (4, 0))


def test_six_people_leave_to_the_right(see):
    seen = see("one-by-one-person-detection.mp4", 1)
    counted = {name: seen.count(TABLE, kept).counts.lines["L"] for name, kept in KEPT.items()}
    assert {name: (line.into, line.out) for name, line in counted.items()} == dict.fromkeys(KEPT, (0, 6))


@pytest.mark.parametrize(
    ("clip", "scene", "true"),
    [("road-traffic.mp4", ROAD, (8, 0)), ("one-by-one-person-detection.mp4", TABLE, (0, 6))],
)
@pytest.mark.parametrize("economy", ["default", "fast"])
def test_what_is_spared_costs_no_count(real, remembering, clip, scene, true, economy):
    counted = count_video(
        open_source(real / clip),
        remembering,
        remembering.names,
        Scene.from_dict(scene),
        economy=getattr(Economy, economy)(),
    )
    line = counted.counts.lines["L"]
    assert (line.into, line.out) == true
    assert counted.detected < 0.9 * counted.frames


@pytest.mark.parametrize(
    ("clip", "scene", "true"),
    [("road-traffic.mp4", ROAD, (8, 0)), ("one-by-one-person-detection.mp4", TABLE, (0, 6))],
)
def test_ten_frames_a_second_are_enough_and_not_all_of_them_are_looked_at(real, remembering, clip, scene, true):
    with open_source(real / clip) as source:
        camera = Kept(source, round((source.fps or 30) / 10))
        counted = count_video(
            camera, remembering, remembering.names, Scene.from_dict(scene), confidence=remembering.confidence
        )
    line = counted.counts.lines["L"]
    assert (line.into, line.out) == true
    assert counted.detected < counted.frames


class Kept(VideoSource):
    """Every so manyth frame of a clip."""

    def __init__(self, source: VideoSource, every: int) -> None:
        super().__init__()
        self._source, self._every = source, every
        self.name, self.width, self.height = source.name, source.width, source.height
        self.fps, self.frame_count = (source.fps or 30) / every, None

    def __iter__(self) -> Iterator[Frame]:
        kept = (frame for frame in self._source if frame.index % self._every == 0)
        for index, frame in enumerate(kept):
            yield Frame(index, frame.seconds, frame.image)
