"""The loader that a saved model carries: finds `camera_counting` on a machine that has never seen it.

MLflow puts the artefact's `code` folder in front of everything else on the path and imports the loader module from
there. Were the package itself in that folder, a model's old copy would shadow the installed, newer package. So
only this file lies there, under a name of its own; the package's copy lies one folder deeper and is put at the end
of the path, and only where no package is installed.

Nothing is written beside the code, and all of it is read at once: the folder may be the very one that was
reviewed, where byte code would be refused, or one that is gone before the first request.

A copy of this file is saved as `code/camera_counting_loader.py`, beside `code/carried/camera_counting/`.
"""

import contextlib
import importlib.util
import pkgutil
import sys
from pathlib import Path
from typing import Any


def _load_pyfunc(path: str, model_config: dict[str, Any] | None = None) -> Any:
    """Called by `mlflow.pyfunc.load_model`."""
    spec = importlib.util.find_spec("camera_counting")
    # A namespace: no package, but a folder of its name, such as that of the model's data in the working directory.
    if spec is None or spec.origin is None:
        _import_carried()
    import camera_counting

    return camera_counting._load_pyfunc(path, model_config)


def _import_carried() -> None:
    sys.path.append(str(Path(__file__).resolve().parent / "carried"))
    importlib.invalidate_caches()
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        import camera_counting

        for module in pkgutil.walk_packages(camera_counting.__path__, "camera_counting."):
            if not module.name.endswith(".__main__"):
                # a runtime that is not installed here is not missed before a model asks for it
                with contextlib.suppress(ImportError):
                    importlib.import_module(module.name)
    finally:
        sys.dont_write_bytecode = before


def _remove_own_byte_code() -> None:
    """Python has written it before the first line here ran."""
    if __spec__ is not None and __spec__.cached is not None:
        with contextlib.suppress(OSError):
            Path(__spec__.cached).unlink()
            Path(__spec__.cached).parent.rmdir()


if __name__ == "camera_counting_loader":
    _remove_own_byte_code()
