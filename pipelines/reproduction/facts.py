"""What a run gave, read from the tracking server and its artefacts."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Collection
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Run

from pipelines.reproduction.comparison import Facts
from pipelines.reproduction.steps import Repeatable
from run_lineage.run_record import FOLDER

__all__ = ["facts_of"]

# Of a logged model: what MLflow writes anew each time, and the code that it carries, which the commit tells.
_OF_MLFLOW = ("MLmodel", "registered_model_meta")
_CODE = "code/"


def facts_of(run_id: str, step: Repeatable, elsewhere: Collection[str]) -> Facts:
    """Everything that can be compared.

    Parameters
    ----------
    elsewhere : collection of str
        Parameters that say where something lies or on whose behalf the step ran.
    """
    client = MlflowClient()
    run = client.get_run(run_id)
    with tempfile.TemporaryDirectory(prefix="facts-") as place:
        found = _digests(Path(client.download_artifacts(run_id, "", place)))
    files = {path: digest for path, digest in found.items() if not path.startswith(f"{FOLDER}/")}
    for output in run.outputs.model_outputs if run.outputs else []:
        logged = client.get_logged_model(output.model_id)
        with tempfile.TemporaryDirectory(prefix="facts-") as place:
            folder = Path(mlflow.artifacts.download_artifacts(logged.artifact_location, dst_path=place))
            for path, digest in _digests(folder).items():
                if path not in _OF_MLFLOW and not path.startswith(_CODE):
                    files[f"{logged.name}/{path}"] = digest
    made = run.data.tags.get("dataset_digest")
    return Facts(
        metrics=_metrics(client, run, by_epoch=step.epochs),
        params={name: value for name, value in run.data.params.items() if name not in elsewhere},
        files=files,
        data={} if made is None else {"data set": made},
    )


def _metrics(client: MlflowClient, run: Run, *, by_epoch: bool) -> dict[str, list[float]]:
    if not by_epoch:
        return {name: [value] for name, value in run.data.metrics.items()}
    ended = run.info.end_time
    found = {}
    for name in run.data.metrics:
        if name.startswith("system/"):
            continue
        # An evaluation shows its figures at the training's run as well, after that one has ended.
        history = [
            metric
            for metric in client.get_metric_history(run.info.run_id, name)
            if ended is None or metric.timestamp <= ended
        ]
        if history:
            found[name] = [metric.value for metric in sorted(history, key=lambda m: (m.step, m.timestamp))]
    return found


def _digests(folder: Path) -> dict[str, str]:
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            found[path.relative_to(folder).as_posix()] = _digest(path)
    return found


def _digest(path: Path) -> str:
    if path.suffix == ".onnx" and (graph := _graph_digest(path)) is not None:
        return graph
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _graph_digest(path: Path) -> str | None:
    """Of what computes in an ONNX file; exporters write the date and the folder beside it."""
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        model = onnx.load(str(path))
    except (DecodeError, OSError):
        return None
    del model.metadata_props[:]
    return hashlib.sha256(model.SerializeToString(deterministic=True)).hexdigest()
