"""`Detector`, the seam that everything else counts on, and the one that joins a runtime with a head."""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from copy import copy
from dataclasses import replace
from functools import partial
from itertools import groupby
from pathlib import Path

import numpy as np
import numpy.typing as npt

from camera_counting.detections import Detections
from camera_counting.detectors.fitting import Answer, Region, agree, fitted_spec, grown_region, trial_picture
from camera_counting.detectors.heads import Head
from camera_counting.detectors.letterbox import Placement, letterbox, scale_into
from camera_counting.detectors.runtimes import Output, Runtime
from camera_counting.detectors.specification import InputSpec
from camera_counting.detectors.suppression import suppress
from camera_counting.errors import DetectorError, PictureError

__all__ = ["AT_MOST", "Detector", "GraphDetector"]

Picture = npt.NDArray[np.uint8]

# More boxes than this in one picture are noise; the detectors' own validation uses the same number.
AT_MOST = 300
# Shapes of input that one detector is kept ready for: cameras share few, and each takes the weights' memory again.
_SHAPES = 4

_logger = logging.getLogger(__name__)


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

    def begin(self, picture: Picture, confidence: float | None = None) -> Future[Detections]:
        """Begin to detect in one picture, as `detect` does; an implementation may do it in another thread.

        Raises
        ------
        PictureError
            Where the array is no such picture.
        """
        future: Future[Detections] = Future()
        future.set_result(self.detect([picture], confidence)[0])
        return future

    def for_frames(self, width: int, height: int, region: Region | None = None) -> Detector:
        """The detector for the frames of one camera, made ready: quicker where it can be, else this one.

        Ask once per camera, not per picture: another shape of input may take a second or two to prepare.

        Parameters
        ----------
        width, height : int
            Of the frames, in pixels. Frames of other sizes are detected, too, as this one would.
        region : (x1, y1, x2, y2), optional
            Pixels of the frames that matter; what lies outside may be missing from the answers.

        Raises
        ------
        RequestError
            Where the region has no area within the frames.
        """
        return self


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
        self._part: Region | None = None
        self._fitted: OrderedDict[tuple[int, int], GraphDetector] = OrderedDict()
        self._fitting = threading.Lock()

    def warm_up(self) -> None:
        """Run once on a grey picture, so that the first real one is not slow and a broken graph shows at once.

        Raises
        ------
        DetectorError
            Where the graph cannot be run or answers with what is no number.
        """
        grey = np.full((self.spec.height, self.spec.width, 3), 114, np.uint8)
        for _ in self.runtime.run([self._writer(grey)], self._proved):
            pass

    def _proved(self, placement: Placement, output: Output) -> Detections:
        if not np.isfinite(output).all():
            raise DetectorError(f"{self._path.name} answers a grey picture with values that are no numbers")
        if misfit := self.head.misfit(output, (self.spec.width, self.spec.height)):
            raise DetectorError(f"{self._path.name} has the shape of {self.head.name} alone: {misfit}")
        return self._decoded(self.confidence, placement, output)

    def for_frames(self, width: int, height: int, region: Region | None = None) -> Detector:
        part = None if region is None else grown_region(self.spec, (width, height), region)
        x1, y1, x2, y2 = part or (0, 0, width, height)
        spec = fitted_spec(self.spec, x2 - x1, y2 - y1, scale_into(self.spec, width, height))
        fitted = self._of_size(spec)
        if fitted is self:
            return self
        if part is not None:
            fitted = copy(fitted)
            fitted._part = part
        return FrameDetector(self, fitted, (width, height))

    def _of_size(self, spec: InputSpec) -> GraphDetector:
        """The same graph for a smaller input; this one where it does not go, or does not stay the same."""
        size = spec.width, spec.height
        if size == (self.spec.width, self.spec.height):
            return self
        with self._fitting:
            if size not in self._fitted:
                self._fitted[size] = self._proved_of_size(spec) or self
                if len(self._fitted) > _SHAPES:
                    self._fitted.popitem(last=False)
            self._fitted.move_to_end(size)
            return self._fitted[size]

    def _proved_of_size(self, spec: InputSpec) -> GraphDetector | None:
        runtime = self.runtime.resized(spec)
        if runtime is None:
            _logger.info(
                "%s stays at its own input: it does not go with %sx%s", self._path.name, spec.width, spec.height
            )
            return None
        fitted = GraphDetector(runtime, self.head, spec, self.names, self.confidence, self.iou, self._path)
        try:
            same = self.agrees_with(fitted)
        except (DetectorError, ValueError) as error:
            _logger.info("%s stays at its own input: %s", self._path.name, error)
            return None
        # a graph that was made for any size is believed where nothing can be compared
        if not same and (runtime.rewritten or same is False):
            _logger.info(
                "%s stays at its own input: at %sx%s it answers otherwise",
                self._path.name,
                spec.width,
                spec.height,
            )
            return None
        return fitted

    def agrees_with(self, fitted: GraphDetector) -> bool | None:
        """Whether a detector with a smaller input, or the same one, says what this one says of the same pixels.

        None where its answers belong to no cells, so that nothing can be compared; see `fitting.agree`.

        Raises
        ------
        DetectorError, ValueError
            Where one of the two cannot be run or answers with a shape of its own.
        """
        picture = trial_picture(fitted.spec.width, fitted.spec.height)
        own, size = (self.spec.width, self.spec.height), (fitted.spec.width, fitted.spec.height)
        return agree(self._answer(picture), fitted._answer(picture), own, size)

    def _answer(self, picture: Picture) -> Answer:
        """What every cell says of a picture that lies at the top left of the input as it is."""

        def write(canvas: Picture) -> None:
            canvas[:] = self.spec.pad
            canvas[: picture.shape[0], : picture.shape[1]] = picture

        def read(_: None, output: Output) -> Answer:
            boxes = self.head.decode(output, 0.0, (self.spec.width, self.spec.height)).boxes
            scores = self.head.class_scores(output)
            # the output is the next picture's soon
            return Answer(boxes, None if scores is None else scores.copy())

        (found,) = self.runtime.run([write], read)
        return found

    def detect(self, pictures: Sequence[Picture], confidence: float | None = None) -> list[Detections]:
        if len(pictures) != 1:
            return list(self.detect_each(pictures, confidence))
        wanted = self.confidence if confidence is None else confidence
        return [self.runtime.answer(self._writer(_checked(pictures[0])), partial(self._decoded, wanted))]

    def detect_each(self, pictures: Iterable[Picture], confidence: float | None = None) -> Iterator[Detections]:
        wanted = self.confidence if confidence is None else confidence
        writers = (self._writer(_checked(picture)) for picture in pictures)
        return self.runtime.run(writers, partial(self._decoded, wanted))

    def begin(self, picture: Picture, confidence: float | None = None) -> Future[Detections]:
        wanted = self.confidence if confidence is None else confidence
        return self.runtime.submit(self._writer(_checked(picture)), partial(self._decoded, wanted))

    def _writer(self, picture: Picture) -> Callable[[Picture], Placement]:
        if self._part is None:
            return partial(letterbox, picture, self.spec)
        x1, y1, x2, y2 = self._part
        return lambda canvas: replace(letterbox(picture[y1:y2, x1:x2], self.spec, canvas), x=x1, y=y1)

    def _decoded(self, confidence: float, placement: Placement, output: Output) -> Detections:
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


class FrameDetector(Detector):
    """A detector with an input that fits the frames of one camera, or a part of them.

    Parameters
    ----------
    whole : GraphDetector
        For frames of another size.
    fitted : GraphDetector
        For frames of this size.
    size : (width, height)
    """

    def __init__(self, whole: GraphDetector, fitted: GraphDetector, size: tuple[int, int]) -> None:
        self.names, self.confidence = whole.names, whole.confidence
        self.whole, self.fitted, self.size = whole, fitted, size

    def detect(self, pictures: Sequence[Picture], confidence: float | None = None) -> list[Detections]:
        if len(pictures) == 1:
            return (self.fitted if self._fits(pictures[0]) else self.whole).detect(pictures, confidence)
        return list(self.detect_each(pictures, confidence))

    def detect_each(self, pictures: Iterable[Picture], confidence: float | None = None) -> Iterator[Detections]:
        for fits, group in groupby(pictures, self._fits):
            yield from (self.fitted if fits else self.whole).detect_each(group, confidence)

    def begin(self, picture: Picture, confidence: float | None = None) -> Future[Detections]:
        return (self.fitted if self._fits(picture) else self.whole).begin(picture, confidence)

    def for_frames(self, width: int, height: int, region: Region | None = None) -> Detector:
        return self.whole.for_frames(width, height, region)

    def _fits(self, picture: Picture) -> bool:
        return _checked(picture).shape[:2] == (self.size[1], self.size[0])


def _checked(picture: Picture) -> Picture:
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8 or 0 in picture.shape:
        raise PictureError(
            f"expected an RGB picture, uint8 of shape (H, W, 3); got {picture.dtype} of shape {picture.shape}"
        )
    return picture
