"""`register --git_tag true`: the commit of a version that passed is tagged, that of another is not."""

from __future__ import annotations

import subprocess
from pathlib import Path

import mlflow
import pytest
import yaml
from mlflow import MlflowClient
from toy_detector import build

import camera_counting
from model_governance import evaluation_of
from pipelines import register


def _git(folder: Path, *words: str) -> str:
    command = ["git", "-c", "user.name=Ann", "-c", "user.email=ann@example.org", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


def test_only_a_version_that_passed_is_tagged(
    tracking: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    _git(checkout, "init", "-q")
    _git(checkout, "config", "user.name", "Ann")
    _git(checkout, "config", "user.email", "ann@example.org")
    _git(checkout, "commit", "-q", "--allow-empty", "-m", "one")
    commit = _git(checkout, "rev-parse", "HEAD")
    with mlflow.start_run():
        mlflow.set_tag("lineage.git_commit", commit)
        info = camera_counting.log_model(build(tmp_path / "toy.onnx"), name="model")
        with evaluation_of(info.model_uri):
            mlflow.log_metric("count/mae", 0.5, model_id=info.model_id)
    monkeypatch.chdir(checkout)
    for most, expected in ((0.4, ""), (0.6, "model/gate/1.0.0")):
        rule = {"metric": "count/mae", "max": most, "reason": "more is of no use"}
        policy = tmp_path / "policy.yaml"
        policy.write_text(yaml.safe_dump({"format_version": 1, "quality": [rule]}))
        settings = register.RegisterSettings(model_uri=info.model_uri, name="gate", policy=policy, git_tag=True)
        assert register.run(settings).passed == bool(expected)
        assert _git(checkout, "tag") == expected
    assert _git(checkout, "rev-parse", "model/gate/1.0.0^{commit}") == commit
    assert MlflowClient().get_model_version("gate", "1").tags["git_commit"] == commit
