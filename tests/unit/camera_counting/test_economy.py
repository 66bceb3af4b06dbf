"""What is spared while a clip is counted, and that the count does not feel it."""

from __future__ import annotations

import time

import numpy as np
import pytest
from pydantic import ValidationError

from camera_counting.counting import Economy, FrameChoice, count_frames, count_video
from camera_counting.counting.motion_gate import MotionGate
from camera_counting.counting.stride import Stride
from camera_counting.counting.visible_part import visible_part
from camera_counting.detections import Detections
from camera_counting.detectors import open_detector
from camera_counting.scene import Scene
from camera_counting.tracking import Tracks
from camera_counting.video import Frame, VideoSource
from tests.toy_detector import build, picture

NAMES = ("person", "car")
WIDTH, HEIGHT = 320, 240
GATE = Scene.from_dict({"lines": [{"name": "gate", "from": [0, 0.5], "to": [1, 0.5]}]})
YARD = Scene.from_dict({"zones": [{"name": "yard", "polygon": [[0, 0], [1, 0], [1, 1], [0, 1]]}]})


def noisy(seed: int, deviation: float, level: float = 90) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(level, deviation, (HEIGHT, WIDTH, 3))
    return noise.clip(0, 255).astype(np.uint8)


class Drawn(VideoSource):
    """A square that goes down at its own speed (pixels a second), from `begins` to `stops` seconds."""

    def __init__(self, seconds=4.0, fps=25.0, speed=50.0, begins=0.0, stops=99.0):
        super().__init__()
        self.name, self.fps, self.frame_count = "drawn", fps, round(seconds * fps)
        self.width, self.height = WIDTH, HEIGHT
        self.speed, self.begins, self.stops = speed, begins, stops

    def __iter__(self):
        for i in range(self.frame_count):
            image = noisy(i, 3)
            moved = self.speed * (min(max(i / self.fps, self.begins), self.stops) - self.begins)
            bottom = round(60 + moved)
            image[bottom - 40 : bottom, 100:140] = 255
            yield Frame(i, i / self.fps, image)


def bright(pictures, confidence=None):
    found = []
    for image in pictures:
        white = (image > 240).all(axis=2)
        rows, columns = np.flatnonzero(white.sum(axis=1) > 8), np.flatnonzero(white.sum(axis=0) > 8)
        box = [[columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]] if len(rows) and len(columns) else []
        found.append(Detections.of(box, [0.9] * len(box), [1] * len(box), NAMES))
    return found


def textured(seed: int) -> np.ndarray:
    blocks = np.random.default_rng(seed).integers(60, 180, (HEIGHT // 8, WIDTH // 8, 3))
    return blocks.repeat(8, axis=0).repeat(8, axis=1).astype(np.uint8)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.8, 1.0])
def test_a_crowd_that_fills_the_picture_and_a_cut_to_another_scene_are_motion(share):
    gate = MotionGate((WIDTH, HEIGHT))
    before, after = textured(1), textured(1)
    gate.remember(before)
    after[:, : round(share * WIDTH)] = textured(2)[:, : round(share * WIDTH)]
    assert gate.has_moved(after)


def test_where_noise_would_hide_an_object_every_frame_is_looked_at():
    gate = MotionGate((WIDTH, HEIGHT))
    gate.remember(noisy(0, 30))
    assert gate.has_moved(noisy(1, 30))


@pytest.mark.parametrize("deviation", [0, 3, 6])
def test_noise_is_no_motion_and_an_object_in_it_is(deviation):
    gate = MotionGate((WIDTH, HEIGHT))
    gate.remember(noisy(0, deviation))
    assert not any(gate.has_moved(noisy(seed, deviation)) for seed in range(1, 30))
    came = noisy(99, deviation)
    came[100:132, 200:216] = 200
    assert gate.has_moved(came)


def test_light_that_changes_is_no_motion():
    gate = MotionGate((WIDTH, HEIGHT))
    gate.remember(noisy(0, 3, level=90))
    assert not gate.has_moved(noisy(1, 3, level=110))


def test_an_object_of_another_colour_and_the_same_grey_moves():
    gate = MotionGate((WIDTH, HEIGHT))
    image = noisy(0, 3, level=100)
    gate.remember(image)
    image[100:140, 100:120] = (160, 85, 15)  # 0.3 * 160 + 0.59 * 85 + 0.11 * 15 = 100
    assert gate.has_moved(image)


def test_what_moves_slowly_adds_up():
    gate = MotionGate((WIDTH, HEIGHT))

    def at(x: float) -> np.ndarray:
        image = noisy(0, 0)
        image[100:140, int(x) : int(x) + 20] = 150
        return image

    gate.remember(at(50))
    moved = [gate.has_moved(at(50 + 0.25 * i)) for i in range(40)]  # ten pixels in all
    assert not moved[0]
    assert moved[-1]


def test_what_is_known_may_move_and_nothing_else():
    gate = MotionGate((WIDTH, HEIGHT), (40, 40, 320, 240))
    known = np.array([[100.0, 100.0, 140.0, 180.0]])

    def with_walker(x: int) -> np.ndarray:
        image = noisy(x, 3)
        image[100:180, x : x + 40] = 220
        return image

    gate.remember(with_walker(100))
    assert gate.moved(with_walker(108), known) == "known"
    assert gate.moved(with_walker(108)) == "something"
    assert gate.moved(with_walker(108), np.zeros((0, 4))) == "something"
    assert gate.moved(with_walker(100), known) == "nothing"
    other = with_walker(108)
    other[200:220, 60:80] = 20
    assert gate.moved(other, known) == "something"
    gate.remember_compared()
    assert gate.moved(other, known) == "nothing"


def test_only_the_part_that_is_seen_counts_as_moved():
    gate = MotionGate((WIDTH, HEIGHT), (0, 0, 160, 240))
    image = noisy(0, 0)
    gate.remember(image)
    image[100:140, 250:280] = 200
    assert not gate.has_moved(image)
    image[100:140, 50:80] = 200
    assert gate.has_moved(image)


def test_exact_detects_every_frame_and_the_others_fewer():
    share = {}
    for name in ("exact", "default", "fast"):
        result = count_video(Drawn(), bright, NAMES, GATE, economy=getattr(Economy, name)())
        assert result.counts.lines["gate"].to_dict()["in"] == 1, name
        share[name] = result.detected / result.frames
    assert share["exact"] == 1
    assert share["fast"] <= share["default"] <= 0.5


def slow_walk(choice, frames, image_of=lambda i: noisy(i, 3), fps=10.0):
    """Choices for a square that goes down by a fifth of its size in each frame, and is seen in each detection."""
    told = []
    for i in range(frames):
        image, top = image_of(i), 20 + 4 * i
        image[top : top + 40, 100:140] = 255
        told.append(choice.choose(image, i / fps))
        if told[-1] != "skip":
            choice.seen(tracks([[100, top, 140, top + 40]], i / fps, confirmed=i >= 3), i / fps)
    return told


def test_of_ten_frames_a_second_every_other_one_is_enough_for_what_is_known_and_slow():
    told = slow_walk(FrameChoice(Economy.default(), GATE, (WIDTH, HEIGHT)), 30)
    # every frame until it is certain
    assert told[:4] == ["detect"] * 4
    assert told[-10:] in (["skip", "detect"] * 5, ["detect", "skip"] * 5)


def test_where_one_hides_a_part_of_another_every_frame_is_looked_at():
    def asked(x: float) -> float:
        stride = Stride(most_seconds=0.2, reach=0.5)
        for i in range(20):  # both at a third of their size a second
            y = 10 + 1.5 * i
            stride.seen(tracks([[100, y, 140, y + 40], [x, y, x + 40, y + 40]], i / 10, confirmed=True), i / 10)
        return stride.interval()

    assert asked(120) == 0  # half of it
    assert asked(136) == pytest.approx(0.2)  # a tenth


def test_what_is_new_is_met_in_the_first_frame_that_shows_it():
    for arrives in (20, 21):

        def image_of(i: int, arrives: int = arrives) -> np.ndarray:
            image = noisy(i, 3)
            if i >= arrives:  # at the border, where nothing was
                image[30:50, 308:320] = 20
            return image

        told = slow_walk(FrameChoice(Economy.default(), GATE, (WIDTH, HEIGHT)), 30, image_of)
        assert told[10:arrives].count("skip") >= 4
        assert told[arrives] == "detect", arrives


def test_what_is_quick_for_its_size_is_looked_at_in_each_of_ten_frames_a_second():
    # four of its sizes a second: in 1.1 s it is at the lower border
    frames = list(count_frames(Drawn(seconds=2, fps=10, speed=160), bright, NAMES, GATE))
    assert [frame.choice for frame in frames[:12]] == ["detect"] * 12
    assert count_video(Drawn(seconds=2, fps=10, speed=160), bright, NAMES, GATE).counts.lines["gate"].into == 1


def test_with_few_frames_a_second_none_is_left_out_unless_nothing_moves():
    assert "skip" not in slow_walk(FrameChoice(Economy.default(), GATE, (WIDTH, HEIGHT)), 30, fps=8)


def test_where_nothing_moves_hardly_anything_is_detected_and_the_stay_goes_on():
    still = Drawn(seconds=10, speed=0)
    result = count_video(still, bright, NAMES, YARD)
    assert result.detected <= 12
    exact = count_video(Drawn(seconds=10, speed=0), bright, NAMES, YARD, economy=Economy.exact())
    stay, true = result.counts.zones["yard"].to_dict(), exact.counts.zones["yard"].to_dict()
    assert stay["peak"] == true["peak"] == 1
    assert stay["mean"] == pytest.approx(true["mean"], abs=0.03)


def test_what_begins_to_move_after_a_rest_is_counted():
    result = count_video(Drawn(seconds=8, speed=50, begins=4.4), bright, NAMES, GATE)
    assert result.counts.lines["gate"].into == 1


def test_the_last_frame_is_looked_at():
    # over the line in the very last frames
    source = Drawn(seconds=1.6, speed=50)
    exact = count_video(Drawn(seconds=1.6, speed=50), bright, NAMES, GATE, economy=Economy.exact())
    assert count_video(source, bright, NAMES, GATE).counts.lines == exact.counts.lines
    choices = [f.choice for f in count_frames(Drawn(seconds=1.6), bright, NAMES, GATE)]
    assert choices[-1] != "skip"


def test_what_is_chosen_does_not_depend_on_how_long_anything_takes():
    def slowly(seed):
        pause = np.random.default_rng(seed)

        def detect(pictures, confidence=None):
            time.sleep(float(pause.uniform(0, 0.01)))
            return bright(pictures)

        return [(f.choice, f.tracks.boxes.tolist()) for f in count_frames(Drawn(seconds=2), detect, NAMES, GATE)]

    assert slowly(1) == slowly(2)


def tracks(boxes, seconds, confirmed=True):
    number = len(boxes)
    return Tracks(
        seconds=seconds,
        ids=np.arange(number),
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        scores=np.full(number, 0.9, np.float32),
        class_ids=np.zeros(number, np.int64),
        confirmed=np.full(number, confirmed),
        ended=(),
        names=NAMES,
    )


def test_the_fastest_object_for_its_size_sets_the_pace():
    stride = Stride(most_seconds=0.4, reach=0.5)
    for i in range(10):  # a square of 40 pixels, 100 pixels a second: 2.5 of its sizes
        stride.seen(tracks([[10 * i, 0, 10 * i + 40, 40], [200, 100, 240, 140]], i / 10), i / 10)
    assert stride.interval() == pytest.approx(0.5 / 2.5)
    for i in range(10, 40):  # it stops
        stride.seen(tracks([[90, 0, 130, 40], [200, 100, 240, 140]], i / 10), i / 10)
    assert stride.interval() == 0.4


def test_doubt_is_looked_at_again_at_once_and_not_for_ever():
    stride = Stride(most_seconds=0.4, reach=0.5)
    stride.seen(tracks([[0, 0, 40, 40]], 0.0, confirmed=False), 0.0)
    assert stride.interval() == 0
    for i in range(1, 5):  # it flickers, and never gets certain
        stride.seen(tracks([[0, 0, 40, 40]], i / 10, confirmed=False), i / 10)
    assert stride.interval() == 0.4


def test_a_moving_object_that_was_missed_is_looked_for_and_a_parked_one_is_not():
    for speed, interval in ((1, 0), (0, 0.4)):
        stride = Stride(most_seconds=0.4, reach=9)
        for i in range(20):
            stride.seen(tracks([[speed * 10 * i, 0, speed * 10 * i + 40, 40]], i / 10), i / 10)
        assert stride.interval() == 0.4
        stride.seen(tracks([], 2.0), 2.0)
        assert stride.interval() == interval
        stride.seen(tracks([], 2.5), 2.5)
        assert stride.interval() == 0.4


def test_frames_of_another_size_and_a_clock_that_jumps_back_are_detected():
    choice = FrameChoice(Economy.default(), GATE, (WIDTH, HEIGHT))
    still, small = noisy(0, 0), np.zeros((120, 160, 3), np.uint8)
    assert choice.choose(still, 0.0) == "detect"
    assert choice.choose(still, 0.2) == "repeat"
    assert choice.choose(small, 0.24) == "detect"
    assert choice.choose(still, 0.44) == "detect"
    assert choice.choose(still, 0.1) == "detect"
    assert choice.choose(still, 0.3) == "repeat"


@pytest.mark.parametrize(
    ("scene", "part"),
    [
        (GATE, (0, 17, 320, 223)),  # the margin: 0.32 * 320 = 102.4
        (YARD, None),
        (Scene.from_dict({"lines": [{"name": "a", "from": [0.1, 0.2], "to": [0.1, 0.3]}]}), (0, 0, 135, 175)),
    ],
)
def test_what_lines_and_zones_can_see(scene, part):
    assert visible_part(scene.for_size(WIDTH, HEIGHT), (WIDTH, HEIGHT)) == part


def test_a_part_is_detected_where_the_frame_has_it(tmp_path):
    detector = open_detector(build(tmp_path / "toy.onnx", dynamic=True))
    objects = [("person", 64, 200, 96, 280), ("car", 400, 220, 480, 260), ("car", 100, 20, 180, 60)]
    image = picture(640, 480, objects)
    (whole,) = detector.detect([image])
    fitted = detector.for_frames(640, 480, (40, 180, 560, 300))
    for seen in (fitted.detect([image])[0], fitted.begin(image).result()):
        assert seen.counts() == {"person": 1, "car": 1}
        for box, klass in zip(seen.boxes, seen.class_ids, strict=True):
            same = whole.boxes[whole.class_ids == klass]
            assert np.abs(same - box).max(axis=1).min() <= 6
    # frames of another size are looked at whole
    assert fitted.detect([picture(320, 320, [("car", 40, 40, 120, 120)])])[0].counts()["car"] == 1


@pytest.mark.parametrize("settings", [{"most_seconds": 0}, {"reach": 3}, {"rest_seconds": -1}, {"gates": True}])
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(ValidationError):
        Economy(**settings)
