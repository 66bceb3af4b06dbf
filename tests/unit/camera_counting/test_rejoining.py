"""Who was hidden for seconds: found again on the other side, counted once, and never taken for somebody else."""

from __future__ import annotations

import pytest

from camera_counting.counting import CameraCount
from camera_counting.detections import Detections
from camera_counting.scene import Scene

NAMES = ("person", "car")
GATE = {"units": "pixels", "lines": [{"name": "gate", "from": [320, 0], "to": [320, 360]}]}


def person(x, y=200.0):
    return [x - 12, y - 70, x + 12, y]


def follow(frames, fps=10.0, names=NAMES):
    """Counts of frames of rows (box, class), and the identities by frame."""
    camera = CameraCount(names, Scene.from_dict(GATE), (640, 360))
    ids = []
    for i, rows in enumerate(frames):
        seen = Detections.of(
            [box for box, _ in rows], [0.9] * len(rows), [names.index(name) for _, name in rows], names
        )
        tracks, _ = camera.step(seen, i / fps, i)
        ids.append(tracks.ids.tolist())
    camera.finish()
    line = camera.result().lines["gate"]
    return (line.into, line.out), ids, camera.result().classes


def walk(start, speed, frames, hidden, *, name="person", y=200.0, fps=10.0):
    return [
        [] if hidden[0] <= start + speed * i / fps <= hidden[1] else [(person(start + speed * i / fps, y), name)]
        for i in range(frames)
    ]


@pytest.mark.parametrize("fps", [5, 10, 25])
def test_who_walks_behind_a_truck_that_stands_on_the_line_counts(fps):
    # five seconds out of sight, over the line in the meantime; from right to left is in
    count, ids, classes = follow(walk(520, -40, 11 * fps, (220, 420), fps=fps), fps=fps)
    assert count == (1, 0)
    assert ids[-1] == ids[fps] == [1]
    assert classes == {"person": 1}


def test_two_who_pass_each_other_behind_it_count_each_his_way():
    left, right = walk(100, 40, 120, (220, 420), y=190), walk(540, -40, 120, (220, 420), y=215)
    count, _, classes = follow([a + b for a, b in zip(left, right, strict=True)])
    assert count == (1, 1)
    assert classes == {"person": 2}


@pytest.mark.parametrize(
    "other",
    [
        # turns up a second later where it takes the first one four to walk to
        walk(430, 40, 50, (-1, -1)),
        # goes against the first one's way
        [[]] * 40 + walk(440, -40, 20, (-1, -1)),
        # is no person
        [[]] * 40 + walk(420, 40, 30, (-1, -1), name="car"),
    ],
    ids=["too far", "the other way", "a car"],
)
def test_another_one_beyond_the_line_is_not_who_was_lost_before_it(other):
    count, ids, _ = follow(walk(100, 40, 40, (260, 9999)) + [[]] * 10 + other)
    assert count == (0, 0)
    assert ids[-1] == [2]


def test_who_was_lost_is_forgotten_in_the_end():
    count, ids, _ = follow(walk(100, 40, 40, (260, 9999)) + [[]] * 100 + walk(420, 40, 30, (-1, -1)))
    assert count == (0, 0)
    assert ids[-1] == [2]
