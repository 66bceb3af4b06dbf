"""What a prepared data set depends on, as one digest: a set with the same one need not be made again."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pipelines.prepare_settings import PrepareSettings

__all__ = ["fingerprint"]


def fingerprint(settings: PrepareSettings) -> str:
    """What the result depends on: the settings, the source's files, and the code that makes it."""
    ignored = {"out", "store"}
    lines = [settings.model_dump_json(exclude=ignored)]
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        lines.append(hashlib.sha256(path.read_bytes()).hexdigest())
    source = Path(settings.source)
    if settings.source != "generated" and source.exists():
        for path in sorted(source.rglob("*")) if source.is_dir() else [source]:
            if path.is_file():
                stat = path.stat()
                lines.append(f"{path.relative_to(source)} {stat.st_size} {stat.st_mtime_ns}")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
