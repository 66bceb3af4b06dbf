"""What must hold before a version may move: a signature, untouched files and evidence, a verdict that stands."""

from __future__ import annotations

from datetime import datetime

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from model_governance.bundle import read_bundle
from model_governance.errors import GateError, TamperError, TransitionError
from model_governance.gates import judge
from model_governance.gathering import collect, signed_today
from model_governance.policy import Policy
from model_governance.signing import require_signature
from model_governance.standing import Standing

__all__ = ["find_version", "refusal", "require_promotable", "require_same_files", "require_signature"]

_REFUSED = {
    "rejected": ("rejected_by", "rejected_at", "rejection_comment"),
    "rolled back": ("rolled_back_by", "rolled_back_at", "rolled_back_reason"),
}


def find_version(client: MlflowClient, name: str, version: str | int) -> ModelVersion:
    """The version, or a `TransitionError` that there is none."""
    try:
        return client.get_model_version(name, str(version))
    except MlflowException as error:
        raise TransitionError(f"there is no version {version} of {name!r}: {error.message}") from error


def refusal(version: ModelVersion) -> str | None:
    """Who said no to a version, when and why, as the end of a sentence; None where nobody did."""
    review = str(version.tags.get("review"))
    if review not in _REFUSED:
        return None
    by, at, why = (version.tags.get(tag, "unknown") for tag in _REFUSED[review])
    return (
        f"was {review} by {by} on {at[:10]}: {why}; a reviewer who thinks otherwise says "
        f"`model-governance reopen {version.name} {version.version} --reason ...` and has it registered again"
    )


def require_promotable(version: ModelVersion, standing: Standing, now: datetime, policy: Policy | None) -> None:
    """Let a version pass that may become the champion of today.

    Parameters
    ----------
    now : datetime
        With a time zone; the figures must not have grown too old since they were judged.
    policy : Policy or None
        Today's; where one is given, the version must have been judged by it.

    Raises
    ------
    GateError
        Where it did not pass its gates, or its figures have grown too old.
    TransitionError
        Where somebody said no to it, or it was judged by another policy or against another champion than today's.
    TamperError
        Where its files or its evidence are not those that were judged.
    """
    label, tags = f"version {version.version} of {version.name!r}", version.tags
    bundle = read_bundle(version)
    if tags.get("gates") != "passed" or not bundle.verdict.passed:
        rows = "; ".join(row.sentence() for row in bundle.verdict.failures)
        raise GateError(f"{label} did not pass its gates: {rows or 'its tag gates is not passed'}", bundle.verdict)
    if (no := refusal(version)) is not None:
        raise TransitionError(f"{label} {no}")
    if policy is not None and policy.digest != bundle.policy.digest:
        raise TransitionError(
            f"{label} was judged by a policy of digest {bundle.policy.digest[:12]}, today's has "
            f"{policy.digest[:12]}; register it again with today's"
        )
    # It passed; what fails on the same evidence today fails by the time that went by: figures, acceptances and
    # advisories that have grown too old, and signatures that somebody has taken back since.
    today = judge(bundle.policy, signed_today(bundle.policy, bundle.evidence), None, now)
    late = "; ".join(row.sentence() for row in today.failures)
    if late:
        raise GateError(
            f"{label} was judged on {bundle.verdict.judged_at:%Y-%m-%d} and its evidence has expired: {late}; "
            "evaluate and register it again",
            today,
        )
    against, champion = tags.get("judged_against"), standing.champion or "none"
    if against is not None and against != champion and tags.get("review") != "approved":
        raise TransitionError(
            f"{label} was judged against champion {against}, but the champion is {champion} by now; "
            "register it again"
        )
    require_same_files(version, bundle.evidence.artifact.digest)


def require_same_files(version: ModelVersion, digest: str) -> None:
    """Let a version pass whose files have this digest; a `TamperError` where they do not."""
    got = collect(f"models:/{version.name}/{version.version}").artifact.digest
    if got != digest:
        raise TamperError(
            f"the files of version {version.version} of {version.name!r} have digest {got[:16]}, but "
            f"{digest[:16]} was judged; somebody changed them: log, evaluate and register the model again"
        )
