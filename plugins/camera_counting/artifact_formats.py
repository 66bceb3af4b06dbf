"""Every format version that `model.json` ever had, and the chain that brings an older one to the newest.

A change of format raises `FORMAT_VERSION` by one, adds to `STEPS` how the content of the version before becomes
that of the new one, and leaves a model folder of the version before under `tests/fixtures/model_formats/`, where a
test loads it for good. There is one format so far, so the chain is empty.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from camera_counting.errors import ArtifactError

__all__ = ["FORMAT_VERSION", "STEPS", "Step", "upgraded"]

FORMAT_VERSION = 1
"""The newest format, the one that is written."""

Step = Callable[[dict[str, Any]], dict[str, Any]]
"""From the content of `model.json` in one format version to that in the next; what it was given stays as it is."""

STEPS: dict[int, Step] = {}
"""By the format version that a step starts from: all below `FORMAT_VERSION`."""


def upgraded(content: dict[str, Any], where: str) -> dict[str, Any]:
    """The content of `model.json` as the newest format has it; what is in the newest one already is given back.

    The digest is left as it was written: it is by that one that a model is known.

    Raises
    ------
    ArtifactError
        Where the format is newer than this package, or none that ever was; where an older one makes no sense.
    """
    version = content.get("format_version")
    known = sorted({*STEPS, FORMAT_VERSION})
    if not isinstance(version, int) or isinstance(version, bool) or version not in known:
        newer = isinstance(version, int) and not isinstance(version, bool) and version > FORMAT_VERSION
        advice = (
            "Install the version of mlflow-camera-counting that wrote it, or a newer one"
            if newer
            else "It is no model of mlflow-camera-counting, or damaged: get it anew from where it was registered"
        )
        raise ArtifactError(
            f"{where} has format version {version!r}; this package reads {', '.join(map(str, known))}. {advice}"
        )
    for start in range(version, FORMAT_VERSION):
        try:
            content = {**STEPS[start](content), "format_version": start + 1}
        except (LookupError, TypeError, ValueError) as error:
            raise ArtifactError(f"{where} makes no sense as format version {start}: {error!r}") from error
    return content
