"""Which earlier trainings a model's weights come from: what they learnt from, it has learnt from as well.

A training that begins with a checkpoint records the checkpoint's SHA-256 (``weights_digest``), and a training that
makes one records that (the tags ``checkpoint_digest`` and, of the last epoch, ``checkpoint_digest.last``): by
these a chain is followed, wherever the file has been copied to. Weights that are an address in MLflow name their
run themselves, and so does an optimised model.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass

from mlflow import MlflowClient
from mlflow.entities import Run, ViewType
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, RESOURCE_DOES_NOT_EXIST, ErrorCode

from model_governance import GovernanceError
from model_governance.source import locate

__all__ = ["CHECKPOINT_TAG", "LAST_CHECKPOINT_TAG", "Ancestry", "ancestry"]

CHECKPOINT_TAG = "checkpoint_digest"
LAST_CHECKPOINT_TAG = "checkpoint_digest.last"
"""Tag of a training: SHA-256 of the checkpoint that it keeps, and that others may begin with."""

_MOST = 50  # runs
_ABSENT = (ErrorCode.Name(RESOURCE_DOES_NOT_EXIST), ErrorCode.Name(INVALID_PARAMETER_VALUE))
_SHA256 = re.compile(r"[0-9a-f]{64}")
_RUN_ADDRESS = re.compile(r"runs:/+([0-9a-zA-Z]{16,64})(/.*)?")


@dataclass(frozen=True, slots=True)
class Ancestry:
    """What is known of the way of some weights.

    Attributes
    ----------
    runs : tuple of str
        The run itself first, then those whose weights it goes back to, the nearest first, each once.
    unknown : tuple of str
        Weights of which no run is known to have made them, in words: public ones, say, or those of a deleted run.
    """

    runs: tuple[str, ...]
    unknown: tuple[str, ...]


def ancestry(run_id: str) -> Ancestry:
    """Follow a run's weights back, through `_MOST` runs at most; what lies behind is unknown.

    Raises
    ------
    MlflowException
        Where there is no such run, or the server does not answer.
    """
    client = MlflowClient()
    known, unknown, waiting = {run_id: client.get_run(run_id)}, dict[str, None](), deque([run_id])
    while waiting:
        for parent, what in _parents(client, known[waiting.popleft()]):
            if parent is None:
                unknown[what] = None
            elif parent in known:
                continue
            elif len(known) == _MOST:
                unknown[f"{what}, beyond {_MOST} runs"] = None
            else:
                try:
                    known[parent] = client.get_run(parent)
                except MlflowException as error:
                    if error.error_code not in _ABSENT:
                        raise  # a server that does not answer is no sign that there is no such run
                    unknown[f"{what}, of the run {parent}, which is gone"] = None
                    continue
                waiting.append(parent)
    return Ancestry(tuple(known), tuple(unknown))


def _parents(client: MlflowClient, run: Run) -> list[tuple[str | None, str]]:
    """The runs that a run's weights come from, and the weights in words; no run where none is known."""
    params, tags = run.data.params, run.data.tags
    found: list[tuple[str | None, str]] = []
    if made_of := tags.get("optimised_from_run"):
        found.append((made_of, f"the model that {run.info.run_id} optimised"))
    weights, digest = params.get("weights", "None"), params.get("weights_digest", "None")
    if weights == "None":
        return found
    what = f"the weights {weights}" + (f" (SHA-256 {digest[:16]})" if _SHA256.fullmatch(digest) else "")
    if address := _RUN_ADDRESS.fullmatch(weights):
        return [*found, (address[1], what)]
    if weights.startswith("models:/"):
        try:
            return [*found, (locate(weights).run_id, what)]
        except GovernanceError:
            return [*found, (None, what)]
    makers = _makers(client, digest) if _SHA256.fullmatch(digest) else []
    return [*found, *((maker, what) for maker in makers or [None])]


def _makers(client: MlflowClient, digest: str) -> list[str | None]:
    """Trainings that made this checkpoint: more than one where it was made again.

    Deleted ones as well: until they are deleted for good their record says what was learnt, and no weight forgets.
    """
    experiments, token = [], None
    while True:
        page = client.search_experiments(ViewType.ALL, page_token=token)
        experiments += [each.experiment_id for each in page]
        token = page.token
        if not token:
            break
    made: dict[str, None] = {}
    for tag in (CHECKPOINT_TAG, LAST_CHECKPOINT_TAG):
        found = client.search_runs(experiments, f"tags.`{tag}` = '{digest}'", ViewType.ALL, max_results=_MOST)
        made |= dict.fromkeys(str(run.info.run_id) for run in found)
    return list(made)
