"""One finished demo for all tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from finished_demo import Demo, run_demo


@pytest.fixture(scope="session")
def demo(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Demo:
    folder = tmp_path_factory.mktemp("demo")
    return run_demo(root, folder / "workspace", folder / "network.log")
