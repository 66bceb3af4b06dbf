"""Which columns of a prediction log are watched, and what their drift would mean."""

from __future__ import annotations

from typing import Literal

__all__ = ["CONFIDENCE_COLUMNS", "DATA_COLUMNS", "Kind", "kind_of"]

Kind = Literal["data", "prediction", "confidence"]

DATA_COLUMNS = ("brightness", "contrast", "sharpness", "width", "height")
CONFIDENCE_COLUMNS = ("confidence_mean",)


def kind_of(column: str) -> Kind | None:
    """What drift of a column would mean; None for columns that are not watched."""
    if column in DATA_COLUMNS:
        return "data"
    if column in CONFIDENCE_COLUMNS:
        return "confidence"
    return "prediction" if column == "total" or column.startswith("count_") else None
