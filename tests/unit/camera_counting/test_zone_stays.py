"""Zones: who is inside, who came, who left, and how long they stayed."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from camera_counting.counting import CameraCount, Counter
from camera_counting.counting.result import Dwell
from camera_counting.detections import Detections
from camera_counting.scene import Scene
from camera_counting.tracking import Tracks

NAMES = ("person", "car")
ZONE = {"name": "Z", "polygon": [[100, 100], [300, 100], [300, 200], [100, 200]]}


def run(paths, zone=ZONE, *, fps=10.0, end=None, classes=None, late=False, car_from=10_000, finish=False):
    """Follow tracks {id: {frame: anchor}}, people until a frame; gives the zone's count and the events.

    Tracks end `end` frames after they were last seen, and where the clip is finished, all of them with it.
    """
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
    if finish:
        live = [track for track, path in paths.items() if end is None or max(path) + end > last]
        none = np.zeros((0, 4), np.float32)
        tracks = Tracks(
            last / fps, np.zeros(0, np.int64), none, none[:, 0], np.zeros(0, np.int64), np.zeros(0, bool),
            tuple(live), NAMES,
        )  # fmt: skip
        events += counter.update(tracks, last, last=True)
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
    # it is waited for in case that it is found again
    others = {2: dict.fromkeys(range(90), (20, 70))}
    count, events = run({1: stay, **others}, end=20)
    left = [e for e in events if e.kind == "left"]
    assert len(left) == 1
    assert left[0].seconds == pytest.approx(1.2)
    assert (count.occupancy, count.entered, count.left) == (0, 1, 1)


FAR = {9: dict.fromkeys(range(220), (20, 70))}  # somebody outside, for as long as the clip runs


def test_one_who_is_lost_inside_and_found_again_as_another_track_stays():
    # in at 0.5 s, seen until 3 s, found again at 5.5 s a step aside, out at 8 s
    first = path((50, 150), *straight((90, 150), (200, 150), 10), *[(200, 150)] * 20)
    again = path(*[(205, 152)] * 20, *straight((205, 152), (355, 152), 16), start=55)
    count, events = run({1: first, 2: again, **FAR}, end=20)
    assert [(e.kind, e.track) for e in events] == [("entered", 1), ("left", 2)]
    stay = events[1].seconds - events[0].seconds
    assert (count.entered, count.left, count.occupancy) == (1, 1, 0)
    assert count.dwell.to_dict()["max"] == pytest.approx(stay, abs=0.01)
    assert events[1].lasted == pytest.approx(stay, abs=0.01)
    # all of it belongs to the mean occupancy: nobody was nowhere
    assert count.mean == pytest.approx(stay / 21.9, abs=0.01)


@pytest.mark.parametrize(
    ("start", "at", "last_at"),
    [
        (55, (260, 150), (200, 150)),  # elsewhere in the zone
        (100, (200, 150), (200, 150)),  # 7 s later
        (55, (200, 196), (200, 150)),  # more than half its size away
        (55, (200, 299), (200, 297)),  # at the border of the picture, over which people come and go
    ],
)
def test_who_appears_elsewhere_or_later_is_somebody_else(start, at, last_at):
    whole = {"name": "Z", "polygon": [[100, 100], [300, 100], [300, 300], [100, 300]]}
    first = path((50, 150), *straight((90, 150), last_at, 10), *[last_at] * 20)
    count, events = run({1: first, 2: path(*[at] * 30, start=start), **FAR}, whole, end=20)
    told = [(e.kind, e.track) for e in events]
    assert told[:2] == [("entered", 1), ("left", 1)] or told[:3] == [("entered", 1), ("entered", 2), ("left", 1)]
    assert next(e.seconds for e in events if e.kind == "left") == pytest.approx(3.0)
    assert (count.entered, count.left) == (2, 2)


def test_two_are_never_found_again_as_one():
    first = {track: path((50, 150), *[(200 + 4 * track, 150)] * 30) for track in (1, 2)}
    count, _ = run({**first, 3: path(*[(206, 150)] * 165, start=55), **FAR}, end=20)
    # one of the two went on as the third, the other one left
    assert (count.entered, count.left, count.occupancy) == (2, 1, 1)


def test_over_the_border_of_the_picture_people_come_and_leave():
    # first seen cut off by the lower border, last seen cut off by it: within a zone that reaches it
    zone = {"name": "Z", "polygon": [[100, 150], [300, 150], [300, 300], [100, 300]]}
    walk = path(*straight((150, 300), (150, 240), 10), *straight((150, 240), (250, 300), 20), start=10)
    count, events = run({1: walk, **FAR}, zone, end=3)
    assert [(e.kind, e.seconds) for e in events] == [("entered", 1.0), ("left", pytest.approx(3.9))]
    # nobody waits for one who went out of the picture
    assert (count.entered, count.left, count.occupancy) == (1, 1, 0)
    assert count.dwell.to_dict()["max"] == pytest.approx(2.9)


def test_who_is_inside_when_the_clip_is_over_is_inside():
    walk = path((50, 150), *[(200, 150)] * 30)
    gone = path((50, 160), *[(180, 160)] * 10)
    there = path(*[(250, 150)] * 31)
    count, events = run({1: walk, 2: gone, 3: there}, finish=True)
    assert [(e.kind, e.track) for e in events] == [("entered", 1), ("entered", 2), ("left", 2)]
    # the third was there from the start and is there at the end
    assert (count.occupancy, count.peak, count.entered, count.left) == (2, 3, 2, 1)
    assert count.dwell.number == 3
    assert count.dwell.to_dict()["max"] == pytest.approx(3.0)


def test_a_clip_that_goes_on_after_its_end_counts_nobody_twice():
    camera = CameraCount(NAMES, Scene.from_dict({"size": [400, 300], "zones": [ZONE]}), (400, 300))
    seen = Detections.of([[185, 90, 215, 150]], [0.9], [0], NAMES)
    for i in range(10):
        camera.step(seen, i / 10, i)
    assert camera.finish() == []
    assert camera.result().zones["Z"].occupancy == 1
    other = CameraCount(NAMES, Scene.from_dict({"size": [400, 300], "zones": [ZONE]}), (400, 300))
    assert other.restore(json.loads(json.dumps(camera.snapshot())))
    for i in range(10, 20):
        other.step(seen, i / 10, i)
    assert other.result().zones["Z"].occupancy == 1


def test_a_clock_that_jumps_back_empties_no_zone():
    scene = Scene.from_dict(
        {"size": [400, 300], "zones": [{**ZONE, "crowding": {"more_than": 0, "for_seconds": 1}}]}
    )
    camera = CameraCount(NAMES, scene, (400, 300))
    seen = Detections.of([[185, 90, 215, 150]], [0.9], [0], NAMES)
    for i in range(60):
        camera.step(seen, 3600 * (i < 30) + i / 10, i)
    count = camera.result().zones["Z"]
    assert (count.occupancy, count.peak, count.crowding.crowded) == (1, 1, True)
    # 2.9 seconds before the jump and as many after it, with somebody inside nearly all of the time
    assert 0.9 <= count.mean <= 1.1


def test_a_zone_is_told_to_be_crowded_and_cleared():
    zone = {**ZONE, "crowding": {"more_than": 2, "for_seconds": 2}}
    paths = {track: path(*[(120 + 40 * track, 150)] * 60, start=10) for track in range(1, 4)}
    paths[4] = path(*[(20, 290)] * 130)
    count, events = run(paths, zone, end=5)
    told = [e for e in events if e.kind in {"crowded", "cleared"}]
    assert [(e.kind, e.name, e.track, e.class_name, e.direction) for e in told] == [
        ("crowded", "Z", -1, "", ""), ("cleared", "Z", -1, "", "")
    ]  # fmt: skip
    # three from 1 s to 6.9 s; their tracks end half a second later, and after two more it is cleared
    assert [e.seconds for e in told] == pytest.approx([3.0, 9.4])
    assert [(e.number, e.lasted) for e in told] == [(3, None), (3, pytest.approx(6.4))]
    assert told[0].position == (200, 150)
    assert (count.crowding.times, count.crowding.crowded) == (1, False)
    assert count.to_dict()["crowding"]["latest"][0]["most"] == 3
    # of those who do not count there, nobody makes a crowd
    assert run(paths, {**zone, "classes": ["car"]}, end=5)[0].crowding.times == 0


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
    assert (dwell.number, dwell.longest, len(dwell._stays)) == (25_000, 24_999, 1_000)
    assert dwell.to_dict()["mean"] == pytest.approx(12_499.5)
