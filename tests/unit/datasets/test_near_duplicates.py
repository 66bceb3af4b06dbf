"""Near-duplicates: the same moment is found however it was saved; another moment of a fixed camera is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from pipelines.datasets.duplicates import across_splits, near_duplicates
from pipelines.datasets.generator import PRESETS, Conditions
from pipelines.datasets.generator.pictures import generate_picture
from pipelines.datasets.records import Record


def record(path: Path, split: str | None = None) -> Record:
    return Record(path.name, path, np.empty((0, 4)), (), split=split)


@pytest.fixture
def moment(tmp_path: Path) -> Image.Image:
    shot = generate_picture(0, 320, 240, seed=11, conditions=Conditions(), density=PRESETS["easy"])
    return Image.fromarray(shot.image)


@pytest.mark.parametrize(
    "copy",
    [
        lambda picture, path: picture.save(path.with_suffix(".png")) or path.with_suffix(".png"),
        lambda picture, path: picture.save(path, quality=50) or path,
        lambda picture, path: picture.resize((200, 150)).save(path) or path,
        lambda picture, path: ImageEnhance.Brightness(picture).enhance(1.05).save(path) or path,
    ],
    ids=["png", "jpeg-50", "smaller", "brighter"],
)
def test_the_same_moment_is_found(moment: Image.Image, tmp_path: Path, copy) -> None:
    first = tmp_path / "first.jpg"
    moment.save(first, quality=92)
    second = copy(moment, tmp_path / "second.jpg")
    assert near_duplicates([record(first), record(second)]) == [(0, 1)]


def test_other_moments_of_a_fixed_camera_are_not(tmp_path: Path) -> None:
    """All of them share their background, and a perceptual hash alone takes them for one."""
    records = []
    for seed in range(10):
        shot = generate_picture(0, 320, 240, seed=seed, conditions=Conditions(), density=PRESETS["easy"])
        path = tmp_path / f"{seed}.jpg"
        Image.fromarray(shot.image).save(path, quality=92)
        records.append(record(path))
    assert near_duplicates(records) == []


def test_a_leak_names_the_picture_to_leave_out(moment: Image.Image, tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        moment.save(tmp_path / name)
    records = [
        record(tmp_path / "a.jpg", "test"),
        record(tmp_path / "b.jpg", "train"),
        record(tmp_path / "c.jpg", "train"),
    ]
    findings = across_splits(records, near_duplicates(records))
    assert [(f.file, f.reason) for f in findings] == [("b.jpg", "near_duplicate"), ("c.jpg", "near_duplicate")]
    assert all("a.jpg" in f.detail for f in findings)
