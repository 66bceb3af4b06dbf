"""The same figures for every camera, light and weather, for full and empty pictures, each with their number."""

from __future__ import annotations

import hashlib
import logging
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from counting_evaluator.counting import count_errors
from counting_evaluator.detection import rates
from counting_evaluator.errors import EvaluationError
from counting_evaluator.matches import Matches
from counting_evaluator.truth import LabelledPicture

__all__ = ["DENSITIES", "Slices", "find_slices", "metric_names", "renamed_slices", "size_metrics", "slice_metrics"]

_logger = logging.getLogger(__name__)

Slices = dict[str, dict[str, npt.NDArray[np.bool_]]]
"""Column to value to the mask of its pictures; both as metrics name them."""

# By the number of true objects on a picture.
DENSITIES = {"empty": (0, 0), "few": (1, 4), "some": (5, 9), "many": (10, np.inf)}
# A column with more values than this (an id, a text) is no slice: a figure per picture says nothing.
_MOST_VALUES = 24
# Of cameras a site may have many.
_MOST_CAMERAS = 200
_CAMERA = "camera_id"
_FIGURES = ("mae", "rmse", "bias", "nae")


def find_slices(
    pictures: Sequence[LabelledPicture], total: npt.NDArray[np.int64], columns: Sequence[str] | None = None
) -> Slices:
    """Which pictures belong to which slice.

    Parameters
    ----------
    pictures : sequence of LabelledPicture
    total : int64 array of shape (pictures,)
        True objects of the evaluated classes; they give the slices of ``density``, unless the table has a column
        of that name.
    columns : sequence of str, optional
        Only these; None takes all whose values are few enough.

    Raises
    ------
    EvaluationError
        Where a column that was asked for has no value on any picture or too many.
    """
    slices: Slices = {}
    names = _columns(pictures)
    written = metric_names(names)
    known = [*names, *(name for name in ("density", "size") if name not in names)]
    for column in known if columns is None else dict.fromkeys(columns):
        if column not in names:
            if column == "size":
                continue  # of objects, not of pictures: see `size_metrics`
            if column != "density":
                raise EvaluationError(
                    f"slice {column}: no picture has a value for it, so it would be empty; the pictures have "
                    f"values for {', '.join(known)}"
                )
            slices["density"] = {
                name: (total >= least) & (total <= most)
                for name, (least, most) in DENSITIES.items()
                if ((total >= least) & (total <= most)).any()
            }
            continue
        values = np.array([picture.slices.get(column, "") for picture in pictures])
        distinct = sorted(set(values.tolist()) - {""})
        most = _MOST_CAMERAS if column == _CAMERA else _MOST_VALUES
        if len(distinct) > most:
            told = f"slice {column}: {len(distinct)} values, more than {most}: a figure for each would say little"
            if columns is not None:
                raise EvaluationError(f"{told}; name another column in evaluator_config['slices']")
            _logger.warning("%s, so it is left out", told)
            continue
        if distinct:
            slices[written[column]] = {name: values == value for value, name in metric_names(distinct).items()}
    return slices


def _columns(pictures: Sequence[LabelledPicture]) -> list[str]:
    return sorted({name for picture in pictures for name in picture.slices})


def renamed_slices(pictures: Sequence[LabelledPicture], slices: Slices) -> pd.DataFrame:
    """Slices that metrics call otherwise than the data: ``column``, ``value``, ``metrics``, pictures ``n``.

    A name may hold what MLflow takes in a metric, and no more; see `metric_names`.
    """
    rows = []
    for column, written in metric_names(_columns(pictures)).items():
        if written not in slices:
            continue
        values = sorted({picture.slices.get(column, "") for picture in pictures} - {""})
        for value, name in metric_names(values).items():
            if name in slices[written] and (column, value) != (written, name):
                n = int(slices[written][name].sum())
                rows.append({"column": column, "value": value, "metrics": f"slice/{written}/{name}", "n": n})
    return pd.DataFrame(rows, columns=["column", "value", "metrics", "n"])


def slice_metrics(
    slices: Slices,
    matches: Sequence[Matches],
    counted: npt.NDArray[np.int64],
    true: npt.NDArray[np.int64],
    confidence: float,
) -> dict[str, float]:
    """Figures per slice.

    Parameters
    ----------
    slices : Slices
    matches : sequence of Matches
        One per class.
    counted, true : integer arrays of shape (pictures, classes)
    confidence : float
        The score that takes a detection for one.

    Returns
    -------
    dict
        ``slice/<column>/<value>/n`` (pictures), ``.../count/mae``, ``rmse``, ``bias``, ``nae`` and
        ``mae_by_class``, ``.../detection/precision``, ``recall``, ``f1`` and ``map50``; without those that divide
        by nothing.
    """
    metrics: dict[str, float] = {}
    tallies = sum(each.tallies(confidence) for each in matches)
    for column, masks in slices.items():
        # All values of a column at once.
        weights = np.array(list(masks.values()), np.float64)
        areas = np.array([each.average_precision(weights) for each in matches]).reshape(len(matches), -1)
        for number, (value, mask) in enumerate(masks.items()):
            errors = count_errors(counted[mask].sum(axis=1), true[mask].sum(axis=1))
            errors = {name: errors[name] for name in _FIGURES if name in errors}
            errors["mae_by_class"] = float(np.abs(counted[mask] - true[mask]).sum(axis=1).mean())
            [tally] = np.atleast_2d(np.asarray(tallies)[mask].sum(axis=0)).tolist()
            found = rates([tuple(tally)])
            present = areas[:, number][np.isfinite(areas[:, number])]
            if present.size:
                found["map50"] = float(present.mean())
            prefix = f"slice/{column}/{value}"
            metrics[f"{prefix}/n"] = float(mask.sum())
            metrics |= {f"{prefix}/count/{name}": figure for name, figure in errors.items()}
            metrics |= {f"{prefix}/detection/{name}": figure for name, figure in found.items() if figure == figure}
    return metrics


def size_metrics(by_size: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """``slice/size/<size>/n`` (true objects of this size) and ``.../detection/recall``, ``map50``, ``map50_95``.

    A detection that is no object has no true size, so there is neither precision nor a count.
    """
    return {
        f"slice/size/{size}/{name if name == 'n' else f'detection/{name}'}": value
        for size, figures in by_size.items()
        for name, value in figures.items()
        if np.isfinite(value)
    }


def metric_names(texts: Iterable[str]) -> dict[str, str]:
    """Each text as a metric's name says it: one name for one text.

    Where two texts would be one without what MLflow refuses, the one that had to be changed ends with eight digits
    of its own SHA-256, which are the same in every evaluation of both.

    Examples
    --------
    >>> metric_names(["gate:north", "hall/1", "hall_1"])
    {'gate:north': 'gate_north', 'hall/1': 'hall_1-4b808275', 'hall_1': 'hall_1'}
    """
    plain = {text: _plain(text) for text in texts}
    alike = Counter(plain.values())
    names = {}
    for text, name in plain.items():
        if name != text and alike[name] > 1:
            digest = hashlib.sha256(text.encode()).hexdigest()
            longer = (f"{name[:80]}-{digest[:digits]}" for digits in range(8, 65))
            names[text] = next(each for each in longer if each not in alike)
        else:
            names[text] = name
    return names


def _plain(text: str) -> str:
    """Without what MLflow refuses in a metric's name: other characters, and dots alone, which are a path to it."""
    cleaned = re.sub(r"[^\w.\- ]", "_", text)[:100]
    return cleaned if cleaned.strip(".") else "_" * len(cleaned)
