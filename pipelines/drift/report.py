"""The drift report: every camera and column of the current span against the reference, judged by calibration."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Literal

import numpy as np
import pandas as pd

from pipelines.drift.calibration import Values, Windows, null_scores, plan_windows, score, threshold
from pipelines.drift.columns import Kind, kind_of
from pipelines.drift.spans import Pair, Spans, seconds_of, spacing

__all__ = ["ColumnDrift", "DriftReport", "Span", "compare", "kind_of", "tested_columns"]

Status = Literal["tested", "rare", "missing", "insufficient"]

FEWEST_ROWS = 30
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
        """Columns that could be judged; nearly constant ones only where they are so no longer.

        A detector of eighty classes has seventy columns that are always 0: they would hide the others' drift.
        """
        return tuple(column for column in self.columns if column.status in ("tested", "missing") or column.drifted)

    @property
    def drifted(self) -> tuple[ColumnDrift, ...]:
        """Drifted columns, the worst first."""
        found = [column for column in self.judged if column.drifted]
        return tuple(sorted(found, key=lambda column: -column.severity))

    @property
    def share(self) -> float:
        """Share of a camera's judged columns that drifted, as the mean over the cameras."""
        of_camera: dict[str, list[bool]] = {}
        for column in self.judged:
            of_camera.setdefault(column.camera, []).append(column.drifted)
        return float(np.mean([np.mean(found) for found in of_camera.values()])) if of_camera else 0.0

    @property
    def cameras(self) -> tuple[str, ...]:
        """Cameras with at least one drifted column."""
        return tuple(sorted({column.camera for column in self.drifted}))

    @property
    def verdict(self) -> Literal["drift", "no drift", "insufficient"]:
        if all(column.status == "insufficient" for column in self.columns):
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
        Chance of any false alarm over all cameras and columns together. It is divided among those that a distance
        can be taken of (Bonferroni), so that a hundred cameras do not cry wolf a hundred times as often as one.
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
    spans = Spans(reference, current)
    found = [_measure(camera, column, spans.pair(camera, column)) for camera in known for column in columns]
    tested = sum(null is not None for _, null in found)
    judged = tuple(
        column if null is None else _judge(column, *null, false_alarms / tested) for column, null in found
    )
    return DriftReport(_span(reference, known), _span(current, known), false_alarms, judged)


def _values(frame: pd.DataFrame, column: str) -> tuple[Values, Values]:
    """Times and values of the rows that have a value."""
    values = pd.to_numeric(frame[column], errors="coerce").to_numpy(np.float64, na_value=np.nan)
    some = np.isfinite(values)
    return seconds_of(frame)[some], values[some]


def _span(frame: pd.DataFrame, cameras: Sequence[str]) -> Span:
    times = pd.to_datetime(frame.loc[frame["camera_id"].astype(str).isin(cameras), "time"], utc=True)
    if times.empty:
        return Span(None, None, 0)
    return Span(times.min().to_pydatetime(), times.max().to_pydatetime(), len(times))


def _measure(camera: str, column: str, pair: Pair) -> tuple[ColumnDrift, tuple[Values, Windows] | None]:
    """A column's score, with what chance does to it; without that where it is not judged by a distance."""
    old, new = pair.reference, pair.current
    times, before = _values(old, column) if old is not None and column in old else (np.empty(0), np.empty(0))
    now, after = _values(new, column) if new is not None and column in new else (np.empty(0), np.empty(0))

    def result(
        status: Status, drifted: bool, reason: str = "", at: tuple[float, float | None] = (0.0, None)
    ) -> ColumnDrift:
        return ColumnDrift(
            camera,
            column,
            kind_of(column) or "data",
            status,
            drifted,
            at[0] if status in ("tested", "rare") else None,
            at[1],
            float(before.mean()) if len(before) else None,
            float(after.mean()) if len(after) else None,
            len(before),
            len(after),
            reason,
        )

    def insufficient(reason: str) -> tuple[ColumnDrift, None]:
        return result("insufficient", False, reason), None

    if pair.problem:
        return insufficient(pair.problem)
    if old is None or new is None or column not in old or column not in new:
        which = "reference" if old is None or column not in old else "current span"
        return insufficient(f"the {which} has no such camera or column")
    if len(new) < FEWEST_ROWS:
        return insufficient(f"{pair.note}{len(new)} rows now; at least {FEWEST_ROWS} are needed")
    if not len(before):
        return insufficient("no value in the reference")
    if not len(after) and len(before) >= 0.5 * len(old):
        return result("missing", True, "no value any more; the reference had one in most rows"), None
    if len(after) < FEWEST_ROWS:
        return insufficient(f"{len(after)} values now; at least {FEWEST_ROWS} are needed")
    if rare := _rare(before, after):
        reason = "nearly constant; judged by the share of other values"
        return result("rare", rare[0] > rare[1], reason, rare), None
    if not np.isfinite(times).all():
        return insufficient("rows of the reference have no time; windows of time are cut from it")
    windows = plan_windows(times, before, len(after), len(after) * spacing(now))
    if windows is None:
        return insufficient(
            f"{pair.note}{len(before)} values in the reference are too few, or too much alike, to learn what "
            "chance does"
        )
    return result("tested", False, at=(score(before, after), None)), (null_scores(before, windows), windows)


def _judge(column: ColumnDrift, null: Values, windows: Windows, alpha: float) -> ColumnDrift:
    limit = threshold(null, windows, alpha)
    return replace(column, threshold=limit, drifted=(column.score or 0.0) > limit)


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
