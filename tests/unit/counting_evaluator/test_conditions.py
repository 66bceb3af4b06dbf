"""Conditions: as strong as they say, the same for every model, and the truth goes where the picture goes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counting_evaluator.conditions import CONDITIONS, Altered, alter

GREY = np.full((240, 320, 3), 128, np.uint8)
BOXES = np.array([[40, 60, 80, 140], [200, 100, 280, 160]], np.float32)
NONE = np.empty((0, 4), np.float32)


def street(seed: int = 0) -> np.ndarray:
    """Smooth patches of colour with two sharp rectangles, which is what pictures are made of."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(40, 215, (6, 8, 3), np.uint8)
    image = np.kron(coarse, np.ones((40, 40, 1), np.uint8))
    for x1, y1, x2, y2 in BOXES.astype(int):
        image[y1:y2, x1:x2] = 250, 250, 30
    return image


def under(name: str, picture: np.ndarray, boxes: np.ndarray = NONE, seed: int = 0, digest: str = "a") -> Altered:
    return alter(name, picture, boxes, seed=seed, digest=digest)


@pytest.mark.parametrize("name", CONDITIONS)
def test_a_condition_changes_the_picture_and_nothing_else(name: str) -> None:
    image = street()
    before, boxes = image.copy(), BOXES.copy()
    seen = under(name, image, boxes)
    assert seen.picture.shape == image.shape
    assert seen.picture.dtype == np.uint8
    assert np.abs(seen.picture.astype(int) - image).mean() > 1
    assert np.array_equal(image, before), "the picture that was handed in stays as it is"
    assert np.array_equal(boxes, BOXES)
    assert seen.boxes.shape == boxes.shape
    assert seen.boxes.dtype == np.float32
    assert seen.kept.all()


@pytest.mark.parametrize("name", CONDITIONS)
def test_two_models_are_shown_the_very_same(name: str) -> None:
    first, again = under(name, street(), BOXES), under(name, street(), BOXES)
    assert np.array_equal(first.picture, again.picture)
    assert np.array_equal(first.boxes, again.boxes)


@pytest.mark.parametrize("name", ["night", "rain", "fog", "noise", "lens_dirt"])
def test_chance_falls_differently_on_another_picture_and_for_another_seed(name: str) -> None:
    first = under(name, street()).picture
    assert not np.array_equal(first, under(name, street(), digest="b").picture)
    assert not np.array_equal(first, under(name, street(), seed=1).picture)


def test_night_is_four_stops_darker() -> None:
    # In light, not in grey levels: (128 / 255) ** 2.2 / 16 is what is left; back through the gamma that is 36.3.
    dark = under("night", GREY).picture
    assert dark.mean() == pytest.approx(255 * ((128 / 255) ** 2.2 / 16) ** (1 / 2.2), abs=1)
    # 13.7 electrons of 1000 vary by sqrt(13.7 + 2.5**2) = 4.5, of which the gamma makes 5.4 grey levels there
    electrons = (128 / 255) ** 2.2 * 1000 / 16
    slope = 255 / 2.2 * (electrons / 1000) ** (1 / 2.2) / electrons
    assert dark.std() == pytest.approx(slope * np.sqrt(electrons + 2.5**2), rel=0.1)


def test_noise_has_the_standard_deviation_that_it_says() -> None:
    assert under("noise", GREY).picture.std() == pytest.approx(0.12 * 255, rel=0.02)


def test_fog_leaves_the_contrast_that_it_says_at_both_edges() -> None:
    black, white = np.zeros_like(GREY), np.full_like(GREY, 255)
    contrast = (under("fog", white).picture.astype(float) - under("fog", black).picture) / 255
    # patches of a fifth more or less extinction average out along a row, nearly
    assert contrast[0].mean() == pytest.approx(0.05, abs=0.03)
    assert contrast[-1].mean() == pytest.approx(0.60, abs=0.08)
    assert (np.diff(contrast.mean(axis=(1, 2))) > -0.01).all(), "what is farther away is foggier"


def test_blur_spreads_a_point_over_a_disc_and_loses_no_light() -> None:
    point = np.zeros((401, 401, 3), np.uint8)
    point[200, 200] = 255
    seen = under("blur", point).picture[..., 0].astype(int)
    rows, columns = np.nonzero(seen)
    assert np.hypot(rows - 200, columns - 200).max() <= 0.005 * 401 + 1
    assert seen.sum() == pytest.approx(255, rel=0.1)


def test_dirt_covers_the_share_that_it_says() -> None:
    white = np.full((480, 640, 3), 255, np.uint8)
    covered = (under("lens_dirt", white).picture[..., 0] < 255 * (1 - 0.85 * 0.4 / 2)).mean()
    assert covered == pytest.approx(0.12, abs=0.04)


def test_rain_brightens_in_streaks_and_takes_contrast() -> None:
    seen = under("rain", street()).picture.astype(float)
    assert seen.std() < street().std()
    dark = under("rain", np.full((480, 640, 3), 30, np.uint8)).picture[..., 0]
    haze = 30 * 0.7 + 200 * 0.3
    streaks = (dark > haze + 20).mean()
    assert 0.01 < streaks < 0.2


def test_jpeg_makes_blocks_of_eight() -> None:
    noisy = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    seen = under("jpeg", noisy).picture.astype(float).mean(axis=2)
    steps = np.abs(np.diff(seen, axis=1))
    assert steps[:, 7::8].mean() > 1.1 * np.delete(steps, np.s_[7::8], axis=1).mean()


def test_occlusion_hides_the_lower_two_fifths_of_each() -> None:
    image = street()
    seen = under("occlusion", image, BOXES)
    for x1, y1, x2, y2 in BOXES.astype(int):
        cut = y2 - round(0.4 * (y2 - y1))
        assert np.array_equal(seen.picture[y1:cut, x1:x2], image[y1:cut, x1:x2])
        assert not (seen.picture[cut:y2, x1:x2] == (250, 250, 30)).all(axis=2).any(), "nothing of it is left there"
    assert seen.kept.all()


def test_who_is_hidden_behind_another_ones_hedge_is_not_asked_for() -> None:
    # The small one stands where the hedge before the large one is.
    boxes = np.array([[40, 40, 140, 140], [70, 110, 90, 135]], np.float32)
    assert under("occlusion", street(), boxes).kept.tolist() == [True, False]


def test_boxes_move_with_the_camera() -> None:
    """White discs on black: after the move each is where its box says, up to a pixel."""
    image = np.zeros((240, 320, 3), np.uint8)
    rows, columns = np.mgrid[:240, :320]
    centres = [(110, 90), (200, 110), (150, 160)]
    for x, y in centres:
        image[(columns + 0.5 - x) ** 2 + (rows + 0.5 - y) ** 2 <= 12**2] = 255
    boxes = np.array([[x - 12, y - 12, x + 12, y + 12] for x, y in centres], np.float32)
    for digest in "abcdefgh":  # both directions of each
        seen = under("moved_camera", image, boxes, digest=digest)
        assert not np.array_equal(seen.boxes, boxes)
        for (x1, y1, x2, y2), kept in zip(seen.boxes, seen.kept, strict=True):
            assert kept
            area = np.zeros((240, 320), bool)
            area[max(0, int(y1) - 3) : int(y2) + 4, max(0, int(x1) - 3) : int(x2) + 4] = True
            lit_rows, lit_columns = np.nonzero((seen.picture[..., 0] > 127) & area)
            found = [lit_columns.min(), lit_rows.min(), lit_columns.max() + 1, lit_rows.max() + 1]
            assert np.abs(np.array(found) - (x1, y1, x2, y2)).max() <= 1.5


def test_a_moved_camera_makes_nothing_up() -> None:
    """Only pixels that were there: a picture with a bright frame of one pixel shows none of it afterwards."""
    framed = np.zeros((240, 320, 3), np.uint8)
    framed[[0, -1]] = framed[:, [0, -1]] = 255
    for digest in "abcd":
        moved = under("moved_camera", framed, digest=digest).picture
        assert (moved > 0).mean() < 0.01, "the frame at most, where it just touches a corner"


def test_who_leaves_the_picture_is_not_asked_for() -> None:
    boxes = np.array([[0, 0, 12, 12], [150, 110, 170, 130]], np.float32)
    kept = np.array([under("moved_camera", street(), boxes, digest=digest).kept for digest in "abcdefgh"])
    assert kept[:, 1].all()
    assert not kept[:, 0].all()


@settings(max_examples=25, deadline=None)
@given(
    name=st.sampled_from(list(CONDITIONS)),
    width=st.integers(8, 90),
    height=st.integers(8, 90),
    seed=st.integers(0, 2**32),
    data=st.data(),
)
def test_any_size_and_any_boxes(name: str, width: int, height: int, seed: int, data: st.DataObject) -> None:
    corner = st.tuples(
        st.floats(-1, width - 1), st.floats(-1, height - 1), st.floats(0.5, width), st.floats(0.5, height)
    )
    boxes = np.array(
        [
            (x, y, min(x + w, width + 1), min(y + h, height + 1))
            for x, y, w, h in data.draw(st.lists(corner, max_size=4))
        ],
        np.float32,
    ).reshape(-1, 4)
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    seen = under(name, image, boxes, seed=seed)
    assert seen.picture.shape == image.shape
    assert seen.picture.dtype == np.uint8
    assert len(seen.boxes) == len(seen.kept) == len(boxes)
    left = seen.boxes[seen.kept]
    assert np.isfinite(left).all()
    assert (left[:, 2:] > left[:, :2]).all()
