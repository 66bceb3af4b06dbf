"""The search step on a real MLflow: trials below one run, killed and gone on with, stopped, failed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import pytest
import yaml
from mlflow import MlflowClient
from mlflow.entities import Run
from rectangles import write_rectangles

import camera_counting
from pipelines.datasets.manifest import load_dataset
from pipelines.search.space import SearchError
from pipelines.tune import TuneSettings, run
from run_lineage import read_record
from tests.postgres import postgres

pytestmark = pytest.mark.slow

TINY = {"trainer": "ultralytics", "model": str(Path(__file__).parents[1] / "tiny_yolo.yaml")}
OPTIONS = {"mosaic": {"choices": [0.0]}, "plots": {"choices": [False]}}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_rectangles(tmp_path_factory.mktemp("data") / "set", pictures={"train": 8, "val": 4, "test": 1})


def _space(folder: Path, *, rates: list[float], architectures: list[dict[str, str]] | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "space.yaml"
    content = {
        "architectures": architectures or [TINY],
        "settings": {"image_size": {"choices": [64]}, "batch": {"choices": [4]}},
        "options": {"ultralytics": OPTIONS | {"lr0": {"choices": rates}}},
    }
    path.write_text(yaml.safe_dump(content))
    return path


def _settings(data: Path, folder: Path, space: Path, **changes: object) -> TuneSettings:
    values: dict[str, object] = {
        "data": data, "space": space, "work": folder / "work", "device": "cpu", "epochs": 2, "trials": 2,
    }  # fmt: skip
    return TuneSettings.model_validate(values | changes)


def _run_of(epochs: Path) -> Run:
    return mlflow.get_run(json.loads(epochs.with_name("run.json").read_text())["run_id"])


_CHILD = """
import sys
from pipelines.tune import TuneSettings, run
run(TuneSettings.model_validate_json(sys.argv[1]))
"""


def test_a_killed_search_goes_on_where_it_was(data: Path, tracking: str, tmp_path: Path, root: Path) -> None:
    # One of the networks does not exist: its trials fail, it is told, and the others go on.
    architectures = [TINY, {"trainer": "ultralytics", "model": "no-such.yaml"}]
    space = _space(tmp_path, rates=[0.01, 0.005], architectures=architectures)
    settings = _settings(data, tmp_path, space, trials=4, epochs=3, prune=False)
    environment = {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{root / 'plugins'}", "OMP_NUM_THREADS": "1"}
    child = subprocess.Popen(
        [sys.executable, "-c", _CHILD, settings.model_dump_json()], env=environment, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 240
    try:
        # In the middle of a training: its first epoch is on disk.
        while not (begun := sorted((tmp_path / "work" / "tune").glob("trial-*/*/epochs.json"))):
            assert child.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        child.send_signal(signal.SIGKILL)
    finally:
        child.wait(timeout=60)
    killed = _run_of(begun[0])
    assert killed.info.status == "RUNNING"

    result = run(settings)
    assert sorted(result.table["state"]) == ["complete", "complete", "failed", "failed"]
    reasons = result.table.loc[result.table["state"] == "failed", "reason"]
    assert all("no-such.yaml" in reason for reason in reasons)
    taken = result.table[result.table["trial"] == int(begun[0].parts[-3].removeprefix("trial-"))].iloc[0]
    assert taken["run_id"] == killed.info.run_id, "the same training, in the same run"
    history = MlflowClient().get_metric_history(killed.info.run_id, "val/map50")
    assert [metric.step for metric in history] == [1, 2, 3], "each epoch once"

    trained = [row for row in result.table.to_dict("records") if row["state"] == "complete"]
    assert len({json.dumps(row["options"], sort_keys=True) for row in trained}) == 2, "no trial twice"
    for row in trained:
        child_run = mlflow.get_run(row["run_id"])
        assert child_run.data.tags["mlflow.parentRunId"] == result.run_id
        assert child_run.data.metrics["val/count_mae_by_class"] == pytest.approx(row["count_error"])
        assert camera_counting.load_model(row["model_uri"]).names == ("person", "car")
    parent = mlflow.get_run(result.run_id)
    assert parent.info.status == "FINISHED"
    names = {dataset.dataset.name for dataset in parent.inputs.dataset_inputs}
    assert names == {"rectangles-train", "rectangles-val"}, "the test split is not looked at"
    files = {each.path for each in MlflowClient().list_artifacts(result.run_id)}
    assert {"trials.json", "pareto.png", "search_space.json"} <= files

    again = run(settings)
    assert again.run_id == result.run_id
    before, after = (
        table[table["state"] == "complete"]["run_id"].tolist() for table in (result.table, again.table)
    )
    assert before == after, "nothing that worked is trained again"
    failed = [table.loc[table["state"] == "failed", "attempt"].tolist() for table in (result.table, again.table)]
    assert sorted(failed[1]) == [attempt + 1 for attempt in sorted(failed[0])], "what failed is tried once more"
    with pytest.raises(SearchError, match="epochs was 3, is 2"):
        run(settings.model_copy(update={"epochs": 2}))


def test_what_is_too_slow_is_stopped_and_a_search_without_a_result_fails(
    data: Path, tracking: str, tmp_path: Path
) -> None:
    space = _space(tmp_path, rates=[0.01])
    with pytest.raises(SearchError, match=r"none of 1 trials was finished: a picture takes .* at most 0\.001"):
        run(_settings(data, tmp_path, space, trials=1, epochs=3, latency_limit_ms=0.001))
    [stopped] = [run for run in mlflow.search_runs(output_format="list") if "mlflow.parentRunId" in run.data.tags]
    assert stopped.info.status == "KILLED"
    assert stopped.data.tags["tune.state"] == "stopped"
    history = MlflowClient().get_metric_history(stopped.info.run_id, "val/map50")
    assert [metric.step for metric in history] == [1], "after its first epoch"


def test_a_search_in_postgresql_goes_on_and_tries_again_what_failed(
    data: Path, tracking: str, tmp_path: Path
) -> None:
    space = _space(tmp_path, rates=[0.01, 0.005])
    network = tmp_path / "tiny_yolo.yaml"
    content = yaml.safe_load(space.read_text())
    content["architectures"][0]["model"] = str(network)
    space.write_text(yaml.safe_dump(content))
    with postgres() as server:
        settings = _settings(data, tmp_path, space, epochs=1, trials=1, storage=server.url)
        with pytest.raises(SearchError, match="none of 1 trials was finished"):
            run(settings)  # its network is not there yet
        network.write_bytes(Path(TINY["model"]).read_bytes())
        result = run(settings)
        assert result.table[["state", "attempt"]].to_numpy().tolist() == [["complete", 2]]
        more = run(settings.model_copy(update={"trials": 2}))
    assert more.run_id == result.run_id
    assert more.table["state"].tolist() == ["complete", "complete"]
    assert more.table["model_uri"][0] == result.table["model_uri"][0]
    assert len(more.front) >= 1


def test_trials_that_fail_in_a_row_end_the_search(data: Path, tracking: str, tmp_path: Path) -> None:
    space = _space(
        tmp_path, rates=[0.01, 0.02, 0.03], architectures=[{"trainer": "ultralytics", "model": "no-such.yaml"}]
    )
    with pytest.raises(SearchError, match=r"2 trials in a row failed.*no-such\.yaml.*go on with --trials 5"):
        run(_settings(data, tmp_path, space, trials=3, failures=2))
    [search] = mlflow.search_runs(filter_string="tags.step = 'tune'", output_format="list")
    record = read_record(search.info.run_id)
    assert (record.settings["trials"], record.data) == (3, (load_dataset(data).digest,))
    assert record.files.keys() == {"space"}
    assert "storage" not in record.settings, "a database's address may hold its password"
