"""What a prepared data set depends on, as one digest: a set with the same one need not be made again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from camera_counting import picture_features
from pipelines.datasets.readers import reader
from pipelines.prepare_settings import PrepareSettings

__all__ = ["fingerprint"]


def fingerprint(settings: PrepareSettings) -> str:
    """SHA-256 over the settings, the files that the reader looks at, and the code that makes the set of them.

    A file counts by path, size and time of its last change.

    Raises
    ------
    UnreadableSourceError
        Where the source is not what its format says.
    """
    lines = [settings.model_dump_json(exclude={"out", "store"})]
    code = [*Path(__file__).parent.rglob("*.py"), Path(str(picture_features.__file__))]
    lines += [hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(code)]
    if not settings.generates:
        lines += sorted(_stated(settings))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _stated(settings: PrepareSettings) -> Iterator[str]:
    for path in set(reader(settings.format).inputs(Path(settings.source))):
        try:
            stat = path.stat()
        except OSError:
            yield f"{path} absent"
        else:
            yield f"{path} {stat.st_size} {stat.st_mtime_ns}"
