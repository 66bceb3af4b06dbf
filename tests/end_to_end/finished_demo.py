"""Run the whole demo with Python's own sockets, in every process below it, cut off from all but this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

CLOSED_NETWORK = Path(__file__).parent / "closed_network"


@dataclass(frozen=True)
class Demo:
    """A finished demo and what it left behind."""

    workspace: Path
    exit_code: int
    output: str
    network_log: Path
    environment: dict[str, str]


def run_demo(root: Path, workspace: Path, network_log: Path) -> Demo:
    environment = {
        **os.environ,
        "PYTHONPATH": str(CLOSED_NETWORK),
        "CLOSED_NETWORK_LOG": str(network_log),
        "COLUMNS": "150",
    }
    # "CI": there, libraries keep silent that report from elsewhere
    for name in ("CI", "MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID"):
        environment.pop(name, None)
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.demo", "--workspace", str(workspace)],
        cwd=root, env=environment, capture_output=True, text=True, timeout=1500, check=False,
    )  # fmt: skip
    return Demo(workspace, done.returncode, done.stdout + done.stderr, network_log, environment)
