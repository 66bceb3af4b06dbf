"""The prediction log: what was counted where and how surely, without a single picture.

    <root>/                                    CAMERA_COUNTING_PREDICTION_LOG: a folder or s3://bucket/prefix
    ├── date=2026-01-31/camera_id=gate-7/part-….parquet
    └── _spool/….jsonl                         what is not yet in Parquet (for s3: in CAMERA_COUNTING_SPOOL)

Every answer is first appended to a local spool, so `kill -9` loses nothing that was answered, and no answer waits
for Parquet or a network. A thread packs the spool into Parquet when it is large or old enough; at exit; and a new
process packs what a dead one left. A row may then stand in both for a moment: it is told by its id, never twice.
Any number of processes may write to one root.

Rows are of two sorts: counts of a picture, a clip or a frame, which the drift report reads, and single events of
live cameras, which come in batches from a worker that keeps them durable itself.
"""

from camera_counting.prediction_log.frame_sample import frame_sample
from camera_counting.prediction_log.log import (
    COUNT_KINDS,
    ENVIRONMENT,
    EVENT_KINDS,
    PredictionLog,
    active_log,
    read_predictions,
    write_batch,
)
from camera_counting.prediction_log.record import Prediction

__all__ = [
    "COUNT_KINDS",
    "ENVIRONMENT",
    "EVENT_KINDS",
    "Prediction",
    "PredictionLog",
    "active_log",
    "frame_sample",
    "read_predictions",
    "write_batch",
]
