"""The validation step on a real MLflow and a real `mlflow models serve`: served, judged, never registered."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import Any

import mlflow
import pytest
import yaml
from mlflow import MlflowClient
from rectangles import write_rectangles
from toy_detector import build

import camera_counting
from model_governance import Policy, collect, register
from model_governance.policy import load_policy
from pipelines import evaluate, validate
from pipelines.datasets.manifest import load_dataset
from pipelines.infrastructure import Infrastructure
from pipelines.validate import ValidateSettings
from run_lineage import read_record

POLICY: dict[str, Any] = {
    "format_version": 1,
    "quality": [{"metric": "count/mae", "max": 0.5, "reason": "counts are what is sold"}],
    "performance": [
        {"metric": "serving/answered", "min": 1, "reason": "every picture gets an answer"},
        {"metric": "serving/agrees", "min": 1, "reason": "the server counts as the model does"},
        {"metric": "serving/cold_start_seconds", "max": 200, "reason": "a restart is an outage"},
        {"metric": "serving/memory_mb", "min": 20, "max": 4000, "reason": "small machines"},
        {"metric": "serving/latency_p95_ms", "max": 5000, "reason": "cameras do not wait"},
    ],
    "freshness": [{"max_age_days": 30, "reason": "old figures tell nothing"}],
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "set"
    return write_rectangles(folder, pictures={"train": 2, "val": 2, "test": 6}, size=(192, 128))


@pytest.fixture
def model_uri(tracking: str, tmp_path: Path) -> str:
    detector = build(tmp_path / "toy.onnx", size=(256, 256))
    with mlflow.start_run(run_name="training"):
        return str(camera_counting.log_model(detector, confidence=0.5).model_uri)


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_text(yaml.safe_dump(POLICY))
    return path


@pytest.mark.slow
def test_a_model_is_really_served_and_what_was_measured_is_evidence(
    model_uri: str, data: Path, policy: Path
) -> None:
    before = collect(model_uri).artifact.digest
    result = validate.run(ValidateSettings(model_uri=model_uri, data=data, policy=policy, pictures=4))
    assert result.infrastructure.problems == ()
    record = read_record(result.infrastructure_run_id)
    assert (record.step, record.settings["model_uri"], record.settings["pictures"]) == ("validate", model_uri, 4)
    assert record.data == (load_dataset(data).digest,)
    assert result.passed, [row.sentence() for row in result.assessment.verdict.failures]
    assert result.evaluated_anew
    metrics = result.infrastructure.metrics
    assert (metrics["serving/answered"], metrics["serving/agrees"]) == (1, 1)
    assert 0.5 < metrics["serving/cold_start_seconds"] < 200
    assert MlflowClient().search_registered_models() == [], "it registers nothing"

    evidence = collect(model_uri)
    assert evidence.artifact.digest == before, "serving leaves no byte code in the model"
    assert [each.kind for each in evidence.evaluations] == ["quality", "infrastructure"]
    assert evidence.metrics["serving/memory_mb"].value == metrics["serving/memory_mb"]
    assert evidence.metrics["count/mae"].value == 0
    # What registers it afterwards judges the same figures.
    registered = register(model_uri, "counter", load_policy(policy))
    assert registered.passed
    assert registered.evidence.metrics == evidence.metrics


def test_a_model_that_does_not_serve_is_refused_with_its_own_words(
    model_uri: str, data: Path, policy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluate.run(evaluate.EvaluateSettings(model_uri=model_uri, data=data, clips=False))
    arguments = ["validate", "--model_uri", model_uri, "--data", str(data), "--policy", str(policy)]
    monkeypatch.setattr(sys, "argv", arguments)
    # A real start that cannot succeed: somebody else has the port.
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setattr("pipelines.served_model._free_port", lambda: taken.getsockname()[1])
        with pytest.raises(SystemExit) as ended:
            validate.main()
    assert ended.value.code == 1
    said = capsys.readouterr()
    assert "serving: mlflow models serve ended with exit code" in said.err
    assert "performance: serving/answered failed: expected at least 1, got 0" in said.err
    assert "serving/cold_start_seconds failed: expected at most 200, got not measured" in said.err
    assert "nothing was registered" in said.out
    assert collect(model_uri).metrics["serving/agrees"].value == 0, "it is recorded, so no older record hides it"


def test_a_fresh_evaluation_on_these_data_is_not_repeated(
    model_uri: str, data: Path, policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = Infrastructure({"serving/answered": 1.0, "serving/agrees": 1.0}, ())
    monkeypatch.setattr(validate, "measure_serving", lambda *_, **__: served)

    def anew(folder: Path, **options: Any) -> bool:
        settings = ValidateSettings(model_uri=model_uri, data=folder, policy=policy, **options)
        return validate.run(settings).evaluated_anew

    other = write_rectangles(tmp_path / "other", pictures={"train": 1, "val": 1, "test": 3}, size=(192, 128))
    assert load_dataset(other).digest != load_dataset(data).digest
    assert [anew(data), anew(data), anew(data, fresh=True)] == [True, False, True]
    assert [anew(other), anew(data)] == [True, True], "the newest evaluation is evidence, of whatever data"


@pytest.mark.parametrize(
    ("section", "rule", "expected"),
    [
        ("quality", {"metric": "count/mae", "max": 1}, False),
        ("performance", {"metric": "serving/memory_mb", "max": 1}, True),
        ("business", {"cost": "memory", "terms": [{"metric": "serving/memory_mb", "weight": 1}], "max": 1}, True),
    ],
)
def test_a_policy_says_whether_serving_must_be_measured(
    section: str, rule: dict[str, Any], expected: bool
) -> None:
    policy = Policy.model_validate({"format_version": 1, section: [{**rule, "reason": "because"}]})
    assert validate.reads_serving(policy) == expected
