"""A study in a database: gone on with, never mixed, no trial twice."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from pipelines.search.report import trials_table
from pipelines.search.space import SearchError, SearchSpace
from pipelines.search.study import (
    alone,
    attempt_of,
    counted,
    next_trial,
    open_study,
    place_of,
    queued,
    try_again,
)

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


_KILLED_AFTER_ASKING = """
import os, signal, sys
from pathlib import Path
import optuna
asked = optuna.Study.ask
def ask_and_die(study, *arguments):
    asked(study, *arguments)
    os.kill(os.getpid(), signal.SIGKILL)
optuna.Study.ask = ask_and_die
sys.path.insert(0, sys.argv[2])
from test_study import SPACE, _open
from pipelines.search.study import next_trial, place_of
next_trial(_open(Path(sys.argv[1])), SPACE, place_of(Path(sys.argv[1])))
"""


def test_a_trial_whose_process_was_killed_as_it_began_is_taken_up(tmp_path: Path, root: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{root / 'plugins'}"}
    command = [sys.executable, "-c", _KILLED_AFTER_ASKING, str(tmp_path), str(Path(__file__).parent)]
    child = subprocess.run(command, env=environment, check=False, timeout=120)
    assert child.returncode == -signal.SIGKILL
    study = _open(tmp_path)
    [left] = study.trials
    assert left.state == TrialState.RUNNING
    taken = next_trial(study, SPACE, place_of(tmp_path))
    assert taken is not None
    assert taken.number == left.number
    assert {"architecture", "image_size"} <= set(taken.params)


def test_a_trial_that_belongs_to_nobody_counts_as_failed_and_is_tried_again(tmp_path: Path) -> None:
    study = _open(tmp_path)
    nobodys = study.ask()
    assert try_again(study, "here") == 0, "somebody may be about to write down where it is"
    with sqlite3.connect(tmp_path / "study.db") as database:
        database.execute("UPDATE trials SET datetime_start = '2026-01-01 00:00:00.000000'")
    study = _open(tmp_path)
    assert try_again(study, "here") == 1
    assert study.trials[nobodys.number].state == TrialState.FAIL
    again = next_trial(study, SPACE, "here")
    assert again is not None
    assert [trial.number for trial in counted(study)] == [again.number]


def test_what_failed_is_tried_again_when_a_search_goes_on_three_times_in_all(tmp_path: Path) -> None:
    trial = next_trial(_open(tmp_path), SPACE, "here")
    assert trial is not None
    values = trial.params
    for attempt in (2, 3):
        study = _open(tmp_path)
        study.tell(trial.number, state=TrialState.FAIL)
        assert (try_again(study, "here"), try_again(study, "here")) == (1, 0), "once for each time that it goes on"
        assert queued(study)
        assert len(counted(study)) == 1, "it stays in the table until it is begun"
        trial = next_trial(study, SPACE, "here")
        assert trial is not None
        assert trial.params == values
        [only] = counted(study)
        assert (only.number, attempt_of(only)) == (trial.number, attempt), "it takes the place of the one before"
        assert trials_table(study)["attempt"].tolist() == [attempt]
    study.tell(trial, state=TrialState.FAIL)
    assert try_again(study, "here") == 0
    assert not queued(study)


def test_also_an_exhausted_space_tries_again_what_failed(tmp_path: Path) -> None:
    study = _open(tmp_path)
    failed = next_trial(study, SPACE, "here")
    assert failed is not None
    study.tell(failed, state=TrialState.FAIL)
    while (trial := next_trial(study, SPACE, "here")) is not None:
        study.tell(trial, [1.0, 1.0])
    assert try_again(study, "here") == 1
    again = next_trial(study, SPACE, "here")
    assert again is not None
    assert again.params == failed.params
    study.tell(again, [1.0, 1.0])
    assert next_trial(study, SPACE, "here") is None
    assert [each.state for each in counted(study)] == [TrialState.COMPLETE] * 6


def test_a_failed_trial_is_not_tried_again_in_the_same_search(tmp_path: Path) -> None:
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
