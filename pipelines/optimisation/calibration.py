"""The pictures that INT8's ranges are measured on: those of the cameras that the model learnt from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from camera_counting.detectors import InputSpec
from camera_counting.detectors.letterbox import letterbox
from pipelines.datasets.manifest import PictureEntry, PreparedDataset
from pipelines.optimisation.errors import OptimisationError

__all__ = ["Calibration", "choose_calibration", "graph_input"]


@dataclass(frozen=True, slots=True)
class Calibration:
    """Pictures of the train split, in the order in which they are shown.

    Parameters
    ----------
    dataset : PreparedDataset
    entries : tuple of PictureEntry
    """

    dataset: PreparedDataset
    entries: tuple[PictureEntry, ...]

    @property
    def digest(self) -> str:
        """SHA-256 over the pictures' digests, in order."""
        return hashlib.sha256("\n".join(entry.sha256 for entry in self.entries).encode()).hexdigest()

    def inputs(self, spec: InputSpec) -> Iterator[npt.NDArray[np.generic]]:
        """Each picture as the graph takes it; read from the disk anew each time, so that any number fits.

        Errors as for `verify`.
        """
        for entry in self.entries:
            yield graph_input(self._picture(entry), spec)

    def verify(self) -> None:
        """Read every picture once.

        Raises
        ------
        OptimisationError
            Where one is missing, was altered since the set was prepared, or cannot be decoded.
        """
        for entry in self.entries:
            self._picture(entry)

    def _picture(self, entry: PictureEntry) -> npt.NDArray[np.uint8]:
        path = self.dataset.folder / entry.file
        try:
            data = path.read_bytes()
        except OSError as error:
            raise OptimisationError(
                f"the calibration picture {entry.file} of {self.dataset.folder} cannot be read "
                f"({error.strerror}): prepare the data again, or restore them"
            ) from error
        if hashlib.sha256(data).hexdigest() != entry.sha256:
            raise OptimisationError(
                f"the calibration picture {entry.file} of {self.dataset.folder} was altered since the data were "
                "prepared: prepare them again, or restore them from the store"
            )
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
        if image is None:
            raise OptimisationError(f"expected a picture in {path}, it cannot be decoded")
        return np.asarray(image, np.uint8)


def choose_calibration(dataset: PreparedDataset, pictures: int, seed: int) -> Calibration:
    """So many pictures of the train split, the same number of each camera as far as it has them.

    A camera with a thousand pictures of an empty street would else set the ranges of all.

    Raises
    ------
    OptimisationError
        Where the set has no train split, or no picture in it.
    """
    entries = dataset.manifest.splits.get("train", ())
    if not entries:
        raise OptimisationError(
            f"expected pictures in the train split of {dataset.folder} to calibrate INT8 with, there are none: "
            "give the data that the model learnt from, or leave int8 out of --precisions"
        )
    rng = np.random.default_rng(seed)
    cameras: dict[str, list[PictureEntry]] = {}
    # by digest, so that the choice does not depend on names or on the order in which pictures were read
    for entry in sorted(entries, key=lambda entry: (entry.camera or "", entry.sha256)):
        cameras.setdefault(entry.camera or "", []).append(entry)
    shuffled = [[queue[i] for i in rng.permutation(len(queue))] for queue in cameras.values()]
    return Calibration(dataset, tuple(_in_turn(shuffled)[:pictures]))


def _in_turn(queues: Sequence[Sequence[PictureEntry]]) -> list[PictureEntry]:
    longest = max(map(len, queues))
    return [queue[turn] for turn in range(longest) for queue in queues if turn < len(queue)]


def graph_input(picture: npt.NDArray[np.uint8], spec: InputSpec) -> npt.NDArray[np.generic]:
    """A picture (H, W, 3) of RGB uint8 as the detector's graph takes it, batch axis included.

    What the runtimes do: letterbox, order of the channels, scale, layout.

    Examples
    --------
    >>> graph_input(np.full((32, 64, 3), 255, np.uint8), InputSpec(width=64, height=32)).shape
    (1, 3, 32, 64)
    """
    canvas = np.empty((spec.height, spec.width, 3), np.uint8)
    letterbox(picture, spec, canvas)
    ordered = canvas[..., ::-1] if spec.color == "BGR" else canvas
    if spec.layout == "NCHW":
        ordered = ordered.transpose(2, 0, 1)
    if spec.dtype == "uint8":
        return np.ascontiguousarray(ordered[None])
    return np.ascontiguousarray((ordered * np.float32(spec.scale)).astype(spec.dtype)[None])
