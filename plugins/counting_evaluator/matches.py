"""How the detections of one class fit the truth, and the precision that follows, for any part of the pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array

__all__ = ["Matches"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """How the detections of one class fit the truth at an IoU of 0.5, each box matched once, best score first.

    Parameters
    ----------
    picture : int64 array of shape (D,)
        The picture that each detection is of.
    score : float64 array of shape (D,)
        Its score.
    correct : bool array of shape (D,)
        Whether it matched a true box.
    true : int64 array of shape (pictures,)
        How many true boxes each picture has.
    detection : int64 array of shape (D,)
        Its number among the detections of its picture.
    partner : int64 array of shape (D,)
        Number of the box that it matched among the labels of the picture; -1 for none.
    """

    picture: Ints
    score: Floats
    correct: npt.NDArray[np.bool_]
    true: Ints
    detection: Ints
    partner: Ints

    def tally(self, confidence: float, pictures: npt.NDArray[np.bool_] | None = None) -> tuple[int, int, int]:
        """True positives, false positives and false negatives at a confidence, over all or a mask of pictures."""
        rows = self.tallies(confidence)
        hits, false, missed = (rows if pictures is None else rows[pictures]).sum(axis=0).tolist()
        return hits, false, missed

    def taken(self, confidence: float) -> npt.NDArray[np.bool_]:
        """Mask (D,) of the detections that count at a confidence; compared as float32, as everywhere else.

        A score of 0.7 is a little less than the 0.7 of a double.
        """
        return np.asarray(self.score >= np.float32(confidence))

    def tallies(self, confidence: float) -> Ints:
        """The same picture by picture, shape (pictures, 3)."""
        chosen = self.taken(confidence)
        hits = np.bincount(self.picture[chosen & self.correct], minlength=len(self.true))
        seen = np.bincount(self.picture[chosen], minlength=len(self.true))
        return np.stack([hits, seen - hits, self.true - hits], axis=1).astype(np.int64)

    def pr_auc(self) -> float:
        """Area under the curve of precision over recall as it is, without interpolation; nan without a true box.

        The sum of (R_n - R_n-1) P_n over the distinct scores, best first: what scikit-learn's
        ``average_precision_score(correct, score)`` gives, times the share of the true boxes that were found at any
        score, since scikit-learn knows nothing of objects that were never detected. COCO's AP takes away the saw's
        teeth and looks at 101 recalls only: the two differ by some hundredths.
        """
        total = int(self.true.sum())
        if not total:
            return float("nan")
        order = np.argsort(-self.score, kind="stable")
        hits = np.cumsum(self.correct[order])
        # Of detections with the same score, none comes first: the curve has one point for all of them.
        ends = np.flatnonzero(np.diff(self.score[order], append=-np.inf))
        gained = np.diff(hits[ends], prepend=0)
        return float((gained * hits[ends] / (ends + 1)).sum() / total)

    def average_precision(self, weights: npt.NDArray[np.number]) -> Floats:
        """COCO's AP at IoU 0.5 where each picture counts as often as its weight says.

        A mask of pictures gives the AP of a slice, the numbers of a bootstrap's draws that of each draw: matching
        is done within a picture, so it stays what it is.

        Parameters
        ----------
        weights : array of shape (R, pictures)
            None of them below zero.

        Returns
        -------
        float64 array of shape (R,)
            nan where the weighted pictures have no true box.

        Examples
        --------
        Two pictures with one object each, found in the first one only:

        >>> one = np.zeros(1, np.int64)
        >>> matches = Matches(one, np.array([0.9]), np.array([True]), np.array([1, 1]), one, one)
        >>> matches.average_precision(np.array([[1, 1], [1, 0], [0, 1]])).round(2).tolist()
        [0.5, 1.0, 0.0]
        """
        weights = np.asarray(weights, np.float64)
        total = weights @ self.true
        order = np.argsort(-self.score, kind="stable")
        correct, picture = self.correct[order], self.picture[order]
        hits = np.cumsum(weights[:, picture[correct]], axis=1)
        # Precision is best right after a hit, so what is false is summed up between one hit and the next. What is
        # false after the last one changes nothing.
        before = np.cumsum(correct)[~correct]
        counts = before < hits.shape[1]
        places = (picture[~correct][counts], before[counts])
        between = coo_array((np.ones(counts.sum()), places), shape=(weights.shape[1], hits.shape[1])).tocsr()
        false = np.cumsum(weights @ between, axis=1)
        precision = hits / (hits + false + np.spacing(1))
        best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        best = np.concatenate([best, np.zeros((len(best), 1))], axis=1)  # recalls that are never reached
        with np.errstate(invalid="ignore", divide="ignore"):
            recall = hits / total[:, None]
        areas = np.array(
            [row[np.searchsorted(at, _RECALLS)].mean() for row, at in zip(best, recall, strict=True)], np.float64
        )
        return np.where(total > 0, areas, np.nan)
