"""A study in a database: gone on with, never mixed, no trial twice."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from pipelines.search.report import trials_table
from pipelines.search.space import SearchError, SearchSpace
from pipelines.search.study import alone, counted, next_trial, open_study, place_of

SPACE = SearchSpace.model_validate(
    {
        "architectures": [
            {"trainer": "ultralytics", "model": "yolo11n.yaml"},
            {"trainer": "torchvision", "model": "fcos_mobilenet_v3_small_fpn"},
        ],
        "settings": {"image_size": {"choices": [64, 96, 128]}},
    }
)
BOUND = {"data": "a1", "epochs": 3}


def _open(folder: Path, **changes: object) -> optuna.Study:
    return open_study(
        f"sqlite:///{folder / 'study.db'}", "tune", seed=1, trials=12, bound_to=BOUND | changes
    )  # fmt: skip


def test_every_combination_is_tried_once_and_then_the_space_is_exhausted(tmp_path: Path) -> None:
    study, place = _open(tmp_path), place_of(tmp_path)
    seen = []
    while (trial := next_trial(study, SPACE, place)) is not None:
        seen.append(tuple(trial.params.values()))
        study.tell(trial, [1.0, 1.0])
        assert len(seen) <= 6, "2 architectures of 3 sizes"
    assert len(seen) == len(set(seen)) == 6
    assert len(counted(study)) == 6


def test_a_trial_that_a_killed_process_left_is_taken_up(tmp_path: Path) -> None:
    place = place_of(tmp_path)
    left = next_trial(_open(tmp_path), SPACE, place)
    assert left is not None
    # As after a kill: a new process knows the database and the folder alone.
    study = _open(tmp_path)
    taken = next_trial(study, SPACE, place_of(tmp_path))
    assert taken is not None
    assert (taken.number, taken.params) == (left.number, left.params)
    study.tell(taken, [2.0, 3.0])
    after = next_trial(_open(tmp_path), SPACE, place)
    assert after is not None
    assert after.number > left.number


def test_a_trial_of_another_place_is_left_alone(tmp_path: Path) -> None:
    study = _open(tmp_path)
    mine, theirs = next_trial(study, SPACE, "here"), next_trial(study, SPACE, "elsewhere")
    assert mine is not None
    assert theirs is not None
    assert mine.number != theirs.number
    assert [trial.state for trial in counted(study)] == [TrialState.RUNNING] * 2


def test_a_failed_trial_is_not_tried_again(tmp_path: Path) -> None:
    study = _open(tmp_path)
    trial = next_trial(study, SPACE, "here")
    assert trial is not None
    failed = trial.params
    study.tell(trial, state=TrialState.FAIL)
    while (trial := next_trial(study, SPACE, "here")) is not None:
        assert trial.params != failed
        study.tell(trial, [1.0, 1.0])


def test_a_study_of_other_data_is_refused(tmp_path: Path) -> None:
    _open(tmp_path)
    with pytest.raises(SearchError, match=r"data was 'a1', is 'b2'.*another --study"):
        _open(tmp_path, data="b2")


@pytest.mark.parametrize("storage", ["sqlite:////no/such/folder/study.db", "nothing://x", "no url at all"])
def test_a_database_that_cannot_be_opened_is_told_without_its_password(storage: str) -> None:
    with pytest.raises(SearchError, match="expected a database for the study") as caught:
        open_study(storage.replace("x", "user:hunter2@x"), "tune", seed=0, trials=3, bound_to={})
    assert "hunter2" not in str(caught.value)


def test_only_one_process_searches_in_a_folder(tmp_path: Path) -> None:
    with alone(tmp_path), pytest.raises(SearchError, match="another process is searching"), alone(tmp_path):
        pass
    with alone(tmp_path):
        pass


def test_the_table_of_a_study_without_trials_is_empty(tmp_path: Path) -> None:
    table = trials_table(_open(tmp_path))
    assert table.empty
    assert {"front", "count_error", "model_uri"} <= set(table.columns)
