"""The exact packages that serve a model: this distribution's own requirements, and theirs, as installed here.

No torch, no ultralytics, no full MLflow: what trains a model is not what serves it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml
from packaging.requirements import Requirement

from camera_counting.errors import ArtifactError

__all__ = ["DISTRIBUTION", "conda_environment", "serving_requirements", "write_environment"]

DISTRIBUTION = "mlflow-camera-counting"

# Where the distribution is not installed (a model is saved with the code that another model carried), its
# requirements cannot be asked for. A test holds this list against pyproject.toml.
_NAMES = (
    "av",
    "click",
    "jsonschema",
    "mlflow-skinny",
    "numpy",
    "opencv-python-headless",
    "openvino",
    "packaging",
    "pandas",
    "pillow",
    "pyarrow",
    "pydantic",
    "pyyaml",
    "rich",
    "scipy",
    "tzdata",
)


def serving_requirements(extra: Iterable[str] = ()) -> list[str]:
    """Pinned requirements, `name==version`, sorted.

    Parameters
    ----------
    extra : iterable of str
        Distributions to add, such as "onnxruntime" for a detector that OpenVINO cannot run.

    Raises
    ------
    ArtifactError
        Where one of them is not installed here, so that nobody knows which version of it served the model.

    Examples
    --------
    >>> [line for line in serving_requirements() if line.startswith("mlflow")]
    ['mlflow-skinny==3.17.2']
    """
    pins: dict[str, str] = {}
    pending = [(name, frozenset[str]()) for name in (*_own_requirements(), *extra)]
    done: set[tuple[str, frozenset[str]]] = set()
    while pending:
        name, extras = pending.pop()
        if (_key(name), extras) in done:
            continue
        done.add((_key(name), extras))
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            raise ArtifactError(
                f"a machine that serves needs {name}, which is not installed here, so no version can be pinned; "
                f"install {DISTRIBUTION} with its requirements, or give pip_requirements"
            ) from None
        pins[_key(name)] = distribution.version.partition("+")[0]
        for line in distribution.requires or []:
            requirement = Requirement(line)
            if _applies(requirement, extras):
                pending.append((requirement.name, frozenset(requirement.extras)))
    return [f"{name}=={version}" for name, version in sorted(pins.items())]


def conda_environment(requirements: Sequence[str]) -> dict[str, Any]:
    """The environment of a machine that serves, as conda reads it."""
    return {
        "name": "mlflow-env",
        "channels": ["conda-forge"],
        "dependencies": [f"python={_python()}", "pip", {"pip": list(requirements)}],
    }


def write_environment(folder: Path, requirements: Sequence[str]) -> None:
    """Write requirements.txt, conda.yaml and python_env.yaml into a model folder."""
    (folder / "requirements.txt").write_text("\n".join(requirements) + "\n", encoding="utf-8")
    (folder / "conda.yaml").write_text(
        yaml.safe_dump(conda_environment(requirements), sort_keys=False), encoding="utf-8"
    )
    environment = {"python": _python(), "build_dependencies": [], "dependencies": ["-r requirements.txt"]}
    (folder / "python_env.yaml").write_text(yaml.safe_dump(environment, sort_keys=False), encoding="utf-8")


def _python() -> str:
    # major.minor alone: the exact patch of Python would have to be downloaded where another one is installed
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def _own_requirements() -> tuple[str, ...]:
    try:
        lines = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return _NAMES
    own = (Requirement(line) for line in lines)
    return tuple(requirement.name for requirement in own if _applies(requirement, frozenset()))


def _applies(requirement: Requirement, extras: frozenset[str]) -> bool:
    if requirement.marker is None:
        return True
    return any(requirement.marker.evaluate({"extra": extra}) for extra in extras or {""})


def _key(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
