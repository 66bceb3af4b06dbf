"""The counting benchmark's own parts: true crossings of a line from true tracks, and fair play between systems."""

from __future__ import annotations

import dataclasses
import doctest
import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import counting, mot_truth
from benchmarks.counting_cases import Case, Crossing, plans, thinned, truly_seen
from benchmarks.counting_clip import clip_case
from benchmarks.counting_figures import better_settings, figures_of
from benchmarks.counting_runs import outcome_of
from benchmarks.counting_systems import SYSTEMS
from benchmarks.mot_truth import MotTracks, line_crossings, read_tracks, score_tracks
from camera_counting.detections import Detections
from camera_counting.detectors import Detector
from camera_counting.model import CountingModel
from camera_counting.scene import Scene
from camera_counting.video import ClipWriter

LEVEL = ((0.0, 100.0), (200.0, 100.0))  # from left to right


def feet(*points: tuple[float, float] | None, height: float = 40) -> MotTracks:
    """One track whose feet are at these points, frame by frame; None hides it."""
    rows = [(f, p) for f, p in enumerate(points) if p is not None]
    boxes = [[x - 10, y - height, x + 10, y] for _, (x, y) in rows]
    ones = np.ones(len(rows), np.int64)
    return MotTracks(
        len(points), np.array([f for f, _ in rows]), ones, ones, np.array(boxes, float).reshape(-1, 4)
    )


def test_examples() -> None:
    assert doctest.testmod(mot_truth).failed == 0


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([(50, 80), (50, 90), (50, 110)], [(1.5, "in")]),
        ([(50, 110), (50, 90)], [(0.5, "out")]),
        # there and back is two
        ([(50, 80), (50, 120), (50, 80)], [(0.5, "in"), (1.5, "out")]),
        # beside the line's end
        ([(250, 80), (250, 120)], []),
        ([(-1, 80), (-1, 120)], []),
        # trembling on the line, less than 3 % of 40 pixels beyond it, and then on
        ([(50, 90), (50, 101), (50, 99.5), (50, 100.5), (50, 130)], [(2.5, "in")]),
        # trembling, and back to where it came from
        ([(50, 90), (50, 101), (50, 99.5), (50, 100.5), (50, 80)], []),
        # hidden while it crosses
        ([(50, 80), None, None, None, (50, 120)], [(2.0, "in")]),
        # exactly on the line for a frame
        ([(50, 90), (50, 100), (50, 110)], [(1.0, "in")]),
        ([(50, 110), (50, 100), (50, 90)], [(1.0, "out")]),
        # begins on the line: nobody knows from where it came
        ([(50, 100), (50, 120)], []),
        ([], []),
    ],
)
def test_who_crossed_a_line(points, expected) -> None:
    found = [(frame, way) for frame, _, _, way in line_crossings(feet(*points), *LEVEL)]
    assert found == expected


def test_a_line_drawn_the_other_way_turns_in_and_out() -> None:
    found = line_crossings(feet((50, 80), (50, 120)), LEVEL[1], LEVEL[0])
    assert [way for *_, way in found] == ["out"]


def test_the_class_is_that_of_most_boxes() -> None:
    tracks = feet((50, 80), (50, 90), (50, 120))
    kinds = MotTracks(3, tracks.frame, tracks.track, np.array([3, 3, 1]), tracks.boxes)
    assert [kind for _, _, kind, _ in line_crossings(kinds, *LEVEL)] == [3]


@given(
    st.lists(st.integers(0, 200).filter(lambda y: abs(y - 100) > 2), min_size=2, max_size=30), st.floats(1, 199)
)
def test_ins_and_outs_alternate_and_balance(ys: list[int], x: float) -> None:
    ways = [way for *_, way in line_crossings(feet(*((x, y) for y in ys)), *LEVEL)]
    assert all(a != b for a, b in itertools.pairwise(ways))
    assert ways.count("in") - ways.count("out") == (ys[-1] > 100) - (ys[0] > 100)


def test_ground_truth_is_read_without_what_is_not_to_be_considered(tmp_path: Path) -> None:
    path = tmp_path / "gt.txt"
    path.write_text("2,7,10,20,30,40,1,3,1\n1,7,0,0,5,5,1,3\n1,8,0,0,5,5,0,3\n\n")
    tracks = read_tracks(path, frames=5)
    assert (tracks.frames, tracks.frame.tolist(), tracks.track.tolist()) == (5, [0, 1], [7, 7])
    assert tracks.boxes[1].tolist() == [10, 20, 40, 60]
    half = MotTracks(5, np.arange(5), np.ones(5, int), np.ones(5, int), np.zeros((5, 4))).every(2)
    assert (half.frames, half.frame.tolist()) == (3, [0, 1, 2])
    path.write_text("1,7,0,0,5,5\nx\n")
    with pytest.raises(ValueError, match=r"gt\.txt, line 2: expected"):
        read_tracks(path)


def test_tracks_are_scored_whatever_their_class() -> None:
    pytest.importorskip("trackers")
    true = feet((50, 80), (50, 90), (50, 100), (50, 110))
    trucks = MotTracks(true.frames, true.frame, true.track, np.full(4, 3), true.boxes)
    right = score_tracks([(trucks, true)])
    assert (right.mota, right.idf1, right.hota, right.switches) == pytest.approx((1, 1, 1, 0))
    # another identity for the second half: one switch in four boxes; half of them have the identity's best match
    broken = MotTracks(4, true.frame, np.array([1, 1, 2, 2]), true.kind, true.boxes)
    split = score_tracks([(true, broken)])
    assert (split.mota, split.idf1, split.switches) == pytest.approx((0.75, 0.5, 1))
    nothing = MotTracks(4, *(np.empty(0, np.int64),) * 3, np.empty((0, 4)))
    assert score_tracks([(true, nothing)]).mota == 0


def case(ways: tuple[str, ...] = ("down", "up", "right")) -> Case:
    """Plain walks over a level and an upright line, 2 s at 25 frames a second."""
    paths = {
        "down": lambda f: (100, 60 + 3 * f),
        "up": lambda f: (200, 210 - 3 * f),
        "right": lambda f: (300 + 3 * f, 300),
    }
    frames = []
    for f in range(50):
        at = [paths[way](f) for way in ways]
        boxes = [[x - 12, y - 50, x + 12, y] for x, y in at]
        frames.append(Detections.of(boxes, [0.9] * len(at), [0] * len(at), ("person", "car")))
    lines = [
        {"name": "level", "from": [20, 140], "to": [260, 140], "classes": ["person"]},
        {"name": "upright", "from": [370, 200], "to": [370, 350], "classes": ["person"]},
    ]
    scene = Scene.from_dict({"camera": "yard", "units": "pixels", "lines": lines})
    # y = 140 is reached after 26.7 and 23.3 frames; x = 370 after 23.3; rightwards over a line downwards is out
    truth = {
        "down": Crossing("level", "in", "person", 26.7 / 25),
        "up": Crossing("level", "out", "person", 23.3 / 25),
        "right": Crossing("upright", "out", "person", 23.3 / 25),
    }
    return Case(
        name="walks", cell="walks", part="tuned", scene=scene.for_size(480, 360), size=(480, 360), fps=25.0,
        names=("person", "car"), detections=tuple(frames), confidence=0.25, truth=tuple(truth[w] for w in ways),
    )  # fmt: skip


@pytest.mark.parametrize("entry", SYSTEMS, ids=lambda entry: entry.name)
def test_every_system_counts_plain_walks_in_the_right_directions(entry, tmp_path) -> None:
    """None is held back by how it is driven: what is easy, all of them count, and by when it is true."""
    pytest.importorskip("ultralytics")
    pytest.importorskip("supervision")
    walks = case()
    outcome = outcome_of(entry, walks, tmp_path)
    again = outcome_of(entry, walks, tmp_path)
    assert outcome.counts == again.counts
    assert (outcome.tracks.boxes == again.tracks.boxes).all()
    figures = figures_of([walks], [outcome])
    assert (figures.wrong, figures.true) == (0, 3)
    # the feet meet the line in the fifth of ten segments or the sixth; the middle of the box up to 17 frames later
    assert figures.effectiveness > 0.7
    assert len(outcome.tracks.track) > 100


def test_a_slower_camera_has_every_nth_frame() -> None:
    slow = thinned(case(), 2)
    assert (slow.fps, len(slow.detections), slow.seconds) == (12.5, 25, 2.0)


def test_true_boxes_are_what_a_detector_without_fault_sees() -> None:
    tracks = MotTracks(
        50, np.array([3, 3, 9]), np.array([7, 8, 7]), np.array([1, 2, 1]), np.arange(12.0).reshape(3, 4)
    )
    whole = dataclasses.replace(case(), cell="drawn, easy, clear", tracks=tracks)
    seen = truly_seen(whole)
    assert (seen.cell, seen.kind, seen.clear, len(seen.detections)) == (
        "true boxes, easy, clear",
        "true boxes",
        True,
        50,
    )
    assert seen.detections[3].boxes.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert [whole.names[i] for i in seen.detections[3].class_ids] == ["person", "car"]
    assert [len(one) for one in seen.detections].count(0) == 48
    with pytest.raises(ValueError, match="true boxes, walks has none"):
        truly_seen(case())


def test_the_better_setting_of_a_peer_is_taken() -> None:
    errors = {entry.name: 0.1 if "(defaults)" in entry.name else 0.2 for entry in SYSTEMS} | {
        "LineZone, OCSORT (detector's confidence)": 0.05
    }
    chosen = better_settings(SYSTEMS, errors)
    assert chosen["LineZone, OCSORT"].name == "LineZone, OCSORT (detector's confidence)"
    assert chosen["LineZone, ByteTrack"].name == "LineZone, ByteTrack (defaults)"
    assert next(iter(chosen)) == "ours"


def test_no_clip_is_in_both_parts_and_no_two_show_the_same_camera() -> None:
    chosen = plans(["tuned", "unseen"], rounds=2)
    assert len({plan.name for plan in chosen}) == len(chosen)
    assert len({(plan.part, plan.number) for plan in chosen}) == len(chosen)
    assert {plan.name for plan in plans(["tuned"], quick=True)} < {plan.name for plan in chosen}


class Bright(Detector):
    """Detects the bright rectangle of a picture."""

    names = ("person", "car")
    confidence = 0.25

    def detect(self, pictures, confidence=None):
        found = []
        for picture in pictures:
            rows, columns = (np.flatnonzero((picture[..., 0] > 128).any(axis=axis)) for axis in (1, 0))
            boxes = [[columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]] if len(rows) else []
            found.append(Detections.of(boxes, [0.9] * len(boxes), [1] * len(boxes), self.names))
        return found


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A car of 30 x 20 pixels that goes down, with its ground truth: MOT16's number of a car, and one occluder."""
    rows = []
    with ClipWriter(tmp_path / "clip.mp4", 10) as writer:
        for i in range(30):
            image = np.zeros((120, 160, 3), np.uint8)
            image[10 + 3 * i : 30 + 3 * i, 60:90] = 255
            rows += [f"{i + 1},5,60,{10 + 3 * i},30,20,1,3,1", f"{i + 1},6,0,{10 + 3 * i},30,20,1,9,1"]
            writer.write(image, i / 10)
    (tmp_path / "gt.txt").write_text("\n".join(rows))
    return tmp_path / "clip.mp4"


def test_a_clip_of_ones_own_is_counted_by_all(clip: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    """The feet are at y = 30 + 3 i: they go over y = 61 between frames 10 and 11, after 31 / 3 frames."""
    model = CountingModel(Bright(), digest="bright")
    case = clip_case(clip, tmp_path / "gt.txt", (20.0, 61.0, 140.0, 61.0), None, model, tmp_path / "cache")
    (crossing,) = case.truth
    assert (crossing.direction, crossing.class_name) == ("in", "car")
    assert crossing.seconds == pytest.approx(31 / 3 / 10)
    assert len(case.detections) == 30
    assert list((tmp_path / "cache" / "detections").iterdir())
    monkeypatch.setattr(counting, "_model", lambda uri: model)
    monkeypatch.setattr(counting, "SYSTEMS", SYSTEMS[:1])
    monkeypatch.setattr(counting, "keep", lambda *_: pytest.fail("a clip of one's own is no published figure"))
    arguments = ["counting", "--clip", clip, "--truth", tmp_path / "gt.txt", "--line", "20,61,140,61"]
    monkeypatch.setattr("sys.argv", [*map(str, arguments), "--cache", str(tmp_path / "cache")])
    counting.main()
    told = capsys.readouterr().out
    assert "clip: 1 clips, 30 frames, 1 crossings" in told
    assert "0.0%" in told
    assert "1.000" in told  # MOTA: the occluder is none of the classes that are held against it


@pytest.mark.parametrize(
    ("truth", "labels", "expected"),
    [
        (None, None, "--clip needs --truth"),
        ("gt.txt", ["tram", "ship"], "the model knows person, car: say with --labels"),
        ("gone.txt", None, "gone.txt"),
        ("clip.mp4", None, "clip.mp4: expected a text file"),
    ],
)
def test_what_a_clip_needs_is_told(clip: Path, tmp_path: Path, truth, labels, expected: str) -> None:
    file = None if truth is None else tmp_path / truth
    with pytest.raises(SystemExit, match="error: .*" + expected):
        clip_case(clip, file, (0, 9, 9, 9), labels, CountingModel(Bright()), tmp_path)
