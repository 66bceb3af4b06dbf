"""What happens at the lines and zones of a scene."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

__all__ = ["Event", "Observation"]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that counts: a track crossed a line, or came into or left a zone.

    Parameters
    ----------
    kind : {"crossing", "entered", "left"}
    name : str
        Of the line or zone.
    direction : {"in", "out"}
        Over a line: in is from its left-hand to its right-hand side. Into a zone is in, out of it is out.
    frame : int
        Index of the first frame in which the object was seen on the other side. Where that lies beyond the ends of
        the path that was seen, the frame at this end.
    seconds : float
        Time at which the path, followed beyond its ends if need be, met the line; mostly between two frames.
    position : (x, y)
        Where the path met the line, in pixels of the frames.
    track : int
        Identity of the track.
    class_name : str
        The track's class as decided when the event was told; in a `VideoCount`, as decided in the end.
    confidence : float
        Mean score of the track's detections until then, 0 to 1.
    """

    kind: Literal["crossing", "entered", "left"]
    name: str
    direction: Literal["in", "out"]
    frame: int
    seconds: float
    position: tuple[float, float]
    track: int
    class_name: str
    confidence: float

    def to_dict(self) -> dict[str, Any]:
        """As a dictionary ready for JSON."""
        return {**asdict(self), "position": [round(c, 2) for c in self.position]}


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
