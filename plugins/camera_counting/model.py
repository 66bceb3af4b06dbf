"""`CountingModel`: what `load_model` gives, and what counts pictures and clips."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from camera_counting.detections import Detections
from camera_counting.detectors import Detector
from camera_counting.errors import RequestError
from camera_counting.picture_count import PictureCount, count_picture
from camera_counting.pictures import Picture, read_picture

if TYPE_CHECKING:
    from camera_counting.counting import Economy, Event, FrameCount, VideoCount
    from camera_counting.scene import Scene
    from camera_counting.video import VideoSource

__all__ = ["CountingModel", "PictureCount"]

# Frames of a clip that save more time than an input of their own shape takes to prepare, a second or two. So a
# server that is sent short clips of all sizes does not prepare one after the other.
_WORTH_PREPARING = 200


class CountingModel:
    """A detector with its thresholds, ready to count. Thread-safe.

    Parameters
    ----------
    detector : Detector
    digest : str
        SHA-256 of the model's artefact; empty where it was not loaded from one.
    name, version : str, optional
        As registered.
    """

    def __init__(
        self, detector: Detector, *, digest: str = "", name: str | None = None, version: str | None = None
    ) -> None:
        self.detector = detector
        self.digest, self.name, self.version = digest, name, version

    @property
    def names(self) -> tuple[str, ...]:
        """The classes, in the order of the detector's outputs."""
        return self.detector.names

    @property
    def confidence(self) -> float:
        """The score a detection needs where a call does not say otherwise."""
        return self.detector.confidence

    def detect(self, images: Any, confidence: float | None = None) -> list[Detections]:
        """Boxes in each picture; see `count` for what a picture may be, and for what is refused."""
        confidence = self.check_confidence(confidence)
        return self.detector.detect([read_picture(image) for image in _several(images)], confidence)

    def count(
        self,
        images: Any,
        *,
        scene: Scene | None = None,
        confidence: float | None = None,
        classes: Iterable[str] | None = None,
    ) -> list[PictureCount]:
        """Count the objects in one picture or in several.

        Parameters
        ----------
        images
            A path, the bytes of a JPEG, PNG or WebP file, a Pillow picture or an RGB uint8 array (H, W, 3); or a
            sequence of them.
        scene : Scene, optional
            Its zones are counted each by itself; lines need a clip.
        confidence : float, optional
            Score from 0 to 1 that a detection needs; None takes the model's.
        classes : iterable of str, optional
            Only these; None takes all.

        Returns
        -------
        list of PictureCount
            One per picture, in order.

        Raises
        ------
        PictureError
            Where a picture cannot be read.
        SceneError
            Where the scene does not fit a picture or the model's classes.
        RequestError
            Where the model does not know a class, or the confidence is not from 0 to 1.
        """
        wanted = self.check_classes(classes)
        self.check_confidence(confidence)
        if scene is not None:
            scene.check_classes(self.names)
        pictures = map(read_picture, _several(images))
        return list(self.count_each(pictures, scene=scene, confidence=confidence, classes=wanted))

    def count_each(
        self,
        pictures: Iterable[Picture],
        *,
        scene: Scene | None = None,
        confidence: float | None = None,
        classes: tuple[str, ...] | None = None,
    ) -> Iterator[PictureCount]:
        """Count pictures as they come, so that any number of them fits into memory.

        The next picture is read while the last one is being detected. Arguments as for `count`, but pictures are
        RGB uint8 arrays (H, W, 3), and classes are taken as checked.
        """
        sizes: list[tuple[int, int]] = []

        def noted() -> Iterator[Picture]:
            for picture in pictures:
                sizes.append((picture.shape[1], picture.shape[0]))
                yield picture

        for detections in self.detector.detect_each(noted(), confidence):
            width, height = sizes.pop(0)
            yield count_picture(detections, width, height, scene, classes)

    def count_video(
        self,
        source: str | Path | VideoSource,
        scene: Scene | None = None,
        *,
        confidence: float | None = None,
        classes: Iterable[str] | None = None,
        economy: Economy | None = None,
        on_frame: Callable[[FrameCount], None] | None = None,
    ) -> VideoCount:
        """Count a clip or a folder of pictures: crossings per line, occupancy and dwell per zone.

        Parameters
        ----------
        source : str, Path or VideoSource
            What `camera_counting.video.open_source` opens.
        scene : Scene, optional
            Lines and zones; without them only the objects of each class are counted.
        confidence, classes
            As for `count`.
        economy : Economy, optional
            Which work may be left out: `Economy.exact()` leaves out none, `Economy.fast()` the most; by default
            what loses no count.
        on_frame : callable, optional
            Called after each frame with what is known then.

        Raises
        ------
        SourceError, SceneError, RequestError
            Where the clip cannot be read, the scene does not fit, or an argument makes no sense.
        """
        from camera_counting import counting

        settings = self._checked(scene, confidence, classes)
        opened = _opened(source)
        return counting.count_video(
            opened, self._looks(opened), self.names, scene, on_frame=on_frame, economy=economy, **settings
        )

    def stream(
        self,
        source: str | Path | VideoSource,
        scene: Scene | None = None,
        *,
        confidence: float | None = None,
        classes: Iterable[str] | None = None,
        economy: Economy | None = None,
    ) -> Iterator[Event]:
        """Events (crossings, entries, exits) as they happen; arguments and errors as for `count_video`.

        What makes no sense is refused at once; the source is opened at once, too, and closed after its last event.
        """
        settings = {**self._checked(scene, confidence, classes), "economy": economy}
        return self._events(_opened(source), scene, settings)

    def _events(self, source: VideoSource, scene: Scene | None, settings: dict[str, Any]) -> Iterator[Event]:
        from camera_counting import counting

        with source:
            for frame in counting.count_frames(source, self._looks(source), self.names, scene, **settings):
                yield from frame.events

    def _looks(self, source: VideoSource) -> Detector | Callable[..., list[Detections]]:
        """What detects in the frames of a source: an input of their shape is prepared only where they are many."""
        few = source.frame_count is not None and source.frame_count < _WORTH_PREPARING
        return self.detector.detect if few else self.detector

    def _checked(
        self, scene: Scene | None, confidence: float | None, classes: Iterable[str] | None
    ) -> dict[str, Any]:
        """The settings of a clip's count, before its source is opened."""
        if scene is not None:
            scene.check_classes(self.names)
        return {"confidence": self.check_confidence(confidence), "classes": self.check_classes(classes)}

    def check_classes(self, classes: Iterable[str] | None) -> tuple[str, ...] | None:
        """These classes in the model's order, once it is known to have them all; None for all.

        Raises
        ------
        RequestError
            Where it does not know one, or none is named.
        """
        if classes is None:
            return None
        wanted = [classes] if isinstance(classes, str) else list(classes)
        if not wanted:
            raise RequestError("classes: expected at least one class, got none; leave it out to count all")
        for name in wanted:
            if name not in self.names:
                known = ", ".join(self.names[:20]) + (", …" if len(self.names) > 20 else "")
                raise RequestError(f"classes: the model does not know {str(name)[:40]!r}; it knows {known}")
        return tuple(name for name in self.names if name in wanted)

    def check_confidence(self, confidence: float | None) -> float:
        """This confidence, or the model's, once it is known to be a number from 0 to 1.

        Raises
        ------
        RequestError
        """
        if confidence is None:
            return self.confidence
        if isinstance(confidence, bool) or not isinstance(confidence, (int, float, np.number)):
            raise RequestError(f"confidence: expected a number from 0 to 1, got {type(confidence).__name__}")
        if not 0 <= confidence <= 1:  # NaN fails this, too
            raise RequestError(f"confidence: expected a number from 0 to 1, got {confidence}")
        return float(confidence)


def _several(images: Any) -> Sequence[Any]:
    if isinstance(images, (list, tuple)):
        return images
    if isinstance(images, np.ndarray) and images.ndim == 4:
        return list(images)
    return [images]


def _opened(source: str | Path | VideoSource) -> VideoSource:
    from camera_counting.video import VideoSource, open_source

    return source if isinstance(source, VideoSource) else open_source(source)
