"""What a single value of a request is: nothing, or of what kind."""

from __future__ import annotations

import math
from typing import Any

__all__ = ["is_null", "kind_of"]


def is_null(value: Any) -> bool:
    """Whether it stands for nothing, in JSON, in NumPy or in pandas."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return True
    return type(value).__name__ in {"NAType", "NaTType"}  # pandas' own, without importing it


def kind_of(value: Any) -> str:
    """Its kind, in words that hold nothing of it."""
    names = {
        dict: "an object",
        list: "a list",
        str: "text",
        bool: "true or false",
        int: "a number",
        float: "a number",
    }
    return names.get(type(value), type(value).__name__)
