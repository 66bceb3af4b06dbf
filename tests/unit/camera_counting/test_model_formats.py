"""Models of every format load and count for good, and `camera-counting migrate` writes them in the newest."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

import camera_counting
from camera_counting import artifact_formats
from camera_counting.artifact import MANIFEST, _digest, read_artifact
from camera_counting.artifact_formats import FORMAT_VERSION, STEPS
from camera_counting.cli import main
from camera_counting.errors import ArtifactError
from tests.toy_detector import picture

FIXTURES = Path(__file__).parents[2] / "fixtures" / "model_formats"
FORMATS = sorted(path.name for path in FIXTURES.glob("format_*"))
PICTURE = picture(
    320, 320, [("person", 40, 60, 80, 160), ("person", 120, 60, 160, 160), ("car", 200, 200, 280, 240)]
)


def counts(folder: Path) -> dict[str, int]:
    """What a saved model counts on a picture of two people and a car."""
    (count,) = camera_counting.load_model(folder).count([PICTURE])
    return dict(count.counts)


def type_in(*words: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(main, [str(word) for word in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A copy of a saved model, to be altered."""
    return Path(shutil.copytree(FIXTURES / FORMATS[0], tmp_path / "old"))


def alter_manifest(folder: Path, **changes: Any) -> None:
    """Change model.json and sign it anew, here and in MLmodel."""
    path = folder / "camera_counting" / MANIFEST
    content = {**json.loads(path.read_text()), **changes}
    content = {key: value for key, value in content.items() if value is not None}
    content["digest"] = _digest(content)
    path.write_text(json.dumps(content))
    mlmodel = yaml.safe_load((folder / "MLmodel").read_text())
    mlmodel["flavors"]["camera_counting"]["digest"] = content["digest"]
    (folder / "MLmodel").write_text(yaml.safe_dump(mlmodel))


def test_every_format_has_a_fixture_and_a_step_to_the_next() -> None:
    assert [f"format_{version}" for version in range(1, FORMAT_VERSION + 1)] == FORMATS
    assert sorted(STEPS) == list(range(1, FORMAT_VERSION))
    size = sum(path.stat().st_size for path in FIXTURES.rglob("*") if path.is_file())
    assert size < 100_000 * len(FORMATS)


@pytest.mark.parametrize("name", FORMATS)
def test_a_model_of_every_format_counts(name: str) -> None:
    assert counts(FIXTURES / name) == {"person": 2, "car": 1}


@pytest.mark.parametrize("name", FORMATS)
def test_migrated_it_counts_the_same_in_the_newest_format(name: str, tmp_path: Path) -> None:
    before = read_artifact(FIXTURES / name / "camera_counting").manifest
    code, said = type_in("migrate", FIXTURES / name, "--to", tmp_path / "new")
    assert code == 0, said
    assert said.splitlines()[-1] == str(tmp_path / "new")
    assert counts(tmp_path / "new") == {"person": 2, "car": 1}
    content = json.loads((tmp_path / "new" / "camera_counting" / MANIFEST).read_text())
    assert content["format_version"] == FORMAT_VERSION
    after = read_artifact(tmp_path / "new" / "camera_counting").manifest
    assert (after.confidence, after.iou, after.classes) == (before.confidence, before.iou, before.classes)
    assert [file.sha256 for file in after.files] == [file.sha256 for file in before.files]
    old, new = (yaml.safe_load((f / "MLmodel").read_text()) for f in (FIXTURES / name, tmp_path / "new"))
    assert new["signature"] == old["signature"]
    assert new["metadata"] == {"migrated_from": before.digest}
    assert (tmp_path / "new" / "code" / "carried" / "camera_counting" / "flavor.py").is_file(), "today's code"
    assert (tmp_path / "new" / "requirements.txt").read_text().split() == (
        (FIXTURES / name / "requirements.txt").read_text().split()
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new"]


def test_in_place_the_old_model_is_kept_beside(old: Path) -> None:
    code, said = type_in("migrate", old, "--in-place")
    assert code == 0, said
    assert counts(old) == counts(old.with_name("old.before-migration")) == {"person": 2, "car": 1}
    assert sorted(path.name for path in old.parent.iterdir()) == ["old", "old.before-migration"]
    code, said = type_in("migrate", old, "--in-place")
    assert (code, "from an earlier migration" in said) == (2, True)


def test_in_place_a_killed_call_is_finished_by_the_next(old: Path) -> None:
    """Between the two renamings no model stands under the name."""
    type_in("migrate", old, "--in-place")
    old.rename(old.with_name(f".{old.name}.migrated"))
    code, said = type_in("migrate", old, "--in-place")
    assert (code, "finished a migration that was interrupted" in said) == (0, True)
    assert (old / "MLmodel").is_file()
    assert (old.with_name(f"{old.name}.before-migration") / "MLmodel").is_file()


@pytest.mark.parametrize("words", [(), ("--in-place", "--to", "new")])
def test_where_to_must_be_said_once(old: Path, words: tuple[str, ...]) -> None:
    code, said = type_in("migrate", old, *words)
    assert (code, "expected --to FOLDER or --in-place" in said) == (2, True)


def test_nothing_is_written_over(old: Path, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    code, said = type_in("migrate", old, "--to", tmp_path / "new")
    assert (code, "is there already" in said) == (2, True)
    assert list((tmp_path / "new").iterdir()) == []


def test_a_newer_format_is_refused_with_a_sentence(old: Path, tmp_path: Path) -> None:
    alter_manifest(old, format_version=FORMAT_VERSION + 1)
    with pytest.raises(ArtifactError, match=rf"has format version {FORMAT_VERSION + 1}; .* or a newer one"):
        camera_counting.load_model(old)
    code, said = type_in("migrate", old, "--to", tmp_path / "new")
    assert (code, f"has format version {FORMAT_VERSION + 1}; this package reads" in said) == (2, True)
    assert not (tmp_path / "new").exists()


def test_an_altered_model_is_not_migrated(old: Path, tmp_path: Path) -> None:
    with (old / "camera_counting" / "detector.onnx").open("ab") as stream:
        stream.write(b"more")
    code, said = type_in("migrate", old, "--to", tmp_path / "new")
    assert (code, "was altered or damaged" in said) == (2, True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old"], "nothing half written is left"


def test_what_is_no_saved_model_is_refused(tmp_path: Path) -> None:
    code, said = type_in("migrate", tmp_path, "--to", tmp_path / "new")
    assert (code, "is no saved model: it has no file MLmodel" in said) == (2, True)


def test_an_older_format_is_read_and_migrated_by_its_step(
    old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a format that never was, which called the confidence a threshold and knew of no overlap."""

    def step(content: dict[str, Any]) -> dict[str, Any]:
        rest = {key: value for key, value in content.items() if key != "threshold"}
        return {**rest, "confidence": content["threshold"], "iou": 0.6}

    monkeypatch.setitem(artifact_formats.STEPS, 0, step)
    alter_manifest(old, format_version=0)
    with pytest.raises(ArtifactError, match=r"makes no sense as format version 0: KeyError\('threshold'\)"):
        camera_counting.load_model(old)
    alter_manifest(old, format_version=0, threshold=0.5, confidence=None, iou=None)
    content = json.loads((old / "camera_counting" / MANIFEST).read_text())
    assert "confidence" not in content
    manifest = read_artifact(old / "camera_counting").manifest
    assert (manifest.format_version, manifest.confidence, manifest.iou) == (FORMAT_VERSION, 0.5, 0.6)
    assert manifest.digest == content["digest"], "it is known by the digest that it was saved with"
    assert counts(old) == {"person": 2, "car": 1}
    code, said = type_in("migrate", old, "--to", tmp_path / "new")
    assert code == 0, said
    written = json.loads((tmp_path / "new" / "camera_counting" / MANIFEST).read_text())
    assert (written["format_version"], written["confidence"], written["iou"]) == (FORMAT_VERSION, 0.5, 0.6)
    assert written["digest"] != content["digest"]
    assert counts(tmp_path / "new") == {"person": 2, "car": 1}
