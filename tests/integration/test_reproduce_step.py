"""Runs that are made again from their records: the same to the last bit, or a sentence that says why not."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient
from rectangles import write_rectangles
from toy_detector import build

import camera_counting
from model_governance import collect
from pipelines import evaluate, prepare, train
from pipelines.datasets.errors import StoreError
from pipelines.datasets.store import ContentStore
from pipelines.reproduce import ReproduceResult, ReproduceSettings, main, run
from pipelines.reproduction.comparison import Facts, compare
from pipelines.reproduction.errors import ReproductionError
from run_lineage import RecordError
from tests.empty_store import empty_store

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Recorded:
    """A store in which one run of each step was recorded, from this very checkout."""

    folder: Path
    data: Path
    prepared: str
    trained: str
    evaluated: str
    model_uri: str


def git(root: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def recorded(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    if not (root / ".git").exists():
        pytest.skip("no git checkout: there is no commit to go back to")
    folder = tmp_path_factory.mktemp("recorded")
    uri = empty_store(folder)
    before = mlflow.get_tracking_uri()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setenv("OMP_NUM_THREADS", "1")
        for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
            patch.delenv(name, raising=False)
        mlflow.set_tracking_uri(uri)
        mlflow.set_registry_uri(uri)
        experiment = mlflow.create_experiment("recorded", artifact_location=str(folder / "artifacts"))
        patch.setenv("MLFLOW_EXPERIMENT_ID", experiment)
        yield _record(folder, root)
    mlflow.set_tracking_uri(before)
    mlflow.set_registry_uri(before)


def _record(folder: Path, root: Path) -> Recorded:
    small = {"pictures": 12, "cameras": 2, "width": 96, "height": 72, "days": 4, "clips": 0}
    prepared = prepare.run(prepare.PrepareSettings(out=folder / "prepared", **small))
    data = write_rectangles(folder / "set", pictures={"train": 8, "val": 2, "test": 4}, size=(192, 128))
    ContentStore(folder / "store").put_dataset(data)
    trained = train.run(
        train.TrainSettings(
            data=data,
            work=folder / "work",
            model="tests/tiny_yolo.yaml",
            epochs=2,
            image_size=64,
            batch=4,
            device="cpu",
            confidence=0.2,
            options={"lr0": 0.01, "mosaic": 0.0, "plots": False},
        )
    )
    detector = build(folder / "toy.onnx", size=(256, 256))
    with mlflow.start_run(run_name="training"):
        model_uri = str(camera_counting.log_model(detector, confidence=0.5).model_uri)
    evaluated = evaluate.run(evaluate.EvaluateSettings(model_uri=model_uri, data=data))
    shutil.rmtree(data)  # only the store has it from now on
    return Recorded(folder, data, prepared.run_id, trained.run_id, evaluated.run_id, model_uri)


def again(recorded: Recorded, run_id: str, **changes: object) -> ReproduceSettings:
    return ReproduceSettings.model_validate({"run_id": run_id, "work": recorded.folder / "scratch", **changes})


def test_a_training_comes_out_the_same_to_the_last_bit(recorded: Recorded, root: Path) -> None:
    result = run(again(recorded, recorded.trained, tolerance=0))
    assert result.comparison.verdict == "identical", result.comparison.sentence
    compared = {row.name for row in result.comparison.compared}
    assert {"train/box_loss", "val/map50", "confidence", "model/camera_counting/detector.onnx"} <= compared
    assert {row.name for row in result.comparison.rows if row.standing == "told"} >= {"seconds"}
    done = mlflow.get_run(result.run_id)
    assert done.data.tags["reproduces"] == recorded.trained
    assert done.data.tags["reproduction.verdict"] == "identical"
    table = mlflow.load_table("reproduction/comparison.json", run_ids=[result.run_id])
    assert set(table["name"]) >= compared
    assert mlflow.get_run(result.rerun_id).data.tags["mlflow.parentRunId"] == result.run_id
    assert str(recorded.folder) not in git(root, "worktree", "list")
    assert list((recorded.folder / "scratch").iterdir()) == [], "nothing is left of the scratch place"


def test_a_data_set_is_prepared_again(recorded: Recorded) -> None:
    result = run(again(recorded, recorded.prepared, tolerance=0))
    assert result.comparison.verdict == "identical", result.comparison.sentence
    digest = mlflow.get_run(recorded.prepared).data.tags["dataset_digest"]
    assert {row.recorded for row in result.comparison.rows if row.kind == "data"} == {digest}


def test_an_evaluation_is_repeated_and_is_no_new_evidence(recorded: Recorded) -> None:
    before = collect(recorded.model_uri)
    result = run(again(recorded, recorded.evaluated, tolerance=0))
    assert result.comparison.verdict == "identical", result.comparison.sentence
    assert "count/mae" in {row.name for row in result.comparison.compared}
    after = collect(recorded.model_uri)
    assert (after.evaluation_run_id, after.digest) == (before.evaluation_run_id, before.digest)
    assert mlflow.get_run(result.rerun_id).data.tags["evidence"] == "false"


def test_what_lies_outside_ends_with_exit_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    outside = compare(Facts({"count/mae": [0.5]}), Facts({"count/mae": [0.9]}), 0.01)
    monkeypatch.setattr("pipelines.reproduce.run", lambda settings: ReproduceResult("r", "s", outside))
    monkeypatch.setattr("sys.argv", ["reproduce", "--run_id", "r"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1


def test_a_commit_that_is_not_there_is_named(recorded: Recorded) -> None:
    commit = mlflow.get_run(recorded.trained).data.tags["lineage.git_commit"]
    MlflowClient().set_tag(recorded.trained, "lineage.git_commit", "f" * 40)
    try:
        with pytest.raises(ReproductionError, match=f"{'f' * 40} is not in .*git fetch"):
            run(again(recorded, recorded.trained))
    finally:
        MlflowClient().set_tag(recorded.trained, "lineage.git_commit", commit)


def test_settings_that_were_changed_since_are_refused(recorded: Recorded) -> None:
    path = Path(str(mlflow.get_run(recorded.trained).info.artifact_uri)) / "lineage" / "settings.json"
    text = path.read_text()
    path.write_text(text.replace('"epochs": 2', '"epochs": 9'))
    try:
        with pytest.raises(RecordError, match=r"settings\.json .* exchanged since"):
            run(again(recorded, recorded.trained))
    finally:
        path.write_text(text)


def test_a_store_that_was_altered_or_lost_is_refused_before_a_run_begins(
    recorded: Recorded, tmp_path: Path
) -> None:
    runs = len(mlflow.search_runs())
    store = tmp_path / "store"
    shutil.copytree(recorded.folder / "store", store)
    digest = mlflow.get_run(recorded.trained).data.tags["lineage.data"]
    listing = json.loads((store / "datasets" / f"{digest}.json").read_text())["files"]
    picture = next(content for name, content in listing.items() if name.startswith("images/train"))
    (store / "objects" / picture[:2] / picture[2:]).write_bytes(b"another picture")
    with pytest.raises(StoreError, match="altered"):
        run(again(recorded, recorded.trained, store=str(store)))
    with pytest.raises(StoreError, match="expected data set"):
        run(again(recorded, recorded.trained, store=str(tmp_path / "empty")))
    assert len(mlflow.search_runs()) == runs


def test_another_environment_is_refused_with_the_packages_that_differ(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    from run_lineage.machine import installed

    other = ["torch==1.0" if line.startswith("torch==") else line for line in installed() if "optuna" not in line]
    monkeypatch.setattr("pipelines.reproduction.place.installed", lambda: other)
    with pytest.raises(ReproductionError, match=r"optuna .*not installed; torch .*here 1\.0\. Give --env uv"):
        run(again(recorded, recorded.trained))


def test_a_step_that_fails_this_time_says_how(recorded: Recorded) -> None:
    model = MlflowClient().get_logged_model(recorded.model_uri.removeprefix("models:/"))
    detector = next(Path(model.artifact_location).rglob("detector.onnx"))
    content = detector.read_bytes()
    detector.write_bytes(content[:-1] + b"\0")
    try:
        with pytest.raises(ReproductionError, match="exit code 1 this time"):
            run(again(recorded, recorded.evaluated))
    finally:
        detector.write_bytes(content)
    failed = mlflow.search_runs(filter_string=f"tags.`lineage.rerun_of` = '{recorded.evaluated}'").iloc[0]
    assert failed["status"] == "FAILED"


def test_a_run_of_no_step_has_no_record(recorded: Recorded) -> None:
    with mlflow.start_run() as other:
        pass
    with pytest.raises(RecordError, match="no record"):
        run(again(recorded, other.info.run_id))
