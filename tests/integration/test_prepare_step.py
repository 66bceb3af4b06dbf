"""The prepare step against a real MLflow store: what it leaves behind, and what it does not."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipelines import labelled_table
from pipelines.datasets.errors import EmptySplitError, InvalidDataError, UnreadableSourceError
from pipelines.datasets.fingerprint import fingerprint
from pipelines.datasets.generator.clips import write_video
from pipelines.datasets.manifest import load_dataset
from pipelines.datasets.readers import reader
from pipelines.datasets.validation import ValidationReport
from pipelines.prepare import PrepareResult, PrepareSettings, main, run
from tests.empty_store import empty_store

SMALL = {"pictures": 16, "cameras": 2, "width": 96, "height": 72, "days": 4, "clips": 1, "clip_seconds": 4.0,
         "clip_width": 96, "clip_height": 72, "clip_crossings": 1}  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with an MLflow store that the tests of this module share; no test changes what is in it."""
    folder = tmp_path_factory.mktemp("prepare")
    uri = empty_store(folder)
    before = mlflow.get_tracking_uri()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", uri)
        patch.delenv("MLFLOW_RUN_ID", raising=False)
        mlflow.set_tracking_uri(uri)
        yield folder
    mlflow.set_tracking_uri(before)


@pytest.fixture(scope="module")
def prepared(store: Path) -> PrepareResult:
    return run(PrepareSettings(out=store / "set", **SMALL))


@pytest.fixture
def copy(prepared: PrepareResult, tmp_path: Path) -> PrepareResult:
    """The same in a place of its own, to be altered."""
    shutil.copytree(prepared.folder, tmp_path / "set")
    shutil.copytree(prepared.folder.parent / "store", tmp_path / "store")
    return replace(prepared, folder=tmp_path / "set")


def files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_the_run_holds_the_data_set_as_its_input(prepared: PrepareResult, tmp_path: Path) -> None:
    dataset = load_dataset(prepared.folder, verify=True)
    assert dataset.digest == prepared.digest
    found = mlflow.get_run(prepared.run_id)
    assert found.info.status == "FINISHED"
    assert found.data.params["pictures"] == "16"
    assert found.data.params["mixture.day"] == "0.88"
    assert found.data.metrics["pictures/all"] == 16
    assert found.data.metrics["boxes/all/person"] == prepared.statistics["all"]["classes"]["person"]
    inputs = {tag.value: item for item in found.inputs.dataset_inputs for tag in item.tags}
    assert set(inputs) == {"train", "val", "test"}
    train = inputs["train"].dataset
    assert prepared.digest.startswith(train.digest)
    assert json.loads(train.profile)["pictures"] == len(dataset.samples("train"))
    # The source that is recorded is enough to make the set again, bit by bit.
    rebuilt = Path(mlflow.data.get_source(train).load(str(tmp_path / "again")))
    assert files(rebuilt) == files(prepared.folder)


def test_what_is_logged_and_written(prepared: PrepareResult, tmp_path: Path) -> None:
    logged = mlflow.artifacts.download_artifacts(
        f"runs:/{prepared.run_id}/dataset", dst_path=str(tmp_path / "logged")
    )
    names = {path.name for path in Path(logged).rglob("*") if path.is_file()}
    assert {"dataset.json", "statistics.md", "validation.json", "contact_sheet.png"} <= names
    profile = pd.read_parquet(Path(logged) / "reference_profile.parquet")
    dataset = load_dataset(prepared.folder)
    assert len(profile) == len(dataset.samples("train"))
    assert {"camera_id", "time", "brightness", "contrast", "sharpness", "total", "count_person"} <= set(
        profile.columns
    )
    assert profile["total"].sum() == sum(len(sample.labels) for sample in dataset.samples("train"))
    assert str(profile["time"].dt.tz) == "UTC"
    (clip,) = dataset.clips
    assert clip.truth is not None
    assert json.loads(clip.truth.read_text())["events"]
    with Image.open(prepared.folder / "contact_sheet.png") as sheet:
        assert sheet.width == 1280
        assert np.asarray(sheet).std() > 10


def test_a_second_prepare_uses_what_is_there(copy: PrepareResult, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in copy.folder.rglob("*.jpg")}
    again = run(PrepareSettings(out=tmp_path / "set", **SMALL))
    assert (again.digest, again.reused, copy.reused) == (copy.digest, True, False)
    assert again.run_id != copy.run_id
    assert {path: path.stat().st_mtime_ns for path in copy.folder.rglob("*.jpg")} == before
    # Kept in another store, it is there that whoever trains on it says it can be had.
    assert labelled_table.stored_source(load_dataset(copy.folder)).uri == str(tmp_path / "store")
    elsewhere = run(PrepareSettings(out=tmp_path / "set", store=str(tmp_path / "other"), **SMALL))
    assert (elsewhere.reused, elsewhere.store) == (True, str(tmp_path / "other"))
    source = labelled_table.stored_source(load_dataset(copy.folder))
    assert source.uri == str(tmp_path / "other")
    assert files(Path(source.load(str(tmp_path / "again")))) == files(copy.folder)
    # An altered picture is noticed and everything made again, to the same bytes.
    victim = next(iter(before))
    victim.write_bytes(b"other")
    mended = run(PrepareSettings(out=tmp_path / "set", **SMALL))
    assert (mended.digest, mended.reused) == (copy.digest, False)
    # Other settings take its place.
    other = run(PrepareSettings(out=tmp_path / "set", **{**SMALL, "seed": 9}))
    assert other.digest != copy.digest
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


def test_a_folder_of_somebody_elses_is_left_alone(store: Path, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "thesis.txt").write_text("years of work")
    with pytest.raises(FileExistsError, match="choose another --out"):
        run(PrepareSettings(out=tmp_path / "set", **SMALL))
    assert (tmp_path / "set" / "thesis.txt").read_text() == "years of work"


def yolo_source(folder: Path, prepared: PrepareResult) -> Path:
    """The prepared set as somebody would hand it on, with three things wrong with it."""
    shutil.copytree(prepared.folder, folder)
    first, second, third = sorted((folder / "images/train").iterdir())[:3]
    first.write_bytes(first.read_bytes()[:400])
    labels = folder / "labels/train"
    with (labels / f"{second.stem}.txt").open("a") as stream:
        stream.write("0 0.9 0.5 0.5 0.1\n7 0.5 0.5 0.1 0.1\n")
    (labels / f"{third.stem}.txt").unlink()
    leak = sorted((folder / "images/test").iterdir())[0]
    (folder / "images/train/leaked_copy.jpg").write_bytes(leak.read_bytes())
    (labels / "leaked_copy.txt").write_text("")
    return folder


def test_invalid_data_is_refused_or_dropped_as_asked(prepared: PrepareResult, tmp_path: Path) -> None:
    source = yolo_source(tmp_path / "theirs", prepared)
    # The splits are those of the source, without asking for it.
    settings = {"source": str(source), "format": "yolo", "out": tmp_path / "mine", "unlabelled": "finding"}
    with pytest.raises(InvalidDataError, match="on_invalid drop") as refused:
        run(PrepareSettings(**settings))
    # The whole report outlives the refusal, beside the place of the set.
    kept = tmp_path / "mine.validation.json"
    assert str(kept) in str(refused.value)
    assert ValidationReport.from_json(kept.read_text()) == refused.value.report
    expected = {"truncated_picture": 1, "box_outside": 1, "unknown_class": 1, "missing_label": 1}
    assert refused.value.report.by_reason() == expected
    assert not (tmp_path / "mine").exists()
    result = run(PrepareSettings(**settings, on_invalid="drop"))
    assert not kept.exists()
    assert result.report.by_reason() == {**expected, "near_duplicate": 1}
    assert [f.file for f in result.report.findings if f.reason == "near_duplicate"] == [
        "images/train/leaked_copy.jpg"
    ]
    before, after = load_dataset(prepared.folder), load_dataset(tmp_path / "mine", verify=True)
    assert len(after.samples("train")) == len(before.samples("train")) - 2
    assert [len(after.samples(s)) for s in ("val", "test")] == [len(before.samples(s)) for s in ("val", "test")]
    # Cameras and times come back from the file names.
    assert {s.camera for s in after.samples("train")} == {s.camera for s in before.samples("train")}
    assert all(s.time is not None for s in after.samples("train"))


def test_a_video_with_its_truth_is_a_source(prepared: PrepareResult, tmp_path: Path) -> None:
    settings = PrepareSettings(
        source=str(prepared.folder / "clips"),
        format="video",
        every=4,
        out=tmp_path / "frames",
    )
    result = run(settings)
    dataset = load_dataset(result.folder)
    assert sum(len(dataset.samples(split)) for split in dataset.splits) == 10
    reading = reader("video", 4).read(prepared.folder / "clips", tmp_path)
    assert result.statistics["all"]["boxes"] == sum(len(record.labels) for record in reading.records)
    # Its frames are learnt from, so that counting on it would show nothing.
    assert dataset.clips == ()
    assert result.report.notes == (
        "no clip is left for line errors: frames of cam-0-0 are trained or validated on; "
        "two videos or more leave one whole",
    )


def test_of_several_videos_whole_ones_are_tested_and_counted_on(store: Path, tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    rng = np.random.default_rng(0)
    for name in ("a", "b", "c"):
        pictures = iter(rng.integers(0, 255, (40, 48, 64, 3), np.uint8))
        write_video(tmp_path / f"videos/{name}.mp4", pictures, 10)
        (tmp_path / f"videos/{name}.gt.txt").write_text("1,1,5,5,20,20,1,1,1\n")
    rows = [f"{name}.mp4,yard,2026-03-0{day}T08:00" for name, day in (("a", 3), ("b", 2), ("c", 1))]
    (tmp_path / "videos/cameras.csv").write_text("\n".join(["file,camera,time", *rows]))
    settings = {"source": str(tmp_path / "videos"), "format": "video", "every": 4, "out": tmp_path / "frames"}
    dataset = load_dataset(run(PrepareSettings(**settings)).folder)
    assert [(clip.name, clip.split) for clip in dataset.clips] == [("a", "test")], "the latest"
    assert len(dataset.samples("test")) == 10
    assert all(sample.path.name.startswith("a__") for sample in dataset.samples("test"))


def test_data_that_leaves_nothing_to_test_on_is_refused_with_numbers(store: Path, tmp_path: Path) -> None:
    for minute in range(6):
        path = tmp_path / f"yolo/images/gate_20260302T08{minute:02d}00Z.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(minute).integers(0, 255, (48, 64, 3), np.uint8)
        Image.fromarray(noise).save(path)
        label = tmp_path / f"yolo/labels/{path.stem}.txt"
        label.parent.mkdir(exist_ok=True)
        label.write_text("0 0.5 0.5 0.5 0.5\n")
    (tmp_path / "yolo/data.yaml").write_text("{train: images, names: [car]}")
    settings = {"source": str(tmp_path / "yolo"), "format": "yolo", "out": tmp_path / "set"}
    with pytest.raises(EmptySplitError, match=r"got 6 in train, 0 in val, 0 in test.*--val 0 --test 0"):
        run(PrepareSettings(**settings))
    with pytest.raises(EmptySplitError, match="--split time"):
        run(PrepareSettings(**settings, split="given"))
    assert not (tmp_path / "set").exists()
    dataset = load_dataset(run(PrepareSettings(**settings, block_minutes=1)).folder)
    assert [len(dataset.samples(split)) for split in dataset.splits] == [4, 1, 1]
    alone = load_dataset(run(PrepareSettings(**settings, val=0, test=0)).folder)
    assert [len(alone.samples(split)) for split in alone.splits] == [6, 0, 0]


def test_a_source_that_changed_is_read_again(store: Path, tmp_path: Path) -> None:
    """Whatever the source is given as: here a file that says where the pictures are."""

    def add(count: int) -> None:
        for index in range(count):
            for split in ("train", "val", "test"):
                path = tmp_path / f"elsewhere/images/{split}/{index}.png"
                if not path.exists():
                    path.parent.mkdir(parents=True, exist_ok=True)
                    noise = np.random.default_rng([index, len(split), ord(split[0])]).integers(
                        0, 255, (48, 64, 3), np.uint8
                    )
                    Image.fromarray(noise).save(path)
                    label = tmp_path / f"elsewhere/labels/{split}/{index}.txt"
                    label.parent.mkdir(parents=True, exist_ok=True)
                    label.write_text("0 0.5 0.5 0.5 0.5\n")

    (tmp_path / "here").mkdir()
    yaml_file = tmp_path / "here/cars.yaml"
    yaml_file.write_text(
        "{path: ../elsewhere, train: images/train, val: images/val, test: images/test, names: [car]}"
    )
    settings = PrepareSettings(source=str(yaml_file), format="yolo", out=tmp_path / "set")
    add(2)
    first = run(settings)
    assert run(settings).reused
    add(3)
    more = run(settings)
    assert (more.reused, more.statistics["all"]["pictures"]) == (False, 9)
    (tmp_path / "elsewhere/labels/train/0.txt").write_text("")
    assert run(settings).statistics["all"]["boxes"] == 8
    assert first.digest != more.digest


def test_a_clip_with_another_truth_is_another_source(tmp_path: Path) -> None:
    (tmp_path / "gate.mp4").write_bytes(b"a video")
    settings = PrepareSettings(source=str(tmp_path / "gate.mp4"), format="video")
    found = [fingerprint(settings)]
    for name in ("gate.gt.txt", "cameras.csv", "gate.scene.yaml", "gate.truth.json", "gate.labels.txt"):
        (tmp_path / name).write_text("something")
        found.append(fingerprint(settings))
    (tmp_path / "other.gt.txt").write_text("of another clip")
    assert len(set(found)) == 6
    assert fingerprint(settings) == found[-1]


def test_what_is_wrong_is_said_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = [
        "prepare",
        "--source",
        str(tmp_path / "nowhere"),
        "--format",
        "yolo",
        "--out",
        str(tmp_path / "set"),
    ]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit, match=r"^error: expected a YOLO data set .*nowhere"):
        main()
    assert "Traceback" not in capsys.readouterr().err


def test_a_source_that_is_not_there(store: Path, tmp_path: Path) -> None:
    with pytest.raises(UnreadableSourceError, match="nowhere"):
        run(PrepareSettings(source="nowhere", format="coco", out=tmp_path / "set"))
    assert list(tmp_path.glob(".set*")) == []


@pytest.mark.slow
def test_a_killed_prepare_leaves_no_half_data_set(store: Path, root: Path, tmp_path: Path) -> None:
    arguments = [f"--{key}={value}" for key, value in {**SMALL, "pictures": 400}.items()]
    process = subprocess.Popen(
        [sys.executable, "-m", "pipelines.prepare", "--out", str(tmp_path / "set"), *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{root / 'plugins'}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".set.*/source/*.jpg")):
        assert process.poll() is None, "expected it to be at work"
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "set").exists()
    assert list(tmp_path.glob(".set.*.building"))
    result = run(PrepareSettings(out=tmp_path / "set", **SMALL))
    assert not result.reused
    load_dataset(tmp_path / "set", verify=True)
    assert list(tmp_path.glob(".set.*")) == []
