"""What a claim to be a patch must bear out: that nothing was learnt in the model's run.

The claim is a tag that anybody may set on a training's run, too, so the record is asked: a run that is marked as a
training's, or that names training data of its own, has learnt. Inputs of the model that a patch was made of may
stand among its run's; they carry the tag `inherited_from` then, with the run that learnt from them.
"""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from model_governance.errors import VersioningError
from model_governance.evidence import INHERITED_TAG, Evidence
from model_governance.policy import Versioning
from model_governance.source import locate

__all__ = ["PARENT_DIGEST_TAG", "RE_THRESHOLDED", "require_nothing_learnt", "require_same_parent"]

PARENT_DIGEST_TAG = "optimised_from_digest"
RE_THRESHOLDED = "re-thresholded"
_LEARNT_FROM = ("training", "train")
"""Contexts of the inputs that a model's weights were learnt from; MLflow's own documentation says the first."""


def require_same_parent(claim: str, evidence: Evidence, parent: Evidence) -> None:
    """A VersioningError where the run says that it was made of other files than its parent has now."""
    said = evidence.tags.get(PARENT_DIGEST_TAG)
    if said is not None and said != parent.artifact.digest:
        raise VersioningError(
            f"{claim} from {parent.model_uri} with the digest {said[:16]} ({PARENT_DIGEST_TAG}), whose files have "
            f"{parent.artifact.digest[:16]}: it was made of another model; make it anew of this one"
        )


def require_nothing_learnt(
    client: MlflowClient,
    claim: str,
    evidence: Evidence,
    parent: Evidence,
    training_run: str,
    versioning: Versioning,
) -> None:
    """A VersioningError where the record says that the model's own run learnt.

    Parameters
    ----------
    claim : str
        Beginning of the sentence: who claims to be what, from which version.
    training_run : str
        The run in which the parent's weights were learnt.
    """
    retrained = "it is retrained; remove the tag change"
    mark = versioning.training
    if mark is not None:
        for said in _tags(client, evidence, mark.tag):
            if said in mark.values:
                raise VersioningError(f"{claim}, but its run is a training's ({mark.tag}={said}): {retrained}")
    runs = {training_run, parent.run_id}
    inputs = [data for data in evidence.datasets if data.context in _LEARNT_FROM]
    if own := sorted({data.digest for data in inputs if data.inherited_from not in runs}):
        raise VersioningError(
            f"{claim}, but its own run learnt from data ({', '.join(own)}): {retrained}. Data that the version it "
            f"was made of has learnt from carry the tag {INHERITED_TAG} with the id of that training's run; a "
            "model that an earlier release optimised lacks it: optimise it again"
        )
    if more := sorted({data.digest for data in inputs} - _training_data(client, training_run)):
        raise VersioningError(f"{claim}, but its run learnt from other data ({', '.join(more)}): {retrained}")
    if evidence.tags.get("change") == RE_THRESHOLDED and versioning.weights:
        mine, theirs = (_weights(each, versioning) for each in (evidence, parent))
        if mine != theirs or not mine:
            raise VersioningError(
                f"{claim}, but the files that hold its weights ({', '.join(versioning.weights)}) are not byte for "
                f"byte those of the version that it was made of: {retrained}, or say change=re-exported"
            )


def _tags(client: MlflowClient, evidence: Evidence, name: str) -> Iterator[str]:
    """What the run says, and what the logged model says: either may be a training's."""
    logged = locate(evidence.model_uri).logged
    for tags in (client.get_run(evidence.run_id).data.tags, logged.tags if logged else {}):
        if name in tags:
            yield str(tags[name])


def _weights(evidence: Evidence, versioning: Versioning) -> list[tuple[str, str]]:
    return sorted(
        (file.path.rsplit("/", 1)[-1], file.sha256)
        for file in evidence.artifact.files
        if any(fnmatchcase(file.path.rsplit("/", 1)[-1], pattern) for pattern in versioning.weights)
    )


def _training_data(client: MlflowClient, run_id: str) -> set[str]:
    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        raise VersioningError(f"the training run {run_id} cannot be read: {error.message}") from error
    return {
        entry.dataset.digest
        for entry in (run.inputs.dataset_inputs if run.inputs else [])
        for tag in entry.tags
        if tag.key == "mlflow.data.context" and tag.value in _LEARNT_FROM
    }
