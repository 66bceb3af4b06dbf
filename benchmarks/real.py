"""Where the real clips and detectors lie: CAMERA_COUNTING_REAL, or ../shared/real beside the checkout."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["REAL", "real_file"]

REAL = Path(os.environ.get("CAMERA_COUNTING_REAL") or Path(__file__).resolve().parents[2] / "shared" / "real")


def real_file(folder: Path, name: str) -> Path:
    """The absolute path of one of them; ends the program where it is absent."""
    path = (folder / name).resolve()
    if not path.exists():
        raise SystemExit(
            f"error: expected {name} in {folder}, there is none; say where the real inputs lie with --real FOLDER "
            "or CAMERA_COUNTING_REAL"
        )
    return path
