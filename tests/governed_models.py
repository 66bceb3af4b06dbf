"""Models for a governed registry: logged and measured by whoever is set, with a picture as evidence."""

from __future__ import annotations

import tempfile
from pathlib import Path

import mlflow
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema
from PIL import Image, ImageDraw

from model_governance import evaluation_of

__all__ = ["log_constant", "measure"]

_CODE = """
import mlflow
from mlflow.pyfunc import PythonModel

class Constant(PythonModel):
    def predict(self, context, model_input, params=None):
        return [{value}] * len(model_input)

mlflow.models.set_model(Constant())
"""


def log_constant(value: float) -> str:
    """Log a model that answers `value`; gives its URI, ``models:/m-...``."""
    with tempfile.TemporaryDirectory() as folder, mlflow.start_run():
        code = Path(folder) / f"model_{value}.py"
        code.write_text(_CODE.format(value=value))
        mlflow.set_tag("team", "counting")
        mlflow.log_param("value", value)
        info = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(code),
            pip_requirements=[],
            signature=ModelSignature(Schema([ColSpec("string", "text")]), Schema([ColSpec("double")])),
        )
    return str(info.model_uri)


def measure(model_uri: str, score: float, latency_ms: float = 20.0) -> None:
    """Record an evaluation of the model, with a chart of its score as a picture."""
    with mlflow.start_run(), evaluation_of(model_uri):
        mlflow.log_metrics({"score": score, "latency_ms": latency_ms}, model_id=model_uri.removeprefix("models:/"))
        mlflow.log_image(_chart(score), "plots/score.png")


def _chart(score: float) -> Image.Image:
    picture = Image.new("RGB", (320, 120), "white")
    draw = ImageDraw.Draw(picture)
    draw.rectangle((20, 40, 20 + 280 * score, 80), fill=(11, 79, 208))
    draw.text((20, 90), f"score {score:.2f}", fill="black")
    return picture
