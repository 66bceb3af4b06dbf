"""Evidently's interactive report of the same columns, with the calibrated thresholds in it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import pandas as pd

from pipelines.drift.report import ColumnDrift, DriftReport, tested_columns
from pipelines.drift.spans import Spans

__all__ = ["write_evidently"]

_MOST_COLUMNS = 30


def write_evidently(
    report: DriftReport, reference: pd.DataFrame, current: pd.DataFrame, html: Path, json: Path
) -> dict[str, float]:
    """Write Evidently's report as HTML and JSON; gives its score of every column it shows.

    Evidently's ``GroupBy`` gives every group the global value, so each camera's column is a column of its own here
    (``camera · column``). The 30 worst are shown. Nothing is written where no column could be tested.
    """
    shown = list(islice(tested_columns(report), _MOST_COLUMNS))
    if not shown:
        return {}
    # Evidently looks at this when it is imported (9 seconds, so only here).
    os.environ.setdefault("DO_NOT_TRACK", "1")
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    names = [_label(column) for column in shown]
    spans = Spans(reference, current)
    pairs = [spans.pair(column.camera, column.column) for column in shown]
    definition = DataDefinition(numerical_columns=names)
    preset = DataDriftPreset(
        columns=names,
        method="wasserstein",
        per_column_threshold={_label(column): column.threshold for column in shown},
        include_tests=False,
    )
    snapshot = Report([preset], include_tests=False).run(
        Dataset.from_pandas(_wide([pair.current for pair in pairs], shown), data_definition=definition),
        Dataset.from_pandas(_wide([pair.reference for pair in pairs], shown), data_definition=definition),
    )
    snapshot.save_html(str(html))
    snapshot.save_json(str(json))
    return {
        metric["config"]["column"]: float(metric["value"])
        for metric in snapshot.dict()["metrics"]
        if metric["config"].get("column")
    }


def _label(column: ColumnDrift) -> str:
    return f"{column.camera} · {column.column}"


def _wide(frames: Sequence[pd.DataFrame | None], shown: Sequence[ColumnDrift]) -> pd.DataFrame:
    """One column per camera and column; shorter ones end in NaN, which Evidently leaves out."""
    return pd.DataFrame(
        {
            _label(column): pd.to_numeric(frame[column.column], errors="coerce").reset_index(drop=True)
            for frame, column in zip(frames, shown, strict=True)
            if frame is not None
        }
    )
