"""What a scene consists of: lines, zones and flows, each of them checked by itself."""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from camera_counting.geometry import first_self_crossing, polygon_area

__all__ = ["Anchor", "Crowding", "Flow", "FlowEnd", "Line", "Part", "Point", "Zone", "show"]


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError(f"expected a finite number, got {value}")
    return value


Coordinate = Annotated[float, AfterValidator(_finite)]
Point = tuple[Coordinate, Coordinate]
Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"\S")]
# No longer than a week: what is longer is a mistake of the unit.
Seconds = Annotated[float, AfterValidator(_finite), Field(ge=0, le=7 * 86400)]


class Anchor(StrEnum):
    """The point of a box that stands for the object; on the ground that is the middle of the bottom edge."""

    BOTTOM = "bottom"
    CENTER = "center"
    TOP = "top"
    LEFT = "left"
    RIGHT = "right"


class Part(BaseModel):
    """Frozen, and without a key that is not known."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Line(Part):
    """A counting line: a directed segment.

    Examples
    --------
    >>> Line(name="gate", start=(0, 100), end=(200, 100)).length
    200.0
    """

    name: Name = Field(description="Unique within the scene.")
    start: Point = Field(alias="from", description="x, y of the first end.")
    end: Point = Field(
        alias="to",
        description="x, y of the second end. Seen along from -> to, 'in' goes from the left-hand to the "
        "right-hand side.",
    )
    classes: tuple[Name, ...] | None = Field(
        default=None, min_length=1, description="Classes that are counted here; all of them where absent."
    )
    anchor: Anchor = Field(
        default=Anchor.BOTTOM, description="Point of the box that must cross: the middle of this edge."
    )

    @property
    def length(self) -> float:
        """Distance between the ends, in the scene's units."""
        return math.dist(self.start, self.end)

    @model_validator(mode="after")
    def _has_a_length(self) -> Self:
        if self.start == self.end:
            raise ValueError(f"expected two different ends, got {show(self.start)} twice: a line needs a length")
        return self


class Crowding(Part):
    """When a zone is crowded: more objects than a number inside, held for a time.

    Examples
    --------
    >>> Crowding(more_than=10, for_seconds=30).clear_after
    30.0
    """

    more_than: int = Field(ge=0, le=100_000, description="It is crowded when more than so many are inside, ...")
    for_seconds: Seconds = Field(default=10.0, description="... for so long without a break.")
    clear_seconds: Seconds | None = Field(
        default=None,
        description="It is cleared once no more than `more_than` were inside for so long without a break; as long "
        "as `for_seconds` where absent.",
    )

    @property
    def clear_after(self) -> float:
        """For how many seconds no more than `more_than` must be inside until it is cleared."""
        return self.for_seconds if self.clear_seconds is None else self.clear_seconds


class Zone(Part):
    """A zone: a simple polygon in which objects are counted and their stay is measured.

    Examples
    --------
    >>> Zone(name="yard", polygon=[(0, 0), (10, 0), (10, 10), (0, 10)]).area
    100.0
    """

    name: Name = Field(description="Unique within the scene.")
    polygon: tuple[Point, ...] = Field(
        max_length=200, description="Corners x, y in order, at least three; not closed."
    )
    classes: tuple[Name, ...] | None = Field(
        default=None, min_length=1, description="Classes that are counted here; all of them where absent."
    )
    anchor: Anchor = Field(default=Anchor.BOTTOM, description="Point of the box that must be inside.")
    crowding: Crowding | None = Field(default=None, description="When to tell that the zone is crowded.")

    @property
    def area(self) -> float:
        """Area in the scene's units, squared."""
        return polygon_area(self.polygon)

    @model_validator(mode="after")
    def _is_a_simple_polygon(self) -> Self:
        corners = self.polygon
        if len(corners) > 3 and corners[0] == corners[-1]:
            raise ValueError("expected the first corner only once: the polygon closes by itself")
        if len(corners) < 3:
            raise ValueError(f"expected at least 3 corners, got {len(corners)}")
        crossing = first_self_crossing(corners)
        if crossing is not None:
            a, b = crossing
            raise ValueError(
                f"expected a polygon that does not cross itself; its edges {a + 1} and {b + 1} cross or touch "
                "(list the corners in the order in which you would walk round the zone)"
            )
        if self.area <= 1e-12:
            raise ValueError("expected a polygon with an area; all its corners lie on one line")
        return self


class FlowEnd(Part):
    """One end of a flow: a line, and the direction in which it is crossed where that matters."""

    line: Name = Field(description="Name of a line of this scene.")
    direction: Literal["in", "out"] | None = Field(default=None, description="Either one where absent.")

    def __str__(self) -> str:
        return f"{self.line} {self.direction}" if self.direction else self.line

    def takes(self, line: str, direction: str) -> bool:
        """Whether a crossing of this line in this direction is this end of the flow."""
        return self.line == line and self.direction in (None, direction)


def _named_line(value: object) -> object:
    if isinstance(value, str):
        return {"line": value}
    if not isinstance(value, (Mapping, FlowEnd)):
        raise ValueError(f"expected a line's name, or {{line: NAME, direction: in}}; got {value!r:.80}")
    return value


_End = Annotated[
    FlowEnd,
    BeforeValidator(
        _named_line, json_schema_input_type=FlowEnd | Annotated[str, Field(min_length=1, max_length=100)]
    ),
]


class Flow(Part):
    """A flow between two sections: those who cross one line and then another one.

    Examples
    --------
    >>> flow = Flow.model_validate({"name": "through", "from": "west", "to": {"line": "east", "direction": "out"}})
    >>> str(flow.origin), str(flow.destination)
    ('west', 'east out')
    """

    name: Name = Field(description="Unique within the scene.")
    origin: _End = Field(
        alias="from", description="The line that is crossed first: its name, or line and direction."
    )
    destination: _End = Field(
        alias="to", description="The line that is crossed then: its name, or line and direction."
    )
    within_seconds: Annotated[Seconds, Field(gt=0)] | None = Field(
        default=None, description="Those who take longer are not counted; there is no limit where absent."
    )

    @model_validator(mode="after")
    def _leads_somewhere(self) -> Self:
        a, b = self.origin, self.destination
        if a.line == b.line and (a.direction is None or b.direction is None or a.direction == b.direction):
            raise ValueError(
                f"expected a flow from one line to another, or between the two directions of one; got {a} to {b}"
            )
        return self


def show(point: Point) -> str:
    """A point in words."""
    return f"({point[0]:g}, {point[1]:g})"
