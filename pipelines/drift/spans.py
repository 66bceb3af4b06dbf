"""Two spans, camera by camera, made comparable: of one rate, and of one model where a model counted.

Rows close in time are alike, and what chance does to them cannot be learnt from rows an hour apart: both spans of
a camera are brought to the slower one's rate. Counts and confidence are those of the model that counts now: what
another model counted, or a person labelled, differs from them without any drift.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipelines.drift.columns import kind_of

__all__ = ["MOST_ROWS", "Pair", "Spans", "at_one_rate", "of_newest_model", "seconds_of", "spacing"]

MOST_ROWS = 20_000
# Thinning for speed leaves the shorter span at least so many rows.
_PLENTY = 1_000
# Rates that differ by more than this are brought together; less is a camera's ordinary unrest.
_ALIKE = 2.0
_MODEL = ("model_digest", "model_name", "model_version")
_LABELS = "the reference holds labels, not what a model counted; only what pictures look like is judged by it"


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """One camera's rows in both spans, in the order of time.

    Attributes
    ----------
    reference, current : DataFrame or None
        None where the span does not know the camera.
    problem : str
        Why the two cannot be held against each other; empty where they can.
    note : str
        What was done to bring them to one rate; empty where nothing was.
    """

    reference: pd.DataFrame | None
    current: pd.DataFrame | None
    problem: str = ""
    note: str = ""


class Spans:
    """Reference and current span, and the rows of both that a column of a camera is judged by.

    Parameters
    ----------
    reference, current : DataFrame
        Columns `camera_id` and `time`, and those of the prediction log that say which model counted, if there are
        any.
    """

    def __init__(self, reference: pd.DataFrame, current: pd.DataFrame) -> None:
        self._old, self._new = _by_camera(reference), _by_camera(current)
        self._model = _newest(current)
        self._of_labels = self._model is not None and not set(_MODEL) <= set(reference.columns)
        self._pairs: dict[tuple[str, bool], Pair] = {}

    def pair(self, camera: str, column: str) -> Pair:
        """The rows to judge a column by."""
        counted = kind_of(column) != "data"
        if (camera, counted) not in self._pairs:
            self._pairs[camera, counted] = self._pair(camera, counted)
        return self._pairs[camera, counted]

    def _pair(self, camera: str, counted: bool) -> Pair:
        old, new = self._old.get(camera), self._new.get(camera)
        if old is None or new is None:
            which = "reference" if old is None else "current span"
            return Pair(old, new, f"the {which} has no such camera or column")
        if counted and self._of_labels:
            return Pair(old, new, _LABELS)
        if counted and self._model is not None:
            others = _told(old)
            old, new = _of_model(old, self._model), _of_model(new, self._model)
            if old.empty:
                return Pair(
                    old,
                    new,
                    f"the reference was counted by {others}, the newest rows by {_told(new)}; take a reference "
                    "from after the promotion",
                )
        return at_one_rate(old, new)


def at_one_rate(reference: pd.DataFrame, current: pd.DataFrame) -> Pair:
    """Bring two spans in the order of time to one rate and to a size that is enough for any distance.

    Where one has a row more than twice as often as the other, it keeps one row for each time that the other takes
    for one. Above 20,000 rows both keep every n-th, with one n.
    """
    note = ""
    old, new = spacing(seconds_of(reference)), spacing(seconds_of(current))
    slower = max(old, new)
    if min(old, new) > 0 and slower > _ALIKE * min(old, new):
        note = (
            f"the reference has a row every {_spoken(old)}, the current span one every {_spoken(new)}; "
            "at one rate for both: "
        )
        if old < new:
            reference = _one_each(reference, slower)
        else:
            current = _one_each(current, slower)
    stride = -(-max(len(reference), len(current)) // MOST_ROWS)
    stride = max(1, min(stride, len(current) // _PLENTY))
    return Pair(reference.iloc[::stride], current.iloc[::stride], note=note)


def of_newest_model(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows of the model that the newest row is of; all rows where none says whose it is."""
    model = _newest(frame)
    return frame if model is None else _of_model(frame, model)


def seconds_of(frame: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Times as seconds since 1970; NaN where a row has none."""
    times = frame["time"]
    if not isinstance(times.dtype, pd.DatetimeTZDtype):  # to_datetime would first look at each for repeated ones
        times = pd.to_datetime(times, utc=True)
    seconds = (times - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1)
    return np.asarray(seconds, dtype=np.float64)


def spacing(times: npt.NDArray[np.float64]) -> float:
    """Mean seconds from one row to the next; 0 where there are no two times.

    Examples
    --------
    >>> spacing(np.array([0.0, 10.0, 40.0]))
    20.0
    """
    times = times[np.isfinite(times)]
    return float(times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else 0.0


def _one_each(frame: pd.DataFrame, seconds: float) -> pd.DataFrame:
    """The first row of each cell of so many seconds."""
    times = seconds_of(frame)
    cells = pd.Series((times - times[0]) // seconds, index=frame.index)
    return frame[~cells.duplicated().to_numpy()]


def _by_camera(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    ordered = frame.sort_values("time", kind="stable")
    return {str(camera): rows for camera, rows in ordered.groupby("camera_id", observed=True)}


def _models(frame: pd.DataFrame) -> pd.Series[str]:
    """Whose a row is: the artefact's digest; name and version where there is none."""
    digest, name, version = (frame[column].fillna("").astype(str) for column in _MODEL)
    return digest.where(digest != "", name + "\n" + version)


def _newest(frame: pd.DataFrame) -> str | None:
    if frame.empty or not set(_MODEL) <= set(frame.columns):
        return None
    return str(_models(frame.sort_values("time", na_position="first").tail(1)).iloc[0])


def _of_model(frame: pd.DataFrame, model: str) -> pd.DataFrame:
    return frame[(_models(frame) == model).to_numpy()]


def _told(frame: pd.DataFrame) -> str:
    """Names and versions of the models in some rows."""
    pairs = frame[["model_name", "model_version"]].fillna("").astype(str).drop_duplicates().to_numpy()
    told = [f"{name or 'a model without a name'} version {version or 'unknown'}" for name, version in pairs[:3]]
    return ", ".join(told) or "another model"


def _spoken(seconds: float) -> str:
    for size, unit in ((86400.0, "days"), (3600.0, "hours"), (60.0, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} seconds"
