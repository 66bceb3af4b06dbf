"""`Detector`, the seam that everything else counts on, and the one that joins a runtime with a head."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from camera_counting.detections import Detections
from camera_counting.detectors.heads import Head
from camera_counting.detectors.letterbox import Placement, letterbox
from camera_counting.detectors.runtimes import Runtime
from camera_counting.detectors.specification import InputSpec
from camera_counting.detectors.suppression import suppress
from camera_counting.errors import DetectorError, PictureError

__all__ = ["AT_MOST", "Detector", "GraphDetector"]

Picture = npt.NDArray[np.uint8]

# More boxes than this in one picture are noise; the detectors' own validation uses the same number.
AT_MOST = 300


class Detector(ABC):
    """Pictures in, detections out. Thread-safe.

    Attributes
    ----------
    names : tuple of str
        The classes, in the order of `Detections.class_ids`.
    confidence : float
        The score a detection needs where a call does not say otherwise.
    """

    names: tuple[str, ...]
    confidence: float

    @abstractmethod
    def detect(self, pictures: Sequence[Picture], confidence: float | None = None) -> list[Detections]:
        """Detect in RGB uint8 pictures of shape (H, W, 3), whose sizes may differ.

        Parameters
        ----------
        pictures : sequence of uint8 arrays of shape (H, W, 3)
            RGB.
        confidence : float, optional
            Score from 0 to 1 that a detection needs; None takes the detector's own.

        Returns
        -------
        list of Detections
            One per picture, in order; boxes in pixels of that picture, best scored first, suppressed per class.

        Raises
        ------
        PictureError
            Where an array is no such picture.
        """

    def detect_each(self, pictures: Iterable[Picture], confidence: float | None = None) -> Iterator[Detections]:
        """Detect in pictures as they come; an implementation may take the next one while one is being detected."""
        for picture in pictures:
            yield from self.detect([picture], confidence)


class GraphDetector(Detector):
    """A detector that is a graph in a file.

    Parameters
    ----------
    runtime : Runtime
    head : Head
    spec : InputSpec
    names : tuple of str
    confidence : float
    iou : float
        Two boxes of one class that overlap by more are one object.
    path : Path
        For messages.
    """

    def __init__(
        self,
        runtime: Runtime,
        head: Head,
        spec: InputSpec,
        names: tuple[str, ...],
        confidence: float,
        iou: float,
        path: Path,
    ) -> None:
        self.runtime, self.head, self.spec = runtime, head, spec
        self.names, self.confidence, self.iou = names, confidence, iou
        self._path = path

    def warm_up(self) -> None:
        """Run once on a grey picture, so that the first real one is not slow and a broken graph shows at once.

        Raises
        ------
        DetectorError
            Where the graph cannot be run or answers with what is no number.
        """
        grey = np.full((self.spec.height, self.spec.width, 3), 114, np.uint8)
        for _, output in self.runtime.run([self._writer(grey)]):
            if not np.isfinite(output).all():
                raise DetectorError(f"{self._path.name} answers a grey picture with values that are no numbers")
            if misfit := self.head.misfit(output, (self.spec.width, self.spec.height)):
                raise DetectorError(f"{self._path.name} has the shape of {self.head.name} alone: {misfit}")
            self._decoded(output, self.confidence, Placement(1.0, 0, 0, self.spec.width, self.spec.height))

    def detect(self, pictures: Sequence[Picture], confidence: float | None = None) -> list[Detections]:
        return list(self.detect_each(pictures, confidence))

    def detect_each(self, pictures: Iterable[Picture], confidence: float | None = None) -> Iterator[Detections]:
        wanted = self.confidence if confidence is None else confidence
        writers = (self._writer(_checked(picture)) for picture in pictures)
        for placement, output in self.runtime.run(writers):
            yield self._decoded(output, wanted, placement)

    def _writer(self, picture: Picture) -> Callable[[Picture], Placement]:
        return partial(letterbox, picture, self.spec)

    def _decoded(self, output: npt.NDArray[np.float32], confidence: float, placement: Placement) -> Detections:
        found = self.head.decode(output, confidence, (self.spec.width, self.spec.height))
        if found.class_ids.size and not 0 <= found.class_ids.min() <= found.class_ids.max() < len(self.names):
            raise DetectorError(
                f"{self._path.name} has {len(self.names)} classes by name, but its output speaks of class number "
                f"{int(found.class_ids.max())}: give it the classes that it was trained with"
            )
        boxes, scores, class_ids = found.boxes, found.scores, found.class_ids
        if self.head.suppression:
            kept = suppress(boxes, scores, class_ids, self.iou, AT_MOST)
        else:
            kept = np.argsort(-scores, kind="stable")[:AT_MOST]
        boxes = placement.to_picture(boxes[kept])
        # a box that lies in the padding alone, or whose corners are no numbers, is nothing in the picture
        inside = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        return Detections(
            boxes[inside],
            scores[kept][inside].astype(np.float32, copy=False),
            class_ids[kept][inside].astype(np.int64, copy=False),
            self.names,
        )


def _checked(picture: Picture) -> Picture:
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8 or 0 in picture.shape:
        raise PictureError(
            f"expected an RGB picture, uint8 of shape (H, W, 3); got {picture.dtype} of shape {picture.shape}"
        )
    return picture
