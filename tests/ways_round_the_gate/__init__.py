"""Ways round the gate: what somebody may try, each with how one sees that it worked.

Everybody here may edit everything in MLflow's eyes. `tests/integration/test_ways_round_the_gate.py` walks them.
One theme a module; `way` says what one is.
"""

from __future__ import annotations

from tests.ways_round_the_gate import (
    aliases,
    files,
    forging,
    lineage,
    log_ins,
    promoting,
    registering,
    server_rights,
    spelling,
    uploads,
)
from tests.ways_round_the_gate.way import WAYS, Way, alias, move

__all__ = [
    "WAYS",
    "Way",
    "alias",
    "aliases",
    "files",
    "forging",
    "lineage",
    "log_ins",
    "move",
    "promoting",
    "registering",
    "server_rights",
    "spelling",
    "uploads",
]
