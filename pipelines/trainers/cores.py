"""How many threads torch takes, and how they wait for each other; said before it is imported."""

from __future__ import annotations

import os

__all__ = ["share_cores"]


def share_cores() -> None:
    """Let OpenMP take all cores, unless somebody chose otherwise, and be a good neighbour on them."""
    # Unset, Ultralytics would make it 1.
    os.environ.setdefault("OMP_NUM_THREADS", str(os.cpu_count() or 1))
    # Threads that wait shall spin for some microseconds, then sleep. On two cores, against sleeping at once
    # a step takes 0.7 of the time on an idle machine and 1.3 beside another busy process; GNU OpenMP's own
    # default of spinning for milliseconds takes up to ten times as long there.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "3000")
