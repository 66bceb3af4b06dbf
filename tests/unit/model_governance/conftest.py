"""A plain MLflow model to govern: no camera, no picture, no pickle."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema
from plain_policy import POLICY

from model_governance import Policy, evaluation_of, promote, register

CODE = """
import mlflow
from mlflow.pyfunc import PythonModel

class Constant(PythonModel):
    def predict(self, context, model_input, params=None):
        return [{value}] * len(model_input)

mlflow.models.set_model(Constant())
"""


@pytest.fixture
def policy() -> Policy:
    return Policy.model_validate(POLICY)


class Workplace:
    """One database and one artifact folder for all tests of a session, put back to a snapshot before each.

    A new MLflow database costs a second of migrations, and a champion and a challenger several more; a copy costs
    nothing. The paths stay the same, because MLflow writes absolute ones into the database.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.uri = f"sqlite:///{folder / 'mlflow.db'}"

    def keep(self, name: str) -> None:
        copy_database(self.folder / "mlflow.db", self.folder / f"{name}.db")
        if (self.folder / "mlruns").exists():
            shutil.copytree(self.folder / "mlruns", self.folder / f"{name}.artifacts")

    def restore(self, name: str) -> bool:
        if not (self.folder / f"{name}.db").exists():
            return False
        copy_database(self.folder / f"{name}.db", self.folder / "mlflow.db")
        shutil.rmtree(self.folder / "mlruns", ignore_errors=True)
        if (self.folder / f"{name}.artifacts").exists():
            shutil.copytree(self.folder / f"{name}.artifacts", self.folder / "mlruns")
        return True


def copy_database(source: Path, target: Path) -> None:
    """Whatever connections are open on either side."""
    with closing(sqlite3.connect(source)) as a, closing(sqlite3.connect(target)) as b:
        a.backup(b)


@pytest.fixture(scope="session")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    return Workplace(tmp_path_factory.mktemp("registry"))


@pytest.fixture
def store(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An empty MLflow tracking store and registry; gives its URI."""
    before = mlflow.get_tracking_uri()
    monkeypatch.chdir(workplace.folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", workplace.uri)
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    mlflow.set_tracking_uri(workplace.uri)
    mlflow.set_registry_uri(workplace.uri)
    if not workplace.restore("empty"):
        MlflowClient().search_experiments()
        MlflowClient().search_registered_models()
        workplace.keep("empty")
    yield workplace.uri
    while mlflow.active_run():
        mlflow.end_run()
    mlflow.set_tracking_uri(before)
    mlflow.set_registry_uri(before)


@pytest.fixture
def two(store: str, workplace: Workplace, make_model: Callable[..., str], policy: Policy) -> tuple[str, str]:
    """A champion (version 1) and a challenger (version 2) of the model `m`; gives the URIs of their models."""
    if not workplace.restore("two"):
        register(make_model(1), "m", policy)
        promote("m", 1, "Ann", "the first")
        register(make_model(2), "m", policy)
        workplace.keep("two")
    versions = {str(v.version): str(v.source) for v in MlflowClient().search_model_versions("name='m'")}
    return versions["1"], versions["2"]


@pytest.fixture
def make_model(store: str, tmp_path: Path) -> Callable[..., str]:
    """Log a model whose files differ with `value`, evaluate it, and give its URI."""

    def make(
        value: float = 1.0,
        *,
        metrics: dict[str, float] | None = None,
        evaluate: bool = True,
        columns: tuple[str, ...] = ("text",),
    ) -> str:
        code = tmp_path / f"model_{value}.py"
        code.write_text(CODE.format(value=value))
        with mlflow.start_run():
            mlflow.set_tag("team", "counting")
            info = mlflow.pyfunc.log_model(
                name="model",
                python_model=str(code),
                pip_requirements=[],
                signature=ModelSignature(
                    Schema([ColSpec("string", name) for name in columns]), Schema([ColSpec("double")])
                ),
            )
            if evaluate:
                with evaluation_of(info.model_uri):
                    mlflow.log_metrics(metrics or {"score": 0.8, "latency_ms": 20.0}, model_id=info.model_id)
        return str(info.model_uri)

    return make


@pytest.fixture
def model_folder(store: str) -> Callable[[str], Path]:
    """Where the files of a logged model really lie."""

    def find(model_uri: str) -> Path:
        location = MlflowClient().get_logged_model(model_uri.removeprefix("models:/")).artifact_location
        return Path(location.removeprefix("file://"))

    return find


@pytest.fixture
def registry_state(store: str) -> Callable[[str], dict[str, Any]]:
    """Everything that a user could see of a registered model, for comparing two ways to get there."""

    def read(name: str) -> dict[str, Any]:
        client = MlflowClient()
        model = client.get_registered_model(name)
        versions = {
            str(version.version): (version.current_stage, dict(version.tags))
            for version in client.search_model_versions(f"name='{name}'")
        }
        return {"aliases": {a: str(v) for a, v in model.aliases.items()}, "versions": versions}

    return read
