"""What an evaluation wrote, its metrics and its tables, as digests: whoever changes it later is found out.

The digests stand in the evaluation's record, a tag of its run. Whoever may edit the run can rewrite that tag, too:
this shows what was changed by mistake or in passing, it is no signature.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
import tempfile
from collections.abc import Iterable, Mapping
from itertools import accumulate
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_LOGGED_ARTIFACTS

from model_governance.errors import EvidenceError, TamperError

__all__ = ["MOST_TABLES", "metrics_digest", "require_same_table", "table_digests"]

MOST_TABLES = 32
"""So that the record fits into a tag; 32 of them take about 3,000 characters."""
_LARGEST = 256_000_000
# Characters of digests and paths in the record: MLflow cuts what does not fit into a tag, without a word.
_LONGEST = 6000


def metrics_digest(of_model: Iterable[Metric], of_run: Iterable[Metric]) -> str:
    """SHA-256 of metrics as the store gives them back: names, values, steps, times and data, in no special order.

    A value is written as the shortest text that reads back as the same double, which is what SQLite and PostgreSQL
    keep; infinities as the largest doubles, in whose place MLflow's databases keep them.

    Examples
    --------
    >>> a, b = Metric("mae", 0.1, 5, 0), Metric("bias", -0.0, 5, 0)
    >>> metrics_digest([a, b], []) == metrics_digest([b, a], [])
    True
    >>> metrics_digest([a], [b]) == metrics_digest([a, b], [])
    False
    """
    lines = sorted(
        json.dumps([place, each.key, _text(each.value), each.step, each.timestamp, each.dataset_digest or ""])
        for place, metrics in (("model", of_model), ("run", of_run))
        for each in metrics
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def table_digests(client: MlflowClient, run_id: str) -> dict[str, str]:
    """SHA-256 of the tables among a run's artefacts, by their paths.

    A table is what `mlflow.log_table` wrote, in whichever folder, and any other JSON file at the artefacts' root;
    those of more than 256 MB are left out, and those beyond the first 32 (logged tables first), or beyond what
    fits into a tag with their paths.

    Raises
    ------
    EvidenceError
        Where one cannot be read.
    """
    try:
        known = client.get_run(run_id).data.tags.get(MLFLOW_LOGGED_ARTIFACTS, "[]")
        logged = {str(entry["path"]) for entry in json.loads(known) if entry.get("type") == "table"}
        folders = {path.rpartition("/")[0] for path in logged} | {""}
        found = {
            each.path: each.file_size or 0
            for folder in sorted(folders)
            for each in client.list_artifacts(run_id, folder or None)
            if not each.is_dir and (each.path in logged or (not folder and each.path.endswith(".json")))
        }
        paths = sorted(found, key=lambda path: (path not in logged, path))
        small = [path for path in paths if found[path] <= _LARGEST][:MOST_TABLES]
        # As the record is written: what JSON makes of a path may be longer than the path.
        ends = accumulate(len(json.dumps({path: "0" * 64})) for path in small)
        return {path: _sha256(run_id, path) for path, end in zip(small, ends, strict=True) if end <= _LONGEST}
    except (MlflowException, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise EvidenceError(f"the tables of run {run_id} cannot be read: {error}; evaluate again") from error


def require_same_table(run_id: str, path: str, content: bytes, recorded: Mapping[str, str] | None) -> str | None:
    """Hold a table against the record of the evaluation that wrote it.

    Parameters
    ----------
    recorded : mapping of path to SHA-256, or None
        As the evaluation recorded it; None for one from before tables were recorded.

    Returns
    -------
    str or None
        Why nobody vouches for the table; None where the record does.

    Raises
    ------
    TamperError
        Where the record holds another digest.
    """
    if recorded is None:
        return f"{path} of run {run_id} was recorded without a digest, so nobody can say who wrote it"
    if path not in recorded:
        return (
            f"{path} of run {run_id} is not among the {len(recorded)} tables that its evaluation left (what "
            f"log_table writes and JSON files at the artefacts' root, {MOST_TABLES} at most, fewer of long names)"
        )
    digest = hashlib.sha256(content).hexdigest()
    if digest != recorded[path]:
        raise TamperError(
            f"{path} of run {run_id} has digest {digest[:16]}, but its evaluation recorded {recorded[path][:16]}; "
            "somebody changed it since: evaluate the model again"
        )
    return None


def _text(value: float) -> str:
    largest = sys.float_info.max
    # + 0.0, for a store may give minus zero back as zero.
    return "nan" if math.isnan(value) else repr(max(-largest, min(largest, float(value))) + 0.0)


def _sha256(run_id: str, path: str) -> str:
    with tempfile.TemporaryDirectory(prefix="model-governance-") as folder:
        found = mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path=path, dst_path=folder)
        with Path(found).open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
