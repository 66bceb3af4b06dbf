"""The reference profile: what the training pictures look like and hold.

One row for each picture, with the columns that the prediction log has for a counted one: the features of the
picture are computed by the same function there and here, or a difference between them would look like drift. The
counts are people's, not a model's, so the drift report judges by this profile only what the pictures look like.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from camera_counting.picture_features import picture_features
from pipelines.datasets.manifest import Sample
from pipelines.datasets.upright import upright_picture

__all__ = ["reference_profile"]

# As the prediction log writes a request that names no camera.
_NO_CAMERA = ""


def reference_profile(
    samples: Sequence[Sample], classes: Sequence[str], on_picture: Callable[[], None] | None = None
) -> pd.DataFrame:
    """Rows of camera_id, time, brightness, contrast, sharpness, total and count_<class>, in order of time.

    The counts are those of the labels.
    """
    rows: list[dict[str, Any]] = []
    for sample in samples:
        features = picture_features(upright_picture(sample.path))
        row: dict[str, Any] = {"camera_id": sample.camera or _NO_CAMERA, "time": sample.time, **features}
        row["total"] = len(sample.labels)
        row |= {f"count_{name}": sample.labels.count(name) for name in classes}
        rows.append(row)
        if on_picture is not None:
            on_picture()
    columns = [
        "camera_id",
        "time",
        "brightness",
        "contrast",
        "sharpness",
        "total",
        *(f"count_{c}" for c in classes),
    ]
    frame = pd.DataFrame(rows, columns=columns)
    frame["time"] = pd.to_datetime(frame["time"], utc=True)
    return frame.sort_values(["time", "camera_id"], kind="stable", ignore_index=True)
