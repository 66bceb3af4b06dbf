"""`mlflow run .` as the README gives it, on data so small that it takes seconds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from mlflow import MlflowClient

pytestmark = pytest.mark.slow

TINY = {
    "prepare.pictures": "24",
    "prepare.clips": "1",
    "prepare.clip_seconds": "4",
    "prepare.clip_crossings": "0",
    "train.epochs": "1",
    "train.image_size": "64",
    "train.confidence": "0.2",
}


def mlflow_run(root: Path, folder: Path, *arguments: str, **parameters: str) -> subprocess.CompletedProcess[str]:
    options = [option for name, value in parameters.items() for option in ("-P", f"{name}={value}")]
    binaries = Path(sys.executable).parent
    environment = {
        **os.environ,
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}",
        "MLFLOW_ENV_ROOT": str(folder / "envs"),
        "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",
    }
    # What other tests of this process left must not lead the steps to another store.
    for name in ("MLFLOW_RUN_ID", "MLFLOW_REGISTRY_URI", "MLFLOW_EXPERIMENT_ID"):
        environment.pop(name, None)
    return subprocess.run(
        [str(binaries / "mlflow"), "run", str(root), *arguments, *options],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip


def client_of(folder: Path) -> MlflowClient:
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    return MlflowClient(uri, registry_uri=uri)


def test_main_goes_from_nothing_to_a_judged_version(root: Path, tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    content = {
        "format_version": 1,
        "quality": [{"metric": "count/mae", "max": 1000, "reason": "the road there is tested, not the detector"}],
    }
    policy.write_text(yaml.safe_dump(content))
    done = mlflow_run(
        root, tmp_path, "--env-manager", "local",
        workspace=str(tmp_path / "workspace"), policy=str(policy), **TINY,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    client = client_of(tmp_path)
    version = client.get_model_version_by_alias("camera-counter", "challenger")
    assert version.tags["gates"] == "passed"
    trained = client.get_run(version.run_id)
    assert trained.data.params["epochs"] == "1", "an option that MLproject does not name came through"
    parents = client.get_run(trained.data.tags["mlflow.parentRunId"])
    assert parents.data.tags["mlflow.project.entryPoint"] == "main"


def test_a_version_that_fails_a_gate_fails_the_run(root: Path, tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    content = {
        "format_version": 1,
        "quality": [{"metric": "detection/map50", "min": 0.99, "reason": "no one-epoch detector does that"}],
    }
    policy.write_text(yaml.safe_dump(content))
    done = mlflow_run(
        root, tmp_path, "--env-manager", "local",
        workspace=str(tmp_path / "workspace"), policy=str(policy), **TINY,
    )  # fmt: skip
    assert done.returncode != 0
    assert "detection/map50" in done.stderr
    client = client_of(tmp_path)
    assert "challenger" not in client.get_registered_model("camera-counter").aliases


def test_a_step_runs_in_an_environment_that_uv_builds(root: Path, tmp_path: Path) -> None:
    done = mlflow_run(
        root,
        tmp_path,
        "-e",
        "prepare",
        "--env-manager",
        "uv",
        out=str(tmp_path / "data"),
        pictures="12",
        clips="0",
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert (tmp_path / "data" / "dataset.json").exists()
    packages = {path.name.split("-")[0] for path in (tmp_path / "envs").glob("*/lib/python3*/site-packages/*")}
    assert "opencv_python_headless" in packages
    assert "opencv_python" not in packages, "it would link libGL"
