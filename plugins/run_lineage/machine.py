"""The environment and the machine of a run; none of it changes while a process lives."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import sys
from functools import lru_cache
from pathlib import Path

__all__ = ["installed", "machine_tags"]

_NVIDIA = Path("/proc/driver/nvidia/gpus")


def machine_tags() -> dict[str, str]:
    """Tags of interpreter, system, installed distributions and hardware; read once in a process."""
    return dict(_machine_tags())


@lru_cache(maxsize=1)
def _machine_tags() -> tuple[tuple[str, str], ...]:
    names = "\n".join(installed())
    return (
        ("lineage.python", platform.python_version()),
        ("lineage.platform", f"{platform.system()} {platform.release()} {platform.machine()}"),
        ("lineage.cpu_count", str(_cpus())),
        ("lineage.gpu", gpus(_NVIDIA)),
        ("lineage.environment_digest", hashlib.sha256(names.encode()).hexdigest()),
    )


def installed(paths: list[str] | None = None) -> list[str]:
    """``name==version`` of every installed distribution, sorted.

    From the names of their folders: opening each one's metadata costs a hundred times as long.
    """
    found = set()
    for entry in sys.path if paths is None else paths:
        try:
            children = [child.name for child in Path(entry or ".").iterdir()]
        except OSError:
            continue
        for child in children:
            if match := re.fullmatch(r"(.+)-([^-]+)\.(?:dist|egg)-info", child):
                name = re.sub(r"[-_.]+", "-", match.group(1)).lower()
                found.add(f"{name}=={match.group(2)}")
    return sorted(found)


def gpus(driver: Path) -> str:
    """Names of the GPUs, as the NVIDIA driver's own files tell them; no library and no process is started."""
    names = []
    try:
        for card in sorted(driver.iterdir()):
            match = re.search(r"^Model:\s*(.+?)\s*$", (card / "information").read_text(), re.MULTILINE)
            if match:
                names.append(match.group(1))
    except OSError:
        return "none"
    return ", ".join(f"{names.count(name)} x {name}" for name in dict.fromkeys(names)) or "none"


def _cpus() -> int:
    """The cores that this process may use, which in a container are fewer than the machine's."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
