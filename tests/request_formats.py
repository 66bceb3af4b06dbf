"""Every format in which the scoring server takes a table, from the same columns; and the server itself."""

from __future__ import annotations

import base64
import io
import json
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

import camera_counting
from tests.toy_detector import build

Columns = dict[str, list[Any]]


def png(image: np.ndarray) -> bytes:
    """An RGB picture (H, W, 3) as a PNG file."""
    return cv2.imencode(".png", image[..., ::-1])[1].tobytes()


def text(data: bytes) -> str:
    """As JSON and CSV carry a picture."""
    return base64.b64encode(data).decode()


def _rows(columns: Columns) -> list[list[Any]]:
    return [list(row) for row in zip(*columns.values(), strict=True)]


def _records(columns: Columns) -> list[dict[str, Any]]:
    return [dict(zip(columns, row, strict=True)) for row in _rows(columns)]


def _parquet(columns: Columns) -> bytes:
    stream = io.BytesIO()
    pd.DataFrame(columns).to_parquet(stream)
    return stream.getvalue()


PARQUET = "application/vnd.apache.parquet"

# name -> what makes a body of columns, and its content type
FORMATS: dict[str, tuple[Callable[[Columns], bytes], str]] = {
    "dataframe_split": (
        lambda columns: json.dumps(
            {"dataframe_split": {"columns": list(columns), "data": _rows(columns)}}
        ).encode(),
        "application/json",
    ),
    "dataframe_records": (
        lambda columns: json.dumps({"dataframe_records": _records(columns)}).encode(),
        "application/json",
    ),
    "instances": (lambda columns: json.dumps({"instances": _records(columns)}).encode(), "application/json"),
    "inputs": (lambda columns: json.dumps({"inputs": columns}).encode(), "application/json"),
    "csv": (lambda columns: pd.DataFrame(columns).to_csv(index=False).encode(), "text/csv"),
    "parquet": (_parquet, PARQUET),
}


@contextmanager
def scoring_client(folder: Path) -> Iterator[Any]:
    """MLflow's scoring application with the toy detector behind it, which `folder` takes in."""
    import mlflow.pyfunc
    from mlflow.pyfunc import scoring_server

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from starlette.testclient import TestClient
    build(folder / "toy.onnx")
    camera_counting.save_model(folder / "toy.onnx", folder / "model")
    with TestClient(scoring_server.init(mlflow.pyfunc.load_model(str(folder / "model")))) as client:
        yield client
