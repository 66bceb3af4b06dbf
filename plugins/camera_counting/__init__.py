"""Count people and vehicles on pictures and clips: an MLflow flavour and its counting engine.

Examples
--------
>>> import camera_counting
>>> sorted(camera_counting.__all__)[:4]
['CountingModel', 'Detections', 'FLAVOR_NAME', 'PictureCount']
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from camera_counting.detections import Detections
    from camera_counting.flavor import (
        FLAVOR_NAME,
        _load_pyfunc,
        get_default_conda_env,
        get_default_pip_requirements,
        load_model,
        log_model,
        save_model,
    )
    from camera_counting.model import CountingModel, PictureCount
    from camera_counting.prediction_log import PredictionLog, read_predictions
    from camera_counting.scene import Scene

# Beside the distribution's own: the code that a model carries is installed nowhere. A test holds the two together.
__version__ = "0.1.0"

__all__ = [
    "FLAVOR_NAME",
    "CountingModel",
    "Detections",
    "PictureCount",
    "PredictionLog",
    "Scene",
    "__version__",
    "_load_pyfunc",
    "get_default_conda_env",
    "get_default_pip_requirements",
    "load_model",
    "log_model",
    "read_predictions",
    "save_model",
]

_HOME = {
    "CountingModel": "model",
    "Detections": "detections",
    "FLAVOR_NAME": "flavor",
    "PictureCount": "model",
    "PredictionLog": "prediction_log",
    "Scene": "scene",
    "_load_pyfunc": "flavor",
    "get_default_conda_env": "flavor",
    "get_default_pip_requirements": "flavor",
    "load_model": "flavor",
    "log_model": "flavor",
    "read_predictions": "prediction_log",
    "save_model": "flavor",
}


def __getattr__(name: str) -> Any:
    # Importing the package must stay cheap (the command line's help and the scoring server's cold start pay for
    # every import), so a name's module is imported when the name is first used.
    try:
        module = importlib.import_module(f"{__name__}.{_HOME[name]}")
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    value = getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
