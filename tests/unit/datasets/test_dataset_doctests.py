"""The examples in the docstrings run."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import pipelines.datasets
from pipelines import prepare

MODULES = [
    *(info.name for info in pkgutil.walk_packages(pipelines.datasets.__path__, "pipelines.datasets.")),
    prepare.__name__,
]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0
