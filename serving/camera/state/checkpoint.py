"""Where the count of one camera stands, and how that and what happened since are written together."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from serving.camera.records import CountRecord
from serving.camera.state import outbox, tallies
from serving.camera.state.shared_writer import Standing

__all__ = ["Checkpoint", "change_of"]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where the count of one camera stands.

    Parameters
    ----------
    snapshot : dict
        Of the counting engine, ready for JSON.
    sequence : int
        How many events the camera has had; what the ids of its records are made of.
    position : float or None
        Seconds into a clip; None for a live source.
    frame : int
        Index of the last frame that is in the snapshot.
    time : datetime
        When that frame was received, UTC.
    """

    snapshot: dict[str, Any]
    sequence: int
    position: float | None
    frame: int
    time: datetime


def change_of(
    camera: str,
    checkpoint: Checkpoint,
    records: Sequence[CountRecord],
    texts: Sequence[tuple[str, str]],
    unless: Callable[[], bool],
) -> Callable[[sqlite3.Connection, Standing], None]:
    """What writes a commit; all that can be wrong with it is found here, before anybody waits for the disk.

    Raises
    ------
    ValueError
        Where a record has a time without a zone.
    """
    for record in records:
        if record.time.tzinfo is None:
            raise ValueError(f"record {record.id}: expected a time with its zone, got {record.time.isoformat()}")
    row = (
        camera,
        json.dumps(checkpoint.snapshot, separators=(",", ":")),
        checkpoint.sequence,
        checkpoint.position,
        checkpoint.frame,
        checkpoint.time.astimezone(UTC).isoformat(),
    )

    def apply(write: sqlite3.Connection, standing: Standing) -> None:
        if unless():
            return
        write.execute("INSERT OR REPLACE INTO checkpoints VALUES (?, ?, ?, ?, ?, ?)", row)
        new = outbox.append(write, texts, standing.newest)
        standing.newest += len(new)
        tallies.add(write, [records[index] for index in new], time.time())

    return apply
