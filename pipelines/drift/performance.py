"""Concept drift proper: where people have labelled what was there, the counts are compared with the truth."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["Performance", "measure", "read_labels"]

FEWEST_LABELS = 30


@dataclass(frozen=True, slots=True)
class Performance:
    """Count error of the labelled predictions, per picture.

    Attributes
    ----------
    mae : float
        Mean of |counted - true| over labelled predictions.
    lower : float
        Lower end of its one-sided 95 % interval (normal approximation).
    expected : float or None
        What the evaluation before registration measured; None where nobody said.
    degraded : bool
        True where even the lower end lies above what was expected plus the margin.
    """

    labels: int
    mae: float
    bias: float
    lower: float
    expected: float | None
    margin: float
    degraded: bool
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def read_labels(path: Path) -> pd.DataFrame:
    """Read labels (CSV or Parquet): `id` of a prediction and its true `total`, or true `count_<class>` columns.

    Raises
    ------
    ValueError
        Where the file holds neither, or an id twice.
    """
    labels = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, dtype={"id": str})
    counts = [name for name in labels.columns if name.startswith("count_")]
    if "id" not in labels or not ("total" in labels or counts):
        raise ValueError(
            f"{path} has columns {', '.join(map(str, labels.columns))}; "
            "expected id and total, or id and count_<class>"
        )
    if labels["id"].duplicated().any():
        twice = labels.loc[labels["id"].duplicated(), "id"].iloc[0]
        raise ValueError(f"{path} labels the prediction {twice} twice; one label each is expected")
    if "total" not in labels:
        labels = labels.assign(total=labels[counts].sum(axis=1))
    return labels.assign(id=labels["id"].astype(str))[["id", "total"]]


def measure(
    predictions: pd.DataFrame, labels: pd.DataFrame, *, expected: float | None, margin: float
) -> Performance | None:
    """Compare predictions with labels of the same id; None where fewer than 30 go together.

    Parameters
    ----------
    predictions, labels : DataFrame
        Columns `id` and `total`.
    expected : float or None
        Mean absolute count error per picture that the evaluation measured.
    margin : float
        How much worse than expected is still fine, as a share of `expected`.
    """
    joined = predictions.assign(id=predictions["id"].astype(str)).merge(
        labels, on="id", suffixes=("_counted", "_true"), validate="many_to_one"
    )
    if len(joined) < FEWEST_LABELS:
        return None
    errors = (joined["total_counted"] - joined["total_true"]).to_numpy(np.float64)
    absolute = np.abs(errors)
    mae, half = float(absolute.mean()), float(1.645 * absolute.std(ddof=1) / np.sqrt(len(absolute)))
    limit = None if expected is None else expected * (1 + margin)
    degraded = limit is not None and mae - half > limit
    if limit is None:
        reason = f"count error {mae:.3g} on {len(joined)} labelled pictures; nothing to compare it with"
    else:
        word = "above" if degraded else "not shown to be above"
        reason = (
            f"count error {mae:.3g} (at least {max(0.0, mae - half):.3g}) on {len(joined)} labelled pictures, "
            f"{word} {limit:.3g} (evaluation {expected:.3g} plus {margin:.0%})"
        )
    return Performance(
        len(joined), mae, float(errors.mean()), max(0.0, mae - half), expected, margin, degraded, reason
    )
