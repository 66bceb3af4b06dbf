"""Which version is what: champion, previous, challenger. Written down first, then made so.

A move touches several aliases, stages and tags, and MLflow has no transaction over them. So the wanted standing is
written first, in one tag of the registered model and marked pending; then everything is brought to it, one
idempotent write after another; then the mark is taken away. A process killed anywhere in between leaves a standing
that is pending, and whoever comes next finishes it before doing anything else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode
from pydantic import BaseModel, ConfigDict, ValidationError

from model_governance.errors import TamperError, TransitionError
from model_governance.stages import ARCHIVED, NONE, PRODUCTION, STAGING, move_to_stage

__all__ = [
    "CHALLENGER",
    "CHAMPION",
    "PREVIOUS",
    "SERVING",
    "STANDING_TAG",
    "Move",
    "Standing",
    "disagreements",
    "finished",
    "read_standing",
    "settle",
    "versions_of",
]

CHAMPION, PREVIOUS, CHALLENGER, SERVING = "champion", "previous", "challenger", "serving"
STANDING_TAG = "governance.standing"


class Move(BaseModel):
    """Who moved which version, when and why."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    action: Literal["registered", "promoted", "rejected", "rolled back", "reopened", "adopted"]
    version: str
    by: str
    comment: str
    at: str


class Standing(BaseModel):
    """Which version of a model is what.

    Attributes
    ----------
    champion, previous, challenger : str or None
        Version numbers; they stand for Production, the Production before it, and Staging.
    earlier : tuple of str
        Champions before `previous`, oldest first, each once: the way back of further rollbacks.
    serving_follows : bool
        True where a promotion itself moves the alias ``serving``; False where a rollout does.
    last : Move or None
        The move that led here.
    marks : mapping of version to tags
        Tags of versions that belong to this move; empty once it is settled.
    pending : bool
        True from the moment the move was decided until aliases, stages and tags all agree with it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    champion: str | None = None
    previous: str | None = None
    challenger: str | None = None
    earlier: tuple[str, ...] = ()
    serving_follows: bool = True
    last: Move | None = None
    marks: dict[str, dict[str, str]] = {}
    pending: bool = False

    def former(self) -> tuple[str, ...]:
        """All champions before this one, oldest first."""
        return (*self.earlier, *([self.previous] if self.previous else []))

    def aliases(self) -> dict[str, str | None]:
        """The aliases as they should be; `serving` only where the promotion owns it."""
        wanted = {PREVIOUS: self.previous, CHAMPION: self.champion}
        if self.serving_follows:
            wanted[SERVING] = self.champion
        return {**wanted, CHALLENGER: self.challenger}

    def stage(self, version: ModelVersion) -> str:
        """The stage that one version should be in; what was never promoted and is no challenger keeps its own."""
        number = str(version.version)
        if number == self.champion:
            return PRODUCTION
        if number == self.challenger:
            return STAGING
        if number == self.previous or version.tags.get("review") in ("approved", "rejected", "rolled back"):
            return ARCHIVED
        return NONE if version.current_stage in (PRODUCTION, STAGING) else str(version.current_stage)


def registered_model(client: MlflowClient, name: str) -> RegisteredModel:
    """The registered model, or a sentence that there is none."""
    try:
        return client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code == ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
            raise TransitionError(f"there is no registered model {name!r}; register a version first") from error
        raise


def read_standing(client: MlflowClient, name: str, *, by_stages: bool = False) -> Standing:
    """The standing as it was last decided; where nobody decided yet, as the aliases say.

    Parameters
    ----------
    by_stages : bool
        Whether stages tell where no alias does, as a governed server reads a registry that is older than it.

    Raises
    ------
    TamperError
        Where the record cannot be read.
    """
    model = registered_model(client, name)
    text = model.tags.get(STANDING_TAG)
    if text is None:
        staged = {each.current_stage: str(each.version) for each in model.latest_versions} if by_stages else {}
        told = {CHAMPION: staged.get(PRODUCTION), CHALLENGER: staged.get(STAGING)} | {
            alias: str(version) for alias, version in model.aliases.items()
        }
        return Standing(champion=told[CHAMPION], previous=told.get(PREVIOUS), challenger=told[CHALLENGER])
    try:
        return Standing.model_validate_json(text)
    except ValidationError as error:
        raise TamperError(
            f"the tag {STANDING_TAG} of {name!r} is not one that this package wrote ({error.error_count()} "
            "errors); restore it from a backup, or delete it to start again from the aliases"
        ) from error


def finished(client: MlflowClient, name: str) -> Standing:
    """The standing, after finishing what an interrupted call left."""
    standing = read_standing(client, name)
    return settle(client, name, standing) if standing.pending else standing


def versions_of(client: MlflowClient, name: str) -> dict[str, ModelVersion]:
    """All versions by number, oldest first."""
    found: list[ModelVersion] = []
    token: str | None = None
    while True:
        page = client.search_model_versions(f"name='{name}'", page_token=token)
        found.extend(page)
        token = page.token
        if not token:
            return {str(version.version): version for version in sorted(found, key=lambda v: int(v.version))}


def settle(client: MlflowClient, name: str, standing: Standing) -> Standing:
    """Bring tags, aliases and stages to a standing, however far an earlier try came. Idempotent."""
    pending = standing.model_copy(update={"pending": True})
    _write(client, name, pending)
    for number, tags in pending.marks.items():
        _mark(client, name, number, tags)
    present = {alias: str(version) for alias, version in registered_model(client, name).aliases.items()}
    for alias, wanted in pending.aliases().items():
        if wanted is None and alias in present:
            client.delete_registered_model_alias(name, alias)
        elif wanted is not None and present.get(alias) != wanted:
            client.set_registered_model_alias(name, alias, wanted)
    _stages(client, name, pending)
    settled = pending.model_copy(update={"pending": False, "marks": {}})
    _write(client, name, settled)
    return settled


def _stages(client: MlflowClient, name: str, standing: Standing) -> None:
    versions = versions_of(client, name)
    stages = {number: str(version.current_stage) for number, version in versions.items()}
    wanted = {number: standing.stage(version) for number, version in versions.items()}
    # The champion first: what it displaces leaves Production in the same transaction, for Archived.
    for number in sorted(wanted, key=lambda number: number != standing.champion):
        if stages[number] != wanted[number]:
            move_to_stage(client, name, number, wanted[number])
            if wanted[number] == PRODUCTION:
                stages = {other: ARCHIVED if stage == PRODUCTION else stage for other, stage in stages.items()}


def disagreements(client: MlflowClient, name: str) -> list[str]:
    """Where stages and aliases say something else than the standing, one sentence each."""
    standing = read_standing(client, name)
    found = []
    if standing.pending and standing.last:
        found.append(
            f"version {standing.last.version} was being {standing.last.action} by {standing.last.by} when it was "
            "interrupted; run `model-governance sync` to finish"
        )
    present = {alias: str(version) for alias, version in registered_model(client, name).aliases.items()}
    for alias, wanted in standing.aliases().items():
        if present.get(alias) != wanted:
            found.append(f"alias {alias} is on {_version(present.get(alias))}; it should be on {_version(wanted)}")
    for version in versions_of(client, name).values():
        if version.current_stage != (wanted_stage := standing.stage(version)):
            found.append(
                f"version {version.version} is in stage {version.current_stage}; it should be in {wanted_stage}"
            )
    return found


def _version(number: str | None) -> str:
    return "no version" if number is None else f"version {number}"


def _write(client: MlflowClient, name: str, standing: Standing) -> None:
    text = standing.model_dump_json()
    if registered_model(client, name).tags.get(STANDING_TAG) != text:
        client.set_registered_model_tag(name, STANDING_TAG, text)


def _mark(client: MlflowClient, name: str, number: str, tags: Mapping[str, str]) -> None:
    present = client.get_model_version(name, number).tags
    for key, value in tags.items():
        if present.get(key) != value:
            client.set_model_version_tag(name, number, key, value)
