"""What the worker tells of its cameras: read by the page, the health check and the metrics."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

__all__ = ["CameraState", "CameraStatus", "SinkStatus", "WorkerStatus"]

CameraState = Literal["connecting", "live", "frozen", "black", "waiting", "ended", "failed", "stopped"]
"""live: frames come. frozen, black: they come, and show nothing that lives. waiting: for the next try to connect.
ended: a clip is over. failed: cannot go on without somebody's help, `error` says why."""


@dataclass(frozen=True, slots=True)
class CameraStatus:
    """One camera now.

    Parameters
    ----------
    camera : str
    state : CameraState
    error : str
        The last trouble in a sentence; empty where there is none.
    since : datetime
        UTC, when it came into this state.
    last_frame : datetime or None
        UTC, when its last frame was received.
    fps : float
        Frames received per second, over the last seconds.
    frames, dropped, corrupt, stale, reconnects : int
        Received; dropped because newer ones had come; not decodable; older than the staleness budget when their
        turn came; how often it was connected anew.
    detected, rested : int
        Frames that were given to the detector; frames in which nothing that counts had moved.
    decode_ms, inference_ms, delay_ms : float
        Recent means: decoding a frame, detecting in it, from its receipt to its count.
    version : str
        Of the model that counts it.
    today : dict
        Counts of the local day: {"lines": {name: {"in": n, "out": n}}, "zones": {name: {"occupancy": n, ...}}}.
    """

    camera: str
    state: CameraState
    error: str
    since: datetime
    last_frame: datetime | None = None
    fps: float = 0.0
    frames: int = 0
    dropped: int = 0
    corrupt: int = 0
    stale: int = 0
    reconnects: int = 0
    detected: int = 0
    rested: int = 0
    decode_ms: float = 0.0
    inference_ms: float = 0.0
    delay_ms: float = 0.0
    version: str = ""
    today: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SinkStatus:
    """One sink now.

    Parameters
    ----------
    waiting, delivered : int
        How many records wait for it, and how many it took.
    lost : int
        Those that it never gets, because too many waited.
    refused : int
        Of those delivered: what it refuses for good while it takes others, set aside in a file of the state
        folder.
    """

    name: str
    up: bool
    error: str
    waiting: int
    delivered: int
    lost: int
    refused: int = 0


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """The whole worker now.

    Parameters
    ----------
    model, version : str
        As configured, and what was loaded from it.
    model_error : str
        Why a newer version is not used; empty where there is none.
    durable : bool
        Whether the state could be written the last time; counting goes on where it could not.
    state_error : str
    state_trouble : str
        Why the state had to be begun anew when the worker was started; empty where it had not.
    """

    started: datetime
    model: str
    version: str
    model_error: str
    durable: bool
    state_error: str
    cameras: tuple[CameraStatus, ...]
    sinks: tuple[SinkStatus, ...]
    state_trouble: str = ""
