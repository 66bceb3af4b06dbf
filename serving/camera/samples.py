"""Samples: the counts of single frames in the prediction log, from which drift is judged."""

from __future__ import annotations

import math
import uuid
from dataclasses import replace

from camera_counting.prediction_log import PredictionLog, frame_sample
from serving.camera.records import record_id
from serving.camera.view import FrameKeeper, Seen

__all__ = ["SampleKeeper", "is_due"]


def is_due(seen: Seen, every: float) -> bool:
    """Whether a frame is the first of a new span of `every` seconds.

    It is told by the times of this frame and the one before alone: after a restart the same frames are due.
    """
    return seen.before is None or math.floor(seen.seconds / every) > math.floor(seen.before / every)


class SampleKeeper(FrameKeeper):
    """Writes the count of a frame of every camera, every so many seconds, to a prediction log.

    Parameters
    ----------
    log : str
        A folder, or s3://bucket/prefix.
    every : float
        Seconds.
    epoch : UUID
        Of the worker's state: after a restart the same frame has the same id, and stands in the log once.
    """

    def __init__(self, log: str, every: float, epoch: uuid.UUID) -> None:
        self._log, self._every, self._epoch = PredictionLog(log), every, epoch

    def see(self, seen: Seen) -> None:
        if not is_due(seen, self._every):
            return
        model = seen.loaded.model
        row = frame_sample(
            seen.camera,
            seen.image,
            seen.detections.at_least(seen.confidence).of_classes(seen.classes),
            time=seen.time,
            model_name=model.name or "",
            model_version=seen.loaded.version,
            model_digest=model.digest,
            latency_ms=seen.inference_ms,
        )
        self._log.append([replace(row, id=record_id(self._epoch, seen.camera, "sample", seen.place))])

    def close(self) -> None:
        self._log.close()
