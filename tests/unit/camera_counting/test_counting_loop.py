"""Frames to counts: order, pipelining, changes of size, and what is told of a clip."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from camera_counting.counting import Economy, count_detections, count_frames, count_video
from camera_counting.detections import Detections
from camera_counting.errors import SceneError, SourceError
from camera_counting.scene import Scene
from camera_counting.video import Frame, VideoSource

NAMES = ("person", "car")
SCENE = Scene.from_dict({"lines": [{"name": "L", "from": [0, 0.5], "to": [1, 0.5]}]})


class Drawn(VideoSource):
    """White boxes upon black frames: what `bright` detects; a square moves down."""

    def __init__(self, frames=40, size=(160, 120), sizes=None):
        super().__init__()
        self.name, self.fps, self.frame_count = "drawn", 10.0, frames
        self.width, self.height = size
        self.sizes = sizes or {}
        self.closed = False

    def __iter__(self):
        for i in range(self.frame_count):
            width, height = self.sizes.get(i, (self.width, self.height))
            image = np.zeros((height, width, 3), np.uint8)
            bottom = int(height * (0.2 + 0.7 * i / self.frame_count))
            image[bottom - height // 6 : bottom, width // 3 : width // 2] = 255
            yield Frame(i, i / 10, image)

    def close(self):
        self.closed = True


def bright(pictures, confidence=None):
    found = []
    for picture in pictures:
        rows, columns = np.flatnonzero(picture[..., 0].any(axis=1)), np.flatnonzero(picture[..., 0].any(axis=0))
        box = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
        found.append(Detections.of([box], [0.9], [1], NAMES))
    return found


@pytest.mark.parametrize("ahead", [1, 3, 100])
def test_a_clip_is_counted_however_far_detection_runs_ahead(ahead):
    source = Drawn()
    result = count_video(source, bright, NAMES, SCENE, ahead=ahead)
    assert (result.frames, result.seconds, result.fps) == (40, 4.0, 10.0)
    assert result.to_dict()["lines"] == {"L": {"in": 1, "out": 0, "by_class": {"car": {"in": 1, "out": 0}}}}
    assert result.counts.classes == {"car": 1}
    assert [event.kind for event in result.events] == ["crossing"]
    assert source.closed


def test_frames_are_told_in_order_with_tracks_and_counts():
    told = [
        (f.frame.index, len(f.tracks), f.counts.lines["L"].into)
        for f in count_frames(Drawn(), bright, NAMES, SCENE)
    ]
    assert [index for index, _, _ in told] == list(range(40))
    assert [n for _, n, _ in told] == [1] * 40
    assert [into for _, _, into in told] == sorted(into for _, _, into in told)
    assert told[-1][2] == 1


def test_a_size_that_changes_on_the_way_loses_no_count():
    sizes = dict.fromkeys(range(10, 25), (320, 240))
    frames = list(count_frames(Drawn(sizes=sizes), bright, NAMES, SCENE))
    assert frames[-1].counts.lines["L"].into == 1
    assert frames[15].image.shape == (120, 160, 3)
    assert {int(i) for f in frames for i in f.tracks.ids} == {1}


def test_detection_runs_ahead_but_not_far():
    asked = []

    def slow(pictures, confidence=None):
        asked.append(len(pictures))
        return bright(pictures)

    frames = count_frames(Drawn(), slow, NAMES, SCENE, ahead=2)
    next(frames)
    time.sleep(0.1)
    assert 2 <= sum(asked) <= 4
    frames.close()


def test_two_frames_are_detected_at_a_time():
    both = threading.Barrier(2, timeout=20)

    def meeting(pictures, confidence=None):
        both.wait()
        return bright(pictures)

    # had they come one after the other, the first would wait in vain
    assert count_video(Drawn(frames=16), meeting, NAMES, SCENE, economy=Economy.exact()).frames == 16


def test_faint_detections_are_asked_for():
    asked = set()

    def noting(pictures, confidence=None):
        asked.add(confidence)
        return bright(pictures)

    count_video(Drawn(), noting, NAMES, SCENE, confidence=0.5)
    assert list(asked) == [pytest.approx(0.2)]


def test_what_goes_wrong_in_the_detector_is_told_and_the_source_closed():
    def broken(pictures, confidence=None):
        raise RuntimeError("out of memory")

    source = Drawn()
    with pytest.raises(RuntimeError, match="out of memory"):
        count_video(source, broken, NAMES, SCENE)
    assert source.closed


def test_a_scene_that_does_not_fit_is_refused_before_anything_is_detected():
    def never(pictures, confidence=None):
        raise AssertionError("detected")

    lorries = Scene.from_dict({"lines": [{"name": "L", "from": [0, 0.5], "to": [1, 0.5], "classes": ["lorry"]}]})
    with pytest.raises(SceneError, match="lorry"):
        count_video(Drawn(), never, NAMES, lorries)


def test_no_frame_at_all_is_an_error():
    with pytest.raises(SourceError, match="not one frame"):
        count_video(Drawn(frames=0), bright, NAMES, SCENE)


def test_recorded_detections_count_as_the_clip_does():
    frames = [(frame.seconds, bright([frame.image])[0]) for frame in Drawn()]
    recorded = count_detections(frames, NAMES, SCENE, (160, 120))
    counted = count_video(Drawn(), bright, NAMES, SCENE)
    assert recorded.to_dict()["lines"] == counted.to_dict()["lines"]
    assert [e.to_dict() for e in recorded.events] == [e.to_dict() for e in counted.events]
    assert (recorded.frames, recorded.seconds) == (40, pytest.approx(4.0))


def test_recorded_detections_may_begin_at_any_time():
    frames = [(1000 + frame.seconds, bright([frame.image])[0]) for frame in Drawn()]
    recorded = count_detections(frames, NAMES, SCENE, (160, 120))
    assert (recorded.seconds, recorded.fps) == (pytest.approx(4.0), pytest.approx(10.0))
    (event,) = recorded.events
    assert 1000 < event.seconds < 1004  # by the recording's own clock


@pytest.mark.parametrize(("classes", "into"), [(None, 1), (["person"], 1), (["car"], 0)])
def test_the_events_of_a_clip_agree_with_its_counts_whatever_was_decided_on_the_way(classes, into):
    # a car at first; after the line, and the zone, it turns out a person
    scene = Scene.from_dict(
        {
            "lines": [{"name": "L", "from": [0, 100], "to": [200, 100], "classes": classes}],
            "zones": [{"name": "Z", "polygon": [[0, 60], [200, 60], [200, 120], [0, 120]], "classes": classes}],
        }
    )
    frames = []
    for i in range(40):
        box = [80, 20 + 4 * i, 100, 44 + 4 * i]  # the line is reached with the 14th, the zone left with the 19th
        frames.append((i / 10, Detections.of([box], [0.5 if i < 22 else 0.95], [int(i < 22)], NAMES)))
    result = count_detections(frames, NAMES, scene, (200, 240))
    line, zone = result.counts.lines["L"], result.counts.zones["Z"]
    assert (line.into, zone.entered, zone.left) == (into, into, into)
    assert line.by_class == ({"person": {"in": 1, "out": 0}} if into else {})
    told = [(event.kind, event.class_name) for event in result.events]
    assert told == [("entered", "person"), ("crossing", "person"), ("left", "person")] * into


def test_classes_restrict_everything():
    assert count_video(Drawn(), bright, NAMES, SCENE, classes=["person"]).to_dict()["lines"]["L"]["in"] == 0
    assert count_video(Drawn(), bright, NAMES, None, classes=["car"]).to_dict()["classes"] == {"car": 1}


def test_who_leaves_the_picture_is_not_found_again_in_who_stands_at_its_border():
    frames = []
    for t in np.arange(0, 6, 0.1):
        middles = [(560 + 60 * t, 300)] if 560 + 60 * t < 650 else []
        middles += [(590, 270)] if t > 2.5 else []
        boxes = [[x - 40, y - 50, x + 40, y] for x, y in middles]
        frames.append((float(t), Detections.of(boxes, [0.8] * len(boxes), [1] * len(boxes), NAMES)))
    assert count_detections(frames, NAMES, SCENE, (640, 480)).counts.classes == {"car": 2}
