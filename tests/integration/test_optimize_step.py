"""The optimise step on a real MLflow: what is kept, what is refused and why, and what comes after it."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest
import yaml
from mlflow import MlflowClient
from PIL import Image
from rectangles import write_rectangles
from toy_convolutions import build_convolutional
from toy_detector import build

import camera_counting
from camera_counting.errors import ArtifactError
from counting_evaluator import EvaluationError
from model_governance import EvidenceError, artifact, collect
from pipelines import evaluate, optimize
from pipelines.datasets.manifest import load_dataset
from pipelines.datasets.mlflow_dataset import CameraDataset, StoredSource
from pipelines.optimisation import OptimisationError
from pipelines.optimisation.report import Row
from run_lineage import read_record


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "set"
    return write_rectangles(folder, pictures={"train": 6, "val": 6, "test": 6}, size=(192, 128))


def log_model(detector: Path, confidence: float = 0.5, data: Path | None = None) -> str:
    with mlflow.start_run(run_name="training"):
        if data is not None:
            dataset = load_dataset(data)
            source = StoredSource("nowhere", dataset.digest)
            mlflow.log_input(CameraDataset(dataset, source, "train"), context="training")
        return str(camera_counting.log_model(detector, confidence=confidence).model_uri)


def optimised(uri: str, data: Path, **settings: object) -> optimize.OptimizeResult:
    values = {"model_uri": uri, "data": data, "timed": 6, "rounds": 2, "shapes": ("own",)} | settings
    return optimize.run(optimize.OptimizeSettings.model_validate(values))


def policy(folder: Path, **rule: object) -> Path:
    """The project's own, with another section optimisation; without one where nothing is given."""
    content = yaml.safe_load((Path(optimize.__file__).parent / "policy.yaml").read_text())
    content |= {"optimisation": {"reason": "a test", **rule}} if rule else {"optimisation": None}
    path = folder / "policy.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def only(result: optimize.OptimizeResult) -> Row:
    (row,) = result.rows
    return row


def test_an_int8_model_counts_the_same_in_less_time(tracking: str, tmp_path: Path, data: Path) -> None:
    uri = log_model(build_convolutional(tmp_path / "toy.onnx", size=(256, 256)), data=data)
    result = optimised(uri, data, precisions=("int8",), seed=7)

    row = only(result)
    assert row.refusals == ()
    assert row.figures is not None
    assert row.figures.latency.ratio < 1
    assert row.figures.errors["count/mae_by_class"] == 0, "counts are those of FP32, which counts exactly"
    [kept] = result.kept
    model = camera_counting.load_model(kept.model_uri)
    sample = load_dataset(data).samples("test")[0]
    [before] = camera_counting.load_model(uri).count([sample.path])
    [after] = model.count([sample.path])
    assert after.counts == before.counts == {name: sample.labels.count(name) for name in ("person", "car")}

    parent = MlflowClient().get_logged_model(uri.removeprefix("models:/"))
    done = mlflow.get_run(kept.run_id)
    assert done.info.status == "FINISHED"
    tags = {name: done.data.tags[name] for name in ("change", "optimisation", "optimised_from", "step")}
    assert tags == {
        "change": "re-exported",
        "optimisation": "int8",
        "optimised_from": parent.model_id,
        "step": "optimize",
    }
    assert done.data.tags["optimised_from_digest"] == artifact.artifact_digest(parent.artifact_location)
    assert (done.data.params["seed"], done.data.params["preset"]) == ("7", "mixed")
    assert done.data.params["nncf"][0].isdigit()
    assert [(each.context, each.inherited_from) for each in collect(kept.model_uri).datasets] == [
        ("training", parent.source_run_id),
        ("thresholds", None),
    ]
    inputs = {
        (tag.value, each.dataset.name)
        for each in done.inputs.dataset_inputs
        for tag in each.tags
        if tag.key == "mlflow.data.context"
    }
    assert inputs == {
        ("training", "rectangles-train"),  # by the model that it was made of
        ("thresholds", "rectangles-val"),
    }
    metrics = done.data.metrics
    for figure in ("size_mb", "latency_p50_ms", "latency_p95_ms", "count/mae"):
        assert {f"optimisation/{figure}/before", f"optimisation/{figure}/after"} <= metrics.keys()
    assert metrics["optimisation/latency_p50_ms/after"] < metrics["optimisation/latency_p50_ms/before"]

    table = mlflow.load_table("optimisation.json", run_ids=[result.run_id])
    assert table["candidate"].tolist() == ["the model", "int8"]
    chosen = json.loads(mlflow.artifacts.load_text(f"runs:/{result.run_id}/calibration.json"))["pictures"]
    assert sorted(chosen) == sorted(entry.file for entry in load_dataset(data).manifest.splits["train"])
    plot = mlflow.artifacts.download_artifacts(f"runs:/{result.run_id}/optimisation/comparison.png")
    with Image.open(plot) as image:
        assert image.width > 800

    # it goes on like any candidate, and a second time there is nothing to gain
    evaluated = evaluate.run(evaluate.EvaluateSettings(model_uri=kept.model_uri, data=data, clips=False))
    assert evaluated.metrics["count/mae"] == 0
    evidence = collect(kept.model_uri)
    assert evidence.evaluation_run_id == evaluated.run_id
    assert {"training", "test"} <= {each.context for each in evidence.datasets}
    with pytest.raises(OptimisationError, match="is INT8 already, int8 could only lose"):
        optimised(kept.model_uri, data, precisions=("int8",))


def test_what_counts_worse_than_the_policy_allows_is_no_model(tracking: str, tmp_path: Path, data: Path) -> None:
    uri = log_model(build_convolutional(tmp_path / "toy.onnx", size=(256, 256), fragile=True))
    before = MlflowClient().search_logged_models(experiment_ids=["0"])
    result = optimised(uri, data, precisions=("int8",), keep=True)

    assert result.model.errors["count/mae"] == 0
    row = only(result)
    assert row.verdict is not None
    objects = sum(len(sample.labels) for sample in load_dataset(data).samples("val"))
    assert row.verdict.after == pytest.approx(objects / 6), "it sees nothing any more"
    [refusal] = row.refusals
    assert f"count/mae on the validation split went from 0 to {objects / 6:.4g}" in refusal
    assert f"that is {objects / 6 - 0.1:.4g} too much" in refusal
    assert result.kept == ()
    assert len(MlflowClient().search_logged_models(experiment_ids=["0"])) == len(before)
    assert mlflow.get_run(result.run_id).data.tags["accepted.int8"] == "false"


def test_a_threshold_is_fitted_anew_on_new_labels(tracking: str, tmp_path: Path, data: Path) -> None:
    uri = log_model(build(tmp_path / "toy.onnx", size=(256, 256)), confidence=0.97)  # its scores end at 0.95
    result = optimised(uri, data, only="thresholds")

    [kept] = result.kept
    row = only(result)
    assert row.verdict is not None
    objects = sum(len(sample.labels) for sample in load_dataset(data).samples("val"))
    assert (row.verdict.before, row.verdict.after) == (pytest.approx(objects / 6), 0)
    for run_id in (result.run_id, kept.run_id):
        record = read_record(run_id)
        assert (record.step, record.settings["model_uri"]) == ("optimize", uri)
        assert (record.settings["only"], record.data) == ("thresholds", (load_dataset(data).digest,))
    tags = mlflow.get_run(kept.run_id).data.tags
    assert tags["lineage.parent_version"] == uri.removeprefix("models:/")
    assert tags["change"] == "re-thresholded"
    model, old = camera_counting.load_model(kept.model_uri), camera_counting.load_model(uri)
    assert model.confidence < 0.95
    assert model.digest != old.digest
    files = [
        artifact.read_artifact(MlflowClient().get_logged_model(each.removeprefix("models:/")).artifact_location)[0]
        for each in (uri, kept.model_uri)
    ]
    detectors = [{file.sha256 for file in each.files if "detector." in file.path} for each in files]
    assert detectors[0] == detectors[1], "the detector is left as it is"
    again = optimised(kept.model_uri, data, only="thresholds")
    assert again.kept == ()
    assert "another threshold counts no better" in only(again).refusals[0]


def test_what_an_earlier_optimisation_looked_at_is_not_forgotten(
    tracking: str, tmp_path: Path, data: Path
) -> None:
    """The ranges of an INT8 model were measured on test pictures: fitted anew, it still has seen them."""
    dataset = load_dataset(data)
    with mlflow.start_run():
        source = StoredSource("nowhere", dataset.digest)
        mlflow.log_input(CameraDataset(dataset, source, "test"), context="calibration")
        detector = build(tmp_path / "toy.onnx", size=(256, 256))
        uri = str(camera_counting.log_model(detector, confidence=0.97).model_uri)
    [kept] = optimised(uri, data, only="thresholds").kept
    with pytest.raises(EvaluationError, match=r"6 of the 6 test pictures.*as its input for calibration"):
        evaluate.run(evaluate.EvaluateSettings(model_uri=kept.model_uri, data=data, clips=False))


def test_what_gains_nothing_is_kept_only_where_somebody_wants_it(
    tracking: str, tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # the graph of a toy takes more room as OpenVINO's XML than its few weights can save
    uri = log_model(build(tmp_path / "toy.onnx", size=(256, 256)))
    arguments = ["optimize", "--model_uri", uri, "--data", str(data), "--precisions", "fp16", "--timed", "2"]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit, match="nothing was kept"):
        optimize.main()
    assert "fp16" in (said := capsys.readouterr().err)
    assert "it is not smaller" in said

    monkeypatch.setattr(sys, "argv", [*arguments, "--keep", "true", "--shapes", "own"])
    optimize.main()
    assert "evaluate it before it is registered" in capsys.readouterr().out


def test_what_cannot_be_made_is_told_beside_what_can(tracking: str, tmp_path: Path, data: Path) -> None:
    # the toy's cells are no grid of 8, 16 and 32 pixels
    uri = log_model(build_convolutional(tmp_path / "toy.onnx", size=(256, 256)))
    result = optimised(uri, data, precisions=("own", "fp16"), shapes=("own", "128x128"), keep=True)
    rows = {row.name: row for row in result.rows}
    assert rows.keys() == {"128x128", "fp16", "fp16-128x128"}
    assert [kept.name for kept in result.kept] == ["fp16"]
    assert "nobody can prove that it is the same detector" in rows["128x128"].sentence()
    assert (
        "no convolution"
        in only(
            optimised(log_model(build(tmp_path / "plain.onnx", size=(256, 256))), data, precisions=("int8",))
        ).sentence()
    )


def _without(split: str) -> Callable[[Path, Path], None]:
    def change(data: Path, folder: Path) -> None:
        write_rectangles(data, pictures={name: 2 for name in ("train", "val", "test") if name != split})

    return change


def _missing(data: Path, folder: Path) -> None:
    (data / "images" / "train" / "000.png").unlink()


def _altered(data: Path, folder: Path) -> None:
    shutil.copyfile(data / "images" / "train" / "000.png", data / "images" / "train" / "001.png")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_without("train"), "expected pictures in the train split"),
        (_without("val"), "expected pictures in the val split"),
        (_missing, r"the calibration picture images/train/000.png .* cannot be read"),
        (_altered, r"the calibration picture images/train/001.png .* was altered"),
    ],
)
def test_data_that_do_not_serve(
    tracking: str, tmp_path: Path, spoil: Callable[[Path, Path], None], words: str
) -> None:
    data = tmp_path / "set"
    if spoil in (_missing, _altered):
        write_rectangles(data, pictures={"train": 2, "val": 2, "test": 2})
    spoil(data, tmp_path)
    uri = log_model(build_convolutional(tmp_path / "toy.onnx", size=(256, 256)))
    with pytest.raises(OptimisationError, match=words):
        optimised(uri, data, precisions=("int8",))
    assert len(mlflow.search_runs(search_all_experiments=True)) == 1, "nothing but the training"


def test_policies_and_models_that_do_not_serve(tracking: str, tmp_path: Path, data: Path) -> None:
    uri = log_model(build(tmp_path / "toy.onnx", size=(256, 256)))
    with pytest.raises(OptimisationError, match="does not say how much an optimised model may lose"):
        optimised(uri, data, policy=policy(tmp_path))
    with pytest.raises(OptimisationError, match=r"names the metric 'line/error'.*expected a count error"):
        optimised(uri, data, policy=policy(tmp_path, metric="line/error", worse_by_at_most=0.1))
    with pytest.raises(OptimisationError, match="there is nothing to make of it"):
        optimised(uri, data, precisions=("own",))
    with pytest.raises(OptimisationError, match="shapes: expected multiples of 32 up to the model's own 256x256"):
        optimised(uri, data, shapes=("512x512",))
    with pytest.raises(EvidenceError, match="no model at"):
        optimised("models:/m-0000", data)
    location = Path(
        MlflowClient().get_logged_model(uri.removeprefix("models:/")).artifact_location.removeprefix("file://")
    )
    (location / "camera_counting" / "detector.onnx").unlink()
    with pytest.raises(ArtifactError, match=r"detector.onnx is missing"):
        optimised(uri, data)
    shutil.rmtree(location)
    with pytest.raises(EvidenceError, match="no MLflow model at"):
        optimised(uri, data)
