"""A camera that is stopped anywhere and goes on from its snapshot counts as one that was never stopped."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from camera_counting.counting import CameraCount
from camera_counting.detections import Detections
from camera_counting.scene import Scene

NAMES = ("person", "car", "truck")
SIZE = (640, 360)
SCENE = {
    "units": "pixels",
    "lines": [
        {"name": "across", "from": [0, 180], "to": [640, 180]},
        {"name": "down", "from": [320, 0], "to": [320, 360], "classes": ["car", "truck"], "anchor": "center"},
    ],
    "zones": [
        {
            "name": "square",
            "polygon": [[200, 80], [440, 80], [440, 280], [200, 280]],
            "crowding": {"more_than": 1, "for_seconds": 0.3},
        }
    ],
    "flows": [{"name": "turning", "from": "across", "to": "down"}],
}


def camera(scene=SCENE, names=NAMES, size=SIZE, **settings):
    return CameraCount(names, None if scene is None else Scene.from_dict(scene), size, **settings)


def traffic(seed, frames=60, fps=10.0):
    """Some who wander about, seen with misses, noise, doubles and wavering classes."""
    rng = np.random.default_rng(seed)
    number = int(rng.integers(1, 6))
    at, speed = rng.uniform([40, 60], [600, 350], (number, 2)), rng.normal(0, 60, (number, 2))
    kinds = rng.integers(0, 3, number)
    seen = []
    for i in range(frames):
        speed += rng.normal(0, 12, (number, 2))
        at = at + speed / fps
        speed[(at < [20, 40]) | (at > [620, 355])] *= -1
        at = at.clip([20, 40], [620, 355])
        some = np.flatnonzero(rng.random(number) > 0.2)
        x, y = at[some].T
        boxes = np.stack([x - 15, y - 40, x + 15, y], axis=1) + rng.normal(0, 1.5, (len(some), 4))
        classes = np.where((rng.random(len(some)) < 0.2) & (kinds[some] > 0), 3 - kinds[some], kinds[some])
        seen.append((i / fps, Detections.of(boxes, rng.uniform(0.1, 0.95, len(some)), classes, NAMES)))
    return seen


def run(counting, frames, first=0):
    return [
        event.to_dict()
        for i, (seconds, seen) in enumerate(frames, start=first)
        for event in counting.step(seen, seconds, i)[1]
    ]


def through_json(snapshot):
    return json.loads(json.dumps(snapshot, allow_nan=False))


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000), cuts=st.lists(st.integers(0, 60), min_size=1, max_size=3))
def test_a_run_that_is_cut_anywhere_tells_and_counts_the_same(seed, cuts):
    frames = traffic(seed)
    whole, counting = camera(), camera()
    expected, told, done = run(whole, frames), [], 0
    for cut in sorted(cuts):
        told += run(counting, frames[done:cut], done)
        snapshot, counting, done = through_json(counting.snapshot()), camera(), cut
        assert counting.restore(snapshot)
        assert through_json(counting.snapshot()) == snapshot
    told += run(counting, frames[done:], done)
    assert told == expected
    assert counting.snapshot() == whole.snapshot()
    assert [e.to_dict() for e in counting.finish()] == [e.to_dict() for e in whole.finish()]
    assert counting.result().to_dict() == whole.result().to_dict()


def test_there_is_something_to_lose():
    """The property above would hold of frames in which nothing happens."""
    told = [event for seed in range(10) for event in run(camera(), traffic(seed))]
    assert {(event["kind"], event["name"]) for event in told} == {
        ("crossing", "across"),
        ("crossing", "down"),
        ("entered", "square"),
        ("left", "square"),
        ("crowded", "square"),
        ("cleared", "square"),
        ("flow", "turning"),
    }


def test_identities_are_not_used_again_after_a_restart():
    before = camera()
    ids = {track for seconds, seen in traffic(1) for track in before.step(seen, seconds, 0)[0].ids.tolist()}
    before.finish()
    after = camera()
    assert after.restore(before.snapshot())
    again = {track for s, seen in traffic(2) for track in after.step(seen, 100 + s, 0)[0].ids.tolist()}
    assert min(again) > max(ids)


def test_a_restart_does_not_zero_the_counts():
    before = camera()
    run(before, traffic(3))
    before.finish()
    counts = before.result().to_dict()
    assert sum(line["in"] + line["out"] for line in counts["lines"].values()) > 0
    after = camera()
    assert after.restore(through_json(before.snapshot()))
    assert after.result().to_dict() == counts


@pytest.mark.parametrize(
    "other",
    [
        {"size": (1280, 720)},
        {"scene": None},
        {"scene": {**SCENE, "lines": [{**SCENE["lines"][0], "from": [0, 200]}, SCENE["lines"][1]]}},
        {"scene": {**SCENE, "zones": [{**SCENE["zones"][0], "classes": ["person"]}]}},
        {"classes": ["person"]},
    ],
    ids=["size", "no scene", "a line elsewhere", "classes of a zone", "classes"],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(other):
    snapshot = camera()
    run(snapshot, traffic(4))
    after = camera(**other)
    run(after, traffic(5)[:20])
    before = after.snapshot()
    assert not after.restore(snapshot.snapshot())
    assert after.snapshot() == before


def damages():
    """A whole snapshot with one thing wrong."""
    counting = camera()
    run(counting, traffic(4)[:40])
    whole = through_json(counting.snapshot())
    yield "nothing", {}
    yield "a list", [1]
    for key in whole:
        yield f"no {key}", {k: v for k, v in whole.items() if k != key}
    yield "next format", {**whole, "format": whole["format"] + 1}
    yield "another tracker", {**whole, "tracker": ["Other", whole["tracker"][1]]}
    short = copy.deepcopy(whole)
    short["tracker"][1]["tracks"]["seen"].pop()
    yield "a track too few", short
    short = copy.deepcopy(whole)
    short["counter"]["lines"].pop("down")
    yield "a line too few", short
    short = copy.deepcopy(whole)
    short["counter"]["zones"]["square"]["stays"][0][1].pop("since")
    yield "half a stay", short


@pytest.mark.parametrize("snapshot", [pytest.param(s, id=name) for name, s in damages()])
def test_a_damaged_snapshot_is_refused_and_changes_nothing(snapshot):
    counting = camera()
    run(counting, traffic(5)[:20])
    before = counting.snapshot()
    assert not counting.restore(snapshot)
    assert counting.snapshot() == before


def test_a_snapshot_stays_small_however_long_it_ran():
    rng = np.random.default_rng(0)
    counting, sizes, tracks = camera(), [], 20
    x, y = rng.uniform(20, 620, tracks), rng.uniform(40, 355, tracks)
    for i in range(900):
        y = np.where(y > 355, 40, y + 3)
        boxes = np.stack([x - 12, y - 38, x + 12, y], axis=1)
        counting.step(Detections.of(boxes, np.full(tracks, 0.9), np.zeros(tracks), NAMES), i / 30, i)
        if i % 300 == 299:
            sizes.append(len(json.dumps(counting.snapshot())))
    assert sizes[-1] < 1.3 * sizes[0]
    assert sizes[-1] < 4000 * tracks


OTHER_MODELS = {
    "reordered": ("truck", "person", "car"),
    "added": ("bicycle", "person", "bus", "car", "truck"),
    "removed": ("truck", "person"),
}


@pytest.mark.parametrize("names", OTHER_MODELS.values(), ids=OTHER_MODELS)
@pytest.mark.parametrize("restart", [False, True])
def test_another_model_in_mid_run_keeps_tracks_and_counts(names, restart):
    """A person and a truck are seen by both models, a car by the first alone where the second does not know it."""
    counting = camera()
    for i in range(40):
        x, y = 100 + 8 * i, 120 + 4 * i
        rows = [([x, y - 60, x + 25, y], "person"), ([600 - 8 * i, 60, 660 - 8 * i, 120], "truck")]
        # past both lines before the models change, and seen no more
        if i < 12:
            rows.append(([200 + 16 * i, 230 - 10 * i, 260 + 16 * i, 270 - 10 * i], "car"))
        model = NAMES if i < 20 else names
        if i == 20 and restart:
            snapshot = through_json(counting.snapshot())
            counting = camera()
            assert counting.restore(snapshot)
        seen = Detections.of(
            [box for box, _ in rows], [0.9] * len(rows), [model.index(name) for _, name in rows], model
        )
        tracks, _ = counting.step(seen, i / 10, i)
        if i == 19:
            before = dict(zip(tracks.ids.tolist(), [tracks.names[c] for c in tracks.class_ids], strict=True))
        if i == 20:
            after = dict(zip(tracks.ids.tolist(), [tracks.names[c] for c in tracks.class_ids], strict=True))
            assert after == before
    counting.finish()
    counted = counting.result()
    assert set(before.values()) == {"person", "truck"}
    assert counted.classes == {"person": 1, "car": 1, "truck": 1}
    assert counted.lines["across"].by_class == {"person": {"in": 1, "out": 0}, "car": {"in": 0, "out": 1}}
    assert counted.lines["down"].by_class["truck"] == {"in": 1, "out": 0}
    # the car was there from the very start
    assert (counted.zones["square"].entered, counted.zones["square"].left) == (2, 1)
    assert counted.zones["square"].occupancy == 2


def test_a_track_of_a_class_that_the_new_model_does_not_know_stays_what_it_was():
    counting = camera(scene=None)
    for i in range(10):
        counting.step(Detections.of([[100 + 5 * i, 50, 160 + 5 * i, 90]], [0.9], [1], NAMES), i / 10, i)
    # the new model calls it a truck at first sight; a life as a car outweighs that
    seen = Detections.of([[150, 50, 210, 90]], [0.9], [1], ("person", "truck"))
    tracks, _ = counting.step(seen, 1.0, 10)
    assert tracks.ids.tolist() == [1]
    assert [tracks.names[i] for i in tracks.class_ids] == ["car"]
    assert counting.result().classes == {"car": 1}
