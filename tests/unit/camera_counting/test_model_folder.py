"""The model folder: what was written is read, and what was altered is refused before a runtime sees it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import onnx
import pytest

from camera_counting.artifact import MANIFEST, _digest, read_artifact, write_artifact
from camera_counting.detectors import InputSpec
from camera_counting.errors import ArtifactError
from tests.toy_detector import build

CLASSES = ("person", "car")


def written(folder: Path, detector: Path) -> Path:
    write_artifact(
        folder,
        detector,
        classes=CLASSES,
        confidence=0.3,
        iou=0.6,
        head="yolov8",
        spec=InputSpec(width=320, height=320),
        runtimes=("openvino",),
    )
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return written(tmp_path / "model", build(tmp_path / "toy.onnx"))


def rewrite(folder: Path, *, sign: bool = True, **changes: Any) -> None:
    """Change the manifest; with `sign`, as somebody would who can compute the digest, too."""
    content = json.loads((folder / MANIFEST).read_text())
    for key, value in changes.items():
        if value is None:
            del content[key]
        else:
            content[key] = value
    if sign and "digest" in content:
        content["digest"] = _digest(content)
    (folder / MANIFEST).write_text(json.dumps(content))


def test_what_was_written_is_read(folder: Path) -> None:
    artifact = read_artifact(folder)
    manifest = artifact.manifest
    assert artifact.detector == folder / "detector.onnx"
    assert (manifest.classes, manifest.confidence, manifest.iou) == (CLASSES, 0.3, 0.6)
    assert manifest.format_version == 1
    assert sorted(path.name for path in folder.iterdir()) == ["detector.onnx", "model.json"]


def test_the_digest_tells_models_apart(tmp_path: Path, folder: Path) -> None:
    same = written(tmp_path / "again", tmp_path / "toy.onnx")
    assert read_artifact(same).manifest.digest == read_artifact(folder).manifest.digest
    rewrite(same, confidence=0.31)
    assert read_artifact(same).manifest.digest != read_artifact(folder).manifest.digest


@pytest.mark.parametrize("at", [0, 1000, -1])
def test_one_changed_byte_is_found(folder: Path, at: int) -> None:
    content = bytearray((folder / "detector.onnx").read_bytes())
    content[at] ^= 1
    (folder / "detector.onnx").write_bytes(content)
    with pytest.raises(ArtifactError, match=r"detector\.onnx was altered or damaged: expected SHA-256"):
        read_artifact(folder)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"confidence": 0.9}, "was altered: its digest says"),
        ({"classes": ["person", "bus"]}, "was altered: its digest says"),
    ],
)
def test_a_changed_manifest_is_found(folder: Path, changes: dict[str, Any], reason: str) -> None:
    rewrite(folder, sign=False, **changes)
    with pytest.raises(ArtifactError, match=reason):
        read_artifact(folder)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"format_version": 2}, "format version 2; this package reads 1"),
        ({"format_version": "1"}, "format version '1'"),
        ({"format_version": True}, "format version True"),
        ({"format_version": None}, "format version None"),
        ({"confidence": 1.5}, "confidence: Input should be less than or equal to 1"),
        ({"confidence": "0.5"}, "confidence: Input should be a valid number"),
        ({"classes": []}, "classes"),
        ({"classes": ["a", "a"]}, "a class stands there twice"),
        ({"head": "ssd"}, "expected a head of"),
        ({"surprise": 1}, "surprise: Extra inputs are not permitted"),
        ({"iou": None}, "iou: Field required"),
        ({"digest": None}, "digest: Field required"),
        ({"detector": "other.onnx"}, "'other.onnx' is not among the files"),
        (
            {"detector": "a.ONNX", "files": [{"path": "a.ONNX", "sha256": "0" * 64, "bytes": 1}]},
            r"a detector that ends in \.onnx or \.xml, got 'a\.ONNX'",
        ),
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused(folder: Path, changes: dict[str, Any], reason: str) -> None:
    rewrite(folder, **changes)
    with pytest.raises(ArtifactError, match=reason):
        read_artifact(folder)


@pytest.mark.parametrize(
    "path", ["../toy.onnx", "/etc/passwd", "a/../../toy.onnx", "..\\toy.onnx", "C:toy.onnx", ""]
)
def test_a_path_out_of_the_folder_is_refused(folder: Path, path: str) -> None:
    files = json.loads((folder / MANIFEST).read_text())["files"]
    rewrite(folder, detector=path, files=[{**files[0], "path": path}])
    with pytest.raises(ArtifactError, match="inside the model folder"):
        read_artifact(folder)


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path, folder: Path) -> None:
    (folder / "detector.onnx").unlink()
    (folder / "detector.onnx").symlink_to(tmp_path / "toy.onnx")
    with pytest.raises(ArtifactError, match="leads out of the model folder"):
        read_artifact(folder)


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "detector.onnx").unlink()
    with pytest.raises(ArtifactError, match=r"detector\.onnx is missing"):
        read_artifact(folder)
    with pytest.raises(ArtifactError, match=r"it has no model\.json"):
        read_artifact(folder.parent)
    (folder / MANIFEST).write_text("{")
    with pytest.raises(ArtifactError, match="is no JSON"):
        read_artifact(folder)


def test_external_weights_travel_and_are_vouched_for(tmp_path: Path) -> None:
    detector = build(tmp_path / "toy.onnx", external_data=True)
    folder = written(tmp_path / "model", detector)
    assert sorted(path.name for path in folder.iterdir()) == ["detector.onnx", "model.json", "toy.data"]
    read_artifact(folder)
    content = bytearray((folder / "toy.data").read_bytes())
    content[0] ^= 1
    (folder / "toy.data").write_bytes(content)
    with pytest.raises(ArtifactError, match=r"toy\.data was altered"):
        read_artifact(folder)


def test_external_weights_that_nobody_vouches_for_are_refused(tmp_path: Path) -> None:
    folder = written(tmp_path / "model", build(tmp_path / "toy.onnx", external_data=True))
    files = json.loads((folder / MANIFEST).read_text())["files"]
    rewrite(folder, files=[file for file in files if file["path"] != "toy.data"])
    with pytest.raises(ArtifactError, match=r"reads toy\.data, which model\.json does not vouch for"):
        read_artifact(folder)


def keeping_its_weights_in(path: Path, location: str) -> Path:
    """Let the detector look for its weights, which lie in toy.data, in a file of another name."""
    model = onnx.load(path, load_external_data=False)
    for weight in model.graph.initializer:
        for entry in weight.external_data:
            if entry.key == "location":
                entry.value = location
    path.write_bytes(model.SerializeToString())
    return path


def test_weights_named_in_a_roundabout_way_travel(tmp_path: Path) -> None:
    detector = keeping_its_weights_in(build(tmp_path / "toy.onnx", external_data=True), "./sub/./w.bin")
    (tmp_path / "sub").mkdir()
    (tmp_path / "toy.data").rename(tmp_path / "sub" / "w.bin")
    manifest = read_artifact(written(tmp_path / "model", detector)).manifest
    assert [file.path for file in manifest.files] == ["detector.onnx", "sub/w.bin"]


@pytest.mark.parametrize("location", ["./detector.onnx", "Detector.onnx", "model.json", "detector.onnx/w.bin"])
def test_weights_that_would_replace_the_detector_are_refused(tmp_path: Path, location: str) -> None:
    detector = keeping_its_weights_in(build(tmp_path / "toy.onnx", external_data=True), location)
    with pytest.raises(ArtifactError, match="export it as one file"):
        written(tmp_path / "model", detector)


def test_a_missing_part_is_found_when_it_is_written(tmp_path: Path) -> None:
    detector = build(tmp_path / "toy.onnx", external_data=True)
    (tmp_path / "toy.data").unlink()
    with pytest.raises(ArtifactError, match=r"needs the file toy\.data"):
        written(tmp_path / "model", detector)
    shutil.rmtree(tmp_path / "model")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "something").touch()
    with pytest.raises(ArtifactError, match="is not empty"):
        written(tmp_path / "model", build(tmp_path / "other.onnx"))
