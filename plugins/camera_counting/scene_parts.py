"""What a scene consists of: lines and zones, each of them checked by itself."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from camera_counting.geometry import first_self_crossing, polygon_area

__all__ = ["Anchor", "Line", "Part", "Point", "Zone", "show"]


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError(f"expected a finite number, got {value}")
    return value


Coordinate = Annotated[float, AfterValidator(_finite)]
Point = tuple[Coordinate, Coordinate]
Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"\S")]


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


def show(point: Point) -> str:
    """A point in words."""
    return f"({point[0]:g}, {point[1]:g})"
