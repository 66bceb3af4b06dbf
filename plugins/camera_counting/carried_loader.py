"""The loader that a saved model carries: finds `camera_counting` on a machine that has never seen it.

MLflow puts the artefact's `code` folder in front of everything else on the path and imports the loader module from
there. Were the package itself in that folder, a model's old copy would shadow the installed, newer package. So
only this file lies there, under a name of its own; the package's copy lies one folder deeper and is put at the end
of the path, and only where no package is installed.

A copy of this file is saved as `code/camera_counting_loader.py`, beside `code/carried/camera_counting/`.
"""

import importlib.util
import sys
from pathlib import Path
from typing import Any


def _load_pyfunc(path: str, model_config: dict[str, Any] | None = None) -> Any:
    """Called by `mlflow.pyfunc.load_model`."""
    if importlib.util.find_spec("camera_counting") is None:
        sys.path.append(str(Path(__file__).resolve().parent / "carried"))
        importlib.invalidate_caches()
    import camera_counting

    return camera_counting._load_pyfunc(path, model_config)
