"""All steps in a row, twice: a champion, new data, a model that follows it; trainings are taken up."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import mlflow
import pytest
import yaml
from mlflow import MlflowClient
from rectangles import write_rectangles
from toy_detector import build

import camera_counting
from model_governance import promote
from pipelines import drift_report, evaluate, main, prepare, register, train
from pipelines import promote as promote_step
from pipelines.datasets.manifest import load_dataset
from pipelines.settings import explained

POLICY = {
    "format_version": 1,
    "champion": [
        {"metric": "count/mae", "better": "lower", "worse_by_at_most": 0.5, "reason": "no step back"},
        {"metric": "line/error", "better": "lower", "worse_by_at_most": 0.5, "reason": "nor at the lines"},
    ],
    "records": [{"dataset": "test", "reason": "what it was measured on"}],
    "freshness": [{"max_age_days": 30, "reason": "old figures tell nothing"}],
}


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_text(yaml.safe_dump(POLICY))
    return path


def _settings(folder: Path, policy: Path, seed: int) -> main.MainSettings:
    data = {"seed": seed, "pictures": 24, "clips": 1, "clip_seconds": 3, "clip_crossings": 1, "cameras": 2}
    return main.MainSettings.model_validate(
        {
            "workspace": folder / "workspace",
            "policy": policy,
            "prepare": data,
            "train": {"data": folder, "seed": seed},
        }
    )


def _trained(settings: main.MainSettings, digest: str, detector: Path, **model: Any) -> str:
    """The run of a finished training of these settings on data of this digest, as the step leaves it."""
    with mlflow.start_run(run_name="training") as active:
        camera_counting.log_model(detector, name="model", **model)
        mlflow.set_tag(main.PLAN_TAG, main.plan_of(main.train_settings(settings), digest))
    return str(active.info.run_id)


def _prepared_and_trained(settings: main.MainSettings, folder: Path, confidence: float) -> str:
    """Data, and a detector of coloured rectangles that sees next to nothing on them."""
    prepared = prepare.run(main.prepare_settings(settings))
    classes = tuple(load_dataset(prepared.folder).classes)
    detector = build(folder / f"{confidence}.onnx", size=(256, 256), classes=classes)
    return _trained(settings, prepared.digest, detector, confidence=confidence)


@pytest.mark.slow
def test_a_model_of_new_data_follows_a_champion_of_old_data(tracking: str, tmp_path: Path, policy: Path) -> None:
    first = _settings(tmp_path, policy, seed=0)
    training = _prepared_and_trained(first, tmp_path, 0.6)
    begun = main.run(first)
    assert (begun.training_run_id, begun.trained_anew) == (training, False)
    described = MlflowClient().get_model_version("camera-counter", begun.registered.version)
    assert described.tags["model_card"] == "model_card/camera-counter-1.0.0"
    assert "under `model_card/camera-counter-1.0.0`" in described.description
    assert begun.registered.passed
    promote("camera-counter", begun.registered.version, "Ann", "the first")
    shown = mlflow.get_run(training).data

    second = _settings(tmp_path, policy, seed=1)
    _prepared_and_trained(second, tmp_path, 0.7)
    followed = main.run(second)
    assert followed.prepared.digest != begun.prepared.digest
    assert followed.registered.passed, followed.registered.verdict.failures
    assert str(MlflowClient().get_model_version_by_alias("camera-counter", "challenger").version) == "2"
    compared = [row for row in followed.registered.verdict.rows if row.section == "champion"]
    assert all("(champion " in row.expected for row in compared), "measured, both on the new pictures"
    assert mlflow.get_run(training).data.metrics == shown.metrics, "the champion's own figures stay what they were"

    [model] = MlflowClient().search_logged_models(["0"], filter_string=f"source_run_id = '{training}'")
    measured = {metric.run_id for metric in model.metrics}
    main.run(second)
    [model] = MlflowClient().search_logged_models(["0"], filter_string=f"source_run_id = '{training}'")
    assert {metric.run_id for metric in model.metrics} == measured, "once on these data is enough"


def test_a_finished_training_is_taken_up_whatever_became_of_its_run(
    tracking: str, tmp_path: Path, policy: Path
) -> None:
    settings = _settings(tmp_path, policy, seed=0)
    training = _trained(settings, "d1", build(tmp_path / "toy.onnx"))
    for status in ("FAILED", "RUNNING"):
        MlflowClient().update_run(training, status=status)
        found = main.train_or_take_up(main.train_settings(settings), "d1")
        assert found[1:] == (training, False)


def run_main(module: ModuleType, *words: str) -> tuple[int, str]:
    """A step as `python -m` runs it: exit code, and what it said where it is a sentence."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["step", *words])
        with pytest.raises(SystemExit) as ended:
            module.main()
    code = ended.value.code
    return (1, code) if isinstance(code, str) else (int(code or 0), "")


@pytest.mark.parametrize(
    ("module", "words", "said"),
    [
        (train, ("--data", "nowhere"), "nowhere"),
        (evaluate, ("--model_uri", "models:/m-1", "--data", "nowhere"), "nowhere"),
        (evaluate, ("--model_uri", "models:/x/9", "--data", "."), "no model at 'models:/x/9'"),
        (register, ("--model_uri", "nonsense"), "this is no model's address"),
        (register, ("--model_uri", "models:/m-1", "--policy", "nowhere.yaml"), "cannot read the policy nowhere"),
        (promote_step, ("--version", "1", "--approver", "A", "--comment", "b"), "no registered model"),
        (prepare, ("--source", "nowhere", "--format", "coco"), "nowhere"),
        (prepare, ("--source", ".", "--format", "cameras"), "expected one of the formats"),
        (drift_report, ("--log", "nowhere", "--reference", "nowhere.parquet"), "nowhere"),
        (main, ("--workspace", "foreign", "--prepare.pictures", "4"), "it holds something else"),
    ],
)  # fmt: skip
def test_a_step_that_cannot_go_on_says_why_in_a_sentence(
    tracking: str, tmp_path: Path, module: ModuleType, words: tuple[str, ...], said: str
) -> None:
    (tmp_path / "foreign" / "data").mkdir(parents=True)
    (tmp_path / "foreign" / "data" / "thesis.txt").write_text("the only copy")
    write_rectangles(tmp_path)
    code, message = run_main(module, *words)
    assert code == 1
    assert said in message
    assert message.startswith("error: ")


@pytest.mark.parametrize(
    ("module", "words", "said"),
    [
        (prepare, ("--pictures", "0"), "--pictures: Input should be greater than 0, got '0'"),
        (main, ("--train.epochs", "0"), "--train.epochs: Input should be greater than or equal to 1, got '0'"),
        (train, (), "--data"),
        (drift_report, ("--log", "nowhere"), "error: give a reference: either a Parquet file"),
    ],
)
def test_a_wrong_option_is_named_and_ends_with_2(
    module: ModuleType, words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_main(module, *words) == (2, "")
    assert said in capsys.readouterr().err


def _refuse() -> None:
    raise ValueError("expected another split")


def test_a_step_run_as_a_module_says_it_too() -> None:
    step = FunctionType(
        _refuse.__code__, {"__name__": "__main__", "__package__": "pipelines"}
    )  # as by `python -m`
    with pytest.raises(SystemExit, match="error: expected another split"):
        explained(step)()


@pytest.mark.parametrize("defect", [lambda: print(1 / 0), lambda: print(int("x"))])
def test_a_defect_keeps_its_traceback(defect: Callable[[], None]) -> None:
    with pytest.raises((ZeroDivisionError, ValueError)):
        explained(defect)()
