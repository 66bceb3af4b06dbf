"""Registration: the gates first, then one version with everything a reviewer needs, and never a second one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, ErrorCode
from mlflow.utils.mlflow_tags import MLFLOW_MODEL_VERSIONS

from model_governance.admission import refusal
from model_governance.assessment import champion_evidence
from model_governance.bundle import MATERIALS_TAG, Bundle, write_bundle
from model_governance.description import describe, with_words
from model_governance.duplicates import clear_leftovers, never_judged, remove, version_with
from model_governance.errors import EvidenceError, GateError, TransitionError, VersioningError
from model_governance.evidence import Evidence
from model_governance.gates import Verdict, judge
from model_governance.gathering import collect
from model_governance.governing import governing, review_page
from model_governance.materials import bill_of_materials
from model_governance.policy import Policy
from model_governance.source import locate
from model_governance.stages import NONE, PRODUCTION, STAGING, move_to_stage
from model_governance.standing import Move, Standing, finished, read_standing, settle, versions_of
from model_governance.versioning import numbering_of

__all__ = ["Registration", "register"]


@dataclass(frozen=True, slots=True)
class Registration:
    """A registered version and what the gates said of it.

    Attributes
    ----------
    version : str
        MLflow's number of the version.
    created : bool
        False where these very files had been registered before.
    """

    name: str
    version: str
    semantic_version: str
    verdict: Verdict
    evidence: Evidence
    created: bool

    @property
    def passed(self) -> bool:
        return self.verdict.passed

    @property
    def model_uri(self) -> str:
        return f"models:/{self.name}/{self.version}"

    def require_passed(self) -> Registration:
        """This registration, or a `GateError` with the failed rows."""
        if not self.passed:
            rows = "; ".join(row.sentence() for row in self.verdict.failures)
            raise GateError(
                f"{self.name} version {self.version} failed {len(self.verdict.failures)} of "
                f"{len(self.verdict.rows)} gates: {rows}",
                self.verdict,
            )
        return self


def register(model_uri: str, name: str, policy: Policy, *, now: datetime | None = None) -> Registration:
    """Judge a model and register it.

    A model that passes every gate becomes the challenger (stage Staging). One that fails is registered too, with
    the tag ``gates=failed`` and its verdict, but without alias and stage, and cannot be promoted. The same files
    make the same version, however often this is called and wherever an earlier call was killed; new evidence for
    files that nobody has decided on yet is judged anew. A reviewer's no holds for the files, whatever is measured
    on them later, until a reviewer reopens the version.

    Parameters
    ----------
    model_uri : str
        ``models:/m-...`` or ``runs:/<run>/<path>``.
    now : datetime, optional
        Time of judgement, with a time zone; the present by default.

    Raises
    ------
    EvidenceError
        Where there is no such model, or no run that it came from. Nothing is registered then.
    TransitionError
        Where these very files were rejected or rolled back; says by whom, when and why. Where they are in
        Production without ever having been judged.
    VersioningError
        Where the model's run claims to be a smaller step than it is, or another registration took the number at
        the same moment. Nothing is registered then.
    """
    client, now = MlflowClient(), now or datetime.now(UTC)
    evidence = collect(model_uri, policy)
    clear_leftovers(client, name, evidence.artifact.digest)
    # A claim that does not hold leaves nothing behind.
    numbering = numbering_of(client, name, evidence, policy.versioning)
    _create_model(client, name)
    governed = governing(client) is not None
    standing = read_standing(client, name, by_stages=True) if governed else finished(client, name)
    versions = versions_of(client, name)
    known = version_with(versions, evidence.artifact.digest)
    if known is None:
        known = never_judged(versions, locate(evidence.model_uri), model_uri)
    if known is not None and (no := refusal(known)) is not None:
        raise TransitionError(f"version {known.version} of {name!r} holds these files and {no}")
    champion = champion_evidence(standing, name, policy, evidence)
    verdict = judge(policy, evidence, champion, now)
    bundle = Bundle(evidence, policy, verdict, bill_of_materials(evidence, name))
    if known is not None and _is_approved(known, standing):
        if "artifact_digest" not in known.tags:
            raise TransitionError(
                f"version {known.version} of {name!r} holds these files and was in Production before anybody "
                "judged it: it stays as it is. Its recorded evaluation is what the next version is held against"
            )
        _link(client, known, evidence)  # approved between the last two steps of a call that was killed
        return _registration(known, bundle, created=False)
    semantic = numbering.semantic_version
    folder = write_bundle(client, bundle)
    page = review_page(name, evidence.artifact.digest) if governed else None
    text = describe(name, semantic, evidence, bundle.verdict, champion, standing.champion, folder, page)
    tags = numbering.tags() | _tags(bundle, semantic, folder, standing)
    created = False
    if known is None:
        version, created = _create_version(client, name, evidence, tags, text)
    else:
        version = _renew(client, known, tags, with_words(text, known.description))
    _stand(client, standing, version, passed=bundle.verdict.passed, now=now)
    _link(client, version, evidence)  # last: it decides nothing, and the next call makes up for it
    return _registration(client.get_model_version(name, version.version), bundle, created=created)


def _create_model(client: MlflowClient, name: str) -> None:
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != ErrorCode.Name(RESOURCE_ALREADY_EXISTS):
            raise


def _is_approved(version: ModelVersion, standing: Standing) -> bool:
    """Such a version keeps the evidence of its approval."""
    in_use = str(version.version) in (standing.champion, standing.previous) or version.current_stage == PRODUCTION
    return version.tags.get("review") == "approved" or in_use


def _tags(bundle: Bundle, semantic: str, folder: str, standing: Standing) -> dict[str, str]:
    evidence = bundle.evidence
    tags = {
        "semantic_version": semantic,
        "artifact_digest": evidence.artifact.digest,
        "interface_digest": evidence.interface_digest,
        "source_run_id": evidence.run_id,
        "git_commit": evidence.git_commit or "",
        "data_digest": ", ".join(sorted({item.digest for item in evidence.datasets})),
        "evidence": folder,
        "evidence_digest": evidence.digest,
        "policy_digest": bundle.policy.digest,
        MATERIALS_TAG: bundle.materials_digest or "",
        "gates": "passed" if bundle.verdict.passed else "failed",
        "review": "pending",
    }
    # A verdict against one champion says nothing about the next; promotion compares this.
    if bundle.policy.compares:
        tags["judged_against"] = standing.champion or "none"
    return {key: value for key, value in tags.items() if value}


def _create_version(
    client: MlflowClient, name: str, evidence: Evidence, tags: dict[str, str], text: str
) -> tuple[ModelVersion, bool]:
    """One transaction: a version is there with all its tags and its description, or not at all.

    Gives the version of these files, and whether it is this one: two at once may both have seen none.
    """
    found = locate(evidence.model_uri)
    created = client.create_model_version(
        name,
        source=found.uri if found.uri.startswith("models:/") else found.location,
        run_id=evidence.run_id,
        tags=tags,
        description=text,
        # an MLflow server takes the source for the model's own only where the model is named beside it
        model_id=found.logged.model_id if found.logged else None,
    )
    versions = versions_of(client, name)
    first = version_with(versions, evidence.artifact.digest)
    if first is not None and str(first.version) != str(created.version):
        remove(client, created)
        return first, False
    _require_own_number(client, created, versions)
    return created, True


def _require_own_number(client: MlflowClient, created: ModelVersion, versions: dict[str, ModelVersion]) -> None:
    """Two models at once may both have found the same number free: it stays with the older version."""
    number = created.tags.get("semantic_version")
    for other in versions.values():
        if int(other.version) < int(created.version) and other.tags.get("semantic_version") == number:
            remove(client, created)
            raise VersioningError(
                f"version {other.version} of {created.name!r} became {number} at the same moment, so this model "
                "was not registered; register it again"
            )


def _renew(client: MlflowClient, version: ModelVersion, tags: dict[str, str], text: str) -> ModelVersion:
    # The verdict last: killed before it, the version still shows the old one beside a bundle that does not fit,
    # which promotion refuses, and the next call writes the rest.
    for key in sorted(tags, key=lambda key: key == "gates"):
        if version.tags.get(key) != tags[key]:
            client.set_model_version_tag(version.name, version.version, key, tags[key])
    if version.description != text:
        client.update_model_version(version.name, version.version, text)
    return client.get_model_version(version.name, version.version)


def _link(client: MlflowClient, version: ModelVersion, evidence: Evidence) -> None:
    """Let the logged model's page in the UI lead to the version, as `mlflow.register_model` does."""
    logged = locate(evidence.model_uri).logged
    if logged is None:
        return
    entry = {"name": version.name, "version": version.version}
    present = _linked(logged.tags.get(MLFLOW_MODEL_VERSIONS, "[]"))
    if entry not in present:
        client.set_logged_model_tags(logged.model_id, {MLFLOW_MODEL_VERSIONS: json.dumps([*present, entry])})


def _linked(text: str) -> list[Any]:
    """What the tag lists; nothing where it is no list, as anybody may write a logged model's tags."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return []
    return found if isinstance(found, list) else []


def _stand(
    client: MlflowClient, standing: Standing, version: ModelVersion, *, passed: bool, now: datetime
) -> None:
    number = str(version.version)
    if governing(client) is not None:
        _stand_governed(client, standing, version, passed=passed)
        return
    if passed:
        challenger: str | None = number
    else:
        challenger = None if standing.challenger == number else standing.challenger
    move = Move(action="registered", version=number, by="", comment="", at=now.isoformat(timespec="seconds"))
    if challenger == standing.challenger:
        # Nothing moves, but an earlier call may have been killed before stage and alias followed.
        move = standing.last or move
    settle(client, version.name, standing.model_copy(update={"challenger": challenger, "last": move}))


def _stand_governed(client: MlflowClient, standing: Standing, version: ModelVersion, *, passed: bool) -> None:
    """Ask for the stage; the server moves the alias and writes the standing."""
    number = str(version.version)
    if passed and standing.challenger != number:
        move_to_stage(client, version.name, number, STAGING)
    elif not passed and standing.challenger == number:
        move_to_stage(client, version.name, number, NONE)


def _registration(version: ModelVersion, bundle: Bundle, *, created: bool) -> Registration:
    if "semantic_version" not in version.tags:
        raise EvidenceError(
            f"version {version.version} of {version.name!r} has no semantic version; was its tag deleted?"
        )
    return Registration(
        version.name,
        str(version.version),
        version.tags["semantic_version"],
        bundle.verdict,
        bundle.evidence,
        created,
    )
