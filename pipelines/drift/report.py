"""The drift report: every camera and column of the current span against the reference, judged by calibration."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

import numpy as np
import pandas as pd

from pipelines.drift.calibration import Values, null_scores, plan_windows, score, threshold

__all__ = ["ColumnDrift", "DriftReport", "Span", "compare", "kind_of", "tested_columns", "thinned"]

Kind = Literal["data", "prediction", "confidence"]
Status = Literal["tested", "rare", "missing", "insufficient"]

DATA_COLUMNS = ("brightness", "contrast", "sharpness", "width", "height")
CONFIDENCE_COLUMNS = ("confidence_mean",)
FEWEST_ROWS = 30
MOST_ROWS = 20_000
_RARE = 0.05
_RARE_MARGIN = 0.2


@dataclass(frozen=True, slots=True)
class Span:
    """A span of the prediction log: first and last time (UTC), and its rows."""

    start: datetime | None
    end: datetime | None
    rows: int


@dataclass(frozen=True, slots=True)
class ColumnDrift:
    """One column of one camera.

    Attributes
    ----------
    kind : str
        `data` (what the pictures look like), `prediction` (what was counted), `confidence` (how sure the model
        was; it falls when pictures and classes no longer go together as they did, so it stands in for concept
        drift until labels come).
    status : str
        `tested`; `rare` (nearly constant: judged by the share of unusual values); `missing` (no value any more);
        `insufficient` (not judged, `reason` says why).
    score, threshold : float or None
        Distance in standard deviations of the reference, and what chance alone may reach; a share for `rare`.
    """

    camera: str
    column: str
    kind: Kind
    status: Status
    drifted: bool
    score: float | None
    threshold: float | None
    reference_mean: float | None
    current_mean: float | None
    reference_rows: int
    current_rows: int
    reason: str = ""

    @property
    def severity(self) -> float:
        """How many times its threshold a score is; 0 where nothing was judged."""
        if self.score is None or not self.threshold:
            return float(self.drifted)
        return self.score / self.threshold


@dataclass(frozen=True, slots=True)
class DriftReport:
    """What a comparison of two spans found.

    Attributes
    ----------
    false_alarms : float
        Chance of at least one drifted column where nothing changed, over all columns together.
    """

    reference: Span
    current: Span
    false_alarms: float
    columns: tuple[ColumnDrift, ...]

    @property
    def judged(self) -> tuple[ColumnDrift, ...]:
        """Columns that could be judged."""
        return tuple(column for column in self.columns if column.status != "insufficient")

    @property
    def drifted(self) -> tuple[ColumnDrift, ...]:
        """Drifted columns, the worst first."""
        found = [column for column in self.judged if column.drifted]
        return tuple(sorted(found, key=lambda column: -column.severity))

    @property
    def share(self) -> float:
        """Share of the judged columns that drifted."""
        return len(self.drifted) / len(self.judged) if self.judged else 0.0

    @property
    def cameras(self) -> tuple[str, ...]:
        """Cameras with at least one drifted column."""
        return tuple(sorted({column.camera for column in self.drifted}))

    @property
    def verdict(self) -> Literal["drift", "no drift", "insufficient"]:
        if not self.judged:
            return "insufficient"
        return "drift" if self.drifted else "no drift"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        spans = {
            name: {
                "from": span.start.isoformat() if span.start else None,
                "to": span.end.isoformat() if span.end else None,
                "rows": span.rows,
            }
            for name, span in (("reference", self.reference), ("current", self.current))
        }
        return {
            "format_version": 1,
            "verdict": self.verdict,
            "share": self.share,
            "cameras": list(self.cameras),
            "false_alarms": self.false_alarms,
            **spans,
            "columns": [asdict(column) for column in self.columns],
        }


def kind_of(column: str) -> Kind | None:
    """What drift of a column would mean; None for columns that are not watched."""
    if column in DATA_COLUMNS:
        return "data"
    if column in CONFIDENCE_COLUMNS:
        return "confidence"
    return "prediction" if column == "total" or column.startswith("count_") else None


def compare(
    reference: pd.DataFrame,
    current: pd.DataFrame,
    *,
    false_alarms: float = 0.05,
    cameras: Sequence[str] | None = None,
) -> DriftReport:
    """Judge the current span of a prediction log against a reference.

    Parameters
    ----------
    reference, current : DataFrame
        Columns `camera_id`, `time` (UTC) and those to watch; see `kind_of`.
    false_alarms : float
        Chance of any false alarm over all cameras and columns together. It is divided among them (Bonferroni), so
        that a hundred cameras do not cry wolf a hundred times as often as one.
    cameras : sequence of str, optional
        Those to judge; all that either span knows by default.

    Raises
    ------
    ValueError
        Where `camera_id` or `time` is missing.
    """
    for name, frame in (("reference", reference), ("current", current)):
        if absent := {"camera_id", "time"} - set(frame.columns):
            raise ValueError(f"the {name} has no column {', '.join(sorted(absent))}; it is no prediction log")
    known = sorted({*reference["camera_id"].astype(str), *current["camera_id"].astype(str)})
    if cameras is not None:
        known = [camera for camera in known if camera in set(cameras)]
    columns = [name for name in (*reference.columns, *current.columns) if kind_of(name)]
    columns = list(dict.fromkeys(columns))
    pairs = [(camera, column) for camera in known for column in columns]
    alpha = false_alarms / max(1, len(pairs))
    old, new = _by_camera(reference), _by_camera(current)
    judged = tuple(
        _judge(camera, column, _values(old.get(camera), column), _values(new.get(camera), column), alpha)
        for camera, column in pairs
    )
    return DriftReport(_span(reference, known), _span(current, known), false_alarms, judged)


def thinned(frame: pd.DataFrame) -> pd.DataFrame:
    """At most 20,000 rows of one camera in the order of time, evenly spaced: enough for any distance."""
    ordered = frame.sort_values("time", kind="stable")
    if len(ordered) <= MOST_ROWS:
        return ordered
    return ordered.iloc[np.linspace(0, len(ordered) - 1, MOST_ROWS).astype(int)]


def _by_camera(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    return {str(camera): thinned(rows) for camera, rows in frame.groupby("camera_id", observed=True)}


def _values(frame: pd.DataFrame | None, column: str) -> Values | None:
    """Values in the order of time, NaN where there is none; None without rows or without the column."""
    if frame is None or column not in frame:
        return None
    values = pd.to_numeric(frame[column], errors="coerce").to_numpy(np.float64, na_value=np.nan)
    return np.where(np.isfinite(values), values, np.nan)


def _span(frame: pd.DataFrame, cameras: Sequence[str]) -> Span:
    times = pd.to_datetime(frame.loc[frame["camera_id"].astype(str).isin(cameras), "time"], utc=True)
    if times.empty:
        return Span(None, None, 0)
    return Span(times.min().to_pydatetime(), times.max().to_pydatetime(), len(times))


def _judge(camera: str, column: str, old: Values | None, new: Values | None, alpha: float) -> ColumnDrift:
    kind = kind_of(column) or "data"
    before = old[np.isfinite(old)] if old is not None else np.empty(0)
    after = new[np.isfinite(new)] if new is not None else np.empty(0)

    def result(
        status: Status, drifted: bool, reason: str = "", at: tuple[float, float] | None = None
    ) -> ColumnDrift:
        return ColumnDrift(
            camera,
            column,
            kind,
            status,
            drifted,
            at[0] if at else None,
            at[1] if at else None,
            float(before.mean()) if len(before) else None,
            float(after.mean()) if len(after) else None,
            len(before),
            len(after),
            reason,
        )

    if old is None or new is None:
        which = "reference" if old is None else "current span"
        return result("insufficient", False, f"the {which} has no such camera or column")
    if len(new) < FEWEST_ROWS:
        return result("insufficient", False, f"{len(new)} rows now; at least {FEWEST_ROWS} are needed")
    if not len(before):
        return result("insufficient", False, "no value in the reference")
    if not len(after) and len(before) >= 0.5 * len(old):
        return result("missing", True, "no value any more; the reference had one in most rows")
    if len(after) < FEWEST_ROWS:
        return result("insufficient", False, f"{len(after)} values now; at least {FEWEST_ROWS} are needed")
    if rare := _rare(before, after):
        return result("rare", rare[0] > rare[1], "nearly constant; judged by the share of other values", rare)
    windows = plan_windows(before, len(after))
    if windows is None:
        return result(
            "insufficient",
            False,
            f"{len(before)} values in the reference are too few, or too much alike, to learn what chance does",
        )
    value = score(before, after)
    limit = threshold(null_scores(before, windows), windows, alpha)
    return result("tested", value > limit, "", (value, limit))


def _rare(before: Values, after: Values) -> tuple[float, float] | None:
    """For a column that nearly always has one value: the share of other values now, and how many there may be.

    Distances are in standard deviations, and there is none to speak of here: one bus in a thousand pictures would
    make a second one a drift of thirty.
    """
    values, counts = np.unique(before, return_counts=True)
    usual, share = values[np.argmax(counts)], 1 - counts.max() / len(before)
    if share >= _RARE:
        return None
    return float(np.mean(after != usual)), float(share + _RARE_MARGIN)


def tested_columns(report: DriftReport) -> Iterator[ColumnDrift]:
    """Columns that a distance was taken of, the worst first."""
    yield from sorted((c for c in report.columns if c.status == "tested"), key=lambda c: -c.severity)
