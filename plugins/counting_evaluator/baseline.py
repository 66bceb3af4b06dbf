"""What anybody could guess without looking: the mean count of that camera at that hour, on the training pictures.

A model that is no better than this is not worth its electricity, whatever its mAP.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from counting_evaluator.errors import EvaluationError

__all__ = ["CountBaseline", "Moment"]


@dataclass(frozen=True, slots=True)
class Moment:
    """Where and when a picture was taken, as far as it is known.

    Parameters
    ----------
    camera : str or None
    hour : int or None
        0 to 23, all of one clock.
    """

    camera: str | None
    hour: int | None


@dataclass(frozen=True, slots=True, eq=False)
class CountBaseline:
    """Mean counts by camera and hour, by camera, and over all.

    Parameters
    ----------
    classes : tuple of str
    known : dict of Moment to float64 array (classes,)
        ``Moment(camera, None)`` is the camera's at any hour, ``Moment(None, None)`` everybody's.
    """

    classes: tuple[str, ...]
    known: dict[Moment, npt.NDArray[np.float64]]

    @classmethod
    def fit(cls, moments: Sequence[Moment], counts: npt.ArrayLike, classes: Sequence[str]) -> CountBaseline:
        """Take the means.

        Parameters
        ----------
        moments : sequence of Moment
            Of the training pictures, never of those that are evaluated.
        counts : integer array (pictures, classes)

        Raises
        ------
        EvaluationError
            Where there is no picture, or counts and moments do not fit together.

        Examples
        --------
        >>> seen = [Moment("gate", 8), Moment("gate", 8), Moment("gate", 9)]
        >>> guess = CountBaseline.fit(seen, [[2], [4], [9]], ["car"])
        >>> guess.predict([Moment("gate", 8), Moment("gate", 23), Moment("yard", 8)]).tolist()
        [[3.0], [5.0], [5.0]]
        """
        table = np.asarray(counts, np.float64)
        if table.shape != (len(moments), len(classes)) or not len(moments):
            raise EvaluationError(
                f"expected counts of {len(classes)} classes for each of at least one training picture, got "
                f"{len(moments)} pictures and counts of shape {table.shape}"
            )
        rows: dict[Moment, list[int]] = {}
        for number, moment in enumerate(moments):
            for key in dict.fromkeys((moment, Moment(moment.camera, None), Moment(None, None))):
                rows.setdefault(key, []).append(number)
        return cls(tuple(classes), {key: table[numbers].mean(axis=0) for key, numbers in rows.items()})

    def predict(self, moments: Sequence[Moment]) -> npt.NDArray[np.float64]:
        """Counts (pictures, classes): of camera and hour; else of the camera; else of all. Not rounded."""
        fallbacks = [(each, Moment(each.camera, None), Moment(None, None)) for each in moments]
        found = [next(self.known[key] for key in keys if key in self.known) for keys in fallbacks]
        return np.array(found, np.float64).reshape(-1, len(self.classes))

    def table(self, evaluated: pd.DataFrame, moments: Sequence[Moment]) -> pd.DataFrame:
        """A model's ``evaluation_table`` with what this would have counted in its place.

        Parameters
        ----------
        evaluated : DataFrame
            Of the pictures, with ``digest``, ``image``, ``true`` and ``true_<class>``.
        moments : sequence of Moment
            Of its rows.
        """
        counted = self.predict(moments)
        true = [name for name in evaluated.columns if name == "true" or name.startswith("true_")]
        columns = evaluated[["digest", "image", *true]].copy()
        columns["counted"] = counted.sum(axis=1)
        for number, name in enumerate(self.classes):
            columns[f"counted_{name}"] = counted[:, number]
        return columns
