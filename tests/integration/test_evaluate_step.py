"""The evaluation step on a real MLflow: figures at the model, at its run and at the data, plots and tables."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from PIL import Image
from rectangles import write_rectangles
from toy_detector import build, picture

import camera_counting
from camera_counting.video import open_source
from counting_evaluator import MODEL_TYPE, CountingEvaluator, EvaluationError
from model_governance import collect
from pipelines.datasets.manifest import ClipEntry, Manifest, Sample, load_dataset
from pipelines.evaluate import EvaluateSettings, run
from pipelines.labelled_table import labelled_table

FRAMES = 20


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of rectangles, and a clip: a car that drives over a line once, from left to right."""
    folder = tmp_path_factory.mktemp("data") / "set"
    frames = folder / "clips" / "drive"
    frames.mkdir(parents=True)
    for number in range(FRAMES):
        left = 10 + 9 * number
        Image.fromarray(picture(256, 256, [("car", left, 100, left + 50, 140)])).save(frames / f"{number:03d}.png")
    scene = {"camera": "cam-1", "lines": [{"name": "gate", "from": [128, 20], "to": [128, 240]}]}
    (folder / "clips" / "drive.scene.yaml").write_text(json.dumps(scene))  # JSON is YAML
    # A vector that points downwards has its left-hand side on the right of the screen: rightwards is out.
    truth = {"lines": {"gate": {"in": 0, "out": 1, "by_class": {"car": {"in": 0, "out": 1}}}}}
    (folder / "clips" / "drive.truth.json").write_text(json.dumps(truth))
    clip = ClipEntry(
        name="drive", video="clips/drive", scene="clips/drive.scene.yaml", truth="clips/drive.truth.json"
    )
    return write_rectangles(folder, pictures={"train": 2, "val": 2, "test": 6}, size=(192, 128), clips=(clip,))


@pytest.fixture
def model_uri(tracking: str, tmp_path: Path) -> str:
    detector = build(tmp_path / "toy.onnx", size=(256, 256))
    with mlflow.start_run(run_name="training"):
        return str(camera_counting.log_model(detector, confidence=0.5).model_uri)


def test_the_figures_stand_at_model_run_and_data(model_uri: str, data: Path) -> None:
    result = run(EvaluateSettings(model_uri=model_uri, data=data))

    metrics = result.metrics
    assert metrics["detection/map50"] == pytest.approx(1)
    assert metrics["count/mae"] == 0
    assert (metrics["line/true"], metrics["line/counted"], metrics["line/error"]) == (1, 1, 0)
    assert 0 < metrics["size_mb"] < 10
    assert metrics["confidence"] == 0.5

    logged = MlflowClient().get_logged_model(result.model_id)
    at_model = {metric.key: metric for metric in logged.metrics}
    assert at_model["count/mae"].value == 0
    assert at_model["count/mae"].dataset_name == "rectangles-test"
    assert at_model["count/mae"].dataset_digest == load_dataset(data).digest[:16]

    done = mlflow.get_run(result.run_id)
    assert done.info.status == "FINISHED"
    assert done.data.metrics["detection/map50"] == pytest.approx(1)
    assert done.data.tags["evaluated_dataset_digest"] == load_dataset(data).digest
    assert [each.dataset.name for each in done.inputs.dataset_inputs] == ["rectangles-test"]
    trained = mlflow.get_run(logged.source_run_id)
    assert (trained.info.status, trained.data.tags["evaluated_dataset"]) == ("FINISHED", "rectangles")
    assert trained.data.metrics == pytest.approx(done.data.metrics), "beside the parameters it was trained with"
    assert done.data.tags["mlflow.parentRunId"] == trained.info.run_id
    evidence = collect(model_uri)
    assert evidence.evaluation_run_id == result.run_id
    assert "test" in {each.context for each in evidence.datasets}
    for name in metrics:
        assert len(MlflowClient().get_metric_history(result.run_id, name)) == 1, name

    plots = {each.path for each in MlflowClient().list_artifacts(result.run_id, "evaluation")}
    assert plots == {
        f"evaluation/{name}.png"
        for name in (
            "counted_against_true",
            "precision_recall",
            "confusion_matrix",
            "count_error_over_confidence",
            "line_counts",
        )
    }, "and no worst pictures where none is wrong"
    crossings = Path(mlflow.artifacts.download_artifacts(run_id=result.run_id, artifact_path="line_counts.json"))
    told = json.loads(crossings.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    rows = [dict(zip(told["columns"], row, strict=True)) for row in told["data"]]
    assert [(row["direction"], row["counted"], row["nwrmse"]) for row in rows] == [
        ("in", 0, None),
        ("out", 1, None),
    ]
    table = mlflow.load_table("evaluation_table.json", run_ids=[result.run_id])
    assert len(table) == 6
    assert table["error"].sum() == 0


def test_wrong_pictures_are_shown(model_uri: str, data: Path) -> None:
    before = collect(model_uri)
    result = run(EvaluateSettings(model_uri=model_uri, data=data, confidence=0.99, clips=False))
    after = collect(model_uri)
    assert after.evaluation_run_id is before.evaluation_run_id is None, "nobody serves it at this confidence"
    assert mlflow.get_run(after.run_id).data.metrics == {}, "nor is the training told of it"
    assert result.metrics["detection/recall"] == 0
    assert result.metrics["count/bias"] < 0
    assert not any(name.startswith("line/") for name in result.metrics)
    path = mlflow.artifacts.download_artifacts(run_id=result.run_id, artifact_path="evaluation/worst_pictures.jpg")
    with Image.open(path) as image:
        assert image.width > 500
        red, green, blue = np.asarray(image.convert("RGB")).reshape(-1, 3).astype(int).T
    # JPEG keeps less of the colour than of the brightness, so thin lines come out paler than they were drawn
    assert ((green > red + 60) & (green > blue + 60)).any(), "true boxes are drawn"


def test_an_evaluation_that_fails_spoils_neither_the_training_nor_the_evaluation_before(
    model_uri: str, data: Path, tmp_path: Path
) -> None:
    good = run(EvaluateSettings(model_uri=model_uri, data=data))
    shown = collect(model_uri)
    broken = tmp_path / "broken"
    shutil.copytree(data, broken)
    for picture_file in (broken / "images" / "test").glob("*.png"):
        picture_file.write_bytes(b"no picture")
    with pytest.raises(EvaluationError, match="it cannot be read"):
        run(EvaluateSettings(model_uri=model_uri, data=broken, clips=False))
    assert collect(model_uri) == shown
    trained = mlflow.get_run(shown.run_id)
    assert trained.info.status == "FINISHED"
    assert trained.data.metrics["line/true"] == good.metrics["line/true"]


def test_figures_of_two_evaluations_are_not_mixed(model_uri: str, data: Path) -> None:
    run(EvaluateSettings(model_uri=model_uri, data=data))
    assert "line/error" in collect(model_uri).metrics
    run(EvaluateSettings(model_uri=model_uri, data=data, clips=False))
    assert not [name for name in collect(model_uri).metrics if name.startswith("line/")]


def _table(sample: Sample) -> pd.DataFrame:
    row = {"image": str(sample.path), "boxes": sample.boxes.tolist(), "labels": list(sample.labels)}
    return pd.DataFrame([row])


def test_a_data_scientist_evaluates_a_table(model_uri: str, data: Path) -> None:
    sample = load_dataset(data).samples("test")[0]
    table = _table(sample)
    with mlflow.start_run() as active:
        result = mlflow.models.evaluate(model_uri, table, model_type=MODEL_TYPE, evaluators="camera-counting")
    assert result.metrics["count/exact"] == 1
    assert result.tables["evaluation_table"]["true"].tolist() == [len(sample.labels)]
    assert result.artifacts["counted_against_true"].content.width > 0
    assert mlflow.get_run(active.info.run_id).data.metrics["count/exact"] == 1


def test_times_are_shown_by_the_hour_and_frames_drawn_with_their_clips(
    model_uri: str, data: Path, tmp_path: Path
) -> None:
    manifest = load_dataset(data).manifest
    test = []
    for number, entry in enumerate(manifest.splits["test"]):
        file = f"images/test/drive{number // 3}__{number:06d}.png"
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(data / entry.file, tmp_path / file)
        time = datetime(2026, 3, 2, 7 + number // 3, 30, tzinfo=UTC)
        test.append(entry.model_copy(update={"file": file, "time": time}))
    named = Manifest(**{**dict(manifest), "splits": {**manifest.splits, "test": tuple(test)}, "digest": ""})
    (tmp_path / "dataset.json").write_text(named.signed().to_json())
    columns = labelled_table(load_dataset(tmp_path), "test")
    assert columns["clip"].tolist() == ["drive0"] * 3 + ["drive1"] * 3
    assert not {"clip", "time"} & set(labelled_table(load_dataset(data), "test")), "nothing would stand in them"

    result = run(EvaluateSettings(model_uri=model_uri, data=tmp_path, clips=False))
    plots = {each.path for each in MlflowClient().list_artifacts(result.run_id, "evaluation")}
    assert "evaluation/error_by_hour.png" in plots
    table = mlflow.load_table("evaluation_table.json", run_ids=[result.run_id])
    assert {datetime.fromisoformat(time).hour for time in table["time"]} == {7, 8}
    assert set(table["digest"]) == {entry.sha256 for entry in test}
    assert not any(name.startswith(("slice/time", "slice/clip")) for name in result.metrics)


def test_a_model_that_was_never_logged_has_its_figures_at_the_run(
    tracking: str, data: Path, tmp_path: Path
) -> None:
    camera_counting.save_model(build(tmp_path / "toy.onnx", size=(256, 256)), tmp_path / "model", confidence=0.5)
    # More figures than MLflow takes in one request, as of a site with many cameras.
    samples = load_dataset(data).samples("test")
    table = pd.concat([_table(sample).assign(camera_id=f"c{n}") for n, sample in enumerate(samples)])
    for column in range(25):
        table[f"column_{column}"] = [f"value {n}" for n in range(len(table))]
    with mlflow.start_run() as active:
        result = mlflow.models.evaluate(
            str(tmp_path / "model"), table, model_type=MODEL_TYPE, evaluators="camera-counting"
        )
    assert len(result.metrics) > 1000
    assert mlflow.get_run(active.info.run_id).data.metrics == pytest.approx(result.metrics)


def test_without_naming_it_only_this_evaluator_runs(model_uri: str, data: Path) -> None:
    sample = load_dataset(data).samples("test")[0]
    table = _table(sample)
    result = mlflow.models.evaluate(model_uri, table, model_type=MODEL_TYPE)
    assert result.metrics["count/exact"] == 1
    assert not CountingEvaluator.can_evaluate(model_type="classifier", evaluator_config={})


def test_a_model_of_another_flavour_is_refused(tracking: str, data: Path) -> None:
    sample = load_dataset(data).samples("test")[0]
    table = _table(sample)
    with pytest.raises(EvaluationError, match="expected a model of the camera_counting flavour"):
        mlflow.models.evaluate(
            lambda rows: [1] * len(rows), table, model_type=MODEL_TYPE, evaluators="camera-counting"
        )


def test_test_pictures_that_were_learnt_from_are_refused(model_uri: str, data: Path, tmp_path: Path) -> None:
    manifest = load_dataset(data).manifest
    splits = {**manifest.splits, "train": (*manifest.splits["train"], manifest.splits["test"][0])}
    leaking = Manifest(**{**dict(manifest), "splits": splits, "digest": ""})
    (tmp_path / "dataset.json").write_text(leaking.signed().to_json())
    with pytest.raises(EvaluationError, match=r"test picture images/test/000\.png is also"):
        run(EvaluateSettings(model_uri=model_uri, data=tmp_path))


@pytest.mark.parametrize("said", [True, False], ids=["its split says so", "frames are named after it"])
def test_a_clip_that_was_learnt_from_is_refused(model_uri: str, data: Path, tmp_path: Path, said: bool) -> None:
    manifest = load_dataset(data).manifest
    changes: dict[str, object] = {"clips": (manifest.clips[0].model_copy(update={"split": "val"}),)}
    if not said:
        frame = manifest.splits["train"][0].model_copy(update={"file": "images/train/drive__000004.png"})
        changes = {"splits": {**manifest.splits, "train": (frame,)}}
    leaking = Manifest(**{**dict(manifest), **changes, "digest": ""})
    (tmp_path / "dataset.json").write_text(leaking.signed().to_json())
    with pytest.raises(EvaluationError, match=r"the clip drive was learnt from.*--clips false"):
        run(EvaluateSettings(model_uri=model_uri, data=tmp_path))


def test_the_clip_is_a_clip(data: Path) -> None:
    with open_source(data / "clips" / "drive") as source:
        assert sum(1 for _ in source) == FRAMES


def test_a_picture_that_stands_there_twice_counts_once(model_uri: str, data: Path, tmp_path: Path) -> None:
    """As a frozen camera leaves them: the same bytes under two names."""
    folder = tmp_path / "set"
    shutil.copytree(data, folder)
    manifest = load_dataset(folder).manifest
    first = manifest.splits["test"][0]
    again = first.model_copy(update={"file": "images/test/frozen.png"})
    shutil.copy(folder / first.file, folder / again.file)
    splits = {**manifest.splits, "test": (*manifest.splits["test"], again)}
    doubled = Manifest(**{**dict(manifest), "splits": splits, "digest": ""})
    (folder / "dataset.json").write_text(doubled.signed().to_json())
    settings = EvaluateSettings(model_uri=model_uri, data=folder, clips=False, robustness=False, behaviour=False)
    assert run(settings).metrics["pictures"] == 6

    other = again.model_copy(update={"boxes": (), "labels": ()})
    splits["test"] = (*manifest.splits["test"], other)
    doubled = Manifest(**{**dict(manifest), "splits": splits, "digest": ""})
    (folder / "dataset.json").write_text(doubled.signed().to_json())
    with pytest.raises(EvaluationError, match=r"frozen\.png is the same picture as"):
        run(settings)
