"""Promotion: a named person's yes or no, and the way back. Stage and alias always move together."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from model_governance.bundle import Bundle, read_bundle
from model_governance.errors import GateError, GovernanceError, TamperError, TransitionError
from model_governance.evidence import collect
from model_governance.stages import ARCHIVED, PRODUCTION, STAGING
from model_governance.standing import (
    CHAMPION,
    Move,
    Standing,
    disagreements,
    read_standing,
    registered_model,
    settle,
    versions_of,
)

__all__ = ["SyncResult", "check", "find_version", "promote", "reject", "rollback", "sync"]

_LONGEST_COMMENT = 1000


def promote(name: str, version: str | int, approver: str, comment: str, *, move_serving: bool = True) -> Standing:
    """Make a version the champion: Production, aliases `champion` and `serving`; the one before it is archived.

    Parameters
    ----------
    approver, comment : str
        Who says yes, and why; both are kept on the version.
    move_serving : bool
        False where a rollout decides when servers follow.

    Raises
    ------
    TransitionError
        Where nobody signs, or the version was rejected, or judged against another champion than today's.
    GateError
        Where the version did not pass its gates.
    TamperError
        Where its files or its evidence are not those that were judged.
    """
    client = MlflowClient()
    by, why = _signature(approver, comment)
    standing = _finished(client, name)
    candidate = find_version(client, name, version)
    number = str(candidate.version)
    if number == standing.champion:
        return settle(client, name, standing)
    _may_be_promoted(candidate, standing)
    move = Move(action="promoted", version=number, by=by, comment=why, at=_now())
    marks = {
        number: {
            "review": "approved",
            "approved_by": by,
            "approval_comment": why,
            "approved_at": move.at,
            "replaced_version": standing.champion or "none",
        }
    }
    return settle(
        client,
        name,
        Standing(
            champion=number,
            previous=standing.champion,
            challenger=None if standing.challenger == number else standing.challenger,
            serving_follows=move_serving,
            last=move,
            marks=marks,
        ),
    )


def reject(name: str, version: str | int, reviewer: str, comment: str) -> Standing:
    """Say no to a version: it loses its alias, is archived, and comes back only with new evidence.

    Raises
    ------
    TransitionError
        Where nobody signs, or the version is in Production.
    """
    client = MlflowClient()
    by, why = _signature(reviewer, comment)
    standing = _finished(client, name)
    number = str(find_version(client, name, version).version)
    if number in (standing.champion, standing.previous):
        raise TransitionError(
            f"version {number} of {name!r} is or was in Production; use `model-governance rollback` to leave it"
        )
    move = Move(action="rejected", version=number, by=by, comment=why, at=_now())
    marks = {number: {"review": "rejected", "rejected_by": by, "rejection_comment": why, "rejected_at": move.at}}
    challenger = None if standing.challenger == number else standing.challenger
    return settle(
        client,
        name,
        standing.model_copy(update={"challenger": challenger, "last": move, "marks": marks}),
    )


def rollback(name: str, operator: str, reason: str) -> Standing:
    """Go back to the champion before this one, at once and without new evidence; its files must be unchanged.

    The version that is left is archived and keeps the reason; it is not `previous`, so that a second rollback goes
    further back and never forward again.

    Raises
    ------
    TransitionError
        Where nobody signs, or there is nothing to go back to.
    TamperError
        Where the files of the version to go back to have changed.
    """
    client = MlflowClient()
    by, why = _signature(operator, reason)
    standing = _finished(client, name)
    if standing.previous is None or standing.champion is None:
        raise TransitionError(f"{name!r} has no previous version to go back to; promote another one instead")
    target = find_version(client, name, standing.previous)
    _require_same_files(target, str(target.tags.get("artifact_digest")))
    number = str(target.version)
    move = Move(action="rolled back", version=standing.champion, by=by, comment=why, at=_now())
    before = target.tags.get("replaced_version", "none")
    marks = {
        standing.champion: {
            "review": "rolled back",
            "rolled_back_by": by,
            "rolled_back_reason": why,
            "rolled_back_at": move.at,
        },
    }
    return settle(
        client,
        name,
        standing.model_copy(
            update={
                "champion": number,
                "previous": before if before in versions_of(client, name) else None,
                "last": move,
                "marks": marks,
            }
        ),
    )


def check(name: str) -> list[str]:
    """What is wrong with a model's standing, one sentence each: stage against alias, files against digests."""
    client = MlflowClient()
    found = disagreements(client, name)
    standing = read_standing(client, name)
    for number in (standing.champion, standing.previous, standing.challenger):
        if number is not None:
            try:
                version = find_version(client, name, number)
                _require_same_files(version, str(version.tags.get("artifact_digest")))
                read_bundle(version)
            except GovernanceError as error:
                found.append(str(error))
    return found


@dataclass(frozen=True, slots=True)
class SyncResult:
    """What was done about transitions that somebody made by hand.

    Attributes
    ----------
    followed : tuple of str
        Transitions that are allowed; alias and records now follow them.
    refused : tuple of str
        Transitions that are not, with the reason.
    reverted : bool
        Whether the refused ones were taken back.
    """

    standing: Standing
    followed: tuple[str, ...]
    refused: tuple[str, ...]
    reverted: bool


def sync(name: str, approver: str, comment: str, *, revert: bool = False) -> SyncResult:
    """Let aliases follow stages that a reviewer set in the MLflow UI, where the gates allow it.

    Production becomes a promotion signed by `approver`, Staging a challenger, an archived challenger a rejection.
    MLflow does not tell who clicked, so whoever calls this signs for it. What is not allowed (failed gates,
    altered files, two versions in Production) is refused and, with `revert`, put back to the last standing.
    """
    client = MlflowClient()
    _signature(approver, comment)
    standing = _finished(client, name)
    followed: list[str] = []
    refused: list[str] = []
    comment = f"{comment} (stage set by hand)"
    for number, action in _moved_by_hand(client, name, standing):
        try:
            if action == "promoted":
                standing = promote(name, number, approver, comment, move_serving=standing.serving_follows)
            elif action == "rejected":
                standing = reject(name, number, approver, comment)
            elif action == "challenger":
                standing = _challenge(client, name, number, standing, approver, comment)
            else:
                raise TransitionError(action)
        except GovernanceError as error:
            refused.append(f"version {number}: {error}")
        else:
            followed.append(f"version {number}: {action}")
    left = disagreements(client, name)
    if revert:
        standing = settle(client, name, standing)
    elif not refused:
        refused.extend(left)
    return SyncResult(standing, tuple(followed), tuple(refused), revert)


def _moved_by_hand(client: MlflowClient, name: str, standing: Standing) -> list[tuple[str, str]]:
    """Versions whose stage or alias somebody else set, with what it would mean."""
    versions = versions_of(client, name)
    alias = registered_model(client, name).aliases.get(CHAMPION)
    wanted = {n for n, v in versions.items() if v.current_stage == PRODUCTION and n != standing.champion}
    if alias is not None and str(alias) != standing.champion:
        wanted.add(str(alias))
    if len(wanted) > 1:
        several = f"versions {', '.join(sorted(wanted, key=int))} are all meant for Production; only one can be"
        return [(number, several) for number in sorted(wanted, key=int)]
    moved = [(number, "promoted") for number in wanted]
    for number, version in versions.items():
        if number in wanted:
            continue
        if version.current_stage == STAGING and number != standing.challenger:
            moved.append((number, "challenger"))
        if version.current_stage == ARCHIVED and number == standing.challenger:
            moved.append((number, "rejected"))
        if number == standing.champion and version.current_stage != PRODUCTION and not wanted:
            moved.append(
                (
                    number,
                    f"the champion left Production for {version.current_stage}; use `model-governance rollback`",
                )
            )
    return moved


def _challenge(
    client: MlflowClient, name: str, number: str, standing: Standing, by: str, comment: str
) -> Standing:
    version = find_version(client, name, number)
    _may_be_promoted(version, standing)
    move = Move(action="registered", version=number, by=by, comment=comment, at=_now())
    return settle(client, name, standing.model_copy(update={"challenger": number, "last": move}))


def _may_be_promoted(version: ModelVersion, standing: Standing) -> None:
    label, tags = f"version {version.version} of {version.name!r}", version.tags
    bundle: Bundle = read_bundle(version)
    if tags.get("gates") != "passed" or not bundle.verdict.passed:
        rows = "; ".join(row.sentence() for row in bundle.verdict.failures)
        raise GateError(f"{label} did not pass its gates: {rows or 'its tag gates is not passed'}", bundle.verdict)
    for review, by, why in (
        ("rejected", "rejected_by", "rejection_comment"),
        ("rolled back", "rolled_back_by", "rolled_back_reason"),
    ):
        if tags.get("review") == review:
            raise TransitionError(
                f"{label} was {review} by {tags.get(by)} ({tags.get(why)}); "
                "it comes back by being registered with new evidence"
            )
    against, champion = tags.get("judged_against"), standing.champion or "none"
    if against is not None and against != champion and tags.get("review") != "approved":
        raise TransitionError(
            f"{label} was judged against champion {against}, but the champion is {champion} by now; "
            "register it again"
        )
    _require_same_files(version, bundle.evidence.artifact.digest)


def _require_same_files(version: ModelVersion, digest: str) -> None:
    got = collect(f"models:/{version.name}/{version.version}").artifact.digest
    if got != digest:
        raise TamperError(
            f"the files of version {version.version} of {version.name!r} have digest {got[:16]}, but "
            f"{digest[:16]} was judged; somebody changed them: log, evaluate and register the model again"
        )


def _finished(client: MlflowClient, name: str) -> Standing:
    """The standing, after finishing what an interrupted call left."""
    standing = read_standing(client, name)
    return settle(client, name, standing) if standing.pending else standing


def find_version(client: MlflowClient, name: str, version: str | int) -> ModelVersion:
    try:
        return client.get_model_version(name, str(version))
    except MlflowException as error:
        raise TransitionError(f"there is no version {version} of {name!r}: {error.message}") from error


def _signature(by: str, comment: str) -> tuple[str, str]:
    by, comment = by.strip(), comment.strip()
    if not by or not comment:
        missing = " and ".join(what for what, value in (("a name", by), ("a comment", comment)) if not value)
        raise TransitionError(f"{missing} is missing: a version moves only with a person's name and their reason")
    if len(by) > 200 or len(comment) > _LONGEST_COMMENT:
        raise TransitionError(
            f"the name has {len(by)} and the comment {len(comment)} characters; "
            f"at most 200 and {_LONGEST_COMMENT} fit"
        )
    return by, comment


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
