"""A row for one frame of a live camera, taken now and then so that drift is seen on cameras, too."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from camera_counting.prediction_log.record import Prediction

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from camera_counting.detections import Detections

__all__ = ["frame_sample"]


def frame_sample(
    camera_id: str,
    picture: npt.NDArray[np.uint8],
    detections: Detections,
    *,
    time: datetime,
    model_name: str = "",
    model_version: str = "",
    model_digest: str = "",
    latency_ms: float | None = None,
) -> Prediction:
    """The row of a frame, for `PredictionLog.append`; nothing of the picture but its numbers is kept.

    Parameters
    ----------
    picture : uint8 array of shape (H, W, 3)
        RGB.
    detections : Detections
        What counts in it: at the model's own confidence, or the camera's.
    time : datetime
        When it was received, UTC.
    latency_ms : float, optional
        Decoding and detecting.

    Examples
    --------
    >>> import numpy as np
    >>> from datetime import UTC
    >>> from camera_counting.detections import Detections
    >>> seen = Detections.of([[10, 20, 50, 90]], [0.9], [0], ["person", "car"])
    >>> grey = np.full((120, 160, 3), 80, np.uint8)
    >>> row = frame_sample("gate", grey, seen, time=datetime(2026, 3, 1, tzinfo=UTC))
    >>> row.kind, row.counts, row.total, row.brightness, row.width, round(row.confidence_min, 2)
    ('frame', {'person': 1, 'car': 0}, 1, 80.0, 160, 0.9)
    """
    import numpy as np

    from camera_counting.picture_features import picture_features

    scores = detections.scores
    return Prediction.now(
        time=time,
        camera_id=camera_id,
        model_name=model_name,
        model_version=model_version,
        model_digest=model_digest,
        kind="frame",
        counts=detections.counts(),
        confidence_mean=float(np.mean(scores)) if len(scores) else None,
        confidence_min=float(np.min(scores)) if len(scores) else None,
        confidence_p10=float(np.quantile(scores, 0.1)) if len(scores) else None,
        width=picture.shape[1],
        height=picture.shape[0],
        latency_ms=latency_ms,
        **picture_features(picture),
    )
