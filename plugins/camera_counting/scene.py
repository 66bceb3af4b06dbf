"""Scenes: the counting lines, zones and flows of one camera, read from a file and checked.

A scene file is YAML (or JSON, with the same keys)::

    camera: gate-7
    time_zone: Europe/Berlin         # optional; whose clock the counts per hour and day go by
    lines:
      - name: gate
        from: [150, 215]
        to: [640, 215]
        classes: [car, truck, bus]   # optional; every class counts without it
      - {name: exit, from: [20, 30], to: [20, 200]}
    zones:
      - name: yard
        polygon: [[20, 40], [300, 40], [300, 200], [20, 200]]
        crowding: {more_than: 10, for_seconds: 30}   # optional; tells when it is crowded
    flows:
      - {name: through, from: {line: gate, direction: in}, to: exit, within_seconds: 300}

**in** is from the left-hand to the right-hand side of the vector from `from` to `to` as seen on the screen: over a
line drawn from left to right, downwards is in and upwards is out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, PrivateAttr, ValidationError, model_validator

from camera_counting.errors import SceneError
from camera_counting.scene_parts import Anchor, Crowding, Flow, FlowEnd, Line, Part, Point, Zone, show
from camera_counting.scene_text import read_json, read_yaml, reasons
from camera_counting.time_zones import time_zone

__all__ = ["Anchor", "Crowding", "Flow", "FlowEnd", "Line", "Point", "Scene", "Zone", "scene_schema"]

Side = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def _is_a_time_zone(name: str) -> str:
    return str(time_zone(name))


TimeZone = Annotated[str, AfterValidator(_is_a_time_zone)]


class Scene(Part):
    """The lines, zones and flows of one camera.

    Parameters
    ----------
    camera : str
        The camera's id.
    units : {"auto", "pixels", "relative"}
        Relative coordinates run from 0 to 1 over the picture's width and height. "auto" takes coordinates that all
        lie within 0..1, in a scene without `size`, for relative ones, everything else for pixels; but it refuses
        those that lie within 0..2, which are neither.
    size : (width, height), optional
        The picture size on which pixel coordinates were drawn; the scene is then scaled to the size of the frames.
    time_zone : str, optional
        IANA name of the site's time zone, by whose clock counts per hour and day go.
    lines, zones
        At least one of either.
    flows
        From one of the lines to another.

    Raises
    ------
    SceneError
        From the readers `load`, `from_text`, `from_dict`; names file, key and reason.

    Examples
    --------
    >>> scene = Scene.from_dict({"lines": [{"name": "gate", "from": [0, 0.5], "to": [1, 0.5]}]})
    >>> scene.for_size(640, 480).lines[0].start
    (0.0, 240.0)
    """

    camera: str = Field(default="camera", min_length=1, max_length=200, description="The camera's id.")
    units: Literal["auto", "pixels", "relative"] = Field(
        default="auto",
        description="relative: 0..1 over width and height. auto: relative where all coordinates lie in 0..1 and "
        "there is no size, else pixels.",
    )
    size: tuple[Side, Side] | None = Field(
        default=None, description="Width and height of the picture on which pixel coordinates were drawn."
    )
    time_zone: TimeZone | None = Field(
        default=None, description="IANA name of the site's time zone, as Europe/Berlin: counts go by its clock."
    )
    lines: tuple[Line, ...] = Field(default=(), max_length=100)
    zones: tuple[Zone, ...] = Field(default=(), max_length=100)
    flows: tuple[Flow, ...] = Field(default=(), max_length=200)
    # the file it was read from, for messages; scenes are equal whatever they were read from
    _source: str = PrivateAttr("scene")

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a scene from a YAML or JSON file.

        Raises
        ------
        SceneError
            Where the file is missing, is no YAML, or describes no valid scene.
        """
        path = Path(path)
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError as error:
            raise SceneError(f"{path}: expected a scene file, found none; check the path") from error
        except (OSError, UnicodeDecodeError) as error:
            raise SceneError(f"{path}: expected a readable scene file in UTF-8; {error}") from error
        return cls.from_text(text, source=str(path))

    @classmethod
    def from_text(cls, text: str, *, source: str = "scene") -> Self:
        """Read a scene from YAML or JSON text; `source` is named in errors."""
        return cls.from_dict(read_yaml(text, source), source=source)

    @classmethod
    def from_json(cls, text: str, *, source: str = "scene") -> Self:
        """Read a scene from JSON text, as requests carry it."""
        return cls.from_dict(read_json(text, source), source=source)

    @classmethod
    def from_dict(cls, value: object, *, source: str = "scene") -> Self:
        """Check a mapping with the keys of the file."""
        if not isinstance(value, Mapping):
            came = "nothing" if value is None else type(value).__name__
            raise SceneError(f"{source}: expected the keys camera, lines, zones; got {came}")
        try:
            scene = cls.model_validate(dict(value))
        except ValidationError as error:
            raise SceneError("\n".join(f"{source}: {line}" for line in reasons(error))) from error
        scene._source = source
        return scene

    def to_dict(self) -> dict[str, Any]:
        """The scene with the keys of the file, ready for JSON or YAML; defaults are left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Scene) and dict(self) == dict(other)

    @property
    def _where(self) -> str:
        return self._source if self._source != "scene" else f"scene of camera {self.camera!r}"

    @property
    def in_pixels(self) -> bool:
        """Whether the coordinates are pixels."""
        if self.units == "auto":
            return self.size is not None or any(not 0 <= c <= 1 for _, p in self._points() for c in p)
        return self.units == "pixels"

    def for_size(self, width: float, height: float) -> Self:
        """The same scene in pixels of a picture of this size.

        Raises
        ------
        SceneError
            Where a point lies outside the picture.
        """
        if not self.in_pixels:
            fx, fy = float(width), float(height)
        elif self.size is not None:
            fx, fy = width / self.size[0], height / self.size[1]
        else:
            fx, fy = 1.0, 1.0

        def scaled(point: Point) -> Point:
            return (point[0] * fx, point[1] * fy)

        for key, point in self._points():
            x, y = scaled(point)
            # the far border belongs to the picture: a line may run to x = width
            if not (-1e-6 <= x <= width * (1 + 1e-9) and -1e-6 <= y <= height * (1 + 1e-9)):
                raise SceneError(
                    f"{self._where}: {key}: {show((x, y))} lies outside the picture of "
                    f"{width:g}x{height:g} pixels; draw it inside, or state with `size: [width, height]` on which "
                    "picture size it was drawn"
                )
        return self.model_copy(
            update={
                "units": "pixels",
                "size": (float(width), float(height)),
                "lines": tuple(
                    line.model_copy(update={"start": scaled(line.start), "end": scaled(line.end)})
                    for line in self.lines
                ),
                "zones": tuple(
                    zone.model_copy(update={"polygon": tuple(scaled(p) for p in zone.polygon)})
                    for zone in self.zones
                ),
            }
        )

    def check_classes(self, names: Iterable[str]) -> Self:
        """This scene, once all its classes are known to be among the model's `names`.

        Raises
        ------
        SceneError
            Where a line or zone asks for a class that the model does not know.
        """
        known = list(names)
        for key, part in self._parts():
            for i, name in enumerate(part.classes or ()):
                if name not in known:
                    shown = ", ".join(known[:20]) + (", ..." if len(known) > 20 else "")
                    raise SceneError(
                        f"{self._where}: {key}.classes[{i}]: the model does not know the class {name!r}; it knows "
                        f"{shown}"
                    )
        return self

    def _parts(self) -> list[tuple[str, Line | Zone]]:
        lines: list[tuple[str, Line | Zone]] = [(f"lines[{i}]", line) for i, line in enumerate(self.lines)]
        return lines + [(f"zones[{i}]", zone) for i, zone in enumerate(self.zones)]

    def _points(self) -> list[tuple[str, Point]]:
        points = []
        for i, line in enumerate(self.lines):
            points += [(f"lines[{i}].from", line.start), (f"lines[{i}].to", line.end)]
        for i, zone in enumerate(self.zones):
            points += [(f"zones[{i}].polygon[{k}]", point) for k, point in enumerate(zone.polygon)]
        return points

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if not self.lines and not self.zones:
            raise ValueError("expected at least one line or zone, got none")
        seen: dict[str, str] = {}
        flows = [(f"flows[{i}]", flow.name) for i, flow in enumerate(self.flows)]
        for key, name in [*((key, part.name) for key, part in self._parts()), *flows]:
            if name in seen:
                raise ValueError(
                    f"{key}.name: expected a name of its own; {seen[name]} is called {name!r} already"
                )
            seen[name] = key
        self._check_flows()
        points = self._points()
        coordinates = [c for _, point in points for c in point]
        if self.units == "auto" and self.size is None and 1 < max(coordinates) <= 2 and min(coordinates) >= 0:
            key, point = next((key, point) for key, point in points if max(point) > 1)
            raise ValueError(
                f"{key}: expected relative coordinates within 0..1, got {show(point)}; correct it, or state "
                "`units: pixels` if the whole scene is meant to lie within two pixels"
            )
        for key, (x, y) in points:
            if self.units == "relative":
                inside, frame = 0 <= x <= 1 and 0 <= y <= 1, "0..1 (units: relative)"
            elif self.size is not None:
                inside = 0 <= x <= self.size[0] and 0 <= y <= self.size[1]
                frame = f"the picture of {self.size[0]:g}x{self.size[1]:g} pixels"
            else:
                inside, frame = x >= 0 and y >= 0, "the picture (no coordinate may be negative)"
            if not inside:
                raise ValueError(f"{key}: expected a point inside {frame}, got {show((x, y))}")
        return self

    def _check_flows(self) -> None:
        names = [line.name for line in self.lines]
        for i, flow in enumerate(self.flows):
            for key, end in (("from", flow.origin), ("to", flow.destination)):
                if end.line not in names:
                    known = (
                        f"the scene has {', '.join(map(repr, names[:20]))}" if names else "the scene has no line"
                    )
                    raise ValueError(f"flows[{i}].{key}: there is no line {end.line!r}; {known}")


def scene_schema() -> dict[str, Any]:
    """The JSON schema of a scene file; shipped as ``camera_counting/schemas/scene.schema.json``."""
    schema = Scene.model_json_schema(by_alias=True)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "Scene"
    schema["description"] = "The counting lines, zones and flows of one camera."
    for part in schema["$defs"].values():
        part["description"] = part["description"].split("\n")[0]
    schema["anyOf"] = [{"required": ["lines"]}, {"required": ["zones"]}]
    return schema
