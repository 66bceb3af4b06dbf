"""One step, run again in a process of its own, with the recorded code and the recorded settings."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from pipelines.datasets.store import ContentStore
from pipelines.reproduction.errors import ReproductionError
from pipelines.reproduction.steps import Repeatable
from pipelines.step_record import RERUN_TAG
from run_lineage import RunRecord
from run_lineage.run_record import ARITHMETIC

__all__ = ["restore_data", "run_again", "settings_here"]

_DRIVER = """
import importlib, json, sys
from pipelines.settings import explained
told = json.load(open(sys.argv[1], encoding="utf-8"))
module = importlib.import_module(told["module"])
settings = getattr(module, told["class"]).model_validate(told["settings"])
explained(lambda: module.run(settings) and None)()
"""


def settings_here(
    record: RunRecord, step: Repeatable, data: Path | None, code: Path, place: Path
) -> dict[str, Any]:
    """The recorded settings, with what says where things lie put to the scratch place.

    Raises
    ------
    ReproductionError
        Where a file that they name is absent or holds other bytes.
    """
    changed = {**record.settings, **step.fixed}
    changed |= {name: str(place / folder) for name, folder in step.places.items()}
    if step.data is not None:
        changed[step.data] = str(data)
    for name in step.reads:
        # The step runs in the worktree now; what lies there goes before what lies here.
        given = Path(str(changed[name]))
        is_word = changed[name] == "generated"  # whatever folder has that name
        if not is_word and not (code / given).exists() and given.exists():
            changed[name] = str(given.resolve())
    for name, digest in record.files.items():
        changed[name] = str(_file(name, str(record.settings[name]), digest, (code, Path())))
    return changed


def restore_data(run_id: str, record: RunRecord, store: str | None, folder: Path) -> Path:
    """The run's data set, by its digest, from the store that the run names or the one that is given.

    Raises
    ------
    ReproductionError
        Where the record names no data set, or no store.
    StoreError
        Where the store lacks it, or holds altered files.
    """
    if len(record.data) != 1:
        raise ReproductionError(f"expected one data set in the record of {run_id}, it names {len(record.data)}")
    digest = record.data[0]
    return ContentStore(store or _store_of(run_id, digest)).restore(digest, folder)


def _store_of(run_id: str, digest: str) -> str:
    inputs = MlflowClient().get_run(run_id).inputs
    for given in inputs.dataset_inputs if inputs else []:
        try:
            source = json.loads(given.dataset.source)
        except ValueError:
            continue
        if isinstance(source, dict) and source.get("digest") == digest and source.get("uri"):
            return str(source["uri"])
    raise ReproductionError(f"the run does not say which store holds the data set {digest[:12]}: give --store")


def _file(name: str, path: str, digest: str, roots: tuple[Path, ...]) -> Path:
    """A file that the settings name, found with the recorded bytes."""
    found = ""
    for candidate in dict.fromkeys((root / path).resolve() for root in roots):
        if candidate.is_file():
            with candidate.open("rb") as stream:
                found = hashlib.file_digest(stream, "sha256").hexdigest()
            if found == digest:
                return candidate
    seen = f"a file with SHA-256 {found[:12]}" if found else "no such file"
    raise ReproductionError(
        f"the run's setting {name} was {path} with SHA-256 {digest[:12]}, there is {seen}: put the file back"
    )


def run_again(
    record: RunRecord,
    step: Repeatable,
    settings: Mapping[str, Any],
    *,
    of: str,
    code: Path,
    place: Path,
    python: Path,
) -> str:
    """Run the step; gives the id of its run, which lies below the active one.

    Parameters
    ----------
    of : str
        The run that is repeated.
    code, place, python : Path
        The worktree, the scratch folder, and the interpreter.

    Raises
    ------
    ReproductionError
        Where the step ends with an error; holds the end of what it said.
    """
    active = mlflow.active_run()
    if active is None:
        raise RuntimeError("expected the reproduction's run to be active")
    client = MlflowClient()
    tags = {MLFLOW_PARENT_RUN_ID: active.info.run_id, RERUN_TAG: of}
    rerun_id = str(
        client.create_run(
            active.info.experiment_id, run_name=f"{step.module.rpartition('.')[2]} again", tags=tags
        ).info.run_id
    )
    told, output = place / "settings.json", place / "output.txt"
    told.write_text(
        json.dumps({"module": step.module, "class": step.settings, "settings": dict(settings)}), encoding="utf-8"
    )
    status = "KILLED"
    try:
        with output.open("wb") as stream:
            done = subprocess.run(
                [str(python), "-c", _DRIVER, str(told)],
                cwd=code,
                env=_environment(record, code, rerun_id, active.info.experiment_id),
                stdout=stream,
                stderr=subprocess.STDOUT,
                check=False,
            )
        status = "FAILED" if done.returncode else "FINISHED"
    finally:
        if status != "FINISHED":
            client.set_terminated(rerun_id, status)
    mlflow.log_artifact(str(output), "reproduction")
    if done.returncode:
        last = output.read_text("utf-8", "replace").strip()[-800:]
        raise ReproductionError(f"the step ended with exit code {done.returncode} this time: {last}")
    return rerun_id


def _environment(record: RunRecord, code: Path, run_id: str, experiment: str) -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if name not in ARITHMETIC}
    return {
        **environment,
        # Those alone that a step records: another one, such as LD_PRELOAD, would say which code runs.
        **{name: record.variables[name] for name in ARITHMETIC if name in record.variables},
        "PYTHONPATH": os.pathsep.join([str(code / "plugins"), str(code)]),
        "MLFLOW_TRACKING_URI": _absolute(mlflow.get_tracking_uri()),
        "MLFLOW_REGISTRY_URI": _absolute(mlflow.get_registry_uri()),
        "MLFLOW_EXPERIMENT_ID": experiment,
        "MLFLOW_RUN_ID": run_id,
    }


def _absolute(uri: str) -> str:
    """The same store for a process that stands in another folder."""
    start = "sqlite:///"
    if uri.startswith(start) and not uri.startswith((start + "/", start + ":")):
        return start + str(Path(uri.removeprefix(start)).resolve())
    return uri if ":" in uri else str(Path(uri).resolve())
