"""Scenes, tracks and counts drawn on frames, readable from 320x240 to 4K."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from camera_counting.counting.result import SceneCount
from camera_counting.detections import Detections
from camera_counting.plates import INK, Colour, Image, Pen, Place, draw_plate, draw_table, measure, meet, write
from camera_counting.scene import Line, Scene, Zone
from camera_counting.tracking.base import Tracks

__all__ = ["draw_detections", "draw_frame", "draw_scene", "draw_tracks"]

# The palette of M. Okabe and K. Ito (2008), which people with any colour vision can tell apart.
_PALETTE: tuple[Colour, ...] = (
    (86, 180, 233),
    (230, 159, 0),
    (0, 158, 115),
    (240, 228, 66),
    (204, 121, 167),
    (213, 94, 0),
    (0, 114, 178),
)
_LINE: Colour = (255, 196, 0)
_ZONE: Colour = (64, 196, 255)
_ALARM: Colour = (255, 92, 64)
_FLOW: Colour = (190, 222, 150)


def draw_frame(
    image: Image, tracks: Tracks | None, scene: Scene | None, counts: SceneCount | None = None
) -> Image:
    """A copy of a frame with everything on it: zones, boxes, lines, flows and numbers.

    Parameters
    ----------
    image : uint8 array of shape (H, W, 3)
        RGB; left as it is.
    tracks : Tracks, optional
        Boxes in pixels of the frame; those that are not confirmed are left out.
    scene : Scene, optional
        In any units; fitted to the frame.
    counts : SceneCount, optional
        The numbers at lines, zones and flows, and which zones are crowded.

    Returns
    -------
    uint8 array of shape (H, W, 3)
    """
    pen = _pen(image)
    fitted = _fitted(scene, image)
    if fitted is not None:
        _zones(pen, fitted, counts)
        _lines(pen, fitted)
    if tracks is not None:
        _tracks(pen, tracks)
    if fitted is not None:
        _labels(pen, fitted, counts)
    return pen.image


def draw_scene(image: Image, scene: Scene, counts: SceneCount | None = None) -> Image:
    """A copy of a frame with its lines (the arrow shows which way is in) and zones; see `draw_frame`."""
    return draw_frame(image, None, scene, counts)


def draw_tracks(image: Image, tracks: Tracks) -> Image:
    """A copy of a frame with the boxes of its tracks; see `draw_frame`."""
    return draw_frame(image, tracks, None)


def draw_detections(image: Image, detections: Detections, scene: Scene | None = None) -> Image:
    """A copy of a picture with its detections, and the zones of a scene.

    Examples
    --------
    >>> grey = np.full((240, 320, 3), 90, np.uint8)
    >>> seen = Detections.of([[20, 30, 120, 200]], [0.83], [0], ["person"])
    >>> bool((draw_detections(grey, seen) != grey).any()), int(grey.max())
    (True, 90)
    """
    pen = _pen(image)
    fitted = _fitted(scene, image)
    if fitted is not None:
        _zones(pen, fitted, None)
    names = [detections.names[class_id] for class_id in detections.class_ids]
    labels = [f"{name} {score:.2f}" for name, score in zip(names, detections.scores, strict=True)]
    _boxes(pen, detections.boxes, labels, names)
    return pen.image


def _pen(image: Image) -> Pen:
    return Pen(np.ascontiguousarray(image).copy())


def _fitted(scene: Scene | None, image: Image) -> Scene | None:
    return None if scene is None else scene.for_size(image.shape[1], image.shape[0])


def _colour_of(name: str) -> Colour:
    # the same colour for a class in every model and in every run
    return _PALETTE[zlib.crc32(name.encode()) % len(_PALETTE)]


def _zones(pen: Pen, scene: Scene, counts: SceneCount | None) -> None:
    for zone in scene.zones:
        colour = _ALARM if _is_crowded(zone, counts) else _ZONE
        corners = np.rint(zone.polygon).astype(np.int32)
        x, y, w, h = cv2.boundingRect(corners)
        x0, y0 = max(x, 0), max(y, 0)
        patch = pen.image[y0 : y + h, x0 : x + w]
        if patch.size:
            filled = patch.copy()
            cv2.fillPoly(filled, [corners - (x0, y0)], colour, cv2.LINE_AA)
            busy = counts is not None and zone.name in counts.zones and counts.zones[zone.name].occupancy > 0
            weight = 0.28 if busy else 0.16
            patch[:] = cv2.addWeighted(filled, weight, patch, 1 - weight, 0)
        cv2.polylines(pen.image, [corners], True, INK, pen.stroke + 2, cv2.LINE_AA)
        cv2.polylines(pen.image, [corners], True, colour, pen.stroke, cv2.LINE_AA)


def _lines(pen: Pen, scene: Scene) -> None:
    for line in scene.lines:
        start, end = np.array(line.start), np.array(line.end)
        arrow = _arrow(pen, line)
        for colour, extra in ((INK, 2), (_LINE, 0)):
            width = pen.stroke + 1 + extra
            cv2.line(pen.image, _at(start), _at(end), colour, width, cv2.LINE_AA)
            for tip in (start, end):
                cv2.circle(pen.image, _at(tip), pen.stroke + 2 + extra // 2, colour, -1, cv2.LINE_AA)
            _draw_arrow(pen, *arrow, colour, width)


def _arrow(pen: Pen, line: Line) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Foot and tip of the arrow that stands on the line and points in."""
    start, end = np.array(line.start), np.array(line.end)
    along = (end - start) / line.length
    inwards = np.array([-along[1], along[0]])
    foot = (start + end) / 2
    return foot, foot + inwards * pen.text * 1.7


def _draw_arrow(
    pen: Pen, foot: npt.NDArray[np.float64], tip: npt.NDArray[np.float64], colour: Colour, width: int
) -> None:
    cv2.arrowedLine(pen.image, _at(foot), _at(tip), colour, width, cv2.LINE_AA, tipLength=0.42)


def _labels(pen: Pen, scene: Scene, counts: SceneCount | None) -> None:
    # no plate may hide an arrow, its own or another one
    arrows = [_around(*_arrow(pen, line), pen.stroke * 2) for line in scene.lines]
    for line in scene.lines:
        numbers = f"in {_compass(*_arrow(pen, line))}"
        if counts is not None and line.name in counts.lines:
            counted = counts.lines[line.name]
            numbers = f"in {counted.into}   out {counted.out}"
        parts = [line.name, numbers]
        draw_plate(pen, _beside(pen, line, parts, arrows), parts, _LINE)
    for zone in scene.zones:
        numbers = ""
        if counts is not None and zone.name in counts.zones:
            numbers = str(counts.zones[zone.name].occupancy)
        if _is_crowded(zone, counts):
            draw_plate(pen, _middle(zone), [zone.name, f"{numbers}   crowded"], _ALARM)
        else:
            draw_plate(pen, _middle(zone), [zone.name, numbers], _ZONE)
    _flows(pen, scene, counts)


def _is_crowded(zone: Zone, counts: SceneCount | None) -> bool:
    counted = None if counts is None else counts.zones.get(zone.name)
    return counted is not None and counted.crowding is not None and counted.crowding.crowded


def _flows(pen: Pen, scene: Scene, counts: SceneCount | None) -> None:
    rows = []
    for flow in scene.flows:
        counted = None if counts is None else counts.flows.get(flow.name)
        way = f"{flow.origin} → {flow.destination}"
        rows.append((flow.name, way if counted is None else str(counted.total)))
    # not more than a third of the picture; what is left out is told
    most = max(1, pen.image.shape[0] // 3 // (pen.text + 2 * pen.pad + 1))
    if len(rows) > most:
        rows = [*rows[: most - 1], (f"+ {len(rows) - most + 1} flows", "")]
    draw_table(pen, rows, _FLOW)


def _compass(foot: npt.NDArray[np.float64], tip: npt.NDArray[np.float64]) -> str:
    """The sign of that of eight directions which the arrow has on the screen."""
    x, y = tip - foot
    return "→↘↓↙←↖↑↗"[round(float(np.arctan2(y, x)) / (np.pi / 4)) % 8]


def _beside(pen: Pen, line: Line, parts: Sequence[str], arrows: Sequence[Place]) -> npt.NDArray[np.float64]:
    """Where the plate of a line hides nothing: on the side that nobody comes from, or else beyond an end."""
    width, height = pen.plate_size(parts)
    foot, tip = _arrow(pen, line)
    start, end = np.array(line.start), np.array(line.end)
    half, gap = np.array([width, height]) / 2, pen.text * 0.4
    along = (end - start) / line.length
    inwards = np.array([-along[1], along[0]])
    behind = -inwards * (np.abs(inwards) @ half + gap)
    before = tip - foot + inwards * (np.abs(inwards) @ half + gap)
    beyond = along * (np.abs(along) @ half + gap)
    quarter = (end - start) / 4
    usual: npt.NDArray[np.float64] = foot + behind
    for centre in (
        usual, foot - quarter + behind, foot + quarter + behind, foot + before, start - beyond, end + beyond
    ):  # fmt: skip
        left, top = (round(float(edge)) for edge in centre - half)
        place = (left, top, left + width, top + height)
        if pen.is_free(place) and not any(meet(place, arrow) for arrow in arrows):
            return centre
    return usual


def _around(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64], margin: int) -> Place:
    (x0, y0), (x1, y1) = _at(np.minimum(a, b)), _at(np.maximum(a, b))
    return x0 - margin, y0 - margin, x1 + margin, y1 + margin


def _middle(zone: Zone) -> npt.NDArray[np.float64]:
    """The point of a zone that is farthest from its border, roughly: inside, whatever the shape."""
    corners = np.array(zone.polygon, np.float64)
    low, high = corners.min(0), corners.max(0)
    contour = corners.astype(np.float32)
    best = -np.inf
    where: npt.NDArray[np.float64] = corners.mean(0)
    for fx in np.linspace(0.05, 0.95, 13):
        for fy in np.linspace(0.05, 0.95, 13):
            point = low + (high - low) * (fx, fy)
            depth = cv2.pointPolygonTest(contour, (float(point[0]), float(point[1])), True)
            if depth > best:
                best, where = depth, point
    return where


def _tracks(pen: Pen, tracks: Tracks) -> None:
    shown = np.flatnonzero(tracks.confirmed)
    names = [tracks.names[class_id] for class_id in tracks.class_ids[shown]]
    labels = [f"{name} {track}" for name, track in zip(names, tracks.ids[shown], strict=True)]
    _boxes(pen, tracks.boxes[shown], labels, names)


def _boxes(pen: Pen, boxes: npt.NDArray[np.float32], labels: Sequence[str], names: Sequence[str]) -> None:
    # the nearest objects (lowest in the picture) lie over those behind them, and have the first say in labels
    nearest_last = np.argsort(boxes[:, 3], kind="stable")
    for i in nearest_last:
        x1, y1, x2, y2 = (round(float(edge)) for edge in boxes[i])
        cv2.rectangle(pen.image, (x1, y1), (x2, y2), INK, pen.stroke + 2, cv2.LINE_AA)
        cv2.rectangle(pen.image, (x1, y1), (x2, y2), _colour_of(names[i]), pen.stroke, cv2.LINE_AA)
    taken: list[Place] = []
    size = max(10, round(pen.text * 0.8))
    pad = max(1, size // 5)
    for i in nearest_last[::-1]:
        x1, y1, x2, _ = (round(float(edge)) for edge in boxes[i])
        wide, high = measure(labels[i], size)
        wide, high = wide + 2 * pad, high + 2 * pad
        top = y1 - high if y1 >= high else y1
        left = int(np.clip(x1, 0, max(pen.image.shape[1] - wide, 0)))
        place = (left, top, left + wide, top + high)
        # a label that is much wider than its object, or lies on another one, hides more than it tells
        if wide > 2.2 * (x2 - x1) or any(meet(place, other) for other in taken):
            continue
        taken.append(place)
        cv2.rectangle(pen.image, (left, top), (left + wide, top + high), _colour_of(names[i]), -1)
        write(pen.image, labels[i], left + pad, top + pad, size, INK)


def _at(point: npt.NDArray[np.float64]) -> tuple[int, int]:
    return round(float(point[0])), round(float(point[1]))
