"""Records in the prediction log, beside the counts that the drift report reads."""

from __future__ import annotations

from collections.abc import Sequence

from camera_counting.errors import PredictionLogError
from camera_counting.prediction_log import Prediction, write_batch
from serving.camera.records import CountRecord
from serving.camera.sinks.base import Sink
from serving.errors import SinkError

__all__ = ["PredictionLogSink"]


class PredictionLogSink(Sink):
    """Rows of the kinds in EVENT_KINDS, each there once, also for whoever reads the Parquet files by themselves.

    Each batch is one file per camera and day, named after the batch, so that writing it again overwrites it with
    the same rows. Records are held back so that the files are few; until then they lie in the worker's state.

    Parameters
    ----------
    log : str
        A folder or s3://bucket/prefix, as for `camera_counting.prediction_log.PredictionLog`.
    model_name : str
        Registered name of the model that counts; empty where it has none.
    seconds : float
        For how long records are held back.
    """

    batch_size = 5_000

    def __init__(self, name: str, log: str, *, model_name: str = "", seconds: float = 60.0) -> None:
        super().__init__(name)
        self.linger = seconds
        self._log, self._model = log, model_name

    def deliver(self, records: Sequence[CountRecord], batch: str) -> None:
        """Write the batch's files; see `Sink.deliver`."""
        try:
            write_batch(self._log, [self._row(record) for record in records], batch)
        except PredictionLogError as error:
            raise SinkError(str(error)) from error

    def _row(self, record: CountRecord) -> Prediction:
        return Prediction(
            id=record.id,
            time=record.time,
            camera_id=record.camera,
            model_name=self._model,
            model_version=record.model_version,
            kind=record.kind,
            confidence_mean=record.confidence,
            confidence_min=record.confidence,
            place=record.name,
            direction=record.direction,
            class_name=record.class_name,
            track=record.track,
            lasted=record.lasted,
            number=record.number,
        )
