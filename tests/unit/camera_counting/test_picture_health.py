"""A frozen or covered camera is told from an empty scene."""

from __future__ import annotations

import io
from itertools import pairwise

import av
import cv2
import numpy as np
import pytest

from camera_counting.errors import SourceError
from camera_counting.video import PictureHealth
from pipelines.datasets.generator import Density, generate_pictures
from pipelines.datasets.generator.pictures import Mixture

RATE = 4
HEIGHT, WIDTH = 180, 320


def street(rng: np.random.Generator) -> np.ndarray:
    """Something with edges and slopes of light, as an empty street has them."""
    image = cv2.GaussianBlur(rng.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8), (0, 0), 9)
    return cv2.normalize(image, None, 30, 220, cv2.NORM_MINMAX)


def noisy(image: np.ndarray, rng: np.random.Generator, sigma: float) -> np.ndarray:
    return np.clip(image + rng.normal(0, sigma, image.shape), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module", params=[0, 1, 2])
def night(request) -> np.ndarray:
    """An empty street at night."""
    dark = Mixture(day=0, dusk=0, night=1, blur=0, noise=1)
    (picture,) = generate_pictures(
        1, cameras=[request.param], width=WIDTH, height=HEIGHT, density=Density(people=0, vehicles=0), mixture=dark
    )
    return picture.image


def told(pictures, health: PictureHealth, rate: float = RATE) -> list[str]:
    return [health.update(image, i / rate) for i, image in enumerate(pictures)]


def test_a_repeated_picture_is_frozen_after_the_time_and_ok_once_it_moves_again():
    rng = np.random.default_rng(1)
    image = street(rng)
    states = told([image.copy() for _ in range(12 * RATE)], health := PictureHealth(frozen_after=10.0))
    assert states.index("frozen") == 10 * RATE
    assert set(states[10 * RATE :]) == {"frozen"}
    moved = image.copy()
    moved[60:90, 100:130] = 250
    assert health.update(moved, 12.5) == "ok"
    assert health.update(moved, 22.0) == "ok"
    assert health.update(moved, 22.6) == "frozen"


def test_a_sensors_noise_keeps_an_empty_scene_alive():
    rng = np.random.default_rng(2)
    image = street(rng)
    assert set(told((noisy(image, rng, 0.6) for _ in range(70 * RATE)), PictureHealth())) == {"ok"}


def test_a_clock_in_the_picture_shows_that_the_stream_lives():
    image = street(np.random.default_rng(3))

    def with_clock(i: int) -> np.ndarray:
        shown = image.copy()
        cv2.putText(shown, f"12:{i // 60:02}:{i % 60:02}", (8, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255))
        return shown

    assert set(told((with_clock(i) for i in range(90)), PictureHealth(), rate=1)) == {"ok"}


@pytest.mark.parametrize(("sigma", "crf", "keyframes"), [(1, 35, 25), (2, 35, 25), (4, 42, 30)])
def test_an_encoder_that_leaves_the_noise_out_freezes_nothing(sigma, crf, keyframes):
    """Keyframes are `keyframes` seconds apart; between them the decoded pictures repeat themselves exactly."""
    rng = np.random.default_rng(4)
    image = street(rng)
    file = io.BytesIO()
    options = {"crf": str(crf), "preset": "veryfast", "g": str(keyframes * RATE), "sc_threshold": "0"}
    with av.open(file, "w", format="mp4") as clip:
        stream = clip.add_stream("libx264", rate=RATE, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for _ in range(80 * RATE):
            clip.mux(stream.encode(av.VideoFrame.from_ndarray(noisy(image, rng, sigma), format="rgb24")))
        clip.mux(stream.encode(None))
    file.seek(0)
    with av.open(file) as clip:
        pictures = [frame.to_ndarray(format="rgb24") for frame in clip.decode(video=0)]
    pairs = pairwise(pictures)
    assert any(np.array_equal(a, b) for a, b in pairs), "the encoder was expected to repeat pictures"
    assert set(told(pictures, PictureHealth())) == {"ok"}


@pytest.mark.parametrize("brightness", [0, 6, 128, 235])
@pytest.mark.parametrize("sigma", [0.0, 5.0])
def test_a_covered_camera_is_black_whatever_its_noise(brightness, sigma):
    rng = np.random.default_rng(5)
    plain = np.full((HEIGHT, WIDTH, 3), brightness, np.uint8)
    cv2.putText(plain, "CAM 4 12:00:01", (8, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 255, 255))
    states = told((noisy(plain, rng, sigma) for _ in range(8 * RATE)), PictureHealth())
    assert states.index("black") == 5 * RATE
    assert states[-1] == "black"


def test_a_flash_of_darkness_is_not_yet_black():
    rng = np.random.default_rng(6)
    image, dark = street(rng), np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pictures = [dark if 8 <= i < 20 else noisy(image, rng, 2) for i in range(40)]
    assert set(told(pictures, PictureHealth())) == {"ok"}


@pytest.mark.parametrize("gain", [0.5, 0.15])
def test_an_empty_street_at_night_is_no_covered_camera(gain, night):
    rng = np.random.default_rng(7)
    dark = (night * gain).astype(np.uint8)
    assert dark.mean() < 40
    assert set(told((noisy(dark, rng, 3) for _ in range(10 * RATE)), PictureHealth())) == {"ok"}


def test_times_that_jump_back_judge_anew():
    image = street(np.random.default_rng(8))
    health = PictureHealth(frozen_after=5.0)
    assert [health.update(image, s) for s in (0.0, 4.0, 100.0, 2.0, 6.0, 7.0)] == [
        "ok", "ok", "frozen", "ok", "ok", "frozen",
    ]  # fmt: skip


def test_the_size_may_change():
    health = PictureHealth()
    assert health.update(street(np.random.default_rng(9)), 0.0) == "ok"
    assert health.update(np.full((90, 160, 3), 9, np.uint8), 1.0) == "ok"
    assert health.update(np.full((90, 160, 3), 9, np.uint8), 6.0) == "black"


def test_times_that_make_no_sense_are_refused():
    with pytest.raises(SourceError, match="frozen_after > 0"):
        PictureHealth(frozen_after=0)
