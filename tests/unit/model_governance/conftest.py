"""A plain MLflow model to govern: no camera, no picture, no pickle."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema

from model_governance import Policy, evaluation_of

CODE = """
import mlflow
from mlflow.pyfunc import PythonModel

class Constant(PythonModel):
    def predict(self, context, model_input: list[str], params=None) -> list[float]:
        return [{value}] * len(model_input)

mlflow.models.set_model(Constant())
"""

POLICY = {
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


@pytest.fixture
def make_model(tracking: str, tmp_path: Path) -> Callable[..., str]:
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
                    mlflow.log_metrics(
                        metrics or {"score": 0.8, "latency_ms": 20.0},
                        model_id=info.model_id,
                    )
        return info.model_uri

    return make
