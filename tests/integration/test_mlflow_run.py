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


def main_with(root: Path, folder: Path, name: str, rule: dict[str, object]) -> subprocess.CompletedProcess[str]:
    """`mlflow run .` in `folder` with a policy of one rule; another name there takes up data and training."""
    policy = folder / f"{name}.yaml"
    policy.write_text(yaml.safe_dump({"format_version": 1, "quality": [rule]}))
    return mlflow_run(
        root, folder, "--env-manager", "local",
        workspace=str(folder / "workspace"), policy=str(policy), name=name, **TINY,
    )  # fmt: skip


@pytest.fixture(scope="module")
def lifecycle(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run from nothing to a version that passed its one gate."""
    folder = tmp_path_factory.mktemp("lifecycle")
    rule = {"metric": "count/mae", "max": 1000, "reason": "the road there is tested, not the detector"}
    done = main_with(root, folder, "judged", rule)
    assert done.returncode == 0, done.stderr[-4000:]
    return folder


def test_main_goes_from_nothing_to_a_judged_version(lifecycle: Path) -> None:
    client = client_of(lifecycle)
    version = client.get_model_version_by_alias("judged", "challenger")
    assert version.tags["gates"] == "passed"
    trained = client.get_run(version.run_id)
    assert trained.data.params["epochs"] == "1", "an option that MLproject does not name came through"
    parents = client.get_run(trained.data.tags["mlflow.parentRunId"])
    assert parents.data.tags["mlflow.project.entryPoint"] == "main"


def test_a_version_that_fails_a_gate_fails_the_run(root: Path, lifecycle: Path) -> None:
    rule = {"metric": "detection/map50", "min": 0.99, "reason": "no one-epoch detector does that"}
    done = main_with(root, lifecycle, "refused", rule)
    assert done.returncode != 0
    assert "detection/map50 failed" in done.stderr
    client = client_of(lifecycle)
    assert client.get_model_version("refused", "1").tags["gates"] == "failed"
    assert "challenger" not in client.get_registered_model("refused").aliases


def test_options_mean_the_same_however_they_are_written(root: Path, lifecycle: Path) -> None:
    """`mlflow run` writes down what was typed, the step what it read: false and False, 0 and 0.0."""
    version = client_of(lifecycle).get_model_version_by_alias("judged", "challenger")
    data = str(lifecycle / "workspace" / "data")
    done = mlflow_run(
        root, lifecycle, "-e", "evaluate", "--env-manager", "local",
        model_uri=version.source, data=data, clips="false", robustness="false", behaviour="false",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    run_id = done.stdout.split()[-1]
    assert client_of(lifecycle).get_run(run_id).data.params["clips"] == "false"
    again = mlflow_run(
        root, lifecycle, "-e", "reproduce", "--env-manager", "local", run_id=run_id, tolerance="0"
    )  # fmt: skip
    assert again.returncode == 0, again.stdout[-2000:] + again.stderr[-2000:]
    assert again.stdout.startswith("Reproduced to the last bit")


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
