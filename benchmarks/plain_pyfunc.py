"""The pyfunc that a data scientist writes in ten minutes: Ultralytics behind `predict`, nothing else.

MLflow loads it from this file ("models from code"); it is the peer of `benchmarks/serving_speed.py`.
"""

import base64
import io
from collections import Counter
from typing import Any

import mlflow
from PIL import Image


class PlainCounter(mlflow.pyfunc.PythonModel):
    def load_context(self, context: Any) -> None:
        from ultralytics import YOLO

        self.model = YOLO(context.artifacts["weights"], task="detect")

    def predict(self, context: Any, model_input: Any, params: Any = None) -> list[dict[str, int]]:
        answers = []
        for value in model_input["image"]:
            data = base64.b64decode(value) if isinstance(value, str) else value
            seen = self.model.predict(Image.open(io.BytesIO(data)), imgsz=640, verbose=False)[0]
            answers.append(dict(Counter(seen.names[int(index)] for index in seen.boxes.cls)))
        return answers


mlflow.models.set_model(PlainCounter())
