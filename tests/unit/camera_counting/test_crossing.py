"""Crossings of perfect tracks: the defects that users of other counters reported, and what must always hold."""

from __future__ import annotations

import dataclasses
import itertools
import json

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from camera_counting.counting import Counter
from camera_counting.scene import Scene
from camera_counting.tracking import Tracks

NAMES = ("person", "car")
WIDTH, HEIGHT = 400, 300
# from left to right: downwards is in
LINE = {"name": "L", "from": [50, 150], "to": [350, 150]}


def tracks_at(seconds, anchors, *, size=40.0, confirmed=True, ended=(), class_id=0):
    """Tracks by id, with boxes of `size` whose bottom centre is the anchor."""
    boxes = [[x - size / 2, y - size, x + size / 2, y] for x, y in anchors.values()]
    n = len(boxes)
    return Tracks(
        seconds=seconds,
        ids=np.array(list(anchors), np.int64),
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        scores=np.full(n, 0.9, np.float32),
        class_ids=np.full(n, class_id, np.int64),
        confirmed=np.full(n, confirmed),
        ended=tuple(ended),
        names=NAMES,
    )


def walk(path, line=LINE, *, size=40.0, fps=10.0, width=WIDTH, height=HEIGHT, late=False):
    """In and out of a track along a path of anchors; `late` puts an empty frame before it."""
    scene = Scene.from_dict({"size": [width, height], "lines": [line]}).for_size(width, height)
    counter = Counter(scene, NAMES)
    frame = 0
    if late:
        counter.update(tracks_at(-1.0, {}), 0)
    for frame, point in enumerate(path):
        counter.update(tracks_at(frame / fps, {1: point}, size=size), frame)
    counter.update(tracks_at(frame / fps + 3, {}, ended=[1]), frame)
    count = counter.result().lines["L"]
    return count.into, count.out


def straight(start, end, steps):
    return [tuple(p) for p in np.linspace(start, end, steps)]


DOWN = straight((200, 60), (200, 250), 20)

CASES = {
    "down is in": (DOWN, (1, 0)),
    "up is out": (DOWN[::-1], (0, 1)),
    "there and back counts both": (DOWN + DOWN[::-1], (1, 1)),
    "twice there and back": ((DOWN + DOWN[::-1]) * 2, (2, 2)),
    "beyond the left end": (straight((30, 60), (30, 250), 20), (0, 0)),
    "beyond the right end": (straight((380, 60), (380, 250), 20), (0, 0)),
    "round the end and back over the line": (
        straight((200, 60), (20, 60), 20)
        + straight((20, 60), (20, 250), 20)
        + straight((20, 250), (200, 250), 20)
        + straight((200, 250), (200, 60), 20),
        (0, 1),
    ),
    "exactly on the line for a while": ([(200, y) for y in (90, 110, 130, 150, 150, 150, 170, 190, 210)], (1, 0)),
    "exactly on the line and back": ([(200, y) for y in (90, 110, 130, 150, 150, 130, 110, 90)], (0, 0)),
    "sways at the line, a quarter of its size to either side": ([(200, 140), (200, 160)] * 40, (0, 0)),
    "comes from afar and sways at the line": (
        straight((200, 60), (200, 140), 8) + [(200, 160), (200, 140)] * 40,
        (1, 0),
    ),
    "walks over the line and back, but half its size to either side": (
        straight((200, 125), (200, 175), 9) + straight((200, 175), (200, 125), 9),
        (1, 1),
    ),
    "begins exactly on the line": ([(200, y) for y in (150, 160, 170, 180, 190, 200)], (0, 0)),
    "jump over the line in one frame": ([(200, 20), (200, 290)], (1, 0)),
    "slanted through the very end": (straight((0, 100), (100, 200), 21), (1, 0)),
    "jitter on one side": ([(200, 150 + d) for d in (-20, -3, 2, -2, 3, -1, 1, -3, 2, -20)], (0, 0)),
    "jitter, then over": ([(200, 150 + d) for d in (-20, -3, 2, -2, 3, -1, 1, 3, 10, 20)], (1, 0)),
    "a brief look over the line": ([(200, 150 + d) for d in (-30, -20, 0, 6, 7, 0, -20, -30)], (0, 0)),
    "parked upon the line": ([(200 + d, 150 - d) for d in (0, 1, -1, 2, -2, 1, 0, -1) * 20], (0, 0)),
    "stops on the line, goes on": (
        straight((200, 60), (200, 151), 10) + [(200, 151)] * 50 + straight((200, 151), (200, 250), 10),
        (1, 0),
    ),
    "stops on the line, turns back": (
        straight((200, 60), (200, 151), 10) + [(200, 151)] * 50 + straight((200, 151), (200, 60), 10),
        (0, 0),
    ),
    "ends just beyond": (straight((200, 100), (200, 155), 12), (1, 0)),
    "first seen just before": (straight((200, 148), (200, 230), 12), (1, 0)),
}


@pytest.mark.parametrize(("path", "expected"), CASES.values(), ids=CASES)
def test_what_counts_and_what_does_not(path, expected):
    assert walk(path) == expected


@pytest.mark.parametrize("edge", ["top", "bottom", "left", "right"])
def test_a_line_close_to_the_edge_counts(edge):
    # the anchor never gets further beyond the line than a few pixels: there the picture ends
    line, path = {
        "bottom": ({"name": "L", "from": [0, 292], "to": [400, 292]}, straight((200, 200), (200, 299), 25)),
        "top": ({"name": "L", "from": [0, 8], "to": [400, 8]}, straight((200, 100), (200, 3), 25)),
        "right": ({"name": "L", "from": [392, 0], "to": [392, 300]}, straight((300, 150), (398, 150), 25)),
        "left": ({"name": "L", "from": [8, 0], "to": [8, 300]}, straight((100, 150), (2, 150), 25)),
    }[edge]
    assert sum(walk(path, line)) == 1
    assert sum(walk(path[::-1], line, late=True)) == 1


def test_an_object_first_seen_just_beyond_the_line_came_over_it():
    path = straight((200, 156), (200, 250), 20)
    assert walk(path, late=True) == (1, 0)
    # but not if it was there when the clip began, or stood there
    assert walk(path) == (0, 0)
    assert walk([(200, 156)] * 30 + path, late=True) == (0, 0)


def test_nothing_is_told_of_the_time_before_the_clip_began():
    # 8 pixels beyond the line at frame 1 (0.1 s), 4 pixels a frame: it went over 0.1 s before the clip began
    scene = Scene.from_dict({"size": [WIDTH, HEIGHT], "lines": [LINE]}).for_size(WIDTH, HEIGHT)
    for speed, expected in ((4, 0), (10, 1)):  # at 10 pixels a frame it went over at 0.02 s
        counter = Counter(scene, NAMES)
        events = counter.update(tracks_at(0.0, {}), 0)
        for frame in range(1, 20):
            events += counter.update(tracks_at(frame / 10, {1: (200, 158 + speed * (frame - 1))}), frame)
        assert counter.result().lines["L"].into == expected
        assert [event.seconds for event in events] == pytest.approx([0.02] * expected)


def test_nothing_counts_before_the_track_is_confirmed_and_everything_after():
    scene = Scene.from_dict({"size": [WIDTH, HEIGHT], "lines": [LINE]}).for_size(WIDTH, HEIGHT)
    counter = Counter(scene, NAMES)
    events = []
    for frame, point in enumerate(DOWN):
        events.append(counter.update(tracks_at(frame / 10, {1: point}, confirmed=frame >= 15), frame))
    told = [(frame, event) for frame, happened in enumerate(events) for event in happened]
    assert [frame for frame, _ in told] == [15]
    event = told[0][1]
    # 60 + 10 * frame = 150: on the line at frame 9, beyond it at frame 10
    assert (event.frame, event.direction, event.class_name) == (10, "in", "person")
    assert event.seconds == pytest.approx(0.9, abs=0.01)
    assert event.position == pytest.approx((200, 150))
    assert event.confidence == pytest.approx(0.9)


def test_a_track_that_is_never_confirmed_never_counts():
    counter = Counter(Scene.from_dict({"size": [WIDTH, HEIGHT], "lines": [LINE]}), NAMES)
    for frame, point in enumerate(DOWN):
        assert counter.update(tracks_at(frame / 10, {1: point}, confirmed=False), frame) == []
    assert counter.update(tracks_at(9.0, {}, ended=[1]), 99) == []
    assert counter.result().classes == {}


def test_a_class_decided_anew_moves_the_count():
    counter = Counter(Scene.from_dict({"size": [WIDTH, HEIGHT], "lines": [LINE]}), NAMES)
    for frame, point in enumerate(DOWN):
        counter.update(tracks_at(frame / 10, {1: point}, class_id=0 if frame < 15 else 1), frame)
    assert counter.result().lines["L"].by_class == {"car": {"in": 1, "out": 0}}
    assert counter.result().classes == {"car": 1}


def test_classes_of_a_line_restrict_it_whenever_the_class_is_decided():
    line = {**LINE, "classes": ["car"]}
    scene = Scene.from_dict({"size": [WIDTH, HEIGHT], "lines": [line]})
    for turns_car_at, expected in ((0, 1), (15, 1), (99, 0)):
        counter = Counter(scene, NAMES)
        for frame, point in enumerate(DOWN):
            counter.update(tracks_at(frame / 10, {1: point}, class_id=int(frame >= turns_car_at)), frame)
        assert counter.result().lines["L"].into == expected


def beside(names, line, tell):
    """Counts of two tracks on one way over a line: 1 crosses for sure, 2 is lost 10 pixels before it.

    `tell` gives class ids and whether each is confirmed, by frame.
    """
    counter = Counter(Scene.from_dict({"size": [WIDTH, HEIGHT], "lines": [line]}), names)
    for frame in range(40):
        y = 60 + 10 * frame
        at = {1: (200, y)} if y < 290 else {}
        at |= {2: (205, y)} if y <= 140 else {}
        tracks = tracks_at(frame / 10, at, ended=[2] if frame == 20 else [1] if frame == 39 else [])
        class_ids, confirmed = tell(frame)
        tracks = dataclasses.replace(
            tracks,
            class_ids=np.array([class_ids[track - 1] for track in at], np.int64),
            confirmed=np.array([confirmed[track - 1] for track in at], bool),
            names=names,
        )
        counter.update(tracks, frame)
    return counter.result().lines["L"].by_class


def test_a_guess_is_told_where_the_other_that_crossed_there_does_not_count():
    one = {"in": 1, "out": 0}
    names = ("person", "bicycle", "car", "truck")
    # a bicycle that is lost before the line, its rider is not: where only bicycles count, it does
    rider, bicycle = 0, 1
    cycles = {**LINE, "classes": ["bicycle"]}
    assert beside(names, cycles, lambda _: ([rider, bicycle], [True, True])) == {"bicycle": one}
    assert beside(names, LINE, lambda _: ([rider, bicycle], [True, True])) == {"person": one, "bicycle": one}
    # one vehicle in two pieces is one, whichever of them is certain, and when
    car, truck = 2, 3
    assert beside(names, LINE, lambda _: ([car, truck], [True, True])) == {"car": one}
    assert beside(names, LINE, lambda _: ([car, truck], [False, True])) == {"truck": one}
    assert beside(names, LINE, lambda frame: ([car, truck], [frame > 21, True])) == {"truck": one}


def test_two_side_by_side_are_two():
    counter = Counter(Scene.from_dict({"size": [WIDTH, HEIGHT], "lines": [LINE]}), NAMES)
    for frame, (x, y) in enumerate(DOWN):
        counter.update(tracks_at(frame / 10, {1: (x, y), 2: (x + 25, y)}), frame)
    assert counter.result().lines["L"].into == 2


def test_memory_does_not_grow_with_tracks_that_ended():
    counter = Counter(Scene.from_dict({"size": [WIDTH, HEIGHT], "lines": [LINE]}), NAMES)
    for track in range(300):
        counter.update(tracks_at(track, {track: (200, 100)}), track)
        counter.update(tracks_at(track + 0.5, {track: (200, 220)}, ended=[track - 1] if track else []), track)
    assert len(counter._records) == 1
    assert len(counter._lines[0]._walks) == 1
    assert len(counter._lines[0]._told) < 30
    assert counter.result().lines["L"].into == 300


coordinate = st.floats(20, 280)
# clear of the left border, where paths are followed further beyond their ends
paths = st.lists(st.tuples(st.floats(30, 280), coordinate), min_size=3, max_size=8)


def dense(corners, step=4.0):
    """A path along corners, in small steps."""
    path = [corners[0]]
    for a, b in itertools.pairwise(corners):
        path += straight(a, b, max(2, int(np.hypot(b[0] - a[0], b[1] - a[1]) / step)))[1:]
    return path


def clear_of_the_line(corners, line=150, margin=15):
    """The corners, none of them so close to the line that its side is a matter of the margin."""
    return [
        (x, y if abs(y - line) > margin else line + margin * (1 if y >= line else -1) * 1.01) for x, y in corners
    ]


WIDE = {"name": "L", "from": [0, 150], "to": [400, 150]}


@settings(deadline=None, max_examples=60)
@given(paths)
def test_net_crossings_are_the_change_of_sides(corners):
    corners = clear_of_the_line(corners)
    into, out = walk(dense(corners), WIDE)
    sides = [y > 150 for _, y in corners]
    assert into - out == int(sides[-1]) - int(sides[0])
    changes = [b for a, b in itertools.pairwise(sides) if a != b]
    assert (into, out) == (changes.count(True), changes.count(False))


@settings(deadline=None, max_examples=60)
@given(paths)
def test_the_reversed_path_swaps_in_and_out(corners):
    path = dense(clear_of_the_line(corners))
    assert walk(path[::-1], WIDE) == walk(path, WIDE)[::-1]


@settings(deadline=None, max_examples=60)
@given(paths)
def test_the_reversed_line_swaps_in_and_out(corners):
    path = dense(corners)
    reverse = {"name": "L", "from": LINE["to"], "to": LINE["from"]}
    assert walk(path, reverse) == walk(path, LINE)[::-1]


@settings(deadline=None, max_examples=60)
@given(paths)
def test_the_mirrored_picture_swaps_in_and_out(corners):
    path = dense(corners)
    mirrored = [(WIDTH - x, y) for x, y in path]
    line = {"name": "L", "from": [WIDTH - 50, 150], "to": [WIDTH - 350, 150]}
    assert walk(mirrored, line) == walk(path, LINE)[::-1]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.floats(-3.9, 3.9), st.floats(-3.9, 3.9)), min_size=5, max_size=60), st.booleans())
def test_jitter_within_the_margin_never_counts(jitter, late):
    # the margin is 8 pixels for this size; the anchor stays within 4 of the line
    assert walk([(200 + dx, 150 + dy) for dx, dy in jitter], late=late) in {(0, 0)}


@settings(deadline=None, max_examples=60)
@given(paths, st.integers(2, 5), st.integers(0, 4))
def test_leaving_out_frames_changes_nothing(corners, every, offset):
    corners = clear_of_the_line(corners, margin=40)
    path = dense(corners, step=3.0)
    assume(len(path) > 3 * every)
    # the corners themselves stay: without them a turn may be cut off
    kept = [p for i, p in enumerate(path) if i % every == offset % every or p in corners]
    assert walk(kept, WIDE) == walk(path, WIDE)


@settings(deadline=None, max_examples=40)
@given(paths, st.sampled_from([0.25, 0.5, 2.0, 4.0]))
def test_the_picture_size_changes_nothing(corners, factor):
    path = dense(corners)
    line = {**LINE, "from": [50 * factor, 150 * factor], "to": [350 * factor, 150 * factor]}
    scaled = [(x * factor, y * factor) for x, y in path]
    got = walk(scaled, line, size=40 * factor, width=WIDTH * factor, height=HEIGHT * factor)
    assert got == walk(path)


def test_who_walks_to_and_fro_for_days_fills_no_memory():
    zone = {"name": "Z", "polygon": [[0, 150], [400, 150], [400, 300], [0, 300]]}
    scene = {
        "size": [WIDTH, HEIGHT],
        "lines": [LINE, {**LINE, "name": "cars", "classes": ["car"]}],
        "zones": [zone],
    }
    counter = Counter(Scene.from_dict(scene).for_size(WIDTH, HEIGHT), NAMES)
    sizes = []
    for frame in range(2400):  # over the line and back 200 times
        y = 150 + 40 * np.cos(2 * np.pi * (frame + 0.5) / 12)
        counter.update(tracks_at(frame / 10, {1: (200, y)}), frame)
        if frame in (1199, 2399):
            sizes.append(len(json.dumps(counter.snapshot()["records"])))
    assert counter.result().lines["L"].to_dict() == {
        "in": 200,
        "out": 200,
        "by_class": {"person": {"in": 200, "out": 200}},
    }
    assert sizes[1] < 1.2 * sizes[0]
    # nobody but a car after all: all that was told of it moves
    counter.update(tracks_at(240.0, {1: (200, 190)}, class_id=1), 2400)
    moved = counter.result().lines["L"].by_class
    assert moved["car"] == {"in": 200, "out": 200}
    assert "person" not in moved
