"""Models for a governed registry: logged and measured by whoever is set, with a picture as evidence."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
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


def measure(model_uri: str, figures: Mapping[str, float]) -> str:
    """Record an evaluation of the model, with a chart of its figures up to 2 as a picture; gives its run."""
    with mlflow.start_run() as run, evaluation_of(model_uri):
        mlflow.log_metrics(dict(figures))
        mlflow.log_image(_chart(figures), "plots/figures.png")
    return str(run.info.run_id)


def _chart(figures: Mapping[str, float]) -> Image.Image:
    shown = {name: value for name, value in figures.items() if 0 <= value <= 2}
    picture = Image.new("RGB", (320, 20 + 36 * len(shown)), "white")
    draw = ImageDraw.Draw(picture)
    for place, (name, value) in enumerate(shown.items()):
        top = 10 + 36 * place
        draw.rectangle((20, top, 20 + 140 * value, top + 16), fill=(11, 79, 208))
        draw.text((20, top + 18), f"{name} {value:.2f}", fill="black")
    return picture
