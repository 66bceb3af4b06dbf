"""The signature of counting requests and an example of one.

Every column is optional and of any type for MLflow, and what comes is judged by `rows.py` and `params.py`: MLflow
answers a failed check of its own with the request's whole payload in the text, and it decodes base64 for some JSON
formats and not for others. Left alone, each format brings the same text.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.models import ModelSignature

__all__ = ["COLUMNS", "PARAMS", "example_request", "signature_of_requests"]

COLUMNS = ("image", "video", "camera_id", "timestamp")
PARAMS = ("confidence", "classes", "scene", "on_error")


def signature_of_requests() -> ModelSignature:
    """Columns `image`, `video`, `camera_id`, `timestamp`; params `confidence`, `classes`, `scene`, `on_error`."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import AnyType

    anything = AnyType()  # type: ignore[no-untyped-call]
    return ModelSignature(
        inputs=Schema([ColSpec(anything, name, required=False) for name in COLUMNS]),
        outputs=Schema(
            [
                ColSpec("long", "row"),
                ColSpec("string", "kind", required=False),
                ColSpec("string", "camera_id", required=False),
                ColSpec("long", "total", required=False),
                ColSpec(anything, "counts", required=False),
                ColSpec(anything, "zones", required=False),
                ColSpec(anything, "lines", required=False),
                ColSpec(anything, "detections", required=False),
                ColSpec("long", "width", required=False),
                ColSpec("long", "height", required=False),
                ColSpec("long", "frames", required=False),
                ColSpec("double", "seconds", required=False),
                ColSpec("string", "error", required=False),
            ]
        ),
        params=ParamSchema(
            [
                ParamSpec("confidence", "double", default=None),
                ParamSpec("classes", "string", default=None),
                ParamSpec("scene", "string", default=None),
                ParamSpec("on_error", "string", default="fail"),
            ]
        ),
    )


def example_request() -> pd.DataFrame:
    """One row with a small generated picture as base64 text, as JSON carries it."""
    import pandas as pd

    # a grey street with one red and one blue thing on it
    picture = np.full((96, 128, 3), 114, np.uint8)
    picture[30:70, 20:40] = (200, 30, 30)
    picture[50:80, 70:115] = (30, 30, 200)
    encoded, png = cv2.imencode(".png", picture[:, :, ::-1])
    if not encoded:
        raise RuntimeError("OpenCV cannot write a PNG")
    return pd.DataFrame({"image": [base64.b64encode(png.tobytes()).decode()], "camera_id": ["example"]})
