"""Versions of the same files: one stays.

MLflow has no transaction over "is there one already?" and "make one". Two registrations at once both make a
version, and each then sees the other's: the older stays, the younger is taken back by whoever made it. A process
that is killed before that leaves it behind, complete and undecided; the next registration of these files takes it
away.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_STATE, PERMISSION_DENIED, RESOURCE_DOES_NOT_EXIST, ErrorCode

from model_governance.errors import EvidenceError, TransitionError
from model_governance.source import Source, locate
from model_governance.stages import NONE
from model_governance.standing import Standing, read_standing, versions_of

__all__ = ["clear_leftovers", "doubled", "never_judged", "remove", "version_with"]

_REGISTERED = re.compile(r"models:/[^/@]+/\d+")
_KEPT = ErrorCode.Name(PERMISSION_DENIED)
_GONE = {ErrorCode.Name(RESOURCE_DOES_NOT_EXIST), ErrorCode.Name(INVALID_STATE)}


def version_with(versions: Mapping[str, ModelVersion], digest: str) -> ModelVersion | None:
    """The version that holds these files: of several one that was decided on, then one in a stage, the oldest."""
    same = [each for each in versions.values() if each.tags.get("artifact_digest") == digest]
    return min(same, key=lambda v: (not _is_reviewed(v), v.current_stage == NONE, int(v.version)), default=None)


def never_judged(versions: Mapping[str, ModelVersion], source: Source, asked_for: str) -> ModelVersion | None:
    """The version that somebody registered of this model by MLflow's own means, and that carries no evidence yet.

    Of several, the one that was asked for by its number; else the newest.

    Parameters
    ----------
    asked_for : str
        The address that the caller gave, such as ``models:/iris/3``.
    """
    places = {source.uri.rstrip("/"), source.location.rstrip("/"), asked_for.rstrip("/")}
    named = {number: asked_for == f"models:/{each.name}/{number}" for number, each in versions.items()}
    same = [
        each
        for number, each in versions.items()
        if "artifact_digest" not in each.tags
        and (named[number] or str(each.source).rstrip("/") in places or _copied_from(each) == source.uri)
    ]
    return max(same, key=lambda each: (named[str(each.version)], int(each.version)), default=None)


def _copied_from(version: ModelVersion) -> str | None:
    """The model that a copy of another registered version was made from; None of what is no copy."""
    if not _REGISTERED.fullmatch(str(version.source)):
        return None
    try:
        return locate(str(version.source)).uri
    except EvidenceError:  # what it was copied from is gone
        return None


def clear_leftovers(client: MlflowClient, name: str, digest: str) -> None:
    """Take away what killed registrations of these files left; never what stands anywhere or was decided on.

    That are versions beside the one that holds the files already, and one with a number that an older version of
    other files took at the same moment.
    """
    versions = versions_of(client, name)
    first = version_with(versions, digest)
    if first is None:
        return
    try:
        standing = read_standing(client, name)
    except TransitionError:  # the model itself was deleted meanwhile
        return
    for each in versions.values():
        if each.tags.get("artifact_digest") != digest or _is_decided(each) or _stands(each, standing):
            continue
        if each.version != first.version or _number_taken(each, versions.values()):
            try:
                remove(client, each)
            except MlflowException as error:
                if error.error_code != _KEPT:  # a governed server keeps what others made or decided on
                    raise


def remove(client: MlflowClient, version: ModelVersion) -> None:
    """Delete a version that nobody wants; that another process was quicker is no error."""
    try:
        client.delete_model_version(version.name, version.version)
    except MlflowException as error:
        if error.error_code not in _GONE:
            raise


def doubled(versions: Mapping[str, ModelVersion]) -> list[str]:
    """Versions of the same files, and of the same semantic number, one sentence each."""
    found = []
    for tag, what, cure in (
        ("artifact_digest", "hold the same files", "register their model again to be left with one"),
        ("semantic_version", "have the same semantic version", "register the model of the newer one again"),
    ):
        by_value: dict[str, list[str]] = {}
        for number, version in versions.items():
            if value := version.tags.get(tag):
                by_value.setdefault(value, []).append(number)
        found += [f"versions {', '.join(each)} {what}; {cure}" for each in by_value.values() if len(each) > 1]
    return found


def _is_decided(version: ModelVersion) -> bool:
    return version.current_stage != NONE or _is_reviewed(version)


def _is_reviewed(version: ModelVersion) -> bool:
    return bool(version.tags.get("review", "pending") != "pending")


def _stands(version: ModelVersion, standing: Standing) -> bool:
    return str(version.version) in (standing.champion, standing.challenger, *standing.former())


def _number_taken(version: ModelVersion, versions: Iterable[ModelVersion]) -> bool:
    number = version.tags.get("semantic_version")
    return number is not None and any(
        int(each.version) < int(version.version) and each.tags.get("semantic_version") == number
        for each in versions
    )
