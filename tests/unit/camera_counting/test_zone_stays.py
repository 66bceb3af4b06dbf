"""Zones: who is inside, who came, who left, and how long they stayed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from camera_counting.counting import Counter
from camera_counting.counting.result import Dwell
from camera_counting.scene import Scene
from camera_counting.tracking import Tracks

NAMES = ("person", "car")
ZONE = {"name": "Z", "polygon": [[100, 100], [300, 100], [300, 200], [100, 200]]}


def run(paths, zone=ZONE, *, fps=10.0, end=None, classes=None, late=False, car_from=10_000):
    """Follow tracks {id: {frame: anchor}}, people until a frame; gives the zone's count and the events."""
    scene = Scene.from_dict({"size": [400, 300], "zones": [zone]}).for_size(400, 300)
    counter = Counter(scene, NAMES, classes=classes)
    last = max(max(path) for path in paths.values())
    events = []
    for frame in range(-1 if late else 0, last + 1):
        at = {track: path[frame] for track, path in paths.items() if frame in path}
        boxes = np.array([[x - 15, y - 60, x + 15, y] for x, y in at.values()], np.float32).reshape(-1, 4)
        gone = [track for track, path in paths.items() if end is not None and frame == max(path) + end]
        n = len(at)
        tracks = Tracks(
            frame / fps, np.array(list(at), np.int64), boxes, np.full(n, 0.8, np.float32),
            np.full(n, int(frame >= car_from)), np.ones(n, bool), tuple(gone), NAMES,
        )  # fmt: skip
        events += counter.update(tracks, frame)
    return counter.result().zones["Z"], events


def path(*points, start=0):
    return dict(enumerate(points, start))


def straight(a, b, steps):
    return [tuple(p) for p in np.linspace(a, b, steps)]


def test_through_the_zone_and_out():
    # x = 0, 10, .. 400: inside from x=100 (1 s) to x=300 (3 s)
    count, events = run({1: path(*straight((0, 150), (400, 150), 41))})
    assert [(e.kind, e.direction) for e in events] == [("entered", "in"), ("left", "out")]
    assert [e.seconds for e in events] == pytest.approx([1.0, 3.0], abs=0.01)
    assert [e.position for e in events] == [pytest.approx((100, 150)), pytest.approx((300, 150))]
    assert (count.entered, count.left, count.peak, count.occupancy) == (1, 1, 1, 0)
    assert count.dwell.to_dict() == {"mean": 2.0, "p50": 2.0, "p95": 2.0, "max": 2.0}
    # two of four seconds
    assert count.mean == pytest.approx(0.5, abs=0.01)


def test_there_from_the_first_frame_is_inside_but_did_not_enter():
    count, events = run({1: path(*[(200, 150)] * 21)})
    assert events == []
    assert (count.entered, count.left, count.peak, count.occupancy) == (0, 0, 1, 1)
    assert count.dwell.to_dict()["max"] == pytest.approx(2.0)
    assert count.mean == pytest.approx(1.0)


def test_first_seen_inside_later_on_entered():
    count, _ = run({1: path(*[(200, 150)] * 21)}, late=True)
    assert (count.entered, count.occupancy) == (1, 1)


@pytest.mark.parametrize("side", ["bottom", "right"])
def test_what_the_picture_cuts_off_stands_in_a_zone_that_reaches_its_border(side):
    # boxes are clipped to the picture of 400 x 300: the anchor then lies exactly upon its border
    zone = {"name": "Z", "polygon": [[200, 0], [400, 0], [400, 300], [200, 300]], "anchor": side}
    if side == "bottom":  # along the lower border, into the zone at x=200
        count, events = run({1: path(*straight((100, 300), (350, 300), 26))}, zone)
        assert [(e.kind, e.seconds) for e in events] == [("entered", pytest.approx(1.0))]
        assert (count.entered, count.occupancy) == (1, 1)
    else:  # the middle of the right-hand edge of its box, 15 pixels from the anchor that is given here
        count, _ = run({1: path(*[(385, 150)] * 21)}, zone)
        assert (count.occupancy, count.peak, count.mean) == (1, 1, pytest.approx(1.0))


def test_a_zone_of_the_whole_picture_holds_whatever_is_seen():
    zone = {"name": "Z", "polygon": [[0, 0], [400, 0], [400, 300], [0, 300]]}
    corners = {1: (0, 0), 2: (400, 0), 3: (400, 300), 4: (0, 300), 5: (200, 300), 6: (400, 100)}
    count, events = run({track: path(*[at] * 11) for track, at in corners.items()}, zone)
    assert (count.occupancy, count.peak, events) == (6, 6, [])


def test_a_jump_over_a_thin_zone_enters_and_leaves_it():
    thin = {"name": "Z", "polygon": [[198, 0], [202, 0], [202, 300], [198, 300]]}
    count, events = run({1: path((100, 150), (300, 150))}, thin)
    assert [e.kind for e in events] == ["entered", "left"]
    assert count.dwell.to_dict()["max"] == pytest.approx(0.1 * 4 / 200, abs=0.001)


def test_jitter_at_the_border_is_one_entry():
    jitter = [(100 + d, 150) for d in (1, -2, 3, -1, 2, -3, 1, -1) * 5]
    count, _ = run({1: path((50, 150), (80, 150), *jitter, (150, 150), (160, 150))})
    assert (count.entered, count.left) == (1, 0)
    count, _ = run({1: path((50, 150), (80, 150), *jitter, (60, 150), (40, 150))})
    assert (count.entered, count.left, count.peak) == (0, 0, 0)


def test_a_track_that_ends_inside_left_when_it_was_seen_last():
    stay = path((50, 150), *straight((90, 150), (200, 150), 12))
    others = {2: dict.fromkeys(range(60), (20, 20))}
    count, events = run({1: stay, **others}, end=20)
    left = [e for e in events if e.kind == "left"]
    assert len(left) == 1
    assert left[0].seconds == pytest.approx(1.2)
    assert (count.occupancy, count.entered, count.left) == (0, 1, 1)


def test_peak_and_percentiles_of_several():
    # five come in one second after another and stay for 1, 2, 3, 4 and 5 seconds
    paths = {}
    for i in range(5):
        inside = [(200, 150)] * (10 * (i + 1) - 1)
        paths[i] = path((50, 150), *inside, (350, 150), (360, 150), start=10 * i)
    count, _ = run(paths)
    # between the frames inside, and two thirds of the steps in and out: 100 of 150 pixels each
    stays = [i + 0.8 + 2 * 0.1 * 100 / 150 for i in range(5)]
    got = count.dwell.to_dict()
    assert count.entered == 5
    assert got["p50"] == pytest.approx(stays[2], abs=0.001)
    assert got["max"] == pytest.approx(stays[4], abs=0.001)
    assert count.peak == 3


def test_classes_restrict_a_zone():
    stay = {1: path((50, 150), *[(200, 150)] * 10)}
    assert run(stay, {**ZONE, "classes": ["car"]})[0].entered == 0
    assert run(stay, {**ZONE, "classes": ["person"]})[0].entered == 1
    assert run(stay, classes=["car"])[0].peak == 0


@pytest.mark.parametrize(
    ("classes", "car_from", "entered", "left"),
    [
        (["person"], 99, 1, 1),
        (["person"], 20, 0, 0),  # decided while it is inside: it came in as a person
        (["person"], 38, 0, 0),  # decided after it left, with its stay
        (["car"], 20, 1, 1),
        (["car"], 38, 1, 1),
        (["person", "car"], 20, 1, 1),
    ],
)
def test_a_class_decided_anew_moves_all_sums_of_a_zone(classes, car_from, entered, left):
    # inside from 1 s to 3 s
    count, _ = run({1: path(*straight((0, 150), (400, 150), 41))}, {**ZONE, "classes": classes}, car_from=car_from)
    assert (count.entered, count.left, count.occupancy) == (entered, left, 0)
    stay = pytest.approx(2.0, abs=0.01) if left else None
    assert count.dwell.to_dict() == {"mean": stay, "p50": stay, "p95": stay, "max": stay}
    assert count.mean == pytest.approx(0.5 * left, abs=0.01)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.floats(0, 400), st.floats(60, 300)), min_size=2, max_size=40))
def test_the_balance_is_always_right(points):
    count, events = run({1: path(*points)}, late=True)
    assert count.entered - count.left == count.occupancy
    assert [e.kind for e in events] == ["entered", "left"] * count.left + ["entered"] * count.occupancy
    assert [e.seconds for e in events] == sorted(e.seconds for e in events)
    dwell = count.dwell.to_dict()
    assert dwell["max"] is None or 0 <= dwell["p50"] <= dwell["p95"] <= dwell["max"] <= len(points) / 10


def test_dwell_stays_flat_in_memory():
    dwell = Dwell()
    for i in range(25_000):
        dwell.add(float(i))
    assert (dwell.number, dwell.longest, len(dwell._stays)) == (25_000, 24_999, 10_000)
    assert dwell.to_dict()["mean"] == pytest.approx(12_499.5)
