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
    labels, matched : int
        Labels given, and those of them whose id a prediction has.
    mae, bias : float or None
        Mean of |counted - true| and of counted - true; None where too few labels match.
    lower : float or None
        Lower end of the one-sided 95 % interval of `mae` (normal approximation).
    expected : float or None
        What the evaluation before registration measured; None where nobody said.
    degraded : bool
        True where even the lower end lies above what was expected plus the margin.
    """

    labels: int
    matched: int
    mae: float | None
    bias: float | None
    lower: float | None
    expected: float | None
    margin: float
    degraded: bool
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def read_labels(path: Path) -> pd.DataFrame:
    """Read labels (CSV or Parquet): `id` of a prediction, and either its true `total` or true `count_<class>`.

    Raises
    ------
    ValueError
        Where the file holds neither, an id twice, or a cell that is no count.
    """
    labels = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, dtype={"id": str})
    counts = ["total"] if "total" in labels else [name for name in labels if str(name).startswith("count_")]
    if "id" not in labels or not counts:
        raise ValueError(
            f"{path} has columns {', '.join(map(str, labels.columns))}; "
            "expected id and total, or id and count_<class>"
        )
    if labels["id"].duplicated().any():
        twice = labels.loc[labels["id"].duplicated(), "id"].iloc[0]
        raise ValueError(f"{path} labels the prediction {twice} twice; one label each is expected")
    for name in counts:
        numbers = pd.to_numeric(labels[name], errors="coerce")
        wrong = ~(np.isfinite(numbers) & (numbers >= 0))
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            came = labels[name].iloc[row]
            raise ValueError(
                f"{path}, row {row + 1} (id {labels['id'].iloc[row]}): expected a count of 0 or more in {name}, "
                f"got {'nothing' if pd.isna(came) else repr(came)}; fill it in, or leave the row out"
            )
        labels[name] = numbers
    return labels.assign(id=labels["id"].astype(str))[["id", *counts]]


def measure(
    predictions: pd.DataFrame, labels: pd.DataFrame, *, expected: float | None, margin: float
) -> Performance:
    """Compare predictions with labels of the same id, over exactly the classes that are labelled.

    Parameters
    ----------
    predictions : DataFrame
        Columns `id` and `total`, and `count_<class>` where labels are of classes.
    labels : DataFrame
        From `read_labels`.
    expected : float or None
        Mean absolute count error per picture that the evaluation measured.
    margin : float
        How much worse than expected is still fine, as a share of `expected`.

    Raises
    ------
    ValueError
        Where a class is labelled that no prediction counts.
    """
    columns = [str(name) for name in labels if name != "id"]
    if not predictions.empty and (absent := [name for name in columns if name not in predictions]):
        known = ", ".join(str(name) for name in predictions if str(name).startswith("count_"))
        raise ValueError(f"the labels have {', '.join(absent)}, which the model does not count; it has {known}")
    of_id = predictions.assign(id=predictions["id"].astype(str)).reindex(columns=["id", *columns])
    joined = of_id.merge(labels, on="id", suffixes=("_counted", "_true"), validate="many_to_one")
    matched = f"{len(joined)} of {len(labels)} labels match a prediction"
    if len(joined) < FEWEST_LABELS:
        return Performance(
            *(len(labels), len(joined), None, None, None, expected, margin, False),
            f"{matched} of the model and span that is judged; at least {FEWEST_LABELS} are needed",
        )
    counted, true = (
        joined[[f"{name}_{side}" for name in columns]].sum(axis=1).to_numpy(np.float64)
        for side in ("counted", "true")
    )
    errors = counted - true
    absolute = np.abs(errors)
    mae, half = float(absolute.mean()), float(1.645 * absolute.std(ddof=1) / np.sqrt(len(absolute)))
    lower = max(0.0, mae - half)
    limit = None if expected is None else expected * (1 + margin)
    degraded = limit is not None and mae - half > limit
    told = f"count error {mae:.3g} (at least {lower:.3g}); {matched}"
    if limit is None:
        reason = f"{told}; nothing to compare it with"
    else:
        word = "above" if degraded else "not shown to be above"
        reason = f"{told}; {word} {limit:.3g} (evaluation {expected:.3g} plus {margin:.0%})"
    return Performance(
        len(labels), len(joined), mae, float(errors.mean()), lower, expected, margin, degraded, reason
    )
