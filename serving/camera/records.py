"""What leaves the worker: one record per event, under an id that is the same however often it is told."""

from __future__ import annotations

import uuid
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

__all__ = ["CountRecord", "record_id"]


@dataclass(frozen=True, slots=True)
class CountRecord:
    """Something that counted, as sinks get it.

    Parameters
    ----------
    id : str
        Deterministic, see `record_id`: the same event told twice has the same id, two events never do.
    camera : str
    kind : str
        crossing, entered, left, flow, crowded, cleared.
    name : str
        Of the line, the zone or the flow.
    direction : str
        in or out; empty where the kind has none.
    time : datetime
        When it happened, UTC.
    class_name : str
    track : int
        Identity of the track; -1 where the event is nobody's alone (crowded, cleared).
    confidence : float
        0 to 1.
    position : (x, y)
        In pixels of the frames.
    frame : int
    model_version : str
        The version that counted it; empty where the model is not registered.
    lasted : float or None
        Seconds: the stay of one who left, the travel of a flow, how long it was crowded until it was cleared.
    number : int or None
        How many are inside where it is crowded; where it is cleared, the most who were inside since.
    """

    id: str
    camera: str
    kind: str
    name: str
    direction: str
    time: datetime
    class_name: str
    track: int
    confidence: float
    position: tuple[float, float]
    frame: int
    model_version: str = ""
    lasted: float | None = None
    number: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """As a dictionary ready for JSON, the time as ISO 8601 in UTC; what the kind does not have is left out."""
        told = {key: value for key, value in asdict(self).items() if value is not None}
        told["time"] = self.time.astimezone(UTC).isoformat()
        told["position"] = [round(c, 2) for c in self.position]
        if self.lasted is not None:
            told["lasted"] = round(self.lasted, 3)
        return told


def record_id(epoch: uuid.UUID, camera: str, *what: object) -> str:
    """The id of an event of a camera.

    Parameters
    ----------
    epoch : UUID
        Of the worker's state: a state folder that is begun anew never repeats an id of the one before.
    what
        What tells this event from every other one of the camera.

    Examples
    --------
    >>> epoch = uuid.UUID(int=7)
    >>> record_id(epoch, "gate", "crossing", "line", 3) == record_id(epoch, "gate", "crossing", "line", 3)
    True
    """
    return str(uuid.uuid5(epoch, "\x1f".join([camera, *map(str, what)])))
