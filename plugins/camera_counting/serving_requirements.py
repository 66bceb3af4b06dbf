"""The exact packages that serve a model: this distribution's own requirements, and theirs, as installed here.

No torch, no ultralytics, no full MLflow: what trains a model is not what serves it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib import metadata

from packaging.requirements import Requirement

__all__ = ["DISTRIBUTION", "serving_requirements"]

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
)


def serving_requirements(extra: Iterable[str] = ()) -> list[str]:
    """Pinned requirements, `name==version`, sorted.

    Parameters
    ----------
    extra : iterable of str
        Distributions to add, such as "onnxruntime" for a detector that OpenVINO cannot run.

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
            # needed on another platform only, or replaced here by an equal (a headless OpenCV)
            continue
        pins[_key(name)] = distribution.version.partition("+")[0]
        for line in distribution.requires or []:
            requirement = Requirement(line)
            if _applies(requirement, extras):
                pending.append((requirement.name, frozenset(requirement.extras)))
    return [f"{name}=={version}" for name, version in sorted(pins.items())]


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
