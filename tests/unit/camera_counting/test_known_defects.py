"""Defects that users of other counters reported, where no other test shows that they cannot happen here.

The rest are in test_crossing (jitter, a point on the line, turning back, the line's ends, the frame's edge),
test_zone_stays (jumps over a thin zone), test_counting_loop (frames of other sizes) and test_snapshot (restarts).
"""

from __future__ import annotations

import numpy as np
import pytest

from camera_counting.counting import CameraCount
from camera_counting.detections import Detections
from camera_counting.scene import Scene

NAMES = ("person", "car")
SIZE = (640, 360)


def gate(**line):
    return Scene.from_dict(
        {"units": "pixels", "lines": [{"name": "gate", "from": [0, 180], "to": [640, 180], **line}]}
    )


def walkers(xs, class_ids, frames=40):
    """People and cars side by side, 80 pixels high, their feet from y = 100 down to 256."""
    for i in range(frames):
        y = 100 + 4 * i
        boxes = [[x - 15, y - 80, x + 15, y] for x in xs]
        yield i, Detections.of(boxes, np.full(len(xs), 0.9), class_ids, NAMES)


def test_everybody_has_an_identity_of_his_own_whatever_the_class():
    camera = CameraCount(NAMES, gate(), SIZE)
    for i, seen in walkers([60, 160, 260, 360, 460, 560], [0, 1, 0, 1, 0, 1]):
        tracks, _ = camera.step(seen, i / 10, i)
        assert len(set(tracks.ids.tolist())) == 6
    assert camera.result().lines["gate"].by_class == {
        "person": {"in": 3, "out": 0},
        "car": {"in": 3, "out": 0},
    }


def test_cameras_share_nothing():
    apart = [CameraCount(NAMES, gate(), SIZE) for _ in range(2)]
    one, other = walkers([100], [0]), walkers([100, 300], [1, 1])
    for (i, a), (_, b) in zip(one, other, strict=True):
        apart[0].step(a, i / 10, i)
        apart[1].step(b, i / 10, i)
    assert [camera.result().lines["gate"].into for camera in apart] == [1, 2]
    assert [camera.result().classes for camera in apart] == [{"person": 1}, {"car": 2}]


@pytest.mark.parametrize(("anchor", "seconds"), [("bottom", 2.0), ("center", 3.0), ("top", None)])
def test_the_point_that_stands_for_an_object_is_what_crosses(anchor, seconds):
    """Feet cross at 2 s, the middle a second later, the head never: a rule of four corners counts nobody."""
    camera = CameraCount(NAMES, gate(anchor=anchor), SIZE)
    told = [event for i, seen in walkers([100], [0], 37) for event in camera.step(seen, i / 10, i)[1]]
    assert [event.seconds for event in told] == ([] if seconds is None else [pytest.approx(seconds)])


def test_the_second_one_on_the_same_way_counts_too():
    """One after the other over the same place, half a second apart."""
    camera = CameraCount(NAMES, gate(), SIZE)
    for i in range(60):
        feet = [y for y in (60 + 8 * i, 60 + 8 * (i - 14)) if 60 <= y <= 340]
        boxes = [[285, y - 80, 315, y] for y in feet]
        camera.step(Detections.of(boxes, np.full(len(feet), 0.9), np.zeros(len(feet)), NAMES), i / 25, i)
    camera.finish()
    assert camera.result().lines["gate"].into == 2


def test_one_whose_lower_part_is_hidden_while_crossing_counts_once():
    """The box shrinks beyond the line before the far side is certain: another track goes on with the way."""
    line = {"name": "gate", "from": [0, 200], "to": [400, 200]}
    camera = CameraCount(NAMES, Scene.from_dict({"units": "pixels", "lines": [line]}), (400, 400))
    crossed = 0
    for i in range(120):
        bottom = 140 + 6 * i
        height = 90 if bottom <= 208 else 30
        box = [[185, bottom - height, 215, bottom]] if bottom < 380 else []
        seen = Detections.of(box, [0.9] * len(box), [0] * len(box), NAMES)
        crossed += sum(event.kind == "crossing" for event in camera.step(seen, i / 10, i)[1])
    crossed += sum(event.kind == "crossing" for event in camera.finish())
    assert crossed == 1


def through_a_door(xs, pause, number=6):
    """Crossings of people who come at 60 pixels a second, first seen when they are 6 pixels beyond the line."""
    line = {"name": "gate", "from": [0, 200], "to": [400, 200]}
    camera = CameraCount(NAMES, Scene.from_dict({"units": "pixels", "lines": [line]}), (400, 400))
    crossed = 0
    for i in range(10 * round(pause * number + 6)):
        feet = [(x, 140 + 6 * i - 60 * pause * k) for k in range(number) for x in xs]
        boxes = [[x - 15, y - 70, x + 15, y] for x, y in feet if 206 <= y < 385]
        seen = Detections.of(boxes, [0.9] * len(boxes), [0] * len(boxes), NAMES)
        crossed += sum(event.kind == "crossing" for event in camera.step(seen, i / 10, i)[1])
    return crossed + sum(event.kind == "crossing" for event in camera.finish())


@pytest.mark.parametrize(("xs", "pause"), [([200], 1.0), ([180, 213], 2.0), ([120, 200, 280], 1.5)])
def test_everybody_who_comes_through_a_door_counts(xs, pause):
    assert through_a_door(xs, pause) == 6 * len(xs)


def test_a_second_box_on_somebody_who_crosses_is_nobody():
    assert through_a_door([200, 212], 6.0, number=2) == 2
