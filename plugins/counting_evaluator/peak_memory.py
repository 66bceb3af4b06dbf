"""The most memory that this process held while something ran."""

from __future__ import annotations

import re
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = ["PeakMemory", "watch_memory"]

_RESET, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


@dataclass(slots=True)
class PeakMemory:
    """The high-water mark of the resident memory, in bytes; None until what is watched is over."""

    most_bytes: int | None = None


@contextmanager
def watch_memory() -> Iterator[PeakMemory]:
    """Watch this process while the body runs: all of its resident memory (RSS), not what the body adds to it.

    On Linux the kernel's own mark is set back when the body begins, so no short peak in it is missed and none
    before it counts. Where that is not allowed, and elsewhere, it is the mark since the process began.

    Examples
    --------
    >>> with watch_memory() as memory:
    ...     much = bytearray(50_000_000)
    >>> memory.most_bytes > 50_000_000
    True
    """
    try:
        _RESET.write_text("5")  # proc(5): sets the peak resident set size back to the current one
    except OSError:
        own = False
    else:
        own = True
    memory = PeakMemory()
    try:
        yield memory
    finally:
        memory.most_bytes = (_marked() if own else None) or _since_start()


def _marked() -> int | None:
    found = re.search(r"^VmHWM:\s+(\d+) kB", _STATUS.read_text(encoding="utf-8"), re.MULTILINE)
    return int(found[1]) * 1024 if found else None


def _since_start() -> int:
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024  # bytes there, kilobytes elsewhere
