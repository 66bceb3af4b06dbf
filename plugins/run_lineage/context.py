"""The context provider that MLflow asks whenever a run is started."""

from __future__ import annotations

from mlflow.tracking.context.abstract_context import RunContextProvider

from run_lineage.code import checkout_tags
from run_lineage.machine import machine_tags

__all__ = ["RunLineageContext"]


class RunLineageContext(RunContextProvider):
    """Gives the tags of `run_lineage`; what a process cannot change is read once, the checkout's state each time.

    Examples
    --------
    >>> tags = RunLineageContext().tags()
    >>> all(key.startswith("lineage.") for key in tags)
    True
    """

    def in_context(self) -> bool:
        """Always: where something cannot be found out, its tag is left away."""
        return True

    def tags(self) -> dict[str, str]:
        """The tags, by name."""
        return {**machine_tags(), **checkout_tags()}
