"""The evaluation step: hard conditions, behaviour, and other models on the same frames, on a real MLflow."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from mlflow import MlflowClient

import camera_counting
from counting_evaluator import EvaluationError
from model_governance import collect
from pipelines.against import find_other, recorded_tables
from pipelines.datasets.errors import EmptySplitError
from pipelines.datasets.manifest import Manifest, PreparedDataset, load_dataset, sha256
from pipelines.datasets.mlflow_dataset import CameraDataset, StoredSource
from pipelines.datasets.store import ContentStore
from pipelines.evaluate import EvaluateSettings, run
from pipelines.labelled_table import stored_source
from pipelines.leaks import refuse_learnt
from tests.own_store import own_store
from tests.planted_faults import plant, street
from tests.toy_detector import build

NAME = "street-counter"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with data, detectors and a store of its own."""
    folder = tmp_path_factory.mktemp("place")
    with own_store(folder):
        street(folder / "data", test=12)
        build(folder / "sound.onnx", size=(256, 256))
        yield folder


def log(place: Path, fault: str = "none") -> str:
    detector = plant(fault, place / "sound.onnx", place / f"{fault.replace(' ', '_')}.onnx")
    dataset = load_dataset(place / "data")
    with mlflow.start_run():
        mlflow.log_input(CameraDataset(dataset, stored_source(dataset), "train"), context="training")
        return str(camera_counting.log_model(detector, confidence=0.5).model_uri)


@pytest.fixture(scope="module")
def sound(place: Path) -> str:
    return log(place)


def quick(place: Path, uri: str, **options: object) -> EvaluateSettings:
    plain = {"robustness": False, "behaviour": False, "worst": 0, "name": NAME}
    return EvaluateSettings(model_uri=uri, **{"data": place / "data", **plain, **options})


def evaluations(uri: str) -> int:
    runs = mlflow.search_runs(
        filter_string=f"tags.step = 'evaluate' and tags.model_uri = '{uri}'", output_format="list"
    )
    return len(runs)


def test_what_is_measured_besides_is_evidence_too(place: Path, sound: str) -> None:
    result = run(EvaluateSettings(model_uri=sound, data=place / "data", sample=4))
    shown = collect(sound)
    for name in (
        "robustness/night/count/mae",
        "robustness/moved_camera/detection/map50_ratio",
        "robustness/mean/count/mae_ratio",
        "behaviour/mirrored",
        "against/baseline/count/mae/low",
        "data/test_pictures_learnt",
    ):
        assert shown.metrics[name].value == result.metrics[name]
        assert shown.metrics[name].dataset_digest == load_dataset(place / "data").digest[:16]
    assert result.metrics["robustness/pictures"] == result.metrics["behaviour/mirrored/n"] == 4
    assert result.metrics["behaviour/mirrored"] == result.metrics["behaviour/grey"] == 0
    assert result.metrics["against/baseline/count/mae/difference"] < 0, (
        "a detector that sees is better than a guess"
    )
    files = {each.path for each in MlflowClient().list_artifacts(result.run_id, "robustness")}
    assert files == {"robustness/count_error_by_condition.png", "robustness/conditions.jpg"}
    table = mlflow.load_table("robustness.json", run_ids=[result.run_id])
    assert len(table) == 10


def test_no_picture_is_kept_where_nobody_asked_for_one(place: Path, sound: str) -> None:
    result = run(EvaluateSettings(model_uri=sound, data=place / "data", sample=2, worst=0, against=()))
    kept = [
        each.path
        for folder in ("evaluation", "robustness")
        for each in MlflowClient().list_artifacts(result.run_id, folder)
    ]
    assert kept
    assert not [path for path in kept if path.endswith(".jpg")]


def test_the_baseline_is_the_mean_of_the_training_pictures_of_that_camera(place: Path, sound: str) -> None:
    dataset = load_dataset(place / "data")
    by_camera: dict[str | None, list[int]] = {}
    for sample in dataset.samples("train"):
        by_camera.setdefault(sample.camera, []).append(len(sample.labels))
    errors = [
        abs(len(sample.labels) - sum(by_camera[sample.camera]) / len(by_camera[sample.camera]))
        for sample in dataset.samples("test")
    ]
    metrics = run(quick(place, sound)).metrics
    assert metrics["against/baseline/count/mae/theirs"] == pytest.approx(sum(errors) / len(errors))
    assert metrics["against/baseline/count/mae/n"] == 12


def test_a_test_picture_that_was_altered_since_is_named(place: Path, sound: str, tmp_path: Path) -> None:
    shutil.copytree(place / "data", tmp_path / "data")
    altered = tmp_path / "data" / load_dataset(place / "data").manifest.splits["test"][3].file
    altered.write_bytes(altered.read_bytes() + b" ")
    with pytest.raises(EvaluationError, match=r"test picture 003\.png is not the one.*altered"):
        run(quick(place, sound, data=tmp_path / "data"))


def test_data_without_test_pictures_are_refused_before_a_run_begins(
    place: Path, sound: str, tmp_path: Path
) -> None:
    manifest = load_dataset(place / "data").manifest
    left = {name: entries for name, entries in manifest.splits.items() if name != "test"}
    folder = tmp_path / "data"
    shutil.copytree(place / "data", folder)
    without = Manifest(**{**dict(manifest), "splits": left, "digest": ""}).signed()
    (folder / "dataset.json").write_text(without.to_json())
    before = evaluations(sound)
    with pytest.raises(EmptySplitError, match=r"pictures in the test split of .*--test 0\.2"):
        run(quick(place, sound, data=folder))
    assert evaluations(sound) == before


def test_another_model_is_measured_once_and_its_record_used_from_then_on(place: Path, sound: str) -> None:
    worse, other = log(place, "drops a class"), log(place, "counts double")
    before = evaluations(other)
    metrics = run(quick(place, worse, against=(other,))).metrics
    assert (before, evaluations(other)) == (0, 1)
    assert MlflowClient().get_run(collect(other).run_id).data.metrics == {}, "its training is not told"
    label = other.rpartition("/")[2]
    objects = sum(len(sample.labels) for sample in load_dataset(place / "data").samples("test"))
    cars = sum(sample.labels.count("car") for sample in load_dataset(place / "data").samples("test"))
    assert metrics[f"against/{label}/count/mae/difference"] == pytest.approx((cars - objects) / 12)
    assert metrics[f"against/{label}/count/bias/difference"] == pytest.approx(-(cars + objects) / 12)
    assert 0.3 < metrics[f"against/{label}/latency/ratio"] < 3

    run(quick(place, worse, against=(other,)))
    assert evaluations(other) == 1


def test_another_model_does_not_take_the_run_that_was_made_for_this_evaluation(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`mlflow run` and a repetition begin the run themselves and hand its id on."""
    mine, other = log(place), log(place, "counts double")
    made = MlflowClient().create_run("0", tags={"lineage.rerun_of": "x"}).info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", made)
    result = run(quick(place, mine, against=(other,)))
    assert (result.run_id, result.evidence) == (made, False), "a repetition is no evidence"
    assert mlflow.get_run(made).data.tags["model_uri"] == mine
    assert evaluations(other) == 1


def test_labels_that_were_changed_since_are_measured_anew(place: Path, sound: str) -> None:
    """The same pictures with other labels are other data: no record of the first counts."""
    manifest = load_dataset(place / "data").manifest
    changed = manifest.splits["test"][0].model_copy(update={"boxes": (), "labels": ()})
    splits = {**manifest.splits, "test": (changed, *manifest.splits["test"][1:])}
    run(quick(place, sound))
    assert recorded_tables(sound, load_dataset(place / "data"), clips=False) is not None
    relabelled = manifest.model_copy(update={"splits": splits, "digest": ""}).signed()
    assert recorded_tables(sound, PreparedDataset(place / "data", relabelled), clips=False) is None
    assert recorded_tables(sound, load_dataset(place / "data"), clips=True) is None, "clips were not counted"


def test_a_table_that_was_changed_since_is_measured_anew(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine, dataset = log(place), load_dataset(place / "data")
    run_id = run(quick(place, mine)).run_id
    assert recorded_tables(mine, dataset, clips=False) is not None
    table = mlflow.artifacts.load_text(f"runs:/{run_id}/evaluation_table.json")
    MlflowClient().log_text(run_id, table.replace("[", "[ ", 1), "evaluation_table.json")
    assert recorded_tables(mine, dataset, clips=False) is None
    assert f"is measured anew: evaluation_table.json of run {run_id} has digest" in capsys.readouterr().err


def test_a_version_and_the_champion_by_name(place: Path, sound: str, capsys: pytest.CaptureFixture[str]) -> None:
    run(quick(place, sound, against=("champion",)))
    assert "street-counter has no champion yet to compare with" in capsys.readouterr().err
    client = MlflowClient()
    client.create_registered_model(NAME)
    version = client.create_model_version(NAME, sound).version
    client.set_registered_model_alias(NAME, "champion", version)
    metrics = run(quick(place, sound, against=("champion", f"v{version}"))).metrics
    for name in ("champion", f"v{version}"):
        assert metrics[f"against/{name}/count/mae/difference"] == 0
        assert metrics[f"against/{name}/count/mae/p"] == 1
    assert find_other(f"models:/{NAME}/{version}", NAME).name == f"v{version}"
    with pytest.raises(EvaluationError, match="would both be called v1: compare with one"):
        run(quick(place, sound, against=(f"v{version}", f"models:/{NAME}/{version}")))


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        ("v3", "v3"),
        ("models:/mine/3", "v3"),
        ("models:/hall/3", "hall_v3"),
        ("models:/baseline/3", "baseline_v3"),
        ("models:/champion/3", "champion_v3"),
        ("models:/mine@champion", "mine_champion"),
        ("runs:/0123/baseline", "model_baseline"),
        ("runs:/0123/champion", "model_champion"),
        ("runs:/0123/v7", "model_v7"),
        ("somewhere/..", "model_.."),
        ("models:/m-12", "m-12"),
    ],
)
def test_only_the_registered_models_own_are_called_champion_or_a_version(wanted: str, name: str) -> None:
    found = find_other(wanted, "mine")
    assert found is not None
    assert found.name == name


def test_options_are_read_from_the_command_line() -> None:
    read = EvaluateSettings.from_command_line(
        ["--model_uri", "models:/m-1", "--data", "d", "--against", "baseline,champion,v3", "--sample", "30"]
    )
    assert read.against == ("baseline", "champion", "v3")
    assert (read.sample, read.robustness, read.behaviour) == (30, True, True)


def trained_on(place: Path, dataset: PreparedDataset, source: StoredSource, split: str = "train") -> str:
    with mlflow.start_run() as active:
        mlflow.log_input(CameraDataset(dataset, source, split), context="training")
        mlflow.log_input(CameraDataset(dataset, source, "test"), context="test")
    return str(active.info.run_id)


def test_what_was_learnt_from_an_older_data_set_is_known_by_its_pictures(place: Path, tmp_path: Path) -> None:
    """Last year's training pictures are among this year's test pictures: only the store knows."""
    tested = load_dataset(place / "data")
    street(tmp_path / "older", seed=8)
    manifest = load_dataset(tmp_path / "older").manifest
    shared = tested.manifest.splits["test"][4]
    file = "images/train/shared.png"
    shutil.copy(place / "data" / shared.file, tmp_path / "older" / file)
    assert sha256(tmp_path / "older" / file) == shared.sha256
    store = ContentStore(tmp_path / "store")

    def kept(extra: bool) -> tuple[PreparedDataset, StoredSource]:
        train = manifest.splits["train"] + ((shared.model_copy(update={"file": file}),) if extra else ())
        older = Manifest(
            **{**dict(manifest), "splits": {**manifest.splits, "train": train}, "digest": ""}
        ).signed()
        (tmp_path / "older" / "dataset.json").write_text(older.to_json())
        digest = store.put_dataset(tmp_path / "older")
        return load_dataset(tmp_path / "older"), StoredSource(str(tmp_path / "store"), digest)

    assert refuse_learnt(tested, trained_on(place, *kept(extra=False))), "nothing in common, and all of it known"
    older, source = kept(extra=True)
    run_id = trained_on(place, older, source)
    with pytest.raises(EvaluationError, match=rf"1 of the 12 test pictures, {shared.file} among.*street-train"):
        refuse_learnt(tested, run_id)
    assert refuse_learnt(tested, trained_on(place, older, source, "val")), "that split does not hold it"
    shutil.rmtree(tmp_path / "store")
    assert not refuse_learnt(tested, run_id), "nobody can tell"


def test_what_an_earlier_models_weights_learnt_is_learnt_too(place: Path) -> None:
    """A model trained from the checkpoint of one that was trained from one that saw the test pictures."""
    tested = load_dataset(place / "data")
    source, client = stored_source(tested), MlflowClient()
    digests = [character * 64 for character in "abc"]

    def grown(*, made: str, begun_with: str | None, split: str) -> str:
        run_id = trained_on(place, tested, source, split)
        client.set_tag(run_id, "checkpoint_digest", made)
        client.log_param(run_id, "weights", "None" if begun_with is None else "somewhere/else.pt")
        client.log_param(run_id, "weights_digest", str(begun_with))
        return run_id

    grown(made="f" * 64, begun_with=None, split="train")
    sound = grown(made="e" * 64, begun_with="f" * 64, split="train")
    assert refuse_learnt(tested, sound), "all that it goes back to is known, and none of it was tested"
    first = grown(made=digests[0], begun_with=None, split="test")
    grown(made=digests[1], begun_with=digests[0], split="train")
    last = grown(made=digests[2], begun_with=digests[1], split="train")
    with pytest.raises(
        EvaluationError, match=f"12 of the 12 test pictures.*run {first}, whose weights it goes back"
    ):
        refuse_learnt(tested, last)


def test_a_run_that_names_no_data_or_strange_ones_tells_nothing(place: Path) -> None:
    tested = load_dataset(place / "data")
    with mlflow.start_run() as silent:
        pass
    assert not refuse_learnt(tested, silent.info.run_id)
    with mlflow.start_run() as strange:
        mlflow.log_input(mlflow.data.from_pandas(pd.DataFrame({"a": [1.0]}), name="a-train"), context="training")
    assert not refuse_learnt(tested, strange.info.run_id)


@pytest.mark.parametrize("context", ["thresholds", "calibration", "validation"])
def test_a_threshold_or_a_rounding_fitted_on_test_pictures_is_learnt_too(place: Path, context: str) -> None:
    tested = load_dataset(place / "data")
    source = stored_source(tested)
    with mlflow.start_run() as leaking:
        mlflow.log_input(CameraDataset(tested, source, "train"), context="training")
        mlflow.log_input(CameraDataset(tested, source, "test"), context=context)
    with pytest.raises(EvaluationError, match=f"12 of the 12 test pictures.*as its input for {context}"):
        refuse_learnt(tested, leaking.info.run_id)
    with mlflow.start_run() as rounded:
        mlflow.log_input(CameraDataset(tested, source, "val"), context=context)
    assert not refuse_learnt(tested, rounded.info.run_id), "of its weights it says nothing"
