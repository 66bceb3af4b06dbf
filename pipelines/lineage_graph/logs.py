"""Which versions predicted into a log, and which of them a drift report over it judged."""

from __future__ import annotations

from datetime import datetime

import pandas as pd
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion

from camera_counting.errors import PredictionLogError
from camera_counting.prediction_log import read_predictions
from pipelines.lineage_graph.graph import Node
from pipelines.lineage_graph.nodes import log_node

__all__ = ["PredictionLogs", "is_judged", "versions_named"]


class PredictionLogs:
    """Prediction logs, each read once however many versions are looked for in it.

    Parameters
    ----------
    since : datetime
        With a time zone; earlier rows are not read.
    """

    def __init__(self, since: datetime) -> None:
        self.since = since
        self._rows: dict[str, tuple[pd.DataFrame | None, str]] = {}

    def node(self, uri: str, version: ModelVersion) -> Node | None:
        """The rows of a version in a log; None where it holds none. One that cannot be read says why."""
        since = f"since {self.since:%Y-%m-%d}"
        if uri not in self._rows:
            try:
                rows = read_predictions(uri, since=self.since)
                self._rows[uri] = rows[["camera_id", "time", "model_name", "model_version"]], ""
            except (PredictionLogError, ValueError) as error:
                self._rows[uri] = None, str(error)
        known, problem = self._rows[uri]
        if known is None:
            return log_node(uri, version, None, problem, since)
        mine = known[_rows_of(known, version)]
        return log_node(uri, version, mine, "", since) if len(mine) else None


def _rows_of(rows: pd.DataFrame, version: ModelVersion) -> pd.Series:
    name = rows["model_name"].fillna("").astype(str) == version.name
    return name & (rows["model_version"].fillna("").astype(str) == str(version.version))


def is_judged(version: ModelVersion, report: Run) -> bool:
    """Whether a report is about a version; one that does not say may be, once the version was there."""
    named = versions_named(report)
    if named:
        return (version.name, str(version.version)) in named
    return bool(report.info.start_time >= version.creation_timestamp)


def versions_named(report: Run) -> list[tuple[str, str]]:
    """Name and number of the versions whose predictions a drift report says that it judged."""
    named = filter(None, report.data.tags.get("drift.versions", "").split("\n"))
    return [(name, number) for name, _, number in (each.rpartition("/") for each in named)]
