"""A plain MLflow model to govern: no camera, no picture, no pickle."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema

from model_governance import Policy, evaluation_of

CODE = """
import mlflow
from mlflow.pyfunc import PythonModel

class Constant(PythonModel):
    def predict(self, context, model_input, params=None):
        return [{value}] * len(model_input)

mlflow.models.set_model(Constant())
"""

POLICY: dict[str, Any] = {
    "format_version": 1,
    "quality": [{"metric": "score", "min": 0.5, "reason": "worse is of no use"}],
    "performance": [{"metric": "latency_ms", "max": 100, "reason": "cameras do not wait"}],
    "champion": [
        {
            "metric": "score",
            "better": "higher",
            "worse_by_at_most": 0.05,
            "same_data": False,
            "reason": "no step back",
        }
    ],
    "security": [
        {
            "allowed_files": ["MLmodel", "*.yaml", "*.txt", "*.py"],
            "max_size_mb": 1,
            "reason": "data, not programs",
        }
    ],
    "records": [{"tag": "team", "reason": "somebody answers for it"}],
    "freshness": [{"max_age_days": 30, "reason": "old figures tell nothing"}],
}


@pytest.fixture
def policy() -> Policy:
    return Policy.model_validate(POLICY)


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database without anything in it; copying it costs less than migrating a new one."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}", f"sqlite:///{path}").search_registered_models()
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def store(empty_store: Path, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return str(request.getfixturevalue("tracking"))


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
