"""Pictures on which nobody can be recognised: what is covered, what is not, and that no trouble opens it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from camera_counting.blur import Blurred, BlurSettings, PeopleBlur, blur_people, pixelate
from camera_counting.blur_trust import Trust
from camera_counting.detections import Detections
from camera_counting.tracking import Tracks

NAMES = ("person", "car", "motorcycle")
NOISE = np.random.default_rng(5).integers(0, 256, (240, 320, 3), np.uint8)
STILL = BlurSettings(moving=False)


def seen(*boxes, score=0.9, kind=0):
    return Detections.of(list(boxes), [score] * len(boxes), [kind] * len(boxes), NAMES)


def tracked(seconds, *boxes):
    n = len(boxes)
    ids, ones = np.arange(1, n + 1), np.ones(n, np.float32)
    return Tracks(seconds, ids, np.float32(boxes).reshape(-1, 4), ones, ids * 0, np.ones(n, bool), (), NAMES)


def detail(picture, box):
    """The share of neighbouring pixels inside the box that differ."""
    x1, y1, x2, y2 = box
    part = picture[y1:y2, x1:x2].astype(int)
    return float((np.abs(np.diff(part, axis=1)).sum(2) > 0).mean())


def covers(done, box):
    x1, y1, x2, y2 = box
    return bool(done.covered[max(0, y1) : y2, max(0, x1) : x2].all())


@pytest.mark.parametrize("score", [0.9, 0.3, 0.04])
def test_a_person_is_covered_however_faint_with_room_above_the_head(score):
    done = blur_people(NOISE, seen((100, 60, 140, 180), score=score))
    assert covers(done, (95, 35, 145, 185))
    assert detail(done.image, (102, 62, 138, 178)) < 0.15
    assert detail(done.image, (200, 20, 300, 220)) > 0.9
    assert (done.image[~done.covered] == NOISE[~done.covered]).all()
    assert done.covered.mean() < 0.2


def test_the_frame_is_left_as_it_was():
    image = NOISE.copy()
    image.flags.writeable = False
    blur_people(image, seen((100, 60, 140, 180)))
    assert (image == NOISE).all()


def test_blocks_grow_with_the_person_so_that_a_head_is_about_one():
    big = np.random.default_rng(1).integers(0, 256, (720, 1280, 3), np.uint8)
    done = blur_people(big, seen((300, 50, 900, 700)))
    # a face of 200 x 250 pixels: at most two blocks each way are left of it
    face = done.image[100:350, 500:700]
    assert len(np.unique(face.reshape(-1, 3), axis=0)) <= 4
    assert done.blocks[200, 600] >= 200


def test_what_is_left_of_a_region_is_a_few_colours_out_of_few():
    done = pixelate(NOISE, 32)
    assert len(np.unique(done.reshape(-1, 3), axis=0)) <= 10 * 8
    assert len(np.unique(done)) <= 16


def test_a_rider_is_covered_above_the_motorcycle():
    done = blur_people(NOISE, seen((100, 120, 180, 180), kind=2))
    assert covers(done, (110, 60, 170, 180))


def test_vehicles_are_not_covered():
    done = blur_people(NOISE, seen((100, 120, 180, 180), kind=1))
    assert not done.covered.any()


def test_a_person_whom_the_detector_misses_for_a_moment_stays_covered():
    blur = PeopleBlur(STILL)
    for i in range(5):
        blur.cover(NOISE, seen((100, 60, 140, 180)), None, i / 10)
    assert covers(blur.cover(NOISE, seen(), None, 0.9), (100, 60, 140, 180))
    assert not blur.cover(NOISE, seen(), None, 3.0).covered.any()


def test_a_track_out_of_sight_is_covered_where_its_motion_has_brought_it():
    blur = PeopleBlur(BlurSettings(moving=False, hold_seconds=0.6))
    for i in range(6):  # 100 pixels per second to the right
        blur.cover(NOISE, seen(), tracked(i / 10, (20 + 10 * i, 60, 50 + 10 * i, 160)), i / 10)
    done = blur.cover(NOISE, seen(), tracked(1.0), 1.0)
    assert covers(done, (120, 60, 150, 160))


def walker(x):
    picture = np.full((180, 320, 3), 110, np.uint8)
    picture[60:120, x : x + 20] = (40, 60, 180)
    return picture


def test_who_moves_is_covered_without_any_detection():
    blur = PeopleBlur(BlurSettings(trust=0))
    empty = np.full((180, 320, 3), 110, np.uint8)
    for i in range(30):
        done = blur.cover(empty, seen(), None, i / 10)
    for i in range(30):
        done = blur.cover(walker(20 + 5 * i), seen(), None, 3 + i / 10)
        assert covers(done, (20 + 5 * i, 60, 40 + 5 * i, 120))


def test_a_moving_vehicle_is_shown_and_who_walks_before_a_parked_one_is_covered():
    blur = PeopleBlur(BlurSettings(trust=0))
    car = (150, 50, 300, 150)
    for i in range(30):
        blur.cover(np.full((180, 320, 3), 110, np.uint8), seen(), None, i / 10)
    driving = np.full((180, 320, 3), 110, np.uint8)
    driving[50:150, 150:300] = 200
    blur._trust._found.extend([True] * 40)
    done = blur.cover(driving, seen(car, kind=1), None, 3.0)
    assert not done.covered[60:140, 160:290].any()
    done = blur.cover(walker(200), seen(car, kind=1), None, 3.1)
    assert covers(done, (200, 60, 220, 120))


def test_until_the_detector_has_shown_what_it_finds_everything_is_covered():
    blur = PeopleBlur()
    empty = np.full((180, 320, 3), 110, np.uint8)
    for i in range(30):
        done = blur.cover(empty, seen(), None, i / 10)
        assert done.whole
        assert done.covered.all()
    for i in range(50):
        box = (20 + 5 * i, 60, 40 + 5 * i, 120)
        done = blur.cover(walker(20 + 5 * i), seen(box), None, 3 + i / 10)
    assert done.whole == ""
    assert not done.covered.all()


def test_a_detector_that_misses_many_loses_its_trust():
    trust = Trust(0.9)
    person, nobody = np.array([[10.0, 10.0, 30.0, 60.0]]), np.zeros((0, 4))
    for _ in range(100):
        trust.compare(person, person)
    assert trust.is_given
    for _ in range(12):
        trust.compare(person, nobody)
    assert not trust.is_given


def test_a_model_that_knows_no_people_shows_nothing():
    done = blur_people(NOISE, Detections.none(["car", "truck"]))
    assert done.covered.all()
    assert "knows no people" in done.whole
    assert detail(done.image, (0, 0, 320, 240)) < 0.1


def test_when_the_light_changes_everything_is_covered_until_the_place_is_known():
    blur = PeopleBlur(BlurSettings(trust=0))
    for i in range(40):
        blur.cover(np.full((180, 320, 3), 110, np.uint8), seen(), None, i / 10)
    done = blur.cover(np.full((180, 320, 3), 30, np.uint8), seen(), None, 4.0)
    assert "being learned" in done.whole


@pytest.mark.parametrize(
    "broken",
    [
        {"detections": None},
        {"tracks": "no tracks"},
        {"image": NOISE[..., 0]},
        {"image": np.zeros((0, 0, 3), np.uint8)},
        {"image": NOISE.astype(np.float64)},
        {"seconds": None},
    ],
)
def test_no_trouble_opens_the_picture(broken):
    given_ = {"image": NOISE, "detections": seen(), "tracks": None, "seconds": 0.0} | broken
    done = PeopleBlur(STILL).cover(**given_)
    assert done.covered.all()
    assert "failed" in done.whole


def test_a_clock_that_jumps_and_frames_of_another_size_are_understood():
    blur = PeopleBlur()
    for seconds, image in [(100.0, NOISE), (5.0, NOISE), (6.0, NOISE[:120]), (float("nan"), NOISE), (7.0, NOISE)]:
        done = blur.cover(image, seen((100, 60, 140, 180)), None, seconds)
        assert done.image.shape == image.shape
        assert done.covered.all()


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(*[st.floats(-2000, 2000, width=32)] * 4), max_size=6),
    st.integers(1, 70),
    st.integers(1, 70),
)
def test_any_boxes_on_any_size_give_a_picture_of_that_size(boxes, width, height):
    image = np.full((height, width, 3), 77, np.uint8)
    ordered = [(min(a, c), min(b, d), max(a, c), max(b, d)) for a, b, c, d in boxes]
    done = blur_people(image, seen(*ordered))
    assert isinstance(done, Blurred)
    assert done.image.shape == image.shape
    assert done.blocks.shape == image.shape[:2]
    for x1, y1, x2, y2 in ordered:
        assert covers(done, (int(max(x1, 0)), int(max(y1, 0)), int(max(x2, 0)), int(max(y2, 0))))
