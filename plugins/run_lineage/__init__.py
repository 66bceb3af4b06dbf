"""Where a run came from: tags on every run, and a record that a run can be made again from.

MLflow asks `RunLineageContext` whenever a run is started; it is found by its entry point, so installing this
distribution is all there is to do. Tags only, all beginning with ``lineage.``; no user name, no host name, no
address, no path outside the checkout. `record` adds what a step alone knows, and the artefacts that no tag holds.

| tag | what it holds |
| --- | --- |
| `lineage.git_commit` | the commit of the checkout that the process runs in |
| `lineage.git_branch` | its branch, or `(detached)` |
| `lineage.git_dirty` | `true` where tracked files were changed or new ones are there; absent where git is slow |
| `lineage.entry_point` | the script, relative to the checkout; only its name where it lies outside |
| `lineage.lock_digest` | SHA-256 of the checkout's lock files |
| `lineage.environment_digest` | SHA-256 of the installed distributions, names and versions |
| `lineage.python`, `lineage.platform` | the interpreter and the system |
| `lineage.cpu_count`, `lineage.gpu` | the hardware; `none` without an NVIDIA driver |
| `lineage.data`, `lineage.seeds` | by `record`: digests of the data, and what the chance was fixed with |
| `lineage.parent_version` | by `record`: the version or model that this one starts from, or follows |
| `lineage.record` | by `record`: SHA-256 of each artefact under `lineage/` |
| `lineage.continued_with` | by `record`: the commit of whoever went on with it, where something had changed |
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from run_lineage.errors import LineageError, RecordError

if TYPE_CHECKING:
    from run_lineage.context import RunLineageContext
    from run_lineage.run_record import RunRecord, read_record, record

__all__ = ["LineageError", "RecordError", "RunLineageContext", "RunRecord", "read_record", "record"]


def __getattr__(name: str) -> Any:
    if name == "RunLineageContext":
        # MLflow loads this very class while it is imported; so all of MLflow first, or the two go in a circle.
        import mlflow.tracking  # noqa: F401

        from run_lineage.context import RunLineageContext

        return RunLineageContext
    if name in ("RunRecord", "read_record", "record"):
        from importlib import import_module

        return getattr(import_module("run_lineage.run_record"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
