"""Numbers on the command line that a clock can go by."""

from __future__ import annotations

import math
from typing import Any

import click

__all__ = ["Positive"]


class Positive(click.FloatRange):
    """A number above 0 and up to a largest one; `nan` is none, which every comparison lets pass.

    Examples
    --------
    >>> Positive(10.0).convert("2.5", None, None)
    2.5
    >>> Positive(10.0).convert("nan", None, None)
    Traceback (most recent call last):
    click.exceptions.BadParameter: expected a number above 0, up to 10, got nan
    """

    def __init__(self, largest: float) -> None:
        super().__init__(0, largest, min_open=True)
        self._largest = largest

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number: float = click.FLOAT.convert(value, param, ctx)
        if math.isnan(number) or not 0 < number <= self._largest:
            self.fail(f"expected a number above 0, up to {self._largest:.10g}, got {value}", param, ctx)
        return number
