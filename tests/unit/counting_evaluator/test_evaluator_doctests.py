"""The examples in the evaluator's docstrings run."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import counting_evaluator

MODULES = [module.name for module in pkgutil.walk_packages(counting_evaluator.__path__, "counting_evaluator.")]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0
