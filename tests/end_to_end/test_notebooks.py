"""The notebooks run from top to bottom, as a data scientist would run them, and leave no output in the tree."""

from __future__ import annotations

import json
import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = ["01_log_an_experiment", "02_count_and_analyse"]


def run(root: Path, name: str, environment: dict[str, str]) -> nbformat.NotebookNode:
    notebook = nbformat.read(root / "notebooks" / f"{name}.ipynb", as_version=4)
    kernel = {**os.environ, **environment, "MPLBACKEND": "module://matplotlib_inline.backend_inline"}
    client = NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(root / "notebooks")}}
    )
    client.execute(env=kernel)
    return notebook


def texts(notebook: nbformat.NotebookNode) -> str:
    return "\n".join(
        str(output.get("text", "")) + str(output.get("data", {}).get("text/plain", ""))
        for cell in notebook.cells
        for output in cell.get("outputs", [])
    )


def pictures(notebook: nbformat.NotebookNode) -> int:
    return sum(
        "image/png" in output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", [])
    )


@pytest.mark.slow
def test_01_logs_compares_and_loads(root: Path, tmp_path: Path) -> None:
    done = run(
        root,
        "01_log_an_experiment",
        {
            "NOTEBOOK_WORKSPACE": str(tmp_path),
            "NOTEBOOK_PICTURES": "48",
            "NOTEBOOK_EPOCHS": "2",
            "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path / 'mlflow.db'}",
        },
    )
    assert "input-128" in texts(done), "both candidates stand in the comparison"
    assert "input-192" in texts(done)
    assert pictures(done) == 3, "samples, the comparison, the counted pictures"


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_no_output_is_kept_in_the_tree(root: Path, name: str) -> None:
    content = json.loads((root / "notebooks" / f"{name}.ipynb").read_text())
    kept = [cell for cell in content["cells"] if cell.get("outputs") or cell.get("execution_count")]
    assert kept == []
