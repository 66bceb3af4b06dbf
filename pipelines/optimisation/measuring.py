"""What is known of a model and its candidates on the validation split: threshold, count errors, time, size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from camera_counting.detections import Detections
from counting_evaluator import LabelledPicture, detect_all, read_table
from counting_evaluator.counting import count_table, true_counts
from counting_evaluator.passes import read_picture
from pipelines.datasets.manifest import PreparedDataset
from pipelines.labelled_table import labelled_table
from pipelines.optimisation.candidates import FLOOR, Candidate
from pipelines.optimisation.errors import OptimisationError
from pipelines.optimisation.parent import Parent
from pipelines.optimisation.recipes import THRESHOLDS
from pipelines.optimisation.thresholds import blocks_of, count_figures, fit
from pipelines.optimisation.timing import Latency, time_by_turns
from pipelines.optimisation.verdict import Figures

__all__ = ["Refitted", "Validation", "at_its_best", "measure"]


@dataclass(frozen=True, slots=True, eq=False)
class Validation:
    """The validation split as it is looked at here.

    Parameters
    ----------
    pictures : tuple of LabelledPicture
    classes : tuple of str
        The annotated ones, in the model's order.
    blocks : int64 array of shape (pictures,)
        See `blocks_of`.
    """

    pictures: tuple[LabelledPicture, ...]
    classes: tuple[str, ...]
    blocks: npt.NDArray[np.int64]

    @classmethod
    def of(cls, dataset: PreparedDataset, names: Sequence[str]) -> Self:
        """Read it for a model of these classes.

        Raises
        ------
        OptimisationError
            Where there is no validation split, no object in it, or the model does not know a class.
        """
        if not dataset.manifest.splits.get("val"):
            raise OptimisationError(
                f"expected pictures in the val split of {dataset.folder} to fit thresholds on and to count, there "
                "are none: prepare the data with a validation split"
            )
        if unknown := [name for name in dataset.classes if name not in names]:
            raise OptimisationError(
                f"the data annotate {', '.join(unknown)}, the model knows {', '.join(names)}: "
                "give data of its classes"
            )
        pictures = tuple(read_table(labelled_table(dataset, "val")))
        if not any(picture.labels for picture in pictures):
            raise OptimisationError(
                f"the val split of {dataset.folder} shows no object to fit thresholds on and to count: prepare a "
                "larger one"
            )
        classes = tuple(name for name in names if name in dataset.classes)
        return cls(pictures, classes, blocks_of(dataset.samples("val")))

    def errors_at(self, found: Sequence[Detections], confidence: float) -> dict[str, float]:
        """Count errors at a confidence."""
        return count_figures(
            count_table(found, self.classes, confidence), true_counts(self.pictures, self.classes)
        )


@dataclass(frozen=True, slots=True)
class Refitted:
    """The model itself with another threshold, and its figures with that."""

    candidate: Candidate
    figures: Figures


def measure(
    parent: Parent, candidates: Sequence[Candidate], validation: Validation, *, timed: int, rounds: int, seed: int
) -> tuple[Figures, dict[str, Figures], Refitted]:
    """The model at its own threshold, each candidate at one that was fitted for it, and the model so, too.

    Parameters
    ----------
    timed, rounds : int
        How many pictures are timed, and how often each.

    Returns
    -------
    (Figures, dict of str to Figures, Refitted)
        Those of the candidates by their names.
    """
    picked = np.linspace(0, len(validation.pictures) - 1, min(timed, len(validation.pictures)))
    pictures = [read_picture(validation.pictures[int(number)]) for number in picked.round()]
    detectors = {"": parent.detector} | {each.recipe.name: each.detector for each in candidates}
    latency = time_by_turns(detectors, pictures, rounds, seed)
    seen = detect_all(parent.detector, validation.pictures, FLOOR).found
    itself = Candidate(THRESHOLDS, parent.artifact.detector, parent.detector, seen)
    own = parent.detector.confidence
    model = Figures(own, parent.bytes, latency[""], validation.errors_at(seen, own))
    found = {each.recipe.name: _figures(each, latency[each.recipe.name], validation) for each in candidates}
    refitted = replace(_figures(itself, latency[""], validation), bytes=parent.bytes)
    return model, found, Refitted(itself, refitted)


def at_its_best(model: Figures, refitted: Figures) -> Figures:
    """The model with each error as small as it is at its own threshold or at one fitted like the candidates'.

    A candidate that is only better for its threshold would else hide what it lost.
    """
    return replace(model, errors={name: min(value, refitted.errors[name]) for name, value in model.errors.items()})


def _figures(candidate: Candidate, latency: Latency, validation: Validation) -> Figures:
    fitted = fit(validation.pictures, candidate.found, validation.classes, validation.blocks)
    return Figures(fitted.confidence, candidate.bytes, latency, fitted.figures)
