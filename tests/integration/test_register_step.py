"""The steps that register and promote, by the counting policy, on a model that is nobody's detector."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from mlflow import MlflowClient

from model_governance import GateError, collect, evaluation_of, judge, load_policy
from pipelines import promote, register

FIGURES = {
    "pictures": 44.0,
    "line/true": 18.0,
    "count/nae_by_class": 0.2,
    "detection/map50": 0.9,
    "detection/recall": 0.9,
    "count/nae": 0.1,
    "count/mae": 0.3,
    "line/error": 0.0,
    "latency/p95_ms": 30.0,
    "size_mb": 10.0,
    "count/bias": -0.1,
    "data/test_pictures_learnt": 0.0,
    "against/baseline/count/mae_by_class/high": -0.2,
    "behaviour/empty_scene": 0.0,
    "behaviour/mirrored/relative": 0.1,
    "robustness/mean/detection/map50_ratio": 0.7,
    "serving/answered": 1.0,
    "serving/agrees": 1.0,
    "serving/cold_start_seconds": 6.0,
    "serving/memory_mb": 450.0,
    "serving/latency_p95_ms": 40.0,
    **{
        f"slice/{of}/{figure}": value
        for of in ("camera_id/gate", "light/day", "weather/clear")
        for figure, value in {"n": 44.0, "count/mae": 0.3}.items()
    },
}
CODE = """
import mlflow
class Nothing(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return []
mlflow.models.set_model(Nothing())
"""


def log_model(folder: Path, figures: dict[str, float], *, more: str = "") -> str:
    """As training and evaluation leave a model: data, lineage and figures recorded."""
    (folder / "model.py").write_text(CODE + more)
    with mlflow.start_run():
        mlflow.set_tags({"lineage.git_commit": "c0ffee", "lineage.environment_digest": "e0"})
        mlflow.set_tag("model_card.complete", "true")
        for context in ("training", "test"):
            data = mlflow.data.from_pandas(pd.DataFrame({context: [1.0]}), name=context)
            mlflow.log_input(data, context=context)
        info = mlflow.pyfunc.log_model(name="model", python_model=str(folder / "model.py"), pip_requirements=[])
    measure(info.model_uri, figures)
    return str(info.model_uri)


def measure(uri: str, figures: dict[str, float]) -> None:
    data = mlflow.data.from_pandas(pd.DataFrame({"test": [1.0]}), name="test")
    with evaluation_of(uri), mlflow.start_run():
        mlflow.log_metrics(figures, dataset=data, model_id=uri.removeprefix("models:/"))
        rows = [[f"picture {number}", 5, 5 + figures["count/mae"]] for number in range(44)]
        mlflow.log_dict({"columns": ["digest", "true", "counted"], "data": rows}, "evaluation_table.json")


def test_a_good_model_is_registered_promoted_and_kept_when_nothing_is_worse(tmp_path: Path, tracking: str) -> None:
    first = register.run(register.RegisterSettings(model_uri=log_model(tmp_path, FIGURES), card=False))
    assert first.passed
    promoted = promote.run(
        promote.PromoteSettings(version=first.version, approver="Ann", comment="looked at the clips")
    )
    assert promoted.standing.champion == first.version
    second = register.run(
        register.RegisterSettings(
            model_uri=log_model(tmp_path, {**FIGURES, "count/mae": 0.4}, more="# retrained\n"), card=False
        )
    )
    assert (second.passed, second.semantic_version) == (True, "1.1.0")
    assert str(MlflowClient().get_model_version_by_alias("camera-counter", "challenger").version) == "2"
    third = register.run(
        register.RegisterSettings(
            model_uri=log_model(tmp_path, {**FIGURES, "count/mae": 0.6}, more="# worse\n"), card=False
        )
    )
    assert [row.gate for row in third.verdict.failures] == ["count/mae against the champion"]


def test_a_figure_that_was_not_measured_refuses_the_model(tmp_path: Path, tracking: str) -> None:
    uri = log_model(tmp_path, FIGURES)
    policy = load_policy(register.RegisterSettings(model_uri=uri).policy)
    shown, now = collect(uri, policy), datetime.now(UTC)
    assert judge(policy, shown, None, now).passed
    for missing in FIGURES:
        metrics = {name: value for name, value in shown.metrics.items() if name != missing}
        verdict = judge(policy, shown.model_copy(update={"metrics": metrics}), None, now)
        assert verdict.failures, missing
        assert all(missing in row.sentence() for row in verdict.failures), missing
    measure(uri, {name: value for name, value in FIGURES.items() if name != "serving/agrees"})
    result = register.run(register.RegisterSettings(model_uri=uri, card=False))
    assert [row.gate for row in result.verdict.failures] == ["serving/agrees"]
    with pytest.raises(GateError):
        promote.run(promote.PromoteSettings(version=result.version, approver="Ann", comment="please"))


def test_the_command_ends_with_the_rows_that_failed(
    tmp_path: Path, tracking: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    uri = log_model(tmp_path, {**FIGURES, "line/error": 0.9})
    monkeypatch.setattr(sys, "argv", ["register", "--model_uri", uri, "--name", "counter", "--card", "false"])
    with pytest.raises(SystemExit) as ended:
        register.main()
    assert ended.value.code == 1
    said = capsys.readouterr()
    assert "line/error failed: expected at most 0.25, got 0.9" in said.err
    assert "counter version 1 (1.0.0): gates failed" in said.out
    monkeypatch.setattr(
        sys, "argv", ["promote", "--name", "counter", "--version", "1", "--approver", "Ann", "--comment", "please"]
    )
    with pytest.raises(SystemExit, match="did not pass its gates"):
        promote.main()
