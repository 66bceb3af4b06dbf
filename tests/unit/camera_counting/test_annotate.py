"""Pictures with lines, zones, boxes and numbers: what a person must be able to see on them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from camera_counting.annotate import draw_detections, draw_frame, draw_scene
from camera_counting.counting.result import CrowdCount, Dwell, FlowCount, LineCount, SceneCount, ZoneCount
from camera_counting.detections import Detections
from camera_counting.scene import Scene
from camera_counting.tracking import Tracks

SIZES = [(320, 240), (640, 360), (1920, 1080), (3840, 2160), (64, 48)]
SCENE = Scene.from_dict(
    {
        "lines": [{"name": "gate", "from": [0.1, 0.5], "to": [0.9, 0.5]}],
        "zones": [{"name": "yard", "polygon": [[0.2, 0.6], [0.8, 0.6], [0.9, 0.95], [0.1, 0.95]]}],
    }
)
COUNTS = SceneCount(
    {"gate": LineCount({"car": {"in": 12, "out": 3}})}, {"yard": ZoneCount(2, 4, 1.0, 9, 7, Dwell())}, {"car": 12}
)


def grey(width, height):
    return np.full((height, width, 3), 90, np.uint8)


def tracks(width, height, *, confirmed=True):
    boxes = np.float32([[0.3, 0.2, 0.5, 0.45], [-0.1, -0.1, 0.1, 0.2], [0.95, 0.9, 1.2, 1.3]])
    boxes = boxes * np.float32([width, height, width, height])
    ids = np.array([1, 2, 3])
    return Tracks(0.0, ids, boxes, np.ones(3, np.float32), ids * 0, np.full(3, confirmed), (), ("car",))


@pytest.mark.parametrize("size", SIZES)
def test_everything_is_drawn_and_the_frame_left_as_it_was(size):
    image = grey(*size)
    image.flags.writeable = False
    drawn = draw_frame(image, tracks(*size), SCENE, COUNTS)
    assert drawn.shape == image.shape
    assert drawn.dtype == np.uint8
    assert (image == 90).all()
    width, height = size
    changed = (drawn != 90).any(axis=2)
    # the line's left part, the zone's middle, the box's left edge
    assert changed[height // 2, int(0.15 * width)]
    assert changed[int(0.9 * height), int(0.3 * width)]
    assert changed[int(0.4 * height), round(0.3 * width)]
    # most of the picture stays to be looked at
    assert size == (64, 48) or changed[: int(0.1 * height), int(0.15 * width) :].mean() < 0.3


@pytest.mark.parametrize(("line", "inwards"), [((0.1, 0.5, 0.9, 0.5), (0, 1)), ((0.5, 0.1, 0.5, 0.9), (-1, 0))])
def test_the_arrow_points_in(line, inwards):
    x1, y1, x2, y2 = line
    scene = Scene.from_dict({"lines": [{"name": "L", "from": [x1, y1], "to": [x2, y2]}]})
    drawn = draw_scene(grey(640, 480), scene).astype(int)
    yellow = (drawn[..., 0] > 200) & (drawn[..., 1] > 150) & (drawn[..., 2] < 60)
    # beside the middle: the arrow on the one side; on the other side the plate, further off
    tip = [240 + inwards[1] * 16, 320 + inwards[0] * 16]
    assert yellow[tip[0] - 3 : tip[0] + 4, tip[1] - 3 : tip[1] + 4].any()


def test_tracks_that_are_not_confirmed_are_left_out():
    assert (draw_frame(grey(320, 240), tracks(320, 240, confirmed=False), None) == 90).all()


def test_numbers_are_drawn_so_that_other_numbers_look_different():
    def plate(into):
        counts = SceneCount({"gate": LineCount({"car": {"in": into, "out": 0}})}, {}, {})
        return draw_scene(grey(320, 240), SCENE, counts)

    assert (plate(3) != plate(8)).any()
    assert (plate(3) == plate(3)).all()


def test_letters_grow_with_the_picture():
    heights = []
    for width, height in SIZES[:4]:
        dark = (draw_detections(grey(width, height), one(width, height)) < 75).all(axis=2)
        # the ink of the label lies above the box
        rows = np.flatnonzero(dark[: int(0.3 * height) - 4].any(axis=1))
        heights.append(np.ptp(rows))
    assert heights[0] >= 5
    assert heights == sorted(heights)
    assert heights[3] > 4 * heights[0]


def one(width, height):
    return Detections.of([[0.3 * width, 0.3 * height, 0.7 * width, 0.7 * height]], [0.9], [0], ["person"])


def test_a_class_keeps_its_colour_and_boxes_do_not_need_a_scene():
    a = draw_detections(grey(320, 240), one(320, 240))
    b = draw_detections(grey(320, 240), one(320, 240))
    assert (a == b).all()
    assert cv2.countNonZero((a != 90).any(axis=2).astype(np.uint8)) > 300


def busy(crowded, flows=3, total=7):
    """A scene with flows, and a zone that is crowded or not."""
    scene = Scene.from_dict(
        {
            "lines": [
                {"name": "gate", "from": [0.1, 0.5], "to": [0.45, 0.5]},
                {"name": "exit", "from": [0.95, 0.2], "to": [0.95, 0.8]},
            ],
            "zones": [{"name": "yard", "polygon": [[0.2, 0.6], [0.8, 0.6], [0.9, 0.95], [0.1, 0.95]]}],
            "flows": [{"name": f"way {i}", "from": "gate", "to": "exit"} for i in range(flows)],
        }
    )
    crowd = CrowdCount(crowded, 1, 3.0)
    counts = SceneCount(
        {name: LineCount({"car": {"in": 12, "out": 3}}) for name in ("gate", "exit")},
        {"yard": ZoneCount(12, 14, 1.0, 20, 3, Dwell(), crowd)},
        {"car": 12},
        {f"way {i}": FlowCount("gate", "exit", {"car": total}, Dwell()) for i in range(flows)},
    )
    return scene, counts


def near(drawn, colour):
    return (np.abs(drawn.astype(int) - colour) <= 12).all(axis=2)


@pytest.mark.parametrize("size", [(320, 180), (3840, 2160)])
def test_a_crowded_zone_is_red_and_flows_have_a_table(size):
    red, green = (255, 92, 64), (190, 222, 150)
    calm, crowded = (draw_scene(grey(*size), *busy(crowded)) for crowded in (False, True))
    assert not near(calm, red).any()
    assert near(crowded, red).mean() > 0.002
    # three rows of names, one under the other, in one corner
    rows = np.flatnonzero(near(calm, green).any(axis=1))
    assert 3 * 11 <= np.ptp(rows) < size[1] / 3
    assert (draw_scene(grey(*size), *busy(False, total=8)) != calm).any()


def test_more_flows_than_there_is_room_for_are_told_and_leave_the_picture_free():
    green = near(draw_scene(grey(320, 240), *busy(False, flows=200)), (190, 222, 150))
    assert np.ptp(np.flatnonzero(green.any(axis=1))) <= 240 / 3 + 20


@pytest.mark.parametrize("counted", [False, True])
@pytest.mark.parametrize("size", [(320, 180), (640, 360), (1920, 1080)])
def test_no_plate_lies_on_an_arrow(size, counted):
    scene, counts = busy(False)
    drawn = draw_scene(grey(*size), scene, counts if counted else None)
    yellow = near(drawn, (255, 196, 0))
    width, height = size
    # the arrow of the line at the right-hand border points to the left; its plate must be somewhere else
    unit = max(11, round(min(height * 0.031, width * 0.024)))
    x, y = round(0.95 * width - unit * 1.2), height // 2
    assert yellow[y - 2 : y + 3, x].any()
    # and the ground shows above and below it
    assert (drawn[[y - unit, y + unit], x] == 90).all()


@pytest.mark.parametrize(
    ("ends", "sign"), [((0.1, 0.5, 0.9, 0.5), "↓"), ((0.9, 0.5, 0.1, 0.5), "↑"), ((0.5, 0.1, 0.5, 0.9), "←")]
)
def test_the_plate_of_a_line_says_which_way_is_in(ends, sign, monkeypatch):
    written = []
    monkeypatch.setattr("camera_counting.plates.write", lambda image, text, *_: written.append(text))
    x1, y1, x2, y2 = ends
    draw_scene(grey(640, 480), Scene.from_dict({"lines": [{"name": "L", "from": [x1, y1], "to": [x2, y2]}]}))
    assert written == ["L", f"in {sign}"]
