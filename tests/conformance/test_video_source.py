"""What every VideoSource must do; one more source is one more entry in SOURCES."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from camera_counting.video import ClipWriter, LiveSource, PictureFolder, VideoFile, VideoSource, open_source

FRAMES, WIDTH, HEIGHT, FPS = 12, 96, 64, 8.0


def picture(i: int) -> np.ndarray:
    """A grey picture with a red bar that moves to the right, and a blue mark at the top."""
    image = np.full((HEIGHT, WIDTH, 3), 60, np.uint8)
    image[20:60, 7 * i : 7 * i + 8] = (230, 20, 20)
    image[:6] = (20, 20, 220)
    return image


def a_clip(folder: Path) -> VideoSource:
    with ClipWriter(folder / "clip.mp4", FPS, quality=8) as writer:
        for i in range(FRAMES):
            writer.write(picture(i), i / FPS)
    return open_source(folder / "clip.mp4")


def a_folder(folder: Path) -> VideoSource:
    # names whose order by text is not the order of time
    for i in range(FRAMES):
        cv2.imwrite(str(folder / f"frame_{i + 1}.png"), picture(i)[..., ::-1])
    (folder / "notes.txt").write_text("no picture")
    return open_source(folder, fps=FPS)


SOURCES: dict[str, Callable[[Path], VideoSource]] = {"clip": a_clip, "folder": a_folder}


@pytest.fixture(params=SOURCES.values(), ids=SOURCES)
def source(request, tmp_path):
    with request.param(tmp_path) as opened:
        yield opened


def test_frames_come_in_order_with_their_times(source):
    frames = list(source)
    assert [frame.index for frame in frames] == list(range(FRAMES))
    assert [frame.seconds for frame in frames] == pytest.approx([i / FPS for i in range(FRAMES)], abs=0.002)
    assert source.problems == []


def test_pictures_are_rgb_upright_and_right(source):
    for i, frame in enumerate(source):
        assert frame.image.shape == (HEIGHT, WIDTH, 3)
        assert frame.image.dtype == np.uint8
        assert frame.image.flags["C_CONTIGUOUS"]
        assert np.abs(frame.image.astype(int) - picture(i)).mean() < 8
        assert frame.image[40, 7 * i + 4, 0] > 150 > frame.image[40, 7 * i + 4, 2]


def test_what_is_announced_is_true(source):
    assert (source.width, source.height, source.frame_count) == (WIDTH, HEIGHT, FRAMES)
    assert source.fps == pytest.approx(FPS, rel=0.01)
    assert source.name


def test_frames_may_be_kept(source):
    frames = list(source)
    assert not np.shares_memory(frames[0].image, frames[1].image)
    assert np.abs(frames[0].image.astype(int) - picture(0)).mean() < 8


def test_closing_ends_an_iteration_and_is_harmless_twice(source):
    iterator = iter(source)
    next(iterator)
    source.close()
    source.close()
    assert len(list(iterator)) < FRAMES


def test_the_seam_is_kept():
    assert issubclass(VideoFile, VideoSource)
    assert issubclass(PictureFolder, VideoSource)
    assert issubclass(LiveSource, VideoSource)
    for name in ("__iter__", "close", "__enter__", "__exit__"):
        assert hasattr(VideoSource, name)
