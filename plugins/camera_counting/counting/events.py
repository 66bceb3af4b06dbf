"""What happens at the lines and zones of a scene."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

__all__ = ["Event", "Observation"]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that counts: a track crossed a line, came into or left a zone, or a zone is crowded.

    Parameters
    ----------
    kind : {"crossing", "entered", "left", "flow", "crowded", "cleared"}
    name : str
        Of the line, zone or flow.
    direction : {"in", "out", ""}
        Over a line: in is from its left-hand to its right-hand side. Into a zone is in, out of it is out. Other
        kinds have none.
    frame : int
        Index of the first frame in which the object was seen on the other side. Where that lies beyond the ends of
        the path that was seen, the frame at this end.
    seconds : float
        Time at which the path, followed beyond its ends if need be, met the line; mostly between two frames.
    position : (x, y)
        Where the path met the line, in pixels of the frames; for a zone that is crowded, its middle.
    track : int
        Identity of the track; -1 where the event is nobody's alone (crowded, cleared).
    class_name : str
        The track's class as decided when the event was told; in a `VideoCount`, as decided in the end. Empty where
        the event is nobody's alone.
    confidence : float
        Mean score of the track's detections until then, 0 to 1; 1 where the event is nobody's alone.
    lasted : float or None
        Seconds: the stay of one who left, the travel of a flow, how long it was crowded until it was cleared.
    number : int or None
        How many are inside where it is crowded; where it is cleared, the most who were inside since.
    """

    kind: Literal["crossing", "entered", "left", "flow", "crowded", "cleared"]
    name: str
    direction: Literal["in", "out", ""]
    frame: int
    seconds: float
    position: tuple[float, float]
    track: int
    class_name: str
    confidence: float
    lasted: float | None = None
    number: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """As a dictionary ready for JSON; what the kind does not have is left out."""
        told = {**asdict(self), "position": [round(c, 2) for c in self.position]}
        return {key: value for key, value in told.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Observation:
    """Where a track's anchor was in one frame.

    `size` is the square root of the box's area in pixels, the yardstick for everything that is relative to the
    object; `at_border` tells whether its box touches the border of the frame.
    """

    x: float
    y: float
    size: float
    seconds: float
    frame: int
    at_border: bool = False

    def to_row(self) -> list[Any]:
        """Its fields in their order, ready for JSON; ``Observation(*row)`` reads it back."""
        return [self.x, self.y, self.size, self.seconds, self.frame, self.at_border]
