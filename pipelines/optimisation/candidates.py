"""From a recipe to a detector that runs, its file on disk, and what it sees on the validation pictures."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from camera_counting.detections import Detections
from camera_counting.detectors import GraphDetector, open_detector
from camera_counting.errors import DetectorError
from counting_evaluator import LabelledPicture, detect_all
from pipelines.optimisation.calibration import Calibration
from pipelines.optimisation.errors import OptimisationError
from pipelines.optimisation.graph import Graph, write_graph
from pipelines.optimisation.parent import Parent
from pipelines.optimisation.quantisation import Preset, quantise
from pipelines.optimisation.recipes import Recipe

__all__ = ["FLOOR", "Candidate", "build"]

FLOOR = 0.01
"""The least score that is detected, so that any threshold can be tried."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A detector that was made.

    Parameters
    ----------
    recipe : Recipe
    path : Path
        Of its .xml or .onnx.
    detector : GraphDetector
    found : tuple of Detections
        One per validation picture, down to `FLOOR`.
    """

    recipe: Recipe
    path: Path
    detector: GraphDetector
    found: tuple[Detections, ...]

    @property
    def bytes(self) -> int:
        """Of its files."""
        return sum(file.stat().st_size for file in {self.path, self.path.with_suffix(".bin")} if file.is_file())


def build(
    recipe: Recipe,
    parent: Parent,
    calibration: Calibration | None,
    preset: Preset,
    pictures: Sequence[LabelledPicture],
    folder: Path,
) -> Candidate:
    """Make a candidate, run it, and let it look at the validation pictures.

    Parameters
    ----------
    calibration : Calibration or None
        Needed for INT8.
    folder : Path
        Where its files are written.

    Raises
    ------
    OptimisationError
        Where it cannot be made, or an input of another size makes another detector of it.
    """
    graph = parent.graph if recipe.size is None else _of_size(parent, recipe.size, folder)
    if recipe.precision == "int8":
        if calibration is None:
            raise OptimisationError("expected pictures to calibrate INT8 with, got none")
        graph = quantise(graph, calibration, preset)
    path = write_graph(graph.model, folder / f"{recipe.name}.xml", half=recipe.precision == "fp16")
    detector = _open(path, graph, parent)
    return Candidate(recipe, path, detector, detect_all(detector, pictures, FLOOR).found)


def _of_size(parent: Parent, size: tuple[int, int], folder: Path) -> Graph:
    """The graph for another input, once it is proven to be the same detector."""
    graph = parent.graph.of_size(*size)
    words = f"{size[0]}x{size[1]}"
    detector = _open(write_graph(graph.model, folder / f"proof-{words}.xml", half=False), graph, parent)
    try:
        same = parent.detector.agrees_with(detector)
    except (DetectorError, ValueError) as error:
        raise OptimisationError(f"with an input of {words} the detector does not run: {error}") from error
    if same is None:
        raise OptimisationError(
            f"with an input of {words} nobody can prove that it is the same detector, for its answers belong to "
            "no cells of a grid: export it for that size"
        )
    if not same:
        raise OptimisationError(
            f"with an input of {words} it is another detector, for the same cells answer otherwise: sizes that "
            "are written into its graph cannot be told from other numbers; export it for that size"
        )
    return graph


def _open(path: Path, graph: Graph, parent: Parent) -> GraphDetector:
    manifest = parent.artifact.manifest
    try:
        return open_detector(
            path,
            classes=manifest.classes,
            head=manifest.head,
            spec=graph.spec,
            confidence=manifest.confidence,
            iou=manifest.iou,
        )
    except DetectorError as error:
        raise OptimisationError(f"what was made does not run: {error}") from error
