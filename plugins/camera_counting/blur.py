"""Pictures on which nobody can be recognised, made before anything is stored or shown.

What may be a person is covered by coarse blocks: faint detections, tracks and where they must be while the
detector misses them, and whatever moves and is no vehicle. Where a detector does not find enough of those who
move, it will miss who stands still: then the rest of the picture is covered, too, in smaller blocks. Where nothing
is to be trusted (no class for people, a place that is not known yet, an error), all of it is, in large ones.
Number plates are out of scope.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from camera_counting.background import Background
from camera_counting.blur_trust import Trust
from camera_counting.detections import Detections
from camera_counting.tracking.base import Tracks

__all__ = ["FAINT", "BlurSettings", "Blurred", "PeopleBlur", "blur_people", "pixelate"]

Image = npt.NDArray[np.uint8]
_Boxes = npt.NDArray[np.float64]
_Mask = npt.NDArray[np.bool_]

_log = logging.getLogger(__name__)

FAINT = 0.03
"""The confidence to detect with for a blur: a box that is far too doubtful to count may still be a person."""

_PEOPLE = frozenset({"person", "people", "pedestrian", "rider", "cyclist"})
# somebody sits on these, and reaches above them
_RIDDEN = frozenset({"bicycle", "motorcycle", "motorbike", "scooter", "horse"})
_VEHICLES = frozenset({"car", "truck", "bus", "train", "van", "tram", "trailer", "vehicle", "boat", "airplane"})

# Blocks across the shorter side of a person: about one for the head.
_BLOCKS = 3
# Shades of a channel that are left of 256: what many frames of blocks add up to stays coarse, too.
_SHADES = 16
_WHOLE_BLOCKS = 16
# If so much of a vehicle's box moves, the vehicle does.
_DRIVES = 0.3
# Blocks across a picture whose detector is not trusted: at night it misses people as wide as a fifth of it, too.
_DOUBTFUL_BLOCKS = 32


class BlurSettings(BaseModel):
    """What a blur goes by.

    The defaults are those that `benchmarks/blur.py` scores.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    solid: float = Field(default=0.4, ge=0, le=1, description="A vehicle of this score explains what moves there.")
    likely: float = Field(default=0.1, ge=0, le=1, description="A person of this score is remembered.")
    hold_seconds: float = Field(
        default=1.0, ge=0, description="How long a place stays covered without a sighting."
    )
    margin: float = Field(default=0.2, ge=0, le=2, description="Around a box, as a part of its own size.")
    head_margin: float = Field(default=0.25, ge=0, le=2, description="Above a box, as a part of its height.")
    trust: float = Field(
        default=0.9, ge=0, le=1, description="Of those who move, how many a trusted detector finds."
    )
    moving: bool = Field(default=True, description="Cover what moves, too; needs consecutive frames.")


@dataclass(frozen=True, slots=True, eq=False)
class Blurred:
    """A picture that may be shown.

    Parameters
    ----------
    image : uint8 array of shape (H, W, 3)
        RGB, a copy.
    blocks : int array of shape (H, W)
        The size in pixels of the block that each pixel lies in; 0 where it is shown as it was.
    whole : str
        Why the whole picture was made unrecognisable, in a few words; empty where only parts were.
    """

    image: Image
    blocks: npt.NDArray[np.int32]
    whole: str = ""

    @property
    def covered(self) -> _Mask:
        """What was made unrecognisable, shape (H, W)."""
        return np.asarray(self.blocks > 0)


@dataclass(slots=True)
class _Sighting:
    box: tuple[float, float, float, float]
    seconds: float


class PeopleBlur:
    """Covers the people in the consecutive frames of one camera. Not thread-safe.

    Parameters
    ----------
    settings : BlurSettings, optional

    Examples
    --------
    >>> blur = PeopleBlur(BlurSettings(moving=False))
    >>> seen = Detections.of([[40, 30, 80, 130]], [0.05], [0], ["person", "car"])
    >>> done = blur.cover(np.full((240, 320, 3), 90, np.uint8), seen, None, 0.0)
    >>> bool(done.covered[30:130, 40:80].all()), bool(done.covered[200, 300]), done.whole
    (True, False, '')
    """

    def __init__(self, settings: BlurSettings | None = None) -> None:
        self.settings = settings or BlurSettings()
        self._forget()

    def cover(self, image: Image, detections: Detections, tracks: Tracks | None, seconds: float) -> Blurred:
        """One frame, made fit to be shown. Never raises for what is in it.

        Parameters
        ----------
        image : uint8 array of shape (H, W, 3)
            RGB; left as it is.
        detections : Detections
            Down to `FAINT`, in pixels of the image.
        tracks : Tracks, optional
            Of the same frame.
        seconds : float
            Time of the frame; one that lies before the last frame's begins anew.
        """
        try:
            return self._cover(image, detections, tracks, seconds)
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody may be seen because of it
            _log.exception("people could not be covered; the whole picture is")
            self._forget()
            return _whole(image, f"covering people failed ({type(error).__name__})")

    def _forget(self) -> None:
        self._background = Background()
        self._trust = Trust(self.settings.trust)
        self._sightings: list[_Sighting] = []
        self._ways: dict[int, tuple[_Sighting, float, float]] = {}
        self._last = -np.inf
        self._shape: tuple[int, ...] = ()

    def _cover(self, image: Image, detections: Detections, tracks: Tracks | None, seconds: float) -> Blurred:
        if not _is_picture(image):
            raise TypeError("expected an RGB picture, uint8 of shape (H, W, 3)")
        if not np.isfinite(seconds) or seconds < self._last or image.shape != self._shape:
            self._forget()
        self._last, self._shape = seconds, image.shape
        if _PEOPLE.isdisjoint(detections.names):
            return _whole(image, "the model knows no people")
        people = _people(detections)
        likely = _people(detections.at_least(self.settings.likely))
        boxes = [people, self._remembered(likely, seconds), self._tracked(tracks, seconds)]
        vehicles = _vehicles(detections, self.settings.solid)
        height, width = image.shape[:2]
        doubt = ""
        if self.settings.moving:
            hidden = np.concatenate([people, vehicles])
            moving = self._background.update(image, seconds, hidden)
            if moving is None:
                return _whole(image, "the place is still being learned")
            regions = _regions(moving, vehicles, width, height)
            self._trust.compare(regions, people)
            boxes.append(regions)
            doubt = "" if self._trust.is_given else "the model has not shown that it finds the people here"
        return _blocks(image, _with_margins(np.concatenate(boxes), self.settings, width, height), doubt)

    def _remembered(self, likely: _Boxes, seconds: float) -> _Boxes:
        """Where somebody was a moment ago: the older, the wider, because nobody knows which way."""
        hold = self.settings.hold_seconds
        self._sightings = [s for s in self._sightings if seconds - s.seconds <= hold][-1000:]
        held = [_grown(s.box, 0.2 * (seconds - s.seconds)) for s in self._sightings]
        self._sightings += [_Sighting((x1, y1, x2, y2), seconds) for x1, y1, x2, y2 in likely.tolist()]
        return _array(held)

    def _tracked(self, tracks: Tracks | None, seconds: float) -> _Boxes:
        """People's tracks, and those that are out of sight where their motion must have brought them."""
        if tracks is None:
            return _array([])
        wanted = [name not in _VEHICLES for name in tracks.names]
        here = []
        for track, class_id, box in zip(
            tracks.ids.tolist(), tracks.class_ids.tolist(), tracks.boxes.tolist(), strict=True
        ):
            if not wanted[class_id]:
                self._ways.pop(track, None)
                continue
            now = _Sighting((box[0], box[1], box[2], box[3]), seconds)
            self._ways[track] = (now, *self._speed(track, now))
            here.append(now.box)
        for track, (last, vx, vy) in list(self._ways.items()):
            gone = seconds - last.seconds
            if gone > 2 * self.settings.hold_seconds or track in tracks.ended:
                del self._ways[track]
            elif gone > 0:
                x1, y1, x2, y2 = last.box
                there = (x1 + vx * gone, y1 + vy * gone, x2 + vx * gone, y2 + vy * gone)
                here.append(_grown(there, 0.3 * gone))
        return _array(here)

    def _speed(self, track: int, now: _Sighting) -> tuple[float, float]:
        """Of the centre, in pixels per second."""
        if track not in self._ways:
            return 0.0, 0.0
        last, vx, vy = self._ways[track]
        elapsed = now.seconds - last.seconds
        if elapsed <= 0:
            return vx, vy
        dx = (now.box[0] + now.box[2] - last.box[0] - last.box[2]) / 2 / elapsed
        dy = (now.box[1] + now.box[3] - last.box[1] - last.box[3]) / 2 / elapsed
        return 0.6 * vx + 0.4 * dx, 0.6 * vy + 0.4 * dy


def blur_people(image: Image, detections: Detections, settings: BlurSettings | None = None) -> Blurred:
    """A single picture, with what its detections alone say; see `PeopleBlur.cover`."""
    still = (settings or BlurSettings()).model_copy(update={"moving": False})
    return PeopleBlur(still).cover(image, detections, None, 0.0)


def pixelate(image: Image, block: int) -> Image:
    """A copy of a picture in blocks of so many pixels, each of one colour out of few.

    Examples
    --------
    >>> noise = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
    >>> len(np.unique(pixelate(noise, 32).reshape(-1, 3), axis=0)) <= 12
    True
    """
    height, width = image.shape[:2]
    size = (max(1, round(width / block)), max(1, round(height / block)))
    small = cv2.resize(np.ascontiguousarray(image), size, interpolation=cv2.INTER_AREA)
    step = 256 // _SHADES
    small = (small // step * step + step // 2).astype(np.uint8)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)


def _is_picture(image: Image) -> bool:
    array = np.asarray(image)
    return array.ndim == 3 and array.shape[2] == 3 and array.dtype == np.uint8 and 0 not in array.shape


def _whole(image: Image, reason: str) -> Blurred:
    if not _is_picture(image):
        return Blurred(np.zeros((9, 16, 3), np.uint8), np.full((9, 16), 16, np.int32), reason)
    block = max(8, max(image.shape[:2]) // _WHOLE_BLOCKS)
    return Blurred(pixelate(image, block), np.full(image.shape[:2], block, np.int32), reason)


def _blocks(image: Image, regions: _Boxes, doubt: str) -> Blurred:
    """Each region in blocks as large as its own size asks for; where two meet, the coarser one wins."""
    least = max(8, max(image.shape[:2]) // _DOUBTFUL_BLOCKS) if doubt else 0
    shown = pixelate(image, least) if doubt else image.copy()
    blocks = np.full(image.shape[:2], least, np.int32)
    corners = np.stack([np.floor(regions[:, :2]), np.ceil(regions[:, 2:])], 1).reshape(-1, 4).astype(int)
    sides = np.minimum(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1])
    # powers of two, so that few sizes have to be made
    sizes = 2 ** np.ceil(np.log2(np.maximum(sides / _BLOCKS, 8))).astype(int)
    made: dict[int, Image] = {}
    for i in np.argsort(sizes, kind="stable").tolist():
        size = int(sizes[i])
        if size <= least:
            continue
        if size not in made:
            made[size] = pixelate(image, size)
        x1, y1, x2, y2 = corners[i].tolist()
        shown[y1:y2, x1:x2] = made[size][y1:y2, x1:x2]
        blocks[y1:y2, x1:x2] = size
    return Blurred(shown, blocks, doubt)


def _people(detections: Detections) -> _Boxes:
    """Boxes of all that may be people: people and riders, however faint."""
    names = np.array([name in _PEOPLE for name in detections.names], bool)
    ridden = np.array([name in _RIDDEN for name in detections.names], bool)
    boxes = detections.boxes.astype(np.float64)
    on = boxes[ridden[detections.class_ids]].copy()
    on[:, 1] -= 1.2 * (on[:, 3] - on[:, 1])
    return np.concatenate([boxes[names[detections.class_ids]], on])


def _vehicles(detections: Detections, solid: float) -> _Boxes:
    names = np.array([name in _VEHICLES for name in detections.names], bool)
    sure = names[detections.class_ids] & (detections.scores >= solid)
    return detections.boxes[sure].astype(np.float64)


def _regions(moving: _Mask, vehicles: _Boxes, width: int, height: int) -> _Boxes:
    """Boxes, in pixels of the picture, around what moves and is no vehicle."""
    rows, columns = moving.shape
    scale = np.array([width / columns, height / rows] * 2)
    left = moving.astype(np.uint8)
    for x1, y1, x2, y2 in np.maximum(vehicles / scale, 0).astype(int).tolist():
        # where little of a vehicle moves, it stands, and somebody passes before or behind it
        if moving[y1 : y2 + 1, x1 : x2 + 1].mean() >= _DRIVES:
            # with its rim, which would be a region all around it
            left[max(y1 - 2, 0) : y2 + 3, max(x1 - 2, 0) : x2 + 3] = 0
    joined = cv2.morphologyEx(left, cv2.MORPH_CLOSE, np.ones((5, 3), np.uint8))
    number, _, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    found = [stats[i, :4] for i in range(1, number) if stats[i, 4] >= 4]
    return np.asarray(_array([(x, y, x + w, y + h) for x, y, w, h in found]) * scale)


def _with_margins(boxes: _Boxes, settings: BlurSettings, width: int, height: int) -> _Boxes:
    """Boxes with their margins, within the picture; those that lie outside of it are left out."""
    boxes = boxes[np.isfinite(boxes).all(1)]
    w, h = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    # a part of the size, and two pixels for those who are small
    around = np.stack(
        [settings.margin * w, settings.head_margin * h, settings.margin * w, settings.margin / 2 * h], 1
    )
    grown = boxes + (around + 2) * (-1, -1, 1, 1)
    grown = np.clip(grown, 0, [width, height, width, height])
    return np.asarray(grown[(grown[:, 2] > grown[:, 0]) & (grown[:, 3] > grown[:, 1])])


def _grown(box: tuple[float, float, float, float], part: float) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = box
    w, h = (x2 - x1) * part, (y2 - y1) * part / 2
    return x1 - w, y1 - h, x2 + w, y2 + h


def _array(boxes: Iterable[tuple[float, float, float, float]]) -> _Boxes:
    return np.array(list(boxes), np.float64).reshape(-1, 4)
