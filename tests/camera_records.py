"""Records and checkpoints to try the camera worker's state and sinks with."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

from serving.camera.records import CountRecord, record_id
from serving.camera.state import Checkpoint, StateStore

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def record(
    number: int, /, camera: str = "gate", *, epoch: uuid.UUID | None = None, **values: object
) -> CountRecord:
    """The record of a camera's event of this number, a second after the one before."""
    told = {
        "id": record_id(epoch or uuid.UUID(int=1), camera, number),
        "camera": camera,
        "kind": "crossing",
        "name": "entrance",
        "direction": "in",
        "time": NOON + timedelta(seconds=number),
        "class_name": "person",
        "track": number,
        "confidence": 0.75,
        "position": (10.25, 20.5),
        "frame": 25 * number,
        "model_version": "3",
    }
    return CountRecord(**{**told, **values})


def checkpoint(sequence: int = 0, **values: object) -> Checkpoint:
    """Where a camera stands after this many events."""
    told = {
        "snapshot": {"tracks": [[1, 2.5]], "sequence": sequence},
        "sequence": sequence,
        "position": None,
        "frame": 25 * sequence,
        "time": NOON + timedelta(seconds=sequence),
    }
    return Checkpoint(**{**told, **values})


def numbers(store: StateStore, sink: str) -> list[int]:
    """Those of the records that wait for a sink."""
    return [waiting.track for _, waiting in store.waiting(sink, 1_000)]
