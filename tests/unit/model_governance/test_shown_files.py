"""A page does not hash a model anew each time it is opened, and never shows the digest of what was there."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from model_governance.governed import files
from model_governance.governed.files import read_files, shown_files

WEIGHTS = b"w" * 1000


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model whose files have lain there for a while."""
    monkeypatch.setattr(files, "_SETTLED_NS", 0)
    (tmp_path / "data").mkdir()
    (tmp_path / "MLmodel").write_text("flavors: {}\n")
    (tmp_path / "data" / "weights.bin").write_bytes(WEIGHTS)
    return tmp_path


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every location that was really hashed, in order."""
    seen: list[str] = []

    def hash_really(location: str) -> str:
        seen.append(location)
        return digest(location)

    digest = files.artifact_digest
    monkeypatch.setattr(files, "artifact_digest", hash_really)
    return seen


def test_a_second_view_hashes_nothing(model: Path, hashed: list[str]) -> None:
    first, second = shown_files(str(model), None), shown_files(str(model), None)
    assert first == second == read_files(str(model), None)
    assert len(hashed) == 2  # the first view, and whoever decides


def test_a_changed_byte_shows_although_size_and_time_are_put_back(model: Path) -> None:
    before = shown_files(str(model), None)
    weights = model / "data" / "weights.bin"
    was = weights.stat()
    time.sleep(0.02)
    weights.write_bytes(b"x" + WEIGHTS[1:])
    os.utime(weights, ns=(was.st_atime_ns, was.st_mtime_ns))
    after = shown_files(str(model), None)
    assert after.digest != before.digest
    assert after == read_files(str(model), None)


@pytest.mark.parametrize("change", ["add", "remove", "exchange", "link"])
def test_whatever_else_changes_shows(model: Path, change: str) -> None:
    before = shown_files(str(model), None)
    weights = model / "data" / "weights.bin"
    if change == "add":
        (model / "data" / "more.py").write_text("import this\n")
    elif change == "remove":
        weights.unlink()
    elif change == "exchange":
        other = model / "data" / "other"
        other.write_bytes(b"y" * 1000)
        other.replace(weights)
    else:
        weights.rename(model.parent / f"{model.name}-elsewhere")
        weights.symlink_to(model.parent / f"{model.name}-elsewhere")
    after = shown_files(str(model), None)
    assert after.digest != before.digest
    assert after == read_files(str(model), None)


def test_files_that_changed_just_now_are_hashed_each_time(
    model: Path, hashed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_SETTLED_NS", 3600 * 10**9)
    shown_files(str(model), None)
    shown_files(str(model), None)
    assert len(hashed) == 2


def test_what_cannot_be_read_says_so_each_time(tmp_path: Path) -> None:
    gone = str(tmp_path / "gone")
    assert shown_files(gone, None) == read_files(gone, None)
    assert "no MLflow model" in shown_files(gone, None).trouble
