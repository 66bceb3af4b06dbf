"""The value that travels from the detector through the tracker to the counts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Detections", "confusable"]


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """What a detector saw in one picture.

    Parameters
    ----------
    boxes : float32 array of shape (N, 4)
        Corners x1, y1, x2, y2 in pixels of the original picture; x grows to the right, y downwards.
    scores : float32 array of shape (N,)
        Confidence, 0 to 1.
    class_ids : int64 array of shape (N,)
        Index into `names`.
    names : tuple of str
        The model's classes, all of them, in the order of its outputs.

    Raises
    ------
    ValueError
        Where the shapes do not belong together.

    Examples
    --------
    >>> seen = Detections.of([[10, 20, 50, 90], [60, 20, 99, 80]], [0.9, 0.4], [0, 1], ["person", "car"])
    >>> len(seen), seen.counts()
    (2, {'person': 1, 'car': 1})
    >>> seen.at_least(0.5).counts()
    {'person': 1, 'car': 0}
    """

    boxes: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    class_ids: npt.NDArray[np.int64]
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        n = len(self.scores)
        if self.boxes.shape != (n, 4) or self.scores.shape != (n,) or self.class_ids.shape != (n,):
            raise ValueError(
                "expected boxes (N, 4), scores (N,) and class_ids (N,); got "
                f"{self.boxes.shape}, {self.scores.shape} and {self.class_ids.shape}"
            )

    @classmethod
    def of(
        cls,
        boxes: npt.ArrayLike,
        scores: npt.ArrayLike,
        class_ids: npt.ArrayLike,
        names: Sequence[str],
    ) -> Detections:
        """Build from anything that NumPy takes for an array; an empty list is no detection."""
        return cls(
            np.asarray(boxes, np.float32).reshape(-1, 4),
            np.asarray(scores, np.float32).reshape(-1),
            np.asarray(class_ids, np.int64).reshape(-1),
            tuple(names),
        )

    @classmethod
    def none(cls, names: Sequence[str]) -> Detections:
        """No detection at all, for a model with these classes."""
        return cls.of([], [], [], names)

    def __len__(self) -> int:
        return len(self.scores)

    def take(self, index: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> Detections:
        """Those detections that a mask or an index array selects."""
        return Detections(self.boxes[index], self.scores[index], self.class_ids[index], self.names)

    def at_least(self, confidence: float) -> Detections:
        """Those with a score of at least `confidence`."""
        return self.take(self.scores >= np.float32(confidence))

    def of_classes(self, classes: Iterable[str] | None) -> Detections:
        """Those of the named classes; None keeps all."""
        if classes is None:
            return self
        wanted = [self.names.index(name) for name in classes if name in self.names]
        return self.take(np.isin(self.class_ids, wanted))

    def counts(self) -> dict[str, int]:
        """How many of each class, zeros included, in the model's order."""
        numbers = np.bincount(self.class_ids, minlength=len(self.names))
        return {name: int(number) for name, number in zip(self.names, numbers, strict=True)}

    def may_be_confused(self) -> npt.NDArray[np.bool_]:
        """Mask (N, N) of the pairs whose classes are `confusable`."""
        people = np.array([name == _PERSON for name in self.names], bool)[self.class_ids]
        return np.asarray(people[:, None] == people[None])


_PERSON = "person"


def confusable(name: str, other: str) -> bool:
    """Whether two boxes may be one object: a truck on a car is one, a person on a bicycle are two."""
    return (name == _PERSON) == (other == _PERSON)
