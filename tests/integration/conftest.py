"""A scoring application with the toy detector behind it, for the tests that ask it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.request_formats import scoring_client


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Path]]:
    """The client of the application, and the folder of the model that it serves."""
    folder = tmp_path_factory.mktemp("served")
    with scoring_client(folder) as client:
        yield client, folder / "model"


@pytest.fixture(scope="module")
def client(served: tuple[Any, Path]) -> Any:
    return served[0]


@pytest.fixture(scope="module")
def model_folder(served: tuple[Any, Path]) -> Path:
    return served[1]
