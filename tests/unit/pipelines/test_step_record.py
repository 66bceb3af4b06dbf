"""What a step leaves in its run: seeds, parents, and the drift report that asked for it."""

from __future__ import annotations

from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from team_history import make_history

from pipelines.main import MainSettings, plan_of, train_settings
from pipelines.prepare_settings import PrepareSettings
from pipelines.step_record import champion_of, is_rerun, note_trigger, record_step, require_trigger
from pipelines.train import TrainSettings, run
from run_lineage import read_record


def test_settings_come_back_as_the_step_had_them(tracking: str) -> None:
    given = MainSettings(prepare=PrepareSettings(seed=3), train=TrainSettings(data=Path("d"), seed=4, epochs=2))
    with mlflow.start_run() as active:
        record_step("main", given, secret=("policy",))
    record = read_record(active.info.run_id)
    assert "policy" not in record.settings
    assert MainSettings.model_validate(record.settings).train == given.train
    assert mlflow.get_run(active.info.run_id).data.tags["lineage.seeds"] == "prepare.seed=3, train.seed=4"


def test_a_training_names_the_report_that_asked_for_it_and_the_report_the_training(
    tracking: str, tmp_path: Path
) -> None:
    team = make_history(tmp_path)
    for _ in range(2):
        with mlflow.start_run() as active:
            note_trigger(team.drift)
            note_trigger(team.drift)
        assert mlflow.get_run(active.info.run_id).data.tags["lineage.triggered_by"] == team.drift
    runs = mlflow.get_run(team.drift).data.tags["retrain.run"].split(",")
    assert len(runs) == 2
    assert runs[-1] == active.info.run_id
    assert champion_of(team.name) == f"{team.name}/2"
    assert champion_of("nobody") is None
    require_trigger(team.drift)
    with pytest.raises(ValueError, match=r"expected the run of a drift report, .* is of the step 'train'"):
        require_trigger(team.trainings[0])


def test_a_registry_that_does_not_answer_is_not_one_without_a_champion(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    before = mlflow.get_registry_uri()
    mlflow.set_registry_uri("http://127.0.0.1:9")  # where nobody listens
    try:
        with pytest.raises(MlflowException, match=r"127\.0\.0\.1"):
            champion_of("counter")
    finally:
        mlflow.set_registry_uri(before)


def test_a_training_that_nobody_asked_for_does_not_begin(tracking: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no run"):
        run(TrainSettings(data=tmp_path, triggered_by="0" * 32))
    assert not MlflowClient().search_runs(["0"])


def test_why_a_training_is_done_changes_nothing_of_what_comes_out() -> None:
    plain = TrainSettings(data=Path("d"))
    asked = plain.model_copy(update={"follows": "camera-counter", "triggered_by": "a" * 32})
    assert plan_of(plain, "digest") == plan_of(asked, "digest")
    assert train_settings(MainSettings(name="gate")).follows == "gate"


def test_only_a_run_that_repeats_one_says_so(tracking: str) -> None:
    assert not is_rerun()
    with mlflow.start_run():
        assert not is_rerun()
    made = MlflowClient().create_run("0", tags={"lineage.rerun_of": "x"})
    with mlflow.start_run(run_id=made.info.run_id):
        assert is_rerun()
