"""What every step leaves in its run, so that it can be run again and found in the graph of what came from what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from pipelines.current_champion import current_champion
from pipelines.settings import StepSettings
from run_lineage import record

__all__ = [
    "RERUN_TAG",
    "RETRAINED_TAG",
    "TRIGGER_TAG",
    "champion_of",
    "is_rerun",
    "note_trigger",
    "record_step",
    "require_trigger",
]

RERUN_TAG = "lineage.rerun_of"
"""Tag of a run that was made only to be compared with an earlier one, whose id it holds; it is no evidence."""

TRIGGER_TAG = "lineage.triggered_by"
"""Tag of a training, with the run of the drift report that asked for it."""

RETRAINED_TAG = "retrain.run"
"""Tag of a drift report, with the runs of the trainings that it asked for."""


def record_step(
    step: str,
    settings: StepSettings,
    *,
    data: Sequence[str] = (),
    files: Mapping[str, Path | None] | None = None,
    parent: str | None = None,
    secret: Sequence[str] = (),
) -> None:
    """Record a step in the active run, when it begins.

    Parameters
    ----------
    step : str
        Its name, as `mlflow run -e` knows it.
    settings : StepSettings
        All that decides what it does.
    data : sequence of str
        Whole digests of its data sets.
    files : mapping of setting to path
        Files that decide what comes out, such as weights; their digests are kept.
    parent : str, optional
        The version or model that it starts from, or follows.
    secret : sequence of str
        Settings that stay out of the record.
    """
    active = mlflow.active_run()
    if active is None:
        raise RuntimeError("expected an active run to record a step in, there is none")
    plain = settings.model_dump(mode="json", exclude=set(secret))
    record(
        active.info.run_id,
        step=step,
        settings=plain,
        files={name: path for name, path in (files or {}).items() if path is not None},
        data=data,
        seeds=dict(_seeds(plain)),
        parent=parent,
    )


def _seeds(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, int]]:
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from _seeds(value, f"{prefix}{name}.")
        elif (name == "seed" or name.endswith("_seed")) and isinstance(value, int):
            yield f"{prefix}{name}", value


def is_rerun() -> bool:
    """Whether the active run only repeats an earlier one, so that nothing may count it as a new measurement."""
    active = mlflow.active_run()
    return active is not None and RERUN_TAG in active.data.tags


def champion_of(name: str) -> str | None:
    """``name/version`` of the champion now; None where there is none."""
    champion = current_champion(name)
    return None if champion is None else f"{name}/{champion.version}"


def note_trigger(run_id: str) -> None:
    """Let the active run name the drift report that asked for it, and the report's run this one."""
    active = mlflow.active_run()
    if active is None:
        raise RuntimeError("expected an active run to tie to a drift report, there is none")
    mlflow.set_tag(TRIGGER_TAG, run_id)
    client = MlflowClient()
    known = client.get_run(run_id).data.tags.get(RETRAINED_TAG, "")
    runs = [*filter(None, known.split(",")), active.info.run_id]
    client.set_tag(run_id, RETRAINED_TAG, ",".join(dict.fromkeys(runs))[-5000:])


def require_trigger(run_id: str) -> None:
    """A ValueError unless the run is that of a drift report."""
    try:
        step = MlflowClient().get_run(run_id).data.tags.get("step")
    except MlflowException as error:
        raise ValueError(
            f"triggered_by: expected the run of a drift report, there is no run {run_id!r}"
        ) from error
    if step != "drift":
        raise ValueError(f"triggered_by: expected the run of a drift report, {run_id} is of the step {step!r}")
